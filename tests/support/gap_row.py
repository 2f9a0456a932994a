"""A row of `gaps`, as tests look at it."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
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
