"""Archiving while it is killed, on a full disk, with damaged files: nothing is lost, and nothing false is left."""

from __future__ import annotations

import json
import random
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from support.archiving import SILENT, archive, ask, folder_of, make_archived, make_day, seal_day
from support.recorder_process import RecorderProcess
from support.sealing import certificate
from support.simulator_process import SimulatorProcess
from support.ticks import DAY, TENCENT, pushes
from support.trading_time import clock_of
from support.writer_process import WriterBench, until

from hk_tick_collector.hktime import parse_time
from hk_tick_collector.parquet.layout import is_archived
from hk_tick_collector.seal.recheck import recheck
from hk_tick_collector.store.sealed import certificate_of, superseded

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.faults

KILLS = 50
FLIPS = 60


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[WriterBench]:
    """A journal and a DATA_ROOT."""
    bench = WriterBench(tmp_path)
    yield bench
    bench.end()


# One process starts all that are killed: each is a fork of it, so that a moment of its life is one of archiving.
_KILLED = """
import json, os, pathlib, random, shutil, signal, sys, time
from hk_tick_collector.archive.publishing import archive_day
from hk_tick_collector.parquet.opening import has_only_archive, open_day
from hk_tick_collector.seal.day import sealing
from hk_tick_collector.seal.recheck import recheck
import duckdb, pyarrow.parquet, pyarrow.compute

source, kills = pathlib.Path(sys.argv[1]), int(sys.argv[2])
rng, quiet = random.Random(7), lambda *_: None

def archive(root):
    pid = os.fork()
    if not pid:
        with sealing(root) as lock:
            archive_day(root / source.name, lock, quiet, keeps=False)
        os._exit(0)
    return pid

def ticks(database):
    con = open_day(database)
    try:
        return list(con.execute("SELECT * FROM ticks"))
    finally:
        con.close()

def fresh(name):
    root = source.parent.parent / name
    shutil.copytree(source.parent, root)
    return root

expected = ticks(source)
lasts_sec = 1e9
for name in "ab":  # on a machine that others use, too, the shorter one is nearer to what it takes
    began = time.monotonic()
    assert os.waitpid(archive(fresh(name)), 0)[1] == 0
    lasts_sec = min(lasts_sec, time.monotonic() - began)
told = {"killed": 0, "database": 0, "archive": 0}
for turn in range(3 * kills):
    if told["killed"] == kills:
        break
    root = fresh(f"turn-{turn}")
    database = root / source.name
    pid = archive(root)
    time.sleep(rng.uniform(0, lasts_sec))
    os.kill(pid, signal.SIGKILL)
    told["killed"] += os.WIFSIGNALED(os.waitpid(pid, 0)[1])
    told["archive" if has_only_archive(database) else "database"] += 1
    found = recheck(root, database.stem, quiet)
    assert not found.differences or not has_only_archive(database), (turn, found)
    assert database.exists() or has_only_archive(database), turn
    if database.exists():
        assert database.read_bytes() == source.read_bytes(), turn
    assert ticks(database) == expected, turn
    if database.exists():
        assert os.waitpid(archive(root), 0)[1] == 0, turn
    assert not recheck(root, database.stem, quiet).differences, turn
    assert ticks(database) == expected, turn
    assert not list((root / "archive").glob(".new*")), turn
    shutil.rmtree(root)
print(json.dumps(told))
"""


