"""The writer's parts: what is taken from the journal together, and that no error makes it pass a record over."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import apsw
import pytest
from support.settings import writer_settings
from support.ticks import DAY, DAY_MS, HSBC, NEXT_DAY, OPEN_MS, TENCENT, push, pushes, reply, row, seq_at, ticker

from hk_tick_collector.db import DayDatabase, Pragmas
from hk_tick_collector.errors import AlreadyRunningError
from hk_tick_collector.journal.append import Journal
from hk_tick_collector.journal.cursor import CURSOR, load_cursor
from hk_tick_collector.journal.segments import DIRECTORY
from hk_tick_collector.mapping import Correction
from hk_tick_collector.store.data_root import hold_lock
from hk_tick_collector.store.opening import open_readonly
from hk_tick_collector.writer import loop as writer_module
from hk_tick_collector.writer.batch import BadRow, Chunk, share_by_day
from hk_tick_collector.writer.day_databases import DayDatabases
from hk_tick_collector.writer.loop import Writer

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    """A journal that is at work, in DATA_ROOT `tmp_path`."""
    made = Journal(tmp_path / DIRECTORY, segment_bytes=1 << 20, buffer_bytes=1 << 20, sync_ms=10)
    made.start()
    yield made
    made.close(5)


@pytest.fixture
def said(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """What writers tell the recorder."""
    messages: list[dict[str, Any]] = []
    monkeypatch.setattr(writer_module, "send", lambda message: messages.append(json.loads(message.to_line())))
    return messages


def feed(journal: Journal, raw: bytes) -> None:
    """One record."""
    journal.append_frames(1, OPEN_MS, raw)
    assert journal.flush(60)


def stored(root: Path, day: str = DAY) -> list[tuple[Any, ...]]:
    """The stored ticks of a day."""
    con = open_readonly(root / f"{day}.db")
    try:
        return con.execute("SELECT symbol, seq FROM ticks").fetchall()
    finally:
        con.close()


def keys(symbol: str, ordinals: range) -> list[tuple[str, int]]:
    """What is stored of `pushes` of these."""
    return [(symbol, seq_at(n)) for n in ordinals]


# ---- a batch


def test_a_batch_is_shared_by_hong_kong_days() -> None:
    """Rows, corrections and bad rows go to the day of their time; one symbol's rows of two days are parted in order."""
    chunk = Chunk()
    today, tomorrow = row(TENCENT, 1), row(TENCENT, 2, OPEN_MS + DAY_MS)
    also = row(TENCENT, 3)
    other = row(HSBC, 4, OPEN_MS + DAY_MS)
    chunk.mapped.pushed = {TENCENT: [today, tomorrow, also], HSBC: [other]}
    chunk.mapped.fetched = {TENCENT: [tomorrow]}
    correction = Correction(TENCENT, 1, "", OPEN_MS + DAY_MS, OPEN_MS, "test")
    chunk.mapped.corrections.append(correction)
    bad = BadRow(b"digest", HSBC, OPEN_MS + DAY_MS, "error", b"raw", 1, 2, 3, 4)
    chunk.bad.append(bad)
    days = share_by_day(chunk)
    assert sorted(days) == [DAY, NEXT_DAY]
    assert days[DAY].pushed == {TENCENT: [today, also]}
    assert days[DAY].fetched == {}
    assert days[DAY].corrections == [correction]
    assert days[DAY].bad == []
    assert days[NEXT_DAY].pushed == {TENCENT: [tomorrow], HSBC: [other]}
    assert days[NEXT_DAY].fetched == {TENCENT: [tomorrow]}
    assert days[NEXT_DAY].bad == [bad]


def test_batches_end_where_they_are_full(tmp_path: Path, journal: Journal, said: list[dict[str, Any]]) -> None:
    """A batch takes whole records until it has ticks enough, and tells that there is more."""
    for start in range(0, 100, 10):
        feed(journal, pushes(TENCENT, range(start, start + 10)))
    writer = Writer(writer_settings(tmp_path, batch_size=35))
    assert writer.step()
    assert len(stored(tmp_path)) == 40
    cursor = load_cursor(tmp_path / DIRECTORY)
    assert cursor is not None
    assert (said[-1]["segment"], said[-1]["offset"]) == (cursor.segment, cursor.offset)
    assert writer.step()
    assert not writer.step()
    assert not writer.step()
    assert stored(tmp_path) == keys(TENCENT, range(100))
    assert [message["rows"] for message in said] == [40, 40, 20]
    writer.close()


