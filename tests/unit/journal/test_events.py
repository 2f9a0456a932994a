"""The session's events in the journal: what is written is read, and other events are not mistaken for it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from support.events import (
    read_clock_offset_ms,
    read_clock_stepped,
    read_recording,
    read_resumption,
    read_totals_asked,
)

from hk_tick_collector.journal.events import (
    CLOCK_STEPPED,
    EVENT,
    NAME_MAX,
    REASON_MAX,
    RECORDING,
    STATE_EVENT,
    SYMBOLS_MAX,
    TOTALS_ASKED,
    Cause,
    ClockStepped,
    Recording,
    Resumption,
    TotalsAsked,
    gravest,
)

if TYPE_CHECKING:
    from collections.abc import Callable

RESUMPTION = Resumption(Cause.KICKED_OUT, 1_785_463_200_000, 1000, -40, ("HK.00700", "HK.00005"))


@pytest.mark.parametrize("resumption", [RESUMPTION, RESUMPTION._replace(since_ms=None, symbols=())])
def test_what_is_written_is_read(resumption: Resumption) -> None:
    """Also where it is not known since when."""
    payload = json.dumps({"event": EVENT, **resumption.fields()}).encode()
    assert read_resumption(payload) == resumption


@pytest.mark.parametrize(
    "payload",
    [
        b'{"event":"session_up","host":"h"}',
        b'{"event":"session_down","reason":"stream_resumed"}',
        b'"stream_resumed"',
        b'{"event":"stream_resumed"',
        b'{"event":"stream_resumed"}',
        b'{"event":"stream_resumed","cause":"sunspots","since_ms":1,"asked":1,"clock_offset_ms":0,"symbols":[]}',
        b'{"event":"stream_resumed","cause":"unknown","since_ms":[],"asked":1,"clock_offset_ms":0,"symbols":[]}',
    ],
)
def test_other_events_are_none(payload: bytes) -> None:
    """Nor is what another version has written in its own way: it must not stop the ticks behind it."""
    assert read_resumption(payload) is None


def test_of_several_causes_the_one_with_the_greatest_reach_counts() -> None:
    """Where OpenD itself had lost its source, its memory proves less; where it was away itself, nothing."""
    assert gravest(Cause.CONNECTION_LOST, Cause.EXCHANGE_LOST) is Cause.EXCHANGE_LOST
    assert gravest(Cause.CONNECTION_LOST, Cause.EXCHANGE_LOST, Cause.OPEND_DOWN) is Cause.OPEND_DOWN
    assert gravest(Cause.UNKNOWN) is Cause.UNKNOWN
    assert {gravest(cause, cause) for cause in Cause} == set(Cause)


# ---- the other events


def payload(event: str, **fields: object) -> bytes:
    """As it stands in the journal."""
    return json.dumps({"event": event, **fields}, separators=(",", ":")).encode()


RECORDED = Recording(
    ("HK.00700", "HK.00005", "HK.09988"), 1, {"HK.00005": "Unknown stock", "HK.09988": "no quota left"}
)
READERS: dict[str, Callable[[bytes], object]] = {
    CLOCK_STEPPED: read_clock_stepped,
    TOTALS_ASKED: read_totals_asked,
    RECORDING: read_recording,
    STATE_EVENT: read_clock_offset_ms,
}
WRITTEN: dict[str, tuple[bytes, object]] = {
    CLOCK_STEPPED: (payload(CLOCK_STEPPED, step_ms=-21_600_000), ClockStepped(-21_600_000)),
    TOTALS_ASKED: (payload(TOTALS_ASKED, serial_no=7, asked_ms=1_785_463_200_000), TotalsAsked(7, 1_785_463_200_000)),
    RECORDING: (payload(RECORDING, **RECORDED.fields()), RECORDED),
    STATE_EVENT: (payload(STATE_EVENT, clock_offset_ms=-40), -40),
}


@pytest.mark.parametrize("event", READERS)
def test_each_reader_reads_its_own_event_and_no_other(event: str) -> None:
    """What is written is read; another event is none, also where it holds the name."""
    for other, (written, expected) in WRITTEN.items():
        assert READERS[event](written) == (expected if other == event else None)
    assert READERS[event](payload("session_down", reason=event)) is None
    assert read_resumption(WRITTEN[event][0]) is None


@pytest.mark.parametrize(
    "damaged",
    [
        b'{"event":"%s"',
        b'{"event":"%s"}',
        b'"%s"',
        b'["%s"]',
        b'\xff{"event":"%s"}',
        b"[" * 100_000 + b"%s",
        b'{"event":"%s","step_ms":true,"serial_no":1.5,"asked_ms":"1","symbols":"HK.00700","subscribed":0,"without":{}}',
        b'{"event":"%s","step_ms":1e999,"serial_no":1e999,"asked_ms":1,"symbols":[],"subscribed":1e999,"without":{}}',
        b'{"event":"%s","clock_offset_ms":1e999,"symbols":[1],"subscribed":0,"without":{}}',
        b'{"event":"%s","step_ms":9223372036854775808,"serial_no":1,"asked_ms":-9223372036854775809}',
        b'{"event":"%s","clock_offset_ms":9223372036854775808,"symbols":{},"subscribed":0,"without":{}}',
        b'{"event":"%s","step_ms":null,"serial_no":1,"asked_ms":null,"symbols":[],"subscribed":0,"without":[]}',
    ],
)
@pytest.mark.parametrize("event", READERS)
def test_what_makes_no_sense_is_none(event: str, damaged: bytes) -> None:
    """Whatever a damaged disk or another version has put there."""
    assert READERS[event](damaged.replace(b"%s", event.encode())) is None


def test_what_is_recorded_has_bounds() -> None:
    """Not more symbols than there are, nor longer ones than there can be; a reason is cut, and safe to show."""
    name = "HK." + "9" * (NAME_MAX - 3)
    assert read_recording(payload(RECORDING, symbols=[name], subscribed=1, without={name: "no"})) is not None
    assert read_recording(payload(RECORDING, symbols=[name + "9"], subscribed=1, without={})) is None
    assert read_recording(payload(RECORDING, symbols=[name], subscribed=1, without={name + "9": "no"})) is None
    most = [f"HK.{n:06}" for n in range(SYMBOLS_MAX)]
    assert read_recording(payload(RECORDING, symbols=most, subscribed=0, without={})) is not None
    assert read_recording(payload(RECORDING, symbols=[*most, "HK.00700"], subscribed=0, without={})) is None
    long = Recording(("HK.00700",), 0, {"HK.00700": "\x1b[2J" + "x" * 500})
    told = read_recording(payload(RECORDING, **long.fields()))
    assert told is not None
    assert told.without == {"HK.00700": " [2J" + "x" * (REASON_MAX - 4)}
    assert read_recording(payload(RECORDING, **long._asdict())) == told
