"""What was recorded on Linux, read on macOS and Windows: here on Linux, with what they lack taken away.

Each command runs twice over the same files: once as it is, and once in a child process whose modules lack what that
system lacks (see support/other_system). Both must print the same. The files are those of a real recorder: a day that is
sealed, and a day that is being recorded by a recorder that is stopped by SIGSTOP, so that nothing changes meanwhile.
"""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

import pytest
from support.recorder_process import RecorderProcess, until
from support.simulator_process import SimulatorProcess
from support.trading_time import clock_of

from hk_tick_collector.cli.app import COMMANDS, NEED_LINUX
from hk_tick_collector.hktime import parse_time
from hk_tick_collector.simulator.universe import universe

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hk_tick_collector.simulator.ledger import Key

SYSTEMS: Final = {"darwin": "macOS", "win32": "Windows"}
SYMBOLS: Final = tuple(universe(3, 0))
HOOK: Final = Path(__file__).parents[1] / "support" / "other_system"
FIRST, SECOND = "20261119", "20261120"  # Thursday and Friday

# The free space is measured at each call, and changes in between.
_FREE: Final = re.compile(r'[\d,.]+(?= [kMGT]?B free)|(?<="free_bytes": )\d+')

READING: Final = {
    "status": ["status"],
    "status_json": ["status", "--json"],
    "sql": ["sql", "-e", "SELECT * FROM ticks ORDER BY symbol, seq"],
    "audit": ["audit"],
    "audit_json": ["audit", "--day", FIRST, "--json"],
    "days": ["days"],
    "days_json": ["days", "--json"],
    "gaps": ["gaps"],
    "sealed": ["verify", "--sealed"],
    "compare": ["compare", FIRST, FIRST],
    "acceptance": ["verify", "--market", "closed", "--wait-sec", "0", "--log", "../recorder.log", "--json"],
    "journal_list": ["journal", "list"],
    "journal_show": ["journal", "show", "--ticks", "--limit", "50"],
    "journal_check": ["journal", "check"],
    "config": ["config"],
    "verdict": ["verdict", "../sim.ledger.jsonl", "."],
}


class Recorded(NamedTuple):
    """A DATA_ROOT, and what the wall clock shows while it is read."""

    root: Path
    now_ms: int


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Recorded]:
    """One sealed day, and one that a recorder is in the middle of."""
    directory = tmp_path_factory.mktemp("other_systems")
    _record_and_seal(directory)
    clock = clock_of(parse_time("2026-11-20 10:00:00").ms)
    with (
        SimulatorProcess(directory, "--now", "--rate", "50", "--symbols", "3", env=clock) as sim,
        RecorderProcess(directory, sim.port, SYMBOLS, FUTU_TOTALS_INTERVAL_SEC=1, **clock) as recorder,
    ):
        recorder.wait_for("backfill_done", 2)  # the log also has that of the day before
        sim.command("cut", mid_frame=True)
        recorder.wait_for("backfill_done", 3)
        sim.command("burst", ticks=300)
        sim.command("pause")
        until(lambda: recorder.state()["pid"] == recorder.pid, "recorder.json is this recorder's")
        until(lambda: not _missing(recorder, sim), "all is stored")
        pids = [recorder.pid, *recorder.writer_pids()]
        for pid in pids:
            os.kill(pid, signal.SIGSTOP)
        try:
            yield Recorded(recorder.data_root, recorder.state()["at_ms"] + 1000)
        finally:
            for pid in pids:
                os.kill(pid, signal.SIGCONT)


def _missing(recorder: RecorderProcess, sim: SimulatorProcess) -> set[Key]:
    """Ticks of the second day that are not stored yet."""
    return sim.ledger().ticks.keys() - recorder.stored()


def _record_and_seal(directory: Path) -> None:
    clock = clock_of(parse_time("2026-11-19 15:59:00").ms)
    with SimulatorProcess(directory, "--now", "--rate", "50", "--symbols", "3", env=clock, name="first") as sim:
        with RecorderProcess(directory, sim.port, SYMBOLS, **clock) as recorder:
            recorder.wait_for("backfill_done")
            sim.command("burst", ticks=300)
            sim.command("pause")
            recorder.wait_until_stored(sim)
            assert recorder.stop() == 0
        night = {**os.environ, **clock_of(parse_time("2026-11-20 01:00:00").ms)}
        command = [sys.executable, "-m", "hk_tick_collector", "seal", "--day", FIRST]
        subprocess.run([*command, "--data-root", str(recorder.data_root)], env=night, check=True, timeout=60)


def run(recorded: Recorded, system: str, *arguments: str) -> subprocess.CompletedProcess[bytes]:
    """A command of the program on that system, with the wall clock stopped."""
    environ = {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": str(HOOK),
        "OTHER_SYSTEM": system,
        "NOW_MS": str(recorded.now_ms),
        "DATA_ROOT": str(recorded.root),
        "FUTU_SYMBOLS": "HK.00700",
        "COLUMNS": "120",
    }
    return subprocess.run(
        [sys.executable, "-m", "hk_tick_collector", *arguments], env=environ, cwd=recorded.root, capture_output=True,
        stdin=subprocess.DEVNULL, timeout=60, check=False,
    )  # fmt: skip


def read_all(recorded: Recorded, system: str) -> dict[str, tuple[int, str, str]]:
    """Of each reading command the exit code, standard output and standard error."""
    with ThreadPoolExecutor(2) as pool:
        done = pool.map(lambda arguments: run(recorded, system, *arguments), READING.values())
        return {
            name: (one.returncode, _FREE.sub("0", one.stdout.decode()), one.stderr.decode())
            for name, one in zip(READING, done, strict=True)
        }


