"""`hk-tick-collector verdict`: what a simulator sent against what a recorder stored."""

from __future__ import annotations

import json
from pathlib import Path  # noqa: TC003 - typer reads the annotations
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from hk_tick_collector.simulator.verdict import Verdict, compare

_MEANING = {
    "databases": "day databases that were read",
    "sent": "trades that the exchange made of subscribed symbols",
    "stored": "rows in the databases",
    "missing": "made, to be had, and not stored",
    "duplicated": "stored in more than one database",
    "wrong": "stored with other content, or on another day",
    "unknown": "stored, but never made",
    "unreachable": "not stored, and not to be had from OpenD",
    "not_subscribed": "trades of symbols that were never subscribed",
    "revisions_sent": "sent again with other content",
    "revisions_stored": "of these, kept",
    "revisions_unknown": "kept as a revision, but never sent",
}
_FAULTS = ("missing", "duplicated", "wrong", "unknown", "revisions_unknown")


def verdict_table(verdict: Verdict) -> Table:
    """All counts with their meaning; nonzero faults in red."""
    counts = verdict.as_dict()
    table = Table(title="ok" if verdict.ok else "NOT OK", title_style="bold green" if verdict.ok else "bold red")
    table.add_column("count")
    table.add_column("ticks", justify="right")
    table.add_column("meaning")
    for name, meaning in _MEANING.items():
        style = "red" if name in _FAULTS and counts[name] else None
        table.add_row(name, f"{counts[name]:,}", meaning, style=style)
    return table


def verdict_command(
    ledger: Annotated[Path, typer.Argument(help="The ledger that `simulate` wrote.")],
    data_root: Annotated[Path, typer.Argument(help="The recorder's directory of day databases.")],
    *,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")] = False,
) -> None:
    """Compare what a simulated OpenD sent with what was stored; exit 1 if they differ."""
    verdict = compare(ledger, data_root)
    if as_json:
        typer.echo(json.dumps(verdict.as_dict()))
    else:
        console = Console()
        console.print(verdict_table(verdict))
        for example in verdict.examples:
            console.print(json.dumps(example), highlight=False, markup=False, soft_wrap=True)
    if not verdict.ok:
        raise typer.Exit(1)
