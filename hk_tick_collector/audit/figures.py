"""What an audit reads of a day database: counts and sums by symbol, ledgers, the exchange's totals, premises, clocks.

What a database of an older schema does not have is None or empty.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from hk_tick_collector.audit.counted import Sums
    from hk_tick_collector.audit.schedule import Session
    from hk_tick_collector.store.imported import Import


class Gap(NamedTuple):
    """A row of `gaps`; `docs/data.md` explains the columns."""

    symbol: str
    cause: str
    session: str
    since_ms: int | None
    resumed_ms: int
    before_seq: int | None
    before_ts_ms: int | None
    after_seq: int | None
    after_ts_ms: int | None
    missing: int | None
    missing_volume: int | None
    evidence: str
    state: str
    found_ms: int
    filled_ms: int | None
    filled_by: str | None


class Outage(NamedTuple):
    """A row of `outages`: an interruption of the stream; `symbols` is how many it affected."""

    cause: str
    since_ms: int | None
    resumed_ms: int
    symbols: int


class Ordinals(NamedTuple):
    """What a symbol's ordinals show.

    Attributes:
        pairs: pairs of consecutive live pushes.
        contiguous: pairs whose ordinals are one apart.
        counts: whether that is enough for ordinals to be evidence.
        missing: ordinals missing between the first and the last tick; 0 if ordinals don't count.
        first: the ordinal of the first tick; None: there is no tick.
        made_good: runs of ticks that OpenD replayed, each after other ticks.
        joined: such runs whose first ordinal is one more than that of the tick before.
    """

    pairs: int
    contiguous: int
    counts: bool
    missing: int
    first: int | None = None
    made_good: int = 0
    joined: int = 0


class Words(NamedTuple):
    """A snapshot of the exchange's totals of a symbol, and its times in UTC epoch ms.

    Attributes:
        volume: of the day so far, in shares.
        turnover: of the day so far, in the counter's currency.
        own_ms: its own update time; None: it has none.
        received_ms: when it first came, by the host's clock.
        until_ms: the exchange's time when it came last, by two clocks; None: no two agreed.
        confirmed_ms: the exchange's time when it came the time before.
        market_ms: the newest update time of any symbol by then.
    """

    volume: int
    turnover: float
    own_ms: int | None
    received_ms: int
    until_ms: int | None
    confirmed_ms: int | None
    market_ms: int | None


class Revised(NamedTuple):
    """A tick that came with several contents: its type, its first and last content, and the greatest volume of all."""

    tick_type: int
    first: Sums
    last: Sums
    volume_max: int


class Figures(NamedTuple):
    """What was read of a symbol.

    Attributes:
        symbol: which.
        by_type: sums by type of tick, each tick as it came first.
        last_ms_by_type: when the last tick of each type was traded.
        by_session: ticks by session.
        rows: number of ticks.
        agreed: by type, how often its totals were exact in a calm moment, with such ticks since the last exact ones.
        empty: ticks with a volume of 0: cancelled, and it is not known whether the exchange counts what they were.
        made_up: ticks with a sequence that OpenD did not give.
        of_other_days: ticks traded on another day.
        fractions: ticks whose time has a fraction of a second.
        first_ts_ms: of the earliest tick; None: there is no tick.
        last_ts_ms: of the latest tick; None: there is no tick.
        ordinals: what they show.
        words: snapshots: the last one first, then others that were still repeated after the close.
        low: how often two snapshots of the day in a row had less than the stored ticks that they must have counted.
        gaps: its rows of `gaps`.
        rest: shares still missing in open gaps by totals, after what was fetched into them.
        doubts: number of open doubts; those that only the exchange's totals decided are in `decided`.
        last_doubt_ms: when the last open one ended, by the host's clock; None: there is none.
        decided: number of doubts that only the exchange's totals decided.
        revised: ticks that came with several contents.
        bad: rows of `bad_ticks`.
        recorded: whether it was to be recorded.
        without: why OpenD did not give it; None: it did.
        premises: how often each held, and failed.
    """

    symbol: str
    by_type: dict[int, Sums]
    last_ms_by_type: dict[int, int]
    by_session: dict[str, int]
    rows: int
    agreed: dict[int, int]
    empty: int
    made_up: int
    of_other_days: int
    fractions: int
    first_ts_ms: int | None
    last_ts_ms: int | None
    ordinals: Ordinals
    words: tuple[Words, ...]
    low: int
    gaps: tuple[Gap, ...]
    rest: int
    doubts: int
    last_doubt_ms: int | None
    decided: int
    revised: tuple[Revised, ...]
    bad: int
    recorded: bool
    without: str | None
    premises: dict[str, tuple[int, int]]


class Clock(NamedTuple):
    """The readings of a clock: how many, and the least and greatest difference in ms."""

    readings: int
    least_ms: int
    most_ms: int


class DayFigures(NamedTuple):
    """What was read of a day."""

    day: str
    version: int
    trade_date: str | None
    sessions: tuple[Session, ...]
    outages: tuple[Outage, ...]
    symbols: tuple[Figures, ...]
    clocks: dict[str, Clock]
    imports: tuple[Import, ...] = ()
