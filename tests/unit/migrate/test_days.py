"""The older recorder's days taken over: row for row, each day once, whatever else is in the way."""

from __future__ import annotations

from collections import Counter
from contextlib import closing
from typing import TYPE_CHECKING, Any

import apsw
import pytest
from support.archiving import archive
from support.late_ticks import assert_stats_true, query
from support.older_recorder import (
    AUCTION_MS,
    DAY,
    HOUR_MS,
    LATE_MS,
    NEXT_DAY,
    OPEN_MS,
    VERSIONS,
    make_old,
    old_tick,
    rows_of,
    states,
)
from support.sealing import make_day, seal_day
from support.ticks import HSBC, TENCENT, row, seq_at

from hk_tick_collector.audit.day import Verdict, audit_day
from hk_tick_collector.db import DayDatabase, Pragmas
from hk_tick_collector.errors import AlreadyRunningError, ConfigError
from hk_tick_collector.migrate import new_day, old_file
from hk_tick_collector.migrate.days import EMPTY, IMPORTED, NOT_DONE, SAME, SCRATCH, DayResult, migrate_days
from hk_tick_collector.repair.merge import merge
from hk_tick_collector.repair.scratch import scratch_place
from hk_tick_collector.seal.catalog import Catalog
from hk_tick_collector.store.imported import Import, read_imports
from hk_tick_collector.store.opening import open_readonly

if TYPE_CHECKING:
    from pathlib import Path

TICKS = [old_tick(symbol, n, OPEN_MS + n * 1000) for n in range(1, 6) for symbol in (TENCENT, HSBC)]
NEXT_MS = OPEN_MS + 24 * HOUR_MS


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Our DATA_ROOT."""
    made = tmp_path / "data"
    made.mkdir()
    return made


def taken(old: Path, root: Path) -> dict[str, DayResult]:
    """What became of each day; nothing of the older recorder's has changed, and nothing of ours is left lying about."""
    before = states(old)
    found = {day.day: day for day in migrate_days(old, root, lambda *_: None)}
    assert states(old) == before
    assert not (root / SCRATCH).exists()
    return found


def contents(path: Path) -> list[tuple[Any, ...]]:
    """The content of our ticks, in the order of `rows_of`."""
    return query(path, "SELECT symbol, seq, ts_ms, price, volume, turnover FROM ticks ORDER BY symbol, seq, ts_ms")


def imports_of(path: Path) -> tuple[Import, ...]:
    """Where a day came from."""
    with closing(open_readonly(path)) as con:
        return read_imports(con)


@pytest.mark.parametrize("version", VERSIONS)
def test_each_row_of_each_schema_version_is_taken_over(version: int, old: Path, root: Path) -> None:
    """Content for content; the statistics agree, and the day says where it came from."""
    source = make_old(old / f"{DAY}.db", TICKS, version)
    result = taken(old, root)[DAY]
    assert (result.result, result.rows, result.stored, result.error) == (IMPORTED, 10, 10, None)
    assert contents(root / f"{DAY}.db") == rows_of(source)
    assert_stats_true(root / f"{DAY}.db")
    (told,) = imports_of(root / f"{DAY}.db")
    assert told[:3] == (str(source), "the older recorder (futu_tick_downloader)", version)
    assert told[4:] == (10, 10, 0, 0, 0, 0, 0)
    assert query(root / f"{DAY}.db", "PRAGMA journal_mode") == [("delete",)]


def test_a_day_is_unprovable_and_says_that_it_was_imported(old: Path, root: Path) -> None:
    """In the audit, in the list of days, and in the certificate."""
    make_old(old / f"{DAY}.db", TICKS)
    taken(old, root)
    audit = audit_day(root / f"{DAY}.db")
    assert audit.verdict is Verdict.UNPROVABLE
    assert {symbol.verdict for symbol in audit.symbols} == {Verdict.UNPROVABLE}
    assert all(symbol.recorded for symbol in audit.symbols)
    for symbol in audit.symbols:
        assert symbol.reasons[0] == "imported from another recorder, which kept no proof that it was whole"
    assert [one.stored for one in audit.imports] == [10]
    with closing(Catalog(root, lambda *_: None)) as catalog:
        assert [day.imported for day in catalog.days()] == [10]
    certificate = seal_day(root / f"{DAY}.db").certificate
    assert certificate["imports"][0]["source"] == str(old / f"{DAY}.db")
    with closing(Catalog(root, lambda *_: None)) as catalog:
        assert [(day.imported, day.verdict) for day in catalog.days()] == [(10, "UNPROVABLE")]
    assert taken(old, root)[DAY].result == SAME


