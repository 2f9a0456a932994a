"""The three answers in each state that an operator may meet."""

from __future__ import annotations

from typing import Any, Final

import pytest
from support.recorder_state import FRIDAY, healthy_state, hk_ms

from hk_tick_collector.status.answers import TRY, Answers, Losses, Recording, answer, headline
from hk_tick_collector.status.health import Machine, assess
from hk_tick_collector.status.lost import Lost
from hk_tick_collector.status.state import RecorderState
from hk_tick_collector.status.trouble_table import cure
from hk_tick_collector.status.troubles import Trouble
from hk_tick_collector.typed_json import decode

NOW_MS: Final = hk_ms(FRIDAY, "10:00:00")
KICKED: Final = {"away": {"cause": "kicked_out", "since_ms": hk_ms(FRIDAY, "09:31:14")}}
CLOSED: Final = {"state": "CLOSED", "is_open": False, "source": "opend"}
DOWN: Final = {
    "connected": False,
    "address": "127.0.0.1:11111",
    "down_sec": 42.0,
    "last_disconnect": "127.0.0.1:11111: Connection refused",
    "subscribed": 0,
    "last_heard_age_sec": None,
}
LOST: Final = Lost("20261120", 54, 7, 4253, 0, 0, hk_ms(FRIDAY, "05:00:48"), hk_ms(FRIDAY, "05:01:33"), ("opend_down",))


def outage(first: str, past: tuple[str, ...] = ()) -> dict[str, Any]:
    """An outage since 09:59:18 whose first deadline is then."""
    return {
        "cause": "opend_down",
        "since_ms": hk_ms(FRIDAY, "09:59:18"),
        "first_deadline_ms": hk_ms(FRIDAY, first),
        "past": len(past),
        "past_symbols": list(past),
        "symbols": [] if past else [{"symbol": "HK.00700", "rate": 9.0, "deadline_ms": hk_ms(FRIDAY, first)}],
    }


def answers(now_ms: int = NOW_MS, losses: Losses = Losses(), **changes: Any) -> Answers:  # noqa: ANN401, B008 - JSON
    """The answers for a busy morning with changes."""
    state = decode(RecorderState, healthy_state(**changes))
    return answer(state, losses, now_ms, Machine("`start it`"), 12_345)[0]


def test_all_is_well() -> None:
    """How much is recorded, that nothing is lost, and that there is nothing to do."""
    assert answers() == Answers(
        Recording.YES,
        "YES: 900 symbols, 12,345 ticks stored, last push 0 s ago",
        ("nothing so far",),
        is_lost=False,
        to_do=(),
    )


def test_a_closed_market_is_no_fault() -> None:
    """It is ready, and says why no tick comes."""
    found = answers(market=CLOSED)
    assert found.recording is Recording.YES
    assert found.records == "READY: 900 symbols subscribed, market closed, OpenD says CLOSED; 12,345 ticks stored"


