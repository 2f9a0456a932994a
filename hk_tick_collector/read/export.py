"""Writes ticks to a file for other programs: as CSV, as Parquet, or as the official SDK's rows in a zip.

Owns the formats. A file gets its name only when it is whole and on the disk; if anything goes wrong, nothing is left.

    csv       one file with a header; times with Hong Kong's offset and milliseconds; words in place of numbers
    parquet   the columns of the read API, in encodings that every reader of Parquet knows
    futu      a zip with one CSV for each symbol, with the columns and words of `get_rt_ticker`
"""

from __future__ import annotations

import os
import zipfile
from contextlib import suppress
from typing import IO, TYPE_CHECKING, Any, Final, NamedTuple, Self

from hk_tick_collector.errors import ConfigError
from hk_tick_collector.hktime import HK_OFFSET_MS
from hk_tick_collector.parquet.arrow import text_array
from hk_tick_collector.parquet.columns import arrow_schema
from hk_tick_collector.parquet.extra import require
from hk_tick_collector.read.futu_frame import COLUMNS as FUTU_COLUMNS
from hk_tick_collector.read.futu_frame import futu_table
from hk_tick_collector.read.numbers import whole
from hk_tick_collector.store.data_root import sync

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from pathlib import Path

# The columns of a CSV, and where each comes from.
CSV_COLUMNS: Final[Mapping[str, str]] = {
    "symbol": "symbol",
    "seq": "seq",
    "time": "ts_ms",
    "price": "price",
    "volume": "volume",
    "turnover": "turnover",
    "direction": "direction",
    "tick_type": "tick_type",
    "push_type": "push_type",
    "push_data_type": "push_data_type",
    "received_at": "recv_ts_ms",
    "inserted_at": "inserted_at_ms",
}
_HK: Final = "+08:00"
_ROW_GROUP_ROWS: Final = 262_144


class Exported(NamedTuple):
    """What was written.

    Attributes:
        ticks: how many.
        symbols: of how many symbols.
        first_ms: the time of the earliest tick, UTC epoch ms.
        last_ms: the time of the latest tick.
        size_bytes: the size of the file.
    """

    ticks: int
    symbols: int
    first_ms: int
    last_ms: int
    size_bytes: int


class _Writer:
    """Writes one format to an open file."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file

    def write(self, batch: Any) -> None:  # noqa: ANN401 - a pyarrow.RecordBatch with all columns
        """Write the ticks of a batch."""
        raise NotImplementedError

    def close(self) -> None:
        """Write what comes at the end."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        if kind is None:
            self.close()
            return
        with suppress(Exception):  # the file goes away; pyarrow and zipfile would try it later, and complain
            self.close()


class _Csv(_Writer):
    def __init__(self, file: IO[bytes]) -> None:
        super().__init__(file)
        self._file.write(f"{','.join(CSV_COLUMNS)}\n".encode())

    def write(self, batch: Any) -> None:  # noqa: ANN401
        pa = require("pyarrow")
        columns = {name: _csv_column(batch.column(source)) for name, source in CSV_COLUMNS.items()}
        _write_csv(pa.RecordBatch.from_arrays(list(columns.values()), list(columns)), self._file)


def _csv_column(column: Any) -> Any:  # noqa: ANN401
    """A column as CSV has it: `2026-11-20T09:30:00.000+08:00` for an instant, words for dictionaries."""
    pa = require("pyarrow")
    if pa.types.is_dictionary(column.type):
        return column.cast(pa.string())
    if not pa.types.is_timestamp(column.type):
        return column
    compute = require("pyarrow.compute")
    local = compute.add(column.cast(pa.int64()), whole(HK_OFFSET_MS)).cast(pa.timestamp("ms"))
    text = compute.binary_replace_slice(local.cast(pa.string()), len("2026-11-20"), len("2026-11-20 "), "T")
    return compute.binary_join_element_wise(text, text_array([_HK])[0], text_array([""])[0])


def _write_csv(rows: Any, file: IO[bytes]) -> None:  # noqa: ANN401 - a RecordBatch or a Table
    """Rows without a header and without quotes: no value of a tick needs them."""
    csv = require("pyarrow.csv")
    csv.write_csv(rows, file, csv.WriteOptions(include_header=False, quoting_style="none"))


class _Parquet(_Writer):
    def __init__(self, file: IO[bytes]) -> None:
        super().__init__(file)
        parquet = require("pyarrow.parquet")
        # Not the encodings of our archive: fastparquet decodes those wrong without a word, and this file is for any
        # program. It is larger by a half.
        self._writer = parquet.ParquetWriter(
            file, arrow_schema(), compression="zstd", write_page_index=True, write_page_checksum=True
        )
        self._held: list[Any] = []
        self._rows = 0

    def write(self, batch: Any) -> None:  # noqa: ANN401
        self._held.append(batch)
        self._rows += batch.num_rows
        if self._rows >= _ROW_GROUP_ROWS:
            self._write_group()

    def _write_group(self) -> None:
        if self._held:
            table = require("pyarrow").Table.from_batches(self._held).unify_dictionaries()
            self._writer.write_table(table, row_group_size=self._rows)
            self._held, self._rows = [], 0

    def close(self) -> None:
        self._write_group()
        self._writer.close()


