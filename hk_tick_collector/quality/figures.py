"""What an audit reads of a day database: counts and sums by symbol, ledgers, the exchange's last word.

Owns the statements, each of which reads a table once. Concludes nothing.
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from hk_tick_collector.errors import DatabaseError
from hk_tick_collector.hktime import EPOCH_MS_MAX, EPOCH_MS_MIN, hk_day
from hk_tick_collector.quality.continuity import CONTIGUOUS_PER_MILLE, PAIRS_MIN
from hk_tick_collector.quality.counted import Sums
from hk_tick_collector.quality.filling import FETCHED
from hk_tick_collector.quality.schedule import Session, sessions_of
from hk_tick_collector.schema import check_ours

if TYPE_CHECKING:
    from pathlib import Path

    import apsw

LEDGER_VERSION: Final = 2  # the schema's version from which on there is a ledger


class Gap(NamedTuple):
    """A row of `gaps`; `docs/data.md` tells of each column."""

    symbol: str
    cause: str
    session: str
    since_ms: int | None
    resumed_ms: int
    before_seq: int | None
    before_ts_ms: int | None
    after_seq: int | None
    after_ts_ms: int | None
    missing: int | None
    missing_volume: int | None
    evidence: str
    state: str
    found_ms: int
    filled_ms: int | None
    filled_by: str | None


class Outage(NamedTuple):
    """A row of `outages`: an interruption of the stream of so many symbols."""

    cause: str
    since_ms: int | None
    resumed_ms: int
    symbols: int


class Ordinals(NamedTuple):
    """What a symbol's ordinals say.

    Attributes:
        pairs: consecutive live pushes.
        contiguous: of these, whose ordinals are one apart.
        counts: whether that is enough for ordinals to be evidence.
        missing: ordinals missing between the first and the last tick; 0 where they don't count.
    """

    pairs: int
    contiguous: int
    counts: bool
    missing: int


class LastTotals(NamedTuple):
    """The exchange's last word on a symbol, and until when (OpenD's clock) it was so."""

    volume: int
    turnover: float
    until_ms: int


class Figures(NamedTuple):
    """What was read of a symbol.

    Attributes:
        symbol: which.
        by_type: sums by type of tick.
        by_session: ticks by session.
        rows: ticks.
        first_ts_ms: of the first tick; None: there is none.
        last_ts_ms: of the last.
        ordinals: what they say.
        totals: the last snapshot's.
        rose_ms: the last two snapshots between which the difference to ours rose; None: it never did.
        gaps: of it.
        doubts: how many.
        revisions: ticks that came with another content.
        bad: ticks kept aside.
    """

    symbol: str
    by_type: dict[int, Sums]
    by_session: dict[str, int]
    rows: int
    first_ts_ms: int | None
    last_ts_ms: int | None
    ordinals: Ordinals
    totals: LastTotals | None
    rose_ms: tuple[int, int] | None
    gaps: tuple[Gap, ...]
    doubts: int
    revisions: int
    bad: int


class DayFigures(NamedTuple):
    """What was read of a day."""

    day: str
    trade_date: str | None
    sessions: tuple[Session, ...]
    outages: tuple[Outage, ...]
    symbols: tuple[Figures, ...]


# The volume in two halves: one sum of numbers that make no sense would be refused as an overflow.
_BY_TYPE = """
SELECT symbol, tick_type_id, count(*), sum(volume >> 32), sum(volume & 4294967295), sum(turnover),
  min(ts_ms), max(ts_ms)
