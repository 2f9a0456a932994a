"""An OpenD that says odd things: whatever it is, the ticks are recorded, and the recorder says what it was."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from support.bodies import refusal
from support.odd_gateway import OddGateway, false_header
from support.recorder_process import until

from hk_tick_collector.opend import opend_pb2 as pb
from hk_tick_collector.opend.numbers import GtwEvent, NotifyType, ProtoId, QotRight
from hk_tick_collector.opend.purpose import Purpose, purpose_of
from hk_tick_collector.simulator.universe import universe

if TYPE_CHECKING:
    from collections.abc import Iterator

    from support.bench import Bench
    from support.recorder_process import RecorderProcess
    from support.simulator_process import SimulatorProcess

    from hk_tick_collector.opend.frames import Frame

pytestmark = pytest.mark.faults

SYMBOLS = universe(5, 0)
GBK = "未知股票\x1b[2J".encode("gbk")


@pytest.fixture
def sim(bench: Bench) -> SimulatorProcess:
    """Behind the gateway."""
    return bench.simulate(rate=150)


@pytest.fixture
def gateway(sim: SimulatorProcess) -> Iterator[OddGateway]:
    """In front of the simulator."""
    with OddGateway(sim.port) as made:
        yield made


def odd_refusal(reason: bytes) -> bytes:
    """A refusal whose text is these bytes."""
    placeholder = b"R" * len(reason)
    return refusal(placeholder.decode()).replace(placeholder, reason)


def refuses(code: str, reason: bytes = b"Unknown stock") -> Any:  # noqa: ANN401 - a function of a frame
    """Refuses any list with a code."""
    return lambda frame: odd_refusal(reason) if code.encode() in frame.body else None


def test_a_code_refused_in_gbk_is_named_and_the_others_run(
    bench: Bench, sim: SimulatorProcess, gateway: OddGateway
) -> None:
    """No text of OpenD's ends the recorder, at any start, or makes its state unreadable."""
    bad = SYMBOLS[2]
    gateway.answers[ProtoId.QOT_SUB] = refuses(bad.removeprefix("HK."), GBK)
    recorder = bench.record(gateway.port, *SYMBOLS)
    (line,) = recorder.wait_for("symbol_refused")
    assert line.fields["symbol"] == bad
    assert "\x1b" not in line.fields["reason"]
    recorder.wait_for("futu_subscribed", symbols="4", refused="1")
    until(lambda: bad in recorder.state()["session"]["refused"], "its state names it")
    assert json.dumps(recorder.state()["session"]["refused"][bad]).isascii()
    sim.wait_for(lambda stats: stats["made"] > 300)
    gateway.answers.clear()
    recorder.wait_for("futu_subscribed", symbols="5", refused="0")
    bench.settle_whole(sim, recorder)


def with_totals(recorder: RecorderProcess) -> set[str]:
    """The symbols whose totals are stored."""
    return {symbol for (symbol,) in recorder.query("SELECT DISTINCT symbol FROM exchange_totals")}


def test_one_code_without_totals_costs_the_others_nothing(
    bench: Bench, sim: SimulatorProcess, gateway: OddGateway
) -> None:
    """The exchange's totals of the four others are in the day's database, and the fifth is named."""
    bad = SYMBOLS[1]
    gateway.answers[ProtoId.QOT_GET_SECURITY_SNAPSHOT] = refuses(bad.removeprefix("HK."))
    recorder = bench.record(gateway.port, *SYMBOLS, FUTU_TOTALS_INTERVAL_SEC=1)
    (line,) = recorder.wait_for("totals_refused")
    assert line.fields["symbol"] == bad
    until(lambda: recorder.state()["session"]["totals_refused"] == {bad: "Unknown stock"}, "its state names it")
    others = set(SYMBOLS) - {bad}
    until(lambda: with_totals(recorder) == others, lambda: f"the others have theirs: {with_totals(recorder)}")
    assert gateway.asked[ProtoId.QOT_GET_SECURITY_SNAPSHOT] <= 3, "found once, it is left out"
    bench.settle_whole(sim, recorder)
    assert len(recorder.log_lines("totals_refused")) == 1


def state_refused(_frame: Frame) -> bytes:
    """GetGlobalState is asked too often."""
    return odd_refusal(b"too frequent")


