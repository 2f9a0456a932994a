"""The verdict: what was made against what is stored.

Owns the comparison, and nothing that was compared: day databases are opened read-only, the ledger is read once.

Everything happens inside a private SQLite database on disk, so that a day of millions of ticks needs no memory to speak
of. The books must balance, and that is asserted:

    stored = sent - missing - unreachable + unknown + duplicated
"""

from __future__ import annotations

import datetime as dt
import re
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import apsw

from hk_tick_collector.errors import ConfigError, DatabaseError
from hk_tick_collector.simulator.ledger import iter_ledger, revision_of, tick_of
from hk_tick_collector.simulator.sessions import DAY_SEC, midnight_sec

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

EXAMPLES_MAX = 5  # of each kind of fault

_DAY_FILE = re.compile(r"\d{8}\.db")

_SCHEMA = """
PRAGMA journal_mode = OFF;
PRAGMA synchronous = OFF;
PRAGMA cache_size = -65536;
CREATE TABLE made(symbol TEXT, seq INTEGER, ts_ms INTEGER, price REAL, volume INTEGER, turnover REAL, direction INTEGER,
                  tick_type INTEGER, PRIMARY KEY (symbol, seq)) WITHOUT ROWID;
CREATE TABLE unreachable(symbol TEXT, seq INTEGER, PRIMARY KEY (symbol, seq)) WITHOUT ROWID;
CREATE TABLE lost(symbol TEXT, seq INTEGER, PRIMARY KEY (symbol, seq)) WITHOUT ROWID;
CREATE TABLE revised(symbol TEXT, seq INTEGER, price REAL, volume INTEGER, turnover REAL, kept INTEGER DEFAULT 0,
                     PRIMARY KEY (symbol, seq, price, volume, turnover)) WITHOUT ROWID;
CREATE TABLE kept(symbol TEXT, seq INTEGER, ts_ms INTEGER, price REAL, volume INTEGER, turnover REAL, direction INTEGER,
                  tick_type INTEGER, day TEXT);
CREATE TABLE copies(symbol TEXT, seq INTEGER, copies INTEGER, PRIMARY KEY (symbol, seq)) WITHOUT ROWID;
"""

_CONTENT = "ts_ms, price, volume, turnover, direction, tick_type"
_COLUMNS = "symbol, seq, ts_ms, price, volume, turnover, direction_id, tick_type_id"
_MADE = ", ".join(f"m.{name}" for name in _CONTENT.split(", "))
_KEPT = ", ".join(f"k.{name}" for name in _CONTENT.split(", "))
_STORED = "t.ts_ms, t.price, t.volume, t.turnover, t.direction_id, t.tick_type_id"

# A revision that reached the recorder before the original did is what OpenD said first. Then the original, if it came at
# all, is the one that was kept aside; if its push was lost or it never was to be had, there is nothing to keep.
_REVISION_FIRST = f"""
EXISTS (SELECT 1 FROM revised r WHERE (r.symbol, r.seq, r.price, r.volume, r.turnover)
                                    = (t.symbol, t.seq, t.price, t.volume, t.turnover))
AND (t.ts_ms, t.direction_id, t.tick_type_id) = (m.ts_ms, m.direction, m.tick_type)
AND (EXISTS (SELECT 1 FROM kept k WHERE (k.symbol, k.seq) = (t.symbol, t.seq) AND ({_KEPT}) = ({_MADE}))
     OR EXISTS (SELECT 1 FROM lost l WHERE (l.symbol, l.seq) = (t.symbol, t.seq))
     OR EXISTS (SELECT 1 FROM unreachable u WHERE (u.symbol, u.seq) = (t.symbol, t.seq)))
"""  # noqa: S608 - made of constants


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the comparison found; all numbers count ticks.

    Attributes:
        databases: how many day databases there were.
        sent: made by the exchange.
        stored: rows in the databases' `ticks`.
        missing: made, to be had, and not stored.
        duplicated: rows beyond the first of the same (symbol, seq), in other databases.
        wrong: stored with other content, or in another day's database than its Hong Kong date.
        unknown: stored, but never made.
        unreachable: not stored, and not to be had: OpenD never got them, or lost them.
        revisions_sent: contents sent again with a sequence that had another one.
        revisions_stored: those of them that are kept.
        revisions_unknown: rows in `tick_revisions` that nobody sent.
        examples: a few of each fault, for a person to look at.
    """

    databases: int
    sent: int
    stored: int
    missing: int
    duplicated: int
    wrong: int
    unknown: int
    unreachable: int
    revisions_sent: int
    revisions_stored: int
    revisions_unknown: int
    examples: tuple[dict[str, Any], ...]

    @property
    def ok(self) -> bool:
        """Whether every tick that was to be had is stored once, exactly, and nothing else is."""
        return not (self.missing or self.duplicated or self.wrong or self.unknown or self.revisions_unknown)

    def as_dict(self) -> dict[str, Any]:
        """All of it, for JSON."""
        return {"ok": self.ok, **asdict(self)}


def compare(ledger_path: Path, data_root: Path) -> Verdict:
    """Judge the day databases in `data_root` by the ledger.

    Raises:
        ConfigError: no such ledger or directory, or the ledger is not one.
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
    finally:
        court.close()


