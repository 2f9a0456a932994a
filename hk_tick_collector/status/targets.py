"""The acceptance targets (docs/contract.md): whether a recorder does what a deploy promises.

Owns the targets and their limits, and what is not judged while the market is closed. Never reads a file or a clock:
what was seen comes from `evidence`. Invariant: nothing is accepted without evidence. If there is none because nothing
is traded, the finding reports that and fails nothing. If no recorder reports, the target `recorder` is missed, and what
only a recorder could show is not judged.
"""

from __future__ import annotations

from enum import StrEnum
from math import inf
from typing import TYPE_CHECKING, Any, NamedTuple

from hk_tick_collector.hktime import since_continuous_ms, utc_text
from hk_tick_collector.opend.market import CONTINUOUS
from hk_tick_collector.status.findings import Verdict
from hk_tick_collector.status.health_session import down_trouble, none_subscribed
from hk_tick_collector.status.trouble_table import START, cure
from hk_tick_collector.status.troubles import Trouble

if TYPE_CHECKING:
    from collections.abc import Mapping

    from hk_tick_collector.status.state import RecorderState

SKEW_SEC = 60.0
BUSY_TIMEOUT_MS_MIN = 1000
STATE_AGE_SEC_MAX = 30.0  # recorder.json is written every 2 s; a recorder that is silent for longer hangs
WRITER_AGE_SEC_MAX = 30.0

_NO_WORD = "no recorder that speaks"
WORD_AGE_MS_MAX = 90_000  # the recorder asks OpenD for the market's state every 60 s


class Outcome(StrEnum):
    """What became of a target."""

    OK = "ok"
    MISSED = "MISSED"
    UNJUDGED = "not judged"


class Day(NamedTuple):
    """The newest day database: from its file and its rows."""

    name: str
    rows: int
    max_ts_ms: int | None
    journal_mode: str
    is_sealed: bool = False


class Pragmas(NamedTuple):
    """The pragmas of the writer's own connection, and where they were read."""

    busy_timeout_ms: int
    source: str
    journal_mode: str | None = None


class LogSeen(NamedTuple):
    """What a log says: how often each `WATCHDOG` event came since `since_ms`."""

    source: str
    since_ms: int
    watchdog: Mapping[str, int]


class Evidence(NamedTuple):
    """One look at a DATA_ROOT and at the processes that work on it.

    Attributes:
        now_ms: the host's clock.
        lock_pid: the process that holds the recorder's lock; None: no process does.
        state: the recorder's report in recorder.json; None if there is none.
        health: the health verdict, in a word, and its reasons.
        day, day_fault: the newest database (None: there is none), and why it could not be read.
        pragmas, log: None if they are not known.
        root, start: the DATA_ROOT, as a person writes it, and how a recorder is started there.
        restarts: how often systemd restarted the unit by itself; None: there is no unit.
        report_age_sec: how old the report is; None: as its own time says.
    """

    now_ms: int
    lock_pid: int | None
    state: RecorderState | None
    health: tuple[str, tuple[str, ...]]
    day: Day | None = None
    day_fault: str | None = None
    pragmas: Pragmas | None = None
    log: LogSeen | None = None
    restarts: int | None = None
    root: str = "this DATA_ROOT"
    start: str = START
    report_age_sec: float | None = None


class Market(NamedTuple):
    """Whether ticks must come now, and how that is known."""

    flows: bool
    why: str


class Finding(NamedTuple):
    """One target: its outcome, what was seen, what was expected; and what is wrong if it is missed.

    `trouble` is None for health, whose reasons have their cures in them.
    """

    target: str
    outcome: Outcome
    seen: str
    expected: str
    trouble: Trouble | None = None


