"""One day's file is broken, and everything else goes on: it is told, it catches up by itself, and nothing is lost."""

from __future__ import annotations

import json
import os
import sys
import time
from typing import TYPE_CHECKING, Any

import apsw
import pytest
from support import warm
from support.odd_days import foreign, mend, noise, not_mounted
from support.odd_gateway import OddGateway
from support.recorder_process import until
from support.ticks import seq_at
from support.trading_time import clock_of

from hk_tick_collector.hktime import hk_text, parse_time
from hk_tick_collector.opend import opend_pb2 as pb
from hk_tick_collector.opend.numbers import ProtoId
from hk_tick_collector.simulator.universe import universe

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from support.bench import Bench
    from support.recorder_process import RecorderProcess
    from support.simulator_process import SimulatorProcess

pytestmark = pytest.mark.faults

SYMBOLS = universe(5, 0)
TODAY, YESTERDAY = "20261120", "20261119"  # by the clock of all processes here: no test runs over midnight
OLD = 20  # ticks of yesterday that GetTicker gives, of each symbol
TOLD_SEC, MENDED_SEC = 30, 60  # within these health names a fault, and is without it again


CLOCK = clock_of()


@pytest.fixture(autouse=True)
def _clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """For the processes that take their environment from this one."""
    for name, value in CLOCK.items():
        monkeypatch.setenv(name, value)


@pytest.fixture
def sim(bench: Bench) -> SimulatorProcess:
    """Behind the gateway."""
    return bench.simulate(rate=150)


@pytest.fixture
def gateway(sim: SimulatorProcess) -> Iterator[OddGateway]:
    """In front of it: GetTicker gives some of yesterday's ticks besides."""

    def older(body: bytes) -> bytes:
        reply = pb.Qot_GetTicker.Response.FromString(body)
        ts_ms = parse_time(f"{YESTERDAY}150000").ms
        for number in range(OLD):
            tick = reply.s2c.tickerList.add(
                time=hk_text(ts_ms)[:19],
                sequence=seq_at(number + 1, ts_ms),
                dir=1,
                price=10.0,
                volume=100,
                turnover=1000.0,
                type=1,
                timestamp=ts_ms / 1000,
            )
            assert tick.sequence
        return reply.SerializeToString()

    with OddGateway(sim.port) as made:
        made.changes[ProtoId.QOT_GET_TICKER] = older
        yield made


def rows_of(recorder: RecorderProcess, day: str) -> list[tuple[str, int]]:
    """The stored ticks of a day, sorted."""
    con = apsw.Connection(str(recorder.data_root / f"{day}.db"), flags=apsw.SQLITE_OPEN_READONLY)
    try:
        con.set_busy_timeout(5000)
        found: list[Any] = con.execute("SELECT symbol, seq FROM ticks ORDER BY 1, 2").fetchall()
    finally:
        con.close()
    return found


def status(recorder: RecorderProcess) -> dict[str, Any]:
    """What `status --json` says of it."""
    command = (sys.executable, "-m", "hk_tick_collector.cli.app", "status", "--json", "--data-root")
    done = warm.run([*command, str(recorder.data_root)], timeout=60)
    assert done.stdout, done.stderr
    told = json.loads(done.stdout)
    assert isinstance(told, dict)
    return told


def reasons(recorder: RecorderProcess) -> str:
    """Those of its health."""
    return " ".join(status(recorder)["health"]["reasons"])


@pytest.mark.parametrize("breaks", [noise, foreign, not_mounted])
def test_a_past_day_that_can_not_be_written_waits_while_today_is_recorded(
    bench: Bench, sim: SimulatorProcess, gateway: OddGateway, breaks: Callable[[Path], None]
) -> None:
    """From the start on: health names it, status works; when it is mended, its ticks are there within a minute."""
    root = bench.directory / "recorder1"
    root.mkdir()
    path = root / f"{YESTERDAY}.db"
    breaks(path)
    recorder = bench.record(gateway.port, *SYMBOLS, **CLOCK)
    assert recorder.data_root == root
    recorder.wait_for("day_waits", day=YESTERDAY)
    until(lambda: YESTERDAY in reasons(recorder), "health names it", TOLD_SEC)
    assert status(recorder)["health"]["verdict"] == "degraded"
    sim.wait_for(lambda stats: stats["made"] > 600)
    sim.command("pause")
    made = sorted(sim.ledger().ticks)
    until(lambda: rows_of(recorder, TODAY) == made, lambda: f"{len(rows_of(recorder, TODAY))} of {len(made)}")
    mend(path)
    recorder.wait_for("day_caught_up", day=YESTERDAY, timeout_sec=MENDED_SEC)
    assert len(rows_of(recorder, YESTERDAY)) == OLD * len(SYMBOLS)
    until(lambda: YESTERDAY not in reasons(recorder), "health is without it", MENDED_SEC)
    assert recorder.stop() == 0
    assert not recorder.log_lines("fatal")
    assert rows_of(recorder, TODAY) == made


