"""A day database as `repair` sees it: of the current kind, or the older one that earlier recorders wrote.

Owns every statement that corrects times. Never decides which times (`rules` does), never makes a copy. Invariant: a row
is removed only in a transaction that inserts it again, or after another file has committed it. So wherever a repair is
interrupted, no tick is lost, and a second run gives the same result.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any, NamedTuple, Self

import apsw

from hk_tick_collector.db import DayDatabase, Pragmas, migrate
from hk_tick_collector.errors import DatabaseError
from hk_tick_collector.hktime import hk_day
from hk_tick_collector.repair.layout import CURRENT, OLDER, Sample, layout_of
from hk_tick_collector.repair.rules import Finding
from hk_tick_collector.repair.stats import refresh_stats
from hk_tick_collector.store.schema import VERSION, is_day_file

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

    from hk_tick_collector.repair.rules import Rule

    Progress = Callable[[int, int], None]

BUSY_TIMEOUT_MS = 5000
TELL_EVERY_ROWS = 50_000

_NEW_DAY = "strftime('%Y%m%d', (ts_ms - :late) / 1000 + 28800, 'unixepoch')"
# In the form that was written: with dashes or without.
_NEW_TRADING_DAY = """, trading_day = strftime(
  CASE WHEN trading_day LIKE '____-__-__' THEN '%Y-%m-%d' ELSE '%Y%m%d' END,
  (ticks.ts_ms - :late) / 1000 + 28800, 'unixepoch')"""
_SAME_KEY = "ticks.symbol = found.symbol AND ticks.seq = found.seq"
_JOIN_CORRECTIONS = "LEFT JOIN time_corrections AS c ON c.symbol = ticks.symbol AND c.seq = ticks.seq"
_NOTE_CORRECTION = """
INSERT INTO time_corrections VALUES (:symbol, :seq, :time, :original, :ts_ms, :evidence)
ON CONFLICT (symbol, seq) DO """
_OF_A_TICK = "UPDATE SET ts_ms = excluded.ts_ms, evidence = excluded.evidence"
_OF_A_REVISION = "NOTHING"
_NOTE_CORRECTIONS = """
INSERT INTO time_corrections
SELECT symbol, seq, '', ts_ms, ts_ms - :late, :evidence FROM temp.found WHERE day = :day
ON CONFLICT (symbol, seq) DO UPDATE SET
  ts_ms = excluded.ts_ms, evidence = time_corrections.evidence || '; ' || excluded.evidence"""


class Moved(NamedTuple):
    """A row with its corrected time, to be inserted where it belongs, and its original time."""

    row: tuple[Any, ...]
    original_time: str
    original_ts_ms: int
    evidence: str


class TickFile:
    """One database that is scanned or corrected."""

    def __init__(self, path: Path, con: apsw.Connection) -> None:
        """Find out its kind. `own` and `make_like` open a database for writing.

        Raises:
            DatabaseError: it is of neither kind.
        """
        self.path = path
        self.con = con
        self.layout = layout_of(con, path)
        self._day = path.stem if is_day_file(path) else ""  # "": the file keeps all its rows
        self._revisions: list[Moved] = []  # late ones, with their corrected time
        self._touched: set[str] = set()
        self._rule: Rule | None = None

    @classmethod
    def own(cls, path: Path) -> Self:
        """Open a database for writing, for this process alone.

        In exclusive mode SQLite refuses if any other process has a WAL database open, such as another recorder or a
        reader with a snapshot, and keeps other processes out until it is closed.

        Raises:
            DatabaseError: another process has it open, or it is of neither kind.
        """
        con = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READWRITE)
        try:
            con.set_busy_timeout(BUSY_TIMEOUT_MS)
            con.pragma("locking_mode", "exclusive")
            con.pragma("synchronous", "FULL")
            return cls(path, con)
        except apsw.BusyError as exc:
            con.close()
            raise DatabaseError(f"{path} is open in another process: end that one first") from exc
        except BaseException:
            con.close()
            raise

    @classmethod
    def make_like(cls, path: Path, other: TickFile) -> Self:
        """Make an empty database of the same kind as another one, and open it as `own` does."""
        if other.layout.kind == CURRENT:
            database = DayDatabase(path, Pragmas())
            if other.con.pragma("journal_mode") == "delete":  # a day that is over
                database.leave_wal()
            database.close()
            return cls.own(path)
        made = apsw.Connection(str(path))
        try:
            made.pragma("journal_mode", other.con.pragma("journal_mode"))
            made.execute("BEGIN IMMEDIATE")
            kept = "SELECT sql FROM sqlite_schema WHERE tbl_name = 'ticks' AND type IN ('table', 'index') AND sql <> ''"
            for (sql,) in other.con.execute(kept + " ORDER BY type = 'index'"):
                made.execute(sql)
            made.pragma("application_id", other.con.pragma("application_id"))
            made.pragma("user_version", other.con.pragma("user_version"))
            made.execute("COMMIT")
        finally:
            made.close()
        return cls.own(path)

    def close(self) -> None:
        """Close it; what is not committed is rolled back."""
        self.con.close()

    # ---- finding

    def scan(self, rule: Rule, progress: Progress) -> Counter[Finding]:
        """Find and remember the late rows. Returns the number of rows by finding, with revisions that are not right."""
        self._rule = rule
        counts: Counter[Finding] = Counter()
        (total,) = self.con.execute("SELECT count(*) FROM ticks").fetchone() or (0,)

        def judge(*row: object) -> int:
            finding = rule.judge(*row)
            counts[finding] += 1
            if not counts.total() % TELL_EVERY_ROWS:
                progress(counts.total(), total)
            return int(finding)

        con = self.con
        con.create_scalar_function("judge", judge, 2)
        con.execute("DROP TABLE IF EXISTS temp.found")
        con.execute("CREATE TEMP TABLE found (symbol, seq, ts_ms, id, day)")
        only = "" if rule.future_from_ms is None else " ts_ms > :future AND"
        values = {"late": rule.correction_ms, "future": rule.future_from_ms, "fault": int(Finding.LATE)}
        day = _NEW_DAY if self._day else "''"
        row_id = self.layout.row_id or "NULL"
        con.execute(
            f"INSERT INTO temp.found SELECT symbol, seq, ts_ms, {row_id}, {day} "  # noqa: S608 - our own names
            f"FROM ticks WHERE{only} judge(ts_ms, seq) = :fault",
            values,
        )
        if only:
            counts[Finding.RIGHT] = total - counts.total() + counts[Finding.RIGHT]
        self._revisions = []
        if self.layout.kind == CURRENT:  # in the older kind `repair` wrote them, already corrected
            for row in con.execute(f"SELECT {self._columns} FROM tick_revisions").fetchall():  # noqa: S608
                finding = rule.judge(row[self._place("ts_ms")], row[self._place("seq")])
                counts[finding] += finding is not Finding.RIGHT
                if finding is Finding.LATE:
                    self._revisions.append(self._put_right(row))
        return +counts

    def late_by_day(self) -> Counter[str]:
        """How many rows are late, by the day where they belong ('' for a file that is not named after a day)."""
        days = Counter(dict(self.con.execute("SELECT day, count(*) FROM temp.found GROUP BY day")))
        days.update(self._day_of(moved) for moved in self._revisions)
        return days

    @property
    def day(self) -> str:
        """The day that the file is named after, or ''."""
        return self._day

    def samples_before(self, count: int) -> list[Sample]:
        """Some late rows, up to `count`, as they are."""
        day = "ticks.trading_day" if self._has_day else "''"
        match = "ticks._rowid_ = found.id" if self.layout.row_id else _SAME_KEY
        rows = self.con.execute(
            f"SELECT ticks.symbol, ticks.seq, ticks.ts_ms, {day}, price, volume "  # noqa: S608
            f"FROM (SELECT * FROM temp.found LIMIT ?) AS found JOIN ticks ON {match} ORDER BY 1, 2",
            (count,),
        )
        return [Sample._make((*row, self.path.name)) for row in rows]

    def sample_after(self, before: Sample, late_ms: int) -> Sample | None:
        """The same tick as it is now, among the ticks or revisions of this file; None: it is not in this file."""
        day = "trading_day" if self._has_day else "''"
        for table in ("ticks", "tick_revisions"):
            if not self.con.execute("SELECT count(*) FROM sqlite_schema WHERE name = ?", (table,)).get:
                continue
            found = self.con.execute(
                f"SELECT symbol, seq, ts_ms, {day}, price, volume FROM {table} "  # noqa: S608
                "WHERE symbol = ? AND seq IS ? AND ts_ms = ? AND price IS ? AND volume IS ?",
                (before.symbol, before.seq, before.ts_ms - late_ms, before.price, before.volume),
            ).fetchone()
            if found:
                return Sample._make((*found, self.path.name + " (revision)" * (table != "ticks")))
        return None

    def corrected(self, before: Sample) -> Sample:
        """The same tick as a repair would correct it."""
        assert self._rule is not None
        ts_ms = before.ts_ms - self._rule.correction_ms
        file = f"{hk_day(ts_ms)}.db" if self._day else before.file
        return before._replace(ts_ms=ts_ms, trading_day=_day_as(before.trading_day, ts_ms), file=file)

    # ---- correcting

    def migrate(self) -> None:
        """Bring a database of the current kind to the current schema version."""
        if self.layout.kind == CURRENT and self.con.pragma("user_version") < VERSION:
            migrate(self.con, self.path)
            self.layout = layout_of(self.con, self.path)

    def begin(self) -> None:
        """Begin this file's transaction."""
        self._touched.clear()
        self.con.execute("BEGIN IMMEDIATE")

    def commit(self) -> None:
        """Update the statistics, and commit."""
        if self.layout.kind == CURRENT:
            self._drop_equal_revisions()
            refresh_stats(self.con, self._touched)
        self.con.execute("COMMIT")

    def going_to(self, day: str) -> Iterator[Moved]:
        """The rows that belong to another day, with their corrected time; ticks first, then revisions."""
        assert self._rule is not None
        noted, match, joined = "NULL, NULL, NULL", "ticks._rowid_ = found.id", ""
        if self.layout.kind == CURRENT:
            noted, joined = "original_time, original_ts_ms, evidence", _JOIN_CORRECTIONS
            match = _SAME_KEY
        rows = self.con.execute(
            f"SELECT {noted}, {self._columns_of_ticks} "  # noqa: S608
            f"FROM temp.found JOIN ticks ON {match} {joined} WHERE found.day = ?",
            (day,),
        )
        for written, original_ts_ms, evidence, *row in rows:
            moved = self._put_right(tuple(row))
            if written is None:
                yield moved
            else:
                yield Moved(moved.row, written, original_ts_ms, f"{evidence}; {moved.evidence}")
        yield from (moved for moved in self._revisions if self._day_of(moved) == day)

    def put(self, rows: Iterable[Moved]) -> Counter[str]:
        """Insert rows into `ticks`; an existing one is dropped, or becomes a revision if its content differs."""
        done: Counter[str] = Counter()
        marks = ",".join("?" * len(self.layout.columns))
        insert = f"INSERT INTO ticks ({self._columns}) VALUES ({marks}) ON CONFLICT DO NOTHING"  # noqa: S608
        for moved in rows:
            self.con.execute(insert, moved.row)
            self._touched.add(moved.row[self._place("symbol")])
            if self.con.changes():
                done["inserted"] += 1
                self._note(moved, _OF_A_TICK)
            elif self._is_there(moved.row, "ticks"):
                done["dropped"] += 1
            else:
                done["revised"] += 1
                self._put_revision(moved.row)
                self._note(moved, _OF_A_REVISION)
        return done

    def put_right_here(self) -> Counter[str]:
        """Correct the late rows of this file: those that stay are updated, those of another day are deleted."""
        assert self._rule is not None
        late = {"late": self._rule.correction_ms, "evidence": self._rule.evidence, "day": self._day}
        con = self.con
        self._touched.update(symbol for (symbol,) in con.execute("SELECT DISTINCT symbol FROM temp.found"))
        if self.layout.kind == CURRENT:
            for table in ("ticks", "time_corrections"):
                con.execute(
                    f"DELETE FROM {table} WHERE (symbol, seq) IN "  # noqa: S608
                    "(SELECT symbol, seq FROM temp.found WHERE day <> ?)",
                    (self._day,),
                )
            con.execute(
                "UPDATE ticks SET ts_ms = ticks.ts_ms - :late FROM temp.found AS f "
                "WHERE f.day = :day AND ticks.symbol = f.symbol AND ticks.seq = f.seq",
                late,
            )
            con.execute(_NOTE_CORRECTIONS, late)
            for moved in self._revisions:
                self._delete_revision(moved)
            return self.put(moved for moved in self._revisions if self._day_of(moved) == self._day)
        con.execute("DELETE FROM ticks WHERE _rowid_ IN (SELECT id FROM temp.found WHERE day <> ?)", (self._day,))
        trading_day = _NEW_TRADING_DAY if self._has_day else ""
        con.execute(
            f"UPDATE OR IGNORE ticks SET ts_ms = ticks.ts_ms - :late{trading_day} FROM temp.found AS f "  # noqa: S608
            "WHERE f.day = :day AND ticks._rowid_ = f.id",
            late,
        )
        return self.put(list(self._take_colliding()))

    def _take_colliding(self) -> Iterator[Moved]:
        """Remove rows that could not be corrected, since a unique index of the older kind has an equal row already."""
        rows = self.con.execute(
            f"SELECT ticks._rowid_, {self._columns_of_ticks} FROM temp.found "  # noqa: S608
            "JOIN ticks ON ticks._rowid_ = found.id AND ticks.ts_ms = found.ts_ms WHERE day = ?",
            (self._day,),
        ).fetchall()
        for row_id, *row in rows:
            self.con.execute("DELETE FROM ticks WHERE _rowid_ = ?", (row_id,))
            yield self._put_right(tuple(row))

    def _put_right(self, row: tuple[Any, ...]) -> Moved:
        """A row with its corrected time, and with its corrected day if that is stored."""
        assert self._rule is not None
        at = self._place("ts_ms")
        fixed = list(row)
        fixed[at] -= self._rule.correction_ms
        if self.layout.kind == OLDER and self._has_day:
            written = self._place("trading_day")
            fixed[written] = _day_as(fixed[written], fixed[at])
        return Moved(tuple(fixed), "", row[at], self._rule.evidence)

    # ---- revisions and corrections

    def _put_revision(self, row: tuple[Any, ...]) -> None:
        if self.layout.kind == OLDER:
            self.con.execute(f"CREATE TABLE IF NOT EXISTS tick_revisions AS SELECT {self._columns} FROM ticks LIMIT 0")  # noqa: S608
        if not self._is_there(row, "tick_revisions"):
            marks = ",".join("?" * len(row))
            self.con.execute(f"INSERT INTO tick_revisions ({self._columns}) VALUES ({marks})", row)  # noqa: S608

    def _is_there(self, row: tuple[Any, ...], table: str) -> bool:
        """Whether a table has this tick with the same content."""
        names = ("symbol", "seq", *self.layout.content)
        same = " AND ".join(f"{name} IS ?" for name in names)
        values = [row[self._place(name)] for name in names]
        return self.con.execute(f"SELECT 1 FROM {table} WHERE {same}", values).fetchone() is not None  # noqa: S608

    def _delete_revision(self, moved: Moved) -> None:
        names = ("symbol", "seq", *self.layout.content)
        same = " AND ".join(f"{name} = ?" for name in names)
        values = [moved.original_ts_ms if name == "ts_ms" else moved.row[self._place(name)] for name in names]
        self.con.execute(f"DELETE FROM tick_revisions WHERE {same}", values)  # noqa: S608

    def _drop_equal_revisions(self) -> None:
        """Delete revisions that are now equal to their tick: they differed only by the late time."""
        same = " AND ".join(f"t.{name} = r.{name}" for name in ("symbol", "seq", *self.layout.content))
        names = ", ".join(("symbol", "seq", *self.layout.content))
        of_r = ", ".join(f"r.{name}" for name in ("symbol", "seq", *self.layout.content))
        self.con.execute(
            f"DELETE FROM tick_revisions WHERE ({names}) IN "  # noqa: S608
            f"(SELECT {of_r} FROM tick_revisions AS r JOIN ticks AS t ON {same})"
        )

    def _note(self, moved: Moved, on_conflict: str) -> None:
        """Store a row's original time. The older kind has no table for it; there the backup holds it."""
        if self.layout.kind == CURRENT:
            names = dict(zip(self.layout.columns, moved.row, strict=True))
            self.con.execute(
                _NOTE_CORRECTION + on_conflict,
                {
                    "symbol": names["symbol"],
                    "seq": names["seq"],
                    "time": moved.original_time,
                    "original": moved.original_ts_ms,
                    "ts_ms": names["ts_ms"],
                    "evidence": moved.evidence,
                },
            )

    # ---- names

    def _day_of(self, moved: Moved) -> str:
        return hk_day(moved.row[self._place("ts_ms")]) if self._day else ""

    def _place(self, column: str) -> int:
        return self.layout.columns.index(column)

    @property
    def _columns(self) -> str:
        return ", ".join(self.layout.columns)

    @property
    def _columns_of_ticks(self) -> str:
        return ", ".join(f"ticks.{name}" for name in self.layout.columns)

    @property
    def _has_day(self) -> bool:
        return self.layout.kind == CURRENT or "trading_day" in self.layout.columns


def _day_as(written: object, ts_ms: int) -> str:
    """The Hong Kong day of a time, with dashes if the written day has them."""
    day = hk_day(ts_ms)
    return f"{day[:4]}-{day[4:6]}-{day[6:]}" if "-" in str(written) else day
