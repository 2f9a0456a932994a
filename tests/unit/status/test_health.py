"""The judgement: every state of a recorder that an operator may meet, and what is said of it."""

from __future__ import annotations

import copy
import json
import re
from typing import Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.recorder_state import FRIDAY, MORNING, healthy_state, hk_ms

from hk_tick_collector.status.findings import Verdict
from hk_tick_collector.status.health import Health, Machine, assess, assess_health
from hk_tick_collector.status.lost import Lost
from hk_tick_collector.status.state import RecorderState
from hk_tick_collector.status.trouble_table import cure
from hk_tick_collector.status.troubles import Trouble
from hk_tick_collector.typed_json import decode, encode

OK, DEGRADED, UNPROVEN, FAILING = Verdict.OK, Verdict.DEGRADED, Verdict.UNPROVEN, Verdict.FAILING

SUNDAY: Final = "2026-11-22"
REST: Final = {"state": "REST", "is_open": False, "source": "opend"}
CLOSED: Final = {"state": "CLOSED", "is_open": False, "source": "opend"}
HOUR: Final = 3600.0


def fresh(day: str = FRIDAY, clock: str = "10:00:00", **changes: Any) -> dict[str, Any]:  # noqa: ANN401
    """One that has just begun, is connected, and has seen nothing yet."""
    started = {
        "uptime_sec": changes.pop("uptime_sec", 100.0),
        "frames": 0,
        "session": {"last_push_age_sec": None, **changes.pop("session", {})},
        "writer": {"rows": 0, "lag_ms": None, "last_commit_age_sec": None, **changes.pop("writer", {})},
        "journal": {"backlog_bytes": 0, "backlog_rows": 0},
    }
    state = healthy_state(day, clock, **started, **changes)
    state["session"]["since_ms"] = state["at_ms"] - 99_000
    return state


NIGHT: Final = {
    "market": CLOSED,
    "session": {"last_push_age_sec": 11 * HOUR},
    "writer": {"last_commit_age_sec": 10 * HOUR, "last_dequeue_age_sec": 60.0},
    "journal": {"backlog_bytes": 0, "backlog_rows": 0},
    "uptime_sec": 20 * HOUR,
}


def down(sec: float, why: str | None = "connection refused", **more: Any) -> dict[str, Any]:  # noqa: ANN401
    """A session that is over since then."""
    return {
        "connected": False,
        "subscribed": 0,
        "down_sec": sec,
        "last_heard_age_sec": None,
        "last_disconnect": why,
        **more,
    }


def quiet(sec: float) -> dict[str, Any]:
    """A session without a push since then."""
    return {"last_push_age_sec": sec}


def after_quiet_time() -> dict[str, Any]:
    """The first tick after an hour and a half of nothing, a tenth of a second after it came."""
    return healthy_state(
        clock="13:00:01",
        market=REST,
        session={"last_push_age_sec": 0.1},
        writer={"last_commit_age_sec": 5400.0, "last_dequeue_age_sec": 119.0, "lag_ms": 90_000},
        journal={"backlog_bytes": 190, "backlog_rows": 1},
    )


