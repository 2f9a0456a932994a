"""`sql`: look into a day with SQL."""

from __future__ import annotations

import io
import sys
from typing import TYPE_CHECKING, Annotated, Any, TextIO, cast

import typer

from hk_tick_collector.cli.options import ConfigFile, DataRoot, EnvFile  # noqa: TC001 - typer reads them
from hk_tick_collector.cli.places import settings_of
from hk_tick_collector.errors import ConfigError
from hk_tick_collector.store.opening import open_readonly
from hk_tick_collector.store.stored import find_day
from hk_tick_collector.text import PlainTerminal

if TYPE_CHECKING:
    from collections.abc import Iterator


def sql_command(
    day: Annotated[str | None, typer.Argument(help="YYYYMMDD; the newest day with a tick if not given.")] = None,
    sql: Annotated[list[str] | None, typer.Option("--execute", "-e", help="Run this and end; can be repeated.")] = None,
    data_root: DataRoot = None,
    config: ConfigFile = None,
    env_file: EnvFile = None,
) -> None:
    """Open a read-only SQLite shell on a day's database; safe while it is being recorded."""
    path = find_day(settings_of(data_root, config, env_file).data_root, day)
    import apsw.shell  # noqa: PLC0415 - only this command needs it

    is_person = not sql and sys.stdin.isatty()
    # apsw's shell has no types. It reports an error to a person and goes on, but not to a script: we report it, once.
    # A terminal gets a database's text without control characters; a file or a pipe gets it unchanged.
    is_terminal = sys.stdout.isatty()
    shell: Any = apsw.shell.Shell(
        stdout=cast("TextIO", PlainTerminal(sys.stdout)) if is_terminal else None,
        stderr=None if is_person else io.StringIO(),
        db=open_readonly(path),
    )
    if is_terminal:
        shell.command_colour(["off"])  # its own colours are escape sequences too
    if is_person:
        shell.write_error(f"{path}, read-only. Tables: ticks, tick_revisions, symbol_stats … (.tables .schema .exit)\n")
        shell.cmdloop()
        return
    for statement in sql or _statements(sys.stdin.read()):
        try:
            shell.process_complete_line(statement)
        except (apsw.Error, apsw.shell.Shell.Error) as exc:
            raise ConfigError(f"{exc} in: {statement}") from exc


def _statements(script: str) -> Iterator[str]:
    """A script's statements and dot commands, one at a time."""
    import apsw  # noqa: PLC0415

    held = ""
    for line in script.splitlines():
        held = f"{held}\n{line}" if held else line
        if held.startswith(".") or apsw.complete(held):
            yield held
            held = ""
    if held.strip():
        yield held
