"""What a recorder says of itself in `recorder.json`, when all is well; for those who read it."""

from __future__ import annotations

import copy
from datetime import datetime
from typing import Any, Final

from hk_tick_collector.hktime import HK

FRIDAY: Final = "2026-11-20"
MORNING: Final = {"state": "MORNING", "is_open": True, "source": "opend"}


def hk_ms(day: str, clock: str) -> int:
    """UTC epoch ms of a Hong Kong day and clock time."""
    return round(datetime.fromisoformat(f"{day}T{clock}").replace(tzinfo=HK).timestamp() * 1000)


def _writer(at_ms: int) -> dict[str, Any]:
    return {
        "pid": 4712,
        "lag_ms": 80,
        "last_exception": None,
        "last_exception_age_sec": None,
        "last_alive_age_sec": 0.2,
        "last_dequeue_age_sec": 0.2,
        "last_commit_age_sec": 0.2,
        "wal_bytes": 16_000_000,
        "wal_held_sec": 0.0,
        "days_waiting": 0,
        "waits": [],
        "max_ts_ms": at_ms - 1000,
        "recoveries": 0,
        "deaths": 0,
        "rows_recent": 4_500,
        "bad_recent": 0,
        "rows": 520_000,
        "inserted": 501_000,
        "duplicates": 18_990,
        "revisions": 7,
        "bad": 3,
        "corrected": 2,
        "commits": 60_000,
        "errors": 0,
        "damages": 0,
        "gaps": 10,
        "gaps_filled": 9,
        "premises_failed": 0,
        "drifted_recent": 0,
        "drifted": 0,
        "written_by_others_recent": 0,
        "written_by_others": 0,
        "away": 0,
        "extra": 8,
    }


def healthy_state(day: str = FRIDAY, clock: str = "10:00:00", **changes: Any) -> dict[str, Any]:  # noqa: ANN401 - JSON
    """The description on a busy morning, changed: of a part only the keys that are given, `market` as a whole."""
    state: dict[str, Any] = {
        "running": True,
        "pid": 4711,
        "version": "9.9",
        "instance": "one",
        "started_ms": hk_ms(day, clock) - 7_200_000,
        "at_ms": hk_ms(day, clock),
        "uptime_sec": 7200.0,
        "frames": 500_000,
        "bytes_received": 60_000_000,
        "market": MORNING,
        "session": {
            "connected": True,
            "session": 7,
            "since_ms": hk_ms(day, clock) - 7_200_000,
            "opend_version": 1011,
            "qot_logined": True,
            "clock_offset_ms": 120,
            "subscribed": 900,
            "refused": {},
            "left_out": [],
            "connects": 1,
            "disconnects": 0,
            "last_disconnect": None,
            "down_sec": None,
            "backfills": 1,
            "backfill_n": 1000,
            "poll_cycles": 235,
            "polls_failed": 0,
            "totals_failed": 0,
            "unanswered": {},
            "last_heard_age_sec": 0.1,
            "last_push_age_sec": 0.1,
            "resubscribes": 0,
        },
        "outage": None,
        "lost_today": None,
        "journal": {"buffered_bytes": 0, "is_full": False, "fault": None, "backlog_bytes": 900, "backlog_rows": 6},
        "disk": {
            "fault": None,
            "unsaved": None,
            "file_system": "ext4",
            "free_bytes": 75e9,
            "bytes_a_day": 1_250_000_000,
            "days_left": 60.0,
        },
        "writer": _writer(hk_ms(day, clock)),
        "watchdog": {"is_stalled": False, "stalls": 0, "recoveries_failed": 0, "last_reason": None},
    }
    for name, change in changes.items():
        state[name] = {**(state[name] or {}), **change} if isinstance(change, dict) and name != "market" else change
    return copy.deepcopy(state)
