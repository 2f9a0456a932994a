"""Events: what the session reports to the writer through the journal, between the ticks.

    stream_resumed   from here on the stream is whole again; before it something may be missing
    opend_state      OpenD's reported state, and how far its clock is from the host's
    clock_stepped    the host's clock was set: from here on all times are by the new one
    totals_asked     the exchange's totals are requested now; the reply carries that serial number
    recording        which symbols should be recorded, and which of them are not

Owns their fields and the names of the causes, for the code that writes them into the journal and the code that reads
them there. Never decides whether anything is missing. An event that can't be read (from another version, or a damaged
disk) is ignored: it must not stop the ticks after it.
"""

from __future__ import annotations

import json
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Self

if TYPE_CHECKING:
    from collections.abc import Callable

EVENT: Final = "stream_resumed"
STATE_EVENT: Final = "opend_state"
CLOCK_STEPPED: Final = "clock_stepped"
TOTALS_ASKED: Final = "totals_asked"
RECORDING: Final = "recording"

SYMBOLS_MAX: Final = 100_000
NAME_MAX: Final = 64  # characters of a symbol
REASON_MAX: Final = 200
_INT_MAX: Final = 2**63 - 1
_CLOCKS_APART_MS_MAX: Final = 100 * 366 * 86_400_000  # a host whose clock was reset is in 1970


class Cause(StrEnum):
    """Why ticks may be missing."""

    CONNECTION_LOST = "connection_lost"
    OPEND_DOWN = "opend_down"  # it could not be connected to meanwhile
    EXCHANGE_LOST = "exchange_lost"  # OpenD reported that it had lost the quote server
    KICKED_OUT = "kicked_out"  # another login had the quote right
    RECORDER_DOWN = "recorder_down"
    JOURNAL_FULL = "journal_full"  # nothing was read from OpenD, because the disk took nothing
    NOT_SUBSCRIBED = "not_subscribed"
    UNKNOWN = "unknown"


# If several apply, the cause with the greatest possible loss in OpenD itself decides which rules of proof hold.
_GRAVEST_FIRST: Final = (
    Cause.OPEND_DOWN,
    Cause.EXCHANGE_LOST,
    Cause.KICKED_OUT,
    Cause.JOURNAL_FULL,
    Cause.RECORDER_DOWN,
    Cause.CONNECTION_LOST,
    Cause.NOT_SUBSCRIBED,
    Cause.UNKNOWN,
)


def gravest(*causes: Cause) -> Cause:
    """The gravest of several causes, which stands for all of them."""
    return min(causes, key=_GRAVEST_FIRST.index)


class Resumption(NamedTuple):
    """The stream is whole again.

    Attributes:
        cause: why ticks may be missing.
        since_ms: the last moment at which the stream was proven, by the host's clock; None: unknown.
        asked: how many ticks of each symbol are fetched now; 0: none.
        clock_offset_ms: OpenD's clock minus the host's; it determines which trading day this is.
        symbols: the symbols that are concerned.
    """

    cause: Cause
    since_ms: int | None
    asked: int
    clock_offset_ms: int
    symbols: tuple[str, ...]

    def fields(self) -> dict[str, object]:
        """The event's fields, for the journal."""
        return {**self._asdict(), "cause": str(self.cause)}

    @classmethod
    def of(cls, fields: dict[str, Any]) -> Self:
        """Read the fields back.

        Raises:
            KeyError, ValueError, TypeError: they are not the fields of this event.
        """
        since_ms = fields["since_ms"]
        return cls(
            Cause(fields["cause"]),
            None if since_ms is None else _whole(since_ms),
            _whole(fields["asked"]),
            _apart(fields["clock_offset_ms"]),
            tuple(map(_name, fields["symbols"])),
        )


class OpendState(NamedTuple):
    """OpenD's reported state.

    Attributes:
        clock_offset_ms: its clock minus the host's; None: unknown.
        market: the state of the Hong Kong market, as OpenD's number; None: not reported.
    """

    clock_offset_ms: int | None
    market: int | None

    @classmethod
    def of(cls, fields: dict[str, Any]) -> Self:
        """Read the fields back. Raises as `Resumption.of` does."""
        offset_ms, market = fields.get("clock_offset_ms"), fields.get("market_hk")
        return cls(None if offset_ms is None else _apart(offset_ms), None if market is None else _whole(market))


class ClockStepped(NamedTuple):
    """The host's clock was set forward by `step_ms`, or back (negative)."""

    step_ms: int

    @classmethod
    def of(cls, fields: dict[str, Any]) -> Self:
        """Read the fields back. Raises as `Resumption.of` does."""
        return cls(_apart(fields["step_ms"]))


class TotalsAsked(NamedTuple):
    """The exchange's totals were requested.

    Attributes:
        serial_no: of the request, and of its reply on the same connection.
        asked_ms: when, by the host's clock, UTC epoch ms.
    """

    serial_no: int
    asked_ms: int

    @classmethod
    def of(cls, fields: dict[str, Any]) -> Self:
        """Read the fields back. Raises as `Resumption.of` does."""
        return cls(_whole(fields["serial_no"]), _whole(fields["asked_ms"]))


class Recording(NamedTuple):
    """What is recorded.

    Attributes:
        symbols: all that should be recorded.
        subscribed: how many of them are subscribed.
        without: those that are not recorded, and why.
    """

    symbols: tuple[str, ...]
    subscribed: int
    without: dict[str, str]

    def fields(self) -> dict[str, object]:
        """The event's fields, for the journal."""
        return {**self._asdict(), "without": {symbol: _reason(why) for symbol, why in self.without.items()}}

    @classmethod
    def of(cls, fields: dict[str, Any]) -> Self:
        """Read the fields back. Raises as `Resumption.of` does."""
        symbols, without = fields["symbols"], fields["without"]
        if not isinstance(symbols, list) or max(len(symbols), len(without)) > SYMBOLS_MAX:
            raise ValueError(f"more than {SYMBOLS_MAX} symbols")
        reasons = {_name(symbol): _reason(str(why)) for symbol, why in without.items()}
        return cls(tuple(map(_name, symbols)), _whole(fields["subscribed"]), reasons)


def _whole(value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or abs(value) > _INT_MAX:
        raise TypeError(f"{value!r}, expected a whole number")
    return value


def _apart(value: object) -> int:
    """How far two clocks are apart, clamped to a plausible range, since days are computed from it."""
    return max(-_CLOCKS_APART_MS_MAX, min(_CLOCKS_APART_MS_MAX, _whole(value)))


def _name(value: object) -> str:
    if not isinstance(value, str) or len(value) > NAME_MAX:
        raise ValueError(f"a symbol of at most {NAME_MAX} characters expected")
    return value


def _reason(text: str) -> str:
    return "".join(c if c.isprintable() else " " for c in text[:REASON_MAX])


Event = Resumption | OpendState | ClockStepped | TotalsAsked | Recording

_READERS: Final[dict[object, Callable[[dict[str, Any]], Event]]] = {
    EVENT: Resumption.of,
    STATE_EVENT: OpendState.of,
    CLOCK_STEPPED: ClockStepped.of,
    TOTALS_ASKED: TotalsAsked.of,
    RECORDING: Recording.of,
}
_MARKS: Final = tuple(str(name).encode() for name in _READERS)


def read_event(payload: bytes) -> Event | None:
    """The event in a payload; None: it is not one of these, or can't be read."""
    if not any(mark in payload for mark in _MARKS):
        return None
    try:
        fields = json.loads(payload)
        read = _READERS.get(fields.get("event"))
        return read(fields) if read is not None else None
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError):
        return None
