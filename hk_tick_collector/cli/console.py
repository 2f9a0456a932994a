"""Where a command's tables go.

Owns how wide they may be, and that what a database holds is shown as it is: no control character, no markup. rich is
imported when one is shown: not for `--json`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from hk_tick_collector.text import plain

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text

LOG_WIDTH = 160


def wide_console() -> Console:
    """Standard output: a terminal's own width, and a log's, which is not cut at the 80 columns of no terminal."""
    from rich.console import Console  # noqa: PLC0415 - not for --json

    console = Console()
    if not console.is_terminal:
        console.width = max(console.width, LOG_WIDTH)
    return console


def cell(value: object) -> Text:
    """A table's cell with a text from outside, such as a symbol: a bracket in it is no colour."""
    from rich.text import Text  # noqa: PLC0415 - not for --json

    return Text(plain(value))
