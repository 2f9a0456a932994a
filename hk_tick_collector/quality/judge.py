"""What stands in the journal between the ticks, brought to the ledgers of the days that it concerns.

Owns which day a resumption, a window or a snapshot belongs to, and the resumptions of days that have no database yet:
a day's database is made by its first tick, never by an event, so that a holiday has none. These wait in
`journal/resumed.json`, which is put down before the cursor passes them.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from hk_tick_collector import logs
from hk_tick_collector.batch import Place
from hk_tick_collector.errors import BadTickError, RemoteProtocolError
from hk_tick_collector.hktime import hk_day, parse_time
from hk_tick_collector.opend.messages import RefusedError, day_totals
from hk_tick_collector.quality.ledger import Ledger, Window
from hk_tick_collector.resumption import Resumption

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from pathlib import Path

    from hk_tick_collector.batch import Mark
    from hk_tick_collector.db import DayDatabase
    from hk_tick_collector.mapping import Row
    from hk_tick_collector.opend.messages import DayTotals

    # The database of a day, in a transaction; None where there is none yet.
    Databases = Callable[[str], DayDatabase | None]

log = logs.get_logger()

FILE = "resumed.json"
WAITING_MAX = 64  # reconnects before the first tick of a day; more than that tell nothing new


class Judge:
    """Judges marks, in the journal's order."""

    def __init__(self, journal: Path) -> None:
        """Take up what waits in `DATA_ROOT/journal`."""
        self._path = journal / FILE
        self._waiting: list[tuple[str, Resumption, Place, int]] = []
        self._is_saved = True
        self._resumed_day = ""
        self._load()

    def judge(self, mark: Mark, fetched: Mapping[str, list[Row]], databases: Databases) -> None:
        """Draw the conclusions from a mark.

        Args:
            mark: what stands there.
            fetched: for a window, its rows; all that stands before it is inserted.
            databases: where to.
        """
        if mark.resumption is not None:
            day = hk_day(mark.recv_ts_ms + mark.resumption.clock_offset_ms)
            self._resumed_day = day
            self._resume(day, mark.resumption, mark.place, mark.recv_ts_ms, databases)
        elif mark.totals is not None:
            self._total(mark, _read_totals(mark.totals), databases)
        else:
            self._window(mark, fetched, databases)

    def begin(self, day: str, database: DayDatabase) -> None:
        """A day's database is there: what waited for it goes in."""
        mine = [waiting for waiting in self._waiting if waiting[0] == day]
        if not mine:
            return
        ledger = Ledger(database.connection, day)
        for _, event, place, recv_ts_ms in mine:
            if not ledger.is_judged(place, recv_ts_ms):
                ledger.resumed(event, recv_ts_ms)
                ledger.note_judged(place, recv_ts_ms)

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
        told = [(day, event.fields(), place, recv_ms) for day, event, place, recv_ms in self._waiting]
        temporary = self._path.with_name(FILE + ".tmp")
        temporary.write_text(json.dumps(told))
        temporary.replace(self._path)
        self._is_saved = True

    def _load(self) -> None:
        try:
            told: list[Any] = json.loads(self._path.read_text())
            self._waiting = [(day, Resumption.of(fields), Place(*place), at) for day, fields, place, at in told]
        except FileNotFoundError:
            return
        except (ValueError, KeyError, TypeError) as exc:
            log.error("resumptions_unreadable", path=self._path, error=exc)

    def _resume(self, day: str, event: Resumption, place: Place, recv_ts_ms: int, databases: Databases) -> None:
        database = databases(day)
        if database is None:
            waiting = (day, event, place, recv_ts_ms)
            if waiting not in self._waiting:
                newer = [other for other in self._waiting if other[0] >= day]  # no tick came: that was a holiday
                self._waiting = [*newer, waiting][-WAITING_MAX:]
                self._is_saved = False
            return
        ledger = Ledger(database.connection, day)
        if not ledger.is_judged(place, recv_ts_ms):
            ledger.resumed(event, recv_ts_ms)
            ledger.note_judged(place, recv_ts_ms)

    def _window(self, mark: Mark, fetched: Mapping[str, list[Row]], databases: Databases) -> None:
        for symbol, rows in fetched.items():
            real = [(seq, ts_ms) for _, seq, ts_ms, *_ in rows if seq > 0]
            if not real:
                continue
            (first_seq, first_ts_ms), (last_seq, last_ts_ms) = min(real), max(real)
            window = Window(first_seq, last_seq, first_ts_ms)
            # Of a symbol that has not traded today all is of days before: that too says something of today.
            for day in sorted({hk_day(last_ts_ms), hk_day(mark.recv_ts_ms), self._resumed_day} - {""}):
                database = databases(day)
                if database is None:
                    continue
                ledger = Ledger(database.connection, day)
                if not ledger.is_judged(mark.place, mark.recv_ts_ms):
                    ledger.windowed(symbol, window, mark.recv_ts_ms)
                    ledger.note_judged(mark.place, mark.recv_ts_ms)

    def _total(self, mark: Mark, totals: list[tuple[str, DayTotals]], databases: Databases) -> None:
        for day in sorted({day for day, _ in totals}):
            database = databases(day)
            if database is None:
                continue
            ledger = Ledger(database.connection, day)
            if ledger.is_judged(mark.place, mark.recv_ts_ms):
                continue
            for its_day, symbol_totals in totals:
                if its_day == day:
                    ledger.totalled(symbol_totals, mark.recv_ts_ms)
            ledger.note_judged(mark.place, mark.recv_ts_ms)


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
