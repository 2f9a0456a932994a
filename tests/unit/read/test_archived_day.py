"""Reading and filtering an archived day."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from support.reading import archive_day, store_day
from support.ticks import DAY, HSBC, OPEN_MS, TENCENT, row, seq_at

from hk_tick_collector.errors import ForeignFileError
from hk_tick_collector.parquet.columns import COLUMNS
from hk_tick_collector.read.archived_day import archived_batches, archived_symbols, numbers_array, symbol_runs
from hk_tick_collector.read.wanted import Position, Wanted

if TYPE_CHECKING:
    from pathlib import Path

MEITUAN = "HK.03690"


@pytest.fixture
def archived(tmp_path: Path) -> Path:
    """Three symbols with eight ticks each, a second and a type apart."""
    rows = [
        row(symbol, seq_at(n), OPEN_MS + n * 1000, tick_type_id=n)
        for symbol in (TENCENT, HSBC, MEITUAN)
        for n in range(8)
    ]
    return archive_day(store_day(tmp_path / f"{DAY}.db", rows))


def read(path: Path, wanted: Wanted, after: Position | None = None) -> list[dict[str, Any]]:
    """All rows."""
    return [one for batch in archived_batches(path, wanted, after) for one in batch.to_pylist()]


def test_an_archived_day_has_the_columns_in_the_order_that_was_asked_for(archived: Path) -> None:
    """Also if a filter needs others."""
    wanted = Wanted(("volume", "symbol"), (HSBC,), types=frozenset({3}))
    assert read(archived, wanted) == [{"volume": 100, "symbol": HSBC}]
    assert list(read(archived, Wanted(COLUMNS))[0]) == list(COLUMNS)


def test_the_ticks_are_chosen_by_time_and_type(archived: Path) -> None:
    """A begin is included, an end is not."""
    by_time = Wanted(("seq",), (TENCENT,), begin_ms=OPEN_MS + 2000, end_ms=OPEN_MS + 5000)
    assert read(archived, by_time) == [{"seq": seq_at(n)} for n in (2, 3, 4)]
    without = Wanted(("tick_type_id",), (TENCENT,), without=frozenset({0, 6, 7}))
    assert read(archived, without) == [{"tick_type_id": n} for n in (1, 2, 3, 4, 5)]
    assert read(archived, by_time._replace(types=frozenset({7}))) == []


@pytest.mark.parametrize("symbols", [None, (HSBC, MEITUAN, TENCENT)])
def test_a_day_is_continued_after_a_position(archived: Path, symbols: tuple[str, ...] | None) -> None:
    """Where its database was left: within a symbol, or after its last tick."""
    wanted = Wanted(("symbol", "seq"), symbols)
    everything = read(archived, wanted)
    assert len(everything) == 24
    for place, last in enumerate(everything):
        assert read(archived, wanted, Position(last["symbol"], last["seq"])) == everything[place + 1 :]


def test_a_day_in_the_folder_of_another_day_is_refused(archived: Path) -> None:
    """Its ticks would be taken for those of that day."""
    folder = archived.parent.rename(archived.parent.with_name("trading_day=2026-08-03"))
    with pytest.raises(ForeignFileError) as refused:
        read(folder / archived.name, Wanted(COLUMNS))
    assert str(refused.value) == (
        f"{folder / archived.name} holds the ticks of 20260731: it is in the folder of another day"
    )


def test_it_knows_its_symbols(archived: Path) -> None:
    """From its certificate."""
    assert archived_symbols(archived) == {TENCENT, HSBC, MEITUAN}


def test_runs_of_symbols_are_counted(archived: Path) -> None:
    """In the order of the rows."""
    (batch,) = archived_batches(archived, Wanted(("symbol",)))
    assert list(symbol_runs(batch.column("symbol"))) == [(HSBC, 8), (TENCENT, 8), (MEITUAN, 8)]


def test_numbers_become_a_column_of_its_type() -> None:
    """A time is a timestamp."""
    assert str(numbers_array("ts_ms", [OPEN_MS])[0]) == "2026-07-31 02:00:00+00:00"
    assert numbers_array("seq", [1, -2]).to_pylist() == [1, -2]
