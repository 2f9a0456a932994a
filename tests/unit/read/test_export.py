"""Ticks as files for other programs: what is in them, and that there is never half of one."""

from __future__ import annotations

import csv
import io
import os
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from support.tick_batches import AUCTION, BUY, Tick, at, batches_of, in_order, tick

from hk_tick_collector.errors import ConfigError
from hk_tick_collector.parquet.columns import COLUMNS, arrow_schema
from hk_tick_collector.read.export import CSV_COLUMNS, FORMATS, SUFFIXES, Exported, export

if TYPE_CHECKING:
    from collections.abc import Iterator

polars = pytest.importorskip("polars")

TICKS = [
    tick("09:20:05", 99.5, 5000, type=AUCTION),
    tick("10:00:10.123", 372.4, 60, direction=BUY),
    tick("10:00:11", 0.001, 3_000_000_000),
    tick("10:00:10", 50.0, symbol="HK.00005", seq=-7),
]


def text(path: Path) -> str:
    """A file's text, with its line ends as they are."""
    return path.read_bytes().decode()


def test_a_csv_has_a_header_hong_kong_times_and_words(tmp_path: Path) -> None:
    """Milliseconds are always there; numbers are exact."""
    path = tmp_path / "t.csv"
    done = export(batches_of(TICKS, cuts=(2,)), path, "csv")
    seqs = [one.seq for one in in_order(TICKS)]
    assert text(path) == (
        "symbol,seq,time,price,volume,turnover,direction,tick_type,push_type,push_data_type,received_at,inserted_at\n"
        f"HK.00005,{seqs[0]},2026-11-20T10:00:10.000+08:00,50,100,5000,NEUTRAL,AUTO_MATCH,push,1,"
        "2026-11-20T10:00:10.120+08:00,2026-11-20T10:00:10.250+08:00\n"
        f"HK.00700,{seqs[1]},2026-11-20T09:20:05.000+08:00,99.5,5000,497500,NEUTRAL,AUCTION,push,1,"
        "2026-11-20T09:20:05.120+08:00,2026-11-20T09:20:05.250+08:00\n"
        f"HK.00700,{seqs[2]},2026-11-20T10:00:10.123+08:00,372.4,60,22344,BUY,AUTO_MATCH,push,1,"
        "2026-11-20T10:00:10.243+08:00,2026-11-20T10:00:10.373+08:00\n"
        f"HK.00700,{seqs[3]},2026-11-20T10:00:11.000+08:00,0.001,3000000000,3000000,NEUTRAL,AUTO_MATCH,push,1,"
        "2026-11-20T10:00:11.120+08:00,2026-11-20T10:00:11.250+08:00\n"
    )
    assert done == Exported(4, 2, at("09:20:05"), at("10:00:11"), path.stat().st_size)
    assert set(CSV_COLUMNS.values()) == set(COLUMNS) - {"direction_id", "tick_type_id", "push_type_id"}


def test_a_parquet_file_has_the_columns_of_the_read_api(tmp_path: Path) -> None:
    """Another program decodes it as well; nothing of it needs an encoding that some read wrong."""
    from pyarrow import parquet  # noqa: PLC0415

    path = tmp_path / "t.parquet"
    batches = batches_of(TICKS, cuts=(1, 2))
    export(batches, path, "parquet")
    table = parquet.read_table(path)
    assert table.schema.names == list(COLUMNS)
    assert table.schema.equals(arrow_schema())
    assert table.to_pylist() == [one for batch in batches for one in batch.to_pylist()]
    frame = polars.read_parquet(path)
    assert frame["seq"].to_list() == [one.seq for one in in_order(TICKS)]
    metadata = parquet.read_metadata(path)
    encodings = {name for c in range(len(COLUMNS)) for name in metadata.row_group(0).column(c).encodings}
    assert encodings <= {"PLAIN", "RLE", "RLE_DICTIONARY"}


def test_a_zip_has_the_sdks_rows_in_a_file_for_each_symbol(tmp_path: Path) -> None:
    """A symbol's batches become one file; the name of a security is not recorded."""
    path = tmp_path / "t.zip"
    more = [tick(f"10:01:{second:02}") for second in range(5)]
    export(batches_of([*TICKS, *more], cuts=(2, 4, 5)), path, "futu")
    with zipfile.ZipFile(path) as archive:
        assert archive.testzip() is None
        assert archive.namelist() == ["HK.00005.csv", "HK.00700.csv"]
        assert archive.read("HK.00005.csv").decode() == (
            "code,name,time,price,volume,turnover,ticker_direction,sequence,type\n"
            "HK.00005,N/A,2026-11-20 10:00:10,50,100,5000,NEUTRAL,-7,AUTO_MATCH\n"
        )
        rows = list(csv.DictReader(io.TextIOWrapper(archive.open("HK.00700.csv"))))
    assert [row["time"] for row in rows][:3] == [
        "2026-11-20 09:20:05", "2026-11-20 10:00:10.123", "2026-11-20 10:00:11",
    ]  # fmt: skip
    assert len(rows) == 8


