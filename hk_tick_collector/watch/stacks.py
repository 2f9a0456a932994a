"""Stacks of all threads of both processes, on demand: `kill -USR1` of the recorder, or the watchdog.

Owns how a process is made to show them. A thread of its own waits for SIGUSR1, which all others have blocked: so it
works while the event loop is blocked. It holds the interpreter while it looks, so that no frame changes meanwhile, and
does so once a second at most: a handler that walks the frames of running threads crashes now and then. What it sees
goes to the log by way of memory, since standard error may be a pipe that nobody reads.

Where a thread holds the interpreter in a call that never returns, no other one can look. For that there is a timer of
faulthandler, in C, which is set anew again and again: it shows the stacks when nobody did so for HELD_SEC.
"""

from __future__ import annotations

import contextlib
import faulthandler
import os
import signal
import stat
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

from hk_tick_collector import logs

if TYPE_CHECKING:
    from collections.abc import Callable

HELD_SEC: Final = 30.0
SET_EVERY_SEC: Final = 5.0
PAUSE_SEC: Final = 1.0  # between two pictures
_SIGUSR1: Final = {signal.SIGUSR1}


def hold_signal() -> None:
    """Block SIGUSR1. To be called before there is another thread: those to come inherit it."""
    signal.pthread_sigmask(signal.SIG_BLOCK, _SIGUSR1)


def enable(then: Callable[[], None] | None = None) -> None:
    """From now on faults and SIGUSR1 show this process's stacks, and SIGHUP ends nothing.

    Args:
        then: what is done after each picture on demand, in the thread that waits for it.
    """
    error = _unblocking_stderr()
    faulthandler.enable(error, all_threads=True)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    threading.Thread(target=_wait, args=(error, then), name="stacks", daemon=True).start()


def dump_own_stacks() -> None:
    """This process's, to the log. Does not wait for whoever reads that."""
    file = os.memfd_create("stacks")
    try:
        faulthandler.dump_traceback(file, all_threads=True)
        logs.write(os.pread(file, os.fstat(file).st_size, 0).decode(errors="replace"))
    finally:
        os.close(file)


def _wait(error: int, then: Callable[[], None] | None) -> None:
    while True:
        faulthandler.dump_traceback_later(HELD_SEC, file=error)
        if not _is_asked(SET_EVERY_SEC):
            continue
        dump_own_stacks()
        if then is not None:
            then()
        time.sleep(PAUSE_SEC)
        while _is_asked(0):
            pass  # whoever asks fifty times a second gets one picture


def _is_asked(timeout_sec: float) -> bool:
    """Whether SIGUSR1 came. After a stop Python may tell of a signal that nobody has sent, of another number."""
    told = signal.sigtimedwait(_SIGUSR1, timeout_sec)
    return told is not None and told.si_signo == signal.SIGUSR1


def _unblocking_stderr() -> int:
    """Standard error, but a write never waits; as it is where that would be another place, or can't be had."""
    try:
        if not stat.S_ISFIFO(os.fstat(2).st_mode) and not os.isatty(2):
            return 2
        return os.open("/proc/self/fd/2", os.O_WRONLY | os.O_APPEND | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:  # a socket, such as the journal's
        return 2


def ask_for_stacks(pid: int | None) -> None:
    """Have the writer write its own. One that is gone has none, and one that is not ready would die of it."""
    if pid is not None and _blocks(pid, signal.SIGUSR1):
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


def _blocks(pid: int, number: signal.Signals) -> bool:
    """Whether a process's main thread has a signal blocked, by the kernel's word: then it takes it when it is ready."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return False
    blocked = status.partition("\nSigBlk:")[2].split()[0]
    return bool(int(blocked, 16) >> (number - 1) & 1)
