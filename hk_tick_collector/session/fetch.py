"""Fetching with GetTicker: the backfill after each moment that may have missed something, and the audit in between.

Owns which symbol is asked for how many ticks, and when. Of a reply it looks at the sequences alone, to know how far it
reaches: the replies go to the journal as everything does, and what in them is new is found where they are stored.

The fetches of a symbol are a chain: each must reach back to where the one before it ended, or is made again as deep as
OpenD goes. What is stored can't say how deep that is: a push that never came is missing there too. The chain outlives
connections, so that a link which breaks each minute is not answered with the last 1000 ticks of all symbols each time.
"""

from __future__ import annotations

import asyncio
import time
from math import ceil
from typing import TYPE_CHECKING

from hk_tick_collector import logs
from hk_tick_collector.errors import RemoteProtocolError, SessionError
from hk_tick_collector.journal.events import Cause
from hk_tick_collector.opend import messages
from hk_tick_collector.opend.columns import decode_columns
from hk_tick_collector.opend.market import may_trade
from hk_tick_collector.opend.messages import RefusedError
from hk_tick_collector.opend.numbers import TICKER_REPLY_MAX, ProtoId
from hk_tick_collector.opend.purpose import Purpose
from hk_tick_collector.session.deadlines import fetch_order
from hk_tick_collector.session.link import UnansweredError
from hk_tick_collector.session.state import Fetched
from hk_tick_collector.session.stored import rows_in_time

if TYPE_CHECKING:
    from collections.abc import Iterable

    from hk_tick_collector.session.link import Link
    from hk_tick_collector.session.outages import Outage
    from hk_tick_collector.session.state import ClientSettings, ClientState, Stored

log = logs.get_logger()

IN_FLIGHT = 8  # calls under way: enough to keep OpenD busy, few enough to keep the busiest first
ATTEMPTS = 3
ATTEMPT_PAUSE_SEC = 1.0
BUSIEST_PROBED = 10  # the busiest symbols, which are asked for even when no push comes at all
# After a cut: so many times what a symbol trades in the time since its last fetch, and some for a burst.
MARGIN, MARGIN_TICKS = 5, 50
PUSHES_MISSING_MAX = 2  # so often in a row; subscribing anew has not helped then, and a new connection may


