"""Which stored times are eight hours late, and by what evidence.

Owns the rule that `repair` applies. Never opens a file, never reads a clock. Invariant: the same rule never finds a
corrected time again, so a second repair changes nothing.

There are two rules, and the sequence is a witness in both (`mapping` has the same ones for incoming ticks):

- **By the clock** (docs/contract.md): a time further in the host clock's future than the threshold is late, unless the
  sequence contradicts it. This finds a late time only within six hours after the trade.
- **By the sequence**: a time eight hours later than the upper half of its sequence, within ten minutes, is late. This
  works at any time. A tick without such a sequence is left alone.
"""

from __future__ import annotations

from enum import IntEnum
from typing import NamedTuple

from hk_tick_collector.hktime import DAY_MS
from hk_tick_collector.mapping import AGREE_MS, seq_time_ms

HOUR_MS = 3_600_000

# With less than this a corrected time would itself look late.
CORRECTION_HOURS_MIN = 1.0


class Finding(IntEnum):
    """What a rule finds of one row."""

    RIGHT = 0  # by the clock: not in the future; by the sequence: proven
    LATE = 1  # to be corrected
    UNPROVEN = 2  # no sequence that reads as a time
    CONTRADICTED = 3  # by the clock: in the future, but the sequence disagrees; by the sequence: neither right nor late
    BEYOND = 4  # so far in the future that it would still be in the future after the correction


class Rule(NamedTuple):
    """How late times are found.

    Attributes:
        correction_ms: how much too late they are.
        future_from_ms: by the clock: a time after this (UTC epoch ms) is in the future. None: by the sequence.
    """

    correction_ms: int
    future_from_ms: int | None

    @property
    def evidence(self) -> str:
        """The evidence, for `time_corrections`."""
        hours = f"{self.correction_ms / HOUR_MS:g} h"
        if self.future_from_ms is None:
            return f"repair: sequence says {hours} earlier"
        return f"repair: {hours} earlier, in the host clock's future"

    def judge(self, ts_ms: object, seq: object) -> Finding:
        """Judge one row by its stored time and sequence, which may be of any type in another program's database."""
        if not isinstance(ts_ms, int):
            return Finding.UNPROVEN
        at = seq_time_ms(seq) if isinstance(seq, int) else None
        if self.future_from_ms is not None:
            return self._by_clock(ts_ms, at, self.future_from_ms)
        if at is None:
            return Finding.UNPROVEN
        if abs(ts_ms - at) <= AGREE_MS:
            return Finding.RIGHT
        return Finding.LATE if self._is_proven_late(ts_ms, at) else Finding.CONTRADICTED

    def _by_clock(self, ts_ms: int, at: int | None, future_from_ms: int) -> Finding:
        if ts_ms <= future_from_ms:
            return Finding.RIGHT
        # A sequence that is days away does not hold a time (other markets' sequences); see `mapping`.
        if at is not None and abs(ts_ms - at) <= DAY_MS:
            return Finding.LATE if self._is_proven_late(ts_ms, at) else Finding.CONTRADICTED
        return Finding.LATE if ts_ms - self.correction_ms <= future_from_ms else Finding.BEYOND

    def _is_proven_late(self, ts_ms: int, at: int) -> bool:
        return abs(ts_ms - self.correction_ms - at) <= AGREE_MS
