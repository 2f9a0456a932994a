"""The sequences of a symbol's ticks that were given already: exact, 8 bytes each, or some 3 once a day is quiet. Pure.

A set of Python's would need 100 bytes a tick. Most new sequences are greater than all known ones, and are appended.
"""

from __future__ import annotations

import zlib
from array import array
from bisect import bisect_left
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence


class KnownSeqs:
    """A sorted set of sequences."""

    def __init__(self) -> None:
        self._numbers = array("q")
        self._packed = b""

    def __len__(self) -> int:
        return len(self._unpacked())

    def __contains__(self, seq: int) -> bool:
        numbers = self._unpacked()
        if not numbers or seq > numbers[-1]:
            return False
        place = bisect_left(numbers, seq)
        return numbers[place] == seq

    def add(self, seqs: Sequence[int]) -> None:
        """Add sequences, which are sorted."""
        if not seqs:
            return
        numbers = self._unpacked()
        is_after = not numbers or seqs[0] > numbers[-1]
        numbers.extend(seqs)
        if not is_after:
            self._numbers = array("q", sorted(set(numbers)))

    def unknown(self, seqs: Iterable[int]) -> list[int]:
        """The places in `seqs` of those that are not known."""
        known = set(self._unpacked())
        return [place for place, seq in enumerate(seqs) if seq not in known]

    def pack(self) -> None:
        """Keep them in less memory until they are needed again."""
        if self._numbers:
            self._packed = zlib.compress(self._numbers.tobytes(), 1)
            self._numbers = array("q")

    def _unpacked(self) -> array[int]:
        if self._packed:
            self._numbers = array("q", zlib.decompress(self._packed))
            self._packed = b""
        return self._numbers
