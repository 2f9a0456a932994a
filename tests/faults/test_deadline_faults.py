"""Outages while they last: how long they can be made good is told; and what OpenD itself missed is fetched whole."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from support.bench import faults_of
from support.recorder_process import RecorderProcess, until
from support.simulator_process import SimulatorProcess
from support.trading_time import DAY, clock_of

from hk_tick_collector.hktime import hk_day
from hk_tick_collector.journal.segments import DIRECTORY, JournalReader, Kind
from hk_tick_collector.opend.frames import split_run
from hk_tick_collector.opend.messages import trade_dates
from hk_tick_collector.opend.numbers import ProtoId
from hk_tick_collector.simulator.universe import universe
from hk_tick_collector.simulator.verdict import compare
from hk_tick_collector.status.health import assess_health

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from hk_tick_collector.simulator.verdict import Verdict

pytestmark = pytest.mark.faults

BUSIEST = "HK.00700"
SYMBOLS = 5


class FaultRig:
    """A simulator and a recorder, on a clock that says Friday morning in Hong Kong."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._clock = clock_of()
        self.sim = SimulatorProcess(directory)
        self.recorder = RecorderProcess(directory, 0, [BUSIEST])

    def begin(self, rate: float, **settings: object) -> None:
        """Start both, and wait until ticks flow."""
        options = ("--now", "--hold", "--rate", str(rate), "--symbols", str(SYMBOLS))
        self.sim = SimulatorProcess(self._directory, *options, env=self._clock).start()
        self.recorder = RecorderProcess(
            self._directory, self.sim.port, universe(SYMBOLS, 0), **self._clock, **settings
        ).start()
        self.recorder.wait_for("futu_subscribed")
        self.sim.wait_for(lambda stats: stats["pushes"] > rate / 2)

    def outage(self) -> dict[str, Any]:
        """What the recorder says of one; {}: there is none."""
        return self.recorder.state().get("outage") or {}

    def wait_for_rates(self) -> None:
        """Until it has seen for a while how fast symbols trade; nobody is told of that before it matters."""
        cycles = self.recorder.state()["session"]["poll_cycles"]
        until(lambda: self.recorder.state()["session"]["poll_cycles"] > cycles + 4, "it has audited for a while")

    def status(self) -> str:
        """What `status` shows, on one line."""
        return " ".join(self.recorder.shown("status", codes={0, 1}).split())

    def settle(self) -> Verdict:
        """Make no more ticks, wait until all that was to be had is stored, and compare."""
        self.sim.command("pause")
        self.recorder.wait_until_stored(self.sim)
        assert self.recorder.stop() == 0
        assert not self.recorder.log_lines("fatal")
        self.sim.command("sync")
        verdict = compare(self.sim.ledger_path, self.recorder.data_root)
        assert verdict.ok, verdict
        assert verdict.sent > 0
        return verdict

    def bodies(self, proto_id: int) -> list[bytes]:
        """The bodies of the journal's frames of that number."""
        reader = JournalReader(self.recorder.data_root / DIRECTORY, None)
        found = []
        while records := reader.read(1 << 20):
            for record in records:
                if record.kind == Kind.FRAMES:
                    others = split_run(record.payload).others
                    found += [frame.body for _, frame in others if frame.proto_id == proto_id]
        reader.close()
        return found

    def end(self) -> None:
        """End what runs."""
        self.recorder.end()
        self.sim.stop()


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[FaultRig]:
    """Ends with the test."""
    made = FaultRig(tmp_path)
    try:
        yield made
    finally:
        made.end()


