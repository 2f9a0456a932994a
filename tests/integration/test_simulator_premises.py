"""The simulator breaks each premise of a recorder's conclusions, over real TCP, and that it really does so."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Any, cast

import pytest
from support.raw_client import RawClient
from support.recorder_process import until
from support.simulator_process import SimulatorProcess
from support.trading_time import JumpingClock

from hk_tick_collector.errors import RefusedError
from hk_tick_collector.hktime import HK
from hk_tick_collector.opend import messages
from hk_tick_collector.opend import opend_pb2 as pb
from hk_tick_collector.opend.numbers import ProtoId

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from hk_tick_collector.simulator.ledger import Ledger

    StartSimulator = Callable[..., SimulatorProcess]
    Row = pb.Qot_GetSecuritySnapshot.SnapshotBasicData

TENCENT, HSBC = "HK.00700", "HK.00005"
# Ticks come only from commands, but for one in a thousand seconds.
QUIET = ("--now", "--rate", "0.001", "--symbols", "10", "--no-rate-limits")

SECURITY = pb.Security(market=1, code="00700")
BASIC = pb.Qot_Sub.C2S(securityList=[SECURITY], subTypeList=[1], isSubOrUnSub=True)


@pytest.fixture
def start(tmp_path: Path) -> Iterator[StartSimulator]:
    """Start simulators by their options; all are stopped afterwards."""
    started: list[SimulatorProcess] = []

    def start_one(*args: str) -> SimulatorProcess:
        sim = SimulatorProcess(tmp_path, *QUIET, *args, name=f"sim{len(started)}")
        started.append(sim)
        return sim.start()

    yield start_one
    for sim in started:
        sim.stop()


@pytest.fixture
def sim(start: StartSimulator) -> SimulatorProcess:
    """One whose ticks come from commands."""
    return start()


@pytest.fixture
def client(sim: SimulatorProcess) -> Iterator[RawClient]:
    """A connection to it that is subscribed to two symbols."""
    with RawClient(sim.port) as client:
        client.subscribe([TENCENT, HSBC])
        yield client


def rows(client: RawClient, *symbols: str) -> list[Row]:
    """The rows of one snapshot."""
    body = messages.get_security_snapshot(list(symbols))
    reply = cast("pb.Qot_GetSecuritySnapshot.Response", client.call(ProtoId.QOT_GET_SECURITY_SNAPSHOT, body))
    return [snapshot.basic for snapshot in reply.s2c.snapshotList]


def row(client: RawClient, symbol: str = TENCENT) -> Row:
    """One symbol's row."""
    return rows(client, symbol)[0]


def quoted_volume(client: RawClient) -> int:
    """What OpenD's cache says of the day's volume."""
    body = pb.Qot_GetBasicQot.Request(c2s=pb.Qot_GetBasicQot.C2S(securityList=[SECURITY])).SerializeToString()
    reply = cast("pb.Qot_GetBasicQot.Response", client.call(ProtoId.QOT_GET_BASIC_QOT, body))
    return reply.s2c.basicQotList[0].volume


def trade(sim: SimulatorProcess, symbol: str = TENCENT, **fields: object) -> int:
    """Make a trade, and give its sequence."""
    return int(sim.command("tick", symbol=symbol, **fields)["seq"])


def global_state(client: RawClient) -> messages.GlobalState:
    """What OpenD says of itself."""
    return messages.global_state(client.call(ProtoId.GET_GLOBAL_STATE, messages.get_global_state()).SerializeToString())


def lines(sim: SimulatorProcess, fault: str) -> list[dict[str, Any]]:
    """The ledger's lines of a fault."""
    return [line for line in sim.ledger().faults if line["fault"] == fault]


def counted(ledger: Ledger, symbol: str) -> int:
    """The volume that the exchange's totals have by the ledger."""
    return sum(
        ledger.counted.get((symbol, seq), (content.volume, 0.0))[0]
        for (of, seq), content in ledger.ticks.items()
        if of == symbol
    )


# ---- snapshots


