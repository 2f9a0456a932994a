"""The writer's settings. The recorder passes them to the writer as JSON, on the command line.

The operator's settings have no default here: `config` holds those, and `wiring` passes them on.
"""

from __future__ import annotations

from typing import NamedTuple


class WriterSettings(NamedTuple):
    """The writer's settings; passed to its process as JSON."""

    data_root: str
    batch_size: int
    max_wait_ms: int
    busy_timeout_ms: int
    synchronous: str
    wal_autocheckpoint_pages: int
    retry_max_attempts: int
    retry_backoff_sec: float
    retry_backoff_max_sec: float
    drift_warn_sec: float
    log_level: str
    pace_sec_max: float  # the watchdog would take a later commit for a stall
    past_root: str = ""  # where earlier days' databases are, for reading only; "": in data_root
    days_wait: bool = True  # a day that can't be written does not block other days
    is_careful: bool = False  # writers died without storing anything: find the record that kills them
