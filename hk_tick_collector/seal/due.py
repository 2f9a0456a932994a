"""Which of the days that are over are to be sealed; the caller says which are over."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

from hk_tick_collector.clock import wall_ms
from hk_tick_collector.hktime import DAY_MS, day_begin_ms
from hk_tick_collector.journal.cursor import load_waits, waits_for
from hk_tick_collector.journal.segments import DIRECTORY
from hk_tick_collector.store import rehearsal
from hk_tick_collector.store.data_root import read_recorder
from hk_tick_collector.store.schema import day_files
from hk_tick_collector.store.sealed import is_sealed, superseded

if TYPE_CHECKING:
    from pathlib import Path


DAYS_MAX: Final = 30
BUSY: Final = 3  # exit code of the sealing process if another one is sealing


def next_day_ms(day: str) -> int:
    """When the next day begins in Hong Kong, UTC epoch ms; from then on `day` can be sealed."""
    return day_begin_ms(day) + DAY_MS


def now_ms(data_root: Path) -> int:
    """The earlier of the host's clock and OpenD's, which a running recorder reports; UTC epoch ms.

    A rehearsed day is over when its simulator has ended.
    """
    over_ms = rehearsal.over_ms(data_root)
    if over_ms is not None:
        return max(over_ms, wall_ms())
    pid, state = read_recorder(data_root)
    session, host_ms = state.get("session"), wall_ms()
    offset_ms = session.get("clock_offset_ms") if pid is not None and isinstance(session, dict) else None
    if not isinstance(offset_ms, int):
        return host_ms
    told_ms = state.get("at_ms")  # some seconds old; no later step of the host's clock affects it
    return min(host_ms, (told_ms if isinstance(told_ms, int) else host_ms) + offset_ms)


def due_days(data_root: Path, before_day: str, quiet_sec: float) -> list[str]:
    """The days to seal among the newest `DAYS_MAX` that are over, oldest first.

    Args:
        data_root: whose days.
        before_day: YYYYMMDD; the days before it are over.
        quiet_sec: how long a reopened day stays open, since more may come.
    """
    over = [path for path in day_files(data_root) if path.stem < before_day]
    waits = load_waits(data_root / DIRECTORY)  # more ticks are to be stored for these
    return [
        path.stem
        for path in over[-DAYS_MAX:]
        if not waits_for(waits, path.stem) and not is_sealed(path) and _is_quiet(path, quiet_sec)
    ]


def _is_quiet(database: Path, quiet_sec: float) -> bool:
    newest = list(superseded(database).values())[-1:]
    return all(time.time() - path.stat().st_ctime >= quiet_sec for path in newest)
