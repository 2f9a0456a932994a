"""The recorder process: it starts or says in one line why not, and whatever ends it, what came is stored."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import apsw
import pytest
from support.bench import Bench
from support.needs import mount, unmount
from support.recorder_process import COMMAND, QUICK, until

from hk_tick_collector.db import DayDatabase, Pragmas
from hk_tick_collector.hktime import hk_day
from hk_tick_collector.simulator.verdict import compare

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.faults

BUSIEST = "HK.00700"


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    """Simulators and recorders that end with the test."""
    made = Bench(tmp_path)
    yield made
    made.end()


# ---- it does not start


def refusal(tmp_path: Path, *, prelude: str = "", **settings: str) -> str:
    """Run it with these settings; it must end with 2 and one line, which is given."""
    command = list(COMMAND)
    if prelude:
        script = f"import sys; {prelude}; sys.argv = ['hk-tick-collector', 'run']; "
        command = [sys.executable, "-c", script + "from hk_tick_collector.cli.app import entry; entry()"]
    env = {"PATH": os.environ["PATH"], "FUTU_SYMBOLS": BUSIEST, "DATA_ROOT": str(tmp_path / "data"), **settings}
    done = subprocess.run(command, env=env, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 2, done
    assert done.stdout == ""
    (line,) = done.stderr.splitlines()
    return line.removeprefix("hk-tick-collector: ")


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"FUTU_SYMBOL": BUSIEST}, "FUTU_SYMBOLS"),
        ({"FUTU_PORTT": "11111"}, "FUTU_PORT"),
        ({"BATCH_SIZE": "many"}, "BATCH_SIZE"),
        ({"MAX_WAIT_MS": "0"}, "MAX_WAIT_MS"),
        ({"SQLITE_SYNCHRONOUS": "OFF"}, "SQLITE_SYNCHRONOUS"),
        ({"FUTU_SYMBOLS": ""}, ") is empty: expected at least one code"),
        ({"FUTU_SYMBOLS": "US.AAPL"}, "US.AAPL"),
        ({"FUTU_SYMBOLS": "@none.txt"}, "none.txt"),
        ({"FUTU_RSA_KEY_FILE": "none.pem"}, "none.pem"),
        ({"DATA_ROOT": "/proc/hk-tick-collector"}, "DATA_ROOT='/proc/hk-tick-collector'"),
    ],
)
def test_a_wrong_setting_is_one_line_and_exit_2(tmp_path: Path, settings: dict[str, str], expected: str) -> None:
    """The line names the setting, or the one that was meant, and nothing was started."""
    assert expected in refusal(tmp_path, **settings)
    assert not list(tmp_path.glob("data/journal/*"))


def test_a_file_in_place_of_data_root_is_one_line_and_exit_2(tmp_path: Path) -> None:
    """DATA_ROOT that can't be a directory is named."""
    (tmp_path / "file").touch()
    assert "a file is in the way" in refusal(tmp_path, DATA_ROOT=str(tmp_path / "file"))
    assert "a file is in the way" in refusal(tmp_path, DATA_ROOT=str(tmp_path / "file" / "below"))


def test_a_read_only_data_root_is_one_line_and_exit_2(tmp_path: Path) -> None:
    """A DATA_ROOT on a disk that takes no writes is named."""
    root = tmp_path / "read-only"
    root.mkdir()
    mount(root, "ro")
    try:
        line = refusal(tmp_path, DATA_ROOT=str(root))
    finally:
        unmount(root)
    assert str(root) in line
    assert "Read-only file system" in line


