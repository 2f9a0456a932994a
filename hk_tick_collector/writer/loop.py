"""The writer's loop: journal → ticks → day databases.

Owns the write side of all day databases and the journal's cursor. Never talks to OpenD. Invariant: the cursor never
passes a row that is not committed. So whatever kills this process, the next one continues without a loss, and what it
replays changes nothing.

It ends on `stop` or the end of its standard input (the recorder is gone), after it has stored all that the journal
holds.
"""

from __future__ import annotations

import contextlib
import os
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import apsw

from hk_tick_collector import logs
from hk_tick_collector.clock import real_ms, wall_ms
from hk_tick_collector.errors import ArchivedDayError, DatabaseError, DayError, FileGoneError
from hk_tick_collector.hktime import hk_day
from hk_tick_collector.journal.cursor import begin_of, cursor_is_of_this_boot, first_of_day, save_cursor
from hk_tick_collector.journal.segments import BEGINNING, DIRECTORY
from hk_tick_collector.store.content_errors import DAMAGED
from hk_tick_collector.store.known_days import KnownDays
from hk_tick_collector.store.older_today import made_room
from hk_tick_collector.writer.careful import Unfinished
from hk_tick_collector.writer.lane import Lane
from hk_tick_collector.writer.pipe import RecorderPipe, send
from hk_tick_collector.writer.progress import Counters, Message
from hk_tick_collector.writer.waiting import WaitingDays

if TYPE_CHECKING:
    from hk_tick_collector.writer.batch import Batch, Outcome
    from hk_tick_collector.writer.settings import WriterSettings

log = logs.get_logger()

LOG_EVERY_SEC = 30.0
ALIVE_EVERY_SEC = 1.0
ERROR_MAX = 500  # characters; a line to the recorder must fit into the pipe in one write
LAST_TRIES_SEC = 60.0  # how long it keeps trying after a stop; the journal keeps the rest