def test_fetched_ticks_also_fill_a_batch(tmp_path: Path, journal: Journal, said: list[dict[str, Any]]) -> None:
    """Replies, whose ticks can't be counted before they are read, are bounded by their bytes."""
    for symbol in range(30):
        feed(journal, reply(f"HK.{symbol:05}", *(ticker(n) for n in range(100))))
    writer = Writer(writer_settings(tmp_path, batch_size=200))
    while writer.step():
        pass
    writer.close()
    rows = [message["rows"] for message in said]
    assert sum(rows) == 3000
    assert max(rows) <= 600


def test_events_alone_move_the_cursor(tmp_path: Path, journal: Journal, said: list[dict[str, Any]]) -> None:
    """Records without ticks are passed over for good, and no database is made for them."""
    journal.append_event(1, OPEN_MS, {"event": "session_up"})
    assert journal.flush(60)
    writer = Writer(writer_settings(tmp_path))
    assert not writer.step()
    cursor = load_cursor(tmp_path / DIRECTORY)
    assert cursor is not None
    assert cursor.record_no == 1
    assert said[-1]["rows"] == 0
    assert said[-1]["totals"]["commits"] == 0
    assert not list(tmp_path.glob("*.db"))
    writer.close()


@pytest.mark.parametrize("raw", [b"FT", push(TENCENT, ticker(1))[:-1], push(TENCENT, ticker(1)) + b"\x00" * 50])
def test_a_record_that_is_no_run_of_frames_stops_nothing(
    tmp_path: Path, journal: Journal, said: list[dict[str, Any]], raw: bytes
) -> None:
    """It is kept aside whole, and what comes before and behind it is stored."""
    feed(journal, pushes(TENCENT, range(3)))
    feed(journal, raw)
    feed(journal, pushes(TENCENT, range(3, 6)))
    writer = Writer(writer_settings(tmp_path))
    assert not writer.step()
    writer.close()
    assert said[-1]["totals"]["bad"] == 1
    con = open_readonly(next(tmp_path.glob("*.db")))
    assert con.execute("SELECT frame, place, raw FROM bad_ticks").fetchall() == [(-1, -1, raw)]
    assert con.execute("SELECT symbol, seq FROM ticks").fetchall() == keys(TENCENT, range(6))
    con.close()


def test_sums_that_do_not_fit_stop_nothing(tmp_path: Path, journal: Journal, said: list[dict[str, Any]]) -> None:
    """Volumes and turnovers that make no sense must not have their batch tried for ever."""
    absurd = [ticker(n, volume=2**63 - 1, turnover=1.7e308) for n in range(3)]
    feed(journal, push(TENCENT, *absurd) + pushes(HSBC, range(3)))
    feed(journal, reply(TENCENT, *absurd, ticker(3, volume=-(2**63), turnover=-1.7e308)))
    writer = Writer(writer_settings(tmp_path))
    assert not writer.step()
    writer.close()
    assert said[-1]["rows"] == 10
    assert len(stored(tmp_path)) + said[-1]["totals"]["bad"] + said[-1]["totals"]["duplicates"] == 10


def test_damage_in_the_journal_is_told_and_counted(
    tmp_path: Path, journal: Journal, said: list[dict[str, Any]], capsys: pytest.CaptureFixture[str]
) -> None:
    """A record that is damaged is an error line with its place; the ticks around it are stored."""
    for n in range(3):
        feed(journal, pushes(TENCENT, range(n * 10, n * 10 + 10)))
    (path,) = (tmp_path / DIRECTORY).glob("*.hkj")
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    writer = Writer(writer_settings(tmp_path))
    assert not writer.step()
    writer.close()
    assert stored(tmp_path) == keys(TENCENT, range(10)) + keys(TENCENT, range(20, 30))
    assert said[-1]["totals"]["damages"] == 2
    assert "journal_damaged" in capsys.readouterr().out


# ---- after an error


