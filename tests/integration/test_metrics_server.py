"""`/metrics` and `/healthz` over real HTTP: what is served, and that no client can hold it up."""

from __future__ import annotations

import contextlib
import http.client
import io
import json
import re
import socket
import threading
import time
from typing import TYPE_CHECKING, Any, Final

import pytest
import structlog
from prometheus_client.parser import text_string_to_metric_families
from support.recorder_process import until
from support.recorder_state import healthy_state

from hk_tick_collector import logs
from hk_tick_collector.db import DayDatabase, Pragmas
from hk_tick_collector.errors import ConfigError
from hk_tick_collector.status import metrics
from hk_tick_collector.status.metrics import REQUESTS_MAX, MetricsServer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from prometheus_client.core import Metric

    from hk_tick_collector.mapping import Row

LOOPBACK: Final = "127.0.0.1"
SHORT_SEC: Final = 0.5
GET: Final = b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"


def now_state(**changes: Any) -> dict[str, Any]:  # noqa: ANN401 - JSON
    """A healthy description of this moment, at an hour at which nothing has to come."""
    closed = {"state": "CLOSED", "is_open": False, "source": "opend"}
    return healthy_state(**{"at_ms": time.time_ns() // 1_000_000, "market": closed, **changes})


class Described:
    """Holds the description, as the recorder does: it is replaced, never changed."""

    def __init__(self) -> None:
        self.state: dict[str, Any] = now_state()

    def __call__(self) -> dict[str, Any]:
        """The newest."""
        return self.state


@pytest.fixture
def described() -> Described:
    """What the server serves."""
    return Described()


@pytest.fixture
def server(described: Described, tmp_path: Path) -> Iterator[MetricsServer]:
    """One that listens, on a port of its own."""
    server = MetricsServer(LOOPBACK, 0, described, tmp_path)
    server.start()
    yield server
    server.close()


def ask(server: MetricsServer, path: str, method: str = "GET") -> tuple[http.client.HTTPResponse, bytes]:
    """One request, and its answer."""
    connection = http.client.HTTPConnection(LOOPBACK, server.port, timeout=30)
    try:
        connection.request(method, path)
        response = connection.getresponse()
        return response, response.read()
    finally:
        connection.close()


def scrape(server: MetricsServer, path: str = "/metrics") -> dict[str, Metric]:
    """The metrics, as Prometheus' own parser reads them."""
    response, body = ask(server, path)
    assert response.status == 200
    assert response.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
    return {family.name: family for family in text_string_to_metric_families(body.decode())}


def reply_to(server: MetricsServer, sent: bytes) -> bytes:
    """Whatever comes back until the connection ends."""
    with socket.create_connection((LOOPBACK, server.port), timeout=30) as sock:
        sock.sendall(sent)
        return everything(sock)


def everything(sock: socket.socket) -> bytes:
    """What comes until the end; a reset is one."""
    got = b""
    with contextlib.suppress(ConnectionResetError):
        while chunk := sock.recv(65536):
            got += chunk
    return got


def test_metrics_are_those_of_the_newest_description(server: MetricsServer, described: Described) -> None:
    """Each scrape reads it anew; commits are counted as they come, those without rows are not."""
    assert scrape(server)["hktick_symbols_subscribed"].samples[0].value == 900
    described.state = now_state(session={"subscribed": 3})
    server.on_commit(12.0, 20)
    server.on_commit(9000.0, 0)
    told = scrape(server)
    assert told["hktick_symbols_subscribed"].samples[0].value == 3
    samples = {sample.name: sample.value for sample in told["hktick_commit_duration_seconds"].samples}
    assert samples["hktick_commit_duration_seconds_count"] == 1
    assert samples["hktick_commit_duration_seconds_sum"] == pytest.approx(0.012)


def test_symbols_are_read_from_the_newest_day(server: MetricsServer, tmp_path: Path) -> None:
    """Only when asked for, from a database that is being written; none yet is no fault."""
    assert scrape(server, "/metrics?symbols=1")["hktick_symbol_ticks"].samples == []
    for day, count in (("20200330", 9), ("20200331", 2)):
        rows: list[Row] = [
            ("HK.00700", n + 1, 1_585_600_000_000 + n, 1.0, 1, 1.0, 1, 1, 0, 1, n, n) for n in range(count)
        ]
        database = DayDatabase(tmp_path / f"{day}.db", Pragmas())
        database.store({"HK.00700": rows}, {})
    told = scrape(server, "/metrics?x=y&symbols=1")
    assert [(s.labels, s.value) for s in told["hktick_symbol_ticks"].samples] == [({"symbol": "HK.00700"}, 2)]
    (last,) = told["hktick_symbol_last_tick_timestamp_seconds"].samples
    assert last.value == 1_585_600_000.001
    for path in ("/metrics", "/metrics?symbols=0", "/metrics?symbols=", "/metrics?symbols"):
        assert "hktick_symbol_ticks" not in scrape(server, path)


def test_a_day_that_cannot_be_read_is_said(server: MetricsServer, tmp_path: Path) -> None:
    """Symbols that are asked for and not to be had are no empty list; all else is served."""
    (tmp_path / "20200330.db").write_bytes(b"no database" * 100)
    response, body = ask(server, "/metrics?symbols=1")
    assert response.status == 503
    assert b"20200330.db can't be read" in body
    assert "hktick_connected" in scrape(server)


ROOM: Final = "the disk has 75 GB free, a trading day needs 1,250 MB"


@pytest.mark.parametrize(
    ("changes", "status", "verdict", "reasons"),
    [
        ({}, 200, "ok", []),
        ({"session": {"refused": {"HK.99999": "没有"}}}, 200, "degraded", ["1 symbol refused: HK.99999 (没有)"]),
        ({"writer": {"rows": 0}}, 503, "unproven", ["ticks are arriving but none is stored yet"]),
        (
            {"journal": {"fault": "disk gone"}},
            503,
            "failing",
            [
                f"journal can't be written: disk gone; 0.0 MB held in memory; {ROOM}",
            ],
        ),
        ({"at_ms": 1_600_000_000_000}, 503, "failing", None),
    ],
    ids=["ok", "degraded", "unproven", "failing", "silent"],
)
def test_health_says_why(
    changes: dict[str, Any],
    status: int,
    verdict: str,
    reasons: list[str] | None,
    server: MetricsServer,
    described: Described,
) -> None:
    """What works is answered with 200; what does not, or is not known to, with 503; always with what to do."""
    described.state = now_state(**changes)
    before = time.strftime("%Y-%m-%dT%H:%M", time.gmtime(time.time() - 60))
    response, body = ask(server, "/healthz")
    told = json.loads(body)
    assert (response.status, told["verdict"]) == (status, verdict)
    assert response.headers["Content-Type"] == "application/json"
    assert told.keys() == {"verdict", "reasons", "lost_today", "at", "troubles"}
    assert told["at"] > before
    if reasons is None:
        assert told["reasons"][0].startswith("no state update for ")
    else:
        assert [one["seen"] for one in told["troubles"]] == reasons
    assert told["reasons"] == [f"{one['seen']}. {one['cure']}" for one in told["troubles"]]


def test_before_the_first_description_nothing_is_proven(server: MetricsServer, described: Described) -> None:
    """A server that is up before its recorder has spoken is not green."""
    described.state = {}
    response, body = ask(server, "/healthz")
    assert (response.status, json.loads(body)["verdict"]) == (503, "unproven")
    assert "hktick_connected" not in scrape(server)


@pytest.mark.parametrize(
    "path", ["/", "/metrics/", "/Metrics", "/healthz/x", "/../etc/passwd", "*", "http://[/metrics"]
)
def test_other_paths_are_not_found(path: str, server: MetricsServer) -> None:
    """There are two pages, and the answer names them."""
    head, _, body = reply_to(server, f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode()).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.0 404 ")
    assert body == b"expected /metrics, /metrics?symbols=1 or /healthz\n"


@pytest.mark.parametrize("path", ["/metrics", "/healthz", "/nowhere"])
def test_head_is_get_without_the_body(path: str, server: MetricsServer) -> None:
    """With the same status, and the length that the body would have."""
    got, body = ask(server, path)
    head, end, nothing = reply_to(server, f"HEAD {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode()).partition(b"\r\n\r\n")
    assert (end, nothing) == (b"\r\n\r\n", b"")
    status, length = re.search(rb"HTTP/1.0 (\d+) .*\r\nContent-Length: (\d+)\r\n", head, re.DOTALL).groups()
    assert int(status) == got.status
    assert abs(int(length) - len(body)) <= 8  # the age of the description differs
    assert int(got.headers["Content-Length"]) == len(body)


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS", "TRACE", "X"])
def test_nothing_can_be_done_but_look(method: str, server: MetricsServer) -> None:
    """No other method is known."""
    response, _ = ask(server, "/metrics", method)
    assert response.status == 501


@pytest.mark.parametrize(
    "sent",
    [
        b"\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n",
        b"GET\r\n\r\n",
        b"GET /metrics HTTP/9.9\r\n\r\n",
        b"GET /metrics HTTP/1.1\r\n" + b"X: y\r\n" * 200 + b"\r\n",
        b"GET /" + b"a" * 100_000 + b" HTTP/1.1\r\n\r\n",
        b"GET /metrics HTTP/1.1\r\nX: " + b"a" * 1_000_000 + b"\r\n\r\n",
    ],
    ids=["nothing", "TLS", "half a line", "a version of tomorrow", "many headers", "a long path", "a long header"],
)
def test_nonsense_does_no_harm(
    sent: bytes, server: MetricsServer, log: Callable[[], str], capsys: pytest.CaptureFixture[str]
) -> None:
    """It ends the connection that it came on, and is not worth a line."""
    with contextlib.suppress(ConnectionError):
        reply_to(server, sent)
    assert scrape(server)
    assert (log(), *capsys.readouterr()) == ("", "", "")


# ---- clients that hold it up


@pytest.fixture
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A test has less time than a client."""
    monkeypatch.setattr(metrics, "REQUEST_SEC_MAX", SHORT_SEC)


@contextlib.contextmanager
def clients(server: MetricsServer, count: int, sent: bytes = b"GET /metr") -> Iterator[list[socket.socket]]:
    """So many that have sent this and wait."""
    with contextlib.ExitStack() as stack:
        socks = []
        for _ in range(count):
            sock = stack.enter_context(socket.create_connection((LOOPBACK, server.port), timeout=30))
            sock.sendall(sent)
            socks.append(sock)
        yield socks


def taken() -> int:
    """Threads that are busy with a request."""
    return sum("process_request_thread" in thread.name for thread in threading.enumerate())


def test_more_than_some_requests_at_once_are_told_to_come_again(server: MetricsServer) -> None:
    """While others hold all places the answer is an immediate 503; with the first that goes there is place again."""
    with clients(server, REQUESTS_MAX) as held:
        until(lambda: taken() == REQUESTS_MAX, "all places are taken")
        busy = reply_to(server, b"")
        assert busy.startswith(b"HTTP/1.0 503 Service Unavailable\r\nRetry-After: 1\r\n")
        assert taken() == REQUESTS_MAX
        held[0].close()
        until(lambda: taken() < REQUESTS_MAX, "a place is free")
        assert scrape(server)
    until(lambda: taken() == 0, "nobody is left")


@pytest.mark.usefixtures("_impatient")
def test_a_client_that_says_nothing_is_dropped(server: MetricsServer) -> None:
    """All places are taken by clients that never finish their request: seconds later they are free again."""
    with clients(server, REQUESTS_MAX) as held:
        for sock in held:
            assert everything(sock) == b""
        until(lambda: taken() == 0, "they were dropped")
        assert scrape(server)


@pytest.mark.usefixtures("_impatient")
def test_a_client_that_speaks_a_byte_at_a_time_is_dropped(server: MetricsServer) -> None:
    """Each byte comes in time, and the request as a whole does not."""
    with clients(server, 1) as (sock,):
        until(lambda: taken() == 1, "it has a place")
        until(lambda: not is_taken_from(sock), "it was dropped")
    until(lambda: taken() == 0, "its place is free")


def is_taken_from(sock: socket.socket) -> bool:
    """Send one more byte; whether there is still somebody who takes it."""
    time.sleep(SHORT_SEC / 20)
    try:
        sock.sendall(b"x")
    except OSError:
        return False
    return True


@pytest.mark.usefixtures("_impatient")
def test_a_client_that_does_not_read_is_dropped(server: MetricsServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """An answer larger than what the kernel holds for it does not keep its place."""
    size = 64_000_000
    monkeypatch.setattr(metrics, "generate_latest", lambda _registry: b"x" * size)
    with clients(server, 1, b"GET /metrics HTTP/1.1\r\n\r\n") as (sock,):
        until(lambda: taken() == 1, "it is being answered")
        until(lambda: taken() == 0, "it was dropped")
        assert 0 < len(everything(sock)) < size


def test_a_client_that_goes_away_is_no_news(
    server: MetricsServer, log: Callable[[], str], capsys: pytest.CaptureFixture[str]
) -> None:
    """Before its request, in it, or before the answer: nothing is logged, and no place is lost."""
    for sent in (b"", b"GET /me", GET):
        for _ in range(REQUESTS_MAX):
            with clients(server, 1, sent) as (sock,):
                linger = b"\x01\0\0\0\0\0\0\0"  # a reset instead of an end
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
    until(lambda: taken() == 0, "all are gone")
    assert scrape(server)
    assert (log(), *capsys.readouterr()) == ("", "", "")


def test_many_scrapes_at_once_are_all_whole(server: MetricsServer) -> None:
    """Whoever gets a place gets everything; the others a 503; nobody gets half."""
    seen: list[int] = []

    def run() -> None:
        for _ in range(10):
            response, body = ask(server, "/metrics")
            assert len(body) == int(response.headers["Content-Length"])
            seen.append(response.status)

    threads = [threading.Thread(target=run) for _ in range(2 * REQUESTS_MAX)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(seen) == 20 * REQUESTS_MAX
    assert set(seen) <= {200, 503}
    assert seen.count(200) >= REQUESTS_MAX


# ---- its life


def test_a_bug_costs_one_answer(server: MetricsServer, described: Described, log: Callable[[], str]) -> None:
    """It is logged with its traceback, once in a while, and the next request is served."""
    del described.state
    for _ in range(3):
        assert reply_to(server, GET) == b""
    described.state = now_state()
    assert ask(server, "/healthz")[0].status == 200
    until(lambda: taken() == 0, "all are gone")
    text = log()
    assert text.count("metrics_request_failed") == 1
    assert "AttributeError" in text
    assert "Traceback" in text


@pytest.fixture
def log(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[], str]]:
    """What the server logs. It gets a logger of its own: one that was used before keeps its stream."""
    before = structlog.get_config()
    stream = io.StringIO()
    logs.configure("INFO", stream)
    monkeypatch.setattr(metrics, "log", logs.get_logger())
    yield stream.getvalue
    structlog.configure(**before)


def test_a_port_that_is_taken_is_one_line(server: MetricsServer, tmp_path: Path) -> None:
    """The operator learns the setting, the address and what is wrong with it; the other server goes on."""
    second = MetricsServer(LOOPBACK, server.port, dict, tmp_path)
    with pytest.raises(ConfigError) as caught:
        second.start()
    assert str(caught.value) == (
        f"METRICS_PORT={server.port}: can't listen on 127.0.0.1 port {server.port}: Address already in use; "
        "choose another, or end who has it"
    )
    second.close()
    assert scrape(server)


@pytest.mark.parametrize("host", ["192.0.2.1", "no-such-host.invalid"])
def test_a_host_that_is_not_ours_is_one_line(host: str, tmp_path: Path) -> None:
    """Neither another machine's address nor a name that nobody knows starts a server."""
    with pytest.raises(ConfigError, match=rf"^METRICS_(HOST|PORT)=\S+: can't listen on {host} port 0: [^\n]+$"):
        MetricsServer(host, 0, dict, tmp_path).start()


def test_it_listens_where_it_is_told(described: Described, tmp_path: Path) -> None:
    """A name or an address, also of the newer kind; on loopback nobody else can ask."""
    name = "localhost"
    try:
        socket.getaddrinfo(name, None)
    except socket.gaierror:  # a new machine without /etc/hosts
        name = LOOPBACK
    for host in (name, "::1"):
        server = MetricsServer(host, 0, described, tmp_path)
        server.start()
        try:
            with socket.create_connection((host, server.port), timeout=30) as sock:
                sock.sendall(GET)
                assert everything(sock).startswith(b"HTTP/1.0 200 ")
        finally:
            server.close()


def test_close_frees_the_port_and_ends_the_threads(described: Described, tmp_path: Path) -> None:
    """At once, also while a client holds on; closing again changes nothing."""
    server = MetricsServer(LOOPBACK, 0, described, tmp_path)
    server.start()
    port = server.port
    with clients(server, 1):
        until(lambda: taken() == 1, "it is connected")
        server.close()
        server.close()
    until(lambda: taken() == 0, "it is gone")
    assert not [thread for thread in threading.enumerate() if thread.name == "metrics" and thread.is_alive()]
    again = MetricsServer(LOOPBACK, port, described, tmp_path)
    again.start()
    assert scrape(again)
    again.close()
