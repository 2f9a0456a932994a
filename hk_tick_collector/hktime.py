"""Hong Kong's clock: days, and every written form of a time that OpenD and its users are known to use.

Owns parsing; `mapping` decides which of several times is believed. Never reads the host's clock.

Hong Kong has been at UTC+8 without summer time since 1979-10-21, so a fixed offset is exact for every trade that
OpenD can report, and the machine needs no time zone database.
"""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta, timezone
from enum import Enum, auto
from typing import NamedTuple

from hk_tick_collector.errors import TimeFormatError

HK = timezone(timedelta(hours=8), "Asia/Hong_Kong")
HK_OFFSET_MS = 8 * 3600 * 1000
DAY_MS = 24 * 3600 * 1000

# A time outside of these years is a misread number, not a trade: OpenD's history begins after the first, and no file
# will outlive the second.
EPOCH_MS_MIN = 946_684_800_000  # 2000-01-01
EPOCH_MS_MAX = 4_102_444_800_000  # 2100-01-01


SATURDAY = 5

# HKEX's trading hours, in ms after midnight.
MINUTE_MS = 60_000
PRE_OPENING_MS = 9 * 60 * MINUTE_MS
MORNING_MS = (9 * 60 + 30) * MINUTE_MS
NOON_MS = 12 * 60 * MINUTE_MS
AFTERNOON_MS = 13 * 60 * MINUTE_MS
CLOSE_MS = 16 * 60 * MINUTE_MS
# The latest closing print by the rules. _END_MS adds a minute for prints that come late.
CLOSING_PRINT_MS = CLOSE_MS + 10 * MINUTE_MS
_END_MS = CLOSE_MS + 11 * MINUTE_MS

SESSIONS_MS = ((PRE_OPENING_MS, NOON_MS), (AFTERNOON_MS, CLOSING_PRINT_MS))
_CONTINUOUS_MS = ((MORNING_MS, NOON_MS), (AFTERNOON_MS, CLOSE_MS))

# The parts of a trading day, each with its end.
_PARTS = (
    (PRE_OPENING_MS, "closed"),
    (MORNING_MS, "pre-opening"),
    (NOON_MS, "morning"),
    (AFTERNOON_MS, "lunch"),
    (CLOSE_MS, "afternoon"),
    (_END_MS, "closing auction"),
)


class Form(Enum):
    """How a time was written, which determines what can be wrong with it."""

    LOCAL = auto()  # date and clock without a zone: Hong Kong's
    ZONED = auto()  # date, clock and zone
    EPOCH = auto()  # seconds or milliseconds since 1970
    CLOCK = auto()  # a clock time without a date
    DATE = auto()  # a date without a clock time


class WrittenTime(NamedTuple):
    """A parsed time.

    Attributes:
        form: how it was written.
        ms: UTC epoch ms; for CLOCK ms since Hong Kong's midnight; for DATE the day's Hong Kong midnight in UTC ms.
    """

    form: Form
    ms: int


_DATED = re.compile(
    r"(\d{4})[-/](\d{1,2})[-/](\d{1,2})[ T](\d{1,2}):(\d{2}):(\d{2})(?:([.,:])(\d{1,9}))?\s*(Z|[+-]\d{2}:?\d{2})?"
)
_CLOCK = re.compile(r"(\d{1,2}):(\d{2}):(\d{2})(?:([.,:])(\d{1,9}))?")
_DATE = re.compile(r"(\d{4})[-/](\d{1,2})[-/](\d{1,2})")
_NUMBER = re.compile(r"(\d+)(?:(\.)(\d+))?")
_COMPACT = re.compile(r"(\d{6}|\d{14})(:)(\d{1,9})")  # fewer digits before a colon could be hours and minutes

_CLOCK_DIGITS_MAX = 6  # HHMMSS; fewer if it was a number and has lost its leading zeros
_DATE_DIGITS = 8  # YYYYMMDD
_EPOCH_SEC_DIGITS = 10
_EPOCH_MS_DIGITS = 13
_COMPACT_DIGITS = 14  # YYYYMMDDHHMMSS
_COMPACT_MS_DIGITS = 17


