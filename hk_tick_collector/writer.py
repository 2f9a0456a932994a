"""The writer process: journal → ticks → day databases.

    python -m hk_tick_collector.writer '{"data_root": …}'

Owns the write side of all day databases and the journal's cursor. Never talks to OpenD. Invariant: the cursor never
stands behind a row that is not committed; so whatever kills this process, the next one goes on and nothing is missing,
and what it does again changes nothing.

It ends when its standard input does (`stop`, or the recorder is gone), after it has stored all that the journal holds.
Signals that a terminal or a supervisor sends to the whole group are ignored: only the recorder knows when all is in.
"""

from __future__ import annotations

import contextlib
import faulthandler
import fcntl
import gc
import json
import os
import select
import signal
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import apsw

from hk_tick_collector import logs
from hk_tick_collector.db import DayDatabases, Inserted, Pragmas, group_by_day
from hk_tick_collector.errors import AlreadyRunningError, CollectorError, DatabaseError
from hk_tick_collector.journal import DIRECTORY, JournalReader, Kind, Position, Record, load_cursor, save_cursor
from hk_tick_collector.mapping import BadTick, Mapped, Mapper, PushType
from hk_tick_collector.opend.frames import iter_frames
from hk_tick_collector.opend.messages import ProtoId
from hk_tick_collector.opend.protocol import Purpose, purpose_of

if TYPE_CHECKING:
    from hk_tick_collector.db import Row

log = logs.get_logger()

LOCK_NAME = ".writer.lock"
LOG_EVERY_SEC = 30.0
ALIVE_EVERY_SEC = 1.0
LAST_TRIES_SEC = 60.0  # how long it goes on trying once the recorder is gone; the journal keeps what is left

# A batch makes some 60,000 objects and frees them all without cycles: looking for cycles among them is wasted time.
GC_THRESHOLD = 200_000

_PUSH_TYPE_OF = {Purpose.BACKFILL: PushType.BACKFILL, Purpose.AUDIT: PushType.POLL}


class WriterSettings(NamedTuple):
    """What the writer needs to know; it crosses to the process as JSON."""

    data_root: str
    batch_size: int = 20_000
    max_wait_ms: int = 100
    busy_timeout_ms: int = 5000
    synchronous: str = "FULL"
    wal_autocheckpoint_pages: int = 4000
    retry_max_attempts: int = 0
    retry_backoff_sec: float = 0.5
    retry_backoff_max_sec: float = 10.0
    log_level: str = "INFO"


class Counters:
    """What this process has done so far."""

    def __init__(self) -> None:
        self.rows = 0  # ticks taken from the journal, whatever became of them
        self.inserted = 0
        self.duplicates = 0
        self.revisions = 0
        self.bad = 0
        self.corrected = 0
        self.commits = 0
        self.errors = 0
        self.damages = 0


class Batch:
    """What one transaction stores: rows from whole records, up to `end`."""

    def __init__(self) -> None:
        self.mapped = Mapped([], [], [])
        self.bad_rows: list[Row] = []
        self.rows = 0
        self.end: Position | None = None
        self.max_recv_ts_ms = 0


