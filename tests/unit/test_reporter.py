"""What the recorder says of itself: the description, the lines, the status; never more than it knows."""

from __future__ import annotations

import asyncio
import json
import re
import time
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from support.kept_log import KeptLog, keep_log
from support.ticks import OPEN_MS, TENCENT, pushes, seq_at
from support.ticks import row as tick_row

from hk_tick_collector import reporter as reporter_module
from hk_tick_collector.collector import RuntimeState
from hk_tick_collector.config import Settings
from hk_tick_collector.data_root import STATE_NAME
from hk_tick_collector.db import DayDatabase, Pragmas
from hk_tick_collector.errors import JournalError
from hk_tick_collector.futu_outages import Outage
from hk_tick_collector.futu_state import ClientState
from hk_tick_collector.hktime import HK_OFFSET_MS, hk_day, hk_midnight_ms
from hk_tick_collector.journal import DIRECTORY
from hk_tick_collector.journal_append import Journal
from hk_tick_collector.logs import Limiter
from hk_tick_collector.reporter import MARKET_FRESH_SEC, OUTAGE_LINE_EVERY_SEC, PUSH_FRESH_SEC, Reporter
from hk_tick_collector.resumption import Cause

if TYPE_CHECKING:
    from collections.abc import Iterator

OPERATIONS = Path(__file__).parents[2] / "docs" / "operations.md"


class Recorder:
    """The parts of a recorder that does nothing, and the reporter of them."""

    def __init__(self, data_root: Path) -> None:
        self.data_root = data_root
        self.journal = Journal(data_root / DIRECTORY, segment_bytes=1 << 20, buffer_bytes=1 << 20, sync_ms=20)
        self.journal.start()
        self.collector: Any = SimpleNamespace(state=RuntimeState())
        self.client: Any = SimpleNamespace(
            state=ClientState(), pushes=0, bytes_received=0, last_heard_at=None, last_push_at=None, outage=None
        )
        self.watchdog: Any = SimpleNamespace(is_stalled=False, stalls=0, recoveries_failed=0, last_reason=None)
        self.reporter = Reporter(
            Settings(futu_symbols=TENCENT, instance_id="test"),
            data_root,
            (self.journal, self.collector, self.client, self.watchdog),
        )

    @property
    def writer(self) -> RuntimeState:
        """What is known of the writer."""
        state: RuntimeState = self.collector.state
        return state

    @property
    def session(self) -> ClientState:
        """Where the session stands."""
        state: ClientState = self.client.state
        return state

    def describe(self) -> dict[str, Any]:
        """The newest description, as other processes read it."""
        asyncio.run(self.reporter.save())
        told = json.loads((self.data_root / STATE_NAME).read_text())
        assert isinstance(told, dict)
        return told


@pytest.fixture
def recorder(tmp_path: Path) -> Iterator[Recorder]:
    """A recorder that has just begun."""
    made = Recorder(tmp_path)
    yield made
    made.journal.close(60)


@pytest.fixture
def logged(monkeypatch: pytest.MonkeyPatch) -> KeptLog:
    """The lines that are logged."""
    return keep_log(reporter_module, monkeypatch)


# ---- the description


def test_before_anything_happened_nothing_is_claimed(recorder: Recorder) -> None:
    """What never happened is null, and never an age of nought."""
    told = recorder.describe()
    ages = {f"{part}.{key}" for part in ("session", "writer") for key in told[part] if key.endswith("_age_sec")}
    assert len(ages) == 6
    assert all(told[age.split(".")[0]][age.split(".")[1]] is None for age in ages)
    assert told["running"] is True
    assert told["session"]["connected"] is False
    assert told["session"]["qot_logined"] is None
    assert told["writer"]["lag_ms"] is told["writer"]["max_ts_ms"] is None
    assert told["market"]["source"] == "clock"
    assert told["journal"] == {
        "buffered_bytes": 0, "is_full": False, "fault": None, "backlog_bytes": 0, "backlog_rows": 0,
    }  # fmt: skip


