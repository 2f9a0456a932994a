"""Writes `ticks.parquet` from a day's database.

Owns the file's encodings and metadata. The caller gives a path that no reader looks at, and publishes the file.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

from hk_tick_collector.parquet.arrow import PACKED, SELECT, batch_of, in_runs
from hk_tick_collector.parquet.checksums import add_checksums
from hk_tick_collector.parquet.columns import ROW_GROUP_ROWS, STORED, arrow_schema, parquet_options
from hk_tick_collector.parquet.extra import require
from hk_tick_collector.parquet.reception import COLUMNS as RECEPTION_COLUMNS
from hk_tick_collector.parquet.reception import Reception
from hk_tick_collector.parquet.reception import metadata_of as reception_metadata
from hk_tick_collector.parquet.ticks_file import CERTIFICATE_KEY, RECEPTION_KEY, metadata_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    import apsw

    # Called with a description of the work, the amount done, and the total.
    Progress = Callable[[str, int, int], None]

_SYMBOLS: Final = "SELECT DISTINCT symbol FROM ticks ORDER BY symbol"
_ROWS: Final = f"SELECT {SELECT} FROM ticks WHERE symbol = ? ORDER BY seq"  # noqa: S608 - our own names


def write_ticks(con: apsw.Connection, path: Path, certificate: dict[str, Any], progress: Progress) -> int:
    """Write all ticks of a day's database to a Parquet file. Returns the number of ticks.

    Args:
        con: the day's database.
        path: of the file to make.
        certificate: the day's, which becomes part of the file.
        progress: called with each row group.

    Raises:
        DatabaseError: a row is not a valid tick.
        apsw.Error: the database can't be read.
        OSError: the file can't be written; a full disk, for one.
    """
    parquet = require("pyarrow.parquet")
    day = certificate["day"]
    reception = Reception()
    done = 0
    with parquet.ParquetWriter(path, arrow_schema(), **parquet_options()) as writer:
        for runs, packed in in_runs(_rows_by_symbol(con), ROW_GROUP_ROWS):
            writer.write_batch(batch_of(runs, packed), row_group_size=ROW_GROUP_ROWS)
            cells = memoryview(packed).cast("q")
            reception.add(runs, [cells[STORED.index(name) :: len(STORED)] for name in RECEPTION_COLUMNS])
            done += len(packed) // PACKED.size
            progress(f"{day}: ticks archived", done, certificate["rows"])
        # Not in the schema, of which a file holds two copies.
        writer.add_key_value_metadata(
            {
                **metadata_of(certificate),
                CERTIFICATE_KEY: json.dumps(certificate).encode(),
                RECEPTION_KEY: json.dumps(reception_metadata(reception.found())).encode(),
            }
        )
    add_checksums(path)
    return done


def _rows_by_symbol(con: apsw.Connection) -> Iterator[tuple[str, apsw.Cursor]]:
    symbols: list[Any] = con.execute(_SYMBOLS).fetchall()
    for (symbol,) in symbols:
        yield symbol, con.execute(_ROWS, (symbol,))
