"""What time it is, and that somebody has set the clock."""

from __future__ import annotations

import time

import pytest

from hk_tick_collector.clock import (
    AGREE_MS,
    LOOKS_APART_MS,
    LOOKS_MAX,
    STEP_MS,
    HostClock,
    boot_ms,
    disagreement,
    wall_ms,
)

BEGIN_MS = 1_800_000_000_000


class Host:
    """A machine with two clocks, on which a process may stand still between two looks."""

    def __init__(self) -> None:
        self.boot = 50_000
        self.shift = BEGIN_MS
        self.pauses: list[int] = []  # of the looks to come, how long each takes
        self.steps: list[int] = []
        self.clock = HostClock(self._wall, self._boot)
        self.clock.on_step = self._on_step

    def _wall(self) -> int:
        now = self.boot + self.shift
        self.boot += self.pauses.pop(0) if self.pauses else 0
        return now

    def _boot(self) -> int:
        return self.boot

    def _on_step(self, step_ms: int) -> None:
        assert self.clock.now_ms() == self.boot + self.shift, "who is told of it reads the new time"
        self.steps.append(step_ms)

    def reads(self, passed_ms: int = 0, step_ms: int = 0) -> list[int]:
        """Let time pass, set the clock, and read it; all steps so far."""
        self.boot += passed_ms
        self.shift += step_ms
        expected = self.boot + self.shift
        assert self.clock.now_ms() == expected
        return self.steps


@pytest.mark.parametrize("step_ms", [STEP_MS + 1, -STEP_MS - 1, 8 * 3_600_000, -6 * 3_600_000, 7 * 86_400_000])
def test_a_step_is_told_once_and_exactly(step_ms: int) -> None:
    """Whenever it comes, and however long nobody has looked; the next one is told by itself."""
    host = Host()
    assert host.reads(86_400_000) == []
    assert host.reads(3_600_000, step_ms) == [step_ms]
    assert host.reads(1) == [step_ms]
    assert host.reads(0, -step_ms) == [step_ms, -step_ms]


def test_a_clock_that_is_corrected_slowly_makes_no_step() -> None:
    """Little by little it may go any way."""
    host = Host()
    for _ in range(1000):
        assert host.reads(1000, STEP_MS) == []
    for _ in range(1000):
        assert host.reads(1000, -STEP_MS // 2) == []


def test_a_process_that_stands_still_between_its_looks_sees_no_step() -> None:
    """It looks again, and what it then gives out is the time of then."""
    host = Host()
    host.pauses = [5000]
    before = host.clock.now_ms()
    assert host.steps == []
    assert before == host.boot + host.shift
    host.pauses = [5000, 5000, LOOKS_APART_MS + 1]
    assert host.clock.now_ms() == host.boot + host.shift
    assert host.steps == []
    host.shift += 60_000
    host.pauses = [7000, 7000]
    host.clock.now_ms()
    assert host.steps == [60_000]


def test_it_does_not_look_for_ever() -> None:
    """On a machine that can hardly run, the best look counts."""
    host = Host()
    host.pauses = [5000, *[300] * (LOOKS_MAX - 1), 200, 5000]
    host.clock.now_ms()
    assert host.steps == []
    assert host.pauses == [5000]


def test_the_clocks_of_this_machine() -> None:
    """They run alike."""
    told: list[int] = []
    clock = HostClock()
    clock.on_step = told.append
    before_ms, booted_ms = wall_ms(), boot_ms()
    time.sleep(0.05)
    assert before_ms + 40 <= clock.now_ms() <= wall_ms()
    assert boot_ms() - booted_ms >= 40
    assert told == []


@pytest.mark.parametrize(
    ("offset_ms", "said"),
    [
        (0, None),
        (AGREE_MS, None),
        (-AGREE_MS, None),
        (None, "OpenD has not told its time"),
        (AGREE_MS + 1, "120 s behind OpenD's"),
        (-7 * 86_400_000, "604,800 s ahead of OpenD's"),
    ],
)
def test_two_clocks_agree_or_nothing_is_concluded(offset_ms: int | None, said: str | None) -> None:
    """It is said which is where, and what to look at."""
    told = disagreement(offset_ms)
    assert (told is None) is (said is None)
    assert said is None or (told is not None and said in told)