class Report(NamedTuple):
    """All findings of one verification, and the figures that the contract names."""

    first: Evidence
    last: Evidence
    market: Market
    findings: tuple[Finding, ...]

    @property
    def accepted(self) -> bool:
        """Whether no target was missed."""
        return not self.missed

    @property
    def missed(self) -> list[Finding]:
        """The targets that were missed."""
        return [finding for finding in self.findings if finding.outcome is Outcome.MISSED]

    @property
    def unjudged(self) -> list[Finding]:
        """The targets that could not be judged, and need not be."""
        return [finding for finding in self.findings if finding.outcome is Outcome.UNJUDGED]

    def complaint(self) -> str:
        """What is wrong and what to do, in one line; a recorder that does not run comes first."""
        return "; ".join(self._complaint(finding) for finding in self.missed)

    def _complaint(self, finding: Finding) -> str:
        advice = f". {cure(finding.trouble, self.last.start)}" if finding.trouble is not None else ""
        if finding.trouble is Trouble.SILENT and self.last.health[1]:
            advice = f". {self.last.health[1][0]}"  # it knows more: a full disk keeps the recorder from reporting, too
        if finding.trouble is Trouble.NOT_RUNNING:
            return f"{finding.seen}{advice}"
        return f"{finding.target}: {finding.seen}; expected {finding.expected}{advice}"

    def figures(self) -> dict[str, Any]:
        """The figures, by the contract's names first. None: not known."""
        last = self.last
        day, pragmas, log = last.day, last.pragmas, last.log
        return {
            "now_utc": utc_text(last.now_ms),
            "max_ts_utc": utc_text(day.max_ts_ms) if day and day.max_ts_ms is not None else None,
            "max_minus_now_sec": _skew_sec(last),
            "rows": day.rows if day else None,
            "rows_before": self.first.day.rows if self.first.day else None,
            "rows_before_utc": utc_text(self.first.now_ms),
            "day": day.name if day else None,
            "market": self.market.why,
            "journal_mode": day.journal_mode if day else None,
            "busy_timeout": pragmas.busy_timeout_ms if pragmas else None,
            "busy_timeout_source": pragmas.source if pragmas else None,
            "watchdog_persistent_stall": log.watchdog.get("persistent_stall", 0) if log else None,
            "watchdog_recovery_triggered": log.watchdog.get("recovery_triggered", 0) if log else None,
            "watchdog_systemd_timeout": log.watchdog.get("systemd_timeout", 0) if log else None,
            "watchdog_since_utc": utc_text(log.since_ms) if log else None,
            "watchdog_source": log.source if log else None,
            "unit_restarts": last.restarts,
            "health": last.health[0],
            "health_reasons": list(last.health[1]),
            "version": last.state.version or None if last.state else None,
            "pid": last.lock_pid,
        }


def market_of(evidence: Evidence, *, told: bool | None = None) -> Market:
    """Whether the market is in continuous trading.

    The recorder reports OpenD's state, which knows holidays and half days; without it the clock decides.

    Args:
        evidence: the look to judge by.
        told: the operator's answer, which overrides all else; None: not given.
    """
    if told is not None:
        return Market(told, f"{'open' if told else 'closed'} (--market)")
    word = evidence.state.market.state if evidence.state else None
    if word and evidence.state and evidence.state.market.source != "clock" and _speaks(evidence):
        if word in CONTINUOUS and _has_just_closed(evidence.now_ms):
            return Market(flows=False, why=f"closed by the clock just now; OpenD's last word is {word}")
        if word in CONTINUOUS:
            return Market(flows=True, why=f"open: OpenD says {word}")
        return Market(flows=False, why=f"closed, or in an auction: OpenD says {word}")
    if _is_continuous(evidence.now_ms):
        return Market(flows=True, why="open by the clock (on a holiday: --market closed)")
    return Market(flows=False, why="closed, or in an auction, by the clock")


def check_targets(first: Evidence, last: Evidence, market: Market, skew_sec: float = SKEW_SEC) -> Report:
    """Check two looks, which may be the same one, against the targets."""
    findings = (
        _recorder(last),
        _opend(last),
        _writer(last),
        _health(last, market),
        _skew(last, market, skew_sec),
        _rows(first, last, market),
        _journal_mode(last, market),
        _busy_timeout(last),
        _watchdog(last),
    )
    return Report(first, last, market, findings)


def is_running(evidence: Evidence) -> bool:
    """Whether a recorder holds the lock."""
    return evidence.lock_pid is not None


def _speaks(evidence: Evidence) -> bool:
    """Whether recorder.json is from the running recorder, and not from one before a crash or a deploy."""
    age_sec = _state_age_sec(evidence)
    is_its_own = is_running(evidence) and evidence.state is not None and evidence.state.pid == evidence.lock_pid
    return is_its_own and age_sec is not None and age_sec <= STATE_AGE_SEC_MAX


def _state_age_sec(evidence: Evidence) -> float | None:
    at_ms = evidence.state.at_ms if evidence.state else None
    if at_ms is not None and evidence.report_age_sec is not None:
        return evidence.report_age_sec
    return None if at_ms is None else (evidence.now_ms - at_ms) / 1000


