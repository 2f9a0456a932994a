"""`seal`: seal a day that is over, or open a sealed one again."""

from __future__ import annotations

import json
import sys
from pathlib import Path  # noqa: TC003 - typer reads it
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hk_tick_collector.cli.dates import one_day
from hk_tick_collector.cli.listing import VERDICT_COLOURS, Listing
from hk_tick_collector.cli.options import AsJson, ConfigFile, DataRoot, DayOption, EnvFile, OneDay  # noqa: TC001 - typer reads them
from hk_tick_collector.cli.places import data_root_of
from hk_tick_collector.cli.progress import Progress
from hk_tick_collector.errors import ConfigError
from hk_tick_collector.hktime import hk_day, hk_text
from hk_tick_collector.parquet.opening import no_database
from hk_tick_collector.seal.day import seal_days, sealing
from hk_tick_collector.seal.due import due_days, next_day_ms, now_ms
from hk_tick_collector.store.sealed import day_open_lock, reopen

if TYPE_CHECKING:
    from collections.abc import Iterable


def seal_command(  # noqa: PLR0913 - each is an option
    written: OneDay = None,
    *,
    day: DayOption = None,
    due: Annotated[
        bool, typer.Option("--due", help="Seal all of the newest 30 days that are over and not sealed.")
    ] = False,
    take_off: Annotated[
        bool, typer.Option("--reopen", help="Take the seal off DAY; its certificate is kept, as superseded.")
    ] = False,
    as_json: AsJson = False,
    data_root: DataRoot = None,
    config: ConfigFile = None,
    env_file: EnvFile = None,
) -> None:
    """Certify a day that is over, whatever its verdict, and make its file read-only."""
    root = data_root_of(data_root, config, env_file)
    wanted = one_day(written, day)
    if (wanted is None) != due or (take_off and due):
        raise ConfigError("expected either a DAY, such as yesterday, or --due; --reopen goes with a DAY")
    if wanted is None:
        days = due_days(root, hk_day(now_ms(root)), 0)
    else:
        days = [wanted]
        if not (root / f"{days[0]}.db").is_file():
            raise no_database(root, wanted)
    if take_off:
        _reopen(root, days[0], as_json=as_json)
        return
    for one in days:
        if now_ms(root) < next_day_ms(one):
            raise ConfigError(f"{one} is not over yet; it can be sealed after {hk_text(next_day_ms(one))[:16]}")
    progress = Progress()
    told = seal_days(root, days, progress.tell)
    failed = _as_json(told) if as_json else _show(told)
    if failed:
        raise typer.Exit(1)


def _reopen(root: Path, day: str, *, as_json: bool) -> None:
    with sealing(root), day_open_lock(root):
        number = reopen(root / f"{day}.db")
    if as_json:
        typer.echo(json.dumps({"day": day, "was_sealed": number is not None, "superseded": number}))
    elif number is None:
        typer.echo(f"{day} was not sealed")
    else:
        typer.echo(f"{day} can be written to; its certificate is {day}.certificate.{number}.json")


def _as_json(days: Iterable[dict[str, Any]]) -> bool:
    told = list(days)
    typer.echo(json.dumps({"days": told}, indent=2))
    return any("error" in one for one in told)


def _show(days: Iterable[dict[str, Any]]) -> bool:
    listing = Listing("day", "verdict", ">complete", ">incomplete", ">unprovable", ">ticks", ">s", "")
    failed = is_any = False
    for told in days:
        if "error" in told:
            failed = True
            sys.stderr.write(f"{told['day']}: {told['error']}\n")
            continue
        is_any = True
        listing.add(
            told["day"], told["verdict"], told["complete"], told["incomplete"], told["unprovable"], told["rows"],
            f"{told['sec']:.1f}", "sealed" if told["is_new"] else "was sealed already, and is unchanged",
            verdict=VERDICT_COLOURS[told["verdict"]],
        )  # fmt: skip
    if is_any:
        listing.show()
    elif not failed:
        typer.echo("nothing to seal")
    return failed
