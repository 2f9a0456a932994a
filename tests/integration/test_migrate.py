"""`hk-tick-collector migrate` as it is typed, on databases that the older recorder's own statements have made.

100,000 rows and every state that such a database is left in: at rest, with a log that is not checkpointed, with a
process that writes to it, locked, cut in half. Expected rows are computed here, from the trades as they were.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING, Any, Final

import pytest
from support.late_ticks import query
from support.older_recorder import (
    DAY,
    HOUR_MS,
    LATE_MS,
    NEXT_DAY,
    OPEN_MS,
    OldTick,
    connect,
    held_elsewhere,
    insert,
    make_old,
    old_tick,
    states,
)
from support.recorder_process import RecorderProcess, until
from support.simulator_process import SimulatorProcess

from hk_tick_collector.clock import wall_ms
from hk_tick_collector.hktime import hk_day

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

ROWS: Final = 100_000
SYMBOLS: Final = [f"HK.{number:05}" for number in range(1, 41)]
COMMAND: Final = (sys.executable, "-m", "hk_tick_collector.cli.app", "migrate")
LOGGED, LIVE, LOCKED, HALF = "20261121", "20261123", "20261124", "20261125"
DAYS_MS: Final = {day: OPEN_MS + n * 24 * HOUR_MS for day, n in ((LOGGED, 2), (LIVE, 4), (LOCKED, 5), (HALF, 6))}

Row = tuple[str, int, int, float, int, float]


class Market:
    """What was traded, what the older recorder made of it, and what should be stored here."""

    def __init__(self) -> None:
        self.files: dict[str, list[OldTick]] = {}
        self.ticks: dict[str, dict[tuple[str, int], Row]] = {}
        self.unnumbered: dict[str, int] = {}
        self.revisions: dict[str, list[Row]] = {}

    def trade(self, tick: OldTick, day: str, file_day: str, ts_ms: int) -> None:
        """A trade of `ts_ms` on a day, which stands in the file of some day with whatever time."""
        self.files.setdefault(file_day, []).append(tick._replace(trading_day=file_day))
        if tick.seq is None:
            self.unnumbered[day] = self.unnumbered.get(day, 0) + 1
            return
        row = (tick.symbol, tick.seq, ts_ms, tick.price, tick.volume, tick.turnover)
        first = self.ticks.setdefault(day, {}).setdefault(row[:2], row)
        if first != row:
            self.revisions.setdefault(day, []).append(row)

    def large_day(self) -> None:
        """100,000 trades: late ones, ones without a sequence, and an auction that is in the next day's file."""
        for n in range(ROWS):
            ts_ms = OPEN_MS + n * 200 // 1000 * 1000
            late_ms = LATE_MS if n % 50 == 0 else 0
            tick = old_tick(SYMBOLS[n % len(SYMBOLS)], n, ts_ms, late_ms, price=100 + n % 97 / 10, volume=100 + n)
            self.trade(tick._replace(seq=None) if n % 1000 == 1 else tick, DAY, DAY, ts_ms)
        auction_ms = OPEN_MS + 398 * 60_000  # 16:08
        for n in range(40):
            late = old_tick(SYMBOLS[n], ROWS + n, auction_ms, LATE_MS)
            if n < 20:  # it was fetched again, with the right time, and once with another price
                self.trade(old_tick(SYMBOLS[n], ROWS + n, auction_ms), DAY, DAY, auction_ms)
                late = late._replace(price=1.0) if n < 5 else late
            self.trade(late, DAY, NEXT_DAY, auction_ms)

    def small_day(self, day: str, open_ms: int, trades: int = 500) -> None:
        """A few trades of another day."""
        for n in range(trades):
            ts_ms = open_ms + n * 500 // 1000 * 1000
            self.trade(old_tick(SYMBOLS[n % 7], n, ts_ms), day, day, ts_ms)

    def check(self, root: Path, day: str) -> None:
        """What is stored of a day is what was traded, row for row."""
        path = root / f"{day}.db"
        select = "SELECT symbol, seq, ts_ms, price, volume, turnover FROM "
        stored = query(path, select + "ticks WHERE seq > 0 ORDER BY symbol, seq")
        assert stored == sorted(self.ticks[day].values())
        assert query(path, "SELECT count(*) FROM ticks WHERE seq < 0") == [(self.unnumbered.get(day, 0),)]
        revisions = query(path, select + "tick_revisions ORDER BY symbol, seq")
        assert revisions == sorted(self.revisions.get(day, []))


