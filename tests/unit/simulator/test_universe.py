"""Symbols and their listings."""

from __future__ import annotations

import re

import pytest

from hk_tick_collector.errors import ConfigError
from hk_tick_collector.simulator.prices import spread_mil
from hk_tick_collector.simulator.universe import listing, universe


def test_the_well_known_come_first() -> None:
    """The busiest names are those of the exchange, in the order of their fame."""
    assert universe(10) == [
        f"HK.{code}"
        for code in ("00700", "09988", "03690", "01810", "00005", "00388", "02318", "00941", "01299", "00939")
    ]


def test_symbols_are_distinct_and_well_formed() -> None:
    """Even as many symbols as the exchange has securities are distinct five-digit codes."""
    symbols = universe(17_000)
    assert len(set(symbols)) == 17_000
    assert all(re.fullmatch(r"HK\.\d{5}", symbol) for symbol in symbols)


def test_fewer_symbols_are_a_prefix_of_more() -> None:
    """A larger universe adds symbols and changes none."""
    assert universe(6_000, seed=3)[:900] == universe(900, seed=3)


def test_the_seed_chooses_the_others() -> None:
    """The same seed names the same symbols, another one others."""
    assert universe(200, seed=1) == universe(200, seed=1)
    assert universe(200, seed=1) != universe(200, seed=2)


@pytest.mark.parametrize("n", [0, -1, 50_000])
def test_an_impossible_number_is_refused(n: int) -> None:
    """The message says what was asked for and what there is."""
    with pytest.raises(ConfigError, match=rf"^{n} symbols asked for, expected 1 to \d+$"):
        universe(n)


def test_listings_are_plausible_and_on_the_table() -> None:
    """Every symbol has a price on the spread table and a board lot, the same for the same seed."""
    for symbol in universe(500, seed=5):
        prev_close_mil, lot_size = listing(symbol, 5)
        assert prev_close_mil % spread_mil(prev_close_mil) == 0
        assert lot_size >= 50
        assert listing(symbol, 5) == (prev_close_mil, lot_size)
    assert listing("HK.00700", 5).lot_size == 100
    assert 580_000 <= listing("HK.00700", 5).prev_close_mil <= 620_000