HEALTHY: Final = {
    "a busy morning": healthy_state(),
    "a night": healthy_state(clock="03:00:00", **NIGHT),
    "a Sunday": healthy_state(SUNDAY, **NIGHT),
    "a holiday, by OpenD's word, at a trading hour": healthy_state(**NIGHT),
    "the afternoon of a half day": healthy_state(clock="14:00:00", **NIGHT),
    "lunch": healthy_state(clock="12:30:00", market=REST, session=quiet(1800.0)),
    "a minute into lunch, which OpenD has not been asked about yet": healthy_state(
        clock="12:02:00", session=quiet(120.0)
    ),
    "the opening auction": healthy_state(clock="09:19:00", **{**NIGHT, "market": {**MORNING, "state": "AUCTION"}}),
    "the closing auction": healthy_state(clock="16:07:00", market={**MORNING, "state": "HK_CAS"}, session=quiet(420.0)),
    "after the closing print, when OpenD says CLOSED": healthy_state(
        clock="16:08:20", market=CLOSED, session=quiet(0.5)
    ),
    "the first seconds of trading": healthy_state(clock="09:30:40", session=quiet(500.0)),
    "one tick after a quiet time": after_quiet_time(),
    "a burst after a quiet time": healthy_state(
        clock="13:00:01",
        writer={"last_commit_age_sec": 3600.0, "lag_ms": 90_000},
        journal={"backlog_bytes": 900_000, "backlog_rows": 6000},
    ),
    "some quiet symbols": healthy_state(uptime_sec=10_000.0, frames=25, session={"subscribed": 2, **quiet(3000.0)}),
    "a symbol that trades once a day": healthy_state(
        uptime_sec=3000.0, frames=1, session={"subscribed": 1, **quiet(2900.0)}
    ),
    "a fault that was healed long ago": healthy_state(
        writer={"last_exception": "disk I/O error", "last_exception_age_sec": 3600.0, "errors": 12}
    ),
    "an old fault, then a quiet night, then one tick": healthy_state(
        clock="03:00:00",
        **{
            **NIGHT,
            "writer": {"last_exception": "x", "last_exception_age_sec": 9 * HOUR, "last_commit_age_sec": 10 * HOUR},
            "journal": {"backlog_bytes": 190, "backlog_rows": 1},
        },
    ),
    "a fault of this moment, with nothing that waits": healthy_state(
        writer={"last_exception": "x", "last_exception_age_sec": 3.0, "last_commit_age_sec": 100.0},
        journal={"backlog_bytes": 0, "backlog_rows": 0},
    ),
    "an hour at which the recorder's own clock knows no trading": healthy_state(
        market={"state": None, "is_open": False, "source": "clock"}, session=quiet(1800.0)
    ),
    "a WAL that a backup held for a moment": healthy_state(writer={"wal_held_sec": 20.0, "wal_bytes": 90_000_000}),
    "a clock as exact as can be measured": healthy_state(session={"clock_offset_ms": -900}),
    "a great lag that is over": healthy_state(
        writer={"lag_ms": 60_000}, journal={"backlog_bytes": 0, "backlog_rows": 0}
    ),
    "an outage whose deadlines nobody knows": healthy_state(outage={"first_deadline_ms": None, "past": 0}),
    "a deadline that is none": healthy_state(outage={"first_deadline_ms": 10**18}),
    "fetched ticks in a fresh start at night": fresh(clock="03:00:00", market=CLOSED, writer={"rows": 9000}),
}


@pytest.mark.parametrize("name", HEALTHY)
def test_what_works_is_ok(name: str) -> None:
    """A quiet market is no fault, whatever the reason of its quiet, and nothing that is over is one."""
    assert assess_health(HEALTHY[name]) == Health(OK, ())


