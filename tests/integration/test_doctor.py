"""`doctor --premises` against a simulated OpenD: a recorder of its own, and a report that names no account."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest
from support.simulator_process import SimulatorProcess

from hk_tick_collector.simulator.universe import universe

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SYMBOLS = universe(3, 0)


@pytest.fixture
def sim(tmp_path: Path) -> Iterator[SimulatorProcess]:
    """A simulated OpenD that trades as soon as somebody subscribes."""
    options = ("--now", "--hold", "--rate", "60", "--symbols", "3", "--no-rate-limits")
    with SimulatorProcess(tmp_path, *options) as made:
        yield made


def doctor(directory: Path, *options: str, **settings: object) -> subprocess.CompletedProcess[str]:
    """Run it, with an environment of its own."""
    command = [sys.executable, "-m", "hk_tick_collector.cli.app", "doctor", *options]
    environ = {"PATH": os.environ["PATH"], "HOME": str(directory), **{k: str(v) for k, v in settings.items()}}
    return subprocess.run(
        command, cwd=directory, env=environ, capture_output=True, text=True, timeout=110, check=False
    )  # fmt: skip


def measured(sim: SimulatorProcess, directory: Path) -> dict[str, Any]:
    """What it says as JSON, after some seconds."""
    options = ("--premises", "--minutes", "0.2", "--json", "--keep", str(directory / "kept"))
    done = doctor(directory, *options, FUTU_PORT=sim.port, FUTU_SYMBOLS=",".join(SYMBOLS))
    assert done.returncode in {0, 1}, done.stderr
    told: dict[str, Any] = json.loads(done.stdout)
    assert told["exit_code"] == done.returncode
    return told


def answers(told: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """By premise."""
    return {answer["premise"]: answer for answer in told["answers"]}


def test_a_feed_that_keeps_its_word_is_measured(sim: SimulatorProcess, tmp_path: Path) -> None:
    """Ticks, ordinals and sequences were seen; nothing failed; what was recorded is kept where that was asked for."""
    told = measured(sim, tmp_path)
    assert told["exit_code"] == 0
    assert told["symbols"] == len(SYMBOLS)
    assert told["ticks"] > 300
    assert answers(told)["ordinals_count"]["failed"] == 0
    assert answers(told)["same_sequence"]["held"] > 0
    assert told["delays"]["of"] > 300
    assert list((tmp_path / "kept").glob("*.db"))


def test_renumbered_replies_are_told_and_end_with_1(sim: SimulatorProcess, tmp_path: Path) -> None:
    """GetTicker counts its own ticks: the report says of how many symbols, and no tick is stored twice."""
    assert sim.command("renumber", on=True)["n"] == len(SYMBOLS)
    told = measured(sim, tmp_path)
    assert told["exit_code"] == 1
    assert answers(told)["same_sequence"]["symbols_failed"] > 0
    sim.command("pause")
    assert told["ticks"] <= len(sim.ledger().ticks)


@pytest.mark.parametrize(
    ("options", "settings", "line"),
    [
        ((), {}, "doctor: expected --premises"),
        (("--premises", "--minutes", "0"), {}, "--minutes 0, expected more than 0 and at most 600"),
        (("--premises",), {"FUTU_SYMBOLS": ""}, "FUTU_SYMBOLS"),
    ],
)
def test_what_makes_no_sense_is_one_line(
    tmp_path: Path, options: tuple[str, ...], settings: dict[str, str], line: str
) -> None:
    """Nothing is started then, and it ends with 2."""
    done = doctor(tmp_path, *options, **settings)
    assert done.returncode == 2
    assert line in done.stderr
    assert done.stderr.count("\n") == 1


def test_no_opend_is_one_line(tmp_path: Path) -> None:
    """Whether it is away or never comes, it ends with 1 and the recorder's own words."""
    done = doctor(tmp_path, "--premises", "--minutes", "0.05", FUTU_PORT=1, FUTU_SYMBOLS="HK.00700")
    assert done.returncode == 1
    assert "nothing came in 0.05 minutes" in done.stderr
    assert done.stderr.count("\n") == 1
