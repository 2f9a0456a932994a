"""Builders of audits: what `audit_day` gives, for those who show it. All is of 2026-11-20."""

from __future__ import annotations

from typing import Any, Final

from hk_tick_collector.audit.counted import Votes
from hk_tick_collector.audit.day import DayAudit, Gap, Ordinals, Outage, Session, SymbolAudit, Verdict
from hk_tick_collector.audit.wording import of_symbols
from hk_tick_collector.hktime import parse_time
from hk_tick_collector.store.schema import VERSION

DAY: Final = "20261120"


def at(clock: str) -> int:
    """UTC epoch ms of a Hong Kong clock time of that day."""
    return parse_time(f"2026-11-20 {clock}").ms


SESSIONS: Final = (
    Session("pre-opening", at("09:00:00"), at("09:30:00")),
    Session("morning", at("09:30:00"), at("12:00:00")),
    Session("afternoon", at("13:00:00"), at("16:00:00")),
    Session("closing auction", at("16:00:00"), at("16:10:00")),
)


def gap(symbol: str = "HK.00700", **fields: Any) -> Gap:  # noqa: ANN401 - columns by name
    """An open gap of 12 ticks in the morning."""
    made = Gap(
        symbol=symbol,
        cause="opend_down",
        session="morning",
        since_ms=at("10:01:04"),
        resumed_ms=at("10:03:12"),
        before_seq=100,
        before_ts_ms=at("10:01:05"),
        after_seq=113,
        after_ts_ms=at("10:03:10"),
        missing=12,
        missing_volume=None,
        evidence="ordinals",
        state="open",
        found_ms=at("10:04:00"),
        filled_ms=None,
        filled_by=None,
    )
    return made._replace(**fields)


def filled(symbol: str = "HK.00700", **fields: Any) -> Gap:  # noqa: ANN401 - columns by name
    """The same, filled by an audit."""
    return gap(symbol, **{"state": "filled", "filled_ms": at("10:09:00"), "filled_by": "poll", **fields})


def symbol_audit(symbol: str = "HK.00700", **fields: Any) -> SymbolAudit:  # noqa: ANN401 - fields by name
    """A complete one: 1,234 rows in all sessions, as the exchange has counted."""
    made = SymbolAudit(
        symbol=symbol,
        verdict=Verdict.COMPLETE,
        evidence="both",
        missing=None,
        missing_volume=None,
        reasons=(),
        contradictions=(),
        would_prove=(),
        so_far="",
        rows=1234,
        volume=123_400,
        turnover=45_658_000.5,
        exchange_volume=123_400,
        exchange_turnover=45_658_000.5,
        turnover_tolerance=1.617,
        totals_own_ms=at("16:08:11"),
        totals_received_ms=at("16:12:00"),
        totals_ms=at("16:15:00"),
        market_ms=at("16:08:30"),
        covered=("AUTO_MATCH",),
        not_covered=(),
        revisions=(0, 0),
        revised_volume=0,
        ordinals=Ordinals(pairs=1200, contiguous=1200, counts=True, missing=0, first=1),
        first_ts_ms=at("09:21:03"),
        last_ts_ms=at("16:08:11"),
        sessions={"pre-opening": 4, "morning": 700, "afternoon": 529, "closing auction": 1},
        gaps=(),
        doubts=0,
        doubts_by_totals=0,
        premises={},
        recorded=True,
        without=None,
    )
    return made._replace(**fields)


def incomplete(symbol: str = "HK.00700", **fields: Any) -> SymbolAudit:  # noqa: ANN401 - fields by name
    """One that lacks 12 ticks in one gap."""
    lacking = {
        "verdict": Verdict.INCOMPLETE,
        "covered": (),
        "missing": 12,
        "reasons": ("12 ticks are missing",),
        "exchange_volume": 124_600,
        "gaps": (gap(symbol),),
    }
    return symbol_audit(symbol, **{**lacking, **fields})


def unprovable(symbol: str = "HK.00700", **fields: Any) -> SymbolAudit:  # noqa: ANN401 - fields by name
    """One without totals."""
    unknown = {
        "verdict": Verdict.UNPROVABLE,
        "evidence": "none",
        "covered": (),
        "would_prove": ("two snapshots received after 16:12:00, with two clocks that agree",),
        "reasons": ("no totals of the exchange",),
        "exchange_volume": None,
        "exchange_turnover": None,
        "totals_own_ms": None,
        "totals_received_ms": None,
        "totals_ms": None,
        "market_ms": None,
        "doubts": 1,
    }
    return symbol_audit(symbol, **{**unknown, **fields})


def day_audit(*symbols: SymbolAudit, **fields: Any) -> DayAudit:  # noqa: ANN401 - fields by name
    """The day of these symbols, with one interruption."""
    made = DayAudit(
        day=DAY,
        verdict=of_symbols(symbols),
        trade_date="whole",
        sessions=SESSIONS,
        not_counted=("ODD_LOT",),
        types={1: Votes(2, 0), 6: Votes(0, 2)},
        history={},
        outages=(Outage("opend_down", at("10:01:04"), at("10:03:12"), len(symbols)),),
        clocks={},
        schema_version=VERSION,
        is_over=True,
        symbols=symbols,
        audited_ms=at("23:00:00"),
    )
    return made._replace(**fields)
