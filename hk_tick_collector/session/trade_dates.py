"""Asks for the exchange's trade dates with RequestTradeDate: on which days there can be ticks, and for how long.

Owns when to ask. Never draws a conclusion: the replies go to the journal like everything else, and the ledger reads
them there.
"""

from __future__ import annotations

import asyncio
import time
from datetime import timedelta
from typing import TYPE_CHECKING, Final

from hk_tick_collector import logs
from hk_tick_collector.errors import RefusedError, RemoteProtocolError, UnansweredError
from hk_tick_collector.hktime import hk_date
from hk_tick_collector.opend import messages
from hk_tick_collector.opend.numbers import ProtoId

if TYPE_CHECKING:
    from datetime import date

    from hk_tick_collector.session.link import Link
    from hk_tick_collector.session.state import ClientState

log = logs.get_logger()

DAYS_BEFORE: Final = timedelta(days=7)  # for days that were missed while the recorder did not ask
DAYS_AHEAD: Final = timedelta(days=14)  # covers the longest holidays
LOOK_SEC: Final = 1.0
RETRY_SEC: Final = 30.0


class TradeDates:
    """Asks on one connection: once, and again every day."""

    def __init__(self, link: Link, timeout_sec: float, state: ClientState) -> None:
        self._link = link
        self._timeout_sec = timeout_sec
        self._state = state
        self._limiter = logs.Limiter(3600.0)
        self._answered: date | None = None  # the day of the last answer
        self._retry_at = 0.0

    async def keep(self) -> None:
        """Ask periodically; never returns. OpenD's day counts, so nothing is asked before its clock is known."""
        while True:
            await self.look()
            await asyncio.sleep(LOOK_SEC)

    async def look(self) -> None:
        """Ask if the day differs from that of the last answer. A failure is logged, and retried after `RETRY_SEC`."""
        if self._state.clock_offset_ms is None or time.monotonic() < self._retry_at:
            return
        today = hk_date(self._state.opend_ms())
        if today == self._answered:
            return
        try:
            body = messages.request_trade_date(today - DAYS_BEFORE, today + DAYS_AHEAD)
            reply = await self._link.call(ProtoId.QOT_REQUEST_TRADE_DATE, body, self._timeout_sec)
            messages.trade_dates(reply)
        except (RefusedError, UnansweredError, RemoteProtocolError) as exc:
            self._retry_at = time.monotonic() + RETRY_SEC
            self._state.note_answer("trade_dates", exc)
            held = self._limiter.allow("refused")
            if held is not None:
                log.warning("trade_dates_unavailable", error=exc, repeated=held)
            return
        self._state.note_answer("trade_dates")
        self._answered = today
