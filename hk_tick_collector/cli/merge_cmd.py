"""`merge`: what two recorders stored, in one place."""

from __future__ import annotations

import json
import sys
from collections import Counter
from pathlib import Path  # noqa: TC003 - typer reads it
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hk_tick_collector.audit.verdict import WORST_FIRST
from hk_tick_collector.cli.console import cell, wide_console
from hk_tick_collector.cli.listing import VERDICT_COLOURS
from hk_tick_collector.cli.options import AsJson  # noqa: TC001 - typer reads them
from hk_tick_collector.cli.progress import Progress
from hk_tick_collector.repair.merge import MergedDay, certify, merge

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rich.console import Console
    from rich.table import Table

    from hk_tick_collector.repair.compare import Common

SYMBOLS_SHOWN = 20

# Numbers of ticks, in display order.
NUMBERS = ("a", "b", "only_a", "only_b", "both", "differing", "merged")
_HEADINGS = ("of A", "of B", "only in A", "only in B", "in both", "differing", "merged")


def merge_command(
    a: Annotated[Path, typer.Argument(metavar="A", help="A day database, or a directory of them (a DATA_ROOT).")],
    b: Annotated[Path, typer.Argument(metavar="B", help="Another one of the same kind.")],
    *,
    out: Annotated[
        Path, typer.Option(metavar="PATH", help="The file or the directory to make; nothing may be there yet.")
    ],
    as_json: AsJson = False,
) -> None:
    """Combine what two recorders stored, each tick once.

    Exits with 1 if they disagree about a tick.
    """
    progress = Progress()
    is_watched = sys.stderr.isatty()
    tell = progress.tell if is_watched else lambda *_: None
    days = merge(a, b, out, tell)
    sealed = certify(out, days, tell) if out.is_dir() else {}
    code = int(any(day.differing for day in days))
    if as_json:
        typer.echo(json.dumps({"a": str(a), "b": str(b), "out": str(out), **_as_dict(days, sealed), "exit_code": code}))
    else:
        console = wide_console()
        for name, path in (("A", a), ("B", b)):
            console.print(f"{name}: {path}", highlight=False, markup=False, soft_wrap=True)
        _show(console, days, sealed)
        console.print(f"made: {out}", highlight=False, markup=False, soft_wrap=True)
    raise typer.Exit(code)


def _numbers(common: Common) -> Counter[str]:
    """A symbol's numbers, which can be summed; `merged` is the number of ticks that the union must have (checked)."""
    return Counter(
        a=common.here,
        b=common.there,
        only_a=common.here - common.both,
        only_b=common.there - common.both,
        both=common.both,
        differing=common.different,
        merged=common.here + common.there - common.both,
    )


def _of_day(day: MergedDay) -> Counter[str]:
    return sum(map(_numbers, day.union.symbols.values()), Counter())


def _worst_first(days: list[MergedDay]) -> list[tuple[str, Counter[str]]]:
    """The symbols that differ between both, over all days: most disagreements first, then most holes."""
    found: dict[str, Counter[str]] = {}
    for day in days:
        for symbol, common in day.union.symbols.items():
            found.setdefault(symbol, Counter()).update(_numbers(common))

    def badness(item: tuple[str, Counter[str]]) -> tuple[int, int, str]:
        symbol, numbers = item
        return -numbers["differing"], -numbers["only_a"] - numbers["only_b"], symbol

    return sorted((item for item in found.items() if _is_uneven(item[1])), key=badness)


def _is_uneven(numbers: Counter[str]) -> bool:
    return bool(numbers["only_a"] or numbers["only_b"] or numbers["differing"])


def _verdicts(day: MergedDay) -> dict[str, int]:
    """The number of symbols per verdict, the worst first."""
    counts = Counter(symbol.verdict for symbol in day.audit.symbols)
    return {str(verdict): counts[verdict] for verdict in WORST_FIRST}


def _named(numbers: Counter[str]) -> dict[str, int]:
    return {name: numbers[name] for name in NUMBERS}


def _as_dict(days: list[MergedDay], sealed: Mapping[str, str | None]) -> dict[str, Any]:
    return {
        "ticks": _named(sum(map(_of_day, days), Counter())),
        "differing": sum(day.differing for day in days),
        "days": [
            {
                "file": day.name,
                "ticks": _named(_of_day(day)),
                "differing": day.differing,
                "tables": {name: table._asdict() for name, table in day.union.tables.items()},
                "symbols": [{"symbol": symbol, **_named(numbers)} for symbol, numbers in _worst_first([day])],
                "verdict": str(day.audit.verdict),
                "verdicts": _verdicts(day),
                "sealed": day.name in sealed and sealed[day.name] is None,
                "disagreements": [row._asdict() for row in day.union.disagreements],
            }
            for day in days
        ],
    }


def _show(console: Console, days: list[MergedDay], sealed: Mapping[str, str | None]) -> None:
    table = _table("day")
    total: Counter[str] = Counter()
    for day in days:
        numbers = _of_day(day)
        total.update(numbers)
        _add(table, day.name, numbers)
    if len(days) > 1:
        _add(table, "all", total, "bold")
    console.print(table)
    symbols = _worst_first(days)
    if symbols:
        table = _table("symbol")
        for symbol, numbers in symbols[:SYMBOLS_SHOWN]:
            _add(table, symbol, numbers)
        console.print(table)
    if len(symbols) > SYMBOLS_SHOWN:
        console.print(f"… and {len(symbols) - SYMBOLS_SHOWN} more symbols that are not the same: --json", style="dim")
    _show_others(console, days)
    for day in days:
        verdicts = ", ".join(f"{count:,} {verdict}" for verdict, count in _verdicts(day).items() if count)
        line = f"{day.name}: {day.audit.verdict} ({verdicts or 'no symbol'})"
        if day.name in sealed:
            line += "; sealed" if sealed[day.name] is None else f"; not sealed: {sealed[day.name]}"
        console.print(
            line, style=VERDICT_COLOURS[str(day.audit.verdict)], highlight=False, markup=False, soft_wrap=True
        )
    if total["differing"]:
        console.print(
            f"{total['differing']:,} ticks differ: what was received first is in ticks, the other in tick_revisions",
            style="red",
            highlight=False,
        )
    elif not symbols:
        console.print("both have the same ticks", style="green")


def _show_others(console: Console, days: list[MergedDay]) -> None:
    """Show the other tables' rows, if there are any."""
    for day in days:
        for name, rows in day.union.tables.items():
            if rows.merged:
                differing = f", {rows.differing:,} disagreed about" if rows.differing else ""
                line = f"{day.name}: {name}: {rows.a:,} of A, {rows.b:,} of B, {rows.merged:,} merged{differing}"
                console.print(line, style="red" if rows.differing else None, highlight=False)


def _table(first: str) -> Table:
    from rich.table import Table  # noqa: PLC0415

    table = Table(header_style="bold", box=None, padding=(0, 2, 0, 0))
    table.add_column(first)
    for heading in _HEADINGS:
        table.add_column(heading, justify="right")
    return table


def _add(table: Table, name: str, numbers: Counter[str], style: str | None = None) -> None:
    style = style or ("red" if numbers["differing"] else None)
    table.add_row(cell(name), *(f"{numbers[number]:,}" for number in NUMBERS), style=style)
