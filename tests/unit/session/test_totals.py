"""Asking for the exchange's totals: how many at once, how often, and that a refusal harms nothing."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

import pytest
from support.bodies import refusal
from support.events import read_totals_asked
from support.kept_log import keep_log
from support.recorder_state import FRIDAY, hk_ms
from support.ticks import OPEN_MS

from hk_tick_collector.clock import wall_ms
from hk_tick_collector.errors import UnansweredError
from hk_tick_collector.journal.events import TOTALS_ASKED
from hk_tick_collector.opend import opend_pb2 as pb
from hk_tick_collector.opend.codes import symbol_of
from hk_tick_collector.opend.messages import day_totals
from hk_tick_collector.opend.numbers import ProtoId
from hk_tick_collector.opend.purpose import Purpose
from hk_tick_collector.session import totals as totals_module
from hk_tick_collector.session.state import ClientState
from hk_tick_collector.session.totals import APART_SEC, CODES_MAX, ROUNDS_AFTER_PUSH, SEARCH_CALLS_MAX, Totals

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

ACCEPTED = pb.Qot_GetSecuritySnapshot.Response(retType=0, s2c=pb.Qot_GetSecuritySnapshot.S2C()).SerializeToString()


class Link:
    """Answers all calls alike but those for a bad code, and keeps what was asked for."""

    def __init__(self, answer: Callable[[], bytes] = lambda: ACCEPTED, bad: Iterable[str] = ()) -> None:
        self.pushes = 0
        self.calls: list[list[str]] = []
        self.noted: list[tuple[str, dict[str, object], int]] = []  # and how many calls were made before
        self.answer = answer
        self.bad = set(bad)

    @property
    def asked(self) -> list[int]:
        """How many securities, by call."""
        return [len(symbols) for symbols in self.calls]

    def note(self, event: str, **fields: object) -> None:
        """An event for the journal."""
        self.noted.append((event, fields, len(self.asked)))

    async def call(
        self,
        proto_id: int,
        request: bytes,
        _timeout_sec: float,
        purpose: Purpose,
        before_sent: Callable[[int], None],
    ) -> bytes:
        """One call."""
        assert (proto_id, purpose) == (ProtoId.QOT_GET_SECURITY_SNAPSHOT, Purpose.TOTALS)
        before_sent(1000 + len(self.calls))
        securities = pb.Qot_GetSecuritySnapshot.Request.FromString(request).c2s.securityList
        self.calls.append([symbol_of(security.market, security.code) for security in securities])
        return refusal("Unknown stock") if self.bad & set(self.calls[-1]) else self.answer()


def totals_on(link: Link, interval_sec: float = 0.0) -> Totals:
    """On that link."""
    made: Any = link
    return Totals(made, 1.0, interval_sec, ClientState())


def test_all_are_asked_for_in_parts() -> None:
    """As many in a call as OpenD allows."""
    link = Link()
    asyncio.run(totals_on(link).ask([f"HK.{n:05}" for n in range(1, 2 * CODES_MAX + 2)]))
    assert link.asked == [CODES_MAX, CODES_MAX, 1]


def test_the_journal_is_told_when_they_are_asked_for() -> None:
    """Of each call before it is made, with the number that its reply will carry."""
    link = Link()
    before_ms = wall_ms()
    asyncio.run(totals_on(link).ask([f"HK.{n:05}" for n in range(1, CODES_MAX + 2)]))
    assert [(event, fields["serial_no"], calls) for event, fields, calls in link.noted] == [
        (TOTALS_ASKED, 1000, 0), (TOTALS_ASKED, 1001, 1),
    ]  # fmt: skip
    for event, fields, _ in link.noted:
        told = read_totals_asked(json.dumps({"event": event, **fields}).encode())
        assert told is not None
        assert before_ms <= told.asked_ms <= wall_ms()


def test_a_quiet_night_is_not_asked_for_again_and_again() -> None:
    """Some rounds after the last push, all that there is to know is known; the next push begins them anew."""
    link = Link()
    totals = totals_on(link)
    for _ in range(3):
        link.pushes += 1
        rounds = 0
        while totals.is_due(OPEN_MS):
            asyncio.run(totals.ask(["HK.00700"]))
            rounds += 1
        assert rounds == ROUNDS_AFTER_PUSH
    totals.begin_anew()
    assert totals.is_due(OPEN_MS)


def test_what_an_audit_brings_is_compared() -> None:
    """The last push was long ago, and then something is fetched that never came: it may have filled a gap."""
    link: Any = Link()
    state = ClientState()
    totals = Totals(link, 1.0, 0.0, state)
    assert rounds_at(totals, f"{FRIDAY} 11:00:00") == ROUNDS_AFTER_PUSH
    state.last_fetched_at = 1.0
    assert rounds_at(totals, f"{FRIDAY} 11:00:30") == ROUNDS_AFTER_PUSH
    assert rounds_at(totals, f"{FRIDAY} 11:01:00") == 0


@pytest.mark.parametrize(("interval_sec", "apart_sec"), [(60.0, APART_SEC), (0.5, 0.5)])
def test_two_are_a_moment_apart(monkeypatch: pytest.MonkeyPatch, interval_sec: float, apart_sec: float) -> None:
    """One after a resumption may come just before that of the clock: the two would say nothing together."""
    now = 1000.0
    monkeypatch.setattr(totals_module.time, "monotonic", lambda: now)
    link: Any = Link()
    state = ClientState()
    totals = Totals(link, 1.0, interval_sec, state)
    assert totals.is_due(OPEN_MS)
    asyncio.run(totals.ask(["HK.00700"]))
    now += apart_sec - 0.1
    assert not totals.is_due(OPEN_MS)
    another = Totals(link, 1.0, interval_sec, state)  # on another connection
    assert not another.is_apart
    now += 0.1
    assert totals.is_due(OPEN_MS)
    assert another.is_apart


def rounds_at(totals: Totals, clock: str) -> int:
    """How often the totals are asked for at a time of that Friday, or of the day that is told."""
    rounds = 0
    while totals.is_due(hk_ms(*clock.split())):
        asyncio.run(totals.ask(["HK.00700"]))
        rounds += 1
    return rounds


def test_each_close_is_asked_after_also_where_nothing_is_pushed() -> None:
    """Noon of a half day, the close, and once more half an hour later, each day; and not when a session begins."""
    totals = totals_on(Link())
    assert rounds_at(totals, f"{FRIDAY} 11:00:00") == ROUNDS_AFTER_PUSH
    seen = {}
    for day in (FRIDAY, "2026-11-21"):
        for clock in ("12:11:59", "12:12:00", "12:13:00", "16:11:59", "16:12:10", "16:41:59", "16:42:30", "23:59:59"):
            seen[f"{day} {clock}"] = rounds_at(totals, f"{day} {clock}")
    expected = ["12:12:00", "16:12:10", "16:42:30"]
    assert [moment.split()[1] for moment, rounds in seen.items() if rounds] == expected * 2
    assert set(seen.values()) == {0, ROUNDS_AFTER_PUSH}


def test_closes_that_nobody_looked_at_are_asked_after_once() -> None:
    """The recorder was busy with an outage over noon and night: the next look asks, and the one after it does not."""
    totals = totals_on(Link())
    rounds_at(totals, f"{FRIDAY} 11:00:00")
    assert rounds_at(totals, "2026-11-23 08:00:00") == ROUNDS_AFTER_PUSH
    assert rounds_at(totals, "2026-11-23 08:01:00") == 0
    assert rounds_at(totals, "2026-11-23 07:59:00") == 0, "a clock that is set back"


def unanswered() -> bytes:
    """No answer in time, on a link that lives."""
    raise UnansweredError("no answer within 1 s")


@pytest.mark.parametrize("answer", [unanswered, lambda: b"\xff\xff", lambda: refusal("lost", -200)])
def test_a_refusal_is_told_once_and_harms_nothing(answer: Callable[[], bytes], monkeypatch: pytest.MonkeyPatch) -> None:
    """The session goes on, and the next part is asked for."""
    told = keep_log(totals_module, monkeypatch)
    link = Link(answer)
    asyncio.run(totals_on(link).ask([f"HK.{n:05}" for n in range(1, CODES_MAX + 2)]))
    assert link.asked == [CODES_MAX, 1]
    assert told.events() == ["totals_unavailable"]


def symbols_to(count: int) -> list[str]:
    """That many."""
    return [f"HK.{n:05}" for n in range(1, count + 1)]


class Clock:
    """Monotonic time as a test says."""

    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        """Seconds."""
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """The module's."""
    made = Clock()
    monkeypatch.setattr(totals_module, "time", made)
    return made


