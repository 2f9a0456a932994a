"""The options that several commands have, defined once: how they are called, explained and completed.

A command takes a day as an argument or as `--day`, and a range as `--from` and `--to`; `cli.dates` reads what was
written.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Final

import typer

from hk_tick_collector.cli import completion

_DAY: Final = "today, yesterday, 20261120 or 2026-11-20"


def _day(if_none: str, metavar: str = "DAY") -> object:
    """The argument DAY; the text says what is taken without it."""
    return typer.Argument(metavar=metavar, help=f"{_DAY}{if_none}.", autocompletion=completion.days, show_default=False)


NewestDay = Annotated[str | None, _day("; the newest day with ticks if not given")]
AnyDay = Annotated[str | None, _day("; all days if not given")]
OneDay = Annotated[str | None, _day("")]
SealedDayOrFile = Annotated[str | None, _day(", or all; only with --sealed. Or a ticks.parquet", "DAY|FILE")]
DayOption = Annotated[
    str | None, typer.Option("--day", metavar="DAY", help="Another way to give DAY.", autocompletion=completion.days)
]
FromDay = Annotated[
    str | None,
    typer.Option("--from", "--since", metavar="DAY", help="From this day on.", autocompletion=completion.days),
]
ToDay = Annotated[
    str | None,
    typer.Option(
        "--to", "--until", metavar="DAY", help="Up to and including this day.", autocompletion=completion.days
    ),
]
Symbols = Annotated[
    list[str] | None,
    typer.Option(
        "--symbol",
        metavar="CODE",
        help="Only this symbol: 700, HK.00700, a list of codes, or @FILE; can be repeated.",
        autocompletion=completion.symbols,
    ),
]
DataRoot = Annotated[
    str | None,
    typer.Option(
        metavar="DIRECTORY",
        help="Where the recorder records; overrides DATA_ROOT.",
        autocompletion=completion.directories,
    ),
]
ConfigFile = Annotated[Path | None, typer.Option(metavar="FILE", help="Read settings from this TOML file.")]
EnvFile = Annotated[
    Path | None, typer.Option(metavar="FILE", help="Read settings from this file of NAME=value lines, instead of .env.")
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")]
