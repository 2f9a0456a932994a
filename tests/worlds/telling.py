"""A world as a journal tells it to the real writer, and what the real audit says of the day."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from support.settings import writer_settings
from support.snapshot import Row, frame_of

from hk_tick_collector.audit.day import audit_day
from hk_tick_collector.hktime import hk_text
from hk_tick_collector.journal.append import Journal
from hk_tick_collector.journal.segments import DIRECTORY
from hk_tick_collector.opend import frames
from hk_tick_collector.opend import opend_pb2 as pb
from hk_tick_collector.opend.codes import security_of
from hk_tick_collector.opend.numbers import ProtoId
from hk_tick_collector.store.opening import open_readonly
from hk_tick_collector.writer import loop as writer_module
from hk_tick_collector.writer.loop import Writer
from worlds.feed import Ticks, Way
from worlds.market import DAY, MIDNIGHT_MS
from worlds.snapshots import Snapshot
from worlds.world import Calendar

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from hk_tick_collector.audit.verdict import SymbolAudit
    from worlds.feed import Told
    from worlds.world import Record, World

_PUSH_DATA_TYPES: Final = {Way.PUSH: 1, Way.MADE_GOOD: 2, Way.BACKFILL: 3, Way.POLL: 3}
_GAP_COLUMNS: Final = (
    "symbol, resumed_ms, cause, before_seq, after_seq, found_ms, state, evidence, missing, missing_volume, end_ms"
)


class Gap(NamedTuple):
    """A row of `gaps`."""

    symbol: str
    resumed_ms: int
    cause: str
    before_seq: int | None
    after_seq: int | None
    found_ms: int
    state: str
    evidence: str
    missing: int | None
    missing_volume: int | None
    end_ms: int | None


class Judged(NamedTuple):
    """What the audit says of a symbol's day.

    Attributes:
        verdict: COMPLETE, INCOMPLETE or UNPROVABLE.
        reasons: why.
        not_covered: names of tick types that its verdict does not speak of.
        known_ms: until when the exchange's figures are known to be; None: they are not known at all.
    """

    verdict: str
    reasons: tuple[str, ...]
    not_covered: tuple[str, ...]
    known_ms: int | None


class Outcome(NamedTuple):
    """What is made of a world.

    Attributes:
        judged: by symbol.
        gaps: all of them.
        doubts: symbols that have one, with each.
        rows: of `ticks`: symbol, seq, ts_ms.
    """

    judged: dict[str, Judged]
    gaps: tuple[Gap, ...]
    doubts: tuple[str, ...]
    rows: tuple[tuple[str, int, int], ...]

    def lines(self) -> Iterator[str]:
        """It, for people."""
        for gap in self.gaps:
            bounds = " and ".join(_seq_text(seq) for seq in (gap.before_seq, gap.after_seq))
            yield (
                f"gap {gap.symbol} {gap.state}: {gap.missing} ticks, {gap.missing_volume} shares between {bounds}, "
                f"{gap.cause}, by {gap.evidence}, found {hk_text(gap.found_ms)[11:23]}"
            )
        yield from (f"doubt {symbol}" for symbol in self.doubts)
        for symbol, judged in self.judged.items():
            yield f"{symbol} {judged.verdict}: {'; '.join(judged.reasons)}"
            if judged.not_covered:
                yield f"  not covered: {', '.join(judged.not_covered)}"


@lru_cache(maxsize=100_000)
def _written(sec: int) -> str:
    """A time as OpenD writes it."""
    return hk_text(sec * 1000)[:19]


def _seq_text(seq: int | None) -> str:
    if seq is None or seq <= 0:
        return str(seq)
    return f"{hk_text((seq >> 32) * 1000)[11:19]}/{seq & 0xFFFFFFFF}"


def tell(world: World, root: Path) -> Outcome:
    """Tell a world to writers, in a directory of its own, and have it audited."""
    journal = Journal(
        root / DIRECTORY, segment_bytes=1 << 26, buffer_bytes=1 << 26, sync_ms=60_000, clock_ms=lambda: MIDNIGHT_MS
    )
    journal.start()
    try:
        for number, record in enumerate(world.records):
            if isinstance(record.payload, dict):
                journal.append_event(1, record.host_ms, record.payload)
            else:
                journal.append_frames(1, record.host_ms, _frame(record))
            if number in world.cuts or number == len(world.records) - 1:
                assert journal.flush(60)
                _write(root)
    finally:
        journal.close(5)
    path = root / f"{DAY}.db"
    return read(path) if path.exists() else Outcome({}, (), (), ())


def _known_ms(audit: SymbolAudit) -> int | None:
    """Until when the exchange's figures of a symbol are known to be."""
    told = [ms for ms in (audit.totals_ms, audit.market_ms) if ms is not None]
    return min(told) if audit.totals_ms is not None else None


