"""`migrate`: take over the days and the settings of the older recorder."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from hk_tick_collector.cli.console import wide_console
from hk_tick_collector.cli.options import AsJson, ConfigFile, DataRoot, EnvFile  # noqa: TC001 - typer reads them
from hk_tick_collector.cli.progress import Progress
from hk_tick_collector.config import load_settings
from hk_tick_collector.errors import ConfigError
from hk_tick_collector.migrate.days import EMPTY, IMPORTED, NOT_DONE, SAME, DayResult, migrate_days
from hk_tick_collector.migrate.env import ENV_OUT_DEFAULT, Env, read_env, refuse_existing, write_env
from hk_tick_collector.store import rehearsal
from hk_tick_collector.store.schema import day_files, require_sqlite
from hk_tick_collector.store.setting_names import Fate
from hk_tick_collector.text import counted, plain

if TYPE_CHECKING:
    from rich.console import Console

NUMBERS: Final = ("rows", "stored", "late", "duplicates", "conflicts")
_COLOURS: Final = {IMPORTED: "green", SAME: "green", EMPTY: "dim", NOT_DONE: "red"}
_NAMES_MAX: Final = 10_000  # characters of a line that names settings
_SETTING_COLOURS: Final = {Fate.TAKEN: "green", "refused": "red", "unknown": "yellow"}


def migrate_command(  # noqa: PLR0913 - each is an option
    old: Annotated[
        Path | None,
        typer.Argument(
            metavar="OLD_DATA_ROOT",
            help="The older recorder's DATA_ROOT; with --env and without this, the one that OLD_ENV names.",
        ),
    ] = None,
    *,
    env: Annotated[
        Path | None, typer.Option(metavar="OLD_ENV", help="The older recorder's env file: take its settings over too.")
    ] = None,
    env_out: Annotated[Path, typer.Option(help="Where the new env file is written.")] = Path(ENV_OUT_DEFAULT),
    force: Annotated[bool, typer.Option("--force", help="Replace the file of --env-out. No day is replaced.")] = False,
    as_json: AsJson = False,
    data_root: DataRoot = None,
    config: ConfigFile = None,
    env_file: EnvFile = None,
) -> None:
    """Import days and settings of the older recorder (futu_tick_downloader); its files are only read."""
    require_sqlite()
    overrides = {"DATA_ROOT": data_root} if data_root else {}
    settings = load_settings(config_path=config, env_file=env_file, overrides=overrides).settings
    found = None
    if env is not None:
        refuse_existing(env_out, env, may_replace=force)
        found = read_env(env, settings.data_root)
        old = old or _root_with_days(found)
    elif old is None:
        raise ConfigError("expected OLD_DATA_ROOT, the directory with the older recorder's day databases")
    days: list[DayResult] = []
    if old is not None:
        rehearsal.refuse(settings.data_root)
        days = list(migrate_days(old, settings.data_root, Progress().tell, settings.prepare_data_root))
    if found is not None:
        write_env(found, env_out, may_replace=force)
    code = int(any(day.result == NOT_DONE for day in days))
    root = settings.data_root.absolute()
    if as_json:
        typer.echo(json.dumps(_as_dict(old, root, days, found, env_out, code), indent=2))
    else:
        _show(wide_console(), root, days, found, env_out)
    raise typer.Exit(code)


def _root_with_days(env: Env) -> Path | None:
    """The DATA_ROOT that an old env file names, if there are days in it: the settings may be all that is wanted."""
    root = Path(env.data_root).expanduser() if env.data_root else None
    return root if root is not None and day_files(root) else None


def _as_dict(
    old: Path | None, root: Path, days: list[DayResult], env: Env | None, env_out: Path, code: int
) -> dict[str, Any]:
    told: dict[str, Any] = {
        "old_data_root": None if old is None else str(old.absolute()),
        "data_root": str(root),
        "days": [day.as_dict() for day in days],
        "exit_code": code,
    }
    if env is not None:
        told["env_out"] = str(env_out.absolute())
        told["settings"] = [became._asdict() for became in env.became]
        told["bad_lines"] = list(env.bad_lines)
    return told


def _show(console: Console, root: Path, days: list[DayResult], env: Env | None, env_out: Path) -> None:
    if days:
        _show_days(console, days)
    if env is not None:
        _show_settings(console, env, env_out)
    if not days:
        console.print("no days were taken over: the old DATA_ROOT has none; name it with OLD_DATA_ROOT", style="yellow")
        return
    done = [day for day in days if day.result in {IMPORTED, SAME}]
    if not done:
        console.print(f"nothing was taken over into {root}", highlight=False, markup=False, soft_wrap=True)
        return
    console.print(
        f"{counted(sum(day.stored for day in done), 'tick')} of {counted(len(done), 'day')} in {root}, each row "
        "compared with its source; such a day is UNPROVABLE: the older recorder kept no evidence that it was whole",
        highlight=False, markup=False, soft_wrap=True,
    )  # fmt: skip


def _show_days(console: Console, days: list[DayResult]) -> None:
    from rich.table import Table  # noqa: PLC0415 - not for --json

    table = Table(header_style="bold", box=None, padding=(0, 2, 0, 0))
    table.add_column("day", no_wrap=True)
    for column in NUMBERS:
        table.add_column(column, justify="right", no_wrap=True)
    table.add_column("result", no_wrap=True)
    for day in days:
        numbers = (f"{getattr(day, name):,}" for name in NUMBERS)
        table.add_row(day.day, *numbers, f"[{_COLOURS[day.result]}]{day.result}[/]")
    console.print(table)
    for day in days:
        for line in _notes(day):
            console.print(f"{day.day}: {line}", highlight=False, markup=False, soft_wrap=True)
    for day in days:
        if day.error:
            console.print(f"{day.day}: {day.error}", style="red", highlight=False, markup=False, soft_wrap=True)


def _notes(day: DayResult) -> list[str]:
    """What the table does not say."""
    lines = []
    if day.conflicts:
        lines.append(f"{counted(day.conflicts, 'row')} with another content for the same sequence: in tick_revisions")
    if day.put_aside:
        lines.append(f"{counted(day.put_aside, 'row')} not valid as a tick: in bad_ticks, with the reason")
    if day.unknown_names:
        names = ", ".join(day.unknown_names)
        lines.append(f"unknown direction or type, stored as UNKNOWN: {names}")
    if day.unproven:
        lines.append(f"{counted(day.unproven, 'tick')} without a sequence that tells the time: a late time stays late")
    return lines


def _show_settings(console: Console, env: Env, env_out: Path) -> None:
    """What became of each old setting; those with the same answer together."""
    from rich.padding import Padding  # noqa: PLC0415 - not for --json
    from rich.text import Text  # noqa: PLC0415 - as above

    groups: dict[tuple[str, str], list[str]] = {}
    for became in env.became:
        is_same = became.text.startswith(f"{Fate.TAKEN} as {became.name}")
        key = (became.fate, f"{Fate.TAKEN} as they are" if is_same else became.text)
        groups.setdefault(key, []).append(became.name)
    console.print("\nold settings", style="bold")
    for (fate, text), names in groups.items():
        console.print(Padding(Text(plain(", ".join(names), _NAMES_MAX)), (0, 0, 0, 2)), highlight=False)
        console.print(Padding(Text(plain(text), style=_SETTING_COLOURS.get(fate, "dim")), (0, 0, 0, 6)))
    for line in env.bad_lines:
        console.print(f"line {line}: expected NAME=value, a comment or nothing; left out", style="red", highlight=False)
    console.print(f"written: {env_out}\n", highlight=False, markup=False, soft_wrap=True)
