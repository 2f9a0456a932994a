"""`repair`: correct times that are eight hours late."""

from __future__ import annotations

import json
from pathlib import Path  # noqa: TC003 - typer reads it
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from hk_tick_collector.cli import completion
from hk_tick_collector.cli.console import cell, wide_console
from hk_tick_collector.cli.dates import day_of
from hk_tick_collector.cli.options import AsJson, ConfigFile, DataRoot, EnvFile  # noqa: TC001 - typer reads them
from hk_tick_collector.cli.places import data_root_of
from hk_tick_collector.cli.progress import Progress
from hk_tick_collector.clock import host_ms
from hk_tick_collector.errors import ConfigError
from hk_tick_collector.hktime import hk_text, utc_text
from hk_tick_collector.parquet.opening import has_only_archive, no_database
from hk_tick_collector.repair.rules import CORRECTION_HOURS_MIN, HOUR_MS, Finding, Rule
from hk_tick_collector.repair.times import FileReport, Repair
from hk_tick_collector.store.schema import day_files
from hk_tick_collector.store.stored import find_day
from hk_tick_collector.text import counted

if TYPE_CHECKING:
    from rich.console import Console

    from hk_tick_collector.repair.layout import Sample


HOURS_MAX: Final = 8784  # a leap year


def repair_command(  # noqa: PLR0913 - each is an option
    files: Annotated[
        list[Path] | None,
        typer.Argument(
            metavar="DAY|FILE",
            help="Days or databases; all days of DATA_ROOT if none is given.",
            autocompletion=completion.days,
        ),
    ] = None,
    *,
    data_root: DataRoot = None,
    day: Annotated[
        list[str] | None,
        typer.Option(metavar="DAY", help="Only this day; can be repeated.", autocompletion=completion.days),
    ] = None,
    by_seq: Annotated[
        bool, typer.Option("--by-seq", help="Prove each correction from the sequence; works on old data too.")
    ] = False,
    threshold_hours: Annotated[
        float, typer.Option(metavar="HOURS", help="A time further than this in the future is late.", min=0)
    ] = 2.0,
    correction_hours: Annotated[
        float, typer.Option(metavar="HOURS", help="How much too late such times are.", min=CORRECTION_HOURS_MIN)
    ] = 8.0,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show what would be corrected, and change nothing.")
    ] = False,
    as_json: AsJson = False,
    config: ConfigFile = None,
    env_file: EnvFile = None,
) -> None:
    """Correct times that are eight hours late; stop the recorder first."""
    days, paths = _sorted_out(files or [], day or [])
    if paths and (data_root or days):
        raise ConfigError("either files, or a DATA_ROOT and its days: not both")
    paths = paths or _days(data_root_of(data_root, config, env_file), days)
    for path in paths:
        if not path.is_file():
            raise ConfigError(f"{path} does not exist")
    for option, hours in (("--threshold-hours", threshold_hours), ("--correction-hours", correction_hours)):
        if not hours <= HOURS_MAX:
            raise ConfigError(f"{option} {hours:g}, expected at most {HOURS_MAX} hours")
    now_ms = host_ms()
    rule = Rule(round(correction_hours * HOUR_MS), None if by_seq else now_ms + round(threshold_hours * HOUR_MS))
    progress = Progress()
    reports = list(Repair(rule, dry_run, progress.tell, set()).run(paths))
    code = exit_code(reports, rule)
    if as_json:
        typer.echo(json.dumps(_as_dict(reports, rule, now_ms, code, is_dry_run=dry_run), indent=2))
    else:
        _show(wide_console(), reports, rule, now_ms, is_dry_run=dry_run)
    raise typer.Exit(code)


def exit_code(reports: list[FileReport], rule: Rule) -> int:
    """1 if times in the future were left uncorrected, or a file failed."""
    is_left = rule.future_from_ms is not None and any(_left(report) for report in reports)
    return int(is_left or any(report.error for report in reports))


def _sorted_out(written: list[Path], days: list[str]) -> tuple[list[str], list[Path]]:
    """The days and the files among the arguments. What looks like a day is one, unless there is a file of that name."""
    found, files = [day_of(day) for day in days], []
    for path in written:
        try:
            day = None if path.exists() else day_of(str(path))
        except (ConfigError, OSError):
            day = None
        if day is None:
            files.append(path)
        else:
            found.append(day)
    return found, files


def _days(root: Path, days: list[str]) -> list[Path]:
    if only := [day for day in days if has_only_archive(root / f"{day}.db")]:
        raise no_database(root, only[0])
    return [find_day(root, day) for day in days] or day_files(root)