@pytest.mark.parametrize("bad", ["HK.00001", "HK.00013", "HK.00020"])
def test_one_code_that_is_refused_costs_the_others_nothing(
    monkeypatch: pytest.MonkeyPatch, clock: Clock, bad: str
) -> None:
    """It is found by halving and named; all others have their totals at once, and in one call from then on."""
    told = keep_log(totals_module, monkeypatch)
    link = Link(bad=[bad])
    totals = totals_on(link)
    symbols = symbols_to(20)
    asyncio.run(totals.ask(symbols))
    served = [symbol for call in link.calls for symbol in call if not link.bad & set(call)]
    assert set(served) == set(symbols) - {bad}
    assert len(link.calls) <= 12
    assert told.lines == [("totals_refused", {"symbol": bad, "reason": "Unknown stock"})]
    for _ in range(3):
        link.calls.clear()
        clock.now += 60
        asyncio.run(totals.ask(symbols))
        assert link.calls == [[symbol for symbol in symbols if symbol != bad]]
    assert totals._state.totals_refused.keys() == {bad}


def test_a_refused_code_is_asked_for_once_an_hour(monkeypatch: pytest.MonkeyPatch, clock: Clock) -> None:
    """Alone, on whichever connection; when it is served it is one of the others again."""
    told = keep_log(totals_module, monkeypatch)
    link: Any = Link(bad=["HK.00002"])
    state = ClientState()
    asyncio.run(Totals(link, 1.0, 0.0, state).ask(symbols_to(4)))
    totals = Totals(link, 1.0, 0.0, state)
    for _ in range(2):
        clock.now += 3600
        link.calls.clear()
        asyncio.run(totals.ask(symbols_to(4)))
        assert link.calls == [["HK.00002"], ["HK.00001", "HK.00003", "HK.00004"]]
        asyncio.run(totals.ask(symbols_to(4)))
        assert link.asked == [1, 3, 3]
    link.bad.clear()
    clock.now += 3600
    asyncio.run(totals.ask(symbols_to(4)))
    link.calls.clear()
    asyncio.run(totals.ask(symbols_to(4)))
    assert link.calls == [symbols_to(4)]
    assert told.events() == ["totals_refused"]
    link.bad.add("HK.00004")
    asyncio.run(totals.ask(symbols_to(4)))
    asyncio.run(totals.ask(["HK.00001"]))
    assert state.totals_refused == {}, "what is no longer recorded is forgotten"


