"""`hk-tick-collector rebuild`: a day derived again from a real journal, by a real writer, and what differs."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any

import pytest
from support.last_word import tell_last_word
from support.late_ticks import assert_stats_true, bytes_of, query, stored
from support.merging import record
from support.needs import need_root
from support.scenario import ALIBABA, Counted, clock, snapshot_of
from support.settings import writer_settings
from support.ticks import DAY, DAY_MS, HSBC, NEXT_DAY, OPEN_MS, TENCENT, pushes, reply, row, seq_at, ticker

from hk_tick_collector.cli import rebuild_cmd
from hk_tick_collector.cli.app import entry
from hk_tick_collector.db import DayDatabase, Pragmas
from hk_tick_collector.journal.append import Journal
from hk_tick_collector.journal.cursor import CURSOR, load_cursor
from hk_tick_collector.journal.segments import DIRECTORY, list_segments, segment_name
from hk_tick_collector.opend.purpose import Purpose
from hk_tick_collector.repair import rebuild
from hk_tick_collector.store.data_root import RECORDER_LOCK, hold_lock

if TYPE_CHECKING:
    from pathlib import Path

HOUR_MS = 3_600_000
Run = Any

pytestmark = pytest.mark.processes


@pytest.fixture
def run(root: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Run:
    """The command as it is typed: its exit code, and what it said on both outputs."""

    def typed(*args: object) -> tuple[int, str, str]:
        line = ["hk-tick-collector", "rebuild", "--data-root", str(root), *map(str, args)]
        monkeypatch.setattr(sys, "argv", line)
        with pytest.raises(SystemExit) as ended:
            entry()
        said = capfd.readouterr()
        return int(ended.value.code or 0), said.out, said.err

    return typed


class Bench:
    """A journal that is fed, one segment a feeding, and a writer that stores it."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def feed(self, raw: bytes, recv_ts_ms: int = OPEN_MS + 50) -> None:
        """One record, in a segment of its own."""
        journal = Journal(self.root / DIRECTORY, segment_bytes=1 << 20, buffer_bytes=1 << 20, sync_ms=10)
        journal.start()
        journal.append_frames(1, recv_ts_ms, raw)
        assert journal.flush(60)
        journal.close(5)

    def write(self) -> None:
        """Store all that the journal holds, as the recorder's writer does."""
        settings = writer_settings(self.root, log_level="ERROR")
        subprocess.run(
            [sys.executable, "-m", "hk_tick_collector.writer", json.dumps(settings._asdict())],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            timeout=60,
            check=True,
        )

    def change(self, sql: str, *values: object) -> None:
        """What somebody did to the day's database."""
        query(self.root / f"{DAY}.db", sql, *values)


@pytest.fixture
def bench(root: Path) -> Bench:
    """Two symbols' ticks of a day, with one that came twice, one revised, one of the next day; all stored."""
    made = Bench(root)
    made.feed(pushes(TENCENT, range(20)) + pushes(HSBC, range(5)))
    made.feed(reply(TENCENT, ticker(19), ticker(20), ticker(3, price=1.0), purpose=Purpose.POLL))
    made.feed(pushes(TENCENT, [1], OPEN_MS + DAY_MS), OPEN_MS + DAY_MS)
    made.write()
    return made


def visible(root: Path) -> set[str]:
    """What stands in DATA_ROOT beside the locks."""
    return {path.name for path in root.iterdir() if not path.name.startswith(".")}


# ---- comparing