def test_an_error_in_the_second_day_is_mended_by_doing_all_again(
    tmp_path: Path, journal: Journal, said: list[dict[str, Any]]
) -> None:
    """Nothing of it counts, and the whole batch is stored again."""
    feed(journal, pushes(TENCENT, range(5)) + pushes(TENCENT, range(5), OPEN_MS + DAY_MS))
    (tmp_path / f"{NEXT_DAY}.db").mkdir()
    writer = Writer(writer_settings(tmp_path, days_wait=False))
    with pytest.raises(apsw.CantOpenError):
        writer.step()
    assert load_cursor(tmp_path / DIRECTORY) is None
    writer.reset()
    assert stored(tmp_path) == []
    (tmp_path / f"{NEXT_DAY}.db").rmdir()
    assert not writer.step()
    writer.close()
    assert (said[-1]["totals"]["inserted"], said[-1]["totals"]["duplicates"]) == (10, 0)
    assert stored(tmp_path) == keys(TENCENT, range(5))
    assert len(stored(tmp_path, NEXT_DAY)) == 5


def test_a_database_that_can_not_be_closed_hides_no_record(
    tmp_path: Path, journal: Journal, said: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever fails while it recovers, a record that was read and not stored is read again."""
    feed(journal, pushes(TENCENT, range(5)))
    writer = Writer(writer_settings(tmp_path, days_wait=False))
    with monkeypatch.context() as broken:
        broken.setattr(DayDatabases, "get", _raise)
        with pytest.raises(apsw.FullError):
            writer.step()
        broken.setattr(DayDatabases, "close", _raise)
        with pytest.raises(apsw.FullError):
            writer.reset()
    assert not writer.step()
    writer.close()
    assert stored(tmp_path) == keys(TENCENT, range(5))
    assert said


def _raise(*_args: object) -> None:
    raise apsw.FullError("database or disk is full")


@pytest.mark.parametrize("synchronous", ["NORMAL", "FULL"])
def test_after_a_power_cut_normal_replays_the_day(
    tmp_path: Path, journal: Journal, said: list[dict[str, Any]], synchronous: str
) -> None:
    """What NORMAL had committed may be gone with the power: the day is stored again, also if that fails at first."""
    feed(journal, pushes(TENCENT, range(5)))
    settings = writer_settings(tmp_path, synchronous=synchronous, days_wait=False)
    writer = Writer(settings)
    assert not writer.step()
    writer.close()
    cursor = tmp_path / DIRECTORY / CURSOR
    cursor.write_text(json.dumps({**json.loads(cursor.read_text()), "boot_id": "another"}))
    (tmp_path / f"{DAY}.db").unlink()  # the power cut
    (tmp_path / f"{DAY}.db").mkdir()
    writer = Writer(settings)
    if synchronous == "FULL":
        assert not writer.step()
        assert said[-1]["totals"]["inserted"] == 5, "there was nothing to do again"
        writer.close()
        return
    with pytest.raises(apsw.CantOpenError):
        writer.step()
    writer.reset()
    (tmp_path / f"{DAY}.db").rmdir()
    DayDatabase(tmp_path / f"{DAY}.db", Pragmas()).close()  # all of its rows are gone
    assert not writer.step()
    writer.close()
    assert stored(tmp_path) == keys(TENCENT, range(5))


# ---- the lock


def test_the_lock_is_held_by_one(tmp_path: Path) -> None:
    """Who comes second is told in one line who holds it; once it is let go, it can be taken."""
    first = hold_lock(tmp_path, ".lock", 0)
    with pytest.raises(AlreadyRunningError) as caught:
        hold_lock(tmp_path, ".lock", 0.1)
    assert str(caught.value) == (
        f"DATA_ROOT {tmp_path} is in use by process {os.getpid()}: stop that one, or use another DATA_ROOT"
    )
    os.close(first)
    os.close(hold_lock(tmp_path, ".lock", 0))


def test_the_lock_ends_with_its_process(tmp_path: Path) -> None:
    """A process that was killed leaves nothing behind that must be cleared away."""
    script = (
        "import sys, pathlib, os, signal; from hk_tick_collector.store.data_root import hold_lock; "
        "hold_lock(pathlib.Path(sys.argv[1]), '.lock', 0); os.kill(os.getpid(), signal.SIGKILL)"
    )
    assert subprocess.run([sys.executable, "-c", script, tmp_path], check=False).returncode == -9
    os.close(hold_lock(tmp_path, ".lock", 0))
