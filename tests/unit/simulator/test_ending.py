"""When a simulated day is over."""

from __future__ import annotations

from typing import Final

from hk_tick_collector.hktime import parse_time
from hk_tick_collector.simulator.ending import PATIENCE_SEC, Ending

CLOSE_MS: Final = parse_time("2026-11-20 16:00:00").ms


def at(clock: str) -> int:
    """UTC epoch ms of a time of that day."""
    return parse_time(f"2026-11-20 {clock}").ms


def test_a_day_is_over_once_each_recorded_symbol_was_asked_for_twice_after_the_close() -> None:
    """Snapshots of before 16:15 don't count, nor does one symbol for another."""
    ending = Ending(CLOSE_MS, lambda: ["HK.00700", "HK.00005"])
    for symbols, clock, is_over in (
        (["HK.00700", "HK.00005"], "16:14:59", False),
        (["HK.00700", "HK.00005"], "16:15:00", False),
        (["HK.00700"], "16:15:10", False),
        (["HK.00005"], "16:15:20", True),
    ):
        ending.told(symbols, at(clock))
        assert ending.is_over(at(clock), 0.0) is is_over, clock
        assert ending.is_proven is is_over


def test_nobody_who_asks_is_not_waited_for_forever() -> None:
    """From 16:43 on, a minute of real time; whatever the speed, a recorder may just be starting again."""
    ending = Ending(CLOSE_MS, list)
    assert not ending.is_over(at("16:42:59"), 100.0)
    assert not ending.is_over(at("16:43:00"), 200.0)
    assert not ending.is_over(at("17:43:00"), 199.9 + PATIENCE_SEC)
    assert ending.is_over(at("17:43:01"), 200.0 + PATIENCE_SEC)
    assert not ending.is_proven
