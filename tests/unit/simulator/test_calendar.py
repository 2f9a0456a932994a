"""Trade dates of the Hong Kong exchange."""

from __future__ import annotations

import datetime as dt

import pytest

from hk_tick_collector.simulator.calendar import DayKind, day_kind, trade_dates


@pytest.mark.parametrize("date", ["2026-11-20", "2026-02-20", "2027-10-11", "2024-09-06"])
def test_an_ordinary_weekday_trades_whole(date: str) -> None:
    """A weekday outside the table trades, the typhoon day of 2024 included: OpenD's calendar keeps such days."""
    assert day_kind(dt.date.fromisoformat(date)) is DayKind.WHOLE


@pytest.mark.parametrize(
    "date",
    [
        *("2026-11-21", "2026-11-22"),
        *("2024-02-12", "2024-04-04", "2024-05-15", "2024-06-10", "2024-09-18", "2024-10-11"),
        *("2025-01-29", "2025-04-18", "2025-05-05", "2025-10-07", "2025-10-29", "2025-12-25"),
        *("2026-02-17", "2026-04-03", "2026-04-07", "2026-05-25", "2026-06-19", "2026-10-19"),
        *("2027-02-08", "2027-03-26", "2027-05-13", "2027-06-09", "2027-09-16", "2027-10-08", "2027-12-27"),
    ],
)
def test_weekends_and_holidays_do_not_trade(date: str) -> None:
    """Saturdays, Sundays and the table's holidays have no trading."""
    assert day_kind(dt.date.fromisoformat(date)) is None


@pytest.mark.parametrize("date", ["2024-02-09", "2025-01-28", "2026-02-16", "2027-02-05", "2026-12-24", "2024-12-31"])
def test_eves_trade_in_the_morning(date: str) -> None:
    """The eves of Lunar New Year, Christmas and New Year end at noon."""
    assert day_kind(dt.date.fromisoformat(date)) is DayKind.MORNING


def test_a_year_outside_the_table_has_its_weekdays() -> None:
    """Without a table, every weekday trades whole, Christmas too."""
    days = trade_dates(dt.date(2030, 12, 23), dt.date(2030, 12, 29))
    assert days == [(dt.date(2030, 12, day), DayKind.WHOLE) for day in (23, 24, 25, 26, 27)]


def test_a_range_includes_both_ends_in_order() -> None:
    """The Christmas week of 2026, from a trade date to a trade date."""
    days = trade_dates(dt.date(2026, 12, 23), dt.date(2026, 12, 28))
    assert days == [
        (dt.date(2026, 12, 23), DayKind.WHOLE),
        (dt.date(2026, 12, 24), DayKind.MORNING),
        (dt.date(2026, 12, 28), DayKind.WHOLE),
    ]


@pytest.mark.parametrize(("year", "whole", "half"), [(2024, 244, 3), (2025, 243, 3), (2026, 244, 3), (2027, 245, 3)])
def test_the_years_have_as_many_trade_dates_as_the_exchange_said(year: int, whole: int, half: int) -> None:
    """A slip in the table would change a year's number of days."""
    kinds = [kind for _, kind in trade_dates(dt.date(year, 1, 1), dt.date(year, 12, 31))]
    assert (kinds.count(DayKind.WHOLE), kinds.count(DayKind.MORNING)) == (whole, half)


def test_an_empty_range_has_no_dates() -> None:
    """An end before the beginning gives nothing."""
    assert trade_dates(dt.date(2026, 11, 20), dt.date(2026, 11, 19)) == []
