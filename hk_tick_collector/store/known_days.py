"""Which days have had a database: a missing one was removed, and no empty one replaces it.

Owns `journal/days.json`. Without a cursor no day is known: the whole journal is replayed, and every missing database is
made. So to have a day made again, the operator removes its file and the cursor.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Final

from hk_tick_collector.journal.segments import DIRECTORY

if TYPE_CHECKING:
    from pathlib import Path

FILE: Final = "days.json"
DAYS_MAX: Final = 400  # the newest; no ticks come for older ones


class KnownDays:
    """The known days of a DATA_ROOT. Each call reads the file again; calls are rare, since a database stays open."""

    def __init__(self, data_root: Path) -> None:
        """Does not read the file yet."""
        self._path = data_root / DIRECTORY / FILE

    def has(self, day: str) -> bool:
        """Whether there was a database of that day."""
        return day in self._read()

    def add(self, day: str) -> None:
        """Note that a day has a database."""
        days = self._read()
        if day not in days:
            self._write([*days, day])

    def remove(self, day: str) -> None:
        """Forget a day: its database is to be made again."""
        days = self._read()
        if day in days:
            self._write([known for known in days if known != day])

    def forget(self) -> None:
        """Forget all days."""
        self._path.unlink(missing_ok=True)

    def _read(self) -> list[str]:
        """The known days; empty if the file is missing or invalid: then a missing database is made."""
        try:
            told = json.loads(self._path.read_text(encoding="utf-8"))
        except (FileNotFoundError, ValueError, RecursionError):
            return []
        return [day for day in told if isinstance(day, str)] if isinstance(told, list) else []

    def _write(self, days: list[str]) -> None:
        if not self._path.parent.is_dir():
            return  # not a recorder's DATA_ROOT
        temporary = self._path.with_name(FILE + ".tmp")
        temporary.write_text(json.dumps(sorted(days)[-DAYS_MAX:]), encoding="utf-8")
        temporary.replace(self._path)
