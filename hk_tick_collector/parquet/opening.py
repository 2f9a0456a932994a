"""Finds and opens a day for reading, be it a database or archived: callers need not know which."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING, TypeVar

from hk_tick_collector.errors import ConfigError
from hk_tick_collector.parquet.layout import archive_dir, archived_days, is_archived
from hk_tick_collector.store import stored
from hk_tick_collector.store.opening import open_readonly, read_untouched
from hk_tick_collector.store.other_disks import is_there
from hk_tick_collector.store.schema import day_files

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import apsw

T = TypeVar("T")


def has_only_archive(database: Path) -> bool:
    """Whether a day is archived and its database is gone.

    Raises:
        DatabaseError: the disk of the database does not answer.
    """
    return is_archived(database) and not is_there(database)


def open_day(database: Path) -> apsw.Connection:
    """Open a day by the path of its database; if only its archive is there, as a database in memory.

    Raises:
        DatabaseError: as `store.opening.open_readonly`.
        ForeignFileError, ArchiveError, MissingExtraError: the archive can't be read, or pyarrow is not installed.
    """
    if not has_only_archive(database):
        return open_readonly(database)
    from hk_tick_collector.parquet.sqlite_view import open_view  # noqa: PLC0415 - only with the extra

    return open_view(archive_dir(database.parent, database.stem), database)


def read_day(database: Path, use: Callable[[apsw.Connection], T]) -> T:
    """Read a day with `use`, and leave its files exactly as they are. Returns what `use` returns.

    Raises:
        DatabaseError, apsw.Error, OSError: as `store.opening.read_untouched`.
        ForeignFileError, ArchiveError, MissingExtraError: as `open_day`.
    """
    if not has_only_archive(database):
        return read_untouched(database, use)
    with closing(open_day(database)) as con:
        return use(con)


def day_paths(root: Path) -> list[Path]:
    """The paths of the databases of all days that can be read, archived ones among them, oldest first."""
    return sorted({*day_files(root), *(root / f"{day}.db" for day in archived_days(root))})


def find_day(root: Path, day: str | None) -> Path:
    """The path of a day's database, which may be archived; without a day the newest one with ticks.

    Raises:
        ConfigError, DatabaseNewerError: as `store.stored.find_day`.
    """
    paths = day_paths(root)
    if day is None and not day_files(root) and paths:
        return paths[-1]
    if day is not None and root / f"{day}.db" in paths:
        return root / f"{day}.db"
    if day is not None and paths and archived_days(root):
        raise ConfigError(f"no day {day} in {root.absolute()}: there are {paths[0].stem} to {paths[-1].stem}")
    return stored.find_day(root, day)


def no_database(root: Path, day: str) -> ConfigError:
    """The error for what needs a day's database, and finds none."""
    if is_archived(root / f"{day}.db"):
        return ConfigError(
            f"{day} is archived in {root.absolute()}, without a database: hk-tick-collector archive --restore {day} "
            "makes it again"
        )
    return ConfigError(f"no database of {day} in {root.absolute()}")