@pytest.mark.parametrize(
    ("changes", "recording", "records", "trouble"),
    [
        (
            {"session": KICKED},
            Recording.NO,
            "NOT RECORDING since 09:31:14 HK: another login took the quote right at 09:31:14 HK, so no tick comes",
            Trouble.KICKED_OUT,
        ),
        (
            {"session": {**KICKED, "qot_logined": False}, "outage": outage("09:32:00", ("HK.00700",))},
            Recording.NO,
            "LOSING TICKS since 09:31:14 HK: another login took the quote right at 09:31:14 HK, so no tick comes",
            Trouble.KICKED_OUT,
        ),
        (
            {"session": {"away": {**KICKED["away"], "is_without_right": True}}},
            Recording.NO,
            (
                "NOT RECORDING since 09:31:14 HK: OpenD was given a quote right without pushes (BMP) at 09:31:14 HK, "
                "so no tick comes"
            ),
            Trouble.NO_QUOTE_RIGHT,
        ),
        (
            {"session": DOWN},
            Recording.NO,
            "NOT RECORDING since 09:59:18 HK: OpenD not connected for 42 s: Connection refused (tried 127.0.0.1:11111)",
            Trouble.OPEND_DOWN,
        ),
        (
            {"session": DOWN, "market": CLOSED},
            Recording.NO,
            (
                "NO, but the market is closed: OpenD not connected for 42 s: Connection refused "
                "(tried 127.0.0.1:11111) (market closed, OpenD says CLOSED)"
            ),
            Trouble.OPEND_DOWN,
        ),
        (
            {"session": {**DOWN, "connects": 0, "down_sec": 2.0}, "uptime_sec": 2.0},
            Recording.NO,
            "NOT YET: OpenD not connected for 2 s: Connection refused (tried 127.0.0.1:11111)",
            Trouble.OPEND_DOWN,
        ),
        (
            {
                "writer": {
                    "last_exception": "BusyError: database is locked",
                    "last_exception_age_sec": 1.0,
                    "last_commit_age_sec": 9.0,
                    "locked_by": ["pid 4713 (python3)"],
                }
            },
            Recording.DELAYED,
            (
                "YES, but not into the database yet: writer: BusyError: database is locked (1 failure), 6 rows "
                "waiting; 20261120.db is locked by pid 4713 (python3)"
            ),
            Trouble.DAY_LOCKED,
        ),
        (
            {"journal": {"fault": "No space left on device"}, "disk": {"free_bytes": 0, "mount": "/var"}},
            Recording.DELAYED,
            "YES, but not into the database yet: disk full; /var has 0.0 MB free, a trading day needs 1,250 MB",
            Trouble.DISK_FULL,
        ),
        (
            {"writer": {"rows": 0}, "frames": 5},
            Recording.UNPROVEN,
            "NOT PROVEN YET: ticks are arriving but none is stored yet",
            Trouble.NOTHING_STORED_YET,
        ),
        (
            {"running": False, "stop_reason": "SIGTERM"},
            Recording.NO,
            "NO: no recorder is running: stopped cleanly at 2026-11-20 10:00:00 HK",
            Trouble.NOT_RUNNING,
        ),
        (
            {"running": False, "died": True},
            Recording.NO,
            "NO: no recorder is running: did not stop cleanly, last heard of at 2026-11-20 10:00:00 HK",
            Trouble.ENDED,
        ),
        (
            {"running": False, "stop_reason": "SIGTERM", "disk": {"free_bytes": 0, "mount": "/var"}},
            Recording.NO,
            (
                "NO: no recorder is running: stopped cleanly at 2026-11-20 10:00:00 HK; the disk is full; /var has "
                "0.0 MB free, a trading day needs 1,250 MB"
            ),
            Trouble.NOT_RUNNING_FULL,
        ),
        (
            {"session": {"refused": {"HK.99999": "Unknown stock"}, "subscribed": 0}},
            Recording.NO,
            "NOT RECORDING: no symbol is subscribed: 1 symbol refused: HK.99999 (Unknown stock)",
            Trouble.ALL_REFUSED,
        ),
        (
            {"session": {**DOWN, "last_disconnect": "dead link: no whole frame for 26.1 s"}},
            Recording.NO,
            (
                "NOT RECORDING since 09:59:18 HK: OpenD not connected for 42 s: dead link: no whole frame for 26.1 s "
                "(tried 127.0.0.1:11111)"
            ),
            Trouble.OPEND_HANGS,
        ),
    ],
)
def test_what_stops_the_recording_is_named_with_its_cure(
    changes: dict[str, Any], recording: Recording, records: str, trouble: Trouble
) -> None:
    """Since when, why, and what to do first; the supervisor's line is the same."""
    found = answers(**changes)
    assert (found.recording, found.records) == (recording, records)
    assert found.to_do[0] == cure(trouble, "`start it`")
    state = decode(RecorderState, healthy_state(**changes))
    assert headline(state, assess(state), NOW_MS) == f"{records}. {cure(trouble)}"


@pytest.mark.parametrize(
    ("free_bytes", "seen", "trouble"),
    [
        (75e9, "UNKNOWN: no state update for 42 s: the recorder (pid 4711) hangs", Trouble.SILENT),
        (
            0,
            (
                "UNKNOWN: no state update for 42 s: the disk is full; the disk has 0.0 MB free, "
                "a trading day needs 1,250 MB"
            ),
            Trouble.SILENT_FULL,
        ),
    ],
)
def test_a_stale_report_answers_nothing(free_bytes: float, seen: str, trouble: Trouble) -> None:
    """Neither yes nor no; the reason may be a full disk, which keeps the report from being written."""
    found = answers(NOW_MS + 42_000, disk={"free_bytes": free_bytes})
    assert (found.recording, found.records) == (Recording.UNKNOWN, seen)
    assert found.to_do == (cure(trouble),)
    assert found.lost == (("not known: what was traded since 2026-11-20 10:00:00 HK, beyond the last 1000 ticks of a "
                          "symbol, which can be fetched"),)  # fmt: skip


