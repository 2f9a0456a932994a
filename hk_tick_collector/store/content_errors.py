"""Errors that come from what was to be stored, and not from where: trying again would raise them again.

A disk that is full, a lock, a file that is damaged or gone are of another kind: they pass, or somebody mends them.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

import apsw

from hk_tick_collector.errors import ContentError, DatabaseError, DayError
from hk_tick_collector.text import plain

if TYPE_CHECKING:
    from collections.abc import Iterator

# What a database says that is no whole one any more: it does not pass, and what was stored in it must be made again.
DAMAGED: Final = (apsw.CorruptError, apsw.NotADBError)
ERROR_MAX: Final = 500  # characters


def is_of_content(exc: BaseException) -> bool:
    """Whether something is of that kind."""
    if isinstance(exc, apsw.ConstraintError | apsw.MismatchError | apsw.TooBigError | apsw.RangeError):
        return True
    if isinstance(exc, apsw.SQLError):
        return "overflow" in str(exc)
    return isinstance(exc, Exception) and not isinstance(exc, apsw.Error | OSError | DatabaseError | MemoryError)


@contextmanager
def storing_content() -> Iterator[None]:
    """Something is being stored.

    Raises:
        ContentError: its content can't be stored, whatever the original error was.
    """
    try:
        yield
    except Exception as exc:
        if not is_of_content(exc):
            raise
        raise ContentError(plain(f"{type(exc).__name__}: {exc}")[:ERROR_MAX]) from exc


@contextmanager
def of_day(day: str) -> Iterator[None]:
    """What is done in here is done in a day's database.

    Raises:
        DayError: that failed, for a reason that other days need not share.
    """
    try:
        yield
    except DayError:
        raise
    except (apsw.Error, OSError, DatabaseError) as exc:
        if is_of_content(exc):
            raise
        raise DayError(day, exc) from exc
