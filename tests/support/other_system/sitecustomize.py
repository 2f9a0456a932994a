"""Found by every Python that has this directory in its PYTHONPATH: takes away what macOS or Windows lacks.

OTHER_SYSTEM is what `sys.platform` says to the project's modules: "darwin" or "win32"; "linux" takes nothing away. The
modules then also lack what that system's `os`, `signal`, `socket` and `time` lack, and can't import what is not there.
/proc is gone for the whole process. Python's own modules and the libraries keep their Linux: they have a version of
their own for each system, and this one is not a Windows. NOW_MS sets and stops the wall clock, so that two runs print
the same ages.
"""

from __future__ import annotations

import builtins
import os
import signal
import socket
import sys
import time
import types
from typing import Any, Final

SYSTEM: Final = os.environ["OTHER_SYSTEM"]
OWN: Final = "hk_tick_collector"

# uvloop has wheels for macOS, but the project asks for it on Linux only.
MISSING_MODULES: Final = {
    "darwin": {"uvloop"},
    "win32": {
        "uvloop", "fcntl", "termios", "resource", "pwd", "grp", "pty", "tty", "syslog", "posix", "readline", "curses",
    },
}  # fmt: skip
_NOT_ON_MACOS: Final = {
    "os": {
        "O_DIRECT", "O_TMPFILE", "copy_file_range", "fdatasync", "getresuid", "memfd_create", "pidfd_open",
        "posix_fadvise", "posix_fallocate", "sched_getaffinity", "sched_setaffinity", "setns", "unshare",
    },
    "signal": {"sigtimedwait", "sigwaitinfo", "pidfd_send_signal", "SIGRTMIN", "SIGRTMAX", "SIGPWR"},
    "socket": {"SOCK_CLOEXEC", "SOCK_NONBLOCK", "TCP_USER_TIMEOUT", "TCP_KEEPIDLE", "SO_PEERCRED"},
    "time": {"CLOCK_BOOTTIME"},
}  # fmt: skip
_NOT_ON_WINDOWS: Final = {
    "os": {
        "O_CLOEXEC", "O_DIRECTORY", "O_DSYNC", "O_NOCTTY", "O_NOFOLLOW", "O_NONBLOCK", "O_SYNC", "WNOHANG", "chown",
        "fchmod", "fchown", "fork", "forkpty", "getegid", "geteuid", "getgid", "getgroups", "getloadavg", "getpgid",
        "getpriority", "getsid", "getuid", "initgroups", "killpg", "lchown", "lockf", "mkfifo", "nice",
        "openpty", "posix_spawn", "pread", "preadv", "pwrite", "pwritev", "readv", "sendfile", "setpriority", "setsid",
        "setuid", "statvfs", "fstatvfs", "sync", "ttyname", "uname", "wait", "waitid", "wait3", "wait4", "writev",
    },
    "signal": {
        "SIGALRM", "SIGCHLD", "SIGCONT", "SIGHUP", "SIGKILL", "SIGPIPE", "SIGQUIT", "SIGSTOP", "SIGTSTP", "SIGUSR1",
        "SIGUSR2", "SIG_BLOCK", "SIG_UNBLOCK", "alarm", "pthread_kill", "pthread_sigmask", "setitimer", "sigpending",
        "sigwait",
    },
    "socket": {"AF_UNIX", "sendmsg", "recvmsg"},
    "time": {"clock_gettime", "clock_gettime_ns", "tzset", "CLOCK_MONOTONIC", "CLOCK_REALTIME"},
}  # fmt: skip
MISSING: Final[dict[str, dict[str, set[str]]]] = {
    "darwin": _NOT_ON_MACOS,
    "win32": {module: _NOT_ON_MACOS[module] | names for module, names in _NOT_ON_WINDOWS.items()},
}


class Part(types.ModuleType):
    """A module without some of its names, or with others."""

    def __init__(self, whole: types.ModuleType, missing: set[str], **other: object) -> None:
        super().__init__(whole.__name__)
        self.__dict__.update(other)
        self._whole = whole
        self._missing = missing

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - whatever the module has
        if name in self._missing:
            raise AttributeError(f"module {self.__name__!r} has no attribute {name!r} on {SYSTEM}")
        return getattr(self._whole, name)


def _take_modules_away() -> None:
    parts = {module.__name__: Part(module, MISSING[SYSTEM][module.__name__]) for module in (os, signal, socket, time)}
    parts["sys"] = Part(sys, set(), platform=SYSTEM)
    parts["os"].__dict__["name"] = "nt" if SYSTEM == "win32" else "posix"
    whole = builtins.__import__

    def importer(name: str, *args: Any, **kwargs: Any) -> Any:  # noqa: ANN401 - as Python's own
        names = args[0] if args else kwargs.get("globals")
        by = str((names or {}).get("__name__", "")).partition(".")[0]
        if name.partition(".")[0] in MISSING_MODULES[SYSTEM] and by not in sys.stdlib_module_names:
            raise ModuleNotFoundError(f"No module named {name!r} on {SYSTEM}", name=name)
        found = whole(name, *args, **kwargs)
        return parts.get(name, found) if by == OWN else found

    builtins.__import__ = importer


def _take_proc_away() -> None:
    def is_proc(path: object) -> bool:
        return isinstance(path, str | bytes | os.PathLike) and os.fsdecode(path).startswith("/proc")

    def hook(event: str, args: tuple[Any, ...]) -> None:
        if event in {"open", "os.listdir", "os.scandir"} and is_proc(args[0]):
            raise FileNotFoundError(2, f"No such file or directory on {SYSTEM}", args[0])

    sys.addaudithook(hook)
    for name in ("stat", "lstat", "readlink", "access"):
        os.__dict__[name] = _without_proc(os.__dict__[name], is_proc)


def _without_proc(function: Any, is_proc: Any) -> Any:  # noqa: ANN401 - functions of os
    def guarded(path: Any, *args: Any, **kwargs: Any) -> Any:  # noqa: ANN401 - as the function
        if is_proc(path):
            raise FileNotFoundError(2, f"No such file or directory on {SYSTEM}", path)
        return function(path, *args, **kwargs)

    return guarded


if "NOW_MS" in os.environ:
    _now_ns: Final = int(os.environ["NOW_MS"]) * 1_000_000
    time.time_ns = lambda: _now_ns
    time.time = lambda: _now_ns / 1e9
if SYSTEM != "linux":
    _take_modules_away()
    _take_proc_away()
