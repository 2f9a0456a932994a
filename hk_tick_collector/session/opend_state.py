"""Asks OpenD for its state with GetGlobalState: is the market open, is it logged in, how far is its clock from ours?

Owns when to ask, and what follows from the answer: the session's state, the offset of the clocks, and whether OpenD is
without the exchange. A missing answer changes none of these: `link` detects dead links.
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Final

from hk_tick_collector import logs
from hk_tick_collector.clock import OFFSET_MS_MAX, disagreement, is_rehearsal
from hk_tick_collector.errors import RemoteProtocolError, SessionError
from hk_tick_collector.hktime import DAY_MS
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
OF_SIMULATED_DAY: Final = "if this OpenD is a simulated day, start `run` with --rehearse and the clock file it names"
LOOK_AGAIN_SEC: Final = 10.0  # if OpenD has not answered, or the clocks are apart


class OpendState:
    """Asks on one connection after another.

    Attributes:
        clock_set: the host's clock was set since OpenD was last asked for its own.
        looked_ms: when the last answered request was made, by the host's clock.
    """

    def __init__(self, timeout_sec: float, state: ClientState, outages: Outages, note: Callable[..., None]) -> None:
        """Nothing is asked yet.

        Args:
            timeout_sec: for an answer.
            state: of the session.
            outages: takes what OpenD has lost and regained.
            note: appends an event to the journal.
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
        """Ask periodically, and when the host's clock is set: on the same machine, OpenD's clock changes too.

        Args:
            link: the connection.
            last_push_ms: when the last push came, by the host's clock; None: no push yet.
            on_regained: called when OpenD has regained what it was without, and no notice has reported it.
        """
        self.clock_set = asyncio.Event()  # the first answer already accounts for steps before this session
        wait_sec = LOOK_AGAIN_SEC  # the session's first question is under way, and may get no answer
        while True:
            await wait_for(self.clock_set, wait_sec)
            self.clock_set.clear()
            if await self.look(link, last_push_ms):
                on_regained()
            is_apart = abs(self._state.clock_offset_ms or 0) > OFFSET_MS_MAX  # one of the clocks was set, or will be
            wait_sec = LOOK_AGAIN_SEC if is_apart or "state" in self._state.unanswered else CHECK_EVERY_SEC

    async def look(self, link: Link, last_push_ms: Callable[[], int | None]) -> bool:
        """Ask once. A missing answer is logged, and does not end a session that records.

        Returns:
            Whether OpenD has regained what it was without: the exchange, or the quote right.
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
        asked_ms = now_ms - int((time.monotonic() - asked_at) * 1000)  # by the current clock: it may have been set
        self._state.market = market.market_word(told.market_hk)
        self._state.market_at = time.monotonic()
        self._measure_clock(told, (asked_ms + now_ms) // 2)
        self._note(STATE_EVENT, **told._asdict(), clock_offset_ms=self._state.clock_offset_ms)
        return self._judge_login(told, asked_ms, last_push_ms(), is_new_session=is_new_session)

    def _measure_clock(self, told: GlobalState, at_ms: int) -> None:
        if told.clock_sec is not None:  # truncated to whole seconds: half a second too low on average
            self._state.clock_offset_ms = told.clock_sec * 1000 + 500 - at_ms
            reason = disagreement(self._state.clock_offset_ms)
            if is_rehearsal() and abs(self._state.clock_offset_ms) > DAY_MS:
                raise SessionError(f"this is not the OpenD of the rehearsed day: {reason}")
            if reason is not None and (held := self._limiter.allow("apart")) is not None:
                log.warning("clocks_apart", reason=reason, repeated=held, cure=OF_SIMULATED_DAY)
        elif self._limiter.allow("clock") is not None:
            log.warning("opend_clock_unreadable", time=told.time_sec, expected="epoch seconds of this century")

    def _judge_login(self, told: GlobalState, asked_ms: int, last_push_ms: int | None, *, is_new_session: bool) -> bool:
        """Update the outages from OpenD's login to the exchange. Returns whether OpenD has regained something."""
        was_logined, self._state.qot_logined = self._state.qot_logined, told.qot_logined
        if not told.qot_logined and was_logined is not False:
            proven_ms = (self.looked_ms, last_push_ms or 0) if was_logined else (asked_ms,)
            self._outages.went_away(Cause.EXCHANGE_LOST, max(proven_ms))
            log.warning("opend_not_logged_in", expected="OpenD logged in to the quote server; no ticks until then")
        self.looked_ms = asked_ms
        has_come_back = self._outages.has_come_back(last_push_ms, is_new_session=is_new_session)
        is_login_back = was_logined is False and not self._outages.is_without_right
        has_regained = told.qot_logined and (is_login_back or has_come_back)
        if has_regained:
            self._outages.came_back(Outage(Cause.UNKNOWN, last_push_ms))
        return has_regained
