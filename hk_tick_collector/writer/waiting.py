"""Waiting days, which can't be written now: each keeps its own place in the journal, and catches up later.

A day's file is locked, damaged, moved away, on a disk that is not mounted, or was made by another program. No other day
has to wait for that. When it can be written again, a lane of its own stores what has come for it since. At the place of
the other days it joins them again.

If the cursor is lost, all days before today wait together: what the journal holds of them is stored again, most of
which is there already, while today's ticks are stored as they come.

Owns which days wait, when each is tried again, and the saved state of its judge. Never moves the cursor of the others.
Invariant: a day's place is where its own database stands, or before that.
"""

from __future__ import annotations

import contextlib
import shutil
import time
from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

import apsw

from hk_tick_collector import logs
from hk_tick_collector.clock import wall_ms
from hk_tick_collector.errors import DatabaseError, DayError, FileGoneError
from hk_tick_collector.journal.cursor import BEFORE, Wait, bytes_between, first_for_day, load_waits, waits_for
from hk_tick_collector.journal.segments import BEGINNING, DIRECTORY, list_segments
from hk_tick_collector.ledger.judge import FILE
from hk_tick_collector.seal.open_day import set_aside
from hk_tick_collector.store.content_errors import DAMAGED
from hk_tick_collector.store.known_days import KnownDays
from hk_tick_collector.store.older_today import made_room
from hk_tick_collector.writer.careful import attempt_file
from hk_tick_collector.writer.lane import Lane
from hk_tick_collector.writer.progress import WaitingDay

if TYPE_CHECKING:
    from collections.abc import Callable

    from hk_tick_collector.journal.segments import Position
    from hk_tick_collector.writer.lane import Stored
    from hk_tick_collector.writer.settings import WriterSettings

log = logs.get_logger()

RETRY_SEC_MAX: Final = 30.0
TOLD_MAX: Final = 16  # days that are reported to the recorder
REASON_MAX: Final = 200  # characters
PROGRESS_EVERY_SEC: Final = 30.0
CURSOR_LOST: Final = "the cursor is lost"


class _Try(NamedTuple):
    """When a day is tried again, and how often it has failed in a row."""

    due: float
    failures: int


