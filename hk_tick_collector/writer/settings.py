"""The writer's settings. The recorder passes them to the writer as JSON, on the command line."""

from __future__ import annotations

from typing import NamedTuple

from hk_tick_collector.store.wal import PACE_SEC_MAX


class WriterSettings(NamedTuple):
    """The writer's settings; passed to its process as JSON."""

    data_root: str
    batch_size: int = 20_000
    max_wait_ms: int = 100
    busy_timeout_ms: int = 5000
    synchronous: str = "FULL"
    wal_autocheckpoint_pages: int = 4000
    retry_max_attempts: int = 0
    retry_backoff_sec: float = 0.5
    retry_backoff_max_sec: float = 10.0
    drift_warn_sec: float = 120.0
    log_level: str = "INFO"
    past_root: str = ""  # where earlier days' databases are, for reading only; "": in data_root
    pace_sec_max: float = PACE_SEC_MAX  # the watchdog would take a later commit for a stall
    days_wait: bool = True  # a day that can't be written does not block other days
    is_careful: bool = False  # writers died without storing anything: find the record that kills them
