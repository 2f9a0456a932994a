"""`RecorderProcess` and `SimulatorProcess` on a machine of their own: the recorder as a service, and OpenD beside it.

    with Machine(tmp_path) as machine:
        machine.install_project()
        with MachineSimulator(machine, "--now", "--hold", "--rate", "200", "--symbols", "5") as sim:
            recorder = MachineRecorder(machine, sim.port, universe(5, 0))
            recorder.start()
            recorder.wait_until_stored(sim)

Both do what their models do, with the same words; what is said here is only what differs.
"""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any, Self

from hk_tick_collector.simulator.verdict import compare
from support.machine import CHECK_EVERY_SEC, DATA_ROOT, ENV_FILE, PYTHON, UNIT, WAIT_TIMEOUT_SEC, Machine
from support.recorder_process import QUICK, LogLine, RecorderProcess
from support.simulator_process import SimulatorProcess

if TYPE_CHECKING:
    import signal
    from collections.abc import Iterable

    from hk_tick_collector.simulator.verdict import Verdict

SIMULATOR_PLACE = "/srv/simulator"


class MachineSimulator(SimulatorProcess):
    """A simulated OpenD on the machine's loopback, as a unit of its own (`NAME.service`) that nobody restarts."""

    def __init__(self, machine: Machine, *args: str, port: int = 11111, name: str = "simulator") -> None:
        """Nothing is started yet; `port` is OpenD's own unless said otherwise, and may be used again after a stop."""
        machine.write(f"{SIMULATOR_PLACE}/{name}.stdout", "")
        super().__init__(machine.path(SIMULATOR_PLACE), name=name)
        self._machine = machine
        self._unit = f"{name}.service"
        self._port = port
        self._options = args
        self._stdout = f"{SIMULATOR_PLACE}/{name}.stdout"

    def start(self) -> Self:
        """Start it and wait until it listens."""
        paths = {"stdout": self._stdout, "stderr": f"{SIMULATOR_PLACE}/{self.stderr_path.name}"}
        self._machine.run(
            *("systemd-run", "--quiet", "--collect", f"--unit={self._unit}"),
            f"--property=StandardOutput=truncate:{paths['stdout']}",
            f"--property=StandardError=truncate:{paths['stderr']}",
            *(PYTHON, "-m", "hk_tick_collector.cli.simulate_cmd"),
            *("--port", str(self._port), "--ledger", f"{SIMULATOR_PLACE}/{self.ledger_path.name}", *self._options),
        )
        until = time.monotonic() + WAIT_TIMEOUT_SEC
        while not (line := self._machine.path(self._stdout).read_text()).endswith("\n"):
            assert time.monotonic() < until, f"the simulator did not start: {self.stderr_path.read_text()[-4000:]}"
            time.sleep(CHECK_EVERY_SEC)
        told = json.loads(line)
        self.port, self.control_port, self.pid = told["port"], told["control_port"], told["pid"]
        self._control = self._machine.connect(self.control_port)
        return self

    def send_line(self, line: bytes) -> dict[str, Any]:
        """The same, over a connection into the machine's network."""
        if self._control is None:
            self._control = self._machine.connect(self.control_port)
        return super().send_line(line)

    def stop(self) -> int:
        """End it with SIGTERM; 0 if it ended so. May be called again."""
        if self._control is not None:
            self._control.close()
            self._control = None
        state = self._machine.systemctl("is-active", self._unit, check=False).strip()
        if state == "active":
            self._machine.systemctl("stop", self._unit)
        return 0


class MachineRecorder(RecorderProcess):
    """The recorder as `hk-tick-collector.service`, from its unit as it is in `deploy/`.

    Its settings are in the environment file that the unit names. Drop-ins change the unit where a test can't wait as
    long as an operator can.
    """

    def __init__(
        self, machine: Machine, port: int, symbols: Iterable[str], *, is_configured: bool = False, **settings: object
    ) -> None:
        """Nothing is started yet; the environment file is written, unless it is there already."""
        super().__init__(machine.path("/srv"), port, symbols, name="recorder", **settings)
        self._machine = machine
        self.data_root = machine.path(DATA_ROOT)
        self.log_path = machine.path("/srv") / "recorder.log"
        if not is_configured:
            self.configure(**{**QUICK, "FUTU_PORT": port, "FUTU_SYMBOLS": ",".join(symbols), **settings})

    def configure(self, **settings: object) -> None:
        """Write the environment file anew, with these settings and no others."""
        self._machine.write(ENV_FILE, "".join(f"{key}={value}\n" for key, value in settings.items()))

    def drop_in(self, text: str, name: str = "test") -> None:
        """Change the unit by a drop-in of this text."""
        self._machine.write(f"/etc/systemd/system/{UNIT}.d/{name}.conf", text)
        self._machine.systemctl("daemon-reload")

    # ---- its life

    def start(self) -> Self:
        """Have it started, and wait until systemd has been told READY."""
        self._machine.systemctl("start", UNIT, timeout_sec=WAIT_TIMEOUT_SEC)
        self.look()
        return self

    def look(self) -> int:
        """See which process it is now, and give its pid, as it is there."""
        self.pid = int(self._machine.show(UNIT, "MainPID")["MainPID"])
        return self.pid

    @property
    def is_running(self) -> bool:
        """Whether the unit is up, or on its way."""
        return self._machine.systemctl("is-active", UNIT, check=False).strip() in {"active", "activating"}

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to the recorder alone."""
        self._machine.systemctl("kill", "--kill-whom=main", f"--signal={number.name}", UNIT)

    def stop(self) -> int:
        """`systemctl stop`; its exit code (or the number of the signal that ended it, negative)."""
        self._machine.systemctl("stop", UNIT, timeout_sec=120)
        return self.exit_code()

    def exit_code(self) -> int:
        """Of the last one that ended."""
        shown = self._machine.show(UNIT, "ExecMainCode", "ExecMainStatus")
        status = int(shown["ExecMainStatus"])
        return status if shown["ExecMainCode"] == "1" else -status

    def end(self) -> None:
        """Nothing: it ends with its machine."""

    def writer_pids(self) -> list[int]:
        """The recorder's child processes that run, as they are there."""
        path = f"/proc/{self.look()}/task/{self.pid}/children"
        return [int(pid) for pid in self._machine.run("cat", path).stdout.split()]

    # ---- what it says, and what it stored

    def log_lines(self, event: str | None = None) -> list[LogLine]:
        """The same, from the journal."""
        self.log_path.write_text(self._machine.journal(UNIT))
        return super().log_lines(event)

    def settle_whole(self, sim: SimulatorProcess) -> Verdict:
        """Make no more ticks, wait until all are stored, stop cleanly, and assert that sent is stored, by verdict."""
        sim.command("pause")
        self.wait_until_stored(sim)
        assert self.stop() == 0
        sim.command("sync")
        verdict = self.judge(sim)
        assert verdict.ok, verdict
        assert verdict.stored == verdict.sent > 0, verdict
        return verdict

    def judge(self, sim: SimulatorProcess) -> Verdict:
        """What the simulator made against what is stored."""
        return compare(sim.ledger_path, self.data_root)