@pytest.mark.parametrize("update_time", ["then", "now"])
def test_snapshots_can_come_late(sim: SimulatorProcess, client: RawClient, update_time: str) -> None:
    """Totals are of so many seconds ago, with their own update time, or hidden by that of now."""
    trade(sim, volume=700)
    answer = sim.command("snapshot_late", sec=1, for_sec=6, symbols=[TENCENT], update_time=update_time)
    assert answer["n"] == 1
    assert row(client).volume == 0
    until(lambda: row(client).volume == 700, "the totals of a second ago have the trade")
    first = row(client)
    trade(sim, volume=300)
    trade(sim, HSBC, volume=300)
    late, honest = rows(client, TENCENT, HSBC)
    assert (late.volume, late.turnover, honest.volume) == (700, first.turnover, 300)
    assert late.updateTime == {"then": first.updateTime, "now": honest.updateTime}[update_time]
    assert first.updateTime < honest.updateTime
    until(lambda: row(client).volume == 1000, "the second trade is in the totals too")
    sim.wait_for(lambda stats: not stats["faults"])
    (over,) = lines(sim, "snapshot_late_over")
    assert over["n"] >= 2


def test_a_share_of_the_rows_can_come_late(sim: SimulatorProcess, client: RawClient) -> None:
    """Some rows are late and some are not, at random."""
    trade(sim, volume=700)
    sim.command("snapshot_late", sec=60, for_sec=60, share=0.3)
    volumes = [one.volume for one in rows(client, *[TENCENT] * 400)]
    assert set(volumes) == {0, 700}
    assert 60 < volumes.count(0) < 180


def test_late_totals_of_a_day_before_are_those_of_that_day(start: StartSimulator) -> None:
    """A day of trades at 60 times its pace: a late row is one that was true, and its turnover goes with its volume."""
    sim = SimulatorProcess(
        start().ledger_path.parent, "--date", "20261120", "--start", "10:00", "--no-hold", "--speed", "60",
        "--symbols", "2", "--ticks-per-day", "200000", name="day",
    ).start()  # fmt: skip
    try:
        with RawClient(sim.port) as client:
            sim.wait_for(lambda stats: stats["sim_time"] > "2026-11-20 10:02")
            sim.command("pause")
            now, late = row(client), None
            sim.command("snapshot_late", sec=60, for_sec=60)
            late = row(client)
        ago_ms = sim.stats()["sim_ts_ms"] - 60_000
        ticks = [content for (symbol, _), content in sim.ledger().ticks.items() if symbol == TENCENT]
    finally:
        sim.stop()
    until_then = [tick for tick in ticks if tick.ts_ms <= late.updateTimestamp * 1000]
    assert 0 <= ago_ms - late.updateTimestamp * 1000 < 5000
    assert sum(tick.volume for tick in until_then[:-20]) < late.volume <= sum(tick.volume for tick in until_then)
    assert late.turnover < now.turnover


def test_snapshots_can_be_frozen(sim: SimulatorProcess, client: RawClient) -> None:
    """Totals and update times stay, while trades are made and pushed; then they are right again."""
    trade(sim, volume=700)
    before = row(client)
    assert sim.command("snapshot_frozen", sec=1.5)["n"] == 10
    assert (
        "snapshot_late can't be while snapshot_frozen is" in sim.try_command("snapshot_late", sec=1, for_sec=1)["error"]
    )
    trade(sim, volume=300)
    client.until(lambda: len(client.ticks) == 2)
    frozen = row(client)
    assert (frozen.volume, frozen.turnover, frozen.updateTime) == (700, before.turnover, before.updateTime)
    sim.wait_for(lambda stats: not stats["faults"])
    assert row(client).volume == 1000
    assert [line["n"] for line in lines(sim, "snapshot_frozen_over")] == [1]


@pytest.mark.parametrize(("how", "volume"), [({"volume": 0}, 0), ({"volume": 200}, 200), ({"by": 100}, 600)])
def test_single_rows_can_say_too_little(
    sim: SimulatorProcess, client: RawClient, how: dict[str, int], volume: int
) -> None:
    """The next row of a symbol says a volume that is too low, the turnover in proportion; the row after it is right."""
    for symbol in (TENCENT, HSBC):
        trade(sim, symbol, price=10.0, volume=700)
    armed = sim.command("snapshot_low", n=1, symbols=[TENCENT], wait=False, **how)
    assert armed == {"ok": True, "n": 0, "armed": 1}
    low, honest = rows(client, TENCENT, HSBC)
    assert (low.volume, low.turnover, honest.volume) == (volume, volume * 10.0, 700)
    assert low.updateTime
    assert row(client).volume == 700
    until(lambda: [line["n"] for line in lines(sim, "snapshot_low")] == [1], "it is in the ledger, once")


