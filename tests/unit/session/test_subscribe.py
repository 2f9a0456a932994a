"""Plates and subscriptions on a link of our own: whatever OpenD says to one plate, the others are recorded."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

import pytest
from support.bodies import refusal
from support.kept_log import KeptLog, keep_log
from support.settings import client_settings

from hk_tick_collector.errors import ConfigError, SessionError, UnansweredError
from hk_tick_collector.futu_client import FutuClient
from hk_tick_collector.opend import opend_pb2 as pb
from hk_tick_collector.opend.numbers import ProtoId
from hk_tick_collector.session import subscribe as subscribe_module
from hk_tick_collector.session.state import ClientState
from hk_tick_collector.session.subscribe import NO_SYMBOL_SEC_MAX, Subscriber

if TYPE_CHECKING:
    from collections.abc import Callable

PLATE, OTHER = "HK.BK1001", "HK.BK1002"


def members(*securities: tuple[int, str]) -> bytes:
    """GetPlateSecurity's reply."""
    infos = [
        pb.SecurityStaticInfo(
            basic=pb.SecurityStaticBasic(
                security=pb.Security(market=market, code=code), id=1, lotSize=100, secType=3, name="", listTime=""
            )
        )
        for market, code in securities
    ]
    s2c = pb.Qot_GetPlateSecurity.S2C(staticInfoList=infos)
    return pb.Qot_GetPlateSecurity.Response(retType=0, s2c=s2c).SerializeToString()


def unanswered() -> bytes:
    """No answer in time, on a link that lives."""
    raise UnansweredError("QOT_GET_PLATE_SECURITY: no answer within 15 s")


def lost() -> bytes:
    """The link is over."""
    raise SessionError("connection closed by OpenD")


class Link:
    """Answers GetPlateSecurity for each plate as it is told."""

    def __init__(self, **answers: Callable[[], bytes]) -> None:
        self.answers = answers
        self.asked: list[str] = []

    async def call(self, _proto_id: int, request: bytes, _timeout_sec: float) -> bytes:
        """One answer."""
        code = pb.Qot_GetPlateSecurity.Request.FromString(request).c2s.plate.code
        self.asked.append(code)
        return self.answers[code]()


@pytest.fixture
def logged(monkeypatch: pytest.MonkeyPatch) -> KeptLog:
    """The lines that are logged."""
    return keep_log(subscribe_module, monkeypatch)


def subscriber_of(link: Link, state: ClientState | None = None) -> Subscriber:
    """One on that link."""
    made: Any = link
    return Subscriber(made, 15, state or ClientState())


FAILURES = [
    pytest.param(lambda: refusal("Unknown plate"), "Unknown plate", id="refused"),
    pytest.param(unanswered, "QOT_GET_PLATE_SECURITY: no answer within 15 s", id="unanswered"),
    pytest.param(lambda: b"\xff\xff", "QOT_GET_PLATE_SECURITY body of 2 bytes is no valid message", id="unreadable"),
    pytest.param(
        lambda: pb.Reply(retType=0).SerializeToString(), "QOT_GET_PLATE_SECURITY body of 2 bytes lacks s2c", id="empty"
    ),
]


@pytest.mark.parametrize(("answer", "reason"), FAILURES)
def test_a_plate_that_fails_is_named_once_until_it_is_known(
    logged: KeptLog, answer: Callable[[], bytes], reason: str
) -> None:
    """It has no members for now, the state and one line say why, and once it answers it is no longer named."""
    state = ClientState()
    link = Link(BK1001=answer)
    subscriber = subscriber_of(link, state)
    for _ in range(3):
        assert asyncio.run(subscriber.members(PLATE)) == []
    assert state.refused == {f"plate:{PLATE}": reason}
    assert logged.lines == [("plate_refused", {"plate": PLATE, "reason": reason})]
    link.answers["BK1001"] = lambda: members((1, "00700"))
    assert asyncio.run(subscriber.members(PLATE)) == ["HK.00700"]
    assert state.refused == {}


def test_members_of_an_unknown_market_are_left_out() -> None:
    """OpenD may put what we have no name for into a plate; the others are recorded, in its order."""
    link = Link(BK1001=lambda: members((1, "00700"), (99, "X"), (1, ""), (21, "600519"), (1, "00005")))
    assert asyncio.run(subscriber_of(link).members(PLATE)) == ["HK.00700", "SH.600519", "HK.00005"]


def test_a_link_that_ends_is_the_sessions_matter() -> None:
    """It is no fault of the plate."""
    with pytest.raises(SessionError, match="closed by OpenD"):
        asyncio.run(subscriber_of(Link(BK1001=lost)).members(PLATE))


