"""Subscribes symbols in batches, within the quota, and finds the codes that OpenD refuses while the others run.

Owns which symbols are asked for, and which are subscribed, refused or left out, and logs them by name. Never drops one
silently.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from hk_tick_collector import logs
from hk_tick_collector.clock import wall_ms
from hk_tick_collector.errors import ConfigError, RefusedError, RemoteProtocolError, SessionError, UnansweredError
from hk_tick_collector.hktime import hk_day
from hk_tick_collector.opend import messages
from hk_tick_collector.opend.numbers import ProtoId, RetType

if TYPE_CHECKING:
    from collections.abc import Callable

    from hk_tick_collector.session.link import Link
    from hk_tick_collector.session.state import ClientSettings, ClientState

log = logs.get_logger()

BATCH_MAX = 100  # symbols in one Qot_Sub
NAMES_MAX = 20  # symbols named in one log line; `status` names them all
WHOLE_REFUSAL_MIN = 5  # this many refused and none accepted: the cause is OpenD's state, not the codes
NO_SYMBOL_SEC_MAX = 90.0  # how long plates may be refused if there is nothing else; rate limits end in 30 s


class Wanted:
    """What should be recorded: the symbols in the settings, and the members of their plates. Outlives connections."""

    def __init__(self, settings: ClientSettings, state: ClientState) -> None:
        self._settings = settings
        self._state = state
        self._no_symbol_since: float | None = None
        self._members: dict[str, tuple[str, list[str]]] = {}  # of each plate: the day it was asked for, its symbols

    async def resolve(self, subscriber: Subscriber) -> list[str]:
        """All symbols that should be recorded. Each plate is asked for once per day.

        Raises:
            ConfigError: there is still no symbol after `NO_SYMBOL_SEC_MAX`, with OpenD logged in.
            SessionError: there is no symbol yet.
        """
        today = hk_day(wall_ms())
        symbols = dict.fromkeys(self._settings.symbols)
        for plate in self._settings.plates:
            if self._members.get(plate, ("", []))[0] != today and (members := await subscriber.members(plate)):
                self._members[plate] = (today, members)
            symbols.update(dict.fromkeys(self._members.get(plate, ("", []))[1]))
        if not symbols:
            plates = ", ".join(self._settings.plates)
            self._no_symbol_since = self._no_symbol_since or time.monotonic()
            waited_sec = time.monotonic() - self._no_symbol_since
            if not self._state.qot_logined or waited_sec < NO_SYMBOL_SEC_MAX:
                raise SessionError(f"OpenD does not tell the members of {plates}")
            raise ConfigError(f"FUTU_SYMBOLS names no symbol: OpenD knows no member of {plates}")
        self._no_symbol_since = None
        return list(symbols)

    def reset_deadline(self) -> None:
        """OpenD was away: when it is back, it gets the full `NO_SYMBOL_SEC_MAX` again."""
        self._no_symbol_since = None


class Subscriber:
    """Subscribes symbols on one connection."""

    def __init__(self, link: Link, timeout_sec: float, state: ClientState) -> None:
        self._link = link
        self._timeout_sec = timeout_sec
        self._state = state
        self._told_left_out: list[str] = []  # what this connection has already logged is not logged at each retry
        self._told_refused: dict[str, str] = {}
        self._told_counts: tuple[int, int, int] | None = None
        self._told_quota_unknown = ""
        self._told_unreadable: dict[str, int] = {}

    async def members(self, plate: str) -> list[str]:
        """The members of a plate, in OpenD's order; if OpenD does not give them, [] and a log line that names it."""
        try:
            body = messages.get_plate_security(plate)
            members, unreadable = messages.plate_members(
                await self._link.call(ProtoId.QOT_GET_PLATE_SECURITY, body, self._timeout_sec)
            )
        except (RefusedError, UnansweredError, RemoteProtocolError) as exc:
            # One plate must not keep the other symbols from being recorded.
            name, reason = f"plate:{plate}", exc.text if isinstance(exc, RefusedError) else str(exc)
            self._state.refused[name] = reason
            if self._told_refused.get(name) != reason:
                self._told_refused[name] = reason
                log.error("plate_refused", plate=plate, reason=reason)
            return []
        self._state.refused.pop(f"plate:{plate}", None)
        self._tell_unreadable(f"plate:{plate}", unreadable)
        log.info("plate_resolved", plate=plate, symbols=len(members))
        return members

    def forget_all_but(self, symbols: list[str]) -> None:
        """Forget which other symbols were refused or left out: they are no longer wanted (they left their plate)."""
        asked, state = set(symbols), self._state
        state.left_out = [symbol for symbol in state.left_out if symbol in asked]
        state.refused = {name: why for name, why in state.refused.items() if name in asked or name.startswith("plate:")}

    async def subscribe(self, symbols: list[str], begin: Callable[[list[str]], None] | None = None) -> list[str]:
        """Subscribe what the quota allows. Returns the symbols that are subscribed by this call.

        The symbols that are refused or left out are in the state, and are named in the log.

        Args:
            symbols: the symbols to subscribe.
            begin: called with the symbols that OpenD accepts, before the first push of one of them can come.

        Raises:
            SessionError: OpenD refuses everything, and has accepted nothing on this connection: it can't serve now.
        """
        state = self._state
        allowed = await self._within_quota(symbols)
        accepted: list[str] = []
        refused: dict[str, str] = {}
        for start in range(0, len(allowed), BATCH_MAX):
            batch = allowed[start : start + BATCH_MAX]
            if begin is not None:
                batch = await self._try(batch, refused)
                if batch:
                    begin(batch)
            await self._subscribe_batch(batch, accepted, refused)
            if not accepted and not state.subscribed and len(refused) >= WHOLE_REFUSAL_MIN:
                raise SessionError(f"OpenD refuses to subscribe anything: {next(iter(refused.values()))}")
        state.subscribed = list(dict.fromkeys([*state.subscribed, *accepted]))
        for symbol in accepted:
            state.refused.pop(symbol, None)
        state.refused.update(refused)
        news = [item for item in refused.items() if self._told_refused.get(item[0]) != item[1]]
        self._told_refused.update(news)
        for symbol, reason in news[:NAMES_MAX]:
            log.error("symbol_refused", symbol=symbol, reason=reason)
        told = (len(state.subscribed), len(state.refused), len(state.left_out))
        if told != self._told_counts:  # otherwise a retry changed nothing
            self._told_counts = told
            log.info("futu_subscribed", symbols=told[0], refused=told[1], left_out=told[2])
        return accepted

    async def _within_quota(self, symbols: list[str]) -> list[str]:
        """The symbols for which there is quota, in the operator's order; the rest is left out by name.

        All of them if OpenD does not report its quota: what it then refuses is named one by one.
        """
        try:
            body = await self._link.call(ProtoId.QOT_GET_SUB_INFO, messages.get_sub_info(), self._timeout_sec)
            quota = messages.quota(body)
        except (RefusedError, UnansweredError, RemoteProtocolError) as exc:
            if self._told_quota_unknown != str(exc):
                self._told_quota_unknown = str(exc)
                log.warning("subscription_quota_unknown", error=exc)
            self._state.left_out = []
            self._state.quota_used = self._state.quota_left = None
            self._state.note_answer("quota", exc)
            return symbols
        self._state.note_answer("quota")
        self._tell_unreadable("subscriptions", quota.unreadable)
        allowed: list[str] = []
        left_out: list[str] = []
        room = quota.remaining
        for symbol in symbols:
            if symbol in quota.held:
                allowed.append(symbol)
            elif room > 0:
                room -= 1
                allowed.append(symbol)
            else:
                left_out.append(symbol)
        self._state.left_out = left_out
        self._state.quota_used, self._state.quota_left = quota.used + quota.remaining - room, room
        if left_out and left_out != self._told_left_out:
            self._told_left_out = left_out
            log.error(
                "subscription_quota_short",
                needed=len(symbols),
                used=quota.used,
                remaining=quota.remaining,
                left_out=len(left_out),
                symbols=_names(left_out),
            )
        return allowed

    def _tell_unreadable(self, where: str, codes: int) -> None:
        """Log once per connection that a list has codes that can't be read: they are left out."""
        if codes and self._told_unreadable.get(where) != codes:
            self._told_unreadable[where] = codes
            log.warning("opend_codes_unreadable", where=where, codes=codes)

    async def _try(self, batch: list[str], refused: dict[str, str]) -> list[str]:
        """Subscribe a batch without its pushes. Returns those that OpenD accepts."""
        accepted: list[str] = []
        await self._subscribe_batch(batch, accepted, refused, is_pushed=False)
        return accepted

    async def _subscribe_batch(
        self, batch: list[str], accepted: list[str], refused: dict[str, str], *, is_pushed: bool = True
    ) -> None:
        """Subscribe a batch. OpenD refuses all of it for one bad code, so halve it until each bad code is alone."""
        if not batch:
            return
        try:
            body = messages.subscribe(batch, is_pushed=is_pushed)
            reply = await self._link.call(ProtoId.QOT_SUB, body, self._timeout_sec)
            messages.check_accepted(ProtoId.QOT_SUB, reply)  # the reply holds nothing else
        except RefusedError as exc:
            if exc.ret_type != RetType.FAILED:
                raise  # a timeout or a lost exchange is not caused by the code
            if len(batch) == 1:
                refused[batch[0]] = exc.text
                return
            half = len(batch) // 2
            await self._subscribe_batch(batch[:half], accepted, refused, is_pushed=is_pushed)
            await self._subscribe_batch(batch[half:], accepted, refused, is_pushed=is_pushed)
            return
        accepted += batch


def _names(symbols: list[str]) -> str:
    """The first symbols, and how many more there are."""
    more = len(symbols) - NAMES_MAX
    return ",".join(symbols[:NAMES_MAX]) + (f",… ({more} more)" if more > 0 else "")
