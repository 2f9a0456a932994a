"""Hong Kong's clock: every written form of a time, and what is none."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta, timezone
from typing import Any

import pytest

from hk_tick_collector.errors import TimeFormatError
from hk_tick_collector.hktime import (
    EPOCH_MS_MAX,
    EPOCH_MS_MIN,
    HK,
    HK_OFFSET_MS,
    Form,
    WrittenTime,
    day_before,
    hk_date,
    hk_day,
    hk_midnight_ms,
    hk_text,
    is_trading_time,
    may_trade_between,
    parse_time,
    session_of,
    utc_text,
)

EAST_8 = timezone(timedelta(hours=8))
HOUR_MS = 3_600_000


def hk_ms(*fields: int) -> int:
    """UTC epoch ms of a date and clock in Hong Kong, by the standard library alone."""
    return int(datetime(*fields, tzinfo=EAST_8).timestamp()) * 1000  # type: ignore[arg-type,misc]


TICK_MS = hk_ms(2020, 3, 30, 16, 4, 41)
DATE_MS = hk_ms(2020, 3, 30)
CLOCK_MS = (16 * 3600 + 4 * 60 + 41) * 1000


@pytest.mark.parametrize(
    ("value", "form", "ms"),
    [
        ("2020-03-30 16:04:41", Form.LOCAL, TICK_MS),
        ("  2020-03-30 16:04:41\n", Form.LOCAL, TICK_MS),
        ("2020/03/30 16:04:41", Form.LOCAL, TICK_MS),
        ("2020/3/30 16:04:41", Form.LOCAL, TICK_MS),
        ("2020-03-30T16:04:41", Form.LOCAL, TICK_MS),
        ("2020-03-30 9:04:41", Form.LOCAL, TICK_MS - 7 * HOUR_MS),
        ("2020-03-30 16:04:41.5", Form.LOCAL, TICK_MS + 500),
        ("2020-03-30 16:04:41.05", Form.LOCAL, TICK_MS + 50),
        ("2020-03-30 16:04:41.123", Form.LOCAL, TICK_MS + 123),
        ("2020-03-30 16:04:41,123", Form.LOCAL, TICK_MS + 123),
        ("2020-03-30 16:04:41.123999999", Form.LOCAL, TICK_MS + 123),
        # As the vendor documents it: after a colon the milliseconds are a number of their own.
        ("2020-03-30 16:04:41:123", Form.LOCAL, TICK_MS + 123),
        ("2020/3/30T16:04:41:005", Form.LOCAL, TICK_MS + 5),
        ("2020-03-30 16:04:41:5", Form.LOCAL, TICK_MS + 5),
        ("2020-03-30 16:04:41:123999", Form.LOCAL, TICK_MS + 123),
        ("2020-03-30 16:04:41:123 +0800", Form.ZONED, TICK_MS + 123),
        ("16:04:41:250", Form.CLOCK, CLOCK_MS + 250),
        ("9:04:41:000", Form.CLOCK, CLOCK_MS - 7 * HOUR_MS),
        ("160441:250", Form.CLOCK, CLOCK_MS + 250),
        ("20200330160441:250", Form.LOCAL, TICK_MS + 250),
        ("2020-03-30T08:04:41Z", Form.ZONED, TICK_MS),
        ("2020-03-30 16:04:41+08:00", Form.ZONED, TICK_MS),
        ("2020-03-30 16:04:41 +0800", Form.ZONED, TICK_MS),
        ("2020-03-30T08:04:41.123+00:00", Form.ZONED, TICK_MS + 123),
        ("2020-03-30 04:34:41-03:30", Form.ZONED, TICK_MS),
        ("2020-03-30 22:04:41+14:00", Form.ZONED, TICK_MS),
        ("16:04:41", Form.CLOCK, CLOCK_MS),
        ("16:04:41.250", Form.CLOCK, CLOCK_MS + 250),
        ("9:04:41", Form.CLOCK, CLOCK_MS - 7 * HOUR_MS),
        ("00:00:00", Form.CLOCK, 0),
        ("23:59:59.999", Form.CLOCK, 24 * HOUR_MS - 1),
        ("160441", Form.CLOCK, CLOCK_MS),
        (160441, Form.CLOCK, CLOCK_MS),
        (160441.25, Form.CLOCK, CLOCK_MS + 250),
        ("160441.250", Form.CLOCK, CLOCK_MS + 250),
        # 09:30:00, 00:30:05, 00:00:05 and midnight, on their way through a number.
        (93000, Form.CLOCK, 9 * HOUR_MS + HOUR_MS // 2),
        ("93000", Form.CLOCK, 9 * HOUR_MS + HOUR_MS // 2),
        (3005, Form.CLOCK, 30 * 60_000 + 5000),
        (5, Form.CLOCK, 5000),
        (0, Form.CLOCK, 0),
        ("0", Form.CLOCK, 0),
        (0.5, Form.CLOCK, 500),
        ("20200330160441", Form.LOCAL, TICK_MS),
        (20200330160441, Form.LOCAL, TICK_MS),
        (20200330160441.0, Form.LOCAL, TICK_MS),
        ("20200330160441.123", Form.LOCAL, TICK_MS + 123),
        ("20200330160441123", Form.LOCAL, TICK_MS + 123),
        (20200330160441123, Form.LOCAL, TICK_MS + 123),
        ("1585555481", Form.EPOCH, TICK_MS),
        (1585555481, Form.EPOCH, TICK_MS),
        (1585555481.123, Form.EPOCH, TICK_MS + 123),
        ("1585555481.123456", Form.EPOCH, TICK_MS + 123),
        ("1585555481123", Form.EPOCH, TICK_MS + 123),
        (1585555481123, Form.EPOCH, TICK_MS + 123),
        (1585555481123.0, Form.EPOCH, TICK_MS + 123),
        ("2020-03-30", Form.DATE, DATE_MS),
        ("2020/3/30", Form.DATE, DATE_MS),
        ("20200330", Form.DATE, DATE_MS),
        (20200330, Form.DATE, DATE_MS),
        (20200330.0, Form.DATE, DATE_MS),
    ],
)
def test_every_written_form(value: str | float, form: Form, ms: int) -> None:
    """As text and as number, with fractions cut to ms, zones, and leading zeros lost."""
    assert parse_time(value) == WrittenTime(form, ms)


@pytest.mark.parametrize("value", ["20240102", 20240102, 20240102.0])
def test_a_bare_date_is_never_a_second_of_1970(value: str | float) -> None:
    """20240102 s after 1970 would be 1970-08-23."""
    assert parse_time(value) == WrittenTime(Form.DATE, hk_ms(2024, 1, 2))


@pytest.mark.parametrize(
    "value",
    [
        "2020-13-30 16:04:41",
        "2020-00-30 16:04:41",
        "2020-02-30 16:04:41",
        "2021-02-29 16:04:41",
        "2020-03-30 24:00:00",
        "2020-03-30 16:60:41",
        "2020-03-30 16:04:60",
        "2020-03-30 16:04:41+15:00",
        "2020-03-30 16:04:41+99:99",
        "2020-03-30 16:04:41+08:60",
        "24:00:00",
        "16:60:00",
        "16:00:60",
        "240000",
        996060,
        61,
        6000,
        "20201330",
        20200230,
        20200330250000,
        "20200330166041",
        "2020-02-30",
    ],
)
def test_an_impossible_time_is_no_time(value: str | float) -> None:
    """It has a form, but no calendar or clock has it; the message shows it as it came."""
    with pytest.raises(TimeFormatError) as caught:
        parse_time(value)
    assert str(caught.value).startswith(f"time {value!r} is no real time: ")


@pytest.mark.parametrize(
    "value",
    [
        "", " ", "now", "16:04", "2020-03-30 16:04", "20-03-30 16:04:41", "2020-03-30 16:04:41 HKT", "-1", -1, -0.5,
        "+1585555481", "1e9", "0x10", "1,585,555,481", "2020-03-30  16:04:41", "2020-03-30 16:04:41.", ".5", "5.",
        "2020-03-30 16:04:41:", "2020-03-30 16:04:41:12:5", "2020-03-30 16:04:41 :5", "9:04:5", "93000:5", ":5",
        1234567, 123456789, 12345678901, 123456789012, 123456789012345, 1234567890123456, 123456789012345678,
        float("nan"), float("inf"), float("-inf"), 1e300, "2020-03-30 16:04:41.1234567890",
    ],
)  # fmt: skip
def test_what_has_no_form_is_no_time(value: str | float) -> None:
    """The message shows what came and what is accepted."""
    with pytest.raises(TimeFormatError) as caught:
        parse_time(value)
    assert str(caught.value) == (
        f"time {value!r}, expected YYYY-MM-DD HH:MM:SS, HHMMSS, YYYYMMDDHHMMSS or epoch seconds or milliseconds"
    )


@pytest.mark.parametrize("value", [True, False, b"2020-03-30 16:04:41", b"\xff", None])
def test_other_values_are_no_time(value: Any) -> None:  # noqa: ANN401 - wrong on purpose
    """Nothing else comes out, whatever a feed puts in: protobuf gives bytes where a text is not UTF-8."""
    with pytest.raises(TimeFormatError):
        parse_time(value)


@pytest.mark.parametrize(
    "value",
    ["1999-12-31 23:59:59", "2100-01-01 08:00:00", "2100-06-01", 19991231, 4102444800, 9999999999999, "0001-01-02"],
)
def test_times_out_of_this_century_are_misread_numbers(value: str | float) -> None:
    """In whatever form they are written."""
    with pytest.raises(TimeFormatError, match="lies outside of the years 2000 to 2099"):
        parse_time(value)


def test_the_century_begins_and_ends_to_the_second() -> None:
    """Its first second is in, the first one behind it is out (UTC)."""
    assert parse_time("2000-01-01T00:00:00Z").ms == EPOCH_MS_MIN
    assert parse_time("2099-12-31T23:59:59.999Z").ms == EPOCH_MS_MAX - 1
    for value in ("1999-12-31T23:59:59.999Z", "2100-01-01T00:00:00Z"):
        with pytest.raises(TimeFormatError):
            parse_time(value)


def test_days_change_at_hong_kongs_midnight() -> None:
    """One ms before it is the day before; 16:00 UTC is where it lies."""
    midnight = hk_ms(2020, 3, 31)
    assert (hk_day(midnight), hk_day(midnight - 1)) == ("20200331", "20200330")
    assert (hk_date(midnight), hk_date(midnight - 1)) == (date(2020, 3, 31), date(2020, 3, 30))
    assert hk_midnight_ms(midnight) == midnight
    assert hk_midnight_ms(midnight - 1) == midnight - 24 * HOUR_MS
    assert hk_midnight_ms(midnight + 1) == midnight
    assert datetime.fromtimestamp(midnight / 1000, UTC).hour == 16


def test_times_for_people_have_their_zone() -> None:
    """Hong Kong's with its offset, UTC with Z, both to the ms."""
    assert hk_text(TICK_MS + 7) == "2020-03-30 16:04:41.007+08:00"
    assert utc_text(TICK_MS + 7) == "2020-03-30T08:04:41.007Z"


