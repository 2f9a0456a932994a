"""Which days are to be archived, which databases may be deleted then, and which archived days have late ticks."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from hk_tick_collector.archive.publishing import is_current
from hk_tick_collector.errors import CollectorError
from hk_tick_collector.hktime import DAY_MS, day_begin_ms
from hk_tick_collector.journal.cursor import load_waits
from hk_tick_collector.journal.segments import DIRECTORY
from hk_tick_collector.parquet.layout import archive_dir, is_archived
from hk_tick_collector.store import certificate_file
from hk_tick_collector.store.schema import day_files
from hk_tick_collector.store.sealed import certificate_of, is_sealed

if TYPE_CHECKING:
    from pathlib import Path


class Due(NamedTuple):
    """A day to archive; `keeps`: its database stays."""

    day: str
    keeps: bool


def keeps_database(day: str, today: str, keep_days: int) -> bool:
    """Whether the database of a day stays beside its archive: it is at most `keep_days` days old. Days are YYYYMMDD."""
    return day_begin_ms(today) - day_begin_ms(day) <= keep_days * DAY_MS


def due_days(data_root: Path, today: str, keep_days: int) -> list[Due]:
    """The sealed days that have no archive of their certificate, or whose database is to go; oldest first.

    Args:
        data_root: whose days.
        today: YYYYMMDD in Hong Kong.
        keep_days: for how many days a database stays.
    """
    due = []
    for path in day_files(data_root):
        if path.stem < today and is_sealed(path):
            keeps = path.is_symlink() or keeps_database(path.stem, today, keep_days)
            if not keeps or not _is_current(path):
                due.append(Due(path.stem, keeps))
    return due


def _is_current(database: Path) -> bool:
    """Whether its archive is that of its certificate; False also if that can't be told: archiving says why."""
    try:
        certificate = certificate_file.read(certificate_of(database))
        return is_current(archive_dir(database.parent, database.stem), certificate)
    except (CollectorError, OSError):
        return False


def days_to_restore(data_root: Path) -> list[str]:
    """The archived days without a database for which ticks wait in the journal."""
    waits = load_waits(data_root / DIRECTORY)
    paths = [data_root / f"{day}.db" for day in sorted(waits) if day.isdecimal()]
    return [path.stem for path in paths if is_archived(path) and not path.exists()]
