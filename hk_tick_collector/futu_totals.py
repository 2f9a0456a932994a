"""Asking for the exchange's own totals with GetSecuritySnapshot: the witness that nothing is missing.

Owns when they are asked for. Never reads them: the replies go to the journal as everything does, and are compared with
what is stored at the very place where they stand in it.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

from hk_tick_collector import logs
from hk_tick_collector.errors import RemoteProtocolError
from hk_tick_collector.futu_link import UnansweredError
from hk_tick_collector.hktime import DAY_MS, HK_OFFSET_MS
from hk_tick_collector.opend import messages
from hk_tick_collector.opend.messages import ProtoId, RefusedError
from hk_tick_collector.opend.purpose import Purpose
from hk_tick_collector.resumption import TOTALS_ASKED, TotalsAsked

if TYPE_CHECKING:
    from hk_tick_collector.futu_link import Link
    from hk_tick_collector.futu_state import ClientState

log = logs.get_logger()

APART_SEC: Final = 3.0  # two that are nearer than that say nothing together
CODES_MAX: Final = 400  # in a call (published); and 60 calls in 30 s, which 24,000 symbols would need
# Two in a calm moment tell how much is missing; after the last push one more, for one that was refused.
ROUNDS_AFTER_PUSH: Final = 3
# By Hong Kong's clock: a symbol's last tick may have come long before its close. The last closing prints come until
# 12:10 on a half day and until 16:10 on a whole one; and once more when all else has long come to rest.
_CLOSED_MS: Final = tuple((hour * 60 + minute) * 60_000 for hour, minute in ((12, 12), (16, 12), (16, 42)))


class Totals:
    """Asks on one connection."""

    def __init__(self, link: Link, timeout_sec: float, interval_sec: float, state: ClientState) -> None:
        self._link = link
        self._timeout_sec = timeout_sec
        self._state = state
        self._apart_sec = min(APART_SEC, interval_sec)
        self._limiter = logs.Limiter(600.0)
        self._news: tuple[int, float | None] | None = None  # how much was pushed, and when something new was fetched
        self._rounds = 0  # since the last news
        self._closes: int | None = None  # that have passed

    @property
    def is_apart(self) -> bool:
        """Whether the last snapshot, on whichever connection, was long enough ago."""
        asked_at = self._state.totals_asked_at
        return asked_at is None or time.monotonic() - asked_at >= self._apart_sec

    def is_due(self, now_ms: int) -> bool:
        """Whether there can be news: something was pushed or fetched since, or a close has passed.

        Args:
            now_ms: OpenD's clock, UTC epoch ms.
        """
        closes = _closes_until(now_ms)
        news = (self._link.pushes, self._state.last_fetched_at)
        if news != self._news or (self._closes is not None and closes > self._closes):
            self._news = news
            self._rounds = 0
        self._closes = closes
        return self._rounds < ROUNDS_AFTER_PUSH and self.is_apart

    def begin_anew(self) -> None:
        """The stream has resumed."""
        self._rounds = 0

    async def ask(self, symbols: list[str]) -> None:
        """Ask for the totals of all. A refusal is logged, and harms nothing but the proof."""
        self._rounds += 1
        self._state.totals_asked_at = time.monotonic()
        for start in range(0, len(symbols), CODES_MAX):
            body = messages.get_security_snapshot(symbols[start : start + CODES_MAX])
            try:
                reply = await self._link.call(
                    ProtoId.QOT_GET_SECURITY_SNAPSHOT, body, self._timeout_sec, Purpose.TOTALS, self._note_asked
                )
                messages.check_accepted(ProtoId.QOT_GET_SECURITY_SNAPSHOT, reply)
            except (RefusedError, UnansweredError, RemoteProtocolError) as exc:
                held = self._limiter.allow("refused")
                if held is not None:
                    log.warning("totals_not_told", error=exc, repeated=held)

    def _note_asked(self, serial_no: int) -> None:
        """Tell the journal when they are asked for: the reply may take long, and is of some moment in between."""
        self._link.note(TOTALS_ASKED, **TotalsAsked(serial_no, self._state.clock.now_ms())._asdict())


def _closes_until(now_ms: int) -> int:
    """How many closes there were until then, counting each day's three."""
    days, clock_ms = divmod(now_ms + HK_OFFSET_MS, DAY_MS)
    return days * len(_CLOSED_MS) + sum(clock_ms >= closed_ms for closed_ms in _CLOSED_MS)
