"""`run`: record until told to stop."""

from __future__ import annotations

from pathlib import Path  # noqa: TC003 - typer reads it
from typing import TYPE_CHECKING, Annotated

import typer

from hk_tick_collector import logs
from hk_tick_collector.cli.options import ConfigFile, DataRoot, EnvFile  # noqa: TC001 - typer reads them
from hk_tick_collector.config import load_settings
from hk_tick_collector.store.rehearsal import Rehearsed

if TYPE_CHECKING:
    from collections.abc import Mapping

TOTALS_EVERY_SEC = 60.0  # on a day that is not simulated

log = logs.get_logger()


def run_command(
    config: ConfigFile = None,
    env_file: EnvFile = None,
    symbols: Annotated[
        str | None, typer.Option(metavar="CODES", help="What to record, such as 700,9988; overrides FUTU_SYMBOLS.")
    ] = None,
    data_root: DataRoot = None,
    rehearse: Annotated[
        Path | None,
        typer.Option(metavar="CLOCK", help="Record a day of `simulate`, by its clock; CLOCK is the file it names."),
    ] = None,
) -> None:
    """Record every tick of FUTU_SYMBOLS into DATA_ROOT, until Ctrl-C or SIGTERM."""
    given = {"FUTU_SYMBOLS": symbols, "DATA_ROOT": data_root}
    overrides = {name: value for name, value in given.items() if value is not None}
    if rehearse is not None:
        origins = load_settings(config_path=config, env_file=env_file, overrides=overrides).origins
        overrides |= _of_rehearsal(Rehearsed.read(rehearse), origins)
    loaded = load_settings(config_path=config, env_file=env_file, overrides=overrides)
    from hk_tick_collector.watch import stacks  # noqa: PLC0415 - the help is shown on every system

    stacks.hold_signal()
    logs.configure(loaded.settings.log_level, is_threaded=True)
    for name, became in loaded.of_older.items():
        log.warning("setting_of_older_recorder", name=name, became=became, expected="none: see migrate --env")
    from hk_tick_collector import main  # noqa: PLC0415 - after the settings are known to be good

    raise typer.Exit(main.run(loaded.settings, rehearse))


def _of_rehearsal(day: Rehearsed, origins: Mapping[str, str]) -> dict[str, str]:
    """The settings of a rehearsal: its simulator, whatever OpenD is set; its symbols, unless some are set.

    The exchange's totals are asked for about once a simulated minute: after the close, little real time is left.
    """
    settings = {"FUTU_HOST": day.host, "FUTU_PORT": str(day.port)}
    if origins["FUTU_SYMBOLS"] == "default":
        settings["FUTU_SYMBOLS"] = ",".join(day.symbols)
    if origins["FUTU_TOTALS_INTERVAL_SEC"] == "default":
        settings["FUTU_TOTALS_INTERVAL_SEC"] = f"{max(1.0, TOTALS_EVERY_SEC / max(1.0, day.speed)):g}"
    return settings
