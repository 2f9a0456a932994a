"""The names of archived days."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from hk_tick_collector.parquet.layout import archive_dir, archived_days, day_of_folder, ledger_path, ticks_path

if TYPE_CHECKING:
    from pathlib import Path


def test_a_day_has_a_folder_of_its_own_that_hive_readers_know(tmp_path: Path) -> None:
    """`trading_day=2026-11-20`, with both files in it."""
    folder = tmp_path / "archive" / "trading_day=2026-11-20"
    assert archive_dir(tmp_path, "20261120") == folder
    assert ticks_path(tmp_path, "20261120") == folder / "ticks.parquet"
    assert ledger_path(tmp_path, "20261120") == folder / "ledger.parquet"


def test_the_archived_days_are_listed_oldest_first(tmp_path: Path) -> None:
    """A folder without `ticks.parquet` is not an archived day, and neither is one of another name."""
    assert archived_days(tmp_path) == []
    for day in ("20261120", "20251231", "20261119"):
        archive_dir(tmp_path, day).mkdir(parents=True)
        ticks_path(tmp_path, day).touch()
    archive_dir(tmp_path, "20261118").mkdir()
    (tmp_path / "archive" / "trading_day=2026-13-01").mkdir()
    (tmp_path / "archive" / "trading_day=2026-13-01" / "ticks.parquet").touch()
    assert archived_days(tmp_path) == ["20251231", "20261119", "20261120"]


@pytest.mark.parametrize(
    ("name", "day"),
    [
        ("trading_day=2026-11-20", "20261120"),
        ("trading_day=2026-11-31", None),
        ("trading_day=20261120", None),
        ("trading_day=2026-11-20.part", None),
        ("20261120", None),
    ],
)
def test_only_the_folder_of_a_real_day_names_one(name: str, day: str | None) -> None:
    """Half-made and foreign folders name none."""
    assert day_of_folder(name) == day
