"""The rig itself: what a machine is, and that nothing of it is left."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from support.machine import Machine, remove_control_group
from support.recorder_process import until

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [pytest.mark.system, pytest.mark.timeout(180)]

SLEEPER = "[Service]\nExecStart=/bin/sleep 3600\n"

# Boots a machine and waits to be killed.
BOOT = """
import sys, time
from pathlib import Path
from support.machine import Machine
machine = Machine(Path(sys.argv[1])).start()
print(machine.leader, flush=True)
time.sleep(3600)
"""


@pytest.fixture
def other_machine(tmp_path: Path) -> Iterator[Machine]:
    """A second one beside the first."""
    machine = Machine(tmp_path, name="other")
    try:
        yield machine
    finally:
        machine.end()


def left_of(name: str) -> list[object]:
    """The processes, mounts and control groups of a machine that are there."""
    mounts = [line for line in Path("/proc/self/mountinfo").read_text().splitlines() if name in line]
    # Those of other machines come and go while we look, which os.walk does not mind.
    groups = [Path(directory) for directory, _, _ in os.walk("/sys/fs/cgroup") if Path(directory).name == name]
    processes = []
    for path in Path("/proc").glob("[0-9]*/cgroup"):
        try:
            is_dead = path.with_name("stat").read_text().rpartition(")")[2].split()[0] == "Z"
            processes += [path] if name in path.read_text() and not is_dead else []
        except (FileNotFoundError, ProcessLookupError):  # ended while we looked
            continue
    return [*mounts, *groups, *processes]


def test_a_machine_is_one_of_its_own(bare_machine: Machine, tmp_path: Path) -> None:
    """Its systemd is process 1, its files and network are its own, and it sees what it was given."""
    bare_machine.write("/etc/given.txt", "before")
    machine = bare_machine.start()
    assert machine.path("/proc/1/comm").read_text() == "systemd\n"
    assert machine.run("cat", "/etc/given.txt").stdout == "before"
    machine.run("sh", "-c", "echo changed >/etc/given.txt; echo shared >/srv/told.txt; touch /usr/bin/made-there")
    assert machine.path("/etc/given.txt").read_text() == "changed\n"
    assert not Path("/etc/given.txt").exists()
    assert not Path("/usr/bin/made-there").exists()
    assert machine.run("ls", "/sys/class/net").stdout.split() == ["lo"]
    assert machine.copy_out("/etc/given.txt", tmp_path / "copy").read_text() == "changed\n"
    told = machine.path("/srv/told.txt")
    machine.end()
    assert told.read_text() == "shared\n"


def test_a_machine_leaves_nothing(bare_machine: Machine) -> None:
    """No process, no mount, no control group, also of a service that runs in it."""
    machine = bare_machine.start()
    machine.write("/etc/systemd/system/sleeper.service", SLEEPER)
    machine.systemctl("daemon-reload")
    machine.systemctl("start", "sleeper")
    assert left_of(machine.identity)
    machine.end()
    assert not left_of(machine.identity)
    machine.end()  # again is nothing


def test_two_machines_do_not_touch_each_other(bare_machine: Machine, other_machine: Machine) -> None:
    """A unit that is killed in one lives on in the other, though it is called the same."""
    machines = (bare_machine.start(), other_machine.start())
    for machine in machines:
        machine.write("/etc/systemd/system/sleeper.service", SLEEPER)
        machine.systemctl("daemon-reload")
        machine.systemctl("start", "sleeper")
    machines[0].systemctl("kill", "--signal=SIGKILL", "sleeper")
    machines[0].wait_for("sleeper", ActiveState="^failed$")
    assert machines[1].show("sleeper", "ActiveState") == {"ActiveState": "active"}
    machines[0].end()
    assert machines[1].systemctl("is-active", "sleeper") == "active\n"


def test_a_machine_ends_with_its_test(bare_machine: Machine, tmp_path: Path) -> None:
    """Whoever booted it is killed: it is killed too."""
    del bare_machine  # only that it can be had here
    tests = str(Path(__file__).parents[1])
    with subprocess.Popen(
        [sys.executable, "-c", BOOT, str(tmp_path)],
        stdout=subprocess.PIPE, text=True, env={**os.environ, "PYTHONPATH": tests},
    ) as booting:  # fmt: skip
        assert booting.stdout is not None
        leader = Path(f"/proc/{int(booting.stdout.readline())}")
        group = re.search(r"hk-[0-9a-f]{12}", (leader / "cgroup").read_text())
        assert group is not None
        booting.send_signal(signal.SIGKILL)
    until(lambda: not leader.exists(), "the machine is gone")
    groups = [path for path in left_of(group[0]) if isinstance(path, Path) and path.name == group[0]]
    assert left_of(group[0]) == groups, "no process and no mount"
    for path in groups:  # empty names; whoever would have removed them was killed
        remove_control_group(path)


def test_a_command_that_fails_says_how(bare_machine: Machine) -> None:
    """Its words and its exit code are in the error, unless the code is asked for."""
    machine = bare_machine.start()
    with pytest.raises(AssertionError, match=r"exit 3(.|\n)*out(.|\n)*err"):
        machine.run("sh", "-c", "echo out; echo err >&2; exit 3")
    assert machine.run("sh", "-c", "exit 3", check=False).returncode == 3
    done = machine.run(
        "sh", "-c", "echo $WORD; pwd; id -un; cat", env={"WORD": "a b"}, cwd="/usr", user="daemon", stdin="c"
    )
    assert done.stdout == "a b\n/usr\ndaemon\nc"
