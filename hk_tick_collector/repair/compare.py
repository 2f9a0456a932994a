"""What differs between two databases of the same day.

Owns the comparison, row by row. Never writes. A row's content is the same when its time, price, volume, turnover,
direction and type are; its reception, when it came by the same way at the same moment. When it was stored is not
compared.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from hk_tick_collector.db_read import open_readonly, readonly_uri
from hk_tick_collector.schema import check_ours

if TYPE_CHECKING:
    from pathlib import Path

    import apsw

_CONTENT = ("ts_ms", "price", "volume", "turnover", "direction_id", "tick_type_id")
_RECEPTION = ("push_type_id", "push_data_type", "recv_ts_ms")

# Counted again from `ticks` by whoever writes; nothing is lost with it.
_DERIVED = {"ticks", "symbol_stats"}


class SymbolDifference(NamedTuple):
    """Of one symbol, how many ticks.

    Attributes:
        symbol: which.
        rebuilt: the rebuilt database has.
        existing: the existing one has.
        only_rebuilt: only the rebuilt one has.
        only_existing: only the existing one has.
        different: both have, with other content.
        received_otherwise: both have, with the same content, but it says that they came at another time or another way.
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
        symbols: all symbols, one by one.
        only_existing_by_table: of the other tables' rows, how many only the existing database has.
        only_rebuilt_since: ticks only in the rebuilt database that were received at or after a given moment.
    """

    symbols: tuple[SymbolDifference, ...]
    only_existing_by_table: dict[str, int]
    only_rebuilt_since: int

    def total(self, name: str) -> int:
        """The sum over all symbols of one of their numbers."""
        return sum(getattr(symbol, name) for symbol in self.symbols)

    @property
    def is_same(self) -> bool:
        """Whether nothing of substance differs."""
        return all(symbol.is_same for symbol in self.symbols) and not any(self.only_existing_by_table.values())

    @property
    def lost(self) -> int:
        """Rows that would be gone if the rebuilt database took the existing one's place."""
        return self.total("only_existing") + sum(self.only_existing_by_table.values())


def compare(rebuilt: Path, existing: Path, since_ms: int | None = None) -> Difference:
    """Compare two day databases of ours.

    Args:
        rebuilt: one of them.
        existing: the other.
        since_ms: see `Difference.only_rebuilt_since`; None: do not count.

    Raises:
        DatabaseError: one of them can't be read, or is none of ours.
    """
    con = open_readonly(rebuilt)
    try:
        _check(existing)
        con.execute("ATTACH ? AS other", (readonly_uri(existing),))
        tables = [name for (name,) in con.execute("SELECT name FROM other.sqlite_schema WHERE type = 'table'")]
        con.execute("BEGIN")  # one moment of both
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


def _symbols(con: apsw.Connection) -> list[SymbolDifference]:
    is_other = " OR ".join(f"a.{name} IS NOT b.{name}" for name in _CONTENT)
    came_otherwise = " OR ".join(f"a.{name} IS NOT b.{name}" for name in _RECEPTION)
    both = con.execute(
        f"SELECT a.symbol, count(*), sum({is_other}), sum(NOT ({is_other}) AND ({came_otherwise})) "  # noqa: S608
        "FROM main.ticks AS a JOIN other.ticks AS b ON b.symbol = a.symbol AND b.seq = a.seq GROUP BY a.symbol"
    )
    common = {symbol: counts for symbol, *counts in both}
    here, there = _rows_by_symbol(con, "main"), _rows_by_symbol(con, "other")
    found = []
    for symbol in sorted(here.keys() | there.keys()):
        shared, different, otherwise = common.get(symbol, (0, 0, 0))
        rebuilt, existing = here.get(symbol, 0), there.get(symbol, 0)
        found.append(
            SymbolDifference(symbol, rebuilt, existing, rebuilt - shared, existing - shared, different, otherwise)
        )
    return found


def _rows_by_symbol(con: apsw.Connection, schema: str) -> dict[str, int]:
    counted = con.execute(f"SELECT symbol, count(*) FROM {schema}.ticks GROUP BY symbol")  # noqa: S608 - main or other
    return {str(symbol): int(rows) for symbol, rows in counted}


def _only_existing(con: apsw.Connection, table: str) -> int:
    """Rows of another table that the rebuilt database lacks, by their key; all of them, if it lacks the table."""
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
