"""The day database's schema, its migrations, and the rule about SQLite's version.

Owns the names and types of what users query; `docs/data.md` explains each column. Never opens a file.
"""

from __future__ import annotations

import re
from pathlib import Path

import apsw

from hk_tick_collector.errors import ConfigError, DatabaseError, DatabaseNewerError, TimeFormatError
from hk_tick_collector.hktime import DAY_MS, day_begin_ms
from hk_tick_collector.opend.numbers import DIRECTIONS, TICK_TYPES
from hk_tick_collector.store.older import refuse_older

# SQLite 3.7.0 to 3.51.2 can corrupt a WAL database when two connections checkpoint or write at the same time.
SQLITE_MIN = (3, 51, 3)

APPLICATION_ID = 0x484B5443  # "HKTC": lets `file` and other tools recognize the database
CATALOG_ID = 0x484B5458  # "HKTX": the index of "HKTC" files, which counts its versions by itself

# The limits of a column. Sums are clamped to them: absurd volumes must not make a sum fail.
INT64_MAX = 9223372036854775807
FLOAT_MAX = 1.7976931348623157e308

# How a tick came, as stored. OpenD's enums are stored as numbers, too: a number stays exact for a type that OpenD adds
# later, and a name would cost ten bytes per row.
PUSH_TYPES = {0: "push", 1: "poll", 2: "backfill"}

_DAY_FILE = re.compile(r"(\d{8})\.db")


# Placeholder in the migrations for the expression of the Hong Kong day of `ts_ms`.
DAY_OF_TS = "day_of_ts_ms()"
_STRFTIME = "strftime('%Y%m%d', ts_ms / 1000 + 28800, 'unixepoch')"


def day_of_ts(path: Path) -> str:
    """The expression for a tick's day in this file. Testing for the file's own day first saves a tenth of an insert."""
    match = _DAY_FILE.match(path.name)
    try:
        begin_ms = day_begin_ms(match[1]) if match else None
    except TimeFormatError:  # digits that are not a date
        begin_ms = None
    if match is None or begin_ms is None:
        return _STRFTIME
    end_ms = begin_ms + DAY_MS - 1
    return f"CASE WHEN ts_ms BETWEEN {begin_ms} AND {end_ms} THEN '{match[1]}' ELSE {_STRFTIME} END"


def _names(column: str, names: dict[int, str], other: str) -> str:
    cases = " ".join(f"WHEN {number} THEN '{name}'" for number, name in names.items())
    return f"CASE {column} {cases} ELSE '{other}' || {column} END"


# Computed columns: they take no space, and can't disagree with what they are computed from. SQLite also computes them
# at each insert: hence the cheap test for the Hong Kong market, and for the file's own day.
_COMPUTED = {
    "direction": _names("direction_id", DIRECTIONS, "DIRECTION_"),
    "tick_type": _names("tick_type_id", TICK_TYPES, "TYPE_"),
    "push_type": _names("push_type_id", PUSH_TYPES, "PUSH_"),
    "market": "CASE WHEN symbol > 'HK.' AND symbol < 'HK/' THEN 'HK' "
    "ELSE substr(symbol, 1, instr(symbol, '.') - 1) END",
    "trading_day": DAY_OF_TS,
}
_GENERATED = ",".join(f"\n  {name} TEXT GENERATED ALWAYS AS ({how}) VIRTUAL" for name, how in _COMPUTED.items())

_TICK_COLUMNS = """
  symbol TEXT NOT NULL,
  seq INTEGER NOT NULL,
  ts_ms INTEGER NOT NULL,
  price REAL NOT NULL,
  volume INTEGER NOT NULL,
  turnover REAL NOT NULL,
  direction_id INTEGER NOT NULL,
  tick_type_id INTEGER NOT NULL,
  push_type_id INTEGER NOT NULL,
  push_data_type INTEGER NOT NULL,
  recv_ts_ms INTEGER NOT NULL,
  inserted_at_ms INTEGER NOT NULL,"""

