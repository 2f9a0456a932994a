"""The units under a real systemd: what it is told, what it does about it, and that nothing is lost by it.

The simulated OpenD runs on the same machine as a unit of its own. Where the unit's own times are made for days, a
drop-in makes them seconds; what the unit says of them is tested by itself.
"""

from __future__ import annotations

import re
from contextlib import closing
from typing import TYPE_CHECKING

import pytest
from support.machine import APP, DATA_ROOT, ENV_FILE, PYTHON, ROOT, UNIT, Machine
from support.machine_service import MachineRecorder, MachineSimulator
from support.recorder_process import until
from support.sealing import make_day
from support.ticks import DAY
from support.trading_time import clock_of

from hk_tick_collector.config import Settings
from hk_tick_collector.hktime import parse_time
from hk_tick_collector.simulator.universe import universe
from hk_tick_collector.store.opening import open_readonly
from hk_tick_collector.store.sealed import certificate_of

if TYPE_CHECKING:
    from collections.abc import Callable

    Simulate = Callable[..., MachineSimulator]

pytestmark = [pytest.mark.system, pytest.mark.timeout(180)]

OPEND_UNIT = "opend.service"
OPEND = "/opt/opend/FutuOpenD"
EXPOSURE_MAX = 2.5
SYMBOLS = universe(5, 0)
EXAMPLE = ("HK.00700", "HK.00005")
"""What deploy/hk-tick-collector.env.example names."""
BURST = 10_000
CLOCK = "/usr/local/lib/test-clock"


def record(machine: Machine, simulator: MachineSimulator) -> MachineRecorder:
    """The recorder as a service, started, until systemd has been told that it records."""
    return MachineRecorder(machine, simulator.port, SYMBOLS).start()


def install_opend(machine: Machine, script: str = "exit 0") -> None:
    """Something in OpenD's place."""
    machine.write(OPEND, f"#!/bin/sh\n{script}\n", 0o755)


# ---- the files


@pytest.mark.parametrize("unit", [UNIT, OPEND_UNIT])
def test_a_unit_is_verified_without_a_word(unit: str, machine: Machine) -> None:
    """As systemd reads it, nothing in it is unknown, misspelt or missing."""
    install_opend(machine)
    verified = machine.run("systemd-analyze", "verify", "--recursive-errors=no", unit)
    assert verified.stdout + verified.stderr == ""


@pytest.mark.parametrize("unit", [UNIT, OPEND_UNIT])
def test_a_unit_is_little_exposed(unit: str, machine: Machine) -> None:
    """By systemd's own measure, from 0 to 10."""
    told = machine.run(
        "systemd-analyze", "security", "--offline=true", "--no-pager", f"/etc/systemd/system/{unit}"
    ).stdout
    match = re.search(r"Overall exposure level for \S+: ([\d.]+)", told)
    assert match is not None, told
    assert float(match[1]) < EXPOSURE_MAX, told


def test_the_recorder_depends_on_no_opend(machine: Machine) -> None:
    """OpenD may be anywhere, and away: no unit of it is wanted, waited for or bound to."""
    shown = machine.show(UNIT, "Requires", "Requisite", "BindsTo", "PartOf", "Wants", "After", "Conflicts")
    assert not any("opend" in value for value in shown.values()), shown
    assert "network-online.target" in shown["After"]


def test_systemd_waits_longer_than_the_recorder_does(machine: Machine) -> None:
    """At a stop the recorder's own limit comes first, with half a minute to spare; signs of life come in time."""
    told = machine.systemctl("cat", UNIT)
    seconds = {name: float(value) for name, value in re.findall(r"^(\w+Sec)=(\d+)$", told, re.MULTILINE)}
    fields = Settings.model_fields
    assert seconds["TimeoutStopSec"] >= fields["stop_flush_timeout_sec"].default + 30
    assert seconds["WatchdogSec"] / 3 > fields["check_interval_sec"].default


def test_the_documented_installation_works(bare_machine: Machine) -> None:
    """Line by line, from the project's files to a service that is enabled and records what the example names."""
    text = (ROOT / "docs/operations.md").read_text(encoding="utf-8")
    blocks = text.partition("\n## As a service\n")[2].split("```sh\n")  # the first calls the script that does the same
    lines = blocks[2].partition("```")[0].splitlines()
    assert lines[0] == f"cd {APP}"
    beyond = ("bash tools/bootstrap.sh ", "editor ")  # packages come over the network; the example is taken as it is
    machine = bare_machine.start()
    machine.install_project(units=False)
    with MachineSimulator(machine, "--now", "--hold", "--symbols", ",".join(EXAMPLE)) as simulator:
        for line in lines[1:]:
            if not line.startswith(beyond):
                machine.run("sh", "-c", line, cwd=APP)
        shown = machine.show(UNIT, "ActiveState", "UnitFileState", "StatusText")
        assert (shown["ActiveState"], shown["UnitFileState"]) == ("active", "enabled"), shown
        assert shown["StatusText"].startswith("recording 2 symbols"), shown
        recorder = MachineRecorder(machine, simulator.port, EXAMPLE, is_configured=True)
        recorder.settle_whole(simulator)


