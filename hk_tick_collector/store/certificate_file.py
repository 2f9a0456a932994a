"""The file of a certificate: how it is written and read.

Owns its format and its own hash; `seal.certificate` owns its content. Invariant: a certificate that is read is byte for
byte what was written; its own hash and its format are both checked.
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
    """A certificate's own hash: SHA-256 of it without `self`, as ASCII JSON with sorted keys and no blanks."""
    told = {name: value for name, value in certificate.items() if name != "self"}
    return sha256(json.dumps(told, sort_keys=True, separators=(",", ":"), allow_nan=False).encode()).hexdigest()


def encode(certificate: Certificate) -> bytes:
    """A certificate as it is written: one line per entry, and one per symbol and gap."""
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
        DatabaseError: it can't be read, has a newer version, or was changed after it was written.
    """
    try:
        raw = path.read_bytes()
        found: Any = json.loads(raw)
    except (OSError, ValueError) as exc:
        raise DatabaseError(f"{path} can't be read: {exc}") from exc
    try:
        is_whole = isinstance(found, dict) and found.get("self") == hash_of(found) and encode(found) == raw
    except ValueError:  # NaN or Infinity, which JSON does not have
        is_whole = False
    if not is_whole:
        raise DatabaseError(f"{path} was modified: its contents do not match its hash")
    if found.get("version") not in READABLE:
        raise DatabaseError(f"{path} has version {found.get('version')}, this program knows up to {VERSION}")
    certificate: Certificate = found
    return certificate
