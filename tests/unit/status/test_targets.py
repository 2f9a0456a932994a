"""The acceptance targets, each at its edges, and what is not judged while the market is closed."""

from __future__ import annotations

from typing import Any, Final

import pytest

from hk_tick_collector.status.state import RecorderState
from hk_tick_collector.status.targets import Day, Evidence, LogSeen, Outcome, Pragmas, Report, check_targets, market_of
from hk_tick_collector.typed_json import decode

FRIDAY_0931_MS: Final = 1_795_138_260_000  # 2026-11-20 09:31:00 in Hong Kong
HOUR_MS: Final = 3_600_000
OPEN: Final = {"state": "MORNING", "is_open": True, "source": "opend"}
REST: Final = {"state": "REST", "is_open": False, "source": "opend"}


def state(now_ms: int = FRIDAY_0931_MS, **changes: Any) -> dict[str, Any]:  # noqa: ANN401 - JSON
    """What a recorder that is well says of itself."""
    return {
        "pid": 7,
        "version": "1.2.3",
        "at_ms": now_ms - 1000,
        "market": OPEN,
        "session": {"connected": True, "subscribed": 3, "last_disconnect": None},
        "writer": {"last_alive_age_sec": 0.5},
        **changes,
    }


def seen(now_ms: int = FRIDAY_0931_MS, **changes: Any) -> Evidence:  # noqa: ANN401 - of any field
    """A look at a recorder that is well."""
    well = Evidence(
        now_ms=now_ms,
        lock_pid=7,
        state=decode(RecorderState, state(now_ms)),
        health=("ok", ()),
        day=Day("20261120", 100, now_ms - 500, "wal"),
        pragmas=Pragmas(5000, "the writer", "wal"),
        log=LogSeen("a log", now_ms - HOUR_MS, {}),
    )
    if "state" in changes:
        changes["state"] = decode(RecorderState, changes["state"]) if changes["state"] else None
    return well._replace(**changes)


def grown(last: Evidence) -> Evidence:
    """The look before that one, with a row less."""
    day = last.day._replace(rows=last.day.rows - 1) if last.day else None
    return last._replace(now_ms=last.now_ms - 2000, day=day)


def report(last: Evidence) -> Report:
    """The findings on two looks, the first with a row less."""
    return check_targets(grown(last), last, market_of(last))


def outcomes(found: Report) -> dict[str, Outcome]:
    """Each target's outcome."""
    return {finding.target: finding.outcome for finding in found.findings}


def missed(last: Evidence) -> list[str]:
    """The targets that a look misses."""
    return [finding.target for finding in report(last).missed]


def test_a_recorder_that_is_well_is_accepted() -> None:
    """Every target is judged and met."""
    found = report(seen())
    assert found.accepted
    assert set(outcomes(found).values()) == {Outcome.OK}
    figures = found.figures()
    assert figures["now_utc"] == "2026-11-20T01:31:00.000Z"
    assert figures["max_ts_utc"] == "2026-11-20T01:30:59.500Z"
    assert figures["max_minus_now_sec"] == -0.5
    assert (figures["rows"], figures["rows_before"]) == (100, 99)
    assert (figures["journal_mode"], figures["busy_timeout"]) == ("wal", 5000)
    assert figures["watchdog_persistent_stall"] == 0
    assert figures["unit_restarts"] is None
    assert report(seen(restarts=2)).figures()["unit_restarts"] == 2


@pytest.mark.parametrize(
    ("skew_ms", "outcome"),
    [
        (0, Outcome.OK),
        (60_000, Outcome.OK),
        (60_001, Outcome.MISSED),
        (28_000_000, Outcome.MISSED),
        (-60_000, Outcome.OK),
        (-60_001, Outcome.MISSED),
    ],
)
def test_the_skew_has_two_bounds_in_an_open_market(skew_ms: int, outcome: Outcome) -> None:
    """Within ±60 s, both ends included."""
    last = seen(day=Day("20261120", 100, FRIDAY_0931_MS + skew_ms, "wal"))
    assert outcomes(report(last))["max_minus_now_sec"] is outcome