class Writer:
    """Takes batches from the journal and commits them."""

    def __init__(self, settings: WriterSettings) -> None:
        self._settings = settings
        self._root = Path(settings.data_root)
        self._journal = self._root / DIRECTORY
        self._waiting = WaitingDays(settings)
        self._place = begin_of(self._journal)
        if settings.synchronous == "NORMAL" and not cursor_is_of_this_boot(self._journal):
            self._go_back_a_day()
        if self._place is None:
            KnownDays(self._root).forget()
        if self._place is None and settings.days_wait:
            self._place = self._waiting.store_again(hk_day(wall_ms()), wall_ms())
        self._lane = Lane(settings, lambda: self._place, lambda day: not self._waiting.takes(day))
        self.limiter = logs.Limiter(LOG_EVERY_SEC)
        self._alive_at = 0.0
        self.counters = Counters()

    def _go_back_a_day(self) -> None:
        """Move all places back to the start of their day: a power cut may have undone commits made with NORMAL."""
        waits = self._waiting.waits
        for day, wait in waits.items():
            waits[day] = wait._replace(place=first_of_day(self._journal, wait.place))
        if self._place is not None:
            self._place = first_of_day(self._journal, self._place)
            reason = "the machine was restarted, and SQLITE_SYNCHRONOUS is NORMAL"
            log.warning("journal_replayed", reason=reason, since=self._place)

    def step(self, *, is_stopping: bool = False) -> bool:
        """Store one batch. True: call again immediately; False: that was all for now.

        Args:
            is_stopping: leave days of a lost cursor, mostly stored already, to the next writer.

        Raises:
            apsw.Error, OSError, DatabaseError: the batch is not stored; call `reset` and retry.
        """
        try:
            stored = self._lane.step()
        except DayError as error:
            if not self._can_go_on_without(error):
                raise error.cause from error
            return True
        self.counters.damages += self._lane.tell_damages()
        if stored is not None:
            self._place = stored.end
            self._save()
            self._count(stored.outcome)
            self._report(stored.batch, stored.outcome, stored.commit_ms)
            if stored.batch.is_full and self.is_today_stored:
                return True  # catching up a past day can wait until the backlog is stored
        return self._catch_up(is_stopping=is_stopping) or (stored is not None and stored.batch.is_full)

    def _save(self) -> None:
        save_cursor(self._journal, self._place or BEGINNING, self._waiting.waits)

    def reset(self) -> None:
        """Drop what is not committed: close the databases, go back to the cursor."""
        self._lane.reset()

    def close(self) -> None:
        """Close everything, after the last step."""
        logs.tell_held(is_end=True)
        self._waiting.close()
        self._lane.close()

    # ---- days that wait

    @property
    def is_today_stored(self) -> bool:
        """Whether today is not a waiting day."""
        return not self._waiting.waits or not self._waiting.takes(self._today())

    def _today(self) -> str:
        return hk_day(self._lane.exchange_ms(wall_ms()))

    def _catch_up(self, *, is_stopping: bool) -> bool:
        """Store one batch for a waiting day. Returns whether that changed any waiting day."""
        before = dict(self._waiting.waits)
        if not before:
            return False
        stored = self._waiting.step(self._place or BEGINNING, self._today(), is_stopping=is_stopping)
        if self._waiting.waits == before:
            return False
        if self._waiting.waits.keys() - before.keys():
            self._lane.reset()  # it may have a database open of a day that now waits
        self._save()
        if stored is not None:
            stored.outcome.rows = 0  # counted already, when the cursor passed them
            self._count(stored.outcome)
        return True

    def _can_go_on_without(self, error: DayError) -> bool:
        """Let the day of a failed database wait, or make today's again. False: retry; today's may soon work."""
        if not self._settings.days_wait:
            return False
        day, now_ms = error.day, wall_ms()
        is_today = day == self._today() and not isinstance(error.cause, ArchivedDayError)
        if is_today:
            error.cause = made_room(self._root, day, error.cause)
        cause = error.cause
        if is_today and not isinstance(cause, (FileGoneError, *DAMAGED)):
            return False
        self.counters.errors += 1
        self._lane.reset()
        if is_today:
            self._waiting.begin_again(day, cause, now_ms)
        else:
            log.error("day_waits", day=day, error=error, expected="a database that can be written; all others go on")
            self._waiting.add(day, self._place or BEGINNING, cause, now_ms)
        self._save()
        return True

    # ---- reporting

    def _count(self, outcome: Outcome) -> None:
        counters = self.counters
        counters.add(outcome.counted())
        for c in outcome.corrections[:1]:
            self._warn("ts_ms_future_offset_corrected", **c._asdict(), corrected=counters.corrected)
        for bad in outcome.bad[:1]:
            self._warn("bad_tick_kept_aside", symbol=bad.symbol, error=bad.error, bad=counters.bad)
        if outcome.drifted is not None:
            # A clock is wrong, or OpenD is late. The tick stays as it is.
            symbol, seq, ts_ms, *_, recv_ts_ms, _ = outcome.drifted
            drift_sec = (recv_ts_ms - ts_ms) / 1000
            self._warn("ts_drift_warn", symbol=symbol, seq=seq, drift_sec=drift_sec, ts_ms=ts_ms)
        if outcome.revisions:
            self._warn("tick_revised", revisions=counters.revisions, in_batch=outcome.revisions)
        if outcome.extra:
            self._tell("ticks_extra", extra=counters.extra, in_batch=outcome.extra)
        for day in outcome.written_by_others:
            self._warn("written_by_others", day=day, expected="no other writer: find it (fuser -v) and stop it")
        for day, ticks in outcome.away.items():
            self._tell("day_away", day=day, ticks=ticks, expected="nothing new: it is certified, and kept elsewhere")
        self._tell_findings(outcome)

    def _tell_findings(self, outcome: Outcome) -> None:
        for failure in outcome.failures[:1]:
            self._warn("premise_failed", **failure._asdict(), in_batch=len(outcome.failures))
        for gap in outcome.gaps_found[:1]:
            self._warn("gap_found", **gap._asdict(), in_batch=len(outcome.gaps_found))
        for gap in outcome.gaps_filled[:1]:
            self._tell("gap_filled", **gap._asdict(), in_batch=len(outcome.gaps_filled))

    def _tell(self, event: str, **fields: object) -> None:
        held = self.limiter.allow(event)
        if held is not None:
            log.info(event, **fields, repeated=held)

    def _warn(self, event: str, **fields: object) -> None:
        held = self.limiter.allow(event)
        if held is not None:
            log.warning(event, **fields, repeated=held)

    def _report(self, batch: Batch, outcome: Outcome, commit_ms: float) -> None:
        """Report to the recorder. A line has only totals and newest values, so a dropped line is not a loss."""
        assert batch.end is not None
        now_ms = wall_ms()
        send(
            self._with_state(
                Message(
                    "commit",
                    totals=self.counters,
                    segment=batch.end.segment,
                    offset=batch.end.offset,
                    rows=outcome.rows,
                    commit_rows=outcome.inserted,
                    commit_ms=round(commit_ms, 3),
                    lag_ms=real_ms(max(0, now_ms - batch.max_recv_ts_ms)) if batch.max_recv_ts_ms else None,
                    max_ts_ms=outcome.ts_ms_max,
                )
            )
        )

    def _with_state(self, message: Message) -> Message:
        """The message with the state of the databases added."""
        wal = self._lane.databases.wal_state()
        waiting = self._waiting
        return replace(
            message,
            wal_bytes=wal.size_bytes,
            wal_held_sec=round(wal.held_sec, 1),
            days_waiting=len(waiting.waits),
            waits=waiting.told(self._today()) if waiting.waits else (),
        )

    def rest(self, parent: RecorderPipe, began: float) -> None:
        """Wait until the next batch is due, sending `alive` every second; `began` is when the last batch began."""
        due = began + max(self._settings.max_wait_ms / 1000, self._lane.databases.wal_state().pace_sec)
        while True:
            now = time.monotonic()
            if now - self._alive_at >= ALIVE_EVERY_SEC:
                self._alive_at = now
                logs.tell_held()
                send(self._with_state(Message("alive")))
            parent.wait(max(0.0, min(due - now, ALIVE_EVERY_SEC)))
            if parent.stopped_at is not None or time.monotonic() >= due:
                return
            self._lane.databases.keep_wal_short()
            if not self._lane.databases.wal_state().pace_sec:  # the reader is gone: no need to slow down any more
                return


