"""Several programs' ways to decode `ticks.parquet`, each giving the same columns, so that one can check another.

Owns how each is called, and how what it gives becomes our Arrow types without changing a value. A decoder may be wrong;
`proof` finds out.
"""

from __future__ import annotations

from contextlib import closing, contextmanager
from typing import TYPE_CHECKING, Any, Final

from hk_tick_collector.errors import ArchiveError, ConfigError, MissingExtraError
from hk_tick_collector.parquet.columns import COLUMNS, ROW_GROUP_ROWS, WORDS, arrow_schema, field_type
from hk_tick_collector.parquet.extra import optional, require
from hk_tick_collector.parquet.ticks_file import TicksFile

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    # From a path, Arrow RecordBatches with the columns `COLUMNS` in any Arrow type that holds their values, in the
    # order of the file.
    Decoder = Callable[[Path], Iterator[Any]]

PYARROW: Final = "pyarrow"
_FEW: Final = 32_768  # half a row group: 20 MB less, and a tenth slower
_AT_ONCE: Final = 4 * ROW_GROUP_ROWS


def best_independent_decoder() -> str:
    """The name of a decoder that shares no code with the program that wrote the file; pyarrow if none is installed."""
    return next((name for name in ("duckdb", "polars") if _is_usable(name)), PYARROW)


def _is_usable(name: str) -> bool:
    try:
        return optional(name) is not None
    except MissingExtraError:  # broken: another one may not be
        return False


def decoder_named(name: str) -> Decoder:
    """A decoder by its name.

    Raises:
        ConfigError: there is none of that name.
        MissingExtraError: its package is not installed.
    """
    if name not in _BY_NAME:
        raise ConfigError(f"decoder {name!r}, expected one of {', '.join(_BY_NAME)}")
    require(name)
    return _BY_NAME[name]


def _by_pyarrow(path: Path) -> Iterator[Any]:
    with TicksFile(path) as file:
        yield from file.batches()


def _by_duckdb(path: Path) -> Iterator[Any]:
    duckdb = require("duckdb")
    names = ", ".join(COLUMNS)
    config = {"threads": 1, "autoinstall_known_extensions": False, "memory_limit": "256MB"}
    with _decoding(path, "duckdb", duckdb.Error), closing(duckdb.connect(":memory:", config=config)) as con:
        con.execute("SET enable_progress_bar = false")  # it would draw over ours
        relation = con.sql(f"SELECT {names} FROM read_parquet(?)", params=[str(path)])  # noqa: S608 - our own names
        read = getattr(relation, "to_arrow_reader", None) or relation.fetch_record_batch  # before 2.0
        yield from read(_FEW)


def _by_polars(path: Path) -> Iterator[Any]:
    polars = require("polars")
    with _decoding(path, "polars", polars.exceptions.PolarsError, polars.exceptions.PanicException):
        lazy = polars.scan_parquet(path).select(COLUMNS)
        begin = 0
        while True:
            table = lazy.slice(begin, _AT_ONCE).collect().to_arrow()
            yield from table.to_batches()
            begin += _AT_ONCE
            if table.num_rows < _AT_ONCE:
                return


_BY_NAME: Final[dict[str, Decoder]] = {PYARROW: _by_pyarrow, "duckdb": _by_duckdb, "polars": _by_polars}


@contextmanager
def _decoding(path: Path, name: str, *errors: type[BaseException]) -> Iterator[None]:
    expected: tuple[type[BaseException], ...] = (*errors, OSError)
    try:
        yield
    except expected as exc:
        line = (str(exc).splitlines() or [type(exc).__name__])[0]
        raise ArchiveError(f"{path} can't be decoded by {name}: {line}") from exc


def as_ours(batch: Any, decoder: str) -> Any:  # noqa: ANN401 - a pyarrow.RecordBatch
    """A batch in our Arrow types; no value changes.

    Raises:
        ArchiveError: a column is missing, or has values that our type can't hold.
    """
    pa = require("pyarrow")
    schema = arrow_schema()
    try:
        batch.validate(full=True)
    except pa.ArrowException as exc:
        raise ArchiveError(f"{decoder} gave columns that are not valid: {exc}") from exc
    if batch.schema.equals(schema):
        return batch
    arrays = []
    for name in COLUMNS:
        if name not in batch.schema.names:
            raise ArchiveError(f"{decoder} gave no column {name}, expected {', '.join(COLUMNS)}")
        column = batch.column(name)
        try:
            is_text = name == "symbol" or name in WORDS
            arrays.append(_words(column) if is_text else column.cast(field_type(name)))
        except pa.ArrowException as exc:
            raise ArchiveError(f"{decoder} gave {name} as {column.type}, expected {field_type(name)}: {exc}") from exc
    return pa.RecordBatch.from_arrays(arrays, schema=schema)


def _words(column: Any) -> Any:  # noqa: ANN401 - a pyarrow.Array
    """A dictionary column of texts, whatever kind of texts or dictionary it was."""
    pa = require("pyarrow")
    if not pa.types.is_dictionary(column.type):
        return column.cast(pa.string()).dictionary_encode()
    return pa.DictionaryArray.from_arrays(column.indices.cast(pa.int32()), column.dictionary.cast(pa.string()))
