"""What bars and exports need to know of a day besides its ticks: the kind of day, the open gaps, how many ticks.

Owns reading it from a day's database, or from the certificate in its archive. `read.sources` owns which of them is
there.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from hk_tick_collector.audit.figures import Gap
from hk_tick_collector.audit.wording import bounds_of
from hk_tick_collector.parquet.ticks_file import TicksFile
from hk_tick_collector.read.bar_rules import DayFacts
from hk_tick_collector.read.sqlite_day import is_begun
from hk_tick_collector.store.opening import read_untouched
from hk_tick_collector.store.schema import LEDGER_VERSION

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    import apsw

_GAPS: Final = """
SELECT symbol, coalesce(before_ts_ms, since_ms), coalesce(after_ts_ms, resumed_ms) FROM gaps WHERE state = 'open'"""


def database_facts(path: Path) -> DayFacts:
    """The facts of a day that has a database.

    Raises:
        DatabaseError: it is not a day's database of this program.
        apsw.Error, OSError: it can't be read.
    """
    return read_untouched(path, lambda con: _read(con, path))


def _read(con: apsw.Connection, path: Path) -> DayFacts:
    if not is_begun(con, path):
        return DayFacts()
    last_ms = con.execute("SELECT max(last_ts_ms) FROM symbol_stats").get
    if con.pragma("user_version") < LEDGER_VERSION:
        return DayFacts(None, last_ms)
    date_type: Any = con.execute("SELECT date_type FROM trade_dates WHERE day = ?", (path.stem,)).get
    return DayFacts(date_type, last_ms, _by_symbol(con.execute(_GAPS)))


def archived_facts(path: Path) -> DayFacts:
    """The facts of an archived day.

    Raises:
        ForeignFileError: it is not an archived day of this program.
    """
    with TicksFile(path) as file:
        told, last_ms = file.certificate, file.last_ms
    gaps = [Gap(**row) for row in told["ledger"] if row["state"] == "open"]
    return DayFacts(told["trade_date"], last_ms, _by_symbol((gap.symbol, *bounds_of(gap)) for gap in gaps))


def _by_symbol(gaps: Iterable[Any]) -> dict[str, list[tuple[int | None, int | None]]]:
    found: dict[str, list[tuple[int | None, int | None]]] = {}
    for symbol, begin_ms, end_ms in gaps:
        found.setdefault(symbol, []).append((begin_ms, end_ms))
    return found


def database_rows(path: Path) -> dict[str, int]:
    """How many ticks each symbol has in a day's database; the same errors as `database_facts`."""

    def use(con: apsw.Connection) -> dict[str, int]:
        rows: list[Any] = con.execute("SELECT symbol, rows FROM symbol_stats").fetchall() if is_begun(con, path) else []
        return dict(rows)

    return read_untouched(path, use)


def archived_rows(path: Path) -> dict[str, int]:
    """How many ticks each symbol has in an archived day; the same errors as `archived_facts`."""
    with TicksFile(path) as file:
        return {one["symbol"]: one["rows"] for one in file.certificate["symbols"]}
