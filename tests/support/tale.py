"""A journal that is told step by step, and what writers make of it: for tests of what is concluded from a journal."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hk_tick_collector.db_read import open_readonly
from hk_tick_collector.hktime import hk_text
from hk_tick_collector.journal import DIRECTORY
from hk_tick_collector.journal_append import Journal
from hk_tick_collector.opend import frames
from hk_tick_collector.opend import opend_pb2 as pb
from hk_tick_collector.opend.messages import ProtoId, security_of
from hk_tick_collector.opend.purpose import PURPOSES, Purpose
from hk_tick_collector.resumption import EVENT, STATE_EVENT, Cause, Resumption
from hk_tick_collector.writer import Writer, WriterSettings
from support.ticks import DAY, HSBC, OPEN_MS, TENCENT, ticker

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

SEC = 1000
TABLES = ("gaps", "doubts", "exchange_totals", "symbol_stats", "judged")


def volume_of(ordinals: Iterable[int]) -> int:
    """Shares in the ticks of these."""
    return sum(int(ticker(n).volume) for n in ordinals)


def snapshot(at_ms: int, **volumes: int) -> bytes:
    """The frame of a GetSecuritySnapshot reply: `tencent` and `hsbc` have traded so much by the exchange's count."""
    basics = []
    for name, volume in volumes.items():
        market, code = security_of({"tencent": TENCENT, "hsbc": HSBC}[name])
        basics.append(
            pb.Qot_GetSecuritySnapshot.SnapshotBasicData(
                security=pb.Security(market=market, code=code), type=3, isSuspend=False, listTime="", lotSize=100,
                priceSpread=0.2, updateTime=hk_text(at_ms)[:19], highPrice=0, openPrice=0, lowPrice=0, lastClosePrice=0,
                curPrice=0, volume=volume, turnover=300.0 * volume, turnoverRate=0,
            )
        )  # fmt: skip
    s2c = pb.Qot_GetSecuritySnapshot.S2C(snapshotList=[pb.Qot_GetSecuritySnapshot.Snapshot(basic=b) for b in basics])
    body = pb.Qot_GetSecuritySnapshot.Response(retType=0, s2c=s2c).SerializeToString()
    return frames.encode(ProtoId.QOT_GET_SECURITY_SNAPSHOT, 5 * PURPOSES + Purpose.TOTALS, body)


class Tale:
    """A journal that is told second by second from `OPEN_MS` on, and what writers make of it."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.journal = Journal(root / DIRECTORY, segment_bytes=1 << 20, buffer_bytes=1 << 20, sync_ms=10)
        self.journal.start()
        self.now_ms = OPEN_MS

    def hear(self, *raw: bytes) -> None:
        """A record, a second after the one before."""
        self.now_ms += SEC
        self.journal.append_frames(1, self.now_ms, b"".join(raw))
        assert self.journal.flush(60)

    def resume(self, cause: Cause, since_ms: int | None, *symbols: str, clock_offset_ms: int = 0) -> None:
        """The stream has resumed."""
        self.now_ms += SEC
        event = Resumption(cause, since_ms, 1000, clock_offset_ms, symbols or (TENCENT,))
        self.journal.append_event(1, self.now_ms, {"event": EVENT, **event.fields()})
        assert self.journal.flush(60)

    def opend_state(self, clock_offset_ms: int) -> None:
        """OpenD said what time it is."""
        self.now_ms += SEC
        self.journal.append_event(1, self.now_ms, {"event": STATE_EVENT, "clock_offset_ms": clock_offset_ms})
        assert self.journal.flush(60)

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

    def write(self, **settings: Any) -> None:  # noqa: ANN401
        """Have a new writer store what there is."""
        writer = Writer(WriterSettings(str(self.root), **settings))
        while writer.step():
            pass
        writer.close()

    def query(self, select: str, day: str = DAY) -> list[tuple[Any, ...]]:
        """What a reader sees."""
        con = open_readonly(self.root / f"{day}.db")
        try:
            return con.execute(select).fetchall()
        finally:
            con.close()

    def gaps(self, columns: str = "symbol, cause, before_seq, after_seq, missing, evidence, state") -> list[Any]:
        """The gaps."""
        return self.query(f"SELECT {columns} FROM gaps ORDER BY symbol, resumed_ms")  # noqa: S608

    def doubts(self) -> list[Any]:
        """The doubts."""
        return self.query("SELECT symbol, cause, before_seq FROM doubts ORDER BY symbol, resumed_ms")

    def dump(self) -> dict[str, list[tuple[Any, ...]]]:
        """All that is concluded."""
        return {name: self.query(f"SELECT * FROM {name}") for name in TABLES}  # noqa: S608