def _left(report: FileReport) -> int:
    """Rows in the future that this fault does not explain, so they are left alone."""
    return report.findings[Finding.CONTRADICTED] + report.findings[Finding.BEYOND]


def _as_dict(reports: list[FileReport], rule: Rule, now_ms: int, code: int, *, is_dry_run: bool) -> dict[str, Any]:
    return {
        "by_seq": rule.future_from_ms is None,
        "dry_run": is_dry_run,
        "now_ms": now_ms,
        "future_from_ms": rule.future_from_ms,
        "correction_hours": rule.correction_ms / HOUR_MS,
        "rows": sum(report.findings.total() for report in reports),
        "repaired": sum(report.repaired for report in reports),
        "exit_code": code,
        "files": [report.as_dict() for report in reports],
    }


def _show(console: Console, reports: list[FileReport], rule: Rule, now_ms: int, *, is_dry_run: bool) -> None:
    from rich.table import Table  # noqa: PLC0415

    hours = f"{rule.correction_ms / HOUR_MS:g} h"
    if rule.future_from_ms is None:
        console.print(f"late: {hours} after what the sequence says, to ten minutes", highlight=False)
    else:
        console.print(f"late: after {hk_text(rule.future_from_ms)}; now it is {hk_text(now_ms)}", highlight=False)
    table = Table(header_style="bold", box=None, padding=(0, 2, 0, 0))
    table.add_column("file")
    for column in ("rows", "would be repaired" if is_dry_run else "repaired", "moved", "dropped", "revised"):
        table.add_column(column, justify="right")
    for column in ("unproven",) if rule.future_from_ms is None else ():
        table.add_column(column, justify="right")
    table.add_column("left alone", justify="right")
    for report in reports:
        numbers = [report.findings.total(), report.repaired, sum(report.moved.values()), report.dropped, report.revised]
        if rule.future_from_ms is None:
            numbers.append(report.findings[Finding.UNPROVEN])
        table.add_row(report.path.name, *(f"{number:,}" for number in [*numbers, _left(report)]))
    console.print(table)
    for report in reports:
        _show_samples(console, report, is_dry_run=is_dry_run)
    _show_ends(console, reports, rule, is_dry_run=is_dry_run)


def _show_samples(console: Console, report: FileReport, *, is_dry_run: bool) -> None:
    """Show the same rows before and after, as read from the files."""
    for title, samples in (("before", report.before), ("would be" if is_dry_run else "after", report.after)):
        if samples and not report.error:
            console.print(_sample_table(f"{report.path.name}: {title}", samples))
    for backup in report.backups:
        console.print(f"backup: {backup}", highlight=False, soft_wrap=True)


def _sample_table(title: str, samples: list[Sample]) -> Any:  # noqa: ANN401 - rich is imported late
    from rich.table import Table  # noqa: PLC0415

    table = Table(title=title, title_justify="left", header_style="bold", box=None, padding=(0, 2, 0, 0))
    for column in ("symbol", "seq", "ts_ms", "Hong Kong", "UTC", "trading_day", "price", "volume", "file"):
        table.add_column(column, overflow="fold")
    for s in samples:
        values = (
            s.symbol,
            s.seq,
            s.ts_ms,
            hk_text(s.ts_ms),
            utc_text(s.ts_ms),
            s.trading_day,
            s.price,
            s.volume,
            s.file,
        )
        table.add_row(*map(cell, values))
    return table


def _show_ends(console: Console, reports: list[FileReport], rule: Rule, *, is_dry_run: bool) -> None:
    for report in reports:
        if report.error:
            late = report.findings[Finding.LATE]
            console.print(f"not repaired, {counted(late, 'late row')}: {report.error}", style="red", soft_wrap=True)
        for day, count in report.moved.items():
            verb = "would go" if is_dry_run else "went"
            console.print(f"{report.path.name}: {counted(count, 'row')} {verb} to {day}.db", highlight=False)
    left = sum(map(_left, reports))
    if left and rule.future_from_ms is not None:
        console.print(
            f"{counted(left, 'row')} in the future for another reason: is the host's clock right?", style="red"
        )
    total = sum(report.repaired for report in reports)
    verb = "would be repaired" if is_dry_run else "repaired"
    files = sum(bool(report.repaired) for report in reports)
    console.print(f"{verb}: {counted(total, 'row')} in {counted(files, 'file')}", highlight=False)
