"""Where archived days are: the names under DATA_ROOT, defined once.

    DATA_ROOT/archive/trading_day=2026-11-20/ticks.parquet
    DATA_ROOT/archive/trading_day=2026-11-20/ledger.parquet

A folder per day, named as Hive names partitions: polars, DuckDB and Spark read the day from it as a column. Imports no
pyarrow: to know which days there are must stay cheap.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from hk_tick_collector.errors import TimeFormatError
from hk_tick_collector.hktime import day_begin_ms

if TYPE_CHECKING:
    from pathlib import Path

ARCHIVE: Final = "archive"
TICKS: Final = "ticks.parquet"
LEDGER: Final = "ledger.parquet"

_DAY_FOLDER: Final = re.compile(r"trading_day=([0-9]{4})-([0-9]{2})-([0-9]{2})")


def archive_dir(root: Path, day: str) -> Path:
    """The folder of an archived day.

    Args:
        root: DATA_ROOT.
        day: YYYYMMDD.
    """
    return root / ARCHIVE / f"trading_day={day[:4]}-{day[4:6]}-{day[6:]}"


def ticks_path(root: Path, day: str) -> Path:
    """The file with a day's ticks; the day is archived exactly while it exists."""
    return archive_dir(root, day) / TICKS


def ledger_path(root: Path, day: str) -> Path:
    """The file with all other tables of a day."""
    return archive_dir(root, day) / LEDGER


def archived_days(root: Path) -> list[str]:
    """The archived days of a DATA_ROOT as YYYYMMDD, oldest first; empty if it has no archive.

    Raises:
        OSError: the archive can't be listed.
    """
    archive = root / ARCHIVE
    if not archive.is_dir():
        return []
    days = (day_of_folder(path.name) for path in archive.iterdir())
    return sorted(day for day in days if day is not None and ticks_path(root, day).exists())


def day_of_folder(name: str) -> str | None:
    """The day, YYYYMMDD, of a folder in the archive; None: the name is not that of a day."""
    match = _DAY_FOLDER.fullmatch(name)
    if match is None:
        return None
    day = "".join(match.groups())
    try:
        day_begin_ms(day)
    except TimeFormatError:
        return None
    return day
