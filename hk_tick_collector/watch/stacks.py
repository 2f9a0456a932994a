"""Stacks of all threads of both processes, on demand: by `kill -USR1` of the recorder, or by the watchdog.

Owns how a process is made to dump them. A thread of its own waits for SIGUSR1, which all other threads block, so it
works even while the event loop is blocked. It holds the GIL while it dumps, so that no frame changes meanwhile: a
signal handler that walks the frames of running threads crashes now and then. It dumps once a second at most, and to
the log by way of memory, since standard error may be a pipe that is not read.

While a thread holds the GIL in a call that never returns, no other thread can dump. For that case there is a timer of
faulthandler, in C, which is reset again and again: if it is not reset for HELD_SEC, it dumps the stacks.
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
PAUSE_SEC: Final = 1.0  # between two dumps
_SIGUSR1: Final = {signal.SIGUSR1}


def hold_signal() -> None:
    """Block SIGUSR1. Call it before there is another thread: later threads inherit the mask."""
    signal.pthread_sigmask(signal.SIG_BLOCK, _SIGUSR1)


def enable(then: Callable[[], None] | None = None) -> None:
    """From now on faults and SIGUSR1 dump this process's stacks, and SIGHUP is ignored.

    Args:
        then: called after each dump on demand, in the thread that waits for SIGUSR1.
    """
    error = _unblocking_stderr()
    faulthandler.enable(error, all_threads=True)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    threading.Thread(target=_wait, args=(error, then), name="stacks", daemon=True).start()


def dump_own_stacks() -> None:
    """Write this process's stacks to the log. Does not wait for the log's reader."""
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
            pass  # fifty requests in a second give one dump


def _is_asked(timeout_sec: float) -> bool:
    """Whether SIGUSR1 came. After a SIGSTOP, Python may report a signal of another number that was never sent."""
    told = signal.sigtimedwait(_SIGUSR1, timeout_sec)
    return told is not None and told.si_signo == signal.SIGUSR1


def _unblocking_stderr() -> int:
    """Standard error whose writes never wait; 2 itself if that is neither pipe nor terminal, or can't be reopened."""
    try:
        if not stat.S_ISFIFO(os.fstat(2).st_mode) and not os.isatty(2):
            return 2
        return os.open("/proc/self/fd/2", os.O_WRONLY | os.O_APPEND | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:  # it can't be opened a second time
        return 2


def ask_for_stacks(pid: int | None) -> None:
    """Make the writer dump its stacks. Does nothing if it is gone, or not ready: the signal would kill it then."""
    if pid is not None and _blocks(pid, signal.SIGUSR1):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGUSR1)


def wake(pid: int | None) -> None:
    """Resume a process that is stopped (SIGSTOP): until then it can't dump its stacks."""
    if pid is not None and state_of(pid) == "T":
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGCONT)


def state_of(pid: int | None) -> str | None:
    """The kernel's letter for a process: R runs, S sleeps, D waits for a disk, T is stopped; None: it is gone."""
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[0]
    except OSError:
        return None


def _blocks(pid: int, number: signal.Signals) -> bool:
    """Whether the kernel reports a signal as blocked by a process's main thread: then it stays pending until taken."""
    try:
        status = Path(f"/proc/{pid}/status").read_text(encoding="utf-8")
    except OSError:
        return False
    blocked = status.partition("\nSigBlk:")[2].split()[0]
    return bool(int(blocked, 16) >> (number - 1) & 1)
