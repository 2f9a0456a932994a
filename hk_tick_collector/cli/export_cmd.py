"""`export`: writes ticks to a file for other programs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from hk_tick_collector.cli.dates import day_range, one_day
from hk_tick_collector.cli.options import (  # noqa: TC001 - typer reads them
    AsJson,
    ConfigFile,
    DataRoot,
    DayOption,
    EnvFile,
    FromDay,
    NewestDay,
    Symbols,
    ToDay,
)
from hk_tick_collector.cli.outputs import refuse_recorder_file
from hk_tick_collector.cli.places import data_root_of
from hk_tick_collector.cli.progress import Progress
from hk_tick_collector.errors import ConfigError, NoDataError
from hk_tick_collector.hktime import hk_text
from hk_tick_collector.symbols import symbols_of
from hk_tick_collector.text import counted, size

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hk_tick_collector.read import data_root as read
    from hk_tick_collector.read.export import Exported
    from hk_tick_collector.read.ticks import Ticks

Form = Annotated[
    Literal["csv", "parquet", "futu"] | None,
    typer.Option(
        "--format",
        help="csv, parquet, or futu: a zip with one CSV for each symbol, as the official SDK has it. "
        "If not given, the name of the file says it: .csv, .parquet or .zip.",
    ),
]
Out = Annotated[Path, typer.Option("--out", "-o", metavar="FILE", help="The file to write.", show_default=False)]


def export_command(  # noqa: PLR0913 - each is an option
    written: NewestDay = None,
    *,
    out: Out,
    form: Form = None,
    symbol: Symbols = None,
    day: DayOption = None,
    since: FromDay = None,
    until: ToDay = None,
    force: Annotated[bool, typer.Option("--force", help="Replace the file if it exists.")] = False,
    as_json: AsJson = False,
    data_root: DataRoot = None,
    config: ConfigFile = None,
    env_file: EnvFile = None,
) -> None:
    """Write ticks to a file for other programs: CSV, Parquet, or rows as the official SDK has them.

    All symbols if none is named. Nothing is filtered. The file appears when it is complete.
    """
    from hk_tick_collector.read.data_root import DataRoot as Data  # noqa: PLC0415 - only for this command
    from hk_tick_collector.read.export import export  # noqa: PLC0415 - needs pyarrow

    kind = _format_of(out, form)
    data = Data(data_root_of(data_root, config, env_file))
    begin, end = day_range(one_day(written, day), since, until)
    if not begin and not end:
        begin = end = _newest(data)
    symbols = symbols_of(symbol or ())
    ticks = data.ticks(symbols or None, (begin or None, end or None))
    rows = _rows(data.path, ticks)
    total = sum(rows.values())
    progress = Progress()
    batches = _by_symbol(data, ticks, rows) if kind == "futu" else ticks.batches()
    done = export(batches, out, kind, replaces=force, progress=lambda count: progress.tell("ticks", count, total))
    if done is None:
        raise NoDataError(f"no ticks of {', '.join(symbols) or 'any symbol'} on {_those(ticks)}: nothing was written")
    if as_json:
        typer.echo(json.dumps(_as_dict(out, kind, ticks, done), indent=2))
        return
    typer.echo(
        f"wrote {out}: {counted(done.ticks, 'tick')} of {counted(done.symbols, 'symbol')} on {_those(ticks)}, "
        f"{size(done.size_bytes)}"
    )


def _format_of(out: Path, form: str | None) -> str:
    """The format to write.

    Raises:
        ConfigError: neither the option nor the file's name says it, or the file is one of a recorder's.
    """
    from hk_tick_collector.read.export import SUFFIXES  # noqa: PLC0415 - as above

    refuse_recorder_file(out)
    if out.suffix == ".db":
        raise ConfigError(f"--out {out} has the name of a database, expected one such as ticks.csv")
    found = form or SUFFIXES.get(out.suffix.lower())
    if found is None:
        raise ConfigError(f"--out {out} does not say the format: give --format, or end it with .csv, .parquet or .zip")
    return found


def _newest(data: read.DataRoot) -> str:
    days = data.days()
    if not days:
        raise NoDataError(f"no day in {data.path.absolute()} to export")
    return f"{days[-1]:%Y%m%d}"


def _rows(root: Path, ticks: Ticks) -> dict[str, int]:
    """How many ticks there are of each symbol that has any."""
    from hk_tick_collector.read.sources import rows_on  # noqa: PLC0415 - only for this command

    found: dict[str, int] = {}
    for day in ticks.days:
        for symbol, rows in rows_on(root, day).items():
            if rows and (ticks.symbols is None or symbol in ticks.symbols):
                found[symbol] = found.get(symbol, 0) + rows
    return found


def _by_symbol(data: read.DataRoot, ticks: Ticks, rows: dict[str, int]) -> Iterator[Any]:
    """The ticks of one symbol after the other, each of all days."""
    for symbol in sorted(rows):
        yield from data.ticks(symbol, (ticks.days[0], ticks.days[-1])).batches()


def _those(ticks: Ticks) -> str:
    days = ticks.days
    return days[0] if len(days) == 1 else f"{counted(len(days), 'day')} ({days[0]} to {days[-1]})"


def _as_dict(out: Path, kind: str, ticks: Ticks, done: Exported) -> dict[str, Any]:
    return {
        "path": str(out.absolute()),
        "format": kind,
        "days": list(ticks.days),
        "symbols": done.symbols,
        "ticks": done.ticks,
        "first_time": hk_text(done.first_ms),
        "last_time": hk_text(done.last_ms),
        "bytes": done.size_bytes,
    }
