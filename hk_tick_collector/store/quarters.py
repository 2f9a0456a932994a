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
from hk_tick_collector.store.tick_hash import COLUMNS as HASHED
from hk_tick_collector.store.tick_hash import hash_each

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

VERSION: Final = 1
MINUTES: Final = 15
QUARTER_MS: Final = MINUTES * MINUTE_MS
MODULUS: Final = 1 << 128

_CERTIFICATE: Final = ".certificate"
_ts_ms: Final = itemgetter(HASHED.index("ts_ms"))
_volume: Final = itemgetter(HASHED.index("volume"))


class Quarter(NamedTuple):
    """The ticks of a symbol in a quarter-hour: how many, their shares, and their hash as a number below `MODULUS`."""

    rows: int
    volume: int
    hash: int


Quarters = dict[str, dict[int, Quarter]]
"""By symbol and number of the quarter-hour: 0 begins at midnight in Hong Kong. One without ticks is left out."""


class Counting:
    """Adds up the quarter-hours of a day while its ticks are hashed."""

    def __init__(self, day: str) -> None:
        self._first = day_begin_ms(day) // QUARTER_MS
        self._found: dict[str, dict[int, list[int]]] = {}

    def add(self, symbol: str, rows: list[tuple[Any, ...]]) -> int:
        """Add ticks of a symbol, given as `tick_hash.COLUMNS`. Returns the sum of their hashes.

        `rows` are sorted by time here; they nearly are already, and then that costs next to nothing.

        Raises:
            struct.error, TypeError: a row is not a valid tick.
        """
        rows.sort(key=_ts_ms)
        hashes = hash_each(symbol, rows)
        times, volumes = list(map(_ts_ms, rows)), list(map(_volume, rows))
        quarters = self._found.setdefault(symbol, {})
        total = begin = 0
        while begin < len(rows):
            quarter = times[begin] // QUARTER_MS
            end = bisect_left(times, (quarter + 1) * QUARTER_MS, begin)
            part = sum(hashes[begin:end])
            sums = quarters.setdefault(quarter - self._first, [0, 0, 0])
            sums[0] += end - begin
            sums[1] += sum(volumes[begin:end])
            sums[2] += part
            total += part
            begin = end
        return total

    @property
    def found(self) -> Quarters:
        """What was added so far."""
        return {
            symbol: {number: Quarter(rows, volume, total % MODULUS) for number, (rows, volume, total) in some.items()}
            for symbol, some in self._found.items()
        }


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