def test_ages_are_of_the_moment(recorder: Recorder) -> None:
    """From the monotonic clock: a host whose clock jumps does not make anything old."""
    now = time.monotonic()
    recorder.client.last_push_at = now - 10
    recorder.client.last_heard_at = now - 5
    recorder.writer.last_commit_monotonic = now - 60
    recorder.writer.last_dequeue_monotonic = now - 30
    recorder.writer.last_alive_monotonic = now - 1
    recorder.writer.last_exception_monotonic = now - 3600
    recorder.writer.last_exception = "BusyError: database is locked"
    told = recorder.describe()
    assert told["session"]["last_push_age_sec"] == pytest.approx(10, abs=5)
    assert told["session"]["last_heard_age_sec"] == pytest.approx(5, abs=4)
    assert told["writer"]["last_commit_age_sec"] == pytest.approx(60, abs=5)
    assert told["writer"]["last_dequeue_age_sec"] == pytest.approx(30, abs=5)
    assert told["writer"]["last_alive_age_sec"] == pytest.approx(1, abs=4)
    assert told["writer"]["last_exception_age_sec"] == pytest.approx(3600, abs=5)
    assert told["writer"]["last_exception"] == "BusyError: database is locked"


def test_what_waits_is_in_it(recorder: Recorder) -> None:
    """In bytes and in ticks."""
    recorder.journal.append_frames(1, OPEN_MS, pushes(TENCENT, range(120)))
    assert recorder.journal.flush(60)
    told = recorder.describe()["journal"]
    assert (told["backlog_rows"], told["backlog_bytes"]) == (120, recorder.journal.bytes_written)


def test_its_keys_are_documented(recorder: Recorder) -> None:
    """Each stands in the table of docs/operations.md, and the table names no other."""
    text = OPERATIONS.read_text().partition("\n## recorder.json\n")[2].partition("\n## ")[0]
    rows = [line.split("|") for line in text.splitlines() if line.startswith("| `")]
    told = recorder.describe()
    at_the_end = {"stopped_ms", "stop_reason", "stored"}
    keys: set[str] = set()
    for _, key_cell, meaning, _ in rows:
        names = re.findall(r"`(\w+)`", key_cell)
        keys |= set(names)
        if isinstance(told.get(names[0]), dict):
            documented = set(re.findall(r"`(\w+)`", meaning)) - {"opend", "pushes", "clock"}
            assert documented == set(told[names[0]]) - {"session", "opend_version"}, names[0]
    assert keys == told.keys() | at_the_end


def test_the_description_is_replaced_and_never_changed(recorder: Recorder) -> None:
    """Another thread may be reading the one before."""
    recorder.describe()
    before = recorder.reporter.description
    kept = json.dumps(before)
    recorder.session.refused["HK.00001"] = "unknown"
    recorder.session.left_out.append("HK.00002")
    recorder.writer.totals["rows"] = 7
    recorder.describe()
    assert recorder.reporter.description is not before
    assert json.dumps(before) == kept
    assert recorder.reporter.description["session"]["refused"] == {"HK.00001": "unknown"}


def test_the_end_is_put_down(recorder: Recorder) -> None:
    """When it stopped, why, and whether all is stored."""
    asyncio.run(recorder.reporter.save(running=False, stopped_ms=5, stop_reason="SIGTERM", stored=True))
    told = json.loads((recorder.data_root / STATE_NAME).read_text())
    assert (told["running"], told["stopped_ms"], told["stop_reason"], told["stored"]) == (False, 5, "SIGTERM", True)


def test_one_that_was_overtaken_is_not_written(recorder: Recorder) -> None:
    """A disk that hangs while the recorder stops must not bring an old description back."""
    recorder.describe()
    old = recorder.reporter.description
    asyncio.run(recorder.reporter.save(running=False))
    recorder.reporter._write(old)
    assert json.loads((recorder.data_root / STATE_NAME).read_text())["running"] is False


def test_a_disk_that_takes_nothing_ends_nothing(recorder: Recorder, logged: KeptLog) -> None:
    """The file can't be written; the description is there for the metrics all the same."""
    (recorder.data_root / STATE_NAME).with_suffix(".tmp").mkdir()
    asyncio.run(recorder.reporter.save())
    assert logged.lines[0][0] == "state_not_saved"
    assert recorder.reporter.description["running"] is True


# ---- the market


