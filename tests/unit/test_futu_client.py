"""What the session knows without a connection: OpenD's state, asked for now and then, and when something came last."""

from __future__ import annotations

import asyncio
import json
import time
from functools import partial
from typing import TYPE_CHECKING, Any, cast

import pytest
from support.bodies import refusal
from support.events import read_clock_offset_ms, read_clock_stepped
from support.kept_log import KeptLog, keep_log
from support.settings import client_settings
from support.ticks import OPEN_MS

from hk_tick_collector import futu_client
from hk_tick_collector.clock import HostClock, wall_ms
from hk_tick_collector.errors import RefusedError, RemoteProtocolError, SessionError, UnansweredError
from hk_tick_collector.futu_client import FutuClient
from hk_tick_collector.journal.events import CLOCK_STEPPED, EVENT, Cause
from hk_tick_collector.opend import opend_pb2 as pb
from hk_tick_collector.opend.codes import symbol_of
from hk_tick_collector.opend.notices import Notice
from hk_tick_collector.opend.numbers import GtwEvent, NotifyType, ProtoId, QotRight
from hk_tick_collector.session import opend_state as opend_state_module
from hk_tick_collector.session.outages import Outage
from hk_tick_collector.session.rates import read_rates
from hk_tick_collector.session.subscribe import Subscriber
from hk_tick_collector.session.trade_dates import TradeDates

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine


@pytest.fixture
def logged(monkeypatch: pytest.MonkeyPatch) -> KeptLog:
    """The lines that are logged."""
    return keep_log(futu_client, monkeypatch)


def state_of(market: int, *, logined: bool = True, time_sec: int | None = None) -> Callable[[], bytes]:
    """GetGlobalState's reply; with a clock that is seven seconds ahead, or with that."""

    def made() -> bytes:
        s2c = pb.GetGlobalState.S2C(
            marketHK=market, marketUS=0, marketSH=0, marketSZ=0, marketHKFuture=0, qotLogined=logined, trdLogined=False,
            serverVer=1011, serverBuildNo=1, time=int(time.time()) + 7 if time_sec is None else time_sec,
        )  # fmt: skip
        return pb.GetGlobalState.Response(retType=0, s2c=s2c).SerializeToString()

    return made


def raising(error: Exception) -> Callable[[], bytes]:
    """No reply but that."""

    def raises() -> bytes:
        raise error

    return raises


class Journal:
    """Keeps events, and the times that they have."""

    def __init__(self) -> None:
        self.events: list[dict[str, object]] = []
        self.times: list[int] = []

    def append_event(self, _session: int, recv_ts_ms: int, event: dict[str, object]) -> None:
        """One more."""
        self.events.append(event)
        self.times.append(recv_ts_ms)


class Link:
    """Gives one answer after the other, and then the last one for ever."""

    last_push_at: float | None = None

    def __init__(self, *answers: Callable[[], bytes]) -> None:
        self._answers = list(answers)
        self.asked = 0

    async def call(self, *_args: object) -> bytes:
        """The next."""
        self.asked += 1
        return (self._answers.pop(0) if len(self._answers) > 1 else self._answers[0])()


def client_of(*symbols: str, stored: object = None, **settings: Any) -> tuple[FutuClient, Journal]:  # noqa: ANN401
    """A client that is not connected, and its journal."""
    journal: Any = Journal()
    known: Any = stored
    return FutuClient(client_settings(*(symbols or ("HK.00700",)), **settings), journal, known), journal


def watch(monkeypatch: pytest.MonkeyPatch, client: FutuClient, link: Link, times: int) -> None:
    """Have OpenD's state asked for so often."""
    for name in ("CHECK_EVERY_SEC", "LOOK_AGAIN_SEC"):
        monkeypatch.setattr(opend_state_module, name, 0.0)

    async def work() -> None:
        made: Any = link
        task = asyncio.create_task(client._opend.watch(made, partial(client._last_push_ms, made), client._missed.set))
        while link.asked < times and not task.done():  # noqa: ASYNC110 - as often as it asks
            await asyncio.sleep(0)
        assert not task.done()
        task.cancel()

    asyncio.run(work())


