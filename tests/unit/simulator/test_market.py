"""A Hong Kong day, and the even stream."""

from __future__ import annotations

import datetime as dt
import random
from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hk_tick_collector.errors import ConfigError
from hk_tick_collector.simulator.market import FlatMarket, MarketDay, day_plan
from hk_tick_collector.simulator.tape import AUCTION, AUTO_MATCH, ODD_LOT
from hk_tick_collector.simulator.universe import universe

if TYPE_CHECKING:
    from hk_tick_collector.simulator.market import DayPlan, MadeTick

WHOLE = dt.date(2026, 11, 20)
HALF = dt.date(2026, 12, 24)
CLOSED = 6


def _plan(date: dt.date = WHOLE, symbols: int = 30, ticks: int = 20_000, seed: int = 1) -> DayPlan:
    return day_plan(date, universe(symbols, seed), seed=seed, ticks_per_day=ticks)


def _whole_day(plan: DayPlan) -> list[MadeTick]:
    market = MarketDay(plan)
    ticks = market.ticks_until(market.end_ts_ms)
    assert market.done
    return ticks


def _clock(tick: MadeTick) -> str:
    return tick.time[11:]


@pytest.mark.parametrize(("date", "ticks"), [(WHOLE, 20_000), (HALF, 20_000), (WHOLE, 1), (WHOLE, 2), (WHOLE, 77)])
def test_a_day_has_exactly_its_ticks(date: dt.date, ticks: int) -> None:
    """Auctions included, on whole and half days, however few."""
    assert len(_whole_day(_plan(date, ticks=ticks))) == ticks


def test_each_date_has_prices_of_its_own() -> None:
    """Two days of one seed begin at other prices and go other ways; the same date and seed are the same day."""
    one, other = (_whole_day(_plan(date=dt.date(2026, 11, day), symbols=3)) for day in (19, 20))
    assert one == _whole_day(_plan(date=dt.date(2026, 11, 19), symbols=3))
    firsts = [{tick.symbol: tick.price for tick in reversed(ticks)} for ticks in (one, other)]
    assert all(firsts[0][symbol] != firsts[1][symbol] for symbol in firsts[0])
    assert [tick.volume for tick in one[:50]] != [tick.volume for tick in other[:50]]


def test_a_day_can_do_without_rare_types() -> None:
    """Only automatic matches, odd lots and auctions are made; otherwise there are others."""
    usual = replace(_plan(ticks=5000), usual_types=True)
    assert {tick.tick_type for tick in _whole_day(usual)} == {AUTO_MATCH, ODD_LOT, AUCTION}
    assert {tick.tick_type for tick in _whole_day(_plan(ticks=5000))} > {AUTO_MATCH, ODD_LOT, AUCTION}


def test_types_can_be_left_out_of_the_totals() -> None:
    """Odd lots are made as ever, and volume and turnover don't know of them."""
    plan = replace(_plan(), uncounted=frozenset({ODD_LOT}))
    market = MarketDay(plan)
    ticks = market.ticks_until(market.end_ts_ms)
    assert ticks == _whole_day(_plan())
    odd = [tick for tick in ticks if tick.tick_type == ODD_LOT]
    counted = [tick for tick in ticks if tick.tick_type != ODD_LOT]
    assert odd
    all_totals = [market.totals(symbol) for symbol in plan.symbols]
    assert sum(totals.volume for totals in all_totals) == sum(tick.volume for tick in counted)
    assert sum(totals.turnover for totals in all_totals) == pytest.approx(sum(tick.turnover for tick in counted))
    assert sum(totals.ticks for totals in all_totals) == len(ticks)


def test_the_seed_makes_the_day() -> None:
    """The same seed gives the same ticks, another one others."""
    assert _whole_day(_plan()) == _whole_day(_plan())
    assert _whole_day(_plan()) != _whole_day(_plan(seed=2))


@settings(max_examples=10, deadline=None)
@given(st.integers(0, 2**32), st.integers(100, 3_000_000))
def test_how_a_day_is_cut_does_not_matter(seed: int, step_max_ms: int) -> None:
    """Uneven steps of any size give the same ticks in the same order as one call."""
    plan = _plan(symbols=7, ticks=2_000)
    market = MarketDay(plan)
    steps = random.Random(seed)
    ticks: list[MadeTick] = []
    ts_ms = market.start_ts_ms
    while not market.done:
        ts_ms += steps.randint(50, max(step_max_ms, 20_000))
        ticks += market.ticks_until(ts_ms)
    assert ticks == _whole_day(plan)


