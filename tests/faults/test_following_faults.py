"""Following while the recorder is broken on purpose: what is given is what is stored, each tick once."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import pytest
from support.reading import keys
from support.recorder_process import until

from hk_tick_collector.read.data_root import DataRoot

if TYPE_CHECKING:
    from pathlib import Path

    from support.bench import Bench

pytestmark = pytest.mark.faults


class Follower:
    """Follows from now on, in a thread of its own."""

    def __init__(self, data_root: Path) -> None:
        self.given: list[tuple[str, int]] = []
        self._follow = DataRoot(data_root).follow(since="2020-01-01")
        self._is_ended = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        while True:
            is_last = self._is_ended.is_set()
            while (batch := self._follow.poll()) is not None:
                self.given += keys([batch])
            if is_last:
                return
            self._is_ended.wait(0.02)

    def end(self) -> None:
        """Take what is there, and stop."""
        self._is_ended.set()
        self._thread.join()
        self._follow.close()


def test_following_goes_through_kills_and_restarts(bench: Bench) -> None:
    """The writer and the recorder are killed, ticks come late by backfill; nothing is given twice or left out."""
    sim = bench.simulate(rate=400)
    recorder = bench.record(sim)
    recorder.wait_for("backfill_done")
    follower = Follower(recorder.data_root)
    try:
        until(lambda: len(follower.given) > 200, "200 ticks given")
        recorder.kill_writer()
        recorder.wait_for("writer_started", 2)
        before = len(follower.given)
        until(lambda: len(follower.given) > before + 200, "200 more ticks given")
        assert sim.command("cut", mid_frame=True)["n"] == 1
        recorder.wait_for("backfill_done", 2)
        recorder.kill_all()
        recorder.start()
        before = len(follower.given)
        until(lambda: len(follower.given) > before + 200, "200 more ticks given")
        bench.settle_whole(sim, recorder)
    finally:
        follower.end()
    assert len(follower.given) == len(set(follower.given))
    assert set(follower.given) == recorder.stored()
    assert recorder.log_lines("wal_held") == []
    fetched = recorder.query("SELECT count(*) FROM ticks WHERE push_type_id = 2")
    assert sum(count for (count,) in fetched) > 0, "ticks came late"
