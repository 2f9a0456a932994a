"""The demo, as a newcomer runs it: real processes, real accidents, and a verdict that is checked again from outside."""

from __future__ import annotations

import contextlib
import io
import json
import os
import pty
import shutil
import signal
import subprocess
import sys
import termios
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import apsw
import pytest
from rich.console import Console
from rich.text import Text
from support.audits import day_audit, incomplete
from support.once import made_once

from hk_tick_collector.demo.end_screen import end_screen
from hk_tick_collector.demo.gauges import Sample
from hk_tick_collector.demo.place import Place
from hk_tick_collector.demo.play import AWAY_TICKS_MAX, Accident, Outcome, Script
from hk_tick_collector.demo.proof import Proof
from hk_tick_collector.demo.view import LiveView
from hk_tick_collector.simulator.ledger import read_ledger
from hk_tick_collector.simulator.verdict import Verdict, compare

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

pytestmark = pytest.mark.timeout(300)

CLI = (sys.executable, "-m", "hk_tick_collector.cli.app")
COMMAND = (*CLI, "demo")
# As in an active environment: the commands that a demo shows are then no longer where the checkout has a long path.
PATH = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
SECONDS = "15"
WAIT_SEC = 120.0


class Played(NamedTuple):
    """A demo that was played to its end, where `data` was an earlier one's directory and all settings were wrong."""

    directory: Path
    code: int
    stdout: str
    stderr: str

    @property
    def data(self) -> Path:
        """Its data directory."""
        return self.directory / "demo-data"

    @property
    def told(self) -> dict[str, Any]:
        """What it printed."""
        told = json.loads(self.stdout)
        assert isinstance(told, dict)
        return told

    def fault(self, name: str) -> dict[str, Any]:
        """What it told of one accident."""
        (fault,) = [fault for fault in self.told["faults"] if fault["fault"] == name]
        assert isinstance(fault, dict)
        return fault


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> Played:
    """One demo for all tests that look at how it ended."""
    directory = made_once(tmp_path_factory, "played", play)
    code, stdout, stderr = json.loads((directory / "ended.json").read_text())
    return Played(directory, code, stdout, stderr)


def play(directory: Path) -> None:
    """Where nothing is as a demo would like it."""
    (directory / ".env").write_text("FUTU_PORT=1\nFUTU_SYMBOLS=HK.99999\nBACKFILL_N=0\nFUTU_PROT=1\n")
    (directory / "hk-tick-collector.toml").write_text("this is no TOML")
    earlier = directory / "demo-data"
    (earlier / "data").mkdir(parents=True)
    (earlier / ".hk-tick-collector-demo").touch()
    (earlier / "data" / "20200101.db").write_text("of an earlier demo")
    done = subprocess.run(
        [*COMMAND, "--seconds", SECONDS, "--symbols", "8", "--seed", "3", "--json"],
        cwd=directory,
        env={**os.environ, "DATA_ROOT": "/nowhere", "FUTU_PORT": "2", "FUTU_NONSENSE": "1"},
        capture_output=True,
        text=True,
        check=False,
        timeout=240,
    )
    (directory / "ended.json").write_text(json.dumps([done.returncode, done.stdout, done.stderr]))


def test_it_ends_well_and_says_so_in_one_json_object(played: Played) -> None:
    """Exit 0, one line of JSON on standard output, nothing missing, duplicated, wrong or made up."""
    assert played.code == 0, played.stderr
    assert played.stdout.count("\n") == 1
    told = played.told
    assert told["ok"] is True
    assert {name: told[name] for name in ("missing", "duplicated", "wrong", "unknown", "unreachable")} == {
        "missing": 0,
        "duplicated": 0,
        "wrong": 0,
        "unknown": 0,
        "unreachable": 0,
    }
    assert told["sent"] == told["stored"] > 1000


