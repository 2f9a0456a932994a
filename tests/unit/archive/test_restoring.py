"""An archived day becomes a database again: with the same rows, and open for what comes late."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pytest
from support.archiving import SILENT, archive, ask, folder_of, make_archived, make_day, make_told, seal_day, tables_of
from support.ticks import DAY

from hk_tick_collector.archive import restoring
from hk_tick_collector.archive.restoring import restore_day
from hk_tick_collector.errors import ArchiveError, DatabaseError, ForeignFileError, NoDataError
from hk_tick_collector.parquet.layout import TICKS
from hk_tick_collector.parquet.ticks_file import TicksFile
from hk_tick_collector.seal.open_day import is_away
from hk_tick_collector.store.sealed import certificate_of, day_open_lock, is_sealed, reopen, superseded

if TYPE_CHECKING:
    from pathlib import Path


def test_each_table_has_the_rows_it_had(tmp_path: Path) -> None:
    """And the certificate is a superseded one, since the file has other bytes."""
    database = make_told(tmp_path)
    before = tables_of(database)
    archive(database)
    assert is_away(database)
    assert restore_day(database, SILENT) == 1
    assert tables_of(database) == before
    assert not is_sealed(database)
    assert list(superseded(database)) == [1]
    assert not is_away(database)
    assert not list(tmp_path.glob(".restored*"))


def test_a_restored_day_can_be_sealed_and_archived_again(tmp_path: Path) -> None:
    """With the same hashes, and a certificate that supersedes the first."""
    database = make_told(tmp_path)
    hashes = {one["symbol"]: one["hash"] for one in seal_day(database).certificate["symbols"]}
    archive(database)
    restore_day(database, SILENT)
    made = seal_day(database).certificate
    assert made["supersedes"] == 1
    assert {one["symbol"]: one["hash"] for one in made["symbols"]} == hashes
    assert archive(database).is_new
    with TicksFile(folder_of(database) / TICKS) as file:
        assert file.certificate == made


def test_a_process_that_ended_before_the_database_was_in_place_leaves_the_archive(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No empty database is made for the day, it can be read, and the next attempt restores it."""
    database = make_archived(tmp_path)
    ticks = ask(database, "SELECT * FROM ticks")

    def end(_: Path) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(restoring, "move_logs_aside", end)
        with pytest.raises(KeyboardInterrupt):
            restore_day(database, SILENT)
    assert not certificate_of(database).exists()
    assert is_away(database)
    assert ask(database, "SELECT * FROM ticks") == ticks
    assert restore_day(database, SILENT) is None
    assert ask(database, "SELECT * FROM ticks") == ticks


def test_a_damaged_archive_is_not_restored(tmp_path: Path) -> None:
    """And nothing is changed."""
    database = make_archived(tmp_path)
    file = folder_of(database) / TICKS
    changed = bytearray(file.read_bytes())
    changed[200] ^= 1
    file.write_bytes(changed)
    with pytest.raises((ArchiveError, ForeignFileError)):
        restore_day(database, SILENT)
    assert not database.exists()
    assert is_sealed(database)


def test_only_an_archived_day_without_a_database_can_be_restored(tmp_path: Path) -> None:
    """One line says which of the two it is."""
    database = make_day(tmp_path)
    with pytest.raises(NoDataError, match=f"{DAY} is not archived"):
        restore_day(database, SILENT)
    seal_day(database)
    archive(database, keeps=True)
    with pytest.raises(DatabaseError, match="nothing to restore"):
        restore_day(database, SILENT)


def test_a_link_to_a_disk_that_is_not_mounted_is_not_replaced(tmp_path: Path) -> None:
    """What it leads to may have more than the archive; the line is that of a day that can't be opened."""
    database = make_archived(tmp_path)
    database.symlink_to(tmp_path / "unmounted" / database.name)
    with pytest.raises(DatabaseError, match=f"{DAY}.db is a link to .*, which is not there: mount it, or put it back"):
        restore_day(database, SILENT)
    assert database.is_symlink()
    assert is_sealed(database)


def test_an_archive_of_an_older_certificate_is_not_restored(tmp_path: Path) -> None:
    """The day was sealed again, and its database went before that was archived: the archive lacks what came late."""
    database = make_day(tmp_path)
    seal_day(database)
    archive(database, keeps=True)
    with day_open_lock(tmp_path):
        reopen(database)
    seal_day(database)
    database.unlink()
    with pytest.raises(ArchiveError, match=rf"with another certificate than {DAY}.certificate.json: put the database"):
        restore_day(database, SILENT)
    assert is_sealed(database)
    assert list(superseded(database)) == [1]


def test_a_disk_with_too_little_space_is_not_filled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A recorder may need it; the line says how much is there, and how much is needed."""
    database = make_archived(tmp_path)
    told = shutil.disk_usage(tmp_path)
    with monkeypatch.context() as patched:
        patched.setattr(shutil, "disk_usage", lambda _: told._replace(free=400_000_000))
        with pytest.raises(DatabaseError, match=f"400 MB free in {tmp_path}, expected at least 500 MB: make space"):
            restore_day(database, SILENT)
    assert not list(tmp_path.glob(".restored*"))
    assert is_sealed(database)
    assert restore_day(database, SILENT) == 1
