"""Merges the days of two recorders into one place, each tick once.

Owns which inputs can be merged, and how the result gets into its place; `repair.union` decides between two rows. Never
changes an input, and replaces nothing. Invariant: what is at the requested place is complete, checked and on the disk;
until then nothing is there.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, NamedTuple

import apsw

from hk_tick_collector.archive.restoring import make_database
from hk_tick_collector.audit.day import audit_day
from hk_tick_collector.audit.verdict import Verdict
from hk_tick_collector.errors import ArchiveError, ConfigError, DatabaseError, DatabaseNewerError, OlderRecorderError
from hk_tick_collector.hktime import hk_day
from hk_tick_collector.parquet.opening import day_paths, has_only_archive, read_day
from hk_tick_collector.repair.filled import fill_by_last_word
from hk_tick_collector.repair.scratch import scratch_place
from hk_tick_collector.repair.union import unite
from hk_tick_collector.seal.day import seal_days
from hk_tick_collector.seal.due import next_day_ms, now_ms
from hk_tick_collector.store.data_root import copy_ownership, sync
from hk_tick_collector.store.opening import read_untouched
from hk_tick_collector.store.schema import check_ours

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from hk_tick_collector.audit.verdict import DayAudit
    from hk_tick_collector.repair.union import Progress, Union


class Pair(NamedTuple):
    """What is merged into one file.

    Attributes:
        name: the name of the file that is made.
        sides: by "a" and "b", or only the side that has this day.
    """

    name: str
    sides: dict[str, Path]


class MergedDay(NamedTuple):
    """A merged day: its file's name, what was united, and the audit of the union."""

    name: str
    union: Union
    audit: DayAudit

    @property
    def differing(self) -> int:
        """How many rows differ between the sides."""
        ticks = sum(common.different for common in self.union.symbols.values())
        return ticks + sum(table.differing for table in self.union.tables.values())


def merge(a: Path, b: Path, out: Path, progress: Progress) -> list[MergedDay]:
    """Merge two day databases into a third, or the days of two DATA_ROOTs into a third directory.

    Args:
        a: a day database, or a directory of them. A recorder may be writing there.
        b: another one of the same kind. The order of `a` and `b` makes no difference.
        out: the file or directory to make. It must not exist yet.
        progress: called as the work proceeds.

    Raises:
        ConfigError: they can't be merged, or `out` can't be made: one line that says why. There is no `out` then.
    """
    try:
        _check_places(a, b, out)
        a, b, out = a.resolve(), b.resolve(), out.parent.resolve() / out.name
        pairs = _pairs(a, b) if a.is_dir() else [Pair(out.name, {"a": a, "b": b})]
        for pair in pairs:
            for path in pair.sides.values():
                _check_side(path)
        if not a.is_dir():
            _check_days(a, b, out)
    except OSError as exc:
        raise ConfigError(f"can't be merged: {exc}") from exc
    try:
        with scratch_place(out.with_name(f".merge-{out.name}"), f"{out} is being made") as scratch:
            made = scratch / out.name
            if a.is_dir():
                done = _make_directory(pairs, made, out, progress)
            else:
                done = [_make(pairs[0], made, out, progress)]
                os.link(made, out)  # unlike a rename, it replaces nothing
            sync(out.parent)
    except OSError as exc:
        raise ConfigError(f"{out} could not be made: {exc}") from exc
    return done


def certify(out: Path, done: Iterable[MergedDay], progress: Progress) -> dict[str, str | None]:
    """Seal the merged days that are over, each with the verdict of the union.

    Returns:
        By file name, why a day could not be sealed; None: it is sealed. Days that are not over are left out.

    Raises:
        ConfigError: `out` can't be written to, or another process seals there.
    """
    over = [
        day.audit.day for day in done if day.name == f"{day.audit.day}.db" and next_day_ms(day.audit.day) <= now_ms(out)
    ]
    return {f"{told['day']}.db": told.get("error") for told in seal_days(out, over, progress)}


def _make_directory(pairs: Iterable[Pair], made: Path, out: Path, progress: Progress) -> list[MergedDay]:
    made.mkdir()
    copy_ownership(made, out.parent)
    done = [_make(pair, made / pair.name, out, progress) for pair in pairs]
    sync(made)
    made.rename(out)  # it replaces no file, and no directory that is not empty
    return done


