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
    before = os.environ.get("PYTHONPATH")
    path = str(Path(__file__).parent / "clock")
    return {
        "PYTHONPATH": f"{path}{os.pathsep}{before}" if before else path,
        "CLOCK_SHIFT_SEC": str(begin_ms // 1000 - int(time.time())),
    }
