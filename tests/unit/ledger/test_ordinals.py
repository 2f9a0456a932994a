"""Ordinals of a symbol's day: measured as ticks come, each looked at once, and holes where they count."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from support.ticks import DAY, TENCENT, row, seq_at

from hk_tick_collector.db import DayDatabase, Pragmas
from hk_tick_collector.ledger.book import Book
from hk_tick_collector.ledger.continuity import Hole
from hk_tick_collector.ledger.ordinals import Measured, measure, new_holes, save
from hk_tick_collector.seal.open_day import open_day

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path


@pytest.fixture
def day(tmp_path: Path) -> Iterator[DayDatabase]:
    """An empty one."""
    made = open_day(tmp_path / f"{DAY}.db", Pragmas())
    yield made
    made.close()


def store(day: DayDatabase, ordinals: Iterable[int], **fields: int) -> None:
    """Ticks of these ordinals, pushed live."""
    day.store({TENCENT: [row(TENCENT, seq_at(n), **fields) for n in ordinals]}, {})


def measured(day: DayDatabase, until: int) -> tuple[int, int, bool]:
    """Pairs, contiguous ones, and whether that is enough."""
    book = Book(day, [], [])
    found = measure(book, TENCENT, seq_at(until))
    save(book)
    return found.pairs, found.contiguous, found.counts


def test_it_is_measured_on_pairs_of_live_pushes(day: DayDatabase) -> None:
    """50 pairs are the least; up to the sequence that is asked for, and on from there the next time."""
    store(day, range(1, 61))
    assert measured(day, 50) == (49, 49, False)
    assert measured(day, 51) == (50, 50, True)
    assert measured(day, 60) == (59, 59, True)
    assert measured(day, 60) == (59, 59, True)
    store(day, range(61, 64))
    assert measured(day, 99) == (62, 62, True)


def test_a_jump_between_live_pushes_is_no_contiguous_pair(day: DayDatabase) -> None:
    """Wherever it is cut."""
    store(day, [*range(1, 61), *range(62, 70)])
    assert measured(day, 61) == (59, 59, True)
    assert measured(day, 70) == (67, 66, False)


def test_a_jump_over_an_outage_is_no_pair(day: DayDatabase) -> None:
    """What was lost in that says nothing of how ordinals count; a jump before or after it does."""
    store(day, range(1, 61), recv_ts_ms=1_000)
    store(day, range(70, 81), recv_ts_ms=9_000)
    day.connection.execute("INSERT INTO outages VALUES (8000, 'opend_down', 2000, 1)")
    assert measured(day, 80) == (69, 69, True)
    store(day, range(90, 101), recv_ts_ms=10_000)
    assert measured(day, 100) == (80, 79, False)


@pytest.mark.parametrize("fetched", [{"push_type_id": 1}, {"push_type_id": 2}, {"push_data_type": 2}])
def test_what_was_fetched_or_made_good_is_no_pair(day: DayDatabase, fetched: dict[str, int]) -> None:
    """It may have been made to fit."""
    store(day, range(1, 11))
    store(day, range(11, 31), **fetched)
    store(day, range(31, 41))
    assert measured(day, 40) == (18, 18, False)


def test_sequences_without_a_time_in_them_do_not_count(day: DayDatabase) -> None:
    """They count something else."""
    day.store({TENCENT: [row(TENCENT, n) for n in range(1, 201)]}, {})
    found = measure(Book(day, [], []), TENCENT, 1 << 62)
    assert (found.pairs, found.contiguous) == (199, 0)


def holes(day: DayDatabase, until: int) -> list[Hole]:
    """The new ones."""
    book = Book(day, [], [])
    found = new_holes(book, TENCENT, measure(book, TENCENT, seq_at(until)), seq_at(until))
    save(book)
    return found


def test_each_hole_is_found_once(day: DayDatabase) -> None:
    """Up to where it was looked; where ordinals do not count there is none."""
    store(day, range(1, 1201))
    store(day, [1203, 1204, 1207], push_type_id=2)
    assert holes(day, 1204) == [Hole(seq_at(1200), seq_at(1203), 2)]
    assert holes(day, 1204) == []
    assert holes(day, 1207) == [Hole(seq_at(1204), seq_at(1207), 2)]


def test_where_ordinals_do_not_count_there_is_no_hole(day: DayDatabase) -> None:
    """It is looked for when they do."""
    store(day, range(1, 40))
    store(day, [42, 43], push_type_id=2)
    assert holes(day, 43) == []
    assert Measured().counts is False
    store(day, range(44, 70))
    assert holes(day, 70) == [Hole(seq_at(39), seq_at(42), 2)]


def test_a_hole_within_an_open_gap_is_told_already(day: DayDatabase) -> None:
    """One within a gap that is filled is another loss."""
    store(day, range(1, 101))
    store(day, [103], push_type_id=2)
    gap = (
        "INSERT INTO gaps VALUES (?, 5, 'unknown', NULL, '', ?, NULL, ?, NULL, 2, NULL, 'ordinals', 5, ?, "
        "NULL, NULL, NULL, 0)"
    )
    day.connection.execute(gap, (TENCENT, seq_at(100), seq_at(103), "open"))
    assert holes(day, 103) == []
    day.connection.execute("UPDATE gaps SET state = 'filled'")
    store(day, [106], push_type_id=2)
    day.connection.execute("UPDATE ordinals SET searched_seq = ?", (seq_at(100),))
    assert holes(day, 106) == [Hole(seq_at(100), seq_at(103), 2), Hole(seq_at(103), seq_at(106), 2)]
