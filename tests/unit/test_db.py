"""Day databases: each tick once, other contents of it beside it, and statistics that always tell what is stored."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

import apsw
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from support.ticks import DAY, HSBC, NEXT_DAY, OPEN_MS, TENCENT, row, seq_at

from hk_tick_collector.db import DayDatabase, Inserted, Pragmas
from hk_tick_collector.errors import DatabaseError
from hk_tick_collector.mapping import Correction
from hk_tick_collector.store import stored as stored_module
from hk_tick_collector.store.opening import open_readonly
from hk_tick_collector.store.stored import (
    Seed,
    StoredTicks,
    check_today,
    find_day,
    future_days,
    newest_day_with_rows,
    read_stats,
    seed_last_seq,
    unusable_days,
)
from hk_tick_collector.writer import day_databases
from hk_tick_collector.writer.day_databases import DayDatabases

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from hk_tick_collector.mapping import Row

HOUR_MS = 3_600_000


@pytest.fixture
def database(tmp_path: Path) -> Iterator[DayDatabase]:
    """A new day database."""
    made = DayDatabase(tmp_path / f"{DAY}.db", Pragmas())
    yield made
    made.close()


def by_symbol(rows: Iterable[Row]) -> dict[str, list[Row]]:
    """Rows as `store` takes them."""
    found: dict[str, list[Row]] = {}
    for one in rows:
        found.setdefault(one[0], []).append(one)
    return found


def query(database: DayDatabase, sql: str) -> list[tuple[object, ...]]:
    """What a reader sees."""
    con = open_readonly(database.path)
    try:
        return con.execute(sql).fetchall()
    finally:
        con.close()


# ---- inserting


@pytest.mark.parametrize("way", ["pushed", "fetched"])
def test_new_duplicate_and_revised_rows_in_one_batch(database: DayDatabase, way: str) -> None:
    """In one batch as over two: first write wins, the same again is a duplicate, other content is a revision."""
    first = row(TENCENT, seq_at(1))
    batch = [
        first,
        row(TENCENT, seq_at(2)),
        row(TENCENT, seq_at(1), push_type_id=1, recv_ts_ms=5, inserted_at_ms=6),  # the same tick on another way
        row(TENCENT, seq_at(2), price=1.0),
        row(HSBC, seq_at(1)),
        row(TENCENT, seq_at(2), price=1.0),  # the same revision again
        row(TENCENT, seq_at(2), volume=7),
    ]
    done = database.store(by_symbol(batch), {}) if way == "pushed" else database.store({}, by_symbol(batch))
    assert done == Inserted(3, 1, 3)
    assert query(database, "SELECT symbol, seq, price, recv_ts_ms FROM ticks") == [
        (HSBC, seq_at(1), 372.4, OPEN_MS + 40),
        (TENCENT, seq_at(1), 372.4, OPEN_MS + 40),
        (TENCENT, seq_at(2), 372.4, OPEN_MS + 40),
    ]
    assert query(database, "SELECT seq, price, volume FROM tick_revisions ORDER BY price") == [
        (seq_at(2), 1.0, 100),
        (seq_at(2), 372.4, 7),
    ]


def test_a_replay_changes_nothing(database: DayDatabase) -> None:
    """The same batch again, whole or in part, leaves every table byte for byte as it was."""
    pushed = by_symbol([row(TENCENT, seq_at(n)) for n in range(20)] + [row(HSBC, -5), row(HSBC, seq_at(3), price=2.0)])
    fetched = by_symbol([row(TENCENT, seq_at(n), push_type_id=2) for n in range(15, 30)] + [row(HSBC, seq_at(3))])
    corrections = [Correction(TENCENT, seq_at(1), "2026-07-31 18:00:00", OPEN_MS + 8 * HOUR_MS, OPEN_MS, "test")]
    bad = [(b"digest", TENCENT, OPEN_MS, "price nan", b"raw", 1, 2, 3, 4)]
    tables = ("ticks", "tick_revisions", "symbol_stats", "time_corrections", "bad_ticks")
    assert database.store(pushed, fetched, corrections, bad) == Inserted(32, 5, 1)
    before = [query(database, f"SELECT * FROM {table}") for table in tables]  # noqa: S608
    assert [len(rows) for rows in before] == [32, 1, 2, 1, 1]
    assert database.store(pushed, fetched, corrections, bad) == Inserted(0, 37, 1)
    assert database.store({TENCENT: pushed[TENCENT][:3]}, {}) == Inserted(0, 3, 0)
    assert [query(database, f"SELECT * FROM {table}") for table in tables] == before  # noqa: S608


@pytest.mark.parametrize("old", [[0], [19], [20], [39, 40], [64], [0, 1, 2, 20, 21, 63, 64], list(range(65))], ids=str)
def test_rows_that_are_there_are_told_from_new_ones_wherever_they_stand(database: DayDatabase, old: list[int]) -> None:
    """Rows go in many at once; one that is there already, at any place among them, costs no other row anything."""
    rows = [row(TENCENT, seq_at(n)) for n in range(65)]
    same, other = old[::2], old[1::2]
    stored = [rows[n] for n in same] + [row(TENCENT, seq_at(n), price=1.0) for n in other]
    database.store(by_symbol(stored), {})
    done = database.store(by_symbol(rows), {})
    assert done == Inserted(len(rows) - len(old), len(same), len(other))
    assert query(database, "SELECT seq FROM ticks ORDER BY seq") == [(r[1],) for r in rows]
    assert query(database, "SELECT seq FROM tick_revisions ORDER BY seq") == [(seq_at(n),) for n in sorted(other)]
    assert query(database, "SELECT rows FROM symbol_stats") == [(len(rows),)]


def test_a_replay_takes_time_as_the_rows_do(database: DayDatabase) -> None:
    """Rows that are all there already cost about the same each, however many: a replay must come to its end."""

    def sec(count: int) -> float:
        rows = by_symbol([row(TENCENT, seq_at(n)) for n in range(count)])
        database.store(rows, {})
        began = time.process_time()
        assert database.store(rows, {}) == Inserted(0, count, 0)
        return time.process_time() - began

    few, many = min(sec(1000) for _ in range(3)), sec(16_000)
    assert many < few * 16 * 6, "a quadratic cost would be 16 times more"


def test_a_batch_is_stored_whole_or_not_at_all(database: DayDatabase) -> None:
    """An error in the batch's last part leaves nothing of its first, and the file can be opened and written again."""
    with pytest.raises(apsw.Error):
        database.store(by_symbol([row(TENCENT, seq_at(1))]), {}, (), [(1, 2)])
    database.close()
    again = DayDatabase(database.path, Pragmas())
    assert query(again, "SELECT count(*) FROM ticks") == [(0,)]
    assert again.store(by_symbol([row(TENCENT, seq_at(1))]), {}) == Inserted(1, 0, 0)
    again.close()


