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

from enum import StrEnum
from typing import TYPE_CHECKING, Any, NamedTuple

from hk_tick_collector.hktime import CONTINUOUS, EPOCH_MS_MAX, EPOCH_MS_MIN, hk_text, since_continuous_ms
from hk_tick_collector.words import counted, excerpt, size, span

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

WRITER_SILENT_SEC_MAX = 30.0  # it says something each second, and while it waits for a lock each few seconds
EXCEPTION_SEC_MAX = 60.0  # a fault that goes on comes back each PERSIST_RETRY_BACKOFF_MAX_SEC and busy timeout
LAG_MS_MAX = 5_000
WAL_HELD_SEC_MAX = 60.0
CLOCK_OFFSET_MS_MAX = 3_000  # it is measured to about a second

WORD_LATE_MS = 600_000  # OpenD's word is asked for once a minute, and believed for some minutes

NAMES_SHOWN = 3


class Verdict(StrEnum):
    """How it is; the later ones outweigh the ones before."""

    OK = "ok"
    DEGRADED = "degraded"
    UNPROVEN = "unproven"
    FAILING = "failing"


class Health(NamedTuple):
    """A verdict, and what led to it, the worst first; without a reason only where it is ok."""

    verdict: Verdict
    reasons: tuple[str, ...]


class _Finding(NamedTuple):
    verdict: Verdict
    reason: str


_WEIGHTS = {verdict: weight for weight, verdict in enumerate(Verdict)}


def judge(state: Mapping[str, Any], now_ms: int | None = None) -> Health:
    """Judge a recorder by what it says of itself.

    Args:
        state: the object of `recorder.json`; {} where there is none.
        now_ms: UTC epoch ms, for telling how old that is; None: it is of now.
    """
    found = list(_presence(state, now_ms)) or [finding for rule in _RULES for finding in rule(state)]
    found.sort(key=lambda finding: -_WEIGHTS[finding.verdict])
    return Health(found[0].verdict if found else Verdict.OK, tuple(finding.reason for finding in found))


def end_text(state: Mapping[str, Any]) -> str:
    """How a recorder that is not running any more has ended, and when, in words.

    A recorder that ends in order says so last. Whoever sees that it is gone (its lock is free) although it has not said
    so puts `died` into the state.
    """
    at_ms = _number(state, "stopped_ms") or _number(state, "at_ms") or 0
    at = f"{hk_text(int(at_ms))[:19]} HK" if EPOCH_MS_MIN <= at_ms < EPOCH_MS_MAX else "an unknown time"
    if state.get("died"):
        return f"did not stop cleanly, last heard of at {at}"
    why = excerpt(state.get("stop_reason") or "")
    rest = "; the next start stores the rest" if state.get("stored") is False else ""
    if why in {"", "SIGTERM", "SIGINT"}:
        return f"stopped cleanly at {at}{rest}"
    return f"stopped by a fault at {at} ({why}){rest}"


def _presence(state: Mapping[str, Any], now_ms: int | None) -> Iterator[_Finding]:
    """Is there a recorder that speaks? If not, whatever it once said is no news."""
    at_ms = _number(state, "at_ms")
    if at_ms is None or not EPOCH_MS_MIN <= at_ms < EPOCH_MS_MAX:
        yield _Finding(Verdict.UNPROVEN, "no recorder has told of itself yet")
        return
    if state.get("running") is False:
        yield _Finding(Verdict.FAILING, f"no recorder is running: {end_text(state)}")
        return
    age_sec = (now_ms - at_ms) / 1000 if now_ms is not None else 0.0
    if age_sec > SILENT_SEC_MAX:
        yield _Finding(Verdict.FAILING, f"the recorder has said nothing for {span(age_sec)}: it hangs, or is gone")
    elif age_sec < -FUTURE_SEC_MAX:
        reason = f"the recorder spoke {span(-age_sec)} in the future: a clock was set, so its age can't be told"
        yield _Finding(Verdict.UNPROVEN, reason)


