"""How a recorder is started on this machine, as systemd tells it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from support.systemctl import put_systemctl

from hk_tick_collector.status.health import Machine
from hk_tick_collector.status.machine import machine_of

if TYPE_CHECKING:
    from pathlib import Path

    import pytest


def test_without_systemd_it_is_started_by_hand(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the directory, so that the line can be copied."""
    monkeypatch.setenv("PATH", str(tmp_path))
    assert machine_of(tmp_path) == Machine(f"`hk-tick-collector run --data-root {tmp_path}`")


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
