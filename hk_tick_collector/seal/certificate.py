"""The certificate of a sealed day: its content.

Owns its entries; `store.tick_hash` defines the hash of a symbol's ticks, and `store.certificate_file` reads and writes
the file. Never decides a verdict, and never seals.
"""

from __future__ import annotations

import struct
from collections import Counter
from hashlib import sha256
from itertools import islice
from math import fsum, isfinite
from typing import TYPE_CHECKING, Any, Final

from hk_tick_collector import __version__
from hk_tick_collector.audit.counted import Votes
from hk_tick_collector.audit.verdict import Verdict
from hk_tick_collector.errors import DatabaseError
from hk_tick_collector.hktime import hk_text
from hk_tick_collector.opend.numbers import TICK_TYPES
from hk_tick_collector.store.certificate_file import VERSION, hash_of
from hk_tick_collector.store.schema import VERSION as SCHEMA_VERSION
from hk_tick_collector.store.sealed import superseded
from hk_tick_collector.store.stored import SymbolStats, read_stats
from hk_tick_collector.store.tick_hash import hash_rows, in_hex

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import apsw

    from hk_tick_collector.audit.figures import Gap
    from hk_tick_collector.audit.verdict import DayAudit, SymbolAudit
    from hk_tick_collector.store.quarters import Counting

    # Called with a description of the work, the amount done, and the total.
    Progress = Callable[[str, int, int], None]
    Certificate = dict[str, Any]

# What a verdict assumes. What was observed of it is in `premises`, `clocks` and `types`.
ASSUMPTIONS: Final = (
    "the exchange's volume and turnover of a day are the sums of its trades, but for the types named as not covered",
    "a snapshot counts no trade that was made after it was received, and all that were made 15 s before its own time",
    "what was received after the close, twice, with a sign of life of the market from after it, is the whole day",
    "a fetched tick has the sequence under which it was pushed, and a reply of GetTicker has no hole",
    "ordinals count every tick where 50 or more pairs of live pushes were measured, and 99.9 % of them were one apart",
)
CHUNK_BYTES: Final = 1 << 20

_ROWS_AT_ONCE: Final = 20_000
_SELECT: Final = (
    "SELECT seq, ts_ms, price, volume, turnover, direction_id, tick_type_id FROM ticks WHERE symbol = ? ORDER BY seq"
)
_SYMBOLS: Final = "SELECT DISTINCT symbol FROM ticks"


# ---- hashes of the rows and the file


def hash_symbols(
    con: apsw.Connection, day: str, rows: int, progress: Progress, quarters: Counting | None = None
) -> dict[str, tuple[int, str]]:
    """By symbol of a day, the number of ticks in the table, and their hash in hexadecimal.

    Args:
        con: the day's database.
        day: YYYYMMDD.
        rows: how many are expected, for the progress.
        progress: called now and then.
        quarters: gets the same by quarter-hour, from the same pass.

    Raises:
        DatabaseError: a row is not a valid tick.
        apsw.Error: it can't be read.
    """
    found: dict[str, tuple[int, str]] = {}
    done = 0
    symbols: list[Any] = con.execute(_SYMBOLS).fetchall()
    for (symbol,) in symbols:
        if not isinstance(symbol, str):
            raise DatabaseError(f"a symbol is {symbol!r}")
        cursor = con.execute(_SELECT, (symbol,))
        count = total = 0
        while some := list(islice(cursor, _ROWS_AT_ONCE)):
            count += len(some)
            try:
                total += hash_rows(symbol, some) if quarters is None else quarters.add(symbol, some)
            except (struct.error, TypeError, AttributeError) as exc:
                raise DatabaseError(f"ticks of {symbol!r} make no sense: {exc}") from exc
            progress(f"{day}: ticks hashed", done + count, rows)
        done += count
        found[symbol] = (count, in_hex(total))
    return found


def hash_file(path: Path, progress: Progress) -> tuple[int, str]:
    """A file's size in bytes, and its SHA-256 in hexadecimal."""
    digest = sha256()
    size, of = 0, path.stat().st_size
    with path.open("rb") as file:
        while chunk := file.read(CHUNK_BYTES):
            size += len(chunk)
            digest.update(chunk)
            progress(f"{path.name}: bytes hashed", size, of)
    return size, digest.hexdigest()


# ---- making a certificate


