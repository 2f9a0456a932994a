"""What every fault test works with."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from support.bench import Bench
from support.fault_rig import FaultRig

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    """Simulators and recorders that end with the test."""
    made = Bench(tmp_path)
    try:
        yield made
    finally:
        made.end()


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[FaultRig]:
    """A simulator and a recorder whose losses are compared with the gaps; they end with the test."""
    made = FaultRig(tmp_path)
    try:
        yield made
    finally:
        made.end()
