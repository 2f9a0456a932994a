"""What the exchange says of a day at its end, put into a day database that no journal has told."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING

import apsw

from support.scenario import clock

if TYPE_CHECKING:
    from pathlib import Path

_WORD = """
INSERT INTO exchange_totals (symbol, at_ms, segment, offset, volume, turnover, own_ms, exchange_ms, our_volume,
  our_turnover, our_rows, until_ms, confirmed_ms, market_ms)
VALUES (:symbol, :told, 1, :told, :volume, :turnover, :own, :told, 0, 0, 0, :told, :told, :own)"""


def tell_last_word(path: Path, symbol: str, volume: int, turnover: float, day: str, *, hour: str = "16:15:00") -> None:
    """The exchange has counted so much, as it told twice at that hour; its types of ticks are known to be counted."""
    told = {
        "symbol": symbol, "volume": volume, "turnover": turnover, "told": clock(hour, day),
        "own": clock("16:08:30", day),
    }  # fmt: skip
    with closing(apsw.Connection(str(path))) as con:
        con.execute(_WORD, told)
        con.execute("INSERT INTO recorded (symbol, since_ms) VALUES (?, 0) ON CONFLICT DO NOTHING", (symbol,))
        con.execute("UPDATE symbol_types SET agreed = 3 WHERE symbol = ?", (symbol,))
