"""Stacks of all threads of both processes, on demand: `kill -USR1` of the recorder, or the watchdog.

Owns how a process is made to show them. Each process writes its own, with faulthandler, whose handler is in C: so it
works while the event loop is blocked, or a thread holds the interpreter in a call that never returns.
"""

from __future__ import annotations

import contextlib
import faulthandler
import os
import signal
from pathlib import Path
from typing import TYPE_CHECKING

from hk_tick_collector import logs

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable


def enable_early() -> None:
    """Before there is a loop: faults and SIGUSR1 dump this process, and SIGHUP ends nothing."""
    faulthandler.enable(all_threads=True)
    faulthandler.register(signal.SIGUSR1, all_threads=True)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)


def enable(loop: asyncio.AbstractEventLoop, writer_pid: Callable[[], int | None]) -> None:
    """From now on SIGUSR1 dumps this process at once, and the writer when the loop gets to it."""
    faulthandler.unregister(signal.SIGUSR1)
    loop.add_signal_handler(signal.SIGUSR1, lambda: ask_for_stacks(writer_pid()))
    faulthandler.register(signal.SIGUSR1, all_threads=True, chain=True)


def dump_own_stacks() -> None:
    """This process's, to the log."""
    logs.flush()  # their bytes must not stand in the middle of a line of ours
    faulthandler.dump_traceback(all_threads=True)


def ask_for_stacks(pid: int | None) -> None:
    """Have the writer write its own. One that is gone has none, and one that is just starting would die of it."""
    if pid is not None and _handles(pid, signal.SIGUSR1):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGUSR1)


def wake(pid: int | None) -> None:
    """Let a process go on that somebody has stopped (SIGSTOP): before that it can't show its stacks."""
    if pid is not None and state_of(pid) == "T":
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGCONT)


def state_of(pid: int | None) -> str | None:
    """The kernel's letter for a process: R runs, S sleeps, D waits for a disk, T is stopped; None: it is gone."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return None


def _handles(pid: int, number: signal.Signals) -> bool:
    """Whether a process has a handler of its own for a signal, by the kernel's word."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return False
    caught = status.partition("\nSigCgt:")[2].split()[0]
    return bool(int(caught, 16) >> (number - 1) & 1)
