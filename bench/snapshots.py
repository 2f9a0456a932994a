"""What a snapshot of the exchange's totals costs the writer: the ledger of a real day database, without a network."""

from __future__ import annotations

import random
import time
from typing import TYPE_CHECKING, NamedTuple

from hk_tick_collector.db import DayDatabase, Pragmas
from hk_tick_collector.hktime import parse_time
from hk_tick_collector.journal.marks import Place
from hk_tick_collector.ledger.day import Ledger
from hk_tick_collector.ledger.reckoning import Word
from hk_tick_collector.opend.messages import DayTotals
from hk_tick_collector.simulator.universe import universe

if TYPE_CHECKING:
    from pathlib import Path

DAY = "20261120"
SYMBOLS = 900
TICKS_A_MINUTE = 9000  # 150 a second, which is a usual load
MINUTE_MS = 60_000
LOST_AT = 36  # the minute in which every symbol loses a tick


class Costs(NamedTuple):
    """CPU milliseconds of one snapshot: usually, at the most, and where 900 gaps are found at once."""

    median_ms: float
    most_ms: float
    gaps_ms: float
    gaps: int


def measure(directory: Path, minutes: int = 40) -> Costs:
    """Store a morning's minutes, each with a snapshot of all symbols, and take the time of these alone."""
    chance = random.Random(7)
    symbols = universe(SYMBOLS, 7)
    directory.mkdir()
    database = DayDatabase(directory / f"{DAY}.db", Pragmas(synchronous="NORMAL"))
    news: list[object] = []
    ledger = Ledger(database, news, [])  # type: ignore[arg-type] - only counted
    ordinals = dict.fromkeys(symbols, 0)
    counted = dict.fromkeys(symbols, 0)
    begin_ms = parse_time(f"{DAY}093000").ms
    spent: list[float] = []
    for minute in range(minutes):
        now_ms = begin_ms + minute * MINUTE_MS
        pushed: dict[str, list[tuple[object, ...]]] = {}
        busy = chance.choices(symbols, weights=[1 / (n + 5) for n in range(SYMBOLS)], k=TICKS_A_MINUTE)
        traded = [*busy, *symbols] if minute == LOST_AT else busy
        for symbol, second in sorted((symbol, chance.randrange(60)) for symbol in traded):
            ordinals[symbol] += 1
            ts_ms = now_ms + second * 1000
            counted[symbol] += 100
            seq = (ts_ms // 1000 << 32) + ordinals[symbol]
            row = (symbol, seq, ts_ms, 100.0, 100, 10_000.0, 1, 1, 0, 1, ts_ms + 300, ts_ms + 400)
            pushed.setdefault(symbol, []).append(row)
        if minute == LOST_AT:
            for rows in pushed.values():
                rows.pop(0)
        database.store({symbol: rows for symbol, rows in pushed.items() if rows}, {})  # type: ignore[misc]
        end_ms = now_ms + MINUTE_MS
        snapshot: list[tuple[DayTotals, int | None]] = [
            (DayTotals(symbol, "", counted[symbol], 100.0 * counted[symbol]), end_ms - 1000) for symbol in symbols
        ]
        database.begin()
        began = time.process_time()
        ledger.totalled(snapshot, Word(Place(1, minute, 0), end_ms, end_ms - 100, end_ms, end_ms - 1000))
        spent.append((time.process_time() - began) * 1000)
        database.commit()
    database.close()
    usual = sorted(spent[3:LOST_AT])
    return Costs(usual[len(usual) // 2], usual[-1], max(spent[LOST_AT:]), len(news))