def test_a_state_that_is_refused_keeps_nothing_from_being_recorded(
    bench: Bench, sim: SimulatorProcess, gateway: OddGateway
) -> None:
    """GetGlobalState and the quota are for information: without them all is subscribed, fetched and stored."""
    gateway.answers[ProtoId.GET_GLOBAL_STATE] = state_refused
    gateway.answers[ProtoId.QOT_GET_SUB_INFO] = state_refused
    recorder = bench.record(gateway.port, *SYMBOLS)
    recorder.wait_for("opend_state_unknown")
    recorder.wait_for("subscription_quota_unknown")
    recorder.wait_for("backfill_done")
    sim.wait_for(lambda stats: stats["made"] > 300)
    bench.settle_whole(sim, recorder)
    assert gateway.asked[ProtoId.GET_GLOBAL_STATE] >= 1
    assert not recorder.log_lines("futu_disconnected")


@pytest.mark.parametrize("time_sec", [1_796_000_000_000, -(2**63)])
def test_an_absurd_clock_of_opends_is_no_clock(
    bench: Bench, sim: SimulatorProcess, gateway: OddGateway, time_sec: int
) -> None:
    """In milliseconds, or a sentinel: it is told, and nothing else depends on it."""

    def absurd(body: bytes) -> bytes:
        reply = pb.GetGlobalState.Response.FromString(body)
        reply.s2c.time = time_sec
        return reply.SerializeToString()

    gateway.changes[ProtoId.GET_GLOBAL_STATE] = absurd
    recorder = bench.record(gateway.port, *SYMBOLS)
    (line,) = recorder.wait_for("opend_clock_unreadable")
    assert line.fields["time"] == str(time_sec)
    recorder.wait_for("backfill_done")
    until(lambda: recorder.state()["session"]["connected"], "its state is told")
    assert recorder.state()["session"]["clock_offset_ms"] is None
    bench.settle_whole(sim, recorder)
    assert not recorder.log_lines("futu_disconnected")


def test_another_clients_unreadable_code_ends_no_session(
    bench: Bench, sim: SimulatorProcess, gateway: OddGateway
) -> None:
    """It stands in the subscriptions of OpenD, which all clients share."""

    def odd(body: bytes) -> bytes:
        reply = pb.Qot_GetSubInfo.Response.FromString(body)
        info = reply.s2c.connSubInfoList.add(usedQuota=1, isOwnConnData=False).subInfoList.add(subType=4)
        info.securityList.add(market=1, code="騰訊")
        return reply.SerializeToString()

    gateway.changes[ProtoId.QOT_GET_SUB_INFO] = odd
    recorder = bench.record(gateway.port, *SYMBOLS)
    recorder.wait_for("opend_codes_unreadable")
    recorder.wait_for("futu_subscribed", symbols="5", refused="0")
    sim.command("burst", ticks=50)
    bench.settle_whole(sim, recorder)
    assert not recorder.log_lines("futu_disconnected")


def test_a_calendar_of_another_age_is_refused(bench: Bench, sim: SimulatorProcess, gateway: OddGateway) -> None:
    """A trade date of 9999 is told, and neither the session nor the writer ends by it."""

    def absurd(body: bytes) -> bytes:
        reply = pb.Qot_RequestTradeDate.Response.FromString(body)
        reply.s2c.tradeDateList.add(time="9999-12-31", tradeDateType=0)
        return reply.SerializeToString()

    gateway.changes[ProtoId.QOT_REQUEST_TRADE_DATE] = absurd
    recorder = bench.record(gateway.port, *SYMBOLS)
    (line,) = recorder.wait_for("trade_dates_unavailable")
    assert "9999-12-31 lies outside of the years 2000 to 2099" in line.fields["error"]
    recorder.wait_for("backfill_done")
    sim.wait_for(lambda stats: stats["made"] > 300)
    bench.settle_whole(sim, recorder)
    for event in ("futu_disconnected", "writer_ended"):
        assert not recorder.log_lines(event)


def test_pushes_whose_milliseconds_follow_a_colon_are_stored(bench: Bench, gateway: OddGateway) -> None:
    """As the vendor documents times; nothing is put aside, and the milliseconds are there."""

    def with_colon(body: bytes) -> bytes:
        reply = pb.Qot_UpdateTicker.Response.FromString(body)
        for tick in reply.s2c.tickerList:
            tick.time = f"{tick.time[:19]}:250"
        return reply.SerializeToString()

    gateway.changes[ProtoId.QOT_UPDATE_TICKER] = with_colon
    recorder = bench.record(gateway.port, *SYMBOLS, FUTU_POLL_ENABLED="false")
    recorder.wait_for("backfill_done")
    until(
        lambda: len(recorder.query("SELECT 1 FROM ticks WHERE ts_ms % 1000 = 250 LIMIT 100")) == 100, "they are stored"
    )
    assert gateway.asked[ProtoId.QOT_UPDATE_TICKER] >= 100
    assert recorder.query("SELECT count(*) FROM bad_ticks") == [(0,)]


