"""Whatever is stored, a repair puts right what can be proven, loses nothing, and leaves nothing for a second one."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.late_ticks import HOUR_MS, LATE_MS, Tick, assert_stats_true, make_current, make_older, query
from support.sizes import drawn
from support.ticks import HSBC, OPEN_MS, TENCENT, seq_at

from hk_tick_collector.hktime import hk_day
from hk_tick_collector.mapping import seq_time_ms
from hk_tick_collector.repair.rules import Finding, Rule
from hk_tick_collector.repair.times import FileReport, Repair
from hk_tick_collector.store.schema import day_files

if TYPE_CHECKING:
    from collections.abc import Callable

MINUTE_MS = 60_000
HOURS = (0, 2, 6, 7, 8, 10, 16, 24, 30)


# Few symbols, moments and prices, so that the same tick comes twice, late and right, alike and not.
@st.composite
def one_tick(draw: st.DrawFn) -> Tick:
    """A tick whose sequence mostly tells its right time."""
    hour, ordinal = draw(st.sampled_from(HOURS)), draw(st.integers(1, 3))
    ts_ms = OPEN_MS + hour * HOUR_MS
    return Tick(
        draw(st.sampled_from([TENCENT, HSBC])),
        seq_at(ordinal, ts_ms) if draw(st.sampled_from([True, True, True, False])) else 100 * hour + ordinal,
        ts_ms,
        draw(st.sampled_from([0, 0, LATE_MS, LATE_MS, LATE_MS + 9 * MINUTE_MS, 3 * HOUR_MS, -LATE_MS])),
        draw(st.sampled_from([1.0, 1.0, 2.0])),
    )


ticks = one_tick()
Content = tuple[str, int, int, float]


def run(root: Path, rule: Rule) -> list[FileReport]:
    """Repair a directory; nothing in it may fail."""
    reports = list(Repair(rule, False, lambda *_: None, set()).run(day_files(root)))  # noqa: FBT003
    assert [report.error for report in reports] == [None] * len(reports)
    return reports


def fill_current(root: Path, made: list[Tick]) -> None:
    """As the writer would: the file of the stored time's day, the second of a key as a revision."""
    for one in made:
        make_current(root / f"{hk_day(one.ts_ms + one.late_ms)}.db", [one])


def fill_older(root: Path, made: list[Tick]) -> None:
    """The second of a key is not stored at all there."""
    known: set[tuple[str, str, int | None]] = set()
    for one in made:
        day = hk_day(one.ts_ms + one.late_ms)
        if (day, one.symbol, one.seq) not in known:
            make_older(root / f"{day}.db", [one])
        known.add((day, one.symbol, one.seq))


def contents(root: Path) -> tuple[set[Content], list[tuple[Any, ...]]]:
    """All that is stored, ticks and revisions as one set; and the ticks with their file's day and their own."""
    everything: set[Content] = set()
    placed = []
    for path in day_files(root):
        columns = "symbol, seq, ts_ms, price"
        rows = query(path, f"SELECT {columns}, trading_day FROM ticks")  # noqa: S608
        has_revisions = query(path, "SELECT 1 FROM sqlite_schema WHERE name = 'tick_revisions'")
        revisions = query(path, f"SELECT {columns}, trading_day FROM tick_revisions") if has_revisions else []  # noqa: S608
        everything |= {row[:4] for row in rows + revisions}
        placed += [(path.stem, *row) for row in rows + revisions]
    return everything, placed


def corrected(content: Content) -> Content:
    """What must become of a stored tick."""
    symbol, seq, ts_ms, price = content
    at = seq_time_ms(seq)
    is_late = at is not None and abs(ts_ms - LATE_MS - at) <= 10 * MINUTE_MS
    return (symbol, seq, ts_ms - LATE_MS if is_late else ts_ms, price)


@pytest.mark.parametrize("fill", [fill_current, fill_older])
@settings(max_examples=drawn(40))
@given(made=st.lists(ticks, max_size=12))
def test_all_that_can_be_proven_is_right_and_nothing_is_lost(
    fill: Callable[[Path, list[Tick]], None], made: list[Tick]
) -> None:
    """Each content is stored with its right time then, in its right day's file; a second run finds nothing."""
    with tempfile.TemporaryDirectory() as directory:
        root = Path(directory)
        fill(root, made)
        before, _ = contents(root)
        late = sum(corrected(content) != content for content in before)
        reports = run(root, Rule(LATE_MS, None))
        after, placed = contents(root)
        assert after == {corrected(content) for content in before}
        assert all(file == hk_day(ts_ms) == day for file, _, _, ts_ms, _, day in placed)
        assert sum(report.repaired for report in reports) >= late
        if fill is fill_current:
            for path in day_files(root):
                assert_stats_true(path)
        again = run(root, Rule(LATE_MS, None))
        assert sum(report.repaired for report in again) == 0
        assert contents(root) == (after, placed)


@pytest.mark.parametrize("fill", [fill_current, fill_older])
@settings(max_examples=drawn(20))
@given(made=st.lists(ticks, max_size=8), now_hours=st.integers(-10, 30), later_hours=st.integers(0, 12))
def test_by_the_clock_no_time_is_ever_put_right_twice(
    fill: Callable[[Path, list[Tick]], None], made: list[Tick], now_hours: int, later_hours: int
) -> None:
    """A second run finds nothing; a later one at most what was too far ahead for the first; and nothing is lost."""
    with tempfile.TemporaryDirectory() as directory:
        root = Path(directory)
        fill(root, made)
        before, _ = contents(root)
        future_from_ms = OPEN_MS + now_hours * HOUR_MS
        first = run(root, Rule(LATE_MS, future_from_ms))
        after, placed = contents(root)
        again = run(root, Rule(LATE_MS, future_from_ms))
        assert sum(report.repaired for report in again) == 0
        assert contents(root) == (after, placed)
        beyond = sum(report.findings[Finding.BEYOND] for report in first)
        later = run(root, Rule(LATE_MS, future_from_ms + later_hours * HOUR_MS))
        assert sum(report.repaired for report in later) <= beyond
        at_last, _ = contents(root)
        for symbol, seq, ts_ms, price in before:
            assert at_last & {(symbol, seq, ts_ms, price), (symbol, seq, ts_ms - LATE_MS, price)}
        times = {(symbol, seq, ts_ms - off, price) for symbol, seq, ts_ms, price in before for off in (0, LATE_MS)}
        assert at_last <= times