def test_sums_that_do_not_fit_stop_nothing(database: DayDatabase) -> None:
    """Volumes and turnovers that make no sense are stored as they are; only their sums end at what can be held."""
    absurd = [row(TENCENT, seq_at(n), volume=2**63 - 1, turnover=1.7e308) for n in range(4)]
    assert database.store(by_symbol(absurd[:2]), {}) == Inserted(2, 0, 0)
    assert database.store({}, by_symbol(absurd)) == Inserted(2, 2, 0)
    stats = read_stats(database.path)[TENCENT]
    assert (stats.rows, stats.volume_sum) == (4, 2**63 - 1)
    assert stats.turnover_sum == pytest.approx(1.797e308, rel=0.01)


class StatsMachine(RuleBasedStateMachine):
    """Any mixture of pushes and fetches: the tables are what a plain dictionary would hold."""

    symbols = st.sampled_from([TENCENT, HSBC, "HK.09988"])
    made_rows = st.lists(
        st.builds(
            lambda symbol, seq, ts, price, volume, recv: row(
                symbol, seq, OPEN_MS + ts, price=price, volume=volume, turnover=price * volume, recv_ts_ms=recv
            ),
            symbols,
            st.one_of(st.integers(1, 12), st.integers(-3, -1)),
            st.integers(0, 2).map(lambda n: n * 1000),
            st.sampled_from([1.0, 2.5]),
            st.sampled_from([0, 100]),
            st.integers(0, 5),
        ),
        max_size=8,
    )

    @initialize()
    def begin(self) -> None:
        """A new database."""
        self.directory = tempfile.TemporaryDirectory()
        self.database = DayDatabase(Path(self.directory.name) / f"{DAY}.db", Pragmas(synchronous="NORMAL"))
        self.ticks: dict[tuple[str, int], Row] = {}
        self.revisions: set[tuple[object, ...]] = set()

    @rule(pushed=made_rows, fetched=made_rows)
    def store(self, pushed: list[Row], fetched: list[Row]) -> None:
        """Store, and do the same to the model."""
        new = duplicates = revisions = 0
        ordered = [one for rows in (by_symbol(pushed), by_symbol(fetched)) for part in rows.values() for one in part]
        for one in ordered:
            stored = self.ticks.setdefault(one[:2], one)
            if stored is one:
                new += 1
            elif stored[2:8] == one[2:8]:
                duplicates += 1
            else:
                revisions += 1
                self.revisions.add(one[:8])
        assert self.database.store(by_symbol(pushed), by_symbol(fetched)) == Inserted(new, duplicates, revisions)

    @invariant()
    def tables_equal_the_model(self) -> None:
        """Ticks and revisions are the model's, and the statistics are an aggregate over the ticks."""
        con = self.database._con
        columns = "symbol, seq, ts_ms, price, volume, turnover, direction_id, tick_type_id"
        stored = con.execute(f"SELECT {columns}, recv_ts_ms FROM ticks").fetchall()  # noqa: S608
        assert set(stored) == {(*one[:8], one[10]) for one in self.ticks.values()}
        revised = con.execute(f"SELECT {columns} FROM tick_revisions").fetchall()  # noqa: S608
        assert set(revised) == self.revisions
        stats = con.execute("SELECT * FROM symbol_stats ORDER BY symbol").fetchall()
        counted = con.execute("""
            SELECT symbol, count(*), sum(volume), sum(turnover), min(seq) FILTER (WHERE seq > 0),
              max(seq) FILTER (WHERE seq > 0), min(ts_ms), max(ts_ms), max(recv_ts_ms)
            FROM ticks GROUP BY symbol ORDER BY symbol""").fetchall()
        assert stats == counted

    def teardown(self) -> None:
        """Close."""
        self.database.close()
        self.directory.cleanup()


