"""`verify FILE.parquet`: what it prints, its JSON, its exit codes; it needs no DATA_ROOT."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any

import pytest
from support.ticks import DAY, HSBC, TENCENT
from support.ticks_files import make_ticks_file, rewritten, with_cell

from hk_tick_collector.cli.app import entry

if TYPE_CHECKING:
    from pathlib import Path

Run = Any
NAME = f"{DAY}.ticks.parquet"


@pytest.fixture
def run(root: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Run:
    """A command as it is typed, where there is no DATA_ROOT: its exit code, and what it said on both outputs."""
    root.rmdir()

    def typed(*args: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["hk-tick-collector", "verify", *map(str, args)])
        capfd.readouterr()
        with pytest.raises(SystemExit) as ended:
            entry()
        said = capfd.readouterr()
        return int(ended.value.code or 0), said.out, said.err

    return typed


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A file with 40 ticks of each of three symbols."""
    return make_ticks_file(tmp_path / "archive")


@pytest.mark.parametrize("decoder", ["pyarrow", "duckdb", "polars"])
def test_a_file_as_certified_is_told_in_one_line(run: Run, path: Path, decoder: str) -> None:
    """Exit 0; the verdict is that of the day, which may be that it can't be proven."""
    told = f"{NAME}: 120 ticks of 3 symbols of {DAY}, each as certified; that day is UNPROVABLE\n"
    assert run(path)[:2] == (0, told)
    assert run(path, "--decoder", decoder)[:2] == (0, told)


def test_what_differs_is_told_by_symbol(run: Run, path: Path) -> None:
    """Exit 1; the conclusion and what to do come last."""
    changed = rewritten(path, lambda table: with_cell(table, "price", TENCENT, 1.5))
    code, out, _ = run(changed)
    assert code == 1
    advice = "copy it again, and if it differs there too, put back a backup"
    assert [" ".join(line.split()) for line in out.splitlines()] == [
        "symbol ticks certified what differs",
        f"{TENCENT} 40 40 its ticks are not the certified ones",
        f"rewritten.parquet: 120 ticks of 3 symbols of {DAY}, NOT as certified: 1 symbol differs; {advice}",
    ]
    fewer = rewritten(path, lambda table: table.slice(50))
    code, out, _ = run(fewer)
    assert (code, "NOT as certified: 2 symbols differ;" in out) == (1, True)
    assert [" ".join(line.split()) for line in out.splitlines()[1:3]] == [
        f"{HSBC} 0 40 all its ticks are missing",
        f"{TENCENT} 30 40 30 ticks, certified were 40",
    ]


def test_what_differs_of_the_whole_file_is_told(run: Run, path: Path) -> None:
    """A changed page: the bytes, the row group, and the symbols that are lost with it."""
    raw = bytearray(path.read_bytes())
    raw[200] ^= 0xFF
    path.write_bytes(raw)
    code, out, _ = run(path)
    assert code == 1
    assert "\nbytes of the file were changed since it was written\nrow group 0 (HK.00005 to HK.01810) is lost: " in out
    assert out.splitlines()[-1].startswith(
        f"{NAME}: 0 ticks of 0 symbols of {DAY}, NOT as certified: 3 symbols differ; "
    )


def test_a_file_that_another_program_wrote_again_is_told_as_such(run: Run, path: Path) -> None:
    """Its ticks are proven."""
    code, out, _ = run(rewritten(path, lambda table: table))
    assert code == 0
    assert out.splitlines()[1] == (
        "another program has written this file again: its ticks are proven, its other bytes are not"
    )


def test_its_json_has_all_of_it(run: Run, path: Path) -> None:
    """For programs; the same exit codes."""
    code, out, _ = run("--json", path)
    assert (code, json.loads(out)) == (
        0,
        {
            "path": str(path), "day": DAY, "verdict": "UNPROVABLE", "decoder": "pyarrow", "has_checksums": True,
            "rows": 120, "rows_certified": 120, "symbols": 3, "differences": [], "ok": True,
        },
    )  # fmt: skip
    code, out, _ = run("--json", rewritten(path, lambda table: with_cell(table, "price", TENCENT, 1.5)))
    told = json.loads(out)
    assert (code, told["ok"]) == (1, False)
    assert told["differences"] == [
        {"symbol": TENCENT, "what": "its ticks are not the certified ones", "rows": 40, "rows_certified": 40}
    ]


def test_a_file_that_is_none_of_ours_is_one_line(run: Run, path: Path, tmp_path: Path) -> None:
    """Exit 2: cut off, another program's, not there."""
    whole = path.read_bytes()
    path.write_bytes(whole[:-100])
    text = tmp_path / "notes.txt"
    text.write_text("no Parquet", encoding="utf-8")
    for file, told in (
        (path, "is no whole Parquet file: its end is missing or was changed; copy it again"),
        (text, "notes.txt is no whole Parquet file: "),
        (tmp_path / "none.parquet", f"there is no file {tmp_path / 'none.parquet'}"),
    ):
        code, out, err = run(file)
        assert (code, out, len(err.splitlines())) == (2, "", 1)
        assert told in err
    changed = bytearray(whole)
    changed[-100] ^= 1
    path.write_bytes(changed)
    code, _, err = run(path)
    assert (code, "its footer was changed; copy it again" in err) == (1, True)


def test_a_file_is_not_mistaken_for_a_day(run: Run, path: Path, tmp_path: Path) -> None:
    """Nor a day for a file of that name; what goes only with one of them is refused with the other."""
    for args, told in (
        ((path, "--sealed"), "expected either a file, or a day with --sealed"),
        ((path, "--day", DAY), "expected either a file, or a day with --sealed"),
        (("--decoder", "duckdb"), "--decoder goes with a FILE.parquet"),
    ):
        code, _, err = run(*args)
        assert (code, told in err) == (2, True)
    (tmp_path / DAY).write_bytes(b"")
    code, _, err = run(DAY)
    assert (code, "this directory does not exist" in err) == (2, True)
