"""What is new in a day's database: exact, whatever order the ticks came in."""

from __future__ import annotations

from typing import TYPE_CHECKING

import apsw
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.reading import LiveDay
from support.ticks import DAY, HSBC, OPEN_MS, TENCENT, row, seq_at

from hk_tick_collector.parquet.arrow import PACKED
from hk_tick_collector.parquet.columns import COLUMNS
from hk_tick_collector.read import changes
from hk_tick_collector.read.changes import Known, runs_of
from hk_tick_collector.read.wanted import Wanted
from hk_tick_collector.store.opening import open_readonly

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from hk_tick_collector.mapping import Row

ALL = Wanted(COLUMNS)


class Reader:
    """Reads a live day step by step."""

    def __init__(self, path: Path, wanted: Wanted = ALL) -> None:
        self.path = path
        self.wanted = wanted
        self.known = Known()
        self.con = open_readonly(path)

    def new(self, *, is_silent: bool = False) -> list[tuple[str, int]]:
        """What is new now, as symbols and sequences."""
        found = []
        is_all = False
        while not is_all:
            changed = self.known.changes_in(self.con, self.path, self.wanted, is_silent=is_silent)
            assert not self.con.in_transaction
            self.known.take(changed)
            is_all = changed.is_all
            for symbol, rows in runs_of(changed.found):
                (packed,) = (one.packed for one in changed.found if one.symbol == symbol)
                assert rows * PACKED.size == len(packed)
                found += [(symbol, values[0]) for values in PACKED.iter_unpack(packed)]
        return found


@pytest.fixture
def day(tmp_path: Path) -> Iterator[LiveDay]:
    """A day that is being written."""
    made = LiveDay(tmp_path / f"{DAY}.db")
    yield made
    made.end()


def test_each_tick_is_found_once(day: LiveDay) -> None:
    """In the order of symbols and sequences; without a change nothing is found."""
    reader = Reader(day.path)
    assert reader.new() == []
    day.push(row(TENCENT, seq_at(2)), row(TENCENT, seq_at(3)), row(HSBC, seq_at(5)))
    assert reader.new() == [(HSBC, seq_at(5)), (TENCENT, seq_at(2)), (TENCENT, seq_at(3))]
    assert reader.new() == []
    day.push(row(TENCENT, seq_at(4)))
    assert reader.new() == [(TENCENT, seq_at(4))]


def test_a_late_tick_is_found_wherever_its_sequence_lies(day: LiveDay) -> None:
    """A backfill fills holes: before all, in between, and together with new ones."""
    reader = Reader(day.path)
    day.push(row(TENCENT, seq_at(10)), row(TENCENT, seq_at(20)))
    assert len(reader.new()) == 2
    day.fetch(row(TENCENT, seq_at(15)))
    assert reader.new() == [(TENCENT, seq_at(15))]
    day.fetch(row(TENCENT, seq_at(1)), row(TENCENT, seq_at(12)), row(TENCENT, seq_at(30)), row(TENCENT, seq_at(20)))
    assert reader.new() == [(TENCENT, seq_at(n)) for n in (1, 12, 30)]
    assert reader.new() == []


def test_a_push_that_replaces_a_made_up_tick_is_found(day: LiveDay) -> None:
    """The number of rows stays the same, and its sequence may be smaller than the greatest one."""
    day.database.renumbered = {TENCENT}
    reader = Reader(day.path)
    same = {"ts_ms": OPEN_MS, "price": 5.0, "recv_ts_ms": OPEN_MS + 500}
    day.push(row(TENCENT, seq_at(9), recv_ts_ms=OPEN_MS + 900))
    day.fetch(row(TENCENT, -77, push_type_id=2, **same))
    assert reader.new() == [(TENCENT, -77), (TENCENT, seq_at(9))]
    day.push(row(TENCENT, seq_at(3), **{**same, "recv_ts_ms": OPEN_MS + 901}))
    count = "SELECT rows FROM symbol_stats"
    assert day.database.connection.execute(count).get == 2, "the made-up one is gone"
    assert reader.new() == [(TENCENT, seq_at(3))]
    day.push(row(TENCENT, seq_at(4), recv_ts_ms=OPEN_MS + 902))
    assert reader.new() == [(TENCENT, seq_at(4))]


def test_another_file_of_that_name_gives_only_what_is_not_known(day: LiveDay, tmp_path: Path) -> None:
    """A day that was derived again from the journal holds the same ticks, and perhaps more and fewer."""
    reader = Reader(day.path)
    day.push(*(row(TENCENT, seq_at(n)) for n in (1, 2, 3)))
    assert len(reader.new()) == 3
    other = LiveDay(tmp_path / "20260730.db")
    other.push(*(row(TENCENT, seq_at(n)) for n in (1, 3, 4)))
    reader.con, reader.path = open_readonly(other.path), other.path
    reader.known.distrust()
    assert reader.new() == [(TENCENT, seq_at(4))]
    assert reader.new() == []
    other.push(row(TENCENT, seq_at(5)))
    assert reader.new() == [(TENCENT, seq_at(5))]
    reader.con.close()
    other.end()


