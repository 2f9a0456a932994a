"""Takes archived days, exported Parquet files and zips of Futu CSVs into day databases.

An archived day with its ledger comes back whole, and proves itself by its certificate. Anything else has ticks only:
such a day is marked in the table `imported`, and its verdict is UNPROVABLE.

Owns which days are made, and how a finished one gets into its place. A source is only read, and nothing in DATA_ROOT is
replaced. Invariant: a day that was made is complete, compared with its sources and on the disk before it has its name.
A killed run leaves only a directory of its own, which the next run clears; days that are there are not made again.
"""

from __future__ import annotations

import os
import shutil
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import apsw

from hk_tick_collector.clock import host_ms
from hk_tick_collector.errors import CollectorError, ConfigError, DatabaseError
from hk_tick_collector.hktime import hk_day
from hk_tick_collector.journal.cursor import load_waits, waits_for
from hk_tick_collector.journal.segments import DIRECTORY
from hk_tick_collector.migrate.from_archive import is_same, prove_and_make
from hk_tick_collector.migrate.from_ticks import lacking, make_days
from hk_tick_collector.parquet.layout import is_archived
from hk_tick_collector.repair.scratch import scratch_place
from hk_tick_collector.seal.due import now_ms
from hk_tick_collector.seal.open_day import is_away, move_logs_aside
from hk_tick_collector.store.data_root import copy_ownership, sync
from hk_tick_collector.store.sealed import day_open_lock
from hk_tick_collector.text import size

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from hk_tick_collector.migrate.found import ArchivedDay, Found
    from hk_tick_collector.migrate.tick_source import Progress, TickSource

SCRATCH: Final = ".import"
SPARE_BYTES: Final = 500_000_000  # for a recorder that records there meanwhile
GROWTH: Final = 12  # a database is up to ten times as large as an archive or a zip

PROVEN, IMPORTED, THERE, LEFT, FAILED = "proven", "imported", "there already", "left alone", "FAILED"


class DayImport(NamedTuple):
    """What became of a day.

    Attributes:
        day: YYYYMMDD.
        what: PROVEN: made, and each tick is as certified, its ledger with it. IMPORTED: made, of ticks alone. THERE:
            it was there, with each tick of the sources. LEFT: it was there, or is not over; it is as it was. FAILED.
        ticks: of the sources that belong to the day, or of the archived day; 0 if they were not read.
        sources: the files or the folder.
        note: what there is to know about it.
        error: why it failed.
    """

    day: str
    what: str
    ticks: int = 0
    sources: tuple[str, ...] = ()
    note: str | None = None
    error: str | None = None

    def as_dict(self) -> dict[str, Any]:
        """The result for JSON."""
        return {**self._asdict(), "sources": list(self.sources)}


def import_days(
    found: Found, root: Path, progress: Progress, prepare: Callable[[], object] = lambda: None
) -> Iterator[DayImport]:
    """Import all days, oldest first. A day that can't be imported does not stop the others.

    Args:
        found: what there is to import.
        root: DATA_ROOT.
        progress: called as the work proceeds.
        prepare: makes DATA_ROOT.

    Raises:
        ConfigError: DATA_ROOT can't be written to.
        AlreadyRunningError: another process is doing this.
    """
    prepare()
    try:
        with scratch_place(root / SCRATCH, f"days are being imported into {root}") as scratch:
            run = _Run(found, root, scratch, progress)
            for days in run.portions():
                yield from run.days(days)
    except OSError as exc:
        raise ConfigError(f"{root} can't be written to: {exc}") from exc


