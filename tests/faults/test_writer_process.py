"""The writer as a real process, fed by a real journal: whatever is done to it, each tick is stored exactly once."""

from __future__ import annotations

import json
import os
import random
import re
import resource
import signal
import subprocess
import sys
import threading
import time
from typing import TYPE_CHECKING

import apsw
import pytest
from support.ticks import DAY, DAY_MS, HSBC, NEXT_DAY, OPEN_MS, TENCENT, body, push, pushes, reply, seq_at, ticker
from support.writer_process import WAIT_SEC, WriterBench, until

from hk_tick_collector.journal.cursor import CURSOR
from hk_tick_collector.journal.segments import DIRECTORY
from hk_tick_collector.opend.purpose import Purpose
from hk_tick_collector.store.opening import open_readonly
from hk_tick_collector.store.schema import day_files

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.faults

HOUR_MS = 3_600_000


def keys(symbol: str, ordinals: range) -> list[tuple[str, int]]:
    """What is stored of `pushes` of these."""
    return [(symbol, seq_at(n)) for n in ordinals]


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[WriterBench]:
    """A journal that is at work."""
    made = WriterBench(tmp_path)
    yield made
    made.end()


class LockHolder:
    """Another process that holds a day database's write lock."""

    def __init__(self, path: Path) -> None:
        script = """
import apsw, sys
con = apsw.Connection(sys.argv[1])
con.set_busy_timeout(60000)
con.execute("BEGIN IMMEDIATE")
print("held", flush=True)
sys.stdin.readline()
"""
        self._process = subprocess.Popen(
            [sys.executable, "-c", script, path], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        assert self._process.stdout is not None
        assert self._process.stdout.readline() == b"held\n"

    def release(self) -> None:
        """Let go."""
        self._process.communicate(b"\n")


# ---- its life


@pytest.mark.parametrize("word", [b"", b"stop\n"])
def test_it_stores_all_and_ends_with_its_standard_input(bench: WriterBench, word: bytes) -> None:
    """`stop`, or the end of the recorder, ends it with 0 once all is stored that the journal holds by then."""
    writer = bench.write(batch_size=100)
    writer.wait_for("ready")
    for start in range(0, 3000, 500):
        bench.feed(pushes(TENCENT, range(start, start + 500)))
    bench.feed(reply(HSBC, *(ticker(n) for n in range(700))))
    assert writer.end(word=word) == 0
    assert not list(bench.root.glob("*-wal")), "all is in the file itself"
    assert bench.keys() == keys(HSBC, range(700)) + keys(TENCENT, range(3000))
    totals = writer.wait_for("stopped")["totals"]
    assert (totals["rows"], totals["inserted"], totals["duplicates"], totals["bad"], totals["errors"]) == (
        3700, 3700, 0, 0, 0,
    )  # fmt: skip
    assert totals["commits"] >= 7
    assert sorted(bench.query("SELECT DISTINCT symbol, push_type FROM ticks")) == [
        (HSBC, "backfill"),
        (TENCENT, "push"),
    ]


def test_replies_are_told_by_what_they_were_asked_for(bench: WriterBench) -> None:
    """A tick of an audit is `poll`, one of a backfill `backfill`; what was pushed before stays `push`."""
    writer = bench.write()
    bench.feed(push(TENCENT, ticker(1)) + reply(TENCENT, ticker(1), ticker(2), purpose=Purpose.POLL))
    writer.wait_until(rows=3)
    bench.feed(reply(TENCENT, ticker(2), ticker(3), purpose=Purpose.BACKFILL) + reply(HSBC))
    writer.wait_until(rows=5)
    assert writer.end() == 0
    assert bench.query("SELECT seq, push_type FROM ticks") == [
        (seq_at(1), "push"), (seq_at(2), "poll"), (seq_at(3), "backfill"),
    ]  # fmt: skip
    assert writer.totals["duplicates"] == 2


def test_sigkill_at_any_moment_loses_and_doubles_nothing(bench: WriterBench) -> None:
    """Killed twenty times while it is fed, and started again each time: every tick is stored exactly once."""
    rng = random.Random(1)
    fed = 0
    is_over = threading.Event()

    def feed() -> None:
        nonlocal fed
        while not is_over.is_set():
            bench.journal.append_frames(1, OPEN_MS, pushes(TENCENT, range(fed, fed + 40)))
            if fed % 400 == 0:
                bench.journal.append_frames(1, OPEN_MS, reply(TENCENT, *(ticker(n) for n in range(fed, fed + 60))))
            fed += 40
            time.sleep(0.005)

    feeder = threading.Thread(target=feed)
    feeder.start()
    kills_in_work = 0
    try:
        for _ in range(20):
            writer = bench.write(batch_size=50)
            writer.wait_for("ready")
            time.sleep(rng.random() * 0.15)
            behind = writer.totals.get("rows", 0)
            writer.kill()
            kills_in_work += behind > 0
    finally:
        is_over.set()
        feeder.join()
    assert bench.journal.flush(WAIT_SEC)
    assert kills_in_work >= 5, "most kills came before the first commit"
    last = bench.write()
    assert last.end() == 0
    assert bench.keys() == keys(TENCENT, range(fed + 20 if (fed - 40) % 400 == 0 else fed))
    assert bench.query("SELECT count(*) FROM tick_revisions") == [(0,)]
    counted = bench.query("SELECT symbol, count(*), sum(volume) FROM ticks GROUP BY symbol")
    assert bench.query("SELECT symbol, rows, volume_sum FROM symbol_stats") == counted
    assert bench.query("PRAGMA integrity_check") == [("ok",)]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_signals_to_the_whole_group_are_ignored(bench: WriterBench, number: signal.Signals) -> None:
    """What a terminal or a supervisor sends to all processes does not end it: only the recorder knows the end."""
    writer = bench.write()
    writer.wait_for("ready")
    writer.process.send_signal(number)
    bench.feed(pushes(TENCENT, range(10)))
    writer.wait_until(inserted=10)
    writer.process.send_signal(number)
    bench.feed(pushes(TENCENT, range(10, 20)))
    assert writer.end() == 0
    assert bench.keys() == keys(TENCENT, range(20))


def test_sigusr1_dumps_its_stacks(bench: WriterBench) -> None:
    """SIGUSR1 writes where it is to its log, and it goes on."""
    writer = bench.write()
    writer.wait_for("ready")
    writer.process.send_signal(signal.SIGUSR1)
    until(lambda: any("most recent call first" in line for line in writer.log()))
    bench.feed(pushes(TENCENT, range(5)))
    assert writer.end() == 0
    assert bench.keys() == keys(TENCENT, range(5))


def test_a_second_writer_waits_for_the_first(bench: WriterBench) -> None:
    """Two writers never work at once: the second does nothing before the first has ended, and then goes on."""
    first = bench.write()
    first.wait_for("ready")
    second = bench.write()
    bench.feed(pushes(TENCENT, range(100)))
    first.wait_until(inserted=100)
    time.sleep(1.0)
    assert second.process.poll() is None
    assert second.messages == []
    assert first.end() == 0
    second.wait_for("ready")
    bench.feed(pushes(TENCENT, range(100, 150)))
    assert second.end() == 0
    assert second.totals["rows"] == 50
    assert bench.keys() == keys(TENCENT, range(150))


def test_a_recorder_that_does_not_listen_stops_nothing(bench: WriterBench) -> None:
    """With the pipe to the recorder full, lines are dropped and ticks are stored."""
    writer = bench.write(is_heard=False, batch_size=1)
    for n in range(300):
        bench.journal.append_frames(1, OPEN_MS, push(TENCENT, ticker(n)))
    assert bench.journal.flush(WAIT_SEC)
    until(lambda: len(bench.keys()) == 300)
    assert writer.end() == 0
    said = writer.stdout.read()
    assert 3000 < len(said) <= 4096, "the pipe was full"
    lines = [json.loads(line) for line in said.splitlines()]
    assert lines[0]["event"] == "ready"
    assert sum(line["event"] == "commit" for line in lines) < 50
    assert bench.keys() == keys(TENCENT, range(300))


# ---- what it is fed


def test_ticks_of_two_days_in_one_batch(bench: WriterBench) -> None:
    """Each tick goes into its own day's file, also where one message holds both days."""
    late, early = OPEN_MS + 14 * HOUR_MS - 1000, OPEN_MS + 14 * HOUR_MS
    bench.feed(pushes(TENCENT, range(50), late) + pushes(TENCENT, range(50, 90), early) + pushes(HSBC, range(5), late))
    bench.feed(reply(HSBC, ticker(8, late), ticker(9, early), ticker(10, early)))
    writer = bench.write()
    writer.wait_until(rows=98)
    assert writer.end() == 0
    assert [path.name for path in day_files(bench.root)] == [f"{DAY}.db", f"{NEXT_DAY}.db"]
    assert bench.query("SELECT trading_day, symbol, count(*) FROM ticks GROUP BY symbol") == [
        (DAY, HSBC, 6), (DAY, TENCENT, 50), (NEXT_DAY, HSBC, 2), (NEXT_DAY, TENCENT, 40),
    ]  # fmt: skip
    assert bench.query("SELECT sum(rows) FROM symbol_stats") == [(56,), (42,)]


def test_a_feed_with_many_dates_opens_few_files_at_once(bench: WriterBench) -> None:
    """Forty days in one batch are all stored, by a writer that may have no more than 64 files open."""
    days = range(-39, 1)
    bench.feed(b"".join(pushes(TENCENT, range(3), OPEN_MS + day * DAY_MS) for day in days))
    writer = bench.write()
    resource.prlimit(writer.process.pid, resource.RLIMIT_NOFILE, (64, 64))
    bench.feed(b"".join(pushes(HSBC, range(2), OPEN_MS + day * DAY_MS) for day in days))
    writer.wait_until(inserted=40 * 5)
    assert writer.end() == 0
    assert writer.totals["errors"] == 0
    assert len(day_files(bench.root)) == 40
    assert bench.query("SELECT count(*), count(DISTINCT trading_day) FROM ticks") == [(5, 1)] * 40


def test_a_bad_row_is_kept_aside_with_its_bytes(bench: WriterBench) -> None:
    """What makes no sense is put into `bad_ticks` with the reason, the rest is stored, and a replay adds nothing."""
    bad = [
        body(TENCENT, [ticker(1), ticker(2, time="yesterday"), ticker(3)]),
        body(HSBC, [ticker(4, price=float("nan"))]),
        b"\xff\xffnothing that can be read",
    ]
    frames = [push(TENCENT, ticker(0))]
    frames.append(push(TENCENT, ticker(1), ticker(2, time="yesterday"), ticker(3)))
    frames.append(push(HSBC, ticker(4, price=float("nan"))))
    unreadable = push(HSBC, ticker(5))[:44]
    size = len(bad[2]).to_bytes(4, "little")
    frames.append(unreadable[:12] + size + unreadable[16:] + bad[2])
    bench.feed(b"".join(frames) + pushes(HSBC, range(6, 9)))
    writer = bench.write()
    writer.wait_until(rows=9)
    assert writer.end() == 0
    assert bench.keys() == [*keys(HSBC, range(6, 9)), (TENCENT, seq_at(0)), (TENCENT, seq_at(1)), (TENCENT, seq_at(3))]
    found = bench.query("SELECT frame, place, symbol, recv_ts_ms, error, raw FROM bad_ticks ORDER BY frame")
    assert [(frame, place, symbol) for frame, place, symbol, *_ in found] == [
        (1, 1, TENCENT), (2, 0, HSBC), (3, -1, ""),
    ]  # fmt: skip
    assert "yesterday" in found[0][4]
    assert "nan" in found[1][4]
    assert found[2][5] == bad[2]
    assert all(recv == OPEN_MS for *_, recv, _, _ in found)
    assert all(raw and raw in b"".join(frames) for *_, raw in found), "the bytes that came"
    assert writer.totals["bad"] == 3
    assert len(writer.log("bad_tick_kept_aside")) == 1
    (bench.root / DIRECTORY / CURSOR).unlink()
    again = bench.write()
    again.wait_until(rows=9)
    assert again.end() == 0
    assert (again.totals["inserted"], again.totals["duplicates"]) == (0, 6)
    assert bench.query("SELECT frame, place, symbol, recv_ts_ms, error, raw FROM bad_ticks ORDER BY frame") == found


def test_a_wrong_time_is_corrected_logged_and_counted(bench: WriterBench) -> None:
    """A time 8 h late by two witnesses is corrected; the original is kept, a warning names it, and all are counted."""
    wrong = "2026-07-31 18:00:00"
    bench.feed(push(TENCENT, ticker(1, time=wrong)) + push(TENCENT, ticker(2)) + push(TENCENT, ticker(3, time=wrong)))
    writer = bench.write()
    writer.wait_until(rows=3)
    assert writer.end() == 0
    assert bench.query("SELECT seq, ts_ms FROM ticks") == [(seq_at(n), OPEN_MS) for n in (1, 2, 3)]
    assert bench.query("SELECT seq, original_time, original_ts_ms, ts_ms FROM time_corrections") == [
        (seq_at(n), wrong, OPEN_MS + 8 * HOUR_MS, OPEN_MS) for n in (1, 3)
    ]
    (line,) = writer.log("ts_ms_future_offset_corrected")
    assert "WARNING" in line
    assert f"symbol={TENCENT} seq={seq_at(1)} " in line
    assert "corrected=2" in line
    assert writer.totals["corrected"] == 2


def test_revisions_are_kept_and_told_at_a_limited_rate(bench: WriterBench) -> None:
    """Other contents of a stored tick go beside it; each batch counts them, and not each one is logged."""
    writer = bench.write()
    bench.feed(push(TENCENT, ticker(1)))
    writer.wait_until(inserted=1)
    for n in range(1, 6):
        bench.feed(push(TENCENT, ticker(1, volume=1000 + n)))
        writer.wait_until(revisions=n)
    assert writer.end() == 0
    assert bench.query("SELECT volume FROM ticks") == [(200,)]
    assert bench.query("SELECT volume FROM tick_revisions") == [(1000 + n,) for n in range(1, 6)]
    (line,) = writer.log("tick_revised")
    assert "WARNING" in line
    assert "revisions=1" in line


@pytest.mark.parametrize(("asked", "told"), [("FULL", 2), ("NORMAL", 1)])
def test_synchronous_is_what_was_asked_for(bench: WriterBench, asked: str, told: int) -> None:
    """The log tells the pragmas that are in force, once for each day that is opened."""
    bench.feed(pushes(TENCENT, range(3)) + pushes(TENCENT, range(3), OPEN_MS + DAY_MS))
    writer = bench.write(synchronous=asked)
    writer.wait_until(inserted=6)
    assert writer.end() == 0
    lines = writer.log("sqlite_pragmas")
    assert [re.findall(r"day=(\d+)", line) for line in lines] == [[DAY], [NEXT_DAY]]
    assert all(f" synchronous={told} " in line and " journal_mode=wal " in line for line in lines)
    assert len(bench.keys()) == 6


# ---- a database that can't be written


def rss_kib(pid: int) -> int:
    """Resident memory of a process."""
    with open(f"/proc/{pid}/status", encoding="ascii") as file:  # noqa: PTH123
        match = re.search(r"VmRSS:\s+(\d+) kB", file.read())
    assert match is not None
    return int(match[1])


def test_a_lock_that_is_held_too_long_is_waited_out(bench: WriterBench) -> None:
    """While another process holds the write lock, errors are told, memory stays flat, and then all is stored."""
    bench.feed(pushes(TENCENT, range(2000)))
    writer = bench.write(batch_size=500)
    writer.wait_until(inserted=2000)
    holder = LockHolder(bench.root / f"{DAY}.db")
    bench.feed(pushes(TENCENT, range(2000, 2500)))
    error = writer.wait_for("error")
    assert error["error"].startswith("BusyError")
    before_kib = rss_kib(writer.process.pid)
    for start in range(2500, 42_500, 1000):
        bench.feed(pushes(TENCENT, range(start, start + 1000)))
    errors = len(writer.events("error"))
    assert writer.wait_for("error", errors + 3)["failures"] >= 3
    assert rss_kib(writer.process.pid) - before_kib < 16_000
    assert len(bench.keys()) == 2000, "the lock was really held"
    holder.release()
    assert writer.end() == 0
    assert bench.keys() == keys(TENCENT, range(42_500))
    assert writer.log("persist_failed")
    assert writer.totals["errors"] >= 4
    assert writer.totals["duplicates"] == 0


def test_an_unreadable_day_database_is_waited_out(bench: WriterBench) -> None:
    """While a day's file is no database, errors name it and nothing is passed over; once it is moved, all is stored."""
    garbage = bench.root / f"{DAY}.db"
    garbage.write_bytes(b"garbage" * 3000)
    bench.feed(pushes(TENCENT, range(100)))
    writer = bench.write()
    assert writer.wait_for("error", 3)["error"].startswith("NotADBError")
    bench.feed(pushes(TENCENT, range(100, 200)) + pushes(HSBC, range(10), OPEN_MS + DAY_MS))
    writer.wait_for("error", 5)
    assert garbage.read_bytes() == b"garbage" * 3000
    garbage.rename(bench.root / "moved")
    writer.wait_until(inserted=210)
    assert writer.end() == 0
    assert len(bench.keys()) == 210
    assert bench.query("SELECT sum(rows) FROM symbol_stats") == [(200,), (10,)]


def test_it_gives_up_when_it_was_told_to(bench: WriterBench) -> None:
    """With PERSIST_RETRY_MAX_ATTEMPTS it ends with 1 after so many failures, and the next one stores what is left."""
    (bench.root / f"{DAY}.db").mkdir()
    bench.feed(pushes(TENCENT, range(10)))
    writer = bench.write(retry_max_attempts=3)
    assert writer.wait() == 1
    assert [error["failures"] for error in writer.events("error")] == [1, 2, 3]
    assert len(writer.log("persist_gave_up")) == 1
    (bench.root / f"{DAY}.db").rmdir()
    assert bench.write().end() == 0
    assert bench.keys() == keys(TENCENT, range(10))


def test_a_reader_that_holds_a_snapshot_stops_nothing(bench: WriterBench) -> None:
    """While a reader keeps the log from being moved into the database, ticks are stored; afterwards the log shrinks."""
    bench.feed(pushes(TENCENT, range(100)))
    writer = bench.write(wal_autocheckpoint_pages=100, batch_size=200)
    writer.wait_until(inserted=100)
    con = apsw.Connection(f"file:{bench.root}/{DAY}.db?mode=ro", flags=apsw.SQLITE_OPEN_READONLY | apsw.SQLITE_OPEN_URI)
    con.execute("BEGIN")
    assert con.execute("SELECT count(*) FROM ticks").get == 100
    for start in range(100, 20_100, 1000):
        bench.feed(pushes(f"HK.{start:05}", range(1000)))
    writer.wait_until(inserted=20_100)
    assert con.execute("SELECT count(*) FROM ticks").get == 100
    wal = os.stat(f"{bench.root}/{DAY}.db-wal").st_size  # noqa: PTH116
    assert wal > 200 * 4096
    con.execute("COMMIT")
    con.close()
    assert writer.end() == 0
    assert not list(bench.root.glob("*-wal"))
    assert len(bench.keys()) == 20_100


# ---- readers


def test_a_reader_that_keeps_its_snapshot_does_not_fill_the_disk(bench: WriterBench) -> None:
    """While a reader holds the log commits become seldom, and it is told; once it is gone the log is emptied."""
    symbols = [f"HK.{number:05}" for number in range(1, 901)]
    bench.feed(b"".join(push(symbol, ticker(0)) for symbol in symbols))
    writer = bench.write()
    writer.wait_until(inserted=900)
    path = day_files(bench.root)[0]
    reader = open_readonly(path)
    reader.execute("BEGIN")
    assert reader.execute("SELECT count(*) FROM ticks").get == 900
    fed = 1
    while not writer.log("wal_held"):
        bench.feed(b"".join(push(symbol, ticker(fed)) for symbol in symbols))
        fed += 1
        assert fed < 5000, writer.log()[-5:]
    told = writer.events("commit")[-1]
    beyond = [message for message in writer.events("commit") if message["wal_bytes"] > 90_000_000]
    rows = beyond[-1]["totals"]["rows"] - beyond[0]["totals"]["rows"]
    grown = beyond[-1]["wal_bytes"] - beyond[0]["wal_bytes"]
    assert grown < rows * 1000, "a commit of a row for each symbol takes 4,100 bytes a row"
    assert told["wal_held_sec"] > 0
    assert reader.execute("SELECT count(*) FROM ticks").get == 900, "its snapshot is left alone"
    reader.close()
    until(lambda: bool(writer.log("wal_released")), lambda: writer.log()[-5:])
    assert writer.end() == 0
    assert bench.keys() == sorted((symbol, seq_at(n)) for symbol in symbols for n in range(fed))
