"""Takes the days of the older recorder over into a DATA_ROOT.

Owns which days there are, in which order, and how a finished day gets into its place. Never changes a source, and
replaces nothing. Invariant: a day in DATA_ROOT is complete, compared with its sources and on the disk; a killed run
leaves only a directory of its own, which the next run clears.
"""

from __future__ import annotations

import os
import shutil
from contextlib import ExitStack, closing
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import apsw

from hk_tick_collector.clock import host_ms
from hk_tick_collector.errors import ConfigError, DatabaseError, TimeFormatError
from hk_tick_collector.migrate.new_day import make_day, missing_rows
from hk_tick_collector.migrate.old_file import opened
from hk_tick_collector.parquet.layout import is_archived
from hk_tick_collector.repair.scratch import scratch_place
from hk_tick_collector.store.data_root import copy_ownership, sync
from hk_tick_collector.store.imported import Import, read_imports
from hk_tick_collector.store.opening import open_readonly
from hk_tick_collector.store.schema import check_ours, day_files
from hk_tick_collector.store.sealed import is_sealed
from hk_tick_collector.text import counted, size

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from hk_tick_collector.migrate.new_day import Progress
    from hk_tick_collector.migrate.old_file import OldFile

SCRATCH: Final = ".migrate"
SPARE_BYTES: Final = 500_000_000  # for a recorder that records there meanwhile

IMPORTED, SAME, EMPTY, NOT_DONE = "imported", "same", "empty", "NOT DONE"


class DayResult(NamedTuple):
    """What became of a day.

    Attributes:
        day: YYYYMMDD.
        result: IMPORTED now; SAME: it was there, and has each row of its sources; EMPTY: there is nothing to import;
            NOT_DONE.
        rows: of its sources that belong to the day.
        stored: see `Import`, as the following.
        late: likewise.
        unproven: likewise.
        duplicates: likewise.
        conflicts: likewise.
        put_aside: likewise.
        unknown_names: names of directions and types that are not OpenD's; their ticks have UNKNOWN instead.
        sources: the files.
        error: why it was not done.
    """

    day: str
    result: str
    rows: int = 0
    stored: int = 0
    late: int = 0
    unproven: int = 0
    duplicates: int = 0
    conflicts: int = 0
    put_aside: int = 0
    unknown_names: tuple[str, ...] = ()
    sources: tuple[str, ...] = ()
    error: str | None = None

    def as_dict(self) -> dict[str, Any]:
        """The result for JSON."""
        return {**self._asdict(), "unknown_names": list(self.unknown_names), "sources": list(self.sources)}


def migrate_days(
    old: Path, root: Path, progress: Progress, prepare: Callable[[], object] = lambda: None
) -> Iterator[DayResult]:
    """Take all days over, oldest first. A day that can't be taken over does not stop the others.

    Args:
        old: the older recorder's DATA_ROOT.
        root: our DATA_ROOT.
        progress: called as the work proceeds.
        prepare: makes DATA_ROOT, once it is known that there is something to take over.

    Raises:
        ConfigError: there is nothing to take over, or the two are one directory.
        AlreadyRunningError: another process is doing this.
    """
    files = _files(old, root)
    prepare()
    try:
        with scratch_place(root / SCRATCH, f"days are being taken over into {root}") as scratch:
            yield from _Run(root, scratch, progress).all(files)
    except OSError as exc:
        raise ConfigError(f"{root} can't be written to: {exc}") from exc


def _files(old: Path, root: Path) -> list[Path]:
    """The older recorder's day databases.

    Raises:
        ConfigError: see `migrate_days`.
    """
    if not old.is_dir():
        raise ConfigError(f"{old} is not a directory: expected the older recorder's DATA_ROOT")
    if old.resolve() == root.resolve():
        raise ConfigError(
            f"{old} is DATA_ROOT itself, and nothing in it is changed: name another one with --data-root, where the "
            "recorder will also record"
        )
    files = [path.resolve() for path in day_files(old)]
    if files:
        return files
    below = sorted({path.parent for path in old.glob("*/[0-9]*.db") if len(path.stem) == len("20261120")})
    packed = len(list(old.rglob("*.db.zst")))
    hint = f"; there are some in {below[0]}" if below else ""
    hint += f"; {counted(packed, 'packed file')} (*.db.zst) there: unpack with zstd -d" if packed else ""
    raise ConfigError(f"no day database in {old}: expected files such as 20261120.db{hint}")


