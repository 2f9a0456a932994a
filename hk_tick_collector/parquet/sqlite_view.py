"""An archived day as a SQLite database: what reads a day's database also reads its archive, with the same SQL.

`ticks` is a view of a virtual table over `ticks.parquet`; the other tables are small, and are loaded into memory. A
query by symbol reads the one or two row groups that hold it.

Owns the virtual table. Everything is read-only. Differences from a database: `ticks` can't be written, has no rowid,
and a query over all symbols takes several times as long.
"""

from __future__ import annotations

import json
from bisect import bisect_left, bisect_right
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import apsw

from hk_tick_collector.parquet.columns import REALS, ROW_GROUP_ROWS, STORED
from hk_tick_collector.parquet.hashes import bits_of, runs_of
from hk_tick_collector.parquet.layout import LEDGER, TICKS
from hk_tick_collector.parquet.ledger_file import LedgerFile, fill
from hk_tick_collector.parquet.ticks_file import TicksFile
from hk_tick_collector.store.schema import create_tables, tick_view

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

_COLUMNS: Final = ("symbol", *STORED)
_TYPES: Final = {"symbol": "TEXT", **dict.fromkeys(REALS, "REAL")}
_DECLARED: Final = (
    "CREATE TABLE ticks (" + ", ".join(f"{name} {_TYPES.get(name, 'INTEGER')}" for name in _COLUMNS) + ")"
)
_SYMBOL, _SEQ = 0, 1
_BY_SYMBOL: Final = -1
_SYMBOLS_GUESSED: Final = 100  # for SQLite's planner
_GROUPS_HELD: Final = 2  # decoded, for queries that go from one symbol to the next

_EQ: Final = apsw.SQLITE_INDEX_CONSTRAINT_EQ
_LOWER: Final = {apsw.SQLITE_INDEX_CONSTRAINT_GT: bisect_right, apsw.SQLITE_INDEX_CONSTRAINT_GE: bisect_left}
_UPPER: Final = {apsw.SQLITE_INDEX_CONSTRAINT_LT: bisect_left, apsw.SQLITE_INDEX_CONSTRAINT_LE: bisect_right}


def open_view(folder: Path, database: Path) -> apsw.Connection:
    """Open an archived day.

    Args:
        folder: with its `ticks.parquet` and `ledger.parquet`.
        database: the path that its database had; the day is in its name.

    Raises:
        ForeignFileError: a file is cut off, or was not made by this program.
        ArchiveError: a file can't be decoded.
        MissingExtraError: pyarrow is not installed.
        OSError: a file is missing, or can't be read.
    """
    ledger = LedgerFile(folder / LEDGER)
    ticks = TicksFile(folder / TICKS)
    con = apsw.Connection(":memory:")
    try:
        create_tables(con, database)
        con.execute("DROP TABLE ticks")
        fill(con, ledger)
        module: Any = _Module(ticks)  # apsw asks for more than a table that is only read needs
        con.create_module("archived_ticks", module, use_bestindex_object=True, read_only=True)
        con.execute("CREATE VIRTUAL TABLE temp.archived USING archived_ticks")
        con.execute(tick_view("archived", database))
        con.pragma("query_only", 1)
    except BaseException:
        con.close()
        ticks.close()
        raise
    return con


class _Group(NamedTuple):
    """A decoded row group: where each symbol's rows are, and its columns by name."""

    runs: dict[str, tuple[int, int]]
    columns: Mapping[str, Sequence[Any]]


class _Module:
    """What apsw asks to make the table."""

    def __init__(self, file: TicksFile) -> None:
        self._table = _Table(file)

    def Create(self, *_: Any) -> tuple[str, _Table]:  # noqa: N802, ANN401 - apsw's names
        return _DECLARED, self._table

    Connect = Create


