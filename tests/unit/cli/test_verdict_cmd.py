"""`hk-tick-collector verdict`."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import apsw
import pytest
import typer
from typer.testing import CliRunner

from hk_tick_collector.cli.verdict_cmd import verdict_command
from hk_tick_collector.errors import ConfigError
from hk_tick_collector.simulator.ledger import LedgerWriter
from hk_tick_collector.simulator.tape import MadeTick

if TYPE_CHECKING:
    from pathlib import Path

    from click.testing import Result

TICK = MadeTick("HK.00700", 7, 1_795_138_200_000, "2026-11-20 09:30:00", 372.4, 60, 22344.0, 3, 6)


@pytest.fixture
def ledger(tmp_path: Path) -> Path:
    """A ledger with one tick."""
    path = tmp_path / "ledger.jsonl"
    writer = LedgerWriter(path)
    writer.tick(TICK)
    writer.close()
    return path


@pytest.fixture
def data_root(tmp_path: Path) -> Path:
    """A recorder's directory with that tick's database, still without it."""
    root = tmp_path / "data"
    root.mkdir()
    db = apsw.Connection(str(root / "20261120.db"))
    db.execute("CREATE TABLE ticks(symbol, seq, ts_ms, price, volume, turnover, direction_id, tick_type_id)")
    db.close()
    return root


def _store(data_root: Path) -> None:
    db = apsw.Connection(str(data_root / "20261120.db"))
    db.execute("INSERT INTO ticks VALUES (?,?,?,?,?,?,?,?)", TICK[:3] + TICK[4:])
    db.close()


def _verdict(*args: object) -> Result:
    app = typer.Typer()
    app.command()(verdict_command)
    return CliRunner().invoke(app, [str(arg) for arg in args], env={"COLUMNS": "120"})


def test_all_stored_exits_0(ledger: Path, data_root: Path) -> None:
    """The table says ok and has each count with its meaning."""
    _store(data_root)
    result = _verdict(ledger, data_root)
    assert result.exit_code == 0
    assert result.output.split()[0] == "ok"
    assert "trades that the exchange made of subscribed symbols" in result.output


def test_a_difference_exits_1_with_examples(ledger: Path, data_root: Path) -> None:
    """The table says so, and below it stands what is missing."""
    result = _verdict(ledger, data_root)
    assert result.exit_code == 1
    assert "NOT OK" in result.output
    assert '{"kind": "missing", "symbol": "HK.00700", "seq": 7}' in result.output


def test_json_is_one_object(ledger: Path, data_root: Path) -> None:
    """All counts, for a script, with the same exit code."""
    result = _verdict(ledger, data_root, "--json")
    assert result.exit_code == 1
    assert json.loads(result.output) == {
        "ok": False,
        "databases": 1,
        "sent": 1,
        "stored": 0,
        "missing": 1,
        "duplicated": 0,
        "wrong": 0,
        "unknown": 0,
        "unreachable": 0,
        "not_subscribed": 0,
        "revisions_sent": 0,
        "revisions_stored": 0,
        "revisions_unknown": 0,
        "examples": [{"kind": "missing", "symbol": "HK.00700", "seq": 7}],
    }


def test_bad_paths_are_the_operator_s_to_mend(ledger: Path, data_root: Path) -> None:
    """They raise what the program's entry turns into one line and exit 2."""
    assert isinstance(_verdict(ledger, data_root / "absent").exception, ConfigError)
    assert isinstance(_verdict(data_root, data_root).exception, ConfigError)
