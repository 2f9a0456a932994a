"""Takes the journal's marks to the ledgers of the days that they concern.

Owns which day a resumption, a window or a snapshot belongs to, the clocks, what is to be recorded, and the resumptions
of days that have no database yet: a day's database is made by its first tick, never by an event, so that a holiday has
none. These waiting resumptions, and all else that later marks depend on, are in `journal/judge.json`, which is saved
before the cursor passes the marks that they came from.
"""

from __future__ import annotations

import json
import os
from collections import Counter
from contextlib import contextmanager
from datetime import date, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from hk_tick_collector import logs
from hk_tick_collector.errors import RefusedError, RemoteProtocolError
from hk_tick_collector.hktime import DAY_MS, PRE_OPENING_MS, day_before, day_begin_ms, hk_day
from hk_tick_collector.journal.events import Cause, ClockStepped, OpendState, Recording, Resumption, TotalsAsked
from hk_tick_collector.journal.marks import Place
from hk_tick_collector.ledger.clocks import Clocks
from hk_tick_collector.ledger.day import Ledger
from hk_tick_collector.ledger.past import LOOK_BACK_DAYS, LastWords, days_before
from hk_tick_collector.ledger.reckoning import Word
from hk_tick_collector.ledger.rows import Window
from hk_tick_collector.ledger.told import read_totals
from hk_tick_collector.mapping import PUSH_DATA_REALTIME, PUSH_DATA_TYPE, RECV_TS_MS, TS_MS
from hk_tick_collector.opend.market import market_word, may_trade
from hk_tick_collector.opend.messages import trade_dates
from hk_tick_collector.store.content_errors import of_day

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from hk_tick_collector.db import DayDatabase
    from hk_tick_collector.journal.marks import Mark
    from hk_tick_collector.ledger.past import Databases
    from hk_tick_collector.ledger.rows import Failure, News
    from hk_tick_collector.ledger.told import Told
    from hk_tick_collector.mapping import Row
    from hk_tick_collector.opend.messages import DayTotals

log = logs.get_logger()

FILE = "judge.json"
WAITING_MAX = 64  # reconnects before the first tick of a day; more add nothing
TRADE_DATES_MAX = 64
ASKED_MAX = 16  # requests for snapshots that are not answered yet
# For a symbol that has not traded today, this many snapshots after a resumption also go to the ledger of its last day:
# they are that day's last word, and two in a row are needed.
PAST_SNAPSHOTS = 3


class _Waiting(NamedTuple):
    """A resumption of a day that has no database yet."""

    day: str
    event: Resumption
    place: Place
    recv_ts_ms: int
    exchange_ms: int
    is_open: bool


