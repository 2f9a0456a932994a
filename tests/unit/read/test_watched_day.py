"""A day that is followed, from its first commit into its archive."""

from __future__ import annotations

from typing import TYPE_CHECKING

import apsw
import pytest
from support.reading import LiveDay, archive_day, keys, store_day
from support.ticks import DAY, HSBC, OPEN_MS, TENCENT, row, seq_at

from hk_tick_collector.db import DayDatabase, Pragmas
from hk_tick_collector.errors import DatabaseError, DatabaseNewerError, ForeignFileError
from hk_tick_collector.parquet import writing
from hk_tick_collector.parquet.columns import COLUMNS
from hk_tick_collector.parquet.layout import ticks_path
from hk_tick_collector.read import changes
from hk_tick_collector.read.wanted import Wanted
from hk_tick_collector.read.watched_day import PATIENCE_SEC, QUIET_SEC, WatchedDay

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from hk_tick_collector.mapping import Row


class Clock:
    """Moves only when it is told to."""

    def __init__(self) -> None:
        self.sec = 1000.0

    def __call__(self) -> float:
        """The time, in seconds."""
        return self.sec


def ticks(*ordinals: int, symbol: str = TENCENT) -> list[Row]:
    """Rows with these ordinals."""
    return [row(symbol, seq_at(n)) for n in ordinals]


def given(*ordinals: int, symbol: str = TENCENT) -> list[tuple[str, int]]:
    """Their keys."""
    return [(symbol, seq_at(n)) for n in ordinals]


@pytest.fixture
def clock() -> Clock:
    """The clock of the watched days."""
    return Clock()


@pytest.fixture
def watch(tmp_path: Path, clock: Clock) -> Iterator[WatchedDay]:
    """The day, all of it."""
    made = WatchedDay(tmp_path, DAY, Wanted(COLUMNS), clock=clock)
    yield made
    made.close()


@pytest.fixture
def live(tmp_path: Path) -> LiveDay:
    """The day, while it is written; a test may end it."""
    return LiveDay(tmp_path / f"{DAY}.db")


def settle(watch: WatchedDay, clock: Clock) -> None:
    """Let the day be quiet until it is only looked at."""
    for _ in range(3):
        clock.sec += QUIET_SEC * 1.1
        assert keys(watch.poll()) == []
    assert watch.is_quiet


def test_each_commit_is_given_once_and_holds_no_snapshot(watch: WatchedDay, live: LiveDay) -> None:
    """The writer can empty its log after each."""
    assert keys(watch.poll()) == []
    for n in range(1, 5):
        live.push(*ticks(n))
        assert keys(watch.poll()) == given(n)
        assert live.database.wal._truncate()
        assert keys(watch.poll()) == []
    live.end()


def test_a_quiet_day_is_let_go_so_that_it_can_be_sealed(watch: WatchedDay, live: LiveDay, clock: Clock) -> None:
    """While it is written, a connection is kept; then the day becomes one plain file as if nobody followed it."""
    live.push(*ticks(1))
    assert keys(watch.poll()) == given(1)
    assert not watch.is_quiet
    assert not live.database.leave_wal(), "the connection that is kept holds it: the counter-check"
    settle(watch, clock)
    assert live.database.leave_wal()
    live.database.close()
    assert keys(watch.poll()) == []


def test_a_quiet_day_that_changes_is_read_again(watch: WatchedDay, live: LiveDay, clock: Clock) -> None:
    """Its files show it, whether it is in WAL mode or one plain file that a writer opens again."""
    live.push(*ticks(1, 5))
    assert keys(watch.poll()) == given(1, 5)
    settle(watch, clock)
    live.fetch(*ticks(3))
    assert keys(watch.poll()) == given(3)
    settle(watch, clock)
    live.end()
    assert keys(watch.poll()) == []
    settle(watch, clock)
    again = LiveDay(live.path)
    again.fetch(*ticks(2, 9))
    assert keys(watch.poll()) == given(2, 9)
    again.end()


