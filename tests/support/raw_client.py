"""A client that does nothing by itself: no keep-alive, no reconnect, no thread. It sends, it reads, it remembers.

Made of `hk_tick_collector.opend`, so that a test sees exactly the frames that came, in order.
"""

from __future__ import annotations

import socket
import time
from typing import TYPE_CHECKING, NamedTuple, Self

from hk_tick_collector.opend import frames, messages
from hk_tick_collector.opend.codes import symbol_of
from hk_tick_collector.opend.crypto import PacketEncAlgo
from hk_tick_collector.opend.notices import notice
from hk_tick_collector.opend.numbers import ProtoId
from hk_tick_collector.opend.protocol import ClientConnection

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from google.protobuf.message import Message

    from hk_tick_collector.opend.crypto import RsaKey
    from hk_tick_collector.opend.messages import InitReply
    from hk_tick_collector.opend.notices import Notice
    from hk_tick_collector.opend.protocol import Received

TIMEOUT_SEC = 20.0


class Tick(NamedTuple):
    """One tick as it came."""

    symbol: str
    seq: int
    price: float
    volume: int
    turnover: float
    push_data_type: int
    ts_ms: int


class RawClient:
    """One connection, opened on construction.

    Where OpenD breaks the protocol, what came before is remembered first, and then it is raised.

    Attributes:
        opened: InitConnect's reply.
        ticks: every pushed tick, in order.
        push_frames: how many pushes they came in.
        notices: every Notify, in order.
        eof: whether OpenD has ended the connection.
    """

    def __init__(
        self,
        port: int,
        *,
        rsa: RsaKey | None = None,
        algo: PacketEncAlgo = PacketEncAlgo.NONE,
        small_buffer: bool = False,
    ) -> None:
        """Connect and open; ConnectionRefusedError, TimeoutError or what `ClientConnection.receive` raises.

        Args:
            port: on the loopback.
            rsa: the key that both sides hold.
            algo: what bodies are encrypted with.
            small_buffer: have the system buffer as little as it can, for tests that don't read.
        """
        self.ticks: list[Tick] = []
        self.push_frames = 0
        self.notices: list[Notice] = []
        self.eof = False
        self._replies: dict[int, frames.Frame] = {}
        self.protocol = ClientConnection("raw", rsa=rsa, algo=algo)
        self.socket = socket.socket()
        try:
            if small_buffer:
                self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            self.socket.settimeout(TIMEOUT_SEC)
            self.socket.connect(("127.0.0.1", port))
            self.socket.sendall(self.protocol.open())
            self.opened = self._open()
        except BaseException:
            self.socket.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exc: object) -> None:
        self.close()

    def close(self) -> None:
        """End the connection."""
        self.socket.close()

    def send(self, proto_id: int, body: bytes) -> int:
        """Send a call and don't wait; its serial number."""
        serial_no, data = self.protocol.request(proto_id, body)
        self.socket.sendall(data)
        return serial_no

    def call(self, proto_id: int, body: bytes, *, timeout_sec: float = TIMEOUT_SEC) -> Message:
        """Send a call and give its reply; RefusedError, or TimeoutError if none comes."""
        serial_no = self.send(proto_id, body)
        self.until(lambda: serial_no in self._replies, timeout_sec=timeout_sec)
        frame = self._replies.pop(serial_no)
        return messages.decode_reply(frame.proto_id, frame.body)

    def subscribe(self, symbols: Iterable[str]) -> None:
        """Subscribe to tickers and have them pushed."""
        self.call(ProtoId.QOT_SUB, messages.subscribe(symbols))

    def get_ticker(self, symbol: str, count: int = 1000, *, timeout_sec: float = TIMEOUT_SEC) -> list[Tick]:
        """The last ticks that OpenD has of a symbol."""
        reply = self.call(ProtoId.QOT_GET_TICKER, messages.get_ticker(symbol, count), timeout_sec=timeout_sec)
        return _ticks(reply.SerializeToString())

    def until(self, what: Callable[[], bool], *, timeout_sec: float = TIMEOUT_SEC) -> None:
        """Read until `what()` holds. TimeoutError if it never does, ConnectionError if the connection ends before."""
        deadline = time.monotonic() + timeout_sec
        while not what():
            if self.eof:
                raise ConnectionError("OpenD ended the connection")
            left = deadline - time.monotonic()
            if left <= 0:
                raise TimeoutError(f"not within {timeout_sec} s; {len(self.ticks)} ticks, {self.notices} came")
            self.socket.settimeout(left)
            self._read()

    def until_eof(self, *, timeout_sec: float = TIMEOUT_SEC) -> int:
        """Read until OpenD ends the connection; bytes of the frame that it was cut in."""
        self.until(lambda: self.eof, timeout_sec=timeout_sec)
        return self.protocol.eof()

    def hears_nothing(self, for_sec: float) -> bool:
        """Whether not a byte comes for so long (and the connection does not end)."""
        self.socket.settimeout(for_sec)
        try:
            self._read()
        except TimeoutError:
            return True
        return False

    def _open(self) -> InitReply:
        while True:
            data = self.socket.recv(65_536)
            if not data:
                raise ConnectionError("OpenD ended the connection before it was open")
            opened = self._take(self.protocol.receive(data))
            if opened is not None:
                return opened

    def _read(self) -> None:
        try:
            data = self.socket.recv(1 << 20)
        except ConnectionResetError:
            data = b""
        if not data:
            self.eof = True
            return
        self._take(self.protocol.receive(data))

    def _take(self, received: Received) -> InitReply | None:
        """Remember what came; then raise how OpenD broke the protocol behind it, if it did."""
        for frame in received.frames:
            if frame.proto_id == ProtoId.NOTIFY:
                self.notices.append(notice(frame.body))
            else:
                self._replies[frame.serial_no] = frame
        for proto_id, _, body in frames.iter_frames(received.raw):
            if proto_id == ProtoId.QOT_UPDATE_TICKER:
                self.push_frames += 1
                self.ticks += _ticks(body)
        if received.error is not None:
            raise received.error
        return received.opened


def _ticks(body: bytes) -> list[Tick]:
    s2c = messages.parse_tickers(body).s2c
    symbol = symbol_of(s2c.security.market, s2c.security.code)
    return [
        Tick(symbol, t.sequence, t.price, t.volume, t.turnover, t.pushDataType, round(t.timestamp * 1000))
        for t in s2c.tickerList
    ]
