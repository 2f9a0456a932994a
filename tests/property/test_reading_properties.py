"""Ticks are the same wherever they are read from: a day that is over, one that is written, an archive, a change."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.reading import LiveDay, archive_day, store_day
from support.ticks import DAY, OPEN_MS

from hk_tick_collector.parquet.columns import COLUMNS, arrow_schema
from hk_tick_collector.read import changes, sqlite_day
from hk_tick_collector.read.data_root import DataRoot
from hk_tick_collector.store.opening import open_readonly

if TYPE_CHECKING:
    from pathlib import Path

    from hk_tick_collector.mapping import Row

SYMBOLS = ("HK.00001", "HK.00700", "HK.09988", "HK.80700")
INT64 = st.integers(-(2**63) + 1, 2**63 - 1)
REAL = st.floats(allow_nan=False, allow_infinity=False)
TIME_MS = st.integers(OPEN_MS - 3_600_000, OPEN_MS + 3_600_000)
SMALL = st.integers(-1, 40)

TICK = st.tuples(
    st.sampled_from(SYMBOLS),
    st.one_of(st.integers(-3, 3), INT64),
    TIME_MS,
    REAL,
    st.integers(0, 2**40),
    REAL,
    st.one_of(st.integers(0, 5), INT64),
    st.one_of(SMALL, INT64),
    st.sampled_from((0, 1, 2, 7)),
    SMALL,
    TIME_MS,
    TIME_MS,
)
DAYS = st.lists(TICK, min_size=1, max_size=25, unique_by=lambda tick: tick[:2])


@st.composite
def questions(draw: st.DrawFn) -> dict[str, Any]:
    """What is asked of `DataRoot.ticks`."""
    begin_ms, end_ms = sorted((draw(TIME_MS), draw(TIME_MS) + 1))
    when = draw(st.sampled_from([DAY, None, (_instant(begin_ms), _instant(end_ms)), (_instant(begin_ms), None)]))
    return {
        "when": when if end_ms > begin_ms else DAY,
        "columns": draw(st.one_of(st.none(), st.lists(st.sampled_from(COLUMNS), min_size=1, unique=True))),
        "types": draw(st.one_of(st.none(), st.just("no_odd_lots"), st.sets(SMALL.map(abs), min_size=1))),
    }


def _instant(ms: int) -> str:
    return (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=ms)).isoformat()


def answer(root: Path, symbols: list[str] | None, asked: dict[str, Any]) -> list[dict[str, Any]]:
    """The rows that are given, with their types checked."""
    ticks = DataRoot(root).ticks(symbols, **asked)
    table = ticks.to_arrow()
    assert table.schema.equals(arrow_schema(ticks.columns))
    table.validate(full=True)
    rows: list[dict[str, Any]] = table.to_pylist()
    return rows


def by_sql(database: Path) -> list[dict[str, Any]]:
    """The same as SQLite itself tells it: by its generated columns, through none of our statements."""
    con = open_readonly(database)
    try:
        names = ", ".join(name for name in COLUMNS)
        rows = con.execute(f"SELECT {names} FROM ticks ORDER BY symbol, seq").fetchall()  # noqa: S608
    finally:
        con.close()
    return [dict(zip(COLUMNS, row, strict=True)) for row in rows]


def followed(root: Path) -> list[dict[str, Any]]:
    """All that following gives of what is there."""
    found: list[dict[str, Any]] = []
    with DataRoot(root).follow(since="2026-07-31") as follow:
        while (batch := follow.poll()) is not None:
            assert batch.schema.equals(arrow_schema())
            found += batch.to_pylist()
    return found


@settings(max_examples=40)
@given(rows=DAYS, asked=questions(), portion=st.sampled_from((1, 3, 65_536)), cut=st.integers(0, 25))
def test_a_day_is_the_same_over_live_and_archived(
    tmp_path_factory: pytest.TempPathFactory, rows: list[Row], asked: dict[str, Any], portion: int, cut: int
) -> None:
    """Values, types and order; asked for in any way; also while another reader holds the live day's log."""
    root = tmp_path_factory.mktemp("days")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sqlite_day, "PORTION_ROWS", portion)
        patch.setattr(sqlite_day, "SYMBOL_ROWS", max(portion, 2))
        patch.setattr(changes, "PORTION_ROWS", portion)
        over = store_day(root / "over" / f"{DAY}.db", rows)
        (root / "live").mkdir()
        live = LiveDay(root / "live" / f"{DAY}.db")
        live.push(*rows[:cut])
        holder = open_readonly(live.path)
        holder.execute("BEGIN")
        holder.execute("SELECT count(*) FROM ticks").fetchall()
        live.fetch(*rows[cut:])
        archived = store_day(root / "archived" / f"{DAY}.db", rows)
        archive_day(archived)
        try:
            some = [row[0] for row in rows][:2]
            for symbols in (None, some):
                expected = answer(root / "over", symbols, asked)
                assert answer(root / "live", symbols, asked) == expected
                assert answer(root / "archived", symbols, asked) == expected
            whole = answer(root / "over", None, {"when": DAY})
            assert followed(root / "over") == followed(root / "live") == followed(root / "archived") == whole
            _is_what_sqlite_says(whole, by_sql(over))
        finally:
            holder.close()
            live.end()


def _is_what_sqlite_says(rows: list[dict[str, Any]], expected: list[dict[str, Any]]) -> None:
    for row, told in zip(rows, expected, strict=True):
        plain = {name: round(at.timestamp() * 1000) if isinstance(at, datetime) else at for name, at in row.items()}
        assert plain == told
