"""The simulator over real TCP: each call, each fault, and that each fault really happens."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import time
from typing import TYPE_CHECKING, Any, cast

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from support.raw_client import RawClient
from support.recorder_process import until
from support.simulator_process import COMMAND, SimulatorProcess
from support.trading_time import JumpingClock

from hk_tick_collector.errors import RefusedError, RemoteProtocolError
from hk_tick_collector.hktime import hk_day, parse_time
from hk_tick_collector.opend import frames, messages
from hk_tick_collector.opend import opend_pb2 as pb
from hk_tick_collector.opend.codes import security_of
from hk_tick_collector.opend.crypto import PacketEncAlgo, RsaKey
from hk_tick_collector.opend.numbers import GtwEvent, ProtoId
from hk_tick_collector.opend.protocol import ClientConnection

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    StartSimulator = Callable[..., SimulatorProcess]

TENCENT, HSBC = "HK.00700", "HK.00005"
FLAT = ("--now", "--rate", "200", "--symbols", "10")
# Ticks come only from commands, but for one in a thousand seconds.
QUIET = ("--now", "--rate", "0.001", "--symbols", "10")
REALTIME, MADE_GOOD, CACHE = 1, 2, 3


@pytest.fixture
def start(tmp_path: Path) -> Iterator[StartSimulator]:
    """Start simulators by their options; all are stopped afterwards."""
    started: list[SimulatorProcess] = []

    def start_one(*args: str) -> SimulatorProcess:
        sim = SimulatorProcess(tmp_path, *args, name=f"sim{len(started)}")
        started.append(sim)
        return sim.start()

    yield start_one
    for sim in started:
        sim.stop()


@pytest.fixture(scope="module")
def flat(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SimulatorProcess]:
    """One simulator for the tests that leave it as it was."""
    with SimulatorProcess(tmp_path_factory.mktemp("flat"), *FLAT, "--no-rate-limits") as sim:
        yield sim


@pytest.fixture(scope="module")
def rsa_pem(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A key as OpenD wants it: PKCS#1, 1024 bit."""
    path = tmp_path_factory.mktemp("rsa") / "key.pem"
    key = rsa.generate_private_key(65537, 1024)  # noqa: S505 - the protocol's size
    path.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption()))
    return path


def _securities(*symbols: str) -> list[pb.Security]:
    return [pb.Security(market=market, code=code) for market, code in map(security_of, symbols)]


def _sub(symbols: tuple[str, ...], types: tuple[int, ...] = (4,), **fields: bool) -> bytes:
    c2s = pb.Qot_Sub.C2S(securityList=_securities(*symbols), subTypeList=types, isSubOrUnSub=True)
    for name, value in fields.items():
        setattr(c2s, name, value)
    return pb.Qot_Sub.Request(c2s=c2s).SerializeToString()


def _fault_lines(sim: SimulatorProcess, fault: str) -> list[dict[str, Any]]:
    return [line for line in sim.ledger().faults if line["fault"] == fault]


def _snapshots(client: RawClient, *symbols: str) -> list[pb.Qot_GetSecuritySnapshot.SnapshotBasicData]:
    body = messages.get_security_snapshot(list(symbols))
    reply = cast("pb.Qot_GetSecuritySnapshot.Response", client.call(ProtoId.QOT_GET_SECURITY_SNAPSHOT, body))
    return [snapshot.basic for snapshot in reply.s2c.snapshotList]


# ---- calls


def test_init_connect_tells_key_and_interval(flat: SimulatorProcess) -> None:
    """InitConnect gives a connection id, a 16-character key and iv, and the keep-alive interval."""
    with RawClient(flat.port) as one, RawClient(flat.port) as other:
        assert one.opened.keep_alive_interval_sec == 10
        assert len(one.opened.aes_key) == len(one.opened.aes_iv) == 16
        assert one.opened.conn_id != other.opened.conn_id


@pytest.mark.parametrize("algo", list(PacketEncAlgo))
def test_encrypted_connections_get_the_same_ticks(start: StartSimulator, rsa_pem: Path, algo: PacketEncAlgo) -> None:
    """With an RSA key, each packet encryption carries calls and pushes, next to a connection with another one."""
    sim = start(*QUIET, "--rsa-key", str(rsa_pem))
    key = RsaKey(rsa_pem.read_bytes())
    with RawClient(sim.port, rsa=key, algo=algo) as client, RawClient(sim.port, rsa=key) as plain:
        client.subscribe([TENCENT])
        plain.subscribe([TENCENT])
        sim.command("burst", ticks=300, symbols=[TENCENT])
        client.until(lambda: len(client.ticks) == 300)
        plain.until(lambda: len(plain.ticks) == 300)
        assert client.ticks == plain.ticks
        assert [tick.seq for tick in client.get_ticker(TENCENT)] == [tick.seq for tick in plain.ticks]


def test_a_plain_init_connect_is_dropped_where_a_key_is_needed(start: StartSimulator, rsa_pem: Path) -> None:
    """Where OpenD holds a key, an InitConnect without encryption ends the connection."""
    sim = start(*QUIET, "--rsa-key", str(rsa_pem))
    with pytest.raises(ConnectionError):
        RawClient(sim.port)
    assert sim.stats()["protocol_errors"] == 1


def test_encryption_without_a_key_is_refused(flat: SimulatorProcess) -> None:
    """A packetEncAlgo other than none needs a key on OpenD's side."""
    protocol = ClientConnection("raw")
    with socket.create_connection(("127.0.0.1", flat.port), timeout=10) as sock:
        sock.sendall(frames.encode(ProtoId.INIT_CONNECT, 1, messages.init_connect("raw", PacketEncAlgo.AES_CBC)))
        protocol.open()
        with pytest.raises(RefusedError, match="needs an RSA key"):
            protocol.receive(sock.recv(65_536))


def test_the_first_call_must_be_init_connect(flat: SimulatorProcess) -> None:
    """Any other first call ends the connection."""
    with socket.create_connection(("127.0.0.1", flat.port), timeout=10) as sock:
        sock.sendall(frames.encode(ProtoId.GET_GLOBAL_STATE, 1, messages.get_global_state()))
        assert sock.recv(65_536) == b""


def test_a_second_init_connect_is_refused(flat: SimulatorProcess) -> None:
    """InitConnect is answered once on a connection."""
    with RawClient(flat.port) as client, pytest.raises(RefusedError, match="already answered"):
        client.call(ProtoId.INIT_CONNECT, messages.init_connect("again", PacketEncAlgo.NONE))


def test_calls_may_come_byte_by_byte_and_together(flat: SimulatorProcess) -> None:
    """How the stream is cut does not matter to the server."""
    with RawClient(flat.port) as client:
        _, first = client.protocol.request(ProtoId.GET_GLOBAL_STATE, messages.get_global_state())
        _, second = client.protocol.request(ProtoId.KEEP_ALIVE, messages.keep_alive(1))
        client.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for i in range(len(first)):
            client.socket.sendall(first[i : i + 1])
        client.socket.sendall(second + second[:20])
        client.until(lambda: len(client._replies) == 2)


def test_global_state_and_keep_alive_tell_the_time(flat: SimulatorProcess) -> None:
    """A market by the wall clock is in its morning session, logged in, and OpenD's clock is the wall's."""
    with RawClient(flat.port) as client:
        state = messages.global_state(
            client.call(ProtoId.GET_GLOBAL_STATE, messages.get_global_state()).SerializeToString()
        )
        alive = cast("pb.KeepAlive.Response", client.call(ProtoId.KEEP_ALIVE, messages.keep_alive(1)))
        assert state.market_hk == 3
        assert state.qot_logined
        assert abs(state.time_sec - time.time()) < 5
        assert abs(alive.s2c.time - time.time()) < 5


