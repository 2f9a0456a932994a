"""Who is at work on a DATA_ROOT, and what it says of itself."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING

import pytest

from hk_tick_collector.status.state import RecorderState
from hk_tick_collector.store.data_root import (
    RECORDER_LOCK,
    STATE_NAME,
    disown_report,
    hold_lock,
    read_recorder,
    read_state,
)
from hk_tick_collector.typed_json import decode

if TYPE_CHECKING:
    from pathlib import Path


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


@pytest.mark.parametrize("text", ["", "[]", "{", "null"])
def test_a_recorder_json_that_is_none_says_nothing(tmp_path: Path, text: str) -> None:
    """Half a file, or something else."""
    (tmp_path / STATE_NAME).write_text(text)
    assert read_recorder(tmp_path) == (None, {})
