"""The loss ledger of one day, written while the day is recorded: doubts, gaps, totals, what was to be recorded.

Owns these tables, and applies `continuity`, `ordinals`, `totals` and `filling` at the place in the journal where their
evidence is. Never touches a tick, never commits: it writes in the transaction of the ticks that its conclusions rest
on. Invariants: a gap is never deleted; each place in the journal is judged once, so a replay changes nothing; all times
are those of the journal's records, never read from a clock. The docstring of `ledger` has the theory.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from hk_tick_collector.hktime import DAY_MS, PRE_OPENING_MS, may_trade_between, session_of
from hk_tick_collector.journal.events import Cause, Resumption, gravest
from hk_tick_collector.ledger.book import Book
from hk_tick_collector.ledger.continuity import window_proves
from hk_tick_collector.ledger.ordinals import save, search
from hk_tick_collector.ledger.premises import Premise, has_failed, note_held
from hk_tick_collector.ledger.reckoning import Reckoning
from hk_tick_collector.ledger.rows import Doubt
from hk_tick_collector.ledger.totals import ticks_between
from hk_tick_collector.store.schema import INT64_MAX

if TYPE_CHECKING:
    from hk_tick_collector.db import DayDatabase
    from hk_tick_collector.journal.marks import Place
    from hk_tick_collector.ledger.reckoning import Word
    from hk_tick_collector.ledger.rows import Failure, News, Window
    from hk_tick_collector.opend.messages import DayTotals

# Without polls: a poll may have overtaken pushes that were then lost, so the outage may begin before its ticks.
_LAST_RECEIVED_BY = (
    "SELECT seq, ts_ms, recv_ts_ms FROM ticks WHERE symbol = ? AND seq > 0 AND recv_ts_ms <= ? "
    "AND push_type_id <> 1 ORDER BY seq DESC LIMIT 1"
)
_LAST_TICK_MS = "SELECT max(last_ts_ms) FROM symbol_stats"
_INSERT_OUTAGE = "INSERT INTO outages VALUES (?,?,?,?) ON CONFLICT DO NOTHING"
_INSERT_RECORDED = (
    "INSERT INTO recorded VALUES (?,?,?) ON CONFLICT (symbol) DO UPDATE SET "
    "since_ms = min(since_ms, excluded.since_ms), without = excluded.without"
)
_RECORDED = "SELECT since_ms FROM recorded WHERE symbol = ?"
_RECORDED_SINCE = "SELECT min(since_ms) FROM recorded"
_INSERT_TRADE_DATE = (
    "INSERT INTO trade_dates VALUES (?,?) ON CONFLICT (day) DO UPDATE SET date_type = excluded.date_type"
)
_NOTE_CLOCK = (
    "INSERT INTO clocks VALUES (?, 1, ?, ?) ON CONFLICT (name) DO UPDATE SET readings = readings + 1, "
    "least_ms = min(least_ms, excluded.least_ms), most_ms = max(most_ms, excluded.most_ms)"
)


class Ledger:
    """The ledger of one open day database; each call must be within a transaction of the database's owner."""

    def __init__(self, database: DayDatabase, news: list[News], failures: list[Failure]) -> None:
        """Work on a day's database; gaps found or filled are appended to `news`, failed premises to `failures`."""
        self._con = database.connection
        self._day = database.day
        self._book = Book(database, news, failures)
        self._reckoning = Reckoning(self._book, database.types)
        self._midnight_ms = self._book.midnight_ms

    def is_judged(self, place: Place, recv_ts_ms: int) -> bool:
        """Whether this place of the journal was judged before. A recreated journal has lower places, later times."""
        row = self._book.all("SELECT segment, offset, frame, recv_ts_ms FROM judged")
        return bool(row) and tuple(place) <= row[0][:3] and recv_ts_ms <= row[0][3]

    def note_judged(self, place: Place, recv_ts_ms: int) -> None:
        """Record that this place of the journal is judged."""
        self._con.execute(
            "INSERT INTO judged VALUES (1,?,?,?,?) ON CONFLICT (one) DO UPDATE SET segment = excluded.segment, "
            "offset = excluded.offset, frame = excluded.frame, recv_ts_ms = max(recv_ts_ms, excluded.recv_ts_ms)",
            (*place, recv_ts_ms),
        )

    def note_trade_date(self, date_type: str) -> None:
        """Store how long the exchange trades on this day, by OpenD's calendar."""
        self._con.execute(_INSERT_TRADE_DATE, (self._day, date_type))

    def note_recording(self, symbols: tuple[str, ...], without: dict[str, str], since_ms: int) -> None:
        """Store what is to be recorded on this day, and why OpenD does not give some of it (`without`)."""
        rows = ((symbol, since_ms, without.get(symbol)) for symbol in symbols)
        self._con.executemany(_INSERT_RECORDED, rows)

    def note_failure(self, symbol: str, premise: Premise, at_ms: int, seen: str) -> None:
        """Store that a premise failed, and what was seen."""
        self._book.fail(symbol, premise, at_ms, seen)

    def note_clock(self, name: str, value_ms: int) -> None:
        """Store a reading of a clock: its difference to the clock that it is compared with."""
        self._con.execute(_NOTE_CLOCK, (name, value_ms, value_ms))

    # ---- the stream has resumed

    def resumed(self, event: Resumption, at_ms: int, exchange_ms: int, *, is_open: bool) -> None:
        """Store a doubt for each symbol, unless Hong Kong can't have traded since the stream was proven.

        If this ledger's day is before the day of the event, the outage lasts to the end of this day. Then only symbols
        that were to be recorded on this day are doubted, and only if Hong Kong can have traded after the symbol's last
        snapshot.

        Args:
            event: what the session reported.
            at_ms: when, by the host's clock.
            exchange_ms: the exchange's time then, as far as it is known.
            is_open: OpenD reports that the market is open, whatever the calendar says.
        """
        offset_ms = exchange_ms - at_ms
        end_ms = min(exchange_ms, self._midnight_ms + DAY_MS - 1)
        is_over = end_ms < exchange_ms
        proven_ms = at_ms if event.since_ms is None else event.since_ms
        self._con.execute(_INSERT_OUTAGE, (at_ms, str(event.cause), event.since_ms, len(event.symbols)))
        others_since_ms = self._book.all(_RECORDED_SINCE)[0][0]
        for symbol in event.symbols:
            before = self._book.all(_LAST_RECEIVED_BY, (symbol, proven_ms))
            before_seq, before_ts_ms, last_recv_ms = before[0] if before else (None, None, None)
            known = self._book.all(_RECORDED, (symbol,))
            cause = event.cause
            if is_over:
                last = self._reckoning.last(symbol)
                seen_ms = self._midnight_ms if last is None or last.until_ms is None else last.until_ms
                if not known or not may_trade_between(seen_ms, end_ms):
                    continue
            else:
                if not known:
                    self._con.execute(_INSERT_RECORDED, (symbol, at_ms, None))
                its_since_ms = known[0][0] if known else at_ms
                if cause is Cause.RECORDER_DOWN and its_since_ms > max(event.since_ms or 0, others_since_ms or at_ms):
                    cause = Cause.NOT_SUBSCRIBED  # the others were recorded before; this one was added later
            begin_ms = event.since_ms if event.since_ms is not None else last_recv_ms
            opens_ms = self._midnight_ms + PRE_OPENING_MS
            begin_ms = opens_ms if begin_ms is None else max(begin_ms + offset_ms, opens_ms)
            if not (is_open and not is_over) and not may_trade_between(begin_ms, end_ms) and not self._trades_oddly():
                continue
            session = session_of(begin_ms if event.since_ms is not None or before_ts_ms is None else before_ts_ms)
            self._doubt(Doubt(symbol, at_ms, str(cause), event.since_ms, session, before_seq, before_ts_ms))

    def _trades_oddly(self) -> bool:
        """Whether the day's last tick was traded when the market is closed by the calendar, which is wrong then."""
        ((last_ms,),) = self._book.all(_LAST_TICK_MS)
        return last_ms is not None and not may_trade_between(last_ms, last_ms)

    def _doubt(self, doubt: Doubt) -> None:
        """Store a doubt. If it begins after the same tick as an open one, it is the same outage continuing.

        Then the open one gets the gravest of both causes; but NOT_SUBSCRIBED stands if the symbol has no tick before
        it and was not subscribed until now.
        """
        for other in self._book.doubts(doubt.symbol):
            if other.before_seq == doubt.before_seq:
                cause = gravest(Cause(other.cause), Cause(doubt.cause))
                if doubt.cause == Cause.NOT_SUBSCRIBED and doubt.before_seq is None:
                    cause = Cause.NOT_SUBSCRIBED
                self._book.rename(other, str(cause))
                return
        self._book.doubt(doubt)

    # ---- a window of OpenD's memory

    def windowed(self, symbol: str, window: Window, at_ms: int) -> None:
        """Take a backfill's reply: it may prove doubts unfounded, or let ordinals show what is missing."""
        self._look_for_holes_in(symbol, window, at_ms)
        can_prove = not any(
            has_failed(self._con, symbol, premise) for premise in (Premise.SAME_SEQUENCE, Premise.WHOLE_WINDOW)
        )
        for doubt in self._book.doubts(symbol):
            if can_prove and window_proves(Cause(doubt.cause), reaches_back=self._reaches_back(doubt, window)):
                self._book.drop(doubt)
        if self._book.doubts(symbol):
            search(self._book, symbol, window.last_seq, at_ms, at_ms)
            save(self._book)

    def _look_for_holes_in(self, symbol: str, window: Window, at_ms: int) -> None:
        """Check that all ticks stored between the window's ends are in it; its own ticks are stored by now."""
        if has_failed(self._con, symbol, Premise.SAME_SEQUENCE):
            return
        stored = ticks_between(self._con, symbol, window.first_seq, min(window.last_seq + 1, INT64_MAX))
        if stored > window.ticks:
            seen = f"{window.ticks} ticks were told, {stored} are stored between the first and the last of them"
            self.note_failure(symbol, Premise.WHOLE_WINDOW, at_ms, seen)
        elif window.ticks > 1:
            note_held(self._con, symbol, Premise.WHOLE_WINDOW)

    def _reaches_back(self, doubt: Doubt, window: Window) -> bool:
        """Whether the window begins before the outage; without a tick before it, on an earlier day."""
        if doubt.before_seq is not None:
            return window.first_seq <= doubt.before_seq
        return window.first_ts_ms < self._midnight_ms

    # ---- the exchange's totals

    def totalled(self, snapshot: list[tuple[DayTotals, int | None]], word: Word) -> None:
        """Take a snapshot of many symbols, each with its own time: it may show losses, fill gaps, drop doubts."""
        self._reckoning.totalled(snapshot, word)
        save(self._book)
