"""A database of the older recorder under today's name: moved aside whole, or left exactly as it is."""

from __future__ import annotations

import re
import shutil
import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING

import pytest
from structlog.testing import capture_logs
from support.older_recorder import (
    DAY,
    OPEN_MS,
    VERSIONS,
    connect,
    held_elsewhere,
    insert,
    make_old,
    old_tick,
    rows_of,
    states,
)
from support.ticks import TENCENT

from hk_tick_collector.db import DayDatabase, Pragmas
from hk_tick_collector.errors import ConfigError
from hk_tick_collector.migrate.days import migrate_days
from hk_tick_collector.store.older_today import make_room
from hk_tick_collector.store.stored import check_today

if TYPE_CHECKING:
    from pathlib import Path

TICKS = [old_tick(TENCENT, n, OPEN_MS + n * 1000) for n in range(20)]
NAME = f"{DAY}.db"


def left_by_a_killed_recorder(root: Path) -> dict[str, tuple[bytes, int]]:
    """Today's database, most of whose ticks are only in its log: no process has it open. Returns its files."""
    root.mkdir(exist_ok=True)
    made = root / "made"
    made.mkdir()
    with closing(connect(made / NAME)) as con:
        insert(con, TICKS[:5])
        con.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        insert(con, TICKS[5:])
        for suffix in ("", "-wal"):
            shutil.copy2(made / (NAME + suffix), root / (NAME + suffix))
    shutil.rmtree(made)
    assert len(rows_of(root / NAME)) == len(TICKS)
    (root / f"{NAME}-shm").unlink(missing_ok=True)
    return states(root)


def in_folder(folder: Path) -> dict[str, tuple[bytes, int]]:
    """Its files, but for the index of a log, which SQLite makes again at each opening."""
    return {name: state for name, state in states(folder).items() if not name.endswith("-shm")}


@pytest.mark.parametrize("version", VERSIONS)
def test_it_is_moved_aside_and_today_can_be_recorded(version: int, tmp_path: Path) -> None:
    """Not a byte of it changes; one line of the log says where it is, and the command that takes it over."""
    path = make_old(tmp_path / NAME, TICKS, version)
    before = states(tmp_path)
    with capture_logs() as told:
        kept = make_room(tmp_path, DAY)
    assert kept == tmp_path / "older-recorder" / NAME
    assert in_folder(kept.parent) == before
    assert not path.exists()
    check_today(tmp_path, DAY)
    assert told == [
        {
            "event": "older_day_moved",
            "log_level": "warning",
            "day": DAY,
            "kept": kept,
            "cure": f"hk-tick-collector migrate {kept.parent} --data-root NEW_DATA_ROOT takes its ticks over",
        }
    ]


def test_its_log_goes_with_it(tmp_path: Path) -> None:
    """What a killed older recorder left in its log is read where it is now, and `migrate` takes all of it over."""
    root = tmp_path / "root"
    before = left_by_a_killed_recorder(root)
    kept = make_room(root, DAY)
    assert kept is not None
    assert in_folder(kept.parent) == before
    assert [name.name for name in root.iterdir()] == ["older-recorder"]
    other = tmp_path / "other"
    (day,) = migrate_days(kept.parent, other, lambda *_: None, other.mkdir)
    assert (day.result, day.stored) == ("imported", len(TICKS))


@pytest.mark.parametrize("statements", [("SELECT count(*) FROM ticks",), ("BEGIN IMMEDIATE",)])
def test_what_a_running_older_recorder_has_open_stays(tmp_path: Path, statements: tuple[str]) -> None:
    """The line names that process, and what to do; all files stay, and without that process it is moved."""
    path = make_old(tmp_path / NAME, TICKS)
    before = path.read_bytes()
    with held_elsewhere(path, *statements):
        names = sorted(tmp_path.iterdir())
        with pytest.raises(ConfigError) as refused:
            make_room(tmp_path, DAY)
        assert sorted(tmp_path.iterdir()) == names
        assert path.read_bytes() == before
    line = str(refused.value)
    assert re.fullmatch(
        rf"pid \d+ \(\S+\) has {path} open, which was made by the older recorder \(futu_tick_downloader\): two "
        "recorders can't record to one place. Stop that program, then start this one if it has ended: it moves the "
        "file aside, and records today",
        line,
    )
    assert make_room(tmp_path, DAY) == tmp_path / "older-recorder" / NAME


