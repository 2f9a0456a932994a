"""What a caller asks for: symbols, days and instants, columns and types of ticks, in every form in which people write.

Owns these forms and what each means; knows nothing of what is stored. A day is Hong Kong's. A time without a zone is
Hong Kong time.

    a day       date(2026, 11, 20), "2026-11-20", "20261120", "today", "yesterday"
    an instant  datetime(2026, 11, 20, 9, 30), "2026-11-20 09:30", "2026-11-20T01:30:00Z"
    a range     ("2026-11-02", "2026-11-20") or slice(…, …); None: no limit on that side

A range begins with its first day or instant. If its end is a day, that whole day is in it; if its end is an instant,
it ends just before that instant.
"""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Final, NamedTuple

from hk_tick_collector.clock import wall_ms
from hk_tick_collector.errors import ConfigError, NoDataError, TimeFormatError
from hk_tick_collector.hktime import DAY_MS, EPOCH_MS_MAX, EPOCH_MS_MIN, HK, day_begin_ms, hk_day, hk_text
from hk_tick_collector.opend.numbers import TICK_TYPES
from hk_tick_collector.parquet.columns import COLUMNS
from hk_tick_collector.symbols import symbols_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    Symbols = str | int | Iterable[str | int]
    When = date | str  # a datetime is a date
    Bound = When | None
    Range = tuple[Bound, Bound] | list[Bound] | slice
    Types = str | int | Iterable[str | int]

NO_ODD_LOTS: Final = "no_odd_lots"
COUNTED: Final = "counted"
ODD_LOTS: Final = frozenset(number for number, name in TICK_TYPES.items() if name.startswith("ODD_LOT"))

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MS: Final = timedelta(milliseconds=1)
_DAY: Final = re.compile(r"([0-9]{4})([-/]?)([0-9]{2})\2([0-9]{2})")
_WORDS: Final = {"today": 0, "yesterday": 1}
_EXPECTED: Final = "expected a date, a datetime, or a text such as '2026-11-20' or '2026-11-20 09:30'"
_TYPE_NUMBERS: Final = {name: number for number, name in TICK_TYPES.items()}
_TYPE_OTHER: Final = re.compile(r"TYPE_([0-9]+)")


class Span(NamedTuple):
    """A range of time.

    Attributes:
        first: its first day, YYYYMMDD; "": without a limit.
        last: its last day, YYYYMMDD; "": without a limit.
        begin_ms: the first moment of it, UTC epoch ms; None: the whole first day.
        end_ms: the first moment after it, UTC epoch ms; None: the whole last day.
    """

    first: str = ""
    last: str = ""
    begin_ms: int | None = None
    end_ms: int | None = None

    @property
    def is_one_day(self) -> bool:
        """Whether it lies within one day."""
        return bool(self.first) and self.first == self.last

    def has(self, day: str) -> bool:
        """Whether a day, YYYYMMDD, or a part of it lies in the range."""
        return self.first <= day and (not self.last or day <= self.last)

    def limits_on(self, day: str) -> tuple[int | None, int | None]:
        """The first moment of the range on a day, and the first one after it; None: there is no limit on that day.

        A day's file holds the day's ticks, so no limit is needed on days in the middle.
        """
        return (self.begin_ms if day == self.first else None, self.end_ms if day == self.last else None)

    def __str__(self) -> str:
        if self.is_one_day and self.begin_ms is None and self.end_ms is None:
            return f"on {shown_day(self.first)}"
        if not self.first and not self.last:
            return "on any day"
        begin = "" if not self.first else _shown(self.first, self.begin_ms)
        end = "" if not self.last else _shown(self.last, self.end_ms)
        return " ".join(part for part in (begin and f"from {begin}", end and f"to {end}") if part)


def shown_day(day: str) -> str:
    """`2026-11-20` for 20261120."""
    return f"{day[:4]}-{day[4:6]}-{day[6:]}"


def _shown(day: str, ms: int | None) -> str:
    return shown_day(day) if ms is None else hk_text(ms)


# ---- days and instants


def day_of(when: When, what: str = "day") -> str:
    """A day as YYYYMMDD.

    Raises:
        ConfigError: it is not a day, or is an instant.
    """
    day, ms = _read(when, what)
    if ms is not None:
        raise ConfigError(f"{what} {when!r} is an instant, expected a day such as '{shown_day(day)}'")
    return day


def span_of(when: When | Range | None) -> Span:
    """The range of time that was asked for: a day, a pair, a slice, or None for everything.

    Raises:
        ConfigError: it is not such a range.
        NoDataError: it ends before it begins, or is empty.
    """
    if when is None:
        return Span()
    if isinstance(when, slice):
        if when.step is not None:
            raise ConfigError(f"a range with a step of {when.step!r}, expected only a begin and an end")
        return _between(when.start, when.stop)
    if isinstance(when, tuple | list):
        if len(when) != 2:  # noqa: PLR2004 - a begin and an end
            raise ConfigError(f"a range of {len(when)} values, expected a begin and an end")
        return _between(*when)
    day, ms = _read(when, "day")
    if ms is not None:
        raise ConfigError(f"{when!r} is an instant, expected a day, or a range such as ({when!r}, None)")
    return Span(day, day)


def instant_of(when: When, what: str) -> tuple[str, int]:
    """The day of a moment, and the moment in UTC epoch ms; of a day, its first.

    Raises:
        ConfigError: it is neither a day nor an instant.
    """
    day, ms = _read(when, what)
    return day, day_begin_ms(day) if ms is None else ms


