"""The verdict on one symbol: the last word against the ticks, and each contradiction that stands in the way."""

from __future__ import annotations

from typing import Any

import pytest

from hk_tick_collector.audit.counted import Sums, Types, Votes
from hk_tick_collector.audit.figures import DayFigures, Figures, Gap, Ordinals, Revised, Words
from hk_tick_collector.audit.schedule import sessions_of
from hk_tick_collector.audit.verdict import SymbolAudit, Verdict
from hk_tick_collector.audit.weighing import judge_symbol
from hk_tick_collector.hktime import parse_time

DAY = "20260731"
AUTO, ODD = 1, 6


def at(text: str) -> int:
    """UTC epoch ms of a clock time of that day."""
    return parse_time(f"2026-07-31 {text}").ms


WORD = Words(1000, 10_000.0, at("16:08:20"), at("16:12:10"), at("16:14:10"), at("16:13:10"), at("16:08:40"))
GAP = Gap(
    "HK.1", "opend_down", "morning", None, at("10:00:00"), 1, at("09:59:00"), 9, at("10:01:00"), None, 300, "totals",
    "open", at("10:02:00"), None, None,
)  # fmt: skip
BY_ORDINALS = GAP._replace(evidence="ordinals", missing=3, missing_volume=None)
COUNTING = Ordinals(900, 900, counts=True, missing=0, first=1)


def figures(**fields: Any) -> Figures:  # noqa: ANN401 - fields by name
    """Ten ticks of 1,000 shares for 10,000, all of which the exchange has counted."""
    made = Figures(
        symbol="HK.1", by_type={AUTO: Sums(1000, 10_000.0, 10)}, last_ms_by_type={AUTO: at("16:08:20")}, by_session={},
        rows=10, agreed={}, empty=0, made_up=0, of_other_days=0, fractions=0, first_ts_ms=at("09:30:00"),
        last_ts_ms=at("16:08:20"), ordinals=Ordinals(0, 0, counts=False, missing=0), words=(WORD,), low=0, gaps=(),
        rest=0, doubts=0, last_doubt_ms=None, decided=0, revised=(), bad=0, recorded=True, without=None, premises={},
    )  # fmt: skip
    return made._replace(**fields)


def judged(types: Types | None = None, **fields: Any) -> SymbolAudit:  # noqa: ANN401 - fields by name
    """What is concluded; AUTO is counted, ODD is not, as other days have shown."""
    day = DayFigures(DAY, 3, "whole", sessions_of(DAY, "whole"), (), (), {})
    return judge_symbol(figures(**fields), day, types or Types([], {AUTO: Votes(9, 0), ODD: Votes(0, 9)}), is_over=True)


def word(**fields: Any) -> dict[str, Any]:  # noqa: ANN401 - fields by name
    """Another last word."""
    return {"words": (WORD._replace(**fields),)}


def test_what_agrees_and_is_not_contradicted_is_complete() -> None:
    """By the totals alone where ordinals do not count."""
    found = judged()
    assert (found.verdict, found.evidence, found.covered, found.reasons) == (
        Verdict.COMPLETE, "totals", ("AUTO_MATCH",), (),
    )  # fmt: skip
    assert judged(ordinals=COUNTING).evidence == "both"


@pytest.mark.parametrize(
    ("fields", "contradiction"),
    [
        ({"ordinals": COUNTING._replace(missing=2)}, "2 ordinals missing, though the totals agree"),
        ({"gaps": (GAP,), "rest": 300}, "ledger and totals disagree: gaps tell of 300 shares, the totals of none"),
        ({"gaps": (BY_ORDINALS,)}, "ledger and totals disagree: 1 gap by ordinals open"),
        ({"made_up": 3}, "3 ticks without a sequence of OpenD's beside others that have one"),
        (
            {"doubts": 1, "last_doubt_ms": at("16:20:00")},
            "an interruption after the exchange's last word is undecided",
        ),
        ({"low": 1}, "the exchange's totals were below the stored ticks for two snapshots in a row"),
        ({"of_other_days": 1}, "1 tick of another day"),
        ({"bad": 4}, "4 kept aside in bad_ticks, which could not be stored as ticks"),
    ],
)
def test_each_contradiction_makes_totals_that_agree_unprovable(fields: dict[str, Any], contradiction: str) -> None:
    """A loss may hide behind something else of the same size."""
    found = judged(**fields)
    assert (found.verdict, found.contradictions, found.reasons) == (
        Verdict.UNPROVABLE, (contradiction,), (contradiction,),
    )  # fmt: skip


