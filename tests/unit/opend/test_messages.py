"""Messages: plain values in and out, the spelling of a symbol, and what a refusal looks like."""

from __future__ import annotations

import datetime as dt
import json

import pytest
from support.bodies import TICK, refusal, tick, ticker_body

from hk_tick_collector.errors import BadTickError, RefusedError, RemoteProtocolError, SessionError
from hk_tick_collector.opend import messages
from hk_tick_collector.opend import opend_pb2 as pb
from hk_tick_collector.opend.codes import security_of, symbol_of
from hk_tick_collector.opend.messages import DecodeError, GlobalState, InitReply, Quota
from hk_tick_collector.opend.numbers import ProtoId
from hk_tick_collector.text import plain

MARKETS = [(1, "HK"), (11, "US"), (21, "SH"), (22, "SZ"), (31, "SG"), (41, "JP"), (51, "AU"), (61, "MY"), (71, "CA")]


@pytest.mark.parametrize(("market", "prefix"), MARKETS)
def test_a_symbol_is_market_and_code_and_back(market: int, prefix: str) -> None:
    """Each market of the protocol has one prefix; a dot in a code stays where it is."""
    for code in ("00700", "BRK.B", "800000"):
        assert symbol_of(market, code) == f"{prefix}.{code}"
        assert security_of(f"{prefix}.{code}") == (market, code)


@pytest.mark.parametrize(
    ("market", "code"),
    [
        (0, "00700"), (2, "00700"), (-1, "00700"), (1, ""), (1, "騰訊"), (1, "\x1b[2J"), (1, "00\n700"), (1, "\x7f"),
    ],
)  # fmt: skip
def test_a_security_that_is_none_is_a_bad_tick(market: int, code: str) -> None:
    """An unknown market, no code, or one that no exchange writes: the message holds both, and is plain itself."""
    with pytest.raises(BadTickError) as caught:
        symbol_of(market, code)
    text = str(caught.value)
    assert text == f"security with market {market} and code {code!r}, expected a known market and a code"
    assert text.isprintable()


def test_a_code_of_megabytes_is_no_code() -> None:
    """It is not repeated in full where it is told."""
    with pytest.raises(BadTickError) as caught:
        symbol_of(1, "0" * 1_000_000)
    assert len(str(caught.value)) < 200


@pytest.mark.parametrize("symbol", ["", "00700", "HK", "HK.", ".00700", "XX.00700", "hk.00700"])
def test_a_symbol_of_another_form_is_refused(symbol: str) -> None:
    """The message shows it and the form that was expected."""
    with pytest.raises(ValueError, match=f"^symbol '{symbol}', expected a form like HK.00700$"):
        security_of(symbol)


def test_calls_are_named() -> None:
    """Known numbers by their name, unknown ones by the number."""
    assert messages.call_name(3010) == "QOT_GET_TICKER"
    assert messages.call_name(9999) == "protoID 9999"


def test_init_connect_asks_for_notices_and_says_who_and_how() -> None:
    """Client, version, notices, encryption and protobuf pushes."""
    c2s = pb.InitConnect.Request.FromString(messages.init_connect("recorder-1", 2)).c2s
    assert (c2s.clientID, c2s.clientVer, c2s.recvNotify) == ("recorder-1", 1011, True)
    assert (c2s.packetEncAlgo, c2s.pushProtoFmt, c2s.programmingLanguage) == (2, 0, "Python")


def test_init_reply_is_read() -> None:
    """All that a connection needs to know, the iv as '' where there is none."""
    reply = pb.InitConnect.Response(
        retType=0,
        s2c=pb.InitConnect.S2C(
            serverVer=1011, loginUserID=5, connID=6, connAESKey="0123456789abcdef", keepAliveInterval=10
        ),
    )
    assert messages.init_reply(reply.SerializeToString()) == InitReply(1011, 6, "0123456789abcdef", "", 10)
    reply.s2c.aesCBCiv = "fedcba9876543210"
    assert messages.init_reply(reply.SerializeToString()).aes_iv == "fedcba9876543210"


