"""Backfill and poll on a link of our own: what is asked for, what an answer proves, and when pushes are missing."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any

import pytest
from support.bodies import refusal
from support.kept_log import KeptLog, keep_log
from support.settings import client_settings
from support.ticks import OPEN_MS, TENCENT, body, ticker

from hk_tick_collector.clock import HostClock
from hk_tick_collector.errors import SessionError, UnansweredError
from hk_tick_collector.journal.events import Cause
from hk_tick_collector.opend import opend_pb2 as pb
from hk_tick_collector.opend.codes import symbol_of
from hk_tick_collector.opend.purpose import Purpose
from hk_tick_collector.session import fetch as fetch_module
from hk_tick_collector.session.fetch import BUSIEST_PROBED, Fetcher
from hk_tick_collector.session.outages import Outage
from hk_tick_collector.session.state import ClientSettings, ClientState

if TYPE_CHECKING:
    from collections.abc import Callable

SETTINGS = client_settings(TENCENT, poll_interval_sec=0.01, poll_stale_sec=0.02, poll_num=20, request_timeout_sec=1)


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

    async def poll(self) -> None:
        """Wait until one is due, and make it."""
        for _ in range(1000):
            if await self.fetcher.poll(self.symbols, self.interrupt):
                return
            await asyncio.sleep(0.002)
        raise AssertionError("no poll was made")


@pytest.fixture
def logged(monkeypatch: pytest.MonkeyPatch) -> KeptLog:
    """The lines that are logged."""
    return keep_log(fetch_module, monkeypatch)


# ---- pushes that are missing


def test_trades_without_a_push_are_noticed_once_and_then_end_the_session(logged: KeptLog) -> None:
    """First all is subscribed and fetched anew; when that has not helped, the connection is made anew."""

    async def work() -> None:
        session = Session(OpenD(TENCENT))
        session.opend.trade(pushed=False)
        await session.fetcher.backfill(session.symbols)
        session.opend.trade(pushed=False)
        await session.poll()
        assert session.interrupt.is_set()
        assert session.state.resubscribes == 1
        session.interrupt.clear()
        await session.fetcher.backfill(session.symbols)
        await session.poll()
        assert not session.interrupt.is_set(), "no trade since is no evidence"
        session.opend.trade(pushed=False)
        with pytest.raises(SessionError, match="no pushes, though 1 symbols are trading"):
            await session.poll()
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
            await session.poll()
            assert session.interrupt.is_set()
            assert session.state.resubscribes == round_no
            session.interrupt.clear()
            session.opend.trade()
            await session.poll()
            assert not session.interrupt.is_set()
            await session.poll()  # with nothing pushed since, and nothing traded

    asyncio.run(work())
    assert logged.events().count("pushes_missing") == 3


def test_pushes_that_end_with_the_session_are_not_missing(logged: KeptLog) -> None:
    """At noon the last trades were pushed before the poll, and none comes while it goes on: nothing is wrong."""

    async def work() -> None:
        session = Session(OpenD(TENCENT))
        await session.fetcher.backfill(session.symbols)
        for _ in range(3):
            session.opend.trade(count=5)
            await session.poll()
            await session.poll()
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
            await session.poll()
        assert session.state.last_fetched_at == fetched_at
        assert not session.interrupt.is_set()

    asyncio.run(work())
    assert "pushes_missing" not in logged.events()


def test_without_a_base_nothing_is_concluded(logged: KeptLog) -> None:
    """With BACKFILL_N=0 the first poll only learns what there is; the second one can tell."""

    async def work() -> None:
        session = Session(OpenD(TENCENT))
        session.opend.trade(count=300, pushed=False)
        await session.poll()
        assert not session.interrupt.is_set()
        session.opend.trade(pushed=False)
        await session.poll()
        assert session.interrupt.is_set()

    asyncio.run(work())
    assert logged.events() == ["pushes_missing"]


def test_a_symbol_that_was_never_traded_is_a_base_too(logged: KeptLog) -> None:
    """None is a known number: the first trade ever without a push is missing."""

    async def work() -> None:
        session = Session(OpenD(TENCENT))
        await session.fetcher.backfill(session.symbols)
        session.opend.trade(pushed=False)
        await session.poll()
        assert session.interrupt.is_set()

    asyncio.run(work())
    assert logged.events()[-1] == "pushes_missing"


def test_a_push_that_is_late_is_not_missing(logged: KeptLog) -> None:
    """The answer to a poll may overtake the push of the same tick, which comes before the poll is over."""

    async def work() -> None:
        session = Session(OpenD(TENCENT))
        await session.fetcher.backfill(session.symbols)
        session.opend.trade(pushed=False)
        ticks = session.opend.answer

        def late(symbol: str, count: int) -> bytes:
            asyncio.get_running_loop().call_later(0.002, lambda: setattr(session.opend, "pushes", 1))
            return ticks(symbol, count)

        session.opend.answer = late
        await session.poll()
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
        await session.poll()
        assert {symbol for symbol, _, _ in session.opend.asked} == set(session.symbols[-BUSIEST_PROBED:])
        session.opend.asked.clear()
        session.opend.trade()
        await session.poll()
        assert {symbol for symbol, _, _ in session.opend.asked} == set(session.symbols)

    asyncio.run(work())
    assert logged.lines == []


def test_the_canaries_of_a_long_quiet_time_are_the_busiest_of_the_day(logged: KeptLog) -> None:
    """When nothing has been traded for hours all depths are alike, and must not let the list's order decide."""

    async def work() -> None:
        session = Session(OpenD(*(f"HK.{n:05}" for n in range(1, 41))))
        for n, symbol in enumerate(session.symbols):
            session.opend.trade(symbol, count=n, pushed=False)
        for _ in range(4):
            session.opend.asked.clear()
            await session.poll()
        assert {symbol for symbol, _, _ in session.opend.asked} == set(session.symbols[-BUSIEST_PROBED:])

    asyncio.run(work())
    assert logged.lines == []


