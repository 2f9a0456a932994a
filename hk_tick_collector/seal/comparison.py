"""Two recorders compare a day by their certificates, without exchanging the data.

Owns what is said of each symbol: both hold exactly the same trades, or how they differ. Equal hashes mean equal trades,
whatever way each tick came. Never changes a verdict: what two recorders agree on, both may lack.
"""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from hk_tick_collector.errors import ArchiveError, ConfigError, DatabaseError, ForeignFileError
from hk_tick_collector.parquet.ticks_file import TicksFile
from hk_tick_collector.store import certificate_file, quarters
from hk_tick_collector.store.certificate_file import READABLE, hash_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from hk_tick_collector.seal.certificate import Certificate
    from hk_tick_collector.store.quarters import Quarters

SAME: Final = "same"
DIFFERS: Final = "differs"
ONLY_MINE: Final = "only mine"
ONLY_THEIRS: Final = "only theirs"
PARQUET: Final = ".parquet"


class Side(NamedTuple):
    """One recorder's account of a day.

    Attributes:
        path: where its certificate was read from.
        certificate: checked by its own hash.
        quarters: by quarter-hour; None: not known.
        note: why they are not known; "": they are.
    """

    path: Path
    certificate: Certificate
    quarters: Quarters | None
    note: str


class Figures(NamedTuple):
    """What a certificate has of a symbol: ticks, shares, and the first and last sequence (None: no real one)."""

    rows: int
    volume: int
    first_seq: int | None
    last_seq: int | None


class SymbolComparison(NamedTuple):
    """What is said of a symbol.

    Attributes:
        symbol: which.
        trades: `same`, `differs`, `only mine` or `only theirs`.
        mine: figures; None: not in my certificate.
        theirs: figures; None: not in theirs.
        quarters: the numbers of the quarter-hours that differ, from midnight in Hong Kong; None: not known.
    """

    symbol: str
    trades: str
    mine: Figures | None
    theirs: Figures | None
    quarters: tuple[int, ...] | None


class Comparison(NamedTuple):
    """What is said of a day.

    Attributes:
        day: YYYYMMDD.
        symbols: those that are not the same first, each kind by name.
        notes: why it is not known when some differ; and whether the two are not independent.
    """

    day: str
    symbols: tuple[SymbolComparison, ...]
    notes: tuple[str, ...]

    def count(self, trades: str) -> int:
        """How many symbols there are of a kind."""
        return sum(one.trades == trades for one in self.symbols)

    @property
    def confirms(self) -> bool:
        """Whether both hold the same trades of each symbol that both have, of at least one."""
        return self.count(SAME) > 0 and not self.count(DIFFERS)


def read_side(path: Path, *, with_quarters: bool = True) -> Side:
    """Read a certificate, or that in a `ticks.parquet`; and the quarter-hours beside it, if they are wanted.

    Raises:
        ConfigError: it can't be read, has a newer version, or was edited.
        MissingExtraError: it is a Parquet file, and pyarrow is not installed.
    """
    try:
        if path.name.lower().endswith(PARQUET):
            certificate = _in_parquet(path)
            day = certificate["day"]
            beside = [path.with_name(f"{day}.quarters.json")]
        else:
            certificate = certificate_file.read(path)
            beside = [quarters.quarters_of(path), path.with_name(f"{certificate['day']}.quarters.json")]
        _check(path, certificate)
        found, note = _quarters(beside, certificate) if with_quarters else (None, "")
    except (DatabaseError, ArchiveError) as exc:
        raise ConfigError(str(exc)) from exc
    except OSError as exc:
        raise ConfigError(f"{exc.filename or path} can't be read: {exc.strerror or exc}") from exc
    return Side(path, certificate, found, note)


def _check(path: Path, certificate: Certificate) -> None:
    """Refuse what another program may have written: its own hash proves only that nobody has changed it since."""
    try:
        odd = [one["symbol"] for one in certificate["symbols"] if not _is_entry(one)]
        is_day = isinstance(certificate["day"], str) and isinstance(certificate["database"]["sha256"], str)
    except (KeyError, TypeError) as exc:
        raise ConfigError(f"{path} makes no sense as a certificate: {exc}") from exc
    if odd or not is_day:
        raise ConfigError(f"{path} makes no sense as a certificate: {f'the entry of {odd[0]!r}' if odd else 'its day'}")


def _is_entry(told: dict[str, Any]) -> bool:
    texts, numbers, seqs = (told["symbol"], told["hash"]), (told["rows"], told["volume"]), _figures(told)[2:]
    return (
        all(isinstance(value, str) for value in texts)
        and all(isinstance(value, int) for value in numbers)
        and all(isinstance(value, int | None) for value in seqs)
    )


