"""Trade dates of the Hong Kong exchange, as OpenD's RequestTradeDate reports them.

Owns the holiday table. It omits closures that were decided on the day (the typhoon of 2024-09-06): OpenD's calendar
does not remove those dates either.

The table covers 2024 to 2027. In any other year every weekday trades.
"""

from __future__ import annotations

import datetime as dt
from enum import IntEnum

# Weekdays on which the exchange is closed, by year: MMDD. From the exchange's yearly calendar circulars, checked
# against the public package exchange-calendars 4.13 (XHKG).
_CLOSED = {
    2024: "0101 0212 0213 0329 0401 0404 0501 0515 0610 0701 0918 1001 1011 1225 1226",
    2025: "0101 0129 0130 0131 0404 0418 0421 0501 0505 0701 1001 1007 1029 1225 1226",
    2026: "0101 0217 0218 0219 0403 0406 0407 0501 0525 0619 0701 1001 1019 1225",
    2027: "0101 0208 0209 0326 0329 0405 0513 0609 0701 0916 1001 1008 1227",
}
# Lunar New Year's Eve, in years when it is a trade date. Christmas Eve and New Year's Eve have fixed dates.
_LUNAR_EVE = {2024: "0209", 2025: "0128", 2026: "0216", 2027: "0205"}
_FIXED_EVES = ("1224", "1231")

_SATURDAY = 5


class DayKind(IntEnum):
    """Which sessions a trade date has; the numbers are those of Qot_Common.TradeDateType."""

    WHOLE = 0
    MORNING = 1
    AFTERNOON = 2  # never in Hong Kong; the `calendar` fault can make OpenD report it


def _table(days_of: dict[int, str]) -> frozenset[dt.date]:
    return frozenset(
        dt.date(year, int(day[:2]), int(day[2:])) for year, days in days_of.items() for day in days.split()
    )


_HOLIDAYS = _table(_CLOSED)
_HALF_DAYS = _table({year: " ".join((eve, *_FIXED_EVES)) for year, eve in _LUNAR_EVE.items()})


def day_kind(date: dt.date) -> DayKind | None:
    """The kind of trade date; None: no trading on that date."""
    if date.weekday() >= _SATURDAY or date in _HOLIDAYS:
        return None
    return DayKind.MORNING if date in _HALF_DAYS else DayKind.WHOLE


def trade_dates(begin: dt.date, end: dt.date) -> list[tuple[dt.date, DayKind]]:
    """Trade dates from `begin` to `end`, both included, in order."""
    dates = (begin + dt.timedelta(days=n) for n in range((end - begin).days + 1))
    return [(date, kind) for date in dates if (kind := day_kind(date)) is not None]
