"""Writes to the journal which symbols should be recorded and which of them are not, for each day and each session.

Owns when to write it: in each session, on each Hong Kong day, and whenever it has changed. Never subscribes anything.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from hk_tick_collector.hktime import hk_day
from hk_tick_collector.journal.events import RECORDING, Recording

if TYPE_CHECKING:
    from collections.abc import Callable

    from hk_tick_collector.session.state import ClientState

NO_QUOTA: Final = "no quota left"


class RecordingTeller:
    """Writes it to the journal in one session."""

    def __init__(self, state: ClientState, note: Callable[..., None]) -> None:
        """Nothing is written yet.

        Args:
            state: of the session.
            note: appends an event to the journal.
        """
        self._state = state
        self._note = note
        self._told: tuple[object, ...] | None = None

    def tell(self, symbols: list[str]) -> None:
        """Write it, if it has changed since the last time.

        Args:
            symbols: all that should be recorded.
        """
        state = self._state
        day = hk_day(state.opend_ms())
        asked = set(symbols)
        reasons = {**dict.fromkeys(state.left_out, NO_QUOTA), **state.refused}
        without = {symbol: why for symbol, why in reasons.items() if symbol in asked}
        # The text of a refusal may differ each time; that is not a change.
        now = (day, symbols, len(state.subscribed), without.keys())
        if now != self._told:
            self._told = now
            self._note(RECORDING, **Recording(tuple(symbols), len(state.subscribed), without).fields())
