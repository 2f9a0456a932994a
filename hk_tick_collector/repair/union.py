"""The union of the databases that two recorders made of one day: each tick once, every version of it kept.

Owns which of two rows stays, table by table, in SQL that streams: both sides are read in the order of their keys,
interleaved, and appended, so that memory does not grow with the day. Never writes to a side. Invariants: every key of a
side is in the union; every content of a side's tick is in `ticks` or `tick_revisions`; the order of the sides makes no
difference.

If both sides have a key, the row that was received earlier stays in `ticks`, each by its own host's clock. In a tie the
row with the lesser values stays, so that the order of the sides can't decide. Only rows from a side's `ticks` can stay
there: a revision never becomes a tick again.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import apsw

from hk_tick_collector.db import CACHE_KIB, migrate
from hk_tick_collector.errors import DatabaseError
from hk_tick_collector.hktime import hk_day
from hk_tick_collector.ledger.filling import fill_by_ordinals
from hk_tick_collector.repair.compare import CONTENT, Common, common, differs, symbols_of
from hk_tick_collector.repair.filled import count_from_other
from hk_tick_collector.repair.stats import refresh_stats
from hk_tick_collector.store import imported
from hk_tick_collector.store.data_root import sync
from hk_tick_collector.store.opening import immutable_uri, readonly_uri, unopened_state

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from pathlib import Path

    # Called with a description of the work, the amount done, and the total.
    Progress = Callable[[str, int, int], None]

SIDES = ("a", "b")
EXAMPLES_MAX = 20
BUSY_TIMEOUT_MS = 5000

# Ticks of a side that did not stay. The table is in a temporary file on the disk, so it may be large.
_OUTVOTED = "temp.outvoted"
_OF_TICK = "FROM main.ticks AS t WHERE t.symbol = s.symbol AND t.seq = s.seq"


class Table(NamedTuple):
    """How a table of two databases is united. Its key is the schema's.

    Attributes:
        name: which.
        rank: SQL expression of a row `s`: of rows with the same key, the one with the least rank stays, and in a tie
            the one with the least values.
        same: columns in which rows with the same key should be equal; if not, the sides disagree, which is counted.
        also: another table whose rows are added too.
        unless: SQL condition of a row `s` that is not taken.
    """

    name: str
    rank: str
    same: tuple[str, ...] = ()
    also: str = ""
    unless: str = ""


# In this order: the later tables refer to the finished `ticks`.
TICKS = Table("ticks", "s.recv_ts_ms", CONTENT)
OTHERS = (
    Table(
        "tick_revisions",
        "s.recv_ts_ms",
        also=_OUTVOTED,
        unless=f"EXISTS (SELECT 1 {_OF_TICK} AND NOT {differs(CONTENT, 't', 's')})",
    ),
    # The correction of the tick that stays, preferably one that holds the time as it was written.
    Table(
        "time_corrections",
        f"2 * (NOT EXISTS (SELECT 1 {_OF_TICK} AND t.ts_ms = s.ts_ms)) + (s.original_time = '')",
        ("original_ts_ms", "ts_ms"),
    ),
    Table("bad_ticks", "s.recv_ts_ms"),
    # Each of these rows is about one recorder. If both have the same key, the row that claims less stays: the open gap,
    # and of two open ones the greater; the doubt that begins earlier.
    Table("gaps", "(s.state = 'filled') * 1e19 - ifnull(s.missing_volume, 0)"),
    Table("doubts", "ifnull(s.before_seq, 0)"),
    Table("exchange_totals", "-s.our_rows"),
    Table("symbol_types", "-s.agreed"),
    Table("decided", "s.decided_ms"),
    Table("premises", "-s.failed"),
    Table("clocks", "-s.readings"),
    Table("recorded", "s.without IS NOT NULL"),
    Table("outages", "-s.symbols"),
    # The later close counts: the day has to be proven until then.
    Table("trade_dates", "CASE s.date_type WHEN 'none' THEN 2 WHEN 'morning' THEN 1 ELSE 0 END", ("date_type",)),
)
# A table that only imported days have.
IMPORTED = Table(imported.NAME, "s.imported_ms")
COUNTED_ANEW = ("symbol_stats",)
# They belong to one recorder's journal, which is not merged: used with another journal, they would skip what was never
# judged.
LEFT_OUT = ("judged", "ordinals")
# The value of a column that a database of an older schema lacks; NULL for all others.
ABSENT = {"segment": "0", "offset": "0", "merged_volume": "0"}


class TableCounts(NamedTuple):
    """How many rows of one of the other tables: in each side, in the union, and with different values in the sides."""

    a: int
    b: int
    merged: int
    differing: int


class Disagreement(NamedTuple):
    """A tick whose content differs between the sides: the values of each side, by column."""

    symbol: str
    seq: int
    a: dict[str, Any]
    b: dict[str, Any]


class Union(NamedTuple):
    """What was united.

    Attributes:
        symbols: by symbol, how many ticks the sides have.
        merged: ticks in the union.
        tables: the counts of the other tables, by name.
        disagreements: the first `EXAMPLES_MAX` ticks whose content differs.
    """

    symbols: dict[str, Common]
    merged: int
    tables: dict[str, TableCounts]
    disagreements: tuple[Disagreement, ...]


def unite(sides: Mapping[str, Path], made: Path, progress: Progress) -> Union:
    """Make the union of the databases of a day.

    A side that no process has open is read as immutable, so that nothing is left beside it. If a process begins to
    write to it meanwhile, the result is discarded, and all sides are read again as ordinary readers do.

    Args:
        sides: by "a" and "b", or one of them; files of this program, not symbolic links.
        made: a file that does not exist yet, in a place that no other process knows. It is checked, and synced at the
            end.
        progress: called as the work proceeds.

    Raises:
        DatabaseError: the result does not pass its check.
        apsw.Error, OSError: a side can't be read, or `made` can't be written.
    """
    resting = {name: unopened_state(path) for name, path in sides.items()}
    uris = {name: (immutable_uri if resting[name] else readonly_uri)(path) for name, path in sides.items()}

    def is_untouched() -> bool:
        return all(seen is None or unopened_state(sides[name]) == seen for name, seen in resting.items())

    try:
        done = _unite(uris, made, progress)
    except (apsw.Error, DatabaseError):
        if is_untouched():
            raise
    else:
        if is_untouched():
            sync(made)
            return done
    made.unlink(missing_ok=True)
    done = _unite({name: readonly_uri(path) for name, path in sides.items()}, made, progress)
    sync(made)
    return done


def _unite(uris: Mapping[str, str], made: Path, progress: Progress) -> Union:
    flags = apsw.SQLITE_OPEN_READWRITE | apsw.SQLITE_OPEN_CREATE | apsw.SQLITE_OPEN_URI
    con = apsw.Connection(str(made), flags=flags)
    try:
        con.set_busy_timeout(BUSY_TIMEOUT_MS)
        migrate(con, made)
        # No other process knows the file yet: an unfinished one is discarded, and a sync at the end is enough.
        con.execute(
            "PRAGMA main.journal_mode = OFF; PRAGMA main.synchronous = OFF; PRAGMA temp_store = FILE"
        ).fetchall()
        con.pragma("cache_size", -CACHE_KIB)
        for name, uri in uris.items():
            con.execute(f"ATTACH ? AS {name}", (uri,))
        con.execute("BEGIN")
        work = _Work(con, made.name, progress)
        done = Union(work.ticks(), work.count("main.ticks"), work.others(), work.disagreements())
        refresh_stats(con, done.symbols)
        _fill_gaps(con, done.symbols, work)
        con.execute("COMMIT")
        _check(con, done, made, progress)
    finally:
        con.close()
    return done


def _fill_gaps(con: apsw.Connection, symbols: Iterable[str], work: _Work) -> None:
    """Mark the gaps by ordinals that the union fills, and count towards the gaps by totals what the other side has."""
    last_ms = con.execute("SELECT max(last_ts_ms) FROM main.symbol_stats").get
    if last_ms is None:
        return
    day = hk_day(int(last_ms))
    for symbol in symbols:
        fill_by_ordinals(con, day, symbol)
    if len(work.sides_with("gaps")) == len(SIDES):
        for side, other in (SIDES, SIDES[::-1]):
            count_from_other(con, side, other, has_end="end_ms" in work.columns_of(side, "gaps"))


def _check(con: apsw.Connection, done: Union, made: Path, progress: Progress) -> None:
    """Check that the counts match, and that the file is not damaged."""
    progress(f"{made.name}: ticks checked", 0, done.merged)
    expected = sum(ticks.here + ticks.there - ticks.both for ticks in done.symbols.values())
    counted = con.execute("SELECT ifnull(sum(rows), 0) FROM main.symbol_stats").get
    if not done.merged == expected == counted:
        raise DatabaseError(
            f"{made.name}: {done.merged} ticks were united and {counted} counted anew, expected {expected}"
        )
    found = con.execute("PRAGMA main.integrity_check").get
    if found != "ok":
        raise DatabaseError(f"{made.name}, just made, is damaged: {found}")


class _Work:
    """A union in progress: `main` from the attached sides, in one transaction, so that each side is one snapshot."""

    def __init__(self, con: apsw.Connection, name: str, progress: Progress) -> None:
        self._con = con
        self._name = name
        self._progress = progress
        attached = {row[1] for row in con.execute("PRAGMA database_list")}
        # A side's file may be without its first transaction, or of an older schema with fewer tables.
        self._tables = {
            side: {name for (name,) in con.execute(f"SELECT name FROM {side}.sqlite_schema WHERE type = 'table'")}  # noqa: S608
            for side in SIDES
            if side in attached
        }
        con.execute(f"CREATE TEMP TABLE outvoted AS SELECT {self._columns('ticks')} FROM main.ticks LIMIT 0")  # noqa: S608
        self._differing: list[str] = []

    def ticks(self) -> dict[str, Common]:
        """Unite the ticks, symbol by symbol. Returns how many the sides have."""
        sides = self.sides_with("ticks")
        of_side = {side: set(symbols_of(self._con, side)) for side in sides}
        total = sum(
            self._con.execute(f"SELECT ifnull(sum(rows), 0) FROM {side}.symbol_stats").get  # noqa: S608
            for side in self.sides_with("symbol_stats")
        )
        statement = self._union(TICKS, [f"{side}.ticks" for side in sides], "s.symbol = ?1") if sides else ""
        found: dict[str, Common] = {}
        done = 0
        for symbol in sorted(set().union(*of_side.values())):
            having = [side for side in sides if symbol in of_side[side]]
            counts = self._count_ticks(symbol, having)
            self._con.execute(statement, (symbol,))
            if counts.different:
                self._differing.append(symbol)
                for side in having:
                    self._put_outvoted(symbol, side)
            found[symbol] = counts
            done += counts.here + counts.there
            self._progress(f"{self._name}: ticks merged", done, max(total, done))
        return found

    def others(self) -> dict[str, TableCounts]:
        """Unite the other tables, once `ticks` is complete."""
        found = {}
        is_imported = bool(self.sides_with(IMPORTED.name))
        if is_imported:
            self._con.execute(imported.CREATE)
        for table in (*OTHERS, IMPORTED) if is_imported else OTHERS:
            sides = self.sides_with(table.name)
            sources = [f"{side}.{table.name}" for side in sides]
            if sides:
                self._con.execute(self._union(table, [*sources, table.also] if table.also else sources))
            rows = {side: self.count(f"{side}.{table.name}") for side in sides}
            merged = self.count(f"main.{table.name}")
            found[table.name] = TableCounts(rows.get("a", 0), rows.get("b", 0), merged, self._disagreed(table))
        return found

    def disagreements(self) -> tuple[Disagreement, ...]:
        """The first ticks whose content differs between the sides."""
        columns = self._columns("ticks").split(", ")
        select = ", ".join(f"{side}.{name}" for side in SIDES for name in columns)
        found: list[Disagreement] = []
        for symbol in self._differing:
            rows: list[Any] = self._con.execute(
                f"SELECT {select} FROM a.ticks AS a JOIN b.ticks AS b ON b.symbol = a.symbol AND b.seq = a.seq "  # noqa: S608
                f"WHERE a.symbol = ? AND {differs(CONTENT, *SIDES)} LIMIT ?",
                (symbol, EXAMPLES_MAX - len(found)),
            ).fetchall()
            for row in rows:
                a, b = (dict(zip(columns[2:], row[at:], strict=False)) for at in (2, len(columns) + 2))
                found.append(Disagreement(symbol, row[1], a, b))
            if len(found) == EXAMPLES_MAX:
                break
        return tuple(found)

    def count(self, table: str) -> int:
        """The number of rows of a table."""
        return int(self._con.execute(f"SELECT count(*) FROM {table}").get)  # noqa: S608 - a name of ours

    def _count_ticks(self, symbol: str, having: list[str]) -> Common:
        if having == [*SIDES]:
            return common(self._con, symbol, *SIDES)
        (side,) = having
        rows = int(self._con.execute(f"SELECT count(*) FROM {side}.ticks WHERE symbol = ?", (symbol,)).get)  # noqa: S608
        return Common(rows, 0, 0, 0, 0) if side == SIDES[0] else Common(0, rows, 0, 0, 0)

    def _put_outvoted(self, symbol: str, side: str) -> None:
        columns = ", ".join(f"s.{name}" for name in self._columns("ticks").split(", "))
        self._con.execute(
            f"INSERT INTO {_OUTVOTED} SELECT {columns} FROM {side}.ticks AS s "  # noqa: S608
            f"JOIN main.ticks AS t ON t.symbol = s.symbol AND t.seq = s.seq "
            f"WHERE s.symbol = ? AND {differs(CONTENT, 's', 't')}",
            (symbol,),
        )

    def _disagreed(self, table: Table) -> int:
        if not table.same or self.sides_with(table.name) != [*SIDES]:
            return 0
        same = " AND ".join(f"b.{name} = a.{name}" for name in self._key(table.name))
        return int(
            self._con.execute(
                f"SELECT count(*) FROM a.{table.name} AS a JOIN b.{table.name} AS b ON {same} "  # noqa: S608
                f"WHERE {differs(table.same, *SIDES)}"
            ).get
        )

    def _union(self, table: Table, sources: list[str], where: str = "true") -> str:
        """The statement that unites a table: rows in the order of key and rank; the first row of each key stays."""
        columns, key = self._columns(table.name), self._key(table.name)
        unless = f" AND NOT {table.unless}" if table.unless else ""
        selects = " UNION ALL ".join(
            f"SELECT {columns}, {table.rank} AS rank FROM ({self._as_now(source, columns)}) AS s WHERE {where}{unless}"  # noqa: S608
            for source in sources
        )
        return (
            f"INSERT INTO main.{table.name} ({columns}) SELECT {columns} FROM "  # noqa: S608
            f"({selects} ORDER BY {', '.join(key)}, rank, {columns}) WHERE true ON CONFLICT DO NOTHING"
        )

    def _as_now(self, source: str, columns: str) -> str:
        """A SELECT of a table with the current columns; those that an older schema lacks get a value from `ABSENT`."""
        schema, _, table = source.partition(".")
        there = self.columns_of(schema, table)
        named = (name if name in there else f"{ABSENT.get(name, 'NULL')} AS {name}" for name in columns.split(", "))
        return f"SELECT {', '.join(named)} FROM {source}"  # noqa: S608 - names of ours

    def columns_of(self, schema: str, table: str) -> list[str]:
        """The stored columns of a table of one side or the union, without the computed ones."""
        return [row[1] for row in self._con.execute(f"PRAGMA {schema}.table_info({table})")]

    def sides_with(self, table: str) -> list[str]:
        """The sides that have a table."""
        return [side for side, tables in self._tables.items() if table in tables]

    def _columns(self, table: str) -> str:
        """The columns of the union's table, for a statement."""
        return ", ".join(self.columns_of("main", table))

    def _key(self, table: str) -> list[str]:
        keyed = sorted((row[5], row[1]) for row in self._con.execute(f"PRAGMA main.table_info({table})") if row[5])
        return [name for _, name in keyed]