class Judge:
    """Judges marks, in the journal's order."""

    def __init__(self, journal: Path, past_root: str = "", file: str = FILE) -> None:
        """Load the saved state.

        Args:
            journal: `DATA_ROOT/journal`.
            past_root: the directory of earlier days; "": `DATA_ROOT`.
            file: the name of the state file.
        """
        self._path = journal / file
        self._words = LastWords(Path(past_root) if past_root else journal.parent)
        self._waiting: list[_Waiting] = []
        self._resumed_day = ""
        self._clocks = Clocks()
        self._market: int | None = None  # OpenD's state of the Hong Kong market
        self._market_ms: int | None = None  # the newest update time of any symbol
        self._recording, self._recording_ms = Recording((), 0, {}), 0
        self._asked: dict[int, int] = {}  # when snapshots were asked for, by serial number
        self._trade_dates: dict[str, str] = {}
        self._dated: set[str] = set()  # days whose ledger has its trade date
        self._recorded: set[str] = set()  # days whose ledger has what is to be recorded
        self._past: Counter[str] = Counter()  # by symbol, snapshots that went to an earlier day since the resumption
        self._ledgers: dict[str, tuple[DayDatabase, Ledger]] = {}
        self._is_saved = True
        self.news: list[News] = []  # collected until the writer takes them
        self.failures: list[Failure] = []  # failed premises, collected until the writer takes them
        self._load()

    def heard(self, pushed: Mapping[str, list[Row]]) -> None:
        """Take pushed ticks as a clock: the differences of live trade times to the host's clock."""
        delays_ms = [
            row[TS_MS] - row[RECV_TS_MS]
            for rows in pushed.values()
            for row in rows
            if row[PUSH_DATA_TYPE] == PUSH_DATA_REALTIME
        ]
        if self._clocks.traded(delays_ms):
            self._is_saved = False

    def exchange_ms(self, recv_ts_ms: int) -> int:
        """The exchange's time at a reception: by two clocks; else by the newest trade, OpenD or the host."""
        return self._clocks.candidates(recv_ts_ms)[-1]

    def judge(self, mark: Mark, fetched: Mapping[str, list[Row]], databases: Databases) -> None:
        """Draw the conclusions from a mark.

        Args:
            mark: the mark; all ticks before it in the journal are inserted by now.
            fetched: for a window, its rows by symbol.
            databases: gives the databases of days, each in a transaction.
        """
        if mark.event is not None:
            self._take_event(mark, databases)
        elif mark.totals is not None:
            self._total(mark, read_totals(mark.totals), databases)
        elif mark.trade_dates is not None:
            self._date(mark.trade_dates)
            self._begin_today(mark.recv_ts_ms, databases)
        else:
            self._window(mark, fetched, databases)
        if self._clocks.is_trading:
            self._clocks.marked()
            self._is_saved = False

    def ledger(self, day: str, database: DayDatabase) -> Ledger:
        """The ledger of a day's database; it is kept as long as that database object is used."""
        held = self._ledgers.get(day)
        if held is None or held[0] is not database:
            held = self._ledgers[day] = (database, Ledger(database, self.news, self.failures))
        return held[1]

    @contextmanager
    def _judging(self, day: str, database: DayDatabase, mark: Mark | _Waiting) -> Iterator[Ledger | None]:
        """A day's ledger for one place in the journal; None: this place, or a later one, was judged before."""
        with of_day(day):
            ledger = self.ledger(day, database)
            is_new = not ledger.is_judged(mark.place, mark.recv_ts_ms)
            yield ledger if is_new else None
            if is_new:
                ledger.note_judged(mark.place, mark.recv_ts_ms)

    def begin(self, day: str, database: DayDatabase) -> None:
        """Write what waits for a day into its database; call this within a transaction."""
        with of_day(day):
            self._begin(day, database)

    def _begin(self, day: str, database: DayDatabase) -> None:
        if day in self._trade_dates and day not in self._dated:
            self.ledger(day, database).note_trade_date(self._trade_dates[day])
            self._dated.add(day)
        for waiting in self._waiting:
            if waiting.day == day:
                self._resume_in(day, database, waiting)
        if self._recording.symbols and day not in self._recorded and day >= self._resumed_day:
            self._recorded.add(day)
            since_ms = max(day_begin_ms(day), self._recording_ms)
            recording = self._recording
            self.ledger(day, database).note_recording(recording.symbols, recording.without, since_ms)

    def committed(self, days: Iterable[str]) -> None:
        """Forget what waited for these days: their transactions are committed."""
        gone = set(days)
        kept = [waiting for waiting in self._waiting if waiting.day not in gone]
        if len(kept) < len(self._waiting):
            self._waiting = kept
            self._is_saved = False

    def save(self) -> None:
        """Save the state, before the cursor advances."""
        if self._is_saved:
            return
        told = {
            "waiting": [w._replace(event=w.event.fields()) for w in self._waiting],  # type: ignore[arg-type]
            "resumed_day": self._resumed_day,
            "clocks": self._clocks.fields(),
            "market": self._market,
            "market_ms": self._market_ms,
            "recording": {**self._recording.fields(), "at_ms": self._recording_ms},
            "asked": list(self._asked.items()),
            "trade_dates": self._trade_dates,
            "past": self._past,
        }
        temporary = self._path.with_name(self._path.name + ".tmp")
        temporary.write_text(json.dumps(told), encoding="utf-8")
        temporary.replace(self._path)
        self._is_saved = True

    def _load(self) -> None:
        try:
            told: dict[str, Any] = json.loads(self._path.read_text(encoding="utf-8"))
            waiting = [
                _Waiting(day, Resumption.of(fields), Place(*place), int(at), int(exchange_ms), bool(is_open))
                for day, fields, place, at, exchange_ms, is_open in told["waiting"]
            ]
            resumed_day, clocks = str(told["resumed_day"]), Clocks.of(told["clocks"])
            recording, recording_ms = Recording.of(told["recording"]), int(told["recording"]["at_ms"])
            asked = {int(serial_no): int(at_ms) for serial_no, at_ms in told["asked"]}
            market, market_ms = (None if told[name] is None else int(told[name]) for name in ("market", "market_ms"))
            dates = {str(day): str(date_type) for day, date_type in told["trade_dates"].items()}
            past = Counter({str(symbol): int(times) for symbol, times in told["past"].items()})
        except FileNotFoundError:
            return
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError, OverflowError) as exc:
            log.error("judge_state_unreadable", path=self._path, error=exc)
            return
        self._waiting, self._resumed_day, self._clocks, self._trade_dates = waiting, resumed_day, clocks, dates
        self._recording, self._recording_ms = recording, recording_ms
        self._asked, self._market, self._market_ms = asked, market, market_ms
        self._past = past

    # ---- events

    def _take_event(self, mark: Mark, databases: Databases) -> None:
        event = mark.event
        self._is_saved = False
        if isinstance(event, Resumption):
            self._resume(event, mark, databases)
        elif isinstance(event, OpendState):
            self._market = event.market
            self._clocks.told(event.clock_offset_ms)
            self._note_clock("opend_offset", event.clock_offset_ms, mark, databases)
        elif isinstance(event, ClockStepped):
            self._clocks.stepped(event.step_ms, mark.place)
            self._note_clock("host_step", event.step_ms, mark, databases)
        elif isinstance(event, TotalsAsked):
            self._asked[event.serial_no] = event.asked_ms
            while len(self._asked) > ASKED_MAX:
                del self._asked[next(iter(self._asked))]
        elif isinstance(event, Recording):
            self._record(event, mark.recv_ts_ms)
            self._begin_today(mark.recv_ts_ms, databases)

    def _record(self, recording: Recording, at_ms: int) -> None:
        """Note what is to be recorded from now on."""
        self._recording, self._recording_ms = recording, at_ms
        self._recorded.clear()

    def _begin_today(self, recv_ts_ms: int, databases: Databases) -> None:
        """Write what is known now into today's database, if there is one."""
        today = hk_day(self.exchange_ms(recv_ts_ms))
        if (database := databases(today)) is not None:
            self.begin(today, database)

    def _note_clock(self, name: str, value_ms: int | None, mark: Mark, databases: Databases) -> None:
        today = hk_day(self.exchange_ms(mark.recv_ts_ms))
        if value_ms is not None and (database := databases(today)) is not None:
            with self._judging(today, database, mark) as ledger:
                if ledger is not None:
                    ledger.note_clock(name, value_ms)

    def _resume(self, event: Resumption, mark: Mark, databases: Databases) -> None:
        """Take a resumption to its day, or let it wait for that day's first tick; then to the last day before."""
        candidates = self._clocks.candidates(mark.recv_ts_ms)
        if self._clocks.opend_offset_ms is None:
            candidates = [mark.recv_ts_ms + event.clock_offset_ms]
        self._past.clear()
        is_open = self._market is not None and may_trade(market_word(self._market))
        # If clocks disagree about the day, each candidate gets the doubt: one too many does less harm than none.
        days = {hk_day(ms): ms for ms in reversed(candidates)}
        self._resumed_day = min(days)
        for day, exchange_ms in days.items():
            waiting = _Waiting(day, event, mark.place, mark.recv_ts_ms, exchange_ms, is_open)
            database = databases(day)
            if database is not None:
                self._resume_in(day, database, waiting)
            elif waiting not in self._waiting:
                newer = [other for other in self._waiting if other.day >= self._resumed_day]  # else a holiday
                self._waiting = [*newer, waiting][-WAITING_MAX:]
        today = _Waiting(self._resumed_day, event, mark.place, mark.recv_ts_ms, min(candidates), is_open)
        self._resume_before(today, databases)
        # Only now, after the doubts: these depend on which symbols were to be recorded before this resumption.
        if event.cause is not Cause.NOT_SUBSCRIBED or not self._recording.symbols:
            # The session reports what OpenD does not give only when that changes, so what is known of it is kept.
            without = {symbol: why for symbol, why in self._recording.without.items() if symbol in event.symbols}
            self._record(Recording(event.symbols, 0, without), mark.recv_ts_ms)
        for day in days:
            if (database := databases(day)) is not None:
                self.begin(day, database)

    def _resume_before(self, waiting: _Waiting, databases: Databases) -> None:
        """Take a resumption to the last recorded day as well: the outage may have begun before that day's close."""
        event = waiting.event
        before = None if event.since_ms is None else hk_day(event.since_ms + waiting.exchange_ms - waiting.recv_ts_ms)
        for earlier in days_before(self._resumed_day):
            if before is not None and earlier < before:
                break
            database = databases(earlier)
            if database is not None:
                self._resume_in(earlier, database, waiting)
            path = self._path.parent.parent / f"{earlier}.db"
            if os.path.lexists(path):
                break  # also if it is sealed: older days are not touched

    def _resume_in(self, day: str, database: DayDatabase, waiting: _Waiting) -> None:
        with self._judging(day, database, waiting) as ledger:
            if ledger is not None:
                ledger.resumed(waiting.event, waiting.recv_ts_ms, waiting.exchange_ms, is_open=waiting.is_open)

    # ---- windows

    def _window(self, mark: Mark, fetched: Mapping[str, list[Row]], databases: Databases) -> None:
        """Take a backfill's reply to the days of its ticks, and to today, for each symbol."""
        for symbol, rows in fetched.items():
            real = [(seq, ts_ms) for _, seq, ts_ms, *_ in rows if seq > 0]
            if not real:
                continue
            (first_seq, first_ts_ms), (last_seq, last_ts_ms) = min(real), max(real)
            # If a symbol has not traded today, all its ticks are of earlier days: that is evidence about today, too.
            its_days = {hk_day(first_ts_ms), hk_day(last_ts_ms), self._resumed_day}
            its_days |= {hk_day(ms) for ms in self._clocks.candidates(mark.recv_ts_ms)}
            for day in sorted(its_days - {""}):
                database = databases(day)
                if database is None:
                    continue
                with self._judging(day, database, mark) as ledger:
                    if ledger is not None:
                        its = {seq for seq, ts_ms in real if hk_day(ts_ms) == day}
                        window = Window(first_seq, last_seq, first_ts_ms, len(its))
                        ledger.windowed(symbol, window, mark.recv_ts_ms)

    # ---- totals

    def _total(self, mark: Mark, told: list[Told], databases: Databases) -> None:
        """Take a snapshot reply to the days of its totals, with what is known of the time when it came."""
        asked_ms = self._asked.pop(mark.serial_no, None)
        agreed_ms = self._clocks.exchange_ms(mark.recv_ts_ms)
        own_times = [one.own_ms for one in told if one.own_ms is not None]
        limit_ms = max(self._clocks.candidates(mark.recv_ts_ms)) + DAY_MS
        newest_ms = max((ms for ms in own_times if ms <= limit_ms), default=None)
        if newest_ms is not None and newest_ms > (self._market_ms or 0):
            self._market_ms = newest_ms
        self._is_saved = False
        for day, its_totals in sorted(self._by_day(told, mark.recv_ts_ms, databases).items()):
            database = databases(day)
            if database is None:
                continue
            with self._judging(day, database, mark) as ledger:
                if ledger is not None:
                    ledger.totalled(its_totals, Word(mark.place, mark.recv_ts_ms, asked_ms, agreed_ms, self._market_ms))

    def _by_day(
        self, told: list[Told], recv_ts_ms: int, databases: Databases
    ) -> dict[str, list[tuple[DayTotals, int | None]]]:
        """Totals by their day. An earlier day's last word also counts for today: nothing was traded since."""
        # If clocks disagree about the day, no day gets "nothing was traded today".
        candidates = {hk_day(ms) for ms in self._clocks.candidates(recv_ts_ms)}
        today = min(candidates)
        opens_ms = day_begin_ms(today) + PRE_OPENING_MS
        oldest = day_before(today, LOOK_BACK_DAYS)
        days: dict[str, list[tuple[DayTotals, int | None]]] = {}
        for day, own_ms, totals in told:
            if day is not None and day not in candidates and day > max(candidates):
                continue  # of a day that is in the future by all clocks
            if day is None or day < today:
                is_last = day is not None and self._words.is_last(day, totals, recv_ts_ms, opens_ms, databases)
                if len(candidates) == 1 and (is_last or (day is None and not totals.volume)):
                    days.setdefault(today, []).append((totals._replace(volume=0, turnover=0.0), None))
                if day is None or day < oldest:
                    continue
                self._past[totals.symbol] += 1
                if self._past[totals.symbol] > PAST_SNAPSHOTS:
                    continue
            days.setdefault(day, []).append((totals, own_ms))
        return days

    def _date(self, body: bytes) -> None:
        """Take OpenD's calendar: a day between its first and last that it does not name is no trading day."""
        try:
            told = trade_dates(body)
        except (RefusedError, RemoteProtocolError):  # the session reports it
            return
        if not told:
            return
        day, last = (date.fromisoformat(text) for text in (min(told), max(told)))
        dates = dict(self._trade_dates)
        for _ in range(TRADE_DATES_MAX):
            if day > last:
                break
            name = day.strftime("%Y%m%d")
            dates[name] = told.get(name, "none")
            day += timedelta(days=1)
        changed = {name for name, date_type in dates.items() if self._trade_dates.get(name) != date_type}
        if changed:
            self._trade_dates = dict(sorted(dates.items())[-TRADE_DATES_MAX:])
            self._dated -= changed
            self._is_saved = False
