"""SQLite rows as Arrow columns, several times faster than one Python object per value.

Each row is packed into 88 bytes; a column is then every eleventh number of them. `pyarrow.array` is not used: on Python
sequences it imports pandas, where that is installed.
"""

from __future__ import annotations

from array import array
from itertools import accumulate, islice, starmap
from struct import Struct, error
from typing import TYPE_CHECKING, Any, Final

from hk_tick_collector.errors import DatabaseError
from hk_tick_collector.parquet.columns import COLUMNS, STORED, WORDS, arrow_schema, field_type
from hk_tick_collector.parquet.extra import require

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

PACKED: Final = Struct("<" + "".join("d" if name in ("price", "turnover") else "q" for name in STORED))
SELECT: Final = ", ".join(STORED)
_WIDTH: Final = len(STORED)


def pack_rows(symbol: str, rows: Iterable[tuple[Any, ...]]) -> bytes:
    """Rows of the columns `SELECT`, packed: 88 bytes each, of which the first 56 are what a certificate hashes.

    Raises:
        DatabaseError: a row is not a valid tick.
    """
    try:
        return b"".join(starmap(PACKED.pack, rows))
    except (error, TypeError) as exc:
        raise DatabaseError(f"ticks of {symbol!r} make no sense: {exc}") from exc


def batch_of(runs: Sequence[tuple[str, int]], packed: bytes | bytearray, columns: tuple[str, ...] = COLUMNS) -> Any:  # noqa: ANN401 - a pyarrow.RecordBatch
    """A RecordBatch of packed rows.

    Args:
        runs: the symbols and how many rows each has, in the order of the rows.
        packed: of `pack_rows`, one after the other.
        columns: which columns, as of `COLUMNS`.
    """
    pa = require("pyarrow")
    rows = len(packed) // PACKED.size
    numbers = array("q")  # its slices are taken twice as fast as those of a memoryview
    numbers.frombytes(packed)

    def plain(name: str) -> Any:  # noqa: ANN401
        values = numbers[STORED.index(name) :: _WIDTH]
        return pa.Array.from_buffers(field_type(name), rows, [None, pa.py_buffer(values)])

    arrays = []
    for name in columns:
        if name == "symbol":
            arrays.append(symbol_column(runs))
        elif name in WORDS:
            arrays.append(word_column(name, plain(WORDS[name][0])))
        else:
            arrays.append(plain(name))
    return pa.RecordBatch.from_arrays(arrays, schema=arrow_schema(columns))


def text_array(texts: Sequence[str]) -> Any:  # noqa: ANN401
    """A pyarrow.StringArray."""
    pa = require("pyarrow")
    encoded = [text.encode() for text in texts]
    ends = array("i", accumulate(map(len, encoded), initial=0))
    return pa.Array.from_buffers(pa.string(), len(texts), [None, pa.py_buffer(ends), pa.py_buffer(b"".join(encoded))])


def nullable_array(values: Sequence[Any], kind: Any) -> Any:  # noqa: ANN401
    """A pyarrow.Array of values from SQLite, None among them; `kind` is its Arrow type, of 8 bytes or of text."""
    pa = require("pyarrow")
    there = bytearray((len(values) + 7) // 8)
    for place, value in enumerate(values):
        if value is not None:
            there[place >> 3] |= 1 << (place & 7)
    buffers = [pa.py_buffer(there)]
    if pa.types.is_string(kind) or pa.types.is_binary(kind):
        parts = [b"" if v is None else v.encode() if isinstance(v, str) else v for v in values]
        buffers += [pa.py_buffer(array("i", accumulate(map(len, parts), initial=0))), pa.py_buffer(b"".join(parts))]
    else:
        code = "d" if pa.types.is_floating(kind) else "q"
        buffers.append(pa.py_buffer(array(code, [0 if v is None else v for v in values])))
    return pa.Array.from_buffers(kind, len(values), buffers)


def symbol_column(runs: Sequence[tuple[str, int]]) -> Any:  # noqa: ANN401
    """The dictionary column of symbols: `(symbol, rows)` for each run of rows."""
    pa = require("pyarrow")
    names = list(dict.fromkeys(symbol for symbol, _ in runs))
    place = {name: number for number, name in enumerate(names)}
    indices = b"".join(array("i", [place[symbol]]).tobytes() * rows for symbol, rows in runs)
    index = pa.Array.from_buffers(pa.int32(), len(indices) // 4, [None, pa.py_buffer(indices)])
    return pa.DictionaryArray.from_arrays(index, text_array(names))


def word_column(name: str, numbers: Any) -> Any:  # noqa: ANN401
    """The dictionary column of words for a column of numbers, such as `direction` for `direction_id`."""
    pa, compute = require("pyarrow"), require("pyarrow.compute")
    seen = compute.unique(numbers)
    words = text_array([word_of(name, number) for number in seen.to_pylist()])
    index = compute.index_in(numbers, value_set=seen)
    return pa.DictionaryArray.from_arrays(index, words)


def word_of(name: str, number: int) -> str:
    """The word for a number, as the database's generated column has it."""
    _, words, other = WORDS[name]
    return words.get(number, f"{other}{number}")


def in_runs(
    rows_by_symbol: Iterable[tuple[str, Iterable[tuple[Any, ...]]]], at_once: int
) -> Iterable[tuple[list[tuple[str, int]], bytes]]:
    """Collect the rows of symbols, one after the other, into portions of exactly `at_once` rows; the last has fewer.

    Yields:
        The runs of a portion, and its packed rows.
    """
    runs: list[tuple[str, int]] = []
    parts: list[bytes] = []
    held = 0
    for symbol, rows in rows_by_symbol:
        source = iter(rows)
        while packed := pack_rows(symbol, islice(source, at_once - held)):
            count = len(packed) // PACKED.size
            runs.append((symbol, count))
            parts.append(packed)
            held += count
            if held == at_once:
                yield runs, b"".join(parts)
                runs, parts, held = [], [], 0
    if held:
        yield runs, b"".join(parts)


def dictionaries(batch: Any) -> Mapping[str, list[str]]:  # noqa: ANN401
    """The words of each dictionary column of a batch."""
    return {
        field.name: batch.column(field.name).dictionary.to_pylist()
        for field in batch.schema
        if field.name == "symbol" or field.name in WORDS
    }
