"""Late times put right in real databases of both kinds: each in its place, nothing lost, the second time nothing."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import apsw
import pytest
from support.late_ticks import (
    HOUR_MS,
    LATE_MS,
    OLDER_SCHEMA,
    Tick,
    assert_stats_true,
    bytes_of,
    is_current,
    make_current,
    make_older,
    query,
    stored,
    tables,
    tick,
)
from support.needs import need_root
from support.ticks import DAY, DAY_MS, HSBC, NEXT_DAY, OPEN_MS, TENCENT, seq_at

from hk_tick_collector.db import DayDatabase, Pragmas
from hk_tick_collector.errors import AlreadyRunningError, ConfigError
from hk_tick_collector.mapping import Correction
from hk_tick_collector.repair.rules import Finding, Rule
from hk_tick_collector.repair.times import FileReport, Repair, no_recorder
from hk_tick_collector.store.data_root import RECORDER_LOCK, WRITER_LOCK, hold_lock
from hk_tick_collector.store.schema import APPLICATION_ID, day_files

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    Make = Callable[[Path, Iterable[Tick]], Path]

AUCTION_MS = OPEN_MS + 6 * HOUR_MS + 8 * 60_000  # 16:08: eight hours later it is the next day
BY_SEQ = Rule(LATE_MS, None)

_KEYED = "CREATE TABLE ticks (symbol, seq, ts_ms, price, volume, PRIMARY KEY (symbol, seq)) WITHOUT ROWID"

both_kinds = pytest.mark.parametrize("make", [make_current, make_older], ids=["current", "older"])


def repair(root: Path, rule: Rule = BY_SEQ, *, is_dry_run: bool = False, paths: list[Path] | None = None) -> list[Any]:
    """Repair the days of a directory; what is reported of each."""
    told = Repair(rule, is_dry_run, lambda *_: None, set()).run(day_files(root) if paths is None else paths)
    return list(told)


def only(reports: list[FileReport], name: str) -> FileReport:
    """The report of one file."""
    (found,) = [report for report in reports if report.path.name == name]
    return found


def day_row(one: Tick) -> tuple[Any, ...]:
    """What `stored` should tell of a tick that is right."""
    return (one.symbol, one.seq, one.ts_ms, DAY, one.price)


# ---- the incident


@both_kinds
@pytest.mark.parametrize("by", ["clock", "seq"])
def test_the_notes_incident_is_put_right(make: Make, by: str, tmp_path: Path) -> None:
    """Late rows go back by eight hours, with their trading day; right ones stay; the second run finds nothing."""
    late = [tick(TENCENT, n, OPEN_MS + n * 1000, LATE_MS) for n in range(20)]
    right = [tick(HSBC, n, OPEN_MS + n * 1000) for n in range(5)]
    path = make(tmp_path / f"{DAY}.db", late + right)
    rule = BY_SEQ if by == "seq" else Rule(LATE_MS, OPEN_MS + 3 * HOUR_MS)
    (report,) = repair(tmp_path, rule)
    assert (report.error, report.repaired, report.moved) == (None, 20, {})
    assert report.findings == {Finding.LATE: 20, Finding.RIGHT: 5}
    assert stored(path) == sorted(map(day_row, late + right))
    assert [sample.ts_ms for sample in report.before] == [one.ts_ms + LATE_MS for one in late[:5]]
    assert [(sample.ts_ms, sample.trading_day) for sample in report.after] == [(one.ts_ms, DAY) for one in late[:5]]
    after = bytes_of(tmp_path)
    (again,) = repair(tmp_path, rule)
    assert (again.repaired, again.backups, again.error) == (0, [], None)
    assert bytes_of(tmp_path) == after


@both_kinds
def test_a_row_goes_to_the_file_of_its_right_day(make: Make, tmp_path: Path) -> None:
    """The closing auction was stored as of the next day; its day's file is made if it is not there."""
    auction = tick(TENCENT, 9, AUCTION_MS, LATE_MS)
    later = tick(TENCENT, 10, OPEN_MS + DAY_MS)
    make(tmp_path / f"{NEXT_DAY}.db", [auction, later])
    (report,) = repair(tmp_path)
    assert (report.error, report.repaired, report.moved) == (None, 1, {DAY: 1})
    assert stored(tmp_path / f"{DAY}.db") == [day_row(auction)]
    assert [seq for _, seq, *_ in stored(tmp_path / f"{NEXT_DAY}.db")] == [later.seq]
    assert [(sample.file, sample.trading_day) for sample in report.after] == [(f"{DAY}.db", DAY)]
    assert is_current(tmp_path / f"{DAY}.db") is (make is make_current)
    if make is make_older:
        kept = "SELECT sql FROM sqlite_schema WHERE type IN ('table', 'index') ORDER BY name"
        assert query(tmp_path / f"{DAY}.db", kept) == query(tmp_path / f"{NEXT_DAY}.db", kept)
        assert query(tmp_path / f"{DAY}.db", "PRAGMA journal_mode") == [("wal",)]
    assert [path.name for path in report.backups if path.name.startswith(DAY)] == []