@pytest.mark.parametrize(
    ("skew_ms", "outcome"), [(-2 * HOUR_MS, Outcome.UNJUDGED), (60_000, Outcome.OK), (60_001, Outcome.MISSED)]
)
def test_in_a_closed_market_only_the_future_is_a_fault(skew_ms: int, outcome: Outcome) -> None:
    """At lunch the newest tick is old, and never later than now."""
    last = seen(state=state(market=REST), day=Day("20261120", 100, FRIDAY_0931_MS + skew_ms, "wal"))
    found = report(last)
    assert outcomes(found)["max_minus_now_sec"] is outcome
    assert found.accepted is (outcome is not Outcome.MISSED)


def test_rows_must_grow_in_an_open_market() -> None:
    """As many as before is a miss, that names both numbers."""
    last = seen()
    (finding,) = check_targets(last._replace(now_ms=last.now_ms - 2000), last, market_of(last)).missed
    assert finding.target == "rows"
    assert finding.seen == "100 → 100 in 2.0 s"


def test_one_look_does_not_show_growth() -> None:
    """A look compared with itself proves nothing."""
    last = seen()
    assert not check_targets(last, last, market_of(last)).accepted


def test_rows_needn_t_grow_in_a_closed_market() -> None:
    """That is said in words, and blocks nothing."""
    last = seen(state=state(market=REST))
    found = check_targets(last, last, market_of(last))
    assert found.accepted
    (finding,) = found.unjudged
    assert finding.target == "rows"
    assert "the market is closed" in finding.seen


def test_a_new_day_begins_with_fewer_rows() -> None:
    """Three rows of today are more than a million of yesterday."""
    last = seen(day=Day("20261120", 3, FRIDAY_0931_MS, "wal"))
    first = last._replace(day=Day("20261119", 1_000_000, FRIDAY_0931_MS - 1, "wal"))
    assert check_targets(first, last, market_of(last)).accepted


@pytest.mark.parametrize("market", [OPEN, REST])
def test_a_fault_in_reading_is_always_a_miss(market: dict[str, Any]) -> None:
    """A day that can't be read is not one that is empty."""
    found = report(seen(state=state(market=market), day=None, day_fault="it is no database"))
    assert {finding.target for finding in found.missed} == {"max_minus_now_sec", "rows", "journal_mode"}
    assert {finding.seen for finding in found.missed} == {"it is no database"}


def test_nothing_stored_is_a_miss_only_in_an_open_market() -> None:
    """A first deploy at night has nothing to show."""
    assert missed(seen(day=None)) == ["max_minus_now_sec", "rows", "journal_mode"]
    assert missed(seen(day=None, state=state(market=REST))) == []


@pytest.mark.parametrize(
    ("day_mode", "told_mode", "accepted"),
    [("wal", "wal", True), ("wal", None, True), ("no wal", "wal", False), ("wal", "delete", False)],
)
def test_the_journal_mode_is_wal_in_the_file_and_for_the_writer(
    day_mode: str, told_mode: str | None, *, accepted: bool
) -> None:
    """One of the two that says otherwise is enough."""
    last = seen(day=Day("20261120", 100, FRIDAY_0931_MS, day_mode), pragmas=Pragmas(5000, "the writer", told_mode))
    assert (missed(last) == []) is accepted


@pytest.mark.parametrize(
    ("told_mode", "outcome", "words"),
    [
        (None, Outcome.UNJUDGED, "20261120 is sealed"),
        ("wal", Outcome.OK, "wal (the writer)"),
        ("delete", Outcome.MISSED, "delete (the writer)"),
    ],
)
def test_the_file_of_a_sealed_day_is_not_in_wal_mode_and_need_not_be(
    told_mode: str | None, outcome: Outcome, words: str
) -> None:
    """Sealing takes it out of that mode; only the writer's own connection counts."""
    day = Day("20261120", 100, FRIDAY_0931_MS, "no wal", is_sealed=True)
    found = report(seen(day=day, pragmas=Pragmas(5000, "the writer", told_mode))).findings
    assert [(one.outcome, one.seen) for one in found if one.target == "journal_mode"] == [(outcome, words)]