# ---- ready


def test_it_is_ready_only_once_it_records(machine: Machine, simulate: Simulate) -> None:
    """While OpenD is away the unit is starting, longer than its time to start, and its status says what is awaited."""
    recorder = MachineRecorder(machine, 11111, SYMBOLS)
    recorder.drop_in("[Service]\nTimeoutStartSec=3\n")
    machine.systemctl("start", "--no-block", UNIT)
    waiting = machine.wait_for(UNIT, StatusText="^waiting for OpenD at 127.0.0.1:11111", ActiveState="^activating$")
    begun_usec = int(machine.show(UNIT, "ExecMainStartTimestampMonotonic")["ExecMainStartTimestampMonotonic"])
    until(lambda: uptime_usec(machine) - begun_usec > 6_000_000, "twice the time to start is over")
    assert machine.show(UNIT, "ActiveState", "NRestarts") == {"ActiveState": "activating", "NRestarts": "0"}, waiting

    simulator = simulate()
    machine.wait_for(UNIT, ActiveState="^active$", SubState="^running$", StatusText="^recording 5 symbols")
    assert machine.show(UNIT, "NRestarts") == {"NRestarts": "0"}
    recorder.settle_whole(simulator)


def uptime_usec(machine: Machine) -> int:
    """The machine's monotonic clock, by which systemd counts."""
    return int(float(machine.path("/proc/uptime").read_text().split()[0]) * 1e6)


def test_systemctl_start_returns_when_it_records(machine: Machine, simulate: Simulate) -> None:
    """What is ordered behind it begins once its symbols are subscribed; its files are for its group only."""
    simulator = simulate()
    recorder = MachineRecorder(machine, simulator.port, SYMBOLS, FUTU_HOST="localhost")  # a name, to be looked up
    machine.write(
        "/etc/systemd/system/after.service",
        f"[Unit]\nAfter={UNIT}\nWants={UNIT}\n[Service]\nType=oneshot\nExecStart=/bin/echo after it\n",
    )
    machine.systemctl("daemon-reload")
    machine.systemctl("start", "after.service")
    said = machine.journal()
    assert said.index(" futu_subscribed ") < said.index("Started hk-tick-collector.service") < said.index("\nafter it")
    recorder.settle_whole(simulator)
    modes = {path.name: oct(path.stat().st_mode & 0o777) for path in recorder.data_root.glob("*.db")}
    assert modes, "no day database"
    assert set(modes.values()) == {"0o640"}, modes
    assert machine.run("stat", "--format=%a %U:%G", DATA_ROOT).stdout == "750 hk-tick:hk-tick\n"


def test_a_boot_does_not_wait_for_opend(bare_machine: Machine) -> None:
    """Enabled, with OpenD away: the machine is up, the recorder waits, and a stop ends it at once and cleanly."""
    bare_machine.install_project()
    bare_machine.write(ENV_FILE, "FUTU_SYMBOLS=HK.00700\n")
    bare_machine.enable(UNIT)
    machine = bare_machine.start()
    machine.wait_for(UNIT, ActiveState="^activating$", StatusText="^waiting for OpenD")
    assert machine.systemctl("is-active", "multi-user.target").strip() == "active"
    machine.systemctl("stop", UNIT)
    assert machine.show(UNIT, "ActiveState", "Result", "ExecMainStatus", "NRestarts") == {
        "ActiveState": "inactive",
        "Result": "success",
        "ExecMainStatus": "0",
        "NRestarts": "0",
    }


# ---- the watchdog


