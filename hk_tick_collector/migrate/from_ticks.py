"""Day databases from files with ticks alone, and the proof that no row is missing.

Owns how such days are made and compared. Never gives them their place in DATA_ROOT; `importing` does.
"""

from __future__ import annotations

from collections import Counter
from contextlib import ExitStack
from typing import TYPE_CHECKING, NamedTuple

from hk_tick_collector.db import DayDatabase, Inserted, Pragmas
from hk_tick_collector.errors import CollectorError, DatabaseError, ForeignFileError
from hk_tick_collector.mapping import AGREE_MS, SEQ, TS_MS, seq_time_ms
from hk_tick_collector.migrate.new_day import is_stored
from hk_tick_collector.parquet.opening import has_only_archive, read_day
from hk_tick_collector.store.imported import Import, note_import, read_imports
from hk_tick_collector.store.opening import read_untouched
from hk_tick_collector.store.schema import check_ours
from hk_tick_collector.text import counted

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path

    import apsw

    from hk_tick_collector.mapping import Row
    from hk_tick_collector.migrate.tick_source import Progress, TickSource

# What is noted about ticks.
NO_TIME, OTHER_TIME = "without a sequence that tells the time", "with another time than their sequence tells"
TWICE, REVISED = "in it twice", "in it twice with another content: in tick_revisions"


class MadeDay(NamedTuple):
    """A day that was made, or not.

    Attributes:
        day: YYYYMMDD.
        path: of its database, one plain file that is not synced to the disk yet.
        ticks: how many rows the sources have of it; or why it was not made.
        note: what was noticed about them.
    """

    day: str
    path: Path
    ticks: int | CollectorError
    note: str | None = None


class _Making:
    """A day's database while its sources are read."""

    def __init__(self, day: str, path: Path) -> None:
        self.day = day
        self.path = path
        self.error: CollectorError | None = None
        self.told: Counter[str] = Counter()
        self.rows: Counter[str] = Counter()  # by source
        self.database = DayDatabase(path, Pragmas(synchronous="OFF"))
        # A crash leaves a file that nobody knows: so no sync but one at the end, and no log.
        self.database.connection.pragma("journal_mode", "memory")

    def store(self, rows: list[Row]) -> Inserted:
        by_symbol: dict[str, list[Row]] = {}
        for row in rows:
            by_symbol.setdefault(row[0], []).append(row)
        for row in rows:
            told_ms = seq_time_ms(row[SEQ])
            if told_ms is None:
                self.told[NO_TIME] += 1
            elif abs(told_ms - row[TS_MS]) > AGREE_MS:
                self.told[OTHER_TIME] += 1
        return self.database.store(by_symbol, {})

    def finish(self, sources: Iterable[TickSource]) -> MadeDay:
        if self.error is not None:
            return MadeDay(self.day, self.path, self.error)
        for source in sources:
            if self.day in source.faults:
                return MadeDay(self.day, self.path, ForeignFileError(source.faults[self.day]))
        found = self.database.connection.execute("PRAGMA quick_check(1)").get
        if found != "ok":
            return MadeDay(self.day, self.path, DatabaseError(f"{self.path.name}, just made, is damaged: {found}"))
        notes = [f"{counted(number, 'tick')} {what}" for what, number in sorted(self.told.items())]
        return MadeDay(self.day, self.path, self.rows.total(), "; ".join(notes) or None)


def make_days(
    days: Sequence[str], sources: Sequence[TickSource], scratch: Path, now: int, progress: Progress
) -> Iterator[MadeDay]:
    """Make the databases of some days, in one pass over each source and a second one that compares.

    Args:
        days: YYYYMMDD.
        sources: of two contents of a tick, that of the first source stays in `ticks`, the other is a revision.
        scratch: where; no other process may look there.
        now: what is noted as the time of the import, UTC epoch ms.
        progress: called as the work proceeds.

    Yields:
        Each day, closed, as soon as all are made.

    Raises:
        apsw.Error, OSError: a database can't be written, or a source can't be read.
    """
    with ExitStack() as held:
        making: dict[str, _Making] = {}
        for day in days:
            making[day] = _Making(day, scratch / f"{day}.db")
            held.callback(making[day].database.close)
        for source in sources:
            _take(source, making, now, progress)
        for source in sources:
            _compare(source, making, progress)
        made = [one.finish(sources) for one in making.values()]
    yield from made