class _Run:
    """One run."""

    def __init__(self, found: Found, root: Path, scratch: Path, progress: Progress) -> None:
        self._found = found
        self._root = root
        self._scratch = scratch
        self._progress = progress
        self._today = hk_day(now_ms(root))

    def portions(self) -> Iterator[list[str]]:
        """The days, those together that one pass over their sources serves."""
        held: list[str] = []
        for day in self._found.days():
            at_once = max((source.days_at_once for source in self._found.of(day)), default=1)
            if held and len(held) >= at_once:
                yield held
                held = []
            held.append(day)
            if at_once == 1:
                yield held
                held = []
        if held:
            yield held

    def days(self, days: list[str]) -> Iterator[DayImport]:
        """Import some days."""
        results: dict[str, DayImport] = {}
        for day in days:
            try:
                there = self._there(day)
                if there is not None:
                    results[day] = there
                elif day in self._found.archives:
                    results[day] = self._restore(self._found.archives[day])
            except (CollectorError, apsw.Error, OSError) as exc:
                results[day] = self._failed(day, exc)
        wanted = [day for day in days if day not in results]
        if wanted:
            results |= self._make(wanted)
        for day in days:
            yield results[day]

    def _target(self, day: str) -> Path:
        return self._root / f"{day}.db"

    def _result(self, day: str, what: str, ticks: int = 0, note: str | None = None) -> DayImport:
        archive = self._found.archives.get(day)
        sources = [archive.folder] if archive else [source.path for source in self._found.of(day)]
        return DayImport(day, what, ticks, tuple(map(str, sources)), note)

    def _failed(self, day: str, exc: Exception) -> DayImport:
        if isinstance(exc, apsw.FullError):
            error = f"{self._target(day)} was not made: the disk is full"
        else:
            error = str(exc) if isinstance(exc, CollectorError) else f"{self._target(day)}: {exc}"
        return self._result(day, FAILED)._replace(error=" ".join(error.split()))

    def _there(self, day: str) -> DayImport | None:
        """The result for a day that is not made; None: it is to be made."""
        target = self._target(day)
        if day >= self._today:
            return self._result(day, LEFT, note="it is not over; once it is, run this again")
        if waits_for(load_waits(self._root / DIRECTORY), day):
            return self._result(day, LEFT, note="the journal has ticks of it that are not stored yet: see day_waits")
        if not os.path.lexists(target) and not is_archived(target):
            if is_away(target):
                return self._result(day, LEFT, note="it is sealed, and its database is not here")
            return None
        archive = self._found.archives.get(day)
        if archive is not None:
            why = is_same(archive.folder, target, self._progress)
            return self._result(day, LEFT if why else THERE, archive.rows, why)
        ticks, why = lacking(day, self._found.of(day), target, self._progress)
        return self._result(day, LEFT if why else THERE, ticks, why)

    def _restore(self, archive: ArchivedDay) -> DayImport:
        day = archive.day
        self._require_space(archive.size_bytes)
        made = self._scratch / f"{day}.db"
        try:
            verdict = prove_and_make(archive.folder, made, self._progress)
            self._publish(made)
        finally:
            self._clear(day)
        return self._result(day, PROVEN, archive.rows, f"its certificate says {verdict}")

    def _make(self, days: list[str]) -> dict[str, DayImport]:
        """Make days of ticks alone."""
        sources: list[TickSource] = []
        for day in days:
            sources += [source for source in self._found.of(day) if source not in sources]
        results: dict[str, DayImport] = {}
        try:
            self._require_space(sum(source.path.stat().st_size for source in sources))
            for made in make_days(days, sources, self._scratch, host_ms(), self._progress):
                if isinstance(made.ticks, CollectorError):
                    results[made.day] = self._failed(made.day, made.ticks)
                    continue
                try:
                    self._publish(made.path)
                    results[made.day] = self._result(made.day, IMPORTED, made.ticks, made.note)
                except (DatabaseError, OSError) as exc:
                    results[made.day] = self._failed(made.day, exc)
        except (CollectorError, apsw.Error, OSError) as exc:
            results = {day: self._failed(day, exc) for day in days} | results
        finally:
            for day in days:
                self._clear(day)
        return results

    def _require_space(self, source_bytes: int) -> None:
        needed = source_bytes * GROWTH + SPARE_BYTES
        if (free := shutil.disk_usage(self._root).free) < needed:
            raise DatabaseError(
                f"{size(free)} free in {self._root}, expected at least {size(needed)}: make space, and run it again"
            )

    def _publish(self, made: Path) -> None:
        """Give a database that is complete its place."""
        target = self._root / made.name
        copy_ownership(made, self._root)
        sync(made)
        with day_open_lock(self._root):
            if is_archived(target) or is_away(target):
                raise DatabaseError(f"{target.stem} was archived or sealed by another process meanwhile")
            if not os.path.lexists(target):
                move_logs_aside(target)
            try:
                os.link(made, target)  # unlike a rename, it replaces nothing
            except FileExistsError:
                raise DatabaseError(f"{target} was made by another process meanwhile: run this again") from None
            sync(self._root)

    def _clear(self, day: str) -> None:
        for path in self._scratch.glob(f"{day}.db*"):
            path.unlink(missing_ok=True)
