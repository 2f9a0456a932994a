"""What was lost on a day: its open gaps as a few figures, and these in one line of words. Pure.

`status`, `/healthz`, the supervisor's line and the metrics share it. It is of losses that are proven: what is only
feared is told by the outage that goes on, and by `audit`.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from hk_tick_collector.hktime import plausible_text
from hk_tick_collector.status.findings import number_of
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


class Lost(NamedTuple):
    """Open gaps of a day.

    Attributes:
        day: YYYYMMDD in Hong Kong.
        gaps: how many.
        symbols: of how many symbols.
        ticks: that are missing, of gaps in which sequence numbers tell.
        shares: that are missing at least, of gaps in which only the exchange's totals tell.
        unknown: gaps of which neither tells how much.
        from_ms: the last tick before the first of them, UTC epoch ms; None: not known.
        until_ms: the first tick after the last of them; None: not known.
        causes: why, that of most gaps first; see `resumption.Cause`.
    """

    day: str
    gaps: int
    symbols: int
    ticks: int
    shares: int
    unknown: int
    from_ms: int | None
    until_ms: int | None
    causes: list[str]


def lost_text(told: object) -> str:
    """Such a summary in words, as `recorder.json` has it; empty where there is none.

    `4,253 ticks of 7 symbols, 13:00:48 to 13:01:33 HK (OpenD down)`
    """
    if not isinstance(told, dict) or not (number_of(told, "gaps") or 0) > 0:
        return ""
    amounts = [f"{counted(int(ticks), 'tick')}"] if (ticks := number_of(told, "ticks")) else []
    if shares := number_of(told, "shares"):
        amounts.append(f"at least {counted(int(shares), 'share')}")
    if number_of(told, "unknown"):
        amounts.append("an unknown number of ticks")
    symbols = counted(int(number_of(told, "symbols") or 0), "symbol")
    begin, end = (plausible_text(number_of(told, name))[11:19] for name in ("from_ms", "until_ms"))
    span = f", {begin} to {end} HK" if begin and end else f", until {end} HK" if end else ""
    return f"{' and '.join(amounts) or 'ticks'} of {symbols}{span}{_causes(told.get('causes'))}"


def _causes(told: object) -> str:
    causes = told if isinstance(told, list) else []
    words = [_WORDS.get(str(cause), excerpt(cause)) for cause in causes[:CAUSES_SHOWN]]
    more = ["…"] if len(causes) > CAUSES_SHOWN else []
    return f" ({', '.join([*words, *more])})" if words else ""
