"""A lane from the journal into day databases: takes batches from its own place, and stores them for its days.

Owns that place in memory, its open databases and its judge. Never moves the cursor: its caller saves the place. Nearly
always there is one lane, for all days. A day whose database fails gets a lane of its own.

Errors of a disk, a lock or a file are raised, and the caller retries. What can't be stored because of its content is
not retried as it is: the record is taken apart, the bad piece is put aside with its bytes and its place, and the rest
is stored.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from hk_tick_collector import logs
from hk_tick_collector.db import Pragmas
from hk_tick_collector.errors import ContentError, OddMarkError
from hk_tick_collector.journal.segments import DIRECTORY
from hk_tick_collector.ledger.judge import FILE, Judge
from hk_tick_collector.mapping import Mapper
from hk_tick_collector.store.content_errors import storing_content
from hk_tick_collector.writer.apart import Apart
from hk_tick_collector.writer.careful import Attempts, attempt_file
from hk_tick_collector.writer.day_databases import DayDatabases
from hk_tick_collector.writer.intake import Intake
from hk_tick_collector.writer.storing import Storing, Tools

if TYPE_CHECKING:
    from collections.abc import Callable

    from hk_tick_collector.journal.segments import Position
    from hk_tick_collector.writer.batch import Batch, Outcome
    from hk_tick_collector.writer.settings import WriterSettings

log = logs.get_logger()


class Stored(NamedTuple):
    """A batch that is committed, its outcome, and how long that took."""

    batch: Batch
    end: Position
    outcome: Outcome
    commit_ms: float


class Lane:
    """Stores what the journal holds for some days."""

    def __init__(
        self,
        settings: WriterSettings,
        begin: Callable[[], Position | None],
        takes: Callable[[str], bool],
        judge_file: str = FILE,
        aside_day: str = "",
    ) -> None:
        """Nothing is read yet.

        Args:
            settings: the writer's.
            begin: the end of what is stored; None: nothing is stored.
            takes: whether this lane stores a day.
            judge_file: the name of the file in which its judge saves what it knows.
            aside_day: the day whose database gets a record that is put aside whole; "": the day of its reception.
        """
        self._settings = settings
        self._root = Path(settings.data_root)
        self._takes = takes
        self._judge_file = judge_file
        self._aside_day = aside_day
        self._intake = Intake(self._root / DIRECTORY, settings.batch_size, begin)
        self._judge = self._new_judge()
        self._mapper = Mapper()
        self._pragmas = Pragmas(
            settings.busy_timeout_ms, settings.synchronous, settings.wal_autocheckpoint_pages, settings.pace_sec_max
        )
        self.databases = DayDatabases(self._root, self._pragmas)
        self._singly_until: Position | None = None  # up to here records are taken one by one
        attempt = self._root / DIRECTORY / attempt_file(judge_file)
        self._attempts = Attempts(attempt, is_careful=settings.is_careful)

    def _new_judge(self) -> Judge:
        return Judge(self._root / DIRECTORY, self._settings.past_root, self._judge_file)

    def exchange_ms(self, recv_ts_ms: int) -> int:
        """The exchange's time at a moment of the host's clock; the same moment, if the difference is unknown."""
        return self._judge.exchange_ms(recv_ts_ms)

    def step(self, until: Position | None = None) -> Stored | None:
        """Store one batch of what stands before `until`; None: there is nothing more for now.

        What can't be stored because of its content is put aside.

        Raises:
            DayError: one day's database failed. Nothing of the batch counts; call `reset`.
            apsw.Error, OSError, DatabaseError: something else failed; the same holds.
        """
        self.databases.look_at_files()
        is_careful = self._attempts.is_on
        batch = self._intake.take(until, is_single=is_careful or self._singly_until is not None)
        if batch is None:
            self.databases.trim()
            self.databases.keep_wal_short()
            return None
        started = time.monotonic()
        record = self._intake.last if is_careful else None
        aside = self._attempts.begin(record) if record is not None else None
        batch = aside or batch
        assert batch.end is not None
        try:
            with storing_content():
                outcome = Storing(self._tools()).run(batch)
        except ContentError as exc:
            if self._singly_until is None and not is_careful:
                log.error("batch_not_stored", error=exc, expected="one that can be stored")
                self._singly_until = batch.end
                self.reset()
                return self.step(until)
            outcome = self._store_apart(batch)
        if self._singly_until is not None and batch.end >= self._singly_until:
            self._singly_until = None
        if record is not None:
            self._attempts.stored(record, is_aside=aside is not None)
        self._judge.save()
        self.databases.trim()
        self.databases.keep_wal_short(is_busy=batch.is_full)
        return Stored(batch, batch.end, outcome, (time.monotonic() - started) * 1000)

    def tell_damages(self) -> int:
        """Log the damage that was found in the journal since the last call; returns at how many places."""
        return self._intake.tell_damages()

    def reset(self) -> None:
        """Forget what is not committed: close the databases, go back to the end of what is stored."""
        self._attempts.survived()
        self._intake.go_back()  # first: even if the rest fails, no record may be skipped
        self._roll_back()

    def close(self) -> None:
        """Close everything, after the last step."""
        self.databases.settle()
        self._intake.close()
        self._attempts.end()

    def abandon(self) -> None:
        """Close everything, whatever state it is in; what is not committed is rolled back."""
        self._attempts.survived()
        self._intake.close()
        self.databases.close()

    # ---- a batch

    def _tools(self) -> Tools:
        settings = self._settings
        return Tools(
            self._root, self.databases, self._judge, self._mapper, self._takes, settings.drift_warn_sec,
            self._attempts.elsewhere, self._aside_day,
        )  # fmt: skip

    def _store_apart(self, batch: Batch) -> Outcome:
        """Store everything in a record except what can't be stored."""
        odd: dict[int, str] = {}  # by part: why its mark can't be judged
        while True:
            self._roll_back()
            try:
                outcome = Apart(self._tools(), odd).run(batch)
            except OddMarkError as exc:
                odd[exc.part] = str(exc)
            else:
                self._judge.save()
                self._roll_back()  # the open databases still remember what was rolled back
                return outcome

    def _roll_back(self) -> None:
        """Roll back what is not committed, and forget what is remembered of it."""
        self._judge = self._new_judge()
        try:
            self.databases.close()
        finally:
            self.databases = DayDatabases(self._root, self._pragmas)
