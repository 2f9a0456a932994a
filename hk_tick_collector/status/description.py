"""The description of a running recorder, which `status`, `verify`, health and metrics read.

Owns where each value comes from; `state` has the fields. Never decides or changes anything. Values that need the disk
are read in threads, and described as last seen.
"""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING, NamedTuple

from hk_tick_collector import __version__
from hk_tick_collector.clock import wall_ms
from hk_tick_collector.hktime import hk_day, is_trading_time, may_trade_between
from hk_tick_collector.journal.segments import DIRECTORY
from hk_tick_collector.opend.market import CONTINUOUS, may_trade
from hk_tick_collector.status.backlog import Backlog, measure_backlog
from hk_tick_collector.status.health import WORD_LATE_MS
from hk_tick_collector.status.locks import locked_by
from hk_tick_collector.status.outlook import outlook
from hk_tick_collector.status.recent import Recent
from hk_tick_collector.status.space import Space, measure_space, mount_of
from hk_tick_collector.status.state import (
    Away,
    Disk,
    JournalState,
    Market,
    RecorderState,
    Session,
    WatchdogState,
    WriterState,
)
from hk_tick_collector.status.today import Today
from hk_tick_collector.store.data_root import identity
from hk_tick_collector.store.file_system import file_system_of

if TYPE_CHECKING:
    from pathlib import Path

    from hk_tick_collector.collector import Collector
    from hk_tick_collector.config import Settings
    from hk_tick_collector.futu_client import FutuClient
    from hk_tick_collector.journal.append import Journal
    from hk_tick_collector.status.outlook import Outlook
    from hk_tick_collector.watch.watchdog import Watchdog

PUSH_FRESH_SEC = 300.0  # a push proves that the market is open; after the close it does so only for this long
MARKET_FRESH_SEC = 150.0  # OpenD is asked every 60 s; its answer is stale after two unanswered requests


class Parts(NamedTuple):
    """The parts of a recorder that are described."""

    journal: Journal
    collector: Collector
    client: FutuClient
    watchdog: Watchdog


