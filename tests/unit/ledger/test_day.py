"""The loss ledger as the writer keeps it, from real journals: what is concluded, and that a replay changes nothing."""

from __future__ import annotations

import json

import apsw
import pytest
from support.scenario import SEC, Scenario, snapshot, volume_of
from support.settings import writer_settings
from support.ticks import DAY, DAY_MS, HSBC, NEXT_DAY, OPEN_MS, TENCENT, push, pushes, reply, seq_at, ticker

from hk_tick_collector.db import Pragmas
from hk_tick_collector.journal.events import Cause
from hk_tick_collector.journal.segments import DIRECTORY
from hk_tick_collector.ledger.judge import FILE, PAST_SNAPSHOTS
from hk_tick_collector.ledger.told import VOLUME_MAX
from hk_tick_collector.opend.purpose import Purpose
from hk_tick_collector.writer.day_databases import DayDatabases
from hk_tick_collector.writer.loop import Writer


def outage(scenario: Scenario, cause: Cause = Cause.CONNECTION_LOST) -> None:
    """100 live ticks, then an outage."""
    scenario.hear(pushes(TENCENT, range(1, 101)))
    since_ms = scenario.now_ms
    scenario.now_ms += 20 * SEC
    scenario.resume(cause, since_ms)


# ---- windows and ordinals


def test_a_window_that_reaches_back_proves(scenario: Scenario) -> None:
    """A doubt is there until then, with the bounds of the outage, and no gap."""
    outage(scenario)
    scenario.write()
    assert scenario.doubts() == [(TENCENT, "connection_lost", seq_at(100))]
    scenario.hear(reply(TENCENT, *(ticker(n) for n in range(90, 120))))
    scenario.write()
    assert scenario.doubts() == scenario.gaps() == []


def test_ordinals_tell_what_a_window_lacks(scenario: Scenario) -> None:
    """The gap has its bounds, its number and its evidence; a poll that brings all of it fills it."""
    outage(scenario)
    scenario.hear(reply(TENCENT, *(ticker(n) for n in range(141, 200))))
    scenario.write()
    assert scenario.doubts() == []
    assert scenario.gaps() == [(TENCENT, "connection_lost", seq_at(100), seq_at(141), 40, "ordinals", "open")]
    assert scenario.gaps("session, since_ms IS NOT NULL, before_ts_ms, after_ts_ms, filled_ms") == [
        ("morning", 1, OPEN_MS, OPEN_MS, None)
    ]
    scenario.hear(reply(TENCENT, *(ticker(n) for n in range(101, 140)), purpose=Purpose.POLL))
    scenario.write()
    assert scenario.gaps("state") == [("open",)]
    scenario.hear(reply(TENCENT, ticker(140), purpose=Purpose.POLL))
    scenario.write()
    assert scenario.gaps("state, filled_by, filled_ms") == [("filled", "poll", scenario.now_ms)]


def test_ordinals_that_do_not_count_leave_a_doubt(scenario: Scenario) -> None:
    """Where live pushes were not contiguous, a jump says nothing; nor does a window that does not reach back."""
    scenario.hear(pushes(TENCENT, range(1, 201, 2)))
    scenario.resume(Cause.CONNECTION_LOST, scenario.now_ms)
    scenario.hear(reply(TENCENT, *(ticker(n) for n in range(241, 300))))
    scenario.write()
    assert scenario.gaps() == []
    assert scenario.doubts() == [(TENCENT, "connection_lost", seq_at(199))]


@pytest.mark.parametrize(("first", "is_proven"), [(1, True), (2, False)])
def test_the_first_ordinal_proves_the_days_beginning(scenario: Scenario, first: int, *, is_proven: bool) -> None:
    """Nothing was stored before: the first tick has to be number 1, where ordinals count."""
    scenario.hear(pushes(HSBC, range(3)))
    scenario.resume(Cause.RECORDER_DOWN, None)
    scenario.hear(reply(TENCENT, *(ticker(n) for n in range(first, 50))))
    scenario.hear(pushes(TENCENT, range(50, 120)), reply(TENCENT, ticker(118), ticker(119)))
    scenario.write()
    assert bool(scenario.doubts()) is not is_proven