def test_no_tick_comes_before_its_time_nor_late() -> None:
    """At each moment all seconds that are over are whole, and nothing of the future is out."""
    plan = _plan(ticks=5_000)
    expected = Counter(tick.ts_ms for tick in _whole_day(plan))
    market = MarketDay(plan)
    seen: Counter[int] = Counter()
    begin = market.start_ts_ms + 30 * 60_000
    for ts_ms in range(begin, begin + 120_000, 330):
        seen.update(tick.ts_ms for tick in market.ticks_until(ts_ms))
        assert max(seen, default=0) <= ts_ms
        assert all(seen[second] == n for second, n in expected.items() if second + 999 <= ts_ms)
    assert seen.total() > 20


def test_the_ticks_of_a_second_are_spread_over_it() -> None:
    """In the middle of a busy second half of its ticks are out."""
    plan = _plan(ticks=200_000)
    busiest, n = Counter(t.ts_ms for t in _whole_day(plan) if t.tick_type != AUCTION).most_common(1)[0]
    market = MarketDay(plan)
    market.ticks_until(busiest - 1)
    half = market.ticks_until(busiest + 500)
    assert n > 20
    assert {tick.ts_ms for tick in half} == {busiest}
    assert len(half) == pytest.approx(n / 2, abs=1)


def test_ticks_are_in_time_order_with_contiguous_ordinals() -> None:
    """Time never goes back, and each symbol counts 1, 2, 3, … through the auctions and odd lots."""
    ticks = _whole_day(_plan())
    ordinals: dict[str, list[int]] = {}
    for tick in ticks:
        assert tick.seq >> 32 == tick.ts_ms // 1000
        ordinals.setdefault(tick.symbol, []).append(tick.seq & 0xFFFFFFFF)
    assert [t.ts_ms for t in ticks] == sorted(t.ts_ms for t in ticks)
    assert all(seen == list(range(1, len(seen) + 1)) for seen in ordinals.values())


@pytest.mark.parametrize(
    ("date", "sessions", "auction"),
    [
        (WHOLE, [("09:30:00", "12:00:00"), ("13:00:00", "16:00:00")], ("16:08:00", "16:10:00")),
        (HALF, [("09:30:00", "12:00:00")], ("12:08:00", "12:10:00")),
    ],
)
def test_ticks_lie_in_the_sessions(date: dt.date, sessions: list[tuple[str, str]], auction: tuple[str, str]) -> None:
    """Trades in continuous trading, auction prints at both matches, between close and match only odd lots."""
    ticks = _whole_day(_plan(date))
    close = sessions[-1][1]
    opening = [t for t in ticks if "09:20:00" <= _clock(t) < "09:22:00"]
    closing = [t for t in ticks if auction[0] <= _clock(t) < auction[1]]
    trading = [t for t in ticks if any(begin <= _clock(t) < end for begin, end in sessions)]
    waiting = [t for t in ticks if close <= _clock(t) < auction[0]]
    assert len(opening) + len(closing) + len(trading) + len(waiting) == len(ticks)
    assert {(t.tick_type, t.direction) for t in opening + closing} == {(AUCTION, 3)}
    assert AUCTION not in {t.tick_type for t in trading}
    assert {t.tick_type for t in waiting} == {ODD_LOT}
    assert len({t.symbol for t in opening}) == len(opening) == 30
    assert len({t.symbol for t in closing}) == len(closing) == 30


@pytest.mark.parametrize("date", [WHOLE, HALF])
def test_the_closing_print_comes_after_closed(date: dt.date) -> None:
    """OpenD says CLOSED already when the day's last print of each symbol comes."""
    market = MarketDay(_plan(date))
    last = {tick.symbol: tick for tick in market.ticks_until(market.end_ts_ms)}
    assert all(tick.tick_type == AUCTION for tick in last.values())
    assert {market.state_at(tick.ts_ms) for tick in last.values()} == {CLOSED}


