"""The writer's places in the journal: what is read back, and what is no place."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from hk_tick_collector.journal.cursor import (
    CURSOR,
    Wait,
    first_for_day,
    load_cursor,
    load_waits,
    needed_from,
    save_cursor,
)
from hk_tick_collector.journal.segments import Position, segment_name

if TYPE_CHECKING:
    from pathlib import Path

WAIT = Wait(Position(2, 30, 4), 1_785_000_000_000, "BusyError: database is locked")


def test_days_that_wait_have_places_of_their_own(tmp_path: Path) -> None:
    """They are read back as they were put down, and the journal is needed from the earliest of all places on."""
    save_cursor(tmp_path, Position(5, 6, 7))
    assert load_waits(tmp_path) == {}
    assert needed_from(tmp_path) == Position(5, 6, 7)
    waits = {"20260730": WAIT, "20260731": WAIT._replace(place=Position(3, 0, -1))}
    save_cursor(tmp_path, Position(5, 6, 7), waits)
    assert load_cursor(tmp_path) == Position(5, 6, 7)
    assert load_waits(tmp_path) == waits
    assert needed_from(tmp_path) == WAIT.place


def test_a_day_begins_in_the_journal_of_the_day_before(tmp_path: Path) -> None:
    """Its ticks may be received before its clock has begun; where that is gone, it begins with what there is."""
    assert first_for_day(tmp_path, "20260731") == Position(0, 0, -1)
    for day, number in (("20260729", 3), ("20260730", 4), ("20260730", 5), ("20260731", 6)):
        (tmp_path / segment_name(day, number)).touch()
    assert first_for_day(tmp_path, "20260731") == Position(4, 0, -1)
    assert first_for_day(tmp_path, "20260715") == Position(3, 0, -1)
    assert first_for_day(tmp_path, "20260910") == Position(3, 0, -1), "a clock was wrong: all of it may be of that day"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "null",
        "[1, 2, 3]",
        "\x00\x00\x00",
        "{}",
        '{"segment": 1, "offset": 2}',
        '{"segment": 1, "offset": "x", "record_no": 3}',
        '{"segment": 1, "offset": null, "record_no": 3}',
        '{"segment": 1, "offset": Infinity, "record_no": 3}',
        '{"segment": 1, "offset": -1, "record_no": 3}',
        '{"segment": -1, "offset": 0, "record_no": 3}',
        '{"segment": 1, "offset": 0, "record_no": 3, "waits": []}',
        '{"segment": 1, "offset": 0, "record_no": 3, "waits": {"20260731": 5}}',
        '{"segment": 1, "offset": 0, "record_no": 3, "waits": {"20260731": [[1, 2], 5, "", false]}}',
        '{"segment": 1, "offset": 0, "record_no": 3, "waits": {"20260731": [[-1, 2, 3], 5, "", false]}}',
    ],
)
def test_a_cursor_that_makes_no_sense_replays_everything(tmp_path: Path, text: str) -> None:
    """A torn or foreign cursor file counts as none: what the journal holds is stored again from its beginning."""
    (tmp_path / CURSOR).write_text(text)
    assert load_cursor(tmp_path) is None
    assert load_waits(tmp_path) == {}
    assert needed_from(tmp_path) is None


def test_a_cursor_that_is_not_utf8_replays_everything(tmp_path: Path) -> None:
    """Bytes that are no text are no cursor."""
    (tmp_path / CURSOR).write_bytes(b"\xff\xfe{")
    assert load_cursor(tmp_path) is None


def test_the_cursor_is_replaced_whole(tmp_path: Path) -> None:
    """A cursor is never seen half written: the file is put into place by its name."""
    save_cursor(tmp_path, Position(1, 2, 3))
    before = (tmp_path / CURSOR).stat().st_ino
    save_cursor(tmp_path, Position(4, 5, 6))
    assert (tmp_path / CURSOR).stat().st_ino != before
    assert load_cursor(tmp_path) == Position(4, 5, 6)
    assert json.loads((tmp_path / CURSOR).read_text()).items() >= {"segment": 4, "offset": 5, "record_no": 6}.items()
