"""Two checksums over all bytes of a Parquet file, in the file itself: Parquet protects its pages and nothing else.

    pages, indexes │ MAGIC, SHA-256 of what is left of here, SHA-256 of what is right of here │ footer, its length, PAR1

Owns that block of 72 bytes. A reader finds the footer from the file's end, and everything else by its offset, so no
reader sees the block. Without it, a changed byte of the footer makes readers skip ticks, or ends the process.
"""

from __future__ import annotations

import os
from hashlib import sha256
from typing import TYPE_CHECKING, BinaryIO, Final, NamedTuple

from hk_tick_collector.errors import ArchiveError, ForeignFileError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

MAGIC: Final = b"HKTICK\x01\n"
_PARQUET: Final = b"PAR1"
_END_BYTES: Final = 8  # the footer's length, PAR1
_DIGEST_BYTES: Final = 32
_BLOCK_BYTES: Final = len(MAGIC) + 2 * _DIGEST_BYTES
_CHUNK_BYTES: Final = 1 << 20
_SEARCHED_BYTES: Final = 1 << 24


class Checksums(NamedTuple):
    """The checksums of a file, and where they are.

    Attributes:
        at: offset of the block.
        body: SHA-256 of the bytes before it.
        footer: SHA-256 of the bytes after it.
    """

    at: int
    body: bytes
    footer: bytes


def add_checksums(path: Path) -> None:
    """Put the block into a whole Parquet file that nobody reads yet.

    Raises:
        OSError: it can't be written.
    """
    with path.open("r+b") as file:
        begin, size = _footer_of(file)
        body = _digest(file, 0, begin)
        file.seek(begin)
        footer = file.read(size - begin)
        file.seek(begin)
        file.write(MAGIC + body + sha256(footer).digest() + footer)


def read_checksums(path: Path) -> Checksums | None:
    """The checksums of a file whose footer is as it was written; None: it has none, so another program wrote it.

    Raises:
        ArchiveError: its footer was changed.
        ForeignFileError: it is cut off, or something was appended to it.
        OSError: it can't be read.
    """
    with path.open("rb") as file:
        begin, size = _footer_of(file)
        at = begin - _BLOCK_BYTES
        if at >= 0:
            file.seek(at)
            block = file.read(_BLOCK_BYTES)
            if block.startswith(MAGIC):
                found = Checksums(at, block[len(MAGIC) : -_DIGEST_BYTES], block[-_DIGEST_BYTES:])
                if _digest(file, begin, size) != found.footer:
                    raise ArchiveError(f"{path} can't be read: its footer was changed; copy it again")
                return found
        file.seek(max(0, size - _SEARCHED_BYTES))
        if MAGIC in file.read():
            raise ForeignFileError(f"{path} is no whole Parquet file: its end is missing or was changed; copy it again")
    return None


def is_body_changed(path: Path, checksums: Checksums) -> bool:
    """Whether a byte before the block was changed.

    Raises:
        OSError: it can't be read.
    """
    with path.open("rb") as file:
        return _digest(file, 0, checksums.at) != checksums.body


def _footer_of(file: BinaryIO) -> tuple[int, int]:
    """Where the footer begins by the length that the file ends with, and the file's size."""
    size = file.seek(0, os.SEEK_END)
    if size < _END_BYTES:
        return -1, size
    file.seek(size - _END_BYTES)
    end = file.read(_END_BYTES)
    if not end.endswith(_PARQUET):
        return -1, size
    return size - _END_BYTES - int.from_bytes(end[:4], "little"), size


def _digest(file: BinaryIO, begin: int, end: int) -> bytes:
    digest = sha256()
    for chunk in _chunks(file, begin, end):
        digest.update(chunk)
    return digest.digest()


def _chunks(file: BinaryIO, begin: int, end: int) -> Iterator[bytes]:
    file.seek(begin)
    while begin < end and (chunk := file.read(min(_CHUNK_BYTES, end - begin))):
        begin += len(chunk)
        yield chunk
