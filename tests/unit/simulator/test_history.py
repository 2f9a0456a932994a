"""What totals were a while ago."""

from __future__ import annotations

from hk_tick_collector.simulator.history import REACHES_SEC, TotalsHistory
from hk_tick_collector.simulator.market import FlatMarket

TENCENT, HSBC = "HK.00700", "HK.00005"
OPEN_MS = 1_795_138_200_000  # 2026-11-20 09:30:00 in Hong Kong
NIGHT_MS = OPEN_MS + int(14.5 * 3_600_000)  # the midnight after it


def _market() -> FlatMarket:
    return FlatMarket([TENCENT, HSBC], seed=1, rate=0.001, start_ts_ms=OPEN_MS)


def _trade(market: FlatMarket, history: TotalsHistory, at_ms: int, volume: int = 100) -> None:
    market.make(TENCENT, at_ms, volume=volume)
    history.changed([TENCENT], at_ms)


def test_totals_are_those_of_the_half_second_before() -> None:
    """Never younger than was asked for, and less than a second older."""
    market = _market()
    history = TotalsHistory(market)
    for n in range(20):
        _trade(market, history, OPEN_MS + n * 100)
    for ms in range(0, 2000, 50):
        trades = history.at(TENCENT, OPEN_MS + ms).ticks
        assert ms / 100 - 6 < trades <= ms / 100 + 1
    assert history.at(TENCENT, OPEN_MS + 9_000) == market.totals(TENCENT)
    assert history.at(HSBC, OPEN_MS + 9_000).ticks == 0


def test_it_reaches_as_far_as_it_says_and_is_bounded() -> None:
    """Two minutes, also for a symbol that trades all the time; nothing older is kept but the one before."""
    market = _market()
    history = TotalsHistory(market)
    for sec in range(2 * REACHES_SEC):
        _trade(market, history, OPEN_MS + sec * 1000)
    now_ms = OPEN_MS + 2 * REACHES_SEC * 1000
    assert history.at(TENCENT, now_ms - REACHES_SEC * 1000).ticks == REACHES_SEC
    assert len(history._past[TENCENT]) <= 2 * REACHES_SEC + 2


def test_a_new_day_is_remembered_without_a_trade() -> None:
    """Soon after midnight the totals of a while ago are yesterday's, later they are none."""
    market = _market()
    history = TotalsHistory(market)
    history.come_to(OPEN_MS)
    _trade(market, history, OPEN_MS)
    market.come_to(NIGHT_MS + 20)
    history.come_to(NIGHT_MS + 20)
    assert history.at(TENCENT, NIGHT_MS - 1).volume == 100
    assert history.at(TENCENT, NIGHT_MS + 1000).volume == 0


def test_a_clock_that_goes_back_forgets_nothing() -> None:
    """What was made then counts as made when the clock was last right."""
    market = _market()
    history = TotalsHistory(market)
    _trade(market, history, OPEN_MS)
    _trade(market, history, OPEN_MS + 5000)
    _trade(market, history, OPEN_MS + 1000)
    assert history.at(TENCENT, OPEN_MS + 4000).ticks == 1
    assert history.at(TENCENT, OPEN_MS + 6000).ticks == 3
