"""Found by every Python that has this directory in its PYTHONPATH: a wall clock that is shifted by CLOCK_SHIFT_SEC.

So a test is in Hong Kong's trading time at whatever hour it is run. The monotonic clock, files and the network are not
touched.
"""

import os
import time

SHIFT_NS = int(os.environ.get("CLOCK_SHIFT_SEC", "0")) * 1_000_000_000

_time_ns = time.time_ns


def _shifted_ns() -> int:
    return _time_ns() + SHIFT_NS


time.time_ns = _shifted_ns
time.time = lambda: _shifted_ns() / 1e9