def test_a_wedged_recorder_leaves_its_stacks_and_is_started_again(machine: Machine, simulate: Simulate) -> None:
    """One that shows no life is ended by SIGABRT, on which it tells what it was doing; the next one misses nothing."""
    simulator = simulate()
    recorder = MachineRecorder(machine, simulator.port, SYMBOLS)
    recorder.drop_in("[Service]\nWatchdogSec=3\n")
    recorder.start()
    wedged, (old_writer,) = recorder.pid, recorder.writer_pids()
    machine.systemctl("kill", "--kill-whom=main", "--signal=SIGSTOP", UNIT)
    machine.wait_for(UNIT, NRestarts="^1$", ActiveState="^active$")
    said = machine.journal(UNIT)
    assert "Watchdog timeout" in said
    assert f"Killing process {wedged} (python) with signal SIGABRT" in said
    assert "code=killed, status=6/ABRT" in said  # and not "dumped"
    assert "Fatal Python error: Aborted" in said
    assert re.search(r'File ".*/hk_tick_collector/main\.py", line \d+ in run$', said, re.MULTILINE), said
    assert recorder.look() != wedged
    assert old_writer not in recorder.writer_pids()
    recorder.settle_whole(simulator)


def test_a_healthy_recorder_outlives_many_watchdog_times(machine: Machine, simulate: Simulate) -> None:
    """It gives signs of life while it records, and while OpenD is away too."""
    simulator = simulate()
    recorder = MachineRecorder(machine, simulator.port, SYMBOLS)
    recorder.drop_in("[Service]\nWatchdogSec=2\n")
    recorder.start()
    begun_usec = uptime_usec(machine)
    simulator.command("refuse", sec=5)
    recorder.wait_for("futu_disconnected")
    until(lambda: uptime_usec(machine) - begun_usec > 8_000_000, "four watchdog times are over")
    assert machine.show(UNIT, "NRestarts", "ActiveState") == {"NRestarts": "0", "ActiveState": "active"}
    recorder.settle_whole(simulator)


# ---- stop, crash, and a wrong setting


def test_stop_stores_all_that_was_received(machine: Machine, simulate: Simulate) -> None:
    """SIGTERM while thousands of ticks wait to be stored: they are, it ends with 0, and nothing had to be killed."""
    simulator = simulate()
    recorder = record(machine, simulator)
    recorder.wait_for("sqlite_pragmas")
    (writer,) = recorder.writer_pids()
    machine.run("kill", "-STOP", str(writer))
    simulator.command("pause")
    simulator.command("burst", ticks=BURST)
    until(lambda: recorder.state()["frames"] > BURST, "it has received them")
    assert len(recorder.rows()) < BURST

    machine.systemctl("stop", "--no-block", UNIT)
    recorder.wait_for("recorder_stopping")  # which sends the writer SIGCONT
    machine.wait_for(UNIT, ActiveState="^inactive$", Result="^success$")
    assert recorder.exit_code() == 0
    assert "with signal SIGKILL" not in machine.journal(UNIT)
    simulator.command("sync")
    verdict = recorder.judge(simulator)
    assert verdict.ok, verdict
    assert verdict.stored == verdict.sent > BURST, verdict


def test_a_recorder_that_is_killed_is_started_again(machine: Machine, simulate: Simulate) -> None:
    """After SIGKILL the writer of the old one is ended too, the new one has its own, and nothing is missing."""
    simulator = simulate()
    recorder = record(machine, simulator)
    (old_writer,) = recorder.writer_pids()
    killed = recorder.pid
    machine.systemctl("kill", "--kill-whom=main", "--signal=SIGKILL", UNIT)
    machine.wait_for(UNIT, NRestarts="^1$", ActiveState="^active$")
    assert recorder.look() != killed
    (new_writer,) = recorder.writer_pids()
    assert new_writer != old_writer
    writers = machine.run("pgrep", "--full", "hk_tick_collector.writer").stdout.split()
    assert writers == [str(new_writer)]
    recorder.settle_whole(simulator)


def test_a_wrong_setting_is_told_once(machine: Machine, simulate: Simulate) -> None:
    """Exit 2 is not tried again: the unit has failed, and its last words name the setting. Mended, it starts."""
    recorder = MachineRecorder(machine, 11111, SYMBOLS)
    recorder.configure(FUTU_SYMBOLS="HK.00700", BATCH_SIZE="many")
    machine.systemctl("start", UNIT, check=False)
    shown = machine.wait_for(UNIT, ActiveState="^failed$", SubState="^failed$", Result="^exit-code$")
    assert recorder.exit_code() == 2, shown
    lines = [line for line in machine.journal(UNIT, "--priority=warning").splitlines() if "BATCH_SIZE" in line]
    assert len(lines) == 1, lines
    assert lines[0].startswith("hk-tick-collector: "), lines
    assert machine.show(UNIT, "NRestarts") == {"NRestarts": "0"}

    simulator = simulate()
    mended = record(machine, simulator)
    mended.settle_whole(simulator)


