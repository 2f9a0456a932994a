"""The session: encryption, symbols that can't be had (yet), plates and files; and an OpenD that talks nonsense."""

from __future__ import annotations

import socket
import threading
from typing import TYPE_CHECKING

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from support.bench import faults_of
from support.raw_client import RawClient
from support.recorder_process import RecorderProcess, until

from hk_tick_collector.opend import frames
from hk_tick_collector.opend import opend_pb2 as pb
from hk_tick_collector.opend.codes import security_of
from hk_tick_collector.opend.numbers import ProtoId
from hk_tick_collector.simulator.universe import universe

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from support.bench import Bench

pytestmark = pytest.mark.faults

BASIC = 1  # Qot_Common.SubType: a quota of its own


@pytest.fixture(scope="module")
def rsa_pem(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A key as OpenD wants it: PKCS#1, 1024 bit."""
    path = tmp_path_factory.mktemp("rsa") / "key.pem"
    key = rsa.generate_private_key(65537, 1024)  # noqa: S505 - the protocol's size
    path.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption()))
    return path


@pytest.mark.parametrize("encryption", ["none", "ftaes_ecb", "aes_ecb", "aes_cbc"])
def test_an_encrypted_session_survives_a_cut_in_a_frame(bench: Bench, rsa_pem: Path, encryption: str) -> None:
    """With a key on both sides, each packet encryption records, is cut in the middle of a frame, and goes on."""
    sim = bench.simulate("--rsa-key", str(rsa_pem))
    recorder = bench.record(sim, FUTU_RSA_KEY_FILE=rsa_pem, FUTU_ENCRYPTION=encryption)
    (line,) = recorder.wait_for("futu_connected")
    assert line.fields["encryption"] == encryption
    recorder.wait_for("backfill_done")
    sim.wait_for(lambda stats: stats["pushes"] > 50)
    assert sim.command("cut", mid_frame=True)["n"] == 1
    recorder.wait_for("backfill_done", 2)
    (ended,) = recorder.log_lines("futu_disconnected")
    assert "in the middle of a frame" in ended.fields["reason"]
    bench.settle_whole(sim, recorder)
    assert sim.stats()["protocol_errors"] == 0


def test_bad_codes_are_named_and_the_others_run(bench: Bench) -> None:
    """Three codes that OpenD does not know, among 250, are found one by one and told; all others are recorded."""
    sim = bench.simulate(symbols=250, rate=500)
    bad = ["HK.99991", "HK.99992", "HK.99993"]
    good = universe(250, 0)
    assert not set(bad) & set(good)
    symbols = [bad[0], *good[:120], bad[1], *good[120:], bad[2]]
    recorder = bench.record(sim, *symbols)
    recorder.wait_for("futu_subscribed", symbols="250", refused="3", left_out="0")
    recorder.wait_for("backfill_done")
    refused = recorder.log_lines("symbol_refused")
    assert {line.fields["symbol"] for line in refused} == set(bad)
    assert all("Unknown stock" in line.fields["reason"] for line in refused)
    sim.wait_for(lambda stats: stats["made"] > 1500)
    bench.settle_whole(sim, recorder)
    assert not recorder.log_lines("futu_disconnected")
    assert recorder.state()["session"]["refused"].keys() == set(bad)


def test_a_short_quota_is_told_by_name_and_used_when_it_comes_free(bench: Bench) -> None:
    """Symbols without quota are named and left out, the others recorded; when others give quota back, all are."""
    sim = bench.simulate("--quota", "10", symbols=10, rate=100)
    symbols = universe(10, 0)
    with RawClient(sim.port) as other:
        securities = [pb.Security(market=market, code=code) for market, code in map(security_of, symbols[:3])]
        c2s = pb.Qot_Sub.C2S(securityList=securities, subTypeList=[BASIC], isSubOrUnSub=True)
        other.call(ProtoId.QOT_SUB, pb.Qot_Sub.Request(c2s=c2s).SerializeToString())
        recorder = bench.record(sim, *symbols)
        (short,) = recorder.wait_for("subscription_quota_short")
        assert short.fields["symbols"] == ",".join(symbols[7:])
        assert (short.fields["used"], short.fields["remaining"]) == ("3", "7")
        recorder.wait_for("futu_subscribed", symbols="7", left_out="3")
        until(lambda: len({row.symbol for row in recorder.rows()}) == 7, "the seven are recorded")
    recorder.wait_for("futu_subscribed", symbols="10", left_out="0")
    sim.wait_for(lambda stats: stats["subscribed"] == 10)
    bench.settle_whole(sim, recorder)
    assert len({row.symbol for row in recorder.rows()}) == 10
    assert not recorder.log_lines("futu_disconnected")


