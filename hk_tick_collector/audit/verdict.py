"""What an audit says: its verdicts, and all that stands beside them. Pure."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from hk_tick_collector.audit.counted import Votes
    from hk_tick_collector.audit.figures import Clock, Gap, Ordinals, Outage
    from hk_tick_collector.audit.schedule import Session


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
        evidence: what it rests on: `totals`, `ordinals`, `both` where they say the same, or `none`.
        missing: ticks; None: not known, or nothing is known to be missing.
        missing_volume: shares; None likewise.
        reasons: what is missing and why, or what stands in the way of a proof; empty if COMPLETE.
        contradictions: of the reasons, those that speak against totals which agree.
        would_prove: what would have proved it; empty unless UNPROVABLE.
        so_far: what can be said before the close: one line; empty afterwards.
        rows: ticks stored.
        volume: their sum, shares.
        turnover: their sum, in the counter's currency.
        exchange_volume: the exchange's by its last snapshot; None: there is none.
        exchange_turnover: likewise.
        turnover_tolerance: by how much turnovers may differ through rounding.
        totals_own_ms: the snapshot's own update time; None: it has none.
        totals_received_ms: when it first came, by the host's clock.
        totals_ms: the exchange's time when it was told last, on the word of two clocks.
        market_ms: the newest sign of life of the whole market by then.
        covered: types of ticks that the verdict speaks of, since the exchange counts them.
        not_covered: other types that were seen, on this day or others: nothing tells whether those are all there.
        revisions: ticks that came with several contents; of these, those whose volume differs.
        revised_volume: what the last contents have more than the first, in shares.
        ordinals: what the sequences' ordinals say.
        first_ts_ms: of the first tick; None: there is none.
        last_ts_ms: of the last.
        sessions: ticks by the session that they are of, by its name.
        gaps: rows of `gaps`, open and filled.
        doubts: rows of `doubts`.
        doubts_by_totals: doubts that nothing but the exchange's totals has decided.
        premises: how often each was seen to hold, and to fail.
        recorded: it was to be recorded on this day; if not, its ticks are extra, and the day's verdict is without it.
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
        verdict: COMPLETE if all symbols are that were to be recorded; INCOMPLETE if one is; else UNPROVABLE.
        trade_date: 'whole', 'morning', 'afternoon' or 'none', as OpenD said; None: it did not.
        sessions: of the day, as it was traded; those of a whole day where it is not known.
        not_counted: types of ticks that were measured not to be in the exchange's totals.
        types: for each type, OpenD's number, how often it was shown on this day to be counted, and not to be.
        history: the same of other days.
        outages: interruptions of the stream, harmful or not.
        clocks: how the clocks were seen, by name.
        schema_version: of the database.
        is_over: the exchange's totals were told after the close, or the audit was made on a later day.
        symbols: the worst first.
        audited_ms: when, UTC epoch ms.
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
