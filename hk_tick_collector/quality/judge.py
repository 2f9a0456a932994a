"""What stands in the journal between the ticks, brought to the ledgers of the days that it concerns.

Owns which day a resumption, a window or a snapshot belongs to, and the resumptions of days that have no database yet:
a day's database is made by its first tick, never by an event, so that a holiday has none. What waits, and what else
later marks are judged by, stands in `journal/judge.json`, which is put down before the cursor passes it.
"""

from __future__ import annotations

import json
from collections import Counter
from datetime import date, timedelta
from typing import TYPE_CHECKING, Any

from hk_tick_collector import logs
from hk_tick_collector.batch import Place
from hk_tick_collector.errors import BadTickError, RemoteProtocolError
from hk_tick_collector.hktime import DAY_MS, hk_day, parse_time
from hk_tick_collector.opend.messages import RefusedError, day_totals, trade_dates
from hk_tick_collector.quality.ledger import Ledger
from hk_tick_collector.quality.rows import Window
from hk_tick_collector.resumption import Resumption

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from pathlib import Path

    from hk_tick_collector.batch import Mark, News
    from hk_tick_collector.db import DayDatabase
    from hk_tick_collector.mapping import Row
    from hk_tick_collector.opend.messages import DayTotals

    # The database of a day, in a transaction; None where there is none yet.
    Databases = Callable[[str], DayDatabase | None]

log = logs.get_logger()

FILE = "judge.json"
WAITING_MAX = 64  # reconnects before the first tick of a day; more than that tell nothing new
TRADE_DATES_MAX = 64
LOOK_BACK_DAYS = 12  # the longest time between two trading days, Lunar New Year's, and some
# Of a symbol that has not traded today, so many snapshots after a resumption are brought to its last day as well: its
# totals there are the last word, and two in a row are needed.
PAST_SNAPSHOTS = 3


