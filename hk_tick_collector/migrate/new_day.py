"""A day database of ours from databases of the older recorder, and the proof that no row is missing.

Owns how such a day is made and compared. Never gives it its place in DATA_ROOT; `days` does. Invariant: a day that was
made has, for each row of its sources, a tick, a revision, or a row put aside; that was read back from the file.
"""

from __future__ import annotations

from collections import Counter
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import apsw

from hk_tick_collector.db import CONTENT, DayDatabase, Inserted, Pragmas
from hk_tick_collector.errors import DatabaseError
from hk_tick_collector.migrate.old_rows import DayBounds, OldRowMapper
from hk_tick_collector.store.imported import Import, note_import
from hk_tick_collector.store.setting_names import OLDER_RECORDER

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

    from hk_tick_collector.mapping import Row
    from hk_tick_collector.migrate.old_file import OldFile
    from hk_tick_collector.migrate.old_rows import OldRows

    # Called with a description of the work, the amount done, and the total.
    Progress = Callable[[str, int, int], None]

_TICK: Final = (
    "SELECT ts_ms, price, volume, turnover, direction_id, tick_type_id FROM ticks WHERE symbol = ? AND seq = ?"
)
_REVISION: Final = (
    "SELECT 1 FROM tick_revisions WHERE symbol = ? AND seq = ? AND ts_ms = ? AND price = ? AND volume = ? "
    "AND turnover = ? AND direction_id = ? AND tick_type_id = ?"
)
_BAD: Final = "SELECT 1 FROM bad_ticks WHERE digest = ?"


class Made(NamedTuple):
    """What was made.

    Attributes:
        imports: what each source gave.
        unknown_names: by name of a direction or type that is not OpenD's, how many ticks have it.
    """

    imports: tuple[Import, ...]
    unknown_names: dict[str, int]


def make_day(day: str, sources: Iterable[OldFile], made: Path, now_ms: int, progress: Progress) -> Made:
    """Make a day's database.

    Args:
        day: YYYYMMDD.
        sources: the files with rows of that day, the day's own first: of two contents the first stays in `ticks`.
        made: where; it must not exist, and no other process may know of it. It is one plain file at the end, not
            synced to the disk yet.
        now_ms: what is noted as the time of the import, UTC epoch ms.
        progress: called as the work proceeds.

    Raises:
        DatabaseError: what was made does not hold all that the sources hold.
        apsw.Error: a source can't be read, or the file can't be written.
    """
    # A crash leaves a file that nobody knows: so no sync but one at the end, and no log.
    database = DayDatabase(made, Pragmas(synchronous="OFF"))
    con = database.connection
    try:
        con.pragma("journal_mode", "memory")
        imports, unknown = [], Counter[str]()
        for source in sources:
            told = _store(day, source, database, unknown, progress)._replace(imported_ms=now_ms)
            note_import(con, told)
            imports.append(told)
        found = con.execute("PRAGMA quick_check(1)").get
        if found != "ok":
            raise DatabaseError(f"{made.name}, just made, is damaged: {found}")
    finally:
        database.close()
    return Made(tuple(imports), dict(unknown))


def missing_rows(day: str, source: OldFile, con: apsw.Connection, progress: Progress) -> Counter[str]:
    """Compare a source with a day of ours, row for row: counts of `rows`, and of those `missing` in the day."""
    found: Counter[str] = Counter()
    for rows, done in _mapped(day, source):
        progress(f"{source.path.name}: rows compared", done, source.rows)
        found["rows"] += rows.count
        with _named(con.filename):
            found["missing"] += sum(not is_stored(con, row) for of_one in rows.by_symbol.values() for row in of_one)
            found["missing"] += sum(con.execute(_BAD, (bad[0],)).get is None for bad in rows.bad)
    return found


@contextmanager
def _named(database: str) -> Iterator[None]:
    """Name our database in an error: the caller takes any other for one of the source."""
    try:
        yield
    except apsw.FullError as exc:
        raise DatabaseError(f"{database} was not made: the disk is full") from exc
    except apsw.Error as exc:
        raise DatabaseError(f"{database} can't be used: {type(exc).__name__}: {exc}") from exc


def _store(day: str, source: OldFile, database: DayDatabase, unknown: Counter[str], progress: Progress) -> Import:
    con = database.connection
    rows = late = unproven = 0
    done = Inserted(0, 0, 0)
    bad_before = con.execute("SELECT count(*) FROM bad_ticks").get
    for some, read in _mapped(day, source):
        progress(f"{source.path.name}: rows taken over", read, source.rows)
        with _named(str(database.path)):
            one = database.store(some.by_symbol, {}, some.corrections, some.bad)
        done = Inserted(*(a + b for a, b in zip(done, one, strict=True)))
        rows, late, unproven = rows + some.count, late + some.late, unproven + some.unproven
        unknown.update(some.unknown_names)
    compared = missing_rows(day, source, con, progress)
    if compared["missing"] or compared["rows"] != rows:
        raise DatabaseError(
            f"{source.path}: {compared['missing']:,} of {rows:,} rows are missing in the day that was just made"
        )
    put_aside = int(con.execute("SELECT count(*) FROM bad_ticks").get) - int(bad_before or 0)
    return Import(
        source=str(source.path),
        recorder=OLDER_RECORDER,
        schema_version=source.version,
        imported_ms=0,
        rows=rows,
        stored=done.new,
        late=late,
        unproven=unproven,
        duplicates=rows - done.new - done.revisions - put_aside,
        conflicts=done.revisions,
        put_aside=put_aside,
    )


def _mapped(day: str, source: OldFile) -> Iterator[tuple[OldRows, int]]:
    """A source's rows of the day, chunk by chunk, with the number of rows read so far."""
    mapper = OldRowMapper(DayBounds.of(day), source.day)
    read = 0
    for chunk in source.chunks():
        read += len(chunk)
        yield mapper.map(chunk), read


def is_stored(con: apsw.Connection, row: Row) -> bool:
    """Whether a row is a tick, or a revision of one."""
    content: Any = row[CONTENT]
    stored: Any = con.execute(_TICK, row[:2]).get
    return stored == content or con.execute(_REVISION, (*row[:2], *content)).get is not None
