"""Rate limits: how often an account may make each call in 30 s, as published."""

from __future__ import annotations

from collections import deque
from typing import Final

from hk_tick_collector.errors import CallRefusedError
from hk_tick_collector.opend.numbers import ProtoId

WINDOW_SEC: Final = 30.0
CALLS_MAX: Final[dict[int, int]] = {
    ProtoId.QOT_GET_STATIC_INFO: 10,
    ProtoId.QOT_GET_SECURITY_SNAPSHOT: 60,
    ProtoId.QOT_GET_PLATE_SECURITY: 10,
    ProtoId.QOT_REQUEST_TRADE_DATE: 30,
    ProtoId.QOT_GET_MARKET_STATE: 10,
}


class RateLimits:
    """Counts calls by kind, over all connections."""

    def __init__(self) -> None:
        self._made_at: dict[int, deque[float]] = {}

    def refuse_excess(self, proto_id: int, now: float) -> None:
        """Count a call at `now` (monotonic seconds), or raise CallRefusedError, uncounted, if it is over the limit."""
        allowed = CALLS_MAX.get(proto_id)
        if allowed is None:
            return
        made_at = self._made_at.setdefault(proto_id, deque())
        while made_at and now - made_at[0] >= WINDOW_SEC:
            made_at.popleft()
        if len(made_at) >= allowed:
            raise CallRefusedError(f"Request is too frequent: at most {allowed} calls in {WINDOW_SEC:.0f} s")
        made_at.append(now)
