"""A row of the older recorder as a row of ours: what each column becomes, and what is put aside."""

from __future__ import annotations

import json
from typing import Any

import pytest
from support.older_recorder import AUCTION_MS, DAY, LATE_MS, NEXT_DAY, OPEN_MS
from support.ticks import TENCENT, body, seq_at, ticker

from hk_tick_collector.mapping import Mapped, Mapper, PushType
from hk_tick_collector.migrate.old_rows import COLUMNS, DayBounds, OldRowMapper, OldRows, day_of
from hk_tick_collector.opend.numbers import DIRECTIONS, TICK_TYPES

GOOD: dict[str, Any] = {
    "symbol": TENCENT, "seq": seq_at(7, OPEN_MS), "ts_ms": OPEN_MS, "price": 372.4, "volume": 100, "turnover": 37240.0,
    "direction": "SELL", "tick_type": "AUCTION", "push_type": "poll", "market": "HK", "recv_ts_ms": OPEN_MS + 300,
    "inserted_at_ms": OPEN_MS + 900,
}  # fmt: skip


def mapped(*rows: dict[str, Any], day: str = DAY, file_day: str = DAY) -> OldRows:
    """What rows become; each is `GOOD` with some columns replaced."""
    mapper = OldRowMapper(DayBounds.of(day), file_day)
    return mapper.map([tuple({**GOOD, **row}[name] for name in COLUMNS) for row in rows])


def test_every_column_becomes_ours() -> None:
    """Names become OpenD's numbers; how OpenD's client got a tick was not kept, so it is 0."""
    out = mapped({})
    row = (TENCENT, GOOD["seq"], OPEN_MS, 372.4, 100, 37240.0, 2, 7, 1, 0, OPEN_MS + 300, OPEN_MS + 900)
    assert out.by_symbol == {TENCENT: [row]}
    assert (out.corrections, out.bad, out.late, out.unproven, out.count) == ([], [], 0, 0, 1)


def test_every_name_of_a_direction_and_a_type_is_known() -> None:
    """Also the SDK's for none, and its misspelt one; NULL is UNKNOWN, and so is a name of nobody's, which is told."""
    for number, name in DIRECTIONS.items():
        assert mapped({"direction": name}).by_symbol[TENCENT][0][6] == number
    for number, name in TICK_TYPES.items():
        assert mapped({"tick_type": name}).by_symbol[TENCENT][0][7] == number
    odd = mapped({"direction": "N/A", "tick_type": "REOPENINGP_RICED"}, {"seq": 5, "direction": None}, {"seq": 6})
    assert [row[6:8] for row in odd.by_symbol[TENCENT]] == [(0, 28), (0, 7), (2, 7)]
    assert not odd.unknown_names
    strange = mapped({"tick_type": "SIDEWAYS"})
    assert strange.by_symbol[TENCENT][0][7] == 0
    assert strange.unknown_names == {"SIDEWAYS": 1}


@pytest.mark.parametrize(("told", "number"), [("push", 0), ("poll", 1), ("backfill", 2), ("mock", 2), (None, 2)])
def test_what_does_not_say_that_it_was_pushed_counts_as_fetched(told: str | None, number: int) -> None:
    """Only a push is taken for a live one."""
    assert mapped({"push_type": told}).by_symbol[TENCENT][0][8] == number


