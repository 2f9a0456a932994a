"""`status`: how a recorder is doing, from its files alone."""

from __future__ import annotations

import json
import time
from pathlib import Path  # noqa: TC003 - typer reads it
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hk_tick_collector.cli.console import cell
from hk_tick_collector.cli.options import AsJson, ConfigFile, DataRoot, EnvFile  # noqa: TC001 - typer reads them
from hk_tick_collector.cli.places import data_root_of
from hk_tick_collector.errors import DatabaseError, OlderRecorderError
from hk_tick_collector.hktime import hk_text
from hk_tick_collector.journal.cursor import load_cursor
from hk_tick_collector.journal.segments import DIRECTORY, JournalReader
from hk_tick_collector.seal.catalog import newest_sealed
from hk_tick_collector.status.findings import Verdict
from hk_tick_collector.status.health import SILENT_SEC_MAX, assess, end_text
from hk_tick_collector.status.health_storing import LAG_MS_MAX
from hk_tick_collector.status.lost import Lost, lost_text
from hk_tick_collector.status.outlook import outlook_text
from hk_tick_collector.status.state import RecorderState
from hk_tick_collector.status.today import read_lost
from hk_tick_collector.store.data_root import read_recorder
from hk_tick_collector.store.schema import day_files
from hk_tick_collector.store.stored import find_day, future_days, read_stats
from hk_tick_collector.text import counted, plain, size
from hk_tick_collector.typed_json import decode, encode

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

    from hk_tick_collector.status.outlook import Outlook
    from hk_tick_collector.status.state import Disk, Session

SYMBOLS_SHOWN = 20
FUTURE_SHOWN = 3
YEAR_DAYS = 250  # trading days
COLOURS = {Verdict.OK: "green", Verdict.DEGRADED: "yellow", Verdict.UNPROVEN: "yellow", Verdict.FAILING: "red"}


def status_command(
    *,
    data_root: DataRoot = None,
    day: Annotated[str | None, typer.Option(help="YYYYMMDD; the newest day with a tick if not given.")] = None,
    all_symbols: Annotated[bool, typer.Option("--all", help="Show all symbols.")] = False,
    as_json: AsJson = False,
    config: ConfigFile = None,
    env_file: EnvFile = None,
) -> None:
    """Show what is recorded and how far behind it is, in all and for each symbol."""
    root = data_root_of(data_root, config, env_file, is_of_recorder=True)
    status = read_status(root, day)
    if as_json:
        typer.echo(json.dumps(status, indent=2))
        return
    from rich.console import Console  # noqa: PLC0415 - not for --json

    _show(Console(), status, all_symbols=all_symbols)


def read_status(root: Path, day: str | None = None) -> dict[str, Any]:
    """Everything that `status` reports, as plain values. Times in UTC epoch ms, ages in seconds.

    Raises:
        ConfigError: there is no database of that day.
        OlderRecorderError: the older recorder made it, and no recorder is running.
    """
    now_ms = time.time_ns() // 1_000_000
    recorder = _recorder(root, now_ms)
    path = find_day(root, day) if day is not None or day_files(root) else None
    try:
        stored = read_stats(path) if path else {}
    except OlderRecorderError:  # the databases that it left must not hide a recorder that has no tick yet
        if day is not None or not recorder["running"]:
            raise
        path, stored = None, {}
    symbols: list[dict[str, Any]] = []
    for symbol, stats in stored.items():
        symbols.append(
            {
                "symbol": symbol,
                "rows": stats.rows,
                "volume": stats.volume_sum,
                "turnover": stats.turnover_sum,
                "last_seq": stats.last_seq,
                "last_ts_ms": stats.last_ts_ms,
                "last_age_sec": round((now_ms - stats.last_ts_ms) / 1000, 1),
                "lag_ms": stats.last_recv_ts_ms - stats.last_ts_ms,
            }
        )
    symbols.sort(key=lambda entry: -entry["rows"])
    last = max(symbols, key=lambda entry: entry["last_ts_ms"], default=None)
    health, lost = assess(decode(RecorderState, recorder), now_ms), _lost(path)
    return {
        "data_root": str(root.absolute()),
        "day": path.stem if path else None,
        "future_days": future_days(root),
        "health": {"verdict": health.verdict.value, "reasons": list(health.reasons)},
        "recorder": recorder,
        "journal": _journal(root, now_ms),
        "rows": sum(entry["rows"] for entry in symbols),
        "last_ts_ms": last["last_ts_ms"] if last else None,
        "last_symbol": last["symbol"] if last else None,
        "database_bytes": path.stat().st_size if path else 0,
        "wal_bytes": _wal_bytes(path) if path else 0,
        "lost": encode(lost) if lost else None,
        "sealed": newest_sealed(root),
        "symbols": symbols,
    }


