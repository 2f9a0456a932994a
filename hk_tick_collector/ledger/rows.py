"""Rows of the ledger, and what a window of OpenD's memory says. Pure."""

from __future__ import annotations

from typing import NamedTuple


class Doubt(NamedTuple):
    """A row of `doubts`: an interruption in which something may be missing."""

    symbol: str
    resumed_ms: int
    cause: str
    since_ms: int | None
    session: str
    before_seq: int | None
    before_ts_ms: int | None


class Window(NamedTuple):
    """A GetTicker reply of one symbol: its least and greatest sequence, its earliest trade, and how many ticks."""

    first_seq: int
    last_seq: int
    first_ts_ms: int
    ticks: int


class TotalsRow(NamedTuple):
    """A row of `exchange_totals`: what the exchange told of a symbol, and what was stored at that place in the journal.

    Attributes:
        symbol: which.
        at_ms: when it was received, by the host's clock.
        segment: where it stands in the journal, with `offset`.
        offset: likewise.
        volume: of the day so far, in shares.
        turnover: likewise, in the counter's currency.
        own_ms: its own update time; None: it has none.
        asked_ms: when it was asked for, by the host's clock; None: not known.
        exchange_ms: the exchange's time when it was received, where two clocks agree on it; else None.
        our_volume: stored at that place, in shares; with `our_turnover`, `our_rows` and `our_last_seq`.
        our_turnover: likewise.
        our_rows: likewise.
        our_last_seq: the greatest sequence stored then.
        least: missing at least, in shares, by all that came until it could be told; None: it can't yet.
        most: missing at most; None: it can't be told.
        exact: 1: nothing had come for a moment, and it is what was stored.
        until_ms: the exchange's time at the last snapshot that found all of this so still; None: not known.
        confirmed_ms: the same of the last but one.
        market_ms: the newest sign of life of the whole market by then: the newest update time of any symbol.
        may_ms: it may have counted what was traded until this, by the exchange's time; None: not known.
        untold: missing at most, in shares, besides what gaps by totals tell, by this and the one before; None: it can't
            be told.
        untold_ms: by the exchange's time, of what was traded before this.
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
    """A gap that was found, or filled: `filled_by` tells by what."""

    day: str
    symbol: str
    cause: str
    session: str
    missing: int | None
    missing_volume: int | None
    evidence: str
    filled_by: str | None


class Failure(NamedTuple):
    """A premise was seen to fail for the first time: of which day and symbol, and what was seen."""

    day: str
    symbol: str
    premise: str
    seen: str
