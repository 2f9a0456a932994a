"""Two and three recorders' days that are merged: what proves the most counts, and the order does not.

86. The recorders' calendars disagree about the length of the day.
87. The one has recorded all day, and the other half an hour.
88. What the one lacks, the others have between them.
"""

from __future__ import annotations

from itertools import permutations
from typing import TYPE_CHECKING, Any

import pytest
from support.day_story import (
    ALIBABA,
    AUCTION,
    DAY,
    HALF,
    HSBC,
    SEC,
    SYMBOLS,
    TENCENT,
    WHOLE,
    XIAOMI,
    of,
    reasons,
    verdicts,
)
from support.late_ticks import query
from support.sealing import SILENT, certificate

from hk_tick_collector.audit.day import Verdict, audit_day
from hk_tick_collector.journal.events import Cause
from hk_tick_collector.repair.merge import certify, merge

if TYPE_CHECKING:
    from pathlib import Path

    from support.day_story import Begin

    from hk_tick_collector.repair.merge import MergedDay

COMPLETE, INCOMPLETE, UNPROVABLE = Verdict.COMPLETE, Verdict.INCOMPLETE, Verdict.UNPROVABLE


def merged(a: Path, b: Path, out: Path) -> MergedDay:
    """The only day of two DATA_ROOTs, sealed."""
    (done,) = merge(a, b, out, SILENT)
    assert certify(out, [done], SILENT) == {f"{DAY}.db": None}
    assert certificate(out / f"{DAY}.db")["verdict"] == done.audit.verdict
    return done


# case 86
@pytest.mark.parametrize("is_turned", [False, True])
@pytest.mark.parametrize("types", [(HALF, WHOLE), (HALF, HALF)])
def test_the_later_of_two_closes_counts(
    begin: Begin, tmp_path: Path, types: tuple[int, int], *, is_turned: bool
) -> None:
    """One calendar says that the day ended at noon, the other that it did not; both end then: UNPROVABLE, and told."""
    sides = []
    for date_type in types:
        story = begin()
        story.open(date_type)
        story.trade_until("12:00:00")
        story.close(half=True)
        story.write()
        sides.append(story.root)
    if is_turned:
        sides.reverse()
    done = merged(*sides, tmp_path / "merged")
    is_half = types == (HALF, HALF)
    assert done.audit.verdict is (COMPLETE if is_half else UNPROVABLE), reasons(done.audit)
    assert done.audit.trade_date == ("morning" if is_half else "whole")
    assert done.differing == done.union.tables["trade_dates"].differing == int(not is_half)


# case 87
@pytest.mark.parametrize("is_turned", [False, True])
@pytest.mark.parametrize("stops", ["after the close", "at 15:00"])
@pytest.mark.parametrize("has_lost", ["nothing", "the morning"])
def test_what_one_has_seen_in_half_an_hour_takes_nothing_from_the_others_proof(
    begin: Begin, tmp_path: Path, has_lost: str, stops: str, *, is_turned: bool
) -> None:
    """One has recorded all day, the other from 11:00 to 11:30, and a symbol traded last at 09:40: COMPLETE."""
    is_whole = stops == "after the close"
    sides = []
    for is_there in (True, False):
        story = begin(XIAOMI, *SYMBOLS)
        if is_there:
            story.open()
        else:
            story.to("09:20:05")
            for symbol in story.symbols:
                story.trade(symbol, 10_000, tick_type=AUCTION, unpushed=True, lost=has_lost == "the morning")
        story.to("09:40:00")
        story.trade(XIAOMI, 500, unpushed=not is_there)
        story.trading.remove(XIAOMI)
        if is_there:
            story.trade_until("16:00:00" if is_whole else "15:00:00")
        else:
            story.trade_until("11:00:00", pushed=False, heard=has_lost == "nothing")
            story.connect()
            story.trade_until("11:30:00")
        if is_there and is_whole:
            story.close()
        audit = story.audit()
        assert (audit.verdict is COMPLETE) is (is_there and is_whole), reasons(audit)
        sides.append(story.root)
    if is_turned:
        sides.reverse()
    done = merged(*sides, tmp_path / "merged")
    assert (done.audit.verdict is COMPLETE) is is_whole, reasons(done.audit)


# case 88
@pytest.mark.parametrize("apart_ms", [0, 1])
@pytest.mark.parametrize("is_found", [True, False])
def test_three_recorders_are_merged_to_the_same_in_any_order(
    begin: Begin, tmp_path: Path, apart_ms: int, *, is_found: bool
) -> None:
    """One lacks four ticks, known by totals; of these two others have two each, or one and two: filled, or open."""
    roots: dict[str, Path] = {}
    lacking = {"a": {0, 1, 2, 3}, "b": {2, 3}, "c": {0, 1} if is_found else {0, 1, 2}}
    for place, (name, lost) in enumerate(lacking.items()):
        story = begin()
        story.host_ahead_ms = place * apart_ms
        story.open()
        story.trade_until("10:30:00")
        for number in range(4):
            story.to(story.now_ms + SEC)
            story.trade(TENCENT, 100 * (number + 1), unpushed=number in lost)
        story.look()
        story.trade_until("14:00:00")
        story.connect(Cause.CONNECTION_LOST, story.host_ms - SEC, depth=3)
        story.trade_until("16:00:00")
        story.close()
        audit = story.audit()
        assert verdicts(audit) == {TENCENT: INCOMPLETE, HSBC: COMPLETE, ALIBABA: COMPLETE}, reasons(audit)
        roots[name] = story.root
    found: set[Any] = set()
    for order in permutations("abc"):
        first, second = tmp_path / f"{''.join(order)}1", tmp_path / f"{''.join(order)}2"
        merge(roots[order[0]], roots[order[1]], first, SILENT)
        done = merged(first, roots[order[2]], second)
        told = of(audit_day(second / f"{DAY}.db"), TENCENT)
        assert (told.verdict, told.missing_volume) == ((COMPLETE, None) if is_found else (INCOMPLETE, 300))
        assert done.audit.verdict is told.verdict
        gaps = "SELECT symbol, cause, resumed_ms, before_seq, after_seq, missing_volume, state, filled_by FROM gaps"
        found.add(tuple(query(second / f"{DAY}.db", gaps)))
    assert len(found) == 1
    gaps_found = found.pop()
    assert len(gaps_found) == (3 if apart_ms else 1)
    assert {gap[-2:] for gap in gaps_found} == {("filled", "merge") if is_found else ("open", None)}
