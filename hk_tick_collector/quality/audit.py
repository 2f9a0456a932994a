"""The audit of a day: for each symbol a proof that all its ticks are there, or what is missing, or what is not proven.

Owns the verdicts. Reads what is stored and nothing else, and never writes. COMPLETE needs the exchange's own word after
the close: its volume and turnover of the day are exactly ours, of every type of tick. All else is a hint of where
something is missing, and no proof that nothing is. "No evidence" is UNPROVABLE.
"""

from __future__ import annotations

import time
from enum import StrEnum
from typing import TYPE_CHECKING, NamedTuple

import apsw

from hk_tick_collector.errors import DatabaseError
from hk_tick_collector.hktime import hk_text
from hk_tick_collector.look import look
from hk_tick_collector.quality import counted
from hk_tick_collector.quality.counted import Measured, Sums
from hk_tick_collector.quality.figures import Figures, Gap, Ordinals, Outage, read
from hk_tick_collector.quality.schedule import Session, is_after_close
from hk_tick_collector.schema import TICK_TYPES
from hk_tick_collector.words import counted as numbered

if TYPE_CHECKING:
    from pathlib import Path

    from hk_tick_collector.quality.figures import DayFigures

__all__ = ["DayAudit", "Gap", "Ordinals", "Outage", "Session", "SymbolAudit", "Verdict", "audit_day", "judge"]


class Verdict(StrEnum):
    """What is known of a symbol's day, or of a day."""

    COMPLETE = "COMPLETE"  # proven: nothing is missing
    INCOMPLETE = "INCOMPLETE"  # proven: something is missing
    UNPROVABLE = "UNPROVABLE"


WORST_FIRST = (Verdict.INCOMPLETE, Verdict.UNPROVABLE, Verdict.COMPLETE)


class SymbolAudit(NamedTuple):
    """What is known of a symbol's day.

    Attributes:
        symbol: which.
        verdict: the conclusion.
        missing: ticks; None: not known, or nothing is known to be missing.
        missing_volume: shares; None likewise.
        reasons: what is missing and why, or what evidence is; empty if COMPLETE.
        rows: ticks stored.
        volume: their sum, shares.
        turnover: their sum, in the market's currency.
        exchange_volume: the exchange's by its last snapshot; None: there is none.
        exchange_turnover: likewise.
        totals_ms: until when that was so, by OpenD's clock, UTC epoch ms.
        ordinals: what the sequences' ordinals say.
        first_ts_ms: of the first tick; None: there is none.
        last_ts_ms: of the last.
        sessions: ticks by the session that they are of, by its name.
        gaps: rows of `gaps`, open and filled.
        doubts: rows of `doubts`.
    """

    symbol: str
    verdict: Verdict
    missing: int | None
    missing_volume: int | None
    reasons: tuple[str, ...]
    rows: int
    volume: int
    turnover: float
    exchange_volume: int | None
    exchange_turnover: float | None
    totals_ms: int | None
    ordinals: Ordinals
    first_ts_ms: int | None
    last_ts_ms: int | None
    sessions: dict[str, int]
    gaps: tuple[Gap, ...]
    doubts: int


class DayAudit(NamedTuple):
    """What is known of a day.

    Attributes:
        day: YYYYMMDD.
        verdict: COMPLETE if all symbols are; INCOMPLETE if one is; else UNPROVABLE.
        trade_date: 'whole', 'morning', 'afternoon' or 'none', as OpenD said; None: it did not.
        sessions: of the day; those of a whole day where it is not known.
        not_counted: types of ticks that were measured not to be in the exchange's totals.
        outages: interruptions of the stream, harmful or not.
        symbols: the worst first.
        audited_ms: when, UTC epoch ms.
    """

    day: str
    verdict: Verdict
    trade_date: str | None
    sessions: tuple[Session, ...]
    not_counted: tuple[str, ...]
    outages: tuple[Outage, ...]
    symbols: tuple[SymbolAudit, ...]
    audited_ms: int


def audit_day(path: Path) -> DayAudit:
    """Audit a day database, which is left as it is; a recorder may be writing to it.

    Raises:
        DatabaseError: it can't be read, or an older program made it, which kept no ledger.
    """
    try:
        return judge(look(path, lambda con: read(con, path)))
    except (apsw.Error, OSError) as exc:
        raise DatabaseError(f"{path} can't be read: {exc}") from exc


def judge(figures: DayFigures) -> DayAudit:
    """Draw the conclusions from what was read of a day."""
    measured = [
        _measured(f) for f in figures.symbols if f.totals and is_after_close(f.totals.until_ms, figures.sessions)
    ]
    not_counted = counted.not_counted(measured)
    audits = [_judge_symbol(symbol, figures.sessions, not_counted) for symbol in figures.symbols]
    audits.sort(key=lambda a: (WORST_FIRST.index(a.verdict), -(a.missing or 0), -(a.missing_volume or 0), a.symbol))
    verdicts = {audit.verdict for audit in audits} or {Verdict.UNPROVABLE}
    return DayAudit(
        figures.day,
        next(verdict for verdict in WORST_FIRST if verdict in verdicts),
        figures.trade_date,
        figures.sessions,
        tuple(sorted(TICK_TYPES.get(t, str(t)) for t in not_counted)),
        figures.outages,
        tuple(audits),
        time.time_ns() // 1_000_000,
    )