def test_a_refused_setting_is_named() -> None:
    """By systemd's word: a restart alone does not help."""
    state = decode(RecorderState, healthy_state(running=False))
    for refusal, why in (("FUTU_PORT='abc' (environment): expected …",) * 2, ("", "exit code 2")):
        machine = Machine("`systemctl start x`", is_refused=True, refusal=refusal)
        for report in (state, RecorderState(running=False)):  # the second: it never ran here
            found, _ = answer(report, Losses(), NOW_MS, machine)
            assert found.records == f"NO: no recorder is running: it refused to start: {why}"
            assert found.to_do == (cure(Trouble.WRONG_SETTING, "`systemctl start x`"),)


def test_what_was_lost_is_said_in_figures() -> None:
    """While all is well again, too."""
    found = answers(losses=Losses(LOST))
    assert found.lost == ("4,253 ticks of 7 symbols, 05:00:48 to 05:01:33 HK (OpenD down)",)
    assert found.is_lost
    assert found.to_do == ()


@pytest.mark.parametrize(
    ("first", "past", "lost", "text", "is_lost"),
    [
        ("10:02:31", (), None, ("nothing lost yet, if the stream is back before 10:02:31 HK, by estimate "
         "(HK.00700 first)"), False),
        ("10:02:31", (), LOST, "no more, if the stream is back before 10:02:31 HK, by estimate (HK.00700 first)", True),
        ("09:59:50", ("HK.1", "HK.2", "HK.3", "HK.4"), None,
         "being lost now, by estimate: ticks of 4 symbols (HK.1, HK.2, HK.3 and 1 more)", True),
    ],
)  # fmt: skip
def test_an_outage_says_what_can_still_be_recovered(
    first: str, past: tuple[str, ...], lost: Lost | None, text: str, *, is_lost: bool
) -> None:
    """Until when, or which symbols lose ticks: an estimate is called one, and is never mixed with what is counted."""
    found = answers(losses=Losses(lost), session=DOWN, outage=outage(first, past))
    assert found.lost[-1] == text
    assert found.is_lost is is_lost
    assert found.to_do == (cure(Trouble.OPEND_DOWN),)


def test_an_outage_without_an_estimate_is_not_soothed() -> None:
    """Just after a start no rate is known."""
    found = answers(session=DOWN)
    assert found.lost == ("not known yet: OpenD replays only the last ticks of each symbol, once the stream is back",)


def test_what_is_fetched_after_an_outage_is_called_an_estimate_until_it_is_counted() -> None:
    """The stream is back; the ledger will tell."""
    found = answers(outage=outage("09:59:50", ("HK.1",)))
    assert found.recording is Recording.YES
    assert found.records.endswith(", fetching what was missed")
    assert found.lost == ("by estimate, counted soon: ticks of 1 symbol (HK.1)",)


def test_a_doubt_is_told_apart_from_a_loss() -> None:
    """Nobody knows yet whether anything is missing."""
    doubt = Lost("20261120", doubts=50, doubted_symbols=50, doubted_until_ms=NOW_MS, doubted_causes=("recorder_down",))
    found = answers(losses=Losses(doubt))
    assert found.lost == (
        "nothing so far",
        "not decided yet: whether ticks are missing of 50 symbols, until 10:00:00 HK (the recorder did not run)",
    )
    assert not found.is_lost


def test_of_a_day_without_a_ledger_it_is_not_said_that_nothing_is_lost() -> None:
    """Nothing known is not nothing lost."""
    found = answers(losses=Losses(Lost("20261120", no_ledger="it kept no ledger")))
    assert (found.lost, found.is_lost) == (("can't be known: it kept no ledger",), False)


def test_a_day_that_cant_be_read_is_said_with_the_last_that_is_known() -> None:
    """And what to do about it comes last."""
    told = {"day": "20261120", "gaps": 1, "symbols": 1, "ticks": 5, "causes": ["opend_down"]}
    found = answers(losses=Losses(fault="20261120.db can't be read: locked"), lost_today=told)
    assert found.lost == (
        (
            "can't be known now: 20261120.db can't be read: locked; by the recorder's last report: "
            "5 ticks of 1 symbol (OpenD down)"
        ),
    )
    assert found.to_do == (f"20261120.db can't be read: locked. {cure(Trouble.DAY_UNREADABLE)}",)


