"""The exchange's last word on earlier days.

A snapshot with an earlier day's date shows that nothing was traded today, but only if its totals are that day's last
word: with other totals it may count a trade of today under an old date. Reads day databases and certificates, and
changes nothing. A day that is being written is read through its writer's connection: what came before in the journal
counts, committed or not, so that a replay concludes the same.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import apsw

from hk_tick_collector.errors import DatabaseError
from hk_tick_collector.hktime import day_before
from hk_tick_collector.store import certificate_file
from hk_tick_collector.store.opening import read_untouched
from hk_tick_collector.store.other_disks import is_there

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from hk_tick_collector.db import DayDatabase
    from hk_tick_collector.opend.messages import DayTotals

    # The database of a day, in a transaction; None: there is none, or it is sealed.
    Databases = Callable[[str], DayDatabase | None]

DAYS_MAX = 12

READ_AGAIN_MS = 600_000
LOOK_BACK_DAYS = 12  # a little more than the longest closure, at Lunar New Year

_LAST = "SELECT symbol, max(volume) FROM exchange_totals WHERE ifnull(exchange_ms, until_ms) < ? GROUP BY symbol"


def days_before(day: str) -> list[str]:
    """The days before this one, the newest first, far enough back to include a trading day."""
    return [day_before(day, days) for days in range(1, LOOK_BACK_DAYS + 1)]


class _Day(NamedTuple):
    read_ms: int
    volumes: dict[str, int]


class LastWords:
    """The volumes that the exchange reported last, by earlier day and symbol; read when needed."""

    def __init__(self, data_root: Path) -> None:
        self._root = data_root
        self._days: dict[str, _Day] = {}

    def is_last(self, day: str, totals: DayTotals, recv_ts_ms: int, opens_ms: int, databases: Databases) -> bool:
        """Whether totals of an earlier day are its last word.

        Args:
            day: which.
            totals: of one symbol, from the snapshot that has just come.
            recv_ts_ms: when it came, by the host's clock.
            opens_ms: today's pre-opening: a snapshot that came before it, by the exchange's time, counts nothing of
                today.
            databases: gives the days that are being written.
        """
        known = self._days.get(day)
        is_old = known is not None and abs(recv_ts_ms - known.read_ms) >= READ_AGAIN_MS
        if known is None or (is_old and totals.symbol not in known.volumes):  # its last word may have come since
            while len(self._days) >= DAYS_MAX:
                del self._days[next(iter(self._days))]
            known = self._days[day] = _Day(recv_ts_ms, self._read(day, opens_ms, databases))
        return known.volumes.get(totals.symbol) == totals.volume

    def _read(self, day: str, opens_ms: int, databases: Databases) -> dict[str, int]:
        path = self._root / f"{day}.db"
        database = databases(day)
        try:
            rows: list[tuple[Any, ...]]
            if database is not None:
                rows = database.connection.execute(_LAST, (opens_ms,)).fetchall()
                return dict(rows)
            if is_there(path):
                rows = read_untouched(path, lambda con: con.execute(_LAST, (opens_ms,)).fetchall())
                return dict(rows)
            told = certificate_file.read(self._root / f"{day}.certificate.json")
            return {one["symbol"]: one["exchange_volume"] for one in told["symbols"]}
        except (apsw.Error, DatabaseError, OSError, KeyError, TypeError, UnicodeError):
            return {}