def test_a_window_into_the_day_before_proves_the_days_beginning(scenario: Scenario) -> None:
    """Also for a symbol that has not traded today at all."""
    scenario.hear(pushes(HSBC, range(3)))
    scenario.resume(Cause.RECORDER_DOWN, None)
    scenario.write()  # that one has ended when the window comes
    scenario.hear(reply(TENCENT, *(ticker(n, OPEN_MS - DAY_MS) for n in range(50, 60))))
    scenario.write()
    assert scenario.doubts() == []


def test_what_opend_makes_good_late_fills(scenario: Scenario) -> None:
    """Pushes that come late fill a gap as fetched ticks do."""
    outage(scenario)
    scenario.hear(reply(TENCENT, *(ticker(n) for n in range(102, 150))))
    scenario.hear(push(TENCENT, ticker(101, pushDataType=2)))
    scenario.write()
    assert scenario.gaps("missing, state, filled_by, filled_ms") == [(1, "filled", "made good", scenario.now_ms)]


def test_an_outage_that_goes_on_is_one(scenario: Scenario) -> None:
    """Sessions that end before a tick has come add no doubt, but the gravest cause counts."""
    outage(scenario)
    scenario.resume(Cause.OPEND_DOWN, scenario.now_ms)
    scenario.resume(Cause.CONNECTION_LOST, scenario.now_ms)
    scenario.write()
    assert scenario.doubts() == [(TENCENT, "opend_down", seq_at(100))]


@pytest.mark.parametrize(
    ("since_ms", "at_ms", "is_doubted"),
    [
        (OPEN_MS + 6 * 3600 * SEC + 12 * 60 * SEC, OPEN_MS + 9 * 3600 * SEC, False),  # 16:12 to 19:00
        (OPEN_MS + 5 * 3600 * SEC, OPEN_MS + 9 * 3600 * SEC, True),  # 15:00 to 19:00
        (OPEN_MS + 6 * 3600 * SEC + 9 * 60 * SEC, OPEN_MS + 7 * 3600 * SEC, True),  # 16:09: the closing prints
    ],
)
def test_an_outage_after_the_close_is_no_doubt(
    scenario: Scenario, since_ms: int, at_ms: int, *, is_doubted: bool
) -> None:
    """Where Hong Kong can't have traded nothing can be missing."""
    scenario.hear(pushes(TENCENT, range(1, 101)))
    scenario.now_ms = at_ms
    scenario.resume(Cause.CONNECTION_LOST, since_ms)
    scenario.write()
    assert bool(scenario.doubts()) is is_doubted


# ---- totals


def test_a_snapshot_is_compared_at_its_very_place(scenario: Scenario) -> None:
    """Ticks that stand behind it in the same record are stored, and not counted."""
    before, behind = range(1, 11), range(11, 21)
    scenario.hear(pushes(TENCENT, before), snapshot(OPEN_MS, tencent=volume_of(before)), pushes(TENCENT, behind))
    scenario.write()
    assert scenario.query("SELECT volume, our_volume, our_rows, our_last_seq FROM exchange_totals") == [
        (volume_of(before), volume_of(before), 10, seq_at(10))
    ]
    assert scenario.query("SELECT rows FROM symbol_stats") == [(20,)]


def test_a_bad_tick_behind_a_mark_is_named_by_its_frame(scenario: Scenario) -> None:
    """A record is cut at its marks; where a body came from is still told by its place in the whole of it."""
    bad = push(TENCENT, ticker(5, price=float("nan")))
    scenario.hear(
        pushes(TENCENT, range(2)), snapshot(OPEN_MS, tencent=0), push(TENCENT, ticker(3)), reply(HSBC, ticker(1)), bad
    )
    scenario.write()
    assert scenario.query("SELECT frame, place FROM bad_ticks") == [(5, 0)]


