"""The append-only log of everything that OpenD sent: the only way in.

Owns the files in `DATA_ROOT/journal`: names, records, checksums, torn tails. Never looks into a frame. Invariant: a
record that is read back is byte for byte one that was appended, in order; anything else that is found is reported,
never skipped silently.

A segment is `YYYYMMDD-NNNNNNNN.hkj`: the Hong Kong day of reception, and a number that only rises. Its records:

    magic "HKJ1" · kind u8 · 3 zero bytes · payload size u32 · session u32 · record number u64 · receive time ms i64 ·
    CRC-32 of the payload u32 · CRC-32 of these 36 bytes u32 · payload

The header has its own checksum, so that a corrupt size can't make a reader wait for bytes that never come. The record
number never starts again: a missing segment shows as a hole in it.

This module reads and names; `journal.append` is the recorder's end that writes.
"""

from __future__ import annotations

import contextlib
import os
import re
import struct
from enum import IntEnum
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple
from zlib import crc32

if TYPE_CHECKING:
    from collections.abc import Iterator

HEADER = struct.Struct("<4sB3xIIQqII")
HEADER_SIZE = HEADER.size
MAGIC = b"HKJ1"
_HEADER_CHECKED = HEADER_SIZE - 4  # all but the header's own checksum

# A connection's reader returns at most one socket read (256 KiB) and one unfinished frame (8 MiB) at a time.
PAYLOAD_MAX = 16 * 1024 * 1024

DIRECTORY = "journal"

_READ = os.O_RDONLY | getattr(os, "O_BINARY", 0)  # Windows would read text, and end at a byte 26

_SEGMENT_NAME = re.compile(r"(\d{8})-(\d{8})\.hkj")


class Kind(IntEnum):
    """What a record's payload is."""

    FRAMES = 1  # whole frames, end to end, bodies in plaintext
    EVENT = 2  # a JSON object


class Position(NamedTuple):
    """A place between two records, and the number of the record that begins there (-1: any)."""

    segment: int
    offset: int
    record_no: int


BEGINNING = Position(0, 0, -1)  # of the first segment, whatever its number is


class Record(NamedTuple):
    """One record. `end` is the place after it."""

    kind: int
    session: int
    recv_ts_ms: int
    payload: bytes
    start: Position
    end: Position


class Damage(NamedTuple):
    """Bytes that are not what was written, or records that are missing.

    Attributes:
        segment: where it was found.
        offset: where it begins.
        skipped_bytes: how many bytes lie before the next whole record, or before the segment's end.
        missing_records: how many records are missing, by their numbers.
    """

    segment: int
    offset: int
    skipped_bytes: int
    missing_records: int


class Segment(NamedTuple):
    """A file of the journal."""

    number: int
    day: str
    path: Path
    size_bytes: int


def segment_name(day: str, number: int) -> str:
    """`20261122-00000007.hkj`."""
    return f"{day}-{number:08d}.hkj"


def list_segments(root: Path) -> list[Segment]:
    """The segments of `DATA_ROOT/journal`, oldest first. Files with other names are not ours and are ignored."""
    try:
        entries = list(os.scandir(root))
    except FileNotFoundError:
        return []
    segments = []
    for entry in entries:
        if match := _SEGMENT_NAME.fullmatch(entry.name):
            with contextlib.suppress(FileNotFoundError):  # pruned meanwhile
                segments.append(Segment(int(match[2]), match[1], Path(entry.path), entry.stat().st_size))
    return sorted(segments)


def encode_record(kind: Kind, session: int, record_no: int, recv_ts_ms: int, payload: bytes) -> bytes:
    """The header of a record, as it stands in the file; the payload follows it."""
    head = HEADER.pack(MAGIC, kind, len(payload), session, record_no, recv_ts_ms, crc32(payload), 0)
    return head[:_HEADER_CHECKED] + crc32(head[:_HEADER_CHECKED]).to_bytes(4, "little")


class _Header(NamedTuple):
    kind: int
    size: int
    session: int
    record_no: int
    recv_ts_ms: int
    payload_crc: int


def _decode_header(data: bytes, offset: int) -> _Header | None:
    """The header at `offset`, or None if these bytes are not one."""
    magic, kind, size, session, record_no, recv_ts_ms, payload_crc, header_crc = HEADER.unpack_from(data, offset)
    if magic != MAGIC or size > PAYLOAD_MAX:
        return None
    if crc32(memoryview(data)[offset : offset + _HEADER_CHECKED]) != header_crc:
        return None
    return _Header(kind, size, session, record_no, recv_ts_ms, payload_crc)


