"""One journal, one outcome: in however many pieces it is stored, by however many writers, again and again."""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING

import pytest
from support.scenario import ALIBABA, MEITUAN, SEC
from support.ticks import HSBC, NEXT_DAY, OPEN_MS, TENCENT, push, reply, ticker

from hk_tick_collector.journal.cursor import CURSOR
from hk_tick_collector.journal.events import Cause
from hk_tick_collector.journal.segments import DIRECTORY
from hk_tick_collector.ledger.judge import PAST_SNAPSHOTS
from hk_tick_collector.opend import opend_pb2 as pb
from hk_tick_collector.opend.purpose import Purpose

if TYPE_CHECKING:
    from support.scenario import Scenario

SYMBOLS = (TENCENT, HSBC, ALIBABA, MEITUAN)
CUTS = ((1, 0), (1, 1), (7, 3), (60, 1))


def outcome(scenario: Scenario) -> dict[str, list[tuple[object, ...]]]:
    """All that was concluded, and the ticks but for when they were inserted."""
    ticks = {
        name: sorted(row[:11] for row in scenario.query(f"SELECT * FROM {name}"))  # noqa: S608
        for name in ("ticks", "tick_revisions")
    }
    return {**{name: sorted(rows, key=repr) for name, rows in scenario.dump().items()}, **ticks}


def differing(scenario: Scenario) -> dict[object, list[str]]:
    """By how the journal was cut, the tables that are not as if it was stored at once."""
    scenario.write()
    whole = outcome(scenario)
    found: dict[object, list[str]] = {}
    for cut in CUTS:
        scenario.begin_again()
        scenario.write_in_steps(*cut)
        names = [name for name, rows in outcome(scenario).items() if rows != whole[name]]
        if names:
            found[cut] = names
    return found


def changed(tick: pb.Ticker, **fields: int) -> pb.Ticker:
    """The same tick with other fields."""
    made = pb.Ticker()
    made.CopyFrom(tick)
    for name, value in fields.items():
        setattr(made, name, value)
    return made


def trade(scenario: Scenario, random: Random, symbol: str, known: list[pb.Ticker]) -> None:
    """Some trades, of which now and then one is lost."""
    come = []
    for _ in range(random.randrange(1, 6)):
        known.append(scenario.made(symbol, random.choice([100, 500]), pushDataType=random.choice([1] * 9 + [2])))
        if random.random() > 0.03:
            come.append(known[-1])
    scenario.hear(*(push(symbol, tick) for tick in come))


def happen(scenario: Scenario, random: Random, what: float) -> None:
    """An outage, or something of a clock."""
    if what < 0.8:
        since_ms = random.choice([None, scenario.now_ms - 20 * SEC])
        scenario.resume(random.choice(list(Cause)), since_ms, *random.sample(SYMBOLS, random.randrange(1, 5)))
    elif what < 0.83:
        scenario.opend_state(random.choice([0, 100, 600 * SEC, None]), random.choice([3, 6, None]))
    else:
        scenario.step_clock(random.choice([-100, 50, 200]) * SEC)


def live_through(scenario: Scenario, random: Random) -> None:
    """An eventful morning: losses, outages, polls, clocks that are set, replies under other sequences, revisions."""
    scenario.at("09:40:00")
    scenario.record_only(*SYMBOLS[: random.choice([1, 2, 4])])
    scenario.resume(Cause.RECORDER_DOWN, None, *SYMBOLS[: random.choice([2, 4])])
    made: dict[str, list[pb.Ticker]] = {symbol: [] for symbol in SYMBOLS}
    for _ in range(120):
        symbol, what = random.choice(SYMBOLS), random.random()
        known = made[symbol]
        if what < 0.55 or not known:
            trade(scenario, random, symbol, known)
        elif what < 0.75:
            scenario.wait(random.choice([0, 5, 20, 60]))
            scenario.tell()
        elif what < 0.85:
            happen(scenario, random, what)
        elif what < 0.93:
            purpose = random.choice([Purpose.BACKFILL, Purpose.POLL])
            scenario.hear(reply(symbol, *known[-random.randrange(1, 40) :], purpose=purpose))
        elif what < 0.95:
            one = random.choice(known)
            scenario.hear(push(symbol, changed(one, volume=one.volume + 100)))
        else:
            others = [changed(tick, sequence=tick.sequence + 7) for tick in known[-random.randrange(3, 30) :]]
            for _ in range(random.choice([1, 2])):
                scenario.hear(reply(symbol, *others, purpose=Purpose.POLL))
    scenario.close(rounds=3)


@pytest.mark.parametrize("seed", range(4))
def test_batches_and_restarts_make_no_difference(scenario: Scenario, seed: int) -> None:
    """However the journal is cut, the same is concluded: so a rebuilt day equals the recorded one."""
    live_through(scenario, Random(seed))
    assert differing(scenario) == {}
    assert scenario.query("SELECT 1 FROM premises WHERE name = 'same_sequence' AND failed > 0")
    assert scenario.query("SELECT 1 FROM gaps")


