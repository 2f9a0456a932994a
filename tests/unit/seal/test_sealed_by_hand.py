"""What changes days by hand, on sealed ones: it refuses them by one line, or only reads them."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any

import pytest
from support.late_ticks import LATE_MS, make_current, stored, tick
from support.scenario import Scenario
from support.sealing import SILENT, make_day, seal_day, state_of
from support.ticks import DAY, NEXT_DAY, OPEN_MS, TENCENT, pushes

from hk_tick_collector.cli.app import entry
from hk_tick_collector.cli.status_cmd import read_status
from hk_tick_collector.errors import AlreadyRunningError
from hk_tick_collector.repair.merge import merge
from hk_tick_collector.repair.rules import Rule
from hk_tick_collector.repair.times import Repair
from hk_tick_collector.seal.day import sealing
from hk_tick_collector.seal.recheck import recheck
from hk_tick_collector.store.sealed import day_open_lock, reopen

if TYPE_CHECKING:
    from pathlib import Path

AUCTION_MS = OPEN_MS + (6 * 60 + 8) * 60_000  # 16:08: eight hours later it is the next day
BY_SEQ = Rule(LATE_MS, None)


def repair(root: Path, *, is_dry_run: bool = False) -> list[Any]:
    """Repair all days; the reports."""
    return list(Repair(BY_SEQ, is_dry_run, SILENT, set()).run(sorted(root.glob("*.db"))))


def run(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], *args: object) -> tuple[int, str, str]:
    """A command as it is typed."""
    monkeypatch.setattr(sys, "argv", ["hk-tick-collector", *map(str, args)])
    capfd.readouterr()
    with pytest.raises(SystemExit) as ended:
        entry()
    said = capfd.readouterr()
    return int(ended.value.code or 0), said.out, said.err


def test_repair_refuses_a_sealed_day(tmp_path: Path) -> None:
    """It says how the seal is taken off, and changes nothing; then it repairs."""
    database = make_current(tmp_path / f"{DAY}.db", [tick(TENCENT, 1, OPEN_MS, LATE_MS), tick(TENCENT, 2, OPEN_MS)])
    seal_day(database)
    before = state_of(tmp_path)
    (report,) = repair(tmp_path, is_dry_run=True)
    assert (report.repaired, report.error) == (1, None)
    (report,) = repair(tmp_path)
    assert "is sealed: take the seal off with hk-tick-collector seal --reopen" in report.error
    assert state_of(tmp_path) == before
    with day_open_lock(tmp_path):
        assert reopen(database) == 1
    (report,) = repair(tmp_path)
    assert (report.repaired, report.error) == (1, None)
    seal_day(database)
    assert not recheck(tmp_path, DAY, SILENT).differences


def test_repair_puts_nothing_into_a_sealed_day(tmp_path: Path) -> None:
    """A row of an open day that belongs to a sealed one stays where it is, and that is told."""
    seal_day(make_day(tmp_path))
    late = make_current(tmp_path / f"{NEXT_DAY}.db", [tick(TENCENT, 9, AUCTION_MS, LATE_MS)])
    before = stored(late)
    _, report = repair(tmp_path)
    assert f"{DAY}.db is sealed" in report.error
    assert stored(late) == before
    assert not recheck(tmp_path, DAY, SILENT).differences


def test_nothing_is_repaired_while_a_day_is_sealed(tmp_path: Path) -> None:
    """Nor the other way round."""
    make_current(tmp_path / f"{DAY}.db", [tick(TENCENT, 1, OPEN_MS, LATE_MS)])
    with sealing(tmp_path), pytest.raises(AlreadyRunningError, match=r"sealer pid \d+ writes to"):
        repair(tmp_path)


def test_rebuild_replaces_no_sealed_day(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """It compares as ever; --replace is one line and exit 1, until the seal is taken off."""
    scenario = Scenario(tmp_path)
    scenario.hear(pushes(TENCENT, range(5)))
    scenario.write()
    scenario.journal.close(5)
    seal_day(tmp_path / f"{DAY}.db")
    before = state_of(tmp_path)
    rebuild = ("rebuild", "--data-root", tmp_path, "--day", DAY)
    assert run(monkeypatch, capfd, *rebuild)[0] == 0
    code, _, err = run(monkeypatch, capfd, *rebuild, "--replace")
    assert code == 1
    assert "is sealed: take the seal off" in err
    assert state_of(tmp_path) == before
    assert run(monkeypatch, capfd, "seal", "--data-root", tmp_path, "--day", DAY, "--reopen")[0] == 0
    assert run(monkeypatch, capfd, *rebuild, "--replace")[0] == 0
    assert seal_day(tmp_path / f"{DAY}.db").certificate["supersedes"] == 1


def test_merge_reads_sealed_days(tmp_path: Path) -> None:
    """They stay sealed; what is made of them is not, and can be."""
    for name, ticks in (("a", 3), ("b", 5)):
        seal_day(make_day(tmp_path / name, ticks=ticks))
    merge(tmp_path / "a", tmp_path / "b", tmp_path / "c", SILENT)
    for name in ("a", "b"):
        assert not recheck(tmp_path / name, DAY, SILENT).differences
    merged = seal_day(tmp_path / "c" / f"{DAY}.db").certificate
    other = seal_day(tmp_path / "b" / f"{DAY}.db").certificate
    assert [one["hash"] for one in merged["symbols"]] == [one["hash"] for one in other["symbols"]]


def test_status_tells_the_newest_sealed_day(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """By its verdict."""
    seal_day(make_day(tmp_path))
    told = read_status(tmp_path)["sealed"]
    assert (told["day"], told["verdict"]) == (DAY, "UNPROVABLE")
    assert f"{DAY} UNPROVABLE" in run(monkeypatch, capfd, "status", "--data-root", tmp_path)[1]
    out = run(monkeypatch, capfd, "status", "--data-root", tmp_path, "--json")[1]
    assert json.loads(out)["sealed"] == told
