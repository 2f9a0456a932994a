"""The rules of continuity, as tables: what a window proves, and what ordinals show."""

from __future__ import annotations

import pytest
from support.ticks import OPEN_MS, seq_at

from hk_tick_collector.journal.events import Cause
from hk_tick_collector.ledger.continuity import Hole, as_one, begins_the_day, do_count, holes_in, window_proves

WENT_ON = {Cause.CONNECTION_LOST, Cause.RECORDER_DOWN, Cause.JOURNAL_FULL, Cause.NOT_SUBSCRIBED}


@pytest.mark.parametrize("cause", sorted(Cause))
def test_a_window_proves_only_where_opend_is_known_to_have_gone_on(cause: Cause) -> None:
    """Where it had lost its source, or nobody knows, its memory may have the same hole."""
    assert window_proves(cause, reaches_back=True) is (cause in WENT_ON)
    assert not window_proves(cause, reaches_back=False)


@pytest.mark.parametrize(
    ("seq", "begins"), [(seq_at(1), True), (seq_at(2), False), (seq_at(0), False), (1, False), (2**40 + 1, False)]
)
def test_the_first_ordinal_begins_the_day(seq: int, *, begins: bool) -> None:
    """Only in a sequence that has a time in it: other sequences count otherwise."""
    assert begins_the_day(seq) is begins


@pytest.mark.parametrize(
    ("pairs", "contiguous", "count"),
    [(49, 49, False), (50, 50, True), (50, 49, False), (1000, 999, True), (1000, 998, False), (2000, 1998, True)],
)
def test_ordinals_count_where_they_were_measured(pairs: int, contiguous: int, *, count: bool) -> None:
    """50 pairs of live pushes, and 99.9 % of them one apart, are the least."""
    assert do_count(pairs, contiguous) is count


def hole(before: int, after: int, missing: int) -> Hole:
    """Between two ordinals."""
    return Hole(seq_at(before), seq_at(after), missing)


@pytest.mark.parametrize(
    ("ordinals", "holes"),
    [
        ([], []),
        ([1], []),
        ([1, 2, 3], []),
        ([1, 3], [hole(1, 3, 1)]),
        ([1, 2, 9, 10], [hole(2, 9, 6)]),
        ([1, 4, 5, 8, 9], [hole(1, 4, 2), hole(5, 8, 2)]),
        ([5, 1], []),  # ordinals began anew
    ],
)
def test_a_hole_is_bounded_by_what_is_stored(ordinals: list[int], holes: list[Hole]) -> None:
    """Each by itself."""
    assert holes_in([seq_at(n) for n in ordinals]) == holes


def test_ordinals_go_on_over_seconds() -> None:
    """The upper half of a sequence is a time, and no count."""
    assert holes_in([seq_at(7), seq_at(8, OPEN_MS + 5000), seq_at(9, OPEN_MS + 9000)]) == []


@pytest.mark.parametrize(
    ("known", "is_told"),
    [((1, 4), True), ((1, 5), True), ((0, 4), True), ((2, 4), False), ((1, 3), False), ((5, 9), False)],
)
def test_a_hole_within_a_known_gap_is_none(known: tuple[int, int], *, is_told: bool) -> None:
    """Only where it is wholly inside; one that goes over its edge is another loss."""
    bounds = [(seq_at(known[0]), seq_at(known[1]))]
    assert holes_in([seq_at(1), seq_at(4)], bounds) == ([] if is_told else [hole(1, 4, 2)])


def test_several_holes_are_one_with_all_that_is_missing() -> None:
    """From the first on to the last; none is none."""
    assert as_one([hole(1, 4, 2), hole(5, 8, 2)]) == hole(1, 8, 4)
    assert as_one([]) is None
