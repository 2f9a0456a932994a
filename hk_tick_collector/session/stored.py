"""Asks what is stored, with a short timeout: only the order and the depth of the session's fetches depend on it."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from hk_tick_collector.session.state import Stored

ANSWER_SEC: Final = 3.0  # usually some ms; an old day's disk may hang


async def rows_in_time(stored: Stored) -> dict[str, int]:
    """Rows by symbol, as `Stored` returns them; {} if the disk does not answer in time."""
    try:
        async with asyncio.timeout(ANSWER_SEC):
            return await asyncio.to_thread(stored.rows_by_symbol)
    except TimeoutError:
        return {}