# ---- the session's symbols


class Clock:
    """Time as a test says."""

    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        """Seconds."""
        return self.now

    time = monotonic


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """The client's."""
    made = Clock()
    monkeypatch.setattr(subscribe_module, "time", made)
    return made


def client_of(*plates: str, symbols: tuple[str, ...] = (), logined: bool = True) -> FutuClient:
    """A client that is not connected."""
    nothing: Any = None
    client = FutuClient(client_settings(*symbols, plates=plates), nothing, nothing)
    client.state.qot_logined = logined
    return client


def resolve(client: FutuClient, link: Link) -> list[str]:
    """What it would subscribe."""
    return asyncio.run(client._wanted.resolve(subscriber_of(link, client.state)))


@pytest.mark.parametrize(("answer", "reason"), FAILURES)
def test_one_plate_that_fails_does_not_cost_the_others(clock: Clock, answer: Callable[[], bytes], reason: str) -> None:
    """The symbols, the other plates, and later the plate itself; one that has answered is not asked again that day."""
    link = Link(BK1001=answer, BK1002=lambda: members((1, "00005")))
    client = client_of(PLATE, OTHER, symbols=("HK.00700",))
    assert resolve(client, link) == ["HK.00700", "HK.00005"]
    assert client.state.refused == {f"plate:{PLATE}": reason}
    link.answers["BK1001"] = lambda: members((1, "09988"))
    assert resolve(client, link) == ["HK.00700", "HK.09988", "HK.00005"]
    clock.now += 3600
    link.asked.clear()
    assert resolve(client, link) == ["HK.00700", "HK.09988", "HK.00005"]
    assert link.asked == []
    clock.now += 86_400


def test_no_symbol_at_all_is_the_operators_fault_only_after_a_time(clock: Clock) -> None:
    """OpenD's limit of plate calls ends in 30 s, so it is asked again first; then there is really nothing to record."""
    link = Link(BK1001=lambda: refusal("Unknown plate"))
    client = client_of(PLATE)
    with pytest.raises(SessionError, match=r"does not tell the members of HK\.BK1001"):
        resolve(client, link)
    clock.now += NO_SYMBOL_SEC_MAX - 1
    with pytest.raises(SessionError):
        resolve(client, link)
    clock.now += 1
    with pytest.raises(ConfigError, match=r"FUTU_SYMBOLS names no symbol: OpenD knows no member of HK\.BK1001"):
        resolve(client, link)


def test_an_answer_in_between_begins_the_time_anew(clock: Clock) -> None:
    """A plate that had members is no plate without any, whatever OpenD says on another day."""
    link = Link(BK1001=lambda: refusal("busy"))
    client = client_of(PLATE)
    with pytest.raises(SessionError):
        resolve(client, link)
    link.answers["BK1001"] = lambda: members((1, "00700"))
    clock.now += NO_SYMBOL_SEC_MAX - 1
    assert resolve(client, link) == ["HK.00700"]
    client._wanted._members.clear()
    link.answers["BK1001"] = lambda: refusal("busy")
    clock.now += 10
    with pytest.raises(SessionError):
        resolve(client, link)


def test_an_opend_that_was_away_is_given_the_time_again(clock: Clock) -> None:
    """One that is just starting refuses plates: what it refused before it was away does not count."""
    link = Link(BK1001=lambda: refusal("not ready"))
    client = client_of(PLATE)
    with pytest.raises(SessionError):
        resolve(client, link)
    clock.now += 10 * NO_SYMBOL_SEC_MAX
    client._end_session("127.0.0.1:1: Connection refused")
    with pytest.raises(SessionError):
        resolve(client, link)


def test_an_opend_that_is_not_logged_in_knows_no_plate(clock: Clock) -> None:
    """However long: it is OpenD's state and not the operator's list."""
    client = client_of(PLATE, logined=False)
    for _ in range(3):
        with pytest.raises(SessionError, match="does not tell the members"):
            resolve(client, Link(BK1001=lambda: refusal("not logged in")))
        clock.now += 10 * NO_SYMBOL_SEC_MAX


def test_what_left_its_plate_is_forgotten() -> None:
    """A symbol that nobody asks for any more is neither refused nor left out; one that is asked for stays so."""
    state = ClientState()
    state.left_out = ["HK.00001", "HK.00002"]
    state.refused = {"HK.00003": "why", "HK.00004": "why", "plate:HK.BK1": "why"}
    subscriber_of(Link(), state).forget_all_but(["HK.00002", "HK.00003"])
    assert state.left_out == ["HK.00002"]
    assert state.refused == {"HK.00003": "why", "plate:HK.BK1": "why"}