def test_opends_word_is_taken_while_it_is_fresh(recorder: Recorder) -> None:
    """A holiday is a holiday whatever the clock says; a word that is old is none."""
    session = recorder.session
    for word, is_open in {
        "MORNING": True,
        "REST": False,
        "CLOSED": False,
        "HK_CAS": True,
        "WAITING_OPEN": True,
        "CLOSE_AUCTION": True,
        "AFTERNOON_END": False,
        "TRADE_AT_LAST": True,
        "TRADE_AUCTION": True,
        "77": True,
    }.items():
        session.market, session.market_at = word, time.monotonic()
        assert recorder.reporter.market() == {"state": word, "is_open": is_open, "source": "opend"}
    session.market_at = time.monotonic() - MARKET_FRESH_SEC - 1
    assert recorder.reporter.market()["source"] == "clock"
    assert recorder.reporter.market()["state"] is None


def test_without_opend_the_clock_tells(recorder: Recorder, monkeypatch: pytest.MonkeyPatch) -> None:
    """Hong Kong's sessions on weekdays."""
    monkeypatch.setattr(recorder.session.clock, "now_ms", lambda: OPEN_MS)  # a Friday, at ten
    assert recorder.reporter.market() == {"state": None, "is_open": True, "source": "clock"}
    monkeypatch.setattr(recorder.session.clock, "now_ms", lambda: OPEN_MS + 10 * 3_600_000)
    assert recorder.reporter.market()["is_open"] is False


def test_what_trades_is_open_whatever_the_calendar_says(recorder: Recorder, monkeypatch: pytest.MonkeyPatch) -> None:
    """Pushes of the last minutes count, and a market that OpenD called open when by the calendar it can't have been."""
    session, sunday_ms = recorder.session, OPEN_MS + 2 * 86_400_000
    monkeypatch.setattr(session.clock, "now_ms", lambda: sunday_ms)
    market = recorder.reporter.market
    assert market() == {"state": None, "is_open": False, "source": "clock"}
    recorder.client.last_push_at = time.monotonic() - 10
    assert market() == {"state": None, "is_open": True, "source": "pushes"}
    recorder.client.last_push_at = time.monotonic() - PUSH_FRESH_SEC - 1
    assert market()["source"] == "clock"
    session.market_at = time.monotonic() - 600
    for word, is_open in {"MORNING": True, "REST": False, "CLOSED": False, "WAITING_OPEN": False, "77": False}.items():
        session.market = word
        assert market()["is_open"] is is_open, word
    session.market = "MORNING"
    assert market() == {"state": "MORNING", "is_open": True, "source": "opend"}
    lose(recorder, Cause.OPEND_DOWN, sunday_ms - 600_000, {TENCENT: 4.0})
    assert recorder.describe()["outage"]["past_symbols"] == [TENCENT], "so what is missed has deadlines"
    evening_ms = OPEN_MS + 6 * 3_600_000 + 15 * 60_000  # where the calendar was right, it counts after OpenD's word
    monkeypatch.setattr(session.clock, "now_ms", lambda: evening_ms)
    assert market() == {"state": None, "is_open": False, "source": "clock"}


# ---- an outage


def lose(recorder: Recorder, cause: Cause, since_ms: int | None, rates: dict[str, float]) -> None:
    """An outage of that cause, on a Friday at ten, after symbols have traded at these rates."""
    recorder.client.outage = None if since_ms is None else Outage(cause, since_ms)
    recorder.session.rates.begin_anew()
    recorder.session.rates.take(0.0, dict.fromkeys(rates, 0))
    recorder.session.rates.take(100.0, {symbol: int(rate * 100) for symbol, rate in rates.items()})


def test_deadlines_are_told_while_there_is_an_outage(recorder: Recorder, monkeypatch: pytest.MonkeyPatch) -> None:
    """From the rates before it; as near as OpenD's memory is deep, or what it makes good where it was away itself."""
    monkeypatch.setattr(recorder.session.clock, "now_ms", lambda: OPEN_MS)
    assert recorder.describe()["outage"] is None
    since_ms = OPEN_MS - 40_000
    lose(recorder, Cause.CONNECTION_LOST, since_ms, {TENCENT: 4.0, "HK.00005": 50.0})
    assert recorder.describe()["outage"] == {
        "cause": "connection_lost",
        "since_ms": since_ms,
        "first_deadline_ms": since_ms + 20_000,
        "past": 1,
        "past_symbols": ["HK.00005"],
        "symbols": [{"symbol": TENCENT, "rate": 4.0, "deadline_ms": since_ms + 250_000}],
    }
    lose(recorder, Cause.EXCHANGE_LOST, since_ms, {TENCENT: 4.0, "HK.00005": 50.0})
    assert recorder.describe()["outage"]["past_symbols"] == ["HK.00005", TENCENT]
    recorder.client.outage = Outage(Cause.RECORDER_DOWN, None)
    assert recorder.describe()["outage"] is None, "since nobody knows when, nobody knows until when"


