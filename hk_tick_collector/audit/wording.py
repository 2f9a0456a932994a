"""An audit in words, the same for the terminal's table and the page. Pure; all clock times are Hong Kong's."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Final, NamedTuple

from hk_tick_collector.audit.schedule import after_close_ms
from hk_tick_collector.audit.verdict import Verdict
from hk_tick_collector.hktime import hk_day, hk_text
from hk_tick_collector.text import counted

if TYPE_CHECKING:
    from collections.abc import Iterable

    from hk_tick_collector.audit.figures import Clock, Gap, Ordinals
    from hk_tick_collector.audit.verdict import DayAudit, SymbolAudit
    from hk_tick_collector.store.imported import Import

OUTAGES_SHOWN: Final = 3
SAME_OUTAGE_MS: Final = 2  # see `outages_of`
NONE: Final = "-"

_TRADE_DATES: Final = {
    "whole": "a whole trading day",
    "morning": "a half day, by OpenD: it traded in the morning only",
    "afternoon": "a half day, by OpenD: it traded in the afternoon only",
    "none": "no trading day, by OpenD",
}


class Bounds(NamedTuple):
    """The times between which ticks are missing, UTC epoch ms; None: not known on this side."""

    begin_ms: int | None
    end_ms: int | None


def bounds_of(gap: Gap) -> Bounds:
    """The bounds of a gap: the stored ticks around it, or else the bounds of the outage."""
    begin_ms = gap.since_ms if gap.before_ts_ms is None else gap.before_ts_ms
    end_ms = gap.resumed_ms if gap.after_ts_ms is None else gap.after_ts_ms
    return Bounds(begin_ms, end_ms)


def clock_text(ts_ms: int, day: str) -> str:
    """`10:01:05`; with its date if it is not on the audited day."""
    text = hk_text(ts_ms)
    return text[11:19] if hk_day(ts_ms) == day else text[:19]


def span_text(begin_ms: int | None, end_ms: int | None, day: str) -> str:
    """`10:01:05 to 10:03:10`, `until 10:03:10`, `from 10:01:05`."""
    begin = None if begin_ms is None else clock_text(begin_ms, day)
    end = None if end_ms is None else clock_text(end_ms, day)
    if begin and end:
        return f"{begin} to {end}"
    return f"from {begin}" if begin else f"until {end}" if end else "at an unknown time"


def loss_text(ticks: int | None, shares: int | None) -> str:
    """`12 ticks`; if that is not known, `≥ 1,500 shares`, since a loss can hide another one; else `some ticks`."""
    if ticks:
        return counted(ticks, "tick")
    return f"≥ {counted(shares, 'share')}" if shares else "some ticks"


def missing_text(symbol: SymbolAudit) -> str:
    """What a symbol lacks: a number; `none` only if that is proven; `none so far` or `unknown`."""
    if symbol.verdict is Verdict.COMPLETE:
        return "none"
    if symbol.missing or symbol.missing_volume or symbol.verdict is Verdict.INCOMPLETE:
        return loss_text(symbol.missing, symbol.missing_volume)
    return "none so far" if symbol.so_far.startswith("nothing") else "unknown"


def why_text(symbol: SymbolAudit) -> str:
    """Before the close, what is known so far; after it, the reasons, and what would have proved the day."""
    if is_open(symbol):
        return symbol.so_far
    still_open = [gap for gap in symbol.gaps if gap.state == "open"]
    if symbol.so_far and still_open:  # how much is in a column of its own; what a proof lacks can't be there yet
        spans = [f"{span_text(*bounds_of(gap), hk_day(gap.resumed_ms))} ({gap.cause})" for gap in still_open]
        return "; ".join([*spans, symbol.so_far.partition("; ")[2]])
    would = f" (would prove it: {'; '.join(symbol.would_prove)})" if symbol.would_prove else ""
    return "; ".join(symbol.reasons) + would


def gap_text(gap: Gap, day: str) -> str:
    """One gap in one line: `open: 12 ticks, opend_down, 10:01:05 to 10:03:10, shown by ordinals`."""
    lost = loss_text(gap.missing, gap.missing_volume)
    line = f"{gap.state}: {lost}, {gap.cause}, {span_text(*bounds_of(gap), day)}, shown by {gap.evidence}"
    if gap.state != "filled":
        return line
    at = "" if gap.filled_ms is None else f" at {clock_text(gap.filled_ms, day)}"
    return f"{line}, filled by {gap.filled_by or 'what came later'}{at}"


def gaps_text(symbol: SymbolAudit) -> str:
    """`1 open, 2 filled`."""
    states = Counter(gap.state for gap in symbol.gaps)
    return ", ".join(f"{states[state]} {state}" for state in ("open", "filled") if states[state]) or NONE


def ordinals_text(ordinals: Ordinals) -> str:
    """`contiguous 99.97 % of 1,234`, rounded down, so 100 % means all; or that it is no evidence."""
    if not ordinals.pairs:
        return "not measured"
    hundredths = ordinals.contiguous * 10_000 // ordinals.pairs
    share = f"{hundredths // 100}.{hundredths % 100:02} % of {ordinals.pairs:,}"
    if not ordinals.counts:
        return f"{share}: no evidence"
    holes = f", {ordinals.missing:,} missing" if ordinals.missing else ""
    return f"contiguous {share}{holes}"


def session_letters(symbol: SymbolAudit, audit: DayAudit) -> str:
    """For each session of the day its initial if it has stored ticks, else a dot: `PM·C`."""
    return "".join(s.name[:1].upper() if symbol.sessions.get(s.name) else "·" for s in audit.sessions) or NONE


def volume_delta(symbol: SymbolAudit) -> int | None:
    """Stored shares less the exchange's; None: there are no totals."""
    return None if symbol.exchange_volume is None else symbol.volume - symbol.exchange_volume


