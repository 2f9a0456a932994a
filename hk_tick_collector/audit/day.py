"""Audits a day: for each symbol a proof that all its ticks are there, or what is missing, or what is not proven.

Owns the verdicts. Reads what is stored and nothing else, and never writes. `docs/proof.md` has the theory.

COMPLETE: the exchange reported the day's volume and turnover twice after the close, by two clocks that agree and with
a sign of life of the market from after the close; they are exactly the stored ticks of the types that are proven to be
counted; and nothing contradicts it. INCOMPLETE: the exchange counts more than is stored, or, without a last word, a gap
is certain. All else is UNPROVABLE, with the reason and with what would have proved it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

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
from hk_tick_collector.hktime import MINUTE_MS, hk_day
from hk_tick_collector.opend.numbers import TICK_TYPES
from hk_tick_collector.parquet.opening import read_day

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from hk_tick_collector.audit.figures import DayFigures

__all__ = [
    "Clock", "DayAudit", "Gap", "Ordinals", "Outage", "Session", "SymbolAudit", "Verdict", "audit", "audit_day",
]  # fmt: skip

SILENT_MS: Final = 15 * MINUTE_MS  # of an open market: snapshots come more often, also where nothing is traded


def audit_day(path: Path, now_ms: int | None = None) -> DayAudit:
    """Audit a day's database, which is not changed; a recorder may be writing to it. It may also be archived.

    What other days have shown about types of ticks comes from the catalogue in the same directory, if there is one.

    Args:
        path: the database.
        now_ms: UTC epoch ms; None: this host's clock. It affects no verdict, only whether the day is over.

    Raises:
        DatabaseError: it can't be read, or was made by an older version that kept no ledger.
    """
    try:
        figures = read_day(path, lambda con: read(con, path))
    except (apsw.Error, OSError) as exc:
        raise DatabaseError(f"{path} can't be read: {exc}") from exc
    return audit(figures, type_history(path.parent, figures.day), now_ms)


def audit(figures: DayFigures, history: Mapping[int, Votes] | None = None, now_ms: int | None = None) -> DayAudit:
    """Judge all symbols of a day, from what was read of it; `history`: what other days have shown of types of ticks."""
    types = Types((_measured(f, figures) for f in figures.symbols), history or {})
    now_ms = wall_ms() if now_ms is None else now_ms
    known = [word.until_ms for f in figures.symbols for word in f.words if word.until_ms is not None]
    close_ms = after_close_ms(figures.sessions)
    is_over = max(known, default=0) >= close_ms or now_ms >= close_ms or hk_day(now_ms) > figures.day
    silent_ms = _silent_since_ms(figures, now_ms)
    audits = [judge_symbol(one, figures, types, is_over=is_over, silent_ms=silent_ms) for one in figures.symbols]
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


def _silent_since_ms(figures: DayFigures, now_ms: int) -> int | None:
    """Since when nothing was received, if that is long while the market was open: the recorder may have died."""
    heard = [ms for f in figures.symbols for word in f.words for ms in (word.received_ms, word.until_ms)]
    heard += [f.last_ts_ms for f in figures.symbols if not f.of_other_days]
    heard += [outage.resumed_ms for outage in figures.outages]
    trading = [session for session in figures.sessions if session.name != "pre-opening"]
    begin_ms = trading[0].begin_ms
    last_ms = max((ms for ms in heard if ms is not None and ms <= now_ms), default=begin_ms)
    open_ms = sum(max(0, min(now_ms, s.end_ms) - max(last_ms, s.begin_ms)) for s in trading)
    return max(last_ms, begin_ms) if open_ms > SILENT_MS else None


def _measured(f: Figures, day: DayFigures) -> Measured:
    """What a symbol's day shows of types; its totals count only as a last word, and if revisions change no volume."""
    word = final_word(f, day).word
    is_clear = word is not None and not f.made_up and all(r.first.volume == r.last.volume for r in f.revised)
    exchange = Sums(word.volume, word.turnover) if word is not None and is_clear else None
    return Measured(f.symbol, exchange, f.by_type, f.agreed)