def test_a_second_one_replaces_nothing(tmp_path: Path) -> None:
    """If the older recorder has made another one meanwhile, that goes to a folder of its own."""
    for ticks, folder in ((TICKS[:3], "older-recorder"), (TICKS, "older-recorder-2")):
        make_old(tmp_path / NAME, ticks)
        assert make_room(tmp_path, DAY) == tmp_path / folder / NAME
    assert len(rows_of(tmp_path / "older-recorder" / NAME)) == 3
    assert len(rows_of(tmp_path / "older-recorder-2" / NAME)) == len(TICKS)


def test_a_move_that_was_interrupted_is_completed(tmp_path: Path) -> None:
    """A log that is there without its database is that database's: the next start moves it there, too."""
    before = left_by_a_killed_recorder(tmp_path)
    folder = tmp_path / "older-recorder"
    folder.mkdir()
    (tmp_path / f"{NAME}-wal").rename(folder / f"{NAME}-wal")
    assert make_room(tmp_path, DAY) == folder / NAME
    assert in_folder(folder) == before


def test_a_log_of_another_one_is_not_replaced(tmp_path: Path) -> None:
    """A database that has a log of its own never comes to lie beside a foreign one."""
    before = left_by_a_killed_recorder(tmp_path)
    folder = tmp_path / "older-recorder"
    folder.mkdir()
    (folder / f"{NAME}-wal").write_bytes(b"of another database")
    assert make_room(tmp_path, DAY) == tmp_path / "older-recorder-2" / NAME
    assert in_folder(tmp_path / "older-recorder-2") == before
    assert (folder / f"{NAME}-wal").read_bytes() == b"of another database"


def test_where_it_can_not_be_moved_all_stays(tmp_path: Path) -> None:
    """A file under the folder's name is in the way: one line that says so, and the cure by hand."""
    before = left_by_a_killed_recorder(tmp_path)
    (tmp_path / "older-recorder").write_text("mine")
    with pytest.raises(ConfigError) as refused:
        make_room(tmp_path, DAY)
    assert str(refused.value) == (
        f"{tmp_path / NAME} was made by the older recorder (futu_tick_downloader), and can't be moved to "
        f"{tmp_path / 'older-recorder'}: File exists; move it there by hand, with its -wal, or use another DATA_ROOT"
    )
    assert {name: state for name, state in in_folder(tmp_path).items() if name in before} == before


def test_other_files_under_the_name_of_today_stay(tmp_path: Path) -> None:
    """One of ours, one of another program, a damaged one, a link, an empty one; and none at all."""
    assert make_room(tmp_path, DAY) is None
    path = tmp_path / NAME
    DayDatabase(path, Pragmas()).close()
    assert make_room(tmp_path, DAY) is None
    with closing(sqlite3.connect(tmp_path / "20261120.db")) as con:
        con.execute("CREATE TABLE ticks (price)")
    (tmp_path / "20261121.db").write_bytes(b"SQLite format 3\0" + b"x" * 5000)
    (tmp_path / "20261122.db").touch()
    make_old(tmp_path / "elsewhere" / NAME, TICKS)
    (tmp_path / "20261123.db").symlink_to(tmp_path / "elsewhere" / NAME)
    for name in ("20261120", "20261121", "20261122", "20261123"):
        assert make_room(tmp_path, name) is None
        assert (tmp_path / f"{name}.db").exists()
    assert not (tmp_path / "older-recorder").exists()
