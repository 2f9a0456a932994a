"""A wall clock for the processes of a test that says Friday morning in Hong Kong, whenever the test is run."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Final

from hk_tick_collector.hktime import parse_time

DAY: Final = "20261120"
_BEGIN_MS: Final = parse_time("2026-11-20 10:00:00").ms


def clock_of(begin_ms: int = _BEGIN_MS) -> dict[str, str]:
    """Variables for a process whose clock says `begin_ms` now; all processes of a test must share them."""
    return {**_path(), "CLOCK_SHIFT_SEC": str(_shift_sec(begin_ms))}


class JumpingClock:
    """A clock that goes as clocks do, until it is set: then it says so in all processes of a test at once.

    Attributes:
        env: what a process must have in its environment to go by it.
    """

    def __init__(self, directory: Path, begin: str = "2026-11-20 10:00:00") -> None:
        """It says `begin` (Hong Kong time) now; `directory` is where it is kept."""
        self._path = directory / "clock.txt"
        self._shift_sec = 0
        self.env = {**_path(), "CLOCK_FILE": str(self._path)}
        self.jump_to(begin)

    def jump_to(self, when: str) -> None:
        """It says `when` (Hong Kong time) from now on."""
        self._set(_shift_sec(parse_time(when).ms))

    def step(self, sec: int) -> None:
        """It is set forward by so much, or back."""
        self._set(self._shift_sec + sec)

    def _set(self, shift_sec: int) -> None:
        self._shift_sec = shift_sec
        temporary = self._path.with_suffix(".tmp")
        temporary.write_text(str(self._shift_sec))
        temporary.replace(self._path)
        time.sleep(0.01)  # until every process has looked

    @property
    def now_ms(self) -> int:
        """What it says, UTC epoch ms."""
        return time.time_ns() // 1_000_000 + self._shift_sec * 1000


def _path() -> dict[str, str]:
    before = os.environ.get("PYTHONPATH")
    path = str(Path(__file__).parent / "clock")
    return {"PYTHONPATH": f"{path}{os.pathsep}{before}" if before else path}


def _shift_sec(begin_ms: int) -> int:
    return begin_ms // 1000 - int(time.time())
