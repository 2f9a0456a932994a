"""Which kind a day database is: the current one, or the older one that earlier recorders wrote.

Owns what is understood of the older kind: a table `ticks` with `symbol`, `seq`, `ts_ms`, `price`, `volume` and mostly
`trading_day` as text, a rowid, and unique indexes. Never writes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from hk_tick_collector.errors import DatabaseError
from hk_tick_collector.store.schema import APPLICATION_ID, check_version

if TYPE_CHECKING:
    from pathlib import Path

    import apsw

CURRENT, OLDER = "current", "older"
# Two ticks with the same symbol and sequence are different if one of these columns is.
_CONTENT = {
    CURRENT: ("ts_ms", "price", "volume", "turnover", "direction_id", "tick_type_id"),
    OLDER: ("ts_ms", "price", "volume", "turnover", "direction", "tick_type"),
}


class Layout(NamedTuple):
    """How a kind of database holds its ticks.

    Attributes:
        kind: CURRENT or OLDER.
        columns: stored columns of `ticks`, in order.
        content: those that make a tick a different one.
        row_id: the column that identifies a row, since the older kind's keys can be NULL; "" for the current kind.
    """

    kind: str
    columns: tuple[str, ...]
    content: tuple[str, ...]
    row_id: str


class Sample(NamedTuple):
    """A tick, as it is shown to the operator."""

    symbol: str
    seq: int | None
    ts_ms: int
    trading_day: str
    price: float
    volume: int
    file: str


def layout_of(con: apsw.Connection, path: Path) -> Layout:
    """Determine which kind a database is.

    Raises:
        DatabaseError: neither.
        DatabaseNewerError: the current kind, but made by a newer version of this program.
    """
    columns = {row[1]: row[2:] for row in con.execute("PRAGMA table_info(ticks)")}
    if con.pragma("application_id") == APPLICATION_ID:
        check_version(con.pragma("user_version"), path)
        return Layout(CURRENT, tuple(columns), _CONTENT[CURRENT], "")
    if not {"symbol", "seq", "ts_ms", "price", "volume"} <= columns.keys():
        raise DatabaseError(f"{path} has no table ticks with symbol, seq, ts_ms, price and volume: none of ours")
    listed = con.execute("SELECT wr FROM pragma_table_list('ticks') WHERE schema = 'main'").get
    if listed:
        raise DatabaseError(f"{path} is of another kind: its table ticks has no rowid")
    # An INTEGER key is left out: a row that moves gets a new number in the other file.
    numbers = {name for name, (kind, _, _, key) in columns.items() if key and kind.upper() == "INTEGER"}
    names = tuple(name for name in columns if name not in numbers)
    return Layout(OLDER, names, tuple(name for name in _CONTENT[OLDER] if name in names), "_rowid_")
