"""The three answers that an operator wants: does it record now, was anything lost today, and what is there to do?

Owns how the recorder's report, its health and the day's losses become three answers in words. Pure. Invariants: no
answer soothes (what is not known is called unknown), and what is there to do is never empty while the verdict is not
`ok`.
"""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Final, NamedTuple

from hk_tick_collector.hktime import hk_midnight_ms, may_trade_between, plausible_text
from hk_tick_collector.status.findings import Verdict, named
from hk_tick_collector.status.health import Machine, assess, is_open, market_text, reason_text, report_age_sec
from hk_tick_collector.status.health_storing import is_full
from hk_tick_collector.status.lost import doubt_text, lost_text
from hk_tick_collector.status.trouble_table import cure, effect
from hk_tick_collector.status.troubles import Effect, Trouble
from hk_tick_collector.text import counted

if TYPE_CHECKING:
    from hk_tick_collector.status.findings import Finding
    from hk_tick_collector.status.health import Health
    from hk_tick_collector.status.lost import Lost
    from hk_tick_collector.status.outlook import Outlook
    from hk_tick_collector.status.state import RecorderState

NOTHING: Final = "nothing"
TRY: Final = "To try without OpenD: `hk-tick-collector simulate --now`"
_ABSENT: Final = frozenset(
    {Trouble.NO_REPORT, Trouble.NOT_RUNNING, Trouble.ENDED, Trouble.NOT_RUNNING_FULL, Trouble.WRONG_SETTING}
)
_UNHEARD: Final = frozenset({Trouble.NOT_REPORTED, Trouble.SILENT, Trouble.SILENT_FULL, Trouble.FROM_THE_FUTURE})
# The outage itself, whose cure is that of its cause.
_OUTAGE: Final = frozenset({Trouble.LOSING_TICKS, Trouble.STREAM_INTERRUPTED})


class Recording(StrEnum):
    """Whether ticks are recorded now.

    YES: they are, or would be if the market were open. DELAYED: they are kept in the journal, and not in the database
    yet. UNPROVEN: nothing has shown it yet. NO: ticks that come now are missed. UNKNOWN: the report is stale.
    """

    YES = "yes"
    DELAYED = "delayed"
    UNPROVEN = "unproven"
    NO = "no"
    UNKNOWN = "unknown"


class Losses(NamedTuple):
    """What was lost on a day, as far as that can be read.

    Attributes:
        lost: its gaps and doubts; None: none are known.
        fault: why they can't be read; "": they could.
    """

    lost: Lost | None = None
    fault: str = ""


class Answers(NamedTuple):
    """The three answers.

    Attributes:
        recording: the first, in a word.
        records: the first, in words.
        lost: the second, in words, the gravest first.
        is_lost: whether something is lost for good, or being lost by estimate.
        to_do: the third: what to do, the most urgent first; (): nothing.
        lost_now: the text in `lost` that is about now and not about the day; "": there is none.
    """

    recording: Recording
    records: str
    lost: tuple[str, ...]
    is_lost: bool
    to_do: tuple[str, ...]
    lost_now: str = ""


def answer(
    state: RecorderState,
    losses: Losses,
    now_ms: int,
    machine: Machine = Machine(),  # noqa: B008 - it can't change
    rows: int | None = None,
    last_tick_ms: int | None = None,
) -> tuple[Answers, Health]:
    """The answers, and the health that they rest on.

    Args:
        state: the recorder's report.
        losses: of the day.
        now_ms: UTC epoch ms.
        machine: what is known of this machine.
        rows: ticks stored of the day; None: not known.
        last_tick_ms: the newest tick stored, UTC epoch ms; None: not known.
    """
    health = assess(state, now_ms, machine)
    main = _main(health.findings)
    recording, records = _records(state, main, report_age_sec(state.at_ms or 0, now_ms, machine), rows)
    at_risk = _at_risk(state, recording, now_ms, last_tick_ms)
    lost, lost_now, is_lost = _lost(state, losses, recording, now_ms, at_risk)
    to_do = _to_do(health.findings, None if recording is Recording.YES else main, machine)  # not named above
    if losses.fault and not is_full(state):  # without space SQLite can't even read; what to do about that is said
        to_do += (f"{losses.fault}. {cure(Trouble.DAY_UNREADABLE)}",)
    if main is not None and main.trouble is Trouble.OPEND_DOWN and not state.session.connects and rows == 0:
        to_do += (TRY,)
    return Answers(recording, records, lost, is_lost, to_do, lost_now), health


