"""The recorder under a supervisor: what it is told is true, at every moment, from the start to the end."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import threading
from typing import TYPE_CHECKING, Any, Self

import pytest
from support.recorder_process import until

if TYPE_CHECKING:
    from pathlib import Path

    from support.bench import Bench

pytestmark = pytest.mark.faults

WATCHDOG_USEC = 900_000


class Supervisor:
    """Listens as systemd does, and remembers."""

    def __init__(self, directory: Path) -> None:
        self.env: dict[str, Any] = {"NOTIFY_SOCKET": directory / "notify", "WATCHDOG_USEC": WATCHDOG_USEC}
        self.messages: list[str] = []
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(str(directory / "notify"))
        self._thread = threading.Thread(target=self._listen)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_exc: object) -> None:
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        self._socket.close()

    def _listen(self) -> None:
        while message := self._socket.recv(4096):
            self.messages.append(message.decode())

    def count(self, start: str) -> int:
        """How many messages begin so."""
        return sum(message.startswith(start) for message in list(self.messages))

    def wait_for(self, start: str) -> str:
        """The newest message that begins so, once there is another one."""
        before = self.count(start)
        until(lambda: self.count(start) > before, lambda: f"{start}: {self.messages[-10:]}")
        return [message for message in self.messages if message.startswith(start)][-1]


def test_it_is_ready_when_it_records_and_not_before(bench: Bench) -> None:
    """While OpenD is away it says so and asks for time; then it is ready once, and gives signs of life to the end."""
    with socket.socket() as reserved, Supervisor(bench.directory) as supervisor:
        reserved.bind(("127.0.0.1", 0))  # bound and not listening: connecting to it is refused
        port = reserved.getsockname()[1]
        recorder = bench.record(port, **supervisor.env)
        supervisor.wait_for("EXTEND_TIMEOUT_USEC=")
        until(lambda: "refused" in supervisor.wait_for("STATUS="), "the status says why")
        assert supervisor.wait_for("STATUS=").startswith(f"STATUS=waiting for OpenD at 127.0.0.1:{port}: ")
        assert supervisor.count("READY=1") == supervisor.count("WATCHDOG=1") == 0
        reserved.close()
        sim = bench.simulate("--port", str(port))
        supervisor.wait_for("READY=1\nSTATUS=recording 5 symbols")
        supervisor.wait_for("WATCHDOG=1")
        until(lambda: "ticks today, lag" in supervisor.wait_for("STATUS=recording"), "the status tells of ticks")
        sim.command("cut")
        recorder.wait_for("futu_disconnected", reason="connection closed by OpenD")
        supervisor.wait_for("WATCHDOG=1")
        bench.settle_whole(sim, recorder)
        assert supervisor.count("READY=1") == supervisor.count("STOPPING=1") == 1
        assert supervisor.messages[-2:] == ["STOPPING=1", "STATUS=stopping: SIGTERM"]


def test_a_recorder_that_does_not_run_gives_no_sign_of_life(bench: Bench) -> None:
    """One that is stopped is silent, so that a supervisor notices; a stopped writer is the watchdog's matter."""
    with Supervisor(bench.directory) as supervisor:
        sim = bench.simulate()
        recorder = bench.record(sim, **supervisor.env)
        supervisor.wait_for("WATCHDOG=1")
        (writer,) = recorder.writer_pids()
        os.kill(writer, signal.SIGSTOP)
        for _ in range(5):
            supervisor.wait_for("WATCHDOG=1")
        os.kill(writer, signal.SIGCONT)
        recorder.signal(signal.SIGSTOP)
        until(lambda: _is_silent(supervisor), "it is silent")
        recorder.signal(signal.SIGCONT)
        supervisor.wait_for("WATCHDOG=1")
        bench.settle_whole(sim, recorder)


def _is_silent(supervisor: Supervisor) -> bool:
    """No message for five times what one is due in."""
    before = supervisor.count("")
    waited = threading.Event()
    waited.wait(5 * WATCHDOG_USEC / 1e6 / 3)
    return supervisor.count("") == before