def test_the_quota_of_a_dead_connection_comes_free_in_time(bench: Bench) -> None:
    """Quota that OpenD still counts for the connection before is waited for; what went by meanwhile is fetched."""
    sim = bench.simulate("--quota", "5", "--quota-linger", "3", rate=100)
    recorder = bench.record(sim)
    recorder.wait_for("backfill_done")
    assert sim.command("cut")["n"] == 1
    recorder.wait_for("subscription_quota_short")
    recorder.wait_for("futu_subscribed", 2, symbols="5")
    bench.settle_whole(sim, recorder)


def test_the_members_of_plates_are_recorded_also_after_many_reconnects(bench: Bench) -> None:
    """Plates stand for their members; OpenD's limit of ten plate calls in 30 s does not cost one of them later on."""
    sim = bench.simulate(symbols=60, rate=200)
    recorder = bench.record(sim, "plate:HK.BK1002", "plate:HK.BK1003", "plate:HK.BK1001", "plate:HK.BK1004")
    for cuts in range(4):
        recorder.wait_for("futu_subscribed", cuts + 1, symbols="60")
        recorder.wait_for("backfill_done", cuts + 1)
        if cuts < 3:
            assert sim.command("cut")["n"] == 1
    assert {line.fields["plate"]: line.fields["symbols"] for line in recorder.log_lines("plate_resolved")} == {
        "HK.BK1001": "50",
        "HK.BK1002": "30",
        "HK.BK1003": "30",
        "HK.BK1004": "60",
    }
    sim.wait_for(lambda stats: stats["made"] > 600)
    bench.settle_whole(sim, recorder)
    assert not recorder.log_lines("plate_refused")
    assert len(faults_of(sim, "cut")) == 3


def test_symbols_come_from_a_file(bench: Bench) -> None:
    """`@path` stands for the codes in a file, with its comments, next to codes and plates."""
    sim = bench.simulate(symbols=8, rate=100)
    symbols = universe(8, 0)
    path = bench.directory / "symbols.txt"
    path.write_text("# the busy ones\n" + "\n".join(f"{symbol}  # one" for symbol in symbols[:5]) + "\n")
    recorder = bench.record(sim, f"@{path}", symbols[5], symbols[0], "plate:HK.BK1004")
    recorder.wait_for("futu_subscribed", symbols="8", refused="0")
    sim.wait_for(lambda stats: stats["made"] > 200)
    bench.settle_whole(sim, recorder)


class NonsenseOpenD:
    """Answers InitConnect as OpenD does, and every other call with a whole frame whose body is no message."""

    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self.connections = 0
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def close(self) -> None:
        """End it."""
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join()

    def _serve(self) -> None:
        while True:
            try:
                sock, _ = self._listener.accept()
            except OSError:
                return
            self.connections += 1
            with sock:
                self._answer(sock)

    def _answer(self, sock: socket.socket) -> None:
        reader = frames.FrameReader()
        while True:
            try:
                data = sock.recv(65_536)
            except ConnectionResetError:
                return
            if not data:
                return
            for frame in reader.feed(data).frames:
                body = b"\xff\xff\xff"
                if frame.proto_id == ProtoId.INIT_CONNECT:
                    s2c = pb.InitConnect.S2C(
                        serverVer=1011, loginUserID=1, connID=1, connAESKey="0" * 16, keepAliveInterval=10
                    )
                    body = pb.InitConnect.Response(retType=0, s2c=s2c).SerializeToString()
                sock.sendall(frames.encode(frame.proto_id, frame.serial_no, body))


@pytest.fixture
def nonsense() -> Iterator[NonsenseOpenD]:
    """An OpenD that can't be understood."""
    opend = NonsenseOpenD()
    yield opend
    opend.close()


def test_an_answer_that_is_no_message_ends_the_session_and_not_the_recorder(
    tmp_path: Path, nonsense: NonsenseOpenD
) -> None:
    """What OpenD breaks is OpenD's fault: the recorder says so, and tries again."""
    with RecorderProcess(tmp_path, nonsense.port, ["HK.00700"]) as recorder:
        lines = recorder.wait_for("futu_disconnected", 3)
        assert recorder.is_running
        assert recorder.stop() == 0
    assert all("is no valid message" in line.fields["reason"] for line in lines)
    assert nonsense.connections >= 3
    assert not recorder.log_lines("fatal")
