"""`ledger.parquet`: every table of a day but `ticks`, one below the other in one file.

The column `table` names the table of a row; the other columns are those of all tables, null where a table has none of
that name. So any program can read it (`SELECT * FROM 'ledger.parquet' WHERE "table" = 'gaps'`), and the tables can be
made again exactly.

Owns this layout. A table or column that this program doesn't know is refused: the file would lack it.
"""

from __future__ import annotations

from contextlib import closing
from itertools import islice
from typing import TYPE_CHECKING, Any, Final

import apsw

from hk_tick_collector.errors import ArchiveError, ForeignFileError
from hk_tick_collector.parquet.arrow import nullable_array, text_array
from hk_tick_collector.parquet.checksums import add_checksums, read_checksums
from hk_tick_collector.parquet.columns import STORED
from hk_tick_collector.parquet.extra import require
from hk_tick_collector.parquet.ticks_file import DAY_KEY, FORMAT_KEY, first_line, metadata_of, unreadable
from hk_tick_collector.store import imported
from hk_tick_collector.store.schema import VERSION, create_tables

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

TABLE: Final = "table"
TICKS: Final = "ticks"  # has a file of its own
_OFFSETS: Final = frozenset({"least_ms", "most_ms"})  # in `clocks`: not moments
_ROWS_AT_ONCE: Final = 20_000
_STORED: Final = 0  # `hidden` of a column in table_xinfo; a generated column has another number


def layout() -> dict[str, dict[str, str]]:
    """By table of the current schema, its stored columns with their SQLite types, in the table's order."""
    with closing(apsw.Connection(":memory:")) as con:
        create_tables(con)
        con.execute(imported.CREATE)
        return {table: _columns_of(con, table) for table in tables_of(con)}


def tables_of(con: apsw.Connection) -> list[str]:
    """The tables of a database but `ticks`, by name."""
    found = con.execute(
        "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\' "
        "AND name <> ? ORDER BY name",
        (TICKS,),
    )
    return [str(name) for (name,) in found]


def _columns_of(con: apsw.Connection, table: str) -> dict[str, str]:
    told: list[Any] = con.execute("SELECT name, type, hidden FROM pragma_table_xinfo(?)", (table,)).fetchall()
    return {name: kind for name, kind, hidden in told if hidden == _STORED}


def write_ledger(con: apsw.Connection, path: Path, certificate: dict[str, Any]) -> int:
    """Write all tables but `ticks` of a day's database. Returns the number of rows.

    Raises:
        ArchiveError: it has a table or a column that this program doesn't know, or an older schema.
        apsw.Error, OSError: the database can't be read, or the file can't be written.
    """
    pa, parquet = require("pyarrow"), require("pyarrow.parquet")
    tables, day = layout(), certificate["day"]
    _require_known(con, tables, day)
    metadata = metadata_of(certificate)
    schema = _schema(tables).with_metadata(metadata)
    done = 0
    with parquet.ParquetWriter(path, schema, compression="zstd", write_page_checksum=True) as writer:
        for table in tables_of(con):
            for rows in rows_of(con, table, tuple(tables[table])):
                writer.write_batch(_batch(pa, schema, table, tables[table], rows))
                done += len(rows)
    add_checksums(path)
    return done


def _require_known(con: apsw.Connection, tables: dict[str, dict[str, str]], day: str) -> None:
    if (version := con.pragma("user_version")) != VERSION:
        raise ArchiveError(
            f"{day} was sealed with schema version {version}, expected {VERSION}: "
            f"hk-tick-collector seal --reopen {day}, and then seal it again"
        )
    if unknown := [name for name in tables_of(con) if name not in tables]:
        raise ArchiveError(
            f"{day} has a table that the archive would lack: {', '.join(unknown)}; take it out of the database first"
        )
    known = {TICKS: ("symbol", *STORED), **tables}
    found = (f"{table}.{name}" for table in (TICKS, *tables_of(con)) for name in _columns_of(con, table))
    if unknown := [name for name in found if name.partition(".")[2] not in known[name.partition(".")[0]]]:
        raise ArchiveError(
            f"{day} has a column that the archive would lack: {', '.join(unknown)}; take it out of the database first"
        )


