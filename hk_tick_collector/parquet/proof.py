"""Whether a `ticks.parquet` still holds what its certificate says, on any machine and with any decoder.

The file carries its certificate. Everything here is computed from what a decoder gives: the hash of each symbol's
trades, the reception hash, and what the columns themselves have to satisfy. So a changed byte, a wrong decoder and a
wrong cast are found alike, and named by symbol. Never writes, and needs no DATA_ROOT.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from hk_tick_collector.errors import ArchiveError, ForeignFileError
from hk_tick_collector.parquet import reception
from hk_tick_collector.parquet.checks import NO_SYMBOL, Checks, wrong_statistics
from hk_tick_collector.parquet.checksums import is_body_changed
from hk_tick_collector.parquet.decoders import PYARROW, as_ours, decoder_named
from hk_tick_collector.parquet.hashes import Hashes, bits_of, runs_of
from hk_tick_collector.parquet.ticks_file import TicksFile
from hk_tick_collector.store.certificate_file import READABLE, hash_of
from hk_tick_collector.store.tick_hash import COLUMNS as HASHED

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from os import PathLike

    from hk_tick_collector.parquet.decoders import Decoder

    # Called with a description of the work, the amount done, and the total.
    Progress = Callable[[str, int, int], None]

_CAME: Final = "how its ticks came is not as archived (" + ", ".join(reception.COLUMNS) + ")"


class Difference(NamedTuple):
    """What differs of a symbol, or of the whole file.

    Attributes:
        symbol: None: of the whole file.
        what: in words.
        rows: how many ticks of the symbol were found; None: of the whole file.
        rows_certified: how many the certificate has.
    """

    symbol: str | None
    what: str
    rows: int | None = None
    rows_certified: int | None = None


class FileProof(NamedTuple):
    """What was found of a file.

    Attributes:
        path: the file.
        day: YYYYMMDD.
        verdict: the certificate's: COMPLETE, INCOMPLETE or UNPROVABLE; None: the certificate was modified.
        decoder: the name of what decoded it.
        has_checksums: whether it is the file that this program wrote; False: another program wrote it again, so that
            only its ticks are proven.
        rows: how many ticks were decoded.
        rows_certified: how many the certificate has.
        symbols: how many symbols with ticks were decoded.
        differences: those of the whole file first, then by symbol; empty if each tick is as certified.
    """

    path: Path
    day: str
    verdict: str | None
    decoder: str
    has_checksums: bool
    rows: int
    rows_certified: int
    symbols: int
    differences: tuple[Difference, ...]

    @property
    def ok(self) -> bool:
        """Whether the file holds exactly the certified ticks."""
        return not self.differences


def verify(
    path: str | PathLike[str], *, decoder: str | Decoder | None = None, progress: Progress | None = None
) -> FileProof:
    """Compute the hashes of a `ticks.parquet` from its decoded columns, and compare them with its certificate.

    Args:
        path: the file.
        decoder: "pyarrow" (None: the same), "duckdb" or "polars"; or a function that takes a path and yields Arrow
            RecordBatches.
        progress: called with a description of the work, the amount done, and the total.

    Raises:
        ForeignFileError: it is cut off, is not Parquet, or was not made by this program.
        ArchiveError: its footer was changed, or that decoder can't decode it.
        ConfigError: there is no decoder of that name.
        MissingExtraError: pyarrow, or that decoder, is not installed.
        OSError: it can't be read.
    """
    with TicksFile(Path(path)) as file:
        if decoder is None or decoder == PYARROW:
            name, batches = PYARROW, None
        elif isinstance(decoder, str):
            name, batches = decoder, decoder_named(decoder)(file.path)
        else:
            name, batches = getattr(decoder, "__name__", "a function"), decoder(file.path)
        proving = _Proving(file, name)
        if not proving.is_certified:
            return proving.result()
        proving.check_bytes()
        for batch in proving.by_groups() if batches is None else batches:
            proving.add(as_ours(batch, name))
            if progress is not None:
                progress(f"{file.path.name}: ticks hashed", proving.rows, file.rows)
        return proving.result()


class _Proving:
    """One verification."""

    def __init__(self, file: TicksFile, decoder: str) -> None:
        self.rows = 0
        self._file = file
        self._decoder = decoder
        self._hashes, self._reception, self._checks = Hashes(), reception.Reception(), Checks()
        self._of_file: list[str] = []
        try:
            self.is_certified = self._check_metadata()
            self._certified = self._read_certificate() if self.is_certified else {}
            self._came: dict[str, str] = dict(file.reception["symbols"]) if self.is_certified else {}
        except (AttributeError, KeyError, TypeError, ValueError) as exc:
            raise ForeignFileError(f"{file.path} has metadata that make no sense: {exc}; copy it again") from exc

    def _check_metadata(self) -> bool:
        """Whether the certificate and the reception hashes are those that were written."""
        certificate, told = self._file.certificate, self._file.reception
        if certificate.get("self") != hash_of(certificate):
            self._of_file.append("its certificate was modified: it does not match its own hash")
        elif certificate["version"] not in READABLE:
            raise ForeignFileError(
                f"{self._file.path} has a certificate of version {certificate['version']}, this program knows up to "
                f"{max(READABLE)}: upgrade hk-tick-collector"
            )
        elif certificate["day"] != self._file.day:
            self._of_file.append(f"its day is {self._file.day}, and its certificate is that of {certificate['day']}")
        if told.get("self") != hash_of(told):
            self._of_file.append("its reception hashes were modified: they do not match their own hash")
        return not self._of_file

    def _read_certificate(self) -> dict[str, tuple[int, str]]:
        symbols = self._file.certificate["symbols"]
        return {one["symbol"]: (one["rows"], one["hash"]) for one in symbols if one["rows"]}

    def check_bytes(self) -> None:
        """Compare the file's bytes with their checksum; one that another program wrote has none."""
        checksums = self._file.checksums
        if checksums is not None and is_body_changed(self._file.path, checksums):
            self._of_file.append("bytes of the file were changed since it was written")

    def by_groups(self) -> Iterator[Any]:
        """The row groups that pyarrow can decode; their statistics are checked as well."""
        for group in range(self._file.row_groups):
            told = self._file.group_metadata(group)
            try:
                batch = self._file.read_group(group)
            except ArchiveError as exc:
                self._of_file.append(f"row group {group}{_symbols_in(told)} is lost: {exc}")
                continue
            if told.num_rows != batch.num_rows:
                self._of_file.append(f"row group {group} has {batch.num_rows:,} rows, {told.num_rows:,} by the footer")
            elif batch.num_rows and not any(column.null_count for column in batch.columns):
                self._of_file += [
                    f"the statistics of {name} in row group {group} are wrong, so that readers miss ticks"
                    for name in wrong_statistics(told, batch)
                ]
            yield batch

    def add(self, batch: Any) -> None:  # noqa: ANN401 - a pyarrow.RecordBatch
        """Add decoded ticks, in the order of the file."""
        batch = self._checks.without_nulls(batch)
        if not batch.num_rows:
            return
        runs = list(runs_of(batch.column("symbol")))
        self._hashes.add(runs, [bits_of(batch.column(name)) for name in HASHED])
        self._reception.add(runs, [bits_of(batch.column(name)) for name in reception.COLUMNS])
        self._checks.add(batch, runs)
        self.rows += batch.num_rows

    def result(self) -> FileProof:
        """What was found so far."""
        file, found = self._file, self._hashes.found()
        if self.is_certified and self.rows != file.rows:
            self._of_file.append(f"{self.rows:,} ticks were decoded, {file.rows:,} are in it by its footer")
        return FileProof(
            path=file.path,
            day=file.day,
            verdict=file.certificate["verdict"] if self.is_certified else None,
            decoder=self._decoder,
            has_checksums=file.checksums is not None,
            rows=self.rows,
            rows_certified=sum(rows for rows, _ in self._certified.values()),
            symbols=len(found),
            differences=(*(Difference(None, what) for what in self._of_file), *self._of_symbols(found)),
        )

    def _of_symbols(self, found: dict[str, tuple[int, str]]) -> Iterator[Difference]:
        came = self._reception.found()
        for symbol in sorted(found.keys() | self._certified.keys() | self._checks.faults.keys()):
            rows, certified = (known.get(symbol, (0, ""))[0] for known in (found, self._certified))
            what = list(_of_trades(symbol, found, self._certified))
            if rows == certified and came.get(symbol) != self._came.get(symbol):
                what.append(_CAME)
            what += self._checks.faults.get(symbol, ())
            if what:
                yield Difference(symbol, "; ".join(what), rows, certified)


def _symbols_in(told: Any) -> str:  # noqa: ANN401 - a pyarrow.parquet.RowGroupMetaData
    statistics = told.column(0).statistics
    return f" ({statistics.min} to {statistics.max})" if statistics is not None and statistics.has_min_max else ""


def _of_trades(symbol: str, found: dict[str, tuple[int, str]], certified: dict[str, tuple[int, str]]) -> Iterable[str]:
    if symbol == NO_SYMBOL:
        return
    if symbol not in certified:
        yield "the certificate has no ticks of it"
    elif symbol not in found:
        yield "all its ticks are missing"
    elif found[symbol][0] != certified[symbol][0]:
        yield f"{found[symbol][0]:,} ticks, certified were {certified[symbol][0]:,}"
    elif found[symbol] != certified[symbol]:
        yield "its ticks are not the certified ones"
