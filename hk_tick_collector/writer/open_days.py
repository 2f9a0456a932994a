"""The transaction of one batch: one in each day's database that the batch touches, committed together.

Owns which days are begun. Opens no database by itself, and inserts nothing.

There is one cycle, and it is here: beginning a day asks the judge (`on_begin`) to write what waits for that day, and
the judge asks for days (`existing`) while it judges a mark. It ends because a day that is begun is not begun again.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from hk_tick_collector import logs
from hk_tick_collector.store.content_errors import of_day
from hk_tick_collector.store.other_disks import require_answer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from contextlib import AbstractContextManager
    from pathlib import Path

    from hk_tick_collector.db import DayDatabase
    from hk_tick_collector.writer.day_databases import DayDatabases

log = logs.get_logger()

DAYS_MAX = 16  # days with an open transaction; only a feed with wrong dates has more, and each needs three files


class Hooks(NamedTuple):
    """What happens around the transactions.

    Attributes:
        takes: whether a day is to be stored; its ticks are skipped otherwise.
        elsewhere: wraps what waits for a lock or a disk.
        on_begin: writes what waits for a day, once its transaction has begun.
        on_commit: takes the days that were committed.
    """

    takes: Callable[[str], bool]
    elsewhere: Callable[[], AbstractContextManager[None]]
    on_begin: Callable[[str, DayDatabase], None]
    on_commit: Callable[[Iterable[str]], None]


class OpenDays:
    """The days in which a batch has begun a transaction."""

    def __init__(self, root: Path, databases: DayDatabases, hooks: Hooks) -> None:
        """Nothing is begun yet.

        Args:
            root: DATA_ROOT.
            databases: the writer's open databases.
            hooks: what happens around the transactions.
        """
        self._root = root
        self._databases = databases
        self._hooks = hooks
        self._begun: dict[str, DayDatabase] = {}
        self.written_by_others: set[str] = set()

    def __contains__(self, day: str) -> bool:
        """Whether a day's transaction has begun."""
        return day in self._begun

    def require_disk(self, day: str) -> None:
        """Before a day's file is touched, make sure that its disk answers, if it is another one, which may hang."""
        if day not in self._begun:
            with self._hooks.elsewhere():
                require_answer(self._root / f"{day}.db")

    def get(self, day: str) -> DayDatabase:
        """A day's database, in a transaction; it is made if there is none."""
        if day in self._begun:
            return self._begun[day]
        if len(self._begun) >= DAYS_MAX:
            self.commit()
            self._databases.trim()
        with self._hooks.elsewhere():
            database, is_new = self._databases.get(day)
            if is_new:
                log.info("sqlite_pragmas", day=day, path=database.path, **database.pragmas_in_force())
            if database.begin():
                self.written_by_others.add(day)
        self._begun[day] = database
        self._hooks.on_begin(day, database)
        return database

    def existing(self, day: str) -> DayDatabase | None:
        """A day's database, in a transaction; None: there is none to use, and none is made."""
        if not self._hooks.takes(day):
            return None
        with of_day(day):
            self.require_disk(day)
            return self.get(day) if self._databases.has(day) else None

    def commit(self) -> None:
        """Commit all. If a commit fails, the earlier ones stay: storing their rows again finds only duplicates."""
        for day, database in self._begun.items():
            with of_day(day), self._hooks.elsewhere():
                database.commit()
        self._hooks.on_commit(self._begun)
        self._begun.clear()
