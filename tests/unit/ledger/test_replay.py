"""One journal, one outcome: in however many pieces it is stored, by however many writers, again and again."""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING

import pytest
from support.tale import ALIBABA, MEITUAN, SEC
from support.ticks import HSBC, NEXT_DAY, OPEN_MS, TENCENT, push, reply, ticker

from hk_tick_collector.journal.cursor import CURSOR
from hk_tick_collector.journal.events import Cause
from hk_tick_collector.journal.segments import DIRECTORY
from hk_tick_collector.ledger.judge import PAST_SNAPSHOTS
from hk_tick_collector.opend import opend_pb2 as pb
from hk_tick_collector.opend.purpose import Purpose

if TYPE_CHECKING:
    from support.tale import Tale

SYMBOLS = (TENCENT, HSBC, ALIBABA, MEITUAN)
CUTS = ((1, 0), (1, 1), (7, 3), (60, 1))


def outcome(tale: Tale) -> dict[str, list[tuple[object, ...]]]:
    """All that was concluded, and the ticks but for when they were inserted."""
    ticks = {
        name: sorted(row[:11] for row in tale.query(f"SELECT * FROM {name}"))  # noqa: S608
        for name in ("ticks", "tick_revisions")
    }
    return {**{name: sorted(rows, key=repr) for name, rows in tale.dump().items()}, **ticks}


def differing(tale: Tale) -> dict[object, list[str]]:
    """By how the journal was cut, the tables that are not as if it was stored at once."""
    tale.write()
    whole = outcome(tale)
    found: dict[object, list[str]] = {}
    for cut in CUTS:
        tale.begin_again()
        tale.write_in_steps(*cut)
        names = [name for name, rows in outcome(tale).items() if rows != whole[name]]
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


def trade(tale: Tale, random: Random, symbol: str, known: list[pb.Ticker]) -> None:
    """Some trades, of which now and then one is lost."""
    come = []
    for _ in range(random.randrange(1, 6)):
        known.append(tale.made(symbol, random.choice([100, 500]), pushDataType=random.choice([1] * 9 + [2])))
        if random.random() > 0.03:
            come.append(known[-1])
    tale.hear(*(push(symbol, tick) for tick in come))


def happen(tale: Tale, random: Random, what: float) -> None:
    """An outage, or something of a clock."""
    if what < 0.8:
        since_ms = random.choice([None, tale.now_ms - 20 * SEC])
        tale.resume(random.choice(list(Cause)), since_ms, *random.sample(SYMBOLS, random.randrange(1, 5)))
    elif what < 0.83:
        tale.opend_state(random.choice([0, 100, 600 * SEC, None]), random.choice([3, 6, None]))
    else:
        tale.step_clock(random.choice([-100, 50, 200]) * SEC)


def live_through(tale: Tale, random: Random) -> None:
    """An eventful morning: losses, outages, polls, clocks that are set, replies under other sequences, revisions."""
    tale.at("09:40:00")
    tale.record_only(*SYMBOLS[: random.choice([1, 2, 4])])
    tale.resume(Cause.RECORDER_DOWN, None, *SYMBOLS[: random.choice([2, 4])])
    made: dict[str, list[pb.Ticker]] = {symbol: [] for symbol in SYMBOLS}
    for _ in range(120):
        symbol, what = random.choice(SYMBOLS), random.random()
        known = made[symbol]
        if what < 0.55 or not known:
            trade(tale, random, symbol, known)
        elif what < 0.75:
            tale.wait(random.choice([0, 5, 20, 60]))
            tale.tell()
        elif what < 0.85:
            happen(tale, random, what)
        elif what < 0.93:
            purpose = random.choice([Purpose.BACKFILL, Purpose.POLL])
            tale.hear(reply(symbol, *known[-random.randrange(1, 40) :], purpose=purpose))
        elif what < 0.95:
            one = random.choice(known)
            tale.hear(push(symbol, changed(one, volume=one.volume + 100)))
        else:
            others = [changed(tick, sequence=tick.sequence + 7) for tick in known[-random.randrange(3, 30) :]]
            for _ in range(random.choice([1, 2])):
                tale.hear(reply(symbol, *others, purpose=Purpose.POLL))
    tale.close(rounds=3)


@pytest.mark.parametrize("seed", range(4))
def test_batches_and_restarts_make_no_difference(tale: Tale, seed: int) -> None:
    """However the journal is cut, the same is concluded: so a rebuilt day equals the recorded one."""
    live_through(tale, Random(seed))
    assert differing(tale) == {}
    assert tale.query("SELECT 1 FROM premises WHERE name = 'same_sequence' AND failed > 0")
    assert tale.query("SELECT 1 FROM gaps")