class _Run:
    """One run: what is known of the sources."""

    def __init__(self, root: Path, scratch: Path, progress: Progress) -> None:
        self._root = root
        self._scratch = scratch
        self._progress = progress
        self._now_ms = host_ms()

    def all(self, files: list[Path]) -> Iterator[DayResult]:
        """Look at each file, then take each day over."""
        sources: dict[str, list[Path]] = {}
        done: dict[str, DayResult] = {}
        for number, path in enumerate(files):
            self._progress(f"{path.name}: looked at; files", number, len(files))
            try:
                with opened(path, self._scratch) as file:
                    days = set() if file is None else {file.day, *file.other_days()}
                    if file is None or not file.rows:
                        done[path.stem] = DayResult(path.stem, EMPTY, sources=(str(path),))
                        days -= {path.stem}
            except (DatabaseError, TimeFormatError) as exc:
                done[path.stem] = DayResult(path.stem, NOT_DONE, sources=(str(path),), error=_line(path, exc))
                continue
            for day in days:
                # The day's own file first: of two contents of a tick, the one in it is the usual one.
                sources.setdefault(day, []).insert(0 if day == path.stem else len(sources[day]), path)
        for day in sorted({*sources, *done}):
            is_failed = day in done and done[day].error is not None
            yield done[day] if is_failed or day not in sources else self._day(day, sources[day])

    def _day(self, day: str, sources: list[Path]) -> DayResult:
        names = tuple(map(str, sources))
        target = self._root / f"{day}.db"
        try:
            if os.path.lexists(target):
                return self._compare(day, sources, target)
            if is_archived(target) or is_sealed(target):
                where = "archived" if is_archived(target) else "sealed here, its database kept elsewhere"
                told = (
                    f"{day} is {where}, and nothing is imported over it: run this again with another --data-root, "
                    "then unite both with hk-tick-collector merge"
                )
                return DayResult(day, NOT_DONE, sources=names, error=told)
            return self._make(day, sources, target)
        except (DatabaseError, apsw.Error, OSError) as exc:
            return DayResult(day, NOT_DONE, sources=names, error=_line(target, exc))
        finally:
            for path in self._scratch.glob(f"{day}.db*"):
                path.unlink(missing_ok=True)

    def _make(self, day: str, sources: list[Path], target: Path) -> DayResult:
        needed = sum(path.stat().st_size for path in sources) + SPARE_BYTES
        if (free := shutil.disk_usage(self._root).free) < needed:
            told = f"{size(free)} free in {self._root}, expected at least {size(needed)}: make space, and run it again"
            return DayResult(day, NOT_DONE, sources=tuple(map(str, sources)), error=told)
        made = self._scratch / target.name
        with ExitStack() as held:
            files = self._open(held, sources)
            done = make_day(day, files, made, self._now_ms, self._progress)
        result = _told(day, IMPORTED, done.imports, tuple(sorted(done.unknown_names)))
        if not result.rows:
            return result._replace(result=EMPTY)
        copy_ownership(made, self._root)
        sync(made)
        try:
            os.link(made, target)  # unlike a rename, it replaces nothing
        except FileExistsError:
            raise DatabaseError(f"{target} was made by another process meanwhile: run this again") from None
        sync(self._root)
        return result

    def _compare(self, day: str, sources: list[Path], target: Path) -> DayResult:
        """A day that is there already: prove that it has each row, or say what to do."""
        with ExitStack() as held:
            con = held.enter_context(closing(open_readonly(target)))
            check_ours(con, target)
            con.execute("BEGIN")
            imports = read_imports(con) if con.pragma("user_version") else ()
            rows = missing = 0
            for file in self._open(held, sources):
                compared = missing_rows(day, file, con, self._progress)
                rows, missing = rows + compared["rows"], missing + compared["missing"]
        if not missing:
            return _told(day, SAME, imports)._replace(rows=rows, sources=tuple(map(str, sources)))
        if imports:
            error = (
                f"{target} was imported before, and lacks {missing:,} of {rows:,} rows that the source has now: once "
                "the older recorder has stopped, move that file away and run this again"
            )
        else:
            error = (
                f"{target} was recorded here, and is not overwritten; it lacks {missing:,} of {rows:,} rows: run this "
                "again with another --data-root, then unite both files with hk-tick-collector merge"
            )
        return DayResult(day, NOT_DONE, rows=rows, sources=tuple(map(str, sources)), error=error)

    def _open(self, held: ExitStack, sources: list[Path]) -> list[OldFile]:
        files = [held.enter_context(opened(path, self._scratch)) for path in sources]
        return [file for file in files if file is not None]


def _told(day: str, result: str, imports: tuple[Import, ...], unknown: tuple[str, ...] = ()) -> DayResult:
    return DayResult(
        day,
        result,
        rows=sum(one.rows for one in imports),
        stored=sum(one.stored for one in imports),
        late=sum(one.late for one in imports),
        unproven=sum(one.unproven for one in imports),
        duplicates=sum(one.duplicates for one in imports),
        conflicts=sum(one.conflicts for one in imports),
        put_aside=sum(one.put_aside for one in imports),
        unknown_names=unknown,
        sources=tuple(one.source for one in imports),
    )


def _line(path: Path, exc: Exception) -> str:
    """An error in one line, with the file that it is about."""
    if isinstance(exc, apsw.FullError):
        return f"{path} was not made: the disk is full"
    return str(exc) if isinstance(exc, DatabaseError) else f"{path}: {exc}"
