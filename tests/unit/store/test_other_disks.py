"""Days on another disk, which may hang: it is found out before anybody opens them."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

import pytest

from hk_tick_collector.errors import DatabaseError
from hk_tick_collector.store import other_disks
from hk_tick_collector.store.other_disks import ANSWER_SEC, is_there, require_answer

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture(autouse=True)
def _nothing_asked(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """As in a process that has just begun, and ends with the test."""
    asked: dict[Path, subprocess.Popen[bytes]] = {}
    monkeypatch.setattr(other_disks, "_asked", asked)
    monkeypatch.setattr(other_disks, "_answered", {})
    yield
    for process in asked.values():
        process.kill()
        process.wait()


def test_a_disk_that_hangs_is_told_and_asked_once(tmp_path: Path) -> None:
    """Who waits for it is another process; whoever asks again does not wait, until it answers."""
    pipe, link = tmp_path / "pipe", tmp_path / "20260731.db"
    os.mkfifo(pipe)
    link.symlink_to(pipe)
    began = time.monotonic()
    with pytest.raises(DatabaseError, match=f"is a link to {pipe}, which does not answer"):
        require_answer(link)
    assert time.monotonic() - began < ANSWER_SEC + 5
    (asked,) = other_disks._asked.values()
    for _ in range(20):
        with pytest.raises(DatabaseError):
            require_answer(link)
    assert list(other_disks._asked.values()) == [asked], "no second one hangs beside it"
    with pipe.open("wb"):
        pass  # the disk answers
    asked.wait(60)
    require_answer(link)
    assert other_disks._asked == {}


def test_many_links_to_a_disk_that_hangs_cost_the_time_of_one(tmp_path: Path) -> None:
    """A year of days is listed in seconds all the same."""
    os.mkfifo(tmp_path / "pipe")
    began = time.monotonic()
    for number in range(20):
        link = tmp_path / f"202607{number + 10}.db"
        link.symlink_to(tmp_path / "pipe")
        with pytest.raises(DatabaseError):
            is_there(link)
    assert time.monotonic() - began < 20 * ANSWER_SEC
    assert len(other_disks._asked) == 20


def test_what_answers_goes_on(tmp_path: Path) -> None:
    """A file of this disk is not asked for; a link's target is, be it a file, a directory or nothing at all."""
    for name in ("file", "directory", "nothing"):
        link = tmp_path / f"{name}.db"
        link.symlink_to(tmp_path / name)
    (tmp_path / "file").write_bytes(b"x")
    (tmp_path / "directory").mkdir()
    for path in (tmp_path / "file.db", tmp_path / "directory.db", tmp_path / "nothing.db", tmp_path / "file"):
        require_answer(path)
    assert len(other_disks._answered) == 3
