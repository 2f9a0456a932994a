"""No silent loss: what is not stored is inside a gap of the ledger with its cause; where nothing is lost is no gap."""

from __future__ import annotations

import time
from random import Random
from typing import TYPE_CHECKING, Any

import pytest
from support.bench import faults_of
from support.gap_row import GapRow
from support.recorder_process import RecorderProcess, until
from support.simulator_process import SimulatorProcess
from support.trading_time import JumpingClock, clock_of
from support.writer_process import WriterProcess

from hk_tick_collector.journal import CURSOR, DIRECTORY
from hk_tick_collector.quality.judge import FILE
from hk_tick_collector.simulator.universe import universe

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from hk_tick_collector.simulator.ledger import Key

pytestmark = pytest.mark.faults

BUSIEST = "HK.00700"
SYMBOLS = 3
ORDINALS = ["contiguous", "sparse", "none"]
TOTALS_SEC = 0.7  # 43 in 30 s, where 60 are allowed
NEVER_AUDIT: dict[str, Any] = {"FUTU_POLL_ENABLED": "false"}


class Stage:
    """A simulator and a recorder, on a clock that says Friday morning in Hong Kong."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._clock = clock_of()
        self.sim = SimulatorProcess(directory)
        self.recorder = RecorderProcess(directory, 0, ["HK.00700"])

    def begin(self, *options: str, rate: float = 60, **settings: object) -> None:
        """Start both, and wait until ticks flow and the beginning is proven."""
        self.sim = SimulatorProcess(
            self._directory,
            *("--now", "--hold", "--rate", str(rate), "--symbols", str(SYMBOLS), *options),
            env=self._clock,
        ).start()
        self.recorder = RecorderProcess(
            self._directory,
            self.sim.port,
            universe(SYMBOLS, 0),
            **self._clock,
            **{"FUTU_TOTALS_INTERVAL_SEC": TOTALS_SEC, **NEVER_AUDIT, **settings},
        ).start()
        self.recorder.wait_for("backfill_done")
        self.sim.command("burst", ticks=300)  # enough for ordinals to be measured
        self.wait_until_decided()

    def gaps(self) -> list[GapRow]:
        """The ledger."""
        columns = ", ".join(GapRow._fields)
        return [GapRow(*row) for row in self.recorder.query(f"SELECT {columns} FROM gaps ORDER BY symbol, resumed_ms")]  # noqa: S608

    def doubts(self) -> list[tuple[Any, ...]]:
        """What is not decided."""
        return self.recorder.query("SELECT * FROM doubts")

    def wait_until_decided(self) -> None:
        """Until all symbols have totals, and there is no doubt; nothing is traded, or totals could not tell so soon."""

        def decided() -> bool:
            rows = self.recorder.query("SELECT DISTINCT symbol FROM exchange_totals")
            return len(rows) == SYMBOLS and not self.doubts()

        self.sim.command("pause")
        until(decided, lambda: f"no doubt is left: {self.doubts()} {self.gaps()}; {self._said()}")
        self.sim.command("resume")

    def _said(self) -> str:
        return self.recorder.log_path.read_text()[-3000:]

    def lost(self) -> set[Key]:
        """What was made and is not stored."""
        return self.sim.ledger().ticks.keys() - self.recorder.stored()

    def unexplained(self) -> set[Key]:
        """What is lost and inside no gap."""
        gaps = self.gaps()
        return {key for key in self.lost() if not any(gap.covers(key) for gap in gaps)}

    def settle(self) -> list[GapRow]:
        """Make no more ticks, wait until each is stored or explained, and stop; the gaps, each with a loss in it."""
        self.sim.command("pause")
        until(
            lambda: not self.doubts() and not self.unexplained(),
            lambda: f"all is explained: {len(self.unexplained())} {self.doubts()} {self.gaps()}; {self._said()}",
        )
        assert self.recorder.stop() == 0
        assert not self.recorder.log_lines("fatal")
        assert not self.unexplained()
        lost = self.lost()
        for gap in self.gaps():
            assert gap.state == "filled" or any(gap.covers(key) for key in lost), gap
        return self.gaps()

    def derive(self) -> None:
        """Make the day's database again from the journal, by one writer and in batches of its own."""
        root = self.recorder.data_root
        for path in [*root.glob("*.db*"), root / DIRECTORY / CURSOR, root / DIRECTORY / FILE]:
            path.unlink(missing_ok=True)
        writer = WriterProcess(root, self._directory, batch_size=777)
        assert writer.end() == 0
        writer.close()

    def end(self) -> None:
        """End what runs."""
        self.recorder.end()
        self.sim.stop()


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    """Ends with the test."""
    made = Stage(tmp_path)
    try:
        yield made
    finally:
        made.end()


