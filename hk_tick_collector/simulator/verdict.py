"""The verdict: compares what was made with what is stored.

Owns the comparison. Never changes its inputs: day databases are opened read-only, and the ledger is read once.

All work happens in a private SQLite database on disk, so that a day of millions of ticks needs little memory. The
counts must balance, and this is asserted:

    stored = sent - missing - unreachable + unknown + duplicated

Ticks of symbols that nobody subscribed to are not `sent`, unless they are stored nevertheless.
"""

from __future__ import annotations

import datetime as dt
import re
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any, cast

import apsw

from hk_tick_collector.errors import ConfigError, DatabaseError
from hk_tick_collector.simulator.ledger import iter_ledger, revision_of, tick_row
from hk_tick_collector.simulator.sessions import DAY_SEC, midnight_sec
from hk_tick_collector.store.opening import readonly_uri

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

EXAMPLES_MAX = 5  # of each kind of discrepancy

_DAY_FILE = re.compile(r"\d{8}\.db")

_SCHEMA = """
PRAGMA journal_mode = MEMORY;
PRAGMA synchronous = OFF;
PRAGMA cache_size = -65536;
CREATE TABLE made(symbol TEXT, seq INTEGER, ts_ms INTEGER, price REAL, volume INTEGER, turnover REAL,
                  direction INTEGER, tick_type INTEGER, PRIMARY KEY (symbol, seq)) WITHOUT ROWID;
CREATE TABLE watched(symbol TEXT PRIMARY KEY) WITHOUT ROWID;
CREATE TABLE unreachable(symbol TEXT, seq INTEGER, PRIMARY KEY (symbol, seq)) WITHOUT ROWID;
CREATE TABLE lost(symbol TEXT, seq INTEGER, PRIMARY KEY (symbol, seq)) WITHOUT ROWID;
CREATE TABLE revised(symbol TEXT, seq INTEGER, price REAL, volume INTEGER, turnover REAL, stored INTEGER,
                     PRIMARY KEY (symbol, seq, price, volume, turnover)) WITHOUT ROWID;
CREATE TABLE kept(symbol TEXT, seq INTEGER, ts_ms INTEGER, price REAL, volume INTEGER, turnover REAL,
                  direction INTEGER, tick_type INTEGER, day TEXT);
CREATE INDEX kept_keys ON kept(symbol, seq);
CREATE TABLE copies(symbol TEXT, seq INTEGER, copies INTEGER, PRIMARY KEY (symbol, seq)) WITHOUT ROWID;
"""

_CONTENT = "ts_ms, price, volume, turnover, direction, tick_type"
_COLUMNS = "symbol, seq, ts_ms, price, volume, turnover, direction_id, tick_type_id"
_MADE = ", ".join(f"m.{name}" for name in _CONTENT.split(", "))
_KEPT = ", ".join(f"k.{name}" for name in _CONTENT.split(", "))
_STORED = "t.ts_ms, t.price, t.volume, t.turnover, t.direction_id, t.tick_type_id"

# A revision that reached the recorder before the original is stored as the tick. The original is then in
# `tick_revisions` if it came at all; if its push was lost or it was unreachable, there is nothing to keep.
_REVISION_FIRST = f"""
EXISTS (SELECT 1 FROM revised r WHERE (r.symbol, r.seq, r.price, r.volume, r.turnover)
                                    = (t.symbol, t.seq, t.price, t.volume, t.turnover))
AND (t.ts_ms, t.direction_id, t.tick_type_id) = (m.ts_ms, m.direction, m.tick_type)
AND (EXISTS (SELECT 1 FROM kept k WHERE (k.symbol, k.seq) = (t.symbol, t.seq) AND ({_KEPT}) = ({_MADE}))
     OR EXISTS (SELECT 1 FROM lost l WHERE (l.symbol, l.seq) = (t.symbol, t.seq))
     OR EXISTS (SELECT 1 FROM unreachable u WHERE (u.symbol, u.seq) = (t.symbol, t.seq)))
"""  # noqa: S608 - made of constants

# ?1 and ?2 are the start and the end of the database's day.
_WRONG = f"""
SELECT t.symbol, t.seq, {_STORED}, {_MADE}
FROM day.ticks t JOIN made m ON (m.symbol, m.seq) = (t.symbol, t.seq)
WHERE ({_STORED}) IS NOT ({_MADE}) AND NOT ({_REVISION_FIRST}) OR t.ts_ms < ?1 OR t.ts_ms >= ?2
"""  # noqa: S608 - made of constants

_ABSENT = """
SELECT m.symbol, m.seq FROM made m
WHERE NOT EXISTS (SELECT 1 FROM copies c WHERE (c.symbol, c.seq) = (m.symbol, m.seq))
AND (m.symbol IN (SELECT symbol FROM watched) OR NOT EXISTS (SELECT 1 FROM watched))
AND {} EXISTS (SELECT 1 FROM unreachable u WHERE (u.symbol, u.seq) = (m.symbol, m.seq))
"""

