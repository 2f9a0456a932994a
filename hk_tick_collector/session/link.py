"""One TCP connection to OpenD: bytes to the journal, replies to their callers.

Owns the socket and the calls that wait on it. Never decides what to ask for, and never reads a tick. Invariant:
every whole frame that is read from the socket is in the journal's buffer before anything else is done with it.
"""

from __future__ import annotations

import asyncio
import fcntl
import sys
import termios
import time
from typing import TYPE_CHECKING, Any, cast

from hk_tick_collector import logs
from hk_tick_collector.errors import CollectorError, SessionError, UnansweredError
from hk_tick_collector.opend import messages
from hk_tick_collector.opend.notices import notice
from hk_tick_collector.opend.numbers import ProtoId
from hk_tick_collector.opend.purpose import Purpose

if TYPE_CHECKING:
    from collections.abc import Callable

    from hk_tick_collector.clock import HostClock
    from hk_tick_collector.journal.append import Journal
    from hk_tick_collector.opend.frames import Frame
    from hk_tick_collector.opend.messages import InitReply
    from hk_tick_collector.opend.notices import Notice
    from hk_tick_collector.opend.protocol import ClientConnection, Received

log = logs.get_logger()

ROOM_CHECK_SEC = 0.05
# After a timeout, the event loop gets this long to read what has already arrived. If this process itself did not run (a
# paused machine), its timers fire before its socket is read, and unread data looks like silence.
LATE_SEC = 1.0
CALLS_MAX = 256  # concurrent calls; more is a bug in the session
LATE_CALLS_MAX = 1024  # unanswered calls that are remembered: the answers may still come
# A frame is complete only with its last byte, so one large answer delays everything after it. A requested answer may
# take the time that it needs at this rate; nothing else is large.
SLOWEST_BYTES_PER_SEC = 32 * 1024