class JournalReader:
    """Reads records from a position on, even while they are being appended.

    It keeps no bytes between two calls: an incomplete record is read again. So the appender may remove a half-written
    record (a full disk), and stale bytes are never returned.
    """

    def __init__(self, root: Path, start: Position | None, *, at_rest: bool = False) -> None:
        """Nothing is opened yet.

        Args:
            root: `DATA_ROOT/journal`.
            start: where to begin; None: at the oldest record.
            at_rest: nothing is appended, so a record that extends past the end is damaged, and not still being written.
        """
        self._root = root
        self._at_rest = at_rest
        self._position = start
        self._segments: list[Segment] = []
        self._file = -1
        self._file_segment = -1
        self.damages: list[Damage] = []

    @property
    def position(self) -> Position | None:
        """After the last record that was returned; None: none was yet, and there was no start."""
        return self._position

    def seek(self, position: Position | None) -> None:
        """Go back (or forward) to a position that was returned before."""
        self._position = position

    def close(self) -> None:
        """Close the open segment."""
        if self._file >= 0:
            os.close(self._file)
            self._file = self._file_segment = -1

    def read(self, max_bytes: int = 4 * 1024 * 1024) -> list[Record]:
        """The next whole records, up to about `max_bytes` (but at least one record); [] if there are none yet.

        Damage is added to `damages` and skipped.
        """
        while True:
            if not self._open():
                return []
            assert self._position is not None
            records = self._read_here(max_bytes, is_finished=self._at_rest)
            if records:
                self._position = records[-1].end
                return records
            following = self._next_segment()
            if following is None:
                return []
            # The appender has moved on to another segment, so this one is finished. Records that were appended before
            # that must be read first.
            records = self._read_here(max_bytes, is_finished=True)
            if records:
                self._position = records[-1].end
                return records
            self._leave(following)

    def backlog_bytes(self) -> int:
        """Bytes after the position: what is not read yet."""
        total = 0
        for segment in list_segments(self._root):
            if self._position is None or segment.number > self._position.segment:
                total += segment.size_bytes
            elif segment.number == self._position.segment:
                total += max(0, segment.size_bytes - self._position.offset)
        return total

    def _open(self) -> bool:
        """Open the position's segment; if that is gone, the position moves to the next one."""
        if self._position is not None and self._position.segment == self._file_segment:
            return True
        self._segments = list_segments(self._root)
        wanted = self._position.segment if self._position else 0
        for segment in self._segments:
            if segment.number < wanted:
                continue
            self.close()
            self._file = os.open(segment.path, _READ)
            self._file_segment = segment.number
            if self._position is None:
                self._position = Position(segment.number, 0, -1)
            elif segment.number != wanted:
                self._position = Position(segment.number, 0, self._position.record_no)
            return True
        return False

    def _next_segment(self) -> Segment | None:
        for segment in list_segments(self._root):
            if segment.number > self._file_segment:
                return segment
        return None

    def _leave(self, following: Segment) -> None:
        """Go to the next segment. Bytes that remain here are a torn tail that was never cut off."""
        assert self._position is not None
        rest = os.fstat(self._file).st_size - self._position.offset
        if rest > 0:
            self.damages.append(Damage(self._file_segment, self._position.offset, rest, 0))
        self._position = Position(following.number, 0, self._position.record_no)

    def _read_here(self, max_bytes: int, *, is_finished: bool) -> list[Record]:
        """Whole records of the open segment from the position on; `is_finished`: it is not being written any more."""
        assert self._position is not None
        segment, offset, expected = self._position
        data = _read_at(self._file, max_bytes, offset)
        records: list[Record] = []
        pos = 0
        while len(data) - pos >= HEADER_SIZE:
            header = _decode_header(data, pos)
            whole = pos + HEADER_SIZE + header.size if header else 0
            if header is not None and whole > len(data):
                if records:
                    break
                data = _read_at(self._file, HEADER_SIZE + header.size, offset)  # one record larger than max_bytes
                if len(data) >= HEADER_SIZE + header.size:
                    continue
                if not is_finished or not self._skip(offset):
                    break
                return self._read_here(max_bytes, is_finished=is_finished)
            payload = data[pos + HEADER_SIZE : whole]
            if header is None or crc32(payload) != header.payload_crc:
                if records or not self._skip(offset + pos):
                    break
                return self._read_here(max_bytes, is_finished=is_finished)
            # A lower number is harmless: a power cut took a tail that had been stored already.
            if -1 < expected < header.record_no:
                self.damages.append(Damage(segment, offset + pos, 0, header.record_no - expected))
            expected = header.record_no + 1
            start = Position(segment, offset + pos, header.record_no)
            end = Position(segment, offset + whole, expected)
            records.append(Record(header.kind, header.session, header.recv_ts_ms, payload, start, end))
            pos = whole
        return records

    def _skip(self, offset: int) -> bool:
        """Find the next whole record after damaged bytes; False if there is none in this segment."""
        assert self._position is not None
        found = find_record(self._file, offset)
        if found is None:
            return False
        if found == offset:
            return True  # it was read while the appender wrote it again, and is whole by now
        self.damages.append(Damage(self._file_segment, offset, found - offset, 0))
        self._position = Position(self._file_segment, found, self._position.record_no)
        return True


def find_record(fd: int, offset: int) -> int | None:
    """The offset of the first whole record at or after `offset`, or None."""
    size = os.fstat(fd).st_size
    data = _read_at(fd, size - offset, offset) if size > offset else b""
    at = data.find(MAGIC)
    while at >= 0:
        header = _decode_header(data, at) if len(data) - at >= HEADER_SIZE else None
        if header is not None:
            payload = data[at + HEADER_SIZE : at + HEADER_SIZE + header.size]
            if len(payload) == header.size and crc32(payload) == header.payload_crc:
                return offset + at
        at = data.find(MAGIC, at + 1)
    return None


def _read_at(fd: int, size: int, offset: int) -> bytes:
    """Up to `size` bytes from `offset` on. Windows has no `pread`."""
    os.lseek(fd, offset, os.SEEK_SET)
    return os.read(fd, size)


def iter_records(root: Path, start: Position | None = None) -> Iterator[Record]:
    """All records that exist now, from a position on; for tools that read a journal at rest."""
    reader = JournalReader(root, start, at_rest=True)
    try:
        while records := reader.read():
            yield from records
    finally:
        reader.close()
