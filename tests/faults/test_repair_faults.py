"""A repair that is killed at every one of its steps, and one beside a recorder that records."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest
from support import warm
from support.killing import killed_command
from support.late_ticks import HOUR_MS, LATE_MS, Tick, assert_stats_true, make_current, make_older, query, stored, tick
from support.needs import mount, unmount
from support.recorder_process import RecorderProcess
from support.simulator_process import SimulatorProcess
from support.ticks import DAY, DAY_MS, HSBC, NEXT_DAY, OPEN_MS, TENCENT

from hk_tick_collector.store.schema import day_files

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

    Make = Callable[[Path, Iterable[Tick]], Path]

pytestmark = pytest.mark.faults

AUCTION_MS = OPEN_MS + 6 * HOUR_MS + 8 * 60_000


def repair(root: Path, killed: tuple[str, int, str] | None = None) -> subprocess.CompletedProcess[str]:
    """The command, killed at a step or not."""
    start = [sys.executable, "-m", "hk_tick_collector.cli.app"]
    if killed:
        owner = "times" if killed[0] == "back_up" else "tick_file:TickFile"
        start = killed_command(f"hk_tick_collector.repair.{owner}", *killed)
    args = [*start, "repair", "--by-seq", "--json", "--data-root", str(root)]
    return warm.run(args, timeout=90)


def make_days(root: Path, make: Make) -> None:
    """Two days with all that can happen: late here, late and of the other day, there already, there otherwise."""
    root.mkdir()
    there, otherwise = tick(TENCENT, 8, AUCTION_MS), tick(HSBC, 8, AUCTION_MS)
    here = [tick(TENCENT, n, OPEN_MS, LATE_MS) for n in range(3)]
    make(root / f"{DAY}.db", [*here, there, otherwise, tick(HSBC, 1, OPEN_MS)])
    away = [tick(TENCENT, n, AUCTION_MS, LATE_MS) for n in range(20, 23)]
    collide = [there._replace(late_ms=LATE_MS), otherwise._replace(late_ms=LATE_MS, price=1.0)]
    make(root / f"{NEXT_DAY}.db", [*away, *collide, tick(TENCENT, 1, OPEN_MS + DAY_MS, LATE_MS)])


def state(root: Path) -> list[Any]:
    """All that a reader of the days can see."""
    found: list[Any] = []
    for path in day_files(root):
        tables = sorted(name for (name,) in query(path, "SELECT name FROM sqlite_schema WHERE type = 'table'"))
        assert query(path, "PRAGMA integrity_check") == [("ok",)]
        found += [(path.name, table, sorted(query(path, f"SELECT * FROM {table}"), key=repr)) for table in tables]  # noqa: S608
    return found


@pytest.fixture(scope="module")
def repaired(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Make], Path]:
    """Gives the days after a repair that nobody killed."""
    done: dict[Make, Path] = {}

    def whole(make: Make) -> Path:
        if make not in done:
            root = tmp_path_factory.mktemp("whole") / "data"
            make_days(root, make)
            told = repair(root)
            assert told.returncode == 0, told.stderr
            done[make] = root
        return done[make]

    return whole


@pytest.mark.parametrize("make", [make_current, make_older], ids=["current", "older"])
@pytest.mark.parametrize("moment", ["before", "behind"])
@pytest.mark.parametrize(
    ("step", "number"),
    [
        ("back_up", 1),  # of the first day
        ("back_up", 2),  # of the second
        ("put_right_here", 1),
        ("commit", 1),  # of the first day
        ("put", 2),  # rows of the second day into the first; the first `put` is the first day's own
        ("commit", 2),  # of these
        ("put_right_here", 2),
        ("commit", 3),  # of the second day
    ],
)
def test_killed_at_any_step_the_next_run_ends_it(
    make: Make, step: str, number: int, moment: str, tmp_path: Path, repaired: Callable[[Make], Path]
) -> None:
    """No tick is ever lost, and the end is the same as of a repair that nobody killed."""
    whole = repaired(make)
    make_days(tmp_path / "killed", make)
    killed = repair(tmp_path / "killed", (step, number, moment))
    assert killed.returncode == -signal.SIGKILL, killed
    keys = {row[:2] for path in day_files(tmp_path / "killed") for row in stored(path)}
    assert keys == {row[:2] for path in day_files(whole) for row in stored(path)}
    again = repair(tmp_path / "killed")
    assert again.returncode == 0, again.stderr
    assert state(tmp_path / "killed") == state(whole)
    if make is make_current:
        for path in day_files(tmp_path / "killed"):
            assert_stats_true(path)
    assert json.loads(repair(tmp_path / "killed").stdout)["repaired"] == 0


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Callable[[int], Path]]:
    """Gives a file system of its own, of so many bytes."""
    root = tmp_path / "disk"
    root.mkdir()

    def mount_small(size_bytes: int) -> Path:
        mount(root, f"size={size_bytes}")
        return root

    yield mount_small
    if os.path.ismount(root):
        unmount(root, is_busy=True)


@pytest.mark.parametrize("make", [make_current, make_older], ids=["current", "older"])
@pytest.mark.parametrize(("sizes", "has_backup"), [(1.5, False), (2.3, True)], ids=["the copy", "the transaction"])
def test_a_full_disk_changes_nothing(
    make: Make, sizes: float, *, has_backup: bool, tmp_path: Path, small_disk: Callable[[int], Path]
) -> None:
    """Be it full while the copy is made or while rows are put right; with space it is all done."""
    made = make(tmp_path / f"{DAY}.db", [tick(TENCENT, n, OPEN_MS, LATE_MS) for n in range(4000)])
    root = small_disk(int(made.stat().st_size * sizes))
    path = root / made.name
    shutil.copyfile(made, path)
    before = stored(path)
    for wal in root.glob("*-*m"):
        wal.unlink()
    failed = repair(root)
    assert failed.returncode == 1, failed
    (file,) = json.loads(failed.stdout)["files"]
    assert "full" in file["error"] or "No space left" in file["error"]
    assert (file["repaired"], file["late"]) == (0, 4000)
    assert stored(path) == before
    assert not list(root.glob("*.partial*"))
    assert bool(list(root.glob("*.bak-*"))) is has_backup
    subprocess.run(["mount", "-o", "remount,size=64m", root], check=True)
    assert repair(root).returncode == 0
    assert [ts_ms for _, _, ts_ms, *_ in stored(path)] == [OPEN_MS] * 4000


def test_beside_a_recorder_nothing_is_repaired(tmp_path: Path) -> None:
    """One line, exit 2, and the recorder goes on; when it has stopped, the old day is repaired, and nothing else."""
    with (
        SimulatorProcess(tmp_path, "--now", "--hold", "--symbols", TENCENT) as sim,
        RecorderProcess(tmp_path, sim.port, [TENCENT], name="data") as recorder,
    ):
        recorder.wait_for("backfill_done")
        old = make_current(recorder.data_root / f"{DAY}.db", [tick(TENCENT, 1, OPEN_MS, LATE_MS)])
        before = stored(old)
        refused = repair(recorder.data_root)
        assert refused.returncode == 2
        assert refused.stdout == ""
        (line,) = refused.stderr.splitlines()
        assert f"writes to {recorder.data_root}: stop it first" in line
        assert "recorder pid " in line
        assert stored(old) == before
        sim.command("pause")
        recorder.wait_until_stored(sim)
        assert recorder.stop() == 0
        recorded = recorder.stored() - {row[:2] for row in stored(old)}
        done = repair(recorder.data_root)
        assert done.returncode == 0, done.stderr
        assert json.loads(done.stdout)["repaired"] == 1
        assert stored(old)[0][2] == OPEN_MS
        assert recorder.stored() - {row[:2] for row in stored(old)} == recorded >= sim.ledger().ticks.keys()
