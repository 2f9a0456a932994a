"""Archives and exports become day databases: whole or not at all, proven or marked, and nothing is replaced."""

from __future__ import annotations

import shutil
from contextlib import closing
from typing import TYPE_CHECKING

import pytest
from support.archiving import archive, folder_of, make_archived, make_told, seal_day, tables_of
from support.importing import SILENT, exported, import_all, line, make_two_days, zip_of
from support.late_ticks import assert_stats_true, query
from support.merging import record
from support.ticks import DAY, HSBC, NEXT_DAY, OPEN_MS, TENCENT, row, seq_at

from hk_tick_collector.audit.day import Verdict, audit_day
from hk_tick_collector.errors import AlreadyRunningError
from hk_tick_collector.hktime import hk_day
from hk_tick_collector.migrate import importing
from hk_tick_collector.migrate.found import find
from hk_tick_collector.migrate.importing import FAILED, IMPORTED, LEFT, PROVEN, THERE, import_days
from hk_tick_collector.parquet.layout import LEDGER, TICKS
from hk_tick_collector.repair.scratch import scratch_place
from hk_tick_collector.seal.due import now_ms
from hk_tick_collector.store.imported import Import, read_imports
from hk_tick_collector.store.opening import open_readonly
from hk_tick_collector.store.sealed import is_sealed

if TYPE_CHECKING:
    from pathlib import Path

OF_THE_FORMAT = "SELECT symbol, seq, ts_ms, price, volume, turnover, direction_id, tick_type_id FROM ticks"
ALL = "SELECT * FROM ticks"


