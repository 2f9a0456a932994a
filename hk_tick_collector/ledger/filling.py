"""Marks gaps as filled by ticks that came into their bounds later: when, and by what.

Owns a gap's state, and how much is still missing in gaps by totals. A gap by ordinals is filled when no ordinal in it
is missing any more. A gap by totals is filled when as much has been fetched into it as was missing, and two snapshots
in a row also show that no more is missing. Never decides that ticks are missing, never commits.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

from hk_tick_collector.ledger.continuity import holes_in
from hk_tick_collector.ledger.rows import News
from hk_tick_collector.opend.numbers import PushDataType
from hk_tick_collector.store.schema import INT64_MAX, PUSH_TYPES

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    import apsw

MADE_GOOD: Final = int(PushDataType.BY_DISCONNECTION)  # push_data_type
# SQL: whether a tick was not pushed live, but polled, backfilled or replayed by OpenD.
FETCHED: Final = f"(push_type_id <> 0 OR push_data_type = {MADE_GOOD})"

_BETWEEN = "SELECT seq FROM ticks WHERE symbol = ? AND seq BETWEEN ? AND ? ORDER BY seq"
_HOW_IT_CAME = (
    "SELECT recv_ts_ms, push_type_id, push_data_type FROM ticks WHERE symbol = ? AND seq > ? AND seq < ? "
    "ORDER BY recv_ts_ms DESC, seq DESC LIMIT 1"
)
_OPEN_BY_ORDINALS = (
    "SELECT resumed_ms, cause, before_seq, after_seq FROM gaps WHERE symbol = ? AND state = 'open' "
    "AND evidence = 'ordinals' AND after_seq IS NOT NULL"
)
_OPEN_BY_TOTALS = (
    "SELECT resumed_ms, cause, ifnull(before_seq, 0), ifnull(after_seq, (end_ms / 1000 + 1) << 32), missing_volume, "
    "found_ms, ifnull(end_ms, found_ms), merged_volume FROM gaps "
    "WHERE symbol = ? AND state = 'open' AND evidence = 'totals' AND missing_volume NOT NULL ORDER BY 3, 1"
)
# What came into a gap since it was found: ticks that were fetched; fetched ticks with a made-up sequence, which has no
# order, by the time of the trade; and the shares that a revision has more than its stored tick, keyed by -seq.
_CAME = f"""
SELECT seq, volume FROM ticks
WHERE symbol = :symbol AND seq > :begin AND seq < :end AND recv_ts_ms > :found AND {FETCHED}
UNION ALL
SELECT seq, volume FROM ticks
WHERE symbol = :symbol AND seq < 0 AND ts_ms >= (:begin >> 32) * 1000 AND ts_ms <= :end_ms
  AND recv_ts_ms > :found AND {FETCHED}
