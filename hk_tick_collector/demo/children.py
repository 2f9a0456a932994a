"""The demo's two child processes: the simulated OpenD and the recorder.

Owns starting and ending them, and talking to the simulator's control port. Invariant: once `close` has returned, no
process that was started here is alive, however the demo ends.

Each child leads its own process group: Ctrl-C in the terminal reaches only the demo, and the recorder's writer, a child
of the recorder, can be killed together with it. Children run in the demo's directory, in an environment without
recorder settings: neither the user's variables nor an `.env` in the directory where the demo was started apply.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import hk_tick_collector
from hk_tick_collector.errors import DemoFailedError
from hk_tick_collector.store.data_root import read_state

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hk_tick_collector.demo.place import Place

START_TIMEOUT_SEC = 60.0
COMMAND_TIMEOUT_SEC = 30.0
STOP_TIMEOUT_SEC = 90.0  # the recorder's own limit for storing its backlog is 60 s
KILL_TIMEOUT_SEC = 10.0
LOG_LINES = 8
LOG_BYTES = 64 * 1024

# All that a child needs from the user's environment.
_ENV_KEPT = ("PATH", "HOME", "LANG", "LC_ALL", "LC_CTYPE", "TMPDIR", "LD_LIBRARY_PATH", "VIRTUAL_ENV", "PYTHONPATH")


class Pids(NamedTuple):
    """The recorder's two processes."""

    recorder: int
    writer: int


def clean_environment() -> dict[str, str]:
    """An environment without recorder settings, in which Python finds this program from any directory."""
    env = {name: os.environ[name] for name in _ENV_KEPT if name in os.environ}
    here = str(Path(hk_tick_collector.__file__).absolute().parent.parent)
    others = [str(Path(path).absolute()) for path in env.get("PYTHONPATH", "").split(os.pathsep) if path]
    return {**env, "PYTHONPATH": os.pathsep.join([here, *others]), "PYTHONUNBUFFERED": "1"}


def last_lines(path: Path) -> list[str]:
    """The last lines of a log."""
    try:
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - LOG_BYTES))
            return file.read().decode(errors="replace").splitlines()[-LOG_LINES:]
    except FileNotFoundError:
        return []


