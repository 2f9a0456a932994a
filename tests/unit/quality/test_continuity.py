"""The rules of continuity, as tables: what proves that nothing is missing, and what proves that something is."""

from __future__ import annotations

import pytest
from support.ticks import OPEN_MS, seq_at

from hk_tick_collector.quality.continuity import (
    Hole,
    Pending,
    Rise,
    Stored,
    TotalsVerdict,
    begins_the_day,
    hole_in,
    judge_totals,
    ordinals_count,
    window_proves,
)
from hk_tick_collector.resumption import Cause

# ---- the window


@pytest.mark.parametrize(
    "cause",
    [Cause.CONNECTION_LOST, Cause.RECORDER_DOWN, Cause.JOURNAL_FULL, Cause.NOT_SUBSCRIBED, Cause.UNKNOWN],
)
def test_where_opend_went_on_a_window_that_reaches_back_proves(cause: Cause) -> None:
    """However many were made good; and one that does not reach back proves nothing."""
    assert window_proves(cause, reaches_back=True, made_good=50)
    assert not window_proves(cause, reaches_back=False, made_good=0)


@pytest.mark.parametrize("cause", [Cause.EXCHANGE_LOST, Cause.KICKED_OUT])
@pytest.mark.parametrize(("made_good", "proves"), [(0, True), (49, True), (50, False), (51, False)])
def test_where_opend_lost_its_source_fewer_than_50_made_good_are_all(
    cause: Cause, made_good: int, *, proves: bool
) -> None:
    """50 are the most that OpenD makes good: then there may have been more."""
    assert window_proves(cause, reaches_back=True, made_good=made_good) is proves
    assert not window_proves(cause, reaches_back=False, made_good=made_good)


def test_where_opend_was_down_its_memory_is_no_proof() -> None:
    """What it kept from before may have a hole behind it."""
    assert not window_proves(Cause.OPEND_DOWN, reaches_back=True, made_good=0)


@pytest.mark.parametrize(
    ("seq", "begins"), [(seq_at(1), True), (seq_at(2), False), (seq_at(0), False), (1, False), (2**40 + 1, False)]
)
def test_the_first_ordinal_begins_the_day(seq: int, *, begins: bool) -> None:
    """Only in a sequence that has a time in it: other sequences count otherwise."""
    assert begins_the_day(seq) is begins


# ---- ordinals


def live(*ordinals: int) -> list[Stored]:
    """Live pushes of these."""
    return [Stored(seq_at(n), is_live=True) for n in ordinals]


@pytest.mark.parametrize(
    ("rows", "count"),
    [
        (live(*range(51)), True),
        (live(*range(50)), False),  # 49 pairs
        ([], False),
        (live(*range(0, 200, 2)), False),
        (live(*range(500), *range(501, 1002)), True),  # one pair of 1,000
        (live(*range(500), *range(501, 800), *range(801, 1002)), False),  # two
        ([Stored(n, is_live=True) for n in range(1, 200)], False),  # without a time in them
        ([Stored(seq_at(n), is_live=n % 2 == 0) for n in range(400)], False),  # none is followed by a live one
        (
            [Stored(seq_at(n), is_live=n < 60) for n in [*range(60), *range(70, 400, 3)]],
            True,
        ),  # the fetched don't count
    ],
)
def test_ordinals_count_where_they_were_measured(rows: list[Stored], *, count: bool) -> None:
    """50 pairs of live pushes, and 99.9 % of them one apart, are the least."""
    assert ordinals_count(rows) is count


@pytest.mark.parametrize(
    ("ordinals", "hole"),
    [
        ([], None),
        ([1], None),
        ([1, 2, 3], None),
        ([1, 3], (1, 3, 1)),
        ([1, 2, 9, 10], (2, 9, 6)),
        ([1, 4, 5, 8, 9], (1, 8, 4)),
    ],
)
def test_a_hole_is_bounded_by_what_is_stored(ordinals: list[int], hole: tuple[int, int, int] | None) -> None:
    """Several are one, from the first to the last, with all that is missing in them."""
    expected = None if hole is None else Hole(seq_at(hole[0]), seq_at(hole[1]), hole[2])
    assert hole_in([seq_at(n) for n in ordinals]) == expected


def test_ordinals_go_on_over_seconds() -> None:
    """The upper half of a sequence is a time, and no count."""
    assert hole_in([seq_at(7), seq_at(8, OPEN_MS + 5000), seq_at(9, OPEN_MS + 9000)]) is None


# ---- the exchange's totals


def pending(*lows: int) -> list[Pending]:
    """Outages 1, 2, …, with the difference before each."""
    return [Pending(number, low) for number, low in enumerate(lows, 1)]


@pytest.mark.parametrize(
    ("settled", "least", "most", "outages", "expected"),
    [
        # No outage.
        (0, 0, 0, [], TotalsVerdict((), (), 0)),
        (0, None, 5, [], TotalsVerdict((), (), 0)),
        (0, 0, 5, [], TotalsVerdict((), (), 0)),
        (0, 5, 5, [], TotalsVerdict((), (Rise((), 0, 5),), 5)),
        (0, 5, 9, [], TotalsVerdict((), (), 0)),
        (5, 5, 0, [], TotalsVerdict((), (), 0)),
        (5, None, -3, [], TotalsVerdict((), (), -3)),
        # One outage: proven at once, or missing when it is known how much.
        (0, None, 0, pending(0), TotalsVerdict((1,), (), 0)),
        (0, None, 5, pending(0), TotalsVerdict((), (), 0)),
        (0, 5, 5, pending(0), TotalsVerdict((), (Rise((1,), 0, 5),), 5)),
        # It rose before the outage already: that is another loss, and the outage's own is what came on top.
        (0, 3, 3, pending(3), TotalsVerdict((1,), (Rise((), 0, 3),), 3)),
        (0, 8, 8, pending(3), TotalsVerdict((), (Rise((), 0, 3), Rise((1,), 3, 8)), 8)),
        # Two outages: each has its own rise; without a snapshot in between they have one together.
        (0, 8, 8, pending(0, 3), TotalsVerdict((), (Rise((1,), 0, 3), Rise((2,), 3, 8)), 8)),
        (0, 8, 8, pending(0, 8), TotalsVerdict((2,), (Rise((1,), 0, 8),), 8)),
        (0, 8, 8, pending(0, 0), TotalsVerdict((), (Rise((1, 2), 0, 8),), 8)),
        # What was missing before the first has been made good before the second.
        (0, 8, 8, pending(6, 0), TotalsVerdict((), (Rise((1, 2), 0, 8),), 8)),
    ],
)
def test_totals_are_judged(
    settled: int, least: int | None, most: int, outages: list[Pending], expected: TotalsVerdict
) -> None:
    """More is missing where it is known how much; what is not above what was before proves at once."""
    assert judge_totals(settled, least, most, outages) == expected