def test_a_low_row_that_does_not_come_about_is_refused(sim: SimulatorProcess, client: RawClient) -> None:
    """No row, a row that can't be lower, and a command that does not say how low."""
    assert "one of volume and by" in sim.try_command("snapshot_low")["error"]
    assert "one of volume and by" in sim.try_command("snapshot_low", volume=0, by=1)["error"]
    sim.command("snapshot_low", volume=0, wait=False, timeout_sec=0.3)
    assert "armed already" in sim.try_command("snapshot_low", volume=0)["error"]
    assert row(client).volume == 0
    until(lambda: "only 0 of 1 rows" in sim.try_command("snapshot_low", by=1, timeout_sec=0.1)["error"], "none came")
    trade(sim, volume=700)
    assert row(client).volume == 700
    assert lines(sim, "snapshot_low") == []


def test_snapshots_can_be_refused_for_one_code(sim: SimulatorProcess, client: RawClient) -> None:
    """One bad code refuses the whole call, though the symbol is subscribed; until the command names none."""
    assert "snapshot_refuse is not on" in sim.try_command("snapshot_refuse", symbols=[])["error"]
    assert sim.command("snapshot_refuse", symbols=[TENCENT])["n"] == 1
    with pytest.raises(RefusedError) as refused:
        rows(client, HSBC, TENCENT)
    assert refused.value.text == "Unknown stock HK.00700"
    assert row(client, HSBC).security.code == "00005"
    trade(sim)
    client.until(lambda: len(client.ticks) == 1)
    assert sim.command("snapshot_refuse", symbols=[])["n"] == 1
    assert row(client).security.code == "00700"
    assert [line["n"] for line in lines(sim, "snapshot_refuse_over")] == [1]


# ---- the exchange


def test_the_exchange_can_be_lost_without_a_word(sim: SimulatorProcess, client: RawClient) -> None:
    """No pushes, no new ticks, no notice, old totals, logged in all the while; what was traded is lost for good."""
    client.call(ProtoId.QOT_SUB, pb.Qot_Sub.Request(c2s=BASIC).SerializeToString())
    before = trade(sim, volume=700)
    client.until(lambda: len(client.ticks) == 1)
    old = row(client)
    assert sim.command("exchange_frozen", sec=1.5)["n"] == 10
    assert "outage can't be while exchange_frozen is" in sim.try_command("outage", sec=1)["error"]
    assert "does not hear the exchange" in sim.try_command("revise")["error"]
    missed = [trade(sim, volume=300) for _ in range(2)]
    assert [tick.seq for tick in client.get_ticker(TENCENT)] == [before]
    assert (row(client).volume, row(client).updateTime) == (700, old.updateTime)
    assert quoted_volume(client) == 700
    assert global_state(client).qot_logined
    sim.wait_for(lambda stats: not stats["faults"])
    after = trade(sim, volume=100)
    client.until(lambda: len(client.ticks) == 2)
    assert [tick.seq for tick in client.ticks] == [tick.seq for tick in client.get_ticker(TENCENT)] == [before, after]
    assert client.notices == []
    assert row(client).volume == quoted_volume(client) == 1400
    assert sim.ledger().unreachable == {(TENCENT, seq): "frozen" for seq in missed}
    assert [line["n"] for line in lines(sim, "exchange_frozen_over")] == [2]


@pytest.mark.parametrize("most", [0, 3])
def test_less_can_be_made_good(sim: SimulatorProcess, client: RawClient, most: int) -> None:
    """After an outage the last so many ticks come, or none; the others are unreachable."""
    assert "made good already" in sim.try_command("made_good", max=50)["error"]
    assert sim.command("made_good", max=most)["n"] == 10
    sim.command("outage", sec=0.5)
    missed = [trade(sim) for _ in range(5)]
    sim.wait_for(lambda stats: not stats["faults"])
    after = trade(sim)
    client.until(lambda: bool(client.ticks) and client.ticks[-1].seq == after)
    made_good = missed[5 - most :]
    assert (
        [tick.seq for tick in client.ticks] == [tick.seq for tick in client.get_ticker(TENCENT)] == [*made_good, after]
    )
    assert sim.ledger().unreachable == {(TENCENT, seq): "upstream" for seq in missed[: 5 - most]}
    assert [line["max"] for line in lines(sim, "made_good")] == [most]


def test_what_is_made_good_can_become_less_in_the_outage(sim: SimulatorProcess, client: RawClient) -> None:
    """What counts is the limit when the outage ends."""
    sim.command("outage", sec=0.5)
    missed = [trade(sim) for _ in range(5)]
    sim.command("made_good", max=1)
    client.until(lambda: len(client.ticks) == 1)
    assert client.ticks[0].seq == missed[-1]
    assert set(sim.ledger().unreachable) == {(TENCENT, seq) for seq in missed[:-1]}


