"""What the tests fork finds what it would find if it had been started from nothing."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest
from support import told_start, warm
from support.trading_time import clock_of

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

pytestmark = pytest.mark.processes

SCRIPT = [sys.executable, told_start.__file__, "--word", "資料"]


def told(env: Mapping[str, str], cwd: Path) -> dict[str, Any]:
    """What a process finds, but for the modules of ours that are there already."""
    done = warm.run(SCRIPT, env=env, cwd=cwd, timeout=60)
    assert (done.returncode, done.stderr) == (7, "and this\n")
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_a_forked_process_finds_what_a_started_one_finds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Arguments, environment, directory, files, signals and the clock; only our modules are there already."""
    env = {"PATH": "/usr/bin", "DATA_ROOT": "x", **clock_of()}
    forked = told(env, tmp_path)
    monkeypatch.setenv("COLD", "1")
    started = told(env, tmp_path)
    assert started["clock"] is not None
    assert forked.pop("ours") > started.pop("ours") == []
    assert forked == started


def test_an_environment_that_python_reads_at_its_start_is_in_force(tmp_path: Path) -> None:
    """It is not that of the process that forks."""
    script = tmp_path / "encoding.py"
    script.write_text("import sys; print(sys.stdout.encoding, sys.flags.dev_mode)")
    for name, value, said in (("PYTHONIOENCODING", "koi8-r", "koi8-r False"), ("PYTHONDEVMODE", "1", "utf-8 True")):
        done = warm.run([sys.executable, str(script)], env={"PATH": "/usr/bin", name: value}, timeout=60)
        assert done.stdout.strip() == said


def test_how_a_process_ended_is_told_as_ever(tmp_path: Path) -> None:
    """An exit code, or the signal that killed it; until then it runs, and a wait for it has an end."""
    script = tmp_path / "wait.py"
    script.write_text("import sys; sys.exit(len(sys.stdin.read()))")
    command = [sys.executable, str(script)]
    files = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
    ended, killed = (warm.start(command, **files) for _ in range(2))
    assert all(isinstance(process, warm.WarmProcess) for process in (ended, killed))
    assert (ended.poll(), killed.poll()) == (None, None)
    with pytest.raises(subprocess.TimeoutExpired):
        killed.wait(0.01)
    killed.kill()
    assert killed.wait(60) == -signal.SIGKILL == killed.poll()
    killed.terminate()  # which is gone
    assert ended.stdin is not None
    ended.stdin.write(b"12345")
    ended.stdin.close()
    assert (ended.wait(60), ended.returncode) == (5, 5)
    for process in (ended, killed):
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stdout.read() == b""
        process.stdin.close()
        process.stdout.close()