def test_the_match_s_moment_is_random() -> None:
    """Different days match at different seconds, opening and closing."""
    days = [_whole_day(_plan(symbols=1, ticks=20, seed=seed)) for seed in range(20)]
    assert len({day[0].ts_ms for day in days}) > 10
    assert len({day[-1].ts_ms for day in days}) > 10


def test_symbols_are_skewed_as_on_the_exchange() -> None:
    """Of 900 symbols the busiest makes about 4 % of the ticks, the first tenth more than half; each makes some."""
    counts = Counter(tick.symbol for tick in _whole_day(_plan(symbols=900, ticks=100_000)))
    by_rank = [n for _, n in counts.most_common()]
    assert 0.03 < by_rank[0] / 100_000 < 0.05
    assert sum(by_rank[:90]) > 50_000
    assert len(by_rank) == 900
    assert counts.most_common(1)[0][0] == "HK.00700"


def test_the_day_is_u_shaped() -> None:
    """The first and the last half hour have far more ticks than one before noon."""
    half_hours = Counter(_clock(t)[:3] + str(int(_clock(t)[3:5]) // 30) for t in _whole_day(_plan()))
    assert half_hours["09:1"] > 1.5 * half_hours["11:0"]
    assert half_hours["15:1"] > 1.2 * half_hours["11:0"]


def test_a_day_may_begin_late() -> None:
    """What would have been before the start is never made: ordinals begin at 1 there, totals too."""
    plan = _plan()
    start = MarketDay(plan).start_ts_ms + 4 * 3_600_000
    market = MarketDay(plan, start_ts_ms=start)
    ticks = market.ticks_until(market.end_ts_ms)
    assert ticks[0].time.startswith("2026-11-20 13:00")
    assert {t.symbol: t.seq & 0xFFFFFFFF for t in reversed(ticks)} == dict.fromkeys({t.symbol for t in ticks}, 1)
    assert sum(market.totals(symbol).ticks for symbol in market.symbols) == len(ticks)


def test_skipping_makes_nothing_and_leaves_no_hole() -> None:
    """After a skip the day goes on from there, with the next ordinal."""
    market = MarketDay(_plan(symbols=1))
    before = market.ticks_until(market.start_ts_ms + 3_600_000)
    market.skip_to(market.start_ts_ms + 2 * 3_600_000)
    after = market.ticks_until(market.start_ts_ms + 3 * 3_600_000)
    assert after[0].ts_ms >= market.start_ts_ms + 2 * 3_600_000
    assert after[0].seq & 0xFFFFFFFF == (before[-1].seq & 0xFFFFFFFF) + 1


def test_another_date_is_closed() -> None:
    """A day's market knows nothing of the days around it."""
    market = MarketDay(_plan())
    assert market.state_at(market.start_ts_ms) == 1
    assert market.state_at(market.start_ts_ms - 86_400_000) == CLOSED
    assert market.state_at(market.start_ts_ms + 86_400_000) == CLOSED


def test_the_calendar_makes_the_plan() -> None:
    """Half days are marked, holidays and empty days refused."""
    assert _plan(HALF).half_day
    assert not _plan(WHOLE).half_day
    with pytest.raises(ConfigError, match=r"^2026-12-25 is no trade date in Hong Kong$"):
        _plan(dt.date(2026, 12, 25))
    with pytest.raises(ConfigError, match=r"^0 ticks a day, expected at least 1$"):
        _plan(ticks=0)


NOW_MS = 1_795_138_200_250
MIDNIGHT_MS = 1_795_190_400_000  # 2026-11-21 00:00:00 in Hong Kong


def _flat(rate: float = 1_000, start_ts_ms: int = NOW_MS) -> FlatMarket:
    return FlatMarket(universe(10), seed=1, rate=rate, start_ts_ms=start_ts_ms)


@pytest.mark.parametrize("rate", [0.5, 7, 1_000, 12_345.6])
def test_a_flat_market_keeps_its_rate(rate: float) -> None:
    """So many ticks in each second, at every moment, and no tick of the future."""
    market = _flat(rate)
    n = 0
    for ms in range(0, 8_000, 170):
        ticks = market.ticks_until(NOW_MS + ms)
        n += len(ticks)
        assert n == int(ms * rate / 1000)
        assert all(tick.ts_ms <= NOW_MS + ms for tick in ticks)


def test_a_flat_market_s_ticks_do_not_depend_on_the_steps() -> None:
    """Asked for late, a tick still bears the second in which it was due."""
    one, many = _flat(), _flat()
    steps = [tick for ms in range(0, 5_001, 1) for tick in many.ticks_until(NOW_MS + ms)]
    assert one.ticks_until(NOW_MS + 5_000) == steps
    assert len({tick.ts_ms for tick in steps}) == 6


def test_a_symbol_s_trades_never_go_back() -> None:
    """What was due before a burst, and is asked for after it, comes later: ordinals and seconds rise together."""
    market = _flat()
    ticks = market.ticks_until(NOW_MS + 1_000)
    ticks += market.burst(50, NOW_MS + 3_500)
    ticks += market.ticks_until(NOW_MS + 4_000)
    for symbol in {tick.symbol for tick in ticks}:
        sequences = [tick.seq for tick in ticks if tick.symbol == symbol]
        assert sequences == sorted(sequences)
        assert [seq & 0xFFFFFFFF for seq in sequences] == list(range(1, len(sequences) + 1))


def test_a_flat_market_never_closes_and_never_goes_back() -> None:
    """No sessions; a clock that jumps back gives no ticks."""
    market = _flat()
    assert len(market.ticks_until(NOW_MS + 1_000)) == 1_000
    assert market.ticks_until(NOW_MS) == []
    assert not market.done
    assert market.state_at(MIDNIGHT_MS) == 3


def test_a_flat_market_begins_a_new_day_at_midnight() -> None:
    """Ordinals and totals begin anew at Hong Kong midnight; yesterday's last price is the previous close."""
    market = _flat(start_ts_ms=MIDNIGHT_MS - 10_000)
    before = market.ticks_until(MIDNIGHT_MS - 1)
    last_price = market.totals("HK.00700").last_price
    after = market.ticks_until(MIDNIGHT_MS + 1_000)
    first = next(tick for tick in after if tick.symbol == "HK.00700")
    assert before[-1].time == "2026-11-20 23:59:59"
    assert first.time == "2026-11-21 00:00:00"
    assert first.seq & 0xFFFFFFFF == 1
    assert market.totals("HK.00700").prev_close == last_price
    assert market.totals("HK.00700").ticks == sum(tick.symbol == "HK.00700" for tick in after)


def test_a_flat_market_s_totals_end_at_midnight_without_a_trade() -> None:
    """When time comes to another day, the totals are of nothing; the last trade's time stays."""
    market = _flat(start_ts_ms=MIDNIGHT_MS - 10_000)
    made = market.make("HK.00700", MIDNIGHT_MS - 9_000)
    market.come_to(MIDNIGHT_MS - 1)
    assert market.totals("HK.00700").volume == made.volume
    market.come_to(MIDNIGHT_MS)
    market.come_to(MIDNIGHT_MS - 1)  # clocks are set back; days are not
    totals = market.totals("HK.00700")
    assert (totals.volume, totals.turnover, totals.ticks) == (0, 0, 0)
    assert totals.last_ts_ms == made.ts_ms
    assert market.make("HK.00700", MIDNIGHT_MS).seq & 0xFFFFFFFF == 1
    assert market.burst(1, MIDNIGHT_MS + 86_400_000)[0].seq & 0xFFFFFFFF == 1


def test_a_flat_market_can_skip_what_was_due() -> None:
    """After a pause it goes on at its rate, without a flood; skipping back does nothing."""
    market = _flat()
    market.ticks_until(NOW_MS + 1_000)
    market.skip_to(NOW_MS)
    market.skip_to(NOW_MS + 60_000)
    ticks = market.ticks_until(NOW_MS + 61_000)
    assert len(ticks) == 1_000
    assert ticks[0].ts_ms >= NOW_MS + 59_000


@pytest.mark.parametrize("rate", [0, -1, float("nan")])
def test_a_rate_is_above_zero(rate: float) -> None:
    """Anything else is the operator's mistake."""
    with pytest.raises(ConfigError, match="expected more than 0"):
        _flat(rate)
