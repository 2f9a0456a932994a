"""`verify --sealed`: whether sealed days are unchanged since they were sealed."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING

import typer

from hk_tick_collector.cli.dates import ALL
from hk_tick_collector.cli.listing import VERDICT_COLOURS, Listing
from hk_tick_collector.cli.progress import Progress
from hk_tick_collector.errors import ConfigError
from hk_tick_collector.seal.recheck import recheck, sealed_days
from hk_tick_collector.status.trouble_table import cure
from hk_tick_collector.status.troubles import Trouble
from hk_tick_collector.text import counted

if TYPE_CHECKING:
    from pathlib import Path

    from hk_tick_collector.seal.recheck import Checked


def verify_sealed(root: Path, day: str | None, *, as_json: bool) -> None:
    """Check a day, or all that are sealed (None or "all"); typer.Exit with 1 if anything differs.

    Raises:
        ConfigError: there is nothing to check.
    """
    days = sealed_days(root) if day in {None, ALL} else [str(day)]
    if not days:
        raise ConfigError(f"no day in {root.absolute()} is sealed")
    if day not in {None, ALL} and not any(root.glob(f"{days[0]}.*")):
        raise ConfigError(f"nothing of {days[0]} in {root.absolute()}")
    progress = Progress()
    found = [recheck(root, one, progress.tell) for one in days]
    if as_json:
        told = [{**one._asdict(), "ok": not one.differences} for one in found]
        typer.echo(json.dumps({"data_root": str(root.absolute()), "days": told}, indent=2))
    else:
        _show(found)
    if any(one.differences for one in found):
        raise typer.Exit(1)


def _show(found: list[Checked]) -> None:
    listing = Listing("day", "as sealed", "verdict", ">bytes")
    for one in found:
        listing.add(
            one.day, "DIFFERS" if one.differences else "ok", one.verdict, one.size_bytes,
            as_sealed="red" if one.differences else "green", verdict=VERDICT_COLOURS.get(one.verdict or "", ""),
        )  # fmt: skip
    listing.show()
    for one in found:
        for difference in one.differences:
            sys.stdout.write(f"{one.day}: {difference}\n")
    bad = sum(bool(one.differences) for one in found)
    advice = f"{bad:,} NOT as sealed. {cure(Trouble.NOT_AS_SEALED)}"
    typer.echo(f"{counted(len(found), 'sealed day')}, " + (advice if bad else "all as they were"))