def parse_time(value: str | float) -> WrittenTime:
    """Read a time in any of the accepted forms.

    Accepted, as text or number: `2020-03-30 16:04:41[.123]` (also with `/`, `T`, a zone), `16:04:41`, `160441` (also
    without its leading zeros), `20200330160441`, epoch seconds, epoch milliseconds, and a bare date, which is not a
    time but can be completed by a witness. The milliseconds may follow a colon, as the vendor documents them:
    `16:04:41:123`.

    Raises:
        TimeFormatError: it has none of these forms, or is not between 2000 and 2099.
    """
    if isinstance(value, bool):
        raise TimeFormatError(f"time {value!r}, expected a time")
    try:
        found = _parse_text(value.strip() if isinstance(value, str) else _number_text(value))
    except (ValueError, OverflowError, TypeError) as exc:  # TypeError: protobuf gives bytes for invalid UTF-8
        raise TimeFormatError(f"time {value!r} is no real time: {exc}") from exc
    if found is None:
        raise TimeFormatError(
            f"time {value!r}, expected YYYY-MM-DD HH:MM:SS, HHMMSS, YYYYMMDDHHMMSS or epoch seconds or milliseconds"
        )
    if found.form is not Form.CLOCK and not EPOCH_MS_MIN <= found.ms < EPOCH_MS_MAX:
        raise TimeFormatError(f"time {value!r} lies outside of the years 2000 to 2099")
    return found


def hk_date(ts_ms: int) -> date:
    """The Hong Kong date of a UTC epoch ms."""
    return datetime.fromtimestamp(ts_ms / 1000, HK).date()


def hk_day(ts_ms: int) -> str:
    """The Hong Kong date as `YYYYMMDD`, the name of a day database."""
    return hk_date(ts_ms).strftime("%Y%m%d")


def day_before(day: str, days: int) -> str:
    """The day `days` days before another one, both as `YYYYMMDD`; a negative number gives a day after it."""
    return (datetime.strptime(day, "%Y%m%d").replace(tzinfo=HK) - timedelta(days=days)).strftime("%Y%m%d")


def day_begin_ms(day: str) -> int:
    """UTC epoch ms of the Hong Kong midnight with which a day, YYYYMMDD, begins.

    Raises:
        TimeFormatError: it is not a day.
    """
    return parse_time(day + "000000").ms


def hk_midnight_ms(ts_ms: int) -> int:
    """UTC epoch ms of the Hong Kong midnight at or before `ts_ms`."""
    return ts_ms - (ts_ms + HK_OFFSET_MS) % DAY_MS


def is_trading_time(ts_ms: int) -> bool:
    """Whether Hong Kong trades at that moment, by the clock alone: weekdays, the sessions with their auctions.

    Knows no holidays, half days or closures: use it only if OpenD has not reported the market's state.
    """
    return _is_weekday(ts_ms) and any(begin <= _clock_ms(ts_ms) < end for begin, end in SESSIONS_MS)


def since_continuous_ms(ts_ms: int, late_ms: int = 0) -> int | None:
    """Milliseconds since the half day's continuous trading began, by the clock alone; None outside of it.

    Args:
        ts_ms: the moment.
        late_ms: how long after its end it still counts as going on.
    """
    if not _is_weekday(ts_ms):
        return None
    clock_ms = _clock_ms(ts_ms)
    return next((clock_ms - begin for begin, end in _CONTINUOUS_MS if begin <= clock_ms < end + late_ms), None)


def may_trade_between(begin_ms: int, end_ms: int) -> bool:
    """Whether Hong Kong can have traded at some moment from `begin_ms` to `end_ms`: weekdays, 09:00 to 16:11.

    Knows no holidays. Lunch counts as trading time, since a half day has its closing auction at noon. Invariant: it is
    never False if there were trades.
    """
    midnight_ms = hk_midnight_ms(begin_ms)
    while midnight_ms <= end_ms:
        is_within = begin_ms <= midnight_ms + _END_MS and end_ms >= midnight_ms + PRE_OPENING_MS
        if is_within and _is_weekday(midnight_ms):
            return True
        midnight_ms += DAY_MS
    return False


def session_of(ts_ms: int) -> str:
    """A moment's part of the day, by the clock: pre-opening, morning, lunch, afternoon, closing auction, closed."""
    if not _is_weekday(ts_ms):
        return "closed"
    return next((name for until_ms, name in _PARTS if _clock_ms(ts_ms) < until_ms), "closed")


def opens_ms(ts_ms: int) -> int:
    """When the next pre-opening begins after a moment at which Hong Kong is closed; knows no holidays."""
    opening_ms = hk_midnight_ms(ts_ms) + PRE_OPENING_MS
    while opening_ms <= ts_ms or not _is_weekday(opening_ms):
        opening_ms += DAY_MS
    return opening_ms


def _is_weekday(ts_ms: int) -> bool:
    return hk_date(ts_ms).weekday() < SATURDAY


def _clock_ms(ts_ms: int) -> int:
    """Milliseconds since Hong Kong's midnight."""
    return ts_ms - hk_midnight_ms(ts_ms)


def hk_text(ts_ms: int) -> str:
    """`2020-03-30 16:04:41.000+08:00`: for people, with its zone."""
    return datetime.fromtimestamp(ts_ms / 1000, HK).isoformat(sep=" ", timespec="milliseconds")


def plausible_ms(ms: float | None) -> int | None:
    """A time that may be wrong, UTC epoch ms; None if there is none, or it can't be a time."""
    return int(ms) if ms is not None and EPOCH_MS_MIN <= ms < EPOCH_MS_MAX else None


