"""One kind of OpenD's replies is broken in any way, and all others are right: what is pushed is stored."""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING

import pytest
from support.bodies import refusal
from support.odd_gateway import OddGateway
from support.recorder_process import until

from hk_tick_collector.opend.numbers import ProtoId
from hk_tick_collector.simulator.universe import universe
from hk_tick_collector.status.health import assess_health

if TYPE_CHECKING:
    from collections.abc import Callable

    from support.bench import Bench

    from hk_tick_collector.opend.frames import Frame

pytestmark = pytest.mark.faults

SYMBOLS = universe(5, 0)
# What is asked for while ticks are pushed; without any of it a session goes on.
ASKED = [
    ProtoId.GET_GLOBAL_STATE,
    ProtoId.KEEP_ALIVE,
    ProtoId.QOT_GET_SUB_INFO,
    ProtoId.QOT_GET_TICKER,
    ProtoId.QOT_GET_SECURITY_SNAPSHOT,
    ProtoId.QOT_REQUEST_TRADE_DATE,
]
# Without an answer to these there is no session.
NEEDED = [ProtoId.INIT_CONNECT, ProtoId.QOT_SUB]


def odd(random: Random) -> Callable[[bytes], bytes]:
    """Cut, spoiled, empty, doubled, or any bytes; now and then as it was."""

    def change(body: bytes) -> bytes:
        match random.randrange(7):
            case 0:
                return body[: random.randrange(len(body) + 1)]
            case 1:
                return random.randbytes(random.randrange(200))
            case 2:
                return b""
            case 3:
                return body + body
            case 4 | 5:
                spoiled = bytearray(body or b"\x00")
                for _ in range(1 + len(spoiled) // 20):
                    spoiled[random.randrange(len(spoiled))] = random.randrange(256)
                return bytes(spoiled)
        return body

    return change


@pytest.mark.parametrize("kind", ASKED, ids=lambda kind: kind.name)
def test_what_is_pushed_is_stored_whatever_a_kind_of_reply_says(bench: Bench, kind: ProtoId) -> None:
    """Live, and when all replies are right again; nothing that was pushed is missing, twice or changed."""
    sim = bench.simulate(rate=150)
    with OddGateway(sim.port) as gateway:
        gateway.changes[kind] = odd(Random(kind))
        recorder = bench.record(gateway.port, *SYMBOLS, FUTU_TOTALS_INTERVAL_SEC=0.2)
        recorder.wait_for("futu_subscribed")
        sim.wait_for(lambda stats: stats["made"] > 900)
        until(lambda: gateway.asked.get(kind, 0) > 0, "it was really odd")
        gateway.changes.clear()
        sim.wait_for(lambda stats: stats["made"] > 1200)
        bench.settle_whole(sim, recorder)


@pytest.mark.parametrize("how", [lambda _frame: refusal("too often"), lambda _frame: b"\xff"], ids=["no", "noise"])
def test_audits_and_totals_that_are_never_answered_are_told_until_they_are(
    bench: Bench, how: Callable[[Frame], bytes]
) -> None:
    """The session goes on; but a push that never came would not be found, and nothing proves the day."""
    sim = bench.simulate(rate=100)
    with OddGateway(sim.port) as gateway:
        for kind in (ProtoId.QOT_GET_TICKER, ProtoId.QOT_GET_SECURITY_SNAPSHOT):
            gateway.answers[kind] = how
        recorder = bench.record(gateway.port, *SYMBOLS, FUTU_TOTALS_INTERVAL_SEC=0.5)

        def reasons() -> str:
            return " ".join(assess_health(recorder.state()).reasons)

        until(lambda: "a push that never comes is not found" in reasons(), reasons)
        until(lambda: "nothing proves what is stored" in reasons(), reasons)
        gateway.answers.clear()
        until(lambda: "in a row" not in reasons(), reasons, 60)
        assert not recorder.log_lines("futu_disconnected")
        bench.settle_whole(sim, recorder)


@pytest.mark.parametrize("kind", NEEDED, ids=lambda kind: kind.name)
def test_a_session_that_can_not_begin_begins_as_soon_as_it_can(bench: Bench, kind: ProtoId) -> None:
    """Whatever bytes the answer is, nothing ends the recorder, and what OpenD still has is fetched then."""
    sim = bench.simulate(rate=50)
    with OddGateway(sim.port) as gateway:
        random = Random(kind)
        gateway.changes[kind] = lambda _body: b"\xff" + random.randbytes(random.randrange(200))
        recorder = bench.record(gateway.port, *SYMBOLS)
        recorder.wait_for("futu_disconnected", 3)
        assert gateway.asked[kind] >= 3
        gateway.changes.clear()
        recorder.wait_for("backfill_done")
        sim.wait_for(lambda stats: stats["made"] > 100)
        bench.settle_whole(sim, recorder)
