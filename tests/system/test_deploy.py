"""Deploys under a real systemd, while a simulated OpenD trades: what comes into service, what comes back, what is lost.

The machine has a git checkout of the project in the place where the documents have it, and other versions of it in an
origin. There is no network, so INSTALL_COMMAND makes the environments from the one that is there.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

import pytest
from support.machine import APP, DATA_ROOT, PYTHON, ROOT, UNIT, Machine
from support.machine_service import MachineRecorder, MachineSimulator
from support.recorder_process import until

from hk_tick_collector import __version__
from hk_tick_collector.simulator.universe import universe

if TYPE_CHECKING:
    from collections.abc import Callable
    from subprocess import CompletedProcess

    from hk_tick_collector.simulator.verdict import Verdict

    Simulate = Callable[..., MachineSimulator]

pytestmark = [pytest.mark.system, pytest.mark.timeout(300)]

SYMBOLS: Final = universe(5, 0)
RATE: Final = 40.0  # a second, all symbols: GetTicker's 1000 a symbol reach back some two minutes of it
ORIGIN: Final = "/srv/origin"
GOOD: Final = "9.9.1"
DEPLOY_TIMEOUT_SEC: Final = 200.0

# No network: an environment is a copy of the one that is installed, which finds the program beside itself.
INSTALL: Final = (
    f"[ -d .venv ] || cp -a {APP}/.venv .venv;"
    ' for file in .venv/lib/*/site-packages/machine.pth; do sed -i "1s|.*|$PWD|" "$file"; done'
)
QUICK: Final = {
    "INSTALL_COMMAND": INSTALL,
    "TEST_COMMAND": """.venv/bin/python -c 'import os, hk_tick_collector as p; assert os.getcwd() in p.__file__'""",
    "ALLOW_OPEN_MARKET": "1",  # the simulated market never closes
    "ACCEPT_SEC": "2",
    "VERIFY_WAIT_SEC": "60",
    "START_TIMEOUT_SEC": "60",
}

# A version that starts, connects, journals and tells systemd that it records, and whose writer stores nothing at all.
BAD_WRITER: Final = """

def run(settings, parent):
    from hk_tick_collector.writer.pipe import send

    send({"event": "ready", "pid": os.getpid()})
    while parent.stopped_at is None:
        send({"event": "alive"})
        parent.wait(0.5)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
"""


@pytest.fixture
def checkout(machine: Machine) -> Machine:
    """The machine, with its installation made a checkout of `main`, and an origin."""
    machine.write(f"{APP}/.gitignore", (ROOT / ".gitignore").read_text())
    git(machine, APP, "init", "--quiet", "--initial-branch=main")
    commit(machine, APP, "as it is")
    machine.run("git", "clone", "--quiet", "--no-hardlinks", APP, ORIGIN)
    git(machine, APP, "remote", "add", "origin", ORIGIN)
    git(machine, APP, "fetch", "--quiet")
    return machine


def git(machine: Machine, where: str, *arguments: str) -> str:
    """Git in a directory of the machine's; what it says."""
    identity = ("-c", "user.name=Test", "-c", "user.email=test@example.invalid")
    return machine.run("git", *identity, "-C", where, *arguments).stdout.strip()


def commit(machine: Machine, where: str, words: str) -> None:
    """Commit all."""
    git(machine, where, "add", "--all")
    git(machine, where, "commit", "--quiet", "--message", words)


def release(machine: Machine, version: str, **changed: str) -> None:
    """A new version on the origin's main: its number, and a comment in the unit, and files by their new text."""
    for path, old, new in (
        ("hk_tick_collector/__init__.py", f'"{__version__}"', f'"{version}"'),
        (f"deploy/{UNIT}", "[Unit]\n", f"# {version}\n[Unit]\n"),
    ):
        text = machine.path(f"{ORIGIN}/{path}").read_text()
        assert old in text, path
        machine.write(f"{ORIGIN}/{path}", text.replace(old, new, 1))
    for name, text in changed.items():
        machine.write(f"{ORIGIN}/hk_tick_collector/{name}.py", text)
    commit(machine, ORIGIN, version)


def deploy(machine: Machine, name: str = "redeploy", **env: str) -> CompletedProcess[str]:
    """Run a script as root, as an operator does; it may fail."""
    script = f"{APP}/scripts/{name}_hk_tick_collector.sh"
    return machine.run("bash", script, env={**QUICK, **env}, check=False, timeout_sec=DEPLOY_TIMEOUT_SEC)


def said(done: CompletedProcess[str]) -> str:
    """All of it, for a message."""
    return f"exit {done.returncode}\n{done.stdout}\n{done.stderr}"


