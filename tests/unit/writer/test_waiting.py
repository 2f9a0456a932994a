"""Days that can't be written wait, each with its own place; all others go on, and each catches up by itself."""

from __future__ import annotations

import json
import re
import threading
import time
from collections import defaultdict
from typing import TYPE_CHECKING, Any

import apsw
import pytest
from support.odd_days import directory, foreign, link, mend, newer, noise
from support.older_recorder import held_elsewhere, make_old, old_tick
from support.settings import writer_settings
from support.ticks import DAY, DAY_MS, HSBC, NEXT_DAY, OPEN_MS, TENCENT, push, reply, ticker

from hk_tick_collector.db import DayDatabase, Pragmas
from hk_tick_collector.errors import DatabaseError, FileGoneError, OlderRecorderError
from hk_tick_collector.hktime import hk_day
from hk_tick_collector.journal.cursor import CURSOR, load_cursor, load_waits, needed_from
from hk_tick_collector.journal.events import Cause
from hk_tick_collector.journal.segments import DIRECTORY
from hk_tick_collector.opend.purpose import Purpose
from hk_tick_collector.seal.day import seal, sealing
from hk_tick_collector.seal.due import due_days
from hk_tick_collector.seal.open_day import open_day
from hk_tick_collector.store.opening import open_readonly
from hk_tick_collector.writer import loop as writer_module
from hk_tick_collector.writer.loop import Writer
from hk_tick_collector.writer.waiting import RETRY_SEC_MAX

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from support.scenario import Scenario

OTHER = NEXT_DAY


