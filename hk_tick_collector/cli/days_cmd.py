"""`days`: all days that were recorded, and how complete each is."""

from __future__ import annotations

import json
from contextlib import closing
from pathlib import Path  # noqa: TC003 - typer reads it
from typing import TYPE_CHECKING, Annotated, Final

import typer

from hk_tick_collector.cli.listing import VERDICT_COLOURS, Listing
from hk_tick_collector.cli.options import AsJson, ConfigFile, DataRoot, EnvFile  # noqa: TC001 - typer reads them
from hk_tick_collector.cli.places import data_root_of, day_of
from hk_tick_collector.cli.progress import Progress
from hk_tick_collector.errors import ConfigError, DatabaseError
from hk_tick_collector.hktime import hk_day, hk_text
from hk_tick_collector.journal.cursor import load_waits, waits_for
from hk_tick_collector.journal.segments import DIRECTORY
from hk_tick_collector.seal.catalog import Catalog
from hk_tick_collector.seal.due import now_ms
from hk_tick_collector.store.other_disks import is_there
from hk_tick_collector.store.sealed import is_sealed
from hk_tick_collector.store.stored import future_days

if TYPE_CHECKING:
    from collections.abc import Callable

    from hk_tick_collector.seal.catalog import DayRow

_MINUTES: Final = 16  # `2026-11-20 16:30` of a time


def days_command(
    *,
    since: Annotated[str | None, typer.Option(help="YYYYMMDD: from this day on.")] = None,
    until: Annotated[str | None, typer.Option(help="YYYYMMDD: to this day.")] = None,
    as_json: AsJson = False,
    data_root: DataRoot = None,
    config: ConfigFile = None,
    env_file: EnvFile = None,
) -> None:
    """List all days: verdict, symbols by verdict, ticks, gaps, what is missing, and when it was sealed."""
    root = data_root_of(data_root, config, env_file)
    with closing(Catalog(root, Progress().tell)) as catalog:
        rows = catalog.days(day_of(since) if since else "", day_of(until) if until else "")
    state_of = _states(root)
    if as_json:
        told = [
            {"state": state_of(row), **{name: value for name, value in row._asdict().items() if name != "files"}}
            for row in rows
        ]
        typer.echo(json.dumps({"data_root": str(root.absolute()), "days": told}, indent=2))
        return
    if not rows:
        raise ConfigError(f"no day in {root.absolute()} to list")
    _show(rows, state_of)


def _states(root: Path) -> Callable[[DayRow], str]:
    """The current state of each day.

    It is `live` (today's), `waiting` (its database can't be written), `over`, `sealed`, `away` (sealed, and its
    database is kept elsewhere), or `future` (its date is still to come: ticks with a wrong date created it).
    """
    waits, today, future = load_waits(root / DIRECTORY), hk_day(now_ms(root)), set(future_days(root))

    def state(row: DayRow) -> str:
        database = root / f"{row.day}.db"
        if row.day in waits:
            return "waiting"
        if is_sealed(database):
            return "sealed" if _is_here(database) else "away"
        if waits_for(waits, row.day):
            return "waiting"
        if row.day in future:
            return "future"
        return "live" if row.day >= today else "over"

    return state


def _is_here(database: Path) -> bool:
    try:
        return is_there(database)
    except DatabaseError:
        return False


def _show(rows: list[DayRow], state_of: Callable[[DayRow], str]) -> None:
    listing = Listing(
        "day", "verdict", ">complete", ">incomplete", ">unprovable", ">symbols", ">ticks", ">gaps open", ">filled",
        ">missing", "sealed (HK)",
    )  # fmt: skip
    for row in rows:
        state = state_of(row)
        sealed = hk_text(row.sealed_ms)[:_MINUTES] if row.sealed_ms is not None else row.fault or ""
        sealed = f"{sealed} away" if state == "away" else sealed
        sealed = f"{sealed} imported".lstrip() if row.imported else sealed
        verdict = row.verdict or ("FAULT" if row.fault else state)
        listing.add(
            row.day, verdict, row.complete, row.incomplete, row.unprovable, row.symbols, row.rows, row.gaps_open,
            row.gaps_filled, row.missing, sealed,
            verdict=VERDICT_COLOURS.get(verdict, "red" if row.fault else "dim"),
            gaps_open="red" if row.gaps_open else "",
        )  # fmt: skip
    listing.show()
