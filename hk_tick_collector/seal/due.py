"""Which days are to be sealed. Owns when a day is over."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

from hk_tick_collector.hktime import DAY_MS, parse_time
from hk_tick_collector.journal.cursor import load_waits, waits_for
from hk_tick_collector.journal.segments import DIRECTORY
from hk_tick_collector.store.data_root import read_recorder
from hk_tick_collector.store.schema import day_files
from hk_tick_collector.store.sealed import is_sealed, superseded

if TYPE_CHECKING:
    from pathlib import Path


DAYS_MAX: Final = 30
BUSY: Final = 3  # the exit code of the process that seals, where another one does


def next_day_ms(day: str) -> int:
    """When the next day begins in Hong Kong; from then on it can be sealed."""
    return parse_time(day + "000000").ms + DAY_MS


def now_ms(data_root: Path) -> int:
    """The host's clock; or OpenD's, as a running recorder tells it, where that one is earlier."""
    pid, state = read_recorder(data_root)
    session, host_ms = state.get("session"), time.time_ns() // 1_000_000
    offset_ms = session.get("clock_offset_ms") if pid is not None and isinstance(session, dict) else None
    if not isinstance(offset_ms, int):
        return host_ms
    told_ms = state.get("at_ms")  # some seconds ago: what OpenD's clock was then, no step of the host's has changed
    return min(host_ms, (told_ms if isinstance(told_ms, int) else host_ms) + offset_ms)


def due_days(data_root: Path, before_day: str, quiet_sec: float) -> list[str]:
    """Of the newest days those that are to be sealed, oldest first.

    Args:
        data_root: whose.
        before_day: YYYYMMDD; the days before it are over.
        quiet_sec: for how long a day that was opened again is left so, since more may come.
    """
    over = [path for path in day_files(data_root) if path.stem < before_day]
    waits = load_waits(data_root / DIRECTORY)  # more is to be stored in these
    return [
        path.stem
        for path in over[-DAYS_MAX:]
        if not waits_for(waits, path.stem) and not is_sealed(path) and _is_quiet(path, quiet_sec)
    ]


def _is_quiet(database: Path, quiet_sec: float) -> bool:
    newest = list(superseded(database).values())[-1:]
    return all(time.time() - path.stat().st_ctime >= quiet_sec for path in newest)
