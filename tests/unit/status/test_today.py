"""What is stored of today, and what of it is lost."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING

import apsw
import pytest
from support.gap_row import put_gaps
from support.ticks import HSBC, OPEN_MS, TENCENT, row, seq_at

from hk_tick_collector.db import DayDatabase, Pragmas
from hk_tick_collector.errors import DatabaseError
from hk_tick_collector.status.lost import Lost
from hk_tick_collector.status.today import Today, read_lost
from hk_tick_collector.store.imported import Import, note_import
from hk_tick_collector.store.schema import APPLICATION_ID, DAY_OF_TS, MIGRATIONS

if TYPE_CHECKING:
    from pathlib import Path

DAY = "20260731"
NEXT_DAY = "20260801"


def make_old_version(path: Path) -> Path:
    """A day as the first version of this program made it."""
    with closing(apsw.Connection(str(path))) as con:
        con.execute(MIGRATIONS[0].replace(DAY_OF_TS, "'20260731'"))
        con.pragma("application_id", APPLICATION_ID)
        con.pragma("user_version", 1)
    return path


@pytest.fixture
def database(tmp_path: Path) -> Path:
    """A day with three ticks."""
    path = tmp_path / f"{DAY}.db"
    with closing(DayDatabase(path, Pragmas())) as day:
        day.begin()
        day.insert({TENCENT: [row(TENCENT, seq_at(n)) for n in range(3)]}, {}, [], [])
        day.commit()
    return path


def test_a_day_without_an_open_gap_has_lost_nothing(database: Path) -> None:
    """Also one whose gaps are all filled."""
    assert read_lost(database) is None
    put_gaps(database, {"missing": 5, "state": "filled"})
    assert read_lost(database) is None


def test_open_gaps_are_summed_up(database: Path) -> None:
    """Ticks where ordinals tell, else shares, else that it is not known; the causes, that of most gaps first."""
    put_gaps(
        database,
        {"missing": 5, "missing_volume": 900, "before_ts_ms": OPEN_MS + 10_000, "after_ts_ms": OPEN_MS + 20_000},
        {"missing": 7, "symbol": HSBC, "after_ts_ms": OPEN_MS + 90_000},
        {"missing_volume": 1700, "cause": "kicked_out", "evidence": "totals"},
        {"cause": "exchange_lost", "evidence": "totals"},
        {"missing": 100, "state": "filled", "symbol": "HK.00001"},
    )
    assert read_lost(database) == Lost(
        DAY, 4, 2, 12, 1700, 1, OPEN_MS, OPEN_MS + 90_000, ("opend_down", "exchange_lost", "kicked_out")
    )


def test_doubts_are_told_apart_from_gaps(database: Path) -> None:
    """How many, of how many symbols, from when to when, and why."""
    with closing(DayDatabase(database, Pragmas())) as day:
        day.begin()
        for number, (symbol, since_ms) in enumerate([(TENCENT, OPEN_MS), (TENCENT, None), (HSBC, OPEN_MS + 5000)]):
            day.connection.execute(
                "INSERT INTO doubts (symbol, cause, session, since_ms, resumed_ms) VALUES (?, ?, 'MORNING', ?, ?)",
                (symbol, "opend_down" if number else "recorder_down", since_ms, OPEN_MS + 60_000 + number),
            )
        day.commit()
    assert read_lost(database) == Lost(
        DAY,
        doubts=3,
        doubted_symbols=2,
        doubted_from_ms=OPEN_MS,
        doubted_until_ms=OPEN_MS + 60_002,
        doubted_causes=("opend_down", "recorder_down"),
    )


def test_of_a_day_without_a_ledger_nothing_is_known(database: Path, tmp_path: Path) -> None:
    """A version that kept none recorded it, or it was imported: that is not the same as nothing lost."""
    (tmp_path / "old").mkdir()
    old = make_old_version(tmp_path / "old" / database.name)
    assert read_lost(old) == Lost(DAY, no_ledger="an older version recorded this day, and kept no ledger")
    with closing(DayDatabase(database, Pragmas())) as day:
        day.begin()
        note_import(day.connection, Import("/old/20260731.db", "the older one", 4, 1, 3, 3, 0, 0, 0, 0, 0))
        day.commit()
    imported = "this day was imported, and no ledger came with it"
    assert read_lost(database) == Lost(DAY, no_ledger=imported)
    put_gaps(database, {"missing": 5})
    lost = read_lost(database)
    assert lost is not None
    assert (lost.ticks, lost.no_ledger) == (5, imported)
    empty = tmp_path / "old" / f"{NEXT_DAY}.db"
    empty.touch()
    assert read_lost(empty) is None


def test_todays_ticks_are_those_of_today(database: Path) -> None:
    """Not of the newest day that there is; and a database that can't be read leaves the figures as they were."""
    root = database.parent
    put_gaps(database, {"missing": 5})
    today = Today(root)
    assert (today.rows, today.lost()) == (0, None), "nothing is read yet"
    today.look(DAY)
    told = today.lost()
    assert today.rows == 3
    assert told is not None
    assert (told.day, told.ticks) == (DAY, 5)
    database.write_bytes(b"garbage" * 1000)
    today.look(DAY)
    assert (today.rows, today.lost()) == (3, told)
    today.look(NEXT_DAY)
    assert (today.rows, today.lost()) == (0, None), "the next day has lost nothing yet"


def test_a_database_that_cant_be_read_is_an_error_for_whoever_asks_for_it(database: Path) -> None:
    """Nothing known is not nothing lost."""
    database.write_bytes(b"garbage" * 1000)
    with pytest.raises(DatabaseError, match="can't be read"):
        read_lost(database)