class Writer:
    """Takes batches from the journal and commits them."""

    def __init__(self, settings: WriterSettings) -> None:
        self._settings = settings
        self._journal = Path(settings.data_root) / DIRECTORY
        self._reader = JournalReader(self._journal, load_cursor(self._journal))
        self._mapper = Mapper()
        self._pragmas = Pragmas(settings.busy_timeout_ms, settings.synchronous, settings.wal_autocheckpoint_pages)
        self._databases = DayDatabases(Path(settings.data_root), self._pragmas)
        self.limiter = logs.Limiter(LOG_EVERY_SEC)
        self._unread: list[Record] = []  # read from the journal, for the next batch
        self.counters = Counters()

    def step(self) -> bool:
        """Store one batch. True: it was a full one, there is more; False: that was all for now.

        Raises:
            apsw.Error, OSError, DatabaseError: nothing of the batch counts; call `reset` and try again.
        """
        batch = self._take()
        if batch is None:
            self._databases.close_idle()
            return False
        started = time.monotonic()
        done = self._store(batch)
        assert batch.end is not None
        save_cursor(self._journal, batch.end)
        self._count(batch, done)
        self._report(batch, done, (time.monotonic() - started) * 1000)
        return batch.rows >= self._settings.batch_size

    def reset(self) -> None:
        """Forget what is not committed: close the databases, go back to the cursor."""
        self._unread.clear()
        try:
            self._databases.close()
        finally:
            self._databases = DayDatabases(Path(self._settings.data_root), self._pragmas)
        self._reader.seek(load_cursor(self._journal))

    def close(self) -> None:
        """Close everything."""
        self._databases.close()
        self._reader.close()

    def _take(self) -> Batch | None:
        """Map whole records until there are rows enough."""
        batch = Batch()
        now_ms = time.time_ns() // 1_000_000
        while batch.rows < self._settings.batch_size:
            if not self._unread:
                self._unread = self._reader.read()[::-1]
                self._tell_damages()
                if not self._unread:
                    break
            record = self._unread.pop()
            if record.kind == Kind.FRAMES:
                self._map_record(record, now_ms, batch)
            batch.end = record.end
        return batch if batch.end is not None else None

    def _map_record(self, record: Record, now_ms: int, batch: Batch) -> None:
        """Map the ticker frames of one record; the others are not for the database."""
        mapper, mapped, recv_ts_ms = self._mapper, batch.mapped, record.recv_ts_ms
        rows = 0
        for number, frame in enumerate(iter_frames(record.payload)):
            if frame.proto_id == ProtoId.QOT_UPDATE_TICKER:
                push_type = PushType.PUSH
            elif frame.proto_id == ProtoId.QOT_GET_TICKER:
                push_type = _PUSH_TYPE_OF.get(purpose_of(frame.serial_no), PushType.POLL)
            else:
                continue
            rows += mapper.map_body(frame.body, push_type, recv_ts_ms, now_ms, mapped)
            if mapped.bad:
                batch.bad_rows.extend(_bad_row(record, number, bad) for bad in mapped.bad)
                mapped.bad.clear()
        batch.rows += rows
        batch.max_recv_ts_ms = max(batch.max_recv_ts_ms, recv_ts_ms)

    def _store(self, batch: Batch) -> Inserted:
        """Commit a batch, one transaction a day; an error takes back the day that it happened in.

        A day that was committed before stays: what is inserted again after `reset` is there already.
        """
        days = group_by_day(batch.mapped.ticks) if batch.mapped.ticks else {}
        bad_by_day = group_by_day(batch.bad_rows, _BAD_RECV_TS_MS) if batch.bad_rows else {}
        corrections = {(c.symbol, c.seq): c for c in batch.mapped.corrections}
        totals = Inserted(0, 0, 0)
        for day in {**days, **bad_by_day}:
            database, is_new = self._databases.get(day)
            if is_new:
                log.info("sqlite_pragmas", day=day, path=database.path, **database.pragmas_in_force())
            rows = days.get(day, [])
            database.begin()
            done = database.insert(rows)
            if corrections:
                database.insert_corrections(c for row in rows if (c := corrections.get(row[:2])))
            if day in bad_by_day:
                database.insert_bad(bad_by_day[day])
            database.commit()
            totals = Inserted(*(a + b for a, b in zip(totals, done, strict=True)))
        return totals

    def _count(self, batch: Batch, done: Inserted) -> None:
        counters = self.counters
        counters.rows += batch.rows
        counters.inserted += done.new
        counters.duplicates += done.duplicates
        counters.revisions += done.revisions
        counters.bad += len(batch.bad_rows)
        counters.corrected += len(batch.mapped.corrections)
        counters.commits += batch.rows > 0
        for c in batch.mapped.corrections[:1]:
            self._warn(
                "ts_ms_future_offset_corrected",
                symbol=c.symbol,
                seq=c.seq,
                time=c.original_time,
                original_ts_ms=c.original_ts_ms,
                ts_ms=c.ts_ms,
                evidence=c.evidence,
                corrected=counters.corrected,
            )
        for row in batch.bad_rows[:1]:
            self._warn("bad_tick_kept_aside", symbol=row[4], error=row[6], bad=counters.bad)
        if done.revisions:
            self._warn("tick_revised", revisions=counters.revisions, in_batch=done.revisions)

    def _warn(self, event: str, **fields: object) -> None:
        held = self.limiter.allow(event)
        if held is not None:
            log.warning(event, **fields, repeated=held)

    def _tell_damages(self) -> None:
        for damage in self._reader.damages:
            self.counters.damages += 1
            log.error("journal_damaged", **damage._asdict())
        self._reader.damages.clear()

    def _report(self, batch: Batch, done: Inserted, commit_ms: float) -> None:
        """Tell the recorder. Everything in it is a total or the newest value: a line that is dropped is no loss."""
        assert batch.end is not None
        now_ms = time.time_ns() // 1_000_000
        send(
            {
                "event": "commit",
                "segment": batch.end.segment,
                "offset": batch.end.offset,
                "rows": batch.rows,
                "commit_rows": done.new,
                "commit_ms": round(commit_ms, 3),
                "lag_ms": max(0, now_ms - batch.max_recv_ts_ms) if batch.max_recv_ts_ms else None,
                "max_ts_ms": max((row[2] for row in batch.mapped.ticks), default=None),
                "wal_bytes": self._databases.wal_bytes(),
                "totals": vars(self.counters),
            }
        )


_BAD_RECV_TS_MS = 5


