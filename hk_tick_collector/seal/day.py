"""Sealing: a day that is over gets its certificate, and its file becomes read-only.

Owns the order of the steps. While the day is read, however long that takes, no lock on its file is held. What was read
is certified only if the file is still the same once no other process can write to it. Invariant: wherever a sealing is
interrupted, there is either no certificate, or a complete and correct one.
"""

from __future__ import annotations

import os
import stat
import time
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING, Any, BinaryIO, Final, NamedTuple

import apsw

from hk_tick_collector.audit.day import audit_day
from hk_tick_collector.clock import host_ms
from hk_tick_collector.db import Pragmas
from hk_tick_collector.errors import AlreadyRunningError, CollectorError, ConfigError, DatabaseError
from hk_tick_collector.journal.cursor import load_waits, waits_for
from hk_tick_collector.journal.segments import DIRECTORY
from hk_tick_collector.seal import certificate as certificates
from hk_tick_collector.seal.catalog import Catalog
from hk_tick_collector.seal.open_day import settle_day
from hk_tick_collector.store import certificate_file
from hk_tick_collector.store.content_errors import DAMAGED
from hk_tick_collector.store.data_root import SEAL_LOCK, copy_ownership, hold_lock, sync
from hk_tick_collector.store.opening import open_readonly
from hk_tick_collector.store.other_disks import require_answer
from hk_tick_collector.store.quarters import Counting, quarters_of, reference
from hk_tick_collector.store.quarters import encode as encode_quarters
from hk_tick_collector.store.schema import VERSION, check_ours
from hk_tick_collector.store.sealed import certificate_of, day_open_lock, is_sealed, reopen, request_release
from hk_tick_collector.store.stored import read_stats
from hk_tick_collector.store.wal import journal_mode_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from hk_tick_collector.seal.certificate import Certificate, Progress

ATTEMPTS: Final = 3  # one fails if a tick came meanwhile
WAIT_SEC: Final = 30.0  # for processes that have the day open
CHECK_EVERY_SEC: Final = 0.1
BUSY_TIMEOUT_MS: Final = 1000

_HEADER_BYTES: Final = 100  # of a SQLite file; it holds the change counter
_STEPS_A_LOOK: Final = 10_000_000  # of SQLite's virtual machine, between two progress reports


class SealedDay(NamedTuple):
    """A sealed day: its certificate, whether it is new, and the seconds that sealing took."""

    certificate: Certificate
    is_new: bool
    sec: float


@contextmanager
def sealing(data_root: Path) -> Iterator[int]:
    """Hold the seal lock of a DATA_ROOT; yields its descriptor.

    Raises:
        AlreadyRunningError: another process is sealing or repairing there.
        ConfigError: DATA_ROOT can't be written to.
    """
    try:
        lock = hold_lock(data_root, SEAL_LOCK, 1.0)  # a writer takes it for a moment, to check it
    except AlreadyRunningError as exc:
        raise AlreadyRunningError(f"a day of {data_root} is being sealed or repaired by another process") from exc
    except OSError as exc:
        raise ConfigError(f"{data_root} can't be written to: {exc}") from exc
    try:
        copy_ownership(data_root / SEAL_LOCK, data_root)
        yield lock
    finally:
        os.close(lock)


def seal(database: Path, lock: int, progress: Progress) -> SealedDay:
    """Seal a day that is over, whatever its verdict is; within `sealing`.

    Raises:
        DatabaseError: it is damaged, waits for ticks, is open in another process, or keeps changing; then there is no
            certificate. Or it is sealed, and differs from its certificate.
        OSError: it can't be read, or the certificate can't be written.
    """
    began = time.monotonic()
    require_answer(database)
    if waits_for(load_waits(database.parent / DIRECTORY), database.stem):
        raise DatabaseError(f"{database} waits for ticks that are still in the journal: see day_waits in the log")
    request_release(lock, database.stem)
    try:
        if is_sealed(database):
            found = certificate_file.read(certificate_of(database))
            if certificates.hash_file(database, progress)[1] != found["database"]["sha256"]:
                raise DatabaseError(f"{database} is sealed, and was changed since: hk-tick-collector verify --sealed")
            _forbid_writing(database)  # in case a sealing was killed just before this
            return SealedDay(found, is_new=False, sec=time.monotonic() - began)
        with day_open_lock(database.parent):
            reopen(database)  # if a process was killed during a reopen, the file is still read-only
        for _ in range(ATTEMPTS):
            made = _attempt(database, progress)
            if made is not None:
                return SealedDay(made, is_new=True, sec=time.monotonic() - began)
        raise DatabaseError(f"{database} changes while it is sealed: try again when nothing comes for that day")
    except (apsw.Error, UnicodeError) as exc:  # SQLite does not check that text is UTF-8
        raise DatabaseError(f"{database} was not sealed: {type(exc).__name__}: {exc}") from exc
    finally:
        request_release(lock, "")


