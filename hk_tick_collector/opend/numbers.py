"""The numbers that the protocol gives its calls, results and notices.

Owns their names in this project; the numbers are OpenD's.
"""

from __future__ import annotations

from enum import IntEnum


class ProtoId(IntEnum):
    """The calls of opend.proto by their number on the wire."""

    INIT_CONNECT = 1001
    GET_GLOBAL_STATE = 1002
    NOTIFY = 1003
    KEEP_ALIVE = 1004
    QOT_SUB = 3001
    QOT_REG_QOT_PUSH = 3002
    QOT_GET_SUB_INFO = 3003
    QOT_GET_BASIC_QOT = 3004
    QOT_GET_TICKER = 3010
    QOT_UPDATE_TICKER = 3011
    QOT_GET_STATIC_INFO = 3202
    QOT_GET_SECURITY_SNAPSHOT = 3203
    QOT_GET_PLATE_SECURITY = 3205
    QOT_REQUEST_TRADE_DATE = 3219
    QOT_GET_MARKET_STATE = 3223


class RetType(IntEnum):
    """`retType` of a reply."""

    SUCCEED = 0
    FAILED = -1
    TIMEOUT = -100
    DISCONNECTED = -200
    UNKNOWN = -400
    INVALID = -500


class GtwEvent(IntEnum):
    """The notices of OpenD that change what we can record."""

    LOGIN_FAILED = 4
    KICKED_OUT = 7


class NotifyType(IntEnum):
    """Which part of a Notify is filled."""

    GTW_EVENT = 1
    PROGRAM_STATUS = 2
    CONN_STATUS = 3
    QOT_RIGHT = 4


class QotRight(IntEnum):
    """A quote right. BMP is quotes on demand: nothing can be subscribed with it."""

    UNKNOWN = 0
    BMP = 1
    LEVEL1 = 2
    LEVEL2 = 3
    SF = 4
    NONE = 5
    LEVEL3 = 6