def _link(state: Mapping[str, Any]) -> Iterator[_Finding]:
    """Is OpenD there, logged in, and are the symbols subscribed?"""
    session = part_of(state, "session")
    uptime_sec = _uptime_sec(state)
    serious = Verdict.FAILING if _is_open(state) else Verdict.DEGRADED
    if not session.get("connected"):
        yield from _down(state, session, uptime_sec, serious)
        return
    unheard_sec = _number(session, "last_heard_age_sec")
    if unheard_sec is not None and unheard_sec > UNHEARD_SEC_MAX:
        yield _Finding(serious, f"OpenD is connected and has sent nothing for {span(unheard_sec)}, not even an answer")
    if session.get("qot_logined") is False:
        yield _Finding(serious, "OpenD is not logged in to the quote server: no tick comes until it is")
    since_ms, at_ms = _number(session, "since_ms"), _number(state, "at_ms") or 0
    if session.get("subscribed") == 0:
        up_sec = (at_ms - since_ms) / 1000 if since_ms else uptime_sec
        if up_sec > SUBSCRIBE_SEC_MAX:
            yield _Finding(serious, f"no symbol is subscribed, {span(up_sec)} after OpenD was connected")
        else:
            yield _Finding(Verdict.UNPROVEN, "OpenD is connected, and no symbol is subscribed yet")


def _down(
    state: Mapping[str, Any], session: Mapping[str, Any], uptime_sec: float, serious: Verdict
) -> Iterator[_Finding]:
    was_up = bool(_number(session, "connects"))
    told_sec = _number(session, "down_sec")
    down_sec = uptime_sec if told_sec is None else told_sec
    closed = "" if _is_open(state) else f" ({_market_text(state)})"
    why = excerpt(session.get("last_disconnect") or "no answer yet")
    reason = f"OpenD not connected for {span(down_sec)}: {why}{closed}"
    if down_sec <= DOWN_SEC_MAX:
        serious = Verdict.DEGRADED
    if not was_up and serious is Verdict.DEGRADED:
        serious = Verdict.UNPROVEN
    yield _Finding(serious, reason)


def _outage(state: Mapping[str, Any]) -> Iterator[_Finding]:
    """Will what is missed now be had when it is over? An estimate; whether anything is missing is measured then."""
    told = part_of(state, "outage")
    past, first_ms = _number(told, "past"), _number(told, "first_deadline_ms")
    if past:
        names = told.get("past_symbols")
        shown = ", ".join(excerpt(name) for name in (names[:NAMES_SHOWN] if isinstance(names, list) else []))
        reason = f"by estimate {_count(past, 'symbol')} can no longer be made good: {shown}"
        rest = f" and {past - NAMES_SHOWN:,.0f} more" if past > NAMES_SHOWN else ""
        yield _Finding(Verdict.FAILING if _is_open(state) else Verdict.DEGRADED, reason + rest)
    elif first_ms is not None and EPOCH_MS_MIN <= first_ms < EPOCH_MS_MAX:
        until = hk_text(int(first_ms))[11:19]
        yield _Finding(Verdict.DEGRADED, f"by estimate all that is missed can be made good until {until} HK")


def _symbols(state: Mapping[str, Any]) -> Iterator[_Finding]:
    """Is anything that was asked for not recorded?"""
    session = part_of(state, "session")
    refused = session.get("refused")
    if isinstance(refused, dict) and refused:
        shown = ", ".join(f"{excerpt(name)} ({excerpt(why)})" for name, why in list(refused.items())[:NAMES_SHOWN])
        yield _Finding(Verdict.DEGRADED, f"{_count(refused, 'symbol')} refused: {shown}{_rest(refused)}")
    left_out = session.get("left_out")
    if isinstance(left_out, list) and left_out:
        shown = ", ".join(excerpt(name) for name in left_out[:NAMES_SHOWN])
        yield _Finding(Verdict.DEGRADED, f"{_count(left_out, 'symbol')} without quota: {shown}{_rest(left_out)}")


def _pushes(state: Mapping[str, Any]) -> Iterator[_Finding]:
    """Do ticks come, where some must? Fetched ticks are no sign of it: they may be old, and the pushes fail."""
    session = part_of(state, "session")
    since_sec = _trading_sec(state)
    if since_sec is None or not session:
        return
    frames = _number(state, "frames") or 0.0
    push_sec = _number(session, "last_push_age_sec")
    is_proven_open = part_of(state, "market").get("source") == "opend"
    if push_sec is not None:
        quiet_sec = min(push_sec, since_sec)
        usual_sec = _uptime_sec(state) / frames if frames else quiet_sec
        if quiet_sec > max(QUIET_SEC_MAX, QUIET_GAPS * usual_sec):
            if is_proven_open:
                yield _Finding(Verdict.FAILING, f"no push for {span(quiet_sec)} while the market is open")
            else:
                reason = f"no push for {span(quiet_sec)}; it is trading time, but OpenD has not said that it trades"
                yield _Finding(Verdict.UNPROVEN, reason)
        return
    if not session.get("connected"):
        return
    reason = "no push since the start while the market is open"
    up_sec = min(since_sec, _uptime_sec(state))
    subscribed = _number(session, "subscribed") or 0
    if is_proven_open and _number(session, "resubscribes"):
        yield _Finding(Verdict.FAILING, f"{reason}, though fetched ticks show trades: restart OpenD")
    elif is_proven_open and subscribed >= MANY_SYMBOLS and up_sec > QUIET_SEC_MAX:
        yield _Finding(Verdict.FAILING, f"{reason}, {span(up_sec)} ago, on any of {subscribed:,.0f} symbols")
    else:
        yield _Finding(Verdict.UNPROVEN, f"{reason}: no evidence yet")


