"""Reads ticks from Parquet files of ours: a `ticks.parquet` without its ledger, and what `export` wrote.

Owns how such a file is told from somebody else's, and which rows of an export are refused: it has no certificate, so
what its columns themselves have to satisfy is all that can be checked.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from hk_tick_collector.archive.restoring import rows_of
from hk_tick_collector.errors import ArchiveError, ForeignFileError
from hk_tick_collector.hktime import DAY_MS, EPOCH_MS_MAX, EPOCH_MS_MIN, day_begin_ms, hk_day
from hk_tick_collector.migrate.tick_source import ROWS_AT_ONCE, TickSource, day_number, is_symbol
from hk_tick_collector.parquet.arrow import word_column
from hk_tick_collector.parquet.checksums import read_checksums
from hk_tick_collector.parquet.columns import COLUMNS, REALS, WORDS
from hk_tick_collector.parquet.decoders import as_ours
from hk_tick_collector.parquet.extra import require
from hk_tick_collector.parquet.hashes import bits_of
from hk_tick_collector.parquet.proof import verify
from hk_tick_collector.parquet.ticks_file import FORMAT_KEY, TicksFile, first_line, unreadable
from hk_tick_collector.text import excerpt

if TYPE_CHECKING:
    from collections.abc import Iterator
    from collections.abc import Set as AbstractSet
    from pathlib import Path

    from hk_tick_collector.mapping import Row
    from hk_tick_collector.migrate.tick_source import Progress

TICKS_FORM: Final = "ticks.parquet"
EXPORT_FORM: Final = "export --format parquet"


def open_parquet(path: Path) -> TickSource:
    """A Parquet file of ours.

    Raises:
        ForeignFileError: it is cut off, is not Parquet, or was not made by this program.
        ArchiveError: its footer was changed.
        MissingExtraError: pyarrow is not installed.
        OSError: it can't be read.
    """
    parquet = require("pyarrow.parquet")
    read_checksums(path)  # first: pyarrow may end the process over a wrong footer
    try:
        with parquet.ParquetFile(path) as file:
            is_archived = FORMAT_KEY in (file.metadata.metadata or {})
            names = tuple(file.schema_arrow.names)
    except FileNotFoundError:
        raise
    except unreadable() as exc:
        raise ForeignFileError(f"{path} is no whole Parquet file: {first_line(exc)}; copy it again") from exc
    if is_archived:
        return ArchivedTicks(path)
    if names != COLUMNS:
        raise ForeignFileError(
            f"{path} was made by another program: expected a ticks.parquet, or a file of export --format parquet"
        )
    return ExportedParquet(path)


def prove_ticks(path: Path, progress: Progress) -> None:
    """Hold a `ticks.parquet` against its certificate.

    Raises:
        ArchiveError: it is not as certified.
    """
    proof = verify(path, progress=progress)
    if not proof.ok:
        told = "; ".join(f"{one.symbol or 'the file'}: {one.what}" for one in proof.differences[:3])
        raise ArchiveError(f"{path} is not what its certificate says: {told}; copy it again")


class ArchivedTicks(TickSource):
    """A `ticks.parquet` whose ledger is not beside it."""

    def __init__(self, path: Path) -> None:
        super().__init__(path, TICKS_FORM)
        with TicksFile(path) as file:
            self.days = (file.day,)
            self.rows = file.rows

    def prove(self, progress: Progress) -> None:
        """Hold it against its certificate: see the base."""
        prove_ticks(self.path, progress)

    def chunks(self, days: AbstractSet[str]) -> Iterator[tuple[str, list[Row]]]:
        """The rows of some of its days: see the base."""
        (day,) = self.days
        if day in days:
            with TicksFile(self.path) as file:
                for batch in file.batches():
                    for part in _parts(batch):
                        yield day, part


class ExportedParquet(TickSource):
    """A file of `export --format parquet`; also one that another program wrote again, if each value is there."""

    def __init__(self, path: Path) -> None:
        """Look which days are in it.

        Raises:
            ForeignFileError: it can't be decoded, or a time makes no sense.
        """
        super().__init__(path, EXPORT_FORM)
        self._days_of_group: list[dict[int, str]] = []  # by row group, its days by their number
        for batch in self._groups(None, ["ts_ms"]):
            self.rows += batch.num_rows
            found: dict[int, str] = {}
            for number in _day_numbers(batch, self.path):
                found[number] = hk_day(number * DAY_MS)
            self._days_of_group.append(found)
        self.days = tuple(sorted({day for group in self._days_of_group for day in group.values()}))

    def chunks(self, days: AbstractSet[str]) -> Iterator[tuple[str, list[Row]]]:
        """The rows of some of its days: see the base."""
        wanted = [group for group, found in enumerate(self._days_of_group) if not days.isdisjoint(found.values())]
        for group in wanted:
            compute, pa = require("pyarrow.compute"), require("pyarrow")
            (whole,) = self._groups([group], list(COLUMNS))
            for day in sorted(days & set(self._days_of_group[group].values()) - self.faults.keys()):
                begin = day_begin_ms(day)
                times = whole.column("ts_ms").cast(pa.timestamp("ms", tz="UTC")).cast(pa.int64())
                is_of_day = compute.and_(
                    compute.greater_equal(times, pa.scalar(begin, pa.int64())),
                    compute.less(times, pa.scalar(begin + DAY_MS, pa.int64())),
                )
                fault = None
                batch = whole.filter(is_of_day)
                try:
                    batch = as_ours(batch, self.path.name)
                    fault = _fault_of(batch)
                except ArchiveError as exc:
                    fault = str(exc)
                if fault is not None:
                    self.faults[day] = f"{self.path}: {fault}"
                    continue
                for part in _parts(batch):
                    yield day, part

    def _groups(self, groups: list[int] | None, columns: list[str]) -> Iterator[Any]:
        """Row groups as RecordBatches of these columns."""
        pa, parquet = require("pyarrow"), require("pyarrow.parquet")
        try:
            with parquet.ParquetFile(self.path, page_checksum_verification=True) as file:
                for group in range(file.metadata.num_row_groups) if groups is None else groups:
                    table = file.read_row_group(group, columns=columns, use_threads=False)
                    batches = table.combine_chunks().to_batches()
                    yield batches[0] if batches else pa.RecordBatch.from_pylist([], table.schema)
        except FileNotFoundError:
            raise
        except unreadable() as exc:
            raise ForeignFileError(f"{self.path} can't be decoded: {first_line(exc)}; copy it again") from exc


def _parts(batch: Any) -> Iterator[list[Row]]:  # noqa: ANN401 - a pyarrow.RecordBatch
    for begin in range(0, batch.num_rows, ROWS_AT_ONCE):
        yield list(rows_of(batch.slice(begin, ROWS_AT_ONCE)))


def _day_numbers(batch: Any, path: Path) -> set[int]:  # noqa: ANN401 - a pyarrow.RecordBatch
    """The days of a batch's times, as numbers."""
    pa, compute = require("pyarrow"), require("pyarrow.compute")
    column = batch.column("ts_ms")
    if column.null_count:
        raise ForeignFileError(f"{path}: ts_ms has no value in {column.null_count:,} rows: expected a time in each")
    try:
        times = column.cast(pa.timestamp("ms", tz="UTC")).cast(pa.int64())
    except pa.ArrowException as exc:
        raise ForeignFileError(f"{path} has ts_ms as {column.type}, expected timestamp[ms, UTC]: {exc}") from exc
    if not len(times):
        return set()
    span = compute.min_max(times)
    for ms in (span["min"].as_py(), span["max"].as_py()):
        if not EPOCH_MS_MIN <= ms < EPOCH_MS_MAX:
            raise ForeignFileError(f"{path}: ts_ms {ms}, expected a time of the years 2000 to 2099")
    return set(map(day_number, set(bits_of(times))))


