"""A day database of any size, made by the simulated market through `DayDatabase`: for the archive and the read API."""

from __future__ import annotations

import random
from itertools import groupby
from operator import itemgetter
from typing import TYPE_CHECKING

from hk_tick_collector.db import DayDatabase, Pragmas
from hk_tick_collector.hktime import DAY_MS, day_begin_ms
from hk_tick_collector.simulator.market import MarketDay, day_plan
from hk_tick_collector.simulator.universe import universe

if TYPE_CHECKING:
    import datetime as dt
    from pathlib import Path

_STEP_MS = 60_000
_CHECKPOINT_EVERY = 20  # transactions
_DELAY_MS = (20, 1180)  # of a time in whole seconds
_COMMIT_MS = (20, 150)


def make_day(root: Path, date: dt.date, *, ticks: int, symbols: int, seed: int = 0) -> Path:
    """Store a day of about `ticks` ticks, each with its own delays. Returns its database, closed and not sealed."""
    rng = random.Random(seed)
    market = MarketDay(day_plan(date, universe(symbols, 0), seed=seed, ticks_per_day=ticks))
    root.mkdir(parents=True, exist_ok=True)
    path = root / f"{date:%Y%m%d}.db"
    database = DayDatabase(path, Pragmas(synchronous="OFF"))
    begin_ms = day_begin_ms(f"{date:%Y%m%d}")
    for number, now_ms in enumerate(range(begin_ms, begin_ms + DAY_MS, _STEP_MS)):
        rows = sorted(
            (t.symbol, t.seq, t.ts_ms, t.price, t.volume, t.turnover, t.direction, t.tick_type,
             0, 1, (received_ms := t.ts_ms + rng.randint(*_DELAY_MS)), received_ms + rng.randint(*_COMMIT_MS))
            for t in market.ticks_until(now_ms)
        )  # fmt: skip
        if rows:
            database.store({symbol: list(some) for symbol, some in groupby(rows, itemgetter(0))}, {})
        if number % _CHECKPOINT_EVERY == 0:  # in a recorder the writer does this
            database.connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        if market.done:
            break
    database.leave_wal()
    database.close()
    return path
