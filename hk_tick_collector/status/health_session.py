"""Health rules for the session with OpenD: why it is not connected, and which symbols are not subscribed."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING

from hk_tick_collector.status.findings import NAMES_SHOWN, Finding, Verdict, and_more, count, named
from hk_tick_collector.status.troubles import Trouble
from hk_tick_collector.text import excerpt, span

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hk_tick_collector.status.state import Session

SUBSCRIBE_SEC_MAX = 60.0
# What is refused or left out is known this soon; just after a reconnect it is still that of the session before.
REFUSED_SEC_MIN = 5.0

# In the session's reasons. An OpenD that ends closes its connections as well: then the next attempt is refused.
_HANGING = ("no answer", "dead link")
_CLOSING = ("closed by OpenD", "closed at once", "protocol error")
AGAIN_SEC = 5.0


def down_trouble(session: Session) -> Trouble:
    """Why OpenD is not connected: it is not there, accepts connections and says nothing, or closes each at once."""
    why = session.last_disconnect or ""
    if any(words in why for words in _HANGING):
        return Trouble.OPEND_HANGS
    is_repeated = not session.connects or (session.down_sec or 0.0) > AGAIN_SEC
    return Trouble.OPEND_CLOSES if is_repeated and any(words in why for words in _CLOSING) else Trouble.OPEND_DOWN


def none_subscribed(session: Session, serious: Verdict, up_sec: float) -> Finding:
    """Nothing is subscribed: is that because OpenD has refused all, or only because the session has just begun?

    Args:
        session: the recorder's, which is connected.
        serious: the verdict if it is a fault.
        up_sec: how long it has been connected.
    """
    is_settled = up_sec > REFUSED_SEC_MIN
    if is_settled and session.left_out:
        return Finding(serious, Trouble.ALL_WITHOUT_QUOTA, f"no symbol is subscribed: {_without_quota(session)}")
    if is_settled and session.refused:
        return Finding(serious, Trouble.ALL_REFUSED, f"no symbol is subscribed: {_refused(session)}")
    if up_sec > SUBSCRIBE_SEC_MAX:
        seen = f"no symbol is subscribed, {span(up_sec)} after OpenD was connected"
        return Finding(serious, Trouble.NOT_SUBSCRIBED, seen)
    seen = "OpenD is connected, and no symbol is subscribed yet"
    return Finding(Verdict.UNPROVEN, Trouble.JUST_CONNECTED, seen)


def not_all_subscribed(session: Session) -> Iterator[Finding]:
    """Is any requested symbol not recorded, while others are?"""
    has_some = session.subscribed != 0
    if session.refused and (has_some or session.left_out):
        yield Finding(Verdict.DEGRADED, Trouble.REFUSED, _refused(session))
    if session.left_out and has_some:
        yield Finding(Verdict.DEGRADED, Trouble.NO_QUOTA, _without_quota(session))


def _refused(session: Session) -> str:
    refused = session.refused or {}
    first = islice(refused.items(), NAMES_SHOWN)
    shown = ", ".join(f"{excerpt(name)} ({excerpt(reason)})" for name, reason in first)
    return f"{count(refused, 'symbol')} refused: {shown}{and_more(len(refused))}"


def _without_quota(session: Session) -> str:
    left_out, used, left = session.left_out or (), session.quota_used, session.quota_left
    units = f" (quota: {count(used, 'unit')} used, {left:,} left)" if used is not None and left is not None else ""
    return f"{count(left_out, 'symbol')} without quota: {named(left_out)}{units}"
