"""The recorder as a separate process, with its writer: what every fault test tries to make lose a tick.

    with RecorderProcess(tmp_path, sim.port, ["HK.00700"]) as recorder:
        recorder.wait_for("backfill_done")
        ...
        recorder.wait_until_stored(sim)
        assert recorder.stop() == 0

Its environment holds its settings and nothing of the machine's, and its working directory is its own, so that no `.env`
that lies about is read.
"""

from __future__ import annotations

import json
import os
import re
import signal
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Self

import apsw

from hk_tick_collector.store.schema import day_files
from support import warm

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable

    from hk_tick_collector.simulator.ledger import Key
    from support.simulator_process import SimulatorProcess

CLI = (sys.executable, "-m", "hk_tick_collector.cli.app")
COMMAND = (*CLI, "run")
WAIT_TIMEOUT_SEC = 30.0
STOP_TIMEOUT_SEC = 90.0  # above STOP_FLUSH_TIMEOUT_SEC, so that the recorder's own limit is what is seen
CHECK_EVERY_SEC = 0.02

# Quick to come back and quick to audit: a test has seconds where a recorder has a day.
QUICK = {
    "RECONNECT_MIN_DELAY": "0.1",
    "RECONNECT_MAX_DELAY": "1",
    "FUTU_POLL_INTERVAL_SEC": "0.5",
    "FUTU_POLL_STALE_SEC": "0.5",
    "SQLITE_BUSY_TIMEOUT_MS": "1000",
    "SEAL_ENABLED": "false",  # a day that is over by a simulated clock is one that a test looks at
}

_LINE = re.compile(r"(?P<when>\S+Z) (?P<level>[A-Z]+) +(?P<event>(?:WATCHDOG )?\w+)(?P<rest>.*)")
_FIELD = re.compile(r' (\w+)=("(?:[^"\\]|\\.)*"|\S*)')


class LogLine(NamedTuple):
    """One line of the recorder's (or its writer's) log."""

    level: str
    event: str
    fields: dict[str, str]


class Row(NamedTuple):
    """One stored tick."""

    symbol: str
    seq: int
    push_type: str


