"""Derives a day's database again from the journal, by the hand that made it: the writer itself.

Owns the directory in which that happens (`DATA_ROOT/.rebuild-YYYYMMDD`), and the exchange of the old database for
the new. Never changes the journal or its cursor, and no database before it is told to replace it. Invariant: at no
moment is there no database of that day where there was one.

A tick may have been received on another day than its own: fetched after a weekend, or across midnight. So everything
that the journal holds from the day before on is read.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections import Counter
from contextlib import closing
from datetime import datetime
from typing import TYPE_CHECKING, Any, NamedTuple

import apsw

from hk_tick_collector.db import DayDatabase, Pragmas
from hk_tick_collector.errors import DatabaseError, JournalError
from hk_tick_collector.hktime import HK, hk_text
from hk_tick_collector.journal.cursor import load_cursor, segments_for_day
from hk_tick_collector.journal.segments import DIRECTORY, Position, iter_records, list_segments
from hk_tick_collector.repair.backup import backup_path
from hk_tick_collector.repair.scratch import scratch_place
from hk_tick_collector.store.data_root import copy_ownership, sync
from hk_tick_collector.store.opening import open_readonly
from hk_tick_collector.writer.settings import WriterSettings

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager
    from pathlib import Path

    from hk_tick_collector.journal.segments import Segment

    # Bytes of the journal that are done, and of how many.
    Progress = Callable[[int, int], None]

OPENING_HOUR = 9  # in Hong Kong
WRITER_DEATHS_MAX = 10  # a record of which writers die is found after two, and put aside
WRITER_TRIES = 5  # a full disk does not mend itself while somebody waits
WRITER_NICE = 10  # it may run beside a recorder


class Derived(NamedTuple):
    """What the journal gave.

    Attributes:
        path: the day's database, in the directory of the rebuild.
        segments: how many segments were read.
        bytes: their size.
        rows: ticks in them, of all days, as often as they came.
        first_recv_ms: when the first record in them was received; None if all that came before is there, too.
        damages: places that are not what was written, or where records are missing.
        rest_bytes: at the journal's end, no whole record.
    """

    path: Path
    segments: int
    bytes: int
    rows: int
    first_recv_ms: int | None
    damages: int
    rest_bytes: int


def workplace(data_root: Path, day: str) -> AbstractContextManager[Path]:
    """A directory to rebuild a day in; it is gone at the end, and cleared of what a killed one has left.

    Raises:
        AlreadyRunningError: somebody is rebuilding that day.
    """
    return scratch_place(data_root / f".rebuild-{day}", f"{day} is being rebuilt")


def derive(data_root: Path, day: str, scratch: Path, progress: Progress) -> Derived:
    """Have the writer store what the journal holds into a DATA_ROOT of its own, which sees the same segments.

    Args:
        data_root: whose journal.
        day: YYYYMMDD.
        scratch: an empty directory.
        progress: is told how far it is.

    Raises:
        JournalError: the journal holds no tick of that day.
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
        totals["rows"],
        None if segments[0] is not everything[0] else recv_ms_at(journal, Position(segments[0].number, 0, -1)),
        totals["damages"],
        max(0, segments[-1].size_bytes - end["offset"]) if end["segment"] == segments[-1].number else 0,
    )


