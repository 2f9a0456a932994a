"""Day databases as the writer uses them: opening, migrating, inserting, closing.

Owns every statement that stores what comes in; `store` reads and checkpoints, `repair` corrects what is stored. Never
decides which rows exist; `mapping` does. Invariant: a row is in `ticks` at most once and never changes; what differs
from it is in `tick_revisions`; `symbol_stats` agrees with `ticks`, since both are written in one transaction.
"""

from __future__ import annotations

import contextlib
from itertools import chain
from math import fsum
from typing import TYPE_CHECKING, Any, NamedTuple

import apsw

from hk_tick_collector.hktime import EPOCH_MS_MIN
from hk_tick_collector.mapping import RECV_TS_MS, TURNOVER, VOLUME
from hk_tick_collector.store.pragmas import BUSY_MS, SYNCHRONOUS, WAL_PAGES
from hk_tick_collector.store.schema import FLOAT_MAX, VERSION, check_ours, migrate_from, storable
from hk_tick_collector.store.wal import PACE_SEC_MAX, Wal

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path

    from hk_tick_collector.mapping import Correction, Row

Values = tuple[Any, ...]

# ts_ms … tick_type_id: ticks with the same symbol and sequence are equal if these are equal.
CONTENT = slice(2, 8)

# 8 MiB hold the last leaf of 900 symbols twice over; the machine may not have the memory for more.
CACHE_KIB = 8192

_COLUMNS = 12
# Twenty rows per statement take a fifth less time than one. OR FAIL: the rows before one that exists already stay.
_ROWS_AT_ONCE = 20
_INSERT_NEW = "INSERT OR FAIL INTO ticks VALUES (?,?,?,?,?,?,?,?,?,?,?,?)"
_INSERT_MANY = _INSERT_NEW + ",(?,?,?,?,?,?,?,?,?,?,?,?)" * (_ROWS_AT_ONCE - 1)
_INSERT_TICK = "INSERT INTO ticks VALUES (?,?,?,?,?,?,?,?,?,?,?,?) ON CONFLICT DO NOTHING"
_INSERT_REVISION = "INSERT INTO tick_revisions VALUES (?,?,?,?,?,?,?,?,?,?,?,?) ON CONFLICT DO NOTHING"
_STORED_CONTENT = (
    "SELECT ts_ms, price, volume, turnover, direction_id, tick_type_id FROM ticks WHERE symbol = ? AND seq = ?"
)
# The limits are INT64_MAX and FLOAT_MAX.
_ADD_STATS = """
INSERT INTO symbol_stats VALUES (?,?,?,?,?,?,?,?,?) ON CONFLICT (symbol) DO UPDATE SET
  rows = rows + excluded.rows,
  volume_sum = max(-9223372036854775807, min(9223372036854775807, volume_sum + excluded.volume_sum)),
  turnover_sum = max(-1.7976931348623157e308, min(1.7976931348623157e308, turnover_sum + excluded.turnover_sum)),
  first_seq = min(ifnull(first_seq, excluded.first_seq), ifnull(excluded.first_seq, first_seq)),
  last_seq = max(ifnull(last_seq, excluded.last_seq), ifnull(excluded.last_seq, last_seq)),
  first_ts_ms = min(first_ts_ms, excluded.first_ts_ms),
  last_ts_ms = max(last_ts_ms, excluded.last_ts_ms),
  last_recv_ts_ms = max(last_recv_ts_ms, excluded.last_recv_ts_ms)
"""
# How long a push may come after a reply that holds its tick.
UNDER_WAY_MS = 15_000
# A lower one can't be read as a time and an ordinal.
SEQ_MIN = EPOCH_MS_MIN // 1000 << 32
_UNTIMELY = (
    "SELECT symbol FROM symbol_stats WHERE EXISTS "
    "(SELECT 1 FROM ticks WHERE ticks.symbol = symbol_stats.symbol AND ticks.seq < ?)"
)
_RENUMBERED = "SELECT symbol FROM premises WHERE name = 'same_sequence' AND failed > 0"
_MADE_UP = (
    "SELECT seq FROM ticks WHERE symbol = ? AND seq < 0 AND ts_ms = ? AND price = ? AND volume = ? AND turnover = ? "
    "AND direction_id = ? AND tick_type_id = ? AND push_type_id <> 0 AND recv_ts_ms >= ? LIMIT 1"
)
_IS_THERE = "SELECT 1 FROM ticks WHERE symbol = ? AND seq = ?"
_DELETE_MADE_UP = "DELETE FROM ticks WHERE symbol = ? AND seq = ?"
_SUBTRACT_STATS = (
    "UPDATE symbol_stats SET rows = rows - 1, volume_sum = volume_sum - ?, turnover_sum = turnover_sum - ? "
    "WHERE symbol = ?"
)
_INSERT_TYPES = "INSERT INTO symbol_types VALUES (?, ?, 0) ON CONFLICT DO NOTHING"
_INSERT_CORRECTION = "INSERT INTO time_corrections VALUES (?,?,?,?,?,?) ON CONFLICT DO NOTHING"
_INSERT_BAD = "INSERT INTO bad_ticks VALUES (?,?,?,?,?,?,?,?,?) ON CONFLICT DO NOTHING"