def test_a_day_that_is_as_the_journal_says_does_not_differ(bench: Bench, run: Run) -> None:
    """Exit 0; nothing is changed or left behind, the cursor and the other days least of all."""
    before, journal = bytes_of(bench.root), bytes_of(bench.root / DIRECTORY)
    code, out, _ = run("--day", DAY)
    assert code == 0
    assert "no difference" in out
    assert "journal: 29 ticks in 3 segments" in out
    told = json.loads(run("--day", "2026-07-31", "--json")[1])
    assert (told["same"], told["exit_code"], told["rebuilt"], told["existing"]) == (True, 0, 26, 26)
    assert (told["journal"]["covers_the_day"], told["journal"]["damages"], told["symbols"]) == (True, 0, [])
    after = bytes_of(bench.root)
    assert {name: data for name, data in after.items() if name in before} == before
    assert bytes_of(bench.root / DIRECTORY) == journal
    assert not list(bench.root.glob(".rebuild-*"))


def test_what_differs_is_counted_by_symbol(bench: Bench, run: Run) -> None:
    """Rows only here, only there, of other content, received otherwise; exit 1."""
    bench.change("DELETE FROM ticks WHERE symbol = ? AND seq = ?", TENCENT, seq_at(7))
    bench.change("UPDATE ticks SET seq = 99 WHERE symbol = ? AND seq = ?", TENCENT, seq_at(8))
    bench.change(
        "UPDATE ticks SET ts_ms = ts_ms + 28800000 WHERE symbol = ? AND seq BETWEEN 100 AND ?", TENCENT, seq_at(1)
    )
    bench.change("UPDATE ticks SET recv_ts_ms = 1 WHERE symbol = ?", HSBC)
    bench.change("INSERT INTO time_corrections VALUES ('HK.1', 1, '', 1, 1, 'by hand')")
    code, out, _ = run("--day", DAY, "--json")
    told = json.loads(out)
    assert code == told["exit_code"] == 1
    assert told["symbols"] == [
        {"symbol": TENCENT, "rebuilt": 21, "existing": 20, "only_rebuilt": 2, "only_existing": 1, "different": 2,
         "received_otherwise": 0}
    ]  # fmt: skip
    assert (told["same"], told["received_otherwise"]) == (False, 5)
    by_table = told["only_existing_by_table"]
    assert {table: rows for table, rows in by_table.items() if rows} == {"time_corrections": 1}
    assert by_table.keys() > {"bad_ticks", "tick_revisions", "gaps"}
    code, out, _ = run("--day", DAY)
    assert code == 1
    (line,) = [line for line in out.splitlines() if line.startswith(TENCENT)]
    assert line.split() == [TENCENT, "21", "20", "2", "1", "2", "0"]
    assert "time_corrections: 1 row only in the existing database" in out
    assert "no difference" not in out


def test_a_day_without_a_database_is_all_new(bench: Bench, run: Run) -> None:
    """It can be made; then it is what the writer had made."""
    expected = stored(bench.root / f"{DAY}.db")
    for name in (f"{DAY}.db", f"{DAY}.db-wal", f"{DAY}.db-shm"):
        (bench.root / name).unlink(missing_ok=True)
    code, out, _ = run("--day", DAY)
    assert code == 1
    assert "there is no database of that day yet" in out
    assert not (bench.root / f"{DAY}.db").exists()
    code, out, _ = run("--day", DAY, "--replace")
    assert (code, "made: " in out) == (0, True)
    assert stored(bench.root / f"{DAY}.db") == expected
    assert_stats_true(bench.root / f"{DAY}.db")


def test_ticks_that_were_received_on_a_later_day_are_found(bench: Bench, run: Run) -> None:
    """After a weekend OpenD still has Friday's last ticks."""
    bench.feed(reply(TENCENT, ticker(500)), OPEN_MS + 3 * DAY_MS)
    told = json.loads(run("--day", DAY, "--json")[1])
    assert (told["only_rebuilt"], told["only_existing"]) == (1, 0)


