"""`python -m bench.reading`: the read API beside the plain libraries, on the same day, in one run.

The machine may be shared and noisy, so only the ratios count. Each is the median of rounds in which ours and the plain
library alternate. CPU seconds are taken where both sides use one thread, since they vary less than the clock.
"""

from __future__ import annotations

import argparse
import datetime as dt
import json
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from rich.console import Console
from rich.table import Table

from bench.whole_days import make_day
from hk_tick_collector.parquet.arrow import SELECT
from hk_tick_collector.parquet.layout import ticks_path
from hk_tick_collector.parquet.writing import write_ticks
from hk_tick_collector.read.data_root import DataRoot
from hk_tick_collector.store.opening import open_readonly

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

DATE = dt.date(2026, 11, 20)
DAY = f"{DATE:%Y%m%d}"
MONTH_DAYS = 22
SYMBOL = "HK.00700"

# A plain reading of a whole day in pandas: the standard library's SQLite, in a process of its own.
READ_SQL = """
import sqlite3, sys, time
import pandas as pd
con = sqlite3.connect(f"file:{sys.argv[1]}?mode=ro", uri=True)
begin = time.process_time()
frame = pd.read_sql("SELECT * FROM ticks ORDER BY symbol, seq", con)
print(time.process_time() - begin)
"""
IMPORT = """
import time
begin = time.process_time()
{}
print(time.process_time() - begin)
"""


class Figure(NamedTuple):
    """One line of the table. `ok` is None where there is no target."""

    name: str
    value: float
    unit: str
    target: str
    ok: bool | None


class Reading:
    """All measurements of one run."""

    def __init__(self, live: Path, archived: Path, *, rounds: int) -> None:
        self.live = live
        self.archived = archived
        self.rounds = rounds
        con = open_readonly(live / f"{DAY}.db")
        self.rows = int(con.execute("SELECT sum(rows) FROM symbol_stats").get)
        con.close()

    def imports(self) -> Iterator[Figure]:
        """What a reader's first line costs, beside pyarrow."""
        ours, pyarrow = [], []
        for _ in range(max(5, self.rounds)):
            ours.append(_cpu_of(IMPORT.format("import hk_tick_collector as hkt; hkt.DataRoot")))
            pyarrow.append(_cpu_of(IMPORT.format("import pyarrow")))
        yield Figure("import hk_tick_collector, DataRoot", 1000 * min(ours), "ms", "< 100", min(ours) < 0.1)
        yield Figure("  import pyarrow alone", 1000 * min(pyarrow), "ms", "", None)

    def sqlite(self) -> Iterator[Figure]:
        """SQLite → Arrow, beside apsw that only loops over bare rows."""
        ratios, rates = self._beside(
            lambda: DataRoot(self.live).ticks().to_arrow(), lambda: _bare_rows(self.live / f"{DAY}.db")
        )
        yield Figure("SQLite → Arrow, a whole day", rates[0], "M ticks/s", "", None)
        yield Figure("  apsw's bare rows", rates[1], "M ticks/s", "", None)
        yield Figure("  ours / apsw's", 100 * ratios, "%", "≥ 50", ratios >= 0.5)

    def archive(self) -> Iterator[Figure]:
        """Archive → Arrow, beside pyarrow alone on that file."""
        from pyarrow import parquet

        path = ticks_path(self.archived, DAY)
        wall = time.perf_counter
        for name, clock in (("", wall), (", CPU", time.process_time)):
            ratio, rates = self._beside(
                lambda: DataRoot(self.archived).ticks(None, DATE).to_arrow(), lambda: parquet.read_table(path), clock
            )
            yield Figure(f"archive → Arrow, a whole day{name}", rates[0], "M ticks/s", "", None)
            yield Figure("  pyarrow alone", rates[1], "M ticks/s", "", None)
            yield Figure("  ours / pyarrow's", 100 * ratio, "%", "≥ 80", ratio >= 0.8)

    def pandas(self) -> Iterator[Figure]:
        """A whole day into pandas, beside `read_sql`."""
        DataRoot(self.archived).ticks(SYMBOL).to_pandas()  # imports pandas
        ours = [_cpu(lambda: DataRoot(self.archived).ticks(None, DATE).to_pandas()) for _ in range(self.rounds)]
        theirs = [_cpu_of(READ_SQL, str(self.live / f"{DAY}.db")) for _ in range(min(self.rounds, 2))]
        ratio = statistics.median(theirs) / statistics.median(ours)
        yield Figure("archive → pandas, a whole day, CPU", statistics.median(ours), "s", "", None)
        yield Figure("  pandas.read_sql", statistics.median(theirs), "s", "", None)
        yield Figure("  read_sql / ours", ratio, "times", "≥ 30", ratio >= 30)

    def month(self) -> Iterator[Figure]:
        """One symbol of a month of archived days."""
        spent = [_cpu(lambda: DataRoot(self.archived).ticks(SYMBOL).to_arrow()) for _ in range(self.rounds)]
        wall = [_wall(lambda: DataRoot(self.archived).ticks(SYMBOL).to_arrow()) for _ in range(self.rounds)]
        days = len(DataRoot(self.archived).days())
        sec = statistics.median(wall)
        yield Figure(f"one symbol, {days} archived days", sec, "s", "≤ 0.5", sec <= 0.5)
        yield Figure("  CPU", statistics.median(spent), "s", "", None)

    def _beside(
        self, ours: Callable[[], Any], theirs: Callable[[], Any], clock: Callable[[], float] = time.process_time
    ) -> tuple[float, tuple[float, float]]:
        """How fast ours is as a share of theirs, and both in million ticks a second."""
        spent = [(_spent(ours, clock), _spent(theirs, clock)) for _ in range(self.rounds)]
        ratio = statistics.median(b / a for a, b in spent)
        mine, other = (self.rows / statistics.median(column) / 1e6 for column in zip(*spent, strict=True))
        return ratio, (mine, other)


