"""Health rules for storing: from the received bytes to the databases."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hk_tick_collector.hktime import hk_day
from hk_tick_collector.status.findings import NAMES_SHOWN, Finding, Verdict, count, waiting
from hk_tick_collector.status.troubles import Trouble
from hk_tick_collector.store.file_system import is_shared
from hk_tick_collector.text import excerpt, size, span

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hk_tick_collector.status.state import RecorderState

WRITER_SILENT_SEC_MAX = 30.0  # it reports every second, or every few seconds while it waits for a lock
EXCEPTION_SEC_MAX = 60.0  # a lasting fault recurs at least every PERSIST_RETRY_BACKOFF_MAX_SEC + busy timeout
MENDED_SEC_MAX = 30.0  # a fault that is over is reported for this long
LAG_MS_MAX = 5_000
WAL_HELD_SEC_MAX = 60.0
DEATHS_MAX = 2
NOTHING_BYTES = 1_000_000  # with less than this, hardly a commit fits
FREE_BYTES_MIN = 20_000_000  # a few minutes of a busy market
DAYS_LEFT_MIN = 7  # time to get a bigger disk
_OLDER = "OlderRecorderError"  # as an exception is reported: by its class, then its text
_FULL_WORDS = ("is full", "No space left", "quota exceeded")  # SQLite's, and the system's


def _journal(state: RecorderState) -> Iterator[Finding]:
    """Can the journal be written?"""
    journal = state.journal
    held = journal.buffered_bytes or 0
    fault = f": {excerpt(journal.fault)}" if journal.fault else ""
    if journal.is_full:
        seen = f"journal full{fault}; {size(held)} held in memory, and nothing is read from OpenD{room_text(state)}"
        yield Finding(Verdict.FAILING, Trouble.JOURNAL_FULL, seen)
    elif fault:
        seen = f"journal can't be written{fault}; {size(held)} held in memory{room_text(state)}"
        yield Finding(Verdict.FAILING, Trouble.JOURNAL_FAULT, seen)


def _writer(state: RecorderState) -> Iterator[Finding]:
    """Are rows being stored? An old last commit proves nothing by itself: there may be nothing to commit."""
    writer, watchdog = state.writer, state.watchdog
    if watchdog.is_stalled:
        failed = watchdog.recoveries_failed or 0
        why = excerpt(watchdog.last_reason or "nothing is stored")
        seen = f"storing is stalled: {why} ({failed:,} recoveries failed so far){waiting(state)}{_holders(state)}"
        yield Finding(Verdict.FAILING, Trouble.STALLED, seen)
    silent_sec = writer.last_alive_age_sec
    if silent_sec is None and (state.uptime_sec or 0) > WRITER_SILENT_SEC_MAX:
        seen = f"writer: none has begun to store since the start{waiting(state)}"
        yield Finding(Verdict.FAILING, Trouble.NO_WRITER, seen)
    if silent_sec is not None and silent_sec > WRITER_SILENT_SEC_MAX:
        seen = f"writer (pid {writer.pid}): no sign of life for {span(silent_sec)}{waiting(state)}"
        yield Finding(Verdict.FAILING, Trouble.WRITER_SILENT, seen)
    yield from _exception(state)
    lag_ms = writer.lag_ms
    # The lag is measured at the last commit: at night that is long past.
    commit_sec = writer.last_commit_age_sec
    is_fresh = commit_sec is None or commit_sec <= WRITER_SILENT_SEC_MAX
    if lag_ms is not None and lag_ms > LAG_MS_MAX and is_fresh and waiting(state):
        seen = f"writer: {span(lag_ms / 1000)} behind{waiting(state)}"
        yield Finding(Verdict.DEGRADED, Trouble.BEHIND, seen)


def _exception(state: RecorderState) -> Iterator[Finding]:
    """Does storing fail, now or a moment ago?"""
    writer = state.writer
    exception_sec, commit_sec = writer.last_exception_age_sec, writer.last_commit_age_sec
    if exception_sec is None:
        return
    stores_again = commit_sec is not None and commit_sec < exception_sec
    if exception_sec > (MENDED_SEC_MAX if stores_again else EXCEPTION_SEC_MAX):
        return
    failures = writer.counters.errors or 1
    why = writer.last_exception or "fails"
    seen = f"writer: {excerpt(why)} ({count(failures, 'failure')})"
    if stores_again:
        yield Finding(Verdict.DEGRADED, Trouble.STORES_AGAIN, f"{seen}, {span(exception_sec)} ago; it stores again")
    elif waiting(state):
        lacks_room = any(word in why for word in _FULL_WORDS)
        trouble = Trouble.DAY_LOCKED if "locked" in why else Trouble.DISK_FULL if lacks_room else Trouble.STORE_FAULT
        trouble = Trouble.TODAY_OLDER if why.startswith(_OLDER) else trouble
        more = _holders(state) if trouble is Trouble.DAY_LOCKED else room_text(state) if lacks_room else ""
        yield Finding(Verdict.FAILING, trouble, f"{seen}{waiting(state)}{more}")


def _holders(state: RecorderState) -> str:
    """Who has today's database locked, as the end of a sentence; empty if that is not known."""
    holders = ", ".join(excerpt(holder) for holder in state.writer.locked_by)
    return f"; {hk_day(state.at_ms or 0)}.db is locked by {holders}" if holders else ""


