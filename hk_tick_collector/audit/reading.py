"""Reads a day database for an audit.

Owns the statements, each of which reads a table once. Concludes nothing. Also reads databases of older schemas: what
they lack is None or empty.
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Any

from hk_tick_collector.audit.counted import Sums
from hk_tick_collector.audit.figures import (
    Clock,
    DayFigures,
    Figures,
    Gap,
    Ordinals,
    Outage,
    Revised,
    Words,
)
from hk_tick_collector.audit.schedule import Session, after_close_ms, sessions_of, traded_type
from hk_tick_collector.errors import DatabaseError
from hk_tick_collector.hktime import DAY_MS, EPOCH_MS_MAX, EPOCH_MS_MIN, day_begin_ms, hk_day
from hk_tick_collector.ledger.continuity import do_count
from hk_tick_collector.ledger.filling import FETCHED, MADE_GOOD, open_groups
from hk_tick_collector.store.imported import read_imports
from hk_tick_collector.store.schema import LEDGER_VERSION, PREMISES_VERSION, check_ours

if TYPE_CHECKING:
    from pathlib import Path

    import apsw

# The volume is summed in two halves: SQLite fails on overflow, and volumes that make no sense may be huge.
_BY_TYPE = """
SELECT symbol, tick_type_id, count(*), sum(volume >> 32), sum(volume & 4294967295), sum(turnover),
  min(ts_ms), max(ts_ms), sum(volume = 0), sum(seq <= 0), sum(ts_ms NOT BETWEEN ?1 AND ?2), sum(ts_ms % 1000 <> 0)
FROM ticks GROUP BY symbol, tick_type_id"""

# In the order of the primary key, so that SQLite sorts nothing. A pair is two consecutive ticks, both pushed live.
_ORDINALS = f"""
SELECT symbol, sum(pair), sum(pair AND step = 1), sum(pair AND NOT plausible), sum(max(step - 1, 0)),
  min(seq) & 4294967295, sum(made_good AND NOT before), sum(made_good AND NOT before AND step = 1)
