"""The two bounds: what is missing at least and at most, as pure arithmetic, and in the example of docs/proof.md."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from support.scenario import SEC, clock, snapshot_of
from support.ticks import DAY, HSBC, OPEN_MS, TENCENT, push, reply, row, seq_at

from hk_tick_collector import ledger
from hk_tick_collector.db import Pragmas
from hk_tick_collector.ledger.rows import TotalsRow
from hk_tick_collector.ledger.totals import (
    LATE_MS,
    ROUNDED_MS,
    Holding,
    counts_from_ms,
    counts_until_ms,
    key_at,
    least_missing,
    most_missing,
    revised,
    shares_since,
    ticks_between,
)
from hk_tick_collector.opend.purpose import Purpose
from hk_tick_collector.seal.open_day import open_day

if TYPE_CHECKING:
    from support.scenario import Scenario

PROOF = Path(__file__).parents[3] / "docs" / "proof.md"
T = OPEN_MS


def told(volume: int = 1000, **fields: int | None) -> TotalsRow:
    """A snapshot that came at `T`, of a symbol that was traded 10 s before."""
    times = {"own_ms": T - 10 * SEC, "exchange_ms": T, "until_ms": T, **fields}
    row = TotalsRow(TENCENT, T, 1, 0, volume, 0.0, asked_ms=times.pop("asked_ms", None), our_volume=0,
                    our_turnover=0.0, our_rows=0, our_last_seq=None, **times)  # fmt: skip
    return row._replace(may_ms=counts_until_ms(row))


@pytest.mark.parametrize(
    ("fields", "since_own"),
    [
        ({}, 0),
        ({"exchange_ms": None}, None),  # no two clocks agree
        ({"own_ms": None}, None),
        ({"own_ms": T + ROUNDED_MS + 1}, None),  # no time of a trade
        ({"own_ms": T + ROUNDED_MS}, 12 * SEC),
        ({"market_ms": T - 3 * SEC}, 7 * SEC),  # others were traded later: the answer is not frozen
        ({"market_ms": T - 3 * SEC, "own_ms": None}, 7 * SEC),
        ({"market_ms": T + 3 * SEC}, 10 * SEC),  # but it was made up at the latest when it came
        ({"market_ms": T - 3 * SEC, "asked_ms": T - 4 * SEC}, 6 * SEC),  # or when it was asked for
        ({"market_ms": T - 30 * SEC}, 0),
    ],
)
def test_a_snapshot_must_have_counted_what_was_traded_15_s_before_its_own_time(
    fields: dict[str, int | None], since_own: int | None
) -> None:
    """Or before that of any other symbol, where this one is not traded."""
    row = told(**fields)
    assert counts_from_ms(row, row.exchange_ms) == (None if since_own is None else T - 10 * SEC - LATE_MS + since_own)


@pytest.mark.parametrize(
    ("fields", "until"),
    [
        ({}, T + ROUNDED_MS),
        ({"exchange_ms": None}, None),
        ({"own_ms": T + 1500}, T + 1500 + ROUNDED_MS),
        ({"market_ms": T + 5 * SEC}, T + 7 * SEC),
        ({"own_ms": None}, T + ROUNDED_MS),
    ],
)
def test_a_snapshot_can_not_have_counted_what_was_traded_after_it_came(
    fields: dict[str, int | None], until: int | None
) -> None:
    """By the latest of all times that are told of it, and two seconds."""
    assert counts_until_ms(told(**fields)) == until


def test_a_snapshot_that_was_told_again_counts_as_of_then() -> None:
    """What it must have counted is more."""
    again = told(market_ms=T + 60 * SEC)
    assert counts_from_ms(again, T + 60 * SEC) == T + 60 * SEC - LATE_MS


def test_the_bounds_are_what_is_told_less_what_it_may_and_must_have_counted() -> None:
    """Of 900 shares 200 came after it and 500 after what it must have counted."""
    holding = Holding(900, 9, None, {}, {}, is_timely=True)
    assert least_missing(told(1000), holding, 200) == 300
    assert most_missing(told(1000), holding, 500) == 600


def test_revisions_make_each_bound_weaker() -> None:
    """At least: as if all were counted with the most; at most: with the least; each only if it was traded by then."""
    early, late = seq_at(1, T - 60 * SEC), seq_at(2, T + 60 * SEC)
    holding = Holding(900, 9, late, {early: 70, late: 7}, {early: -50, late: -5}, is_timely=True)
    assert least_missing(told(1000), holding, 0) == 100 - 70
    assert most_missing(told(1000), holding, 0) == 100 + 50


def test_a_key_is_the_least_sequence_of_its_second() -> None:
    """So that a range of sequences is a range of times."""
    assert key_at(T + 999) == seq_at(0, T)
    assert key_at(-5) == 0


def test_what_is_stored_is_summed_from_a_place_on(tmp_path: Path) -> None:
    """From a sequence on, that one included; the end of a range is not."""
    day = open_day(tmp_path / f"{DAY}.db", Pragmas())
    rows = [row(TENCENT, seq_at(n, T + n * SEC), T + n * SEC, volume=10**n) for n in range(5)]
    day.store({TENCENT: rows, HSBC: [row(HSBC, 7)]}, {TENCENT: [row(TENCENT, rows[1][1], T + SEC, volume=4)]})
    con = day.connection
    keys = key_at(T + SEC), key_at(T + 3 * SEC)
    holding = Holding(11111, 5, rows[-1][1], *revised(con, TENCENT), is_timely=True)
    assert [shares_since(con, TENCENT, holding, key) for key in keys] == [11110, 11000]
    assert shares_since(con, TENCENT, holding, rows[-1][1] + 1) == 0
    assert ticks_between(con, TENCENT, *keys) == 2
    assert (holding.more, holding.less) == ({}, {rows[1][1]: -6})
    assert day.untimely == {HSBC}, "a sequence that has no time in it"
    day.close()


# ---- the example of docs/proof.md


def test_the_worked_example_has_its_numbers(scenario: Scenario) -> None:
    """A symbol trades 100 shares at 10:00:00, :20, :40 and 10:01:00; the push of :20 is lost, and polled at last."""
    scenario.at("09:55:00")
    scenario.prove_types()

    def traded(text: str) -> None:
        scenario.at(text)
        scenario.trade()

    def told(text: str) -> list[tuple[int | None, int | None]]:
        scenario.at(text)
        scenario.hear(snapshot_of({TENCENT: scenario.counted[TENCENT]}))
        scenario.write()
        return scenario.bounds()

    traded("10:00:00")
    assert told("10:00:10") == [(None, 100)]
    scenario.at("10:00:20")
    lost = scenario.lose()
    traded("10:00:40")
    assert told("10:00:50") == [(0, 100), (None, 200)]
    traded("10:01:00")
    assert told("10:01:50") == [(0, 100), (100, 200), (None, 200)]
    columns = "cause, before_seq, after_seq, end_ms, missing_volume, state"
    gap = ("unknown", None, seq_at(4, clock("10:01:00")), clock("10:00:52"), 100)
    assert scenario.gaps(columns) == [(*gap, "open")]
    scenario.at("10:02:48")
    scenario.trade(HSBC)
    scenario.at("10:02:50")
    scenario.tell()
    scenario.write()
    assert scenario.bounds() == [(0, 100), (100, 200), (100, 100)], "the fourth is the third, told again: that is all"
    scenario.hear(reply(TENCENT, lost, purpose=Purpose.POLL))
    scenario.wait(60)
    scenario.trade(HSBC)
    for _ in range(2):
        scenario.tell()
        scenario.wait(30)
    scenario.write()
    assert scenario.bounds()[-1] == (0, 0)
    assert scenario.gaps(columns) == [(*gap, "filled")]


def test_the_ledgers_page_and_the_documents_have_the_same_example() -> None:
    """With bounds that follow from its shares."""
    of_page = re.findall(r"(\d\d:\d\d:\d\d) +(\d+) .* (\d+) +(\d+) +(\d+) to (\d+)", ledger.__doc__ or "")
    of_document = re.findall(
        r"\| (\d\d:\d\d:\d\d) \| (\d+) \| .* \| (\d+) \| (\d+) \| (\d+) to (\d+) \|", PROOF.read_text().replace("*", "")
    )
    assert len(of_page) == 4
    assert of_page == of_document
    for _, *numbers in of_page:
        volume, may, must, least, most = map(int, numbers)
        assert (volume - may, volume - must) == (least, most)


def test_a_late_snapshot_makes_no_loss_and_a_push_that_is_under_way_neither(scenario: Scenario) -> None:
    """The bound is taken when what was under way has come; a snapshot that counts too little only weakens it."""
    scenario.at("09:55:00")
    scenario.prove_types()
    for number in range(12):
        scenario.wait(20)
        made = scenario.made()
        scenario.tell(
            **({"tencent": 100 * number} if number % 3 else {})
        )  # now and then it has not counted the last yet
        scenario.wait(8)
        scenario.hear(push(TENCENT, made))
    scenario.close()
    scenario.write()
    assert scenario.gaps() == []
    assert all(least is None or least <= 0 for least, _ in scenario.bounds())