def test_an_unknown_call_and_a_broken_body_are_refused(flat: SimulatorProcess) -> None:
    """What the server can't understand is refused, and the connection goes on."""
    with RawClient(flat.port) as client:
        serial_no = client.send(3999, b"")
        client.until(lambda: serial_no in client._replies)
        reply = pb.Reply.FromString(client._replies[serial_no].body)
        assert (reply.retType, reply.retMsg) == (-1, "Unknown protocol 3999")
        with pytest.raises(RefusedError, match="Parse"):
            client.call(ProtoId.QOT_GET_TICKER, b"\xff\xff\xff")
        client.call(ProtoId.GET_GLOBAL_STATE, messages.get_global_state())


def test_pushes_follow_a_subscription_and_equal_the_ledger(start: StartSimulator) -> None:
    """A subscribed symbol's ticks come one a frame, in order, and are what the ledger says; others don't come."""
    sim = start(*FLAT, "--seed", "7")
    with RawClient(sim.port) as client:
        client.subscribe([TENCENT, HSBC])
        client.until(lambda: len(client.ticks) >= 100)
        sim.command("pause")
        made = sim.ledger().ticks
        last = max(seq for symbol, seq in made if symbol == TENCENT)
        client.until(lambda: any(tick.seq == last for tick in client.ticks))
        assert client.push_frames == len(client.ticks)
        assert {tick.symbol for tick in client.ticks} == {TENCENT, HSBC}
        assert {tick.push_data_type for tick in client.ticks} == {REALTIME}
        for tick in client.ticks:
            content = made[tick.symbol, tick.seq]
            assert (tick.ts_ms, tick.price, tick.volume, tick.turnover) == content[:4]
        sequences = [tick.seq for tick in client.ticks if tick.symbol == TENCENT]
        assert sequences == sorted(set(sequences))


def test_frames_can_hold_a_steps_ticks(start: StartSimulator) -> None:
    """With --no-one-tick-frames, a symbol's ticks of a pump step come in one push."""
    sim = start(*QUIET, "--no-one-tick-frames")
    with RawClient(sim.port) as client:
        client.subscribe([TENCENT])
        sim.command("burst", ticks=100, symbols=[TENCENT])
        client.until(lambda: len(client.ticks) == 100)
        assert client.push_frames == 1


def test_a_first_push_brings_the_cache(start: StartSimulator) -> None:
    """The first push (the default) is what OpenD has already, marked as cache; registering again brings nothing."""
    sim = start(*QUIET)
    sim.command("burst", ticks=1200, symbols=[TENCENT])
    with RawClient(sim.port) as client:
        client.call(ProtoId.QOT_SUB, _sub((TENCENT,), isRegOrUnRegPush=True))
        client.until(lambda: bool(client.ticks))
        assert [tick.push_data_type for tick in client.ticks] == [CACHE] * 1000
        client.call(ProtoId.QOT_SUB, _sub((TENCENT,), isRegOrUnRegPush=True))
        sim.command("tick", symbol=TENCENT)
        client.until(lambda: len(client.ticks) == 1001)
        assert client.ticks[-1].push_data_type == REALTIME


def test_a_subscription_without_registration_pushes_nothing_until_registered(start: StartSimulator) -> None:
    """Qot_Sub without isRegOrUnRegPush only subscribes; Qot_RegQotPush turns pushes on and off."""
    sim = start(*QUIET)

    def register(*, on: bool) -> bytes:
        c2s = pb.Qot_RegQotPush.C2S(
            securityList=_securities(TENCENT), subTypeList=[4], isRegOrUnReg=on, isFirstPush=False
        )
        return pb.Qot_RegQotPush.Request(c2s=c2s).SerializeToString()

    with RawClient(sim.port) as client:
        with pytest.raises(RefusedError, match="not subscribed"):
            client.call(ProtoId.QOT_REG_QOT_PUSH, register(on=True))
        client.call(ProtoId.QOT_SUB, _sub((TENCENT,)))
        sim.command("tick", symbol=TENCENT)
        client.call(ProtoId.QOT_REG_QOT_PUSH, register(on=True))
        heard = sim.command("tick", symbol=TENCENT)
        client.until(lambda: bool(client.ticks))
        client.call(ProtoId.QOT_REG_QOT_PUSH, register(on=False))
        sim.command("tick", symbol=TENCENT)
        client.call(ProtoId.GET_GLOBAL_STATE, messages.get_global_state())
        assert [tick.seq for tick in client.ticks] == [heard["seq"]]


def test_a_batch_with_an_unknown_code_is_refused_whole(flat: SimulatorProcess) -> None:
    """The first bad code is named, and none of the batch is subscribed."""
    with RawClient(flat.port) as client:
        with pytest.raises(RefusedError) as refused:
            client.subscribe([TENCENT, "HK.99999", "HK.88888"])
        assert refused.value.text == "Unknown stock HK.99999"
        with pytest.raises(RefusedError, match="not subscribed"):
            client.get_ticker(TENCENT)


@pytest.mark.parametrize(
    ("symbols", "types", "reason"),
    [((), (4,), "securityList is empty"), ((TENCENT,), (), "subTypeList is empty"), ((TENCENT,), (3,), "subType 3")],
)
def test_a_senseless_subscription_is_refused(
    flat: SimulatorProcess, symbols: tuple[str, ...], types: tuple[int, ...], reason: str
) -> None:
    """No securities, no types, or a type that is none."""
    with RawClient(flat.port) as client, pytest.raises(RefusedError, match=reason):
        client.call(ProtoId.QOT_SUB, _sub(symbols, types=types))


def _quota(client: RawClient) -> messages.Quota:
    return messages.quota(client.call(ProtoId.QOT_GET_SUB_INFO, messages.get_sub_info()).SerializeToString())


def test_quota_is_shared_and_freed_with_its_last_connection(start: StartSimulator) -> None:
    """One quota a (symbol, type) however many hold it; a batch that needs more is refused; the last holder frees it."""
    sim = start(*QUIET, "--quota", "3")
    with RawClient(sim.port) as stays:
        with RawClient(sim.port) as goes:
            goes.subscribe([TENCENT, HSBC])
            stays.subscribe([TENCENT])
            assert _quota(stays) == messages.Quota(2, 1, frozenset({TENCENT, HSBC}))
            with pytest.raises(RefusedError, match="quota is not enough: 2 needed, 1 remaining"):
                stays.subscribe([TENCENT, "HK.00388", "HK.00939"])
            assert _quota(stays).used == 2
        sim.wait_for(lambda stats: stats["connections"] == 1)
        assert _quota(stays) == messages.Quota(1, 2, frozenset({TENCENT}))


def test_quota_can_linger(start: StartSimulator) -> None:
    """With --quota-linger, a gone connection's quota stays used for so long."""
    sim = start(*QUIET, "--quota", "1", "--quota-linger", "0.5")
    with RawClient(sim.port) as goes:
        goes.subscribe([TENCENT])
    sim.wait_for(lambda stats: stats["connections"] == 0)
    gone_at = time.monotonic()
    with RawClient(sim.port) as client:
        with pytest.raises(RefusedError, match="quota"):
            client.subscribe([HSBC])
        while _quota(client).used:
            assert time.monotonic() < gone_at + 10
        assert time.monotonic() - gone_at > 0.2
        client.subscribe([HSBC])


