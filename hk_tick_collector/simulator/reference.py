"""The calls that report on the market: state, totals, static facts, plates, trade dates.

Each is a function of (opend, client, c2s) that returns the S2C; to refuse a call it raises CallRefusedError. Nothing
here changes the market; deliberately wrong answers come from `premises`. Fields mean what the published protocol says.
"""

from __future__ import annotations

import datetime as dt
import time
from typing import TYPE_CHECKING, Final, NamedTuple

from hk_tick_collector.errors import BadTickError, CallRefusedError
from hk_tick_collector.hktime import HK, hk_date
from hk_tick_collector.opend import opend_pb2 as pb
from hk_tick_collector.opend.codes import security_of, symbol_of
from hk_tick_collector.opend.market import MarketState
from hk_tick_collector.simulator.calendar import trade_dates
from hk_tick_collector.simulator.subscriptions import Key

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hk_tick_collector.simulator.opend import Receiver, SimulatedOpenD
    from hk_tick_collector.simulator.tape import Totals

SERVER_VERSION = 1011
_SERVER_BUILD = 7108
_SUB_TYPE_BASIC = 1
_SECURITY_TYPE_STOCK = 3  # Qot_Common.SecurityType_Eqty
_TRADE_DATE_MARKET_HK = 1
_PROGRAM_READY = 10  # Common.ProgramStatusType
_CODES_MAX = 400  # in one snapshot or market-state call
_LISTED = "2000-01-03"
_CLOSING_PRINT = dt.time(16, 8, 12)
_NO_TIME = "0000-00-00 00:00:00"
_HOLIDAYS_MAX = 14  # days; the Lunar New Year break with its weekends is shorter

# Plates: their members are taken from the universe, busiest first.
_PLATES: Final[dict[str, slice]] = {
    "HK.BK1001": slice(0, 50),
    "HK.BK1002": slice(0, None, 2),
    "HK.BK1003": slice(1, None, 2),
    "HK.BK1004": slice(0, None),
}


def known_symbol(opend: SimulatedOpenD, security: pb.Security) -> str:
    """The symbol of a security in this market; CallRefusedError with its code if it is unknown."""
    try:
        symbol = symbol_of(security.market, security.code)
    except BadTickError:
        symbol = f"{security.market}.{security.code}"
    if symbol not in opend.caches:
        raise CallRefusedError(f"Unknown stock {symbol}")
    return symbol


def get_global_state(opend: SimulatedOpenD, client: Receiver, _c2s: pb.GetGlobalState.C2S) -> pb.GetGlobalState.S2C:
    """OpenD's state: `time` is its server's clock (s), `localTime` the clock of the machine that it runs on."""
    now_ms = opend.clock.now_ms
    return pb.GetGlobalState.S2C(
        marketHK=opend.premises.market_state(now_ms),
        marketUS=MarketState.CLOSED,
        marketSH=MarketState.CLOSED,
        marketSZ=MarketState.CLOSED,
        marketHKFuture=MarketState.CLOSED,
        qotLogined=opend.is_logged_in,
        trdLogined=False,
        serverVer=SERVER_VERSION,
        serverBuildNo=_SERVER_BUILD,
        time=opend.premises.global_time(now_ms),
        localTime=time.time(),
        programStatus=pb.ProgramStatus(type=_PROGRAM_READY),
        connID=client.conn_id,
    )


def get_basic_qot(opend: SimulatedOpenD, client: Receiver, c2s: pb.Qot_GetBasicQot.C2S) -> pb.Qot_GetBasicQot.S2C:
    """Quotes from OpenD's cache, for symbols subscribed as BASIC."""
    now_ms = opend.clock.now_ms
    quotes = []
    for security in c2s.securityList:
        symbol = known_symbol(opend, security)
        if opend.subscriptions.since(client.conn_id, Key(symbol, _SUB_TYPE_BASIC)) is None:
            raise CallRefusedError(f"{symbol} is not subscribed to BASIC on this connection, subscribe first")
        totals = opend.premises.quote(symbol)
        quotes.append(
            pb.BasicQot(
                security=security,
                isSuspended=False,
                listTime=_LISTED,
                priceSpread=0.01,
                updateTime=hk_time(now_ms),
                highPrice=totals.high,
                openPrice=totals.open,
                lowPrice=totals.low,
                curPrice=totals.last_price,
                lastClosePrice=totals.prev_close,
                volume=totals.volume,
                turnover=totals.turnover,
                turnoverRate=0.0,
                amplitude=_amplitude(totals),
                updateTimestamp=now_ms / 1000,
                name=opend.names[symbol],
            )
        )
    return pb.Qot_GetBasicQot.S2C(basicQotList=quotes)