@pytest.mark.parametrize(
    "fields",
    [
        {"made_up": 10},  # all of them: OpenD gives none for this symbol
        {"doubts": 1, "last_doubt_ms": at("11:00:00")},  # the last word has decided it
        {"gaps": (GAP._replace(state="filled"),)},
        {"gaps": (GAP,), "rest": 0},  # as much has come into it
    ],
)
def test_what_is_no_contradiction(fields: dict[str, Any]) -> None:
    """The totals decide."""
    assert judged(**fields).verdict is Verdict.COMPLETE


def test_a_doubt_that_only_totals_have_decided_is_counted() -> None:
    """By two snapshots on the day, or by the last word."""
    assert judged(decided=2, doubts=1, last_doubt_ms=at("11:00:00")).doubts_by_totals == 3
    assert judged(decided=2, doubts=1, words=()).doubts_by_totals == 2


@pytest.mark.parametrize(
    ("turnover", "verdict"),
    [(10_001.0, Verdict.COMPLETE), (9_998.996, Verdict.COMPLETE), (10_001.1, Verdict.UNPROVABLE)],
)
def test_turnovers_may_differ_by_a_dollar_and_rounding(turnover: float, verdict: Verdict) -> None:
    """More than that is no agreement, and no loss either."""
    found = judged(**word(turnover=turnover))
    assert found.verdict is verdict
    if verdict is Verdict.UNPROVABLE:
        assert found.reasons == ("volume matches the exchange; turnover differs by -1.10, allowed is 1.00",)


def test_more_than_is_stored_is_incomplete_by_so_much() -> None:
    """With what the gaps tell of it, and what they do not."""
    lacking = judged(**word(volume=1300))
    assert (lacking.verdict, lacking.missing_volume, lacking.evidence) == (Verdict.INCOMPLETE, 300, "totals")
    assert lacking.reasons == (
        "300 shares by the exchange's count, not located, perhaps after the last tick of 16:08:20",
    )
    told = judged(**word(volume=1300), gaps=(GAP,), rest=300)
    assert told.reasons == ("300 shares between 09:59:00 and 10:01:00 (opend_down, by totals)",)
    more = judged(**word(volume=1500), gaps=(GAP,), rest=300)
    assert more.reasons[1] == "200 more shares by the exchange's count, not located"
    less = judged(**word(volume=1200), gaps=(GAP,), rest=300)
    assert less.reasons[1] == "ledger and totals disagree: gaps tell of 300 shares, the totals of 200"


def test_less_than_is_stored_is_unprovable() -> None:
    """Something is there that should not be, and may hide what is missing."""
    found = judged(**word(volume=900))
    assert (found.verdict, found.reasons) == (Verdict.UNPROVABLE, ("100 shares more than the exchange counts",))


def revised(first: int, last: int, most: int | None = None, tick_type: int = AUTO) -> Revised:
    """A tick that came again with another volume; a share costs 10."""
    return Revised(tick_type, Sums(first, first * 10.0), Sums(last, last * 10.0), most or max(first, last))


@pytest.mark.parametrize(
    ("volume", "verdict", "reason"),
    [
        (1050, Verdict.UNPROVABLE, "1 tick came again with another volume: the totals agree with the last"),
        (1000, Verdict.UNPROVABLE, "the totals agree with the first contents of 1 tick that came again"),
        (1020, Verdict.UNPROVABLE, "1 tick came with several contents; no choice of them agrees"),
        (1060, Verdict.INCOMPLETE, "10 shares by the exchange's count"),
        (990, Verdict.UNPROVABLE, "10 shares more than the exchange counts"),
    ],
)
def test_the_last_contents_of_a_revised_tick_count(volume: int, verdict: Verdict, reason: str) -> None:
    """More than any choice of contents is a loss; else nobody knows, unless ordinals show that no tick is missing."""
    told = {**word(volume=volume, turnover=volume * 10.0), "revised": (revised(100, 150),)}
    assert (judged(**told, ordinals=COUNTING).verdict is Verdict.COMPLETE) is (volume == 1050)
    found = judged(**told)
    assert (found.verdict, "".join(found.reasons)[: len(reason)]) == (verdict, reason)
    assert (found.revisions, found.revised_volume) == ((1, 1), 50)