TestStats = StatsMachine.TestCase
TestStats.settings = settings(max_examples=25, stateful_step_count=8)
TestStats.__doc__ = "After any mixture of new, duplicate and revised rows `symbol_stats` is an aggregate over `ticks`."


# ---- the file


def test_pragmas_are_in_force(tmp_path: Path) -> None:
    """What was asked for is what SQLite says on the writing connection: WAL and FULL unless NORMAL was asked for."""
    full = DayDatabase(tmp_path / f"{DAY}.db", Pragmas())
    told = full.pragmas_in_force()
    assert (told["journal_mode"], told["synchronous"], told["busy_timeout"]) == ("wal", 2, 5000)
    assert full._con.pragma("synchronous") == 2
    full.close()
    normal = DayDatabase(tmp_path / f"{NEXT_DAY}.db", Pragmas(busy_timeout_ms=1234, synchronous="NORMAL"))
    told = normal.pragmas_in_force()
    assert (told["journal_mode"], told["synchronous"], told["busy_timeout"]) == ("wal", 1, 1234)
    normal.close()


def test_a_tick_takes_at_most_90_bytes(tmp_path: Path) -> None:
    """50,000 ticks of 900 symbols, as they come in batches of some hundred over a day, take 60 to 90 bytes each."""
    databases = DayDatabases(tmp_path, Pragmas(synchronous="NORMAL"))
    ordinals = [0] * 900
    batch: list[Row] = []
    for n in range(50_000):
        # A few symbols make most of the trades.
        symbol = int(899 * (n * 0.6180339887 % 1) ** 3)
        ordinals[symbol] += 1
        ts_ms = OPEN_MS + n * 400
        price = 1 + symbol % 400 + n % 50 / 20
        volume = 100 * (1 + n % 30)
        batch.append(
            row(f"HK.{symbol:05}", seq_at(ordinals[symbol], ts_ms), ts_ms, price=price, volume=volume,
                turnover=price * volume, direction_id=1 + n % 3)
        )  # fmt: skip
        if len(batch) == 400:
            databases.get(DAY)[0].store(by_symbol(batch), {})
            batch.clear()
    databases.close()
    assert query_path(tmp_path / f"{DAY}.db", "SELECT count(*) FROM ticks") == [(50_000,)]
    assert 60 <= (tmp_path / f"{DAY}.db").stat().st_size / 50_000 <= 90