def get_security_snapshot(
    opend: SimulatedOpenD, _client: Receiver, c2s: pb.Qot_GetSecuritySnapshot.C2S
) -> pb.Qot_GetSecuritySnapshot.S2C:
    """The exchange's totals of the day: what was made, whether OpenD received it or not.

    The update time is that of the last trade. For a symbol that has not traded it is the previous trade date's close,
    unless `update_time_of_untraded` is set otherwise.
    """
    now_ms = opend.clock.now_ms
    symbols = _known_symbols(opend, c2s.securityList)
    refused = opend.premises.refused_code(symbols)
    if refused is not None:
        raise CallRefusedError(f"Unknown stock {refused}")
    never = _never(opend, now_ms)
    if opend.ending is not None:
        opend.ending.told(symbols, now_ms)
    return pb.Qot_GetSecuritySnapshot.S2C(
        snapshotList=[
            pb.Qot_GetSecuritySnapshot.Snapshot(basic=_snapshot(symbol, opend.names[symbol], totals, never))
            for symbol, totals in ((symbol, opend.premises.snapshot(symbol, now_ms)) for symbol in symbols)
        ]
    )


def get_static_info(
    opend: SimulatedOpenD, _client: Receiver, c2s: pb.Qot_GetStaticInfo.C2S
) -> pb.Qot_GetStaticInfo.S2C:
    """Static facts of the requested securities, or of all stocks."""
    if c2s.securityList:
        symbols = [known_symbol(opend, security) for security in c2s.securityList]
    elif c2s.secType in {0, _SECURITY_TYPE_STOCK} and c2s.market == 1:
        symbols = list(opend.market.symbols)
    else:
        symbols = []
    return pb.Qot_GetStaticInfo.S2C(staticInfoList=[_static(opend, symbol) for symbol in symbols])


def get_plate_security(
    opend: SimulatedOpenD, _client: Receiver, c2s: pb.Qot_GetPlateSecurity.C2S
) -> pb.Qot_GetPlateSecurity.S2C:
    """The members of a plate."""
    plate = f"HK.{c2s.plate.code}" if c2s.plate.market == 1 else f"{c2s.plate.market}.{c2s.plate.code}"
    members = _PLATES.get(plate)
    if members is None:
        raise CallRefusedError(f"Unknown plate {plate}, there are {', '.join(_PLATES)}")
    return pb.Qot_GetPlateSecurity.S2C(
        staticInfoList=[_static(opend, symbol) for symbol in opend.market.symbols[members]]
    )


def request_trade_date(
    opend: SimulatedOpenD, _client: Receiver, c2s: pb.Qot_RequestTradeDate.C2S
) -> pb.Qot_RequestTradeDate.S2C:
    """Trade dates of Hong Kong from `beginTime` to `endTime`, both included."""
    if c2s.market != _TRADE_DATE_MARKET_HK:
        raise CallRefusedError(f"market {c2s.market} is not simulated, only 1 (Hong Kong)")
    dates = opend.premises.trade_dates(_date(c2s.beginTime), _date(c2s.endTime))
    return pb.Qot_RequestTradeDate.S2C(
        tradeDateList=[
            pb.Qot_RequestTradeDate.TradeDate(
                time=date.isoformat(),
                timestamp=dt.datetime.combine(date, dt.time(), HK).timestamp(),
                tradeDateType=kind,
            )
            for date, kind in dates
        ]
    )