def test_late_times_go_to_the_day_and_the_time_of_the_trade(old: Path, root: Path) -> None:
    """A morning within its day, and a closing auction from the next day's file; what is not proven stays."""
    morning = [old_tick(TENCENT, n, OPEN_MS + n * 1000, LATE_MS) for n in range(1, 4)]
    auction = [old_tick(HSBC, n, AUCTION_MS, LATE_MS) for n in range(1, 3)]
    unproven = old_tick(HSBC, 1, OPEN_MS, LATE_MS, seq=None)
    make_old(old / f"{DAY}.db", [*morning, unproven])
    make_old(old / f"{NEXT_DAY}.db", [*auction, old_tick(HSBC, 9, NEXT_MS)])
    found = taken(old, root)
    assert [(day.rows, day.stored, day.late, day.unproven) for day in found.values()] == [(6, 6, 5, 1), (1, 1, 0, 0)]
    right = Counter(query(root / f"{DAY}.db", "SELECT symbol, ts_ms FROM ticks"))
    assert right == {
        **{(TENCENT, OPEN_MS + n * 1000): 1 for n in range(1, 4)},
        (HSBC, AUCTION_MS): 2,
        (HSBC, OPEN_MS + LATE_MS): 1,
    }
    assert {day for (day,) in query(root / f"{DAY}.db", "SELECT DISTINCT trading_day FROM ticks")} == {DAY}
    originals = query(root / f"{DAY}.db", "SELECT original_ts_ms - ts_ms, evidence FROM time_corrections")
    assert originals == [(LATE_MS, "repair: sequence says 8 h earlier")] * 5
    assert [one.rows for one in imports_of(root / f"{DAY}.db")] == [4, 2]
    assert [day.result for day in taken(old, root).values()] == [SAME, SAME]


def test_duplicates_and_conflicts_are_counted_and_kept(old: Path, root: Path) -> None:
    """The same tick in two files is stored once; with another content, the day's own file wins."""
    own = [old_tick(TENCENT, 1, AUCTION_MS), old_tick(TENCENT, 2, AUCTION_MS)]
    again = [old_tick(TENCENT, 1, AUCTION_MS, LATE_MS), old_tick(TENCENT, 2, AUCTION_MS, LATE_MS, price=1.0)]
    make_old(old / f"{DAY}.db", own)
    make_old(old / f"{NEXT_DAY}.db", again)
    found = taken(old, root)
    day = found[DAY]
    assert (day.rows, day.stored, day.duplicates, day.conflicts, day.late) == (4, 2, 1, 1, 2)
    assert query(root / f"{DAY}.db", "SELECT price FROM ticks") == [(372.4,), (372.4,)]
    assert query(root / f"{DAY}.db", "SELECT seq, price, ts_ms FROM tick_revisions") == [
        (seq_at(2, AUCTION_MS), 1.0, AUCTION_MS)
    ]
    assert found[NEXT_DAY].result == EMPTY
    assert not (root / f"{NEXT_DAY}.db").exists()
    assert taken(old, root)[DAY].result == SAME


def test_rows_that_are_no_ticks_are_in_bad_ticks(old: Path, root: Path) -> None:
    """They count as taken over, and the second run finds them."""
    make_old(old / f"{DAY}.db", [*TICKS, old_tick(TENCENT, 77, price=None)])
    day = taken(old, root)[DAY]
    assert (day.rows, day.stored, day.put_aside, day.duplicates) == (11, 10, 1, 0)
    ((symbol, error),) = query(root / f"{DAY}.db", "SELECT symbol, error FROM bad_ticks")
    assert (symbol, error) == (TENCENT, "older recorder's row: price None, expected a finite number")
    assert taken(old, root)[DAY].result == SAME


def test_a_second_run_notices_that_a_source_has_grown(old: Path, root: Path) -> None:
    """The older recorder went on: the day is not the same any more, and it is not overwritten."""
    make_old(old / f"{DAY}.db", TICKS)
    taken(old, root)
    before = (root / f"{DAY}.db").read_bytes()
    (old / f"{DAY}.db").unlink()
    make_old(old / f"{DAY}.db", [*TICKS, old_tick(TENCENT, 99)])
    day = taken(old, root)[DAY]
    assert (day.result, (root / f"{DAY}.db").read_bytes()) == (NOT_DONE, before)
    assert day.error == (
        f"{root / DAY}.db was imported before, and lacks 1 of 11 rows that the source has now: once the older "
        "recorder has stopped, move that file away and run this again"
    )


