"""What the recorder reports about itself: log lines for the operator, the supervisor's status, and `recorder.json`.

Owns when each is reported, and how the description reaches other processes. Never decides or changes anything.
`description` is replaced as a whole and never modified, so other threads may read it.
"""

from __future__ import annotations

import asyncio
import json
import threading
import time
from typing import TYPE_CHECKING, Any, Final

from hk_tick_collector import logs
from hk_tick_collector.errors import JournalError
from hk_tick_collector.status.answers import headline
from hk_tick_collector.status.description import Describer, age
from hk_tick_collector.status.findings import Verdict
from hk_tick_collector.status.health import assess
from hk_tick_collector.status.health_session import down_trouble
from hk_tick_collector.status.outlook import outlook_text
from hk_tick_collector.status.state import RecorderState
from hk_tick_collector.status.trouble_table import cure
from hk_tick_collector.status.troubles import Trouble
from hk_tick_collector.store.data_root import STATE_NAME
from hk_tick_collector.typed_json import decode, encode
from hk_tick_collector.writer.progress import Counters

if TYPE_CHECKING:
    from pathlib import Path

    from hk_tick_collector.config import Settings
    from hk_tick_collector.status.description import Parts
    from hk_tick_collector.status.outlook import Outlook

log = logs.get_logger()

STEP_SEC = 0.25
STATE_EVERY_SEC = 2.0
PERSIST_LINE_EVERY_SEC = 10.0
HEALTH_LINE_EVERY_SEC = 60.0
HELD_LINES_EVERY_SEC = 30.0
TODAY_EVERY_SEC = 10.0
OUTAGE_LINE_EVERY_SEC = 30.0

_TOLD: Final = ("rows", "inserted", "duplicates", "revisions", "bad", "commits")


