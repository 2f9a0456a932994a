"""How a recorder is started on this machine, as systemd tells it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from support.systemctl import put_program, put_systemctl

from hk_tick_collector.status.health import Machine
from hk_tick_collector.status.machine import machine_of
from hk_tick_collector.store.rehearsal import MARKER

if TYPE_CHECKING:
    from pathlib import Path


def test_without_systemd_it_is_started_by_hand(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the directory, so that the line can be copied."""
    monkeypatch.setenv("PATH", str(tmp_path))
    assert machine_of(tmp_path) == Machine(f"`hk-tick-collector run --data-root {tmp_path}`")


def test_a_path_with_a_space_is_quoted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """So that the line can be copied."""
    monkeypatch.setenv("PATH", str(tmp_path))
    assert machine_of(tmp_path / "my ticks").start == f"`hk-tick-collector run --data-root '{tmp_path}/my ticks'`"


def test_a_rehearsal_is_started_by_hand_with_its_clock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without its clock it would be refused; a unit never rehearses. A damaged marker hides nothing else."""
    root = tmp_path / "data"
    root.mkdir()
    put_systemctl(tmp_path, root, monkeypatch)
    (root / MARKER).write_text(json.dumps({"date": "20261120", "clock": "/srv/a clock.json"}))
    start = f"`hk-tick-collector run --rehearse '/srv/a clock.json' --data-root {root}`"
    assert machine_of(root) == Machine(start)
    (root / MARKER).write_text("{")
    assert machine_of(root) == Machine("`systemctl start hk-tick-collector`")


def test_a_unit_is_known_by_its_data_root_wherever_that_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its files of settings win over its environment, the last one first; its state directory is not asked then."""
    state, data = tmp_path / "state", tmp_path / "data"
    first, second = tmp_path / "first.env", tmp_path / "second.env"
    files = f"{first} (ignore_errors=yes)\nEnvironmentFiles={second} (ignore_errors=no)"
    told = {"Environment": f'PYTHONSAFEPATH=1 "DATA_ROOT={data}"', "EnvironmentFiles": files, "ActiveState": "active"}
    put_systemctl(tmp_path, state, monkeypatch, **told)
    assert machine_of(data) == Machine("`systemctl start hk-tick-collector`", is_starting=True)
    assert machine_of(state).start.startswith("`hk-tick-collector run ")
    first.write_text(f"DATA_ROOT={tmp_path / 'first'}\n")
    second.write_text(f"DATA_ROOT={tmp_path / 'second'}\n")
    assert machine_of(tmp_path / "second").is_starting
    assert not machine_of(tmp_path / "first").is_starting
    second.unlink()
    second.mkdir()  # can't be read
    assert machine_of(state).is_starting


def test_a_unit_that_records_there_is_started(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By its name."""
    put_systemctl(tmp_path, tmp_path / "data", monkeypatch)
    assert machine_of(tmp_path / "data") == Machine("`systemctl start hk-tick-collector`")


def test_a_unit_that_records_elsewhere_is_not_suggested(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It would not record to the directory that is asked about; nor would one that is not installed."""
    put_systemctl(tmp_path, tmp_path / "data", monkeypatch)
    assert machine_of(tmp_path / "other").start == f"`hk-tick-collector run --data-root {tmp_path / 'other'}`"
    put_systemctl(tmp_path, tmp_path / "data", monkeypatch, LoadState="not-found", StateDirectory="")
    assert machine_of(tmp_path / "data").start.startswith("`hk-tick-collector run ")


def test_a_unit_that_has_refused_its_settings_is_known(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Exit code 2, which systemd does not answer with a restart."""
    put_systemctl(tmp_path, tmp_path / "data", monkeypatch, ActiveState="failed", ExecMainStatus="2")
    assert machine_of(tmp_path / "data").is_refused
    put_systemctl(tmp_path, tmp_path / "data", monkeypatch, ActiveState="failed", ExecMainStatus="1")
    assert not machine_of(tmp_path / "data").is_refused


@pytest.mark.parametrize(
    ("log", "refusal"),
    [
        (
            (
                "hk-tick-collector: FUTU_PORT='old'\n2026-11-30T01:00:00Z INFO    recorder_stopped reason=SIGTERM\n"
                "hk-tick-collector: FUTU_PORT='abc' (environment): expected a whole number\n"
                "hk-tick-collector.service: Main process exited, code=exited, status=2/INVALIDARGUMENT\n"
            ),
            "FUTU_PORT='abc' (environment): expected a whole number",
        ),
        (
            '2026-11-30T01:00:00Z ERROR   config_error error="FUTU_SYMBOLS names no symbol"\nFailed to start.\n',
            "FUTU_SYMBOLS names no symbol",
        ),
        ("-- No entries --\n", ""),
    ],
)
def test_the_line_with_which_it_has_refused_is_shown(
    log: str, refusal: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The newest in the unit's log; a user who may not read that is told where it is."""
    put_systemctl(tmp_path, tmp_path / "data", monkeypatch, ActiveState="failed", ExecMainStatus="2")
    put_program(tmp_path, "journalctl", log, monkeypatch)
    assert machine_of(tmp_path / "data").refusal == refusal
    put_systemctl(tmp_path, tmp_path / "data", monkeypatch)
    assert machine_of(tmp_path / "data").refusal == "", "it was stopped since"


def test_a_unit_that_systemd_starts_is_known(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Between two starts, no process records."""
    for state, is_starting in (("activating", True), ("active", True), ("inactive", False), ("failed", False)):
        put_systemctl(tmp_path, tmp_path / "data", monkeypatch, ActiveState=state)
        assert machine_of(tmp_path / "data").is_starting is is_starting


def test_a_systemd_that_does_not_answer_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The answer must not wait for it."""
    script = tmp_path / "systemctl"
    script.write_text("#!/bin/sh\nexec sleep 60\n")
    script.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    monkeypatch.setattr("hk_tick_collector.status.machine.ANSWER_SEC", 0.1)
    assert machine_of(tmp_path).start.startswith("`hk-tick-collector run ")
