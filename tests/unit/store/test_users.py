"""Which processes use a database: real SQLite in real processes."""

from __future__ import annotations

import re
import subprocess
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest
from support.older_recorder import connect, held_elsewhere

from hk_tick_collector.store.users import named, users_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

READ = "SELECT count(*) FROM sqlite_schema"


@pytest.fixture
def database(tmp_path: Path) -> Path:
    """An older recorder's day, at rest."""
    path = tmp_path / "20261119.db"
    connect(path).close()
    return path


@contextmanager
def opened_elsewhere(path: Path) -> Iterator[subprocess.Popen[str]]:
    """Another process has a file open, without any lock on it."""
    script = "import sys; file = open(sys.argv[1]); print('ready', flush=True); sys.stdin.read()"
    with subprocess.Popen(
        [sys.executable, "-c", script, path], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "ready\n"
        yield other
        other.communicate()


@pytest.mark.parametrize("statements", [(READ,), ("BEGIN IMMEDIATE",), ("BEGIN", READ)])
def test_whoever_has_it_open_through_sqlite_is_named(database: Path, tmp_path: Path, statements: tuple[str]) -> None:
    """By its lock, even if nobody may look at its open files; an idle connection of a WAL database has one, too."""
    assert users_of(database) == ()
    hidden = tmp_path / "proc"
    hidden.mkdir()
    with held_elsewhere(database, *statements):
        (user,) = users_of(database)
        assert re.fullmatch(r"pid \d+ \(\S.*\)", user)
        pid = user.split()[1]
        assert users_of(database, hidden) == (f"pid {pid}",)
    assert users_of(database) == ()


def test_a_process_without_a_lock_is_found_by_its_open_files(database: Path, tmp_path: Path) -> None:
    """Of the database, or of its log; after its end there is none."""
    log = tmp_path / f"{database.name}-wal"
    log.touch()
    for path in (database, log):
        with opened_elsewhere(path) as other:
            assert users_of(database) == (named(other.pid),)
    assert users_of(database) == ()


def test_a_process_that_has_ended_has_only_its_pid(tmp_path: Path) -> None:
    """Its name is in procfs as long as it lives."""
    assert named(4711, tmp_path) == "pid 4711"
    (tmp_path / "4711").mkdir()
    (tmp_path / "4711" / "comm").write_text("python3\n")
    assert named(4711, tmp_path) == "pid 4711 (python3)"
