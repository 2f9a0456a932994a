"""How a recorder is doing: one verdict, and reasons that say what to fix.

Owns the judgement alone: it reads the recorder's report (`recorder.json`), and never a file, a socket or a clock.
`status`, the metrics and `/healthz` all get their answer from it. Invariants: a recorder without evidence is never ok,
and a quiet market (night, lunch, holiday, half day, auction, a symbol without trades) is never a fault.

    failing    ticks are being lost or not stored, or will be as soon as any come
    unproven   nothing has shown yet that it works
    degraded   it works, and something needs attention
    ok         it works, and there is evidence

The worst finding is the verdict. A missing value is not a finding: an older recorder may not have reported it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from hk_tick_collector.clock import OFFSET_MS_MAX
from hk_tick_collector.hktime import plausible_ms, plausible_text, since_continuous_ms
from hk_tick_collector.opend.market import CONTINUOUS
from hk_tick_collector.status.findings import Finding, Verdict, count, named
from hk_tick_collector.status.health_session import down_trouble, none_subscribed, not_all_subscribed
from hk_tick_collector.status.health_storing import STORING_RULES, is_full, room_text
from hk_tick_collector.status.lost import lost_text
from hk_tick_collector.status.state import RecorderState
from hk_tick_collector.status.trouble_table import ROOT, START, cure
from hk_tick_collector.status.troubles import Trouble
from hk_tick_collector.text import excerpt, plain, span
from hk_tick_collector.typed_json import decode

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

# The recorder describes itself every 2 s, even while the disk is slow; an older description is stale.
SILENT_SEC_MAX = 30.0
FUTURE_SEC_MAX = 30.0

# A reconnect takes a second, and an OpenD restart about ten.
DOWN_SEC_MAX = 30.0
# OpenD answers a keep-alive every 10 s, and the session drops a silent link after FUTU_DEAD_LINK_SEC (25).
UNHEARD_SEC_MAX = 60.0

# No push for this long is a fault only if pushes came much more often before; those of a few quiet symbols don't.
QUIET_SEC_MAX = 90.0
QUIET_GAPS = 20.0
# This many symbols are never all quiet for QUIET_SEC_MAX in trading hours.
MANY_SYMBOLS = 50

POLLS_FAILED_MAX = 10  # calls in a row
TOTALS_FAILED_MAX = 3  # rounds in a row, one per minute

REFUSAL_MAX = 500  # characters: it names a path, and what to do

WORD_LATE_MS = 600_000  # OpenD's market state is requested once a minute, and may be this old


class Machine(NamedTuple):
    """What a reader knows of the machine.

    Attributes:
        start, root: how a recorder is started here, and where it records.
        is_refused: systemd does not start the recorder again, since it has found a setting or file wrong.
        refusal: which, in the recorder's words; empty: not known.
        is_starting: systemd is about to start it.
        lock_pid: the process that holds the recorder's lock; None or 0: not known.
        report_age_sec: how old the recorder's report is; None: as its own time says.
    """

    start: str = START
    is_refused: bool = False
    refusal: str = ""
    is_starting: bool = False
    lock_pid: int | None = None
    root: str = ROOT
    report_age_sec: float | None = None


class Health(NamedTuple):
    """A verdict and its reasons, the worst first. Only `ok` has no reason.

    What was lost today does not affect the verdict: nothing can be fixed any more. It is
    reported for the rest of the day.

    Attributes:
        verdict: the worst of all findings.
        reasons: each finding in words: what was seen, and what to do.
        lost_today: what was lost, in words; "": nothing is known to be lost.
        findings: what `reasons` are made of.
    """

    verdict: Verdict
    reasons: tuple[str, ...]
    lost_today: str = ""
    findings: tuple[Finding, ...] = ()


_WEIGHTS = {verdict: weight for weight, verdict in enumerate(Verdict)}


def assess_health(told: Mapping[str, Any], now_ms: int | None = None) -> Health:
    """Assess a recorder by its report.

    Args:
        told: the object in `recorder.json`; {} if there is no such file.
        now_ms: UTC epoch ms, to find the report's age; None: the report is current.
    """
    return assess(decode(RecorderState, told), now_ms)


def assess(state: RecorderState, now_ms: int | None = None, machine: Machine = Machine()) -> Health:  # noqa: B008
    """As `assess_health`, for a report that was decoded already, with what is known of this machine."""
    found = list(_presence(state, now_ms, machine)) or [finding for rule in _RULES for finding in rule(state)]
    found.sort(key=lambda finding: -_WEIGHTS[finding.verdict])
    verdict = found[0].verdict if found else Verdict.OK
    reasons = tuple(reason_text(finding, machine) for finding in found)
    return Health(verdict, reasons, lost_text(state.lost_today), tuple(found))


def reason_text(finding: Finding, machine: Machine = Machine()) -> str:  # noqa: B008 - it can't change
    """A finding in words: what was seen, and what to do."""
    return f"{finding.seen}. {cure(finding.trouble, machine.start, machine.root)}"


def end_text(state: RecorderState) -> str:
    """How and when a recorder that no longer runs ended, in words.

    A recorder that stops cleanly reports so at the end. If its lock is free but that report is missing, the reader adds
    `died`.
    """
    text = plausible_text(state.stopped_ms or state.at_ms)
    at = f"{text[:19]} HK" if text else "an unknown time"
    if state.died:
        return f"did not stop cleanly, last heard of at {at}"
    rest = "; the next start stores the rest" if state.stored is False else ""
    if is_clean(state):
        return f"stopped cleanly at {at}{rest}"
    return f"stopped by a fault at {at} ({excerpt(state.stop_reason or '')}){rest}"


def is_clean(state: RecorderState) -> bool:
    """Whether a recorder that no longer runs was told to stop, and did."""
    return not state.died and (state.stop_reason or "") in {"", "SIGTERM", "SIGINT"}


def report_age_sec(at_ms: int, now_ms: int | None, machine: Machine) -> float:
    """How old a report of `at_ms` is; below 0: it is dated in the future."""
    if machine.report_age_sec is not None:
        return machine.report_age_sec
    return (now_ms - at_ms) / 1000 if now_ms is not None else 0.0


def _presence(state: RecorderState, now_ms: int | None, machine: Machine) -> Iterator[Finding]:
    """Does a recorder report? If not, its last report is stale."""
    at_ms = plausible_ms(state.at_ms)
    if unreported := _unreported(state, machine):
        if is_full(state):
            yield Finding(Verdict.FAILING, Trouble.SILENT_FULL, f"{unreported}: the disk is full{room_text(state)}")
        else:
            yield Finding(Verdict.UNPROVEN, Trouble.NOT_REPORTED, unreported)
        return
    if at_ms is None and not machine.is_refused:
        yield Finding(Verdict.UNPROVEN, Trouble.NO_REPORT, "no recorder state yet")
        return
    if at_ms is None or state.running is False:
        yield from _absence(state, machine)
        return
    age_sec = report_age_sec(at_ms, now_ms, machine)
    if age_sec > SILENT_SEC_MAX and is_full(state):
        seen = f"no state update for {span(age_sec)}: the disk is full{room_text(state)}"
        yield Finding(Verdict.FAILING, Trouble.SILENT_FULL, seen)
    elif age_sec > SILENT_SEC_MAX:
        pid = f" (pid {state.pid})" if state.pid else ""
        seen = f"no state update for {span(age_sec)}: the recorder{pid} hangs"
        yield Finding(Verdict.FAILING, Trouble.SILENT, seen)
    elif age_sec < -FUTURE_SEC_MAX:
        seen = f"recorder.json is dated {span(-age_sec)} in the future: a clock was changed, so its age is unknown"
        yield Finding(Verdict.UNPROVEN, Trouble.FROM_THE_FUTURE, seen)


def _absence(state: RecorderState, machine: Machine) -> Iterator[Finding]:
    """No recorder runs: why not, and what keeps the next one from starting?"""
    seen = f"no recorder is running: {end_text(state)}"
    if machine.is_refused:
        why = plain(machine.refusal, REFUSAL_MAX) or "exit code 2"
        yield Finding(Verdict.FAILING, Trouble.WRONG_SETTING, f"no recorder is running: it refused to start: {why}")
    elif is_full(state):
        yield Finding(Verdict.FAILING, Trouble.NOT_RUNNING_FULL, f"{seen}; the disk is full{room_text(state)}")
    else:
        trouble = Trouble.NOT_RUNNING if is_clean(state) else Trouble.ENDED
        yield Finding(Verdict.FAILING, trouble, seen)


def _unreported(state: RecorderState, machine: Machine) -> str:
    """What is seen of a recorder that runs, and whose report is missing or of the one before it; empty: it reports."""
    pid = machine.lock_pid
    if state.running and plausible_ms(state.at_ms) is None:
        return f"{f'pid {pid}' if pid else 'a recorder'} runs, and has written no report"
    if pid and state.pid != pid:
        return f"pid {pid} has started, and has not reported yet"
    return ""


def _link(state: RecorderState) -> Iterator[Finding]:
    """Is OpenD connected and logged in, and are the symbols subscribed?"""
    session = state.session
    serious = Verdict.FAILING if is_open(state) else Verdict.DEGRADED
    if not session.connected:
        yield from _down(state, serious)
        return
    if session.last_heard_age_sec is not None and session.last_heard_age_sec > UNHEARD_SEC_MAX:
        silent = span(session.last_heard_age_sec)
        seen = f"connected, but OpenD has sent nothing for {silent} (no keep-alive reply either)"
        yield Finding(serious, Trouble.OPEND_MUTE, seen)
    if session.qot_logined is False and (session.away is None or session.away.cause != "kicked_out"):
        seen = "OpenD is not logged in to the quote server: no tick comes until it is"
        yield Finding(serious, Trouble.NOT_LOGGED_IN, seen)
    if session.subscribed == 0:
        up_sec = ((state.at_ms or 0) - session.since_ms) / 1000 if session.since_ms else _uptime_sec(state)
        yield none_subscribed(session, serious, up_sec)


def _down(state: RecorderState, serious: Verdict) -> Iterator[Finding]:
    session = state.session
    down_sec = _uptime_sec(state) if session.down_sec is None else session.down_sec
    closed = "" if is_open(state) else f" ({market_text(state)})"
    why = excerpt(session.last_disconnect or "no answer yet").removeprefix(f"{session.address}: ")
    if down_sec <= DOWN_SEC_MAX:
        serious = Verdict.DEGRADED
    if not session.connects and serious is Verdict.DEGRADED:
        serious = Verdict.UNPROVEN
    tried = f" (tried {excerpt(session.address)})" if session.address and session.address not in why else ""
    yield Finding(serious, down_trouble(session), f"OpenD not connected for {span(down_sec)}: {why}{tried}{closed}")


def _away(state: RecorderState) -> Iterator[Finding]:
    """Is OpenD connected, but without the exchange or the quote right?"""
    away = state.session.away
    if away is None:
        return
    since_text = plausible_text(away.since_ms)
    since = f" at {since_text[11:19]} HK" if since_text else ""
    serious = Verdict.FAILING if is_open(state) else Verdict.DEGRADED
    if away.cause == "kicked_out" and away.is_without_right:
        seen = f"OpenD was given a quote right without pushes (BMP){since}, so no tick comes"
        yield Finding(serious, Trouble.NO_QUOTE_RIGHT, seen)
    elif away.cause == "kicked_out":
        yield Finding(serious, Trouble.KICKED_OUT, f"another login took the quote right{since}, so no tick comes")
    elif away.cause == "exchange_lost" and state.session.qot_logined is not False:
        yield Finding(serious, Trouble.EXCHANGE_LOST, f"OpenD lost the exchange{since}, and no tick comes")


def _outage(state: RecorderState) -> Iterator[Finding]:
    """Can what is missed now be recovered after the outage? An estimate; the loss is measured afterwards."""
    told = state.outage
    if told is None:
        return
    first_text = plausible_text(told.first_deadline_ms)
    if told.past:
        lost = count(told.past, "symbol")
        seen = f"estimated: {lost} can no longer be fully recovered: {named(told.past_symbols, told.past)}"
        serious = Verdict.FAILING if is_open(state) else Verdict.DEGRADED
        yield Finding(serious, Trouble.LOSING_TICKS, seen)
    elif first_text:
        seen = f"estimated: everything missed can be recovered until {first_text[11:19]} HK"
        yield Finding(Verdict.DEGRADED, Trouble.STREAM_INTERRUPTED, seen)


def _symbols(state: RecorderState) -> Iterator[Finding]:
    """Is any requested symbol not recorded?"""
    yield from not_all_subscribed(state.session)


def _pushes(state: RecorderState) -> Iterator[Finding]:
    """Do pushes come when they must? Fetched ticks don't count: they may be old, and come even if pushes fail."""
    session, since_sec = state.session, _trading_sec(state)
    if since_sec is None:
        return
    is_proven_open = state.market.source == "opend"
    if session.last_push_age_sec is not None:
        quiet_sec = min(session.last_push_age_sec, since_sec)
        usual_sec = _uptime_sec(state) / state.frames if state.frames else quiet_sec
        if quiet_sec > max(QUIET_SEC_MAX, QUIET_GAPS * usual_sec):
            if is_proven_open:
                seen = f"no push for {span(quiet_sec)} while the market is open"
                yield Finding(Verdict.FAILING, Trouble.NO_PUSH, seen)
            else:
                seen = f"no push for {span(quiet_sec)}; it is trading time, but OpenD has not said that it trades"
                yield Finding(Verdict.UNPROVEN, Trouble.PERHAPS_NO_PUSH, seen)
        return
    if not session.connected or session.subscribed == 0:
        return
    seen = "no push since the start while the market is open"
    up_sec = min(since_sec, _uptime_sec(state))
    subscribed = session.subscribed or 0
    if is_proven_open and session.resubscribes:
        yield Finding(Verdict.FAILING, Trouble.NO_PUSH, f"{seen}, though fetched ticks show trades")
    elif is_proven_open and subscribed >= MANY_SYMBOLS and up_sec > QUIET_SEC_MAX:
        seen = f"{seen}, {span(up_sec)} ago, on any of {subscribed:,} symbols"
        yield Finding(Verdict.FAILING, Trouble.NO_PUSH, seen)
    else:
        yield Finding(Verdict.UNPROVEN, Trouble.NO_PUSH_YET, f"{seen}: no evidence yet")


