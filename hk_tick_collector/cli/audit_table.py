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
    from collections.abc import Sequence

    from rich.console import Console

    from hk_tick_collector.audit.day import DayAudit, SymbolAudit

COLOURS: Final = {Verdict.COMPLETE: "green", Verdict.INCOMPLETE: "red", Verdict.UNPROVABLE: "yellow"}
NOT_YET: Final = "not yet"  # in the place of a verdict that has to wait for the close
ALIKE_MIN: Final = 3  # from this many symbols on with the same reason, a person sees one row
SYMBOLS_SHOWN: Final = 20  # up to this many symbols, the COMPLETE ones are shown too
LINE_MAX: Final = 10_000  # characters of a line that names symbols
WIDE: Final = 180  # from this many characters on there is room for all figures
NARROW: Final = 100  # below, the reasons need the room

_FIGURES: Final = ("rows", "Σ volume", "exchange", "Δ volume", "Δ turnover")
_LEFT: Final = ("ordinals", "sessions", "gaps")


def show(console: Console, audit: DayAudit, of_day: int, *, all_symbols: bool, notes: Sequence[str] = ()) -> None:
    """Print the table, then a summary of the day, so that the summary stays visible on a terminal.

    Args:
        console: the console to print to.
        audit: of all symbols, or of some.
        of_day: how many symbols the day has.
        all_symbols: show each symbol in a row of its own, also those that are COMPLETE.
        notes: more lines, before the summary.
    """
    shown = [symbol for symbol in audit.symbols if symbol.verdict is not Verdict.COMPLETE]
    if all_symbols or len(audit.symbols) <= SYMBOLS_SHOWN:
        shown = list(audit.symbols)
    if shown:
        groups = _alike(shown) if console.is_terminal and not all_symbols else [[symbol] for symbol in shown]
        console.print(_table(audit, groups, console.width))
        if len(groups) < len(shown):
            console.print(f"{counted(len(shown), 'symbol')}; --all shows each", style="dim", highlight=False)
    rest = len(audit.symbols) - len(shown)
    if rest:
        more = "more symbol" if shown else "symbol"
        console.print(f"{'… and ' if shown else ''}{counted(rest, more)} COMPLETE: --all", style="dim")
    for line in (*wording.notes(audit), wording.outages_text(audit), *notes):
        console.print(plain(line, LINE_MAX), highlight=False, markup=False, soft_wrap=True)
    part = f", {len(audit.symbols):,} of {counted(of_day, 'symbol')}" if len(audit.symbols) < of_day else ""
    is_too_early = not audit.is_over and audit.verdict is Verdict.UNPROVABLE
    verdict = "" if is_too_early else Text(audit.verdict, style=f"bold {COLOURS[audit.verdict]}")
    rest_of_line = f"{'' if is_too_early else '. '}{plain(wording.headline(audit), LINE_MAX)}"
    console.print(Text.assemble(f"{audit.day}{part}: ", verdict, rest_of_line), soft_wrap=True, highlight=False)


def _alike(symbols: list[SymbolAudit]) -> list[list[SymbolAudit]]:
    """Symbols without a gap that have the same verdict for the same reason are one group, each other is its own."""
    groups: dict[tuple[str, ...], list[SymbolAudit]] = {}
    for symbol in symbols:
        own = symbol.symbol if symbol.gaps else ""
        key = (own, str(symbol.verdict), wording.missing_text(symbol), wording.why_text(symbol))
        groups.setdefault(key, []).append(symbol)
    found: list[list[SymbolAudit]] = []
    for group in groups.values():
        found += [group] if len(group) >= ALIKE_MIN else [[symbol] for symbol in group]
    return found


def _table(audit: DayAudit, groups: list[list[SymbolAudit]], width: int) -> Table:
    is_wide = width >= WIDE
    figures = _FIGURES if is_wide else ("Δ volume",) if width >= NARROW else ()
    table = Table(header_style="bold", box=None, padding=(0, 2, 0, 0))
    for heading in ("symbol", "verdict"):
        table.add_column(heading, no_wrap=True)
    table.add_column("missing", justify="right", no_wrap=is_wide)
    for heading in figures:
        table.add_column(heading, justify="right", no_wrap=True)
    for heading in _LEFT if is_wide else ("gaps",):
        table.add_column(heading, no_wrap=is_wide)
    table.add_column("why", overflow="fold", ratio=1)
    for group in groups:
        row = _cells(group[0], audit, len(figures))
        if len(group) > 1:  # figures are a single symbol's
            row = [Text(counted(len(group), "symbol")), *row[1:3], *(Text() for _ in row[3:-1]), row[-1]]
        table.add_row(*row)
    return table


def _cells(symbol: SymbolAudit, audit: DayAudit, figures_shown: int) -> list[Text]:
    """A row, with all figures, one, or none; as `Text`, so that a bracket in OpenD's text is not read as markup."""
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
    middle = figures if figures_shown > 1 else [delta][:figures_shown]
    return [
        cell(symbol.symbol),
        Text(NOT_YET if wording.is_open(symbol) else symbol.verdict, style=COLOURS[symbol.verdict]),
        Text(wording.missing_text(symbol)),
        *map(Text, middle),
        Text(wording.gaps_text(symbol)),
        Text(plain(wording.why_text(symbol))),
    ]
