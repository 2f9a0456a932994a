"""`/metrics` and `/healthz` over HTTP, from threads of their own.

Owns the port and its limits: the number of concurrent requests, and a time limit for each, whatever a client does.
Never runs on the event loop and never asks it anything: it serves the recorder's newest description, so it still
answers, with `failing`, while the recorder hangs. Import this only if METRICS_PORT is set: it imports an HTTP server
and prometheus-client, about 3 MB.
"""

from __future__ import annotations

import io
import json
import socket
import sys
import threading
import time
from functools import partial
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler
from socketserver import TCPServer, ThreadingMixIn
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4, generate_latest

from hk_tick_collector import logs
from hk_tick_collector.clock import wall_ms
from hk_tick_collector.errors import ConfigError, DatabaseError
from hk_tick_collector.hktime import utc_text
from hk_tick_collector.status.findings import Verdict
from hk_tick_collector.status.health import assess_health
from hk_tick_collector.status.metric_families import CommitDurations, RecorderMetrics, registry
from hk_tick_collector.status.trouble_table import cure
from hk_tick_collector.store.schema import day_files
from hk_tick_collector.store.stored import days_so_far, read_stats

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from _typeshed import WriteableBuffer

    from hk_tick_collector.store.stored import SymbolStats

log = logs.get_logger()

REQUESTS_MAX = 8
REQUEST_SEC_MAX = 5.0
REQUEST_BYTES_MAX = 16 * 1024
LOG_EVERY_SEC = 30.0
CHECK_EVERY_SEC = 0.25  # how soon the server notices `close`

# 200 only for what is known to work: a monitor must never be green without evidence.
STATUS_OF: Final = {
    Verdict.OK: HTTPStatus.OK,
    Verdict.DEGRADED: HTTPStatus.OK,
    Verdict.UNPROVEN: HTTPStatus.SERVICE_UNAVAILABLE,
    Verdict.FAILING: HTTPStatus.SERVICE_UNAVAILABLE,
}

_TEXT: Final = "text/plain; charset=utf-8"
_BUSY: Final = b"HTTP/1.0 503 Service Unavailable\r\nRetry-After: 1\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"


class MetricsServer:
    """Serves one recorder's metrics and health, from `start` to `close`."""

    def __init__(self, host: str, port: int, describe: Callable[[], Mapping[str, Any]], data_root: Path) -> None:
        """Does not open the port yet.

        Args:
            host: the address to listen on; METRICS_HOST.
            port: METRICS_PORT; 0: any free port, for tests.
            describe: returns the recorder's newest description. It is called from other threads, and its result must
                not be changed afterwards.
            data_root: where the day databases are, for `?symbols=1`.
        """
        self._host = host
        self._port = port
        self._describe = describe
        self._data_root = data_root
        self._commits = CommitDurations()
        self._server: _Server | None = None

    @property
    def port(self) -> int:
        """The port that the server listens on."""
        assert self._server is not None, "it is not started"
        return int(self._server.server_address[1])

    def start(self) -> None:
        """Listen, and serve from a thread.

        Raises:
            ConfigError: it can't listen on the address or the port.
        """
        assert self._server is None, "it runs already"
        try:
            self._server = _Server(self._host, self._port, self._answer)
        except OSError as exc:
            name = "METRICS_HOST" if isinstance(exc, socket.gaierror) else "METRICS_PORT"
            value = self._host if isinstance(exc, socket.gaierror) else self._port
            raise ConfigError(
                f"{name}={value}: can't listen on {self._host} port {self._port}: {exc.strerror or exc}; "
                "choose another, or end who has it"
            ) from exc
        serve = partial(self._server.serve_forever, CHECK_EVERY_SEC)
        threading.Thread(target=serve, name="metrics", daemon=True).start()
        log.info("metrics_served", host=self._host, port=self.port)

    def close(self) -> None:
        """Stop listening; takes a quarter of a second. Open requests end by themselves within seconds."""
        server, self._server = self._server, None
        if server is not None:
            server.shutdown()
            server.server_close()

    def on_commit(self, commit_ms: float, rows: int) -> None:
        """Count a commit; one without ticks is ignored, since it says nothing about the disk."""
        if rows:
            self._commits.add(commit_ms)

    def _answer(self, path: str, query: str) -> _Answer:
        if path == "/healthz":
            return self._health()
        if path == "/metrics":
            return self._metrics(wants_symbols="symbols=1" in query.split("&"))
        return _Answer(HTTPStatus.NOT_FOUND, _TEXT, b"expected /metrics, /metrics?symbols=1 or /healthz\n")

    def _health(self) -> _Answer:
        now_ms = wall_ms()
        health = assess_health(self._describe(), now_ms)
        troubles = [{"trouble": one.trouble, "seen": one.seen, "cure": cure(one.trouble)} for one in health.findings]
        told = {**health._asdict(), "at": utc_text(now_ms), "troubles": troubles}
        del told["findings"]
        return _Answer(STATUS_OF[health.verdict], "application/json", f"{json.dumps(told)}\n".encode())

    def _metrics(self, *, wants_symbols: bool) -> _Answer:
        symbols: Mapping[str, SymbolStats] | None = None
        if wants_symbols:
            try:
                days = days_so_far(day_files(self._data_root))
                symbols = read_stats(days[-1]) if days else {}
            except (DatabaseError, OSError) as exc:
                return _Answer(HTTPStatus.SERVICE_UNAVAILABLE, _TEXT, f"{exc}\n".encode(errors="replace"))
        metrics = RecorderMetrics(self._describe(), wall_ms(), self._commits, symbols)
        # Always the plain text format, which every Prometheus reads; the client's Accept header is ignored.
        return _Answer(HTTPStatus.OK, CONTENT_TYPE_PLAIN_0_0_4, generate_latest(registry(metrics)))