def test_a_commit_in_the_same_moment_as_a_look_is_not_missed(tmp_path: Path, clock: Clock) -> None:
    """For some seconds after a change, the times of files are not trusted: here they never change."""
    watch = WatchedDay(tmp_path, DAY, Wanted(COLUMNS), clock=clock)
    path = store_day(tmp_path / f"{DAY}.db", ticks(*range(50)))
    assert len(keys(watch.poll())) == 50
    told = path.stat()
    con = DayDatabase(path, Pragmas(synchronous="OFF"))
    con.store({TENCENT: ticks(99)}, {})
    con.leave_wal()
    con.close()
    assert path.stat().st_size == told.st_size
    _set_times(path, told.st_mtime_ns)
    assert path.stat().st_mtime_ns == told.st_mtime_ns
    assert keys(watch.poll()) == given(99)
    watch.close()


def _set_times(path: Path, ns: int) -> None:
    import os  # noqa: PLC0415

    os.utime(path, ns=(ns, ns))


def test_a_day_that_is_archived_is_not_given_again(watch: WatchedDay, live: LiveDay, clock: Clock) -> None:
    """Neither when its database goes, nor when it comes back."""
    live.push(*ticks(1, 2), *ticks(7, symbol=HSBC))
    assert len(keys(watch.poll())) == 3
    settle(watch, clock)
    live.end()
    kept = live.path.read_bytes()
    archive_day(live.path)
    assert keys(watch.poll()) == []
    settle(watch, clock)
    live.path.write_bytes(kept)
    assert keys(watch.poll()) == []
    again = LiveDay(live.path)
    again.fetch(*ticks(4))
    assert keys(watch.poll()) == given(4)
    again.end()


def test_what_was_committed_just_before_the_day_was_archived_is_given_from_there(
    watch: WatchedDay, live: LiveDay
) -> None:
    """Nobody looked in between."""
    live.push(*ticks(1, 5))
    assert len(keys(watch.poll())) == 2
    live.push(*ticks(3, 9), *ticks(7, symbol=HSBC))
    watch.close()
    live.end()
    archive_day(live.path)
    assert keys(watch.poll()) == [*given(7, symbol=HSBC), *given(3, 9)]
    assert keys(watch.poll()) == []


@pytest.mark.parametrize("is_archived", [False, True])
def test_a_consumer_that_leaves_and_comes_back_gets_the_rest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, clock: Clock, *, is_archived: bool
) -> None:
    """Between two batches of a day, also if it is quiet by then."""
    monkeypatch.setattr(changes, "PORTION_ROWS", 1)
    monkeypatch.setattr(writing, "ROW_GROUP_ROWS", 1)
    path = store_day(tmp_path / f"{DAY}.db", [*ticks(1), *ticks(2, symbol=HSBC), *ticks(3, symbol="HK.09988")])
    if is_archived:
        archive_day(path)
    watch = WatchedDay(tmp_path, DAY, Wanted(COLUMNS), clock=clock)
    polled = watch.poll()
    first = keys([next(polled)])
    del polled
    clock.sec += QUIET_SEC * 2
    assert first + keys(watch.poll()) == [*given(2, symbol=HSBC), *given(1), *given(3, symbol="HK.09988")]
    watch.close()


def test_an_archived_day_is_given_as_it_was_asked_for(tmp_path: Path) -> None:
    """By symbol, time and type, with the columns in their order."""
    rows = [
        row(symbol, seq_at(n), OPEN_MS + n * 1000, tick_type_id=n % 2) for symbol in (TENCENT, HSBC) for n in range(6)
    ]
    archive_day(store_day(tmp_path / f"{DAY}.db", rows))
    wanted = Wanted(("price", "seq"), (TENCENT,), types=frozenset({1}), begin_ms=OPEN_MS + 2000)
    (batch,) = WatchedDay(tmp_path, DAY, wanted).poll()
    assert batch.to_pylist() == [{"price": 372.4, "seq": seq_at(n)} for n in (3, 5)]


