"""Compares a sealed day with its certificate: has a single byte of either changed?

Never changes anything, and needs no recorder. Ticks are compared only if the file differs.
"""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING, Final, NamedTuple

import apsw

from hk_tick_collector.errors import DatabaseError
from hk_tick_collector.parquet.layout import archived_days, is_archived
from hk_tick_collector.parquet.opening import has_only_archive
from hk_tick_collector.seal import certificate as certificates
from hk_tick_collector.seal.recheck_archive import archive_bytes, compare_archive
from hk_tick_collector.store import certificate_file
from hk_tick_collector.store.opening import open_readonly
from hk_tick_collector.store.other_disks import is_there
from hk_tick_collector.store.quarters import is_changed, quarters_of
from hk_tick_collector.store.schema import day_files
from hk_tick_collector.store.sealed import certificate_of, is_sealed

if TYPE_CHECKING:
    from pathlib import Path

    from hk_tick_collector.seal.certificate import Certificate, Progress

_ANY_WRITE: Final = 0o222
_SUFFIX: Final = ".certificate.json"
_SYMBOLS_NAMED: Final = 10


class Checked(NamedTuple):
    """What was found of a day.

    Attributes:
        day: which.
        verdict: the certificate's; None: there is none that can be used.
        size_bytes: of the database now.
        differences: in sentences; empty if nothing has changed.
        symbols: those whose ticks differ from the certified ones.
    """

    day: str
    verdict: str | None
    size_bytes: int
    differences: tuple[str, ...]
    symbols: tuple[str, ...] = ()


def sealed_days(data_root: Path) -> list[str]:
    """The days to check: those with a certificate or an archive, and those whose database is read-only."""
    days = {path.name.removesuffix(_SUFFIX) for path in data_root.glob(f"{'[0-9]' * 8}{_SUFFIX}")}
    days.update(day for day in archived_days(data_root) if not (data_root / f"{day}.db").exists())
    return sorted(days | {path.stem for path in day_files(data_root) if not path.lstat().st_mode & _ANY_WRITE})


def recheck(data_root: Path, day: str, progress: Progress) -> Checked:
    """Compare a day with its certificate."""
    database = data_root / f"{day}.db"
    try:
        if has_only_archive(database):
            return _recheck_archive(database, progress)
        size = database.stat().st_size if is_there(database) else 0
    except DatabaseError as exc:
        return Checked(day, None, 0, (str(exc),))
    if not is_sealed(database):
        return Checked(day, None, size, (_without_certificate(database, size),))
    try:
        certificate = certificate_file.read(certificate_of(database))
    except DatabaseError as exc:
        return Checked(day, None, size, (str(exc),))
    if certificate["day"] != day or certificate["database"]["name"] != database.name:
        return Checked(day, None, size, (f"the certificate is that of {certificate['day']}",))
    try:
        differences, symbols = _compare(database, certificate, progress)
        if is_archived(database):
            more, of_archive = compare_archive(database, certificate, progress)
            differences, symbols = [*differences, *more], [*symbols, *of_archive]
    except OSError as exc:
        differences, symbols = [f"{database} can't be read: {exc.strerror}"], []
    differences += _of_side_file(database, certificate)
    return Checked(day, certificate["verdict"], size, tuple(differences), tuple(symbols))


def _of_side_file(database: Path, certificate: Certificate) -> list[str]:
    side = quarters_of(certificate_of(database))
    try:
        is_other = is_changed(side, certificate)
    except OSError as exc:
        return [f"{side} can't be read: {exc.strerror}"]
    return [f"{side.name} was modified: it is not the one that the certificate names"] if is_other else []


def _without_certificate(database: Path, size: int) -> str:
    if size and not database.stat().st_mode & _ANY_WRITE:
        return f"{certificate_of(database).name} is missing: the file is read-only, as of a day that is sealed"
    return "it is not sealed: there is no certificate"


def _recheck_archive(database: Path, progress: Progress) -> Checked:
    """A day whose database was deleted once it was archived."""
    day = database.stem
    try:
        size = archive_bytes(database)
        certificate = certificate_file.read(certificate_of(database)) if is_sealed(database) else None
        differences, symbols = compare_archive(database, certificate, progress)
    except (DatabaseError, OSError) as exc:
        return Checked(day, None, 0, (str(exc),))
    if certificate is None:
        return Checked(day, None, size, (*differences, f"{certificate_of(database).name} is missing"), tuple(symbols))
    differences += _of_side_file(database, certificate)
    return Checked(day, certificate["verdict"], size, tuple(differences), tuple(symbols))


def _compare(database: Path, certificate: Certificate, progress: Progress) -> tuple[list[str], list[str]]:
    sealed = certificate["database"]
    beside = [database.with_name(database.name + suffix) for suffix in ("-wal", "-journal")]
    differences = [f"{path.name} lies beside it: what it holds was not sealed" for path in beside if path.exists()]
    size, digest = certificates.hash_file(database, progress)
    if size != sealed["bytes"]:
        differences.append(f"file is {size:,} bytes, was {sealed['bytes']:,} when sealed")
    elif digest != sealed["sha256"]:
        differences.append(f"bytes of the file were changed: its SHA-256 is {digest}, sealed was {sealed['sha256']}")
    if not differences:
        return [], []
    told, symbols = _compare_rows(database, certificate, progress)
    return [*differences, told], symbols


def _compare_rows(database: Path, certificate: Certificate, progress: Progress) -> tuple[str, list[str]]:
    """Which symbols' ticks differ from the certified ones, as far as the file can still be read."""
    try:
        with closing(open_readonly(database)) as con:
            found = certificates.hash_symbols(con, certificate["day"], certificate["rows"], progress)
    except (DatabaseError, apsw.Error, UnicodeError) as exc:
        return f"cannot tell which ticks are affected: {exc}", []
    expected = {one["symbol"]: (one["rows"], one["hash"]) for one in certificate["symbols"] if one["rows"]}
    symbols = sorted(name for name in found.keys() | expected.keys() if found.get(name) != expected.get(name))
    if not symbols:
        return "every readable tick matches the certificate", []
    named = ", ".join(_told(name, found.get(name), expected.get(name)) for name in symbols[:_SYMBOLS_NAMED])
    more = f" and {len(symbols) - _SYMBOLS_NAMED:,} more" if len(symbols) > _SYMBOLS_NAMED else ""
    return f"ticks differ of {named}{more}", symbols


def _told(name: str, found: tuple[int, str] | None, expected: tuple[int, str] | None) -> str:
    rows, sealed = (found or (0, ""))[0], (expected or (0, ""))[0]
    return f"{name} (rows {rows:,}, sealed {sealed:,})" if rows != sealed else name