def get_market_state(
    opend: SimulatedOpenD, _client: Receiver, c2s: pb.Qot_GetMarketState.C2S
) -> pb.Qot_GetMarketState.S2C:
    """The state of each security's market."""
    symbols = _known_symbols(opend, c2s.securityList)
    state = opend.premises.market_state(opend.clock.now_ms)
    return pb.Qot_GetMarketState.S2C(
        marketInfoList=[
            pb.Qot_GetMarketState.MarketInfo(security=_security(s), name=opend.names[s], marketState=state)
            for s in symbols
        ]
    )


def _known_symbols(opend: SimulatedOpenD, securities: Sequence[pb.Security]) -> list[str]:
    if len(securities) > _CODES_MAX:
        raise CallRefusedError(f"{len(securities)} codes in one call, at most {_CODES_MAX} are allowed")
    return [known_symbol(opend, security) for security in securities]


class _UpdateTime(NamedTuple):
    """A snapshot's update time, as its two fields hold it."""

    text: str
    sec: float


def _never(opend: SimulatedOpenD, now_ms: int) -> _UpdateTime:
    """The update time of a symbol that has not traded."""
    if opend.options.update_time_of_untraded == "before":
        return _update_time(_last_close_ms(now_ms))
    return _UpdateTime("" if opend.options.update_time_of_untraded == "empty" else _NO_TIME, 0.0)


def _update_time(ts_ms: int) -> _UpdateTime:
    return _UpdateTime(hk_time(ts_ms), ts_ms / 1000)


def _last_close_ms(now_ms: int) -> int:
    """The time of the previous trade date's closing print."""
    today = hk_date(now_ms)
    date = trade_dates(today - dt.timedelta(days=_HOLIDAYS_MAX), today - dt.timedelta(days=1))[-1][0]
    return int(dt.datetime.combine(date, _CLOSING_PRINT, HK).timestamp()) * 1000


def _snapshot(
    symbol: str, name: str, totals: Totals, never: _UpdateTime
) -> pb.Qot_GetSecuritySnapshot.SnapshotBasicData:
    at = never if totals.last_ts_ms is None else _update_time(totals.last_ts_ms)
    return pb.Qot_GetSecuritySnapshot.SnapshotBasicData(
        security=_security(symbol),
        type=_SECURITY_TYPE_STOCK,
        isSuspend=False,
        listTime=_LISTED,
        lotSize=totals.lot_size,
        priceSpread=0.01,
        updateTime=at.text,
        highPrice=totals.high,
        openPrice=totals.open,
        lowPrice=totals.low,
        lastClosePrice=totals.prev_close,
        curPrice=totals.last_price,
        volume=totals.volume,
        turnover=totals.turnover,
        turnoverRate=0.0,
        updateTimestamp=at.sec,
        name=name,
    )


def _static(opend: SimulatedOpenD, symbol: str) -> pb.SecurityStaticInfo:
    security = _security(symbol)
    return pb.SecurityStaticInfo(
        basic=pb.SecurityStaticBasic(
            security=security,
            id=int(security.code) if security.code.isdigit() else 0,
            lotSize=opend.market.totals(symbol).lot_size,
            secType=_SECURITY_TYPE_STOCK,
            name=opend.names[symbol],
            listTime=_LISTED,
            delisting=False,
        )
    )


def _security(symbol: str) -> pb.Security:
    market, code = security_of(symbol)
    return pb.Security(market=market, code=code)


def _amplitude(totals: Totals) -> float:
    return round((totals.high - totals.low) / totals.prev_close * 100, 3) if totals.prev_close else 0.0


def hk_time(ts_ms: int) -> str:
    """UTC epoch ms as a Hong Kong time in the protocol's format."""
    return dt.datetime.fromtimestamp(ts_ms // 1000, HK).strftime("%Y-%m-%d %H:%M:%S")


def _date(text: str) -> dt.date:
    try:
        return dt.datetime.fromisoformat(text).date()  # the SDK appends a time of 00:00:00
    except ValueError:
        raise CallRefusedError(f"date {text!r}, expected YYYY-MM-DD") from None
