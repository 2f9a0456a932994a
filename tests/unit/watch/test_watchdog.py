"""The watchdog by a clock of our own: what is a stall and what is none, what is done about it, and when it gives up."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest
from support.kept_log import KeptLog, keep_log
from support.settings import watchdog_settings

from hk_tick_collector.watch import watchdog as watchdog_module
from hk_tick_collector.watch.watchdog import WRITER_DEAD_SEC, Observation, StallDetector, Watchdog

if TYPE_CHECKING:
    from collections.abc import Callable

SETTINGS = watchdog_settings()
STALL = SETTINGS.stall_sec
EVERY = SETTINGS.check_interval_sec
MUCH = SETTINGS.queue_threshold_rows
HOUR = 3600.0


class Scene:
    """A recorder and its writer that do what a test says, on a clock that moves when it says so."""

    def __init__(self) -> None:
        self.now = 10 * HOUR
        self.rows = 0
        self.upstream_at: float | None = None
        self.committed_at: float | None = None
        self.dead_since: float | None = None
        self.disk_is_full = False
        self.has_end = True  # a killed writer ends
        self.acts: list[str] = []

    def seen(self) -> Observation:
        """The moment."""
        seen = Observation(self.now, self.rows, self.upstream_at, self.committed_at, self.dead_since, writer_pid=77)
        return seen._replace(is_journal_failing=self.disk_is_full)

    def tick(self, rows: int = 1) -> None:
        """Ticks come in."""
        self.rows += rows
        self.upstream_at = self.now

    def commit(self, rows: int | None = None) -> None:
        """The writer stores some of them, or all."""
        self.rows -= self.rows if rows is None else rows
        self.committed_at = self.now

    # ---- the patient

    async def observe(self) -> Observation:
        """As it is."""
        return self.seen()

    async def dump_stacks(self) -> None:
        """Only noted."""
        self.acts.append("dump")

    async def request_writer_recovery(self, reason: str) -> bool:
        """Noted; it takes a second."""
        assert reason
        self.acts.append("recover")
        self.now += 1
        return self.has_end


@pytest.fixture
def scene() -> Scene:
    """A recorder that has just begun, on a quiet market."""
    return Scene()


def stall_after(scene: Scene, each: Callable[[], None], sec: float) -> float | None:
    """Do something before each look; after how many seconds it was called a stall, None: never."""
    detector = StallDetector(SETTINGS)
    began = scene.now
    while scene.now - began <= sec:
        each()
        if detector.observe(scene.seen()) is not None:
            return scene.now - began
        scene.now += EVERY
    return None


# ---- what is a stall


def test_a_stuck_writer_under_traffic_is_a_stall(scene: Scene) -> None:
    """Ticks come, nothing is stored: a stall, as soon as the backlog was too large for the whole time, not before."""
    scene.commit()
    assert stall_after(scene, lambda: scene.tick(MUCH), HOUR) == STALL


def test_a_writer_that_never_stored_anything_is_a_stall(scene: Scene) -> None:
    """A first writer that hangs at its first batch has no commit whose age could be told."""
    assert stall_after(scene, lambda: scene.tick(MUCH), HOUR) == STALL


def test_the_words_say_what_was_seen(scene: Scene) -> None:
    """An operator reads since when, and how much waits."""
    detector = StallDetector(SETTINGS)
    scene.commit()
    scene.tick(MUCH)
    detector.observe(scene.seen())
    scene.now += STALL / 2
    detector.observe(scene.seen())
    scene.now += STALL / 2
    assert detector.observe(scene.seen()) == "no commit for 180 s, 1000 rows wait since 180 s"


def test_a_backlog_that_is_left_over_when_the_market_closes_is_rescued(scene: Scene) -> None:
    """The upstream has long gone quiet, and what a stuck writer has left over does not become less: a stall."""
    scene.commit()
    scene.tick(MUCH)
    took = stall_after(scene, lambda: None, HOUR)
    assert took == STALL > SETTINGS.upstream_window_sec


def test_a_writer_that_is_gone_and_does_not_come_back_is_a_stall_at_once(scene: Scene) -> None:
    """Where the backlog has been too large for the whole time, a missing writer is reason enough."""

    def each() -> None:
        scene.tick(MUCH)
        if scene.now - 10 * HOUR < STALL:
            scene.commit(1)
        elif scene.dead_since is None:
            scene.dead_since = scene.now

    took = stall_after(scene, each, HOUR)
    assert took is not None
    assert STALL + WRITER_DEAD_SEC <= took <= STALL + WRITER_DEAD_SEC + EVERY


def test_ticks_that_come_and_are_not_stored_are_a_stall_whatever_the_backlog_does(scene: Scene) -> None:
    """Where the upstream is active a commit is due; that what waits becomes less is no proof then."""
    scene.commit()
    scene.tick(1000 * MUCH)

    def each() -> None:
        scene.rows -= 2
        scene.tick()

    assert stall_after(scene, each, HOUR) == STALL


# ---- what is none


def test_a_quiet_market_is_none(scene: Scene) -> None:
    """Nothing comes, nothing waits, the last commit is hours old: through a night and a holiday."""
    scene.commit()
    assert stall_after(scene, lambda: None, 72 * HOUR) is None


def test_a_market_that_was_always_quiet_is_none(scene: Scene) -> None:
    """Not one tick since the start."""
    assert stall_after(scene, lambda: None, 72 * HOUR) is None


def test_one_tick_after_a_quiet_time_is_none(scene: Scene) -> None:
    """The last commit is hours old when it comes, and that means nothing."""
    scene.commit()
    scene.now += 5 * HOUR
    scene.tick()
    assert stall_after(scene, lambda: None, HOUR) is None


def test_a_burst_after_a_quiet_time_is_none(scene: Scene) -> None:
    """The opening match: much at once, hours after the last commit, stored a moment later."""
    scene.commit()
    scene.now += 17 * HOUR
    detector = StallDetector(SETTINGS)
    detector.observe(scene.seen())
    scene.now += EVERY
    scene.tick(100 * MUCH)
    assert detector.observe(scene.seen()) is None
    scene.now += EVERY
    scene.commit()
    assert detector.observe(scene.seen()) is None


def test_a_backlog_that_is_worked_off_is_none(scene: Scene) -> None:
    """However large it is and however long it takes: its commits are fresh."""
    scene.tick(1000 * MUCH)
    assert stall_after(scene, lambda: scene.commit(1), 5 * HOUR) is None
    assert scene.rows > 990 * MUCH


def test_a_backlog_that_grows_while_it_is_worked_off_is_none(scene: Scene) -> None:
    """A writer that is too slow is not stuck; killing it would make it slower."""

    def each() -> None:
        scene.tick(MUCH)
        scene.commit(MUCH // 2)

    assert stall_after(scene, each, 5 * HOUR) is None


def test_a_quiet_backlog_that_shrinks_without_a_commit_is_none(scene: Scene) -> None:
    """What is passed over holds no rows to commit (an older version's records), and is progress all the same."""
    scene.commit()
    scene.tick(1000 * MUCH)

    def each() -> None:
        scene.rows -= 1

    assert stall_after(scene, each, 5 * HOUR) is None


def test_a_backlog_below_the_threshold_is_none(scene: Scene) -> None:
    """One row less than the threshold, for ever."""
    scene.commit()
    scene.tick(MUCH - 1)
    assert stall_after(scene, lambda: None, HOUR) is None


def test_a_backlog_that_was_small_in_between_begins_anew(scene: Scene) -> None:
    """Sustained means without a break, however old the last commit is."""
    scene.commit()
    looks = 0

    def each() -> None:
        nonlocal looks
        looks += 1
        scene.upstream_at = scene.now
        scene.rows = MUCH - 1 if looks % (STALL / EVERY) == 0 else MUCH

    assert stall_after(scene, each, 5 * HOUR) is None


def test_a_writer_that_is_started_again_is_not_missing(scene: Scene) -> None:
    """One that dies again and again, and stores in between, is the collector's matter."""

    def each() -> None:
        scene.tick(MUCH)
        scene.commit(1)
        scene.dead_since = scene.now - WRITER_DEAD_SEC + 1

    assert stall_after(scene, each, HOUR) is None


def test_a_recorder_that_did_not_run_judges_nobody(scene: Scene) -> None:
    """After a pause of the machine everything is old; what counts begins anew, and a real stall is still found."""
    detector = StallDetector(SETTINGS)
    scene.commit()
    scene.tick(MUCH)
    assert detector.observe(scene.seen()) is None
    scene.now += HOUR
    assert detector.observe(scene.seen()) is None
    assert detector.was_away
    took = stall_after(scene, lambda: scene.tick(1), HOUR)
    assert took == STALL


# ---- what is done


@pytest.fixture
def log(monkeypatch: pytest.MonkeyPatch) -> KeptLog:
    """The lines that the watchdog logs."""
    return keep_log(watchdog_module, monkeypatch)


DUMP, TRIGGERED = "WATCHDOG diagnostic_dump", "WATCHDOG recovery_triggered"
FAILED, GAVE_UP = "WATCHDOG recovery_failed", "WATCHDOG persistent_stall"


def watch(scene: Scene, dog: Watchdog, sec: float, each: Callable[[], None] = lambda: None) -> bool:
    """Observation for so long, or until it gives up; whether it did."""
    began = scene.now
    while scene.now - began < sec:
        each()
        if asyncio.run(dog.check()):
            return True
        scene.now += EVERY
    return False


def test_evidence_comes_before_the_cure(scene: Scene, log: KeptLog) -> None:
    """The line, the stacks, the line, the recovery: in this order, once, while its outcome is awaited."""
    dog = Watchdog(SETTINGS, scene, lambda: scene.now)
    assert not watch(scene, dog, 1.5 * STALL, lambda: scene.tick(MUCH))
    assert scene.acts == ["dump", "recover"]
    assert log.events() == [DUMP, TRIGGERED]
    assert log.lines[0][1]["writer_pid"] == 77
    assert log.lines[0][1]["reason"] == log.lines[1][1]["reason"]
    assert dog.last_reason is not None
    assert dog.last_reason > log.lines[0][1]["reason"], "the reason goes on with the time"
    assert (dog.is_stalled, dog.stalls, dog.failures) == (True, 1, 0)


def test_a_commit_after_a_recovery_is_its_success(scene: Scene, log: KeptLog) -> None:
    """It is said, the stall is over, and one commit is enough, however much still waits."""
    dog = Watchdog(SETTINGS, scene, lambda: scene.now)
    watch(scene, dog, 1.2 * STALL, lambda: scene.tick(MUCH))
    assert dog.is_stalled
    scene.commit(1)
    watch(scene, dog, EVERY)
    assert not dog.is_stalled
    assert log.events() == [DUMP, TRIGGERED, "writer_recovered"]
    assert not watch(scene, dog, HOUR, scene.commit)
    assert scene.acts == ["dump", "recover"]


def test_a_commit_before_the_kill_is_no_success(log: KeptLog) -> None:
    """What the old writer stored while its stacks were dumped does not speak for the new one."""

    class Late(Scene):
        async def dump_stacks(self) -> None:
            await super().dump_stacks()
            self.commit(1)

    late = Late()
    dog = Watchdog(SETTINGS, late, lambda: late.now)
    assert watch(late, dog, HOUR, lambda: late.tick(MUCH))
    assert log.events()[-1] == GAVE_UP


def test_a_recovery_without_a_commit_in_time_has_failed_and_is_tried_again(scene: Scene, log: KeptLog) -> None:
    """Each is given the whole time, and is a dump and a recovery of its own; the last failure ends it."""
    dog = Watchdog(SETTINGS, scene, lambda: scene.now)
    began = scene.now
    assert watch(scene, dog, 10 * HOUR, lambda: scene.tick(MUCH))
    assert log.events() == [DUMP, TRIGGERED, FAILED, DUMP, TRIGGERED, FAILED, DUMP, TRIGGERED, FAILED, GAVE_UP]
    assert [fields["failures"] for event, fields in log.lines if event == FAILED] == [1, 2, 3]
    assert scene.acts == ["dump", "recover"] * 3
    assert 4 * STALL <= scene.now - began <= 4 * (STALL + 2 * EVERY)
    assert (dog.stalls, dog.recoveries_failed, dog.is_stalled) == (1, 3, True)


def test_a_writer_that_does_not_end_is_a_failure_at_once_and_tried_again_later(scene: Scene, log: KeptLog) -> None:
    """It is counted once, not again when its time is over; the next attempt has the same pace as any other."""
    scene.has_end = False
    dog = Watchdog(SETTINGS, scene, lambda: scene.now)
    began = scene.now
    assert not watch(scene, dog, STALL + 2 * EVERY, lambda: scene.tick(MUCH))
    assert log.events() == [DUMP, TRIGGERED, FAILED]
    assert "does not end" in log.lines[-1][1]["reason"]
    assert watch(scene, dog, HOUR, lambda: scene.tick(MUCH))
    assert log.events() == [DUMP, TRIGGERED, FAILED] * 3 + [GAVE_UP]
    assert 3 * STALL <= scene.now - began <= 3 * (STALL + 2 * EVERY)


def test_a_commit_begins_the_count_anew(scene: Scene, log: KeptLog) -> None:
    """Failures count in a row: two, a success, two more, a success, and never three."""
    dog = Watchdog(SETTINGS, scene, lambda: scene.now)
    for _ in range(3):
        while dog.failures < 2:
            assert not watch(scene, dog, EVERY, lambda: scene.tick(MUCH))
        scene.commit()
        watch(scene, dog, EVERY)
        assert dog.failures == 0
    assert GAVE_UP not in log.events()
    assert dog.recoveries_failed == 6
    assert dog.stalls == 3


def test_a_backlog_that_is_gone_needs_no_commit(scene: Scene, log: KeptLog) -> None:
    """The old writer had stored all at the last moment: there is nothing that a new one could commit."""
    dog = Watchdog(SETTINGS, scene, lambda: scene.now)
    watch(scene, dog, 1.2 * STALL, lambda: scene.tick(MUCH))
    assert dog.is_stalled
    scene.rows = 0
    assert not watch(scene, dog, HOUR)
    assert log.events() == [DUMP, TRIGGERED, "writer_recovered"]


def test_a_pause_of_the_machine_is_no_failure_of_the_recovery(scene: Scene, log: KeptLog) -> None:
    """The new writer did not run either; it gets its whole time from when it runs again."""
    dog = Watchdog(SETTINGS, scene, lambda: scene.now)
    watch(scene, dog, 1.2 * STALL, lambda: scene.tick(MUCH))
    scene.now += HOUR
    assert not watch(scene, dog, STALL / 2)
    assert log.events() == [DUMP, TRIGGERED]
    assert watch(scene, dog, HOUR)


def test_a_full_disk_does_not_end_the_recorder(scene: Scene, log: KeptLog) -> None:
    """What the journal holds in memory would be lost; once it can be written, a writer that still fails ends it."""
    scene.disk_is_full = True
    dog = Watchdog(SETTINGS, scene, lambda: scene.now)
    assert not watch(scene, dog, 3 * HOUR, lambda: scene.tick(MUCH))
    assert dog.failures > SETTINGS.recovery_max_failures
    assert GAVE_UP not in log.events()
    scene.disk_is_full = False
    assert watch(scene, dog, 2 * STALL, lambda: scene.tick(MUCH))
    assert log.events()[-1] == GAVE_UP


def test_one_failure_is_enough_where_the_operator_says_so(scene: Scene, log: KeptLog) -> None:
    """WATCHDOG_RECOVERY_MAX_FAILURES=1: one recovery is tried, and no second."""
    dog = Watchdog(SETTINGS._replace(recovery_max_failures=1), scene, lambda: scene.now)
    assert watch(scene, dog, HOUR, lambda: scene.tick(MUCH))
    assert log.events() == [DUMP, TRIGGERED, FAILED, GAVE_UP]


def test_it_looks_until_it_gives_up(scene: Scene, log: KeptLog) -> None:
    """`run` ends only then, and each look is a sign of life."""
    settings = SETTINGS._replace(check_interval_sec=0.0)
    dog = Watchdog(settings, scene, lambda: scene.now)
    began = dog.checked_at
    looks = 0

    async def observe() -> Observation:
        nonlocal looks
        looks += 1
        scene.now += EVERY
        scene.tick(MUCH)
        return scene.seen()

    scene.observe = observe  # type: ignore[method-assign]
    asyncio.run(dog.run())
    assert log.events()[-1] == GAVE_UP
    assert looks > 50
    assert dog.checked_at == scene.now > began
