"""Which days have had a database: a past one that is not there any more was taken away, and no empty one replaces it.

Owns `journal/days.json`. Without a cursor nothing is known: all that the journal holds is stored again, and each day's
database is made that is not there. So whoever wants a day made again takes its file and the cursor away.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Final

from hk_tick_collector.journal.segments import DIRECTORY

if TYPE_CHECKING:
    from pathlib import Path

FILE: Final = "days.json"
DAYS_MAX: Final = 400  # the newest; nothing comes for older ones


class KnownDays:
    """The days of a DATA_ROOT. The file is read anew each time, which is seldom: a database stays open."""

    def __init__(self, data_root: Path) -> None:
        """Nothing is read yet."""
        self._path = data_root / DIRECTORY / FILE

    def has(self, day: str) -> bool:
        """Whether there was a database of that day."""
        return day in self._read()

    def add(self, day: str) -> None:
        """There is one."""
        days = self._read()
        if day not in days:
            self._write([*days, day])

    def remove(self, day: str) -> None:
        """One is to be made anew."""
        days = self._read()
        if day in days:
            self._write([known for known in days if known != day])

    def forget(self) -> None:
        """None has had one."""
        self._path.unlink(missing_ok=True)

    def _read(self) -> list[str]:
        """None where there is no such file, or one that can't be read: then what is asked for is made."""
        try:
            told = json.loads(self._path.read_text())
        except (FileNotFoundError, ValueError, RecursionError):
            return []
        return [day for day in told if isinstance(day, str)] if isinstance(told, list) else []

    def _write(self, days: list[str]) -> None:
        if not self._path.parent.is_dir():
            return  # no recorder's DATA_ROOT
        temporary = self._path.with_name(FILE + ".tmp")
        temporary.write_text(json.dumps(sorted(days)[-DAYS_MAX:]))
        temporary.replace(self._path)
