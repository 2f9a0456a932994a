"""`run`: record until told to stop."""

from __future__ import annotations

from typing import Annotated

import typer

from hk_tick_collector import logs
from hk_tick_collector.cli.options import ConfigFile, EnvFile  # noqa: TC001 - typer reads them
from hk_tick_collector.config import load_settings
from hk_tick_collector.watch import stacks

log = logs.get_logger()


def run_command(
    config: ConfigFile = None,
    env_file: EnvFile = None,
    symbols: Annotated[str | None, typer.Option(help="What to record; overrides FUTU_SYMBOLS.")] = None,
    data_root: Annotated[str | None, typer.Option(help="Output directory; overrides DATA_ROOT.")] = None,
) -> None:
    """Record every tick of FUTU_SYMBOLS into DATA_ROOT, until SIGTERM or Ctrl-C."""
    given = {"FUTU_SYMBOLS": symbols, "DATA_ROOT": data_root}
    overrides = {name: value for name, value in given.items() if value is not None}
    loaded = load_settings(config_path=config, env_file=env_file, overrides=overrides)
    stacks.hold_signal()
    logs.configure(loaded.settings.log_level, is_threaded=True)
    for name, became in loaded.of_older.items():
        log.warning("setting_of_older_recorder", name=name, became=became, expected="none: see migrate --env")
    from hk_tick_collector import main  # noqa: PLC0415 - after the settings are known to be good

    raise typer.Exit(main.run(loaded.settings))
