"""An audit as a table for people: worst first, with what is missing and why.

Colour only ever accompanies a word, and green marks only what is proven.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from rich.table import Table
from rich.text import Text

from hk_tick_collector.audit import wording
from hk_tick_collector.audit.day import Verdict
from hk_tick_collector.cli.console import cell
from hk_tick_collector.text import counted, plain

if TYPE_CHECKING:
    from rich.console import Console

    from hk_tick_collector.audit.day import DayAudit, SymbolAudit

COLOURS: Final = {Verdict.COMPLETE: "green", Verdict.INCOMPLETE: "red", Verdict.UNPROVABLE: "yellow"}
SYMBOLS_SHOWN: Final = 20  # up to this many symbols, the COMPLETE ones are shown too
LINE_MAX: Final = 10_000  # characters of a line that names symbols
WIDE: Final = 180  # from this many characters on there is room for all figures

_FIGURES: Final = ("rows", "Σ volume", "exchange", "Δ volume", "Δ turnover")
_LEFT: Final = ("ordinals", "sessions", "gaps")


def show(console: Console, audit: DayAudit, of_day: int, *, all_symbols: bool) -> None:
    """Print the table, then a summary of the day, so that the summary stays visible on a terminal.

    Args:
        console: the console to print to.
        audit: of all symbols, or of some.
        of_day: how many symbols the day has.
        all_symbols: also show the COMPLETE symbols, however many there are.
    """
    shown = [symbol for symbol in audit.symbols if symbol.verdict is not Verdict.COMPLETE]
    if all_symbols or len(audit.symbols) <= SYMBOLS_SHOWN:
        shown = list(audit.symbols)
    is_wide = console.width >= WIDE
    if shown:
        console.print(_table(audit, shown, is_wide=is_wide))
    rest = len(audit.symbols) - len(shown)
    if rest:
        more = "more symbol" if shown else "symbol"
        console.print(f"{'… and ' if shown else ''}{counted(rest, more)} COMPLETE: --all", style="dim")
    for line in (*wording.notes(audit), wording.outages_text(audit)):
        console.print(plain(line, LINE_MAX), highlight=False, markup=False, soft_wrap=True)
    part = f", {len(audit.symbols):,} of {counted(of_day, 'symbol')}" if len(audit.symbols) < of_day else ""
    verdict = Text(audit.verdict, style=f"bold {COLOURS[audit.verdict]}")
    last = Text.assemble(f"{audit.day}{part}: ", verdict, f". {plain(wording.headline(audit), LINE_MAX)}")
    console.print(last, soft_wrap=True, highlight=False)


def _table(audit: DayAudit, symbols: list[SymbolAudit], *, is_wide: bool) -> Table:
    table = Table(header_style="bold", box=None, padding=(0, 2, 0, 0))
    for heading in ("symbol", "verdict"):
        table.add_column(heading, no_wrap=True)
    table.add_column("missing", justify="right", no_wrap=is_wide)
    for heading in _FIGURES if is_wide else ("Δ volume",):
        table.add_column(heading, justify="right", no_wrap=True)
    for heading in _LEFT if is_wide else ("gaps",):
        table.add_column(heading, no_wrap=is_wide)
    table.add_column("why", overflow="fold", ratio=1)
    for symbol in symbols:
        table.add_row(*_cells(symbol, audit, is_wide=is_wide))
    return table


def _cells(symbol: SymbolAudit, audit: DayAudit, *, is_wide: bool) -> list[Text]:
    """A row; as `Text`, so that a bracket in OpenD's text is not read as markup."""
    exchange = symbol.exchange_volume
    delta = wording.signed_text(wording.volume_delta(symbol))
    figures = [
        f"{symbol.rows:,}",
        f"{symbol.volume:,}",
        wording.NONE if exchange is None else f"{exchange:,}",
        delta,
        wording.signed_text(wording.turnover_delta(symbol), 2),
        wording.ordinals_text(symbol.ordinals),
        wording.session_letters(symbol, audit),
    ]
    middle = figures if is_wide else [delta]
    return [
        cell(symbol.symbol),
        Text(symbol.verdict, style=COLOURS[symbol.verdict]),
        Text(wording.missing_text(symbol)),
        *map(Text, middle),
        Text(wording.gaps_text(symbol)),
        Text(plain(wording.why_text(symbol))),
    ]
