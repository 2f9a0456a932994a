"""Protobuf bodies to plain values and back; the only importer of the generated code.

Owns the names of the calls, the spelling of a symbol, and what a refusal looks like. Never frames, never encrypts.
The simulator speaks the server's half through `pb`, which is the generated module.
"""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Protocol, cast

from google.protobuf.message import DecodeError as DecodeError  # noqa: PLC0414 - whoever parses must catch it

from hk_tick_collector.errors import BadTickError, RemoteProtocolError, SessionError
from hk_tick_collector.opend import opend_pb2 as pb
from hk_tick_collector.opend.numbers import GtwEvent as GtwEvent  # noqa: PLC0414 - they are of the messages' language
from hk_tick_collector.opend.numbers import NotifyType as NotifyType  # noqa: PLC0414
from hk_tick_collector.opend.numbers import ProtoId as ProtoId  # noqa: PLC0414
from hk_tick_collector.opend.numbers import RetType as RetType  # noqa: PLC0414

if TYPE_CHECKING:
    from collections.abc import Iterable

    from google.protobuf.message import Message

CLIENT_VERSION = 1011  # the protocol's: "10.11" as major * 100 + minor
SUB_TYPE_TICKER = 4
TICKER_REPLY_MAX = 1000
TRADE_DATE_MARKET_HK = 1  # Qot_Common.TradeDateMarket, which is not the market of a security
# Qot_Common.TradeDateType: which sessions a trade date has.
TRADE_DATE_TYPES: Final = {0: "whole", 1: "morning", 2: "afternoon"}

_RESPONSES: dict[int, Any] = {
    ProtoId.INIT_CONNECT: pb.InitConnect.Response,
    ProtoId.GET_GLOBAL_STATE: pb.GetGlobalState.Response,
    ProtoId.NOTIFY: pb.Notify.Response,
    ProtoId.KEEP_ALIVE: pb.KeepAlive.Response,
    ProtoId.QOT_SUB: pb.Qot_Sub.Response,
    ProtoId.QOT_REG_QOT_PUSH: pb.Qot_RegQotPush.Response,
    ProtoId.QOT_GET_SUB_INFO: pb.Qot_GetSubInfo.Response,
    ProtoId.QOT_GET_BASIC_QOT: pb.Qot_GetBasicQot.Response,
    ProtoId.QOT_GET_TICKER: pb.Qot_GetTicker.Response,
    ProtoId.QOT_UPDATE_TICKER: pb.Qot_UpdateTicker.Response,
    ProtoId.QOT_GET_STATIC_INFO: pb.Qot_GetStaticInfo.Response,
    ProtoId.QOT_GET_SECURITY_SNAPSHOT: pb.Qot_GetSecuritySnapshot.Response,
    ProtoId.QOT_GET_PLATE_SECURITY: pb.Qot_GetPlateSecurity.Response,
    ProtoId.QOT_REQUEST_TRADE_DATE: pb.Qot_RequestTradeDate.Response,
    ProtoId.QOT_GET_MARKET_STATE: pb.Qot_GetMarketState.Response,
}

_PREFIX_OF_MARKET = {1: "HK", 11: "US", 21: "SH", 22: "SZ", 31: "SG", 41: "JP", 51: "AU", 61: "MY", 71: "CA"}
_MARKET_OF_PREFIX = {prefix: market for market, prefix in _PREFIX_OF_MARKET.items()}


class RefusedError(SessionError):
    """OpenD answered a call with an error of its own.

    Attributes:
        ret_type: its `retType`.
        text: its `retMsg`, as it came.
    """

    def __init__(self, call: str, ret_type: int, text: str) -> None:
        super().__init__(f"{call} refused by OpenD: {text or 'no reason given'} (retType {ret_type})")
        self.ret_type = ret_type
        self.text = text


class TickerLike(Protocol):
    """One tick as OpenD tells it; the generated Ticker has this shape. Units as in opend.proto."""

    time: str
    sequence: int
    dir: int
    price: float
    volume: int
    turnover: float
    type: int
    pushDataType: int  # noqa: N815 - the protocol's name
    timestamp: float

    def IsInitialized(self) -> bool:  # noqa: N802 - protobuf's name
        """Whether it has all required fields."""


