"""`gaps`: what is missing, or was missing until it came late, over all days."""

from __future__ import annotations

import json
from contextlib import closing
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hk_tick_collector.audit.wording import bounds_of
from hk_tick_collector.cli.dates import day_range, one_day
from hk_tick_collector.cli.gap_outages import Loss, losses
from hk_tick_collector.cli.listing import Listing
from hk_tick_collector.cli.options import (  # noqa: TC001 - typer reads them
    AnyDay,
    AsJson,
    ConfigFile,
    DataRoot,
    DayOption,
    EnvFile,
    FromDay,
    Symbols,
    ToDay,
)
from hk_tick_collector.cli.places import data_root_of
from hk_tick_collector.cli.progress import Progress
from hk_tick_collector.errors import ConfigError
from hk_tick_collector.hktime import hk_text
from hk_tick_collector.seal.catalog import Catalog
from hk_tick_collector.symbols import symbols_of
from hk_tick_collector.text import counted, span

if TYPE_CHECKING:
    from hk_tick_collector.audit.day import Gap
    from hk_tick_collector.seal.catalog import DayGap

DAYS_SHOWN = 3  # the newest

_CLOCK = slice(11, 19)  # of a written time


def gaps_command(  # noqa: PLR0913 - each is an option
    written: AnyDay = None,
    *,
    day: DayOption = None,
    since: FromDay = None,
    until: ToDay = None,
    symbol: Symbols = None,
    is_open: Annotated[bool, typer.Option("--open", help="Only what is still missing.")] = False,
    each: Annotated[bool, typer.Option("--all", help="Show each gap; --symbol does, too.")] = False,
    as_json: AsJson = False,
    data_root: DataRoot = None,
    config: ConfigFile = None,
    env_file: EnvFile = None,
) -> None:
    """List what was lost, outage by outage, and what of it came late.

    Exits with 1 if a day can't be read, or was recorded without a ledger: it may have gaps, too.
    """
    root = data_root_of(data_root, config, env_file)
    begin, end = day_range(one_day(written, day), since, until)
    symbols = symbols_of(symbol or ())
    with closing(Catalog(root, Progress().tell)) as catalog:
        found = catalog.gaps(begin, end, symbol=symbols[0] if len(symbols) == 1 else None, is_open=is_open)
        unreadable = catalog.unreadable(begin, end)
        is_any = bool(catalog.days(begin, end))
    if not is_any and (begin or end):
        raise ConfigError(f"no day in {root.absolute()} to list")
    if symbols:
        found = [one for one in found if one.gap.symbol in symbols]
    if as_json:
        typer.echo(json.dumps(_as_dict(str(root.absolute()), found, unreadable), indent=2))
    else:
        _show(found, is_each=each or bool(symbols))
        if unreadable:
            shown = ", ".join(unreadable[-DAYS_SHOWN:])
            more = f", the newest {shown}" if len(unreadable) > DAYS_SHOWN else f": {shown}"
            typer.secho(
                f"{counted(len(unreadable), 'day')} can't be read, and may have gaps, too{more}; "
                "`hk-tick-collector days` says why",
                fg="red",
                err=True,
            )
    if unreadable:
        raise typer.Exit(1)


def _as_dict(root: str, found: list[DayGap], unreadable: list[str]) -> dict[str, Any]:
    return {
        "data_root": root,
        "gaps": [{"day": one.day, **one.gap._asdict()} for one in found],
        "outages": [loss.as_dict() for loss in losses(found)],
        "unreadable_days": unreadable,
    }


def _show(found: list[DayGap], *, is_each: bool) -> None:
    still_open = sum(one.gap.state == "open" for one in found)
    total = f"{counted(len(found), 'gap')}, {still_open:,} open"
    if not found:
        typer.echo(total)
    elif is_each:
        _show_gaps(found)
        typer.echo(total)
    else:
        outages = losses(found)
        _show_outages(outages)
        typer.echo(f"{counted(len(outages), 'outage')} with {total}; --all shows each gap")


def _show_outages(outages: list[Loss]) -> None:
    listing = Listing("day", "from (HK)", ">long", "cause", ">symbols", ">still lost", ">recovered")
    for loss in outages:
        long_sec = loss.long_sec
        listing.add(
            loss.day, _clock(loss.begin_ms), "?" if long_sec is None else span(long_sec), loss.cause, loss.symbols,
            loss.lost_text(), loss.recovered_text(), still_lost="red" if loss.open else "green",
        )  # fmt: skip
    listing.show("long")


def _show_gaps(found: list[DayGap]) -> None:
    listing = Listing("day", "symbol", "session", "from (HK)", "to", "cause", ">missing", "evidence", "state")
    for day, gap in found:
        begin_ms, end_ms = bounds_of(gap)
        listing.add(
            day, gap.symbol, gap.session, _clock(begin_ms), _clock(end_ms), gap.cause, _missing(gap), gap.evidence,
            _state(gap), state="red" if gap.state == "open" else "green",
        )  # fmt: skip
    listing.show("session", "evidence", "day")


def _clock(ms: int | None) -> str:
    """The time of the tick at that end; else when the stream broke off or resumed; `?`: not known."""
    return "?" if ms is None else hk_text(ms)[_CLOCK]


def _missing(gap: Gap) -> str:
    told = [] if gap.missing is None else [counted(gap.missing, "tick")]
    told += [] if gap.missing_volume is None else [counted(gap.missing_volume, "share")]
    return ", ".join(told) or "?"


def _state(gap: Gap) -> str:
    return f"filled by {gap.filled_by}" if gap.state == "filled" and gap.filled_by else gap.state
