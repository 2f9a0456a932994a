"""Asks for the exchange's own totals with GetSecuritySnapshot: the evidence that nothing is missing.

Owns when to ask. Never reads the totals: the replies go to the journal like everything else, and their position in it
determines what they are compared with.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

from hk_tick_collector import logs
from hk_tick_collector.errors import RefusedError, RemoteProtocolError, UnansweredError
from hk_tick_collector.hktime import DAY_MS, HK_OFFSET_MS
from hk_tick_collector.journal.events import TOTALS_ASKED, TotalsAsked
from hk_tick_collector.opend import messages
from hk_tick_collector.opend.numbers import ProtoId, RetType
from hk_tick_collector.opend.purpose import Purpose
from hk_tick_collector.session.state import TotalsRefusal

if TYPE_CHECKING:
    from hk_tick_collector.session.link import Link
    from hk_tick_collector.session.state import ClientState

log = logs.get_logger()

APART_SEC: Final = 3.0  # two snapshots that are closer together prove nothing as a pair
CODES_MAX: Final = 400  # per call (published); the limit of 60 calls in 30 s would take 24,000 symbols to reach
REFUSED_RETRY_SEC: Final = 3600.0
SEARCH_CALLS_MAX: Final = 40  # per round; finding one bad code among 400 takes 18
WHOLE_REFUSAL_MIN: Final = 3  # this many refused alone and none accepted: the cause is OpenD's state, not the codes
# Two in a calm moment show how much is missing; one more after the last push, in case one is refused.
ROUNDS_AFTER_PUSH: Final = 3
# Hong Kong times at which to ask again after the closes: a symbol's last tick may come long before its close. Closing
# prints come until 12:10 on a half day and until 16:10 on a whole one; 16:42 is once more, long after everything else.
_CLOSED_MS: Final = tuple((hour * 60 + minute) * 60_000 for hour, minute in ((12, 12), (16, 12), (16, 42)))


class Totals:
    """Asks on one connection."""

    def __init__(self, link: Link, timeout_sec: float, interval_sec: float, state: ClientState) -> None:
        self._link = link
        self._timeout_sec = timeout_sec
        self._state = state
        self._apart_sec = min(APART_SEC, interval_sec)
        self._limiter = logs.Limiter(600.0)
        self._news: tuple[int, float | None] | None = None  # pushes so far, and when something new was last fetched
        self._rounds = 0  # since the last news
        self._closes: int | None = None  # passed at the last look; None: not looked yet

    @property
    def is_apart(self) -> bool:
        """Whether the last snapshot, on any connection, was long enough ago."""
        asked_at = self._state.totals_asked_at
        return asked_at is None or time.monotonic() - asked_at >= self._apart_sec

    def is_due(self, now_ms: int) -> bool:
        """Whether to ask: fewer than three rounds since the last news (push, fetched tick or close), and `is_apart`.

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
        """The stream has resumed: count the rounds from 0 again."""
        self._rounds = 0

    async def ask(self, symbols: list[str]) -> None:
        """Ask for the totals of all symbols. A refusal is logged, and affects only the proof.

        OpenD refuses a whole list for one code that it does not serve. Halving the list finds that code. It is then
        named, and asked for apart from the others once per hour, so that they keep getting their totals.
        """
        self._rounds += 1
        self._state.totals_asked_at = now = time.monotonic()
        wanted = set(symbols)
        known = {symbol: refusal for symbol, refusal in self._state.totals_refused.items() if symbol in wanted}
        self._state.totals_refused = known
        due = [symbol for symbol, refusal in known.items() if now >= refusal.retry_at]
        search = _Search()
        for part in (*_parts(due), *_parts([symbol for symbol in symbols if symbol not in known])):
            await self._ask_part(part, search)
        if search.suspects and search.accepted is not None:
            await self._ask_part([search.accepted], search)
        for symbol, refused in search.found.items():
            if symbol not in known:
                log.error("totals_refused", symbol=symbol, reason=refused.text)
            known[symbol] = TotalsRefusal(refused.text, now + REFUSED_RETRY_SEC)
        failed = search.failed or next(iter(search.suspects.values()), None)
        self._state.totals_failed = 0 if failed is None else self._state.totals_failed + 1
        self._state.totals_fault = None if failed is None else str(failed)
        if failed is not None and (held := self._limiter.allow("refused")) is not None:
            log.warning("totals_unavailable", error=failed, repeated=held)

    async def _ask_part(self, part: list[str], search: _Search) -> None:
        """Ask for some symbols; if OpenD refuses them, ask for each half, while calls are left."""
        try:
            body = messages.get_security_snapshot(part)
            reply = await self._link.call(
                ProtoId.QOT_GET_SECURITY_SNAPSHOT, body, self._timeout_sec, Purpose.TOTALS, self._note_asked
            )
            messages.check_accepted(ProtoId.QOT_GET_SECURITY_SNAPSHOT, reply)
        except (RefusedError, UnansweredError, RemoteProtocolError) as exc:
            if not isinstance(exc, RefusedError) or exc.ret_type != RetType.FAILED:
                search.failed = exc  # a timeout or a lost exchange is not caused by the code
            elif len(part) == 1:
                search.suspects[part[0]] = exc
            elif search.calls_left < 2 or search.is_hopeless:  # noqa: PLR2004 - one per half
                search.failed = exc
            else:
                search.calls_left -= 2
                half = len(part) // 2
                await self._ask_part(part[:half], search)
                await self._ask_part(part[half:], search)
            return
        search.accept(part)
        for symbol in part:
            self._state.totals_refused.pop(symbol, None)

    def _note_asked(self, serial_no: int) -> None:
        """Write to the journal when totals are requested: a slow reply's totals are of some moment in between."""
        self._link.note(TOTALS_ASKED, **TotalsAsked(serial_no, self._state.clock.now_ms())._asdict())


class _Search:
    """One round's search for the codes that OpenD refuses.

    A code that is refused alone is only a suspect: OpenD may have begun to refuse everything, as it does when it is
    asked too often. The code counts as found when OpenD accepts a later call.
    """

    def __init__(self) -> None:
        self.calls_left = SEARCH_CALLS_MAX
        self.suspects: dict[str, RefusedError] = {}
        self.found: dict[str, RefusedError] = {}
        self.accepted: str | None = None  # a symbol that OpenD serves
        self.failed: Exception | None = None  # why other symbols get no totals this time

    @property
    def is_hopeless(self) -> bool:
        """Whether OpenD seems to refuse everything: then stop halving."""
        return self.accepted is None and len(self.suspects) >= WHOLE_REFUSAL_MIN

    def accept(self, part: list[str]) -> None:
        """OpenD has served `part`, so it serves in general: earlier refusals were caused by the codes."""
        self.accepted = part[0]
        self.found.update(self.suspects)
        self.suspects.clear()


def _parts(symbols: list[str]) -> list[list[str]]:
    return [symbols[start : start + CODES_MAX] for start in range(0, len(symbols), CODES_MAX)]


def _closes_until(now_ms: int) -> int:
    """The number of closes until `now_ms`, counting three per day."""
    days, clock_ms = divmod(now_ms + HK_OFFSET_MS, DAY_MS)
    return days * len(_CLOSED_MS) + sum(clock_ms >= closed_ms for closed_ms in _CLOSED_MS)