@pytest.fixture
def market() -> Market:
    """A large day, the next one, and some more."""
    made = Market()
    made.large_day()
    made.small_day(NEXT_DAY, OPEN_MS + 24 * HOUR_MS)
    for day, open_ms in DAYS_MS.items():
        made.small_day(day, open_ms)
    return made


@contextmanager
def recorded(market: Market, old: Path) -> Iterator[None]:
    """The older recorder's DATA_ROOT, with a process that still writes to one day, and one that locks another."""
    old.mkdir()
    for day in (DAY, NEXT_DAY, HALF):
        make_old(old / f"{day}.db", market.files[day])
    os.truncate(old / f"{HALF}.db", (old / f"{HALF}.db").stat().st_size // 2 + 777)
    there = old.parent / "killed"
    there.mkdir()
    with closing(connect(there / f"{LOGGED}.db")) as con:  # a log that was never checkpointed
        insert(con, market.files[LOGGED])
        for name in (f"{LOGGED}.db", f"{LOGGED}.db-wal"):
            shutil.copyfile(there / name, old / name)
    make_old(old / f"{LIVE}.db", market.files[LIVE][:100])
    make_old(old / f"{LOCKED}.db", market.files[LOCKED], journal_mode="DELETE")
    with closing(sqlite3.connect(old / f"{LIVE}.db")) as live:
        insert(live, market.files[LIVE][100:])
        with held_elsewhere(old / f"{LOCKED}.db", "BEGIN EXCLUSIVE", "DELETE FROM ticks"):
            yield


def lasting(old: Path) -> dict[str, tuple[bytes, int]]:
    """All files but the shared memory of readers."""
    return {name: state for name, state in states(old).items() if not name.endswith("-shm")}


def start(old: Path, root: Path) -> subprocess.Popen[str]:
    """Begin to take the days over."""
    command = (*COMMAND, str(old), "--data-root", str(root), "--json")
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=old.parent)


def finish(old: Path, root: Path) -> tuple[int, dict[str, Any], str]:
    """Take the days over: the exit code, the days by name, and what was said on standard error."""
    with start(old, root) as process:
        out, err = process.communicate()
    return process.returncode, {day["day"]: day for day in json.loads(out)["days"]}, err


def test_every_row_is_taken_over_whatever_state_its_file_is_in(market: Market, tmp_path: Path) -> None:
    """A locked file and half a file are one line each; no file of the old ones changes; then the lock is gone."""
    old, root = tmp_path / "old", tmp_path / "data"
    with recorded(market, old):
        before = lasting(old)
        code, days, _ = finish(old, root)
        assert lasting(old) == before
    assert code == 1
    assert {day: told["result"] for day, told in days.items()} == {
        DAY: "imported", NEXT_DAY: "imported", LOGGED: "imported", LIVE: "imported", LOCKED: "NOT DONE",
        HALF: "NOT DONE",
    }  # fmt: skip
    assert days[LOCKED]["error"] == (
        f"{old}/{LOCKED}.db is locked by another process: end that one, and run this again"
    )
    assert days[HALF]["error"].startswith(f"{old}/{HALF}.db is damaged")
    large = days[DAY]
    assert (large["rows"], large["late"], large["duplicates"], large["conflicts"]) == (ROWS + 60, 2040, 15, 5)
    assert large["stored"] == ROWS + 40
    for day in (DAY, NEXT_DAY, LOGGED, LIVE):
        market.check(root, day)
    code, days, _ = finish(old, root)
    assert (code, days[LOCKED]["result"], days[LIVE]["result"]) == (1, "imported", "same")
    market.check(root, LOCKED)
    assert sorted(path.name for path in root.iterdir()) == [
        f"{day}.db" for day in (DAY, NEXT_DAY, LOGGED, LIVE, LOCKED)
    ]