class _Finding:
    """What is missing, and what else stands in the way of a proof."""

    def __init__(self, gaps: tuple[Gap, ...]) -> None:
        """Begin with what is missing by the ledger."""
        self.gaps = [gap for gap in gaps if gap.state == "open"]
        self.lost = [_lost_in(gap) for gap in self.gaps]
        self.unproven: list[str] = []
        self.missing = _sum_known([gap.missing for gap in self.gaps])
        self.missing_volume = _sum_known([gap.missing_volume for gap in self.gaps])

    @property
    def verdict(self) -> Verdict:
        """The conclusion."""
        if self.lost:
            return Verdict.INCOMPLETE
        return Verdict.UNPROVABLE if self.unproven else Verdict.COMPLETE


def _judge_symbol(f: Figures, sessions: tuple[Session, ...], not_counted: frozenset[int]) -> SymbolAudit:
    found = _Finding(f.gaps)
    if f.bad:
        found.lost.append(f"{f.bad} kept aside in bad_ticks, which could not be stored as ticks")
    totals = f.totals
    if totals is not None and is_after_close(totals.until_ms, sessions):
        _compare(f, found, not_counted)
    else:
        _without_totals(f, found)
    if f.revisions and found.verdict is not Verdict.COMPLETE:
        found.unproven.append(
            f"{numbered(f.revisions, 'tick')} came with two contents, of which the exchange counts one"
        )
    return SymbolAudit(
        symbol=f.symbol,
        verdict=found.verdict,
        missing=found.missing,
        missing_volume=found.missing_volume,
        reasons=(*found.lost, *found.unproven),
        rows=f.rows,
        volume=sum(s.volume for s in f.by_type.values()),
        turnover=round(sum(s.turnover for s in f.by_type.values()), 3),
        exchange_volume=totals.volume if totals else None,
        exchange_turnover=totals.turnover if totals else None,
        totals_ms=totals.until_ms if totals else None,
        ordinals=f.ordinals,
        first_ts_ms=f.first_ts_ms,
        last_ts_ms=f.last_ts_ms,
        sessions=f.by_session,
        gaps=f.gaps,
        doubts=f.doubts,
    )


def _without_totals(f: Figures, found: _Finding) -> None:
    """The exchange has not said its last word: nothing proves the symbol whole, ordinals may show what it lacks."""
    if f.totals is None:
        found.unproven.append("no snapshot of the exchange's totals")
    else:
        until = hk_text(f.totals.until_ms)[11:19]
        found.unproven.append(f"no snapshot of the exchange's totals after the close; the last is of {until}")
    if f.doubts:
        found.unproven.append(f"{numbered(f.doubts, 'interruption')} in which something may be missing")
    if f.ordinals.missing and not found.gaps:
        found.lost.append(f"{numbered(f.ordinals.missing, 'tick')}, whose ordinals are missing")
        found.missing = f.ordinals.missing


def _compare(f: Figures, found: _Finding, not_counted: frozenset[int]) -> None:
    """The exchange's last word against ours."""
    measured = _measured(f)
    ours = counted.without(measured, not_counted)
    difference = measured.exchange.volume - ours.volume
    money = ours.turnover - measured.exchange.turnover
    if difference > 0:
        found.missing_volume = max(difference, found.missing_volume or 0)
        if not found.gaps:
            found.lost.append(f"{difference:,} shares by the exchange's count, {_where(f)}")
    elif difference < 0:
        found.unproven.append(f"{-difference:,} shares more than the exchange counts")
    elif not counted.same_turnover(ours.turnover, measured.exchange.turnover):
        found.unproven.append(f"as many shares as the exchange counts, but a turnover of {money:+,.2f} against its")
    if not_counted:
        names = ", ".join(sorted(TICK_TYPES.get(t, str(t)) for t in not_counted))
        found.unproven.append(f"the exchange's totals are without {names}: nothing proves that those are all there")


def _measured(f: Figures) -> Measured:
    assert f.totals is not None
    return Measured(Sums(f.totals.volume, f.totals.turnover), f.by_type)


def _lost_in(gap: Gap) -> str:
    if gap.missing is not None:
        what = numbered(gap.missing, "tick")
    else:
        what = "ticks" if gap.missing_volume is None else numbered(gap.missing_volume, "share")
    begin = "the day's beginning" if gap.before_ts_ms is None else hk_text(gap.before_ts_ms)[11:19]
    end = "the day's end" if gap.after_ts_ms is None else hk_text(gap.after_ts_ms)[11:19]
    return f"{what} between {begin} and {end} ({gap.cause}, by {gap.evidence})"


def _where(f: Figures) -> str:
    """Between which two snapshots a difference came that no gap explains."""
    if f.rose_ms is None:
        return "not located"
    begin, end = (hk_text(ms)[11:19] for ms in f.rose_ms)
    return f"which went ahead of ours between {begin} and {end}"


def _sum_known(values: list[int | None]) -> int | None:
    """The sum, if there are any and all are known."""
    known = [value for value in values if value is not None]
    return sum(known) if known and len(known) == len(values) else None
