"""Frames: every check on one, what is told of a broken stream, and what is kept of the bytes in front of it."""

from __future__ import annotations

from hashlib import sha1

import pytest

from hk_tick_collector.errors import LocalProtocolError, RemoteProtocolError
from hk_tick_collector.opend import frames
from hk_tick_collector.opend.crypto import FtAesEcb
from hk_tick_collector.opend.frames import BODY_MAX, HEADER, HEADER_SIZE, Frame, FrameReader, FrameRun, encode

PUSH = 3011
PROTO_AT, FORMAT_AT, VERSION_AT, SERIAL_AT, SIZE_AT, HASH_AT, RESERVED_AT = 2, 6, 7, 8, 12, 16, 36
NOTHING = FrameRun(b"", 0, [], None)


def header(
    size: int, *, magic: bytes = b"FT", fmt: int = 0, version: int = 0, body: bytes = b"", proto_id: int = 1004
) -> bytes:
    """A header that claims what it is told to, with the right hash of `body`."""
    return HEADER.pack(magic[:1], magic[1:], proto_id, fmt, version, 7, size, sha1(body).digest(), bytes(8))  # noqa: S324


def error_of(run: FrameRun) -> str:
    """The error that a run tells."""
    assert isinstance(run.error, RemoteProtocolError)
    return str(run.error)


def test_the_header_stands_byte_for_byte_as_published() -> None:
    """44 bytes, little-endian, each field in its place, and the SHA-1 of the body."""
    frame = encode(0x01020304, 0x0A0B0C0D, b"body")
    assert frame == (
        b"FT"
        b"\x04\x03\x02\x01"
        b"\x00"
        b"\x00"
        b"\x0d\x0c\x0b\x0a"
        b"\x04\x00\x00\x00"
        + sha1(b"body").digest()  # noqa: S324
        + bytes(8)
        + b"body"
    )
    assert HEADER_SIZE == 44


def test_whole_frames_are_given_out_in_order() -> None:
    """Pushes are counted, the others are cut out, and the run holds all of them as they came."""
    data = encode(PUSH, 1, b"a") + encode(1004, 2, b"") + encode(PUSH, 3, b"") + encode(3010, 4, b"dd")
    reader = FrameReader()
    assert reader.feed(data) == FrameRun(data, 2, [Frame(1004, 2, b""), Frame(3010, 4, b"dd")], None)
    assert reader.pending_bytes == 0


def test_no_bytes_give_nothing() -> None:
    """An empty chunk is no event, neither at the beginning nor inside a frame."""
    reader = FrameReader()
    assert reader.feed(b"") == NOTHING
    reader.feed(b"F")
    assert reader.feed(b"") == NOTHING
    assert reader.pending_bytes == 1


def test_byte_by_byte_gives_the_same_as_whole() -> None:
    """A frame is given out with its last byte and not before; pending_bytes counts up to there."""
    frame = encode(1004, 2, b"abc")
    reader = FrameReader()
    for count in range(1, len(frame)):
        assert reader.feed(frame[count - 1 : count]) == NOTHING
        assert reader.pending_bytes == count
    assert reader.feed(frame[-1:]) == FrameRun(frame, 0, [Frame(1004, 2, b"abc")], None)
    assert reader.pending_bytes == 0


