"""`journal`: what OpenD really sent, segment by segment and record by record."""

from __future__ import annotations

import json
import sys
from enum import StrEnum
from pathlib import Path  # noqa: TC003 - typer reads it
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from hk_tick_collector.cli.listing import Listing
from hk_tick_collector.cli.options import ConfigFile, DataRoot, EnvFile, Symbols  # noqa: TC001 - typer reads them
from hk_tick_collector.cli.places import data_root_of
from hk_tick_collector.cli.progress import Progress
from hk_tick_collector.errors import ConfigError
from hk_tick_collector.hktime import plausible_text
from hk_tick_collector.journal.contents import content_of
from hk_tick_collector.journal.cursor import load_cursor
from hk_tick_collector.journal.segments import DIRECTORY, JournalReader, Kind, Position, list_segments
from hk_tick_collector.symbols import symbols_of
from hk_tick_collector.text import counted, plain, size

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hk_tick_collector.journal.contents import Content
    from hk_tick_collector.journal.segments import Record, Segment

_FIELDS_SHOWN: Final = 200  # characters


class What(StrEnum):
    """What the command does."""

    LIST = "list"
    SHOW = "show"
    CHECK = "check"


def journal_command(  # noqa: PLR0913 - each is an option
    what: Annotated[What, typer.Argument(help="list: the segments; show: records; check: read all of it.")] = What.LIST,
    *,
    segment: Annotated[int | None, typer.Option(min=1, help="Only this one; show begins with the newest.")] = None,
    offset: Annotated[int, typer.Option(min=0, help="show: from this byte of it on.")] = 0,
    limit: Annotated[int, typer.Option(min=1, help="show: at most this many records.")] = 20,
    symbol: Symbols = None,
    events: Annotated[bool, typer.Option("--events", help="show: only events of the session.")] = False,
    ticks: Annotated[bool, typer.Option("--ticks", help="show: each tick, as OpenD sent it.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON: one object, of show one a line.")] = False,
    data_root: DataRoot = None,
    config: ConfigFile = None,
    env_file: EnvFile = None,
) -> None:
    """Show what OpenD sent, record by record, or check every byte of the journal.

    It only reads. `check` exits with 1 if anything is damaged or missing.
    """
    directory = data_root_of(data_root, config, env_file) / DIRECTORY
    segments = list_segments(directory)
    if segment is not None:
        segments = [one for one in segments if one.number == segment]
    if not segments:
        which = f"segment {segment}" if segment is not None else "segment"
        raise ConfigError(f"no {which} in {directory.absolute()}: see `journal list`, or record something first")
    if what is What.LIST:
        _list(directory, segments, as_json=as_json)
    elif what is What.SHOW:
        begin = Position(segments[-1].number, offset, -1)
        wanted = frozenset(symbols_of(symbol or ()))
        found = _found(directory, begin, wanted, events=events, is_one_segment=segment is not None)
        _show(found, limit, with_ticks=ticks, as_json=as_json)
    elif _check(directory, segments, as_json=as_json):
        raise typer.Exit(1)


def _list(directory: Path, segments: list[Segment], *, as_json: bool) -> None:
    cursor = load_cursor(directory)
    told = [
        {
            "segment": one.number,
            "day": one.day,
            "bytes": one.size_bytes,
            "first_recv_ms": _first_ms(directory, one),
            "state": _state(one, cursor),
        }
        for one in segments
    ]
    if as_json:
        typer.echo(json.dumps({"directory": str(directory.absolute()), "segments": told}, indent=2))
        return
    listing = Listing(">segment", "day", ">bytes", "first received (HK)", "state")
    for row in told:
        state = str(row["state"])
        first_ms: Any = row["first_recv_ms"]
        listing.add(
            row["segment"], row["day"], row["bytes"], _clock(first_ms), state,
            state="green" if state == "stored" else "yellow",
        )  # fmt: skip
    listing.show()
    total = sum(one.size_bytes for one in segments)
    typer.echo(f"{counted(len(segments), 'segment')}, {size(total)}")


def _first_ms(directory: Path, segment: Segment) -> int | None:
    """When its first record was received; None: it has no record yet, or no readable one."""
    reader = JournalReader(directory, Position(segment.number, 0, -1))
    try:
        records = reader.read(max_bytes=4096)
    finally:
        reader.close()
    return records[0].recv_ts_ms if records and records[0].start.segment == segment.number else None


def _state(segment: Segment, cursor: Position | None) -> str:
    """Whether the writer has stored its contents."""
    if cursor is None or segment.number > cursor.segment:
        return "not stored" if segment.size_bytes else "empty"
    if segment.number < cursor.segment or cursor.offset >= segment.size_bytes:
        return "stored"
    return f"stored up to {cursor.offset:,}"


