"""Where the cursor is lost, what is older than today is stored again beside it; today does not wait for that."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING, Final

import pytest
from support.kept_log import keep_log
from support.odd_days import mend, noise
from support.settings import writer_settings
from support.ticks import DAY, DAY_MS, OPEN_MS, TENCENT, push, ticker

from hk_tick_collector.hktime import hk_day
from hk_tick_collector.journal.append import Journal
from hk_tick_collector.journal.cursor import BEFORE, CURSOR, Wait, load_waits, save_cursor
from hk_tick_collector.journal.segments import DIRECTORY, Position
from hk_tick_collector.seal.due import due_days
from hk_tick_collector.writer import loop as writer_module
from hk_tick_collector.writer import waiting as waiting_module
from hk_tick_collector.writer.loop import Writer
from hk_tick_collector.writer.progress import WaitingDay

if TYPE_CHECKING:
    from support.scenario import Scenario

DAYS: Final = [hk_day(OPEN_MS + n * DAY_MS) for n in range(5)]
TODAY: Final = DAYS[-1]
TICKS: Final = 20


@pytest.fixture(autouse=True)
def _clock(scenario: Scenario, monkeypatch: pytest.MonkeyPatch) -> None:
    """The host's clock is the scenario's, for the journal's names and for the writer."""
    scenario.journal.close(5)
    for segment in (scenario.root / DIRECTORY).glob("*.hkj"):
        segment.unlink()
    scenario.journal = Journal(
        scenario.root / DIRECTORY,
        segment_bytes=1 << 20,
        buffer_bytes=1 << 20,
        sync_ms=10,
        clock_ms=lambda: scenario.now_ms,
    )
    scenario.journal.start()
    monkeypatch.setattr(writer_module, "wall_ms", lambda: scenario.now_ms)


def made(scenario: Scenario) -> Writer:
    """A writer of small batches that tries again at once."""
    return Writer(writer_settings(scenario.root, retry_backoff_sec=0.0, batch_size=5))


def store_all(writer: Writer) -> None:
    """Until there is nothing more to do, also for what had failed; then it ends."""
    while writer.step():
        pass
    writer.close()


def trade(scenario: Scenario, day: int, some: range) -> None:
    """Pushes of that day."""
    begin_ms = OPEN_MS + day * DAY_MS
    scenario.now_ms = max(scenario.now_ms, begin_ms)
    for n in some:
        scenario.hear(push(TENCENT, ticker(n, begin_ms + n)))


@pytest.fixture
def week(scenario: Scenario) -> Scenario:
    """Five days in the journal, all stored but for one that lacks its database; then the cursor is lost."""
    for day in range(5):
        trade(scenario, day, range(1, TICKS + 1))
    scenario.write()
    lose_cursor(scenario)
    (scenario.root / f"{DAYS[1]}.db").unlink()
    return scenario


def lose_cursor(scenario: Scenario) -> None:
    """It is a file like any other."""
    (scenario.root / DIRECTORY / CURSOR).unlink()


def is_whole(scenario: Scenario, day: str, ticks: int = TICKS) -> bool:
    """Whether all of a day's ticks are stored."""
    return (scenario.root / f"{day}.db").exists() and scenario.stored_ordinals(day) == list(range(1, ticks + 1))


@pytest.mark.parametrize("restart_every", [0, 1, 3])
def test_today_is_stored_before_all_that_is_older(week: Scenario, restart_every: int) -> None:
    """Also where writers end meanwhile; in the end all is there, and nothing waits any more."""
    trade(week, 4, range(TICKS + 1, 2 * TICKS + 1))
    writer = made(week)
    steps = 0
    today_at = past_at = 0
    while writer.step():
        steps += 1
        today_at = today_at or (steps if is_whole(week, TODAY, 2 * TICKS) else 0)
        past_at = past_at or (steps if is_whole(week, DAYS[1]) else 0)
        if restart_every and steps % restart_every == 0:
            writer.close()
            writer = made(week)
    writer.close()
    assert 0 < today_at < past_at
    assert all(is_whole(week, day) for day in DAYS[:4])
    assert load_waits(week.root / DIRECTORY) == {}
    assert not list((week.root / DIRECTORY).glob("judge-*"))