_VERSION_1 = f"""
CREATE TABLE ticks ({_TICK_COLUMNS}{_GENERATED},
  PRIMARY KEY (symbol, seq)
) WITHOUT ROWID, STRICT;

CREATE TABLE tick_revisions ({_TICK_COLUMNS}{_GENERATED},
  PRIMARY KEY (symbol, seq, ts_ms, price, volume, turnover, direction_id, tick_type_id)
) WITHOUT ROWID, STRICT;

CREATE TABLE symbol_stats (
  symbol TEXT NOT NULL PRIMARY KEY,
  rows INTEGER NOT NULL,
  volume_sum INTEGER NOT NULL,
  turnover_sum REAL NOT NULL,
  first_seq INTEGER,
  last_seq INTEGER,
  first_ts_ms INTEGER NOT NULL,
  last_ts_ms INTEGER NOT NULL,
  last_recv_ts_ms INTEGER NOT NULL
) WITHOUT ROWID, STRICT;

CREATE TABLE time_corrections (
  symbol TEXT NOT NULL,
  seq INTEGER NOT NULL,
  original_time TEXT NOT NULL,
  original_ts_ms INTEGER NOT NULL,
  ts_ms INTEGER NOT NULL,
  evidence TEXT NOT NULL,
  PRIMARY KEY (symbol, seq)
) WITHOUT ROWID, STRICT;

CREATE TABLE bad_ticks (
  digest BLOB NOT NULL PRIMARY KEY,
  symbol TEXT NOT NULL,
  recv_ts_ms INTEGER NOT NULL,
  error TEXT NOT NULL,
  raw BLOB NOT NULL,
  journal_segment INTEGER NOT NULL,
  journal_offset INTEGER NOT NULL,
  frame INTEGER NOT NULL,
  place INTEGER NOT NULL
) WITHOUT ROWID, STRICT;
"""

_BOUNDS = """
  symbol TEXT NOT NULL,
  resumed_ms INTEGER NOT NULL,
  cause TEXT NOT NULL,
  since_ms INTEGER,
  session TEXT NOT NULL,
  before_seq INTEGER,
  before_ts_ms INTEGER,"""

# Continuity: what is missing, what is not proven yet, and the exchange's totals; what was to be recorded, and when that
# was interrupted. `judged` is the place in the journal up to which all this is concluded, so that a replay does not
# judge again.
_VERSION_2 = f"""
CREATE TABLE gaps ({_BOUNDS}
  after_seq INTEGER,
  after_ts_ms INTEGER,
  missing INTEGER,
  missing_volume INTEGER,
  evidence TEXT NOT NULL,
  difference_before INTEGER,
  shown_after_seq INTEGER,
  found_ms INTEGER NOT NULL,
  state TEXT NOT NULL CHECK (state IN ('open', 'filled')),
  filled_ms INTEGER,
  filled_by TEXT,
  PRIMARY KEY (symbol, resumed_ms, cause)
) WITHOUT ROWID, STRICT;

CREATE TABLE doubts ({_BOUNDS}
  difference_before INTEGER,
  compared_seq INTEGER,
  PRIMARY KEY (symbol, resumed_ms)
) WITHOUT ROWID, STRICT;

CREATE TABLE exchange_totals (
  symbol TEXT NOT NULL,
  at_ms INTEGER NOT NULL,
  volume INTEGER NOT NULL,
  turnover REAL NOT NULL,
  our_volume INTEGER NOT NULL,
  our_turnover REAL NOT NULL,
  our_rows INTEGER NOT NULL,
  our_last_seq INTEGER,
  settled INTEGER NOT NULL,
  settled_last_seq INTEGER,
  until_ms INTEGER NOT NULL,
  PRIMARY KEY (symbol, at_ms)
) WITHOUT ROWID, STRICT;

CREATE TABLE recorded (
  symbol TEXT NOT NULL PRIMARY KEY,
  since_ms INTEGER NOT NULL
) WITHOUT ROWID, STRICT;

CREATE TABLE outages (
  resumed_ms INTEGER NOT NULL,
  cause TEXT NOT NULL,
  since_ms INTEGER,
  symbols INTEGER NOT NULL,
  PRIMARY KEY (resumed_ms, cause)
) WITHOUT ROWID, STRICT;

CREATE TABLE trade_dates (
  day TEXT NOT NULL PRIMARY KEY,
  date_type TEXT NOT NULL
) WITHOUT ROWID, STRICT;

CREATE TABLE judged (
  one INTEGER NOT NULL PRIMARY KEY CHECK (one = 1),
  segment INTEGER NOT NULL,
  offset INTEGER NOT NULL,
  frame INTEGER NOT NULL,
  recv_ts_ms INTEGER NOT NULL
) STRICT;
"""