FROM ticks GROUP BY symbol, tick_type_id"""

# In the order of the primary key, so that nothing is sorted. A pair is two live pushes, one behind the other.
_ORDINALS = f"""
SELECT symbol, sum(pair), sum(pair AND step = 1), sum(pair AND NOT plausible), sum(max(step - 1, 0))
FROM (
  SELECT symbol,
    is_live AND lag(is_live, 1, 0) OVER w AS pair,
    (seq & 4294967295) - (lag(seq) OVER w & 4294967295) AS step,
    (seq >> 32) BETWEEN {EPOCH_MS_MIN // 1000} AND {EPOCH_MS_MAX // 1000 - 1} AS plausible
  FROM (SELECT symbol, seq, NOT {FETCHED} AS is_live FROM ticks WHERE seq > 0)
  WINDOW w AS (PARTITION BY symbol ORDER BY seq)
) GROUP BY symbol"""  # noqa: S608 - numbers

_LAST_TOTALS = """
SELECT symbol, volume, turnover, until_ms FROM exchange_totals AS t
WHERE at_ms = (SELECT max(at_ms) FROM exchange_totals WHERE symbol = t.symbol)"""

_ROSE = """
SELECT symbol, from_ms, max(at_ms) FROM (
  SELECT symbol, at_ms, volume - our_volume AS difference,
    lag(at_ms) OVER w AS from_ms, lag(volume - our_volume) OVER w AS before
  FROM exchange_totals WINDOW w AS (PARTITION BY symbol ORDER BY at_ms)
) WHERE difference > before GROUP BY symbol"""

_SYMBOLS = """
SELECT symbol FROM symbol_stats UNION SELECT symbol FROM recorded UNION SELECT symbol FROM exchange_totals
UNION SELECT symbol FROM gaps UNION SELECT symbol FROM doubts UNION SELECT symbol FROM bad_ticks WHERE symbol <> ''"""


def read(con: apsw.Connection, path: Path) -> DayFigures:
    """Read a day database.

    Raises:
        DatabaseError: it is none of ours, or was made before there was a ledger.
        apsw.Error: it can't be read.
    """
    check_ours(con, path)
    version = con.pragma("user_version")
    if version < LEDGER_VERSION:
        raise DatabaseError(f"{path} has schema version {version}: it was recorded before there was a ledger of losses")
    con.execute("BEGIN")  # one moment for all tables, while a recorder goes on
    try:
        return _read(con, _day_of(con, path))
    finally:
        con.execute("ROLLBACK")


def _day_of(con: apsw.Connection, path: Path) -> str:
    """By the file's name; of a copy with another one, by its ticks, or by when it was recorded."""
    if path.stem.isdecimal() and len(path.stem) == len("20261120"):
        return path.stem
    last_ms = con.execute(
        "SELECT coalesce((SELECT max(last_ts_ms) FROM symbol_stats), (SELECT max(since_ms) FROM recorded), 0)"
    ).get
    return hk_day(int(last_ms or 0))


def _read(con: apsw.Connection, day: str) -> DayFigures:
    trade_date = con.execute("SELECT date_type FROM trade_dates WHERE day = ?", (day,)).get
    sessions = sessions_of(day, trade_date)
    sums = _sums(con)
    by_session = _by_session(con, sessions)
    ordinals = {symbol: _ordinals(*row) for symbol, *row in con.execute(_ORDINALS)}
    totals = {symbol: LastTotals(*row) for symbol, *row in con.execute(_LAST_TOTALS)}
    rose = {symbol: (begin, end) for symbol, begin, end in con.execute(_ROSE)}
    gaps: dict[str, list[Gap]] = defaultdict(list)
    for row in con.execute(f"SELECT {', '.join(Gap._fields)} FROM gaps ORDER BY symbol, resumed_ms"):  # noqa: S608
        gaps[row[0]].append(Gap(*row))
    doubts, revisions, bad = (_counts(con, name) for name in ("doubts", "tick_revisions", "bad_ticks"))
    symbols = []
    named: list[tuple[Any, ...]] = con.execute(_SYMBOLS).fetchall()
    for (symbol,) in named:
        rows, first_ms, last_ms, by_type = sums.get(symbol, (0, None, None, {}))
        symbols.append(
            Figures(
                symbol,
                by_type,
                by_session.get(symbol, {}),
                rows,
                first_ms,
                last_ms,
                ordinals.get(symbol, Ordinals(0, 0, counts=False, missing=0)),
                totals.get(symbol),
                rose.get(symbol),
                tuple(gaps.get(symbol, ())),
                doubts.get(symbol, 0),
                revisions.get(symbol, 0),
                bad.get(symbol, 0),
            )
        )
    columns = ", ".join(Outage._fields)
    outages = tuple(Outage(*row) for row in con.execute(f"SELECT {columns} FROM outages ORDER BY resumed_ms"))  # noqa: S608
    return DayFigures(day, trade_date, sessions, outages, tuple(symbols))


_Sums = tuple[int, int | None, int | None, dict[int, Sums]]


def _sums(con: apsw.Connection) -> dict[str, _Sums]:
    """By symbol: rows, first and last time, sums by type."""
    found: dict[str, _Sums] = {}
    for symbol, tick_type, rows, high, low, turnover, first_ms, last_ms in con.execute(_BY_TYPE):
        so_far, least, most, by_type = found.get(symbol, (0, first_ms, last_ms, {}))
        by_type[tick_type] = Sums((high << 32) + low, turnover)
        found[symbol] = (so_far + rows, min(least, first_ms), max(most, last_ms), by_type)
    return found


def _by_session(con: apsw.Connection, sessions: tuple[Session, ...]) -> dict[str, dict[str, int]]:
    """Ticks by symbol and session; a print some seconds behind the close is the auction's."""
    found: dict[str, dict[str, int]] = defaultdict(dict)
    names = [session.name for session in sessions]
    begins = [session.begin_ms for session in sessions]
    cases = " ".join(f"WHEN ts_ms >= {begin} THEN {place}" for place, begin in reversed(list(enumerate(begins))))
    select = f"SELECT symbol, CASE {cases} ELSE -1 END AS part, count(*) FROM ticks GROUP BY symbol, part"  # noqa: S608
    for symbol, place, rows in con.execute(select):
        if place >= 0:
            found[symbol][names[place]] = rows
    return found


def _ordinals(pairs: int, contiguous: int, implausible: int, missing: int) -> Ordinals:
    counts = pairs >= PAIRS_MIN and not implausible and contiguous * 1000 >= pairs * CONTIGUOUS_PER_MILLE
    return Ordinals(pairs, contiguous, counts, missing if counts else 0)


def _counts(con: apsw.Connection, table: str) -> dict[str, int]:
    rows: list[tuple[Any, ...]] = con.execute(f"SELECT symbol, count(*) FROM {table} GROUP BY symbol").fetchall()  # noqa: S608
    return dict(rows)
