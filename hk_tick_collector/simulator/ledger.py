"""The simulator's ledger: what the exchange made and what OpenD did with it, one JSON object per line, append-only.

Owns the format of the lines and of the file. Never judges: `verdict` does.

Invariant: a line is whole or absent. The writer truncates a torn last line that a killed run left; the reader skips it.
OpenD flushes the ledger before it pushes, so the ledger has every tick that a client can have received.

    {"k":"day","date":…,"symbols":n,"seed":…}          a market begins
    {"k":"w","s":symbol}                               a client has subscribed to it, the first one
    {"k":"t","s":symbol,"q":seq,"ts":ms,"p":price,"v":volume,"o":turnover,"d":direction,"y":type}    a trade was made
    {"k":"u","s":…,"q":…,"why":"upstream"|"frozen"|"down"|"restart"|"withheld"}    OpenD never got it, or has lost it
    {"k":"r","s":…,"q":…,"p":…,"v":…,"o":…}            the same sequence was sent again, with this content
    {"k":"c","s":…,"q":…,"v":…,"o":…}                  the exchange's totals count the trade so from now on
    {"k":"l","s":…,"q":…}                              its push was dropped on purpose
    {"k":"f","fault":…,"at":epoch s,"n":…,…}           a fault, and how much it touched
    {"k":"g","s":…,"n":…,"first":seq,"last":seq,"conn":id}    a GetTicker was answered
"""

from __future__ import annotations

import json
import time
from dataclasses import dataclass, field
from operator import itemgetter
from typing import TYPE_CHECKING, Any, NamedTuple

from hk_tick_collector.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

    from hk_tick_collector.simulator.tape import MadeTick

FLUSH_SEC = 0.2

# The fields that each kind of line must have.
_FIELDS: dict[str, frozenset[str]] = {
    "day": frozenset(),
    "w": frozenset("s"),
    "t": frozenset({"ts", *"sqpvody"}),
    "u": frozenset({"s", "q", "why"}),
    "r": frozenset("sqpvo"),
    "c": frozenset("sqvo"),
    "l": frozenset("sq"),
    "f": frozenset({"fault"}),
    "g": frozenset({"s", "n"}),
}

Key = tuple[str, int]
"""(symbol, seq)"""


class Content(NamedTuple):
    """The columns by which a stored row is compared; units as in MadeTick."""

    ts_ms: int
    price: float
    volume: int
    turnover: float
    direction: int
    tick_type: int


class Revision(NamedTuple):
    """New content that was sent under an existing sequence."""

    symbol: str
    seq: int
    price: float
    volume: int
    turnover: float


@dataclass(slots=True)
class Ledger:
    """A ledger in memory, for tests and small runs; about 0.5 KB per tick.

    Attributes:
        days: the headers.
        watched: the symbols that were ever subscribed.
        ticks: what was made.
        unreachable: why OpenD does not have the tick.
        revisions: in the order in which they were sent.
        counted: (volume, turnover) that the totals count for a trade now, if changed.
        lost: pushes dropped on purpose.
        faults: as written.
        gets: GetTicker replies, as written.
    """

    days: list[dict[str, Any]] = field(default_factory=list)
    watched: set[str] = field(default_factory=set)
    ticks: dict[Key, Content] = field(default_factory=dict)
    unreachable: dict[Key, str] = field(default_factory=dict)
    revisions: list[Revision] = field(default_factory=list)
    counted: dict[Key, tuple[int, float]] = field(default_factory=dict)
    lost: set[Key] = field(default_factory=set)
    faults: list[dict[str, Any]] = field(default_factory=list)
    gets: list[dict[str, Any]] = field(default_factory=list)