def test_many_refused_codes_are_found_in_some_rounds(monkeypatch: pytest.MonkeyPatch, clock: Clock) -> None:
    """Each round makes a bounded number of calls; what is found stays found."""
    told = keep_log(totals_module, monkeypatch)
    bad = [f"HK.{n:05}" for n in range(7, 900, 70)]
    link = Link(bad=bad)
    totals = totals_on(link)
    rounds = 0
    while totals._state.totals_refused.keys() != set(bad):
        rounds += 1
        assert rounds <= 12
        link.calls.clear()
        asyncio.run(totals.ask(symbols_to(900)))
        assert len(link.calls) <= 3 + SEARCH_CALLS_MAX + 1
        clock.now += 60
    assert sorted(fields["symbol"] for event, fields in told.lines if event == "totals_refused") == bad
    link.calls.clear()
    asyncio.run(totals.ask(symbols_to(900)))
    assert link.asked == [400, 400, 900 - len(bad) - 800]


def test_bad_codes_that_stand_together_are_found_too(monkeypatch: pytest.MonkeyPatch, clock: Clock) -> None:
    """The first eight of the list are refused, one after the other: OpenD serves the rest, so it is not OpenD."""
    told = keep_log(totals_module, monkeypatch)
    link = Link(bad=symbols_to(8))
    totals = totals_on(link)
    for _ in range(4):
        asyncio.run(totals.ask(symbols_to(20)))
        clock.now += 60
    assert sorted(fields["symbol"] for event, fields in told.lines if event == "totals_refused") == symbols_to(8)
    assert link.calls[-1] == symbols_to(20)[8:]


@pytest.mark.parametrize("count", [1, 2, 5, 401])
def test_an_opend_that_refuses_everything_has_no_bad_codes(monkeypatch: pytest.MonkeyPatch, count: int) -> None:
    """It is asked too often, or is not ready: that is told once, a few calls are made, and all are asked for again."""
    told = keep_log(totals_module, monkeypatch)
    link = Link(lambda: refusal("too frequent"))
    totals = totals_on(link)
    asyncio.run(totals.ask(symbols_to(count)))
    assert len(link.calls) <= 22
    assert totals._state.totals_refused == {}
    assert told.events() == ["totals_unavailable"]
    link.answer = lambda: ACCEPTED
    link.calls.clear()
    asyncio.run(totals.ask(symbols_to(count)))
    assert sorted(symbol for call in link.calls for symbol in call) == symbols_to(count)


def test_a_limit_that_begins_within_a_search_makes_no_code_bad(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is refused alone is only suspected until OpenD has served something after it."""
    told = keep_log(totals_module, monkeypatch)
    link = Link(bad=["HK.00020"])
    calls = 0

    def answer() -> bytes:
        nonlocal calls
        calls += 1
        return ACCEPTED if calls <= 2 else refusal("too frequent")

    link.answer = answer
    totals = totals_on(link)
    asyncio.run(totals.ask(symbols_to(20)))
    assert calls > 2, "the limit has begun"
    assert totals._state.totals_refused == {}
    assert told.events() == ["totals_unavailable"]


def test_totals_are_read() -> None:
    """Those of a market that nobody knows are left out; what OpenD wrote is given as it is."""
    basics = [
        pb.Qot_GetSecuritySnapshot.SnapshotBasicData(
            security=pb.Security(market=market, code="00700"), type=3, isSuspend=False, listTime="", lotSize=100,
            priceSpread=0.2, updateTime="2026-07-31 10:00:01", highPrice=0, openPrice=0, lowPrice=0, lastClosePrice=0,
            curPrice=0, volume=5, turnover=6.5, turnoverRate=0,
        )
        for market in (1, 999)
    ]  # fmt: skip
    s2c = pb.Qot_GetSecuritySnapshot.S2C(snapshotList=[pb.Qot_GetSecuritySnapshot.Snapshot(basic=b) for b in basics])
    body = pb.Qot_GetSecuritySnapshot.Response(retType=0, s2c=s2c).SerializeToString()
    assert day_totals(body) == [("HK.00700", "2026-07-31 10:00:01", 5, 6.5)]
