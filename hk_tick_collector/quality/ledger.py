"""The loss ledger of one day: every statement on `gaps`, `doubts`, `exchange_totals`, and what was to be recorded.

Owns these rows, and applies the rules of `continuity` to them. Never touches a tick, never commits: what it writes
stands in the transaction of the ticks that it was concluded from. Invariants: a gap is never deleted; each place in
the journal is judged once, so a replay changes nothing; all times are of the journal's records, never of a clock.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hk_tick_collector.batch import News
from hk_tick_collector.hktime import DAY_MS, PRE_OPENING_MS, may_trade_between, parse_time, session_of
from hk_tick_collector.quality.bounds import (
    Loss,
    begin_of_loss,
    bounds,
    calm_ms,
    end_of_loss,
    last_rows,
    last_seq_shown,
)
from hk_tick_collector.quality.continuity import (
    MEASURED_ROWS_MAX,
    Pending,
    Stored,
    as_one,
    begins_the_day,
    hole_in,
    judge_totals,
    ordinals_count,
    window_proves,
)
from hk_tick_collector.quality.filling import BETWEEN, FETCHED, fill, how_it_came, mark_filled
from hk_tick_collector.quality.recovery import close_bounds, holes_behind, known_gaps, leave_open, take_recovered
from hk_tick_collector.quality.rows import Doubt, TotalsRow, Window
from hk_tick_collector.resumption import Cause, Resumption, gravest
from hk_tick_collector.schema import INT64_MAX

if TYPE_CHECKING:
    import apsw

    from hk_tick_collector.batch import Place
    from hk_tick_collector.opend.messages import DayTotals
    from hk_tick_collector.quality.continuity import Rise, TotalsVerdict

# But for polls: they may have overtaken pushes that then never came.
_LAST_RECEIVED_BY = (
    "SELECT seq, ts_ms, recv_ts_ms FROM ticks WHERE symbol = ? AND seq > 0 AND recv_ts_ms <= ? "
    "AND push_type_id <> 1 ORDER BY seq DESC LIMIT 1"
)
# The day's first tick, unless it came within an outage: what went missing in that one may be behind it.
_FIRST = """
SELECT seq FROM (SELECT seq, recv_ts_ms FROM ticks WHERE symbol = ? AND seq > 0 ORDER BY seq LIMIT 1)
WHERE NOT EXISTS (SELECT 1 FROM outages WHERE since_ms < recv_ts_ms AND resumed_ms >= recv_ts_ms)"""
_TS_MS = "SELECT ts_ms FROM ticks WHERE symbol = ? AND seq = ?"
_MEASURED = (
    f"SELECT seq, NOT {FETCHED} FROM ticks WHERE symbol = ? AND seq BETWEEN 1 AND ? "  # noqa: S608 - ours
    "ORDER BY seq DESC LIMIT ?"
)
# What was made good while nobody heard it is fetched, and then does not say what it is.
_COUNT_MADE_GOOD = f"SELECT count(*) FROM ticks WHERE symbol = ? AND seq > ? AND {FETCHED}"  # noqa: S608 - ours
# Not the last difference: a snapshot ahead of its ticks would take those for explained which then never came. Before
# the first snapshot of a day nothing is missing, or an outage before that one waits for its volume too.
_EXPLAINED = (
    "SELECT settled, settled_last_seq FROM exchange_totals WHERE symbol = ? AND at_ms <= ? ORDER BY at_ms DESC LIMIT 1"
)
_INSERT_TOTALS = "INSERT INTO exchange_totals VALUES (?,?,?,?,?,?,?,?,?,?,?) ON CONFLICT DO NOTHING"
_TOTALS_STAND = "UPDATE exchange_totals SET until_ms = max(until_ms, ?) WHERE symbol = ? AND at_ms = ?"
_INSERT_RECORDED = "INSERT INTO recorded VALUES (?,?) ON CONFLICT (symbol) DO UPDATE SET since_ms = min(since_ms, ?)"
_RESUMED_SINCE = "SELECT 1 FROM outages WHERE resumed_ms > ? LIMIT 1"
_INSERT_OUTAGE = "INSERT INTO outages VALUES (?,?,?,?) ON CONFLICT DO NOTHING"
_INSERT_TRADE_DATE = (
    "INSERT INTO trade_dates VALUES (?,?) ON CONFLICT (day) DO UPDATE SET date_type = excluded.date_type"
)
_DOUBTS = "SELECT * FROM doubts WHERE symbol = ? ORDER BY resumed_ms"
_INSERT_DOUBT = "INSERT INTO doubts VALUES (?,?,?,?,?,?,?,?,?) ON CONFLICT DO NOTHING"
_GAPS_WITHOUT_VOLUME = (
    "SELECT resumed_ms, difference_before FROM gaps WHERE symbol = ? AND state = 'open' "
    "AND evidence = 'ordinals' AND difference_before IS NOT NULL"
)
_TELL_VOLUME = (
    "UPDATE gaps SET missing_volume = ?, difference_before = NULL, after_seq = shown_after_seq, "
    "after_ts_ms = (SELECT ts_ms FROM ticks AS t WHERE t.symbol = gaps.symbol AND seq = shown_after_seq) "
    "WHERE symbol = ? AND resumed_ms = ? AND evidence = 'ordinals'"
)
_IS_TOLD = "SELECT 1 FROM gaps WHERE symbol = ? AND resumed_ms = ? AND cause = ?"
_INSERT_GAP = "INSERT INTO gaps VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,'open',NULL,NULL)"
# No more is missing than before it. Where it overlaps another that is open, or was when this was found, nobody knows to
# which the volume belongs, unless just so much was fetched inside of it.
_OPEN_BY_TOTALS = f"""
SELECT resumed_ms, cause, before_seq, after_seq FROM gaps AS g
WHERE symbol = ? AND state = 'open' AND evidence = 'totals' AND difference_before >= ? AND (
  missing_volume = (SELECT sum(volume) FROM ticks AS k WHERE k.symbol = g.symbol AND k.seq > ifnull(g.before_seq, 0)
    AND k.seq < ifnull(g.after_seq, {INT64_MAX}) AND k.recv_ts_ms > g.found_ms
    AND {FETCHED})
  OR NOT EXISTS (SELECT 1 FROM gaps AS o
    WHERE o.symbol = g.symbol AND (o.resumed_ms, o.cause) <> (g.resumed_ms, g.cause)
    AND (o.state = 'open' OR o.filled_ms > g.found_ms)
    AND (g.after_seq IS NULL OR ifnull(o.before_seq, 0) + 1 < g.after_seq)
    AND (o.after_seq IS NULL OR ifnull(g.before_seq, 0) + 1 < o.after_seq)))"""  # noqa: S608 - numbers of ours


class Ledger:
    """The ledger of one day database, within a transaction of its owner."""

    def __init__(self, con: apsw.Connection, day: str, news: list[News]) -> None:
        """Work on a day's database; what is found there is added to `news`."""
        self._con = con
        self._day = day
        self._news = news
        self._midnight_ms = parse_time(day + "000000").ms

    def _all(self, sql: str, values: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
        return self._con.execute(sql, values).fetchall()

    def is_judged(self, place: Place, recv_ts_ms: int) -> bool:
        """Whether this place of the journal was judged before. A journal that began anew has later times."""
        row = self._all("SELECT segment, offset, frame, recv_ts_ms FROM judged")
        return bool(row) and tuple(place) <= row[0][:3] and recv_ts_ms <= row[0][3]

    def note_judged(self, place: Place, recv_ts_ms: int) -> None:
        """It is now."""
        self._con.execute(
            "INSERT INTO judged VALUES (1,?,?,?,?) ON CONFLICT (one) DO UPDATE SET segment = excluded.segment, "
            "offset = excluded.offset, frame = excluded.frame, recv_ts_ms = max(recv_ts_ms, excluded.recv_ts_ms)",
            (*place, recv_ts_ms),
        )

    def note_trade_date(self, date_type: str) -> None:
        """How long the exchange trades on this day, by OpenD's calendar."""
        self._con.execute(_INSERT_TRADE_DATE, (self._day, date_type))

    # ---- the stream has resumed

    def resumed(self, event: Resumption, at_ms: int) -> None:
        """A doubt for each symbol, unless Hong Kong can't have traded since the stream was proven.

        On a day before that of the event the outage lasts to that day's end, and there is no doubt of a symbol whose
        totals were seen after its last trade.

        Args:
            event: what the session said.
            at_ms: when.
        """
        offset_ms = event.clock_offset_ms
        end_ms = min(at_ms + offset_ms, self._midnight_ms + DAY_MS - 1)
        is_over = end_ms < at_ms + offset_ms
        proven_ms = at_ms if event.since_ms is None else event.since_ms
        self._con.execute(_INSERT_OUTAGE, (at_ms, str(event.cause), event.since_ms, len(event.symbols)))
        for symbol in event.symbols:
            before = self._all(_LAST_RECEIVED_BY, (symbol, proven_ms))
            before_seq, before_ts_ms, last_recv_ms = before[0] if before else (None, None, None)
            if is_over:
                last = last_rows(self._con, symbol, 1)
                seen_ms = last[0].until_ms if last else self._midnight_ms
                if not may_trade_between(seen_ms, end_ms):
                    continue
            else:
                self._con.execute(_INSERT_RECORDED, (symbol, at_ms, at_ms))
            begin_ms = event.since_ms if event.since_ms is not None else last_recv_ms
            opens_ms = self._midnight_ms + PRE_OPENING_MS
            begin_ms = opens_ms if begin_ms is None else max(begin_ms + offset_ms, opens_ms)
            if not may_trade_between(begin_ms, end_ms):
                continue
            differences = self._all(_EXPLAINED, (symbol, at_ms))
            difference, compared_seq = differences[0] if differences else (0, None)
            session = session_of(begin_ms if event.since_ms is not None or before_ts_ms is None else before_ts_ms)
            bounds = (session, before_seq, before_ts_ms, difference, compared_seq)
            self._doubt(Doubt(symbol, at_ms, str(event.cause), event.since_ms, *bounds))

    def _doubt(self, doubt: Doubt) -> None:
        """Keep a doubt. One that begins behind the same tick is the same outage, which goes on."""
        for other in self._doubts(doubt.symbol):
            if other.before_seq == doubt.before_seq:
                cause = str(gravest(Cause(other.cause), Cause(doubt.cause)))
                self._con.execute(
                    "UPDATE doubts SET cause = ? WHERE symbol = ? AND resumed_ms = ?",
                    (cause, other.symbol, other.resumed_ms),
                )
                return
        self._con.execute(_INSERT_DOUBT, doubt)

    def _doubts(self, symbol: str) -> list[Doubt]:
        return [Doubt(*row) for row in self._all(_DOUBTS, (symbol,))]

    # ---- a window of OpenD's memory

    def windowed(self, symbol: str, window: Window, at_ms: int) -> None:
        """A backfill's reply: it may prove what was doubted, or ordinals may show what is missing."""
        close_bounds(self._con, symbol)
        for doubt in self._doubts(symbol):
            if self._is_proven(doubt, window):
                self._drop(doubt)
            elif doubt.before_seq is not None and window.last_seq > doubt.before_seq:
                self._judge_by_ordinals(doubt, doubt.before_seq, window.last_seq, at_ms)

    def _is_proven(self, doubt: Doubt, window: Window) -> bool:
        if doubt.before_seq is not None:
            reaches_back = window.first_seq <= doubt.before_seq
        else:
            reaches_back = window.first_ts_ms < self._midnight_ms or begins_the_day(window.first_seq)
        ((made_good,),) = self._all(_COUNT_MADE_GOOD, (doubt.symbol, doubt.before_seq or 0))
        return window_proves(Cause(doubt.cause), reaches_back=reaches_back, made_good=made_good)

    def _judge_by_ordinals(self, doubt: Doubt, before_seq: int, last_seq: int, at_ms: int) -> None:
        measured = [
            Stored(seq, bool(is_live))
            for seq, is_live in self._all(_MEASURED, (doubt.symbol, before_seq, MEASURED_ROWS_MAX))
        ]
        if not ordinals_count(measured[::-1]):
            return
        # A push that was lost just before the outage would be in the same rise of the totals: it is looked for as well.
        first_seq = min(before_seq, doubt.compared_seq or 0)
        sequences = [seq for (seq,) in self._all(BETWEEN, (doubt.symbol, first_seq, last_seq))]
        if sequences[-1:] <= [before_seq]:
            return  # nothing of this day has come since: there is no other end
        # Of a hole over the outage itself no other gap can tell all, though its end may have come behind it.
        known = [(begin, min(end, before_seq)) for begin, end in known_gaps(self._con, doubt.symbol)]
        hole = hole_in(sequences, known)
        if hole is not None:
            after = (hole.after_seq, self._ts_ms(doubt.symbol, hole.after_seq))
            cause = doubt.cause if hole.after_seq > before_seq else str(Cause.UNKNOWN)
            gap = doubt._replace(cause=cause)
            self._gap(self._from(gap, hole.before_seq), after, hole.missing, None, at_ms)
        self._drop(doubt)

    def _from(self, doubt: Doubt, before_seq: int | None) -> Doubt:
        """The same with another beginning."""
        return doubt._replace(before_seq=before_seq, before_ts_ms=self._ts_ms(doubt.symbol, before_seq))

    def _unknown(self, last: TotalsRow, before_seq: int | None, difference_before: int | None) -> Doubt:
        """What has gone missing without an outage."""
        before_ts_ms = self._ts_ms(last.symbol, before_seq)
        bounded = (session_of(before_ts_ms or last.at_ms), before_seq, before_ts_ms, difference_before, None)
        return Doubt(last.symbol, last.at_ms, str(Cause.UNKNOWN), None, *bounded)

    def _ts_ms(self, symbol: str, seq: int | None) -> int | None:
        rows = self._all(_TS_MS, (symbol, seq))
        return rows[0][0] if rows else None

    def _undecided(self, symbol: str) -> list[Doubt]:
        """The doubts, but for those before the day's first trade: nothing is missing there, if that one is stored."""
        undecided = []
        for doubt in self._doubts(symbol):
            first = self._all(_FIRST, (symbol,)) if doubt.before_seq is None else []
            if first and begins_the_day(first[0][0]):
                self._drop(doubt)
            else:
                undecided.append(doubt)
        return undecided

    def _drop(self, doubt: Doubt) -> None:
        self._con.execute("DELETE FROM doubts WHERE symbol = ? AND resumed_ms = ?", (doubt.symbol, doubt.resumed_ms))

    def _gap(
        self, doubt: Doubt, after: tuple[int | None, int | None], missing: int | None, volume: int | None, at_ms: int
    ) -> None:
        evidence, shown = ("totals", None) if missing is None else ("ordinals", after[0])
        while self._all(_IS_TOLD, (doubt.symbol, doubt.resumed_ms, doubt.cause)):  # another, by the same snapshot
            doubt = doubt._replace(resumed_ms=doubt.resumed_ms + 1)
        self._con.execute(
            _INSERT_GAP, (*doubt[:7], *after, missing, volume, evidence, doubt.difference_before, shown, at_ms)
        )
        self._news.append(News(self._day, doubt.symbol, doubt.cause, doubt.session, missing, volume, evidence, None))

    # ---- the exchange's totals

    def totalled(self, totals: DayTotals, at_ms: int, opend_ms: int) -> None:
        """A snapshot of one symbol: it may prove what was doubted, show what is missing, or that it was filled.

        Args:
            totals: what the exchange counts.
            at_ms: when it was received, by the host's clock.
            opend_ms: the same by OpenD's.
        """
        con, symbol = self._con, totals.symbol
        ours = self._all(
            "SELECT volume_sum, turnover_sum, rows, last_seq FROM symbol_stats WHERE symbol = ?", (symbol,)
        )
        our_volume, our_turnover, our_rows, our_last_seq = ours[0] if ours else (0, 0.0, 0, None)
        our_turnover = round(our_turnover, 3)  # the sum's last digits depend on how ticks were cut into batches
        last = next(iter(last_rows(con, symbol, 1)), None)
        now = TotalsRow(
            symbol, at_ms, totals.volume, totals.turnover, our_volume, our_turnover, our_rows, our_last_seq,
            0, None, opend_ms,
        )  # fmt: skip
        close_bounds(con, symbol)  # what has come into a gap is known by its bounds
        least, most, is_calm, late, fetched = bounds(con, last, now)
        recovered = take_recovered(con, last, late) if last is not None and (late or fetched) else 0
        was_interrupted = last is None or bool(self._all(_RESUMED_SINCE, (last.at_ms,)))
        verdict = self._judge_totals(last, now, recovered, None if was_interrupted else least, most)
        if most <= verdict.settled and is_calm:
            settled_last_seq = our_last_seq
        else:
            settled_last_seq = last_seq_shown(con, now._replace(settled=verdict.settled))
        found = now._replace(settled=verdict.settled, settled_last_seq=settled_last_seq)
        # What was judged before an outage is no second word behind it.
        if last is None or found[2:-1] != last[2:-1] or (was_interrupted and most > verdict.settled):
            con.execute(_INSERT_TOTALS, found)
        else:
            con.execute(_TOTALS_STAND, (opend_ms, symbol, last.at_ms))
        if late or fetched or verdict.proven or verdict.rises:
            self._news += fill(con, self._day, [symbol])
        self._fill_by_totals(symbol, most, at_ms)

    def _judge_totals(
        self, last: TotalsRow | None, now: TotalsRow, recovered: int, least: int | None, most: int
    ) -> TotalsVerdict:
        symbol = now.symbol
        calm_since_ms = now.at_ms - calm_ms(last, now)
        doubts = {doubt.resumed_ms: doubt for doubt in self._undecided(symbol)}
        pending = [(doubt.resumed_ms, doubt.difference_before) for doubt in doubts.values()]
        pending += self._all(_GAPS_WITHOUT_VOLUME, (symbol,))
        verdict = judge_totals(
            last.settled - recovered if last else 0,
            least,
            most,
            [Pending(resumed, low) for resumed, low in sorted(pending) if low is not None],
        )
        for resumed in verdict.proven:
            if resumed > calm_since_ms:
                continue  # this one may not have counted yet what that has lost
            if resumed in doubts:
                self._drop(doubts[resumed])
            else:  # a gap that the totals know nothing of: what rises later is not its
                self._tell(symbol, resumed, None)
        for rise in verdict.rises:
            assert last is not None
            if not self._judge_rise(rise, doubts, last, now):
                return verdict._replace(settled=rise.low)
        return verdict

    def _judge_rise(self, rise: Rise, doubts: dict[int, Doubt], last: TotalsRow, now: TotalsRow) -> bool:
        """Turn doubts into a gap, tell a gap its volume, or, where there was no outage, find where ticks went.

        Returns:
            Whether the rise is explained now; False: not yet.
        """
        volume = rise.high - rise.low
        doubted = [doubts[resumed] for resumed in rise.outages if resumed in doubts]
        if rise.outages and not doubted:
            return self._tell_volume(rise, last, now)
        if doubted:
            first = doubted[0]
            cause = gravest(*(Cause(doubt.cause) for doubt in doubted))
            # What went missing since the totals before is in this, also before the outage itself.
            compared_seq = begin_of_loss(self._con, last.symbol, first.compared_seq, volume)
            known = first.before_seq is not None and compared_seq is not None
            begin = min(first.before_seq or 0, compared_seq or 0) if known else None
            gap = self._from(first._replace(cause=str(cause), difference_before=rise.low), begin)
            loss = Loss(-1, doubted[-1].resumed_ms, rise.high, volume)
        else:
            # Between the last snapshot that had nothing unexplained, and the first that had all of this.
            begin = begin_of_loss(self._con, last.symbol, last.settled_last_seq, volume)
            gap = self._unknown(last, begin, rise.low)
            loss = Loss(gap.before_seq or 0, 0, rise.high, volume)
        after = end_of_loss(self._con, loss, last, now)
        self._gap(gap, after, None, volume, now.at_ms)
        for doubt in doubted:
            self._drop(doubt)
        for resumed in set(rise.outages) - doubts.keys():  # gaps by ordinals: their volume is in this
            self._tell(last.symbol, resumed, None)
        return True

    def _tell_volume(self, rise: Rise, last: TotalsRow, now: TotalsRow) -> bool:
        """Tell gaps that only ordinals have shown their volume.

        Returns:
            Whether that could be: the last ticks may be missing as well, which ordinals tell when one has come behind.
        """
        symbol, volume = last.symbol, rise.high - rise.low
        end_seq, _ = end_of_loss(self._con, Loss(-1, rise.outages[-1], rise.high, volume), last, now)
        if end_seq is None:
            leave_open(self._con, symbol, rise.outages[-1])
            return False
        rest = as_one(holes_behind(self._con, symbol, rise.outages[-1], end_seq))
        if rest is not None:
            after = (rest.after_seq, self._ts_ms(symbol, rest.after_seq))
            self._gap(self._unknown(last, rest.before_seq, None), after, rest.missing, None, now.at_ms)
        # Of several together nobody knows which had how much; nor where something else went missing behind them.
        told = volume if len(rise.outages) == 1 and rest is None else None
        for resumed in rise.outages:
            self._tell(symbol, resumed, told)
        return True

    def _tell(self, symbol: str, resumed_ms: int, volume: int | None) -> None:
        """Tell a gap that ordinals have shown its volume, or that nobody will tell it: it ends where they say."""
        self._con.execute(_TELL_VOLUME, (volume, symbol, resumed_ms))

    # ---- what came late

    def _fill_by_totals(self, symbol: str, difference: int, at_ms: int) -> None:
        for resumed_ms, cause, before_seq, after_seq in self._all(_OPEN_BY_TOTALS, (symbol, difference)):
            _, how = how_it_came(self._con, symbol, before_seq or 0, after_seq or INT64_MAX)
            self._news.append(mark_filled(self._con, self._day, (symbol, resumed_ms, cause), at_ms, how))