def _fault_of(batch: Any) -> str | None:  # noqa: ANN401 - a pyarrow.RecordBatch in our types
    """What is wrong with the ticks of a batch, in words that name one of them; None: nothing."""
    pa, compute = require("pyarrow"), require("pyarrow.compute")
    for name in COLUMNS:
        if batch.column(name).null_count:
            return f"{name} has no value in {batch.column(name).null_count:,} rows"
    for symbol in batch.column("symbol").unique().to_pylist():
        if not is_symbol(symbol):
            return f"symbol {excerpt(symbol)!r}, expected such as HK.00700"
    for name in sorted(REALS):
        wrong = compute.invert(compute.is_finite(batch.column(name)))
        if compute.any(wrong).as_py():
            return f"{_named(batch, wrong)}: {name} is not a finite number"
    wrong = compute.equal(batch.column("seq"), pa.scalar(0, pa.int64()))
    if compute.any(wrong).as_py():
        return f"{_named(batch, wrong)}: sequence 0, expected another number"
    for name, (source, _, _) in WORDS.items():
        expected = word_column(name, batch.column(source)).cast(pa.string())
        wrong = compute.not_equal(batch.column(name).cast(pa.string()), expected)
        if compute.any(wrong).as_py():
            return f"{_named(batch, wrong)}: {name} is not the word for its {source}"
    return None


def _named(batch: Any, wrong: Any) -> str:  # noqa: ANN401 - a RecordBatch, and a boolean array
    """The first tick for which something is true."""
    row = batch.filter(wrong).slice(0, 1).to_pylist()[0]
    return f"{excerpt(row['symbol'])} sequence {row['seq']}"