def _recorder(root: Path, now_ms: int) -> dict[str, Any]:
    """Whether a recorder is running (by its lock, not its file), and its last report."""
    pid, state = read_recorder(root)
    state["running"] = pid is not None
    state["state_age_sec"] = round((now_ms - state["at_ms"]) / 1000, 1) if "at_ms" in state else None
    return state


def _lost(path: Path | None) -> Lost | None:
    """What was lost on that day, by its gaps; None: nothing is known to be lost, or it can't be read now."""
    try:
        return read_lost(path) if path else None
    except DatabaseError:
        return None


def _wal_bytes(path: Path) -> int:
    """Size of a database's write-ahead log, which holds the newest rows until a checkpoint."""
    wal = path.with_name(path.name + "-wal")
    return wal.stat().st_size if wal.exists() else 0


def _journal(root: Path, now_ms: int) -> dict[str, Any]:
    """The backlog in bytes, and how old its oldest record is."""
    directory = root / DIRECTORY
    reader = JournalReader(directory, load_cursor(directory))
    try:
        backlog_bytes = reader.backlog_bytes()
        waiting = reader.read(max_bytes=4096) if backlog_bytes else []
    finally:
        reader.close()
    return {
        "backlog_bytes": backlog_bytes,
        "lag_ms": now_ms - waiting[0].recv_ts_ms if waiting else 0,
    }


def _show(console: Console, status: dict[str, Any], *, all_symbols: bool) -> None:
    from rich.table import Table  # noqa: PLC0415

    console.print(_summary(status))
    if status["day"] is None:
        return
    table = Table(header_style="bold", box=None, padding=(0, 2, 0, 0))
    table.add_column("symbol")
    for column in ("rows", "volume", "last tick (HK)", "age s", "lag ms"):
        table.add_column(column, justify="right")
    shown = status["symbols"] if all_symbols else status["symbols"][:SYMBOLS_SHOWN]
    for entry in shown:
        table.add_row(
            cell(entry["symbol"]),
            f"{entry['rows']:,}",
            f"{entry['volume']:,}",
            hk_text(entry["last_ts_ms"])[11:19],
            f"{entry['last_age_sec']:,.0f}",
            f"{entry['lag_ms']:,}",
        )
    console.print(table)
    rest = len(status["symbols"]) - len(shown)
    if rest:
        console.print(f"[dim]… and {counted(rest, 'more symbol')}: --all[/]")


def _summary(status: dict[str, Any]) -> Table:
    from rich.table import Table  # noqa: PLC0415

    recorder, journal = status["recorder"], status["journal"]
    state = decode(RecorderState, recorder)
    summary = Table.grid(padding=(0, 2))
    summary.add_row("recorder", _recorder_text(recorder, state))
    verdict, reasons = Verdict(status["health"]["verdict"]), status["health"]["reasons"]
    summary.add_row("health", f"[{COLOURS[verdict]}]{verdict}[/]")
    for reason in reasons:
        summary.add_row("", _plain(reason))
    summary.add_row("OpenD", _session_text(recorder, state.session))
    if disk := _disk_text(recorder, state.disk):
        summary.add_row("disk", disk)
    if outage := _outage_text(recorder, state.outage):
        summary.add_row("outage", f"[red]{_plain(outage)}[/]")
    session = state.session
    for name, why in list((session.refused or {}).items())[:SYMBOLS_SHOWN]:
        summary.add_row("", f"[red]refused[/] {_plain(name)}: {_plain(why)}")
    for name, why in list(session.totals_refused.items())[:SYMBOLS_SHOWN]:
        summary.add_row("", f"[yellow]no totals[/] {_plain(name)}: {_plain(why)}")
    lag = journal["lag_ms"]
    colour = "red" if lag > LAG_MS_MAX else "green"
    summary.add_row(
        "journal", f"[{colour}]{counted(journal['backlog_bytes'], 'byte')} not stored yet, lag {lag:,} ms[/]"
    )
    if status["day"] is None:
        summary.add_row("stored", "[yellow]nothing yet[/]")
    else:
        _add_stored(summary, status)
    return summary


