"""What has become of the ticks of the last half minute."""

from __future__ import annotations

from hk_tick_collector.status.recent import SAMPLES_MAX, Recent
from hk_tick_collector.writer.progress import Counters


def test_it_forgets_what_is_older() -> None:
    """Totals rise for ever; what is told is what they rose by in half a minute, about."""
    recent = Recent()
    recent.look(100.0, Counters(rows=1000, bad=5))
    assert (recent.rows, recent.bad) == (1000, 5), "since the start, which was just now"
    for sec in range(102, 180, 2):
        recent.look(float(sec), Counters(rows=1000 + 10 * (sec - 100), bad=5 if sec < 170 else 9))
    assert 300 <= recent.rows <= 320
    assert recent.bad == 4
    for sec in range(180, 240, 2):
        recent.look(float(sec), Counters(rows=5000, bad=9))
    assert (recent.rows, recent.bad) == (0, 0)


def test_it_is_bounded() -> None:
    """However often it is looked at."""
    recent = Recent()
    for number in range(5000):
        recent.look(number / 1000, Counters(rows=number))
    assert len(recent._samples) <= SAMPLES_MAX
