"""Finds what a command line names for `import`, and refuses what is not ours before anything is made.

Owns which kinds of files and folders there are, and the line for each other kind.
"""

from __future__ import annotations

import zipfile
from typing import TYPE_CHECKING, Final, NamedTuple

from hk_tick_collector.errors import ConfigError, ForeignFileError
from hk_tick_collector.migrate.futu_csv import FutuZip
from hk_tick_collector.migrate.parquet_source import open_parquet
from hk_tick_collector.parquet.checksums import read_checksums
from hk_tick_collector.parquet.layout import ARCHIVE, LEDGER, TICKS, day_of_folder
from hk_tick_collector.parquet.ticks_file import TicksFile

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from hk_tick_collector.migrate.tick_source import Progress, TickSource

_EXPECTED: Final = (
    "expected a zip of export --format futu, a Parquet file of this program, or an archive with folders such as "
    "trading_day=2026-11-20"
)
_SQLITE: Final = b"SQLite format 3\0"
_PARQUET: Final = b"PAR1"


class ArchivedDay(NamedTuple):
    """A folder with both files of an archived day.

    Attributes:
        folder: it, absolute.
        day: YYYYMMDD, as its ticks.parquet says.
        rows: how many ticks it has.
    """

    folder: Path
    day: str
    rows: int

    @property
    def size_bytes(self) -> int:
        """The size of both files."""
        return sum((self.folder / name).stat().st_size for name in (TICKS, LEDGER))


class Found(NamedTuple):
    """All that was named.

    Attributes:
        archives: by day, the folder that has it.
        ticks: the files with ticks alone, in the order in which they were named.
    """

    archives: dict[str, ArchivedDay]
    ticks: tuple[TickSource, ...]

    def days(self) -> list[str]:
        """All days, oldest first."""
        return sorted({*self.archives, *(day for source in self.ticks for day in source.days)})

    def of(self, day: str) -> list[TickSource]:
        """The files that have ticks of a day; none if a folder has the whole day."""
        return [] if day in self.archives else [source for source in self.ticks if day in source.days]


def find(paths: Iterable[Path], progress: Progress) -> Found:
    """Look at everything that was named.

    Raises:
        ForeignFileError: something is not ours, or cut off.
        ConfigError: something is not there, is another command's, or names a day twice.
        ArchiveError: the footer of a Parquet file was changed.
        OSError: something can't be read.
    """
    archives: dict[str, ArchivedDay] = {}
    ticks: dict[Path, TickSource] = {}
    named = dict.fromkeys(path.absolute() for path in paths)
    files = [one for path in named for one in (_below(path) if path.is_dir() else [path])]
    for number, one in enumerate(files):
        progress("files looked at", number, len(files))
        if one.name == TICKS and (one.parent / LEDGER).exists():
            found = _archived(one)
            before = archives.setdefault(found.day, found)
            if before.folder.resolve() != found.folder.resolve():
                raise ConfigError(f"{found.day} is in {before.folder} and in {found.folder}: name one of them")
        elif one.resolve() not in ticks:
            ticks[one.resolve()] = _opened(one, progress)
    return Found(archives, tuple(ticks.values()))


def _below(folder: Path) -> Iterator[Path]:
    """Each ticks.parquet of an archived day's folder, or of a folder with such folders."""
    if (folder / TICKS).exists():
        yield folder / TICKS
        return
    days = sorted(path for path in folder.iterdir() if day_of_folder(path.name) is not None and path.is_dir())
    if day_of_folder(folder.name) is not None:
        days = [folder]
    if not days:
        archive = folder / ARCHIVE
        hint = f"; its archive is {archive}" if archive.is_dir() else _older_hint(folder)
        raise ForeignFileError(f"{folder} is no archive of this program: {_EXPECTED}{hint}")
    for day in days:
        if not (day / TICKS).exists():
            raise ForeignFileError(f"{day} has no {TICKS}: copy that folder again")
        yield day / TICKS


def _older_hint(folder: Path) -> str:
    is_any = next(folder.glob("[0-9]*.db"), None) is not None
    return "; day databases are taken in by merge, those of the older recorder by migrate" if is_any else ""


def _archived(path: Path) -> ArchivedDay:
    with TicksFile(path) as file:
        found = ArchivedDay(path.parent, file.day, file.rows)
    read_checksums(path.parent / LEDGER)  # it is read when its day is made; here, only whether it was cut off
    return found


def _opened(path: Path, progress: Progress) -> TickSource:
    """A file with ticks, by its content."""
    if not path.exists():
        raise ConfigError(f"{path} is not there")
    if not path.is_file():
        raise ConfigError(f"{path} is no file: {_EXPECTED}")
    with path.open("rb") as file:
        begin = file.read(len(_SQLITE))
    if begin.startswith(_PARQUET) or path.suffix == ".parquet":
        return open_parquet(path)
    if zipfile.is_zipfile(path):
        return FutuZip(path, progress)
    if begin.startswith(b"PK") or path.suffix == ".zip":
        raise ForeignFileError(f"{path} is no whole zip: copy it again")
    if begin == _SQLITE:
        raise ForeignFileError(f"{path} is a database: merge takes those of this recorder, migrate the older one's")
    raise ForeignFileError(f"{path} is not a file of this program: {_EXPECTED}")