@pytest.mark.parametrize("form", FORMATS)
def test_without_ticks_no_file_is_written(form: str, tmp_path: Path) -> None:
    """Nor is one that is there replaced."""
    path = tmp_path / "t"
    assert export([], path, form) is None
    assert list(tmp_path.iterdir()) == []
    path.write_text("mine")
    assert export([], path, form, replaces=True) is None
    assert text(path) == "mine"


@pytest.mark.parametrize("form", FORMATS)
def test_a_file_that_exists_is_replaced_only_if_that_was_asked_for(form: str, tmp_path: Path) -> None:
    """And then at once, by a whole one."""
    path = tmp_path / "t"
    path.write_text("mine")
    with pytest.raises(ConfigError) as refused:
        export(batches_of(TICKS), path, form)
    assert str(refused.value) == f"{path} exists: give another name, or replace it with --force"
    assert text(path) == "mine"
    export(batches_of(TICKS), path, form, replaces=True)
    assert path.stat().st_size > 100
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize("fault", [KeyboardInterrupt, OSError(28, "No space left on device"), ConfigError("gone")])
def test_what_breaks_off_leaves_nothing_behind(form: str, fault: Any, tmp_path: Path) -> None:  # noqa: ANN401
    """Not even beside the file, and what was there before stays as it was."""
    path = tmp_path / "t"
    path.write_text("mine")
    seen = []

    def breaking() -> Iterator[Any]:
        yield from batches_of(TICKS[:2])
        seen.extend(one.name for one in tmp_path.iterdir())
        raise fault

    with pytest.raises(type(fault) if isinstance(fault, Exception) else fault):
        export(breaking(), path, form, replaces=True)
    assert sorted(seen) == [f".t.{os.getpid()}.tmp", "t"], "it was being written"
    assert list(tmp_path.iterdir()) == [path]
    assert text(path) == "mine"


@pytest.mark.parametrize("form", FORMATS)
def test_a_full_disk_is_told_and_leaves_nothing_behind(form: str, tmp_path: Path) -> None:
    """By the real error of a real file, larger than this process may write."""
    import resource  # noqa: PLC0415

    many = [tick("10:00:00", 1.0 + n % 977, n, seq=n * n + 1) for n in range(20_000)]
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    batches = batches_of(many)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, hard))
    try:
        with pytest.raises(OSError, match="File too large") as failed:
            export(batches, tmp_path / "t", form)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert (failed.value.errno, failed.value.filename) == (27, str(tmp_path / "t"))
    assert list(tmp_path.iterdir()) == []


def test_a_place_that_can_not_be_written_to_is_refused(tmp_path: Path) -> None:
    """With what is wrong with it."""
    with pytest.raises(ConfigError) as refused:
        export(batches_of(TICKS), tmp_path, "csv")
    assert str(refused.value) == f"{tmp_path} is a directory, expected a file to write to"
    with pytest.raises(ConfigError, match=r"^/dev/null is not a file, expected a file to write to$"):
        export(batches_of(TICKS), Path("/dev/null"), "csv", replaces=True)
    path = tmp_path / "no" / "t.csv"
    with pytest.raises(ConfigError) as refused:
        export(batches_of(TICKS), path, "csv")
    assert str(refused.value) == f"{path} can't be written: there is no directory {path.parent}"


def test_progress_is_told_in_ticks(tmp_path: Path) -> None:
    """After each batch."""
    told: list[int] = []
    export(batches_of(TICKS, cuts=(1, 3)), tmp_path / "t.csv", "csv", progress=told.append)
    assert told == [1, 3, 4]


def test_the_name_of_a_file_says_its_format() -> None:
    """Each format has a suffix."""
    assert set(SUFFIXES.values()) == set(FORMATS)


def test_a_tick_of_any_kind_is_exported(tmp_path: Path) -> None:
    """Types and directions without a name have their number."""
    odd = Tick("HK.00700", 1, at("10:00"), 1.0, 1, 1.0, 9, 99)
    export(batches_of([odd]), tmp_path / "t.csv", "csv")
    assert "DIRECTION_9,TYPE_99" in text(tmp_path / "t.csv")
