"""When the next attempt to reach OpenD is made, and which of the failed ones are logged.

Owns the delay between attempts. While Hong Kong may trade each second costs ticks, which OpenD forgets after a time: an
attempt every 1 to 2 s then costs nothing beside it. At night and on holidays the delay grows.
"""

from __future__ import annotations

import random
import time
from collections import deque
from typing import TYPE_CHECKING, Final

from hk_tick_collector import logs
from hk_tick_collector.hktime import may_trade_between
from hk_tick_collector.opend.market import may_trade
from hk_tick_collector.session.deadlines import URGENT_MS

if TYPE_CHECKING:
    from hk_tick_collector.session.outages import Outage
    from hk_tick_collector.session.state import ClientSettings, ClientState

log = logs.get_logger()

STABLE_SEC: Final = 10.0  # a session that lasted that long starts the backoff anew
TRADING_SEC_MAX: Final = 2.0
# How long OpenD's last word on the market, or a push, is taken for a market that goes on. Outside of Hong Kong's hours
# only a simulated or replayed market trades, and after an hour nothing of it can be recovered.
OPEN_SEC: Final = 3600.0
LINE_SEC: Final = 60.0
LINES_MAX: Final = 10  # in that time, where the reason changes from attempt to attempt


class Reconnects:
    """The failed attempts in a row, and what follows from them."""

    def __init__(self, settings: ClientSettings, state: ClientState) -> None:
        self._min_sec, self._max_sec = settings.reconnect_min_delay_sec, settings.reconnect_max_delay_sec
        self._where = {"host": settings.host, "port": settings.port}
        self._state = state
        self._random = random.Random()  # noqa: S311 - jitter
        self._reason: str | None = None  # of the last attempt, if it reached nothing
        self._lines: deque[float] = deque(maxlen=LINES_MAX)  # monotonic times
        self._held = 0
        self.failures = 0

    def ended(
        self, reason: str, session_sec: float, outage: Outage | None, last_push_at: float | None, now_ms: int
    ) -> float:
        """A session is over, or never began. Returns after how many seconds to try again.

        Args:
            reason: why.
            session_sec: how long it lasted.
            outage: what goes on.
            last_push_at: monotonic time of the last push; None: none came.
            now_ms: the host's clock, UTC epoch ms.
        """
        was_connected = self._state.connected
        self.failures = 0 if was_connected and session_sec >= STABLE_SEC else self.failures + 1
        delay_sec = self._delay_sec(outage, last_push_at, now_ms)
        if self._is_told(None if was_connected else reason):
            held, self._held = self._held, 0
            log.warning(
                "futu_disconnected",
                reason=reason,
                **self._where,
                session_sec=round(session_sec, 1),
                attempt=self.failures,
                retry_in_sec=round(delay_sec, 2),
                repeated=held,
            )
        return delay_sec

    def _delay_sec(self, outage: Outage | None, last_push_at: float | None, now_ms: int) -> float:
        """Exponential backoff with jitter: many recorders must not come back at the same moment."""
        ceiling_sec = min(self._max_sec, self._min_sec * 2.0 ** min(self.failures, 32))
        if self._may_trade(last_push_at, now_ms):
            ceiling_sec = min(ceiling_sec, TRADING_SEC_MAX)
        delay_sec = ceiling_sec * self._random.uniform(0.5, 1.0)
        due_sec = self._due_sec(outage, now_ms)
        if due_sec is not None:
            delay_sec = min(delay_sec, due_sec)
        return max(self._min_sec, delay_sec)

    def _may_trade(self, last_push_at: float | None, now_ms: int) -> bool:
        """Whether there may be trades before the next attempt, by any of the witnesses."""
        now, state = time.monotonic(), self._state
        if may_trade(state.market) and state.market_at is not None and now - state.market_at < OPEN_SEC:
            return True
        if last_push_at is not None and now - last_push_at < OPEN_SEC:
            return True
        clock_ms = now_ms + (state.clock_offset_ms or 0)
        return may_trade_between(clock_ms, clock_ms + int(self._max_sec * 1000))

    def _due_sec(self, outage: Outage | None, now_ms: int) -> float | None:
        """In how many seconds an attempt has to be made for the nearest deadline that can still be met."""
        if outage is None or outage.since_ms is None:
            return None
        found = self._state.risks(outage.since_ms, outage.reach, now_ms, is_open=may_trade(self._state.market))
        left_ms = min((risk.deadline_ms - now_ms for risk in found if risk.deadline_ms > now_ms), default=None)
        return None if left_ms is None else max(0, left_ms - URGENT_MS) / 1000

    def _is_told(self, reason: str | None) -> bool:
        """Whether a line is written: for the end of a session (None), a new reason, and else once a minute."""
        now = time.monotonic()
        is_news = reason is None or reason != self._reason
        self._reason = reason
        is_crowded = len(self._lines) == LINES_MAX and now - self._lines[0] < LINE_SEC
        is_due = not self._lines or now - self._lines[-1] >= LINE_SEC
        if reason is not None and (is_crowded if is_news else not is_due):
            self._held += 1
            return False
        self._lines.append(now)
        return True