def test_hong_kong_is_8_hours_ahead() -> None:
    """The offset of the zone and the constant are the same."""
    assert HK.utcoffset(None) == timedelta(milliseconds=HK_OFFSET_MS) == timedelta(hours=8)


@pytest.mark.parametrize(
    ("written", "is_trading"),
    [
        ("2026-11-20 08:59:59", False),
        ("2026-11-20 09:00:00", True),
        ("2026-11-20 11:59:59", True),
        ("2026-11-20 12:00:00", False),
        ("2026-11-20 12:59:59", False),
        ("2026-11-20 13:00:00", True),
        ("2026-11-20 16:09:59", True),
        ("2026-11-20 16:10:00", False),
        ("2026-11-20 23:00:00", False),
        ("2026-11-21 10:00:00", False),  # a Saturday
        ("2026-11-22 10:00:00", False),
        ("2026-11-23 10:00:00", True),
        ("2026-12-25 10:00:00", True),  # a holiday: only OpenD knows
    ],
)
def test_trading_time_is_the_clocks_alone(written: str, *, is_trading: bool) -> None:
    """Weekdays, from the pre-opening to noon and from one to the latest closing print, in Hong Kong."""
    assert is_trading_time(parse_time(written).ms) is is_trading


@pytest.mark.parametrize(
    ("begin", "end", "may_trade"),
    [
        ("2026-11-20 08:00:00", "2026-11-20 08:59:59", False),
        ("2026-11-20 08:59:59", "2026-11-20 09:00:00", True),
        ("2026-11-20 12:05:00", "2026-11-20 12:15:00", True),  # the closing auction of a half day
        ("2026-11-20 16:10:30", "2026-11-20 23:00:00", True),  # the last prints
        ("2026-11-20 16:11:01", "2026-11-23 08:59:59", False),  # a weekend
        ("2026-11-20 16:11:01", "2026-11-23 09:00:00", True),
        ("2026-11-18 17:00:00", "2026-11-19 17:00:00", True),  # a whole day in between
        ("2026-11-21 09:30:00", "2026-11-22 15:00:00", False),
        ("2026-11-20 10:00:00", "2026-11-20 10:00:00", True),
    ],
)
def test_whether_hong_kong_may_have_traded(begin: str, end: str, *, may_trade: bool) -> None:
    """Never no where there were trades: noon is no break, and prints come until after 16:10."""
    assert may_trade_between(parse_time(begin).ms, parse_time(end).ms) is may_trade


@pytest.mark.parametrize(
    ("at", "session"),
    [
        ("2026-11-20 08:59:59", "closed"),
        ("2026-11-20 09:20:00", "pre-opening"),
        ("2026-11-20 09:30:00", "morning"),
        ("2026-11-20 12:08:00", "lunch"),
        ("2026-11-20 13:00:00", "afternoon"),
        ("2026-11-20 16:08:00", "closing auction"),
        ("2026-11-20 16:11:00", "closed"),
        ("2026-11-21 10:00:00", "closed"),
    ],
)
def test_a_moment_belongs_to_a_session(at: str, session: str) -> None:
    """By the clock of Hong Kong alone."""
    assert session_of(parse_time(at).ms) == session


@pytest.mark.parametrize(
    ("day", "days", "expected"),
    [
        ("20260301", 1, "20260228"),
        ("20260731", -1, "20260801"),
        ("20260731", 30, "20260701"),
        ("20260731", 0, "20260731"),
    ],
)
def test_days_are_counted_by_the_calendar(day: str, days: int, expected: str) -> None:
    """Over the ends of months and years."""
    assert day_before(day, days) == expected
