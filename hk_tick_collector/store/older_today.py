"""Makes room for today: a database of the older recorder under today's name is moved aside, and today is recorded.

Owns the place where it goes, `older-recorder/` in DATA_ROOT, from where `migrate` takes it over. Never changes a byte
of it, replaces nothing there, and moves nothing that a process uses: while the older recorder runs, the start is
refused. Invariant: a database and its log end up side by side, even if this is killed in between: the database is moved
last, and the next start moves it to where its log is.
"""

from __future__ import annotations

import os
from itertools import count
from typing import TYPE_CHECKING, Final

import apsw

from hk_tick_collector import logs
from hk_tick_collector.errors import ConfigError, DatabaseError, FileGoneError, OlderRecorderError
from hk_tick_collector.store.data_root import copy_ownership, sync
from hk_tick_collector.store.older import is_older
from hk_tick_collector.store.opening import read_untouched
from hk_tick_collector.store.setting_names import OLDER_RECORDER
from hk_tick_collector.store.users import users_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

log = logs.get_logger()

FOLDER: Final = "older-recorder"
_SUFFIXES: Final = ("-wal", "-journal", "-shm", "")  # the database last


def make_room(data_root: Path, today: str) -> Path | None:
    """Move the older recorder's database of today aside, with its log.

    Returns:
        Where it is now; None: today's database is not the older recorder's, or there is none.

    Raises:
        ConfigError: a process uses it, or it can't be moved: one line that says what to do.
    """
    path = data_root / f"{today}.db"
    try:
        if path.is_symlink() or not path.exists() or not read_untouched(path, is_older):
            return None
    except (apsw.Error, DatabaseError):  # locked, damaged, or of another program: `check_today` judges that
        return None
    try:
        users = ", ".join(users_of(path))
        if users:
            raise ConfigError(
                f"{users} has {path} open, which was made by {OLDER_RECORDER}: two recorders can't record to one "
                "place. Stop that program, then start this one if it has ended: it moves the file aside, and records "
                "today"
            )
        kept = _move(path)
    except OSError as exc:
        raise ConfigError(
            f"{path} was made by {OLDER_RECORDER}, and can't be moved to {data_root / FOLDER}: {exc.strerror or exc}; "
            "move it there by hand, with its -wal, or use another DATA_ROOT"
        ) from exc
    log.warning(
        "older_day_moved",
        day=today,
        kept=kept,
        cure=f"hk-tick-collector migrate {kept.parent} --data-root NEW_DATA_ROOT takes its ticks over",
    )
    return kept


def made_room(data_root: Path, today: str, cause: Exception) -> Exception:
    """Make room while recording. Returns what keeps today from being stored now: that its file is gone, or the cause.

    Args:
        data_root: DATA_ROOT.
        today: YYYYMMDD.
        cause: why it could not be stored.
    """
    if not isinstance(cause, OlderRecorderError):
        return cause
    try:
        kept = make_room(data_root, today)
    except ConfigError as exc:
        return OlderRecorderError(str(exc))
    return cause if kept is None else FileGoneError(f"{today}.db was of {OLDER_RECORDER}, and was moved to {kept}")


def _move(path: Path) -> Path:
    """Move a database, after its log, into the first folder that has none of these names."""
    names = [path.name + suffix for suffix in _SUFFIXES if os.path.lexists(f"{path}{suffix}")]
    folder = next(one for one in _folders(path.parent) if not any(os.path.lexists(one / name) for name in names))
    if not folder.is_dir():
        folder.mkdir(mode=0o755)
        copy_ownership(folder, path.parent)
    for name in names:
        (path.parent / name).rename(folder / name)
    sync(folder)
    sync(path.parent)
    return folder / path.name


def _folders(data_root: Path) -> Iterator[Path]:
    for number in count(1):
        yield data_root / (FOLDER if number == 1 else f"{FOLDER}-{number}")