def rows_of(con: apsw.Connection, table: str, columns: tuple[str, ...]) -> Iterator[list[tuple[Any, ...]]]:
    """The rows of a table, some at a time, in an order that does not depend on how they were stored."""
    names = ", ".join(f'"{name}"' for name in columns)
    cursor = con.execute(f'SELECT {names} FROM "{table}" ORDER BY {names}')  # noqa: S608 - names of the schema
    while rows := list(islice(cursor, _ROWS_AT_ONCE)):
        yield rows


def _schema(tables: dict[str, dict[str, str]]) -> Any:  # noqa: ANN401 - a pyarrow.Schema
    pa = require("pyarrow")
    kinds: dict[str, str] = {}
    for columns in tables.values():
        for name, kind in columns.items():
            assert kinds.setdefault(name, kind) == kind, f"column {name} has two types"
    fields = [pa.field(name, _type_of(name, kind)) for name, kind in kinds.items()]
    return pa.schema([pa.field(TABLE, pa.dictionary(pa.int32(), pa.string()), nullable=False), *fields])


def _type_of(name: str, kind: str) -> Any:  # noqa: ANN401 - a pyarrow.DataType
    pa = require("pyarrow")
    if kind == "INTEGER" and name.endswith("_ms") and name not in _OFFSETS:
        return pa.timestamp("ms", tz="UTC")
    return {"INTEGER": pa.int64(), "REAL": pa.float64(), "TEXT": pa.string(), "BLOB": pa.binary()}[kind]


def _batch(pa: Any, schema: Any, table: str, columns: dict[str, str], rows: list[tuple[Any, ...]]) -> Any:  # noqa: ANN401
    by_name = dict(zip(columns, zip(*rows, strict=True), strict=True))
    arrays = []
    for field in schema:
        if field.name == TABLE:
            index = pa.Array.from_buffers(pa.int32(), len(rows), [None, pa.py_buffer(bytes(4 * len(rows)))])
            arrays.append(pa.DictionaryArray.from_arrays(index, text_array([table])))
        elif field.name in by_name:
            arrays.append(nullable_array(by_name[field.name], field.type))
        else:
            arrays.append(pa.nulls(len(rows), field.type))
    return pa.RecordBatch.from_arrays(arrays, schema=schema)


class LedgerFile:
    """An open `ledger.parquet`.

    Attributes:
        day: YYYYMMDD.
    """

    def __init__(self, path: Path) -> None:
        """Read it: it is small.

        Raises:
            ForeignFileError: it is cut off, is not Parquet, or was not made by this program.
            ArchiveError: its footer was changed.
            OSError: it can't be read.
        """
        parquet = require("pyarrow.parquet")
        self.path = path
        read_checksums(path)  # first: pyarrow may end the process over a wrong footer
        try:
            self._data = parquet.read_table(
                path, read_dictionary=[TABLE], use_threads=False, page_checksum_verification=True, partitioning=None
            )
        except FileNotFoundError:
            raise
        except unreadable() as exc:
            raise ForeignFileError(f"{path} is no whole Parquet file: {first_line(exc)}; copy it again") from exc
        told = self._data.schema.metadata or {}
        if FORMAT_KEY not in told or DAY_KEY not in told or TABLE not in self._data.column_names:
            raise ForeignFileError(f"{path} was made by another program: expected a ledger.parquet of this one")
        self.day: str = told[DAY_KEY].decode()

    def rows(self, table: str, columns: tuple[str, ...]) -> list[tuple[Any, ...]]:
        """The rows of a table, with the values that SQLite had."""
        compute, pa = require("pyarrow.compute"), require("pyarrow")
        part = self._data.filter(compute.equal(self._data.column(TABLE).cast(pa.string()), table))
        values = []
        for name in columns:
            column = part.column(name)
            if pa.types.is_timestamp(column.type):
                column = column.cast(pa.int64())
            values.append(column.to_pylist())
        return list(zip(*values, strict=True))


def fill(con: apsw.Connection, ledger: LedgerFile) -> None:
    """Insert all rows of the file into a database whose tables of the current schema are empty."""
    for table, columns in layout().items():
        rows = ledger.rows(table, tuple(columns))
        if table == imported.NAME:
            if not rows:
                continue
            con.execute(imported.CREATE)
        names, values = ", ".join(f'"{name}"' for name in columns), ", ".join("?" * len(columns))
        con.executemany(f'INSERT INTO main."{table}" ({names}) VALUES ({values})', rows)  # noqa: S608 - names of the schema
