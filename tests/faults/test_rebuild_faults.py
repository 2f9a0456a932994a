"""A rebuild beside a recorder that records, and one that is killed while it replaces a database."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import apsw
import pytest
from support import warm
from support.killing import killed_command
from support.late_ticks import assert_stats_true, stored
from support.once import made_once
from support.recorder_process import RecorderProcess, until
from support.simulator_process import SimulatorProcess

from hk_tick_collector.simulator.verdict import compare
from hk_tick_collector.store.schema import day_files

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.faults

SYMBOLS = ("HK.00700", "HK.09988")
DAY = "20261120"
OPENING = ("--date", DAY, "--start", "09:30", "--speed", "60", "--ticks-per-day", "100000", "--hold")


def rebuild(root: Path, *options: str, killed: tuple[str, str, str] | None = None) -> subprocess.CompletedProcess[str]:
    """The command, killed at a step or not."""
    start = [sys.executable, "-m", "hk_tick_collector.cli.app"]
    if killed:
        start = killed_command("os" if killed[0] == "link" else "hk_tick_collector.repair.rebuild", *killed)
    line = [*start, "rebuild", "--day", DAY, "--data-root", str(root), "--json", *options]
    return warm.run(line, timeout=90)


def test_beside_a_recorder_it_finds_no_difference_and_replaces_nothing(tmp_path: Path) -> None:
    """The comparison is of one moment, however fast ticks come in; after the stop the day is made again, exactly."""
    with (
        SimulatorProcess(tmp_path, *OPENING, "--symbols", ",".join(SYMBOLS)) as sim,
        RecorderProcess(tmp_path, sim.port, SYMBOLS, name="data") as recorder,
    ):
        root = recorder.data_root
        until(lambda: len(recorder.rows()) > 2000, "it records")
        before = sim.command("stats")["made"]
        beside = rebuild(root)
        assert sim.command("stats")["made"] > before, "it was not beside a recorder at work"
        assert beside.returncode == 0, beside
        told = json.loads(beside.stdout)
        assert told["recorder_running"]
        assert told["existing"] > 0
        assert (told["only_existing"], told["different"]) == (0, 0)
        assert told["only_rebuilt"] == told["not_stored_yet"]
        refused = rebuild(root, "--replace")
        assert (refused.returncode, refused.stdout) == (2, "")
        sim.command("pause")
        recorder.wait_until_stored(sim)
        assert recorder.stop() == 0
        assert json.loads(rebuild(root).stdout)["same"]
        (path,) = day_files(root)
        right = stored(path)
        con = apsw.Connection(str(path))
        con.execute("UPDATE ticks SET ts_ms = ts_ms + 28800000; DELETE FROM ticks WHERE volume % 200 = 0")
        con.close()
        assert stored(path) != right
        done = rebuild(root, "--replace")
        assert done.returncode == 0, done
        assert json.loads(done.stdout)["only_rebuilt"] > 0
        assert stored(path) == right
        assert_stats_true(path)
        recorder.start()
        sim.command("resume")
        recorder.wait_for("backfill_done", 2)
        sim.command("pause")
        recorder.wait_until_stored(sim)
        assert recorder.stop() == 0
    assert compare(sim.ledger_path, root).ok


@pytest.mark.parametrize("moment", ["before", "behind"])
@pytest.mark.parametrize(
    ("step", "number"),
    [
        ("_write", "1"),  # the journal into a database of its own
        ("sync", "1"),  # the rebuilt database, on the disk
        ("sync", "2"),  # its name beside the existing one
        ("_leave_wal", "2"),  # the existing one made one plain file
        ("link", "1"),  # its second name
        ("sync", "3"),  # the rebuilt one in its place
    ],
)
def test_killed_while_it_replaces_there_is_always_a_database(
    step: str, number: str, moment: str, tmp_path: Path, damaged_day: Path
) -> None:
    """The old one or the new one, whole; and the next run ends it."""
    root = tmp_path / "data"
    subprocess.run(["cp", "-a", damaged_day, root], check=True)
    (path,) = day_files(root)
    wrong = stored(path)
    killed = rebuild(root, "--replace", killed=(step, number, moment))
    assert killed.returncode == -signal.SIGKILL, killed
    then = stored(path)
    done = rebuild(root, "--replace")
    assert done.returncode == 0, done
    right = stored(path)
    assert wrong != right
    assert then in (wrong, right)
    assert (then == right) is (step == "sync" and number == "3")
    assert wrong in [stored(backup) for backup in root.glob(f"{DAY}.db.bak-*")]
    assert not list(root.glob(".rebuild-*"))
    assert json.loads(rebuild(root).stdout)["same"]
    assert_stats_true(path)


@pytest.fixture(scope="module")
def damaged_day(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A recorded day whose times somebody has changed since."""
    return made_once(tmp_path_factory, "damaged", damage) / "data"


def damage(directory: Path) -> None:
    """Eight hours late, all of them."""
    with (
        SimulatorProcess(directory, *OPENING, "--symbols", SYMBOLS[0]) as sim,
        RecorderProcess(directory, sim.port, SYMBOLS[:1], name="data") as recorder,
    ):
        until(lambda: len(recorder.rows()) > 2000, "it records")
        sim.command("pause")
        recorder.wait_until_stored(sim)
        assert recorder.stop() == 0
    (path,) = day_files(recorder.data_root)
    con = apsw.Connection(str(path))
    con.execute("UPDATE ticks SET ts_ms = ts_ms + 28800000")
    con.close()
