"""What the recorder says of itself: the operator's lines, the supervisor's status, and `recorder.json`.

Owns the one description of a running recorder, which `status`, `verify`, health and metrics read. Never decides or
changes anything. `description` is replaced as a whole and never changed, so that other threads may read it.
"""

from __future__ import annotations

import asyncio
import json
import os
import threading
import time
from typing import TYPE_CHECKING, Any, Final

from hk_tick_collector import __version__, logs
from hk_tick_collector.backlog import Backlog, measure_backlog
from hk_tick_collector.clock import wall_ms
from hk_tick_collector.data_root import STATE_NAME, identity
from hk_tick_collector.db_read import rows_of_day
from hk_tick_collector.deadlines import outlook, outlook_text
from hk_tick_collector.errors import DatabaseError, JournalError
from hk_tick_collector.health import WORD_LATE_MS
from hk_tick_collector.hktime import CONTINUOUS, hk_day, is_trading_time, may_trade_between
from hk_tick_collector.journal import DIRECTORY
from hk_tick_collector.opend.market import may_trade
from hk_tick_collector.recent import Recent

if TYPE_CHECKING:
    from pathlib import Path

    from hk_tick_collector.collector import Collector
    from hk_tick_collector.config import Settings
    from hk_tick_collector.futu_client import FutuClient
    from hk_tick_collector.journal_append import Journal
    from hk_tick_collector.watchdog import Watchdog

log = logs.get_logger()

STEP_SEC = 0.25
STATE_EVERY_SEC = 2.0
PERSIST_LINE_EVERY_SEC = 10.0
HEALTH_LINE_EVERY_SEC = 60.0
TODAY_EVERY_SEC = 10.0
OUTAGE_LINE_EVERY_SEC = 30.0
PUSH_FRESH_SEC = 300.0  # where something was pushed, it trades; and after the close not for long
MARKET_FRESH_SEC = 150.0  # OpenD is asked each 60 s; what it said is old after two questions without an answer

_COUNTED: Final = (
    "rows",
    "inserted",
    "duplicates",
    "revisions",
    "bad",
    "corrected",
    "commits",
    "errors",
    "damages",
    "gaps",
    "gaps_filled",
    "premises_failed",
    "away",
    "extra",
)
_TOLD: Final = ("rows", "inserted", "duplicates", "revisions", "bad", "commits")


