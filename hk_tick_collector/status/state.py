"""The types of `recorder.json`: what a running recorder reports about itself.

Owns its fields; docs/operations.md explains each. `description` fills it in, `typed_json` writes and reads it, and
health, metrics, verify and status read nothing else. A file of another version may lack any field, which then has its
default. All times are UTC epoch ms, ages in seconds.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from hk_tick_collector.status.lost import Lost  # noqa: TC001 - `typed_json` reads the types
from hk_tick_collector.status.outlook import Outlook  # noqa: TC001
from hk_tick_collector.typed_json import flat, sparse
from hk_tick_collector.writer.progress import Counters, WaitingDay


@dataclass(frozen=True, slots=True)
class Market:
    """Whether Hong Kong trades: the state as OpenD names it, and the source (`opend`, `pushes`, `clock`)."""

    state: str | None = None
    is_open: bool | None = None
    source: str = ""


@dataclass(frozen=True, slots=True)
class Away:
    """What OpenD itself has lost (the exchange or the quote right), and since when."""

    cause: str = ""
    since_ms: int | None = None
    is_without_right: bool = False  # it has reported a quote right that gives no pushes


@dataclass(frozen=True, slots=True)
class Session:
    """The session with OpenD."""

    connected: bool = False
    address: str | None = None  # host:port, as set
    session: int | None = None
    away: Away | None = None
    since_ms: int | None = None
    opend_version: int | None = None
    qot_logined: bool | None = None
    clock_offset_ms: float | None = None
    subscribed: int | None = None
    refused: dict[str, str] | None = None  # symbol: why
    left_out: tuple[str, ...] | None = None  # for want of quota
    quota_used: int | None = None  # units of the account's subscription quota; these symbols included
    quota_left: int | None = None
    totals_refused: dict[str, str] = field(default_factory=dict)
    connects: int | None = None
    disconnects: int | None = None
    last_disconnect: str | None = None
    down_sec: float | None = None
    backfills: int | None = None
    backfill_n: int | None = None
    poll_cycles: int | None = None
    polls_failed: int = 0
    poll_fault: str | None = None
    totals_failed: int = 0
    totals_fault: str | None = None
    unanswered: dict[str, str] = field(default_factory=dict)  # request: why OpenD does not answer it
    resubscribes: int | None = None
    last_heard_age_sec: float | None = None
    last_push_age_sec: float | None = None


@dataclass(frozen=True, slots=True)
class JournalState:
    """The recorder's end of the journal, and the backlog."""

    buffered_bytes: int | None = None
    is_full: bool | None = None
    fault: str | None = None
    backlog_bytes: int | None = None
    backlog_rows: int | None = None


@dataclass(frozen=True, slots=True)
class Disk:
    """DATA_ROOT and its disk."""

    fault: str | None = None  # DATA_ROOT is not the same directory any more
    unsaved: str | None = None  # why this file could not be written
    file_system: str | None = None
    mount: str | None = None  # where it is mounted
    free_bytes: int | None = None
    bytes_a_day: int | None = None
    days_left: float | None = None


@dataclass(frozen=True, slots=True)
class WriterState:
    """The writer, and what it has counted since the recorder started."""

    pid: int | None = None
    lag_ms: int | None = None
    last_exception: str | None = None
    last_exception_age_sec: float | None = None
    last_alive_age_sec: float | None = None
    last_dequeue_age_sec: float | None = None
    last_commit_age_sec: float | None = None
    last_commit_rows: int | None = None
    last_commit_ms: float | None = None
    wal_bytes: int | None = None
    wal_held_sec: float | None = None
    days_waiting: int | None = None
    waits: tuple[WaitingDay, ...] = ()
    locked_by: tuple[str, ...] = ()  # other processes that hold a lock on today's database, while it is locked
    max_ts_ms: int | None = None
    recoveries: int | None = None
    deaths: int = 0  # writers in a row that ended by themselves
    rows_recent: int = 0  # in the last half minute, as all `*_recent`
    bad_recent: int = 0
    drifted_recent: int = 0
    written_by_others_recent: int = 0
    counters: Counters = flat(Counters)  # noqa: RUF009 - a field, with a factory


@dataclass(frozen=True, slots=True)
class WatchdogState:
    """The watchdog."""

    is_stalled: bool | None = None
    stalls: int | None = None
    recoveries_failed: int | None = None
    last_reason: str | None = None


@dataclass(frozen=True, slots=True)
class RecorderState:
    """The whole of `recorder.json`. The last four fields are only set once the recorder has ended."""

    running: bool | None = None
    pid: int | None = None
    version: str = ""
    instance: str = ""
    started_ms: int | None = None
    at_ms: int | None = None
    uptime_sec: float | None = None
    frames: int | None = None
    bytes_received: int | None = None
    market: Market = field(default_factory=Market)
    session: Session = field(default_factory=Session)
    outage: Outlook | None = None
    lost_today: Lost | None = None
    journal: JournalState = field(default_factory=JournalState)
    disk: Disk = field(default_factory=Disk)
    writer: WriterState = field(default_factory=WriterState)
    watchdog: WatchdogState = field(default_factory=WatchdogState)
    stopped_ms: int | None = sparse(None)
    stop_reason: str | None = sparse(None)
    stored: bool | None = sparse(None)
    died: bool = sparse(default=False)  # it is gone without having reported its end
