"""Which types of ticks the exchange counts, as a day's symbols show."""

from __future__ import annotations

from hk_tick_collector.quality.counted import Measured, Sums, agrees, not_counted, same_turnover, without

AUTO, ODD, OVERSEAS = 1, 6, 31


def measured(exchange: int, **ours: int) -> Measured:
    """Volumes; a share costs 10."""
    types = {"auto": AUTO, "odd": ODD, "overseas": OVERSEAS}
    return Measured(
        Sums(exchange, exchange * 10.0), {types[name]: Sums(volume, volume * 10.0) for name, volume in ours.items()}
    )


def test_all_that_agree_say_that_all_is_counted() -> None:
    """Nothing is taken out."""
    assert not_counted([measured(110, auto=100, odd=10), measured(50, auto=50)]) == frozenset()


def test_two_symbols_that_agree_without_a_type_take_it_out() -> None:
    """And a third, which has none of it, does not object."""
    symbols = [measured(100, auto=100, odd=10), measured(200, auto=200, odd=7), measured(50, auto=50)]
    assert not_counted(symbols) == {ODD}


def test_one_symbol_is_not_enough() -> None:
    """It may have been chance, or a tick too many."""
    assert not_counted([measured(100, auto=100, odd=10)]) == frozenset()


def test_symbols_that_say_otherwise_outvote() -> None:
    """A type that is counted elsewhere is counted."""
    symbols = [measured(100, auto=100, odd=10)] * 2 + [measured(60, auto=50, odd=10)] * 2
    assert not_counted(symbols) == frozenset()


def test_two_types_are_found_together() -> None:
    """No single one explains it."""
    symbols = [measured(100, auto=100, odd=10, overseas=5), measured(90, auto=90, odd=1, overseas=3)]
    assert not_counted(symbols) == {ODD, OVERSEAS}


def test_the_fewest_types_that_explain_it_are_taken_out() -> None:
    """A type that changes nothing is not added."""
    symbols = [measured(100, auto=100, odd=10), measured(95, auto=90, odd=1, overseas=5)]
    assert not_counted(symbols) == {ODD}


def test_the_turnover_must_agree_as_well() -> None:
    """As many shares for other money are other ticks."""
    odd = Measured(Sums(100, 1000.0), {AUTO: Sums(100, 900.0), ODD: Sums(10, 100.0)})
    assert not agrees(odd, {ODD})
    assert not_counted([odd, odd]) == frozenset()


def test_turnovers_are_compared_but_for_rounding() -> None:
    """A dollar, or a millionth."""
    assert same_turnover(1000.0, 1000.9)
    assert not same_turnover(1000.0, 1001.1)
    assert same_turnover(1e9 + 999, 1e9)
    assert not same_turnover(1e9 + 1001, 1e9)


def test_sums_are_without_what_is_left_out() -> None:
    """Volume and turnover."""
    assert without(measured(0, auto=100, odd=10), {ODD}) == Sums(100, 1000.0)
