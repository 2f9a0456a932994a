"""Sealing a day: what stands there afterwards, what is refused, and that a killed one leaves nothing false."""

from __future__ import annotations

import os
import random
import stat
import subprocess
import sys
import time
from contextlib import closing
from typing import TYPE_CHECKING, Any

import apsw
import pytest
from support.scenario import Scenario
from support.sealing import SILENT, certificate, make_day, seal_day, tell_day
from support.ticks import DAY, HSBC, NEXT_DAY, TENCENT, row, seq_at

from hk_tick_collector.db import DayDatabase, Pragmas
from hk_tick_collector.errors import AlreadyRunningError, DatabaseError
from hk_tick_collector.seal import day as seal
from hk_tick_collector.seal import due
from hk_tick_collector.seal.day import seal_days
from hk_tick_collector.seal.open_day import open_day
from hk_tick_collector.seal.recheck import recheck
from hk_tick_collector.store.data_root import SEAL_LOCK, hold_lock
from hk_tick_collector.store.sealed import certificate_of, day_open_lock, is_sealed, reopen, requested_day, superseded
from hk_tick_collector.store.wal import journal_mode_of
from hk_tick_collector.writer.day_databases import DayDatabases

if TYPE_CHECKING:
    from pathlib import Path


def mode_of(path: Path) -> int:
    """Its rights."""
    return stat.S_IMODE(path.stat().st_mode)


@pytest.mark.parametrize(("before", "after"), [(0o644, 0o444), (0o640, 0o440), (0o660, 0o440)])
def test_a_sealed_day_is_read_only(tmp_path: Path, before: int, after: int) -> None:
    """It is one plain file that nobody may write; who could read it still can."""
    database = make_day(tmp_path)
    database.chmod(before)
    seal_day(database)
    assert mode_of(database) == after
    assert journal_mode_of(database) != "wal"
    assert not (tmp_path / f"{DAY}.db-wal").exists()
    assert requested_day(tmp_path) is None


def test_the_verdict_is_signed_whatever_it_is(tmp_path: Path) -> None:
    """A day that lacks something is sealed as one that lacks something; one without evidence likewise."""
    lacking = seal_day(tell_day(Scenario(tmp_path / "a"), lost=300)).certificate
    assert lacking["verdict"] == "INCOMPLETE"
    assert lacking["gaps"]["missing_volume"] == 300
    unproven = seal_day(make_day(tmp_path / "b")).certificate
    assert unproven["verdict"] == "UNPROVABLE"
    assert unproven["symbols_by_verdict"] == {"complete": 0, "incomplete": 0, "unprovable": 2}
    assert all(symbol["reasons"] for symbol in unproven["symbols"])


def test_a_day_is_sealed_once(tmp_path: Path) -> None:
    """The second time nothing is changed, and its certificate is given."""
    database = make_day(tmp_path)
    first = seal_day(database)
    told = certificate_of(database).stat().st_mtime_ns
    again = seal_day(database)
    assert not again.is_new
    assert again.certificate == first.certificate
    assert certificate_of(database).stat().st_mtime_ns == told


def test_a_sealed_day_that_was_changed_is_told(tmp_path: Path) -> None:
    """It is not sealed anew over the change."""
    database = make_day(tmp_path)
    seal_day(database)
    database.chmod(0o644)
    with database.open("r+b") as file:
        file.seek(5000)
        file.write(b"x")
    with pytest.raises(DatabaseError, match="was changed since"):
        seal_day(database)


def test_a_sealing_that_was_killed_at_its_very_end_is_made_good(tmp_path: Path) -> None:
    """The certificate was there, the file not read-only yet."""
    database = make_day(tmp_path)
    seal_day(database)
    database.chmod(0o644)
    assert not seal_day(database).is_new
    assert mode_of(database) == 0o444


