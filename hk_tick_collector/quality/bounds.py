"""How much is missing by the exchange's totals: at least, and at most.

Totals and pushes reach us by two ways. Nobody knows which of them is ahead, but it is by less than a moment
(`CALM_MS`, or what is between two snapshots): while ticks come, the exchange's volume less ours is off by what is under
way. So it is read from two sides. What the exchange had counted has come a moment later, or is missing; and what had
come a moment before is counted, so that no more than the rest is missing. Where the two agree, it is exactly so much.
"""

from __future__ import annotations

from itertools import zip_longest
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from hk_tick_collector.quality.filling import FETCHED
from hk_tick_collector.quality.rows import TotalsRow
from hk_tick_collector.schema import INT64_MAX

if TYPE_CHECKING:
    import apsw

CALM_MS: Final = 3000
SHOWN_MIN: Final = 3  # snapshots in a row with the same difference, which an exact one has as well: it is no chance
LOOKS_MAX: Final = 20  # at what came behind a snapshot, for the end of one loss; behind the first that is much

# What was fetched may have been missing for longer than a moment: it counts as under way whenever it came.
_BEHIND = f"""
SELECT count(*), ifnull(sum(volume), 0),
  ifnull(sum(iif(recv_ts_ms <= ? OR {FETCHED}, volume, 0)), 0),
  ifnull(sum(iif(recv_ts_ms >= ?, volume, 0)), 0), ifnull(sum(recv_ts_ms >= ?), 0),
  ifnull(sum(iif({FETCHED}, volume, 0)), 0)
FROM ticks WHERE symbol = ? AND seq > ?"""  # noqa: S608 - an expression of ours
_ROWS = (
    "SELECT * FROM exchange_totals WHERE symbol = ? AND at_ms >= ? AND at_ms < ? AND our_last_seq > ? ORDER BY at_ms"
)
_LAST_ROWS = "SELECT * FROM exchange_totals WHERE symbol = ? ORDER BY at_ms DESC LIMIT ?"
_ROWS_BACK = "SELECT * FROM exchange_totals WHERE symbol = ? ORDER BY at_ms DESC"
_TICKS = f"SELECT volume, recv_ts_ms, {FETCHED} FROM ticks WHERE symbol = ? AND seq"  # noqa: S608 - likewise
_VOLUME_BETWEEN = "SELECT ifnull(sum(volume), 0) FROM ticks WHERE symbol = ? AND seq > ? AND seq <= ?"
_TICKS_BEFORE = _TICKS + " <= ? ORDER BY seq DESC"
_TICKS_BEHIND = _TICKS + " > ? ORDER BY seq"
_FIRST_BEHIND = f"""
SELECT seq, ts_ms FROM ticks WHERE symbol = ? AND seq > ? AND recv_ts_ms > ? AND NOT {FETCHED}
ORDER BY seq LIMIT 1"""  # noqa: S608 - likewise


class Bounds(NamedTuple):
    """What is missing at a snapshot, in shares.

    Attributes:
        least: what the snapshot before had counted, and what is not here.
        most: what this one has counted and was not here a moment ago.
        is_calm: nothing has come for a moment.
        late: what has come since that one, and not behind what had come then: that may fill a gap.
        fetched: what was fetched since that one, behind what had come then: likewise.
    """

    least: int
    most: int
    is_calm: bool
    late: int
    fetched: int


def calm_ms(before: TotalsRow | None, now: TotalsRow) -> int:
    """By how much totals and pushes may be apart, between two snapshots."""
    return CALM_MS if before is None else min(CALM_MS, now.at_ms - before.at_ms)


def bounds(con: apsw.Connection, before: TotalsRow | None, now: TotalsRow) -> Bounds:
    """What is missing at a snapshot, that is just being judged, by it and by one before; None: there is none."""
    before = before or TotalsRow(now.symbol, 0, 0, 0.0, 0, 0.0, 0, None, 0, None, 0)
    moment_ms = calm_ms(before, now)
    recent_ms = now.at_ms - moment_ms
    values = (before.at_ms + moment_ms, recent_ms, recent_ms, now.symbol, before.our_last_seq or 0)
    row: tuple[Any, ...] = con.execute(_BEHIND, values).fetchall()[0]
    rows, volume, under_way, recent, recent_rows, fetched = row
    # What came since and is not behind has come late: nobody looks when.
    late = now.our_volume - before.our_volume - volume
    late_rows = now.our_rows - before.our_rows - rows
    is_calm = not recent_rows and not late_rows
    return Bounds(before.difference - under_way - late, now.difference + recent + late, is_calm, late, fetched)


def last_rows(con: apsw.Connection, symbol: str, count: int) -> list[TotalsRow]:
    """The last snapshots of a symbol that are stored, the latest first."""
    return list(map(TotalsRow._make, con.execute(_LAST_ROWS, (symbol, count))))


def last_seq_shown(con: apsw.Connection, now: TotalsRow) -> int | None:
    """The last tick up to which nothing is unexplained, while ticks come: snapshots in a row show it.

    Only where none was behind the pushes lately: else what they had not counted yet may hide just as much that is lost.

    Args:
        con: the day's.
        now: the snapshot that is being judged, and what is explained then; it is not stored yet.
    """
    rows = [*reversed(last_rows(con, now.symbol, LOOKS_MAX)), now]
    shown = rows[-SHOWN_MIN:]
    is_behind = any(row.difference < row.settled for row in rows)
    if not is_behind and len(shown) == SHOWN_MIN and all(row.difference == row.settled == now.settled for row in shown):
        return shown[0].our_last_seq
    return rows[-2].settled_last_seq if len(rows) > 1 else None


