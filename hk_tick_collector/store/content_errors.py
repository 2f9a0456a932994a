"""Content errors: caused by what was to be stored, not by where, so a retry would raise them again.

A full disk, a lock, and a damaged or missing file are not content errors: they pass, or the operator repairs them.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

import apsw

from hk_tick_collector.errors import ContentError, DatabaseError, DayError
from hk_tick_collector.text import plain

if TYPE_CHECKING:
    from collections.abc import Iterator

# Errors of a damaged database. They don't pass: its content has to be derived again.
DAMAGED: Final = (apsw.CorruptError, apsw.NotADBError)
ERROR_MAX: Final = 500  # characters


def is_of_content(exc: BaseException) -> bool:
    """Whether an exception is a content error."""
    if isinstance(exc, apsw.ConstraintError | apsw.MismatchError | apsw.TooBigError | apsw.RangeError):
        return True
    if isinstance(exc, apsw.SQLError):
        return "overflow" in str(exc)
    return isinstance(exc, Exception) and not isinstance(exc, apsw.Error | OSError | DatabaseError | MemoryError)


@contextmanager
def storing_content() -> Iterator[None]:
    """Turn content errors that are raised in here into ContentError.

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
    """Attribute errors that are raised in here to a day's database.

    Raises:
        DayError: the day's database failed; other days may still work.
    """
    try:
        yield
    except DayError:
        raise
    except (apsw.Error, OSError, DatabaseError) as exc:
        if is_of_content(exc):
            raise
        raise DayError(day, exc) from exc
