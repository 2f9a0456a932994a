"""`status`: how a recorder is doing, from its files alone."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Annotated

import typer

from hk_tick_collector.cli.console import wide_console
from hk_tick_collector.cli.dates import one_day
from hk_tick_collector.cli.options import (  # noqa: TC001 - typer reads them
    AsJson,
    ConfigFile,
    DataRoot,
    DayOption,
    EnvFile,
    NewestDay,
)
from hk_tick_collector.cli.places import data_root_of
from hk_tick_collector.errors import ConfigError
from hk_tick_collector.status.findings import Verdict
from hk_tick_collector.status.reading import read_status

if TYPE_CHECKING:
    from pathlib import Path

EVERY_SEC = 2.0  # as often as the recorder reports


def status_command(  # noqa: PLR0913 - each is an option
    written: NewestDay = None,
    *,
    data_root: DataRoot = None,
    day: DayOption = None,
    all_symbols: Annotated[bool, typer.Option("--all", help="Show all symbols, however many.")] = False,
    watch: Annotated[bool, typer.Option("--watch", help="Show it again and again until Ctrl-C.")] = False,
    every_sec: Annotated[
        float, typer.Option("--every", min=0.5, max=3600, metavar="SECONDS", help="How often --watch shows it.")
    ] = EVERY_SEC,
    as_json: AsJson = False,
    config: ConfigFile = None,
    env_file: EnvFile = None,
) -> None:
    """Show whether ticks are recorded now, whether any were lost today, and what there is to do (exit 0 or 1)."""
    root = data_root_of(data_root, config, env_file)
    wanted = one_day(written, day)  # after that: `today` of a rehearsal is by its clock
    if watch:
        _watch(root, wanted, every_sec, all_symbols=all_symbols, as_json=as_json)
        return
    status = read_status(root, wanted)
    if as_json:
        typer.echo(json.dumps(status, indent=2))
    else:
        from hk_tick_collector.cli.status_screen import render  # noqa: PLC0415 - not for --json

        typer.echo(render(wide_console(), status, all_symbols=all_symbols), nl=False)
    if status["health"]["verdict"] != Verdict.OK:
        raise typer.Exit(1)


def _watch(root: Path, day: str | None, every_sec: float, *, all_symbols: bool, as_json: bool) -> None:
    """Show it in place, on a screen of its own, until Ctrl-C."""
    from rich.text import Text  # noqa: PLC0415 - not for --json

    from hk_tick_collector.cli.status_screen import render  # noqa: PLC0415

    console = wide_console()
    if as_json or not console.is_terminal:
        raise ConfigError("--watch needs a terminal, and goes without --json: call status again instead")
    try:
        with console.screen() as screen:
            while True:
                shown = render(console, read_status(root, day), all_symbols=all_symbols)
                screen.update(Text.from_ansi(shown))
                time.sleep(every_sec)
    except KeyboardInterrupt:
        return
