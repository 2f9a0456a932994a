"""What the commands' tests share."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from hk_tick_collector.config import NAMES

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty DATA_ROOT, no settings from elsewhere, and a wide terminal without colours."""
    monkeypatch.chdir(tmp_path)
    for name in (*NAMES, "HK_TICK_CONFIG", "FORCE_COLOR", "TTY_COMPATIBLE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("COLUMNS", "200")
    made = tmp_path / "data"
    made.mkdir()
    return made