def test_a_hole_that_is_known_is_not_told_twice(scenario: Scenario) -> None:
    """The outage behind it looks back to the last totals, and finds there what another one has lost."""
    scenario.hear(pushes(TENCENT, range(1, 101)))
    scenario.totals(tencent=volume_of(range(1, 101)))
    for first in (103, 110):
        scenario.resume(Cause.OPEND_DOWN, scenario.now_ms)
        scenario.hear(reply(TENCENT, *(ticker(n) for n in range(first, first + 7))))
    scenario.write()
    assert scenario.gaps("cause, before_seq, after_seq, missing") == [("opend_down", seq_at(100), seq_at(103), 2)]
    assert scenario.doubts() == []


def test_a_poll_that_was_ahead_of_the_pushes_bounds_no_outage(scenario: Scenario) -> None:
    """Pushes between were under way when the connection ended: a window back to the poll proves nothing."""
    first = range(1, 201, 2)
    scenario.hear(pushes(TENCENT, first))
    scenario.hear(reply(TENCENT, ticker(305), ticker(307), purpose=Purpose.POLL))
    scenario.resume(Cause.CONNECTION_LOST, scenario.now_ms)
    scenario.hear(reply(TENCENT, ticker(305), ticker(307), ticker(309)))
    scenario.write()
    assert scenario.doubts() == [(TENCENT, "connection_lost", seq_at(199))]


def test_totals_of_the_day_before_are_compared_with_that_day(scenario: Scenario) -> None:
    """Before the opening OpenD may still tell them; a day that has no database gets none by it."""
    scenario.hear(pushes(TENCENT, range(1, 11)))
    scenario.now_ms += DAY_MS - 3600 * SEC
    scenario.hear(snapshot(OPEN_MS, tencent=volume_of(range(1, 11))), snapshot(OPEN_MS + DAY_MS, tencent=5))
    scenario.write()
    assert scenario.query("SELECT volume - our_volume FROM exchange_totals") == [(0,)]
    assert [path.name for path in scenario.root.glob("*.db")] == [f"{DAY}.db"]


# ---- no database yet


def test_an_event_makes_no_database_and_is_not_forgotten(scenario: Scenario) -> None:
    """A writer that ends before the day's first tick leaves word for the next; the first tick makes the doubt."""
    scenario.resume(Cause.RECORDER_DOWN, None)
    scenario.write()
    assert not list(scenario.root.glob("*.db"))
    assert (scenario.root / DIRECTORY / FILE).exists()
    scenario.hear(pushes(HSBC, range(3)))
    scenario.write()
    assert scenario.doubts() == [(TENCENT, "recorder_down", None)]
    scenario.hear(pushes(HSBC, range(3, 6)))
    scenario.write()
    assert json.loads((scenario.root / DIRECTORY / FILE).read_text())["waiting"] == []


def test_a_holiday_leaves_nothing_behind(scenario: Scenario) -> None:
    """What waited for a tick that never came is dropped on the next day."""
    scenario.resume(Cause.RECORDER_DOWN, None)
    scenario.now_ms += DAY_MS
    scenario.resume(Cause.CONNECTION_LOST, scenario.now_ms)
    scenario.write()
    told = json.loads((scenario.root / DIRECTORY / FILE).read_text())
    assert [waiting[0] for waiting in told["waiting"]] == [NEXT_DAY]


def test_an_unreadable_word_for_the_next_stops_nothing(scenario: Scenario, capsys: pytest.CaptureFixture[str]) -> None:
    """It is told, and the ticks are stored."""
    (scenario.root / DIRECTORY / FILE).write_text("{")
    scenario.hear(pushes(HSBC, range(3)))
    scenario.write()
    assert len(scenario.query("SELECT * FROM ticks")) == 3
    assert "judge_state_unreadable" in capsys.readouterr().out


