"""What other, sealed days have shown about types of ticks, for a day that shows too little itself. Never writes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import apsw

from hk_tick_collector.audit.counted import Votes
from hk_tick_collector.store.opening import read_untouched

if TYPE_CHECKING:
    from pathlib import Path

CATALOG: Final = "catalog.db"

_TYPES = "SELECT tick_type_id, sum(counted), sum(not_counted) FROM types WHERE day <> ? GROUP BY tick_type_id"


def type_history(data_root: Path, day: str) -> dict[int, Votes]:
    """The votes of other days on each type of tick, from the catalogue of sealed days; empty: there is none."""
    path = data_root / CATALOG
    if not path.exists():
        return {}
    try:
        rows: list[tuple[Any, ...]] = read_untouched(path, lambda con: con.execute(_TYPES, (day,)).fetchall())
    except (apsw.Error, OSError):  # of another version, or without permission: there is only less evidence
        return {}
    return {tick_type: Votes(counted, not_counted) for tick_type, counted, not_counted in rows}
