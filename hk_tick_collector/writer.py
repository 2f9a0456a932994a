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
import gc
import json
import os
import signal
import sys
import time
from math import ceil
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import apsw

from hk_tick_collector import logs
from hk_tick_collector.batch import Batch, Chunk, Counters, Outcome, bad_row, share_by_day
from hk_tick_collector.data_root import WRITER_LOCK, hold_lock
from hk_tick_collector.day_databases import DayDatabases
from hk_tick_collector.db import Pragmas
from hk_tick_collector.errors import CollectorError, DatabaseError
from hk_tick_collector.intake import Intake
from hk_tick_collector.journal import DIRECTORY, save_cursor
from hk_tick_collector.mapping import PUSH_DATA_REALTIME, PUSH_DATA_TYPE, RECV_TS_MS, TS_MS, Mapper, PushType
from hk_tick_collector.quality.filling import MADE_GOOD, fill
from hk_tick_collector.quality.identity import sift
from hk_tick_collector.quality.judge import Judge
from hk_tick_collector.quality.late import found_at_rest
from hk_tick_collector.quality.premises import Premise
from hk_tick_collector.recorder_pipe import Parent, send
from hk_tick_collector.wal import PACE_SEC_MAX

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hk_tick_collector.batch import DayShare, Part
    from hk_tick_collector.db import DayDatabase
    from hk_tick_collector.mapping import Row

log = logs.get_logger()

LOG_EVERY_SEC = 30.0
ALIVE_EVERY_SEC = 1.0
ERROR_MAX = 500  # characters; a line to the recorder must fit into the pipe at once
LAST_TRIES_SEC = 60.0  # how long it goes on trying once the recorder is gone; the journal keeps what is left

# A batch makes some 60,000 objects and frees them all without cycles: looking for cycles among them is wasted time.
GC_THRESHOLD = 200_000

# Bodies that are rows at the same time. A GetTicker reply holds up to a thousand.
CHUNK_PUSHES = 20_000
CHUNK_REPLIES = 4

DAYS_MAX = 16  # days with an open transaction; only a feed with wrong dates has more, and each takes three files


def _came_late(share: DayShare) -> set[str]:
    """The symbols with ticks that may fill a gap: fetched, or made good, as the ends of what was pushed tell."""
    made_good = {
        symbol
        for symbol, rows in share.pushed.items()
        if MADE_GOOD in {rows[0][PUSH_DATA_TYPE], rows[-1][PUSH_DATA_TYPE]}
    }
    return made_good | share.fetched.keys()


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
    drift_warn_sec: float = 120.0
    log_level: str = "INFO"
    past_root: str = ""  # where databases of days before lie, to be read only; "": in data_root
    pace_sec_max: float = PACE_SEC_MAX  # a commit that comes later would be taken for a stall