def test_a_key_that_is_no_text_breaks_the_protocol() -> None:
    """It could not be used, and must not end the recorder."""
    body = pb.InitConnect.Response(
        retType=0,
        s2c=pb.InitConnect.S2C(serverVer=1, loginUserID=5, connID=6, connAESKey="K" * 16, keepAliveInterval=9),
    ).SerializeToString()
    with pytest.raises(RemoteProtocolError, match="gives a key that is not UTF-8 text"):
        messages.init_reply(body.replace(b"K" * 16, b"\xff" * 16))


def test_keep_alive_says_the_time() -> None:
    """Epoch seconds."""
    assert pb.KeepAlive.Request.FromString(messages.keep_alive(1585555481)).c2s.time == 1585555481


def test_subscribe_asks_for_tickers_and_their_pushes_without_a_first_one() -> None:
    """All symbols in one call, in order."""
    c2s = pb.Qot_Sub.Request.FromString(messages.subscribe(["HK.00700", "HK.00005"])).c2s
    assert [(s.market, s.code) for s in c2s.securityList] == [(1, "00700"), (1, "00005")]
    assert list(c2s.subTypeList) == [4]
    assert (c2s.isSubOrUnSub, c2s.isRegOrUnRegPush, c2s.isFirstPush) == (True, True, False)


@pytest.mark.parametrize(("asked", "sent"), [(1, 1), (1000, 1000), (1001, 1000)])
def test_get_ticker_never_asks_for_more_than_there_can_be(asked: int, sent: int) -> None:
    """OpenD refuses more than 1000."""
    c2s = pb.Qot_GetTicker.Request.FromString(messages.get_ticker("HK.00700", asked)).c2s
    assert (c2s.security.market, c2s.security.code, c2s.maxRetNum) == (1, "00700", sent)


def test_the_other_requests_are_whole() -> None:
    """Quota of all connections, a plate's members, the global state."""
    assert pb.Qot_GetSubInfo.Request.FromString(messages.get_sub_info()).c2s.isReqAllConn is True
    plate = pb.Qot_GetPlateSecurity.Request.FromString(messages.get_plate_security("HK.BK1910")).c2s.plate
    assert (plate.market, plate.code) == (1, "BK1910")
    assert pb.GetGlobalState.Request.FromString(messages.get_global_state()).c2s.userID == 0


def test_quota_counts_all_and_knows_whose_ticker_is_held() -> None:
    """Over all connections; other types than tickers cost quota but are not held for us."""
    reply = pb.Qot_GetSubInfo.Response(retType=0, s2c=pb.Qot_GetSubInfo.S2C(totalUsedQuota=3, remainQuota=97))
    for sub_type, codes in ((4, ["00700", "00005"]), (1, ["00001"]), (4, ["00700"])):
        conn = reply.s2c.connSubInfoList.add(usedQuota=1, isOwnConnData=False)
        info = conn.subInfoList.add(subType=sub_type)
        for code in codes:
            info.securityList.add(market=1, code=code)
    assert messages.quota(reply.SerializeToString()) == Quota(3, 97, frozenset({"HK.00700", "HK.00005"}))
    for code in ("騰訊", "\x1b[31m", ""):
        info.securityList.add(market=1, code=code)
    info.securityList.add(market=999, code="00700")
    expected = Quota(3, 97, frozenset({"HK.00700", "HK.00005"}), unreadable=3)
    assert messages.quota(reply.SerializeToString()) == expected


def test_plate_members_stand_in_opends_order() -> None:
    """Each as a symbol; one that can't be read costs nothing but itself."""
    reply = pb.Qot_GetPlateSecurity.Response(retType=0, s2c=pb.Qot_GetPlateSecurity.S2C())
    for code in ("00700", "00005", "騰訊"):
        basic = reply.s2c.staticInfoList.add().basic
        basic.security.market, basic.security.code = 1, code
        basic.id, basic.lotSize, basic.secType, basic.name, basic.listTime = 1, 100, 3, "x", "2004-06-16"
    assert messages.plate_members(reply.SerializeToString()) == (["HK.00700", "HK.00005"], 1)


def trade_date_body(*dates: tuple[str, int | None]) -> bytes:
    """RequestTradeDate's reply; None: without a type."""
    made = pb.Qot_RequestTradeDate.Response(retType=0, s2c=pb.Qot_RequestTradeDate.S2C())
    for time, kind in dates:
        date = made.s2c.tradeDateList.add(time=time)
        if kind is not None:
            date.tradeDateType = kind
    return made.SerializeToString()