def _evidence(state: RecorderState) -> Iterator[Finding]:
    """Has any tick been stored since the start? A fetched one counts: it takes the same path."""
    session = state.session
    if not session.connected or session.subscribed == 0 or state.writer.counters.rows:
        return
    if state.frames:
        yield Finding(Verdict.UNPROVEN, Trouble.NOTHING_STORED_YET, "ticks are arriving but none is stored yet")
    elif _trading_sec(state) is None or session.last_push_age_sec is not None:
        seen = f"link up, but no tick has come since the start: no evidence yet ({market_text(state)})"
        yield Finding(Verdict.UNPROVEN, Trouble.NO_TICK_YET, seen)


def _clock(state: RecorderState) -> Iterator[Finding]:
    """Is the host's clock right?"""
    offset_ms = state.session.clock_offset_ms
    if offset_ms is not None and abs(offset_ms) > OFFSET_MS_MAX:
        seen = f"clock {abs(offset_ms) / 1000:,.1f} s {'behind' if offset_ms > 0 else 'ahead of'} OpenD's"
        yield Finding(Verdict.DEGRADED, Trouble.CLOCK_OFF, seen)


def _answers(state: RecorderState) -> Iterator[Finding]:
    """Does OpenD answer the other requests? Without the answers, no loss is found and no day is proven."""
    session = state.session
    if not session.connected:
        return
    if session.polls_failed >= POLLS_FAILED_MAX:
        seen = f"{count(session.polls_failed, 'poll')} in a row not answered ({excerpt(session.poll_fault)})"
        yield Finding(Verdict.DEGRADED, Trouble.UNANSWERED, f"{seen}: a push that never comes is not found")
    if session.totals_failed >= TOTALS_FAILED_MAX:
        times, why = count(session.totals_failed, "time"), excerpt(session.totals_fault)
        seen = f"the exchange's totals not available {times} in a row ({why}): nothing proves what is stored"
        yield Finding(Verdict.DEGRADED, Trouble.UNANSWERED, seen)
    for asked, cost in _UNANSWERED.items():
        if asked in session.unanswered:
            seen = f"OpenD does not say {cost} ({excerpt(session.unanswered[asked])})"
            yield Finding(Verdict.DEGRADED, Trouble.UNANSWERED, seen)


