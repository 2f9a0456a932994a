"""Bars against a naive reference, on ticks of any type at any time of the day, cut into batches anywhere."""

from __future__ import annotations

from collections import defaultdict
from math import isclose
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from support.tick_batches import Tick, as_dicts, at, batches_of, day_of, in_order, naive_bars, tick

from hk_tick_collector.hktime import DAY_MS, day_begin_ms
from hk_tick_collector.read.bar_rules import DayFacts, day_sessions
from hk_tick_collector.read.bars import make_bars

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hk_tick_collector.audit.schedule import Session
    from hk_tick_collector.read.bar_rules import Auctions

pytest.importorskip("pyarrow")

DAYS = ("20261120", "20261224")  # the second is a half day
SYMBOLS = ("HK.00005", "HK.00700", "HK.09988")
FACTS = {"20261120": DayFacts(), "20261224": DayFacts("morning")}

# Where something changes: the begin and the end of each session, and moments before and after.
EDGES = ("00:00", "09:00", "09:20", "09:30", "09:31", "11:59:59.999", "12:00", "12:08", "12:10", "13:00", "16:00",
         "16:04:41", "16:08:12", "16:10", "23:59:59")  # fmt: skip
CLOCKS_MS = st.one_of(
    st.sampled_from([at(edge, "20261120") - day_begin_ms("20261120") for edge in EDGES]),
    st.integers(9 * 3_600_000, 17 * 3_600_000).map(lambda ms: ms // 1000 * 1000),
    st.integers(0, DAY_MS - 1),
)


@st.composite
def a_tick(draw: st.DrawFn, days: Sequence[str] = DAYS, symbols: Sequence[str] = SYMBOLS) -> Tick:
    """Any tick; its sequence is its time's, or one that OpenD did not give."""
    day = draw(st.sampled_from(days))
    ts_ms = day_begin_ms(day) + draw(CLOCKS_MS)
    real = ts_ms // 1000 << 32 | draw(st.integers(1, 200))
    late = real - (draw(st.integers(0, 7200)) << 32)  # told late, or early: its sequence is not of its time
    symbol = draw(st.sampled_from(symbols))
    seq = draw(st.sampled_from((real, late, late if symbol != SYMBOLS[0] else draw(st.integers(-50, -1)))))
    price = draw(st.integers(1, 400)) / 8
    volume = draw(st.integers(0, 5)) * 100
    kind = draw(st.sampled_from((1, 1, 1, 2, 3, 4, 5, 6, 7, 7, 31, 99)))
    return Tick(symbol, seq, ts_ms, price, volume, price * volume,
                draw(st.integers(0, 3)), kind)  # fmt: skip


# Of many symbols and days, or many of one.
TICKS = st.one_of(st.lists(a_tick(), max_size=40), st.lists(a_tick(DAYS[:1], SYMBOLS[1:2]), min_size=8, max_size=40))
CUTS = st.lists(st.integers(0, 40), max_size=6)
AUCTIONS = st.sampled_from(("own", "merge", "drop"))
PRICE_TYPES = st.sampled_from((None, frozenset({1}), frozenset({1, 6}), frozenset({7}), frozenset({2, 3, 99})))
STEPS = {"5s": 5_000, "1m": 60_000, "7m": 420_000, "1h": 3_600_000, "4h": 14_400_000, "1d": DAY_MS}


def sessions_of(day: str) -> Sequence[Session]:
    """The sessions of a test's day."""
    return day_sessions(day, FACTS[day])


def bars(ticks: list[Tick], every: str, cuts: Sequence[int] = (), **options: Any) -> list[dict[str, Any]]:  # noqa: ANN401
    """The rows of real bars."""
    return as_dicts(make_bars(batches_of(ticks, cuts), every, facts=FACTS.__getitem__, **options))


@given(TICKS, CUTS, st.sampled_from(sorted(STEPS)), AUCTIONS, PRICE_TYPES, st.integers(1, 30))
@example([tick("09:30", type=7), tick("16:00:01"), tick("16:08:12", type=7)], [1], "1m", "own", None, 1)
@example([tick("16:00:01", seq=2), tick("15:59:59", seq=1), tick("09:20", seq=-5)], [], "1m", "merge", None, 30)
def test_bars_of_time_are_those_of_the_reference(
    ticks: list[Tick], cuts: list[int], every: str, auctions: Auctions, price_types: frozenset[int] | None, rows: int
) -> None:
    """Each column of each bar, wherever the batches and the portions are cut."""
    made = bars(ticks, every, cuts, auctions=auctions, price_types=price_types, portion_rows=rows)
    assert made == naive_bars(
        ticks, sessions_of=sessions_of, step_ms=STEPS[every], auctions=auctions, price_types=price_types
    )


@given(TICKS, CUTS, st.sampled_from(("ticks", "shares", "HKD")), st.integers(1, 900), AUCTIONS, PRICE_TYPES)
def test_bars_of_amounts_are_those_of_the_reference(
    ticks: list[Tick], cuts: list[int], unit: str, amount: int, auctions: Auctions, price_types: frozenset[int] | None
) -> None:
    """The tick that reaches the amount closes the bar, and no bar spans two sessions."""
    amount_of = {"ticks": lambda _: 1, "shares": lambda t: t.volume, "HKD": lambda t: t.turnover}[unit]
    amount = amount % 9 + 1 if unit == "ticks" else amount
    made = bars(ticks, f"{amount} {unit}", cuts, auctions=auctions, price_types=price_types)
    assert made == naive_bars(
        ticks, sessions_of=sessions_of, amount_of=amount_of, amount=amount, auctions=auctions, price_types=price_types
    )


@given(TICKS, st.sampled_from([*sorted(STEPS), "3 ticks", "250 shares", "1e4 HKD"]), st.sampled_from(("own", "merge")))
def test_bars_add_up_to_the_ticks(ticks: list[Tick], every: str, auctions: Auctions) -> None:
    """Of each symbol and day: no tick is left out, and none counts twice."""
    totals: dict[tuple[str, str], list[float]] = defaultdict(lambda: [0, 0, 0.0])
    for one in in_order(ticks):
        for place, value in enumerate((1, one.volume, one.turnover)):
            totals[day_of(one), one.symbol][place] += value
    for bar in bars(ticks, every, auctions=auctions):
        key = day_of(Tick(bar["symbol"], 0, bar["time"], 0, 0, 0, 0, 0)), bar["symbol"]
        for place, name in enumerate(("ticks", "volume", "turnover")):
            totals[key][place] -= bar[name]
    assert all(rows == volume == 0 and isclose(turnover, 0, abs_tol=1e-6) for rows, volume, turnover in totals.values())


@given(TICKS, st.sampled_from(("5s", "1m", "7m", "1h", "4h")), AUCTIONS)
def test_a_bar_of_time_is_within_its_session(ticks: list[Tick], every: str, auctions: Auctions) -> None:
    """Its label is its begin, as many steps after the session's begin as there are, and its prices are in order."""
    for bar in bars(ticks, every, auctions=auctions):
        sessions = {one.name: one for one in sessions_of(day_of(Tick("", 0, bar["time"], 0, 0, 0, 0, 0)))}
        session = sessions[bar["session"]]
        assert session.begin_ms <= bar["time"] < bar["end"] <= session.end_ms
        assert (bar["time"] - session.begin_ms) % STEPS[every] == 0
        assert bar["ticks"] > 0
        assert bar["bought"] + bar["sold"] <= bar["volume"]
        if bar["open"] is not None:
            assert bar["low"] <= min(bar["open"], bar["close"]) <= max(bar["open"], bar["close"]) <= bar["high"]
        if bar["vwap"] is not None:
            assert bar["low"] <= bar["vwap"] * (1 + 1e-12)
            assert bar["vwap"] <= bar["high"] * (1 + 1e-12)


@given(TICKS, st.sampled_from(("1m", "7m", "1h")))
def test_futus_bars_are_the_same_with_other_labels(ticks: list[Tick], every: str) -> None:
    """Labelled at their end; only the opening auction is a bar of its own, labelled 09:30."""
    own, merged = (bars(ticks, every, auctions=auctions) for auctions in ("own", "merge"))
    expected = [bar for bar in own if bar["session"] == "pre-opening"]
    made = bars(ticks, every, like="futu")
    assert [bar for bar in made if bar["session"] == "pre-opening"] == [bar | {"time": bar["end"]} for bar in expected]
    last = [bar for bar in made if bar["session"] == "afternoon"]
    assert last == [bar | {"time": bar["end"]} for bar in merged if bar["session"] == "afternoon"]
    assert {bar["session"] for bar in made} <= {"pre-opening", "morning", "afternoon"}