def _add_stored(summary: Table, status: dict[str, Any]) -> None:
    """Add what is stored of the day, and what to know about other days."""
    wal = f" (and {status['wal_bytes'] / 1e6:,.1f} MB of log)" if status["wal_bytes"] else ""
    summary.add_row(
        "stored",
        f"{counted(status['rows'], 'tick')} of {status['day']} in {status['database_bytes'] / 1e6:,.1f} MB{wal}",
    )
    if lost := lost_text(decode(Lost, status["lost"])):
        summary.add_row("lost", f"[red]{_plain(lost)}[/]")
    if status["last_ts_ms"] is not None:
        summary.add_row("last tick", f"{hk_text(status['last_ts_ms'])}  {_plain(status['last_symbol'])}")
    if future := status["future_days"]:
        shown = ", ".join(future[:FUTURE_SHOWN]) + (", …" if len(future) > FUTURE_SHOWN else "")
        summary.add_row("future", f"[yellow]ticks with the date of {counted(len(future), 'day')} to come: {shown}[/]")
    if status["sealed"]:
        summary.add_row("sealed", "{day} {verdict}".format_map(status["sealed"]))


def _plain(words: object) -> str:
    """OpenD's text, shown literally: a bracket in it is not read as markup."""
    from rich.markup import escape  # noqa: PLC0415

    return escape(plain(words))


def _recorder_text(recorder: dict[str, Any], state: RecorderState) -> str:
    if not recorder["running"]:
        return f"[yellow]not running[/]{', ' + _plain(end_text(state)) if 'at_ms' in recorder else ''}"
    if _is_silent(recorder):
        return f"[red]running, pid {recorder.get('pid')}, but silent for {recorder['state_age_sec']} s[/]"
    return f"[green]running[/], pid {recorder['pid']}, version {recorder['version']}"


def _is_silent(recorder: dict[str, Any]) -> bool:
    """Whether the recorder's last report is stale."""
    state_age_sec = recorder["state_age_sec"]
    return state_age_sec is None or state_age_sec > SILENT_SEC_MAX


def _session_text(recorder: dict[str, Any], session: Session) -> str:
    if not recorder.get("session") or not recorder["running"] or _is_silent(recorder):
        return "[dim]unknown[/]"
    if not session.connected:
        return f"[red]not connected[/]: {_plain(session.last_disconnect)}"
    left_out = f", [red]{len(session.left_out)} without quota[/]" if session.left_out else ""
    symbols = counted(session.subscribed or 0, "symbol")
    return f"[green]connected[/] since {hk_text(session.since_ms or 0)}, {symbols}{left_out}"


def _disk_text(recorder: dict[str, Any], disk: Disk) -> str:
    """The free space, and how long it will last; empty if the recorder does not report it."""
    if disk.free_bytes is None or not recorder["running"]:
        return ""
    if disk.days_left is None:
        return f"{size(disk.free_bytes)} free"
    days = int(disk.days_left)
    lasts = "for more than a year" if days > YEAR_DAYS else f"for about {counted(days, 'trading day')}"
    return f"{size(disk.free_bytes)} free, {lasts} at {size(disk.bytes_a_day or 0)} a day"


def _outage_text(recorder: dict[str, Any], outage: Outlook | None) -> str:
    """What can still be recovered, by the recorder's last report; empty if nothing is at risk."""
    if not recorder["running"] or _is_silent(recorder):
        return ""
    return outlook_text(outage, time.time_ns() // 1_000_000)