def test_unsubscribing_too_soon_is_refused(start: StartSimulator) -> None:
    """A subscription is held for a minute at least; with a shorter minute, unsubscribing frees it and ends pushes."""
    patient, hasty = start(*QUIET), start(*QUIET, "--unsubscribe-after", "0")
    unsub_all = pb.Qot_Sub.Request(c2s=pb.Qot_Sub.C2S(isSubOrUnSub=False, isUnsubAll=True)).SerializeToString()
    unsub_one = _sub((TENCENT,), isSubOrUnSub=False)
    with RawClient(patient.port) as client:
        client.subscribe([TENCENT])
        for body in (unsub_one, unsub_all):
            with pytest.raises(RefusedError, match="60 s after subscribing"):
                client.call(ProtoId.QOT_SUB, body)
        assert _quota(client).used == 1
    with RawClient(hasty.port) as client:
        client.subscribe([TENCENT, HSBC])
        client.call(ProtoId.QOT_SUB, unsub_one)
        assert _quota(client).held == {HSBC}
        assert hasty.stats()["subscribed"] == 1
        client.call(ProtoId.QOT_SUB, unsub_all)
        assert _quota(client).used == 0
        assert hasty.stats()["subscribed"] == 0


def test_get_ticker_gives_the_last_thousand(start: StartSimulator) -> None:
    """GetTicker tells the last n ticks, oldest first, never more than 1000, marked as cache, and the ledger knows."""
    sim = start(*QUIET)
    with RawClient(sim.port) as client:
        client.call(ProtoId.QOT_SUB, _sub((TENCENT,)))
        assert client.get_ticker(TENCENT) == []
        sim.command("burst", ticks=1500, symbols=[TENCENT])
        made = sorted(seq for _, seq in sim.ledger().ticks)
        got = client.get_ticker(TENCENT)
        assert [tick.seq for tick in got] == made[-1000:]
        assert {tick.push_data_type for tick in got} == {CACHE}
        assert [tick.seq for tick in client.get_ticker(TENCENT, 3)] == made[-3:]
        with pytest.raises(RefusedError, match="maxRetNum 0"):
            client.get_ticker(TENCENT, 0)
        with pytest.raises(RefusedError, match="not subscribed"):
            client.get_ticker(HSBC)
        gets = sim.ledger().gets
        assert [(line["n"], line.get("first"), line.get("last")) for line in gets] == [
            (0, None, None),
            (1000, made[-1000], made[-1]),
            (3, made[-3], made[-1]),
        ]
        assert {line["conn"] for line in gets} == {client.opened.conn_id}


def test_get_ticker_waits_for_a_fresh_subscription(start: StartSimulator) -> None:
    """With --warmup-sec, GetTicker after subscribing is answered late, while other calls are not."""
    sim = start(*QUIET, "--warmup-sec", "0.5")
    with RawClient(sim.port) as client:
        client.subscribe([TENCENT])
        began = time.monotonic()
        late = client.send(ProtoId.QOT_GET_TICKER, messages.get_ticker(TENCENT, 10))
        client.call(ProtoId.GET_GLOBAL_STATE, messages.get_global_state())
        assert late not in client._replies
        client.until(lambda: late in client._replies)
        assert time.monotonic() - began > 0.4


def test_snapshot_totals_equal_what_was_made(start: StartSimulator) -> None:
    """A snapshot's volume, turnover and prices are those of the day's ticks."""
    sim = start(*QUIET)
    sim.command("burst", ticks=500, symbols=[TENCENT])
    ticks = [content for (symbol, _), content in sim.ledger().ticks.items() if symbol == TENCENT]
    with RawClient(sim.port) as client:
        tencent, hsbc = _snapshots(client, TENCENT, HSBC)
    assert tencent.volume == sum(tick.volume for tick in ticks)
    assert tencent.turnover == pytest.approx(sum(tick.turnover for tick in ticks))
    prices = [tick.price for tick in ticks]
    assert (tencent.highPrice, tencent.lowPrice, tencent.curPrice) == (max(prices), min(prices), prices[-1])
    assert (hsbc.volume, hsbc.security.code) == (0, "00005")
    assert parse_time(tencent.updateTime).ms == ticks[-1].ts_ms == tencent.updateTimestamp * 1000
    assert hk_day(parse_time(hsbc.updateTime).ms) < hk_day(ticks[0].ts_ms)  # it has not traded


def test_totals_can_leave_out_types_of_ticks(start: StartSimulator) -> None:
    """With `--totals-without` the trades are pushed as ever, and the snapshot's volume does not know of them."""
    sim = start(*QUIET, "--totals-without", "ODD_LOT, OVERSEAS")
    with RawClient(sim.port) as client:
        client.subscribe([TENCENT])
        for tick_type in ("ODD_LOT", "AUTO_MATCH", "OVERSEAS"):
            sim.command("tick", symbol=TENCENT, type=tick_type, volume=700)
        client.until(lambda: len(client.ticks) == 3)
        (tencent,) = _snapshots(client, TENCENT)
    assert (tencent.volume, tencent.turnover) == (700, client.ticks[1].turnover)


def test_totals_begin_anew_at_midnight(tmp_path: Path) -> None:
    """By the simulator's clock, without a trade; the snapshot's time stays that of the last one."""
    clock = JumpingClock(tmp_path, "2026-12-24 11:59:00")
    with SimulatorProcess(tmp_path, *QUIET, env=clock.env) as sim, RawClient(sim.port) as client:
        sim.command("tick", symbol=TENCENT)
        before, never = _snapshots(client, TENCENT, HSBC)
        sim.command("pause")  # or the half day is made up for
        clock.jump_to("2026-12-25 00:40:00")
        sim.wait_for(lambda stats: stats["sim_time"].startswith("2026-12-25 00:40"))
        until(lambda: _snapshots(client, TENCENT)[0].volume == 0, "the day has no volume yet")
        (after,) = _snapshots(client, TENCENT)
        sim.command("tick", symbol=TENCENT)
        (traded,) = _snapshots(client, TENCENT)
    assert before.updateTime.startswith("2026-12-24 11:59")
    assert never.updateTime == "2026-12-23 16:08:12"
    assert (before.volume > 0, after.volume, after.turnover) == (True, 0, 0)
    assert after.updateTime == before.updateTime
    assert (traded.volume, traded.updateTime[:16]) == (before.volume, "2026-12-25 00:40")


def test_basic_quotes_need_their_own_subscription(flat: SimulatorProcess) -> None:
    """GetBasicQot is served for what is subscribed as BASIC."""
    body = pb.Qot_GetBasicQot.Request(c2s=pb.Qot_GetBasicQot.C2S(securityList=_securities(HSBC))).SerializeToString()
    with RawClient(flat.port) as client:
        client.subscribe([HSBC])
        with pytest.raises(RefusedError, match="BASIC"):
            client.call(ProtoId.QOT_GET_BASIC_QOT, body)
        client.call(ProtoId.QOT_SUB, _sub((HSBC,), types=(1,)))
        reply = cast("pb.Qot_GetBasicQot.Response", client.call(ProtoId.QOT_GET_BASIC_QOT, body))
        assert reply.s2c.basicQotList[0].security.code == "00005"


