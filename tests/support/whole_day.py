"""A whole trading day in one process and in a moment: the simulated OpenD's, straight into a journal.

Nothing is real but what matters: the market's trades and totals, OpenD's replies and pushes, the recorder's words in
the journal, the writer. The day has all that a day has: auctions, a connection that is lost for some minutes, an
exchange that OpenD loses, an audit, snapshots until after the close. One trade can be withheld from OpenD.
"""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Any, Final

from hk_tick_collector.hktime import hk_text, parse_time
from hk_tick_collector.journal.append import Journal
from hk_tick_collector.journal.events import (
    EVENT,
    RECORDING,
    STATE_EVENT,
    TOTALS_ASKED,
    Cause,
    Recording,
    Resumption,
    TotalsAsked,
)
from hk_tick_collector.journal.segments import DIRECTORY
from hk_tick_collector.opend import frames, messages
from hk_tick_collector.opend.numbers import ProtoId
from hk_tick_collector.opend.purpose import PURPOSES, Purpose
from hk_tick_collector.simulator import calls
from hk_tick_collector.simulator.clock import MarketClock
from hk_tick_collector.simulator.ledger import LedgerWriter
from hk_tick_collector.simulator.market import MarketDay, day_plan
from hk_tick_collector.simulator.opend import OpenDOptions, SimulatedOpenD, Upstream
from hk_tick_collector.simulator.shaping import Armed
from hk_tick_collector.simulator.universe import universe
from hk_tick_collector.writer.loop import Writer
from support.settings import writer_settings

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from hk_tick_collector.simulator.ledger import Key
    from hk_tick_collector.simulator.tape import MadeTick, Ordinals

DATE: Final = dt.date(2026, 11, 20)
SYMBOLS: Final = tuple(universe(3, 0))
SEED: Final = 3
MINUTE_MS: Final = 60_000
SNAPSHOT_EVERY_MIN: Final = 10
STEP_MS: Final = 10_000  # what is pushed at once


# By when OpenD said it: the close, and then once more, when all has come to rest.
LAST_WORDS: Final = ("16:12:10", "16:13:10", "16:42:30")
LINK_LOST, LINK_BACK = "11:00:00", "11:07:00"
EXCHANGE_LOST, EXCHANGE_BACK = "14:00:00", "14:09:00"
INTERRUPTIONS: Final = {LINK_LOST, LINK_BACK, EXCHANGE_LOST, EXCHANGE_BACK}
AUDIT = "15:00:00"


class _Withheld(Armed):
    """One trade of one symbol, by its sequence."""

    def __init__(self, key: Key) -> None:
        super().__init__(1)
        self._key = key

    def is_for(self, tick: MadeTick) -> bool:
        return (tick.symbol, tick.seq) == self._key


