"""A query for ticks, and everything that takes it."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest
from support.reading import LiveDay, archive_day, store_day
from support.ticks import DAY, HSBC, NEXT_DAY, OPEN_MS, TENCENT, row, seq_at

from hk_tick_collector.errors import DatabaseError, MissingExtraError
from hk_tick_collector.parquet import extra
from hk_tick_collector.parquet.columns import COLUMNS, arrow_schema
from hk_tick_collector.read.data_root import DataRoot
from hk_tick_collector.read.ticks import Ticks

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def data(tmp_path: Path) -> DataRoot:
    """Two symbols on an archived day and on one that is over."""
    for day, is_archived in ((DAY, True), (NEXT_DAY, False)):
        begin_ms = OPEN_MS + 86_400_000 * (day == NEXT_DAY)
        path = store_day(
            tmp_path / f"{day}.db",
            [row(symbol, seq_at(n, begin_ms), begin_ms + n * 1000) for symbol in (TENCENT, HSBC) for n in range(3)],
        )
        if is_archived:
            archive_day(path)
    return DataRoot(tmp_path)


def order_of(rows: list[dict[str, Any]]) -> list[tuple[str, int]]:
    """Symbols and sequences."""
    return [(one["symbol"], one["seq"]) for one in rows]


EXPECTED = [
    (symbol, seq_at(n, OPEN_MS + shift)) for shift in (0, 86_400_000) for symbol in (HSBC, TENCENT) for n in range(3)
]


def test_a_table_is_sorted_by_day_symbol_and_sequence(data: DataRoot) -> None:
    """It has the schema of the archive, with no column that may be null."""
    table = data.ticks().to_arrow()
    assert table.schema.equals(arrow_schema())
    assert order_of(table.to_pylist()) == EXPECTED


def test_nothing_is_read_before_it_is_consumed_and_it_can_be_consumed_again(tmp_path: Path) -> None:
    """A live day has more ticks the second time."""
    live = LiveDay(tmp_path / f"{DAY}.db")
    live.push(row(TENCENT, seq_at(1)))
    ticks = DataRoot(tmp_path).ticks("HK.00700", "2026-07-31")
    live.push(row(TENCENT, seq_at(2)))
    assert ticks.to_arrow().num_rows == 2
    live.push(row(TENCENT, seq_at(3)))
    assert sum(batch.num_rows for batch in ticks.batches()) == 3
    live.end()


def test_each_library_takes_it_as_it_is(data: DataRoot) -> None:
    """polars, DuckDB, pyarrow and pandas get the same rows, by the Arrow stream alone."""
    duckdb, pandas = pytest.importorskip("duckdb"), pytest.importorskip("pandas")
    polars, pyarrow = pytest.importorskip("polars"), pytest.importorskip("pyarrow")
    ticks = data.ticks(columns=["symbol", "seq", "price", "ts_ms"])
    assert order_of(pyarrow.table(ticks).to_pylist()) == EXPECTED
    assert order_of(polars.DataFrame(ticks).to_dicts()) == EXPECTED
    assert order_of(pandas.DataFrame.from_arrow(ticks).to_dict("records")) == EXPECTED
    answer = duckdb.sql("SELECT symbol, count(*), min(ts_ms) = max(ts_ms) - INTERVAL 2 SECOND FROM ticks "
                        "WHERE ts_ms < '2026-08-01' GROUP BY symbol ORDER BY symbol")  # fmt: skip
    assert answer.fetchall() == [(HSBC, 3, True), (TENCENT, 3, True)]


def test_frames_have_the_types_that_a_researcher_expects(data: DataRoot) -> None:
    """Instants in UTC with milliseconds, numbers as numbers, symbols as categories."""
    pytest.importorskip("polars")
    pytest.importorskip("pandas")
    ticks = data.ticks(700, "2026-07-31")
    frame = ticks.to_pandas()
    assert {name: str(kind) for name, kind in frame.dtypes.items()} == {
        **dict.fromkeys(COLUMNS, "int64"),
        **dict.fromkeys(("symbol", "direction", "tick_type", "push_type"), "category"),
        **dict.fromkeys(("ts_ms", "recv_ts_ms", "inserted_at_ms"), "datetime64[ms, UTC]"),
        **dict.fromkeys(("price", "turnover"), "float64"),
    }
    assert order_of(frame.to_dict("records")) == EXPECTED[3:6]
    polars_frame = ticks.to_polars()
    assert str(polars_frame.schema["ts_ms"]) == "Datetime(time_unit='ms', time_zone='UTC')"
    assert order_of(polars_frame.to_dicts()) == EXPECTED[3:6]


def test_no_tick_is_still_a_table(data: DataRoot) -> None:
    """With all columns, for every library."""
    ticks = data.ticks(700, ("2026-07-31 20:00", "2026-07-31 21:00"))
    assert list(ticks.batches()) == []
    assert ticks.to_arrow().schema.equals(arrow_schema())
    assert (ticks.to_pandas().shape, ticks.to_polars().shape, ticks.to_futu().shape) == ((0, 15), (0, 15), (0, 9))


def test_it_says_what_was_asked_for(data: DataRoot) -> None:
    """In one line, also for many symbols."""
    assert repr(data.ticks(700, "2026-07-31")) == "<ticks of HK.00700 on 2026-07-31: 1 day>"
    assert repr(data.ticks()) == "<ticks of all symbols on any day: 2 days>"
    ticks = data.ticks([700, 5])
    assert (ticks.symbols, ticks.days) == ((HSBC, TENCENT), (DAY, NEXT_DAY))
    many = Ticks(data.path, ticks.days, ticks._span, ticks._wanted)
    many.symbols = tuple(f"HK.{n:05}" for n in range(9))
    assert repr(many) == "<ticks of HK.00000, HK.00001, HK.00002 and 6 more on any day: 2 days>"


def test_an_error_in_a_stream_reaches_the_consumer(data: DataRoot) -> None:
    """As that library's error, with our sentence in it; `batches` raises it as it is."""
    pyarrow = pytest.importorskip("pyarrow")
    ticks = data.ticks()
    (data.path / f"{NEXT_DAY}.db").write_bytes(b"no database" * 1000)
    with pytest.raises(pyarrow.ArrowException, match="can't be read"):
        pyarrow.table(ticks)
    with pytest.raises(DatabaseError, match="can't be read"):
        list(ticks.batches())


