"""Reads what the page draws of each symbol of a day: ticks per minute, and the times that are in doubt."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, NamedTuple

import apsw

from hk_tick_collector.errors import DatabaseError
from hk_tick_collector.parquet.opening import read_day

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping
    from pathlib import Path

MINUTE_MS = 60_000

# Minutes since 1970 UTC begin when Hong Kong's minutes do.
_TICKS = "SELECT symbol, ts_ms / 60000 AS minute, count(*) FROM ticks GROUP BY symbol, minute"
_DOUBTS = "SELECT symbol, cause, since_ms, before_ts_ms, resumed_ms FROM doubts ORDER BY symbol, resumed_ms"

# A recorder that was killed can't say since when it was gone: the last tick before is the last sign of it.
_STARTS = "SELECT resumed_ms FROM outages WHERE since_ms IS NULL ORDER BY resumed_ms LIMIT 20"
_LAST_RECEIVED = "SELECT max(recv_ts_ms) FROM ticks WHERE recv_ts_ms < ?"


class Doubt(NamedTuple):
    """A time in which something may be missing, as in `doubts`; times in UTC epoch ms, None: not known."""

    cause: str
    since_ms: int | None
    before_ts_ms: int | None
    resumed_ms: int


class Activity(NamedTuple):
    """Ticks and doubts, by symbol.

    Attributes:
        ticks: number of ticks by minutes since 1970, without empty minutes.
        doubts: the rows of `doubts`.
        received: for outages of unknown beginning, by their end: when the last tick before was received, UTC epoch ms.
    """

    ticks: dict[str, dict[int, int]]
    doubts: dict[str, list[Doubt]]
    received: Mapping[int, int] = MappingProxyType({})


def read_activity(path: Path, symbols: Collection[str]) -> Activity:
    """Read the activity of these symbols from a day, which is not changed; a recorder may be writing to it.

    Raises:
        DatabaseError: it can't be read.
    """
    try:
        return read_day(path, lambda con: _read(con, symbols))
    except (apsw.Error, OSError) as exc:
        raise DatabaseError(f"{path} can't be read: {exc}") from exc


def _read(con: apsw.Connection, symbols: Collection[str]) -> Activity:
    ends = [ms for (ms,) in con.execute(_STARTS)]
    received = {ms: last for ms in ends if (last := con.execute(_LAST_RECEIVED, (ms,)).get) is not None}
    activity = Activity({}, {}, received)
    for symbol, minute, count in con.execute(_TICKS):
        if symbol in symbols:
            activity.ticks.setdefault(symbol, {})[minute] = count
    for symbol, *doubt in con.execute(_DOUBTS):
        if symbol in symbols:
            activity.doubts.setdefault(symbol, []).append(Doubt(*doubt))
    return activity
