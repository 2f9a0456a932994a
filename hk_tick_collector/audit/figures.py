"""What an audit reads of a day database: counts and sums by symbol, ledgers, the exchange's totals, premises, clocks.

What a database of an older schema does not tell is None or empty.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from hk_tick_collector.audit.counted import Sums
    from hk_tick_collector.audit.schedule import Session


class Gap(NamedTuple):
    """A row of `gaps`; `docs/data.md` tells of each column."""

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
    """A row of `outages`: an interruption of the stream of so many symbols."""

    cause: str
    since_ms: int | None
    resumed_ms: int
    symbols: int


class Ordinals(NamedTuple):
    """What a symbol's ordinals say.

    Attributes:
        pairs: consecutive live pushes.
        contiguous: of these, whose ordinals are one apart.
        counts: whether that is enough for ordinals to be evidence.
        missing: ordinals missing between the first and the last tick; 0 where they don't count.
        first: the ordinal of the first tick; None: there is none.
        made_good: runs of ticks that OpenD made good, after others.
        joined: of these, whose first ordinal is one after the tick before.
    """

    pairs: int
    contiguous: int
    counts: bool
    missing: int
    first: int | None = None
    made_good: int = 0
    joined: int = 0


class Words(NamedTuple):
    """What the exchange told of a symbol, and how well it is known when; times in UTC epoch ms.

    Attributes:
        volume: of the day so far, in shares.
        turnover: likewise, in the counter's currency.
        own_ms: its own update time; None: it has none.
        received_ms: when it first came, by the host's clock.
        until_ms: the exchange's time when it was told last, on the word of two clocks; None: no two agreed.
        confirmed_ms: the same of the time before.
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
    """A tick that came with several contents: its type, and what the first and the last of them say."""

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
        rows: ticks.
        agreed: by type, how often its totals were exact in calm moments with such ticks since the one before.
        empty: of these, with a volume of 0: cancelled, and nobody knows whether the exchange counts what they were.
        made_up: of these, with a sequence that OpenD did not give.
        of_other_days: of these, traded on another day.
        fractions: of these, whose time has a fraction of a second.
        first_ts_ms: of the first tick; None: there is none.
        last_ts_ms: of the last.
        ordinals: what they say.
        words: the exchange's, told last first.
        low: how often two snapshots of the day in a row told less than had been stored for long.
        gaps: of it.
        rest: shares that are missing in open gaps by totals still, after what was fetched into them.
        doubts: how many; those that the exchange's totals decided alone are in `decided`.
        last_doubt_ms: when the last of them ended, by the host's clock; None: there is none.
        decided: doubts that nothing but totals has decided.
        revised: ticks that came with several contents.
        bad: ticks kept aside.
        recorded: it was to be recorded.
        without: why OpenD did not give it; None: it did.
        premises: how often each was seen to hold, and to fail.
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
    """How a clock was seen: how often, and by how much it was apart at least and at most, in ms."""

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
