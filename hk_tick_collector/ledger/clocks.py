"""What time it is at the exchange, by clocks of which any one may be wrong. Pure.

Three witnesses: the host's clock; OpenD's, which is asked for each minute; and the newest trade that was pushed live.
The last two are kept as differences to the host's clock, and follow it when it is set. No single one is believed: a
time counts where two of them agree. Where none do, nothing is concluded from a time, and that is the reason that is
given. Of the trades between two marks of the journal the newest counts, so that it makes no difference in how many
pieces they were taken.
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
        """Begin with what was known.

        Args:
            opend_offset_ms: OpenD's clock less the host's.
            market_offset_ms: the newest live trade less the host's clock.
            is_trading: that trade came after the last mark of the journal.
        """
        self.opend_offset_ms = opend_offset_ms
        self.market_offset_ms = market_offset_ms
        self.is_trading = is_trading
        self._stepped_at: Place | None = None  # up to there both have followed the host's clock

    def told(self, offset_ms: int | None) -> None:
        """OpenD's clock less the host's, as measured now; None: it could not be read, so nothing is known of it."""
        self.opend_offset_ms = offset_ms

    def stepped(self, step_ms: int, place: Place) -> None:
        """The host's clock was set; the others went on. Told twice at the same place in the journal it counts once."""
        if place == self._stepped_at:
            return
        self._stepped_at = place
        if self.opend_offset_ms is not None:
            self.opend_offset_ms -= step_ms
        if self.market_offset_ms is not None:
            self.market_offset_ms -= step_ms

    def traded(self, delays_ms: Iterable[int]) -> bool:
        """Trades were pushed live: for each, its time less the host's when it came. Whether that changed anything."""
        newest = max(delays_ms, default=None)
        if newest is None or (
            self.is_trading and self.market_offset_ms is not None and newest <= self.market_offset_ms
        ):
            return False
        self.market_offset_ms, self.is_trading = newest, True
        return True

    def marked(self) -> None:
        """A mark of the journal: what is traded from here on is newer than all before."""
        self.is_trading = False

    def exchange_ms(self, recv_ts_ms: int) -> int | None:
        """The exchange's time when something was received, on the word of two clocks; None: no two agree."""
        host, opend, market = 0, self.opend_offset_ms, self.market_offset_ms
        if opend is not None and any(abs(opend - one) <= AGREE_MS for one in (host, market) if one is not None):
            return recv_ts_ms + opend
        if market is not None and abs(market - host) <= AGREE_MS:
            return recv_ts_ms
        return None

    def candidates(self, recv_ts_ms: int) -> list[int]:
        """What the exchange's time may be: the one on which two clocks agree, or else what each of them says."""
        agreed = self.exchange_ms(recv_ts_ms)
        if agreed is not None:
            return [agreed]
        offsets = (0, self.opend_offset_ms, self.market_offset_ms)
        return [recv_ts_ms + offset for offset in offsets if offset is not None]

    def fields(self) -> dict[str, int | Place | None]:
        """For `of`."""
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
            KeyError, ValueError, TypeError: they are none of ours.
        """
        values = (fields["opend_offset_ms"], fields["market_offset_ms"])
        opend_ms, market_ms = (None if value is None else int(value) for value in values)
        clocks = cls(opend_ms, market_ms, is_trading=bool(fields["is_trading"]))
        segment, offset, frame = fields["stepped_at"] or (-1, -1, -1)
        clocks._stepped_at = (int(segment), int(offset), int(frame))
        return clocks