def check(stage: Stage, gaps: list[GapRow], cause: str, session: str = "morning") -> None:
    """Each gap has that cause, and those with a number have the right one."""
    lost = stage.lost()
    ledger = stage.sim.ledger()
    for gap in gaps:
        inside = [key for key in lost if gap.covers(key)]
        assert gap.cause == cause, gap
        assert gap.state == "open"
        assert gap.session == session
        assert gap.missing in {None, len(inside)}, gap
        assert gap.missing_volume in {None, sum(ledger.ticks[key].volume for key in inside)}, gap


@pytest.mark.parametrize("ordinals", ORDINALS)
def test_a_cut_within_the_cache_leaves_no_gap(stage: Stage, ordinals: str) -> None:
    """The window reaches back to what was stored: nothing is missing, whatever the ordinals are."""
    stage.begin("--ordinals", ordinals)
    for _ in range(2):
        connects = len(stage.recorder.log_lines("backfill_done"))
        assert stage.sim.command("cut", mid_frame=True)["n"] == 1
        stage.recorder.wait_for("backfill_done", connects + 1)
        stage.wait_until_decided()
    assert stage.settle() == []
    assert not stage.lost()


@pytest.mark.parametrize("ordinals", ORDINALS)
def test_an_outage_beyond_the_cache_is_a_gap(stage: Stage, ordinals: str) -> None:
    """A symbol that trades 1,500 times while OpenD can't be reached lacks 500, between bounds that tell where."""
    stage.begin("--ordinals", ordinals)
    assert stage.sim.command("refuse", sec=1.5)["n"] == 1
    stage.sim.command("burst", ticks=1500, symbols=[BUSIEST])
    stage.recorder.wait_for("backfill_done", 2)
    gaps = stage.settle()
    assert {gap.symbol for gap in gaps} == {BUSIEST}
    assert len(stage.lost()) >= 500
    check(stage, gaps, "opend_down")
    assert [gap.evidence for gap in gaps] == ["ordinals" if ordinals == "contiguous" else "totals"]


@pytest.mark.parametrize("ordinals", ORDINALS)
def test_a_restart_with_an_empty_cache_is_a_gap(stage: Stage, ordinals: str) -> None:
    """What was traded while OpenD restarted is inside a gap of each symbol."""
    stage.begin("--ordinals", ordinals)
    assert stage.sim.command("restart", sec=1.5)["n"] == 1
    stage.recorder.wait_for("backfill_done", 2)
    gaps = stage.settle()
    assert set(stage.sim.ledger().unreachable.values()) == {"restart"}
    assert len(gaps) == SYMBOLS
    check(stage, gaps, "opend_down")


@pytest.mark.parametrize("ordinals", ORDINALS)
def test_an_opend_that_was_down_with_its_cache_kept_is_a_gap(stage: Stage, ordinals: str) -> None:
    """A window that reaches back is no proof where OpenD itself did not hear: the hole is in its memory."""
    stage.begin("--ordinals", ordinals)
    assert stage.sim.command("refuse", sec=1.5, keep_cache=False)["n"] == 1
    stage.recorder.wait_for("backfill_done", 2)
    gaps = stage.settle()
    assert set(stage.sim.ledger().unreachable.values()) == {"down"}
    assert len(gaps) == SYMBOLS
    check(stage, gaps, "opend_down")


