"""`gaps`: what is missing, or was missing until it came late, over all days."""

from __future__ import annotations

import json
from contextlib import closing
from typing import TYPE_CHECKING, Annotated

import typer

from hk_tick_collector.cli.listing import Listing
from hk_tick_collector.cli.options import AsJson, ConfigFile, DataRoot, EnvFile  # noqa: TC001 - typer reads them
from hk_tick_collector.cli.places import data_root_of, day_of
from hk_tick_collector.cli.progress import Progress
from hk_tick_collector.errors import ConfigError
from hk_tick_collector.hktime import hk_text
from hk_tick_collector.seal.catalog import Catalog
from hk_tick_collector.symbols import stock_code
from hk_tick_collector.text import counted

if TYPE_CHECKING:
    from hk_tick_collector.audit.day import Gap
    from hk_tick_collector.seal.catalog import DayGap

DAYS_SHOWN = 3  # the newest

_CLOCK = slice(11, 19)  # of a written time


def gaps_command(  # noqa: PLR0913 - each is an option
    *,
    day: Annotated[str | None, typer.Option(help="YYYYMMDD: only this day.")] = None,
    since: Annotated[str | None, typer.Option(help="YYYYMMDD: from this day on.")] = None,
    until: Annotated[str | None, typer.Option(help="YYYYMMDD: to this day.")] = None,
    symbol: Annotated[str | None, typer.Option(help="Only this one, such as HK.00700.")] = None,
    is_open: Annotated[bool, typer.Option("--open", help="Only those that are not filled.")] = False,
    as_json: AsJson = False,
    data_root: DataRoot = None,
    config: ConfigFile = None,
    env_file: EnvFile = None,
) -> None:
    """List the gaps of all days: which symbol, from when to when, why, how much, how it was found, and its state."""
    if day and (since or until):
        raise ConfigError("either one day, or --since and --until: not both")
    root = data_root_of(data_root, config, env_file)
    begin, end = (day_of(written) if written else "" for written in (day or since, day or until))
    with closing(Catalog(root, Progress().tell)) as catalog:
        found = catalog.gaps(begin, end, symbol=symbol and stock_code(symbol), is_open=is_open)
        unreadable = catalog.unreadable(begin, end)
    if as_json:
        told = [{"day": one.day, **one.gap._asdict()} for one in found]
        typer.echo(
            json.dumps({"data_root": str(root.absolute()), "gaps": told, "unreadable_days": unreadable}, indent=2)
        )
        return
    _show(found)
    if unreadable:
        shown = ", ".join(unreadable[-DAYS_SHOWN:])
        typer.secho(
            f"{counted(len(unreadable), 'day')} can't be read, and may have gaps, too: {shown}", fg="red", err=True
        )


def _show(found: list[DayGap]) -> None:
    if found:
        listing = Listing("day", "symbol", "session", "from (HK)", "to", "cause", ">missing", "evidence", "state")
        for day, gap in found:
            listing.add(
                day, gap.symbol, gap.session, _clock(gap.before_ts_ms, gap.since_ms),
                _clock(gap.after_ts_ms, gap.resumed_ms), gap.cause, _missing(gap), gap.evidence, _state(gap),
                state="red" if gap.state == "open" else "green",
            )  # fmt: skip
        listing.show()
    still_open = sum(one.gap.state == "open" for one in found)
    typer.echo(f"{counted(len(found), 'gap')}, {still_open:,} open")


def _clock(ts_ms: int | None, or_ms: int | None) -> str:
    """The time of the tick at that end; else when the stream broke off or resumed; `?`: not known."""
    known = or_ms if ts_ms is None else ts_ms
    return "?" if known is None else hk_text(known)[_CLOCK]


def _missing(gap: Gap) -> str:
    told = [] if gap.missing is None else [counted(gap.missing, "tick")]
    told += [] if gap.missing_volume is None else [counted(gap.missing_volume, "share")]
    return ", ".join(told) or "?"


def _state(gap: Gap) -> str:
    return f"filled by {gap.filled_by}" if gap.state == "filled" and gap.filled_by else gap.state
