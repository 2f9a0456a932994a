"""A lazy query for ticks: it says what was asked for, and reads when it is consumed.

Owns the ways in which ticks are handed over. All of them go through one stream of Arrow batches, so that they have the
same values and types, whether a day is live, over or archived.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hk_tick_collector.errors import MissingExtraError
from hk_tick_collector.parquet.columns import arrow_schema
from hk_tick_collector.parquet.extra import optional, require
from hk_tick_collector.read import futu_frame
from hk_tick_collector.read.sources import batches_of
from hk_tick_collector.text import counted

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    import polars as pl
    import pyarrow as pa

    from hk_tick_collector.read.asking import Span
    from hk_tick_collector.read.wanted import Wanted


class Ticks:
    """Ticks of symbols on days, sorted by day, symbol and sequence. Nothing is read before it is consumed.

    It can be consumed several times; a live day then has more ticks each time. polars, DuckDB, pyarrow and pandas take
    it as it is, since it has `__arrow_c_stream__`:

        polars.DataFrame(ticks)    duckdb.sql("SELECT … FROM ticks")    pyarrow.table(ticks)

    An error while a stream is consumed reaches the consumer as an error of that library. What was asked for is checked
    before, by `DataRoot.ticks`.

    Attributes:
        days: the days to read, as YYYYMMDD, oldest first.
        symbols: the symbols, sorted; None: all.
        columns: the columns, in their order.
    """

    def __init__(self, root: Path, days: tuple[str, ...], span: Span, wanted: Mapping[str, Wanted]) -> None:
        """Made by `DataRoot.ticks`; `wanted` has what is wanted of each day."""
        self._root = root
        self._span = span
        self._wanted = wanted
        self.days = days
        first = wanted[days[0]]
        self.symbols = first.symbols
        self.columns = first.columns

    def __repr__(self) -> str:
        symbols = "all symbols" if self.symbols is None else ", ".join(self.symbols[:3])
        more = "" if self.symbols is None or len(self.symbols) <= 3 else f" and {len(self.symbols) - 3} more"  # noqa: PLR2004
        return f"<ticks of {symbols}{more} {self._span}: {counted(len(self.days), 'day')}>"

    @property
    def schema(self) -> pa.Schema:
        """The Arrow schema: instants are `timestamp[ms, UTC]`, symbols and words are dictionaries, nothing is null."""
        return arrow_schema(self.columns)

    def batches(self) -> Iterator[pa.RecordBatch]:
        """The ticks as Arrow RecordBatches of some 65,000 rows.

        Raises:
            NoDataError: a day was taken away meanwhile.
            DatabaseError, ForeignFileError, ArchiveError: a day's file can't be read.
        """
        return self._batches(self.columns)

    def _batches(self, columns: tuple[str, ...]) -> Iterator[Any]:
        for day in self.days:
            yield from batches_of(self._root, day, self._wanted[day]._replace(columns=columns))

    def __arrow_c_stream__(self, requested_schema: object = None) -> object:
        """The Arrow PyCapsule of a stream of the ticks."""
        pa = require("pyarrow")
        reader = pa.RecordBatchReader.from_batches(self.schema, self.batches())
        return reader.__arrow_c_stream__(requested_schema)

    def to_arrow(self) -> pa.Table:
        """The ticks as a pyarrow Table.

        Raises:
            NoDataError, DatabaseError, ForeignFileError, ArchiveError: as `batches`.
        """
        return self._table(self.columns)

    def _table(self, columns: tuple[str, ...]) -> Any:  # noqa: ANN401 - a pyarrow.Table
        pa = require("pyarrow")
        table = pa.Table.from_batches(self._batches(columns), arrow_schema(columns))
        return table.unify_dictionaries()

    def to_polars(self) -> pl.DataFrame:
        """The ticks as a polars DataFrame; needs polars.

        Raises:
            MissingExtraError: polars is not installed.
            NoDataError, DatabaseError, ForeignFileError, ArchiveError: as `batches`.
        """
        polars = optional("polars")
        if polars is None:
            raise MissingExtraError("this needs polars, which is not installed: pip install polars")
        return polars.from_arrow(self.to_arrow())  # type: ignore[no-any-return]

    def to_pandas(self) -> Any:  # noqa: ANN401 - a pandas.DataFrame; pandas is never imported here
        """The ticks as a pandas DataFrame, symbols and words as categories; needs pandas.

        Raises:
            MissingExtraError: pandas is not installed.
            NoDataError, DatabaseError, ForeignFileError, ArchiveError: as `batches`.
        """
        _require_pandas()
        return self.to_arrow().to_pandas()

    def to_futu(self) -> Any:  # noqa: ANN401 - a pandas.DataFrame
        """The ticks as `get_rt_ticker` of futu-api gives them, with its columns and words; needs pandas.

        `time` is text in Hong Kong time. `name` is `N/A`, since a security's name is not recorded. `columns=` has no
        effect.

        Raises:
            MissingExtraError: pandas is not installed.
            NoDataError, DatabaseError, ForeignFileError, ArchiveError: as `batches`.
        """
        _require_pandas()
        return futu_frame.futu_table(self._table(futu_frame.NEEDED)).to_pandas()


def _require_pandas() -> None:
    if optional("pandas") is None:
        raise MissingExtraError("this needs pandas, which is not installed: pip install pandas")
