"""Archives several days, one after the other, and makes the databases of those for which late ticks wait."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import apsw

from hk_tick_collector.archive.publishing import archive_day
from hk_tick_collector.archive.restoring import restore_day
from hk_tick_collector.errors import CollectorError
from hk_tick_collector.seal.day import sealing

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from hk_tick_collector.archive.due import Due
    from hk_tick_collector.seal.certificate import Progress


def archive_days(data_root: Path, due: list[Due], progress: Progress) -> Iterator[dict[str, Any]]:
    """Archive days; yields the outcome of each. A day that fails does not stop the others.

    Raises:
        AlreadyRunningError, ConfigError: as `sealing`; nothing was archived.
    """
    with sealing(data_root) as lock:
        for day, keeps in due:
            yield _tried(day, partial(_archived, data_root / f"{day}.db", lock, progress, keeps=keeps))


def restore_days(data_root: Path, days: list[str], progress: Progress) -> Iterator[dict[str, Any]]:
    """Make the databases of archived days again; yields the outcome of each.

    Raises:
        AlreadyRunningError, ConfigError: as `sealing`; nothing was restored.
    """
    with sealing(data_root):
        for day in days:
            yield _tried(day, partial(_restored, data_root / f"{day}.db", progress))


def _restored(database: Path, progress: Progress) -> dict[str, Any]:
    return {"day": database.stem, "superseded": restore_day(database, progress)}


def _archived(database: Path, lock: int, progress: Progress, *, keeps: bool) -> dict[str, Any]:
    return archive_day(database, lock, progress, keeps=keeps)._asdict()


def _tried(day: str, work: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    try:
        return work()
    except CollectorError as exc:
        return {"day": day, "error": str(exc)}
    except (apsw.Error, UnicodeError, MemoryError) as exc:
        return {"day": day, "error": f"{type(exc).__name__}: {exc}"}
    except OSError as exc:
        what = f"{exc.filename}: " if exc.filename is not None else ""
        return {"day": day, "error": f"{what}{exc.strerror or exc}"}
