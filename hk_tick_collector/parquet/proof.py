"""Placeholder until the merge."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from hk_tick_collector.parquet.hashes import NEEDED, Hashes
from hk_tick_collector.parquet.ticks_file import TicksFile

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    Progress = Callable[[str, int, int], None]


class FileProof(NamedTuple):
    day: str
    rows: int
    certificate: str
    decoder: str
    differences: tuple[str, ...]
    symbols: tuple[str, ...]

    @property
    def ok(self) -> bool:
        return not self.differences


def best_independent_decoder() -> str:
    return "pyarrow"


def verify(path: Path, *, decoder: str | None = None, progress: Progress | None = None) -> FileProof:
    hashes = Hashes()
    with TicksFile(path) as file:
        for group in range(file.row_groups):
            hashes.add_batch(file.read_group(group, NEEDED))
        expected = {one["symbol"]: (one["rows"], one["hash"]) for one in file.certificate["symbols"] if one["rows"]}
        found = hashes.found()
        different = tuple(s for s in sorted(found.keys() | expected.keys()) if found.get(s) != expected.get(s))
        return FileProof(file.day, file.rows, file.certificate["self"], decoder or "pyarrow", different, different)