def test_a_damaged_day_is_not_sealed(tmp_path: Path) -> None:
    """One line that says what is damaged and how it is made again; no certificate, and nothing else is left."""
    database = make_day(tmp_path, ticks=2000)
    raw = bytearray(database.read_bytes())
    raw[len(raw) // 2 : len(raw) // 2 + 4096] = random.Random(3).randbytes(4096)
    database.write_bytes(raw)
    with pytest.raises(DatabaseError, match="was not sealed"):
        seal_day(database)
    assert sorted(path.name for path in tmp_path.iterdir()) == [SEAL_LOCK, f"{DAY}.db"]
    assert requested_day(tmp_path) is None


def test_statistics_that_are_wrong_are_not_certified(tmp_path: Path) -> None:
    """Ticks that somebody deleted by hand leave `symbol_stats` behind."""
    database = make_day(tmp_path)
    with closing(apsw.Connection(str(database))) as con:
        con.execute("DELETE FROM ticks WHERE symbol = ? AND seq = ?", (HSBC, seq_at(2)))
    with pytest.raises(DatabaseError, match="symbol_stats does not match"):
        seal_day(database)
    assert not is_sealed(database)


def test_a_day_that_somebody_has_open_is_not_sealed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In WAL mode it can't be made plain; after a while that is said."""
    monkeypatch.setattr(seal, "WAIT_SEC", 0.0)
    database = make_day(tmp_path)
    reader = apsw.Connection(str(database), flags=apsw.SQLITE_OPEN_READWRITE)
    assert reader.execute("SELECT count(*) FROM ticks").get
    with pytest.raises(DatabaseError, match="is open in another process"):
        seal_day(database)
    reader.close()
    assert seal_day(database).is_new


def test_two_sealings_do_not_meet(tmp_path: Path) -> None:
    """The second one is told that there is one."""
    database = make_day(tmp_path)
    lock = hold_lock(tmp_path, SEAL_LOCK, 0)
    with pytest.raises(AlreadyRunningError, match="sealed or repaired by another process"):
        seal_day(database)
    os.close(lock)


@pytest.mark.parametrize("attempts", [1, 2])
def test_what_comes_while_the_day_is_read_is_in_the_certificate(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, attempts: int
) -> None:
    """A tick that is stored after the audit makes the sealing begin anew."""
    database = make_day(tmp_path)
    audits = 0
    audit_day = seal.audit_day

    def disturbed(path: Path) -> Any:  # noqa: ANN401 - an audit
        nonlocal audits
        audits += 1
        found = audit_day(path)
        if audits <= attempts:
            day = open_day(path, Pragmas())
            day.store({TENCENT: [row(TENCENT, seq_at(100 + audits))]}, {})
            day.leave_wal()
            day.close()
        return found

    monkeypatch.setattr(seal, "audit_day", disturbed)
    assert seal_day(database).certificate["rows"] == 10 + attempts
    assert audits == attempts + 1
    assert not recheck(tmp_path, DAY, SILENT).differences


def test_a_day_that_never_rests_is_not_sealed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """After some attempts it is given up for now."""
    database = make_day(tmp_path)
    numbers = iter(range(100, 200))
    audit_day = seal.audit_day

    def disturbed(path: Path) -> Any:  # noqa: ANN401 - an audit
        day = open_day(path, Pragmas())
        day.store({TENCENT: [row(TENCENT, seq_at(next(numbers)))]}, {})
        day.close()
        return audit_day(path)

    monkeypatch.setattr(seal, "audit_day", disturbed)
    with pytest.raises(DatabaseError, match="changes while it is sealed"):
        seal_day(database)
    assert not is_sealed(database)


def test_a_writer_lets_go_of_the_day_that_is_wanted(tmp_path: Path) -> None:
    """It closes that day between two transactions, and concludes nothing more in it; other days stay open."""
    databases = DayDatabases(tmp_path, Pragmas())
    for day in (DAY, NEXT_DAY):
        databases.get(day)[0].store({TENCENT: [row(TENCENT, seq_at(1))]}, {})
    with seal.sealing(tmp_path) as lock:
        seal.request_release(lock, NEXT_DAY)
        databases.trim()
        assert journal_mode_of(tmp_path / f"{NEXT_DAY}.db") != "wal"
        assert not databases.has(NEXT_DAY)
        assert databases.has(DAY)
        assert journal_mode_of(tmp_path / f"{DAY}.db") == "wal"
    assert databases.has(NEXT_DAY)  # whoever wanted it is gone
    databases.close()


# ---- killed at each step

_STEPS = """
import os, pathlib, sys
from hk_tick_collector.store import data_root
from hk_tick_collector.store import sealed
from hk_tick_collector.seal import day as seal
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

for of, name in ((os, "fsync"), (os, "pwrite"), (os, "rename"), (os, "chmod"), (pathlib.Path, "rename"),
                 (pathlib.Path, "chmod"), (pathlib.Path, "write_bytes"), (seal, "audit_day"), (os, "ftruncate")):
    step(of, name)
with seal.sealing(database.parent) as lock:
    seal.seal(database, lock, lambda *_: None)
"""


def test_a_sealing_that_is_killed_leaves_nothing_false(tmp_path: Path) -> None:
    """At each of its steps: there is no certificate, or a whole one that is right; and the next one seals."""
    killed = with_certificate = 0
    for step in range(40):
        root = tmp_path / str(step)
        database = make_day(root)
        before = database.read_bytes()
        code = subprocess.run([sys.executable, "-c", _STEPS, str(database), str(step)], check=False).returncode
        if code == 0:
            break
        assert code == -9
        killed += 1
        if is_sealed(database):
            with_certificate += 1
            assert not recheck(root, DAY, SILENT).differences
        else:
            assert database.read_bytes() == before or journal_mode_of(database) != "wal"
        assert seal_day(database).certificate["rows"] == 10
        assert not recheck(root, DAY, SILENT).differences
        assert mode_of(database) == 0o444
    else:
        pytest.fail("it never came to its end")
    assert killed > 6
    assert with_certificate >= 1


# ---- opened again


def test_a_day_that_is_opened_again_keeps_its_certificates(tmp_path: Path) -> None:
    """Each superseded one by its number; the next one says which it supersedes."""
    database = make_day(tmp_path)
    for number in (1, 2):
        first = seal_day(database).certificate
        day = open_day(database, Pragmas())
        assert not is_sealed(database)
        assert mode_of(database) == 0o644
        day.store({TENCENT: [row(TENCENT, seq_at(1000 + number))]}, {})
        day.close()
        assert list(superseded(database)) == list(range(1, number + 1))
        assert superseded(database)[number].read_bytes()
        assert seal_day(database).certificate["supersedes"] == number
        assert certificate(database)["rows"] == first["rows"] + 1


def test_an_opening_that_was_killed_half_way_can_be_sealed(tmp_path: Path) -> None:
    """The certificate is superseded, the file still read-only: the next one makes it writable first."""
    database = make_day(tmp_path)
    seal_day(database)
    certificate_of(database).rename(tmp_path / f"{DAY}.certificate.1.json")
    with day_open_lock(tmp_path):
        assert reopen(database) is None
    assert mode_of(database) & stat.S_IWUSR
    database.chmod(0o444)
    assert seal_day(database).certificate["supersedes"] == 1


def test_who_opens_a_day_waits_for_who_seals_it_just_now(tmp_path: Path) -> None:
    """The moment in which the certificate comes into being is nobody else's; a process that hangs there is named."""
    database = make_day(tmp_path)
    with day_open_lock(tmp_path):
        late = day_open_lock(tmp_path, 0)
        with pytest.raises(DatabaseError, match="has been locked by another process"):
            late.__enter__()
    DayDatabase(database, Pragmas()).close()


# ---- which are due


def test_the_days_that_are_due(tmp_path: Path) -> None:
    """Days that are over and not sealed, oldest first; those that were opened again when they have rested."""
    for day in ("20260727", "20260728", "20260729", "20260730", "20260731"):
        make_day(tmp_path, day)
    seal_day(tmp_path / "20260728.db")
    seal_day(tmp_path / "20260729.db")
    with day_open_lock(tmp_path):
        reopen(tmp_path / "20260729.db")
    assert due.due_days(tmp_path, "20260731", 0) == ["20260727", "20260729", "20260730"]
    assert due.due_days(tmp_path, "20260731", 3600) == ["20260727", "20260730"]


def test_only_the_newest_days_are_due(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Years of days that were recorded before there was sealing are left alone."""
    monkeypatch.setattr(due, "DAYS_MAX", 2)
    for day in ("20260727", "20260728", "20260729"):
        make_day(tmp_path, day)
    assert due.due_days(tmp_path, "20260731", 0) == ["20260728", "20260729"]


def test_a_day_that_can_not_be_sealed_stops_no_other(tmp_path: Path) -> None:
    """What became of each is told."""
    make_day(tmp_path, "20260729")
    (tmp_path / "20260730.db").write_bytes(b"no database at all" * 400)
    make_day(tmp_path, "20260731")
    told = list(seal_days(tmp_path, ["20260729", "20260730", "20260731"], SILENT))
    assert [one["day"] for one in told if "error" in one] == ["20260730"]
    assert [one["rows"] for one in told if "error" not in one] == [10, 10]


def test_a_day_is_over_by_the_earlier_clock(tmp_path: Path) -> None:
    """OpenD's counts while a recorder runs that knows it; what a recorder has left behind does not."""
    (tmp_path / "recorder.json").write_text('{"session": {"clock_offset_ms": -172800000}}')
    assert abs(due.now_ms(tmp_path) / 1000 - time.time()) < 60
    lock = hold_lock(tmp_path, ".recorder.lock", 0)
    assert abs(due.now_ms(tmp_path) / 1000 + 172800 - time.time()) < 60
    told_ms = time.time_ns() // 1_000_000 - 7 * 86_400_000  # and then the host's clock was set a week ahead
    (tmp_path / "recorder.json").write_text(f'{{"at_ms": {told_ms}, "session": {{"clock_offset_ms": 900}}}}')
    assert due.now_ms(tmp_path) == told_ms + 900
    (tmp_path / "recorder.json").write_text("{}")
    assert abs(due.now_ms(tmp_path) / 1000 - time.time()) < 60
    os.close(lock)
    assert due.next_day_ms(DAY) == due.next_day_ms("20260730") + 86_400_000


def test_a_day_with_text_that_is_not_utf_8_stops_no_other_day(tmp_path: Path) -> None:
    """A flipped bit of a word is nothing that SQLite's own check finds."""
    database = make_day(tmp_path)
    with closing(apsw.Connection(str(database))) as con:
        con.execute("INSERT INTO trade_dates VALUES (?, CAST(x'ff41' AS TEXT))", (DAY,))
    make_day(tmp_path, NEXT_DAY)
    failed, done = seal_days(tmp_path, [DAY, NEXT_DAY], SILENT)
    assert failed["error"].startswith(f"{database} was not sealed: UnicodeDecodeError: 'utf-8' codec can't decode")
    assert done["is_new"]
    assert not is_sealed(database)
