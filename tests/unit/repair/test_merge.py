"""What can be merged with what, and that nothing stands at its place which is not whole."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING, Any

import apsw
import pytest
from support.late_ticks import OLDER_SCHEMA, bytes_of, query
from support.merging import all_rows, record
from support.ticks import DAY, DAY_MS, HSBC, NEXT_DAY, OPEN_MS, TENCENT, row, seq_at

from hk_tick_collector.db import DayDatabase, Pragmas
from hk_tick_collector.errors import ConfigError, DatabaseNewerError
from hk_tick_collector.repair import merge as merging
from hk_tick_collector.repair.merge import MergedDay, merge
from hk_tick_collector.store.data_root import RECORDER_LOCK, hold_lock
from hk_tick_collector.store.schema import VERSION

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

LATER_DAY = "20260803"


class Place:
    """Two DATA_ROOTs, `a` and `b`, and the directory around them, which is the working directory."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.a, self.b = directory / "a", directory / "b"
        self.a.mkdir()
        self.b.mkdir()

    def everything(self) -> list[dict[str, bytes]]:
        """What stands there, byte for byte."""
        return [bytes_of(directory) for directory in (self.directory, self.a, self.b)]

    def entries(self) -> set[str]:
        """The names of what stands there, hidden ones too."""
        return {path.name for path in self.directory.iterdir()}


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Place:
    """Three days: one that both have, two that one has alone."""
    made = Place(tmp_path)
    monkeypatch.chdir(tmp_path)
    record(made.a / f"{DAY}.db", of_day(1, 2))
    record(made.b / f"{DAY}.db", of_day(2, 3))
    record(made.a / f"{NEXT_DAY}.db", of_day(1, day=1))
    record(made.b / f"{LATER_DAY}.db", of_day(1, day=3))
    return made


def of_day(*ordinals: int, day: int = 0, **fields: Any) -> list[Any]:  # noqa: ANN401 - columns
    """Ticks with these ordinals, so many days after the first."""
    ts_ms = OPEN_MS + day * DAY_MS
    return [row(TENCENT, seq_at(n, ts_ms), ts_ms, **fields) for n in ordinals]


def quietly(a: Path, b: Path, out: Path) -> list[MergedDay]:
    """Merge, and be told nothing meanwhile."""
    return merge(a, b, out, lambda *_: None)


# ---- files and directories


def test_two_files_become_a_third(place: Place) -> None:
    """Whole, by its name; nothing else is left, and the two are as they were."""
    before = place.everything()[1:]
    out = place.directory / f"{DAY}.db"
    (day,) = quietly(place.a / f"{DAY}.db", place.b / f"{DAY}.db", out)
    assert (day.name, day.union.merged, day.differing) == (f"{DAY}.db", 3, 0)
    assert query(out, "SELECT seq, trading_day FROM ticks") == [(seq_at(n), DAY) for n in (1, 2, 3)]
    assert place.entries() == {"a", "b", f"{DAY}.db"}
    assert place.everything()[1:] == before
    assert out.stat().st_nlink == 1


def test_two_data_roots_become_a_third(place: Place) -> None:
    """All days of either; of what else is there, nothing."""
    (place.a / "recorder.json").write_text("{}")
    (place.a / "journal").mkdir()
    before = place.everything()[1:]
    out = place.directory / "c"
    days = quietly(place.a, place.b, out)
    assert [(day.name, day.union.merged) for day in days] == [
        (f"{DAY}.db", 3),
        (f"{NEXT_DAY}.db", 1),
        (f"{LATER_DAY}.db", 1),
    ]
    assert {path.name for path in out.iterdir()} == {day.name for day in days}
    assert all_rows(out / f"{NEXT_DAY}.db") == all_rows(place.a / f"{NEXT_DAY}.db")
    assert all_rows(out / f"{LATER_DAY}.db") == all_rows(place.b / f"{LATER_DAY}.db")
    assert place.entries() == {"a", "b", "c"}
    assert place.everything()[1:] == before


def test_a_copy_by_any_name_is_of_the_day_of_its_ticks(place: Place) -> None:
    """And so is what is made of it."""
    copy = (place.a / f"{DAY}.db").rename(place.directory / "copy of monday")
    quietly(copy, place.b / f"{DAY}.db", place.directory / "made?#%.db")
    assert query(place.directory / "made?#%.db", "SELECT DISTINCT trading_day FROM ticks") == [(DAY,)]


def test_disagreements_are_counted_in_all_tables(place: Place) -> None:
    """Of ticks, and of corrections."""
    record(place.a / f"{DAY}.db", [row(HSBC, 1)], [(HSBC, 1, "18:00:00", 9, OPEN_MS, "seq")])  # type: ignore[list-item]
    record(place.b / f"{DAY}.db", [row(HSBC, 1, price=9.0)], [(HSBC, 1, "", 8, OPEN_MS, "seq")])  # type: ignore[list-item]
    (day,) = quietly(place.a / f"{DAY}.db", place.b / f"{DAY}.db", place.directory / "c.db")
    assert day.differing == 2


