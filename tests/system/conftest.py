"""What every test on a machine of its own works with."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest
from support.machine import Machine, why_not
from support.machine_service import MachineSimulator

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

# Set by .ci/run, where a test that did not run has failed.
DEMAND = "SYSTEM_TESTS"


@pytest.fixture
def bare_machine(tmp_path: Path) -> Iterator[Machine]:
    """A machine that is not started and has nothing installed."""
    reason = why_not()
    if reason and os.environ.get(DEMAND) == "required":
        pytest.fail(f"{DEMAND}=required, but {reason}", pytrace=False)
    if reason:
        pytest.skip(f"{reason}; .ci/run has all that is needed")
    machine = Machine(tmp_path)
    try:
        yield machine
    finally:
        machine.end()


@pytest.fixture
def machine(bare_machine: Machine) -> Machine:
    """A machine that runs, with the project installed as the documents say, and no settings yet."""
    bare_machine.install_project()
    return bare_machine.start()


@pytest.fixture
def simulate(machine: Machine) -> Iterator[Callable[..., MachineSimulator]]:
    """Starts an OpenD on the machine: `simulate(rate=100.0, symbols=5)`, a stream by the wall clock."""
    made: list[MachineSimulator] = []

    def start(*options: str, symbols: int = 5, rate: float = 100.0) -> MachineSimulator:
        made.append(
            MachineSimulator(machine, *("--now", "--hold", "--rate", str(rate), "--symbols", str(symbols)), *options)
        )
        return made[-1].start()

    yield start
    for simulator in made:
        simulator.stop()
