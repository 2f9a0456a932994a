"""Whether fetched ticks carry the sequence under which they were pushed; and where not, that none is stored twice."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from support.scenario import SEC
from support.ticks import HSBC, OPEN_MS, TENCENT, push, reply, seq_at, ticker

from hk_tick_collector.journal.cursor import CURSOR
from hk_tick_collector.journal.events import Cause
from hk_tick_collector.journal.segments import DIRECTORY
from hk_tick_collector.opend.purpose import Purpose

if TYPE_CHECKING:
    from support.scenario import Scenario

    from hk_tick_collector.opend import opend_pb2 as pb


def told(ordinal: int, shift: int = 0, **fields: object) -> pb.Ticker:
    """A tick of its own second; fetched it may have another sequence."""
    ts_ms = OPEN_MS + ordinal * SEC
    return ticker(ordinal, ts_ms, **{"sequence": seq_at(ordinal + shift, ts_ms), **fields})


def hear_pushes(scenario: Scenario, *ordinals: int) -> None:
    """Pushes of these."""
    scenario.hear(*(push(TENCENT, told(n)) for n in ordinals))


def poll(scenario: Scenario, *tickers: pb.Ticker, purpose: Purpose = Purpose.POLL) -> None:
    """A reply."""
    scenario.hear(reply(TENCENT, *tickers, purpose=purpose))


def stored(scenario: Scenario) -> list[tuple[object, ...]]:
    """Second and whether its sequence is OpenD's, of each tick."""
    scenario.write()
    return scenario.query(f"SELECT (ts_ms - {OPEN_MS}) / 1000, seq > 0 FROM ticks ORDER BY ts_ms")  # noqa: S608


def same_sequence(scenario: Scenario) -> tuple[int, int]:
    """How often it was seen to hold, and to fail."""
    rows = scenario.query("SELECT held, failed FROM premises WHERE name = 'same_sequence'")
    return (rows[0][0], rows[0][1]) if rows else (0, 0)


def test_a_reply_under_the_same_sequences_is_as_it_should_be(scenario: Scenario) -> None:
    """New ticks of it are stored under theirs; once it was seen to hold it is not counted on."""
    hear_pushes(scenario, *range(1, 7))
    for _ in range(2):
        poll(scenario, *(told(n) for n in range(1, 9)))
    assert stored(scenario) == [(n, 1) for n in range(1, 9)]
    assert same_sequence(scenario) == (1, 0)


def test_a_reply_that_is_told_again_after_a_restart_is_no_evidence(scenario: Scenario) -> None:
    """What it has in common with what is stored it has itself brought."""
    hear_pushes(scenario, 1)
    poll(scenario, *(told(n) for n in range(1, 9)))
    for _ in range(2):
        assert len(stored(scenario)) == 8
        assert same_sequence(scenario) == (0, 0)
        (scenario.root / DIRECTORY / CURSOR).unlink()


@pytest.mark.parametrize("purpose", [Purpose.POLL, Purpose.BACKFILL])
def test_a_reply_under_other_sequences_stores_no_tick_twice(scenario: Scenario, purpose: Purpose) -> None:
    """What is new of it gets a made-up sequence below 0, the same each time."""
    hear_pushes(scenario, *range(1, 7))
    for shift in (7, 9):
        poll(scenario, *(told(n, shift) for n in range(1, 9)), purpose=purpose)
    assert stored(scenario) == [*((n, 1) for n in range(1, 7)), (7, 0), (8, 0)]
    assert same_sequence(scenario) == (0, 1)


def test_it_is_known_to_the_next_writer_and_of_that_symbol_only(scenario: Scenario) -> None:
    """One that begins anew does not have to find out again, though this reply alone would not show it."""
    hear_pushes(scenario, *range(1, 7))
    poll(scenario, *(told(n, 7) for n in range(1, 7)))
    scenario.write()
    poll(scenario, told(3, 9), told(8, 9))
    scenario.hear(push(HSBC, ticker(5)), reply(HSBC, ticker(9), purpose=Purpose.POLL))
    assert stored(scenario)[-1] == (8, 0)
    assert len(stored(scenario)) == 9
    assert scenario.query("SELECT seq FROM ticks WHERE symbol = 'HK.00005'") == [(seq_at(5),), (seq_at(9),)]


def test_a_push_takes_the_place_of_the_tick_that_was_fetched_before_it(scenario: Scenario) -> None:
    """It was under way: it is the same tick, and now has OpenD's sequence."""
    hear_pushes(scenario, *range(1, 7))
    poll(scenario, *(told(n, 7) for n in range(1, 8)))
    assert stored(scenario)[-1] == (7, 0)
    hear_pushes(scenario, 7, 8)
    assert stored(scenario) == [(n, 1) for n in range(1, 9)]
    assert scenario.query("SELECT rows, volume_sum FROM symbol_stats") == scenario.query(
        "SELECT count(*), sum(volume) FROM ticks"
    )


def test_as_many_alike_as_are_told_are_stored(scenario: Scenario) -> None:
    """Of three trades of one second, price and volume the pushes have brought one."""
    hear_pushes(scenario, *range(1, 7))
    alike = [told(3, 7 + n) for n in range(3)]
    poll(scenario, *(told(n, 7) for n in (1, 2)), *alike, *(told(n, 9) for n in (4, 5, 6)))
    assert [second for second, _ in stored(scenario)].count(3) == 3


def test_a_reply_that_has_nothing_in_common_shows_nothing(scenario: Scenario) -> None:
    """It is all new."""
    hear_pushes(scenario, 1, 2, 3)
    poll(scenario, *(told(n) for n in range(11, 15)))
    assert len(stored(scenario)) == 7
    assert same_sequence(scenario) == (0, 0)


def test_revisions_alone_do_not_show_other_sequences(scenario: Scenario) -> None:
    """Under the same sequences with other contents: they are kept as revisions."""
    hear_pushes(scenario, *range(1, 7))
    poll(scenario, *(told(n, volume=5000, turnover=1.0) for n in range(1, 7)))
    assert len(stored(scenario)) == 6
    assert scenario.query("SELECT count(*) FROM tick_revisions") == [(6,)]
    assert same_sequence(scenario)[1] == 0


def test_windows_prove_nothing_where_sequences_are_others(scenario: Scenario) -> None:
    """They reach back only by chance."""
    hear_pushes(scenario, *range(1, 7))
    poll(scenario, *(told(n, 7) for n in range(1, 7)))
    scenario.resume(Cause.CONNECTION_LOST, scenario.now_ms)
    poll(scenario, *(told(n) for n in range(1, 9)), purpose=Purpose.BACKFILL)
    scenario.write()
    assert [cause for _, cause, _ in scenario.doubts()] == ["connection_lost"]