class InitReply(NamedTuple):
    """What OpenD tells when a connection is opened."""

    server_ver: int
    conn_id: int
    aes_key: str
    aes_iv: str
    keep_alive_interval_sec: int


class Quota(NamedTuple):
    """Subscription quota: one for each stock and type, over all connections.

    Attributes:
        used: by everything that is subscribed on this OpenD.
        remaining: what can still be subscribed.
        held: symbols whose ticker some connection has subscribed: subscribing them again costs nothing.
    """

    used: int
    remaining: int
    held: frozenset[str]


class GlobalState(NamedTuple):
    """OpenD's view of the market and of itself."""

    market_hk: int
    qot_logined: bool
    server_ver: int
    time_sec: int


class Notice(NamedTuple):
    """A Notify: what happened to OpenD itself.

    Attributes:
        kind: which sort (NotifyType).
        gtw_event: the gateway event's number, or None.
        qot_logined: whether the quote server is reached, or None if the notice does not tell.
        text: one line for the log.
    """

    kind: int
    gtw_event: int | None
    qot_logined: bool | None
    text: str


class DayTotals(NamedTuple):
    """What the exchange says of a security's day so far.

    Attributes:
        symbol: which.
        time: of these totals, as OpenD writes it: exchange-local, without a zone.
        volume: shares.
        turnover: HKD.
    """

    symbol: str
    time: str
    volume: int
    turnover: float


def symbol_of(market: int, code: str) -> str:
    """(1, '00700') → 'HK.00700'.

    Raises:
        BadTickError: a market that the protocol does not name, or no code.
    """
    prefix = _PREFIX_OF_MARKET.get(market)
    if prefix is None or not code or not code.isascii():  # protobuf gives bytes for what is no UTF-8
        raise BadTickError(f"security with market {market} and code {code!r}, expected a known market and a code")
    return f"{prefix}.{code}"


def security_of(symbol: str) -> tuple[int, str]:
    """'HK.00700' → (1, '00700').

    Raises:
        ValueError: not of that form.
    """
    prefix, _, code = symbol.partition(".")
    if prefix not in _MARKET_OF_PREFIX or not code:
        raise ValueError(f"symbol {symbol!r}, expected a form like HK.00700")
    return _MARKET_OF_PREFIX[prefix], code


def call_name(proto_id: int) -> str:
    """'QOT_SUB' for 3001; the number for an unknown one."""
    try:
        return ProtoId(proto_id).name
    except ValueError:
        return f"protoID {proto_id}"


def decode_reply(proto_id: int, body: bytes) -> Message:
    """The reply (or push) as its generated message.

    Raises:
        RefusedError: `retType` says so.
        RemoteProtocolError: the body is not that message.
    """
    kind = _RESPONSES.get(proto_id)
    if kind is None:
        raise RemoteProtocolError(f"a frame of protoID {proto_id}, which was never asked for")
    try:
        reply = kind.FromString(body)
    except DecodeError as exc:
        raise RemoteProtocolError(f"{call_name(proto_id)} body of {len(body)} bytes is no valid message") from exc
    if reply.retType != RetType.SUCCEED:
        raise RefusedError(call_name(proto_id), reply.retType, reply.retMsg)
    if not (reply.IsInitialized() and reply.HasField("s2c")):
        lacks = ", ".join(reply.FindInitializationErrors()) or "s2c"
        raise RemoteProtocolError(f"{call_name(proto_id)} body of {len(body)} bytes lacks {lacks}")
    return cast("Message", reply)


def check_accepted(proto_id: int, body: bytes) -> None:
    """Raise RefusedError if a reply says so, without reading the rest of it."""
    reply = pb.Reply()
    try:
        reply.MergeFromString(body)
    except DecodeError as exc:
        raise RemoteProtocolError(f"{call_name(proto_id)} body of {len(body)} bytes is no valid message") from exc
    if reply.retType != RetType.SUCCEED:
        raise RefusedError(call_name(proto_id), reply.retType, reply.retMsg)


