"""What of the journal is deleted, and that no clock alone decides it."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from support.kept_log import KeptLog, keep_log

from hk_tick_collector.clock import HostClock
from hk_tick_collector.config import Settings
from hk_tick_collector.hktime import day_before, parse_time
from hk_tick_collector.journal.cursor import save_cursor
from hk_tick_collector.journal.segments import DIRECTORY, Position, list_segments, segment_name
from hk_tick_collector.journal.segments import Segment as JournalSegment
from hk_tick_collector.seal import pruning
from hk_tick_collector.seal.pruning import KEEP_UNSEALED_DAYS, TOLD_EVERY_SEC, Pruner, prunable
from hk_tick_collector.session.state import ClientState
from hk_tick_collector.store.sealed import certificate_of

TODAY = "20260731"
DAY_SEC = 86_400


def segments_of(*days: str) -> list[JournalSegment]:
    """Segments that were begun on these days."""
    return [JournalSegment(n, day, Path(segment_name(day, n)), 10) for n, day in enumerate(days, 1)]


def going(*days: str, cursor: int = 99, today: str = TODAY) -> list[int]:
    """The numbers of those that go, where two days are kept."""
    return [
        s.number for s in prunable(segments_of(*days), *[Position(cursor, 0, 0)] * 2, today, 2, lambda _: False).going
    ]


def test_what_a_day_that_waits_still_needs_stays_for_a_month() -> None:
    """From its place on; but one that waits for ever must not fill the disk."""
    days = [day_before(TODAY, ago) for ago in range(40, -1, -1)]
    place = Position(days.index(day_before(TODAY, 20)) + 1, 0, 0)
    found = prunable(segments_of(*days), Position(99, 0, 0), place, TODAY, 2, lambda _: False)
    assert [segment.day for segment in found.held] == days[days.index(day_before(TODAY, 20)) : -3]
    assert [segment.day for segment in found.going] == days[: days.index(day_before(TODAY, 20))]
    found = prunable(segments_of(*days), Position(99, 0, 0), Position(1, 0, 0), TODAY, 2, lambda _: False)
    assert [segment.day for segment in found.going] == days[: days.index(day_before(TODAY, 30))]


def test_what_is_not_stored_or_not_old_stays() -> None:
    """Only segments that are both before the cursor's and of a day before the limit go."""
    days = ("20260727", "20260728", "20260729", "20260730", "20260731")
    assert going(*days) == [1, 2]
    assert going(*days, cursor=2) == [1]
    assert going() == []


@pytest.mark.parametrize(
    ("days", "today", "expected"),
    [
        (("20260727", "20260731", "20260807"), TODAY, [1]),  # begun while the clock was a week ahead
        (("20260727", "20260728"), "20260807", []),  # nothing came since, or the clocks are a week ahead
        (("20260727", "20260807", "20260808"), "20260728", []),  # it has been set right
        (("20260731", "19700101", "20260731"), TODAY, []),  # begun while the clock was far back
        (("20260731", "19700101", "19700101"), TODAY, []),
        (("20260727", "20350101", "20260727", "20260731"), TODAY, [1, 3]),
    ],
)
def test_a_name_by_a_wrong_clock_makes_nothing_old(days: tuple[str, ...], today: str, expected: list[int]) -> None:
    """Neither the segment itself, nor another one."""
    assert going(*days, today=today) == expected


def test_a_day_that_is_not_sealed_keeps_what_it_was_made_of() -> None:
    """Also the segments of the days beside it; but not for ever."""
    days = [day_before(TODAY, ago) for ago in range(40, -1, -1)]
    unsealed = {day_before(TODAY, 20), day_before(TODAY, KEEP_UNSEALED_DAYS + 5)}
    found = prunable(segments_of(*days), *[Position(99, 0, 0)] * 2, TODAY, 2, unsealed.__contains__)
    assert [segment.day for segment in found.held] == [day_before(TODAY, ago) for ago in (21, 20, 19)]
    assert [segment.day for segment in found.going] == [
        day for day in days[:-3] if day not in {s.day for s in found.held}
    ]


