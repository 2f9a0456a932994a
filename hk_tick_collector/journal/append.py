"""The recorder's end of the journal: a bounded buffer, and a thread of its own that writes it out.

Owns the newest segment. Never blocks its caller: an append only puts bytes into memory, even when the disk hangs, is
slow or is full. The caller checks `is_full` and stops reading from its socket.

Invariant: what `flush` has confirmed is on the disk. A record that is only half written (a full disk) is removed and
written again when there is space. What a failed sync leaves uncertain is written again to another segment (a reader
gets it twice, which is harmless).
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import threading
import time
from collections import deque
from typing import TYPE_CHECKING

from hk_tick_collector import logs
from hk_tick_collector.clock import wall_ms
from hk_tick_collector.errors import JournalError
from hk_tick_collector.hktime import hk_day
from hk_tick_collector.journal.cursor import load_cursor
from hk_tick_collector.journal.segments import (
    HEADER_SIZE,
    JournalReader,
    Kind,
    Position,
    encode_record,
    list_segments,
    segment_name,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

log = logs.get_logger()

# Waiting this long after the first record lets one call write a burst of small ones. It costs 5 ms of the 150 ms from
# push to readable, and saves a thread switch per push.
COALESCE_SEC = 0.005
WRITE_BYTES_MAX = 1024 * 1024
UNSYNCED_BYTES_MAX = 8 * 1024 * 1024  # written, and kept in memory until they are synced
RETRY_SEC = 0.5
RETRY_SEC_MAX = 10.0  # after a failed sync, each of which costs a segment
LOG_EVERY_SEC = 30.0


class Journal:
    """Appends records. A journal has one at a time: its owner holds the recorder's lock on DATA_ROOT."""

    def __init__(
        self,
        root: Path,
        *,
        segment_bytes: int,
        buffer_bytes: int,
        sync_ms: int,
        clock_ms: Callable[[], int] = wall_ms,
    ) -> None:
        """`root` is `DATA_ROOT/journal`; `start` makes it if it does not exist. Nothing is opened before `start`."""
        self._root = root
        self._segment_bytes = segment_bytes
        self._buffer_bytes = buffer_bytes
        self._sync_sec = sync_ms / 1000
        self._clock_ms = clock_ms
        self._queue: deque[tuple[Kind, int, int, bytes]] = deque()
        self._buffered = 0
        self._appended = 0
        self._durable = 0  # records that are written and synced
        self._wake = threading.Condition()
        self._flushing = 0  # callers that wait in `flush`
        self._stopping = False
        self._thread: threading.Thread | None = None
        self._limiter = logs.Limiter(LOG_EVERY_SEC)
        self._file = -1
        self._day = ""
        self._segment = 0
        self._size = 0
        self._record_no = 0
        self._unsynced = bytearray()  # in the segment, but perhaps not on the disk
        self._again = b""  # must be written again, before anything else
        self.bytes_written = 0
        self.fault: str | None = None  # why the last write or sync failed; the next write that succeeds clears it

    @property
    def is_alive(self) -> bool:
        """Whether the thread runs; if it does not, nothing that is appended is written."""
        return self._thread is not None and self._thread.is_alive()

    @property
    def buffered_bytes(self) -> int:
        """Bytes that are not written to the segment yet."""
        return self._buffered

    @property
    def is_full(self) -> bool:
        """Whether the caller should stop reading from OpenD."""
        return self._buffered >= self._buffer_bytes

    @property
    def has_room(self) -> bool:
        """Whether the caller may resume: well below full, so that it does not stop again immediately."""
        return self._buffered <= self._buffer_bytes // 2

    def start(self) -> int:
        """Cut off a torn tail, begin a new segment, start the thread. Returns how many bytes were cut off.

        Raises:
            JournalError: the directory can't be used.
        """
        try:
            self._root.mkdir(parents=True, exist_ok=True)
            cut = self._recover()
            self._open_segment()
        except OSError as exc:
            raise JournalError(f"journal in {self._root} can't be used: {exc}") from exc
        self._thread = threading.Thread(target=self._run, name="journal", daemon=True)
        self._thread.start()
        return cut

    def append_frames(self, session: int, recv_ts_ms: int, raw: bytes) -> None:
        """Append a run of whole frames, as the reader of a connection returned it."""
        self._append(Kind.FRAMES, session, recv_ts_ms, raw)

    def append_event(self, session: int, recv_ts_ms: int, event: Mapping[str, object]) -> None:
        """Append an event: the start or end of a session, a notice, a state of the clocks."""
        self._append(Kind.EVENT, session, recv_ts_ms, json.dumps(event, separators=(",", ":")).encode())

    def flush(self, timeout_sec: float) -> bool:
        """Wait until everything appended so far is on the disk. False: the timeout came first."""
        with self._wake:
            wanted = self._appended
            self._flushing += 1
            self._wake.notify_all()
            done = self._wake.wait_for(lambda: self._durable >= wanted, timeout_sec)
            self._flushing -= 1
        return done

    def close(self, timeout_sec: float) -> bool:
        """Flush, and end the thread. False: what is in memory could not be written in time, and is lost."""
        done = self.flush(timeout_sec)
        with self._wake:
            self._stopping = True
            self._wake.notify_all()
        if self._thread is not None:
            self._thread.join(1.0 if done else 0.1)
        return done

    def _append(self, kind: Kind, session: int, recv_ts_ms: int, payload: bytes) -> None:
        with self._wake:
            self._queue.append((kind, session, recv_ts_ms, payload))
            self._buffered += len(payload) + HEADER_SIZE
            self._appended += 1
            if len(self._queue) == 1:
                self._wake.notify_all()

    def _run(self) -> None:
        """The thread: write what is queued, sync every `sync_ms`, until `close`."""
        written = 0
        next_sync = time.monotonic() + self._sync_sec
        while (hurry := self._wait_for_work(written, next_sync)) is not None:
            if not hurry and self._buffered < WRITE_BYTES_MAX:
                time.sleep(COALESCE_SEC)
            batch = self._take()
            if batch and not self._write_until_done(self._encode(batch)):
                break
            written += len(batch)
            is_due = hurry or time.monotonic() >= next_sync or len(self._unsynced) >= UNSYNCED_BYTES_MAX
            if written > self._durable and is_due:
                if not self._sync_until_done():
                    break
                next_sync = time.monotonic() + self._sync_sec
                with self._wake:
                    self._durable = written
                    self._wake.notify_all()
        if self._file >= 0:
            os.close(self._file)

    def _wait_for_work(self, written: int, next_sync: float) -> bool | None:
        """Sleep until there is something to write or sync. True: `flush` or `close` waits for it. None: stop."""
        with self._wake:
            while not self._queue:
                unsynced = written > self._durable
                if self._stopping and not unsynced:
                    return None
                if unsynced and (self._flushing or time.monotonic() >= next_sync):
                    break
                self._wake.wait(next_sync - time.monotonic() if unsynced else None)
            return self._flushing > 0 or self._stopping

    def _take(self) -> list[tuple[Kind, int, int, bytes]]:
        """Records for one write. They count as buffered until they are written."""
        batch: list[tuple[Kind, int, int, bytes]] = []
        size = 0
        with self._wake:
            while self._queue and size < WRITE_BYTES_MAX:
                item = self._queue.popleft()
                batch.append(item)
                size += len(item[3])
        return batch

    def _encode(self, batch: list[tuple[Kind, int, int, bytes]]) -> bytes:
        """The records as bytes of the file, numbered."""
        parts: list[bytes] = []
        for kind, session, recv_ts_ms, payload in batch:
            parts.append(encode_record(kind, session, self._record_no, recv_ts_ms, payload))
            parts.append(payload)
            self._record_no += 1
        return b"".join(parts)

    def _write_until_done(self, data: bytes) -> bool:
        """Write, and retry for as long as it takes: the data has no other place. The caller sees `fault` and `is_full`.

        False: the journal was closed before it could be written.
        """
        while True:
            try:
                self._write_once(data)
                break
            except OSError as exc:
                self.fault = str(exc)
                held = self._limiter.allow("write")
                if held is not None:
                    log.error("journal_write_failed", error=exc, buffered_bytes=self._buffered, repeated=held)
                time.sleep(RETRY_SEC)
                if self._stopping:
                    return False
        if self.fault is not None:
            log.warning("journal_write_recovered", after=self.fault)
            self.fault = None
        self.bytes_written += len(data)
        with self._wake:
            self._buffered -= len(data)
        return True

    def _write_once(self, data: bytes) -> None:
        """Write everything or nothing: a partial write is removed before the error is raised."""
        if self._day != hk_day(self._clock_ms()) or self._size >= self._segment_bytes:
            self._sync()  # the old segment first, so that only the newest can have a torn tail
            self._open_segment()
        data = self._again + data
        view = memoryview(data)
        done = 0
        try:
            while done < len(data):
                done += os.write(self._file, view[done:])
        except OSError:
            day, self._day = self._day, ""  # if the truncation fails, the next write begins another segment
            os.ftruncate(self._file, self._size)
            self._day = day
            raise
        self._size += len(data)
        self._unsynced += data
        self._again = b""

    def _sync_until_done(self) -> bool:
        """Sync everything that is written, and retry for as long as it takes. False: the journal was closed before."""
        pause_sec = RETRY_SEC
        while not self._sync():
            time.sleep(pause_sec)
            pause_sec = min(2 * pause_sec, RETRY_SEC_MAX)
            if self._stopping or not self._write_until_done(b""):
                return False
        return True

    def _sync(self) -> bool:
        """Sync the segment. False: it is given up, and its unsynced bytes will be written again to the next."""
        if self._file < 0:
            return True
        try:
            os.fdatasync(self._file)
            if not os.fstat(self._file).st_nlink:  # no reader would find it
                raise FileNotFoundError(errno.ENOENT, "the segment was deleted")
        except OSError as exc:
            # The kernel drops a page that it failed to write: a second sync would only look like success.
            self.fault = str(exc)
            log.error("journal_sync_failed", error=exc, segment=self._segment, again_bytes=len(self._unsynced))
            self._again += bytes(self._unsynced)
            self._unsynced.clear()
            given_up, self._file, self._day = self._file, -1, ""
            with contextlib.suppress(OSError):
                os.close(given_up)
            return False
        self._unsynced.clear()
        return True

    def _open_segment(self) -> None:
        """Begin the next segment."""
        day = hk_day(self._clock_ms())
        path = self._root / segment_name(day, self._segment + 1)
        file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC, 0o644)
        if self._file >= 0:
            os.close(self._file)
        self._file = file
        self._segment += 1
        self._day = ""  # if its name can't be synced, the next write begins another segment
        self._size = 0
        directory = os.open(self._root, os.O_RDONLY | os.O_CLOEXEC)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)
        self._day = day

    def _recover(self) -> int:
        """Find the end of the journal; cut off what a crash left unfinished after the last whole record."""
        segments = list_segments(self._root)
        cursor = load_cursor(self._root) or Position(0, 0, 0)
        newest = segments[-1].number if segments else 0
        # If segments were removed by hand, go on after the cursor: the writer does not read lower numbers.
        self._segment = max(newest, cursor.segment)
        self._record_no = max(0, cursor.record_no)
        cut = 0
        for segment in reversed(segments):
            end, record_no = _last_record(self._root, segment.number)
            if segment.number == newest and end < segment.size_bytes:
                cut = segment.size_bytes - end
                os.truncate(segment.path, end)
            if record_no is not None:
                self._record_no = record_no
                break
        return cut


def _last_record(root: Path, number: int) -> tuple[int, int | None]:
    """The offset after the last whole record of a segment, and the record number that follows it (None: no record).

    Whole records after damaged bytes are found too, so only a real tail is ever cut off.
    """
    reader = JournalReader(root, Position(number, 0, -1), at_rest=True)
    end, record_no = 0, None
    try:
        while True:
            records = [r for r in reader.read() if r.end.segment == number]
            if not records:
                break
            end, record_no = records[-1].end.offset, records[-1].end.record_no
    finally:
        reader.close()
    return end, record_no