def turnover_delta(symbol: SymbolAudit) -> float | None:
    """Stored turnover less the exchange's, in the counter's currency; None: there are no totals."""
    return None if symbol.exchange_turnover is None else symbol.turnover - symbol.exchange_turnover


def signed_text(number: float | None, decimals: int = 0) -> str:
    """`+1,200`, `-0.50`, `0`; `-` if not known."""
    if number is None:
        return NONE
    text = f"{number:+,.{decimals}f}"
    return text if text.strip("+-0.") else "0"


def of_symbols(symbols: Iterable[SymbolAudit]) -> Verdict:
    """The verdict on several symbols: INCOMPLETE if any is, COMPLETE if all are and there is one, else UNPROVABLE."""
    verdicts = {symbol.verdict for symbol in symbols}
    if Verdict.INCOMPLETE in verdicts:
        return Verdict.INCOMPLETE
    return Verdict.COMPLETE if verdicts == {Verdict.COMPLETE} else Verdict.UNPROVABLE


def is_open(symbol: SymbolAudit) -> bool:
    """Whether it is too early for a proof, and nothing is known to be missing: its verdict is still to come."""
    return symbol.verdict is Verdict.UNPROVABLE and bool(symbol.so_far)


def headline(audit: DayAudit) -> str:
    """The day in one line: how many symbols of each verdict, rows, and what is missing."""
    rows = counted(sum(symbol.rows for symbol in audit.symbols), "row")
    parts = [_verdicts_text(audit), rows, _missing(audit)] if audit.is_over else [*_so_far(audit), rows]
    filled = sum(gap.state == "filled" for symbol in audit.symbols for gap in symbol.gaps)
    if filled:
        parts.append(f"{counted(filled, 'gap')} filled")
    return "; ".join(parts)


def _verdicts_text(audit: DayAudit) -> str:
    """How many symbols have each verdict."""
    verdicts = Counter(symbol.verdict for symbol in audit.symbols)
    return ", ".join(f"{verdicts[verdict]:,} {verdict}" for verdict in Verdict if verdicts[verdict]) or "no symbol"


