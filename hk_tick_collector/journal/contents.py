"""Records of the journal in readable form: for a person who inspects the journal, perhaps years later.

Owns how frames and events are distinguished and named. Never stores and never judges: what can't be read is reported
as unreadable.
"""

from __future__ import annotations

import json
from collections import Counter
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from google.protobuf.message import DecodeError, Message

from hk_tick_collector.errors import BadTickError, RemoteProtocolError
from hk_tick_collector.journal.segments import Kind
from hk_tick_collector.opend import opend_pb2 as pb
from hk_tick_collector.opend.codes import symbol_of
from hk_tick_collector.opend.frames import iter_frames
from hk_tick_collector.opend.numbers import ProtoId
from hk_tick_collector.opend.purpose import purpose_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from hk_tick_collector.journal.segments import Record

_TICKERS: Final[Mapping[int, type[Message]]] = {
    ProtoId.QOT_UPDATE_TICKER: pb.Qot_UpdateTicker.Response,
    ProtoId.QOT_GET_TICKER: pb.Qot_GetTicker.Response,
}
_NAMES: Final[Mapping[int, str]] = {proto.value: proto.name for proto in ProtoId}


class Tick(NamedTuple):
    """A tick as OpenD sent it: nothing in it is interpreted or corrected."""

    symbol: str
    sequence: int
    time: str
    price: float
    volume: int
    turnover: float


class Content(NamedTuple):
    """What a record holds.

    Attributes:
        kind: `event`, `frames`, or the number of an unknown kind.
        name: the event's name; for frames, the count of each kind: `12 QOT_UPDATE_TICKER`.
        symbols: the symbols of its ticks.
        ticks: all ticks in it.
        fields: the event's other fields.
        fault: why it can't be read, in whole or in part; "": it can.
    """

    kind: str
    name: str
    symbols: tuple[str, ...] = ()
    ticks: tuple[Tick, ...] = ()
    fields: dict[str, Any] | None = None
    fault: str = ""


def content_of(record: Record) -> Content:
    """What a record holds; never raises, whatever its bytes are."""
    if record.kind == Kind.EVENT:
        return _event(record.payload)
    if record.kind == Kind.FRAMES:
        return _frames(record.payload)
    return Content(str(record.kind), "?", fault="a kind of record that this version does not know")


def _event(payload: bytes) -> Content:
    try:
        fields = json.loads(payload)
    except (ValueError, RecursionError) as exc:
        return Content("event", "?", fault=f"no JSON: {exc}")
    if not isinstance(fields, dict):
        return Content("event", "?", fault="no JSON object")
    return Content("event", str(fields.pop("event", "?")), fields=fields)


def _frames(payload: bytes) -> Content:
    names: Counter[str] = Counter()
    ticks: list[Tick] = []
    symbols: dict[str, None] = {}
    faults: list[str] = []
    try:
        for proto_id, serial_no, body in iter_frames(payload):
            name = _NAMES.get(proto_id, str(proto_id))
            if proto_id in _TICKERS:
                try:
                    found = list(_ticks(_TICKERS[proto_id], body))
                except (DecodeError, BadTickError, UnicodeDecodeError) as exc:
                    faults.append(f"{name}: {exc}")
                else:
                    ticks += found
                    symbols.update(dict.fromkeys(tick.symbol for tick in found))
            if proto_id not in {ProtoId.QOT_UPDATE_TICKER, ProtoId.NOTIFY}:
                name = f"{name} ({purpose_of(serial_no).name.lower()})"
            names[name] += 1
    except RemoteProtocolError as exc:
        faults.append(str(exc))
    name = ", ".join(f"{count:,} {name}" for name, count in names.items())
    return Content("frames", name, tuple(symbols), tuple(ticks), fault="; ".join(faults[:3]))


def _ticks(message: type[Message], body: bytes) -> Iterator[Tick]:
    told: Any = message.FromString(body)
    if not told.s2c.tickerList:
        return
    symbol = symbol_of(told.s2c.security.market, told.s2c.security.code)
    for tick in told.s2c.tickerList:
        yield Tick(symbol, tick.sequence, tick.time, tick.price, tick.volume, tick.turnover)
