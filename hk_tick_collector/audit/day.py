"""Audits a day: for each symbol a proof that all its ticks are there, or what is missing, or what is not proven.

Owns the verdicts. Reads what is stored and nothing else, and never writes. `docs/proof.md` has the theory.

COMPLETE: the exchange reported the day's volume and turnover twice after the close, by two clocks that agree and with
a sign of life of the market from after the close; they are exactly the stored ticks of the types that are proven to be
counted; and nothing contradicts it. INCOMPLETE: the exchange counts more than is stored, or, without a last word, a gap
is certain. All else is UNPROVABLE, with the reason and with what would have proved it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import apsw

from hk_tick_collector.audit.counted import Measured, Sums, Types, Votes
from hk_tick_collector.audit.figures import Clock, Figures, Gap, Ordinals, Outage
from hk_tick_collector.audit.history import type_history
from hk_tick_collector.audit.last_word import final_word
from hk_tick_collector.audit.reading import read
from hk_tick_collector.audit.schedule import Session, after_close_ms
from hk_tick_collector.audit.verdict import WORST_FIRST, DayAudit, SymbolAudit, Verdict
from hk_tick_collector.audit.weighing import judge_symbol
from hk_tick_collector.clock import wall_ms
from hk_tick_collector.errors import DatabaseError
from hk_tick_collector.hktime import hk_day
from hk_tick_collector.opend.numbers import TICK_TYPES
from hk_tick_collector.store.opening import read_untouched

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from hk_tick_collector.audit.figures import DayFigures

__all__ = [
    "Clock", "DayAudit", "Gap", "Ordinals", "Outage", "Session", "SymbolAudit", "Verdict", "audit", "audit_day",
]  # fmt: skip


def audit_day(path: Path, now_ms: int | None = None) -> DayAudit:
    """Audit a day database, which is not changed; a recorder may be writing to it.

    What other days have shown about types of ticks comes from the catalogue in the same directory, if there is one.

    Args:
        path: the database.
        now_ms: UTC epoch ms; None: this host's clock. It affects no verdict, only whether the day is over.

    Raises:
        DatabaseError: it can't be read, or was made by an older version that kept no ledger.
    """
    try:
        figures = read_untouched(path, lambda con: read(con, path))
    except (apsw.Error, OSError) as exc:
        raise DatabaseError(f"{path} can't be read: {exc}") from exc
    return audit(figures, type_history(path.parent, figures.day), now_ms)


def audit(figures: DayFigures, history: Mapping[int, Votes] | None = None, now_ms: int | None = None) -> DayAudit:
    """Judge all symbols of a day, from what was read of it; `history`: what other days have shown of types of ticks."""
    types = Types((_measured(f, figures) for f in figures.symbols), history or {})
    now_ms = wall_ms() if now_ms is None else now_ms
    known = [word.until_ms for f in figures.symbols for word in f.words if word.until_ms is not None]
    is_over = max(known, default=0) >= after_close_ms(figures.sessions) or hk_day(now_ms) > figures.day
    audits = [judge_symbol(symbol, figures, types, is_over=is_over) for symbol in figures.symbols]
    audits.sort(key=lambda a: (WORST_FIRST.index(a.verdict), -(a.missing or 0), -(a.missing_volume or 0), a.symbol))
    verdicts = {audit.verdict for audit in audits if audit.recorded} or {Verdict.UNPROVABLE}
    shown = types.of_day
    return DayAudit(
        day=figures.day,
        verdict=next(verdict for verdict in WORST_FIRST if verdict in verdicts),
        trade_date=figures.trade_date,
        sessions=figures.sessions,
        not_counted=tuple(sorted(TICK_TYPES.get(t, str(t)) for t, votes in shown.items() if votes.not_counted)),
        types=shown,
        history=dict(history or {}),
        outages=figures.outages,
        clocks=figures.clocks,
        schema_version=figures.version,
        is_over=is_over,
        symbols=tuple(audits),
        audited_ms=now_ms,
        imports=figures.imports,
    )


def _measured(f: Figures, day: DayFigures) -> Measured:
    """What a symbol's day shows of types; its totals count only as a last word, and if revisions change no volume."""
    word = final_word(f, day).word
    is_clear = word is not None and not f.made_up and all(r.first.volume == r.last.volume for r in f.revised)
    exchange = Sums(word.volume, word.turnover) if word is not None and is_clear else None
    return Measured(f.symbol, exchange, f.by_type, f.agreed)
