"""What a proof costs: the hashes of a day from SQLite, with and without quarter-hours, and from its Parquet file."""

from __future__ import annotations

import datetime as dt
import statistics
import time
from contextlib import closing
from typing import TYPE_CHECKING, Final, NamedTuple

from bench.whole_days import make_day
from hk_tick_collector.parquet.proof import verify
from hk_tick_collector.parquet.writing import write_ticks
from hk_tick_collector.seal.certificate import hash_symbols
from hk_tick_collector.seal.day import seal, sealing
from hk_tick_collector.store import certificate_file
from hk_tick_collector.store.opening import open_readonly
from hk_tick_collector.store.quarters import Counting, quarters_of
from hk_tick_collector.store.sealed import certificate_of

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import apsw

DATE: Final = dt.date(2026, 11, 20)
SYMBOLS: Final = 900


class Costs(NamedTuple):
    """CPU seconds, each the median of its rounds, and bytes.

    Attributes:
        ticks: of the day.
        hashes: from SQLite, by symbol.
        quarters: the same, by symbol and quarter-hour: what a sealing does.
        file: from the Parquet file, with all checks of `verify`.
        writing: reading SQLite and writing the Parquet file.
        file_bytes: of the Parquet file.
        side_bytes: of the certificate's side file.
    """

    ticks: int
    hashes: float
    quarters: float
    file: float
    writing: float
    file_bytes: int
    side_bytes: int


def measure(directory: Path, ticks: int, rounds: int) -> Costs:
    """Make a day, and take turns at it: a machine that others use is slow for all of them at once."""
    database = make_day(directory, DATE, ticks=ticks, symbols=SYMBOLS)
    with sealing(directory) as lock:
        seal(database, lock, _silent)
    certificate = certificate_file.read(certificate_of(database))
    rows, path = certificate["rows"], directory / "ticks.parquet"
    with closing(open_readonly(database)) as con:
        works = {
            "hashes": lambda: _hash(con, rows, None),
            "quarters": lambda: _hash(con, rows, Counting(database.stem)),
            "writing": lambda: write_ticks(con, path, certificate, _silent),
            "file": lambda: _verify(path),
        }
        spent: dict[str, list[float]] = {name: [] for name in works}
        for _ in range(rounds):
            for name, work in works.items():
                spent[name].append(_cpu_sec(work))
    side = quarters_of(certificate_of(database)).stat().st_size
    medians = {name: statistics.median(each) for name, each in spent.items()}
    return Costs(ticks=rows, file_bytes=path.stat().st_size, side_bytes=side, **medians)


def _hash(con: apsw.Connection, rows: int, quarters: Counting | None) -> None:
    hash_symbols(con, f"{DATE:%Y%m%d}", rows, _silent, quarters)


def _verify(path: Path) -> None:
    proof = verify(path)
    if not proof.ok:
        raise AssertionError(proof.differences)


def _cpu_sec(work: Callable[[], object]) -> float:
    began = time.process_time()
    work()
    return time.process_time() - began


def _silent(*_: object) -> None:
    pass