@pytest.mark.parametrize("ordinals", ORDINALS)
def test_an_outage_of_the_exchange_beyond_50_is_a_gap(stage: Stage, ordinals: str) -> None:
    """OpenD makes good 50 of a symbol: the busiest has a gap, the others none."""
    stage.begin("--ordinals", ordinals, rate=10)
    assert stage.sim.command("outage", sec=2)["n"] == 1
    stage.sim.command("burst", ticks=300, symbols=[BUSIEST])
    until(lambda: bool(faults_of(stage.sim, "outage_over")), "the exchange is back")
    stage.recorder.wait_for("backfill_done", 2)
    gaps = stage.settle()
    assert set(stage.sim.ledger().unreachable.values()) == {"upstream"}
    assert {gap.symbol for gap in gaps} == {BUSIEST}
    check(stage, gaps, "exchange_lost")


@pytest.mark.parametrize("ordinals", ORDINALS)
def test_an_outage_of_the_exchange_within_50_leaves_no_gap(stage: Stage, ordinals: str) -> None:
    """Fewer than 50 were made good: these were all."""
    stage.begin("--ordinals", ordinals, rate=10)
    assert stage.sim.command("outage", sec=2)["n"] == 1
    stage.sim.command("burst", ticks=20, symbols=[BUSIEST])
    until(lambda: bool(faults_of(stage.sim, "outage_over")), "the exchange is back")
    stage.recorder.wait_for("backfill_done", 2)
    assert stage.settle() == []
    assert not stage.lost()


@pytest.mark.parametrize("ordinals", ORDINALS)
def test_being_kicked_out_for_more_than_the_cache_is_a_gap(stage: Stage, ordinals: str) -> None:
    """What has left OpenD's memory before the right came back is lost, and the cause is the other login."""
    stage.begin("--ordinals", ordinals)
    assert stage.sim.command("kick", sec=2)["n"] == 1
    stage.sim.command("burst", ticks=1400, symbols=[BUSIEST])
    until(lambda: bool(faults_of(stage.sim, "kick_over")), "the right is back")
    stage.recorder.wait_for("backfill_done", 2)
    gaps = stage.settle()
    assert {gap.symbol for gap in gaps} == {BUSIEST}
    assert len(stage.lost()) >= 400
    check(stage, gaps, "kicked_out")


@pytest.mark.parametrize("burst", [500, 1500])
@pytest.mark.parametrize("ordinals", ORDINALS)
def test_a_recorder_that_was_down_knows_what_it_missed(stage: Stage, ordinals: str, burst: int) -> None:
    """Killed and started again: within the cache nothing is missing, beyond it there is a gap."""
    stage.begin("--ordinals", ordinals)
    stage.recorder.kill_all()
    stage.sim.command("burst", ticks=burst, symbols=[BUSIEST])
    stage.recorder.start()
    stage.recorder.wait_for("backfill_done", 2)
    gaps = stage.settle()
    assert {gap.symbol for gap in gaps} == ({BUSIEST} if burst > 1000 else set())
    check(stage, gaps, "recorder_down")


@pytest.mark.parametrize("ordinals", ORDINALS)
def test_single_pushes_that_never_came_are_found_by_the_totals(stage: Stage, ordinals: str) -> None:
    """With audits off and no outage, the exchange's volume goes ahead of ours, and stays there."""
    stage.begin("--ordinals", ordinals)
    assert stage.sim.command("lose", n=4)["n"] == 4
    stage.sim.command("burst", ticks=30)  # where nothing is pushed the totals are not asked for
    gaps = stage.settle()
    assert len(stage.lost()) == 4
    assert {gap.evidence for gap in gaps} == {"totals"}
    check(stage, gaps, "unknown")


