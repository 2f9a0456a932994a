"""`demo`: a simulated day in a minute, recorded through three accidents. Reads options, prints the result."""

from __future__ import annotations

import json
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.text import Text

from hk_tick_collector.demo import place as places
from hk_tick_collector.demo import queries
from hk_tick_collector.demo.children import last_lines
from hk_tick_collector.demo.end_screen import end_screen
from hk_tick_collector.demo.play import ENDING_SIGNALS, Play, Script, title
from hk_tick_collector.demo.view import LiveView, PlainView
from hk_tick_collector.errors import DemoFailedError

if TYPE_CHECKING:
    from types import FrameType

    from hk_tick_collector.demo.place import Place
    from hk_tick_collector.demo.play import Outcome

_PIPE_COLUMNS = 100
OTHER_SEC = 5  # to start, to stop and to prove
_INTERRUPTED = 130  # as shells report it


def demo_command(
    *,
    seconds: Annotated[float, typer.Option(min=15, max=300, help="How long the day is played.")] = 60.0,
    symbols: Annotated[int, typer.Option(min=1, max=900, help="How many symbols trade.")] = 50,
    seed: Annotated[int, typer.Option(help="The same seed makes the same market.")] = 0,
    data_dir: Annotated[Path, typer.Option(help="Where all files go; an earlier demo's directory is emptied.")] = Path(
        "demo-data"
    ),
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON object at the end; all else on stderr.")
    ] = False,
) -> None:
    """Watch a simulated day being recorded through three accidents, and see that nothing is lost.

    A simulated OpenD plays a Hong Kong day in a minute. Meanwhile its connection is cut inside a frame, the recorder
    is killed with kill -9 and started again, and the database is locked by another process. Then what was sent is
    compared with what is stored, and the day is audited and sealed: exit 0 if every tick is there once, exactly, and
    that is proven. Needs no OpenD and no account.
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
    view = LiveView(console, title(script), seconds) if console.is_terminal else PlainView(console, seconds)
    _print_intro(console, place, seconds)
    place.queries.write_text(queries.script(place), encoding="utf-8")
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
    console.print(end_screen(outcome, place), soft_wrap=True)
    if not outcome.ok:
        raise typer.Exit(1)


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def _print_intro(console: Console, place: Place, seconds: float) -> None:
    console.print(
        f"This takes about {seconds + OTHER_SEC:.0f} s. A simulated OpenD plays a day of the Hong Kong exchange; the "
        "recorder records it. Meanwhile its connection is cut inside a frame, it is killed with kill -9, and its "
        "database is locked. At the end, all that was sent is compared with all that is stored, and the day is "
        f"audited, sealed and archived. Files: {place.shown}/",
        style="dim",
    )


def _print_logs(console: Console, place: Place) -> None:
    for log in (place.simulator_log, place.recorder_log):
        lines = last_lines(log)
        console.print(f"\nThe last of {log}:" if lines else f"\n{log} is empty.", style="bold", soft_wrap=True)
        for line in lines:
            console.print(Text(f"  {line}"), soft_wrap=True)


def _as_dict(outcome: Outcome, place: Place, script: Script) -> dict[str, Any]:
    return {
        **outcome.verdict.as_dict(),
        "ok": outcome.ok,
        "archive": None if outcome.proof.archive is None else str(outcome.proof.archive.folder),
        "audit": {
            "verdict": str(outcome.proof.audit.verdict),
            "symbols": len(outcome.proof.audit.symbols),
            "complete": outcome.proof.complete,
            "differs_from_certificate": list(outcome.proof.differences),
        },
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
            "certificate": str(outcome.proof.certificate),
            "page": str(place.page),
            "queries": str(place.queries),
        },
        "queries": [{"title": q.title, "command": queries.command_line(place, q)} for q in queries.QUERIES],
    }
