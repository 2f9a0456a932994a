"""OpenD's replies that tell the exchange's totals, made for tests."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from hk_tick_collector.hktime import hk_text
from hk_tick_collector.opend import frames
from hk_tick_collector.opend import opend_pb2 as pb
from hk_tick_collector.opend.codes import security_of
from hk_tick_collector.opend.numbers import ProtoId

if TYPE_CHECKING:
    from collections.abc import Iterable


class Row(NamedTuple):
    """What is told of a symbol: shares, HKD, its own update time in UTC epoch ms; None: it has none."""

    symbol: str
    volume: int
    turnover: float
    own_ms: int | None


def body_of(rows: Iterable[Row], no_time: str = "") -> bytes:
    """The body of a GetSecuritySnapshot reply; `no_time` is what OpenD writes where there is no update time."""
    basics = []
    for row in rows:
        market, code = security_of(row.symbol)
        basics.append(
            pb.Qot_GetSecuritySnapshot.SnapshotBasicData(
                security=pb.Security(market=market, code=code), type=3, isSuspend=False, listTime="", lotSize=100,
                priceSpread=0.2, updateTime=no_time if row.own_ms is None else hk_text(row.own_ms)[:19], highPrice=0,
                openPrice=0, lowPrice=0, lastClosePrice=0, curPrice=0, volume=row.volume, turnover=row.turnover,
                turnoverRate=0, updateTimestamp=0 if row.own_ms is None else row.own_ms // 1000,
            )
        )  # fmt: skip
    s2c = pb.Qot_GetSecuritySnapshot.S2C(snapshotList=[pb.Qot_GetSecuritySnapshot.Snapshot(basic=b) for b in basics])
    return pb.Qot_GetSecuritySnapshot.Response(retType=0, s2c=s2c).SerializeToString()


def frame_of(rows: Iterable[Row], serial_no: int, no_time: str = "") -> bytes:
    """The whole frame."""
    return frames.encode(ProtoId.QOT_GET_SECURITY_SNAPSHOT, serial_no, body_of(rows, no_time))