JUDGED: Final = {
    # ---- nobody there
    "no description": ({}, UNPROVEN, "no recorder state yet"),
    "stopped": (
        healthy_state(clock="16:40:00", running=False),
        FAILING,
        "no recorder is running: stopped cleanly at 2026-11-20 16:40:00 HK",
    ),
    "died": (
        healthy_state(clock="11:00:00", running=False, died=True),
        FAILING,
        "no recorder is running: did not stop cleanly, last heard of at 2026-11-20 11:00:00 HK",
    ),
    "stopped when told to, and not all stored": (
        healthy_state(running=False, stopped_ms=hk_ms(FRIDAY, "16:40:01"), stop_reason="SIGTERM", stored=False),
        FAILING,
        "no recorder is running: stopped cleanly at 2026-11-20 16:40:01 HK; the next start stores the rest",
    ),
    "given up": (
        healthy_state(running=False, stopped_ms=hk_ms(FRIDAY, "11:00:00"), stop_reason="fault", stored=True),
        FAILING,
        "no recorder is running: stopped by a fault at 2026-11-20 11:00:00 HK (fault)",
    ),
    # ---- the link
    "down in the morning": (
        healthy_state(session=down(42.0)),
        FAILING,
        "OpenD not connected for 42 s: connection refused",
    ),
    "reconnecting": (healthy_state(session=down(3.0)), DEGRADED, "OpenD not connected for 3 s: connection refused"),
    "down at night": (
        healthy_state(clock="03:00:00", **{**NIGHT, "session": {**down(4 * HOUR), **quiet(11 * HOUR)}}),
        DEGRADED,
        "OpenD not connected for 4.0 h: connection refused (market closed, OpenD says CLOSED)",
    ),
    "down on a Sunday, and nobody says what day it is": (
        healthy_state(SUNDAY, session={**down(42.0), **quiet(60 * HOUR)}, market={}),
        DEGRADED,
        "OpenD not connected for 42 s: connection refused (market closed)",
    ),
    "never up, in the morning": (
        fresh(session=down(100.0, None, connects=0)),
        FAILING,
        "OpenD not connected for 100 s: no answer yet",
    ),
    "never up, at night": (
        fresh(clock="03:00:00", market={"is_open": False, "source": "clock"}, session=down(100.0, connects=0)),
        UNPROVEN,
        "OpenD not connected for 100 s: connection refused (market closed)",
    ),
    "just started, not up yet": (
        fresh(uptime_sec=2.0, session=down(2.0, None, connects=0)),
        UNPROVEN,
        "OpenD not connected for 2 s: no answer yet",
    ),
    "up and mute": (
        healthy_state(session={"last_heard_age_sec": 70.0}),
        FAILING,
        "connected, but OpenD has sent nothing for 70 s (no keep-alive reply either)",
    ),
    "not logged in, in the morning": (
        healthy_state(session={"qot_logined": False}),
        FAILING,
        "OpenD is not logged in to the quote server: no tick comes until it is",
    ),
    "not logged in, at night": (
        healthy_state(clock="03:00:00", **{**NIGHT, "session": {"qot_logined": False}}),
        DEGRADED,
        "OpenD is not logged in to the quote server: no tick comes until it is",
    ),
    "nothing subscribed yet": (
        healthy_state(session={"subscribed": 0, "since_ms": hk_ms(FRIDAY, "09:59:57")}),
        UNPROVEN,
        "OpenD is connected, and no symbol is subscribed yet",
    ),
    "nothing subscribed": (
        healthy_state(session={"subscribed": 0, "since_ms": hk_ms(FRIDAY, "09:58:00")}),
        FAILING,
        "no symbol is subscribed, 120 s after OpenD was connected",
    ),
    # ---- pushes
    "no push any more": (
        healthy_state(session=quiet(95.0)),
        FAILING,
        "no push for 95 s while the market is open",
    ),
    "no push since yesterday, and it is 09:32": (
        healthy_state(clock="09:32:00", session=quiet(17.5 * HOUR), uptime_sec=40 * HOUR),
        FAILING,
        "no push for 120 s while the market is open",
    ),
    "a simulated morning, at night": (
        healthy_state(clock="22:00:00", session=quiet(95.0)),
        FAILING,
        "no push for 95 s while the market is open",
    ),
    "no push, and OpenD does not say what day it is": (
        healthy_state(market={"state": None, "is_open": True, "source": "clock"}, session=quiet(200.0)),
        UNPROVEN,
        "no push for 200 s; it is trading time, but OpenD has not said that it trades",
    ),
    "a start in the morning": (
        fresh(writer={"rows": 9000}, uptime_sec=20.0),
        UNPROVEN,
        "no push since the start while the market is open: no evidence yet",
    ),
    "a start in the morning with some quiet symbols": (
        fresh(writer={"rows": 9000}, uptime_sec=900.0, session={"subscribed": 2}),
        UNPROVEN,
        "no push since the start while the market is open: no evidence yet",
    ),
    "a start in the morning with many symbols": (
        fresh(writer={"rows": 9000}),
        FAILING,
        "no push since the start while the market is open, 100 s ago, on any of 900 symbols",
    ),
    "fetched ticks, and no pushes": (
        fresh(writer={"rows": 9000}, session={"subscribed": 2, "resubscribes": 1}),
        FAILING,
        "no push since the start while the market is open, though fetched ticks show trades",
    ),
    # ---- evidence
    "a start at night that fetched nothing": (
        fresh(clock="03:00:00", market=CLOSED),
        UNPROVEN,
        "link up, but no tick has come since the start: no evidence yet (market closed, OpenD says CLOSED)",
    ),
    "ticks, and no row": (
        healthy_state(writer={"rows": 0}),
        UNPROVEN,
        "ticks are arriving but none is stored yet",
    ),
    # ---- the journal
    "a full journal": (
        healthy_state(journal={"is_full": True, "fault": "No space left on device", "buffered_bytes": 67_108_864}),
        FAILING,
        (
            "journal full: No space left on device; 67.1 MB held in memory, and nothing is read from OpenD; "
            "the disk has 75 GB free, a trading day needs 1,250 MB"
        ),
    ),
    "a disk that takes nothing": (
        healthy_state(journal={"fault": "No space left on device", "buffered_bytes": 1_200_000}),
        FAILING,
        (
            "journal can't be written: No space left on device; 1.2 MB held in memory; "
            "the disk has 75 GB free, a trading day needs 1,250 MB"
        ),
    ),
    # ---- the writer
    "locked": (
        healthy_state(
            writer={
                "last_exception": "database is locked",
                "last_exception_age_sec": 3.0,
                "last_commit_age_sec": 61.0,
                "errors": 12,
            },
            journal={"backlog_bytes": 500_000, "backlog_rows": 3400},
        ),
        FAILING,
        "writer: database is locked (12 failures), 3,400 rows waiting",
    ),
    "locked a moment ago": (
        healthy_state(
            writer={"last_exception": "database is locked", "last_exception_age_sec": 9.0, "last_commit_age_sec": 0.2}
        ),
        DEGRADED,
        "writer: database is locked (1 failure), 9 s ago; it stores again",
    ),
    "a writer that is gone mad": (
        healthy_state(writer={"last_alive_age_sec": 45.0}, journal={"backlog_rows": None, "backlog_bytes": 2_000_000}),
        FAILING,
        "writer (pid 4712): no sign of life for 45 s, 2.0 MB waiting",
    ),
    "stalled": (
        healthy_state(
            watchdog={"is_stalled": True, "last_reason": "no commit for 200 s", "recoveries_failed": 2},
            journal={"backlog_rows": 12_000},
        ),
        FAILING,
        "storing is stalled: no commit for 200 s (2 recoveries failed so far), 12,000 rows waiting",
    ),
    "behind": (
        healthy_state(writer={"lag_ms": 42_000}, journal={"backlog_rows": 90_000}),
        DEGRADED,
        "writer: 42 s behind, 90,000 rows waiting",
    ),
    "a reader holds the WAL": (
        healthy_state(writer={"wal_held_sec": 600.0, "wal_bytes": 300_000_000}),
        DEGRADED,
        "a long-running reader has blocked WAL truncation for 600 s, 300 MB",
    ),
    "a long name with a long reason is shown whole": (
        healthy_state(session={"refused": {"n" * 100: "r" * 150}}),
        DEGRADED,
        f"1 symbol refused: {'n' * 100} ({'r' * 150})",
    ),
    # ---- what is asked for besides the pushes
    "polls are not answered": (
        healthy_state(session={"polls_failed": 40, "poll_fault": "no answer within 15 s"}),
        DEGRADED,
        "40 polls in a row not answered (no answer within 15 s): a push that never comes is not found",
    ),
    "totals are not told": (
        healthy_state(session={"totals_failed": 4, "totals_fault": "too often"}),
        DEGRADED,
        "the exchange's totals not available 4 times in a row (too often): nothing proves what is stored",
    ),
    "its state is not told": (
        healthy_state(session={"unanswered": {"state": "too often"}}),
        DEGRADED,
        "OpenD does not say whether the market is open: the clock has to do (too often)",
    ),
    "trade dates are not told": (
        healthy_state(session={"unanswered": {"trade_dates": "no answer within 15 s"}}),
        DEGRADED,
        "OpenD does not say which days are trade dates: a half day is not known (no answer within 15 s)",
    ),
    # ---- what keeps ticks from being stored as ticks
    "writers that die": (
        healthy_state(writer={"deaths": 3}, journal={"backlog_rows": 800}),
        FAILING,
        "3 writers in a row ended by themselves, 800 rows waiting",
    ),
    "nothing can be read": (
        healthy_state(writer={"bad_recent": 300, "rows_recent": 300}),
        FAILING,
        "300 of 300 ticks of the last half minute can't be read",
    ),
    "some can't be read": (
        healthy_state(writer={"bad_recent": 2, "rows_recent": 3_000}),
        DEGRADED,
        "2 of 3,000 ticks of the last half minute can't be read",
    ),
    "ticks of another time": (
        healthy_state(writer={"drifted_recent": 3}),
        DEGRADED,
        "live ticks bear a time far from now",
    ),
    "another one writes": (
        healthy_state(writer={"written_by_others_recent": 1}),
        DEGRADED,
        "another program writes to a day's database",
    ),
    "DATA_ROOT is gone": (
        healthy_state(disk={"fault": "is gone"}),
        FAILING,
        "DATA_ROOT is gone",
    ),
    "it can't write about itself": (
        healthy_state(disk={"unsaved": "[Errno 28] No space left on device"}),
        FAILING,
        "recorder.json can't be written: [Errno 28] No space left on device",
    ),
    "the disk is another machine's": (
        healthy_state(disk={"file_system": "nfs4"}),
        DEGRADED,
        "DATA_ROOT is on nfs4, where databases can be damaged",
    ),
    "the disk lasts for some days": (
        healthy_state(disk={"free_bytes": 20e9, "bytes_a_day": 4_000_000_000, "days_left": 5.0}),
        DEGRADED,
        "disk: 20 GB left, for about 5 trading days at 4,000 MB a day",
    ),
    "the disk does not last for a day": (
        healthy_state(disk={"free_bytes": 3e9, "bytes_a_day": 4_000_000_000, "days_left": 0.8}),
        FAILING,
        "disk: 3,000 MB left, not even for a trading day at 4,000 MB a day",
    ),
    "the disk is nearly full": (
        healthy_state(disk={"free_bytes": 12_000_000, "bytes_a_day": None, "days_left": None}),
        FAILING,
        "disk nearly full; the disk has 12.0 MB free, needs 20.0 MB",
    ),
    "the disk is full": (
        healthy_state(disk={"free_bytes": 0, "bytes_a_day": None, "days_left": None, "mount": "/var/lib"}),
        FAILING,
        "disk full; /var/lib has 0.0 MB free, needs 20.0 MB",
    ),
    "kicked out": (
        healthy_state(session={"away": {"cause": "kicked_out", "since_ms": hk_ms(FRIDAY, "09:31:14")}}),
        FAILING,
        "another login took the quote right at 09:31:14 HK, so no tick comes",
    ),
    "kicked out at night": (
        healthy_state(
            clock="03:00:00",
            **{**NIGHT, "session": {**NIGHT["session"], "away": {"cause": "kicked_out", "since_ms": None}}},
        ),
        DEGRADED,
        "another login took the quote right, so no tick comes",
    ),
    "OpenD lost the exchange, and calls itself logged in": (
        healthy_state(session={"away": {"cause": "exchange_lost", "since_ms": hk_ms(FRIDAY, "09:31:14")}}),
        FAILING,
        "OpenD lost the exchange at 09:31:14 HK, and no tick comes",
    ),
    "OpenD lost the exchange, and says so": (
        healthy_state(session={"qot_logined": False, "away": {"cause": "exchange_lost", "since_ms": None}}),
        FAILING,
        "OpenD is not logged in to the quote server: no tick comes until it is",
    ),
    "no backfill": (
        healthy_state(session={"backfill_n": 0}),
        DEGRADED,
        "BACKFILL_N=0: every outage leaves a gap",
    ),
    "a past day waits": (
        healthy_state(writer={"days_waiting": 1, "waits": [{"day": "20261119", "reason": "CorruptError: malformed"}]}),
        DEGRADED,
        "20261119 waits, all other days are stored: CorruptError: malformed",
    ),
    "today waits": (
        healthy_state(writer={"waits": [{"day": "20261120", "is_today": True, "reason": "FullError: disk full"}]}),
        FAILING,
        "today is not stored: FullError: disk full",
    ),
    "the cursor is lost": (
        healthy_state(
            writer={
                "waits": [
                    {
                        "day": "before-20261120",
                        "is_catching_up": True,
                        "left_bytes": 850_000_000,
                        "reason": "the cursor is lost",
                    }
                ]
            }
        ),
        DEGRADED,
        "all before 20261120 is being caught up from the journal, 850 MB to go: the cursor is lost",
    ),
    "today is caught up": (
        healthy_state(
            writer={"waits": [{"day": "20261120", "is_today": True, "is_catching_up": True, "reason": "is gone"}]}
        ),
        FAILING,
        "today is being caught up from the journal: is gone",
    ),
    # ---- symbols and clock
    "refused": (
        healthy_state(
            session={"refused": {"HK.99999": "no such stock", "HK.88888": "no right", "HK.1": "?", "HK.2": "?"}}
        ),
        DEGRADED,
        "4 symbols refused: HK.99999 (no such stock), HK.88888 (no right), HK.1 (?) and 1 more",
    ),
    "one refused": (
        healthy_state(session={"refused": {"HK.99999": "no such\nstock"}}),
        DEGRADED,
        "1 symbol refused: HK.99999 (no such stock)",
    ),
    "left out": (
        healthy_state(session={"left_out": ["HK.00001", "HK.00005"]}),
        DEGRADED,
        "2 symbols without quota: HK.00001, HK.00005",
    ),
    "no writer ever": (
        healthy_state(writer={"last_alive_age_sec": None}, uptime_sec=75.0),
        FAILING,
        "writer: none has begun to store since the start, 6 rows waiting",
    ),
    "a clock that is late": (
        healthy_state(session={"clock_offset_ms": 5200}),
        DEGRADED,
        "clock 5.2 s behind OpenD's",
    ),
    "an outage that can be made good": (
        healthy_state(outage={"first_deadline_ms": hk_ms(FRIDAY, "10:03:10"), "past": 0}),
        DEGRADED,
        "estimated: everything missed can be recovered until 10:03:10 HK",
    ),
    "an outage that has lasted too long for one": (
        healthy_state(outage={"first_deadline_ms": 1, "past": 1, "past_symbols": ["HK.00\n700"]}),
        FAILING,
        "estimated: 1 symbol can no longer be fully recovered: HK.00 700",
    ),
    "what an outage has cost when the market has closed": (
        healthy_state(
            outage={"first_deadline_ms": 1, "past": 1, "past_symbols": ["A"]},
            market={"state": "CLOSED", "is_open": False, "source": "opend"},
        ),
        DEGRADED,
        "estimated: 1 symbol can no longer be fully recovered: A",
    ),
    "an outage that has lasted too long for many": (
        healthy_state(outage={"first_deadline_ms": 1, "past": 12, "past_symbols": ["A", "B", "C", "D"]}),
        FAILING,
        "estimated: 12 symbols can no longer be fully recovered: A, B, C and 9 more",
    ),
    "a clock that is early": (
        healthy_state(session={"clock_offset_ms": -5200}),
        DEGRADED,
        "clock 5.2 s ahead of OpenD's",
    ),
}


