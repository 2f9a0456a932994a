"""How much is missing by the exchange's totals: at least, and at most.

A snapshot has the shares that were traded until some moment, and that moment is not known exactly: the snapshot is
asked for, answered from a cache, and travels separately from the pushes. So it gives two bounds:

- **At least** its volume less the shares that are stored of what it *may* have counted. It can't have counted a trade
  that was made after it came. A late snapshot only counts less, so it never makes a loss out of nothing. Ticks that
  were under way have to come first, so this bound is computed `LATE_MS` later.
- **At most** its volume less the shares that are stored of what it *must* have counted: trades made `LATE_MS` before
  its own time. It is computed only if all of the symbol's types of ticks are proven to be counted. A snapshot that
  counts less than an earlier one, or that shows less to be missing than gaps report, is provably late and gives no
  upper bound.

What is missing never falls by itself, only by ticks that come. `docs/proof.md` has the theory. Ticks are selected by
time through the table's key, since a sequence holds the second of the trade. For a symbol whose sequences don't, bounds
are computed only in calm moments, when nothing has come in between.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

from hk_tick_collector.store.schema import storable

if TYPE_CHECKING:
    import apsw

    from hk_tick_collector.ledger.rows import TotalsRow

# How late a snapshot may be against its own time, and a push against its trade. A few seconds were observed.
LATE_MS: Final = 15_000
# How much later a trade may seem than it was: published times are cut to the second, and clocks that agree may differ.
ROUNDED_MS: Final = 2_000
SECOND_MS: Final = 1000

_SHARES_SINCE = "SELECT total(volume) FROM ticks WHERE symbol = ? AND seq >= ?"
# Ticks that came again with another volume: how much more, and less, the exchange may count than the stored tick.
_REVISED = """
SELECT t.seq, max(0, max(r.volume) - t.volume), min(0, min(r.volume) - t.volume)
FROM tick_revisions AS r JOIN ticks AS t USING (symbol, seq) WHERE r.symbol = ? GROUP BY t.seq"""
_ROWS_TOGETHER = "SELECT count(*) FROM ticks WHERE symbol = ? AND seq >= ? AND seq < ?"


def key_at(ms: int) -> int:
    """The least sequence that a tick of this moment's second can have."""
    return max(0, ms // SECOND_MS) << 32


def counts_from_ms(row: TotalsRow, told_ms: int | None) -> int | None:
    """A snapshot must have counted what was traded before this, by the exchange's time; None: not known.

    This is `LATE_MS` before the later of two times. One is its own time, which is old if the symbol has not traded
    lately. The other is when it was asked for, but no later than the newest update time of any symbol: until then the
    feed was not frozen.

    Args:
        row: the snapshot.
        told_ms: when it came, by the exchange's time: for a repeated one, the first or the last time.
    """
    if told_ms is None:
        return None
    from_ms = None
    if row.market_ms is not None:
        way_ms = 0 if row.asked_ms is None else max(0, row.at_ms - row.asked_ms)
        from_ms = min(told_ms - way_ms, row.market_ms)
    own_ms = row.own_ms
    # An own time in the future is not the time of a trade.
    if own_ms is not None and own_ms <= told_ms + ROUNDED_MS and (from_ms is None or own_ms > from_ms):
        from_ms = own_ms
    return None if from_ms is None else from_ms - LATE_MS


def counts_until_ms(row: TotalsRow) -> int | None:
    """A snapshot can't have counted what was traded after this, by the exchange's time; None: not known."""
    until_ms = row.exchange_ms
    if until_ms is None:
        return None
    # The clocks may be slow: what the snapshot shows to have happened can't be later than it came.
    if row.own_ms is not None and row.own_ms > until_ms:
        until_ms = row.own_ms
    if row.market_ms is not None and row.market_ms > until_ms:
        until_ms = row.market_ms
    return until_ms + ROUNDED_MS


class Holding(NamedTuple):
    """What is stored of a symbol now.

    Attributes:
        volume: in shares, each tick with its first content.
        rows: ticks.
        last_seq: the greatest sequence; None: there is none above 0.
        more: by sequence, the shares by which revisions raise a tick at most.
        less: by sequence, the shares by which revisions lower a tick at most, as numbers below 0.
        is_timely: all its sequences hold the second of the trade.
    """

    volume: int
    rows: int
    last_seq: int | None
    more: dict[int, int]
    less: dict[int, int]
    is_timely: bool


def revised(con: apsw.Connection, symbol: str) -> tuple[dict[int, int], dict[int, int]]:
    """`Holding.more` and `Holding.less` of a symbol."""
    rows: list[tuple[Any, ...]] = con.execute(_REVISED, (symbol,)).fetchall()
    return {seq: more for seq, more, _ in rows if more}, {seq: less for seq, _, less in rows if less}


def shares_since(con: apsw.Connection, symbol: str, holding: Holding, begin_key: int) -> int:
    """The stored shares from a sequence on; 0 without a read if none is stored there."""
    if (holding.last_seq or 0) < begin_key:
        return 0
    rows: list[Any] = con.execute(_SHARES_SINCE, (symbol, begin_key)).fetchall()
    return int(rows[0][0])


def ticks_between(con: apsw.Connection, symbol: str, begin_key: int, end_key: int) -> int:
    """How many ticks are stored from the first of these sequences on, before the second."""
    rows: list[Any] = con.execute(_ROWS_TOGETHER, (symbol, begin_key, end_key)).fetchall()
    return int(rows[0][0])


def least_missing(row: TotalsRow, holding: Holding, after_shares: int) -> int:
    """At least how many shares are missing, by a snapshot.

    Args:
        row: the snapshot.
        holding: what is stored by now.
        after_shares: the stored shares that were traded after the snapshot's `may_ms`.
    """
    counted = holding.volume - after_shares
    if holding.more:  # of a revised tick, it may have counted the greatest volume
        end_key = key_at((row.may_ms or 0) + SECOND_MS)
        counted += sum(volume for seq, volume in holding.more.items() if seq < end_key)
    return storable(row.volume - counted)


def most_missing(row: TotalsRow, holding: Holding, from_shares: int) -> int:
    """At most how many shares are missing, by a snapshot.

    Args:
        row: the snapshot.
        holding: what is stored by now; all of its types are proven to be counted.
        from_shares: the stored shares that were traded at or after `counts_from_ms`.
    """
    counted = holding.volume - from_shares
    if holding.less:  # of a revised tick, it may have counted the least volume
        begin_key = key_at(counts_from_ms(row, row.exchange_ms) or 0)
        counted += sum(volume for seq, volume in holding.less.items() if seq < begin_key)
    return storable(row.volume - counted)
