"""Our own commands as processes that start in hundredths of a second: forked from one that has imported what they need.

Most of what it costs to start Python is imports, and a run of the tests starts more than a thousand processes. What
`support.warm_server` has forked has a pid, files, an environment and signals of its own, and runs the command just as
`python -m` does. All that differs from a cold start: what the command imports at its start was imported before, by
another process. With COLD=1 all are started from nothing, as those always are with which the command line, the demo,
the documents and the units are tested.
"""

from __future__ import annotations

import atexit
import contextlib
import json
import os
import re
import select
import signal
import socket
import subprocess
import sys
import tempfile
from functools import cache
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Final

from hk_tick_collector.cli.app import COMMANDS
from support.warm_server import NUMBER_BYTES

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

OTHER_SYSTEM: Final = "other_system"  # the directory of what makes Python think it is on macOS or Windows
SERVER: Final = Path(__file__).with_name("warm_server.py")
APP: Final = "hk_tick_collector.cli.app"
# Imported by what reads a command line, when it does so.
_PARSER: Final = ("pydantic.fields", "pydantic.functional_validators", "pydantic.type_adapter")
# By module, and by its first word if there is more than one; "" stands for all others, which share a process.
IMPORTED: Final = {
    (APP, "run"): (APP, "hk_tick_collector.cli.run_cmd", "hk_tick_collector.main", *_PARSER),
    (APP, ""): (APP, *(f"hk_tick_collector.cli.{module}" for module, _ in COMMANDS.values()), *_PARSER),
    ("hk_tick_collector.cli.simulate_cmd", ""): ("hk_tick_collector.cli.simulate_cmd", "uvloop", *_PARSER),
    ("hk_tick_collector.writer", ""): ("hk_tick_collector.writer.__main__",),
    ("hk_tick_collector.seal", ""): ("hk_tick_collector.seal.__main__",),
}
# Python itself or a library reads these while it starts: a process that forks, for each set of them.
_READ_AT_START: Final = re.compile(r"PYTHON(?!PATH$)|LC_|LANG|LD_|TZ$|PROTOCOL_BUFFERS_")


class WarmProcess:
    """A process, with as much of `subprocess.Popen` as is used here."""

    def __init__(self, pid: int, ended: int, stdin: IO[bytes] | None, stdout: IO[bytes] | None) -> None:
        """`ended`: the pipe out of which its status comes."""
        self.pid = pid
        self.stdin = stdin
        self.stdout = stdout
        self.returncode: int | None = None
        self._ended = ended

    def poll(self) -> int | None:
        """Its exit code; None: it runs."""
        return self._look(0)

    def wait(self, timeout: float | None = None) -> int:
        """Wait until it has ended; its exit code. TimeoutExpired if it never does."""
        code = self._look(timeout)
        if code is None:
            raise subprocess.TimeoutExpired([f"pid {self.pid}"], timeout or 0)
        return code

    def send_signal(self, number: int) -> None:
        """Send a signal, unless it is known to have ended."""
        if self.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, number)

    def terminate(self) -> None:
        """SIGTERM."""
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """SIGKILL."""
        self.send_signal(signal.SIGKILL)

    def _look(self, timeout: float | None) -> int | None:
        if self.returncode is None:
            poll = select.poll()
            poll.register(self._ended, select.POLLIN)
            if not poll.poll(None if timeout is None else timeout * 1000):
                return None
            status = os.read(self._ended, NUMBER_BYTES)
            os.close(self._ended)
            assert len(status) == NUMBER_BYTES, "the process that forks has ended"
            self.returncode = os.waitstatus_to_exitcode(int.from_bytes(status, "little"))
        return self.returncode


Process = subprocess.Popen[bytes] | WarmProcess


