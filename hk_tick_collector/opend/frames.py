"""Frames: the 44-byte header, its checks, and an incremental reader.

Owns the shape of a frame and every check that can be made on one. Never does I/O, never reads a body.

Invariant: the reader returns runs of *whole* frames whose magic, format, version, size and SHA-1 are all checked, with
plaintext bodies; so a run can be appended to the journal unchanged, and split again with `iter_frames`.

A frame is `<1s1sI2B2I20s8s`, little-endian: 'F' 'T', protoID, format (0 protobuf), version (0), serialNo, bodyLen,
SHA-1 of the plaintext body, 8 reserved bytes; then the body.
"""

from __future__ import annotations

import struct
from hashlib import sha1
from typing import TYPE_CHECKING, Final, NamedTuple, Protocol

from hk_tick_collector.errors import LocalProtocolError, RemoteProtocolError
from hk_tick_collector.opend.numbers import ProtoId

if TYPE_CHECKING:
    from collections.abc import Iterator

HEADER = struct.Struct("<1s1sI2B2I20s8s")
HEADER_SIZE = HEADER.size  # 44
_HEADER_PARTS = struct.Struct("<2xI2xII28x")  # protoID, serialNo, bodyLen of a header that was checked

FORMAT_PROTOBUF = 0
VERSION = 0
TICKER_PUSH = int(ProtoId.QOT_UPDATE_TICKER)  # compared for every frame: no enum in that loop
SERIAL_MAX = 0xFFFFFFFF

# The largest answer that we ask for is a plate's or a market's static info: 17,000 securities of about 100 bytes.
# A header that claims more than this is a broken stream, not a message.
BODY_MAX = 8 * 1024 * 1024

# These bodies are always some hundred bytes: a header that claims far more would swallow the frames after it.
SMALL_BODY_MAX = 64 * 1024
_SMALL: Final = frozenset({
    ProtoId.INIT_CONNECT, ProtoId.GET_GLOBAL_STATE, ProtoId.NOTIFY, ProtoId.KEEP_ALIVE, ProtoId.QOT_SUB,
    ProtoId.QOT_REG_QOT_PUSH,
})  # fmt: skip

_MAGIC = b"FT"
_RESERVED = bytes(8)


class Frame(NamedTuple):
    """One whole frame; `body` is plaintext."""

    proto_id: int
    serial_no: int
    body: bytes


class PendingHeader(NamedTuple):
    """The header of an unfinished frame; `size` is the body size that it claims, in bytes."""

    proto_id: int
    serial_no: int
    size: int


class FrameRun(NamedTuple):
    """What one `feed` completed: zero or more whole frames.

    Attributes:
        raw: the frames end to end, bodies in plaintext. This is what the journal stores.
        pushes: how many of them are ticker pushes (3011).
        frames: the others, in order, each cut out.
        error: what is wrong with the stream after them. It is returned and not raised, so that the whole frames before
            it are not lost.
    """

    raw: bytes
    pushes: int
    frames: list[Frame]
    error: RemoteProtocolError | None


class Cipher(Protocol):
    """One connection's packet encryption."""

    def encrypt(self, plain: bytes) -> bytes:
        """The body as it goes over the wire."""

    def decrypt(self, wire: bytes) -> bytes:
        """The plaintext; RemoteProtocolError if it can't be decrypted."""


def encode(proto_id: int, serial_no: int, body: bytes, cipher: Cipher | None = None) -> bytes:
    """One frame, ready for the wire. The hash is of the plaintext, the length of the body as sent."""
    if not 0 <= serial_no <= SERIAL_MAX:
        raise LocalProtocolError(f"serialNo {serial_no} does not fit in 32 bits")
    wire = body if cipher is None else cipher.encrypt(body)
    if len(wire) > BODY_MAX:
        raise LocalProtocolError(f"body of {len(wire)} bytes, at most {BODY_MAX} are allowed")
    header = HEADER.pack(
        b"F", b"T", proto_id, FORMAT_PROTOBUF, VERSION, serial_no, len(wire), sha1(body).digest(), _RESERVED
    )
    return header + wire