class Pragmas(NamedTuple):
    """How a day database is opened for writing."""

    busy_timeout_ms: int = BUSY_MS
    synchronous: str = SYNCHRONOUS
    wal_autocheckpoint_pages: int = WAL_PAGES
    pace_sec_max: float = PACE_SEC_MAX


class Inserted(NamedTuple):
    """What became of rows.

    Attributes:
        new: stored now.
        duplicates: stored already.
        revisions: stored already with other content.
        extra: of a sealed day on which their symbol was not to be recorded; they are not stored.
    """

    new: int
    duplicates: int
    revisions: int
    extra: int = 0


class DayDatabase:
    """One day's file, open for writing. A DATA_ROOT has one writer, and only that one checkpoints."""

    def __init__(self, path: Path, pragmas: Pragmas) -> None:
        """Open or make the file, and bring it to the current schema.

        Raises:
            DatabaseNewerError: a newer program made it.
            apsw.Error: SQLite failed.
        """
        self.path = path
        self.day = path.stem
        self._pragmas = pragmas
        self._con = apsw.Connection(str(path))
        self.wal = Wal(self._con, path, pragmas.wal_autocheckpoint_pages, pace_sec_max=pragmas.pace_sec_max)
        self.types: dict[str, set[int]] = {}  # by symbol, the types of its ticks so far
        self.untimely: set[str] = set()  # symbols with a sequence that does not hold the second of the trade
        self._data_version: Any = None  # changes when another connection has changed the file
        self.renumbered: set[str] = set()  # symbols whose fetched ticks have other sequences than their pushes
        try:
            self._prepare()
        except BaseException:
            self._con.close()
            raise

    def _prepare(self) -> None:
        con = self._con
        con.set_busy_timeout(self._pragmas.busy_timeout_ms)
        check_ours(con, self.path)  # before a byte of it is changed
        con.pragma("journal_mode", "wal")
        con.pragma("synchronous", self._pragmas.synchronous)
        con.pragma("cache_size", -CACHE_KIB)
        migrate(con, self.path)
        for symbol, tick_type in con.execute("SELECT symbol, tick_type_id FROM symbol_types"):
            self.types.setdefault(symbol, set()).add(tick_type)
        self.renumbered = {symbol for (symbol,) in con.execute(_RENUMBERED)}
        self.untimely = {symbol for (symbol,) in con.execute(_UNTIMELY, (SEQ_MIN,))}

    @property
    def connection(self) -> apsw.Connection:
        """For code that writes other tables than `ticks`, between `begin` and `commit`."""
        return self._con

    def pragmas_in_force(self) -> dict[str, object]:
        """The settings in force on this connection, read back from SQLite."""
        con = self._con
        return {
            "journal_mode": con.pragma("journal_mode"),
            "synchronous": con.pragma("synchronous"),
            "busy_timeout": con.pragma("busy_timeout"),
            "wal_autocheckpoint": self._pragmas.wal_autocheckpoint_pages,  # kept by us, see wal.py
            "page_size": con.pragma("page_size"),
            "user_version": con.pragma("user_version"),
        }

    def close(self) -> None:
        """Close; SQLite checkpoints if this was the last connection."""
        self._con.close()

    def leave_wal(self) -> bool:
        """Make it one plain file, which a reader without write permission can open too.

        The next writer turns WAL on again. False: another process uses the file, and nothing has changed.
        """
        self._con.set_busy_timeout(0)
        with contextlib.suppress(apsw.BusyError):
            self._con.pragma("journal_mode", "delete")
        return bool(self._con.pragma("journal_mode") == "delete")

    def store(
        self,
        pushed: Mapping[str, list[Row]],
        fetched: Mapping[str, list[Row]],
        corrections: Iterable[Correction] = (),
        bad: Iterable[Values] = (),
    ) -> Inserted:
        """One whole transaction: `begin`, `insert`, `commit`."""
        self.begin()
        done = self.insert(pushed, fetched, corrections, bad)
        self.commit()
        return done

    def begin(self) -> bool:
        """Begin a transaction, with the write lock taken. apsw.BusyError if another process holds it for too long.

        Returns:
            Whether another connection has written to the file since the last transaction.
        """
        self._con.execute("BEGIN IMMEDIATE")
        before, self._data_version = self._data_version, self._con.pragma("data_version")
        return before not in {None, self._data_version}

    def commit(self) -> None:
        """Make durable what was inserted since `begin`."""
        self._con.execute("COMMIT")

    def insert(
        self,
        pushed: Mapping[str, list[Row]],
        fetched: Mapping[str, list[Row]],
        corrections: Iterable[Correction] = (),
        bad: Iterable[Values] = (),
    ) -> Inserted:
        """Insert rows by symbol: new ones into `ticks`, known ones with other content into `tick_revisions`.

        Pushes are nearly always new: they are inserted together, except the few that exist already. Fetched rows nearly
        always exist already.

        Args:
            pushed: rows that were pushed.
            fetched: rows of GetTicker replies.
            corrections: the originals of corrected times.
            bad: rows that make no sense: the columns of `bad_ticks`.

        Raises:
            apsw.Error: close this database, which rolls back everything since `begin`, and open it again.
        """
        for symbol in self.renumbered & pushed.keys() if self.renumbered else ():
            for row in pushed[symbol]:
                self._take_place(row)
        done = self._insert_pushed(pushed)
        if fetched:
            also = self._insert_singly(chain.from_iterable(fetched.values()))
            done = Inserted(*(a + b for a, b in zip(done, also, strict=True)))
        self._con.executemany(_INSERT_CORRECTION, corrections)
        self._con.executemany(_INSERT_BAD, bad)
        return done

    def _take_place(self, row: Row) -> None:
        """Delete the same tick if it was fetched before this push, under a made-up sequence: the push replaces it."""
        symbol, seq = row[:2]
        if seq <= 0 or self._con.execute(_IS_THERE, (symbol, seq)).get is not None:
            return
        content: Any = row[CONTENT]
        rows: list[Any] = self._con.execute(_MADE_UP, (symbol, *content, row[RECV_TS_MS] - UNDER_WAY_MS)).fetchall()
        for (made_up,) in rows:
            self._con.execute(_DELETE_MADE_UP, (symbol, made_up))
            self._con.execute(_SUBTRACT_STATS, (row[VOLUME], row[TURNOVER], symbol))

    def _insert_pushed(self, rows_by_symbol: Mapping[str, list[Row]]) -> Inserted:
        """Insert rows of which nearly all are new; continue after each one that exists already."""
        con = self._con
        rows = list(chain.from_iterable(rows_by_symbol.values()))
        values = tuple(chain.from_iterable(rows))
        taken = 0
        old: list[Row] = []
        while taken < len(rows):
            before = con.total_changes()
            try:
                self._insert_new(values, taken)
            except apsw.ConstraintError:
                taken += con.total_changes() - before + 1
                old.append(rows[taken - 1])
                continue
            taken += con.total_changes() - before
            assert taken == len(rows)
        if not old:
            self._add_stats(rows_by_symbol)
            return Inserted(len(rows), 0, 0)
        known = set(map(id, old))
        new_by_symbol = {
            symbol: [row for row in rows if id(row) not in known] for symbol, rows in rows_by_symbol.items()
        }
        self._add_stats({symbol: rows for symbol, rows in new_by_symbol.items() if rows})
        also = self._insert_singly(old)
        return Inserted(len(rows) - len(old) + also.new, also.duplicates, also.revisions)

    def _insert_new(self, values: Values, start: int) -> None:
        """Insert the rows from `start` on. apsw.ConstraintError at one that exists: those before it are inserted.

        Nothing is copied beforehand: in a replay every row exists already, and this is called again for each.
        """
        step, begin = _COLUMNS * _ROWS_AT_ONCE, _COLUMNS * start
        whole = len(values) - (len(values) - begin) % step
        self._con.executemany(_INSERT_MANY, (values[at : at + step] for at in range(begin, whole, step)))
        rest = range(whole, len(values), _COLUMNS)
        self._con.executemany(_INSERT_NEW, (values[at : at + _COLUMNS] for at in rest))

    def _insert_singly(self, rows: Iterable[Row]) -> Inserted:
        """Insert one by one, to see which exist already, and whether with the same content."""
        con = self._con
        new_by_symbol: dict[str, list[Row]] = {}
        new = duplicates = revisions = 0
        for row in rows:
            con.execute(_INSERT_TICK, row)
            if con.changes():
                new_by_symbol.setdefault(row[0], []).append(row)
                new += 1
                continue
            (stored,) = con.execute(_STORED_CONTENT, row[:2])
            if stored == row[CONTENT]:
                duplicates += 1
            else:
                con.execute(_INSERT_REVISION, row)
                revisions += 1
        self._add_stats(new_by_symbol)
        return Inserted(new, duplicates, revisions)

    def _add_stats(self, rows_by_symbol: Mapping[str, list[Row]]) -> None:
        """Add new rows to `symbol_stats`."""
        stats = []
        for symbol, rows in rows_by_symbol.items():
            _, seqs, times, _, volumes, turnovers, _, types, *_, recvs, _ = zip(*rows, strict=True)
            if not self.types.get(symbol, set()).issuperset(types):
                self._add_types(symbol, set(types))
            last = max(seqs)
            first = min(seqs)
            if first < SEQ_MIN:
                self.untimely.add(symbol)
            if first <= 0:  # made-up sequences have no order
                first = min((seq for seq in seqs if seq > 0), default=None)
            stats.append(
                (symbol, len(rows), _volume_sum(volumes), _turnover_sum(turnovers), first, last if last > 0 else None,
                 min(times), max(times), max(recvs))
            )  # fmt: skip
        self._con.executemany(_ADD_STATS, stats)

    def _add_types(self, symbol: str, types: set[int]) -> None:
        """Store that a symbol has ticks of these types."""
        self.types.setdefault(symbol, set()).update(types)
        self._con.executemany(_INSERT_TYPES, ((symbol, tick_type) for tick_type in sorted(types)))


def _volume_sum(volumes: Iterable[int]) -> int:
    return storable(sum(volumes))


def _turnover_sum(turnovers: tuple[float, ...]) -> float:
    try:
        return fsum(turnovers)
    except OverflowError:
        return max(-FLOAT_MAX, min(FLOAT_MAX, sum(turnovers)))


@contextlib.contextmanager
def transaction(con: apsw.Connection) -> Iterator[None]:
    """A transaction: all or nothing, with the write lock taken from the start."""
    con.execute("BEGIN IMMEDIATE")
    try:
        yield
        con.execute("COMMIT")
    except BaseException:
        if con.in_transaction:  # a full disk has ended it already, and that error must be the one raised
            con.execute("ROLLBACK")
        raise


def migrate(con: apsw.Connection, path: Path) -> None:
    """Bring a database to the current schema, one version per step, all or nothing."""
    if con.pragma("user_version") == VERSION:
        check_ours(con, path)
        return
    with transaction(con):
        check_ours(con, path)
        migrate_from(con, int(con.pragma("user_version")), path)