def test_no_number_of_failures_is_the_last(machine: Machine) -> None:
    """A recorder that always fails with 1 is started again, many more times than systemd's own limit."""
    recorder = MachineRecorder(machine, 11111, SYMBOLS)
    recorder.drop_in("[Service]\nRestartSec=20ms\nExecStart=\nExecStart=/bin/false\n")
    machine.systemctl("start", "--no-block", UNIT)
    machine.wait_for(UNIT, NRestarts="^[1-9][0-9]$")
    said = machine.journal(UNIT)
    assert "start-limit-hit" not in said
    assert said.count("Main process exited, code=exited, status=1/FAILURE") >= 10


# ---- a day that is over


def test_a_past_day_is_sealed_within_what_the_unit_allows(machine: Machine) -> None:
    """At the least priority: it is certified and read-only, both files are the service's own, and it records on."""
    evening = ("--date", "20260803", "--start", "17:00", "--speed", "1", "--hold", "--symbols", "5")
    with MachineSimulator(machine, *evening) as simulator:
        recorder = MachineRecorder(machine, simulator.port, SYMBOLS, SEAL_ENABLED="true", SEAL_DELAY_MIN="0")
        # Else its clock and OpenD's disagree about which day is over, and nothing is sealed.
        shift_sec = clock_of(parse_time("2026-08-03 17:00:00").ms)["CLOCK_SHIFT_SEC"]
        machine.write(f"{CLOCK}/sitecustomize.py", (ROOT / "tests/support/clock/sitecustomize.py").read_text())
        recorder.drop_in(f"[Service]\nEnvironment=PYTHONPATH={CLOCK} CLOCK_SHIFT_SEC={shift_sec}\n")
        database = make_day(recorder.data_root)  # root's, until the first start gives its user what is there
        database.chmod(0o640)  # as that one makes it
        with closing(open_readonly(database)) as reader:  # which the sealing waits for, so that it can be looked at
            assert reader.execute("SELECT count(*) FROM ticks").get == 10
            recorder.start()
            until(lambda: nice_of(machine, "hk_tick_collector.seal") == {19}, "it has the least priority")
        (sealed,) = recorder.wait_for("day_sealed")
        assert (sealed.fields["day"], sealed.fields["rows"]) == (DAY, "10")
        files = (database.name, certificate_of(database).name)
        told = machine.run("stat", "--format=%a %U:%G", *files, cwd=DATA_ROOT).stdout.splitlines()
        assert told == ["440 hk-tick:hk-tick", "640 hk-tick:hk-tick"]
        machine.run("hk-tick-collector", "verify", "--sealed", env={"DATA_ROOT": DATA_ROOT}, user="hk-tick")
        simulator.command("burst", ticks=BURST)
        recorder.wait_until_stored(simulator)
    assert recorder.stop() == 0
    assert not recorder.log_lines("seal_failed")
    assert machine.show(UNIT, "NRestarts") == {"NRestarts": "0"}


def nice_of(machine: Machine, module: str) -> set[int]:
    """The niceness of each process that runs this module."""
    told = machine.run("ps", "-eo", "ni=,args=").stdout
    return {int(nice) for nice in re.findall(rf"^ *(-?\d+) \S+ -m {re.escape(module)} ", told, re.MULTILINE)}


# ---- OpenD's unit


def test_opend_is_kept_running_and_recorded_from(machine: Machine) -> None:
    """A stand-in for OpenD runs as its own user, under its unit, comes back after a crash, and the recorder with it."""
    stand_in = f"{PYTHON} -m hk_tick_collector.cli.simulate_cmd --now --port 11111 --ledger $HOME/$$.jsonl --symbols 5"
    install_opend(machine, f'echo "given: $*"; exec {stand_in}')
    machine.write(f"/etc/systemd/system/{OPEND_UNIT}.d/test.conf", "[Service]\nRestartSec=100ms\n")
    machine.systemctl("daemon-reload")
    machine.systemctl("start", OPEND_UNIT)
    recorder = MachineRecorder(machine, 11111, SYMBOLS).start()
    assert "given: -cfg_file=/etc/opend/FutuOpenD.xml -console=0 -no_monitor=1" in machine.journal(OPEND_UNIT)
    pid = machine.show(OPEND_UNIT, "MainPID")["MainPID"]
    assert machine.run("ps", "-o", "user=", "-p", pid).stdout.strip() == "opend"

    machine.systemctl("kill", "--signal=SIGKILL", OPEND_UNIT)
    machine.wait_for(OPEND_UNIT, NRestarts="^1$", ActiveState="^active$")
    recorder.wait_for("futu_connected", 2)
    before = len(recorder.rows())
    until(lambda: len(recorder.rows()) > before, "it records again")
    assert machine.show(UNIT, "NRestarts", "ActiveState") == {"NRestarts": "0", "ActiveState": "active"}
