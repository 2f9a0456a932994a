"""The older recorder's files, read in each state that they may be left in, with nothing in their directory changed."""

from __future__ import annotations

import os
import shutil
import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING

import pytest
from support.older_recorder import (
    AUCTION_MS,
    DAY,
    LATE_MS,
    NEXT_DAY,
    OPEN_MS,
    VERSIONS,
    connect,
    held_elsewhere,
    insert,
    make_old,
    old_tick,
    states,
)
from support.ticks import TENCENT

from hk_tick_collector.db import DayDatabase, Pragmas
from hk_tick_collector.errors import DatabaseError
from hk_tick_collector.migrate import old_file
from hk_tick_collector.migrate.old_file import opened

if TYPE_CHECKING:
    from pathlib import Path

TICKS = [old_tick(TENCENT, n, OPEN_MS + n * 1000) for n in range(5)]


@pytest.fixture
def scratch(tmp_path: Path) -> Path:
    """A directory of ours."""
    made = tmp_path / "scratch"
    made.mkdir()
    return made


def read(path: Path, scratch: Path) -> list[object]:
    """The sequences in a file."""
    with opened(path, scratch) as file:
        assert file is not None
        return [row[1] for chunk in file.chunks() for row in chunk]


def error_of(path: Path, scratch: Path) -> str:
    """Why a file can't be read."""
    with pytest.raises(DatabaseError) as caught, opened(path, scratch):
        pass
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("version", VERSIONS)
def test_each_schema_version_is_read_and_left_as_it_is(version: int, old: Path, scratch: Path) -> None:
    """At rest, as an immutable file: no log and no shared memory appear beside it."""
    path = make_old(old / f"{DAY}.db", TICKS, version)
    before = states(old)
    assert read(path, scratch) == [tick.seq for tick in TICKS]
    with opened(path, scratch) as file:
        assert file is not None
        assert (file.version, file.rows, file.day) == (version, 5, DAY)
        assert {row[10] for chunk in file.chunks() for row in chunk} == (
            {tick.recv_ts_ms for tick in TICKS} if version >= 3 else {None}
        )
    assert states(old) == before
    assert list(scratch.iterdir()) == []