def _bad_row(record: Record, frame: int, bad: BadTick) -> Row:
    return (
        record.start.segment,
        record.start.offset,
        frame,
        bad.place,
        bad.symbol,
        record.recv_ts_ms,
        bad.error,
        bad.raw,
    )


def send(message: dict[str, object]) -> None:
    """A line to the recorder. If it does not read (or is gone) the line is dropped: storing goes on."""
    with contextlib.suppress(BlockingIOError, BrokenPipeError):
        os.write(sys.stdout.fileno(), json.dumps(message, separators=(",", ":")).encode() + b"\n")


class Parent:
    """The recorder, as seen from here: standard input, on which it says `stop`, and which ends when it does."""

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self.stopped_at: float | None = None

    def wait(self, timeout_sec: float) -> None:
        """Sleep, but hear the recorder at once."""
        if self.stopped_at is not None:
            time.sleep(timeout_sec)
            return
        readable, _, _ = select.select([self._fd], [], [], timeout_sec)
        if readable:
            os.read(self._fd, 4096)  # `stop` or the end: both mean that nothing more will come
            self.stopped_at = time.monotonic()


def run(settings: WriterSettings, parent: Parent) -> int:
    """Store until told to stop and all is stored. Returns the exit code."""
    writer = Writer(settings)
    failures = 0
    alive_at = 0.0
    send({"event": "ready", "pid": os.getpid()})
    while True:
        stopping = parent.stopped_at is not None  # asked before the last look, so that nothing can come in between
        try:
            more = writer.step()
            failures = 0
        except (apsw.Error, OSError, DatabaseError) as exc:
            failures += 1
            if not _recover(writer, exc, failures, parent, settings):
                return 1
            continue
        if more:
            parent.wait(0)
        elif stopping:
            break
        else:
            if time.monotonic() - alive_at >= ALIVE_EVERY_SEC:
                alive_at = time.monotonic()
                send({"event": "alive"})
            parent.wait(settings.max_wait_ms / 1000)
    writer.close()
    send({"event": "stopped", "totals": vars(writer.counters)})
    return 0


def _recover(writer: Writer, exc: Exception, failures: int, parent: Parent, settings: WriterSettings) -> bool:
    """After an error: tell, reset, wait longer each time. False: give up; the journal keeps what is not stored."""
    writer.counters.errors += 1
    error = f"{type(exc).__name__}: {exc}"
    send({"event": "error", "error": error, "failures": failures, "totals": vars(writer.counters)})
    held = writer.limiter.allow(error)
    if held is not None:
        log.error("persist_failed", error=error, failures=failures, repeated=held, exc_info=exc)
    with contextlib.suppress(apsw.Error):
        writer.reset()
    if 0 < settings.retry_max_attempts <= failures:
        log.error("persist_gave_up", failures=failures, expected=f"at most {settings.retry_max_attempts}")
        return False
    if parent.stopped_at is not None and time.monotonic() - parent.stopped_at > LAST_TRIES_SEC:
        log.error("persist_gave_up", failures=failures, after_stop_sec=LAST_TRIES_SEC)
        return False
    parent.wait(min(settings.retry_backoff_max_sec, settings.retry_backoff_sec * 2 ** min(failures - 1, 16)))
    return True


def hold_lock(data_root: Path, name: str, timeout_sec: float) -> int:
    """Take an exclusive lock on DATA_ROOT, to be held for as long as the process lives. Returns its descriptor.

    Raises:
        AlreadyRunningError: another process holds it, and still does after `timeout_sec`.
    """
    file = os.open(data_root / name, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    deadline = time.monotonic() + timeout_sec
    while True:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            break
        except BlockingIOError:
            if time.monotonic() >= deadline:
                holder = os.pread(file, 32, 0).decode(errors="replace").strip() or "unknown"
                os.close(file)
                raise AlreadyRunningError(
                    f"DATA_ROOT {data_root} is in use by process {holder}: stop that one, or use another DATA_ROOT"
                ) from None
            time.sleep(0.05)
    os.ftruncate(file, 0)
    os.pwrite(file, f"{os.getpid()}\n".encode(), 0)
    return file


def main(argv: list[str]) -> int:
    """The process's entry: settings as JSON in the first argument."""
    settings = WriterSettings(**json.loads(argv[0]))
    logs.configure(settings.log_level)
    faulthandler.enable(all_threads=True)
    faulthandler.register(signal.SIGUSR1, all_threads=True)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    os.set_blocking(sys.stdout.fileno(), False)
    try:
        # A writer whose recorder was killed is still storing what the journal holds: wait for it to be done.
        hold_lock(Path(settings.data_root), LOCK_NAME, LAST_TRIES_SEC + 10)
        gc.freeze()
        gc.set_threshold(GC_THRESHOLD)
        return run(settings, Parent(sys.stdin.fileno()))
    except CollectorError as exc:
        log.error("writer_failed", error=exc)
        return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
