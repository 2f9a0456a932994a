"""What differs between the systems: paths as URIs, locks, the event loop.

The commands that read are in integration/test_other_systems.py.
"""

from __future__ import annotations

import os
import sys
from pathlib import PurePosixPath, PureWindowsPath
from typing import TYPE_CHECKING

import apsw
import pytest
import uvloop

from hk_tick_collector.store import portable
from hk_tick_collector.store.opening import open_readonly

if TYPE_CHECKING:
    from pathlib import Path, PurePath


@pytest.mark.parametrize(
    ("path", "uri"),
    [
        (PurePosixPath("/data/20261120.db"), "file:///data/20261120.db"),
        (PurePosixPath("/a b/100%/what?#1/20261120.db"), "file:///a b/100%25/what%3f%231/20261120.db"),
        (PureWindowsPath(r"C:\ticks\20261120.db"), "file:///C:/ticks/20261120.db"),
        (PureWindowsPath(r"C:\100% ticks#1\20261120.db"), "file:///C:/100%25 ticks%231/20261120.db"),
        (PureWindowsPath(r"\\nas\ticks\20261120.db"), "file:////nas/ticks/20261120.db"),
    ],
)
def test_a_path_becomes_a_uri_that_sqlite_reads_on_that_system(path: PurePath, uri: str) -> None:
    """A drive has three slashes before it, and a share four; what SQLite would unquote is quoted."""
    assert portable.sqlite_uri(path) == uri


@pytest.mark.parametrize("name", ["a b", "100%", "50%20", "what?mode=rwc", "#1", "資料", "back\\slash", "file:x"])
def test_a_database_is_read_whatever_its_directory_is_called(tmp_path: Path, name: str) -> None:
    """By the real SQLite; a `?` in a name does not begin options."""
    path = tmp_path / name / "20261120.db"
    path.parent.mkdir()
    made = apsw.Connection(str(path))
    made.execute("CREATE TABLE ticks (n); INSERT INTO ticks VALUES (7)")
    made.close()
    con = open_readonly(path)
    try:
        assert con.execute("SELECT n FROM ticks").get == 7
        with pytest.raises(apsw.ReadOnlyError):
            con.execute("DELETE FROM ticks")
    finally:
        con.close()
    assert [found.name for found in tmp_path.iterdir()] == [name]


@pytest.mark.parametrize(
    ("platform", "name", "is_linux"),
    [("linux", "Linux", True), ("darwin", "macOS", False), ("win32", "Windows", False), ("aix", "aix", False)],
)
def test_a_system_has_the_name_that_people_use(
    monkeypatch: pytest.MonkeyPatch, platform: str, name: str, *, is_linux: bool
) -> None:
    """A recorder runs on one of them."""
    monkeypatch.setattr(sys, "platform", platform)
    assert (portable.system_name(), portable.is_linux()) == (name, is_linux)


def test_uvloop_is_used_on_linux_and_asyncio_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    """None stands for asyncio's own loop."""
    assert portable.event_loop_factory() is uvloop.new_event_loop
    monkeypatch.setattr(sys, "platform", "darwin")
    assert portable.event_loop_factory() is None


def test_a_lock_is_exclusive_or_shared(tmp_path: Path) -> None:
    """Between two descriptors, as between two processes; closing one releases its lock."""
    one, other = (os.open(tmp_path / "lock", os.O_RDWR | os.O_CREAT) for _ in range(2))
    try:
        assert portable.try_lock(one, is_shared=True)
        assert portable.try_lock(other, is_shared=True)
        assert not portable.try_lock(one)
        os.close(other)
        assert portable.try_lock(one)
    finally:
        os.close(one)
