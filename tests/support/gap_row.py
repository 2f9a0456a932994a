"""A row of `gaps`, as tests look at it and put it there."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING, Any, NamedTuple

from hk_tick_collector.db import DayDatabase, Pragmas
from support.ticks import OPEN_MS, TENCENT

if TYPE_CHECKING:
    from pathlib import Path

    from hk_tick_collector.simulator.ledger import Key


class GapRow(NamedTuple):
    """Columns by their names: select `_fields`."""

    symbol: str
    cause: str
    since_ms: int | None
    resumed_ms: int
    before_seq: int | None
    after_seq: int | None
    missing: int | None
    missing_volume: int | None
    evidence: str
    state: str
    session: str
    found_ms: int

    @property
    def key(self) -> tuple[str, int, str]:
        """What tells it from all others."""
        return self.symbol, self.resumed_ms, self.cause

    def covers(self, key: Key) -> bool:
        """Whether a tick is inside its bounds."""
        symbol, seq = key
        return symbol == self.symbol and (self.before_seq or 0) < seq < (self.after_seq or 2**63)


def put_gaps(path: Path, *gaps: dict[str, Any]) -> None:
    """Put gaps into a day, as its ledger does."""
    with closing(DayDatabase(path, Pragmas())) as day:
        day.begin()
        for number, gap in enumerate(gaps):
            told = {
                "symbol": TENCENT, "cause": "opend_down", "session": "MORNING", "since_ms": OPEN_MS,
                "resumed_ms": OPEN_MS + 60_000 + number, "evidence": "ordinals", "found_ms": OPEN_MS + 60_000,
                "state": "open", **gap,
            }  # fmt: skip
            names, marks = ", ".join(told), ", ".join(f":{name}" for name in told)
            day.connection.execute(f"INSERT INTO gaps ({names}) VALUES ({marks})", told)  # noqa: S608 - our own names
        day.commit()
