"""Which types of ticks the exchange counts, as symbols and days show."""

from __future__ import annotations

import pytest

from hk_tick_collector.audit.counted import OUTVOTED, Measured, Sums, Types, Votes, agrees, without

AUTO, ODD, OVERSEAS = 1, 6, 31
NAMES = {"auto": AUTO, "odd": ODD, "overseas": OVERSEAS}


def measured(symbol: str, exchange: int | None, agreed: dict[int, int] | None = None, **ours: int) -> Measured:
    """Volumes; a share costs 10."""
    told = None if exchange is None else Sums(exchange, exchange * 10.0)
    return Measured(symbol, told, {NAMES[n]: Sums(v, v * 10.0, 1) for n, v in ours.items()}, agreed or {})


def both(exchange: int, **ours: int) -> list[Measured]:
    """Two symbols that show the same."""
    return [measured("x", exchange, **ours), measured("y", exchange, **ours)]


def test_two_others_that_agree_show_that_a_type_is_counted() -> None:
    """One's own agreement may be a coincidence, so for each of the two it is not proven yet."""
    types = Types(both(110, auto=100, odd=10), {})
    assert types.of_day == {AUTO: Votes(2, 0), ODD: Votes(2, 0)}
    assert types.is_counted(ODD, "another") is True
    assert types.is_counted(ODD, "x") is None


def test_two_others_that_agree_only_without_a_type_show_that_it_is_not_counted() -> None:
    """And a third, which has none of it, does not object."""
    types = Types([*both(100, auto=100, odd=7), measured("z", 50, auto=50)], {})
    assert types.is_counted(ODD, "another") is False
    assert types.is_counted(AUTO, "another") is True
    assert types.is_counted(ODD, "x") is None


def test_moments_of_the_day_count_as_often_as_they_were_seen() -> None:
    """Three of one symbol are two for itself; without any totals after the close."""
    types = Types([measured("x", None, {AUTO: 3}, auto=100)], {})
    assert types.is_counted(AUTO, "x") is True
    assert Types([measured("x", None, {AUTO: 2}, auto=100)], {}).is_counted(AUTO, "x") is None


def test_a_moment_speaks_for_no_type_that_the_days_totals_are_without() -> None:
    """The whole day says more than a moment."""
    types = Types([measured("x", 100, {ODD: 1}, auto=100, odd=10)], {})
    assert types.of_day == {AUTO: Votes(1, 0), ODD: Votes(0, 1)}


def test_other_days_are_remembered() -> None:
    """Two of them are as good as two symbols."""
    history = {ODD: Votes(0, 2), AUTO: Votes(2, 0)}
    types = Types([], history)
    assert (types.is_counted(ODD, "x"), types.is_counted(AUTO, "x"), types.is_counted(OVERSEAS, "x")) == (
        False, True, None,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("counted", "not_counted", "expected"),
    [(2, 1, None), (OUTVOTED, 1, True), (OUTVOTED - 1, 1, None), (1, OUTVOTED, False), (1, 0, None), (0, 1, None)],
)
def test_a_contradiction_is_outvoted_only_by_many(counted: int, not_counted: int, expected: bool | None) -> None:  # noqa: FBT001
    """Else nobody knows."""
    assert Types([], {ODD: Votes(counted, not_counted)}).is_counted(ODD, "x") is expected


def test_the_fewest_types_that_explain_it_are_taken_out() -> None:
    """Two together only where no single one does."""
    assert Types(both(100, auto=100, odd=10, overseas=5), {}).of_day == {
        AUTO: Votes(2, 0), ODD: Votes(0, 2), OVERSEAS: Votes(0, 2),
    }  # fmt: skip
    assert Types(both(105, auto=100, odd=10, overseas=5), {}).of_day[OVERSEAS] == Votes(2, 0)


@pytest.mark.parametrize("exchange", [None, 0, 107])
def test_totals_that_explain_nothing_show_nothing(exchange: int | None) -> None:
    """None, none at all, or others."""
    assert Types([measured("x", exchange, auto=100, odd=10)], {}).of_day == {}


def test_volume_and_turnover_must_both_agree() -> None:
    """As many shares for other money are other ticks; a dollar may be rounding."""
    ours = {AUTO: Sums(100, 900.0, 1), ODD: Sums(10, 100.0, 1)}
    assert agrees(Sums(110, 1001.0), ours)
    assert not agrees(Sums(110, 1001.1), ours)
    assert not agrees(Sums(100, 1000.0), ours, {ODD})
    assert agrees(Sums(100, 900.0), ours, {ODD})


def test_sums_are_without_what_is_left_out() -> None:
    """Volume, turnover and rows."""
    assert without(measured("x", 0, auto=100, odd=10).ours, {ODD}) == Sums(100, 1000.0, 1)
