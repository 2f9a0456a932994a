"""Follows a DATA_ROOT: from any moment of the past into the present, without a seam.

Owns which days are looked at, and how often. The past and the present are read in the same way, by `watched_day`, so
there is no moment at which one ends and the other begins. Never writes, and holds no transaction while it waits.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Final, Self

from hk_tick_collector.errors import DatabaseError
from hk_tick_collector.read.asking import instant_of
from hk_tick_collector.read.sources import days_away, days_here, no_data
from hk_tick_collector.read.watched_day import WatchedDay
from hk_tick_collector.store.schema import day_files
from hk_tick_collector.store.stored import days_so_far

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import pyarrow as pa

    from hk_tick_collector.read.asking import When
    from hk_tick_collector.read.wanted import Wanted

LOOK_SEC: Final = 0.05
SELDOM_SEC: Final = 1.0  # for a day that is quiet, and for the list of days
NEWEST: Final = 2  # days that are never looked at seldom; one may be in the future, made by a wrong date


class Follow:
    """An iterator of ticks as they are committed, as Arrow RecordBatches; it never ends by itself.

        with data.follow(["HK.00700"], since="2026-11-20") as batches:
            for batch in batches:
                …

    Each (`symbol`, `seq`) is given once over the life of the iterator: over midnight, over restarts of the recorder, if
    it comes late, and if its day is archived meanwhile. The past comes first, day by day; then what is committed,
    within 0.2 s, with late ticks of earlier days in between. A batch is of one day, sorted by symbol and sequence.

    A tick without a sequence of OpenD's is given under its made-up, negative one. If it is pushed with a sequence
    later, it is given again under that one, as the database replaces it: the later one counts.

    One thread at a time may use it.
    """

    def __init__(self, root: Path, since: When | None, wanted: Wanted) -> None:
        """Made by `DataRoot.follow`.

        Raises:
            ConfigError: `since` is neither a day nor an instant.
            NoDataError: a day since then is away.
        """
        self._root = root
        self._wanted = wanted
        self._days: dict[str, WatchedDay] = {}
        self._round: Iterator[Any] | None = None
        self._root_mtime_ns = 0
        self._looked_at = float("-inf")  # at all days, also quiet ones
        self._begin_ms: int | None = None
        if since is None:
            so_far = days_so_far(day_files(root))
            self._first = so_far[-1].stem if so_far else max(days_here(root), default="")
            self._find_days(is_silent=True)
            for day in self._days.values():
                for _ in day.poll():  # it gives nothing, and knows what is there now
                    raise AssertionError("a silent day gave a batch")
        else:
            self._first, self._begin_ms = instant_of(since, "since")
            away = [day for day in days_away(root) if day >= self._first]
            if away:
                raise no_data(root, away[0])

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> pa.RecordBatch:
        """The next batch; waits until there is one.

        Raises:
            DatabaseError, ForeignFileError, ArchiveError: a day's file is damaged, or can't be read for long.
        """
        while (batch := self.poll()) is None:
            time.sleep(LOOK_SEC)
        return batch

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def poll(self) -> pa.RecordBatch | None:
        """The next batch if there is one now, without waiting: for callers that have a loop of their own.

        Raises:
            DatabaseError, ForeignFileError, ArchiveError: as `__next__`.
        """
        if self._round is None:
            self._round = self._look()
        batch = next(self._round, None)
        if batch is None:
            self._round = None
        return batch

    def close(self) -> None:
        """Close its connections. A generator that is left does the same when it is deleted."""
        for day in self._days.values():
            day.close()
        self._round = None

    def _look(self) -> Iterator[Any]:
        """One look at the days, the oldest first; at quiet ones only now and then."""
        now = time.monotonic()
        is_for_all = now - self._looked_at >= SELDOM_SEC
        if is_for_all:
            self._looked_at = now
        mtime_ns = self._root_changed_ns()
        if is_for_all or mtime_ns != self._root_mtime_ns:
            self._root_mtime_ns = mtime_ns
            self._find_days()
        names = sorted(self._days)
        for name in names:
            day = self._days[name]
            if is_for_all or name in names[-NEWEST:] or not day.is_quiet:
                yield from day.poll()

    def _root_changed_ns(self) -> int:
        try:
            return self._root.stat().st_mtime_ns
        except OSError as exc:
            raise DatabaseError(f"{self._root} can't be read: {exc.strerror}") from exc

    def _find_days(self, *, is_silent: bool = False) -> None:
        for day in days_here(self._root):
            if day >= self._first and day not in self._days:
                begin_ms = self._begin_ms if day == self._first else None
                wanted = self._wanted._replace(begin_ms=begin_ms)
                self._days[day] = WatchedDay(self._root, day, wanted, is_silent=is_silent)
