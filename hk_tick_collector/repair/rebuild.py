"""Derives a day's database again from the journal, with the same writer that made it.

Owns the directory in which that happens (`DATA_ROOT/.rebuild-YYYYMMDD`), and the replacement of the old database by the
new one. Never changes the journal or its cursor; changes a database only in `replace`. Invariant: where there was a
database of that day, there is one at every moment.

A tick may have been received on another day than its own: fetched after a weekend, or across midnight. So the whole
journal from the day before on is read.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from contextlib import closing
from datetime import datetime
from typing import TYPE_CHECKING, NamedTuple

import apsw

from hk_tick_collector.clock import host_ms
from hk_tick_collector.config import Settings
from hk_tick_collector.db import DayDatabase, Pragmas
from hk_tick_collector.errors import DatabaseError, JournalError
from hk_tick_collector.hktime import HK, hk_text
from hk_tick_collector.journal.cursor import load_cursor, segments_for_day
from hk_tick_collector.journal.segments import DIRECTORY, Position, iter_records, list_segments
from hk_tick_collector.repair.backup import backup_path
from hk_tick_collector.repair.scratch import scratch_place
from hk_tick_collector.store.data_root import copy_ownership, sync
from hk_tick_collector.store.opening import open_readonly
from hk_tick_collector.wiring import writer_settings
from hk_tick_collector.writer.progress import Counters, Message

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager
    from pathlib import Path

    from hk_tick_collector.journal.segments import Segment
    from hk_tick_collector.writer.settings import WriterSettings

    # Called with the bytes of the journal that are done, and their total.
    Progress = Callable[[int, int], None]

OPENING_HOUR = 9  # in Hong Kong
WRITER_DEATHS_MAX = 10  # a record at which two careful writers die is put aside
WRITER_TRIES = 5  # few: the operator is waiting, and a full disk does not pass by itself
WRITER_NICE = 10  # it may run beside a recorder


class Derived(NamedTuple):
    """What was derived from the journal.

    Attributes:
        path: the day's database, in the directory of the rebuild.
        segments: how many segments were read.
        bytes: their size.
        rows: ticks in them, of all days, duplicates included.
        first_recv_ms: when the first record in them was received; None: the journal also has earlier segments.
        damages: places that differ from what was written, or where records are missing.
        rest_bytes: bytes at the journal's end that are not a whole record.
    """

    path: Path
    segments: int
    bytes: int
    rows: int
    first_recv_ms: int | None
    damages: int
    rest_bytes: int


def workplace(data_root: Path, day: str) -> AbstractContextManager[Path]:
    """A directory to rebuild a day in, cleared of what a killed process left; it is removed at the end.

    Raises:
        AlreadyRunningError: another process is rebuilding that day.
    """
    return scratch_place(data_root / f".rebuild-{day}", f"{day} is being rebuilt")


def derive(data_root: Path, day: str, scratch: Path, progress: Progress) -> Derived:
    """Let the writer store what the journal holds into a DATA_ROOT of its own, with links to the same segments.

    Args:
        data_root: whose journal.
        day: YYYYMMDD.
        scratch: the directory that becomes this DATA_ROOT.
        progress: called as the work proceeds.

    Raises:
        JournalError: the journal is empty, or holds no tick of that day.
        DatabaseError: the writer could not store it; its log says why.
    """
    journal = data_root / DIRECTORY
    everything = list_segments(journal)
    segments = segments_for_day(everything, day)
    if not segments:
        raise JournalError(f"the journal of {data_root} is empty")
    (scratch / DIRECTORY).mkdir()
    for segment in segments:
        (scratch / DIRECTORY / segment.path.name).symlink_to(segment.path.absolute())
    end, totals = _write(scratch, data_root, segments, progress)
    made = scratch / f"{day}.db"
    if not made.exists():
        held = f"{everything[0].day} to {everything[-1].day}"
        raise JournalError(f"the journal of {data_root} holds no tick of {day}: it was written from {held}")
    _leave_wal(made)
    return Derived(
        made,
        len(segments),
        sum(segment.size_bytes for segment in segments),
        totals.rows,
        None if segments[0] is not everything[0] else recv_ms_at(journal, Position(segments[0].number, 0, -1)),
        totals.damages,
        max(0, segments[-1].size_bytes - (end.offset or 0)) if end.segment == segments[-1].number else 0,
    )


def _write(scratch: Path, data_root: Path, segments: list[Segment], progress: Progress) -> tuple[Message, Counters]:
    """Run a writer until all is stored. Returns its last commit message, and its totals."""
    settings = writer_settings(Settings(), scratch.absolute())._replace(
        synchronous="NORMAL",
        retry_max_attempts=WRITER_TRIES,
        days_wait=False,
        log_level="ERROR",
        past_root=str(data_root.absolute()),  # for past days: the journal from before a weekend is not read
    )
    before: dict[int, int] = {}
    size = 0
    for segment in segments:
        before[segment.number] = size
        size += segment.size_bytes
    end, totals = Message("commit", segment=0, offset=0), Counters()
    deaths, code = 0, -1
    while code < 0 and deaths < WRITER_DEATHS_MAX:
        told = Counters()
        with _writer(settings._replace(is_careful=deaths > 0)) as writer:
            try:
                os.setpriority(os.PRIO_PROCESS, writer.pid, WRITER_NICE)
                assert writer.stdout is not None
                for line in writer.stdout:
                    said = Message.from_line(line)
                    told = said.totals or told
                    if said.event == "commit":
                        end = said
                        progress(before.get(said.segment or 0, 0) + (said.offset or 0), size)
            except BaseException:
                writer.kill()
                raise
        totals.add(told)
        code = writer.returncode
        deaths += 1
    if code:
        raise DatabaseError(f"the writer ended with {code} before all was stored; see its lines above")
    return end, totals


def _writer(settings: WriterSettings) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "hk_tick_collector.writer", json.dumps(settings._asdict())]
    return subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)  # noqa: S603 - ourselves


def recv_ms_at(journal: Path, position: Position) -> int | None:
    """When the record at a place, or the next one after it, was received; None: there is none."""
    with closing(iter_records(journal, position)) as records:  # type: ignore[type-var]
        return next((record.recv_ts_ms for record in records), None)


def not_stored_since(data_root: Path) -> int:
    """The time since which received ticks may not be stored yet, UTC epoch ms.

    This is when the first record after the writer's cursor was received. If there is none, the last one before it: what
    the recorder has received since, and holds in memory, is not older. If there is no record, the host's time now.
    """
    since_ms = host_ms()
    journal = data_root / DIRECTORY
    cursor = load_cursor(journal)
    begin = Position(cursor.segment, 0, -1) if cursor else None
    with closing(iter_records(journal, begin)) as records:  # type: ignore[type-var]
        for record in records:
            since_ms = record.recv_ts_ms
            if cursor is None or record.end[:2] > cursor[:2]:
                break
    return since_ms


def coverage(derived: Derived, day: str, existing: Path) -> list[str]:
    """Why the journal does not hold the whole day, in sentences; []: no sign of that."""
    found = []
    con = open_readonly(existing)
    try:
        needed_ms = con.execute("SELECT min(recv_ts_ms) FROM ticks").get
    finally:
        con.close()
    if needed_ms is None:  # no stored tick shows when that day's recording began
        needed_ms = int(datetime.strptime(day, "%Y%m%d").replace(tzinfo=HK, hour=OPENING_HOUR).timestamp() * 1000)
    if derived.first_recv_ms is not None and derived.first_recv_ms > needed_ms:
        begins = hk_text(derived.first_recv_ms)
        found.append(f"the journal begins at {begins}; to hold the whole day it had to begin by {hk_text(needed_ms)}")
    if derived.damages:
        places = "1 place" if derived.damages == 1 else f"{derived.damages:,} places"
        found.append(f"the journal is damaged, or records are missing, in {places}")
    return found


def empty_day(scratch: Path) -> Path:
    """A database without rows, to compare with if the day has none."""
    made = scratch / "empty.db"
    DayDatabase(made, Pragmas()).close()
    return made


def snapshot(existing: Path, scratch: Path) -> Path:
    """A consistent copy of a database that is being written."""
    made = scratch / "existing.db"
    con = open_readonly(existing)
    try:
        con.execute("VACUUM INTO ?", (str(made),))
    finally:
        con.close()
    return made


def keep(derived: Derived, existing: Path) -> Path:
    """Move the rebuilt database beside the existing one, as `YYYYMMDD.db.rebuilt`. Returns its path."""
    made = existing.with_name(existing.name + ".rebuilt")
    copy_ownership(derived.path, existing if existing.exists() else existing.parent)
    sync(derived.path)
    derived.path.replace(made)
    sync(made.parent)
    return made


def replace(rebuilt: Path, existing: Path) -> Path | None:
    """Replace the existing database by the rebuilt one. Returns where the old one is kept (None: there was none).

    Raises:
        DatabaseError: another process has the existing one open; nothing was changed.
    """
    kept = None
    if existing.exists():
        _leave_wal(existing)
        kept = backup_path(existing)
        os.link(existing, kept)  # it has both names for a moment, so the day is never without a database
    rebuilt.replace(existing)
    sync(existing.parent)
    return kept


def _leave_wal(path: Path) -> None:
    """Make it one plain file. DatabaseError if another process has it open."""
    try:
        con = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READWRITE)
        try:
            con.set_busy_timeout(1000)
            mode = con.pragma("journal_mode", "delete")
        finally:
            con.close()
    except apsw.BusyError as exc:
        raise DatabaseError(f"{path} is open in another process: end that one first") from exc
    assert mode == "delete"
    assert not path.with_name(path.name + "-wal").exists()
