"""Proof of life: what stands still is named, and what only fails, and says so, is alive."""

from __future__ import annotations

import pytest

from hk_tick_collector.watch.liveness import LOOK_MARGIN_SEC, Liveness

STALL_SEC = 180.0
LOOK_SEC = 14.0


class Journal:
    """A journal's pulse."""

    is_alive = True
    buffered_bytes = 0
    bytes_written = 0
    fault: str | None = None


class Scene:
    """All parts, on a clock that a test moves; the watchdog looks on time unless it is told not to."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.journal = Journal()
        self.checked_at = self.now
        self.looks = True
        self.life = Liveness(self.journal, self, stall_sec=STALL_SEC, look_every_sec=LOOK_SEC, clock=lambda: self.now)

    def fault_after(self, sec: float) -> str | None:
        """Ask each second for so long; the last answer."""
        for _ in range(int(sec)):
            self.now += 1
            if self.looks:
                self.checked_at = self.now
            self.fault = self.life.fault()
        return self.fault


@pytest.fixture
def scene() -> Scene:
    """A recorder that has just begun."""
    return Scene()


def test_a_quiet_recorder_lives(scene: Scene) -> None:
    """Nothing to write for a day is no standstill."""
    assert scene.fault_after(86_400) is None


def test_a_thread_that_has_ended_is_named(scene: Scene) -> None:
    """At once."""
    scene.journal.is_alive = False
    assert scene.fault_after(1) == "the journal's thread has ended"


def test_a_write_that_does_not_come_back_is_named(scene: Scene) -> None:
    """Bytes wait, none is written, and no error says why: after the time of a stall, and not before."""
    scene.fault_after(1000)
    scene.journal.buffered_bytes = 5000
    assert scene.fault_after(STALL_SEC) is None
    assert scene.fault_after(1) == "the journal hangs in a write: 5000 bytes wait since 181 s"
    scene.journal.bytes_written += 1
    assert scene.fault_after(1) is None


def test_a_journal_that_is_busy_lives(scene: Scene) -> None:
    """There are always bytes that wait, and always others."""
    for _ in range(100):
        scene.journal.buffered_bytes = 5000
        scene.journal.bytes_written += 5000
        assert scene.fault_after(STALL_SEC / 2) is None


def test_a_full_disk_is_no_standstill(scene: Scene) -> None:
    """The thread tries again and says so; to end it would lose what it holds in memory."""
    scene.journal.buffered_bytes = 5000
    scene.journal.fault = "No space left on device"
    assert scene.fault_after(10 * STALL_SEC) is None


def test_a_watchdog_that_does_not_look_is_named(scene: Scene) -> None:
    """What it does between two looks has its time, and then it hangs."""
    scene.fault_after(100)
    scene.looks = False
    assert scene.fault_after(2 * LOOK_SEC + LOOK_MARGIN_SEC) is None
    assert scene.fault_after(1) == "the watchdog has not looked for 59 s"
    scene.looks = True
    assert scene.fault_after(1) is None
