"""A day that is followed: its database while it is written, then its archive; each of its ticks is given once.

Owns how a change is noticed cheaply. While a day is written, a connection to it is kept and `PRAGMA data_version` is
read: it changes with every commit of another process, and costs microseconds. Once the day was quiet for `QUIET_SEC`,
the connection is closed, so that the day can be sealed, archived and deleted; from then on the state of its files is
looked at. Invariants: no transaction is open between two calls; nothing that was committed is missed.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Final

import apsw

from hk_tick_collector.errors import ConfigError, DatabaseError
from hk_tick_collector.parquet.arrow import batch_of
from hk_tick_collector.parquet.layout import ticks_path
from hk_tick_collector.read.archived_day import (
    archived_batches,
    columns_to_read,
    keep_rows,
    numbers_array,
    symbol_runs,
)
from hk_tick_collector.read.changes import Known, runs_of
from hk_tick_collector.read.sources import database_of
from hk_tick_collector.read.wanted import Wanted
from hk_tick_collector.store.content_errors import DAMAGED
from hk_tick_collector.store.opening import open_readonly, read_untouched, unopened_state
from hk_tick_collector.store.other_disks import is_there

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from hk_tick_collector.read.changes import Changes

QUIET_SEC: Final = 2.0  # longer than a file system's clock takes to move on, so that a later change shows in a time
BUSY_TIMEOUT_MS: Final = 50  # other days go on while one is locked
PATIENCE_SEC: Final = 30.0  # how long a database may be unreadable, while it is replaced or locked

State = tuple[tuple[int, ...] | None, ...]


class WatchedDay:
    """A day, and what was given of it."""

    def __init__(
        self,
        root: Path,
        day: str,
        wanted: Wanted,
        *,
        is_silent: bool = False,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Opens nothing yet.

        Args:
            root: DATA_ROOT.
            day: YYYYMMDD.
            wanted: which ticks are to be given.
            is_silent: those that are there at first are not to be given.
            clock: seconds, of a clock that is never set.
        """
        self.day = day
        self._database = database_of(root, day)
        self._archive = ticks_path(root, day)
        self._wanted = wanted
        self._is_silent = is_silent
        self._clock = clock
        self._known = Known()
        self._busy_timeout_ms = BUSY_TIMEOUT_MS
        self._con: apsw.Connection | None = None
        self._version: Any = None  # the connection's data version when it was read last
        self._state: State | None = None  # of the files when they were read last; None: read them
        self._changed_at = clock()  # when the state or the version changed last
        self._has_rest = False  # a reading was left before its end
        self._unreadable_since: float | None = None

    @property
    def is_quiet(self) -> bool:
        """Whether nothing has changed for some seconds; then it is enough to look at it now and then."""
        return self._con is None and not self._has_rest and self._clock() - self._changed_at > QUIET_SEC

    def close(self) -> None:
        """Close the connection to its database."""
        if self._con is not None:
            self._con.close()
            self._con = None

    def poll(self) -> Iterator[Any]:
        """What is new, as RecordBatches. No transaction is open while the consumer has one.

        Raises:
            DatabaseError: the database is damaged, or could not be read for `PATIENCE_SEC`.
            ForeignFileError, ArchiveError: the archive can't be read.
        """
        try:
            yield from self._poll()
            self._unreadable_since = None
        except ConfigError:
            raise
        except (apsw.Error, DatabaseError, OSError) as exc:
            self.close()
            self._state = None
            now = self._clock()
            self._unreadable_since = now if self._unreadable_since is None else self._unreadable_since
            cause = exc.__cause__ or exc
            if isinstance(cause, DAMAGED) or now - self._unreadable_since >= PATIENCE_SEC:
                if isinstance(exc, DatabaseError):
                    raise
                raise DatabaseError(f"{self._database} can't be read: {exc}") from exc

    def _poll(self) -> Iterator[Any]:
        if is_there(self._database):
            if self._has_changed() or self._has_rest:
                yield from self._of_database()
        elif self._archive.exists():
            self.close()
            state = (_identity(self._archive),)
            if state != self._state:
                yield from self._of_archive()
                self._state, self._changed_at, self._is_silent = state, self._clock(), False
                self._known.pack()

    # ---- the database

    def _has_changed(self) -> bool:
        """Whether the database may have rows that were not read."""
        now = self._clock()
        state = self._files()  # before the version: a commit in between shows in that
        if state != self._state:
            if self._state is None or state[0] is None or self._state[0] is None or state[0][:2] != self._state[0][:2]:
                self.close()  # another file has its name, or it was an archive before
                self._known.distrust()
            self._state, self._changed_at = state, now
        is_quiet = now - self._changed_at > QUIET_SEC
        if self._con is None:
            return not is_quiet  # within that time of a change, another one may not show in the files' times
        version = self._con.pragma("data_version")
        if version != self._version:
            self._version, self._changed_at = version, now
            return True
        if is_quiet:
            self.close()
            self._known.pack()
        return False

    def _files(self) -> State:
        return (_identity(self._database), _identity(self._database.with_name(self._database.name + "-wal")))

    def _of_database(self) -> Iterator[Any]:
        self._has_rest = True  # also if the consumer leaves in between
        while self._has_rest:
            changes = self._read()
            self._known.take(changes)
            self._has_rest = not changes.is_all
            packed = b"".join(one.packed for one in changes.found)
            if packed:
                yield batch_of(runs_of(changes.found), packed, self._wanted.columns)
        self._is_silent = False

    def _read(self) -> Changes:
        if self._con is None:
            if unopened_state(self._database) is not None:  # no process has it open: leave its files as they are
                return read_untouched(self._database, self._changes_in)
            self._con = open_readonly(self._database, self._busy_timeout_ms)
            self._version = self._con.pragma("data_version")
        return self._changes_in(self._con)

    def _changes_in(self, con: apsw.Connection) -> Changes:
        return self._known.changes_in(con, self._database, self._wanted, is_silent=self._is_silent)

    # ---- the archive

    def _of_archive(self) -> Iterator[Any]:
        """The archived ticks that are not known yet: all, or those of the last moments before the day was archived."""
        wanted = self._wanted
        keys = Wanted(("symbol", "seq"), wanted.symbols)
        if self._known and not any(self._unknown(batch) for batch in archived_batches(self._archive, keys)):
            return
        columns = tuple(dict.fromkeys((*columns_to_read(wanted), *keys.columns)))
        for batch in archived_batches(self._archive, Wanted(columns, wanted.symbols)):
            places = self._unknown(batch, is_known_now=True)
            if places and not self._is_silent:
                new = batch if len(places) == batch.num_rows else batch.take(numbers_array("seq", places))
                kept = keep_rows(new, wanted)
                if kept.num_rows:
                    yield kept

    def _unknown(self, batch: Any, *, is_known_now: bool = False) -> list[int]:  # noqa: ANN401 - a RecordBatch
        """The places of a batch's rows that were not given; `is_known_now`: from now on they were."""
        column = batch.column("seq")
        seqs = memoryview(column.buffers()[1]).cast("q")[column.offset : column.offset + len(column)]
        found: list[int] = []
        begin = 0
        for symbol, rows in symbol_runs(batch.column("symbol")):
            of_symbol = seqs[begin : begin + rows]
            known = self._known.of(symbol)
            new = known.unknown(of_symbol)
            found += [begin + place for place in new]
            if is_known_now:
                known.add([of_symbol[place] for place in new])
            begin += rows
        return found


def _identity(path: Path) -> tuple[int, ...] | None:
    """What changes when a file is replaced or written to, first what changes only if it is replaced; None: no file."""
    try:
        told = path.stat()
    except FileNotFoundError:
        return None
    return told.st_dev, told.st_ino, told.st_size, told.st_mtime_ns
