"""`rebuild`: derive a day's database again from the journal, and show the difference."""

from __future__ import annotations

import json
from contextlib import ExitStack
from pathlib import Path  # noqa: TC003 - typer reads it
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hk_tick_collector.cli.console import cell
from hk_tick_collector.cli.dates import one_day
from hk_tick_collector.cli.options import AsJson, ConfigFile, DataRoot, DayOption, EnvFile, OneDay  # noqa: TC001 - typer reads them
from hk_tick_collector.cli.places import data_root_of
from hk_tick_collector.cli.progress import Progress
from hk_tick_collector.errors import ConfigError
from hk_tick_collector.repair.compare import Difference, compare
from hk_tick_collector.repair.rebuild import (
    Derived,
    coverage,
    derive,
    empty_day,
    keep,
    not_stored_since,
    replace,
    snapshot,
    workplace,
)
from hk_tick_collector.repair.times import no_recorder
from hk_tick_collector.store.data_root import RECORDER_LOCK, WRITER_LOCK, is_locked
from hk_tick_collector.store.opening import is_empty
from hk_tick_collector.store.sealed import refuse_sealed
from hk_tick_collector.text import counted

if TYPE_CHECKING:
    from rich.console import Console

SYMBOLS_SHOWN = 20


class Outcome:
    """What a rebuild found and did."""

    def __init__(self, day: str, existing: Path) -> None:
        self.day = day
        self.existing = existing
        self.is_recorder_running = False
        self.is_new = False
        self.derived: Derived | None = None
        self.uncovered: list[str] = []
        self.difference = Difference((), {}, 0)
        self.kept: Path | None = None
        self.backup: Path | None = None
        self.is_replaced = False
        self.refused: str | None = None

    @property
    def exit_code(self) -> int:
        """0: the same, or replaced; 1: they differ, or the requested replacement was refused."""
        if self.is_replaced:
            return 0
        newer = self.difference.only_rebuilt_since
        differs = not self.difference.is_same and (
            self.difference.lost or self.difference.total("different") or self.difference.total("only_rebuilt") > newer
        )
        return int(bool(differs or self.refused))


def rebuild_command(  # noqa: PLR0913 - each is an option
    written: OneDay = None,
    *,
    day: DayOption = None,
    replace_it: Annotated[
        bool, typer.Option("--replace", help="Put it in the place of the existing database, which is kept as a backup.")
    ] = False,
    allow_loss: Annotated[
        bool, typer.Option("--allow-loss", help="Replace even if some rows are only in the existing database.")
    ] = False,
    keep_it: Annotated[bool, typer.Option("--keep", help="Keep it beside the existing one, as ….db.rebuilt.")] = False,
    data_root: DataRoot = None,
    as_json: AsJson = False,
    config: ConfigFile = None,
    env_file: EnvFile = None,
) -> None:
    """Derive a day from the journal again, and show what differs from its database."""
    root = data_root_of(data_root, config, env_file)
    name = one_day(written, day)
    if name is None:
        raise ConfigError("expected a DAY, such as yesterday or 20261120")
    if allow_loss and not replace_it:
        raise ConfigError("--allow-loss means nothing without --replace")
    outcome = Outcome(name, root / f"{name}.db")
    with ExitStack() as held:
        if replace_it:
            held.enter_context(no_recorder(root, "leave out --replace"))
            refuse_sealed(outcome.existing)
        scratch = held.enter_context(workplace(root, name))
        # With --replace this process holds the locks, so no recorder or writer runs.
        outcome.is_recorder_running = not replace_it and any(
            is_locked(root / name) for name in (RECORDER_LOCK, WRITER_LOCK)
        )
        _compare(outcome, root, scratch)
        if replace_it:
            _replace(outcome, allow_loss=allow_loss)
        elif keep_it:
            assert outcome.derived is not None
            outcome.kept = keep(outcome.derived, outcome.existing)
    if as_json:
        typer.echo(json.dumps(_as_dict(outcome), indent=2))
    else:
        from rich.console import Console  # noqa: PLC0415 - not for --json

        _show(Console(), outcome)
    raise typer.Exit(outcome.exit_code)


def _compare(outcome: Outcome, root: Path, scratch: Path) -> None:
    """Derive, and compare with the existing rows: they were received before the journal is read, so it has them."""
    progress = Progress()
    existing = outcome.existing
    since_ms = None
    outcome.is_new = not existing.exists() or is_empty(existing)
    if outcome.is_new:
        existing = empty_day(scratch)
    elif outcome.is_recorder_running:
        since_ms = not_stored_since(root)
        existing = snapshot(existing, scratch)
    outcome.derived = derive(
        root, outcome.day, scratch, lambda done, total: progress.tell("journal: bytes stored again", done, total)
    )
    outcome.uncovered = coverage(outcome.derived, outcome.day, existing)
    outcome.difference = compare(outcome.derived.path, existing, since_ms)