def iter_frames(raw: bytes) -> Iterator[tuple[int, int, bytes]]:
    """Split a run that the reader returned (and checked): (proto_id, serial_no, body) for each frame.

    Raises:
        RemoteProtocolError: the run does not end where a frame ends: it is not from the reader.
    """
    pos, end = 0, len(raw)
    unpack = _HEADER_PARTS.unpack_from
    while pos < end:
        if pos + HEADER_SIZE > end:
            raise RemoteProtocolError(f"run of {end} bytes ends inside a header at {pos}")
        proto_id, serial_no, size = unpack(raw, pos)
        start = pos + HEADER_SIZE
        pos = start + size
        if pos > end:
            raise RemoteProtocolError(f"run of {end} bytes ends inside a body that should end at {pos}")
        yield proto_id, serial_no, raw[start:pos]


class SplitRun(NamedTuple):
    """A run with its ticker pushes separated.

    Attributes:
        pushes: the bodies of its ticker pushes.
        others: the other frames, each with its index among all frames of the run.
    """

    pushes: list[bytes]
    others: list[tuple[int, Frame]]


def split_run(raw: bytes) -> SplitRun:
    """Split a run that the reader returned: like `iter_frames`, but three times as fast.

    Raises:
        RemoteProtocolError: the run does not end where a frame ends: it is not from the reader.
    """
    pushes: list[bytes] = []
    others: list[tuple[int, Frame]] = []
    append = pushes.append
    unpack = _HEADER_PARTS.unpack_from
    pos, end = 0, len(raw)
    try:
        while pos < end:
            proto_id, serial_no, size = unpack(raw, pos)
            start = pos + HEADER_SIZE
            pos = start + size
            if proto_id == TICKER_PUSH:
                append(raw[start:pos])
            else:
                others.append((len(pushes) + len(others), Frame(proto_id, serial_no, raw[start:pos])))
    except struct.error:
        pos = -1
    if pos != end:
        raise RemoteProtocolError(f"run of {end} bytes does not end with a whole frame")
    return SplitRun(pushes, others)


