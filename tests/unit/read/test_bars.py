"""Bars of single days, tick by tick: which bar a trade is in, what its prices are, what the labels say."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest
from support.tick_batches import (
    AUCTION,
    BUY,
    INTER_AUTO_MATCH,
    LATE,
    NON_AUTO_MATCH,
    ODD_LOT,
    SELL,
    Tick,
    as_dicts,
    at,
    batches_of,
    hk_clock,
    tick,
)

from hk_tick_collector.errors import ConfigError, DatabaseError
from hk_tick_collector.read.bar_rules import DayFacts
from hk_tick_collector.read.bars import bar_schema, make_bars

if TYPE_CHECKING:
    from collections.abc import Iterable

pytest.importorskip("pyarrow")

WHOLE, HALF = DayFacts("whole"), DayFacts("morning")


def bars(ticks: Iterable[Tick], every: str = "1m", facts: DayFacts = WHOLE, **options: Any) -> list[dict[str, Any]]:  # noqa: ANN401
    """Bars as rows, all their times on Hong Kong's clock."""
    made = as_dicts(make_bars(batches_of(ticks), every, facts=lambda _: facts, **options))
    return [bar | {"time": hk_clock(bar["time"]), "end": hk_clock(bar["end"])} for bar in made]


def of(columns: str, rows: list[dict[str, Any]]) -> list[tuple[Any, ...]]:
    """Some columns of rows."""
    return [tuple(row[name] for name in columns.split()) for row in rows]


def test_a_bar_has_the_figures_of_its_ticks() -> None:
    """Each column, of the simplest case."""
    (bar,) = bars(
        [
            tick("10:00:00", 100.0, 200, direction=BUY),
            tick("10:00:01", 101.0, 300, direction=BUY),
            tick("10:00:02", 99.0, 400, direction=SELL),
            tick("10:00:59.999", 100.5, 100),
        ]
    )
    assert bar == {
        "symbol": "HK.00700",
        "time": "10:00:00",
        "end": "10:01:00",
        "session": "morning",
        "open": 100.0,
        "high": 101.0,
        "low": 99.0,
        "close": 100.5,
        "vwap": (20_000 + 30_300 + 39_600 + 10_050) / 1000,
        "volume": 1000,
        "turnover": 99_950.0,
        "ticks": 4,
        "bought": 500,
        "sold": 400,
        "gap": False,
    }


def test_the_columns_have_the_types_that_are_documented() -> None:
    """Times on Hong Kong's clock; words as dictionaries; only prices can be null. So has a table without bars."""
    made = make_bars(batches_of([tick("10:00")]), facts=lambda _: WHOLE)
    assert made.schema.equals(bar_schema())
    assert str(made.schema.field("time").type) == "timestamp[ms, tz=Asia/Hong_Kong]"
    none = make_bars([], facts=lambda _: WHOLE)
    assert none.schema.equals(bar_schema())
    assert none.num_rows == 0


def test_no_trades_make_no_bar() -> None:
    """A minute without a tick is not there; nothing is filled in."""
    found = bars([tick("10:00:00"), tick("10:02:00")])
    assert of("time", found) == [("10:00:00",), ("10:02:00",)]


def test_the_order_within_a_second_is_that_of_the_sequences() -> None:
    """The exchange's, whatever the prices."""
    found = bars([tick("10:00", 102.0, seq=12), tick("10:00", 101.0, seq=11), tick("10:00", 103.0, seq=13)])
    assert of("open close", found) == [(101.0, 103.0)]


def test_without_real_sequences_the_order_is_that_of_the_times() -> None:
    """Made-up sequences say nothing about order; another symbol with real ones keeps its own."""
    made_up = [tick("10:00:02", 102.0, seq=-7), tick("10:00:01", 101.0, seq=-2), tick("10:00:03", 103.0, seq=-9)]
    real = [tick("10:00:02", 52.0, seq=1, symbol="HK.00005"), tick("10:00:01", 51.0, seq=2, symbol="HK.00005")]
    assert of("symbol open close", bars([*made_up, *real])) == [("HK.00005", 52.0, 51.0), ("HK.00700", 101.0, 103.0)]


def test_a_tick_that_was_told_late_belongs_to_the_bar_of_its_time() -> None:
    """Its sequence is after the others', so it is that bar's last trade; there is no second bar of that time."""
    found = bars([tick("10:00:10", 100.0, seq=1), tick("10:01:10", 101.0, seq=2), tick("10:00:50", 102.0, seq=3)])
    assert of("time close ticks", found) == [("10:00:00", 102.0, 2), ("10:01:00", 101.0, 1)]


# ---- sessions