@pytest.mark.parametrize("name", JUDGED)
def test_what_does_not_work_is_told_in_one_reason(name: str) -> None:
    """Each state has its verdict, and one sentence that an operator can act on."""
    state, verdict, reason = JUDGED[name]
    health = assess_health(state)
    assert [(found.verdict, found.seen) for found in health.findings] == [(verdict, reason)]
    (finding,) = health.findings
    assert health == Health(verdict, (f"{reason}. {cure(finding.trouble)}",), "", (finding,))


def test_the_worst_is_the_verdict_and_comes_first() -> None:
    """All reasons are told, those that matter most in front."""
    health = assess_health(
        healthy_state(
            journal={"is_full": True, "buffered_bytes": 1},
            session={"refused": {"HK.99999": "no"}, "clock_offset_ms": 9000},
            writer={"rows": 0},
        )
    )
    assert health.verdict is FAILING
    assert [re.match(r"\S+ \S+", reason)[0] for reason in health.reasons] == [  # type: ignore[index]
        "journal full;",
        "ticks are",
        "1 symbol",
        "clock 9.0",
    ]


def test_what_was_lost_today_changes_no_verdict_and_is_told() -> None:
    """Nothing can be mended any more; whoever asks is told until the day is over."""
    lost = Lost(FRIDAY, 9, 7, 4253, 0, 0, hk_ms(FRIDAY, "09:40:48"), hk_ms(FRIDAY, "09:41:33"), ("opend_down",))
    health = assess_health(healthy_state(lost_today=encode(lost)))
    assert health == Health(OK, (), "4,253 ticks of 7 symbols, 09:40:48 to 09:41:33 HK (OpenD down)")
    assert assess_health(healthy_state(lost_today=None)) == Health(OK, ())


