"""How `status` looks: the three answers first, then details, then as many symbols as there is room for.

Owns the layout for a terminal of any size. What does not fit is left out from the end, and said so: never an answer.
Without a terminal nothing is left out.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from rich.markup import escape
from rich.table import Table

from hk_tick_collector.cli.console import cell
from hk_tick_collector.clock import wall_ms
from hk_tick_collector.hktime import hk_day, hk_text
from hk_tick_collector.status.answers import NOTHING, Recording
from hk_tick_collector.status.findings import Verdict
from hk_tick_collector.status.health import SILENT_SEC_MAX, end_text
from hk_tick_collector.status.health_storing import LAG_MS_MAX
from hk_tick_collector.status.outlook import outlook_text
from hk_tick_collector.status.state import RecorderState
from hk_tick_collector.status.troubles import Trouble
from hk_tick_collector.text import counted, plain, size, span
from hk_tick_collector.typed_json import decode

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from rich.console import Console

    from hk_tick_collector.status.outlook import Outlook
    from hk_tick_collector.status.state import Disk, Session

FUTURE_SHOWN: Final = 3
REFUSED_SHOWN: Final = 20
YEAR_DAYS: Final = 250  # trading days
TO_DO_SHOWN: Final = 3  # on a terminal
TALL: Final = 40  # lines from which the deadline of each symbol is shown as well
BLOCK_GAP: Final = 4  # columns between two blocks of symbols
COLOURS: Final = {Verdict.OK: "green", Verdict.DEGRADED: "yellow", Verdict.UNPROVEN: "yellow", Verdict.FAILING: "red"}
_RECORDING_COLOURS: Final = {
    Recording.YES: "green",
    Recording.DELAYED: "yellow",
    Recording.UNPROVEN: "yellow",
    Recording.NO: "red",
    Recording.UNKNOWN: "red",
}


class _Column(NamedTuple):
    """A column of the symbols, and how it is filled; the highest `rank` is the first to go where room is short."""

    head: str
    rank: int
    text: Callable[[dict[str, Any]], str]


_COLUMNS: Final = (
    _Column("rows", 2, lambda one: f"{one['rows']:,}"),
    _Column("volume", 5, lambda one: f"{one['volume']:,}"),
    _Column("last tick (HK)", 1, lambda one: hk_text(one["last_ts_ms"])[11:19]),
    _Column("age", 3, lambda one: span(max(0.0, one["last_age_sec"]))),
    _Column("lag ms", 4, lambda one: f"{one['lag_ms']:,}"),
)


def render(console: Console, status: dict[str, Any], *, all_symbols: bool) -> str:
    """What `status` shows, with the console's colours, as tall as its terminal less a line for the prompt.

    Args:
        console: gives width, height and colours.
        status: see `reading.read_status`.
        all_symbols: leave out nothing, whatever the height.
    """
    is_whole = all_symbols or not console.is_terminal
    room = max(console.height - 1, 1)
    shown = _lines(console, _grid(_answers(status, is_whole=is_whole)))
    is_tall = is_whole or console.height >= TALL
    details = [_lines(console, _grid([row])) for row in _details(status, is_whole=is_whole, is_tall=is_tall)]
    details = [[""], *details] if details else []
    for lines in details:
        if is_whole or len(shown) + len(lines) <= room:
            shown += lines
    if status["symbols"]:
        shown += _symbols(console, status["symbols"], None if is_whole else room - len(shown))
    return "\n".join(shown) + "\n"


def _lines(console: Console, what: Table) -> list[str]:
    with console.capture() as captured:
        console.print(what)
    return [line.rstrip() for line in captured.get().splitlines()]


def _grid(rows: list[tuple[str, str]]) -> Table:
    grid = Table.grid(padding=(0, 1, 0, 0))
    grid.add_column(width=10, no_wrap=True)
    grid.add_column(overflow="fold")
    for row in rows:
        grid.add_row(*row)
    return grid


# ---- the three answers


def _answers(status: dict[str, Any], *, is_whole: bool) -> list[tuple[str, str]]:
    told = status["answers"]
    colour = _RECORDING_COLOURS[Recording(told["recording"])]
    word, colon, rest = _plain(told["records"]).partition(":")
    rows = [("recording", f"[{colour}]{word}[/]{colon}{rest}")]
    day = _other_day(status)
    for number, text in enumerate(told["lost"]):
        shown = f"[red]{_plain(text)}[/]" if told["is_lost"] and not number else _plain(text)
        of = "" if day is None else "now: " if text == told["lost_now"] else f"on {day}: "
        rows.append(("" if number else "lost today" if day is None else "lost", of + shown))
    to_do = told["to_do"] if is_whole else told["to_do"][:TO_DO_SHOWN]
    for number, text in enumerate(to_do or [NOTHING]):
        mark = f"{number + 1}. " if len(told["to_do"]) > 1 else ""
        rows.append(("" if number else "to do", f"{mark}{_code(_plain(text))}"))
    if more := len(told["to_do"]) - len(to_do):
        rows.append(("", f"[dim]… and {counted(more, 'more thing')}: --all[/]"))
    return rows


def _other_day(status: dict[str, Any]) -> str | None:
    """The day that is shown; None: it is today."""
    day: str | None = status["day"]
    return None if day == hk_day(wall_ms()) else day


def _code(text: str) -> str:
    """A command between backquotes in bold."""
    parts = text.split("`")
    if len(parts) % 2 == 0:
        return text
    return "".join(f"[bold]{part}[/]" if number % 2 else part for number, part in enumerate(parts))


# ---- details


def _details(status: dict[str, Any], *, is_whole: bool, is_tall: bool) -> Iterator[tuple[str, str]]:
    recorder = status["recorder"]
    state = decode(RecorderState, recorder)
    verdict = Verdict(status["health"]["verdict"])
    yield "health", f"[{COLOURS[verdict]}]{verdict}[/]"
    has_reported = all(found["trouble"] != Trouble.NOT_REPORTED for found in status["health"]["troubles"])
    yield "recorder", _recorder_text(recorder, state) if has_reported else "[yellow]running, no report yet[/]"
    yield "OpenD", _session_text(recorder, state.session) if has_reported else "[dim]unknown[/]"
    if is_tall and has_reported and (outage := _outage_text(recorder, state.outage)):
        yield "outage", f"[red]{_plain(outage)}[/]"
    yield "stored", _stored_text(status)
    if status["last_ts_ms"] is not None:
        yield "last tick", f"{hk_text(status['last_ts_ms'])}  {_plain(status['last_symbol'])}"
    yield "journal", _journal_text(status["journal"])
    if disk := _disk_text(recorder, replace(state.disk, free_bytes=status["disk"]["free_bytes"])):
        yield "disk", disk
    if future := status["future_days"]:
        shown = ", ".join(future[:FUTURE_SHOWN]) + (", …" if len(future) > FUTURE_SHOWN else "")
        yield "future", f"[yellow]ticks with the date of {counted(len(future), 'day')} to come: {shown}[/]"
    if status["sealed"]:
        yield "sealed", "{day} {verdict}".format_map(status["sealed"])
    if is_whole:
        yield from _refusals(state.session)


def _refusals(session: Session) -> Iterator[tuple[str, str]]:
    for name, why in list((session.refused or {}).items())[:REFUSED_SHOWN]:
        yield "", f"[red]refused[/] {_plain(name)}: {_plain(why)}"
    for name, why in list(session.totals_refused.items())[:REFUSED_SHOWN]:
        yield "", f"[yellow]no totals[/] {_plain(name)}: {_plain(why)}"


def _stored_text(status: dict[str, Any]) -> str:
    if status["day"] is None:
        return "[yellow]nothing yet[/]"
    if status["day_fault"]:
        return f"[red]{status['day']} can't be read[/]"
    wal = f" (-wal {status['wal_bytes'] / 1e6:,.1f} MB)" if status["wal_bytes"] else ""
    stored = f"{counted(status['rows'], 'tick')} of {status['day']} in {status['database_bytes'] / 1e6:,.1f} MB{wal}"
    symbols = len(status["symbols"])
    return f"{stored}, {counted(symbols, 'symbol')}" if symbols else stored


def _journal_text(journal: dict[str, Any]) -> str:
    lag_ms = journal["lag_ms"]
    if lag_ms is None:
        return "[red]can't be read[/]"
    colour = "red" if lag_ms > LAG_MS_MAX else "green"
    return f"[{colour}]{counted(journal['backlog_bytes'], 'byte')} not stored yet, lag {lag_ms:,} ms[/]"


def _plain(words: object) -> str:
    """OpenD's text, shown literally: a bracket in it is not read as markup."""
    return escape(plain(words, limit=2000))


