"""Imports what commands need, then forks a process for each request, which runs one as `python -m` would.

    python warm_server.py SOCKET MODULE…

`support.warm` starts it and knows the protocol: a request is one message, JSON with three standard files and the write
end of a pipe. The answer is the pid; what the process ended with goes into the pipe. No thread runs here, and nothing
of ours has been called: all that a command does, it does in its own process.
"""

from __future__ import annotations

import contextlib
import json
import os
import runpy
import select
import signal
import socket
import sys
from importlib import import_module
from pathlib import Path
from typing import Any, Final

REQUEST_MAX: Final = 1 << 17
STANDARD_FILES: Final = 3
NUMBER_BYTES: Final = 4


def serve(control: socket.socket) -> dict[str, Any]:
    """Fork on request, and tell how each process ended. Returns in each of them, with what it has to run."""
    ends: dict[int, tuple[int, int]] = {}  # a process's pidfd → its pid, and the pipe for its status
    poll = select.poll()
    poll.register(control, select.POLLIN)
    while True:
        for number, _ in poll.poll():
            if number != control.fileno():
                poll.unregister(number)
                pid, pipe = ends.pop(number)
                os.write(pipe, os.waitpid(pid, 0)[1].to_bytes(NUMBER_BYTES, "little"))
                os.close(pipe)
                os.close(number)
                continue
            message, files, _, _ = socket.recv_fds(control, REQUEST_MAX, STANDARD_FILES + 1)
            if not message:  # whoever asked is gone: what it has not ended ends now
                for child, _ in ends.values():
                    os.kill(child, signal.SIGKILL)
                sys.exit()
            pid = os.fork()
            asked: dict[str, Any] = json.loads(message)
            if pid == 0:
                for file in (*ends, *(pipe for _, pipe in ends.values()), files.pop(), control.detach()):
                    os.close(file)
                begin(asked, files)
                return asked
            pidfd = os.pidfd_open(pid)
            ends[pidfd] = pid, files.pop()
            poll.register(pidfd, select.POLLIN)
            for file in files:
                os.close(file)
            control.sendall(pid.to_bytes(NUMBER_BYTES, "little"))


def begin(asked: dict[str, Any], files: list[int]) -> None:
    """Make this process what it would be if it had been started: its files, directory, environment and arguments."""
    for number, file in enumerate(files):
        os.dup2(file, number)
        os.close(file)
    os.chdir(asked["cwd"])
    coerced = {name: os.environ[name] for name in ("LC_CTYPE",) if name in os.environ}  # by Python, without a locale
    os.environ.clear()
    os.environ.update(coerced | asked["env"])
    sys.argv[1:] = asked["words"]
    sys.path[0] = asked["cwd"]
    if path := os.environ.get("PYTHONPATH"):
        sys.path[1:1] = path.split(os.pathsep)
        sys.modules.pop("sitecustomize", None)
        with contextlib.suppress(ModuleNotFoundError):
            import_module("sitecustomize")  # as Python does at its start


def main() -> None:
    """Serve until nobody asks; in a forked process, run its command."""
    control = socket.socket(fileno=int(sys.argv[1]))
    sys.path[0] = str(Path.cwd())
    for name in sys.argv[2:]:
        import_module(name)
    asked = serve(control)
    if "file" in asked:
        runpy.run_path(asked["file"], run_name="__main__")
        return
    name = asked["module"]
    if not hasattr(sys.modules.get(name), "__path__"):
        sys.modules.pop(name, None)  # as `python -m` runs it: once more, under another name
    sys.modules.pop(f"{name}.__main__", None)
    runpy.run_module(name, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
