"""The table `imported`: that a day's ticks were taken over from another recorder's database or a file, and which.

Owns that table. Only an imported day has it, so its absence is the usual case and no schema version depends on it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    import apsw

NAME: Final = "imported"
CREATE: Final = """
CREATE TABLE IF NOT EXISTS main.imported (
  source TEXT NOT NULL PRIMARY KEY,
  recorder TEXT NOT NULL,
  schema_version INTEGER NOT NULL,
  imported_ms INTEGER NOT NULL,
  rows INTEGER NOT NULL,
  stored INTEGER NOT NULL,
  late INTEGER NOT NULL,
  unproven INTEGER NOT NULL,
  duplicates INTEGER NOT NULL,
  conflicts INTEGER NOT NULL,
  put_aside INTEGER NOT NULL
) WITHOUT ROWID, STRICT"""
_INSERT: Final = "INSERT INTO imported VALUES (?,?,?,?,?,?,?,?,?,?,?)"
_IS_THERE: Final = "SELECT count(*) FROM sqlite_schema WHERE type = 'table' AND name = 'imported'"


class Import(NamedTuple):
    """A file whose ticks were taken over into a day.

    Attributes:
        source: its absolute path, as it was then.
        recorder: which recorder had made it; of a file with ticks alone, what kind of file it is.
        schema_version: that recorder's own; 0 for such a file.
        imported_ms: when, UTC epoch ms.
        rows: of the file, those that belong to the day.
        stored: of these, stored as ticks.
        late: of these, eight hours late by their sequence, and corrected.
        unproven: without a sequence that tells a time, so a late time can't be seen.
        duplicates: there already, with the same content.
        conflicts: there already with another content: stored in `tick_revisions`.
        put_aside: not valid as ticks: stored in `bad_ticks`.
    """

    source: str
    recorder: str
    schema_version: int
    imported_ms: int
    rows: int
    stored: int
    late: int
    unproven: int
    duplicates: int
    conflicts: int
    put_aside: int


def note_import(con: apsw.Connection, told: Import) -> None:
    """Store where a day's ticks came from."""
    con.execute(CREATE)
    con.execute(_INSERT, told)


def read_imports(con: apsw.Connection) -> tuple[Import, ...]:
    """The files that a day was imported from; empty: it was recorded here."""
    if not con.execute(_IS_THERE).get:
        return ()
    return tuple(Import(*row) for row in con.execute("SELECT * FROM imported ORDER BY source"))
