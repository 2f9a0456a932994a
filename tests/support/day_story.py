"""A recorder's days, told to its journal by the exchange's clock: true trades and totals, until a test tells a lie.

The story knows three things apart: what the exchange has counted (`exchange`), what OpenD's memory holds, and what came
to the recorder. A snapshot says what the exchange has counted, each symbol with its own update time, unless it is told
what to say. All clocks are right until `host_ahead_ms` or `opend_ahead_ms` is set. Times are UTC epoch ms; clock times
such as "10:00:00" are Hong Kong's.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from hk_tick_collector.audit.day import audit_day
from hk_tick_collector.hktime import hk_day, hk_text, parse_time
from hk_tick_collector.journal.append import Journal
from hk_tick_collector.journal.events import (
    CLOCK_STEPPED,
    EVENT,
    RECORDING,
    STATE_EVENT,
    TOTALS_ASKED,
    Cause,
    Recording,
    Resumption,
)
from hk_tick_collector.journal.segments import DIRECTORY
from hk_tick_collector.ledger.filling import MADE_GOOD
from hk_tick_collector.opend import frames
from hk_tick_collector.opend import opend_pb2 as pb
from hk_tick_collector.opend.numbers import ProtoId
from hk_tick_collector.opend.purpose import PURPOSES, Purpose
from hk_tick_collector.store.opening import open_readonly
from hk_tick_collector.writer.loop import Writer
from support.settings import writer_settings
from support.snapshot import Row, frame_of
from support.ticks import HSBC, TENCENT, body, push, ticker

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from hk_tick_collector.audit.day import DayAudit, SymbolAudit, Verdict

ALIBABA, XIAOMI = "HK.09988", "HK.01810"
SYMBOLS: Final = (TENCENT, HSBC, ALIBABA)
DAY, NEXT_DAY, THIRD_DAY = "20260729", "20260730", "20260731"  # Wednesday to Friday

AUTO_MATCH, ODD_LOT, AUCTION = 1, 6, 7
PRE_OPENING, MORNING, CLOSED = 2, 3, 6  # OpenD's states of the Hong Kong market
WHOLE, HALF = 0, 1  # OpenD's types of a trade date: a whole day, and one that ends at noon

SEC = 1000
MINUTE = 60 * SEC
MOMENT = 10 * MINUTE  # apart, when all symbols trade, with a snapshot in the calm after that
LAST_WORDS: Final = ("16:12:30", "16:13:30", "16:42:00")
HALF_DAY_LAST_WORDS: Final = ("12:12:30", "12:13:30", "12:42:00")


class Told(NamedTuple):
    """What a snapshot says of a symbol: shares, HKD, its own update time; None: it has none that can be read."""

    volume: int
    turnover: float
    own_ms: int | None


class Trade(NamedTuple):
    """One that was made, as OpenD tells it."""

    symbol: str
    ticker: pb.Ticker


def at(clock: str, day: str = DAY) -> int:
    """A moment of a day."""
    return parse_time(day + clock.replace(":", "")).ms


def clock_of(ms: int) -> str:
    """Its clock time."""
    return hk_text(ms)[11:19]


class DayStory:
    """Days of some symbols; `ordinal_step`: 1 where ordinals count each tick."""

    def __init__(
        self,
        root: Path,
        symbols: Iterable[str] = SYMBOLS,
        *,
        day: str = DAY,
        ordinal_step: int = 2,
        not_counted: Iterable[int] = (),
    ) -> None:
        root.mkdir(exist_ok=True)
        self.root = root
        self.symbols = tuple(symbols)
        self.trading = list(self.symbols)  # those that trade by themselves
        self.wanted = list(self.symbols)  # those to be recorded
        self.without: dict[str, str] = {}  # of these, what OpenD does not give, and why
        self.no_time = ""  # as OpenD writes a time that it does not know
        self.exchange = dict.fromkeys(self.symbols, Told(0, 0.0, None))
        self.now_ms = at("08:50:00", day)
        self.host_ahead_ms = self.opend_ahead_ms = 0
        self.market = CLOSED
        self._memory: dict[str, list[pb.Ticker]] = defaultdict(list)
        self._ordinals: dict[tuple[str, str], int] = defaultdict(int)
        self._step = ordinal_step
        self._not_counted = frozenset(not_counted)
        self._serial_no = 100
        self._journal = Journal(root / DIRECTORY, segment_bytes=1 << 22, buffer_bytes=1 << 24, sync_ms=1000)
        self._journal.start()

    # ---- time

    @property
    def day(self) -> str:
        """The day that it is."""
        return hk_day(self.now_ms)

    @property
    def given(self) -> list[str]:
        """The symbols that OpenD gives."""
        return [symbol for symbol in self.wanted if symbol not in self.without]

    @property
    def host_ms(self) -> int:
        """What the host's clock says."""
        return self.now_ms + self.host_ahead_ms

    def to(self, clock: str | int, day: str | None = None) -> None:
        """It is later now."""
        ms = clock if isinstance(clock, int) else at(clock, day or self.day)
        assert ms >= self.now_ms, f"{hk_text(ms)} is before {hk_text(self.now_ms)}"
        self.now_ms = ms

    def step_host_clock(self, ahead_ms: int) -> None:
        """The host's clock is set, which the recorder notes before anything else."""
        step_ms, self.host_ahead_ms = ahead_ms - self.host_ahead_ms, ahead_ms
        self._event(CLOCK_STEPPED, step_ms=step_ms)

    # ---- what is traded

    def trade(
        self,
        symbol: str,
        volume: int = 100,
        price: float = 300.0,
        *,
        tick_type: int = AUTO_MATCH,
        lost: bool = False,
        unpushed: bool = False,
        ordinal: int | None = None,
        **fields: Any,  # noqa: ANN401 - protobuf fields
    ) -> Trade:
        """A trade now.

        Args:
            symbol: of what.
            volume: in shares.
            price: in HKD.
            tick_type: OpenD's number.
            lost: OpenD never hears of it.
            unpushed: OpenD has it in its memory, and its push never comes.
            ordinal: the low half of its sequence, where it is not the next one.
            fields: others of the tick.
        """
        key = (symbol, self.day)
        self._ordinals[key] = self._ordinals[key] + self._step if ordinal is None else ordinal
        told: dict[str, Any] = {
            "price": price,
            "volume": volume,
            "turnover": price * volume,
            "type": tick_type,
            **fields,
        }
        made = ticker(self._ordinals[key], self.now_ms, **told)
        if tick_type not in self._not_counted:
            self.count(symbol, volume, price * volume)
        if not lost:
            self._memory[symbol].append(made)
            if not unpushed:
                self.hear(push(symbol, made))
        return Trade(symbol, made)

    def count(self, symbol: str, volume: int, turnover: float) -> None:
        """The exchange counts so much more of the day; the first of a day begins it."""
        before = self.exchange[symbol]
        if before.own_ms is None or hk_day(before.own_ms) != self.day:
            before = Told(0, 0.0, None)
        self.exchange[symbol] = Told(before.volume + volume, before.turnover + turnover, self.now_ms)

    def send_again(self, trade: Trade, volume: int) -> None:
        """OpenD sends a trade again, with another volume."""
        changed = pb.Ticker()
        changed.CopyFrom(trade.ticker)
        changed.volume, changed.turnover = volume, changed.price * volume
        self.hear(push(trade.symbol, changed))

    def quote(self, symbol: str | None = None) -> None:
        """An order changes a symbol's quote, and its update time; nothing is traded."""
        symbol = symbol or self.symbols[-1]
        told = self.exchange[symbol]
        if told.own_ms is not None and hk_day(told.own_ms) == self.day:
            self.exchange[symbol] = told._replace(own_ms=self.now_ms)

    # ---- what comes to the recorder

    def hear(self, raw: bytes) -> None:
        """Frames from OpenD."""
        self._journal.append_frames(1, self.host_ms, raw)

    def _event(self, name: str, **fields: object) -> None:
        self._journal.append_event(1, self.host_ms, {"event": name, **fields})

    def opend_state(self) -> None:
        """OpenD says what time it is, and whether the market is open."""
        offset_ms = self.opend_ahead_ms - self.host_ahead_ms
        self._event(STATE_EVENT, clock_offset_ms=offset_ms, market_hk=self.market)

    def recording(self) -> None:
        """What is to be recorded, and what of that OpenD does not give."""
        told = Recording(tuple(self.wanted), len(self.given), self.without)
        self._event(RECORDING, **told.fields())

    def resume(self, cause: Cause, since_ms: int | None = None, symbols: Iterable[str] | None = None) -> None:
        """The stream has resumed; `since_ms`: when it was proven last, by the host's clock."""
        offset_ms = self.opend_ahead_ms - self.host_ahead_ms
        event = Resumption(cause, since_ms, 1000, offset_ms, tuple(symbols or self.wanted))
        self._event(EVENT, **event.fields())

    def window(self, symbol: str, count: int = 1000, *, purpose: Purpose = Purpose.BACKFILL, own: bool = False) -> None:
        """A reply of GetTicker: the last ticks in OpenD's memory; `own`: under sequences of that reply alone."""
        told = self._memory[symbol][-count:]
        if own:
            copies = [pb.Ticker.FromString(one.SerializeToString()) for one in told]
            for number, one in enumerate(copies):
                one.sequence = (one.sequence >> 32 << 32) + 100_000 * self._serial_no + number
            told = copies
        self._serial_no += 1
        self.hear(frames.encode(ProtoId.QOT_GET_TICKER, self._serial_no * PURPOSES + purpose, body(symbol, told)))

    def make_good(self, trades: Iterable[Trade]) -> None:
        """OpenD pushes what it had missed, and has it in its memory."""
        for symbol, one in trades:
            late = pb.Ticker.FromString(one.SerializeToString())
            late.pushDataType = MADE_GOOD
            self._memory[symbol].append(late)
            self.hear(push(symbol, late))

    def snapshot(self, told: Mapping[str, Told] | None = None, *, took_ms: int = 100) -> None:
        """A snapshot of all symbols that OpenD gives; `told`: what it says, where that is not the truth."""
        told = {symbol: self.exchange[symbol] for symbol in self.given} if told is None else told
        self._serial_no += 1
        serial_no = self._serial_no * PURPOSES + Purpose.TOTALS
        self._event(TOTALS_ASKED, serial_no=serial_no, asked_ms=self.host_ms - took_ms)
        self.hear(frame_of((Row(symbol, *one) for symbol, one in told.items()), serial_no, self.no_time))

    def trade_dates(self, **types: int) -> None:
        """OpenD's calendar: days (`d20260729=WHOLE`), and their types."""
        days = {name[1:]: date_type for name, date_type in types.items()}
        dates = [
            pb.Qot_RequestTradeDate.TradeDate(time=f"{day[:4]}-{day[4:6]}-{day[6:]}", tradeDateType=date_type)
            for day, date_type in days.items()
        ]
        reply = pb.Qot_RequestTradeDate.Response(retType=0, s2c=pb.Qot_RequestTradeDate.S2C(tradeDateList=dates))
        self.hear(frames.encode(ProtoId.QOT_REQUEST_TRADE_DATE, PURPOSES, reply.SerializeToString()))

    # ---- whole stretches of a day

    def connect(self, cause: Cause = Cause.RECORDER_DOWN, since_ms: int | None = None, *, depth: int = 1000) -> None:
        """The recorder connects, or its stream resumes: what it says and asks for then; `depth`: so many ticks."""
        self.opend_state()
        self.resume(cause, since_ms)
        self.recording()
        for symbol in self.given:
            if self._memory[symbol]:
                self.window(symbol, depth)
        self.snapshot()

    def open(self, date_type: int = WHOLE, *, auction: bool = True) -> None:
        """The recorder is started before the opening; the opening prints."""
        self.connect()
        self.trade_dates(**{f"d{self.day}": date_type})
        self.pre_open(auction=auction)

    def pre_open(self, *, auction: bool = True) -> None:
        """The opening prints of a day, and a snapshot after them."""
        self.to("09:20:05")
        self.market = PRE_OPENING
        for symbol in self.trading if auction else ():
            self.trade(symbol, 10_000, tick_type=AUCTION)
        self.to("09:21:00")
        self.quote()
        self.snapshot()
        self.market = MORNING

    def trade_until(self, clock: str, *, heard: bool = True, pushed: bool = True) -> None:
        """Ordinary trading, with snapshots.

        Args:
            clock: until when.
            heard: else OpenD hears nothing of it.
            pushed: else the recorder is not there, and OpenD has it in its memory.
        """
        until_ms = at(clock, self.day)
        for moment_ms in range(at("09:30:00", self.day), until_ms, MOMENT):
            if moment_ms < self.now_ms or "12:00:00" <= clock_of(moment_ms) < "13:00:00":
                continue
            for number, symbol in enumerate(2 * self.trading):
                self.to(moment_ms + 2 * SEC * number)
                volume = 100 * (1 + (moment_ms // MOMENT + number) % 7)
                self.trade(symbol, volume, 300 + number / 5, lost=not heard, unpushed=not pushed)
            self.look(moment_ms + 45 * SEC, heard=heard and pushed)
        self.to(until_ms)

    def burst(self, symbol: str, count: int) -> None:
        """So many trades, a second apart, and a snapshot in the calm after them."""
        for _ in range(count):
            self.to(self.now_ms + SEC)
            self.trade(symbol)
        self.look()

    def look(self, at_ms: int | None = None, *, heard: bool = True) -> None:
        """A snapshot in a calm moment, 45 s from now if not told when."""
        self.to(self.now_ms + 44 * SEC if at_ms is None else at_ms - SEC)
        self.quote()
        self.to(self.now_ms + SEC)
        if heard:
            self.opend_state()
            self.snapshot()

    def close(self, *, half: bool = False, auction: bool = True) -> None:
        """The closing prints, and the exchange's last words."""
        self.to("12:08:10" if half else "16:08:10")
        for symbol in self.trading if auction else ():
            self.trade(symbol, 20_000, tick_type=AUCTION)
        self.quote()
        self.last_words(half=half)

    def last_words(self, told: Mapping[str, Told] | None = None, *, half: bool = False) -> None:
        """The snapshots after the close."""
        self.market = CLOSED
        for clock in HALF_DAY_LAST_WORDS if half else LAST_WORDS:
            self.to(clock)
            self.opend_state()
            self.snapshot(told)

    # ---- what comes of it

    def write(self) -> Writer:
        """Have a new writer store what there is; it is closed."""
        assert self._journal.flush(60)
        writer = Writer(writer_settings(self.root, synchronous="OFF"))
        while writer.step():
            pass
        writer.close()
        return writer

    def stop(self) -> None:
        """Nothing more is told."""
        self._journal.close(10)

    def audit(self, day: str = DAY) -> DayAudit:
        """The audit of a day, with all stored that was told."""
        self.write()
        return audit_day(self.database(day))

    def database(self, day: str = DAY) -> Path:
        """A day's file."""
        return self.root / f"{day}.db"

    def query(self, select: str, day: str = DAY) -> list[tuple[Any, ...]]:
        """What a reader sees."""
        con = open_readonly(self.database(day))
        try:
            return con.execute(select).fetchall()
        finally:
            con.close()


def of(audit: DayAudit, symbol: str) -> SymbolAudit:
    """A symbol's part of an audit."""
    return next(one for one in audit.symbols if one.symbol == symbol)


def verdicts(audit: DayAudit) -> dict[str, Verdict]:
    """By symbol."""
    return {one.symbol: one.verdict for one in audit.symbols}


def reasons(audit: DayAudit) -> dict[str, tuple[str, ...]]:
    """By symbol, what stands in the way of a proof."""
    return {one.symbol: one.reasons for one in audit.symbols if one.reasons}


Begin = Callable[..., DayStory]
"""Begins a story in a DATA_ROOT of its own: the fixture `begin` of the cases."""
