"""The spread table."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hk_tick_collector.simulator.prices import (
    PRICE_MAX_MIL,
    PRICE_MIN_MIL,
    on_table_mil,
    spread_mil,
    step_down_mil,
    step_up_mil,
)


@pytest.mark.parametrize(
    ("price_mil", "spread"),
    [
        *[(10, 1), (249, 1), (250, 5), (500, 10), (9_990, 10), (10_000, 10), (19_990, 10), (20_000, 20), (50_000, 50)],
        *[(100_000, 100), (372_400, 200), (500_000, 500), (1_000_000, 1_000), (2_000_000, 2_000), (5_000_000, 5_000)],
    ],
)
def test_each_band_has_its_spread(price_mil: int, spread: int) -> None:
    """A band's lower end belongs to it."""
    assert spread_mil(price_mil) == spread


def test_a_step_down_from_a_band_is_the_lower_band_s() -> None:
    """From HK$100.00 the next price down is 99.95, and up again it is 100.00."""
    assert step_down_mil(100_000) == 99_950
    assert step_up_mil(99_950) == 100_000


@given(st.floats(min_value=0, max_value=20_000_000))
def test_any_price_snaps_to_one_on_the_table(price_mil: float) -> None:
    """The nearest at or below, within the table's ends, and there it stays."""
    snapped = on_table_mil(price_mil)
    assert PRICE_MIN_MIL <= snapped <= PRICE_MAX_MIL
    assert snapped % spread_mil(snapped) == 0
    assert on_table_mil(snapped) == snapped
    if PRICE_MIN_MIL <= price_mil <= PRICE_MAX_MIL:
        assert 0 <= price_mil - snapped < spread_mil(snapped) + 1


@given(st.integers(min_value=PRICE_MIN_MIL + 1, max_value=PRICE_MAX_MIL - 5_000).map(on_table_mil))
def test_up_and_down_are_inverse(price_mil: int) -> None:
    """A walk can go back the way it came."""
    assert step_down_mil(step_up_mil(price_mil)) == price_mil
