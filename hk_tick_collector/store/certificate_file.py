"""The file of a certificate: how it is written, and how it is read.

Owns its form and its own hash; `seal.certificate` is what is in it. Invariant: a certificate that was read is, byte for
byte, one that was written, by its own hash and by its form.
"""

from __future__ import annotations

import json
from hashlib import sha256
from typing import TYPE_CHECKING, Any, Final

from hk_tick_collector.errors import DatabaseError

if TYPE_CHECKING:
    from pathlib import Path

    Certificate = dict[str, Any]

VERSION: Final = 2
READABLE: Final = (1, 2)


def hash_of(certificate: Certificate) -> str:
    """A certificate's own hash: SHA-256 of it without `self`, as JSON in ASCII, keys sorted, without blanks."""
    told = {name: value for name, value in certificate.items() if name != "self"}
    return sha256(json.dumps(told, sort_keys=True, separators=(",", ":"), allow_nan=False).encode()).hexdigest()


def encode(certificate: Certificate) -> bytes:
    """A certificate as it is written: a line for each of its entries, and for each symbol and gap."""
    lines = []
    for name, value in certificate.items():
        if isinstance(value, list):
            entries = ",\n".join(f"  {json.dumps(entry)}" for entry in value)
            lines.append(f" {json.dumps(name)}: [" + (f"\n{entries}\n ]" if value else "]"))
        else:
            lines.append(f" {json.dumps(name)}: {json.dumps(value)}")
    return ("{\n" + ",\n".join(lines) + "\n}\n").encode()


def read(path: Path) -> Certificate:
    """Read a certificate.

    Raises:
        DatabaseError: it can't be read, is of a newer version, or is not what was written.
    """
    try:
        raw = path.read_bytes()
        found: Any = json.loads(raw)
    except (OSError, ValueError) as exc:
        raise DatabaseError(f"{path} can't be read: {exc}") from exc
    try:
        is_whole = isinstance(found, dict) and found.get("self") == hash_of(found) and encode(found) == raw
    except ValueError:  # a number that is none
        is_whole = False
    if not is_whole:
        raise DatabaseError(f"{path} was changed: it is not what its own hash says")
    if found.get("version") not in READABLE:
        raise DatabaseError(f"{path} has version {found.get('version')}, this program knows up to {VERSION}")
    certificate: Certificate = found
    return certificate