def _so_far(audit: DayAudit) -> list[str]:
    """Before the close: what is missing so far, of how many symbols that can't be told, and when there is a proof."""
    lacking = [symbol for symbol in audit.symbols if symbol.verdict is Verdict.INCOMPLETE]
    waiting = [symbol for symbol in audit.symbols if is_open(symbol)]
    perhaps = [symbol for symbol in waiting if symbol.so_far.startswith("perhaps")]
    unsure = sum(not symbol.so_far.startswith(("nothing", "perhaps")) for symbol in waiting)
    said = (part for symbol in audit.symbols for part in symbol.so_far.split("; "))
    silence = next((part for part in said if part.startswith("can't tell since ")), None)
    parts = []
    if lacking:
        amounts, where = _lost(lacking, audit.day)
        parts.append(f"missing so far: {amounts} of {counted(len(lacking), 'symbol')}{where}")
    if perhaps:
        amounts, where = _perhaps_lost(perhaps, audit.day)
        parts.append(f"perhaps missing: {amounts} of {counted(len(perhaps), 'symbol')}{where}")
    if silence:
        parts.append(silence)
    elif unsure:
        parts.append(f"can't tell for {unsure:,} of {counted(len(audit.symbols), 'symbol')}")
    if not lacking and not perhaps and not silence and (not unsure or unsure < len(waiting)):
        parts.insert(0, "nothing missing so far")
    return [*parts, f"proof after {hk_text(after_close_ms(audit.sessions))[11:16]}"]


def notes(audit: DayAudit) -> list[str]:
    """What a reader must know about the evidence: trade date, totals, types of ticks, ordinals, clocks, premises."""
    recorded = [symbol for symbol in audit.symbols if symbol.recorded]
    with_totals = sum(symbol.exchange_volume is not None for symbol in audit.symbols)
    with_ordinals = sum(symbol.ordinals.counts for symbol in audit.symbols)
    of_all = f"{len(audit.symbols):,} symbols" if len(audit.symbols) != 1 else "1 symbol"
    lines = [
        f"trade date: {_TRADE_DATES.get(audit.trade_date or '', 'not told by OpenD; taken for a whole trading day')}",
        f"exchange totals: received for {with_totals:,} of {of_all}; {_types_text(audit)}",
        f"sequence numbers: they count every tick for {with_ordinals:,} of {of_all}, so missing ones can be counted",
    ]
    extra = len(audit.symbols) - len(recorded)
    if extra:
        lines.append(f"extra: {counted(extra, 'symbol')} not to be recorded on this day; the verdict leaves them out")
    failed = Counter(
        name
        for symbol in audit.symbols
        for name, (_, times) in symbol.premises.items()
        if times and name not in {"ordinals_count", "whole_seconds"}  # no faults, and ordinals have a line
    )
    if failed:
        named = ", ".join(f"{name} for {counted(count, 'symbol')}" for name, count in sorted(failed.items()))
        lines.append(f"premises that failed: {named}")
    lines += [_import_text(one) for one in audit.imports]
    steps = audit.clocks.get("host_step")
    if steps is not None:
        lines.append(f"the host's clock was set {counted(steps.readings, 'time')}, by up to {_step_text(steps)}")
    return lines


def _import_text(one: Import) -> str:
    """Where imported ticks came from, and what was found on the way."""
    found = [
        f"{number:,} {what}"
        for number, what in (
            (one.late, "late times corrected"),
            (one.duplicates, "duplicates"),
            (one.conflicts, "with another content, in tick_revisions"),
            (one.put_aside, "put aside in bad_ticks"),
        )
        if number
    ]
    more = f": {', '.join(found)}" if found else ""
    return f"imported on {hk_text(one.imported_ms)[:16]}: {counted(one.stored, 'tick')} from {one.source}{more}"


def _types_text(audit: DayAudit) -> str:
    """Which types of ticks are not proven to be in the totals."""
    not_covered = sorted({name for symbol in audit.symbols for name in symbol.not_covered})
    return f"not proven to be in them: {', '.join(not_covered)}" if not_covered else "all types of ticks are in them"


def _step_text(steps: Clock) -> str:
    most = max(abs(steps.least_ms), abs(steps.most_ms)) / 1000
    return f"{most:,.0f} s"


def outages_text(audit: DayAudit) -> str:
    """`3 interruptions: opend_down 10:01:05 to 10:03:10, …`: those of unknown length first, then the longest."""
    longest = sorted(audit.outages, key=lambda o: (o.since_ms or 0) - o.resumed_ms)
    shown = [f"{o.cause} {span_text(o.since_ms, o.resumed_ms, audit.day)}" for o in longest[:OUTAGES_SHOWN]]
    more = ["…"] if len(longest) > len(shown) else []
    return f"{counted(len(longest), 'interruption')}{': ' if shown else ''}{', '.join([*shown, *more])}"


