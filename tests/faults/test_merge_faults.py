"""Two recorders on one OpenD, each with outages of its own, and merges that are killed."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import apsw
import pytest
from support import warm
from support.killing import killed_command
from support.late_ticks import assert_stats_true, query
from support.merging import all_rows, record
from support.recorder_process import until
from support.ticks import DAY, OPEN_MS, row

from hk_tick_collector.simulator.verdict import compare
from hk_tick_collector.store.schema import day_files

if TYPE_CHECKING:
    from pathlib import Path

    from support.bench import Bench
    from support.recorder_process import RecorderProcess
    from support.simulator_process import SimulatorProcess

pytestmark = pytest.mark.faults

MERGE = [sys.executable, "-m", "hk_tick_collector.cli.app", "merge"]
# An outage is then a hole: nothing is fetched again but the last tick, and no audit finds the others.
FORGETFUL = {"BACKFILL_N": 1, "FUTU_POLL_ENABLED": 0}
BURST = 500
REVISED = 50

# Where each step of it is looked up.
OWNERS = {
    "link": "os",
    "refresh_stats": "hk_tick_collector.repair.union",
    "_check": "hk_tick_collector.repair.union",
    "copy_ownership": "hk_tick_collector.repair.merge",
    "sync": "hk_tick_collector.repair.merge",
}


def merge(*args: object, killed: tuple[str, str, str] | None = None) -> subprocess.CompletedProcess[str]:
    """The command, killed at a step or not."""
    command = [*killed_command(OWNERS[killed[0]], *killed), "merge"] if killed else MERGE
    return warm.run([*command, *map(str, args), "--json"], timeout=100)


def told_by(done: subprocess.CompletedProcess[str]) -> dict[str, Any]:
    """Its JSON, after a merge without a disagreement."""
    assert done.returncode == 0, done
    told = json.loads(done.stdout)
    assert isinstance(told, dict)
    return told


def stored_rows(recorder: RecorderProcess) -> int:
    """How many ticks a recorder has stored."""
    return sum(count for (count,) in recorder.query("SELECT count(*) FROM ticks"))


def miss_a_burst(sim: SimulatorProcess, away: RecorderProcess, there: RecorderProcess) -> None:
    """Have one recorder killed while ticks come that the other one stores."""
    sessions = len(away.log_lines("backfill_done"))
    away.kill_all()
    before = stored_rows(there)
    sim.command("burst", ticks=BURST)
    until(lambda: stored_rows(there) >= before + BURST, "the other one has stored the burst")
    away.start()
    away.wait_for("backfill_done", sessions + 1)


def test_two_recorders_with_other_outages_make_a_whole_one(bench: Bench, tmp_path: Path) -> None:
    """Neither has all that was sent, and what is merged has; beside recorders at work it harms neither."""
    sim = bench.simulate(rate=200)
    a, b = (bench.record(sim, **FORGETFUL) for _ in range(2))
    for recorder in (a, b):
        recorder.wait_for("backfill_done")
    until(lambda: stored_rows(a) > 0 and stored_rows(b) > 0, "both record")
    miss_a_burst(sim, a, b)
    before = (stored_rows(a), stored_rows(b))
    beside = told_by(merge(a.data_root, b.data_root, "--out", tmp_path / "beside"))
    assert a.is_running
    assert b.is_running
    assert beside["ticks"]["a"] >= before[0] > 0
    assert beside["ticks"]["b"] >= before[1] > 0
    assert beside["ticks"]["only_b"] > 0
    miss_a_burst(sim, b, a)
    sim.command("pause")
    out = tmp_path / "merged"
    sent = len(sim.ledger().ticks)
    until(lambda: len(a.stored() | b.stored()) == sent, "each tick is stored by one of them")
    assert (a.stop(), b.stop()) == (0, 0)
    alone = [compare(sim.ledger_path, recorder.data_root) for recorder in (a, b)]
    assert all(verdict.missing >= BURST // 2 for verdict in alone), alone
    told = told_by(merge(a.data_root, b.data_root, "--out", out))
    verdict = compare(sim.ledger_path, out)
    assert verdict.ok, verdict
    assert verdict.stored == verdict.sent == told["ticks"]["merged"] == sent
    assert told["ticks"]["only_a"] == alone[1].missing
    assert told["ticks"]["only_b"] == alone[0].missing
    for path in day_files(out):
        assert_stats_true(path)
    earliest = "SELECT symbol, seq, recv_ts_ms FROM ticks"
    first: dict[tuple[str, int], int] = {}
    for symbol, seq, recv_ts_ms in a.query(earliest) + b.query(earliest):
        first[symbol, seq] = min(recv_ts_ms, first.get((symbol, seq), recv_ts_ms))
    assert {row[:2]: row[2] for path in day_files(out) for row in query(path, earliest)} == first


def test_what_they_disagree_about_is_told_and_kept(bench: Bench, tmp_path: Path) -> None:
    """One was away when ticks came, and has only heard of them what OpenD said of them later."""
    sim = bench.simulate(rate=200)
    a = bench.record(sim, BACKFILL_N=0, FUTU_POLL_ENABLED=0)
    b = bench.record(sim, FUTU_POLL_ENABLED=0)  # whole: it fetches what came between the two starts
    until(lambda: stored_rows(a) > 0 and stored_rows(b) > 0, "both record")
    a.kill_all()
    sim.command("pause")  # what a misses stays among the newest, and only those are revised
    sim.command("burst", ticks=BURST)
    b.wait_until_stored(sim)
    before = stored_rows(a)
    a.start()
    a.wait_for("futu_subscribed", 2)
    sim.command("burst", ticks=20)
    until(lambda: stored_rows(a) > before, "a is pushed to again")
    b.wait_until_stored(sim)
    before_last = b.stored()
    sim.command("burst", ticks=1)  # whoever has stored it has stored what was pushed before
    b.wait_until_stored(sim)
    (last,) = sim.ledger().ticks.keys() - before_last
    until(lambda: last in a.stored(), "a has stored what was pushed")
    missed = b.stored() - a.stored()
    assert sim.command("revise", n=REVISED)["n"] == REVISED
    revisions = "SELECT symbol, seq FROM tick_revisions"
    until(lambda: len(b.query(revisions)) == REVISED, "b has stored the revisions")
    revised = set(b.query(revisions))
    until(lambda: revised <= a.stored(), "a has stored what it was told")
    disagreed = revised & missed
    assert disagreed, "no tick was revised that one of them had missed"
    until(lambda: set(a.query(revisions)) == revised - missed, "a has stored the revisions")
    assert (a.stop(), b.stop()) == (0, 0)
    out = tmp_path / "merged"
    done = merge(a.data_root, b.data_root, "--out", out)
    told = json.loads(done.stdout)
    assert (done.returncode, told["ticks"]["differing"]) == (1, len(disagreed)), done
    assert {(row["symbol"], row["seq"]) for day in told["days"] for row in day["disagreements"]} <= disagreed
    verdict = compare(sim.ledger_path, out)
    assert verdict.ok, verdict
    assert verdict.revisions_stored == verdict.revisions_sent == REVISED


@pytest.fixture
def two(tmp_path: Path) -> tuple[Path, Path]:
    """Two DATA_ROOTs with one day."""
    for side in range(2):
        (tmp_path / f"{side}").mkdir()
        record(tmp_path / f"{side}" / f"{DAY}.db", [row("HK.00700", n) for n in range(side, 20, 3)])
    return tmp_path / "0", tmp_path / "1"


@pytest.mark.parametrize("moment", ["before", "behind"])
@pytest.mark.parametrize("step", ["refresh_stats", "_check", "copy_ownership", "link", "sync"])
@pytest.mark.parametrize("kind", ["file", "directory"])
def test_killed_there_is_nothing_or_all(
    kind: str, step: str, moment: str, two: tuple[Path, Path], tmp_path: Path
) -> None:
    """At no moment half of it; the next run is not kept from its work, and leaves nothing else behind."""
    if (kind, step) == ("directory", "link"):
        step = "copy_ownership"  # a directory is renamed; its day's file is given to its owner before
    sides = [root / f"{DAY}.db" for root in two] if kind == "file" else list(two)
    out = tmp_path / ("c.db" if kind == "file" else "c")
    number = "2" if kind == "directory" and step in {"copy_ownership", "sync"} else "1"
    killed = merge(*sides, "--out", out, killed=(step, number, moment))
    assert killed.returncode == -signal.SIGKILL, killed
    is_there = step == "sync" or (step, moment) == ("link", "behind")
    assert out.exists() is is_there
    whole = tmp_path / "whole"
    assert merge(*two, "--out", whole).returncode == 0
    if is_there:
        made = out if kind == "file" else out / f"{DAY}.db"
        assert all_rows(made) == all_rows(whole / f"{DAY}.db")
        assert merge(*sides, "--out", out).returncode == 2
        return
    assert (tmp_path / f".merge-{out.name}").is_dir()
    assert merge(*sides, "--out", out).returncode == 0
    assert {path.name for path in tmp_path.iterdir()} == {"0", "1", "whole", out.name}


def test_killed_in_the_middle_of_a_large_day_there_is_nothing(tmp_path: Path) -> None:
    """By kill -9, while rows go in; the sides are as they were."""
    sides = [record(tmp_path / f"{side}.db", []) for side in range(2)]
    for side, path in enumerate(sides):
        con = apsw.Connection(str(path))
        rows = (row(f"HK.{n % 50:05d}", n, OPEN_MS + n, recv_ts_ms=OPEN_MS + n) for n in range(side, 200_000, 2 - side))
        with con:
            con.executemany("INSERT INTO ticks VALUES (?,?,?,?,?,?,?,?,?,?,?,?)", rows)
        con.close()
    before = [path.read_bytes() for path in sides]
    out, made = tmp_path / "c.db", tmp_path / ".merge-c.db" / "c.db"
    with subprocess.Popen([*MERGE, *map(str, sides), "--out", str(out)], stdout=subprocess.DEVNULL) as process:
        try:
            until(lambda: made.exists() and made.stat().st_size > 1_000_000, "rows go in")
        finally:
            process.kill()
    assert process.returncode == -signal.SIGKILL, "it had ended before"
    assert not out.exists()
    assert made.exists()
    assert [path.read_bytes() for path in sides] == before
    told = told_by(merge(*sides, "--out", out))
    assert told["ticks"]["merged"] == 200_000
    assert not made.parent.exists()
    assert query(out, "SELECT count(*) FROM ticks") == [(200_000,)]


def test_where_no_file_may_grow_it_says_so_and_leaves_nothing(tmp_path: Path) -> None:
    """One line, 2, and nothing at its place or beside it."""
    sides = [record(tmp_path / f"{side}.db", [row("HK.00700", n) for n in range(side, 400)]) for side in range(2)]
    limited = ["bash", "-c", 'ulimit -f 24; exec "$@"', "limited"]  # 24 KiB
    done = subprocess.run(
        [*limited, *MERGE, *map(str, sides), "--out", str(tmp_path / "c.db")],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stdout) == (2, "")
    (line,) = done.stderr.splitlines()
    assert line == f"hk-tick-collector: not merged, and no {tmp_path / 'c.db'} was made: disk I/O error"
    assert {path.name for path in tmp_path.iterdir()} == {"0.db", "1.db"}
