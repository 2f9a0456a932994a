"""Notify pushes as plain values: what happened to OpenD itself.

Owns what a notice means for the stream. Never decides how to react to it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple, cast

from hk_tick_collector.opend.messages import decode_reply
from hk_tick_collector.opend.numbers import NotifyType, ProtoId, QotRight
from hk_tick_collector.text import plain

if TYPE_CHECKING:
    from hk_tick_collector.opend import opend_pb2 as pb

_WITHOUT_PUSHES: Final = frozenset({QotRight.BMP, QotRight.NONE})


class Notice(NamedTuple):
    """A Notify: what happened to OpenD itself.

    Attributes:
        kind: its type (NotifyType).
        gtw_event: the gateway event's number, or None.
        qot_logined: whether the quote server is reached; None: the notice does not say.
        text: one line for the log.
        hk_right: the quote right for Hong Kong (QotRight); None: the notice does not say.
    """

    kind: int
    gtw_event: int | None
    qot_logined: bool | None
    text: str
    hk_right: int | None = None

    @property
    def gives_pushes(self) -> bool | None:
        """Whether the quote right for Hong Kong is one with pushes; None: the notice does not say."""
        if self.hk_right is None or self.hk_right == QotRight.UNKNOWN:
            return None
        return self.hk_right not in _WITHOUT_PUSHES


def notice(body: bytes) -> Notice:
    """A Notify push.

    Raises:
        RefusedError, RemoteProtocolError: it is not one.
    """
    s2c = cast("pb.Notify.Response", decode_reply(ProtoId.NOTIFY, body)).s2c
    if s2c.type == NotifyType.GTW_EVENT:
        text = plain(s2c.event.desc) or f"gateway event {s2c.event.eventType}"
        return Notice(s2c.type, s2c.event.eventType, None, text)
    if s2c.type == NotifyType.CONN_STATUS:
        logined = s2c.connectStatus.qotLogined
        return Notice(s2c.type, None, logined, "quote server reached" if logined else "quote server lost")
    if s2c.type == NotifyType.PROGRAM_STATUS:
        status = s2c.programStatus.programStatus
        return Notice(s2c.type, None, None, f"program status {status.type} {plain(status.strExtDesc)}".rstrip())
    if s2c.type == NotifyType.QOT_RIGHT:
        right = s2c.qotRight.hkQotRight
        return Notice(s2c.type, None, None, f"quote right for Hong Kong is now {_right_text(right)}", right)
    return Notice(s2c.type, None, None, f"notice of type {s2c.type}")


def _right_text(right: int) -> str:
    """`1 (BMP)`; the number alone for an unknown right."""
    try:
        return f"{right} ({QotRight(right).name})"
    except ValueError:
        return str(right)
