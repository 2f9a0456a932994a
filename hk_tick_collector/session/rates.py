"""Reads how often each symbol trades, for the deadlines of a later outage.

Owns when to read. Never estimates anything: `deadlines.Rates` does. Invariant: the rates include no time during an
outage, and no ticks that were fetched after one.
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Final

from hk_tick_collector.hktime import hk_day
from hk_tick_collector.session.stored import rows_in_time

if TYPE_CHECKING:
    from collections.abc import Callable

    from hk_tick_collector.session.outages import Outage
    from hk_tick_collector.session.state import ClientState, Stored

READ_SEC_MAX: Final = 15.0


async def read_rates(
    state: ClientState, stored: Stored, poll_interval_sec: float, outage: Callable[[], Outage | None]
) -> None:
    """Read periodically how many ticks of each symbol are stored. Never returns.

    Args:
        state: of the session; its rates take the readings.
        stored: what is read.
        poll_interval_sec: the polls' interval.
        outage: the current outage, which lasts until all is fetched; None: there is no outage.
    """
    seen = (-1, "")
    while True:
        await asyncio.sleep(min(READ_SEC_MAX, poll_interval_sec / 2))
        now = (state.fetches, hk_day(state.opend_ms()))
        if seen != now or outage() is not None:  # the writer gets one more interval to store what was fetched
            seen = now
            state.rates.begin_anew()
            continue
        rows = await rows_in_time(stored)
        if seen[0] == state.fetches and outage() is None:
            state.rates.take(time.monotonic(), rows)