def test_the_unfinished_frame_is_kept_and_goes_on_with_the_next_bytes() -> None:
    """A chunk that ends inside a frame gives those before it; pending_bytes says how much of it is there."""
    first, second = encode(PUSH, 1, b"a" * 100), encode(1003, 2, b"b" * 100)
    reader = FrameReader()
    assert reader.feed(first + second[:50]) == FrameRun(first, 1, [], None)
    assert reader.pending_bytes == 50
    assert reader.feed(second[50:] + first[:1]) == FrameRun(second, 0, [Frame(1003, 2, b"b" * 100)], None)
    assert reader.pending_bytes == 1


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (b"X", "a frame begins with b'X', expected b'FT'"),
        (b"TF", "a frame begins with b'TF', expected b'FT'"),
        (b"FX", "a frame begins with b'FX', expected b'FT'"),
        (b"HTTP/1.1 400 Bad Request\r\n\r\n" * 4, "a frame begins with b'HT', expected b'FT'"),
        (header(0, magic=b"fT"), "a frame begins with b'fT', expected b'FT'"),
        (header(0, fmt=1), "frame of protoID 1004 has format 1, expected 0 (protobuf)"),
        (header(0, version=3), "frame of protoID 1004 has version 3, expected 0"),
        (
            header(BODY_MAX + 1),
            f"frame of protoID 1004 claims a body of {BODY_MAX + 1} bytes, at most {BODY_MAX} expected",
        ),
        (
            header(0xFFFFFFFF),
            f"frame of protoID 1004 claims a body of 4294967295 bytes, at most {BODY_MAX} expected",
        ),
        (header(3, body=b"abc") + b"abd", "frame of protoID 1004, serialNo 7, 3 bytes: SHA-1 does not match"),
        (header(0, body=b"abc"), "frame of protoID 1004, serialNo 7, 0 bytes: SHA-1 does not match"),
    ],
)
@pytest.mark.parametrize("encrypted", [False, True])
def test_a_broken_frame_is_told_with_what_was_seen_and_expected(data: bytes, text: str, *, encrypted: bool) -> None:
    """Each fault has its own message, and it comes as soon as its bytes are there, plain or encrypted."""
    if encrypted:
        cipher = FtAesEcb(b"k" * 16)
        if "SHA-1" in text:  # the size of what is on the wire is another one
            wire = cipher.encrypt(data[HEADER_SIZE:])
            data = HEADER.pack(*HEADER.unpack(data[:HEADER_SIZE])[:6], len(wire), data[16:36], bytes(8)) + wire
            text = text.replace(" 3 bytes", " 32 bytes").replace(" 0 bytes", " 16 bytes")
        reader = FrameReader(cipher)
    else:
        reader = FrameReader()
    assert error_of(reader.feed(data)) == text


def test_garbage_is_refused_at_its_first_byte_behind_whole_frames() -> None:
    """It does not wait for a whole header, which may never come; and the frame in front is not lost."""
    frame = encode(PUSH, 1, b"a")
    run = FrameReader().feed(frame + b"\x00")
    assert (run.raw, run.pushes) == (frame, 1)
    assert error_of(run) == "a frame begins with b'\\x00', expected b'FT'"


def test_garbage_is_refused_at_its_first_byte_in_a_chunk_of_its_own() -> None:
    """Also where the first letter of the magic was right and came alone."""
    reader = FrameReader()
    assert reader.feed(b"F") == NOTHING
    assert error_of(reader.feed(b"F")) == "a frame begins with b'FF', expected b'FT'"


def test_an_oversize_header_is_refused_before_its_body() -> None:
    """Nothing is collected for a body that is not allowed; the 44th byte of the header is enough."""
    data = header(101)
    reader = FrameReader(body_max=100)
    assert reader.feed(data[:43]) == NOTHING
    assert error_of(reader.feed(data[43:])) == "frame of protoID 1004 claims a body of 101 bytes, at most 100 expected"


@pytest.mark.parametrize("proto_id", [1001, 1002, 1003, 1004, 3001, 3002])
def test_what_is_never_large_may_not_claim_to_be(proto_id: int) -> None:
    """A notice or a state of 8 MB would swallow all that comes after it; a push or a list may be as long."""
    error = error_of(FrameReader().feed(HEADER.pack(b"F", b"T", proto_id, 0, 0, 7, 65_537, bytes(20), bytes(8))))
    assert error == f"frame of protoID {proto_id} claims a body of 65537 bytes, at most 65536 expected"
    for allowed, size in ((proto_id, 65_536), (3011, BODY_MAX), (3010, BODY_MAX), (3003, BODY_MAX)):
        reader = FrameReader()
        assert reader.feed(HEADER.pack(b"F", b"T", allowed, 0, 0, 7, size, bytes(20), bytes(8))) == NOTHING
        assert reader.pending_header == (allowed, 7, size)


def test_a_body_of_exactly_the_limit_is_read() -> None:
    """The limit itself is allowed, one byte more is not."""
    frame = encode(1004, 1, b"x" * 100)
    assert FrameReader(body_max=100).feed(frame) == FrameRun(frame, 0, [Frame(1004, 1, b"x" * 100)], None)
    assert FrameReader(body_max=99).feed(frame).error is not None


