"""Text that came from outside, made safe to log, to store as JSON and to print on a terminal.

Owns which characters may pass. Never raises, whatever it is given.
"""

from __future__ import annotations

import unicodedata
from typing import Any, Final, TextIO

TEXT_MAX: Final = 500
"""Characters that are kept of a text. A log line is cut there, too."""

_BLANKS: Final = frozenset("\t\n\r")
# Control characters (C0, DEL, C1), marks that turn the direction of writing or are invisible, halves of a surrogate
# pair, and what ends a line elsewhere.
_UNSAFE: Final = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})
_REPLACEMENT: Final = "\N{REPLACEMENT CHARACTER}"


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
        text = text[: limit * 4 + 4].decode("utf-8", "replace")  # a character has four bytes at most
    found = text if isinstance(text, str) else str(text)
    if len(found) > limit:
        found = found[:limit] + "…"
    return found if found.isprintable() else "".join(map(_safe, found))


class PlainTerminal:
    """A terminal to which another library writes what is in a database: lines and tabs pass, nothing that steers it."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        """As the stream's own."""
        safe = text if text.isprintable() else "".join(c if c in "\n\t" else _safe(c) for c in text)
        return self._stream.write(safe)

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - whatever the stream has
        return getattr(self._stream, name)


def _safe(character: str) -> str:
    if character in _BLANKS:
        return " "
    return _REPLACEMENT if unicodedata.category(character) in _UNSAFE else character
