"""The write-ahead log: emptied between commits, and kept from growing while a reader holds it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import apsw
import pytest
import structlog
from structlog.testing import capture_logs
from support.kept_log import keep_log
from support.settings import writer_settings
from support.ticks import DAY, row, seq_at

from hk_tick_collector.db import DayDatabase, Pragmas
from hk_tick_collector.store import wal as wal_module
from hk_tick_collector.store.opening import open_readonly
from hk_tick_collector.store.wal import HELD_TELL_SEC, PACE_SEC_MAX, PAGE_BYTES, Wal
from hk_tick_collector.writer.loop import Writer

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from hk_tick_collector.mapping import Row

SYMBOLS = 50


class Clock:
    """A clock that is set."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        """The time that was set."""
        return self.now


@pytest.fixture
def clock() -> Clock:
    """What the log's keeper takes for the time."""
    return Clock()


@pytest.fixture
def database(tmp_path: Path, clock: Clock) -> Iterator[DayDatabase]:
    """A day database whose log is moved from 100 pages on, with that clock."""
    made = DayDatabase(tmp_path / f"{DAY}.db", Pragmas())
    made.wal = Wal(made._con, made.path, 100, clock)
    yield made
    made.close()


def commit(database: DayDatabase, times: int, first: int = 0) -> int:
    """Commits of a tick for each symbol; each touches as many pages. Returns the ordinal to go on with."""
    for n in range(first, first + times):
        rows: dict[str, list[Row]] = {f"HK.{s:05}": [row(f"HK.{s:05}", seq_at(n))] for s in range(SYMBOLS)}
        database.store(rows, {})
    return first + times


def test_a_commit_never_checkpoints(database: DayDatabase) -> None:
    """The log grows until it is looked at, and is then moved into the database; it begins anew in its file."""
    first = commit(database, 3)
    main_before, size = database.path.stat().st_size, database.wal.size_bytes()
    database.wal.keep_short()
    assert database.wal.size_bytes() == size, "not long enough yet"
    while size < 100 * PAGE_BYTES:
        first = commit(database, 1, first)
        size = database.wal.size_bytes()
    database.wal.keep_short(is_busy=True)
    assert database.path.stat().st_size == main_before, "in a burst it may be longer"
    database.wal.keep_short()
    assert database.path.stat().st_size > main_before


def test_a_file_that_became_long_is_emptied(database: DayDatabase) -> None:
    """After a burst the file does not stay as long as it was."""
    commit(database, 200)
    assert database.wal.size_bytes() > database.wal.long_bytes
    database.wal.keep_short()
    assert database.wal.size_bytes() == 0
    assert database.wal.held_sec == 0


def test_a_reader_that_keeps_its_snapshot_slows_the_commits_down(database: DayDatabase, clock: Clock) -> None:
    """While a reader holds the log, commits are to be made the seldomer the longer it is; then as ever."""
    first = commit(database, 5)
    reader = open_readonly(database.path)
    reader.execute("BEGIN")
    assert reader.execute("SELECT count(*) FROM ticks").get == 5 * SYMBOLS
    assert database.wal.pace_sec() == 0
    first = commit(database, 200, first)
    database.wal.keep_short()
    clock.now += 7.0
    assert database.wal.held_sec == 7.0
    pace_sec = database.wal.pace_sec()
    assert pace_sec == (database.wal.size_bytes() - database.wal.long_bytes) / wal_module.PACE_BYTES_PER_SEC > 0
    first = commit(database, 100, first)
    assert pace_sec < database.wal.pace_sec() < PACE_SEC_MAX
    assert reader.execute("SELECT count(*) FROM ticks").get == 5 * SYMBOLS, "its snapshot is left alone"
    database.wal.keep_short()
    reader.execute("COMMIT")
    reader.close()
    clock.now += 0.5
    database.wal.keep_short()
    assert database.wal.held_sec > 0, "looked at once a second, not at each commit"
    clock.now += 0.6
    database.wal.keep_short()
    assert (database.wal.held_sec, database.wal.pace_sec(), database.wal.size_bytes()) == (0, 0, 0)
    assert database._con.pragma("busy_timeout") == Pragmas().busy_timeout_ms


def test_a_reader_at_the_end_of_the_log_holds_it_too(database: DayDatabase, clock: Clock) -> None:
    """A log that is wholly moved can't be begun anew while somebody still looks at it: it counts as held."""
    commit(database, 200)
    reader = open_readonly(database.path)
    reader.execute("BEGIN")
    reader.execute("SELECT count(*) FROM ticks").get  # noqa: B018 - this takes the snapshot
    database.wal.keep_short()
    assert database.wal.size_bytes() > 0
    clock.now += 1.0
    assert database.wal.held_sec == 1.0
    reader.close()
    database.wal.keep_short()
    assert (database.wal.held_sec, database.wal.size_bytes()) == (0, 0)


def test_it_is_told_once_a_minute_and_at_the_end(
    database: DayDatabase, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A short reader is no news; a long one is a warning each minute, and its end is a line."""
    first = commit(database, 5)
    reader = open_readonly(database.path)
    reader.execute("BEGIN")
    reader.execute("SELECT count(*) FROM ticks").get  # noqa: B018 - this takes the snapshot
    commit(database, 200, first)
    monkeypatch.setattr(wal_module, "log", structlog.get_logger())
    with capture_logs() as told:
        for _ in range(int(HELD_TELL_SEC)):
            database.wal.keep_short()
            clock.now += 1.0
        assert told == []
        for _ in range(70):
            database.wal.keep_short()
            clock.now += 1.0
        assert [(line["event"], line["held_sec"]) for line in told] == [("wal_held", 10.0), ("wal_held", 70.0)]
        reader.close()
        database.wal.keep_short()
        assert [line["event"] for line in told[2:]] == ["wal_released"]


def test_the_line_tells_the_pace_that_is_kept(tmp_path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the watchdog would take such a pace for a stall, the writer's own limit is what commits wait for."""
    writer = Writer(writer_settings(tmp_path, wal_autocheckpoint_pages=100, pace_sec_max=0.1))
    database, _ = writer._lane.databases.get(DAY)
    database.wal._clock = clock
    first = commit(database, 5)
    reader = open_readonly(database.path)
    reader.execute("BEGIN")
    reader.execute("SELECT count(*) FROM ticks").get  # noqa: B018 - this takes the snapshot
    commit(database, 300, first)
    excess_bytes = database.wal.size_bytes() - database.wal.long_bytes
    assert excess_bytes > 0.1 * wal_module.PACE_BYTES_PER_SEC, "the pace would be a slower one"
    log = keep_log(wal_module, monkeypatch)
    database.wal.keep_short()
    clock.now += HELD_TELL_SEC
    database.wal.keep_short()
    assert [(event, fields["commit_every_sec"]) for event, fields in log.lines] == [("wal_held", 0.1)]
    assert writer._lane.databases.wal_state().pace_sec == 0.1
    reader.close()
    writer.close()


def test_what_is_committed_seldom_touches_each_page_once(database: DayDatabase) -> None:
    """The rule behind the slower pace: the same rows in few commits make a log that is many times shorter."""
    commit(database, 100)
    often = database.wal.size_bytes()
    database._con.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_TRUNCATE)
    rows = {f"HK.{s:05}": [row(f"HK.{s:05}", seq_at(n)) for n in range(100, 200)] for s in range(SYMBOLS)}
    database.store(rows, {})
    assert database.wal.size_bytes() * 10 < often
