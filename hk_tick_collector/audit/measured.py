"""What a recording shows about the premises: all symbols and days of a DATA_ROOT together, without account data.

Owns the questions that only a live OpenD can answer, and how the answers are counted. Reads day databases, and changes
nothing.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from hk_tick_collector.audit.day import audit_day
from hk_tick_collector.ledger.continuity import PAIRS_MIN
from hk_tick_collector.opend.numbers import TICK_TYPES
from hk_tick_collector.store.opening import read_untouched
from hk_tick_collector.store.schema import day_files

if TYPE_CHECKING:
    from pathlib import Path

    import apsw

_DELAYS: Final = "SELECT recv_ts_ms - ts_ms FROM ticks WHERE push_type_id = 0 AND push_data_type = 1 LIMIT 1000000"
_AGES: Final = "SELECT exchange_ms - own_ms FROM exchange_totals WHERE own_ms NOT NULL AND exchange_ms NOT NULL"
_REPLIES: Final = "SELECT at_ms - asked_ms FROM exchange_totals WHERE asked_ms NOT NULL"
_TYPES: Final = "SELECT tick_type_id, count(*) FROM ticks GROUP BY 1"


class Answer(NamedTuple):
    """What was seen of one premise.

    Attributes:
        premise: its name, as in `SymbolAudit.premises`.
        held: how often it held.
        failed: how often it failed.
        symbols: for how many symbols and days it was observed.
        symbols_failed: for how many symbols and days it failed.
    """

    premise: str
    held: int
    failed: int
    symbols: int
    symbols_failed: int


class Spread(NamedTuple):
    """How long something took, in ms: median, 99th percentile, maximum, and the number of values."""

    p50_ms: int
    p99_ms: int
    max_ms: int
    of: int


class Measured(NamedTuple):
    """What was measured.

    Attributes:
        symbols: number of symbols with ticks.
        ticks: number of ticks.
        answers: one for each premise.
        ordinals: symbols and days by what their ordinals do: `count`, `do not count`, `too few`.
        types: number of ticks by type.
        types_counted: by type, how often the exchange's totals were exact with such ticks.
        delays: from a trade's published second to its reception; None: there is no live push.
        ages: from a snapshot's own update time to its reception, by the exchange's time; None: not known of any.
        replies: from asking for totals to the reply; None: not known of any.
    """

    symbols: int
    ticks: int
    answers: tuple[Answer, ...]
    ordinals: dict[str, int]
    types: dict[str, int]
    types_counted: dict[str, int]
    delays: Spread | None
    ages: Spread | None
    replies: Spread | None


def measure(data_root: Path) -> Measured:
    """Read all days of a DATA_ROOT.

    Raises:
        DatabaseError: one can't be read.
    """
    held: Counter[str] = Counter()
    failed: Counter[str] = Counter()
    symbols: Counter[str] = Counter()
    symbols_failed: Counter[str] = Counter()
    ordinals: Counter[str] = Counter()
    types: Counter[str] = Counter()
    counted: Counter[str] = Counter()
    values: dict[str, list[int]] = {"delays": [], "ages": [], "replies": []}
    with_ticks: set[str] = set()
    for path in day_files(data_root):
        audit = audit_day(path)
        for one in audit.symbols:
            if one.rows:
                with_ticks.add(one.symbol)
                few = "too few" if one.ordinals.pairs < PAIRS_MIN else "do not count"
                ordinals["count" if one.ordinals.counts else few] += 1
            for name, (times, failures) in one.premises.items():
                held[name] += times
                failed[name] += failures
                symbols[name] += 1
                symbols_failed[name] += failures > 0
        for tick_type, votes in audit.types.items():
            counted[TICK_TYPES.get(tick_type, str(tick_type))] += votes.counted
        for tick_type, ticks in read_untouched(path, lambda con: _all(con, _TYPES)):
            types[TICK_TYPES.get(tick_type, str(tick_type))] += ticks
        for name, select in (("delays", _DELAYS), ("ages", _AGES), ("replies", _REPLIES)):
            values[name] += [value for (value,) in read_untouched(path, lambda con, select=select: _all(con, select))]  # type: ignore[misc]
    answers = tuple(
        Answer(name, held[name], failed[name], symbols[name], symbols_failed[name]) for name in sorted(symbols)
    )
    spreads = {name: _spread(sorted(some)) for name, some in values.items()}
    return Measured(
        len(with_ticks), types.total(), answers, dict(ordinals), dict(types), dict(counted),
        spreads["delays"], spreads["ages"], spreads["replies"],
    )  # fmt: skip


def _all(con: apsw.Connection, select: str) -> list[tuple[Any, ...]]:
    return con.execute(select).fetchall()


def _spread(values: list[int]) -> Spread | None:
    if not values:
        return None
    return Spread(values[len(values) // 2], values[len(values) * 99 // 100], values[-1], len(values))
