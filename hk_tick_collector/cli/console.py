"""Where a command's tables go.

Owns how wide they may be, and that text from a database is shown literally: no control characters, no markup. rich is
imported only when a table is shown: not for `--json`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from hk_tick_collector.text import plain

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text

LOG_WIDTH = 160


def wide_console() -> Console:
    """Standard output, as wide as its terminal; without a terminal, at least LOG_WIDTH instead of 80 columns."""
    from rich.console import Console  # noqa: PLC0415 - not for --json

    console = Console()
    if not console.is_terminal:
        console.width = max(console.width, LOG_WIDTH)
    return console


def cell(value: object) -> Text:
    """A table cell for text from outside, such as a symbol: a bracket in it is not read as markup."""
    from rich.text import Text  # noqa: PLC0415 - not for --json

    return Text(plain(value))