def test_a_replay_over_what_is_stored_changes_nothing(tale: Tale) -> None:
    """Without its cursor a writer stores all again; what was judged is not judged by what came later."""
    live_through(tale, Random(1))
    tale.write()
    before = outcome(tale)
    assert before.pop("recorded")  # since when: now that the day is there, since it was first asked for
    for _ in range(2):
        (tale.root / DIRECTORY / CURSOR).unlink()
        tale.write()
        after = outcome(tale)
        assert len(after.pop("recorded")) == 4
        assert after == before


def test_a_poll_that_overtook_a_push_is_first_in_whatever_batch(tale: Tale) -> None:
    """The tick is the poll's, since that came first; so it may fill a gap."""
    tale.hear(push(TENCENT, ticker(1)), reply(TENCENT, ticker(2), purpose=Purpose.POLL), push(TENCENT, ticker(2)))
    tale.hear(push(TENCENT, ticker(3)), reply(TENCENT, ticker(3), purpose=Purpose.POLL))
    assert differing(tale) == {}
    assert tale.query("SELECT push_type FROM ticks ORDER BY seq") == [("push",), ("poll",), ("push",)]


def test_two_polls_under_other_sequences_store_a_tick_once_in_whatever_batch(tale: Tale) -> None:
    """The second is held against what the first has brought."""
    ticks = [ticker(n, OPEN_MS + n * SEC) for n in range(1, 9)]
    tale.hear(*(push(TENCENT, tick) for tick in ticks[:6]))
    others = [changed(tick, sequence=tick.sequence + 7) for tick in ticks]
    for _ in range(2):
        tale.hear(reply(TENCENT, *others, purpose=Purpose.POLL))
    assert differing(tale) == {}
    assert tale.query("SELECT count(*) FROM ticks") == [(8,)]


def test_the_markets_clock_is_the_same_in_whatever_batch(tale: Tale) -> None:
    """The last push before the snapshot is one of an hour ago, and the only one of its batch."""
    tale.hear(push(TENCENT, ticker(1)), push(TENCENT, ticker(2)))
    tale.hear(push(HSBC, ticker(1, OPEN_MS - 3600 * SEC)))
    tale.totals(tencent=500)
    assert differing(tale) == {}
    assert tale.query("SELECT exchange_ms NOT NULL FROM exchange_totals") == [(1,)]


def test_a_writer_that_ends_after_a_push_leaves_the_markets_clock_to_the_next(tale: Tale) -> None:
    """There is no other word for when the snapshot came."""
    tale.hear(push(TENCENT, ticker(1)))
    tale.write()
    tale.totals(tencent=200)
    tale.write()
    assert tale.query("SELECT exchange_ms NOT NULL FROM exchange_totals") == [(1,)]


def test_a_new_writer_writes_no_more_snapshots_to_a_day_of_before(tale: Tale) -> None:
    """The first after a resumption are, whoever stores them."""
    tale.trade(TENCENT)
    tale.wait(24 * 3600)
    tale.resume(Cause.RECORDER_DOWN, None)
    for _ in range(PAST_SNAPSHOTS + 2):
        tale.wait(60)
        tale.tell()
        tale.write()
    ((until_ms,),) = tale.query("SELECT max(at_ms + 0) FROM exchange_totals")
    assert until_ms == OPEN_MS + 24 * 3600 * SEC + 63 * SEC
    assert not (tale.root / f"{NEXT_DAY}.db").exists()
    ((last_ms,),) = tale.query("SELECT recv_ts_ms FROM judged")
    assert last_ms == tale.now_ms - 2 * 61 * SEC


def test_a_symbol_that_is_asked_for_late_is_told_from_one_that_was_lost(tale: Tale) -> None:
    """Others were recorded before: it was not subscribed, whether the day's database was at hand or not."""
    tale.resume(Cause.RECORDER_DOWN, None, TENCENT)
    tale.trade(TENCENT)
    tale.resume(Cause.RECORDER_DOWN, None, TENCENT, HSBC)
    assert differing(tale) == {}
    assert tale.doubts()[0] == (HSBC, "not_subscribed", None)


def test_a_clock_that_is_read_again_in_a_replay_is_counted_once(tale: Tale) -> None:
    """As often as it was read."""
    tale.trade(TENCENT)
    for _ in range(3):
        tale.opend_state(40)
    tale.write()
    (tale.root / DIRECTORY / CURSOR).unlink()
    tale.write()
    assert tale.query("SELECT * FROM clocks") == [("opend_offset", 3, 40, 40)]
