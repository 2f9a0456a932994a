"""Which days are archived in the night, which databases go, and which days have late ticks."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from support.archiving import archive, folder_of, make_archived, make_day, seal_day
from support.ticks import DAY, NEXT_DAY

from hk_tick_collector.archive.due import Due, days_to_restore, due_days, keeps_database
from hk_tick_collector.journal.cursor import Wait, save_cursor
from hk_tick_collector.journal.segments import BEGINNING, DIRECTORY
from hk_tick_collector.parquet.manifest import NAME

if TYPE_CHECKING:
    from pathlib import Path


def test_a_database_is_kept_for_so_many_days() -> None:
    """Counted from its day."""
    assert keeps_database("20261120", "20261123", 3)
    assert not keeps_database("20261120", "20261124", 3)
    assert not keeps_database("20261120", "20261121", 0)


def test_sealed_days_without_an_archive_are_due(tmp_path: Path) -> None:
    """Not one that is open, nor today's, nor one that is archived already."""
    for day in ("20260729", "20260730"):
        seal_day(make_day(tmp_path, day))
    make_day(tmp_path, DAY)
    assert due_days(tmp_path, DAY, 30) == [Due("20260729", keeps=True), Due("20260730", keeps=True)]
    archive(tmp_path / "20260729.db", keeps=True)
    assert due_days(tmp_path, DAY, 30) == [Due("20260730", keeps=True)]
    assert due_days(tmp_path, "20260730", 0) == [Due("20260729", keeps=False)]


def test_an_archive_that_was_not_finished_is_due(tmp_path: Path) -> None:
    """Its manifest can't be read; the database is still there."""
    database = make_day(tmp_path, DAY)
    seal_day(database)
    archive(database, keeps=True)
    assert due_days(tmp_path, NEXT_DAY, 30) == []
    (folder_of(database) / NAME).write_text(json.dumps({}), encoding="utf-8")
    assert due_days(tmp_path, NEXT_DAY, 30) == [Due(DAY, keeps=True)]


def test_an_archived_day_with_waiting_ticks_is_to_be_restored(tmp_path: Path) -> None:
    """Not one whose database is there, and not because all days before another wait."""
    make_archived(tmp_path)
    make_day(tmp_path, NEXT_DAY)
    journal = tmp_path / DIRECTORY
    journal.mkdir()
    save_cursor(
        journal, BEGINNING, {name: Wait(BEGINNING, 0, "late") for name in (DAY, NEXT_DAY, f"before-{NEXT_DAY}")}
    )
    assert days_to_restore(tmp_path) == [DAY]
