"""Deadlines: rates, until when an outage can be made good, the order of fetching."""

from __future__ import annotations

import pytest
from support.recorder_state import FRIDAY, hk_ms

from hk_tick_collector.session.deadlines import (
    READINGS_KEPT,
    URGENT_MS,
    Interruption,
    Rates,
    fetch_order,
    keeps_hours,
    risks,
)

A, B, C, D = "HK.00700", "HK.09988", "HK.00005", "HK.00001"


def rates_of(*readings: dict[str, int], every_sec: float = 10.0) -> Rates:
    """After these readings."""
    rates = Rates()
    for number, rows in enumerate(readings):
        rates.take(number * every_sec, rows)
    return rates


# ---- rates


def test_a_rate_needs_two_readings() -> None:
    """What is stored already says nothing of how fast it came."""
    assert rates_of().by_symbol() == rates_of({A: 5000}).by_symbol() == {}
    assert rates_of({A: 5000}, {A: 5100}).by_symbol() == {A: 10.0}


def test_a_burst_is_seen_while_it_is_recent() -> None:
    """The busiest of the last intervals counts; when it has left them, the average does."""
    burst = [{A: 0}, {A: 1000}]
    assert rates_of(*burst, {A: 1010}).by_symbol() == {A: 100.0}
    later = rates_of(*burst, *({A: 1000 + 10 * n} for n in range(1, READINGS_KEPT + 1)))
    assert later.by_symbol() == {A: pytest.approx(1040 / 50)}


def test_a_symbol_that_is_quiet_now_has_its_average() -> None:
    """At lunch nothing comes, and the afternoon does not begin at nought."""
    rates = rates_of({A: 0}, {A: 600}, *([{A: 600}] * READINGS_KEPT))
    assert rates.by_symbol() == {A: pytest.approx(600 / 50)}


def test_a_symbol_that_appears_has_traded_since_the_reading_before() -> None:
    """Its first row of the day is a trade as any other."""
    assert rates_of({A: 10}, {A: 10, B: 20}).by_symbol() == {B: 2.0}


def test_another_day_begins_anew_and_keeps_what_is_known() -> None:
    """A count that falls is another file's; until it has been read twice, the rates of before stand."""
    rates = rates_of({A: 100}, {A: 200}, {A: 3})
    assert rates.by_symbol() == {A: 10.0}
    rates.take(30.0, {A: 4})
    assert rates.by_symbol() == {A: 0.1}


def test_what_was_fetched_is_no_rate() -> None:
    """A thousand ticks at once after a reconnect are trades of long ago."""
    rates = rates_of({A: 100}, {A: 200})
    rates.begin_anew()
    assert rates.by_symbol() == {A: 10.0}
    rates.take(30.0, {A: 1200})
    assert rates.by_symbol() == {A: 10.0}
    rates.take(40.0, {A: 1210})
    assert rates.by_symbol() == {A: 1.0}


def test_a_reading_that_failed_changes_nothing() -> None:
    """Nothing can be read: that is no day without trades."""
    assert rates_of({A: 100}, {}, {A: 200}).by_symbol() == {A: 5.0}


def test_what_should_have_come_since_is_of_the_average() -> None:
    """A busy symbol that is silent outweighs a quiet one that is silent for longer; what never traded has no say."""
    rates = rates_of({A: 0, B: 0, C: 7}, {A: 100, B: 1, C: 7}, {A: 200, B: 1, C: 7})
    assert rates.unheard(30.0) == {A: pytest.approx(100.0), B: pytest.approx(1.0)}
    assert Rates().unheard(30.0) == {}


# ---- deadlines


def at(clock: str, day: str = FRIDAY) -> int:
    """UTC epoch ms of a time of that day."""
    return hk_ms(day, clock)


def deadline_of(rate: float, interruption: Interruption, now_ms: int) -> int | None:
    """Of one symbol."""
    found = risks({A: rate}, interruption, now_ms)
    assert len(found) <= 1
    return found[0].deadline_ms if found else None


