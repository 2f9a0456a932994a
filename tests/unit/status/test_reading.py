"""What is read for `status`: a file that can't be read costs only its own part."""

from __future__ import annotations

import json
import os
import re
from typing import TYPE_CHECKING

import apsw
import pytest
from rich.console import Console
from support.gap_row import put_gaps
from support.older_recorder import held_elsewhere
from support.recorder_state import healthy_state
from support.ticks import OPEN_MS, TENCENT, row, seq_at

from hk_tick_collector import clock
from hk_tick_collector.cli.status_screen import render
from hk_tick_collector.clock import host_ms
from hk_tick_collector.db import DayDatabase, Pragmas
from hk_tick_collector.hktime import hk_day
from hk_tick_collector.journal.segments import DIRECTORY
from hk_tick_collector.status.reading import read_status
from hk_tick_collector.status.trouble_table import cure
from hk_tick_collector.status.troubles import Trouble
from hk_tick_collector.store import rehearsal
from hk_tick_collector.store.data_root import RECORDER_LOCK, STATE_NAME, hold_lock
from hk_tick_collector.store.rehearsal import MARKER, Anchor, Rehearsed, boot_id

if TYPE_CHECKING:
    from pathlib import Path

DAY = "20260731"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A day with three ticks and a gap."""
    path = tmp_path / f"{DAY}.db"
    database = DayDatabase(path, Pragmas())
    database.store({TENCENT: [row(TENCENT, seq_at(n)) for n in range(3)]}, {})
    database.close()
    put_gaps(path, {"missing": 5})
    return tmp_path


def test_a_locked_day_is_named_with_its_holder_and_not_passed_over(root: Path) -> None:
    """Yesterday must not be taken for today, and an answer must not wait for the lock."""
    put_gaps(root / "20260730.db", {"missing": 5})
    other = apsw.Connection(str(root / f"{DAY}.db"))
    other.pragma("journal_mode", "delete")
    other.execute("BEGIN EXCLUSIVE")
    try:
        told = read_status(root)
    finally:
        other.close()
    assert (told["day"], told["rows"], told["lost"]) == (DAY, 0, None)
    assert f"{DAY}.db can't be read: database is locked; it is locked by pid {os.getpid()} (" in told["day_fault"]
    # In trading hours, what no recorder records now comes after it.
    assert told["answers"]["lost"][0] == f"can't be known now: {told['day_fault']}"
    assert told["answers"]["to_do"][-1].startswith(told["day_fault"])


def test_who_has_today_locked_is_named_before_the_recorder_has_found_out(root: Path) -> None:
    """It looks every few seconds; the recorder and its writer are not named."""
    today = root / f"{hk_day(host_ms())}.db"
    DayDatabase(today, Pragmas()).close()
    lock = hold_lock(root, RECORDER_LOCK, 0)
    writer = {
        "last_exception": "BusyError: database is locked",
        "last_exception_age_sec": 1.0,
        "last_commit_age_sec": 9,
    }
    report = healthy_state(pid=os.getpid(), running=True, at_ms=host_ms(), writer=writer)
    (root / STATE_NAME).write_text(json.dumps(report))
    try:
        with held_elsewhere(today, "BEGIN IMMEDIATE"):
            told = read_status(root)
    finally:
        os.close(lock)
    seen = r"YES, but not into the database yet: writer: BusyError: database is locked \(1 failure\), 6 rows waiting; "
    assert re.match(rf"{seen}{today.name} is locked by pid \d+ \(\S.*\)$", told["answers"]["records"])
    assert told["answers"]["to_do"][0] == cure(Trouble.DAY_LOCKED, root=str(root))


def test_a_damaged_day_and_a_journal_that_cant_be_read_leave_the_rest(root: Path) -> None:
    """All else is reported."""
    (root / f"{DAY}.db").write_bytes(os.urandom(10_000))
    (root / DIRECTORY).write_text("no directory")
    told = read_status(root)
    assert "can't be read" in told["day_fault"]
    assert told["journal"] == {"backlog_bytes": None, "lag_ms": None}
    assert told["health"]["verdict"] == "unproven"
    assert told["disk"]["free_bytes"] > 0


def test_the_days_losses_are_told(root: Path) -> None:
    """With the span of the gap."""
    told = read_status(root)
    assert (told["rows"], told["day_fault"]) == (3, None)
    assert told["lost"]["ticks"] == 5
    assert told["lost"]["from_ms"] == OPEN_MS
    assert told["answers"]["is_lost"]


@pytest.mark.parametrize("at_ms", [None, "x", 10**18])
def test_a_report_without_a_time_is_no_report(root: Path, at_ms: object) -> None:
    """Whatever stands there."""
    (root / STATE_NAME).write_text(json.dumps({"at_ms": at_ms}))
    told = read_status(root)
    assert [found["trouble"] for found in told["health"]["troubles"]] == ["no_report"]


@pytest.mark.parametrize("report", [{"running": True, "pid": 1, "at_ms": 1_795_140_605_000}, {}])
def test_a_recorder_that_runs_and_has_not_reported_is_not_called_absent(root: Path, report: dict[str, object]) -> None:
    """Nor is the report of a dead one taken for its own."""
    (root / STATE_NAME).write_text(json.dumps(report))
    lock = hold_lock(root, RECORDER_LOCK, 0)
    try:
        told = read_status(root)
    finally:
        os.close(lock)
    seen = "has started, and has not reported yet" if report else "runs, and has written no report"
    assert told["answers"]["records"] == f"UNKNOWN: pid {os.getpid()} {seen}"
    assert told["answers"]["to_do"] == [cure(Trouble.NOT_REPORTED)]
    assert "running, no report yet" in render(Console(width=200), told, all_symbols=True)


@pytest.mark.parametrize(("written_sec", "is_silent"), [(2, False), (60, True)])
def test_a_rehearsed_recorder_is_silent_by_real_time(
    root: Path, monkeypatch: pytest.MonkeyPatch, written_sec: int, *, is_silent: bool
) -> None:
    """At 400 times the speed, a report of 2 s ago is 13 minutes old by its own time."""
    monkeypatch.setattr(clock, "_rehearsal", None)  # afterwards, this process goes by the host's clock again
    began = Anchor(clock.boot_ms(), OPEN_MS + 3_600_000, 400.0)
    path = root / "clock.json"
    Rehearsed(DAY, "127.0.0.1", 11111, (TENCENT,), 400.0, boot_id(), 0, is_over=False, anchors=(began,)).write(path)
    (root / MARKER).write_text(json.dumps({"date": DAY, "clock": str(path)}))
    rehearsal.follow(root)
    session = {"connected": True, "subscribed": 1, "last_push_age_sec": 1.0}
    report = {"running": True, "pid": os.getpid(), "version": "1.2.3", "session": session}
    at_ms = clock.wall_ms() - written_sec * 400_000
    (root / STATE_NAME).write_text(json.dumps({**report, "at_ms": at_ms}))
    written = clock.host_ms() / 1000 - written_sec
    os.utime(root / STATE_NAME, (written, written))
    lock = hold_lock(root, RECORDER_LOCK, 0)
    try:
        told = read_status(root)
    finally:
        os.close(lock)
    assert ("silent" in [found["trouble"] for found in told["health"]["troubles"]]) is is_silent
    assert written_sec <= told["recorder"]["state_age_sec"] < written_sec + 20
    assert ("hangs" in told["answers"]["records"]) is is_silent
