"""`days`: all days that were recorded, and how complete each is."""

from __future__ import annotations

import json
import sys
from contextlib import closing
from pathlib import Path  # noqa: TC003 - typer reads it
from typing import TYPE_CHECKING, Final, NamedTuple

import typer

from hk_tick_collector.cli.dates import day_range, one_day
from hk_tick_collector.cli.gap_outages import amount_text
from hk_tick_collector.cli.listing import VERDICT_COLOURS, Listing
from hk_tick_collector.cli.options import (  # noqa: TC001 - typer reads them
    AnyDay,
    AsJson,
    ConfigFile,
    DataRoot,
    DayOption,
    EnvFile,
    FromDay,
    ToDay,
)
from hk_tick_collector.cli.places import data_root_of
from hk_tick_collector.cli.progress import Progress
from hk_tick_collector.errors import ConfigError, DatabaseError
from hk_tick_collector.hktime import hk_day, hk_text
from hk_tick_collector.journal.cursor import load_waits, waits_for
from hk_tick_collector.journal.segments import DIRECTORY
from hk_tick_collector.parquet.layout import is_archived
from hk_tick_collector.seal.catalog import Catalog
from hk_tick_collector.seal.due import now_ms
from hk_tick_collector.seal.recheck_archive import archive_bytes
from hk_tick_collector.seal.witnesses import text_of, witnesses
from hk_tick_collector.store.data_root import read_recorder
from hk_tick_collector.store.other_disks import is_there
from hk_tick_collector.store.sealed import is_sealed
from hk_tick_collector.store.stored import future_days
from hk_tick_collector.text import counted, plain, size

if TYPE_CHECKING:
    from hk_tick_collector.journal.cursor import Wait
    from hk_tick_collector.seal.catalog import DayRow
    from hk_tick_collector.seal.witnesses import Witness

_DATE: Final = 10  # `2026-11-20` of a time
_NO_LEDGER: Final = "an older version recorded it, which kept no ledger: what was lost is not known"
_NOTES_SHOWN: Final = 10  # the newest days


def days_command(  # noqa: PLR0913 - each is an option
    written: AnyDay = None,
    *,
    day: DayOption = None,
    since: FromDay = None,
    until: ToDay = None,
    as_json: AsJson = False,
    data_root: DataRoot = None,
    config: ConfigFile = None,
    env_file: EnvFile = None,
) -> None:
    """List the recorded days: verdict or state, ticks, what was lost, and size."""
    root = data_root_of(data_root, config, env_file)
    begin, end = day_range(one_day(written, day), since, until)
    with closing(Catalog(root, Progress().tell)) as catalog:
        rows = catalog.days(begin, end)
        seen_by = witnesses(root, catalog.connection)
    states = States(root)
    if states.fault:
        sys.stderr.write(f"{states.fault}\n")
    if as_json:
        told = [
            {
                "state": states.of(row),
                **{name: value for name, value in row._asdict().items() if name != "files"},
                "witnesses": [one._asdict() for one in seen_by.get(row.day, ())],
            }
            for row in rows
        ]
        typer.echo(json.dumps({"data_root": str(root.absolute()), "days": told}, indent=2))
        return
    if not rows:
        raise ConfigError(f"no day in {root.absolute()} to list")
    _show(rows, states)
    _show_witnesses({row.day: seen_by[row.day] for row in rows if row.day in seen_by})


class Described(NamedTuple):
    """A day's state in words, a note on it, and its colour."""

    state: str
    note: str
    colour: str


# By whether a recorder is running.
_TODAY: Final = {
    True: Described("recording", "it can be sealed once the day is over", "green"),
    False: Described("today", "no recorder is running", "yellow"),
}
_OVER: Final = {
    True: Described("not sealed", "the recorder seals it while the market is closed, once OpenD has answered", "dim"),
    False: Described("not sealed", "no recorder is running to seal it; `hk-tick-collector seal --due` does", "dim"),
}