def is_alive(pid: int) -> bool:
    """Whether a process is running; a zombie does not count."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8")
    except (FileNotFoundError, ProcessLookupError):
        return False
    return stat.rpartition(")")[2].split()[0] != "Z"


class Child:
    """One process and its log."""

    def __init__(self, name: str, log: Path) -> None:
        self.name = name
        self.log = log
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        """The pid of the process that was started last."""
        assert self._process is not None, f"{self.name} was never started"
        return self._process.pid

    def launch(self, directory: Path, args: Sequence[str], *, listen: bool = False) -> subprocess.Popen[bytes]:
        """Start it with its output going to the log; with `listen`, standard output goes to a pipe instead."""
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(  # noqa: S603 - our own program
                [sys.executable, "-m", "hk_tick_collector.cli.app", *args],
                cwd=directory,
                env=clean_environment(),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE if listen else log,
                stderr=log,
                start_new_session=True,
            )
        return self._process

    def check(self) -> None:
        """Check that the process is still running.

        Raises:
            DemoFailedError: it has ended by itself.
        """
        code = self._process.poll() if self._process else None
        if code is not None:
            raise DemoFailedError(f"the {self.name} has ended by itself (exit {code}); its log is {self.log}")

    def wait(self, timeout_sec: float) -> int | None:
        """Wait for the exit code; None: it is still running after `timeout_sec`."""
        assert self._process is not None
        try:
            return self._process.wait(timeout_sec)
        except subprocess.TimeoutExpired:
            return None

    def terminate(self) -> None:
        """Ask the process to stop, with SIGTERM."""
        assert self._process is not None
        self._process.terminate()

    def close(self) -> None:
        """Kill the process and its children."""
        process, self._process = self._process, None
        if process is None:
            return
        with contextlib.suppress(ProcessLookupError):  # even if it has ended: its children may still run
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        if process.stdout is not None:
            process.stdout.close()


class Simulator(Child):
    """The simulated OpenD, with the connection to its control port."""

    def __init__(self, place: Place) -> None:
        super().__init__("simulated OpenD", place.simulator_log)
        self._place = place
        self._control: socket.socket | None = None
        self.port = 0

    def start(self, *options: str) -> None:
        """Start it, and wait until it listens.

        Raises:
            DemoFailedError: it does not listen within 60 s.
        """
        files = ("--ledger", str(self._place.ledger), "--clock", str(self._place.clock))
        args = ["simulate", "--port", "0", "--control-port", "0", *files, *options]
        process = self.launch(self._place.root, args, listen=True)
        assert process.stdout is not None
        readable, _, _ = select.select([process.stdout], [], [], START_TIMEOUT_SEC)
        line = process.stdout.readline() if readable else b""
        if not line:
            raise DemoFailedError(f"the {self.name} did not start within {START_TIMEOUT_SEC:.0f} s: see {self.log}")
        where = json.loads(line)
        self.port = where["port"]
        self._control = socket.create_connection(("127.0.0.1", where["control_port"]), timeout=COMMAND_TIMEOUT_SEC)

    def command(self, cmd: str, **fields: object) -> dict[str, Any]:
        """Send a command and return its answer.

        Raises:
            DemoFailedError: it was refused, or not answered.
        """
        assert self._control is not None
        answer = b""
        try:
            self._control.sendall(json.dumps({"cmd": cmd, **fields}).encode() + b"\n")
            while not answer.endswith(b"\n"):
                chunk = self._control.recv(65536)
                if not chunk:
                    raise DemoFailedError(f"the {self.name} has hung up on the command {cmd}: see {self.log}")
                answer += chunk
        except OSError as exc:
            raise DemoFailedError(f"the {self.name} does not answer the command {cmd} ({exc}): see {self.log}") from exc
        told: dict[str, Any] = json.loads(answer)
        if not told.pop("ok"):
            raise DemoFailedError(f"the {self.name} refused the command {cmd}: {told['error']}")
        return told

    def stop(self) -> None:
        """Make it flush its ledger and end.

        Raises:
            DemoFailedError: it does not end in time, or its exit code is not 0.
        """
        self.command("stop")
        code = self.wait(STOP_TIMEOUT_SEC)
        if code != 0:
            raise DemoFailedError(f"the {self.name} did not stop well (exit {code}): see {self.log}")

    def close(self) -> None:
        """Close the control connection and kill it."""
        if self._control is not None:
            self._control.close()
            self._control = None
        super().close()


class Recorder(Child):
    """The recorder, which starts a writer process of its own."""

    def __init__(self, place: Place) -> None:
        super().__init__("recorder", place.recorder_log)
        self._place = place

    def start(self) -> None:
        """Start it, without waiting until it is connected."""
        files = ("--env-file", str(self._place.recorder_env), "--rehearse", str(self._place.clock))
        self.launch(self._place.root, ["run", *files])

    def state(self) -> dict[str, Any] | None:
        """The state that it reports every 2 s; None: the current process has not reported yet."""
        state = read_state(self._place.data_root)
        return state if state.get("pid") == self.pid else None

    def pids(self) -> Pids | None:
        """The pids of its processes; None: it has not reported them yet."""
        state = self.state()
        if state is None or not state["writer"]["pid"]:
            return None
        return Pids(self.pid, state["writer"]["pid"])

    def kill(self, pids: Pids) -> None:
        """Kill both of its processes with SIGKILL, and wait until they are gone.

        Raises:
            DemoFailedError: one of them had already ended, or does not end in time.
        """
        for pid in (pids.writer, pids.recorder):
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                raise DemoFailedError(f"process {pid} of the recorder was gone already: see {self.log}") from None
        if self.wait(KILL_TIMEOUT_SEC) != -signal.SIGKILL:
            raise DemoFailedError(f"the recorder {pids.recorder} did not end by SIGKILL")
        deadline = time.monotonic() + KILL_TIMEOUT_SEC
        while is_alive(pids.writer):
            if time.monotonic() > deadline:
                raise DemoFailedError(f"the writer {pids.writer} did not end by SIGKILL")
            time.sleep(0.01)

    def stop(self) -> None:
        """Ask it to stop, and wait until it has stored everything.

        Raises:
            DemoFailedError: it does not end in time, or its exit code is not 0.
        """
        self.terminate()
        code = self.wait(STOP_TIMEOUT_SEC)
        if code != 0:
            raise DemoFailedError(f"the recorder did not stop well (exit {code}): see {self.log}")