def _recorder(last: Evidence) -> Finding:
    expected = f"a recorder that runs, and reported in the last {STATE_AGE_SEC_MAX:g} s"
    age_sec = _state_age_sec(last)
    state, trouble = last.state, Trouble.SILENT
    if not is_running(last):
        seen, trouble = f"no recorder is running on {last.root}", Trouble.NOT_RUNNING
    elif state is None:
        seen = f"pid {last.lock_pid} runs, recorder.json is empty"
    elif state.pid != last.lock_pid:
        before = f"pid {state.pid}" if state.pid else "the recorder before"
        seen = f"pid {last.lock_pid} runs, recorder.json is still of {before}"
    elif age_sec is None:
        seen = f"pid {last.lock_pid} runs, recorder.json has no time"
    else:
        seen = f"pid {last.lock_pid}, version {state.version}, last update {age_sec:.1f} s ago"
    return Finding("recorder", Outcome.OK if _speaks(last) else Outcome.MISSED, seen, expected, trouble)


def _opend(last: Evidence) -> Finding:
    """Judged at night, too: a version that can't talk to OpenD must not be discovered at 09:30."""
    expected = "connected, with at least one symbol"
    if not _speaks(last):
        return Finding("opend", Outcome.UNJUDGED, _NO_WORD, expected)
    assert last.state is not None
    session = last.state.session
    symbols = session.subscribed or 0
    if not session.connected:
        seen = f"not connected: {session.last_disconnect or 'no answer yet'}"
        return Finding("opend", Outcome.MISSED, seen, expected, down_trouble(session))
    outcome = Outcome.OK if symbols else Outcome.MISSED
    trouble = none_subscribed(session, Verdict.FAILING, inf).trouble
    return Finding("opend", outcome, f"connected, {symbols} symbols", expected, trouble)


def _writer(last: Evidence) -> Finding:
    """Judged at night, too: a writer that can't begin to store must not be discovered at 09:30."""
    age_sec = last.state.writer.last_alive_age_sec if last.state else None
    expected = f"a writer that gave a sign of life in the last {WRITER_AGE_SEC_MAX:g} s"
    if not _speaks(last):
        return Finding("writer", Outcome.UNJUDGED, _NO_WORD, expected)
    if age_sec is None:
        seen = "none has begun to store since the start"
        return Finding("writer", Outcome.MISSED, seen, expected, Trouble.NO_WRITER)
    outcome = Outcome.OK if age_sec <= WRITER_AGE_SEC_MAX else Outcome.MISSED
    return Finding("writer", outcome, f"a sign of life {age_sec:.1f} s ago", expected, Trouble.WRITER_SILENT)


def _health(last: Evidence, market: Market) -> Finding:
    verdict, reasons = last.health
    seen = ": ".join(part for part in (verdict, "; ".join(reasons)) if part)
    if not _speaks(last):
        return Finding("health", Outcome.UNJUDGED, _NO_WORD, "ok or degraded")
    if verdict in {"ok", "degraded"}:
        outcome = Outcome.OK
    elif verdict == "unproven" and not market.flows:
        outcome = Outcome.UNJUDGED  # without trades nothing could prove it
    else:
        outcome = Outcome.MISSED
    return Finding("health", outcome, seen, "ok or degraded")


def _skew_sec(evidence: Evidence) -> float | None:
    if evidence.day is None or evidence.day.max_ts_ms is None:
        return None
    return round((evidence.day.max_ts_ms - evidence.now_ms) / 1000, 3)


def _skew(last: Evidence, market: Market, skew_sec: float) -> Finding:
    name = "max_minus_now_sec"
    skew = _skew_sec(last)
    least = f"{-skew_sec:g} to " if market.flows else "at most "
    expected = f"{least}{skew_sec:g}"
    if skew is None:
        return _nothing_stored(name, last, market, expected)
    if skew > skew_sec:
        seen = f"{skew:g}: ts_ms is in the future"
        return Finding(name, Outcome.MISSED, seen, expected, Trouble.FUTURE_TICKS)
    if skew < -skew_sec:
        seen = f"{skew:g}{_closed(last, market)}"
        return Finding(name, _unless_quiet(last, market), seen, expected, Trouble.NO_NEW_ROWS)
    return Finding(name, Outcome.OK, f"{skew:g}", expected)