def test_auctions_are_bars_of_their_own() -> None:
    """Labelled at the begin of their session, in which the orders are collected; bars in between are by the clock."""
    found = bars(
        [
            tick("09:20:05", 99.0, 5000, type=AUCTION),
            tick("09:30:00"),
            tick("11:59:59"),
            tick("13:00:00"),
            tick("15:59:59"),
            tick("16:04:41", 98.0, 60, type=ODD_LOT),
            tick("16:08:17", 101.0, 9000, type=AUCTION),
        ]
    )
    assert of("time end session open volume", found) == [
        ("09:00:00", "09:30:00", "pre-opening", 99.0, 5000),
        ("09:30:00", "09:31:00", "morning", 100.0, 100),
        ("11:59:00", "12:00:00", "morning", 100.0, 100),
        ("13:00:00", "13:01:00", "afternoon", 100.0, 100),
        ("15:59:00", "16:00:00", "afternoon", 100.0, 100),
        ("16:00:00", "16:10:00", "closing auction", 101.0, 9060),
    ]


AUCTIONED = [
    tick("09:20:05", 99.0, 5000, type=AUCTION),
    tick("09:30:10", 100.0),
    tick("15:59:59", 100.0),
    tick("16:08:17", 101.0, 9000, type=AUCTION),
]


def test_merged_auctions_belong_to_the_bars_beside_them() -> None:
    """The day's first price is the opening auction's, its last the closing auction's."""
    found = bars(AUCTIONED, auctions="merge")
    assert of("time end session open close volume", found) == [
        ("09:30:00", "09:31:00", "morning", 99.0, 100.0, 5100),
        ("15:59:00", "16:00:00", "afternoon", 100.0, 101.0, 9100),
    ]


def test_dropped_auctions_are_not_there() -> None:
    """All that was traded in their sessions is left out."""
    found = bars([*AUCTIONED, tick("16:04:41", type=ODD_LOT)], auctions="drop")
    assert of("time volume", found) == [("09:30:00", 100), ("15:59:00", 100)]


def test_a_half_day_ends_with_its_auction_at_noon() -> None:
    """There is no afternoon, and the closing auction is from 12:00 to 12:10."""
    ticks = [tick("11:59:30"), tick("12:08:05", 101.0, 900, type=AUCTION)]
    assert of("time end session", bars(ticks, facts=HALF)) == [
        ("11:59:00", "12:00:00", "morning"),
        ("12:00:00", "12:10:00", "closing auction"),
    ]
    assert of("time close", bars(ticks, facts=HALF, auctions="merge")) == [("11:59:00", 101.0)]


def test_no_bar_spans_lunch() -> None:
    """Not even one of four hours: each session begins one."""
    found = bars([tick("09:30"), tick("11:59"), tick("13:00"), tick("15:59")], "4h")
    assert of("time end ticks", found) == [("09:30:00", "12:00:00", 2), ("13:00:00", "16:00:00", 2)]


def test_hours_are_counted_from_the_sessions_begin() -> None:
    """As Futu counts them: the last hour of the morning has thirty minutes."""
    found = bars([tick("09:59"), tick("10:29:59"), tick("10:30"), tick("11:30"), tick("13:30"), tick("15:00")], "1h")
    assert of("time end ticks", found) == [
        ("09:30:00", "10:30:00", 2),
        ("10:30:00", "11:30:00", 1),
        ("11:30:00", "12:00:00", 1),
        ("13:00:00", "14:00:00", 1),
        ("15:00:00", "16:00:00", 1),
    ]


def test_a_match_in_the_second_of_the_close_belongs_to_the_last_bar() -> None:
    """The order book matched it before noon or four; nothing is matched continuously in an auction."""
    found = bars([tick("12:00:00"), tick("16:00:00", 101.0), tick("16:00:01", 102.0, type=INTER_AUTO_MATCH)])
    assert of("time session close", found) == [("11:59:00", "morning", 100.0), ("15:59:00", "afternoon", 102.0)]


def test_an_opening_print_of_half_past_nine_is_the_opening_auctions() -> None:
    """By its type; a minute later it is not believed."""
    found = bars([tick("09:30:00", 99.0, type=AUCTION), tick("09:30:00", seq=2), tick("09:31:00", type=AUCTION)])
    assert of("time session", found) == [
        ("09:00:00", "pre-opening"), ("09:30:00", "morning"), ("09:31:00", "morning"),
    ]  # fmt: skip


def test_what_is_reported_outside_of_the_sessions_counts_in_the_bar_before() -> None:
    """Before nine in the opening's, in the lunch in the morning's last, at night in the closing auction's."""
    found = bars(
        [
            tick("08:45:00", type=LATE, volume=1),
            tick("12:30:00", type=NON_AUTO_MATCH, volume=2),
            tick("18:00:00", type=NON_AUTO_MATCH, volume=4),
        ]
    )
    assert of("time session volume", found) == [
        ("09:00:00", "pre-opening", 1),
        ("11:59:00", "morning", 2),
        ("16:00:00", "closing auction", 4),
    ]