def read(path: Path) -> Outcome:
    """What the audit and the tables say of a day."""
    audit = audit_day(path)
    judged = {it.symbol: Judged(str(it.verdict), it.reasons, it.not_covered, _known_ms(it)) for it in audit.symbols}
    con = open_readonly(path)
    try:
        gaps = [Gap(*row) for row in con.execute(f"SELECT {_GAP_COLUMNS} FROM gaps ORDER BY symbol, resumed_ms")]  # noqa: S608
        doubts: list[tuple[Any, ...]] = con.execute("SELECT symbol FROM doubts ORDER BY symbol").fetchall()
        rows: list[tuple[Any, ...]] = con.execute("SELECT symbol, seq, ts_ms FROM ticks").fetchall()
    finally:
        con.close()
    return Outcome(judged, tuple(gaps), tuple(symbol for (symbol,) in doubts), tuple((s, q, t) for s, q, t in rows))


def _write(root: Path) -> None:
    """Have a new writer store what there is; nobody hears it."""
    heard, writer_module.send = writer_module.send, lambda _message: None
    try:
        writer = Writer(writer_settings(root, synchronous="OFF"))
        while writer.step():
            pass
        writer.close()
    finally:
        writer_module.send = heard


def _frame(record: Record) -> bytes:
    payload = record.payload
    if isinstance(payload, Snapshot):
        rows = (Row(row.symbol, row.volume, row.turnover, row.update_ms or None) for row in payload.rows)
        return frame_of(rows, record.serial_no)
    if isinstance(payload, Calendar):
        return frames.encode(ProtoId.QOT_REQUEST_TRADE_DATE, record.serial_no, _calendar_body(payload))
    assert isinstance(payload, Ticks)
    market, code = security_of(payload.symbol)
    tickers = [_ticker(told, payload) for told in payload.told]
    s2c = pb.Qot_UpdateTicker.S2C(security=pb.Security(market=market, code=code), tickerList=tickers)
    body = pb.Qot_UpdateTicker.Response(retType=0, s2c=s2c).SerializeToString()
    is_push = payload.way in (Way.PUSH, Way.MADE_GOOD)
    proto_id = ProtoId.QOT_UPDATE_TICKER if is_push else ProtoId.QOT_GET_TICKER
    return frames.encode(proto_id, record.serial_no or 1, body)


def _ticker(told: Told, ticks: Ticks) -> pb.Ticker:
    trade = told.trade
    is_live = ticks.way is Way.PUSH
    return pb.Ticker(
        time=_written(trade.traded_ms // 1000),
        sequence=told.seq,
        dir=trade.direction,
        price=trade.price,
        volume=told.volume,
        turnover=round(trade.price * told.volume, 3),
        recvTime=ticks.at_ms / 1000 if is_live else 0,
        type=trade.tick_type,
        typeSign=32,
        pushDataType=_PUSH_DATA_TYPES[ticks.way],
        timestamp=trade.traded_ms // 1000,
    )


def _calendar_body(calendar: Calendar) -> bytes:
    dates = [
        pb.Qot_RequestTradeDate.TradeDate(time=f"{day[:4]}-{day[4:6]}-{day[6:]}", tradeDateType=date_type)
        for day, date_type in calendar.types.items()
    ]
    s2c = pb.Qot_RequestTradeDate.S2C(tradeDateList=dates)
    return pb.Qot_RequestTradeDate.Response(retType=0, s2c=s2c).SerializeToString()