def room_text(state: RecorderState) -> str:
    """Where DATA_ROOT is, how much is free there and how much is needed, as the end of a sentence."""
    disk = state.disk
    if disk.free_bytes is None:
        return ""
    need = f"a trading day needs {size(disk.bytes_a_day)}" if disk.bytes_a_day else f"needs {size(FREE_BYTES_MIN)}"
    where = f"{excerpt(disk.mount)} has" if disk.mount else "the disk has"
    return f"; {where} {size(disk.free_bytes)} free, {need}"


def _deaths(state: RecorderState) -> Iterator[Finding]:
    """Do writers stay alive? One that dies soon after each start reports that it is alive, but stores nothing."""
    deaths = state.writer.deaths
    if deaths >= DEATHS_MAX:
        seen = f"{count(deaths, 'writer')} in a row ended by themselves{waiting(state)}"
        yield Finding(Verdict.FAILING, Trouble.WRITERS_DIE, seen)


def _readable(state: RecorderState) -> Iterator[Finding]:
    """Are received ticks readable? What can't be read is put aside, and no reader sees it as a tick."""
    bad, rows = state.writer.bad_recent, state.writer.rows_recent
    if bad:
        verdict = Verdict.FAILING if bad * 2 >= rows else Verdict.DEGRADED
        seen = f"{bad:,} of {rows:,} ticks of the last half minute can't be read"
        yield Finding(verdict, Trouble.UNREADABLE_TICKS, seen)


def _drift(state: RecorderState) -> Iterator[Finding]:
    """Do live ticks have the current time? Ticks with another date are stored under that day, not today."""
    if state.writer.drifted_recent:
        yield Finding(Verdict.DEGRADED, Trouble.DRIFT, "live ticks bear a time far from now")


def _others(state: RecorderState) -> Iterator[Finding]:
    """Is this recorder the only program that writes? It can't know what another one changes."""
    if state.writer.written_by_others_recent:
        yield Finding(Verdict.DEGRADED, Trouble.OTHER_WRITER, "another program writes to a day's database")


def _disk(state: RecorderState) -> Iterator[Finding]:
    """Is DATA_ROOT still the same directory, and writable?"""
    disk = state.disk
    if disk.fault:
        yield Finding(Verdict.FAILING, Trouble.ROOT_GONE, f"DATA_ROOT {excerpt(disk.fault)}")
    elif disk.unsaved:
        seen = f"recorder.json can't be written: {excerpt(disk.unsaved)}"
        yield Finding(Verdict.FAILING, Trouble.UNSAVED, seen)