# A ticker push as its generated message; a GetTicker reply has the same shape. The writer calls it for each tick of its
# life, so it is the parser itself and no function around it. Raises DecodeError for what is no such
# message, but not for one that lacks a field: look at IsInitialized.
parse_tickers = pb.Qot_UpdateTicker.Response.FromString


def init_connect(client_id: str, packet_enc_algo: int) -> bytes:
    """Open a connection; asks for notices."""
    return pb.InitConnect.Request(
        c2s=pb.InitConnect.C2S(
            clientVer=CLIENT_VERSION,
            clientID=client_id,
            recvNotify=True,
            packetEncAlgo=packet_enc_algo,
            pushProtoFmt=0,
            programmingLanguage="Python",
        )
    ).SerializeToString()


def init_reply(body: bytes) -> InitReply:
    """InitConnect's reply."""
    s2c = cast("pb.InitConnect.Response", decode_reply(ProtoId.INIT_CONNECT, body)).s2c
    return InitReply(s2c.serverVer, s2c.connID, s2c.connAESKey, s2c.aesCBCiv, s2c.keepAliveInterval)


def keep_alive(now_sec: int) -> bytes:
    """A sign of life."""
    return pb.KeepAlive.Request(c2s=pb.KeepAlive.C2S(time=now_sec)).SerializeToString()


def subscribe(symbols: Iterable[str], *, is_pushed: bool = True) -> bytes:
    """Subscribe to tickers, and have this connection get their pushes, or not yet.

    No first push: what OpenD has already is asked for with GetTicker, whole.
    """
    return pb.Qot_Sub.Request(
        c2s=pb.Qot_Sub.C2S(
            securityList=[_security(s) for s in symbols],
            subTypeList=[SUB_TYPE_TICKER],
            isSubOrUnSub=True,
            isRegOrUnRegPush=True if is_pushed else None,
            isFirstPush=False,
        )
    ).SerializeToString()


def get_sub_info() -> bytes:
    """Ask for the quota, over all connections."""
    return pb.Qot_GetSubInfo.Request(c2s=pb.Qot_GetSubInfo.C2S(isReqAllConn=True)).SerializeToString()


def quota(body: bytes) -> Quota:
    """GetSubInfo's reply."""
    s2c = cast("pb.Qot_GetSubInfo.Response", decode_reply(ProtoId.QOT_GET_SUB_INFO, body)).s2c
    held = {
        symbol_of(security.market, security.code)
        for conn in s2c.connSubInfoList
        for info in conn.subInfoList
        if info.subType == SUB_TYPE_TICKER
        for security in info.securityList
        if security.market in _PREFIX_OF_MARKET  # others may subscribe what we have no name for
    }
    return Quota(s2c.totalUsedQuota, s2c.remainQuota, frozenset(held))


def get_ticker(symbol: str, count: int) -> bytes:
    """Ask for a symbol's last ticks, at most 1000."""
    return pb.Qot_GetTicker.Request(
        c2s=pb.Qot_GetTicker.C2S(security=_security(symbol), maxRetNum=min(count, TICKER_REPLY_MAX))
    ).SerializeToString()


def get_plate_security(plate: str) -> bytes:
    """Ask for the members of a plate."""
    return pb.Qot_GetPlateSecurity.Request(c2s=pb.Qot_GetPlateSecurity.C2S(plate=_security(plate))).SerializeToString()


def plate_members(body: bytes) -> list[str]:
    """GetPlateSecurity's reply: symbols, in OpenD's order; those of a market that we don't know are left out."""
    s2c = cast("pb.Qot_GetPlateSecurity.Response", decode_reply(ProtoId.QOT_GET_PLATE_SECURITY, body)).s2c
    securities = [info.basic.security for info in s2c.staticInfoList]
    return [symbol_of(s.market, s.code) for s in securities if s.market in _PREFIX_OF_MARKET and s.code]


def get_security_snapshot(symbols: Iterable[str]) -> bytes:
    """Ask for the totals of at most 400 securities."""
    return pb.Qot_GetSecuritySnapshot.Request(
        c2s=pb.Qot_GetSecuritySnapshot.C2S(securityList=[_security(s) for s in symbols])
    ).SerializeToString()


