"""Which types of ticks the exchange counts, as measured while a day is recorded; `audit.counted` does whole days.

A snapshot that is exactly what is stored, in a calm moment, shows that all types of ticks since the last such snapshot
are counted. One such match may be a coincidence: a lost tick may have the size of a tick that is not counted. So a
symbol relies on a type only after two other matches, by other symbols or at other moments. Owns `symbol_types.agreed`:
how often a symbol has shown that a type is counted.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

    import apsw

    from hk_tick_collector.ledger.rows import TotalsRow

OTHERS_MIN: Final = 2
ENOUGH: Final = 5  # matches per symbol and type; more add nothing

_AGREED = "SELECT symbol, tick_type_id, agreed FROM symbol_types WHERE agreed > 0"
_SINCE = "SELECT DISTINCT tick_type_id FROM ticks WHERE symbol = ? AND seq > ? AND seq <= ? AND volume > 0"
_EXACT_BEFORE = (
    "SELECT our_last_seq FROM exchange_totals WHERE symbol = ? AND exact = 1 AND our_last_seq NOT NULL "
    "AND (segment, offset) < (?, ?) ORDER BY segment DESC, offset DESC LIMIT 1"
)
_NOTE = "UPDATE symbol_types SET agreed = agreed + 1 WHERE symbol = ? AND tick_type_id = ?"
_TURNOVER_LEAST: Final = 1.0
_TURNOVER_A_TICK: Final = 0.0005


def tolerance(rows: int) -> float:
    """How much two turnovers of that many ticks may differ by rounding alone, in the counter's currency."""
    return _TURNOVER_LEAST + _TURNOVER_A_TICK * rows


def others(of_all: int, of_this: int) -> int:
    """How often a type was shown to be counted, less one of the symbol's own matches: that may be a coincidence."""
    return of_all - min(1, of_this)


class Counting:
    """The matches seen on one day."""

    def __init__(self, con: apsw.Connection, types: Mapping[str, set[int]]) -> None:
        """Read the matches so far; `types`: by symbol, the types of ticks that it has had by now, kept up to date."""
        self._con = con
        self._types = types
        self._agreed: dict[tuple[str, int], int] = {}
        self._of_all: Counter[int] = Counter()
        for symbol, tick_type, agreed in con.execute(_AGREED):
            self._agreed[symbol, tick_type] = agreed
            self._of_all[tick_type] += agreed

    def counts_all(self, symbol: str) -> bool:
        """Whether all types that a symbol has had were shown to be counted, by other symbols or at other moments."""
        return all(
            others(self._of_all[tick_type], self._agreed.get((symbol, tick_type), 0)) >= OTHERS_MIN
            for tick_type in self._types.get(symbol, ())
        )

    def can_learn(self, symbol: str) -> bool:
        """Whether another match of this symbol would add evidence for one of its types."""
        return any(self._agreed.get((symbol, tick_type), 0) < ENOUGH for tick_type in self._types.get(symbol, ()))

    def saw(self, row: TotalsRow) -> None:
        """Note a snapshot that is exactly what is stored: a match for each type of tick since the last such one."""
        symbol = row.symbol
        before: Any = self._con.execute(_EXACT_BEFORE, (symbol, row.segment, row.offset)).get
        types: list[Any] = self._con.execute(_SINCE, (symbol, before or 0, row.our_last_seq)).fetchall()
        for (tick_type,) in types:
            agreed = self._agreed.get((symbol, tick_type), 0)
            if agreed < ENOUGH:
                self._agreed[symbol, tick_type] = agreed + 1
                self._of_all[tick_type] += 1
                self._con.execute(_NOTE, (symbol, tick_type))