def _attempt(database: Path, progress: Progress) -> Certificate | None:
    """Read the day, and certify it; None: it has changed meanwhile."""
    _make_plain(database)
    with database.open("rb") as file:
        before = _state_of(database, file)
    try:
        made, quarters = _read_all(database, progress)
    except (DatabaseError, apsw.Error):
        with database.open("rb") as file:
            if _state_of(database, file) == before:
                raise
        return None  # it changed while it was read, so its parts did not match
    with day_open_lock(database.parent), _write_locked(database) as file:
        if is_sealed(database) or _state_of(database, file) != before:
            return None
        os.fsync(file.fileno())
        _write(quarters_of(certificate_of(database)), quarters)  # first: a certificate never names what is not there
        _write(certificate_of(database), certificate_file.encode(made))
        _forbid_writing(database)
    return made


def _read_all(database: Path, progress: Progress) -> tuple[Certificate, bytes]:
    """The certificate, and its side file."""
    _check_integrity(database, progress)
    audit = audit_day(database)
    rows = sum(stats.rows for stats in read_stats(database).values())
    with closing(open_readonly(database)) as con:
        counting = Counting(database.stem)
        hashes = certificates.hash_symbols(con, database.stem, rows, progress, counting)
    quarters = encode_quarters(database.stem, counting.found)
    told = reference(certificate_of(database), quarters)
    size_and_hash = certificates.hash_file(database, progress)
    return certificates.make(database, audit, hashes, size_and_hash, host_ms(), told), quarters


def _make_plain(database: Path) -> None:
    """Bring it to the current schema and out of WAL mode, once no other process has it open."""
    deadline = time.monotonic() + WAIT_SEC
    while journal_mode_of(database) == "wal" or _version_of(database) != VERSION:
        try:
            if settle_day(database, Pragmas(busy_timeout_ms=BUSY_TIMEOUT_MS)):
                return
        except apsw.BusyError:
            pass
        if time.monotonic() >= deadline:
            raise DatabaseError(f"{database} is open in another process: end that one first (fuser shows which it is)")
        time.sleep(CHECK_EVERY_SEC)


def _version_of(database: Path) -> int:
    with closing(open_readonly(database)) as con:
        check_ours(con, database)
        return int(con.pragma("user_version"))


def _state_of(database: Path, file: BinaryIO) -> tuple[Any, ...]:
    """What identifies a plain file's content without reading it all, and whether there are logs beside it."""
    told = os.fstat(file.fileno())
    file.seek(0)
    logs = [database.with_name(database.name + suffix).exists() for suffix in ("-wal", "-journal")]
    return (told.st_ino, told.st_size, told.st_mtime_ns, file.read(_HEADER_BYTES), *logs)


def _check_integrity(database: Path, progress: Progress) -> None:
    size = database.stat().st_size

    def told() -> bool:
        progress(f"{database.name}: checked by SQLite; bytes", 0, size)
        return False

    with closing(open_readonly(database)) as con:
        con.set_progress_handler(told, _STEPS_A_LOOK)
        try:
            found = str(con.execute("PRAGMA integrity_check(1)").get)
        except DAMAGED as exc:
            found = str(exc)
    if found != "ok":
        raise DatabaseError(
            f"{database} is damaged, and was not sealed: {found}; "
            f"hk-tick-collector rebuild --day {database.stem} derives it again from the journal"
        )


@contextmanager
def _write_locked(database: Path) -> Iterator[BinaryIO]:
    """The file, open for reading, while no other process can write to it.

    Closing any descriptor of a file drops all locks that this process has on it: so this one is opened before the lock
    is taken, and closed after it is released.
    """
    with database.open("rb") as file, closing(apsw.Connection(str(database), flags=apsw.SQLITE_OPEN_READWRITE)) as con:
        con.set_busy_timeout(BUSY_TIMEOUT_MS)
        con.execute("BEGIN IMMEDIATE")
        try:
            yield file
        finally:
            con.execute("ROLLBACK")


def _write(path: Path, encoded: bytes) -> None:
    temporary = path.with_name(f".{path.name}.tmp")
    temporary.write_bytes(encoded)
    copy_ownership(temporary, path.parent)
    sync(temporary)
    temporary.rename(path)
    sync(path.parent)


def _forbid_writing(database: Path) -> None:
    mode = stat.S_IMODE(database.stat().st_mode)
    database.chmod(mode & ~(stat.S_IWUSR | stat.S_IWGRP | stat.S_IWOTH))


def seal_days(data_root: Path, days: list[str], progress: Progress) -> Iterator[dict[str, Any]]:
    """Seal some days; yields the outcome of each. A day that can't be sealed does not stop the others.

    Raises:
        AlreadyRunningError, ConfigError: as `sealing`; nothing was sealed.
    """
    with sealing(data_root) as lock:
        for day in days:
            try:
                done = seal(data_root / f"{day}.db", lock, progress)
            except (CollectorError, OSError) as exc:
                yield {"day": day, "error": str(exc)}
                continue
            yield {"day": day, "is_new": done.is_new, "sec": round(done.sec, 1), **summary_of(done.certificate)}
    if days:
        Catalog(data_root, progress).close()


def summary_of(certificate: Certificate) -> dict[str, Any]:
    """What is reported of a certificate in one line."""
    verdicts = certificate["symbols_by_verdict"]
    return {"verdict": certificate["verdict"], "rows": certificate["rows"], **verdicts}
