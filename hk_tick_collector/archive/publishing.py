"""Archives a sealed day: writes its files, reads them back, publishes them, and only then deletes its database.

Owns the order of the steps. Each holds whatever kills the process: until the last one the database is there, and before
that the archive is whole, on the disk, and proven. Files are made in a folder that no reader looks at.

    archive/.new-20261120/files/             while it is made, where archive/*/ticks.parquet does not find it; what a
                                             killed process left there is deleted
    archive/trading_day=2026-11-20/          published; `ticks.parquet` comes last: then it is archived
"""

from __future__ import annotations

import os
import time
from contextlib import closing
from shutil import rmtree
from typing import TYPE_CHECKING, Final, NamedTuple

import apsw

from hk_tick_collector import __version__
from hk_tick_collector.archive.proving import prove, require_no_tick_lost
from hk_tick_collector.clock import host_ms
from hk_tick_collector.errors import ArchiveError, DatabaseError, ForeignFileError
from hk_tick_collector.parquet import manifest as manifests
from hk_tick_collector.parquet.extra import require
from hk_tick_collector.parquet.layout import ARCHIVE, LEDGER, TICKS, archive_dir, is_archived
from hk_tick_collector.parquet.ledger_file import write_ledger
from hk_tick_collector.parquet.manifest import Manifest, Part
from hk_tick_collector.parquet.writing import write_ticks
from hk_tick_collector.seal.certificate import hash_file
from hk_tick_collector.store import certificate_file
from hk_tick_collector.store.data_root import copy_ownership, sync
from hk_tick_collector.store.opening import open_readonly
from hk_tick_collector.store.other_disks import require_answer
from hk_tick_collector.store.sealed import certificate_of, day_open_lock, is_sealed, request_release

if TYPE_CHECKING:
    from pathlib import Path

    from hk_tick_collector.seal.certificate import Certificate, Progress

_LOGS: Final = ("-wal", "-journal")


class Archived(NamedTuple):
    """What became of a day.

    Attributes:
        day: YYYYMMDD.
        is_new: whether its files were made now; else they were there.
        is_removed: whether its database was deleted now.
        ticks: how many.
        size_bytes: of the archive.
        database_bytes: of the database.
        decoder: what read the files back.
        damage: what was wrong with the files that were there, so that they were made again; "": nothing.
        sec: how long it took.
    """

    day: str
    is_new: bool
    is_removed: bool
    ticks: int
    size_bytes: int
    database_bytes: int
    decoder: str
    damage: str
    sec: float


def archive_day(database: Path, lock: int, progress: Progress, *, keeps: bool) -> Archived:
    """Archive a sealed day; within `seal.day.sealing`, which keeps all others from changing it.

    Args:
        database: the day's, which must be sealed.
        lock: of `sealing`.
        progress: called with each step.
        keeps: whether the database stays; one that is a link to another disk always does.

    Raises:
        DatabaseError: the day is not sealed, or its database differs from its certificate.
        ArchiveError: what was read back is not what is certified, or an older archive has ticks that the database
            lacks; both stay.
        ForeignFileError: the place of the archive has something else.
        OSError: a file can't be written.
    """
    began = time.monotonic()
    root, day = database.parent, database.stem
    keeps = keeps or database.is_symlink()
    require_answer(database)
    certificate = _certificate(database)
    request_release(lock, day)
    try:
        size = _require_certified(database, certificate, progress)
        folder = archive_dir(root, day)
        is_new, damage = not is_current(folder, certificate), ""
        if not is_new and not keeps:  # it was proven when it was made, which may be long ago
            damage = _damage_of(folder, certificate, database, progress)
            is_new = bool(damage)
        made = _make(database, certificate, progress) if is_new else manifests.read(folder)
        is_removed = not keeps and _remove(database, certificate, size)
    finally:
        request_release(lock, "")
    bytes_now = sum(part.bytes for part in made.files.values())
    sec = time.monotonic() - began
    return Archived(day, is_new, is_removed, certificate["rows"], bytes_now, size, made.decoder, damage, sec)


def _damage_of(folder: Path, certificate: Certificate, database: Path, progress: Progress) -> str:
    """What is wrong with an archive while the database is still there to make it again; "": nothing."""
    try:
        prove(folder, certificate, database, progress)
    except (ArchiveError, ForeignFileError) as exc:
        return str(exc)
    return ""