@pytest.fixture(autouse=True)
def said(scenario: Scenario, monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """What writers of a scenario tell the recorder."""
    assert scenario
    messages: list[dict[str, Any]] = []
    monkeypatch.setattr(writer_module, "send", lambda message: messages.append(json.loads(message.to_line())))
    return messages


def made(scenario: Scenario, **settings: Any) -> Writer:  # noqa: ANN401
    """A writer that tries again at once."""
    return Writer(
        writer_settings(
            scenario.root, **{"retry_backoff_sec": 0.0, "busy_timeout_ms": 50, "batch_size": 10, **settings}
        )
    )


def store_all(writer: Writer) -> None:
    """Until there is nothing more to do."""
    while writer.step():
        pass


def of_both_days(scenario: Scenario, some: range) -> None:
    """Pushes of one day and of the next, side by side."""
    for n in some:
        scenario.hear(push(TENCENT, ticker(n, OPEN_MS + n)), push(TENCENT, ticker(n, OPEN_MS + DAY_MS + n)))


@pytest.mark.parametrize("is_restarted", [False, True])
@pytest.mark.parametrize("breaks", [directory, noise, foreign, newer, link])
def test_a_day_that_can_not_be_written_waits_and_catches_up(
    scenario: Scenario,
    said: list[dict[str, Any]],
    breaks: Callable[[Path], None],
    *,
    is_restarted: bool,
) -> None:
    """The other day is stored meanwhile; nothing is lost, and what was in the way is untouched."""
    path = scenario.root / f"{OTHER}.db"
    breaks(path)
    before = path.read_bytes() if path.is_file() else None
    of_both_days(scenario, range(1, 30))
    writer = made(scenario)
    store_all(writer)
    assert scenario.stored_ordinals(DAY) == list(range(1, 30))
    assert list(load_waits(scenario.root / DIRECTORY)) == [OTHER]
    assert said[-1]["waits"][0]["day"] == OTHER
    assert load_cursor(scenario.root / DIRECTORY) != needed_from(scenario.root / DIRECTORY)
    assert (path.read_bytes() if path.is_file() else None) == before
    assert OTHER not in due_days(scenario.root, "20261231", 0)
    with sealing(scenario.root) as lock, pytest.raises(DatabaseError, match="still in the journal"):
        seal(path, lock, lambda *_: None)
    of_both_days(scenario, range(30, 60))
    if is_restarted:
        writer.close()
        writer = made(scenario)
    store_all(writer)
    assert scenario.stored_ordinals(DAY) == list(range(1, 60))
    mend(path)
    writer._waiting._tries.clear()
    store_all(writer)
    assert scenario.stored_ordinals(OTHER) == list(range(1, 60))
    assert load_waits(scenario.root / DIRECTORY) == {}
    assert not list((scenario.root / DIRECTORY).glob("judge-*"))
    of_both_days(scenario, range(60, 70))
    store_all(writer)
    writer.close()
    assert scenario.stored_ordinals(OTHER) == scenario.stored_ordinals(DAY) == list(range(1, 70))
    assert said[-1]["waits"] == []


def test_a_damaged_day_is_told_and_tried_again_later_each_time(scenario: Scenario) -> None:
    """It can't be mended by waiting: the writer does not spend its time on it."""
    noise(scenario.root / f"{OTHER}.db")
    of_both_days(scenario, range(1, 5))
    writer = made(scenario, retry_backoff_sec=0.5)
    store_all(writer)
    for failures in range(1, 12):
        due, so_far = writer._waiting._tries[OTHER]
        assert so_far == failures
        assert due - time.monotonic() <= RETRY_SEC_MAX
        writer._waiting._tries[OTHER] = writer._waiting._tries[OTHER]._replace(due=0.0)
        assert not writer.step()
    assert "NotADBError" in load_waits(scenario.root / DIRECTORY)[OTHER].reason
    writer.close()


def test_a_locked_day_waits_with_what_is_concluded_of_it(scenario: Scenario) -> None:
    """Its gaps and doubts are those that it has where it never waited, at the same places."""

    def told() -> None:
        for n in range(2, 101):
            scenario.hear(push(TENCENT, ticker(n, scenario.now_ms)))
        since_ms = scenario.now_ms
        scenario.wait(60)
        scenario.resume(Cause.OPEND_DOWN, since_ms)
        scenario.hear(reply(TENCENT, *(ticker(n, scenario.now_ms) for n in range(141, 200))))
        scenario.hear(push(HSBC, ticker(1, scenario.now_ms)))
        scenario.record_only(TENCENT, HSBC)
        scenario.totals(tencent=20_000, hsbc=100)
        scenario.wait(30)
        scenario.totals(tencent=20_000, hsbc=100)

    scenario.write()
    writer = made(scenario)
    scenario.hear(push(TENCENT, ticker(1, OPEN_MS)))
    store_all(writer)
    lock = apsw.Connection(str(scenario.root / f"{DAY}.db"))
    lock.execute("BEGIN IMMEDIATE")
    told()
    scenario.now_ms += DAY_MS
    scenario.hear(push(TENCENT, ticker(1, scenario.now_ms)))
    store_all(writer)
    assert scenario.stored_ordinals(NEXT_DAY) == [1]
    assert scenario.stored_ordinals(DAY) == [1]
    lock.close()
    writer._waiting._tries.clear()
    store_all(writer)
    writer.close()
    found = scenario.dump()
    assert found["gaps"]
    assert found["exchange_totals"]
    scenario.begin_again()
    scenario.write()
    assert scenario.dump() == found


def test_a_file_that_was_taken_away_must_come_back(scenario: Scenario, monkeypatch: pytest.MonkeyPatch) -> None:
    """No empty one is made in its place, and what was in it is still there when it is put back."""
    monkeypatch.setattr("hk_tick_collector.writer.day_databases.LOOK_AT_FILES_SEC", 0)
    of_both_days(scenario, range(1, 10))
    writer = made(scenario)
    store_all(writer)
    path, moved = scenario.root / f"{DAY}.db", scenario.root / "moved.db"
    path.rename(moved)
    for suffix in ("-wal", "-shm"):
        path.with_name(path.name + suffix).rename(moved.with_name(moved.name + suffix))
    of_both_days(scenario, range(10, 20))
    store_all(writer)
    assert not path.exists()
    assert scenario.stored_ordinals(OTHER) == list(range(1, 20))
    assert "is gone" in load_waits(scenario.root / DIRECTORY)[DAY].reason
    writer.close()
    writer = made(scenario)
    store_all(writer)
    assert not path.exists()
    moved.rename(path)
    for suffix in ("-wal", "-shm"):
        if (beside := moved.with_name(moved.name + suffix)).exists():
            beside.rename(path.with_name(path.name + suffix))
    writer._waiting._tries.clear()
    store_all(writer)
    writer.close()
    assert scenario.stored_ordinals(DAY) == list(range(1, 20))


def be_today(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first of the two days is today."""
    monkeypatch.setattr(Writer, "_today", lambda _self: DAY)


def test_todays_damaged_database_is_set_aside_whole_and_made_again(
    scenario: Scenario, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From the journal, at once, while the other day goes on; then today's ticks go into it as ever."""
    be_today(monkeypatch)
    of_both_days(scenario, range(1, 30))
    writer = made(scenario)
    store_all(writer)
    writer.close()
    path = scenario.root / f"{DAY}.db"
    noise(path)
    before = path.read_bytes()
    of_both_days(scenario, range(30, 40))
    writer = made(scenario)
    store_all(writer)
    assert scenario.stored_ordinals(DAY) == scenario.stored_ordinals(OTHER) == list(range(1, 40))
    (kept,) = scenario.root.glob(f"{DAY}.db.damaged-*")
    assert kept.read_bytes() == before
    assert writer.is_today_stored
    of_both_days(scenario, range(40, 45))
    store_all(writer)
    writer.close()
    assert scenario.stored_ordinals(DAY) == list(range(1, 45))


@pytest.mark.parametrize("by", ["deletion", "replacement"])
def test_todays_file_that_is_deleted_or_replaced_is_noticed_and_made_again(
    scenario: Scenario, monkeypatch: pytest.MonkeyPatch, by: str
) -> None:
    """What goes into a file that nobody sees is stored for nobody."""
    monkeypatch.setattr("hk_tick_collector.writer.day_databases.LOOK_AT_FILES_SEC", 0)
    be_today(monkeypatch)
    of_both_days(scenario, range(1, 30))
    writer = made(scenario)
    store_all(writer)
    path = scenario.root / f"{DAY}.db"
    for suffix in ("-wal", "-shm", ""):
        path.with_name(path.name + suffix).unlink()
    if by == "replacement":
        DayDatabase(path, Pragmas()).close()
    store_all(writer)  # nothing has come since
    assert scenario.stored_ordinals(DAY) == list(range(1, 30))
    of_both_days(scenario, range(30, 40))
    store_all(writer)
    writer.close()
    assert scenario.stored_ordinals(DAY) == scenario.stored_ordinals(OTHER) == list(range(1, 40))


@pytest.mark.parametrize("was_ours", [False, True])
def test_a_file_of_the_older_recorder_makes_room_for_today_while_recording(
    scenario: Scenario, monkeypatch: pytest.MonkeyPatch, *, was_ours: bool
) -> None:
    """It was first at midnight, or somebody has put it there: as soon as nobody has it open, today is recorded."""
    monkeypatch.setattr("hk_tick_collector.writer.day_databases.LOOK_AT_FILES_SEC", 0)
    be_today(monkeypatch)
    path = scenario.root / f"{DAY}.db"
    writer = made(scenario)
    of_both_days(scenario, range(1, 30))
    if was_ours:
        store_all(writer)
        path.unlink()
    make_old(path, [old_tick(TENCENT, 1)])
    before = path.read_bytes()
    with held_elsewhere(path, "SELECT count(*) FROM ticks"):
        seen = rf"pid \d+ \(\S+\) has {path} open, which was made by the older "
        if was_ours:
            store_all(writer)
            (wait,) = writer._waiting.told(DAY)
            assert re.match(f"OlderRecorderError: {seen}", wait.reason)
        else:
            for _ in range(2):  # it tells the recorder, and tries again
                with pytest.raises(OlderRecorderError, match=seen):
                    store_all(writer)
                writer.reset()
        assert path.read_bytes() == before
    store_all(writer)
    of_both_days(scenario, range(30, 40))
    store_all(writer)
    writer.close()
    assert scenario.stored_ordinals(DAY) == scenario.stored_ordinals(OTHER) == list(range(1, 40))
    assert (scenario.root / "older-recorder" / path.name).read_bytes() == before


def test_todays_locked_database_keeps_it_waiting_as_ever(scenario: Scenario, monkeypatch: pytest.MonkeyPatch) -> None:
    """It may work in a moment: the writer tells the error and tries again."""
    be_today(monkeypatch)
    of_both_days(scenario, range(1, 5))
    writer = made(scenario)
    store_all(writer)
    lock = apsw.Connection(str(scenario.root / f"{DAY}.db"))
    lock.execute("BEGIN IMMEDIATE")
    of_both_days(scenario, range(5, 9))
    with pytest.raises(apsw.BusyError):
        store_all(writer)
    writer.reset()
    lock.close()
    store_all(writer)
    writer.close()
    assert scenario.stored_ordinals(DAY) == list(range(1, 9))


def test_a_certified_day_that_is_kept_elsewhere_is_left_alone(scenario: Scenario, said: list[dict[str, Any]]) -> None:
    """Nothing is opened or made in its place, nobody waits for it, and today is stored."""
    (scenario.root / f"{DAY}.certificate.json").write_text("{}")
    scenario.hear(reply(TENCENT, *(ticker(n) for n in range(1, 20)), purpose=Purpose.POLL))
    of_both_days(scenario, range(20, 30))
    writer = made(scenario)
    store_all(writer)
    writer.close()
    assert scenario.stored_ordinals(OTHER) == list(range(20, 30))
    assert not (scenario.root / f"{DAY}.db").exists()
    assert said[-1]["totals"]["away"] == 29
    assert load_waits(scenario.root / DIRECTORY) == {}


def test_a_place_that_can_not_be_read_back_stores_all_again(scenario: Scenario) -> None:
    """It is our own file, and no more trusted than others."""
    noise(scenario.root / f"{OTHER}.db")
    of_both_days(scenario, range(1, 20))
    writer = made(scenario)
    store_all(writer)
    writer.close()
    cursor = scenario.root / DIRECTORY / "cursor.json"
    told = json.loads(cursor.read_text())
    told["waits"][OTHER] = "nonsense"
    cursor.write_text(json.dumps(told))
    mend(scenario.root / f"{OTHER}.db")
    writer = made(scenario)
    store_all(writer)
    writer.close()
    assert scenario.stored_ordinals(OTHER) == scenario.stored_ordinals(DAY) == list(range(1, 20))


@pytest.mark.parametrize("cure", ["put back", "made again"])
def test_a_past_day_that_was_taken_away_while_nobody_had_it_open_waits(scenario: Scenario, cure: str) -> None:
    """No empty one is made in its place. It is put back; or the cursor is taken away too, and it is made again."""
    of_both_days(scenario, range(1, 10))
    scenario.write()
    path, moved = scenario.root / f"{DAY}.db", scenario.root / "moved.db"
    path.rename(moved)
    of_both_days(scenario, range(10, 20))
    scenario.write()
    assert not path.exists()
    assert scenario.stored_ordinals(OTHER) == list(range(1, 20))
    assert "put it back; or delete journal/cursor.json" in load_waits(scenario.root / DIRECTORY)[DAY].reason
    if cure == "put back":
        moved.rename(path)
    else:
        (scenario.root / DIRECTORY / CURSOR).unlink()
    scenario.write()
    assert scenario.stored_ordinals(DAY) == scenario.stored_ordinals(OTHER) == list(range(1, 20))
    assert load_waits(scenario.root / DIRECTORY) == {}


def test_a_days_file_appears_with_its_tables(tmp_path: Path) -> None:
    """A reader that opens it the moment it appears finds them, and no stray file stays."""
    seen: list[Any] = []

    def read(path: Path) -> None:
        while not path.exists():
            pass
        try:
            con = open_readonly(path)
            seen.append(con.execute("SELECT count(*) FROM ticks").get)
            con.close()
        except (apsw.Error, DatabaseError) as exc:
            seen.append(exc)

    for number in range(1, 31):
        path = tmp_path / f"202607{number:02}.db"
        reader = threading.Thread(target=read, args=(path,))
        reader.start()
        open_day(path, Pragmas()).close()
        reader.join()
    assert seen == [0] * 30
    assert not list(tmp_path.glob(".new-*"))


def test_what_a_killed_writer_left_of_a_day_that_it_made_is_cleared_away(tmp_path: Path) -> None:
    """It is no day yet."""
    scratch = tmp_path / f".new-{DAY}"
    scratch.mkdir()
    (scratch / f"{DAY}.db").write_bytes(b"half")
    open_day(tmp_path / f"{DAY}.db", Pragmas()).close()
    assert not scratch.exists()
    assert (tmp_path / f"{DAY}.db").exists()


def test_today_comes_before_an_old_day_when_both_wait(scenario: Scenario, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever looks at today does not wait for what is over."""
    monkeypatch.setattr(Writer, "_today", lambda _self: OTHER)
    for day in (DAY, OTHER):
        noise(scenario.root / f"{day}.db")
    of_both_days(scenario, range(1, 200))
    writer = made(scenario)
    for _ in range(20):
        writer.step()
    mend(scenario.root / f"{DAY}.db")
    writer._waiting.begin_again(OTHER, FileGoneError("gone"), 0)
    writer._waiting._tries.clear()
    while not (scenario.root / f"{OTHER}.db").exists() or len(scenario.stored_ordinals(OTHER)) < 199:
        writer.step()
    assert not (scenario.root / f"{DAY}.db").exists() or len(scenario.stored_ordinals(DAY)) < 199
    writer._waiting._tries.clear()
    store_all(writer)
    writer.close()
    assert scenario.stored_ordinals(DAY) == scenario.stored_ordinals(OTHER) == list(range(1, 200))


def test_of_days_that_are_locked_one_is_tried_before_the_others_go_on(scenario: Scenario) -> None:
    """Each may wait for its lock for a whole busy timeout: not all of them in one step."""
    days = [hk_day(OPEN_MS + n * DAY_MS) for n in range(6)]
    locks = []
    for number, day in enumerate(days[:-1]):
        scenario.hear(push(TENCENT, ticker(1, OPEN_MS + number * DAY_MS)))
        scenario.write()
        locks.append(apsw.Connection(str(scenario.root / f"{day}.db")))
        locks[-1].execute("BEGIN EXCLUSIVE")
    for number in range(6):
        scenario.hear(push(TENCENT, ticker(2, OPEN_MS + number * DAY_MS)))
    writer = made(scenario, busy_timeout_ms=300)
    longest_sec = 0.0
    for _ in range(20):
        writer._waiting._tries = defaultdict(writer._waiting._tries.default_factory, {
            day: each._replace(due=0.0) for day, each in writer._waiting._tries.items()
        })  # fmt: skip
        began = time.monotonic()
        writer.step()
        longest_sec = max(longest_sec, time.monotonic() - began)
    assert len(writer._waiting.waits) == 5
    assert longest_sec < 5 * 0.3, "all five in one step"
    for lock in locks:
        lock.close()
    writer._waiting._tries.clear()
    store_all(writer)
    writer.close()
    assert scenario.stored_ordinals(days[0]) == [1, 2]


def test_todays_file_that_is_gone_again_while_it_is_made_again_is_made_again(
    scenario: Scenario, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As often as somebody takes it away, also with a writer that dies at any moment in between."""
    monkeypatch.setattr("hk_tick_collector.writer.day_databases.LOOK_AT_FILES_SEC", 0)
    be_today(monkeypatch)
    of_both_days(scenario, range(1, 40))
    scenario.write()
    path = scenario.root / f"{DAY}.db"
    for steps in range(1, 6):
        for suffix in ("-wal", "-shm", ""):
            path.with_name(path.name + suffix).unlink(missing_ok=True)
        of_both_days(scenario, range(39 + steps, 40 + steps))
        writer = made(scenario)
        for _ in range(steps):
            writer.step()
        writer._lane.abandon()  # it is killed
        writer._waiting.close()
    writer = made(scenario)
    store_all(writer)
    writer.close()
    assert scenario.stored_ordinals(DAY) == scenario.stored_ordinals(OTHER) == list(range(1, 45))


def test_a_file_that_is_taken_away_without_its_log_does_not_leave_that_to_the_next(
    scenario: Scenario, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SQLite would store the old log over the new database: it is kept, under another name."""
    monkeypatch.setattr("hk_tick_collector.writer.day_databases.LOOK_AT_FILES_SEC", 0)
    be_today(monkeypatch)
    of_both_days(scenario, range(1, 100))
    writer = made(scenario)
    store_all(writer)
    (scenario.root / f"{DAY}.db").unlink()
    assert (scenario.root / f"{DAY}.db-wal").exists()
    of_both_days(scenario, range(100, 105))
    store_all(writer)
    writer.close()
    assert scenario.stored_ordinals(DAY) == list(range(1, 105))
    assert scenario.query("SELECT rows FROM symbol_stats") == [(104,)]
    assert list(scenario.root.glob(f"{DAY}.db-wal.left-*"))


def test_after_a_power_cut_normal_replays_days_that_wait_too(
    scenario: Scenario, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the waiting day's own lane had committed may be gone as well."""
    monkeypatch.setattr(Writer, "_today", lambda _self: OTHER)
    of_both_days(scenario, range(1, 100))
    writer = made(scenario, synchronous="NORMAL")
    writer.step()
    lock = apsw.Connection(str(scenario.root / f"{DAY}.db"))
    lock.execute("BEGIN IMMEDIATE")
    store_all(writer)
    lock.close()
    writer._waiting._tries.clear()
    for _ in range(3):
        writer.step()
    assert DAY in load_waits(scenario.root / DIRECTORY)
    writer._waiting.close()
    writer._lane.abandon()
    con = apsw.Connection(str(scenario.root / f"{DAY}.db"))
    con.execute("DELETE FROM ticks WHERE seq > (SELECT seq FROM ticks ORDER BY seq LIMIT 1 OFFSET 5)")
    con.execute("DELETE FROM symbol_stats")
    con.close()
    cursor = scenario.root / DIRECTORY / CURSOR
    cursor.write_text(json.dumps({**json.loads(cursor.read_text()), "boot_id": "another"}))
    writer = made(scenario, synchronous="NORMAL")
    store_all(writer)
    writer.close()
    assert scenario.stored_ordinals(DAY) == scenario.stored_ordinals(OTHER) == list(range(1, 100))


def test_an_unreadable_sealed_day_puts_nothing_aside_for_a_careful_writer(
    scenario: Scenario, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its lane is tried again and again, and nobody has died."""
    monkeypatch.setattr(Writer, "_today", lambda _self: OTHER)
    of_both_days(scenario, range(1, 20))
    scenario.write()
    path = scenario.root / f"{DAY}.db"
    (scenario.root / f"{DAY}.certificate.json").write_text("{}")
    of_both_days(scenario, range(20, 24))
    whole = path.read_bytes()
    path.write_bytes(bytes(100) + whole[100:])
    writer = made(scenario, is_careful=True)
    for _ in range(40):
        writer._waiting._tries.clear()
        writer.step()
    assert DAY in load_waits(scenario.root / DIRECTORY)
    path.write_bytes(whole)
    writer._waiting._tries.clear()
    store_all(writer)
    writer.close()
    assert scenario.stored_ordinals(DAY) == scenario.stored_ordinals(OTHER) == list(range(1, 24))
    assert scenario.query("SELECT count(*) FROM bad_ticks") == [(0,)]
