"""What was lost on a day: its open gaps and its doubts as a few figures, and as one line of text each. Pure.

`status`, `/healthz`, the supervisor's line and the metrics share it. A gap is a proven loss; a doubt is an outage of
which nobody can say yet whether it has cost ticks.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from hk_tick_collector.hktime import plausible_text
from hk_tick_collector.text import counted, excerpt

CAUSES_SHOWN: Final = 3
_WORDS: Final = {
    "connection_lost": "connection to OpenD lost",
    "opend_down": "OpenD down",
    "exchange_lost": "OpenD without the exchange",
    "kicked_out": "another login had the quote right",
    "recorder_down": "the recorder did not run",
    "journal_full": "journal full",
    "not_subscribed": "not subscribed",
    "unknown": "unknown cause",
}


@dataclass(frozen=True, slots=True)
class Lost:
    """The open gaps of a day, and its doubts.

    Attributes:
        day: YYYYMMDD in Hong Kong.
        gaps: how many.
        symbols: in how many symbols.
        ticks: missing ticks, in gaps where sequence numbers give their number.
        shares: missing shares at least, in gaps where only the exchange's totals give an amount.
        unknown: gaps where neither gives an amount.
        from_ms: the last tick before the first of them, UTC epoch ms; None: not known.
        until_ms: the first tick after the last of them; None: not known.
        causes: why, the most frequent first; see `events.Cause`.
        doubts: outages that are not decided yet, by symbol.
        doubted_symbols: in how many symbols.
        doubted_from_ms: the last tick before the first of them, UTC epoch ms; None: not known.
        doubted_until_ms: when the stream resumed after the last of them; None: there is none.
        doubted_causes: why, the most frequent first.
        no_ledger: why it can't be known what else is missing; "": the day has a ledger.
    """

    day: str = ""
    gaps: int = 0
    symbols: int = 0
    ticks: int = 0
    shares: int = 0
    unknown: int = 0
    from_ms: int | None = None
    until_ms: int | None = None
    causes: tuple[str, ...] = ()
    doubts: int = 0
    doubted_symbols: int = 0
    doubted_from_ms: int | None = None
    doubted_until_ms: int | None = None
    doubted_causes: tuple[str, ...] = ()
    no_ledger: str = ""


def lost_text(lost: Lost | None) -> str:
    """The summary in words; empty if nothing is lost.

    `4,253 ticks of 7 symbols, 13:00:48 to 13:01:33 HK (OpenD down)`
    """
    if lost is None or lost.gaps <= 0:
        return ""
    amounts = [counted(lost.ticks, "tick")] if lost.ticks else []
    if lost.shares:
        amounts.append(f"at least {counted(lost.shares, 'share')}")
    if lost.unknown:
        amounts.append("an unknown number of ticks")
    of = f"of {counted(lost.symbols, 'symbol')}{_span(lost.from_ms, lost.until_ms)}"
    return f"{' and '.join(amounts) or 'ticks'} {of}{_causes(lost.causes)}"


def doubt_text(lost: Lost | None) -> str:
    """The doubts in words; empty if there is none.

    `50 symbols, until 10:00:12 HK (the recorder did not run)`
    """
    if lost is None or lost.doubts <= 0:
        return ""
    span = _span(lost.doubted_from_ms, lost.doubted_until_ms)
    return f"{counted(lost.doubted_symbols, 'symbol')}{span}{_causes(lost.doubted_causes)}"


def cause_text(cause: str) -> str:
    """A cause of a gap or doubt in words; see `events.Cause`."""
    return _WORDS.get(cause, excerpt(cause))


def _span(from_ms: int | None, until_ms: int | None) -> str:
    begin, end = (plausible_text(ms)[11:19] for ms in (from_ms, until_ms))
    return f", {begin} to {end} HK" if begin and end else f", until {end} HK" if end else ""


def _causes(causes: tuple[str, ...]) -> str:
    words = [cause_text(cause) for cause in causes[:CAUSES_SHOWN]]
    more = ["…"] if len(causes) > CAUSES_SHOWN else []
    return f" ({', '.join([*words, *more])})" if words else ""
