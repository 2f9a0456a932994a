"""How long the disk lasts."""

from __future__ import annotations

import os
from types import SimpleNamespace
from typing import TYPE_CHECKING

import pytest

from hk_tick_collector.journal.segments import DIRECTORY, segment_name
from hk_tick_collector.status import space
from hk_tick_collector.status.space import Space, measure_space

if TYPE_CHECKING:
    from pathlib import Path

FREE_BYTES = 1_000_000


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty DATA_ROOT on a disk with 1 MB to spare."""
    (tmp_path / DIRECTORY).mkdir()
    monkeypatch.setattr(space, "shutil", SimpleNamespace(disk_usage=lambda _: SimpleNamespace(free=1_000_000)))
    return tmp_path


def store(root: Path, day: str, database: int, journal: int) -> None:
    """What a day leaves: bytes of its database, and of its segment."""
    (root / f"{day}.db").write_bytes(bytes(database))
    (root / DIRECTORY / segment_name(day, int(day))).write_bytes(bytes(journal))


def test_without_a_day_that_is_over_nothing_is_foretold(root: Path) -> None:
    """What today has taken so far says little of a whole day."""
    assert measure_space(root, "20260731", 3) == Space(FREE_BYTES, None, None)
    store(root, "20260731", 4000, 6000)
    assert measure_space(root, "20260731", 3) == Space(FREE_BYTES, None, None)


def test_a_day_takes_its_database_and_its_journal_until_as_many_are_kept(root: Path) -> None:
    """From then on each day's journal takes the place of an older one's."""
    store(root, "20260727", 4000, 6000)
    assert measure_space(root, "20260731", 3) == Space(FREE_BYTES, 10_000, 100.0)
    store(root, "20260728", 8000, 9000)
    assert measure_space(root, "20260731", 3) == Space(FREE_BYTES, 6000 + 7500, 74.1)
    store(root, "20260729", 6000, 3000)
    assert measure_space(root, "20260731", 3) == Space(FREE_BYTES, 6000, 166.7)


def test_the_newest_days_tell(root: Path) -> None:
    """A recorder that has ten times the symbols since last week fills the disk ten times as fast."""
    for day in range(1, 6):
        store(root, f"2026070{day}", 100, 0)
    for day in range(6, 10):
        store(root, f"2026070{day}", 1000, 0)
    store(root, "20260710", 1000, 0)
    assert measure_space(root, "20260711", 3) == Space(FREE_BYTES, 1000, 1000.0)


def test_days_on_another_disk_do_not_count(root: Path) -> None:
    """A link is not followed: its disk may not even answer."""
    store(root, "20260708", 1000, 0)
    (root / "20260709.db").symlink_to(root.parent / "nas" / "20260709.db")
    assert measure_space(root, "20260711", 3) == Space(FREE_BYTES, 1000, 1000.0)


def test_a_real_disk_tells_what_is_free(tmp_path: Path) -> None:
    """As the system says it."""
    (tmp_path / DIRECTORY).mkdir()
    free_bytes = measure_space(tmp_path, "20260731", 3).free_bytes
    told = os.statvfs(tmp_path)
    assert free_bytes == pytest.approx(told.f_bavail * told.f_frsize, rel=0.2)
