"""What the session tells the writer through the journal, between the ticks.

`stream_resumed`: from here on the stream is whole again, and before it something may be missing. `opend_state`: what
OpenD said of itself, and how far its clock is from ours. `clock_stepped`: the host's clock was set. `totals_asked`:
when a snapshot was asked for. `recording`: what is to be recorded. Owns their fields and the words for the causes, for
those who write them into the journal and those who read them there. Never decides whether anything is missing.
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
TEXT_MAX: Final = 64
REASON_MAX: Final = 200


class Cause(StrEnum):
    """Why ticks may be missing."""

    CONNECTION_LOST = "connection_lost"
    OPEND_DOWN = "opend_down"  # it could not be connected to in between
    EXCHANGE_LOST = "exchange_lost"  # OpenD said that it had lost the quote server
    KICKED_OUT = "kicked_out"  # another login had the quote right
    RECORDER_DOWN = "recorder_down"
    JOURNAL_FULL = "journal_full"  # nothing was read from OpenD, for want of disk
    NOT_SUBSCRIBED = "not_subscribed"
    UNKNOWN = "unknown"


# Where several hold at once, the one that says most about what OpenD itself can have lost: the rules of proof are its.
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
    """The cause that stands for several."""
    return min(causes, key=_GRAVEST_FIRST.index)


class Resumption(NamedTuple):
    """What the event says.

    Attributes:
        cause: why ticks may be missing.
        since_ms: the last moment at which the stream was proven, by the host's clock; None: not known.
        asked: how deep each symbol is fetched now; 0: not at all.
        clock_offset_ms: OpenD's clock less the host's; it tells which trading day this is.
        symbols: of which.
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
            KeyError, ValueError, TypeError: they are none of ours.
        """
        since_ms = fields["since_ms"]
        return cls(
            Cause(fields["cause"]),
            None if since_ms is None else _int64(since_ms),
            _int64(fields["asked"]),
            _int64(fields["clock_offset_ms"]),
            tuple(map(str, fields["symbols"])),
        )


class OpendState(NamedTuple):
    """What OpenD said of itself.

    Attributes:
        clock_offset_ms: its clock less the host's; None: it can't be told.
        market: the state of the Hong Kong market, OpenD's number; None: not told.
    """

    clock_offset_ms: int | None
    market: int | None


class ClockStepped(NamedTuple):
    """The host's clock was set: what comes after this is `step_ms` later by it than it would have been."""

    step_ms: int


class TotalsAsked(NamedTuple):
    """The reply with this serial number was asked for at `asked_ms`, by the host's clock."""

    serial_no: int
    asked_ms: int


class Recording(NamedTuple):
    """What is to be recorded from here on, and which of that OpenD does not give, and why."""

    symbols: tuple[str, ...]
    without: dict[str, str]


Event = Resumption | OpendState | ClockStepped | TotalsAsked | Recording


def read_event(payload: bytes) -> Event | None:
    """The event in a payload, if it is one of these. What another version wrote must not stop the ticks after it."""
    if not any(mark in payload for mark in _MARKS):
        return None
    try:
        fields = json.loads(payload)
        read = _READERS.get(fields.get("event"))
        return read(fields) if read is not None else None
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError, OverflowError):
        return None


def _int64(value: object) -> int:
    """A whole number that a column can hold."""
    number = int(value)  # type: ignore[call-overload]
    if not -(2**63) <= number < 2**63:
        raise ValueError(f"{number} does not fit into 64 bits")
    return int(number)


def _read_state(fields: dict[str, Any]) -> OpendState:
    offset_ms, market = fields.get("clock_offset_ms"), fields.get("market_hk")
    return OpendState(
        None if offset_ms is None else _int64(offset_ms), None if not isinstance(market, int) else _int64(market)
    )


def _read_recording(fields: dict[str, Any]) -> Recording:
    symbols = tuple(str(symbol)[:TEXT_MAX] for symbol in fields["symbols"][:SYMBOLS_MAX])
    without = {str(symbol)[:TEXT_MAX]: str(why)[:REASON_MAX] for symbol, why in fields.get("without", {}).items()}
    return Recording(symbols, without)


_READERS: Final[dict[object, Callable[[dict[str, Any]], Event]]] = {
    EVENT: Resumption.of,
    STATE_EVENT: _read_state,
    CLOCK_STEPPED: lambda fields: ClockStepped(_int64(fields["step_ms"])),
    TOTALS_ASKED: lambda fields: TotalsAsked(_int64(fields["serial_no"]), _int64(fields["asked_ms"])),
    RECORDING: _read_recording,
}
_MARKS: Final = tuple(str(name).encode() for name in _READERS)
