"""The doubts and gaps of one day: every statement that makes, renames, closes or drops one.

Owns these rows; `day`, `ordinals` and `reckoning` decide what is written. Invariant: a gap is never deleted. Only its
end changes, once that is known, and its state, when it is filled (`filling`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from hk_tick_collector.hktime import day_begin_ms, session_of
from hk_tick_collector.ledger.premises import note_failed
from hk_tick_collector.ledger.rows import Doubt, Failure, News
from hk_tick_collector.ledger.totals import SECOND_MS, key_at

if TYPE_CHECKING:
    from hk_tick_collector.db import DayDatabase
    from hk_tick_collector.ledger.premises import Premise

_TS_MS = "SELECT ts_ms FROM ticks WHERE symbol = ? AND seq = ?"
_FIRST_AFTER = "SELECT min(seq) FROM ticks WHERE symbol = ? AND seq >= ?"
_DOUBTED = "SELECT DISTINCT symbol FROM doubts"
_DOUBTS = "SELECT * FROM doubts WHERE symbol = ? ORDER BY resumed_ms"
_INSERT_DOUBT = "INSERT INTO doubts VALUES (?,?,?,?,?,?,?) ON CONFLICT DO NOTHING"
_DROP_DOUBT = "DELETE FROM doubts WHERE symbol = ? AND resumed_ms = ?"
_RENAME_DOUBT = "UPDATE doubts SET cause = ? WHERE symbol = ? AND resumed_ms = ?"
_INSERT_DECIDED = "INSERT INTO decided VALUES (?,?,?,?,?) ON CONFLICT DO NOTHING"
_INSERT_GAP = "INSERT INTO gaps VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,'open',NULL,NULL,?,0)"
_IS_TOLD = "SELECT 1 FROM gaps WHERE symbol = ? AND resumed_ms = ? AND cause = ?"
_OPEN_WITHOUT_END = (
    "SELECT resumed_ms, cause, end_ms FROM gaps WHERE symbol = ? AND after_seq IS NULL AND end_ms NOT NULL"
)
_CLOSE = "UPDATE gaps SET after_seq = ?, after_ts_ms = ? WHERE symbol = ? AND resumed_ms = ? AND cause = ?"


class Loss(NamedTuple):
    """What is known to be missing.

    Attributes:
        after_seq: the first stored tick after it; None: none has come yet.
        end_ms: no tick of it was traded after this, by the exchange's time.
        missing: how many ticks, by their ordinals; None: only totals show the loss.
        volume: at least how many shares; None: only ordinals show the loss.
        found_ms: when it was found, by the host's clock.
    """

    after_seq: int | None
    end_ms: int | None
    missing: int | None
    volume: int | None
    found_ms: int


class Book:
    """Doubts and gaps of one day database."""

    def __init__(self, database: DayDatabase, news: list[News], failures: list[Failure]) -> None:
        """Write into a day's database; gaps are appended to `news`, failed premises to `failures`."""
        self.con = database.connection
        self.day = database.day
        self.news = news
        self.failures = failures
        self.untimely = database.untimely
        self._doubted = {symbol for (symbol,) in self.con.execute(_DOUBTED)}
        self.measured: dict[str, Any] = {}  # by symbol, what `ordinals` has measured, as in its table
        self.unsaved: set[str] = set()  # symbols whose measurement is not in that table yet
        self.midnight_ms = day_begin_ms(self.day)

    def all(self, sql: str, values: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
        """All rows of a statement."""
        return self.con.execute(sql, values).fetchall()

    def ts_ms(self, symbol: str, seq: int | None) -> int | None:
        """When a stored tick was traded."""
        rows = self.all(_TS_MS, (symbol, seq))
        return rows[0][0] if rows else None

    def fail(self, symbol: str, premise: Premise, at_ms: int, seen: str) -> None:
        """Store that a premise failed; a symbol's first failure is appended to `failures`."""
        if note_failed(self.con, symbol, premise, at_ms, seen):
            self.failures.append(Failure(self.day, symbol, premise, seen))

    # ---- doubts

    def doubts(self, symbol: str) -> list[Doubt]:
        """A symbol's doubts, the earliest first."""
        if symbol not in self._doubted:
            return []
        return [Doubt(*row) for row in self.all(_DOUBTS, (symbol,))]

    def doubt(self, doubt: Doubt) -> None:
        """Store a doubt."""
        self._doubted.add(doubt.symbol)
        self.con.execute(_INSERT_DOUBT, doubt)

    def rename(self, doubt: Doubt, cause: str) -> None:
        """Change the cause of a doubt."""
        self.con.execute(_RENAME_DOUBT, (cause, doubt.symbol, doubt.resumed_ms))

    def drop(self, doubt: Doubt) -> None:
        """Delete a doubt: it is decided."""
        self.con.execute(_DROP_DOUBT, (doubt.symbol, doubt.resumed_ms))

    def drop_by_totals(self, doubt: Doubt, at_ms: int) -> None:
        """Delete a doubt that the exchange's totals alone have decided, and keep a record of that in `decided`."""
        self.drop(doubt)
        self.con.execute(_INSERT_DECIDED, (doubt.symbol, doubt.resumed_ms, doubt.cause, "totals", at_ms))

    # ---- gaps

    def gap(self, doubt: Doubt, loss: Loss) -> None:
        """Write a gap: its cause and beginning are those of a doubt, the rest is the loss."""
        evidence = "totals" if loss.missing is None else "ordinals"
        session = doubt.session or session_of(doubt.before_ts_ms or loss.found_ms)
        while self.all(_IS_TOLD, (doubt.symbol, doubt.resumed_ms, doubt.cause)):  # the key is taken by another gap
            doubt = doubt._replace(resumed_ms=doubt.resumed_ms + 1)
        doubt = doubt._replace(session=session)
        after_ts_ms = self.ts_ms(doubt.symbol, loss.after_seq)
        self.con.execute(
            _INSERT_GAP,
            (*doubt, loss.after_seq, after_ts_ms, loss.missing, loss.volume, evidence, loss.found_ms, loss.end_ms),
        )
        told = (doubt.symbol, doubt.cause, session, loss.missing, loss.volume, evidence)
        self.news.append(News(self.day, *told, None))

    def close_bounds(self, symbol: str) -> None:
        """End the gaps that have no end yet, once a tick has come that was traded after all that may be missing."""
        for resumed_ms, cause, end_ms in self.all(_OPEN_WITHOUT_END, (symbol,)):
            ((after_seq,),) = self.all(_FIRST_AFTER, (symbol, key_at(end_ms + SECOND_MS)))
            if after_seq is not None:
                self.con.execute(_CLOSE, (after_seq, self.ts_ms(symbol, after_seq), symbol, resumed_ms, cause))