def test_a_library_that_is_not_installed_is_named(data: DataRoot, monkeypatch: pytest.MonkeyPatch) -> None:
    """With what to install."""
    ticks = data.ticks()
    monkeypatch.setitem(sys.modules, "polars", None)
    monkeypatch.setitem(sys.modules, "pandas", None)
    assert extra.optional("polars") is None
    with pytest.raises(MissingExtraError, match=r"^this needs polars, which is not installed: pip install polars$"):
        ticks.to_polars()
    for convert in (ticks.to_pandas, ticks.to_futu):
        with pytest.raises(MissingExtraError, match=r"^this needs pandas, which is not installed: pip install pandas$"):
            convert()
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'hk-tick-collector\[data\]'$"):
        ticks.to_arrow()


def test_arrow_does_not_bring_pandas_along(data: DataRoot) -> None:
    """Importing it takes 0.2 s and 70 MB. A process of its own, in which nothing is imported yet."""
    code = (
        "import sys, hk_tick_collector as hkt\n"
        f"data = hkt.DataRoot({str(data.path)!r})\n"
        "assert data.ticks(700, ('2026-07-31 09:00', '2026-08-01'), types='no_odd_lots').to_arrow().num_rows == 6\n"
        "print(sorted({'pandas', 'polars'} & sys.modules.keys()))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=60)
    assert (done.stdout, done.stderr) == ("[]\n", "")
