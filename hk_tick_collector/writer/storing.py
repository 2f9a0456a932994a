"""Storing one batch: one transaction in each day's database that it touches, all committed at the end.

Owns the outcome of the batch while it is being stored. `OpenDays` holds the transactions.
"""

from __future__ import annotations

from math import ceil
from typing import TYPE_CHECKING, NamedTuple

from hk_tick_collector.clock import wall_ms
from hk_tick_collector.ledger.filling import MADE_GOOD, fill
from hk_tick_collector.ledger.identity import sift
from hk_tick_collector.ledger.premises import Premise
from hk_tick_collector.mapping import PUSH_DATA_REALTIME, PUSH_DATA_TYPE, RECV_TS_MS, TS_MS, PushType
from hk_tick_collector.seal.open_day import is_away
from hk_tick_collector.store.content_errors import of_day
from hk_tick_collector.writer.batch import Chunk, Outcome, bad_row, share_by_day
from hk_tick_collector.writer.late import look_up_in_archived, look_up_in_sealed
from hk_tick_collector.writer.open_days import Hooks, OpenDays

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager
    from pathlib import Path

    from hk_tick_collector.db import DayDatabase, Inserted
    from hk_tick_collector.ledger.judge import Judge
    from hk_tick_collector.mapping import Mapper, Row
    from hk_tick_collector.writer.batch import Batch, DayShare, Part
    from hk_tick_collector.writer.day_databases import DayDatabases

# Bodies that are mapped to rows together. A GetTicker reply holds up to a thousand ticks.
CHUNK_PUSHES = 20_000
CHUNK_REPLIES = 4


class Tools(NamedTuple):
    """What a batch is stored with.

    Attributes:
        root: DATA_ROOT.
        databases: the open ones.
        judge: draws the conclusions.
        mapper: turns bodies into rows.
        takes: whether a day is to be stored; ticks of other days are skipped.
        drift_warn_sec: a live tick whose time is further than this from its reception is reported.
        elsewhere: wraps what waits for a lock or a disk.
        aside_day: the day whose database gets a record that is put aside whole; "": the day of its reception.
    """

    root: Path
    databases: DayDatabases
    judge: Judge
    mapper: Mapper
    takes: Callable[[str], bool]
    drift_warn_sec: float
    elsewhere: Callable[[], AbstractContextManager[None]]
    aside_day: str = ""


