"""The calls that change or read the state of a *connection*: InitConnect, KeepAlive, subscriptions, ticks.

One function per call: it takes the request's C2S and returns the S2C, or a whole Answer. To refuse a call it raises
CallRefusedError. The table at the end lists every supported call; calls about the market itself are in `reference`.
Never touches a socket.
"""

from __future__ import annotations

import secrets
from time import monotonic
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from google.protobuf.message import DecodeError

from hk_tick_collector.errors import CallRefusedError
from hk_tick_collector.opend import opend_pb2 as pb
from hk_tick_collector.opend.codes import security_of
from hk_tick_collector.opend.messages import SUB_TYPE_TICKER
from hk_tick_collector.opend.numbers import TICKER_REPLY_MAX, PacketEncAlgo, ProtoId, RetType
from hk_tick_collector.simulator import reference
from hk_tick_collector.simulator.reference import SERVER_VERSION, known_symbol
from hk_tick_collector.simulator.subscriptions import Key

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from hk_tick_collector.simulator.opend import Receiver, SimulatedOpenD

_LOGIN_USER_ID = 20240923
_PUSH_FORMAT_PROTOBUF = 0
_SUB_TYPES = frozenset({1, 2, *range(4, 18)})  # Qot_Common.SubType: basic, order book, ticker, RT, K lines, broker


class Init(NamedTuple):
    """The answer to InitConnect. `algo` None: the call was refused."""

    body: bytes
    algo: PacketEncAlgo | None
    aes_key: str = ""
    aes_iv: str = ""
    recv_notify: bool = False


class Answer(NamedTuple):
    """The answer to a call: a reply, made after `delay_sec`, then the first pushes."""

    make: Callable[[], bytes]
    delay_sec: float = 0.0
    pushes: tuple[bytes, ...] = ()


def init_connect(opend: SimulatedOpenD, conn_id: int, body: bytes) -> Init:
    """Answer the first call of a connection."""
    try:
        c2s = pb.InitConnect.Request.FromString(body).c2s
        algo = _encryption(opend, c2s)
    except (DecodeError, CallRefusedError) as exc:
        return Init(_refusal(str(exc)), None)
    aes_key, aes_iv = secrets.token_hex(8), secrets.token_hex(8)
    reply = pb.InitConnect.Response(
        retType=RetType.SUCCEED,
        s2c=pb.InitConnect.S2C(
            serverVer=SERVER_VERSION,
            loginUserID=_LOGIN_USER_ID,
            connID=conn_id,
            connAESKey=aes_key,
            keepAliveInterval=opend.options.keep_alive_interval_sec,
            aesCBCiv=aes_iv,
            userAttribution=1,
        ),
    )
    return Init(reply.SerializeToString(), algo, aes_key, aes_iv, c2s.recvNotify)


def answer(opend: SimulatedOpenD, client: Receiver, proto_id: int, body: bytes) -> Answer:
    """Answer a call on an open connection. Never raises, whatever the client sends."""
    call = _CALLS.get(proto_id)
    if call is None:
        return _said(_refusal(f"Unknown protocol {proto_id}"))
    try:
        request = call.request.FromString(body)
        if opend.options.rate_limits:
            opend.rate_limits.refuse_excess(proto_id, monotonic())
        reply = call.function(opend, client, request.c2s)
    except DecodeError:
        return _said(_refusal(f"Parse of protocol {proto_id} failed"))
    except CallRefusedError as exc:
        return _said(_refusal(str(exc)))
    if isinstance(reply, Answer):
        return reply
    return _said(call.response(retType=RetType.SUCCEED, s2c=reply).SerializeToString())


