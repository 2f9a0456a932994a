"""What the exchange's totals show as they come: bounds on what is missing, new gaps, filled gaps, decided doubts.

Owns the table `exchange_totals`. `totals` computes the two bounds; this module draws the conclusions. What it keeps in
memory between two snapshots can be read back from the rows, so a restart changes nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

from hk_tick_collector.journal.events import Cause, gravest
from hk_tick_collector.ledger.book import Loss
from hk_tick_collector.ledger.counting import Counting, tolerance
from hk_tick_collector.ledger.filling import fill_by_ordinals, fill_by_totals, open_groups
from hk_tick_collector.ledger.ordinals import search
from hk_tick_collector.ledger.premises import Premise
from hk_tick_collector.ledger.rows import Doubt, TotalsRow
from hk_tick_collector.ledger.totals import (
    LATE_MS,
    SECOND_MS,
    Holding,
    counts_from_ms,
    counts_until_ms,
    key_at,
    least_missing,
    most_missing,
    revised,
    shares_since,
    ticks_between,
)
from hk_tick_collector.store.schema import INT64_MAX, storable

if TYPE_CHECKING:
    from collections.abc import Mapping

    from hk_tick_collector.journal.marks import Place
    from hk_tick_collector.ledger.book import Book
    from hk_tick_collector.ledger.filling import Group
    from hk_tick_collector.opend.messages import DayTotals

PENDING_MAX: Final = 30  # snapshots of a symbol whose lower bound is still to be computed

_STATS = "SELECT symbol, volume_sum, turnover_sum, rows, last_seq FROM symbol_stats"
_REVISED = "SELECT DISTINCT symbol FROM tick_revisions"
_OPEN = "SELECT DISTINCT symbol FROM gaps WHERE state = 'open' OR (after_seq IS NULL AND end_ms NOT NULL)"
_LAST_BEFORE = "SELECT max(seq) FROM ticks WHERE symbol = ? AND seq > 0 AND seq < ?"
_TOLD_BY_ORDINALS = (
    "SELECT max(after_ts_ms) FROM gaps WHERE symbol = ? AND state = 'open' AND evidence = 'ordinals' AND after_seq > ?"
)
_COLUMNS = ", ".join(TotalsRow._fields)
_INSERT = (
    f"INSERT INTO exchange_totals ({_COLUMNS}) VALUES ({','.join('?' * len(TotalsRow._fields))}) ON CONFLICT DO NOTHING"  # noqa: S608
)
_STILL = (
    "UPDATE exchange_totals SET until_ms = ?, confirmed_ms = ?, market_ms = ?, most = ?, untold = ?, untold_ms = ? "
    "WHERE symbol = ? AND at_ms = ? AND segment = ? AND offset = ?"
)
_LEAST = "UPDATE exchange_totals SET least = ?, exact = ? WHERE symbol = ? AND at_ms = ? AND segment = ? AND offset = ?"
_NEWEST = (
    f"SELECT {_COLUMNS} FROM exchange_totals WHERE symbol = ? "  # noqa: S608 - our own names
    "ORDER BY segment DESC, offset DESC LIMIT ?"
)
_GREATEST = "SELECT ifnull(max(volume), 0) FROM exchange_totals WHERE symbol = ?"
# Open gaps that reach into the time of a loss: it may lie in the same outage, beyond what they report.
_OF_THE_SAME = (
    "SELECT symbol, resumed_ms, cause, since_ms, session, before_seq, before_ts_ms FROM gaps WHERE symbol = ? "
    "AND state = 'open' AND evidence = 'totals' AND ifnull(end_ms, found_ms) >= ? ORDER BY resumed_ms"
)
# The last snapshot before a loss that showed no more to be missing than gaps report now: the loss came after it.
_SETTLED = (
    f"SELECT {_COLUMNS} FROM exchange_totals WHERE symbol = ? AND most BETWEEN 0 AND ? "  # noqa: S608
    "AND (segment, offset) < (?, ?) ORDER BY segment DESC, offset DESC LIMIT 1"
)
# The shares in gaps by ordinals are not known. The least `untold` of two snapshots after the last such gap bounds them.
_UNTOLD = (
    "SELECT untold, untold_ms FROM exchange_totals WHERE symbol = ? AND untold < ? AND untold_ms > ? "
    "AND (segment, offset) < (?, ?) ORDER BY untold, untold_ms DESC LIMIT 1"
)
# The greatest lower bound before an outage. The snapshot came before the last tick before it, in journal order.
_BEFORE = (
    f"SELECT {_COLUMNS} FROM exchange_totals WHERE symbol = ? AND least > 0 AND our_last_seq < ? "  # noqa: S608
    "AND may_ms NOT NULL ORDER BY least DESC LIMIT 1"
)


class Word(NamedTuple):
    """A reply with snapshots of many symbols: where and when it came.

    Attributes:
        place: in the journal.
        at_ms: when it came, by the host's clock.
        asked_ms: when it was asked for, by the host's clock; None: not known.
        exchange_ms: the exchange's time when it came, if two clocks agree on it; else None.
        market_ms: the newest update time of any symbol by then; None: no symbol had one.
    """

    place: Place
    at_ms: int
    asked_ms: int | None
    exchange_ms: int | None
    market_ms: int | None


class _Stored(NamedTuple):
    """What is stored of a symbol. One statement reads all symbols: statements are most of a snapshot's cost."""

    volume: int
    turnover: float
    rows: int
    last_seq: int | None


