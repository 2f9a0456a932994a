"""What time it is at the exchange, by clocks of which any one may be wrong. Pure.

Three witnesses: the host's clock; OpenD's, which is asked for each minute; and the newest trade that was pushed live.
The last two are kept as differences to the host's clock, and follow it when it is set. No single one is believed: a
time counts where two of them agree. Where none do, nothing is concluded from a time, and that is the reason that is
given.
"""

from __future__ import annotations

from statistics import median_low
from typing import TYPE_CHECKING, Any, Final, Self

if TYPE_CHECKING:
    from collections.abc import Iterable

AGREE_MS: Final = 120_000


class Clocks:
    """The three clocks, at a place in the journal."""

    def __init__(self, opend_offset_ms: int | None = None, market_offset_ms: int | None = None) -> None:
        """Begin with what was known: OpenD's clock, and the newest live trade, less the host's clock."""
        self.opend_offset_ms = opend_offset_ms
        self.market_offset_ms = market_offset_ms

    def told(self, offset_ms: int | None) -> None:
        """OpenD's clock less the host's, as measured now; None: it could not be read, so nothing is known of it."""
        self.opend_offset_ms = offset_ms

    def stepped(self, step_ms: int) -> None:
        """The host's clock was set; the others went on."""
        if self.opend_offset_ms is not None:
            self.opend_offset_ms -= step_ms
        if self.market_offset_ms is not None:
            self.market_offset_ms -= step_ms

    def traded(self, delays_ms: Iterable[int]) -> None:
        """Trades were pushed live: for some of them, the trade's time less the host's when it came."""
        told = list(delays_ms)
        if told:
            self.market_offset_ms = median_low(told)

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

    def fields(self) -> dict[str, int | None]:
        """For `of`."""
        return {"opend_offset_ms": self.opend_offset_ms, "market_offset_ms": self.market_offset_ms}

    @classmethod
    def of(cls, fields: dict[str, Any]) -> Self:
        """Read the fields back.

        Raises:
            KeyError, ValueError, TypeError: they are none of ours.
        """
        values = (fields["opend_offset_ms"], fields["market_offset_ms"])
        return cls(*(None if value is None else int(value) for value in values))
