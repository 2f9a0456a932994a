"""Reads the ticks of an archived day, and filters them as SQLite does for a day's database.

Owns the filters on Arrow batches. `pyarrow.scalar` and `pyarrow.array` are not used: they import pandas, where that is
installed.
"""

from __future__ import annotations

from array import array
from functools import reduce
from typing import TYPE_CHECKING, Any

from hk_tick_collector.errors import ForeignFileError
from hk_tick_collector.parquet.arrow import text_array
from hk_tick_collector.parquet.columns import field_type
from hk_tick_collector.parquet.extra import require
from hk_tick_collector.parquet.layout import day_of_folder
from hk_tick_collector.parquet.ticks_file import TicksFile

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path

    from hk_tick_collector.read.wanted import Position, Wanted


def open_archived(path: Path) -> TicksFile:
    """Open the ticks of an archived day.

    Raises:
        ForeignFileError: it is not an archived day of this program, or it is in the folder of another day.
    """
    file = TicksFile(path)
    if file.day != day_of_folder(path.parent.name):
        file.close()
        raise ForeignFileError(f"{path} holds the ticks of {file.day}: it is in the folder of another day")
    return file


def archived_symbols(path: Path) -> set[str]:
    """The symbols that an archived day knows: with ticks, or recorded without any."""
    with open_archived(path) as file:
        return {one["symbol"] for one in file.certificate["symbols"]}


def archived_batches(path: Path, wanted: Wanted, after: Position | None = None) -> Iterator[Any]:
    """The ticks of an archived day after a position. The file is opened now, and read as they are consumed.

    Raises:
        FileNotFoundError: it is gone.
        ForeignFileError: it is not an archived day of this program.
        ArchiveError: it can't be decoded.
    """
    return _batches(open_archived(path), wanted, after)


def _batches(file: TicksFile, wanted: Wanted, after: Position | None) -> Iterator[Any]:
    symbols = wanted.symbols
    if after is not None and symbols is not None:
        symbols = tuple(symbol for symbol in symbols if symbol >= after.symbol)
    with file:
        for batch in file.batches(symbols, columns_to_read(wanted, after), use_threads=True):
            kept = keep_rows(batch, wanted, after)
            if kept.num_rows:
                yield kept


def columns_to_read(wanted: Wanted, after: Position | None = None) -> tuple[str, ...]:
    """The wanted columns, and those that `keep_rows` needs."""
    extra = ["symbol", "seq"] if after is not None else []
    if wanted.begin_ms is not None or wanted.end_ms is not None:
        extra.append("ts_ms")
    if wanted.types is not None or wanted.without:
        extra.append("tick_type_id")
    return tuple(dict.fromkeys((*wanted.columns, *extra)))


def keep_rows(batch: Any, wanted: Wanted, after: Position | None = None) -> Any:  # noqa: ANN401 - RecordBatches
    """The wanted rows of a batch, after a position, and their wanted columns."""
    conditions = _conditions(batch, wanted, after)
    if conditions:
        batch = batch.filter(reduce(require("pyarrow.compute").and_, conditions))
    names = tuple(batch.schema.names)
    return batch if names == wanted.columns else batch.select(list(wanted.columns))


def _conditions(batch: Any, wanted: Wanted, after: Position | None) -> list[Any]:  # noqa: ANN401
    """What has to hold of a row, each as a BooleanArray."""
    pa, compute = require("pyarrow"), require("pyarrow.compute")
    kept = []
    if wanted.begin_ms is not None:
        kept.append(compute.greater_equal(batch.column("ts_ms"), numbers_array("ts_ms", [wanted.begin_ms])[0]))
    if wanted.end_ms is not None:
        kept.append(compute.less(batch.column("ts_ms"), numbers_array("ts_ms", [wanted.end_ms])[0]))
    if wanted.types is not None:
        kept.append(_is_in(batch.column("tick_type_id"), wanted.types))
    if wanted.without:
        kept.append(compute.invert(_is_in(batch.column("tick_type_id"), wanted.without)))
    if after is not None:
        symbols, last = batch.column("symbol").cast(pa.string()), text_array([after.symbol])[0]
        is_later = compute.greater(batch.column("seq"), numbers_array("seq", [after.seq])[0])
        kept.append(compute.or_(compute.greater(symbols, last), compute.and_(compute.equal(symbols, last), is_later)))
    return kept


def _is_in(column: Any, numbers: Iterable[int]) -> Any:  # noqa: ANN401
    return require("pyarrow.compute").is_in(column, value_set=numbers_array("tick_type_id", sorted(numbers)))


def numbers_array(column: str, numbers: Sequence[int]) -> Any:  # noqa: ANN401
    """A pyarrow array of a column's type. `pyarrow.scalar` and `pyarrow.array` would import pandas."""
    pa = require("pyarrow")
    return pa.Array.from_buffers(field_type(column), len(numbers), [None, pa.py_buffer(array("q", numbers))])


def symbol_runs(symbols: Any) -> Iterator[tuple[str, int]]:  # noqa: ANN401 - a dictionary array
    """The runs of equal symbols in a column: the symbol, and how many rows it has."""
    runs = require("pyarrow.compute").run_end_encode(symbols.indices)
    names = symbols.dictionary.to_pylist()
    begin = 0
    for end, index in zip(runs.run_ends.to_pylist(), runs.values.to_pylist(), strict=True):
        yield names[index], end - begin
        begin = end