def test_a_new_tick_of_a_large_day_is_found_without_reading_the_day(day: LiveDay) -> None:
    """SQLite steps over a few rows, not over all that are known."""
    day.push(*(row(TENCENT, seq_at(n)) for n in range(5000)))
    reader = Reader(day.path)
    assert len(reader.new()) == 5000
    day.push(row(TENCENT, seq_at(6000)))
    steps: list[int] = []

    def profile(event: dict[str, object]) -> None:
        status = event["stmt_status"]
        assert isinstance(status, dict)
        steps.append(status["SQLITE_STMTSTATUS_VM_STEP"])

    reader.con.trace_v2(apsw.SQLITE_TRACE_PROFILE, profile)
    assert reader.new() == [(TENCENT, seq_at(6000))]
    assert 0 < sum(steps) < 1000


def test_only_wanted_ticks_are_given_and_all_are_known(day: LiveDay) -> None:
    """By symbol, time and type; what is not wanted does not confuse the count."""
    reader = Reader(
        day.path, Wanted(COLUMNS, (TENCENT,), types=frozenset({1, 7}), without=frozenset({7}), begin_ms=OPEN_MS + 1000)
    )
    for n in range(4):
        day.push(
            row(TENCENT, seq_at(4 * n), OPEN_MS + 1000 * n),
            row(TENCENT, seq_at(4 * n + 1), OPEN_MS + 1000 * n, tick_type_id=6),
            row(TENCENT, seq_at(4 * n + 2), OPEN_MS + 1000 * n, tick_type_id=7),
            row(HSBC, seq_at(4 * n), OPEN_MS + 1000 * n),
        )
        assert reader.new() == ([(TENCENT, seq_at(4 * n))] if n else [])


def test_what_is_there_at_first_can_be_left_out(day: LiveDay) -> None:
    """Then it is known, and only what comes later is given."""
    reader = Reader(day.path)
    day.push(row(TENCENT, seq_at(5)))
    assert reader.new(is_silent=True) == []
    day.fetch(row(TENCENT, seq_at(3)))
    assert reader.new() == [(TENCENT, seq_at(3))]


def test_many_symbols_are_read_in_portions(day: LiveDay, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each is one short transaction."""
    monkeypatch.setattr(changes, "PORTION_ROWS", 3)
    symbols = [f"HK.{n:05}" for n in range(60)]
    reader = Reader(day.path, Wanted(COLUMNS, tuple(symbols)))
    day.push(*(row(symbol, seq_at(n)) for symbol in symbols for n in range(2)), row("HK.09999", seq_at(1)))
    first = reader.known.changes_in(reader.con, day.path, reader.wanted, is_silent=False)
    assert ([one.symbol for one in first.found], first.is_all) == (["HK.00000", "HK.00001"], False)
    assert reader.new() == [(symbol, seq_at(n)) for symbol in symbols for n in range(2)]


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("push"), st.sets(st.integers(1, 30), min_size=1, max_size=6)),
        st.tuples(st.just("fetch"), st.sets(st.integers(1, 30), min_size=1, max_size=6)),
        st.tuples(st.just("made up"), st.sets(st.integers(1, 30), min_size=1, max_size=3)),
        st.tuples(st.just("read"), st.just(set())),
        st.tuples(st.just("pack"), st.just(set())),
    ),
    max_size=14,
)


@settings(max_examples=60)
@given(steps=STEPS)
def test_whatever_is_stored_in_whatever_order_is_given_exactly_once(
    tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[str, set[int]]]
) -> None:
    """Against a model: every key that was there at some reading, each once; made-up ones may be replaced in between."""
    day = LiveDay(tmp_path_factory.mktemp("day") / f"{DAY}.db")
    day.database.renumbered = {TENCENT}
    reader = Reader(day.path)
    found: list[tuple[str, int]] = []
    expected: set[tuple[str, int]] = set()

    def made(number: int, seq: int) -> Row:
        return row(TENCENT, seq, price=float(number), push_type_id=0 if seq > 0 else 2)

    try:
        for kind, numbers in [*steps, ("read", set())]:
            if kind == "push":
                day.push(*(made(n, seq_at(n)) for n in sorted(numbers)))
            elif kind == "fetch":
                day.fetch(*(made(n, seq_at(n)) for n in sorted(numbers, reverse=True)))
            elif kind == "made up":
                day.fetch(*(made(n, -n) for n in sorted(numbers)))
            elif kind == "pack":
                reader.known.pack()
            else:
                stored = day.database.connection.execute("SELECT symbol, seq FROM ticks").fetchall()
                expected |= set(stored)
                found += reader.new()
                assert set(found) == expected
        assert len(found) == len(set(found))
    finally:
        reader.con.close()
        day.end()
