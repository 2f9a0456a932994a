"""Days elsewhere and what was exported of them, for an import."""

from __future__ import annotations

import hashlib
import zipfile
from typing import TYPE_CHECKING

from hk_tick_collector.migrate.found import find
from hk_tick_collector.migrate.importing import DayImport, import_days
from hk_tick_collector.read.data_root import DataRoot
from hk_tick_collector.read.export import export
from hk_tick_collector.read.sources import rows_on
from support.merging import record
from support.ticks import DAY, DAY_MS, HSBC, NEXT_DAY, OPEN_MS, TENCENT, row, seq_at

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

SILENT = lambda *_: None  # noqa: E731 - progress that nobody sees
HEADER = "code,name,time,price,volume,turnover,ticker_direction,sequence,type"


def make_two_days(root: Path, *, ticks: int = 5) -> Path:
    """DAY and NEXT_DAY with so many ticks of each of two symbols, some with milliseconds and unknown numbers."""
    root.mkdir(parents=True, exist_ok=True)
    for day, begin_ms in ((DAY, OPEN_MS), (NEXT_DAY, OPEN_MS + DAY_MS)):
        rows = []
        for symbol in (HSBC, TENCENT):
            for n in range(ticks):
                ts_ms = begin_ms + 1000 * n + (123 if n % 2 else 0)
                rows.append(row(symbol, seq_at(n, ts_ms), ts_ms, price=5 + n / 10, direction_id=1 + n % 3))
        rows.append(row(TENCENT, -5, begin_ms, direction_id=9, tick_type_id=77, push_type_id=2))
        record(root / f"{day}.db", rows)
    return root


def exported(root: Path, path: Path) -> Path:
    """All days of a DATA_ROOT as the format that the name asks for."""
    data = DataRoot(root)
    days = [f"{day:%Y%m%d}" for day in data.days()]
    symbols = sorted({symbol for day in days for symbol in rows_on(root, day)})
    names = {"zip": "futu", "parquet": "parquet"}
    batches = data.ticks(None, (days[0], days[-1])).batches()
    if path.suffix == ".zip":  # a symbol's ticks come together
        batches = (batch for symbol in symbols for batch in data.ticks(symbol, (days[0], days[-1])).batches())
    assert export(batches, path, names[path.suffix[1:]])
    return path


def zip_of(path: Path, lines: Iterable[str], name: str = f"{TENCENT}.csv", header: str = HEADER) -> Path:
    """A zip with one CSV."""
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(name, "".join(f"{line}\n" for line in (header, *lines)))
    return path


def line(**fields: str) -> str:
    """A line of a CSV; `fields` replace its own."""
    told = {
        "code": TENCENT, "name": "N/A", "time": "2026-07-31 10:00:00", "price": "372.4", "volume": "100",
        "turnover": "37240", "ticker_direction": "BUY", "sequence": str(seq_at(1)), "type": "AUTO_MATCH",
    }  # fmt: skip
    assert fields.keys() <= told.keys()
    return ",".join({**told, **fields}.values())


def import_all(root: Path, *paths: Path) -> dict[str, DayImport]:
    """What became of each day; the sources are as they were, and nothing of ours is left lying about."""
    before = {path: state_of(path) for path in paths}
    root.mkdir(exist_ok=True)
    done = {day.day: day for day in import_days(find(paths, SILENT), root, SILENT)}
    assert {path: state_of(path) for path in paths} == before
    assert not (root / ".import").exists()
    return done


def state_of(path: Path) -> dict[str, tuple[str, int, int]]:
    """Each file of a path: the hash of its bytes, its size and the time of its last change."""
    files = sorted(path.rglob("*")) if path.is_dir() else [path]
    return {
        str(one): (
            hashlib.sha256(one.read_bytes()).hexdigest() if one.is_file() else "",
            one.stat().st_size,
            one.stat().st_mtime_ns,
        )
        for one in files
    }