def quote_right(right: int) -> pb.Notify.S2C:
    """The quote right for Hong Kong is now that."""
    return pb.Notify.S2C(
        type=NotifyType.QOT_RIGHT, qotRight=pb.Notify.QotRight(hkQotRight=right, usQotRight=0, cnQotRight=0)
    )


def test_an_outage_goes_on_until_the_right_gives_pushes(
    bench: Bench, sim: SimulatorProcess, gateway: OddGateway
) -> None:
    """Kicked out, then a right of BMP: nothing is regained; with a real one everything is fetched again."""
    recorder = bench.record(gateway.port, *SYMBOLS)
    recorder.wait_for("backfill_done")
    kicked = pb.Notify.S2C(
        type=NotifyType.GTW_EVENT, event=pb.Notify.GtwEvent(eventType=GtwEvent.KICKED_OUT, desc="kicked")
    )
    assert gateway.notify(kicked) == gateway.notify(quote_right(QotRight.BMP)) == 1
    recorder.wait_for("opend_notice", text="kicked", kicked_out="True")
    recorder.wait_for("opend_notice", text="quote right for Hong Kong is now 1 (BMP)", regained="False")
    assert len(recorder.log_lines("backfill_done")) == 1
    gateway.notify(quote_right(QotRight.LEVEL2))
    recorder.wait_for("opend_notice", text="quote right for Hong Kong is now 3 (LEVEL2)", regained="True")
    recorder.wait_for("backfill_done", 2)
    bench.settle_whole(sim, recorder)


def test_a_false_header_costs_a_dead_links_time_and_no_more(
    bench: Bench, sim: SimulatorProcess, gateway: OddGateway
) -> None:
    """It claims 8 MB, and honest frames follow, which it swallows: whole frames count, not bytes."""
    recorder = bench.record(gateway.port, *SYMBOLS, FUTU_DEAD_LINK_SEC=11)
    recorder.wait_for("backfill_done")
    pushes = sim.stats()["pushes"]
    assert gateway.send(false_header()) == 1
    (line,) = recorder.wait_for("futu_disconnected")
    assert "dead link: no whole frame for 1" in line.fields["reason"]
    assert "bytes of an unfinished one" in line.fields["reason"]
    assert sim.stats()["pushes"] > pushes + 300, "honest frames followed"
    recorder.wait_for("backfill_done", 2)
    bench.settle_whole(sim, recorder)


def test_a_notice_that_claims_megabytes_is_refused_at_once(
    bench: Bench, sim: SimulatorProcess, gateway: OddGateway
) -> None:
    """What is never large may not claim to be."""
    recorder = bench.record(gateway.port, *SYMBOLS)
    recorder.wait_for("backfill_done")
    header = bytearray(false_header(100_000))
    header[2:6] = int(ProtoId.NOTIFY).to_bytes(4, "little")
    assert gateway.send(bytes(header)) == 1
    (line,) = recorder.wait_for("futu_disconnected")
    assert "frame of protoID 1003 claims a body of 100000 bytes, at most 65536 expected" in line.fields["reason"]
    recorder.wait_for("backfill_done", 2)
    bench.settle_whole(sim, recorder)


def test_a_link_that_flaps_is_not_answered_with_whole_memories(
    bench: Bench, sim: SimulatorProcess, gateway: OddGateway
) -> None:
    """What is fetched after each cut joins the fetch before it, with less than a tenth of what OpenD remembers."""
    asked: list[int] = []

    def count(frame: Frame) -> None:
        if purpose_of(frame.serial_no) is Purpose.BACKFILL:
            asked.append(pb.Qot_GetTicker.Request.FromString(frame.body).c2s.maxRetNum)

    gateway.answers[ProtoId.QOT_GET_TICKER] = count
    recorder = bench.record(gateway.port, *SYMBOLS)
    for cuts in range(4):
        recorder.wait_for("backfill_done", cuts + 1)
        audits = recorder.state()["session"]["poll_cycles"]
        until(lambda least=audits + 3: recorder.state()["session"]["poll_cycles"] >= least, "rates are known")
        if cuts < 3:
            assert sim.stats()["connections"] == 1
            gateway.cut()
    assert asked[:5] == [1000] * 5
    assert len(asked) >= 20
    assert sum(asked[5:]) < 15 * 300, asked
    bench.settle_whole(sim, recorder)
    assert len(recorder.log_lines("futu_connected")) == 4
