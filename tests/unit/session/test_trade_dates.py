"""Asking for trade dates: once a session, again each day of OpenD's, and that a refusal harms nothing."""

from __future__ import annotations

import asyncio
import datetime as dt
from typing import TYPE_CHECKING, Any

import pytest
from support.bodies import refusal
from support.recorder_state import FRIDAY, hk_ms

from hk_tick_collector.errors import UnansweredError
from hk_tick_collector.opend import opend_pb2 as pb
from hk_tick_collector.opend.numbers import ProtoId
from hk_tick_collector.session import trade_dates as trade_dates_module
from hk_tick_collector.session.state import ClientState
from hk_tick_collector.session.trade_dates import RETRY_SEC, TradeDates

if TYPE_CHECKING:
    from collections.abc import Callable

HOUR_MS = 3_600_000


def dates() -> bytes:
    """RequestTradeDate's reply."""
    s2c = pb.Qot_RequestTradeDate.S2C(
        tradeDateList=[pb.Qot_RequestTradeDate.TradeDate(time=FRIDAY, tradeDateType=0)]
    )  # fmt: skip
    return pb.Qot_RequestTradeDate.Response(retType=0, s2c=s2c).SerializeToString()


def unanswered() -> bytes:
    """No answer in time, on a link that lives."""
    raise UnansweredError("no answer within 1 s")


class FaultRig:
    """A link, and a clock; what is asked, and what is logged."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now_ms = hk_ms(FRIDAY, "10:00:00")
        self.monotonic_sec = 1000.0
        self.asked: list[tuple[str, str]] = []
        self.logged: list[str] = []
        self.answer: Callable[[], bytes] = dates
        self.state = ClientState()
        link: Any = self
        self.dates = TradeDates(link, 1.0, self.state)
        monkeypatch.setattr(self.state.clock, "now_ms", lambda: self.now_ms)
        monkeypatch.setattr(trade_dates_module, "time", self)
        monkeypatch.setattr(trade_dates_module, "log", self)

    def monotonic(self) -> float:
        """The clock."""
        return self.monotonic_sec

    def warning(self, event: str, **_fields: object) -> None:
        """The log."""
        self.logged.append(event)

    async def call(self, proto_id: int, body: bytes, _timeout_sec: float) -> bytes:
        """The link."""
        assert proto_id == ProtoId.QOT_REQUEST_TRADE_DATE
        c2s = pb.Qot_RequestTradeDate.Request.FromString(body).c2s
        self.asked.append((c2s.beginTime, c2s.endTime))
        return self.answer()

    def look(self, times: int = 1) -> None:
        """So often."""
        for _ in range(times):
            asyncio.run(self.dates.look())


@pytest.fixture
def rig(monkeypatch: pytest.MonkeyPatch) -> FaultRig:
    """Where OpenD's clock is known, and is ours."""
    made = FaultRig(monkeypatch)
    made.state.clock_offset_ms = 0
    return made


def test_a_week_back_and_two_ahead_are_asked_for_once(rig: FaultRig) -> None:
    """However often it is looked at on that day."""
    rig.look(3)
    today = dt.date.fromisoformat(FRIDAY)
    assert rig.asked == [
        ((today - dt.timedelta(days=7)).isoformat(), (today + dt.timedelta(days=14)).isoformat())
    ]  # fmt: skip


def test_opends_day_counts(rig: FaultRig) -> None:
    """Nothing is asked before its clock is known, and again when it says another day, whatever the host's says."""
    rig.state.clock_offset_ms = None
    rig.look()
    assert rig.asked == []
    rig.state.clock_offset_ms = 14 * HOUR_MS - 1
    rig.look()
    rig.now_ms += 1
    rig.look(2)
    assert [begin for begin, _ in rig.asked] == ["2026-11-13", "2026-11-14"]


@pytest.mark.parametrize("answer", [lambda: refusal("too frequent"), unanswered, lambda: b"\xff\xff"])
def test_a_refusal_is_told_once_and_asked_again_later(rig: FaultRig, answer: Callable[[], bytes]) -> None:
    """The session goes on without them."""
    rig.answer = answer
    for _ in range(3):
        rig.look(2)
        rig.monotonic_sec += RETRY_SEC
    assert len(rig.asked) == 3
    assert rig.logged == ["trade_dates_unavailable"]
    assert list(rig.state.unanswered) == ["trade_dates"]
    rig.answer = dates
    rig.look(2)
    assert len(rig.asked) == 4
    assert not rig.state.unanswered


def test_it_is_looked_at_again_and_again(rig: FaultRig, monkeypatch: pytest.MonkeyPatch) -> None:
    """As long as the session lasts."""
    monkeypatch.setattr(trade_dates_module, "LOOK_SEC", 0.0)

    async def work() -> None:
        task = asyncio.create_task(rig.dates.keep())
        for day in range(1, 4):
            while len(rig.asked) < day and not task.done():  # noqa: ASYNC110 - as often as it looks
                await asyncio.sleep(0)
            rig.now_ms += 24 * HOUR_MS
        task.cancel()

    asyncio.run(work())
    assert len(rig.asked) == 3
