"""Trades, sequences and totals."""

from __future__ import annotations

from itertools import pairwise

import pytest

from hk_tick_collector.errors import ConfigError
from hk_tick_collector.simulator.prices import on_table_mil, spread_mil
from hk_tick_collector.simulator.tape import ODD_LOT, Ordinals, Tape, TimeForm
from hk_tick_collector.simulator.universe import universe

TS_MS = 1_795_138_200_000  # 2026-11-20 09:30:00 in Hong Kong


def _tape(n: int = 5, ordinals: Ordinals = "contiguous") -> Tape:
    return Tape(universe(n, 1), seed=1, ordinals=ordinals)


def test_a_trade_has_its_second_in_time_and_sequence() -> None:
    """Milliseconds of the clock are dropped; the sequence is the second and the symbol's first ordinal."""
    tick = _tape().make("HK.00700", TS_MS + 999, price=372.4, volume=60)
    assert tick == ("HK.00700", 1_795_138_200 << 32 | 1, TS_MS, "2026-11-20 09:30:00", 372.4, 60, 22344.0, 3, 1)


@pytest.mark.parametrize("form", ["fraction", "colon"])
def test_milliseconds_rise_within_a_second_and_begin_anew(form: TimeForm) -> None:
    """A symbol's trades are in order however many a second has, and none is far ahead of its second's beginning."""
    tape = Tape(["HK.00700"], seed=1, ordinals="contiguous", time_form=form)
    ticks = tape.burst(500, TS_MS) + tape.burst(3, TS_MS + 1000)
    times = [tick.ts_ms for tick in ticks]
    assert times == sorted(times)
    assert TS_MS <= times[0] < TS_MS + 10
    assert times[499] == TS_MS + 999
    assert TS_MS + 1000 <= times[500] < TS_MS + 1010
    assert tape.totals("HK.00700").last_ts_ms == times[-1]
    assert ticks[0].time == f"2026-11-20 09:30:00{'.' if form == 'fraction' else ':'}{times[0] - TS_MS:03}"


def test_totals_can_be_corrected() -> None:
    """Volume and turnover change, and nothing else of a symbol's day."""
    tape = _tape()
    tape.make("HK.00700", TS_MS, price=10.0, volume=300)
    before = tape.totals("HK.00700")
    tape.correct("HK.00700", -100, -1000.0)
    assert tape.totals("HK.00700") == before._replace(volume=200, turnover=2000.0)


def test_turnover_is_price_times_volume_to_the_thousandth() -> None:
    """The float is the nearest one to the exact decimal, for each trade."""
    for tick in _tape().burst(3_000, TS_MS):
        assert tick.turnover == round(tick.price * tick.volume, 3)


def test_prices_and_volumes_are_of_the_exchange() -> None:
    """Prices lie on the spread table near yesterday's; volumes are board lots, odd lots are less than one."""
    tape = _tape(20)
    for tick in tape.burst(20_000, TS_MS):
        price_mil = round(tick.price * 1000)
        totals = tape.totals(tick.symbol)
        assert price_mil % spread_mil(price_mil) == 0
        assert 0.8 < tick.price / totals.prev_close < 1.25
        if tick.tick_type == ODD_LOT:
            assert 0 < tick.volume < totals.lot_size
        else:
            assert tick.volume % totals.lot_size == 0


@pytest.mark.parametrize("end", ["low_end", "high_end"])
def test_a_walk_turns_at_the_ends_of_its_range(end: str) -> None:
    """A price that has come to an end of its day's range goes one step beyond it at most."""
    tape = _tape(1)
    book = tape._books["HK.00700"]
    book.bid = on_table_mil(getattr(book, end))
    prices = [tick.price * 1000 for tick in tape.burst(2_000, TS_MS)]
    assert min(prices) >= book.low_end - 1_000
    assert max(prices) <= book.high_end + 2_000
    assert len(set(prices)) > 5


def test_trades_are_of_all_kinds() -> None:
    """Both sides alike, some neutral, and the rare types too."""
    ticks = _tape().burst(30_000, TS_MS)
    sides = [sum(tick.direction == side for tick in ticks) / len(ticks) for side in (1, 2, 3)]
    assert sides == pytest.approx([0.46, 0.46, 0.08], abs=0.02)
    assert {tick.tick_type for tick in ticks} == {1, 2, 3, 4, 5, 6, 31}


