"""A real recorder's `/healthz` and `/metrics` while things break: each is told, with its cause, and told to be over."""

from __future__ import annotations

import os
import re
import shutil
import socket
from typing import TYPE_CHECKING

import apsw
import pytest
from support.needs import mount, unmount
from support.odd_gateway import OddGateway
from support.ports import free_port
from support.probe import LOOPBACK, health, metrics, wait_for_health
from support.recorder_process import until

from hk_tick_collector.opend import opend_pb2 as pb
from hk_tick_collector.opend.numbers import ProtoId
from hk_tick_collector.simulator.universe import universe
from hk_tick_collector.status.trouble_table import cure
from hk_tick_collector.status.troubles import Trouble

if TYPE_CHECKING:
    from support.bench import Bench

pytestmark = pytest.mark.faults


@pytest.fixture
def port() -> int:
    """A port that is free now, for the metrics."""
    return free_port()


def test_what_is_served_is_what_is_stored(port: int, bench: Bench) -> None:
    """Counters, and each symbol's rows, equal the ledger when all is in; then it stops in order."""
    sim = bench.simulate(symbols=3)
    recorder = bench.record(sim, count=3, METRICS_PORT=port)
    wait_for_health(port, 200, "ok")
    sim.command("pause")
    recorder.wait_until_stored(sim)
    sent = len(sim.ledger().ticks)
    until(lambda: metrics(port)["hktick_ticks_stored_total"] == sent, lambda: f"{sent}: {metrics(port)}")
    until(lambda: metrics(port)["hktick_backlog_bytes"] == 0, lambda: f"nothing waits: {metrics(port)}")
    told = metrics(port, "/metrics?symbols=1")
    assert told["hktick_connected"] == 1
    assert told["hktick_symbols_subscribed"] == 3
    assert told["hktick_frames_total"] > 0
    assert told["hktick_received_bytes_total"] > sent * 50
    assert told["hktick_commits_total"] == told["hktick_commit_duration_seconds_count"] > 0
    assert told["hktick_reconnects_total"] == told["hktick_disconnects_total"] == 0
    by_symbol = {name: value for name, value in told.items() if name.startswith("hktick_symbol_ticks ")}
    assert sum(by_symbol.values()) == sent
    assert len(by_symbol) == 3
    bench.settle_whole(sim, recorder)
    assert health(port).status == 0, "the port is free again"


def test_without_an_opend_it_says_so_and_then_that_it_is_over(port: int, bench: Bench) -> None:
    """503 with OpenD's refusal while there is none; once there is one and ticks come, 200."""
    with socket.socket() as reserved:  # bound and not listening: connecting to it is refused
        reserved.bind((LOOPBACK, 0))
        opend_port = reserved.getsockname()[1]
        recorder = bench.record(opend_port, METRICS_PORT=port)
        recorder.wait_for("futu_disconnected")
        told = wait_for_health(port, 503, "unproven", "OpenD not connected for ")
        assert "refused" in told.reasons[0]
    sim = bench.simulate("--port", str(opend_port))
    wait_for_health(port, 200, "ok")
    assert sim.command("cut", mid_frame=True)["ok"]
    until(lambda: metrics(port)["hktick_reconnects_total"] == 1, lambda: f"it reconnects: {metrics(port)}")
    wait_for_health(port, 200, "ok")
    bench.settle_whole(sim, recorder)


def test_an_outage_is_told_with_its_own_length(port: int, bench: Bench) -> None:
    """Seconds without a session, not since the start; a short one is worth a look and no alarm."""
    sim = bench.simulate()
    recorder = bench.record(sim, METRICS_PORT=port)
    until(lambda: recorder.state().get("uptime_sec", 0) > 12, "it has been up for a while")
    wait_for_health(port, 200, "ok")
    assert sim.command("refuse", sec=4)["ok"]
    told = wait_for_health(port, 200, "degraded", "OpenD not connected for ")
    (seconds,) = re.findall(r"for (\d+) s: ", told.reasons[0])
    assert int(seconds) < recorder.state()["uptime_sec"] - 6
    wait_for_health(port, 200, "ok")
    assert metrics(port)["hktick_disconnects_total"] == 1
    bench.settle_whole(sim, recorder)


def test_a_locked_database_is_failing_until_it_is_free(port: int, bench: Bench) -> None:
    """The reason has SQLite's word, what waits and who holds the lock; afterwards all is stored."""
    sim = bench.simulate(rate=100.0)
    recorder = bench.record(sim, METRICS_PORT=port)
    wait_for_health(port, 200, "ok")
    (path,) = recorder.data_root.glob("*.db")
    con = apsw.Connection(str(path))
    con.set_busy_timeout(10_000)
    con.execute("BEGIN IMMEDIATE")
    told = wait_for_health(port, 503, "failing", "writer: ")
    assert "database is locked" in told.reasons[0]
    assert " rows waiting" in told.reasons[0]
    assert told.reasons[0].endswith(cure(Trouble.DAY_LOCKED))
    until(lambda: f"{path.name} is locked by pid {os.getpid()} (" in health(port).reasons[0], "its holder is named")
    assert metrics(port)["hktick_writer_errors_total"] >= 1
    assert metrics(port)["hktick_backlog_rows"] > 0
    con.execute("ROLLBACK")
    con.close()
    told = wait_for_health(port, 200, "degraded", "writer: ")
    assert told.reasons[0].endswith(f"it stores again. {cure(Trouble.STORES_AGAIN)}")
    bench.settle_whole(sim, recorder)


