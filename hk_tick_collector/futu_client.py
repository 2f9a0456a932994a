"""The session with OpenD: connect → init → subscribe → stream → backfill → reconnect, until it is cancelled.

Owns what is asked of OpenD and when. Never touches a database, and never filters a tick: everything that OpenD sends is
in the journal before it is seen here. Invariant: whenever the stream may have missed something (a new connection, the
exchange or the quote right regained), every symbol is subscribed and fetched again, the nearest deadline first.
"""

from __future__ import annotations

import asyncio
import time
from functools import partial
from typing import TYPE_CHECKING, Any

from hk_tick_collector import logs
from hk_tick_collector.errors import BadTickError, RefusedError, RemoteProtocolError, SessionError, UnansweredError
from hk_tick_collector.journal.events import CLOCK_STEPPED, EVENT, Cause, ClockStepped, Resumption
from hk_tick_collector.opend.numbers import GtwEvent
from hk_tick_collector.opend.protocol import ClientConnection
from hk_tick_collector.session.fetch import Fetcher, wait_for
from hk_tick_collector.session.link import Link
from hk_tick_collector.session.opend_state import OpendState
from hk_tick_collector.session.outages import Outage, Outages
from hk_tick_collector.session.rates import read_rates
from hk_tick_collector.session.reconnect import Reconnects
from hk_tick_collector.session.recording import RecordingTeller
from hk_tick_collector.session.state import ClientState
from hk_tick_collector.session.subscribe import Subscriber, Wanted
from hk_tick_collector.session.totals import Totals
from hk_tick_collector.session.trade_dates import TradeDates

if TYPE_CHECKING:
    from hk_tick_collector.clock import HostClock
    from hk_tick_collector.journal.append import Journal
    from hk_tick_collector.opend import messages
    from hk_tick_collector.opend.notices import Notice
    from hk_tick_collector.session.state import ClientSettings, Stored

log = logs.get_logger()

CLIENT_ID = "hk-tick-collector"
KEEP_ALIVE_SEC_MAX = 10.0  # OpenD drops a connection after 30 s without one
# Retries for what could not be subscribed: soon at first, since a dead connection's quota is freed within seconds, then
# less and less often.
RETRY_SEC_MIN, RETRY_SEC_MAX = 2.0, 60.0
DRAIN_SEC_MAX = 1.0  # when stopping: a limit to reading what the kernel still holds, since the stream goes on
TOTALS_OFF_SEC = 60.0
STEP_LINE_EVERY_SEC = 10.0
PAUSED_SEC = 60.0  # a link that ends within this time after a pause in reading has ended because of the pause


