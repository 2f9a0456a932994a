"""The files that mark a day as sealed, and how a sealed day is reopened.

    DATA_ROOT/YYYYMMDD.certificate.json      exists exactly while the day is sealed
    DATA_ROOT/YYYYMMDD.certificate.N.json    a superseded one: valid until the day was reopened
    DATA_ROOT/YYYYMMDD.quarters[.N].json     the side file of a certificate, written before it and renamed after it

Owns these names, and the two locks of sealing; `seal.day` makes the content. A process that opens a day's file for
writing, or seals it, holds `day_open_lock` from its check for the certificate until the file is open or sealed.
Invariant: only another program can make a file differ from its certificate, since this one renames the certificate
first, and waits until that is on the disk.
"""

from __future__ import annotations

import os
import re
import stat
from contextlib import contextmanager
from typing import TYPE_CHECKING

from hk_tick_collector.errors import DatabaseError
from hk_tick_collector.store.data_root import SEAL_LOCK, is_locked, sync, wait_for_lock
from hk_tick_collector.store.quarters import quarters_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

OPEN_SEC = 10.0
_CHECK_EVERY_SEC = 0.01


def certificate_of(database: Path) -> Path:
    """The path of a day's certificate; the file exists while the day is sealed."""
    return database.with_name(f"{database.stem}.certificate.json")


def is_sealed(database: Path) -> bool:
    """Whether the day of a database is sealed."""
    return certificate_of(database).exists()


def refuse_sealed(database: Path) -> None:
    """Refuse to change a sealed day: the operator has to take the seal off first.

    Raises:
        DatabaseError: the day is sealed.
    """
    if is_sealed(database):
        raise DatabaseError(
            f"{database} is sealed: take the seal off with hk-tick-collector seal --reopen --day {database.stem} "
            f"--data-root {database.parent}"
        )


def superseded(database: Path) -> dict[int, Path]:
    """The superseded certificates of a day by their number, the newest last."""
    name = re.compile(rf"{re.escape(database.stem)}\.certificate\.([1-9]\d*)\.json")
    found = ((name.fullmatch(path.name), path) for path in database.parent.glob(f"{database.stem}.certificate.*.json"))
    return dict(sorted((int(match[1]), path) for match, path in found if match))


@contextmanager
def day_open_lock(data_root: Path, timeout_sec: float = OPEN_SEC) -> Iterator[None]:
    """Keep other processes from opening a day for writing, and from sealing one.

    Raises:
        DatabaseError: another process still holds the lock after `timeout_sec`.
    """
    # The lock is on the directory itself, so no lock file has to be created on a full disk, or gets the wrong owner.
    file = os.open(data_root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        if not wait_for_lock(file, timeout_sec, _CHECK_EVERY_SEC):
            raise DatabaseError(
                f"{data_root} has been locked by another process for more than {timeout_sec:g} s, to seal "
                "a day or to open one: was that process stopped? `lslocks` shows which it is"
            )
        yield
    finally:
        os.close(file)


def reopen(database: Path) -> int | None:
    """Take the seal off a day: its certificate becomes a superseded one. The caller holds `day_open_lock`.

    Returns:
        The number of the superseded certificate; None: the day was not sealed.
    """
    number = None
    numbers = superseded(database)
    if is_sealed(database):
        number = max(numbers, default=0) + 1
        certificate_of(database).rename(database.with_name(f"{database.stem}.certificate.{number}.json"))
        sync(database.parent)
    newest = number or max(numbers, default=0)
    if newest:
        _follow(database, newest)
    if (number or numbers) and database.exists():  # also if a process was killed between rename and chmod
        mode = stat.S_IMODE(database.stat().st_mode)
        if not mode & stat.S_IWUSR:
            database.chmod(mode | stat.S_IWUSR)
    return number


def _follow(database: Path, number: int) -> None:
    """The side file follows its certificate; also if a process was killed between the two."""
    quarters = quarters_of(certificate_of(database))
    numbered = quarters_of(database.with_name(f"{database.stem}.certificate.{number}.json"))
    if quarters.exists() and not numbered.exists():
        quarters.rename(numbered)


def request_release(lock: int, day: str) -> None:
    """Write the wanted day into SEAL_LOCK, which the caller holds, so that a writer closes it; "": none any more."""
    os.ftruncate(lock, 0)
    os.pwrite(lock, f"{os.getpid()} {day}\n".encode(), 0)


def requested_day(data_root: Path) -> str | None:
    """The day that is being sealed now; None: there is none."""
    path = data_root / SEAL_LOCK
    try:
        words = path.read_bytes().split()
    except OSError:
        return None
    if len(words) < 2 or not is_locked(path):  # noqa: PLR2004 - a process and a day
        return None
    return words[1].decode(errors="replace")
