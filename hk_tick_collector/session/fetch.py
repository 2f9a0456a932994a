"""Fetches ticks with GetTicker: the backfill after each possible interruption, and the polls in between.

Owns which symbol is asked for how many ticks, and when. It reads only the sequences of a reply, to know how far it
reaches. Replies go to the journal like everything else; new ticks in them are found when they are stored.

The fetches of a symbol form a chain: each must reach back to the end of the one before, or it is repeated as deep as
OpenD goes. The stored ticks can't show how deep is enough: a push that never came is missing there too. The chain
outlives connections, so a link that breaks every minute doesn't cause a fetch of the last 1000 ticks of all symbols
each time.
"""

from __future__ import annotations

import asyncio
import time
from math import ceil
from typing import TYPE_CHECKING

from hk_tick_collector import logs
from hk_tick_collector.errors import RefusedError, RemoteProtocolError, SessionError, UnansweredError
from hk_tick_collector.journal.events import Cause
from hk_tick_collector.opend import messages
from hk_tick_collector.opend.columns import decode_columns
from hk_tick_collector.opend.market import may_trade
from hk_tick_collector.opend.numbers import TICKER_REPLY_MAX, ProtoId
from hk_tick_collector.opend.purpose import Purpose
from hk_tick_collector.session.deadlines import fetch_order
from hk_tick_collector.session.state import Fetched
from hk_tick_collector.session.stored import rows_in_time

if TYPE_CHECKING:
    from collections.abc import Iterable

    from hk_tick_collector.session.link import Link
    from hk_tick_collector.session.outages import Outage
    from hk_tick_collector.session.state import ClientSettings, ClientState, Stored

log = logs.get_logger()

IN_FLIGHT = 8  # concurrent calls: enough to keep OpenD busy, few enough to keep the order
ATTEMPTS = 3
ATTEMPT_PAUSE_SEC = 1.0
BUSIEST_PROBED = 10  # the busiest symbols, which are polled even when no push comes at all
# After a lost connection: ask for MARGIN times the expected ticks since the last fetch, plus MARGIN_TICKS for a burst.
MARGIN, MARGIN_TICKS = 5, 50
PUSHES_MISSING_MAX = 2  # polls in a row; resubscribing has not helped then, but a new connection may