@pytest.mark.parametrize("where", ["archived", "sealed here, its database kept elsewhere"])
def test_a_day_whose_database_is_not_here_gets_no_other_one(old: Path, root: Path, where: str) -> None:
    """An imported database would hide the archive, be sealed in its turn, and take its place."""
    make_old(old / f"{DAY}.db", TICKS)
    database = make_day(root, DAY)
    seal_day(database)
    if where == "archived":
        archive(database)
    else:
        database.rename(root / "elsewhere")
    day = taken(old, root)[DAY]
    assert (day.result, database.exists()) == (NOT_DONE, False)
    assert day.error == (
        f"{DAY} is {where}, and nothing is imported over it: run this again with another --data-root, then unite both "
        "with hk-tick-collector merge"
    )


def test_a_day_of_ours_is_never_overwritten(old: Path, root: Path) -> None:
    """The line says how both are united; done so, both are in the union, which remembers the import."""
    make_old(old / f"{DAY}.db", TICKS)
    ours = DayDatabase(root / f"{DAY}.db", Pragmas())
    ours.store({TENCENT: [row(TENCENT, seq_at(50, OPEN_MS), OPEN_MS)]}, {})
    ours.close()
    before = (root / f"{DAY}.db").read_bytes()
    day = taken(old, root)[DAY]
    assert (day.result, (root / f"{DAY}.db").read_bytes()) == (NOT_DONE, before)
    assert day.error == (
        f"{root / DAY}.db was recorded here, and is not overwritten; it lacks 10 of 10 rows: run this again with "
        "another --data-root, then unite both files with hk-tick-collector merge"
    )
    elsewhere = root.parent / "elsewhere"
    elsewhere.mkdir()
    assert taken(old, elsewhere)[DAY].result == IMPORTED
    united = root.parent / "united.db"
    merge(elsewhere / f"{DAY}.db", root / f"{DAY}.db", united, lambda *_: None)
    assert len(contents(united)) == 11
    assert [one.stored for one in imports_of(united)] == [10]


def test_a_day_that_cannot_be_taken_over_does_not_stop_the_others(old: Path, root: Path) -> None:
    """Damaged, of another program, ours already, empty, no date: a line each, and the good one is done."""
    make_old(old / f"{DAY}.db", TICKS)
    (old / "20261121.db").write_text("no database" * 500)
    foreign = apsw.Connection(str(old / "20261122.db"))
    foreign.execute("CREATE TABLE other (a)")
    foreign.close()
    DayDatabase(old / "20261123.db", Pragmas()).close()
    (old / "20261124.db").touch()
    make_old(old / "20269999.db", TICKS)
    found = taken(old, root)
    assert {day: one.result for day, one in found.items()} == {
        DAY: IMPORTED, "20261121": NOT_DONE, "20261122": NOT_DONE, "20261123": NOT_DONE, "20261124": EMPTY,
        "20269999": NOT_DONE,
    }  # fmt: skip
    for day in ("20261121", "20261122", "20261123", "20269999"):
        assert f"{old}/{day}.db" in (found[day].error or "")
        assert "\n" not in (found[day].error or "")
    assert [path.name for path in root.iterdir()] == [f"{DAY}.db"]


def test_a_target_that_cannot_be_compared_is_left(old: Path, root: Path) -> None:
    """The older recorder's own file in DATA_ROOT, and a damaged one."""
    for day in (DAY, NEXT_DAY):
        make_old(old / f"{day}.db", [old_tick(TENCENT, 1, OPEN_MS + (NEXT_MS - OPEN_MS) * (day == NEXT_DAY))])
    make_old(root / f"{DAY}.db", TICKS)
    (root / f"{NEXT_DAY}.db").write_text("no database" * 500)
    before = states(root)
    found = taken(old, root)
    assert "was made by the older recorder" in (found[DAY].error or "")
    assert f"{root / NEXT_DAY}.db can't be read" in (found[NEXT_DAY].error or "")
    assert {name: states(root)[name] for name in before} == before