def day_totals(body: bytes) -> list[DayTotals]:
    """GetSecuritySnapshot's reply; securities of a market that we don't know are left out.

    Raises:
        RefusedError: it is a refusal.
        RemoteProtocolError: it is no such reply.
    """
    reply = cast("pb.Qot_GetSecuritySnapshot.Response", decode_reply(ProtoId.QOT_GET_SECURITY_SNAPSHOT, body))
    basics = [snapshot.basic for snapshot in reply.s2c.snapshotList]
    return [
        DayTotals(symbol_of(basic.security.market, basic.security.code), basic.updateTime, basic.volume, basic.turnover)
        for basic in basics
        if basic.security.market in _PREFIX_OF_MARKET and basic.security.code
    ]


def request_trade_date(begin: dt.date, end: dt.date) -> bytes:
    """Ask for Hong Kong's trade dates from `begin` to `end`, both included."""
    return pb.Qot_RequestTradeDate.Request(
        c2s=pb.Qot_RequestTradeDate.C2S(
            market=TRADE_DATE_MARKET_HK, beginTime=begin.isoformat(), endTime=end.isoformat()
        )
    ).SerializeToString()


def trade_dates(body: bytes) -> dict[str, str]:
    """RequestTradeDate's reply: 'YYYYMMDD' → 'whole', 'morning' or 'afternoon', in OpenD's order.

    A date that is absent is none, within what was asked for; closures decided on the day itself are not told.

    Raises:
        RefusedError: it is a refusal.
        RemoteProtocolError: it is no such reply, or has a date or a type that we can't read: to leave that one out
            would make it a holiday.
    """
    s2c = cast("pb.Qot_RequestTradeDate.Response", decode_reply(ProtoId.QOT_REQUEST_TRADE_DATE, body)).s2c
    try:
        return {
            dt.date.fromisoformat(date.time[:10]).strftime("%Y%m%d"): TRADE_DATE_TYPES[date.tradeDateType]
            for date in s2c.tradeDateList
        }
    except (ValueError, TypeError, KeyError) as exc:  # TypeError: protobuf gives bytes for what is no UTF-8
        raise RemoteProtocolError(f"QOT_REQUEST_TRADE_DATE tells a date that can't be read: {exc}") from exc


def get_global_state() -> bytes:
    """Ask for OpenD's state."""
    return pb.GetGlobalState.Request(c2s=pb.GetGlobalState.C2S(userID=0)).SerializeToString()


def global_state(body: bytes) -> GlobalState:
    """GetGlobalState's reply."""
    s2c = cast("pb.GetGlobalState.Response", decode_reply(ProtoId.GET_GLOBAL_STATE, body)).s2c
    return GlobalState(s2c.marketHK, s2c.qotLogined, s2c.serverVer, s2c.time)


def notice(body: bytes) -> Notice:
    """A Notify push."""
    s2c = cast("pb.Notify.Response", decode_reply(ProtoId.NOTIFY, body)).s2c
    if s2c.type == NotifyType.GTW_EVENT:
        return Notice(s2c.type, s2c.event.eventType, None, s2c.event.desc or f"gateway event {s2c.event.eventType}")
    if s2c.type == NotifyType.CONN_STATUS:
        logined = s2c.connectStatus.qotLogined
        return Notice(s2c.type, None, logined, "quote server reached" if logined else "quote server lost")
    if s2c.type == NotifyType.PROGRAM_STATUS:
        status = s2c.programStatus.programStatus
        return Notice(s2c.type, None, None, f"program status {status.type} {status.strExtDesc}".rstrip())
    if s2c.type == NotifyType.QOT_RIGHT:
        return Notice(s2c.type, None, None, f"quote right for Hong Kong is now {s2c.qotRight.hkQotRight}")
    return Notice(s2c.type, None, None, f"notice of type {s2c.type}")


def _security(symbol: str) -> pb.Security:
    market, code = security_of(symbol)
    return pb.Security(market=market, code=code)
