"""What the tests of the modules share."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from support.scenario import Scenario
from support.still_recorder import StillRecorder

from hk_tick_collector.writer import loop as writer_module

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def scenario(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Scenario]:
    """In DATA_ROOT `tmp_path`; nobody listens to its writers."""
    monkeypatch.setattr(writer_module, "send", lambda _message: None)
    made = Scenario(tmp_path)
    yield made
    made.journal.close(5)


@pytest.fixture
def recorder(tmp_path: Path) -> Iterator[StillRecorder]:
    """A recorder that has just begun."""
    made = StillRecorder(tmp_path)
    yield made
    made.journal.close(60)
