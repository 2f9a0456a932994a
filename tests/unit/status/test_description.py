"""The description of a recorder: never more than it knows, and each key is documented."""

from __future__ import annotations

import re
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from support.ticks import OPEN_MS, TENCENT, pushes

from hk_tick_collector.journal.events import Cause
from hk_tick_collector.session.outages import Outage
from hk_tick_collector.status import description as description_module
from hk_tick_collector.status.description import MARKET_FRESH_SEC, PUSH_FRESH_SEC
from hk_tick_collector.status.state import Market

if TYPE_CHECKING:
    from support.still_recorder import StillRecorder

OPERATIONS = Path(__file__).parents[3] / "docs" / "operations.md"


# ---- the description


def test_before_anything_happened_nothing_is_claimed(recorder: StillRecorder) -> None:
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


def test_ages_are_of_the_moment(recorder: StillRecorder) -> None:
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


def test_what_waits_is_in_it(recorder: StillRecorder) -> None:
    """In bytes and in ticks."""
    recorder.journal.append_frames(1, OPEN_MS, pushes(TENCENT, range(120)))
    assert recorder.journal.flush(60)
    told = recorder.describe()["journal"]
    assert (told["backlog_rows"], told["backlog_bytes"]) == (120, recorder.journal.bytes_written)


def test_its_keys_are_documented(recorder: StillRecorder) -> None:
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


def test_a_disk_that_does_not_tell_the_backlog_is_said_so(
    recorder: StillRecorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Unknown is not nought."""

    def broken(_root: Path) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(description_module, "measure_backlog", broken)
    told = recorder.describe()["journal"]
    assert told["backlog_rows"] is told["backlog_bytes"] is None


# ---- the market


def test_opends_word_is_taken_while_it_is_fresh(recorder: StillRecorder) -> None:
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
        assert recorder.describer.market() == Market(word, is_open, "opend")
    session.market_at = time.monotonic() - MARKET_FRESH_SEC - 1
    assert recorder.describer.market().source == "clock"
    assert recorder.describer.market().state is None


def test_without_opend_the_clock_tells(recorder: StillRecorder, monkeypatch: pytest.MonkeyPatch) -> None:
    """Hong Kong's sessions on weekdays."""
    monkeypatch.setattr(recorder.session.clock, "now_ms", lambda: OPEN_MS)  # a Friday, at ten
    assert recorder.describer.market() == Market(None, is_open=True, source="clock")
    monkeypatch.setattr(recorder.session.clock, "now_ms", lambda: OPEN_MS + 10 * 3_600_000)
    assert recorder.describer.market().is_open is False


def test_what_trades_is_open_whatever_the_calendar_says(
    recorder: StillRecorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Pushes of the last minutes count, and a market that OpenD called open when by the calendar it can't have been."""
    session, sunday_ms = recorder.session, OPEN_MS + 2 * 86_400_000
    monkeypatch.setattr(session.clock, "now_ms", lambda: sunday_ms)
    market = recorder.describer.market
    assert market() == Market(None, is_open=False, source="clock")
    recorder.client.last_push_at = time.monotonic() - 10
    assert market() == Market(None, is_open=True, source="pushes")
    recorder.client.last_push_at = time.monotonic() - PUSH_FRESH_SEC - 1
    assert market().source == "clock"
    session.market_at = time.monotonic() - 600
    for word, is_open in {"MORNING": True, "REST": False, "CLOSED": False, "WAITING_OPEN": False, "77": False}.items():
        session.market = word
        assert market().is_open is is_open, word
    session.market = "MORNING"
    assert market() == Market("MORNING", is_open=True, source="opend")
    recorder.lose(Cause.OPEND_DOWN, sunday_ms - 600_000, {TENCENT: 4.0})
    assert recorder.describe()["outage"]["past_symbols"] == [TENCENT], "so what is missed has deadlines"
    evening_ms = OPEN_MS + 6 * 3_600_000 + 15 * 60_000  # where the calendar was right, it counts after OpenD's word
    monkeypatch.setattr(session.clock, "now_ms", lambda: evening_ms)
    assert market() == Market(None, is_open=False, source="clock")


# ---- an outage


def test_deadlines_are_told_while_there_is_an_outage(recorder: StillRecorder, monkeypatch: pytest.MonkeyPatch) -> None:
    """From the rates before it; as near as OpenD's memory is deep, or what it makes good where it was away itself."""
    monkeypatch.setattr(recorder.session.clock, "now_ms", lambda: OPEN_MS)
    assert recorder.describe()["outage"] is None
    since_ms = OPEN_MS - 40_000
    recorder.lose(Cause.CONNECTION_LOST, since_ms, {TENCENT: 4.0, "HK.00005": 50.0})
    assert recorder.describe()["outage"] == {
        "cause": "connection_lost",
        "since_ms": since_ms,
        "first_deadline_ms": since_ms + 20_000,
        "past": 1,
        "past_symbols": ["HK.00005"],
        "symbols": [{"symbol": TENCENT, "rate": 4.0, "deadline_ms": since_ms + 250_000}],
    }
    recorder.lose(Cause.EXCHANGE_LOST, since_ms, {TENCENT: 4.0, "HK.00005": 50.0})
    assert recorder.describe()["outage"]["past_symbols"] == ["HK.00005", TENCENT]
    recorder.client.outage = Outage(Cause.RECORDER_DOWN, None)
    assert recorder.describe()["outage"] is None, "since nobody knows when, nobody knows until when"


def test_a_closed_market_has_no_outage(recorder: StillRecorder, monkeypatch: pytest.MonkeyPatch) -> None:
    """By the clock at night; by OpenD's word on a holiday, and a market that it says is open by night has one."""
    night_ms = OPEN_MS + 10 * 3_600_000
    monkeypatch.setattr(recorder.session.clock, "now_ms", lambda: night_ms)
    recorder.lose(Cause.CONNECTION_LOST, night_ms - 1000, {TENCENT: 4.0})
    assert recorder.describe()["outage"] is None
    recorder.session.market, recorder.session.market_at = "MORNING", time.monotonic()
    assert recorder.describe()["outage"]["first_deadline_ms"] == night_ms - 1000 + 250_000
    recorder.session.market = "CLOSED"
    monkeypatch.setattr(recorder.session.clock, "now_ms", lambda: OPEN_MS)
    recorder.lose(Cause.CONNECTION_LOST, OPEN_MS - 1000, {TENCENT: 4.0})
    assert recorder.describe()["outage"] is None