# ---- types


def test_odd_lots_and_trades_off_the_exchange_set_no_price() -> None:
    """They count in volume, turnover, and ticks."""
    found = bars(
        [tick("10:00:00"), tick("10:00:01", 50.0, 60, type=ODD_LOT), tick("10:00:02", 150.0, 900, type=NON_AUTO_MATCH)]
    )
    assert of("open high low close vwap volume turnover ticks", found) == [
        (100.0, 100.0, 100.0, 100.0, 100.0, 1060, 10_000 + 3_000 + 135_000, 3)
    ]


def test_a_bar_of_odd_lots_alone_has_no_prices() -> None:
    """They are null, not zero."""
    found = bars([tick("10:00:01", 50.0, 60, type=ODD_LOT)])
    assert of("open high low close vwap volume", found) == [(None, None, None, None, None, 60)]


def test_other_types_can_set_prices() -> None:
    """Those that are named, and no others; what counts in the sums is what is in the batches."""
    ticks = [tick("10:00:00"), tick("10:00:01", 50.0, 60, type=ODD_LOT)]
    assert of("open low vwap volume", bars(ticks, price_types={6})) == [(50.0, 50.0, 50.0, 160)]
    assert of("high low volume", bars(ticks, price_types={1, 6})) == [(100.0, 50.0, 160)]
    assert of("high volume", bars(ticks, price_types={7})) == [(None, 160)]


def test_a_trade_of_no_shares_has_a_price_and_no_vwap() -> None:
    """Nothing is divided by zero."""
    assert of("open vwap", bars([tick("10:00", 50.0, 0)])) == [(50.0, None)]


# ---- bars of amounts


def test_the_tick_that_reaches_the_amount_closes_the_bar() -> None:
    """What it has too much of is not carried over; the last bar has what is left."""
    found = bars([tick(f"10:00:0{second}", volume=300) for second in range(5)], "500 shares")
    assert of("time end volume", found) == [
        ("10:00:00", "10:00:01", 600),
        ("10:00:02", "10:00:03", 600),
        ("10:00:04", "10:00:04", 300),
    ]


def test_bars_of_ticks_start_again_in_each_session() -> None:
    """No bar spans lunch; auctions are bars of their own, or part of the session beside them."""
    ticks = [*AUCTIONED, tick("13:00:00"), tick("11:00:00")]
    assert of("time ticks session", bars(ticks, "1000 ticks")) == [
        ("09:20:05", 1, "pre-opening"),
        ("09:30:10", 2, "morning"),
        ("13:00:00", 2, "afternoon"),
        ("16:08:17", 1, "closing auction"),
    ]
    assert of("time ticks", bars(ticks, "1000 ticks", auctions="merge")) == [("09:20:05", 3), ("13:00:00", 3)]


def test_bars_of_money_count_turnover() -> None:
    """In the counter's own currency; another one is refused."""
    ticks = [tick(f"10:00:0{second}", price=second + 1.0) for second in range(5)]
    assert of("turnover", bars(ticks, "300 HKD")) == [(300.0,), (300.0,), (400.0,), (500.0,)]
    with pytest.raises(ConfigError, match=r"^HK.80700 trades in CNY, and the bars were asked for in HKD$"):
        bars([tick("10:00", symbol="HK.80700")], "300 HKD")


# ---- days


def test_a_bar_of_a_day_has_its_auctions() -> None:
    """It opens with the opening auction, and is labelled with the day."""
    (bar,) = bars(AUCTIONED, "1d")
    assert of("time end session open close ticks", [bar]) == [("00:00:00", "16:10:00", "day", 99.0, 101.0, 4)]
    (bar,) = bars(AUCTIONED, "1d", auctions="drop")
    assert of("open close ticks", [bar]) == [(100.0, 100.0, 2)]


def test_bars_of_several_symbols_and_days_are_sorted() -> None:
    """By day, symbol and time; each day has its own facts."""
    ticks = [
        tick(clock, day=day, symbol=symbol)
        for day in ("20261119", "20261224")
        for symbol in ("HK.00700", "HK.00005")
        for clock in ("11:00", "12:08")
    ]
    asked = []

    def facts(day: str) -> DayFacts:
        asked.append(day)
        return HALF if day == "20261224" else WHOLE

    made = make_bars(batches_of(ticks, cuts=(3,)), "1h", facts=facts)
    assert of("symbol session", as_dicts(made)) == [
        ("HK.00005", "morning"), ("HK.00005", "morning"), ("HK.00700", "morning"), ("HK.00700", "morning"),
    ] * 2  # fmt: skip
    assert asked == ["20261119", "20261224"]