def test_the_journal_is_read_from_the_day_before_on(bench: Bench, run: Run) -> None:
    """What was received before that can't be of the day, unless a host's clock stood behind for all of the journal."""
    journal = bench.root / DIRECTORY
    for segment, day in zip(list_segments(journal), ["20260729", "20260730", DAY], strict=False):
        segment.path.rename(journal / segment_name(day, segment.number))
    told = json.loads(run("--day", DAY, "--json")[1])
    assert (told["journal"]["segments"], told["rebuilt"], told["journal"]["covers_the_day"]) == (2, 3, True)
    told = json.loads(run("--day", NEXT_DAY, "--json")[1])
    assert told["journal"]["segments"] == 1
    for segment in list_segments(journal):
        segment.path.rename(journal / segment_name("20260101", segment.number))
    assert json.loads(run("--day", DAY, "--json")[1])["journal"]["segments"] == 3


def test_it_can_be_kept_beside(bench: Bench, run: Run) -> None:
    """One plain file of the same content."""
    code, out, _ = run("--day", DAY, "--keep")
    kept = bench.root / f"{DAY}.db.rebuilt"
    assert (code, str(kept) in out) == (0, True)
    assert query(kept, "PRAGMA journal_mode") == [("delete",)]
    assert stored(kept) == stored(bench.root / f"{DAY}.db")


def test_a_snapshot_that_says_nothing_was_traded_says_so_again(bench: Bench, run: Run) -> None:
    """It repeats the last word on a day before the weekend, which stands in that day's database and nowhere else."""
    before = "20260728"
    friday = record(bench.root / f"{before}.db", [row(ALIBABA, seq_at(1, OPEN_MS - 3 * DAY_MS), OPEN_MS - 3 * DAY_MS)])
    tell_last_word(friday, ALIBABA, 100, 30_000.0, before)
    bench.feed(snapshot_of({ALIBABA: Counted(100, clock("16:08:30", before))}), OPEN_MS + 500)
    bench.write()
    run("--day", DAY, "--keep")
    told = "SELECT symbol, volume FROM exchange_totals"
    assert query(bench.root / f"{DAY}.db", told) == [(ALIBABA, 0)]
    assert query(bench.root / f"{DAY}.db.rebuilt", told) == [(ALIBABA, 0)]


# ---- what the journal does not hold


def test_a_journal_that_begins_later_says_so(bench: Bench, run: Run) -> None:
    """Its first segment was pruned: what is only in the database can't come from anywhere else."""
    first = list_segments(bench.root / DIRECTORY)[0]
    first.path.unlink()
    bench.feed(pushes(HSBC, [77]), OPEN_MS + HOUR_MS)
    code, out, _ = run("--day", DAY)
    assert code == 1
    told = json.loads(run("--day", DAY, "--json")[1])
    assert told["journal"]["covers_the_day"] is True  # the audit of the same moment is there; hence the rows tell
    assert told["only_existing"] == 23
    list_segments(bench.root / DIRECTORY)[0].path.unlink()
    list_segments(bench.root / DIRECTORY)[0].path.unlink()
    code, out, _ = run("--day", DAY)
    assert code == 1
    assert "not the whole day: the journal begins at 2026-07-31 11:00:00.000+08:00" in out


def test_without_a_database_the_journal_must_begin_before_the_opening(root: Path, run: Run) -> None:
    """Nothing else can tell what is missing."""
    bench = Bench(root)
    bench.feed(pushes(HSBC, [77]), OPEN_MS)
    assert "to hold the whole day it had to begin by 2026-07-31 09:00" in run("--day", DAY)[1]
    shutil.rmtree(root / DIRECTORY)
    bench.feed(pushes(HSBC, [76]), OPEN_MS - 2 * HOUR_MS)
    assert "not the whole day" not in run("--day", DAY)[1]


