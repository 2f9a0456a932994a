"""`demo`: a minute of a simulated session, recorded through three accidents. Reads options, prints the result."""

from __future__ import annotations

import json
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from hk_tick_collector.demo import place as places
from hk_tick_collector.demo import queries
from hk_tick_collector.demo.children import last_lines
from hk_tick_collector.demo.play import DAY, ENDING_SIGNALS, Play, Script
from hk_tick_collector.demo.view import LiveView, PlainView
from hk_tick_collector.errors import DemoFailedError

if TYPE_CHECKING:
    from types import FrameType

    from hk_tick_collector.demo.place import Place
    from hk_tick_collector.demo.play import Outcome

_PIPE_COLUMNS = 100
_INTERRUPTED = 130  # as shells report it


def demo_command(
    *,
    seconds: Annotated[float, typer.Option(min=15, max=300, help="How long the session is played.")] = 60.0,
    symbols: Annotated[int, typer.Option(min=1, max=900, help="How many symbols trade.")] = 50,
    seed: Annotated[int, typer.Option(help="The same seed makes the same market.")] = 0,
    data_dir: Annotated[Path, typer.Option(help="Where all files go; an earlier demo's directory is emptied.")] = Path(
        "demo-data"
    ),
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON object at the end; all else on stderr.")
    ] = False,
) -> None:
    """Watch a simulated session being recorded through three accidents, and see that nothing is lost.

    A simulated OpenD plays a Hong Kong morning in a minute. Meanwhile its connection is cut inside a frame, the
    recorder is killed with kill -9 and started again, and the database is locked by another process. Then what was
    sent is compared with what is stored: exit 0 if every tick is there once, exactly. Needs no OpenD and no account.
    """
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(errors="replace")  # type: ignore[union-attr] # a terminal without block characters gets "?"
    for number in ENDING_SIGNALS:
        signal.signal(number, _interrupt)
    console = Console(stderr=as_json, highlight=False)
    if not console.is_terminal:
        console = Console(stderr=as_json, highlight=False, width=_PIPE_COLUMNS)
    place = places.prepare(data_dir)
    script = Script(seconds, symbols, seed)
    title = f"{DAY[:4]}-{DAY[4:6]}-{DAY[6:]}, {symbols} symbols, {script.speed:.0f} x speed"
    view = LiveView(console, title, seconds) if console.is_terminal else PlainView(console)
    _print_intro(console, place)
    try:
        with view:
            outcome = Play(script, place, view).run()
    except KeyboardInterrupt:
        console.print(f"\nStopped; no process of the demo is left. Its files are in {place.shown}/", soft_wrap=True)
        raise typer.Exit(_INTERRUPTED) from None
    except DemoFailedError:
        _print_logs(console, place)
        raise
    if as_json:
        sys.stdout.write(json.dumps(_as_dict(outcome, place, script)) + "\n")
    _print_outcome(console, outcome, place, say_more=not as_json)
    if not outcome.verdict.ok:
        raise typer.Exit(1)


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def _print_intro(console: Console, place: Place) -> None:
    console.print(
        "A simulated OpenD plays a morning of the Hong Kong exchange; the recorder records it. Meanwhile its "
        "connection is cut inside a frame, it is killed with kill -9, and its database is locked. At the end, "
        f"all that was sent is compared with all that is stored. Files: {place.shown}/",
        style="dim",
    )


def _print_logs(console: Console, place: Place) -> None:
    for log in (place.simulator_log, place.recorder_log):
        lines = last_lines(log)
        console.print(f"\nThe last of {log}:" if lines else f"\n{log} is empty.", style="bold", soft_wrap=True)
        for line in lines:
            console.print(Text(f"  {line}"), soft_wrap=True)


def _print_outcome(console: Console, outcome: Outcome, place: Place, *, say_more: bool) -> None:
    verdict = outcome.verdict
    counts = Table.grid(padding=(0, 3))
    names = ("sent", "stored", "missing", "duplicated", "wrong")
    counts.add_row(*(Text(name, style="dim") for name in names))
    values = [getattr(verdict, name) for name in names]
    styles = ["bold", "bold", *("bold red" if value else "bold green" for value in values[2:])]
    counts.add_row(*(Text(f"{value:,}", style=style) for value, style in zip(values, styles, strict=True)))
    colour = "green" if verdict.ok else "red"
    words = "every tick that was sent is stored once, exactly" if verdict.ok else "NOT what was sent"
    console.print()
    console.print(Panel(counts, title=f"[bold]{words}[/]", border_style=colour, expand=False, padding=(0, 2)))
    for example in verdict.examples:
        console.print(Text(json.dumps(example)), soft_wrap=True)
    if not say_more:
        return
    files = Table.grid(padding=(0, 2))
    for path, what in (
        (place.shown_data_root / outcome.database.name, "the day: SQLite, a row a tick"),
        (place.shown / place.recorder_log.name, "what the recorder said of the accidents"),
        (place.shown / place.recorder_env.name, "its settings"),
        (place.shown / place.ledger.name, "what was sent"),
    ):
        files.add_row(Text(str(path), style="bold", overflow="fold"), Text(what, style="dim"))
    console.print()
    console.print(files)
    console.print("\nAsk the day something:")
    for query in queries.QUERIES:
        console.print(f"\n[dim]# {query.title}[/]")
        console.print(Text(queries.command_line(place, query)), soft_wrap=True)


def _as_dict(outcome: Outcome, place: Place, script: Script) -> dict[str, Any]:
    return {
        **outcome.verdict.as_dict(),
        "seconds": script.seconds,
        "symbols": script.symbols,
        "seed": script.seed,
        "faults": [
            {"fault": a.name, "happened": True, "done": a.done, "result": a.result, **a.facts}
            for a in outcome.accidents
        ],
        "files": {
            "database": str(outcome.database),
            "ledger": str(place.ledger),
            "recorder_log": str(place.recorder_log),
            "simulator_log": str(place.simulator_log),
            "settings": str(place.recorder_env),
        },
        "queries": [{"title": q.title, "command": queries.command_line(place, q)} for q in queries.QUERIES],
    }
