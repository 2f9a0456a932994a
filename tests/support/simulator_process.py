"""The simulator as a separate process, driven by commands: the other end of every test over real TCP.

    with SimulatorProcess(tmp_path, "--now", "--rate", "50", "--symbols", "3") as sim:
        connect("127.0.0.1", sim.port)
        sim.command("burst", ticks=1000)
        sim.command("cut", mid_frame=True)
        assert sim.ledger().faults

It listens on ports that the system chose, so any number can run side by side.
"""

from __future__ import annotations

import json
import os
import select
import socket
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any, Self

from hk_tick_collector.simulator.ledger import read_ledger
from support import warm

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from hk_tick_collector.simulator.ledger import Ledger

COMMAND = (sys.executable, "-m", "hk_tick_collector.cli.simulate_cmd")
START_TIMEOUT_SEC = 30.0
STOP_TIMEOUT_SEC = 20.0
COMMAND_TIMEOUT_SEC = 60.0


class SimulatorProcess:
    """One simulator.

    Attributes:
        port: OpenD's port, once started.
        control_port: where commands go.
        pid: the process.
        ledger_path: what it made and did, one JSON object a line; whole after `command("sync")` or `stop()`.
        stderr_path: what it said; also part of the message when it does not start.
    """

    def __init__(self, directory: Path, *args: str, env: Mapping[str, str] | None = None, name: str = "sim") -> None:
        """Nothing is started yet.

        Args:
            directory: where ledger and stderr go; `name` tells several simulators in it apart.
            args: options of `hk-tick-collector simulate`; the ports are 0 and the ledger is set unless given here.
            env: variables on top of this process's own.
            name: the beginning of the files' names.
        """
        self.ledger_path = directory / f"{name}.ledger.jsonl"
        self.stderr_path = directory / f"{name}.stderr.txt"
        given = {arg.partition("=")[0] for arg in args}
        self._args = list(args)
        for option, value in (("--port", "0"), ("--control-port", "0"), ("--ledger", str(self.ledger_path))):
            if option not in given:
                self._args += [option, value]
        self._env = {**os.environ, **(env or {})}
        self._process: warm.Process | None = None
        self._control: socket.socket | None = None
        self.port = 0
        self.control_port = 0
        self.pid = 0

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_exc: object) -> None:
        self.stop()

    def start(self) -> Self:
        """Start it and wait until it listens. AssertionError with its stderr if it doesn't."""
        with self.stderr_path.open("wb") as stderr:
            self._process = warm.start(
                [*COMMAND, *self._args], stdout=subprocess.PIPE, stderr=stderr.fileno(), env=self._env
            )
        assert self._process.stdout is not None
        ready, _, _ = select.select([self._process.stdout], [], [], START_TIMEOUT_SEC)
        line = self._process.stdout.readline() if ready else b""
        if not line:
            code = self.stop()
            raise AssertionError(f"the simulator did not start (exit {code}): {self.stderr_path.read_text()[-4000:]}")
        told = json.loads(line)
        assert told["event"] == "listening", told
        self.port, self.control_port, self.pid = told["port"], told["control_port"], told["pid"]
        return self

    def try_command(self, cmd: str, **fields: object) -> dict[str, Any]:
        """Send one command and give its answer, whether it was carried out or not."""
        return self.send_line(json.dumps({"cmd": cmd, **fields}).encode())

    def command(self, cmd: str, **fields: object) -> dict[str, Any]:
        """Send one command and give its answer; AssertionError if it was not carried out."""
        answer = self.try_command(cmd, **fields)
        assert answer["ok"], f"{cmd} {fields}: {answer}"
        return answer

    def send_line(self, line: bytes) -> dict[str, Any]:
        """Send one raw line (without its end) to the control port and give the answer."""
        if self._control is None:
            self._control = socket.create_connection(("127.0.0.1", self.control_port), timeout=COMMAND_TIMEOUT_SEC)
        self._control.sendall(line + b"\n")
        answer = bytearray()
        while not answer.endswith(b"\n"):
            chunk = self._control.recv(65536)
            if not chunk:
                self._control.close()
                self._control = None
                raise AssertionError(f"the control connection ended after {bytes(answer)!r}")
            answer += chunk
        told = json.loads(answer)
        assert isinstance(told, dict)
        return told

    def stats(self) -> dict[str, Any]:
        """The answer to `stats`."""
        return self.command("stats")

    def wait_for(
        self, what: Callable[[dict[str, Any]], bool], timeout_sec: float = COMMAND_TIMEOUT_SEC
    ) -> dict[str, Any]:
        """Ask for `stats` until `what(stats)` holds, and give them; AssertionError if it never does."""
        until = time.monotonic() + timeout_sec
        while True:
            stats = self.stats()
            if what(stats):
                return stats
            assert time.monotonic() < until, f"not within {timeout_sec} s; the last stats: {stats}"
            time.sleep(0.01)

    def ledger(self) -> Ledger:
        """What was made and done until now (after a `sync`, or after the end)."""
        if self._process is not None and self._process.poll() is None:
            self.command("sync")
        return read_ledger(self.ledger_path)

    def wait(self, timeout_sec: float = STOP_TIMEOUT_SEC) -> int:
        """Wait until it ends by itself (after `command("stop")`, a signal or its day), and give its exit code."""
        assert self._process is not None, "the simulator was never started"
        return self._process.wait(timeout_sec)

    def stop(self) -> int:
        """End it with SIGTERM (SIGKILL if that does not help) and give its exit code. May be called again."""
        if self._control is not None:
            self._control.close()
            self._control = None
        process = self._process
        if process is None:
            raise AssertionError("the simulator was never started")
        if process.poll() is None:
            process.terminate()
        try:
            process.wait(STOP_TIMEOUT_SEC)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        if process.stdout is not None:
            process.stdout.close()
        assert process.returncode is not None
        return process.returncode
