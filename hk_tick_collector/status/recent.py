"""What became of the ticks of the last half minute: totals since the start hide what is happening now."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from hk_tick_collector.writer.progress import Counters

SPAN_SEC: Final = 30.0
SAMPLES_MAX: Final = 64


class _Sample(NamedTuple):
    at: float
    rows: int
    bad: int
    written_by_others: int
    drifted: int


class Recent:
    """Keeps the writer's totals of the last half minute."""

    def __init__(self) -> None:
        self._samples: deque[_Sample] = deque([_Sample(float("-inf"), 0, 0, 0, 0)], SAMPLES_MAX)

    def look(self, now: float, totals: Counters) -> None:
        """Take a sample.

        Args:
            now: monotonic, in seconds.
            totals: since the start.
        """
        self._samples.append(_Sample(now, totals.rows, totals.bad, totals.written_by_others, totals.drifted))
        while len(self._samples) > 1 and self._samples[1].at <= now - SPAN_SEC:
            self._samples.popleft()

    @property
    def rows(self) -> int:
        """Ticks taken from the journal in that time."""
        return self._samples[-1].rows - self._samples[0].rows

    @property
    def drifted(self) -> int:
        """Batches with a live tick whose time is far from when it was received."""
        return self._samples[-1].drifted - self._samples[0].drifted

    @property
    def written_by_others(self) -> int:
        """How often another program had written to a day's database."""
        return self._samples[-1].written_by_others - self._samples[0].written_by_others

    @property
    def bad(self) -> int:
        """How many of these ticks could not be read."""
        return self._samples[-1].bad - self._samples[0].bad