def test_it_is_told_with_its_progress(week: Scenario, monkeypatch: pytest.MonkeyPatch) -> None:
    """In the log, and to the recorder: how much is left, less each time."""
    logged = keep_log(waiting_module, monkeypatch)
    writer = made(week)
    (fields,) = [fields for event, fields in logged.lines if event == "cursor_lost"]
    assert fields["stored_again_before"] == TODAY
    left = []
    while writer.step():
        (told,) = writer._waiting.told(TODAY) or [WaitingDay(left_bytes=0)]
        left.append(told.left_bytes)
    writer.close()
    known = [some for some in left if some is not None]
    assert known == sorted(known, reverse=True)
    assert len(set(known)) > 5
    assert logged.events().count("stored_again") == 1, "the others are held back for half a minute"


def test_no_day_is_sealed_meanwhile(week: Scenario) -> None:
    """More of it may be in the journal."""
    writer = made(week)
    writer.step()
    assert list(load_waits(week.root / DIRECTORY)) == [BEFORE + TODAY]
    assert due_days(week.root, "20261231", 0) == [TODAY]
    store_all(writer)
    assert due_days(week.root, "20261231", 0) == DAYS


def test_a_writer_that_is_to_stop_leaves_it_to_the_next(week: Scenario) -> None:
    """What is stored again is there already, nearly always; nobody should wait for it."""
    writer = made(week)
    while writer.step(is_stopping=True):
        pass
    assert writer.is_today_stored
    assert not is_whole(week, DAYS[1])
    writer.close()
    store_all(made(week))
    assert is_whole(week, DAYS[1])


def test_a_day_that_can_not_be_written_then_waits_alone(week: Scenario) -> None:
    """The others are stored again, and it catches up when it can."""
    noise(week.root / f"{DAYS[2]}.db")
    writer = made(week)
    for _ in range(200):
        writer.step()
    assert list(load_waits(week.root / DIRECTORY)) == [DAYS[2]]
    assert all(is_whole(week, day) for day in DAYS if day != DAYS[2])
    mend(week.root / f"{DAYS[2]}.db")
    writer._waiting._tries.clear()
    store_all(writer)
    assert is_whole(week, DAYS[2])


def test_todays_ticks_that_were_received_by_a_late_clock_are_stored_too(scenario: Scenario) -> None:
    """The host was three days late for two days and until this morning: what is of today stands under old names."""
    for day in (2, 3, 4):
        scenario.now_ms = OPEN_MS + (day - 3) * DAY_MS
        for n in range(1, TICKS + 1):
            scenario.hear(push(TENCENT, ticker(n, OPEN_MS + day * DAY_MS + n)))
    trade(scenario, 4, range(TICKS + 1, 2 * TICKS + 1))
    scenario.write()
    lose_cursor(scenario)
    (scenario.root / f"{TODAY}.db").unlink()
    store_all(made(scenario))
    assert is_whole(scenario, TODAY, 2 * TICKS)
    assert load_waits(scenario.root / DIRECTORY) == {}


def test_where_nothing_is_older_nothing_waits(scenario: Scenario) -> None:
    """A first start, or a journal of today alone."""
    assert made(scenario)._waiting.waits == {}
    trade(scenario, 0, range(1, 5))
    writer = made(scenario)
    assert writer._waiting.waits == {}
    store_all(writer)
    assert scenario.stored_ordinals(DAY) == [1, 2, 3, 4]


def test_another_lanes_look_at_past_days_drops_no_lock(week: Scenario) -> None:
    """To open and close a file that this process has open takes SQLite's locks away: then anybody deletes its log."""
    writer = made(week)
    path = week.root / f"{DAYS[1]}.db"
    wal = path.with_name(path.name + "-wal")
    while not wal.exists() or len(week.stored_ordinals(DAYS[1])) < TICKS // 2:
        assert writer.step()
    writer._lane.databases._look_back_at = 0.0
    writer._lane.databases.trim()
    shell = "import sqlite3, sys; sqlite3.connect(sys.argv[1]).execute('SELECT count(*) FROM ticks').fetchone()"
    subprocess.run([sys.executable, "-c", shell, str(path)], check=True)
    assert wal.exists(), "it was deleted under the lane that writes to it"
    store_all(writer)
    assert all(is_whole(week, day) for day in DAYS)


def test_a_cursor_of_another_journal_leaves_no_day_waiting(week: Scenario) -> None:
    """Its places say nothing of this one."""
    places = {DAYS[0]: Wait(Position(50, 100, 7), 1, "BusyError: database is locked")}
    save_cursor(week.root / DIRECTORY, Position(50, 100, 7), places)
    trade(week, 4, range(TICKS + 1, TICKS + 3))
    store_all(made(week))
    assert all(is_whole(week, day) for day in DAYS[:4])
    assert is_whole(week, TODAY, TICKS + 2)
    assert load_waits(week.root / DIRECTORY) == {}
