"""`archive`: make sealed days small Parquet files that prove themselves, and databases again."""

from __future__ import annotations

import json
import sys
from typing import Annotated, Any

import typer

from hk_tick_collector.archive.days import archive_days, restore_days
from hk_tick_collector.archive.due import Due, days_to_restore, due_days, keeps_database
from hk_tick_collector.cli.dates import one_day
from hk_tick_collector.cli.listing import Listing
from hk_tick_collector.cli.options import AsJson, ConfigFile, DataRoot, DayOption, EnvFile, OneDay  # noqa: TC001 - typer reads them
from hk_tick_collector.cli.places import data_root_of
from hk_tick_collector.cli.progress import Progress
from hk_tick_collector.config import load_settings
from hk_tick_collector.errors import ConfigError
from hk_tick_collector.hktime import hk_day
from hk_tick_collector.parquet.extra import require
from hk_tick_collector.seal.due import now_ms

_KeepDays = Annotated[
    int | None,
    typer.Option(
        "--keep-days",
        min=0,
        max=36500,
        metavar="N",
        help="Delete the database of a day that is older than this; 0: at once. Overrides ARCHIVE_KEEP_DAYS.",
    ),
]


def archive_command(  # noqa: PLR0913 - each is an option
    written: OneDay = None,
    *,
    day: DayOption = None,
    due: Annotated[bool, typer.Option("--due", help="Archive all sealed days that are not, as in the night.")] = False,
    restore: Annotated[
        bool, typer.Option("--restore", help="Make the database of an archived DAY again, to be written to.")
    ] = False,
    keep_days: _KeepDays = None,
    as_json: AsJson = False,
    data_root: DataRoot = None,
    config: ConfigFile = None,
    env_file: EnvFile = None,
) -> None:
    """Turn a sealed day into Parquet files an eighth of its size, prove them, and then delete its database.

    The files are read back, with DuckDB or polars where one is installed, and held against the day's certificate. The
    database stays for ARCHIVE_KEEP_DAYS after the day, and whatever is not proven stays.
    """
    root = data_root_of(data_root, config, env_file)
    wanted = one_day(written, day)
    if (wanted is None) != due or (restore and due):
        raise ConfigError("expected either a DAY, such as yesterday, or --due; --restore goes with a DAY")
    require("pyarrow.parquet")
    progress = Progress()
    results: list[dict[str, Any]] = []
    if restore and wanted is not None:
        results += restore_days(root, [wanted], progress.tell)
    else:
        settings = load_settings(config_path=config, env_file=env_file).settings
        keep = settings.archive_keep_days if keep_days is None else keep_days
        today = hk_day(now_ms(root))
        if wanted is None:
            results += restore_days(root, days_to_restore(root), progress.tell)
            listed = due_days(root, today, keep)
        else:
            listed = [Due(wanted, keeps_database(wanted, today, keep))]
        results += archive_days(root, listed, progress.tell)
    if as_json:
        typer.echo(json.dumps({"days": results}, indent=2))
    else:
        _show(results)
    if any("error" in one for one in results):
        raise typer.Exit(1)


def _show(results: list[dict[str, Any]]) -> None:
    listing = Listing("day", ">ticks", ">MB", ">bytes/tick", ">database MB", "database", "read back by", ">s")
    is_any = False
    for told in results:
        if "error" in told:
            sys.stderr.write(f"{told['day']}: {told['error']}\n")
        elif "superseded" in told:
            number = told["superseded"]
            note = f"; its certificate is {told['day']}.certificate.{number}.json" if number else ""
            typer.echo(f"{told['day']} is a database again, and can be written to{note}")
        else:
            is_any = True
            if told["damage"]:
                sys.stderr.write(f"{told['day']}: the archive was damaged, and was made again: {told['damage']}\n")
            ticks, size = told["ticks"], told["size_bytes"]
            listing.add(
                told["day"], ticks, f"{size / 1e6:.1f}", f"{size / ticks:.1f}" if ticks else "",
                f"{told['database_bytes'] / 1e6:.1f}", "deleted" if told["is_removed"] else "kept",
                told["decoder"] if told["is_new"] or told["is_removed"] else "(archived before)", f"{told['sec']:.1f}",
            )  # fmt: skip
    if is_any:
        listing.show("s", "bytes/tick")
    elif not results:
        typer.echo("nothing to archive: no sealed day is without an archive, or older than its database is kept")