def test_a_replay_over_what_is_stored_changes_nothing(scenario: Scenario) -> None:
    """Without its cursor a writer stores all again; what was judged is not judged by what came later."""
    live_through(scenario, Random(1))
    scenario.write()
    before = outcome(scenario)
    assert before.pop("recorded")  # since when: now that the day is there, since it was first asked for
    for _ in range(2):
        (scenario.root / DIRECTORY / CURSOR).unlink()
        scenario.write()
        after = outcome(scenario)
        assert len(after.pop("recorded")) == 4
        assert after == before


def test_a_poll_that_overtook_a_push_is_first_in_whatever_batch(scenario: Scenario) -> None:
    """The tick is the poll's, since that came first; so it may fill a gap."""
    scenario.hear(push(TENCENT, ticker(1)), reply(TENCENT, ticker(2), purpose=Purpose.POLL), push(TENCENT, ticker(2)))
    scenario.hear(push(TENCENT, ticker(3)), reply(TENCENT, ticker(3), purpose=Purpose.POLL))
    assert differing(scenario) == {}
    assert scenario.query("SELECT push_type FROM ticks ORDER BY seq") == [("push",), ("poll",), ("push",)]


def test_two_polls_under_other_sequences_store_a_tick_once_in_whatever_batch(scenario: Scenario) -> None:
    """The second is held against what the first has brought."""
    ticks = [ticker(n, OPEN_MS + n * SEC) for n in range(1, 9)]
    scenario.hear(*(push(TENCENT, tick) for tick in ticks[:6]))
    others = [changed(tick, sequence=tick.sequence + 7) for tick in ticks]
    for _ in range(2):
        scenario.hear(reply(TENCENT, *others, purpose=Purpose.POLL))
    assert differing(scenario) == {}
    assert scenario.query("SELECT count(*) FROM ticks") == [(8,)]


def test_the_markets_clock_is_the_same_in_whatever_batch(scenario: Scenario) -> None:
    """The last push before the snapshot is one of an hour ago, and the only one of its batch."""
    scenario.hear(push(TENCENT, ticker(1)), push(TENCENT, ticker(2)))
    scenario.hear(push(HSBC, ticker(1, OPEN_MS - 3600 * SEC)))
    scenario.totals(tencent=500)
    assert differing(scenario) == {}
    assert scenario.query("SELECT exchange_ms NOT NULL FROM exchange_totals") == [(1,)]


def test_a_writer_that_ends_after_a_push_leaves_the_markets_clock_to_the_next(scenario: Scenario) -> None:
    """There is no other word for when the snapshot came."""
    scenario.hear(push(TENCENT, ticker(1)))
    scenario.write()
    scenario.totals(tencent=200)
    scenario.write()
    assert scenario.query("SELECT exchange_ms NOT NULL FROM exchange_totals") == [(1,)]


def test_a_new_writer_writes_no_more_snapshots_to_a_day_of_before(scenario: Scenario) -> None:
    """The first after a resumption are, whoever stores them."""
    scenario.trade(TENCENT)
    scenario.wait(24 * 3600)
    scenario.resume(Cause.RECORDER_DOWN, None)
    for _ in range(PAST_SNAPSHOTS + 2):
        scenario.wait(60)
        scenario.tell()
        scenario.write()
    ((until_ms,),) = scenario.query("SELECT max(at_ms + 0) FROM exchange_totals")
    assert until_ms == OPEN_MS + 24 * 3600 * SEC + 63 * SEC
    assert not (scenario.root / f"{NEXT_DAY}.db").exists()
    ((last_ms,),) = scenario.query("SELECT recv_ts_ms FROM judged")
    assert last_ms == scenario.now_ms - 2 * 61 * SEC


def test_a_symbol_that_is_asked_for_late_is_told_from_one_that_was_lost(scenario: Scenario) -> None:
    """Others were recorded before: it was not subscribed, whether the day's database was at hand or not."""
    scenario.resume(Cause.RECORDER_DOWN, None, TENCENT)
    scenario.trade(TENCENT)
    scenario.resume(Cause.RECORDER_DOWN, None, TENCENT, HSBC)
    assert differing(scenario) == {}
    assert scenario.doubts()[0] == (HSBC, "not_subscribed", None)


def test_a_clock_that_is_read_again_in_a_replay_is_counted_once(scenario: Scenario) -> None:
    """As often as it was read."""
    scenario.trade(TENCENT)
    for _ in range(3):
        scenario.opend_state(40)
    scenario.write()
    (scenario.root / DIRECTORY / CURSOR).unlink()
    scenario.write()
    assert scenario.query("SELECT * FROM clocks") == [("opend_offset", 3, 40, 40)]