def test_its_day_is_audited_sealed_and_proven(played: Played) -> None:
    """COMPLETE for each symbol, which the real commands say again; and the day looks like one."""
    assert played.told["audit"] == {"verdict": "COMPLETE", "symbols": 8, "complete": 8, "differs_from_certificate": []}
    root = ("--data-root", str(played.data / "data"))
    audit = subprocess.run([*CLI, "audit", "--json", *root], capture_output=True, text=True, check=False)
    assert audit.returncode == 0, audit.stdout
    told = json.loads(audit.stdout)
    assert [outage["cause"] for outage in told["outages"]] == ["recorder_down", "connection_lost", "recorder_down"]
    assert all(len(symbol["sessions"]) >= 3 for symbol in told["symbols"])
    sealed = subprocess.run([*CLI, "verify", "--sealed", *root], capture_output=True, text=True, check=False)
    assert sealed.returncode == 0, sealed.stdout
    assert "2024-10-08 <b" in (played.data / "audit.html").read_text()


def test_its_day_is_archived_and_answers_a_query_as_the_database_does(played: Played, tmp_path: Path) -> None:
    """The archive proves itself; in a copy without the database, the same SQL has the same answer."""
    folder = played.data / "data" / "archive" / "trading_day=2024-10-08"
    assert played.told["archive"] == str(folder)
    verified = subprocess.run(
        [*CLI, "verify", str(folder / "ticks.parquet")], capture_output=True, text=True, check=False
    )
    assert verified.returncode == 0, verified.stderr
    copy = tmp_path / "copy"
    shutil.copytree(folder.parent, copy / "archive")
    shutil.copy(played.data / "data" / "20241008.certificate.json", copy)
    answers = [
        subprocess.run(
            [*CLI, "sql", "--data-root", str(root), "-e", "SELECT * FROM ticks ORDER BY symbol, seq", "20241008"],
            capture_output=True, text=True, check=True,
        ).stdout
        for root in (played.data / "data", copy)
    ]  # fmt: skip
    assert answers[0].count("\n") == played.told["stored"]
    assert answers[1] == answers[0]


def test_its_verdict_holds_when_it_is_reached_again(played: Played) -> None:
    """What the ledger says was made is what a plain query finds, and the comparison says the same a second time."""
    ledger = read_ledger(played.data / "ledger.jsonl")
    con = apsw.Connection(str(played.data / "data" / "20241008.db"), flags=apsw.SQLITE_OPEN_READONLY)
    stored = set(con.execute("SELECT symbol, seq FROM ticks"))
    con.close()
    assert stored == set(ledger.ticks)
    assert len(stored) == played.told["sent"]
    again = compare(played.data / "ledger.jsonl", played.data / "data")
    assert again.ok
    assert again.databases == 1


def test_the_connection_was_cut_inside_a_frame(played: Played) -> None:
    """The simulator wrote the cut down, the recorder saw half a frame, and came back for what it had missed."""
    fault = played.fault("cut")
    assert fault["happened"] is True
    assert fault["connections_cut"] == 1
    assert fault["after_bytes"] == 57
    cuts = [entry for entry in read_ledger(played.data / "ledger.jsonl").faults if entry["fault"] == "cut"]
    assert [(entry["n"], entry["mid_frame"]) for entry in cuts] == [(1, True)]
    assert "in the middle of a frame, after 57 bytes" in (played.data / "recorder.log").read_text()


def test_the_recorder_and_its_writer_were_killed(played: Played) -> None:
    """Two processes got SIGKILL, and a second recorder took over without any word of farewell from the first."""
    fault = played.fault("kill")
    assert fault["happened"] is True
    assert fault["signal"] == "SIGKILL"
    recorder, writer = fault["killed"]
    assert recorder != writer
    log = (played.data / "recorder.log").read_text()
    assert log.count(" recorder_started ") == 2
    assert log.count(" recorder_stopping ") == 1
    assert f" writer_started pid={writer}" in log
    assert fault["meanwhile"] > 0


def test_the_database_was_locked_while_ticks_came(played: Played) -> None:
    """Ticks waited in the journal for as long as the lock was held, and were stored when it was gone."""
    fault = played.fault("lock")
    assert fault["happened"] is True
    assert fault["locked_sec"] >= 2
    assert fault["waited"] > 0


def test_nothing_of_an_earlier_demo_is_left(played: Played) -> None:
    """The directory of an earlier demo is emptied first, and the files that are named are there."""
    assert played.code == 0, played.stderr
    assert [path.name for path in (played.data / "data").glob("2*.db")] == ["20241008.db"]
    assert all(Path(path).is_file() for path in played.told["files"].values())


