"""What a shell may complete: the days and the symbols of the DATA_ROOT that the half-typed command is about.

Never fails and never writes, to the terminal neither: what can't be read is not offered.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hk_tick_collector.errors import CollectorError

if TYPE_CHECKING:
    from collections.abc import Mapping

WORDS = ("today", "yesterday")


def completing(environ: Mapping[str, str] | None = None) -> list[str] | None:
    """The words typed so far, if a shell asks for completions; None: it does not, this is a call."""
    env = os.environ if environ is None else environ
    if not any(name.startswith("_") and name.endswith("_COMPLETE") for name in env):
        return None
    typed = env.get("_TYPER_COMPLETE_ARGS") or env.get("COMP_WORDS") or ""
    words = typed.split()[1:]
    return [*words, ""] if not typed or typed[-1].isspace() else words


def days(ctx: Any, incomplete: str) -> list[str]:  # noqa: ANN401 - typer's context, of whichever click it uses
    """The days that exist, newest first, and the words for a day."""
    from hk_tick_collector.parquet.opening import day_paths  # noqa: PLC0415 - as below

    plain = incomplete.replace("-", "").replace("/", "")
    try:
        found = [path.stem for path in reversed(day_paths(_root(ctx)))]
    except (CollectorError, OSError):
        found = []
    offered = [word for word in WORDS if word.startswith(incomplete)]
    return offered + [_like(day, incomplete) for day in found if day.startswith(plain)]


def symbols(ctx: Any, incomplete: str) -> list[str]:  # noqa: ANN401 - as above
    """The symbols of the newest day with ticks; `7` offers those with a 7 at the start of their number, too."""
    from hk_tick_collector.store.stored import newest_day_with_rows, read_stats  # noqa: PLC0415 - as above

    try:
        newest = newest_day_with_rows(_root(ctx))
        known = list(read_stats(newest)) if newest is not None else []
    except (CollectorError, OSError):
        known = []
    # A shell drops what does not begin as it was typed.
    if incomplete[:1].isdigit():
        plain = [symbol.removeprefix("HK.") for symbol in known]
        return [form for code in plain for form in (code, code.lstrip("0")) if form.startswith(incomplete)]
    if incomplete.islower():
        known = [symbol.lower() for symbol in known]
    return [symbol for symbol in known if symbol.startswith(incomplete)]


def directories(incomplete: str) -> list[str]:
    """Directories."""
    begun = Path(incomplete)
    parent = begun if incomplete.endswith("/") or not incomplete else begun.parent
    try:
        found = sorted(f"{path}/" for path in parent.iterdir() if path.is_dir() and not path.name.startswith("."))
    except OSError:
        found = []
    return [name for name in found if name.startswith(incomplete)]


def _root(ctx: Any) -> Path:  # noqa: ANN401 - as above
    from hk_tick_collector.cli.places import find_data_root  # noqa: PLC0415 - as above

    given = ctx.params
    return find_data_root(given.get("data_root"), given.get("config"), given.get("env_file"), announce=lambda _: None)


def _like(day: str, incomplete: str) -> str:
    """A day as it was begun: with dashes, slashes or neither."""
    between = next((mark for mark in "-/" if mark in incomplete), "")
    return between.join((day[:4], day[4:6], day[6:]))
