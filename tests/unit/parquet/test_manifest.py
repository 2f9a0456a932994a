"""`_archive.json`: what is read is what was written, and nothing else passes for it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from hk_tick_collector.errors import ForeignFileError
from hk_tick_collector.parquet.manifest import NAME, Manifest, Part, read

if TYPE_CHECKING:
    from pathlib import Path

MADE = Manifest(
    "20261120", "a" * 64, 1795190400000, "hk-tick-collector 0", "duckdb", {"ticks.parquet": Part(5, "b" * 64)}
)


def test_it_is_read_as_it_was_written(tmp_path: Path) -> None:
    """With its files."""
    (tmp_path / NAME).write_bytes(MADE.encode())
    assert read(tmp_path) == MADE


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        (None, "has no _archive.json: it is not an archived day"),
        (b"", "makes no sense"),
        (b"[]", "makes no sense"),
        (b"null", "makes no sense"),
        (MADE.encode().replace(b"duckdb", b"polars"), "was modified"),
        (MADE.encode() + b"\n", "was modified"),
    ],
)
def test_anything_else_is_none_of_ours(tmp_path: Path, raw: bytes | None, expected: str) -> None:
    """One line that names the file."""
    if raw is not None:
        (tmp_path / NAME).write_bytes(raw)
    with pytest.raises(ForeignFileError, match=expected):
        read(tmp_path)