@pytest.mark.parametrize(
    ("number", "word"),
    [(1, "AUCTION"), (2, "WAITING_OPEN"), (3, "MORNING"), (4, "REST"), (5, "AFTERNOON"), (6, "CLOSED"), (19, "HK_CAS"),
     (30, "CLOSE_AUCTION"), (31, "AFTERNOON_END"), (35, "TRADE_AT_LAST"), (36, "TRADE_AUCTION"), (77, "77")],
)  # fmt: skip
def test_the_markets_state_is_known_by_its_word(monkeypatch: pytest.MonkeyPatch, number: int, word: str) -> None:
    """With OpenD's clock, and in the journal too; a state that nobody has heard of is its number."""
    client, journal = client_of()
    watch(monkeypatch, client, Link(state_of(number)), 1)
    assert client.state.market == word
    assert client.state.market_at is not None
    assert client.state.qot_logined is True
    assert client.state.clock_offset_ms == pytest.approx(7000, abs=1500)
    assert journal.events[0]["market_hk"] == number


@pytest.mark.parametrize(
    "error",
    [
        UnansweredError("GET_GLOBAL_STATE: no answer within 15 s"),
        SessionError("GET_GLOBAL_STATE: no answer within 15 s"),
        RefusedError("GET_GLOBAL_STATE", -1, "busy"),
        RemoteProtocolError("GET_GLOBAL_STATE body of 2 bytes is no valid message"),
    ],
)
def test_no_answer_is_no_news(monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    """Whatever comes in place of an answer: the session goes on, what was known stays, and it is asked again."""
    client, _ = client_of()
    watch(monkeypatch, client, Link(state_of(3), raising(error)), 4)
    assert client.state.market == "MORNING"
    watch(monkeypatch, client, Link(raising(error), state_of(4)), 3)
    assert client.state.market == "REST"


@pytest.mark.parametrize("time_sec", [-1, 0, 1_796_000_000_000, 2**63 - 1, -(2**63)])
def test_an_absurd_clock_is_no_clock(monkeypatch: pytest.MonkeyPatch, time_sec: int) -> None:
    """Milliseconds, sentinels: the offset stays as it was, one line shows the value, and all else of it counts."""
    told = keep_log(opend_state_module, monkeypatch)
    client, journal = client_of()
    watch(monkeypatch, client, Link(state_of(3, time_sec=time_sec)), 3)
    assert client.state.clock_offset_ms is None
    assert client.state.market == "MORNING"
    assert journal.events[0]["clock_offset_ms"] is None
    assert read_clock_offset_ms(json.dumps(journal.events[0]).encode()) is None
    watch(monkeypatch, client, Link(state_of(3)), 2)
    known = client.state.clock_offset_ms
    assert known == pytest.approx(7000, abs=1500)
    watch(monkeypatch, client, Link(state_of(4, time_sec=time_sec)), 2)
    assert client.state.clock_offset_ms == pytest.approx(7000, abs=1500)
    assert told.lines == [("opend_clock_unreadable", {"time": time_sec, "expected": "epoch seconds of this century"})]
    asyncio.run(TradeDates(cast("Any", Link(state_of(3))), 1.0, client.state).look())


def test_a_login_that_is_back_without_a_notice_has_all_fetched_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """The stream may have missed something; one that was never lost has missed nothing."""
    client, _ = client_of()
    watch(monkeypatch, client, Link(state_of(3)), 3)
    assert not client._missed.is_set()
    watch(monkeypatch, client, Link(state_of(3, logined=False)), 2)
    assert client.state.qot_logined is False
    assert not client._missed.is_set()
    watch(monkeypatch, client, Link(state_of(3)), 2)
    assert client._missed.is_set()
    assert client.outages.resume().is_of_opend, "so it is fetched as deep as OpenD goes"


def test_when_something_came_last_is_known_over_sessions() -> None:
    """Pushes of this connection, else of the ones before; a tick may also have been fetched."""
    client, _ = client_of()
    assert client.last_push_at is client.last_tick_at is client.last_heard_at is None
    assert (client.pushes, client.bytes_received) == (0, 0)

    class Connection:
        pushes, bytes_received, last_heard_at = 3, 700, 51.0
        last_push_at: float | None = 50.0

    made: Any = Connection()
    client._link, client.state.connected = made, True
    assert (client.last_push_at, client.last_tick_at, client.last_heard_at) == (50.0, 50.0, 51.0)
    client.state.last_fetched_at = 60.0
    assert (client.last_push_at, client.last_tick_at) == (50.0, 60.0)
    client._end_session("over")
    assert (client.last_push_at, client.last_heard_at) == (50.0, None)
    assert (client.pushes, client.bytes_received) == (3, 700)
    made = Connection()
    made.last_push_at = None
    client._link, client.state.connected = made, True
    assert client.last_push_at == 50.0
    assert (client.pushes, client.bytes_received) == (6, 1400)


# ---- why the stream may have missed something


def told(journal: Journal) -> list[tuple[object, object]]:
    """Cause and symbols of the resumptions."""
    events = [event for event in journal.events if event["event"] == EVENT]
    return [(event["cause"], list(event["symbols"])) for event in events]  # type: ignore[call-overload]


class Ended:
    """A link that is over."""

    last_heard_ms, last_push_at = 5000, None

    def __init__(self, paused_sec_ago: float | None = None) -> None:
        self._paused_sec_ago = paused_sec_ago

    @property
    def paused_at(self) -> float | None:
        """Counted from now, not from when the table of cases was made."""
        return None if self._paused_sec_ago is None else time.monotonic() - self._paused_sec_ago


@pytest.mark.parametrize(
    ("link", "was_connected", "expected"),
    [
        (Ended(), True, Outage(Cause.CONNECTION_LOST, 5000)),
        (Ended(1.0), True, Outage(Cause.JOURNAL_FULL, 5000)),
        (Ended(1000.0), True, Outage(Cause.CONNECTION_LOST, 5000)),
        (Ended(), False, Outage(Cause.OPEND_DOWN, 6000)),
    ],
)
def test_a_session_that_ends_says_what_may_be_missing(
    monkeypatch: pytest.MonkeyPatch, link: Ended, expected: Outage, *, was_connected: bool
) -> None:
    """From the last byte that was heard on; a link on which nothing was read has ended by that."""
    client, _ = client_of()
    monkeypatch.setattr(client.state.clock, "now_ms", lambda: 6000)
    client.outages.resume()
    made: Any = link
    client._link = made
    client._note_outage(was_connected=was_connected)
    assert client.outages.resume() == expected


def test_without_room_in_the_journal_nothing_is_heard(monkeypatch: pytest.MonkeyPatch) -> None:
    """A session that is not begun for want of disk has the journal as its cause."""
    client, journal = client_of()
    client.outages.resume()
    full: Any = journal
    full.is_full, full.has_room, full.buffered_bytes, full.fault = True, True, 1, "full"
    monkeypatch.setattr(client.state.clock, "now_ms", lambda: 6000)
    asyncio.run(client._wait_for_room())
    assert client.outages.resume() == Outage(Cause.JOURNAL_FULL, 6000)


@pytest.mark.parametrize(
    ("lost", "regained", "cause"),
    [
        (
            Notice(NotifyType.CONN_STATUS, None, qot_logined=False, text=""),
            Notice(NotifyType.CONN_STATUS, None, qot_logined=True, text=""),
            "exchange_lost",
        ),
        (
            Notice(NotifyType.GTW_EVENT, GtwEvent.KICKED_OUT, None, ""),
            Notice(NotifyType.QOT_RIGHT, None, None, "", QotRight.LEVEL2),
            "kicked_out",
        ),
        (None, Notice(NotifyType.QOT_RIGHT, None, None, "", QotRight.LEVEL2), "unknown"),
    ],
)
def test_a_notice_says_what_may_be_missing(lost: Notice | None, regained: Notice, cause: str) -> None:
    """From the notice of the loss on; while it lasts, no totals are compared."""
    client, _ = client_of()
    client.outages.resume()
    made: Any = Ended()
    client._link = made
    before_ms = wall_ms()
    if lost is not None:
        client._on_notice(lost)
        assert client.outages.is_open
        assert not client._missed.is_set()
    client._on_notice(regained)
    assert client._missed.is_set()
    found = client.outages.resume()
    assert found.cause == cause
    assert lost is None or (found.since_ms is not None and before_ms <= found.since_ms <= wall_ms())


def right(number: int) -> Notice:
    """The quote right for Hong Kong is now that."""
    return Notice(NotifyType.QOT_RIGHT, None, None, "", number)


LOGIN = Notice(NotifyType.CONN_STATUS, None, qot_logined=True, text="")
KICK = Notice(NotifyType.GTW_EVENT, GtwEvent.KICKED_OUT, None, "")


def heard(client: FutuClient, notice: Notice) -> bool:
    """Whether a notice has all fetched again."""
    client._missed.clear()
    client._on_notice(notice)
    return client._missed.is_set()


@pytest.mark.parametrize("before", [[], [KICK], [Notice(NotifyType.CONN_STATUS, None, qot_logined=False, text="")]])
@pytest.mark.parametrize("number", [QotRight.BMP, QotRight.NONE])
def test_a_right_without_pushes_is_a_loss(monkeypatch: pytest.MonkeyPatch, number: int, before: list[Notice]) -> None:
    """Also as the first thing that a session hears; no login ends it, but a right with pushes does."""
    client, journal = client_of()
    client.outages.resume()
    link: Any = Link(state_of(3))
    client._link = link
    for notice in before:
        heard(client, notice)
    assert not heard(client, right(number))
    assert client.outages.is_open
    assert not heard(client, LOGIN)
    watch(monkeypatch, client, link, 3)
    assert not heard(client, right(QotRight.UNKNOWN))
    assert not client._missed.is_set()
    assert client.outages.is_open
    assert heard(client, right(QotRight.LEVEL1))
    assert client.outages.resume().cause in {Cause.KICKED_OUT, Cause.EXCHANGE_LOST}
    assert not client.outages.is_open
    assert journal.events[-1] == {
        "event": "opend_notice", "kind": 4, "gtw_event": None, "qot_logined": None, "hk_right": QotRight.LEVEL1
    }  # fmt: skip
    assert heard(client, LOGIN), "and a login is news again"


def test_a_right_that_came_back_unsaid_is_seen_by_its_pushes(monkeypatch: pytest.MonkeyPatch) -> None:
    """The notice of it was lost with a connection: a push well after the loss shows that it is there."""
    client, _ = client_of()
    client.outages.resume()
    link: Any = Link(state_of(3))
    client._link = link
    heard(client, right(QotRight.BMP))
    client.outages.lost(Cause.CONNECTION_LOST, wall_ms())
    client.outages.resume()
    watch(monkeypatch, client, link, 2)
    assert client.outages.is_open
    link.last_push_at = time.monotonic() + 10
    watch(monkeypatch, client, link, link.asked + 2)
    assert client._missed.is_set()
    assert client.outages.resume().cause is Cause.KICKED_OUT
    assert not client.outages.is_open


class Subscriptions:
    """A link to an OpenD that refuses some symbols; it keeps what it was asked, and how much was told before."""

    def __init__(self, journal: Journal, *refused: str) -> None:
        self.refused = set(refused)
        self.asked: list[tuple[bool, list[str], int]] = []  # with pushes, of which, how many events were told before
        self._journal = journal

    async def call(self, proto_id: int, body: bytes, *_args: object) -> bytes:
        """Answer GetSubInfo and Sub."""
        if proto_id == ProtoId.QOT_GET_SUB_INFO:
            s2c = pb.Qot_GetSubInfo.S2C(totalUsedQuota=0, remainQuota=100)
            return pb.Qot_GetSubInfo.Response(retType=0, s2c=s2c).SerializeToString()
        c2s = pb.Qot_Sub.Request.FromString(body).c2s
        symbols = [symbol_of(security.market, security.code) for security in c2s.securityList]
        self.asked.append((c2s.isRegOrUnRegPush, symbols, len(told(self._journal))))
        return refusal("Unknown stock") if self.refused & set(symbols) else pb.Reply(retType=0).SerializeToString()


class Fetches:
    """A fetcher that fetches nothing."""

    def __init__(self) -> None:
        self.fetched: list[list[str]] = []

    async def backfill(self, symbols: list[str]) -> bool:
        """Keep what was asked for."""
        self.fetched.append(symbols)
        return True


def test_a_symbol_that_was_refused_is_told_of_when_it_is_accepted() -> None:
    """Before its first push can come, and once: what the session told at its start was not of its stream."""
    client, journal = client_of("HK.00005", "HK.00700", "HK.09988")
    client._resume(Cause.CONNECTION_LOST, 1000, 1000, ["HK.00005", "HK.00700", "HK.09988"])
    client.state.subscribed = ["HK.00005"]
    link: Any = Subscriptions(journal, "HK.00700", "HK.09988")
    subscriber = Subscriber(link, 1, client.state)
    fetches: Any = Fetches()
    for _ in range(3):
        asyncio.run(client._retry_unsubscribed([], subscriber, fetches))
    assert len(told(journal)) == 1
    assert client.state.refused.keys() == {"HK.00700", "HK.09988"}
    link.refused.remove("HK.00700")
    link.asked.clear()
    for _ in range(2):
        asyncio.run(client._retry_unsubscribed([], subscriber, fetches))
    assert told(journal)[1:] == [("not_subscribed", ["HK.00700"])]
    (event,) = [event for event in journal.events if event.get("cause") == "not_subscribed"]
    assert event["since_ms"] is None
    assert [(symbols, events) for is_pushed, symbols, events in link.asked if is_pushed] == [(["HK.00700"], 2)]
    assert client.state.subscribed == ["HK.00005", "HK.00700"]
    assert fetches.fetched == [["HK.00700"]]


# ---- a clock that is set


class SetClock:
    """The host's clock, which somebody sets, and a client that goes by it."""

    def __init__(self) -> None:
        self.shift_ms = 0
        self.clock = HostClock(lambda: wall_ms() + self.shift_ms)
        self.journal = Journal()
        known: Any = self.journal
        self.client = FutuClient(client_settings("HK.00700"), known, known, self.clock)


@pytest.mark.parametrize("step_ms", [6 * 3_600_000, -6 * 3_600_000])
def test_a_clock_that_is_set_is_told_before_anything_is_told_by_it(logged: KeptLog, step_ms: int) -> None:
    """OpenD's clock stays what it was, and what an outage began with is told as the new clock would have."""
    place = SetClock()
    client, state, journal = place.client, place.client.state, place.journal
    client.outages.resume()
    client.outages.fetched()
    began_ms = place.clock.now_ms()
    link: Any = Ended()
    client._link, link.last_heard_ms, link.is_paused, state.since_ms = link, began_ms, False, began_ms
    client.outages.went_away(Cause.EXCHANGE_LOST, began_ms)
    state.clock_offset_ms = 1000
    opend_ms = state.opend_ms()
    place.shift_ms = step_ms
    client._note("anything")
    assert [event["event"] for event in journal.events] == [CLOCK_STEPPED, "anything"]
    told = read_clock_stepped(json.dumps(journal.events[0]).encode())
    assert told is not None
    assert told.step_ms == pytest.approx(step_ms, abs=500)
    assert journal.times == pytest.approx([began_ms + step_ms] * 2, abs=2000)
    assert state.opend_ms() == pytest.approx(opend_ms, abs=2000)
    assert (link.last_heard_ms, state.since_ms) == (began_ms + told.step_ms, began_ms + told.step_ms)
    assert client.outage == Outage(Cause.EXCHANGE_LOST, began_ms + told.step_ms)
    assert logged.lines == [("clock_stepped", {"step_ms": told.step_ms, "repeated": 0})]
    place.shift_ms = 0
    client._note("anything else")
    assert [event["event"] for event in journal.events][2:] == [CLOCK_STEPPED, "anything else"]
    assert logged.events() == ["clock_stepped"], "a clock that is set again and again does not fill the log"


def test_a_clock_that_is_set_while_opend_is_asked_for_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """The difference is that of the clock as it is afterwards."""
    place = SetClock()

    def answer() -> bytes:
        place.shift_ms = -3_600_000
        return state_of(3)()

    watch(monkeypatch, place.client, Link(answer), 1)
    assert place.client.state.clock_offset_ms == pytest.approx(3_607_000, abs=1500)
    assert [event["event"] for event in place.journal.events[:2]] == [CLOCK_STEPPED, "opend_state"]


# ---- how often each symbol trades


class Counted:
    """What is stored: a count that grows by ten with each look."""

    def __init__(self) -> None:
        self.rows = 0
        self.looks = 0

    def rows_by_symbol(self) -> dict[str, int]:
        """As stored."""
        self.rows += 10
        self.looks += 1
        return {"HK.00700": self.rows}


def reading(client: FutuClient) -> Coroutine[Any, Any, None]:
    """Read it for ever, as the session does."""
    return read_rates(client.state, client._stored, 0.002, lambda: client.outage)


async def until(what: Callable[[], bool]) -> None:
    """Wait as long as it takes."""
    async with asyncio.timeout(30):
        while not what():  # noqa: ASYNC110 - as often as it reads
            await asyncio.sleep(0.001)


def test_rates_are_of_the_time_before_an_outage() -> None:
    """Not of the outage itself, nor of what is fetched after it and stored within the interval behind that."""
    stored = Counted()
    client, _ = client_of(stored=stored)
    rates = client.state.rates

    async def work() -> None:
        task = asyncio.create_task(reading(client))
        await asyncio.sleep(0.02)
        assert stored.looks == 0, "not all is fetched"
        client.outages.resume()
        client.outages.fetched()
        await until(lambda: bool(rates.by_symbol()))
        client.outages.went_away(Cause.EXCHANGE_LOST, 5)
        await asyncio.sleep(0.01)
        known, looks = dict(rates.by_symbol()), stored.looks
        await asyncio.sleep(0.02)
        assert (dict(rates.by_symbol()), stored.looks) == (known, looks), "the link lives, and what comes says nothing"
        client.outages.came_back(Outage(Cause.UNKNOWN, None))
        client.outages.resume()
        stored.rows += 1_000_000
        client.state.fetches += 1
        client.outages.fetched()
        await until(lambda: stored.looks >= looks + 3)
        # Ten in an interval of a millisecond at least; with the million that was fetched it would be far more.
        assert max(rates.by_symbol().values()) <= 20_000
        task.cancel()

    asyncio.run(work())


def test_each_day_has_rates_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a holiday nothing is at risk, whatever was traded on the day before."""
    stored = Counted()
    client, _ = client_of(stored=stored)
    client.outages.resume()
    client.outages.fetched()
    now_ms = OPEN_MS
    monkeypatch.setattr(client.state.clock, "now_ms", lambda: now_ms)

    async def work() -> None:
        nonlocal now_ms
        task = asyncio.create_task(reading(client))
        await until(lambda: bool(client.state.rates.by_symbol()))
        stored.rows_by_symbol = lambda: {"HK.00700": 10**6}  # type: ignore[method-assign]
        await asyncio.sleep(0.02)
        assert client.state.rates.by_symbol(), "a quiet time has its day's average"
        now_ms += 86_400_000
        await until(lambda: not client.state.rates.by_symbol())
        task.cancel()

    asyncio.run(work())


def test_an_outage_goes_on_until_all_is_fetched() -> None:
    """Also while nothing is read for want of disk, on a link that is up."""
    client, _ = client_of()
    client.outages.resume()
    assert client.outage == Outage(Cause.RECORDER_DOWN, None)
    client.outages.fetched()
    assert client.outage is None
    paused: Any = Ended()
    paused.is_paused = True
    client._link = paused
    assert client.outage == Outage(Cause.JOURNAL_FULL, 5000)
