"""What the recorder says of itself: the description, the lines, the status; never more than it knows."""

from __future__ import annotations

import asyncio
import json
import time
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from support.kept_log import KeptLog, keep_log
from support.recorder_state import healthy_state
from support.ticks import OPEN_MS, TENCENT, pushes

from hk_tick_collector.errors import JournalError
from hk_tick_collector.journal.events import Cause
from hk_tick_collector.logs import Limiter
from hk_tick_collector.status import reporter as reporter_module
from hk_tick_collector.status.lost import Lost
from hk_tick_collector.status.reporter import OUTAGE_LINE_EVERY_SEC
from hk_tick_collector.status.state import RecorderState
from hk_tick_collector.status.trouble_table import cure
from hk_tick_collector.status.troubles import Trouble
from hk_tick_collector.store.data_root import STATE_NAME
from hk_tick_collector.typed_json import decode, encode
from hk_tick_collector.writer.progress import Counters

if TYPE_CHECKING:
    from support.still_recorder import StillRecorder

OPERATIONS = Path(__file__).parents[3] / "docs" / "operations.md"


@pytest.fixture
def logged(monkeypatch: pytest.MonkeyPatch) -> KeptLog:
    """The lines that are logged."""
    return keep_log(reporter_module, monkeypatch)


def test_the_description_is_replaced_and_never_changed(recorder: StillRecorder) -> None:
    """Another thread may be reading the one before."""
    recorder.describe()
    before = recorder.reporter.description
    kept = json.dumps(before)
    recorder.session.refused["HK.00001"] = "unknown"
    recorder.session.left_out.append("HK.00002")
    recorder.writer.totals = Counters(rows=7)
    recorder.describe()
    assert recorder.reporter.description is not before
    assert json.dumps(before) == kept
    assert recorder.reporter.description["session"]["refused"] == {"HK.00001": "unknown"}


def test_the_end_is_put_down(recorder: StillRecorder) -> None:
    """When it stopped, why, and whether all is stored."""
    asyncio.run(recorder.reporter.save(running=False, stopped_ms=5, stop_reason="SIGTERM", stored=True))
    told = json.loads((recorder.data_root / STATE_NAME).read_text())
    assert (told["running"], told["stopped_ms"], told["stop_reason"], told["stored"]) == (False, 5, "SIGTERM", True)


def test_one_that_was_overtaken_is_not_written(recorder: StillRecorder) -> None:
    """A disk that hangs while the recorder stops must not bring an old description back."""
    recorder.describe()
    old = recorder.reporter.description
    asyncio.run(recorder.reporter.save(running=False))
    recorder.reporter._write(old)
    assert json.loads((recorder.data_root / STATE_NAME).read_text())["running"] is False


def test_a_disk_that_takes_nothing_ends_nothing(recorder: StillRecorder, logged: KeptLog) -> None:
    """The file can't be written; the description is there for the metrics all the same."""
    (recorder.data_root / STATE_NAME).with_suffix(".tmp").mkdir()
    asyncio.run(recorder.reporter.save())
    assert logged.lines[0][0] == "state_not_saved"
    assert recorder.reporter.description["running"] is True


# ---- the status


def test_the_status_says_what_it_is_at(recorder: StillRecorder) -> None:
    """In words that somebody who reads `systemctl status` understands."""
    reporter, session, writer = recorder.reporter, recorder.session, recorder.writer
    start_it = f". {cure(Trouble.OPEND_DOWN)}"
    assert reporter.status() == f"waiting for OpenD at 127.0.0.1:11111: connecting{start_it}"
    session.last_disconnect = "127.0.0.1:11111: Connection refused"
    assert reporter.status() == f"waiting for OpenD at 127.0.0.1:11111: Connection refused{start_it}"
    assert not reporter.is_recording
    session.connected = True
    assert reporter.status() == "connected to OpenD at 127.0.0.1:11111, no symbol is subscribed yet"
    assert not reporter.is_recording
    session.subscribed = [f"HK.{n:05}" for n in range(900)]
    session.market, session.market_at = "MORNING", time.monotonic()
    assert reporter.is_recording
    assert reporter.status() == "recording 900 symbols, 0 ticks today"
    writer.lag_ms = 1080
    recorder.describer.today.rows = 12_345
    assert reporter.status() == "recording 900 symbols, 12,345 ticks today, lag 1,080 ms"
    session.market = "REST"
    assert reporter.status() == "recording 900 symbols, 12,345 ticks today, lag 1,080 ms, market closed"
    reporter.description = healthy_state(
        lost_today=encode(Lost("20261120", 1, 1, 5, 0, 0, None, None, ("opend_down",)))
    )
    assert reporter.status().endswith(", market closed; lost today: 5 ticks of 1 symbol (OpenD down)")
    reporter.description = healthy_state(session={"clock_offset_ms": 5200})
    assert reporter.status().startswith("recording 900 symbols, ")
    assert "; degraded: clock 5.2 s behind OpenD's" in reporter.status()
    reporter.description = healthy_state(session={"away": {"cause": "kicked_out", "since_ms": None}})
    assert reporter.status().startswith(
        f"NOT RECORDING: another login took the quote right, so no tick comes. {cure(Trouble.KICKED_OUT)}; recording"
    )
    recorder.watchdog.is_stalled, recorder.watchdog.last_reason = True, "no commit for 180 s"
    assert reporter.status() == f"storing is stalled: no commit for 180 s. {cure(Trouble.STALLED)}"