class Link(asyncio.Protocol):
    """A connection, from connect to close. Make a new one for each.

    Attributes:
        closed: done when the connection is over; its result is the reason.
        pushes: ticker pushes received on it.
        last_heard_at: monotonic time of the last whole frame (unfinished ones don't count), or of the end of a pause.
        last_heard_ms: the last whole frame's time by the host's clock, UTC epoch ms; no journaled frame is later.
        paused_at: monotonic time at which reading was last known to be paused by a full journal; None: never.
        last_push_at: monotonic time of the last ticker push; None: no push yet.
    """

    def __init__(
        self,
        connection: ClientConnection,
        journal: Journal,
        session: int,
        on_notice: Callable[[Notice], None],
        clock: HostClock,
    ) -> None:
        self._clock = clock
        self._connection = connection
        self._journal = journal
        self._session = session
        self._on_notice = on_notice
        self._transport: asyncio.Transport | None = None
        self._calls: dict[int, asyncio.Future[bytes]] = {}
        self._asked: dict[int, int] = {}  # serial number → protoID of each unanswered call
        self._has_mismatched = False
        self._opened: asyncio.Future[InitReply] = asyncio.get_running_loop().create_future()
        self._limiter = logs.Limiter(30.0)
        self.closed: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self.is_paused = False
        self.pushes = 0
        self.bytes_received = 0
        self.last_heard_at = self._last_bytes_at = time.monotonic()
        self.last_heard_ms = clock.now_ms()
        self.paused_at: float | None = None
        self.last_push_at: float | None = None

    async def open(self, host: str, port: int, timeout_sec: float) -> InitReply:
        """Connect, and wait until OpenD accepts the connection.

        Raises:
            SessionError: OpenD refused, or did not accept within the timeout.
        """
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(timeout_sec):
                await loop.create_connection(lambda: self, host, port)
                if self._transport is None or self.closed.done():
                    raise SessionError(f"{host}:{port}: closed at once")
                self._transport.write(self._connection.open())
                return await self._opened
        except TimeoutError:
            is_answered = self._transport is not None  # by its host; a process that hangs gets that far, too
            self.abort("connect timeout")
            what = "no answer from" if is_answered else "no connection to"
            raise SessionError(f"{what} {host}:{port} within {timeout_sec:g} s") from None
        except OSError as exc:
            raise SessionError(f"{host}:{port}: {exc.strerror or exc}") from exc

    async def call(
        self,
        proto_id: ProtoId,
        body: bytes,
        timeout_sec: float,
        purpose: Purpose = Purpose.CONTROL,
        before_sent: Callable[[int], None] | None = None,
    ) -> bytes:
        """Send a request, and wait for the reply's body.

        Args:
            proto_id: the call.
            body: the request.
            timeout_sec: how long to wait.
            purpose: what the reply is for.
            before_sent: called with the serial number that the reply will carry, just before the request is sent.

        Raises:
            UnansweredError: no answer in time, but other data came meanwhile, or reading is paused.
            SessionError: the connection is over, or nothing at all came in that time.
        """
        assert len(self._calls) < CALLS_MAX, "a call limit that the session must keep"
        asked_at = time.monotonic()
        serial_no = self._send(proto_id, body, purpose, before_sent)
        reply: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        self._calls[serial_no] = reply
        if len(self._asked) >= LATE_CALLS_MAX:
            del self._asked[next(iter(self._asked))]
        self._asked[serial_no] = proto_id
        try:
            for wait_sec in (timeout_sec, LATE_SEC):
                await asyncio.wait([reply], timeout=wait_sec)
                if reply.done():
                    return reply.result()
        finally:
            del self._calls[serial_no]
            if reply.done():
                reply.exception()  # mark it as retrieved, even if this caller was cancelled
        kind = UnansweredError if self.is_paused or self._last_bytes_at > asked_at else SessionError
        raise kind(f"{proto_id.name}: no answer within {timeout_sec:g} s")

    def tell(self, proto_id: ProtoId, body: bytes) -> None:
        """Send a request without waiting for the reply, which only shows that the link is alive.

        Raises:
            SessionError: the connection is over.
        """
        self._send(proto_id, body, Purpose.CONTROL)

    def note(self, event: str, **fields: object) -> None:
        """Append an event to the journal, in order among the received frames."""
        self._journal.append_event(self._session, self._clock.now_ms(), {"event": event, **fields})

    def _send(
        self, proto_id: ProtoId, body: bytes, purpose: Purpose, before_sent: Callable[[int], None] | None = None
    ) -> int:
        if self._transport is None or self.closed.done():
            raise SessionError(f"{proto_id.name}: the connection is over")
        serial_no, data = self._connection.request(proto_id, body, purpose)
        if before_sent is not None:
            before_sent(serial_no)
        self._transport.write(data)
        return serial_no

    async def keep_alive(self, every_sec: float) -> None:
        """Send keep-alives on time, without waiting for replies: a late reply must not delay the next one."""
        while True:
            await asyncio.sleep(every_sec)
            self.tell(ProtoId.KEEP_ALIVE, messages.keep_alive(int(time.time())))

    async def watch(self, dead_link_sec: float) -> None:
        """End a link on which no frame comes, not even the reply to a keep-alive: it is dead, whatever TCP reports.

        Bytes alone don't count: a header that claims too large a body swallows the good frames after it. Only a large
        answer that was asked for gets the time that it needs at `SLOWEST_BYTES_PER_SEC`.
        """
        is_suspect = False
        while True:
            await asyncio.sleep(LATE_SEC if is_suspect else 0.5)
            silent_sec = time.monotonic() - self.last_heard_at
            was_suspect = is_suspect
            is_suspect = silent_sec > dead_link_sec + self._answer_sec() and not self.is_paused
            if is_suspect and was_suspect:
                pending = self._connection.pending_bytes
                came = f", {pending:,} bytes of an unfinished one" if pending else ""
                self.abort(f"dead link: no whole frame for {silent_sec:.1f} s{came}")

    def _answer_sec(self) -> float:
        """How long the unfinished frame may take if it is an answer that was asked for; 0 if it is not."""
        header = self._connection.pending_header
        if header is None or self._asked.get(header.serial_no) != header.proto_id:
            return 0.0
        return header.size / SLOWEST_BYTES_PER_SEC

    async def drain(self, timeout_sec: float) -> None:
        """Keep reading until the kernel holds nothing more for us, or `timeout_sec` is over."""
        deadline = time.monotonic() + timeout_sec
        while self._transport is not None and not self.closed.done() and not self.is_paused:
            waiting = fcntl.ioctl(self._transport.get_extra_info("socket").fileno(), termios.FIONREAD, b"\0" * 4)
            if not int.from_bytes(waiting, sys.byteorder) or time.monotonic() >= deadline:
                break
            await asyncio.sleep(0.005)

    def abort(self, reason: str) -> None:
        """End the connection immediately; everything received is in the journal already."""
        if self._transport is not None:
            self._transport.abort()
        self._finish(reason)

    # ---- what asyncio calls

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The socket is connected."""
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        """Bytes from OpenD."""
        if self.closed.done():
            return
        try:
            received = self._connection.receive(data)
        except CollectorError as exc:
            self.abort(str(exc))
            return
        self.bytes_received += len(data)
        self._last_bytes_at = time.monotonic()
        if received.raw or received.opened is not None:
            self.last_heard_at = self._last_bytes_at
            self.last_heard_ms = self._clock.now_ms()
        if received.raw:
            self._keep(received)
        if received.opened is not None and not self._opened.done():
            self._opened.set_result(received.opened)
        for frame in received.frames:
            if frame.proto_id == ProtoId.NOTIFY:
                self._notice(frame.body)
            else:
                self._answer(frame)
        if received.error is not None:
            self.abort(f"protocol error: {received.error}")

    def connection_lost(self, exc: Exception | None) -> None:
        """The socket is closed."""
        if self.closed.done():
            return
        cut_bytes = self._connection.eof()
        where = f" in the middle of a frame, after {cut_bytes} bytes of it" if cut_bytes else ""
        self._finish(f"connection {'lost: ' + str(exc) if exc else 'closed by OpenD'}{where}")

    # ----

    def _keep(self, received: Received) -> None:
        if received.pushes:
            self.pushes += received.pushes
            self.last_push_at = self.last_heard_at
        self._journal.append_frames(self._session, self.last_heard_ms, received.raw)
        if self._journal.is_full:
            self._pause()

    def _answer(self, frame: Frame) -> None:
        """Hand a reply to its caller. The serial number alone does not identify it: the protoID must match too."""
        asked = self._asked.get(frame.serial_no)
        if asked is None:
            return
        if asked != frame.proto_id:
            if not self._has_mismatched:
                self._has_mismatched = True
                log.warning(
                    "reply_mismatched",
                    serial_no=frame.serial_no,
                    got=frame.proto_id,
                    expected=messages.call_name(asked),
                )
            return
        del self._asked[frame.serial_no]
        reply = self._calls.get(frame.serial_no)
        if reply is not None and not reply.done():
            reply.set_result(frame.body)

    def _notice(self, body: bytes) -> None:
        try:
            self._on_notice(notice(body))
        except CollectorError as exc:
            log.warning("opend_notice_unreadable", error=exc)

    def _finish(self, reason: str) -> None:
        if self.closed.done():
            return
        self.closed.set_result(reason)
        error = SessionError(reason)
        waiting: list[asyncio.Future[Any]] = [self._opened, *self._calls.values()]
        for future in waiting:
            if not future.done():
                future.set_exception(error)
        # Perhaps no caller waits for it, and asyncio logs an exception that is never retrieved.
        if self._opened.done() and not self._opened.cancelled():
            self._opened.exception()

    def _pause(self) -> None:
        """Stop reading: the journal's buffer is full. The bytes stay in the socket, and TCP slows OpenD down."""
        if self.is_paused or self._transport is None:
            return
        self.is_paused = True
        self.paused_at = time.monotonic()
        self._transport.pause_reading()
        held = self._limiter.allow("full")
        if held is not None:
            log.error("journal_full", buffered_bytes=self._journal.buffered_bytes, fault=self._journal.fault)
        asyncio.get_running_loop().call_later(ROOM_CHECK_SEC, self._resume)

    def _resume(self) -> None:
        if self.closed.done() or self._transport is None:
            return
        if not self._journal.has_room:
            asyncio.get_running_loop().call_later(ROOM_CHECK_SEC, self._resume)
            return
        self.is_paused = False
        self.paused_at = self.last_heard_at = time.monotonic()
        self._transport.resume_reading()
