"""`run`: record until told to stop."""

from __future__ import annotations

from typing import Annotated

import typer

from hk_tick_collector import logs
from hk_tick_collector.cli.options import ConfigFile, DataRoot, EnvFile  # noqa: TC001 - typer reads them
from hk_tick_collector.config import load_settings


def run_command(
    config: ConfigFile = None,
    env_file: EnvFile = None,
    symbols: Annotated[
        str | None, typer.Option(metavar="CODES", help="What to record, such as 700,9988; overrides FUTU_SYMBOLS.")
    ] = None,
    data_root: DataRoot = None,
) -> None:
    """Record every tick of FUTU_SYMBOLS into DATA_ROOT, until Ctrl-C or SIGTERM."""
    given = {"FUTU_SYMBOLS": symbols, "DATA_ROOT": data_root}
    overrides = {name: value for name, value in given.items() if value is not None}
    loaded = load_settings(config_path=config, env_file=env_file, overrides=overrides)
    from hk_tick_collector.watch import stacks  # noqa: PLC0415 - the help is shown on every system

    stacks.hold_signal()
    logs.configure(loaded.settings.log_level, is_threaded=True)
    from hk_tick_collector import main  # noqa: PLC0415 - after the settings are known to be good

    raise typer.Exit(main.run(loaded.settings))
