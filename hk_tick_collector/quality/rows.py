"""Rows of the ledger, and what a window of OpenD's memory says. Pure."""

from __future__ import annotations

from typing import NamedTuple


class Doubt(NamedTuple):
    """A row of `doubts`. `compared_seq` is the last tick that the totals before the outage had counted."""

    symbol: str
    resumed_ms: int
    cause: str
    since_ms: int | None
    session: str
    before_seq: int | None
    before_ts_ms: int | None
    difference_before: int | None
    compared_seq: int | None


class TotalsRow(NamedTuple):
    """A row of `exchange_totals`."""

    symbol: str
    at_ms: int
    volume: int
    turnover: float
    our_volume: int
    our_turnover: float
    our_rows: int
    our_last_seq: int | None
    settled: int
    settled_last_seq: int | None
    until_ms: int

    @property
    def difference(self) -> int:
        """The exchange's volume less ours, shares."""
        return self.volume - self.our_volume


class Window(NamedTuple):
    """A GetTicker reply of one symbol: its least and greatest sequence, and when its earliest tick was traded."""

    first_seq: int
    last_seq: int
    first_ts_ms: int