def test_a_closed_market_has_no_outage(recorder: Recorder, monkeypatch: pytest.MonkeyPatch) -> None:
    """By the clock at night; by OpenD's word on a holiday, and a market that it says is open by night has one."""
    night_ms = OPEN_MS + 10 * 3_600_000
    monkeypatch.setattr(recorder.session.clock, "now_ms", lambda: night_ms)
    lose(recorder, Cause.CONNECTION_LOST, night_ms - 1000, {TENCENT: 4.0})
    assert recorder.describe()["outage"] is None
    recorder.session.market, recorder.session.market_at = "MORNING", time.monotonic()
    assert recorder.describe()["outage"]["first_deadline_ms"] == night_ms - 1000 + 250_000
    recorder.session.market = "CLOSED"
    monkeypatch.setattr(recorder.session.clock, "now_ms", lambda: OPEN_MS)
    lose(recorder, Cause.CONNECTION_LOST, OPEN_MS - 1000, {TENCENT: 4.0})
    assert recorder.describe()["outage"] is None


def test_an_outage_is_logged_when_it_begins_to_matter_and_when_that_changes(
    recorder: Recorder, logged: KeptLog, monkeypatch: pytest.MonkeyPatch
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
            recorder.reporter._tell_outage(recorder.describe()["outage"])
        assert set(logged.events()) <= {"outage_deadlines"}
        return [fields for _, fields in logged.lines]

    assert look() == []
    lose(recorder, Cause.CONNECTION_LOST, OPEN_MS, {})
    assert look() == [], "without a rate there is no deadline"
    lose(recorder, Cause.CONNECTION_LOST, OPEN_MS, {TENCENT: 10.0, "HK.00005": 100.0})
    (line,) = look(1)
    assert (line["cause"], line["past"], line["first_in_sec"]) == (Cause.CONNECTION_LOST, 0, 9)
    assert line["text"].startswith(
        "OpenD unreachable for 1 s (connection lost); by the rates before it HK.00005 can be"
    )
    assert look(1) == []
    assert look(20) == [], "a deadline has passed, and 30 s have not"
    (line,) = look(20)
    assert (line["past"], line["first_in_sec"]) == (1, -32)
    assert look(60)[0]["past"] == 2
    assert look(60) == []
    recorder.client.outage = None
    assert look(1) == []


# ---- the status


def test_the_status_says_what_it_is_at(recorder: Recorder) -> None:
    """In words that somebody who reads `systemctl status` understands."""
    reporter, session, writer = recorder.reporter, recorder.session, recorder.writer
    assert reporter.status() == "waiting for OpenD at 127.0.0.1:11111: connecting"
    session.last_disconnect = "127.0.0.1:11111: Connection refused"
    assert reporter.status() == "waiting for OpenD at 127.0.0.1:11111: Connection refused"
    assert not reporter.is_recording
    session.connected = True
    assert reporter.status() == "connected to OpenD at 127.0.0.1:11111, no symbol is subscribed yet"
    assert not reporter.is_recording
    session.subscribed = [f"HK.{n:05}" for n in range(900)]
    session.market, session.market_at = "MORNING", time.monotonic()
    assert reporter.is_recording
    assert reporter.status() == "recording 900 symbols, 0 ticks today"
    writer.lag_ms = 1080
    reporter._rows_today = 12_345
    assert reporter.status() == "recording 900 symbols, 12,345 ticks today, lag 1,080 ms"
    session.market = "REST"
    assert reporter.status() == "recording 900 symbols, 12,345 ticks today, lag 1,080 ms, market closed"
    recorder.watchdog.is_stalled, recorder.watchdog.last_reason = True, "no commit for 180 s"
    assert reporter.status() == "storing is stalled: no commit for 180 s"


def test_todays_ticks_are_those_of_today(recorder: Recorder) -> None:
    """Not of the newest day that there is; and a database that can't be read leaves the figure as it was."""
    now_ms = int(time.time() * 1000)
    today = hk_midnight_ms(now_ms) + HK_OFFSET_MS
    yesterday = today - 86_400_000
    for ts_ms, count in ((yesterday, 5), (today, 3)):
        database = DayDatabase(recorder.data_root / f"{hk_day(ts_ms)}.db", Pragmas())
        database.begin()
        rows = [tick_row(TENCENT, seq_at(n, ts_ms), ts_ms) for n in range(count)]
        database.insert({TENCENT: rows}, {}, [], [])
        database.commit()
        database.close()
    reporter = recorder.reporter
    reporter._rows_today = reporter._count_today()
    assert reporter._rows_today == 3
    (recorder.data_root / f"{hk_day(today)}.db").write_bytes(b"garbage" * 1000)
    assert reporter._count_today() == 3
    (recorder.data_root / f"{hk_day(today)}.db").unlink()
    assert reporter._count_today() == 0


# ---- the lines


def test_persist_ticks_tells_what_was_stored_since(recorder: Recorder, logged: KeptLog) -> None:
    """If anything was; each tick is told of once."""
    reporter, writer = recorder.reporter, recorder.writer
    reporter._tell_persisted()
    assert logged.lines == []
    writer.totals = {"rows": 10, "inserted": 8, "duplicates": 2, "commits": 1}
    writer.commit_ms_max, writer.lag_ms = 12.5, 40
    reporter._tell_persisted()
    writer.totals = {"rows": 25, "inserted": 18, "duplicates": 7, "commits": 2}
    reporter._tell_persisted()
    reporter._tell_persisted()
    first, second = (fields for _, fields in logged.lines)
    assert (first["rows"], first["inserted"], first["duplicates"], first["commit_ms_max"]) == (10, 8, 2, 12.5)
    assert (second["rows"], second["inserted"], second["duplicates"], second["commit_ms_max"]) == (15, 10, 5, 0.0)


def test_the_heartbeat_has_rates_since_the_last_one(
    recorder: Recorder, logged: KeptLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ticks taken from the journal and new rows, a second; and what waits, in ticks."""
    now = recorder.reporter._started_at
    monkeypatch.setattr(reporter_module, "time", SimpleNamespace(monotonic=lambda: now))
    recorder.journal.append_frames(1, OPEN_MS, pushes(TENCENT, range(50)))
    assert recorder.journal.flush(60)
    now += 30
    recorder.writer.totals = {"rows": 3000, "inserted": 600, "commits": 9, "errors": 2}
    recorder.writer.last_commit_monotonic = now - 2
    recorder.reporter._look_at_disk()
    recorder.reporter._tell_heartbeat()
    now += 10
    recorder.writer.totals = {"rows": 3050, "inserted": 650, "commits": 10, "errors": 2}
    recorder.reporter._tell_heartbeat()
    (_, first), (event, second) = logged.lines
    assert event == "persist_loop_heartbeat"
    assert (first["dequeue_rate"], first["commit_rate"]) == (100.0, 20.0)
    assert (second["dequeue_rate"], second["commit_rate"]) == (5.0, 5.0)
    assert (first["queue_rows"], first["queue_bytes"]) == (50, recorder.journal.bytes_written)
    assert (first["last_commit_age_sec"], second["last_commit_age_sec"]) == (2.0, 12.0)
    assert first["exceptions"] == 2


def test_a_disk_that_does_not_tell_the_backlog_is_said_so(recorder: Recorder, monkeypatch: pytest.MonkeyPatch) -> None:
    """Unknown is not nought."""

    def broken(_root: Path) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(reporter_module, "measure_backlog", broken)
    told = recorder.describe()["journal"]
    assert told["backlog_rows"] is told["backlog_bytes"] is None


def test_a_journal_without_its_thread_ends_the_recorder(recorder: Recorder) -> None:
    """Nothing that is received would get anywhere."""
    recorder.journal.close(60)
    with pytest.raises(JournalError, match="thread has ended"):
        asyncio.run(recorder.reporter.run())
