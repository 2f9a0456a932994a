"""The host's clock is set while a recorder runs: what the journal says of it, and what else between the ticks."""

from __future__ import annotations

import json
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import pytest
from support.events import (
    read_clock_offset_ms,
    read_clock_stepped,
    read_recording,
    read_resumption,
    read_totals_asked,
)
from support.recorder_process import RecorderProcess, until
from support.simulator_process import SimulatorProcess
from support.trading_time import JumpingClock, clock_of

from hk_tick_collector.journal.events import STATE_EVENT
from hk_tick_collector.journal.segments import DIRECTORY, Kind, iter_records
from hk_tick_collector.opend.frames import iter_frames
from hk_tick_collector.opend.numbers import ProtoId
from hk_tick_collector.simulator.universe import universe

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from hk_tick_collector.journal.segments import Record

pytestmark = pytest.mark.faults

SYMBOLS = universe(3, 0)
HOUR_MS = 3_600_000
OPTIONS = ("--now", "--hold", "--rate", "60", "--symbols", "3", "--no-rate-limits")


class FaultRig:
    """A simulator by a clock that is right, and a recorder by one that is set."""

    def __init__(self, directory: Path) -> None:
        self.clock = JumpingClock(directory, "2026-11-20 10:00:00")
        self.sim = SimulatorProcess(directory, *OPTIONS, env=clock_of()).start()
        settings: dict[str, Any] = {**self.clock.env, "FUTU_TOTALS_INTERVAL_SEC": 0.5}
        self.recorder = RecorderProcess(directory, self.sim.port, [*SYMBOLS, "HK.99999"], **settings).start()
        self.recorder.wait_for("backfill_done")

    def step(self, hours: int) -> None:
        """Set the clock, and wait until that is seen."""
        seen = len(steps_of(self.records()))
        self.clock.step(hours * 3600)
        until(lambda: len(steps_of(self.records())) > seen, "soon, whatever comes from OpenD", timeout_sec=5)

    def wait_for_offset(self, hours: int) -> None:
        """Until the recorder has OpenD's clock so far from its own, and has asked for it."""

        def offset_ms() -> int:
            return int(self.recorder.state().get("session", {}).get("clock_offset_ms") or 0)

        until(lambda: abs(offset_ms() - hours * HOUR_MS) < 5000, lambda: str(offset_ms()))

    def records(self) -> list[Record]:
        """The journal, as far as it is written."""
        return list(iter_records(self.recorder.data_root / DIRECTORY))

    def end(self) -> list[Record]:
        """Stop; the journal."""
        assert self.recorder.stop() == 0
        return self.records()


def steps_of(records: list[Record]) -> list[int]:
    """By how many ms the clock was set, each time."""
    return [step.step_ms for record in records if (step := read_clock_stepped(record.payload)) is not None]


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[FaultRig]:
    """Both, at ten on a Friday."""
    made = FaultRig(tmp_path)
    yield made
    made.recorder.end()
    made.sim.stop()


def test_a_clock_that_is_set_is_in_the_journal_before_any_time_by_it(rig: FaultRig) -> None:
    """With the right size, in a stream that goes on and in one that is idle; OpenD's clock stays what it is."""
    rig.step(-6)
    rig.wait_for_offset(6)
    made = rig.sim.stats()["made"]
    rig.sim.wait_for(lambda stats: stats["made"] > made + 50)
    rig.sim.command("pause")
    rig.recorder.wait_until_stored(rig.sim)
    rig.step(30)
    rig.wait_for_offset(-24)
    rig.step(-24)
    rig.wait_for_offset(0)
    records = rig.end()
    told = steps_of(records)
    assert rig.recorder.log_lines("clock_stepped")[0].fields["step_ms"] == str(told[0])
    assert told == pytest.approx([-6 * HOUR_MS, 30 * HOUR_MS, -24 * HOUR_MS], abs=50)
    seen = []
    for before, record in pairwise(records):
        change_ms = record.recv_ts_ms - before.recv_ts_ms
        if abs(change_ms) > HOUR_MS:
            step = read_clock_stepped(record.payload)
            assert step is not None, "the first record by the new time is the one that says so"
            assert abs(change_ms - step.step_ms) < HOUR_MS
            seen.append(step.step_ms)
    assert seen == told
    assert {record.session for record in records if read_clock_stepped(record.payload)} == {
        record.session for record in records if read_resumption(record.payload)
    }
    first = next(place for place, record in enumerate(records) if read_clock_stepped(record.payload))
    offsets = [ms for record in records[first:] if (ms := read_clock_offset_ms(record.payload)) is not None]
    assert len(offsets) >= 3, "OpenD is asked again, since on one machine its clock was set, too"
    assert [round(ms / HOUR_MS) for ms in offsets[:3]] == [6, -24, 0]
    assert sum(record.kind == Kind.FRAMES for record in records[first:]) > 10


def test_the_journal_says_what_is_recorded_and_when_totals_are_asked_for(rig: FaultRig) -> None:
    """Each session says what it should record; each snapshot has its question before it, of the same number."""
    until(lambda: rig.recorder.query("SELECT count(*) FROM exchange_totals") != [(0,)], "totals are stored")
    assert rig.sim.command("cut")["n"] == 1
    rig.recorder.wait_for("backfill_done", 2)
    records = rig.end()
    asked: dict[tuple[int, int], int] = {}
    answered = 0
    for record in records:
        question = read_totals_asked(record.payload) if record.kind == Kind.EVENT else None
        if question is not None:
            assert abs(question.asked_ms - record.recv_ts_ms) < 1000
            asked[record.session, question.serial_no] = record.recv_ts_ms
        elif record.kind == Kind.FRAMES:
            for proto_id, serial_no, _ in iter_frames(record.payload):
                if proto_id == ProtoId.QOT_GET_SECURITY_SNAPSHOT:
                    assert asked[record.session, serial_no] <= record.recv_ts_ms
                    answered += 1
    assert answered
    recordings = [told for record in records if (told := read_recording(record.payload)) is not None]
    assert len(recordings) == 2, "one in each session, since nothing changes"
    for told in recordings:
        assert (told.symbols, told.subscribed) == ((*SYMBOLS, "HK.99999"), 3)
        assert [*told.without] == ["HK.99999"]
    events = [json.loads(record.payload)["event"] for record in records if record.kind == Kind.EVENT]
    resumed = events.index("stream_resumed")
    assert STATE_EVENT in events[:resumed], "whether the market is open is known when a stream begins"
