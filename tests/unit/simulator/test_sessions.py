"""The clock of a trading day."""

from __future__ import annotations

import datetime as dt
from zoneinfo import ZoneInfo

import pytest

from hk_tick_collector.simulator.sessions import (
    AFTERNOON_SEC,
    CLOSE_SEC,
    MORNING_SEC,
    NOON_SEC,
    busyness,
    hk_time,
    midnight_sec,
    state_at,
)

HK = ZoneInfo("Asia/Hong_Kong")


def _second(time: str) -> int:
    hours, minutes, seconds = map(int, time.split(":"))
    return hours * 3600 + minutes * 60 + seconds


@pytest.mark.parametrize(
    ("time", "whole", "half"),
    [
        ("00:00:00", 6, 6),
        ("08:59:59", 6, 6),
        ("09:00:00", 1, 1),
        ("09:20:00", 2, 2),
        ("09:30:00", 3, 3),
        ("11:59:59", 3, 3),
        ("12:00:00", 4, 19),
        ("12:08:00", 4, 6),
        ("13:00:00", 5, 6),
        ("16:00:00", 19, 6),
        ("16:07:59", 19, 6),
        ("16:08:00", 6, 6),
        ("23:59:59", 6, 6),
    ],
)
def test_states_of_whole_and_half_days(time: str, whole: int, half: int) -> None:
    """Each session begins at its second; CLOSED is said from the earliest moment of the closing match on."""
    assert state_at(_second(time), half_day=False) == whole
    assert state_at(_second(time), half_day=True) == half


@pytest.mark.parametrize("date", [dt.date(2024, 2, 29), dt.date(2026, 11, 20), dt.date(1999, 12, 31)])
def test_midnight_and_time_agree_with_the_zone_database(date: dt.date) -> None:
    """The constant of eight hours is Asia/Hong_Kong."""
    moment = dt.datetime(date.year, date.month, date.day, 16, 8, 12, tzinfo=HK)
    second = midnight_sec(date) + _second("16:08:12")
    assert second == moment.timestamp()
    assert hk_time(second) == moment.strftime("%Y-%m-%d %H:%M:%S")


@pytest.mark.parametrize("half_day", [False, True])
def test_busyness_is_a_u_over_the_sessions(half_day: bool) -> None:  # noqa: FBT001 - a parameter of the test
    """Shares add up to a day; the ends are busier than the middle; the closing auction's minutes have hardly any."""
    shares = dict(busyness(half_day=half_day))
    close = NOON_SEC if half_day else CLOSE_SEC
    assert sum(shares.values()) == pytest.approx(1)
    middle = shares[MORNING_SEC + 80 * 60]
    assert shares[MORNING_SEC] > 2 * middle
    assert shares[close - 60] > 1.5 * middle
    assert 0 < shares[close] < middle / 10
    assert list(shares)[-1] == close + 7 * 60
    assert (AFTERNOON_SEC in shares) is not half_day
    assert half_day or NOON_SEC not in shares
