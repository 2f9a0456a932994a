"""`sql`: look into a day with SQL."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from hk_tick_collector.cli.dates import one_day
from hk_tick_collector.cli.options import ConfigFile, DataRoot, DayOption, EnvFile, NewestDay  # noqa: TC001 - typer reads them
from hk_tick_collector.cli.places import data_root_of
from hk_tick_collector.errors import CollectorError, ConfigError
from hk_tick_collector.parquet.opening import find_day, has_only_archive, open_day

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from hk_tick_collector.cli.sql_shell import DayShell


def sql_command(
    written: NewestDay = None,
    *,
    day: DayOption = None,
    sql: Annotated[
        list[str] | None,
        typer.Option(
            "--execute",
            "-e",
            metavar="SQL",
            help="Run this statement or dot command, then exit; can be repeated.",
        ),
    ] = None,
    data_root: DataRoot = None,
    config: ConfigFile = None,
    env_file: EnvFile = None,
) -> None:
    """Query a day with SQL, read-only, also while it is being recorded.

    Without -e it is a shell with the dot commands of SQLite's own, such as .tables, .mode csv and .output FILE; .help
    lists them. Statements may also come from a pipe. Exits with 1 if a statement fails.
    """
    root = data_root_of(data_root, config, env_file)
    path = find_day(root, one_day(written, day))
    con = open_day(path)
    from hk_tick_collector.cli.sql_shell import DayShell  # noqa: PLC0415 - only this command needs it

    is_person = not sql and sys.stdin.isatty()
    with DayShell(con, is_person=is_person) as shell:
        if is_person:
            kind = "archived" if has_only_archive(path) else "read-only"
            shell.write_error(f"{path}, {kind}. .tables lists the tables, .help the commands, .exit ends.\n")
            shell.cmdloop()
        else:
            _run(shell, [_text(one, "--execute") for one in sql or ()] or [_text(_piped(), "standard input")])


def _piped() -> str:
    try:
        return sys.stdin.read()
    except UnicodeDecodeError as exc:
        raise _no_utf8("standard input") from exc


def _text(script: str, where: str) -> str:
    """The script.

    Raises:
        ConfigError: it had bytes that are not UTF-8, which Python keeps as lone surrogates; SQLite refuses them.
    """
    try:
        script.encode()
    except UnicodeEncodeError as exc:
        raise _no_utf8(where) from exc
    return script


def _no_utf8(where: str) -> ConfigError:
    return ConfigError(f"{where} has bytes that are not UTF-8, expected SQL and dot commands in UTF-8")


def _run(shell: DayShell, scripts: Iterable[str]) -> None:
    for script in scripts:
        for statement in _statements(script):
            if fault := shell.fault_of(statement):
                raise CollectorError(f"{fault} in: {statement}")


def _statements(script: str) -> Iterator[str]:
    """A script's statements and dot commands, one at a time."""
    import apsw  # noqa: PLC0415

    held = ""
    for line in script.splitlines():
        held = f"{held}\n{line}" if held else line.lstrip()
        if held.startswith(".") or apsw.complete(held):
            yield held
            held = ""
    if held.strip():
        yield held
