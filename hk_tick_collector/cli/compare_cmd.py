"""`compare`: do two recorders hold the same trades of a day?"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from hk_tick_collector.cli.dates import day_of
from hk_tick_collector.cli.listing import Listing
from hk_tick_collector.cli.options import AsJson, ConfigFile, DataRoot, EnvFile  # noqa: TC001 - typer reads them
from hk_tick_collector.cli.places import data_root_of
from hk_tick_collector.errors import ConfigError
from hk_tick_collector.hktime import hk_text
from hk_tick_collector.seal import witnesses
from hk_tick_collector.seal.comparison import (
    DIFFERS,
    ONLY_MINE,
    ONLY_THEIRS,
    PARQUET,
    SAME,
    Side,
    compare,
    read_side,
    spans_of,
)
from hk_tick_collector.text import counted

if TYPE_CHECKING:
    from hk_tick_collector.seal.comparison import Comparison, SymbolComparison

_SPANS_SHOWN: Final = 3
_COLOURS: Final = {SAME: "green", DIFFERS: "red", ONLY_MINE: "yellow", ONLY_THEIRS: "yellow"}
_WHAT: Final = "a day's certificate, its ticks.parquet, or a day in DATA_ROOT"

_Mine = Annotated[str, typer.Argument(metavar="MINE", help=f"{_WHAT[0].upper()}{_WHAT[1:]}.", show_default=False)]
_Theirs = Annotated[str, typer.Argument(metavar="OTHERS", help="The same of another recorder.", show_default=False)]


def compare_command(  # noqa: PLR0913 - each is an option
    mine: _Mine,
    theirs: _Theirs,
    *,
    each: Annotated[bool, typer.Option("--all", help="Show each symbol, also those that are the same.")] = False,
    witness: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Keep the other recorder's certificate, under this name, as a witness."),
    ] = None,
    as_json: AsJson = False,
    data_root: DataRoot = None,
    config: ConfigFile = None,
    env_file: EnvFile = None,
) -> None:
    """Do two recorders hold the same trades of a day? Their certificates are enough (exit 0 or 1).

    What an independent recorder confirms is witnessed. It changes no verdict, since both may lack the same tick.
    """
    name = None if witness is None else witnesses.check_name(witness)
    root = _Root(data_root, config, env_file)
    sides = [read_side(_path_of(written, root)) for written in (mine, theirs)]
    found = compare(*sides)
    kept = None
    if name is not None:
        kept = witnesses.keep(root.path, name, sides[0].certificate, sides[1].certificate)
    code = int(not found.confirms)
    if as_json:
        typer.echo(json.dumps({**_as_dict(found, sides), "witness": kept and str(kept), "exit_code": code}, indent=2))
    else:
        _show(found, is_each=each)
        if kept is not None:
            typer.echo(f"kept as {kept}")
    raise typer.Exit(code)


class _Root:
    """DATA_ROOT, looked for only if it is needed: two certificates can be compared anywhere."""

    def __init__(self, data_root: str | None, config: Path | None, env_file: Path | None) -> None:
        self._given = (data_root, config, env_file)
        self._found: Path | None = None

    @property
    def path(self) -> Path:
        """The directory."""
        if self._found is None:
            self._found = data_root_of(*self._given)
        return self._found


def _path_of(written: str, root: _Root) -> Path:
    """The file that was meant: a path, or a day's certificate."""
    path = Path(written)
    if path.name.lower().endswith((PARQUET, ".json")):
        return path
    try:
        day = day_of(written)
    except ConfigError as exc:
        if path.is_file():
            return path
        raise ConfigError(f"{written!r} is neither a file nor a day, expected {_WHAT}") from exc
    certificate = root.path / f"{day}.certificate.json"
    if not certificate.exists():
        raise ConfigError(f"{day} is not sealed in {root.path.absolute()}: there is no certificate to compare")
    return certificate


def _show(found: Comparison, *, is_each: bool) -> None:
    """The conclusion first, then the symbols that are not the same."""
    typer.secho(_conclusion(found), bold=sys.stdout.isatty() and not os.environ.get("NO_COLOR"))
    for note in found.notes:
        typer.echo(note)
    shown = [one for one in found.symbols if is_each or one.trades != SAME]
    if not shown:
        return
    listing = Listing("symbol", "trades", ">mine", ">theirs", ">shares", "when they differ", "first", "last")
    for one in shown:
        listing.add(*_cells(one), trades=_COLOURS[one.trades])
    typer.echo("")
    listing.show("last", "first", "shares")
    typer.echo("\nmine, theirs: ticks; a → b: mine → theirs; times of Hong Kong")


def _conclusion(found: Comparison) -> str:
    same, common = found.count(SAME), found.count(SAME) + found.count(DIFFERS)
    if not common:
        told = "no symbol is in both, so nothing is confirmed"
    elif same == common:
        told = f"both hold exactly the same trades of {_all(common)}"
    else:
        rest = f"; both hold exactly the same trades of the other {same:,}" if same else ""
        told = f"{common - same:,} of {counted(common, 'symbol')} differ{rest}"
    for trades, where in ((ONLY_MINE, "mine"), (ONLY_THEIRS, "theirs")):
        if count := found.count(trades):
            told += f"; {counted(count, 'symbol')} only in {where}"
    return f"{found.day}: {told}"


def _all(count: int) -> str:
    return "the only symbol" if count == 1 else f"all {count:,} symbols"


def _cells(one: SymbolComparison) -> list[object]:
    mine, theirs = one.mine, one.theirs
    rows = [None if side is None else side.rows for side in (mine, theirs)]
    shares = first = last = None
    if mine is not None and theirs is not None:
        shares = _both(f"{mine.volume:,}", f"{theirs.volume:,}")
        first = _both(_seq(mine.first_seq), _seq(theirs.first_seq))
        last = _both(_seq(mine.last_seq), _seq(theirs.last_seq))
    when = ""
    if one.quarters:
        spans = spans_of(one.quarters)
        more = f" and {len(spans) - _SPANS_SHOWN} more" if len(spans) > _SPANS_SHOWN else ""
        when = ", ".join(spans[:_SPANS_SHOWN]) + more
    return [one.symbol, one.trades, *rows, shares, when, first, last]


def _both(mine: str, theirs: str) -> str:
    return "" if mine == theirs else f"{mine} → {theirs}"


def _seq(seq: int | None) -> str:
    """A sequence as people read it: the second of the trade, and the ordinal; else the number."""
    if seq is None:
        return "none"
    seconds, ordinal = seq >> 32, seq & 0xFFFFFFFF
    try:
        return f"{hk_text(seconds * 1000)[11:19]} #{ordinal}"
    except (OverflowError, ValueError, OSError):
        return str(seq)


def _as_dict(found: Comparison, sides: list[Side]) -> dict[str, Any]:
    return {
        "day": found.day,
        "mine": str(sides[0].path),
        "theirs": str(sides[1].path),
        "same": found.count(SAME),
        "differs": found.count(DIFFERS),
        "only_mine": found.count(ONLY_MINE),
        "only_theirs": found.count(ONLY_THEIRS),
        "notes": list(found.notes),
        "symbols": [
            {
                "symbol": one.symbol,
                "trades": one.trades.replace(" ", "_"),
                "mine": one.mine and one.mine._asdict(),
                "theirs": one.theirs and one.theirs._asdict(),
                "differ_at": None if one.quarters is None else spans_of(one.quarters),
            }
            for one in found.symbols
        ],
    }
