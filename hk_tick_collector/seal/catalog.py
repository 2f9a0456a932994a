"""The catalogue: the certificates and gaps of all days in one small database, to list ten years in a second.

    DATA_ROOT/catalog.db

Owns that file. All of it is derived: from the certificate of a sealed day, from the database of any other day. It may
be deleted at any time. Each reader brings it up to date; one that may not write there does so in memory. Invariant:
what is listed of a day is what that day's files hold now.
"""

from __future__ import annotations

import os
import re
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import apsw

from hk_tick_collector.audit.day import Gap
from hk_tick_collector.audit.history import CATALOG
from hk_tick_collector.db import transaction
from hk_tick_collector.errors import DatabaseError
from hk_tick_collector.seal.recheck_archive import NO_CERTIFICATE, uncertified
from hk_tick_collector.store import certificate_file
from hk_tick_collector.store.content_errors import DAMAGED
from hk_tick_collector.store.data_root import copy_ownership
from hk_tick_collector.store.imported import read_imports
from hk_tick_collector.store.older import refuse_older
from hk_tick_collector.store.opening import read_untouched, readonly_uri
from hk_tick_collector.store.other_disks import is_there
from hk_tick_collector.store.schema import CATALOG_ID, LEDGER_VERSION

if TYPE_CHECKING:
    from collections.abc import Iterable

    from hk_tick_collector.seal.certificate import Certificate, Progress

VERSION: Final = 4  # 3 listed days without a ledger as days without a gap
BUSY_TIMEOUT_MS: Final = 2000

_DAY_FILE: Final = re.compile(r"(\d{8})\.(db|db-wal|certificate\.json)")

_SCHEMA: Final = """
CREATE TABLE days (
  day TEXT NOT NULL PRIMARY KEY,
  verdict TEXT,
  symbols INTEGER,
  complete INTEGER,
  incomplete INTEGER,
  unprovable INTEGER,
  rows INTEGER,
  volume INTEGER,
  turnover REAL,
  gaps_open INTEGER,
  gaps_filled INTEGER,
  missing INTEGER,
  missing_volume INTEGER,
  trade_date TEXT,
  sealed_ms INTEGER,
  bytes INTEGER,
  sha256 TEXT,
  supersedes INTEGER,
  fault TEXT,
  imported INTEGER,
  files TEXT NOT NULL
) WITHOUT ROWID, STRICT;

CREATE TABLE gaps (
  day TEXT NOT NULL,
  symbol TEXT NOT NULL,
  cause TEXT NOT NULL,
  session TEXT NOT NULL,
  since_ms INTEGER,
  resumed_ms INTEGER NOT NULL,
  before_seq INTEGER,
  before_ts_ms INTEGER,
  after_seq INTEGER,
  after_ts_ms INTEGER,
  missing INTEGER,
  missing_volume INTEGER,
  evidence TEXT NOT NULL,
  state TEXT NOT NULL,
  found_ms INTEGER NOT NULL,
  filled_ms INTEGER,
  filled_by TEXT,
  PRIMARY KEY (day, symbol, resumed_ms, cause)
) WITHOUT ROWID, STRICT;

CREATE TABLE types (
  day TEXT NOT NULL,
  tick_type_id INTEGER NOT NULL,
  counted INTEGER NOT NULL,
  not_counted INTEGER NOT NULL,
  PRIMARY KEY (day, tick_type_id)
) WITHOUT ROWID, STRICT;
"""
_GAP_COLUMNS: Final = ", ".join(Gap._fields)


