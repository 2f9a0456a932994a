"""Calm moments of a simulated market: what the exchange's totals need to tell anything, without waiting for them.

Two snapshots bound what is missing only of what was traded 15 s before, while the market shows that it lives. A clock
that all processes share is set forward for that, and one tick of one symbol is the sign of life; the others are calm.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from hk_tick_collector.simulator.tape import _SPECIALS, AUTO_MATCH
from hk_tick_collector.store.schema import TICK_TYPES
from support.recorder_process import until

if TYPE_CHECKING:
    from collections.abc import Iterable

    from support.recorder_process import RecorderProcess
    from support.simulator_process import SimulatorProcess
    from support.trading_time import JumpingClock

# Above what two clocks may differ by and still agree: from the tick on, OpenD's clock of before has no say.
STEP_SEC: Final = 150
_CUT_MS: Final = 2000  # OpenD's clock is cut to its second
TYPES: Final = tuple(TICK_TYPES[number] for number in (AUTO_MATCH, *_SPECIALS))


def calm(clock: JumpingClock, sim: SimulatorProcess, recorder: RecorderProcess, symbol: str, symbols: int) -> None:
    """Minutes later one tick of a symbol comes; return when the totals of all were told twice since."""
    sim.command("pause")
    clock.step(STEP_SEC)
    sim.command("tick", symbol=symbol)
    since_ms = clock.now_ms - _CUT_MS
    select = "SELECT count(DISTINCT symbol) FROM exchange_totals WHERE confirmed_ms >= "
    until(
        lambda: recorder.query(f"{select} {since_ms}") == [(symbols,)],
        lambda: str(recorder.query("SELECT * FROM exchange_totals")[-6:]),
    )


def show_types(clock: JumpingClock, sim: SimulatorProcess, symbols: Iterable[str]) -> None:
    """Minutes later a tick of each type of each symbol comes. If it is calm right then, the next snapshot is exact.

    It shows of each symbol but the one that trades again at the end of the calm that these types are counted: two such
    snapshots are enough for all.
    """
    sim.command("pause")
    clock.step(STEP_SEC)
    for symbol in symbols:
        for tick_type in TYPES:
            sim.command("tick", symbol=symbol, type=tick_type)
