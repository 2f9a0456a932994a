"""Protobuf bodies to plain values and back; the only importer of the generated code.

Owns the content of requests, and the form of a refusal. Never frames, never encrypts.
Text for people is made safe here, so that no text from OpenD reaches a log, a file or a terminal unchecked.
The simulator builds the server's messages through `pb`, the generated module.
"""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Protocol, cast

from google.protobuf.message import DecodeError as DecodeError  # noqa: PLC0414 - callers of `parse_tickers` catch it

from hk_tick_collector.errors import RefusedError, RemoteProtocolError
from hk_tick_collector.opend import opend_pb2 as pb
from hk_tick_collector.opend.codes import security_of, symbols_of
from hk_tick_collector.opend.numbers import TICKER_REPLY_MAX, ProtoId, RetType
from hk_tick_collector.text import plain

if TYPE_CHECKING:
    from collections.abc import Iterable

    from google.protobuf.message import Message

CLIENT_VERSION = 1011  # the protocol's: "10.11" as major * 100 + minor
SUB_TYPE_TICKER = 4
TRADE_DATE_MARKET_HK = 1  # Qot_Common.TradeDateMarket, which is not the market of a security
# Qot_Common.TradeDateType: which sessions a trade date has.
TRADE_DATE_TYPES: Final = {0: "whole", 1: "morning", 2: "afternoon"}

TRADE_DATES_MAX: Final = 1000  # about four years; we ask for three weeks
TRADE_DAYS_MAX: Final = 1500  # from the first to the last of them
TIME_SEC_MIN, TIME_SEC_MAX = 946_684_800, 4_102_444_800  # 2000 to 2099

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


class TickerLike(Protocol):
    """One tick as OpenD sends it; the generated Ticker has this shape. Units as in opend.proto."""

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
    """OpenD's reply when a connection is opened."""

    server_ver: int
    conn_id: int
    aes_key: str
    aes_iv: str
    keep_alive_interval_sec: int


class Quota(NamedTuple):
    """Subscription quota: one unit per stock and type, over all connections.

    Attributes:
        used: by everything that is subscribed on this OpenD.
        remaining: what can still be subscribed.
        held: symbols whose ticker some connection has subscribed: subscribing them again costs nothing.
        unreadable: number of codes that can't be read; another client has subscribed them.
    """

    used: int
    remaining: int
    held: frozenset[str]
    unreadable: int = 0


class PlateMembers(NamedTuple):
    """The symbols of a plate, in OpenD's order, and how many codes can't be read."""

    symbols: list[str]
    unreadable: int = 0


class GlobalState(NamedTuple):
    """OpenD's view of the market and of itself.

    Attributes:
        time_sec: OpenD's clock, as received.
    """

    market_hk: int
    qot_logined: bool
    server_ver: int
    time_sec: int

    @property
    def clock_sec(self) -> int | None:
        """OpenD's clock, epoch seconds; None: `time_sec` is not a time of this century (it may be milliseconds)."""
        return self.time_sec if TIME_SEC_MIN <= self.time_sec < TIME_SEC_MAX else None


class DayTotals(NamedTuple):
    """The exchange's totals of a security for the day so far.

    Attributes:
        symbol: the security.
        time: of these totals, as OpenD writes it: exchange-local, without a zone.
        volume: shares.
        turnover: in the counter's currency.
    """

    symbol: str
    time: str
    volume: int
    turnover: float


def call_name(proto_id: int) -> str:
    """'QOT_SUB' for 3001; the number for an unknown one."""
    try:
        return ProtoId(proto_id).name
    except ValueError:
        return f"protoID {proto_id}"


def decode_reply(proto_id: int, body: bytes) -> Message:
    """The reply (or push) as its generated message.

    Raises:
        RefusedError: `retType` is not SUCCEED.
        RemoteProtocolError: the body is not that message, or lacks a required part.
    """
    kind = _RESPONSES.get(proto_id)
    if kind is None:
        raise RemoteProtocolError(f"a frame of protoID {proto_id}, which was never asked for")
    try:
        reply = kind.FromString(body)
    except DecodeError as exc:
        raise RemoteProtocolError(f"{call_name(proto_id)} body of {len(body)} bytes is no valid message") from exc
    if reply.retType != RetType.SUCCEED:
        raise RefusedError(call_name(proto_id), reply.retType, plain(reply.retMsg))
    if not (reply.IsInitialized() and reply.HasField("s2c")):
        lacks = ", ".join(reply.FindInitializationErrors()) or "s2c"
        raise RemoteProtocolError(f"{call_name(proto_id)} body of {len(body)} bytes lacks {lacks}")
    return cast("Message", reply)


def check_accepted(proto_id: int, body: bytes) -> None:
    """Raise RefusedError if a reply is a refusal, without decoding the rest of it."""
    reply = pb.Reply()
    try:
        reply.MergeFromString(body)
    except DecodeError as exc:
        raise RemoteProtocolError(f"{call_name(proto_id)} body of {len(body)} bytes is no valid message") from exc
    if reply.retType != RetType.SUCCEED:
        raise RefusedError(call_name(proto_id), reply.retType, plain(reply.retMsg))


# A ticker push as its generated message; a GetTicker reply has the same shape. The writer calls it for each body that
# it does not map by columns, so it is the parser itself without a wrapper. Raises DecodeError if the body is not such a
# message, but not if a field is missing: check IsInitialized.
parse_tickers = pb.Qot_UpdateTicker.Response.FromString


