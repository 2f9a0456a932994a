"""Days that are over, and what sealing makes of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hk_tick_collector.seal.day import SealedDay, seal, sealing
from hk_tick_collector.store import certificate_file
from hk_tick_collector.store.sealed import certificate_of
from support.merging import record
from support.scenario import Scenario, volume_of
from support.ticks import DAY, HSBC, OPEN_MS, TENCENT, pushes, row, seq_at

if TYPE_CHECKING:
    from pathlib import Path

CLOSED_MS = OPEN_MS + (6 * 60 + 30) * 60_000  # 16:30
SILENT = lambda *_: None  # noqa: E731 - progress that nobody sees


def make_day(root: Path, day: str = DAY, *, ticks: int = 5) -> Path:
    """A day with so many ticks of each of two symbols, about which nothing is proven."""
    root.mkdir(exist_ok=True)
    return record(
        root / f"{day}.db", [row(symbol, seq_at(n), price=5.0 + n) for symbol in (TENCENT, HSBC) for n in range(ticks)]
    )


def tell_day(scenario: Scenario, *, lost: int = 0) -> Path:
    """A day of one symbol whose end the exchange has told; so many shares more than ours.

    It was exact at two moments before, so that three show that its type of ticks is counted.
    """
    scenario.record_only(TENCENT)
    for last in (13, 26, 40):
        scenario.hear(pushes(TENCENT, range(last - 12 - (last == 40), last + 1)))
        for _ in range(2 if last < 40 else 0):
            scenario.wait(20)
            scenario.totals(tencent=volume_of(range(1, last + 1)))
    scenario.now_ms = CLOSED_MS
    for _ in range(3):
        scenario.wait(60)
        scenario.totals(tencent=volume_of(range(1, 41)) + lost)
    scenario.write()
    return scenario.root / f"{DAY}.db"


def seal_day(database: Path) -> SealedDay:
    """Seal it."""
    with sealing(database.parent) as lock:
        return seal(database, lock, SILENT)


def certificate(database: Path) -> dict[str, Any]:
    """The certificate that lies beside it."""
    return certificate_file.read(certificate_of(database))


def state_of(root: Path) -> dict[str, bytes]:
    """Every file's bytes, but locks and what is derived."""
    kept = (path for path in root.iterdir() if path.is_file() and path.name[0] != "." and path.stem != "catalog")
    return {path.name: path.read_bytes() for path in kept}
