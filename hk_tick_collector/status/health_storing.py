"""Health rules for storing: from the received bytes to the databases."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hk_tick_collector.status.findings import NAMES_SHOWN, Finding, Verdict, count, waiting
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
FREE_BYTES_MIN = 20_000_000  # a few minutes of a busy market
DAYS_LEFT_MIN = 7  # time to get a bigger disk


def _journal(state: RecorderState) -> Iterator[Finding]:
    """Can the journal be written?"""
    journal = state.journal
    held = journal.buffered_bytes or 0
    fault = f": {excerpt(journal.fault)}" if journal.fault else ""
    if journal.is_full:
        reason = f"journal full{fault}; {size(held)} held in memory, and nothing is read from OpenD: make space"
        yield Finding(Verdict.FAILING, reason)
    elif fault:
        reason = f"journal can't be written{fault}; {size(held)} held in memory: make space"
        yield Finding(Verdict.FAILING, reason)


def _writer(state: RecorderState) -> Iterator[Finding]:
    """Are rows being stored? An old last commit proves nothing by itself: there may be nothing to commit."""
    writer, watchdog = state.writer, state.watchdog
    if watchdog.is_stalled:
        failed = watchdog.recoveries_failed or 0
        why = excerpt(watchdog.last_reason or "nothing is stored")
        yield Finding(
            Verdict.FAILING, f"storing is stalled: {why} ({failed:,} recoveries failed so far){waiting(state)}"
        )
    silent_sec = writer.last_alive_age_sec
    if silent_sec is None and (state.uptime_sec or 0) > WRITER_SILENT_SEC_MAX:
        yield Finding(Verdict.FAILING, f"writer: none has begun to store since the start{waiting(state)}")
    if silent_sec is not None and silent_sec > WRITER_SILENT_SEC_MAX:
        yield Finding(Verdict.FAILING, f"writer: no sign of life for {span(silent_sec)}{waiting(state)}")
    exception_sec, commit_sec = writer.last_exception_age_sec, writer.last_commit_age_sec
    stores_again = exception_sec is not None and commit_sec is not None and commit_sec < exception_sec
    if exception_sec is not None and exception_sec <= (MENDED_SEC_MAX if stores_again else EXCEPTION_SEC_MAX):
        failures = writer.counters.errors or 1
        reason = f"writer: {excerpt(writer.last_exception or 'fails')} ({count(failures, 'failure')})"
        if stores_again:
            yield Finding(Verdict.DEGRADED, f"{reason}, {span(exception_sec)} ago; it stores again")
        elif waiting(state):
            yield Finding(Verdict.FAILING, f"{reason}{waiting(state)}")
    lag_ms = writer.lag_ms
    # The lag is measured at the last commit: at night that is long past.
    is_fresh = commit_sec is None or commit_sec <= WRITER_SILENT_SEC_MAX
    if lag_ms is not None and lag_ms > LAG_MS_MAX and is_fresh and waiting(state):
        yield Finding(Verdict.DEGRADED, f"writer: {span(lag_ms / 1000)} behind{waiting(state)}")


def _deaths(state: RecorderState) -> Iterator[Finding]:
    """Do writers stay alive? One that dies soon after each start reports that it is alive, but stores nothing."""
    deaths = state.writer.deaths
    if deaths >= DEATHS_MAX:
        reason = f"{count(deaths, 'writer')} in a row ended by themselves{waiting(state)}: see writer_ended in the log"
        yield Finding(Verdict.FAILING, reason)


def _readable(state: RecorderState) -> Iterator[Finding]:
    """Are received ticks readable? What can't be read is put aside, and no reader sees it as a tick."""
    bad, rows = state.writer.bad_recent, state.writer.rows_recent
    if bad:
        verdict = Verdict.FAILING if bad * 2 >= rows else Verdict.DEGRADED
        seen = f"{bad:,} of {rows:,} ticks of the last half minute can't be read"
        yield Finding(verdict, f"{seen}: see bad_tick_kept_aside in the log")


