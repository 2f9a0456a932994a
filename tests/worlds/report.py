"""Many worlds told and judged, and the rates of wrong conclusions by weather.

Owns the processes, the directories, and the table.
"""

from __future__ import annotations

import gc
import multiprocessing
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

from structlog.testing import capture_logs

from worlds.rates import FORBIDDEN, Fault, Rates, alarms_max, judge, lines, too_many
from worlds.telling import tell
from worlds.weathers import Weather
from worlds.world import draw

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from worlds.rates import SymbolDay
    from worlds.telling import Outcome
    from worlds.world import World

_MEMORY: Final = Path("/dev/shm")  # noqa: S108 - each world gets a directory of its own there
_CHUNK: Final = 20
_TITLES: Final = (
    *("worlds", "days", "COMPLETE", "filled", "hidden", "alarm", "doubled", "lost"),
    *("COMPLETE", "INCOMPLETE"),
)
_WIDTHS: Final = (8, 8, 10, 8, 8, 7, 9, 6, 10, 12)


class Result(NamedTuple):
    """What became of a world."""

    seed: int
    weathers: frozenset[Weather]
    has_losses: bool
    days: list[SymbolDay]


def play(seed: int) -> tuple[World, Outcome]:
    """Draw a world and tell it, in a directory that is gone afterwards."""
    world = draw(seed)
    place = tempfile.mkdtemp(prefix="world-", dir=_MEMORY if _MEMORY.is_dir() else None)
    try:
        with capture_logs():
            return world, tell(world, Path(place))
    finally:
        shutil.rmtree(place)


def result(seed: int) -> Result:
    """Play a world and judge what was made of it."""
    world, outcome = play(seed)
    return Result(seed, world.plan.weathers, world.plan.has_losses, judge(world, outcome))


def results(seeds: range, processes: int) -> Iterator[Result]:
    """Play many, in their order."""
    context = multiprocessing.get_context("spawn")
    with context.Pool(processes, initializer=_prepare) as pool:
        yield from pool.imap(result, seeds, chunksize=_CHUNK)


def _prepare() -> None:
    """A world makes many objects and frees them all without cycles."""
    gc.freeze()
    gc.set_threshold(200_000)


class Report:
    """The rates of many worlds."""

    def __init__(self) -> None:
        self.total = Rates()
        self.rows: dict[str, Rates] = {"nothing wrong": Rates(), "losses alone": Rates()}
        for weather in Weather:
            self.rows[str(weather)] = Rates()
            self.rows[f"{weather}, mixed"] = Rates()
        self._by_limit: dict[int | None, Rates] = {}

    def add(self, found: Result) -> None:
        """Add a world."""
        limit = alarms_max(found.weathers)
        for rates in (self.total, self._by_limit.setdefault(limit, Rates()), *self._rows_of(found)):
            rates.add(found.seed, found.days)

    def _rows_of(self, found: Result) -> Iterable[Rates]:
        if not found.weathers:
            return [self.rows["losses alone" if found.has_losses else "nothing wrong"]]
        mixed = ", mixed" if len(found.weathers) > 1 else ""
        return [self.rows[f"{weather}{mixed}"] for weather in found.weathers]

    @property
    def broken(self) -> list[str]:
        """The limits that are broken."""
        found = [line for fault in FORBIDDEN for line in too_many(self.total, fault)]
        for most, rates in self._by_limit.items():
            if most is not None:
                found += too_many(rates, Fault.FALSE_ALARM, most)
        return found

    def told(self) -> dict[str, object]:
        """For JSON."""
        rows = {name: rates.told() for name, rates in self.rows.items() if rates.worlds}
        return {"rows": rows, "total": self.total.told(), "broken": self.broken}

    def table(self) -> Iterator[str]:
        """For people: counts of symbol-days, and in the last two columns shares of them."""
        yield _row("", ("", "", "false", "false", "", "false", "rows", "rows", "lossless", "lossy"))
        yield _row("weather", _TITLES)
        for name, rates in (*self.rows.items(), ("all", self.total)):
            if rates.worlds:
                yield _line(name, rates)
        yield from self.broken


def _line(name: str, rates: Rates) -> str:
    shares = (rates.share(rates.complete, rates.lossless), rates.share(rates.incomplete, rates.days - rates.lossless))
    told = ("-" if share is None else f"{share:.1f} %" for share in shares)
    return _row(name, (rates.worlds, rates.days, *(rates.faults[fault] for fault in Fault), *told))


def _row(name: str, cells: Iterable[object]) -> str:
    return f"{name:34}" + "".join(f"{cell:>{width}}" for cell, width in zip(cells, _WIDTHS, strict=True))


def shown(seed: int) -> Iterator[str]:
    """One world, what was made of it, and what is wrong with that."""
    return lines(*play(seed))