def _replace(outcome: Outcome, *, allow_loss: bool) -> None:
    assert outcome.derived is not None
    if outcome.difference.lost and not allow_loss:
        outcome.refused = (
            f"not replaced: {counted(outcome.difference.lost, 'row')} only in the existing database would be lost; "
            "--allow-loss replaces it all the same"
        )
        return
    outcome.backup = replace(keep(outcome.derived, outcome.existing), outcome.existing)
    outcome.is_replaced = True


def _as_dict(outcome: Outcome) -> dict[str, Any]:
    derived, difference = outcome.derived, outcome.difference
    assert derived is not None
    names = ("rebuilt", "existing", "only_rebuilt", "only_existing", "different", "received_otherwise")
    return {
        "day": outcome.day,
        "existing_database": None if outcome.is_new else str(outcome.existing),
        "recorder_running": outcome.is_recorder_running,
        "journal": {
            "segments": derived.segments,
            "bytes": derived.bytes,
            "rows": derived.rows,
            "damages": derived.damages,
            "rest_bytes": derived.rest_bytes,
            "covers_the_day": not outcome.uncovered,
            "uncovered": outcome.uncovered,
        },
        "same": difference.is_same,
        **{name: difference.total(name) for name in names},
        "not_stored_yet": difference.only_rebuilt_since,
        "only_existing_by_table": difference.only_existing_by_table,
        "symbols": [symbol._asdict() for symbol in difference.symbols if not symbol.is_same],
        "kept": str(outcome.kept) if outcome.kept else None,
        "replaced": outcome.is_replaced,
        "backup": str(outcome.backup) if outcome.backup else None,
        "refused": outcome.refused,
        "exit_code": outcome.exit_code,
    }


def _show(console: Console, outcome: Outcome) -> None:
    from rich.table import Table  # noqa: PLC0415

    derived, difference = outcome.derived, outcome.difference
    assert derived is not None
    console.print(
        f"journal: {counted(derived.rows, 'tick')} in {counted(derived.segments, 'segment')}, "
        f"{derived.bytes / 1e6:,.1f} MB",
        highlight=False,
    )
    for why in outcome.uncovered:
        console.print(f"not the whole day: {why}", style="red", highlight=False)
    if derived.rest_bytes and not outcome.is_recorder_running:
        console.print(
            f"{counted(derived.rest_bytes, 'byte')} after the last complete record (normal after a crash)",
            highlight=False,
        )
    if outcome.is_recorder_running:
        console.print("a recorder is at work: compared with what it had stored when this began", highlight=False)
    table = Table(header_style="bold", box=None, padding=(0, 2, 0, 0))
    table.add_column("symbol")
    names = ("rebuilt", "existing", "only_rebuilt", "only_existing", "different", "received_otherwise")
    for name in names:
        table.add_column(name.replace("_", " "), justify="right")
    differing = [symbol for symbol in difference.symbols if not symbol.is_same]
    for symbol in differing[:SYMBOLS_SHOWN]:
        table.add_row(cell(symbol.symbol), *(f"{getattr(symbol, name):,}" for name in names))
    table.add_row("all", *(f"{difference.total(name):,}" for name in names), style="bold")
    console.print(table)
    if len(differing) > SYMBOLS_SHOWN:
        console.print(
            f"… and {counted(len(differing) - SYMBOLS_SHOWN, 'more symbol')}, with differences: --json", style="dim"
        )
    _show_ends(console, outcome)


def _show_ends(console: Console, outcome: Outcome) -> None:
    difference = outcome.difference
    for name, count in difference.only_existing_by_table.items():
        if count:
            console.print(
                f"{name}: {counted(count, 'row')} only in the existing database", style="red", highlight=False
            )
    if difference.only_rebuilt_since:
        console.print(f"{difference.only_rebuilt_since:,} of them not stored yet", highlight=False)
    if difference.is_same:
        console.print("no difference", style="green")
    if outcome.is_new:
        console.print("there is no database of that day yet", highlight=False)
    if outcome.refused:
        console.print(outcome.refused, style="red", highlight=False, soft_wrap=True)
    for what, path in (("kept", outcome.kept), ("replaced; the old one is", outcome.backup)):
        if path:
            console.print(f"{what}: {path}", highlight=False, soft_wrap=True)
    if outcome.is_replaced and outcome.backup is None:
        console.print(f"made: {outcome.existing}", highlight=False, soft_wrap=True)