class Writer:
    """Takes batches from the journal and commits them."""

    def __init__(self, settings: WriterSettings) -> None:
        self._settings = settings
        self._root = Path(settings.data_root)
        self._journal = self._root / DIRECTORY
        self._intake = Intake(self._journal, settings.batch_size, is_normal=settings.synchronous == "NORMAL")
        self._judge = Judge(self._journal, settings.past_root)
        self._mapper = Mapper()
        self._pragmas = Pragmas(
            settings.busy_timeout_ms, settings.synchronous, settings.wal_autocheckpoint_pages, settings.pace_sec_max
        )
        self._databases = DayDatabases(self._root, self._pragmas)
        self.limiter = logs.Limiter(LOG_EVERY_SEC)
        self._alive_at = 0.0
        self.counters = Counters()

    def step(self) -> bool:
        """Store one batch. True: it was a full one, there is more; False: that was all for now.

        Raises:
            apsw.Error, OSError, DatabaseError: nothing of the batch counts; call `reset` and try again.
        """
        batch = self._intake.take()
        self.counters.damages += self._intake.tell_damages()
        if batch is None:
            self._databases.trim()
            self._databases.keep_wal_short()
            return False
        started = time.monotonic()
        outcome = self._store(batch)
        assert batch.end is not None
        self._judge.save()
        save_cursor(self._journal, batch.end)
        self._count(outcome)
        self._report(batch, outcome, (time.monotonic() - started) * 1000)
        self._databases.trim()
        self._databases.keep_wal_short(is_busy=batch.is_full)
        return batch.is_full

    def reset(self) -> None:
        """Forget what is not committed: close the databases, go back to the cursor."""
        self._intake.go_back()  # first: whatever else fails, no record may be passed over
        self._judge = Judge(self._journal, self._settings.past_root)
        try:
            self._databases.close()
        finally:
            self._databases = DayDatabases(self._root, self._pragmas)

    def close(self) -> None:
        """Close everything, after the last step."""
        self._databases.settle()
        self._intake.close()

    def _chunks(self, part: Part, now_ms: int) -> Iterator[Chunk]:
        """The rows of a part of a batch, some at a time; those of backfills come last."""
        for push_type, held in part.bodies.items():
            most = CHUNK_PUSHES if push_type is PushType.PUSH else CHUNK_REPLIES
            # Equal parts: a batch goes a little over its size, since records are whole, and a small rest costs much.
            step = max(1, ceil(len(held) / max(1, round(len(held) / most))))
            for start in range(0, len(held), step):
                chunk = Chunk()
                some = slice(start, start + step)
                chunk.rows = self._mapper.map_bodies(
                    held.bodies[some], held.recv_ts_ms[some], push_type, now_ms, chunk.mapped
                )
                for bad in chunk.mapped.bad:
                    body = start + bad.body
                    chunk.bad.append(bad_row(bad, held.recv_ts_ms[body], *held.place(body)))
                yield chunk

    def _store(self, batch: Batch) -> Outcome:
        """Store a batch: one transaction in each day's database that it touches, all committed at its end.

        After an error in the second commit the first one stays: what is stored again after `reset` is there already.
        """
        outcome = Outcome()
        begun: dict[str, DayDatabase] = {}
        now_ms = time.time_ns() // 1_000_000
        for part in batch.parts:
            fetched: dict[str, list[Row]] = {}
            for chunk in self._chunks(part, now_ms):
                self._insert(chunk, begun, outcome)
                fetched = chunk.mapped.fetched
            if part.mark is not None:
                self._judge.judge(part.mark, fetched, lambda day: self._begun(day, begun))
        if batch.bad:
            chunk = Chunk()
            chunk.bad = batch.bad
            self._insert(chunk, begun, outcome)
        self._commit(begun)
        outcome.news += self._judge.news
        outcome.failures += self._judge.failures
        self._judge.news.clear()
        self._judge.failures.clear()
        return outcome

    def _insert(self, chunk: Chunk, begun: dict[str, DayDatabase], outcome: Outcome) -> None:
        self._judge.heard(chunk.mapped.pushed)
        for day, share in sorted(share_by_day(chunk).items()):
            done = None if day in begun else found_at_rest(self._root / f"{day}.db", share)
            if done is None:
                database = self._begin(day, begun)
                self._sift(day, database, share)
                done = database.insert(share.pushed, share.fetched, share.corrections, share.bad)
            outcome.inserted += done.new
            outcome.duplicates += done.duplicates
            outcome.revisions += done.revisions
            outcome.extra += done.extra
            if done.new and (late := _came_late(share)):
                outcome.news += fill(begun[day].connection, day, sorted(late))
        self._note(chunk, outcome)

    def _sift(self, day: str, database: DayDatabase, share: DayShare) -> None:
        """Hold what was fetched against what is stored: it may come under other sequences."""
        for symbol, rows in share.fetched.items():
            share.fetched[symbol], failed = sift(database, symbol, rows)
            if failed is not None:
                database.renumbered.add(symbol)
                ledger, at_ms = self._judge.ledger(day, database), rows[-1][RECV_TS_MS]
                ledger.note_failure(symbol, Premise.SAME_SEQUENCE, at_ms, failed)

    def _commit(self, begun: dict[str, DayDatabase]) -> None:
        for database in begun.values():
            database.commit()
        self._judge.committed(begun)
        begun.clear()

    def _begun(self, day: str, begun: dict[str, DayDatabase]) -> DayDatabase | None:
        """A day's database for the judge; none is made for it."""
        return self._begin(day, begun) if self._databases.has(day) else None

    def _begin(self, day: str, begun: dict[str, DayDatabase]) -> DayDatabase:
        """A day's database, in a transaction."""
        if day in begun:
            return begun[day]
        if len(begun) >= DAYS_MAX:
            self._commit(begun)
            self._databases.trim()
        database, is_new = self._databases.get(day)
        if is_new:
            log.info("sqlite_pragmas", day=day, path=database.path, **database.pragmas_in_force())
        database.begin()
        begun[day] = database
        self._judge.begin(day, database)
        return database

    def _note(self, chunk: Chunk, outcome: Outcome) -> None:
        """Add what is to be counted and told of a chunk, whose rows are let go."""
        mapped = chunk.mapped
        outcome.rows += chunk.rows
        outcome.bad += chunk.bad
        outcome.corrections += mapped.corrections
        if mapped.pushed:
            outcome.ts_ms_max = max(outcome.ts_ms_max or 0, mapped.ts_ms_max)
        limit_ms = self._settings.drift_warn_sec * 1000
        for rows in mapped.pushed.values():
            *_, push_data_type, recv_ts_ms, _ = row = rows[-1]
            if push_data_type == PUSH_DATA_REALTIME and abs(recv_ts_ms - row[TS_MS]) > limit_ms:
                outcome.drifted = row
                break

    def _count(self, outcome: Outcome) -> None:
        counters = self.counters
        counters.add(outcome)
        for c in outcome.corrections[:1]:
            self._warn("ts_ms_future_offset_corrected", **c._asdict(), corrected=counters.corrected)
        for bad in outcome.bad[:1]:
            self._warn("bad_tick_kept_aside", symbol=bad.symbol, error=bad.error, bad=counters.bad)
        if outcome.drifted is not None:
            # A clock is wrong, or OpenD is late. Nothing is changed.
            symbol, seq, ts_ms, *_, recv_ts_ms, _ = outcome.drifted
            drift_sec = (recv_ts_ms - ts_ms) / 1000
            self._warn("ts_drift_warn", symbol=symbol, seq=seq, drift_sec=drift_sec, ts_ms=ts_ms)
        if outcome.revisions:
            self._warn("tick_revised", revisions=counters.revisions, in_batch=outcome.revisions)
        if outcome.extra and (held := self.limiter.allow("ticks_extra")) is not None:
            log.info("ticks_extra", extra=counters.extra, in_batch=outcome.extra, repeated=held)
        for failure in outcome.failures[:1]:
            self._warn("premise_failed", **failure._asdict(), in_batch=len(outcome.failures))
        for gap in outcome.gaps_found[:1]:
            self._warn("gap_found", **gap._asdict(), in_batch=len(outcome.gaps_found))
        for gap in outcome.gaps_filled[:1]:
            held = self.limiter.allow("gap_filled")
            if held is not None:
                log.info("gap_filled", **gap._asdict(), in_batch=len(outcome.gaps_filled), repeated=held)

    def _warn(self, event: str, **fields: object) -> None:
        held = self.limiter.allow(event)
        if held is not None:
            log.warning(event, **fields, repeated=held)

    def _report(self, batch: Batch, outcome: Outcome, commit_ms: float) -> None:
        """Tell the recorder. Everything in it is a total or the newest value: a line that is dropped is no loss."""
        assert batch.end is not None
        now_ms = time.time_ns() // 1_000_000
        send(
            {
                "event": "commit",
                "segment": batch.end.segment,
                "offset": batch.end.offset,
                "rows": outcome.rows,
                "commit_rows": outcome.inserted,
                "commit_ms": round(commit_ms, 3),
                "lag_ms": max(0, now_ms - batch.max_recv_ts_ms) if batch.max_recv_ts_ms else None,
                "max_ts_ms": outcome.ts_ms_max,
                "totals": vars(self.counters),
                **self._wal_fields(),
            }
        )

    def _wal_fields(self) -> dict[str, object]:
        wal = self._databases.wal_state()
        return {"wal_bytes": wal.size_bytes, "wal_held_sec": round(wal.held_sec, 1)}

    def rest(self, parent: Parent, began: float) -> None:
        """Wait until the next batch is due, with a sign of life each second; `began` is when the last one was."""
        due = began + max(self._settings.max_wait_ms / 1000, self._databases.wal_state().pace_sec)
        while True:
            now = time.monotonic()
            if now - self._alive_at >= ALIVE_EVERY_SEC:
                self._alive_at = now
                send({"event": "alive", **self._wal_fields()})
            parent.wait(max(0.0, min(due - now, ALIVE_EVERY_SEC)))
            if parent.stopped_at is not None or time.monotonic() >= due:
                return
            self._databases.keep_wal_short()
            if not self._databases.wal_state().pace_sec:  # the reader is gone: no need to wait any longer
                return


