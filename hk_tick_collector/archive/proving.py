"""Reads an archive back before anything is deleted: what another program decodes must be what is certified.

Owns the comparison of the other tables with those of the database; `parquet.proof` compares the ticks. Also holds a
database against an older archive, which it would replace.
"""

from __future__ import annotations

from contextlib import closing
from itertools import chain
from typing import TYPE_CHECKING, Any, Final

from hk_tick_collector.errors import ArchiveError, ForeignFileError
from hk_tick_collector.parquet.decoders import best_independent_decoder
from hk_tick_collector.parquet.hashes import bits_of, runs_of
from hk_tick_collector.parquet.layout import LEDGER, TICKS
from hk_tick_collector.parquet.ledger_file import LedgerFile, layout, rows_of, tables_of
from hk_tick_collector.parquet.proof import verify
from hk_tick_collector.parquet.ticks_file import TicksFile
from hk_tick_collector.store.opening import open_readonly

if TYPE_CHECKING:
    from pathlib import Path

    import apsw

    from hk_tick_collector.seal.certificate import Certificate, Progress

_SEQS: Final = "SELECT seq FROM ticks WHERE symbol = ? AND seq BETWEEN ? AND ?"


def prove(folder: Path, certificate: Certificate, database: Path, progress: Progress) -> str:
    """Hold the files of an archived day against its certificate and its database. Returns the decoder's name.

    Raises:
        ArchiveError: they differ; the message says in what.
        ForeignFileError: a file is cut off, or none of ours.
        apsw.Error, OSError: a file can't be read.
    """
    proof = verify(folder / TICKS, decoder=best_independent_decoder(), progress=progress)
    if not proof.ok:
        told = "; ".join(f"{one.symbol or 'the file'}: {one.what}" for one in proof.differences[:5])
        raise ArchiveError(f"{folder / TICKS} is not what is certified: {told}")
    with TicksFile(folder / TICKS) as ticks:
        if ticks.certificate != certificate:
            raise ArchiveError(f"{folder / TICKS} has another certificate than {certificate['day']}")
    ledger = LedgerFile(folder / LEDGER)
    with closing(open_readonly(database)) as con:
        stored = tables_of(con)
        for table, columns in layout().items():
            names = tuple(columns)
            found = ledger.rows(table, names)
            expected = list(chain.from_iterable(rows_of(con, table, names))) if table in stored else []
            if found != expected:
                raise ArchiveError(
                    f"{folder / LEDGER}: table {table} is not what {database.name} has "
                    f"({len(found):,} rows, expected {len(expected):,})"
                )
    return proof.decoder


def require_no_tick_lost(folder: Path, certificate: Certificate, database: Path) -> None:
    """Hold a day's database against the archive that it is to replace, which may be the only place that has a tick.

    Raises:
        ArchiveError: the archive has ticks that the database lacks.
        apsw.Error, OSError: a file can't be read.
    """
    try:
        older = TicksFile(folder / TICKS)
    except (FileNotFoundError, ForeignFileError, ArchiveError):  # none yet, or it can't be read any more
        return
    with older, closing(open_readonly(database)) as con:
        known, now = (
            {one["symbol"]: (one["rows"], one["hash"]) for one in told["symbols"] if one["rows"]}
            for told in (older.certificate, certificate)
        )
        changed = sorted(symbol for symbol, told in known.items() if now.get(symbol) != told)
        lost = _lost_of(older, changed, con)
    if lost:
        raise ArchiveError(
            f"{folder} has {sum(lost.values()):,} ticks of {', '.join(sorted(lost)[:5])} that {database.name} lacks, "
            "and was not replaced: move it into archive/ of another directory, and unite that one with this by "
            "hk-tick-collector merge"
        )


def _lost_of(older: TicksFile, symbols: list[str], con: apsw.Connection) -> dict[str, int]:
    """How many ticks of these symbols a file has, and a database not; by symbol."""
    lost: dict[str, int] = {}
    for batch in older.batches(symbols, ("symbol", "seq")):
        seqs, begin = bits_of(batch.column("seq")), 0
        for symbol, rows in runs_of(batch.column("symbol")):
            some = seqs[begin : begin + rows]
            begin += rows
            found: list[Any] = con.execute(_SEQS, (symbol, some[0], some[-1])).fetchall()
            if missing := len(set(some) - {seq for (seq,) in found}):
                lost[symbol] = lost.get(symbol, 0) + missing
    return lost
