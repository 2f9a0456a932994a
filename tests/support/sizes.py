"""How much is played of what is drawn by a seed: all of it with TESTS=complete, as in .ci/run; otherwise a third."""

from __future__ import annotations

import os
from math import ceil
from typing import Final

IS_COMPLETE: Final = os.environ.get("TESTS") == "complete"


def drawn(number: int) -> int:
    """How many of so many seeds or examples to play here."""
    return number if IS_COMPLETE else ceil(number / 3)
