"""Text for people: text from outside made safe to log, to store as JSON and to print; and numbers with their units.

Owns which characters may pass, and how a number is written. Never raises, whatever text it is given.
"""

from __future__ import annotations

import unicodedata
from typing import Any, Final, TextIO

TEXT_MAX: Final = 500
"""Characters that are kept of a text. A value in a log line is cut there, too."""

_BLANKS: Final = frozenset("\t\n\r")
# Control characters (C0, DEL, C1), invisible characters and those that change the writing direction, halves of a
# surrogate pair, and Unicode's line and paragraph separators.
_UNSAFE: Final = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})
_REPLACEMENT: Final = "\N{REPLACEMENT CHARACTER}"

EXCERPT_MAX: Final = 160  # characters
_SECONDS_MAX: Final = 900  # more seconds are hard to picture
_MINUTES_MAX: Final = 7200
_LARGE_BYTES = 10e9
_SMALL_BYTES: Final = 1e8


def plain(text: object, limit: int = TEXT_MAX) -> str:
    """A text of one line without anything that could steer a terminal.

    Args:
        text: any value; bytes (which protobuf gives for what is not UTF-8) are decoded as UTF-8.
        limit: characters that are kept.

    Returns:
        The text; what can't be decoded or is unsafe is replaced by U+FFFD, line ends and tabs by a blank, and what
        is cut off by "…".
    """
    if isinstance(text, bytes):
        text = text[: limit * 4 + 4].decode("utf-8", "replace")  # a character has at most four bytes
    found = text if isinstance(text, str) else str(text)
    if len(found) > limit:
        found = found[:limit] + "…"
    return found if found.isprintable() else "".join(map(_safe, found))


class PlainTerminal:
    """A terminal to which another library writes database content: lines and tabs pass, control characters do not."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        """Like the stream's own `write`."""
        safe = text if text.isprintable() else "".join(c if c in "\n\t" else _safe(c) for c in text)
        return self._stream.write(safe)

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - whatever the stream has
        return getattr(self._stream, name)


def _safe(character: str) -> str:
    if character in _BLANKS:
        return " "
    return _REPLACEMENT if unicodedata.category(character) in _UNSAFE else character


def counted(number: int, noun: str) -> str:
    """`1 row`, `2,000 rows`, `0 rows`."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def excerpt(value: object) -> str:
    """Foreign text, made safe to show and cut short."""
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
