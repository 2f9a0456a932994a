"""The segments as its reader sees it: whole records in order, and a report of everything that is not one."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from hk_tick_collector.journal import segments
from hk_tick_collector.journal.cursor import load_cursor, save_cursor
from hk_tick_collector.journal.segments import (
    HEADER_SIZE,
    Damage,
    JournalReader,
    Kind,
    Position,
    encode_record,
    iter_records,
    list_segments,
    segment_name,
)

if TYPE_CHECKING:
    from pathlib import Path

DAY = "20260731"
SESSION, RECV_TS_MS = 7, 1_785_463_200_000


def record(record_no: int, payload: bytes, kind: Kind = Kind.FRAMES) -> bytes:
    """A record as it stands in the file."""
    return encode_record(kind, SESSION, record_no, RECV_TS_MS + record_no, payload) + payload


def payload_of(record_no: int) -> bytes:
    """What the record of that number holds: of various lengths, from none on."""
    return bytes([record_no % 251]) * (record_no * 13 % 97)


def write(root: Path, segment: int, records: range, day: str = DAY) -> Path:
    """A segment with these records."""
    path = root / segment_name(day, segment)
    path.write_bytes(b"".join(record(number, payload_of(number)) for number in records))
    return path


def read_all(reader: JournalReader) -> list[int]:
    """The numbers of all records that are there, each of which must be what was written."""
    numbers = []
    while records := reader.read():
        for found in records:
            assert found.payload == payload_of(found.start.record_no)
            assert found.recv_ts_ms == RECV_TS_MS + found.start.record_no
            numbers.append(found.start.record_no)
    return numbers


def test_a_record_comes_back_as_it_was_written(tmp_path: Path) -> None:
    """Kind, session, time, payload and place of a record are those that were written."""
    payload = bytes(range(256)) * 3
    (tmp_path / segment_name(DAY, 3)).write_bytes(record(41, payload, Kind.EVENT) + record(42, b""))
    first, second = iter_records(tmp_path)
    assert (first.kind, first.session, first.recv_ts_ms, first.payload) == (
        Kind.EVENT,
        SESSION,
        RECV_TS_MS + 41,
        payload,
    )
    assert first.start == Position(3, 0, 41)
    assert first.end == second.start == Position(3, HEADER_SIZE + len(payload), 42)
    assert second.payload == b""
    assert second.end == Position(3, 2 * HEADER_SIZE + len(payload), 43)


def test_a_record_larger_than_one_reading_is_read(tmp_path: Path) -> None:
    """A reading gives about as many bytes as it was asked for, but always one record."""
    big = bytes(100_000)
    (tmp_path / segment_name(DAY, 1)).write_bytes(record(0, b"") + record(1, big) + record(2, b""))
    reader = JournalReader(tmp_path, None)
    sizes = []
    while records := reader.read(max_bytes=1000):
        sizes.append([len(found.payload) for found in records])
    reader.close()
    assert sizes == [[0], [100_000], [0]]
    assert reader.damages == []


def test_an_unfinished_record_is_waited_for(tmp_path: Path) -> None:
    """However far a record has been written, it is given out once, when it is whole, and nothing is called damaged."""
    whole = record(0, payload_of(3)) + record(1, payload_of(4))
    path = tmp_path / segment_name(DAY, 1)
    reader = JournalReader(tmp_path, None)
    numbers: list[int] = []
    for size in range(len(whole) + 1):
        path.write_bytes(whole[:size])
        numbers += [found.start.record_no for found in reader.read()]
    assert numbers == [0, 1]
    assert reader.damages == []
    reader.close()


def test_a_record_that_is_taken_back_is_not_damaged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Bytes that the appender replaces while they are being looked at are read again, and no record is passed over."""
    path = write(tmp_path, 1, range(3))
    whole = path.read_bytes()
    path.write_bytes(bytes(HEADER_SIZE) + whole[HEADER_SIZE:])  # as a truncation may be seen from outside
    looked_for = segments.find_record

    def find_after_rewrite(fd: int, offset: int) -> int | None:
        path.write_bytes(whole)
        return looked_for(fd, offset)

    monkeypatch.setattr(segments, "find_record", find_after_rewrite)
    reader = JournalReader(tmp_path, None)
    assert read_all(reader) == [0, 1, 2]
    assert reader.damages == []
    reader.close()


