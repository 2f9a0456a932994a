"""What bars need to know of a day, from its database and from its archive; and `DataRoot.bars`, which uses it."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING, Any

import pytest
from support.gap_row import put_gaps
from support.reading import LiveDay, archive_day, store_day
from support.sealing import seal_day
from support.tick_batches import AUCTION, ODD_LOT, Tick, at, hk_clock, tick
from support.ticks import HSBC, TENCENT, row

from hk_tick_collector.db import DayDatabase, Pragmas
from hk_tick_collector.errors import ConfigError, NoDataError, NotProvenError
from hk_tick_collector.read.bar_rules import DayFacts
from hk_tick_collector.read.data_root import DataRoot
from hk_tick_collector.read.sources import facts_on, rows_on

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from hk_tick_collector.mapping import Row

pytest.importorskip("pyarrow")

DAY = "20261120"
OPEN_GAP = {"before_ts_ms": at("10:00:10"), "after_ts_ms": at("10:02:30"), "symbol": TENCENT}
TICKS = [
    tick("09:20:05", 99.0, 5000, type=AUCTION),
    tick("10:00:10", 100.0, seq=11),
    tick("10:00:20", 90.0, 3, type=ODD_LOT),
    tick("10:02:30", 102.0),
    tick("12:08:05", 101.0, 9000, type=AUCTION),
    tick("10:00:10", 50.0, symbol=HSBC),
]


def rows(ticks: Iterable[Tick]) -> list[Row]:
    """As a database has them."""
    return [
        row(t.symbol, t.seq, t.ts_ms, price=t.price, volume=t.volume, turnover=t.turnover, direction_id=t.direction,
            tick_type_id=t.type)
        for t in ticks
    ]  # fmt: skip


def tell_calendar(path: Path, date_type: str) -> None:
    """OpenD's calendar says what kind of day it is."""
    with closing(DayDatabase(path, Pragmas())) as day:
        day.begin()
        day.connection.execute("INSERT INTO trade_dates (day, date_type) VALUES (?, ?)", (path.stem, date_type))
        day.commit()


@pytest.fixture
def database(tmp_path: Path) -> Path:
    """A half day with two gaps, one of them filled."""
    path = store_day(tmp_path / f"{DAY}.db", rows(TICKS))
    put_gaps(path, OPEN_GAP, {**OPEN_GAP, "state": "filled", "before_ts_ms": at("11:00"), "after_ts_ms": at("11:01")})
    tell_calendar(path, "morning")
    return path


def of(columns: str, bars: Any) -> list[tuple[Any, ...]]:  # noqa: ANN401 - a pyarrow.Table
    """Some columns of bars, times on Hong Kong's clock."""
    found = [
        map(hk_clock, bars.column(name).cast("int64").to_pylist())
        if name in {"time", "end"}
        else bars.column(name).to_pylist()
        for name in columns.split()
    ]
    return list(zip(*found, strict=True))


def test_a_days_facts_are_its_kind_its_last_trade_and_its_open_gaps(database: Path) -> None:
    """A filled gap is none any more."""
    assert facts_on(database.parent, DAY) == DayFacts(
        "morning", at("12:08:05"), {TENCENT: [(at("10:00:10"), at("10:02:30"))]}
    )
    assert rows_on(database.parent, DAY) == {TENCENT: 5, HSBC: 1}


def test_an_archived_day_has_the_same_facts(database: Path) -> None:
    """They are in its certificate, and in the file."""
    facts, counts = facts_on(database.parent, DAY), rows_on(database.parent, DAY)
    seal_day(database)
    archive_day(database)
    assert not database.exists()
    assert facts_on(database.parent, DAY) == facts
    assert rows_on(database.parent, DAY) == counts


def test_a_gap_without_ticks_beside_it_has_the_bounds_of_its_outage(tmp_path: Path) -> None:
    """When the stream was proven last, and when it resumed."""
    path = store_day(tmp_path / f"{DAY}.db", rows(TICKS))
    put_gaps(path, {"since_ms": at("10:00"), "resumed_ms": at("10:05")}, {"since_ms": None, "resumed_ms": at("10:06")})
    assert facts_on(tmp_path, DAY).gaps == {TENCENT: [(at("10:00"), at("10:05")), (None, at("10:06"))]}


def test_a_day_that_has_only_begun_has_no_facts(tmp_path: Path) -> None:
    """Its first transaction is not committed yet."""
    (tmp_path / f"{DAY}.db").touch()
    assert facts_on(tmp_path, DAY) == DayFacts()
    assert rows_on(tmp_path, DAY) == {}


def test_a_live_day_has_facts(tmp_path: Path) -> None:
    """As they are now."""
    day = LiveDay(tmp_path / f"{DAY}.db")
    day.push(*rows(TICKS[:2]))
    assert facts_on(tmp_path, DAY) == DayFacts(None, at("10:00:10"), {})
    day.push(*rows(TICKS[2:]))
    assert facts_on(tmp_path, DAY) == DayFacts(None, at("12:08:05"), {})
    day.end()


def test_the_data_root_gives_bars(database: Path) -> None:
    """Of one symbol or all, with the day's sessions and gaps, whether it is a database or an archive."""
    data = DataRoot(database.parent)
    expected = [
        ("09:00:00", "pre-opening", 99.0, 5000, False),
        ("10:00:00", "morning", 100.0, 103, True),
        ("10:02:00", "morning", 102.0, 100, True),
        ("12:00:00", "closing auction", 101.0, 9000, False),
    ]
    bars = data.bars("HK.00700", "2026-11-20")
    assert of("time session close volume gap", bars) == expected
    everything = data.bars(every="1d")
    assert of("symbol volume gap", everything) == [(HSBC, 100, False), (TENCENT, 14_203, True)]
    seal_day(database)
    archive_day(database)
    assert data.bars("HK.00700", "2026-11-20").equals(bars)


def test_types_of_ticks_that_are_asked_for_set_the_prices(database: Path) -> None:
    """Only they count. A preset leaves types out, and the usual ones set prices."""
    data = DataRoot(database.parent)
    assert of("close volume", data.bars("700", "2026-11-20", types=["ODD_LOT"])) == [(90.0, 3)]
    assert of("low volume", data.bars("700", "2026-11-20", "1d", types=(1, 6))) == [(90.0, 203)]
    assert of("low volume", data.bars("700", "2026-11-20", "1d", types="no_odd_lots")) == [(99.0, 14_200)]


def test_a_range_within_a_day_has_the_bars_of_its_ticks(database: Path) -> None:
    """The bar in which it ends has only the ticks before."""
    data = DataRoot(database.parent)
    bars = data.bars("700", ("2026-11-20 10:00:15", "2026-11-20 10:02:30"))
    assert of("time close volume", bars) == [("10:00:00", None, 3)]


def test_bars_are_refused_as_ticks_are(database: Path) -> None:
    """For a symbol that is not there, a proof that is not there, and an interval that is none."""
    data = DataRoot(database.parent)
    with pytest.raises(NoDataError, match=r"^no data of HK.00001 on 2026-11-20: "):
        data.bars("HK.00001", "2026-11-20")
    with pytest.raises(NotProvenError, match=r'^require="complete" does not hold for HK.00700 on 2026-11-20 '):
        data.bars("HK.00700", "2026-11-20", require="complete")
    with pytest.raises(ConfigError, match=r"^every='1x', expected a time such as "):
        data.bars("HK.00700", "2026-11-20", "1x")