class _Futu(_Writer):
    """One CSV for each symbol; a symbol's ticks must come together."""

    def __init__(self, file: IO[bytes]) -> None:
        super().__init__(file)
        self._zip = zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED)
        self._symbol = ""
        self._entry: IO[bytes] | None = None

    def write(self, batch: Any) -> None:  # noqa: ANN401
        pa = require("pyarrow")
        compute = require("pyarrow.compute")
        symbols = batch.column("symbol")
        names = symbols.dictionary.to_pylist()
        runs = compute.run_end_encode(symbols.indices)
        begin = 0
        for end, index in zip(runs.run_ends.to_pylist(), runs.values.to_pylist(), strict=True):
            rows = pa.Table.from_batches([batch.slice(begin, end - begin)])
            _write_csv(futu_table(rows), self._entry_of(names[index]))
            begin = end

    def _entry_of(self, symbol: str) -> IO[bytes]:
        if self._entry is None or symbol != self._symbol:
            self._end_entry()
            self._symbol = symbol
            self._entry = self._zip.open(f"{symbol}.csv", "w", force_zip64=True)
            self._entry.write(f"{','.join(FUTU_COLUMNS)}\n".encode())
        return self._entry

    def _end_entry(self) -> None:
        if self._entry is not None:
            self._entry.close()
            self._entry = None

    def close(self) -> None:
        try:
            self._end_entry()
        finally:  # also on a full disk: an open zip would try again when it is collected, and complain
            self._zip.close()


_WRITERS: Final[Mapping[str, type[_Writer]]] = {"csv": _Csv, "parquet": _Parquet, "futu": _Futu}
FORMATS: Final = tuple(_WRITERS)
SUFFIXES: Final[Mapping[str, str]] = {".csv": "csv", ".parquet": "parquet", ".zip": "futu"}
"""The format that a file name asks for."""


def export(
    batches: Iterable[Any],
    path: Path,
    form: str,
    *,
    replaces: bool = False,
    progress: Callable[[int], None] = lambda _: None,
) -> Exported | None:
    """Write ticks to a new file.

    Args:
        batches: pyarrow.RecordBatches with all columns of ticks. For `futu`, each symbol's ticks come together.
        path: the file.
        form: one of `FORMATS`.
        replaces: whether a file that is there may be replaced.
        progress: told how many ticks are written.

    Returns:
        What was written; None: there were no ticks, and no file was written.

    Raises:
        ConfigError: the file exists, or can't be created there.
        MissingExtraError: pyarrow is not installed.
        OSError: the disk is full or fails. Whatever is raised, no part of the file is left.
    """
    if path.exists() and not path.is_file():  # also a device: it would be replaced by a file
        what = "a directory" if path.is_dir() else "not a file"
        raise ConfigError(f"{path} is {what}, expected a file to write to")
    if path.exists() and not replaces:
        raise ConfigError(f"{path} exists: give another name, or replace it with --force")
    if not path.parent.is_dir():
        raise ConfigError(f"{path} can't be written: there is no directory {path.parent}")
    temporary = path.parent / f".{path.name}.{os.getpid()}.tmp"
    try:
        file = temporary.open("xb")
    except OSError as exc:
        raise ConfigError(f"{path} can't be written: {exc.strerror}") from exc
    try:
        with file:
            counted = _written(batches, file, form, progress)
            file.flush()
            os.fsync(file.fileno())
        if counted is None:
            return None
        temporary.replace(path)
        sync(path.parent)
        return counted._replace(size_bytes=path.stat().st_size)
    except OSError as exc:
        exc.filename = exc.filename or str(path)  # of a full disk: which
        raise
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)


def _written(batches: Iterable[Any], file: IO[bytes], form: str, progress: Callable[[int], None]) -> Exported | None:
    pa, compute = require("pyarrow"), require("pyarrow.compute")
    ticks, symbols = 0, set[str]()
    first_ms: list[int] = []
    last_ms: list[int] = []
    with _WRITERS[form](file) as writer:
        for batch in batches:
            if not batch.num_rows:
                continue
            writer.write(batch)
            ticks += batch.num_rows
            column = batch.column("symbol")
            symbols.update(column.dictionary.take(compute.unique(column.indices)).to_pylist())
            span = compute.min_max(batch.column("ts_ms").cast(pa.int64()))
            first_ms.append(span["min"].as_py())
            last_ms.append(span["max"].as_py())
            progress(ticks)
    return Exported(ticks, len(symbols), min(first_ms), max(last_ms), 0) if ticks else None