def test_the_queries_run_as_they_are_printed(played: Played) -> None:
    """Each of the three lines, pasted into a shell, gives rows."""
    (played.directory / ".env").unlink()  # no other test reads them
    (played.directory / "hk-tick-collector.toml").unlink()
    printed = []
    for query in played.told["queries"]:
        done = subprocess.run(
            ["bash", "-c", query["command"]], cwd=played.directory, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        printed.append(done.stdout.splitlines())
    symbols, bars, ways = printed
    assert len(symbols) == 8
    assert symbols[0].startswith("HK.00700|")
    assert len(bars) == 15
    assert bars[0].startswith("09:2")  # the opening auction
    assert bars[1].startswith("09:30|")
    assert {line.partition("|")[0] for line in ways} >= {"push", "backfill"}
    script = subprocess.run(
        ["sh", played.told["files"]["queries"]], cwd="/", capture_output=True, text=True, check=False
    )
    assert script.returncode == 0, script.stderr
    rows = [line for line in script.stdout.splitlines() if not line.startswith("# ")]
    assert rows == [*symbols, *bars, *ways]


@contextlib.contextmanager
def running(directory: Path, *options: str) -> Iterator[subprocess.Popen[str]]:
    """A demo that is in the middle of its session, with what it says on a pipe."""
    demo = subprocess.Popen(
        [*COMMAND, "--symbols", "5", "--data-dir", "demo", *options],
        cwd=directory,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, "PATH": PATH, "PYTHONUNBUFFERED": "1"},
    )
    try:
        wait_for(lambda: demo.poll() is not None or (directory / "demo/data/recorder.json").exists())
        assert demo.poll() is None
        yield demo
    finally:
        demo.terminate()
        demo.communicate(timeout=WAIT_SEC)


def wait_for(what: Callable[[], bool]) -> None:
    """Wait until it holds; AssertionError if it never does."""
    deadline = time.monotonic() + WAIT_SEC
    while not what():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.02)


def processes_of(directory: Path) -> list[str]:
    """Command lines of the living processes that work in, or name, a directory."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            words = (process / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            if str(directory) in words or (process / "cwd").readlink().is_relative_to(directory):
                found.append(words)
    return found


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_no_process_is_left_when_it_is_stopped(tmp_path: Path, number: signal.Signals) -> None:
    """Ctrl-C (or SIGTERM) in the middle ends the simulator, the recorder and the writer, too; exit 130."""
    with running(tmp_path) as demo:
        assert len(processes_of(tmp_path)) >= 4  # the demo, the simulator, the recorder, the writer
        demo.send_signal(number)
        said, _ = demo.communicate(timeout=WAIT_SEC)
    assert demo.returncode == 130, said
    assert "no process of the demo is left" in said
    assert processes_of(tmp_path) == []


def test_a_recorder_that_dies_by_itself_fails_the_demo(tmp_path: Path) -> None:
    """The demo does not pretend: it exits 1, shows the end of the recorder's log, and says where that is."""
    with running(tmp_path) as demo:
        os.kill(json.loads((tmp_path / "demo/data/recorder.json").read_text())["pid"], signal.SIGTERM)
        said, _ = demo.communicate(timeout=WAIT_SEC)
    assert demo.returncode == 1
    assert "the recorder has ended by itself (exit 0)" in said
    assert f"its log is {tmp_path / 'demo/recorder.log'}" in said
    assert "recorder_stopped reason=SIGTERM" in said
    assert processes_of(tmp_path) == []


def test_a_second_demo_leaves_the_first_alone(tmp_path: Path) -> None:
    """A directory in which a demo is running is refused in one line, exit 2."""
    with running(tmp_path) as demo:
        done = subprocess.run(
            [*COMMAND, "--data-dir", "demo"], cwd=tmp_path, capture_output=True, text=True, check=False
        )
        assert done.returncode == 2
        assert f"by process {demo.pid}" in done.stderr
        assert done.stderr.count("\n") == 1
        assert demo.poll() is None
        assert (tmp_path / "demo/data/recorder.json").exists()


