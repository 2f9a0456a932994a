"""Archiving a day: what is there afterwards, what is refused, and that nothing goes before it is proven."""

from __future__ import annotations

import shutil
from contextlib import closing
from typing import TYPE_CHECKING, Any

import apsw
import pytest
from support.archiving import archive, ask, folder_of, make_archived, make_day, make_told, seal_day, tables_of
from support.sealing import SILENT, state_of
from support.ticks import DAY, HSBC, NEXT_DAY, TENCENT

from hk_tick_collector.archive import publishing
from hk_tick_collector.archive.days import archive_days
from hk_tick_collector.archive.due import Due, due_days
from hk_tick_collector.db import Pragmas
from hk_tick_collector.errors import ArchiveError, DatabaseError, ForeignFileError
from hk_tick_collector.parquet import manifest, writing
from hk_tick_collector.parquet.layout import LEDGER, TICKS
from hk_tick_collector.parquet.ledger_file import write_ledger
from hk_tick_collector.seal.open_day import open_day as open_to_write
from hk_tick_collector.store import certificate_file
from hk_tick_collector.store.schema import VERSION
from hk_tick_collector.store.sealed import certificate_of, day_open_lock, reopen

if TYPE_CHECKING:
    from pathlib import Path

    from hk_tick_collector.seal.certificate import Progress


def test_a_sealed_day_becomes_files_and_its_database_goes(tmp_path: Path) -> None:
    """Its certificate stays, and the manifest names both files and who has read them back."""
    database = make_told(tmp_path)
    size = database.stat().st_size
    done = archive(database)
    assert (done.is_new, done.is_removed, done.database_bytes) == (True, True, size)
    assert not database.exists()
    assert certificate_of(database).exists()
    folder = folder_of(database)
    assert sorted(path.name for path in folder.iterdir()) == sorted([TICKS, LEDGER, manifest.NAME])
    made = manifest.read(folder)
    assert set(made.files) == {TICKS, LEDGER}
    assert made.decoder == done.decoder
    assert done.size_bytes == sum((folder / name).stat().st_size for name in made.files)


def test_every_query_has_the_same_answer_before_and_after(tmp_path: Path) -> None:
    """Of each table, and of the computed columns."""
    database = make_told(tmp_path)
    before = tables_of(database)
    assert {"gaps", "exchange_totals", "symbol_stats", "ticks"} <= before.keys()
    assert before["ticks"]
    assert before["gaps"]
    archive(database)
    assert tables_of(database) == before


def test_a_database_that_is_kept_stays_as_it_was(tmp_path: Path) -> None:
    """And the archive is not made a second time."""
    database = make_told(tmp_path)
    before = database.read_bytes()
    assert archive(database, keeps=True).is_new
    again = archive(database, keeps=True)
    assert not again.is_new
    assert not again.is_removed
    assert database.read_bytes() == before


@pytest.mark.parametrize("place", [200, -200], ids=["pages", "metadata"])
def test_an_old_archive_is_proven_again_before_the_database_goes(tmp_path: Path, place: int) -> None:
    """What was proven a month ago may be damaged now; then it is made again while the database is there."""
    database = make_told(tmp_path)
    ticks = ask(database, "SELECT * FROM ticks")
    archive(database, keeps=True)
    file = folder_of(database) / TICKS
    changed = bytearray(file.read_bytes())
    changed[place] ^= 1
    file.write_bytes(changed)
    done = archive(database)
    assert done.is_new
    assert TICKS in done.damage
    assert not database.exists()
    assert ask(database, "SELECT * FROM ticks") == ticks


