"""Days as people write them on the command line, the same for every command. Today is Hong Kong's day."""

from __future__ import annotations

import re
import unicodedata
from typing import Final

from hk_tick_collector.clock import wall_ms
from hk_tick_collector.errors import ConfigError, TimeFormatError
from hk_tick_collector.hktime import DAY_MS, day_begin_ms, hk_day

ALL: Final = "all"  # written in the place of a day, where a command can do all of them

_DAY: Final = re.compile(r"([0-9]{4})([-/]?)([0-9]{2})\2([0-9]{2})")
_WORDS: Final = {"today": 0, "yesterday": 1}
_EXPECTED: Final = "expected today, yesterday, or a date such as 20261120 or 2026-11-20"


def day_of(written: str, what: str = "day") -> str:
    """A day as a person writes it, as YYYYMMDD: a word or a date, of Hong Kong.

    Args:
        written: `today`, `yesterday`, `20261120`, `2026-11-20` or `2026/11/20`.
        what: the option or argument, for the message.

    Raises:
        ConfigError: it is not a day.
    """
    text = unicodedata.normalize("NFKC", written).strip().lower()
    if text in _WORDS:
        return hk_day(wall_ms() - _WORDS[text] * DAY_MS)
    match = _DAY.fullmatch(text)
    try:
        if match is not None:
            day = f"{match[1]}{match[3]}{match[4]}"
            day_begin_ms(day)
            return day
    except TimeFormatError:
        raise ConfigError(f"{what} {written!r} is not in the calendar, {_EXPECTED}") from None
    raise ConfigError(f"{what} {written!r}, {_EXPECTED}")


def one_day(argument: str | None, option: str | None, *, takes_all: bool = False) -> str | None:
    """The day that a command was given, as an argument or as `--day`, as YYYYMMDD; None: neither.

    Args:
        argument: what was written as DAY.
        option: what was written as `--day DAY`.
        takes_all: `all` may stand in its place, and is returned as it is.

    Raises:
        ConfigError: it is not a day, or two were given.
    """
    days = {ALL if takes_all and one == ALL else day_of(one) for one in (argument, option) if one is not None}
    if len(days) > 1:
        raise ConfigError(f"two days, {argument!r} and --day {option!r}: expected one")
    return next(iter(days), None)


def day_range(day: str | None, since: str | None, until: str | None) -> tuple[str, str]:
    """The first and the last day of a range, as YYYYMMDD; "": without a limit.

    Args:
        day: one day, as YYYYMMDD; None: not given.
        since: what was written as `--from`.
        until: what was written as `--to`.

    Raises:
        ConfigError: it is not a day, there is both a day and a range, or the range ends before it begins.
    """
    if day is not None and (since or until):
        raise ConfigError("expected either one day, or --from and --to: not both")
    if day is not None:
        return day, day
    begin = day_of(since, "--from") if since else ""
    end = day_of(until, "--to") if until else ""
    if begin and end and end < begin:
        raise ConfigError(f"--from {begin} is after --to {end}: expected the earlier day first")
    return begin, end
