"""Asking for the exchange's totals: how many at once, how often, and that a refusal harms nothing."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest
from hk_tick_collector.quality.bounds import CALM_MS
from support.bodies import refusal
from support.kept_log import keep_log
from support.recorder_state import FRIDAY, hk_ms
from support.ticks import OPEN_MS

from hk_tick_collector import futu_totals
from hk_tick_collector.futu_link import UnansweredError
from hk_tick_collector.futu_state import ClientState
from hk_tick_collector.futu_totals import CODES_MAX, ROUNDS_AFTER_PUSH, Totals
from hk_tick_collector.opend import opend_pb2 as pb
from hk_tick_collector.opend.messages import ProtoId, day_totals
from hk_tick_collector.opend.purpose import Purpose

if TYPE_CHECKING:
    from collections.abc import Callable

ACCEPTED = pb.Qot_GetSecuritySnapshot.Response(retType=0, s2c=pb.Qot_GetSecuritySnapshot.S2C()).SerializeToString()


class Link:
    """Answers all calls alike, and keeps how many securities were asked for."""

    def __init__(self, answer: Callable[[], bytes] = lambda: ACCEPTED) -> None:
        self.pushes = 0
        self.asked: list[int] = []
        self._answer = answer

    async def call(self, proto_id: int, request: bytes, _timeout_sec: float, purpose: Purpose) -> bytes:
        """One call."""
        assert (proto_id, purpose) == (ProtoId.QOT_GET_SECURITY_SNAPSHOT, Purpose.TOTALS)
        self.asked.append(len(pb.Qot_GetSecuritySnapshot.Request.FromString(request).c2s.securityList))
        return self._answer()


def totals_on(link: Link, interval_sec: float = 0.0) -> Totals:
    """On that link."""
    made: Any = link
    return Totals(made, 1.0, interval_sec, ClientState())


def test_all_are_asked_for_in_parts() -> None:
    """As many in a call as OpenD allows."""
    link = Link()
    asyncio.run(totals_on(link).ask([f"HK.{n:05}" for n in range(1, 2 * CODES_MAX + 2)]))
    assert link.asked == [CODES_MAX, CODES_MAX, 1]


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


@pytest.mark.parametrize(("interval_sec", "apart_sec"), [(60.0, CALM_MS / 1000), (0.5, 0.5)])
def test_two_are_a_moment_apart(monkeypatch: pytest.MonkeyPatch, interval_sec: float, apart_sec: float) -> None:
    """One after a resumption may come just before that of the clock: the two would say nothing together."""
    now = 1000.0
    monkeypatch.setattr(futu_totals.time, "monotonic", lambda: now)
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


@pytest.mark.parametrize("answer", [lambda: refusal("too frequent"), unanswered, lambda: b"\xff\xff"])
def test_a_refusal_is_told_once_and_harms_nothing(answer: Callable[[], bytes], monkeypatch: pytest.MonkeyPatch) -> None:
    """The session goes on, and the next part is asked for."""
    told = keep_log(futu_totals, monkeypatch)
    link = Link(answer)
    asyncio.run(totals_on(link).ask([f"HK.{n:05}" for n in range(1, CODES_MAX + 2)]))
    assert link.asked == [CODES_MAX, 1]
    assert told.events() == ["totals_not_told"]


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