@pytest.mark.parametrize(
    ("pragmas", "accepted"),
    [(Pragmas(1000, "it"), True), (Pragmas(999, "it"), False), (Pragmas(0, "it"), False), (None, False)],
)
def test_the_busy_timeout_must_have_been_seen(pragmas: Pragmas | None, *, accepted: bool) -> None:
    """At least 1000, and no evidence is no pass."""
    assert (missed(seen(pragmas=pragmas)) == []) is accepted


@pytest.mark.parametrize(
    ("counts", "accepted"),
    [({}, True), ({"recovery_triggered": 2}, True), ({"systemd_timeout": 1}, True), ({"persistent_stall": 1}, False)],
)
def test_only_a_persistent_stall_of_the_watchdog_is_a_miss(counts: dict[str, int], *, accepted: bool) -> None:
    """A recovery that worked is what the watchdog is for."""
    found = report(seen(log=LogSeen("a log", FRIDAY_0931_MS, counts)))
    assert found.accepted is accepted
    assert found.figures()["watchdog_recovery_triggered"] == counts.get("recovery_triggered", 0)
    assert found.figures()["watchdog_systemd_timeout"] == counts.get("systemd_timeout", 0)


def test_without_a_log_the_recorder_says_whether_it_is_stalled() -> None:
    """Not judged, but for a stall of now."""
    found = report(seen(log=None))
    assert found.accepted
    assert [finding.target for finding in found.unjudged] == ["watchdog"]
    stalled = {"is_stalled": True, "last_reason": "no commit for 200 s"}
    assert missed(seen(log=None, state=state(watchdog=stalled))) == ["watchdog"]


@pytest.mark.parametrize(
    "changes",
    [
        {"lock_pid": None},
        {"lock_pid": 8},
        {"state": {}},
        {"state": state(at_ms=FRIDAY_0931_MS - 31_000)},
        {"state": {key: value for key, value in state().items() if key != "at_ms"}},
    ],
    ids=["none runs", "of another", "nothing said", "silent", "without a time"],
)
def test_the_recorder_that_runs_must_speak_itself(changes: dict[str, Any]) -> None:
    """What another one has left behind, or this one said long ago, is no evidence; and that is one complaint."""
    assert missed(seen(**changes)) == ["recorder"]


def test_what_follows_from_no_recorder_is_not_judged() -> None:
    """No rows, an old newest tick, nobody who tells the timeout, failing health: one complaint, and no acceptance."""
    old = Day("20261120", 100, FRIDAY_0931_MS - HOUR_MS, "wal")
    last = seen(lock_pid=None, health=("failing", ("no recorder is running",)), day=old, pragmas=None)
    found = check_targets(last._replace(now_ms=last.now_ms - 2000), last, market_of(last))
    assert not found.accepted
    assert [finding.target for finding in found.missed] == ["recorder"]
    rest = {"opend", "writer", "health", "max_minus_now_sec", "rows", "busy_timeout"}
    assert {finding.target for finding in found.unjudged} == rest
    assert all("no recorder that speaks" in finding.seen for finding in found.unjudged)
    assert missed(last._replace(day=None)) == ["recorder"]


def test_what_is_wrong_in_the_files_is_so_without_a_recorder() -> None:
    """A tick of the future, a day that is in no WAL mode or can't be read, a stall in the log."""
    future = Day("20261120", 100, FRIDAY_0931_MS + HOUR_MS, "no wal")
    log = LogSeen("a log", FRIDAY_0931_MS, {"persistent_stall": 1})
    wrong = ["recorder", "max_minus_now_sec", "journal_mode", "watchdog"]
    assert missed(seen(lock_pid=None, day=future, log=log)) == wrong
    unread = ["recorder", "max_minus_now_sec", "rows", "journal_mode"]
    assert missed(seen(lock_pid=None, day=None, day_fault="it is no database")) == unread


