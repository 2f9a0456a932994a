"""Stacks on demand: of a process whose event loop is blocked, of its writer, of a process that somebody has stopped."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from support.recorder_process import until

from hk_tick_collector import diagnostics

if TYPE_CHECKING:
    from collections.abc import Iterator

# A recorder whose loop is blocked until its standard input ends, with a writer that only waits.
BLOCKED = """
import asyncio, subprocess, sys
import uvloop
from hk_tick_collector import diagnostics

WRITER = "import faulthandler, signal, sys; faulthandler.register(signal.SIGUSR1)\\ndef wait_as_writer():\\n" \
    "  print('ready', flush=True); sys.stdin.readline()\\nwait_as_writer()"

async def block_the_loop():
    writer = subprocess.Popen([sys.executable, "-c", WRITER], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    writer.stdout.readline()
    diagnostics.enable(asyncio.get_running_loop(), lambda: writer.pid)
    print("blocked", flush=True)
    sys.stdin.readline()
    print("free", flush=True)
    await asyncio.sleep(0.2)
    await asyncio.to_thread(sys.stdin.readline)
    writer.communicate()

diagnostics.enable_early()
with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
    runner.run(block_the_loop())
"""


def test_a_blocked_loop_shows_its_stacks_at_once_and_its_writers_later(tmp_path: object) -> None:
    """The handler is in C and needs no loop; the writer is asked when the loop runs again. Both go on."""
    log = os.path.join(str(tmp_path), "log")  # noqa: PTH118 - a path as Popen takes it
    with open(log, "wb") as stderr:  # noqa: PTH123
        process = subprocess.Popen(
            [sys.executable, "-c", BLOCKED], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=stderr
        )

    def said() -> str:
        with open(log, encoding="utf-8") as file:  # noqa: PTH123
            return file.read()

    assert process.stdin is not None
    assert process.stdout is not None
    assert process.stdout.readline() == b"blocked\n"
    process.send_signal(signal.SIGHUP)
    process.send_signal(signal.SIGUSR1)
    until(lambda: "in block_the_loop" in said(), "its own stacks")
    assert "wait_as_writer" not in said()
    process.stdin.write(b"\n")
    process.stdin.flush()
    until(lambda: "in wait_as_writer" in said(), "the writer's stacks")
    process.communicate(b"\n", timeout=60)
    assert process.returncode == 0, said()


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
    until(lambda: diagnostics.state_of(pid) == "S", "it sleeps")
    diagnostics.wake(pid)
    os.kill(pid, signal.SIGSTOP)
    until(lambda: diagnostics.state_of(pid) == "T", "it is stopped")
    diagnostics.wake(pid)
    until(lambda: diagnostics.state_of(pid) == "S", "it goes on")


def test_a_process_without_a_handler_is_left_alone(sleeper: subprocess.Popen[bytes]) -> None:
    """A writer that is just starting has none yet, and would die of the signal."""
    diagnostics.ask_for_stacks(sleeper.pid)
    assert sleeper.stdin is not None
    sleeper.stdin.write(b"\n")
    sleeper.stdin.flush()
    assert sleeper.wait(60) == 0


def test_a_process_that_is_gone_is_asked_for_nothing(sleeper: subprocess.Popen[bytes]) -> None:
    """Neither no process at all nor one that has ended is an error."""
    sleeper.kill()
    sleeper.wait()
    for pid in (None, sleeper.pid):
        diagnostics.ask_for_stacks(pid)
        diagnostics.wake(pid)
        assert diagnostics.state_of(pid) is None