class WaitingDays:
    """Which days wait, and what becomes of each."""

    def __init__(self, settings: WriterSettings) -> None:
        """Load the days that waited when the last writer ended."""
        self._settings = settings
        self._root = Path(settings.data_root)
        self.waits: dict[str, Wait] = load_waits(self._root / DIRECTORY)
        self._lanes: dict[str, Lane] = {}
        self._tries: defaultdict[str, _Try] = defaultdict(lambda: _Try(0.0, 0))
        self._limiter = logs.Limiter(PROGRESS_EVERY_SEC)
        self._left_bytes: dict[str, int] = {}

    def takes(self, day: str) -> bool:
        """Whether a day waits: its own lane stores it then."""
        return waits_for(self.waits, day)

    def store_again(self, today: str, at_ms: int) -> Position | None:
        """The cursor is lost: all days before today wait, and are stored again from the journal's beginning.

        Returns:
            Where the other days begin; None: at the beginning, since the journal holds nothing older.
        """
        journal = self._root / DIRECTORY
        self.waits.clear()  # their places belong to the lost cursor
        segments = list_segments(journal)
        today = min([today, *(segment.day for segment in segments[-1:])])
        begin = first_for_day(journal, today)
        if not segments or begin.segment <= segments[0].number:
            return None
        log.warning("cursor_lost", stored_again_before=today, bytes=bytes_between(journal, BEGINNING, begin))
        self._begin_anew(BEFORE + today, Wait(BEGINNING, at_ms, CURSOR_LOST))
        return begin

    def _begin_anew(self, name: str, wait: Wait) -> None:
        """Make it wait from where its days begin in the journal; drop its judge's state, which is of a later place."""
        (self._root / DIRECTORY / _judge_file(name)).unlink(missing_ok=True)
        self._wait(name, wait)

    def add(self, day: str, place: Position, cause: Exception, at_ms: int, judge_file: str = FILE) -> None:
        """A day begins to wait, at a place after which nothing of it is stored.

        Args:
            day: which.
            place: from where on it is to be stored.
            cause: why it can't be stored now.
            at_ms: when that was seen, by the host's clock.
            judge_file: the judge's file of the lane that has stored it so far.
        """
        judge = self._root / DIRECTORY / judge_file
        its_judge = self._root / DIRECTORY / _judge_file(day)
        if judge.exists():  # the state at that place: it is saved whenever the cursor is
            shutil.copyfile(judge, its_judge)
        else:
            its_judge.unlink(missing_ok=True)
        self._wait(day, Wait(place, at_ms, _reason(cause)))
        self._tries[day] = _Try(time.monotonic() + self._settings.retry_backoff_sec, 1)

    def begin_again(self, day: str, cause: Exception, at_ms: int) -> None:
        """A day is to be made again from the journal; a damaged database is renamed and kept."""
        journal = self._root / DIRECTORY
        kept = set_aside(self._root / f"{day}.db") if isinstance(cause, DAMAGED) else None
        log.error("day_made_again", day=day, error=_reason(cause), kept=kept, expected="the file that is written to")
        self._begin_anew(day, Wait(first_for_day(journal, day), at_ms, _reason(cause), is_anew=True))

    def _wait(self, day: str, wait: Wait) -> None:
        self._close(day)
        self.waits[day] = wait
        self._tries.pop(day, None)

    def step(self, until: Position, today: str, *, is_stopping: bool = False) -> Stored | None:
        """Store one batch for a day that is due; days that have caught up join the others again.

        Args:
            until: where the others are.
            today: if this day's database is damaged or gone, it is made again.
            is_stopping: leave days of a lost cursor, mostly stored already, to the next writer.

        Returns:
            What was stored; None: nothing.
        """
        now, has_failed = time.monotonic(), False
        for day in sorted(self.waits, key=lambda day: (day != today, day)):
            if self._tries[day].due > now or (is_stopping and day.startswith(BEFORE)):
                continue
            if has_failed and self._tries[day].failures:
                continue  # each may wait for a lock: the other days go on before the next one is tried
            try:
                stored = self._step(day, until)
            except DayError as exc:
                cause = made_room(self._root, day, exc.cause) if exc.day == day == today else exc.cause
                if exc.day != day:
                    self._goes_alone(exc, day)
                elif day == today and isinstance(cause, (FileGoneError, *DAMAGED)):
                    self.begin_again(day, cause, wall_ms())
                else:
                    self._failed(day, cause)
                has_failed = True
            except (apsw.Error, OSError, DatabaseError) as exc:
                self._failed(day, exc)
                has_failed = True
            else:
                del self._tries[day]
                if stored is not None:
                    self.waits[day] = self.waits[day]._replace(place=stored.end)
                    return stored
                self._caught_up(day)
        return None

    def _step(self, day: str, until: Position) -> Stored | None:
        if self.waits[day].is_anew:  # only now, when the saved cursor says so
            KnownDays(self._root).remove(day)
            self.waits[day] = self.waits[day]._replace(is_anew=False)
        lane = self._lanes.get(day)
        if lane is None:
            aside_day = "" if day.startswith(BEFORE) else day
            lane = self._lanes[day] = Lane(
                self._settings, lambda: self.waits[day].place, self._days_of(day), _judge_file(day), aside_day
            )
        if not day.startswith(BEFORE):
            return lane.step(until)
        return self._step_again(day, lane, until)

    def _step_again(self, name: str, lane: Lane, until: Position) -> Stored | None:
        """Step for all days before one: up to where the others began, and then up to where they are."""
        begin = first_for_day(self._root / DIRECTORY, name.removeprefix(BEFORE))
        left_bytes = self._left_bytes[name] = bytes_between(self._root / DIRECTORY, self.waits[name].place, until)
        if self._limiter.allow(name) is not None:
            log.info("stored_again", days=name, left_bytes=left_bytes)
        if self.waits[name].place < begin:
            stored = lane.step(min(begin, until))
            if stored is not None or until <= begin:
                return stored
            self.waits[name] = self.waits[name]._replace(place=begin)
        return lane.step(until)

    def _days_of(self, name: str) -> Callable[[str], bool]:
        """Which days a lane stores: one, or all before one except those that wait alone."""
        if not name.startswith(BEFORE):
            return lambda day: day == name
        end = name.removeprefix(BEFORE)
        begin = first_for_day(self._root / DIRECTORY, end)

        def takes(day: str) -> bool:
            wait = self.waits[name]
            if day >= end and day not in self.waits and wait.place < begin:
                # The others began after this place and missed it: a clock was days late. Store all of that day again.
                self._begin_anew(day, wait._replace(place=BEGINNING))
            return day < end and day not in self.waits

        return takes

    def _goes_alone(self, error: DayError, name: str) -> None:
        """One of several days failed: it waits alone from there on, and the others go on."""
        self.add(error.day, self.waits[name].place, error.cause, wall_ms(), _judge_file(name))
        self._close(name)

    def _failed(self, day: str, cause: Exception) -> None:
        failures = self._tries[day].failures + 1
        delay_sec = min(RETRY_SEC_MAX, self._settings.retry_backoff_sec * 2 ** min(failures, 16))
        self._tries[day] = _Try(time.monotonic() + delay_sec, failures)
        self.waits[day] = self.waits[day]._replace(reason=_reason(cause))
        self._close(day)

    def _caught_up(self, day: str) -> None:
        log.info("day_caught_up", day=day, waited_for=self.waits[day].reason)
        self._close(day)
        del self.waits[day]
        for name in (_judge_file(day), attempt_file(_judge_file(day))):
            (self._root / DIRECTORY / name).unlink(missing_ok=True)

    def _close(self, day: str) -> None:
        lane = self._lanes.pop(day, None)
        if lane is not None:
            with contextlib.suppress(apsw.Error, OSError, DatabaseError):
                lane.abandon()

    def told(self, today: str) -> tuple[WaitingDay, ...]:
        """The newest waiting days, in the form that is reported to the recorder."""
        return tuple(
            WaitingDay(day, day == today, wait.reason, wait.since_ms, day in self._lanes, self._left_bytes.get(day))
            for day, wait in sorted(self.waits.items(), reverse=True)[:TOLD_MAX]
        )

    def close(self) -> None:
        """Close what is open."""
        for day in list(self._lanes):
            self._close(day)


def _judge_file(day: str) -> str:
    return f"judge-{day}.json"


def _reason(cause: Exception) -> str:
    return f"{type(cause).__name__}: {cause}"[:REASON_MAX]
