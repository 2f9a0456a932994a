"""What comes for a day that is sealed, or is being sealed: whether anything in it is new.

OpenD is asked again and again for its last ticks, also at night and after a weekend, and a journal can be stored again
from its beginning. None of that may open a sealed day. So what comes for one is first looked up, read-only. Ticks of a
symbol that was not to be recorded on that day are extra: the certificate stands without them, and the day stays sealed.
"""

from __future__ import annotations

from itertools import chain
from typing import TYPE_CHECKING, Any

from hk_tick_collector.db import CONTENT, Inserted
from hk_tick_collector.errors import ArchivedDayError, DatabaseError
from hk_tick_collector.parquet.layout import is_archived
from hk_tick_collector.seal.open_day import is_sealed_or_sealing
from hk_tick_collector.store import certificate_file
from hk_tick_collector.store.opening import open_readonly
from hk_tick_collector.store.schema import LEDGER_VERSION
from hk_tick_collector.store.sealed import certificate_of, is_sealed
from hk_tick_collector.store.tick_hash import hash_rows, in_hex

if TYPE_CHECKING:
    from pathlib import Path

    import apsw

    from hk_tick_collector.writer.batch import DayShare

_STORED = "SELECT ts_ms, price, volume, turnover, direction_id, tick_type_id FROM ticks WHERE symbol = ? AND seq = ?"
_REVISED = (
    "SELECT 1 FROM tick_revisions WHERE symbol = ? AND seq = ? AND ts_ms = ? AND price = ? AND volume = ? "
    "AND turnover = ? AND direction_id = ? AND tick_type_id = ?"
)
_CORRECTED = "SELECT 1 FROM time_corrections WHERE symbol = ? AND seq = ?"
_BAD = "SELECT 1 FROM bad_ticks WHERE digest = ?"
_RECORDED = "SELECT symbol FROM recorded"


def look_up_in_sealed(database: Path, share: DayShare) -> Inserted | None:
    """The outcome of storing a share in a sealed day, if nothing in the day would change.

    Returns:
        None: the day is not sealed, or something is new. Open the day, and store as usual.

    Raises:
        DatabaseError, apsw.Error: it can't be read.
    """
    if not is_sealed_or_sealing(database):
        return None
    con = open_readonly(database)
    try:
        return _look_up(con, share) if con.pragma("user_version") else None  # version 0 has no tables yet
    finally:
        con.close()


def look_up_in_archived(database: Path, share: DayShare) -> Inserted | None:
    """The outcome of storing a share in a day that is archived, without a database, if nothing would change.

    Which ticks it holds can be told here only of a symbol whose ticks are all in the share: by the certificate's hash.
    The few ticks of a symbol that trades rarely come like this, at each start.

    Returns:
        None: the day is not archived; its database is kept elsewhere.

    Raises:
        ArchivedDayError: there may be something new. The day waits until the archive is a database again.
    """
    if not is_archived(database):
        return None
    try:
        told: dict[str, Any] = certificate_file.read(certificate_of(database)) if is_sealed(database) else {}
    except DatabaseError:
        told = {}
    known = {one["symbol"]: (one["rows"], one["hash"]) for one in told.get("symbols", ())}
    # Of an imported day nobody knows what was to be recorded, so nothing is extra.
    recorded = {} if "imports" in told else {one["symbol"] for one in told.get("symbols", ()) if one.get("recorded")}
    duplicates = extra = 0
    is_new = bool(share.bad)
    for symbol, rows in chain(share.pushed.items(), share.fetched.items()):
        ticks = {row[1:8] for row in rows}
        if recorded and symbol not in recorded:
            extra += len(rows)
        elif known.get(symbol) == (len(ticks), in_hex(hash_rows(symbol, ticks))):
            duplicates += len(rows)
        else:
            is_new = True
    if is_new:
        raise ArchivedDayError(
            f"{database.stem} is archived, and ticks came for it late: `hk-tick-collector archive --restore "
            f"{database.stem}` makes it a database again now, and ARCHIVE_ENABLED in the coming night"
        )
    return Inserted(0, duplicates, 0, extra)


def _look_up(con: apsw.Connection, share: DayShare) -> Inserted | None:
    recorded: set[Any] = set()
    if con.pragma("user_version") >= LEDGER_VERSION:
        recorded = {symbol for (symbol,) in con.execute(_RECORDED)}
    duplicates = revisions = extra = 0
    for symbol, rows in chain(share.pushed.items(), share.fetched.items()):
        if recorded and symbol not in recorded:
            extra += len(rows)
            continue
        for row in rows:
            stored = con.execute(_STORED, row[:2]).fetchone()
            if stored is None:
                return None
            if stored == row[CONTENT]:
                duplicates += 1
            elif con.execute(_REVISED, row[: CONTENT.stop]).fetchone():
                revisions += 1
            else:
                return None
    others = chain(
        (
            (_CORRECTED, (correction.symbol, correction.seq))
            for correction in share.corrections
            if not recorded or correction.symbol in recorded
        ),
        ((_BAD, (bad.digest,)) for bad in share.bad),
    )
    if any(con.execute(select, values).fetchone() is None for select, values in others):
        return None
    return Inserted(0, duplicates, revisions, extra)