def test_a_past_day_that_is_locked_waits_while_today_is_recorded(
    bench: Bench, sim: SimulatorProcess, gateway: OddGateway
) -> None:
    """Another program holds it for longer than anybody would wait; a stop meanwhile keeps its place."""
    root = bench.directory / "recorder1"
    root.mkdir()
    lock = apsw.Connection(str(root / f"{YESTERDAY}.db"))
    lock.execute("BEGIN EXCLUSIVE")
    recorder = bench.record(gateway.port, *SYMBOLS, **CLOCK)
    recorder.wait_for("day_waits", day=YESTERDAY)
    recorder.wait_for("backfill_done")
    sim.wait_for(lambda stats: stats["made"] > 300)
    assert recorder.stop() == 0
    recorder.start()
    recorder.wait_for("backfill_done", 2)
    sim.wait_for(lambda stats: stats["made"] > 600)
    sim.command("pause")
    made = sorted(sim.ledger().ticks)
    until(lambda: rows_of(recorder, TODAY) == made, "today is whole")
    lock.execute("ROLLBACK")
    lock.close()
    recorder.wait_for("day_caught_up", day=YESTERDAY, timeout_sec=MENDED_SEC)
    assert len(rows_of(recorder, YESTERDAY)) == OLD * len(SYMBOLS)
    assert recorder.stop() == 0


def test_a_certified_day_that_is_archived_is_away(bench: Bench, sim: SimulatorProcess, gateway: OddGateway) -> None:
    """Its certificate stays, its file is elsewhere: nothing is made in its place, and nothing waits."""
    root = bench.directory / "recorder1"
    root.mkdir()
    (root / f"{YESTERDAY}.certificate.json").write_text("{}")
    recorder = bench.record(gateway.port, *SYMBOLS, **CLOCK)
    recorder.wait_for("day_away", day=YESTERDAY)
    sim.wait_for(lambda stats: stats["made"] > 300)
    sim.command("pause")
    made = sorted(sim.ledger().ticks)
    until(lambda: rows_of(recorder, TODAY) == made, "today is whole")
    assert not (root / f"{YESTERDAY}.db").exists()
    assert YESTERDAY not in reasons(recorder)
    assert recorder.stop() == 0


@pytest.mark.parametrize("by", ["deletion", "noise in another file"])
def test_todays_file_that_vanishes_is_made_again_while_it_is_recorded(bench: Bench, by: str) -> None:
    """Within some seconds, from the journal, whole: what was made is what is stored."""
    sim = bench.simulate(rate=150)
    recorder = bench.record(sim, **CLOCK)
    sim.wait_for(lambda stats: stats["made"] > 300)
    path = recorder.data_root / f"{TODAY}.db"
    until(path.exists, "it is there")
    for suffix in ("-wal", "-shm", ""):
        path.with_name(path.name + suffix).unlink(missing_ok=True)
    if by != "deletion":
        noise(path)
    began = time.monotonic()
    recorder.wait_for("day_made_again", day=TODAY)
    assert time.monotonic() - began < 10
    recorder.wait_for("day_caught_up", day=TODAY)
    sim.wait_for(lambda stats: stats["made"] > 900)
    bench.settle_whole(sim, recorder)
    assert len(list(recorder.data_root.glob("*.damaged-*"))) == (by != "deletion")


def test_todays_damaged_database_is_made_again_at_the_start(bench: Bench) -> None:
    """A power cut, or a disk: the recorder starts, sets it aside whole, and has today's ticks from the journal."""
    sim = bench.simulate(rate=150)
    recorder = bench.record(sim, **CLOCK)
    sim.wait_for(lambda stats: stats["made"] > 300)
    assert recorder.stop() == 0
    path = recorder.data_root / f"{TODAY}.db"
    before = bytearray(path.read_bytes())
    before[:4096] = b"\x07" * 4096
    path.write_bytes(before)
    recorder.start()
    recorder.wait_for("day_made_again", day=TODAY)
    (kept,) = recorder.data_root.glob("*.damaged-*")
    assert kept.read_bytes() == bytes(before)
    sim.wait_for(lambda stats: stats["made"] > 900)
    bench.settle_whole(sim, recorder)


def test_a_disk_of_old_days_that_does_not_answer_keeps_nothing_from_today(
    bench: Bench, sim: SimulatorProcess, gateway: OddGateway
) -> None:
    """Whoever opens a file there hangs: a link to a pipe that nobody writes to stands for it.

    That day waits, and is told; today is recorded. When the link is gone that day is stored, and the recorder stops.
    """
    root, pipe = bench.directory / "recorder1", bench.directory / "pipe"
    root.mkdir()
    os.mkfifo(pipe)
    path = root / f"{YESTERDAY}.db"
    path.symlink_to(pipe)
    recorder = bench.record(gateway.port, *SYMBOLS, **CLOCK)
    recorder.wait_for("seed_unreadable")
    recorder.wait_for("backfill_done")
    assert "does not answer" in str(recorder.wait_for("day_waits", day=YESTERDAY)[0].fields["error"])
    until(lambda: YESTERDAY in reasons(recorder), "health names it", TOLD_SEC)
    writers = recorder.writer_pids()
    sim.wait_for(lambda stats: stats["made"] > 1500)
    sim.command("pause")
    made = sorted(sim.ledger().ticks)
    until(lambda: rows_of(recorder, TODAY) == made, "today is stored")
    assert recorder.writer_pids() == writers, "no writer hung"
    (day,) = [day for day in json.loads(recorder.shown("days", "--json"))["days"] if day["day"] == YESTERDAY]
    assert "does not answer" in day["fault"], "nor does a command"
    path.unlink()
    recorder.wait_for("day_caught_up", day=YESTERDAY, timeout_sec=MENDED_SEC)
    assert len(rows_of(recorder, YESTERDAY)) == OLD * len(SYMBOLS)
    assert recorder.stop() == 0
    assert rows_of(recorder, TODAY) == made
