"""Marks: what stands between the ticks of the journal and leads to a conclusion at exactly that place.

Owns what counts as a mark: an event of the session, totals of the exchange, trade dates, the end of a backfill's reply.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from hk_tick_collector.journal.events import read_event
from hk_tick_collector.opend.numbers import ProtoId
from hk_tick_collector.opend.purpose import Purpose, purpose_of

if TYPE_CHECKING:
    from hk_tick_collector.journal.events import Event
    from hk_tick_collector.journal.segments import Record
    from hk_tick_collector.opend.frames import Frame


class Place(NamedTuple):
    """Where in the journal something stands: the record, and the number of the frame in it."""

    segment: int
    offset: int
    frame: int


class Mark(NamedTuple):
    """Something between the ticks, from which conclusions are drawn at exactly that place.

    Attributes:
        place: where it stands.
        recv_ts_ms: when it was received, by the host's clock.
        event: the session's event; or None.
        totals: the body of a GetSecuritySnapshot reply; or None.
        trade_dates: the body of a RequestTradeDate reply; or None.
        serial_no: of the reply.

    If event, totals and trade_dates are all None, it is the end of a backfill's reply.
    """

    place: Place
    recv_ts_ms: int
    event: Event | None = None
    totals: bytes | None = None
    trade_dates: bytes | None = None
    serial_no: int = 0


def mark_of(frame: Frame, number: int, record: Record) -> Mark | None:
    """The mark that a frame is; None: it is not a mark."""
    purpose = purpose_of(frame.serial_no)
    mark = Mark(Place(record.start.segment, record.start.offset, number), record.recv_ts_ms, serial_no=frame.serial_no)
    if frame.proto_id == ProtoId.QOT_GET_TICKER and purpose is Purpose.BACKFILL:
        return mark
    if frame.proto_id == ProtoId.QOT_GET_SECURITY_SNAPSHOT and purpose is Purpose.TOTALS:
        return mark._replace(totals=frame.body)
    if frame.proto_id == ProtoId.QOT_REQUEST_TRADE_DATE:
        return mark._replace(trade_dates=frame.body)
    return None


def mark_of_event(record: Record) -> Mark | None:
    """The mark that an event is; None: it is not a mark."""
    event = read_event(record.payload)
    if event is None:
        return None
    return Mark(Place(record.start.segment, record.start.offset, 0), record.recv_ts_ms, event)