# ---- what OpenD says of itself and of others


class Quotas:
    """Answers GetSubInfo as it is told, and accepts every subscription but those that it is to refuse."""

    def __init__(self, answer: Callable[[], bytes], *refused: str, reason: bytes = b"Unknown stock") -> None:
        self.answer = answer
        self._refused = set(refused)
        self._reason = reason

    async def call(self, proto_id: int, request: bytes, _timeout_sec: float) -> bytes:
        """One answer."""
        if proto_id == ProtoId.QOT_GET_SUB_INFO:
            return self.answer()
        asked = {s.code for s in pb.Qot_Sub.Request.FromString(request).c2s.securityList}
        if asked & self._refused:
            return refusal("R" * len(self._reason)).replace(b"R" * len(self._reason), self._reason)
        return pb.Reply(retType=0).SerializeToString()


def sub_info(*codes: str) -> bytes:
    """Some other client has subscribed these; nine are left."""
    info = pb.SubInfo(subType=4, securityList=[pb.Security(market=1, code=code) for code in codes])
    held = [pb.ConnSubInfo(subInfoList=[info], usedQuota=len(codes), isOwnConnData=False)]
    s2c = pb.Qot_GetSubInfo.S2C(connSubInfoList=held, totalUsedQuota=len(codes), remainQuota=9)
    return pb.Qot_GetSubInfo.Response(retType=0, s2c=s2c).SerializeToString()


def test_another_clients_code_that_can_not_be_read_harms_nobody(logged: KeptLog) -> None:
    """It is said once on a connection, and all else of the list counts."""
    link: Any = Quotas(lambda: sub_info("騰訊", "\x1b[2J", "00005"))
    state = ClientState()
    subscriber = Subscriber(link, 15, state)
    for _ in range(3):
        assert asyncio.run(subscriber.subscribe(["HK.00700", "HK.00005"])) == ["HK.00700", "HK.00005"]
    assert logged.lines[0] == ("opend_codes_unreadable", {"where": "subscriptions", "codes": 2})
    assert logged.events() == ["opend_codes_unreadable", "futu_subscribed"]
    assert state.left_out == []


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (lambda: refusal("too frequent"), "QOT_GET_SUB_INFO refused by OpenD: too frequent (retType -1)"),
        (unanswered, "QOT_GET_PLATE_SECURITY: no answer within 15 s"),
        (lambda: b"\xff\xff", "QOT_GET_SUB_INFO body of 2 bytes is no valid message"),
    ],
)
def test_a_quota_that_is_not_told_keeps_nothing_from_being_recorded(
    logged: KeptLog, answer: Callable[[], bytes], reason: str
) -> None:
    """All are subscribed, and what OpenD refuses is named one by one; said once while it is the same."""
    link: Any = Quotas(answer, "00005")
    state = ClientState()
    state.left_out = ["HK.00005"]
    subscriber = Subscriber(link, 15, state)
    for _ in range(2):
        assert asyncio.run(subscriber.subscribe(["HK.00700", "HK.00005"])) == ["HK.00700"]
    unknown = [str(fields["error"]) for event, fields in logged.lines if event == "subscription_quota_unknown"]
    assert unknown == [reason]
    assert state.refused == {"HK.00005": "Unknown stock"}
    assert state.left_out == []


def test_a_refusal_in_gbk_names_its_code(logged: KeptLog) -> None:
    """In plain text that can be stored as JSON, as the state is."""
    link: Any = Quotas(sub_info, "00005", reason="未知股票\x1b[2J".encode("gbk"))
    state = ClientState()
    assert asyncio.run(Subscriber(link, 15, state).subscribe(["HK.00700", "HK.00005"])) == ["HK.00700"]
    reason = json.loads(json.dumps(state.refused))["HK.00005"]
    assert reason.isprintable()
    assert reason.endswith("[2J")
    assert ("symbol_refused", {"symbol": "HK.00005", "reason": reason}) in logged.lines


def test_a_plates_member_that_can_not_be_read_is_counted(logged: KeptLog) -> None:
    """The others are recorded."""
    link = Link(BK1001=lambda: members((1, "00700"), (1, "騰訊")))
    subscriber = subscriber_of(link)
    for _ in range(2):
        assert asyncio.run(subscriber.members(PLATE)) == ["HK.00700"]
    unreadable = [fields for event, fields in logged.lines if event == "opend_codes_unreadable"]
    assert unreadable == [{"where": f"plate:{PLATE}", "codes": 1}]
