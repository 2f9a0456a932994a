"""Reading a day's database in portions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import apsw
import pytest
from support.reading import LiveDay, store_day
from support.ticks import DAY, HSBC, OPEN_MS, TENCENT, row, seq_at

from hk_tick_collector.errors import DatabaseError, DatabaseNewerError, OlderRecorderError
from hk_tick_collector.parquet.arrow import PACKED, batch_of
from hk_tick_collector.parquet.columns import COLUMNS
from hk_tick_collector.read import sqlite_day
from hk_tick_collector.read.sqlite_day import Portion, database_symbols, read_portion
from hk_tick_collector.read.wanted import Position, Wanted
from hk_tick_collector.store.schema import MIGRATIONS

if TYPE_CHECKING:
    from pathlib import Path

    from hk_tick_collector.mapping import Row

ALL = Wanted(COLUMNS)


def rows_of(portion: Portion, columns: tuple[str, ...] = COLUMNS) -> list[dict[str, Any]]:
    """The rows of a portion, decoded."""
    rows: list[dict[str, Any]] = batch_of(portion.runs, portion.packed, columns).to_pylist()
    return rows


def seqs(portion: Portion) -> list[tuple[str, int]]:
    """Symbol and sequence of each tick."""
    return [(one["symbol"], one["seq"]) for one in rows_of(portion)]


def made(*symbols: str, ticks: int = 3) -> list[Row]:
    """Rows of these symbols."""
    return [row(symbol, seq_at(n), price=100.0 + n) for symbol in symbols for n in range(ticks)]


def read_all(path: Path, wanted: Wanted = ALL) -> list[Portion]:
    """All portions."""
    found = [read_portion(path, wanted, None)]
    while found[-1].position is not None:
        found.append(read_portion(path, wanted, found[-1].position))
    return found


def test_a_small_day_is_one_portion_sorted_by_symbol_and_sequence(tmp_path: Path) -> None:
    """Made-up sequences, which are negative, come first."""
    path = store_day(tmp_path / f"{DAY}.db", [*made(TENCENT, HSBC), row(TENCENT, -5)])
    portion = read_portion(path, ALL, None)
    assert portion.position is None
    assert portion.runs == [(HSBC, 3), (TENCENT, 4)]
    assert seqs(portion) == sorted(seqs(portion))
    assert seqs(portion)[3] == (TENCENT, -5)


def test_portions_follow_each_other_without_loss_or_doubling(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A symbol with more ticks than fit into one transaction is continued after its last one."""
    monkeypatch.setattr(sqlite_day, "PORTION_ROWS", 4)
    monkeypatch.setattr(sqlite_day, "SYMBOL_ROWS", 6)
    path = store_day(tmp_path / f"{DAY}.db", made("HK.00001", HSBC, ticks=3) + made(TENCENT, ticks=14))
    portions = read_all(path)
    assert [portion.runs for portion in portions] == [
        [("HK.00001", 3), (HSBC, 3)],
        [(TENCENT, 6)],
        [(TENCENT, 6)],
        [(TENCENT, 2)],
    ]
    read = [key for portion in portions for key in seqs(portion)]
    assert read == sorted(set(read))
    assert len(read) == 20


