"""Holds an archived day against its manifest and its certificate: has a single byte of its files changed?"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from hk_tick_collector.errors import CollectorError, ForeignFileError
from hk_tick_collector.parquet import manifest as manifests
from hk_tick_collector.parquet.layout import TICKS, archive_dir, archived_days
from hk_tick_collector.parquet.proof import verify
from hk_tick_collector.seal.certificate import hash_file
from hk_tick_collector.store.sealed import is_sealed

if TYPE_CHECKING:
    from pathlib import Path

    from hk_tick_collector.seal.certificate import Certificate, Progress

NO_CERTIFICATE: Final = "archived, without its certificate"

_DIFFERENCES_NAMED: Final = 10


def uncertified(data_root: Path) -> dict[str, str]:
    """By day that has an archive and no certificate, what is to be done; empty if the archive can't be listed."""
    try:
        days = [day for day in archived_days(data_root) if not is_sealed(data_root / f"{day}.db")]
    except OSError:  # all other days can be told
        return {}
    return {
        day: f"{NO_CERTIFICATE}: put {day}.certificate.json back, or make it a database: "
        f"hk-tick-collector archive --restore {day}"
        for day in days
    }


def archive_bytes(database: Path) -> int:
    """The size of a day's archive."""
    folder = archive_dir(database.parent, database.stem)
    return sum(path.stat().st_size for path in folder.iterdir() if path.is_file())


def compare_archive(database: Path, certificate: Certificate | None, progress: Progress) -> tuple[list[str], list[str]]:
    """What is not as it was when the day was archived.

    Args:
        database: the path of the day's database, which need not exist.
        certificate: the day's; None: it has none any more.
        progress: called while a file is read.

    Returns:
        The differences in sentences, and the symbols whose ticks differ.

    Raises:
        OSError: a file can't be read.
    """
    folder = archive_dir(database.parent, database.stem)
    try:
        made = manifests.read(folder)
    except ForeignFileError as exc:
        return [str(exc)], []
    if made.day != database.stem:
        return [f"{folder / manifests.NAME} is that of {made.day}"], []
    if certificate is not None and made.certificate != certificate["self"]:
        if database.exists():
            return [], []  # sealed again since; it is archived again in the coming night
        return [f"{folder.name} was made with another certificate than {database.stem}.certificate.json"], []
    differences = []
    for name, part in sorted(made.files.items()):
        path = folder / name
        if not path.exists():
            differences.append(f"{name} is missing from {folder.name}")
            continue
        size, digest = hash_file(path, progress)
        if size != part.bytes:
            differences.append(f"{name} is {size:,} bytes, was {part.bytes:,} when archived")
        elif digest != part.sha256:
            differences.append(f"bytes of {name} were changed: its SHA-256 is {digest}, archived was {part.sha256}")
    if not any(difference.startswith((TICKS, f"bytes of {TICKS}")) for difference in differences):
        return differences, []
    told, symbols = _compare_ticks(folder / TICKS, progress)
    return [*differences, told], symbols


def _compare_ticks(path: Path, progress: Progress) -> tuple[str, list[str]]:
    """Which symbols' ticks differ from the certified ones, as far as the file can still be decoded."""
    try:
        proof = verify(path, progress=progress)
    except (CollectorError, OSError) as exc:
        return f"cannot tell which ticks are affected: {exc}", []
    if proof.ok:
        return "every decoded tick matches the certificate", []
    named = [difference for difference in proof.differences if difference.symbol is not None]
    told = [f"{one.symbol or path.name}: {one.what}" for one in proof.differences[:_DIFFERENCES_NAMED]]
    if len(proof.differences) > _DIFFERENCES_NAMED:
        told.append(f"and {len(proof.differences) - _DIFFERENCES_NAMED:,} more")
    return "; ".join(told), [str(one.symbol) for one in named]
