"""Fetching with GetTicker: the backfill after each moment that may have missed something, and the audit in between.

Owns which symbol is asked for how many ticks, and when. Never sees a tick: the replies go to the journal as everything
does, and whether they held something new is found where they are stored.
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

from hk_tick_collector import logs
from hk_tick_collector.opend import messages
from hk_tick_collector.opend.messages import TICKER_REPLY_MAX, ProtoId, RefusedError
from hk_tick_collector.opend.purpose import Purpose

if TYPE_CHECKING:
    from collections.abc import Iterable

    from hk_tick_collector.futu_link import Link
    from hk_tick_collector.futu_state import ClientSettings, Stored

log = logs.get_logger()

IN_FLIGHT = 8  # calls under way: enough to keep OpenD busy, few enough to keep the busiest first
ATTEMPTS = 3
ATTEMPT_PAUSE_SEC = 1.0
CANARIES = 10  # the busiest symbols, which are asked for even when no push comes at all


class Fetcher:
    """Fetches ticks on one connection."""

    def __init__(self, link: Link, settings: ClientSettings, stored: Stored) -> None:
        self._link = link
        self._settings = settings
        self._stored = stored
        self._rows_before: list[dict[str, int]] = []  # at the last two audits
        self._audited_at = time.monotonic()
        self._pushes_at_audit = 0

    async def backfill(self, symbols: list[str]) -> None:
        """Ask for the last ticks of each symbol, the busiest first: theirs leave OpenD's cache first.

        A symbol that OpenD refuses three times is named in the log; the audits will ask for it again.
        """
        started = time.monotonic()
        ranked = await self._busiest_first(symbols)
        waiting = dict.fromkeys(ranked, "")
        for attempt in range(ATTEMPTS):
            if attempt:
                await asyncio.sleep(ATTEMPT_PAUSE_SEC)
            waiting = await self._ask_all(waiting, self._settings.backfill_n or TICKER_REPLY_MAX)
            if not waiting:
                break
        for symbol, reason in list(waiting.items())[:CANARIES]:
            log.error("backfill_failed", symbol=symbol, reason=reason, symbols=len(waiting))
        log.info(
            "backfill_done",
            symbols=len(ranked) - len(waiting),
            failed=len(waiting),
            sec=round(time.monotonic() - started, 3),
        )
        self._audited_at = time.monotonic()

    async def audit(self, symbols: list[str], interrupt: asyncio.Event) -> bool:
        """Look after pushes that never came, if it is time. True: a whole cycle was made.

        Each symbol is asked for as much as it has traded since the audit before the last, at least `poll_num`, spread
        over the interval so that the stream is not disturbed. While no push comes at all (night, lunch) only the
        busiest symbols are asked for, and seldom.
        """
        settings = self._settings
        since_sec = time.monotonic() - self._audited_at
        is_quiet = self._link.pushes == self._pushes_at_audit
        every_sec = max(settings.poll_stale_sec, settings.poll_interval_sec) if is_quiet else settings.poll_interval_sec
        if since_sec < every_sec:
            return False
        self._audited_at = time.monotonic()
        self._pushes_at_audit = self._link.pushes
        depths = await self._depths(symbols)
        ranked = sorted(symbols, key=lambda symbol: -depths[symbol])
        if is_quiet:
            ranked = ranked[:CANARIES]
        pause_sec = settings.poll_interval_sec * 0.8 / max(1, len(ranked)) * IN_FLIGHT
        for start in range(0, len(ranked), IN_FLIGHT):
            if interrupt.is_set():
                return False
            part = ranked[start : start + IN_FLIGHT]
            await asyncio.gather(*(self._ask(symbol, depths[symbol], Purpose.AUDIT) for symbol in part))
            await asyncio.sleep(pause_sec)
        return True

    async def _depths(self, symbols: list[str]) -> dict[str, int]:
        """How many ticks to ask for. What is stored lags behind what came, so the last but one audit is the base."""
        rows = await asyncio.to_thread(self._stored.rows_by_symbol)
        base = self._rows_before[0] if self._rows_before else {}
        self._rows_before = [*self._rows_before[-1:], rows]
        least = self._settings.poll_num
        return {
            symbol: min(TICKER_REPLY_MAX, least + max(0, rows.get(symbol, 0) - base.get(symbol, 0)))
            for symbol in symbols
        }

    async def _busiest_first(self, symbols: list[str]) -> list[str]:
        rows = await asyncio.to_thread(self._stored.rows_by_symbol)
        return sorted(symbols, key=lambda symbol: -rows.get(symbol, 0))

    async def _ask_all(self, symbols: Iterable[str], count: int) -> dict[str, str]:
        """Ask for all, some at once, in order. Returns those that OpenD refused, and why."""
        refused: dict[str, str] = {}
        queue = iter(list(symbols))

        async def worker() -> None:
            for symbol in queue:
                reason = await self._ask(symbol, count, Purpose.BACKFILL)
                if reason is not None:
                    refused[symbol] = reason

        await asyncio.gather(*(worker() for _ in range(IN_FLIGHT)))
        return refused

    async def _ask(self, symbol: str, count: int, purpose: Purpose) -> str | None:
        """One GetTicker. Returns why it was refused, or None."""
        try:
            body = messages.get_ticker(symbol, count)
            reply = await self._link.call(ProtoId.QOT_GET_TICKER, body, self._settings.request_timeout_sec, purpose)
            messages.check_accepted(ProtoId.QOT_GET_TICKER, reply)
        except RefusedError as exc:
            return exc.text
        return None
