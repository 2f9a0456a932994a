"""What the writer reports to the recorder, line by line: one encoder, and one tolerant decoder.

Owns the counters, each with its metric, and the format of a line. Everything in a line is a total or the newest value,
so a dropped line is not a loss.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field, fields
from typing import Any, ClassVar

from hk_tick_collector.typed_json import decode, encode


def _count(metric: str = "", meaning: str = "") -> int:
    """A counter; `metric` is the name of its metric, if it has one."""
    made: int = field(default=0, metadata={"metric": metric, "meaning": meaning})
    return made


@dataclass(slots=True)
class Counters:
    """What writers have done so far.

    To add a counter, define it here and count it. The code follows; docs/operations.md needs a row in two tables.
    """

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
    """(field, metric, meaning) of the counters that have a metric."""

    def add(self, other: Counters) -> None:
        """Add the other counts to these."""
        for name in _NAMES:
            setattr(self, name, getattr(self, name) + getattr(other, name))

    def plus(self, other: Counters) -> Counters:
        """The sum of both, as a new one."""
        found = Counters()
        found.add(self)
        found.add(other)
        return found

    def less(self, other: Counters) -> Counters:
        """What was counted since `other`, an earlier state, as a new one."""
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
        is_catching_up: whether it is being caught up from the journal.
        left_bytes: bytes of the journal still to be read for it; None: not known.
    """

    day: str = ""
    is_today: bool = False
    reason: str = ""
    since_ms: int | None = None
    is_catching_up: bool = False
    left_bytes: int | None = None


@dataclass(frozen=True, slots=True)
class Message:
    """A line of the writer. Fields that its event does not have are None.

    Attributes:
        event: ready, commit, alive, error or stopped.
        totals: what this writer has counted so far.
        segment: with `offset`, the position up to which the journal is stored.
        rows: ticks in the committed batch, of which `commit_rows` were new.
        commit_ms: how long the batch took.
        lag_ms: from the reception of its newest tick to its commit.
        max_ts_ms: the greatest time of a pushed tick in it, UTC epoch ms.
        wal_bytes: size of the write-ahead logs.
        wal_held_sec: how long a reader has blocked their truncation.
        days_waiting: how many days wait; `waits` has the newest of them.
        error: of the failed attempt, in words; `failures` is the number in a row.
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
        """The line as sent over the pipe, without fields that are None."""
        told = {name: value for name, value in encode(self).items() if value is not None}
        return json.dumps(told, separators=(",", ":")).encode() + b"\n"

    @classmethod
    def from_line(cls, line: bytes) -> Message:
        """Decode a received line; one that was cut when the pipe was full gives a message without an event."""
        try:
            told: Any = json.loads(line)
        except ValueError:
            told = {}
        return decode(cls, told)
