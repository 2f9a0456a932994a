"""What says that a day is sealed, and how a sealed day is opened again.

    DATA_ROOT/YYYYMMDD.certificate.json      there exactly while the day is sealed
    DATA_ROOT/YYYYMMDD.certificate.N.json    a superseded one: it was true until the day was opened again

Owns these names, and the two locks of sealing; `seal.day` makes what is in them. A process that
opens a day's file for writing, or seals it, holds `day_open_lock` from its look for the certificate until that is done.
Invariant: only another program can make a file differ from its certificate, since ours remove the certificate first,
and wait until that is on the disk.
"""

from __future__ import annotations

import os
import re
import stat
from contextlib import contextmanager
from typing import TYPE_CHECKING

from hk_tick_collector.errors import DatabaseError
from hk_tick_collector.store.data_root import SEAL_LOCK, is_locked, sync, wait_for_lock

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

OPEN_SEC = 10.0
_CHECK_EVERY_SEC = 0.01


def certificate_of(database: Path) -> Path:
    """Where the certificate of a day's database is, while it is sealed."""
    return database.with_name(f"{database.stem}.certificate.json")


def is_sealed(database: Path) -> bool:
    """Whether that day is sealed."""
    return certificate_of(database).exists()


def refuse_sealed(database: Path) -> None:
    """For who changes a day by hand: first the seal is taken off.

    Raises:
        DatabaseError: it is on.
    """
    if is_sealed(database):
        raise DatabaseError(
            f"{database} is sealed: take the seal off with hk-tick-collector seal --reopen --day {database.stem} "
            f"--data-root {database.parent}"
        )


def superseded(database: Path) -> dict[int, Path]:
    """The certificates that a day has had before, by their number; the newest is the last."""
    name = re.compile(rf"{re.escape(database.stem)}\.certificate\.([1-9]\d*)\.json")
    found = ((name.fullmatch(path.name), path) for path in database.parent.glob(f"{database.stem}.certificate.*.json"))
    return dict(sorted((int(match[1]), path) for match, path in found if match))


@contextmanager
def day_open_lock(data_root: Path, timeout_sec: float = OPEN_SEC) -> Iterator[None]:
    """Keep others from opening a day for writing, and from sealing one, for a moment.

    Raises:
        DatabaseError: another process has kept us from it for that long.
    """
    # The directory itself: there is no file to be made on a full disk, or to belong to the wrong user.
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
    """Take the seal off a day, within `day_open_lock`: its certificate becomes a superseded one.

    Returns:
        That one's number; None: it was not sealed.
    """
    number = None
    numbers = superseded(database)
    if is_sealed(database):
        number = max(numbers, default=0) + 1
        certificate_of(database).rename(database.with_name(f"{database.stem}.certificate.{number}.json"))
        sync(database.parent)
    if (number or numbers) and database.exists():  # also where a process was killed between the two
        mode = stat.S_IMODE(database.stat().st_mode)
        if not mode & stat.S_IWUSR:
            database.chmod(mode | stat.S_IWUSR)
    return number


def request_release(lock: int, day: str) -> None:
    """Whoever holds SEAL_LOCK says which day is wanted, so that a writer lets go of it; "": none is any more."""
    os.ftruncate(lock, 0)
    os.pwrite(lock, f"{os.getpid()} {day}\n".encode(), 0)


def requested_day(data_root: Path) -> str | None:
    """The day that is just being sealed."""
    path = data_root / SEAL_LOCK
    try:
        words = path.read_bytes().split()
    except OSError:
        return None
    if len(words) < 2 or not is_locked(path):  # noqa: PLR2004 - a process and a day
        return None
    return words[1].decode(errors="replace")
