"""Which record writers die of: it is put aside after two deaths, and one that is not at fault is not."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import pytest

from hk_tick_collector.journal.segments import Kind, Position, Record
from hk_tick_collector.writer.careful import CAREFUL_BYTES, UNFINISHED, Attempts, Unfinished

if TYPE_CHECKING:
    from pathlib import Path

PAYLOAD: Final = b"the bytes of a run of frames"


def record(number: int, payload: bytes = PAYLOAD) -> Record:
    """The n-th record of a journal."""
    start, end = Position(1, number * 100, number), Position(1, number * 100 + 100, number + 1)
    return Record(Kind.FRAMES, 1, 1_785_000_000_000 + number, payload, start, end)


class Writers:
    """Writers of one journal, one after the other."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def next(self, *, is_careful: bool = True) -> Attempts:
        """The next one, after the last has died or ended."""
        return Attempts(self._path, is_careful=is_careful)


@pytest.fixture
def writers(tmp_path: Path) -> Writers:
    """None has run yet."""
    return Writers(tmp_path / "attempt.json")


def store(attempts: Attempts, number: int) -> bool:
    """Store a record; whether it was put aside."""
    aside = attempts.begin(record(number))
    attempts.stored(record(number), is_aside=aside is not None)
    return aside is not None


def test_a_record_of_which_two_writers_died_is_put_aside_whole(writers: Writers) -> None:
    """With its bytes, its place and why; those around it are stored."""
    assert not store(writers.next(), 1)
    for _ in range(2):
        assert writers.next().begin(record(2)) is None, "and here it dies"
    attempts = writers.next(is_careful=False)
    assert attempts.is_on, "the last one was careful, and died"
    aside = attempts.begin(record(2))
    assert aside is not None
    assert (aside.end, aside.is_full) == (record(2).end, True)
    (bad,) = aside.bad
    assert bad.raw == PAYLOAD
    assert bad.error == "writers died of this record"
    assert (bad.journal_segment, bad.journal_offset) == (1, 200)
    attempts.stored(record(2), is_aside=True)
    assert not store(attempts, 3)


def test_a_writer_that_has_raised_an_error_has_not_died(writers: Writers) -> None:
    """A lock or a full disk, as often as it likes, and whoever is killed while it waits to try again."""
    for _ in range(20):
        attempts = writers.next()
        for _ in range(20):
            assert attempts.begin(record(1)) is None
            attempts.survived()


def test_a_writer_that_dies_while_it_waits_for_a_lock_or_a_disk_has_not_died_of_the_record(writers: Writers) -> None:
    """The watchdog kills whoever waits for too long: no record is put aside for that."""
    for _ in range(20):
        attempts = writers.next()
        assert attempts.begin(record(1)) is None
        attempts.elsewhere().__enter__()  # and out of it it never comes


def test_a_writer_that_has_waited_can_die_of_the_record_again(writers: Writers) -> None:
    """What comes after the lock is content."""
    for _ in range(2):
        attempts = writers.next()
        assert attempts.begin(record(1)) is None
        with attempts.elsewhere():
            pass
    assert writers.next().begin(record(1)) is not None


def test_where_every_record_kills_few_are_put_aside(writers: Writers) -> None:
    """A machine without memory: each one more in a row takes twice as many deaths."""
    aside, number = [], 0
    for deaths in range(100):
        attempts = writers.next()
        while store(attempts, number):
            aside.append(deaths)
            number += 1
            attempts.begin(record(number))
            break
    assert len(aside) <= 6


def test_after_one_that_was_stored_the_next_is_found_as_fast(writers: Writers) -> None:
    """Two poisoned records apart are two faults of their own."""
    deaths = 0
    number = 0
    while number < 10:
        attempts = writers.next()
        while number < 10:
            aside = attempts.begin(record(number))
            if number in {3, 7} and aside is None:
                deaths += 1
                break
            attempts.stored(record(number), is_aside=aside is not None)
            number += 1
    assert deaths == 4


def test_a_writer_is_careful_for_a_while_only(writers: Writers, tmp_path: Path) -> None:
    """Records one by one are slow: after as much as a batch holds it stores as ever, and leaves no trace."""
    attempts = writers.next()
    big = record(1, bytes(CAREFUL_BYTES // 2))
    for _ in range(2):
        assert attempts.is_on
        attempts.begin(big)
        attempts.stored(big, is_aside=False)
    assert not attempts.is_on
    assert list(tmp_path.iterdir()) == []


def test_a_writer_that_ends_in_order_leaves_no_trace(writers: Writers, tmp_path: Path) -> None:
    """The next one need not be careful."""
    attempts = writers.next()
    store(attempts, 1)
    attempts.end()
    assert list(tmp_path.iterdir()) == []
    assert not writers.next(is_careful=False).is_on


@pytest.mark.parametrize("text", ["", "{", "[]", "[1, 2, 3, 4]", "[[1, 2], 1, 1, 1]", "null", '[["x", 0, 0], 1, 1, 1]'])
def test_what_is_no_attempt_is_none(writers: Writers, tmp_path: Path, text: str) -> None:
    """It is our own file, and no more trusted than others."""
    (tmp_path / "attempt.json").write_text(text)
    assert not writers.next(is_careful=False).is_on


def test_after_two_writers_that_did_not_finish_the_next_one_is_careful(tmp_path: Path) -> None:
    """Whatever has started them: a recorder that its watchdog ended after one of them has a successor that knows."""
    assert not Unfinished(tmp_path).is_too_many
    assert not Unfinished(tmp_path).is_too_many
    third = Unfinished(tmp_path)
    assert third.is_too_many
    third.finished()
    third.finished()
    assert not list(tmp_path.iterdir())
    assert not Unfinished(tmp_path).is_too_many


@pytest.mark.parametrize("text", ["", "x", "-", "9" * 100_000, "\x00"])
def test_a_count_that_can_not_be_read_begins_anew(tmp_path: Path, text: str) -> None:
    """Whatever stands in the file, no writer ends by it."""
    (tmp_path / UNFINISHED).write_text(text)
    Unfinished(tmp_path)
    assert (tmp_path / UNFINISHED).read_text() == ("1000000000\n" if text[:1] == "9" else "1\n")


def test_a_count_that_can_not_be_written_ends_no_writer(tmp_path: Path) -> None:
    """A full disk is the storing's business."""
    assert not Unfinished(tmp_path / "there is none").is_too_many