class RecorderProcess:
    """One recorder on one DATA_ROOT; it may be started again after it ended.

    Attributes:
        data_root: its DATA_ROOT.
        log_path: what it and its writers said, over all its starts.
        pid: of the running (or last) recorder.
        wrapper: words before its command.
        command: how it is started.
    """

    def __init__(
        self, directory: Path, port: int, symbols: Iterable[str], *, name: str = "recorder", **settings: object
    ) -> None:
        """Nothing is started yet.

        Args:
            directory: where DATA_ROOT and log go; `name` tells several recorders in it apart.
            port: OpenD's.
            symbols: entries of FUTU_SYMBOLS.
            name: the beginning of the files' names.
            settings: by the operator's names, on top of those of `QUICK`.
        """
        self.data_root = directory / name
        self.log_path = directory / f"{name}.log"
        self.pid = 0
        self._cwd = directory
        self._env = {
            "PATH": os.environ["PATH"],
            **QUICK,
            "FUTU_PORT": str(port),
            "FUTU_SYMBOLS": ",".join(symbols),
            "DATA_ROOT": str(self.data_root),
            **{key: str(value) for key, value in settings.items()},
        }
        self._process: warm.Process | None = None
        self.wrapper: tuple[str, ...] = ()
        self.command: tuple[str, ...] = COMMAND

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_exc: object) -> None:
        self.end()

    # ---- its life

    def start(self, stderr: int | None = None) -> Self:
        """Start it; what it then does is in its log, if its standard error is not another one."""
        assert self._process is None or self._process.poll() is not None, "it runs already"
        with self.log_path.open("ab") as log:
            self._process = warm.start(
                (*self.wrapper, *self.command),
                stdout=log.fileno(),
                stderr=log.fileno() if stderr is None else stderr,
                env=self._env,
                cwd=self._cwd,
            )
        self.pid = self._process.pid
        return self

    @property
    def is_running(self) -> bool:
        """Whether the recorder (not: its writer) is there."""
        return self._process is not None and self._process.poll() is None

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to the recorder alone, as systemd does to a main process."""
        os.kill(self.pid, number)

    def stop(self) -> int:
        """End it with SIGTERM; its exit code."""
        assert self._process is not None
        if self.is_running:
            self.signal(signal.SIGTERM)
        return self.wait()

    def wait(self) -> int:
        """Wait until it has ended by itself; its exit code."""
        assert self._process is not None
        return self._process.wait(STOP_TIMEOUT_SEC)

    def kill_all(self) -> None:
        """SIGKILL the recorder and its writer, as a crash of the machine's memory would; both are gone afterwards."""
        assert self._process is not None
        writers = self.writer_pids()
        for pid in [self.pid, *writers]:
            os.kill(pid, signal.SIGKILL)
        self._process.wait(STOP_TIMEOUT_SEC)
        until(lambda: not any(_is_alive(pid) for pid in writers), "the writers are gone")

    def kill_writer(self) -> None:
        """SIGKILL the writer alone."""
        for pid in self.writer_pids():
            os.kill(pid, signal.SIGKILL)

    def end(self) -> None:
        """Clear away whatever still runs, also after a test that failed half way."""
        if self.is_running:
            self.kill_all()

    def writer_pids(self) -> list[int]:
        """The recorder's child processes that run."""
        children = Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text()
        return [int(pid) for pid in children.split()]

    def pss_kib(self) -> int:
        """Memory of recorder and writer together, shared pages counted by their share."""
        total = 0
        for pid in [self.pid, *self.writer_pids()]:
            match = re.search(r"^Pss:\s+(\d+) kB", Path(f"/proc/{pid}/smaps_rollup").read_text(), re.MULTILINE)
            assert match is not None
            total += int(match[1])
        return total

    # ---- what it says

    def log_lines(self, event: str | None = None) -> list[LogLine]:
        """The log's lines of an event (or all), whole ones only, in order."""
        text = self.log_path.read_text() if self.log_path.exists() else ""
        lines = []
        for line in text[: text.rfind("\n") + 1].splitlines():
            match = _LINE.fullmatch(line)
            if match is not None and event in {None, match["event"]}:
                fields = {key: _unquoted(value) for key, value in _FIELD.findall(match["rest"])}
                lines.append(LogLine(match["level"], match["event"], fields))
        return lines

    def wait_for(
        self, event: str, count: int = 1, *, timeout_sec: float = WAIT_TIMEOUT_SEC, **fields: str
    ) -> list[LogLine]:
        """Wait until that event (with these fields) was logged `count` times, and give the lines."""

        def found() -> list[LogLine]:
            return [line for line in self.log_lines(event) if fields.items() <= line.fields.items()]

        until(
            lambda: len(found()) >= count,
            lambda: f"{count} {event} {fields}; the log: {self.log_path.read_text()[-4000:]}",
            timeout_sec,
        )
        return found()

    def state(self) -> dict[str, Any]:
        """What it has put down for `status`; {} before it did."""
        try:
            told = json.loads((self.data_root / "recorder.json").read_text())
        except FileNotFoundError:
            return {}
        assert isinstance(told, dict)
        return told

    # ---- what it stored

    def shown(self, *arguments: str, codes: Collection[int] = (0,)) -> str:
        """What a command shows of it, by its own settings and clock; it must end with one of these exit codes."""
        done = warm.run([*CLI, *arguments], env={**self._env, "COLUMNS": "500"}, cwd=self._cwd, timeout=60)
        assert done.returncode in codes, done
        return done.stdout

    def rows(self) -> list[Row]:
        """Every stored tick, of all days."""
        return [Row(*values) for values in self.query("SELECT symbol, seq, push_type FROM ticks")]

    def stored(self) -> set[Key]:
        """Every stored tick's (symbol, sequence)."""
        return {(row.symbol, row.seq) for row in self.rows()}

    def query(self, select: str) -> list[tuple[Any, ...]]:
        """What a query gives in each day database that is there, read as every reader does."""
        found: list[tuple[Any, ...]] = []
        for path in day_files(self.data_root):
            flags = apsw.SQLITE_OPEN_READONLY | apsw.SQLITE_OPEN_URI
            con = apsw.Connection(f"file:{path}?mode=ro", flags=flags)
            try:
                con.set_busy_timeout(5000)
                if con.pragma("user_version"):  # else its first transaction is still to come
                    found += con.execute(select).fetchall()
            finally:
                con.close()
        return found

    def wait_until_stored(
        self, sim: SimulatorProcess, *, lost: Iterable[Key] = (), timeout_sec: float = WAIT_TIMEOUT_SEC
    ) -> None:
        """Wait until every tick that the simulator has made, and that was to be had, is stored.

        Args:
            sim: paused, or it never ends.
            lost: ticks that are not waited for either.
            timeout_sec: AssertionError with what is missing after that.
        """
        ledger = sim.ledger()
        wanted = ledger.ticks.keys() - ledger.unreachable.keys() - set(lost)

        def missing() -> set[Key]:
            if sum(count for (count,) in self.query("SELECT count(*) FROM ticks")) < len(wanted):
                return wanted  # cheap to see; which ones they are is not worth the reading yet
            return wanted - self.stored()

        until(
            lambda: not missing(),
            lambda: (
                f"{len(wanted)} ticks are stored, missing are {len(wanted - self.stored())}; "
                f"the log: {self.log_path.read_text()[-4000:]}"
            ),
            timeout_sec,
        )


def until(what: Callable[[], bool], told: str | Callable[[], str], timeout_sec: float = WAIT_TIMEOUT_SEC) -> None:
    """Wait until `what()` holds; AssertionError with what was `told` if it never does."""
    deadline = time.monotonic() + timeout_sec
    while not what():
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {timeout_sec} s: {told if isinstance(told, str) else told()}")
        time.sleep(CHECK_EVERY_SEC)


def _is_alive(pid: int) -> bool:
    """Whether a process runs; one that has ended and was not waited for does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def _unquoted(value: str) -> str:
    return re.sub(r"\\(.)", r"\1", value[1:-1]) if value.startswith('"') else value