@pytest.mark.parametrize("name", ["thesis.txt", ".hk-tick-collector-demo"])
def test_files_that_no_demo_has_made_are_not_touched(tmp_path: Path, name: str) -> None:
    """A directory without the marker, or where that is something else, is refused and stays as it is."""
    precious = tmp_path / "precious"
    precious.mkdir()
    (precious / name).symlink_to(tmp_path)
    (precious / "data").mkdir()
    done = subprocess.run([*COMMAND, "--data-dir", str(precious)], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "has files that no demo has made" in done.stderr
    assert sorted(path.name for path in precious.iterdir()) == sorted([name, "data"])


def test_trading_is_held_while_the_recorder_is_away_for_long(tmp_path: Path) -> None:
    """Before the busiest symbol outruns what OpenD keeps, no more ticks are made until the recorder has fetched."""
    ledger = tmp_path / "demo/ledger.jsonl"
    with running(tmp_path, "--seconds", SECONDS) as demo:
        first = json.loads((tmp_path / "demo/data/recorder.json").read_text())["pid"]
        log = tmp_path / "demo/recorder.log"
        wait_for(lambda: not Path(f"/proc/{first}").exists())
        size = log.stat().st_size
        wait_for(lambda: bool(recorders_of(demo.pid)))
        (second,) = recorders_of(demo.pid)
        os.kill(second, signal.SIGSTOP)
        sizes = [-1]
        try:
            wait_for(lambda: has_stopped_growing(ledger, sizes))
        finally:
            os.kill(second, signal.SIGCONT)
        assert log.stat().st_size == size  # it was stopped before it could do anything
        said, _ = demo.communicate(timeout=WAIT_SEC)
    assert demo.returncode == 0, said
    assert said.count("trading was held") == 1
    assert "every tick that was sent is stored once, exactly" in said
    check_lines(said)


def check_lines(said: str) -> None:
    """What a log shows: how long it takes, the progress, the accidents, and at the end the verdict and what is next."""
    lines = said.splitlines()
    assert lines[0].startswith("This takes about 20 s. ")
    at = [line.split()[0] for line in lines if " of 15 s  " in line]
    assert at == sorted(at, key=int)
    assert [name for name in ("CUT", "KILL", "LOCK") if f" s  {name:<5} " in said] == ["CUT", "KILL", "LOCK"]
    check_end(lines)


def check_end(lines: list[str]) -> None:
    """The last 24 lines, that of the prompt included, are no wider than 80 and have all that matters."""
    screen = [line.rstrip() for line in lines[-23:]]
    assert max(map(len, screen)) <= 80
    text = "\n".join(screen)
    for wanted in ("every tick that was sent is stored once, exactly", "missing   duplicated", "COMPLETE"):
        assert text.count(wanted) == 1, text
    places = [
        text.index(word)
        for word in ("CUT", "KILL", "LOCK", "audit ", "seal ", "verify --sealed", "archive ", "What next:")
    ]
    assert places == sorted(places)
    commands = [line.strip() for line in screen[-8:] if line.startswith("   ")]
    assert len(commands) == 4
    assert commands[0].endswith("/audit.html")
    assert commands[1].endswith("/queries.sh")
    assert commands[2].endswith(" simulate --now")
    assert commands[3].endswith(" run")


def test_the_last_screen_of_a_terminal_has_the_verdict_and_what_is_next(tmp_path: Path) -> None:
    """On a real terminal of 80 columns and 24 lines, with the live view above it."""
    leader, follower = pty.openpty()
    termios.tcsetwinsize(follower, (24, 80))
    said = bytearray()
    with subprocess.Popen(
        [*COMMAND, "--symbols", "5", "--seconds", SECONDS], cwd=tmp_path, stdin=follower, stdout=follower,
        stderr=follower, env={"PATH": PATH, "HOME": os.environ["HOME"], "TERM": "xterm-256color"},
    ) as demo:  # fmt: skip
        os.close(follower)
        with contextlib.suppress(OSError):  # how Linux reports that nobody has the other end open any more
            while some := os.read(leader, 65536):
                said += some
        assert demo.wait(WAIT_SEC) == 0, said.decode()
    os.close(leader)
    text = said.decode()
    assert "\x1b[?25l" in text  # it was a live view
    after = text.rpartition("\x1b[?25h")[2]  # which has ended, and shows the cursor again
    lines = [Text.from_ansi(line).plain for line in after.split("\r\n")]
    assert lines[-1] == ""
    check_end(lines[:-1])


def recorders_of(demo: int) -> list[int]:
    """The recorder that a demo has started, by its command line."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            parent = int((process / "stat").read_text().rpartition(")")[2].split()[1])
            if parent == demo and b"--env-file" in (process / "cmdline").read_bytes():
                found.append(int(process.name))
    return found


def has_stopped_growing(path: Path, sizes: list[int]) -> bool:
    """Whether a file is as large as it was 2 s before."""
    sizes.append(path.stat().st_size)
    time.sleep(0.1)
    return len(sizes) > 20 and sizes[-1] == sizes[-20]


def test_a_day_that_is_not_proven_is_told_on_the_last_screen() -> None:
    """Which verdict, why, and that the file differs from its certificate; it fits the screen nevertheless."""
    place = Place(Path("demo-data"), Path("/x/demo-data"))
    counts = Verdict(1, 9000, 8999, 1, 0, 0, 0, 0, 0, 0, 0, 0, ({"kind": "missing", "symbol": "HK.00700", "seq": 7},))
    facts = {"back_sec": 0.4, "meanwhile": 1234}
    accidents = (
        Accident("cut", "", "", facts),
        Accident("kill", "", "", facts),
        Accident("lock", "", "", {"locked_sec": 4.0, "waited": 5}),
    )
    proof = Proof(day_audit(incomplete()), place.data_root / "20241008.certificate.json", ("its SHA-256 is another",))
    outcome = Outcome(accidents, counts, proof, place.data_root / "20241008.db")
    assert not outcome.ok
    console = Console(file=io.StringIO(), width=80)
    console.print(end_screen(outcome, place), soft_wrap=True)
    assert isinstance(console.file, io.StringIO)
    text = console.file.getvalue()
    assert "NOT what was sent" in text
    assert "INCOMPLETE  0 of 1 symbol, by the exchange's own totals" in text
    assert "verify --sealed  its SHA-256 is another" in text
    assert "archive          not made: pip install 'hk-tick-collector[data]'" in text
    assert '{"kind": "missing", "symbol": "HK.00700", "seq": 7}' in text
    assert all(reason in text.replace("\n", " ") for reason in incomplete().reasons[:1])


@pytest.mark.parametrize("symbols", [1, 2, 5, 50, 900])
def test_what_may_be_missed_is_within_what_opend_keeps(symbols: int) -> None:
    """Held at the limit, no symbol has made more ticks than GetTicker can give, by the exchange's own weights."""
    weights = [1 / (rank + 4) for rank in range(1, symbols + 1)]
    of_busiest = Script(60, symbols, 0).away_ticks_max * weights[0] / sum(weights)
    assert 0 < of_busiest <= AWAY_TICKS_MAX


@pytest.mark.parametrize("encoding", ["utf-8", "ascii"])
@pytest.mark.parametrize("width", [40, 80, 120])
def test_the_live_view_fits_its_terminal(width: int, encoding: str) -> None:
    """Numbers, rates and events are drawn within the width, also where there are no block characters."""
    screen = io.TextIOWrapper(io.BytesIO(), encoding=encoding, errors="replace")
    console = Console(file=screen, force_terminal=True, width=width, height=60, color_system=None)
    with LiveView(console, "2024-10-08, 50 symbols, 120 x speed", 60.0) as view:
        view.begin()
        view.event("CUT", "OpenD's connection cut inside a frame, after 57 bytes of it")
        for number in range(30):
            view.sample(
                Sample(
                    at=float(number),
                    sent=1000 * number,
                    sim_time="2024-10-08 10:14:32",
                    market_state=3,
                    ready=1,
                    connected=1,
                    get_ticker=50,
                    paused=False,
                    proven=False,
                    journal_bytes=3_100_000,
                    waiting_bytes=12_000,
                    lag_ms=87,
                    stored=900 * number,
                )
            )
    screen.seek(0)
    lines = [Text.from_ansi(line).plain for line in screen.read().splitlines()]
    assert max(len(line) for line in lines) <= width
    shown = " ".join(lines[-20:])
    for wanted in ("29,000", "1,000/s", "26,100", "900/s", "3.1", "87", "CUT"):
        assert wanted in shown
    assert ("12 KB of it not stored yet" in shown) == (width >= 80)