# A ledger without subscriptions is one of an older version, or nobody has recorded: then every symbol counts.
_NOT_SUBSCRIBED = """
SELECT m.symbol, m.seq FROM made m
WHERE EXISTS (SELECT 1 FROM watched) AND m.symbol NOT IN (SELECT symbol FROM watched)
AND NOT EXISTS (SELECT 1 FROM copies c WHERE (c.symbol, c.seq) = (m.symbol, m.seq))
"""

_UNKNOWN = """
SELECT c.symbol, c.seq FROM copies c
WHERE NOT EXISTS (SELECT 1 FROM made m WHERE (m.symbol, m.seq) = (c.symbol, c.seq))
"""

_MARK_KEPT = """
UPDATE revised AS r SET stored = 1
WHERE EXISTS (SELECT 1 FROM kept k
              WHERE (k.symbol, k.seq, k.price, k.volume, k.turnover) = (r.symbol, r.seq, r.price, r.volume, r.turnover))
"""

_REVISIONS_UNKNOWN = f"""
SELECT k.symbol, k.seq FROM kept k LEFT JOIN made m ON (m.symbol, m.seq) = (k.symbol, k.seq)
WHERE ({_KEPT}) IS NOT ({_MADE})
AND NOT ((k.ts_ms, k.direction, k.tick_type) IS (m.ts_ms, m.direction, m.tick_type)
         AND EXISTS (SELECT 1 FROM revised r WHERE (r.symbol, r.seq, r.price, r.volume, r.turnover)
                                                 = (k.symbol, k.seq, k.price, k.volume, k.turnover)))
"""  # noqa: S608 - made of constants


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the comparison found; all numbers but `databases` count ticks or rows.

    Attributes:
        databases: how many day databases there were.
        sent: made by the exchange, of the symbols that were subscribed.
        stored: rows in the databases' `ticks`.
        missing: made and reachable, but not stored.
        duplicated: rows beyond the first with the same (symbol, seq), in other databases.
        wrong: stored with different content, or in the database of a day other than its Hong Kong date.
        unknown: stored, but never made.
        unreachable: not stored and not obtainable: OpenD never got them, or lost them.
        not_subscribed: made and not sent: nobody had subscribed to the symbol.
        revisions_sent: different contents that were sent under an existing sequence.
        revisions_stored: how many of those are stored.
        revisions_unknown: rows in `tick_revisions` that OpenD never sent.
        examples: a few discrepancies of each kind, for a person to look at.
    """

    databases: int
    sent: int
    stored: int
    missing: int
    duplicated: int
    wrong: int
    unknown: int
    unreachable: int
    not_subscribed: int
    revisions_sent: int
    revisions_stored: int
    revisions_unknown: int
    examples: tuple[dict[str, Any], ...]

    @property
    def ok(self) -> bool:
        """Whether every reachable tick is stored exactly once with the right content, and nothing else is stored."""
        return not (self.missing or self.duplicated or self.wrong or self.unknown or self.revisions_unknown)

    def as_dict(self) -> dict[str, Any]:
        """All fields and `ok`, for JSON."""
        return {"ok": self.ok, **asdict(self)}


def compare(ledger_path: Path, data_root: Path) -> Verdict:
    """Judge the day databases in `data_root` against the ledger.

    Raises:
        ConfigError: no such ledger or directory, or the ledger is not valid.
        DatabaseError: a day database can't be read.
    """
    if not data_root.is_dir():
        raise ConfigError(f"no directory of day databases at {data_root}")
    days = sorted(path for path in data_root.glob("*.db") if _DAY_FILE.fullmatch(path.name))
    court = _Court()
    try:
        court.load(ledger_path)
        for path in days:
            court.hear_revisions(path)
        for path in days:
            court.hear(path)
        return court.verdict(len(days))
    except apsw.Error as exc:
        raise DatabaseError(f"the comparison's own database failed: {exc}") from exc
    finally:
        court.close()


class _Court:
    """The private database of one comparison."""

    def __init__(self) -> None:
        flags = apsw.SQLITE_OPEN_READWRITE | apsw.SQLITE_OPEN_CREATE | apsw.SQLITE_OPEN_URI
        self._db = apsw.Connection("", flags=flags)
        self._db.execute(_SCHEMA).fetchall()  # statements after one with rows run once these are fetched
        self._stored = self._wrong = 0
        self._examples: list[dict[str, Any]] = []

    def close(self) -> None:
        """Close the database, which frees its disk space."""
        self._db.close(True)  # noqa: FBT003 - the driver's parameter is positional only

    def load(self, path: Path) -> None:
        """Load the ledger."""
        try:
            with self._db:
                self._db.executemany("INSERT INTO made VALUES (?,?,?,?,?,?,?,?)", self._ticks(path))
        except apsw.ConstraintError as exc:
            raise ConfigError(f"{path} has a trade that was made twice; one ledger for each simulated day") from exc

    def _ticks(self, path: Path) -> Iterator[tuple[Any, ...]]:
        """Yield the trades; insert the few other lines that matter along the way."""
        for entry in iter_ledger(path):
            match entry["k"]:
                case "t":
                    yield tick_row(entry)
                case "w":
                    self._db.execute("INSERT OR IGNORE INTO watched VALUES (?)", (entry["s"],))
                case "u":
                    self._db.execute("INSERT OR IGNORE INTO unreachable VALUES (?,?)", (entry["s"], entry["q"]))
                case "l":
                    self._db.execute("INSERT OR IGNORE INTO lost VALUES (?,?)", (entry["s"], entry["q"]))
                case "r":
                    self._db.execute("INSERT OR IGNORE INTO revised VALUES (?,?,?,?,?,0)", revision_of(entry))

    def hear_revisions(self, path: Path) -> None:
        """Load a day's `tick_revisions`, if it has that table."""
        with _attached(self._db, path):
            if self._value("SELECT count(*) FROM day.sqlite_master WHERE name = 'tick_revisions'"):
                self._db.execute(
                    f"INSERT INTO kept SELECT {_COLUMNS}, ? FROM day.tick_revisions",  # noqa: S608 - constants
                    (path.stem,),
                )

    def hear(self, path: Path) -> None:
        """Compare a day's `ticks` with what was made."""
        begin_ms = _begin_ms(path)
        # One transaction: a recorder may be writing, and all these statements must see the same rows.
        with _attached(self._db, path), self._db:
            self._stored += self._value("SELECT count(*) FROM day.ticks")
            self._db.execute(
                "INSERT INTO copies SELECT symbol, seq, 1 FROM day.ticks WHERE true"
                " ON CONFLICT (symbol, seq) DO UPDATE SET copies = copies + 1"
            )
            self._db.execute(
                "UPDATE revised SET stored = 1 WHERE EXISTS (SELECT 1 FROM day.ticks t"
                " WHERE (t.symbol, t.seq, t.price, t.volume, t.turnover)"
                " = (revised.symbol, revised.seq, revised.price, revised.volume, revised.turnover))"
            )
            for symbol, seq, *contents in self._db.execute(_WRONG, (begin_ms, begin_ms + DAY_SEC * 1000)):
                self._wrong += 1
                self._example("wrong", symbol, seq, day=path.stem, stored=contents[:6], made=contents[6:])

    def verdict(self, databases: int) -> Verdict:
        """Count the rest, and assert that the counts balance."""
        self._db.execute(_MARK_KEPT)
        not_subscribed = self._value(f"SELECT count(*) FROM ({_NOT_SUBSCRIBED})")  # noqa: S608 - constants
        verdict = Verdict(
            databases=databases,
            sent=self._value("SELECT count(*) FROM made") - not_subscribed,
            stored=self._stored,
            missing=self._count("missing", _ABSENT.format("NOT")),
            duplicated=self._value("SELECT coalesce(sum(copies - 1), 0) FROM copies"),
            wrong=self._wrong,
            unknown=self._count("unknown", _UNKNOWN),
            unreachable=self._value(f"SELECT count(*) FROM ({_ABSENT.format('')})"),  # noqa: S608 - constants
            not_subscribed=not_subscribed,
            revisions_sent=self._value("SELECT count(*) FROM revised"),
            revisions_stored=self._value("SELECT count(*) FROM revised WHERE stored"),
            revisions_unknown=self._count("revisions_unknown", _REVISIONS_UNKNOWN),
            examples=(),
        )
        for symbol, seq in self._db.execute("SELECT symbol, seq FROM copies WHERE copies > 1 LIMIT ?", (EXAMPLES_MAX,)):
            self._example("duplicated", symbol, seq)
        to_be_had = verdict.sent - verdict.missing - verdict.unreachable
        assert verdict.stored == to_be_had + verdict.unknown + verdict.duplicated, verdict
        return replace(verdict, examples=tuple(self._examples))

    def _count(self, kind: str, select: str) -> int:
        """How many (symbol, seq) a query returns; the first few become examples."""
        for symbol, seq in self._db.execute(f"{select} LIMIT {EXAMPLES_MAX}"):
            self._example(kind, symbol, seq)
        return self._value(f"SELECT count(*) FROM ({select})")  # noqa: S608 - constants

    def _value(self, select: str) -> int:
        return cast("int", self._db.execute(select).fetchall()[0][0])

    def _example(self, kind: str, symbol: str, seq: int, **details: object) -> None:
        if sum(example["kind"] == kind for example in self._examples) < EXAMPLES_MAX:
            self._examples.append({"kind": kind, "symbol": symbol, "seq": seq, **details})


@contextmanager
def _attached(db: apsw.Connection, path: Path) -> Iterator[None]:
    """Attach a day database as `day`, read-only."""
    try:
        db.execute("ATTACH ? AS day", (readonly_uri(path),))
        yield
        db.execute("DETACH day")
    except apsw.Error as exc:
        raise DatabaseError(f"{path} can't be compared: {exc}") from exc


def _begin_ms(path: Path) -> int:
    """Hong Kong midnight of the day that a file is named after, UTC epoch ms."""
    try:
        date = dt.date.fromisoformat(path.stem)
    except ValueError as exc:
        raise DatabaseError(f"{path} is named after no date") from exc
    return midnight_sec(date) * 1000