def _take(source: TickSource, making: dict[str, _Making], now: int, progress: Progress) -> None:
    done = {day: Inserted(0, 0, 0) for day in making.keys() & set(source.days)}
    rows: Counter[str] = Counter()
    before = {day: one.told.copy() for day, one in making.items()}
    try:
        source.prove(progress)
        for day, some in source.chunks(done.keys()):
            one = making[day].store(some)
            done[day] = Inserted(*(a + b for a, b in zip(done[day], one, strict=True)))
            rows[day] += len(some)
            progress(f"{source.path.name}: ticks taken over", rows.total(), source.rows)
    except CollectorError as exc:
        for day in done:
            making[day].error = making[day].error or exc
        return
    for day, told in done.items():
        making[day].rows[str(source.path)] = rows[day]
        making[day].told += Counter({TWICE: told.duplicates, REVISED: told.revisions})
        note_import(
            making[day].database.connection,
            Import(
                source=str(source.path), recorder=source.form, schema_version=0, imported_ms=now, rows=rows[day],
                stored=told.new, late=0, unproven=making[day].told[NO_TIME] - before[day][NO_TIME],
                duplicates=told.duplicates, conflicts=told.revisions, put_aside=0,
            ),
        )  # fmt: skip


def _compare(source: TickSource, making: dict[str, _Making], progress: Progress) -> None:
    """Look each row of a source up in what was made."""
    days = {day for day in source.days if day in making and making[day].error is None and day not in source.faults}
    rows: Counter[str] = Counter()
    missing: Counter[str] = Counter()
    if not days:
        return
    for day, some in source.chunks(days):
        con = making[day].database.connection
        rows[day] += len(some)
        missing[day] += sum(not is_stored(con, row) for row in some)
        progress(f"{source.path.name}: ticks compared", rows.total(), source.rows)
    for day in days:
        expected = making[day].rows[str(source.path)]
        if missing[day] or rows[day] != expected:
            making[day].error = DatabaseError(
                f"{source.path}: {missing[day]:,} of {rows[day]:,} ticks are missing in the day that was just made "
                f"of {expected:,}"
            )


def lacking(day: str, sources: Sequence[TickSource], target: Path, progress: Progress) -> tuple[int, str | None]:
    """Compare a day that is in DATA_ROOT with its sources: how many ticks they have of it, and why it is left alone.

    None: an earlier import made it, and it has each of them. Of a day that is archived by now, the names are compared.
    """
    recorded = f"it is here with a ledger of its own: import {day} elsewhere, with --data-root, then use merge"
    try:
        if has_only_archive(target):
            imports = read_day(target, read_imports)
            is_all = {str(source.path) for source in sources} <= {one.source for one in imports}
            return sum(one.rows for one in imports), None if is_all else recorded
        compared = read_untouched(target, lambda con: _compared(con, target, sources, progress))
    except DatabaseError as exc:
        return 0, f"what is there can't be compared: {exc}"
    if compared is None:
        return 0, recorded
    rows, missing, imports = compared
    if not missing:
        return rows, None
    names = ", ".join(one.source for one in imports[:3])
    return rows, (
        f"it was imported from {names}, and lacks {missing:,} of {rows:,} ticks: to have all, move {target} away, and "
        "name all files of that day at once"
    )


def _compared(
    con: apsw.Connection, target: Path, sources: Sequence[TickSource], progress: Progress
) -> tuple[int, int, tuple[Import, ...]] | None:
    """How many ticks the sources have of a day, how many of them it lacks, and its imports; None: it has none."""
    check_ours(con, target)
    imports = read_imports(con) if con.pragma("user_version") else ()
    if not imports:
        return None
    day, rows, missing = target.stem, 0, 0
    for source in sources:
        for _, some in source.chunks({day}):
            rows += len(some)
            missing += sum(not is_stored(con, row) for row in some)
            progress(f"{source.path.name}: ticks compared", rows, source.rows)
        if day in source.faults:
            raise ForeignFileError(source.faults[day])
    return rows, missing, imports
