"""Who is at work on a DATA_ROOT, and what it says of itself."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from support.needs import mount, need_root, unmount

from hk_tick_collector.errors import ConfigError
from hk_tick_collector.status.state import RecorderState
from hk_tick_collector.store.data_root import (
    RECORDER_LOCK,
    STATE_NAME,
    disown_report,
    hold_lock,
    prepare,
    read_recorder,
    read_state,
)
from hk_tick_collector.typed_json import decode

PREPARE = """
import os, pwd, sys
from pathlib import Path
from hk_tick_collector.errors import ConfigError
from hk_tick_collector.store.data_root import prepare
nobody = pwd.getpwnam("nobody")  # who may not enter where this program lies, so it is imported before
os.setgroups([])
os.setresgid(nobody.pw_gid, nobody.pw_gid, nobody.pw_gid)
os.setresuid(nobody.pw_uid, nobody.pw_uid, nobody.pw_uid)
try:
    prepare(Path(sys.argv[1]), " (environment)")
except ConfigError as exc:
    print(exc)
"""


def test_who_holds_the_lock_is_who_runs(tmp_path: Path) -> None:
    """Not whose recorder.json lies about."""
    assert read_recorder(tmp_path) == (None, {})
    (tmp_path / STATE_NAME).write_text('{"pid": 1}')
    assert read_recorder(tmp_path) == (None, {"pid": 1})
    file = hold_lock(tmp_path, RECORDER_LOCK, 0)
    try:
        assert read_recorder(tmp_path) == (os.getpid(), {"pid": 1})
        os.ftruncate(file, 0)
        assert read_recorder(tmp_path) == (0, {"pid": 1})
    finally:
        os.close(file)
    assert read_recorder(tmp_path) == (None, {"pid": 1})


def test_one_that_wrote_that_it_runs_and_is_gone_has_died(tmp_path: Path) -> None:
    """What the file itself says is not changed, and one that stopped in order has not died."""
    (tmp_path / STATE_NAME).write_text('{"pid": 1, "running": true}')
    file = hold_lock(tmp_path, RECORDER_LOCK, 0)
    try:
        assert read_recorder(tmp_path) == (os.getpid(), {"pid": 1, "running": True})
    finally:
        os.close(file)
    assert read_recorder(tmp_path) == (None, {"pid": 1, "running": False, "died": True})
    assert read_state(tmp_path) == {"pid": 1, "running": True}
    (tmp_path / STATE_NAME).write_text(json.dumps({"pid": 1, "running": False}))
    assert read_recorder(tmp_path) == (None, {"pid": 1, "running": False})


def test_a_recorder_whose_directory_was_replaced_still_runs(tmp_path: Path) -> None:
    """Its lock is in the directory of its start. A second one would write to the same databases, so none is named."""
    (tmp_path / RECORDER_LOCK).touch()
    told = {"pid": os.getpid(), "running": True, "disk": {"fault": "is another directory than at the start"}}
    (tmp_path / STATE_NAME).write_text(json.dumps(told))
    assert read_recorder(tmp_path) == (os.getpid(), told)
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    for changes in ({"pid": ended.pid}, {"disk": {"fault": None}}, {"disk": None}, {"pid": None}, {"pid": 1 << 70}):
        (tmp_path / STATE_NAME).write_text(json.dumps({**told, **changes}))
        pid, state = read_recorder(tmp_path)
        assert (pid, state["running"], state["died"]) == (None, False, True), changes


def test_a_report_of_the_same_pid_is_no_report_of_this_recorder(tmp_path: Path) -> None:
    """In a container each recorder is pid 1; one of another pid tells that by itself, and is left alone."""
    report = tmp_path / STATE_NAME
    told = {"pid": os.getpid(), "running": True, "at_ms": 5}
    report.write_text(json.dumps(told))
    disown_report(tmp_path)
    assert read_state(tmp_path) == {**told, "pid": None}
    assert decode(RecorderState, read_state(tmp_path)).pid is None
    report.write_text('{"pid": 1}')
    before = report.stat()
    disown_report(tmp_path)
    assert report.stat() == before
    report.unlink()
    disown_report(tmp_path)
    assert not report.exists()


def test_a_directory_that_may_not_be_written_names_who_may_not_and_the_command() -> None:
    """One that is there gets another owner; one that is not is made for this user; below a closed one neither helps."""
    need_root("becoming another user")
    with TemporaryDirectory() as place:
        there = Path(place)
        there.chmod(0o755)
        (there / "closed").mkdir(mode=0o700)
        for root, cure in (
            (there, f"; as root: `chown -R nobody {there}`, or choose another"),
            (there / "new", f"; as root: `install -d -o nobody {there}/new`, or choose another"),
            (there / "closed" / "new", f", who may not enter {there}/closed; choose another"),
        ):
            done = subprocess.run([sys.executable, "-c", PREPARE, root], capture_output=True, text=True, check=False)
            assert done.stdout == (
                f"DATA_ROOT='{root}' (environment): expected a directory that this user can write, Permission denied "
                f"for nobody{cure}\n"
            ), done.stderr


def test_a_read_only_file_system_names_the_service_s_list_of_directories(tmp_path: Path) -> None:
    """Under systemd nearly all directories look like that to the recorder."""
    root = tmp_path / "root"
    root.mkdir()
    mount(root, "ro")
    try:
        with pytest.raises(ConfigError) as refused:
            prepare(root, "")
    finally:
        unmount(root)
    assert str(refused.value) == (
        f"DATA_ROOT='{root}': expected a directory that this user can write, Read-only file system; choose another, "
        "or, for a service, create it and name it in ReadWritePaths= of its unit (`systemctl edit hk-tick-collector`)"
    )


@pytest.mark.parametrize("text", ["", "[]", "{", "null"])
def test_a_recorder_json_that_is_none_says_nothing(tmp_path: Path, text: str) -> None:
    """Half a file, or something else."""
    (tmp_path / STATE_NAME).write_text(text)
    assert read_recorder(tmp_path) == (None, {})
