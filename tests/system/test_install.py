"""scripts/install.sh under a real systemd: what it asks, what it makes, and that a second run makes nothing."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

import pytest
from support.machine import APP, ENV_FILE, UNIT
from support.machine_service import MachineRecorder, MachineSimulator

if TYPE_CHECKING:
    from subprocess import CompletedProcess

    from support.machine import Machine

pytestmark = [pytest.mark.system, pytest.mark.timeout(180)]

SCRIPT: Final = f"{APP}/scripts/install.sh"
EXAMPLE: Final = ("HK.00700", "HK.00005")  # what deploy/hk-tick-collector.env.example names
# All that it makes, in this order; the environment is there already.
MADE: Final = (
    "/etc/sysusers.d/hk-tick-collector.conf",
    ENV_FILE,
    f"/etc/systemd/system/{UNIT}",
    "/usr/local/bin/hk-tick-collector",
    "/etc/profile.d/hk-tick-collector.sh",
)


@pytest.fixture
def fresh(bare_machine: Machine) -> Machine:
    """A machine with the project's files and nothing installed."""
    bare_machine.install_project(units=False)
    return bare_machine.start()


def install(machine: Machine, *options: str, answers: str = "", script: str = SCRIPT) -> CompletedProcess[str]:
    """Run it as root, as an operator does; it may fail."""
    return machine.run("bash", script, *options, stdin=answers, check=False)


def questions(done: CompletedProcess[str]) -> list[str]:
    """The commands that it showed."""
    return re.findall(r"^    (?!do it)(.+)$", done.stdout, re.MULTILINE)


def is_there(machine: Machine, path: str) -> bool:
    """Whether a file, or a link that leads nowhere for us, is there."""
    return machine.run("test", "-e", path, check=False).returncode == 0


def test_it_installs_what_is_missing_and_nothing_else(fresh: Machine) -> None:
    """A dry run changes nothing; what is declined is offered again; a second run changes and restarts nothing."""
    machine = fresh
    dry = install(machine, "--dry-run")
    commands = questions(dry)
    assert dry.returncode == 0, dry
    assert dry.stdout.splitlines()[-1] == f"dry run: {len(commands)} changes to make, none was made"
    assert commands[-1] == "systemctl start --no-block hk-tick-collector"
    assert not [path for path in MADE if is_there(machine, path)]

    asked = install(machine, answers="y\n" * (len(commands) - 1) + "n\n")
    assert (asked.returncode, asked.stderr) == (0, ""), asked
    # The data directory is one of the test's own, so it is there.
    assert questions(asked) == commands
    assert asked.stdout.splitlines()[-1].endswith(
        f"changes made: {len(commands) - 1}, left out: 1; run it again for those"
    )
    assert [path for path in MADE if not is_there(machine, path)] == []
    assert machine.run("stat", "--format=%a %U:%G", ENV_FILE).stdout == "640 root:hk-tick\n"
    assert machine.show(UNIT, "ActiveState", "UnitFileState") == {"ActiveState": "inactive", "UnitFileState": "enabled"}

    with MachineSimulator(machine, "--now", "--hold", "--symbols", ",".join(EXAMPLE)) as simulator:
        started = install(machine, "--yes")
        assert (started.returncode, questions(started)) == (0, commands[-1:]), started
        assert "the recorder: recording 2 symbols" in started.stdout
        recorder = MachineRecorder(machine, simulator.port, EXAMPLE, is_configured=True)
        pid = recorder.look()
        again = install(machine, "--yes")
        assert (again.returncode, again.stderr) == (0, "")
        assert again.stdout == "nothing to change: it is installed, and the recorder is active\n"

        unit = machine.path(f"/etc/systemd/system/{UNIT}").read_text()
        machine.write(f"/etc/systemd/system/{UNIT}", f"# of before\n{unit}")
        machine.write(ENV_FILE, "FUTU_SYMBOLS=HK.00700\n", 0o640)
        replaced = install(machine, "--yes")
        assert "\n-# of before\n" in replaced.stdout
        assert "the recorder runs on with the old unit" in replaced.stdout
        assert machine.path(f"/etc/systemd/system/{UNIT}").read_text() == unit
        assert machine.path(f"/etc/systemd/system/{UNIT}.before").read_text() == f"# of before\n{unit}"
        assert machine.path(ENV_FILE).read_text() == "FUTU_SYMBOLS=HK.00700\n"
        assert recorder.look() == pid
        assert machine.show(UNIT, "NRestarts") == {"NRestarts": "0"}
        recorder.settle_whole(simulator)


def test_what_it_can_t_do_is_one_line_with_the_cure(fresh: Machine) -> None:
    """Refused before anything is touched; and a recorder that does not start is told with the setting that is wrong."""
    machine = fresh
    machine.copy_in(machine.path(f"{APP}/scripts"), "/srv/elsewhere/scripts")
    machine.write("/usr/local/bin/python9", "#!/bin/sh\nexit 1\n", 0o755)
    no_python = "install: no Python of 3.11 or later among python9: apt-get install python3"
    for options, said in (
        ({"user": "daemon"}, f"install: needs root: sudo {SCRIPT} (or --dry-run, to see what it would do)\n"),
        (
            {"script": "/srv/elsewhere/scripts/install.sh"},
            f"install: the unit expects the project in {APP}, and this is /srv/elsewhere: clone it there\n",
        ),
        (
            {"env": {"PYTHON": "python9"}},
            f"{no_python} (Debian 12, Ubuntu 24.04 or later), or PYTHON=/path/to/python3 {SCRIPT}\n",
        ),
        ({"stdin": ""}, "install: no answer: run it in a terminal, or with --yes\n"),
    ):
        given = {"script": SCRIPT, **options}
        done = machine.run("bash", given.pop("script"), check=False, **given)  # type: ignore[arg-type]
        assert (done.returncode, done.stderr) == (2, said)
    assert not [path for path in MADE if is_there(machine, path)]

    machine.write(ENV_FILE, "FUTU_SYMBOLS=HK.00700\nBATCH_SIZE=many\n")
    done = install(machine, "--yes")
    assert done.returncode == 1, done
    assert re.fullmatch(r"install: the recorder did not start: hk-tick-collector: .*BATCH_SIZE.*\n", done.stderr), done
