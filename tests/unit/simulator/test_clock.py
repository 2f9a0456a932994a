"""The simulated day's clock, alone and shared."""

from __future__ import annotations

import time

from hk_tick_collector.clock import boot_ms
from hk_tick_collector.hktime import parse_time
from hk_tick_collector.simulator.clock import LEAD_MS, MarketClock, SharedClock, Turn
from hk_tick_collector.store.rehearsal import Anchor, at

NINE_MS = parse_time("2026-11-20 09:00:00").ms
HOUR_MS = 3_600_000
NOW_MS = boot_ms()


def test_a_clock_of_its_own_advances_by_steps_and_slows_down_when_a_step_is_late() -> None:
    """Ten times as fast, it is 2.5 s later after a step that came a second late, and not 10 s."""
    clock = MarketClock(start_ts_ms=NINE_MS, speed=10)
    assert [clock.step(sec) - NINE_MS for sec in (5.0, 5.1, 6.1)] == [0, 1000, 3500]
    clock.paused = True
    assert clock.step(7.0) - NINE_MS == 3500


def test_a_shared_clock_stands_still_until_it_runs() -> None:
    """It is the same for whoever works it out from the anchors, and a change is published before it takes effect."""
    clock = SharedClock(start_ts_ms=NINE_MS, speed=100)
    assert clock.now_ms == NINE_MS
    published: list[tuple[Anchor, ...]] = []
    clock.publish = lambda anchors: published.append(tuple(anchors))
    before_ms = boot_ms()
    clock.run(100)
    begins = published[-1][-1]
    assert begins.boot_ms >= before_ms + LEAD_MS
    assert begins[1:] == (NINE_MS, 100)
    assert at(published[-1], begins.boot_ms - 1) == NINE_MS
    assert at(published[-1], begins.boot_ms + 250) == NINE_MS + 25_000


def test_a_pause_holds_the_shared_clock_and_it_goes_on_from_there() -> None:
    """What was shown before a change stays what is shown for that moment: it never goes back."""
    clock = SharedClock(start_ts_ms=NINE_MS, speed=1000)
    clock.run(1000)
    time.sleep(2 * LEAD_MS / 1000)
    ran = clock.anchors
    clock.paused = True
    stopped = clock.anchors[-1]
    assert clock.paused
    assert stopped.market_ms == at(ran, stopped.boot_ms) > NINE_MS
    assert at(clock.anchors, stopped.boot_ms + HOUR_MS) == stopped.market_ms
    clock.paused = False
    goes_on = clock.anchors[-1]
    assert goes_on.speed == 1000
    assert goes_on.market_ms <= stopped.market_ms


def test_turns_are_taken_where_they_are_planned() -> None:
    """Lunch is jumped over at the very moment, and from a later turn on the clock goes slowly."""
    noon, one, four = (NINE_MS + hours * HOUR_MS for hours in (3, 4, 7))
    clock = SharedClock(start_ts_ms=NINE_MS, speed=3600, turns=[Turn(noon, one, float("inf")), Turn(four, four, 60)])
    clock.run(3600)
    begin_ms = clock.anchors[-3].boot_ms
    told = [at(clock.anchors, begin_ms + ms) for ms in (2999, 3000, 5999, 6000, 7000)]
    assert told == [noon - 3600, one, four - 3600, four, four + 60_000]