def _found(
    directory: Path, begin: Position, symbols: frozenset[str], *, events: bool, is_one_segment: bool
) -> Iterator[tuple[Record, Content]]:
    reader = JournalReader(directory, begin, at_rest=True)
    try:
        while records := reader.read():
            for record in records:
                if is_one_segment and record.start.segment != begin.segment:
                    return
                if events and record.kind != Kind.EVENT:
                    continue
                content = content_of(record)
                if not symbols or symbols.intersection(content.symbols):
                    yield record, content
    finally:
        reader.close()


def _show(found: Iterator[tuple[Record, Content]], limit: int, *, with_ticks: bool, as_json: bool) -> None:
    for number, (record, content) in enumerate(found, 1):
        if as_json:
            typer.echo(json.dumps(_as_json(record, content, with_ticks=with_ticks)))
        else:
            sys.stdout.write(_line(record, content))
            for tick in content.ticks if with_ticks else ():
                price, turnover = f"{tick.price:g}", f"{tick.turnover:,.2f}"
                what = f"{tick.symbol} {tick.sequence} {tick.time} {tick.volume:,} @ {price} = {turnover}"
                sys.stdout.write(f"    {plain(what)}\n")
        if number >= limit:
            if not as_json:
                place = record.end
                typer.echo(f"… go on with --segment {place.segment} --offset {place.offset}", err=True)
            return


def _as_json(record: Record, content: Content, *, with_ticks: bool) -> dict[str, Any]:
    told = {
        "segment": record.start.segment,
        "offset": record.start.offset,
        "record_no": record.start.record_no,
        "recv_ts_ms": record.recv_ts_ms,
        "session": record.session,
        "bytes": len(record.payload),
        **content._asdict(),
        "ticks": len(content.ticks),
    }
    return {**told, "ticks": [tick._asdict() for tick in content.ticks]} if with_ticks else told


def _line(record: Record, content: Content) -> str:
    place = f"{record.start.segment}:{record.start.offset}"
    if content.fields is not None:
        what = f"{content.name} {json.dumps(content.fields, ensure_ascii=False)}"
        what = what if len(what) <= _FIELDS_SHOWN else f"{what[:_FIELDS_SHOWN]}…"
    else:
        ticks = f", {counted(len(content.ticks), 'tick')} of {counted(len(content.symbols), 'symbol')}"
        what = content.name + (ticks if content.ticks else "")
    fault = f"  CAN'T BE READ: {content.fault}" if content.fault else ""
    return f"{place:>14}  {_clock(record.recv_ts_ms)}  session {record.session}  {plain(what + fault)}\n"


def _clock(ms: int | None) -> str:
    return plausible_text(ms)[:23] or "?"


def _check(directory: Path, segments: list[Segment], *, as_json: bool) -> bool:
    """Read all of it. Returns whether anything is damaged."""
    progress = Progress()
    total = sum(one.size_bytes for one in segments)
    last = segments[-1].number
    records = done = unreadable = 0
    times: list[int] = []
    reader = JournalReader(directory, Position(segments[0].number, 0, -1), at_rest=True)
    try:
        while some := reader.read():
            some = [record for record in some if record.start.segment <= last]
            if not some:
                break
            records += len(some)
            done += sum(record.end.offset - record.start.offset for record in some)
            unreadable += sum(bool(content_of(record).fault) for record in some)
            times = [min([*times, some[0].recv_ts_ms]), max([*times, some[-1].recv_ts_ms])]
            progress.tell("bytes checked", done, total)
        damages = [damage for damage in reader.damages if damage.segment <= last]
    finally:
        reader.close()
    if as_json:
        told = {
            "directory": str(directory.absolute()), "segments": len(segments), "bytes": total, "records": records,
            "unreadable": unreadable, "damages": [damage._asdict() for damage in damages],
        }  # fmt: skip
        typer.echo(json.dumps(told, indent=2))
        return bool(damages)
    if damages:
        listing = Listing(">segment", ">offset", ">skipped bytes", ">missing records")
        for damage in damages:
            listing.add(damage.segment, damage.offset, damage.skipped_bytes, damage.missing_records)
        listing.show()
    span = f", received {_clock(times[0])} to {_clock(times[1])} HK" if times else ""
    typer.echo(f"{counted(len(segments), 'segment')}, {size(total)}, {counted(records, 'record')}{span}")
    if unreadable:
        typer.echo(f"{counted(unreadable, 'record')} with something that can't be read: it is put aside in bad_ticks")
    typer.echo(f"{counted(len(damages), 'place')} damaged" if damages else "each byte is as it was written")
    return bool(damages)
