"""How numbers are said to a person, and somebody else's words shown to one."""

from __future__ import annotations

from typing import Final

EXCERPT_MAX: Final = 160  # characters
_SECONDS_MAX: Final = 900  # as long as seconds can be pictured
_MINUTES_MAX: Final = 7200
_LARGE_BYTES = 10e9
_SMALL_BYTES: Final = 1e8


def counted(number: int, noun: str) -> str:
    """`1 row`, `2,000 rows`, `0 rows`."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def excerpt(value: object) -> str:
    """Somebody else's words, safe to show and not too many."""
    text = "".join(c if c.isprintable() else " " for c in str(value)).strip()
    return text if len(text) <= EXCERPT_MAX else text[:EXCERPT_MAX] + "…"


def span(sec: float) -> str:
    """`45 s`, `20 min`, `3.5 h`."""
    if sec < _SECONDS_MAX:
        return f"{sec:,.0f} s"
    return f"{sec / 60:,.0f} min" if sec < _MINUTES_MAX else f"{sec / 3600:,.1f} h"


def size(size_bytes: float) -> str:
    """`1.5 MB`, `250 MB`, `75 GB`."""
    if size_bytes >= _LARGE_BYTES:
        return f"{size_bytes / 1e9:,.0f} GB"
    return f"{size_bytes / 1e6:,.1f} MB" if size_bytes < _SMALL_BYTES else f"{size_bytes / 1e6:,.0f} MB"