def test_damage_and_missing_records_are_told(bench: Bench, run: Run) -> None:
    """In red, and with the writer's own line of where."""
    second = list_segments(bench.root / DIRECTORY)[1].path
    data = bytearray(second.read_bytes())
    data[len(data) // 2] ^= 0xFF
    second.write_bytes(data)
    code, out, err = run("--day", DAY)
    assert code == 1
    assert "the journal is damaged, or records are missing, in 2 places\n" in out
    assert "journal_damaged" in err
    assert json.loads(run("--day", DAY, "--json")[1])["journal"]["damages"] >= 1


def test_a_torn_tail_is_told_and_no_fault(bench: Bench, run: Run) -> None:
    """A crash leaves one."""
    last = list_segments(bench.root / DIRECTORY)[-1].path
    with last.open("ab") as file:
        file.write(b"HKJ1torn")
    code, out, _ = run("--day", DAY)
    assert code == 0
    assert "8 bytes after the last complete record" in out
    code, out, _ = run("--day", DAY, "--replace")
    assert code == 0
    assert "8 bytes after the last complete record" in out


def test_a_day_that_the_journal_does_not_know_ends_with_1(root: Path, run: Run) -> None:
    """In one line."""
    code, out, err = run("--day", DAY)
    assert (code, out) == (1, "")
    assert "is empty" in err
    Bench(root).feed(pushes(TENCENT, [1]))
    for day in ("20260730", "20991231"):
        code, out, err = run("--day", day)
        assert (code, out) == (1, "")
        assert f"holds no tick of {day}" in err


# ---- replacing


def test_replace_puts_the_journals_truth_in_place(bench: Bench, run: Run) -> None:
    """The old one is kept whole; the recorder's cursor stays, and a replay changes nothing."""
    path = bench.root / f"{DAY}.db"
    right = stored(path)
    bench.change("UPDATE ticks SET ts_ms = ts_ms + 28800000, price = 1.0")
    wrong = stored(path)
    cursor = load_cursor(bench.root / DIRECTORY)
    code, out, _ = run("--day", DAY, "--replace")
    assert code == 0
    (backup,) = bench.root.glob(f"{DAY}.db.bak-*")
    assert str(backup) in out
    assert "a recorder is at work" not in out  # the locks are its own
    assert stored(backup) == wrong
    assert stored(path) == right
    assert_stats_true(path)
    assert load_cursor(bench.root / DIRECTORY) == cursor
    assert visible(bench.root) == {f"{DAY}.db", f"{NEXT_DAY}.db", backup.name, DIRECTORY} | (
        visible(bench.root) & {f"{NEXT_DAY}.db-wal", f"{NEXT_DAY}.db-shm"}
    )
    (bench.root / DIRECTORY / CURSOR).unlink()
    bench.write()
    assert stored(path) == right
    again = run("--day", DAY)
    assert again[0] == 0, again


def test_the_new_database_belongs_to_whom_the_old_one_belonged(bench: Bench, run: Run) -> None:
    """Or the recorder's user could not go on with it."""
    need_root("giving a file away")
    path = bench.root / f"{DAY}.db"
    os.chown(path, 1234, 5678)
    path.chmod(0o640)
    assert run("--day", DAY, "--replace")[0] == 0
    stat = path.stat()
    assert (stat.st_uid, stat.st_gid, stat.st_mode & 0o777) == (1234, 5678, 0o640)


def test_rows_that_would_be_lost_stop_a_replacement(bench: Bench, run: Run) -> None:
    """Unless that is allowed."""
    path = bench.root / f"{DAY}.db"
    bench.change("INSERT INTO bad_ticks VALUES (x'00', '', 1, 'e', x'00', 1, 1, 1, 1)")
    before = stored(path)
    code, out, _ = run("--day", DAY, "--replace")
    assert code == 1
    assert "not replaced: 1 row only in the existing database would be lost" in out
    assert query(path, "SELECT count(*) FROM bad_ticks") == [(1,)]
    assert not list(bench.root.glob("*.bak-*"))
    told = json.loads(run("--day", DAY, "--replace", "--allow-loss", "--json")[1])
    assert (told["replaced"], told["exit_code"]) == (True, 0)
    assert query(path, "SELECT count(*) FROM bad_ticks") == [(0,)]
    assert stored(path) == before


def test_a_database_that_somebody_has_open_is_not_replaced(bench: Bench, run: Run) -> None:
    """A reader would go on with a file that nobody knows any more, and its log would fit no database."""
    path = bench.root / f"{DAY}.db"
    other = DayDatabase(path, Pragmas())
    code, _, err = run("--day", DAY, "--replace")
    other.close()
    assert code == 1
    assert "is open in another process" in err
    assert not list(bench.root.glob("*.bak-*"))
    assert run("--day", DAY, "--replace")[0] == 0


def test_beside_a_recorder_it_compares_but_does_not_replace(bench: Bench, run: Run) -> None:
    """What the writer has not stored yet is no difference."""
    cursor = load_cursor(bench.root / DIRECTORY)
    bench.feed(pushes(HSBC, range(100, 103)), OPEN_MS + HOUR_MS)
    held = hold_lock(bench.root, RECORDER_LOCK, 0)
    try:
        code, _, err = run("--day", DAY, "--replace")
        assert code == 2
        assert err.endswith(
            f"recorder pid {os.getpid()} writes to {bench.root}: stop it first (systemctl stop hk-tick-collector), "
            "or leave out --replace\n"
        )
        code, out, _ = run("--day", DAY, "--json")
        told = json.loads(out)
        assert (code, told["recorder_running"], told["not_stored_yet"], told["only_rebuilt"]) == (0, True, 3, 3)
        assert "3 of them not stored yet" in run("--day", DAY)[1]
    finally:
        os.close(held)
    assert load_cursor(bench.root / DIRECTORY) == cursor
    assert run("--day", DAY)[0] == 1


def test_a_real_difference_beside_a_recorder_counts(bench: Bench, run: Run) -> None:
    """A row that was stored once and is gone is not one that is still to come."""
    bench.change("DELETE FROM ticks WHERE symbol = ?", HSBC)
    held = hold_lock(bench.root, RECORDER_LOCK, 0)
    try:
        code, out, _ = run("--day", DAY, "--json")
    finally:
        os.close(held)
    assert (code, json.loads(out)["not_stored_yet"], json.loads(out)["only_rebuilt"]) == (1, 0, 5)


@pytest.mark.parametrize("recv_ts_ms", [OPEN_MS + DAY_MS, OPEN_MS + DAY_MS + 1], ids=["same ms", "later"])
def test_what_comes_after_a_recorder_that_was_caught_up_is_no_difference(
    recv_ts_ms: int, bench: Bench, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also what it had received before, and had in memory only: it is journaled after the look at the database."""
    real = rebuild_cmd.snapshot

    def then_more(*args: Any) -> Any:  # noqa: ANN401 - passed on
        made = real(*args)
        bench.feed(pushes(HSBC, range(200, 205)), recv_ts_ms)
        return made

    monkeypatch.setattr(rebuild_cmd, "snapshot", then_more)
    held = hold_lock(bench.root, RECORDER_LOCK, 0)
    try:
        code, out, _ = run("--day", DAY, "--json")
    finally:
        os.close(held)
    told = json.loads(out)
    assert (code, told["recorder_running"], told["not_stored_yet"], told["only_rebuilt"]) == (0, True, 5, 5)


def test_without_a_cursor_nothing_is_known_to_be_stored(bench: Bench, run: Run) -> None:
    """The writer puts it down after its first commit: what is missing until then is no difference."""
    bench.change("DELETE FROM ticks WHERE symbol = ?", HSBC)
    (bench.root / DIRECTORY / CURSOR).unlink()
    held = hold_lock(bench.root, RECORDER_LOCK, 0)
    try:
        code, out, _ = run("--day", DAY, "--json")
    finally:
        os.close(held)
    assert (code, json.loads(out)["not_stored_yet"]) == (0, 5)


def test_behind_a_cursor_without_a_record_the_clock_counts(root: Path) -> None:
    """An empty journal tells nothing; all that comes is later than now."""
    before_ms = time.time_ns() // 1_000_000
    assert before_ms <= rebuild.not_stored_since(root) <= time.time_ns() // 1_000_000


def test_what_is_stored_while_it_compares_is_no_difference(
    bench: Bench, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The existing database is looked at first, and the journal has all that was stored by then."""
    real = rebuild._write

    def meanwhile(*args: Any) -> Any:  # noqa: ANN401 - passed on
        done = real(*args)
        bench.feed(pushes(HSBC, range(200, 205)), OPEN_MS + HOUR_MS)
        bench.write()
        return done

    monkeypatch.setattr(rebuild, "_write", meanwhile)
    held = hold_lock(bench.root, RECORDER_LOCK, 0)
    try:
        told = json.loads(run("--day", DAY, "--json")[1])
    finally:
        os.close(held)
    assert len(stored(bench.root / f"{DAY}.db")) == 31
    assert (told["same"], told["only_existing"]) == (True, 0)


# ---- faults


def test_what_a_killed_rebuild_left_is_cleared_away(bench: Bench, run: Run) -> None:
    """Also a database of it that is half done."""
    left = bench.root / f".rebuild-{DAY}"
    (left / DIRECTORY).mkdir(parents=True)
    (left / DIRECTORY / CURSOR).write_text("{}")
    (left / f"{DAY}.db").write_bytes(b"half")
    again = run("--day", DAY)
    assert again[0] == 0, again
    assert not left.exists()


def test_two_at_once_of_the_same_day_are_refused(bench: Bench, run: Run) -> None:
    """They would use the same place."""
    with rebuild.workplace(bench.root, DAY):
        code, _, err = run("--day", DAY)
    assert code == 2
    assert "is being rebuilt by another process" in err


def test_a_writer_that_fails_is_told(bench: Bench, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """The existing database stays, also with --replace."""
    before = stored(bench.root / f"{DAY}.db")
    monkeypatch.setattr(rebuild, "WRITER_TRIES", 1)
    real = rebuild._write

    def into_a_directory(scratch: Path, *args: Any) -> Any:  # noqa: ANN401 - passed on
        (scratch / f"{DAY}.db").mkdir()
        return real(scratch, *args)

    monkeypatch.setattr(rebuild, "_write", into_a_directory)
    code, _, err = run("--day", DAY, "--replace")
    assert code == 1
    assert "persist_gave_up" in err
    assert "the writer ended with 1" in err
    assert stored(bench.root / f"{DAY}.db") == before


def test_a_foreign_database_is_not_compared(bench: Bench, run: Run) -> None:
    """One line names it."""
    path = bench.root / f"{DAY}.db"
    for name in (f"{DAY}.db-wal", f"{DAY}.db-shm", f"{DAY}.db"):
        (bench.root / name).unlink(missing_ok=True)
    query(path, "CREATE TABLE ticks (symbol, seq, recv_ts_ms)")
    code, _, err = run("--day", DAY, "--replace", "--allow-loss")
    assert code == 1
    assert "was made by another program" in err


@pytest.mark.parametrize(
    ("args", "error"),
    [
        (["--day", "tomorrow"], "day 'tomorrow', expected today, yesterday, or a date such as 20261120"),
        (["--day", DAY, "--allow-loss"], "means nothing without --replace"),
        ([], "expected a DAY, such as yesterday or 20261120"),
        (
            ["--day", DAY, "--data-root", "nowhere"],
            "this directory does not exist; pass --data-root DIRECTORY, or set DATA_ROOT",
        ),
    ],
)
def test_wrong_usage_ends_with_2(args: list[str], error: str, run: Run) -> None:
    """And says what is wrong."""
    code, _, err = run(*args)
    assert code == 2
    assert error in err
