"""Recomputes the certificate's hash of each symbol from decoded columns: what a reader of the file really gets.

Owns the way from columns back to the bytes that are hashed. A wrong decoder, a wrong cast or one changed price gives
another hash.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from hk_tick_collector.parquet.extra import require
from hk_tick_collector.store.tick_hash import COLUMNS, TICK, hash_packed, in_hex

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

NEEDED: Final = ("symbol", *COLUMNS)
_WIDTH: Final = len(COLUMNS)


class Hashes:
    """Adds up the ticks of each symbol: how many, and their hash."""

    def __init__(self) -> None:
        self._rows: dict[str, int] = {}
        self._totals: dict[str, int] = {}

    def add_batch(self, batch: Any) -> None:  # noqa: ANN401 - a pyarrow.RecordBatch with the columns `NEEDED`
        """Add the ticks of a batch that is sorted by symbol."""
        columns = [bits_of(batch.column(name)) for name in COLUMNS]
        self.add(runs_of(batch.column("symbol")), columns)

    def add(self, runs: Iterable[tuple[str, int]], columns: Sequence[memoryview[int]]) -> None:
        """Add ticks given as columns.

        Args:
            runs: symbols and how many rows each has, in the order of the rows.
            columns: one for each of `COLUMNS`, as 8-byte numbers (format "q"), of equal length.
        """
        packed = bytearray(len(columns[0]) * TICK.size)
        cells = memoryview(packed).cast("q")
        for place, column in enumerate(columns):
            cells[place::_WIDTH] = column
        view, begin = memoryview(packed), 0
        for symbol, rows in runs:
            end = begin + rows * TICK.size
            self._rows[symbol] = self._rows.get(symbol, 0) + rows
            self._totals[symbol] = self._totals.get(symbol, 0) + hash_packed(symbol, view[begin:end])
            begin = end

    def found(self) -> dict[str, tuple[int, str]]:
        """By symbol, the number of ticks and their hash in hexadecimal, as a certificate has them."""
        return {symbol: (rows, in_hex(self._totals[symbol])) for symbol, rows in self._rows.items()}


def bits_of(column: Any) -> memoryview[int]:  # noqa: ANN401 - a pyarrow.Array without nulls
    """The cells of a column, 8 bytes each, as integers, without a copy; a double or an instant as its bits."""
    data = column.buffers()[1]
    begin = column.offset * 8
    cells = memoryview(data if data is not None else b"")[begin : begin + len(column) * 8]
    return cells.cast("q")


def runs_of(symbols: Any) -> Iterator[tuple[str, int]]:  # noqa: ANN401 - a dictionary array without nulls
    """The runs of equal symbols, and how many rows each has."""
    if not len(symbols):
        return
    runs = require("pyarrow.compute").run_end_encode(symbols.indices)
    names = symbols.dictionary.to_pylist()
    begin = 0
    for end, index in zip(runs.run_ends.to_pylist(), runs.values.to_pylist(), strict=True):
        yield names[index], end - begin
        begin = end