class WholeDay:
    """One day's journal, from the pre-opening to the evening."""

    conn_id = 1
    wants_notices = True
    cipher = None

    def __init__(
        self,
        root: Path,
        *,
        ticks: int,
        ordinals: Ordinals,
        date: dt.date = DATE,
        is_calm: bool = False,
        withheld: Key | None = None,
        without: Iterable[int] = (),
    ) -> None:
        """Make the day in `root`, and store it.

        Args:
            root: DATA_ROOT.
            ticks: of the day.
            ordinals: what sequences are like.
            date: of the day.
            is_calm: without interruptions.
            withheld: a trade that OpenD never hears of.
            without: types of ticks that are not in the exchange's totals.
        """
        self.tickers: set[str] = set()
        self.made: list[MadeTick] = []
        self._date = date
        self._is_calm = is_calm
        plan = day_plan(date, SYMBOLS, seed=SEED, ticks_per_day=ticks, ordinals=ordinals, uncounted=frozenset(without))
        self._market = MarketDay(plan)
        self._clock = MarketClock(start_ts_ms=self._at("08:50:00"), speed=1)
        root.mkdir()
        self._journal = Journal(root / DIRECTORY, segment_bytes=1 << 22, buffer_bytes=1 << 24, sync_ms=1000)
        self._journal.start()
        ledger = LedgerWriter(root.with_suffix(".ledger"))
        try:
            self._opend = SimulatedOpenD(self._market, self._clock, ledger, OpenDOptions(rate_limits=False))
            if withheld is not None:
                self._opend.shaper.withhold = _Withheld(withheld)
            self._live()
        finally:
            ledger.close()
            self._journal.close(10)
        writer = Writer(writer_settings(root, synchronous="NORMAL"))
        while writer.step():
            pass
        writer.close()

    # ---- what a connection of OpenD is to it

    def send(self, data: bytes) -> None:
        """What is pushed."""
        self._journal.append_frames(1, self._clock.now_ms, data)

    # ---- the day

    def _at(self, clock: str) -> int:
        """UTC epoch ms of a Hong Kong clock time of the day."""
        return parse_time(f"{self._date} {clock}").ms

    def _live(self) -> None:
        self._begin(Cause.RECORDER_DOWN, None)
        self._ask(ProtoId.QOT_REQUEST_TRADE_DATE, messages.request_trade_date(self._date - dt.timedelta(7), self._date))
        minutes = range(self._at("09:00:00"), self._at("16:11:00"), MINUTE_MS)
        for minute, now_ms in enumerate(minutes):
            self._go_to(now_ms)
            clock = hk_text(now_ms)[11:19]
            if not self._is_calm and clock in INTERRUPTIONS:
                self._interrupt(clock)
            elif clock == AUDIT:
                self._fetch(Purpose.POLL, 50)
            elif minute % SNAPSHOT_EVERY_MIN == 0 and (self._is_calm or not _is_away(clock)):
                self._total()
        for clock in LAST_WORDS:
            self._go_to(self._at(clock))
            self._total()
        assert self._market.done

    def _interrupt(self, clock: str) -> None:
        if clock == LINK_LOST:
            self._opend.leave(self)
        elif clock == LINK_BACK:
            self._begin(Cause.CONNECTION_LOST, self._at(LINK_LOST))
        elif clock == EXCHANGE_LOST:
            self._opend.upstream = Upstream.LOST
        elif clock == EXCHANGE_BACK:
            self._opend.tell(self._opend.regain_upstream()[1])
            self._begin(Cause.EXCHANGE_LOST, self._at(EXCHANGE_LOST))

    def _go_to(self, now_ms: int) -> None:
        while self._clock.now_ms < now_ms:
            self._clock._simulated_ms = float(min(now_ms, self._clock.now_ms + STEP_MS))
            ticks = self._market.ticks_until(self._clock.now_ms)
            self.made += ticks
            self._opend.tell(self._opend.make_known(ticks))

    def _begin(self, cause: Cause, since_ms: int | None) -> None:
        if cause is not Cause.EXCHANGE_LOST:
            self._opend.join(self)
        event = Resumption(cause, since_ms, 1000, 0, SYMBOLS)
        self._note(EVENT, event.fields())
        self._note(RECORDING, Recording(SYMBOLS, len(SYMBOLS), {}).fields())
        self._ask(ProtoId.QOT_SUB, messages.subscribe(SYMBOLS))
        self._fetch(Purpose.BACKFILL, 1000)
        self._total()

    def _fetch(self, purpose: Purpose, count: int) -> None:
        for symbol in SYMBOLS:
            self._ask(ProtoId.QOT_GET_TICKER, messages.get_ticker(symbol, count), purpose)

    def _note(self, name: str, fields: dict[str, Any]) -> None:
        self._journal.append_event(1, self._clock.now_ms, {"event": name, **fields})

    def _total(self) -> None:
        state = self._market.state_at(self._clock.now_ms)
        self._note(STATE_EVENT, {"clock_offset_ms": 0, "market_hk": state})
        self._note(TOTALS_ASKED, TotalsAsked(PURPOSES + Purpose.TOTALS, self._clock.now_ms)._asdict())
        self._ask(ProtoId.QOT_GET_SECURITY_SNAPSHOT, messages.get_security_snapshot(SYMBOLS), Purpose.TOTALS)

    def _ask(self, proto_id: ProtoId, body: bytes, purpose: Purpose = Purpose.CONTROL) -> None:
        reply: Any = calls.answer(self._opend, self, proto_id, body).make()
        messages.check_accepted(proto_id, reply)
        self.send(frames.encode(proto_id, PURPOSES + purpose, reply))


def _is_away(clock: str) -> bool:
    return LINK_LOST < clock < LINK_BACK or EXCHANGE_LOST < clock < EXCHANGE_BACK
