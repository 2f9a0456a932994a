"""`verify FILE.parquet`: whether an archived day still holds what its certificate says, on any machine."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Final

import typer

from hk_tick_collector.cli.dates import day_of
from hk_tick_collector.cli.listing import Listing
from hk_tick_collector.cli.progress import Progress
from hk_tick_collector.errors import ConfigError
from hk_tick_collector.parquet.proof import verify
from hk_tick_collector.text import counted, plain

if TYPE_CHECKING:
    from hk_tick_collector.parquet.proof import FileProof

_ADVICE: Final = "copy it again, and if it differs there too, put back a backup"


def file_named(written: str | None) -> Path | None:
    """The file that was written in the place of a day; None: it is a day, or nothing."""
    if written is None:
        return None
    path = Path(written)
    if path.name.lower().endswith(".parquet"):
        return path
    try:
        day_of(written)
    except ConfigError:
        return path if path.is_file() else None
    return None


def verify_file(path: Path, decoder: str | None, *, as_json: bool) -> None:
    """Prove a file; typer.Exit with 1 if anything differs.

    Raises:
        ConfigError: there is no such file, it is cut off, or another program made it.
        ArchiveError: its footer was changed, or the decoder can't decode it.
    """
    if not path.exists():
        raise ConfigError(f"there is no file {path}")
    proof = verify(path, decoder=decoder, progress=Progress().tell)
    if as_json:
        typer.echo(json.dumps(_as_dict(proof), indent=2))
    else:
        _show(proof)
    if not proof.ok:
        raise typer.Exit(1)


def _as_dict(proof: FileProof) -> dict[str, object]:
    told = {**proof._asdict(), "path": str(proof.path.absolute()), "ok": proof.ok}
    return {**told, "differences": [one._asdict() for one in proof.differences]}


def _show(proof: FileProof) -> None:
    of_symbols = [one for one in proof.differences if one.symbol is not None]
    if of_symbols:
        listing = Listing("symbol", ">ticks", ">certified", "what differs")
        for one in of_symbols:
            listing.add(one.symbol, one.rows, one.rows_certified, one.what)
        listing.show()
    for one in proof.differences:
        if one.symbol is None:
            typer.echo(plain(one.what, 2000))
    what = f"{proof.path.name}: {counted(proof.rows, 'tick')} of {counted(proof.symbols, 'symbol')} of {proof.day}"
    if proof.ok:
        typer.echo(f"{what}, each as certified; that day is {proof.verdict}")
        if not proof.has_checksums:
            typer.echo("another program has written this file again: its ticks are proven, its other bytes are not")
    else:
        some = f"{counted(len(of_symbols), 'symbol')} differ" + ("s" if len(of_symbols) == 1 else "")
        typer.echo(f"{what}, NOT as certified{f': {some}' if of_symbols else ''}; {_ADVICE}")
