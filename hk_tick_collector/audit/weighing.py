"""The verdict on one symbol's day: weighs the exchange's last word, the stored ticks and the ledger. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hk_tick_collector.audit.counted import Sums, without
from hk_tick_collector.audit.last_word import final_word
from hk_tick_collector.audit.schedule import after_close_ms
from hk_tick_collector.audit.verdict import SymbolAudit, Verdict
from hk_tick_collector.hktime import hk_text
from hk_tick_collector.journal.events import Cause
from hk_tick_collector.ledger.counting import tolerance
from hk_tick_collector.opend.numbers import TICK_TYPES
from hk_tick_collector.store.setting_names import OLDER_RECORDER
from hk_tick_collector.text import counted as numbered

if TYPE_CHECKING:
    from collections.abc import Iterable

    from hk_tick_collector.audit.counted import Types
    from hk_tick_collector.audit.figures import DayFigures, Figures, Gap, Words
    from hk_tick_collector.store.imported import Import


class _Finding:
    """Collects what is missing (`lost`), what prevents a proof (`unproven`), and what contradicts totals that agree."""

    def __init__(self) -> None:
        self.lost: list[str] = []
        self.unproven: list[str] = []
        self.contradictions: list[str] = []
        self.would_prove: list[str] = []
        self.missing: int | None = None
        self.missing_volume: int | None = None
        self.by_totals = False  # the exchange's last word was compared with the ticks

    @property
    def verdict(self) -> Verdict:
        """A proven loss is INCOMPLETE, whatever else is open; anything else that was found is UNPROVABLE."""
        if self.lost:
            return Verdict.INCOMPLETE
        return Verdict.UNPROVABLE if self.unproven or self.contradictions else Verdict.COMPLETE


def judge_symbol(
    f: Figures, day: DayFigures, types: Types, *, is_over: bool, silent_ms: int | None = None
) -> SymbolAudit:
    """Judge a symbol's day; until the day is over, also describe what is known so far.

    `silent_ms` is since when nothing was received although the market was open; None: the recording goes on.
    """
    known = {t: types.is_counted(t, f.symbol) for t in f.by_type}
    not_counted = frozenset(t for t, is_counted in known.items() if is_counted is False)
    last = final_word(f, day, not_counted)
    found = _Finding()
    if last.word is not None:
        found.by_totals = True
        _compare(f, last.word, found, known)
    else:
        if day.imports:
            found.unproven.append(_imported(day.imports))
        found.unproven.append(last.why_not)
        found.would_prove.append(last.would_prove)
        _without_last_word(f, found)
    shown = last.word or (f.words[0] if f.words else None)  # without a last word the last snapshot is shown
    ours = without(f.by_type, ())
    covered = not found.lost and last.word is not None
    is_seamless = last.word is not None and _is_seamless(f, last.word)
    return SymbolAudit(
        symbol=f.symbol,
        verdict=found.verdict,
        evidence=_evidence(f, found),
        missing=found.missing,
        missing_volume=found.missing_volume,
        reasons=(*found.lost, *found.contradictions, *found.unproven),
        contradictions=tuple(found.contradictions),
        would_prove=tuple(found.would_prove) if found.verdict is Verdict.UNPROVABLE else (),
        so_far="" if is_over else _so_far(f, day, found, silent_ms),
        rows=f.rows,
        volume=ours.volume,
        turnover=round(ours.turnover, 3),
        exchange_volume=shown.volume if shown else None,
        exchange_turnover=shown.turnover if shown else None,
        turnover_tolerance=tolerance(f.rows),
        totals_own_ms=shown.own_ms if shown else None,
        totals_received_ms=shown.received_ms if shown else None,
        totals_ms=shown.until_ms if shown else None,
        market_ms=shown.market_ms if shown else None,
        covered=_names(t for t in f.by_type if known[t] or (is_seamless and known[t] is None)) if covered else (),
        not_covered=_names(_not_covered(f, types, is_seamless=is_seamless)),
        revisions=(len(f.revised), sum(r.first.volume != r.last.volume for r in f.revised)),
        revised_volume=sum(r.last.volume - r.first.volume for r in f.revised),
        ordinals=f.ordinals,
        first_ts_ms=f.first_ts_ms,
        last_ts_ms=f.last_ts_ms,
        sessions=f.by_session,
        gaps=f.gaps,
        doubts=f.doubts,
        doubts_by_totals=f.decided + (f.doubts if found.by_totals and found.verdict is Verdict.COMPLETE else 0),
        premises=_premises(f),
        recorded=f.recorded,
        without=f.without,
    )


# ---- with the exchange's last word


def _compare(f: Figures, word: Words, found: _Finding, known: dict[int, bool | None]) -> None:
    """Compare the last word with the stored ticks, without types that are proven not to be counted.

    A tick that came with several contents may be counted with any of them. So the totals are compared with the first
    contents, with the last, and with the greatest volumes: only what exceeds these is missing for sure.
    """
    left_out = [t for t, is_counted in known.items() if is_counted is False]
    first = without(f.by_type, left_out)
    revised = [r for r in f.revised if r.tick_type not in left_out]
    last = Sums(
        first.volume + sum(r.last.volume - r.first.volume for r in revised),
        first.turnover + sum(r.last.turnover - r.first.turnover for r in revised),
        first.rows,
    )
    most = first.volume + sum(r.volume_max - r.first.volume for r in revised)
    changed = sum(r.first.volume != r.last.volume for r in revised)
    if _agrees(word, last):
        _contradict(f, word, found, known)
        if changed and not _is_seamless(f, word):
            found.contradictions.append(
                f"{numbered(changed, 'tick')} came again with another volume: the totals agree with the last contents, "
                "and nothing else shows that these are counted"
            )
    elif _agrees(word, first):  # a lost tick may stand for the correction, so this proves nothing
        found.contradictions.append(
            f"the totals agree with the first contents of {numbered(changed, 'tick')} that came again with another "
            "volume, and not with the last"
        )
    elif word.volume > most and f.empty:
        found.unproven.append(
            f"{word.volume - most:,} shares by the exchange's count, and {numbered(f.empty, 'tick')} that came with a "
            "volume of 0: it may count what they were"
        )
    elif word.volume > most:
        _lose(f, found, word.volume - most)
    elif word.volume < min(first.volume, last.volume):
        surplus = min(first.volume, last.volume) - word.volume
        found.unproven.append(f"{surplus:,} shares more than the exchange counts")
        found.would_prove.append("totals that agree, or a second symbol or day that shows which types are not counted")
    elif word.volume == last.volume:
        apart = last.turnover - word.turnover
        found.unproven.append(
            f"volume matches the exchange; turnover differs by {apart:+,.2f}, allowed is {tolerance(first.rows):,.2f}"
        )
    else:
        found.unproven.append(f"{numbered(len(revised), 'tick')} came with several contents; no choice of them agrees")


def _agrees(word: Words, ours: Sums) -> bool:
    """Whether volumes are equal, and turnovers within rounding."""
    return word.volume == ours.volume and abs(word.turnover - ours.turnover) <= tolerance(ours.rows)


def _contradict(f: Figures, word: Words, found: _Finding, known: dict[int, bool | None]) -> None:
    """Find what contradicts totals that agree: a loss may be hidden by something else of the same size."""
    unknown = _names(t for t, is_counted in known.items() if is_counted is None and f.by_type[t].volume)
    if unknown and not _is_seamless(f, word):
        found.unproven.append(f"not proven yet that the exchange counts {', '.join(unknown)}")
        found.would_prove.append("two other symbols or days with such ticks whose totals agree")
    if f.ordinals.missing:
        found.contradictions.append(f"{numbered(f.ordinals.missing, 'ordinal')} missing, though the totals agree")
    if f.rest:
        found.contradictions.append(f"ledger and totals disagree: gaps tell of {f.rest:,} shares, the totals of none")
    by_ordinals = len(_open(f, "ordinals"))
    if by_ordinals and not f.ordinals.missing:
        found.contradictions.append(f"ledger and totals disagree: {numbered(by_ordinals, 'gap')} by ordinals open")
    if f.made_up and f.made_up < f.rows:
        found.contradictions.append(f"{f.made_up:,} ticks without a sequence of OpenD's beside others that have one")
    if f.last_doubt_ms is not None and f.last_doubt_ms > word.received_ms and f.last_doubt_ms > _host_until_ms(word):
        found.contradictions.append("an interruption after the exchange's last word is undecided")
    if f.low:
        found.contradictions.append("the exchange's totals were below the stored ticks for two snapshots in a row")
    if f.of_other_days:
        found.contradictions.append(f"{numbered(f.of_other_days, 'tick')} of another day")
    if f.bad:
        found.contradictions.append(f"{f.bad} kept aside in bad_ticks, which could not be stored as ticks")


def _is_seamless(f: Figures, word: Words) -> bool:
    """Whether ordinals alone show that no tick is missing: they begin at 1, and the last word is of the last tick."""
    if not f.ordinals.counts or f.ordinals.missing or f.ordinals.first != 1 or f.last_ts_ms is None:
        return False
    return word.own_ms is not None and word.own_ms // 1000 == f.last_ts_ms // 1000


def _host_until_ms(word: Words) -> int:
    """About when the last word came last, by the host's clock: the exchange's time stands in for it."""
    return word.received_ms if word.until_ms is None else max(word.received_ms, word.until_ms)


def _lose(f: Figures, found: _Finding, difference: int) -> None:
    """Report a loss by totals: which gaps account for it, and how much is not located in any gap."""
    gaps = [gap for gap in f.gaps if gap.state == "open"]
    found.missing_volume = difference
    found.missing = _sum_known([gap.missing for gap in gaps]) or f.ordinals.missing or None
    found.lost += [_lost_in(gap) for gap in gaps]
    if not gaps:
        where = "" if f.last_ts_ms is None else f", perhaps after the last tick of {hk_text(f.last_ts_ms)[11:19]}"
        found.lost.append(f"{difference:,} shares by the exchange's count, not located{where}")
    elif f.rest > difference:
        found.lost.append(f"ledger and totals disagree: gaps tell of {f.rest:,} shares, the totals of {difference:,}")
    elif not _open(f, "ordinals") and f.rest < difference:
        found.lost.append(f"{difference - f.rest:,} more shares by the exchange's count, not located")


# ---- without it


def _imported(imports: tuple[Import, ...]) -> str:
    """Why nothing of an imported day is proven."""
    if any(one.recorder == OLDER_RECORDER for one in imports):
        return "imported from another recorder, which kept no proof that it was whole"
    return "imported from files that hold no proof that it was whole"


def _without_last_word(f: Figures, found: _Finding) -> None:
    """Report what is certain without a last word, and what prevents a proof."""
    gaps = [gap for gap in f.gaps if gap.state == "open"]
    # Certain are gaps by totals, unless cancelled ticks may explain them, and holes in ordinals within an interruption.
    by_totals = f.rest and not f.empty
    sure = [gap for gap in gaps if (by_totals if gap.evidence == "totals" else gap.cause != str(Cause.UNKNOWN))]
    found.lost += [_lost_in(gap) for gap in sure]
    others = [gap for gap in gaps if gap not in sure]
    found.unproven += [f"perhaps missing: {_lost_in(gap)}" for gap in others]
    if sure:
        found.missing = _sum_known([gap.missing for gap in gaps])
        found.missing_volume = f.rest or None
    elif f.ordinals.missing and not gaps:
        found.unproven.append(f"perhaps missing: {numbered(f.ordinals.missing, 'tick')}, whose ordinals are")
    if f.doubts:
        found.unproven.append(f"{numbered(f.doubts, 'interruption')} in which something may be missing")
    if f.of_other_days:
        found.unproven.append(f"{numbered(f.of_other_days, 'tick')} of another day")
    if f.revised:
        found.unproven.append(f"{numbered(len(f.revised), 'tick')} came with several contents")
    if f.bad:
        found.unproven.append(f"{f.bad} kept aside in bad_ticks, which could not be stored as ticks")


def _so_far(f: Figures, day: DayFigures, found: _Finding, silent_ms: int | None) -> str:
    """One line on what is known before the close."""
    gaps = [gap for gap in f.gaps if gap.state == "open"]
    later = f"proof after {hk_text(after_close_ms(day.sessions))[11:16]}"
    ticks, shares = _sum_known([gap.missing for gap in gaps]), sum(gap.missing_volume or 0 for gap in gaps)
    amount = numbered(ticks, "tick") if ticks else f"at least {numbered(shares, 'share')}" if shares else "some ticks"
    parts = []
    if found.lost:
        parts.append(f"{amount} missing so far")
    elif gaps:
        parts.append(f"perhaps missing: {amount}")
    elif f.without is not None:
        return f"can't tell: OpenD does not give it: {f.without}"
    elif f.ordinals.missing:
        parts.append(f"perhaps missing: {numbered(f.ordinals.missing, 'tick')}")
    if silent_ms is not None:
        parts.append(f"can't tell since {hk_text(silent_ms)[11:16]}: nothing was received")
    seen = [f"{numbered(f.doubts, 'interruption')} undecided"] if f.doubts else []
    seen += [f"{numbered(f.of_other_days, 'tick')} of another day"] if f.of_other_days else []
    seen += [f"{f.bad:,} kept aside in bad_ticks"] if f.bad else []
    if seen:
        parts.append(f"can't tell: {', '.join(seen)}")
    return "; ".join([*(parts or ["nothing missing so far"]), later])


# ----


def _not_covered(f: Figures, types: Types, *, is_seamless: bool) -> set[int]:
    """Types that the totals prove nothing about, also those that the symbol has no tick of: it may have lost them.

    If ordinals show that no tick is missing, only types that are proven not to be counted are named.
    """
    counts = {t: types.is_counted(t, f.symbol) for t in types.seen | f.by_type.keys()}
    return {t for t, is_counted in counts.items() if is_counted is False or (is_counted is None and not is_seamless)}


def _premises(f: Figures) -> dict[str, tuple[int, int]]:
    """How often each premise held, and failed; with those that are computed from the ticks themselves."""
    told = dict(f.premises)
    if f.rows:
        told["whole_seconds"] = (f.rows - f.fractions, f.fractions)
    if f.ordinals.pairs:
        told["ordinals_count"] = (f.ordinals.contiguous, f.ordinals.pairs - f.ordinals.contiguous)
    if f.ordinals.made_good and f.ordinals.counts:
        told["made_good_joins"] = (f.ordinals.joined, f.ordinals.made_good - f.ordinals.joined)
    return told


def _evidence(f: Figures, found: _Finding) -> str:
    """What the verdict rests on. Ordinals support INCOMPLETE if they show a loss, and any other verdict if none."""
    by_ordinals = f.ordinals.counts and f.ordinals.missing == 0 and not _open(f, "ordinals")
    if found.verdict is Verdict.INCOMPLETE:
        by_ordinals = f.ordinals.counts and bool(f.ordinals.missing or _open(f, "ordinals"))
    if found.by_totals:
        return "both" if by_ordinals else "totals"
    return "ordinals" if by_ordinals else "none"


def _open(f: Figures, evidence: str) -> list[Gap]:
    """The open gaps that were shown by this evidence: `ordinals` or `totals`."""
    return [gap for gap in f.gaps if gap.state == "open" and gap.evidence == evidence]


def _lost_in(gap: Gap) -> str:
    """`12 ticks between 10:01:05 and 10:03:10 (opend_down, by ordinals)`."""
    if gap.missing is not None:
        what = numbered(gap.missing, "tick")
    else:
        what = "ticks" if gap.missing_volume is None else numbered(gap.missing_volume, "share")
    begin = "the day's beginning" if gap.before_ts_ms is None else hk_text(gap.before_ts_ms)[11:19]
    end = "the day's end" if gap.after_ts_ms is None else hk_text(gap.after_ts_ms)[11:19]
    return f"{what} between {begin} and {end} ({gap.cause}, by {gap.evidence})"


def _sum_known(values: list[int | None]) -> int | None:
    """The sum; None: there are no values, or one is not known."""
    known = [value for value in values if value is not None]
    return sum(known) if known and len(known) == len(values) else None


def _names(types: Iterable[int]) -> tuple[str, ...]:
    return tuple(sorted(TICK_TYPES.get(t, str(t)) for t in types))