@pytest.mark.parametrize("where", ["header", "payload"])
def test_a_flipped_byte_in_the_middle_is_reported_and_passed_over(tmp_path: Path, where: str) -> None:
    """A record whose checksum fails is named with its place and size, and those behind it are read."""
    path = write(tmp_path, 1, range(10, 20))
    data = bytearray(path.read_bytes())
    starts = [found.start.offset for found in iter_records(tmp_path)]
    data[starts[4] + (5 if where == "header" else HEADER_SIZE)] ^= 1
    path.write_bytes(data)
    reader = JournalReader(tmp_path, None)
    assert read_all(reader) == [10, 11, 12, 13, 15, 16, 17, 18, 19]
    assert reader.damages == [
        Damage(1, starts[4], skipped_bytes=starts[5] - starts[4], missing_records=0),
        Damage(1, starts[5], skipped_bytes=0, missing_records=1),
    ]
    reader.close()


@pytest.mark.parametrize("cut_bytes", [1, 20, HEADER_SIZE, HEADER_SIZE + 1, 400])
@pytest.mark.parametrize("last", [True, False])
def test_bytes_missing_in_the_middle_hide_nothing_behind_them(tmp_path: Path, cut_bytes: int, *, last: bool) -> None:
    """A record that lost bytes, and so seems to reach over the end, does not hide the whole ones behind it."""
    payload = bytes(1000)
    before, torn, behind = record(0, payload_of(0)), record(1, payload), record(2, payload_of(2))
    path = tmp_path / segment_name(DAY, 1)
    path.write_bytes(before + torn[:-cut_bytes] + behind)
    if not last:
        write(tmp_path, 2, range(3, 5))
    reader = JournalReader(tmp_path, None, at_rest=last)
    assert read_all(reader) == ([0, 2] if last else [0, 2, 3, 4])
    assert Damage(1, len(before), len(torn) - cut_bytes, 0) in reader.damages
    assert sum(damage.missing_records for damage in reader.damages) == 1
    reader.close()


def test_a_tail_that_was_never_cut_is_reported_when_it_is_left(tmp_path: Path) -> None:
    """Bytes behind the last record of a segment are waited for as long as it is the newest, and then reported."""
    path = write(tmp_path, 1, range(2))
    size = path.stat().st_size
    with path.open("ab") as file:
        file.write(record(2, b"x" * 50)[:-1])
    reader = JournalReader(tmp_path, None)
    assert read_all(reader) == [0, 1]
    assert reader.damages == []
    write(tmp_path, 2, range(2, 4))
    assert read_all(reader) == [2, 3]
    assert reader.damages == [Damage(1, size, HEADER_SIZE + 49, 0)]
    reader.close()


def test_a_missing_segment_is_seen_by_the_record_numbers(tmp_path: Path) -> None:
    """A segment that is gone between two is a hole of so many records."""
    write(tmp_path, 1, range(5))
    write(tmp_path, 2, range(5, 12)).unlink()
    write(tmp_path, 3, range(12, 14))
    reader = JournalReader(tmp_path, None)
    assert read_all(reader) == [0, 1, 2, 3, 4, 12, 13]
    assert reader.damages == [Damage(3, 0, skipped_bytes=0, missing_records=7)]
    reader.close()


def test_the_first_record_of_a_pruned_journal_is_no_hole(tmp_path: Path) -> None:
    """Without a cursor reading begins at the oldest record that is there, whatever its number."""
    write(tmp_path, 4, range(100, 103))
    reader = JournalReader(tmp_path, None)
    assert reader.position is None
    assert read_all(reader) == [100, 101, 102]
    assert reader.damages == []
    reader.close()


