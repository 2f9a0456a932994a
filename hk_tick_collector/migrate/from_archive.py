"""A whole day from an archive folder: proven before it is made, and again from what was made.

Owns what has to hold for a day to need no mark. Needs pyarrow, which is imported only when it is used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from hk_tick_collector.archive.restoring import make_from_folder
from hk_tick_collector.errors import ArchiveError, DatabaseError
from hk_tick_collector.migrate.parquet_source import prove_ticks
from hk_tick_collector.parquet.checksums import is_body_changed, read_checksums
from hk_tick_collector.parquet.layout import LEDGER, TICKS, archive_dir
from hk_tick_collector.parquet.opening import has_only_archive
from hk_tick_collector.parquet.ticks_file import TicksFile
from hk_tick_collector.seal.certificate import hash_symbols
from hk_tick_collector.store.imported import read_imports
from hk_tick_collector.store.opening import read_untouched
from hk_tick_collector.store.schema import check_ours

if TYPE_CHECKING:
    from pathlib import Path

    import apsw

    from hk_tick_collector.migrate.tick_source import Progress


def prove_and_make(folder: Path, made: Path, progress: Progress) -> str:
    """Make the database of an archived day. Returns the verdict of its certificate.

    Raises:
        ArchiveError: a file is not as it was written, or the ticks are not those of the certificate.
        ForeignFileError: a file is cut off, or none of ours.
        DatabaseError, apsw.Error, OSError: the database can't be made.
    """
    prove_ticks(folder / TICKS, progress)
    ledger = folder / LEDGER
    checksums = read_checksums(ledger)
    if checksums is None:
        raise ArchiveError(
            f"{ledger} was written again by another program, so it proves nothing: to import the ticks alone, copy "
            f"{TICKS} to a folder without it"
        )
    if is_body_changed(ledger, checksums):
        raise ArchiveError(f"{ledger} was changed since it was written; copy it again")
    make_from_folder(folder, made, progress)
    with TicksFile(folder / TICKS) as ticks:
        return str(ticks.certificate["verdict"])


def is_same(folder: Path, target: Path, progress: Progress) -> str | None:
    """Why a day that is in DATA_ROOT is not the archived one; None: it has exactly its ticks."""
    other = f"{target.stem} is here with other ticks: import this one elsewhere, with --data-root, then use merge"
    with TicksFile(folder / TICKS) as ticks:
        expected = _certified(ticks)
    try:
        if has_only_archive(target):
            with TicksFile(archive_dir(target.parent, target.stem) / TICKS) as ours:
                return None if _certified(ours) == expected else other
        found = read_untouched(target, lambda con: _hashed(con, target, expected, progress))
    except DatabaseError as exc:
        return f"what is there can't be compared: {exc}"
    if found is None:
        return f"{target} was imported without its ledger: to have it proven, move it away and run this again"
    return None if found == expected else other


def _hashed(
    con: apsw.Connection, target: Path, expected: dict[str, tuple[int, str]], progress: Progress
) -> dict[str, tuple[int, str]] | None:
    """A day's hashes by symbol; None: it was imported without a ledger."""
    check_ours(con, target)
    if read_imports(con):
        return None
    return hash_symbols(con, target.stem, sum(rows for rows, _ in expected.values()), progress)


def _certified(ticks: TicksFile) -> dict[str, tuple[int, str]]:
    return {one["symbol"]: (one["rows"], one["hash"]) for one in ticks.certificate["symbols"] if one["rows"]}