def test_no_evidence_outweighs_what_only_wants_a_look() -> None:
    """A refused symbol does not make a green light out of no light."""
    health = assess_health(fresh(clock="03:00:00", market=CLOSED, session={"refused": {"HK.99999": "no"}}))
    assert health.verdict is UNPROVEN
    assert len(health.reasons) == 2


@pytest.mark.parametrize(
    ("age_sec", "verdict", "reason"),
    [
        (2.0, OK, ""),
        (29.0, OK, ""),
        (42.0, FAILING, "no state update for 42 s: the recorder (pid 4711) hangs"),
        (3 * HOUR, FAILING, "no state update for 3.0 h: the recorder (pid 4711) hangs"),
        (-5.0, OK, ""),
        (-300.0, UNPROVEN, "recorder.json is dated 300 s in the future: a clock was changed, so its age is unknown"),
    ],
)
def test_old_news_is_no_news(age_sec: float, verdict: Verdict, reason: str) -> None:
    """A description that is not renewed says only that; whatever it says else is over."""
    state = healthy_state(session={"refused": {"HK.99999": "no"}} if abs(age_sec) > 30 else {})
    now_ms = state["at_ms"] + round(age_sec * 1000)
    health = assess_health(state, now_ms)
    assert (health.verdict, [found.seen for found in health.findings]) == (verdict, [reason] if reason else [])