# ---- like Futu


def test_futus_bars_have_their_label_at_the_end() -> None:
    """The opening auction is a bar of its own at 09:30, the closing auction a part of the last bar at 16:00."""
    found = bars([*AUCTIONED, tick("11:59:00"), tick("12:00:00")], like="futu")
    assert of("time open close volume", found) == [
        ("09:30:00", 99.0, 99.0, 5000),
        ("09:31:00", 100.0, 100.0, 100),
        ("12:00:00", 100.0, 100.0, 200),
        ("16:00:00", 100.0, 101.0, 9100),
    ]
    assert of("time", bars([tick("11:45"), tick("12:08", type=AUCTION)], "1h", HALF, like="futu")) == [("12:00:00",)]
    assert of("time open", bars(AUCTIONED, "1d", like="futu")) == [("00:00:00", 99.0)]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"auctions": "keep"}, "auctions='keep', expected 'own', 'merge' or 'drop'"),
        ({"like": "tradingview"}, "like='tradingview', expected 'futu'"),
        (
            {"like": "futu", "auctions": "merge"},
            "expected either like='futu' or auctions=…: Futu's bars have their own way with auctions",
        ),
        (
            {"like": "futu", "every": "1000 ticks"},
            "every='1000 ticks' with like='futu', expected a time: Futu has no other bars",
        ),
    ],
)
def test_options_that_make_no_sense_are_refused(options: dict[str, Any], message: str) -> None:
    """Before a tick is read."""
    with pytest.raises(ConfigError) as refused:
        bars([], **options)
    assert str(refused.value) == message


# ---- gaps


@pytest.mark.parametrize(
    ("gap", "flagged"),
    [
        ((at("10:00:30"), at("10:01:05")), ["10:00:00", "10:01:00"]),
        ((at("10:01:00"), at("10:01:59.999")), ["10:01:00"]),
        ((at("10:00:59.999"), at("10:02:00")), ["10:00:00", "10:01:00", "10:02:00"]),
        ((None, at("10:00:00")), ["10:00:00"]),
        ((at("10:02:59"), None), ["10:02:00"]),
        ((None, None), ["10:00:00", "10:01:00", "10:02:00"]),
        ((at("11:00"), at("11:10")), []),
    ],
)
def test_a_bar_that_spans_an_open_gap_says_so(gap: tuple[int | None, int | None], flagged: list[str]) -> None:
    """A missing tick may have the time of either tick beside the gap; other symbols are not touched."""
    ticks = [tick(clock, symbol=s) for s in ("HK.00005", "HK.00700") for clock in ("10:00:30", "10:01:05", "10:02:20")]
    found = bars(ticks, facts=DayFacts("whole", gaps={"HK.00700": [gap]}))
    assert [row["time"] for row in found if row["gap"]] == flagged
    assert {row["symbol"] for row in found if row["gap"]} <= {"HK.00700"}


def test_a_bar_of_ticks_on_either_side_of_a_gap_says_so() -> None:
    """The missing ticks belong to the one or the other."""
    ticks = [tick(f"10:00:0{second}") for second in range(8)]
    found = bars(ticks, "2 ticks", DayFacts("whole", gaps={"HK.00700": [(at("10:00:03"), at("10:00:04"))]}))
    assert of("time gap", found) == [
        ("10:00:00", False), ("10:00:02", True), ("10:00:04", True), ("10:00:06", False),
    ]  # fmt: skip


# ---- the environment


def test_volumes_that_make_no_sense_are_told_and_not_wrapped() -> None:
    """A sum that no column can hold is an error in one line."""
    huge = [tick(f"10:00:0{second}")._replace(volume=2**62) for second in range(2)]
    with pytest.raises(DatabaseError, match=r"^the volumes of a bar add up to more than 2⁶³ shares: some ticks make"):
        bars(huge)


def test_bars_do_not_import_pandas() -> None:
    """It takes 0.2 s and 70 MB, and somebody who uses polars does not need it."""
    code = (
        "import sys; sys.path.insert(0, 'tests')\n"
        "from support.tick_batches import batches_of, tick\n"
        "from hk_tick_collector.read.bar_rules import DayFacts\n"
        "from hk_tick_collector.read.bars import make_bars\n"
        "ticks = [tick('10:00'), tick('10:01', seq=-1), tick('09:20', type=7)]\n"
        "for every in ('1m', '1d', '2 ticks', '300 shares'):\n"
        "    bars = make_bars(batches_of(ticks, (1,)), every, facts=lambda _: DayFacts(), price_types=[1, 7])\n"
        "    assert bars.num_rows\n"
        "assert 'pandas' not in sys.modules\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
