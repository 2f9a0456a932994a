"""`hk-tick-collector repair`, and the script of that purpose's old name."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from support.late_ticks import HOUR_MS, LATE_MS, Tick, bytes_of, make_current, make_older, stored, tick
from support.ticks import DAY, DAY_MS, NEXT_DAY, OPEN_MS, TENCENT

from hk_tick_collector.cli.app import entry
from hk_tick_collector.cli.progress import Progress
from hk_tick_collector.hktime import hk_day, hk_text, utc_text

if TYPE_CHECKING:
    from collections.abc import Callable

SCRIPT = Path(__file__).parents[3] / "scripts" / "repair_future_ts_ms.py"

Run = Any


@pytest.fixture
def repair(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str, str]]:
    """The command as it is typed: its exit code, and what it said on both outputs."""
    monkeypatch.setenv("COLUMNS", "80")

    def run(*args: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["hk-tick-collector", "repair", *map(str, args)])
        with pytest.raises(SystemExit) as ended:
            entry()
        said = capsys.readouterr()
        return int(ended.value.code or 0), said.out, said.err

    return run


def now_ms() -> int:
    """The host's clock."""
    return time.time_ns() // 1_000_000


def test_rows_in_the_future_are_put_right(root: Path, repair: Run) -> None:
    """Without options: more than two hours ahead of the host's clock, by eight hours; samples with both zones."""
    at = now_ms() // 1000 * 1000
    path = make_older(root / "ticks.db", [Tick(TENCENT, n, at - n * 1000, LATE_MS) for n in range(1, 8)])
    code, out, err = repair(path)
    assert (code, err) == (0, "")
    assert [ts_ms for _, _, ts_ms, *_ in stored(path)] == [at - n * 1000 for n in range(1, 8)]
    assert "repaired: 7 rows in 1 file\n" in out
    before, after = at - 1000 + LATE_MS, at - 1000
    for ts_ms in (before, after):
        (line,) = [line for line in out.splitlines() if f" {ts_ms} " in line]
        assert hk_text(ts_ms) in line
        assert utc_text(ts_ms) in line
        assert hk_day(ts_ms) in line
    assert out.count(" 372.4 ") == 10  # five before, five after
    assert "backup: " in out
    code, out, _ = repair(path)
    assert (code, "repaired: 0 rows in 0 files" in out) == (0, True)


def test_a_day_of_data_root_by_the_sequence(root: Path, repair: Run) -> None:
    """On whatever day it is run; only the day that is named."""
    make_current(root / f"{DAY}.db", [tick(TENCENT, 1, OPEN_MS, LATE_MS)])
    make_current(root / f"{NEXT_DAY}.db", [tick(TENCENT, 2, OPEN_MS + DAY_MS, LATE_MS)])
    code, out, _ = repair("--data-root", root, "--by-seq", "--day", DAY, "--json")
    told = json.loads(out)
    assert (code, told["exit_code"], told["repaired"], told["by_seq"], told["dry_run"]) == (0, 0, 1, True, False)
    (file,) = told["files"]
    assert (file["path"], file["kind"], file["late"]) == (str(root / f"{DAY}.db"), "current", 1)
    assert file["before"][0]["ts_ms"] - file["after"][0]["ts_ms"] == LATE_MS
    assert Path(file["backups"][0]).is_file()
    assert stored(root / f"{NEXT_DAY}.db")[0][2] == OPEN_MS + DAY_MS + LATE_MS
    assert json.loads(repair("--data-root", root, "--by-seq", "--json")[1])["repaired"] == 1