@pytest.mark.parametrize(
    ("lock_pid", "changes", "seen"),
    [
        (4712, {}, "pid 4712 has started, and has not reported yet"),
        (4712, {"at_ms": None}, "pid 4712 runs, and has written no report"),
        (0, {"at_ms": None}, "a recorder runs, and has written no report"),
        (4711, {}, None),
        (0, {}, None),
    ],
)
def test_the_report_of_the_recorder_before_says_nothing_of_the_one_that_runs(
    lock_pid: int, changes: dict[str, Any], seen: str | None
) -> None:
    """The process that holds the lock has to report itself; a pid that is not known rules out nothing."""
    now_ms, machine = hk_ms(FRIDAY, "10:00:00"), Machine(lock_pid=lock_pid)
    health = assess(decode(RecorderState, {**healthy_state(), "running": True, **changes}), now_ms, machine)
    assert [(found.verdict, found.trouble, found.seen) for found in health.findings] == (
        [(UNPROVEN, Trouble.NOT_REPORTED, seen)] if seen else []
    )
    full = {**healthy_state(disk={"free_bytes": 0}), "running": True, **changes}
    if seen:
        (found,) = assess(decode(RecorderState, full), now_ms, machine).findings
        assert (found.verdict, found.trouble) == (FAILING, Trouble.SILENT_FULL)
        assert found.seen.startswith(f"{seen}: the disk is full; the disk has 0.0 MB free")