def test_a_gap_is_told_when_it_is_found_and_when_it_is_filled(
    scenario: Scenario, capsys: pytest.CaptureFixture[str]
) -> None:
    """Once each, after the commit, with what is known of it."""
    outage(scenario)
    scenario.hear(reply(TENCENT, *(ticker(n) for n in range(102, 200))))
    scenario.write()
    (line,) = [line for line in capsys.readouterr().out.splitlines() if "gap_found" in line]
    for field in ("missing=1", "cause=connection_lost", "evidence=ordinals", "session=morning", f"symbol={TENCENT}"):
        assert field in line
    scenario.hear(reply(TENCENT, ticker(101), purpose=Purpose.POLL))
    scenario.write()
    (line,) = [line for line in capsys.readouterr().out.splitlines() if "gap_f" in line]
    assert "gap_filled" in line
    assert "filled_by=poll" in line


# ---- over days


NEXT_TRADING_DAY_MS = 3 * DAY_MS  # Monday


def test_what_a_day_lacks_at_its_end_is_doubted_there(scenario: Scenario) -> None:
    """The recorder was down from Friday's morning on: Friday's database says so, not only Monday's."""
    scenario.record_only(TENCENT)
    scenario.hear(pushes(TENCENT, range(1, 101)))
    scenario.now_ms += NEXT_TRADING_DAY_MS
    scenario.resume(Cause.RECORDER_DOWN, None)
    scenario.write()
    assert scenario.doubts() == [(TENCENT, "recorder_down", seq_at(100))]
    assert scenario.query("SELECT cause, symbols FROM outages") == [("recorder_down", 1)]
    assert scenario.query("SELECT symbol, since_ms FROM recorded") == [(TENCENT, OPEN_MS + SEC)], (
        "Monday says nothing of it"
    )


def test_a_window_that_reaches_back_over_the_weekend_proves_the_end_of_friday(scenario: Scenario) -> None:
    """It holds Friday's last ticks, which are stored with it."""
    scenario.hear(pushes(TENCENT, range(1, 101)))
    scenario.now_ms += NEXT_TRADING_DAY_MS
    scenario.resume(Cause.RECORDER_DOWN, None)
    monday = [ticker(n, OPEN_MS + NEXT_TRADING_DAY_MS) for n in range(1, 50)]
    scenario.hear(reply(TENCENT, *(ticker(n) for n in range(100, 140)), *monday))
    scenario.write()
    assert scenario.doubts() == scenario.gaps() == []
    assert scenario.query("SELECT count(*) FROM ticks") == [(139,)]


def test_a_window_that_does_not_reach_friday_proves_nothing_of_it(scenario: Scenario) -> None:
    """Friday's ordinals have no other end then."""
    scenario.record_only(TENCENT)
    scenario.hear(pushes(TENCENT, range(1, 101)))
    scenario.now_ms += NEXT_TRADING_DAY_MS
    scenario.resume(Cause.RECORDER_DOWN, None)
    scenario.hear(reply(TENCENT, *(ticker(n, OPEN_MS + NEXT_TRADING_DAY_MS) for n in range(1, 50))))
    scenario.write()
    assert scenario.doubts() == [(TENCENT, "recorder_down", seq_at(100))]
    assert scenario.gaps() == []


def test_a_day_whose_end_is_proven_is_not_doubted(scenario: Scenario) -> None:
    """The exchange had its last word after the close; the next start says nothing of that day."""
    scenario.hear(pushes(TENCENT, range(1, 101)))
    scenario.now_ms += (6 * 60 + 12) * 60 * SEC
    scenario.totals(at_ms=OPEN_MS, tencent=volume_of(range(1, 101)))
    scenario.now_ms += NEXT_TRADING_DAY_MS
    scenario.resume(Cause.RECORDER_DOWN, None)
    scenario.write()
    assert scenario.doubts() == []


