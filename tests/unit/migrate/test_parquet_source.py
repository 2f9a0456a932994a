"""Which Parquet files are ours, and which rows of an exported one are refused."""

from __future__ import annotations

import re
import shutil
from typing import TYPE_CHECKING, Any

import pytest
from support.archiving import folder_of, make_archived
from support.importing import SILENT, exported, make_two_days
from support.ticks import DAY, HSBC, NEXT_DAY

from hk_tick_collector.errors import ArchiveError, ForeignFileError
from hk_tick_collector.migrate.parquet_source import EXPORT_FORM, TICKS_FORM, open_parquet
from hk_tick_collector.parquet.layout import LEDGER, TICKS

if TYPE_CHECKING:
    from pathlib import Path

pyarrow = pytest.importorskip("pyarrow")
parquet = pytest.importorskip("pyarrow.parquet")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """What was exported of two days."""
    return exported(make_two_days(tmp_path / "src"), tmp_path / "t.parquet")


def rewritten(path: Path, name: str, change: Any) -> Path:  # noqa: ANN401 - from a pyarrow column to another
    """The file, written again by another program with one column changed."""
    table = parquet.read_table(path, partitioning=None)
    at = table.schema.get_field_index(name)
    column = change(table.column(name))
    other = path.with_name("again.parquet")
    parquet.write_table(table.set_column(at, name, column), other, row_group_size=7)
    return other


def rows_of(path: Path, day: str) -> tuple[list[Any], dict[str, str]]:
    """The rows of a day, and what is wrong."""
    source = open_parquet(path)
    return [row for _, some in source.chunks({day}) for row in some], source.faults


def test_an_archived_file_and_an_export_are_told_apart(path: Path, tmp_path: Path) -> None:
    """Both know their days and rows."""
    source = open_parquet(path)
    assert (source.form, source.days, source.rows) == (EXPORT_FORM, (DAY, NEXT_DAY), 22)
    source.prove(SILENT)
    alone = tmp_path / "alone.parquet"
    shutil.copy(folder_of(make_archived(tmp_path / "other")) / TICKS, alone)
    source = open_parquet(alone)
    assert (source.form, source.days, source.rows) == (TICKS_FORM, (DAY,), 80)
    source.prove(SILENT)
    assert list(source.chunks({NEXT_DAY})) == []


def test_an_export_that_another_program_wrote_again_gives_the_same_rows(path: Path) -> None:
    """Words as plain text, times in microseconds, small row groups: no value differs."""
    expected = {day: rows_of(path, day)[0] for day in (DAY, NEXT_DAY)}
    again = rewritten(path, "direction", lambda column: column.cast(pyarrow.string()))
    again = rewritten(again, "ts_ms", lambda column: column.cast(pyarrow.timestamp("us", tz="UTC")))
    for day in (DAY, NEXT_DAY):
        assert rows_of(again, day) == (expected[day], {})
    assert len(expected[DAY]) == 11


@pytest.mark.parametrize(
    ("name", "change", "what"),
    [
        ("price", lambda values: [float("nan"), *values[1:]], f"{HSBC} sequence .*: price is not a finite number"),
        ("turnover", lambda values: [float("inf"), *values[1:]], f"{HSBC} .*: turnover is not a finite number"),
        ("seq", lambda values: [0, *values[1:]], f"{HSBC} sequence 0: sequence 0, expected another number"),
        ("volume", lambda values: [None, *values[1:]], "volume has no value in 1 rows"),
        ("volume", lambda values: [1.5, *map(float, values[1:])], "gave volume as double, expected int64"),
        ("symbol", lambda values: ["700", *values[1:]], "symbol '700', expected such as HK.00700"),
        ("direction_id", lambda values: [3, *values[1:]], "direction is not the word for its direction_id"),
        ("tick_type", lambda values: ["LATE", *values[1:]], "tick_type is not the word for its tick_type_id"),
    ],
)
def test_a_row_that_makes_no_sense_is_a_fault_of_its_day(name: str, change: Any, what: str, path: Path) -> None:  # noqa: ANN401
    """It is named as far as can be; the other day is as it was."""
    changed = rewritten(path, name, lambda column: pyarrow.array(change(column.to_pylist())))
    rows, faults = rows_of(changed, DAY)
    assert rows == []
    assert list(faults) == [DAY]
    assert faults[DAY].startswith(f"{changed}: ")
    assert re.search(what, faults[DAY]), faults[DAY]
    assert rows_of(changed, NEXT_DAY) == rows_of(path, NEXT_DAY) or name == "volume"


def test_a_file_of_somebody_else_a_ledger_and_a_cut_one_are_refused(path: Path, tmp_path: Path) -> None:
    """One line names the file and what was expected."""
    other = tmp_path / "other.parquet"
    parquet.write_table(pyarrow.table({"symbol": ["HK.00700"], "price": [1.0]}), other)
    ledger = folder_of(make_archived(tmp_path / "archived")) / LEDGER
    for file in (other, ledger):
        with pytest.raises(ForeignFileError, match=f"{file} was made by another program: expected a ticks.parquet"):
            open_parquet(file)
    for whole in (path, ledger.with_name(TICKS)):
        cut = tmp_path / "cut.parquet"
        cut.write_bytes(whole.read_bytes()[:-40])
        with pytest.raises(ForeignFileError, match=f"{cut} is no whole Parquet file: "):
            open_parquet(cut)
    changed = bytearray(ledger.with_name(TICKS).read_bytes())
    changed[-20] ^= 1
    cut.write_bytes(changed)
    with pytest.raises(ArchiveError, match="its footer was changed"):
        open_parquet(cut)


def test_changed_bytes_of_an_export_are_found_by_the_checksums_of_its_pages(path: Path) -> None:
    """The file is named."""
    changed = bytearray(path.read_bytes())
    changed[60:64] = b"oops"
    path.write_bytes(changed)
    with pytest.raises(ForeignFileError, match=f"{path} can't be decoded: "):
        rows_of(path, DAY)


@pytest.mark.parametrize("ms", [0, 4_102_444_800_000])
def test_a_time_of_another_century_is_refused_at_once(ms: int, path: Path) -> None:
    """No day would be its."""
    changed = rewritten(
        path, "ts_ms", lambda column: pyarrow.array([ms] * len(column), pyarrow.timestamp("ms", tz="UTC"))
    )
    with pytest.raises(ForeignFileError, match=f"ts_ms {ms}, expected a time of the years 2000 to 2099"):
        open_parquet(changed)
