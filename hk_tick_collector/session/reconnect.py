"""Decides when to try to reach OpenD again, and which failed attempts are logged.

Owns the delay between attempts. While Hong Kong may trade, every second costs ticks, which OpenD forgets after a time:
an attempt every 1 to 2 s is cheap in comparison. At night and on holidays the delay grows.
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

STABLE_SEC: Final = 10.0  # a session that lasted this long resets the backoff
TRADING_SEC_MAX: Final = 2.0
# How long the last market state from OpenD, or a push, counts as a sign of an open market. Outside of Hong Kong's hours
# only a simulated or replayed market trades, and after an hour nothing of it can be recovered.
OPEN_SEC: Final = 3600.0
LINE_SEC: Final = 60.0
LINES_MAX: Final = 10  # lines in LINE_SEC, if the reason changes from attempt to attempt


class Reconnects:
    """Counts the failed attempts in a row, and decides on the delay and the log lines."""

    def __init__(self, settings: ClientSettings, state: ClientState) -> None:
        self._min_sec, self._max_sec = settings.reconnect_min_delay_sec, settings.reconnect_max_delay_sec
        self._where = {"host": settings.host, "port": settings.port}
        self._state = state
        self._random = random.Random()  # noqa: S311 - jitter
        self._reason: str | None = None  # of the last attempt, if it failed to connect
        self._lines: deque[float] = deque(maxlen=LINES_MAX)  # monotonic times
        self._held = 0
        self.failures = 0

    def ended(
        self, reason: str, session_sec: float, outage: Outage | None, last_push_at: float | None, now_ms: int
    ) -> float:
        """A session has ended, or never began. Returns the seconds to wait before the next attempt.

        Args:
            reason: why.
            session_sec: how long it lasted.
            outage: the current outage.
            last_push_at: monotonic time of the last push; None: no push yet.
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
        """Whether there may be trades before the next attempt, by OpenD's market state, a push or the clock."""
        now, state = time.monotonic(), self._state
        if may_trade(state.market) and state.market_at is not None and now - state.market_at < OPEN_SEC:
            return True
        if last_push_at is not None and now - last_push_at < OPEN_SEC:
            return True
        clock_ms = now_ms + (state.clock_offset_ms or 0)
        return may_trade_between(clock_ms, clock_ms + int(self._max_sec * 1000))

    def _due_sec(self, outage: Outage | None, now_ms: int) -> float | None:
        """Seconds until an attempt is needed to meet the nearest deadline that can still be met; None: no deadline."""
        if outage is None or outage.since_ms is None:
            return None
        found = self._state.risks(outage.since_ms, outage.reach, now_ms, is_open=may_trade(self._state.market))
        left_ms = min((risk.deadline_ms - now_ms for risk in found if risk.deadline_ms > now_ms), default=None)
        return None if left_ms is None else max(0, left_ms - URGENT_MS) / 1000

    def _is_told(self, reason: str | None) -> bool:
        """Whether to log it: the end of a session (None) or a new reason, otherwise once per minute."""
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
