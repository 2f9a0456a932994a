"""`config`: the table and the JSON, as an operator sees them."""

import json
import sys
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner, Result

from hk_tick_collector.cli.config_cmd import config_command
from hk_tick_collector.config import NAMES
from hk_tick_collector.errors import ConfigError


@pytest.fixture(autouse=True)
def _clean_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in (*NAMES, "HK_TICK_CONFIG", "FORCE_COLOR", "TTY_COMPATIBLE", "COLUMNS"):
        monkeypatch.delenv(name, raising=False)


def run(*arguments: str) -> Result:
    """What the command prints when called so."""
    app = typer.Typer()
    app.command()(config_command)
    return CliRunner().invoke(app, list(arguments))


def test_the_table_has_a_line_for_each_setting(monkeypatch: pytest.MonkeyPatch) -> None:
    """Name, value, origin and description stand in one line each, without colour where there is no terminal."""
    monkeypatch.setenv("BATCH_SIZE", "5")
    result = run()
    assert result.exit_code == 0
    lines = {line.split()[0]: line for line in result.stdout.splitlines() if line.split()}
    assert set(NAMES) <= set(lines)
    assert lines["BATCH_SIZE"].split()[:3] == ["BATCH_SIZE", "5", "environment"]
    assert "Approximate ticks per transaction" in lines["BATCH_SIZE"]
    assert lines["FUTU_POLL_ENABLED"].split()[:3] == ["FUTU_POLL_ENABLED", "true", "default"]
    assert "\x1b" not in result.stdout


def test_columns_are_aligned() -> None:
    """Every origin begins in the same column."""
    result = run()
    assert len({line.index(" default ") for line in result.stdout.splitlines() if line.startswith(NAMES)}) == 1


def test_a_terminal_gets_colour(monkeypatch: pytest.MonkeyPatch) -> None:
    """Defaults are dim and what was set stands out."""
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("BATCH_SIZE", "5")
    lines = run().stdout.splitlines()
    assert any("BATCH_SIZE" in line and "\x1b[1;36m" in line for line in lines)
    assert any("FUTU_PORT" in line and "\x1b[2m" in line for line in lines)


def test_json_has_value_origin_default_and_description(tmp_path: Path) -> None:
    """`--json` is whole and for programs; the values are those an env file would have."""
    (tmp_path / "a.toml").write_text('futu_port = 222\nfutu_symbols = ["HK.00700", "HK.00005"]\n')
    (tmp_path / "b.env").write_text("RECONNECT_MIN_DELAY=2.0\n")
    result = run("--json", "--config", "a.toml", "--env-file", "b.env")
    rows = json.loads(result.stdout)
    assert tuple(rows) == NAMES
    assert rows["FUTU_PORT"] == {
        "value": "222",
        "origin": "TOML (a.toml)",
        "default": "11111",
        "description": "TCP port of OpenD's API",
    }
    assert (rows["RECONNECT_MIN_DELAY"]["value"], rows["RECONNECT_MIN_DELAY"]["origin"]) == ("2", ".env (b.env)")
    assert rows["FUTU_SYMBOLS"]["value"] == "HK.00700 HK.00005"
    assert rows["INSTANCE_ID"]["value"] == rows["INSTANCE_ID"]["default"] != ""


def test_a_long_list_is_cut_in_the_table_and_whole_in_json(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nine hundred codes do not bury the other settings."""
    codes = ",".join(f"HK.{number:05}" for number in range(900))
    monkeypatch.setenv("FUTU_SYMBOLS", codes)
    assert max(map(len, run().stdout.splitlines())) < 300
    assert json.loads(run("--json").stdout)["FUTU_SYMBOLS"]["value"] == codes


def test_values_are_never_read_as_markup(monkeypatch: pytest.MonkeyPatch) -> None:
    """Brackets in a path are shown as they are."""
    monkeypatch.setenv("DATA_ROOT", "/srv/[bold]x[/]")
    assert "/srv/[bold]x[/]" in run().stdout


def test_a_bad_setting_is_left_to_the_entry_point(monkeypatch: pytest.MonkeyPatch) -> None:
    """ConfigError goes through, and nothing is printed before it."""
    monkeypatch.setenv("FUTU_PORT", "x")
    result = run()
    assert isinstance(result.exception, ConfigError)
    assert result.stdout == ""


def test_rich_is_not_loaded_by_importing_the_command() -> None:
    """The module itself names no rich at its top; loading is left to the moment of printing."""
    assert not hasattr(sys.modules[config_command.__module__], "Table")
