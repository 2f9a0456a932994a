"""Where the ticks of a day are, and how they are read: from its database while there is one, else from its archive.

    DATA_ROOT/20261120.db                                     live, over or sealed
    DATA_ROOT/archive/trading_day=2026-11-20/ticks.parquet    archived

Owns that choice. A database is read in portions of whole symbols. Between two portions no connection, and so no
transaction, is open, however slow the consumer is: a reader never keeps a log from being emptied or a day from being
sealed. Invariant: if a database is archived between two portions, the archive continues after the last tick.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, Final, TypeVar

import apsw

from hk_tick_collector.errors import ConfigError, DatabaseError, NoDataError
from hk_tick_collector.parquet.arrow import batch_of
from hk_tick_collector.parquet.layout import archived_days, ticks_path
from hk_tick_collector.read.archived_day import archived_batches, archived_symbols
from hk_tick_collector.read.asking import shown_day
from hk_tick_collector.read.day_facts import archived_facts, archived_rows, database_facts, database_rows
from hk_tick_collector.read.sqlite_day import Portion, database_symbols, read_portion
from hk_tick_collector.store.other_disks import is_there
from hk_tick_collector.store.schema import day_files

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from hk_tick_collector.read.bar_rules import DayFacts
    from hk_tick_collector.read.wanted import Position, Wanted

A = TypeVar("A")
B = TypeVar("B")

_CERTIFICATES: Final = f"{'[0-9]' * 8}.certificate.json"
_TRIES: Final = 5  # a day can move between the look for its file and the reading of it


# ---- which days there are


def database_of(root: Path, day: str) -> Path:
    """The path of a day's database."""
    return root / f"{day}.db"


def days_here(root: Path) -> list[str]:
    """The days whose ticks are in a DATA_ROOT, as YYYYMMDD, oldest first.

    Raises:
        DatabaseError: it can't be listed.
    """
    try:
        return sorted({*(path.stem for path in day_files(root)), *archived_days(root)})
    except OSError as exc:
        raise DatabaseError(f"{root} can't be listed: {exc.strerror}") from exc


def days_away(root: Path) -> list[str]:
    """The sealed days whose ticks are elsewhere, oldest first: only their certificates are in the DATA_ROOT."""
    here = set(days_here(root))
    return sorted(day for path in root.glob(_CERTIFICATES) if (day := path.name[:8]) not in here)


def no_data(root: Path, day: str) -> NoDataError:
    """The error for a day without ticks in a DATA_ROOT."""
    if (root / f"{day}.certificate.json").exists():
        return NoDataError(
            f"the ticks of {shown_day(day)} are away: it is sealed, and its database is no longer in "
            f"{root.absolute()}; put it back, or read the DATA_ROOT that has it"
        )
    days = days_here(root)
    known = f"there are {shown_day(days[0])} to {shown_day(days[-1])}" if days else "no day is recorded there"
    return NoDataError(f"no data of {shown_day(day)} in {root.absolute()}: {known}")


# ---- what a day holds


def symbols_on(root: Path, day: str) -> set[str]:
    """The symbols that a day knows: with ticks, or recorded without any.

    Raises:
        NoDataError: the day has no ticks in this DATA_ROOT.
        DatabaseError, ForeignFileError: its file can't be read.
    """
    return _here(root, day, database_symbols, archived_symbols)


def rows_on(root: Path, day: str) -> dict[str, int]:
    """How many ticks each symbol has on a day; the same errors as `symbols_on`."""
    return _here(root, day, database_rows, archived_rows)


def facts_on(root: Path, day: str) -> DayFacts:
    """What bars need to know of a day; the same errors as `symbols_on`."""
    return _here(root, day, database_facts, archived_facts)


# ---- the ticks of a day


def batches_of(root: Path, day: str, wanted: Wanted) -> Iterator[Any]:
    """The ticks of a day as pyarrow RecordBatches, sorted by symbol and sequence.

    Raises:
        NoDataError: the day has no ticks in this DATA_ROOT, or they were taken away meanwhile.
        DatabaseError, ForeignFileError, ArchiveError: its file can't be read.
    """
    position: Position | None = None
    while True:
        portion = _here(
            root,
            day,
            partial(read_portion, wanted=wanted, after=position),
            partial(archived_batches, wanted=wanted, after=position),
        )
        if not isinstance(portion, Portion):
            yield from portion
            return
        if portion.packed:
            yield batch_of(portion.runs, portion.packed, wanted.columns)
        position = portion.position
        if position is None:
            return


def _here(root: Path, day: str, of_database: Callable[[Path], A], of_archive: Callable[[Path], B]) -> A | B:
    """Read a day where it is; look again if its file has moved meanwhile."""
    path = database_of(root, day)
    for _ in range(_TRIES):
        source = path if is_there(path) else ticks_path(root, day)
        try:
            if source == path:
                return of_database(path)
            if source.exists():
                return of_archive(source)
        except ConfigError:
            raise
        except (apsw.Error, DatabaseError, OSError) as exc:
            if is_there(source):
                if isinstance(exc, DatabaseError):
                    raise
                raise DatabaseError(f"{source} can't be read: {exc}") from exc
    raise no_data(root, day)
