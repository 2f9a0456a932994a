"""Reads `ticks.parquet`: which day and symbols it holds, and their ticks as Arrow batches.

Owns the metadata's names, and the choice of row groups. The rows are sorted by symbol and sequence, so one symbol lies
in one or two row groups, which their statistics name. Never writes.
"""

from __future__ import annotations

import json
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final, Self

from hk_tick_collector.errors import ArchiveError, ForeignFileError
from hk_tick_collector.parquet.arrow import text_array
from hk_tick_collector.parquet.checksums import read_checksums
from hk_tick_collector.parquet.columns import COLUMNS, WORDS, arrow_schema
from hk_tick_collector.parquet.extra import require

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path

FORMAT: Final = 1
FORMAT_KEY: Final = b"hk_tick_collector.format"
DAY_KEY: Final = b"hk_tick_collector.day"
CERTIFICATE_KEY: Final = b"hk_tick_collector.certificate"
RECEPTION_KEY: Final = b"hk_tick_collector.reception"
_DECODED: Final = ("symbol", *WORDS)
_FOREIGN: Final = "{path} was made by another program: expected a ticks.parquet of this one"


def metadata_of(certificate: dict[str, Any]) -> dict[bytes, bytes]:
    """What each file of an archived day says of itself: its format, and its day."""
    return {FORMAT_KEY: str(FORMAT).encode(), DAY_KEY: certificate["day"].encode()}


class TicksFile:
    """An open `ticks.parquet`.

    Attributes:
        path: its path.
        day: YYYYMMDD.
        rows: how many ticks it holds.
        certificate: the day's, as it was when the file was made. Nothing here checks it.
        reception: the hashes of how and when the ticks came. Nothing here checks it.
        checksums: over the file's bytes; that of the footer was checked. None: another program wrote it.
    """

    def __init__(self, path: Path) -> None:
        """Open it and read its metadata.

        Raises:
            ForeignFileError: it is cut off, is not Parquet, or was not made by this program.
            ArchiveError: its footer was changed.
            MissingExtraError: pyarrow is not installed.
            OSError: it can't be read.
        """
        parquet = require("pyarrow.parquet")
        self.path = path
        self.checksums = read_checksums(path)  # first: pyarrow may end the process over a wrong footer
        try:
            self._file = parquet.ParquetFile(path, read_dictionary=list(_DECODED), page_checksum_verification=True)
        except FileNotFoundError:
            raise
        except KeyError as exc:  # it has none of our columns
            raise ForeignFileError(_FOREIGN.format(path=path)) from exc
        except unreadable() as exc:
            raise ForeignFileError(f"{path} is no whole Parquet file: {first_line(exc)}; copy it again") from exc
        try:
            self._read_metadata()
        except BaseException:
            self.close()
            raise

    def _read_metadata(self) -> None:
        told = self._file.metadata.metadata or {}
        if FORMAT_KEY not in told:
            raise ForeignFileError(_FOREIGN.format(path=self.path))
        try:
            version = int(told[FORMAT_KEY])
            self.day: str = told[DAY_KEY].decode()
            self.certificate: dict[str, Any] = json.loads(told[CERTIFICATE_KEY])
            self.reception: dict[str, Any] = json.loads(told[RECEPTION_KEY])
        except (KeyError, ValueError) as exc:
            raise ForeignFileError(f"{self.path} has metadata that make no sense: {exc}") from exc
        if version > FORMAT:
            raise ForeignFileError(
                f"{self.path} has format {version}, this program knows up to {FORMAT}: upgrade hk-tick-collector"
            )
        if not self._file.schema_arrow.equals(arrow_schema()):
            raise ForeignFileError(f"{self.path} has other columns than a ticks.parquet of this program")
        self.rows: int = self._file.metadata.num_rows

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def row_groups(self) -> int:
        """How many row groups it has."""
        return int(self._file.metadata.num_row_groups)

    def group_metadata(self, group: int) -> Any:  # noqa: ANN401 - a pyarrow.parquet.RowGroupMetaData
        """What the footer says of a row group."""
        return self._file.metadata.row_group(group)

    @property
    def last_ms(self) -> int | None:
        """The time of the latest tick, UTC epoch ms; None: there is none."""
        column = COLUMNS.index("ts_ms")
        told = [self._file.metadata.row_group(group).column(column).statistics for group in range(self.row_groups)]
        return max((one.max_raw for one in told if one is not None and one.has_min_max), default=None)

    def groups_with(self, symbols: Iterable[str] | None) -> list[int]:
        """The row groups that may hold ticks of these symbols; None: all."""
        if symbols is None:
            return list(range(self.row_groups))
        wanted = sorted(symbols)
        return [group for group in range(self.row_groups) if self._may_hold(group, wanted)]

    def _may_hold(self, group: int, symbols: Sequence[str]) -> bool:
        told = self._file.metadata.row_group(group).column(0).statistics
        if told is None or not told.has_min_max:
            return True
        return any(told.min <= symbol <= told.max for symbol in symbols)

    def read_group(self, group: int, columns: tuple[str, ...] = COLUMNS, *, use_threads: bool = False) -> Any:  # noqa: ANN401 - a RecordBatch
        """A whole row group, decoded; `use_threads`: its columns at the same time, on all cores.

        Raises:
            ArchiveError: it can't be decoded: bytes of the file were changed, or the disk fails.
        """
        pa = require("pyarrow")
        with self._decoding():
            table = self._file.read_row_group(group, columns=list(columns), use_threads=use_threads)
            batches = table.combine_chunks().to_batches()
            schema = arrow_schema(columns)
            whole = batches[0] if batches else pa.RecordBatch.from_pylist([], schema)
            whole.validate(full=True)  # a changed page header can give a word of another number, or of none
            return whole.cast(schema) if whole.schema != schema else whole

    def batches(
        self, symbols: Sequence[str] | None = None, columns: tuple[str, ...] = COLUMNS, *, use_threads: bool = False
    ) -> Iterator[Any]:
        """RecordBatches of these symbols' ticks (None: of all), sorted by symbol and sequence.

        Raises:
            ArchiveError: as `read_group`.
        """
        compute = require("pyarrow.compute")
        wanted = None if symbols is None else text_array(symbols)
        read = columns if symbols is None or "symbol" in columns else ("symbol", *columns)
        for group in self.groups_with(symbols):
            batch = self.read_group(group, read, use_threads=use_threads)
            if wanted is not None:
                batch = batch.filter(compute.is_in(batch.column("symbol"), value_set=wanted))
                batch = batch if read == columns else batch.select(list(columns))
            if batch.num_rows:
                yield batch

    @contextmanager
    def _decoding(self) -> Iterator[None]:
        try:
            yield
        except unreadable() as exc:
            raise ArchiveError(f"{self.path} can't be decoded: {first_line(exc)}") from exc


def unreadable() -> tuple[type[Exception], ...]:
    """What pyarrow raises for bytes that are not Parquet, or were changed: a name it does not find is a KeyError."""
    return require("pyarrow").ArrowException, OSError, ValueError, KeyError, IndexError, TypeError


def first_line(exc: BaseException) -> str:
    """The first line of another library's message, which may be a page long."""
    return (str(exc).splitlines() or [type(exc).__name__])[0]