class States:
    """The current state of the days in a DATA_ROOT."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._waits: dict[str, Wait] = {}
        self.fault = ""  # why it is not known which days wait
        try:
            self._waits = dict(load_waits(root / DIRECTORY))
        except OSError as exc:
            self.fault = f"it is not known which days wait: {exc.filename}: {exc.strerror}"
        self._today = hk_day(now_ms(root))
        self._future = set(future_days(root))
        self._is_recording = read_recorder(root)[0] is not None

    def of(self, row: DayRow) -> str:
        """The state by its name in the JSON.

        It is `live` (today's), `waiting` (its database can't be written), `over`, `sealed`, `archived` (its database
        was deleted), `away` (sealed, and its database is kept elsewhere), or `future` (its date is still to come: ticks
        with a wrong date created it).
        """
        database = self.root / f"{row.day}.db"
        if row.day in self._waits:
            return "waiting"
        if is_sealed(database):
            return "sealed" if _is_here(database) else "archived" if is_archived(database) else "away"
        if waits_for(self._waits, row.day):
            return "waiting"
        if row.day in self._future:
            return "future"
        return "live" if row.day >= self._today else "over"

    def described(self, row: DayRow) -> Described:
        """What a day that has no verdict shows in the place of one, and a note on why."""
        state = self.of(row)
        if row.fault is not None:
            return Described("FAULT", row.fault, "red")
        if state == "waiting":
            return Described("waiting", f"its database can't be written: {self._reason(row.day)}", "yellow")
        if state == "future":
            return Described("future", "this day has not come yet: ticks with a wrong date made it", "yellow")
        return _TODAY[self._is_recording] if state == "live" else _OVER[self._is_recording]

    def _reason(self, day: str) -> str:
        wait: Wait | None = self._waits.get(day) or next(iter(self._waits.values()), None)
        return "" if wait is None else plain(wait.reason)


def _is_here(database: Path) -> bool:
    try:
        return is_there(database)
    except DatabaseError:
        return False


def _show(rows: list[DayRow], states: States) -> None:
    listing = Listing("day", "verdict", ">complete", ">ticks", ">lost", ">size", "sealed")
    notes: dict[str, list[str]] = {}  # by note, the days
    for row in rows:
        described = None if row.verdict else states.described(row)
        verdict = row.verdict or (described.state if described else "")
        sealed = "" if row.sealed_ms is None else hk_text(row.sealed_ms)[:_DATE]
        state = states.of(row)
        if row.verdict and state == "away":
            notes.setdefault("sealed, and kept elsewhere", []).append(row.day)
        if row.verdict and state in {"away", "archived"}:
            sealed = f"{sealed} {state}"
        if _has_no_ledger(row):
            notes.setdefault(_NO_LEDGER, []).append(row.day)
        if row.imported:
            sealed = f"{sealed} imported".lstrip()
        if described is not None:
            notes.setdefault(described.note, []).append(row.day)
        complete = f"{row.complete:,} of {row.symbols:,}" if row.complete is not None else None
        listing.add(
            row.day, verdict, complete, row.rows, _lost(row), _size(row, states, state), sealed,
            verdict=VERDICT_COLOURS.get(verdict) or (described.colour if described else "dim"),
            lost="red" if row.gaps_open else "",
        )  # fmt: skip
    listing.show("sealed", "size")
    for note, days in list(notes.items())[-_NOTES_SHOWN:]:
        typer.echo(f"{_those(days)}: {note}")


def _show_witnesses(seen_by: dict[str, list[Witness]]) -> None:
    """What other recorders confirm: days of which they confirm the same in one line."""
    notes: dict[str, list[str]] = {}
    for day, found in seen_by.items():
        for one in found:
            notes.setdefault(text_of(one), []).append(day)
    for note, days in list(notes.items())[-_NOTES_SHOWN:]:
        typer.echo(f"{_those(days)}: {plain(note)}")


def _those(days: list[str]) -> str:
    return days[0] if len(days) == 1 else f"{counted(len(days), 'day')} ({days[0]} to {days[-1]})"


def _size(row: DayRow, states: States, state: str) -> str | None:
    """What the day takes on the disk now."""
    taken = archive_bytes(states.root / f"{row.day}.db") if state == "archived" else row.bytes
    return None if taken is None else size(taken)


def _has_no_ledger(row: DayRow) -> bool:
    """Whether the day can be read, but an older version recorded it, which did not keep what was lost."""
    return row.gaps_open is None and row.fault is None


def _lost(row: DayRow) -> str | None:
    """What open gaps say is missing: ticks if they are counted, else shares."""
    if row.gaps_open is None:
        return "?" if _has_no_ledger(row) else None
    return amount_text(row.missing, row.missing_volume) if row.gaps_open else "-"
