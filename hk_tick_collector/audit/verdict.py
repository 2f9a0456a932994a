"""The result of an audit: its verdicts and the figures with them. Pure."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from hk_tick_collector.audit.counted import Votes
    from hk_tick_collector.audit.figures import Clock, Gap, Ordinals, Outage
    from hk_tick_collector.audit.schedule import Session
    from hk_tick_collector.store.imported import Import


class Verdict(StrEnum):
    """What is known of a symbol's day, or of a day."""

    COMPLETE = "COMPLETE"  # proven: nothing is missing
    INCOMPLETE = "INCOMPLETE"  # proven: something is missing
    UNPROVABLE = "UNPROVABLE"


WORST_FIRST = (Verdict.INCOMPLETE, Verdict.UNPROVABLE, Verdict.COMPLETE)


class SymbolAudit(NamedTuple):
    """What is known of a symbol's day. Times in UTC epoch ms.

    Attributes:
        symbol: which.
        verdict: the conclusion.
        evidence: what it rests on: `totals`, `ordinals`, `both` if they agree, or `none`.
        missing: ticks; None: not known, or nothing is known to be missing.
        missing_volume: shares; None: not known, or nothing is known to be missing.
        reasons: what is missing and why, or what prevents a proof; empty if COMPLETE.
        contradictions: the reasons that contradict totals which agree.
        would_prove: what would have proved it; empty unless UNPROVABLE.
        so_far: what is known before the close, in one line; empty once the day is over.
        rows: number of stored ticks.
        volume: the sum of the stored ticks, in shares.
        turnover: the sum of the stored ticks, in the counter's currency.
        exchange_volume: the exchange's, by its last word, or else its last snapshot; None: there is no snapshot.
        exchange_turnover: the exchange's, by the same snapshot; None: there is none.
        turnover_tolerance: how much the turnovers may differ by rounding.
        totals_own_ms: that snapshot's own update time; None: it has none.
        totals_received_ms: when it first came, by the host's clock.
        totals_ms: the exchange's time when it came last, by two clocks.
        market_ms: the newest update time of any symbol by then.
        covered: types of ticks that the verdict covers, since the exchange counts them or ordinals count the ticks.
        not_covered: other types that were seen, on this day or others: it is not known whether all of these are there.
        revisions: number of ticks that came with several contents, and of those whose volume differs.
        revised_volume: shares that the last contents have more than the first.
        ordinals: what the ordinals show.
        first_ts_ms: of the earliest tick; None: there is no tick.
        last_ts_ms: of the latest tick; None: there is no tick.
        sessions: number of ticks by the name of the session.
        gaps: rows of `gaps`, open and filled.
        doubts: number of rows of `doubts`.
        doubts_by_totals: number of doubts that only the exchange's totals decided.
        premises: how often each held, and failed.
        recorded: whether it was to be recorded on this day; if not, its ticks are extra and don't affect the day's
            verdict.
        without: why OpenD did not give it; None: it did.
    """

    symbol: str
    verdict: Verdict
    evidence: str
    missing: int | None
    missing_volume: int | None
    reasons: tuple[str, ...]
    contradictions: tuple[str, ...]
    would_prove: tuple[str, ...]
    so_far: str
    rows: int
    volume: int
    turnover: float
    exchange_volume: int | None
    exchange_turnover: float | None
    turnover_tolerance: float
    totals_own_ms: int | None
    totals_received_ms: int | None
    totals_ms: int | None
    market_ms: int | None
    covered: tuple[str, ...]
    not_covered: tuple[str, ...]
    revisions: tuple[int, int]
    revised_volume: int
    ordinals: Ordinals
    first_ts_ms: int | None
    last_ts_ms: int | None
    sessions: dict[str, int]
    gaps: tuple[Gap, ...]
    doubts: int
    doubts_by_totals: int
    premises: dict[str, tuple[int, int]]
    recorded: bool
    without: str | None


class DayAudit(NamedTuple):
    """What is known of a day.

    Attributes:
        day: YYYYMMDD.
        verdict: of the symbols that were to be recorded: COMPLETE if all are, INCOMPLETE if one is, else UNPROVABLE.
        trade_date: 'whole', 'morning', 'afternoon' or 'none', by OpenD's calendar; None: not known.
        sessions: of the day as it was traded; those of a whole day if that is not known.
        not_counted: types of ticks that some symbol of this day showed not to be counted.
        types: by OpenD's number of a type, how often it was shown on this day to be counted, and not to be.
        history: the same for other days.
        outages: interruptions of the stream, harmful or not.
        clocks: the readings of the clocks, by name.
        schema_version: of the database.
        is_over: the exchange's totals came after the close, or the audit was made after it.
        symbols: the worst first.
        audited_ms: when it was audited, UTC epoch ms.
        imports: the files of another recorder that ticks were taken over from.
    """

    day: str
    verdict: Verdict
    trade_date: str | None
    sessions: tuple[Session, ...]
    not_counted: tuple[str, ...]
    types: dict[int, Votes]
    history: dict[int, Votes]
    outages: tuple[Outage, ...]
    clocks: dict[str, Clock]
    schema_version: int
    is_over: bool
    symbols: tuple[SymbolAudit, ...]
    audited_ms: int
    imports: tuple[Import, ...] = ()
