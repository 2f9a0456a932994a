"""Whole days of 200 seeds (`support.sizes`), through the real writer and audit: what is concluded of them is true."""

from __future__ import annotations

import json
from random import Random
from typing import TYPE_CHECKING, Final

import pytest
from support.once import made_once
from support.sizes import drawn
from worlds.rates import Fault, alarms_max
from worlds.report import result
from worlds.weathers import draw_plan

if TYPE_CHECKING:
    from pathlib import Path

SEEDS: Final = range(20_000, 20_000 + drawn(200))
CHUNK: Final = 50

each_chunk = pytest.mark.parametrize("first", SEEDS[::CHUNK])


@pytest.fixture
def faults_of(tmp_path_factory: pytest.TempPathFactory, first: int) -> dict[int, list[str]]:
    """By seed of a chunk, the faults of its symbols; each world is played once for all tests."""

    def play(directory: Path) -> None:
        found = {
            seed: [sorted(day.faults) for day in result(seed).days]
            for seed in range(first, min(first + CHUNK, SEEDS.stop))
        }
        (directory / "faults.json").write_text(json.dumps(found), encoding="utf-8")

    path = made_once(tmp_path_factory, f"worlds-{first}", play) / "faults.json"
    told: dict[str, list[list[str]]] = json.loads(path.read_bytes())
    return {int(seed): [fault for of_symbol in days for fault in of_symbol] for seed, days in told.items()}


def assert_none(faults_of: dict[int, list[str]], fault: Fault) -> None:
    """No world has it; `PYTHONPATH=tests python -m worlds --seed N --show` tells of one that has."""
    seeds = [seed for seed, faults in faults_of.items() if fault in faults]
    assert not seeds, f"{fault} in the worlds of these seeds: {seeds}"


@each_chunk
def test_no_day_is_complete_of_which_a_trade_never_came(faults_of: dict[int, list[str]]) -> None:
    """Whatever snapshots, clocks, calendars and sequences say: COMPLETE means that nothing is missing."""
    assert_none(faults_of, Fault.FALSE_COMPLETE)


@each_chunk
def test_no_gap_is_filled_in_which_a_trade_never_came(faults_of: dict[int, list[str]]) -> None:
    """Unless another gap, that is open, tells of it."""
    assert_none(faults_of, Fault.FALSE_FILLING)


@each_chunk
def test_what_came_is_stored(faults_of: dict[int, list[str]]) -> None:
    """No trade that is in the journal is without a row."""
    assert_none(faults_of, Fault.LOST_ROWS)


@each_chunk
def test_nothing_is_incomplete_of_which_all_came(faults_of: dict[int, list[str]]) -> None:
    """Where the day's snapshots are true, but for one in a hundred; those have a limit in `make stories`."""
    true = {s: faults for s, faults in faults_of.items() if alarms_max(draw_plan(Random(s)).weathers) == 0}
    assert true
    assert_none(true, Fault.FALSE_ALARM)
