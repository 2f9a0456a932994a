"""Which times are late: by the host's clock, and by the sequence."""

from __future__ import annotations

import pytest
from support.ticks import OPEN_MS, seq_at

from hk_tick_collector.hktime import DAY_MS
from hk_tick_collector.repair.rules import HOUR_MS, Finding, Rule

MINUTE_MS = 60_000
LATE_MS = 8 * HOUR_MS
BY_SEQ = Rule(LATE_MS, None)
NOW_MS = OPEN_MS
BY_CLOCK = Rule(LATE_MS, NOW_MS + 2 * HOUR_MS)


@pytest.mark.parametrize(
    ("off_ms", "finding"),
    [
        (0, Finding.RIGHT),
        (10 * MINUTE_MS, Finding.RIGHT),
        (-10 * MINUTE_MS, Finding.RIGHT),
        (10 * MINUTE_MS + 1, Finding.CONTRADICTED),
        (LATE_MS - 10 * MINUTE_MS - 1, Finding.CONTRADICTED),
        (LATE_MS - 10 * MINUTE_MS, Finding.LATE),
        (LATE_MS, Finding.LATE),
        (LATE_MS + 10 * MINUTE_MS, Finding.LATE),
        (LATE_MS + 10 * MINUTE_MS + 1, Finding.CONTRADICTED),
        (-LATE_MS, Finding.CONTRADICTED),
        (2 * LATE_MS, Finding.CONTRADICTED),
    ],
)
def test_by_the_sequence_eight_hours_to_ten_minutes_are_late(off_ms: int, finding: Finding) -> None:
    """Neither less nor more, nor in the other direction, on whatever day it is looked at."""
    assert BY_SEQ.judge(OPEN_MS + off_ms, seq_at(7)) is finding


@pytest.mark.parametrize("seq", [None, 0, 1, 123456, -seq_at(1), "7257436441708356760"])
def test_what_is_no_hong_kong_sequence_proves_nothing(seq: object) -> None:
    """Absent, made up, of another market, or no number at all."""
    assert BY_SEQ.judge(OPEN_MS + LATE_MS, seq) is Finding.UNPROVEN


@pytest.mark.parametrize(
    ("ts_ms", "finding"),
    [
        (NOW_MS + 2 * HOUR_MS, Finding.RIGHT),
        (NOW_MS + 2 * HOUR_MS + 1, Finding.LATE),
        (NOW_MS + LATE_MS, Finding.LATE),
        (NOW_MS + LATE_MS + 2 * HOUR_MS, Finding.LATE),
        (NOW_MS + LATE_MS + 2 * HOUR_MS + 1, Finding.BEYOND),
    ],
)
@pytest.mark.parametrize("seq", [None, 5, -9, seq_at(1, OPEN_MS - 5 * DAY_MS)])
def test_by_the_clock_more_than_two_hours_ahead_is_late(ts_ms: int, seq: int | None, finding: Finding) -> None:
    """Without a witness; what would still be in the future after the correction is some other fault."""
    assert BY_CLOCK.judge(ts_ms, seq) is finding


def test_by_the_clock_the_sequence_is_heard() -> None:
    """It may prove a time that the host's clock, standing behind, takes for one in the future; or the fault."""
    ahead = NOW_MS + 5 * HOUR_MS
    assert BY_CLOCK.judge(ahead, seq_at(1, ahead)) is Finding.CONTRADICTED
    assert BY_CLOCK.judge(ahead, seq_at(1, ahead - 3 * HOUR_MS)) is Finding.CONTRADICTED
    assert BY_CLOCK.judge(ahead, seq_at(1, ahead - LATE_MS)) is Finding.LATE
    far = NOW_MS + 20 * HOUR_MS  # the host's clock is half a day behind
    assert BY_CLOCK.judge(far, seq_at(1, far - LATE_MS)) is Finding.LATE


@pytest.mark.parametrize("rule", [BY_SEQ, BY_CLOCK])
@pytest.mark.parametrize("ts_ms", [None, "1785463200000", 1.5])
def test_a_time_that_is_no_whole_number_is_left_alone(rule: Rule, ts_ms: object) -> None:
    """Other programs may have stored anything."""
    assert rule.judge(ts_ms, seq_at(1)) is Finding.UNPROVEN


def test_the_evidence_names_witness_and_hours() -> None:
    """As it is kept in time_corrections."""
    assert BY_SEQ.evidence == "repair: sequence says 8 h earlier"
    assert Rule(3 * HOUR_MS // 2, 0).evidence == "repair: 1.5 h earlier, in the host clock's future"
