"""Following a DATA_ROOT from the past into the present."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import pytest
from support.reading import LiveDay, archive_day, keys, store_day
from support.ticks import DAY, HSBC, NEXT_DAY, OPEN_MS, TENCENT, row, seq_at

from hk_tick_collector.errors import ConfigError, DatabaseError, NoDataError
from hk_tick_collector.hktime import DAY_MS
from hk_tick_collector.read import follow as follow_module
from hk_tick_collector.read.data_root import DataRoot

if TYPE_CHECKING:
    from pathlib import Path

    from hk_tick_collector.mapping import Row
    from hk_tick_collector.read.follow import Follow

BEFORE = "20260730"
DAYS = {BEFORE: -DAY_MS, DAY: 0, NEXT_DAY: DAY_MS}


def tick(ordinal: int, day: str = DAY, symbol: str = TENCENT, **fields: Any) -> Row:  # noqa: ANN401 - columns
    """A tick of a day, a second after the one before."""
    ts_ms = OPEN_MS + DAYS[day] + ordinal * 1000
    return row(symbol, seq_at(ordinal, ts_ms), ts_ms, **fields)


def key(ordinal: int, day: str = DAY, symbol: str = TENCENT) -> tuple[str, int]:
    """Its key."""
    return tick(ordinal, day, symbol)[:2]


def now(follow: Follow) -> list[tuple[str, int]]:
    """All that it gives without waiting."""
    found: list[tuple[str, int]] = []
    while (batch := follow.poll()) is not None:
        found += keys([batch])
    return found


@pytest.fixture(autouse=True)
def eager(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every look is at all days: no test waits for a second."""
    monkeypatch.setattr(follow_module, "SELDOM_SEC", 0.0)


def test_the_past_and_the_present_come_without_a_seam(tmp_path: Path) -> None:
    """An archived day, one that is over, one that is written; then the next day begins, and a late tick comes."""
    archive_day(store_day(tmp_path / f"{BEFORE}.db", [tick(n, BEFORE) for n in (1, 2)]))
    live = LiveDay(tmp_path / f"{DAY}.db")
    live.push(tick(1), tick(1, symbol=HSBC))
    with DataRoot(tmp_path).follow(since="2026-07-30") as follow:
        assert now(follow) == [key(1, BEFORE), key(2, BEFORE), key(1, symbol=HSBC), key(1)]
        live.push(tick(3))
        assert now(follow) == [key(3)]
        tomorrow = LiveDay(tmp_path / f"{NEXT_DAY}.db")
        tomorrow.push(tick(1, NEXT_DAY))
        live.fetch(tick(2))
        assert now(follow) == [key(2), key(1, NEXT_DAY)]
        assert now(follow) == []
    live.end()
    tomorrow.end()


def test_ticks_traded_before_the_moment_are_left_out(tmp_path: Path) -> None:
    """Also if they come late; earlier days are not looked at."""
    store_day(tmp_path / f"{BEFORE}.db", [tick(1, BEFORE)])
    live = LiveDay(tmp_path / f"{DAY}.db")
    live.push(*(tick(n) for n in (1, 5, 9)))
    with DataRoot(tmp_path).follow([TENCENT], since="2026-07-31 10:00:05") as follow:
        assert now(follow) == [key(5), key(9)]
        live.fetch(tick(2), tick(6))
        assert now(follow) == [key(6)]
    live.end()


def test_without_a_moment_it_begins_now(tmp_path: Path) -> None:
    """What is committed from now on, also on the day that is being written, and late ticks of it."""
    store_day(tmp_path / f"{BEFORE}.db", [tick(1, BEFORE)])
    live = LiveDay(tmp_path / f"{DAY}.db")
    live.push(tick(5))
    with DataRoot(tmp_path).follow(700, columns=["symbol", "seq"]) as follow:
        assert now(follow) == []
        live.fetch(tick(3), tick(3, symbol=HSBC))
        batch = follow.poll()
        assert batch is not None
        assert batch.to_pylist() == [dict(zip(("symbol", "seq"), key(3), strict=True))]
    live.end()