def init_connect(client_id: str, packet_enc_algo: int) -> bytes:
    """Open a connection, and ask for notices."""
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
    texts: tuple[object, ...] = (s2c.connAESKey, s2c.aesCBCiv)
    if not all(isinstance(text, str) for text in texts):  # protobuf gives bytes for what is not UTF-8
        raise RemoteProtocolError("INIT_CONNECT gives a key that is not UTF-8 text")
    return InitReply(s2c.serverVer, s2c.connID, s2c.connAESKey, s2c.aesCBCiv, s2c.keepAliveInterval)


def keep_alive(now_sec: int) -> bytes:
    """A sign of life."""
    return pb.KeepAlive.Request(c2s=pb.KeepAlive.C2S(time=now_sec)).SerializeToString()


def subscribe(symbols: Iterable[str], *, is_pushed: bool = True) -> bytes:
    """Subscribe to tickers, with their pushes on this connection or without them for now.

    No first push: GetTicker fetches what OpenD already has, in full.
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
    # Other clients may subscribe codes that we can't read.
    held, unreadable = symbols_of(
        security
        for conn in s2c.connSubInfoList
        for info in conn.subInfoList
        if info.subType == SUB_TYPE_TICKER
        for security in info.securityList
    )
    return Quota(s2c.totalUsedQuota, s2c.remainQuota, frozenset(held), unreadable)


def get_ticker(symbol: str, count: int) -> bytes:
    """Ask for a symbol's last ticks, at most 1000."""
    return pb.Qot_GetTicker.Request(
        c2s=pb.Qot_GetTicker.C2S(security=_security(symbol), maxRetNum=min(count, TICKER_REPLY_MAX))
    ).SerializeToString()


def get_plate_security(plate: str) -> bytes:
    """Ask for the members of a plate."""
    return pb.Qot_GetPlateSecurity.Request(c2s=pb.Qot_GetPlateSecurity.C2S(plate=_security(plate))).SerializeToString()


def plate_members(body: bytes) -> PlateMembers:
    """GetPlateSecurity's reply; members of a market that we don't know are left out."""
    s2c = cast("pb.Qot_GetPlateSecurity.Response", decode_reply(ProtoId.QOT_GET_PLATE_SECURITY, body)).s2c
    return PlateMembers(*symbols_of(info.basic.security for info in s2c.staticInfoList))


def get_security_snapshot(symbols: Iterable[str]) -> bytes:
    """Ask for the totals of at most 400 securities."""
    return pb.Qot_GetSecuritySnapshot.Request(
        c2s=pb.Qot_GetSecuritySnapshot.C2S(securityList=[_security(s) for s in symbols])
    ).SerializeToString()


def day_totals(body: bytes) -> list[DayTotals]:
    """GetSecuritySnapshot's reply; securities of a market or with a code that we can't read are left out.

    Raises:
        RefusedError: it is a refusal.
        RemoteProtocolError: it is not such a reply.
    """
    reply = cast("pb.Qot_GetSecuritySnapshot.Response", decode_reply(ProtoId.QOT_GET_SECURITY_SNAPSHOT, body))
    basics = [snapshot.basic for snapshot in reply.s2c.snapshotList]
    return [
        DayTotals(symbol, plain(basic.updateTime), basic.volume, basic.turnover)
        for basic in basics
        for symbol in symbols_of([basic.security])[0]
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

    Within the requested range, an absent date is not a trade date. Closures decided on the day itself are not reported.

    Raises:
        RefusedError: it is a refusal.
        RemoteProtocolError: it is not such a reply; it has a date that is unreadable or not of this century, or an
            unknown type; or it has too many dates. Leaving a date out would make it a holiday.
    """
    s2c = cast("pb.Qot_RequestTradeDate.Response", decode_reply(ProtoId.QOT_REQUEST_TRADE_DATE, body)).s2c
    if len(s2c.tradeDateList) > TRADE_DATES_MAX:
        count = len(s2c.tradeDateList)
        raise RemoteProtocolError(f"QOT_REQUEST_TRADE_DATE tells {count} dates, at most {TRADE_DATES_MAX} expected")
    try:
        dates = {_trade_date(date.time): TRADE_DATE_TYPES[date.tradeDateType] for date in s2c.tradeDateList}
    except (ValueError, TypeError, KeyError) as exc:  # TypeError: protobuf gives bytes for what is not UTF-8
        raise RemoteProtocolError(f"QOT_REQUEST_TRADE_DATE tells a date that can't be read: {exc}") from exc
    if dates and (days := (max(dates) - min(dates)).days) > TRADE_DAYS_MAX:
        raise RemoteProtocolError(f"QOT_REQUEST_TRADE_DATE tells dates {days} days apart, expected {TRADE_DAYS_MAX}")
    return {date.strftime("%Y%m%d"): sessions for date, sessions in dates.items()}


def _trade_date(time: str) -> dt.date:
    date = dt.date.fromisoformat(time[:10])
    if not 2000 <= date.year < 2100:  # noqa: PLR2004 - this century
        raise ValueError(f"{date} lies outside of the years 2000 to 2099")
    return date


def get_global_state() -> bytes:
    """Ask for OpenD's state."""
    return pb.GetGlobalState.Request(c2s=pb.GetGlobalState.C2S(userID=0)).SerializeToString()


def global_state(body: bytes) -> GlobalState:
    """GetGlobalState's reply."""
    s2c = cast("pb.GetGlobalState.Response", decode_reply(ProtoId.GET_GLOBAL_STATE, body)).s2c
    return GlobalState(s2c.marketHK, s2c.qotLogined, s2c.serverVer, s2c.time)


def _security(symbol: str) -> pb.Security:
    market, code = security_of(symbol)
    return pb.Security(market=market, code=code)