# ---- GetTicker


def test_ticks_can_be_renumbered_with_each_request(sim: SimulatorProcess, client: RawClient) -> None:
    """A reply's ticks have the seconds of their sequences and count from 1; pushes go on as they were."""
    made = [trade(sim) for _ in range(5)]
    assert sim.command("renumber")["n"] == 10
    assert "renumber is on already" in sim.try_command("renumber", on=True)["error"]
    got = [tick.seq for tick in client.get_ticker(TENCENT, 3)]
    assert got == [seq >> 32 << 32 | n for n, seq in enumerate(made[-3:], 1)]
    assert got != made[-3:]
    made.append(trade(sim))
    client.until(lambda: len(client.ticks) == 6)
    assert [tick.seq for tick in client.ticks] == made
    assert sim.command("renumber", on=False)["n"] == 1
    assert [tick.seq for tick in client.get_ticker(TENCENT)] == made
    assert "renumber is not on" in sim.try_command("renumber", on=False)["error"]
    assert [line["n"] for line in lines(sim, "renumber_over")] == [1]


def test_replies_can_have_holes(sim: SimulatorProcess, client: RawClient) -> None:
    """So many ticks of each reply are missing, never the first or the last; other symbols' replies are whole."""
    made = [trade(sim) for _ in range(20)]
    others = [trade(sim, HSBC) for _ in range(20)]
    assert sim.command("window_holes", n=5, symbols=[TENCENT])["n"] == 1
    got = [tick.seq for tick in client.get_ticker(TENCENT)]
    assert len(got) == 15
    assert got == [seq for seq in made if seq in set(got)]
    assert (got[0], got[-1]) == (made[0], made[-1])
    assert [tick.seq for tick in client.get_ticker(TENCENT, 3)] == [made[-3], made[-1]]
    assert [tick.seq for tick in client.get_ticker(HSBC)] == others
    assert sim.command("window_holes", n=0)["n"] == 6
    assert [tick.seq for tick in client.get_ticker(TENCENT)] == made
    assert "window_holes is not on" in sim.try_command("window_holes", n=0)["error"]
    assert [line["n"] for line in lines(sim, "window_holes_over")] == [6]


# ---- trades that are changed


@pytest.mark.parametrize("factor", [0, 3])
@pytest.mark.parametrize("follow", ["first", "last"])
def test_a_revision_can_change_the_totals(sim: SimulatorProcess, client: RawClient, factor: int, follow: str) -> None:
    """A trade comes again with so many times its volume; the exchange counts what was first, or what came last."""
    trade(sim, HSBC, volume=500)
    seq = trade(sim, price=10.0, volume=100)
    same = sim.try_command("revise", volume_factor=1)
    assert "only 0 recent ones" in same["error"]
    assert sim.command("revise", volume_factor=factor, counted=follow, symbols=[TENCENT])["n"] == 1
    client.until(lambda: len(client.ticks) == 3)
    revised = client.ticks[-1]
    assert (revised.seq, revised.price, revised.volume) == (seq, 10.0, 100 * factor)
    assert revised.turnover == 1000.0 * factor
    expected = 100 * factor if follow == "last" else 100
    assert (row(client).volume, row(client).turnover) == (expected, expected * 10.0)
    ledger = sim.ledger()
    assert counted(ledger, TENCENT) == expected
    assert ledger.counted == ({(TENCENT, seq): (expected, expected * 10.0)} if follow == "last" else {})
    assert [(line.seq, line.price, line.volume, line.turnover) for line in ledger.revisions] == [
        (seq, 10.0, revised.volume, revised.turnover)
    ]


def test_a_trade_that_is_revised_twice_is_counted_once(sim: SimulatorProcess, client: RawClient) -> None:
    """The totals follow from what they counted before, not from what was made."""
    trade(sim, volume=100)
    for factor in (3, 2, 0):
        sim.command("revise", volume_factor=factor, counted="last")
        assert row(client).volume == 100 * factor == counted(sim.ledger(), TENCENT)