@pytest.mark.parametrize("fault", ["newer", "foreign", "a directory"])
def test_todays_database_that_can_not_be_used_is_one_line_and_exit_2(tmp_path: Path, fault: str) -> None:
    """It is named before anything is connected, and left as it was."""
    path = tmp_path / "data" / f"{hk_day(time.time_ns() // 1_000_000)}.db"
    path.parent.mkdir()
    if fault == "a directory":
        path.mkdir()
        assert str(path) in refusal(tmp_path)
        return
    DayDatabase(path, Pragmas()).close()
    con = apsw.Connection(str(path))
    con.pragma(*(("user_version", 99) if fault == "newer" else ("application_id", 1)))
    con.close()
    before = path.read_bytes()
    assert str(path) in refusal(tmp_path)
    assert path.read_bytes() == before


def test_an_old_sqlite_is_one_line_and_exit_2(tmp_path: Path) -> None:
    """A library that can corrupt databases is refused before DATA_ROOT is touched."""
    line = refusal(tmp_path, prelude="import apsw; apsw.sqlite_lib_version = lambda: '3.40.1'")
    assert "SQLite 3.40.1" in line
    assert "pip install --upgrade apsw" in line
    assert not (tmp_path / "data").exists()


def test_a_second_recorder_is_refused_and_the_first_goes_on(bench: Bench, tmp_path: Path) -> None:
    """Two recorders on one DATA_ROOT: the second ends with 2 and names the first, which does not notice."""
    sim = bench.simulate(symbols=2, rate=100)
    recorder = bench.record(sim, count=2)
    recorder.wait_for("backfill_done")
    line = refusal(tmp_path, **QUICK, DATA_ROOT=str(recorder.data_root))
    assert line == (
        f"DATA_ROOT {recorder.data_root} is in use by process {recorder.pid}: stop that one, or use another DATA_ROOT"
    )
    bench.settle_whole(sim, recorder)


def test_a_port_that_is_taken_is_one_line_and_exit_2(tmp_path: Path) -> None:
    """METRICS_PORT is had before anything is recorded, or it is the operator's to mend."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert refusal(tmp_path, METRICS_PORT=str(port)).startswith(f"METRICS_PORT={port}: can't listen on 127.0.0.1")


# ---- it ends


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_stop_stores_everything_and_ends_with_0(bench: Bench, number: signal.Signals) -> None:
    """In the middle of the stream a stop loses nothing that was received: the next start's backfill finds no hole."""
    sim = bench.simulate(symbols=3, rate=500)
    recorder = bench.record(sim, count=3)
    recorder.wait_for("backfill_done")
    until(lambda: len(recorder.rows()) > 300, "rows are stored")
    recorder.signal(number)
    assert recorder.wait() == 0
    (line,) = recorder.log_lines("recorder_stopped")
    assert (line.fields["reason"], line.fields["stored"]) == (number.name, "True")
    assert int(line.fields["rows"]) == len(recorder.rows())
    state = recorder.state()
    assert (state["running"], state["stop_reason"], state["stored"]) == (False, number.name, True)
    assert state["started_ms"] < state["stopped_ms"] == pytest.approx(state["at_ms"], abs=5000)
    assert not recorder.log_lines("fatal")
    recorder.start()
    bench.settle_whole(sim, recorder)


def test_a_stop_at_once_ends_with_0(bench: Bench) -> None:
    """A stop that comes while everything is being started ends it cleanly, without a second writer."""
    sim = bench.simulate(symbols=2, rate=100)
    recorder = bench.record(sim, count=2)
    recorder.wait_for("recorder_started")
    assert recorder.stop() == 0
    assert recorder.log_lines("recorder_stopped")[0].fields["stored"] == "True"
    assert len(recorder.log_lines("writer_started")) == 1
    recorder.start()
    recorder.wait_for("backfill_done")
    until(lambda: len(recorder.rows()) > 50, "it records")
    bench.settle_whole(sim, recorder)


