"""Whatever happens to the journal's bytes: a record that is given out was appended, and what is lost is reported."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import NamedTuple

from hypothesis import example, given
from hypothesis import strategies as st

from hk_tick_collector.journal.append import Journal
from hk_tick_collector.journal.segments import (
    HEADER_SIZE,
    JournalReader,
    Kind,
    encode_record,
    list_segments,
    segment_name,
)

PAYLOADS = st.one_of(
    st.binary(max_size=60),
    st.binary(min_size=200, max_size=400),
    # What a reader that looks for the next record must not fall for.
    st.sampled_from([b"HKJ1", b"HKJ1" * 20, encode_record(Kind.FRAMES, 1, 2, 3, b"bait") + b"bai"]),
)
SEGMENTS = st.lists(st.lists(PAYLOADS, max_size=6), min_size=1, max_size=3)


class Written(NamedTuple):
    """A record as it was appended."""

    record_no: int
    kind: int
    session: int
    recv_ts_ms: int
    payload: bytes


def write(root: Path, segments: list[list[bytes]]) -> dict[int, Written]:
    """A journal with these payloads, by record number."""
    written: dict[int, Written] = {}
    for number, payloads in enumerate(segments, 1):
        data = b""
        for payload in payloads:
            kind = Kind.EVENT if len(payload) % 3 == 0 else Kind.FRAMES
            record = Written(len(written), kind, number, 1_785_463_200_000 + len(written), payload)
            written[record.record_no] = record
            data += encode_record(kind, number, record.record_no, record.recv_ts_ms, payload) + payload
        (root / segment_name("20260731", number)).write_bytes(data)
    return written


def read(reader: JournalReader, max_bytes: int = 300) -> list[Written]:
    """All that can be read."""
    found = []
    while records := reader.read(max_bytes):
        found += [Written(r.start.record_no, r.kind, r.session, r.recv_ts_ms, r.payload) for r in records]
    return found


@given(segments=SEGMENTS, max_bytes=st.integers(HEADER_SIZE, 2000))
def test_all_records_come_back_whatever_a_reading_holds(segments: list[list[bytes]], max_bytes: int) -> None:
    """Records and their order are the same for readings of any size, and from every position within."""
    with tempfile.TemporaryDirectory() as directory:
        root = Path(directory)
        written = list(write(root, segments).values())
        reader = JournalReader(root, None)
        assert read(reader, max_bytes) == written
        assert reader.damages == []
        reader.seek(None)
        places = [record.end for record in reader.read(10_000)]
        for place in places:
            reader.seek(place)
            assert read(reader, max_bytes) == written[place.record_no :]
        assert reader.damages == []
        reader.close()


@given(
    segments=SEGMENTS,
    hurt=st.lists(st.tuples(st.integers(0, 10_000), st.integers(1, 255)), min_size=1, max_size=4),
    at_rest=st.booleans(),
)
def test_flipped_bytes_never_make_a_wrong_record(
    segments: list[list[bytes]], hurt: list[tuple[int, int]], *, at_rest: bool
) -> None:
    """After any bytes were changed only records that were appended are given out, and a lost one is reported.

    One that is lost at the newest segment's end can't be told from one that is still being written: it shows as bytes
    that stay unread.
    """
    with tempfile.TemporaryDirectory() as directory:
        root = Path(directory)
        written = write(root, segments)
        for at, mask in hurt:
            files = [segment for segment in list_segments(root) if segment.size_bytes]
            if not files:
                return
            segment = files[at % len(files)]
            data = bytearray(segment.path.read_bytes())
            data[at % len(data)] ^= mask
            segment.path.write_bytes(data)
        reader = JournalReader(root, None, at_rest=at_rest)
        found = read(reader)
        numbers = [record.record_no for record in found]
        assert numbers == sorted(set(numbers))
        assert all(record == written[record.record_no] for record in found)
        if len(found) < len(written):
            assert reader.damages or reader.backlog_bytes()
        # All that lies before the first damage is there, and so is every whole record behind it.
        assert len(written) - len(found) <= len(hurt)
        reader.close()


def in_common(one: bytes, other: bytes) -> int:
    """How many bytes two begin with alike."""
    differing = (place for place, (a, b) in enumerate(zip(one, other, strict=False)) if a != b)
    return next(differing, min(len(one), len(other)))


@given(segments=SEGMENTS, cut_from=st.integers(0, 5000), cut_bytes=st.integers(1, 600), segment=st.integers(0, 2))
@example(segments=[[b"", b"\x00\x001", b""]], cut_from=330, cut_bytes=4, segment=0)
def test_bytes_that_are_gone_never_make_a_wrong_record(
    segments: list[list[bytes]], cut_from: int, cut_bytes: int, segment: int
) -> None:
    """After bytes were taken out of a segment every record that is still whole is given out, and no other."""
    with tempfile.TemporaryDirectory() as directory:
        root = Path(directory)
        written = write(root, segments)
        file = list_segments(root)[segment % len(segments)]
        whole = file.path.read_bytes()
        start = cut_from % (len(whole) + 1)
        left = whole[:start] + whole[start + cut_bytes :]
        file.path.write_bytes(left)
        # Where bytes repeat, other cuts leave the same: a record that one of them does not touch is still whole.
        latest = in_common(whole, left)
        earliest = len(left) - in_common(whole[::-1], left[::-1])
        gone = len(whole) - len(left)
        hurt = set()
        begin = 0
        for record_no, record in written.items():
            if record.session == file.number:
                end = begin + HEADER_SIZE + len(record.payload)
                if begin < earliest + gone and end > latest:
                    hurt.add(record_no)
                begin = end
        reader = JournalReader(root, None, at_rest=True)
        found = read(reader)
        reader.close()
        assert found == [record for number, record in written.items() if number not in hurt]


@given(segments=SEGMENTS, size=st.integers(0, 5000))
def test_a_start_cuts_only_what_is_no_record(segments: list[list[bytes]], size: int) -> None:
    """Wherever the last segment ends, the start keeps each whole record, and what it appends is read behind them."""
    with tempfile.TemporaryDirectory() as directory:
        root = Path(directory)
        written = write(root, segments)
        last = list_segments(root)[-1]
        size %= last.size_bytes + 1
        last.path.write_bytes(last.path.read_bytes()[:size])
        kept = read(JournalReader(root, None))
        journal = Journal(root, segment_bytes=1 << 20, buffer_bytes=1 << 20, sync_ms=10)
        cut = journal.start()
        journal.append_frames(9, 5, b"new")
        assert journal.close(60)
        reader = JournalReader(root, None)
        found = read(reader)
        assert reader.damages == []
        reader.close()
        assert found[:-1] == kept == [written[record.record_no] for record in kept]
        assert (found[-1].payload, found[-1].record_no) == (b"new", len(kept))
        assert 0 <= cut <= size