class LedgerWriter:
    """Appends lines, buffered.

    An append flushes by itself when the oldest waiting line is 0.2 s old. `flush_due`, called at every step, does so
    when no more lines come.
    """

    def __init__(self, path: Path, *, clock: Callable[[], float] = time.monotonic) -> None:
        """Open for appending and truncate a torn last line. `clock` returns monotonic seconds."""
        whole = _whole_bytes(path) if path.exists() else 0
        self._file = path.open("ab", buffering=0)
        if whole < self._file.tell():
            self._file.truncate(whole)
        self._clock = clock
        self._waiting: list[str] = []
        self._since = 0.0

    def tick(self, tick: MadeTick) -> None:
        """Append one trade that was made."""
        self.ticks((tick,))

    def ticks(self, ticks: Iterable[MadeTick]) -> None:
        """Append trades that were made, in order."""
        # Formatted by hand: five times as fast as json.dumps, and a float's repr is its JSON.
        self._append(
            [
                f'{{"k":"t","s":"{symbol}","q":{seq},"ts":{ts_ms},"p":{price!r},"v":{volume},"o":{turnover!r},'
                f'"d":{direction},"y":{tick_type}}}\n'
                for symbol, seq, ts_ms, _, price, volume, turnover, direction, tick_type in ticks
            ]
        )

    def note(self, kind: str, **fields: object) -> None:
        """Append any other line: `note("f", fault="cut", at=…, n=1)`."""
        self._append([json.dumps({"k": kind, **fields}, separators=(",", ":")) + "\n"])

    def flush_due(self) -> None:
        """Flush if the oldest waiting line is 0.2 s old."""
        if self._waiting and self._clock() - self._since >= FLUSH_SEC:
            self.flush()

    def flush(self) -> None:
        """Hand all lines to the operating system: they survive a crash of this process, but not a power cut."""
        if self._waiting:
            data = memoryview("".join(self._waiting).encode())
            self._waiting.clear()
            while data:  # a write to a file may be short
                data = data[self._file.write(data) :]

    def close(self) -> None:
        """Flush and close."""
        self.flush()
        self._file.close()

    def _append(self, lines: list[str]) -> None:
        if not self._waiting:
            self._since = self._clock()
        self._waiting += lines
        self.flush_due()


def _whole_bytes(path: Path) -> int:
    """The size of the file up to the end of its last whole line."""
    size = path.stat().st_size
    with path.open("rb") as file:
        tail_from = max(0, size - 65_536)
        file.seek(tail_from)
        last = file.read().rfind(b"\n")
    if last < 0 and tail_from:
        raise ConfigError(f"{path} ends with a line of more than 64 KiB: not a ledger")
    return tail_from + last + 1


def iter_ledger(path: Path) -> Iterator[dict[str, Any]]:
    """The ledger's lines, decoded, in order; a torn last line is skipped.

    Raises:
        ConfigError: no such file, or a line in it is not a ledger line.
    """
    if not path.is_file():
        raise ConfigError(f"no ledger at {path}")
    with path.open("rb") as file:
        for number, line in enumerate(file, 1):
            if not line.endswith(b"\n"):
                return
            try:
                entry = json.loads(line)
            except ValueError as exc:
                raise ConfigError(f"{path}, line {number}, is no JSON: {exc}") from exc
            fields = _FIELDS.get(str(entry.get("k"))) if isinstance(entry, dict) else None
            if fields is None or not entry.keys() >= fields:
                raise ConfigError(f"{path}, line {number}, is no ledger line: {line[:80]!r}")
            yield entry


tick_row: Callable[[dict[str, Any]], tuple[Any, ...]] = itemgetter("s", "q", "ts", "p", "v", "o", "d", "y")
"""A "t" line as (symbol, seq, *Content)."""


def revision_of(entry: dict[str, Any]) -> Revision:
    """An "r" line as a Revision."""
    return Revision(entry["s"], entry["q"], entry["p"], entry["v"], entry["o"])


def read_ledger(path: Path) -> Ledger:
    """Read the whole ledger.

    Raises:
        ConfigError: as in `iter_ledger`, or a trade was made twice.
    """
    ledger = Ledger()
    as_written = {"f": ledger.faults, "g": ledger.gets, "day": ledger.days}
    for entry in iter_ledger(path):
        match entry["k"]:
            case "t":
                symbol, seq, *content = tick_row(entry)
                if (symbol, seq) in ledger.ticks:
                    raise ConfigError(f"{path}: {symbol} {seq} was made twice; one ledger for each simulated day")
                ledger.ticks[symbol, seq] = Content(*content)
            case "w":
                ledger.watched.add(entry["s"])
            case "u":
                ledger.unreachable[entry["s"], entry["q"]] = entry["why"]
            case "r":
                ledger.revisions.append(revision_of(entry))
            case "c":
                ledger.counted[entry["s"], entry["q"]] = (entry["v"], entry["o"])
            case "l":
                ledger.lost.add((entry["s"], entry["q"]))
            case kind:
                as_written[kind].append(entry)
    return ledger
