"""Whatever two recorders have stored: their union is exactly that, whichever comes first, and nothing is lost."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hypothesis import given, settings
from hypothesis import strategies as st
from support.late_ticks import assert_stats_true, query
from support.merging import all_rows, record, versions
from support.sizes import drawn
from support.ticks import DAY, HSBC, OPEN_MS, TENCENT, row

from hk_tick_collector.mapping import Correction
from hk_tick_collector.repair.union import Union, unite

if TYPE_CHECKING:
    from collections.abc import Callable

    from hk_tick_collector.mapping import Row

symbols = st.sampled_from([TENCENT, HSBC])
seqs = st.sampled_from([-2, 1, 2, 3])
few = st.integers(0, 2)


# Few keys, contents and moments, so that both sides have the same tick: alike, told otherwise, at the same time, …
@st.composite
def one_row(draw: st.DrawFn) -> Row:
    """A tick as some recorder received it."""
    return row(
        draw(symbols),
        draw(seqs),
        OPEN_MS + 1000 * draw(few),
        price=draw(st.sampled_from([1.0, 1.1])),
        volume=draw(st.sampled_from([100, 2**62])),
        push_type_id=draw(few),
        push_data_type=draw(st.integers(1, 3)),
        recv_ts_ms=OPEN_MS + draw(few),
        inserted_at_ms=OPEN_MS + 10 + draw(few),
    )


corrections = st.builds(
    Correction,
    symbols,
    seqs,
    st.sampled_from(["", "18:00:00"]),
    st.integers(OPEN_MS, OPEN_MS + 1),
    st.builds(lambda n: OPEN_MS + 1000 * n, few),
    st.sampled_from(["repair: seq", "seq, timestamp"]),
)
bad = st.tuples(
    st.sampled_from([b"1", b"2"]), symbols, few, st.sampled_from(["x", "y"]), st.just(b""), few, few, few, few
)
recorded = st.tuples(
    st.lists(one_row(), max_size=10),
    st.lists(corrections, max_size=3, unique_by=lambda made: made[:2]),
    st.lists(bad, max_size=2, unique_by=lambda made: made[0]),
)
Recorded = Any


def in_a_directory(test: Callable[[Path, Path, Path], None], a: Recorded, b: Recorded) -> None:
    """Have both stored, each in a place of its own."""
    with tempfile.TemporaryDirectory() as directory:
        root = Path(directory)
        for side in ("a", "b", "c", "d"):
            (root / side).mkdir()
        test(record(root / "a" / f"{DAY}.db", *a), record(root / "b" / f"{DAY}.db", *b), root)


def merged(a: Path, b: Path, made: Path) -> Union:
    """The union of two files."""
    return unite({"a": a, "b": b}, made, lambda *_: None)


def stays(*sides: Path) -> dict[tuple[str, int], tuple[Any, ...]]:
    """By key, the row of the sides' ticks that was received first, in a tie that with the lesser values."""
    rows = [stored for path in sides for stored in query(path, "SELECT * FROM ticks")]
    found: dict[tuple[str, int], tuple[Any, ...]] = {}
    for stored in sorted(rows, key=lambda stored: (stored[10], *stored)):
        found.setdefault(stored[:2], stored)
    return found


def corrections_of(left: Path, right: Path, ticks: dict[tuple[str, int], tuple[Any, ...]]) -> dict[Any, Any]:
    """By key, rather the one that tells of the tick that stays, then one that knows how the time was written."""

    def rank(told: tuple[Any, ...]) -> tuple[Any, ...]:
        stored = ticks.get(told[:2])
        return (stored is None or stored[2] != told[4], told[2] == "", *told)

    found: dict[Any, Any] = {}
    for told in sorted((one for path in (left, right) for one in all_rows(path)["time_corrections"]), key=rank):
        found.setdefault(told[:2], told)
    return found


@settings(max_examples=drawn(60))
@given(a=recorded, b=recorded)
def test_the_union_is_exact_and_nothing_is_lost(a: Recorded, b: Recorded) -> None:
    """Each key once, by the first reception; each other content is a revision, once; the counts say so."""

    def check(left: Path, right: Path, root: Path) -> None:
        done = merged(left, right, root / "c" / f"{DAY}.db")
        made = root / "c" / f"{DAY}.db"
        ticks = {stored[:2]: stored for stored in query(made, "SELECT * FROM ticks")}
        assert ticks == stays(left, right)
        assert versions(made) == versions(left) | versions(right)
        kept = len(query(made, "SELECT 1 FROM tick_revisions"))
        assert len(ticks) + kept == len(versions(made))
        for table, key in (("time_corrections", slice(2)), ("bad_ticks", slice(1))):
            sides = [{stored[key] for stored in all_rows(path)[table]} for path in (left, right, made)]
            assert sides[2] == sides[0] | sides[1]
        assert {one[:2]: one for one in all_rows(made)["time_corrections"]} == corrections_of(left, right, ticks)
        assert_stats_true_or_huge(made)
        assert query(made, "PRAGMA integrity_check") == [("ok",)]
        counts = done.symbols.values()
        here, there = (stays(side) for side in (left, right))
        both = here.keys() & there.keys()
        assert sum(common.here for common in counts) == len(here)
        assert sum(common.there for common in counts) == len(there)
        assert sum(common.both for common in counts) == len(both)
        assert sum(common.different for common in counts) == sum(here[key][2:8] != there[key][2:8] for key in both)
        assert {(shown.symbol, shown.seq) for shown in done.disagreements} == {
            key for key in both if here[key][2:8] != there[key][2:8]
        }
        assert done.merged == len(ticks)

    in_a_directory(check, a, b)


def assert_stats_true_or_huge(path: Path) -> None:
    """`symbol_stats` equals what counting gives, unless the volumes' sum is more than SQLite can count."""
    if not query(path, "SELECT 1 FROM ticks GROUP BY symbol HAVING total(volume) > 9e18"):
        assert_stats_true(path)


@settings(max_examples=drawn(60))
@given(a=recorded, b=recorded)
def test_which_side_comes_first_makes_no_difference(a: Recorded, b: Recorded) -> None:
    """Also in a tie."""

    def check(left: Path, right: Path, root: Path) -> None:
        merged(left, right, root / "c" / f"{DAY}.db")
        merged(right, left, root / "d" / f"{DAY}.db")
        assert all_rows(root / "c" / f"{DAY}.db") == all_rows(root / "d" / f"{DAY}.db")

    in_a_directory(check, a, b)


@settings(max_examples=drawn(60))
@given(a=recorded, b=recorded)
def test_what_is_merged_already_changes_nothing(a: Recorded, b: Recorded) -> None:
    """A database with itself is itself, and so is a union with one of its sides."""

    def check(left: Path, right: Path, root: Path) -> None:
        done = merged(left, left, root / "c" / f"{DAY}.db")
        assert all_rows(root / "c" / f"{DAY}.db") == all_rows(left)
        assert not done.disagreements
        (root / "c" / f"{DAY}.db").unlink()
        merged(left, right, root / "c" / f"{DAY}.db")
        merged(root / "c" / f"{DAY}.db", right, root / "d" / f"{DAY}.db")
        assert all_rows(root / "d" / f"{DAY}.db") == all_rows(root / "c" / f"{DAY}.db")

    in_a_directory(check, a, b)
