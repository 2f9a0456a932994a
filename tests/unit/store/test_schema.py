"""The day database's schema: what users query is named and computed as documented, and nothing else is let in."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import apsw
import pytest
from support.ticks import OPEN_MS, TENCENT, row, seq_at

from hk_tick_collector import db
from hk_tick_collector.db import DayDatabase, Pragmas, migrate
from hk_tick_collector.errors import ConfigError, DatabaseError, DatabaseNewerError
from hk_tick_collector.store import schema
from hk_tick_collector.store.opening import open_readonly
from hk_tick_collector.store.schema import (
    APPLICATION_ID,
    DAY_OF_TS,
    DIRECTIONS,
    MIGRATIONS,
    PUSH_TYPES,
    TICK_TYPES,
    VERSION,
    day_files,
    day_of_ts,
    require_sqlite,
)
from hk_tick_collector.store.stored import check_today, unusable_days

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where a day database is made."""
    return tmp_path / "20260731.db"


def one_line(error: Exception) -> str:
    """The error's text, which must be one line."""
    assert "\n" not in str(error)
    return str(error)


# ---- SQLite's version


@pytest.mark.parametrize("version", ["3.51.3", "3.51.10", "3.52.0", "4.0.0"])
def test_a_good_sqlite_is_accepted(version: str) -> None:
    """From 3.51.3 on, compared as numbers and not as text."""
    require_sqlite(version)


@pytest.mark.parametrize("version", ["3.51.2", "3.40.1", "3.9.9", "3.7.0", "2.99.99"])
def test_a_sqlite_that_corrupts_is_refused(version: str) -> None:
    """One line tells the version that was seen, the one that is needed, and how to get it."""
    with pytest.raises(ConfigError) as caught:
        require_sqlite(version)
    assert one_line(caught.value).startswith(f"SQLite {version} can corrupt a database")
    assert "3.51.3 is needed: pip install --upgrade apsw" in str(caught.value)


def test_the_sqlite_in_use_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without being told a version it is the linked library's that counts."""
    require_sqlite()
    monkeypatch.setattr(apsw, "sqlite_lib_version", lambda: "3.40.1")
    with pytest.raises(ConfigError, match=r"SQLite 3\.40\.1"):
        require_sqlite()


# ---- which files


def test_day_files_are_told_from_others(tmp_path: Path) -> None:
    """Only files that are named by a day are day databases, oldest first; a directory that is not there has none."""
    for name in ("20260731.db", "20260101.db", "20260731.db-wal", "notes.db", "2026.db", "x20260731.db"):
        (tmp_path / name).touch()
    assert [found.name for found in day_files(tmp_path)] == ["20260101.db", "20260731.db"]
    assert day_files(tmp_path / "none") == []