def test_segments_are_read_in_the_order_of_their_numbers(tmp_path: Path) -> None:
    """A clock that went back over midnight names a later segment by an earlier day; its number counts."""
    write(tmp_path, 2, range(3, 5), day="20260730")
    write(tmp_path, 1, range(3), day="20260731")
    (tmp_path / "notes.txt").write_text("not ours")
    (tmp_path / "20260731-1.hkj").write_text("not ours either")
    reader = JournalReader(tmp_path, None)
    assert read_all(reader) == [0, 1, 2, 3, 4]
    reader.close()


def test_a_directory_that_is_not_there_is_an_empty_journal(tmp_path: Path) -> None:
    """A reader may come before the first appender."""
    reader = JournalReader(tmp_path / "journal", None)
    assert reader.read() == []
    assert reader.backlog_bytes() == 0
    reader.close()


def test_a_segment_that_is_pruned_while_it_is_listed_is_no_fault(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file that goes between being named and being looked at is passed over."""
    write(tmp_path, 1, range(2))
    write(tmp_path, 2, range(2, 4))
    scan = os.scandir

    def scan_then_prune(path: Path) -> list[os.DirEntry[str]]:
        with scan(path) as entries:
            found = list(entries)
        (tmp_path / segment_name(DAY, 1)).unlink()
        return found

    monkeypatch.setattr(os, "scandir", scan_then_prune)
    assert [segment.number for segment in list_segments(tmp_path)] == [2]


# ---- the cursor


def test_a_reader_goes_on_from_a_cursor(tmp_path: Path) -> None:
    """From any position that was given out exactly the records behind it follow, and the backlog is their bytes."""
    write(tmp_path, 1, range(6))
    write(tmp_path, 2, range(6, 9))
    total = sum(segment.size_bytes for segment in list_segments(tmp_path))
    done = 0
    for found in iter_records(tmp_path):
        save_cursor(tmp_path, found.end)
        done += HEADER_SIZE + len(found.payload)
        reader = JournalReader(tmp_path, load_cursor(tmp_path))
        assert reader.backlog_bytes() == total - done
        assert read_all(reader) == list(range(found.end.record_no, 9))
        assert reader.damages == []
        assert reader.backlog_bytes() == 0
        reader.close()
    assert done == total


def test_a_cursor_behind_the_end_of_its_segment_goes_on_in_the_next(tmp_path: Path) -> None:
    """After a power cut took a tail that was stored already, the next segment is read from its beginning."""
    size = write(tmp_path, 1, range(5)).stat().st_size
    reader = JournalReader(tmp_path, Position(1, size + 500, 9))
    assert reader.read() == []
    write(tmp_path, 2, range(5, 8))
    assert read_all(reader) == [5, 6, 7]
    assert reader.damages == [], "numbers that are used again were stored and lost, and are no hole"
    reader.close()


def test_a_cursor_in_a_segment_that_is_gone_goes_on_in_the_next_and_tells(tmp_path: Path) -> None:
    """A segment that was removed before it was read is a hole that is reported."""
    write(tmp_path, 3, range(20, 22))
    reader = JournalReader(tmp_path, Position(2, 100, 15))
    assert read_all(reader) == [20, 21]
    assert reader.damages == [Damage(3, 0, 0, missing_records=5)]
    reader.close()


def test_seek_goes_back_over_a_segments_end(tmp_path: Path) -> None:
    """What was read and not stored is read again from the cursor."""
    write(tmp_path, 1, range(3))
    write(tmp_path, 2, range(3, 5))
    reader = JournalReader(tmp_path, None)
    first = reader.read()
    assert read_all(reader) == [3, 4]
    reader.seek(first[0].end)
    assert read_all(reader) == [1, 2, 3, 4]
    reader.seek(None)
    assert read_all(reader) == [0, 1, 2, 3, 4]
    reader.close()
