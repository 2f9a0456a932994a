"""Builders of what a journal and a day database hold: ticker messages, frames, rows.

Times are UTC epoch ms. `OPEN_MS` is 10:00 in Hong Kong on 2026-07-31, and every tick that is not told otherwise is of
that moment and agrees with itself: its time, its timestamp and its sequence say the same.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hk_tick_collector.hktime import hk_text
from hk_tick_collector.opend import frames
from hk_tick_collector.opend import opend_pb2 as pb
from hk_tick_collector.opend.codes import security_of
from hk_tick_collector.opend.numbers import ProtoId
from hk_tick_collector.opend.purpose import PURPOSES, Purpose

if TYPE_CHECKING:
    from collections.abc import Iterable

    from hk_tick_collector.mapping import Row

TENCENT, HSBC = "HK.00700", "HK.00005"
DAY, NEXT_DAY = "20260731", "20260801"
OPEN_MS = 1_785_463_200_000
DAY_MS = 86_400_000


def seq_at(ordinal: int, ts_ms: int = OPEN_MS) -> int:
    """A Hong Kong sequence."""
    return (ts_ms // 1000 << 32) + ordinal


def ticker(ordinal: int, ts_ms: int = OPEN_MS, **fields: Any) -> pb.Ticker:  # noqa: ANN401 - protobuf fields
    """One tick as OpenD tells it; `fields` replace its own."""
    told: dict[str, Any] = {
        "time": hk_text(ts_ms)[:19],
        "sequence": seq_at(ordinal, ts_ms),
        "dir": 1 + ordinal % 3,
        "price": 300 + ordinal % 50 / 5,
        "volume": 100 * (1 + ordinal % 7),
        "turnover": 30_000.0 * (1 + ordinal % 7),
        "recvTime": ts_ms / 1000,
        "type": 1,
        "typeSign": 32,
        "pushDataType": 1,
        "timestamp": ts_ms / 1000,
    }
    return pb.Ticker(**{**told, **fields})


def body(symbol: str, tickers: Iterable[pb.Ticker]) -> bytes:
    """A ticker push, or a GetTicker reply, which has the same form."""
    market, code = security_of(symbol)
    s2c = pb.Qot_UpdateTicker.S2C(security=pb.Security(market=market, code=code), tickerList=tickers)
    return pb.Qot_UpdateTicker.Response(retType=0, s2c=s2c).SerializeToString()


def push(symbol: str, *tickers: pb.Ticker) -> bytes:
    """A push's frame."""
    return frames.encode(ProtoId.QOT_UPDATE_TICKER, 1, body(symbol, tickers))


def pushes(symbol: str, ordinals: Iterable[int], ts_ms: int = OPEN_MS) -> bytes:
    """A run of pushes of one tick each, as OpenD sends them."""
    return b"".join(push(symbol, ticker(ordinal, ts_ms)) for ordinal in ordinals)


def reply(symbol: str, *tickers: pb.Ticker, purpose: Purpose = Purpose.BACKFILL) -> bytes:
    """The frame of a GetTicker reply; its serial number tells what was asked for."""
    return frames.encode(ProtoId.QOT_GET_TICKER, 5 * PURPOSES + purpose, body(symbol, tickers))


def row(symbol: str, seq: int, ts_ms: int = OPEN_MS, **fields: Any) -> Row:  # noqa: ANN401 - columns by name
    """A row of `ticks`."""
    columns: dict[str, Any] = {
        "symbol": symbol,
        "seq": seq,
        "ts_ms": ts_ms,
        "price": 372.4,
        "volume": 100,
        "turnover": 37_240.0,
        "direction_id": 1,
        "tick_type_id": 1,
        "push_type_id": 0,
        "push_data_type": 1,
        "recv_ts_ms": ts_ms + 40,
        "inserted_at_ms": ts_ms + 90,
    }
    assert fields.keys() <= columns.keys(), fields
    made: Any = tuple({**columns, **fields}.values())
    return made  # type: ignore[no-any-return]
