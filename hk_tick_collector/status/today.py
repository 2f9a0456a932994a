"""What is stored of today, and what was lost. Owns where both are read. Never writes."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

import apsw

from hk_tick_collector.errors import DatabaseError
from hk_tick_collector.status.lost import Lost
from hk_tick_collector.store.imported import read_imports
from hk_tick_collector.store.opening import open_readonly
from hk_tick_collector.store.other_disks import is_there
from hk_tick_collector.store.schema import LEDGER_VERSION
from hk_tick_collector.store.stored import read_stats

if TYPE_CHECKING:
    from pathlib import Path

_SELECT: Final = """
SELECT count(*), count(DISTINCT symbol), total(missing),
       total(CASE WHEN missing IS NULL THEN missing_volume END), total(missing IS NULL AND missing_volume IS NULL),
       min(coalesce(before_ts_ms, since_ms)), max(coalesce(after_ts_ms, resumed_ms))
FROM gaps WHERE state = 'open'"""
_CAUSES: Final = "SELECT cause FROM gaps WHERE state = 'open' GROUP BY cause ORDER BY count(*) DESC, cause"
_DOUBTS: Final = """
SELECT count(*), count(DISTINCT symbol), min(coalesce(before_ts_ms, since_ms)), max(resumed_ms) FROM doubts"""
_OLD_VERSION: Final = "an older version recorded this day, and kept no ledger"
_IMPORTED: Final = "this day was imported, and no ledger came with it"
_DOUBTED: Final = "SELECT cause FROM doubts GROUP BY cause ORDER BY count(*) DESC, cause"


def read_lost(path: Path, busy_timeout_ms: int = 5000) -> Lost | None:
    """What was lost on a day, by its ledger; None: nothing, and nothing is in doubt.

    Raises:
        DatabaseError: it can't be read now.
    """
    con = open_readonly(path, busy_timeout_ms)
    try:
        version = con.pragma("user_version")
        if version < LEDGER_VERSION:
            return Lost(path.stem, no_ledger=_OLD_VERSION) if version else None  # 0: nothing is stored yet
        no_ledger = _IMPORTED if read_imports(con) else ""
        found: list[Any] = con.execute(_SELECT).fetchall()
        gaps, symbols, ticks, shares, unknown, from_ms, until_ms = found[0]
        causes = tuple(str(cause) for (cause,) in con.execute(_CAUSES))
        doubts: Any = con.execute(_DOUBTS).fetchall()[0]
        doubted = tuple(str(cause) for (cause,) in con.execute(_DOUBTED))
    except apsw.Error as exc:
        raise DatabaseError(f"{path} can't be read: {exc}") from exc
    finally:
        con.close()
    if not gaps and not doubts[0] and not no_ledger:
        return None
    lost = Lost(path.stem, gaps, symbols, int(ticks), int(shares), int(unknown), from_ms, until_ms, causes)
    number, of_symbols, doubted_from_ms, doubted_until_ms = doubts
    return replace(
        lost, doubts=number, doubted_symbols=of_symbols, doubted_from_ms=doubted_from_ms,
        doubted_until_ms=doubted_until_ms, doubted_causes=doubted,
        no_ledger=no_ledger,
    )  # fmt: skip


class Today:
    """What is stored of today, as of the last `look`.

    Attributes:
        rows: ticks stored.
    """

    def __init__(self, data_root: Path) -> None:
        """Nothing is read yet."""
        self._root = data_root
        self._day = ""
        self.rows = 0
        self._lost: Lost | None = None

    def look(self, day: str) -> None:
        """Read the day's database, which may be slow on a slow disk; what can't be read keeps its last value.

        Args:
            day: YYYYMMDD in Hong Kong.
        """
        if day != self._day:
            self._day, self.rows, self._lost = day, 0, None
        path = self._root / f"{day}.db"
        try:
            if is_there(path):
                self.rows = sum(stats.rows for stats in read_stats(path).values())
                self._lost = read_lost(path)
        except (DatabaseError, OSError):
            return  # it is locked or damaged, which the writer reports

    def lost(self) -> Lost | None:
        """What was lost; None: nothing is known to be lost."""
        return self._lost
