"""A link to a server of our own: which frames answer a call, and what makes a link dead."""

from __future__ import annotations

import asyncio
import socket
import struct
from contextlib import ExitStack, asynccontextmanager, closing, suppress
from typing import TYPE_CHECKING, Any

import pytest
from support.kept_log import KeptLog, keep_log

from hk_tick_collector.clock import HostClock
from hk_tick_collector.errors import SessionError, UnansweredError
from hk_tick_collector.opend import frames
from hk_tick_collector.opend import opend_pb2 as pb
from hk_tick_collector.opend.frames import Frame, FrameReader
from hk_tick_collector.opend.numbers import ProtoId
from hk_tick_collector.opend.protocol import ClientConnection
from hk_tick_collector.session import link as link_module
from hk_tick_collector.session.link import Link

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

DEAD_SEC = 0.6
INIT = pb.InitConnect.Response(
    retType=0,
    s2c=pb.InitConnect.S2C(serverVer=1011, loginUserID=1, connID=1, connAESKey="0" * 16, keepAliveInterval=10),
).SerializeToString()


class Journal:
    """Takes all."""

    is_full, has_room = False, True

    def append_frames(self, *_args: object) -> None:
        """One more run."""


class Server:
    """Answers InitConnect, and gives every other frame to the test, which writes what it likes."""

    def __init__(self) -> None:
        self.asked: asyncio.Queue[Frame] = asyncio.Queue()
        self.writer: asyncio.StreamWriter | None = None
        self.over = asyncio.Event()

    def send(self, data: bytes) -> None:
        """Write to the connection that there is."""
        assert self.writer is not None
        self.writer.write(data)

    async def trickle(self, data: bytes, every_sec: float, step: int = 1) -> None:
        """Write it bit by bit."""
        for start in range(0, len(data), step):
            self.send(data[start : start + step])
            await asyncio.sleep(every_sec)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection."""
        self.writer = writer
        cut = FrameReader()
        with suppress(ConnectionError):
            while data := await reader.read(65_536):
                for frame in cut.feed(data).frames:
                    if frame.proto_id == ProtoId.INIT_CONNECT:
                        writer.write(frames.encode(frame.proto_id, frame.serial_no, INIT))
                    else:
                        self.asked.put_nowait(frame)
        writer.transport.abort()
        with suppress(ConnectionError):
            await writer.wait_closed()
        self.over.set()


@asynccontextmanager
async def connected() -> AsyncIterator[tuple[Link, Server]]:
    """A link that is open, and its server."""
    server = Server()
    listener = await asyncio.start_server(server.serve, "127.0.0.1", 0)
    journal: Any = Journal()
    link = Link(ClientConnection("test"), journal, 1, lambda _notice: None, HostClock())
    await link.open("127.0.0.1", listener.sockets[0].getsockname()[1], 5)
    try:
        yield link, server
    finally:
        link.abort("over")
        await server.over.wait()
        listener.close()
        await listener.wait_closed()


@pytest.fixture
def logged(monkeypatch: pytest.MonkeyPatch) -> KeptLog:
    """The lines that are logged."""
    return keep_log(link_module, monkeypatch)


def keep_alive_frame(serial_no: int) -> bytes:
    """A frame that nobody waits for."""
    body = pb.KeepAlive.Response(retType=0, s2c=pb.KeepAlive.S2C(time=1)).SerializeToString()
    return frames.encode(ProtoId.KEEP_ALIVE, serial_no, body)


def header(proto_id: int, serial_no: int, size: int) -> bytes:
    """A header that claims so many bytes."""
    return frames.HEADER.pack(b"F", b"T", proto_id, 0, 0, serial_no, size, bytes(20), bytes(8))


async def watched(link: Link, work: Callable[[], Any]) -> str:
    """Watch a link while the server does something; why it was closed, or "" if it lives for two seconds."""
    tasks = [asyncio.create_task(link.watch(DEAD_SEC)), asyncio.create_task(work())]
    try:
        async with asyncio.timeout(DEAD_SEC + 3.0):
            return await asyncio.shield(link.closed)
    except TimeoutError:
        return ""
    finally:
        for task in tasks:
            task.cancel()


def test_a_reply_under_another_protocol_is_no_answer(logged: KeptLog) -> None:
    """The serial number alone does not make it one: it is told once, and the true answer counts when it comes."""

    async def work() -> None:
        async with connected() as (link, server):
            call = asyncio.create_task(link.call(ProtoId.GET_GLOBAL_STATE, b"", 5))
            asked = await server.asked.get()
            for _ in range(3):
                server.send(frames.encode(ProtoId.QOT_GET_TICKER, asked.serial_no, b"wrong"))
            server.send(frames.encode(ProtoId.GET_GLOBAL_STATE, asked.serial_no, b"right"))
            assert await call == b"right"

    asyncio.run(work())
    assert [(event, fields["got"], fields["expected"]) for event, fields in logged.lines] == [
        ("reply_mismatched", 3010, "GET_GLOBAL_STATE")
    ]


def test_a_late_answer_is_of_its_own_call(logged: KeptLog) -> None:
    """One that was given up is answered late: the next call does not get that."""

    async def work() -> None:
        async with connected() as (link, server):
            with pytest.raises(SessionError):
                await link.call(ProtoId.GET_GLOBAL_STATE, b"", 0.01)
            first = await server.asked.get()
            call = asyncio.create_task(link.call(ProtoId.GET_GLOBAL_STATE, b"", 5))
            second = await server.asked.get()
            server.send(frames.encode(first.proto_id, first.serial_no, b"late"))
            server.send(frames.encode(second.proto_id, second.serial_no, b"mine"))
            assert await call == b"mine"

    asyncio.run(work())
    assert logged.lines == []


@pytest.mark.parametrize("swallowed", [True, False])
def test_a_header_that_claims_too_much_makes_a_link_dead(*, swallowed: bool) -> None:
    """Whether honest frames are swallowed by it or bytes only trickle: what counts is whole frames."""

    async def work() -> str:
        async with connected() as (link, server):
            server.send(header(frames.TICKER_PUSH, 7, frames.BODY_MAX))
            honest = b"".join(keep_alive_frame(serial_no) for serial_no in range(1000))
            before = link.bytes_received
            reason = await watched(link, lambda: server.trickle(honest, 0.01, 100 if swallowed else 1))
            assert link.bytes_received > before + 44
            return reason

    reason = asyncio.run(work())
    assert reason.startswith("dead link: no whole frame for ")
    assert reason.endswith(" bytes of an unfinished one")


def test_an_answer_that_was_asked_for_may_take_its_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """A plate over a slow link takes longer than a dead link may: what is large and asked for is waited for."""
    monkeypatch.setattr(link_module, "SLOWEST_BYTES_PER_SEC", 400)

    async def work() -> None:
        async with connected() as (link, server):
            call = asyncio.create_task(link.call(ProtoId.QOT_GET_PLATE_SECURITY, b"", 10))
            asked = await server.asked.get()
            whole = frames.encode(asked.proto_id, asked.serial_no, bytes(2000))
            reason = await watched(link, lambda: server.trickle(whole, 0.12, 100))
            assert reason == ""
            assert await call == bytes(2000)
            again = asyncio.create_task(link.call(ProtoId.QOT_GET_PLATE_SECURITY, b"", 10))
            asked = await server.asked.get()
            fake = header(ProtoId.QOT_GET_PLATE_SECURITY, asked.serial_no + 4, 2000) + bytes(2000)
            assert (await watched(link, lambda: server.trickle(fake, 0.12, 100))).startswith("dead link")
            with pytest.raises(SessionError):
                await again

    asyncio.run(work())


def test_a_call_after_a_slow_frame_ends_no_session() -> None:
    """Bytes come, and its own answer may come after them: that is for the watch to judge."""

    async def work() -> None:
        async with connected() as (link, server):
            server.send(header(frames.TICKER_PUSH, 7, 5000))
            trickling = asyncio.create_task(server.trickle(bytes(5000), 0.02))
            with pytest.raises(UnansweredError):
                await link.call(ProtoId.GET_GLOBAL_STATE, b"", 0.1)
            trickling.cancel()

    asyncio.run(work())


def test_frames_keep_a_link_alive() -> None:
    """Small ones that come now and then, whatever they are, for longer than a dead link may be silent."""

    async def work() -> str:
        async with connected() as (link, server):
            many = b"".join(keep_alive_frame(serial_no) for serial_no in range(100))
            return await watched(link, lambda: server.trickle(many, 0.3, len(keep_alive_frame(1))))

    assert asyncio.run(work()) == ""


def test_an_unfinished_header_is_no_header() -> None:
    """It says nothing yet; a whole one says what it claims."""
    reader = FrameReader()
    reader.feed(header(3010, 9, 500)[:43])
    assert reader.pending_header is None
    reader.feed(struct.pack("B", 0))
    assert reader.pending_header == (3010, 9, 500)


def test_a_host_that_does_not_answer_is_told_apart_from_an_opend_that_does_not() -> None:
    """The first has no connection; the second accepts one, and says nothing: it has to be restarted."""

    async def opening(port: int) -> str:
        journal: Any = Journal()
        link = Link(ClientConnection("test"), journal, 1, lambda _notice: None, HostClock())
        with pytest.raises(SessionError) as failed:
            await link.open("127.0.0.1", port, 0.2)
        return str(failed.value)

    with closing(socket.socket()) as listener, ExitStack() as held:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        port = listener.getsockname()[1]
        assert asyncio.run(opening(port)) == f"no answer from 127.0.0.1:{port} within 0.2 s"
        for _ in range(8):  # its queue is full: the host drops what comes, as one does that is not there
            other = held.enter_context(closing(socket.socket()))
            other.settimeout(0)
            with suppress(BlockingIOError):
                other.connect(("127.0.0.1", port))
        assert asyncio.run(opening(port)) == f"no connection to 127.0.0.1:{port} within 0.2 s"