def test_an_audit_begins_with_those_of_which_the_most_should_have_come(logged: KeptLog) -> None:
    """A busy symbol that has gone silent is first; then those that trade, the busiest first."""

    async def work() -> None:
        session = Session(OpenD("HK.00001", "HK.00002", "HK.00003", "HK.00004"))
        now = time.monotonic()
        for seconds, silent in ((-90, 0), (-60, 600), (-30, 600), (-1, 600)):
            rows = {"HK.00001": 9, "HK.00002": 900 + seconds, "HK.00003": silent, "HK.00004": 9000 + seconds * 9}
            session.state.rates.take(now + seconds, rows)
        session.opend.traded = {"HK.00001": 9, "HK.00002": 900, "HK.00003": 600, "HK.00004": 990}
        session.opend.pushes = 5
        await session.poll()
        assert [symbol for symbol, _, _ in session.opend.asked] == ["HK.00003", "HK.00004", "HK.00002", "HK.00001"]

    asyncio.run(work())
    assert logged.lines == []


# ---- the order after an outage


class RacingOpenD(OpenD):
    """One that answers one call at a time, each so long as it takes the symbols to trade on; it remembers 1,000."""

    def __init__(self, rates: dict[str, int], missed: dict[str, int]) -> None:
        """Args: `rates` is ticks a call; `missed`, how many ticks nobody has heard of."""
        super().__init__(*rates)
        self._rates = rates
        self._one_at_a_time = asyncio.Lock()
        self.traded = dict(missed)
        self.lost: dict[str, int] = {}

    async def call(self, proto_id: int, request: bytes, timeout_sec: float, purpose: Purpose) -> bytes:
        """Answer a GetTicker, in its turn."""
        async with self._one_at_a_time:
            reply = await super().call(proto_id, request, timeout_sec, purpose)
            for symbol, rate in self._rates.items():
                self.traded[symbol] += rate
            return reply

    def _ticks(self, symbol: str, count: int) -> bytes:
        self.lost[symbol] = max(0, self.traded[symbol] - count)
        return super()._ticks(symbol, count)


