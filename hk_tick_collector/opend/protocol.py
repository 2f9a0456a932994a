"""One connection's protocol, from the client's side: bytes in → events out.

A connection has five states. All transitions are in `_NEXT`; one that is not in it can't happen:

    IDLE ──init sent──► OPENING ──init answered──► READY ──eof──► CLOSED
                           │                         │
                           └───broken──► FAILED ◄────┘broken

Before READY only InitConnect's answer may come. It brings the key with which all later bodies are encrypted, so frames
after it in the same chunk are read with the new cipher. After FAILED or CLOSED the connection can't be used.

Owns states, serial numbers and the cipher. Never does I/O, never decodes a tick.
"""

from __future__ import annotations

from enum import Enum, auto
from typing import TYPE_CHECKING, NamedTuple

from hk_tick_collector.errors import LocalProtocolError, RefusedError, RemoteProtocolError
from hk_tick_collector.opend import frames, messages
from hk_tick_collector.opend.numbers import PacketEncAlgo, ProtoId
from hk_tick_collector.opend.purpose import PURPOSES, Purpose

if TYPE_CHECKING:
    from hk_tick_collector.opend.crypto import RsaKey
    from hk_tick_collector.opend.frames import Frame, FrameRun


class State(Enum):
    """The state of a connection."""

    IDLE = auto()
    OPENING = auto()
    READY = auto()
    CLOSED = auto()
    FAILED = auto()


class _Input(Enum):
    INIT_SENT = auto()
    INIT_ANSWERED = auto()
    EOF = auto()
    BROKEN = auto()


_NEXT: dict[tuple[State, _Input], State] = {
    (State.IDLE, _Input.INIT_SENT): State.OPENING,
    (State.OPENING, _Input.INIT_ANSWERED): State.READY,
    (State.IDLE, _Input.EOF): State.CLOSED,
    (State.OPENING, _Input.EOF): State.CLOSED,
    (State.READY, _Input.EOF): State.CLOSED,
    (State.OPENING, _Input.BROKEN): State.FAILED,
    (State.READY, _Input.BROKEN): State.FAILED,
}


class Received(NamedTuple):
    """The events of one `receive`.

    Attributes:
        raw: whole frames for the journal, in order, bodies in plaintext.
        pushes: how many of them are ticker pushes.
        frames: the other ones.
        error: how OpenD broke the protocol after them; the connection can't be used any more.
        opened: InitConnect's answer, if these bytes completed it; it is not in `raw`, since it holds a key.
    """

    raw: bytes
    pushes: int
    frames: list[Frame]
    error: RemoteProtocolError | None
    opened: messages.InitReply | None = None


class ClientConnection:
    """The protocol of one TCP connection to OpenD. Make a new one for each."""

    def __init__(self, client_id: str, *, rsa: RsaKey | None = None, algo: PacketEncAlgo = PacketEncAlgo.NONE) -> None:
        """Encryption is used only with a key: without one, `algo` must be NONE."""
        if rsa is None and algo is not PacketEncAlgo.NONE:
            raise LocalProtocolError(f"packet encryption {algo.name} needs an RSA key")
        self._client_id = client_id
        self._rsa = rsa
        self._algo = algo
        self._reader = frames.FrameReader(rsa)
        self._requests = 0
        self.state = State.IDLE

    @property
    def pending_bytes(self) -> int:
        """Bytes of the unfinished frame."""
        return self._reader.pending_bytes

    @property
    def pending_header(self) -> frames.PendingHeader | None:
        """The header of the unfinished frame; None: it is not complete yet."""
        return self._reader.pending_header

    def open(self) -> bytes:
        """The first bytes to send on a connection."""
        self._move(_Input.INIT_SENT)
        body = messages.init_connect(self._client_id, self._algo)
        return frames.encode(ProtoId.INIT_CONNECT, self._next_serial(Purpose.CONTROL), body, self._rsa)

    def request(self, proto_id: int, body: bytes, purpose: Purpose = Purpose.CONTROL) -> tuple[int, bytes]:
        """A request: its serial number, and the bytes to send."""
        if self.state is not State.READY:
            raise LocalProtocolError(f"a request on a connection that is {self.state.name}, expected READY")
        serial_no = self._next_serial(purpose)
        return serial_no, frames.encode(proto_id, serial_no, body, self._reader.cipher)

    def receive(self, data: bytes) -> Received:
        """Take bytes from OpenD.

        Raises:
            RefusedError: OpenD refused InitConnect.
        """
        if self.state is State.OPENING:
            return self._receive_opening(data)
        if self.state is not State.READY:
            raise LocalProtocolError(f"bytes for a connection that is {self.state.name}")
        run = self._reader.feed(data)
        if run.error is not None:
            self._move(_Input.BROKEN)
        return Received(*run)

    def eof(self) -> int:
        """The stream has ended. Returns the bytes of the frame inside which it ended (0: between frames)."""
        self._move(_Input.EOF)
        return self._reader.pending_bytes

    def _receive_opening(self, data: bytes) -> Received:
        """Wait for exactly one frame, then read on with the cipher that it brings."""
        run, rest = self._reader.feed_one(data)
        try:
            if run.error is not None:
                key = "; is our RSA key the one that OpenD has?" if self._rsa is not None else ""
                raise RemoteProtocolError(f"{run.error}{key}")  # noqa: TRY301 - one way out for all errors
            if not run.raw:
                return Received(b"", 0, [], None)
            opened = self._opened(run)
        except RemoteProtocolError as exc:
            self._move(_Input.BROKEN)
            return Received(b"", 0, [], exc)
        except RefusedError:
            self._move(_Input.BROKEN)
            raise
        self._move(_Input.INIT_ANSWERED)
        return self.receive(rest)._replace(opened=opened)

    def _opened(self, run: FrameRun) -> messages.InitReply:
        frame = run.frames[0] if run.frames else None
        if frame is None or frame.proto_id != ProtoId.INIT_CONNECT:
            proto_id = frame.proto_id if frame else frames.TICKER_PUSH  # pushes are counted, not cut out
            raise RemoteProtocolError(f"a frame of protoID {proto_id} before InitConnect was answered")
        opened = messages.init_reply(frame.body)
        self._reader = frames.FrameReader(self._cipher_of(opened))
        return opened

    def _cipher_of(self, opened: messages.InitReply) -> frames.Cipher | None:
        if self._algo is PacketEncAlgo.NONE:
            return None
        from hk_tick_collector.opend.crypto import packet_cipher  # noqa: PLC0415 - there already, for the RSA key

        return packet_cipher(self._algo, opened.aes_key, opened.aes_iv)

    def _next_serial(self, purpose: Purpose) -> int:
        """Serial numbers rise and carry the purpose; 32 bits last for a billion requests on one connection."""
        self._requests += 1
        return self._requests * PURPOSES + purpose

    def _move(self, what: _Input) -> None:
        after = _NEXT.get((self.state, what))
        if after is None:
            raise LocalProtocolError(f"{what.name} on a connection that is {self.state.name}")
        self.state = after