# ---- the lines


def test_an_outage_is_logged_when_it_begins_to_matter_and_when_that_changes(
    recorder: StillRecorder, logged: KeptLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Once while nothing changes; a deadline that passes is news, but two lines are 30 s apart."""
    now_ms, now_sec = OPEN_MS, 1000.0
    monkeypatch.setattr(recorder.session.clock, "now_ms", lambda: now_ms)
    recorder.reporter._outage_limiter = Limiter(OUTAGE_LINE_EVERY_SEC, lambda: now_sec)

    def look(passed_sec: int = 0) -> list[dict[str, Any]]:
        nonlocal now_ms, now_sec
        now_ms, now_sec = now_ms + passed_sec * 1000, now_sec + passed_sec
        logged.lines.clear()
        for _ in range(2):
            recorder.reporter._tell_outage(decode(RecorderState, recorder.describe()).outage)
        assert set(logged.events()) <= {"outage_deadlines"}
        return [fields for _, fields in logged.lines]

    assert look() == []
    recorder.lose(Cause.CONNECTION_LOST, OPEN_MS, {})
    assert look() == [], "without a rate there is no deadline"
    recorder.lose(Cause.CONNECTION_LOST, OPEN_MS, {TENCENT: 10.0, "HK.00005": 100.0})
    (line,) = look(1)
    assert (line["cause"], line["past"], line["first_in_sec"]) == (Cause.CONNECTION_LOST, 0, 9)
    assert line["text"].startswith(
        "OpenD unreachable for 1 s (connection lost); at pre-outage rates: recoverable for another"
    )
    assert look(1) == []
    assert look(20) == [], "a deadline has passed, and 30 s have not"
    (line,) = look(20)
    assert (line["past"], line["first_in_sec"]) == (1, -32)
    assert look(60)[0]["past"] == 2
    assert look(60) == []
    recorder.client.outage = None
    assert look(1) == []


def test_persist_ticks_tells_what_was_stored_since(recorder: StillRecorder, logged: KeptLog) -> None:
    """If anything was; each tick is told of once."""
    reporter, writer = recorder.reporter, recorder.writer
    reporter._tell_persisted()
    assert logged.lines == []
    writer.totals = Counters(rows=10, inserted=8, duplicates=2, commits=1)
    writer.commit_ms_max, writer.lag_ms = 12.5, 40
    reporter._tell_persisted()
    writer.totals = Counters(rows=25, inserted=18, duplicates=7, commits=2)
    reporter._tell_persisted()
    reporter._tell_persisted()
    first, second = (fields for _, fields in logged.lines)
    assert (first["rows"], first["inserted"], first["duplicates"], first["commit_ms_max"]) == (10, 8, 2, 12.5)
    assert (second["rows"], second["inserted"], second["duplicates"], second["commit_ms_max"]) == (15, 10, 5, 0.0)


def test_the_heartbeat_has_rates_since_the_last_one(
    recorder: StillRecorder, logged: KeptLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ticks taken from the journal and new rows, a second; and what waits, in ticks."""
    now = recorder.reporter._beaten[0]
    monkeypatch.setattr(reporter_module, "time", SimpleNamespace(monotonic=lambda: now))
    recorder.journal.append_frames(1, OPEN_MS, pushes(TENCENT, range(50)))
    assert recorder.journal.flush(60)
    now += 30
    recorder.writer.totals = Counters(rows=3000, inserted=600, commits=9, errors=2)
    recorder.writer.last_commit_monotonic = now - 2
    recorder.describer.look_at_disk()
    recorder.reporter._tell_heartbeat()
    now += 10
    recorder.writer.totals = Counters(rows=3050, inserted=650, commits=10, errors=2)
    recorder.reporter._tell_heartbeat()
    (_, first), (event, second) = logged.lines
    assert event == "persist_loop_heartbeat"
    assert (first["dequeue_rate"], first["commit_rate"]) == (100.0, 20.0)
    assert (second["dequeue_rate"], second["commit_rate"]) == (5.0, 5.0)
    assert (first["queue_rows"], first["queue_bytes"]) == (50, recorder.journal.bytes_written)
    assert (first["last_commit_age_sec"], second["last_commit_age_sec"]) == (2.0, 12.0)
    assert first["exceptions"] == 2


def test_a_journal_without_its_thread_ends_the_recorder(recorder: StillRecorder) -> None:
    """Nothing that is received would get anywhere."""
    recorder.journal.close(60)
    with pytest.raises(JournalError, match="thread has ended"):
        asyncio.run(recorder.reporter.run())
