"""The official SDK, as it is, against the simulator in a process of its own: it must find nothing amiss.

What the SDK can use is the published protocol; so a recorder that works with the simulator speaks it, too.
"""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Any

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from support.simulator_process import SimulatorProcess

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.witness
pytest.importorskip("futu")
witness = pytest.importorskip("support.witness")
futu = witness.futu

TENCENT, HSBC = "HK.00700", "HK.00005"
TIMEOUT_SEC = 20.0


class Heard(futu.TickerHandlerBase):
    """Collects the rows of all ticker pushes; its callback runs in a thread of the SDK."""

    def __init__(self) -> None:
        super().__init__()
        self.rows: list[dict[str, Any]] = []
        self.changed = threading.Condition()

    def on_recv_rsp(self, rsp_pb: object) -> tuple[int, Any]:
        """One push."""
        code, data = super().on_recv_rsp(rsp_pb)
        with self.changed:
            assert code == futu.RET_OK, data
            self.rows += data.to_dict("records")
            self.changed.notify_all()
        return code, data

    def wait_for(self, count: int) -> list[dict[str, Any]]:
        """The rows, once there are so many."""
        with self.changed:
            assert self.changed.wait_for(lambda: len(self.rows) >= count, TIMEOUT_SEC), len(self.rows)
            return list(self.rows)


@pytest.fixture(scope="module", params=["plain", "encrypted"])
def opened(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Any, Any]]:
    """A simulator whose ticks come only from commands, and an SDK context on it."""
    directory = tmp_path_factory.mktemp(request.param)
    key_path, options = None, []
    if request.param == "encrypted":
        key_path = directory / "key.pem"
        key = rsa.generate_private_key(65537, 1024)  # noqa: S505 - the protocol's size
        key_path.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption()))
        options = ["--rsa-key", str(key_path)]
    with (
        SimulatorProcess(directory, "--now", "--rate", "0.001", "--symbols", "10", *options) as sim,
        witness.quote_context(sim.port, rsa_key=str(key_path) if key_path else None) as context,
    ):
        yield sim, context


def _ok(answer: tuple[Any, ...]) -> Any:  # noqa: ANN401 - the SDK has no types
    """The data of an SDK answer; with its message where it is an error."""
    assert answer[0] == futu.RET_OK, answer[1]
    return answer[1]


