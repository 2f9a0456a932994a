"""Backfill and audit on a link of our own: what is asked for, what an answer proves, and when pushes are missing."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest
from support.bodies import refusal
from support.kept_log import KeptLog, keep_log
from support.ticks import OPEN_MS, TENCENT, body, ticker

from hk_tick_collector import futu_fetch
from hk_tick_collector.errors import SessionError
from hk_tick_collector.futu_fetch import CANARIES, Fetcher
from hk_tick_collector.futu_link import UnansweredError
from hk_tick_collector.futu_state import ClientSettings, ClientState
from hk_tick_collector.opend import opend_pb2 as pb
from hk_tick_collector.opend.messages import symbol_of
from hk_tick_collector.opend.purpose import Purpose

if TYPE_CHECKING:
    from collections.abc import Callable

SETTINGS = ClientSettings(
    "127.0.0.1", 1, (TENCENT,), poll_interval_sec=0.01, poll_stale_sec=0.02, poll_num=20, request_timeout_sec=1
)


class OpenD:
    """A link to one that holds so many ticks of each symbol; also what is stored, since all fetched ticks are."""

    def __init__(self, *symbols: str) -> None:
        self.pushes = 0
        self.traded = dict.fromkeys(symbols, 0)
        self.asked: list[tuple[str, int, Purpose]] = []
        self.answer: Callable[[str, int], bytes] = self._ticks

    def trade(self, *symbols: str, count: int = 1, pushed: bool = True) -> None:
        """There are trades, which are pushed, or are not."""
        for symbol in symbols or self.traded:
            self.traded[symbol] += count
            self.pushes += count * pushed

    def rows_by_symbol(self) -> dict[str, int]:
        """As stored."""
        return dict(self.traded)

    async def call(self, _proto_id: int, request: bytes, _timeout_sec: float, purpose: Purpose) -> bytes:
        """Answer a GetTicker."""
        c2s = pb.Qot_GetTicker.Request.FromString(request).c2s
        symbol = symbol_of(c2s.security.market, c2s.security.code)
        self.asked.append((symbol, c2s.maxRetNum, purpose))
        await asyncio.sleep(0)
        return self.answer(symbol, c2s.maxRetNum)

    def _ticks(self, symbol: str, count: int) -> bytes:
        last = self.traded[symbol]
        return body(symbol, (ticker(n) for n in range(max(0, last - count), last)))


class Session:
    """A fetcher on a link."""

    def __init__(self, opend: OpenD, settings: ClientSettings = SETTINGS) -> None:
        link: Any = opend
        self.opend = opend
        self.state = ClientState()
        self.interrupt = asyncio.Event()
        self.fetcher = Fetcher(link, settings, opend, self.state)

    @property
    def symbols(self) -> list[str]:
        """All of them."""
        return list(self.opend.traded)

    async def audit(self) -> None:
        """Wait until one is due, and make it."""
        for _ in range(1000):
            if await self.fetcher.audit(self.symbols, self.interrupt):
                return
            await asyncio.sleep(0.002)
        raise AssertionError("no audit was made")


@pytest.fixture
def logged(monkeypatch: pytest.MonkeyPatch) -> KeptLog:
    """The lines that are logged."""
    return keep_log(futu_fetch, monkeypatch)


# ---- pushes that are missing


def test_trades_without_a_push_are_noticed_once_and_then_end_the_session(logged: KeptLog) -> None:
    """First all is subscribed and fetched anew; when that has not helped, the connection is made anew."""

    async def work() -> None:
        session = Session(OpenD(TENCENT))
        session.opend.trade(pushed=False)
        await session.fetcher.backfill(session.symbols)
        session.opend.trade(pushed=False)
        await session.audit()
        assert session.interrupt.is_set()
        assert session.state.resubscribes == 1
        session.interrupt.clear()
        await session.fetcher.backfill(session.symbols)
        await session.audit()
        assert not session.interrupt.is_set(), "no trade since is no evidence"
        session.opend.trade(pushed=False)
        with pytest.raises(SessionError, match="no pushes, though 1 symbols trade"):
            await session.audit()
        assert session.state.resubscribes == 2

    asyncio.run(work())
    missing = [fields for event, fields in logged.lines if event == "pushes_missing"]
    assert [fields["in_row"] for fields in missing] == [1, 2]


def test_pushes_that_come_again_begin_the_count_anew(logged: KeptLog) -> None:
    """Subscribing anew has helped; months later it may be needed again, and ends nothing."""

    async def work() -> None:
        session = Session(OpenD(TENCENT))
        await session.fetcher.backfill(session.symbols)
        for round_no in range(1, 4):
            session.opend.trade(pushed=False)
            await session.audit()
            assert session.interrupt.is_set()
            assert session.state.resubscribes == round_no
            session.interrupt.clear()
            session.opend.trade()
            await session.audit()
            assert not session.interrupt.is_set()
            await session.audit()  # with nothing pushed since, and nothing traded

    asyncio.run(work())
    assert logged.events().count("pushes_missing") == 3


def test_pushes_that_end_with_the_session_are_not_missing(logged: KeptLog) -> None:
    """At noon the last trades were pushed before the audit, and none comes while it goes on: nothing is wrong."""

    async def work() -> None:
        session = Session(OpenD(TENCENT))
        await session.fetcher.backfill(session.symbols)
        for _ in range(3):
            session.opend.trade(count=5)
            await session.audit()
            await session.audit()
        assert not session.interrupt.is_set()

    asyncio.run(work())
    assert "pushes_missing" not in logged.events()


def test_a_quiet_night_raises_nothing(logged: KeptLog) -> None:
    """Nothing is traded, nothing pushed, and reading the same old ticks again is no trade."""

    async def work() -> None:
        session = Session(OpenD(TENCENT))
        session.opend.trade(count=300)
        await session.fetcher.backfill(session.symbols)
        fetched_at = session.state.last_fetched_at
        assert fetched_at is not None
        for _ in range(5):
            await session.audit()
        assert session.state.last_fetched_at == fetched_at
        assert not session.interrupt.is_set()

    asyncio.run(work())
    assert "pushes_missing" not in logged.events()


def test_without_a_base_nothing_is_concluded(logged: KeptLog) -> None:
    """With BACKFILL_N=0 the first audit only learns what there is; the second one can tell."""

    async def work() -> None:
        session = Session(OpenD(TENCENT))
        session.opend.trade(count=300, pushed=False)
        await session.audit()
        assert not session.interrupt.is_set()
        session.opend.trade(pushed=False)
        await session.audit()
        assert session.interrupt.is_set()

    asyncio.run(work())
    assert logged.events() == ["pushes_missing"]


def test_a_symbol_that_was_never_traded_is_a_base_too(logged: KeptLog) -> None:
    """None is a known number: the first trade ever without a push is missing."""

    async def work() -> None:
        session = Session(OpenD(TENCENT))
        await session.fetcher.backfill(session.symbols)
        session.opend.trade(pushed=False)
        await session.audit()
        assert session.interrupt.is_set()

    asyncio.run(work())
    assert logged.events()[-1] == "pushes_missing"


def test_a_push_that_is_late_is_not_missing(logged: KeptLog) -> None:
    """The answer to an audit may overtake the push of the same tick, which comes before the audit is over."""

    async def work() -> None:
        session = Session(OpenD(TENCENT))
        await session.fetcher.backfill(session.symbols)
        session.opend.trade(pushed=False)
        ticks = session.opend.answer

        def late(symbol: str, count: int) -> bytes:
            asyncio.get_running_loop().call_later(0.002, lambda: setattr(session.opend, "pushes", 1))
            return ticks(symbol, count)

        session.opend.answer = late
        await session.audit()
        assert session.opend.pushes == 1
        assert not session.interrupt.is_set()

    asyncio.run(work())
    assert "pushes_missing" not in logged.events()


def test_without_pushes_only_the_busiest_are_asked(logged: KeptLog) -> None:
    """900 symbols through the night would be 900 calls for nothing."""

    async def work() -> None:
        session = Session(OpenD(*(f"HK.{n:05}" for n in range(1, 41))))
        for n, symbol in enumerate(session.symbols):
            session.opend.trade(symbol, count=n, pushed=False)
        await session.audit()
        assert {symbol for symbol, _, _ in session.opend.asked} == set(session.symbols[-CANARIES:])
        session.opend.asked.clear()
        session.opend.trade()
        await session.audit()
        assert {symbol for symbol, _, _ in session.opend.asked} == set(session.symbols)

    asyncio.run(work())
    assert logged.lines == []


# ---- answers


def test_an_audit_that_does_not_reach_back_is_made_again_whole(logged: KeptLog) -> None:
    """Pushes of 500 ticks never came, and what is stored can't say so: the answer itself shows the hole."""

    async def work() -> None:
        session = Session(OpenD(TENCENT))
        session.opend.trade(count=100, pushed=False)
        await session.fetcher.backfill(session.symbols)
        session.opend.asked.clear()
        session.opend.rows_by_symbol = lambda: {TENCENT: 100}  # type: ignore[method-assign]
        session.opend.trade(count=500, pushed=False)
        await session.audit()
        assert [(count, purpose) for _, count, purpose in session.opend.asked] == [
            (120, Purpose.AUDIT),
            (1000, Purpose.AUDIT),
        ]

    asyncio.run(work())
    assert logged.events() == ["backfill_done", "pushes_missing"]


