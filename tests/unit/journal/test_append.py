"""The journal's appender: what it confirms is on the disk, its caller never waits, and a full disk loses nothing."""

from __future__ import annotations

import errno
import os
import threading
import time
from itertools import pairwise
from typing import TYPE_CHECKING

import pytest
from support.needs import mount, unmount

from hk_tick_collector.errors import JournalError
from hk_tick_collector.journal import append as append_module
from hk_tick_collector.journal.append import Journal
from hk_tick_collector.journal.cursor import save_cursor
from hk_tick_collector.journal.segments import (
    HEADER_SIZE,
    JournalReader,
    Kind,
    Position,
    encode_record,
    iter_records,
    list_segments,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    MakeJournal = Callable[..., Journal]

# 12:00 in Hong Kong on 2026-07-31.
NOON_MS = 1_785_470_400_000
DAY_MS = 86_400_000
WAIT_SEC = 60.0


class Clock:
    """The host's clock, set by the test."""

    def __init__(self) -> None:
        self.ms = NOON_MS

    def __call__(self) -> int:
        """UTC epoch ms."""
        return self.ms


@pytest.fixture
def clock() -> Clock:
    """A clock that stands still."""
    return Clock()


@pytest.fixture
def make(tmp_path: Path, clock: Clock) -> Iterator[MakeJournal]:
    """Make journals; all are closed afterwards."""
    made: list[Journal] = []

    def make_one(
        root: Path = tmp_path, *, segment_bytes: int = 1 << 30, buffer_bytes: int = 1 << 20, sync_ms: int = 10
    ) -> Journal:
        one = Journal(root, segment_bytes=segment_bytes, buffer_bytes=buffer_bytes, sync_ms=sync_ms, clock_ms=clock)
        made.append(one)
        return one

    yield make_one
    for one in made:
        one.close(0.5)


def until(what: Callable[[], bool]) -> None:
    """Wait for a condition."""
    deadline = time.monotonic() + WAIT_SEC
    while not what():
        assert time.monotonic() < deadline, "it never came"
        time.sleep(0.005)


def payloads(root: Path) -> list[bytes]:
    """What the journal holds, which must be numbered without a hole."""
    records = list(iter_records(root))
    numbers = [record.start.record_no for record in records]
    assert numbers == list(range(numbers[0] if numbers else 0, (numbers[0] if numbers else 0) + len(numbers)))
    return [record.payload for record in records]


def test_what_is_appended_is_read_back(tmp_path: Path, make: MakeJournal) -> None:
    """Frames and events come back in order, with session and receive time."""
    journal = make()
    assert journal.start() == 0
    journal.append_event(5, 10, {"event": "session_up"})
    journal.append_frames(5, 11, b"frames")
    journal.append_frames(6, 12, b"")
    assert journal.close(WAIT_SEC)
    told = [(r.kind, r.session, r.recv_ts_ms, r.payload) for r in iter_records(tmp_path)]
    assert told == [
        (Kind.EVENT, 5, 10, b'{"event":"session_up"}'),
        (Kind.FRAMES, 5, 11, b"frames"),
        (Kind.FRAMES, 6, 12, b""),
    ]
    assert journal.buffered_bytes == 0
    assert journal.bytes_written == sum(segment.size_bytes for segment in list_segments(tmp_path))


def test_an_unusable_directory_is_one_clear_error(tmp_path: Path, make: MakeJournal) -> None:
    """A file where the directory should be stops the start and names it."""
    (tmp_path / "journal").write_text("in the way")
    with pytest.raises(JournalError, match=f"journal in {tmp_path}/journal can't be used: "):
        make(tmp_path / "journal").start()


def test_records_go_on_counting_over_restarts(tmp_path: Path, make: MakeJournal) -> None:
    """Each start begins a new segment, and numbers go on, also over starts that appended nothing."""
    for start in range(4):
        journal = make()
        assert journal.start() == 0
        if start != 2:
            journal.append_frames(1, NOON_MS, bytes([start]))
        assert journal.close(WAIT_SEC)
    assert payloads(tmp_path) == [b"\x00", b"\x01", b"\x03"]
    assert [segment.number for segment in list_segments(tmp_path)] == [1, 2, 3, 4]


def test_a_torn_tail_is_cut_off_at_every_byte(tmp_path: Path, make: MakeJournal) -> None:
    """Wherever a crash stopped the last record, the start cuts exactly that record off, and goes on with its number."""
    journal = make()
    journal.start()
    for number in range(3):
        journal.append_frames(1, NOON_MS, bytes([number]) * 9)
        journal.flush(WAIT_SEC)
    journal.close(WAIT_SEC)
    (segment,) = list_segments(tmp_path)
    whole = segment.path.read_bytes()
    last = len(whole) - HEADER_SIZE - 9
    for size in range(last, len(whole) + 1):
        for other in list_segments(tmp_path):
            other.path.unlink()
        segment.path.write_bytes(whole[:size])
        again = make()
        cut = again.start()
        again.append_frames(1, NOON_MS, b"new")
        again.close(WAIT_SEC)
        kept = [b"\x00" * 9, b"\x01" * 9] if size < len(whole) else [b"\x00" * 9, b"\x01" * 9, b"\x02" * 9]
        assert cut == (size - last if size < len(whole) else 0)
        assert payloads(tmp_path) == [*kept, b"new"]
        reader = JournalReader(tmp_path, None)
        while reader.read():
            pass
        reader.close()
        assert reader.damages == []


def test_a_torn_middle_is_not_cut(tmp_path: Path, make: MakeJournal) -> None:
    """A damaged record with whole ones behind it stays as it is: only a tail is cut."""
    records = [encode_record(Kind.FRAMES, 1, n, NOON_MS, b"x" * 500) + b"x" * 500 for n in range(3)]
    path = tmp_path / "20260731-00000001.hkj"
    path.write_bytes(records[0] + records[1][:-300] + records[2])
    before = path.read_bytes()
    journal = make()
    assert journal.start() == 0
    journal.append_frames(1, NOON_MS, b"new")
    journal.close(WAIT_SEC)
    assert path.read_bytes() == before
    assert [record.start.record_no for record in iter_records(tmp_path)] == [0, 2, 3]


def test_segments_begin_anew_by_size_and_day(tmp_path: Path, make: MakeJournal, clock: Clock) -> None:
    """A segment that is large enough, or of yesterday, is followed by the next; its name tells the Hong Kong day."""
    journal = make(segment_bytes=1000)
    journal.start()
    for number in range(8):
        if number == 5:
            clock.ms += DAY_MS
        journal.append_frames(1, clock.ms, bytes([number]) * 600)
        assert journal.flush(WAIT_SEC)
    journal.close(WAIT_SEC)
    assert payloads(tmp_path) == [bytes([number]) * 600 for number in range(8)]
    assert [(s.number, s.day) for s in list_segments(tmp_path)] == [
        (1, "20260731"), (2, "20260731"), (3, "20260731"), (4, "20260801"), (5, "20260801"),
    ]  # fmt: skip


def test_a_reader_follows_a_real_appender_over_segments_and_days(
    tmp_path: Path, make: MakeJournal, clock: Clock
) -> None:
    """While one thread appends, another gets every record once, in order, over changes of segment and of day."""
    count = 6000
    journal = make(segment_bytes=20_000, sync_ms=10)
    journal.start()

    def append() -> None:
        for number in range(count):
            if number % 1500 == 1499:
                clock.ms += DAY_MS
            journal.append_frames(1, number, number.to_bytes(4, "little") * (number % 50))
            if number % 500 == 499:
                journal.flush(WAIT_SEC)

    reader = JournalReader(tmp_path, None)
    appender = threading.Thread(target=append)
    appender.start()
    found: list[tuple[int, bytes]] = []
    readings = 0
    deadline = time.monotonic() + WAIT_SEC
    while len(found) < count and time.monotonic() < deadline:
        records = reader.read(max_bytes=3000)
        readings += bool(records)
        found += [(record.recv_ts_ms, record.payload) for record in records]
    appender.join()
    reader.close()
    assert found == [(number, number.to_bytes(4, "little") * (number % 50)) for number in range(count)]
    assert reader.damages == []
    assert readings > 10
    segments = list_segments(tmp_path)
    assert len(segments) > 10, "500 records are more than a segment"
    assert len({segment.day for segment in segments}) == 5


# ---- what was removed by hand


def test_new_segments_are_never_behind_the_cursor(tmp_path: Path, make: MakeJournal) -> None:
    """Where old segments were removed by hand, a reader that goes on from the cursor still gets what is new."""
    save_cursor(tmp_path, Position(57, 4000, 90_000))
    journal = make()
    journal.start()
    journal.append_frames(1, NOON_MS, b"new")
    journal.close(WAIT_SEC)
    reader = JournalReader(tmp_path, Position(57, 4000, 90_000))
    assert [record.payload for record in reader.read()] == [b"new"]
    assert reader.damages == []
    reader.close()


# ---- a slow, full or broken disk


def test_append_never_waits_for_a_hanging_disk(make: MakeJournal, monkeypatch: pytest.MonkeyPatch) -> None:
    """While a write hangs, appending goes on at memory's speed, fullness is seen, flush and close give up in time."""
    hangs, goes_on = threading.Event(), threading.Event()
    write = os.write

    def hanging(fd: int, data: bytes) -> int:
        hangs.set()
        assert goes_on.wait(WAIT_SEC)
        return write(fd, data)

    journal = make(buffer_bytes=100_000)
    journal.start()
    monkeypatch.setattr(os, "write", hanging)
    journal.append_frames(1, NOON_MS, b"first")
    assert hangs.wait(WAIT_SEC)
    seen = []
    for _ in range(200):
        journal.append_frames(1, NOON_MS, bytes(1000 - HEADER_SIZE))
        seen.append((journal.is_full, journal.has_room))
    # Full from 100 kB on, with room again only below 50 kB; the record that hangs counts as well.
    assert seen.index((True, False)) in (98, 99)
    assert seen.index((False, False)) in (49, 50)
    assert journal.buffered_bytes == 200 * 1000 + HEADER_SIZE + 5
    started = time.monotonic()
    assert not journal.flush(0.05)
    assert not journal.close(0.05)
    assert time.monotonic() - started < WAIT_SEC / 2
    goes_on.set()
    until(lambda: journal.has_room)


def test_what_could_not_be_written_until_close_was_known(
    tmp_path: Path, make: MakeJournal, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Closing while no write succeeds gives up in time, and tells how much is lost and why."""
    monkeypatch.setattr(append_module, "RETRY_SEC", 0.01)
    journal = make()
    journal.start()
    journal.append_frames(1, NOON_MS, b"safe")
    assert journal.flush(WAIT_SEC)

    def full(_fd: int, _data: bytes) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "write", full)
    journal.append_frames(1, NOON_MS, b"lost")
    until(lambda: "No space left" in (journal.fault or ""))
    assert not journal.close(0.1)
    assert "No space left" in (journal.fault or "")
    assert journal.buffered_bytes == HEADER_SIZE + 4
    assert payloads(tmp_path) == [b"safe"]


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 2 MB."""
    root = tmp_path / "disk"
    root.mkdir()
    mount(root, "size=2m")
    try:
        yield root
    finally:
        unmount(root, is_busy=True)


@pytest.mark.faults
@pytest.mark.parametrize("day_changes", [False, True])
def test_a_full_disk_loses_nothing(
    small_disk: Path, make: MakeJournal, clock: Clock, monkeypatch: pytest.MonkeyPatch, *, day_changes: bool
) -> None:
    """A half-written record is taken back; with space again all goes on in order, also if it is another day."""
    monkeypatch.setattr(append_module, "RETRY_SEC", 0.02)
    ballast = small_disk / "ballast"
    ballast.write_bytes(bytes(1_500_000))
    journal = make(small_disk / "journal", buffer_bytes=1_000_000)
    journal.start()
    reader = JournalReader(small_disk / "journal", None)
    sent: list[bytes] = []
    found: list[bytes] = []

    def read_on() -> None:
        while records := reader.read():
            found.extend(record.payload for record in records)

    while not journal.is_full:
        sent.append(len(sent).to_bytes(4, "little") * 2500)
        journal.append_frames(1, NOON_MS, sent[-1])
        read_on()
        time.sleep(0.001)
    assert "No space left" in (journal.fault or "")
    for _ in range(20):
        time.sleep(0.01)
        read_on()
    assert len(found) < len(sent)
    assert journal.is_full
    assert 1_000_000 <= journal.buffered_bytes < 1_000_000 + 20_000
    if day_changes:
        clock.ms += DAY_MS
    ballast.unlink()
    assert journal.flush(WAIT_SEC)
    assert journal.fault is None
    assert journal.has_room
    assert journal.buffered_bytes == 0
    read_on()
    # What was whole in a write that was taken back may have been read by then, and comes again: as after any replay.
    assert list(dict.fromkeys(found)) == sent
    assert reader.damages == []
    reader.close()
    stored = [record.payload for record in iter_records(small_disk / "journal")]
    assert list(dict.fromkeys(stored)) == sent
    assert len(list_segments(small_disk / "journal")) == 1 + day_changes


class BrokenSync:
    """`os.fdatasync` that fails so many times."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, times: int) -> None:
        self.left = times
        self.failed = 0
        self._real = os.fdatasync
        monkeypatch.setattr(os, "fdatasync", self)

    def __call__(self, fd: int) -> None:
        """Sync, or fail."""
        if self.left:
            self.left -= 1
            self.failed += 1
            raise OSError(errno.EIO, "Input/output error")
        self._real(fd)


@pytest.mark.parametrize("times", [1, 2, 5])
def test_a_failed_sync_is_never_confirmed(
    tmp_path: Path, make: MakeJournal, monkeypatch: pytest.MonkeyPatch, times: int
) -> None:
    """What a failed sync left uncertain is written again to another segment and synced there before flush confirms."""
    monkeypatch.setattr(append_module, "RETRY_SEC", 0.01)
    journal = make(sync_ms=10_000)
    journal.start()
    journal.append_frames(1, NOON_MS, b"before")
    assert journal.flush(WAIT_SEC)
    sync = BrokenSync(monkeypatch, times)
    sent = [bytes([number]) * 100 for number in range(5)]
    for payload in sent:
        journal.append_frames(1, NOON_MS, payload)
    assert journal.flush(WAIT_SEC)
    assert sync.failed == times
    newest = list_segments(tmp_path)[-1]
    assert newest.number == 1 + times
    confirmed = [r.payload for r in iter_records(tmp_path, Position(newest.number, 0, -1))]
    assert confirmed == sent
    journal.append_frames(1, NOON_MS, b"after")
    assert journal.close(WAIT_SEC)
    reader = JournalReader(tmp_path, None)
    found = []
    while records := reader.read():
        found += [record.payload for record in records]
    reader.close()
    assert list(dict.fromkeys(found)) == [b"before", *sent, b"after"]
    assert reader.damages == []
    assert journal.fault is None


def test_a_failed_sync_at_a_change_of_segments_loses_nothing(
    tmp_path: Path, make: MakeJournal, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The last records of a segment that can't be synced when it is left are written again in the next."""
    journal = make(segment_bytes=500, sync_ms=10_000)
    journal.start()
    sync = BrokenSync(monkeypatch, 1)
    journal.append_frames(1, NOON_MS, b"a" * 600)
    until(lambda: journal.buffered_bytes == 0)
    assert sync.failed == 0
    journal.append_frames(1, NOON_MS, b"b")
    assert journal.flush(WAIT_SEC)
    assert sync.failed == 1
    newest = list_segments(tmp_path)[-1].number
    assert [r.payload for r in iter_records(tmp_path, Position(newest, 0, -1))] == [b"a" * 600, b"b"]


def test_a_directory_that_takes_no_new_segment_for_a_while_loses_nothing(
    tmp_path: Path, make: MakeJournal, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If the next segment can't be made, or its name not be synced, records wait in memory until it can."""
    monkeypatch.setattr(append_module, "RETRY_SEC", 0.01)
    journal = make()
    journal.start()
    journal.append_frames(1, NOON_MS, b"one")
    assert journal.flush(WAIT_SEC)
    failures = iter([errno.ENOSPC, errno.EIO, errno.EIO])
    sync = os.fsync

    def broken_fsync(fd: int) -> None:
        code = next(failures, None)
        if code is not None:
            raise OSError(code, os.strerror(code))
        sync(fd)

    monkeypatch.setattr(os, "fsync", broken_fsync)
    clock.ms += DAY_MS
    journal.append_frames(1, NOON_MS, b"two")
    assert journal.flush(WAIT_SEC)
    assert next(failures, None) is None
    assert payloads(tmp_path) == [b"one", b"two"]


def test_a_segment_that_is_deleted_while_it_is_written_takes_nothing_more(tmp_path: Path, make: MakeJournal) -> None:
    """Nobody who opens the journal would find it: what is not on the disk by then goes into the next segment."""
    journal = make()
    journal.start()
    journal.append_frames(1, 5, b"before")
    assert journal.flush(WAIT_SEC)
    (segment,) = list_segments(tmp_path)
    segment.path.unlink()
    for number in range(3):
        journal.append_frames(1, 5, b"after %d" % number)
        assert journal.flush(WAIT_SEC)
    assert payloads(tmp_path) == [b"after 0", b"after 1", b"after 2"]
    assert journal.fault is None


def test_a_half_written_record_that_can_not_be_taken_back_hurts_no_other(
    tmp_path: Path, make: MakeJournal, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If even the truncation fails, the record is written whole into another segment, and all others stay whole."""
    monkeypatch.setattr(append_module, "RETRY_SEC", 0.01)
    journal = make()
    journal.start()
    write = os.write
    failing = iter(["half", "no space"])

    def half(fd: int, data: bytes) -> int:
        step = next(failing, None)
        if step == "half":
            return write(fd, bytes(data)[:60])
        if step == "no space":
            raise OSError(errno.ENOSPC, "No space left on device")
        return write(fd, data)

    def no_truncate(_fd: int, _size: int) -> None:
        raise OSError(errno.EIO, "Input/output error")

    journal.append_frames(1, NOON_MS, b"one" * 50)
    assert journal.flush(WAIT_SEC)
    monkeypatch.setattr(os, "write", half)
    monkeypatch.setattr(os, "ftruncate", no_truncate)
    journal.append_frames(1, NOON_MS, b"two" * 50)
    assert journal.flush(WAIT_SEC)
    journal.append_frames(1, NOON_MS, b"three" * 50)
    assert journal.close(WAIT_SEC)
    assert next(failing, None) is None
    assert payloads(tmp_path) == [b"one" * 50, b"two" * 50, b"three" * 50]
    first, second = list_segments(tmp_path)
    reader = JournalReader(tmp_path, None)
    while reader.read():
        pass
    reader.close()
    assert [(damage.segment, damage.skipped_bytes) for damage in reader.damages] == [(first.number, 60)]
    assert second.size_bytes > 0


def test_a_flush_waits_for_the_disk_and_not_for_the_clock(make: MakeJournal) -> None:
    """With a sync each ten minutes, a flush is still confirmed at once: it is what asks for the sync."""
    journal = make(sync_ms=600_000)
    journal.start()
    times = []
    for _ in range(3):
        journal.append_frames(1, NOON_MS, b"x")
        assert journal.flush(WAIT_SEC)
        times.append(time.monotonic())
    assert all(later - earlier < WAIT_SEC for earlier, later in pairwise(times))