def test_a_symbolic_link_is_what_it_leads_to(place: Place) -> None:
    """Also where a recorder writes: its log stands beside the file, not beside the link."""
    end_writer = a_writer(place.a / f"{DAY}.db")
    link = place.directory / f"{DAY}.db"
    link.symlink_to(place.a / f"{DAY}.db")
    roots = place.directory / "link"
    roots.mkdir()
    (roots / f"{DAY}.db").symlink_to(place.a / f"{DAY}.db")
    (day,) = quietly(link, place.b / f"{DAY}.db", place.directory / "c.db")
    assert day.union.merged == 4
    (first, _) = quietly(roots, place.b, place.directory / "c")
    assert first.union.merged == 4
    end_writer()


def a_writer(path: Path) -> Callable[[], None]:
    """A writer that has stored a tick, which is only in its log; ends when it is called."""
    database = DayDatabase(path, Pragmas())
    database.store({TENCENT: of_day(77)}, {})
    assert path.with_name(path.name + "-wal").stat().st_size > 0
    return database.close


# ---- what can't be merged


def foreign(path: Path) -> None:
    """A database of another program."""
    con = apsw.Connection(str(path))
    con.execute("CREATE TABLE ticks (a)")
    con.close()


def older(path: Path) -> None:
    """A database of an older recorder."""
    con = apsw.Connection(str(path))
    con.execute(OLDER_SCHEMA)
    con.close()


def newer(path: Path) -> None:
    """A database of a newer version."""
    record(path, [])
    con = apsw.Connection(str(path))
    con.pragma("user_version", VERSION + 1)
    con.close()


def nonsense(path: Path) -> None:
    """No database."""
    path.write_bytes(b"nonsense" * 1000)


def damaged(path: Path) -> None:
    """Ours, and half of it is not what was written."""
    record(path, of_day(*range(10)))
    con = apsw.Connection(str(path))
    values = [tuple(one) for one in of_day(*range(10, 3000))]
    con.executemany("INSERT INTO ticks VALUES (?,?,?,?,?,?,?,?,?,?,?,?)", values)
    con.close()
    with path.open("r+b") as file:
        file.seek(path.stat().st_size // 2)
        file.write(b"\xff" * 20_000)


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (foreign, r"bad\.db is no day database of this program, or can't be read: .* made by another program"),
        (older, r"bad\.db was made by the older recorder .* hk-tick-collector migrate "),
        (newer, rf"bad\.db has schema version {VERSION + 1}, this program knows up to {VERSION}"),
        (nonsense, r"bad\.db is no day database of this program, or can't be read: .*not a database"),
        (damaged, r"not merged, and no .*c\.db was made: .*bad\.db is damaged: .*"),
        (os.mkfifo, r"bad\.db is neither a file nor a directory"),
    ],
)
@pytest.mark.parametrize("at", [0, 1])
def test_a_bad_file_is_one_line_and_nothing_is_made(
    make: Callable[[Path], None], said: str, at: int, place: Place
) -> None:
    """That names it, on whichever side it is."""
    bad = place.directory / "bad.db"
    make(bad)
    sides = [place.b / f"{DAY}.db"]
    sides.insert(at, bad)
    entries = place.entries()
    with pytest.raises(ConfigError, match=said) as raised:
        quietly(*sides, place.directory / "c.db")
    assert (type(raised.value) is DatabaseNewerError) is (make is newer)
    assert place.entries() == entries


def test_a_bad_day_keeps_all_from_being_made(place: Place) -> None:
    """Rather nothing than a directory in which a day is missing."""
    damaged(place.a / f"{LATER_DAY}.db")
    with pytest.raises(ConfigError, match=rf"a/{LATER_DAY}\.db is damaged"):
        quietly(place.a, place.b, place.directory / "c")
    assert place.entries() == {"a", "b"}


def test_a_locked_file_says_so(place: Place) -> None:
    """Somebody holds it in a way in which nobody can read it."""
    path = place.a / f"{DAY}.db"
    con = apsw.Connection(str(path))
    con.pragma("journal_mode", "delete")
    con.execute("BEGIN EXCLUSIVE; INSERT INTO bad_ticks VALUES (x'00', '', 0, '', x'', 0, 0, 0, 0)")
    with pytest.raises(ConfigError, match=rf"a/{DAY}\.db is locked by another process"):
        quietly(path, place.b / f"{DAY}.db", place.directory / "c.db")
    con.close()