def _evidence(state: Mapping[str, Any]) -> Iterator[_Finding]:
    """Has any tick gone all the way since the start? A fetched one will do: it took the same way."""
    if not part_of(state, "session").get("connected") or _number(part_of(state, "writer"), "rows"):
        return
    if _number(state, "frames"):
        yield _Finding(Verdict.UNPROVEN, "ticks come, and none is stored yet")
    elif _trading_sec(state) is None or _number(part_of(state, "session"), "last_push_age_sec") is not None:
        reason = f"link up, but no tick has come since the start: no evidence yet ({_market_text(state)})"
        yield _Finding(Verdict.UNPROVEN, reason)


def _journal(state: Mapping[str, Any]) -> Iterator[_Finding]:
    """Does the disk take what comes?"""
    journal = part_of(state, "journal")
    held = _number(journal, "buffered_bytes") or 0
    fault = f": {excerpt(journal['fault'])}" if journal.get("fault") else ""
    if journal.get("is_full"):
        reason = f"journal full{fault}; {size(held)} held in memory, and nothing is read from OpenD: make space"
        yield _Finding(Verdict.FAILING, reason)
    elif fault:
        reason = f"journal can't be written{fault}; {size(held)} held in memory: make space"
        yield _Finding(Verdict.FAILING, reason)


def _writer(state: Mapping[str, Any]) -> Iterator[_Finding]:
    """Are rows being stored? A commit that is long past says nothing by itself: maybe there was nothing to commit."""
    writer, watchdog = part_of(state, "writer"), part_of(state, "watchdog")
    if watchdog.get("is_stalled"):
        failed = _number(watchdog, "recoveries_failed") or 0
        why = excerpt(watchdog.get("last_reason") or "nothing is stored")
        yield _Finding(
            Verdict.FAILING, f"storing is stalled: {why} ({failed:,.0f} recoveries failed so far){_waiting(state)}"
        )
    silent_sec = _number(writer, "last_alive_age_sec")
    if silent_sec is None and (_number(state, "uptime_sec") or 0) > WRITER_SILENT_SEC_MAX:
        yield _Finding(Verdict.FAILING, f"writer: none has begun to store since the start{_waiting(state)}")
    if silent_sec is not None and silent_sec > WRITER_SILENT_SEC_MAX:
        yield _Finding(Verdict.FAILING, f"writer: no sign of life for {span(silent_sec)}{_waiting(state)}")
    exception_sec, commit_sec = _number(writer, "last_exception_age_sec"), _number(writer, "last_commit_age_sec")
    if exception_sec is not None and exception_sec <= EXCEPTION_SEC_MAX:
        failures = _number(writer, "errors") or 1
        reason = f"writer: {excerpt(writer.get('last_exception') or 'fails')} ({_count(failures, 'failure')})"
        if commit_sec is not None and commit_sec < exception_sec:
            yield _Finding(Verdict.DEGRADED, f"{reason}, {span(exception_sec)} ago; it stores again")
        elif _waiting(state):
            yield _Finding(Verdict.FAILING, f"{reason}{_waiting(state)}")
    lag_ms = _number(writer, "lag_ms")
    # The lag is that of the last commit: at night it is as old as the last tick.
    is_fresh = commit_sec is None or commit_sec <= WRITER_SILENT_SEC_MAX
    if lag_ms is not None and lag_ms > LAG_MS_MAX and is_fresh and _waiting(state):
        yield _Finding(Verdict.DEGRADED, f"writer: {span(lag_ms / 1000)} behind{_waiting(state)}")


