"""What the session tells the writer through the journal, between the ticks: two events.

`stream_resumed`: from here on the stream is whole again, and before it something may be missing. `opend_state`: what
OpenD said of itself, and how far its clock is from ours. Owns their fields and the words for the causes, for who writes
them into the journal and who reads them there. Never decides whether anything is missing.
"""

from __future__ import annotations

import json
from enum import StrEnum
from typing import Any, Final, NamedTuple, Self

EVENT: Final = "stream_resumed"
_MARK: Final = EVENT.encode()
STATE_EVENT: Final = "opend_state"
_STATE_MARK: Final = STATE_EVENT.encode()


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
            None if since_ms is None else int(since_ms),
            int(fields["asked"]),
            int(fields["clock_offset_ms"]),
            tuple(map(str, fields["symbols"])),
        )


def read_resumption(payload: bytes) -> Resumption | None:
    """The resumption in an event's payload; None for all other events."""
    if _MARK not in payload:
        return None
    try:
        fields = json.loads(payload)
        return Resumption.of(fields) if fields.get("event") == EVENT else None
    except (ValueError, KeyError, TypeError, AttributeError):  # another version's; it must not stop the ticks behind it
        return None


def read_clock_offset_ms(payload: bytes) -> int | None:
    """OpenD's clock less the host's, in an `opend_state` event; None for all other events."""
    if _STATE_MARK not in payload:
        return None
    try:
        fields = json.loads(payload)
        return int(fields["clock_offset_ms"]) if fields.get("event") == STATE_EVENT else None
    except (ValueError, KeyError, TypeError, AttributeError):  # as above
        return None