@pytest.mark.parametrize(
    ("a", "b", "out", "said"),
    [
        ("nowhere", "b", "c", "nowhere is not there: expected a day database, or a directory of them"),
        ("a", "b/nothing.db", "c", "nothing.db is not there"),
        ("a", f"b/{DAY}.db", "c", "expected two day databases, or two directories of them"),
        (f"a/{DAY}.db", "b", "c.db", "expected two day databases, or two directories of them"),
        (f"a/{DAY}.db", f"b/{LATER_DAY}.db", "c.db", f"is of {DAY} and .* of {LATER_DAY}"),
        (f"a/{DAY}.db", f"b/{DAY}.db", f"{NEXT_DAY}.db", f"is named after {NEXT_DAY}, but .*a/{DAY}.db is of {DAY}"),
        (f"a/{DAY}.db", f"b/{DAY}.db", f"b/{LATER_DAY}.db", f"{LATER_DAY}.db is there already"),
        (f"a/{DAY}.db", f"b/{DAY}.db", "b", "b is there already: nothing is overwritten"),
        ("a", "b", "empty", "empty is there already"),
        ("a", "b", "dangling", "dangling is there already"),
        ("a", "b", "nowhere/c", "c can't be made: nowhere is not a directory"),
        ("a", "b", f"a/{DAY}.db/c", "is not a directory"),
        ("a", "b", "b/c", "is inside of b"),
        ("a", "empty", "c", "no day database in .*empty"),
        ("a" * 300, "b", "c", "can't be merged: .*File name too long"),
        ("a", "b", "c" * 250, "could not be made: .*File name too long"),
    ],
)
def test_wrong_usage_is_one_line_and_nothing_is_made(a: str, b: str, out: str, said: str, place: Place) -> None:
    """That says what was seen and what was expected."""
    (place.directory / "empty").mkdir()
    (place.directory / "dangling").symlink_to("nowhere else")
    entries, before = place.entries(), place.everything()
    paths = [place.directory.joinpath(name).relative_to(place.directory) for name in (a, b, out)]
    with pytest.raises(ConfigError, match=said):
        quietly(*paths)
    assert (place.entries(), place.everything()) == (entries, before)


def test_a_copy_of_another_day_is_refused(place: Place) -> None:
    """Its name says nothing, its ticks do; without a tick it is of any day."""
    other = record(place.directory / "other.db", of_day(1, day=1))
    with pytest.raises(ConfigError, match=rf"other\.db is of {NEXT_DAY} and .* of {DAY}"):
        quietly(other, place.b / f"{DAY}.db", place.directory / "c.db")
    other.unlink()
    other.touch()
    assert quietly(other, place.b / f"{DAY}.db", place.directory / "c.db")[0].union.merged == 2


def test_what_comes_to_be_there_meanwhile_is_not_overwritten(place: Place) -> None:
    """Neither a file nor a directory with something in it."""
    out = place.directory / "c.db"
    with pytest.raises(ConfigError, match=r"c\.db could not be made: .*File exists"):
        merge(place.a / f"{DAY}.db", place.b / f"{DAY}.db", out, lambda *_: out.write_text("mine") and None)
    assert out.read_text() == "mine"
    out = place.directory / "c"

    def put_something_there(*_: object) -> None:
        out.mkdir(exist_ok=True)
        (out / "mine").touch()

    with pytest.raises(ConfigError, match=r"c could not be made: .*not empty"):
        merge(place.a, place.b, out, put_something_there)
    assert list(out.iterdir()) == [out / "mine"]
    assert place.entries() == {"a", "b", "c", "c.db"}


def test_two_at_once_for_the_same_place_are_refused(place: Place) -> None:
    """They would work in the same directory."""
    scratch = place.directory / ".merge-c"
    scratch.mkdir()
    lock = hold_lock(scratch, RECORDER_LOCK, 0)
    with pytest.raises(ConfigError, match="c is being made by another process: wait for it"):
        quietly(place.a, place.b, place.directory / "c")
    os.close(lock)


def test_a_full_disk_is_one_line_and_nothing_is_made(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """And the sides are not suspected."""

    def full(*_: object) -> None:
        raise apsw.FullError("database or disk is full")

    monkeypatch.setattr(merging, "unite", full)
    with pytest.raises(ConfigError, match=re.escape("c was made: the disk is full: database or disk is full")):
        quietly(place.a, place.b, place.directory / "c")
    assert place.entries() == {"a", "b"}


def test_what_root_makes_belongs_to_whom_the_place_belongs(place: Place) -> None:
    """An operator's sudo leaves nothing behind that the recorder's user can't write to."""
    if os.geteuid() == 0:
        os.chown(place.directory, 12_345, 12_346)
    quietly(place.a, place.b, place.directory / "c")
    quietly(place.a / f"{DAY}.db", place.b / f"{DAY}.db", place.directory / "c.db")
    owner = place.directory.stat().st_uid
    made = [place.directory / "c", place.directory / "c" / f"{DAY}.db", place.directory / "c.db"]
    assert [path.stat().st_uid for path in made] == [owner] * 3
