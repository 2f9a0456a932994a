"""How long the disk of DATA_ROOT will last, from the size of the last days.

Owns the estimate alone: each trading day adds its database for good, and its journal for the retention time. Never
deletes anything.
"""

from __future__ import annotations

import shutil
from collections import Counter
from typing import TYPE_CHECKING, Final, NamedTuple

from hk_tick_collector.journal.segments import DIRECTORY, list_segments
from hk_tick_collector.store.schema import day_files

if TYPE_CHECKING:
    from pathlib import Path

DAYS_MEASURED: Final = 5  # the newest days that are over; a single one may be a half day


class Space(NamedTuple):
    """The free space, and how long it will last.

    Attributes:
        free_bytes: for this user; None: not known.
        bytes_a_day: what a trading day adds; None: no day is over yet.
        days_left: trading days until the disk is full; None: not known.
    """

    free_bytes: int | None
    bytes_a_day: int | None
    days_left: float | None


def measure_space(data_root: Path, today: str, keep_days: int) -> Space:
    """Measure the free space, and the size of the last days.

    Args:
        data_root: its disk is measured.
        today: YYYYMMDD; days before it are over.
        keep_days: for how many days the journal is kept.

    Raises:
        OSError: the disk can't be read.
    """
    free_bytes = shutil.disk_usage(data_root).free
    # A link points to another disk, which may not even answer.
    over = [path for path in day_files(data_root) if path.stem < today and not path.is_symlink()]
    databases = [path.lstat().st_size for path in over[-DAYS_MEASURED:]]
    journal: Counter[str] = Counter()
    for segment in list_segments(data_root / DIRECTORY):
        if segment.day < today:
            journal[segment.day] += segment.size_bytes
    a_day = _average(databases)
    if len(journal) < keep_days:  # not yet at its retention: no old day is deleted for each new one
        a_day += _average([journal[day] for day in sorted(journal)[-DAYS_MEASURED:]])
    if not a_day:
        return Space(free_bytes, None, None)
    return Space(free_bytes, a_day, round(free_bytes / a_day, 1))


def mount_of(data_root: Path) -> str:
    """Where the file system of a directory is mounted; "": it can't be looked up."""
    try:
        place = data_root.resolve(strict=True)
    except OSError:
        return ""
    return str(next((one for one in (place, *place.parents) if one.is_mount()), place.anchor))


def _average(sizes: list[int]) -> int:
    return sum(sizes) // len(sizes) if sizes else 0