def test_a_gap_that_is_filled_later_says_so(stage: Stage) -> None:
    """The backfill after a cut brings what pushes had missed: the gap stays in the ledger, filled, and by what."""
    stage.begin()
    assert stage.sim.command("lose", n=4)["n"] == 4
    stage.sim.command("pause")
    until(lambda: bool(stage.gaps()) and not stage.unexplained(), "the loss is in the ledger")
    assert stage.sim.command("cut")["n"] == 1
    stage.recorder.wait_for("backfill_done", 2)
    until(lambda: all(gap.state == "filled" for gap in stage.gaps()), lambda: f"filled: {stage.gaps()}")
    gaps = stage.settle()
    assert not stage.lost()
    assert gaps
    assert set(stage.recorder.query("SELECT filled_by FROM gaps")) == {("backfill",)}
    assert all(ms is not None for (ms,) in stage.recorder.query("SELECT filled_ms FROM gaps"))


def test_what_a_symbol_misses_before_it_is_subscribed_is_a_gap(stage: Stage, tmp_path: Path) -> None:
    """There was no quota for it: what was traded until there was, and has left OpenD's memory, has that cause."""
    clock = JumpingClock(tmp_path, "2026-11-20 08:00:00")
    options = ("--now", "--hold", "--rate", "20", "--symbols", str(SYMBOLS), "--quota", str(SYMBOLS - 1))
    stage.sim = SimulatorProcess(tmp_path, *options, "--no-rate-limits", env=clock.env).start()
    stage.sim.command("pause")
    settings = {**NEVER_AUDIT, **clock.env, "FUTU_TOTALS_INTERVAL_SEC": TOTALS_SEC}
    stage.recorder = RecorderProcess(tmp_path, stage.sim.port, universe(SYMBOLS, 0), **settings).start()
    stage.recorder.wait_for("backfill_done")
    assert stage.recorder.log_lines("futu_subscribed")[0].fields["left_out"] == "1"
    clock.jump_to("2026-11-20 10:00:00")
    stage.sim.command("resume")
    stage.sim.command("burst", ticks=1500, symbols=[universe(SYMBOLS, 0)[-1]])
    stage.sim.command("quota", n=SYMBOLS)
    stage.recorder.wait_for("backfill_done", 2)
    gaps = stage.settle()
    assert len(stage.lost()) >= 500
    assert {gap.symbol for gap in gaps} == {universe(SYMBOLS, 0)[-1]}
    check(stage, gaps, "not_subscribed", "pre-opening")


def mixture(stage: Stage, random: Random) -> None:
    """A fault of any kind, in its full length, with or without a burst in it."""
    kind = random.choice(["cut", "refuse", "down", "restart", "outage", "kick", "lose", "kill"])
    ticks = random.choice([0, 30, 300, 1400])
    backfills = len(stage.recorder.log_lines("backfill_done"))
    if kind == "kill":
        stage.recorder.kill_all()
    elif kind == "lose":
        assert stage.sim.command("lose", n=3)["n"] == 3
        return
    elif kind == "cut":
        assert stage.sim.command("cut")["n"] == 1
    else:
        fault, options = {"down": ("refuse", {"keep_cache": False})}.get(kind, (kind, {}))
        assert stage.sim.command(fault, sec=round(random.uniform(0.5, 1.5), 1), **options)["n"] == 1
    if ticks:
        stage.sim.command("burst", ticks=ticks, symbols=[BUSIEST])
    if kind == "kill":
        stage.recorder.start()
    stage.recorder.wait_for("backfill_done", backfills + 1)
    until(lambda: not stage.sim.stats()["faults"], "the fault is over")


@pytest.mark.parametrize("seed", range(6))
def test_whatever_happens_nothing_is_lost_in_silence(stage: Stage, seed: int) -> None:
    """Faults by a seed, one after the other: each lost tick is inside a gap, and each open gap has a loss in it."""
    random = Random(seed)
    stage.begin("--ordinals", ORDINALS[seed % 3], rate=40)
    for _ in range(5):
        mixture(stage, random)
        time.sleep(random.uniform(0, 2))  # so that some come before the one before is decided
    gaps = stage.settle()
    tables = {name: stage.recorder.query(f"SELECT * FROM {name}") for name in ("gaps", "doubts", "exchange_totals")}  # noqa: S608
    stage.derive()
    assert stage.gaps() == gaps
    assert tables == {name: stage.recorder.query(f"SELECT * FROM {name}") for name in tables}  # noqa: S608
