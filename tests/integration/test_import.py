"""`hk-tick-collector import` as a process: killed in the middle, interrupted, and run again."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from typing import TYPE_CHECKING, Any, Final

import pytest
from support.archiving import folder_of, make_archived
from support.importing import exported, state_of
from support.late_ticks import query
from support.recorder_process import until
from support.ticks import DAY, DAY_MS, NEXT_DAY, OPEN_MS, row, seq_at

from hk_tick_collector.db import DayDatabase, Pragmas

if TYPE_CHECKING:
    from pathlib import Path

COMMAND: Final = (sys.executable, "-m", "hk_tick_collector.cli.app", "import")
TICKS: Final = 30_000
ALL: Final = "SELECT * FROM ticks"


@pytest.fixture
def src(tmp_path: Path) -> Path:
    """A DATA_ROOT with two days that take a while."""
    root = tmp_path / "src"
    root.mkdir()
    for day, begin_ms in ((DAY, OPEN_MS), (NEXT_DAY, OPEN_MS + DAY_MS)):
        database = DayDatabase(root / f"{day}.db", Pragmas(synchronous="OFF"))
        for symbol in ("HK.00005", "HK.00700"):
            database.store({symbol: [row(symbol, seq_at(n, begin_ms), begin_ms) for n in range(TICKS)]}, {})
        database.close()
    return root


def start(path: Path, root: Path) -> subprocess.Popen[str]:
    """The command."""
    command = (*COMMAND, str(path), "--data-root", str(root), "--json")
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def finish(path: Path, root: Path) -> tuple[int, list[dict[str, Any]]]:
    """Its exit code, and what became of each day."""
    with start(path, root) as process:
        out, err = process.communicate()
    assert out, err
    return process.returncode, json.loads(out)["days"]


def scratch_size(root: Path, day: str) -> int:
    """The size of a day that is being made; 0: it is not."""
    path = root / ".import" / f"{day}.db"
    return path.stat().st_size if path.exists() else 0


def test_a_killed_run_leaves_no_half_day_and_the_next_one_goes_on(src: Path, tmp_path: Path) -> None:
    """Killed as the first day is made, and as the next one is made: a day that is there is whole."""
    root = tmp_path / "data"
    file = exported(src, tmp_path / "t.parquet")
    before = state_of(file)
    moments = (
        (lambda: scratch_size(root, DAY) > 500_000, []),
        (lambda: scratch_size(root, NEXT_DAY) > 500_000, [f"{DAY}.db"]),
    )
    for moment, there in moments:
        process = start(file, root)
        until(lambda at=moment, it=process: at() or it.poll() is not None, "the moment of the kill")
        process.send_signal(signal.SIGKILL)
        process.communicate()
        assert process.returncode == -signal.SIGKILL, "it had ended before"
        assert (root / ".import").exists()
        assert sorted(path.name for path in root.glob("*.db")) == there
        for name in there:
            assert query(root / name, ALL) == query(src / name, ALL)
    code, days = finish(file, root)
    assert (code, [day["what"] for day in days]) == (0, ["there already", "imported"])
    for day in (DAY, NEXT_DAY):
        assert query(root / f"{day}.db", ALL) == query(src / f"{day}.db", ALL)
    assert sorted(path.name for path in root.iterdir()) == [f"{DAY}.db", f"{NEXT_DAY}.db"]
    assert state_of(file) == before


def test_ctrl_c_leaves_nothing_half_made(src: Path, tmp_path: Path) -> None:
    """Both days of a zip are made in one pass: neither is there, one line says it, and the scratch is gone."""
    root = tmp_path / "data"
    file = exported(src, tmp_path / "t.zip")
    process = start(file, root)
    until(lambda: scratch_size(root, DAY) > 500_000 or process.poll() is not None, "the moment of Ctrl-C")
    process.send_signal(signal.SIGINT)
    out, err = process.communicate()
    assert (process.returncode, out) == (130, "")
    assert err.splitlines()[-1] == "interrupted: 0 days made, nothing half made; run it again to go on"
    assert "Traceback" not in err
    assert list(root.iterdir()) == []
    code, days = finish(file, root)
    assert (code, [day["what"] for day in days]) == (0, ["imported", "imported"])


def test_a_source_that_can_only_be_read_is_enough(tmp_path: Path) -> None:
    """No file is made beside it."""
    folder = folder_of(make_archived(tmp_path / "other"))
    for path in (*folder.iterdir(), folder):
        path.chmod(0o555)
    before = state_of(folder)
    try:
        code, days = finish(folder, tmp_path / "data")
    finally:
        folder.chmod(0o755)
        after = state_of(folder)
    assert (code, [day["what"] for day in days]) == (0, ["proven"])
    assert after == before