def make(
    database: Path,
    audit: DayAudit,
    hashes: dict[str, tuple[int, str]],
    file: tuple[int, str],
    sealed_ms: int,
    quarters: dict[str, Any],
) -> Certificate:
    """Make a certificate from what was found of a day.

    Args:
        database: the day's.
        audit: of the day.
        hashes: of `hash_symbols`.
        file: of `hash_file`.
        sealed_ms: now.
        quarters: the name, size and hash of the side file.

    Raises:
        DatabaseError: the audit, the statistics and the ticks disagree; or a turnover, or their sum, is not finite.
    """
    stats = read_stats(database)
    audited = {symbol.symbol: symbol.rows for symbol in audit.symbols if symbol.rows}
    counted = {symbol: count for symbol, (count, _) in hashes.items()}
    if not audited == counted == {symbol: one.rows for symbol, one in stats.items()}:
        raise DatabaseError(f"{database}: symbol_stats does not match ticks; rebuild it from the journal")
    for symbol in audit.symbols:
        if not isfinite(symbol.turnover):
            what = f"the turnover of {symbol.symbol} is no number that can be written down: {symbol.turnover}"
            raise DatabaseError(f"{database} was not sealed: {what}")
    try:
        turnover = fsum(symbol.turnover for symbol in audit.symbols)
    except OverflowError as exc:
        raise DatabaseError(f"{database} was not sealed: the turnover of its symbols has no sum: {exc}") from exc
    gaps = [gap for symbol in audit.symbols for gap in symbol.gaps]
    verdicts = Counter(symbol.verdict for symbol in audit.symbols)
    made: Certificate = {
        "version": VERSION,
        "day": audit.day,
        "verdict": str(audit.verdict),
        "sealed_ms": sealed_ms,
        "sealed_at": hk_text(sealed_ms),
        "program": f"hk-tick-collector {__version__}",
        "database": {"name": database.name, "bytes": file[0], "sha256": file[1]},
        "quarters": quarters,
        "schema_version": SCHEMA_VERSION,
        "symbols_by_verdict": {verdict.lower(): verdicts[verdict] for verdict in Verdict},
        "rows": sum(counted.values()),
        "volume": sum(symbol.volume for symbol in audit.symbols),
        "turnover": turnover,
        "gaps": _summary_of(gaps, audit.symbols),
        "trade_date": audit.trade_date,
        "assumptions": list(ASSUMPTIONS),
        "types": [
            {
                "tick_type": TICK_TYPES.get(t, str(t)),
                "tick_type_id": t,
                **votes._asdict(),
                "other_days": audit.history.get(t, Votes())._asdict(),
            }
            for t, votes in audit.types.items()
        ],
        "clocks": [{"clock": name, **clock._asdict()} for name, clock in audit.clocks.items()],
        "supersedes": max(superseded(database), default=None),
        **({"imports": [one._asdict() for one in audit.imports]} if audit.imports else {}),
        "ledger": [gap._asdict() for gap in gaps],
        "symbols": [_symbol(symbol, stats.get(symbol.symbol), hashes) for symbol in audit.symbols],
    }
    return {**made, "self": hash_of(made)}


def _summary_of(gaps: list[Gap], symbols: tuple[SymbolAudit, ...]) -> dict[str, int]:
    states = Counter(gap.state for gap in gaps)
    return {
        "open": states["open"],
        "filled": states["filled"],
        "missing": sum(symbol.missing or 0 for symbol in symbols),
        "missing_volume": sum(symbol.missing_volume or 0 for symbol in symbols),
    }


def _symbol(audit: SymbolAudit, stats: SymbolStats | None, hashes: dict[str, tuple[int, str]]) -> dict[str, Any]:
    return {
        "symbol": audit.symbol,
        "verdict": str(audit.verdict),
        "reasons": list(audit.reasons),
        "missing": audit.missing,
        "missing_volume": audit.missing_volume,
        "rows": audit.rows,
        "volume": audit.volume,
        "turnover": audit.turnover,
        "exchange_volume": audit.exchange_volume,
        "exchange_turnover": audit.exchange_turnover,
        "turnover_tolerance": round(audit.turnover_tolerance, 4),
        "totals": {
            "own_ms": audit.totals_own_ms,
            "received_ms": audit.totals_received_ms,
            "exchange_ms": audit.totals_ms,
            "market_ms": audit.market_ms,
        },
        "evidence": audit.evidence,
        "covered": list(audit.covered),
        "not_covered": list(audit.not_covered),
        "contradictions": list(audit.contradictions),
        "would_prove": list(audit.would_prove),
        "revisions": {
            "ticks": audit.revisions[0],
            "volume_differs": audit.revisions[1],
            "volume": audit.revised_volume,
        },
        "ordinals": audit.ordinals._asdict(),
        "doubts": audit.doubts,
        "doubts_by_totals": audit.doubts_by_totals,
        "premises": {name: {"held": held, "failed": failed} for name, (held, failed) in audit.premises.items()},
        "recorded": audit.recorded,
        "without": audit.without,
        "first_seq": stats.first_seq if stats else None,
        "last_seq": stats.last_seq if stats else None,
        "hash": hashes.get(audit.symbol, (0, in_hex(0)))[1],
    }