def raced(rates: dict[str, int], missed: dict[str, int], *, knows_outage: bool = True) -> dict[str, int]:
    """Fetch all after an outage in which so many ticks were missed; which are lost, by symbol."""
    opend = RacingOpenD(rates, missed)
    session = Session(opend)
    sec = max(missed[symbol] / rate for symbol, rate in rates.items()) / 1000  # a call is a millisecond
    session.state.rates.take(0.0, dict.fromkeys(rates, 0))
    session.state.rates.take(1.0, {symbol: rate * 1000 for symbol, rate in rates.items()})
    outage = Outage(Cause.CONNECTION_LOST, OPEN_MS - int(sec * 1000)) if knows_outage else None
    assert asyncio.run(session.fetcher.backfill(session.symbols, outage))
    return {symbol: lost for symbol, lost in opend.lost.items() if lost}


def test_the_order_decides_which_tick_is_lost(logged: KeptLog, monkeypatch: pytest.MonkeyPatch) -> None:
    """Twenty that are past have their gaps anyway; one that would be past when these are fetched is still whole.

    The busiest first, or the day's busiest first, would lose ticks of it. The clock stands still at the moment of the
    resumption, so that a slow machine changes nothing.
    """
    monkeypatch.setattr(HostClock, "now_ms", lambda _clock: OPEN_MS)
    # 99.5 ms: at 10 a millisecond 995 are missed; at 20, 1,990 and past.
    past = {f"HK.{n:05}": 20 for n in range(1, 21)}
    rates = {**past, TENCENT: 10}
    missed = {symbol: int(rate * 99.5) for symbol, rate in rates.items()}
    assert TENCENT not in raced(rates, missed)
    assert TENCENT in raced(rates, missed, knows_outage=False), "the busiest first: the others are before it"
    assert {event for event, _ in logged.lines} == {"backfill_done"}


