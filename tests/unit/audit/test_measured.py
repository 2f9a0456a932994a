"""What a recording shows of the premises; `doctor --premises` prints it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from support.ticks import TENCENT, pushes

from hk_tick_collector.audit.measured import measure

if TYPE_CHECKING:
    from support.scenario import Scenario


@pytest.mark.parametrize(("ticks", "expected"), [(2, "too few"), (50, "too few"), (51, "count")])
def test_ordinals_need_50_pairs_to_be_judged(scenario: Scenario, ticks: int, expected: str) -> None:
    """Fewer show nothing, neither that ordinals count nor that they do not."""
    scenario.hear(pushes(TENCENT, range(1, ticks + 1)))
    scenario.write()
    assert measure(scenario.root).ordinals == {expected: 1}