@both_kinds
def test_a_row_goes_to_a_file_that_is_there(make: Make, tmp_path: Path) -> None:
    """Beside its neighbours, and that file is copied first, too."""
    morning, auction = tick(TENCENT, 1, OPEN_MS), tick(TENCENT, 9, AUCTION_MS, LATE_MS)
    make(tmp_path / f"{DAY}.db", [morning])
    make(tmp_path / f"{NEXT_DAY}.db", [auction])
    report = only(repair(tmp_path), f"{NEXT_DAY}.db")
    assert (report.error, report.moved, report.dropped) == (None, {DAY: 1}, 0)
    assert stored(tmp_path / f"{DAY}.db") == [day_row(morning), day_row(auction)]
    assert stored(tmp_path / f"{NEXT_DAY}.db") == []
    assert sorted(path.name.partition(".bak-")[0] for path in report.backups) == [f"{DAY}.db", f"{NEXT_DAY}.db"]


@both_kinds
def test_a_row_that_is_there_already_is_dropped(make: Make, tmp_path: Path) -> None:
    """The same tick, fetched again with its right time: one of the two is enough."""
    auction = tick(TENCENT, 9, AUCTION_MS)
    make(tmp_path / f"{DAY}.db", [auction])
    make(tmp_path / f"{NEXT_DAY}.db", [auction._replace(late_ms=LATE_MS)])
    report = only(repair(tmp_path), f"{NEXT_DAY}.db")
    assert (report.repaired, report.dropped, report.revised) == (1, 1, 0)
    assert stored(tmp_path / f"{DAY}.db") == [day_row(auction)]
    assert stored(tmp_path / f"{NEXT_DAY}.db") == []


@both_kinds
def test_a_row_that_is_there_with_other_content_becomes_a_revision(make: Make, tmp_path: Path) -> None:
    """Nothing is lost, and what stands in `ticks` stays."""
    auction = tick(TENCENT, 9, AUCTION_MS)
    other = auction._replace(late_ms=LATE_MS, price=1.5)
    make(tmp_path / f"{DAY}.db", [auction])
    make(tmp_path / f"{NEXT_DAY}.db", [other])
    report = only(repair(tmp_path), f"{NEXT_DAY}.db")
    assert (report.repaired, report.dropped, report.revised) == (1, 0, 1)
    assert stored(tmp_path / f"{DAY}.db") == [day_row(auction)]
    assert stored(tmp_path / f"{DAY}.db", "tick_revisions") == [day_row(other)]
    assert [(sample.price, sample.file) for sample in report.after] == [(1.5, f"{DAY}.db (revision)")]
    assert stored(tmp_path / f"{NEXT_DAY}.db") == []