def test_what_the_totals_leave_out_can_not_be_taken_out_of_them(start: StartSimulator) -> None:
    """A trade of a type that does not count can be revised, but the totals can't follow."""
    sim = start("--totals-without", "ODD_LOT")
    with RawClient(sim.port) as client:
        client.subscribe([TENCENT])
        trade(sim, volume=60, type="ODD_LOT")
        client.until(lambda: len(client.ticks) == 1)
        assert "only 0 recent ones" in sim.try_command("revise", counted="last")["error"]
        assert "only 0 recent ones" in sim.try_command("cancel")["error"]
        sim.command("revise")
        assert row(client).volume == 0


@pytest.mark.parametrize("told", [True, False])
def test_trades_can_be_cancelled(sim: SimulatorProcess, client: RawClient, *, told: bool) -> None:
    """They leave the totals; if told, they come again with a volume of 0; none is cancelled twice."""
    made = [trade(sim, price=10.0, volume=100) for _ in range(5)]
    assert sim.command("cancel", n=3, told=told)["n"] == 3
    assert (row(client).volume, row(client).turnover) == (200, 2000.0)
    assert "only 2 recent ones" in sim.try_command("cancel", n=3, told=told)["error"]
    last = trade(sim)
    client.until(lambda: bool(client.ticks) and client.ticks[-1].seq == last)
    ledger = sim.ledger()
    again = client.ticks[5:-1]
    assert [(tick.volume, tick.turnover) for tick in again] == [(0, 0.0)] * (3 if told else 0)
    assert {tick.seq for tick in again} == ({seq for _, seq in ledger.counted} if told else set())
    assert len(ledger.revisions) == len(again)
    assert set(ledger.counted.values()) == {(0, 0.0)}
    assert {seq for _, seq in ledger.counted} < set(made)
    assert counted(ledger, TENCENT) == row(client).volume
    assert [line["told"] for line in lines(sim, "cancel")] == [told]


def test_a_trade_that_nobody_heard_of_can_be_cancelled_without_a_word(sim: SimulatorProcess) -> None:
    """Only one that is told needs somebody who knows it."""
    trade(sim, volume=100)
    assert "only 0 recent ones" in sim.try_command("cancel")["error"]
    sim.command("cancel", told=False)
    with RawClient(sim.port) as client:
        assert row(client).volume == 0


def test_a_trade_of_yesterday_leaves_the_totals_of_today_alone(tmp_path: Path) -> None:
    """It is still in OpenD's cache, and can be sent again, but it can't be taken out of totals that have begun anew."""
    clock = JumpingClock(tmp_path, "2026-12-24 11:59:00")
    with SimulatorProcess(tmp_path, *QUIET, env=clock.env) as sim, RawClient(sim.port) as client:
        client.subscribe([TENCENT])
        trade(sim)
        client.until(lambda: len(client.ticks) == 1)
        sim.command("pause")  # or the half day is made up for
        clock.jump_to("2026-12-25 00:40:00")
        until(lambda: row(client).volume == 0, "the day has no volume yet")
        assert "only 0 recent ones" in sim.try_command("cancel", told=False)["error"]
        assert "only 0 recent ones" in sim.try_command("revise", counted="last")["error"]
        assert sim.command("revise")["n"] == 1
        assert row(client).volume == 0


# ---- the clock, the calendar, the state


@pytest.mark.parametrize(("offset_sec", "unit", "factor"), [(28_800, "s", 1), (-60, "s", 1), (0, "ms", 1000)])
def test_opends_clock_can_be_wrong(
    sim: SimulatorProcess, client: RawClient, offset_sec: int, unit: str, factor: int
) -> None:
    """GetGlobalState's time is off, or in milliseconds; the market's state and the ticks' times are as they were."""
    assert "opend_clock is not on" in sim.try_command("opend_clock")["error"]
    honest = global_state(client)
    assert sim.command("opend_clock", offset_sec=offset_sec, unit=unit)["n"] == 1
    wrong = global_state(client)
    assert 0 <= wrong.time_sec / factor - offset_sec - honest.time_sec < 20
    assert wrong.market_hk == honest.market_hk
    assert sim.command("opend_clock", offset_sec=0)["n"] == 1
    assert 0 <= global_state(client).time_sec - honest.time_sec < 20
    assert [line["n"] for line in lines(sim, "opend_clock_over")] == [1]