def test_a_damaged_target_is_named_and_not_its_source(old: Path, root: Path) -> None:
    """Also where the damage shows only as rows are compared."""
    make_old(old / f"{DAY}.db", [old_tick(TENCENT, n, OPEN_MS + n * 1000) for n in range(1, 3000)])
    assert taken(old, root)[DAY].result == IMPORTED
    target = root / f"{DAY}.db"
    raw = bytearray(target.read_bytes())
    middle = len(raw) // 2 // 4096 * 4096
    raw[middle : middle + 4096] = bytes(4096)
    target.write_bytes(raw)
    day = taken(old, root)[DAY]
    assert (day.result, day.error) == (
        NOT_DONE,
        f"{target} can't be used: CorruptError: database disk image is malformed",
    )


def test_what_was_left_behind_would_be_noticed(old: Path, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Before a day gets its place, each row is looked up in it: here one was lost on the way."""
    make_old(old / f"{DAY}.db", TICKS)
    store = DayDatabase.store

    def forgetful(self: DayDatabase, pushed: Any, *rest: Any) -> Any:  # noqa: ANN401 - as the real one
        return store(self, {symbol: rows[1:] if symbol == HSBC else rows for symbol, rows in pushed.items()}, *rest)

    monkeypatch.setattr(DayDatabase, "store", forgetful)
    day = taken(old, root)[DAY]
    assert day.error == f"{old / DAY}.db: 1 of 10 rows are missing in the day that was just made"
    assert list(root.iterdir()) == []


def test_a_day_that_appears_meanwhile_is_not_replaced(old: Path, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A recorder has begun that day while its import was made."""
    make_old(old / f"{DAY}.db", TICKS)
    compare = new_day.missing_rows

    def slowly(*args: Any) -> Any:  # noqa: ANN401 - as the real one
        (root / f"{DAY}.db").write_text("of somebody else")
        return compare(*args)

    monkeypatch.setattr(new_day, "missing_rows", slowly)
    assert taken(old, root)[DAY].error == f"{root / DAY}.db was made by another process meanwhile: run this again"
    assert (root / f"{DAY}.db").read_text() == "of somebody else"


def test_a_large_day_is_read_in_small_steps(old: Path, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Progress is told, and equal rows without a sequence are counted over all steps."""
    equal = [old_tick(TENCENT, 1, seq=None, direction=name) for name in ("BUY", "SELL", "NEUTRAL")]
    source = make_old(old / f"{DAY}.db", TICKS)
    con = apsw.Connection(str(source))
    con.execute("DROP INDEX uniq_ticks_symbol_ts_price_vol_turnover")
    for one in [*equal, *equal]:
        con.execute(
            "INSERT INTO ticks VALUES ('HK', ?, ?, ?, ?, ?, ?, NULL, ?, 'poll', 'futu', ?, ?, ?)",
            (*one[:2], *one[3:8], DAY, one.recv_ts_ms, one.recv_ts_ms),
        )
    con.close()
    monkeypatch.setattr(old_file, "ROWS_AT_ONCE", 3)
    told: list[tuple[str, int, int]] = []
    (day,) = migrate_days(old, root, lambda *one: told.append(one))
    assert (day.rows, day.stored, day.duplicates, day.unproven) == (16, 16, 0, 6)
    assert (f"{DAY}.db: rows taken over", 3, 16) in told
    assert (f"{DAY}.db: rows compared", 16, 16) in told


def test_there_must_be_something_to_take_over(tmp_path: Path, root: Path) -> None:
    """One line says what was expected, and where there may be some; DATA_ROOT itself is no source."""
    make_old(tmp_path / "sqlite" / "HK" / f"{DAY}.db", TICKS)
    below = tmp_path / "sqlite" / "HK"
    (below / "20261001.db.zst").touch()
    hint = f"there are some in {below}; 1 packed file (*.db.zst) there: unpack with zstd -d"
    for old, expected in (
        (tmp_path / "gone", f"{tmp_path}/gone is not a directory: expected the older recorder's DATA_ROOT"),
        (root, f"{root} is DATA_ROOT itself, and nothing in it is changed"),
        (tmp_path / "sqlite", f"no day database in {tmp_path}/sqlite: expected files such as 20261120.db; {hint}"),
    ):
        with pytest.raises(ConfigError) as caught:
            list(migrate_days(old, root, lambda *_: None))
        assert str(caught.value).startswith(expected)
    assert list(root.iterdir()) == []


def test_two_at_once_are_not_possible(old: Path, root: Path) -> None:
    """The second one says who is at work."""
    make_old(old / f"{DAY}.db", TICKS)
    with (
        scratch_place(root / SCRATCH, "this test"),
        pytest.raises(AlreadyRunningError, match=r"days are being taken over into .* by another process: wait for it"),
    ):
        list(migrate_days(old, root, lambda *_: None))