def _drift(state: RecorderState) -> Iterator[Finding]:
    """Do live ticks have the current time? Ticks with another date are stored under that day, not today."""
    if state.writer.drifted_recent:
        reason = "live ticks bear a time far from now: see ts_drift_warn in the log, and look at all clocks"
        yield Finding(Verdict.DEGRADED, reason)


def _others(state: RecorderState) -> Iterator[Finding]:
    """Is this recorder the only program that writes? It can't know what another one changes."""
    if state.writer.written_by_others_recent:
        reason = "another program writes to a day's database: stop it; fuser -v DATA_ROOT/*.db shows who has one open"
        yield Finding(Verdict.DEGRADED, reason)


def _disk(state: RecorderState) -> Iterator[Finding]:
    """Is DATA_ROOT still the same directory, and writable?"""
    disk = state.disk
    if disk.fault:
        reason = f"DATA_ROOT {excerpt(disk.fault)}: put it back and restart, before more is lost"
        yield Finding(Verdict.FAILING, reason)
    elif disk.unsaved:
        yield Finding(Verdict.FAILING, f"recorder.json can't be written: {excerpt(disk.unsaved)}: make space")


def _space(state: RecorderState) -> Iterator[Finding]:
    """How long will the disk last? A trading day's size is known once one is over."""
    free_bytes, days_left = state.disk.free_bytes, state.disk.days_left
    if free_bytes is None:
        return
    if free_bytes < FREE_BYTES_MIN:
        yield Finding(Verdict.FAILING, f"disk nearly full: {size(free_bytes)} left; make space")
    elif days_left is not None and days_left < DAYS_LEFT_MIN:
        lasts = f"for about {count(int(days_left), 'trading day')}" if days_left >= 1 else "not even for a trading day"
        verdict = Verdict.DEGRADED if days_left >= 1 else Verdict.FAILING
        taken = f"{size(state.disk.bytes_a_day or 0)} a day"
        yield Finding(verdict, f"disk: {size(free_bytes)} left, {lasts} at {taken}: make space")


def _settings(state: RecorderState) -> Iterator[Finding]:
    """Does a setting or the file system put data at risk?"""
    if state.session.backfill_n == 0:
        yield Finding(Verdict.DEGRADED, "BACKFILL_N=0: every outage leaves a gap; set it to 1000")
    kind = state.disk.file_system
    if kind is not None and is_shared(kind):
        yield Finding(
            Verdict.DEGRADED, f"DATA_ROOT is on {excerpt(kind)}, where databases can be damaged: use a local disk"
        )


def _waits(state: RecorderState) -> Iterator[Finding]:
    """Is there a day whose database can't be written? It has its own place in the journal; all others go on."""
    waits = state.writer.waits
    for wait in waits[:NAMES_SHOWN]:
        day = "today" if wait.is_today else excerpt(wait.day.replace("before-", "all before "))
        what = "today is not stored" if wait.is_today else f"{day} waits, all other days are stored"
        if wait.is_catching_up:
            left = f", {size(wait.left_bytes)} to go" if wait.left_bytes is not None else ""
            what = f"{day} is being caught up from the journal{left}"
        yield Finding(Verdict.FAILING if wait.is_today else Verdict.DEGRADED, f"{what}: {excerpt(wait.reason)}")
    more = (state.writer.days_waiting or 0) - min(len(waits), NAMES_SHOWN)
    if more > 0:
        yield Finding(Verdict.DEGRADED, f"{count(more, 'more day')} waiting: see day_waits in the log")


def _wal(state: RecorderState) -> Iterator[Finding]:
    """Does a long query make the write-ahead log grow?"""
    held_sec = state.writer.wal_held_sec
    if held_sec is not None and held_sec >= WAL_HELD_SEC_MAX:
        held = size(state.writer.wal_bytes or 0)
        reason = (
            f"a long-running reader has blocked WAL truncation for {span(held_sec)}, {held}: find the query, end it"
        )
        yield Finding(Verdict.DEGRADED, reason)


STORING_RULES = (_disk, _space, _journal, _writer, _deaths, _readable, _drift, _others, _waits, _settings, _wal)
