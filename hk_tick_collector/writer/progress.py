"""What the writer tells the recorder, line by line: one encoder, and one tolerant decoder.

Owns the counters, each with the metric that shows it, and the form of a line. Everything in a line is a total or the
newest value, so a line that is dropped is no loss.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field, fields
from typing import Any, ClassVar

from hk_tick_collector.typed_json import decode, encode


def _count(metric: str = "", meaning: str = "") -> int:
    """A counter; `metric` is the name of the metric that shows it, if one does."""
    made: int = field(default=0, metadata={"metric": metric, "meaning": meaning})
    return made


@dataclass(slots=True)
class Counters:
    """What writers have done so far. A counter is added here, and where it is counted; all else follows."""

    rows: int = _count("hktick_ticks", "Ticks taken from the journal, pushed and fetched, whatever became of them.")
    inserted: int = _count("hktick_ticks_stored", "Ticks stored as new rows.")
    duplicates: int = _count("hktick_duplicates", "Ticks that were stored already; fetched ones mostly are.")
    revisions: int = _count("hktick_revisions", "Ticks that came again with other content.")
    bad: int = _count("hktick_bad_rows", "Rows that made no sense and were kept aside.")
    corrected: int = _count("hktick_corrections", "Ticks whose time was hours off and was corrected.")
    commits: int = _count("hktick_commits", "Transactions with ticks that were committed.")
    errors: int = _count("hktick_writer_errors", "Failed attempts to store a batch.")
    damages: int = _count("hktick_journal_damages", "Places in the journal that could not be read back.")
    gaps: int = _count("hktick_gaps", "Gaps that were found: ticks that are missing.")
    gaps_filled: int = _count("hktick_gaps_filled", "Gaps filled by late ticks.")
    premises_failed: int = _count("hktick_premises_failed", "Premises that were seen to fail, by symbol and day.")
    away: int = _count()  # ticks of sealed days whose databases are kept elsewhere
    extra: int = _count("hktick_extra", "Ticks of sealed days on which their symbol was not to be recorded.")
    written_by_others: int = _count()  # transactions before which another program had written to the database
    drifted: int = _count()  # batches with a live tick whose time is far from when it was received

    METRICS: ClassVar[tuple[tuple[str, str, str], ...]]
    """(field, metric, meaning) of those that are shown as a metric."""

    def add(self, other: Counters) -> None:
        """Add the counts of another one."""
        for name in _NAMES:
            setattr(self, name, getattr(self, name) + getattr(other, name))

    def plus(self, other: Counters) -> Counters:
        """The sum of both, as a new one."""
        found = Counters()
        found.add(self)
        found.add(other)
        return found

    def less(self, other: Counters) -> Counters:
        """What has been counted since it was `other`, as a new one."""
        return Counters(**{name: getattr(self, name) - getattr(other, name) for name in _NAMES})


_NAMES = tuple(each.name for each in fields(Counters))
Counters.METRICS = tuple(
    (each.name, each.metadata["metric"], each.metadata["meaning"])
    for each in fields(Counters)
    if each.metadata["metric"]
)


@dataclass(frozen=True, slots=True)
class WaitingDay:
    """A day whose database can't be written now.

    Attributes:
        day: YYYYMMDD; `before-YYYYMMDD` for all days before that one.
        is_today: whether it is today.
        reason: why it waits.
        since_ms: since when, UTC epoch ms.
        is_catching_up: whether it is being stored again.
        left_bytes: of the journal, what is still to be read for it; None: not known.
    """

    day: str = ""
    is_today: bool = False
    reason: str = ""
    since_ms: int | None = None
    is_catching_up: bool = False
    left_bytes: int | None = None


@dataclass(frozen=True, slots=True)
class Message:
    """A line of the writer. What does not belong to its event is None.

    Attributes:
        event: ready, commit, alive, error or stopped.
        totals: counted so far by this writer.
        segment: up to where the journal is stored, with `offset`.
        rows: ticks taken in the batch that was committed, of which `commit_rows` were new.
        commit_ms: how long the batch took.
        lag_ms: from the reception of its newest tick to its commit.
        max_ts_ms: the greatest time of a pushed tick in it, UTC epoch ms.
        wal_bytes: size of the write-ahead logs.
        wal_held_sec: since when a reader has blocked their truncation.
        days_waiting: how many days wait; `waits` has the newest of them.
        error: of the attempt that failed, in words; `failures` in a row.
    """

    event: str = ""
    pid: int | None = None
    totals: Counters | None = None
    segment: int | None = None
    offset: int | None = None
    rows: int | None = None
    commit_rows: int | None = None
    commit_ms: float | None = None
    lag_ms: int | None = None
    max_ts_ms: int | None = None
    wal_bytes: int | None = None
    wal_held_sec: float | None = None
    days_waiting: int | None = None
    waits: tuple[WaitingDay, ...] | None = None
    error: str | None = None
    failures: int | None = None

    def to_line(self) -> bytes:
        """As it goes over the pipe, with what is not None."""
        told = {name: value for name, value in encode(self).items() if value is not None}
        return json.dumps(told, separators=(",", ":")).encode() + b"\n"

    @classmethod
    def from_line(cls, line: bytes) -> Message:
        """A line as it came; one that was cut when the pipe was full is a message without an event."""
        try:
            told: Any = json.loads(line)
        except ValueError:
            told = {}
        return decode(cls, told)