def test_a_disk_that_hangs_does_not_keep_it_from_ending(bench: Bench) -> None:
    """A thread that waits for the disk without end is told of, and left behind; what was received is stored."""
    sim = bench.simulate(symbols=2, rate=100)
    recorder = bench.record(sim, count=2)
    recorder.wait_for("backfill_done")
    until(lambda: len(recorder.rows()) > 50, "it records")
    fifo = recorder.data_root / "recorder.tmp"
    with contextlib.suppress(FileExistsError):  # it is just being written
        os.mkfifo(fifo)  # whoever opens it waits for a reader that never comes
    wait = Path(f"/proc/{recorder.pid}/task")
    until(
        lambda: any("partner" in (task / "wchan").read_text() for task in wait.iterdir()), "a thread waits for the disk"
    )
    assert recorder.stop() == 0
    (line,) = recorder.log_lines("recorder_stopped")
    assert line.fields["stored"] == "True"
    assert len(recorder.log_lines("shutdown_threads_stuck")) == 1
    (recorder.data_root / "recorder.tmp").unlink()
    recorder.start()
    bench.settle_whole(sim, recorder)


def test_a_stop_with_a_locked_database_ends_in_time_and_the_next_start_stores(bench: Bench) -> None:
    """What can't be stored within STOP_FLUSH_TIMEOUT_SEC stays in the journal, which is said; nothing is lost."""
    sim = bench.simulate(symbols=3, rate=300)
    recorder = bench.record(sim, count=3, STOP_FLUSH_TIMEOUT_SEC=2)
    recorder.wait_for("backfill_done")
    until(lambda: len(recorder.rows()) > 100, "rows are stored")
    (path,) = recorder.data_root.glob("*.db")
    con = apsw.Connection(str(path))
    con.set_busy_timeout(30_000)
    con.execute("BEGIN IMMEDIATE")
    recorder.wait_for("persist_failed")
    stored = len(recorder.rows())
    assert recorder.stop() == 1
    assert len(recorder.log_lines("stop_flush_timeout")) == 1
    assert recorder.log_lines("recorder_stopped")[0].fields["stored"] == "False"
    assert len(recorder.rows()) == stored, "the lock was really held"
    con.close()
    sim.command("pause")
    sim.command("refuse", sec=600)  # what is stored now can only come out of the journal
    recorder.start()
    recorder.wait_for("futu_disconnected")
    until(lambda: len(recorder.rows()) > stored, "the journal's rest is stored")
    assert recorder.stop() == 0
    sim.command("sync")
    verdict = compare(sim.ledger_path, recorder.data_root)
    assert not verdict.duplicated
    assert not verdict.wrong


# ---- it goes on


def test_sigusr1_dumps_stacks_and_sighup_changes_nothing(bench: Bench) -> None:
    """Both are answered in the log, and the recording goes on in the same processes."""
    sim = bench.simulate(symbols=2, rate=200)
    recorder = bench.record(sim, count=2)
    recorder.wait_for("backfill_done")
    writers = recorder.writer_pids()
    recorder.signal(signal.SIGUSR1)
    until(lambda: "most recent call first" in recorder.log_path.read_text(), "the stacks are dumped")
    recorder.signal(signal.SIGHUP)
    assert recorder.wait_for("signal_ignored")[0].fields == {"signal": "SIGHUP"}
    before = len(recorder.rows())
    until(lambda: len(recorder.rows()) > before + 100, "it goes on")
    assert recorder.writer_pids() == writers
    assert len(recorder.log_lines("futu_connected")) == 1
    bench.settle_whole(sim, recorder)


def test_a_writer_that_is_killed_is_built_again(bench: Bench) -> None:
    """A dead writer is named in the log, the next one goes on, and every tick is stored once."""
    sim = bench.simulate(symbols=3, rate=300)
    recorder = bench.record(sim, count=3)
    recorder.wait_for("backfill_done")
    for life in (1, 2):
        (pid,) = recorder.writer_pids()
        os.kill(pid, signal.SIGKILL)
        ended = recorder.wait_for("writer_ended", life)[-1]
        assert ended.fields["recoveries"] == str(life)
        recorder.wait_for("writer_started", life + 1)
    bench.settle_whole(sim, recorder)
