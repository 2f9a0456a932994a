"""What was lost on a day, in words."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from support.ticks import OPEN_MS

from hk_tick_collector.status.lost import Lost, doubt_text, lost_text
from hk_tick_collector.typed_json import decode, encode

LOST = Lost("20260731", 9, 7, 4253, 0, 0, OPEN_MS, OPEN_MS + 45_000, ("opend_down",))


@pytest.mark.parametrize(
    ("lost", "text"),
    [
        (LOST, "4,253 ticks of 7 symbols, 10:00:00 to 10:00:45 HK (OpenD down)"),
        (replace(LOST, ticks=1, symbols=1), "1 tick of 1 symbol, 10:00:00 to 10:00:45 HK (OpenD down)"),
        (replace(LOST, ticks=0, shares=17), "at least 17 shares of 7 symbols, 10:00:00 to 10:00:45 HK (OpenD down)"),
        (
            replace(LOST, shares=5, unknown=2, from_ms=None, causes=("recorder_down", "kicked_out")),
            "4,253 ticks and at least 5 shares and an unknown number of ticks of 7 symbols, until 10:00:45 HK (the recorder did not run, another login had the quote right)",  # noqa: E501
        ),
        (
            replace(LOST, from_ms=None, until_ms=None, causes=("opend_down", "unknown", "journal_full", "kicked_out")),
            "4,253 ticks of 7 symbols (OpenD down, unknown cause, journal full, …)",
        ),
    ],
)
def test_it_says_how_much_of_what_from_when_to_when_and_why(lost: Lost, text: str) -> None:
    """As `recorder.json` carries it."""
    assert lost_text(decode(Lost, json.loads(json.dumps(encode(lost))))) == text


@pytest.mark.parametrize("told", [None, {}, 5, "lost", {"gaps": 0}, {"gaps": "many"}, {"gaps": True}])
def test_what_is_no_loss_has_no_words(told: object) -> None:
    """Nothing lost, or an older recorder's word."""
    assert lost_text(decode(Lost, told)) == ""


def test_a_doubt_is_no_loss_and_has_words_of_its_own() -> None:
    """How many symbols, from when to when, and why; nothing where there is none."""
    doubt = Lost(doubts=3, doubted_symbols=2, doubted_until_ms=OPEN_MS, doubted_causes=("recorder_down",))
    assert doubt_text(doubt) == "2 symbols, until 10:00:00 HK (the recorder did not run)"
    doubt = replace(doubt, doubted_from_ms=OPEN_MS - 60_000)
    assert doubt_text(doubt) == "2 symbols, 09:59:00 to 10:00:00 HK (the recorder did not run)"
    assert lost_text(doubt) == doubt_text(LOST) == doubt_text(None) == ""


def test_words_of_another_version_are_shown_as_they_are() -> None:
    """A cause that is not known, and times that are none."""
    told = {**encode(LOST), "causes": ["moon\x1b[2J"], "from_ms": -5, "until_ms": 10**30}
    assert lost_text(decode(Lost, told)) == "4,253 ticks of 7 symbols (moon [2J)"