def test_between_two_portions_the_log_can_be_emptied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A consumer that thinks for an hour holds no snapshot; one that keeps a transaction open would.

    A symbol that was read is of one moment: what has come since is left out.
    """
    monkeypatch.setattr(sqlite_day, "PORTION_ROWS", 1)
    day = LiveDay(tmp_path / f"{DAY}.db")
    day.push(*made(TENCENT, HSBC))
    first = read_portion(day.path, ALL, None)
    assert first.position is not None
    day.push(row(HSBC, seq_at(9)), row(TENCENT, seq_at(9)))
    day.database.wal._truncate()
    assert day.database.wal.size_bytes() == 0
    rest = read_portion(day.path, ALL, first.position)
    assert seqs(rest) == [(TENCENT, seq_at(n)) for n in (0, 1, 2, 9)]
    day.end()

    day = LiveDay(day.path)  # the counter-check: this is what a held transaction does
    day.push(row(TENCENT, seq_at(10)))
    holder = apsw.Connection(str(day.path))
    holder.execute("BEGIN; SELECT count(*) FROM ticks")
    day.push(row(TENCENT, seq_at(11)))
    assert not day.database.wal._truncate()
    holder.close()
    day.end()


def test_the_ticks_are_chosen_by_symbol_time_and_type(tmp_path: Path) -> None:
    """A begin is included, an end is not."""
    path = store_day(
        tmp_path / f"{DAY}.db",
        [row(TENCENT, seq_at(n), OPEN_MS + n * 1000, tick_type_id=n) for n in range(8)] + made(HSBC),
    )
    by_time = Wanted(COLUMNS, (TENCENT,), begin_ms=OPEN_MS + 2000, end_ms=OPEN_MS + 5000)
    assert seqs(read_portion(path, by_time, None)) == [(TENCENT, seq_at(n)) for n in (2, 3, 4)]
    by_type = Wanted(COLUMNS, (TENCENT,), types=frozenset({6, 7}))
    assert seqs(read_portion(path, by_type, None)) == [(TENCENT, seq_at(n)) for n in (6, 7)]
    without = Wanted(COLUMNS, (HSBC, TENCENT), without=frozenset({6, 7}))
    assert len(seqs(read_portion(path, without, None))) == 3 + 6


def test_a_column_that_was_not_asked_for_is_not_read(tmp_path: Path) -> None:
    """The words of a column are read with the column that has their number."""
    path = store_day(tmp_path / f"{DAY}.db", made(TENCENT, ticks=1))
    columns = ("direction", "price")
    portion = read_portion(path, Wanted(columns), None)
    assert rows_of(portion, columns) == [{"direction": "BUY", "price": 100.0}]
    assert PACKED.unpack(portion.packed) == (seq_at(0), 0, 100.0, 0, 0.0, 1, 0, 0, 0, 0, 0)


@pytest.mark.parametrize("version", [1, 2])
def test_a_day_of_an_older_schema_is_read(tmp_path: Path, version: int) -> None:
    """Its ticks have the same columns; a version without a ledger has no `recorded`."""
    path = tmp_path / f"{DAY}.db"
    con = apsw.Connection(str(path))
    for migration in MIGRATIONS[:version]:
        con.execute(migration.replace("day_of_ts_ms()", "'20260731'"))
    con.execute(f"PRAGMA application_id = 0x484B5443; PRAGMA user_version = {version}")
    con.execute("INSERT INTO ticks VALUES (?,?,?,?,?,?,?,?,?,?,?,?)", row(TENCENT, seq_at(1)))
    con.execute("INSERT INTO symbol_stats VALUES (?, 1, 100, 37240.0, 1, 1, 1, 1, 1)", (TENCENT,))
    con.close()
    assert seqs(read_portion(path, ALL, None)) == [(TENCENT, seq_at(1))]
    assert database_symbols(path) == {TENCENT}


def test_a_day_that_has_not_begun_has_no_ticks(tmp_path: Path) -> None:
    """Its first transaction is not committed yet."""
    path = tmp_path / f"{DAY}.db"
    apsw.Connection(str(path)).close()
    path.touch()
    assert read_portion(path, ALL, None) == Portion([], b"", None)
    assert database_symbols(path) == set()


def test_a_database_of_another_kind_is_refused(tmp_path: Path) -> None:
    """Of a newer version, of the older recorder, or of another program; each says what it is."""
    path = tmp_path / f"{DAY}.db"
    con = apsw.Connection(str(path))
    con.execute("PRAGMA application_id = 0x484B5443; PRAGMA user_version = 99; CREATE TABLE t (a)")
    with pytest.raises(DatabaseNewerError, match="has schema version 99"):
        read_portion(path, ALL, None)
    con.execute("PRAGMA application_id = 0; PRAGMA user_version = 0")
    with pytest.raises(DatabaseError, match="was made by another program"):
        read_portion(path, ALL, None)
    con.execute("CREATE TABLE ticks (market, symbol, ts_ms, price, volume, trading_day)")
    with pytest.raises(OlderRecorderError, match="was made by the older recorder"):
        read_portion(path, ALL, None)
    con.close()


def test_reading_leaves_no_file_behind(tmp_path: Path) -> None:
    """A day that no process has open stays one plain file."""
    path = store_day(tmp_path / f"{DAY}.db", made(TENCENT))
    before = path.read_bytes()
    assert read_all(path)
    assert [one.name for one in tmp_path.iterdir()] == [path.name]
    assert path.read_bytes() == before


def test_a_symbol_that_was_recorded_without_a_tick_is_known(tmp_path: Path) -> None:
    """It was not traded."""
    day = LiveDay(tmp_path / f"{DAY}.db")
    day.push(*made(TENCENT))
    day.database.connection.execute("INSERT INTO recorded VALUES (?, 1, NULL)", (HSBC,))
    day.end()
    assert database_symbols(day.path) == {TENCENT, HSBC}
    assert seqs(read_portion(day.path, Wanted(COLUMNS, (HSBC,)), Position(HSBC, 5))) == []