@pytest.mark.parametrize("market", [OPEN, REST])
@pytest.mark.parametrize(
    "session", [{"connected": False, "last_disconnect": "refused"}, {"connected": True, "subscribed": 0}, {}]
)
def test_opend_must_be_there_also_at_night(market: dict[str, Any], session: dict[str, Any]) -> None:
    """A version that can't connect must not be found out in the morning."""
    assert missed(seen(state=state(market=market, session=session))) == ["opend"]


@pytest.mark.parametrize("market", [OPEN, REST])
@pytest.mark.parametrize("writer", [{}, {"last_alive_age_sec": None}, {"last_alive_age_sec": 31.0}])
def test_a_writer_must_be_there_also_at_night(market: dict[str, Any], writer: dict[str, Any]) -> None:
    """One that can't begin to store must not be found out in the morning."""
    assert missed(seen(state={**state(market=market), "writer": writer})) == ["writer"]


@pytest.mark.parametrize(
    ("verdict", "market", "outcome"),
    [
        ("ok", OPEN, Outcome.OK),
        ("degraded", OPEN, Outcome.OK),
        ("failing", OPEN, Outcome.MISSED),
        ("failing", REST, Outcome.MISSED),
        ("unproven", OPEN, Outcome.MISSED),
        ("unproven", REST, Outcome.UNJUDGED),
    ],
)
def test_health_that_nothing_could_prove_is_no_miss(verdict: str, market: dict[str, Any], outcome: Outcome) -> None:
    """No evidence is never ok; in a closed market it can't be had."""
    found = report(seen(health=(verdict, ("a reason",)), state=state(market=market)))
    (finding,) = (finding for finding in found.findings if finding.target == "health")
    assert finding.outcome is outcome
    assert finding.seen == f"{verdict}: a reason"


@pytest.mark.parametrize(
    ("market", "now_ms", "flows"),
    [
        (OPEN, FRIDAY_0931_MS, True),
        (OPEN, FRIDAY_0931_MS + 12 * HOUR_MS, True),  # OpenD's word, whatever the clock says
        ({**OPEN, "state": "AFTERNOON"}, FRIDAY_0931_MS, True),
        (OPEN, FRIDAY_0931_MS + 149 * 60_000 - 1, True),  # 11:59:59.999
        (OPEN, FRIDAY_0931_MS + 149 * 60_000, False),  # 12:00:00: it was MORNING a moment ago
        ({**OPEN, "state": "AUCTION"}, FRIDAY_0931_MS, False),
        ({**OPEN, "state": "HK_CAS"}, FRIDAY_0931_MS, False),
        ({**REST, "state": "CLOSED"}, FRIDAY_0931_MS, False),  # a holiday
        ({"state": None, "is_open": True, "source": "clock"}, FRIDAY_0931_MS, True),
        ({"state": None, "is_open": True, "source": "clock"}, FRIDAY_0931_MS - 2 * 60_000, False),  # 09:29
        ({}, FRIDAY_0931_MS, True),
        (None, FRIDAY_0931_MS + 3 * HOUR_MS, False),  # 12:31
        (None, FRIDAY_0931_MS + 4 * HOUR_MS, True),  # 13:31
        (None, FRIDAY_0931_MS + 7 * HOUR_MS, False),  # 16:31
        (None, FRIDAY_0931_MS + 24 * HOUR_MS, False),  # Saturday
    ],
)
def test_ticks_must_come_only_in_continuous_trading(market: dict[str, Any] | None, now_ms: int, *, flows: bool) -> None:
    """OpenD's word counts; the clock in Hong Kong only without it."""
    assert market_of(seen(now_ms, state=state(now_ms, market=market))).flows is flows


def test_the_word_of_a_recorder_that_is_silent_does_not_count() -> None:
    """What OpenD said at lunch, to a recorder that hangs since, does not close the market of the afternoon."""
    last = seen(state=state(at_ms=FRIDAY_0931_MS - HOUR_MS, market=REST))
    assert market_of(last).flows


@pytest.mark.parametrize("told", [True, False])
def test_the_operator_knows_best(*, told: bool) -> None:
    """What is said on the command line outweighs OpenD."""
    assert market_of(seen(state=state(market=REST if told else OPEN)), told=told).flows is told