def _write(
    scratch: Path, data_root: Path, segments: list[Segment], progress: Progress
) -> tuple[dict[str, Any], dict[str, int]]:
    """Run a writer until all is stored: the last that it said of its place, and its totals."""
    settings = WriterSettings(
        str(scratch.absolute()),
        synchronous="NORMAL",
        retry_max_attempts=WRITER_TRIES,
        days_wait=False,
        log_level="ERROR",
        past_root=str(data_root.absolute()),  # before a weekend the journal is not read
    )
    before: dict[int, int] = {}
    size = 0
    for segment in segments:
        before[segment.number] = size
        size += segment.size_bytes
    end: dict[str, Any] = {"segment": 0, "offset": 0}
    totals = Counter[str](rows=0, damages=0)
    deaths, code = 0, -1
    while code < 0 and deaths < WRITER_DEATHS_MAX:
        told: dict[str, int] = {}
        with _writer(settings._replace(is_careful=deaths > 0)) as writer:
            try:
                os.setpriority(os.PRIO_PROCESS, writer.pid, WRITER_NICE)
                assert writer.stdout is not None
                for line in writer.stdout:
                    said = json.loads(line)
                    told = said.get("totals", told)
                    if said["event"] == "commit":
                        end = said
                        progress(before.get(said["segment"], 0) + said["offset"], size)
            except BaseException:
                writer.kill()
                raise
        totals.update(told)
        code = writer.returncode
        deaths += 1
    if code:
        raise DatabaseError(f"the writer ended with {code} before all was stored; see its lines above")
    return end, totals


def _writer(settings: WriterSettings) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "hk_tick_collector.writer", json.dumps(settings._asdict())]
    return subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)  # noqa: S603 - ourselves


def recv_ms_at(journal: Path, position: Position) -> int | None:
    """When the record at a place, or the next one behind it, was received; None: there is none."""
    with closing(iter_records(journal, position)) as records:  # type: ignore[type-var]
        return next((record.recv_ts_ms for record in records), None)


def not_stored_since(data_root: Path) -> int:
    """What was received from then on may not be stored yet.

    When the first record behind the writer's cursor was received. With none behind it, the last one before it: what the
    recorder has received since, and holds in memory, is not older. With none there either, this host's time.
    """
    since_ms = time.time_ns() // 1_000_000
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
    """Why the journal does not hold the whole day, in sentences; [] if nothing speaks against it."""
    found = []
    con = open_readonly(existing)
    try:
        needed_ms = con.execute("SELECT min(recv_ts_ms) FROM ticks").get
    finally:
        con.close()
    if needed_ms is None:  # nothing is stored that could tell when that day's recording began
        needed_ms = int(datetime.strptime(day, "%Y%m%d").replace(tzinfo=HK, hour=OPENING_HOUR).timestamp() * 1000)
    if derived.first_recv_ms is not None and derived.first_recv_ms > needed_ms:
        begins = hk_text(derived.first_recv_ms)
        found.append(f"the journal begins at {begins}; to hold the whole day it had to begin by {hk_text(needed_ms)}")
    if derived.damages:
        places = "1 place" if derived.damages == 1 else f"{derived.damages:,} places"
        found.append(f"the journal is damaged, or records are missing, in {places}")
    return found


def empty_day(scratch: Path) -> Path:
    """A database without a row, to compare with where there is none."""
    made = scratch / "empty.db"
    DayDatabase(made, Pragmas()).close()
    return made


def snapshot(existing: Path, scratch: Path) -> Path:
    """A copy of a database that is being written, as of one moment."""
    made = scratch / "existing.db"
    con = open_readonly(existing)
    try:
        con.execute("VACUUM INTO ?", (str(made),))
    finally:
        con.close()
    return made


def keep(derived: Derived, existing: Path) -> Path:
    """Put the rebuilt database beside the existing one, as `YYYYMMDD.db.rebuilt`."""
    made = existing.with_name(existing.name + ".rebuilt")
    copy_ownership(derived.path, existing if existing.exists() else existing.parent)
    sync(derived.path)
    derived.path.replace(made)
    sync(made.parent)
    return made


def replace(rebuilt: Path, existing: Path) -> Path | None:
    """Put the rebuilt database in the place of the existing one; where that one is kept (None: there was none).

    Raises:
        DatabaseError: another process has the existing one open; nothing was changed.
    """
    kept = None
    if existing.exists():
        _leave_wal(existing)
        kept = backup_path(existing)
        os.link(existing, kept)  # it has both names for a moment, so that there is never none
    rebuilt.replace(existing)
    sync(existing.parent)
    return kept


def _leave_wal(path: Path) -> None:
    """Make it one plain file, that nobody else has open."""
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
