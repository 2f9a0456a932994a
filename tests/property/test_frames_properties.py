"""Frames under any slicing and any damage."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

from hypothesis import given
from hypothesis import strategies as st

from hk_tick_collector.errors import RemoteProtocolError
from hk_tick_collector.opend.crypto import FtAesEcb, PacketEncAlgo, packet_cipher
from hk_tick_collector.opend.frames import HEADER_SIZE, Frame, FrameReader, encode, iter_frames, split_run

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hk_tick_collector.opend.frames import Cipher

PUSH = 3011
FRAMES = st.lists(
    st.builds(
        Frame,
        st.sampled_from([PUSH, PUSH, 1003, 1004, 3010]),
        st.integers(0, (1 << 32) - 1),
        st.binary(max_size=80),
    ),
    max_size=8,
)
CIPHERS = st.sampled_from(
    [None, FtAesEcb(b"0123456789abcdef"), packet_cipher(PacketEncAlgo.AES_CBC, "0123456789abcdef", "fedcba9876543210")]
)


def read(chunks: Sequence[bytes], cipher: Cipher | None = None) -> tuple[bytes, int, list[Frame], bool, int]:
    """All that a reader gives out for these chunks: (raw, pushes, others, whether it ended broken, pending)."""
    reader = FrameReader(cipher)
    raw, pushes = b"", 0
    others: list[Frame] = []
    for chunk in chunks:
        run = reader.feed(chunk)
        raw, pushes, others = raw + run.raw, pushes + run.pushes, others + run.frames
        if run.error is not None:
            assert isinstance(run.error, RemoteProtocolError)
            return raw, pushes, others, True, 0
    return raw, pushes, others, False, reader.pending_bytes


def sliced(data: bytes, cuts: list[int]) -> list[bytes]:
    """The bytes, cut at these places (modulo their length)."""
    places = sorted({cut % (len(data) + 1) for cut in cuts} | {0, len(data)})
    return [data[a:b] for a, b in pairwise(places)]


def in_order(raw: bytes) -> list[Frame]:
    """The frames of a run."""
    return [Frame(*frame) for frame in iter_frames(raw)]


@given(FRAMES, st.lists(st.integers(0, 2000), max_size=30), CIPHERS)
def test_any_slicing_gives_the_same_events_as_whole(sent: list[Frame], cuts: list[int], cipher: Cipher | None) -> None:
    """Every frame that was sent comes out once, in order, in plaintext, wherever the stream is cut."""
    wire = b"".join(encode(*frame, cipher) for frame in sent)
    plain = b"".join(encode(*frame) for frame in sent)
    others = [frame for frame in sent if frame.proto_id != PUSH]
    expected = (plain, len(sent) - len(others), others, False, 0)
    assert read([wire], cipher) == expected
    assert read(sliced(wire, cuts), cipher) == expected
    assert in_order(plain) == sent


@given(FRAMES)
def test_split_run_gives_the_same_as_iter_frames(sent: list[Frame]) -> None:
    """Pushes apart and the others with their places make the same list again."""
    split = split_run(b"".join(encode(*frame) for frame in sent))
    assert split.pushes == [frame.body for frame in sent if frame.proto_id == PUSH]
    assert split.others == [(place, frame) for place, frame in enumerate(sent) if frame.proto_id != PUSH]


@given(FRAMES, st.data(), CIPHERS)
def test_a_stream_cut_off_gives_what_was_whole_and_says_what_was_not(
    sent: list[Frame], data: st.DataObject, cipher: Cipher | None
) -> None:
    """All frames before the cut are out, and pending_bytes is 0 exactly if the cut was between two frames."""
    wire = [encode(*frame, cipher) for frame in sent]
    whole = b"".join(wire)
    cut = data.draw(st.integers(0, len(whole)))
    raw, _, _, broken, pending = read([whole[:cut]], cipher)
    out = in_order(raw)
    assert not broken
    assert out == sent[: len(out)]
    assert pending == cut - sum(len(frame) for frame in wire[: len(out)])
    assert len(out) == len(sent) or pending < len(wire[len(out)])


@given(
    st.lists(
        st.one_of(
            st.binary(max_size=60),
            st.builds(lambda rest: b"FT" + rest, st.binary(max_size=90)),
            FRAMES.map(lambda sent: b"".join(encode(*frame) for frame in sent)),
        ),
        max_size=8,
    ),
    st.lists(st.integers(0, 2000), max_size=10),
    CIPHERS,
)
def test_arbitrary_bytes_give_frames_or_an_error_and_nothing_else(
    pieces: list[bytes], cuts: list[int], cipher: Cipher | None
) -> None:
    """No bytes raise: they are frames, the beginning of one, or a RemoteProtocolError as a value; in any slicing."""
    data = b"".join(pieces)
    whole = read([data], cipher)
    assert in_order(whole[0]) is not None
    assert read(sliced(data, cuts), cipher) == whole


@given(FRAMES.filter(bool), st.data(), CIPHERS)
def test_a_changed_byte_never_yields_a_frame_that_was_not_sent(
    sent: list[Frame], data: st.DataObject, cipher: Cipher | None
) -> None:
    """Magic, format, version, size, hash and body are all protected: a change in them ends the stream there.

    Not protected by anything in a frame are protoID, serialNo and the 8 reserved bytes; and FTAES has 15 bytes in its
    tail, and its padding, that mean nothing: a change there may leave the body as it was. A size that grew may also
    leave the reader waiting for bytes that never come.
    """
    wire = [encode(*frame, cipher) for frame in sent]
    victim = data.draw(st.integers(0, len(sent) - 1))
    size = len(wire[victim])
    protected = [*range(2), *range(6, 8), *range(12, 36), *range(HEADER_SIZE, size)]
    if isinstance(cipher, FtAesEcb):
        protected = [at for at in protected if at < size - 16 or at == size - 1]
    at = data.draw(st.sampled_from(protected))
    changed = bytearray(wire[victim])
    changed[at] ^= data.draw(st.integers(1, 255))
    raw, _, _, broken, pending = read([b"".join([*wire[:victim], bytes(changed), *wire[victim + 1 :]])], cipher)
    out = in_order(raw)
    if isinstance(cipher, FtAesEcb) and len(out) > victim:
        assert size - 32 <= at < size - 16  # the block with the padding
        assert out == sent
    else:
        assert out == sent[:victim]
        assert broken or (pending and 12 <= at < 16)
