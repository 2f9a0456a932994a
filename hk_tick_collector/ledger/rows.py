"""The ledger's types: rows of its tables, a window, and what the writer reports. Pure."""

from __future__ import annotations

from typing import NamedTuple


class Doubt(NamedTuple):
    """A row of `doubts`: an interruption in which something may be missing; `docs/data.md` explains the columns."""

    symbol: str
    resumed_ms: int
    cause: str
    since_ms: int | None
    session: str
    before_seq: int | None
    before_ts_ms: int | None


class Window(NamedTuple):
    """A GetTicker reply of one symbol.

    Attributes:
        first_seq: its least sequence above 0.
        last_seq: its greatest sequence.
        first_ts_ms: when the tick with the least sequence was traded.
        ticks: how many of its sequences are of the ledger's day.
    """

    first_seq: int
    last_seq: int
    first_ts_ms: int
    ticks: int


class TotalsRow(NamedTuple):
    """A row of `exchange_totals`: one snapshot of a symbol, and what was stored at that place in the journal.

    Attributes:
        symbol: which.
        at_ms: when it was received, by the host's clock.
        segment: with `offset`, its place in the journal.
        offset: see `segment`.
        volume: the exchange's, of the day so far, in shares.
        turnover: the exchange's, of the day so far, in the counter's currency.
        own_ms: the snapshot's own update time; None: it has none.
        asked_ms: when it was asked for, by the host's clock; None: not known.
        exchange_ms: the exchange's time when it was received, where two clocks agree on it; else None.
        our_volume: stored at that place, in shares.
        our_turnover: stored at that place.
        our_rows: ticks stored at that place.
        our_last_seq: the greatest sequence stored at that place.
        least: at least this many shares are missing; computed some seconds later, when what was under way has come.
            None: not yet, or it can't be computed.
        most: at most this many shares are missing; None: it can't be computed.
        exact: 1: in a calm moment, the totals were exactly what is stored; None: `least` is still to be computed.
        until_ms: the exchange's time at the last snapshot that repeated all of this; None: not known.
        confirmed_ms: the same for the snapshot before that one.
        market_ms: the newest update time of any symbol by then: a sign of life of the whole market.
        may_ms: it can't have counted trades made after this, by the exchange's time; None: not known.
        untold: at most this many shares are missing besides those that gaps by totals report, by this snapshot and the
            one before; None: it can't be computed.
        untold_ms: `untold` covers the trades made before this, by the exchange's time.
    """

    symbol: str
    at_ms: int
    segment: int
    offset: int
    volume: int
    turnover: float
    own_ms: int | None
    asked_ms: int | None
    exchange_ms: int | None
    our_volume: int
    our_turnover: float
    our_rows: int
    our_last_seq: int | None
    least: int | None = None
    most: int | None = None
    exact: int | None = None
    until_ms: int | None = None
    confirmed_ms: int | None = None
    market_ms: int | None = None
    may_ms: int | None = None
    untold: int | None = None
    untold_ms: int | None = None


class News(NamedTuple):
    """A gap that was found, or filled; `filled_by` is what filled it."""

    day: str
    symbol: str
    cause: str
    session: str
    missing: int | None
    missing_volume: int | None
    evidence: str
    filled_by: str | None


class Failure(NamedTuple):
    """A premise failed for the first time on a day for a symbol, and what was seen."""

    day: str
    symbol: str
    premise: str
    seen: str