def _make(pair: Pair, made: Path, out: Path, progress: Progress) -> MergedDay:
    """Merge one day into a file with the owner of the directory of `out`. An archived side becomes a database first."""
    sides = dict(pair.sides)
    try:
        for side, path in pair.sides.items():
            if has_only_archive(path):
                sides[side] = made.with_name(f".archived-{side}-{pair.name}")
                make_database(path, sides[side], progress)
        done = unite(sides, made, progress)
        audit = audit_day(made)
        whole = [symbol.symbol for symbol in audit.symbols if symbol.verdict is Verdict.COMPLETE]
        if fill_by_last_word(made, whole):
            audit = audit_day(made)
    except (apsw.Error, DatabaseError, ArchiveError) as exc:
        raise ConfigError(f"not merged, and no {out} was made: {_why(exc, sides.values())}") from exc
    finally:
        for side, path in sides.items():
            if path != pair.sides[side]:
                path.unlink(missing_ok=True)
    copy_ownership(made, out.parent)
    return MergedDay(pair.name, done, audit)


def _why(exc: Exception, sides: Iterable[Path]) -> str:
    """Why merging failed, and in which file: SQLite does not name it."""
    if isinstance(exc, apsw.BusyError):
        return f"{' or '.join(map(str, sides))} is locked by another process: {exc}"
    if isinstance(exc, apsw.FullError):
        return f"the disk is full: {exc}"
    for path in sides:
        try:
            found = read_untouched(path, lambda con: con.execute("PRAGMA quick_check(1)").get)
        except (apsw.Error, DatabaseError, OSError) as fault:
            return f"{path} can't be read: {fault}"
        if found != "ok":
            return f"{path} is damaged: {found}"
    return str(exc)


# ---- what can be merged


def _check_places(a: Path, b: Path, out: Path) -> None:
    """Refuse missing inputs, and an `out` that exists already or is inside of an input."""
    if os.path.lexists(out):
        raise ConfigError(f"{out} is there already: nothing is overwritten, choose another place")
    if not out.name or not out.parent.is_dir():
        raise ConfigError(f"{out} can't be made: {out.parent} is not a directory")
    for side in (a, b):
        if not side.exists():
            raise ConfigError(f"{side} is not there: expected a day database, or a directory of them")
        if not side.is_dir() and not side.is_file():
            raise ConfigError(f"{side} is neither a file nor a directory")
        if side.is_dir() and side.resolve() in (out.parent.resolve() / out.name).parents:
            raise ConfigError(f"{out} is inside of {side}, which is not to be changed; choose another place")
    if a.is_dir() != b.is_dir():
        raise ConfigError(f"{a} and {b}: expected two day databases, or two directories of them")


def _pairs(a: Path, b: Path) -> list[Pair]:
    """The days of both directories, oldest first."""
    days: dict[str, dict[str, Path]] = {}
    for side, root in (("a", a), ("b", b)):
        files = day_paths(root)
        if not files:
            raise ConfigError(f"no day database in {root}: expected files such as 20261120.db")
        for path in files:
            days.setdefault(path.name, {})[side] = path if has_only_archive(path) else path.resolve()
    return [Pair(name, sides) for name, sides in sorted(days.items())]


def _check_side(path: Path) -> None:
    """Refuse what is not a day database of this program."""
    try:
        read_day(path, lambda con: check_ours(con, path))
    except (DatabaseNewerError, OlderRecorderError):
        raise
    except (DatabaseError, apsw.Error, OSError) as exc:
        if isinstance(exc, apsw.BusyError) or isinstance(exc.__cause__, apsw.BusyError):
            raise ConfigError(f"{path} is locked by another process: {exc}") from exc
        raise ConfigError(f"{path} is no day database of this program, or can't be read: {exc}") from exc


def _check_days(a: Path, b: Path, out: Path) -> None:
    """Refuse to mix two days in one file, or to name the file after another day."""
    days = {path: day for path in (a, b) if (day := _day_of(path))}
    if len(set(days.values())) > 1:
        raise ConfigError(f"{a} is of {days[a]} and {b} of {days[b]}: expected databases of the same day")
    named = _day_of_name(out)
    for path, day in days.items():
        if named is not None and named != day:
            raise ConfigError(f"{out} is named after {named}, but {path} is of {day}")


def _day_of(path: Path) -> str | None:
    """The day of a file, by its name or else by its ticks; None: it has no ticks, or ticks of several days."""
    named = _day_of_name(path)
    if named is not None:
        return named
    select = "SELECT min(first_ts_ms), max(last_ts_ms) FROM symbol_stats"
    try:
        span: list[Any] = read_untouched(path, lambda con: con.execute(select).fetchall())
    except apsw.SQLError:  # its first transaction was never committed
        return None
    first_ms, last_ms = span[0]
    if first_ms is None or hk_day(first_ms) != hk_day(last_ms):
        return None
    return hk_day(first_ms)


def _day_of_name(path: Path) -> str | None:
    return path.stem if path.suffix == ".db" and path.stem.isdecimal() and len(path.stem) == len("20261120") else None
