"""The reception hash: how and when each tick came, by symbol; the certificate's hash covers only the trades.

Owns its definition. A symbol's hash is the SHA-256 of its ticks in the order of their sequences, each as
`push_type_id`, `push_data_type`, `recv_ts_ms`, `inserted_at_ms`: four 64-bit integers, little-endian. It is made when
the file is written, from what SQLite holds, and again by each verification, from what a decoder gives.
"""

from __future__ import annotations

from hashlib import sha256
from typing import TYPE_CHECKING, Any, Final

from hk_tick_collector.parquet.columns import HASHED, STORED
from hk_tick_collector.store.certificate_file import hash_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

COLUMNS: Final = STORED[len(HASHED) :]
_ROW_BYTES: Final = 8 * len(COLUMNS)


class Reception:
    """Hashes how the ticks of each symbol came; they are added in the order of the file."""

    def __init__(self) -> None:
        self._hashes: dict[str, Any] = {}

    def add(self, runs: Iterable[tuple[str, int]], columns: Sequence[memoryview]) -> None:
        """Add ticks given as columns.

        Args:
            runs: symbols and how many rows each has, in the order of the rows.
            columns: one for each of `COLUMNS`, as 8-byte numbers (format "q"), of equal length.
        """
        packed = memoryview(bytearray(len(columns[0]) * _ROW_BYTES))
        cells = packed.cast("q")
        for place, column in enumerate(columns):
            cells[place :: len(COLUMNS)] = column
        begin = 0
        for symbol, rows in runs:
            end = begin + rows * _ROW_BYTES
            self._hashes.setdefault(symbol, sha256()).update(packed[begin:end])
            begin = end

    def found(self) -> dict[str, str]:
        """By symbol, the hash in hexadecimal."""
        return {symbol: digest.hexdigest() for symbol, digest in self._hashes.items()}


def metadata_of(found: dict[str, str]) -> dict[str, Any]:
    """What a file's metadata hold: the hashes, and a hash over them as a certificate has one over itself."""
    made: dict[str, Any] = {"columns": list(COLUMNS), "symbols": found}
    return {**made, "self": hash_of(made)}
