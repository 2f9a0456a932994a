"""The exchange's spread table: which prices exist.

Prices here are integers in thousandths of a Hong Kong dollar ("mils"), so that a price walk stays exact.
`price_mil / 1000` is the float that OpenD would send, since true division of integers rounds correctly.

Source: HKEX, Second Schedule of the Rules of the Exchange, Part A, as changed on 2025-08-04 (0.01 from HK$10,
0.02 from HK$20). The next planned change (0.005 from HK$0.50 to HK$10) is left out: every price in this table is valid
in that one, too.
"""

from __future__ import annotations

from bisect import bisect_right
from typing import Final

# A price of at least BANDS_MIL[i - 1] and below BANDS_MIL[i] moves in steps of SPREADS_MIL[i].
_BANDS_MIL: Final = (
    *(250, 500, 10_000, 20_000, 50_000, 100_000),
    *(200_000, 500_000, 1_000_000, 2_000_000, 5_000_000),
)
_SPREADS_MIL: Final = (1, 5, 10, 10, 20, 50, 100, 200, 500, 1_000, 2_000, 5_000)

PRICE_MIN_MIL: Final = 10
PRICE_MAX_MIL: Final = 9_995_000


def spread_mil(price_mil: int) -> int:
    """The step upwards from a price, in mils."""
    return _SPREADS_MIL[bisect_right(_BANDS_MIL, price_mil)]


def step_up_mil(price_mil: int) -> int:
    """The next price above."""
    return price_mil + spread_mil(price_mil)


def step_down_mil(price_mil: int) -> int:
    """The next price below; at the lower end of a band, the step is the lower band's."""
    return price_mil - spread_mil(price_mil - 1)


def on_table_mil(price_mil: float) -> int:
    """The nearest valid price at or below, clamped to the ends of the table."""
    price = int(min(max(price_mil, PRICE_MIN_MIL), PRICE_MAX_MIL))
    return price - price % spread_mil(price)
