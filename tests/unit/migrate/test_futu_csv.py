"""What is read of a zip of Futu CSVs, and which line is refused why."""

from __future__ import annotations

import zipfile
from typing import TYPE_CHECKING

import pytest
from support.importing import HEADER, SILENT, line, zip_of
from support.ticks import DAY, OPEN_MS, TENCENT, seq_at

from hk_tick_collector.errors import ForeignFileError
from hk_tick_collector.migrate.futu_csv import COLUMNS, FutuZip
from hk_tick_collector.read.futu_frame import COLUMNS as SDKS_COLUMNS

if TYPE_CHECKING:
    from pathlib import Path

    from hk_tick_collector.mapping import Row


def rows_of(source: FutuZip, day: str = DAY) -> list[Row]:
    """All rows of a day."""
    return [row for _, some in source.chunks({day}) for row in some]


def test_the_columns_are_those_of_the_export() -> None:
    """Both modules name them, since neither may import the other."""
    assert COLUMNS == SDKS_COLUMNS


def test_each_value_becomes_ours(tmp_path: Path) -> None:
    """Milliseconds, words, a misspelt one, and words for numbers that have none."""
    lines = [
        line(),
        line(time="2026-07-31 10:00:00.123", ticker_direction="N/A", type="REOPENINGP_RICED", sequence="-9"),
        line(ticker_direction="DIRECTION_9", type="TYPE_77", sequence=str(seq_at(2)), price="1e-05", turnover="-0.5"),
    ]
    source = FutuZip(zip_of(tmp_path / "t.zip", lines), SILENT)
    assert (source.days, source.rows) == ((DAY,), 3)
    assert rows_of(source) == [
        (TENCENT, seq_at(1), OPEN_MS, 372.4, 100, 37240.0, 1, 1, 2, 0, OPEN_MS, OPEN_MS),
        (TENCENT, -9, OPEN_MS + 123, 372.4, 100, 37240.0, 0, 28, 2, 0, OPEN_MS + 123, OPEN_MS + 123),
        (TENCENT, seq_at(2), OPEN_MS, 1e-05, 100, -0.5, 9, 77, 2, 0, OPEN_MS, OPEN_MS),
    ]
    assert source.faults == {}


@pytest.mark.parametrize(
    ("written", "what"),
    [
        (line(price="inf"), "price 'inf', expected a finite number"),
        (line(price="1e999"), "price '1e999', expected a finite number"),
        (line(price=""), "price '', expected a finite number"),
        (line(turnover="1_000"), "turnover '1_000', expected a finite number"),
        (line(volume="1.5"), "volume '1.5', expected a whole number"),
        (line(volume="9223372036854775808"), "volume '9223372036854775808', expected a whole number"),
        (line(sequence="0"), "sequence 0, expected another number"),
        (line(sequence="x"), "sequence 'x', expected a whole number"),
        (line(code="HK.1"), f"code 'HK.1', expected {TENCENT}"),
        (line(time="2026-07-31 25:00:00"), "time '2026-07-31 25:00:00' is no real time: hour must be in 0..23"),
        (
            line(time="2026-07-31 10:00"),
            "time '2026-07-31 10:00', expected such as 2026-11-20 09:30:00.123",
        ),
        (
            line(ticker_direction="TYPE_1"),
            "ticker_direction 'TYPE_1', expected a word of OpenD's, or DIRECTION_ and a number",
        ),
        (line(type="odd"), "type 'odd', expected a word of OpenD's, or TYPE_ and a number"),
        (line() + ",more", "10 columns, expected 9"),
    ],
)
def test_a_row_that_makes_no_sense_is_a_fault_of_its_day(written: str, what: str, tmp_path: Path) -> None:
    """With its file and its line; no row of that day is given after it."""
    path = zip_of(tmp_path / "t.zip", [line(), written, line(sequence=str(seq_at(5)))])
    source = FutuZip(path, SILENT)
    assert len(rows_of(source)) == 0
    assert source.faults[DAY].startswith(f"{path}: {TENCENT}.csv line 3: {what}")


@pytest.mark.parametrize(
    ("written", "what"),
    [
        ("HK.00700,N/A", "2 columns, expected 9"),
        (line(time="yesterday"), "time 'yesterday', expected such as 2026-11-20 09:30:00.123"),
        (line(time="2026-99-31 10:00:00"), "time '2026-99-31 10:00:00', expected such as 2026-11-20 09:30:00.123"),
        (line()[:60] + "x" * 5000, "a line without an end: the file is cut off"),
    ],
)
def test_a_row_of_no_day_is_refused_at_once(written: str, what: str, tmp_path: Path) -> None:
    """With its file and its line."""
    path = zip_of(tmp_path / "t.zip", [line(), written])
    with pytest.raises(ForeignFileError) as refused:
        FutuZip(path, SILENT)
    assert str(refused.value) == f"{path}: {TENCENT}.csv line 3: {what}"


def test_other_columns_and_other_files_are_refused(tmp_path: Path) -> None:
    """The line names what was seen and what was expected."""
    path = zip_of(tmp_path / "a.zip", [line()], header="code,time,price")
    with pytest.raises(ForeignFileError) as refused:
        FutuZip(path, SILENT)
    assert str(refused.value) == f"{path}: {TENCENT}.csv has the columns 'code,time,price', expected {HEADER}"
    for name in ("readme.txt", "700.csv", "../HK.00700.csv", "XX.00700.csv"):
        path = zip_of(tmp_path / "b.zip", [line()], name=name)
        with pytest.raises(ForeignFileError, match="expected a zip of export --format futu: files such as HK"):
            FutuZip(path, SILENT)
    with zipfile.ZipFile(tmp_path / "empty.zip", "w"):
        pass
    with pytest.raises(ForeignFileError, match="is an empty zip, expected a CSV for each symbol"):
        FutuZip(tmp_path / "empty.zip", SILENT)


def test_changed_bytes_and_text_in_another_encoding_are_one_line(tmp_path: Path) -> None:
    """Each names the file."""
    path = zip_of(tmp_path / "t.zip", [line() for _ in range(50)])
    whole = path.read_bytes()
    at = whole.index(b"372.4")
    path.write_bytes(whole[:at] + b"9" + whole[at + 1 :])
    with pytest.raises(ForeignFileError, match=f"{path} is no whole zip: Bad CRC-32"):
        FutuZip(path, SILENT)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(f"{TENCENT}.csv", b"\xff\xfe")
    with pytest.raises(ForeignFileError, match=f"{path} has text that is not UTF-8"):
        FutuZip(path, SILENT)