def is_current(folder: Path, certificate: Certificate) -> bool:
    """Whether a day's archive was made with this certificate, and its files have the sizes that they had.

    Raises:
        ForeignFileError: the place has something that this program did not make.
    """
    if not folder.exists():
        return False
    if not folder.is_dir():
        raise ForeignFileError(f"{folder} is in the way: expected a folder of this program; move it away")
    known = {TICKS, LEDGER, manifests.NAME}
    if strange := sorted(path.name for path in folder.iterdir() if path.name not in known):
        raise ForeignFileError(f"{folder} holds {', '.join(strange[:3])}, which is none of ours; move it away")
    try:
        told = manifests.read(folder)
    except ForeignFileError:
        return False  # a process was killed while it published; the database is still there
    sizes = {name: (folder / name).stat().st_size if (folder / name).exists() else None for name in told.files}
    return told.certificate == certificate["self"] and sizes == {name: p.bytes for name, p in told.files.items()}


def _certificate(database: Path) -> Certificate:
    if not is_sealed(database):
        raise DatabaseError(f"{database} is not sealed: hk-tick-collector seal --day {database.stem}")
    if not database.exists():
        told = "is archived, and its database deleted" if is_archived(database) else "has its database elsewhere"
        if database.is_symlink():
            told = f"is a link to {database.readlink()}, which is not there"
        raise DatabaseError(f"{database.stem} {told}: there is nothing to archive")
    return certificate_file.read(certificate_of(database))


def _require_certified(database: Path, certificate: Certificate, progress: Progress) -> int:
    """Refuse a database that is not byte for byte the certified one. Returns its size."""
    if beside := [suffix for suffix in _LOGS if database.with_name(database.name + suffix).exists()]:
        raise DatabaseError(f"{database.name}{beside[0]} lies beside it: what it holds was not sealed")
    size, digest = hash_file(database, progress)
    if digest != certificate["database"]["sha256"]:
        raise DatabaseError(f"{database} was changed since it was sealed: hk-tick-collector verify --sealed")
    return size


def _make(database: Path, certificate: Certificate, progress: Progress) -> Manifest:
    """Write the files in a folder of their own, prove them there, and publish them."""
    root, day = database.parent, database.stem
    archive = root / ARCHIVE
    _make_folder(archive, root)
    require_no_tick_lost(archive_dir(root, day), certificate, database)
    outer = archive / f".new-{day}"
    rmtree(outer, ignore_errors=True)
    scratch = outer / "files"
    scratch.mkdir(parents=True)
    try:
        copy_ownership(outer, root)
        copy_ownership(scratch, root)
        with closing(open_readonly(database)) as con:
            write_ticks(con, scratch / TICKS, certificate, progress)
            write_ledger(con, scratch / LEDGER, certificate)
        require("pyarrow").default_memory_pool().release_unused()  # reading back needs as much again
        decoder = prove(scratch, certificate, database, progress)
        parts = {}
        for name in (LEDGER, TICKS):
            copy_ownership(scratch / name, root)
            sync(scratch / name)
            parts[name] = Part(*hash_file(scratch / name, progress))
        made = Manifest(day, certificate["self"], host_ms(), f"hk-tick-collector {__version__}", decoder, parts)
        (scratch / manifests.NAME).write_bytes(made.encode())
        copy_ownership(scratch / manifests.NAME, root)
        sync(scratch / manifests.NAME)
        _publish(scratch, archive_dir(root, day))
    except apsw.Error as exc:
        raise DatabaseError(f"{database} was not archived: {type(exc).__name__}: {exc}") from exc
    finally:
        rmtree(outer, ignore_errors=True)
    return made


def _make_folder(path: Path, like: Path) -> None:
    if path.exists() and not path.is_dir():
        raise ForeignFileError(f"{path} is in the way: expected a directory; move it away")
    if not path.is_dir():
        path.mkdir()
        copy_ownership(path, like)
        sync(path.parent)


def _publish(scratch: Path, folder: Path) -> None:
    """Move the files into place, `ticks.parquet` last; an older version of the day is replaced file by file."""
    _make_folder(folder, folder.parent)
    sync(scratch)
    for name in (LEDGER, manifests.NAME, TICKS):
        (scratch / name).replace(folder / name)
    sync(folder)
    sync(folder.parent)


def _remove(database: Path, certificate: Certificate, size: int) -> bool:
    """Delete the database, if it is still the file that was read."""
    with day_open_lock(database.parent):
        if not is_sealed(database) or certificate_file.read(certificate_of(database))["self"] != certificate["self"]:
            raise ArchiveError(f"{database} was reopened meanwhile; it stays")
        told = os.stat(database)  # noqa: PTH116 - like the rest of this function, of the file itself
        if told.st_size != size or any(database.with_name(database.name + suffix).exists() for suffix in _LOGS):
            raise ArchiveError(f"{database} was changed meanwhile; it stays")
        database.unlink()
        sync(database.parent)
    return True
