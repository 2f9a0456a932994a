"""Where a command may write what it is asked to: not over a file of the recorder's."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from hk_tick_collector.audit.history import CATALOG
from hk_tick_collector.errors import ConfigError
from hk_tick_collector.journal.segments import DIRECTORY
from hk_tick_collector.parquet.layout import LEDGER, TICKS, day_of_folder
from hk_tick_collector.parquet.manifest import NAME as MANIFEST
from hk_tick_collector.store.data_root import RECORDER_LOCK, SEAL_LOCK, STATE_NAME, WRITER_LOCK
from hk_tick_collector.store.rehearsal import MARKER
from hk_tick_collector.store.schema import day_files

if TYPE_CHECKING:
    from pathlib import Path

# A day, the catalogue, what SQLite and a repair put beside them, certificates with their side files, also superseded
# ones, and those of other recorders.
_OURS: Final = re.compile(rf"\d{{8}}\.db.*|{re.escape(CATALOG)}.*|\d{{8}}\.(?:certificate|quarters|witness).*\.json")
_NAMES: Final = frozenset({STATE_NAME, MARKER, RECORDER_LOCK, WRITER_LOCK, SEAL_LOCK})


def refuse_recorder_file(path: Path) -> None:
    """Refuse a file of a recorder's, in any DATA_ROOT, as a place to write to. A new file is always allowed.

    Raises:
        ConfigError: it is one.
    """
    try:
        real = path.resolve()  # a link leads to what would be overwritten
        if not real.exists():
            return
        is_ours = bool(_OURS.fullmatch(real.name)) or real.name in _NAMES or _is_of_journal(real) or _is_archived(real)
    except (OSError, RuntimeError, ValueError):
        return  # writing to it fails with a better reason
    if is_ours:
        raise ConfigError(f"{path} is a file of the recorder's, expected another name: it would be overwritten")


def _is_archived(real: Path) -> bool:
    """Whether a file is one of an archived day's."""
    return real.name in {TICKS, LEDGER, MANIFEST} and day_of_folder(real.parent.name) is not None


def _is_of_journal(real: Path) -> bool:
    """Whether a file is anywhere in a journal: a directory of that name, with segments or beside days."""
    for directory in real.parents:
        if directory.name == DIRECTORY and (
            any(directory.glob("*.hkj")) or (directory.parent / RECORDER_LOCK).exists() or day_files(directory.parent)
        ):
            return True
    return False
