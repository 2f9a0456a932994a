"""What every test on a machine of its own works with."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from support.machine import Machine, why_not
from support.machine_service import MachineSimulator
from support.needs import need

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


@pytest.fixture
def bare_machine(tmp_path: Path) -> Iterator[Machine]:
    """A machine that is not started and has nothing installed."""
    need(why_not())
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
