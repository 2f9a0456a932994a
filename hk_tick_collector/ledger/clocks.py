"""What time it is at the exchange, by three clocks any of which may be wrong. Pure.

The clocks are the host's; OpenD's, which is asked for every minute; and the newest trade that was pushed live. The last
two are kept as differences to the host's clock, and are adjusted when it is set. No single clock is believed: a time
counts if two clocks agree on it. If no two agree, nothing is concluded from a time, and the verdict gives that as its
reason. Between two marks of the journal only the trade that came with the least delay counts. So it makes no difference
how the ticks between them were cut into batches.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

from hk_tick_collector.clock import AGREE_MS

if TYPE_CHECKING:
    from collections.abc import Iterable

    Place = tuple[int, int, int]  # in the journal


class Clocks:
    """The three clocks, at a place in the journal."""

    def __init__(
        self, opend_offset_ms: int | None = None, market_offset_ms: int | None = None, *, is_trading: bool = False
    ) -> None:
        """Start from a saved state, or from nothing.

        Args:
            opend_offset_ms: OpenD's clock less the host's.
            market_offset_ms: the time of the newest live trade less the host's when it came.
            is_trading: that trade came after the last mark of the journal.
        """
        self.opend_offset_ms = opend_offset_ms
        self.market_offset_ms = market_offset_ms
        self.is_trading = is_trading
        self._stepped_at: Place | None = None  # the last step of the host's clock that both are adjusted for

    def told(self, offset_ms: int | None) -> None:
        """Take OpenD's clock less the host's, as measured now; None: it could not be read and is unknown now."""
        self.opend_offset_ms = offset_ms

    def stepped(self, step_ms: int, place: Place) -> None:
        """Adjust the differences: the host's clock was set. A step at the same place of the journal counts once."""
        if place == self._stepped_at:
            return
        self._stepped_at = place
        if self.opend_offset_ms is not None:
            self.opend_offset_ms -= step_ms
        if self.market_offset_ms is not None:
            self.market_offset_ms -= step_ms

    def traded(self, delays_ms: Iterable[int]) -> bool:
        """Take live trades: for each, its time less the host's when it came. Returns whether anything changed."""
        newest = max(delays_ms, default=None)
        if newest is None or (
            self.is_trading and self.market_offset_ms is not None and newest <= self.market_offset_ms
        ):
            return False
        self.market_offset_ms, self.is_trading = newest, True
        return True

    def marked(self) -> None:
        """Note a mark of the journal: from here on the first live trade replaces the one from before."""
        self.is_trading = False

    def exchange_ms(self, recv_ts_ms: int) -> int | None:
        """The exchange's time when something was received, if two clocks agree on it; None: no two agree."""
        host, opend, market = 0, self.opend_offset_ms, self.market_offset_ms
        if opend is not None and any(abs(opend - one) <= AGREE_MS for one in (host, market) if one is not None):
            return recv_ts_ms + opend
        if market is not None and abs(market - host) <= AGREE_MS:
            return recv_ts_ms
        return None

    def candidates(self, recv_ts_ms: int) -> list[int]:
        """The possible times at the exchange: the one on which two clocks agree, else one for each known clock."""
        agreed = self.exchange_ms(recv_ts_ms)
        if agreed is not None:
            return [agreed]
        offsets = (0, self.opend_offset_ms, self.market_offset_ms)
        return [recv_ts_ms + offset for offset in offsets if offset is not None]

    def fields(self) -> dict[str, int | Place | None]:
        """The state, for `of`."""
        return {
            "opend_offset_ms": self.opend_offset_ms,
            "market_offset_ms": self.market_offset_ms,
            "is_trading": self.is_trading,
            "stepped_at": self._stepped_at,
        }

    @classmethod
    def of(cls, fields: dict[str, Any]) -> Self:
        """Read the fields back.

        Raises:
            KeyError, ValueError, TypeError: these are not such fields.
        """
        values = (fields["opend_offset_ms"], fields["market_offset_ms"])
        opend_ms, market_ms = (None if value is None else int(value) for value in values)
        clocks = cls(opend_ms, market_ms, is_trading=bool(fields["is_trading"]))
        segment, offset, frame = fields["stepped_at"] or (-1, -1, -1)
        clocks._stepped_at = (int(segment), int(offset), int(frame))
        return clocks
