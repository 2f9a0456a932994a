"""What callers ask for: days, instants, ranges, symbols, columns and types."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Any, Final

import pytest

from hk_tick_collector import clock
from hk_tick_collector.errors import ConfigError, NoDataError
from hk_tick_collector.hktime import HK, day_begin_ms
from hk_tick_collector.parquet.columns import COLUMNS
from hk_tick_collector.read.asking import (
    Span,
    columns_asked,
    day_of,
    instant_of,
    span_of,
    symbols_asked,
    types_asked,
)

BEGIN_MS = day_begin_ms("20261120")
OPEN_MS = BEGIN_MS + (9 * 60 + 30) * 60_000
OUTSIDE: Final = (
    "the begin of the range datetime.datetime(1999, 1, 1, 0, 0, tzinfo=datetime.timezone(datetime.timedelta("
    "seconds=28800), 'Asia/Hong_Kong')) lies outside of the years 2000 to 2099"
)
EARLIER: Final = "expected the earlier one first"
EXPECTED: Final = "expected a date, a datetime, or a text such as '2026-11-20' or '2026-11-20 09:30'"


def as_asked(given: object) -> Any:  # noqa: ANN401 - callers write what they like
    """What a caller gives, whatever its type."""
    return given


@pytest.mark.parametrize("when", [date(2026, 11, 20), "2026-11-20", "20261120", "2026/11/20", " 2026-11-20 "])
def test_a_day_is_written_in_many_forms(when: object) -> None:
    """All of them are the same day, whole."""
    assert day_of(as_asked(when)) == "20261120"
    assert span_of(as_asked(when)) == Span("20261120", "20261120")
    assert str(span_of(as_asked(when))) == "on 2026-11-20"


def test_today_is_hong_kongs(monkeypatch: pytest.MonkeyPatch) -> None:
    """At 07:00 in Hong Kong it is still yesterday in UTC."""
    monkeypatch.setattr(clock, "host_ms", lambda: BEGIN_MS + 7 * 3_600_000)
    assert (day_of("today"), day_of("Yesterday")) == ("20261120", "20261119")


@pytest.mark.parametrize(
    "when",
    [
        datetime(2026, 11, 20, 9, 30),  # noqa: DTZ001 - naive means Hong Kong
        datetime(2026, 11, 20, 9, 30, tzinfo=HK),
        datetime(2026, 11, 20, 1, 30, tzinfo=UTC),
        "2026-11-20 09:30",
        "2026-11-20T09:30:00",
        "2026-11-20T01:30:00Z",
        "2026-11-20t10:30+09:00",
    ],
)
def test_an_instant_without_a_zone_is_hong_kongs(when: object) -> None:
    """With a zone, it is what it says."""
    assert instant_of(as_asked(when), "since") == ("20261120", OPEN_MS)


def test_a_day_as_an_instant_is_its_first_moment() -> None:
    """Of Hong Kong."""
    assert instant_of("2026-11-20", "since") == ("20261120", BEGIN_MS)


def test_a_fraction_of_a_millisecond_is_rounded_up() -> None:
    """Ticks have whole milliseconds: one at .000 lies before .0004."""
    assert instant_of(datetime(2026, 11, 20, 9, 30, 0, 400, HK), "since") == ("20261120", OPEN_MS + 1)


def test_a_day_at_the_end_of_a_range_is_included_and_an_instant_is_not() -> None:
    """A midnight at the end leaves the day that it begins out."""
    assert span_of(("2026-11-02", "2026-11-20")) == Span("20261102", "20261120")
    assert span_of(slice("2026-11-02", "2026-11-20")) == Span("20261102", "20261120")
    half = span_of(("2026-11-19", "2026-11-20 09:30"))
    assert half == Span("20261119", "20261120", None, OPEN_MS)
    assert span_of(["2026-11-19 09:30", "2026-11-20 00:00"]).last == "20261119"
    assert str(half) == "from 2026-11-19 to 2026-11-20 09:30:00.000+08:00"


def test_a_range_may_have_no_limit_on_a_side() -> None:
    """None is no limit."""
    assert span_of(None) == span_of((None, None)) == Span()
    assert span_of(("2026-11-20", None)).has("20991231")
    assert not span_of(("2026-11-20", None)).has("20261119")
    assert span_of((None, "2026-11-20")).has("20000101")
    assert (str(span_of(None)), str(span_of((None, "2026-11-20")))) == ("on any day", "to 2026-11-20")


def test_a_limit_holds_on_its_own_day_only() -> None:
    """The days in between are whole."""
    span = span_of(("2026-11-18 09:30", "2026-11-20 09:30"))
    assert span.limits_on("20261118") == (OPEN_MS - 2 * 86_400_000, None)
    assert span.limits_on("20261119") == (None, None)
    assert span.limits_on("20261120") == (None, OPEN_MS)


@pytest.mark.parametrize(
    ("when", "message"),
    [
        (("2026-11-20", "2026-11-02"), "from 2026-11-20 to 2026-11-02 ends before it begins"),
        (
            ("2026-11-20 09:30", "2026-11-20 09:30"),
            "from 2026-11-20 09:30:00.000+08:00 to 2026-11-20 09:30:00.000+08:00 is empty",
        ),
        (("2026-11-20", "2026-11-20 00:00"), "from 2026-11-20 to 2026-11-20 00:00:00.000+08:00 is empty"),
    ],
)
def test_a_range_the_wrong_way_round_is_refused(when: object, message: str) -> None:
    """Also an empty one, in one sentence."""
    with pytest.raises(NoDataError) as refused:
        span_of(as_asked(when))
    assert str(refused.value) == f"the range {message}: {EARLIER}"


@pytest.mark.parametrize(
    ("when", "message"),
    [
        ("soon", f"day 'soon', {EXPECTED}"),
        ("2026-11-31", f"day '2026-11-31' is not in the calendar of 2000 to 2099, {EXPECTED}"),
        (date(1999, 1, 1), f"day datetime.date(1999, 1, 1) is not in the calendar of 2000 to 2099, {EXPECTED}"),
        (20261120, f"day 20261120, {EXPECTED}"),
        (("2026-11-20",), "a range of 1 values, expected a begin and an end"),
        (slice("2026-11-20", None, 2), "a range with a step of 2, expected only a begin and an end"),
        (
            "2026-11-20 09:30",
            "'2026-11-20 09:30' is an instant, expected a day, or a range such as ('2026-11-20 09:30', None)",
        ),
        (("1999-01-01 0:00", None), f"the begin of the range '1999-01-01 0:00', {EXPECTED}"),
        ((datetime(1999, 1, 1, tzinfo=HK), None), OUTSIDE),
        (("2026-11-20", "noon"), f"the end of the range 'noon', {EXPECTED}"),
    ],
)
def test_what_is_no_range_is_refused(when: object, message: str) -> None:
    """With what was seen and what was expected."""
    with pytest.raises(ConfigError) as refused:
        span_of(as_asked(when))
    assert str(refused.value) == message


def test_pandas_missing_time_is_refused() -> None:
    """NaT is a datetime, and no time."""
    pandas = pytest.importorskip("pandas")
    with pytest.raises(ConfigError, match=r"^since NaT, expected"):
        instant_of(pandas.NaT, "since")
    assert instant_of(pandas.Timestamp("2026-11-20 09:30"), "since") == ("20261120", OPEN_MS)


def test_an_instant_is_no_day() -> None:
    """Where only a day makes sense."""
    with pytest.raises(ConfigError) as refused:
        day_of("2026-11-20 09:30")
    assert str(refused.value) == "day '2026-11-20 09:30' is an instant, expected a day such as '2026-11-20'"


@pytest.mark.parametrize("symbols", [700, "700", "0700.HK", "HK.00700", ["hk00700", 700], ("HK:700",)])
def test_a_symbol_is_written_in_many_forms(symbols: object) -> None:
    """All are the same."""
    assert symbols_asked(as_asked(symbols)) == ("HK.00700",)


def test_symbols_are_sorted_and_each_is_there_once() -> None:
    """A list in one text is a list."""
    assert symbols_asked("700, 5, 00700") == ("HK.00005", "HK.00700")
    assert symbols_asked(None) is None


@pytest.mark.parametrize(
    ("symbols", "message"),
    [
        ("AAPL", "symbols: 'AAPL' is not a stock code, expected up to five digits, such as 700 or HK.00700"),
        ([], "symbols: expected at least one code such as 'HK.00700', or None for all"),
        ([7.5], "symbol 7.5, expected a stock code such as 700 or 'HK.00700'"),
        (True, "symbol True, expected a stock code such as 700 or 'HK.00700'"),
    ],
)
def test_what_is_no_symbol_is_refused(symbols: object, message: str) -> None:
    """An empty list does not mean all."""
    with pytest.raises(ConfigError) as refused:
        symbols_asked(as_asked(symbols))
    assert str(refused.value) == message


def test_columns_keep_the_order_in_which_they_were_asked_for() -> None:
    """All are there by default."""
    assert columns_asked(None) == COLUMNS
    assert columns_asked(["price", "seq"]) == ("price", "seq")
    assert columns_asked("price") == ("price",)
    with pytest.raises(ConfigError, match=r"^there is no column 'ask': expected some of symbol, seq, ts_ms"):
        columns_asked(["price", "ask"])
    with pytest.raises(ConfigError, match=r"^a column is named twice in price, price$"):
        columns_asked(["price", "price"])
    with pytest.raises(ConfigError, match=r"^columns: expected at least one column"):
        columns_asked([])


def test_types_are_names_numbers_or_presets() -> None:
    """`TYPE_99` is how a number without a name is written."""
    assert types_asked(None) is None
    assert types_asked("no_odd_lots") == "no_odd_lots"
    assert types_asked("counted") == "counted"
    assert types_asked(["auto_match", 7, "TYPE_99"]) == {1, 7, 99}
    assert types_asked("AUCTION") == {7}
    with pytest.raises(ConfigError) as refused:
        types_asked(["odd lots"])
    assert str(refused.value) == (
        "there is no type of ticks 'odd lots': expected 'no_odd_lots', 'counted', or names such as 'AUTO_MATCH'"
    )
    with pytest.raises(ConfigError, match=r"^types: expected at least one type"):
        types_asked([])
