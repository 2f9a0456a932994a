"""Every trouble that can be reported about a recorder, by name, and the form of the words for it.

`trouble_table` has the words for each, and `trouble_table_storing` those of storing and of `verify`.
"""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple


class Effect(StrEnum):
    """What a trouble does to the recording.

    NONE: ticks are received and stored. DELAYED: they are received and safe in the journal, but not in the database.
    STOPPED: no tick is received, or what is received is not kept.
    """

    NONE = "none"
    DELAYED = "delayed"
    STOPPED = "stopped"


class Trouble(StrEnum):
    """What can be wrong. `trouble_table.ENTRIES` has the words for each."""

    NO_REPORT = "no_report"
    NOT_REPORTED = "not_reported"
    NOT_RUNNING = "not_running"
    ENDED = "ended"
    NOT_RUNNING_FULL = "not_running_full"
    WRONG_SETTING = "wrong_setting"
    SILENT = "silent"
    SILENT_FULL = "silent_full"
    FROM_THE_FUTURE = "from_the_future"
    OPEND_DOWN = "opend_down"
    OPEND_HANGS = "opend_hangs"
    OPEND_CLOSES = "opend_closes"
    OPEND_MUTE = "opend_mute"
    NOT_LOGGED_IN = "not_logged_in"
    KICKED_OUT = "kicked_out"
    NO_QUOTE_RIGHT = "no_quote_right"
    EXCHANGE_LOST = "exchange_lost"
    NOT_SUBSCRIBED = "not_subscribed"
    ALL_REFUSED = "all_refused"
    ALL_WITHOUT_QUOTA = "all_without_quota"
    JUST_CONNECTED = "just_connected"
    LOSING_TICKS = "losing_ticks"
    STREAM_INTERRUPTED = "stream_interrupted"
    NO_PUSH = "no_push"
    PERHAPS_NO_PUSH = "perhaps_no_push"
    NO_PUSH_YET = "no_push_yet"
    NO_TICK_YET = "no_tick_yet"
    NOTHING_STORED_YET = "nothing_stored_yet"
    ROOT_GONE = "root_gone"
    DISK_FULL = "disk_full"
    DISK_NEARLY_FULL = "disk_nearly_full"
    DISK_FILLING = "disk_filling"
    UNSAVED = "unsaved"
    JOURNAL_FULL = "journal_full"
    JOURNAL_FAULT = "journal_fault"
    STALLED = "stalled"
    NO_WRITER = "no_writer"
    WRITER_SILENT = "writer_silent"
    WRITERS_DIE = "writers_die"
    DAY_LOCKED = "day_locked"
    STORE_FAULT = "store_fault"
    STORES_AGAIN = "stores_again"
    BEHIND = "behind"
    TODAY_WAITS = "today_waits"
    TODAY_OLDER = "today_older"
    DAY_WAITS = "day_waits"
    CATCHING_UP = "catching_up"
    UNREADABLE_TICKS = "unreadable_ticks"
    DRIFT = "drift"
    CLOCK_OFF = "clock_off"
    OTHER_WRITER = "other_writer"
    WAL_HELD = "wal_held"
    SHARED_DISK = "shared_disk"
    NO_BACKFILL = "no_backfill"
    REFUSED = "refused"
    NO_QUOTA = "no_quota"
    UNANSWERED = "unanswered"
    PREMISE_FAILED = "premise_failed"
    DAY_UNREADABLE = "day_unreadable"
    FUTURE_TICKS = "future_ticks"
    NO_NEW_ROWS = "no_new_rows"
    NOT_WAL = "not_wal"
    BUSY_TIMEOUT = "busy_timeout"
    GAVE_UP = "gave_up"
    NOT_AS_SEALED = "not_as_sealed"


class Entry(NamedTuple):
    """The words for a trouble.

    Attributes:
        symptom: how it shows, in short, for the table in docs/operations.md.
        cause: why it happens.
        cure: what to do. `{start}`: how to start the recorder on this machine; `{root}`: its DATA_ROOT.
        effect: what it does to the recording.
    """

    symptom: str
    cause: str
    cure: str
    effect: Effect = Effect.NONE
