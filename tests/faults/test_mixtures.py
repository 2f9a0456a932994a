"""No silent loss, whatever comes together: 200 mixtures of faults, each by its seed."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest
from support.mixtures import Lane

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.faults

SEEDS = 200
LANES = 6  # they wait more than they work


def drive(directory: Path, number: int) -> list[str]:
    """Go through every sixth seed on one lane; what went wrong. After that the lane is another one, for the others."""
    wrong: list[str] = []
    seeds = list(range(number, SEEDS, LANES))
    while seeds:
        lane = Lane(directory / f"lane{number}-{seeds[0]}", number)
        try:
            while seeds:
                lane.run(seeds.pop(0))
        except AssertionError as exc:
            wrong.append(str(exc))
        finally:
            lane.end()
    return wrong


@pytest.mark.timeout(900)
def test_whatever_comes_together_nothing_is_lost_in_silence(tmp_path: Path) -> None:
    """Each trade is stored or inside a gap, by the cause that did it, and no gap is where nothing is lost."""
    with ThreadPoolExecutor(LANES) as lanes:
        wrong = [tale for told in lanes.map(drive, [tmp_path] * LANES, range(LANES)) for tale in told]
    assert not wrong, f"{len(wrong)} of {SEEDS} mixtures:\n" + "\n\n".join(wrong)