_UNANSWERED = {  # the other requests; each is repeated within a minute
    "state": "whether the market is open: the clock has to do",
    "quota": "how much quota is left: what it refuses is named",
    "trade_dates": "which days are trade dates: a half day is not known",
}


def _premises(state: RecorderState) -> Iterator[Finding]:
    """Do the premises hold? What depends on a failed premise is switched off for its symbol."""
    failed = state.writer.counters.premises_failed
    if failed:
        yield Finding(Verdict.DEGRADED, Trouble.PREMISE_FAILED, f"{count(failed, 'premise')} failed since the start")


_RULES = (_link, _away, _outage, _pushes, _evidence, *STORING_RULES, _symbols, _answers, _premises, _clock)


# ---- the market's hours


def is_open(state: RecorderState) -> bool:
    """Whether trades may come; by the clock if the recorder does not report it."""
    told = state.market.is_open
    return told if told is not None else _since_continuous_ms(state) is not None


def _trading_sec(state: RecorderState) -> float | None:
    """Seconds of continuous trading so far; None: no trades are expected (auction, lunch, night, holiday).

    OpenD's state may be late: of its state and the clock, the later beginning and the earlier end count.
    """
    market = state.market
    if market.is_open is False or (market.source == "opend" and market.state not in CONTINUOUS):
        return None
    since_ms = _since_continuous_ms(state)
    if since_ms is not None:
        return since_ms / 1000
    if market.source != "opend" or _since_continuous_ms(state, WORD_LATE_MS) is not None:
        return None
    return float("inf")  # simulated or replayed: its trading hours are not those of our clock


def _since_continuous_ms(state: RecorderState, late_ms: int = 0) -> int | None:
    """`since_continuous_ms` at the time of the report."""
    return since_continuous_ms(state.at_ms or 0, late_ms)


def market_text(state: RecorderState) -> str:
    """Whether the market is open, and what OpenD says of it."""
    market = state.market
    word = f", OpenD says {excerpt(market.state)}" if market.state and market.source == "opend" else ""
    return f"market {'open' if is_open(state) else 'closed'}{word}"


def _uptime_sec(state: RecorderState) -> float:
    if state.uptime_sec is not None:
        return state.uptime_sec
    return ((state.at_ms or 0) - state.started_ms) / 1000 if state.started_ms is not None else 0.0
