"""The rules of bars: how long one is, which session a tick belongs to, and which trades set prices. Pure.

A trading day has up to four sessions: `pre-opening` with the opening auction, `morning`, `afternoon` and `closing
auction`. Every tick belongs to exactly one of them, so bars add up to the day. It is the last session that has begun:
what is reported during lunch belongs to the morning, and what is reported late in the day to the closing auction. Two
exceptions by type: an auction's print in the first minute of trading is the opening auction's, and what the order book
matched in continuous trading never belongs to the closing auction.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, Literal, NamedTuple, TypeAlias

from hk_tick_collector.audit.schedule import Session, sessions_of, traded_type
from hk_tick_collector.errors import ConfigError
from hk_tick_collector.hktime import AFTERNOON_MS, DAY_MS, MINUTE_MS, day_begin_ms
from hk_tick_collector.opend.numbers import TICK_TYPES

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

Auctions: TypeAlias = Literal["own", "merge", "drop"]
Like: TypeAlias = Literal["futu"]

_NUMBERS: Final = {name: number for number, name in TICK_TYPES.items()}
AUCTION: Final = _NUMBERS["AUCTION"]
MATCHED: Final = frozenset({_NUMBERS["AUTO_MATCH"], _NUMBERS["INTER_AUTO_MATCH"]})
"""The types of continuous trading: the order book matched them."""
PRICE_TYPES: Final = MATCHED | {AUCTION}
"""The types that set prices unless others are asked for. Odd lots, trades off the exchange and late reports do not."""

# An opening auction's print may come with the first second of the morning.
OPENING_PRINT_MS: Final = MINUTE_MS

_EVERY: Final = re.compile(r"([0-9][0-9_,]*(?:\.[0-9]+)?(?:[eE]\+?[0-9]+)?)\s*([A-Za-z]+)")
_TIMES_MS: Final = {
    "s": 1_000,
    "sec": 1_000,
    "m": MINUTE_MS,
    "min": MINUTE_MS,
    "h": 60 * MINUTE_MS,
    "d": DAY_MS,
}
_AMOUNTS: Final = {"tick": "ticks", "ticks": "ticks", "share": "shares", "shares": "shares"}
_CURRENCIES: Final = frozenset({"HKD", "CNY", "USD"})
_AMOUNT_MAX: Final = 1e15
_EXPECTED: Final = (
    "expected a time such as '5s', '1m', '1h' or '1d', or an amount such as '1000 ticks', '1e6 shares' or '1e7 HKD'"
)
_CNY_COUNTERS: Final = re.compile(r"HK\.8[0-9]{4}")
_USD_COUNTERS: Final = re.compile(r"HK\.09[0-8][0-9]{2}")  # some of them; the others are in HKD


class Every(NamedTuple):
    """How much a bar holds.

    Attributes:
        kind: `time`, `day`, or what is counted.
        amount: ms, or the ticks, shares or money that close a bar.
        currency: of `turnover`; else "".
    """

    kind: Literal["time", "day", "ticks", "shares", "turnover"]
    amount: float
    currency: str = ""


class DayFacts(NamedTuple):
    """What bars need to know of a day besides its ticks.

    Attributes:
        date_type: by OpenD's calendar: `whole`, `morning` or `afternoon`; None: not known.
        last_ms: the time of the day's last trade, of any symbol, UTC epoch ms; None: not known.
        gaps: by symbol, the open gaps: the times of the ticks around each, UTC epoch ms. None: without a limit.
    """

    date_type: str | None = None
    last_ms: int | None = None
    gaps: Mapping[str, Sequence[tuple[int | None, int | None]]] = {}


def parse_every(every: str) -> Every:
    """Read `1m`, `1h`, `1d`, `1000 ticks`, `1e6 shares`, `1e7 HKD`.

    Raises:
        ConfigError: it is none of these.
    """
    match = _EVERY.fullmatch(every.strip())
    if match is None:
        raise ConfigError(f"every={every!r}, {_EXPECTED}")
    number = float(re.sub(r"[_,]", "", match[1]))
    unit = match[2]
    currency = unit.upper()
    if unit in _TIMES_MS:
        return _time(every, number * _TIMES_MS[unit])
    if not 0 < number <= _AMOUNT_MAX:
        raise ConfigError(f"every={every!r}, expected an amount above 0 and up to {_AMOUNT_MAX:.0e}")
    if currency in _CURRENCIES:
        return Every("turnover", number, currency)
    kind = _AMOUNTS.get(unit.lower())
    if kind is None:
        raise ConfigError(f"every={every!r}, {_EXPECTED}")
    if not number.is_integer():
        raise ConfigError(f"every={every!r}, expected a whole number of {kind}")
    return Every("ticks" if kind == "ticks" else "shares", int(number))


def _time(every: str, ms: float) -> Every:
    if ms == DAY_MS:
        return Every("day", DAY_MS)
    if not 0 < ms < DAY_MS or ms % 1000:
        raise ConfigError(f"every={every!r}, expected whole seconds, less than a day, or '1d'")
    return Every("time", int(ms))


def check_currency(every: Every, symbol: str) -> None:
    """Refuse an amount of money in a currency that the counter does not trade in.

    Raises:
        ConfigError: it does not.
    """
    if every.kind != "turnover":
        return
    if _CNY_COUNTERS.fullmatch(symbol):
        traded = ["CNY"]
    else:
        traded = ["HKD", "USD"] if _USD_COUNTERS.fullmatch(symbol) else ["HKD"]
    if every.currency not in traded:
        raise ConfigError(f"{symbol} trades in {' or '.join(traded)}, and the bars were asked for in {every.currency}")


def day_sessions(day: str, facts: DayFacts) -> tuple[Session, ...]:
    """The sessions of a day as it was traded; the first is the pre-opening, the last the closing auction.

    Without a calendar, a day whose last trade came before 13:00 counts as a half day.
    """
    date_type = traded_type(day, facts.date_type, facts.last_ms)
    if date_type is None and facts.last_ms is not None and facts.last_ms < day_begin_ms(day) + AFTERNOON_MS:
        date_type = "morning"
    return sessions_of(day, date_type)