@both_kinds
def test_a_revision_is_kept_once(make: Make, tmp_path: Path) -> None:
    """However often the same one comes."""
    auction = tick(TENCENT, 9, AUCTION_MS)
    other = auction._replace(late_ms=LATE_MS, price=1.5)
    make(tmp_path / f"{DAY}.db", [auction])
    for _ in range(2):
        make(tmp_path / f"{NEXT_DAY}.db", [other])
        report = only(repair(tmp_path), f"{NEXT_DAY}.db")
        assert (report.error, report.revised) == (None, 1)
        assert stored(tmp_path / f"{DAY}.db", "tick_revisions") == [day_row(other)]


@both_kinds
def test_what_the_sequence_can_not_prove_is_left_alone_and_counted(make: Make, tmp_path: Path) -> None:
    """No sequence that reads as a time, or one that says something else again."""
    unproven = Tick(TENCENT, 77, OPEN_MS, LATE_MS)
    odd = Tick(TENCENT, seq_at(3, OPEN_MS - 3 * HOUR_MS), OPEN_MS)
    path = make(tmp_path / f"{DAY}.db", [unproven, odd])
    before = path.read_bytes()
    (report,) = repair(tmp_path)
    assert report.findings == {Finding.UNPROVEN: 1, Finding.CONTRADICTED: 1}
    assert (report.repaired, report.backups) == (0, [])
    assert path.read_bytes() == before


@both_kinds
def test_by_the_clock_unlikely_rows_are_left_alone_and_counted(make: Make, tmp_path: Path) -> None:
    """Proven by their sequence, or so far ahead that the fault can't explain it."""
    path = make(
        tmp_path / f"{DAY}.db",
        [tick(TENCENT, 1, OPEN_MS), Tick(TENCENT, 2, OPEN_MS, 0), Tick(TENCENT, 3, OPEN_MS, LATE_MS)],
    )
    before = stored(path)
    (report,) = repair(tmp_path, Rule(LATE_MS, OPEN_MS - 9 * HOUR_MS))
    assert report.findings == {Finding.CONTRADICTED: 1, Finding.BEYOND: 2}
    assert stored(path) == before


@both_kinds
def test_any_file_name_will_do(make: Make, tmp_path: Path) -> None:
    """A file that is not called after a day keeps all its rows, and they get their right day."""
    auction = tick(TENCENT, 9, AUCTION_MS, LATE_MS)
    path = make(tmp_path / "ticks of last week?.sqlite", [auction])
    (report,) = repair(tmp_path, paths=[path])
    assert (report.error, report.repaired, report.moved) == (None, 1, {})
    assert stored(path) == [day_row(auction)]
    assert day_files(tmp_path) == []


# ---- our kind


def test_the_original_is_kept_in_time_corrections(tmp_path: Path) -> None:
    """With the word that it was corrected on, in the file where the tick is now."""
    here, auction = tick(TENCENT, 1, OPEN_MS, LATE_MS), tick(HSBC, 9, AUCTION_MS, LATE_MS)
    make_current(tmp_path / f"{DAY}.db", [here])
    make_current(tmp_path / f"{NEXT_DAY}.db", [auction])
    repair(tmp_path)
    assert query(tmp_path / f"{DAY}.db", "SELECT * FROM time_corrections ORDER BY symbol") == [
        (one.symbol, one.seq, "", one.ts_ms + LATE_MS, one.ts_ms, BY_SEQ.evidence) for one in (auction, here)
    ]
    assert query(tmp_path / f"{NEXT_DAY}.db", "SELECT * FROM time_corrections") == []


def test_an_earlier_correction_keeps_what_was_written(tmp_path: Path) -> None:
    """What OpenD wrote stays known, whether the tick stays or goes to another file."""
    ticks = [tick(TENCENT, 1, OPEN_MS, LATE_MS), tick(TENCENT, 2, AUCTION_MS, LATE_MS)]
    for day, one in zip((DAY, NEXT_DAY), ticks, strict=True):
        path = make_current(tmp_path / f"{day}.db", [one])
        database = DayDatabase(path, Pragmas())
        database.store({}, {}, [Correction(TENCENT, one.seq or 0, "written", 5, one.ts_ms + LATE_MS, "wrongly")])
        database.close()
    repair(tmp_path)
    assert query(
        tmp_path / f"{DAY}.db", "SELECT seq, original_time, original_ts_ms, ts_ms, evidence FROM time_corrections"
    ) == [(one.seq, "written", 5, one.ts_ms, f"wrongly; {BY_SEQ.evidence}") for one in ticks]