class Loss(NamedTuple):
    """What is known of a loss when its volume is.

    Attributes:
        behind_seq: the last tick before all that is missing.
        since_ms: no snapshot before this one can have counted it.
        missing: the exchange's volume less ours behind it, in shares.
        volume: what of that is its own, in shares.
    """

    behind_seq: int
    since_ms: int
    missing: int
    volume: int


def end_of_loss(con: apsw.Connection, loss: Loss, last: TotalsRow, now: TotalsRow) -> tuple[int | None, int | None]:
    """The first tick, by `seq` and `ts_ms`, that is surely behind a loss; None, None: none has come yet.

    It came after a snapshot that had counted all that is missing. Some in a row that show the same difference as the
    exact one are taken for that as well, where none was ahead of the pushes, unless each may have been ahead by the
    same part of the loss: else nobody would know before noon where a loss in a busy symbol has ended.

    Args:
        con: the day's.
        loss: which.
        last: the snapshot before, which has counted all of it.
        now: the one that is being judged.
    """
    found: list[tuple[Any, ...]] = con.execute(
        _ROWS, (now.symbol, loss.since_ms, last.at_ms, loss.behind_seq)
    ).fetchall()
    moment_ms = calm_ms(last, now)
    rows = _less_late(con, [TotalsRow._make(row) for row in found], now)
    dips = [n for n, (_, shows) in enumerate(rows, 1) if shows < loss.missing]
    rows = rows[dips[-1] if dips else 0 :]  # what was shown before was another loss, that has come since
    is_ahead = any(shows > loss.missing for _, shows in rows)  # then some may show what is only under way
    looked = 0
    shown: list[set[int]] = []  # by what each that shows it may have been ahead
    for row, shows in rows:
        if shows == loss.missing and not is_ahead:
            ticks = con.execute(_TICKS_BEHIND, (row.symbol, row.our_last_seq or 0))
            shown.append(_sums(ticks, row.at_ms, row.at_ms + moment_ms, loss.volume))
        else:
            shown = []
        has_counted = len(shown) >= SHOWN_MIN and not set.intersection(*shown)
        if not has_counted and looked < LOOKS_MAX:
            looked += 1
            has_counted = bounds(con, row, now).least >= loss.missing
        if has_counted:
            last = row
            break
    ends: list[tuple[Any, ...]] = con.execute(
        _FIRST_BEHIND, (now.symbol, last.our_last_seq or 0, last.at_ms + moment_ms)
    ).fetchall()
    return ends[0] if ends else (None, None)


def _less_late(con: apsw.Connection, rows: list[TotalsRow], now: TotalsRow) -> list[tuple[TotalsRow, int]]:
    """Snapshots, the earliest first, with what was missing then and has not come late since, in shares."""
    found: list[tuple[TotalsRow, int]] = []
    behind = 0
    until_seq = INT64_MAX
    for row in reversed(rows):
        last_seq = row.our_last_seq or 0
        volumes: list[tuple[Any, ...]] = con.execute(_VOLUME_BETWEEN, (now.symbol, last_seq, until_seq)).fetchall()
        behind += volumes[0][0]
        until_seq = last_seq
        found.append((row, row.difference - (now.our_volume - row.our_volume - behind)))
    return found[::-1]


def begin_of_loss(con: apsw.Connection, symbol: str, seq: int | None, volume: int) -> int | None:
    """The last tick before a loss: nothing was unexplained up to it, by snapshots that can't have hidden a part of it.

    They would have if each was behind the pushes by the same, and just that was lost before.

    Args:
        con: the day's.
        symbol: whose.
        seq: the last tick up to which nothing was unexplained, as it was taken before the loss was known.
        volume: of the loss, in shares.
    """
    found: list[tuple[Any, ...]] = con.execute(_ROWS_BACK, (symbol,)).fetchall()
    rows = [TotalsRow._make(row) for row in found]
    shown: list[set[int]] = []  # by what each may have been behind, the latest first
    for row, before in zip_longest(rows, rows[1:]):
        if seq is None:
            break
        if row.difference == row.settled:
            ticks = con.execute(_TICKS_BEFORE, (symbol, row.our_last_seq))
            shown.append(_sums(ticks, row.at_ms - calm_ms(before, row), row.at_ms, volume))
        else:
            shown = []
        if row.our_last_seq == seq and shown and not set.intersection(*shown[-SHOWN_MIN:]):
            return seq
        if row.our_last_seq is not None and row.our_last_seq < seq:
            seq = row.settled_last_seq
    return None


def _sums(ticks: apsw.Cursor, since_ms: int, until_ms: int, most: int) -> set[int]:
    """The volumes of the first of these, of the first two, and so on, as far as they came within that moment."""
    sums: set[int] = set()
    sum_ = 0
    for volume, recv_ts_ms, is_fetched in ticks:  # a few: they are not read any further
        if since_ms <= recv_ts_ms <= until_ms:
            sum_ += volume
        elif not is_fetched:
            break
        if sum_ > most:
            break
        if sum_:
            sums.add(sum_)
    return sums