_NOTHING: Final = _Stored(0, 0.0, 0, None)


class _Watched:
    """What is kept of a symbol between two snapshots; all of it can be read back from its rows."""

    def __init__(self, newest: list[TotalsRow], volume_max: int) -> None:
        self.last = newest[0] if newest else None
        self.pending = [row for row in reversed(newest) if row.exact is None]  # else it is computed, or can't be
        self.volume_max = volume_max


class Reckoning:
    """Takes the snapshots of one day, as long as its database is open."""

    def __init__(self, book: Book, types: Mapping[str, set[int]]) -> None:
        """Write into a day's book; `types`: by symbol, the types of ticks that it has had by now, kept up to date."""
        self._book = book
        self._con = book.con
        self._watched: dict[str, _Watched] = {}
        self._counting = Counting(book.con, types)
        self._revised: set[str] = set()  # symbols that have revisions
        self._open: set[str] = set()  # symbols that have open gaps, or gaps without an end
        self._rows: list[tuple[Any, ...]] = []  # to be inserted or updated at the end of a reply, all symbols together
        self._still: list[tuple[Any, ...]] = []
        self._least: list[tuple[Any, ...]] = []

    def last(self, symbol: str) -> TotalsRow | None:
        """The last snapshot of a symbol."""
        return self._watch(symbol).last

    def totalled(self, snapshot: list[tuple[DayTotals, int | None]], word: Word) -> None:
        """Take a snapshot of many symbols, each with its own time: it may show losses, fill gaps, drop doubts."""
        stored = {symbol: _Stored(*row) for symbol, *row in self._book.all(_STATS)}
        self._revised = {symbol for (symbol,) in self._book.all(_REVISED)}
        self._open = {symbol for (symbol,) in self._book.all(_OPEN)}
        for totals, own_ms in snapshot:
            self._total(totals, own_ms, word, stored.get(totals.symbol, _NOTHING))
        for statement, rows in ((_INSERT, self._rows), (_STILL, self._still), (_LEAST, self._least)):
            self._con.executemany(statement, rows)
            rows.clear()

    def _watch(self, symbol: str) -> _Watched:
        """What is kept of a symbol; read from its rows the first time."""
        watched = self._watched.get(symbol)
        if watched is None:
            newest = [TotalsRow(*row) for row in self._book.all(_NEWEST, (symbol, PENDING_MAX))]
            watched = self._watched[symbol] = _Watched(newest, self._book.all(_GREATEST, (symbol,))[0][0])
        return watched

    def _total(self, totals: DayTotals, own_ms: int | None, word: Word, ours: _Stored) -> None:
        """Take one symbol's snapshot: its own upper bound, and the lower bounds of earlier ones that are due now."""
        symbol = totals.symbol
        now = TotalsRow(
            symbol, word.at_ms, word.place.segment, word.place.offset, totals.volume, totals.turnover, own_ms,
            word.asked_ms, word.exchange_ms, ours.volume, round(ours.turnover, 3), ours.rows, ours.last_seq,
            until_ms=word.exchange_ms, market_ms=word.market_ms,
        )  # fmt: skip
        watched = self._watch(symbol)
        last, aged = watched.last, self._aged(watched, now)
        holding = self._holding(symbol, ours)
        groups = self._groups(symbol)
        most = self._most(now, watched, holding, sum(group.rest for group in groups))
        now = now._replace(most=most, may_ms=counts_until_ms(now))
        # Ordinals come before lower bounds: they show a loss to the tick, and `_lose` has to know the gaps they made.
        if aged and aged[-1].our_last_seq is not None and holding.is_timely:
            search(self._book, symbol, aged[-1].our_last_seq, aged[-1].at_ms, now.at_ms)
        if symbol in self._open:
            self._book.news += fill_by_ordinals(self._con, self._book.day, symbol)
            self._book.close_bounds(symbol)
        for row in aged:
            groups = self._take_least(row, holding, groups, now)
        # One snapshot may be late unnoticed: only two upper bounds in a row are believed.
        if last is not None and last.most is not None and most is not None and min(last.most, most) >= 0:
            now = self._take_most(now, last, groups, holding)
        self._keep(now, watched)

    def _holding(self, symbol: str, ours: _Stored) -> Holding:
        """What is stored of a symbol, with the effect of revisions, which few symbols have."""
        is_timely = symbol not in self._book.untimely
        if symbol not in self._revised:
            return Holding(ours.volume, ours.rows, ours.last_seq, {}, {}, is_timely=is_timely)
        more, less = revised(self._con, symbol)
        return Holding(ours.volume, ours.rows, ours.last_seq, more, less, is_timely=is_timely)

    def _groups(self, symbol: str) -> list[Group]:
        """The open gaps by totals of a symbol; most symbols have none, and cost no statement."""
        return open_groups(self._con, symbol) if symbol in self._open else []

    def _aged(self, watched: _Watched, now: TotalsRow) -> list[TotalsRow]:
        """Take the pending snapshots that are old enough: what was under way when they came has come by now."""
        # A negative age: the host's clock was set back. The true age is not known, and the snapshot does not wait.
        aged = [row for row in watched.pending if not 0 <= now.at_ms - row.at_ms < LATE_MS]
        watched.pending = [row for row in watched.pending if row not in aged]
        return aged

    def _most(self, now: TotalsRow, watched: _Watched, holding: Holding, level: int) -> int | None:
        """A snapshot's upper bound; None: it is late, a type is not proven to be counted, or a time is not known."""
        from_ms, last = counts_from_ms(now, now.exchange_ms), watched.last
        if from_ms is None or not self._counting.counts_all(now.symbol):
            return None
        if holding.is_timely:
            from_shares = shares_since(self._con, now.symbol, holding, key_at(from_ms))
        elif last is not None and last.our_rows == now.our_rows and (last.until_ms or from_ms) < from_ms:
            from_shares = 0  # nothing has come since the last snapshot, so all was traded before `from_ms`
        else:
            return None
        most = most_missing(now, holding, from_shares)
        # A day's volume never falls, and open gaps are known losses. A snapshot that contradicts either is late.
        if now.volume < watched.volume_max or most < level:
            seen = f"{now.volume} shares were told; at least {now.volume - most + level} had been traded 15 s before"
            self._book.fail(now.symbol, Premise.FRESH_SNAPSHOT, now.at_ms, seen)
            return most if most < 0 else None  # below 0 it bounds nothing, and is kept for the audit
        return most

    def _take_least(self, row: TotalsRow, holding: Holding, groups: list[Group], now: TotalsRow) -> list[Group]:
        """Compute a snapshot's lower bound, now that all before it has come. Returns the open gaps after that."""
        if holding.is_timely and row.may_ms is not None:
            after_shares = shares_since(self._con, row.symbol, holding, key_at(row.may_ms + SECOND_MS))
        elif row.our_rows == holding.rows:  # nothing has come since
            after_shares = 0
        else:  # it can't be computed: `exact` becomes 0, so that it is not tried again
            self._con.execute(_LEAST, (None, 0, row.symbol, row.at_ms, row.segment, row.offset))
            return groups
        least = least_missing(row, holding, after_shares)
        is_exact = not least and self._counting.can_learn(row.symbol) and self._is_exact(row, holding)
        values = (least, int(is_exact), row.symbol, row.at_ms, row.segment, row.offset)
        if is_exact:
            self._con.execute(_LEAST, values)  # immediately: `Counting.saw` of the next exact snapshot reads it
            self._counting.saw(row)
        else:
            self._least.append(values)
        level = sum(group.rest for group in groups)
        if least > level and self._lose(row, least - level, level, now):
            self._open.add(row.symbol)
            return open_groups(self._con, row.symbol)
        return groups

    def _is_exact(self, row: TotalsRow, holding: Holding) -> bool:
        """Whether a snapshot is exactly what was stored, and no tick is between what it must and what it may count."""
        from_ms = counts_from_ms(row, row.exchange_ms)
        if row.may_ms is None or from_ms is None or not holding.is_timely or row.volume != row.our_volume:
            return False
        if abs(row.turnover - row.our_turnover) > tolerance(row.our_rows):
            return False
        begin_key = key_at(from_ms)
        if (holding.last_seq or 0) < begin_key:
            return True
        return not ticks_between(self._con, row.symbol, begin_key, key_at(row.may_ms + SECOND_MS))

    def _lose(self, row: TotalsRow, volume: int, level: int, now: TotalsRow) -> bool:
        """Write a gap for shares that are missing beyond the level. Returns whether one was written.

        Args:
            row: the snapshot that shows the loss.
            volume: at least how many shares are missing beyond the level.
            level: how many shares open gaps by totals report.
            now: the snapshot that has just come; the loss is found now.
        """
        symbol = row.symbol
        # By the last snapshot without this loss, all that it must have counted is stored or in gaps: the loss is later.
        settled = [TotalsRow(*one) for one in self._book.all(_SETTLED, (symbol, level, row.segment, row.offset))]
        begin_ms = counts_from_ms(settled[0], settled[0].until_ms) if settled else None
        begin = self._last_before(symbol, begin_ms)
        doubts = self._book.doubts(symbol)
        over = [doubt for doubt in doubts if doubt.resumed_ms <= row.at_ms]
        # An outage that began soon after the snapshot counts, too: pushes that were under way were lost with it.
        late_ms = row.at_ms + LATE_MS
        going_on = [
            doubt for doubt in doubts if (doubt.since_ms or INT64_MAX) <= late_ms and row.at_ms < doubt.resumed_ms
        ]
        by_ordinals_ms = self._book.all(_TOLD_BY_ORDINALS, (symbol, begin or 0))[0][0]
        if by_ordinals_ms is not None:
            bounds = (symbol, volume, by_ordinals_ms + SECOND_MS, row.segment, row.offset)
            bounded = self._book.all(_UNTOLD, bounds)
            if not bounded or row.exchange_ms is None:
                return False  # all of it may be in the gaps by ordinals
            # Only what exceeds that bound is a new loss. It is later than what the bound covers, and so is its outage.
            untold, since_ms = bounded[0]
            volume, begin_ms = volume - untold, since_ms
            begin = self._last_before(symbol, since_ms)
            over = [doubt for doubt in over if doubt.resumed_ms + row.exchange_ms - row.at_ms > since_ms]
        # The loss may be in any of these outages, so the gravest cause is named.
        told = [Doubt(*gap) for gap in self._book.all(_OF_THE_SAME, (symbol, begin_ms or 0))]
        outages = sorted([*over, *going_on, *told], key=lambda one: one.resumed_ms)
        cause = gravest(*(Cause(one.cause) for one in outages)) if outages else Cause.UNKNOWN
        first = outages[0] if outages else Doubt(symbol, row.at_ms, str(cause), None, "", None, None)
        gap = first._replace(cause=str(cause), before_seq=begin, before_ts_ms=self._book.ts_ms(symbol, begin))
        end_ms = row.may_ms if row.may_ms is not None else row.at_ms
        self._book.gap(gap, Loss(None, end_ms, None, storable(volume), now.at_ms))
        self._book.close_bounds(symbol)
        for doubt in over:  # the gap stands for them; outages still going on stay in doubt
            self._book.drop(doubt)
        return True

    def _last_before(self, symbol: str, ms: int | None) -> int | None:
        """The last stored sequence from before a time of the exchange."""
        last: int | None = None if ms is None else self._book.all(_LAST_BEFORE, (symbol, key_at(ms)))[0][0]
        return last

    def _take_most(self, now: TotalsRow, last: TotalsRow, groups: list[Group], holding: Holding) -> TotalsRow:
        """Conclude from two upper bounds in a row: fill gaps, drop doubts. Returns `now`, with `untold`."""
        symbol, most, seen_ms = now.symbol, max(last.most or 0, now.most or 0), counts_from_ms(last, last.until_ms)
        if now.exchange_ms is None or seen_ms is None:
            return now
        # Both must have counted the trades before `seen_ms`, and the greater bound holds for both.
        offset_ms = now.exchange_ms - now.at_ms
        now = now._replace(untold=storable(max(0, most - sum(group.rest for group in groups))), untold_ms=seen_ms)
        if groups:
            self._book.news += fill_by_totals(self._con, self._book.day, symbol, groups, most, seen_ms)
            groups = open_groups(self._con, symbol)
        is_told = most <= sum(group.rest for group in groups)
        for doubt in self._book.doubts(symbol):
            if doubt.resumed_ms + offset_ms <= seen_ms and (
                is_told or self._is_of_before(doubt, most, groups, holding)
            ):
                self._book.drop_by_totals(doubt, now.at_ms)
        return now

    def _is_of_before(self, doubt: Doubt, most: int, groups: list[Group], holding: Holding) -> bool:
        """Whether an outage lost nothing: all that is missing was missing before it, or is in gaps that begin later.

        What was missing before it comes from the earlier snapshot with the greatest lower bound. That bound is computed
        again from what is stored now, so that ticks which have filled an older gap since do not count as missing.
        """
        if doubt.before_seq is None or not holding.is_timely:
            return False
        before = self._book.all(_BEFORE, (doubt.symbol, doubt.before_seq))
        if not before:
            return False
        row = TotalsRow(*before[0])
        end_key = key_at((row.may_ms or 0) + SECOND_MS)
        least = least_missing(row, holding, shares_since(self._con, row.symbol, holding, end_key))
        return most - least <= sum(group.rest for group in groups if group.gaps[0].begin >= end_key)

    def _keep(self, now: TotalsRow, watched: _Watched) -> None:
        """Queue a snapshot to be stored; if it repeats the last one, only that row's times and bounds are updated."""
        last = watched.last
        # The fields `volume` to `own_ms`, and `our_volume` to `our_last_seq`.
        if last is not None and now[4:7] == last[4:7] and now[9:13] == last[9:13]:
            untold = (last if now.untold is None else now)[-2:]
            still = last._replace(
                until_ms=now.until_ms,
                confirmed_ms=last.until_ms,
                market_ms=now.market_ms,
                most=now.most,
                untold=untold[0],
                untold_ms=untold[1],
            )
            values = (still.until_ms, still.confirmed_ms, still.market_ms, still.most, still.untold, still.untold_ms)
            self._still.append((*values, still.symbol, still.at_ms, still.segment, still.offset))
            watched.last = still
            watched.pending = [still if row[:4] == still[:4] else row for row in watched.pending]
            return
        self._rows.append(now)
        watched.last = now
        watched.volume_max = max(watched.volume_max, now.volume)
        watched.pending = [*watched.pending, now][-PENDING_MAX:]