def running_version(recorder: MachineRecorder, machine: Machine) -> str:
    """The version of the process that runs, by its own word, while systemd says that it is up."""
    shown = machine.wait_for(UNIT, ActiveState="^active$", MainPID="^[1-9]")
    state = recorder.state()
    assert state["pid"] == int(shown["MainPID"])
    return str(state["version"])


def assert_nothing_lost(recorder: MachineRecorder, simulator: MachineSimulator) -> Verdict:
    """Over all restarts: each tick that the simulator made is stored once, and its ledger explains nothing away."""
    verdict = recorder.settle_whole(simulator)
    assert verdict.unreachable == 0, verdict
    return verdict


def assert_all_is_the_recorders(machine: Machine) -> None:
    """What root has done there has left no file that the recorder could not open."""
    assert machine.run("find", DATA_ROOT, "!", "-user", "hk-tick").stdout == ""


def test_a_good_deploy_comes_into_service_and_loses_nothing(checkout: Machine, simulate: Simulate) -> None:
    """Not while the market trades, nor what runs already; else it is accepted, and fetches what came meanwhile."""
    simulator = simulate(rate=RATE)
    recorder = MachineRecorder(checkout, simulator.port, SYMBOLS).start()
    recorder.wait_for("backfill_done")
    done = deploy(checkout)
    assert (done.returncode, done.stdout.count("nothing to deploy: ")) == (0, 1), said(done)
    release(checkout, GOOD)
    until(lambda: recorder.state()["market"]["source"] == "opend", "OpenD's word has been reported")
    done = deploy(checkout, ALLOW_OPEN_MARKET="0")
    assert done.returncode == 2, said(done)
    refused = "Hong Kong trades (OpenD says MORNING), and a restart may lose ticks: wait until 16:15 in Hong Kong"
    assert refused in done.stderr.splitlines()[-1], said(done)
    assert len(recorder.log_lines("recorder_started")) == 1
    done = deploy(checkout)
    assert done.returncode == 0, said(done)
    steps = re.findall(r"^\S+Z (\d)/9: ([^\n,]+)", done.stdout, re.MULTILINE)
    assert [words.split()[0] for _, words in steps] == [
        *("stop", "git", "install", "run", "repair", "install", "start", "collect", "verify")
    ]
    assert running_version(recorder, checkout) == GOOD
    assert checkout.path(f"/etc/systemd/system/{UNIT}").read_text().startswith("# The recorder")
    assert f"# {GOOD}\n" in checkout.systemctl("cat", UNIT)
    assert "max_minus_now_sec=" in done.stdout
    assert "accepted\n" in done.stdout
    assert len(recorder.log_lines("recorder_started")) == 2
    done = deploy(checkout)
    assert (done.returncode, done.stdout.count("nothing to deploy: ")) == (0, 1), said(done)
    assert len(recorder.log_lines("recorder_started")) == 2
    assert_nothing_lost(recorder, simulator)


def test_a_version_that_fails_acceptance_comes_back_to_the_old_one(checkout: Machine, simulate: Simulate) -> None:
    """It says READY and stores nothing: the old version and its unit come back, verified, and all ticks are stored."""
    simulator = simulate(rate=RATE)
    recorder = MachineRecorder(checkout, simulator.port, SYMBOLS).start()
    recorder.wait_for("backfill_done")
    before, unit = git(checkout, APP, "rev-parse", "HEAD"), checkout.systemctl("cat", UNIT)
    writer = (ROOT / "hk_tick_collector/writer/__main__.py").read_text()
    head, main, _ = writer.partition('\n\nif __name__ == "__main__":\n')
    assert main
    release(checkout, "9.9.2", **{"writer/__main__": head + BAD_WRITER})
    done = deploy(checkout, VERIFY_WAIT_SEC="15")
    assert done.returncode == 1, said(done)
    # The fault really happened: the new version was up, journaled, and missed its target.
    assert 'version="9.9.2"' in checkout.journal(UNIT) or "version=9.9.2" in checkout.journal(UNIT)
    assert 'failed at "9/9: verify"' in done.stderr, said(done)
    assert re.search(r"NOT OK: .*rows: (\d+) → \1 ", done.stdout), said(done)
    assert "rolled back to" in done.stderr.splitlines()[-1], said(done)

    assert running_version(recorder, checkout) == __version__
    assert git(checkout, APP, "rev-parse", "HEAD") == before
    assert git(checkout, APP, "status", "--porcelain") == ""
    assert checkout.systemctl("cat", UNIT) == unit
    assert checkout.systemctl("show", UNIT, "--property=NeedDaemonReload", "--value").strip() == "no"
    assert len(recorder.log_lines("recorder_started")) == 3
    assert_nothing_lost(recorder, simulator)


