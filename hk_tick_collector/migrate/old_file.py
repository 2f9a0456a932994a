"""A day database of the older recorder, opened so that nothing in its directory changes.

Owns how it is read in each state that it may be left in. Never writes to it, to its log, or beside it:

- No process has it open: it is read as immutable, and checked afterwards to be unchanged.
- It has a log, and shared memory beside it: a process may be writing to it, so it is read as any reader would, in one
  snapshot. Only the shared memory, which SQLite keeps for its readers, may be touched.
- It has a log or a journal and no shared memory: it was copied so, or its recorder was killed. A reader would have to
  write to recover it, so a copy is recovered, in a directory of ours.
"""

from __future__ import annotations

import shutil
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import apsw

from hk_tick_collector.errors import DatabaseError
from hk_tick_collector.migrate.old_rows import BY_SEQ, COLUMNS, DayBounds, day_of
from hk_tick_collector.store.older import is_older
from hk_tick_collector.store.opening import immutable_uri, readonly_uri, unopened_state
from hk_tick_collector.store.schema import APPLICATION_ID

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

BUSY_TIMEOUT_MS: Final = 5000
ROWS_AT_ONCE: Final = 20_000
_LOGS: Final = ("-wal", "-journal")


class OldFile(NamedTuple):
    """An open one: one snapshot.

    Attributes:
        path: the file.
        con: the connection, on which a transaction is open.
        version: its schema version; the first one has 0.
        rows: how many ticks it has.
    """

    path: Path
    con: apsw.Connection
    version: int
    rows: int

    @property
    def day(self) -> str:
        """The day that it is named after."""
        return self.path.stem

    def chunks(self) -> Iterator[list[tuple[Any, ...]]]:
        """All rows as `old_rows.COLUMNS`, in the order in which they were stored."""
        cursor = self.con.execute(f"SELECT {self._selected(*COLUMNS)} FROM ticks ORDER BY _rowid_")  # noqa: S608 - our own names
        while chunk := [row for _, row in zip(range(ROWS_AT_ONCE), cursor, strict=False)]:
            yield chunk

    def other_days(self) -> set[str]:
        """The days, other than its own, that rows of it belong to."""
        bounds = DayBounds.of(self.day)
        # A time that is late and was corrected lies eight hours earlier, so all others are on the file's day.
        rows = self.con.execute(
            f"SELECT {self._selected('ts_ms', 'seq')} FROM ticks WHERE ts_ms < ? OR ts_ms >= ?",  # noqa: S608 - our own names
            (bounds.begin_ms + BY_SEQ.correction_ms, bounds.end_ms),
        )
        return {day_of(ts_ms, seq, self.day) for ts_ms, seq in rows} - {self.day}

    def _selected(self, *names: str) -> str:
        """Columns as they are selected: NULL for one that this schema version lacks."""
        there = {row[1] for row in self.con.execute("PRAGMA table_info(ticks)")}
        return ", ".join(name if name in there else f"NULL AS {name}" for name in names)


@contextmanager
def opened(path: Path, scratch: Path) -> Iterator[OldFile | None]:
    """Open a file; None: it holds nothing, since its first transaction was never committed.

    Args:
        path: the file.
        scratch: a directory for a copy, if one is needed.

    Raises:
        DatabaseError: it is locked, damaged, of another program, or changed while it was read.
    """
    before = None
    try:
        before = unopened_state(path)
        con, copy = _connect(path, scratch, is_at_rest=before is not None)
        try:
            yield _begun(path, con)
        finally:
            con.close()
            if copy is not None:
                _remove(copy)
        _require_unchanged(path, before)
    except apsw.BusyError as exc:
        raise DatabaseError(f"{path} is locked by another process: end that one, and run this again") from exc
    except (apsw.CorruptError, apsw.NotADBError) as exc:
        _require_unchanged(path, before)
        raise DatabaseError(f"{path} is damaged, or no database: {exc}") from exc
    except apsw.FullError as exc:
        raise DatabaseError(f"{path} was not taken over: the disk of DATA_ROOT is full") from exc
    except (apsw.Error, OSError) as exc:
        raise DatabaseError(f"{path} can't be taken over: {exc}") from exc


def _require_unchanged(path: Path, before: tuple[int, ...] | None) -> None:
    """Refuse what was read of a file that was thought to be at rest."""
    if before is not None and unopened_state(path) != before:
        raise DatabaseError(f"{path} changed while it was read: run this again")


def _connect(path: Path, scratch: Path, *, is_at_rest: bool) -> tuple[apsw.Connection, Path | None]:
    """A connection, and the copy that it is of, if it is of one."""
    flags = apsw.SQLITE_OPEN_READONLY | apsw.SQLITE_OPEN_URI
    if is_at_rest:
        return apsw.Connection(immutable_uri(path), flags=flags), None
    if path.with_name(path.name + "-shm").exists() or not path.with_name(path.name + "-wal").exists():
        con = apsw.Connection(readonly_uri(path), flags=flags)
        try:
            con.set_busy_timeout(BUSY_TIMEOUT_MS)
            con.execute("SELECT count(*) FROM sqlite_schema").fetchall()
        except (apsw.CantOpenError, apsw.ReadOnlyError):  # a journal that has to be rolled back
            con.close()
        except BaseException:
            con.close()
            raise
        else:
            return con, None
    copy = _copy(path, scratch)
    return apsw.Connection(str(copy), flags=apsw.SQLITE_OPEN_READWRITE), copy


def _copy(path: Path, scratch: Path) -> Path:
    """Copy a file with its log, and make sure that none of them changed meanwhile.

    Raises:
        DatabaseError: a process is writing to it.
    """
    before = _states(path)
    copy = scratch / f"copy-{path.name}"
    for suffix in ("", *_LOGS):
        source = path.with_name(path.name + suffix)
        if source.exists():
            shutil.copyfile(source, copy.with_name(copy.name + suffix))
    if _states(path) != before:
        _remove(copy)
        raise DatabaseError(f"{path} is being written to: stop the older recorder, and run this again")
    return copy


def _states(path: Path) -> list[tuple[int, int, int] | None]:
    found: list[tuple[int, int, int] | None] = []
    for suffix in ("", *_LOGS):
        try:
            stat = path.with_name(path.name + suffix).stat()
        except FileNotFoundError:
            found.append(None)
        else:
            found.append((stat.st_ino, stat.st_size, stat.st_mtime_ns))
    return found


def _remove(copy: Path) -> None:
    for suffix in ("", *_LOGS, "-shm"):
        copy.with_name(copy.name + suffix).unlink(missing_ok=True)


def _begun(path: Path, con: apsw.Connection) -> OldFile | None:
    """Begin the snapshot, and check what the file is, and that it is whole.

    Raises:
        DatabaseError: it is damaged, or of another program.
    """
    con.set_busy_timeout(BUSY_TIMEOUT_MS)
    con.execute("BEGIN")
    if not con.execute("SELECT count(*) FROM sqlite_schema").get:
        return None
    if con.pragma("application_id") == APPLICATION_ID:
        raise DatabaseError(f"{path} is a day of this program already: it needs no taking over")
    if not is_older(con):
        raise DatabaseError(f"{path} was made by another program: expected a table ticks of the older recorder")
    found = con.execute("PRAGMA quick_check(1)").get
    if found != "ok":
        raise DatabaseError(f"{path} is damaged: {found}")
    return OldFile(path, con, int(con.pragma("user_version")), int(con.execute("SELECT count(*) FROM ticks").get))
