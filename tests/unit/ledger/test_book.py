"""The rows of doubts and gaps: what is written once, and all that ever changes of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from support.ticks import DAY, OPEN_MS, TENCENT, row, seq_at

from hk_tick_collector.db import Pragmas
from hk_tick_collector.ledger.book import Book, Loss
from hk_tick_collector.ledger.premises import Premise
from hk_tick_collector.ledger.rows import Doubt
from hk_tick_collector.seal.open_day import open_day

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from hk_tick_collector.ledger.rows import Failure, News

DOUBT = Doubt(TENCENT, 500, "opend_down", 400, "morning", seq_at(10), OPEN_MS)


@pytest.fixture
def book(tmp_path: Path) -> Iterator[Book]:
    """Of a day with ticks 10 and 20, one second each."""
    news: list[News] = []
    failures: list[Failure] = []
    day = open_day(tmp_path / f"{DAY}.db", Pragmas())
    day.store({TENCENT: [row(TENCENT, seq_at(n, OPEN_MS + n * 1000), OPEN_MS + n * 1000) for n in (10, 20)]}, {})
    yield Book(day, news, failures)
    day.close()


def gaps(book: Book, columns: str) -> list[tuple[object, ...]]:
    """Of all."""
    return book.all(f"SELECT {columns} FROM gaps ORDER BY resumed_ms")  # noqa: S608


def test_two_gaps_of_one_cause_that_are_found_at_once_are_both_kept(book: Book) -> None:
    """The second has a moment of its own, a millisecond later; each is told."""
    for missing in (1, 2):
        book.gap(DOUBT, Loss(seq_at(12), None, missing, None, 600))
    assert gaps(book, "resumed_ms, missing, evidence, state") == [
        (500, 1, "ordinals", "open"),
        (501, 2, "ordinals", "open"),
    ]
    assert [(one.missing, one.filled_by) for one in book.news] == [(1, None), (2, None)]


def test_a_gap_without_an_end_gets_one_from_the_first_tick_after_its_last_moment(book: Book) -> None:
    """Once; a tick of the very second may be one of those that are missing."""
    book.gap(DOUBT, Loss(None, OPEN_MS + 20_000, None, 300, 600))
    book.close_bounds(TENCENT)
    assert gaps(book, "after_seq, missing_volume, evidence") == [(None, 300, "totals")]
    for n in (21, 22):
        ts_ms = OPEN_MS + n * 1000
        columns = "?" + ",?" * 11
        book.con.execute(f"INSERT INTO ticks VALUES ({columns})", row(TENCENT, seq_at(n, ts_ms), ts_ms))  # noqa: S608
        book.close_bounds(TENCENT)
    assert gaps(book, "after_seq, after_ts_ms, end_ms") == [
        (seq_at(21, OPEN_MS + 21_000), OPEN_MS + 21_000, OPEN_MS + 20_000)
    ]


def test_a_doubt_is_kept_renamed_and_dropped(book: Book) -> None:
    """What totals alone have decided stays written down."""
    other = DOUBT._replace(resumed_ms=700, since_ms=None)
    for doubt in (other, DOUBT, DOUBT._replace(cause="unknown")):
        book.doubt(doubt)
    assert book.doubts(TENCENT) == [DOUBT, other], "the first of a moment stays"
    book.rename(DOUBT, "kicked_out")
    assert book.doubts(TENCENT)[0].cause == "kicked_out"
    book.drop(DOUBT)
    book.drop_by_totals(other, 900)
    assert book.doubts(TENCENT) == []
    assert book.all("SELECT * FROM decided") == [(TENCENT, 700, "opend_down", "totals", 900)]


def test_a_premise_that_fails_is_told_the_first_time(book: Book) -> None:
    """With what was seen."""
    for seen in ("a hole", "another"):
        book.fail(TENCENT, Premise.WHOLE_WINDOW, 5, seen)
    assert [(one.symbol, one.premise, one.seen) for one in book.failures] == [(TENCENT, "whole_window", "a hole")]