def test_the_statistics_are_true_afterwards(tmp_path: Path) -> None:
    """Of both files, and of a symbol that has no tick left."""
    make_current(tmp_path / f"{DAY}.db", [tick(TENCENT, n, OPEN_MS + n) for n in range(3)])
    ticks = [
        tick(TENCENT, 9, AUCTION_MS, LATE_MS),
        tick(TENCENT, 10, OPEN_MS + DAY_MS),
        tick(HSBC, 1, AUCTION_MS, LATE_MS),
    ]
    make_current(tmp_path / f"{NEXT_DAY}.db", [*ticks, Tick(TENCENT, -5, OPEN_MS + DAY_MS)])
    repair(tmp_path)
    for path in day_files(tmp_path):
        assert_stats_true(path)
    assert query(tmp_path / f"{NEXT_DAY}.db", "SELECT symbol, rows FROM symbol_stats") == [(TENCENT, 2)]
    assert query(tmp_path / f"{DAY}.db", "SELECT symbol, rows FROM symbol_stats") == [(HSBC, 1), (TENCENT, 4)]


def test_volumes_that_make_no_sense_do_not_stop_it(tmp_path: Path) -> None:
    """Their sum stays within what SQLite can hold, as the writer's does."""
    path = make_current(tmp_path / f"{DAY}.db", [tick(TENCENT, n, OPEN_MS, LATE_MS) for n in range(3)])
    con = apsw.Connection(str(path))
    con.execute("UPDATE ticks SET volume = 9223372036854775807, turnover = 1.7e308")
    con.close()
    (report,) = repair(tmp_path)
    assert report.error is None
    assert query(path, "SELECT volume_sum, turnover_sum FROM symbol_stats") == [
        (9223372036854775807, 1.7976931348623157e308)
    ]


@pytest.mark.parametrize("late_first", [True, False])
def test_a_revision_that_differed_only_by_the_fault_is_none(tmp_path: Path, *, late_first: bool) -> None:
    """Whichever of the two came first."""
    one = tick(TENCENT, 1, OPEN_MS)
    late = one._replace(late_ms=LATE_MS)
    path = make_current(tmp_path / f"{DAY}.db", [late if late_first else one], [one if late_first else late])
    assert len(query(path, "SELECT 1 FROM tick_revisions")) == 1
    (report,) = repair(tmp_path)
    assert (report.error, report.repaired) == (None, 1)
    assert stored(path) == [day_row(one)]
    assert stored(path, "tick_revisions") == []


def test_a_revisions_time_is_put_right_too(tmp_path: Path) -> None:
    """It goes where its tick goes."""
    here, there = tick(TENCENT, 1, OPEN_MS, LATE_MS), tick(TENCENT, 2, AUCTION_MS, LATE_MS)
    make_current(tmp_path / f"{DAY}.db", [here], [here._replace(price=2.0)])
    make_current(tmp_path / f"{NEXT_DAY}.db", [there], [there._replace(price=3.0)])
    assert [report.repaired for report in repair(tmp_path)] == [2, 2]
    assert stored(tmp_path / f"{DAY}.db") == [day_row(here), day_row(there)]
    assert stored(tmp_path / f"{DAY}.db", "tick_revisions") == [
        day_row(here._replace(price=2.0)),
        day_row(there._replace(price=3.0)),
    ]
    assert stored(tmp_path / f"{NEXT_DAY}.db") == stored(tmp_path / f"{NEXT_DAY}.db", "tick_revisions") == []


# ---- the older kind