def test_a_killed_run_leaves_no_half_day_and_the_next_one_goes_on(market: Market, tmp_path: Path) -> None:
    """Killed as the first day is made, as it is there, and as the next one is made: each day that is there is whole."""
    old, root = tmp_path / "old", tmp_path / "data"
    market.small_day(NEXT_DAY, OPEN_MS + 25 * HOUR_MS, 30_000)  # long enough to be killed while it is made
    for day in (DAY, NEXT_DAY):
        make_old(old / f"{day}.db", market.files[day])
    before = states(old)
    moments = (
        (root / ".migrate" / f"{DAY}.db").exists,
        lambda: size_of(root / ".migrate" / f"{DAY}.db") > 1_000_000,
        (root / f"{DAY}.db").exists,
        (root / ".migrate" / f"{NEXT_DAY}.db").exists,
    )
    for number, moment in enumerate(moments):
        process = start(old, root)
        until(lambda at=moment, it=process: at() or it.poll() is not None, "the moment of the kill")
        process.send_signal(signal.SIGKILL)
        process.communicate()
        assert process.returncode == -signal.SIGKILL, f"it had ended before moment {number}"
        assert (root / ".migrate").exists()
        assert (root / f"{DAY}.db").exists() is (number >= 2)
        if number >= 2:
            market.check(root, DAY)
    code, days, _ = finish(old, root)
    assert (code, days[DAY]["result"]) == (0, "same")
    assert days[NEXT_DAY]["result"] == "imported"
    market.check(root, DAY)
    market.check(root, NEXT_DAY)
    assert states(old) == before
    assert sorted(path.name for path in root.iterdir()) == [f"{DAY}.db", f"{NEXT_DAY}.db"]


def size_of(path: Path) -> int:
    """A file's size; 0 if it does not exist."""
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0


def test_a_recorder_records_beside_what_the_older_one_left(tmp_path: Path) -> None:
    """Its settings and its databases are named, each with what to do; today is recorded."""
    root = tmp_path / "recorded"
    root.mkdir()
    day = hk_day(wall_ms() - 48 * HOUR_MS)
    make_old(root / f"{day}.db", [old_tick(SYMBOLS[0], 1)])
    settings = {"TG_TOKEN": "123456:SECRET", "FUTU_HOLIDAYS": "20261225", "SQLITE_JOURNAL_MODE": "WAL"}
    with (
        SimulatorProcess(tmp_path, "--now", "--hold", "--symbols", "2") as sim,
        RecorderProcess(tmp_path, sim.port, ["HK.00700"], name="recorded", **settings) as recorder,
    ):
        recorder.wait_for("backfill_done")
        recorder.wait_for("day_unusable")
        assert recorder.stop() == 0
    log = recorder.log_path.read_text()
    warned = [line for line in log.splitlines() if " setting_of_older_recorder " in line]
    assert [name for name in settings for line in warned if f" name={name} " in line] == list(settings)
    assert 'became="(environment) not needed: OpenD is asked for the exchange\'s calendar"' in log
    assert "was made by the older recorder (futu_tick_downloader): use another DATA_ROOT" in log
    assert "SECRET" not in log


def test_today_is_recorded_where_the_older_recorder_had_begun_it(tmp_path: Path) -> None:
    """Not while that one runs. Then its file and its log are moved aside, and the logged command takes it over."""
    root, day = tmp_path / "recorded", hk_day(wall_ms())
    path = make_old(root / f"{day}.db", [old_tick(SYMBOLS[0], n, wall_ms() // 1000 * 1000) for n in range(5)])
    with SimulatorProcess(tmp_path, "--now", "--hold", "--symbols", "HK.00700") as sim:
        recorder = RecorderProcess(tmp_path, sim.port, ["HK.00700"], name="recorded")
        with held_elsewhere(path, "DELETE FROM ticks WHERE seq % 2 = 0", "COMMIT", "SELECT count(*) FROM ticks"):
            recorder.start()
            assert recorder.wait() == 2
            assert size_of(path.with_name(f"{path.name}-wal")) > 0
        rows = query(path, "SELECT count(*) FROM ticks")
        (refused,) = recorder.log_path.read_text().splitlines()
        assert f") has {path} open, which was made by the older recorder (futu_tick_downloader): two " in refused
        with recorder:
            recorder.wait_for("backfill_done")
            (line,) = recorder.log_lines("older_day_moved")
            kept = root / "older-recorder" / path.name
            assert (line.level, line.fields["day"], line.fields["kept"]) == ("WARNING", day, str(kept))
            sim.command("pause")
            recorder.wait_until_stored(sim)
            assert recorder.stop() == 0
    assert query(kept, "SELECT count(*) FROM ticks") == rows
    command = line.fields["cure"].partition(" takes ")[0].replace("NEW_DATA_ROOT", str(tmp_path / "new")).split()
    done = subprocess.run([*COMMAND, *command[2:], "--json"], capture_output=True, text=True, check=True)
    (told,) = json.loads(done.stdout)["days"]
    assert (told["day"], told["result"], told["stored"]) == (day, "imported", rows[0][0])