def test_a_sealed_day_is_not_doubted_and_none_before_it(scenario: Scenario) -> None:
    """What is said of the last day is said of no other, though that one can't be written to."""
    scenario.hear(pushes(TENCENT, range(1, 101)))
    scenario.hear(push(TENCENT, ticker(1, OPEN_MS + DAY_MS)))
    scenario.write()
    (scenario.root / f"{NEXT_DAY}.certificate.json").write_text("{}")
    scenario.now_ms += NEXT_TRADING_DAY_MS
    scenario.resume(Cause.RECORDER_DOWN, None)
    scenario.write()
    assert scenario.doubts() == []


def test_an_outage_of_today_says_nothing_of_days_before(scenario: Scenario) -> None:
    """It is known since when."""
    scenario.hear(pushes(TENCENT, range(1, 101)))
    scenario.now_ms += NEXT_TRADING_DAY_MS
    scenario.hear(push(TENCENT, ticker(1, OPEN_MS + NEXT_TRADING_DAY_MS)))
    scenario.resume(Cause.CONNECTION_LOST, scenario.now_ms)
    scenario.write()
    assert scenario.doubts() == []
    assert scenario.query("SELECT * FROM outages") == []


def test_a_day_of_before_is_not_written_to_all_day(scenario: Scenario) -> None:
    """Only the first snapshots after a resumption are brought to it."""
    scenario.hear(pushes(TENCENT, range(1, 101)))
    scenario.now_ms += NEXT_TRADING_DAY_MS
    scenario.resume(Cause.RECORDER_DOWN, None)
    for _ in range(PAST_SNAPSHOTS):
        scenario.totals(at_ms=OPEN_MS, tencent=volume_of(range(1, 101)))
    until_ms = scenario.now_ms
    for _ in range(3):
        scenario.totals(at_ms=OPEN_MS, tencent=volume_of(range(1, 101)))
    scenario.write()
    assert scenario.query("SELECT until_ms FROM exchange_totals") == [(until_ms,)]


def test_trade_dates_are_kept_with_the_day(scenario: Scenario) -> None:
    """Those told before the first tick wait for it, over restarts; a day between two that is not named is none."""
    scenario.trade_dates({DAY: 1, "20260803": 0})
    scenario.write()
    scenario.hear(pushes(TENCENT, [1]))
    scenario.hear(push(TENCENT, ticker(1, OPEN_MS + DAY_MS)))
    scenario.write()
    assert scenario.query("SELECT * FROM trade_dates") == [(DAY, "morning")]
    assert scenario.query("SELECT * FROM trade_dates", NEXT_DAY) == [(NEXT_DAY, "none")]


def test_a_snapshot_that_says_the_same_moves_its_end(scenario: Scenario) -> None:
    """By the exchange's time, on the word of two clocks."""
    scenario.hear(pushes(TENCENT, range(1, 11)))
    scenario.resume(Cause.CONNECTION_LOST, scenario.now_ms, clock_offset_ms=5 * SEC)
    scenario.totals(at_ms=OPEN_MS, tencent=volume_of(range(1, 11)))
    first_ms = scenario.now_ms
    scenario.totals(at_ms=OPEN_MS, tencent=volume_of(range(1, 11)))
    scenario.write()
    assert scenario.query("SELECT at_ms, until_ms FROM exchange_totals") == [(first_ms, scenario.now_ms)]


def test_opends_clock_is_that_of_its_last_word(scenario: Scenario) -> None:
    """A session lasts for weeks, and a host's clock is put right meanwhile."""
    scenario.hear(pushes(TENCENT, range(1, 11)))
    scenario.resume(Cause.CONNECTION_LOST, scenario.now_ms, clock_offset_ms=5 * SEC)
    scenario.opend_state(clock_offset_ms=9 * SEC)
    scenario.write()
    scenario.totals(tencent=volume_of(range(1, 11)))
    scenario.write()
    assert scenario.query("SELECT until_ms FROM exchange_totals") == [(scenario.now_ms + 9 * SEC,)]


