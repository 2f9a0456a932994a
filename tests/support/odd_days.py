"""What may stand where a day's database should be, and can't be written."""

from __future__ import annotations

from typing import TYPE_CHECKING

import apsw

from hk_tick_collector.db import DayDatabase, Pragmas

if TYPE_CHECKING:
    from pathlib import Path


def directory(path: Path) -> None:
    """It can't be opened."""
    path.mkdir()


def noise(path: Path) -> None:
    """It is no database."""
    path.write_bytes(b"\x07noise" * 4000)


def foreign(path: Path) -> None:
    """Another program has made it: a recorder of another kind."""
    con = apsw.Connection(str(path))
    con.execute("CREATE TABLE ticks (market TEXT, symbol TEXT, ts_ms INTEGER, seq INTEGER); PRAGMA user_version = 4")
    con.close()


def newer(path: Path) -> None:
    """A newer version has made it."""
    DayDatabase(path, Pragmas()).close()
    con = apsw.Connection(str(path))
    con.pragma("user_version", 99)
    con.close()


def link(path: Path) -> None:
    """It is a link to a file that is not there, in a directory that is."""
    path.symlink_to(path.parent / "elsewhere.db")


def not_mounted(path: Path) -> None:
    """It is a link to a disk that is not mounted."""
    path.symlink_to(path.parent.parent / "nas" / path.name)


def mend(path: Path) -> None:
    """What is in the way is gone."""
    if path.is_dir():
        path.rmdir()
    else:
        path.unlink()