def headline(state: RecorderState, health: Health, now_ms: int) -> str:
    """The first answer and its cure in one line, for the supervisor; empty while ticks are recorded."""
    main = _main(health.findings)
    recording, records = _records(state, main, report_age_sec(state.at_ms or 0, now_ms, Machine()), None)
    if recording is Recording.YES or main is None:
        return ""
    return f"{records}. {cure(main.trouble)}"


def _main(findings: tuple[Finding, ...]) -> Finding | None:
    """The finding that decides whether ticks are recorded; None: they are."""
    for finding in findings:
        if finding.trouble in _UNHEARD:
            return finding
    for wanted in (Effect.STOPPED, Effect.DELAYED):
        for finding in findings:
            if _effect(finding) is wanted:
                return finding
    return next((finding for finding in findings if finding.verdict is Verdict.UNPROVEN), None)


def _effect(finding: Finding) -> Effect:
    """What a finding does to the recording, of which the verdict decides a part."""
    found = effect(finding.trouble)
    if finding.trouble is Trouble.CATCHING_UP and finding.verdict is Verdict.FAILING:  # today's
        return Effect.DELAYED
    if found is Effect.DELAYED and finding.verdict is Verdict.DEGRADED:  # a few ticks, or it is over
        return Effect.NONE
    return found


# ---- does it record now?


def _records(state: RecorderState, main: Finding | None, age_sec: float, rows: int | None) -> tuple[Recording, str]:
    what = Effect.NONE if main is None else _effect(main)
    found, word = Recording.YES, ""
    if main is not None and main.trouble in _ABSENT:
        found, word = Recording.NO, "NO"
    elif main is not None and main.trouble in _UNHEARD:
        found, word = Recording.UNKNOWN, "UNKNOWN"
    elif main is not None and main.verdict is Verdict.UNPROVEN:
        found = Recording.NO if what is Effect.STOPPED else Recording.UNPROVEN
        word = "NOT YET" if what is Effect.STOPPED else "NOT PROVEN YET"
    elif what is Effect.STOPPED:
        found, word = Recording.NO, _stopped(state)
    elif what is Effect.DELAYED:
        found, word = Recording.DELAYED, "YES, but not into the database yet"
    return found, f"{word}: {main.seen}" if main is not None and word else _well(state, age_sec, rows)


def _stopped(state: RecorderState) -> str:
    """How grave it is that no tick comes in, and since when."""
    if not is_open(state):
        return "NO, but the market is closed"
    since = _since_text(state)
    return f"{'LOSING TICKS' if _is_losing(state.outage) else 'NOT RECORDING'}{since}"


def _since_text(state: RecorderState) -> str:
    away, outage, down_sec = state.session.away, state.outage, state.session.down_sec
    since_ms = away.since_ms if away else None
    if since_ms is None and outage is not None:
        since_ms = outage.since_ms
    if since_ms is None and down_sec is not None and state.at_ms is not None:
        since_ms = state.at_ms - round(down_sec * 1000)
    text = plausible_text(since_ms)
    return f" since {text[11:19]} HK" if text else ""


def _is_losing(outage: Outlook | None) -> bool:
    return outage is not None and outage.past > 0


