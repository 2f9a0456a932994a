"""OpenD's numbers: for its calls, results and notices, for what a tick is, and how much it remembers.

Owns their names in this project, which are those of the vendor's SDK if it has one; the numbers are OpenD's.
`opend.market` has the numbers of the market's states.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Final


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


class PacketEncAlgo(IntEnum):
    """InitConnect's `packetEncAlgo`."""

    NONE = -1
    FTAES_ECB = 0
    AES_ECB = 1
    AES_CBC = 2


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
    """A quote right. BMP gives quotes on demand: nothing can be subscribed with it."""

    UNKNOWN = 0
    BMP = 1
    LEVEL1 = 2
    LEVEL2 = 3
    SF = 4
    NONE = 5
    LEVEL3 = 6


class PushDataType(IntEnum):
    """How a tick reached OpenD's client. OpenD has no value of its own for a tick in a requested list."""

    REALTIME = 1
    BY_DISCONNECTION = 2  # replayed by OpenD after it had lost the exchange
    CACHE = 3


TICKER_REPLY_MAX: Final = 1000
"""The most ticks of a symbol that OpenD remembers, and that one GetTicker returns."""

REPLAYED_MAX: Final = 50
"""The most ticks of a symbol that OpenD gets from the exchange after it had lost it (published)."""

DIRECTIONS: Final = {1: "BUY", 2: "SELL", 3: "NEUTRAL", 0: "UNKNOWN"}
TICK_TYPES: Final = dict(
    enumerate(
        [
            "UNKNOWN",
            "AUTO_MATCH",
            "LATE",
            "NON_AUTO_MATCH",
            "INTER_AUTO_MATCH",
            "INTER_NON_AUTO_MATCH",
            "ODD_LOT",
            "AUCTION",
            "BULK",
            "CRASH",
            "CROSS_MARKET",
            "BULK_SOLD",
            "FREE_ON_BOARD",
            "RULE127_OR_155",
            "DELAY",
            "MARKET_CENTER_CLOSE_PRICE",
            "NEXT_DAY",
            "MARKET_CENTER_OPENING",
            "PRIOR_REFERENCE_PRICE",
            "MARKET_CENTER_OPEN_PRICE",
            "SELLER",
            "T",
            "EXTENDED_TRADING_HOURS",
            "CONTINGENT",
            "AVERAGE_PRICE",
            "OTC_SOLD",
            "ODD_LOT_CROSS_MARKET",
            "DERIVATIVELY_PRICED",
            "REOPENING_PRICED",
            "CLOSING_PRICED",
            "COMPREHENSIVE_DELAY_PRICE",
            "OVERSEAS",
        ]
    )
)