def _rows(first: Evidence, last: Evidence, market: Market) -> Finding:
    expected = "more rows at a second look"
    if last.day is None:
        return _nothing_stored("rows", last, market, expected)
    before = first.day or Day("", 0, None, "")
    seen = f"{before.rows} → {last.day.rows} in {(last.now_ms - first.now_ms) / 1000:.1f} s"
    # By day first: after midnight the newest database is a new one, with fewer rows.
    if (last.day.name, last.day.rows) > (before.name, before.rows) and first is not last:
        return Finding("rows", Outcome.OK, seen, expected)
    seen += _closed(last, market)
    return Finding("rows", _unless_quiet(last, market), seen, expected, Trouble.NO_NEW_ROWS)


def _journal_mode(last: Evidence, market: Market) -> Finding:
    if last.day is None:
        return _nothing_stored("journal_mode", last, market, "wal")
    # Sealing takes a file out of WAL mode for good.
    modes = {} if last.day.is_sealed else {"the file's header": last.day.journal_mode}
    if last.pragmas is not None and last.pragmas.journal_mode is not None:
        modes[last.pragmas.source] = last.pragmas.journal_mode
    if not modes:
        return Finding("journal_mode", Outcome.UNJUDGED, f"{last.day.name} is sealed", "wal")
    seen = ", ".join(f"{mode} ({source})" for source, mode in modes.items())
    outcome = Outcome.OK if set(modes.values()) == {"wal"} else Outcome.MISSED
    return Finding("journal_mode", outcome, seen, "wal", Trouble.NOT_WAL)


def _busy_timeout(last: Evidence) -> Finding:
    expected = f"at least {BUSY_TIMEOUT_MS_MIN} on the writer's connection"
    if last.pragmas is None and not _speaks(last):
        return Finding("busy_timeout", Outcome.UNJUDGED, _NO_WORD, expected)
    if last.pragmas is None:
        seen = "unknown: no sqlite_pragmas line in the log, and no writer whose arguments can be read"
        return Finding("busy_timeout", Outcome.MISSED, seen, expected, Trouble.BUSY_TIMEOUT)
    enough = last.pragmas.busy_timeout_ms >= BUSY_TIMEOUT_MS_MIN
    seen = f"{last.pragmas.busy_timeout_ms} ({last.pragmas.source})"
    return Finding("busy_timeout", Outcome.OK if enough else Outcome.MISSED, seen, expected, Trouble.BUSY_TIMEOUT)


def _watchdog(last: Evidence) -> Finding:
    name, expected = "watchdog", "no WATCHDOG persistent_stall"
    if last.log is None:
        if last.state is not None and last.state.watchdog.is_stalled:
            seen = f"stalled now: {last.state.watchdog.last_reason}"
            return Finding(name, Outcome.MISSED, seen, expected, Trouble.STALLED)
        return Finding(name, Outcome.UNJUDGED, "no log was read (--log FILE, or --unit)", expected)
    counts = ", ".join(f"{count} {event}" for event, count in sorted(last.log.watchdog.items())) or "none"
    seen = f"{counts} since {utc_text(last.log.since_ms)} ({last.log.source})"
    outcome = Outcome.MISSED if last.log.watchdog.get("persistent_stall") else Outcome.OK
    return Finding(name, outcome, seen, expected, Trouble.GAVE_UP)


def _nothing_stored(name: str, last: Evidence, market: Market, expected: str) -> Finding:
    if last.day_fault is not None:
        return Finding(name, Outcome.MISSED, last.day_fault, expected, Trouble.DAY_UNREADABLE)
    seen = f"nothing is stored yet{_closed(last, market)}"
    return Finding(name, _unless_quiet(last, market), seen, expected, Trouble.NO_NEW_ROWS)


def _unless_quiet(last: Evidence, market: Market) -> Outcome:
    """A miss if a recorder reports and the market is open; otherwise not judged."""
    return Outcome.MISSED if market.flows and _speaks(last) else Outcome.UNJUDGED


def _closed(last: Evidence, market: Market) -> str:
    if not market.flows:
        return "; the market is closed"
    return "" if _speaks(last) else f"; {_NO_WORD}"


def _is_continuous(now_ms: int) -> bool:
    """By Hong Kong's clock, without holidays and half days."""
    return since_continuous_ms(now_ms) is not None


def _has_just_closed(now_ms: int) -> bool:
    return _is_continuous(now_ms - WORD_AGE_MS_MAX) and not _is_continuous(now_ms)
