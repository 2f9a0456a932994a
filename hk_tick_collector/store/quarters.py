"""The side file of a certificate: each symbol's rows, volume and hash by quarter-hour, to find when two days differ.

    DATA_ROOT/YYYYMMDD.quarters.json      beside YYYYMMDD.certificate.json, which has its SHA-256
    DATA_ROOT/YYYYMMDD.quarters.N.json    beside the superseded YYYYMMDD.certificate.N.json

Owns its name and format. A quarter's hash is the last 32 digits of what `store.tick_hash` makes of its ticks. So the
hashes of a symbol's quarters add up, modulo 2^128, to the last 32 digits of its hash in the certificate. Never decides
anything: a day without this file is as certified as one with it.
"""

from __future__ import annotations

import json
from bisect import bisect_left
from hashlib import sha256
from operator import itemgetter
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from hk_tick_collector.errors import DatabaseError
from hk_tick_collector.hktime import MINUTE_MS, day_begin_ms

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

VERSION: Final = 1
MINUTES: Final = 15
QUARTER_MS: Final = MINUTES * MINUTE_MS
MODULUS: Final = 1 << 128

_CERTIFICATE: Final = ".certificate"
_ts_ms: Final = itemgetter(1)


class Quarter(NamedTuple):
    """The ticks of a symbol in a quarter-hour: how many, their shares, and their hash as a number below `MODULUS`."""

    rows: int
    volume: int
    hash: int


Quarters = dict[str, dict[int, Quarter]]
"""By symbol and number of the quarter-hour: 0 begins at midnight in Hong Kong. One without ticks is left out."""


def in_quarters(rows: list[tuple[Any, ...]]) -> Iterator[tuple[int, list[tuple[Any, ...]]]]:
    """Rows by quarter-hour since 1970; `rows`, whose second column is `ts_ms`, are sorted by it.

    They are sorted already, but for ticks out of order; then sorting costs next to nothing.

    Raises:
        TypeError: a time is not a number.
    """
    rows.sort(key=_ts_ms)
    begin = 0
    while begin < len(rows):
        quarter = rows[begin][1] // QUARTER_MS
        end = bisect_left(rows, (quarter + 1) * QUARTER_MS, begin, key=_ts_ms)
        yield quarter, rows[begin:end]
        begin = end


class Counting:
    """Adds up the quarter-hours of a day while its ticks are hashed."""

    def __init__(self, day: str) -> None:
        self._first = day_begin_ms(day) // QUARTER_MS
        self.found: Quarters = {}

    def add(self, symbol: str, quarter: int, rows: int, volume: int, total: int) -> None:
        """Add ticks of one symbol and quarter-hour since 1970, whose hashes' sum is `total`."""
        quarters = self.found.setdefault(symbol, {})
        before = quarters.get(quarter - self._first, Quarter(0, 0, 0))
        added = Quarter(before.rows + rows, before.volume + volume, (before.hash + total) % MODULUS)
        quarters[quarter - self._first] = added


def quarters_of(certificate: Path) -> Path:
    """The path of a certificate's side file: `20261120.quarters.1.json` for `20261120.certificate.1.json`."""
    stem, dot, rest = certificate.name.partition(_CERTIFICATE)
    return certificate.with_name(f"{stem}.quarters{rest}" if dot else f"{certificate.stem}.quarters.json")


def encode(day: str, quarters: Quarters) -> bytes:
    """The side file: one line per symbol."""
    lines = []
    for symbol in sorted(quarters):
        told = [[number, one.rows, one.volume, f"{one.hash:032x}"] for number, one in sorted(quarters[symbol].items())]
        lines.append(f"  {json.dumps(symbol)}: {json.dumps(told, separators=(',', ':'))}")
    head = f' "version": {VERSION},\n "day": {json.dumps(day)},\n "minutes": {MINUTES},\n "symbols": {{\n'
    return ("{\n" + head + ",\n".join(lines) + "\n }\n}\n").encode()


def reference(certificate: Path, encoded: bytes) -> dict[str, Any]:
    """What a certificate says of its side file: name, size and SHA-256."""
    return {"name": quarters_of(certificate).name, "bytes": len(encoded), "sha256": sha256(encoded).hexdigest()}


def is_changed(path: Path, certificate: Mapping[str, Any]) -> bool:
    """Whether the side file at `path` is there, and is not the one that the certificate names.

    Raises:
        OSError: it can't be read.
    """
    told = certificate.get("quarters")
    if told is None:
        return False
    try:
        return bool(sha256(path.read_bytes()).hexdigest() != told["sha256"])
    except FileNotFoundError:
        return False


def read(path: Path, certificate: Mapping[str, Any]) -> Quarters | None:
    """The quarter-hours of a certificate; None: `path` is not the file that it names, or it names none.

    Raises:
        DatabaseError: it is that file, and makes no sense.
        OSError: it can't be read.
    """
    told = certificate.get("quarters")
    if told is None:
        return None
    try:
        raw = path.read_bytes()
    except FileNotFoundError:
        return None
    if sha256(raw).hexdigest() != told["sha256"]:
        return None
    try:
        found = json.loads(raw)
        if found["version"] != VERSION:
            return None
        return {
            symbol: {int(number): Quarter(rows, volume, int(digits, 16)) for number, rows, volume, digits in quarters}
            for symbol, quarters in found["symbols"].items()
        }
    except (AttributeError, KeyError, TypeError, ValueError) as exc:
        raise DatabaseError(f"{path} makes no sense: {exc}") from exc


def clock_of(number: int) -> str:
    """`10:15` for the quarter-hour that begins then in Hong Kong."""
    minutes = number * MINUTES
    return f"{minutes // 60:02}:{minutes % 60:02}"