def _missing(audit: DayAudit) -> str:
    """`12 ticks missing in 1 gap (opend_down 10:01:05 to 10:03:10)`."""
    lacking = [symbol for symbol in audit.symbols if symbol.verdict is Verdict.INCOMPLETE]
    if not lacking:
        return "nothing proven missing" if of_symbols(audit.symbols) is Verdict.UNPROVABLE else "nothing missing"
    amounts, where = _lost(lacking, audit.day)
    return f"{amounts} missing{where}"


def _lost(lacking: list[SymbolAudit], day: str) -> tuple[str, str]:
    """What some symbols lack, and in which outages."""
    ticks = sum(symbol.missing or 0 for symbol in lacking)
    shares = sum(symbol.missing_volume or 0 for symbol in lacking if not symbol.missing)
    is_unknown = any(not symbol.missing and not symbol.missing_volume for symbol in lacking)
    return _amounts(ticks, shares, is_unknown=is_unknown), _where(lacking, day)


def _perhaps_lost(symbols: list[SymbolAudit], day: str) -> tuple[str, str]:
    """What some symbols may lack, by their open gaps, or by ordinals that no gap locates; and in which outages."""
    gaps = [gap for symbol in symbols for gap in symbol.gaps if gap.state == "open"]
    located = {gap.symbol for gap in gaps}
    ticks = sum(gap.missing or 0 for gap in gaps)
    ticks += sum(symbol.ordinals.missing for symbol in symbols if symbol.symbol not in located)
    shares = sum(gap.missing_volume or 0 for gap in gaps if not gap.missing)
    is_unknown = any(not gap.missing and not gap.missing_volume for gap in gaps)
    return _amounts(ticks, shares, is_unknown=is_unknown), _where(symbols, day)


def _amounts(ticks: int, shares: int, *, is_unknown: bool) -> str:
    amounts = [counted(ticks, "tick")] if ticks else []
    if shares:
        amounts.append(f"at least {counted(shares, 'share')}")
    if is_unknown:
        amounts.append("an unknown number of ticks")
    return " and ".join(amounts)


def _where(symbols: list[SymbolAudit], day: str) -> str:
    """` in 1 gap (opend_down 10:01:05 to 10:03:10)`; "": no gap is open."""
    gaps = [gap for symbol in symbols for gap in symbol.gaps if gap.state == "open"]
    return f" in {counted(len(gaps), 'gap')} ({_by_outage(gaps, day)})" if gaps else ""


def outages_of(gaps: Iterable[Gap]) -> list[list[Gap]]:
    """Gaps by the outage that they are of, in the order in which each outage ended.

    An outage ends at one moment for all symbols; but a symbol's second gap of it is stored as a millisecond later,
    since the ledger's key is the symbol, that moment and the cause.
    """
    found: list[list[Gap]] = []
    for gap in sorted(gaps, key=lambda gap: (gap.cause, gap.resumed_ms)):
        last = found[-1][0] if found else None
        if last is None or gap.cause != last.cause or gap.resumed_ms - last.resumed_ms > SAME_OUTAGE_MS:
            found.append([])
        found[-1].append(gap)
    return sorted(found, key=lambda group: group[0].resumed_ms)


def _by_outage(gaps: list[Gap], day: str) -> str:
    """Open gaps by outage, the outage with most gaps first."""
    most = sorted(outages_of(gaps), key=lambda group: (-len(group), group[0].resumed_ms))
    shown = []
    for group in most[:OUTAGES_SHOWN]:
        begins = [b for gap in group if (b := bounds_of(gap).begin_ms) is not None]
        ends = [e for gap in group if (e := bounds_of(gap).end_ms) is not None]
        span = span_text(min(begins, default=None), max(ends, default=None), day)
        shown.append(f"{group[0].cause} {span}")
    return ", ".join([*shown, "…"] if len(most) > len(shown) else shown)