FROM (
  SELECT symbol, seq, made_good, lag(made_good, 1, 1) OVER w AS before,
    is_live AND lag(is_live, 1, 0) OVER w AS pair,
    (seq & 4294967295) - (lag(seq) OVER w & 4294967295) AS step,
    (seq >> 32) BETWEEN {EPOCH_MS_MIN // 1000} AND {EPOCH_MS_MAX // 1000 - 1} AS plausible
  FROM (
    SELECT symbol, seq, NOT {FETCHED} AS is_live, push_data_type = {MADE_GOOD} AS made_good FROM ticks WHERE seq > 0
  )
  WINDOW w AS (PARTITION BY symbol ORDER BY seq)
) GROUP BY symbol"""  # noqa: S608 - numbers

# The last snapshot of each symbol, and all that were still repeated after the close.
_WORDS = """
SELECT symbol, volume, turnover, own_ms, at_ms, until_ms, confirmed_ms, market_ms FROM (
  SELECT *, row_number() OVER (PARTITION BY symbol ORDER BY segment DESC, offset DESC, at_ms DESC) AS place
  FROM exchange_totals
) WHERE place = 1 OR until_ms >= ?1 ORDER BY symbol, place"""
_WORDS_2 = """
SELECT symbol, volume, turnover, NULL, at_ms, until_ms, NULL, NULL FROM exchange_totals AS t
WHERE at_ms = (SELECT max(at_ms) FROM exchange_totals WHERE symbol = t.symbol)"""

# Only snapshots from the day itself: on the next day OpenD may give reset totals under the old date.
_LOW = """
SELECT symbol, sum(most < 0 AND before < 0) FROM (
  SELECT symbol, most, lag(most) OVER (PARTITION BY symbol ORDER BY segment, offset, at_ms) AS before
  FROM exchange_totals WHERE ifnull(exchange_ms < ?, 1)
) GROUP BY symbol"""

_FRESH = "SELECT symbol, sum(most >= 0) FROM exchange_totals WHERE most NOT NULL GROUP BY symbol"

_REVISED = """
SELECT symbol, t.tick_type_id, t.volume, t.turnover, r.volume, r.turnover, max(r.recv_ts_ms), max(r.volume, t.volume)
FROM tick_revisions AS r JOIN ticks AS t USING (symbol, seq) GROUP BY symbol, seq"""

_DOUBTS = "SELECT symbol, count(*), max(resumed_ms) FROM doubts GROUP BY symbol"

_SYMBOLS = """
SELECT symbol FROM symbol_stats UNION SELECT symbol FROM recorded UNION SELECT symbol FROM exchange_totals
UNION SELECT symbol FROM gaps UNION SELECT symbol FROM doubts UNION SELECT symbol FROM bad_ticks WHERE symbol <> ''"""


def read(con: apsw.Connection, path: Path) -> DayFigures:
    """Read a day database.

    Raises:
        DatabaseError: it is not a day database, or its version had no ledger.
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
    """The day by the file's name; for a copy with another name, by its last tick or by when it was recorded."""
    if path.stem.isdecimal() and len(path.stem) == len("20261120"):
        return path.stem
    last_ms = con.execute(
        "SELECT coalesce((SELECT max(last_ts_ms) FROM symbol_stats), (SELECT max(since_ms) FROM recorded), 0)"
    ).get
    return hk_day(int(last_ms or 0))


def _read(con: apsw.Connection, day: str) -> DayFigures:
    """Read the tables one by one, each into a dict by symbol, then put together the figures of each symbol."""
    version = int(con.pragma("user_version"))
    has_premises = version >= PREMISES_VERSION
    trade_date: Any = con.execute("SELECT date_type FROM trade_dates WHERE day = ?", (day,)).get
    sums = _sums(con, day)
    # The calendar may be wrong: a trade in the afternoon shows that a half day was a whole one.
    traded_ms = max((one.last_ms for one in sums.values()), default=None)
    sessions = sessions_of(day, traded_type(day, trade_date, traded_ms))
    by_session = _by_session(con, sessions)
    ordinals = {symbol: _ordinals(*row) for symbol, *row in con.execute(_ORDINALS)}
    words: dict[str, list[Words]] = defaultdict(list)
    for symbol, *word in con.execute(_WORDS, (after_close_ms(sessions),)) if has_premises else con.execute(_WORDS_2):
        words[symbol].append(Words(*word))
    gaps: dict[str, list[Gap]] = defaultdict(list)
    for row in con.execute(f"SELECT {', '.join(Gap._fields)} FROM gaps ORDER BY symbol, resumed_ms"):  # noqa: S608
        gaps[row[0]].append(Gap(*row))
    doubts = {symbol: (count, last_ms) for symbol, count, last_ms in con.execute(_DOUBTS)}
    bad = _counts(con, "bad_ticks")
    revised: dict[str, list[Revised]] = defaultdict(list)
    for symbol, tick_type, volume, turnover, last_volume, last_turnover, _, most in con.execute(_REVISED):
        first, last = Sums(volume, turnover), Sums(last_volume, last_turnover)
        revised[symbol].append(Revised(tick_type, first, last, most))
    more = _Premises(con, day) if has_premises else None
    imports = read_imports(con)
    symbols = []
    named: list[tuple[Any, ...]] = con.execute(_SYMBOLS).fetchall()
    for (symbol,) in named:
        own = sums.get(symbol) or _Sums()
        symbols.append(
            Figures(
                symbol=symbol,
                by_type=own.by_type,
                last_ms_by_type=own.last_ms_by_type,
                by_session=by_session.get(symbol, {}),
                rows=own.rows,
                agreed=more.agreed.get(symbol, {}) if more else {},
                empty=own.empty,
                made_up=own.made_up,
                of_other_days=own.of_other_days,
                fractions=own.fractions,
                first_ts_ms=own.first_ms if own.rows else None,
                last_ts_ms=own.last_ms if own.rows else None,
                ordinals=ordinals.get(symbol, Ordinals(0, 0, counts=False, missing=0)),
                words=tuple(words.get(symbol, ())),
                low=more.low.get(symbol, 0) if more else 0,
                gaps=tuple(gaps.get(symbol, ())),
                rest=_rest(con, gaps.get(symbol, [])) if more else 0,
                doubts=doubts.get(symbol, (0, None))[0],
                last_doubt_ms=doubts.get(symbol, (0, None))[1],
                decided=more.decided.get(symbol, 0) if more else 0,
                revised=tuple(revised.get(symbol, ())),
                bad=bad.get(symbol, 0),
                recorded=more is None or symbol in more.recorded or bool(imports),
                without=more.recorded.get(symbol) if more else None,
                premises=more.premises.get(symbol, {}) if more else {},
            )
        )
    columns = ", ".join(Outage._fields)
    outages = tuple(Outage(*row) for row in con.execute(f"SELECT {columns} FROM outages ORDER BY resumed_ms"))  # noqa: S608
    clocks = more.clocks if more else {}
    return DayFigures(day, version, trade_date, sessions, outages, tuple(symbols), clocks, imports)


class _Premises:
    """What databases have since `PREMISES_VERSION`."""

    def __init__(self, con: apsw.Connection, day: str) -> None:
        end_ms = day_begin_ms(day) + DAY_MS
        self.low: dict[str, int] = {symbol: low or 0 for symbol, low in con.execute(_LOW, (end_ms,))}
        self.decided = _counts(con, "decided")
        recorded: list[Any] = con.execute("SELECT symbol, without FROM recorded").fetchall()
        self.recorded: dict[str, str | None] = dict(recorded)
        self.agreed: dict[str, dict[int, int]] = defaultdict(dict)
        for symbol, tick_type, agreed in con.execute("SELECT symbol, tick_type_id, agreed FROM symbol_types"):
            self.agreed[symbol][tick_type] = agreed
        self.premises: dict[str, dict[str, tuple[int, int]]] = defaultdict(dict)
        for symbol, name, held, failed in con.execute("SELECT symbol, name, held, failed FROM premises"):
            self.premises[symbol][name] = (held, failed)
        # The writer counts only failures of `fresh_snapshot`; the rows with an upper bound show how often it held.
        for symbol, fresh in con.execute(_FRESH):
            failed = self.premises[symbol].get("fresh_snapshot", (0, 0))[1]
            self.premises[symbol]["fresh_snapshot"] = (fresh, failed)
        self.clocks = {name: Clock(*row) for name, *row in con.execute("SELECT * FROM clocks")}


def _rest(con: apsw.Connection, gaps: list[Gap]) -> int:
    """The shares that are still missing in open gaps by totals; without a read if there are no such gaps."""
    if not any(gap.state == "open" and gap.evidence == "totals" for gap in gaps):
        return 0
    return sum(group.rest for group in open_groups(con, gaps[0].symbol))


class _Sums:
    """Counts, sums and times of a symbol's ticks, as in `Figures`."""

    def __init__(self) -> None:
        self.rows = self.empty = self.made_up = self.of_other_days = self.fractions = 0
        self.first_ms, self.last_ms = EPOCH_MS_MAX, 0
        self.by_type: dict[int, Sums] = {}
        self.last_ms_by_type: dict[int, int] = {}


def _sums(con: apsw.Connection, day: str) -> dict[str, _Sums]:
    """Counts, sums and times by symbol, from one row for each symbol and type of tick."""
    begin_ms = day_begin_ms(day)
    found: dict[str, _Sums] = defaultdict(_Sums)
    for row in con.execute(_BY_TYPE, (begin_ms, begin_ms + DAY_MS - 1)):
        symbol, tick_type, rows, high, low, turnover, first_ms, last_ms, empty, made_up, of_other_days, fractions = row
        own = found[symbol]
        own.by_type[tick_type] = Sums((high << 32) + low, turnover, rows)
        own.last_ms_by_type[tick_type] = last_ms
        own.rows += rows
        own.empty += empty
        own.made_up += made_up
        own.of_other_days += of_other_days
        own.fractions += fractions
        own.first_ms, own.last_ms = min(own.first_ms, first_ms), max(own.last_ms, last_ms)
    return dict(found)


def _by_session(con: apsw.Connection, sessions: tuple[Session, ...]) -> dict[str, dict[str, int]]:
    """Ticks by symbol and session. A session lasts until the next one, so prints after the close are the auction's."""
    found: dict[str, dict[str, int]] = defaultdict(dict)
    names = [session.name for session in sessions]
    begins = [session.begin_ms for session in sessions]
    cases = " ".join(f"WHEN ts_ms >= {begin} THEN {place}" for place, begin in reversed(list(enumerate(begins))))
    select = f"SELECT symbol, CASE {cases} ELSE -1 END AS part, count(*) FROM ticks GROUP BY symbol, part"  # noqa: S608
    for symbol, place, rows in con.execute(select):
        if place >= 0:
            found[symbol][names[place]] = rows
    return found


def _ordinals(pairs: int, contiguous: int, implausible: int, missing: int, *others: int) -> Ordinals:
    """A row of `_ORDINALS`. Any pair whose high half is not a time shows that these sequences have no ordinals."""
    counts = not implausible and do_count(pairs, contiguous)
    return Ordinals(pairs, contiguous, counts, missing if counts else 0, *others)


def _counts(con: apsw.Connection, table: str) -> dict[str, int]:
    """The number of rows of a table by symbol."""
    rows: list[tuple[Any, ...]] = con.execute(f"SELECT symbol, count(*) FROM {table} GROUP BY symbol").fetchall()  # noqa: S608
    return dict(rows)
