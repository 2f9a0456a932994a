"""`audit`: what is proven of a day, symbol by symbol."""

from __future__ import annotations

import contextlib
import json
import os
from pathlib import Path  # noqa: TC003 - typer reads it
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hk_tick_collector.audit.day import Verdict, audit_day
from hk_tick_collector.audit.wording import of_symbols
from hk_tick_collector.cli.options import AsJson, ConfigFile, DataRoot, EnvFile  # noqa: TC001 - typer reads them
from hk_tick_collector.config import load_settings
from hk_tick_collector.errors import CollectorError, ConfigError, TimeFormatError
from hk_tick_collector.hktime import Form, parse_time
from hk_tick_collector.store import rehearsal
from hk_tick_collector.store.schema import day_files
from hk_tick_collector.store.stored import find_day
from hk_tick_collector.symbols import check_symbols, read_symbols

if TYPE_CHECKING:
    from hk_tick_collector.audit.day import DayAudit, SymbolAudit

LOG_WIDTH = 220
DAYS_NAMED = 5


def audit_command(  # noqa: PLR0913 - each is an option
    *,
    day: Annotated[str | None, typer.Option(help="YYYYMMDD; the newest day with a tick if not given.")] = None,
    symbol: Annotated[list[str] | None, typer.Option(help="Only this symbol; can be repeated.")] = None,
    html: Annotated[Path | None, typer.Option(help="Write a page with a timeline of the day to this file.")] = None,
    all_symbols: Annotated[bool, typer.Option("--all", help="Show the symbols that are COMPLETE as well.")] = False,
    as_json: AsJson = False,
    data_root: DataRoot = None,
    config: ConfigFile = None,
    env_file: EnvFile = None,
) -> None:
    """Say of each symbol of a day whether its ticks are proven complete; exit 1 unless all are."""
    wanted = _symbols(symbol or [])
    overrides = {"DATA_ROOT": data_root} if data_root else {}
    path = _database(load_settings(config_path=config, env_file=env_file, overrides=overrides).settings.data_root, day)
    audit = audit_day(path)
    of_day = len(audit.symbols)
    if wanted:
        audit = _only(audit, wanted)
    code = int(audit.verdict is not Verdict.COMPLETE)
    if html is not None:
        _write_page(audit, of_day, path, html)
    if as_json:
        typer.echo(json.dumps({**as_dict(audit), "symbols_of_day": of_day, "exit_code": code}, indent=2))
    else:
        from rich.console import Console  # noqa: PLC0415 - not for --json

        from hk_tick_collector.cli.audit_table import show  # noqa: PLC0415 - as above

        console = Console()
        if not console.is_terminal:  # a log: do not cut it at the default 80 columns
            console.width = max(console.width, LOG_WIDTH)
        show(console, audit, of_day, all_symbols=all_symbols)
        if html is not None:
            console.print(f"made: {html}", highlight=False, markup=False, soft_wrap=True)
    raise typer.Exit(code)


def as_dict(audit: DayAudit) -> dict[str, Any]:
    """The whole audit as plain values: a named tuple becomes an object."""
    told: dict[str, Any] = _plain(audit)
    return told


def _plain(value: Any) -> Any:  # noqa: ANN401 - any value in an audit
    if hasattr(value, "_asdict"):
        return {name: _plain(part) for name, part in value._asdict().items()}
    if isinstance(value, tuple):
        return [_plain(part) for part in value]
    return value


def _symbols(entries: list[str]) -> tuple[str, ...]:
    """The requested codes; a list or a file, as in FUTU_SYMBOLS, is allowed."""
    if not entries:
        return ()
    text = ",".join(entries)
    try:
        check_symbols(text)
    except ValueError as exc:
        raise ConfigError(f"--symbol: {exc}") from exc
    spec = read_symbols(text, where=" (--symbol)")
    if spec.plates:
        raise ConfigError(f"--symbol {spec.plates[0]} is a plate, expected a code such as HK.00700")
    return spec.symbols


def _database(root: Path, day: str | None) -> Path:
    """The day's database.

    Raises:
        ConfigError: no DATA_ROOT, no database at all, or `day` is not a day: the operator must correct the input.
        CollectorError: that day was not recorded.
    """
    if not root.is_dir():
        raise ConfigError(
            f"DATA_ROOT {root.absolute()} is not a directory: nothing was recorded there; set DATA_ROOT or "
            "pass --data-root"
        )
    rehearsal.follow(root)
    if day is None:
        return find_day(root, None)
    name = _day(day)
    files = day_files(root)
    path = next((path for path in files if path.stem == name), None)
    if path is None:
        raise CollectorError(
            f"no database of {name} in {root.absolute()}: nothing was recorded, so nothing is proven; "
            f"there {_those(files)}"
        )
    return path


def _day(text: str) -> str:
    """`20261120`, or `2026-11-20`, as `20261120`."""
    digits = text.replace("-", "")
    with contextlib.suppress(TimeFormatError):
        if len(digits) == len("20261120") and digits.isdecimal() and parse_time(digits).form is Form.DATE:
            return digits
    raise ConfigError(f"--day {text!r} is no day, expected YYYYMMDD")


def _those(files: list[Path]) -> str:
    if not files:
        return "is none at all"
    if len(files) <= DAYS_NAMED:
        return f"{'is' if len(files) == 1 else 'are'} {', '.join(path.stem for path in files)}"
    return f"are {len(files):,} days, {files[0].stem} to {files[-1].stem}"


def _only(audit: DayAudit, wanted: tuple[str, ...]) -> DayAudit:
    """The audit restricted to these symbols, with their own verdict.

    Raises:
        CollectorError: nothing is known of one of them on that day.
    """
    known = {symbol.symbol for symbol in audit.symbols}
    absent = [symbol for symbol in wanted if symbol not in known]
    if absent:
        raise CollectorError(f"nothing of {', '.join(absent)} was recorded on {audit.day}, so nothing is proven")
    kept: tuple[SymbolAudit, ...] = tuple(symbol for symbol in audit.symbols if symbol.symbol in wanted)
    return audit._replace(symbols=kept, verdict=of_symbols(kept))


def _write_page(audit: DayAudit, of_day: int, path: Path, html: Path) -> None:
    """Write the page, whole or not at all."""
    from hk_tick_collector.audit.activity import read_activity  # noqa: PLC0415 - only for a page
    from hk_tick_collector.audit.page import page  # noqa: PLC0415 - as above

    activity = read_activity(path, {symbol.symbol for symbol in audit.symbols})
    temporary = html.with_name(f".{html.name}.{os.getpid()}.tmp")
    try:
        temporary.write_text(page(audit, activity, of_day), encoding="utf-8")
        temporary.replace(html)
    except OSError as exc:
        raise ConfigError(f"--html {html} can't be written: {exc.strerror}") from exc
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)