def test_the_older_kinds_trading_day_keeps_its_form(tmp_path: Path) -> None:
    """With dashes where it had them."""
    ticks = [tick(TENCENT, 1, OPEN_MS, LATE_MS), tick(TENCENT, 9, AUCTION_MS, LATE_MS)]
    make_older(tmp_path / f"{NEXT_DAY}.db", ticks, dashes=True)
    repair(tmp_path)
    assert [day for *_, day, _ in stored(tmp_path / f"{DAY}.db")] == ["2026-07-31"] * 2
    other = make_older(tmp_path / "other.db", ticks, dashes=True)
    repair(tmp_path, paths=[other])
    assert [day for *_, day, _ in stored(other)] == ["2026-07-31"] * 2


def test_the_older_kinds_rows_without_sequence_are_repaired_by_the_clock(tmp_path: Path) -> None:
    """One that is there already with its right time is dropped; one that differs otherwise is kept beside it."""
    ticks = [
        Tick(TENCENT, None, OPEN_MS),
        Tick(TENCENT, None, OPEN_MS, LATE_MS),
        Tick(TENCENT, None, OPEN_MS + 1, LATE_MS),
        Tick(HSBC, None, OPEN_MS),
        Tick(HSBC, None, OPEN_MS, LATE_MS),
    ]
    path = make_older(tmp_path / f"{DAY}.db", ticks)
    con = apsw.Connection(str(path))
    con.execute("UPDATE ticks SET direction = 'SELL' WHERE symbol = ? AND ts_ms > ?", (HSBC, OPEN_MS))
    con.close()
    (report,) = repair(tmp_path, Rule(LATE_MS, OPEN_MS + 2 * HOUR_MS))
    assert (report.error, report.repaired, report.dropped, report.revised) == (None, 3, 1, 1)
    assert [(symbol, ts_ms) for symbol, _, ts_ms, *_ in stored(path)] == [
        (HSBC, OPEN_MS),
        (TENCENT, OPEN_MS),
        (TENCENT, OPEN_MS + 1),
    ]
    assert query(path, "SELECT symbol, ts_ms, direction FROM tick_revisions") == [(HSBC, OPEN_MS, "SELL")]


def test_the_older_kind_gets_no_table_that_it_does_not_need(tmp_path: Path) -> None:
    """Its originals are in the copy."""
    path = make_older(tmp_path / f"{DAY}.db", [tick(TENCENT, 1, OPEN_MS, LATE_MS)])
    (report,) = repair(tmp_path)
    assert tables(path) == {"ticks"}
    (backup,) = report.backups
    assert stored(backup) == [(TENCENT, seq_at(1), OPEN_MS + LATE_MS, DAY, 372.4)]


def test_the_older_kinds_numbers_of_rows_are_its_own(tmp_path: Path) -> None:
    """A row that moves gets a new one where it goes, since its old one may be taken there."""
    with_id = OLDER_SCHEMA.replace("CREATE TABLE ticks (", "CREATE TABLE ticks (id INTEGER PRIMARY KEY, ")
    auctions = [tick(TENCENT, 9, AUCTION_MS, LATE_MS), tick(TENCENT, 10, AUCTION_MS, LATE_MS)]
    for day, ticks in ((DAY, [tick(TENCENT, 1, OPEN_MS)]), (NEXT_DAY, auctions)):
        con = apsw.Connection(str(tmp_path / f"{day}.db"))
        con.execute(with_id)
        for one in ticks:
            con.execute(
                "INSERT INTO ticks (market, symbol, ts_ms, price, volume, seq, trading_day, recv_ts_ms, inserted_at_ms)"
                " VALUES ('HK', ?, ?, 1.0, 1, ?, 'x', 0, 0)",
                (one.symbol, one.ts_ms + one.late_ms, one.seq),
            )
        con.close()
    report = only(repair(tmp_path), f"{NEXT_DAY}.db")
    assert (report.error, report.dropped, report.revised) == (None, 0, 0)
    assert query(tmp_path / f"{DAY}.db", "SELECT id, seq FROM ticks ORDER BY id") == [
        (1, seq_at(1)),
        *((2 + n, one.seq) for n, one in enumerate(auctions)),
    ]