def run(settings: WriterSettings, parent: Parent) -> int:
    """Store until told to stop and all is stored. Returns the exit code."""
    writer = Writer(settings)
    failures = 0
    send({"event": "ready", "pid": os.getpid()})
    while True:
        began = time.monotonic()
        stopping = parent.stopped_at is not None  # asked before the last look, so that nothing can come in between
        try:
            more = writer.step()
            failures = 0
            if more:
                parent.wait(0)
            elif not stopping:
                writer.rest(parent, began)
        except (apsw.Error, OSError, DatabaseError) as exc:
            failures += 1
            if not _recover(writer, exc, failures, parent, settings):
                return 1
            continue
        if stopping and not more:
            break
    writer.close()
    send({"event": "stopped", "totals": vars(writer.counters)})
    return 0


def _recover(writer: Writer, exc: Exception, failures: int, parent: Parent, settings: WriterSettings) -> bool:
    """After an error: tell, reset, wait longer each time. False: give up; the journal keeps what is not stored."""
    writer.counters.errors += 1
    error = f"{type(exc).__name__}: {exc}"[:ERROR_MAX]
    send({"event": "error", "error": error, "failures": failures, "totals": vars(writer.counters)})
    if (held := writer.limiter.allow(error)) is not None:
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


def main(argv: list[str]) -> int:
    """The process's entry: settings as JSON in the first argument."""
    settings = WriterSettings(**json.loads(argv[0]))
    logs.configure(settings.log_level, is_threaded=True)
    faulthandler.enable(all_threads=True)
    faulthandler.register(signal.SIGUSR1, all_threads=True)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    os.set_blocking(sys.stdout.fileno(), False)
    try:
        # A writer whose recorder was killed is still storing what the journal holds: wait for it to be done.
        hold_lock(Path(settings.data_root), WRITER_LOCK, LAST_TRIES_SEC + 10)
        gc.freeze()
        gc.set_threshold(GC_THRESHOLD)
        return run(settings, Parent(sys.stdin.fileno()))
    except CollectorError as exc:
        log.error("writer_failed", error=exc)
        return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