def test_trade_dates_are_asked_for_by_hong_kongs_own_number() -> None:
    """Days without a clock time, both included."""
    body = messages.request_trade_date(dt.date(2026, 12, 24), dt.date(2027, 1, 4))
    c2s = pb.Qot_RequestTradeDate.Request.FromString(body).c2s
    assert (c2s.market, c2s.beginTime, c2s.endTime) == (1, "2026-12-24", "2027-01-04")


def test_trade_dates_say_which_sessions_there_are() -> None:
    """One without a type is whole, which is the published default."""
    body = trade_date_body(("2026-12-23", 0), ("2026-12-24", 1), ("2026-12-28 00:00:00", 2), ("2026-12-29", None))
    expected = {"20261223": "whole", "20261224": "morning", "20261228": "afternoon", "20261229": "whole"}
    assert messages.trade_dates(body) == expected
    assert messages.trade_dates(trade_date_body()) == {}


@pytest.mark.parametrize(
    "date",
    [
        ("2026-12-24", 9), ("tomorrow", 0), ("", 0), ("2026-13-01", 0), ("9999-12-31", 0), ("0001-01-01", 0),
        ("1999-12-31", 0), ("2100-01-01", 0),
    ],
)  # fmt: skip
def test_a_trade_date_that_nobody_can_read_is_no_holiday(date: tuple[str, int]) -> None:
    """It must not be left out in silence: what is absent is closed."""
    with pytest.raises(RemoteProtocolError, match=r"^QOT_REQUEST_TRADE_DATE tells a date that can't be read: "):
        messages.trade_dates(trade_date_body(("2026-12-23", 0), date))


@pytest.mark.parametrize(
    ("dates", "text"),
    [
        ([("2026-12-23", 0)] * 1001, "1001 dates, at most 1000 expected"),
        ([("2026-12-23", 0), ("2098-12-24", 0)], "26299 days apart, expected 1500"),
    ],
)
def test_a_calendar_that_nobody_asked_for_is_refused(dates: list[tuple[str, int]], text: str) -> None:
    """All days between its first and its last that it does not name would become holidays."""
    with pytest.raises(RemoteProtocolError, match=text):
        messages.trade_dates(trade_date_body(*dates))
    assert len(messages.trade_dates(trade_date_body(*dates[:1] * 1000))) == 1


def test_global_state_is_read() -> None:
    """The Hong Kong market's state, the login, the version and OpenD's clock."""
    s2c = pb.GetGlobalState.S2C(
        marketHK=5, marketUS=1, marketSH=1, marketSZ=1, marketHKFuture=1, qotLogined=True, trdLogined=False,
        serverVer=1011, serverBuildNo=1, time=1585555481,
    )  # fmt: skip
    body = pb.GetGlobalState.Response(retType=0, s2c=s2c).SerializeToString()
    assert messages.global_state(body) == GlobalState(5, qot_logined=True, server_ver=1011, time_sec=1585555481)


@pytest.mark.parametrize("time_sec", [1585555481000, -1, 0, 20261130, -(2**63), 2**63 - 1, 946_684_799, 4_102_444_800])
def test_a_clock_of_no_century_is_none(time_sec: int) -> None:
    """Milliseconds, a date, a sentinel: what came is kept to be shown, and nothing is concluded from it."""
    state = GlobalState(5, qot_logined=True, server_ver=1011, time_sec=time_sec)
    assert state.clock_sec is None
    assert state._replace(time_sec=1585555481).clock_sec == 1585555481


def test_a_refusal_says_which_call_and_why() -> None:
    """RefusedError holds OpenD's own words, and is a SessionError; checking alone raises the same."""
    for ask in (messages.decode_reply, messages.check_accepted):
        with pytest.raises(RefusedError, match=r"^QOT_GET_TICKER refused by OpenD: no right \(retType -1\)$") as caught:
            ask(ProtoId.QOT_GET_TICKER, refusal("no right"))
        assert (caught.value.ret_type, caught.value.text) == (-1, "no right")
        assert isinstance(caught.value, SessionError)