class Fetcher:
    """Fetches ticks on one connection."""

    def __init__(self, link: Link, settings: ClientSettings, stored: Stored, state: ClientState) -> None:
        self._link = link
        self._settings = settings
        self._stored = stored
        self._state = state
        self._rows_before: list[dict[str, int]] = []  # at the last two audits
        self._newest: dict[str, int] = {}  # the highest sequence that was fetched; 0: there was none
        self._missing = 0  # audits in a row that found ticks which should have been pushed, while no push came at all
        self._audited_at = time.monotonic()
        self._pushes_at_audit = 0

    def depth(self, outage: Outage | None) -> int:
        """How many ticks of each symbol are asked for at most after an outage; 0: none.

        BACKFILL_N is the operator's choice for his own link. Where OpenD was away itself, there is no other way to
        know what it has made good.
        """
        return TICKER_REPLY_MAX if outage is not None and outage.is_of_opend else self._settings.backfill_n

    async def backfill(self, symbols: list[str], outage: Outage | None = None) -> bool:
        """Ask for the last ticks of each symbol, those first whose ticks leave OpenD's cache first.

        A symbol that OpenD refuses three times is named in the log; the audits will ask for it again.

        Returns:
            Whether they were; with BACKFILL_N=0 only where OpenD was away, and as an audit.
        """
        depth = self.depth(outage)
        if not depth:
            return False
        purpose = Purpose.BACKFILL if self._settings.backfill_n else Purpose.AUDIT
        started = time.monotonic()
        ranked = await self._order(symbols, outage)
        waiting = dict.fromkeys(ranked, "")
        for attempt in range(ATTEMPTS):
            if attempt:
                await asyncio.sleep(ATTEMPT_PAUSE_SEC)
            waiting = await self._fetch_all(waiting, depth, purpose, outage)
            if not waiting:
                break
        for symbol, reason in list(waiting.items())[:BUSIEST_PROBED]:
            log.error("backfill_failed", symbol=symbol, reason=reason, symbols=len(waiting))
        log.info(
            "backfill_done",
            symbols=len(ranked) - len(waiting),
            failed=len(waiting),
            sec=round(time.monotonic() - started, 3),
        )
        self._audited_at = time.monotonic()
        return True

    async def audit(self, symbols: list[str], interrupt: asyncio.Event) -> bool:
        """Look after pushes that never came, if it is time. True: a whole cycle was made.

        Each symbol is asked for as much as it has traded since the audit before the last, at least `poll_num`, spread
        over the interval so that the stream is not disturbed, those first of which the most should have come since
        something has. While no push comes at all (night, lunch) only the
        busiest symbols are asked for, and seldom. If they have traded nevertheless, it is the pushes that fail: then
        `interrupt` is set, for all symbols to be subscribed and fetched again.

        Raises:
            SessionError: that has not helped.
        """
        settings = self._settings
        since_sec = time.monotonic() - self._audited_at
        is_quiet = self._link.pushes == self._pushes_at_audit
        every_sec = settings.poll_interval_sec
        if not is_quiet:
            self._missing = 0
        elif not self._missing:
            every_sec = max(every_sec, settings.poll_stale_sec)
        if since_sec < every_sec:
            return False
        self._audited_at = time.monotonic()
        self._pushes_at_audit = self._link.pushes
        depths = await self._depths(symbols)
        if is_quiet:
            rows = self._rows_before[-1]
            ranked = sorted(symbols, key=lambda symbol: -rows.get(symbol, 0))[:BUSIEST_PROBED]
        else:
            unheard = self._state.rates.unheard(time.monotonic())
            ranked = sorted(symbols, key=lambda symbol: (-unheard.get(symbol, 0.0), -depths[symbol]))
        newest_before = {symbol: self._newest.get(symbol) for symbol in ranked}
        parts = [ranked[start : start + IN_FLIGHT] for start in range(0, len(ranked), IN_FLIGHT)]
        pause_sec = settings.poll_interval_sec * 0.8 / max(1, len(parts))
        for part in parts:
            await asyncio.gather(*(self._audit_one(symbol, depths[symbol]) for symbol in part))
            if await wait_for(interrupt, pause_sec):
                return False
        # Where something was pushed since the audit before, pushes that end now are a session that ends, as at noon.
        traded = [s for s, newest in newest_before.items() if newest is not None and self._newest.get(s) != newest]
        if is_quiet and traded and self._link.pushes == self._pushes_at_audit:
            self._missing += 1
            self._state.resubscribes += 1
            log.error(
                "pushes_missing",
                symbols=len(symbols),
                traded=len(traded),
                in_row=self._missing,
                expected="pushes, since there are trades",
            )
            if self._missing >= PUSHES_MISSING_MAX:
                raise SessionError(f"no pushes, though {len(traded)} symbols trade, also after subscribing anew")
            interrupt.set()
        return True

    async def _audit_one(self, symbol: str, depth: int) -> None:
        """Ask for `depth` ticks; if they don't reach back to where the fetch before ended, for all that there are."""
        before = self._newest.get(symbol)
        refused, sequences = await self._ask(symbol, depth, Purpose.AUDIT)
        is_cut_off = refused is None and len(sequences) >= depth
        if is_cut_off and depth < TICKER_REPLY_MAX and (before is None or min(sequences) > before):
            refused, sequences = await self._ask(symbol, TICKER_REPLY_MAX, Purpose.AUDIT)
        state = self._state
        state.audit_fault = None if refused is None else str(refused)
        state.audits_failed = 0 if refused is None else state.audits_failed + 1
        if refused is None:  # else the next audit has to reach back as far as this one should have
            self._note_newest(symbol, sequences)

    def _note_newest(self, symbol: str, sequences: list[int]) -> None:
        """Keep how far a fetch reached; whether it brought news, too: reading an old tick again is no sign of life."""
        newest = max(sequences, default=0)
        if newest != self._newest.get(symbol, 0):
            self._state.last_fetched_at = time.monotonic()
        self._newest[symbol] = newest
        self._state.fetched[symbol] = Fetched(newest, time.monotonic())

    async def _depths(self, symbols: list[str]) -> dict[str, int]:
        """How many ticks to ask for. What is stored lags behind what came, so the last but one audit is the base."""
        rows = await rows_in_time(self._stored)
        base = self._rows_before[0] if self._rows_before else {}
        self._rows_before = [*self._rows_before[-1:], rows]
        least = self._settings.poll_num
        return {
            symbol: min(TICKER_REPLY_MAX, least + max(0, rows.get(symbol, 0) - base.get(symbol, 0)))
            for symbol in symbols
        }

    async def _order(self, symbols: list[str], outage: Outage | None) -> list[str]:
        state = self._state
        rows, now_ms = await rows_in_time(self._stored), state.clock.now_ms()
        deadlines: dict[str, int] = {}
        if outage is not None and outage.since_ms is not None:
            found = state.risks(outage.since_ms, TICKER_REPLY_MAX, now_ms, is_open=may_trade(state.market))
            deadlines = {risk.symbol: risk.deadline_ms for risk in found}
        return fetch_order(symbols, state.rates.by_symbol(), rows, deadlines, now_ms)

    async def _fetch_all(
        self, symbols: Iterable[str], depth: int, purpose: Purpose, outage: Outage | None
    ) -> dict[str, str]:
        """Fetch all, some at once, in order. Returns those that OpenD refused, and why."""
        refused: dict[str, str] = {}
        queue = iter(list(symbols))

        async def worker() -> None:
            for symbol in queue:
                reason = await self._fetch_one(symbol, depth, purpose, outage)
                if reason is not None:
                    refused[symbol] = reason

        await asyncio.gather(*(worker() for _ in range(IN_FLIGHT)))
        return refused

    async def _fetch_one(self, symbol: str, depth: int, purpose: Purpose, outage: Outage | None) -> str | None:
        """Fetch what can be missing; if that does not join the fetch before it, `depth` ticks. Why it was refused."""
        enough = self._enough(symbol, depth, outage)
        reason, sequences = await self._ask(symbol, enough, purpose)
        if reason is None and enough < depth and not self._joins(symbol, sequences, enough):
            reason, sequences = await self._ask(symbol, depth, purpose)
        if reason is None:
            self._note_newest(symbol, sequences)
        return reason

    def _enough(self, symbol: str, depth: int, outage: Outage | None) -> int:
        """How many ticks should reach back to the last fetch. `depth` where that can't be known.

        Only a cut leaves OpenD's memory as it was: where OpenD itself may have been away it is asked for all it has.
        """
        rates, last = self._state.rates.by_symbol(), self._state.fetched.get(symbol)
        if outage is None or outage.cause is not Cause.CONNECTION_LOST or last is None or not rates:
            return depth
        traded = rates.get(symbol, 0.0) * (time.monotonic() - last.at)
        return min(depth, MARGIN_TICKS + ceil(MARGIN * traded))

    def _joins(self, symbol: str, sequences: list[int], asked: int) -> bool:
        """Whether an answer is all that there is, or holds the very tick with which the fetch before it ended."""
        if len(sequences) < asked:
            return True
        newest = self._state.fetched[symbol].newest
        return newest > 0 and newest in sequences and min(sequences) > 0

    async def _ask(self, symbol: str, count: int, purpose: Purpose) -> tuple[str | None, list[int]]:
        """One GetTicker. Returns why it was refused, or None; and the sequences that it brought."""
        try:
            body = messages.get_ticker(symbol, count)
            reply = await self._link.call(ProtoId.QOT_GET_TICKER, body, self._settings.request_timeout_sec, purpose)
            messages.check_accepted(ProtoId.QOT_GET_TICKER, reply)
        except RefusedError as exc:
            return exc.text, []
        except (UnansweredError, RemoteProtocolError) as exc:
            # To end the session would throw away what is under way, on a link that is only slow, or odd in this alone.
            return str(exc), []
        columns = decode_columns([reply])
        if columns is not None:
            return None, columns.sequences
        try:
            return None, [t.sequence for t in messages.parse_tickers(reply).s2c.tickerList]
        except messages.DecodeError as exc:
            return f"a reply that can't be read: {exc}", []


async def wait_for(event: asyncio.Event, timeout_sec: float) -> bool:
    """Wait for an event, but no longer than that. Returns whether it is set."""
    try:
        async with asyncio.timeout(timeout_sec):
            return await event.wait()
    except TimeoutError:
        return event.is_set()
