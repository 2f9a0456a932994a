"""A sealed day as `ticks.parquet`, and the same file as another program would write it again."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING, Any, Final

import pyarrow as pa
import pyarrow.parquet as pq

from hk_tick_collector.parquet.columns import parquet_options
from hk_tick_collector.parquet.ticks_file import TicksFile
from hk_tick_collector.parquet.writing import write_ticks
from hk_tick_collector.store.opening import open_readonly
from support.merging import record
from support.sealing import SILENT, certificate, seal_day
from support.ticks import DAY, HSBC, OPEN_MS, TENCENT, row, seq_at

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

XIAOMI: Final = "HK.01810"
SYMBOLS: Final = (HSBC, TENCENT, XIAOMI)


def make_ticks_file(root: Path, *, ticks: int = 40) -> Path:
    """The archive of a day with so many ticks of each of three symbols; its database is beside it."""
    root.mkdir(exist_ok=True)
    rows = [
        row(
            symbol, seq_at(n), OPEN_MS + n * 1000, price=5 + place + n / 8, volume=100 * n, turnover=n * 3.3,
            direction_id=1 + n % 3, tick_type_id=1 + n % 5, push_type_id=n % 3, recv_ts_ms=OPEN_MS + n * 1013,
        )
        for place, symbol in enumerate(SYMBOLS)
        for n in range(1, ticks + 1)
    ]  # fmt: skip
    database = record(root / f"{DAY}.db", rows)
    seal_day(database)
    path = root / f"{DAY}.ticks.parquet"
    with closing(open_readonly(database)) as con:
        write_ticks(con, path, certificate(database), SILENT)
    return path


def table_of(path: Path) -> Any:  # noqa: ANN401 - a pyarrow.Table
    """All ticks of a file."""
    with TicksFile(path) as file:
        return pa.Table.from_batches(file.batches())


def rewritten(path: Path, change: Callable[[Any], Any], name: str = "rewritten.parquet", **metadata: bytes) -> Path:
    """The file as another program writes it again: other ticks, whole pages, the metadata kept or replaced."""
    with TicksFile(path) as file:
        kept = {name: value for name, value in file._file.metadata.metadata.items() if name != b"ARROW:schema"}
    kept |= {f"hk_tick_collector.{key}".encode(): value for key, value in metadata.items()}
    table = change(table_of(path))
    made = path.with_name(name)
    with pq.ParquetWriter(made, table.schema, **parquet_options()) as writer:
        writer.write_table(table)
        writer.add_key_value_metadata(kept)
    return made


def with_cell(table: Any, column: str, symbol: str, value: object, *, at: int = 7) -> Any:  # noqa: ANN401
    """A table in which one tick of a symbol has another value in a column."""
    values = table.column(column).to_pylist()
    place = table.column("symbol").to_pylist().index(symbol) + at
    assert values[place] != value
    values[place] = value
    field = table.schema.field(column)
    made = pa.array(values, pa.string()) if pa.types.is_dictionary(field.type) else pa.array(values, field.type)
    made = made.dictionary_encode() if pa.types.is_dictionary(field.type) else made
    return table.set_column(table.schema.get_field_index(column), field, made)
