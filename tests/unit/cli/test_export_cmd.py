"""`export`: which ticks, which format, where to, what it says."""

from __future__ import annotations

import json
import sys
import zipfile
from typing import TYPE_CHECKING, Any

import pytest
from support.reading import store_day
from support.ticks import HSBC, OPEN_MS, TENCENT, row, seq_at

from hk_tick_collector.cli.app import entry
from hk_tick_collector.hktime import DAY_MS
from hk_tick_collector.text import size

if TYPE_CHECKING:
    from pathlib import Path

Run = Any

pytest.importorskip("pyarrow")

DAYS = ("20260731", "20260801", "20260802")


@pytest.fixture
def run(root: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Run:
    """The command as it is typed: its exit code, and what it said on both outputs."""
    for number, day in enumerate(DAYS):
        ts_ms = OPEN_MS + number * DAY_MS
        rows = [row(symbol, seq_at(n, ts_ms), ts_ms + n) for symbol in (TENCENT, HSBC) for n in range(3)]
        store_day(root / f"{day}.db", rows)

    def typed(*args: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["hk-tick-collector", "export", "--data-root", str(root), *args])
        capfd.readouterr()
        with pytest.raises(SystemExit) as ended:
            entry()
        said = capfd.readouterr()
        return int(ended.value.code or 0), said.out, said.err

    return typed


def test_the_newest_day_is_exported_if_none_is_named(run: Run, tmp_path: Path) -> None:
    """All symbols of it, in the format that the name says."""
    code, out, err = run("--out", "t.csv")
    assert (code, err) == (0, "")
    assert out == f"wrote t.csv: 6 ticks of 2 symbols on 20260802, {size((tmp_path / 't.csv').stat().st_size)}\n"
    lines = (tmp_path / "t.csv").read_text().splitlines()
    assert len(lines) == 7
    assert {line.split(",")[2][:10] for line in lines[1:]} == {"2026-08-02"}


def test_symbols_and_days_are_chosen(run: Run, tmp_path: Path) -> None:
    """A range without an end goes up to the newest day."""
    code, out, _ = run("--symbol", "700", "--from", "20260801", "--format", "csv", "--out", "t.txt")
    assert code == 0
    assert out.startswith("wrote t.txt: 6 ticks of 1 symbol on 2 days (20260801 to 20260802), ")
    lines = (tmp_path / "t.txt").read_text().splitlines()
    assert {line.split(",")[0] for line in lines[1:]} == {TENCENT}


def test_the_sdks_rows_of_a_symbol_are_in_one_file(run: Run, tmp_path: Path) -> None:
    """Of all days, in order."""
    code, _, _ = run("--from", "2026-07-31", "--to", "2026-08-02", "-o", "t.zip")
    assert code == 0
    with zipfile.ZipFile(tmp_path / "t.zip") as archive:
        assert archive.namelist() == [f"{HSBC}.csv", f"{TENCENT}.csv"]
        lines = archive.read(f"{TENCENT}.csv").decode().splitlines()
    assert [line.split(",")[2][:10] for line in lines[1:]] == [
        day for day in ("2026-07-31", "2026-08-01", "2026-08-02") for _ in range(3)
    ]


def test_the_summary_is_json_for_programs(run: Run, tmp_path: Path) -> None:
    """What was written, and of which times."""
    code, out, _ = run("20260731", "--out", "t.parquet", "--json")
    assert code == 0
    assert json.loads(out) == {
        "path": str(tmp_path / "t.parquet"),
        "format": "parquet",
        "days": ["20260731"],
        "symbols": 2,
        "ticks": 6,
        "first_time": "2026-07-31 10:00:00.000+08:00",
        "last_time": "2026-07-31 10:00:00.002+08:00",
        "bytes": (tmp_path / "t.parquet").stat().st_size,
    }


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (
            ("--out", "t.txt"),
            "--out t.txt does not say the format: give --format, or end it with .csv, .parquet or .zip",
        ),
        (("--out", "x.db", "--format", "csv"), "--out x.db has the name of a database, expected one such as ticks.csv"),
        (
            ("--out", "data/20260731.db", "--format", "csv", "--force"),
            "data/20260731.db is a file of the recorder's, expected another name: it would be overwritten",
        ),
        (("--out", "there.csv"), "there.csv exists: give another name, or replace it with --force"),
        (("--out", "no/t.csv"), "no/t.csv can't be written: there is no directory no"),
        (
            ("--out", "t.csv", "--symbol", "1"),
            "no data of HK.00001 on 2026-08-02: not recorded then; is the code right?",
        ),
        (("--out", "t.csv", "20260101"), "no data of 2026-01-01 in {root}: there are 2026-07-31 to 2026-08-02"),
        (("--out", "t.csv", "20260731", "--from", "20260731"), "expected either one day, or --from and --to: not both"),
    ],
)
def test_what_can_not_be_exported_is_told_in_one_line(
    args: tuple[str, ...], message: str, run: Run, root: Path, tmp_path: Path
) -> None:
    """With exit code 2, and nothing is written."""
    (tmp_path / "there.csv").write_text("mine")
    before = sorted(tmp_path.rglob("*"))
    assert run(*args) == (2, "", f"hk-tick-collector: {message.format(root=root)}\n")
    assert sorted(tmp_path.rglob("*")) == before
    assert (tmp_path / "there.csv").read_text() == "mine"


def test_a_file_is_replaced_if_that_was_asked_for(run: Run, tmp_path: Path) -> None:
    """With --force."""
    (tmp_path / "t.csv").write_text("mine")
    code, _, _ = run("--out", "t.csv", "--force")
    assert code == 0
    assert (tmp_path / "t.csv").read_text().startswith("symbol,seq,time,")


def test_a_data_root_without_days_is_told(run: Run, root: Path) -> None:
    """There is nothing to export."""
    for path in root.glob("*"):
        path.unlink()
    code, out, err = run("--out", "t.csv")
    assert (code, out) == (2, "")
    assert err == f"hk-tick-collector: no day in {root} to export\n"


def test_a_symbol_that_never_traded_makes_no_file(run: Run, root: Path, tmp_path: Path) -> None:
    """It was recorded, and has no ticks."""
    from contextlib import closing  # noqa: PLC0415

    from hk_tick_collector.db import DayDatabase, Pragmas  # noqa: PLC0415

    with closing(DayDatabase(root / f"{DAYS[-1]}.db", Pragmas())) as day:
        day.begin()
        day.connection.execute("INSERT INTO recorded (symbol, since_ms) VALUES ('HK.00001', 0)")
        day.commit()
    for name in ("t.csv", "t.zip"):
        code, out, err = run("--symbol", "1", "--out", name)
        assert (code, out) == (2, "")
        assert err == "hk-tick-collector: no ticks of HK.00001 on 20260802: nothing was written\n"
        assert not (tmp_path / name).exists()
