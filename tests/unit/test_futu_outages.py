"""What the session tells at a resumption: why the stream may have missed something, and since when."""

from __future__ import annotations

from hk_tick_collector.futu_outages import Outage, Outages
from hk_tick_collector.resumption import Cause

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
    assert outages.is_away
    outages.lost(Cause.CONNECTION_LOST, 200)
    assert outages.resume() == Outage(Cause.EXCHANGE_LOST, 100)
    assert outages.is_open
    outages.came_back(UNKNOWN)
    assert not outages.is_away
    assert outages.resume() == Outage(Cause.EXCHANGE_LOST, 100)
    assert not outages.is_open


def test_a_right_that_comes_back_unexpected_is_unknown() -> None:
    """Nothing was told of its loss: it may be missing since the last push."""
    outages = running()
    outages.came_back(UNKNOWN)
    assert outages.resume() == UNKNOWN
    assert outages.resume() == Outage(Cause.UNKNOWN, None)