def test_a_column_named_rowid_is_not_taken_for_the_rows_number(tmp_path: Path) -> None:
    """What is counted as repaired is repaired, and is not found again."""
    con = apsw.Connection(str(tmp_path / f"{DAY}.db"))
    con.execute(OLDER_SCHEMA.replace("CREATE TABLE ticks (", "CREATE TABLE ticks (rowid TEXT, "))
    con.execute(
        "INSERT INTO ticks (market, symbol, ts_ms, price, volume, seq, trading_day, recv_ts_ms, inserted_at_ms)"
        " VALUES ('HK', ?, ?, 1.0, 1, ?, 'x', 0, 0)",
        (TENCENT, OPEN_MS + LATE_MS, seq_at(1)),
    )
    con.close()
    assert [report.repaired for report in repair(tmp_path)] == [1]
    assert query(tmp_path / f"{DAY}.db", "SELECT ts_ms FROM ticks") == [(OPEN_MS,)]
    assert [report.repaired for report in repair(tmp_path)] == [0]


# ---- what is refused, and what is left as it was


@both_kinds
def test_the_backup_is_a_whole_database_of_before(make: Make, tmp_path: Path) -> None:
    """One plain file, with what the log held, that opens where nobody may write."""
    path = make(tmp_path / f"{DAY}.db", [tick(TENCENT, 1, OPEN_MS, LATE_MS)])
    before = stored(path)
    (report,) = repair(tmp_path)
    (backup,) = report.backups
    assert backup.name.startswith(f"{DAY}.db.bak-20")
    assert backup.name.endswith("Z")
    assert stored(backup) == before != stored(path)
    assert query(backup, "PRAGMA journal_mode") == [("delete",)]
    assert day_files(tmp_path) == [path]


@both_kinds
def test_a_dry_run_changes_not_one_byte(make: Make, tmp_path: Path) -> None:
    """Not in the files, not beside them; and it tells what would be done, and where to."""
    auction = tick(TENCENT, 9, AUCTION_MS, LATE_MS)
    make(tmp_path / f"{NEXT_DAY}.db", [auction, tick(HSBC, 1, OPEN_MS + DAY_MS, LATE_MS)])
    before = bytes_of(tmp_path)
    (report,) = repair(tmp_path, is_dry_run=True)
    assert bytes_of(tmp_path) == before
    assert (report.error, report.repaired, report.moved) == (None, 2, {DAY: 1})
    by_symbol = {sample.symbol: sample for sample in report.after}
    assert (by_symbol[TENCENT].ts_ms, by_symbol[TENCENT].trading_day) == (AUCTION_MS, DAY)
    assert (by_symbol[TENCENT].file, by_symbol[HSBC].file) == (f"{DAY}.db", f"{NEXT_DAY}.db")


def test_a_dry_run_reads_what_is_only_in_the_log_yet(tmp_path: Path) -> None:
    """While somebody else writes, as any reader does."""
    path = make_current(tmp_path / f"{DAY}.db", [])
    database = DayDatabase(path, Pragmas())
    make_current(path, [tick(TENCENT, 1, OPEN_MS, LATE_MS)])
    assert (tmp_path / f"{DAY}.db-wal").stat().st_size > 0
    (report,) = repair(tmp_path, is_dry_run=True)
    database.close()
    assert (report.error, report.repaired) == (None, 1)


