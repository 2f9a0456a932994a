"""Asking OpenD how it is with GetGlobalState: is the market open, is it logged in, how far is its clock from ours?

Owns when that is asked for, and what follows from the answer: the session's state, the offset of the clocks, and
whether OpenD is without the exchange. No answer changes nothing: whether the link is dead is seen elsewhere.
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Final

from hk_tick_collector import logs
from hk_tick_collector.clock import OFFSET_MS_MAX
from hk_tick_collector.errors import RemoteProtocolError, SessionError
from hk_tick_collector.journal.events import STATE_EVENT, Cause
from hk_tick_collector.opend import market, messages
from hk_tick_collector.opend.numbers import ProtoId
from hk_tick_collector.session.fetch import wait_for
from hk_tick_collector.session.outages import Outage

if TYPE_CHECKING:
    from collections.abc import Callable

    from hk_tick_collector.opend.messages import GlobalState
    from hk_tick_collector.session.link import Link
    from hk_tick_collector.session.outages import Outages
    from hk_tick_collector.session.state import ClientState

log = logs.get_logger()

CHECK_EVERY_SEC: Final = 60.0
LOOK_AGAIN_SEC: Final = 10.0  # where OpenD has not answered, or the clocks are apart


class OpendState:
    """Asks on one connection after the other.

    Attributes:
        clock_set: the host's clock was set since OpenD was last asked for its own.
        looked_ms: when it was last asked, by the host's clock.
    """

    def __init__(self, timeout_sec: float, state: ClientState, outages: Outages, note: Callable[..., None]) -> None:
        """Nothing is asked yet.

        Args:
            timeout_sec: for an answer.
            state: of the session.
            outages: what OpenD is without.
            note: puts an event into the journal.
        """
        self._timeout_sec = timeout_sec
        self._state = state
        self._outages = outages
        self._note = note
        self._limiter = logs.Limiter(600.0)
        self._answered_on: Link | None = None
        self.clock_set = asyncio.Event()
        self.looked_ms = state.clock.now_ms()

    async def watch(self, link: Link, last_push_ms: Callable[[], int | None], on_regained: Callable[[], None]) -> None:
        """Ask now and then, and when the host's clock was set: on one machine, OpenD's was too.

        Args:
            link: the connection.
            last_push_ms: when the last push came, by the host's clock; None: none has.
            on_regained: OpenD has what it was without, and its notice has not come through.
        """
        self.clock_set = asyncio.Event()  # what was before this session is in its first answer
        wait_sec = LOOK_AGAIN_SEC  # the first question is just being asked, and may not be answered
        while True:
            await wait_for(self.clock_set, wait_sec)
            self.clock_set.clear()
            if await self.look(link, last_push_ms):
                on_regained()
            is_apart = abs(self._state.clock_offset_ms or 0) > OFFSET_MS_MAX  # one of them was set, or will be
            wait_sec = LOOK_AGAIN_SEC if is_apart or "state" in self._state.unanswered else CHECK_EVERY_SEC

    async def look(self, link: Link, last_push_ms: Callable[[], int | None]) -> bool:
        """Ask once. Where OpenD does not tell, that is logged, and no reason to end a session that records.

        Returns:
            Whether it has what it was without: the exchange, or the quote right.
        """
        asked_at = time.monotonic()
        try:
            asked = link.call(ProtoId.GET_GLOBAL_STATE, messages.get_global_state(), self._timeout_sec)
            told = messages.global_state(await asked)
        except (SessionError, RemoteProtocolError) as exc:
            self._state.note_answer("state", exc)
            if (held := self._limiter.allow("state")) is not None:
                log.warning("opend_state_unknown", error=exc, repeated=held)
            return False
        self._state.note_answer("state")
        is_new_session, self._answered_on = link is not self._answered_on, link
        now_ms = self._state.clock.now_ms()
        asked_ms = now_ms - int((time.monotonic() - asked_at) * 1000)  # by the clock of now, if it was set meanwhile
        self._state.market = market.market_word(told.market_hk)
        self._state.market_at = time.monotonic()
        self._measure_clock(told, (asked_ms + now_ms) // 2)
        self._note(STATE_EVENT, **told._asdict(), clock_offset_ms=self._state.clock_offset_ms)
        return self._judge_login(told, asked_ms, last_push_ms(), is_new_session=is_new_session)

    def _measure_clock(self, told: GlobalState, at_ms: int) -> None:
        if told.clock_sec is not None:  # whole seconds, cut: half a second late in the mean
            self._state.clock_offset_ms = told.clock_sec * 1000 + 500 - at_ms
        elif self._limiter.allow("clock") is not None:
            log.warning("opend_clock_unreadable", time=told.time_sec, expected="epoch seconds of this century")

    def _judge_login(self, told: GlobalState, asked_ms: int, last_push_ms: int | None, *, is_new_session: bool) -> bool:
        """What it means that OpenD is logged in to the exchange, or is not; whether it has regained something."""
        was_logined, self._state.qot_logined = self._state.qot_logined, told.qot_logined
        if not told.qot_logined and was_logined is not False:
            proven_ms = (self.looked_ms, last_push_ms or 0) if was_logined else (asked_ms,)
            self._outages.went_away(Cause.EXCHANGE_LOST, max(proven_ms))
            log.warning("opend_not_logged_in", expected="qotLogined, without which no tick comes")
        self.looked_ms = asked_ms
        has_come_back = self._outages.has_come_back(last_push_ms, is_new_session=is_new_session)
        is_login_back = was_logined is False and not self._outages.is_without_right
        has_regained = told.qot_logined and (is_login_back or has_come_back)
        if has_regained:
            self._outages.came_back(Outage(Cause.UNKNOWN, last_push_ms))
        return has_regained