class DayRow(NamedTuple):
    """A row of `days`. What only an audit finds is None for a day that is not sealed.

    What tells of gaps is None for a day of a version that kept no ledger.
    `fault` is why nothing is known of the day; `imported` is how many of its ticks were taken over from another
    recorder's database (None: none); `files` identifies the state of the files that the row was made from.
    """

    day: str
    verdict: str | None = None
    symbols: int | None = None
    complete: int | None = None
    incomplete: int | None = None
    unprovable: int | None = None
    rows: int | None = None
    volume: int | None = None
    turnover: float | None = None
    gaps_open: int | None = None
    gaps_filled: int | None = None
    missing: int | None = None
    missing_volume: int | None = None
    trade_date: str | None = None
    sealed_ms: int | None = None
    bytes: int | None = None
    sha256: str | None = None
    supersedes: int | None = None
    fault: str | None = None
    imported: int | None = None
    files: str = ""


class DayGap(NamedTuple):
    """A row of `gaps`: a gap and its day."""

    day: str
    gap: Gap


class Catalog:
    """The catalogue of a DATA_ROOT, as of the moment it was opened."""

    def __init__(self, data_root: Path, progress: Progress) -> None:
        """Open it, and read the days that have changed since the last time.

        Raises:
            OSError: DATA_ROOT can't be listed.
        """
        self._root = data_root
        self._progress = progress
        self._con = _open(data_root)
        try:
            self._bring_up_to_date()
        except apsw.Error:
            self._do_without_file()

    def _do_without_file(self) -> None:
        """Go on in memory: the file is locked, damaged, or on a full disk. All of it can be derived again."""
        self._con.close()
        self._con = _in_memory()
        self._bring_up_to_date()

    def close(self) -> None:
        """Close the connection."""
        self._con.close()

    @property
    def connection(self) -> apsw.Connection:
        """The connection, for measuring what a listing costs."""
        return self._con

    def days(self, since: str = "", until: str = "") -> list[DayRow]:
        """The days from `since` to `until` (YYYYMMDD, both inclusive; "": no limit), oldest first."""
        select = "SELECT * FROM days WHERE day BETWEEN ? AND ? ORDER BY day"
        return [DayRow(*row) for row in self._select(select, (since, until or "~"))]

    def unreadable(self, since: str = "", until: str = "") -> list[str]:
        """The days in that range whose gaps can't be read: nothing is known of them, or they have no ledger."""
        select = "SELECT day FROM days WHERE gaps_open IS NULL AND day BETWEEN ? AND ? ORDER BY day"
        return [day for (day,) in self._select(select, (since, until or "~"))]

    def gaps(
        self, since: str = "", until: str = "", *, symbol: str | None = None, is_open: bool = False
    ) -> list[DayGap]:
        """The gaps of these days, of one symbol or (None) all, oldest first; `is_open`: only open ones."""
        select = (
            f"SELECT day, {_GAP_COLUMNS} FROM gaps WHERE day BETWEEN ?1 AND ?2 AND (?3 IS NULL OR symbol = ?3) "  # noqa: S608 - our own names
            "AND (state = 'open' OR NOT ?4) ORDER BY day, resumed_ms, symbol"
        )
        return [DayGap(day, Gap(*gap)) for day, *gap in self._select(select, (since, until or "~", symbol, is_open))]

    def _select(self, select: str, values: tuple[Any, ...]) -> list[Any]:
        try:
            return self._con.execute(select, values).fetchall()
        except apsw.Error:
            self._do_without_file()
            return self._con.execute(select, values).fetchall()

    def _bring_up_to_date(self) -> None:
        seen = _files_by_day(self._root)
        known: dict[Any, Any] = dict(self._con.execute("SELECT day, files FROM days"))
        stale = sorted(day for day, files in seen.items() if known.get(day) != files)
        gone = known.keys() - seen.keys()
        if not stale and not gone:
            return
        read = []
        for number, day in enumerate(stale):
            self._progress("catalogue: days read", number, len(stale))
            read.append(_read(self._root, day, seen[day]))
        con = self._con
        with transaction(con):
            for day in (*gone, *stale):
                for table in ("days", "gaps", "types"):
                    con.execute(f"DELETE FROM {table} WHERE day = ?", (day,))  # noqa: S608 - our own names
            for row, gaps, types in read:
                con.execute(_INSERT_DAY, row)
                con.executemany(_INSERT_GAP, ((row.day, *gap) for gap in gaps))
                con.executemany(_INSERT_TYPE, ((row.day, *votes) for votes in types))