def test_it_begins_in_an_empty_directory(tmp_path: Path) -> None:
    """Before the first tick of all."""
    with DataRoot(tmp_path).follow() as follow:
        assert now(follow) == []
        live = LiveDay(tmp_path / f"{DAY}.db")
        live.push(tick(1))
        assert now(follow) == [key(1)]
        live.end()


def test_odd_lots_can_be_left_out(tmp_path: Path) -> None:
    """By the preset; `counted` is proven too late."""
    store_day(tmp_path / f"{DAY}.db", [tick(1), tick(2, tick_type_id=6), tick(3, tick_type_id=99)])
    data = DataRoot(tmp_path)
    with data.follow(since="2026-07-31", types="no_odd_lots") as follow:
        assert now(follow) == [key(1), key(3)]
    with data.follow(since="2026-07-31", types=["ODD_LOT", 99]) as follow:
        assert now(follow) == [key(2), key(3)]
    with pytest.raises(ConfigError) as refused:
        data.follow(since="2026-07-31", types="counted")
    assert str(refused.value) == (
        "types='counted' is proven only when a day is over: expected 'no_odd_lots' or names of types"
    )


def test_it_waits_for_the_next_commit(tmp_path: Path) -> None:
    """As an iterator; the writer is another thread, and commits once it waits."""
    live = LiveDay(tmp_path / f"{DAY}.db")
    live.push(tick(1))
    follow = DataRoot(tmp_path).follow(since="2026-07-31")
    assert keys([next(follow)]) == [key(1)]
    assert follow.poll() is None
    writing = threading.Timer(0.1, live.push, (tick(2),))
    writing.start()
    assert keys([next(follow)]) == [key(2)]
    writing.join()
    follow.close()
    assert iter(follow) is follow
    live.end()


def test_a_day_that_is_away_is_refused(tmp_path: Path) -> None:
    """A hole in the past would not be seen later."""
    store_day(tmp_path / f"{NEXT_DAY}.db", [tick(1, NEXT_DAY)])
    (tmp_path / f"{DAY}.certificate.json").touch()
    with pytest.raises(NoDataError, match=r"^the ticks of 2026-07-31 are away"):
        DataRoot(tmp_path).follow(since=BEFORE)
    with DataRoot(tmp_path).follow(since=NEXT_DAY) as follow:
        assert now(follow) == [key(1, NEXT_DAY)]


def test_a_data_root_that_is_removed_is_one_line(tmp_path: Path) -> None:
    """Of a class of ours."""
    root = tmp_path / "data"
    root.mkdir()
    with DataRoot(root).follow(since=DAY) as follow:
        root.rmdir()
        with pytest.raises(DatabaseError) as failed:
            follow.poll()
    assert str(failed.value) == f"{root} can't be read: No such file or directory"


def test_quiet_days_are_looked_at_now_and_then(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ten years of days must not be looked at twenty times a second; the newest day is."""
    seconds = [0.0]
    monkeypatch.setattr(follow_module, "SELDOM_SEC", 1.0)
    monkeypatch.setattr(follow_module.time, "monotonic", lambda: seconds[0])
    for day in (BEFORE, DAY):
        store_day(tmp_path / f"{day}.db", [tick(1, day)])
    follow = DataRoot(tmp_path).follow(since=BEFORE)
    assert now(follow) == [key(1, BEFORE), key(1)]
    for one in follow._days.values():
        one._clock = lambda: seconds[0]
        one._changed_at = 0.0
    seconds[0] = 10.0
    assert now(follow) == []
    for day in (BEFORE, DAY):
        live = LiveDay(tmp_path / f"{day}.db")
        live.push(tick(2, day))
        live.end()
    seconds[0] = 10.5
    assert now(follow) == [key(2)]
    seconds[0] = 11.1
    assert now(follow) == [key(2, BEFORE)]
    follow.close()
