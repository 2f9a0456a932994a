"""The TCP side: connections, and the port that they connect to.

Owns the bytes: framing, encryption, InitConnect as the first call, keep-alive, and every way in which a connection can
misbehave (hold its writes, read nothing, be cut). What a call means is in `calls`. Invariant: nothing here waits for a
client, except a paced burst; a client that doesn't read costs memory up to a limit, then its connection is cut.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
import time
from collections import deque
from functools import partial
from typing import TYPE_CHECKING, cast

from hk_tick_collector.errors import LocalProtocolError, RemoteProtocolError
from hk_tick_collector.opend import frames
from hk_tick_collector.opend.frames import FrameReader
from hk_tick_collector.opend.numbers import PacketEncAlgo, ProtoId
from hk_tick_collector.simulator import calls

if TYPE_CHECKING:
    from hk_tick_collector.opend.frames import Cipher, Frame
    from hk_tick_collector.simulator.opend import SimulatedOpenD

_log = logging.getLogger(__name__)

# Above the high mark a paced burst waits, so that a burst of any size needs little memory here.
_WRITE_HIGH_BYTES = 1024 * 1024
_WRITE_LOW_BYTES = 256 * 1024
# How long a connection that is closed gracefully has to take what was written to it.
_CLOSE_FLUSH_SEC = 1.0
# OpenD drops a client after three intervals without KeepAlive (30 s for an interval of 10 s).
_KEEP_ALIVES_MISSED_MAX = 3


class Connection(asyncio.Protocol):
    """One client.

    Attributes:
        conn_id: the `connID` that InitConnect returned.
        tickers: the symbols whose pushes it gets.
        wants_notices: whether it asked for Notify.
        ready: whether InitConnect was answered.
    """

    def __init__(self, server: Server, conn_id: int) -> None:
        self.conn_id = conn_id
        self.tickers: set[str] = set()
        self.wants_notices = False
        self.ready = False
        self.alive_at = time.monotonic()  # when the last KeepAlive came
        self._server = server
        self._opend = server.opend
        self._rsa = server.opend.options.rsa
        self._reader = FrameReader(self._rsa)
        self._transport: asyncio.Transport | None = None
        self._held: deque[bytes] | None = None  # held writes; None: write immediately
        self._held_bytes = 0
        self._transport_full = False
        self._room = asyncio.Event()
        self._room.set()

    @property
    def cipher(self) -> Cipher | None:
        """The cipher for bodies."""
        return self._reader.cipher

    @property
    def is_open(self) -> bool:
        """Whether the connection can be written to."""
        return self._transport is not None and not self._transport.is_closing()

    @property
    def backlog_bytes(self) -> int:
        """Bytes sent but not yet accepted by the operating system."""
        return self._held_bytes + (self._transport.get_write_buffer_size() if self._transport else 0)

    # ---- asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A client has connected."""
        self._transport = cast("asyncio.Transport", transport)
        self._transport.set_write_buffer_limits(_WRITE_HIGH_BYTES, _WRITE_LOW_BYTES)
        self._server.joined(self)

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection has ended, on either side."""
        del exc
        self._transport = None
        self._held = None
        self._held_bytes = 0
        self._room.set()
        self._server.left(self)

    def pause_writing(self) -> None:
        """The client reads slower than we write."""
        self._transport_full = True
        self._update_room()

    def resume_writing(self) -> None:
        """The client has caught up."""
        self._transport_full = False
        self._update_room()

    def data_received(self, data: bytes) -> None:
        """Handle bytes from the client."""
        if self.ready:
            run, rest = self._reader.feed(data), b""
        else:
            run, rest = self._reader.feed_one(data)
        for frame in run.frames:
            self._answer(frame)
        if run.error is not None:
            self._drop(run.error)
        elif rest and self.is_open:
            self.data_received(rest)

    # ---- for the server and the faults

    def send(self, data: bytes) -> None:
        """Write whole frames, or hold them; cut the connection when too much waits."""
        if not self.is_open:
            return
        assert self._transport is not None
        if self._held is None:
            self._transport.write(data)
        else:
            self._held.append(data)
            self._held_bytes += len(data)
        limit = self._opend.options.write_buffer_max_bytes
        waiting = self.backlog_bytes
        if waiting > limit:
            self._server.note_fault("write_limit", n=waiting, conn=self.conn_id)
            self.abort()

    async def room(self) -> None:
        """Wait until a paced burst may write more, or the connection is gone."""
        await self._room.wait()

    def hold(self) -> None:
        """Hold writes from now on."""
        if self._held is None:
            self._held = deque()
            self._update_room()

    def release(self, bytes_max: int | None = None) -> int:
        """Write at most `bytes_max` held bytes; None: all, and stop holding. Returns the bytes written."""
        if self._held is None:
            return 0
        out: list[bytes] = []
        size = 0
        while self._held and (bytes_max is None or size < bytes_max):
            data = self._held.popleft()
            if bytes_max is not None and size + len(data) > bytes_max:
                cut = bytes_max - size
                self._held.appendleft(data[cut:])
                data = data[:cut]
            size += len(data)
            out.append(data)
        self._held_bytes -= size
        if bytes_max is None:
            self._held = None
            self._update_room()
        if out and self.is_open:
            assert self._transport is not None
            self._transport.write(b"".join(out))
        return size

    def freeze(self) -> None:
        """Read nothing and write nothing; the connection stays open."""
        self.hold()
        if self.is_open:
            assert self._transport is not None
            self._transport.pause_reading()

    def thaw(self) -> None:
        """Undo `freeze`. KeepAlives that came meanwhile are still unread, so they count as received."""
        self.alive_at = time.monotonic()
        self.release()
        if self.is_open:
            assert self._transport is not None
            self._transport.resume_reading()

    def abort(self) -> None:
        """End the connection now; held and buffered writes are lost."""
        if self._transport is not None:
            self._transport.abort()

    def close_flushed(self, last: bytes = b"") -> None:
        """End the connection after all waiting writes and `last` are written, or after one second."""
        self.release()
        transport = self._transport
        if transport is None or transport.is_closing():
            return
        if last:
            transport.write(last)
        transport.close()
        asyncio.get_running_loop().call_later(_CLOSE_FLUSH_SEC, transport.abort)

    # ---- the protocol

    def _answer(self, frame: Frame) -> None:
        if self._opend.silent or not self.is_open:
            return
        if not self.ready:
            self._answer_first(frame)
            return
        if frame.proto_id == ProtoId.KEEP_ALIVE:
            self.alive_at = time.monotonic()
        answer = calls.answer(self._opend, self, frame.proto_id, frame.body)
        write = partial(self._write_answer, frame, answer)
        if answer.delay_sec > 0:
            asyncio.get_running_loop().call_later(answer.delay_sec, write)
        else:
            write()

    def _answer_first(self, frame: Frame) -> None:
        """Answer InitConnect, and switch to the agreed cipher."""
        if frame.proto_id != ProtoId.INIT_CONNECT:
            self._drop(
                RemoteProtocolError(f"the first call is of protoID {frame.proto_id}, expected InitConnect (1001)")
            )
            return
        init = calls.init_connect(self._opend, self.conn_id, frame.body)
        self._write_frame(frame.proto_id, frame.serial_no, init.body, self._rsa)
        if init.algo is None:
            self.close_flushed()
            return
        self._reader = FrameReader(_cipher_of(init))
        self.wants_notices = init.recv_notify
        self.ready = True
        self.alive_at = time.monotonic()
        self._opend.join(self)

    def _drop(self, error: RemoteProtocolError) -> None:
        """Cut the connection: the client broke the protocol."""
        _log.warning("connection %d dropped: %s", self.conn_id, error)
        self._opend.counters.protocol_errors += 1
        self.abort()

    def _write_answer(self, frame: Frame, answer: calls.Answer) -> None:
        if not self.is_open:  # it may have closed while the answer was delayed
            return
        self._write_frame(frame.proto_id, frame.serial_no, answer.make(), self.cipher)
        for body in answer.pushes:
            self._write_frame(ProtoId.QOT_UPDATE_TICKER, self._opend.next_serial(), body, self.cipher)

    def _write_frame(self, proto_id: int, serial_no: int, body: bytes, cipher: Cipher | None) -> None:
        try:
            data = frames.encode(proto_id, serial_no, body, cipher)
        except LocalProtocolError:
            _log.exception("a reply that does not fit into a frame")
            self.abort()
            return
        self.send(data)

    def _update_room(self) -> None:
        if self._transport_full or self._held is not None:
            self._room.clear()
        else:
            self._room.set()


class Server:
    """The port: listens, stops listening, and knows every connection."""

    def __init__(self, opend: SimulatedOpenD, host: str) -> None:
        self.opend = opend
        self.host = host
        self.port = 0
        self.frozen = False
        self.throttled = False
        self.connections: dict[int, Connection] = {}
        self._listener: asyncio.Server | None = None
        self._placeholder: socket.socket | None = None
        self._empty = asyncio.Event()
        self._empty.set()
        # Large, as in the real OpenD; unique within a run.
        self._next_conn_id = 7_000_000_000_000_000_000

    @property
    def ready(self) -> list[Connection]:
        """The open connections that have completed InitConnect."""
        return [conn for conn in self.connections.values() if conn.ready and conn.is_open]

    @property
    def is_listening(self) -> bool:
        """Whether clients can connect."""
        return self._listener is not None

    async def listen(self, port: int) -> None:
        """Listen; port 0 lets the system choose one. `self.port` is the port."""
        loop = asyncio.get_running_loop()
        if self._placeholder is not None:
            sock, self._placeholder = self._placeholder, None
        else:
            sock = bound_socket(self.host, port)
        self._listener = await loop.create_server(self._accept, sock=sock)
        self.port = sock.getsockname()[1]

    def refuse(self) -> None:
        """Stop listening but keep the port bound: no other process can take it, and connecting is refused."""
        if self._listener is not None:
            self._listener.close()
            self._listener = None
            self._placeholder = bound_socket(self.host, self.port)

    def close(self) -> None:
        """Stop listening, and close every connection after its writes."""
        if self._listener is not None:
            self._listener.close()
            self._listener = None
        if self._placeholder is not None:
            self._placeholder.close()
            self._placeholder = None
        for conn in list(self.connections.values()):
            conn.close_flushed()

    async def emptied(self, timeout_sec: float) -> None:
        """Wait until no connection is left, at most `timeout_sec`."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._empty.wait(), timeout_sec)

    def check_keep_alives(self) -> None:
        """Drop the connections that have sent no KeepAlive for three intervals."""
        if self.frozen or self.opend.silent:
            return
        allowed_sec = self.opend.options.keep_alive_interval_sec * _KEEP_ALIVES_MISSED_MAX
        now = time.monotonic()
        for conn in list(self.connections.values()):
            if now - conn.alive_at > allowed_sec:
                self.note_fault("keep_alive_missed", n=1, conn=conn.conn_id)
                conn.abort()

    def note_fault(self, fault: str, *, n: int, **details: object) -> None:
        """Write an applied fault to the ledger; `n` is how much it touched."""
        self.opend.ledger.note("f", fault=fault, at=time.time(), n=n, **details)

    def joined(self, conn: Connection) -> None:
        """Add a new connection, or abort it if there are too many."""
        if len(self.connections) >= self.opend.options.connections_max:
            self.note_fault("connections_max", n=1, conn=conn.conn_id)
            conn.abort()
            return
        self.connections[conn.conn_id] = conn
        self._empty.clear()
        if self.frozen:
            conn.freeze()
        if self.throttled:
            conn.hold()

    def left(self, conn: Connection) -> None:
        """Remove a connection that has ended."""
        self.connections.pop(conn.conn_id, None)
        self.opend.leave(conn)
        if not self.connections:
            self._empty.set()

    def _accept(self) -> Connection:
        self._next_conn_id += 1
        return Connection(self, self._next_conn_id)


def _cipher_of(init: calls.Init) -> Cipher | None:
    if init.algo in {None, PacketEncAlgo.NONE}:
        return None
    from hk_tick_collector.opend.crypto import packet_cipher  # noqa: PLC0415 - there already, for the RSA key

    return packet_cipher(init.algo, init.aes_key, init.aes_iv)


def bound_socket(host: str, port: int) -> socket.socket:
    """A TCP socket that is bound to its port but does not listen yet. OSError if the port is taken."""
    sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind((host, port))
    except OSError:
        sock.close()
        raise
    sock.setblocking(False)  # noqa: FBT003 - its only argument
    return sock
