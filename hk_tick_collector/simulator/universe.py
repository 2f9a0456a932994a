"""The symbols of the simulated market, with their prices and board lots.

Owns the codes, board lots and first prices. Well-known symbols have roughly their real values (rounded, of 2025; for
the magnitude, not as data); the others are drawn from the code ranges that the exchange assigns.
"""

from __future__ import annotations

import random
from math import exp, log
from typing import NamedTuple

from hk_tick_collector.errors import ConfigError
from hk_tick_collector.simulator.prices import on_table_mil

# code:price in HK$:board lot, busiest first.
_KNOWN_TEXT = """
    00700:600:100 09988:150:100 03690:100:100 01810:50:200 00005:100:400 00388:420:100
    02318:55:500 00941:85:500 01299:75:200 00939:8:1000 01398:6.5:1000 00981:75:500
    01211:110:500 03988:4.6:1000 00883:19:1000 09618:130:50 01024:75:100 09888:120:50
    09999:220:100 09992:250:200 02628:23:1000 00857:8:2000 00386:4.4:2000 01088:39:500
    00728:5.8:2000 00762:9.5:2000 00016:95:500 00001:52:500 00002:68:500 00003:7:1000
    00027:38:1000 00066:28:500 00175:18:1000 00267:12:1000 00669:95:500 00688:15:500
    00823:42:100 00992:10:2000 02015:100:100 02020:95:200 02269:30:500 02313:65:100
    02382:75:100 02388:37:500 03968:48:500 06618:55:50 06690:25:200 09633:48:200
    09961:550:50 02800:26:500
"""
_KNOWN = {code: (float(price), int(lot)) for code, price, lot in (entry.split(":") for entry in _KNOWN_TEXT.split())}
# The exchange's stock code plan: ranges for shares and funds, and for warrants and callable contracts.
_SHARE_CODES = (range(1, 4000), range(6000, 7000), range(9600, 10_000))
_WARRANT_CODES = (range(13_000, 30_000), range(50_000, 70_000))

_LOTS = (100, 200, 500, 1000, 2000, 5000, 10_000, 20_000)
_LOT_WORTH_HKD = 4000  # typical cost of one board lot of a mid-priced share
_PRICE_MEDIAN_HKD = 3.0
_PRICE_SIGMA = 1.5
_OVERNIGHT = 0.03


class Listing(NamedTuple):
    """A symbol's price and board lot: `prev_close_mil` in thousandths of a HK dollar, `lot_size` in shares."""

    prev_close_mil: int
    lot_size: int


def universe(n: int, seed: int = 0) -> list[str]:
    """The first `n` symbols ('HK.00700', …), busiest first, no duplicates; a smaller `n` gives a prefix.

    Raises:
        ConfigError: `n` is less than 1 or more than the exchange has codes for.
    """
    known = list(_KNOWN)
    rng = random.Random(f"universe:{seed}")
    shares = [f"{code:05d}" for codes in _SHARE_CODES for code in codes]
    others = [code for code in rng.sample(shares, len(shares)) if code not in _KNOWN]
    codes = known + others
    if n > len(codes):
        warrants = [f"{code:05d}" for codes_ in _WARRANT_CODES for code in codes_]
        codes += rng.sample(warrants, len(warrants))
    if not 1 <= n <= len(codes):
        raise ConfigError(f"{n} symbols asked for, expected 1 to {len(codes)}")
    return [f"HK.{code}" for code in codes[:n]]


def listing(symbol: str, seed: int | str) -> Listing:
    """A symbol's previous close and board lot; depends only on the seed and the symbol."""
    rng = random.Random(f"{seed}:{symbol}")
    overnight = 1 + rng.uniform(-_OVERNIGHT, _OVERNIGHT)
    known = _KNOWN.get(symbol.removeprefix("HK."))
    if known is not None:
        price, lot_size = known
    else:
        price = exp(rng.gauss(log(_PRICE_MEDIAN_HKD), _PRICE_SIGMA))
        lot_size = next((lot for lot in _LOTS if lot * price >= _LOT_WORTH_HKD), _LOTS[-1])
    return Listing(on_table_mil(price * overnight * 1000), lot_size)