def test_a_refused_symbol_is_named(port: int, bench: Bench) -> None:
    """Degraded, since the others are recorded."""
    sim = bench.simulate(symbols=2)
    recorder = bench.record(sim, *universe(2, 0), "HK.99999", METRICS_PORT=port)
    told = wait_for_health(port, 200, "degraded", "1 symbol refused: HK.99999 (Unknown stock")
    assert len(told.reasons) == 1
    assert metrics(port)["hktick_symbols_refused"] == 1
    assert metrics(port)["hktick_symbols_subscribed"] == 2
    bench.settle_whole(sim, recorder)


def test_a_taken_port_ends_the_start_in_one_line(bench: Bench) -> None:
    """Exit 2, before anything is connected or written to the journal."""
    sim = bench.simulate()
    with socket.socket() as taken:
        taken.bind((LOOPBACK, 0))
        taken.listen()
        number = taken.getsockname()[1]
        recorder = bench.record(sim, METRICS_PORT=number)
        assert recorder.wait() == 2
    (line,) = recorder.log_path.read_text().splitlines()
    assert f"METRICS_PORT={number}" in line
    assert "Address already in use" in line
    assert not list(recorder.data_root.glob("journal/*.hkj"))


def test_a_data_root_that_is_removed_is_failing_and_ends_with_exit_1(port: int, bench: Bench) -> None:
    """Nothing that comes is stored for anybody: whoever asks is told within half a minute, and so is the supervisor."""
    sim = bench.simulate(rate=100)
    recorder = bench.record(sim, METRICS_PORT=port, STOP_FLUSH_TIMEOUT_SEC=5)
    recorder.wait_for("backfill_done")
    sim.wait_for(lambda stats: stats["made"] > 200)
    shutil.rmtree(recorder.data_root)
    wait_for_health(port, 503, "failing", "DATA_ROOT is gone")
    assert recorder.stop() == 1
    assert recorder.log_lines("data_root_lost")


def test_ticks_that_can_not_be_read_are_failing(port: int, bench: Bench) -> None:
    """All of them are kept aside: they are no ticks for anybody, and within half a minute whoever asks is told."""
    sim = bench.simulate(rate=100)

    def unreadable(body: bytes) -> bytes:
        push = pb.Qot_UpdateTicker.Response.FromString(body)
        for tick in push.s2c.tickerList:
            tick.time, tick.sequence, tick.timestamp = "99:99:99.9", 0, 0
        return push.SerializeToString()

    with OddGateway(sim.port) as gateway:
        gateway.changes[ProtoId.QOT_UPDATE_TICKER] = unreadable
        gateway.changes[ProtoId.QOT_GET_TICKER] = unreadable
        recorder = bench.record(gateway.port, count=5, METRICS_PORT=port)
        until(lambda: any("can't be read" in reason for reason in health(port).reasons), lambda: str(health(port)))
        assert health(port)[:2] == (503, "failing")
        assert recorder.stop() == 0
    assert recorder.query("SELECT count(*) > 100 FROM bad_ticks") == [(1,)]


def test_a_mount_over_data_root_is_failing_until_it_is_gone(port: int, bench: Bench) -> None:
    """What was there is hidden: whoever asks is told within half a minute, and nothing is lost."""
    sim = bench.simulate(rate=100)
    recorder = bench.record(sim, METRICS_PORT=port)
    recorder.wait_for("backfill_done")
    wait_for_health(port, 200, "ok")
    root = recorder.data_root
    mount(root, "size=64m")
    try:
        wait_for_health(port, 503, "failing", "DATA_ROOT is another directory than at the start")
    finally:
        unmount(root)
    wait_for_health(port, 200, "ok")
    bench.settle_whole(sim, recorder)


def test_another_program_that_writes_to_a_live_day_is_told(port: int, bench: Bench) -> None:
    """A reader is none, however it opens the file; what it has done stays, and all ticks are stored."""
    sim = bench.simulate(rate=100)
    recorder = bench.record(sim, METRICS_PORT=port)
    wait_for_health(port, 200, "ok")
    (path,) = recorder.data_root.glob("*.db")
    con = apsw.Connection(str(path))
    con.set_busy_timeout(10_000)
    for _ in range(5):
        con.execute("SELECT count(*) FROM ticks").fetchall()
    wait_for_health(port, 200, "ok")
    assert not recorder.log_lines("written_by_others")
    con.execute("CREATE TABLE notes (text TEXT)")
    wait_for_health(port, 200, "degraded", "another program writes to a day's database")
    con.close()
    (line,) = recorder.wait_for("written_by_others")
    assert line.fields["day"] == path.stem
    bench.settle_whole(sim, recorder)