@pytest.mark.parametrize("name", [RECORDER_LOCK, WRITER_LOCK])
def test_where_a_recorder_writes_nothing_is_repaired(name: str, tmp_path: Path) -> None:
    """Recorder or writer alone; a dry run may look all the same."""
    path = make_current(tmp_path / f"{DAY}.db", [tick(TENCENT, 1, OPEN_MS, LATE_MS)])
    before = path.read_bytes()
    script = (
        "import sys\nfrom pathlib import Path\nfrom hk_tick_collector.store.data_root import hold_lock\n"
        "hold_lock(Path(sys.argv[1]), sys.argv[2], 0)\nprint('held', flush=True)\nsys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", script, tmp_path, name], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        told = (
            f"{'recorder' if name == RECORDER_LOCK else 'writer'} pid {holder.pid} writes to {tmp_path}: stop it first "
            "(systemctl stop hk-tick-collector), or only look with --dry-run"
        )
        with pytest.raises(AlreadyRunningError, match=re.escape(told)):
            repair(tmp_path)
        (report,) = repair(tmp_path, is_dry_run=True)
        assert report.repaired == 1
        assert path.read_bytes() == before
        holder.communicate()
    assert [report.repaired for report in repair(tmp_path)] == [1]


def test_the_locks_are_let_go(tmp_path: Path) -> None:
    """Or no recorder could start after a repair."""
    with no_recorder(tmp_path, "wait"), pytest.raises(AlreadyRunningError):
        hold_lock(tmp_path, RECORDER_LOCK, 0)
    with no_recorder(tmp_path, "wait"):
        pass


def test_a_directory_that_is_none_is_told_in_one_line(tmp_path: Path) -> None:
    """An operator's mistake, not a bug."""
    with pytest.raises(ConfigError, match="can't be written to"), no_recorder(tmp_path / "nowhere", "wait"):
        pass


def test_a_file_that_somebody_has_open_is_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A recorder of another kind takes no lock of ours; SQLite tells that it is there. The next file is done."""
    monkeypatch.setattr("hk_tick_collector.repair.tick_file.BUSY_TIMEOUT_MS", 50)
    busy = make_older(tmp_path / f"{DAY}.db", [tick(TENCENT, 1, OPEN_MS, LATE_MS)])
    make_older(tmp_path / f"{NEXT_DAY}.db", [tick(TENCENT, 2, OPEN_MS + DAY_MS, LATE_MS)])
    other = apsw.Connection(str(busy))
    assert other.execute("SELECT count(*) FROM ticks").get == 1
    reports = repair(tmp_path)
    other.close()
    first, second = reports
    assert first.error == f"{busy} is open in another process: end that one first"
    assert (first.repaired, first.findings[Finding.LATE], first.backups) == (0, 1, [])
    assert (second.repaired, second.error) == (1, None)
    assert [report.repaired for report in repair(tmp_path)] == [1, 0]


def test_a_file_that_rows_belong_to_may_be_open_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Then they stay where they are, and the line names that file."""
    monkeypatch.setattr("hk_tick_collector.repair.tick_file.BUSY_TIMEOUT_MS", 50)
    target = make_older(tmp_path / f"{DAY}.db", [tick(TENCENT, 1, OPEN_MS)])
    source = make_older(tmp_path / f"{NEXT_DAY}.db", [tick(TENCENT, 9, AUCTION_MS, LATE_MS)])
    before = stored(source)
    other = apsw.Connection(str(target))
    assert other.execute("SELECT count(*) FROM ticks").get == 1
    report = only(repair(tmp_path), source.name)
    other.close()
    assert report.error == f"{target} is open in another process: end that one first"
    assert stored(source) == before
    assert only(repair(tmp_path), source.name).moved == {DAY: 1}


@both_kinds
def test_what_is_made_belongs_to_whom_the_data_belongs(make: Make, tmp_path: Path) -> None:
    """Also where an operator repairs as root: copies, new days and locks, or the recorder could not go on."""
    need_root("giving a file away")
    root = tmp_path / "data"
    root.mkdir()
    os.chown(root, 1234, 5678)
    path = make(root / f"{NEXT_DAY}.db", [tick(TENCENT, 9, AUCTION_MS, LATE_MS)])
    os.chown(path, 1234, 5678)
    path.chmod(0o640)
    (report,) = repair(root)
    assert report.moved == {DAY: 1}
    made = {entry.name: entry.stat() for entry in root.iterdir()}
    assert len(made) == 6
    assert {(stat.st_uid, stat.st_gid) for stat in made.values()} == {(1234, 5678)}
    modes = {stat.st_mode & 0o777 for name, stat in made.items() if ".db" in name}
    assert modes == {0o640}