def test_static_info_and_plates_tell_the_universe(flat: SimulatorProcess) -> None:
    """All stocks, some stocks, and the members of plates; an unknown plate is refused."""
    with RawClient(flat.port) as client:
        all_stocks = pb.Qot_GetStaticInfo.Request(c2s=pb.Qot_GetStaticInfo.C2S(market=1, secType=3))
        everyone = client.call(ProtoId.QOT_GET_STATIC_INFO, all_stocks.SerializeToString())
        assert len(cast("pb.Qot_GetStaticInfo.Response", everyone).s2c.staticInfoList) == 10
        one = pb.Qot_GetStaticInfo.Request(c2s=pb.Qot_GetStaticInfo.C2S(securityList=_securities(HSBC)))
        basic = (
            cast("pb.Qot_GetStaticInfo.Response", client.call(ProtoId.QOT_GET_STATIC_INFO, one.SerializeToString()))
            .s2c.staticInfoList[0]
            .basic
        )
        assert (basic.security.code, basic.id, basic.secType) == ("00005", 5, 3)
        assert basic.lotSize > 0

        def members(plate: str) -> list[str]:
            reply = client.call(ProtoId.QOT_GET_PLATE_SECURITY, messages.get_plate_security(plate))
            return list(messages.plate_members(reply.SerializeToString()).symbols)

        assert members("HK.BK1001")[0] == TENCENT
        assert set(members("HK.BK1002")) | set(members("HK.BK1003")) == set(members("HK.BK1004"))
        with pytest.raises(RefusedError, match=r"Unknown plate HK\.BK9999"):
            members("HK.BK9999")


def test_trade_dates_know_half_days(flat: SimulatorProcess) -> None:
    """Weekends and holidays are missing, Christmas Eve is a morning; other markets and bad dates are refused."""

    def dates(begin: str, end: str, market: int = 1) -> dict[str, int]:
        c2s = pb.Qot_RequestTradeDate.C2S(market=market, beginTime=begin, endTime=end)
        body = pb.Qot_RequestTradeDate.Request(c2s=c2s).SerializeToString()
        reply = cast("pb.Qot_RequestTradeDate.Response", client.call(ProtoId.QOT_REQUEST_TRADE_DATE, body))
        return {date.time: date.tradeDateType for date in reply.s2c.tradeDateList}

    with RawClient(flat.port) as client:
        assert dates("2026-12-23", "2026-12-28") == {"2026-12-23": 0, "2026-12-24": 1, "2026-12-28": 0}
        with pytest.raises(RefusedError, match="market 2"):
            dates("2026-12-23", "2026-12-28", market=2)
        with pytest.raises(RefusedError, match="'yesterday'"):
            dates("yesterday", "2026-12-28")


def test_market_state_is_told_for_each_code(flat: SimulatorProcess) -> None:
    """GetMarketState names each code's state; more than 400 codes are refused."""

    def body(*symbols: str) -> bytes:
        c2s = pb.Qot_GetMarketState.C2S(securityList=_securities(*symbols))
        return pb.Qot_GetMarketState.Request(c2s=c2s).SerializeToString()

    with RawClient(flat.port) as client:
        reply = cast("pb.Qot_GetMarketState.Response", client.call(ProtoId.QOT_GET_MARKET_STATE, body(TENCENT, HSBC)))
        assert [(info.security.code, info.marketState) for info in reply.s2c.marketInfoList] == [
            ("00700", 3),
            ("00005", 3),
        ]
        with pytest.raises(RefusedError, match="401 codes"):
            client.call(ProtoId.QOT_GET_MARKET_STATE, body(*[TENCENT] * 401))


def test_rate_limits_are_those_published(start: StartSimulator) -> None:
    """The eleventh GetMarketState within 30 s is refused, over all connections."""
    sim = start(*QUIET)
    body = pb.Qot_GetMarketState.Request(
        c2s=pb.Qot_GetMarketState.C2S(securityList=_securities(TENCENT))
    ).SerializeToString()
    with RawClient(sim.port) as one, RawClient(sim.port) as other:
        for _ in range(10):
            one.call(ProtoId.QOT_GET_MARKET_STATE, body)
        with pytest.raises(RefusedError, match="too frequent: at most 10 calls in 30 s"):
            other.call(ProtoId.QOT_GET_MARKET_STATE, body)


def test_a_connection_without_keep_alive_is_cut(start: StartSimulator) -> None:
    """Three intervals without KeepAlive end a connection; one with KeepAlive stays; the ledger tells who was cut."""
    sim = start(*QUIET, "--keep-alive", "1")
    with RawClient(sim.port) as quiet, RawClient(sim.port) as alive:
        while not quiet.eof:
            alive.call(ProtoId.KEEP_ALIVE, messages.keep_alive(1))
            quiet.hears_nothing(0.2)
        alive.call(ProtoId.KEEP_ALIVE, messages.keep_alive(1))
        assert [line["conn"] for line in _fault_lines(sim, "keep_alive_missed")] == [quiet.opened.conn_id]


def test_a_client_that_does_not_read_loses_its_connection(start: StartSimulator) -> None:
    """Above the write limit a connection is cut, and the ledger says so; others go on."""
    sim = start(*QUIET, "--write-limit-mb", "1")
    with RawClient(sim.port, small_buffer=True) as stuck, RawClient(sim.port) as reads:
        stuck.subscribe([TENCENT])
        reads.subscribe([HSBC])
        for _ in range(20):
            sim.command("burst", ticks=10_000, symbols=[TENCENT], paced=False)
            if sim.stats()["connections"] == 1:
                break
        (line,) = _fault_lines(sim, "write_limit")
        assert line["conn"] == stuck.opened.conn_id
        assert line["n"] > 1024 * 1024
        sim.command("tick", symbol=HSBC)
        reads.until(lambda: len(reads.ticks) == 1)


def test_at_most_128_connections(start: StartSimulator) -> None:
    """The 129th connection is closed at once."""
    sim = start(*QUIET)
    clients = [RawClient(sim.port) for _ in range(128)]
    try:
        with pytest.raises(ConnectionError):
            RawClient(sim.port)
        assert len(_fault_lines(sim, "connections_max")) == 1
    finally:
        for client in clients:
            client.close()


# ---- the market


def test_a_simulated_day_is_made_once_and_whole(start: StartSimulator) -> None:
    """At high speed a day's ticks all come, the state follows the hours, and after the end it says it is done."""
    options = ("--date", "20261120", "--speed", "5000", "--ticks-per-day", "5000", "--symbols", "3", "--hold")
    sim = start(*options)
    assert sim.stats()["made"] == 0
    with RawClient(sim.port) as client:
        client.subscribe([TENCENT, "HK.09988", "HK.03690"])
        sim.wait_for(lambda stats: stats["done"])
        made = sim.ledger().ticks
        assert len(made) == 5000
        client.until(lambda: len(client.ticks) == 5000)
        assert {(tick.symbol, tick.seq) for tick in client.ticks} == set(made)
        assert sim.stats()["market_state"] == 6
        assert sim.ledger().days == [{"k": "day", "date": "2026-11-20", "symbols": 3, "seed": 0}]


def test_a_day_can_begin_later(start: StartSimulator) -> None:
    """--start sets the simulated clock, in Hong Kong time."""
    sim = start("--date", "20261120", "--start", "14:30", "--symbols", "3", "--no-hold")
    assert sim.stats()["sim_time"].startswith("2026-11-20 14:30:0")
    assert sim.stats()["market_state"] == 5


def test_hold_makes_nothing_before_somebody_listens(start: StartSimulator) -> None:
    """With --hold, the first registration (or `resume`) starts the market, by the wall clock of then."""
    sim = start(*FLAT, "--hold")
    with RawClient(sim.port) as client:
        client.call(ProtoId.QOT_SUB, _sub((TENCENT,)))
        assert sim.stats()["made"] == 0
        assert sim.stats()["paused"]
        began_ms = time.time() * 1000
        client.subscribe([TENCENT])
        client.until(lambda: bool(client.ticks))
        assert client.ticks[0].ts_ms > began_ms - 1000


