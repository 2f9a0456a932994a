"""Where the installed service records, as systemd would read it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from hk_tick_collector.cli.service import UNIT, Service, read_service

REPOSITORY = Path(__file__).parents[3]


@pytest.fixture
def unit(tmp_path: Path) -> Path:
    """A unit's file, to be written."""
    return tmp_path / "hk-tick-collector.service"


def test_without_a_unit_there_is_no_service(unit: Path) -> None:
    """Most machines have none."""
    assert read_service(unit) is None


def test_our_own_unit_is_understood(unit: Path, tmp_path: Path) -> None:
    """The one that is shipped, installed under its name, before and after its settings name another directory."""
    text = (REPOSITORY / "deploy" / "hk-tick-collector.service").read_text()
    assert UNIT.name == "hk-tick-collector.service"
    settings = tmp_path / "hk-tick-collector.env"
    unit.write_text(re.sub(r"(?m)^EnvironmentFile=-.*$", f"EnvironmentFile=-{settings}", text))
    assert read_service(unit) == Service(Path("/var/lib/hk-tick-collector"))
    settings.write_text("# mine\nFUTU_SYMBOLS=HK.00700\nDATA_ROOT=/srv/ticks\n")
    assert read_service(unit) == Service(Path("/srv/ticks"))


@pytest.mark.parametrize(
    ("text", "root"),
    [
        ("[Service]\nEnvironment=DATA_ROOT=/a\n", "/a"),
        ('Environment="A=b c" DATA_ROOT=/a LOG_LEVEL=INFO\n', "/a"),
        ("Environment=A=b \\\n  DATA_ROOT=/a\n", "/a"),
        ("Environment=DATA_ROOT=/a\nEnvironment=DATA_ROOT=/b\n", "/b"),
        ("Environment=DATA_ROOT=ticks\nWorkingDirectory=/srv\n", "/srv/ticks"),
        ("#Environment=DATA_ROOT=/a\n", None),
        ("Environment=DATA_ROOT=/a\nEnvironment=\n", None),
        ('Environment="DATA_ROOT=/a\n', None),
        ("", None),
    ],
)
def test_the_environment_of_a_unit_is_read_as_systemd_reads_it(unit: Path, text: str, root: str | None) -> None:
    """Quotes, continued lines, comments, and the last word wins."""
    unit.write_text(text)
    assert read_service(unit) == Service(Path(root) if root else None)


def test_what_was_edited_wins(unit: Path) -> None:
    """`systemctl edit` writes beside the unit."""
    unit.write_text("Environment=DATA_ROOT=/a\n")
    beside = unit.with_name(f"{unit.name}.d")
    beside.mkdir()
    (beside / "override.conf").write_text("[Service]\nEnvironment=DATA_ROOT=/b\n")
    assert read_service(unit) == Service(Path("/b"))


def test_what_can_not_be_read_is_named(unit: Path, tmp_path: Path) -> None:
    """The unit itself, or its settings, without which its directory is not certain."""
    (tmp_path / "env").mkdir()  # stands for what may not be read
    unit.write_text(f"Environment=DATA_ROOT=/a\nEnvironmentFile={tmp_path}/env\n")
    assert read_service(unit) == Service(Path("/a"), tmp_path / "env")
    unit.write_bytes(b"\xff\xfe")
    assert read_service(unit) == Service(None, unit)