def test_two_kinds_are_not_mixed(tmp_path: Path) -> None:
    """Rows of the older kind can't go into a file of ours: both stay as they were, and it is said."""
    make_current(tmp_path / f"{DAY}.db", [tick(TENCENT, 1, OPEN_MS)])
    source = make_older(tmp_path / f"{NEXT_DAY}.db", [tick(TENCENT, 9, AUCTION_MS, LATE_MS)])
    before = stored(source), stored(tmp_path / f"{DAY}.db")
    report = only(repair(tmp_path), f"{NEXT_DAY}.db")
    assert "of another kind" in (report.error or "")
    assert (stored(source), stored(tmp_path / f"{DAY}.db")) == before


@pytest.mark.parametrize(
    ("content", "error"),
    [
        (b"no database at all" * 100, "not a database"),
        ("CREATE TABLE other (a)", "none of ours"),
        (_KEYED, "has no rowid"),
        (f"PRAGMA application_id = {APPLICATION_ID}; PRAGMA user_version = 99; CREATE TABLE ticks (seq)", "version 99"),
    ],
)
def test_what_is_not_understood_is_left_alone(content: bytes | str, error: str, tmp_path: Path) -> None:
    """One line names the file, and the other files are done."""
    bad = tmp_path / f"{DAY}.db"
    if isinstance(content, bytes):
        bad.write_bytes(content)
    else:
        query(bad, content)
    before = bad.read_bytes()
    make_current(tmp_path / f"{NEXT_DAY}.db", [tick(TENCENT, 2, OPEN_MS + DAY_MS, LATE_MS)])
    first, second = repair(tmp_path)
    assert error in first.error
    assert str(bad) in first.error
    assert bad.read_bytes() == before
    assert second.repaired == 1


def test_a_database_whose_first_transaction_never_came_is_nothing(tmp_path: Path) -> None:
    """It has no rows; and where rows belong there, it is made."""
    (tmp_path / f"{DAY}.db").touch()
    auction = tick(TENCENT, 9, AUCTION_MS, LATE_MS)
    make_older(tmp_path / f"{NEXT_DAY}.db", [auction])
    first, second = repair(tmp_path)
    assert (first.error, first.findings.total()) == (None, 0)
    assert (second.error, second.moved) == (None, {DAY: 1})
    assert stored(tmp_path / f"{DAY}.db") == [day_row(auction)]


def test_a_copy_that_can_not_be_made_stops_the_repair(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is changed without one, and no half of one is left."""
    path = make_current(tmp_path / f"{DAY}.db", [tick(TENCENT, 1, OPEN_MS, LATE_MS)])
    before = stored(path)

    def full(_path: Path) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("hk_tick_collector.repair.backup.sync", full)
    (report,) = repair(tmp_path)
    assert "No space left" in (report.error or "")
    assert stored(path) == before
    assert {name for name in bytes_of(tmp_path) if "bak" in name} == set()


def test_progress_is_told_with_what_there_is_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of the looking and of the copying."""
    monkeypatch.setattr("hk_tick_collector.repair.tick_file.TELL_EVERY_ROWS", 10)
    make_current(tmp_path / f"{DAY}.db", [tick(TENCENT, n, OPEN_MS, LATE_MS) for n in range(30)])
    told: list[tuple[str, int, int]] = []
    list(Repair(BY_SEQ, False, lambda *what: told.append(what), set()).run(day_files(tmp_path)))  # noqa: FBT003
    assert (f"{DAY}.db: looked at", 20, 30) in told
    assert any(what == f"{DAY}.db: pages copied" and done == total > 0 for what, done, total in told)