def test_totals_are_the_sum_of_the_trades() -> None:
    """Volume, turnover, open, high, low, last and the count follow from what was made, to the cent."""
    tape = _tape(1)
    before = tape.totals("HK.00700")
    ticks = tape.burst(500, TS_MS)
    totals = tape.totals("HK.00700")
    prices = [tick.price for tick in ticks]
    assert (before.volume, before.ticks, before.open, before.last_price) == (0, 0, 0, before.prev_close)
    assert (totals.ticks, totals.volume) == (500, sum(tick.volume for tick in ticks))
    assert round(totals.turnover * 1000) == sum(round(tick.turnover * 1000) for tick in ticks)
    assert (totals.open, totals.high, totals.low, totals.last_price) == (
        *(prices[0], max(prices), min(prices), prices[-1]),
    )


def test_contiguous_ordinals_count_each_symbol() -> None:
    """1, 2, 3, … for each symbol, whatever the others do."""
    ordinals: dict[str, list[int]] = {}
    for tick in _tape().burst(2_000, TS_MS):
        assert tick.seq >> 32 == tick.ts_ms // 1000
        ordinals.setdefault(tick.symbol, []).append(tick.seq & 0xFFFFFFFF)
    assert len(ordinals) == 5
    assert all(seen == list(range(1, len(seen) + 1)) for seen in ordinals.values())


def test_sparse_ordinals_rise_by_steps_and_their_seconds_lag() -> None:
    """Sequences rise strictly with holes between, and some bear a second up to two before the trade's."""
    tape = _tape(1, "sparse")
    ticks = [tick for n in range(1_000) for tick in tape.burst(2, TS_MS + n * 1000)]
    seqs = [tick.seq for tick in ticks]
    steps = {(b & 0xFFFFFFFF) - (a & 0xFFFFFFFF) for a, b in pairwise(seqs)}
    assert all(a < b for a, b in pairwise(seqs))
    assert steps == {1, 2, 3, 4}
    assert {tick.ts_ms // 1000 - (tick.seq >> 32) for tick in ticks} == {0, 1, 2}


def test_sequences_without_time_are_small_integers() -> None:
    """Nothing in them reads as an epoch second."""
    seqs = [tick.seq for tick in _tape(1, "none").burst(100, TS_MS)]
    assert seqs == list(range(1, 101))


def test_how_many_are_asked_for_at_once_does_not_matter() -> None:
    """The same trades, one by one or together."""
    together, one_by_one = _tape(), _tape()
    assert together.burst(300, TS_MS) == [one_by_one.burst(1, TS_MS)[0] for _ in range(300)]


def test_a_burst_can_be_kept_to_some_symbols() -> None:
    """Only those named trade."""
    ticks = _tape().burst(200, TS_MS, ["HK.03690", "HK.00005"])
    assert {tick.symbol for tick in ticks} == {"HK.03690", "HK.00005"}


def test_wrong_orders_are_refused() -> None:
    """A symbol that is not traded, or numbers that are not positive, are an error that names them."""
    tape = _tape()
    with pytest.raises(ValueError, match=r"^symbol 'HK\.99999' is not one of this market's 5$"):
        tape.make("HK.99999", TS_MS)
    with pytest.raises(ValueError, match=r"HK\.99999"):
        tape.burst(1, TS_MS, ["HK.99999"])
    with pytest.raises(ValueError, match=r"HK\.99999"):
        tape.totals("HK.99999")
    with pytest.raises(ValueError, match=r"^price -1 and volume None, expected both to be above zero$"):
        tape.make("HK.00700", TS_MS, price=-1)
    with pytest.raises(ValueError, match=r"^price nan and"):
        tape.make("HK.00700", TS_MS, price=float("nan"))


@pytest.mark.parametrize("symbols", [[], ["HK.00700", "HK.00700"]])
def test_a_market_needs_different_symbols(symbols: list[str]) -> None:
    """None, or one twice, is a mistake of the operator's."""
    with pytest.raises(ConfigError):
        Tape(symbols, seed=1, ordinals="contiguous")