class Judge:
    """Judges marks, in the journal's order."""

    def __init__(self, journal: Path) -> None:
        """Take up what was put down in `DATA_ROOT/journal`."""
        self._path = journal / FILE
        self._waiting: list[tuple[str, Resumption, Place, int]] = []
        self._resumed_day = ""
        self._offset_ms = 0  # OpenD's clock less the host's
        self._trade_dates: dict[str, str] = {}
        self._dated: set[str] = set()  # days that know theirs
        self._past: Counter[str] = Counter()  # snapshots since the resumption that were brought to a day before
        self._is_saved = True
        self.news: list[News] = []  # since somebody took them
        self._load()

    def judge(self, mark: Mark, fetched: Mapping[str, list[Row]], databases: Databases) -> None:
        """Draw the conclusions from a mark.

        Args:
            mark: what stands there.
            fetched: for a window, its rows; all that stands before it is inserted.
            databases: where to.
        """
        if mark.resumption is not None:
            self._resume(mark.resumption, mark.place, mark.recv_ts_ms, databases)
        elif mark.clock_offset_ms is not None:
            self._offset_ms = mark.clock_offset_ms
            self._is_saved = False
        elif mark.totals is not None:
            self._total(mark, _read_totals(mark.totals), databases)
        elif mark.trade_dates is not None:
            self._date(mark.trade_dates)
            today = hk_day(mark.recv_ts_ms + self._offset_ms)
            if (database := databases(today)) is not None:
                self.begin(today, database)
        else:
            self._window(mark, fetched, databases)

    def begin(self, day: str, database: DayDatabase) -> None:
        """A day's database is in a transaction: what waited for it goes in."""
        if day in self._trade_dates and day not in self._dated:
            Ledger(database.connection, day, self.news).note_trade_date(self._trade_dates[day])
            self._dated.add(day)
        for its_day, event, place, recv_ts_ms in self._waiting:
            if its_day == day:
                _resume(Ledger(database.connection, day, self.news), event, place, recv_ts_ms)

    def committed(self, days: Iterable[str]) -> None:
        """These days' transactions are committed: nothing waits for them any more."""
        gone = set(days)
        kept = [waiting for waiting in self._waiting if waiting[0] not in gone]
        if len(kept) < len(self._waiting):
            self._waiting = kept
            self._is_saved = False

    def save(self) -> None:
        """Put down what waits, before the cursor goes on."""
        if self._is_saved:
            return
        told = {
            "waiting": [(day, event.fields(), place, recv_ms) for day, event, place, recv_ms in self._waiting],
            "resumed_day": self._resumed_day,
            "clock_offset_ms": self._offset_ms,
            "trade_dates": self._trade_dates,
        }
        temporary = self._path.with_name(FILE + ".tmp")
        temporary.write_text(json.dumps(told))
        temporary.replace(self._path)
        self._is_saved = True

    def _load(self) -> None:
        try:
            told: dict[str, Any] = json.loads(self._path.read_text())
            waiting = [(day, Resumption.of(fields), Place(*place), at) for day, fields, place, at in told["waiting"]]
            resumed_day, offset_ms = str(told["resumed_day"]), int(told["clock_offset_ms"])
            dates = {str(day): str(date_type) for day, date_type in told["trade_dates"].items()}
        except FileNotFoundError:
            return
        except (ValueError, KeyError, TypeError, AttributeError) as exc:
            log.error("resumptions_unreadable", path=self._path, error=exc)
            return
        self._waiting, self._resumed_day, self._offset_ms, self._trade_dates = waiting, resumed_day, offset_ms, dates

    def _resume(self, event: Resumption, place: Place, recv_ts_ms: int, databases: Databases) -> None:
        day = hk_day(recv_ts_ms + event.clock_offset_ms)
        self._resumed_day, self._offset_ms = day, event.clock_offset_ms
        self._past.clear()
        self._is_saved = False
        database = databases(day)
        if database is not None:
            _resume(Ledger(database.connection, day, self.news), event, place, recv_ts_ms)
        elif (waiting := (day, event, place, recv_ts_ms)) not in self._waiting:
            newer = [other for other in self._waiting if other[0] >= day]  # no tick came: that was a holiday
            self._waiting = [*newer, waiting][-WAITING_MAX:]
        # Of that day nothing more will come; what it lacks at its end is known now, if at all.
        before = None if event.since_ms is None else hk_day(event.since_ms + event.clock_offset_ms)
        for earlier in _days_before(day):
            if before is not None and earlier < before:
                break
            database = databases(earlier)
            if database is not None:
                _resume(Ledger(database.connection, earlier, self.news), event, place, recv_ts_ms)
            if (self._path.parent.parent / f"{earlier}.db").exists():
                break  # also if it is sealed: nothing is said of days before that one

    def _window(self, mark: Mark, fetched: Mapping[str, list[Row]], databases: Databases) -> None:
        for symbol, rows in fetched.items():
            real = [(seq, ts_ms) for _, seq, ts_ms, *_ in rows if seq > 0]
            if not real:
                continue
            (first_seq, first_ts_ms), (last_seq, last_ts_ms) = min(real), max(real)
            window = Window(first_seq, last_seq, first_ts_ms)
            # Of a symbol that has not traded today all is of days before: that too says something of today.
            its_days = {hk_day(first_ts_ms), hk_day(last_ts_ms), hk_day(mark.recv_ts_ms), self._resumed_day}
            for day in sorted(its_days - {""}):
                database = databases(day)
                if database is None:
                    continue
                ledger = Ledger(database.connection, day, self.news)
                if not ledger.is_judged(mark.place, mark.recv_ts_ms):
                    ledger.windowed(symbol, window, mark.recv_ts_ms)
                    ledger.note_judged(mark.place, mark.recv_ts_ms)

    def _total(self, mark: Mark, totals: list[tuple[str, DayTotals]], databases: Databases) -> None:
        opend_ms = mark.recv_ts_ms + self._offset_ms
        for day, its_totals in sorted(self._by_day(totals, opend_ms).items()):
            database = databases(day)
            if database is None:
                continue
            ledger = Ledger(database.connection, day, self.news)
            if ledger.is_judged(mark.place, mark.recv_ts_ms):
                continue
            for symbol_totals in its_totals:
                ledger.totalled(symbol_totals, mark.recv_ts_ms, opend_ms)
            ledger.note_judged(mark.place, mark.recv_ts_ms)

    def _by_day(self, totals: list[tuple[str, DayTotals]], opend_ms: int) -> dict[str, list[DayTotals]]:
        """Totals by the day that they are of. Those of a day before say that nothing was traded today, too."""
        today, oldest = hk_day(opend_ms), hk_day(opend_ms - LOOK_BACK_DAYS * DAY_MS)
        days: dict[str, list[DayTotals]] = {}
        for day, symbol_totals in totals:
            if day < today:
                days.setdefault(today, []).append(symbol_totals._replace(volume=0, turnover=0.0))
                self._past[symbol_totals.symbol] += 1
                if day < oldest or self._past[symbol_totals.symbol] > PAST_SNAPSHOTS:
                    continue
            days.setdefault(day, []).append(symbol_totals)
        return days

    def _date(self, body: bytes) -> None:
        """OpenD's calendar: a day between its first and its last that it does not name is no trading day."""
        try:
            told = trade_dates(body)
        except (RefusedError, RemoteProtocolError):  # told by the session
            return
        if not told:
            return
        day, last = (date.fromisoformat(text) for text in (min(told), max(told)))
        dates = dict(self._trade_dates)
        while day <= last:
            name = day.strftime("%Y%m%d")
            dates[name] = told.get(name, "none")
            day += timedelta(days=1)
        changed = {name for name, date_type in dates.items() if self._trade_dates.get(name) != date_type}
        if changed:
            self._trade_dates = dict(sorted(dates.items())[-TRADE_DATES_MAX:])
            self._dated -= changed
            self._is_saved = False


def _resume(ledger: Ledger, event: Resumption, place: Place, recv_ts_ms: int) -> None:
    if not ledger.is_judged(place, recv_ts_ms):
        ledger.resumed(event, recv_ts_ms)
        ledger.note_judged(place, recv_ts_ms)


def _days_before(day: str) -> list[str]:
    """The days before this one, the newest first, as far back as there can be a trading day."""
    last = date.fromisoformat(day)
    return [(last - timedelta(days=n)).strftime("%Y%m%d") for n in range(1, LOOK_BACK_DAYS + 1)]


def _read_totals(body: bytes) -> list[tuple[str, DayTotals]]:
    """A snapshot's totals, each with the day that it is of: before the opening that may be the day before."""
    try:
        found = day_totals(body)
    except (RefusedError, RemoteProtocolError):  # told by the session
        return []
    totals = []
    for symbol_totals in found:
        try:
            totals.append((hk_day(parse_time(symbol_totals.time).ms), symbol_totals))
        except BadTickError:
            continue  # a security that was never traded has no time; it has no totals either
    return totals
