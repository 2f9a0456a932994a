"""A day as two recorders have sealed it, each in a DATA_ROOT of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from hk_tick_collector.store import certificate_file
from hk_tick_collector.store.sealed import certificate_of
from support.merging import record
from support.sealing import seal_day
from support.ticks import DAY, OPEN_MS, row, seq_at

if TYPE_CHECKING:
    from collections.abc import Collection
    from pathlib import Path

SYMBOLS: Final = ("HK.00005", "HK.00388", "HK.00700")
TICKS: Final = 100  # of each symbol, one a minute from 10:00:20 on


def seal_part(root: Path, *, without: Collection[tuple[str, int]] = (), symbols: tuple[str, ...] = SYMBOLS) -> Path:
    """The certificate of a day without some ticks; how they came is another story in each DATA_ROOT."""
    root.mkdir(parents=True, exist_ok=True)
    delay_ms = sum(root.name.encode())
    rows = []
    for symbol in symbols:
        for n in range(TICKS):
            at = OPEN_MS + 20_000 + n * 60_000
            if (symbol, n) not in without:
                rows.append(row(symbol, seq_at(n + 1, at), at, volume=100, recv_ts_ms=at + delay_ms))
    database = record(root / f"{DAY}.db", rows)
    seal_day(database)
    return certificate_of(database)


def edited(path: Path, **entries: Any) -> Path:  # noqa: ANN401 - JSON
    """The certificate with other entries and a valid hash, as another program might write it."""
    told = {**certificate_file.read(path), **entries}
    told["self"] = certificate_file.hash_of(told)
    made = path.with_name("edited.certificate.json")
    made.write_bytes(certificate_file.encode(told))
    return made