# What a conclusion rests on: a snapshot's own time, the exchange's time when it came, and what is missing at least and
# at most; types of ticks that the totals were seen to count; how often premises held and failed; clocks.
# `exchange_totals` is made again with a new key: two snapshots differ by their place in the journal, not by a clock.
_VERSION_3 = """
ALTER TABLE gaps DROP COLUMN difference_before;
ALTER TABLE gaps DROP COLUMN shown_after_seq;
ALTER TABLE gaps ADD COLUMN end_ms INTEGER;
ALTER TABLE gaps ADD COLUMN merged_volume INTEGER NOT NULL DEFAULT 0;
ALTER TABLE doubts DROP COLUMN difference_before;
ALTER TABLE doubts DROP COLUMN compared_seq;
ALTER TABLE recorded ADD COLUMN without TEXT;

ALTER TABLE exchange_totals RENAME TO exchange_totals_2;
CREATE TABLE exchange_totals (
  symbol TEXT NOT NULL,
  at_ms INTEGER NOT NULL,
  segment INTEGER NOT NULL,
  offset INTEGER NOT NULL,
  volume INTEGER NOT NULL,
  turnover REAL NOT NULL,
  own_ms INTEGER,
  asked_ms INTEGER,
  exchange_ms INTEGER,
  our_volume INTEGER NOT NULL,
  our_turnover REAL NOT NULL,
  our_rows INTEGER NOT NULL,
  our_last_seq INTEGER,
  least INTEGER,
  most INTEGER,
  exact INTEGER,
  until_ms INTEGER,
  confirmed_ms INTEGER,
  market_ms INTEGER,
  may_ms INTEGER,
  untold INTEGER,
  untold_ms INTEGER,
  PRIMARY KEY (symbol, at_ms, segment, offset)
) WITHOUT ROWID, STRICT;
INSERT INTO exchange_totals
SELECT symbol, at_ms, 0, 0, volume, turnover, NULL, NULL, NULL, our_volume, our_turnover, our_rows, our_last_seq,
  NULL, NULL, NULL, until_ms, NULL, NULL, NULL, NULL, NULL FROM exchange_totals_2;
DROP TABLE exchange_totals_2;

CREATE TABLE symbol_types (
  symbol TEXT NOT NULL,
  tick_type_id INTEGER NOT NULL,
  agreed INTEGER NOT NULL DEFAULT 0,
  PRIMARY KEY (symbol, tick_type_id)
) WITHOUT ROWID, STRICT;
INSERT INTO symbol_types SELECT DISTINCT symbol, tick_type_id, 0 FROM ticks;

CREATE TABLE ordinals (
  symbol TEXT NOT NULL PRIMARY KEY,
  measured_seq INTEGER NOT NULL,
  pairs INTEGER NOT NULL,
  contiguous INTEGER NOT NULL,
  searched_seq INTEGER
) WITHOUT ROWID, STRICT;

CREATE TABLE decided (
  symbol TEXT NOT NULL,
  resumed_ms INTEGER NOT NULL,
  cause TEXT NOT NULL,
  decided_by TEXT NOT NULL,
  decided_ms INTEGER NOT NULL,
  PRIMARY KEY (symbol, resumed_ms, cause)
) WITHOUT ROWID, STRICT;

CREATE TABLE premises (
  symbol TEXT NOT NULL,
  name TEXT NOT NULL,
  held INTEGER NOT NULL,
  failed INTEGER NOT NULL,
  failed_ms INTEGER,
  seen TEXT,
  PRIMARY KEY (symbol, name)
) WITHOUT ROWID, STRICT;

CREATE TABLE clocks (
  name TEXT NOT NULL PRIMARY KEY,
  readings INTEGER NOT NULL,
  least_ms INTEGER NOT NULL,
  most_ms INTEGER NOT NULL
) WITHOUT ROWID, STRICT;
"""