def keep_alive(opend: SimulatedOpenD, _client: Receiver, _c2s: pb.KeepAlive.C2S) -> pb.KeepAlive.S2C:
    """Answer a heartbeat with OpenD's clock in seconds."""
    return pb.KeepAlive.S2C(time=opend.clock.now_ms // 1000)


def init_connect_again(_opend: SimulatedOpenD, _client: Receiver, _c2s: pb.InitConnect.C2S) -> pb.InitConnect.S2C:
    """Refuse a second InitConnect on the same connection."""
    raise CallRefusedError("InitConnect was already answered on this connection")


def sub(opend: SimulatedOpenD, client: Receiver, c2s: pb.Qot_Sub.C2S) -> pb.Qot_Sub.S2C | Answer:
    """Subscribe or unsubscribe a whole batch; register for pushes, or unregister, if asked to."""
    now = monotonic()
    if c2s.isUnsubAll:
        opend.subscriptions.unsubscribe(client.conn_id, list(opend.subscriptions.held_by(client.conn_id)), now)
        opend.unwatch(client, set(client.tickers))
        return pb.Qot_Sub.S2C()
    symbols = [known_symbol(opend, security) for security in c2s.securityList]
    keys = _keys(symbols, c2s.subTypeList)
    if not c2s.isSubOrUnSub:
        opend.subscriptions.unsubscribe(client.conn_id, keys, now)
        opend.unwatch(client, _ticker_symbols(keys))
        return pb.Qot_Sub.S2C()
    opend.subscriptions.subscribe(client.conn_id, keys, now)
    if not c2s.HasField("isRegOrUnRegPush"):
        return pb.Qot_Sub.S2C()
    # A missing isFirstPush means yes (published).
    first_push = c2s.isFirstPush or not c2s.HasField("isFirstPush")
    ok = pb.Qot_Sub.Response(retType=RetType.SUCCEED, s2c=pb.Qot_Sub.S2C())
    return _register(opend, client, keys, on=c2s.isRegOrUnRegPush, first_push=first_push, ok=ok.SerializeToString())


def reg_qot_push(opend: SimulatedOpenD, client: Receiver, c2s: pb.Qot_RegQotPush.C2S) -> Answer:
    """Register for, or unregister from, the pushes of subscribed symbols."""
    keys = _keys([known_symbol(opend, security) for security in c2s.securityList], c2s.subTypeList)
    held = opend.subscriptions.held_by(client.conn_id)
    for key in keys:
        if c2s.isRegOrUnReg and key not in held:
            raise CallRefusedError(f"{key.symbol} is not subscribed on this connection, subscribe first")
    first_push = c2s.isFirstPush or not c2s.HasField("isFirstPush")
    ok = pb.Qot_RegQotPush.Response(retType=RetType.SUCCEED, s2c=pb.Qot_RegQotPush.S2C())
    return _register(opend, client, keys, on=c2s.isRegOrUnReg, first_push=first_push, ok=ok.SerializeToString())


def get_sub_info(opend: SimulatedOpenD, client: Receiver, c2s: pb.Qot_GetSubInfo.C2S) -> pb.Qot_GetSubInfo.S2C:
    """Report the quota and the subscriptions, of this connection or of all connections."""
    now = monotonic()
    own = client.conn_id
    conn_ids = opend.subscriptions.connections() if c2s.isReqAllConn else [own]
    infos = []
    for conn_id in conn_ids:
        by_type: dict[int, list[str]] = {}
        for key in sorted(opend.subscriptions.held_by(conn_id)):
            by_type.setdefault(key.sub_type, []).append(key.symbol)
        infos.append(
            pb.ConnSubInfo(
                subInfoList=[
                    pb.SubInfo(subType=sub_type, securityList=[_security(symbol) for symbol in symbols])
                    for sub_type, symbols in sorted(by_type.items())
                ],
                usedQuota=sum(map(len, by_type.values())),
                isOwnConnData=conn_id == own,
            )
        )
    return pb.Qot_GetSubInfo.S2C(
        connSubInfoList=infos,
        totalUsedQuota=opend.subscriptions.used(now),
        remainQuota=opend.subscriptions.remaining(now),
    )


def get_ticker(opend: SimulatedOpenD, client: Receiver, c2s: pb.Qot_GetTicker.C2S) -> Answer:
    """The last ticks of a symbol, from the cache; delayed until the subscription is `warmup_sec` old."""
    symbol = known_symbol(opend, c2s.security)
    since = opend.subscriptions.since(client.conn_id, Key(symbol, SUB_TYPE_TICKER))
    if since is None:
        raise CallRefusedError(f"{symbol} is not subscribed to TICKER on this connection, subscribe first")
    if c2s.maxRetNum < 1:
        raise CallRefusedError(f"maxRetNum {c2s.maxRetNum}, expected 1 to {TICKER_REPLY_MAX}")
    count = min(c2s.maxRetNum, TICKER_REPLY_MAX)
    warm_in_sec = since + opend.options.warmup_sec - monotonic()
    return Answer(lambda: opend.ticker_reply(client.conn_id, symbol, count), max(0.0, warm_in_sec))


def _encryption(opend: SimulatedOpenD, c2s: pb.InitConnect.C2S) -> PacketEncAlgo:
    """The encryption that InitConnect asks for (if missing: FTAES_ECB with an RSA key, otherwise none)."""
    if c2s.pushProtoFmt != _PUSH_FORMAT_PROTOBUF:
        raise CallRefusedError(f"pushProtoFmt {c2s.pushProtoFmt} is not simulated, only 0 (protobuf)")
    has_key = opend.options.rsa is not None
    if not c2s.HasField("packetEncAlgo"):
        return PacketEncAlgo.FTAES_ECB if has_key else PacketEncAlgo.NONE
    try:
        algo = PacketEncAlgo(c2s.packetEncAlgo)
    except ValueError:
        raise CallRefusedError(f"packetEncAlgo {c2s.packetEncAlgo} is not known") from None
    if algo is not PacketEncAlgo.NONE and not has_key:
        raise CallRefusedError(f"packetEncAlgo {algo.name} needs an RSA key here, and there is none")
    return algo


def _register(
    opend: SimulatedOpenD, client: Receiver, keys: Iterable[Key], *, on: bool, first_push: bool, ok: bytes
) -> Answer:
    symbols = _ticker_symbols(keys)
    if not on:
        opend.unwatch(client, symbols)
        return _said(ok)
    fresh = opend.watch(client, symbols)
    bodies = (opend.cached_push(symbol) for symbol in fresh) if first_push else ()
    return Answer(lambda: ok, pushes=tuple(body for body in bodies if body is not None))


def _keys(symbols: list[str], sub_types: Iterable[int]) -> list[Key]:
    types = list(sub_types)
    if not symbols:
        raise CallRefusedError("securityList is empty")
    if not types:
        raise CallRefusedError("subTypeList is empty")
    for sub_type in types:
        if sub_type not in _SUB_TYPES:
            raise CallRefusedError(f"subType {sub_type} is not known")
    return [Key(symbol, sub_type) for symbol in symbols for sub_type in types]


def _ticker_symbols(keys: Iterable[Key]) -> list[str]:
    return [key.symbol for key in keys if key.sub_type == SUB_TYPE_TICKER]


def _security(symbol: str) -> pb.Security:
    market, code = security_of(symbol)
    return pb.Security(market=market, code=code)


def _refusal(text: str) -> bytes:
    return pb.Reply(retType=RetType.FAILED, retMsg=text, errCode=0).SerializeToString()


def _said(body: bytes) -> Answer:
    return Answer(lambda: body)


class _Call(NamedTuple):
    """A call's message types, and its function of (opend, client, c2s) that returns the S2C or a whole Answer."""

    request: Any
    response: Any
    function: Callable[[Any, Any, Any], Any]


_CALLS: Final[dict[int, _Call]] = {
    ProtoId.INIT_CONNECT: _Call(pb.InitConnect.Request, pb.InitConnect.Response, init_connect_again),
    ProtoId.GET_GLOBAL_STATE: _Call(pb.GetGlobalState.Request, pb.GetGlobalState.Response, reference.get_global_state),
    ProtoId.KEEP_ALIVE: _Call(pb.KeepAlive.Request, pb.KeepAlive.Response, keep_alive),
    ProtoId.QOT_SUB: _Call(pb.Qot_Sub.Request, pb.Qot_Sub.Response, sub),
    ProtoId.QOT_REG_QOT_PUSH: _Call(pb.Qot_RegQotPush.Request, pb.Qot_RegQotPush.Response, reg_qot_push),
    ProtoId.QOT_GET_SUB_INFO: _Call(pb.Qot_GetSubInfo.Request, pb.Qot_GetSubInfo.Response, get_sub_info),
    ProtoId.QOT_GET_BASIC_QOT: _Call(pb.Qot_GetBasicQot.Request, pb.Qot_GetBasicQot.Response, reference.get_basic_qot),
    ProtoId.QOT_GET_TICKER: _Call(pb.Qot_GetTicker.Request, pb.Qot_GetTicker.Response, get_ticker),
    ProtoId.QOT_GET_STATIC_INFO: _Call(
        pb.Qot_GetStaticInfo.Request, pb.Qot_GetStaticInfo.Response, reference.get_static_info
    ),
    ProtoId.QOT_GET_SECURITY_SNAPSHOT: _Call(
        pb.Qot_GetSecuritySnapshot.Request, pb.Qot_GetSecuritySnapshot.Response, reference.get_security_snapshot
    ),
    ProtoId.QOT_GET_PLATE_SECURITY: _Call(
        pb.Qot_GetPlateSecurity.Request, pb.Qot_GetPlateSecurity.Response, reference.get_plate_security
    ),
    ProtoId.QOT_REQUEST_TRADE_DATE: _Call(
        pb.Qot_RequestTradeDate.Request, pb.Qot_RequestTradeDate.Response, reference.request_trade_date
    ),
    ProtoId.QOT_GET_MARKET_STATE: _Call(
        pb.Qot_GetMarketState.Request, pb.Qot_GetMarketState.Response, reference.get_market_state
    ),
}
