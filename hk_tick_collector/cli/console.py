"""Where a command's tables go.

Owns how wide they may be, what is printed for a character that a stream's encoding lacks, and that text from a
database is shown literally: no control characters, no markup. rich is imported only when a table is shown: not for
`--json`.
"""

from __future__ import annotations

import codecs
import io
import sys
from typing import TYPE_CHECKING, Final

from hk_tick_collector.text import plain

_PLAINER: Final = {"…": "...", "→": "->", "≤": "<=", "≥": ">="}
_FALLBACK: Final = "hk_tick_collector.plainer"

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text

LOG_WIDTH = 160


def wide_console(columns_min: int = LOG_WIDTH) -> Console:
    """Standard output, as wide as its terminal; without a terminal, at least `columns_min` instead of 80 columns."""
    from rich.console import Console  # noqa: PLC0415 - not for --json

    console = Console()
    if not console.is_terminal:
        console.width = max(console.width, columns_min)
    return console


def print_in_any_encoding() -> None:
    """Let standard output and error print characters that their encoding lacks as similar ones, or as `?`.

    A pipe on Western Windows has cp1252, which lacks `→`; printing must not fail for it.
    """
    codecs.register_error(_FALLBACK, _plainer)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper) and _can_fail(stream):
            stream.reconfigure(errors=_FALLBACK)


def _can_fail(stream: io.TextIOWrapper) -> bool:
    """Whether some character can't be printed; standard error prints its number instead."""
    is_unicode = stream.encoding.lower().startswith("utf")  # only what is no character fails there, as in an odd path
    return stream.errors == "strict" or (stream.errors == "surrogateescape" and not is_unicode)


def _plainer(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    lacking = error.object[error.start : error.end]
    return "".join(_PLAINER.get(character, "?") for character in lacking), error.end


def cell(value: object) -> Text:
    """A table cell for text from outside, such as a symbol: a bracket in it is not read as markup."""
    from rich.text import Text  # noqa: PLC0415 - not for --json

    return Text(plain(value))
