"""The rules of bars: what `every` may be, which types there are, in which currency a counter trades, half days."""

from __future__ import annotations

import re

import pytest
from support.tick_batches import at

from hk_tick_collector.errors import ConfigError
from hk_tick_collector.read.bar_rules import (
    DayFacts,
    Every,
    check_currency,
    day_sessions,
    parse_every,
)


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("5s", Every("time", 5_000)),
        ("1m", Every("time", 60_000)),
        ("1min", Every("time", 60_000)),
        (" 15 m ", Every("time", 900_000)),
        ("1.5m", Every("time", 90_000)),
        ("1h", Every("time", 3_600_000)),
        ("1d", Every("day", 86_400_000)),
        ("1000 ticks", Every("ticks", 1000)),
        ("1,000 ticks", Every("ticks", 1000)),
        ("1 tick", Every("ticks", 1)),
        ("1e6 shares", Every("shares", 1_000_000)),
        ("1e7 HKD", Every("turnover", 1e7, "HKD")),
        ("2.5e6 cny", Every("turnover", 2.5e6, "CNY")),
    ],
)
def test_every_is_a_time_or_an_amount(written: str, expected: Every) -> None:
    """As people write them."""
    assert parse_every(written) == expected


@pytest.mark.parametrize("written", ["", "m", "1", "1M", "1 month", "-1m", "1w", "5 lots", "1e6 EUR"])
def test_another_every_is_refused_with_examples(written: str) -> None:
    """`1M` is a month for some programs and a minute for others: it is neither here."""
    expected = (
        f"every={written!r}, expected a time such as '5s', '1m', '1h' or '1d', or an amount such as '1000 ticks', "
        "'1e6 shares' or '1e7 HKD'"
    )
    with pytest.raises(ConfigError, match=f"^{re.escape(expected)}$"):
        parse_every(written)


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("0m", "expected whole seconds, less than a day, or '1d'"),
        ("0.5s", "expected whole seconds, less than a day, or '1d'"),
        ("25h", "expected whole seconds, less than a day, or '1d'"),
        ("2d", "expected whole seconds, less than a day, or '1d'"),
        ("0 ticks", "expected an amount above 0 and up to 1e+15"),
        ("1e99 HKD", "expected an amount above 0 and up to 1e+15"),
        ("0.5 shares", "expected a whole number of shares"),
    ],
)
def test_an_every_that_makes_no_bars_is_refused(written: str, expected: str) -> None:
    """One clear line."""
    with pytest.raises(ConfigError, match=f"^{re.escape(f'every={written!r}, {expected}')}$"):
        parse_every(written)


def test_money_is_counted_in_the_counters_own_currency() -> None:
    """Nothing is converted, so another currency is refused."""
    for every, symbol in (("1e7 HKD", "HK.00700"), ("1e7 CNY", "HK.80700"), ("1e7 USD", "HK.09834")):
        check_currency(parse_every(every), symbol)
    check_currency(parse_every("1000 ticks"), "HK.80700")
    with pytest.raises(ConfigError, match=r"^HK.80700 trades in CNY, and the bars were asked for in HKD$"):
        check_currency(parse_every("1e7 HKD"), "HK.80700")
    with pytest.raises(ConfigError, match=r"^HK.09834 trades in HKD or USD, and the bars were asked for in CNY$"):
        check_currency(parse_every("1e7 CNY"), "HK.09834")
    with pytest.raises(ConfigError, match=r"^HK.00700 trades in HKD, and the bars were asked for in USD$"):
        check_currency(parse_every("1e7 USD"), "HK.00700")


@pytest.mark.parametrize(
    ("facts", "names"),
    [
        (DayFacts("whole"), ["pre-opening", "morning", "afternoon", "closing auction"]),
        (DayFacts("morning", at("12:09:00")), ["pre-opening", "morning", "closing auction"]),
        (DayFacts("morning", at("15:00")), ["pre-opening", "morning", "afternoon", "closing auction"]),
        (DayFacts(None, at("16:08:12")), ["pre-opening", "morning", "afternoon", "closing auction"]),
        (DayFacts(None, at("12:08:12")), ["pre-opening", "morning", "closing auction"]),
        (DayFacts(), ["pre-opening", "morning", "afternoon", "closing auction"]),
    ],
)
def test_a_half_day_is_known_by_the_calendar_or_by_its_last_trade(facts: DayFacts, names: list[str]) -> None:
    """The ticks overrule a calendar that is wrong, and stand in for one that is not there."""
    assert [session.name for session in day_sessions("20261120", facts)] == names