class Reporter:
    """Reports how the parts of a recorder are doing.

    Attributes:
        description: the newest one; its keys are in docs/operations.md.
    """

    def __init__(self, settings: Settings, data_root: Path, parts: Parts) -> None:
        """Makes the first description; reports nothing yet."""
        self._settings = settings
        self._data_root = data_root
        self._journal, self._collector, self._client, self._watchdog = parts
        self._describer = Describer(settings, data_root, parts)
        self._writing = threading.Lock()
        self._told = Counters()  # at the last persist_ticks
        self._told_outage: tuple[object, ...] | None = None
        self._outage_limiter = logs.Limiter(OUTAGE_LINE_EVERY_SEC)
        self._beaten = (time.monotonic(), Counters())  # at the last heartbeat
        self._state = self._describer.describe()  # the newest, before it is added to
        self.description: dict[str, Any] = encode(self._state)

    async def run(self) -> None:
        """Report forever.

        Raises:
            JournalError: the journal's thread has ended, and with it the recording.
        """
        heartbeat = _Every(self._settings.persist_heartbeat_interval_sec)
        persist, health = _Every(PERSIST_LINE_EVERY_SEC), _Every(HEALTH_LINE_EVERY_SEC)
        held = _Every(HELD_LINES_EVERY_SEC)
        state, today = _Every(STATE_EVERY_SEC, at_once=True), _Every(TODAY_EVERY_SEC, at_once=True)
        while True:
            if not self._journal.is_alive:
                raise JournalError("the journal's thread has ended: see the log above it")
            if today.due():
                await asyncio.to_thread(self._describer.look_at_today)
            if state.due():
                await self.save()
                self._tell_outage(self._state.outage)
            if persist.due():
                self._tell_persisted()
            if heartbeat.due():
                self._tell_heartbeat()  # its backlog is from the last `save`, at most STATE_EVERY_SEC ago
            if held.due():
                logs.tell_held()
            if health.due():
                self._tell_health()
            await asyncio.sleep(STEP_SEC)

    async def save(self, **more: object) -> None:
        """Describe, with added or replaced fields, and save the description for other processes."""
        await self.look_at_disk()
        self._state = self._describer.describe()
        self.description = {**encode(self._state), **more}
        await asyncio.to_thread(self._write, self.description)

    async def look_at_disk(self) -> str | None:
        """Measure the backlog, and check that DATA_ROOT is still the same directory; None: it is."""
        return await asyncio.to_thread(self._describer.look_at_disk)

    @property
    def is_recording(self) -> bool:
        """Whether ticks can come: connected, and something is subscribed."""
        return self._client.state.connected and bool(self._client.state.subscribed)

    def status(self) -> str:
        """How the recorder is doing, in one line for people."""
        session, settings = self._client.state, self._settings
        opend = f"OpenD at {settings.futu_host}:{settings.futu_port}"
        if self._watchdog.is_stalled:
            return f"storing is stalled: {self._watchdog.last_reason}. {cure(Trouble.STALLED)}"
        state = decode(RecorderState, self.description)
        health = assess(state)
        stopped = headline(state, health, session.clock.now_ms())
        if not session.connected and session.connects and stopped:
            return stopped
        if not session.connected:
            why = (session.last_disconnect or "connecting").removeprefix(f"{settings.futu_host}:{settings.futu_port}: ")
            return f"waiting for {opend}: {why}. {cure(down_trouble(state.session))}"
        if not session.subscribed:
            return f"connected to {opend}, no symbol is subscribed yet"
        lag_ms = self._collector.state.lag_ms
        parts = [f"recording {len(session.subscribed):,} symbols", f"{self._describer.today.rows:,} ticks today"]
        if lag_ms is not None:
            parts.append(f"lag {lag_ms:,} ms")
        if self._describer.market().is_open is False:
            parts.append("market closed")
        said = [", ".join(parts), *([f"lost today: {health.lost_today}"] if health.lost_today else [])]
        if health.verdict is Verdict.FAILING:  # what is recorded matters less
            said.insert(0, stopped or f"failing: {health.reasons[0]}")
        elif health.verdict is Verdict.DEGRADED:
            said.append(f"degraded: {health.reasons[0]}")
        return "; ".join(said)

    # ---- lines

    def _tell_persisted(self) -> None:
        state, since = self._collector.state, self._collector.state.totals.less(self._told)
        if not since.rows:
            return
        told = {name: getattr(since, name) for name in _TOLD}
        log.info("persist_ticks", **told, commit_ms_max=state.commit_ms_max, lag_ms=state.lag_ms)
        state.commit_ms_max = 0.0
        self._told = state.totals

    def _tell_outage(self, told: Outlook | None) -> None:
        """Log what can be lost: when first known, and again when it changes, but not too often."""
        if told is None or told.first_deadline_ms is None:
            self._told_outage = None
            return
        news = (told.since_ms, told.past, *(risk.symbol for risk in told.symbols[:1]))
        if news == self._told_outage or self._outage_limiter.allow("outage") is None:
            return
        self._told_outage = news
        now_ms = self._client.state.clock.now_ms()
        first_sec = round((told.first_deadline_ms - now_ms) / 1000)
        text = outlook_text(told, now_ms)
        log.warning("outage_deadlines", cause=told.cause, past=told.past, first_in_sec=first_sec, text=text)

    def _tell_heartbeat(self) -> None:
        state, backlog, now = self._collector.state, self._describer.backlog, time.monotonic()
        at, before = self._beaten
        self._beaten = now, state.totals
        passed_sec, since = max(now - at, 0.001), state.totals.less(before)
        log.info(
            "persist_loop_heartbeat",
            writer_pid=state.writer_pid,
            queue_rows=backlog.rows if backlog else None,
            queue_bytes=backlog.size_bytes if backlog else None,
            buffered_bytes=self._journal.buffered_bytes,
            dequeue_rate=round(since.rows / passed_sec, 1),
            commit_rate=round(since.inserted / passed_sec, 1),
            commits=state.totals.commits,
            last_commit_rows=state.last_commit_rows,
            last_dequeue_age_sec=age(now, state.last_dequeue_monotonic),
            last_commit_age_sec=age(now, state.last_commit_monotonic),
            last_alive_age_sec=age(now, state.last_alive_monotonic),
            last_exception=state.last_exception,
            last_exception_age_sec=age(now, state.last_exception_monotonic),
            exceptions=state.totals.errors,
            wal_bytes=state.wal_bytes,
            wal_held_sec=round(state.wal_held_sec, 1),
            recoveries=state.recoveries,
        )

    def _tell_health(self) -> None:
        session, now = self._client.state, time.monotonic()
        market = self._describer.market()
        log.info(
            "health",
            connected=session.connected,
            qot_logined=session.qot_logined,
            market=market.state or ("open" if market.is_open else "closed"),
            subscribed=len(session.subscribed),
            refused=len(session.refused),
            left_out=len(session.left_out),
            frames=self._client.pushes,
            rows=self._collector.state.totals.inserted,
            last_push_age_sec=age(now, self._client.last_push_at),
            lag_ms=self._collector.state.lag_ms,
            clock_offset_ms=session.clock_offset_ms,
            disconnects=session.disconnects,
        )

    # ---- saving the description

    def _write(self, description: dict[str, Any]) -> None:
        """Save the description; a full disk must not end the recorder."""
        path = self._data_root / STATE_NAME
        with self._writing:  # while the disk hung, a newer one may have replaced it, above all the last one
            if description is not self.description:
                return
            try:
                temporary = path.with_suffix(".tmp")
                temporary.write_text(json.dumps(description), encoding="utf-8")
                temporary.replace(path)
                self._describer.unsaved = None
            except OSError as exc:
                self._describer.unsaved = str(exc)
                log.debug("state_not_saved", error=exc)


class _Every:
    """Due once every `every_sec` seconds."""

    def __init__(self, every_sec: float, *, at_once: bool = False) -> None:
        self._every_sec = every_sec
        self._next = time.monotonic() + (0 if at_once else every_sec)

    def due(self) -> bool:
        now = time.monotonic()
        if now < self._next:
            return False
        self._next = now + self._every_sec
        return True