@pytest.fixture
def src(tmp_path: Path) -> Path:
    """Another recorder's DATA_ROOT."""
    return make_two_days(tmp_path / "src")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Where days are imported to."""
    return tmp_path / "data"


def imports_of(path: Path) -> tuple[Import, ...]:
    """Where a day came from."""
    with closing(open_readonly(path)) as con:
        return read_imports(con)


def test_an_exported_parquet_file_gives_identical_rows(src: Path, root: Path, tmp_path: Path) -> None:
    """Of each day, marked as imported; once more, both are there already."""
    file = exported(src, tmp_path / "t.parquet")
    done = import_all(root, file)
    assert [(day.what, day.ticks, day.error) for day in done.values()] == [(IMPORTED, 11, None)] * 2
    for day in (DAY, NEXT_DAY):
        assert query(root / f"{day}.db", ALL) == query(src / f"{day}.db", ALL)
        assert_stats_true(root / f"{day}.db")
        (told,) = imports_of(root / f"{day}.db")
        assert told[:3] == (str(file), "export --format parquet", 0)
        assert told[4:] == (11, 11, 0, 1, 0, 0, 0)
        assert query(root / f"{day}.db", "PRAGMA journal_mode") == [("delete",)]
    assert done[DAY].note == "1 tick without a sequence that tells the time"
    assert [(day.what, day.ticks) for day in import_all(root, file).values()] == [(THERE, 11)] * 2


def test_a_futu_zip_gives_the_ticks_that_the_format_has(src: Path, root: Path, tmp_path: Path) -> None:
    """A number without a word is not in it: the SDK writes N/A. Two passes serve both days."""
    file = exported(src, tmp_path / "t.zip")
    done = import_all(root, file)
    assert [(day.day, day.what, day.ticks) for day in done.values()] == [(DAY, IMPORTED, 11), (NEXT_DAY, IMPORTED, 11)]
    for day in (DAY, NEXT_DAY):
        expected = [
            one[:6] + tuple(0 if number in {9, 77} else number for number in one[6:])
            for one in query(src / f"{day}.db", OF_THE_FORMAT)
        ]
        assert query(root / f"{day}.db", OF_THE_FORMAT) == expected
        came = query(root / f"{day}.db", "SELECT DISTINCT push_type, push_data_type, recv_ts_ms - ts_ms FROM ticks")
        assert came == [("backfill", 0, 0)]
        assert_stats_true(root / f"{day}.db")
    assert [day.what for day in import_all(root, file).values()] == [THERE, THERE]


def test_an_imported_day_is_unprovable_and_says_why(src: Path, root: Path, tmp_path: Path) -> None:
    """It names the files, not another recorder."""
    import_all(root, exported(src, tmp_path / "t.zip"))
    audit = audit_day(root / f"{DAY}.db")
    assert audit.verdict is Verdict.UNPROVABLE
    assert {one.reasons[0] for one in audit.symbols} == {"imported from files that hold no proof that it was whole"}
    assert seal_day(root / f"{DAY}.db").certificate["imports"][0]["source"] == str(tmp_path / "t.zip")


def test_an_archived_day_comes_back_whole_and_seals_with_the_same_hashes(tmp_path: Path, root: Path) -> None:
    """From its folder, the archive, or its ticks.parquet; it is not marked, and no certificate comes along."""
    database = make_told(tmp_path)
    tables = tables_of(database)
    sealed = seal_day(database).certificate
    archive(database)
    folder = folder_of(database)
    for number, path in enumerate((folder, folder.parent, folder / TICKS)):
        to = root.with_name(f"data{number}")
        day = import_all(to, path)[DAY]
        assert (day.what, day.ticks, day.sources) == (PROVEN, 40, (str(folder),))
        assert day.note == f"its certificate says {sealed['verdict']}"
        made = to / f"{DAY}.db"
        assert tables_of(made) == tables
        assert imports_of(made) == ()
        assert not is_sealed(made)
        assert import_all(to, path)[DAY].what == THERE
        again = seal_day(made).certificate
        assert again["symbols"] == sealed["symbols"]
        assert again["verdict"] == sealed["verdict"]
        assert import_all(to, path)[DAY].what == THERE


def test_a_day_folder_that_was_moved_and_renamed_is_still_that_day(tmp_path: Path, root: Path) -> None:
    """The files say which it is."""
    folder = folder_of(make_archived(tmp_path))
    moved = tmp_path / "usb"
    shutil.copytree(folder, moved)
    assert import_all(root, moved)[DAY].what == PROVEN


def test_a_ticks_file_without_its_ledger_is_verified_and_marked(tmp_path: Path, root: Path) -> None:
    """Its ticks are as certified, and nothing shows whether they are all."""
    database = make_archived(tmp_path)
    alone = tmp_path / "alone.parquet"
    shutil.copy(folder_of(database) / TICKS, alone)
    assert import_all(root, alone)[DAY].what == IMPORTED
    assert [one.recorder for one in imports_of(root / f"{DAY}.db")] == ["ticks.parquet"]
    assert query(root / f"{DAY}.db", "SELECT count(*) FROM ticks") == [(80,)]
    day = import_all(root, folder_of(database))[DAY]
    assert day.what == LEFT
    assert day.note == (
        f"{root}/{DAY}.db was imported without its ledger: to have it proven, move it away and run this again"
    )
    (root / f"{DAY}.db").unlink()
    assert import_all(root, folder_of(database))[DAY].what == PROVEN


@pytest.mark.parametrize("name", [TICKS, LEDGER])
def test_of_a_changed_archive_nothing_is_made(name: str, tmp_path: Path, root: Path) -> None:
    """One line says which file."""
    folder = folder_of(make_archived(tmp_path))
    changed = bytearray((folder / name).read_bytes())
    changed[200] ^= 1
    (folder / name).write_bytes(changed)
    day = import_all(root, folder)[DAY]
    assert day.what == FAILED
    assert day.error is not None
    assert day.error.startswith(str(folder / name))
    assert "\n" not in day.error
    assert list(root.iterdir()) == []


def test_a_changed_ticks_file_alone_is_refused(tmp_path: Path, root: Path) -> None:
    """By its certificate."""
    alone = tmp_path / "alone.parquet"
    changed = bytearray((folder_of(make_archived(tmp_path)) / TICKS).read_bytes())
    changed[200] ^= 1
    alone.write_bytes(changed)
    day = import_all(root, alone)[DAY]
    assert (day.what, list(root.iterdir())) == (FAILED, [])
    assert str(day.error).startswith(f"{alone} is not what its certificate says: the file: ")


def test_a_ledger_that_another_program_wrote_again_proves_nothing(tmp_path: Path, root: Path) -> None:
    """The line says how the ticks can be had."""
    from pyarrow import parquet  # noqa: PLC0415

    folder = folder_of(make_archived(tmp_path))
    parquet.write_table(parquet.read_table(folder / LEDGER, partitioning=None), folder / LEDGER)
    day = import_all(root, folder)[DAY]
    assert (day.what, list(root.iterdir())) == (FAILED, [])
    assert str(day.error).startswith(f"{folder / LEDGER} was written again by another program, so it proves nothing: ")


def test_a_recorded_day_is_left_alone(src: Path, root: Path, tmp_path: Path) -> None:
    """The others are imported; an archive with other ticks is told as well."""
    root.mkdir()
    mine = record(root / f"{DAY}.db", [row(TENCENT, seq_at(1), OPEN_MS)])
    before = mine.read_bytes()
    done = import_all(root, exported(src, tmp_path / "t.zip"))
    assert (done[DAY].what, done[NEXT_DAY].what) == (LEFT, IMPORTED)
    assert done[DAY].note == (
        f"it is here with a ledger of its own: import {DAY} elsewhere, with --data-root, then use merge"
    )
    archived = import_all(root, folder_of(make_archived(tmp_path / "other")))[DAY]
    assert (archived.what, archived.note) == (
        LEFT, f"{DAY} is here with other ticks: import this one elsewhere, with --data-root, then use merge",
    )  # fmt: skip
    assert mine.read_bytes() == before


def test_another_file_of_an_imported_day_is_told_what_is_missing(root: Path, tmp_path: Path) -> None:
    """Files of the same day that are named together make one day."""
    one = zip_of(tmp_path / "one.zip", [line()])
    two = zip_of(
        tmp_path / "two.zip",
        [line(code=HSBC, sequence=str(seq_at(n))) for n in (1, 2)],
        name=f"{HSBC}.csv",
    )
    import_all(root, one)
    day = import_all(root, two)[DAY]
    assert day.what == LEFT
    assert day.note == (
        f"it was imported from {one}, and lacks 2 of 2 ticks: to have all, move {root}/{DAY}.db away, and name all "
        "files of that day at once"
    )
    (root / f"{DAY}.db").unlink()
    both = import_all(root, one, two)[DAY]
    assert (both.what, both.ticks, both.sources) == (IMPORTED, 3, (str(one), str(two)))
    assert [told.stored for told in imports_of(root / f"{DAY}.db")] == [1, 2]
    assert import_all(root, two)[DAY].what == THERE


def test_a_tick_with_two_contents_keeps_both(root: Path, tmp_path: Path) -> None:
    """The first stays in ticks; the note says it."""
    file = zip_of(tmp_path / "t.zip", [line(), line(), line(price="1.5")])
    day = import_all(root, file)[DAY]
    assert day.note == "1 tick in it twice; 1 tick in it twice with another content: in tick_revisions"
    assert query(root / f"{DAY}.db", "SELECT price FROM ticks") == [(372.4,)]
    assert query(root / f"{DAY}.db", "SELECT price FROM tick_revisions") == [(1.5,)]
    assert import_all(root, file)[DAY].what == THERE


def test_a_time_that_its_sequence_contradicts_is_noted(root: Path, tmp_path: Path) -> None:
    """It stays: the recorder had decided about it."""
    day = import_all(root, zip_of(tmp_path / "t.zip", [line(time="2026-07-31 15:00:00.5")]))[DAY]
    assert (day.what, day.note) == (IMPORTED, "1 tick with another time than their sequence tells")
    assert query(root / f"{DAY}.db", "SELECT ts_ms FROM ticks") == [(OPEN_MS + 5 * 3_600_000 + 500,)]


def test_a_day_with_a_bad_row_fails_and_the_others_are_made(root: Path, tmp_path: Path) -> None:
    """Nothing of it is stored; the line is named."""
    good = line(time="2026-08-01 10:00:00", sequence=str(seq_at(1, OPEN_MS + 86_400_000)))
    file = zip_of(tmp_path / "t.zip", [line(), line(price="nan"), good])
    done = import_all(root, file)
    assert (done[DAY].what, done[NEXT_DAY].what) == (FAILED, IMPORTED)
    assert done[DAY].error == f"{file}: {TENCENT}.csv line 3: price 'nan', expected a finite number"
    assert [path.name for path in root.iterdir()] == [f"{NEXT_DAY}.db"]


def test_a_day_that_is_not_over_is_left_alone(root: Path, tmp_path: Path) -> None:
    """Whether a recorder runs or not."""
    root.mkdir()
    today = hk_day(now_ms(root))
    written = f"{today[:4]}-{today[4:6]}-{today[6:]} 00:00:01"
    done = import_all(root, zip_of(tmp_path / "t.zip", [line(time=written, sequence="7")]))
    assert [(day.what, day.note) for day in done.values()] == [(LEFT, "it is not over; once it is, run this again")]
    assert list(root.iterdir()) == []


def test_a_day_that_has_only_its_archive_or_its_certificate_is_not_made_again(
    src: Path, root: Path, tmp_path: Path
) -> None:
    """An imported day that was archived since is there already."""
    file = exported(src, tmp_path / "t.parquet")
    import_all(root, file)
    for day in (DAY, NEXT_DAY):
        seal_day(root / f"{day}.db")
    archive(root / f"{DAY}.db")
    (root / f"{NEXT_DAY}.db").unlink()
    done = import_all(root, file)
    assert (done[DAY].what, done[DAY].ticks) == (THERE, 11)
    assert (done[NEXT_DAY].what, done[NEXT_DAY].note) == (LEFT, "it is sealed, and its database is not here")
    assert import_all(root, root / "archive")[DAY].what == THERE
    assert not (root / f"{DAY}.db").exists()


def test_an_archive_wins_over_a_file_with_ticks_of_that_day(tmp_path: Path, root: Path) -> None:
    """It has more than ticks."""
    folder = folder_of(make_archived(tmp_path))
    done = import_all(root, zip_of(tmp_path / "t.zip", [line()]), folder)
    assert [(day.what, day.sources) for day in done.values()] == [(PROVEN, (str(folder),))]


def test_a_database_that_appears_meanwhile_is_not_replaced(
    src: Path, root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The day fails in one line, and the other process's file stays."""
    file = exported(src, tmp_path / "t.parquet")

    def make(path: Path) -> None:
        if path.name == f"{DAY}.db":
            (root / path.name).write_text("theirs")

    monkeypatch.setattr(importing, "sync", make)
    done = import_all(root, file)
    assert done[DAY].error == f"{root}/{DAY}.db was made by another process meanwhile: run this again"
    assert (root / f"{DAY}.db").read_text() == "theirs"
    assert done[NEXT_DAY].what == IMPORTED


def test_without_space_nothing_is_begun(src: Path, root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It says how much is needed."""
    monkeypatch.setattr(importing, "SPARE_BYTES", 10**18)
    done = import_all(root, exported(src, tmp_path / "t.zip"))
    assert {day.what for day in done.values()} == {FAILED}
    assert f"free in {root}, expected at least 1,000,000,000 GB: make space, and run it again" in str(done[DAY].error)
    assert list(root.iterdir()) == []


def test_two_imports_at_once_are_refused(src: Path, root: Path, tmp_path: Path) -> None:
    """The second is told which process it is."""
    found = find([exported(src, tmp_path / "t.zip")], SILENT)
    root.mkdir()
    with (
        scratch_place(root / importing.SCRATCH, "x"),
        pytest.raises(AlreadyRunningError, match=f"days are being imported into {root} by another process"),
    ):
        list(import_days(found, root, SILENT))