MIGRATIONS = (_VERSION_1, _VERSION_2, _VERSION_3)
VERSION = len(MIGRATIONS)
LEDGER_VERSION = 2  # the first with gaps, doubts, and what was to be recorded
PREMISES_VERSION = 3  # the first with a snapshot's own time, premises and clocks


def create_tables(con: apsw.Connection, path: Path | None = None) -> None:
    """Make the tables of the current schema in an empty database; `path`: the day's file, if the day is known."""
    migrate_from(con, 0, path or Path())


def migrate_from(con: apsw.Connection, version: int, path: Path) -> None:
    """Bring a database from a version of the schema to the current one; within a transaction of the caller."""
    for step in MIGRATIONS[version:]:
        con.execute(step.replace(DAY_OF_TS, day_of_ts(path)))
    con.pragma("application_id", APPLICATION_ID)
    con.pragma("user_version", VERSION)


def tick_view(source: str, path: Path) -> str:
    """The statement that makes a temporary view `ticks`, computed columns and all, of a table with the stored ones."""
    computed = ", ".join(f"{how.replace(DAY_OF_TS, day_of_ts(path))} AS {name}" for name, how in _COMPUTED.items())
    return f"CREATE TEMP VIEW ticks AS SELECT *, {computed} FROM {source}"  # noqa: S608 - our own names


def storable(number: int) -> int:
    """A sum clamped to what SQLite can hold: absurd volumes may exceed that."""
    return max(-INT64_MAX, min(INT64_MAX, number))


def require_sqlite(version: str | None = None) -> None:
    """Refuse a SQLite version that can corrupt databases.

    Raises:
        ConfigError: one line with the version found and the version needed.
    """
    seen = version or apsw.sqlite_lib_version()
    if tuple(int(part) for part in seen.split(".")) < SQLITE_MIN:
        needed = ".".join(str(part) for part in SQLITE_MIN)
        raise ConfigError(
            f"SQLite {seen} can corrupt a database that is written and checkpointed at once; "
            f"at least {needed} is needed: pip install --upgrade apsw"
        )


def check_version(version: int, path: Path) -> None:
    """Refuse a database that a newer version of this program made.

    Raises:
        DatabaseNewerError: one line with both versions.
    """
    if version > VERSION:
        raise DatabaseNewerError(
            f"{path} has schema version {version}, this program knows up to {VERSION}: upgrade hk-tick-collector, "
            "or use another DATA_ROOT"
        )


def day_files(data_root: Path) -> list[Path]:
    """The day databases of a DATA_ROOT, oldest first."""
    if not data_root.is_dir():
        return []
    return sorted(path for path in data_root.iterdir() if is_day_file(path))


def is_day_file(path: Path) -> bool:
    """Whether it has the name of a day database."""
    return _DAY_FILE.fullmatch(path.name) is not None


def check_ours(con: apsw.Connection, path: Path) -> None:
    """Refuse a file that another program, or a newer version of this one, made.

    Raises:
        DatabaseError: it has tables, or a version, but not our application id.
        DatabaseNewerError: a newer version of this program made it.
        OlderRecorderError: the older recorder made it.
    """
    version = con.pragma("user_version")
    is_ours = con.pragma("application_id") == APPLICATION_ID
    if not is_ours:
        refuse_older(con, path)
    if not is_ours and (version or con.execute("SELECT count(*) FROM sqlite_schema").get):
        raise DatabaseError(f"{path} was made by another program; move it out of DATA_ROOT, or use another one")
    check_version(version, path)