class _Table:
    """The virtual table: plans a query, and holds the decoded row groups."""

    def __init__(self, file: TicksFile) -> None:
        self.file = file
        self.group = lru_cache(_GROUPS_HELD)(self._read)

    def _read(self, number: int, columns: tuple[str, ...]) -> _Group:
        batch = self.file.read_group(number, ("symbol", *columns))
        runs: dict[str, tuple[int, int]] = {}
        begin = 0
        for symbol, rows in runs_of(batch.column("symbol")):
            runs[symbol] = (begin, begin + rows)
            begin += rows
        read: dict[str, Sequence[Any]] = {name: bits_of(batch.column(name)) for name in columns}
        read |= {name: bits_of(batch.column(name)).cast("B").cast("d") for name in REALS.intersection(columns)}
        return _Group(runs, read)

    def BestIndexObject(self, info: apsw.IndexInfo) -> bool:  # noqa: N802
        """Use `symbol =` and the limits of `seq`; the rows come sorted by both."""
        bounds: list[int] = []  # by argument: an operator of `seq`, or `_BY_SYMBOL`
        for place in range(info.nConstraint):
            column, op = info.get_aConstraint_iColumn(place), info.get_aConstraint_op(place)
            if not info.get_aConstraint_usable(place):
                continue
            is_symbol = column == _SYMBOL and op == _EQ and info.get_aConstraint_collation(place) == "BINARY"
            if is_symbol and _BY_SYMBOL not in bounds:
                bounds.append(_BY_SYMBOL)
            elif column == _SEQ and (op == _EQ or op in _LOWER or op in _UPPER):
                bounds.append(op)
            else:
                continue
            info.set_aConstraintUsage_argvIndex(place, len(bounds))
        has_symbol = _BY_SYMBOL in bounds
        used = [column for place, column in enumerate(_COLUMNS) if place in info.colUsed and place != _SYMBOL]
        info.idxStr = json.dumps([bounds, used])
        rows = self.file.rows
        info.estimatedRows = max(1, rows // _SYMBOLS_GUESSED if has_symbol else rows)
        info.estimatedCost = float(info.estimatedRows + (ROW_GROUP_ROWS if has_symbol else 0))
        order = [(info.get_aOrderBy_iColumn(n), info.get_aOrderBy_desc(n)) for n in range(info.nOrderBy)]
        sorted_by = [(_SEQ, False)] if has_symbol else [(_SYMBOL, False), (_SEQ, False)]
        if has_symbol:
            order = [term for term in order if term[0] != _SYMBOL]
        info.orderByConsumed = order[: len(sorted_by)] == sorted_by[: len(order)]
        return True

    def Open(self) -> _Cursor:  # noqa: N802
        return _Cursor(self)

    def Disconnect(self) -> None:  # noqa: N802
        self.file.close()

    Destroy = Disconnect


class _Run(NamedTuple):
    """Rows of one symbol in one row group."""

    group: int
    symbol: str
    columns: Mapping[str, Sequence[Any]]
    begin: int
    end: int


class _Cursor:
    """One pass over the rows of a query."""

    def __init__(self, table: _Table) -> None:
        self._table = table
        self._runs: Iterator[_Run] = iter(())
        self._is_over = True
        self._group = self._at = self._end = 0
        self._symbol = ""
        self._columns: list[Sequence[Any] | None] = []

    def Filter(self, _number: int, plan: str, arguments: tuple[Any, ...]) -> None:  # noqa: N802
        """Begin."""
        bounds, used = json.loads(plan)
        seqs = [(op, value) for op, value in zip(bounds, arguments, strict=True) if op != _BY_SYMBOL]
        symbols = [value for op, value in zip(bounds, arguments, strict=True) if op == _BY_SYMBOL]
        self._runs = self._runs_of(symbols, seqs, tuple(used))
        self._next_run()

    def _runs_of(self, symbols: list[Any], seqs: list[tuple[int, Any]], used: tuple[str, ...]) -> Iterator[_Run]:
        """The rows of a query: of the one symbol, or (empty) of all, within the limits of `seq`."""
        if None in {value for _, value in seqs} or not all(isinstance(symbol, str) for symbol in symbols):
            return  # nothing is equal to NULL, and no symbol to a number
        # Of text SQLite knows what number it means; it checks each row again.
        limits = [(op, value) for op, value in seqs if isinstance(value, int | float)]
        needed = tuple(dict.fromkeys((*used, "seq"))) if limits else used
        for number in self._table.file.groups_with(symbols or None):
            group = self._table.group(number, needed)
            for name, (begin, end) in group.runs.items():
                if not symbols or name in symbols:
                    first, last = _within(group.columns["seq"], begin, end, limits) if limits else (begin, end)
                    if first < last:
                        yield _Run(number, name, group.columns, first, last)

    def _next_run(self) -> None:
        run = next(self._runs, None)
        self._is_over = run is None
        if run is not None:
            self._group, self._symbol, columns, self._at, self._end = run
            self._columns = [columns.get(name) for name in _COLUMNS]

    def Eof(self) -> bool:  # noqa: N802
        return self._is_over

    def Column(self, number: int) -> Any:  # noqa: N802, ANN401
        if number == _SYMBOL:
            return self._symbol
        column = self._columns[number]
        return None if column is None else column[self._at]

    def Next(self) -> None:  # noqa: N802
        self._at += 1
        if self._at == self._end:
            self._next_run()

    def Rowid(self) -> int:  # noqa: N802
        """Another number for each row of the file: SQLite leaves out rows whose number one side of an OR had."""
        return (self._group << 32) + self._at

    def Close(self) -> None:  # noqa: N802
        self._runs = iter(())


def _within(seqs: Sequence[Any], begin: int, end: int, limits: list[tuple[int, Any]]) -> tuple[int, int]:
    """The part of sorted sequences that the limits allow."""
    for op, value in limits:
        if op == _EQ or op in _LOWER:
            begin = max(begin, _LOWER.get(op, bisect_left)(seqs, value, begin, end))
        if op == _EQ or op in _UPPER:
            end = min(end, _UPPER.get(op, bisect_right)(seqs, value, begin, end))
    return begin, end