class Reporter:
    """Tells how the parts of a recorder are.

    Attributes:
        description: the newest one; its keys are in docs/operations.md.
    """

    def __init__(
        self,
        settings: Settings,
        data_root: Path,
        parts: tuple[Journal, Collector, FutuClient, Watchdog],
    ) -> None:
        self._settings = settings
        self._data_root = data_root
        self._journal, self._collector, self._client, self._watchdog = parts
        self._started_ms, self._started_at = wall_ms(), time.monotonic()
        self._backlog: Backlog | None = None
        self._rows_today = 0
        self._root = identity(data_root)
        self._root_fault: str | None = None
        self._unsaved: str | None = None
        self._recent = Recent()
        self._writing = threading.Lock()
        self._told: dict[str, int] = {}  # totals at the last persist_ticks
        self._told_outage: tuple[object, ...] | None = None
        self._outage_limiter = logs.Limiter(OUTAGE_LINE_EVERY_SEC)
        self._beaten: tuple[float, dict[str, int]] = (self._started_at, {})  # time and totals at the last heartbeat
        self.description: dict[str, Any] = self._describe()

    async def run(self) -> None:
        """Report for ever.

        Raises:
            JournalError: the journal's thread has ended, and with it the recording.
        """
        heartbeat = _Every(self._settings.persist_heartbeat_interval_sec)
        persist, health = _Every(PERSIST_LINE_EVERY_SEC), _Every(HEALTH_LINE_EVERY_SEC)
        state, today = _Every(STATE_EVERY_SEC, at_once=True), _Every(TODAY_EVERY_SEC, at_once=True)
        while True:
            if not self._journal.is_alive:
                raise JournalError("the journal's thread has ended: see the log above it")
            if today.due():
                self._rows_today = await asyncio.to_thread(self._count_today)
            if state.due():
                await self.save()
                self._tell_outage(self.description["outage"])
            if persist.due():
                self._tell_persisted()
            if heartbeat.due():
                self._tell_heartbeat()  # what waits is as `save` has found it, STATE_EVERY_SEC ago at most
            if health.due():
                self._tell_health()
            await asyncio.sleep(STEP_SEC)

    async def save(self, **more: object) -> None:
        """Describe, with more fields or other values, and put it down for other processes."""
        await self.look_at_disk()
        self._recent.look(time.monotonic(), self._collector.state.totals)
        self.description = {**self._describe(), **more}
        await asyncio.to_thread(self._write, self.description)

    @property
    def is_recording(self) -> bool:
        """Whether ticks can come: connected, and something is subscribed."""
        return self._client.state.connected and bool(self._client.state.subscribed)

    def status(self) -> str:
        """How it is, in one line for people."""
        session, settings = self._client.state, self._settings
        opend = f"OpenD at {settings.futu_host}:{settings.futu_port}"
        if self._watchdog.is_stalled:
            return f"storing is stalled: {self._watchdog.last_reason}"
        if not session.connected:
            why = (session.last_disconnect or "connecting").removeprefix(f"{settings.futu_host}:{settings.futu_port}: ")
            return f"waiting for {opend}: {why}"
        if not session.subscribed:
            return f"connected to {opend}, no symbol is subscribed yet"
        lag_ms = self._collector.state.lag_ms
        parts = [f"recording {len(session.subscribed):,} symbols", f"{self._rows_today:,} ticks today"]
        if lag_ms is not None:
            parts.append(f"lag {lag_ms:,} ms")
        if self.market()["is_open"] is False:
            parts.append("market closed")
        return ", ".join(parts)

    def market(self) -> dict[str, Any]:
        """The market's state by OpenD's word; where it has not told lately, whether it is open by what is evident.

        The calendar comes last: where nothing is pushed, and OpenD was not at odds with it when it spoke last.
        """
        session, now = self._client.state, time.monotonic()
        market, told_sec = session.market, _age(now, session.market_at) or 0.0
        now_ms = session.opend_ms()
        told_ms = now_ms - int(told_sec * 1000)
        keeps_no_hours = market in CONTINUOUS and not may_trade_between(told_ms - WORD_LATE_MS, told_ms)
        if market is not None and (told_sec <= MARKET_FRESH_SEC or keeps_no_hours):
            return {"state": market, "is_open": may_trade(market), "source": "opend"}
        pushed_sec = _age(now, self._client.last_push_at)
        if pushed_sec is not None and pushed_sec <= PUSH_FRESH_SEC:
            return {"state": None, "is_open": True, "source": "pushes"}
        return {"state": None, "is_open": is_trading_time(now_ms), "source": "clock"}

    # ---- lines

    def _tell_persisted(self) -> None:
        state, before = self._collector.state, self._told
        if state.totals.get("rows", 0) == before.get("rows", 0):
            return
        since = {name: state.totals.get(name, 0) - before.get(name, 0) for name in _TOLD}
        log.info("persist_ticks", **since, commit_ms_max=state.commit_ms_max, lag_ms=state.lag_ms)
        state.commit_ms_max = 0.0
        self._told = dict(state.totals)

    def _tell_outage(self, told: dict[str, Any] | None) -> None:
        """What can be lost: when that is first known, and then when a deadline passes, but not too often."""
        if told is None or told["first_deadline_ms"] is None:
            self._told_outage = None
            return
        news = (told["since_ms"], told["past"], *(symbol["symbol"] for symbol in told["symbols"][:1]))
        if news == self._told_outage or self._outage_limiter.allow("outage") is None:
            return
        self._told_outage = news
        now_ms = self._client.state.clock.now_ms()
        first_sec = round((told["first_deadline_ms"] - now_ms) / 1000)
        text = outlook_text(told, now_ms)
        log.warning("outage_deadlines", cause=told["cause"], past=told["past"], first_in_sec=first_sec, text=text)

    def _tell_heartbeat(self) -> None:
        state, now = self._collector.state, time.monotonic()
        at, before = self._beaten
        self._beaten = now, dict(state.totals)
        passed_sec = max(now - at, 0.001)
        rates = {name: (state.totals.get(name, 0) - before.get(name, 0)) / passed_sec for name in ("rows", "inserted")}
        log.info(
            "persist_loop_heartbeat",
            writer_pid=state.writer_pid,
            queue_rows=self._backlog.rows if self._backlog else None,
            queue_bytes=self._backlog.size_bytes if self._backlog else None,
            buffered_bytes=self._journal.buffered_bytes,
            dequeue_rate=round(rates["rows"], 1),
            commit_rate=round(rates["inserted"], 1),
            commits=state.totals.get("commits", 0),
            last_commit_rows=state.last_commit_rows,
            last_dequeue_age_sec=_age(now, state.last_dequeue_monotonic),
            last_commit_age_sec=_age(now, state.last_commit_monotonic),
            last_alive_age_sec=_age(now, state.last_alive_monotonic),
            last_exception=state.last_exception,
            last_exception_age_sec=_age(now, state.last_exception_monotonic),
            exceptions=state.totals.get("errors", 0),
            wal_bytes=state.wal_bytes,
            wal_held_sec=round(state.wal_held_sec, 1),
            recoveries=state.recoveries,
        )

    def _tell_health(self) -> None:
        session, now = self._client.state, time.monotonic()
        market = self.market()
        log.info(
            "health",
            connected=session.connected,
            qot_logined=session.qot_logined,
            market=market["state"] or ("open" if market["is_open"] else "closed"),
            subscribed=len(session.subscribed),
            refused=len(session.refused),
            left_out=len(session.left_out),
            frames=self._client.pushes,
            rows=self._collector.state.totals.get("inserted", 0),
            last_push_age_sec=_age(now, self._client.last_push_at),
            lag_ms=self._collector.state.lag_ms,
            clock_offset_ms=session.clock_offset_ms,
            disconnects=session.disconnects,
        )

    # ---- the description

    async def look_at_disk(self) -> str | None:
        """See what is not stored yet, and whether DATA_ROOT is the directory that it was; None: it is."""
        await asyncio.to_thread(self._look_at_disk)
        return self._root_fault

    def _look_at_disk(self) -> None:
        """In a thread, since a disk may hang."""
        try:
            self._backlog = measure_backlog(self._data_root / DIRECTORY)
        except OSError:
            self._backlog = None  # the disk does not tell
        try:
            now = identity(self._data_root)
        except OSError:
            now = None
        is_same = now == self._root
        self._root_fault = "is gone" if now is None else None if is_same else "is another directory than at the start"

    def _describe(self) -> dict[str, Any]:
        now = time.monotonic()
        watchdog = self._watchdog
        return {
            "running": True,
            "pid": os.getpid(),
            "version": __version__,
            "instance": self._settings.instance_id,
            "started_ms": self._started_ms,
            "at_ms": self._client.state.clock.now_ms(),
            "uptime_sec": round(now - self._started_at, 1),
            "frames": self._client.pushes,
            "bytes_received": self._client.bytes_received,
            "market": self.market(),
            "session": self._describe_session(now),
            "outage": self._describe_outage(),
            "journal": {
                "buffered_bytes": self._journal.buffered_bytes,
                "is_full": self._journal.is_full,
                "fault": self._journal.fault,
                "backlog_bytes": self._backlog.size_bytes if self._backlog else None,
                "backlog_rows": self._backlog.rows if self._backlog else None,
            },
            "disk": {"fault": self._root_fault, "unsaved": self._unsaved},
            "writer": self._describe_writer(now),
            "watchdog": {
                "is_stalled": watchdog.is_stalled,
                "stalls": watchdog.stalls,
                "recoveries_failed": watchdog.recoveries_failed,
                "last_reason": watchdog.last_reason,
            },
        }

    def _describe_session(self, now: float) -> dict[str, Any]:
        state = self._client.state
        return {
            "connected": state.connected,
            "session": state.session,
            "since_ms": state.since_ms,
            "opend_version": state.opend_version,
            "qot_logined": state.qot_logined,
            "clock_offset_ms": state.clock_offset_ms,
            "subscribed": len(state.subscribed),
            "refused": dict(state.refused),
            "left_out": list(state.left_out),
            "totals_refused": {symbol: refusal.reason for symbol, refusal in state.totals_refused.items()},
            "connects": state.connects,
            "disconnects": state.disconnects,
            "last_disconnect": state.last_disconnect,
            "down_sec": None if state.connected else _age(now, state.down_at or self._started_at),
            "backfills": state.backfills,
            "backfill_n": self._settings.backfill_n,
            "audit_cycles": state.audit_cycles,
            "audits_failed": state.audits_failed,
            "audit_fault": state.audit_fault,
            "totals_failed": state.totals_failed,
            "totals_fault": state.totals_fault,
            "resubscribes": state.resubscribes,
            "last_heard_age_sec": _age(now, self._client.last_heard_at),
            "last_push_age_sec": _age(now, self._client.last_push_at),
        }

    def _describe_outage(self) -> dict[str, Any] | None:
        """How long it can still be made good; None: there is none, or it is not known since when, or none matters."""
        outage, state, market = self._client.outage, self._client.state, self.market()
        now_ms = state.clock.now_ms()
        if outage is None or outage.since_ms is None:
            return None
        is_evident = bool(market["is_open"]) and market["source"] != "clock"
        found = state.risks(outage.since_ms, outage.reach, now_ms, is_open=is_evident)
        return outlook(str(outage.cause), outage.since_ms, found, now_ms, is_open=bool(market["is_open"]))

    def _describe_writer(self, now: float) -> dict[str, Any]:
        state = self._collector.state
        return {
            "pid": state.writer_pid,
            "lag_ms": state.lag_ms,
            "last_exception": state.last_exception,
            "last_exception_age_sec": _age(now, state.last_exception_monotonic),
            "last_alive_age_sec": _age(now, state.last_alive_monotonic),
            "last_dequeue_age_sec": _age(now, state.last_dequeue_monotonic),
            "last_commit_age_sec": _age(now, state.last_commit_monotonic),
            "last_commit_rows": state.last_commit_rows,
            "last_commit_ms": state.last_commit_ms,
            "wal_bytes": state.wal_bytes,
            "wal_held_sec": round(state.wal_held_sec, 1),
            "days_waiting": state.days_waiting,
            "waits": state.waits,
            "max_ts_ms": state.max_ts_ms,
            "recoveries": state.recoveries,
            "deaths": state.deaths_in_a_row(now),
            "rows_recent": self._recent.rows,
            "bad_recent": self._recent.bad,
            **{name: state.totals.get(name, 0) for name in _COUNTED},
        }

    def _write(self, description: dict[str, Any]) -> None:
        """A disk that takes no more must not end the recorder."""
        path = self._data_root / STATE_NAME
        with self._writing:  # one that was overtaken while the disk hung, at the end above all, is out of date
            if description is not self.description:
                return
            try:
                temporary = path.with_suffix(".tmp")
                temporary.write_text(json.dumps(description))
                temporary.replace(path)
                self._unsaved = None
            except OSError as exc:
                self._unsaved = str(exc)
                log.debug("state_not_saved", error=exc)

    def _count_today(self) -> int:
        try:
            return rows_of_day(self._data_root, hk_day(wall_ms()))
        except (DatabaseError, OSError):
            return self._rows_today  # it is only a figure for people


class _Every:
    """True once in so many seconds."""

    def __init__(self, every_sec: float, *, at_once: bool = False) -> None:
        self._every_sec = every_sec
        self._next = time.monotonic() + (0 if at_once else every_sec)

    def due(self) -> bool:
        now = time.monotonic()
        if now < self._next:
            return False
        self._next = now + self._every_sec
        return True


def _age(now: float, then: float | None) -> float | None:
    return None if then is None else round(now - then, 1)