class _Server:
    """A process that forks, for as long as this one lives."""

    def __init__(self, modules: Sequence[str], env: Mapping[str, str]) -> None:
        self._control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, SERVER, str(theirs.fileno()), *modules],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                env=env,
                pass_fds=[theirs.fileno()],
            )
        atexit.register(self._end)

    def _end(self) -> None:
        self._control.close()
        self._process.wait()

    def fork(self, asked: Mapping[str, Any], files: Sequence[int]) -> int:
        """Have it fork a process with these files, the last of which is for its status; its pid."""
        socket.send_fds(self._control, [json.dumps(asked).encode()], files)
        pid = self._control.recv(NUMBER_BYTES)
        assert pid, "the process that forks has ended"
        return int.from_bytes(pid, "little")


@cache
def _server(modules: tuple[str, ...], env: tuple[tuple[str, str], ...]) -> _Server:
    return _Server(modules, dict(env))


def _asked(command: Sequence[str], *, is_elsewhere: bool) -> tuple[dict[str, Any], tuple[str, ...]] | None:
    """What to ask for, and of whom by what it has imported; None: such a command always starts from nothing."""
    match command:
        case _ if "COLD" in os.environ or "PYTEST_VERSION" not in os.environ or is_elsewhere:
            return None
        case [sys.executable, "-m", module, *words]:
            first = words[0] if words else ""
            imported = IMPORTED.get((module, first)) or IMPORTED.get((module, ""))
            return imported and ({"module": module, "words": words}, imported)
        case [sys.executable, str(file), *words] if file.endswith(".py"):
            return {"file": file, "words": words}, IMPORTED[APP, ""]
    return None


def start(
    command: Sequence[str],
    *,
    stdout: int,
    stderr: int,
    env: Mapping[str, str] | None = None,
    stdin: int = subprocess.DEVNULL,
    cwd: Path | None = None,
) -> Process:
    """Start a process, as `subprocess.Popen` does.

    Args:
        command: its words. If they are none of IMPORTED, or a script's, it starts from nothing.
        stdout: a file, or subprocess.PIPE.
        stderr: a file.
        env: all its variables; None: those of this process.
        stdin: subprocess.DEVNULL, or subprocess.PIPE.
        cwd: its directory; None: that of this process.
    """
    env = dict(os.environ if env is None else env)
    is_elsewhere = OTHER_SYSTEM in env.get("PYTHONPATH", "")  # it has to be so before the first import
    found = _asked(command, is_elsewhere=is_elsewhere)
    if found is None:
        return subprocess.Popen(command, stdin=stdin, stdout=stdout, stderr=stderr, env=env, cwd=cwd)
    asked, imported = found
    at_start = {name: value for name, value in env.items() if name == "PATH" or _READ_AT_START.match(name)}
    server = _server(imported, tuple(sorted(at_start.items())))
    ends = contextlib.ExitStack()

    def file_of(given: int, *, is_read: bool) -> tuple[int, IO[bytes] | None]:
        if given == subprocess.DEVNULL:
            return ends.enter_context(Path(os.devnull).open("r+b", buffering=0)).fileno(), None
        if given != subprocess.PIPE:
            return given, None
        reads, writes = os.pipe()
        theirs, ours = (reads, writes) if is_read else (writes, reads)
        ends.callback(os.close, theirs)
        return theirs, os.fdopen(ours, "wb" if is_read else "rb", buffering=-1)

    with ends:
        given_in, our_in = file_of(stdin, is_read=True)
        given_out, our_out = file_of(stdout, is_read=False)
        given_err, _ = file_of(stderr, is_read=False)
        ended, ends_with = os.pipe()
        ends.callback(os.close, ends_with)
        asked |= {"env": env, "cwd": str(cwd or Path.cwd())}
        pid = server.fork(asked, [given_in, given_out, given_err, ends_with])
    return WarmProcess(pid, ended, our_in, our_out)


def run(
    command: Sequence[str], *, timeout: float, env: Mapping[str, str] | None = None, cwd: Path | None = None
) -> subprocess.CompletedProcess[str]:
    """Run a process to its end, as `subprocess.run` does with `capture_output` and `text`."""
    with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as err:
        process = start(command, stdout=out.fileno(), stderr=err.fileno(), env=env, cwd=cwd)
        try:
            code = process.wait(timeout)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            raise
        out.seek(0)
        err.seek(0)
        return subprocess.CompletedProcess(list(command), code, out.read(), err.read())
