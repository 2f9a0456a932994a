"""Days that are sealed, and archived."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING, Any

from hk_tick_collector.archive.publishing import archive_day
from hk_tick_collector.parquet.layout import archive_dir
from hk_tick_collector.parquet.opening import open_day
from hk_tick_collector.seal.day import sealing
from support.scenario import Scenario
from support.sealing import SILENT, make_day, seal_day, tell_day
from support.ticks import DAY

if TYPE_CHECKING:
    from pathlib import Path

    from hk_tick_collector.archive.publishing import Archived


def archive(database: Path, *, keeps: bool = False) -> Archived:
    """Archive a sealed day; by default its database goes."""
    with sealing(database.parent) as lock:
        return archive_day(database, lock, SILENT, keeps=keeps)


def make_archived(root: Path, *, ticks: int = 40) -> Path:
    """A day of two symbols that has only its archive; the path that its database had."""
    database = make_day(root, ticks=ticks)
    seal_day(database)
    archive(database)
    return database


def make_told(root: Path) -> Path:
    """A sealed day with a ledger: a gap, totals, premises."""
    database = tell_day(Scenario(root), lost=300)
    seal_day(database)
    return database


def folder_of(database: Path) -> Path:
    """Where its archive is."""
    return archive_dir(database.parent, database.stem)


def ask(database: Path, sql: str) -> list[Any]:
    """The rows of a query, of the database or of the archive."""
    with closing(open_day(database)) as con:
        return list(con.execute(sql))


def tables_of(database: Path) -> dict[str, list[Any]]:
    """All rows of each table that a day's database has; of an archived day likewise."""
    names = ask(database, "SELECT name FROM sqlite_schema WHERE type = 'table'")
    return {
        name: ask(database, f"SELECT * FROM {name}")  # noqa: S608 - names of the schema
        for name in sorted({"ticks", *(name for (name,) in names)})
    }


__all__ = [
    "DAY",
    "SILENT",
    "archive",
    "ask",
    "folder_of",
    "make_archived",
    "make_day",
    "make_told",
    "seal_day",
    "tables_of",
]
