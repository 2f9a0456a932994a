"""Who holds a lock on a database: real SQLite in real processes."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from hk_tick_collector.db import DayDatabase, Pragmas
from hk_tick_collector.status.locks import locked_by
from hk_tick_collector.store.opening import open_readonly

HOLD = """
import apsw, sys
con = apsw.Connection(sys.argv[1])
con.execute("BEGIN IMMEDIATE")
print("held", flush=True)
sys.stdin.read()
"""


def test_a_writer_of_another_program_is_named(tmp_path: Path) -> None:
    """By its pid and its program; a reader is none, and neither is who is left out; afterwards nobody is."""
    path = tmp_path / "20201120.db"
    database = DayDatabase(path, Pragmas())
    try:
        reader = open_readonly(path)
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM ticks").fetchall()
        assert locked_by(path) == ()
        with subprocess.Popen(
            [sys.executable, "-c", HOLD, path], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        ) as other:
            assert other.stdout is not None
            assert other.stdout.readline() == "held\n"
            comm = (Path("/proc") / str(other.pid) / "comm").read_text().strip()
            assert locked_by(path) == (f"pid {other.pid} ({comm})",)
            assert locked_by(path, {other.pid, None}) == ()
            other.communicate()
        assert locked_by(path) == ()
        reader.close()
    finally:
        database.close()


def test_a_process_of_another_user_is_named_by_its_pid(tmp_path: Path) -> None:
    """Its name may be hidden; a line that is not understood is passed over."""
    path = tmp_path / "20201120.db"
    path.write_bytes(b"")
    told = path.stat()
    place = f"{os.major(told.st_dev):02x}:{os.minor(told.st_dev):02x}:{told.st_ino}"
    (tmp_path / "locks").write_text(
        f"1: POSIX  ADVISORY  WRITE 4711 {place} 1073741825 1073741825\n"
        f"1: -> POSIX  ADVISORY  WRITE 4712 {place} 1073741825 1073741825\n"
        f"2: POSIX  ADVISORY  READ 4713 {place} 1073741826 1073742335\n"
        "3: FLOCK  ADVISORY  WRITE 4714 00:01:99 0 EOF\nnonsense\n"
    )
    assert locked_by(path, proc=tmp_path) == ("pid 4711",)


def test_nothing_is_known_without_the_kernels_list(tmp_path: Path) -> None:
    """Nor of a file that is not there."""
    assert locked_by(tmp_path / "20201120.db", proc=tmp_path) == ()
    assert locked_by(tmp_path / "20201120.db") == ()
