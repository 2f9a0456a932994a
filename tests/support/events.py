"""The session's events of one kind, as a test asks for them; the product reads whichever it is."""

from __future__ import annotations

from typing import TypeVar

from hk_tick_collector.journal.events import ClockStepped, OpendState, Recording, Resumption, TotalsAsked, read_event

_T = TypeVar("_T")


def _read(payload: bytes, kind: type[_T]) -> _T | None:
    event = read_event(payload)
    return event if isinstance(event, kind) else None


def read_resumption(payload: bytes) -> Resumption | None:
    """The resumption in an event's payload; None for all other events."""
    return _read(payload, Resumption)


def read_clock_offset_ms(payload: bytes) -> int | None:
    """OpenD's clock less the host's, in an `opend_state` event; None for all other events."""
    state = _read(payload, OpendState)
    return state.clock_offset_ms if state is not None else None


def read_clock_stepped(payload: bytes) -> ClockStepped | None:
    """The step of the host's clock in an event's payload; None for all other events."""
    return _read(payload, ClockStepped)


def read_totals_asked(payload: bytes) -> TotalsAsked | None:
    """When totals were asked for, in an event's payload; None for all other events."""
    return _read(payload, TotalsAsked)


def read_recording(payload: bytes) -> Recording | None:
    """What is recorded, in an event's payload; None for all other events."""
    return _read(payload, Recording)
