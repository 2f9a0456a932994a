"""`_archive.json`: what an archived day consists of, so that a single changed byte of its files is found.

Owns its format. Its name begins with an underscore, so that Spark and others that read a whole folder leave it out.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from hk_tick_collector.errors import ForeignFileError
from hk_tick_collector.store.certificate_file import encode, hash_of

if TYPE_CHECKING:
    from pathlib import Path

NAME: Final = "_archive.json"
VERSION: Final = 1


class Part(NamedTuple):
    """A file of an archived day: its size, and its SHA-256 in hexadecimal."""

    bytes: int
    sha256: str


class Manifest(NamedTuple):
    """What is written of an archived day.

    Attributes:
        day: YYYYMMDD.
        certificate: the own hash of the certificate that it was made with.
        archived_ms: when, UTC epoch ms.
        program: which version made it.
        decoder: the program that read it back, with its version.
        files: by name.
    """

    day: str
    certificate: str
    archived_ms: int
    program: str
    decoder: str
    files: dict[str, Part]

    def encode(self) -> bytes:
        """As it is written."""
        files = {name: part._asdict() for name, part in self.files.items()}
        told: dict[str, Any] = {"version": VERSION, **self._asdict(), "files": files}
        return encode({**told, "self": hash_of(told)})


def read(folder: Path) -> Manifest:
    """Read an archived day's manifest.

    Raises:
        ForeignFileError: it is missing, was changed, or was not made by this program.
        OSError: it can't be read.
    """
    path = folder / NAME
    try:
        raw = path.read_bytes()
    except FileNotFoundError:
        raise ForeignFileError(f"{folder} has no {NAME}: it is not an archived day of this program") from None
    try:
        told: Any = json.loads(raw)
        if told["self"] != hash_of(told) or encode(told) != raw:
            raise ForeignFileError(f"{path} was modified: its contents do not match its hash")
        if told["version"] > VERSION:
            raise ForeignFileError(f"{path} has version {told['version']}, this program knows up to {VERSION}: upgrade")
        files = {name: Part(**part) for name, part in told["files"].items()}
        return Manifest(**{name: told[name] for name in Manifest._fields if name != "files"}, files=files)
    except (ValueError, KeyError, TypeError, AttributeError) as exc:
        raise ForeignFileError(f"{path} makes no sense: {exc}") from exc