def _in_parquet(path: Path) -> Certificate:
    with TicksFile(path) as file:
        found: Certificate = file.certificate
    if found.get("self") != hash_of(found):
        raise ConfigError(f"the certificate in {path} was modified: its contents do not match its hash")
    if found.get("version") not in READABLE:
        raise ForeignFileError(f"the certificate in {path} has version {found.get('version')}: upgrade")
    return found


def _quarters(beside: list[Path], certificate: Certificate) -> tuple[Quarters | None, str]:
    if "quarters" not in certificate:
        return None, "no quarter-hour hashes: an older version sealed it"
    for path in beside:
        found = quarters.read(path, certificate)
        if found is not None:
            return found, ""
    changed = next((path for path in beside if path.exists()), None)
    if changed is not None:
        return None, f"no quarter-hour hashes: {changed.name} is not the one that the certificate names"
    return None, f"no quarter-hour hashes: {certificate['quarters']['name']} is not beside it"


def compare(mine: Side, theirs: Side) -> Comparison:
    """Compare two accounts of a day.

    Raises:
        ConfigError: they are of different days.
    """
    days = [side.certificate["day"] for side in (mine, theirs)]
    if days[0] != days[1]:
        raise ConfigError(f"{mine.path} is of {days[0]}, {theirs.path} of {days[1]}: expected two of the same day")
    ours, others = (_by_symbol(side.certificate) for side in (mine, theirs))
    found = [_compared(symbol, ours, others, mine, theirs) for symbol in sorted(ours.keys() | others.keys())]
    order = (DIFFERS, ONLY_MINE, ONLY_THEIRS, SAME)
    found.sort(key=lambda one: order.index(one.trades))
    return Comparison(days[0], tuple(found), tuple(_notes(mine, theirs, found)))


def _compared(
    symbol: str, ours: dict[str, dict[str, Any]], others: dict[str, dict[str, Any]], mine: Side, theirs: Side
) -> SymbolComparison:
    one, other = ours.get(symbol), others.get(symbol)
    figures = [None if told is None else _figures(told) for told in (one, other)]
    if one is None or other is None:
        return SymbolComparison(symbol, ONLY_THEIRS if one is None else ONLY_MINE, figures[0], figures[1], None)
    if is_same(one, other):
        return SymbolComparison(symbol, SAME, figures[0], figures[1], ())
    when = None
    if mine.quarters is not None and theirs.quarters is not None:
        a, b = (side.get(symbol, {}) for side in (mine.quarters, theirs.quarters))
        when = tuple(number for number in sorted(a.keys() | b.keys()) if a.get(number) != b.get(number))
    return SymbolComparison(symbol, DIFFERS, figures[0], figures[1], when)


def is_same(one: dict[str, Any], other: dict[str, Any]) -> bool:
    """Whether two certificates' entries of a symbol are of exactly the same trades."""
    return bool((one["rows"], one["hash"]) == (other["rows"], other["hash"]))


def _by_symbol(certificate: Certificate) -> dict[str, dict[str, Any]]:
    return {one["symbol"]: one for one in certificate["symbols"]}


def _figures(told: dict[str, Any]) -> Figures:
    return Figures(told["rows"], told["volume"], told["first_seq"], told["last_seq"])


def _notes(mine: Side, theirs: Side, found: list[SymbolComparison]) -> Iterator[str]:
    if (same := same_source(mine.certificate, theirs.certificate)) is not None:
        yield f"{same}: this confirms nothing"
    if any(one.trades == DIFFERS for one in found):
        for whose, side in (("mine", mine), ("theirs", theirs)):
            if side.note:
                yield f"{whose} has {side.note}; so it is not known when they differ"


def same_source(mine: Certificate, theirs: Certificate) -> str | None:
    """Why two certificates are not those of two recorders; None: nothing speaks against it."""
    if mine["self"] == theirs["self"]:
        return "both are the same certificate"
    if mine["database"]["sha256"] == theirs["database"]["sha256"]:
        return "both certify the same database, byte for byte"
    return None


def spans_of(numbers: tuple[int, ...]) -> list[str]:
    """Quarter-hours as times in Hong Kong, neighbours together: `10:15-10:45`."""
    ends = [0, *(at for at, (a, b) in enumerate(pairwise(numbers), 1) if b != a + 1), len(numbers)]
    return [
        f"{quarters.clock_of(numbers[begin])}-{quarters.clock_of(numbers[end - 1] + 1)}"
        for begin, end in pairwise(ends)
        if begin < end
    ]