def test_a_revision_of_a_type_that_is_not_counted_changes_nothing() -> None:
    """Nor does one of the same volume."""
    by_type = {AUTO: Sums(1000, 10_000.0, 10), ODD: Sums(7, 70.0, 1)}
    found = judged(by_type=by_type, revised=(revised(7, 9, tick_type=ODD),))
    assert (found.verdict, found.covered, found.not_covered) == (Verdict.COMPLETE, ("AUTO_MATCH",), ("ODD_LOT",))


def test_a_type_of_which_nothing_is_proven_stands_in_the_way_unless_ordinals_are_seamless() -> None:
    """From number 1 to the last tick that the exchange tells of."""
    by_type = {AUTO: Sums(900, 9_000.0, 9), 4: Sums(100, 1000.0, 1)}
    assert judged(by_type=by_type).reasons == ("not proven yet that the exchange counts INTER_AUTO_MATCH",)
    seamless = judged(by_type=by_type, ordinals=COUNTING)
    assert (seamless.verdict, seamless.covered) == (Verdict.COMPLETE, ("AUTO_MATCH", "INTER_AUTO_MATCH"))
    for ordinals in (COUNTING._replace(first=2), COUNTING._replace(counts=False)):
        assert judged(by_type=by_type, ordinals=ordinals).verdict is Verdict.UNPROVABLE
    later = word(own_ms=at("16:08:25"))
    assert judged(by_type=by_type, ordinals=COUNTING, **later).verdict is Verdict.UNPROVABLE


@pytest.mark.parametrize(
    ("fields", "verdict", "missing"),
    [
        ({}, Verdict.UNPROVABLE, (None, None)),
        ({"gaps": (GAP,), "rest": 300}, Verdict.INCOMPLETE, (None, 300)),
        ({"gaps": (GAP,), "rest": 0}, Verdict.UNPROVABLE, (None, None)),
        ({"gaps": (BY_ORDINALS,)}, Verdict.INCOMPLETE, (3, None)),
        ({"gaps": (BY_ORDINALS._replace(cause="unknown"),)}, Verdict.UNPROVABLE, (None, None)),
        ({"ordinals": COUNTING._replace(missing=2)}, Verdict.UNPROVABLE, (None, None)),
        ({"doubts": 2, "last_doubt_ms": 5}, Verdict.UNPROVABLE, (None, None)),
    ],
)
def test_without_a_last_word_only_gaps_that_are_sure_make_a_day_incomplete(
    fields: dict[str, Any], verdict: Verdict, missing: tuple[int | None, int | None]
) -> None:
    """Those by totals, and holes in ordinals within an interruption; never COMPLETE."""
    found = judged(words=(), **fields)
    assert (found.verdict, (found.missing, found.missing_volume)) == (verdict, missing)
    assert "no snapshot of the exchange's totals" in found.reasons


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({}, "nothing missing so far"),
        ({"gaps": (BY_ORDINALS,)}, "3 ticks missing so far"),
        ({"gaps": (BY_ORDINALS._replace(cause="unknown"),)}, "perhaps missing: 3 ticks"),
        ({"gaps": (GAP,), "rest": 0}, "perhaps missing: at least 300 shares"),
        ({"ordinals": COUNTING._replace(missing=2)}, "perhaps missing: 2 ticks"),
        ({"bad": 2}, "can't tell: 2 kept aside in bad_ticks"),
        ({"of_other_days": 1, "doubts": 1}, "can't tell: 1 interruption undecided, 1 tick of another day"),
    ],
)
def test_before_the_close_what_may_be_missing_is_not_called_nothing(fields: dict[str, Any], said: str) -> None:
    """What would make the day UNPROVABLE afterwards is named already; so is a recording that has fallen silent."""
    day = DayFigures(DAY, 3, "whole", sessions_of(DAY, "whole"), (), (), {})
    made, types = figures(words=(), **fields), Types([], {})
    assert judge_symbol(made, day, types, is_over=False).so_far == f"{said}; proof after 16:12"
    silent = judge_symbol(made, day, types, is_over=False, silent_ms=at("14:00:00")).so_far
    assert "can't tell since 14:00: nothing was received; " in silent
    assert "nothing missing" not in silent