def test_a_late_time_is_corrected_where_the_sequence_proves_it() -> None:
    """Eight hours back, with the original noted; without a sequence, or with one that differs, it stays."""
    out = mapped({"ts_ms": OPEN_MS + LATE_MS})
    (row,) = out.by_symbol[TENCENT]
    assert row[2] == OPEN_MS
    (correction,) = out.corrections
    assert correction[:5] == (TENCENT, GOOD["seq"], "", OPEN_MS + LATE_MS, OPEN_MS)
    assert correction.evidence == "repair: sequence says 8 h earlier"
    left = mapped({"ts_ms": OPEN_MS + LATE_MS, "seq": None}, {"ts_ms": OPEN_MS + LATE_MS // 2})
    assert {row[2] for row in left.by_symbol[TENCENT]} == {OPEN_MS + LATE_MS, OPEN_MS + LATE_MS // 2}
    assert (left.late, left.unproven) == (0, 1)


def test_a_row_belongs_to_the_day_of_its_right_time() -> None:
    """The closing auction of the day before, in the next day's file; an impossible time stays with its file."""
    late = {"ts_ms": AUCTION_MS + LATE_MS, "seq": seq_at(9, AUCTION_MS)}
    assert day_of(late["ts_ms"], late["seq"], NEXT_DAY) == DAY
    assert mapped(late, file_day=NEXT_DAY).by_symbol[TENCENT][0][2] == AUCTION_MS
    assert mapped(late, day=NEXT_DAY, file_day=NEXT_DAY).count == 0
    assert day_of(5, None, DAY) == day_of("x", None, DAY) == DAY
    assert len(mapped({"ts_ms": 5}).bad) == 1
    assert mapped({"ts_ms": 5}, file_day=NEXT_DAY).count == 0


def test_a_row_without_a_sequence_gets_the_one_that_this_recorder_makes_up() -> None:
    """So the same tick from both recorders is one tick; two equal ones stay two."""
    ours = Mapped()
    content = {"price": 372.4, "volume": 100, "turnover": 37240.0, "dir": 2, "type": 7, "sequence": 0}
    pushes = body(TENCENT, [ticker(1, OPEN_MS, **content), ticker(2, OPEN_MS, **content)])
    Mapper().map_bodies([pushes], [OPEN_MS + 300], PushType.PUSH, OPEN_MS + 900, ours)
    theirs = mapped({"seq": None}, {"seq": 0})
    assert [row[:8] for row in theirs.by_symbol[TENCENT]] == [row[:8] for row in ours.pushed[TENCENT]]
    assert len({row[1] for row in theirs.by_symbol[TENCENT]}) == 2


def test_a_database_without_the_time_of_reception_gives_the_time_of_storing() -> None:
    """And without either, the time of the tick."""
    (row,) = mapped({"recv_ts_ms": None}).by_symbol[TENCENT]
    assert row[10:] == (OPEN_MS + 900, OPEN_MS + 900)
    (row,) = mapped({"recv_ts_ms": 0, "inserted_at_ms": 0}).by_symbol[TENCENT]
    assert row[10:] == (OPEN_MS, OPEN_MS)


def test_a_code_without_its_market_gets_it() -> None:
    """The market has a column of its own."""
    assert list(mapped({"symbol": "00700"}).by_symbol) == [TENCENT]


@pytest.mark.parametrize(
    ("column", "value", "error"),
    [
        ("price", None, "price None, expected a finite number"),
        ("turnover", "much", "turnover 'much', expected a finite number"),
        ("volume", 100.5, "volume 100.5, expected a whole number"),
        ("volume", None, "volume None, expected a whole number"),
        ("seq", "seven", "seq 'seven', expected a whole number"),
        ("ts_ms", "noon", "ts_ms 'noon', expected a time in ms"),
        ("symbol", "", "symbol '', expected a code such as HK.00700"),
        ("symbol", b"\x00\xff", "symbol b'\\x00\\xff', expected a code such as HK.00700"),
    ],
)
def test_a_row_that_is_no_tick_is_put_aside_whole(column: str, value: object, error: str) -> None:
    """With the reason, and all of its columns as JSON."""
    out = mapped({column: value})
    assert (out.by_symbol, out.count) == ({}, 1)
    ((digest, symbol, recv_ms, reason, raw, *place),) = out.bad
    assert (len(digest), reason, place) == (16, f"older recorder's row: {error}", [0, 0, 0, 0])
    assert symbol == ("" if column == "symbol" else TENCENT)
    assert recv_ms == OPEN_MS + 300
    told = json.loads(raw)
    assert told == {**GOOD, column: value.hex() if isinstance(value, bytes) else value}