class Describer:
    """Describes a recorder.

    Attributes:
        backlog: what is received and not stored, as last seen; None: the disk could not be read.
        today: what is stored of today.
        unsaved: why the description could not be saved; None: it was.
    """

    def __init__(self, settings: Settings, data_root: Path, parts: Parts) -> None:
        """Reads only the identity and file system of DATA_ROOT; the rest is read later."""
        self._settings = settings
        self._data_root = data_root
        self._journal, self._collector, self._client, self._watchdog = parts
        self._started_ms, self._started_at = wall_ms(), time.monotonic()
        self._root = identity(data_root)
        self._root_fault: str | None = None
        self._recent = Recent()
        self.backlog: Backlog | None = None
        self.today = Today(data_root)
        self.unsaved: str | None = None
        self._file_system = file_system_of(data_root)
        self._mount = mount_of(data_root)
        self._space: Space | None = None
        self._locked_by: tuple[str, ...] = ()

    def look_at_disk(self) -> str | None:
        """Measure the backlog, and check that DATA_ROOT is still the same directory; None: it is. It may hang."""
        try:
            self.backlog = measure_backlog(self._data_root / DIRECTORY)
        except OSError:
            self.backlog = None
        try:
            now = identity(self._data_root)
        except OSError:
            now = None
        is_same = now == self._root
        self._root_fault = "is gone" if now is None else None if is_same else "is another directory than at the start"
        return self._root_fault

    def look_at_today(self) -> None:
        """Read what is stored of today, who has it locked, and how much space is left. It may hang, too."""
        day = hk_day(self._client.state.opend_ms())
        self.today.look(day)
        state = self._collector.state
        is_locked = "locked" in (state.last_exception or "")
        self._locked_by = locked_by(self._data_root / f"{day}.db", {os.getpid(), state.writer_pid}) if is_locked else ()
        try:
            self._space = measure_space(self._data_root, day, self._settings.journal_keep_days)
        except OSError:
            self._space = None

    def market(self) -> Market:
        """The market's state as OpenD reports it; if that is stale, whether the market is open by other evidence.

        The calendar comes last. It counts only without recent pushes, and if OpenD's last report did not show
        continuous trading outside market hours, as a simulated or replayed day does.
        """
        session, now = self._client.state, time.monotonic()
        market, told_sec = session.market, age(now, session.market_at) or 0.0
        now_ms = session.opend_ms()
        told_ms = now_ms - int(told_sec * 1000)
        keeps_no_hours = market in CONTINUOUS and not may_trade_between(told_ms - WORD_LATE_MS, told_ms)
        if market is not None and (told_sec <= MARKET_FRESH_SEC or keeps_no_hours):
            return Market(market, may_trade(market), "opend")
        pushed_sec = age(now, self._client.last_push_at)
        if pushed_sec is not None and pushed_sec <= PUSH_FRESH_SEC:
            return Market(None, is_open=True, source="pushes")
        return Market(None, is_trading_time(now_ms), "clock")

    def describe(self) -> RecorderState:
        """The description as of now."""
        now = time.monotonic()
        self._recent.look(now, self._collector.state.totals)
        watchdog, journal = self._watchdog, self._journal
        return RecorderState(
            running=True,
            pid=os.getpid(),
            version=__version__,
            instance=self._settings.instance_id,
            started_ms=self._started_ms,
            at_ms=self._client.state.clock.now_ms(),
            uptime_sec=round(now - self._started_at, 1),
            frames=self._client.pushes,
            bytes_received=self._client.bytes_received,
            market=self.market(),
            session=self._describe_session(now),
            outage=self._describe_outage(),
            lost_today=self.today.lost(),
            journal=JournalState(
                journal.buffered_bytes,
                journal.is_full,
                journal.fault,
                self.backlog.size_bytes if self.backlog else None,
                self.backlog.rows if self.backlog else None,
            ),
            disk=Disk(
                self._root_fault,
                self.unsaved,
                self._file_system,
                self._mount,
                *(self._space or Space(None, None, None)),
            ),
            writer=self._describe_writer(now),
            watchdog=WatchdogState(
                watchdog.is_stalled, watchdog.stalls, watchdog.recoveries_failed, watchdog.last_reason
            ),
        )

    def _describe_session(self, now: float) -> Session:
        state, away = self._client.state, self._client.outages.away
        return Session(
            connected=state.connected,
            address=f"{self._settings.futu_host}:{self._settings.futu_port}",
            session=state.session,
            away=None if away is None else Away(str(away.cause), away.since_ms, self._client.outages.is_without_right),
            since_ms=state.since_ms,
            opend_version=state.opend_version,
            qot_logined=state.qot_logined,
            clock_offset_ms=state.clock_offset_ms,
            subscribed=len(state.subscribed),
            refused=dict(state.refused),
            left_out=tuple(state.left_out),
            quota_used=state.quota_used,
            quota_left=state.quota_left,
            totals_refused={symbol: refusal.reason for symbol, refusal in state.totals_refused.items()},
            connects=state.connects,
            disconnects=state.disconnects,
            last_disconnect=state.last_disconnect,
            down_sec=None if state.connected else age(now, state.down_at or self._started_at),
            backfills=state.backfills,
            backfill_n=self._settings.backfill_n,
            poll_cycles=state.poll_cycles,
            polls_failed=state.polls_failed,
            poll_fault=state.poll_fault,
            totals_failed=state.totals_failed,
            totals_fault=state.totals_fault,
            unanswered={str(asked): why for asked, why in state.unanswered.items()},
            resubscribes=state.resubscribes,
            last_heard_age_sec=age(now, self._client.last_heard_at),
            last_push_age_sec=age(now, self._client.last_push_at),
        )

    def _describe_outage(self) -> Outlook | None:
        """How long the outage can be recovered in full; None: no outage, nothing at risk, or its begin is unknown."""
        outage, state, market = self._client.outage, self._client.state, self.market()
        now_ms = state.clock.now_ms()
        if outage is None or outage.since_ms is None:
            return None
        is_open = bool(market.is_open)
        found = state.risks(outage.since_ms, outage.reach, now_ms, is_open=is_open and market.source != "clock")
        return outlook(str(outage.cause), outage.since_ms, found, now_ms, is_open=is_open)

    def _describe_writer(self, now: float) -> WriterState:
        state, recent = self._collector.state, self._recent
        return WriterState(
            pid=state.writer_pid,
            lag_ms=state.lag_ms,
            last_exception=state.last_exception,
            last_exception_age_sec=age(now, state.last_exception_monotonic),
            last_alive_age_sec=age(now, state.last_alive_monotonic),
            last_dequeue_age_sec=age(now, state.last_dequeue_monotonic),
            last_commit_age_sec=age(now, state.last_commit_monotonic),
            last_commit_rows=state.last_commit_rows,
            last_commit_ms=state.last_commit_ms,
            wal_bytes=state.wal_bytes,
            wal_held_sec=round(state.wal_held_sec, 1),
            days_waiting=state.days_waiting,
            waits=state.waits,
            locked_by=self._locked_by,
            max_ts_ms=state.max_ts_ms,
            recoveries=state.recoveries,
            deaths=state.deaths_in_a_row(now),
            rows_recent=recent.rows,
            bad_recent=recent.bad,
            drifted_recent=recent.drifted,
            written_by_others_recent=recent.written_by_others,
            counters=state.totals,
        )


def age(now: float, then: float | None) -> float | None:
    """Seconds since a monotonic time; None: it never happened."""
    return None if then is None else round(now - then, 1)
