"""The exchange's last word on a symbol's day: which snapshot is the last word, or why none is. Pure.

No single clock proves that a snapshot came after the close: two clocks have to agree. And its figures may be older than
that, since a feed that has frozen goes on answering. So the whole market must show a sign of life from after the close,
and the symbol's own update time must not be before its last tick.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from hk_tick_collector.audit.schedule import after_close_ms, closing_print_ms
from hk_tick_collector.hktime import hk_text
from hk_tick_collector.store.schema import PREMISES_VERSION

if TYPE_CHECKING:
    from collections.abc import Container

    from hk_tick_collector.audit.figures import DayFigures, Figures, Words


class LastWord(NamedTuple):
    """The exchange's last word; or None, with why there is none and what would have been one."""

    word: Words | None
    why_not: str = ""
    would_prove: str = ""


def final_word(f: Figures, day: DayFigures, not_counted: Container[int] = ()) -> LastWord:
    """Which of a symbol's snapshots is the last word on its day.

    Args:
        f: what was read of the symbol.
        day: what was read of the day.
        not_counted: types of ticks that the exchange does not count: a later tick of these makes no snapshot too old.
    """
    after_ms = after_close_ms(day.sessions)
    late = [word for word in f.words if word.until_ms is not None and word.until_ms >= after_ms]
    if not late or day.version < PREMISES_VERSION:
        return LastWord(None, *_nothing_told(f, day))
    # A day's volume never falls, so of several snapshots the greatest is right: a lower one is late, or of another day.
    word = max(late, key=lambda w: (w.volume, w.until_ms or 0))
    if (word.confirmed_ms or 0) < after_ms and sum(w.volume == word.volume for w in late) == 1:
        return LastWord(None, "the exchange's totals were told only once after the close", _twice(day))
    fault = _out_of_date(f, word, day, not_counted)
    return LastWord(word) if fault is None else LastWord(None, *fault)


def _nothing_told(f: Figures, day: DayFigures) -> tuple[str, str]:
    """Why no snapshot came after the close, and what would have been one."""
    told = [word.until_ms for word in f.words if word.until_ms is not None]
    if f.without is not None and not f.words:
        return f"OpenD did not give it: {f.without}", "a subscription"
    if not f.words:
        return "no snapshot of the exchange's totals", _twice(day)
    if day.version < PREMISES_VERSION:
        why = "an older version recorded it, which did not keep the snapshots' own times"
        return why, "a recorder of this version"
    if not told:
        return "clocks disagree: no two of the host's, OpenD's and the market's were the same", _twice(day)
    return f"no snapshot of the exchange's totals after the close; the last is of {_clock(max(told))}", _twice(day)


def _out_of_date(f: Figures, word: Words, day: DayFigures, not_counted: Container[int]) -> tuple[str, str] | None:
    """Why a snapshot that came after the close may have older figures, and what would have shown that it has not."""
    print_ms = closing_print_ms(day.sessions)
    if word.market_ms is None or word.market_ms < print_ms:
        seen = "none" if word.market_ms is None else _clock(word.market_ms)
        why = f"the exchange's figures may have frozen: the market's newest update time is {seen}"
        return why, f"an update time of any symbol of {_clock(print_ms)} or later"
    last_ms = max((ms for t, ms in f.last_ms_by_type.items() if t not in not_counted), default=None)
    if last_ms is not None and (word.own_ms is None or word.own_ms // 1000 < last_ms // 1000):
        seen = "no update time" if word.own_ms is None else f"the update time {_clock(word.own_ms)}"
        why = f"the snapshot has {seen}, and the last tick is of {_clock(last_ms)}"
        return why, "a snapshot whose own time is not before the last tick"
    return None


def _twice(day: DayFigures) -> str:
    return f"two snapshots received after {_clock(after_close_ms(day.sessions))}, with two clocks that agree"


def _clock(ms: int) -> str:
    return hk_text(ms)[11:19]