def test_a_pause_is_not_made_up_for(start: StartSimulator) -> None:
    """After `pause` and `resume` the ticks go on with the time of now, and no backlog comes."""
    sim = start("--now", "--rate", "1000", "--symbols", "3")
    with RawClient(sim.port) as client:
        client.subscribe([TENCENT])
        client.until(lambda: bool(client.ticks))
        made = sim.command("pause")["made"]
        paused_at = time.monotonic()
        # A pause must last to be seen; 2 s would be 2000 ticks.
        while time.monotonic() < paused_at + 2:
            assert sim.stats()["made"] == made
        sim.command("resume")
        assert sim.wait_for(lambda stats: stats["made"] > made)["made"] - made < 1500


def test_a_simulated_day_stands_still_in_a_pause(start: StartSimulator) -> None:
    """`pause` stops the simulated clock, and `resume` lets it go on from there."""
    sim = start("--date", "20261120", "--start", "10:00", "--speed", "1000", "--symbols", "3", "--no-hold")
    sim.wait_for(lambda stats: stats["made"] > 0)
    sim.command("pause")
    told_at = time.monotonic()
    sim.wait_for(lambda _: time.monotonic() > told_at + 0.1)  # it is published before it takes effect
    before = sim.stats()["sim_ts_ms"]
    paused_at = time.monotonic()
    while time.monotonic() < paused_at + 0.2:  # 10 steps, 200 simulated seconds
        assert sim.stats()["sim_ts_ms"] == before
    sim.command("resume")
    sim.wait_for(lambda stats: stats["sim_ts_ms"] > before)


# ---- control


def test_tick_makes_the_tick_that_was_asked_for(start: StartSimulator) -> None:
    """`tick` makes one tick now, with a price and a volume of one's choice."""
    sim = start(*QUIET)
    with RawClient(sim.port) as client:
        client.subscribe([TENCENT])
        answer = sim.command("tick", symbol=TENCENT, price=400.2, volume=300)
        client.until(lambda: bool(client.ticks))
        (tick,) = client.ticks
        assert (tick.seq, tick.price, tick.volume) == (answer["seq"], 400.2, 300)
        assert tick.turnover == pytest.approx(120_060.0)


def test_a_burst_reaches_a_slow_reader_whole(start: StartSimulator) -> None:
    """A burst is written as fast as the client reads, beyond the write limit, and nothing of it is lost."""
    sim = start(*QUIET, "--write-limit-mb", "2")
    ticks = 100_000  # some 14 MB: far more than the limit and what the system buffers
    with RawClient(sim.port, small_buffer=True) as client:
        client.subscribe([TENCENT])
        with (
            socket.create_connection(("127.0.0.1", sim.control_port), timeout=60) as control,
            control.makefile() as answers,
        ):
            control.sendall(f'{{"cmd":"burst","ticks":{ticks},"symbols":["{TENCENT}"]}}\n'.encode())
            client.until(lambda: len(client.ticks) == ticks, timeout_sec=60)
            assert json.loads(answers.readline())["n"] == ticks
        assert {(tick.symbol, tick.seq) for tick in client.ticks} == set(sim.ledger().ticks)
        assert sim.ledger().faults == []


@pytest.mark.parametrize(
    ("line", "error"),
    [
        (b"{", "not a line of JSON"),
        (b"[]", "a command is a JSON object"),
        (b"\xff\xfe", "not a line of JSON"),
        (b"{}", "unknown cmd None"),
        (b'{"cmd":["cut"]}', "unknown cmd"),
        (b'{"cmd":"explode"}', "unknown cmd 'explode'"),
        (b'{"cmd":"freeze"}', "sec is missing"),
        (b'{"cmd":"freeze","sec":"x"}', "sec is 'x', expected a number"),
        (b'{"cmd":"freeze","sec":-1}', "sec is -1"),
        (b'{"cmd":"freeze","sec":1,"seconds":1}', "unknown field 'seconds'"),
        (b'{"cmd":"burst","ticks":1.5}', "expected a whole number"),
        (b'{"cmd":"burst","ticks":true}', "expected a whole number"),
        (b'{"cmd":"burst","ticks":1,"symbols":["HK.1"]}', "which is no symbol"),
        (b'{"cmd":"tick","symbol":"HK.1"}', "which is no symbol"),
        (b'{"cmd":"cut","mid_frame":1}', "expected true or false"),
    ],
)
def test_a_bad_command_is_answered_and_harms_nothing(flat: SimulatorProcess, line: bytes, error: str) -> None:
    """Whatever comes to the control port, it answers what is wrong and lives on."""
    answer = flat.send_line(line)
    assert not answer["ok"]
    assert error in answer["error"]
    assert flat.stats()["faults"] == {}


def test_a_line_that_is_too_long_is_answered(flat: SimulatorProcess) -> None:
    """A line of more than 64 KiB is refused; other connections are not touched."""
    with socket.create_connection(("127.0.0.1", flat.control_port), timeout=10) as control:
        control.sendall(b'{"cmd":"' + b"x" * 100_000 + b'"}\n')
        with control.makefile() as lines:
            assert "more than 65536 bytes" in json.loads(lines.readline())["error"]
    assert flat.stats()["ok"]


@pytest.mark.parametrize("fault", ["cut", "garbage", "bad_hash", "oversize"])
def test_a_fault_of_connections_needs_one(start: StartSimulator, fault: str) -> None:
    """A fault that finds no connection is refused and leaves no line in the ledger."""
    sim = start(*QUIET)
    answer = sim.try_command(fault)
    assert (answer["ok"], answer["error"]) == (False, "no open connection to do this to")
    assert sim.ledger().faults == []


@pytest.mark.parametrize("how", ["stop", "SIGTERM", "SIGINT"])
def test_it_stops_cleanly(start: StartSimulator, how: str) -> None:
    """`stop`, SIGTERM and SIGINT end it with exit 0, a whole ledger and closed connections."""
    sim = start(*FLAT, "--hold")  # no trade may be made before somebody hears of it
    with RawClient(sim.port) as client:
        client.subscribe([TENCENT])
        client.until(lambda: len(client.ticks) >= 10)
        if how == "stop":
            sim.command("stop")
        else:
            os.kill(sim.pid, signal.Signals[how])
        assert client.until_eof() == 0
        assert sim.wait() == 0
        made = sim.ledger().ticks
        assert {(tick.symbol, tick.seq) for tick in client.ticks} == {key for key in made if key[0] == TENCENT}
        begun, record, line = sim.stderr_path.read_text().splitlines()  # and no word of a fault
        assert begun == f"Simulating 200 ticks/s with the time of now on 127.0.0.1:{sim.port}, until Ctrl-C."
        assert record == "Record it in another terminal:"
        assert line == f"  FUTU_PORT={sim.port} FUTU_SYMBOLS=HK.00700,HK.09988,HK.03690 hk-tick-collector run"