def test_a_new_file_is_marked_as_ours(path: Path) -> None:
    """A new database has our application id, the newest schema version, and is empty."""
    DayDatabase(path, Pragmas()).close()
    con = open_readonly(path)
    assert (con.pragma("application_id"), con.pragma("user_version")) == (APPLICATION_ID, VERSION)
    tables = {name for (name,) in con.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")}
    assert tables == {
        *("ticks", "tick_revisions", "symbol_stats", "time_corrections", "bad_ticks"),
        *("gaps", "doubts", "exchange_totals", "judged", "recorded", "outages", "trade_dates"),
        *("symbol_types", "ordinals", "decided", "premises", "clocks"),
    }
    con.close()
    check_today(path.parent, path.stem)


def test_a_newer_database_is_refused_by_all_who_open_it(path: Path) -> None:
    """A database of a newer version is refused in one line with both versions, and is left as it was."""
    DayDatabase(path, Pragmas()).close()
    con = apsw.Connection(str(path))
    con.pragma("user_version", VERSION + 1)
    con.close()
    before = path.read_bytes()
    with pytest.raises(DatabaseNewerError) as caught:
        DayDatabase(path, Pragmas())
    assert f"{path} has schema version {VERSION + 1}, this program knows up to {VERSION}" in one_line(caught.value)
    with pytest.raises(DatabaseNewerError):
        open_readonly(path)
    with pytest.raises(ConfigError, match="upgrade hk-tick-collector"):
        check_today(path.parent, path.stem)
    assert path.read_bytes() == before


@pytest.mark.parametrize("version", [0, VERSION, 7])
def test_a_foreign_database_is_refused_by_all_who_write(path: Path, version: int) -> None:
    """A file with another program's tables is refused in one line, whatever its version says, and left as it was."""
    con = apsw.Connection(str(path))
    con.execute("CREATE TABLE ticks (market TEXT, symbol TEXT, ts_ms INTEGER, seq INTEGER)")
    con.pragma("user_version", version)
    con.close()
    before = path.read_bytes()
    with pytest.raises(DatabaseError) as caught:
        DayDatabase(path, Pragmas())
    assert f"{path} was made by another program; move it out of DATA_ROOT" in one_line(caught.value)
    with pytest.raises(ConfigError) as refused:
        check_today(path.parent, path.stem)
    assert str(path) in one_line(refused.value)
    assert path.read_bytes() == before


@pytest.mark.parametrize("content", [b"this is no database, but it is long enough to be one" * 100, b"\x00" * 8192])
def test_garbage_is_named(path: Path, content: bytes) -> None:
    """A file that is no database at all is named in one line."""
    path.write_bytes(content)
    check_today(path.parent, path.stem)  # it is set aside, and made again from the journal
    assert str(path) in unusable_days(path.parent)[path]


def test_an_empty_file_is_made_a_database(path: Path) -> None:
    """A writer that was killed before its first transaction leaves an empty file, which the next one uses."""
    path.touch()
    check_today(path.parent, path.stem)
    DayDatabase(path, Pragmas()).close()
    assert open_readonly(path).pragma("user_version") == VERSION


# ---- migrations


def test_a_migration_is_all_or_nothing(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A step that fails leaves version, tables and rows as they were before the first step."""
    database = DayDatabase(path, Pragmas())
    database.store({TENCENT: [row(TENCENT, seq_at(1))]}, {})
    database.close()
    good, bad = "CREATE TABLE added (x)", "ALTER TABLE nowhere ADD COLUMN y"
    monkeypatch.setattr(schema, "MIGRATIONS", (*MIGRATIONS, good, bad))
    for module in (db, schema):
        monkeypatch.setattr(module, "VERSION", VERSION + 2)
    con = apsw.Connection(str(path))
    with pytest.raises(apsw.SQLError, match="nowhere"):
        migrate(con, path)
    assert con.pragma("user_version") == VERSION
    assert con.execute("SELECT count(*) FROM sqlite_schema WHERE name = 'added'").get == 0
    assert con.execute("SELECT count(*) FROM ticks").get == 1
    monkeypatch.setattr(schema, "MIGRATIONS", (*MIGRATIONS, good, "INSERT INTO added VALUES (5)"))
    migrate(con, path)
    assert con.pragma("user_version") == VERSION + 2
    assert con.execute("SELECT x FROM added").get == 5
    con.close()


def test_a_day_of_the_first_version_is_brought_up_to_date(path: Path) -> None:
    """Its ticks stay, and it has a ledger from then on, as a new one has."""
    con = apsw.Connection(str(path))
    con.execute(MIGRATIONS[0].replace(DAY_OF_TS, day_of_ts(path)))
    con.pragma("application_id", APPLICATION_ID)
    con.pragma("user_version", 1)
    con.executemany("INSERT INTO ticks VALUES (?,?,?,?,?,?,?,?,?,?,?,?)", [row(TENCENT, seq_at(n)) for n in range(9)])
    con.close()
    assert open_readonly(path).pragma("user_version") == 1
    DayDatabase(path, Pragmas()).close()
    new = path.with_name("20260801.db")
    DayDatabase(new, Pragmas()).close()
    con, other = open_readonly(path), open_readonly(new)
    tables = "SELECT name FROM sqlite_schema WHERE type = 'table' ORDER BY name"
    assert con.execute(tables).fetchall() == other.execute(tables).fetchall()
    assert con.pragma("user_version") == VERSION
    assert con.execute("SELECT count(*) FROM ticks").get == 9
    assert con.execute("SELECT count(*) FROM gaps").get == 0
    con.close()
    other.close()


# ---- what users read


@pytest.mark.parametrize(
    ("column", "names", "other"),
    [("direction", DIRECTIONS, "DIRECTION_"), ("tick_type", TICK_TYPES, "TYPE_"), ("push_type", PUSH_TYPES, "PUSH_")],
)
def test_numbers_are_read_as_names(path: Path, column: str, names: dict[int, str], other: str) -> None:
    """Each number that OpenD is known to send has its name, and one that is invented tomorrow tells its number."""
    unknown = [-5, len(names), 99, 2**31 - 1]
    numbers = [*names, *unknown]
    database = DayDatabase(path, Pragmas())
    rows = [row(TENCENT, seq_at(n), **{f"{column}_id": number}) for n, number in enumerate(numbers)]
    database.store({TENCENT: rows}, {})
    database.close()
    con = open_readonly(path)
    found = con.execute(f"SELECT {column}_id, {column} FROM ticks ORDER BY seq").fetchall()  # noqa: S608
    assert found == [*names.items(), *((number, f"{other}{number}") for number in unknown)]
    con.close()


def test_the_names_are_opends_own() -> None:
    """The known numbers are those of OpenD's definitions."""
    assert DIRECTIONS == {0: "UNKNOWN", 1: "BUY", 2: "SELL", 3: "NEUTRAL"}
    assert PUSH_TYPES == {0: "push", 1: "poll", 2: "backfill"}
    assert [TICK_TYPES[n] for n in (1, 2, 3, 4, 5, 6, 7, 31)] == [
        "AUTO_MATCH", "LATE", "NON_AUTO_MATCH", "INTER_AUTO_MATCH", "INTER_NON_AUTO_MATCH", "ODD_LOT", "AUCTION",
        "OVERSEAS",
    ]  # fmt: skip
    assert list(TICK_TYPES) == list(range(32))


@pytest.mark.parametrize(
    ("ts_ms", "day"),
    [
        (OPEN_MS, "20260731"),
        (OPEN_MS - 10 * 3_600_000, "20260731"),  # midnight in Hong Kong
        (OPEN_MS - 10 * 3_600_000 - 1, "20260730"),
        (OPEN_MS + 14 * 3_600_000 - 1, "20260731"),
        (OPEN_MS + 14 * 3_600_000, "20260801"),
    ],
)
def test_market_and_day_are_computed_and_can_not_be_set(path: Path, ts_ms: int, day: str) -> None:
    """`trading_day` is the Hong Kong day of `ts_ms`, `market` the symbol's prefix; neither can be made to disagree."""
    database = DayDatabase(path, Pragmas())
    database.store({TENCENT: [row(TENCENT, seq_at(1), ts_ms)], "US.AAPL": [row("US.AAPL", 1, ts_ms)]}, {})
    database.close()
    con = apsw.Connection(str(path))
    found = con.execute("SELECT symbol, market, trading_day FROM ticks ORDER BY symbol").fetchall()
    assert found == [(TENCENT, "HK", day), ("US.AAPL", "US", day)]
    with pytest.raises(apsw.SQLError, match="generated column"):
        con.execute("UPDATE ticks SET trading_day = '20200101'")
    con.execute("UPDATE ticks SET ts_ms = ts_ms + 86400000")
    assert con.execute("SELECT DISTINCT trading_day > ? FROM ticks", (day,)).fetchall() == [(1,)]
    con.close()


@pytest.mark.parametrize("name", ["other.db", "20260231.db", "99999999.db"])
def test_the_day_is_computed_in_a_file_of_any_name(tmp_path: Path, name: str) -> None:
    """A file whose name is no day computes the days of its ticks all the same."""
    database = DayDatabase(tmp_path / name, Pragmas())
    database.store({TENCENT: [row(TENCENT, seq_at(1), OPEN_MS)]}, {})
    database.close()
    con = apsw.Connection(str(tmp_path / name))
    assert con.execute("SELECT trading_day FROM ticks").get == "20260731"
    con.close()


COLUMNS = (
    "symbol", "seq", "ts_ms", "price", "volume", "turnover", "direction_id", "tick_type_id", "push_type_id",
    "push_data_type", "recv_ts_ms", "inserted_at_ms",
)  # fmt: skip


@pytest.mark.parametrize("column", COLUMNS)
@pytest.mark.parametrize("way", ["pushed", "fetched"])
def test_a_missing_value_is_a_fault_and_no_duplicate(path: Path, column: str, way: str) -> None:
    """A NULL where none may be is raised, by pushes and by fetches alike, and nothing of its batch is stored."""
    database = DayDatabase(path, Pragmas())
    broken: Any = list(row(TENCENT, seq_at(2)))
    broken[COLUMNS.index(column)] = None
    rows = {TENCENT: [row(TENCENT, seq_at(1)), row(TENCENT, seq_at(1)), tuple(broken)]}
    with pytest.raises(apsw.ConstraintError, match=f"NOT NULL constraint failed: ticks.{column}"):
        database.store(*((rows, {}) if way == "pushed" else ({}, rows)))
    database.close()
    con = open_readonly(path)
    assert con.execute("SELECT count(*) FROM ticks").get == 0
    assert con.execute("SELECT count(*) FROM symbol_stats").get == 0
    con.close()


def test_a_day_of_the_second_version_keeps_its_ledger(path: Path) -> None:
    """Each row of it is there with what it told; what it did not know is not known."""
    con = apsw.Connection(str(path))
    for script in MIGRATIONS[:2]:
        con.execute(script.replace(DAY_OF_TS, day_of_ts(path)))
    con.pragma("application_id", APPLICATION_ID)
    con.pragma("user_version", 2)
    seqs = seq_at(1), seq_at(4)
    types = [row(TENCENT, seq_at(n), tick_type_id=1 + n % 2) for n in range(4)]
    con.executemany("INSERT INTO ticks VALUES (?,?,?,?,?,?,?,?,?,?,?,?)", types)
    bounds = (TENCENT, 10, "opend_down", 5, "morning")
    gap = (*bounds, seqs[0], 1, seqs[1], 2, 3, 400, "totals", 7, seqs[1], 11, "filled", 12, "poll")
    con.execute(f"INSERT INTO gaps VALUES ({','.join('?' * len(gap))})", gap)  # noqa: S608
    con.execute("INSERT INTO doubts VALUES (?,?,?,?,?,?,?,?,?)", (*bounds, seqs[0], 1, 7, seqs[1]))
    told = (TENCENT, 20, 900, 9.0, 700, 7.0, 7, seqs[1], 200, seqs[0], 30)
    con.execute("INSERT INTO exchange_totals VALUES (?,?,?,?,?,?,?,?,?,?,?)", told)
    con.execute("INSERT INTO recorded VALUES (?, 5)", (TENCENT,))
    con.execute("INSERT INTO judged VALUES (1, 2, 3, 4, 5)")
    con.close()
    DayDatabase(path, Pragmas()).close()
    con = open_readonly(path)
    assert con.pragma("user_version") == VERSION
    assert con.execute("SELECT * FROM gaps").fetchall() == [(*gap[:12], 11, "filled", 12, "poll", None, 0)]
    assert con.execute("SELECT * FROM doubts").fetchall() == [(*bounds, seqs[0], 1)]
    nothing = (None,) * 3
    assert con.execute("SELECT * FROM exchange_totals").fetchall() == [
        (TENCENT, 20, 0, 0, 900, 9.0, *nothing, 700, 7.0, 7, seqs[1], *nothing, 30, *nothing, None, None)
    ]
    assert con.execute("SELECT * FROM recorded").fetchall() == [(TENCENT, 5, None)]
    assert con.execute("SELECT * FROM symbol_types").fetchall() == [(TENCENT, 1, 0), (TENCENT, 2, 0)]
    assert con.execute("SELECT * FROM judged").fetchall() == [(1, 2, 3, 4, 5)]
    con.close()