class _Court:
    """The private database in which one comparison happens."""

    def __init__(self) -> None:
        flags = apsw.SQLITE_OPEN_READWRITE | apsw.SQLITE_OPEN_CREATE | apsw.SQLITE_OPEN_URI
        self._db = apsw.Connection("", flags=flags)
        self._db.execute(_SCHEMA)
        self._stored = self._wrong = self._unknown_rows = 0
        self._examples: list[dict[str, Any]] = []

    def close(self) -> None:
        """Give it back."""
        self._db.close(True)  # noqa: FBT003 - the driver's parameter is positional only

    def load(self, path: Path) -> None:
        """Take the ledger in."""
        try:
            with self._db:
                self._db.executemany("INSERT INTO made VALUES (?,?,?,?,?,?,?,?)", self._ticks(path))
        except apsw.ConstraintError as exc:
            raise ConfigError(f"{path} has a trade that was made twice; one ledger for each simulated day") from exc

    def _ticks(self, path: Path) -> Iterator[tuple[Any, ...]]:
        """The trades; the few other lines that matter are taken in on the way."""
        for entry in iter_ledger(path):
            match entry["k"]:
                case "t":
                    key, content = tick_of(entry)
                    yield key + content
                case "u":
                    self._db.execute("INSERT OR IGNORE INTO unreachable VALUES (?,?)", (entry["s"], entry["q"]))
                case "l":
                    self._db.execute("INSERT OR IGNORE INTO lost VALUES (?,?)", (entry["s"], entry["q"]))
                case "r":
                    self._db.execute(
                        "INSERT OR IGNORE INTO revised(symbol, seq, price, volume, turnover) VALUES (?,?,?,?,?)",
                        revision_of(entry),
                    )

    def hear_revisions(self, path: Path) -> None:
        """Take a day's `tick_revisions` in."""
        with _Attached(self._db, path):
            if self._db.execute("SELECT 1 FROM day.sqlite_master WHERE name = 'tick_revisions'").fetchone():
                self._db.execute(
                    f"INSERT INTO kept SELECT {_COLUMNS}, ? FROM day.tick_revisions",  # noqa: S608 - constants
                    (path.stem,),
                )

    def hear(self, path: Path) -> None:
        """Compare a day's `ticks` with what was made."""
        begin_ms = _midnight_ms(path)
        with _Attached(self._db, path):
            self._stored += int(self._value("SELECT count(*) FROM day.ticks"))
            self._db.execute(
                "INSERT INTO copies SELECT symbol, seq, 1 FROM day.ticks WHERE true"
                " ON CONFLICT (symbol, seq) DO UPDATE SET copies = copies + 1"
            )
            odd = self._db.execute(
                f"SELECT m.symbol IS NULL, t.symbol, t.seq, {_STORED}, {_MADE}"  # noqa: S608 - constants
                " FROM day.ticks t LEFT JOIN made m ON (m.symbol, m.seq) = (t.symbol, t.seq)"
                f" WHERE ({_STORED}) IS NOT ({_MADE}) AND NOT ({_REVISION_FIRST}) IS TRUE"
                " OR t.ts_ms < ?1 OR t.ts_ms >= ?1 + ?2",
                (begin_ms, DAY_SEC * 1000),
            )
            for unknown, symbol, seq, *contents in odd:
                if unknown:
                    self._unknown_rows += 1
                    self._example("unknown", symbol, seq, day=path.stem, stored=contents[:6])
                else:
                    self._wrong += 1
                    self._example("wrong", symbol, seq, day=path.stem, stored=contents[:6], made=contents[6:])

    def verdict(self, databases: int) -> Verdict:
        """Count what is left to count."""
        self._note_absent("unreachable", "JOIN unreachable u ON (u.symbol, u.seq) = (m.symbol, m.seq)", "true")
        duplicated = int(self._value("SELECT coalesce(sum(copies - 1), 0) FROM copies"))
        for symbol, seq in self._db.execute(
            "SELECT symbol, seq FROM copies WHERE copies > 1 LIMIT ?", (EXAMPLES_MAX,)
        ):
            self._example("duplicated", symbol, seq)
        unknown = int(
            self._value(
                "SELECT count(*) FROM copies c LEFT JOIN made m ON (m.symbol, m.seq) = (c.symbol, c.seq)"
                " WHERE m.symbol IS NULL"
            )
        )
        raise NotImplementedError