def test_a_ledger_that_lacks_a_row_keeps_the_database(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The other tables are compared row by row with those of the database."""
    database = make_told(tmp_path)

    def write_less(con: apsw.Connection, path: Path, certificate: dict[str, object]) -> int:
        with closing(apsw.Connection(":memory:")) as copy:
            with copy.backup("main", con, "main") as backup:
                backup.step()
            copy.execute("DELETE FROM exchange_totals WHERE at_ms = (SELECT max(at_ms) FROM exchange_totals)")
            return real(copy, path, certificate)

    real = publishing.write_ledger
    monkeypatch.setattr(publishing, "write_ledger", write_less)
    with pytest.raises(ArchiveError, match=r"table exchange_totals is not what 20260731\.db has"):
        archive(database)
    assert database.exists()
    assert not folder_of(database).exists()


def test_an_encoder_that_writes_another_price_keeps_the_database(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The symbol is named."""
    database = make_told(tmp_path)
    real = writing.batch_of

    def other_price(runs: list[tuple[str, int]], packed: bytes) -> object:
        cells = bytearray(packed)
        cells[16] ^= 1  # the first tick's price
        return real(runs, bytes(cells))

    monkeypatch.setattr(writing, "batch_of", other_price)
    with pytest.raises(ArchiveError, match=f"not what is certified: .*{TENCENT}"):
        archive(database)
    assert database.exists()


def test_a_day_that_is_not_sealed_is_refused(tmp_path: Path) -> None:
    """The line says how it is sealed."""
    with pytest.raises(DatabaseError, match=f"is not sealed: hk-tick-collector seal --day {DAY}"):
        archive(make_day(tmp_path))


def test_a_database_that_was_changed_since_it_was_sealed_is_refused(tmp_path: Path) -> None:
    """It is not archived over the change, and a log beside it is one."""
    database = make_told(tmp_path)
    beside = database.with_name(f"{database.name}-wal")
    beside.write_bytes(b"")
    with pytest.raises(DatabaseError, match="lies beside it"):
        archive(database)
    beside.unlink()
    database.chmod(0o644)
    with closing(apsw.Connection(str(database))) as con:
        con.execute("UPDATE ticks SET price = price + 1")
    with pytest.raises(DatabaseError, match="was changed since it was sealed"):
        archive(database)
    assert not folder_of(database).exists()


def test_an_archive_in_the_making_is_nothing_that_others_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """DuckDB and Polars look into hidden folders, too, and archive/*/ticks.parquet is each day once."""
    database = make_told(tmp_path)
    seen = []
    real = publishing.prove

    def noted(folder: Path, told: dict[str, Any], path: Path, progress: Progress) -> str:
        seen.append((folder.exists(), list(tmp_path.glob("archive/*/*.parquet"))))
        return real(folder, told, path, progress)

    monkeypatch.setattr(publishing, "prove", noted)
    archive(database)
    assert seen == [(True, [])]


def test_a_database_on_another_disk_stays_there(tmp_path: Path) -> None:
    """Deleting the link would free nothing, and hide the file; nor is it proven again each night."""
    database = make_told(tmp_path)
    moved = tmp_path / "elsewhere"
    database.rename(moved)
    database.symlink_to(moved)
    done = archive(database)
    assert (done.is_new, done.is_removed) == (True, False)
    assert database.samefile(moved)
    assert due_days(tmp_path, "20261130", 0) == []
    moved.unlink()
    with pytest.raises(DatabaseError, match=f"{DAY} is a link to {moved}, which is not there"):
        archive(database)


def test_an_archived_day_can_not_be_archived_again(tmp_path: Path) -> None:
    """Nor one whose database is elsewhere."""
    database = make_archived(tmp_path)
    with pytest.raises(DatabaseError, match=f"{DAY} is archived, and its database deleted"):
        archive(database)
    shutil.rmtree(folder_of(database))
    with pytest.raises(DatabaseError, match=f"{DAY} has its database elsewhere"):
        archive(database)


@pytest.mark.parametrize("what", ["archive", "day", "strange"])
def test_what_is_none_of_ours_is_not_touched(tmp_path: Path, what: str) -> None:
    """A file in the place of a folder, or another program's files in ours: one line that names it."""
    database = make_told(tmp_path)
    folder = folder_of(database)
    strange = {"archive": folder.parent, "day": folder, "strange": folder / "part-0.parquet"}[what]
    strange.parent.mkdir(parents=True, exist_ok=True)
    strange.write_bytes(b"theirs")
    with pytest.raises(ForeignFileError, match="move it away"):
        archive(database)
    assert strange.read_bytes() == b"theirs"
    assert database.exists()


def test_a_table_that_the_archive_would_lack_is_refused(tmp_path: Path) -> None:
    """Somebody has put their own table into the day, before it was sealed."""
    database = make_day(tmp_path)
    with closing(apsw.Connection(str(database))) as con:
        con.execute("CREATE TABLE notes (text)")
    seal_day(database)
    with pytest.raises(ArchiveError, match="a table that the archive would lack: notes"):
        archive(database)
    assert database.exists()


@pytest.mark.parametrize("table", ["ticks", "gaps"])
def test_a_column_that_the_archive_would_lack_is_refused(tmp_path: Path, table: str) -> None:
    """Somebody has put their own column into a table of ours."""
    database = make_day(tmp_path)
    with closing(apsw.Connection(str(database))) as con:
        con.execute(f"ALTER TABLE {table} ADD COLUMN note TEXT")
    seal_day(database)
    with pytest.raises(ArchiveError, match=rf"a column that the archive would lack: {table}\.note; take it out"):
        archive(database)
    assert database.exists()


def test_a_day_of_an_older_schema_is_refused(tmp_path: Path) -> None:
    """An older version of this program sealed it; the line says how it becomes a day of this one."""
    database = make_told(tmp_path)
    with closing(apsw.Connection(":memory:")) as con:
        con.execute("PRAGMA user_version = 2")
        with pytest.raises(
            ArchiveError, match=rf"with schema version 2, expected {VERSION}: .* seal --reopen {DAY}, and"
        ):
            write_ledger(con, tmp_path / LEDGER, certificate_file.read(certificate_of(database)))
    assert not (tmp_path / LEDGER).exists()


def test_a_day_with_text_that_is_not_utf_8_stops_no_other_day(tmp_path: Path) -> None:
    """SQLite does not check that, and neither does sealing in each table; the day's database stays."""
    database = make_day(tmp_path)
    with closing(apsw.Connection(str(database))) as con:
        con.execute("INSERT INTO bad_ticks VALUES (x'01', 'HK.00700', 1, CAST(x'ff41' AS TEXT), x'00', 1, 1, 1, 1)")
    other = make_day(tmp_path, NEXT_DAY)
    for path in (database, other):
        seal_day(path)
    failed, done = archive_days(tmp_path, [Due(DAY, keeps=False), Due(NEXT_DAY, keeps=False)], SILENT)
    assert failed["error"].startswith("UnicodeDecodeError: 'utf-8' codec can't decode byte 0xff")
    assert done["is_removed"]
    assert (database.exists(), other.exists()) == (True, False)


def test_a_day_that_is_sealed_again_gets_a_new_archive(tmp_path: Path) -> None:
    """With the certificate that supersedes the old one."""
    database = make_told(tmp_path)
    archive(database, keeps=True)
    first = manifest.read(folder_of(database)).certificate
    open_to_write(database, Pragmas()).close()
    seal_day(database)
    assert archive(database).is_new
    assert manifest.read(folder_of(database)).certificate != first


def test_an_archive_with_ticks_that_the_database_lacks_is_not_replaced(tmp_path: Path) -> None:
    """Another database came into the place of the one that was deleted; neither of the two goes."""
    database = make_archived(tmp_path / "here", ticks=40)
    before = state_of(folder_of(database))
    shutil.copy(make_day(tmp_path / "other", ticks=37), database)
    with day_open_lock(database.parent):
        assert reopen(database) == 1
    seal_day(database)
    with pytest.raises(ArchiveError, match=rf"has 6 ticks of {HSBC}, {TENCENT} that {DAY}.db lacks, and was not repl"):
        archive(database)
    assert database.exists()
    assert state_of(folder_of(database)) == before