def plausible_text(ms: float | None) -> str:
    """Like `hk_text`, for a time that may be wrong; empty if there is none, or it can't be a time."""
    right_ms = plausible_ms(ms)
    return "" if right_ms is None else hk_text(right_ms)


def utc_text(ts_ms: int) -> str:
    """`2020-03-30T08:04:41.000Z`: for logs."""
    return datetime.fromtimestamp(ts_ms / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _number_text(value: float) -> str:
    """A number as digits: no exponent, and a fraction only if there is one."""
    if isinstance(value, int):
        return str(value)
    return f"{value:.6f}".rstrip("0").rstrip(".")


def _parse_text(text: str) -> WrittenTime | None:
    if match := _DATED.fullmatch(text):
        *fields, mark, fraction, zone = match.groups()
        ms = _utc_ms(*(int(x) for x in fields)) + _fraction_ms(mark, fraction)
        if zone is None:
            return WrittenTime(Form.LOCAL, ms - HK_OFFSET_MS)
        return WrittenTime(Form.ZONED, ms - _zone_ms(zone))
    if match := _CLOCK.fullmatch(text):
        hour, minute, second, mark, fraction = match.groups()
        return _clock(int(hour), int(minute), int(second), _fraction_ms(mark, fraction))
    if match := _DATE.fullmatch(text):
        year, month, day = (int(x) for x in match.groups())
        return WrittenTime(Form.DATE, _utc_ms(year, month, day, 0, 0, 0) - HK_OFFSET_MS)
    if match := _NUMBER.fullmatch(text) or _COMPACT.fullmatch(text):
        digits, mark, fraction = match.groups()
        return _parse_digits(digits, _fraction_ms(mark, fraction))
    return None


def _parse_digits(digits: str, fraction_ms: int) -> WrittenTime | None:
    """The number of digits determines the form: 20240102 is a date, never a second of 1970."""
    size = len(digits)
    if size <= _CLOCK_DIGITS_MAX:
        clock = digits.zfill(_CLOCK_DIGITS_MAX)
        return _clock(int(clock[:2]), int(clock[2:4]), int(clock[4:]), fraction_ms)
    if size == _DATE_DIGITS:
        return WrittenTime(Form.DATE, _compact_ms(digits + "000000"))
    if size in (_EPOCH_SEC_DIGITS, _EPOCH_MS_DIGITS):
        ms = int(digits) * 1000 + fraction_ms if size == _EPOCH_SEC_DIGITS else int(digits)
        return WrittenTime(Form.EPOCH, ms)
    if size == _COMPACT_DIGITS:
        return WrittenTime(Form.LOCAL, _compact_ms(digits) + fraction_ms)
    if size == _COMPACT_MS_DIGITS:
        return WrittenTime(Form.LOCAL, _compact_ms(digits[:_COMPACT_DIGITS]) + int(digits[_COMPACT_DIGITS:]))
    return None


def _compact_ms(digits: str) -> int:
    """YYYYMMDDHHMMSS in Hong Kong's time, as UTC epoch ms."""
    return _utc_ms(int(digits[:4]), *(int(digits[i : i + 2]) for i in range(4, 14, 2))) - HK_OFFSET_MS


def _clock(hour: int, minute: int, second: int, fraction_ms: int) -> WrittenTime:
    at = timedelta(hours=hour, minutes=minute, seconds=second)
    if hour > 23 or minute > 59 or second > 59:  # noqa: PLR2004 - a clock's own numbers
        raise ValueError(f"{hour:02}:{minute:02}:{second:02} is not on a clock")
    return WrittenTime(Form.CLOCK, int(at.total_seconds()) * 1000 + fraction_ms)


def _fraction_ms(mark: str | None, fraction: str | None) -> int:
    """The fraction of a second as ms, truncated, not rounded: a trade is never moved into the next second.

    After a point the digits are a fraction (.5 is 500 ms); after a colon they count milliseconds (:5 is 5 ms).
    """
    if not fraction:
        return 0
    return int(fraction[:3] if mark == ":" else fraction[:3].ljust(3, "0"))


def _zone_ms(zone: str) -> int:
    if zone == "Z":
        return 0
    sign, hours, minutes = -1 if zone[0] == "-" else 1, int(zone[1:3]), int(zone[-2:])
    if hours > 14 or minutes > 59:  # noqa: PLR2004 - Kiribati is the furthest
        raise ValueError(f"zone {zone} is nowhere")
    return sign * (hours * 60 + minutes) * 60_000


def _utc_ms(year: int, month: int, day: int, hour: int = 0, minute: int = 0, second: int = 0) -> int:
    return int(datetime(year, month, day, hour, minute, second, tzinfo=UTC).timestamp()) * 1000
