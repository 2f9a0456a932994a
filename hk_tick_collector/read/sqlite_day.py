"""Reads the ticks of a day's database, live or not: portions of whole symbols, packed for Arrow.

Owns these statements. A portion is one opening of the database: between two of them no connection, and so no
transaction, is open, however slow the consumer is. Never writes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

from hk_tick_collector.parquet.arrow import PACKED, pack_rows
from hk_tick_collector.parquet.columns import REALS, STORED, WORDS
from hk_tick_collector.read.wanted import Position
from hk_tick_collector.store.opening import read_untouched
from hk_tick_collector.store.schema import INT64_MAX, check_ours

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    import apsw

    from hk_tick_collector.read.wanted import Wanted

PORTION_ROWS: Final = 65_536  # at least, before the connection is closed
SYMBOL_ROWS: Final = 262_144  # of a symbol, at most, in one transaction: a quarter of a second


def database_symbols(path: Path) -> set[str]:
    """The symbols that a database knows."""

    def use(con: apsw.Connection) -> set[str]:
        if not is_begun(con, path):
            return set()
        found: list[Any] = con.execute("SELECT symbol FROM symbol_stats").fetchall()
        if con.execute("SELECT count(*) FROM sqlite_schema WHERE name = 'recorded'").get:
            found += con.execute("SELECT symbol FROM recorded").fetchall()
        return {symbol for (symbol,) in found}

    return read_untouched(path, use)


def is_begun(con: apsw.Connection, path: Path) -> bool:
    """Whether the first transaction of a day's database is committed.

    Raises:
        DatabaseError: it is not one of this program, or of a newer version.
    """
    check_ours(con, path)
    return bool(con.pragma("user_version"))


class Portion(NamedTuple):
    """Ticks of a day's database.

    Attributes:
        runs: symbols, and how many ticks each has, in the order of `packed`.
        packed: the ticks, see `parquet.arrow.pack_rows`.
        position: after which tick the next portion begins; None: this is the last one.
    """

    runs: list[tuple[str, int]]
    packed: bytes
    position: Position | None


def read_portion(path: Path, wanted: Wanted, after: Position | None) -> Portion:
    """Read the ticks after a position: of whole symbols, until they are `PORTION_ROWS` or more.

    Each symbol is read in one transaction, so its ticks are those of one moment, unless it has more than `SYMBOL_ROWS`.

    Raises:
        DatabaseError: it is not a day's database of this program, or a row is not a valid tick.
        apsw.Error, OSError: it can't be read.
    """
    return read_untouched(path, lambda con: _portion(con, path, wanted, after))


def _portion(con: apsw.Connection, path: Path, wanted: Wanted, after: Position | None) -> Portion:
    if not is_begun(con, path):
        return Portion([], b"", None)
    select, values = statement(wanted)
    runs: list[tuple[str, int]] = []
    parts: list[bytes] = []
    held = 0
    for symbol in _symbols_from(con, wanted.symbols, after):
        begin = after.seq + 1 if after is not None and after.symbol == symbol else -INT64_MAX
        packed = pack_rows(symbol, con.execute(select, {**values, "symbol": symbol, "begin": begin}))
        rows = len(packed) // PACKED.size
        if not rows:
            continue
        runs.append((symbol, rows))
        parts.append(packed)
        held += rows
        if held >= PORTION_ROWS or rows == SYMBOL_ROWS:
            last: int = PACKED.unpack_from(packed, len(packed) - PACKED.size)[0]
            return Portion(runs, b"".join(parts), Position(symbol, last if rows == SYMBOL_ROWS else INT64_MAX))
    return Portion(runs, b"".join(parts), None)


def _symbols_from(con: apsw.Connection, symbols: tuple[str, ...] | None, after: Position | None) -> list[str]:
    """The symbols that are not read yet, or not to their end."""
    begin = "" if after is None else after.symbol
    if symbols is None:  # not from `ticks`: SQLite would read the whole day for it
        rows: list[Any] = con.execute("SELECT symbol FROM symbol_stats WHERE symbol >= ?", (begin,)).fetchall()
        symbols = tuple(sorted(symbol for (symbol,) in rows))
    is_done = after is not None and after.seq == INT64_MAX
    return [symbol for symbol in symbols if symbol > begin or (symbol == begin and not is_done)]


def statement(wanted: Wanted) -> tuple[str, dict[str, int]]:
    """The statement for one symbol's ticks, and its values except `symbol` and `begin`, the first sequence.

    It selects what `pack_rows` takes.
    """
    columns = select_list(wanted.columns)
    where = "symbol = :symbol AND seq >= :begin"
    values: dict[str, int] = {}
    if wanted.begin_ms is not None:
        where += " AND ts_ms >= :begin_ms"
        values["begin_ms"] = wanted.begin_ms
    if wanted.end_ms is not None:
        where += " AND ts_ms < :end_ms"
        values["end_ms"] = wanted.end_ms
    if wanted.types is not None:
        where += f" AND tick_type_id IN ({_listed(wanted.types)})"
    if wanted.without:
        where += f" AND tick_type_id NOT IN ({_listed(wanted.without)})"
    return f"SELECT {columns} FROM ticks WHERE {where} ORDER BY seq LIMIT {SYMBOL_ROWS}", values  # noqa: S608 - numbers and our own names


def select_list(columns: Iterable[str]) -> str:
    """What `pack_rows` takes, for a SELECT. A column that nobody asked for is 0: that costs a third of reading it."""
    needed = {"seq", *(WORDS[name][0] if name in WORDS else name for name in columns)}
    return ", ".join(name if name in needed else "0.0" if name in REALS else "0" for name in STORED)


def _listed(numbers: Iterable[int]) -> str:
    return ", ".join(map(str, sorted(numbers)))