def test_pushes_reach_a_handler(opened: tuple[SimulatorProcess, Any]) -> None:
    """After `subscribe`, the SDK's handler gets every tick, with the content that the ledger has."""
    sim, context = opened
    heard = Heard()
    context.set_handler(heard)
    _ok(context.subscribe([TENCENT], [futu.SubType.TICKER], is_first_push=False))
    known = set(sim.ledger().ticks)
    sim.command("burst", ticks=200, symbols=[TENCENT])
    rows = heard.wait_for(200)
    made = {key: content for key, content in sim.ledger().ticks.items() if key not in known}
    assert len(rows) == len(made) == 200
    for row in rows:
        content = made[row["code"], row["sequence"]]
        assert (row["price"], row["volume"], row["turnover"]) == (content.price, content.volume, content.turnover)
        assert row["push_data_type"] == "REALTIME"
        assert row["ticker_direction"] == {1: "BUY", 2: "SELL", 3: "NEUTRAL"}[content.direction]
        wall = time.strptime(row["time"], "%Y-%m-%d %H:%M:%S")
        assert (content.ts_ms // 1000 + 8 * 3600) % 86400 == wall.tm_hour * 3600 + wall.tm_min * 60 + wall.tm_sec


def test_get_rt_ticker(opened: tuple[SimulatorProcess, Any]) -> None:
    """The last ticks come as a table, oldest first, from the cache; without a subscription the call is refused."""
    sim, context = opened
    code, reason = context.get_rt_ticker("HK.00388", 10)
    assert code == futu.RET_ERROR
    assert "not subscribed" in reason
    _ok(context.subscribe([HSBC], [futu.SubType.TICKER], is_first_push=False, subscribe_push=False))
    sim.command("burst", ticks=30, symbols=[HSBC])
    table = _ok(context.get_rt_ticker(HSBC, 20))
    made = sorted(seq for symbol, seq in sim.ledger().ticks if symbol == HSBC)
    assert list(table["sequence"]) == made[-20:]
    assert set(table["code"]) == {HSBC}


def test_get_global_state(opened: tuple[SimulatorProcess, Any]) -> None:
    """The SDK reads the market's state, the login and the time."""
    _, context = opened
    state = _ok(context.get_global_state())
    assert state["market_hk"] == "MORNING"
    assert state["qot_logined"] is True
    assert state["program_status_type"] == "READY"
    assert abs(int(state["timestamp"]) - time.time()) < 5


def test_get_market_snapshot(opened: tuple[SimulatorProcess, Any]) -> None:
    """A snapshot's volume is that of the ticks made."""
    sim, context = opened
    sim.command("burst", ticks=10, symbols=[HSBC])
    table = _ok(context.get_market_snapshot([TENCENT, HSBC]))
    assert list(table["code"]) == [TENCENT, HSBC]
    made = sum(content.volume for (symbol, _), content in sim.ledger().ticks.items() if symbol == HSBC)
    assert table["volume"][1] == made


def test_get_stock_quote(opened: tuple[SimulatorProcess, Any]) -> None:
    """Quotes come for what is subscribed as QUOTE."""
    sim, context = opened
    sim.command("tick", symbol=TENCENT, price=400.0)
    _ok(context.subscribe([TENCENT], [futu.SubType.QUOTE], subscribe_push=False))
    table = _ok(context.get_stock_quote([TENCENT]))
    assert (table["code"][0], table["last_price"][0]) == (TENCENT, 400.0)


def test_request_trading_days(opened: tuple[SimulatorProcess, Any]) -> None:
    """Trade dates with their kind."""
    _, context = opened
    days = _ok(context.request_trading_days(futu.TradeDateMarket.HK, "2026-12-23", "2026-12-28"))
    assert [(day["time"], day["trade_date_type"]) for day in days] == [
        ("2026-12-23", "WHOLE"),
        ("2026-12-24", "MORNING"),
        ("2026-12-28", "WHOLE"),
    ]


def test_get_plate_stock_and_basic_info(opened: tuple[SimulatorProcess, Any]) -> None:
    """The members of a plate are stocks that the basic info knows."""
    _, context = opened
    members = list(_ok(context.get_plate_stock("HK.BK1004"))["code"])
    everything = _ok(context.get_stock_basicinfo(futu.Market.HK, futu.SecurityType.STOCK))
    assert len(members) == 10
    assert set(members) == set(everything["code"])
    assert set(everything["stock_type"]) == {"STOCK"}
    assert list(_ok(context.get_stock_basicinfo(futu.Market.HK, code_list=[HSBC]))["code"]) == [HSBC]


def test_query_subscription(opened: tuple[SimulatorProcess, Any]) -> None:
    """The quota, and what is subscribed."""
    _, context = opened
    _ok(context.subscribe([TENCENT], [futu.SubType.TICKER], is_first_push=False))
    told = _ok(context.query_subscription(is_all_conn=True))
    assert TENCENT in told["sub_list"]["TICKER"]
    assert told["total_used"] + told["remain"] == 1000
    assert told["own_used"] == told["total_used"]


def test_get_market_state(opened: tuple[SimulatorProcess, Any]) -> None:
    """The state of each code's market."""
    _, context = opened
    table = _ok(context.get_market_state([TENCENT, HSBC]))
    assert list(table["market_state"]) == ["MORNING", "MORNING"]


def test_unknown_codes_and_early_unsubscriptions_are_refused(opened: tuple[SimulatorProcess, Any]) -> None:
    """What OpenD refuses, the SDK tells with OpenD's words."""
    _, context = opened
    code, reason = context.subscribe([TENCENT, "HK.99999"], [futu.SubType.TICKER], is_first_push=False)
    assert (code, reason) == (futu.RET_ERROR, "Unknown stock HK.99999")
    _ok(context.subscribe(["HK.00941"], [futu.SubType.TICKER], is_first_push=False))
    code, reason = context.unsubscribe(["HK.00941"], [futu.SubType.TICKER])
    assert code == futu.RET_ERROR
    assert "60 s after subscribing" in reason


def test_it_is_told_of_an_outage(tmp_path_factory: pytest.TempPathFactory) -> None:
    """A lost exchange link reaches the SDK as a connection status, and the ticks made good as such."""
    notices: list[Any] = []
    told = threading.Event()

    class Notices(futu.SysNotifyHandlerBase):
        def on_recv_rsp(self, rsp_pb: object) -> tuple[int, Any]:
            code, data = super().on_recv_rsp(rsp_pb)
            notices.append(data)
            if len(notices) == 2:
                told.set()
            return code, data

    with (
        SimulatorProcess(tmp_path_factory.mktemp("outage"), "--now", "--rate", "0.001", "--symbols", "2") as sim,
        witness.quote_context(sim.port) as context,
    ):
        heard = Heard()
        context.set_handler(heard)
        context.set_handler(Notices())
        _ok(context.subscribe([TENCENT], [futu.SubType.TICKER], is_first_push=False))
        sim.command("outage", sec=0.5)
        sim.command("tick", symbol=TENCENT)
        assert told.wait(TIMEOUT_SEC)
        assert [kind for kind, *_ in notices] == ["CONN_STATUS", "CONN_STATUS"]
        assert [row["push_data_type"] for row in heard.wait_for(1)] == ["BYDISCONN"]
