"""Makes the database of an archived day again: to take in a tick that came late, or to be repaired or merged.

The new file holds the same rows, and is proven to; its bytes are others, so the day's certificate is superseded. The
archive stays as it is until the day is sealed and archived again.

Owns the order of the steps. The certificate is superseded before the database is in its place: a day without either is
still known by its archive, so no empty database is made for it.
"""

from __future__ import annotations

import shutil
from contextlib import closing
from typing import TYPE_CHECKING, Any, Final

from hk_tick_collector.db import DayDatabase, Pragmas, transaction
from hk_tick_collector.errors import ArchiveError, DatabaseError, ForeignFileError, NoDataError
from hk_tick_collector.parquet.columns import REALS, STORED
from hk_tick_collector.parquet.hashes import bits_of, runs_of
from hk_tick_collector.parquet.layout import LEDGER, TICKS, archive_dir, is_archived
from hk_tick_collector.parquet.ledger_file import LedgerFile, fill
from hk_tick_collector.parquet.ticks_file import TicksFile
from hk_tick_collector.seal.certificate import hash_symbols
from hk_tick_collector.seal.open_day import move_logs_aside
from hk_tick_collector.store import certificate_file
from hk_tick_collector.store.data_root import copy_ownership, sync
from hk_tick_collector.store.opening import open_readonly
from hk_tick_collector.store.sealed import certificate_of, day_open_lock, is_sealed, reopen
from hk_tick_collector.text import size

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from hk_tick_collector.seal.certificate import Progress

SPARE_BYTES: Final = 500_000_000  # for a recorder that records there meanwhile

_INSERT: Final = f"INSERT INTO ticks VALUES ({', '.join('?' * (1 + len(STORED)))})"  # noqa: S608 - question marks


def restore_day(database: Path, progress: Progress) -> int | None:
    """Make an archived day's database again; within `seal.day.sealing`.

    Returns:
        The number of the superseded certificate; None: the day was not sealed any more.

    Raises:
        NoDataError: the day is not archived.
        DatabaseError: its database is there, or is a link to a disk that is not; or there is too little space.
        ArchiveError: the archive is not what its certificate says, or is older than the day's; nothing is changed.
        apsw.Error, OSError: the new database can't be written.
    """
    if not is_archived(database):
        raise NoDataError(f"{database.stem} is not archived in {database.parent}")
    if database.exists():
        raise DatabaseError(f"{database} is there: nothing to restore")
    if database.is_symlink():  # what is there may be newer than the archive
        raise DatabaseError(
            f"{database} is a link to {database.readlink()}, which is not there: mount it, or put it back"
        )
    _require_of_certificate(database)
    _require_space(database)
    scratch = database.with_name(f".restored-{database.stem}")
    shutil.rmtree(scratch, ignore_errors=True)
    scratch.mkdir()
    made = scratch / database.name
    try:
        make_database(database, made, progress)
        copy_ownership(made, database.parent)
        sync(made)
        with day_open_lock(database.parent):
            if database.exists():
                raise DatabaseError(f"{database} was made meanwhile: nothing was restored")
            number = reopen(database)
            move_logs_aside(database)
            made.rename(database)
            sync(database.parent)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    return number


def _require_of_certificate(database: Path) -> None:
    """Refuse an archive of an older certificate than the day's: the database that is gone had more."""
    folder = archive_dir(database.parent, database.stem)
    if not is_sealed(database):
        return
    certificate = certificate_file.read(certificate_of(database))
    with TicksFile(folder / TICKS) as ticks:
        if ticks.certificate != certificate:
            raise ArchiveError(
                f"{folder} was made with another certificate than {certificate_of(database).name}: put the database "
                "back that was sealed with it; or move that certificate away, if the archive is to count"
            )


def _require_space(database: Path) -> None:
    """Refuse to fill a disk on which a recorder may be recording."""
    with TicksFile(archive_dir(database.parent, database.stem) / TICKS) as ticks:
        needed = ticks.certificate["database"]["bytes"] + SPARE_BYTES
    if (free := shutil.disk_usage(database.parent).free) < needed:
        raise DatabaseError(f"{size(free)} free in {database.parent}, expected at least {size(needed)}: make space")


def make_database(archived: Path, path: Path, progress: Progress) -> None:
    """Make a database at `path` of an archived day, given by the path that its own database had.

    Raises:
        ArchiveError: the archive is not what its certificate says; the caller deletes what was made.
        DatabaseError, apsw.Error, OSError: the new database can't be written.
    """
    make_from_folder(archive_dir(archived.parent, archived.stem), path, progress)


def make_from_folder(folder: Path, path: Path, progress: Progress) -> None:
    """Make a database at `path` of a folder with both files of an archived day, wherever it lies.

    Raises:
        ForeignFileError: a file is cut off, none of ours, or of another day than the other one.
        ArchiveError, DatabaseError, apsw.Error, OSError: as `make_database`.
    """
    with TicksFile(folder / TICKS) as ticks:
        ledger = LedgerFile(folder / LEDGER)
        if ledger.day != ticks.day:
            raise ForeignFileError(f"{ledger.path} is of {ledger.day}, and {ticks.path.name} beside it of {ticks.day}")
        _write(path, ticks, ledger, progress)
        _require_same(path, ticks, progress)


def _write(path: Path, ticks: TicksFile, ledger: LedgerFile, progress: Progress) -> None:
    database = DayDatabase(path, Pragmas(synchronous="OFF"))
    try:
        con = database.connection
        done = 0
        for group in range(ticks.row_groups):
            batch = ticks.read_group(group, ("symbol", *STORED))
            with transaction(con):
                con.executemany(_INSERT, rows_of(batch))
            done += batch.num_rows
            progress(f"{ticks.day}: ticks restored", done, ticks.rows)
        with transaction(con):
            fill(con, ledger)
        if not database.leave_wal():
            raise DatabaseError(f"{path} is open in another process")
    finally:
        database.close()


def rows_of(batch: Any) -> Iterator[tuple[Any, ...]]:  # noqa: ANN401 - a pyarrow.RecordBatch
    """Rows as the table `ticks` stores them, of a batch in our types and without nulls."""
    symbols = (symbol for symbol, rows in runs_of(batch.column("symbol")) for _ in range(rows))
    columns: list[Any] = []
    for name in STORED:
        bits = bits_of(batch.column(name))
        columns.append(bits.cast("B").cast("d") if name in REALS else bits)
    return zip(symbols, *columns, strict=True)


def _require_same(made: Path, ticks: TicksFile, progress: Progress) -> None:
    with closing(open_readonly(made)) as con:
        found = hash_symbols(con, ticks.day, ticks.rows, progress)
    expected = {one["symbol"]: (one["rows"], one["hash"]) for one in ticks.certificate["symbols"] if one["rows"]}
    if found != expected:
        names = sorted(name for name in found.keys() | expected.keys() if found.get(name) != expected.get(name))
        raise ArchiveError(f"{ticks.path} is not what is certified of {', '.join(names[:5])}; nothing was restored")