def _well(state: RecorderState, report_sec: float, rows: int | None) -> str:
    """What is recorded, while it is."""
    subscribed = state.session.subscribed or 0
    wanted = subscribed + len(state.session.left_out or ()) + len(state.session.refused or ())
    symbols = counted(wanted, "symbol") if wanted == subscribed else f"{subscribed:,} of {counted(wanted, 'symbol')}"
    if not is_open(state):
        stored = "" if rows is None else f"; {counted(rows, 'tick')} stored"
        return f"READY: {symbols} subscribed, {market_text(state)}{stored}"
    parts = [f"YES: {symbols}"]
    if rows is not None:
        parts.append(f"{counted(rows, 'tick')} stored")
    if state.session.last_push_age_sec is not None and state.at_ms is not None:
        age_sec = report_sec + state.session.last_push_age_sec
        parts.append(f"last push {max(0.0, age_sec):,.0f} s ago")
    if state.outage is not None:
        parts.append("fetching what was missed")
    return ", ".join(parts)


# ---- was anything lost?


def _lost(
    state: RecorderState, losses: Losses, recording: Recording, now_ms: int, at_risk: str
) -> tuple[tuple[str, ...], str, bool]:
    """The second answer, its text about now, and whether something is lost."""
    said, known, now = [], lost_text(losses.lost), ""
    if losses.fault:
        last = lost_text(state.lost_today)
        as_of = f"; by the recorder's last report: {last}" if last else ""
        said.append(f"can't be known now: {losses.fault}{as_of}")
    elif known:
        said.append(known)
    if losses.lost is not None and losses.lost.no_ledger:
        said.append(f"can't be known: {losses.lost.no_ledger}")
    is_reporting = recording is not Recording.UNKNOWN and state.running is not False
    outage = state.outage if is_reporting else None
    if outage is not None and outage.past > 0:
        symbols = f"ticks of {counted(outage.past, 'symbol')} ({named(outage.past_symbols, outage.past)})"
        when = "being lost now, by estimate" if recording is Recording.NO else "by estimate, counted soon"
        now = f"{when}: {symbols}"
    elif outage is not None and outage.first_deadline_ms is not None and outage.first_deadline_ms > now_ms:
        until = plausible_text(outage.first_deadline_ms)[11:19]
        first = f" ({outage.symbols[0].symbol} first)" if outage.symbols else ""
        so_far = "no more" if known else "nothing lost yet"
        now = f"{so_far}, if the stream is back before {until} HK, by estimate{first}"
    else:
        now = at_risk
    if now:
        said.append(now)
    elif not said:
        said.append("nothing so far")
    if doubted := doubt_text(losses.lost):
        said.append(f"not decided yet: whether ticks are missing of {doubted}")
    return tuple(said), now, bool(known) or _is_losing(outage)


def _at_risk(state: RecorderState, recording: Recording, now_ms: int, last_tick_ms: int | None) -> str:
    """What may be lost while nothing is recorded and no estimate is known; empty: nothing."""
    if recording not in {Recording.NO, Recording.UNKNOWN}:
        return ""
    if state.running is not False and recording is Recording.NO:
        said = "not known yet: OpenD replays only the last ticks of each symbol, once the stream is back"
        return said if is_open(state) else ""
    last_ms = next((ms for ms in (state.stopped_ms, state.at_ms, last_tick_ms) if plausible_text(ms)), None)
    since_ms = hk_midnight_ms(now_ms) if last_ms is None else last_ms
    if not may_trade_between(since_ms, max(now_ms, since_ms)):
        return ""
    text = plausible_text(last_ms)
    since = f"since {text[:19]} HK" if text else "so far"
    return f"not known: what was traded {since}, beyond the last 1000 ticks of a symbol, which can be fetched"


# ---- what is there to do?


def _to_do(findings: tuple[Finding, ...], main: Finding | None, machine: Machine) -> tuple[str, ...]:
    """The cures: of the main trouble alone, as it has been named already; of all others with what was seen."""
    is_named = main is not None and any(effect(one.trouble) is Effect.STOPPED for one in findings)
    said: list[str] = [] if main is None else [cure(main.trouble, machine.start, machine.root)]
    for finding in findings:
        if finding is main or (is_named and finding.trouble in _OUTAGE):
            continue
        said.append(reason_text(finding, machine))
    return tuple(dict.fromkeys(said))
