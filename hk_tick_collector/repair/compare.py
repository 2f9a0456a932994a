"""What differs between two databases of the same day.

Owns the comparison, row by row, also for `repair.union`. Never writes. Two rows have the same content if time, price,
volume, turnover, direction and type are the same. They have the same reception if they came the same way at the same
time. When they were stored is not compared.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from hk_tick_collector.store.opening import open_readonly, readonly_uri
from hk_tick_collector.store.schema import check_ours

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    import apsw

CONTENT = ("ts_ms", "price", "volume", "turnover", "direction_id", "tick_type_id")
_RECEPTION = ("push_type_id", "push_data_type", "recv_ts_ms")

# Not counted as loss: `ticks` is compared by symbol, and `symbol_stats` is derived from it.
_DERIVED = {"ticks", "symbol_stats"}

# Finds each next symbol by the key: a DISTINCT would read the whole day.
_SYMBOLS = """
WITH RECURSIVE found (symbol) AS (
  SELECT min(symbol) FROM {schema}.ticks
  UNION ALL
  SELECT (SELECT min(symbol) FROM {schema}.ticks WHERE symbol > found.symbol) FROM found WHERE found.symbol IS NOT NULL
)
SELECT symbol FROM found WHERE symbol IS NOT NULL"""


class Common(NamedTuple):
    """How many ticks of one symbol two databases have.

    Attributes:
        here: in the first.
        there: in the second.
        both: in both, by sequence.
        different: of these, with different content.
        received_otherwise: of these, with the same content, but received at another time or another way.
    """

    here: int
    there: int
    both: int
    different: int
    received_otherwise: int


class SymbolDifference(NamedTuple):
    """How many ticks of one symbol the rebuilt and the existing database have.

    Attributes:
        symbol: which.
        rebuilt: in the rebuilt one.
        existing: in the existing one.
        only_rebuilt: only in the rebuilt one.
        only_existing: only in the existing one.
        different: in both, with different content.
        received_otherwise: in both, with the same content, but received at another time or another way.
    """

    symbol: str
    rebuilt: int
    existing: int
    only_rebuilt: int
    only_existing: int
    different: int
    received_otherwise: int

    @property
    def is_same(self) -> bool:
        """Whether both have the same ticks with the same content."""
        return not (self.only_rebuilt or self.only_existing or self.different)


class Difference(NamedTuple):
    """What differs.

    Attributes:
        symbols: every symbol, also those without a difference.
        only_existing_by_table: by other table, how many rows only the existing database has.
        only_rebuilt_since: ticks only in the rebuilt database that were received at or after a given time.
    """

    symbols: tuple[SymbolDifference, ...]
    only_existing_by_table: dict[str, int]
    only_rebuilt_since: int

    def total(self, name: str) -> int:
        """The sum of one attribute over all symbols."""
        return sum(getattr(symbol, name) for symbol in self.symbols)

    @property
    def is_same(self) -> bool:
        """Whether all ticks have the same content, and no row of another table would be lost."""
        return all(symbol.is_same for symbol in self.symbols) and not any(self.only_existing_by_table.values())

    @property
    def lost(self) -> int:
        """Rows that would be lost if the rebuilt database replaced the existing one."""
        return self.total("only_existing") + sum(self.only_existing_by_table.values())


def compare(rebuilt: Path, existing: Path, since_ms: int | None = None) -> Difference:
    """Compare two day databases.

    Args:
        rebuilt: one of them.
        existing: the other.
        since_ms: see `Difference.only_rebuilt_since`; None: do not count.

    Raises:
        DatabaseError: one of them can't be read, or `existing` was made by another program.
    """
    con = open_readonly(rebuilt)
    try:
        _check(existing)
        con.execute("ATTACH ? AS other", (readonly_uri(existing),))
        tables = [name for (name,) in con.execute("SELECT name FROM other.sqlite_schema WHERE type = 'table'")]
        con.execute("BEGIN")  # one snapshot of each
        return Difference(
            tuple(_symbols(con)),
            {name: _only_existing(con, name) for name in sorted(set(tables) - _DERIVED)},
            0 if since_ms is None else _only_rebuilt_since(con, since_ms),
        )
    finally:
        con.close()


def _check(path: Path) -> None:
    con = open_readonly(path)
    try:
        check_ours(con, path)
    finally:
        con.close()


def differs(columns: Iterable[str], here: str, there: str) -> str:
    """The SQL condition that two rows, given by their aliases, differ in at least one of these columns."""
    return "(" + " OR ".join(f"{here}.{name} IS NOT {there}.{name}" for name in columns) + ")"


def symbols_of(con: apsw.Connection, schema: str) -> list[str]:
    """The symbols that have ticks in an attached database, in order."""
    return [str(symbol) for (symbol,) in con.execute(_SYMBOLS.format(schema=schema))]


def common(con: apsw.Connection, symbol: str, here: str, there: str) -> Common:
    """Compare one symbol's ticks in two attached databases."""
    is_other = differs(CONTENT, "a", "b")
    came_otherwise = differs(_RECEPTION, "a", "b")
    first: list[Any] = con.execute(
        f"SELECT count(*), count(b.seq), count(*) FILTER (WHERE b.seq IS NOT NULL AND {is_other}), "  # noqa: S608
        f"count(*) FILTER (WHERE b.seq IS NOT NULL AND NOT {is_other} AND {came_otherwise}) "
        f"FROM {here}.ticks AS a LEFT JOIN {there}.ticks AS b ON b.symbol = a.symbol AND b.seq = a.seq "
        "WHERE a.symbol = ?",
        (symbol,),
    ).fetchall()
    rows, *shared = first[0]
    there_too = con.execute(f"SELECT count(*) FROM {there}.ticks WHERE symbol = ?", (symbol,)).get  # noqa: S608
    return Common(rows, there_too, *shared)


def _symbols(con: apsw.Connection) -> Iterator[SymbolDifference]:
    for symbol in sorted({*symbols_of(con, "main"), *symbols_of(con, "other")}):
        found = common(con, symbol, "main", "other")
        yield SymbolDifference(
            symbol,
            found.here,
            found.there,
            found.here - found.both,
            found.there - found.both,
            found.different,
            found.received_otherwise,
        )


def _only_existing(con: apsw.Connection, table: str) -> int:
    """How many rows of another table the rebuilt database lacks, by their key; all of them if it lacks the table."""
    rows = f"SELECT count(*) FROM other.{table}"  # noqa: S608 - a name from the schema
    if not con.execute("SELECT count(*) FROM main.sqlite_schema WHERE type = 'table' AND name = ?", (table,)).get:
        return int(con.execute(rows).get)
    columns = con.execute(f"PRAGMA other.table_info({table})").fetchall()
    keys = [column[1] for column in columns if column[5]] or [column[1] for column in columns]
    same = " AND ".join(f"a.{key} IS b.{key}" for key in keys)
    return int(
        con.execute(f"{rows} AS b WHERE NOT EXISTS (SELECT 1 FROM main.{table} AS a WHERE {same})").get  # noqa: S608
    )


def _only_rebuilt_since(con: apsw.Connection, since_ms: int) -> int:
    return int(
        con.execute(
            "SELECT count(*) FROM main.ticks AS a WHERE recv_ts_ms >= ? AND NOT EXISTS "
            "(SELECT 1 FROM other.ticks AS b WHERE b.symbol = a.symbol AND b.seq = a.seq)",
            (since_ms,),
        ).get
    )
