"""How a day is written: the same for every command."""

from __future__ import annotations

import pytest

from hk_tick_collector.cli import dates
from hk_tick_collector.cli.dates import day_of, day_range, one_day
from hk_tick_collector.errors import ConfigError
from hk_tick_collector.hktime import parse_time

NIGHT_MS = parse_time("2026-11-20 00:30:00").ms  # in Hong Kong; still the 19th in London


@pytest.fixture
def night(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is half past midnight in Hong Kong."""
    monkeypatch.setattr(dates, "wall_ms", lambda: NIGHT_MS)


@pytest.mark.usefixtures("night")
@pytest.mark.parametrize(
    ("written", "day"),
    [
        ("20261118", "20261118"),
        ("2026-11-18", "20261118"),
        ("2026/11/18", "20261118"),
        (" 20261118 ", "20261118"),
        ("\uff12\uff10\uff12\uff16\uff11\uff11\uff11\uff18", "20261118"),
        ("today", "20261120"),
        ("Yesterday", "20261119"),
    ],
)
def test_a_day_may_be_written_in_several_forms(written: str, day: str) -> None:
    """Today is Hong Kong's day, wherever the machine is."""
    assert day_of(written) == day


EXPECTED = "expected today, yesterday, or a date such as 20261120 or 2026-11-20"


@pytest.mark.parametrize("written", ["", "tomorrow", "2026", "2026-1120", "2026/11-20", "20-11-2026", "2026-11-20x"])
def test_what_is_no_day_is_one_line(written: str) -> None:
    """With what was seen and what is expected."""
    with pytest.raises(ConfigError) as caught:
        day_of(written)
    assert str(caught.value) == f"day {written!r}, {EXPECTED}"


def test_a_date_that_does_not_exist_is_told_as_such() -> None:
    """Its form is right."""
    with pytest.raises(ConfigError) as caught:
        day_of("2026-02-30", "--from")
    assert str(caught.value) == f"--from '2026-02-30' is not in the calendar, {EXPECTED}"


def test_a_day_is_an_argument_or_an_option() -> None:
    """Given both ways it has to be the same; `all` is a word of some commands only."""
    assert one_day(None, None) is None
    assert one_day("20261118", None) == one_day(None, "2026-11-18") == one_day("20261118", "2026/11/18") == "20261118"
    assert one_day("all", None, takes_all=True) == "all"
    for both in (("20261118", "20261119"), ("all", None)):
        with pytest.raises(
            ConfigError, match=r"^(two days, '20261118' and --day '20261119'|day 'all', expected today)"
        ):
            one_day(*both)


def test_a_range_is_in_order() -> None:
    """Either end may be left out; a day is a range of itself."""
    assert day_range(None, None, None) == ("", "")
    assert day_range("20261118", None, None) == ("20261118", "20261118")
    assert day_range(None, "2026-11-18", None) == ("20261118", "")
    with pytest.raises(ConfigError, match="--from 20261119 is after --to 20261118: expected the earlier day first"):
        day_range(None, "20261119", "20261118")
    with pytest.raises(ConfigError, match="expected either one day, or --from and --to: not both"):
        day_range("20261118", "20261118", None)