UNION ALL
SELECT -r.seq, max(r.volume) - t.volume FROM tick_revisions AS r JOIN ticks AS t USING (symbol, seq)
WHERE r.symbol = :symbol AND r.seq > :begin AND r.seq < :end AND r.recv_ts_ms > :found
GROUP BY r.seq HAVING max(r.volume) > t.volume"""  # noqa: S608 - an expression of ours
_FILL = (
    "UPDATE gaps SET state = 'filled', filled_ms = ?, filled_by = ? WHERE symbol = ? AND resumed_ms = ? AND cause = ? "
    "RETURNING symbol, cause, session, missing, missing_volume, evidence, filled_by"
)
REVISED: Final = "revision"


class OpenGap(NamedTuple):
    """An open gap by totals, between the sequences `begin` and `end`, both exclusive."""

    resumed_ms: int
    cause: str
    begin: int
    end: int
    missing_volume: int
    found_ms: int
    end_ms: int
    merged_volume: int


class Group(NamedTuple):
    """Open gaps by totals that overlap: it is not known which of them a tick belongs to, so they are filled together.

    Attributes:
        gaps: the gaps.
        missing: the shares that were missing in them when they were found.
        came: the shares that came into them since, or that another recorder's database had (`merge`).
    """

    gaps: tuple[OpenGap, ...]
    missing: int
    came: int

    @property
    def rest(self) -> int:
        """The shares that are still missing."""
        return max(0, self.missing - self.came)


def open_groups(con: apsw.Connection, symbol: str) -> list[Group]:
    """The open gaps by totals of a symbol, grouped where they overlap."""
    gaps = [OpenGap(*row) for row in con.execute(_OPEN_BY_TOTALS, (symbol,))]
    groups: list[Group] = []
    while gaps:
        some = [gaps.pop(0)]
        while gaps and gaps[0].begin + 1 < max(gap.end for gap in some):  # a sequence can be in both
            some.append(gaps.pop(0))
        came: dict[int, int] = {}  # by sequence: a tick that is in several gaps counts once
        rows: Any
        for gap in some:
            bounds = {
                "symbol": symbol, "begin": gap.begin, "end": gap.end, "end_ms": gap.end_ms, "found": gap.found_ms,
            }  # fmt: skip
            rows = con.execute(_CAME, bounds)
            came.update(rows)
        merged = sum(gap.merged_volume for gap in some)
        groups.append(Group(tuple(some), sum(gap.missing_volume for gap in some), sum(came.values()) + merged))
    return groups


def fill(con: apsw.Connection, day: str, symbols: Iterable[str]) -> list[News]:
    """Mark the gaps of these symbols in which no ordinal is missing any more; for symbols whose ticks came late."""
    return [news for symbol in symbols for news in fill_by_ordinals(con, day, symbol)]


def fill_by_ordinals(con: apsw.Connection, day: str, symbol: str) -> list[News]:
    """Mark the gaps of a symbol in which no ordinal is missing any more."""
    news = []
    gaps: list[tuple[Any, ...]] = con.execute(_OPEN_BY_ORDINALS, (symbol,)).fetchall()
    for resumed_ms, cause, before_seq, after_seq in gaps:
        between: list[tuple[Any, ...]] = con.execute(_BETWEEN, (symbol, before_seq, after_seq)).fetchall()
        if not holes_in([seq for (seq,) in between]):
            came_ms, how = how_it_came(con, symbol, before_seq, after_seq)
            news.append(mark_filled(con, day, (symbol, resumed_ms, cause), came_ms, how))
    return news


def fill_by_totals(
    con: apsw.Connection, day: str, symbol: str, groups: Sequence[Group], most: int, seen_ms: int
) -> list[News]:
    """Mark a group of gaps as filled if as much came into it as was missing, and the exchange's totals agree.

    Args:
        con: the day's.
        day: YYYYMMDD.
        symbol: whose.
        groups: its open gaps by totals.
        most: at most this many shares are missing, by two snapshots in a row.
        seen_ms: `most` covers the trades made before this, by the exchange's time.
    """
    news = []
    for group in groups:
        # If no more is missing than the other groups lack, then nothing is missing in this one. The snapshots must have
        # counted the trades of all its gaps, or they say nothing about it.
        others = sum(other.rest for other in groups if other is not group)
        if group.came < group.missing or most > others or any(gap.end_ms >= seen_ms for gap in group.gaps):
            continue
        begin, end = group.gaps[0].begin, max(gap.end for gap in group.gaps)
        came_ms, how = how_it_came(con, symbol, begin, end)
        for gap in group.gaps:
            if came_ms is None or came_ms <= gap.found_ms:  # no tick came since: a revision brought the shares
                came_ms, how = gap.found_ms, REVISED
            news.append(mark_filled(con, day, (symbol, gap.resumed_ms, gap.cause), came_ms, how))
    return news


def mark_filled(con: apsw.Connection, day: str, key: tuple[str, int, str], at_ms: int | None, how: str | None) -> News:
    """Mark the gap with this key (symbol, `resumed_ms`, cause) as filled."""
    rows: list[tuple[Any, ...]] = con.execute(_FILL, (at_ms, how, *key)).fetchall()
    return News(day, *rows[0])


def how_it_came(con: apsw.Connection, symbol: str, before_seq: int, after_seq: int) -> tuple[int | None, str | None]:
    """When the last of the ticks between these sequences came, and how; None, None: there is no tick between."""
    rows: list[tuple[Any, ...]] = con.execute(_HOW_IT_CAME, (symbol, before_seq, min(after_seq, INT64_MAX))).fetchall()
    if not rows:
        return None, None
    came_ms, push_type, data_type = rows[0]
    return came_ms, "made good" if data_type == MADE_GOOD else PUSH_TYPES.get(push_type, str(push_type))
