"""What happened when, of each symbol of a day: ticks a minute, and the times that are in doubt. For the page."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import apsw

from hk_tick_collector.errors import DatabaseError
from hk_tick_collector.store.opening import read_untouched

if TYPE_CHECKING:
    from collections.abc import Collection
    from pathlib import Path

MINUTE_MS = 60_000

# By whole minutes since 1970, which are Hong Kong's as well.
_TICKS = "SELECT symbol, ts_ms / 60000 AS minute, count(*) FROM ticks GROUP BY symbol, minute"
_DOUBTS = "SELECT symbol, cause, since_ms, before_ts_ms, resumed_ms FROM doubts ORDER BY symbol, resumed_ms"


class Doubt(NamedTuple):
    """A time of which it is not proven whether anything is missing; times in UTC epoch ms, None: not known."""

    cause: str
    since_ms: int | None
    before_ts_ms: int | None
    resumed_ms: int


class Activity(NamedTuple):
    """By symbol.

    Attributes:
        ticks: how many, by minutes since 1970; no minute without any.
        doubts: as in the table of that name.
    """

    ticks: dict[str, dict[int, int]]
    doubts: dict[str, list[Doubt]]


def read_activity(path: Path, symbols: Collection[str]) -> Activity:
    """Of these symbols, in a day database, which is left as it is; a recorder may be writing to it.

    Raises:
        DatabaseError: it can't be read.
    """
    try:
        return read_untouched(path, lambda con: _read(con, symbols))
    except (apsw.Error, OSError) as exc:
        raise DatabaseError(f"{path} can't be read: {exc}") from exc


def _read(con: apsw.Connection, symbols: Collection[str]) -> Activity:
    activity = Activity({}, {})
    for symbol, minute, count in con.execute(_TICKS):
        if symbol in symbols:
            activity.ticks.setdefault(symbol, {})[minute] = count
    for symbol, *doubt in con.execute(_DOUBTS):
        if symbol in symbols:
            activity.doubts.setdefault(symbol, []).append(Doubt(*doubt))
    return activity