class Storing:
    """Stores a batch."""

    def __init__(self, tools: Tools) -> None:
        """Nothing is begun yet."""
        self._tools = tools
        self._judge = tools.judge
        hooks = Hooks(tools.takes, tools.elsewhere, tools.judge.begin, tools.judge.committed)
        self._days = OpenDays(tools.root, tools.databases, hooks)
        self._outcome = Outcome()
        self._now_ms = wall_ms()

    def run(self, batch: Batch) -> Outcome:
        """Store it."""
        for number, part in enumerate(batch.parts):
            fetched = self._insert_part(part)
            if part.mark is not None:
                self._take_mark(number, part, fetched)
        if batch.bad:
            chunk = Chunk()
            chunk.bad = batch.bad
            self._insert(chunk, self._tools.aside_day if batch.is_aside else "")
        self._days.commit()
        outcome = self._outcome
        outcome.written_by_others |= self._days.written_by_others
        outcome.news += self._judge.news
        outcome.failures += self._judge.failures
        self._judge.news.clear()
        self._judge.failures.clear()
        return outcome

    def _insert_part(self, part: Part) -> dict[str, list[Row]]:
        """Insert the ticks of a part; returns what its last chunk holds of fetched ticks."""
        fetched: dict[str, list[Row]] = {}
        for chunk in self._chunks(part):
            self._insert(chunk)
            fetched = chunk.mapped.fetched
        return fetched

    def _take_mark(self, _number: int, part: Part, fetched: dict[str, list[Row]]) -> None:
        assert part.mark is not None
        self._judge.judge(part.mark, fetched, self._days.existing)

    def _chunks(self, part: Part) -> Iterator[Chunk]:
        """The rows of a part of a batch, a chunk at a time; those of backfills come last."""
        for push_type, held in part.bodies.items():
            most = CHUNK_PUSHES if push_type is PushType.PUSH else CHUNK_REPLIES
            # Equal chunks: a batch is a little over its size, since records are whole; a small last chunk costs much.
            step = max(1, ceil(len(held) / max(1, round(len(held) / most))))
            for start in range(0, len(held), step):
                chunk = Chunk()
                some = slice(start, start + step)
                chunk.rows = self._tools.mapper.map_bodies(
                    held.bodies[some], held.recv_ts_ms[some], push_type, self._now_ms, chunk.mapped
                )
                for bad in chunk.mapped.bad:
                    body = start + bad.body
                    chunk.bad.append(bad_row(bad, held.recv_ts_ms[body], *held.place(body)))
                yield chunk

    def _insert(self, chunk: Chunk, aside_day: str = "") -> None:
        self._judge.heard(chunk.mapped.pushed)
        for its_day, share in sorted(share_by_day(chunk).items()):
            day = aside_day or its_day
            if self._tools.takes(day):
                with of_day(day):
                    self._days.require_disk(day)
                    if day in self._days or not self._leave_sealed(day, share):
                        self._insert_share(day, share)
        self._note(chunk)

    def _leave_sealed(self, day: str, share: DayShare) -> bool:
        """Whether a sealed day stays as it is: there is nothing new for it, or it is away."""
        path = self._tools.root / f"{day}.db"
        if is_away(path):
            if (done := look_up_in_archived(path, share)) is not None:
                self._add(done)
                return True
            self._outcome.away[day] = self._outcome.away.get(day, 0) + share.ticks
            return True
        done = look_up_in_sealed(path, share)
        if done is None:
            return False
        self._add(done)
        return True

    def _insert_share(self, day: str, share: DayShare) -> None:
        database = self._days.get(day)
        self._sift(day, database, share)
        done = database.insert(share.pushed, share.fetched, share.corrections, share.bad)
        self._add(done)
        if done.new and (late := _came_late(share)):
            self._outcome.news += fill(database.connection, day, sorted(late))

    def _add(self, done: Inserted) -> None:
        outcome = self._outcome
        outcome.inserted += done.new
        outcome.duplicates += done.duplicates
        outcome.revisions += done.revisions
        outcome.extra += done.extra

    def _sift(self, day: str, database: DayDatabase, share: DayShare) -> None:
        """Compare what was fetched with what is stored: it may come under other sequences."""
        for symbol, rows in share.fetched.items():
            share.fetched[symbol], failed = sift(database, symbol, rows)
            if failed is not None:
                database.renumbered.add(symbol)
                ledger, at_ms = self._judge.ledger(day, database), rows[-1][RECV_TS_MS]
                ledger.note_failure(symbol, Premise.SAME_SEQUENCE, at_ms, failed)

    def _note(self, chunk: Chunk) -> None:
        """Add a chunk's counts and findings to the outcome; its rows are not kept."""
        mapped, outcome = chunk.mapped, self._outcome
        outcome.rows += chunk.rows
        outcome.bad += chunk.bad
        outcome.corrections += mapped.corrections
        if mapped.pushed:
            outcome.ts_ms_max = max(outcome.ts_ms_max or 0, mapped.ts_ms_max)
        limit_ms = self._tools.drift_warn_sec * 1000
        for rows in mapped.pushed.values():
            *_, push_data_type, recv_ts_ms, _ = row = rows[-1]
            if push_data_type == PUSH_DATA_REALTIME and abs(recv_ts_ms - row[TS_MS]) > limit_ms:
                outcome.drifted = row
                break


def _came_late(share: DayShare) -> set[str]:
    """The symbols with ticks that may fill a gap: fetched, or replayed by OpenD (as the first or last push shows)."""
    made_good = {
        symbol
        for symbol, rows in share.pushed.items()
        if MADE_GOOD in {rows[0][PUSH_DATA_TYPE], rows[-1][PUSH_DATA_TYPE]}
    }
    return made_good | share.fetched.keys()
