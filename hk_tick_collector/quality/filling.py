"""Gaps that are filled by what came late: when, and by what.

Owns the mark on a gap, which is all that is ever changed of one. Never decides that ticks are missing, never commits.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from hk_tick_collector.batch import News
from hk_tick_collector.quality.continuity import hole_in
from hk_tick_collector.schema import INT64_MAX, PUSH_TYPES

if TYPE_CHECKING:
    from collections.abc import Iterable

    import apsw

MADE_GOOD: Final = 2  # push_data_type of what OpenD made good
# It did not come as it was traded.
FETCHED: Final = f"(push_type_id <> 0 OR push_data_type = {MADE_GOOD})"

BETWEEN = "SELECT seq FROM ticks WHERE symbol = ? AND seq BETWEEN ? AND ? ORDER BY seq"
_HOW_IT_CAME = (
    "SELECT recv_ts_ms, push_type_id, push_data_type FROM ticks WHERE symbol = ? AND seq > ? AND seq < ? "
    "ORDER BY recv_ts_ms DESC, seq DESC LIMIT 1"
)
_OPEN_BY_ORDINALS = (
    "SELECT resumed_ms, cause, before_seq, after_seq FROM gaps WHERE symbol = ? AND state = 'open' "
    "AND evidence = 'ordinals' AND after_seq IS NOT NULL"
)
# Where what comes late into a gap ends. By ordinals, where the gap does. By totals, with the first tick behind the last
# that was there when it was found which has come as it should, or which the exchange need not have counted by then, as
# it was traded less than a moment before.
_UNCOUNTED_MS: Final = 4000  # that moment, and the second by which a published time may be too early
# The snapshot by which a gap was found, within a statement on `gaps`.
FOUND_BY: Final = (
    "FROM exchange_totals AS t WHERE t.symbol = gaps.symbol AND t.at_ms <= found_ms ORDER BY t.at_ms DESC LIMIT 1"
)
END: Final = f"""
CASE WHEN evidence = 'ordinals' THEN ifnull(after_seq, {INT64_MAX})
WHEN (SELECT our_last_seq {FOUND_BY}) NOT NULL THEN min(ifnull(after_seq, {INT64_MAX}), ifnull(
  (SELECT seq FROM ticks AS k WHERE k.symbol = gaps.symbol AND k.seq > (SELECT our_last_seq {FOUND_BY})
   AND (NOT {FETCHED} OR ts_ms > (SELECT until_ms {FOUND_BY}) - {_UNCOUNTED_MS})
   ORDER BY seq LIMIT 1), {INT64_MAX})) END"""  # noqa: S608 - numbers of ours
# With those by totals that were filled after the first of the open ones was found: what has come into them is theirs.
_OPEN = f"""
SELECT resumed_ms, cause, ifnull(before_seq, 0) AS begin, {END} AS end, missing_volume, evidence, found_ms, state
FROM gaps WHERE symbol = :symbol AND end NOT NULL AND (state = 'open' OR evidence = 'totals' AND filled_ms >
  (SELECT min(found_ms) FROM gaps WHERE symbol = :symbol AND state = 'open'))
ORDER BY begin"""  # noqa: S608 - ours
_CAME = "SELECT seq, volume FROM ticks WHERE symbol = ? AND seq > ? AND seq < ? AND recv_ts_ms > ?"
_FILL = (
    "UPDATE gaps SET state = 'filled', filled_ms = ?, filled_by = ? WHERE symbol = ? AND resumed_ms = ? AND cause = ? "
    "RETURNING symbol, cause, session, missing, missing_volume, evidence, filled_by"
)


def fill(con: apsw.Connection, day: str, symbols: Iterable[str]) -> list[News]:
    """After ticks of these came late: mark the gaps in whose ordinals, or of whose volume, none is missing any more."""
    news = []
    for symbol in symbols:
        news += fill_by_ordinals(con, day, symbol)
        news += _fill_by_volume(con, day, symbol)
    return news


def _fill_by_volume(con: apsw.Connection, day: str, symbol: str) -> list[News]:
    """Mark the gaps into which exactly the volume has come that is missing in them.

    Where gaps overlap nobody knows into which of them a tick has come: then all of them are filled, or none.
    """
    news: list[News] = []
    gaps: list[tuple[Any, ...]] = con.execute(_OPEN, {"symbol": symbol}).fetchall()
    while gaps:
        group = [gaps.pop(0)]
        end = group[0][3]
        while gaps and gaps[0][2] + 1 < end:  # there is a sequence that is in both
            group.append(gaps.pop(0))
            end = max(end, group[-1][3])
        volumes = [volume for *_, volume, evidence, _, _ in group if evidence == "totals" and volume is not None]
        if len(volumes) < len(group):
            continue
        came: set[tuple[Any, ...]] = set()
        for _, _, begin, its_end, *_, found_ms, _ in group:
            came.update(con.execute(_CAME, (symbol, begin, its_end, found_ms)).fetchall())
        if sum(volume for _, volume in came) == sum(volumes):
            for resumed_ms, cause in [gap[:2] for gap in group if gap[-1] == "open"]:
                came_ms, how = how_it_came(con, symbol, group[0][2], end)
                news.append(mark_filled(con, day, (symbol, resumed_ms, cause), came_ms, how))
    return news


def fill_by_ordinals(con: apsw.Connection, day: str, symbol: str) -> list[News]:
    """Mark the gaps of a symbol in whose ordinals none is missing any more, whenever that came."""
    news = []
    gaps: list[tuple[Any, ...]] = con.execute(_OPEN_BY_ORDINALS, (symbol,)).fetchall()
    for resumed_ms, cause, before_seq, after_seq in gaps:
        between: list[tuple[Any, ...]] = con.execute(BETWEEN, (symbol, before_seq, after_seq)).fetchall()
        if hole_in([seq for (seq,) in between]) is None:
            came_ms, how = how_it_came(con, symbol, before_seq, after_seq)
            news.append(mark_filled(con, day, (symbol, resumed_ms, cause), came_ms, how))
    return news


def mark_filled(con: apsw.Connection, day: str, key: tuple[str, int, str], at_ms: int | None, how: str | None) -> News:
    """Mark a gap, by its key, as filled."""
    rows: list[tuple[Any, ...]] = con.execute(_FILL, (at_ms, how, *key)).fetchall()
    return News(day, *rows[0])


def how_it_came(con: apsw.Connection, symbol: str, before_seq: int, after_seq: int) -> tuple[int | None, str | None]:
    """When and by what the last of the ticks between these came."""
    rows: list[tuple[Any, ...]] = con.execute(_HOW_IT_CAME, (symbol, before_seq, after_seq)).fetchall()
    if not rows:
        return None, None
    came_ms, push_type, data_type = rows[0]
    return came_ms, "made good" if data_type == MADE_GOOD else PUSH_TYPES.get(push_type, str(push_type))