@pytest.mark.timeout(600)
def test_wherever_it_is_killed_the_database_or_the_proven_archive_is_there(tmp_path: Path) -> None:
    """At fifty random moments; and the next run ends what was begun."""
    database = make_day(tmp_path / "source", ticks=300)
    seal_day(database)
    done = subprocess.run(
        [sys.executable, "-c", _KILLED, str(database), str(KILLS)], check=False, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr[-3000:]
    told = json.loads(done.stdout)
    assert told["killed"] == KILLS
    assert told["database"] > KILLS // 2


_STEPS = """
import os, pathlib, sys
from hk_tick_collector.archive import publishing
from hk_tick_collector.seal.day import sealing
database, last = pathlib.Path(sys.argv[1]), int(sys.argv[2])
seen = 0

def step(of, name):
    done = getattr(of, name)
    def counted(*args, **named):
        global seen
        seen += 1
        if seen > last:
            os.kill(os.getpid(), 9)
        return done(*args, **named)
    setattr(of, name, counted)

for of, name in ((os, "fsync"), (os, "mkdir"), (pathlib.Path, "mkdir"), (pathlib.Path, "replace"),
                 (pathlib.Path, "unlink"), (pathlib.Path, "write_bytes"), (publishing, "write_ticks"),
                 (publishing, "write_ledger"), (publishing, "prove"), (publishing, "rmtree")):
    step(of, name)
with sealing(database.parent) as lock:
    publishing.archive_day(database, lock, lambda *_: None, keeps=False)
"""


@pytest.mark.timeout(300)
def test_killed_between_any_two_of_its_steps_it_can_be_read_and_ended(tmp_path: Path) -> None:
    """Before each file that is synced, renamed or deleted."""
    source = make_day(tmp_path / "source")
    seal_day(source)
    expected = ask(source, "SELECT * FROM ticks")
    seen: set[tuple[bool, bool]] = set()
    for turn in range(40):
        root = tmp_path / str(turn)
        shutil.copytree(source.parent, root)
        database = root / source.name
        code = subprocess.run([sys.executable, "-c", _STEPS, str(database), str(turn)], check=False).returncode
        if code == 0:
            break
        assert code == -9
        seen.add((database.exists(), is_archived(database)))
        assert ask(database, "SELECT * FROM ticks") == expected
        if database.exists():
            assert archive(database).is_removed
        assert not recheck(root, DAY, SILENT).differences
        assert ask(database, "SELECT * FROM ticks") == expected
    else:
        pytest.fail("it never came to its end")
    assert seen == {(True, False), (True, True), (False, True)}


def test_one_flipped_bit_anywhere_in_the_archive_is_found(tmp_path: Path) -> None:
    """In any of its files, and in the certificate beside it."""
    database = make_archived(tmp_path, ticks=400)
    assert not recheck(tmp_path, DAY, SILENT).differences
    files = [*sorted(folder_of(database).iterdir()), certificate_of(database)]
    rng = random.Random(5)
    sizes = [path.stat().st_size for path in files]
    hit = set()
    for _ in range(FLIPS):
        path = rng.choices(files, sizes)[0]
        whole = path.read_bytes()
        changed = bytearray(whole)
        place = rng.randrange(len(whole))
        changed[place] ^= 1 << rng.randrange(8)
        path.write_bytes(changed)
        assert recheck(tmp_path, DAY, SILENT).differences, (path.name, place)
        path.write_bytes(whole)
        hit.add(path.name)
    assert len(hit) > 2
    assert not recheck(tmp_path, DAY, SILENT).differences


def test_a_disk_that_takes_no_more_keeps_the_database(tmp_path: Path) -> None:
    """One line says so, the exit code is 1, and nothing half is left."""
    database = make_day(tmp_path, ticks=3000)
    seal_day(database)
    script = (
        "import resource, sys; resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, 10_000)); "
        "from hk_tick_collector.cli.app import entry; "
        f"sys.argv = ['x', 'archive', '{DAY}', '--keep-days', '0', '--data-root', {str(tmp_path)!r}]; entry()"
    )
    done = subprocess.run([sys.executable, "-c", script], check=False, capture_output=True, text=True)
    assert done.returncode == 1
    assert "File too large" in done.stderr
    assert "Traceback" not in done.stderr
    assert database.exists()
    assert not is_archived(database)
    assert not list((tmp_path / "archive").iterdir())


def test_a_late_tick_for_an_archived_day_is_kept_told_and_merged(bench: WriterBench) -> None:
    """The day waits; once it is a database again the tick is stored, and the next archive has it."""
    bench.feed(pushes(TENCENT, range(40)))
    writer = bench.write()
    writer.wait_until(inserted=40)
    assert writer.end() == 0
    database = bench.root / f"{DAY}.db"
    seal_day(database)
    archive(database)
    writer = bench.write(days_wait=True)
    bench.feed(pushes(TENCENT, [77]))
    until(lambda: bool(writer.log("day_waits")))
    line = writer.log("day_waits")[0]
    assert f"archive --restore {DAY}" in line
    assert not database.exists()
    command = [sys.executable, "-m", "hk_tick_collector", "archive", "--due", "--data-root", str(bench.root)]
    subprocess.run(command, check=True, capture_output=True)
    until(lambda: bool(writer.log("day_caught_up")))
    assert writer.end() == 0
    seal_day(database)
    assert certificate(database)["supersedes"] == max(superseded(database))
    assert archive(database).is_new
    assert len(ask(database, "SELECT seq FROM ticks")) == 41


def test_what_an_archived_day_holds_already_does_not_make_it_wait(bench: WriterBench) -> None:
    """A symbol's whole day is sent again, as OpenD does at each start: its hash is the certified one."""
    bench.feed(pushes(TENCENT, range(40)))
    writer = bench.write(days_wait=True)
    writer.wait_until(inserted=40)
    assert writer.end() == 0
    database = bench.root / f"{DAY}.db"
    seal_day(database)
    archive(database)
    writer = bench.write(days_wait=True)
    bench.feed(pushes(TENCENT, range(40)))
    writer.wait_until(duplicates=40)
    assert not writer.log("day_waits")
    assert writer.end() == 0
    assert not database.exists()


@pytest.mark.timeout(300)
def test_a_recorder_archives_at_night(tmp_path: Path) -> None:
    """Each day after it was sealed, and the database of one that is old enough goes."""
    with SimulatorProcess(tmp_path, "--date", "20260803", "--start", "17:00", "--speed", "1", "--hold") as sim:
        clock = clock_of(parse_time("2026-08-03 17:00:00").ms)
        settings = {"SEAL_ENABLED": "true", "SEAL_DELAY_MIN": "0", "ARCHIVE_ENABLED": "true", "ARCHIVE_KEEP_DAYS": "1"}
        recorder = RecorderProcess(tmp_path, sim.port, [TENCENT], **settings, **clock)
        database = make_day(recorder.data_root, DAY)
        with recorder:
            (line,) = recorder.wait_for("day_archived", timeout_sec=90)
            assert (line.fields["day"], line.fields["rows"]) == (DAY, "10")
            assert recorder.stop() == 0
    assert not recorder.log_lines("archive_failed")
    assert not database.exists()
    assert not recheck(recorder.data_root, DAY, SILENT).differences