@pytest.mark.parametrize(
    ("args", "error"),
    [
        ((), "one of --date YYYYMMDD, --now and --journal DIR is needed"),
        (("--now", "--date", "20261120"), "and not two of them"),
        (("--date", "2026-11"), "--date '2026-11', expected today, yesterday, or a date such as 20261120"),
        (("--date", "2026-11-20", "--clock", "/nowhere/x"), "can't write the clock /nowhere/x: No such file"),
        (("--now", "--clock", "x"), "--clock is for a simulated day"),
        (("--date", "2026-11-21"), "2026-11-21 is no trade date in Hong Kong"),
        (("--date", "20261120", "--start", "9"), "--start is '9', expected HH:MM"),
        (("--now", "--start", "09:00"), "--start is for a simulated day"),
        (("--now", "--symbols", "US.AAPL"), "--symbols: 'US.AAPL' is of another market"),
        (("--now", "--symbols", "0"), "0 symbols asked for"),
        (("--now", "--totals-without", "ODD"), "--totals-without has 'ODD', expected types of ticks"),
        (("--journal", "/nowhere", "--time-form", "colon"), "--time-form is for a made market"),
        (("--now", "--rsa-key", "/nowhere"), "can't read --rsa-key /nowhere: No such file"),
        (("--now", "--ledger", "/nowhere/x"), "can't write the ledger /nowhere/x: No such file"),
    ],
)
def test_bad_options_are_one_line_and_exit_2(tmp_path: Path, args: tuple[str, ...], error: str) -> None:
    """What is wrong is said in one line, and nothing was started."""
    ended = subprocess.run(
        [*COMMAND, "--port", "0", *args], cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False
    )
    assert ended.returncode == 2
    assert ended.stdout == ""
    assert error in ended.stderr
    assert ended.stderr.count("\n") == 1


