"""How long the current outage can be recovered in full: as an object of `recorder.json`, and in words. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from hk_tick_collector.text import counted

if TYPE_CHECKING:
    from hk_tick_collector.session.deadlines import Risk

SHOWN_MAX: Final = 10
NAMED_MAX: Final = 3

_WORDS: Final = {
    "connection_lost": "OpenD unreachable for {} (connection lost)",
    "opend_down": "OpenD unreachable for {} (OpenD down)",
    "exchange_lost": "OpenD without the exchange for {}",
    "kicked_out": "OpenD without the quote right for {} (another login has it)",
    "journal_full": "nothing read from OpenD for {} (journal full)",
}


@dataclass(frozen=True, slots=True)
class SymbolAtRisk:
    """A symbol that can still be recovered in full: its ticks per second before the outage, and its deadline."""

    symbol: str = ""
    rate: float = 0.0
    deadline_ms: int | None = None


@dataclass(frozen=True, slots=True)
class Outlook:
    """The object `outage` of `recorder.json`.

    Attributes:
        cause: one of `events.Cause`.
        since_ms: the last moment at which the stream was whole, UTC epoch ms.
        first_deadline_ms: the nearest deadline, which may have passed; None: no rate is known.
        past: the number of symbols whose deadline has passed; `past_symbols` names the first of them.
        symbols: those with the nearest deadlines to come.
    """

    cause: str = ""
    since_ms: int | None = None
    first_deadline_ms: int | None = None
    past: int = 0
    past_symbols: tuple[str, ...] = ()
    symbols: tuple[SymbolAtRisk, ...] = ()


def outlook(cause: str, since_ms: int, found: list[Risk], now_ms: int, *, is_open: bool) -> Outlook | None:
    """What is at risk; None: the market is closed, and no deadline has passed.

    Args:
        cause: one of `events.Cause`.
        since_ms: the last moment at which the stream was whole.
        found: the risks, the nearest deadline first.
        now_ms: UTC epoch ms.
        is_open: whether the market is open.
    """
    past = [risk for risk in found if risk.deadline_ms <= now_ms]
    to_come = found[len(past) :] if is_open else []
    if not is_open and not past:
        return None
    return Outlook(
        cause,
        since_ms,
        found[0].deadline_ms if found else None,
        len(past),
        tuple(risk.symbol for risk in past[:SHOWN_MAX]),
        tuple(SymbolAtRisk(risk.symbol, round(risk.rate, 3), risk.deadline_ms) for risk in to_come[:SHOWN_MAX]),
    )


def outlook_text(told: Outlook | None, now_ms: float) -> str:
    """An outage in words, for people; empty if there is none."""
    if told is None or told.since_ms is None:
        return ""
    words = _WORDS.get(told.cause, "stream interrupted for {}")
    said = [words.format(span_text((now_ms - told.since_ms) / 1000))]
    left = [(one.symbol, one.deadline_ms - now_ms) for one in told.symbols[:NAMED_MAX] if one.deadline_ms is not None]
    if left:
        spans = [f"{span_text(left_ms / 1000)} ({symbol})" for symbol, left_ms in left]
        said.append("recoverable for another " + ", ".join(spans))
    if told.past:
        shown = ", ".join(told.past_symbols[:NAMED_MAX])
        more = ", …" if told.past > NAMED_MAX else ""
        said.append(
            f"past {'its' if told.past == 1 else 'their'} deadline: {counted(told.past, 'symbol')}: {shown}{more}"
        )
    if len(said) == 1:
        return said[0]
    if_it_runs = ", provided OpenD keeps running" if told.cause == "opend_down" else ""
    return f"{said[0]}; at pre-outage rates{if_it_runs}: {'; '.join(said[1:])}"


def span_text(sec: float) -> str:
    """42 s, 3 min 10 s, 2 h 5 min."""
    whole = max(0, round(sec))
    if whole < 60:  # noqa: PLR2004 - a minute
        return f"{whole} s"
    if whole < 3600:  # noqa: PLR2004 - an hour
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"