class _Answer(NamedTuple):
    status: HTTPStatus
    content_type: str
    body: bytes


class _Server(ThreadingMixIn, TCPServer):
    """One thread per request, at most REQUESTS_MAX; further requests get 503 and Retry-After."""

    allow_reuse_address = True
    daemon_threads = True
    block_on_close = False
    request_queue_size = 16

    def __init__(self, host: str, port: int, answer: Callable[[str, str], _Answer]) -> None:
        self.answer = answer
        self._slots = threading.BoundedSemaphore(REQUESTS_MAX)
        self._limiter = logs.Limiter(LOG_EVERY_SEC)
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        self.address_family = found[0][0]
        super().__init__((str(found[0][4][0]), port), _Handler)

    def process_request(self, request: Any, client_address: Any) -> None:  # noqa: ANN401 - as socketserver has it
        if not self._slots.acquire(blocking=False):
            request.settimeout(0)  # a new socket's buffer takes these few bytes; else the client gets no answer
            try:
                request.sendall(_BUSY)
            finally:
                self.shutdown_request(request)
            return
        try:
            super().process_request(request, client_address)
        except BaseException:  # no thread could be started
            self._slots.release()
            raise

    def process_request_thread(self, request: Any, client_address: Any) -> None:  # noqa: ANN401
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._slots.release()

    def handle_error(self, _request: object, _client_address: object) -> None:
        """Log an exception of a request, except an OSError: that is a fault of the connection."""
        error = sys.exc_info()[1]
        if not isinstance(error, OSError):
            held = self._limiter.allow("metrics_request_failed")
            if held is not None:
                log.error(
                    "metrics_request_failed", error=f"{type(error).__name__}: {error}", repeated=held, exc_info=error
                )


class _Handler(BaseHTTPRequestHandler):
    """One request, HTTP/1.0: the connection ends with the answer."""

    server: _Server
    server_version = "hk-tick-collector"
    sys_version = ""

    def setup(self) -> None:
        """Read with a deadline for the whole request: a socket's timeout restarts with each byte."""
        super().setup()
        self.rfile = io.BufferedReader(_Patience(self.connection), REQUEST_BYTES_MAX)

    def do_GET(self) -> None:
        """Answer; the deadline for reading no longer applies."""
        path, _, query = self.path.partition("?")
        answer = self.server.answer(path, query)
        self.connection.settimeout(REQUEST_SEC_MAX)
        self.send_response(answer.status)
        self.send_header("Content-Type", answer.content_type)
        self.send_header("Content-Length", str(len(answer.body)))
        self.send_header("Cache-Control", "no-store")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(answer.body)

    do_HEAD = do_GET  # noqa: N815 - the library finds it by this name

    def log_message(self, *_args: object) -> None:
        """Log nothing: a scrape every few seconds is routine."""


class _Patience(io.RawIOBase):
    """Reads a request, which must be complete within REQUEST_SEC_MAX and is cut off after REQUEST_BYTES_MAX."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._deadline = time.monotonic() + REQUEST_SEC_MAX
        self._left = REQUEST_BYTES_MAX

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: WriteableBuffer) -> int:
        left_sec = self._deadline - time.monotonic()
        if left_sec <= 0:
            raise TimeoutError(f"no whole request within {REQUEST_SEC_MAX} s")
        self._sock.settimeout(left_sec)
        size = self._sock.recv_into(buffer, min(self._left, memoryview(buffer).nbytes)) if self._left else 0
        self._left -= size
        return size