class FrameReader:
    """Turns a stream of bytes, split anywhere, into runs of whole checked frames.

    After an error the reader is unusable: where the next frame begins can't be known. Drop the connection.
    """

    def __init__(self, cipher: Cipher | None = None, *, body_max: int = BODY_MAX) -> None:
        self.cipher = cipher
        self._body_max = body_max
        self._pending = bytearray()
        self._need = HEADER_SIZE  # pending bytes that are needed before another scan makes sense
        self._broken = False

    @property
    def pending_bytes(self) -> int:
        """Bytes of an unfinished frame: at the end of a stream, more than 0 means that it ended inside a frame."""
        return len(self._pending)

    @property
    def pending_header(self) -> PendingHeader | None:
        """The header of the unfinished frame; None while the header is not complete."""
        if len(self._pending) < HEADER_SIZE:
            return None
        return PendingHeader(*_HEADER_PARTS.unpack_from(self._pending))

    def feed(self, data: bytes) -> FrameRun:
        """Take bytes, return the whole frames that they complete.

        A fault in the stream (wrong magic, format, version, size or hash; a body that can't be decrypted) is returned
        as the run's `error`.
        """
        if self._broken:
            raise LocalProtocolError("bytes for a reader that has told an error")
        if self._pending:
            self._pending += data
            if len(self._pending) < self._need and self._pending[:2] in (_MAGIC, _MAGIC[:1]):
                return FrameRun(b"", 0, [], None)
            data = bytes(self._pending)
            self._pending.clear()
        return self._scan(data) if self.cipher is None else self._scan_encrypted(data, self.cipher)

    def feed_one(self, data: bytes) -> tuple[FrameRun, bytes]:
        """Take bytes until one frame is whole: (a run of that frame, the bytes after it).

        For the first frame of a connection, whose content decides how the next is read. Until it is whole, the run is
        empty.
        """
        data = bytes(self._pending) + data
        self._pending.clear()
        whole = HEADER_SIZE
        if len(data) >= HEADER_SIZE:
            whole += min(HEADER.unpack_from(data)[6], self._body_max)
        return self.feed(data[:whole]), data[whole:]

    def _end(self, data: bytes, pos: int, error: RemoteProtocolError | None) -> RemoteProtocolError | None:
        """Keep the beginning of an unfinished frame; reject garbage at its first bytes."""
        if error is None and pos < len(data):
            error = _check_beginning(data, pos)
        if error is not None:
            self._broken = True
            return error
        self._pending += data[pos:]
        have = len(self._pending)
        self._need = HEADER_SIZE if have < HEADER_SIZE else HEADER_SIZE + HEADER.unpack_from(self._pending)[6]
        return None

    def _scan(self, data: bytes) -> FrameRun:
        """Check plain frames in place.

        This loop runs for every frame that is received; it copies nothing that is not needed.
        """
        others: list[Frame] = []
        error = None
        pos = pushes = 0
        end = len(data)
        view = memoryview(data)
        unpack = HEADER.unpack_from
        body_max = self._body_max
        while end - pos >= HEADER_SIZE:
            f, t, proto_id, fmt, version, serial_no, size, digest, _ = unpack(data, pos)
            if f != b"F" or t != b"T" or fmt or version or size > body_max:
                error = _broken_header(data, pos, body_max)
                break
            start = pos + HEADER_SIZE
            stop = start + size
            if stop > end:
                break
            if sha1(view[start:stop]).digest() != digest:
                error = _broken_hash(proto_id, serial_no, size)
                break
            if proto_id == TICKER_PUSH:
                pushes += 1
            else:
                others.append(Frame(proto_id, serial_no, data[start:stop]))
            pos = stop
        error = self._end(data, pos, error)
        return FrameRun(data[:pos], pushes, others, error)

    def _scan_encrypted(self, data: bytes, cipher: Cipher) -> FrameRun:
        """The same for encrypted bodies: decrypt and check each, and put it into the run as plaintext."""
        others: list[Frame] = []
        run: list[bytes] = []
        error = None
        pos = pushes = 0
        end = len(data)
        while end - pos >= HEADER_SIZE:
            f, t, proto_id, fmt, version, serial_no, size, digest, _ = HEADER.unpack_from(data, pos)
            if f != b"F" or t != b"T" or fmt or version or size > self._body_max:
                error = _broken_header(data, pos, self._body_max)
                break
            stop = pos + HEADER_SIZE + size
            if stop > end:
                break
            try:
                body = cipher.decrypt(data[pos + HEADER_SIZE : stop])
            except RemoteProtocolError as exc:
                error = exc
                break
            if sha1(body).digest() != digest:
                error = _broken_hash(proto_id, serial_no, size)
                break
            run.append(encode(proto_id, serial_no, body))
            if proto_id == TICKER_PUSH:
                pushes += 1
            else:
                others.append(Frame(proto_id, serial_no, body))
            pos = stop
        error = self._end(data, pos, error)
        return FrameRun(b"".join(run), pushes, others, error)


def _check_beginning(data: bytes, pos: int) -> RemoteProtocolError | None:
    """What is already wrong with an unfinished frame, or None: waiting for the rest of it might hang."""
    seen = data[pos : pos + 2]
    if not _MAGIC.startswith(seen):
        return RemoteProtocolError(f"a frame begins with {seen!r}, expected b'FT'")
    if len(data) - pos < HEADER_SIZE:
        return None
    proto_id, _, size = _HEADER_PARTS.unpack_from(data, pos)
    if proto_id in _SMALL and size > SMALL_BODY_MAX:
        return _too_large(proto_id, size, SMALL_BODY_MAX)
    return None


def _too_large(proto_id: int, size: int, body_max: int) -> RemoteProtocolError:
    return RemoteProtocolError(
        f"frame of protoID {proto_id} claims a body of {size} bytes, at most {body_max} expected"
    )


def _broken_header(data: bytes, pos: int, body_max: int) -> RemoteProtocolError:
    f, t, proto_id, fmt, version, _, size, _, _ = HEADER.unpack_from(data, pos)
    if (f, t) != (b"F", b"T"):
        return RemoteProtocolError(f"a frame begins with {f + t!r}, expected b'FT'")
    if fmt != FORMAT_PROTOBUF:
        return RemoteProtocolError(f"frame of protoID {proto_id} has format {fmt}, expected 0 (protobuf)")
    if version != VERSION:
        return RemoteProtocolError(f"frame of protoID {proto_id} has version {version}, expected {VERSION}")
    return _too_large(proto_id, size, body_max)


def _broken_hash(proto_id: int, serial_no: int, size: int) -> RemoteProtocolError:
    return RemoteProtocolError(f"frame of protoID {proto_id}, serialNo {serial_no}, {size} bytes: SHA-1 does not match")