def _waits(state: Mapping[str, Any]) -> Iterator[_Finding]:
    """Is there a day whose database can't be written? It has a place of its own in the journal; all others go on."""
    writer = part_of(state, "writer")
    told = writer.get("waits")
    waits = [wait for wait in told if isinstance(wait, dict)] if isinstance(told, list) else []
    for wait in waits[:NAMES_SHOWN]:
        is_today = wait.get("is_today") is True
        what = "today is not stored" if is_today else f"{excerpt(wait.get('day'))} waits, all other days are stored"
        if wait.get("is_catching_up"):
            what = f"{'today' if is_today else excerpt(wait.get('day'))} is being caught up from the journal"
        yield _Finding(Verdict.FAILING if is_today else Verdict.DEGRADED, f"{what}: {excerpt(wait.get('reason'))}")
    more = (_number(writer, "days_waiting") or 0) - min(len(waits), NAMES_SHOWN)
    if more > 0:
        yield _Finding(Verdict.DEGRADED, f"{_count(more, 'more day')} waiting: see day_waits in the log")


def _wal(state: Mapping[str, Any]) -> Iterator[_Finding]:
    """Does somebody's open query make the log of the database grow?"""
    writer = part_of(state, "writer")
    held_sec = _number(writer, "wal_held_sec")
    if held_sec is not None and held_sec >= WAL_HELD_SEC_MAX:
        held = size(_number(writer, "wal_bytes") or 0)
        reason = f"a reader keeps the WAL from being emptied for {span(held_sec)}, {held}: find the long query, end it"
        yield _Finding(Verdict.DEGRADED, reason)


def _clock(state: Mapping[str, Any]) -> Iterator[_Finding]:
    """Does the host know what time it is?"""
    offset_ms = _number(part_of(state, "session"), "clock_offset_ms")
    if offset_ms is not None and abs(offset_ms) > CLOCK_OFFSET_MS_MAX:
        seen = f"clock {abs(offset_ms) / 1000:,.1f} s {'behind' if offset_ms > 0 else 'ahead of'} OpenD's"
        yield _Finding(Verdict.DEGRADED, f"{seen}: look at the time service of both hosts")


def _premises(state: Mapping[str, Any]) -> Iterator[_Finding]:
    """Does OpenD do what conclusions rest on? What depends on a premise that failed is switched off for its symbol."""
    failed = _number(part_of(state, "writer"), "premises_failed")
    if failed:
        reason = f"{_count(failed, 'premise')} failed since the start: see premise_failed in the log, and audit"
        yield _Finding(Verdict.DEGRADED, reason)


_RULES = (_link, _outage, _pushes, _evidence, _journal, _writer, _waits, _wal, _symbols, _premises, _clock)


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
    return since_continuous_ms(int(_number(state, "at_ms") or 0), late_ms)


def _market_text(state: Mapping[str, Any]) -> str:
    market = part_of(state, "market")
    word = f", OpenD says {excerpt(market['state'])}" if market.get("state") and market.get("source") == "opend" else ""
    return f"market {'open' if _is_open(state) else 'closed'}{word}"


# ---- values, which may be absent or of any type, and words


def part_of(state: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """A part of `recorder.json`; {} where there is none."""
    part = state.get(name)
    return part if isinstance(part, dict) else {}


def _number(values: Mapping[str, Any], name: str) -> float | None:
    value = values.get(name)
    return value if isinstance(value, int | float) and not isinstance(value, bool) else None


def _uptime_sec(state: Mapping[str, Any]) -> float:
    uptime_sec = _number(state, "uptime_sec")
    if uptime_sec is not None:
        return uptime_sec
    at_ms, started_ms = _number(state, "at_ms") or 0.0, _number(state, "started_ms")
    return (at_ms - started_ms) / 1000 if started_ms is not None else 0.0


def _waiting(state: Mapping[str, Any]) -> str:
    """What is received and not stored, as the end of a sentence; empty if there is nothing."""
    journal = part_of(state, "journal")
    rows, size_bytes = _number(journal, "backlog_rows"), _number(journal, "backlog_bytes")
    if rows:
        return f", {rows:,.0f} rows waiting"
    return f", {size(size_bytes)} waiting" if size_bytes else ""


def _count(what: Any, name: str) -> str:  # noqa: ANN401 - a collection or a number
    return counted(int(what) if isinstance(what, int | float) else len(what), name)


def _rest(what: Any) -> str:  # noqa: ANN401
    return f" and {len(what) - NAMES_SHOWN:,} more" if len(what) > NAMES_SHOWN else ""
