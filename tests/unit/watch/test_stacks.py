"""Stacks on demand: of a process whose event loop is blocked, of its writer, of a process that somebody has stopped."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from support.recorder_process import until

from hk_tick_collector.watch import stacks

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

# A recorder whose loop is blocked until its standard input ends, with a writer that only waits.
BLOCKED = """
import asyncio, subprocess, sys
import uvloop
from hk_tick_collector.watch import stacks

WRITER = "import sys\\nfrom hk_tick_collector.watch import stacks\\nstacks.hold_signal(); stacks.enable()\\n" \
    "def wait_as_writer():\\n  print('ready', flush=True); sys.stdin.readline()\\nwait_as_writer()"

async def block_the_loop():
    print("blocked", flush=True)
    sys.stdin.readline()

stacks.hold_signal()
writer = subprocess.Popen([sys.executable, "-c", WRITER], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
writer.stdout.readline()
stacks.enable(lambda: stacks.ask_for_stacks(writer.pid))
with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
    runner.run(block_the_loop())
writer.communicate()
"""

# A process whose interpreter a thread holds in a call that takes for ever.
HELD = """
import re, sys
from hk_tick_collector.watch import stacks

stacks.HELD_SEC, stacks.SET_EVERY_SEC = 0.5, 0.1
stacks.hold_signal()
stacks.enable()
print("ready", flush=True)
def hold_the_interpreter():
    re.match("(a+)+$", "a" * 40 + "b")
hold_the_interpreter()
"""


@pytest.mark.parametrize("signals", [1, 50])
def test_a_blocked_loop_shows_its_stacks_and_its_writers(tmp_path: Path, signals: int) -> None:
    """A thread of its own does it, and needs no loop. However often it is asked, it shows one picture a second."""
    log = tmp_path / "log"
    with log.open("wb") as stderr:
        process = subprocess.Popen(
            [sys.executable, "-c", BLOCKED], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=stderr
        )
    assert process.stdout is not None
    assert process.stdout.readline() == b"blocked\n"
    process.send_signal(signal.SIGHUP)
    for _ in range(signals):
        process.send_signal(signal.SIGUSR1)
    until(lambda: "in block_the_loop" in log.read_text(), "its own stacks")
    until(lambda: "in wait_as_writer" in log.read_text(), "the writer's stacks")
    process.communicate(b"\n", timeout=60)
    assert process.returncode == 0, log.read_text()
    assert 1 <= log.read_text().count("in block_the_loop") <= 2


def test_an_interpreter_that_is_held_shows_its_stacks_by_itself(tmp_path: Path) -> None:
    """No thread of Python can look; a timer in C does, when none has set it anew for long."""
    log = tmp_path / "log"
    with log.open("wb") as stderr:
        process = subprocess.Popen([sys.executable, "-c", HELD], stdout=subprocess.PIPE, stderr=stderr)
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        until(lambda: "in hold_the_interpreter" in log.read_text(), "its stacks")
        assert process.poll() is None
    finally:
        process.kill()
        process.communicate()


@pytest.fixture
def sleeper() -> Iterator[subprocess.Popen[bytes]]:
    """A process that does nothing."""
    process = subprocess.Popen([sys.executable, "-c", "print(flush=True); input()"], stdin=-1, stdout=-1)
    assert process.stdout is not None
    process.stdout.readline()
    yield process
    process.kill()
    process.communicate()


def test_a_stopped_process_is_woken_and_a_running_one_left_alone(sleeper: subprocess.Popen[bytes]) -> None:
    """Its state is known by the kernel's letter, and SIGCONT ends a stop."""
    pid = sleeper.pid
    until(lambda: stacks.state_of(pid) == "S", "it sleeps")
    stacks.wake(pid)
    os.kill(pid, signal.SIGSTOP)
    until(lambda: stacks.state_of(pid) == "T", "it is stopped")
    stacks.wake(pid)
    until(lambda: stacks.state_of(pid) == "S", "it goes on")


def test_a_process_without_a_handler_is_left_alone(sleeper: subprocess.Popen[bytes]) -> None:
    """A writer that is just starting has none yet, and would die of the signal."""
    stacks.ask_for_stacks(sleeper.pid)
    assert sleeper.stdin is not None
    sleeper.stdin.write(b"\n")
    sleeper.stdin.flush()
    assert sleeper.wait(60) == 0


def test_a_process_that_is_gone_is_asked_for_nothing(sleeper: subprocess.Popen[bytes]) -> None:
    """Neither no process at all nor one that has ended is an error."""
    sleeper.kill()
    sleeper.wait()
    for pid in (None, sleeper.pid):
        stacks.ask_for_stacks(pid)
        stacks.wake(pid)
        assert stacks.state_of(pid) is None