@pytest.mark.timeout(300)  # dozens of processes
def test_a_reading_command_prints_there_what_it_prints_on_linux(recorded: Recorded) -> None:
    """The same on standard output and error, and the same exit code: of a sealed day and of one being recorded."""
    linux = read_all(recorded, "linux")
    status, days = json.loads(linux["status_json"][1]), json.loads(linux["days_json"][1])["days"]
    assert (status["day"], status["recorder"]["running"], len(status["symbols"])) == (SECOND, True, len(SYMBOLS))
    assert [(day["day"], day["sealed_ms"] is not None) for day in days] == [(FIRST, True), (SECOND, False)]
    assert all(out for _, out, _ in linux.values())
    for system in SYSTEMS:
        found = read_all(recorded, system)
        assert {name: found[name] for name in READING if found[name] != linux[name]} == {}, system


@pytest.mark.parametrize("system", SYSTEMS)
@pytest.mark.parametrize("name", sorted(NEED_LINUX))
def test_what_needs_linux_says_so_in_one_line(tmp_path: Path, system: str, name: str) -> None:
    """Exit 2, and what to use instead; nothing was made."""
    what = "recording" if name == "run" else f"`{name}`"
    told = f"hk-tick-collector: {what} needs Linux, and this is {SYSTEMS[system]}: use Linux, WSL2 or Docker; "
    done = run(Recorded(tmp_path, 0), system, name)
    assert (done.returncode, done.stdout, done.stderr.decode()) == (
        2, b"", f"{told}what was recorded can be read here\n",
    )  # fmt: skip
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("system", SYSTEMS)
def test_every_command_shows_its_help_there(tmp_path: Path, system: str) -> None:
    """The list of all commands imports the module of each."""
    done = run(Recorded(tmp_path, 0), system, "-h")
    assert (done.returncode, done.stderr) == (0, b"")
    assert all(f"\n  {name} " in done.stdout.decode() for name in COMMANDS)


@pytest.mark.parametrize(
    ("system", "code", "error"),
    [
        ("darwin", "import uvloop", "ModuleNotFoundError: No module named 'uvloop' on darwin"),
        ("darwin", "import os; os.fdatasync(1)", "AttributeError: module 'os' has no attribute 'fdatasync' on darwin"),
        ("darwin", "open('/proc/self/stat')", "FileNotFoundError: [Errno 2] No such file or directory on darwin"),
        ("win32", "import fcntl", "ModuleNotFoundError: No module named 'fcntl' on win32"),
        ("win32", "from os import geteuid", "ImportError: cannot import name 'geteuid'"),
        ("win32", "import signal; signal.SIGUSR1", "AttributeError: module 'signal' has no attribute 'SIGUSR1'"),
        ("win32", "import os; os.stat('/proc/1/stat')", "FileNotFoundError: [Errno 2] No such file or directory on"),
    ],
)
def test_the_parts_are_really_taken_away(tmp_path: Path, system: str, code: str, error: str) -> None:
    """Of what the project's own modules see; else the tests above would show nothing."""
    script = f"exec({code!r}, {{'__name__': 'hk_tick_collector.probe'}})"
    environ = {"PYTHONPATH": str(HOOK), "OTHER_SYSTEM": system}
    command = [sys.executable, "-c", script]
    done = subprocess.run(command, env=environ, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False)
    assert error in done.stderr.splitlines()[-1]


@pytest.mark.parametrize("system", SYSTEMS)
def test_the_simulator_runs_there_on_the_event_loop_of_asyncio(tmp_path: Path, system: str) -> None:
    """It listens, a recorder (on Linux) records from it, and it stops."""
    hook = {"PYTHONPATH": str(HOOK), "OTHER_SYSTEM": system}
    with (
        SimulatorProcess(tmp_path, "--now", "--rate", "50", "--symbols", "3", env=hook) as sim,
        RecorderProcess(tmp_path, sim.port, SYMBOLS) as recorder,
    ):
        recorder.wait_for("backfill_done")
        sim.command("burst", ticks=300)
        sim.command("pause")
        recorder.wait_until_stored(sim)
        assert sim.stop() == 0


@pytest.mark.parametrize(
    ("encoding", "shown"),
    [
        ("cp1252", "??->…"),
        ("cp1252:surrogateescape", "??->…"),
        ("cp950", "資料→…"),
        ("ascii", "??->..."),
        ("utf-8", "資料→…"),
    ],
)
def test_a_pipe_of_any_encoding_can_be_written_to(tmp_path: Path, encoding: str, shown: str) -> None:
    """A character that it lacks becomes similar ones, or `?`; JSON stays JSON."""
    environ = {"PATH": os.environ["PATH"], "PYTHONIOENCODING": encoding, "PYTHONUTF8": "1", "DATA_ROOT": "資料→…"}
    codec = encoding.partition(":")[0]
    command = [sys.executable, "-m", "hk_tick_collector", "config"]
    table, as_json = (
        subprocess.run([*command, *more], env=environ, cwd=tmp_path, capture_output=True, timeout=60, check=True)
        for more in ([], ["--json"])
    )
    assert re.search(rf"^DATA_ROOT .*{re.escape(shown)} ", table.stdout.decode(codec), re.MULTILINE)
    assert json.loads(as_json.stdout.decode(codec))["DATA_ROOT"]["value"] == shown
    assert (table.stderr, as_json.stderr) == (b"", b"")
