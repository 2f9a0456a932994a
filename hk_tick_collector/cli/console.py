"""Where a command's tables go.

Owns how wide they may be. rich is imported when one is shown: not for `--json`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console

LOG_WIDTH = 160


def wide_console() -> Console:
    """Standard output: a terminal's own width, and a log's, which is not cut at the 80 columns of no terminal."""
    from rich.console import Console  # noqa: PLC0415 - not for --json

    console = Console()
    if not console.is_terminal:
        console.width = max(console.width, LOG_WIDTH)
    return console