_INSERT_DAY: Final = f"INSERT INTO days VALUES ({', '.join('?' * len(DayRow._fields))})"  # noqa: S608
_INSERT_GAP: Final = f"INSERT OR IGNORE INTO gaps VALUES (?, {', '.join('?' * len(Gap._fields))})"  # noqa: S608
_INSERT_TYPE: Final = "INSERT OR IGNORE INTO types VALUES (?, ?, ?, ?)"

# What a day's files hold: its row, its gaps, and by type of tick how often it was counted and not counted.
_Read = tuple["DayRow", "Iterable[Gap]", "Iterable[tuple[int, int, int]]"]


# ---- the file


def _open(data_root: Path) -> apsw.Connection:
    """Open the file; if it can't be written, a copy of it in memory."""
    path = data_root / CATALOG
    try:
        con = apsw.Connection(str(path))
        try:
            con.set_busy_timeout(BUSY_TIMEOUT_MS)
            _prepare(con)
            con.execute("BEGIN IMMEDIATE")  # fails here if the file is read-only
            con.execute("ROLLBACK")
            copy_ownership(path, data_root)
        except BaseException:
            con.close()
            raise
    except DAMAGED:
        path.unlink(missing_ok=True)
        return _in_memory()
    except (apsw.Error, OSError):
        return _in_memory(path)
    return con


def _in_memory(path: Path | None = None) -> apsw.Connection:
    con = apsw.Connection(":memory:")
    try:
        if path is not None and path.exists():
            uri = readonly_uri(path)
            flags = apsw.SQLITE_OPEN_READONLY | apsw.SQLITE_OPEN_URI
            with closing(apsw.Connection(uri, flags=flags)) as file, con.backup("main", file, "main") as backup:
                backup.step()
        _prepare(con)
    except apsw.Error:
        con.close()
        con = apsw.Connection(":memory:")
        _prepare(con)
    return con


def _prepare(con: apsw.Connection) -> None:
    """Create the schema. One of another version is dropped and created again, since everything in it is derived."""
    if con.pragma("application_id") == CATALOG_ID and con.pragma("user_version") == VERSION:
        return
    if con.pragma("application_id") != CATALOG_ID and con.execute("SELECT count(*) FROM sqlite_schema").get:
        raise apsw.MismatchError("a file of that name was made by another program")
    with transaction(con):
        con.execute("DROP TABLE IF EXISTS days; DROP TABLE IF EXISTS gaps; DROP TABLE IF EXISTS types")
        con.execute(_SCHEMA)
        con.pragma("application_id", CATALOG_ID)
        con.pragma("user_version", VERSION)


# ---- what it is made from


def _files_by_day(data_root: Path) -> dict[str, str]:
    """By day, the state of what it is read from: the certificate, or the database and its log."""
    found: dict[str, dict[str, str]] = {}
    with os.scandir(data_root) as entries:
        for entry in entries:
            match = _DAY_FILE.fullmatch(entry.name)
            if match is not None and (state := _state_of(entry, match[2])):
                found.setdefault(match[1], {})[match[2]] = f"{match[2]} {state}"
    states = uncertified(data_root)
    for day, files in found.items():
        if (certificate := files.get("certificate.json")) is not None or "db" in files:
            states[day] = certificate or " ".join(files[name] for name in sorted(files))
    return states


def _state_of(entry: os.DirEntry[str], kind: str) -> str:
    """A text that changes when the file's content does; "": it is not a file, or an empty log or certificate."""
    if entry.is_symlink():
        try:
            if not is_there(Path(entry.path)):
                return "is not there"
        except DatabaseError:
            return "does not answer"
    if not entry.is_file():
        return "is a directory" if entry.is_dir() and kind == "db" else ""
    told = entry.stat()
    return f"{told.st_size} {told.st_mtime_ns}" if told.st_size or kind == "db" else ""