def test_the_greatest_sequence_that_there_can_be_is_one_like_any_other(scenario: Scenario) -> None:
    """There is none behind it: a window that ends with it, and what is fetched beside it, are stored and judged."""
    scenario.hear(push(TENCENT, ticker(1)))
    odd = ticker(2, sequence=2**63 - 1)
    for purpose in (Purpose.BACKFILL, Purpose.POLL):
        scenario.hear(reply(TENCENT, *(ticker(n) for n in range(1, 20)), odd, purpose=purpose))
    scenario.write()
    assert scenario.query("SELECT count(*), max(seq) FROM ticks") == [(20, 2**63 - 1)]
    assert scenario.query("SELECT * FROM bad_ticks") == []


def test_absurd_volumes_are_figures_like_any_other(scenario: Scenario) -> None:
    """What is missing by them is as much as a figure can hold."""
    for sign in (1, -1):
        scenario.hear(push(TENCENT, ticker(1 + (sign > 0), scenario.now_ms, volume=sign * (2**63 - 1))))
        scenario.wait(30)
        for _ in range(3):
            scenario.totals(tencent=VOLUME_MAX - 1)
            scenario.wait(30)
    scenario.write()
    assert scenario.query("SELECT count(*) FROM ticks") == [(2,)]
    assert scenario.query("SELECT * FROM bad_ticks") == []
    assert scenario.query("SELECT count(*) > 0 FROM exchange_totals") == [(1,)]


# ---- a replay


def test_an_error_at_the_commit_loses_no_conclusion(scenario: Scenario, monkeypatch: pytest.MonkeyPatch) -> None:
    """All is taken back, and concluded again with the ticks."""
    outage(scenario)
    scenario.hear(reply(TENCENT, *(ticker(n) for n in range(141, 200))))
    scenario.totals(tencent=volume_of(range(1, 200)))
    writer = Writer(writer_settings(scenario.root, days_wait=False))

    def full(*_args: object) -> None:
        raise apsw.FullError("database or disk is full")

    with monkeypatch.context() as broken:
        broken.setattr("hk_tick_collector.db.DayDatabase.commit", full)
        with pytest.raises(apsw.FullError):
            writer.step()
        writer.reset()
    assert scenario.query("SELECT count(*) FROM sqlite_schema WHERE name = 'gaps'") == [(1,)]
    assert scenario.gaps() == []
    while writer.step():
        pass
    writer.close()
    found = scenario.dump()
    assert found["gaps"]
    scenario.begin_again()
    scenario.write()
    assert scenario.dump() == found
    assert DayDatabases(scenario.root, Pragmas()).has(DAY)


def test_a_journal_that_began_anew_is_judged(scenario: Scenario) -> None:
    """Its places are lower than those that were judged, but its times are not."""
    outage(scenario)
    scenario.write()
    scenario.journal.close(5)
    for path in (scenario.root / DIRECTORY).iterdir():
        path.unlink()
    later = Scenario(scenario.root)
    later.now_ms = scenario.now_ms
    later.hear(reply(TENCENT, *(ticker(n) for n in range(90, 120))))
    later.write()
    later.journal.close(5)
    assert later.doubts() == []


def test_the_first_ordinal_among_the_pushes_proves_the_days_beginning(scenario: Scenario) -> None:
    """What the totals find later is another outage's, and no second gap before the first trade."""
    scenario.resume(Cause.RECORDER_DOWN, None)
    scenario.hear(pushes(TENCENT, range(1, 101)))
    scenario.resume(Cause.OPEND_DOWN, scenario.now_ms)
    scenario.hear(reply(TENCENT, *(ticker(n) for n in range(141, 200))))
    for _ in range(3):
        scenario.totals(tencent=volume_of(range(1, 200)))
    scenario.write()
    assert scenario.doubts() == []
    assert scenario.gaps("cause, missing, evidence") == [("opend_down", 40, "ordinals")]