@pytest.mark.parametrize("is_archived", [False, True])
def test_what_is_there_at_first_can_be_left_out(tmp_path: Path, *, is_archived: bool) -> None:
    """It is known; what comes later is given."""
    database = store_day(tmp_path / f"{DAY}.db", ticks(1, 2))
    kept = database.read_bytes()
    if is_archived:
        archive_day(database)
    watch = WatchedDay(tmp_path, DAY, Wanted(COLUMNS), is_silent=True)
    assert keys(watch.poll()) == []
    database.write_bytes(kept)
    live = LiveDay(database)
    live.push(*ticks(3))
    assert keys(watch.poll()) == given(3)
    watch.close()
    live.end()


def test_a_database_that_was_made_again_gives_only_new_ticks(watch: WatchedDay, live: LiveDay) -> None:
    """As after its file was deleted while it was recorded: the recorder makes it again from the journal."""
    live.push(*ticks(1, 2, 3))
    assert len(keys(watch.poll())) == 3
    live.end()
    live.path.unlink()
    assert keys(watch.poll()) == []
    again = LiveDay(live.path)
    again.push(*ticks(1, 3))
    assert keys(watch.poll()) == []
    again.push(*ticks(2, 4))
    assert keys(watch.poll()) == given(4)
    again.end()


def test_another_database_in_its_place_is_compared_tick_by_tick(
    watch: WatchedDay, live: LiveDay, clock: Clock, tmp_path: Path
) -> None:
    """As `rebuild` puts one there: it lacks a tick and has another, so that their number shows nothing."""
    live.push(*ticks(1, 2, 3))
    assert len(keys(watch.poll())) == 3
    settle(watch, clock)
    live.end()
    (tmp_path / "scratch").mkdir()
    rebuilt = store_day(tmp_path / "scratch" / live.path.name, ticks(1, 2, 4))
    rebuilt.replace(live.path)
    assert keys(watch.poll()) == given(4)
    assert keys(watch.poll()) == []


def test_a_database_that_can_not_be_read_for_long_is_an_error(watch: WatchedDay, live: LiveDay, clock: Clock) -> None:
    """While it is replaced, or locked, the others go on; after half a minute it is told."""
    live.push(*ticks(1))
    live.end()
    locked = apsw.Connection(str(live.path))
    locked.pragma("locking_mode", "exclusive")
    assert locked.pragma("journal_mode", "wal") == "wal"
    locked.execute("CREATE TABLE x (a)")
    watch._busy_timeout_ms = 1
    assert keys(watch.poll()) == []
    clock.sec += PATIENCE_SEC - 1
    assert keys(watch.poll()) == []
    clock.sec += 1
    with pytest.raises(DatabaseError, match=r"20260731\.db can't be read: .*database is locked"):
        keys(watch.poll())
    locked.close()
    assert keys(watch.poll()) == given(1)


def test_a_database_that_will_never_be_readable_is_an_error_at_once(tmp_path: Path, watch: WatchedDay) -> None:
    """Damaged, of a newer version, or an archive of another program."""
    path = tmp_path / f"{DAY}.db"
    path.write_bytes(b"no database" * 1000)
    with pytest.raises(DatabaseError, match="can't be read"):
        keys(watch.poll())
    path.unlink()
    con = apsw.Connection(str(path))
    con.execute("PRAGMA application_id = 0x484B5443; PRAGMA user_version = 99; CREATE TABLE t (a)")
    con.close()
    with pytest.raises(DatabaseNewerError):
        keys(watch.poll())
    path.unlink()
    ticks_path(tmp_path, DAY).parent.mkdir(parents=True)
    ticks_path(tmp_path, DAY).write_bytes(b"PAR1 or not")
    with pytest.raises(ForeignFileError):
        keys(watch.poll())