def test_of_those_that_are_past_the_one_that_loses_most_is_first(
    logged: KeptLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And it is fetched before any that can wait."""
    rates = {"HK.00001": 1, "HK.00002": 30, "HK.00003": 90}
    opend = RacingOpenD(rates, dict.fromkeys(rates, 0))
    session = Session(opend)
    session.state.rates.take(0.0, dict.fromkeys(rates, 0))
    session.state.rates.take(10.0, {symbol: rate * 10 for symbol, rate in rates.items()})
    monkeypatch.setattr(HostClock, "now_ms", lambda _clock: OPEN_MS)
    outage = Outage(Cause.CONNECTION_LOST, OPEN_MS - 60_000)
    assert asyncio.run(session.fetcher.backfill(session.symbols, outage))
    assert [symbol for symbol, _, _ in opend.asked] == ["HK.00003", "HK.00002", "HK.00001"]
    assert logged.events() == ["backfill_done"]


# ---- how deep


@pytest.mark.parametrize("cause", Cause)
@pytest.mark.parametrize("backfill_n", [0, 100, 1000])
def test_what_opend_itself_missed_is_fetched_as_deep_as_it_goes(logged: KeptLog, backfill_n: int, cause: Cause) -> None:
    """Whatever BACKFILL_N says; with 0, which is off, as a poll. An outage of the link is the operator's choice."""
    is_of_opend = cause in {Cause.EXCHANGE_LOST, Cause.KICKED_OUT, Cause.UNKNOWN}
    session = Session(OpenD(TENCENT), SETTINGS._replace(backfill_n=backfill_n))
    session.opend.trade(count=1500, pushed=False)
    outage = Outage(cause, None)
    depth = 1000 if is_of_opend else backfill_n
    assert session.fetcher.depth(outage) == depth
    assert asyncio.run(session.fetcher.backfill([TENCENT], outage)) == bool(depth)
    purpose = Purpose.BACKFILL if backfill_n else Purpose.POLL
    assert session.opend.asked == ([(TENCENT, depth, purpose)] if depth else [])
    assert logged.events() == (["backfill_done"] if depth else [])


CUT = Outage(Cause.CONNECTION_LOST, OPEN_MS)


class Broken:
    """A link that was cut: a symbol with 2,000 ticks that trades twice a second was fetched before, on another link."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, rate: float = 2.0, **settings: int) -> None:
        self.now = 1000.0
        monkeypatch.setattr(fetch_module, "time", self)
        self.opend = OpenD(TENCENT)
        self.opend.trade(count=2000)
        self.settings = SETTINGS._replace(**settings)  # type: ignore[arg-type]
        before = Session(self.opend, self.settings)
        self.state = before.state
        assert asyncio.run(before.fetcher.backfill([TENCENT]))
        self.state.rates.take(900.0, {TENCENT: 0})
        self.state.rates.take(1000.0, {TENCENT: int(rate * 100)})
        self.opend.asked.clear()

    def monotonic(self) -> float:
        """The module's clock."""
        return self.now

    def mend(self, sec: float, traded: int, outage: Outage | None = CUT) -> list[int]:
        """After so many seconds and ticks the link is there again; how many ticks are asked for, call by call."""
        self.now += sec
        self.opend.trade(count=traded, pushed=False)
        session = Session(self.opend, self.settings)
        session.fetcher._state = self.state
        assert asyncio.run(session.fetcher.backfill([TENCENT], outage))
        asked, self.opend.asked = [count for _, count, _ in self.opend.asked], []
        return asked


def test_after_a_cut_as_much_is_fetched_as_can_be_missing(logged: KeptLog, monkeypatch: pytest.MonkeyPatch) -> None:
    """Five times what it trades in the time since its last fetch, and fifty: cut after cut."""
    broken = Broken(monkeypatch)
    assert broken.mend(6, 12) == [110]
    assert broken.mend(6, 30) == [110]
    assert broken.mend(30, 60) == [350]
    assert broken.mend(0, 0) == [50]
    assert broken.mend(200, 400) == [1000], "there is never asked for more"
    assert logged.events() == ["backfill_done"] * 6


def test_what_does_not_join_is_fetched_whole(logged: KeptLog, monkeypatch: pytest.MonkeyPatch) -> None:
    """More was traded than can be expected: the very tick of the last fetch is not in the answer."""
    broken = Broken(monkeypatch)
    assert broken.mend(6, 109) == [110]
    assert broken.mend(6, 110) == [110, 1000]
    assert broken.mend(6, 12) == [110]
    broken.state.fetched[TENCENT] = broken.state.fetched[TENCENT]._replace(newest=ticker(0).sequence + 10**15)
    assert broken.mend(6, 12) == [110, 1000], "a sequence that OpenD does not tell proves nothing"
    assert broken.mend(6, 12) == [110]
    broken.opend.answer = lambda symbol, count: body(symbol, [ticker(n, sequence=0) for n in range(count)])
    assert broken.mend(6, 12) == [110, 1000], "nor do ticks without a sequence"
    assert broken.mend(6, 12) == [110, 1000]
    assert set(logged.events()) == {"backfill_done"}


def test_all_that_there_is_joins(logged: KeptLog, monkeypatch: pytest.MonkeyPatch) -> None:
    """OpenD has fewer than it was asked for: it has no more."""
    broken = Broken(monkeypatch)
    broken.opend.answer = lambda symbol, _count: body(symbol, [ticker(3000)])
    assert broken.mend(6, 12) == [110]
    assert logged.events() == ["backfill_done"] * 2


@pytest.mark.parametrize("cause", [cause for cause in Cause if cause is not Cause.CONNECTION_LOST])
def test_after_any_other_outage_all_is_fetched(logged: KeptLog, monkeypatch: pytest.MonkeyPatch, cause: Cause) -> None:
    """OpenD itself may have been away, or this process: what it remembers is not what it was."""
    broken = Broken(monkeypatch)
    assert broken.mend(6, 12, Outage(cause, OPEN_MS)) == [1000]
    assert broken.mend(6, 12, None) == [1000]
    assert logged.events() == ["backfill_done"] * 3


def test_without_a_rate_or_a_fetch_all_is_fetched(logged: KeptLog, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing says how much can be missing; a symbol that has not traded while others have has a rate of 0."""
    broken = Broken(monkeypatch)
    broken.state.fetched.clear()
    assert broken.mend(6, 12) == [1000]
    broken.state.rates.begin_anew()
    broken.state.rates.take(2000.0, {"HK.00005": 5})
    broken.state.rates.take(2010.0, {"HK.00005": 50})
    assert broken.mend(6, 12) == [50]
    broken.state.rates = ClientState().rates
    assert broken.mend(6, 12) == [1000]
    assert set(logged.events()) == {"backfill_done"}


def test_the_operators_depth_is_the_most(logged: KeptLog, monkeypatch: pytest.MonkeyPatch) -> None:
    """BACKFILL_N is what is asked for where continuity can't be shown, and never exceeded."""
    broken = Broken(monkeypatch, backfill_n=100)
    assert broken.mend(6, 12) == [100]
    assert broken.mend(3, 6) == [80]
    assert broken.mend(3, 90) == [80, 100]
    assert set(logged.events()) == {"backfill_done"}


def test_a_second_answer_that_is_refused_is_asked_for_again(logged: KeptLog, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first one alone does not join: the symbol counts as not fetched until the second is there."""
    monkeypatch.setattr(fetch_module, "ATTEMPT_PAUSE_SEC", 0.001)
    broken = Broken(monkeypatch)
    ticks, refusals = broken.opend.answer, iter([True, False])
    broken.opend.answer = lambda symbol, count: (
        refusal("busy") if count == 1000 and next(refusals, False) else ticks(symbol, count)
    )
    assert broken.mend(6, 500) == [110, 1000, 110, 1000]
    assert broken.state.fetched[TENCENT].newest == ticker(2499).sequence
    assert logged.lines[-1][1]["failed"] == 0


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
        await session.poll()
        assert [(count, purpose) for _, count, purpose in session.opend.asked] == [
            (120, Purpose.POLL),
            (1000, Purpose.POLL),
        ]

    asyncio.run(work())
    assert logged.events() == ["backfill_done", "pushes_missing"]


def test_ticks_that_lack_optional_fields_are_read_one_by_one(logged: KeptLog) -> None:
    """They make no columns; the sequences are known all the same, so the poll does its work."""

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
        await session.poll()
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
    """After three attempts, and the session goes on; the poll after it asks as deep as if it had not been made."""
    monkeypatch.setattr(fetch_module, "ATTEMPT_PAUSE_SEC", 0.001)

    async def work() -> None:
        session = Session(OpenD(TENCENT))
        ticks = session.opend.answer
        session.opend.answer = answer
        await session.fetcher.backfill(session.symbols)
        assert len(session.opend.asked) == 3
        await session.poll()
        assert TENCENT not in session.fetcher._newest
        session.opend.answer = ticks
        session.opend.trade()
        await session.poll()
        assert session.fetcher._newest[TENCENT] == ticker(0).sequence

    asyncio.run(work())
    assert logged.events() == ["backfill_failed", "backfill_done"]
    assert logged.lines[0][1]["symbol"] == TENCENT
    assert logged.lines[0][1]["reason"].startswith(reason)
    assert logged.lines[1][1]["failed"] == 1