def run(settings: WriterSettings, parent: RecorderPipe) -> int:
    """Store until the recorder asks to stop and all is stored. Returns the exit code."""
    unfinished = Unfinished(Path(settings.data_root) / DIRECTORY)
    writer = Writer(settings._replace(is_careful=settings.is_careful or unfinished.is_too_many))
    failures = 0
    send(Message("ready", pid=os.getpid()))
    while True:
        began = time.monotonic()
        stopping = parent.stopped_at is not None  # read before the step: no data can come after the last step
        try:
            more = writer.step(is_stopping=stopping)
            failures = 0
            if more:
                parent.wait(0)
                continue
            unfinished.finished()
            if not stopping:
                writer.rest(parent, began)
        except (apsw.Error, OSError, DatabaseError) as exc:
            failures += 1
            if not _recover(writer, exc, failures, parent, settings):
                return 1
            continue
        if stopping and not more:
            if writer.is_today_stored:
                break
            if parent.stopped_at is not None and time.monotonic() - parent.stopped_at > LAST_TRIES_SEC:
                log.error("persist_gave_up", failures=failures, after_stop_sec=LAST_TRIES_SEC)
                return 1
            parent.wait(ALIVE_EVERY_SEC)
    writer.close()
    send(Message("stopped", totals=writer.counters))
    return 0


def _recover(writer: Writer, exc: Exception, failures: int, parent: RecorderPipe, settings: WriterSettings) -> bool:
    """After an error: report, reset, back off. False: give up; the journal keeps what is not stored."""
    writer.counters.errors += 1
    error = f"{type(exc).__name__}: {exc}"[:ERROR_MAX]
    send(Message("error", totals=writer.counters, error=error, failures=failures))
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
