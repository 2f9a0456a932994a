"""Which DATA_ROOT a command reads: the same for every command."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from support.needs import need_root, need_tools

from hk_tick_collector.cli import service
from hk_tick_collector.cli.places import data_root_of
from hk_tick_collector.errors import ConfigError

if TYPE_CHECKING:
    from pathlib import Path


pytestmark = pytest.mark.processes  # the program, as it is called


@pytest.fixture
def unit(tmp_path: Path, root: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A unit that records to `served`, on a machine where no other DATA_ROOT is known."""
    root.rmdir()
    (tmp_path / "served").mkdir()
    written = tmp_path / "hk-tick-collector.service"
    written.write_text(f"[Service]\nEnvironment=DATA_ROOT={tmp_path}/served\nEnvironmentFile=-{tmp_path}/env\n")
    monkeypatch.setattr(service, "UNIT", written)
    return written


def test_without_a_data_root_the_services_is_read(
    unit: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Which is said in one line on standard error, so that a script's output stays as it is."""
    assert unit.exists()
    served = tmp_path / "served"
    assert data_root_of(None, None, None) == served
    assert capsys.readouterr() == ("", f"using {served}, where the service records\n")


def test_what_was_set_is_read_and_not_the_services(
    unit: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """An option, the environment, or a directory `data` where the command was typed."""
    assert unit.exists()
    (tmp_path / "mine").mkdir()
    assert data_root_of("mine", None, None).name == "mine"
    monkeypatch.setenv("DATA_ROOT", "mine")
    assert data_root_of(None, None, None).name == "mine"
    monkeypatch.delenv("DATA_ROOT")
    (tmp_path / "data").mkdir()
    assert data_root_of(None, None, None).name == "data"
    assert capsys.readouterr().err == ""


def test_a_missing_directory_names_the_services(unit: Path, tmp_path: Path) -> None:
    """The cure is a flag to paste."""
    assert unit.exists()
    with pytest.raises(ConfigError) as caught:
        data_root_of("nowhere", None, None)
    assert str(caught.value) == (
        f"no recordings in {tmp_path}/nowhere: this directory does not exist; the service on this machine records to "
        f"{tmp_path}/served: pass --data-root {tmp_path}/served"
    )


def test_a_directory_of_the_service_that_is_not_there_names_its_log(unit: Path, tmp_path: Path) -> None:
    """It may not make it, or somebody has taken it away: both are in its log."""
    assert unit.exists()
    (tmp_path / "served").rmdir()
    with pytest.raises(ConfigError) as caught:
        data_root_of(None, None, None)
    assert str(caught.value) == (
        f"no recordings in {tmp_path}/served: this directory does not exist; the service on this machine is to record "
        "there: `journalctl -u hk-tick-collector -n 20` says what is wrong"
    )


def test_settings_of_the_service_that_can_not_be_read_name_the_flag(unit: Path, tmp_path: Path) -> None:
    """They may say something else than the unit, so nothing is guessed. A directory stands for what may not be read."""
    assert unit.exists()
    (tmp_path / "env").mkdir()
    with pytest.raises(ConfigError) as caught:
        data_root_of(None, None, None)
    assert str(caught.value) == (
        f"no recordings in {tmp_path}/data, and where the service on this machine records is in {tmp_path}/env, which "
        f"this user can't read: pass --data-root {tmp_path}/served, or run it with sudo"
    )


def test_a_file_is_no_data_root(root: Path) -> None:
    """Nor is what lies under one."""
    (root / "file").touch()
    with pytest.raises(ConfigError, match=r"file is a file, expected a directory; pass --data-root DIRECTORY, or set"):
        data_root_of(str(root / "file"), None, None)
    with pytest.raises(ConfigError, match=r"file/x: this directory does not exist; pass --data-root DIRECTORY"):
        data_root_of(str(root / "file" / "x"), None, None)


@pytest.mark.parametrize("command", ["status", "verify", "audit", "days", "gaps", "journal", "repair", "sql"])
def test_a_directory_without_the_right_to_read_it_is_one_line(root: Path, command: str) -> None:
    """For every command, and also if a directory above it is closed."""
    need_root("losing the right to read everything")
    need_tools("setpriv")
    (root / "inner").mkdir()
    root.chmod(0)
    for directory in (root, root / "inner"):
        done = subprocess.run(
            [
                "setpriv", "--bounding-set=-dac_override,-dac_read_search",
                sys.executable, "-m", "hk_tick_collector.cli.app", command, "--data-root", str(directory),
            ],
            capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL,
        )  # fmt: skip
        assert (done.returncode, done.stdout) == (2, "")
        assert done.stderr == (
            f"hk-tick-collector: {directory} can't be read by this user: run it with sudo, or join the group of the "
            "recorder's files\n"
        )