@pytest.mark.parametrize("encrypted", [False, True])
def test_whole_frames_before_a_broken_one_are_given_out(*, encrypted: bool) -> None:
    """The error is a value: what reached this machine in front of it is in the same run."""
    cipher = FtAesEcb(b"k" * 16) if encrypted else None
    good = [(PUSH, 1, b"one"), (1003, 2, b"two")]
    wire = [encode(*frame, cipher) for frame in good]
    broken = bytearray(encode(PUSH, 3, b"three", cipher))
    broken[HASH_AT] ^= 1
    run = FrameReader(cipher).feed(b"".join(wire) + broken + encode(PUSH, 4, b"four", cipher))
    assert run.raw == b"".join(encode(*frame) for frame in good)
    assert (run.pushes, run.frames) == (1, [Frame(1003, 2, b"two")])
    assert "serialNo 3" in error_of(run)


def test_the_hash_is_checked_for_every_kind_of_frame() -> None:
    """A ticker push, of which there are most, is checked as any other."""
    for proto_id in (PUSH, 1001, 1004):
        data = bytearray(encode(proto_id, 1, b"body"))
        data[-1] ^= 0x80
        assert error_of(FrameReader().feed(bytes(data))) == (
            f"frame of protoID {proto_id}, serialNo 1, 4 bytes: SHA-1 does not match"
        )


@pytest.mark.parametrize("at", [PROTO_AT, SERIAL_AT, RESERVED_AT])
def test_the_hash_does_not_cover_these_parts_of_the_header(at: int) -> None:
    """protoID, serialNo and the reserved bytes are under no checksum but TCP's: a change in them is not seen."""
    data = bytearray(encode(1004, 1, b"body"))
    data[at] ^= 2
    run = FrameReader().feed(bytes(data))
    assert run.error is None
    assert [frame.body for frame in run.frames] == [b"body"]


def test_nothing_may_be_fed_after_an_error() -> None:
    """Where the next frame begins is not known: the connection must be dropped, and more bytes are our own fault."""
    reader = FrameReader()
    assert reader.feed(b"X").error is not None
    with pytest.raises(LocalProtocolError, match="bytes for a reader that has told an error"):
        reader.feed(encode(1004, 1, b""))
    with pytest.raises(LocalProtocolError):
        reader.feed_one(encode(1004, 1, b""))


def test_encrypted_bodies_are_put_into_the_run_as_plaintext() -> None:
    """What the journal stores needs no key: frames in plaintext, with a length and a hash that fit."""
    cipher = FtAesEcb(b"k" * 16)
    wire = encode(PUSH, 1, b"push", cipher) + encode(1004, 2, b"", cipher)
    reader = FrameReader(cipher)
    assert reader.feed(wire[:70]) == NOTHING
    plain = encode(PUSH, 1, b"push") + encode(1004, 2, b"")
    assert reader.feed(wire[70:]) == FrameRun(plain, 1, [Frame(1004, 2, b"")], None)
    assert FrameReader().feed(plain).error is None


def test_a_body_that_cannot_be_decrypted_is_told() -> None:
    """The cipher's own error comes as the run's, behind the frames that were whole."""
    cipher = FtAesEcb(b"k" * 16)
    good = encode(1004, 1, b"x", cipher)
    run = FrameReader(cipher).feed(good + encode(1004, 2, b"not encrypted"))
    assert run.raw == encode(1004, 1, b"x")
    assert error_of(run) == "FTAES_ECB body of 13 bytes, expected a multiple of 16 with a tail"


def test_another_key_is_told_by_the_hash() -> None:
    """Whatever another key makes of a body, its hash does not match."""
    wire = encode(1004, 1, b"x" * 40, FtAesEcb(b"k" * 16))
    assert "SHA-1 does not match" in error_of(FrameReader(FtAesEcb(b"K" * 16)).feed(wire))


