"""`import`: archived days, exported Parquet files and zips of Futu CSVs become day databases again."""

from __future__ import annotations

import json
import sys
from collections import Counter
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from hk_tick_collector.cli.listing import Listing
from hk_tick_collector.cli.options import AsJson, ConfigFile, DataRoot, EnvFile  # noqa: TC001 - typer reads them
from hk_tick_collector.cli.progress import Progress
from hk_tick_collector.config import load_settings
from hk_tick_collector.migrate.found import find
from hk_tick_collector.migrate.importing import FAILED, IMPORTED, LEFT, PROVEN, THERE, DayImport, import_days
from hk_tick_collector.store import rehearsal
from hk_tick_collector.store.schema import require_sqlite
from hk_tick_collector.text import counted

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hk_tick_collector.migrate.tick_source import Progress as Tell

_COLOURS: Final = {PROVEN: "green", IMPORTED: "yellow", THERE: "dim", LEFT: "yellow", FAILED: "red"}
_SOURCE_MAX: Final = 40  # characters of a source in the table


def import_command(
    paths: Annotated[
        list[Path],
        typer.Argument(
            metavar="PATH...",
            help="An archive folder, or a day's folder in it; a ticks.parquet; what export --format futu or parquet "
            "wrote.",
        ),
    ],
    *,
    as_json: AsJson = False,
    data_root: DataRoot = None,
    config: ConfigFile = None,
    env_file: EnvFile = None,
) -> None:
    """Make day databases of archived days, exported Parquet files and zips of Futu CSVs; these are only read.

    A day in DATA_ROOT is never changed. After an interruption, run it again: it goes on with the next day.
    """
    require_sqlite()
    overrides = {"DATA_ROOT": data_root} if data_root else {}
    settings = load_settings(config_path=config, env_file=env_file, overrides=overrides).settings
    root = settings.data_root.absolute()
    rehearsal.refuse(root)
    days: list[DayImport] = []
    try:
        with _told() as tell:
            found = find(paths, tell)
            for day in import_days(found, root, tell, settings.prepare_data_root):
                days.append(day)  # noqa: PERF402 - those before an interruption are told
    except KeyboardInterrupt:
        done = sum(day.what in {PROVEN, IMPORTED} for day in days)
        sys.stderr.write(f"interrupted: {counted(done, 'day')} made, nothing half made; run it again to go on\n")
        raise
    code = int(any(day.what == FAILED for day in days))
    if as_json:
        told = {"data_root": str(root), "days": [day.as_dict() for day in days], "exit_code": code}
        typer.echo(json.dumps(told, indent=2))
    else:
        _show(root, days)
    raise typer.Exit(code)


@contextmanager
def _told() -> Iterator[Tell]:
    """How the progress is told: as a bar on a terminal, otherwise as a line now and then."""
    if not sys.stderr.isatty():
        yield Progress().tell
        return
    from rich.console import Console  # noqa: PLC0415 - only on a terminal
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn  # noqa: PLC0415 - as above
    from rich.progress import Progress as Bars  # noqa: PLC0415 - as above
    from rich.table import Column  # noqa: PLC0415 - as above

    what = TextColumn("{task.description}", markup=False, table_column=Column(no_wrap=True, overflow="ellipsis"))
    columns = (what, BarColumn(bar_width=20), MofNCompleteColumn(), TimeElapsedColumn())
    with Bars(*columns, console=Console(stderr=True), transient=True) as bars:
        task = bars.add_task("", total=None)
        yield lambda what, done, total: bars.update(task, description=what, completed=done, total=total)


def _show(root: Path, days: list[DayImport]) -> None:
    listing = Listing("day", "source", ">ticks", "what")
    for day in days:
        listing.add(day.day, _sources(day), day.ticks or None, day.what, what=_COLOURS[day.what])
    listing.show("source")
    for (what, note), named in _notes(days).items():
        typer.echo(f"{', '.join(named)}: {what}: {note}")
    for day in days:
        if day.error:
            sys.stderr.write(f"{day.day}: {day.error}\n")
    of = Counter(day.what for day in days)
    ticks = sum(day.ticks for day in days if day.what in {PROVEN, IMPORTED})
    typer.echo(f"{counted(ticks, 'tick')} of {counted(of[PROVEN] + of[IMPORTED], 'day')} imported into {root}")
    if of[IMPORTED]:
        typer.echo("A day that is only imported is UNPROVABLE: its files don't show whether it is whole.")
    if of[PROVEN]:
        typer.echo("A proven day has its ledger and each tick of its certificate. Seal it again: seal --due.")


def _notes(days: list[DayImport]) -> dict[tuple[str, str], list[str]]:
    """Days by what became of them and the note about it: the same note of many days is one line."""
    found: dict[tuple[str, str], list[str]] = {}
    for day in days:
        if day.note:
            found.setdefault((day.what, day.note), []).append(day.day)
    return found


def _sources(day: DayImport) -> str:
    """Where it came from, cut at its beginning."""
    first, *others = [Path(source) for source in day.sources]
    name = str(first)
    short = name if len(name) <= _SOURCE_MAX else f"…{name[-_SOURCE_MAX + 1 :]}"
    return f"{short} and {len(others)} more" if others else short
