"""A gateway between a recorder and a simulator that says odd things: a hostile or broken OpenD, byte by byte.

Passes everything on, but for what a test puts in: answers of its own to some calls, other bodies in some replies, and
bytes at any moment. Unencrypted connections only.
"""

from __future__ import annotations

import contextlib
import socket
import threading
from typing import TYPE_CHECKING, Self

from hk_tick_collector.opend import frames
from hk_tick_collector.opend import opend_pb2 as pb
from hk_tick_collector.opend.frames import Frame, FrameReader, encode, iter_frames

if TYPE_CHECKING:
    from collections.abc import Callable


class OddGateway:
    """Listens on a port of its own.

    Attributes:
        answers: protoID → a function of a request that gives the body of its reply, or None to pass the request on.
        changes: protoID → a function of a reply's (or push's) body that gives another body.
        asked: how often each protoID was answered or changed.
    """

    def __init__(self, opend_port: int) -> None:
        self._opend_port = opend_port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self.answers: dict[int, Callable[[Frame], bytes | None]] = {}
        self.changes: dict[int, Callable[[bytes], bytes]] = {}
        self.asked: dict[int, int] = {}
        self._clients: list[socket.socket] = []
        self._writing = threading.Lock()
        self._threads = [threading.Thread(target=self._accept)]
        self._threads[0].start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exc: object) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._threads[0].join()  # no connection is added any more
        self.cut()
        for thread in self._threads:
            thread.join()

    def send(self, data: bytes) -> int:
        """Put bytes into every stream to a recorder. Returns how many streams there are."""
        with self._writing:
            for client in self._clients:
                client.sendall(data)
            return len(self._clients)

    def notify(self, s2c: pb.Notify.S2C) -> int:
        """Send every recorder a notice."""
        return self.send(encode(1003, 0, pb.Notify.Response(retType=0, s2c=s2c).SerializeToString()))

    def cut(self) -> None:
        """End all connections."""
        with self._writing:
            for client in self._clients:
                with contextlib.suppress(OSError):
                    client.shutdown(socket.SHUT_RDWR)

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            thread = threading.Thread(target=self._serve, args=(client,))
            self._threads.append(thread)
            thread.start()

    def _serve(self, client: socket.socket) -> None:
        try:
            server = socket.create_connection(("127.0.0.1", self._opend_port))
        except OSError:
            client.close()
            return
        with client, server:
            with self._writing:
                self._clients.append(client)
            back = threading.Thread(target=self._pump, args=(server, client, self._reply))
            back.start()
            self._pump(client, server, lambda frame: self._request(frame, client))
            back.join()
            with self._writing:
                self._clients.remove(client)

    def _pump(self, source: socket.socket, target: socket.socket, change: Callable[[Frame], bytes]) -> None:
        reader = FrameReader()
        with contextlib.suppress(OSError):
            while data := source.recv(65_536):
                for parts in iter_frames(reader.feed(data).raw):
                    made = change(Frame(*parts))
                    with self._writing:
                        target.sendall(made)
        for end in (source, target):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def _request(self, frame: Frame, client: socket.socket) -> bytes:
        answer = self.answers.get(frame.proto_id)
        body = answer(frame) if answer is not None else None
        if body is None:
            return encode(*frame)
        self._count(frame.proto_id)
        with self._writing:
            client.sendall(encode(frame.proto_id, frame.serial_no, body))
        return b""

    def _reply(self, frame: Frame) -> bytes:
        change = self.changes.get(frame.proto_id)
        if change is None:
            return encode(*frame)
        self._count(frame.proto_id)
        return encode(frame.proto_id, frame.serial_no, change(frame.body))

    def _count(self, proto_id: int) -> None:
        self.asked[proto_id] = self.asked.get(proto_id, 0) + 1


def false_header(size: int = frames.BODY_MAX) -> bytes:
    """A push's header that claims so many bytes."""
    return frames.HEADER.pack(b"F", b"T", frames.TICKER_PUSH, 0, 0, 1, size, bytes(20), bytes(8))
