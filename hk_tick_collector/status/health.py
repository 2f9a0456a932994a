"""How a recorder is doing, in one word and in reasons that say what to mend.

Owns the judgement alone: it reads what the recorder says of itself (`recorder.json`), and never a file, a socket or a
clock. `status`, the metrics and whoever asks `/healthz` get the same answer from it. Invariants: no evidence is never
ok, and a market that is quiet for its own reasons (night, lunch, holiday, half day, auction, a symbol that nobody
trades) is never a fault.

    failing    ticks are being lost or not stored, or will be as soon as some come
    unproven   nothing has shown yet that it works
    degraded   it works, and something wants a look
    ok         it works, and that has been seen

The worst finding is the verdict. A value that is missing is no finding: an older recorder may not have reported it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from hk_tick_collector.clock import OFFSET_MS_MAX
from hk_tick_collector.hktime import EPOCH_MS_MAX, EPOCH_MS_MIN, plausible_text, since_continuous_ms
from hk_tick_collector.opend.market import CONTINUOUS
from hk_tick_collector.status.findings import NAMES_SHOWN, Finding, Verdict, count, named
from hk_tick_collector.status.health_storing import STORING_RULES
from hk_tick_collector.status.lost import lost_text
from hk_tick_collector.status.state import RecorderState
from hk_tick_collector.text import excerpt, span
from hk_tick_collector.typed_json import decode

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


def assess_health(told: Mapping[str, Any], now_ms: int | None = None) -> Health:
    """Assess a recorder by what it reports.

    Args:
        told: the object of `recorder.json`; {} where there is none.
        now_ms: UTC epoch ms, for telling how old that is; None: it is of now.
    """
    state = decode(RecorderState, told)
    found = list(_presence(state, now_ms)) or [finding for rule in _RULES for finding in rule(state)]
    found.sort(key=lambda finding: -_WEIGHTS[finding.verdict])
    verdict = found[0].verdict if found else Verdict.OK
    return Health(verdict, tuple(finding.reason for finding in found), lost_text(state.lost_today))


def end_text(told: Mapping[str, Any]) -> str:
    """How a recorder that is not running any more has ended, and when, in words.

    A recorder that ends in order reports that last. A reader that sees that it is gone (its lock is free) without such
    a report adds `died`.
    """
    return _end_text(decode(RecorderState, told))


def _end_text(state: RecorderState) -> str:
    text = plausible_text(state.stopped_ms or state.at_ms)
    at = f"{text[:19]} HK" if text else "an unknown time"
    if state.died:
        return f"did not stop cleanly, last heard of at {at}"
    why = excerpt(state.stop_reason or "")
    rest = "; the next start stores the rest" if state.stored is False else ""
    if why in {"", "SIGTERM", "SIGINT"}:
        return f"stopped cleanly at {at}{rest}"
    return f"stopped by a fault at {at} ({why}){rest}"


def _presence(state: RecorderState, now_ms: int | None) -> Iterator[Finding]:
    """Is there a recorder that reports? If not, its last report is no news."""
    at_ms = state.at_ms
    if at_ms is None or not EPOCH_MS_MIN <= at_ms < EPOCH_MS_MAX:
        yield Finding(Verdict.UNPROVEN, "no recorder state yet")
        return
    if state.running is False:
        yield Finding(Verdict.FAILING, f"no recorder is running: {_end_text(state)}")
        return
    age_sec = (now_ms - at_ms) / 1000 if now_ms is not None else 0.0
    if age_sec > SILENT_SEC_MAX:
        yield Finding(Verdict.FAILING, f"no state update for {span(age_sec)}: the recorder is hung or gone")
    elif age_sec < -FUTURE_SEC_MAX:
        reason = f"recorder.json is dated {span(-age_sec)} in the future: a clock was changed, so its age is unknown"
        yield Finding(Verdict.UNPROVEN, reason)


def _link(state: RecorderState) -> Iterator[Finding]:
    """Is OpenD there, logged in, and are the symbols subscribed?"""
    session = state.session
    serious = Verdict.FAILING if _is_open(state) else Verdict.DEGRADED
    if not session.connected:
        yield from _down(state, serious)
        return
    if session.last_heard_age_sec is not None and session.last_heard_age_sec > UNHEARD_SEC_MAX:
        silent = span(session.last_heard_age_sec)
        yield Finding(serious, f"connected, but OpenD has sent nothing for {silent} (no keep-alive reply either)")
    if session.qot_logined is False:
        yield Finding(serious, "OpenD is not logged in to the quote server: no tick comes until it is")
    if session.subscribed == 0:
        up_sec = ((state.at_ms or 0) - session.since_ms) / 1000 if session.since_ms else _uptime_sec(state)
        if up_sec > SUBSCRIBE_SEC_MAX:
            yield Finding(serious, f"no symbol is subscribed, {span(up_sec)} after OpenD was connected")
        else:
            yield Finding(Verdict.UNPROVEN, "OpenD is connected, and no symbol is subscribed yet")


def _down(state: RecorderState, serious: Verdict) -> Iterator[Finding]:
    session = state.session
    down_sec = _uptime_sec(state) if session.down_sec is None else session.down_sec
    closed = "" if _is_open(state) else f" ({_market_text(state)})"
    why = excerpt(session.last_disconnect or "no answer yet")
    if down_sec <= DOWN_SEC_MAX:
        serious = Verdict.DEGRADED
    if not session.connects and serious is Verdict.DEGRADED:
        serious = Verdict.UNPROVEN
    yield Finding(serious, f"OpenD not connected for {span(down_sec)}: {why}{closed}")


def _away(state: RecorderState) -> Iterator[Finding]:
    """Is OpenD itself without something, though it is connected? Whose phone has the quote right can be mended."""
    away = state.session.away
    if away is None:
        return
    since_text = plausible_text(away.since_ms)
    since = f" at {since_text[11:19]} HK" if since_text else ""
    serious = Verdict.FAILING if _is_open(state) else Verdict.DEGRADED
    if away.cause == "kicked_out":
        cure = "end that login, or give OpenD the command request_highest_quote_right"
        yield Finding(serious, f"another login took the quote right{since}, so no tick comes: {cure}")
    elif away.cause == "exchange_lost" and state.session.qot_logined is not False:
        yield Finding(serious, f"OpenD lost the exchange{since}, and no tick comes: look at OpenD's network")


def _outage(state: RecorderState) -> Iterator[Finding]:
    """Will what is missed now be recovered when it is over? An estimate; what is missing is measured then."""
    told = state.outage
    if told is None:
        return
    first_text = plausible_text(told.first_deadline_ms)
    if told.past:
        shown = ", ".join(excerpt(name) for name in told.past_symbols[:NAMES_SHOWN])
        rest = f" and {told.past - NAMES_SHOWN:,} more" if told.past > NAMES_SHOWN else ""
        reason = f"estimated: {count(told.past, 'symbol')} can no longer be fully recovered: {shown}{rest}"
        yield Finding(Verdict.FAILING if _is_open(state) else Verdict.DEGRADED, reason)
    elif first_text:
        until = first_text[11:19]
        yield Finding(Verdict.DEGRADED, f"estimated: everything missed can be recovered until {until} HK")


def _symbols(state: RecorderState) -> Iterator[Finding]:
    """Is anything that was asked for not recorded?"""
    refused, left_out = state.session.refused, state.session.left_out
    if refused:
        why = named([f"{excerpt(name)} ({excerpt(reason)})" for name, reason in refused.items()])
        yield Finding(Verdict.DEGRADED, f"{count(refused, 'symbol')} refused: {why}")
    if left_out:
        yield Finding(Verdict.DEGRADED, f"{count(left_out, 'symbol')} without quota: {named(left_out)}")


def _pushes(state: RecorderState) -> Iterator[Finding]:
    """Do ticks come, where some must? Fetched ticks are no sign of it: they may be old, and the pushes fail."""
    session, since_sec = state.session, _trading_sec(state)
    if since_sec is None:
        return
    is_proven_open = state.market.source == "opend"
    if session.last_push_age_sec is not None:
        quiet_sec = min(session.last_push_age_sec, since_sec)
        usual_sec = _uptime_sec(state) / state.frames if state.frames else quiet_sec
        if quiet_sec > max(QUIET_SEC_MAX, QUIET_GAPS * usual_sec):
            if is_proven_open:
                yield Finding(Verdict.FAILING, f"no push for {span(quiet_sec)} while the market is open")
            else:
                reason = f"no push for {span(quiet_sec)}; it is trading time, but OpenD has not said that it trades"
                yield Finding(Verdict.UNPROVEN, reason)
        return
    if not session.connected:
        return
    reason = "no push since the start while the market is open"
    up_sec = min(since_sec, _uptime_sec(state))
    subscribed = session.subscribed or 0
    if is_proven_open and session.resubscribes:
        yield Finding(Verdict.FAILING, f"{reason}, though fetched ticks show trades: restart OpenD")
    elif is_proven_open and subscribed >= MANY_SYMBOLS and up_sec > QUIET_SEC_MAX:
        yield Finding(Verdict.FAILING, f"{reason}, {span(up_sec)} ago, on any of {subscribed:,} symbols")
    else:
        yield Finding(Verdict.UNPROVEN, f"{reason}: no evidence yet")


def _evidence(state: RecorderState) -> Iterator[Finding]:
    """Has any tick gone all the way since the start? A fetched one will do: it took the same way."""
    session = state.session
    if not session.connected or state.writer.counters.rows:
        return
    if state.frames:
        yield Finding(Verdict.UNPROVEN, "ticks are arriving but none is stored yet")
    elif _trading_sec(state) is None or session.last_push_age_sec is not None:
        reason = f"link up, but no tick has come since the start: no evidence yet ({_market_text(state)})"
        yield Finding(Verdict.UNPROVEN, reason)


def _clock(state: RecorderState) -> Iterator[Finding]:
    """Does the host know what time it is?"""
    offset_ms = state.session.clock_offset_ms
    if offset_ms is not None and abs(offset_ms) > OFFSET_MS_MAX:
        seen = f"clock {abs(offset_ms) / 1000:,.1f} s {'behind' if offset_ms > 0 else 'ahead of'} OpenD's"
        yield Finding(Verdict.DEGRADED, f"{seen}: look at the time service of both hosts")


def _answers(state: RecorderState) -> Iterator[Finding]:
    """Is what is asked for besides the pushes answered? Without it a loss is not found, and no day is proven."""
    session = state.session
    if not session.connected:
        return
    if session.audits_failed >= AUDITS_FAILED_MAX:
        reason = f"{count(session.audits_failed, 'audit')} in a row not answered ({excerpt(session.audit_fault)})"
        yield Finding(Verdict.DEGRADED, f"{reason}: a push that never comes is not found")
    if session.totals_failed >= TOTALS_FAILED_MAX:
        times, why = count(session.totals_failed, "time"), excerpt(session.totals_fault)
        reason = f"the exchange's totals not available {times} in a row ({why}): nothing proves what is stored"
        yield Finding(Verdict.DEGRADED, reason)
    for asked, cost in _UNANSWERED.items():
        if asked in session.unanswered:
            yield Finding(Verdict.DEGRADED, f"OpenD does not say {cost} ({excerpt(session.unanswered[asked])})")


_UNANSWERED = {  # what it is asked for besides; each is asked for again within a minute
    "state": "whether the market is open: the clock has to do",
    "quota": "how much quota is left: what it refuses is named",
    "trade_dates": "which days are trade dates: a half day is not known",
}


def _premises(state: RecorderState) -> Iterator[Finding]:
    """Does OpenD do what conclusions rest on? What depends on a premise that failed is switched off for its symbol."""
    failed = state.writer.counters.premises_failed
    if failed:
        reason = f"{count(failed, 'premise')} failed since the start: see premise_failed in the log, and audit"
        yield Finding(Verdict.DEGRADED, reason)


_RULES = (_link, _away, _outage, _pushes, _evidence, *STORING_RULES, _symbols, _answers, _premises, _clock)


# ---- the market's hours


def _is_open(state: RecorderState) -> bool:
    """Whether trades may come; where the recorder does not report it, by the clock."""
    is_open = state.market.is_open
    return is_open if is_open is not None else _since_continuous_ms(state) is not None


def _trading_sec(state: RecorderState) -> float | None:
    """Seconds since trades have been coming all the time; None: they need not come (auction, lunch, night, holiday).

    OpenD's word may be late: what counts is the later beginning and the earlier end, by word and by clock.
    """
    market = state.market
    if market.is_open is False or (market.source == "opend" and market.state not in CONTINUOUS):
        return None
    since_ms = _since_continuous_ms(state)
    if since_ms is not None:
        return since_ms / 1000
    if market.source != "opend" or _since_continuous_ms(state, WORD_LATE_MS) is not None:
        return None
    return float("inf")  # simulated or replayed: it trades at another hour than ours


def _since_continuous_ms(state: RecorderState, late_ms: int = 0) -> int | None:
    """As `since_continuous_ms`, at the time of the report."""
    return since_continuous_ms(state.at_ms or 0, late_ms)


def _market_text(state: RecorderState) -> str:
    market = state.market
    word = f", OpenD says {excerpt(market.state)}" if market.state and market.source == "opend" else ""
    return f"market {'open' if _is_open(state) else 'closed'}{word}"


def _uptime_sec(state: RecorderState) -> float:
    if state.uptime_sec is not None:
        return state.uptime_sec
    return ((state.at_ms or 0) - state.started_ms) / 1000 if state.started_ms is not None else 0.0