class Fetcher:
    """Fetches ticks on one connection."""

    def __init__(self, link: Link, settings: ClientSettings, stored: Stored, state: ClientState) -> None:
        self._link = link
        self._settings = settings
        self._stored = stored
        self._state = state
        self._rows_before: list[dict[str, int]] = []  # at the last two polls
        self._newest: dict[str, int] = {}  # the highest sequence fetched on this connection; 0: a reply without ticks
        self._missing = 0  # polls in a row that found new ticks while no push came at all
        self._polled_at = time.monotonic()
        self._pushes_at_poll = 0

    def depth(self, outage: Outage | None) -> int:
        """The most ticks asked for per symbol after an outage; 0: none.

        BACKFILL_N is the operator's choice for outages of the link. If OpenD itself was away, only a full fetch shows
        what it has recovered.
        """
        return TICKER_REPLY_MAX if outage is not None and outage.is_of_opend else self._settings.backfill_n

    async def backfill(self, symbols: list[str], outage: Outage | None = None) -> bool:
        """Ask for the last ticks of each symbol, in `fetch_order`.

        Symbols that fail three times are logged, at most ten by name; the polls ask for them again.

        Returns:
            Whether it fetched. With BACKFILL_N=0 it does so only if OpenD was away, and with the purpose POLL.
        """
        depth = self.depth(outage)
        if not depth:
            return False
        purpose = Purpose.BACKFILL if self._settings.backfill_n else Purpose.POLL
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
        self._polled_at = time.monotonic()
        return True

    async def poll(self, symbols: list[str], interrupt: asyncio.Event) -> bool:
        """Look for pushes that never came, if a poll is due. True: a whole cycle was made.

        Ask for `poll_num` ticks of each symbol, plus what it has traded since the poll before last. The calls are
        spread over the interval so that they don't disturb the stream; first come the symbols whose rate predicts the
        most ticks since their count last grew. While no push comes at all (night, lunch), only the busiest symbols are
        polled, and less often. If they have traded nevertheless, the pushes are failing: then set `interrupt`, so
        that all symbols are subscribed and fetched again.

        Raises:
            SessionError: pushes are still missing after that.
        """
        settings = self._settings
        since_sec = time.monotonic() - self._polled_at
        is_quiet = self._link.pushes == self._pushes_at_poll
        every_sec = settings.poll_interval_sec
        if not is_quiet:
            self._missing = 0
        elif not self._missing:
            every_sec = max(every_sec, settings.poll_stale_sec)
        if since_sec < every_sec:
            return False
        self._polled_at = time.monotonic()
        self._pushes_at_poll = self._link.pushes
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
            await asyncio.gather(*(self._poll_one(symbol, depths[symbol]) for symbol in part))
            if await wait_for(interrupt, pause_sec):
                return False
        # If something was pushed since the previous poll, pushes stop now because trading stops, as at noon.
        traded = [s for s, newest in newest_before.items() if newest is not None and self._newest.get(s) != newest]
        if is_quiet and traded and self._link.pushes == self._pushes_at_poll:
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
                raise SessionError(f"no pushes, though {len(traded)} symbols are trading, also after resubscribing")
            interrupt.set()
        return True

    async def _poll_one(self, symbol: str, depth: int) -> None:
        """Ask for `depth` ticks; if they don't reach back to the end of the previous fetch, ask for all there are."""
        before = self._newest.get(symbol)
        refused, sequences = await self._ask(symbol, depth, Purpose.POLL)
        is_cut_off = refused is None and len(sequences) >= depth
        if is_cut_off and depth < TICKER_REPLY_MAX and (before is None or min(sequences) > before):
            refused, sequences = await self._ask(symbol, TICKER_REPLY_MAX, Purpose.POLL)
        state = self._state
        state.poll_fault = None if refused is None else str(refused)
        state.polls_failed = 0 if refused is None else state.polls_failed + 1
        if refused is None:  # otherwise the next poll must reach back as far as this one should have
            self._note_newest(symbol, sequences)

    def _note_newest(self, symbol: str, sequences: list[int]) -> None:
        """Record how far a fetch reached, and when one last found a new tick: an old tick is not a sign of life."""
        newest = max(sequences, default=0)
        if newest != self._newest.get(symbol, 0):
            self._state.last_fetched_at = time.monotonic()
        self._newest[symbol] = newest
        self._state.fetched[symbol] = Fetched(newest, time.monotonic())

    async def _depths(self, symbols: list[str]) -> dict[str, int]:
        """How many ticks to ask for. Storing lags, so the base of what was traded since is the poll before last."""
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
        """Fetch all in order, `IN_FLIGHT` at a time. Returns the symbols that failed, and why."""
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
        """Fetch what can be missing, or `depth` ticks if that does not join the previous fetch.

        Returns why it failed; None: it did not.
        """
        enough = self._enough(symbol, depth, outage)
        reason, sequences = await self._ask(symbol, enough, purpose)
        if reason is None and enough < depth and not self._joins(symbol, sequences, enough):
            reason, sequences = await self._ask(symbol, depth, purpose)
        if reason is None:
            self._note_newest(symbol, sequences)
        return reason

    def _enough(self, symbol: str, depth: int, outage: Outage | None) -> int:
        """How many ticks should reach back to the last fetch; `depth` if that can't be known.

        Only a lost connection leaves OpenD's cache intact. If OpenD itself may have been away, ask for all it has.
        """
        rates, last = self._state.rates.by_symbol(), self._state.fetched.get(symbol)
        if outage is None or outage.cause is not Cause.CONNECTION_LOST or last is None or not rates:
            return depth
        traded = rates.get(symbol, 0.0) * (time.monotonic() - last.at)
        return min(depth, MARGIN_TICKS + ceil(MARGIN * traded))

    def _joins(self, symbol: str, sequences: list[int], asked: int) -> bool:
        """Whether a reply holds all that OpenD has, or the exact tick with which the previous fetch ended."""
        if len(sequences) < asked:
            return True
        newest = self._state.fetched[symbol].newest
        return newest > 0 and newest in sequences and min(sequences) > 0

    async def _ask(self, symbol: str, count: int, purpose: Purpose) -> tuple[str | None, list[int]]:
        """Make one GetTicker call. Returns why it failed, or None; and the sequences in the reply."""
        try:
            body = messages.get_ticker(symbol, count)
            reply = await self._link.call(ProtoId.QOT_GET_TICKER, body, self._settings.request_timeout_sec, purpose)
            messages.check_accepted(ProtoId.QOT_GET_TICKER, reply)
        except RefusedError as exc:
            return exc.text, []
        except (UnansweredError, RemoteProtocolError) as exc:
            # Don't end the session: other calls are under way, and the link may only be slow, or only this reply bad.
            return str(exc), []
        columns = decode_columns([reply])
        if columns is not None:
            return None, columns.sequences
        try:
            return None, [t.sequence for t in messages.parse_tickers(reply).s2c.tickerList]
        except messages.DecodeError as exc:
            return f"a reply that can't be read: {exc}", []


async def wait_for(event: asyncio.Event, timeout_sec: float) -> bool:
    """Wait for an event, for at most `timeout_sec`. Returns whether it is set."""
    try:
        async with asyncio.timeout(timeout_sec):
            return await event.wait()
    except TimeoutError:
        return event.is_set()