def test_chunks_are_small_and_leave_nothing_out(old: Path, scratch: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A row at the border of two chunks is in one of them."""
    path = make_old(old / f"{DAY}.db", TICKS)
    monkeypatch.setattr(old_file, "ROWS_AT_ONCE", 2)
    with opened(path, scratch) as file:
        assert file is not None
        assert [len(chunk) for chunk in file.chunks()] == [2, 2, 1]
    assert read(path, scratch) == [tick.seq for tick in TICKS]


def test_rows_of_other_days_are_found(old: Path, scratch: Path) -> None:
    """A late auction belongs to the day before; a time early in the day, without proof, to the day itself."""
    late = old_tick(TENCENT, 1, AUCTION_MS, LATE_MS)
    early = old_tick(TENCENT, 2, AUCTION_MS + LATE_MS + 60_000)
    path = make_old(old / f"{NEXT_DAY}.db", [late, early, old_tick(TENCENT, 3, OPEN_MS + 24 * 3_600_000)])
    with opened(path, scratch) as file:
        assert file is not None
        assert file.other_days() == {DAY}


def test_what_is_only_in_the_log_is_read_while_the_recorder_runs(old: Path, scratch: Path) -> None:
    """Its database and its log keep every byte."""
    with closing(connect(old / f"{DAY}.db")) as con:
        insert(con, TICKS)
        before = {name: data for name, (data, _) in states(old).items() if not name.endswith("-shm")}
        assert len(before) == 2
        assert read(old / f"{DAY}.db", scratch) == [tick.seq for tick in TICKS]
        assert {name: data for name, (data, _) in states(old).items() if not name.endswith("-shm")} == before
        insert(con, [old_tick(TENCENT, 9)])
    assert len(read(old / f"{DAY}.db", scratch)) == 6


@pytest.mark.parametrize("journal_mode", ["WAL", "DELETE"])
def test_what_a_killed_recorder_left_is_recovered_in_a_copy(journal_mode: str, old: Path, scratch: Path) -> None:
    """A log, or a journal that has to be rolled back: the directory stays as it was, and the copy goes."""
    path, there = old / f"{DAY}.db", old.parent / "there"
    there.mkdir()
    with closing(connect(there / path.name, 4, journal_mode)) as con:
        insert(con, TICKS)
        con.execute("PRAGMA cache_size=2")
        con.execute("PRAGMA cache_spill=2")
        con.executemany("UPDATE ticks SET price = ? WHERE symbol = ?", [(n, TENCENT) for n in range(20)])
        con.executemany(
            "INSERT INTO ticks SELECT market, symbol || ?, ts_ms, price, volume, turnover, direction, seq, tick_type, "
            "push_type, provider, trading_day, recv_ts_ms, inserted_at_ms FROM ticks WHERE symbol = ?",
            [(str(n), TENCENT) for n in range(200)],
        )
        for suffix in ("", "-wal", "-journal"):
            if (there / (path.name + suffix)).exists():
                shutil.copyfile(there / (path.name + suffix), old / (path.name + suffix))
    before = states(old)
    assert set(before) == {path.name, path.name + ("-wal" if journal_mode == "WAL" else "-journal")}
    assert read(path, scratch) == [tick.seq for tick in TICKS]
    assert states(old) == before
    assert list(scratch.iterdir()) == []


def test_a_locked_file_is_one_line(old: Path, scratch: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another process is in the middle of a transaction that shuts everybody out."""
    monkeypatch.setattr(old_file, "BUSY_TIMEOUT_MS", 10)
    path = make_old(old / f"{DAY}.db", TICKS, journal_mode="DELETE")
    with held_elsewhere(path, "BEGIN EXCLUSIVE", "DELETE FROM ticks"):
        assert error_of(path, scratch) == (f"{path} is locked by another process: end that one, and run this again")
    assert len(read(path, scratch)) == 5  # that process was killed, and its journal is rolled back in a copy


def test_a_file_that_changes_while_it_is_read_is_not_believed(old: Path, scratch: Path) -> None:
    """It was at rest when it was opened, so it was read without locks."""
    path = make_old(old / f"{DAY}.db", TICKS)

    def read_slowly() -> None:
        with opened(path, scratch), closing(sqlite3.connect(path)) as con:
            insert(con, [old_tick(TENCENT, 9)])

    with pytest.raises(DatabaseError, match="changed while it was read: run this again"):
        read_slowly()


def test_half_a_file_and_no_database_are_one_line(old: Path, scratch: Path) -> None:
    """A copy that was cut off, and a text."""
    path = make_old(old / f"{DAY}.db", [old_tick(TENCENT, n, OPEN_MS + n * 1000) for n in range(500)])
    os.truncate(path, path.stat().st_size // 2 // 4096 * 4096)
    assert error_of(path, scratch).startswith(f"{path} is damaged")
    path.write_text("no database at all" * 100)
    assert error_of(path, scratch) == f"{path} is damaged, or no database: file is not a database"
    gone = old / "20261121.db"
    assert error_of(gone, scratch).startswith(f"{gone} can't be taken over: ")


def test_other_programs_files_are_told_apart(old: Path, scratch: Path) -> None:
    """Ours needs nothing; another's is not touched; an empty one holds nothing."""
    ours, foreign, empty = old / f"{DAY}.db", old / "20261121.db", old / "20261122.db"
    DayDatabase(ours, Pragmas()).close()
    with closing(sqlite3.connect(foreign)) as con:
        con.execute("CREATE TABLE ticks (symbol TEXT, price REAL)")
    empty.touch()
    assert error_of(ours, scratch) == f"{ours} is a day of this program already: it needs no taking over"
    assert error_of(foreign, scratch) == (
        f"{foreign} was made by another program: expected a table ticks of the older recorder"
    )
    with opened(empty, scratch) as file:
        assert file is None
