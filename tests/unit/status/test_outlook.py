"""How long an outage can be recovered in full: as a value, as JSON, and in words."""

from __future__ import annotations

import json
from typing import Any

import pytest
from support.recorder_state import FRIDAY, hk_ms

from hk_tick_collector.session.deadlines import Risk
from hk_tick_collector.status.outlook import Outlook, SymbolAtRisk, outlook, outlook_text, span_text
from hk_tick_collector.typed_json import decode, encode

A, B, C, D = "HK.00700", "HK.09988", "HK.00005", "HK.00001"


def at(clock: str) -> int:
    """UTC epoch ms of a Friday in Hong Kong."""
    return hk_ms(FRIDAY, clock)


def told_of(found: list[Risk], now_ms: int, *, is_open: bool = True, cause: str = "connection_lost") -> Any:  # noqa: ANN401
    """The object, of an outage since 10:00."""
    return outlook(cause, at("10:00:00"), found, now_ms, is_open=is_open)


def test_the_object_has_what_is_past_and_what_is_to_come() -> None:
    """The nearest ten of each, and how many have passed in all."""
    now_ms = at("10:05:00")
    past = [Risk(f"HK.{n:05}", 50.0, now_ms - 100 + n) for n in range(12)]
    to_come = [Risk(f"HK.{n:05}", 1.23456, now_ms + n) for n in range(100, 112)]
    told = told_of(past + to_come, now_ms)
    assert told.cause == "connection_lost"
    assert (told.since_ms, told.first_deadline_ms) == (at("10:00:00"), past[0].deadline_ms)
    assert (told.past, told.past_symbols) == (12, tuple(f"HK.{n:05}" for n in range(10)))
    assert len(told.symbols) == 10
    assert told.symbols[0] == SymbolAtRisk("HK.00100", 1.235, now_ms + 100)


def test_a_closed_market_has_nothing_at_risk() -> None:
    """Nothing is said; but what was lost before the close stays lost, and is told on."""
    now_ms = at("16:30:00")
    assert told_of([], now_ms, is_open=False) is None
    assert told_of([Risk(A, 1.0, now_ms + 5000)], now_ms, is_open=False) is None
    told = told_of([Risk(A, 1.0, now_ms - 5000), Risk(B, 1.0, now_ms + 5000)], now_ms, is_open=False)
    assert (told.past_symbols, told.symbols) == ((A,), ())


def test_an_outage_without_rates_is_told_without_deadlines() -> None:
    """It is known that something is missing, and not how fast."""
    told = told_of([], at("10:00:42"))
    assert (told.first_deadline_ms, told.past, told.symbols) == (None, 0, ())
    assert outlook_text(told, at("10:00:42")) == "OpenD unreachable for 42 s (connection lost)"


def test_it_is_told_in_words() -> None:
    """How long, why, what can still be had and what can't, and that it is an estimate."""
    now_ms = at("10:00:42")
    found = [Risk(C, 50.0, now_ms - 2), Risk(D, 40.0, now_ms - 1), Risk(A, 4.0, now_ms + 190_000)]
    found += [Risk(f"HK.{n:05}", 1.0, now_ms + 300_000 + n) for n in range(2, 6)]
    assert outlook_text(told_of(found, now_ms), now_ms) == (
        "OpenD unreachable for 42 s (connection lost); at pre-outage rates: recoverable for another 3 min 10 s "
        "(HK.00700), 5 min 0 s (HK.00002), 5 min 0 s (HK.00003); past their deadline: 2 symbols: HK.00005, HK.00001"
    )
    assert outlook_text(told_of(found[1:2], now_ms, cause="kicked_out"), now_ms) == (
        "OpenD without the quote right for 42 s (another login has it); at pre-outage rates: past its deadline: "
        "1 symbol: HK.00001"
    )
    assert outlook_text(told_of(found[2:3], now_ms, cause="opend_down"), now_ms) == (
        "OpenD unreachable for 42 s (OpenD down); at pre-outage rates, provided OpenD keeps running: recoverable for "
        "another 3 min 10 s (HK.00700)"
    )
    many = [Risk(f"HK.{n:05}", 9.0, now_ms - n) for n in range(5)]
    assert outlook_text(told_of(many, now_ms), now_ms).endswith(": 5 symbols: HK.00000, HK.00001, HK.00002, …")


@pytest.mark.parametrize("told", [None, Outlook(), Outlook("opend_down", None, 5, 2)])
def test_what_is_no_outage_has_no_words(told: Outlook | None) -> None:
    """There is none, or nobody knows since when."""
    assert outlook_text(told, 0) == ""


@pytest.mark.parametrize(
    "told",
    [
        {"since_ms": 0},
        {"since_ms": 0, "cause": 7, "past": "x", "symbols": "x"},
        {"since_ms": 0, "symbols": [7, {}, {"symbol": "x"}, {"deadline_ms": "x"}], "past": None},
    ],
)
def test_values_of_another_kind_are_left_out(told: object) -> None:
    """Whatever stands in the file, a reader has what can be read of it."""
    assert outlook_text(decode(Outlook, told), 42_000) == "stream interrupted for 42 s"


def test_it_is_the_same_after_a_way_through_json() -> None:
    """All that readers need is in the file."""
    told = told_of([Risk(A, 1.0, at("10:05:00"))], at("10:00:42"))
    assert decode(Outlook, json.loads(json.dumps(encode(told)))) == told


def test_names_that_are_missing_leave_the_number() -> None:
    """How many is what counts."""
    assert outlook_text(Outlook(since_ms=0, past=2), 1000).endswith("past their deadline: 2 symbols: ")


@pytest.mark.parametrize(
    ("sec", "expected"),
    [(-3, "0 s"), (0.4, "0 s"), (59.4, "59 s"), (59.6, "1 min 0 s"), (190, "3 min 10 s"), (7500, "2 h 5 min")],
)
def test_spans_are_told_as_people_do(sec: float, expected: str) -> None:
    """Seconds, minutes, hours."""
    assert span_text(sec) == expected