@pytest.mark.parametrize("reason", ["未知股票".encode("gbk"), b"\x1b]0;owned\x07", b"x" * 100_000])
def test_a_refusal_in_any_bytes_is_plain_text(reason: bytes) -> None:
    """GBK, an escape sequence, megabytes: it can be logged, stored as JSON and printed."""
    body = b"\x08" + pb.Reply(retType=-1).SerializeToString()[1:] + b"\x12" + _varint(len(reason)) + reason
    for ask in (messages.decode_reply, messages.check_accepted):
        with pytest.raises(RefusedError) as caught:
            ask(ProtoId.QOT_SUB, body)
        assert json.loads(json.dumps(caught.value.text)) == caught.value.text == plain(reason)
        assert str(caught.value).isprintable()


def _varint(number: int) -> bytes:
    """As protobuf writes a length."""
    made = bytearray()
    while number > 0x7F:
        made.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*made, number])


def test_a_refusal_without_a_reason_says_so() -> None:
    """An empty message never makes an empty line."""
    body = pb.Qot_Sub.Response(retType=-100).SerializeToString()
    with pytest.raises(RefusedError, match=r"^QOT_SUB refused by OpenD: no reason given \(retType -100\)$"):
        messages.decode_reply(ProtoId.QOT_SUB, body)


@pytest.mark.parametrize("body", [b"\xff", b"\x08", b"\x08\x00\x12"])
def test_a_body_that_is_no_message_breaks_the_protocol(body: bytes) -> None:
    """The message says of which call, and how many bytes there were."""
    for ask in (messages.decode_reply, messages.check_accepted):
        with pytest.raises(RemoteProtocolError, match=f"^KEEP_ALIVE body of {len(body)} bytes is no valid message$"):
            ask(ProtoId.KEEP_ALIVE, body)


@pytest.mark.parametrize("body", [b"", b"\x12\x00"])
def test_a_body_without_a_verdict_is_no_success(body: bytes) -> None:
    """The published default of `retType` is -400, unknown: an empty body never passes for an answer."""
    for ask in (messages.decode_reply, messages.check_accepted):
        with pytest.raises(RefusedError, match=r"^KEEP_ALIVE refused by OpenD: no reason given \(retType -400\)$"):
            ask(ProtoId.KEEP_ALIVE, body)


def test_a_reply_to_a_call_that_is_not_ours_breaks_the_protocol() -> None:
    """There is nothing to read it with."""
    with pytest.raises(RemoteProtocolError, match=r"^a frame of protoID 2001, which was never asked for$"):
        messages.decode_reply(2001, b"\x08\x00")


def test_every_call_has_a_reply() -> None:
    """Each number of ProtoId can be decoded; a refusal needs nothing else."""
    for proto_id in ProtoId:
        with pytest.raises(RefusedError, match=f"^{proto_id.name} refused"):
            messages.decode_reply(proto_id, refusal())


def test_check_accepted_reads_nothing_but_the_verdict() -> None:
    """It does not look into what follows, so that a large reply costs nothing."""
    messages.check_accepted(ProtoId.QOT_GET_TICKER, ticker_body([TICK] * 3))
    messages.check_accepted(ProtoId.QOT_GET_TICKER, b"\x08\x00" + b"\x22\x02\x08\x01")  # s2c lacks what it needs


def test_tickers_are_parsed_with_every_field() -> None:
    """Push and reply are the same; what is not there reads as 0."""
    s2c = messages.parse_tickers(ticker_body([tick(timestamp=1585555481.25), tick(type=None)])).s2c
    one, other = s2c.tickerList
    assert (s2c.security.market, s2c.security.code) == (1, "00700")
    assert (one.time, one.sequence, one.dir, one.price) == ("2020-03-30 16:04:41", 6809908936888567318, 3, 372.4)
    assert (one.volume, one.turnover, one.type, one.pushDataType, one.timestamp) == (60, 22344.0, 6, 1, 1585555481.25)
    assert (other.type, other.timestamp) == (0, 0.0)
    with pytest.raises(DecodeError):
        messages.parse_tickers(ticker_body([TICK])[:-1])
