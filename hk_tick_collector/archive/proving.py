"""Reads an archive back before anything is deleted: what another program decodes must be what is certified.

Owns the comparison of the other tables with those of the database; `parquet.proof` compares the ticks.
"""

from __future__ import annotations

from contextlib import closing
from itertools import chain
from typing import TYPE_CHECKING

from hk_tick_collector.errors import ArchiveError
from hk_tick_collector.parquet.decoders import best_independent_decoder
from hk_tick_collector.parquet.layout import LEDGER, TICKS
from hk_tick_collector.parquet.ledger_file import LedgerFile, layout, rows_of, tables_of
from hk_tick_collector.parquet.proof import verify
from hk_tick_collector.parquet.ticks_file import TicksFile
from hk_tick_collector.store.opening import open_readonly

if TYPE_CHECKING:
    from pathlib import Path

    from hk_tick_collector.seal.certificate import Certificate, Progress


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