def test_the_deadline_is_when_the_reach_is_used_up() -> None:
    """1,000 ticks at 4 a second last 250 s; where OpenD itself was away, 50 of them last 12.5 s."""
    since_ms = at("10:00:00")
    assert deadline_of(4.0, Interruption(since_ms, 1000), since_ms) == since_ms + 250_000
    assert deadline_of(4.0, Interruption(since_ms, 50), since_ms) == since_ms + 12_500


@pytest.mark.parametrize(
    ("since", "now", "expected"),
    [
        ("11:59:00", "11:59:30", "13:03:10"),  # noon does not count
        ("12:30:00", "12:31:00", "13:04:10"),
        ("08:00:00", "08:10:00", "09:04:10"),
        ("16:05:00", "16:06:00", "16:09:10"),
        ("16:08:00", "16:09:00", None),  # the close comes before it
        ("18:00:00", "20:00:00", None),
    ],
)
def test_only_trading_time_counts(since: str, now: str, expected: str | None) -> None:
    """What does not trade does not push anything out of OpenD's memory; what outlasts the day is in no danger today."""
    found = deadline_of(4.0, Interruption(at(since), 1000), at(now))
    assert found == (None if expected is None else at(expected))


def test_an_outage_over_days_counts_their_trading_time() -> None:
    """From Friday's last minutes over the weekend to Monday's first ones."""
    since_ms, now_ms = at("16:08:00"), at("08:55:00", "2026-11-23")
    assert deadline_of(4.0, Interruption(since_ms, 1000), now_ms) == at("09:02:10", "2026-11-23")


def test_hong_kongs_clock_is_opends() -> None:
    """A host that is an hour behind counts noon where OpenD has it, and tells the deadline in its own time."""
    hour_ms = 3_600_000
    interruption = Interruption(at("10:59:00"), 1000, clock_offset_ms=hour_ms)
    assert deadline_of(4.0, interruption, at("10:59:30")) == at("12:03:10")


def test_a_market_of_other_hours_trades_all_the_time() -> None:
    """A simulated one by night; OpenD's own word that it is open tells them apart."""
    night_ms = at("03:00:00")
    assert deadline_of(4.0, Interruption(night_ms, 1000, by_hours=False), night_ms) == at("03:04:10")
    assert keeps_hours(is_open=True, now_ms=at("10:00:00"))
    assert keeps_hours(is_open=False, now_ms=night_ms)
    assert not keeps_hours(is_open=True, now_ms=night_ms)


def test_the_nearest_deadline_is_first_and_what_does_not_trade_has_none() -> None:
    """A symbol without a trade can lose nothing."""
    since_ms = at("10:00:00")
    found = risks({A: 1.0, B: 10.0, C: 0.0, D: 2.0}, Interruption(since_ms, 1000), since_ms)
    assert [risk.symbol for risk in found] == [B, D, A]


# ---- the order


def test_those_that_can_just_be_met_come_first_and_those_that_can_wait_last() -> None:
    """Past, urgent and patient ones; among themselves the busiest first, and without a rate by the day's rows."""
    rates = {"past": 9.0, "long past": 20.0, "urgent": 5.0, "more urgent": 6.0, "patient": 1.0}
    now_ms = 1_000_000
    deadlines = {
        "past": now_ms - 1, "long past": now_ms - 50_000, "more urgent": now_ms + 100, "urgent": now_ms + URGENT_MS,
        "patient": now_ms + URGENT_MS + 1,
    }  # fmt: skip
    rows = {"never so busy": 5, "old": 90_000, "patient": 1}
    symbols = ["never so busy", *sorted(rates), "old", "unknown"]
    assert fetch_order(symbols, rates, rows, deadlines, now_ms) == [
        "more urgent", "urgent", "long past", "past", "patient", "old", "never so busy", "unknown",
    ]  # fmt: skip


def test_without_deadlines_the_busiest_lately_is_first() -> None:
    """Its ticks leave OpenD's memory first, whoever had more over the whole day."""
    assert fetch_order([A, B, C], {B: 3.0}, {A: 30_000, B: 10, C: 20}, {}, 0) == [B, A, C]
