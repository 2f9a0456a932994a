"""Ticks as bytes, encoded once and shared by the cache, every push and every GetTicker reply.

Owns the *entry*: the bytes of one element of `tickerList`, with `pushDataType` as the last byte. A push, a reply and a
replay after an outage differ only in that byte, so a tick is never encoded twice, and a cache of 900 symbols by 1000
ticks takes 100 MB of bytes instead of 400 MB of objects. The tests compare the result with the generated messages.
Never does I/O.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from hk_tick_collector.opend import frames
from hk_tick_collector.opend.codes import security_of
from hk_tick_collector.opend.numbers import PushDataType
from hk_tick_collector.opend.opend_pb2 import Qot_UpdateTicker, Security, Ticker

if TYPE_CHECKING:
    from collections.abc import Iterable

    from hk_tick_collector.simulator.tape import MadeTick


_TICKER_LIST_TAG = b"\x12"  # Qot_UpdateTicker.S2C, field 2
_PUSH_DATA_TYPE_TAG = b"\x50"  # Ticker, field 10
_RET_TYPE_SUCCEED = b"\x08\x00"  # Response, field 1
_S2C_TAG = b"\x22"  # Response, field 4
_TAIL = {kind: bytes((kind,)) for kind in PushDataType}
_ONE_BYTE_VARINT_MAX = 0x7F


class Push(NamedTuple):
    """One ticker push before framing: a symbol, and the body that every connection gets."""

    symbol: str
    body: bytes


def varint(value: int) -> bytes:
    """A non-negative integer as protobuf writes it."""
    out = bytearray()
    while value > _ONE_BYTE_VARINT_MAX:
        out.append(value & _ONE_BYTE_VARINT_MAX | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def entry_of(tick: MadeTick, recv_time_sec: float, kind: PushDataType) -> bytes:
    """Encode one tick; `recv_time_sec` is when OpenD got it from the exchange, by OpenD's clock (epoch seconds)."""
    return entry_of_ticker(
        Ticker(
            time=tick.time,
            sequence=tick.seq,
            dir=tick.direction,
            price=tick.price,
            volume=tick.volume,
            turnover=tick.turnover,
            recvTime=recv_time_sec,
            type=tick.tick_type,
            timestamp=tick.ts_ms / 1000,
        ),
        kind,
    )


def entry_of_ticker(ticker: Ticker, kind: PushDataType) -> bytes:
    """Encode a whole Ticker."""
    ticker.ClearField("pushDataType")
    data = ticker.SerializeToString()
    # pushDataType adds two bytes. About 80 bytes in all, so the length fits in one byte.
    assert len(data) + 2 <= _ONE_BYTE_VARINT_MAX, f"a tick of {len(data)} bytes"
    return _TICKER_LIST_TAG + bytes((len(data) + 2,)) + data + _PUSH_DATA_TYPE_TAG + _TAIL[kind]


def as_kind(entry: bytes, kind: PushDataType) -> bytes:
    """The same tick with another push type."""
    return entry[:-1] + _TAIL[kind]


def kind_of(entry: bytes) -> PushDataType:
    """The push type of an entry."""
    return PushDataType(entry[-1])


def ticker_of(entry: bytes) -> Ticker:
    """Decode an entry."""
    return Ticker.FromString(entry[2:])


def sequence_of(entry: bytes) -> int:
    """An entry's sequence."""
    return ticker_of(entry).sequence


class TickerBodies:
    """Makes the bodies of UpdateTicker pushes and GetTicker replies, which have the same format."""

    def __init__(self, names: dict[str, str]) -> None:
        """`names`: the name of each symbol."""
        self._heads = {symbol: _head(symbol, name) for symbol, name in names.items()}

    def body(self, symbol: str, entries: Iterable[bytes]) -> bytes:
        """The whole message for some ticks of one symbol."""
        s2c = self._heads[symbol] + b"".join(entries)
        return _RET_TYPE_SUCCEED + _S2C_TAG + varint(len(s2c)) + s2c


def _head(symbol: str, name: str) -> bytes:
    """The S2C fields that are the same in all messages of a symbol. Protobuf allows fields in any order."""
    market, code = security_of(symbol)
    return Qot_UpdateTicker.S2C(security=Security(market=market, code=code), name=name).SerializeToString()


class PushFrame(NamedTuple):
    """One push, framed: `plain` goes to every unencrypted connection; the others encrypt `body` for themselves."""

    symbol: str
    serial_no: int
    body: bytes
    plain: bytes

    def for_cipher(self, cipher: frames.Cipher | None) -> bytes:
        """The bytes for a connection with this cipher."""
        return self.plain if cipher is None else frames.encode(frames.TICKER_PUSH, self.serial_no, self.body, cipher)


def frame_of(push: Push, serial_no: int) -> PushFrame:
    """Frame a push."""
    return PushFrame(push.symbol, serial_no, push.body, frames.encode(frames.TICKER_PUSH, serial_no, push.body))