def test_the_ages_of_symbols_and_rows_are_no_sign_of_life() -> None:
    """Fetching an old tick again makes rows and commits, and does not hide that the pushes have stopped."""
    state = healthy_state(session=quiet(600.0), writer={"rows": 999_999, "last_commit_age_sec": 0.1})
    assert assess_health(state).verdict is FAILING


def test_a_recorder_of_the_version_before_is_judged() -> None:
    """It tells less; what it does not tell is no fault, and what it does tell counts."""
    old: dict[str, Any] = {
        "running": True,
        "pid": 1,
        "version": "0.2",
        "started_ms": hk_ms(FRIDAY, "09:00:00"),
        "at_ms": hk_ms(FRIDAY, "10:00:00"),
        "frames": 9,
        "session": {"connected": True, "since_ms": 1, "subscribed": 3, "refused": {}, "left_out": []},
        "journal": {"buffered_bytes": 0, "fault": None},
        "writer": {"lag_ms": 10, "last_exception": None, "rows": 9},
    }
    assert assess_health(old).verdict is UNPROVEN, "it does not tell of its pushes, and the market is open"
    assert assess_health({**old, "at_ms": hk_ms(FRIDAY, "03:00:00")}) == Health(OK, ())
    old["session"] |= {"connected": False, "last_disconnect": "closed by OpenD", "connects": 1}
    assert [found.seen for found in assess_health(old).findings] == ["OpenD not connected for 60 min: closed by OpenD"]


