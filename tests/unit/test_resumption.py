"""The event `stream_resumed`: what is written is read, and other events are not mistaken for it."""

from __future__ import annotations

import json

import pytest

from hk_tick_collector.resumption import EVENT, Cause, Resumption, gravest, read_resumption

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
