"""What the session tells at a resumption: why the stream may have missed something, and since when."""

from __future__ import annotations

import pytest

from hk_tick_collector.journal.events import Cause
from hk_tick_collector.session.outages import Outage, Outages

UNKNOWN = Outage(Cause.UNKNOWN, 900)


def running() -> Outages:
    """One whose process has told of its start."""
    outages = Outages()
    outages.resume()
    return outages


def test_a_process_begins_with_one() -> None:
    """Nobody knows since when it did not run; what fails meanwhile does not make that known."""
    assert Outages().is_open
    assert Outages().resume() == Outage(Cause.RECORDER_DOWN, None)
    outages = Outages()
    outages.lost(Cause.OPEND_DOWN, 100)
    assert outages.resume() == Outage(Cause.OPEND_DOWN, None)
    assert not outages.is_open


def test_several_are_one_from_the_first_on() -> None:
    """A connection was lost, and OpenD could not be reached in between."""
    outages = running()
    outages.lost(Cause.CONNECTION_LOST, 100)
    outages.lost(Cause.OPEND_DOWN, 200)
    outages.lost(Cause.OPEND_DOWN, 300)
    assert outages.resume() == Outage(Cause.OPEND_DOWN, 100)


def test_what_opend_lost_lasts_until_it_is_back() -> None:
    """A session that is made anew meanwhile resumes, and the end of it is told again."""
    outages = running()
    outages.went_away(Cause.EXCHANGE_LOST, 100)
    outages.went_away(Cause.KICKED_OUT, 150)
    assert outages.has_come_back(None, is_new_session=False)
    outages.lost(Cause.CONNECTION_LOST, 200)
    assert outages.resume() == Outage(Cause.EXCHANGE_LOST, 100)
    assert outages.is_open
    outages.came_back(UNKNOWN)
    assert not outages.has_come_back(None, is_new_session=False)
    assert outages.resume() == Outage(Cause.EXCHANGE_LOST, 100)
    assert not outages.is_open


def test_a_right_that_comes_back_unexpected_is_unknown() -> None:
    """Nothing was told of its loss: it may be missing since the last push."""
    outages = running()
    outages.came_back(UNKNOWN)
    assert outages.resume() == UNKNOWN
    assert outages.resume() == Outage(Cause.UNKNOWN, None)


def test_it_goes_on_until_all_is_fetched() -> None:
    """Told is not fetched: a resumption that is cut off on the way is part of what the next one has to fetch."""
    outages = running()
    assert outages.now() is not None, "the start itself"
    outages.fetched()
    assert outages.now() is None
    outages.went_away(Cause.EXCHANGE_LOST, 100)
    assert outages.now() == Outage(Cause.EXCHANGE_LOST, 100)
    outages.came_back(UNKNOWN)
    outages.resume()
    assert outages.now() == Outage(Cause.EXCHANGE_LOST, 100)
    outages.lost(Cause.CONNECTION_LOST, 200)
    assert outages.resume() == Outage(Cause.CONNECTION_LOST, 200)
    assert outages.now() == Outage(Cause.EXCHANGE_LOST, 100)
    outages.fetched()
    assert outages.now() is None


@pytest.mark.parametrize("cause", Cause)
def test_how_much_can_be_had_depends_on_whose_outage_it_is(cause: Cause) -> None:
    """OpenD makes good 50 ticks of what it did not hear itself, and remembers 1,000 of what it heard."""
    of_opend = {Cause.EXCHANGE_LOST, Cause.KICKED_OUT}
    assert Outage(cause, None).reach == (50 if cause in of_opend else 1000)
    assert Outage(cause, None).is_of_opend == (cause in {*of_opend, Cause.UNKNOWN})


@pytest.mark.parametrize(("last_push_ms", "expected"), [(None, False), (100, False), (5_100, False), (5_101, True)])
def test_after_a_kick_only_a_push_shows_that_the_right_is_back(last_push_ms: int | None, *, expected: bool) -> None:
    """OpenD may call itself logged in all the while; some pushes were still under way."""
    outages = running()
    outages.went_away(Cause.KICKED_OUT, 100)
    assert outages.has_come_back(last_push_ms, is_new_session=False) is expected


def test_a_new_session_may_hear_from_opend_itself_that_the_right_is_back() -> None:
    """Nothing was pushed to it yet that could show it."""
    outages = running()
    outages.went_away(Cause.KICKED_OUT, 100)
    assert outages.has_come_back(None, is_new_session=True)


def test_a_clock_that_is_set_changes_when_an_outage_began() -> None:
    """Whatever it is at: pending, going on, or being made good; what has no time gets none."""
    outages = Outages()
    outages.shift(5000)
    assert outages.resume() == Outage(Cause.RECORDER_DOWN, None)
    outages.fetched()
    outages.lost(Cause.CONNECTION_LOST, 20_000)
    outages.resume()
    outages.lost(Cause.CONNECTION_LOST, 30_000)
    outages.went_away(Cause.EXCHANGE_LOST, 10_000)
    outages.shift(-3000)
    assert outages.now() == Outage(Cause.EXCHANGE_LOST, 7000)
    outages.came_back(Outage(Cause.UNKNOWN, None))
    assert outages.resume() == Outage(Cause.EXCHANGE_LOST, 7000)
    outages.fetched()
    assert outages.now() is None
    outages.lost(Cause.OPEND_DOWN, 1000)
    outages.shift(500)
    assert outages.now() == Outage(Cause.OPEND_DOWN, 1500)
