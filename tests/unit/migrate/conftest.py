"""What the tests of the migration share."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def old(tmp_path: Path) -> Path:
    """The older recorder's DATA_ROOT."""
    made = tmp_path / "old"
    made.mkdir()
    return made
