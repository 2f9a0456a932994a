"""`sql`: look into a day with SQL."""

from __future__ import annotations

import sys
from pathlib import Path  # noqa: TC003 - typer reads it
from typing import Annotated, Any

import typer

from hk_tick_collector.config import load_settings
from hk_tick_collector.errors import ConfigError
from hk_tick_collector.schema import day_files


def sql_command(
    day: Annotated[str | None, typer.Argument(help="YYYYMMDD; the newest day if not given.")] = None,
    sql: Annotated[list[str] | None, typer.Option("--execute", "-e", help="Run this and end; can be repeated.")] = None,
    data_root: Annotated[str | None, typer.Option(help="Overrides DATA_ROOT.")] = None,
    config: Annotated[Path | None, typer.Option(help="TOML file with settings.")] = None,
    env_file: Annotated[Path | None, typer.Option(help="File with NAME=value lines, instead of .env.")] = None,
) -> None:
    """Open a read-only SQLite shell on a day's database; safe while it is being recorded."""
    overrides = {"DATA_ROOT": data_root} if data_root else {}
    root = load_settings(config_path=config, env_file=env_file, overrides=overrides).settings.data_root
    path = find_day(root, day)
    import apsw.shell  # noqa: PLC0415 - only this command needs it

    from hk_tick_collector.db import open_readonly  # noqa: PLC0415

    # apsw's shell has no types.
    shell: Any = apsw.shell.Shell(db=open_readonly(path))
    for statement in sql or ():
        try:
            shell.process_complete_line(statement)
        except apsw.Error as exc:
            raise ConfigError(f"{exc} in: {statement}") from exc
    if sql:
        return
    if sys.stdin.isatty():
        shell.write_error(f"{path}, read-only. Tables: ticks, tick_revisions, symbol_stats … (.tables .schema .exit)\n")
    shell.cmdloop()


def find_day(root: Path, day: str | None) -> Path:
    """The database of a day, or the newest.

    Raises:
        ConfigError: there is none; the line names those that there are.
    """
    files = day_files(root)
    if not files:
        raise ConfigError(f"no day database in {root.absolute()}: set DATA_ROOT, or record something first")
    if day is None:
        return files[-1]
    for path in files:
        if path.stem == day.replace("-", ""):
            return path
    raise ConfigError(f"no database of {day} in {root.absolute()}: there are {files[0].stem} to {files[-1].stem}")