def _space(state: RecorderState) -> Iterator[Finding]:
    """How long will the disk last? A trading day's size is known once one is over."""
    free_bytes, days_left = state.disk.free_bytes, state.disk.days_left
    if free_bytes is None:
        return
    if is_full(state):
        yield from disk_full(state)
    elif days_left is not None and days_left < DAYS_LEFT_MIN:
        lasts = f"for about {count(int(days_left), 'trading day')}" if days_left >= 1 else "not even for a trading day"
        verdict = Verdict.DEGRADED if days_left >= 1 else Verdict.FAILING
        taken = f"{size(state.disk.bytes_a_day or 0)} a day"
        seen = f"disk{_of_mount(state)}: {size(free_bytes)} left, {lasts} at {taken}"
        yield Finding(verdict, Trouble.DISK_FILLING, seen)


def is_full(state: RecorderState) -> bool:
    """Whether the disk is full, or will be within minutes."""
    return state.disk.free_bytes is not None and state.disk.free_bytes < FREE_BYTES_MIN


def disk_full(state: RecorderState) -> Iterator[Finding]:
    """The finding of a disk that is full, or will be within minutes."""
    if (state.disk.free_bytes or 0) < NOTHING_BYTES:
        yield Finding(Verdict.FAILING, Trouble.DISK_FULL, f"disk full{room_text(state)}")
    else:
        yield Finding(Verdict.FAILING, Trouble.DISK_NEARLY_FULL, f"disk nearly full{room_text(state)}")


def _of_mount(state: RecorderState) -> str:
    return f" of {excerpt(state.disk.mount)}" if state.disk.mount else ""


def _settings(state: RecorderState) -> Iterator[Finding]:
    """Does a setting or the file system put data at risk?"""
    if state.session.backfill_n == 0:
        yield Finding(Verdict.DEGRADED, Trouble.NO_BACKFILL, "BACKFILL_N=0: every outage leaves a gap")
    kind = state.disk.file_system
    if kind is not None and is_shared(kind):
        seen = f"DATA_ROOT is on {excerpt(kind)}, where databases can be damaged"
        yield Finding(Verdict.DEGRADED, Trouble.SHARED_DISK, seen)


def _waits(state: RecorderState) -> Iterator[Finding]:
    """Is there a day whose database can't be written? It has its own place in the journal; all others go on."""
    waits = state.writer.waits
    for wait in waits[:NAMES_SHOWN]:
        day = "today" if wait.is_today else excerpt(wait.day.replace("before-", "all before "))
        what = "today is not stored" if wait.is_today else f"{day} waits, all other days are stored"
        if wait.is_catching_up:
            left = f", {size(wait.left_bytes)} to go" if wait.left_bytes is not None else ""
            what = f"{day} is being caught up from the journal{left}"
        verdict = Verdict.FAILING if wait.is_today else Verdict.DEGRADED
        trouble = Trouble.TODAY_WAITS if wait.is_today else Trouble.DAY_WAITS
        if wait.is_today and wait.reason.startswith(_OLDER):
            trouble = Trouble.TODAY_OLDER
        if wait.is_catching_up:
            trouble = Trouble.CATCHING_UP
        yield Finding(verdict, trouble, f"{what}: {excerpt(wait.reason)}")
    more = (state.writer.days_waiting or 0) - min(len(waits), NAMES_SHOWN)
    if more > 0:
        seen = f"{count(more, 'more day')} waiting: see day_waits in the log"
        yield Finding(Verdict.DEGRADED, Trouble.DAY_WAITS, seen)


def _wal(state: RecorderState) -> Iterator[Finding]:
    """Does a long query make the write-ahead log grow?"""
    held_sec = state.writer.wal_held_sec
    if held_sec is not None and held_sec >= WAL_HELD_SEC_MAX:
        held = size(state.writer.wal_bytes or 0)
        seen = f"a long-running reader has blocked WAL truncation for {span(held_sec)}, {held}"
        yield Finding(Verdict.DEGRADED, Trouble.WAL_HELD, seen)


STORING_RULES = (_disk, _space, _journal, _writer, _deaths, _readable, _drift, _others, _waits, _settings, _wal)