def test_an_older_recorder_in_the_same_place_is_named_with_its_cure() -> None:
    """Whether today was made again before, and waits, or its database could never be opened."""
    seen = "OlderRecorderError: pid 155 (python) has /srv/ticks/20261120.db open, which was made by the older recorder"
    wait = {"day": "20261120", "is_today": True, "reason": seen}
    failing = {"last_exception": seen, "last_exception_age_sec": 1.0, "last_commit_age_sec": 9.0}
    for writer, words in (
        ({"waits": [wait]}, f"today is not stored: {seen}"),
        (failing, f"writer: {seen} (1 failure), 6 rows waiting"),
    ):
        (found,) = assess_health(healthy_state(writer=writer)).findings
        assert (found.verdict, found.trouble, found.seen) == (FAILING, Trouble.TODAY_OLDER, words)


def test_judging_changes_nothing() -> None:
    """The state is somebody else's."""
    state = healthy_state(session=down(42.0))
    before = copy.deepcopy(state)
    assess_health(state)
    assert state == before


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=5), inner, max_size=2),
    max_leaves=4,
)


@given(st.data())
def test_whatever_stands_there_is_judged(data: st.DataObject) -> None:
    """Absent keys and values of any type never keep it from a verdict; a reason is given unless it is ok."""
    state = healthy_state()
    at_ms = data.draw(st.sampled_from([None, state["at_ms"]]))
    for path in data.draw(st.lists(st.sampled_from(_paths(state)), max_size=4)):
        *parents, name = path
        holder: Any = state
        for parent in parents:
            holder = holder.get(parent) if isinstance(holder, dict) else None
        if isinstance(holder, dict) and name in holder:
            if data.draw(st.booleans()):
                del holder[name]
            else:
                holder[name] = data.draw(JSON)
    health = assess_health(json.loads(json.dumps(state)), at_ms)
    assert bool(health.reasons) == (health.verdict is not OK)
    assert all(reason.isprintable() for reason in health.reasons)


def _paths(state: dict[str, Any]) -> list[tuple[str, ...]]:
    parts = [(name, key) for name, part in state.items() if isinstance(part, dict) for key in part]
    return [(name,) for name in state] + parts
