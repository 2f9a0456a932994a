"""An archived day answers SQL as its database did, whatever is asked, and reads only what it needs."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING, NamedTuple

import apsw
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.archiving import DAY
from support.merging import record
from support.ticks import HSBC, TENCENT, row, seq_at

from hk_tick_collector.parquet import sqlite_view, writing
from hk_tick_collector.parquet.layout import LEDGER, TICKS
from hk_tick_collector.parquet.ledger_file import write_ledger
from hk_tick_collector.parquet.sqlite_view import open_view
from hk_tick_collector.parquet.ticks_file import TicksFile
from hk_tick_collector.store.opening import open_readonly

if TYPE_CHECKING:
    from pathlib import Path

SYMBOLS = ("HK.00001", HSBC, TENCENT, "HK.09988")
TICKS_EACH = 90
SEQS = [seq_at(n) for n in range(TICKS_EACH)]


class Both(NamedTuple):
    """A day as a database, and as an archive with many row groups."""

    database: apsw.Connection
    archive: apsw.Connection
    folder: Path


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> Both:
    """The same rows twice."""
    root = tmp_path_factory.mktemp("view")
    path = record(
        root / f"{DAY}.db",
        [
            row(symbol, seq, price=5.0 + n % 7, direction_id=1 + n % 3)
            for symbol in SYMBOLS
            for n, seq in enumerate(SEQS)
        ],
    )
    told = {"day": DAY, "rows": len(SYMBOLS) * TICKS_EACH, "self": "", "symbols": []}
    with closing(open_readonly(path)) as con, pytest.MonkeyPatch.context() as patched:
        patched.setattr(writing, "ROW_GROUP_ROWS", 50)
        writing.write_ticks(con, root / TICKS, told, lambda *_: None)
        write_ledger(con, root / LEDGER, told)
    with TicksFile(root / TICKS) as file:
        assert file.row_groups > 6
    return Both(open_readonly(path), open_view(root, path), root)


def same(both: Both, sql: str, values: tuple[object, ...] = ()) -> int:
    """Hold both answers against each other; returns how many rows there are."""
    expected = list(both.database.execute(sql, values))
    assert list(both.archive.execute(sql, values)) == expected
    return len(expected)


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT * FROM ticks ORDER BY symbol, seq",
        "SELECT * FROM ticks ORDER BY symbol DESC, seq DESC LIMIT 7",
        "SELECT symbol, count(*), sum(volume), avg(price) FROM ticks GROUP BY symbol",
        "SELECT direction, tick_type, push_type, market, trading_day, count(*) FROM ticks GROUP BY 1, 2, 3, 4, 5",
        "SELECT DISTINCT symbol FROM ticks",
        "SELECT symbol, lag(seq) OVER (PARTITION BY symbol ORDER BY seq) FROM ticks ORDER BY symbol, seq",
        "SELECT t.symbol, s.rows FROM ticks AS t JOIN symbol_stats AS s USING (symbol) ORDER BY t.symbol, t.seq",
        "SELECT * FROM ticks WHERE symbol = 'HK.00700' COLLATE NOCASE ORDER BY seq",
        "SELECT count(*) FROM ticks WHERE symbol = 'hk.00700' COLLATE NOCASE",
        "SELECT count(*) FROM ticks WHERE symbol = NULL",
        "SELECT count(*) FROM ticks WHERE seq > NULL",
        "SELECT count(*) FROM ticks WHERE symbol = 700",
        "SELECT max(seq), min(seq) FROM ticks WHERE symbol = 'HK.00700'",
        "SELECT count(*) FROM ticks WHERE symbol IN ('HK.00700', 'HK.00001', 'HK.none') AND direction = 'BUY'",
        "SELECT * FROM symbol_stats",
    ],
)
def test_the_same_sql_has_the_same_answer(both: Both, sql: str) -> None:
    """Sorted or not, grouped, joined, with windows, collations and nonsense."""
    assert same(both, sql)


OPS = st.sampled_from(["<", "<=", "=", ">=", ">", "IS"])
SEQ = st.one_of(
    st.sampled_from(SEQS),
    st.sampled_from(SEQS).map(lambda seq: seq + 1),
    st.sampled_from(SEQS).map(str),
    st.sampled_from(SEQS).map(float),
    st.none(),
    st.just("no number"),
    st.just(-1),
)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    symbol=st.one_of(st.none(), st.sampled_from([*SYMBOLS, "HK.0", "", "HK.99999"])),
    limits=st.lists(st.tuples(OPS, SEQ), max_size=3),
    order=st.sampled_from(["symbol, seq", "seq, symbol", "seq DESC, symbol", "symbol, seq DESC", "price, symbol, seq"]),
)
def test_every_limit_of_symbol_and_sequence_has_the_same_answer(
    both: Both, symbol: str | None, limits: list[tuple[str, object]], order: str
) -> None:
    """Numbers, texts that are numbers, texts that are none, and NULL."""
    terms = ["1"] + (["symbol = ?"] if symbol is not None else []) + [f"seq {op} ?" for op, _ in limits]
    values = ((symbol,) if symbol is not None else ()) + tuple(value for _, value in limits)
    same(both, f"SELECT * FROM ticks WHERE {' AND '.join(terms)} ORDER BY {order}", values)  # noqa: S608 - of this test


def test_rows_at_the_same_place_of_two_row_groups_are_both_found(both: Both, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a large day, SQLite looks up each side of an OR by itself, and leaves out rowids that it has seen."""
    monkeypatch.setattr(sqlite_view, "ROW_GROUP_ROWS", 1)  # lookups cost less than reading all rows, as of a large day
    sql = (
        "SELECT symbol, seq FROM ticks WHERE (symbol = 'HK.00001' AND seq BETWEEN ? AND ?) "
        "OR (symbol = 'HK.09988' AND seq BETWEEN ? AND ?) ORDER BY symbol, seq"
    )
    places = (SEQS[0], SEQS[45], SEQS[0], SEQS[89])
    plan = [step for _, _, _, step in both.archive.execute(f"EXPLAIN QUERY PLAN {sql}", places)]
    assert "MULTI-INDEX OR" in plan
    assert same(both, sql, places) == 46 + 90


def test_a_query_by_symbol_decodes_only_its_row_groups(both: Both, monkeypatch: pytest.MonkeyPatch) -> None:
    """At most three of eight, where a row group holds fifty of its ninety ticks."""
    read: list[int] = []
    real = TicksFile.read_group

    def noted(self: TicksFile, group: int, columns: tuple[str, ...]) -> object:
        read.append(group)
        return real(self, group, columns)

    monkeypatch.setattr(TicksFile, "read_group", noted)
    with closing(open_view(both.folder, both.folder / f"{DAY}.db")) as con:
        assert con.execute("SELECT sum(volume) FROM ticks WHERE symbol = ?", (TENCENT,)).get
    assert 1 <= len(set(read)) <= 3


def test_it_can_not_be_written(both: Both) -> None:
    """Neither the ticks nor another table."""
    for sql in ("DELETE FROM ticks", "INSERT INTO symbol_types VALUES ('HK.00700', 1, 1)"):
        with pytest.raises(apsw.Error):
            both.archive.execute(sql)
