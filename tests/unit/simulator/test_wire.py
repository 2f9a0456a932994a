"""Ticks as bytes, against the generated messages."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hk_tick_collector.opend import frames
from hk_tick_collector.opend import opend_pb2 as pb
from hk_tick_collector.opend.numbers import PushDataType
from hk_tick_collector.simulator import wire
from hk_tick_collector.simulator.tape import MadeTick

TENCENT = "HK.00700"

made_ticks = st.builds(
    MadeTick,
    symbol=st.just(TENCENT),
    seq=st.integers(1, 2**63 - 1),
    ts_ms=st.integers(0, 4_000_000_000).map(lambda sec: sec * 1000),
    time=st.just("2026-11-20 09:30:00"),
    price=st.floats(0.01, 10_000),
    volume=st.integers(1, 10**12),
    turnover=st.floats(0.01, 1e13),
    direction=st.integers(1, 3),
    tick_type=st.integers(1, 31),
)
kinds = st.sampled_from(PushDataType)


@given(st.lists(st.tuples(made_ticks, kinds), max_size=20))
def test_a_body_is_the_generated_message(ticks: list[tuple[MadeTick, PushDataType]]) -> None:
    """Put together by hand, a push reads as the message that the generated code would have made."""
    bodies = wire.TickerBodies({TENCENT: "Stock 00700"})
    body = bodies.body(TENCENT, [wire.entry_of(tick, 1.5, kind) for tick, kind in ticks])
    expected = pb.Qot_UpdateTicker.Response(
        retType=0,
        s2c=pb.Qot_UpdateTicker.S2C(
            security=pb.Security(market=1, code="00700"),
            name="Stock 00700",
            tickerList=[
                pb.Ticker(
                    time=tick.time,
                    sequence=tick.seq,
                    dir=tick.direction,
                    price=tick.price,
                    volume=tick.volume,
                    turnover=tick.turnover,
                    recvTime=1.5,
                    type=tick.tick_type,
                    pushDataType=kind,
                    timestamp=tick.ts_ms / 1000,
                )
                for tick, kind in ticks
            ],
        ),
    )
    assert pb.Qot_UpdateTicker.Response.FromString(body) == expected


@given(made_ticks, kinds, kinds)
def test_an_entry_can_become_another_kind(tick: MadeTick, before: PushDataType, after: PushDataType) -> None:
    """Only pushDataType changes, and the entry tells its kind and its sequence."""
    entry = wire.entry_of(tick, 1.5, before)
    assert wire.as_kind(entry, after) == wire.entry_of(tick, 1.5, after)
    assert wire.kind_of(wire.as_kind(entry, after)) is after
    assert wire.sequence_of(entry) == tick.seq


@pytest.mark.parametrize(
    ("value", "data"),
    [(0, b"\x00"), (127, b"\x7f"), (128, b"\x80\x01"), (300, b"\xac\x02"), (1 << 21, b"\x80\x80\x80\x01")],
)
def test_varints_are_protobufs(value: int, data: bytes) -> None:
    """Seven bits a byte, lowest first."""
    assert wire.varint(value) == data


class _Reverse:
    """A cipher that can be seen."""

    def encrypt(self, plain: bytes) -> bytes:
        return plain[::-1]

    def decrypt(self, wire_body: bytes) -> bytes:
        return wire_body[::-1]


def test_a_frame_is_shared_or_encrypted() -> None:
    """Without a cipher the same bytes go to everybody; with one, the frame has the same serial number and content."""
    frame = wire.frame_of(wire.Push(TENCENT, b"body"), 7)
    assert frame.for_cipher(None) is frame.plain
    encrypted = frame.for_cipher(_Reverse())
    assert encrypted.endswith(b"ydob")
    assert list(frames.iter_frames(frames.FrameReader(_Reverse()).feed(encrypted).raw)) == [
        (frames.TICKER_PUSH, 7, b"body")
    ]