class Place:
    """A recorder with a week of journal at noon of the last day, and its clocks."""

    def __init__(self, root: Path, **settings: Any) -> None:  # noqa: ANN401
        self.root = root
        self.journal = root / DIRECTORY
        self.journal.mkdir()
        for ago in range(10, -1, -1):
            (self.journal / segment_name(day_before(TODAY, ago), 11 - ago)).write_bytes(b"x" * 10)
        save_cursor(self.journal, Position(11, 0, 0))
        self.now_ms = parse_time(f"{TODAY}120000").ms
        self.session = ClientState(HostClock(lambda: self.now_ms))
        self.session.clock.on_step = self.session.shift
        self.session.clock_offset_ms = 0
        self.pruner = Pruner(Settings(journal_keep_days=7, **settings), root, self.session)

    def left(self) -> int:
        """How many segments there are after a look."""
        asyncio.run(self.pruner.look())
        return len(list_segments(self.journal))


@pytest.fixture
def logged(monkeypatch: pytest.MonkeyPatch) -> KeptLog:
    """The lines that are logged."""
    return keep_log(pruning, monkeypatch)


def test_what_is_old_is_deleted_once(tmp_path: Path, logged: KeptLog) -> None:
    """And told."""
    place = Place(tmp_path)
    assert place.left() == 8
    assert place.left() == 8
    assert logged.lines == [("journal_pruned", {"segments": 3, "bytes": 30})]


@pytest.mark.parametrize("ahead_days", [7, -7])
def test_a_clock_that_is_set_prunes_nothing(tmp_path: Path, logged: KeptLog, ahead_days: int) -> None:
    """The moment it is set, and after a new segment was begun by it; when it is right again, it goes on."""
    place = Place(tmp_path)
    place.now_ms += ahead_days * DAY_SEC * 1000
    assert place.left() == 11
    (place.journal / segment_name(day_before(TODAY, -ahead_days), 12)).touch()
    save_cursor(place.journal, Position(12, 0, 0))
    assert place.left() == 12
    assert logged.events() == ["journal_kept"]
    assert "604,800 s" in logged.lines[0][1]["reason"]
    place.now_ms -= ahead_days * DAY_SEC * 1000
    assert place.left() == (9 if ahead_days > 0 else 12)


def test_without_opends_clock_nothing_is_pruned(tmp_path: Path, logged: KeptLog) -> None:
    """One clock is none."""
    place = Place(tmp_path)
    place.session.clock_offset_ms = None
    assert place.left() == 11
    assert logged.events() == ["journal_kept"]
    place.session.clock_offset_ms = -DAY_SEC * 1000
    assert place.left() == 11


def test_an_unsealed_day_is_told_once_a_day(tmp_path: Path, logged: KeptLog, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also one that is somewhere else for now; sealed, or where nothing is sealed, it holds nothing."""
    place = Place(tmp_path)
    database = tmp_path / f"{day_before(TODAY, 9)}.db"
    database.symlink_to(tmp_path / "away.db")
    assert place.left() == 11
    assert place.left() == 11
    reason = "3 segments of 20260721 to 20260723: a day of theirs is not sealed, or waits; see seal_failed, day_waits"
    assert logged.lines == [("journal_kept", {"reason": reason, "repeated": 0})]
    later = pruning.logs.time.monotonic() + TOLD_EVERY_SEC
    monkeypatch.setattr(place.pruner._limiter, "_clock", lambda: later)
    assert place.left() == 11
    assert logged.lines[1][1]["repeated"] == 1
    certificate_of(database).touch()
    assert place.left() == 8


def test_where_nothing_is_sealed_no_day_holds_anything(tmp_path: Path) -> None:
    """It would be for ever."""
    place = Place(tmp_path, seal_enabled=False)
    (tmp_path / f"{day_before(TODAY, 9)}.db").touch()
    assert place.left() == 8


def test_trouble_with_the_disk_or_a_name_ends_nothing(tmp_path: Path, logged: KeptLog) -> None:
    """It is told, and tried again; without a cursor nothing is known to be stored."""
    place = Place(tmp_path)
    (place.journal / "cursor.json").unlink()
    assert place.left() == 11
    save_cursor(place.journal, Position(11, 0, 0))
    strange = place.journal / segment_name("20260799", 12)
    strange.touch()
    place.now_ms += 40 * DAY_SEC * 1000
    place.session.clock.now_ms()
    place.session.clock_offset_ms = 0
    assert place.left() == 12
    assert logged.events() == ["journal_not_pruned"]