def test_threshold_and_correction_can_be_set(root: Path, repair: Run) -> None:
    """A fault of another size, found nearer to now."""
    at = now_ms() // 1000 * 1000
    path = make_older(root / "x.db", [Tick(TENCENT, 1, at, HOUR_MS), Tick(TENCENT, 2, at, HOUR_MS // 4)])
    assert repair(path, "--json")[0] == 0
    code, out, _ = repair(path, "--threshold-hours", "0.5", "--correction-hours", "1", "--json")
    assert (code, json.loads(out)["repaired"], json.loads(out)["correction_hours"]) == (0, 1, 1.0)
    assert [ts_ms for _, _, ts_ms, *_ in stored(path)] == [at, at + HOUR_MS // 4]


def test_a_dry_run_says_what_would_be(root: Path, repair: Run) -> None:
    """And changes not one byte."""
    auction = tick(TENCENT, 9, OPEN_MS + 6 * HOUR_MS + 60_000, LATE_MS)
    make_current(root / f"{NEXT_DAY}.db", [auction])
    before = bytes_of(root)
    code, out, _ = repair("--data-root", root, "--by-seq", "--dry-run")
    assert code == 0
    assert bytes_of(root) == before
    assert f"{NEXT_DAY}.db: 1 row would go to {DAY}.db" in out
    assert "would be repaired: 1 row in 1 file\n" in out


def test_rows_that_are_no_such_fault_end_with_1(root: Path, repair: Run) -> None:
    """In the future, and proven by their sequence: it is the host's clock that is wrong."""
    at = now_ms() + 5 * HOUR_MS
    make_current(root / f"{hk_day(at)}.db", [tick(TENCENT, 1, at)])
    code, out, _ = repair("--data-root", root)
    assert code == 1
    assert "1 row in the future for another reason: is the host's clock right?" in out
    assert repair("--data-root", root, "--by-seq")[0] == 0


def test_a_file_that_can_not_be_repaired_ends_with_1(root: Path, repair: Run) -> None:
    """It is named, the others are done."""
    (root / f"{DAY}.db").write_bytes(b"nonsense" * 100)
    make_current(root / f"{NEXT_DAY}.db", [tick(TENCENT, 2, OPEN_MS + DAY_MS, LATE_MS)])
    code, out, _ = repair("--data-root", root, "--by-seq")
    assert code == 1
    assert f"not repaired, 0 late rows: {root / DAY}.db" in out
    assert "repaired: 1 row in 1 file\n" in out


def test_nothing_to_do_is_well(root: Path, repair: Run) -> None:
    """A DATA_ROOT without a day."""
    assert repair("--data-root", root)[0] == 0


@pytest.mark.parametrize(
    ("args", "error"),
    [
        (["--data-root", "nowhere"], "this directory does not exist; pass --data-root DIRECTORY, or set DATA_ROOT"),
        (["--data-root", "data", "--correction-hours", "inf"], "--correction-hours inf, expected at most 8784 hours"),
        (["--data-root", "data", "--threshold-hours", "inf"], "--threshold-hours inf, expected at most 8784 hours"),
        (["--data-root", "data", "--day", "tomorrow"], "day 'tomorrow', expected today, yesterday, or a date such as"),
        (["--data-root", "data", DAY], "no day database in"),
        (["a.db", "--day", DAY], "either files, or a DATA_ROOT"),
        (["nowhere.db"], "nowhere.db does not exist"),
        (["--data-root", "data", "--day", DAY], "no day database in"),
        (["a.db", "--data-root", "data"], "either files, or a DATA_ROOT"),
        (["--correction-hours", "0"], "Invalid value for '--correction-hours'"),
        (["--threshold-hours", "-1"], "Invalid value for '--threshold-hours'"),
    ],
)
@pytest.mark.usefixtures("root")
def test_wrong_usage_ends_with_2(args: list[str], error: str, repair: Run) -> None:
    """And says what is wrong."""
    code, _, err = repair(*args)
    assert code == 2
    assert error in err


def test_progress_is_a_line_now_and_then(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Not one for each step."""
    now = 100.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    progress = Progress()
    for now in (100.5, 101.9, 102.0, 102.1, 104.0):
        progress.tell("20261120.db: looked at", int(now * 10_000), 2_000_000)
    assert capsys.readouterr().err == (
        "20261120.db: looked at: 1,020,000 of 2,000,000\n20261120.db: looked at: 1,040,000 of 2,000,000\n"
    )


@pytest.mark.parametrize("isolated", [True, False], ids=["from a checkout", "installed"])
def test_the_script_does_the_same(root: Path, *, isolated: bool) -> None:
    """With the package installed, or found beside the script."""
    path = make_older(root / f"{DAY}.db", [tick(TENCENT, 1, OPEN_MS, LATE_MS)])
    # `-I -S` leaves no site-packages, so the package can only come from beside the script; what it needs is given back.
    places = [place for place in sys.path if place.endswith("site-packages")]
    hidden = (
        f"import runpy, sys; sys.path += {places!r}; sys.argv = sys.argv[1:]; "
        "runpy.run_path(sys.argv[0], run_name='__main__')"
    )
    command = [sys.executable, "-S", "-I", "-c", hidden, SCRIPT] if isolated else [sys.executable, SCRIPT]
    arguments = ["--data-root", root, "--by-seq", "--json"]
    done = subprocess.run([*command, *arguments], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["repaired"] == 1
    assert stored(path)[0][2] == OPEN_MS


@pytest.mark.parametrize("has_venv", [True, False])
def test_the_script_finds_the_checkout_s_own_python(tmp_path: Path, *, has_venv: bool) -> None:
    """Called with a Python that lacks the dependencies, it works by the checkout's, or says how to install them."""
    script = tmp_path / "scripts" / SCRIPT.name
    script.parent.mkdir()
    script.write_text(SCRIPT.read_text())
    (tmp_path / "hk_tick_collector").symlink_to(SCRIPT.parents[1] / "hk_tick_collector")
    if has_venv:
        (tmp_path / ".venv").symlink_to(sys.prefix)
    command = [sys.executable, "-S", "-I", script, "--help"]  # -S: no site-packages
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    if has_venv:
        assert (done.returncode, done.stderr) == (0, "")
        assert "Options:" in done.stdout
    else:
        said = f"repair_future_ts_ms: {sys.executable} lacks what the program needs (No module named 'typer'): run "
        assert (done.returncode, done.stdout) == (2, "")
        assert done.stderr.startswith(f"{said}`bash tools/bootstrap.sh run` in {tmp_path} first, or use ")
        assert done.stderr.count("\n") == 1