def test_a_full_disk_is_the_reason_why_a_day_cant_be_read() -> None:
    """SQLite needs some space to read it: nothing is to be ended or rebuilt."""
    found = answers(
        losses=Losses(fault="20261120.db can't be read: disk I/O error"), running=False, disk={"free_bytes": 0}
    )
    assert found.to_do == (cure(Trouble.NOT_RUNNING_FULL, "`start it`"),)


@pytest.mark.parametrize(("connects", "rows", "is_new"), [(0, 0, True), (0, 12_345, False), (1, 0, False)])
def test_a_newcomer_is_told_how_to_try_without_opend(connects: int, rows: int, *, is_new: bool) -> None:
    """Never where real ticks are: simulated ones must not get among them."""
    state = decode(RecorderState, healthy_state(session={**DOWN, "connects": connects}))
    found, _ = answer(state, Losses(), NOW_MS, rows=rows)
    assert (TRY in found.to_do) is is_new


def test_other_troubles_are_to_do_with_what_was_seen() -> None:
    """They stop nothing; symbols that are not recorded are counted in the first answer."""
    found = answers(session={"left_out": ["HK.1", "HK.2"], "quota_used": 900, "quota_left": 0, "clock_offset_ms": 5200})
    assert found.records.startswith("YES: 900 of 902 symbols, ")
    assert found.to_do == (
        f"2 symbols without quota: HK.1, HK.2 (quota: 900 units used, 0 left). {cure(Trouble.NO_QUOTA)}",
        f"clock 5.2 s behind OpenD's. {cure(Trouble.CLOCK_OFF)}",
    )


def test_what_is_not_named_in_the_first_answer_is_named_in_the_last() -> None:
    """A few ticks that can't be read do not stop the recording."""
    found = answers(writer={"bad_recent": 2, "rows_recent": 3000})
    assert found.recording is Recording.YES
    seen = "2 of 3,000 ticks of the last half minute can't be read"
    assert found.to_do == (f"{seen}. {cure(Trouble.UNREADABLE_TICKS)}",)


def test_the_supervisor_is_told_nothing_special_while_ticks_are_recorded() -> None:
    """It has its own line for that."""
    state = decode(RecorderState, healthy_state())
    assert headline(state, assess(state), NOW_MS) == ""


def test_what_is_not_proven_is_no_yes_whatever_else_fails() -> None:
    """A failing trouble that stops nothing comes first among the findings."""
    unproven = {"frames": 0, "writer": {"rows": 0}, "market": CLOSED, "session": {"last_push_age_sec": None}}
    found = answers(**unproven, disk={"unsaved": "Permission denied"})
    assert found.recording is Recording.UNPROVEN
    assert found.records.startswith("NOT PROVEN YET: link up, but no tick has come since the start")
    assert len(found.to_do) == 2


@pytest.mark.parametrize(("is_today", "recording"), [(True, Recording.DELAYED), (False, Recording.YES)])
def test_today_is_delayed_while_it_is_caught_up(recording: Recording, *, is_today: bool) -> None:
    """A day of the past delays nothing."""
    wait = {"day": "20261120", "is_today": is_today, "is_catching_up": True, "reason": "it was locked"}
    assert answers(writer={"waits": [wait]}).recording is recording


@pytest.mark.parametrize(
    ("clock", "last_tick_ms", "lost"),
    [
        ("08:00:00", None, "nothing so far"),
        ("20:00:00", None, "not known: what was traded so far, "),
        ("20:00:00", hk_ms(FRIDAY, "11:00:00"), "not known: what was traded since 2026-11-20 11:00:00 HK, "),
        ("20:00:00", hk_ms(FRIDAY, "16:30:00"), "nothing so far"),
    ],
)
def test_without_a_report_the_last_tick_stored_says_since_when_ticks_may_be_missing(
    clock: str, last_tick_ms: int | None, lost: str
) -> None:
    """Without a tick, since midnight."""
    found, _ = answer(RecorderState(running=False), Losses(), hk_ms(FRIDAY, clock), last_tick_ms=last_tick_ms)
    assert found.lost[0].startswith(lost)
    assert found.lost_now == ("" if lost == "nothing so far" else found.lost[0])
