"""Premises are watched: each is counted as it holds and fails, and what has failed is not relied on."""

from __future__ import annotations

from typing import TYPE_CHECKING

from support.scenario import SEC
from support.ticks import DAY, HSBC, TENCENT, pushes, reply, ticker

from hk_tick_collector.audit.day import audit_day
from hk_tick_collector.db import Pragmas
from hk_tick_collector.journal.events import Cause
from hk_tick_collector.ledger.premises import SEEN_MAX, Premise, has_failed, has_held, note_failed, note_held
from hk_tick_collector.seal.open_day import open_day

if TYPE_CHECKING:
    from pathlib import Path

    import pytest
    from support.scenario import Scenario


def test_a_premise_is_counted_by_symbol(tmp_path: Path) -> None:
    """What was seen the first time it failed is kept, cut to a length; the first time is told as such."""
    day = open_day(tmp_path / f"{DAY}.db", Pragmas())
    con, premise = day.connection, Premise.WHOLE_WINDOW
    assert not has_failed(con, TENCENT, premise)
    assert not has_held(con, TENCENT, premise)
    note_held(con, TENCENT, premise, 3)
    note_held(con, TENCENT, premise)
    assert has_held(con, TENCENT, premise)
    assert note_failed(con, TENCENT, premise, 70, "x" * (SEEN_MAX + 1))
    assert not note_failed(con, TENCENT, premise, 80, "again")
    assert has_failed(con, TENCENT, premise)
    assert not has_failed(con, HSBC, premise)
    assert not has_failed(con, TENCENT, Premise.SAME_SEQUENCE)
    assert con.execute("SELECT * FROM premises").fetchall() == [
        (TENCENT, "whole_window", 4, 2, 70, "x" * SEEN_MAX)
    ]  # fmt: skip
    day.close()


def test_a_window_with_a_hole_proves_nothing_from_then_on(
    scenario: Scenario, capsys: pytest.CaptureFixture[str]
) -> None:
    """It lacks what is stored between its ends: that is told, the doubt stays, and so does the next one."""
    scenario.hear(pushes(TENCENT, range(1, 201, 2)))
    scenario.resume(Cause.CONNECTION_LOST, scenario.now_ms)
    scenario.hear(reply(TENCENT, *(ticker(n) for n in (101, 103, 107, 201))))
    scenario.resume(Cause.CONNECTION_LOST, scenario.now_ms)
    scenario.hear(reply(TENCENT, *(ticker(n) for n in range(101, 211, 2))))
    scenario.write()
    assert [cause for _, cause, _ in scenario.doubts()] == ["connection_lost", "connection_lost"]
    ((seen, at_ms),) = scenario.query("SELECT seen, failed_ms FROM premises WHERE failed > 0")
    assert seen == "4 ticks were told, 51 are stored between the first and the last of them"
    assert at_ms == scenario.now_ms - 2 * SEC
    (line,) = [line for line in capsys.readouterr().out.splitlines() if "premise_failed" in line]
    assert "whole_window" in line
    assert audit_day(scenario.root / f"{DAY}.db").symbols[0].premises["whole_window"][1] == 1


def test_a_whole_window_is_seen_to_hold(scenario: Scenario) -> None:
    """One of a single tick shows nothing."""
    scenario.hear(pushes(TENCENT, range(1, 10)), reply(TENCENT, ticker(5)))
    scenario.hear(reply(TENCENT, *(ticker(n) for n in range(3, 10))))
    scenario.write()
    assert scenario.premises() == [(TENCENT, "same_sequence", 1, 0), (TENCENT, "whole_window", 1, 0)]


def test_a_snapshot_that_counts_less_than_its_ticks_is_late_and_bounds_nothing(scenario: Scenario) -> None:
    """That is a failed premise of that symbol, and of no other."""
    scenario.at("09:59:00")
    scenario.prove_types()
    scenario.trade(TENCENT, 100)
    scenario.wait(20)
    scenario.trade(TENCENT, 100)
    scenario.wait(20)
    scenario.trade(TENCENT, 100)
    scenario.tell(tencent=100)
    scenario.write()
    assert scenario.bounds() == [(None, -100)], "by 100 shares fewer than were traded 15 s before"
    assert [row for row in scenario.premises() if row[3]] == [(TENCENT, "fresh_snapshot", 0, 1)]
