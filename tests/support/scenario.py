"""A journal that is told step by step, and what writers make of it: for tests of what is concluded from a journal."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from hk_tick_collector.hktime import parse_time
from hk_tick_collector.journal.append import Journal
from hk_tick_collector.journal.cursor import CURSOR
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
from hk_tick_collector.ledger.continuity import ordinal_of
from hk_tick_collector.ledger.judge import FILE
from hk_tick_collector.opend import frames
from hk_tick_collector.opend import opend_pb2 as pb
from hk_tick_collector.opend.numbers import ProtoId
from hk_tick_collector.opend.purpose import PURPOSES, Purpose
from hk_tick_collector.store.opening import open_readonly
from hk_tick_collector.writer.loop import Writer
from support.settings import writer_settings
from support.snapshot import Row, frame_of
from support.ticks import DAY, HSBC, OPEN_MS, TENCENT, push, ticker

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

SEC = 1000
ALIBABA, MEITUAN, CHEUNG_KONG = "HK.09988", "HK.03690", "HK.00001"
NAMES = {"tencent": TENCENT, "hsbc": HSBC, "alibaba": ALIBABA, "meituan": MEITUAN, "cheung_kong": CHEUNG_KONG}
TABLES = (
    "gaps", "doubts", "decided", "exchange_totals", "symbol_stats", "symbol_types", "premises", "ordinals", "recorded",
    "outages", "clocks", "judged",
)  # fmt: skip
SERIAL_NO = 5 * PURPOSES + Purpose.TOTALS


def clock(text: str, day: str = DAY) -> int:
    """UTC epoch ms of a Hong Kong clock time of that day."""
    return parse_time(f"{day[:4]}-{day[4:6]}-{day[6:]} {text}").ms


def volume_of(ordinals: Iterable[int]) -> int:
    """Shares in the ticks of these."""
    return sum(int(ticker(n).volume) for n in ordinals)


class Counted(NamedTuple):
    """What the exchange has counted of a symbol: shares, and when it was traded last."""

    volume: int
    own_ms: int


def snapshot_of(told: dict[str, Counted], *, turnover_off: float = 0.0) -> bytes:
    """The frame of a GetSecuritySnapshot reply; a share costs 300."""
    rows = (Row(symbol, one.volume, 300.0 * one.volume + turnover_off, one.own_ms) for symbol, one in told.items())
    return frame_of(rows, SERIAL_NO)


def snapshot(at_ms: int, **volumes: int) -> bytes:
    """The same, of symbols that all were traded last at one moment."""
    return snapshot_of({NAMES[name]: Counted(volume, at_ms) for name, volume in volumes.items()})


class Scenario:
    """A journal that is told second by second from `OPEN_MS` on, and what writers make of it.

    Besides what it is told to say it can play an exchange that counts: `trade`, `lose`, `tell`, `close`.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self.journal = Journal(root / DIRECTORY, segment_bytes=1 << 20, buffer_bytes=1 << 20, sync_ms=10)
        self.journal.start()
        self.now_ms = OPEN_MS
        self.counted: dict[str, Counted] = {}
        self.ordinals: dict[str, int] = {}

    # ---- time

    def at(self, text: str) -> None:
        """It is that Hong Kong clock time: what is told next is told then."""
        self.now_ms = clock(text) - SEC

    def wait(self, seconds: float) -> None:
        """Time passes."""
        self.now_ms += int(seconds * SEC)

    # ---- records

    def hear(self, *raw: bytes) -> None:
        """A record, a second after the one before."""
        self.now_ms += SEC
        self.journal.append_frames(1, self.now_ms, b"".join(raw))
        assert self.journal.flush(60)

    def event(self, name: str, **fields: object) -> None:
        """An event of the session."""
        self.now_ms += SEC
        self.journal.append_event(1, self.now_ms, {"event": name, **fields})
        assert self.journal.flush(60)

    def resume(self, cause: Cause, since_ms: int | None, *symbols: str, clock_offset_ms: int = 0) -> None:
        """The stream has resumed."""
        event = Resumption(cause, since_ms, 1000, clock_offset_ms, symbols or (TENCENT,))
        self.event(EVENT, **event.fields())

    def opend_state(self, clock_offset_ms: int | None, market_hk: int | None = None) -> None:
        """OpenD said what time it is, and what the market does."""
        self.event(STATE_EVENT, clock_offset_ms=clock_offset_ms, market_hk=market_hk)

    def step_clock(self, step_ms: int) -> None:
        """The host's clock is set: what comes from here on is later by it."""
        self.now_ms += step_ms
        self.event(CLOCK_STEPPED, step_ms=step_ms)

    def record_only(self, *symbols: str, **without: str) -> None:
        """What is to be recorded from here on, and what of it OpenD does not give."""
        told = Recording(symbols, len(symbols) - len(without), {NAMES[name]: why for name, why in without.items()})
        self.event(RECORDING, **told.fields())

    def ask(self) -> None:
        """The next snapshot is asked for."""
        self.event(TOTALS_ASKED, serial_no=SERIAL_NO, asked_ms=self.now_ms + SEC)

    def totals(self, *, at_ms: int | None = None, **volumes: int) -> None:
        """A snapshot, some seconds later; `at_ms` is when the symbols were traded last, by the exchange."""
        self.now_ms += 4 * SEC
        self.hear(snapshot(self.now_ms if at_ms is None else at_ms, **volumes))

    def trade_dates(self, types: dict[str, int]) -> None:
        """OpenD's calendar: days, and their TradeDateType."""
        dates = [
            pb.Qot_RequestTradeDate.TradeDate(time=f"{day[:4]}-{day[4:6]}-{day[6:]}", tradeDateType=date_type)
            for day, date_type in types.items()
        ]
        s2c = pb.Qot_RequestTradeDate.S2C(tradeDateList=dates)
        body = pb.Qot_RequestTradeDate.Response(retType=0, s2c=s2c).SerializeToString()
        self.hear(frames.encode(ProtoId.QOT_REQUEST_TRADE_DATE, PURPOSES, body))

    # ---- an exchange that counts

    def made(self, symbol: str = TENCENT, volume: int = 100, *, is_counted: bool = True, **fields: Any) -> pb.Ticker:  # noqa: ANN401
        """A trade of this moment, which the exchange has counted; whether anybody hears of it is another matter."""
        ordinal = self.ordinals[symbol] = self.ordinals.get(symbol, 0) + 1
        at_ms = self.now_ms + SEC
        held = self.counted.get(symbol, Counted(0, at_ms))
        self.counted[symbol] = Counted(held.volume + volume * is_counted, at_ms)
        return ticker(ordinal, at_ms, volume=volume, turnover=300.0 * volume, **fields)

    def trade(self, symbol: str = TENCENT, volume: int = 100, **fields: Any) -> int:  # noqa: ANN401
        """A trade that is pushed as it is made; its sequence."""
        made = self.made(symbol, volume, **fields)
        self.hear(push(symbol, made))
        return made.sequence

    def lose(self, symbol: str = TENCENT, volume: int = 100) -> pb.Ticker:
        """A trade whose push never comes."""
        made = self.made(symbol, volume)
        self.now_ms += SEC
        return made

    def tell(self, *, turnover_off: float = 0.0, **volumes: int) -> None:
        """A snapshot of all that was traded; of those that are named with another volume."""
        told = dict(self.counted)
        for name, volume in volumes.items():
            told[NAMES[name]] = told[NAMES[name]]._replace(volume=volume)
        self.hear(snapshot_of(told, turnover_off=turnover_off))

    def prove_types(self, *types: int) -> None:
        """Two other symbols show, each in a calm moment, that the exchange counts these types of ticks; in a minute."""
        for symbol in (ALIBABA, MEITUAN):
            for tick_type in types or (1,):
                self.trade(symbol, type=tick_type)
        self.wait(30)
        self.trade(CHEUNG_KONG)  # a sign of life of the market, long after their trades
        for _ in range(2):
            self.tell()
            self.wait(20)

    def close(self, *, rounds: int = 2, **volumes: int) -> None:
        """The market closes with a trade of another symbol, and the exchange tells its totals after that."""
        self.now_ms = max(self.now_ms, clock("16:08:30"))
        self.trade(CHEUNG_KONG)
        self.now_ms = max(self.now_ms, clock("16:12:30"))
        for _ in range(rounds):
            self.wait(60)
            self.tell(**volumes)

    # ---- what becomes of it

    def write(self, **settings: Any) -> None:  # noqa: ANN401
        """Have a new writer store what there is."""
        writer = Writer(writer_settings(self.root, **settings))
        while writer.step():
            pass
        writer.close()

    def write_in_steps(self, batch_size: int, restart_every: int = 0) -> None:
        """Have writers store what there is, a new one after so many batches (0: one does all)."""
        writer = Writer(writer_settings(self.root, batch_size=batch_size))
        steps = 0
        while writer.step():
            steps += 1
            if restart_every and steps % restart_every == 0:
                writer.close()
                writer = Writer(writer_settings(self.root, batch_size=batch_size))
        writer.close()

    def begin_again(self) -> None:
        """All that was made of the journal is gone."""
        (self.root / DIRECTORY / CURSOR).unlink(missing_ok=True)
        (self.root / DIRECTORY / FILE).unlink(missing_ok=True)
        for path in self.root.glob("*.db*"):
            path.unlink()

    def query(self, select: str, day: str = DAY) -> list[tuple[Any, ...]]:
        """What a reader sees."""
        con = open_readonly(self.root / f"{day}.db")
        try:
            return con.execute(select).fetchall()
        finally:
            con.close()

    def stored_ordinals(self, day: str = DAY, symbol: str = TENCENT) -> list[int]:
        """The stored ticks of a symbol, by ordinal."""
        return [ordinal_of(seq) for (seq,) in self.query(f"SELECT seq FROM ticks WHERE symbol = '{symbol}'", day)]  # noqa: S608

    def gaps(self, columns: str = "symbol, cause, before_seq, after_seq, missing, evidence, state") -> list[Any]:
        """The gaps."""
        return self.query(f"SELECT {columns} FROM gaps ORDER BY symbol, resumed_ms")  # noqa: S608

    def doubts(self) -> list[Any]:
        """The doubts."""
        return self.query("SELECT symbol, cause, before_seq FROM doubts ORDER BY symbol, resumed_ms")

    def premises(self) -> list[Any]:
        """How often each was seen to hold, and to fail."""
        return self.query("SELECT symbol, name, held, failed FROM premises ORDER BY symbol, name")

    def bounds(self, symbol: str = TENCENT) -> list[Any]:
        """What is missing at least and at most, by each snapshot."""
        return self.query(
            f"SELECT least, most FROM exchange_totals WHERE symbol = '{symbol}' ORDER BY segment, offset"  # noqa: S608
        )

    def dump(self) -> dict[str, list[tuple[Any, ...]]]:
        """All that is concluded."""
        return {name: self.query(f"SELECT * FROM {name}") for name in TABLES}  # noqa: S608