def query_path(path: Path, sql: str) -> list[tuple[object, ...]]:
    """What a reader sees in a file."""
    con = open_readonly(path)
    try:
        return con.execute(sql).fetchall()
    finally:
        con.close()


def test_another_process_reads_while_it_is_written(database: DayDatabase) -> None:
    """A reader in another process sees whole batches only, more each time, and never makes the writer wait."""
    script = """
import apsw, sys
con = apsw.Connection(f"file:{sys.argv[1]}?mode=ro", flags=apsw.SQLITE_OPEN_READONLY | apsw.SQLITE_OPEN_URI)
while sys.stdin.readline():
    con.execute("BEGIN")
    print(con.execute("SELECT count(*) FROM ticks").get, con.execute("SELECT sum(rows) FROM symbol_stats").get)
    sys.stdout.flush()
    sys.stdin.readline()
    con.execute("COMMIT")
"""
    reader = subprocess.Popen(
        [sys.executable, "-c", script, database.path], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert reader.stdin is not None
    assert reader.stdout is not None
    seen = []
    for n in range(10):
        database.store(by_symbol([row(TENCENT, seq_at(n * 100 + i)) for i in range(100)]), {})
        reader.stdin.write("look\n")
        reader.stdin.flush()
        seen.append(reader.stdout.readline().split())
        # The reader holds its snapshot while this goes in.
        assert database.store(by_symbol([row(HSBC, seq_at(n))]), {}) == Inserted(1, 0, 0)
        reader.stdin.write("on\n")
        reader.stdin.flush()
    reader.communicate()
    assert reader.returncode == 0
    assert seen == [[str(101 * n + 100)] * 2 for n in range(10)]


def test_a_path_with_odd_characters_is_opened(tmp_path: Path) -> None:
    """Characters that mean something in a URI are part of the path, for readers as for the writer."""
    root = tmp_path / "a?b#c%d é"
    root.mkdir()
    made = DayDatabase(root / f"{DAY}.db", Pragmas())
    made.store(by_symbol([row(TENCENT, seq_at(1))]), {})
    made.close()
    assert query_path(root / f"{DAY}.db", "SELECT count(*) FROM ticks") == [(1,)]
    check_today(root, DAY)
    assert unusable_days(root) == {}


def test_reading_what_is_not_there_makes_nothing(tmp_path: Path) -> None:
    """A reader never makes a file."""
    with pytest.raises(DatabaseError, match=r"20260731\.db can't be read"):
        open_readonly(tmp_path / f"{DAY}.db")
    assert list(tmp_path.iterdir()) == []


# ---- seeding


def make_day(root: Path, day: str, rows: list[Row]) -> None:
    """A day database with these rows."""
    made = DayDatabase(root / f"{day}.db", Pragmas())
    made.store(by_symbol(rows), {})
    made.close()


def test_seeds_are_the_highest_sequences_of_the_recent_days(tmp_path: Path) -> None:
    """Over so many of the newest files, and each symbol's own: it may not have traded today."""
    make_day(tmp_path, "20260728", [row("HK.00001", seq_at(900))])
    make_day(tmp_path, "20260729", [row(TENCENT, seq_at(5)), row(HSBC, seq_at(7))])
    make_day(tmp_path, "20260730", [row(TENCENT, seq_at(9)), row(TENCENT, seq_at(8))])
    (tmp_path / "20260731.db").touch()  # its first transaction is still to come
    seeds = seed_last_seq(tmp_path, 3)
    assert seeds == {
        TENCENT: Seed(seq_at(9), OPEN_MS, "20260730", 2),
        HSBC: Seed(seq_at(7), OPEN_MS, "20260729", 1),
    }
    assert "HK.00001" in seed_last_seq(tmp_path, 4)
    assert seed_last_seq(tmp_path / "none", 3) == {}


def test_a_wrong_future_time_hides_no_sequence(tmp_path: Path) -> None:
    """Seeding goes by sequence alone: a row 8 h in the future counts as any other, also in yesterday's file."""
    make_day(tmp_path, "20260730", [row(TENCENT, seq_at(50), OPEN_MS + 8 * HOUR_MS), row(TENCENT, seq_at(3))])
    make_day(tmp_path, "20260731", [row(TENCENT, seq_at(40))])
    assert seed_last_seq(tmp_path, 5)[TENCENT].last_seq == seq_at(50)


def test_a_day_of_made_up_sequences_hides_no_real_one(tmp_path: Path) -> None:
    """A day on which a symbol had no usable sequence leaves the one of the day before."""
    make_day(tmp_path, "20260730", [row(TENCENT, seq_at(50))])
    make_day(tmp_path, "20260731", [row(TENCENT, -4), row(TENCENT, -9), row(HSBC, -1)])
    seeds = seed_last_seq(tmp_path, 5)
    assert seeds[TENCENT].last_seq == seq_at(50)
    assert seeds[HSBC].last_seq is None


def test_a_directory_that_can_not_be_listed_ends_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An order, a depth and a figure depend on it, and no tick."""
    make_day(tmp_path, "20260731", [row(TENCENT, seq_at(1))])

    def fail(_root: Path) -> list[Path]:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(stored_module, "day_files", fail)
    assert StoredTicks(tmp_path, 5).rows_by_symbol() == {}
    assert seed_last_seq(tmp_path, 5) == {}


def test_stored_ticks_tells_the_newest_day_that_has_rows(tmp_path: Path) -> None:
    """Files that are empty or damaged are passed over; with nothing to read there is nothing to tell."""
    stored = StoredTicks(tmp_path, 5)
    assert stored.rows_by_symbol() == {}
    make_day(tmp_path, "20260729", [row(TENCENT, seq_at(1)), row(TENCENT, seq_at(2)), row(HSBC, seq_at(1))])
    make_day(tmp_path, "20260730", [])
    (tmp_path / "20260731.db").write_bytes(b"garbage" * 1000)
    assert stored.rows_by_symbol() == {TENCENT: 2, HSBC: 1}
    check_today(tmp_path, "20260731")  # it is made again from the journal
    assert list(unusable_days(tmp_path)) == [tmp_path / "20260731.db"]


def test_a_day_that_has_not_come_yet_is_not_the_newest(tmp_path: Path) -> None:
    """One tick whose every witness says 2035 is stored as that; for readers, seeds and rates today stays today."""
    make_day(tmp_path, "20260729", [row(TENCENT, seq_at(1)), row(HSBC, seq_at(9))])
    make_day(tmp_path, "20350529", [row(TENCENT, seq_at(7, 2_063_930_400_000))])
    assert newest_day_with_rows(tmp_path) == find_day(tmp_path, None) == tmp_path / "20260729.db"
    assert find_day(tmp_path, "20350529").name == "20350529.db", "asked for by name"
    assert StoredTicks(tmp_path, 1).rows_by_symbol() == {TENCENT: 1, HSBC: 1}
    assert {seed.day for seed in seed_last_seq(tmp_path, 1).values()} == {"20260729"}
    assert future_days(tmp_path) == ["20350529"]


def test_where_no_day_has_come_yet_the_newest_of_all_is_the_newest(tmp_path: Path) -> None:
    """The host's clock is years late, or the day is a rehearsed one."""
    make_day(tmp_path, "20350529", [row(TENCENT, seq_at(1))])
    make_day(tmp_path, "20350530", [row(TENCENT, seq_at(1))])
    assert newest_day_with_rows(tmp_path) == tmp_path / "20350530.db"
    assert future_days(tmp_path) == []


def test_the_newest_day_is_one_with_rows(tmp_path: Path) -> None:
    """Whatever can't be read, or holds no tick, is passed over, and taken only where nothing else is there."""
    assert newest_day_with_rows(tmp_path) is None
    (tmp_path / "20260729.db").touch()  # its first transaction is still to come
    make_day(tmp_path, "20260730", [])
    assert newest_day_with_rows(tmp_path) is None
    assert find_day(tmp_path, None).name == "20260730.db"
    make_day(tmp_path, "20260728", [row(TENCENT, seq_at(1))])
    make_day(tmp_path, "20260727", [row(TENCENT, seq_at(1))])
    (tmp_path / "20260731.db").write_bytes(b"garbage" * 1000)
    assert newest_day_with_rows(tmp_path) == find_day(tmp_path, None) == tmp_path / "20260728.db"
    assert find_day(tmp_path, "20260730").name == "20260730.db"


# ---- several days at once


class Clock:
    """The monotonic clock, set by the test."""

    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        """Seconds."""
        return self.now

    def time_ns(self) -> int:
        """The wall clock, which is the machine's."""
        return time.time_ns()


def test_the_least_recently_used_day_is_closed(tmp_path: Path) -> None:
    """At most two days are open; the one that is closed is whole in its file, and opens again."""
    databases = DayDatabases(tmp_path, Pragmas())
    first, is_new = databases.get("20260729")
    assert is_new
    first.store(by_symbol([row(TENCENT, seq_at(1))]), {})
    databases.get("20260730")
    assert databases.get("20260729") == (first, False)
    databases.get("20260731")
    databases.trim()  # closes the 30th
    assert not (tmp_path / "20260730.db-wal").exists()
    assert (tmp_path / "20260729.db-wal").exists()
    assert databases.wal_state().size_bytes > 0
    again, is_new = databases.get("20260730")
    databases.trim()  # closes the 29th
    assert is_new
    assert again.store(by_symbol([row(TENCENT, seq_at(1))]), {}) == Inserted(1, 0, 0)
    with pytest.raises(apsw.ConnectionClosedError):
        first.store({}, {})
    databases.close()
    assert databases.wal_state() == (0, 0.0, 0.0)
    assert [path.name for path in sorted(tmp_path.iterdir())] == ["20260729.db", "20260730.db", "20260731.db"]


def test_an_idle_day_is_closed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A day that is not written for ten minutes is closed, so that its file is whole without a log beside it."""
    clock = Clock()
    monkeypatch.setattr(day_databases, "time", clock)
    databases = DayDatabases(tmp_path, Pragmas())
    databases.get("20260730")[0].store(by_symbol([row(TENCENT, seq_at(1))]), {})
    clock.now += 400
    databases.get("20260731")[0].store(by_symbol([row(TENCENT, seq_at(2))]), {})
    clock.now += 300
    databases.trim()
    assert not (tmp_path / "20260730.db-wal").exists()
    assert (tmp_path / "20260731.db-wal").exists()
    assert databases.get("20260731")[1] is False
    databases.close()


def test_a_day_that_is_over_is_one_plain_file(tmp_path: Path) -> None:
    """When it is settled and a newer day is there it leaves WAL mode, so that who may not write can read it too."""
    databases = DayDatabases(tmp_path, Pragmas())
    for day in ("20260730", "20260731"):
        databases.get(day)[0].store(by_symbol([row(TENCENT, seq_at(1))]), {})
    databases.settle()
    modes = {}
    for day in ("20260730", "20260731"):
        con = open_readonly(tmp_path / f"{day}.db")
        modes[day] = con.pragma("journal_mode")
        con.close()
    assert modes == {"20260730": "delete", "20260731": "wal"}
    again, _ = databases.get("20260730")
    assert again.store(by_symbol([row(TENCENT, seq_at(2))]), {}) == Inserted(1, 0, 0)
    assert again.pragmas_in_force()["journal_mode"] == "wal"
    databases.close()


def test_a_day_that_is_read_is_settled_all_the_same(tmp_path: Path) -> None:
    """A reader's snapshot keeps the file in WAL mode; nothing fails and nothing is lost."""
    databases = DayDatabases(tmp_path, Pragmas(busy_timeout_ms=1000))
    for day in ("20260730", "20260731"):
        databases.get(day)[0].store(by_symbol([row(TENCENT, seq_at(1))]), {})
    reader = open_readonly(tmp_path / "20260730.db")
    reader.execute("BEGIN")
    assert reader.execute("SELECT count(*) FROM ticks").get == 1
    databases.settle()
    assert reader.pragma("journal_mode") == "wal"
    reader.close()
    assert read_stats(tmp_path / "20260730.db")[TENCENT].rows == 1


def test_a_past_day_that_can_not_be_settled_stops_nothing(tmp_path: Path) -> None:
    """A past day that another process holds, or another program has made, is left; what is recorded goes on."""
    databases = DayDatabases(tmp_path, Pragmas())
    databases.get("20260729")[0].store(by_symbol([row(TENCENT, seq_at(1))]), {})
    databases.settle()
    holder = apsw.Connection(str(tmp_path / "20260729.db"))
    holder.pragma("locking_mode", "exclusive")
    holder.execute("BEGIN IMMEDIATE")
    foreign = apsw.Connection(str(tmp_path / "20260730.db"))
    foreign.pragma("journal_mode", "wal")
    foreign.execute("CREATE TABLE ticks (symbol TEXT)")
    foreign.execute("INSERT INTO ticks VALUES ('x')")
    (tmp_path / "20260728.db").mkdir()
    databases = DayDatabases(tmp_path, Pragmas(busy_timeout_ms=1000))
    for ordinal in range(3):
        databases.get("20260731")[0].store(by_symbol([row(TENCENT, seq_at(ordinal))]), {})
        databases.trim()
    assert read_stats(tmp_path / "20260731.db")[TENCENT].rows == 3
    assert foreign.execute("SELECT count(*) FROM ticks").get == 1
    databases.close()
    foreign.close()
    holder.close()


def test_a_past_day_left_in_wal_is_made_plain(tmp_path: Path) -> None:
    """An evening's stop leaves the day in WAL mode; the next day's writer makes it one plain file."""
    databases = DayDatabases(tmp_path, Pragmas())
    databases.get("20260730")[0].store(by_symbol([row(TENCENT, seq_at(1))]), {})
    databases.settle()
    databases = DayDatabases(tmp_path, Pragmas())
    databases.get("20260731")[0].store(by_symbol([row(TENCENT, seq_at(1))]), {})
    databases._look_back_at = 0.0  # ten minutes later
    databases.trim()
    con = open_readonly(tmp_path / "20260730.db")
    assert con.pragma("journal_mode") == "delete"
    assert con.execute("SELECT count(*) FROM ticks").get == 1
    con.close()
    databases.close()


def test_whoever_asks_beside_one_that_hangs_gets_nothing_and_does_not_hang(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A disk that does not answer holds one thread, not each that asks after it."""
    monkeypatch.setattr(stored_module, "ASKING_SEC", 0.05)
    make_day(tmp_path, "20260729", [row(TENCENT, seq_at(1))])
    stored, goes_on, hangs = StoredTicks(tmp_path, 5), threading.Event(), threading.Event()
    read_stats = stored_module.read_stats

    def read(path: Path) -> dict[str, stored_module.SymbolStats]:
        hangs.set()
        goes_on.wait(60)
        return read_stats(path)

    monkeypatch.setattr(stored_module, "read_stats", read)
    thread = threading.Thread(target=stored.rows_by_symbol)
    thread.start()
    assert hangs.wait(60)
    assert stored.rows_by_symbol() == {}
    goes_on.set()
    thread.join()
    assert stored.rows_by_symbol() == {TENCENT: 1}