def test_a_version_that_does_not_start_comes_back_and_can_be_rolled_back_by_hand(
    checkout: Machine, simulate: Simulate
) -> None:
    """A bug at the start rolls back by itself, an accepted deploy by hand; the files stay the recorder's own."""
    simulator = simulate(rate=RATE)
    recorder = MachineRecorder(checkout, simulator.port, SYMBOLS).start()
    recorder.wait_for("backfill_done")
    before = git(checkout, APP, "rev-parse", "HEAD")
    release(checkout, GOOD)
    good = git(checkout, ORIGIN, "rev-parse", "HEAD")
    checkout.write(f"{ORIGIN}/hk_tick_collector/watch/liveness.py", "raise RuntimeError('a bug')\n")
    commit(checkout, ORIGIN, "a bug")
    done = deploy(checkout, SMOKE_COMMAND="true")
    assert done.returncode == 1, said(done)
    assert 'failed at "7/9: start service"' in done.stderr, said(done)
    assert running_version(recorder, checkout) == __version__

    done = deploy(checkout, TARGET_REF=good)
    assert done.returncode == 0, said(done)
    assert running_version(recorder, checkout) == GOOD
    done = deploy(checkout, "rollback", ROLLBACK_REF=before)
    assert done.returncode == 0, said(done)
    assert running_version(recorder, checkout) == __version__
    assert "accepted\n" in done.stdout

    assert_all_is_the_recorders(checkout)
    assert_nothing_lost(recorder, simulator)


def test_a_deploy_while_opend_is_away_is_refused(checkout: Machine, simulate: Simulate) -> None:
    """By the recorder's own word, before it is stopped; who insists ends with the old version back, waiting."""
    simulator = simulate(rate=RATE)
    recorder = MachineRecorder(checkout, simulator.port, SYMBOLS).start()
    recorder.wait_for("backfill_done")
    release(checkout, GOOD)
    simulator.stop()
    until(lambda: not recorder.state()["session"]["connected"], "the recorder has noticed")
    done = deploy(checkout)
    assert done.returncode == 2, said(done)
    assert "OpenD not connected (" in done.stderr.splitlines()[-1], said(done)
    assert len(recorder.log_lines("recorder_started")) == 1
    done = deploy(checkout, ALLOW_NO_OPEND="1", START_TIMEOUT_SEC="8")
    assert done.returncode == 1, said(done)
    assert 'failed at "7/9: start service"' in done.stderr, said(done)
    assert "the old version is back and waits for OpenD" in done.stderr.splitlines()[-1], said(done)
    assert checkout.wait_for(UNIT, SubState="start")["SubState"] == "start"
    assert recorder.state()["version"] == __version__
    simulator.start()
    assert running_version(recorder, checkout) == __version__
    assert deploy(checkout).returncode == 0


def test_verify_tells_a_good_recorder_from_a_stopped_one(checkout: Machine, simulate: Simulate) -> None:
    """By systemd's journal and the writer's own words: 0 while it records, 1 once it is stopped."""
    simulator = simulate(rate=RATE)
    recorder = MachineRecorder(checkout, simulator.port, SYMBOLS).start()
    recorder.wait_for("backfill_done")
    done = deploy(checkout, "verify", SINCE="10m")
    assert done.returncode == 0, said(done)
    assert "busy_timeout_source=the writer's line sqlite_pragmas of " in done.stdout
    assert f"watchdog_source=journal of {UNIT}" in done.stdout
    assert "unit_restarts=0\n" in done.stdout
    assert "WATCHDOG lines" not in done.stdout.splitlines()[-1]
    assert done.stdout.splitlines()[-1].startswith("accepted"), said(done)
    command = (PYTHON, "-m", "hk_tick_collector.cli.app", "verify", "--json")
    verified = checkout.run(*command, env={"DATA_ROOT": DATA_ROOT})
    assert '"accepted": true' in verified.stdout
    assert recorder.stop() == 0
    done = deploy(checkout, "verify", DATA_ROOT=DATA_ROOT, WAIT_SEC="0")
    assert done.returncode == 1, said(done)
    last = done.stdout.splitlines()[-1]
    started = "Start it: `systemctl start hk-tick-collector`"
    assert last.startswith(f"NOT OK: no recorder is running on {DATA_ROOT}. {started}"), said(done)
    script = f"{APP}/scripts/verify_hk_tick_collector.sh"
    done = checkout.run("bash", script, env={"DATA_ROOT": DATA_ROOT}, check=False, user="hk-tick")
    assert done.returncode == 2, said(done)
    assert done.stderr.count("\n") == 1, said(done)
    assert done.stderr.endswith("run it with sudo, or as a member of systemd-journal\n"), said(done)
    assert_all_is_the_recorders(checkout)
