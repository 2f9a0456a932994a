"""Where commands may write: never over a file of the recorder's."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import typer
from support.bodies import TICK_TS_MS
from typer.testing import CliRunner

from hk_tick_collector.cli.outputs import refuse_recorder_file
from hk_tick_collector.cli.sql_cmd import sql_command
from hk_tick_collector.db import DayDatabase, Pragmas
from hk_tick_collector.errors import ConfigError

if TYPE_CHECKING:
    from pathlib import Path

OURS = (
    "20261119.db",
    "20261119.db-wal",
    "catalog.db",
    "20261119.certificate.json",
    "20261119.certificate.1.json",
    "recorder.json",
    "rehearsal.json",
    "journal/20261120-00000001.hkj",
    "journal/writer.json",
    "archive/trading_day=2026-11-19/ticks.parquet",
    "archive/trading_day=2026-11-19/_archive.json",
)
OTHERS = ("day.html", "copy.db", "notes.json", "archive/journal/notes.txt", "out/ticks.parquet")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A DATA_ROOT with one day; below it another one, with each kind of file of a recorder's and some of a user's."""
    row = ("HK.00700", 1, TICK_TS_MS, 372.4, 60, 22344.0, 3, 6, 0, 1, TICK_TS_MS + 100, TICK_TS_MS + 200)
    database = DayDatabase(tmp_path / "20200330.db", Pragmas())
    database.store({"HK.00700": [row]}, {})
    database.close()
    for name in (*OURS, *OTHERS):
        path = tmp_path / "other" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("kept")
    return tmp_path


@pytest.mark.parametrize("name", OURS)
def test_a_file_of_the_recorders_is_refused_also_through_a_link(name: str, root: Path) -> None:
    """By one line that names it; one that does not exist yet may be written."""
    link = root / "page.html"
    link.symlink_to(root / "other" / name)
    for path in (root / "other" / name, link):
        with pytest.raises(ConfigError) as told:
            refuse_recorder_file(path)
        assert str(told.value) == f"{path} is a file of the recorder's, expected another name: it would be overwritten"
    (root / "other" / name).unlink()
    refuse_recorder_file(root / "other" / name)


@pytest.mark.parametrize("name", OTHERS)
def test_a_file_of_the_users_may_be_overwritten(name: str, root: Path) -> None:
    """Whatever its suffix; a directory that is called journal is not a journal by that alone."""
    refuse_recorder_file(root / "other" / name)


@pytest.mark.parametrize("command", [".output", ".once", ".backup", ".backup main", ".pages_svg"])
def test_no_command_of_the_shell_writes_over_a_file_of_the_recorders(command: str, root: Path) -> None:
    """A script ends with what was refused, and the file is as it was."""
    app = typer.Typer()
    app.command()(sql_command)
    target = root / "other" / "20261119.certificate.json"
    result = CliRunner().invoke(app, ["20200330", "--data-root", str(root), "-e", f"{command} {target}"])
    assert isinstance(result.exception, ConfigError)
    assert str(result.exception).startswith(f"{target} is a file of the recorder's")
    assert target.read_text() == "kept"


def test_a_new_file_may_be_written(root: Path) -> None:
    """`VACUUM INTO` and `.backup` copy a day to another place."""
    app = typer.Typer()
    app.command()(sql_command)
    for statement in (f"VACUUM INTO '{root / 'new.db'}'", f".backup {root / 'newer.db'}"):
        assert CliRunner().invoke(app, ["20200330", "--data-root", str(root), "-e", statement]).exit_code == 0
    assert (root / "new.db").exists()
    assert (root / "newer.db").exists()
