"""Ticker bodies as OpenD makes them, for tests that need real bytes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from hk_tick_collector.opend import opend_pb2 as pb

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

# The first of the published rows of HK.00700.
TICK: Final[Mapping[str, Any]] = {
    "time": "2020-03-30 16:04:41",
    "sequence": 6809908936888567318,
    "dir": 3,
    "price": 372.4,
    "volume": 60,
    "turnover": 22344.0,
    "type": 6,
    "pushDataType": 1,
}
TICK_TS_MS: Final = 1_585_555_481_000


def tick(**changes: object) -> dict[str, Any]:
    """The fields of `TICK` with changes; None leaves a field out."""
    return {name: value for name, value in {**TICK, **changes}.items() if value is not None}


def ticker_body(
    ticks: Iterable[Mapping[str, Any]], *, market: int = 1, code: str = "00700", ret_type: int = 0, name: str = ""
) -> bytes:
    """A ticker push; a GetTicker reply has the same shape. Fields that the protocol requires may be absent."""
    message = pb.Qot_UpdateTicker.Response(retType=ret_type)
    message.s2c.security.market = market
    message.s2c.security.code = code
    for fields in ticks:
        message.s2c.tickerList.add(**fields)
    if name:
        message.s2c.name = name
    return message.SerializePartialToString()


def refusal(text: str = "not subscribed", ret_type: int = -1) -> bytes:
    """A GetTicker reply that refuses; that of every other call is the same."""
    return pb.Qot_GetTicker.Response(retType=ret_type, retMsg=text).SerializeToString()
