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
from hk_tick_collector.cli.console import wide_console
from hk_tick_collector.cli.dates import one_day
from hk_tick_collector.cli.options import (  # noqa: TC001 - typer reads them
    AsJson,
    ConfigFile,
    DataRoot,
    DayOption,
    EnvFile,
    NewestDay,
    Symbols,
)
from hk_tick_collector.cli.outputs import refuse_recorder_file
from hk_tick_collector.cli.places import data_root_of
from hk_tick_collector.errors import CollectorError, ConfigError
from hk_tick_collector.parquet.opening import day_paths, find_day
from hk_tick_collector.seal.witnesses import text_of, witnesses
from hk_tick_collector.symbols import symbols_of

if TYPE_CHECKING:
    from hk_tick_collector.audit.day import DayAudit, SymbolAudit

LOG_WIDTH = 220
DAYS_NAMED = 5


def audit_command(  # noqa: PLR0913 - each is an option
    written: NewestDay = None,
    *,
    day: DayOption = None,
    symbol: Symbols = None,
    html: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write a page with a timeline of the day to this file.")
    ] = None,
    all_symbols: Annotated[bool, typer.Option("--all", help="Show each symbol, also those that are COMPLETE.")] = False,
    as_json: AsJson = False,
    data_root: DataRoot = None,
    config: ConfigFile = None,
    env_file: EnvFile = None,
) -> None:
    """Is a day complete? A verdict for each symbol, with what is missing (exit 0 or 1).

    Exits with 0 only if all symbols are COMPLETE: proven by the exchange's own totals, which come after the close.
    """
    wanted = symbols_of(symbol or ())
    root = data_root_of(data_root, config, env_file)
    path = _database(root, one_day(written, day))
    audit = audit_day(path)
    of_day = len(audit.symbols)
    if wanted:
        audit = _only(audit, wanted)
    code = int(audit.verdict is not Verdict.COMPLETE)
    seen_by = witnesses(root, day=audit.day).get(audit.day, [])
    if html is not None:
        _write_page(audit, of_day, path, html)
    if as_json:
        told = {"symbols_of_day": of_day, "witnesses": [one._asdict() for one in seen_by], "exit_code": code}
        typer.echo(json.dumps({**as_dict(audit), **told}, indent=2))
    else:
        from hk_tick_collector.cli.audit_table import show  # noqa: PLC0415 - not for --json

        console = wide_console(LOG_WIDTH)
        show(console, audit, of_day, all_symbols=all_symbols, notes=[text_of(one) for one in seen_by])
        if html is not None:
            console.print(f"wrote {html}", highlight=False, markup=False, soft_wrap=True)
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


def _database(root: Path, day: str | None) -> Path:
    """The day's database; None: the newest day with ticks.

    Raises:
        ConfigError: there is no database at all.
        CollectorError: that day was not recorded.
    """
    if day is None:
        return find_day(root, None)
    files = day_paths(root)
    path = next((path for path in files if path.stem == day), None)
    if path is None:
        raise CollectorError(
            f"no database of {day} in {root.absolute()}: nothing was recorded, so nothing is proven; "
            f"there {_those(files)}"
        )
    return path


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

    if html.suffix == path.suffix:
        raise ConfigError(f"--html {html} has the name of a database, expected one such as day.html")
    refuse_recorder_file(html)
    activity = read_activity(path, {symbol.symbol for symbol in audit.symbols})
    temporary = html.parent / f".{html.name}.{os.getpid()}.tmp"
    try:
        temporary.write_text(page(audit, activity, of_day), encoding="utf-8")
        temporary.replace(html)
    except OSError as exc:
        raise ConfigError(f"--html {html} can't be written: {exc.strerror}") from exc
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)