def _bare_rows(path: Path) -> None:
    con = open_readonly(path)
    for _ in con.execute(f"SELECT {SELECT} FROM ticks ORDER BY symbol, seq"):  # noqa: S608 - our own names
        pass
    con.close()


def _spent(what: Callable[[], Any], clock: Callable[[], float]) -> float:
    begin = clock()
    what()
    return clock() - begin


def _cpu(what: Callable[[], Any]) -> float:
    return _spent(what, time.process_time)


def _wall(what: Callable[[], Any]) -> float:
    return _spent(what, time.perf_counter)


def _cpu_of(code: str, *arguments: str) -> float:
    done = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=True)
    return float(done.stdout)


def _prepare(directory: Path, *, ticks: int, symbols: int, day: Path | None) -> tuple[Path, Path]:
    """A day as a database, and a month of archived days, all with its ticks."""
    live, archived = directory / "live", directory / "archived"
    live.mkdir()
    if day is None:
        make_day(live, DATE, ticks=ticks, symbols=symbols)
    else:
        shutil.copy(day, live / f"{DAY}.db")
    with closing(open_readonly(live / f"{DAY}.db")) as con:
        counts: list[Any] = con.execute("SELECT symbol, rows FROM symbol_stats").fetchall()
        certificate = {
            "day": DAY,
            "rows": sum(rows for _, rows in counts),
            "symbols": [_certified(symbol, rows) for symbol, rows in counts],
        }
        for number in range(MONTH_DAYS):
            path = ticks_path(archived, f"{DATE - dt.timedelta(days=number):%Y%m%d}")
            path.parent.mkdir(parents=True)
            write_ticks(con, path, {**certificate, "day": f"{DATE - dt.timedelta(days=number):%Y%m%d}"}, _nobody)
    return live, archived


def _nobody(*_: object) -> None:
    """Progress that nobody sees."""


def _certified(symbol: str, rows: int) -> dict[str, Any]:
    """As long as an entry of a real certificate."""
    return {"symbol": symbol, "rows": rows, "verdict": "COMPLETE", "reasons": [], "hash": "0" * 64, "other": "x" * 900}


def main() -> int:
    """Measure, and print the table; exit code 1 if a target is missed."""
    parser = argparse.ArgumentParser(prog="python -m bench.reading", description=__doc__)
    parser.add_argument("--ticks", type=int, default=3_000_000)
    parser.add_argument("--symbols", type=int, default=900)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--day", type=Path, help="a day database to use instead of making one")
    parser.add_argument("--json", action="store_true")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="bench-reading-") as made:
        places = _prepare(Path(made), ticks=asked.ticks, symbols=asked.symbols, day=asked.day)
        reading = Reading(*places, rounds=asked.rounds)
        figures = [
            figure
            for part in (reading.imports, reading.sqlite, reading.archive, reading.pandas, reading.month)
            for figure in part()
        ]
    if asked.json:
        sys.stdout.write(json.dumps([figure._asdict() for figure in figures], indent=1) + "\n")
    else:
        table = Table("what", "measured", "unit", "target", "", title=f"reading a day of {reading.rows:,} ticks")
        for name, value, unit, target, ok in figures:
            table.add_row(name, f"{value:,.2f}", unit, target, "" if ok is None else "ok" if ok else "missed")
        Console().print(table)
    return 0 if all(figure.ok is not False for figure in figures) else 1


if __name__ == "__main__":
    sys.exit(main())