def test_feed_one_stops_behind_one_frame() -> None:
    """The bytes behind the first frame come back untouched, however many there are, and are not pending."""
    first, rest = encode(1001, 1, b"init"), encode(PUSH, 2, b"push") + b"FT"
    reader = FrameReader()
    run, behind = reader.feed_one(first + rest)
    assert run == FrameRun(first, 0, [Frame(1001, 1, b"init")], None)
    assert behind == rest
    assert reader.pending_bytes == 0


def test_feed_one_waits_for_a_frame_in_pieces() -> None:
    """Byte by byte the run is empty until the frame is whole; the byte behind it comes back."""
    data = encode(1001, 1, b"init") + b"F"
    reader = FrameReader()
    for place in range(len(data) - 2):
        assert reader.feed_one(data[place : place + 1]) == (NOTHING, b"")
    run, behind = reader.feed_one(data[-2:])
    assert (run.frames, behind) == ([Frame(1001, 1, b"init")], b"F")


@pytest.mark.parametrize("data", [b"X", b"FX", header(BODY_MAX + 1) + b"x" * 100, header(0, fmt=1)])
def test_feed_one_refuses_what_feed_refuses(data: bytes) -> None:
    """A first frame that is broken is told at once, with the same error."""
    run, _ = FrameReader().feed_one(data)
    assert error_of(run) == error_of(FrameReader().feed(data))


@pytest.mark.parametrize("serial_no", [-1, 1 << 32])
def test_a_serial_number_that_does_not_fit_is_our_fault(serial_no: int) -> None:
    """It would go over the wire as another one."""
    with pytest.raises(LocalProtocolError, match=f"serialNo {serial_no} does not fit in 32 bits"):
        encode(1004, serial_no, b"")


@pytest.mark.parametrize("serial_no", [0, (1 << 32) - 1])
def test_the_outermost_serial_numbers_are_kept(serial_no: int) -> None:
    """Both ends of the 32 bits come back as they were."""
    assert FrameReader().feed(encode(1004, serial_no, b"")).frames == [Frame(1004, serial_no, b"")]


def test_a_body_over_the_limit_is_never_sent() -> None:
    """What the other side would refuse is refused here; the limit counts what is on the wire."""
    with pytest.raises(LocalProtocolError, match=f"body of {BODY_MAX + 1} bytes, at most {BODY_MAX} are allowed"):
        encode(1004, 1, bytes(BODY_MAX + 1))
    with pytest.raises(LocalProtocolError, match=f"body of {BODY_MAX + 16} bytes"):
        encode(1004, 1, bytes(BODY_MAX), FtAesEcb(b"k" * 16))


def test_a_run_is_cut_into_its_frames() -> None:
    """Both ways of cutting give every frame; one of them in order, the other with the pushes apart."""
    given = [(PUSH, 1, b"a"), (1003, 2, b""), (PUSH, 3, b""), (PUSH, 4, b"b" * 70), (3010, 5, b"c")]
    raw = b"".join(encode(*frame) for frame in given)
    assert list(frames.iter_frames(raw)) == given
    split = frames.split_run(raw)
    assert split.pushes == [b"a", b"", b"b" * 70]
    assert split.others == [(1, Frame(1003, 2, b"")), (4, Frame(3010, 5, b"c"))]


def test_an_empty_run_has_no_frames() -> None:
    """A feeding that completed nothing is nothing to cut."""
    assert list(frames.iter_frames(b"")) == []
    assert frames.split_run(b"") == ([], [])


@pytest.mark.parametrize("cut", [1, 43, 44, 45, 47])
def test_a_run_that_does_not_end_with_a_frame_is_refused(cut: int) -> None:
    """Bytes that the reader never gave out so are told with where they end, by both ways of cutting."""
    whole = encode(PUSH, 1, b"first")
    raw = whole + encode(PUSH, 2, b"abcd")[:cut]
    cutting = frames.iter_frames(raw)
    assert next(cutting) == (PUSH, 1, b"first")
    where = f"a header at {len(whole)}" if cut < 44 else f"a body that should end at {len(whole) + 48}"
    with pytest.raises(RemoteProtocolError, match=f"run of {len(raw)} bytes ends inside {where}"):
        next(cutting)
    with pytest.raises(RemoteProtocolError, match=f"run of {len(raw)} bytes does not end with a whole frame"):
        frames.split_run(raw)