def test_a_taken_port_is_one_line_and_exit_2(start: StartSimulator, tmp_path: Path) -> None:
    """A port that somebody has is a mistake of the operator's, not a traceback."""
    taken = start(*QUIET)
    ended = subprocess.run(
        [*COMMAND, "--now", "--port", str(taken.port)],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ended.returncode == 2
    assert f"can't listen on 127.0.0.1 port {taken.port}" in ended.stderr
    assert ended.stderr.count("\n") == 1


def test_a_day_does_not_go_into_a_ledger_twice(start: StartSimulator, tmp_path: Path) -> None:
    """The same day again would make the same sequences again: a ledger that is there is refused."""
    first = start("--date", "20261120", "--symbols", "1")
    first.stop()
    again = SimulatorProcess(tmp_path, "--date", "20261120", "--ledger", str(first.ledger_path), name="again")
    with pytest.raises(AssertionError, match="has a run already: delete it, or name another one with --ledger"):
        again.start()


# ---- faults of a connection


def test_cut_ends_every_connection(start: StartSimulator) -> None:
    """`cut` closes all connections between frames; a new one can be made at once."""
    sim = start(*QUIET)
    with RawClient(sim.port) as one, RawClient(sim.port) as other:
        assert sim.command("cut")["n"] == 2
        assert one.until_eof() == 0
        assert other.until_eof() == 0
        assert [line["n"] for line in _fault_lines(sim, "cut")] == [2]
        with RawClient(sim.port) as again:
            again.call(ProtoId.GET_GLOBAL_STATE, messages.get_global_state())


@pytest.mark.parametrize("at", [None, 10, 44, 60])
def test_cut_can_be_inside_a_frame(start: StartSimulator, at: int | None) -> None:
    """With `mid_frame`, the stream ends after some bytes of a push, whose tick is in the cache."""
    sim = start(*QUIET)
    with RawClient(sim.port) as client:
        client.subscribe([TENCENT])
        sim.command("cut", mid_frame=True, **({} if at is None else {"at": at}))
        pending = client.until_eof()
        assert pending == at if at is not None else pending > frames.HEADER_SIZE
        assert client.ticks == []
    ((symbol, seq),) = sim.ledger().ticks
    with RawClient(sim.port) as client:
        client.subscribe([symbol])
        assert [tick.seq for tick in client.get_ticker(symbol)] == [seq]


def test_cut_inside_a_frame_works_without_subscriptions(start: StartSimulator) -> None:
    """Where nobody gets ticks, a notice is cut instead."""
    sim = start(*QUIET)
    with RawClient(sim.port) as client:
        sim.command("cut", mid_frame=True)
        assert client.until_eof() > 0
    assert sim.stats()["made"] == 0


def test_garbage_breaks_the_stream(start: StartSimulator) -> None:
    """Random bytes between two frames are no frame, and what came before them was whole."""
    sim = start(*QUIET)
    with RawClient(sim.port) as client:
        client.subscribe([TENCENT])
        sim.command("tick", symbol=TENCENT)
        client.until(lambda: len(client.ticks) == 1)
        assert sim.command("garbage", bytes=100) == {"ok": True, "n": 1, "bytes": 100}
        with pytest.raises(RemoteProtocolError, match="a frame begins with"):
            client.until_eof()


@pytest.mark.parametrize("encrypted", [False, True])
def test_bad_hash_breaks_the_stream(start: StartSimulator, rsa_pem: Path, *, encrypted: bool) -> None:
    """A push with a wrong SHA-1 is refused by the client; its tick is in the cache."""
    sim = start(*QUIET, *(("--rsa-key", str(rsa_pem)) if encrypted else ()))
    key = RsaKey(rsa_pem.read_bytes()) if encrypted else None
    algo = PacketEncAlgo.AES_CBC if encrypted else PacketEncAlgo.NONE
    with RawClient(sim.port, rsa=key, algo=algo) as client:
        client.subscribe([TENCENT])
        assert sim.command("bad_hash")["n"] == 1
        with pytest.raises(RemoteProtocolError, match=r"protoID 3011.*SHA-1 does not match"):
            client.until_eof()
    with RawClient(sim.port, rsa=key, algo=algo) as client:
        client.subscribe([TENCENT])
        assert len(client.get_ticker(TENCENT)) == 1


def test_oversize_breaks_the_stream(start: StartSimulator) -> None:
    """A header that claims 2 GiB is refused as soon as it is read."""
    sim = start(*QUIET)
    with RawClient(sim.port) as client:
        assert sim.command("oversize")["n"] == 1
        with pytest.raises(RemoteProtocolError, match="claims a body of 2147483647 bytes"):
            client.until_eof()


def test_silent_answers_nobody(start: StartSimulator) -> None:
    """While silent, connecting works, and neither it nor an open connection is answered or pushed to; then it is."""
    sim = start(*QUIET)
    with RawClient(sim.port) as client:
        client.subscribe([TENCENT])
        sim.command("silent", sec=1.5)
        with socket.create_connection(("127.0.0.1", sim.port), timeout=10) as fresh:
            fresh.sendall(ClientConnection("raw").open())
            fresh.settimeout(0.2)
            with pytest.raises(TimeoutError):
                fresh.recv(1)
        client.send(ProtoId.GET_GLOBAL_STATE, messages.get_global_state())
        sim.command("tick", symbol=TENCENT)
        assert client.hears_nothing(0.2)
        assert "silent" in sim.stats()["faults"]
        sim.wait_for(lambda stats: not stats["faults"])
        assert len(client.get_ticker(TENCENT)) == 1
        assert client.ticks == []
        assert len(_fault_lines(sim, "silent_over")) == 1


def test_freeze_holds_everything_and_loses_nothing(start: StartSimulator) -> None:
    """While frozen, not a byte comes and the connection stays; thawed, all pushes and answers come in order."""
    sim = start(*QUIET)
    with RawClient(sim.port) as client:
        client.subscribe([TENCENT])
        assert sim.command("freeze", sec=1)["n"] == 1
        serial_no = client.send(ProtoId.QOT_GET_TICKER, messages.get_ticker(TENCENT, 1))
        made = [sim.command("tick", symbol=TENCENT)["seq"] for _ in range(20)]
        assert client.hears_nothing(0.3)
        assert sim.stats()["backlog_bytes"] > 20 * frames.HEADER_SIZE
        assert sim.stats()["get_ticker"] == 0  # nothing is read either
        client.until(lambda: len(client.ticks) == 20 and serial_no in client._replies)
        assert [tick.seq for tick in client.ticks] == made
        sim.wait_for(lambda stats: not stats["faults"])


def test_a_connection_made_while_frozen_is_answered_after(start: StartSimulator) -> None:
    """Connecting to a frozen OpenD works, as the system does that; InitConnect waits for the thaw."""
    sim = start(*QUIET)
    sim.command("freeze", sec=0.7)
    began = time.monotonic()
    with RawClient(sim.port):
        assert time.monotonic() - began > 0.4


def test_slow_throttles(start: StartSimulator) -> None:
    """While slow, a connection gets its bytes at about the rate and in order; afterwards at once."""
    sim = start(*QUIET)
    with RawClient(sim.port) as client:
        client.subscribe([TENCENT])
        assert sim.command("slow", bytes_per_sec=10_000, sec=2)["n"] == 1
        began = time.monotonic()
        sim.command("burst", ticks=1000, symbols=[TENCENT], paced=False)
        client.until(lambda: len(client.ticks) >= 50)
        assert time.monotonic() - began > 0.3  # 50 frames are over 6 kB
        assert len(client.ticks) < 500
        client.until(lambda: len(client.ticks) == 1000)
        assert time.monotonic() - began > 1.5
        assert [tick.seq for tick in client.ticks] == sorted(tick.seq for tick in client.ticks)


# ---- faults of the stream of pushes


def test_lose_keeps_ticks_from_being_pushed(start: StartSimulator) -> None:
    """The next n ticks are in the cache and in the ledger as lost, and were never pushed."""
    sim = start(*QUIET)
    with RawClient(sim.port) as client:
        client.subscribe([TENCENT])
        assert sim.command("lose", n=5, wait=False) == {"ok": True, "n": 0, "armed": 5}
        sim.command("burst", ticks=5, symbols=[HSBC])  # nobody would get these: they don't count
        made = [sim.command("tick", symbol=TENCENT)["seq"] for _ in range(8)]
        client.until(lambda: len(client.ticks) == 3)
        assert [tick.seq for tick in client.ticks] == made[5:]
        assert sim.ledger().lost == {(TENCENT, seq) for seq in made[:5]}
        assert [tick.seq for tick in client.get_ticker(TENCENT)] == made
        assert [line["n"] for line in _fault_lines(sim, "lose")] == [5]


def test_withhold_keeps_trades_from_opend(start: StartSimulator) -> None:
    """Of the symbols and types asked for: made and in the totals, but never pushed, and not in the cache."""
    sim = start(*QUIET)
    with RawClient(sim.port) as client:
        client.subscribe([TENCENT, HSBC])
        armed = sim.command("withhold", n=2, symbols=[TENCENT], types=["ODD_LOT"], wait=False)
        assert armed == {"ok": True, "n": 0, "armed": 2}
        made = [
            sim.command("tick", symbol=symbol, type=tick_type)["seq"]
            for symbol, tick_type in [
                (HSBC, "ODD_LOT"), (TENCENT, "ODD_LOT"), (TENCENT, "AUTO_MATCH"), (TENCENT, "ODD_LOT"),
                (TENCENT, "ODD_LOT"),
            ]
        ]  # fmt: skip
        heard = [made[0], made[2], made[4]]
        client.until(lambda: len(client.ticks) == 3)
        assert [tick.seq for tick in client.ticks] == heard
        assert [tick.seq for tick in client.get_ticker(TENCENT)] == heard[1:]
        (tencent,) = _snapshots(client, TENCENT)
    ledger = sim.ledger()
    assert ledger.unreachable == {(TENCENT, made[1]): "withheld", (TENCENT, made[3]): "withheld"}
    assert [line["n"] for line in _fault_lines(sim, "withhold")] == [2]
    assert tencent.volume == sum(tick.volume for (symbol, _), tick in ledger.ticks.items() if symbol == TENCENT)


def test_what_is_withheld_in_an_outage_is_not_made_good(start: StartSimulator) -> None:
    """OpenD makes good what it missed, but for the trade that nobody ever tells it."""
    sim = start(*QUIET)
    with RawClient(sim.port) as client:
        client.subscribe([TENCENT])
        assert sim.command("outage", sec=0.3)["n"] == 1
        sim.command("burst", ticks=5, symbols=[TENCENT])
        sim.command("withhold", n=1, wait=False)
        sim.command("burst", ticks=5, symbols=[TENCENT])
        client.until(lambda: len(client.ticks) == 9)
    assert list(sim.ledger().unreachable.values()) == ["withheld"]


def test_a_smaller_quota_takes_nothing_away(start: StartSimulator) -> None:
    """What is subscribed stays; for more there is no room until the quota is there again."""
    sim = start(*QUIET)
    with RawClient(sim.port) as client:
        client.subscribe([TENCENT])
        sim.command("quota", n=1)
        with pytest.raises(RefusedError, match="quota"):
            client.subscribe([HSBC])
        sim.command("quota", n=2)
        client.subscribe([HSBC])
        sim.command("burst", ticks=20, symbols=[TENCENT, HSBC])
        client.until(lambda: len(client.ticks) == 20)


def test_duplicate_sends_pushes_twice(start: StartSimulator) -> None:
    """The next n pushes come twice, one after the other."""
    sim = start(*FLAT)
    with RawClient(sim.port) as client:
        client.subscribe([TENCENT])
        assert sim.command("duplicate", n=5)["n"] == 5
        sim.command("pause")
        client.call(ProtoId.GET_GLOBAL_STATE, messages.get_global_state())
        sequences = [tick.seq for tick in client.ticks]
        assert len(sequences) - len(set(sequences)) == 5
        assert sequences == sorted(sequences)


def test_reorder_shuffles_pushes(start: StartSimulator) -> None:
    """The next n pushes come in another order; none is missing or twice."""
    sim = start(*FLAT)
    with RawClient(sim.port) as client:
        client.subscribe([TENCENT])
        assert sim.command("reorder", n=10)["n"] == 10
        sim.command("pause")
        client.call(ProtoId.GET_GLOBAL_STATE, messages.get_global_state())
        sequences = [tick.seq for tick in client.ticks]
        assert sequences != sorted(sequences)
        assert set(sequences) <= {seq for _, seq in sim.ledger().ticks}
        assert len(sequences) == len(set(sequences)) >= 10


def test_an_armed_fault_that_does_not_come_about_is_refused(start: StartSimulator) -> None:
    """Without pushes an armed fault times out, is disarmed, and what it had collected is sent."""
    sim = start(*QUIET)
    assert "only 0 of 3" in sim.try_command("duplicate", n=3, timeout_sec=0.1)["error"]
    with RawClient(sim.port) as client:
        client.subscribe([TENCENT])
        sim.command("reorder", n=3, wait=False, timeout_sec=0.3)
        assert "armed already" in sim.try_command("reorder", n=3)["error"]
        made = [sim.command("tick", symbol=TENCENT)["seq"] for _ in range(2)]
        client.until(lambda: len(client.ticks) == 2)
        assert [tick.seq for tick in client.ticks] == made
    assert sim.ledger().faults == []


def test_revise_sends_other_content_with_the_same_sequence(start: StartSimulator) -> None:
    """Pushed ticks come again with other price, volume and turnover, which the ledger holds as revisions."""
    sim = start(*QUIET)
    with RawClient(sim.port) as client:
        client.subscribe([TENCENT])
        assert "only 0 recent ones" in sim.try_command("revise", n=1)["error"]
        sim.command("burst", ticks=10, symbols=[TENCENT])
        assert sim.command("revise", n=3)["n"] == 3
        client.until(lambda: len(client.ticks) == 13)
        before = {tick.seq: tick for tick in client.ticks[:10]}
        after = client.ticks[10:]
        assert len({tick.seq for tick in after}) == 3
        for tick in after:
            was = before[tick.seq]
            assert tick.ts_ms == was.ts_ms
            assert tick.price > was.price
            assert tick.volume == was.volume + 100
        told = [(line.symbol, line.seq, line.price, line.volume, line.turnover) for line in sim.ledger().revisions]
        assert told == [(tick.symbol, tick.seq, tick.price, tick.volume, tick.turnover) for tick in after]


# ---- faults of OpenD itself


def test_refuse_closes_the_port_and_opens_it_again(start: StartSimulator) -> None:
    """Connecting is refused for a while; then the same port works and the cache has what was made meanwhile."""
    sim = start(*QUIET)
    with RawClient(sim.port) as client:
        assert sim.command("refuse", sec=1)["n"] == 1
        client.until_eof()
    with pytest.raises(ConnectionRefusedError):
        RawClient(sim.port)
    seq = sim.command("tick", symbol=TENCENT)["seq"]
    sim.wait_for(lambda stats: stats["listening"])
    with RawClient(sim.port) as client:
        client.subscribe([TENCENT])
        assert [tick.seq for tick in client.get_ticker(TENCENT)] == [seq]
    assert sim.ledger().unreachable == {}


def test_refuse_without_cache_makes_ticks_unreachable(start: StartSimulator) -> None:
    """With keep_cache false, OpenD is down: what is made meanwhile never reaches it, and the ledger says so."""
    sim = start(*QUIET)
    before = sim.command("tick", symbol=TENCENT)["seq"]
    sim.command("refuse", sec=0.5, keep_cache=False)
    missed = sim.command("tick", symbol=TENCENT)["seq"]
    with socket.socket() as other, pytest.raises(OSError, match="in use"):
        other.bind(("127.0.0.1", sim.port))  # the port stays OpenD's
    sim.wait_for(lambda stats: stats["listening"])
    with RawClient(sim.port) as client:
        client.subscribe([TENCENT])
        assert [tick.seq for tick in client.get_ticker(TENCENT)] == [before]
    assert sim.ledger().unreachable == {(TENCENT, missed): "down"}


def test_restart_forgets(start: StartSimulator) -> None:
    """After a restart the cache is empty; what nobody was pushed, and what was made meanwhile, is unreachable."""
    sim = start(*QUIET)
    unheard = sim.command("tick", symbol=TENCENT)["seq"]
    with RawClient(sim.port) as client:
        client.subscribe([TENCENT])
        heard = sim.command("tick", symbol=TENCENT)["seq"]
        answer = sim.command("restart", sec=0.5)
        assert (answer["n"], answer["forgotten"]) == (1, 1)
        assert client.until_eof() == 0
        assert [tick.seq for tick in client.ticks] == [heard]
    meanwhile = sim.command("tick", symbol=TENCENT)["seq"]
    with pytest.raises(ConnectionRefusedError):
        RawClient(sim.port)
    sim.wait_for(lambda stats: stats["listening"])
    with RawClient(sim.port) as client:
        client.subscribe([TENCENT])
        assert client.get_ticker(TENCENT) == []
    assert sim.ledger().unreachable == {(TENCENT, unheard): "restart", (TENCENT, meanwhile): "restart"}


def test_outage_makes_good_the_last_fifty(start: StartSimulator) -> None:
    """An outage is told; afterwards the last 50 ticks a symbol come late, and the others are unreachable."""
    sim = start(*QUIET)
    with RawClient(sim.port) as client:
        client.subscribe([TENCENT, HSBC])
        assert sim.command("outage", sec=1)["n"] == 1
        sim.command("burst", ticks=80, symbols=[TENCENT])
        sim.command("burst", ticks=10, symbols=[HSBC])
        client.until(lambda: len(client.notices) == 1)
        assert client.notices[0].qot_logined is False
        state = client.call(ProtoId.GET_GLOBAL_STATE, messages.get_global_state())
        assert not messages.global_state(state.SerializeToString()).qot_logined
        assert client.get_ticker(TENCENT) == []
        client.until(lambda: len(client.ticks) == 60)
        assert [notice.qot_logined for notice in client.notices] == [False, True]
        assert {tick.push_data_type for tick in client.ticks} == {MADE_GOOD}
        ledger = sim.ledger()
        made = sorted(seq for symbol, seq in ledger.ticks if symbol == TENCENT)
        assert [tick.seq for tick in client.ticks if tick.symbol == TENCENT] == made[-50:]
        assert ledger.unreachable == {(TENCENT, seq): "upstream" for seq in made[:30]}
        assert [tick.seq for tick in client.get_ticker(TENCENT)] == made[-50:]
        assert [line["n"] for line in _fault_lines(sim, "outage_over")] == [60]


def test_an_outage_that_never_ends_leaves_all_unreachable(start: StartSimulator) -> None:
    """Stopped in an outage, the simulator owns up to every tick that OpenD never heard."""
    sim = start(*QUIET)
    sim.command("outage", sec=600)
    seq = sim.command("tick", symbol=TENCENT)["seq"]
    sim.command("stop")
    assert sim.wait() == 0
    assert sim.ledger().unreachable == {(TENCENT, seq): "upstream"}


def test_kick_makes_data_stale_until_the_right_is_back(start: StartSimulator) -> None:
    """A kick is told; meanwhile no pushes and a stale GetTicker; afterwards GetTicker tells all of it."""
    sim = start(*QUIET)
    with RawClient(sim.port) as client:
        client.subscribe([TENCENT])
        before = sim.command("tick", symbol=TENCENT)["seq"]
        client.until(lambda: len(client.ticks) == 1)
        assert sim.command("kick", sec=1)["n"] == 1
        client.until(lambda: len(client.notices) == 1)
        assert client.notices[0].gtw_event == GtwEvent.KICKED_OUT
        meanwhile = sim.command("tick", symbol=TENCENT)["seq"]
        assert [tick.seq for tick in client.get_ticker(TENCENT)] == [before]
        client.until(lambda: len(client.notices) == 2)
        assert client.notices[1].qot_logined is True
        assert [tick.seq for tick in client.get_ticker(TENCENT)] == [before, meanwhile]
        assert len(client.ticks) == 1
        after = sim.command("tick", symbol=TENCENT)["seq"]
        client.until(lambda: len(client.ticks) == 2)
        assert client.ticks[-1].seq == after
    assert sim.ledger().unreachable == {}


def test_faults_that_exclude_each_other_are_refused(start: StartSimulator) -> None:
    """While the port is refused it can't be restarted; what does not collide may overlap."""
    sim = start(*QUIET)
    sim.command("refuse", sec=30)
    assert "restart can't be while refuse is" in sim.try_command("restart", sec=1)["error"]
    assert "outage can't be while refuse is" in sim.try_command("outage", sec=1)["error"]
    sim.command("freeze", sec=30)
    assert "slow can't be while freeze is" in sim.try_command("slow", sec=1, bytes_per_sec=100)["error"]
    assert set(sim.stats()["faults"]) == {"refuse", "freeze"}
