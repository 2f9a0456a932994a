"""Day databases of the older recorder (futu_tick_downloader): how they are recognized, and what is said of one.

Owns that rule. They have the names of ours, `YYYYMMDD.db`, and often stand in a DATA_ROOT that the older recorder wrote
to. They are never written to; `migrate` takes their ticks over.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from hk_tick_collector.errors import OlderRecorderError
from hk_tick_collector.store.setting_names import OLDER_RECORDER

if TYPE_CHECKING:
    from pathlib import Path

    import apsw

# What each of its schema versions (0, 2, 3 and 4) has. It sets no application id.
_COLUMNS: Final = frozenset({"market", "symbol", "ts_ms", "price", "volume", "trading_day"})


def is_older(con: apsw.Connection) -> bool:
    """Whether an open database is a day database of the older recorder."""
    if con.pragma("application_id"):
        return False
    return {row[1] for row in con.execute("PRAGMA main.table_info(ticks)")} >= _COLUMNS


def refuse_older(con: apsw.Connection, path: Path) -> None:
    """Refuse a database of the older recorder, and say how its ticks are taken over.

    Raises:
        OlderRecorderError: it is one.
    """
    if is_older(con):
        raise OlderRecorderError(
            f"{path} was made by {OLDER_RECORDER}: use another DATA_ROOT, and take the old days over with "
            f"hk-tick-collector migrate {path.absolute().parent} --data-root NEW_DATA_ROOT"
        )