def test_ticks_that_lack_optional_fields_are_read_one_by_one(logged: KeptLog) -> None:
    """They make no columns; the sequences are known all the same, so the audit does its work."""

    def odd(symbol: str, count: int) -> bytes:
        del count
        ticks = [ticker(n, OPEN_MS) for n in range(session.opend.traded[symbol])]
        for tick in ticks[::2]:
            tick.ClearField("pushDataType")
            tick.ClearField("timestamp")
        return body(symbol, ticks)

    session = Session(OpenD(TENCENT))

    async def work() -> None:
        session.opend.answer = odd
        session.opend.trade(count=11, pushed=False)
        await session.fetcher.backfill(session.symbols)
        assert session.fetcher._newest[TENCENT] == ticker(10, OPEN_MS).sequence
        session.opend.trade(pushed=False)
        await session.audit()
        assert session.fetcher._newest[TENCENT] == ticker(11, OPEN_MS).sequence
        assert session.interrupt.is_set()

    asyncio.run(work())
    assert logged.events() == ["backfill_done", "pushes_missing"]


def unanswered(_symbol: str, _count: int) -> bytes:
    """No answer in time, on a link that lives."""
    raise UnansweredError("QOT_GET_TICKER: no answer within 1 s")


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (lambda _symbol, _count: refusal("no quote right"), "no quote right"),
        (unanswered, "QOT_GET_TICKER: no answer within 1 s"),
        (
            lambda symbol, _count: body(symbol, [ticker(1)]) + b"\x22\x03\x0a\x05\x01",
            "a reply that can't be read",
        ),
    ],
)
def test_a_symbol_whose_ticks_can_not_be_had_is_named(
    logged: KeptLog, monkeypatch: pytest.MonkeyPatch, answer: Callable[[str, int], bytes], reason: str
) -> None:
    """After three attempts, and the session goes on; the audit after it asks as deep as if it had not been made."""
    monkeypatch.setattr(futu_fetch, "ATTEMPT_PAUSE_SEC", 0.001)

    async def work() -> None:
        session = Session(OpenD(TENCENT))
        ticks = session.opend.answer
        session.opend.answer = answer
        await session.fetcher.backfill(session.symbols)
        assert len(session.opend.asked) == 3
        await session.audit()
        assert TENCENT not in session.fetcher._newest
        session.opend.answer = ticks
        session.opend.trade()
        await session.audit()
        assert session.fetcher._newest[TENCENT] == ticker(0).sequence

    asyncio.run(work())
    assert logged.events() == ["backfill_failed", "backfill_done"]
    assert logged.lines[0][1]["symbol"] == TENCENT
    assert logged.lines[0][1]["reason"].startswith(reason)
    assert logged.lines[1][1]["failed"] == 1
