"""Long tables for people and for grep: columns side by side, colours only on a terminal.

Owns how a cell is aligned and coloured, and which columns a narrow terminal does without. A table library measures and
wraps each cell, which for thousands of rows takes longer than everything else.
"""

from __future__ import annotations

import os
import shutil
import sys
from typing import Final

import typer

from hk_tick_collector.text import plain

COLOURS: Final = {"green": "32", "yellow": "33", "red": "31", "dim": "2", "bold": "1"}
VERDICT_COLOURS: Final = {"COMPLETE": "green", "INCOMPLETE": "red", "UNPROVABLE": "yellow"}


class Listing:
    """A table that grows row by row and is shown at the end.

    Args:
        columns: the headings; ">" at the start marks a column of numbers, aligned right.
    """

    def __init__(self, *columns: str) -> None:
        self._headings = [column.removeprefix(">") for column in columns]
        self._is_number = [column.startswith(">") for column in columns]
        self._rows: list[tuple[list[str], list[str]]] = []

    def add(self, *cells: object, **colours: str) -> None:
        """Add a row; `colours` are keyed by column name (`_` for a blank in it). None is shown as an empty cell."""
        texts = ["" if cell is None else f"{cell:,}" if isinstance(cell, int) else plain(cell) for cell in cells]
        assert len(texts) == len(self._headings)
        self._rows.append((texts, [colours.get(heading.replace(" ", "_"), "") for heading in self._headings]))

    def text(self, *, is_coloured: bool, width: int | None = None, drop: tuple[str, ...] = ()) -> str:
        """The whole table, one line per row.

        Args:
            is_coloured: with colours.
            width: of the terminal; None: any.
            drop: columns that are left out, the first one first, until the table is not wider than that.
        """
        head = (self._headings, ["bold"] * len(self._headings))
        rows = [head, *self._rows]
        widths = [max(map(len, cells)) for cells in zip(*(texts for texts, _ in rows), strict=True)]
        kept = list(range(len(widths)))
        for name in drop:
            if width is None or sum(widths[at] for at in kept) + 2 * (len(kept) - 1) <= width:
                break
            kept.remove(self._headings.index(name))
        lines = []
        for texts, colours in rows:
            cells = [
                _coloured(
                    texts[at].rjust(widths[at]) if self._is_number[at] else texts[at].ljust(widths[at]),
                    colours[at] if is_coloured else "",
                )
                for at in kept
            ]
            lines.append("  ".join(cells).rstrip())
        return "\n".join(lines)

    def show(self, *drop: str) -> None:
        """Print it; on a terminal that is too narrow, without these columns, the first one first."""
        is_terminal = sys.stdout.isatty()
        width = shutil.get_terminal_size().columns if is_terminal else None
        is_coloured = is_terminal and not os.environ.get("NO_COLOR")
        # It translates colours for a Windows console.
        typer.echo(self.text(is_coloured=is_coloured, width=width, drop=drop))


def _coloured(text: str, colour: str) -> str:
    return f"\x1b[{COLOURS[colour]}m{text}\x1b[0m" if colour else text
