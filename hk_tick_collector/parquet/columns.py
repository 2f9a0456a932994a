"""The columns of a tick as Arrow and Parquet have them: names, types, and how each is encoded.

Owns the Arrow schema that SQLite days, live days and archived days share, and the settings of a Parquet file.
`docs/data.md` explains each column.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any, Final

from hk_tick_collector.opend.numbers import DIRECTIONS, TICK_TYPES
from hk_tick_collector.parquet.extra import require
from hk_tick_collector.store.schema import PUSH_TYPES

if TYPE_CHECKING:
    from collections.abc import Mapping

# Stored in SQLite as 8 bytes each, in the order of the certificate's hash; those after `tick_type_id` are not in it.
STORED: Final = (
    "seq", "ts_ms", "price", "volume", "turnover", "direction_id", "tick_type_id",
    "push_type_id", "push_data_type", "recv_ts_ms", "inserted_at_ms",
)  # fmt: skip
HASHED: Final = STORED[:7]
REALS: Final = frozenset({"price", "turnover"})
INSTANTS: Final = frozenset({"ts_ms", "recv_ts_ms", "inserted_at_ms"})

# Derived columns: the word for a number, by the column that has the number, and what a number without a word becomes.
WORDS: Final[Mapping[str, tuple[str, Mapping[int, str], str]]] = {
    "direction": ("direction_id", DIRECTIONS, "DIRECTION_"),
    "tick_type": ("tick_type_id", TICK_TYPES, "TYPE_"),
    "push_type": ("push_type_id", PUSH_TYPES, "PUSH_"),
}

COLUMNS: Final = (
    "symbol", "seq", "ts_ms", "price", "volume", "turnover", "direction", "tick_type",
    "direction_id", "tick_type_id", "push_type", "push_type_id", "push_data_type", "recv_ts_ms", "inserted_at_ms",
)  # fmt: skip
"""All columns of a tick, in the order of the file and of the read API."""

ROW_GROUP_ROWS: Final = 65_536
_COMPRESSION_LEVEL: Final = 9  # measured: 19 saves 7 % more and takes twelve times as long


@cache
def field_type(column: str) -> Any:  # noqa: ANN401 - pyarrow has no types
    """The Arrow type of a column."""
    pa = require("pyarrow")
    if column == "symbol" or column in WORDS:
        return pa.dictionary(pa.int32(), pa.string())
    if column in INSTANTS:
        return pa.timestamp("ms", tz="UTC")
    return pa.float64() if column in REALS else pa.int64()


def arrow_schema(columns: tuple[str, ...] = COLUMNS) -> Any:  # noqa: ANN401
    """The Arrow schema of these columns; no column has nulls."""
    pa = require("pyarrow")
    return pa.schema([pa.field(name, field_type(name), nullable=False) for name in columns])


def parquet_options() -> dict[str, Any]:
    """How `ticks.parquet` is written: the arguments of `pyarrow.parquet.ParquetWriter`.

    Every decoder that was tried reads these encodings, fastparquet excepted, which decodes them wrong without a word.
    """
    parquet = require("pyarrow.parquet")
    delta = ("seq", *sorted(INSTANTS))
    dictionary = [name for name in COLUMNS if name not in delta and name != "turnover"]
    order = [parquet.SortingColumn(COLUMNS.index(name)) for name in ("symbol", "seq")]
    return {
        "compression": "zstd",
        "compression_level": _COMPRESSION_LEVEL,
        "use_dictionary": dictionary,
        "column_encoding": dict.fromkeys(delta, "DELTA_BINARY_PACKED"),
        "write_page_index": True,
        "write_page_checksum": True,
        "sorting_columns": order,
        "store_schema": True,
    }