def _read(data_root: Path, day: str, files: str) -> _Read:
    try:
        if files.startswith("certificate"):
            return _of_certificate(certificate_file.read(data_root / f"{day}.certificate.json"), files)
        if files.startswith(NO_CERTIFICATE):
            return DayRow(day, fault=files, files=files), (), ()
        return _of_database(data_root / f"{day}.db", files)
    except (DatabaseError, apsw.Error, OSError, KeyError, TypeError) as exc:
        return DayRow(day, fault=str(exc), files=files), (), ()


def _of_certificate(told: Certificate, files: str) -> _Read:
    verdicts, gaps, database = told["symbols_by_verdict"], told["gaps"], told["database"]
    row = DayRow(
        day=told["day"],
        verdict=told["verdict"],
        symbols=len(told["symbols"]),
        complete=verdicts["complete"],
        incomplete=verdicts["incomplete"],
        unprovable=verdicts["unprovable"],
        rows=told["rows"],
        volume=told["volume"],
        turnover=told["turnover"],
        gaps_open=gaps["open"],
        gaps_filled=gaps["filled"],
        missing=gaps["missing"],
        missing_volume=gaps["missing_volume"],
        trade_date=told["trade_date"],
        sealed_ms=told["sealed_ms"],
        bytes=database["bytes"],
        sha256=database["sha256"],
        supersedes=told["supersedes"],
        imported=sum(one["stored"] for one in told.get("imports", ())) or None,
        files=files,
    )
    types = [(one["tick_type_id"], one["counted"], one["not_counted"]) for one in told.get("types", ())]
    return row, [Gap(**gap) for gap in told["ledger"]], types


def _of_database(path: Path, files: str) -> _Read:
    """A day that is not sealed: from its statistics and its ledger, without a verdict."""
    (symbols, rows, volume, turnover), gaps, imported = read_untouched(path, lambda con: _counted(con, path))
    row = DayRow(
        day=path.stem,
        symbols=symbols,
        rows=int(rows),
        volume=int(volume),
        turnover=turnover,
        bytes=path.stat().st_size,
        imported=imported or None,
        files=files,
    )
    if gaps is None:
        return row, (), ()
    still_open = [gap for gap in gaps if gap.state == "open"]
    row = row._replace(
        gaps_open=len(still_open),
        gaps_filled=len(gaps) - len(still_open),
        missing=sum(gap.missing or 0 for gap in still_open),
        missing_volume=sum(gap.missing_volume or 0 for gap in still_open),
    )
    return row, gaps, ()


def _counted(con: apsw.Connection, path: Path) -> tuple[Any, list[Gap] | None, int]:
    """Symbols, rows, volume and turnover of a day, its gaps (None: no ledger), and how many ticks were imported."""
    refuse_older(con, path)
    version = con.pragma("user_version")
    if version == 0:  # its first transaction was never committed
        return (0, 0, 0, 0.0), [], 0
    select = "SELECT count(*), total(rows), total(volume_sum), total(turnover_sum) FROM symbol_stats"
    sums = next(con.execute(select))
    if version < LEDGER_VERSION:
        return sums, None, 0
    gaps: list[Any] = con.execute(f"SELECT {_GAP_COLUMNS} FROM gaps").fetchall()  # noqa: S608 - our own names
    return sums, [Gap(*gap) for gap in gaps], sum(one.stored for one in read_imports(con))


def newest_sealed(data_root: Path) -> dict[str, Any] | None:
    """The newest certificate's day, verdict and time; None: there is none, or it can't be read."""
    paths = sorted(data_root.glob(f"{'[0-9]' * 8}.certificate.json"))
    try:
        told = certificate_file.read(paths[-1]) if paths else None
    except DatabaseError:
        return None
    return told and {"day": told["day"], "verdict": told["verdict"], "sealed_ms": told["sealed_ms"]}