def _between(begin: Bound, end: Bound) -> Span:
    first, begin_ms = ("", None) if begin is None else _read(begin, "the begin of the range")
    last, end_ms = ("", None) if end is None else _read(end, "the end of the range")
    if end_ms is not None:
        last = hk_day(end_ms - 1)
    span = Span(first, last, begin_ms, end_ms)
    begins = begin_ms if begin_ms is not None else day_begin_ms(first) if first else None
    ends = end_ms if end_ms is not None else day_begin_ms(last) + DAY_MS if last else None
    if begins is not None and ends is not None and begins >= ends:
        is_empty = begins == ends and end_ms is not None
        fault = "is empty" if is_empty else "ends before it begins"
        at = _shown(hk_day(ends), end_ms) if end_ms is not None else shown_day(last)
        raise NoDataError(f"the range from {_shown(first, begin_ms)} to {at} {fault}: expected the earlier one first")
    return span


def _read(when: When, what: str) -> tuple[str, int | None]:
    """A day, and the moment in UTC epoch ms; None: the whole day is meant."""
    if isinstance(when, datetime):
        return _instant(when, when, what)
    if isinstance(when, date):
        return _in_range(f"{when:%Y%m%d}", when, what), None
    if not isinstance(when, str):
        raise ConfigError(f"{what} {when!r}, {_EXPECTED}")
    text = when.strip().lower()
    if text in _WORDS:
        return hk_day(wall_ms() - _WORDS[text] * DAY_MS), None
    if match := _DAY.fullmatch(text):
        return _in_range(f"{match[1]}{match[3]}{match[4]}", when, what), None
    try:
        return _instant(datetime.fromisoformat(text.upper()), when, what)
    except ValueError:
        raise ConfigError(f"{what} {when!r}, {_EXPECTED}") from None


def _in_range(day: str, when: object, what: str) -> str:
    try:
        day_begin_ms(day)
    except TimeFormatError:
        raise ConfigError(f"{what} {when!r} is not in the calendar of 2000 to 2099, {_EXPECTED}") from None
    return day


def _instant(at: datetime, when: object, what: str) -> tuple[str, int]:
    """The same for a datetime; a fraction of a millisecond is rounded up: no tick lies in between."""
    if at != at:  # noqa: PLR0124 - pandas' NaT is a datetime
        raise ConfigError(f"{what} {when!r}, {_EXPECTED}")
    zoned = at.replace(tzinfo=HK) if at.tzinfo is None else at
    ms = -((_EPOCH - zoned) // _MS)
    if not EPOCH_MS_MIN <= ms < EPOCH_MS_MAX:
        raise ConfigError(f"{what} {when!r} lies outside of the years 2000 to 2099")
    return hk_day(ms), ms


# ---- symbols, columns, types


def symbols_asked(symbols: Symbols | None) -> tuple[str, ...] | None:
    """The symbols, each once, sorted; None: all.

    Raises:
        ConfigError: one is not a stock code, or none is named.
    """
    if symbols is None:
        return None
    given = [symbols] if isinstance(symbols, str | int) else list(symbols)
    for one in given:
        if isinstance(one, bool) or not isinstance(one, str | int):
            raise ConfigError(f"symbol {one!r}, expected a stock code such as 700 or 'HK.00700'")
    found = symbols_of([str(one) for one in given], "symbols")
    if not found:
        raise ConfigError("symbols: expected at least one code such as 'HK.00700', or None for all")
    return tuple(sorted(found))


def columns_asked(columns: Iterable[str] | None) -> tuple[str, ...]:
    """The columns in the order in which they were asked for; all if None.

    Raises:
        ConfigError: there is no such column, it is named twice, or none is named.
    """
    if columns is None:
        return COLUMNS
    found = (columns,) if isinstance(columns, str) else tuple(columns)
    unknown = [name for name in found if name not in COLUMNS]
    if unknown:
        raise ConfigError(f"there is no column {unknown[0]!r}: expected some of {', '.join(COLUMNS)}")
    if not found:
        raise ConfigError("columns: expected at least one column, or None for all")
    if len(set(found)) < len(found):
        raise ConfigError(f"a column is named twice in {', '.join(found)}")
    return found


def types_asked(types: Types | None) -> frozenset[int] | str | None:
    """The numbers of the types of ticks; None: all; `NO_ODD_LOTS` or `COUNTED` as they are.

    Raises:
        ConfigError: there is no such type or preset.
    """
    if types is None or (isinstance(types, str) and types in {NO_ODD_LOTS, COUNTED}):
        return types
    found = frozenset(_type(one) for one in ((types,) if isinstance(types, str | int) else types))
    if not found:
        raise ConfigError("types: expected at least one type, or None for all")
    return found


def _type(one: str | int) -> int:
    if isinstance(one, int) and not isinstance(one, bool):
        return one
    if isinstance(one, str):
        name = one.strip().upper()
        if name in _TYPE_NUMBERS:
            return _TYPE_NUMBERS[name]
        if match := _TYPE_OTHER.fullmatch(name):
            return int(match[1])
    raise ConfigError(
        f"there is no type of ticks {one!r}: expected '{NO_ODD_LOTS}', '{COUNTED}', or names such as 'AUTO_MATCH'"
    )