def test_an_outage_that_can_be_made_good_says_how_long(rig: FaultRig) -> None:
    """While OpenD can't be reached: in recorder.json, the log, the health and `status`; afterwards nothing is said."""
    rig.begin(rate=100)
    rig.wait_for_rates()
    assert rig.outage() == {}
    assert "outage" not in rig.status()
    assert rig.sim.command("refuse", sec=8)["n"] == 1
    (line,) = rig.recorder.wait_for("outage_deadlines")
    told = rig.outage()
    assert told["cause"] in {"connection_lost", "opend_down"}
    assert told["past"] == 0
    first = told["symbols"][0]
    made = [tick.ts_ms for (symbol, _), tick in rig.sim.ledger().ticks.items() if symbol == first["symbol"]]
    true_rate = len(made) / ((max(made) - min(made)) / 1000)
    assert true_rate / 4 < first["rate"] < true_rate * 4
    assert (told["first_deadline_ms"] - told["since_ms"]) / 1000 == pytest.approx(1000 / first["rate"], rel=0.01)
    assert (line.level, line.fields["past"]) == ("WARNING", "0")
    assert first["symbol"] in line.fields["text"]
    assert any("can be recovered until" in reason for reason in assess_health(rig.recorder.state()).reasons)
    shown = rig.status()
    assert "outage OpenD unreachable for" in shown
    assert "recoverable for another" in shown
    assert f"({first['symbol']})" in shown
    until(lambda: bool(faults_of(rig.sim, "refuse_over")), "OpenD is back")
    rig.recorder.wait_for("backfill_done", 2)
    until(lambda: rig.outage() == {}, "nothing is said any more")
    verdict = rig.settle()
    assert verdict.stored == verdict.sent


def test_what_is_past_its_deadline_is_named(rig: FaultRig) -> None:
    """OpenD makes 50 good of what it did not hear itself: soon the busiest symbols are past, and that is failing."""
    rig.begin(rate=200)
    rig.wait_for_rates()
    assert rig.sim.command("outage", sec=6)["n"] == 1
    until(lambda: bool(rig.outage().get("past")), lambda: f"a deadline has passed: {rig.outage()}")
    told = rig.outage()
    assert told["cause"] == "exchange_lost"
    assert BUSIEST in told["past_symbols"]
    health = assess_health(rig.recorder.state())
    assert health.verdict == "failing"
    assert any("can no longer be fully recovered" in reason and BUSIEST in reason for reason in health.reasons)
    assert "past" in rig.status()
    until(lambda: bool(faults_of(rig.sim, "outage_over")), "the exchange is back")
    rig.recorder.wait_for("backfill_done", 2)
    verdict = rig.settle()
    assert verdict.unreachable > 0
    assert verdict.stored == verdict.sent - verdict.unreachable


@pytest.mark.parametrize("backfill_n", [0, 100])
def test_what_opend_missed_is_fetched_whole_whatever_the_operator_asks_for(rig: FaultRig, backfill_n: int) -> None:
    """600 ticks while another login had the right: deeper than BACKFILL_N, and no audit to help."""
    rig.begin(rate=20, FUTU_POLL_ENABLED="false", BACKFILL_N=backfill_n)
    before = len(rig.recorder.log_lines("backfill_done"))
    assert rig.sim.command("kick", sec=1)["n"] == 1
    rig.sim.command("burst", ticks=600, symbols=[BUSIEST])
    until(lambda: bool(faults_of(rig.sim, "kick_over")), "the right is back")
    rig.recorder.wait_for("backfill_done", before + 1)
    verdict = rig.settle()
    assert verdict.stored == verdict.sent
    how = {how for (how,) in rig.recorder.query("SELECT DISTINCT push_type FROM ticks WHERE symbol = 'HK.00700'")}
    assert ("poll" if backfill_n == 0 else "backfill") in how


def test_trade_dates_are_in_the_journal_once_a_session(rig: FaultRig) -> None:
    """Whole, as OpenD has told them, with this day among them."""
    rig.begin(rate=50)
    for sessions in (1, 2):
        until(lambda n=sessions: len(rig.bodies(ProtoId.QOT_REQUEST_TRADE_DATE)) == n, "one for each session")  # type: ignore[misc]
        if sessions == 1:
            assert rig.sim.command("cut")["n"] == 1
    rig.settle()
    first, second = map(trade_dates, rig.bodies(ProtoId.QOT_REQUEST_TRADE_DATE))
    assert first == second
    assert first[DAY] == "whole"
    assert len(first) >= 14
    assert hk_day(rig.recorder.state()["started_ms"]) == DAY
    assert not rig.recorder.log_lines("trade_dates_unavailable")
