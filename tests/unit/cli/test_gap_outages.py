"""Gaps by outage: which are of one, and what is said of it."""

from __future__ import annotations

import pytest
from support.audits import DAY, at, filled, gap

from hk_tick_collector.cli.gap_outages import losses
from hk_tick_collector.seal.catalog import DayGap


def test_the_gaps_of_an_outage_are_one_loss() -> None:
    """All symbols of it, over its own time, however long ago a quiet symbol's last tick was; days stand apart."""
    found = [
        DayGap(DAY, gap("HK.00005", before_ts_ms=at("09:30:00"))),
        DayGap(DAY, gap("HK.00700", missing=30)),
        DayGap(DAY, filled("HK.09988", missing=5)),
        DayGap(DAY, gap("HK.00005", resumed_ms=at("11:00:00"), since_ms=None)),
        DayGap("20261121", gap("HK.00005")),
    ]
    first, second, third = losses(found)
    assert first.as_dict() == {
        "day": DAY, "cause": "opend_down", "begin_ms": at("10:01:04"), "end_ms": at("10:03:12"), "symbols": 3,
        "gaps": 3, "open": 2, "ticks_lost": 42, "shares_lost": 0, "is_counted": True, "ticks_recovered": 5,
        "long_sec": 128.0,
    }  # fmt: skip
    assert (second.begin_ms, second.end_ms, second.gaps) == (at("10:01:05"), at("11:00:00"), 1)
    assert (third.day, third.gaps) == ("20261121", 1)


def test_a_symbols_second_gap_of_an_outage_is_of_the_same_loss() -> None:
    """The ledger stores it as 1 ms later, since its key would be taken; what ended 3 ms later is another outage."""
    end_ms = at("10:03:12")
    found = [DayGap(DAY, gap("HK.00700", resumed_ms=end_ms + later, missing=5)) for later in (0, 1, 2)]
    found.append(DayGap(DAY, gap("HK.00005", resumed_ms=end_ms, missing=5)))
    (loss,) = losses(found)
    assert (loss.end_ms, loss.symbols, loss.gaps, loss.ticks_lost) == (end_ms, 2, 4, 20)
    found.append(DayGap(DAY, gap("HK.00005", resumed_ms=end_ms + 3)))
    found.append(DayGap(DAY, gap("HK.00005", resumed_ms=end_ms, cause="reset")))
    assert sorted(loss.gaps for loss in losses(found)) == [1, 1, 4]


def test_without_an_outage_gaps_near_each_other_are_one_loss() -> None:
    """Pushes that were lost on a healthy connection: no common moment, but a common time."""

    def lost(symbol: str, begin: str, end: str) -> DayGap:
        return DayGap(
            DAY, gap(symbol, cause="unknown", before_ts_ms=at(begin), after_ts_ms=at(end), resumed_ms=at(end) + 7)
        )

    found = losses(
        [
            lost("HK.00005", "10:00:00", "10:00:30"),
            lost("HK.00700", "10:00:10", "10:01:00"),
            lost("HK.09988", "10:02:00", "10:02:10"),
            lost("HK.00005", "10:03:11", "10:04:00"),
        ]
    )
    assert [(loss.gaps, loss.symbols, loss.begin_ms, loss.end_ms) for loss in found] == [
        (3, 3, at("10:00:00"), at("10:02:10")),
        (1, 1, at("10:03:11"), at("10:04:00")),
    ]


@pytest.mark.parametrize(
    ("gaps", "lost", "recovered"),
    [
        ([gap()], "12 ticks", "none"),
        ([gap(), gap("HK.00005", missing=None, missing_volume=300)], "≥ 12 ticks", "none"),
        ([gap(missing=None, missing_volume=300)], "≥ 300 shares", "none"),
        ([gap(missing=None)], "some ticks", "none"),
        ([filled()], "none", "all"),
        ([gap(), filled("HK.00005", missing=1)], "12 ticks", "1 tick"),
        ([gap(), filled("HK.00005", missing=None)], "12 ticks", "some"),
    ],
)
def test_a_loss_is_said_as_exactly_as_it_is_known(gaps: list, lost: str, recovered: str) -> None:  # type: ignore[type-arg]
    """Ticks if they are counted, at least so many if not all are, else shares."""
    (loss,) = losses([DayGap(DAY, one) for one in gaps])
    assert (loss.lost_text(), loss.recovered_text()) == (lost, recovered)
