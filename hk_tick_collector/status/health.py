"""How a recorder is doing, in one word and in reasons that say what to mend.

Owns the judgement alone: it reads what the recorder says of itself (`recorder.json`), and never a file, a socket or a
clock. `status`, the metrics and whoever asks `/healthz` get the same answer from it. Invariants: no evidence is never
ok, and a market that is quiet for its own reasons (night, lunch, holiday, half day, auction, a symbol that nobody
trades) is never a fault.

    failing    ticks are being lost or not stored, or will be as soon as some come
    unproven   nothing has shown yet that it works
    degraded   it works, and something wants a look
    ok         it works, and that has been seen

The worst finding is the verdict. An absent or unreadable value is no finding: an older recorder may not have told it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from hk_tick_collector.clock import OFFSET_MS_MAX
from hk_tick_collector.hktime import EPOCH_MS_MAX, EPOCH_MS_MIN, plausible_text, since_continuous_ms
from hk_tick_collector.opend.market import CONTINUOUS
from hk_tick_collector.status.findings import NAMES_SHOWN, Finding, Verdict, and_more, count, number_of, part_of
from hk_tick_collector.status.health_storing import STORING_RULES
from hk_tick_collector.status.lost import lost_text
from hk_tick_collector.text import excerpt, span

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

# The recorder describes itself each 2 s, also while the disk is slow; what is older is no description any more.
SILENT_SEC_MAX = 30.0
FUTURE_SEC_MAX = 30.0

# A reconnect takes a second, and OpenD's own restart some ten.
DOWN_SEC_MAX = 30.0
# OpenD answers a sign of life each 10 s, and the session ends a link without an answer after FUTU_DEAD_LINK_SEC (25).
UNHEARD_SEC_MAX = 60.0
SUBSCRIBE_SEC_MAX = 60.0

# No push for so long is a fault, if pushes came much more often before: with a few quiet symbols they did not.
QUIET_SEC_MAX = 90.0
QUIET_GAPS = 20.0
# So many symbols are never all quiet for QUIET_SEC_MAX in trading hours.
MANY_SYMBOLS = 50

AUDITS_FAILED_MAX = 10  # calls in a row
TOTALS_FAILED_MAX = 3  # rounds in a row, of which there is one a minute

WORD_LATE_MS = 600_000  # OpenD's word is asked for once a minute, and believed for some minutes


class Health(NamedTuple):
    """A verdict, and what led to it, the worst first; without a reason only where it is ok.

    What was lost today is no part of it: it is over, and nothing can be mended. It is told until the day is over.
    """

    verdict: Verdict
    reasons: tuple[str, ...]
    lost_today: str = ""


_WEIGHTS = {verdict: weight for weight, verdict in enumerate(Verdict)}


def assess_health(state: Mapping[str, Any], now_ms: int | None = None) -> Health:
    """Judge a recorder by what it says of itself.

    Args:
        state: the object of `recorder.json`; {} where there is none.
        now_ms: UTC epoch ms, for telling how old that is; None: it is of now.
    """
    found = list(_presence(state, now_ms)) or [finding for rule in _RULES for finding in rule(state)]
    found.sort(key=lambda finding: -_WEIGHTS[finding.verdict])
    verdict = found[0].verdict if found else Verdict.OK
    return Health(verdict, tuple(finding.reason for finding in found), lost_text(state.get("lost_today")))


def end_text(state: Mapping[str, Any]) -> str:
    """How a recorder that is not running any more has ended, and when, in words.

    A recorder that ends in order says so last. Whoever sees that it is gone (its lock is free) although it has not said
    so puts `died` into the state.
    """
    text = plausible_text(number_of(state, "stopped_ms") or number_of(state, "at_ms"))
    at = f"{text[:19]} HK" if text else "an unknown time"
    if state.get("died"):
        return f"did not stop cleanly, last heard of at {at}"
    why = excerpt(state.get("stop_reason") or "")
    rest = "; the next start stores the rest" if state.get("stored") is False else ""
    if why in {"", "SIGTERM", "SIGINT"}:
        return f"stopped cleanly at {at}{rest}"
    return f"stopped by a fault at {at} ({why}){rest}"


def _presence(state: Mapping[str, Any], now_ms: int | None) -> Iterator[Finding]:
    """Is there a recorder that speaks? If not, whatever it once said is no news."""
    at_ms = number_of(state, "at_ms")
    if at_ms is None or not EPOCH_MS_MIN <= at_ms < EPOCH_MS_MAX:
        yield Finding(Verdict.UNPROVEN, "no recorder has told of itself yet")
        return
    if state.get("running") is False:
        yield Finding(Verdict.FAILING, f"no recorder is running: {end_text(state)}")
        return
    age_sec = (now_ms - at_ms) / 1000 if now_ms is not None else 0.0
    if age_sec > SILENT_SEC_MAX:
        yield Finding(Verdict.FAILING, f"the recorder has said nothing for {span(age_sec)}: it hangs, or is gone")
    elif age_sec < -FUTURE_SEC_MAX:
        reason = f"the recorder spoke {span(-age_sec)} in the future: a clock was set, so its age can't be told"
        yield Finding(Verdict.UNPROVEN, reason)


def _link(state: Mapping[str, Any]) -> Iterator[Finding]:
    """Is OpenD there, logged in, and are the symbols subscribed?"""
    session = part_of(state, "session")
    uptime_sec = _uptime_sec(state)
    serious = Verdict.FAILING if _is_open(state) else Verdict.DEGRADED
    if not session.get("connected"):
        yield from _down(state, session, uptime_sec, serious)
        return
    unheard_sec = number_of(session, "last_heard_age_sec")
    if unheard_sec is not None and unheard_sec > UNHEARD_SEC_MAX:
        yield Finding(serious, f"OpenD is connected and has sent nothing for {span(unheard_sec)}, not even an answer")
    if session.get("qot_logined") is False:
        yield Finding(serious, "OpenD is not logged in to the quote server: no tick comes until it is")
    since_ms, at_ms = number_of(session, "since_ms"), number_of(state, "at_ms") or 0
    if session.get("subscribed") == 0:
        up_sec = (at_ms - since_ms) / 1000 if since_ms else uptime_sec
        if up_sec > SUBSCRIBE_SEC_MAX:
            yield Finding(serious, f"no symbol is subscribed, {span(up_sec)} after OpenD was connected")
        else:
            yield Finding(Verdict.UNPROVEN, "OpenD is connected, and no symbol is subscribed yet")


def _down(
    state: Mapping[str, Any], session: Mapping[str, Any], uptime_sec: float, serious: Verdict
) -> Iterator[Finding]:
    was_up = bool(number_of(session, "connects"))
    told_sec = number_of(session, "down_sec")
    down_sec = uptime_sec if told_sec is None else told_sec
    closed = "" if _is_open(state) else f" ({_market_text(state)})"
    why = excerpt(session.get("last_disconnect") or "no answer yet")
    reason = f"OpenD not connected for {span(down_sec)}: {why}{closed}"
    if down_sec <= DOWN_SEC_MAX:
        serious = Verdict.DEGRADED
    if not was_up and serious is Verdict.DEGRADED:
        serious = Verdict.UNPROVEN
    yield Finding(serious, reason)


def _away(state: Mapping[str, Any]) -> Iterator[Finding]:
    """Is OpenD itself without something, though it is connected? Whose phone has the quote right can be mended."""
    session = part_of(state, "session")
    away = part_of(session, "away")
    since_text = plausible_text(number_of(away, "since_ms"))
    since = f" at {since_text[11:19]} HK" if since_text else ""
    serious = Verdict.FAILING if _is_open(state) else Verdict.DEGRADED
    if away.get("cause") == "kicked_out":
        cure = "end that login, or give OpenD the command request_highest_quote_right"
        yield Finding(serious, f"another login took the quote right{since}, so no tick comes: {cure}")
    elif away.get("cause") == "exchange_lost" and session.get("qot_logined") is not False:
        yield Finding(serious, f"OpenD lost the exchange{since}, and no tick comes: look at OpenD's network")


def _outage(state: Mapping[str, Any]) -> Iterator[Finding]:
    """Will what is missed now be had when it is over? An estimate; whether anything is missing is measured then."""
    told = part_of(state, "outage")
    past, first_text = number_of(told, "past"), plausible_text(number_of(told, "first_deadline_ms"))
    if past:
        names = told.get("past_symbols")
        shown = ", ".join(excerpt(name) for name in (names[:NAMES_SHOWN] if isinstance(names, list) else []))
        reason = f"by estimate {count(past, 'symbol')} can no longer be made good: {shown}"
        rest = f" and {past - NAMES_SHOWN:,.0f} more" if past > NAMES_SHOWN else ""
        yield Finding(Verdict.FAILING if _is_open(state) else Verdict.DEGRADED, reason + rest)
    elif first_text:
        until = first_text[11:19]
        yield Finding(Verdict.DEGRADED, f"by estimate all that is missed can be made good until {until} HK")


def _symbols(state: Mapping[str, Any]) -> Iterator[Finding]:
    """Is anything that was asked for not recorded?"""
    session = part_of(state, "session")
    refused = session.get("refused")
    if isinstance(refused, dict) and refused:
        shown = ", ".join(f"{excerpt(name)} ({excerpt(why)})" for name, why in list(refused.items())[:NAMES_SHOWN])
        yield Finding(Verdict.DEGRADED, f"{count(refused, 'symbol')} refused: {shown}{and_more(refused)}")
    left_out = session.get("left_out")
    if isinstance(left_out, list) and left_out:
        shown = ", ".join(excerpt(name) for name in left_out[:NAMES_SHOWN])
        yield Finding(Verdict.DEGRADED, f"{count(left_out, 'symbol')} without quota: {shown}{and_more(left_out)}")


def _pushes(state: Mapping[str, Any]) -> Iterator[Finding]:
    """Do ticks come, where some must? Fetched ticks are no sign of it: they may be old, and the pushes fail."""
    session = part_of(state, "session")
    since_sec = _trading_sec(state)
    if since_sec is None or not session:
        return
    frames = number_of(state, "frames") or 0.0
    push_sec = number_of(session, "last_push_age_sec")
    is_proven_open = part_of(state, "market").get("source") == "opend"
    if push_sec is not None:
        quiet_sec = min(push_sec, since_sec)
        usual_sec = _uptime_sec(state) / frames if frames else quiet_sec
        if quiet_sec > max(QUIET_SEC_MAX, QUIET_GAPS * usual_sec):
            if is_proven_open:
                yield Finding(Verdict.FAILING, f"no push for {span(quiet_sec)} while the market is open")
            else:
                reason = f"no push for {span(quiet_sec)}; it is trading time, but OpenD has not said that it trades"
                yield Finding(Verdict.UNPROVEN, reason)
        return
    if not session.get("connected"):
        return
    reason = "no push since the start while the market is open"
    up_sec = min(since_sec, _uptime_sec(state))
    subscribed = number_of(session, "subscribed") or 0
    if is_proven_open and number_of(session, "resubscribes"):
        yield Finding(Verdict.FAILING, f"{reason}, though fetched ticks show trades: restart OpenD")
    elif is_proven_open and subscribed >= MANY_SYMBOLS and up_sec > QUIET_SEC_MAX:
        yield Finding(Verdict.FAILING, f"{reason}, {span(up_sec)} ago, on any of {subscribed:,.0f} symbols")
    else:
        yield Finding(Verdict.UNPROVEN, f"{reason}: no evidence yet")


def _evidence(state: Mapping[str, Any]) -> Iterator[Finding]:
    """Has any tick gone all the way since the start? A fetched one will do: it took the same way."""
    if not part_of(state, "session").get("connected") or number_of(part_of(state, "writer"), "rows"):
        return
    if number_of(state, "frames"):
        yield Finding(Verdict.UNPROVEN, "ticks come, and none is stored yet")
    elif _trading_sec(state) is None or number_of(part_of(state, "session"), "last_push_age_sec") is not None:
        reason = f"link up, but no tick has come since the start: no evidence yet ({_market_text(state)})"
        yield Finding(Verdict.UNPROVEN, reason)


def _clock(state: Mapping[str, Any]) -> Iterator[Finding]:
    """Does the host know what time it is?"""
    offset_ms = number_of(part_of(state, "session"), "clock_offset_ms")
    if offset_ms is not None and abs(offset_ms) > OFFSET_MS_MAX:
        seen = f"clock {abs(offset_ms) / 1000:,.1f} s {'behind' if offset_ms > 0 else 'ahead of'} OpenD's"
        yield Finding(Verdict.DEGRADED, f"{seen}: look at the time service of both hosts")


def _answers(state: Mapping[str, Any]) -> Iterator[Finding]:
    """Is what is asked for besides the pushes answered? Without it a loss is not found, and no day is proven."""
    session = part_of(state, "session")
    if not session.get("connected"):
        return
    audits, totals = number_of(session, "audits_failed") or 0, number_of(session, "totals_failed") or 0
    if audits >= AUDITS_FAILED_MAX:
        reason = f"{count(audits, 'audit')} in a row not answered ({excerpt(session.get('audit_fault'))})"
        yield Finding(Verdict.DEGRADED, f"{reason}: a push that never comes is not found")
    if totals >= TOTALS_FAILED_MAX:
        reason = (
            f"the exchange's totals not told {count(totals, 'time')} in a row ({excerpt(session.get('totals_fault'))})"
        )
        yield Finding(Verdict.DEGRADED, f"{reason}: nothing proves what is stored")
    unanswered = part_of(session, "unanswered")
    for asked, cost in _UNANSWERED.items():
        if asked in unanswered:
            yield Finding(Verdict.DEGRADED, f"OpenD does not say {cost} ({excerpt(unanswered[asked])})")


_UNANSWERED = {  # what it is asked for besides; each is asked for again within a minute
    "state": "whether the market is open: the clock has to do",
    "quota": "how much quota is left: what it refuses is named",
    "trade_dates": "which days are trade dates: a half day is not known",
}


def _premises(state: Mapping[str, Any]) -> Iterator[Finding]:
    """Does OpenD do what conclusions rest on? What depends on a premise that failed is switched off for its symbol."""
    failed = number_of(part_of(state, "writer"), "premises_failed")
    if failed:
        reason = f"{count(failed, 'premise')} failed since the start: see premise_failed in the log, and audit"
        yield Finding(Verdict.DEGRADED, reason)


_RULES = (_link, _away, _outage, _pushes, _evidence, *STORING_RULES, _symbols, _answers, _premises, _clock)


# ---- the market's hours


def _is_open(state: Mapping[str, Any]) -> bool:
    """Whether trades may come; where the recorder does not say so, the clock does."""
    told = part_of(state, "market").get("is_open")
    return told if isinstance(told, bool) else _since_continuous_ms(state) is not None


def _trading_sec(state: Mapping[str, Any]) -> float | None:
    """Seconds since trades have been coming all the time; None: they need not come (auction, lunch, night, holiday).

    OpenD's word may be late: what counts is the later beginning and the earlier end, by word and by clock.
    """
    market = part_of(state, "market")
    word = market.get("state")
    if market.get("is_open") is False or (market.get("source") == "opend" and str(word) not in CONTINUOUS):
        return None
    since_ms = _since_continuous_ms(state)
    if since_ms is not None:
        return since_ms / 1000
    if market.get("source") != "opend" or _since_continuous_ms(state, WORD_LATE_MS) is not None:
        return None
    return float("inf")  # simulated or replayed: it trades at another hour than ours


def _since_continuous_ms(state: Mapping[str, Any], late_ms: int = 0) -> int | None:
    """As `since_continuous_ms`, of when the recorder spoke."""
    return since_continuous_ms(int(number_of(state, "at_ms") or 0), late_ms)


def _market_text(state: Mapping[str, Any]) -> str:
    market = part_of(state, "market")
    word = f", OpenD says {excerpt(market['state'])}" if market.get("state") and market.get("source") == "opend" else ""
    return f"market {'open' if _is_open(state) else 'closed'}{word}"


def _uptime_sec(state: Mapping[str, Any]) -> float:
    uptime_sec = number_of(state, "uptime_sec")
    if uptime_sec is not None:
        return uptime_sec
    at_ms, started_ms = number_of(state, "at_ms") or 0.0, number_of(state, "started_ms")
    return (at_ms - started_ms) / 1000 if started_ms is not None else 0.0
