"""From the journal to batches: what the writer stores next.

Owns the reader's place in the journal. Never stores, and never moves the cursor: it only reads it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from hk_tick_collector import logs
from hk_tick_collector.errors import RemoteProtocolError
from hk_tick_collector.journal.marks import mark_of_event
from hk_tick_collector.journal.segments import JournalReader, Kind
from hk_tick_collector.mapping import BadTick
from hk_tick_collector.opend.frames import split_run
from hk_tick_collector.writer.batch import Batch, bad_row

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from hk_tick_collector.journal.segments import Position, Record

log = logs.get_logger()

# A GetTicker reply takes about this much for a tick. It limits a batch of replies, whose ticks can't be counted before
# they are read. A pushed tick takes half as much again, but pushes are counted.
TICK_BYTES = 200

READ_BYTES = 1024 * 1024  # of the journal at a time; twice that is held while it is split into records


class Intake:
    """Reads batches."""

    def __init__(self, journal: Path, batch_size: int, begin: Callable[[], Position | None]) -> None:
        """Begin at the cursor.

        Args:
            journal: `DATA_ROOT/journal`.
            batch_size: about how many ticks a batch holds.
            begin: the end of what is stored; None: nothing is stored.
        """
        self._begin = begin
        self._enough = batch_size
        self.last: Record | None = None  # the last record that was taken
        self._unread: list[Record] = []  # read from the journal, for the next batch
        self._reader = JournalReader(journal, begin())

    def take(self, until: Position | None = None, *, is_single: bool = False) -> Batch | None:
        """Gather the ticker bodies of whole records, until there are enough; None: there is nothing new.

        Args:
            until: records from here on are not taken.
            is_single: take one record.
        """
        batch = Batch()
        size = 0
        while not batch.is_full:
            if not self._unread:
                self._unread = self._reader.read(READ_BYTES)[::-1]
                if not self._unread:
                    break
            if until is not None and self._unread[-1].start[:2] >= until[:2]:
                break
            record = self.last = self._unread.pop()
            batch.end = record.end
            batch.is_full = is_single
            if record.kind != Kind.FRAMES:
                mark = mark_of_event(record) if record.kind == Kind.EVENT else None
                if mark is not None:
                    batch.mark(mark)
                continue
            try:
                run = split_run(record.payload)
            except RemoteProtocolError as exc:  # a bug in the recorder; it must not stop what follows
                bad = BadTick(-1, -1, "", str(exc), record.payload)
                batch.bad.append(bad_row(bad, record.recv_ts_ms, record.start, -1))
                continue
            batch.take_run(run, record)
            batch.max_recv_ts_ms = max(batch.max_recv_ts_ms, record.recv_ts_ms)
            size += len(record.payload)
            batch.is_full = is_single or batch.pushes >= self._enough or size >= self._enough * TICK_BYTES
        return batch if batch.end is not None else None

    def tell_damages(self) -> int:
        """Log the damage that was found since the last call; returns at how many places."""
        damages, self._reader.damages[:] = list(self._reader.damages), []
        for damage in damages:
            log.error("journal_damaged", **damage._asdict())
        return len(damages)

    def go_back(self) -> None:
        """Forget what was read and not stored: go back to the cursor."""
        self._unread.clear()
        self._reader.seek(self._begin())

    def close(self) -> None:
        """Close the journal."""
        self._reader.close()