def test_the_calendar_can_be_wrong(sim: SimulatorProcess, client: RawClient) -> None:
    """A date is said to be none of trading, of another kind, or of trading where there is none, until it is right."""

    def dates() -> dict[str, int]:
        body = messages.request_trade_date(dt.date(2026, 11, 19), dt.date(2026, 11, 23))
        reply = cast("pb.Qot_RequestTradeDate.Response", client.call(ProtoId.QOT_REQUEST_TRADE_DATE, body))
        assert all(
            date.timestamp == dt.datetime.fromisoformat(date.time).replace(tzinfo=HK).timestamp()
            for date in reply.s2c.tradeDateList
        )
        return {date.time: date.tradeDateType for date in reply.s2c.tradeDateList}

    right = {"2026-11-19": 0, "2026-11-20": 0, "2026-11-23": 0}
    assert dates() == right
    assert "said to be whole already" in sim.try_command("calendar", date="2026-11-20", kind="whole")["error"]
    assert "expected YYYY-MM-DD" in sim.try_command("calendar", date="today", kind="whole")["error"]
    for date, kind in (("23", "afternoon"), ("21", "whole"), ("20", "morning"), ("19", "none")):
        assert sim.command("calendar", date=f"2026-11-{date}", kind=kind)["n"] == 1
    assert list(dates().items()) == [("2026-11-20", 1), ("2026-11-21", 0), ("2026-11-23", 2)]
    for date, kind in (("19", "whole"), ("20", "whole"), ("21", "none"), ("23", "whole")):
        sim.command("calendar", date=f"2026-11-{date}", kind=kind)
    assert dates() == right
    assert len(lines(sim, "calendar")) == len(lines(sim, "calendar_over")) == 4


def test_the_market_state_can_be_wrong(sim: SimulatorProcess, client: RawClient) -> None:
    """Both calls say the state of the command, though trades go on, until it is null."""

    def states() -> tuple[int, int]:
        c2s = pb.Qot_GetMarketState.C2S(securityList=[SECURITY])
        body = pb.Qot_GetMarketState.Request(c2s=c2s).SerializeToString()
        reply = cast("pb.Qot_GetMarketState.Response", client.call(ProtoId.QOT_GET_MARKET_STATE, body))
        return global_state(client).market_hk, reply.s2c.marketInfoList[0].marketState

    assert "market_state is not on" in sim.try_command("market_state", state=None)["error"]
    assert states() == (3, 3)
    assert sim.command("market_state", state=37)["n"] == 1
    assert states() == (37, 37)
    trade(sim)
    client.until(lambda: len(client.ticks) == 1)
    assert sim.command("market_state", state=None)["n"] == 2
    assert states() == (3, 3)
    assert [line["n"] for line in lines(sim, "market_state_over")] == [2]


# ---- options


@pytest.mark.parametrize(("form", "before_ms"), [("fraction", "."), ("colon", ":")])
def test_ticks_times_can_have_milliseconds(start: StartSimulator, form: str, before_ms: str) -> None:
    """Written with a point or a colon before them; they rise, and timestamp, snapshot and ledger have them too."""
    sim = start("--time-form", form)
    sim.command("burst", ticks=200, symbols=[TENCENT])
    with RawClient(sim.port) as client:
        client.subscribe([TENCENT])
        body = messages.get_ticker(TENCENT, 1000)
        reply = cast("pb.Qot_GetTicker.Response", client.call(ProtoId.QOT_GET_TICKER, body))
        updated_ms = round(row(client).updateTimestamp * 1000)
    made = sim.ledger().ticks
    times = []
    for ticker in reply.s2c.tickerList:
        ts_ms = round(ticker.timestamp * 1000)
        text = dt.datetime.fromtimestamp(ts_ms // 1000, HK).strftime("%Y-%m-%d %H:%M:%S")
        assert ticker.time == f"{text}{before_ms}{ts_ms % 1000:03}"
        assert made[TENCENT, ticker.sequence].ts_ms == ts_ms
        assert ticker.sequence >> 32 == ts_ms // 1000
        times.append(ts_ms)
    assert times == sorted(times)
    assert len({ts_ms % 1000 for ts_ms in times}) > 50
    assert updated_ms == times[-1]


@pytest.mark.parametrize(("how", "text"), [("empty", ""), ("impossible", "0000-00-00 00:00:00")])
def test_what_never_traded_can_have_a_senseless_update_time(start: StartSimulator, how: str, text: str) -> None:
    """None, or one that is no time; with the first trade it is one."""
    sim = start("--update-time-of-untraded", how)
    with RawClient(sim.port) as client:
        never = row(client)
        assert (never.updateTime, never.updateTimestamp, never.volume) == (text, 0.0, 0)
        trade(sim)
        assert row(client).updateTimestamp > 0
        assert row(client).updateTime.startswith("20")