def _recorder_text(recorder: dict[str, Any], state: RecorderState) -> str:
    if not recorder["running"]:
        return f"[yellow]not running[/]{', ' + _plain(end_text(state)) if state.at_ms is not None else ''}"
    if _is_silent(recorder):
        return f"[red]running, pid {recorder.get('pid')}, but silent for {recorder['state_age_sec']} s[/]"
    return f"[green]running[/], pid {state.pid}, version {plain(state.version, limit=80)}"


def _is_silent(recorder: dict[str, Any]) -> bool:
    """Whether the recorder's last report is stale."""
    state_age_sec = recorder["state_age_sec"]
    return state_age_sec is None or state_age_sec > SILENT_SEC_MAX


def _session_text(recorder: dict[str, Any], session: Session) -> str:
    if not recorder.get("session") or not recorder["running"] or _is_silent(recorder):
        return "[dim]unknown[/]"
    if not session.connected:
        return f"[red]not connected[/]: {_plain(session.last_disconnect or 'no answer yet')}"
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
    return outlook_text(outage, wall_ms())


# ---- symbols


def _symbols(console: Console, symbols: list[dict[str, Any]], room: int | None) -> list[str]:
    """The symbols' table in that many lines, a blank one and its head included; None: all.

    A narrow terminal has fewer columns, a wide one several blocks side by side.
    """
    columns = _columns(symbols, console.width)
    block = _block_width(symbols, columns)
    blocks = 1 if room is None else max(1, (console.width + BLOCK_GAP) // (block + BLOCK_GAP))
    height = len(symbols) if room is None else room - 2
    is_cut = height * blocks < len(symbols)
    height -= is_cut
    if height < 1:
        return [] if not room or room < 1 else [f"… {counted(len(symbols), 'symbol')}: --all"[: console.width]]
    shown = symbols[: height * blocks]
    grid = Table.grid(padding=(0, BLOCK_GAP, 0, 0))
    grid.add_row(*(_block(shown[at : at + height], columns) for at in range(0, len(shown), height)))
    more = [f"… and {counted(len(symbols) - len(shown), 'more symbol')}: --all"] if is_cut else []
    return ["", *_lines(console, grid), *more]


def _columns(symbols: list[dict[str, Any]], width: int) -> list[_Column]:
    """As many columns as fit, the most important first; a symbol is never cut."""
    found = list(_COLUMNS)
    while found and _block_width(symbols, found) > width:
        found.remove(max(found, key=lambda column: column.rank))
    return found


def _block_width(symbols: list[dict[str, Any]], columns: list[_Column]) -> int:
    widths = [max(len(plain(one["symbol"])) for one in symbols)]
    widths += [max(len(column.head), *(len(column.text(one)) for one in symbols)) for column in columns]
    return sum(widths) + 2 * (len(widths) - 1)


def _block(symbols: list[dict[str, Any]], columns: list[_Column]) -> Table:
    table = Table(header_style="bold", box=None, padding=(0, 2, 0, 0), pad_edge=False)
    table.add_column("symbol", no_wrap=True)
    for column in columns:
        table.add_column(column.head, justify="right", no_wrap=True)
    for one in symbols:
        table.add_row(cell(one["symbol"]), *(column.text(one) for column in columns))
    return table
