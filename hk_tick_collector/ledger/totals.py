"""How much is missing by the exchange's totals: at least, and at most.

A snapshot tells how many shares were traded until some moment, which nobody knows exactly: it is asked for, answered
from a cache, and comes by another way than the pushes. So each one gives two bounds, and each bound assumes only what
makes it weaker when it is wrong:

- **At least** its volume less all that we hold of what it *may* have counted. It can't have counted a trade that was
  made
  after it came. A snapshot that is late only counts less, so it can never make a loss out of nothing. What was under
  way has to come first, so this bound is taken some seconds later.
- **At most** its volume less all that we hold of what it *must* have counted: what was traded well before its own time.
  Of types of ticks that are not known to be counted nothing must be. A snapshot that has counted less than one before
  it, or less than is known to be missing, is provably late, and bounds nothing from above.

What is missing never falls by itself, only by ticks that come. `docs/proof.md` has the theory. Reads ticks by the key
of the table: sequences hold the second of the trade. Where they don't, bounds are taken in calm moments alone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

from hk_tick_collector.store.schema import storable

if TYPE_CHECKING:
    import apsw

    from hk_tick_collector.ledger.rows import TotalsRow

# By so much a snapshot may be late against its own time, and a push against its trade. Seen are a few seconds.
LATE_MS: Final = 15_000
# A published time is cut to its second, and clocks that agree may differ: by so much a trade may seem later than it
# was.
ROUNDED_MS: Final = 2_000
SECOND_MS: Final = 1000

_SHARES_SINCE = "SELECT total(volume) FROM ticks WHERE symbol = ? AND seq >= ?"
# Sent again with another volume: what the exchange may count more, and less, than the tick that stands.
_REVISED = """
SELECT t.seq, max(0, max(r.volume) - t.volume), min(0, min(r.volume) - t.volume)
FROM tick_revisions AS r JOIN ticks AS t USING (symbol, seq) WHERE r.symbol = ? GROUP BY t.seq"""
_ROWS_TOGETHER = "SELECT count(*) FROM ticks WHERE symbol = ? AND seq >= ? AND seq < ?"


def key_at(ms: int) -> int:
    """The least sequence that a tick of this second can have."""
    return max(0, ms // SECOND_MS) << 32


def counts_from_ms(row: TotalsRow, told_ms: int | None) -> int | None:
    """A snapshot must have counted what was traded before this, by the exchange's time; None: it can't be told.

    By its own time; or, where the symbol has not traded lately, by that of any other in the same answers: then these
    are not frozen, and it has counted all until it was asked for.

    Args:
        row: the snapshot.
        told_ms: when it was told, by the exchange's time: the first time, or the last.
    """
    if told_ms is None:
        return None
    from_ms = None
    if row.market_ms is not None:
        way_ms = 0 if row.asked_ms is None else max(0, row.at_ms - row.asked_ms)
        from_ms = min(told_ms - way_ms, row.market_ms)
    own_ms = row.own_ms
    # A later one is no time of a trade.
    if own_ms is not None and own_ms <= told_ms + ROUNDED_MS and (from_ms is None or own_ms > from_ms):
        from_ms = own_ms
    return None if from_ms is None else from_ms - LATE_MS


def counts_until_ms(row: TotalsRow) -> int | None:
    """A snapshot can't have counted what was traded after this, by the exchange's time; None: it can't be told."""
    until_ms = row.exchange_ms
    if until_ms is None:
        return None
    if row.own_ms is not None and row.own_ms > until_ms:
        until_ms = row.own_ms
    if row.market_ms is not None and row.market_ms > until_ms:
        until_ms = row.market_ms
    return until_ms + ROUNDED_MS


class Holding(NamedTuple):
    """What is stored of a symbol now.

    Attributes:
        volume: in shares, each tick as it came first.
        rows: ticks.
        last_seq: the greatest sequence; None: there is none above 0.
        more: by which revisions make it more, at most, in shares; by sequence.
        less: by which they make it less, at most, as numbers below 0.
        is_timely: all its sequences hold the second of the trade.
    """

    volume: int
    rows: int
    last_seq: int | None
    more: dict[int, int]
    less: dict[int, int]
    is_timely: bool


def revised(con: apsw.Connection, symbol: str) -> tuple[dict[int, int], dict[int, int]]:
    """By how much revisions make ticks of a symbol more, and less, by sequence."""
    rows: list[tuple[Any, ...]] = con.execute(_REVISED, (symbol,)).fetchall()
    return {seq: more for seq, more, _ in rows if more}, {seq: less for seq, _, less in rows if less}


def shares_since(con: apsw.Connection, symbol: str, holding: Holding, begin_key: int) -> int:
    """The stored shares from a sequence on."""
    if (holding.last_seq or 0) < begin_key:
        return 0
    rows: list[Any] = con.execute(_SHARES_SINCE, (symbol, begin_key)).fetchall()
    return int(rows[0][0])


def ticks_between(con: apsw.Connection, symbol: str, begin_key: int, end_key: int) -> int:
    """How many ticks are stored between these sequences, the second not included."""
    rows: list[Any] = con.execute(_ROWS_TOGETHER, (symbol, begin_key, end_key)).fetchall()
    return int(rows[0][0])


def least_missing(row: TotalsRow, holding: Holding, after_shares: int) -> int:
    """What is missing at least by a snapshot.

    Args:
        row: the snapshot.
        holding: what is stored by now.
        after_shares: of that, what was traded after its `may_ms`.
    """
    counted = holding.volume - after_shares
    if holding.more:
        end_key = key_at((row.may_ms or 0) + SECOND_MS)
        counted += sum(volume for seq, volume in holding.more.items() if seq < end_key)
    return storable(row.volume - counted)


def most_missing(row: TotalsRow, holding: Holding, from_shares: int) -> int:
    """What is missing at most by a snapshot.

    Args:
        row: the snapshot.
        holding: what is stored by now; all of its types are counted.
        from_shares: of that, what was traded at or after `counts_from_ms`.
    """
    counted = holding.volume - from_shares
    if holding.less:
        begin_key = key_at(counts_from_ms(row, row.exchange_ms) or 0)
        counted += sum(volume for seq, volume in holding.less.items() if seq < begin_key)
    return storable(row.volume - counted)
