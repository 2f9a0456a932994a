"""`hk-tick-collector import`: what it shows, its JSON, its exit codes."""

from __future__ import annotations

import json
import re
import sys
from typing import TYPE_CHECKING, Any

import pytest
from support.archiving import folder_of, make_archived
from support.importing import exported, line, make_two_days, zip_of
from support.merging import record
from support.ticks import DAY, NEXT_DAY, OPEN_MS, TENCENT, row, seq_at

from hk_tick_collector.cli import import_cmd
from hk_tick_collector.cli.app import entry

if TYPE_CHECKING:
    from pathlib import Path

Run = Any


@pytest.fixture
def run(root: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """The command as it is typed: its exit code, and what it said on both outputs."""
    assert root.is_dir()

    def typed(*args: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["hk-tick-collector", "import", *map(str, args)])
        with pytest.raises(SystemExit) as ended:
            entry()
        said = capsys.readouterr()
        return int(ended.value.code or 0), said.out, said.err

    return typed


def test_each_day_has_a_line_that_fits_a_terminal(root: Path, run: Run, tmp_path: Path) -> None:
    """Where it came from, how many ticks, and what became of it; notes once for all days that have them."""
    file = exported(make_two_days(tmp_path / "src"), tmp_path / "t.zip")
    folder = folder_of(make_archived(tmp_path / "other"))
    code, out, err = run("t.zip", folder)
    assert (code, err) == (0, "")
    lines = out.splitlines()
    assert lines[0].split() == ["day", "source", "ticks", "what"]
    assert re.fullmatch(rf"{DAY}  …\S+/archive/trading_day=2026-07-31 +80  proven", lines[1])
    assert re.fullmatch(rf"{NEXT_DAY}  \S+/t\.zip +11  imported", lines[2])
    assert max(map(len, lines[:3])) <= 80
    assert lines[3:] == [
        f"{DAY}: proven: its certificate says UNPROVABLE",
        f"{NEXT_DAY}: imported: 1 tick without a sequence that tells the time",
        f"91 ticks of 2 days imported into {root}",
        "A day that is only imported is UNPROVABLE: its files don't show whether it is whole.",
        "A proven day has its ledger and each tick of its certificate. Seal it again: seal --due.",
    ]
    code, out, _ = run("t.zip", folder)
    assert code == 0
    assert [one.split()[-2:] for one in out.splitlines()[1:3]] == [["there", "already"]] * 2
    assert out.splitlines()[-1] == f"0 ticks of 0 days imported into {root}"
    assert file.exists()


def test_a_day_that_failed_ends_with_1(root: Path, run: Run, tmp_path: Path) -> None:
    """In one line on standard error; a day that is left alone is no fault."""
    record(root / f"{NEXT_DAY}.db", [row(TENCENT, seq_at(1), OPEN_MS)])
    tomorrow = line(time="2026-08-01 10:00:00")
    path = zip_of(tmp_path / "t.zip", [line(volume="x"), tomorrow])
    code, out, err = run("t.zip")
    assert code == 1
    assert err == f"{DAY}: {path}: {TENCENT}.csv line 2: volume 'x', expected a whole number\n"
    assert out.splitlines()[1].endswith("FAILED")
    assert out.splitlines()[2].endswith("left alone")
    code, out, _ = run("t.zip", "--json")
    told = json.loads(out)
    assert (code, told["exit_code"], told["data_root"]) == (1, 1, str(root))
    assert told["days"] == [
        {
            "day": DAY, "what": "FAILED", "ticks": 0, "sources": [str(path)], "note": None,
            "error": f"{path}: {TENCENT}.csv line 2: volume 'x', expected a whole number",
        },
        {
            "day": NEXT_DAY, "what": "left alone", "ticks": 0, "sources": [str(path)], "error": None,
            "note": f"it is here with a ledger of its own: import {NEXT_DAY} elsewhere, with --data-root, then use "
            "merge",
        },
    ]  # fmt: skip
    assert [one.name for one in root.iterdir()] == [f"{NEXT_DAY}.db"]


def test_bad_input_is_one_line_and_nothing_is_made(run: Run, tmp_path: Path) -> None:
    """With exit code 2, not even DATA_ROOT; also if something else that was named is good."""
    zip_of(tmp_path / "good.zip", [line()])
    path = zip_of(tmp_path / "t.zip", [line()], header="code,price")
    code, out, err = run("good.zip", "t.zip", "--data-root", "new")
    assert (code, out) == (2, "")
    assert err == (
        f"hk-tick-collector: {path}: {TENCENT}.csv has the columns 'code,price', expected "
        "code,name,time,price,volume,turnover,ticker_direction,sequence,type\n"
    )
    assert not (tmp_path / "new").exists()


def test_a_rehearsals_directory_takes_no_real_day(root: Path, run: Run, tmp_path: Path) -> None:
    """It would be mixed with rehearsed ones."""
    (root / "rehearsal.json").write_text("{}")
    zip_of(tmp_path / "t.zip", [line()])
    code, _, err = run("t.zip")
    assert code == 2
    assert "is a rehearsal's (rehearsal.json is in it)" in err


def test_an_interruption_says_what_was_done(
    root: Path, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ctrl-C between two days: the first is there, and the next run goes on."""
    exported(make_two_days(tmp_path / "src"), tmp_path / "t.parquet")
    real = import_cmd.import_days

    def interrupted(*args: Any) -> Any:  # noqa: ANN401
        days = real(*args)
        yield next(days)
        days.close()
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(import_cmd, "import_days", interrupted)
        code, out, err = run("t.parquet")
    assert (code, out) == (130, "")
    assert err == "interrupted: 1 day made, nothing half made; run it again to go on\n"
    assert [one.name for one in root.iterdir()] == [f"{DAY}.db"]
    code, out, _ = run("t.parquet", "--json")
    assert [day["what"] for day in json.loads(out)["days"]] == ["there already", "imported"]


def test_on_a_terminal_the_progress_is_a_bar(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """On standard error; the output is for pipes."""
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    with import_cmd._told() as tell:
        tell("t.zip: ticks taken over", 1, 2)
    shown = capsys.readouterr()
    assert shown.out == ""
    assert "t.zip: ticks taken over" in shown.err
    assert "1/2" in shown.err
