"""The last screen of a demo: what became of the accidents, the verdict, and what to do next.

Owns how an outcome looks. Invariant: it fits a terminal of 80 columns and 24 lines.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from rich.console import Group
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from hk_tick_collector.audit.day import Verdict
from hk_tick_collector.demo.queries import program
from hk_tick_collector.demo.view import STYLES
from hk_tick_collector.text import counted, size

if TYPE_CHECKING:
    from rich.console import RenderableType

    from hk_tick_collector.demo.place import Place
    from hk_tick_collector.demo.play import Accident, Outcome
    from hk_tick_collector.demo.proof import Archive

COUNTS = ("sent", "stored", "missing", "duplicated", "wrong")
_COLOURS = {Verdict.COMPLETE: "green", Verdict.INCOMPLETE: "red", Verdict.UNPROVABLE: "yellow"}
_REASONS_SHOWN = 3


def end_screen(outcome: Outcome, place: Place) -> RenderableType:
    """All of it."""
    parts: list[RenderableType] = [Text(), _accidents(outcome.accidents), Text(), _counts(outcome)]
    parts += [Text(json.dumps(example)) for example in outcome.verdict.examples]
    parts += [_proof(outcome, place), Text(), next_steps(place)]
    return Group(*parts)


def _accidents(accidents: tuple[Accident, ...]) -> Table:
    table = Table.grid(padding=(0, 2))
    for accident in accidents:
        name = accident.name.upper()
        done, result = _in_short(accident.name, accident.facts)
        table.add_row(Text(f" {name}", style=STYLES.get(name, "")), Text(done), Text(result, style="dim"))
    return table


def _in_short(name: str, facts: dict[str, Any]) -> tuple[str, str]:
    if name == "lock":
        return f"database locked for {facts['locked_sec']:.0f} s", f"{facts['waited']:,} ticks waited, then stored"
    done = {"cut": "connection cut inside a frame", "kill": "recorder and writer killed"}[name]
    return done, f"back in {facts['back_sec']:.1f} s, {facts['meanwhile']:,} ticks fetched"


def _counts(outcome: Outcome) -> Panel:
    verdict = outcome.verdict
    counts = Table.grid(padding=(0, 3))
    counts.add_row(*(Text(name, style="dim") for name in COUNTS))
    values = [getattr(verdict, name) for name in COUNTS]
    styles = ["bold", "bold", *("bold red" if value else "bold green" for value in values[2:])]
    counts.add_row(*(Text(f"{value:,}", style=style) for value, style in zip(values, styles, strict=True)))
    colour = "green" if verdict.ok else "red"
    words = "every tick that was sent is stored once, exactly" if verdict.ok else "NOT what was sent"
    return Panel(counts, title=f"[bold]{words}[/]", border_style=colour, expand=False, padding=(0, 2))


def _proof(outcome: Outcome, place: Place) -> Table:
    proof = outcome.proof
    audit = proof.audit
    table = Table.grid(padding=(0, 2))
    table.add_column(style="dim", no_wrap=True)
    table.add_column(overflow="fold")
    totals = f"  {proof.complete:,} of {counted(len(audit.symbols), 'symbol')}, by the exchange's own totals"
    table.add_row(" audit", Text.assemble((str(audit.verdict), f"bold {_COLOURS[audit.verdict]}"), totals))
    reasons = [
        f"{s.symbol}: {reason}" for s in audit.symbols if s.verdict is not Verdict.COMPLETE for reason in s.reasons
    ]
    for reason in reasons[:_REASONS_SHOWN]:
        table.add_row("", Text(reason, style="yellow"))
    table.add_row(" seal", Text(str(place.shown_data_root / proof.certificate.name)))
    checked = Text("; ".join(proof.differences), style="red")
    if not proof.differences:
        checked = Text.assemble(("ok", "bold green"), "  no byte has changed since")
    table.add_row(" verify --sealed", checked)
    table.add_row(" archive", _archived(proof.archive))
    return table


def _archived(archive: Archive | None) -> Text:
    """That it was made and read back, and the answer to a query that it gives as the database does."""
    if archive is None:
        return Text("not made: pip install 'hk-tick-collector[data]'", style="dim")
    symbol, ticks, volume = archive.busiest
    words = ("ok", "bold green") if archive.is_same else ("NOT the database's answer", "bold red")
    made = f"  {size(archive.size_bytes)} of {size(archive.database_bytes)}, read back by {archive.decoder}\n"
    return Text.assemble(words, made, f"a query on it: {symbol}, {ticks:,} ticks, {volume:,} shares")


def next_steps(place: Place) -> Group:
    """Three steps, with their commands to paste."""
    call = program()
    steps = (
        ("See the day: a timeline of each symbol, in a browser", (f"xdg-open {place.quoted(place.page)}",)),
        ("Ask it something: three queries, which you can change", (f"sh {place.quoted(place.queries)}",)),
        (
            "Record: start your OpenD, or a simulated one in another terminal, then",
            (f"{call} simulate --now", f"FUTU_SYMBOLS=HK.00700,HK.09988 {call} run"),
        ),
    )
    lines = [Text("What next:", style="bold")]
    for number, (what, commands) in enumerate(steps, 1):
        lines += [Text(f" {number} {what}", style="dim"), *(Text(f"   {command}") for command in commands)]
    return Group(*lines)