class FutuClient:
    """Keeps a session with OpenD running."""

    def __init__(
        self, settings: ClientSettings, journal: Journal, stored: Stored, clock: HostClock | None = None
    ) -> None:
        self._settings = settings
        self._journal = journal
        self._stored = stored
        self._link: Link | None = None
        self._missed = asyncio.Event()  # the stream may have missed something
        self.outages = Outages()
        self._is_whole = False  # everything missed is fetched: totals can be compared
        # Session numbers must differ across restarts in the journal, so they start from the clock.
        self._session = int(time.time())
        self._last_push_at: float | None = None  # in earlier sessions
        self._step_limiter = logs.Limiter(STEP_LINE_EVERY_SEC)
        self.state = ClientState(clock)
        self._opend = OpendState(settings.request_timeout_sec, self.state, self.outages, self._note)
        self.state.clock.on_step = self._on_clock_step
        self._reconnects = Reconnects(settings, self.state)
        self._wanted = Wanted(settings, self.state)

    @property
    def pushes(self) -> int:
        """Ticker pushes received since the start."""
        return self.state.frames + (self._link.pushes if self._link else 0)

    @property
    def bytes_received(self) -> int:
        """Bytes received since the start."""
        return self.state.bytes_received + (self._link.bytes_received if self._link else 0)

    @property
    def last_heard_at(self) -> float | None:
        """`Link.last_heard_at` of the current connection; None: not connected."""
        return self._link.last_heard_at if self._link and self.state.connected else None

    @property
    def last_push_at(self) -> float | None:
        """Monotonic time of the last ticker push; None: no push since the start."""
        on_this = self._link.last_push_at if self._link else None
        return self._last_push_at if on_this is None else on_this

    @property
    def last_tick_at(self) -> float | None:
        """Monotonic time of the last pushed tick, or of the last fetch that found a tick new to its connection."""
        times = [at for at in (self.last_push_at, self.state.last_fetched_at) if at is not None]
        return max(times, default=None)

    @property
    def outage(self) -> Outage | None:
        """The current outage, which lasts until all is fetched; None: there is no outage."""
        if self._link is not None and self._link.is_paused:
            return Outage(Cause.JOURNAL_FULL, self._link.last_heard_ms)
        return self.outages.now()

    async def run(self) -> None:
        """Connect, record, reconnect, until cancelled.

        Raises:
            ConfigError: there is nothing to record.
        """
        while True:
            await self._wait_for_room()
            started = time.monotonic()
            try:
                reason = await self._run_session()
            except (SessionError, RemoteProtocolError, BadTickError) as exc:
                reason = str(exc)
            session_sec = time.monotonic() - started
            self._note_outage(was_connected=self.state.connected)
            delay_sec = self._reconnects.ended(
                reason, session_sec, self.outage, self.last_push_at, self.state.clock.now_ms()
            )
            self._end_session(reason)
            await asyncio.sleep(delay_sec)

    async def close(self, reason: str) -> None:
        """End the session; the journal has all that reached this machine, including what the kernel still held."""
        link = self._link
        if link is not None:
            await link.drain(DRAIN_SEC_MAX)
            link.abort(reason)
            self._end_session(reason)  # changes nothing if the session has ended by itself meanwhile

    async def _wait_for_room(self) -> None:
        """Don't connect while the journal is full."""
        if self._journal.is_full:
            self.outages.lost(Cause.JOURNAL_FULL, self.state.clock.now_ms())
            log.error("journal_full", buffered_bytes=self._journal.buffered_bytes, fault=self._journal.fault)
        while not self._journal.has_room:  # noqa: ASYNC110 - a thread makes the room
            await asyncio.sleep(0.2)

    async def _run_session(self) -> str:
        """One connection, from connect to its end. Returns why it ended."""
        settings = self._settings
        self._session += 1
        connection = ClientConnection(CLIENT_ID, rsa=settings.rsa_key, algo=settings.encryption)
        link = self._link = Link(connection, self._journal, self._session, self._on_notice, self.state.clock)
        opened = await link.open(settings.host, settings.port, settings.connect_timeout_sec)
        self._begin_session(opened)
        self._missed.set()
        totals = Totals(link, settings.request_timeout_sec, settings.totals_interval_sec, self.state)
        keep_alive_sec = min(max(1.0, opened.keep_alive_interval_sec), KEEP_ALIVE_SEC_MAX)
        parts = [
            asyncio.create_task(part)
            for part in (
                link.keep_alive(keep_alive_sec),
                link.watch(settings.dead_link_sec),
                self._opend.watch(link, partial(self._last_push_ms, link), self._missed.set),
                self._record(link, totals),
                self._compare(totals),
                read_rates(self.state, self._stored, settings.poll_interval_sec, lambda: self.outage),
                TradeDates(link, settings.request_timeout_sec, self.state).keep(),
            )
        ]
        try:
            over: list[asyncio.Future[Any]] = [link.closed, *parts]
            await asyncio.wait(over, return_when=asyncio.FIRST_COMPLETED)
            for part in parts:
                if part.done():
                    part.result()  # a part ends only with an error
            return link.closed.result()
        finally:
            for part in parts:
                part.cancel()
            await asyncio.gather(*parts, return_exceptions=True)
            link.abort("session ended")

    async def _record(self, link: Link, totals: Totals) -> None:
        """Subscribe and fetch, again whenever the stream may have missed something; poll in between."""
        settings = self._settings
        subscriber = Subscriber(link, settings.request_timeout_sec, self.state)
        fetcher = Fetcher(link, settings, self._stored, self.state)
        teller = RecordingTeller(self.state, link.note)
        await self._opend.look(link, partial(self._last_push_ms, link))
        symbols = await self._wanted.resolve(subscriber)
        retry_sec, retry_at = RETRY_SEC_MIN, 0.0
        while True:
            if self._missed.is_set():
                self._missed.clear()
                self._is_whole = False
                told, outage = self.outages.resume(), self.outages.now()
                self._resume(*told, fetcher.depth(outage), symbols)
                await subscriber.subscribe(symbols)
                teller.tell(symbols)
                if await fetcher.backfill(self.state.subscribed, outage):
                    self.state.backfills += 1
                self.state.fetches += 1
                self.outages.fetched()
                totals.begin_anew()
                if settings.totals_interval_sec and totals.is_apart:
                    await totals.ask(self.state.subscribed)
                self._is_whole = True
                retry_sec, retry_at = RETRY_SEC_MIN, time.monotonic() + RETRY_SEC_MIN
            if time.monotonic() >= retry_at:
                retry_sec = min(RETRY_SEC_MAX, retry_sec * 2)
                retry_at = time.monotonic() + retry_sec
                symbols = await self._retry_unsubscribed(symbols, subscriber, fetcher)
            teller.tell(symbols)
            if settings.poll_enabled and await fetcher.poll(self.state.subscribed, self._missed):
                self.state.poll_cycles += 1
            if self._missed.is_set() and not self.outages.is_open:  # pushes are missing
                self.outages.lost(Cause.UNKNOWN, self._last_push_ms(link))
            await wait_for(self._missed, 1.0)

    async def _retry_unsubscribed(self, symbols: list[str], subscriber: Subscriber, fetcher: Fetcher) -> list[str]:
        """Subscribe and fetch symbols that were refused before, had no quota, or are new in a plate.

        A refusal or a missing answer does not end a session that records the others. Returns all wanted symbols.
        """
        try:
            symbols = await self._wanted.resolve(subscriber)
            subscriber.forget_all_but(symbols)
            subscribed = set(self.state.subscribed)
            wanting = [symbol for symbol in symbols if symbol not in subscribed]
            # Earlier events in the journal, from when they were refused, don't count: their stream begins only now.
            begin = partial(self._resume, Cause.NOT_SUBSCRIBED, None, self._settings.backfill_n)
            is_asked = wanting or "quota" in self.state.unanswered
            added = await subscriber.subscribe(wanting, begin) if is_asked else []
        except (RefusedError, UnansweredError) as exc:
            log.warning("subscribe_retry_failed", error=exc)
            return symbols
        if added:
            await fetcher.backfill(added)
            self.state.fetches += 1
        return symbols

    def _resume(self, cause: Cause, since_ms: int | None, asked: int, symbols: list[str]) -> None:
        """Write to the journal that the stream of `symbols` begins here, and why something may be missing before."""
        told = Resumption(cause, since_ms, asked, self.state.clock_offset_ms or 0, tuple(symbols))
        self._note(EVENT, **told.fields())

    async def _compare(self, totals: Totals) -> None:
        """Ask for the exchange's totals periodically, while no outage is open."""
        every_sec = self._settings.totals_interval_sec
        while True:
            await asyncio.sleep(every_sec or TOTALS_OFF_SEC)
            is_whole = self._is_whole and not self._missed.is_set() and not self.outages.is_open
            if every_sec and is_whole and totals.is_due(self.state.opend_ms()):
                await totals.ask(self.state.subscribed)

    def _note_outage(self, *, was_connected: bool) -> None:
        """A session has ended, or never began: record since when something may be missing, and why."""
        link = self._link
        if link is None or not was_connected:
            self.outages.lost(Cause.OPEND_DOWN, self.state.clock.now_ms())
            return
        was_paused = link.paused_at is not None and time.monotonic() - link.paused_at < PAUSED_SEC
        self.outages.lost(Cause.JOURNAL_FULL if was_paused else Cause.CONNECTION_LOST, link.last_heard_ms)

    def _last_push_ms(self, link: Link) -> int | None:
        """When the last push came, by the host's clock; None: no push yet."""
        at = link.last_push_at if link.last_push_at is not None else self._last_push_at
        return None if at is None else self.state.clock.now_ms() - int((time.monotonic() - at) * 1000)

    def _on_notice(self, notice: Notice) -> None:
        """Handle a notice about OpenD itself; if it has regained something, fetch what was missed."""
        told = notice._asdict()
        del told["text"]
        self._note("opend_notice", **told)
        kicked = notice.gtw_event == GtwEvent.KICKED_OUT
        if notice.qot_logined is not None:
            self.state.qot_logined = notice.qot_logined
        now_ms = self.state.clock.now_ms()
        if kicked or notice.gives_pushes is False:
            self.outages.went_away(Cause.KICKED_OUT, now_ms, is_without_right=notice.gives_pushes is False)
        elif notice.qot_logined is False:
            self.outages.went_away(Cause.EXCHANGE_LOST, now_ms)
        is_login_back = notice.qot_logined is True and not self.outages.is_without_right
        regained = is_login_back or notice.gives_pushes is True
        is_lost = kicked or notice.qot_logined is False or notice.gives_pushes is False
        tell = log.warning if is_lost else log.info
        tell("opend_notice", text=notice.text, kicked_out=kicked, regained=regained)
        if regained:
            if self._link is not None:
                self.outages.came_back(Outage(Cause.UNKNOWN, self._last_push_ms(self._link)))
            self._missed.set()

    def _begin_session(self, opened: messages.InitReply) -> None:
        state = self.state
        state.connected, state.down_at = True, None
        state.session, state.since_ms, state.up_at = self._session, state.clock.now_ms(), time.monotonic()
        state.opend_version = opened.server_ver
        state.connects += 1
        self._note("session_up", host=self._settings.host, port=self._settings.port, opend=opened.server_ver)
        log.info(
            "futu_connected",
            host=self._settings.host,
            port=self._settings.port,
            session=self._session,
            opend_version=opened.server_ver,
            conn_id=opened.conn_id,
            encryption=self._settings.encryption.name.lower(),
            attempts=self._reconnects.failures,
        )

    def _end_session(self, reason: str) -> None:
        link, self._link = self._link, None
        state = self.state
        if link is not None:
            state.frames += link.pushes
            state.bytes_received += link.bytes_received
            self._last_push_at = self._last_push_at if link.last_push_at is None else link.last_push_at
        if state.connected:
            state.connected = False
            state.down_at = time.monotonic()
            state.disconnects += 1
            self._note("session_down", reason=reason)
        else:
            self._wanted.reset_deadline()
        state.subscribed = []
        state.last_disconnect = reason
        self._is_whole = False

    def _note(self, event: str, **fields: object) -> None:
        """Append an event to the journal, in order among the received frames."""
        self._journal.append_event(self._session, self.state.clock.now_ms(), {"event": event, **fields})

    def _on_clock_step(self, step_ms: int) -> None:
        """The host's clock was set: journal it before any new time is used, and convert the kept times."""
        self._note(CLOCK_STEPPED, **ClockStepped(step_ms)._asdict())
        self.state.shift(step_ms)
        self.outages.shift(step_ms)
        self._opend.looked_ms += step_ms
        self._opend.clock_set.set()
        if self._link is not None:
            self._link.last_heard_ms += step_ms
        if (held := self._step_limiter.allow("step")) is not None:
            log.warning("clock_stepped", step_ms=step_ms, repeated=held)
