"""An audit in words: what is said of gaps, losses, ordinals and days, to the letter."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from support.audits import DAY, at, day_audit, filled, gap, incomplete, symbol_audit, unprovable

from hk_tick_collector.audit import wording
from hk_tick_collector.audit.day import Clock, Ordinals, Outage, Verdict
from hk_tick_collector.audit.schedule import sessions_of

if TYPE_CHECKING:
    from hk_tick_collector.audit.day import Gap, SymbolAudit


@pytest.mark.parametrize(
    ("begin_ms", "end_ms", "said"),
    [
        (at("10:01:05"), at("10:03:10"), "10:01:05 to 10:03:10"),
        (None, at("10:03:10"), "until 10:03:10"),
        (at("10:01:05"), None, "from 10:01:05"),
        (None, None, "at an unknown time"),
        (at("10:01:05") - 86_400_000, at("09:00:00"), "2026-11-19 10:01:05 to 09:00:00"),
    ],
)
def test_a_time_is_hong_kongs_and_tells_another_days_date(begin_ms: int | None, end_ms: int | None, said: str) -> None:
    """A side that is not known is left away, never guessed."""
    assert wording.span_text(begin_ms, end_ms, DAY) == said


@pytest.mark.parametrize(
    ("made", "said"),
    [
        (gap(), "open: 12 ticks, opend_down, 10:01:05 to 10:03:10, shown by ordinals"),
        (
            gap(missing=None, missing_volume=1500, evidence="totals", before_ts_ms=None, after_ts_ms=None),
            "open: ≥ 1,500 shares, opend_down, 10:01:04 to 10:03:12, shown by totals",
        ),
        (
            gap(missing=None, since_ms=None, before_ts_ms=None),
            "open: some ticks, opend_down, until 10:03:10, shown by ordinals",
        ),
        (
            filled(missing=1),
            "filled: 1 tick, opend_down, 10:01:05 to 10:03:10, shown by ordinals, filled by poll at 10:09:00",
        ),
    ],
)
def test_a_gap_is_told_with_its_loss_cause_bounds_evidence_and_end(made: Gap, said: str) -> None:
    """Its bounds are those of the stored ticks around it; the outage's where there are none."""
    assert wording.gap_text(made, DAY) == said


@pytest.mark.parametrize(
    ("ordinals", "said"),
    [
        (Ordinals(0, 0, counts=False, missing=0), "not measured"),
        (Ordinals(1234, 1234, counts=True, missing=0), "contiguous 100.00 % of 1,234"),
        (Ordinals(100_000, 99_999, counts=True, missing=1), "contiguous 99.99 % of 100,000, 1 missing"),
        (Ordinals(1234, 617, counts=False, missing=0), "50.00 % of 1,234: no evidence"),
    ],
)
def test_ordinals_are_never_rounded_up_to_all(ordinals: Ordinals, said: str) -> None:
    """100 % is said only of all of them, and `no evidence` where they do not count."""
    assert wording.ordinals_text(ordinals) == said


@pytest.mark.parametrize(
    ("symbol", "said"),
    [
        (symbol_audit(), "none"),
        (incomplete(missing=1), "1 tick"),
        (incomplete(missing=None, missing_volume=1500), "≥ 1,500 shares"),
        (incomplete(missing=None), "some ticks"),
        (unprovable(), "unknown"),
        (unprovable(missing_volume=5), "≥ 5 shares"),
    ],
)
def test_nothing_is_said_to_be_missing_only_where_that_is_proven(symbol: SymbolAudit, said: str) -> None:
    """Without evidence it is unknown, not none."""
    assert wording.missing_text(symbol) == said


def test_sessions_without_a_tick_are_dots() -> None:
    """In the order of the day; a half day has no afternoon to be dotted."""
    symbol = symbol_audit(sessions={"pre-opening": 1, "morning": 9, "closing auction": 0})
    day = day_audit(symbol)
    assert wording.session_letters(symbol, day) == "PM··"
    assert wording.session_letters(symbol, day._replace(sessions=day.sessions[:2])) == "PM"
    assert wording.session_letters(symbol, day._replace(sessions=())) == "-"


@pytest.mark.parametrize(
    ("number", "decimals", "said"),
    [
        (None, 0, "-"), (0, 0, "0"), (1200, 0, "+1,200"), (-5, 0, "-5"), (-0.001, 2, "0"), (-1234.5, 2, "-1,234.50"),
    ],
)  # fmt: skip
def test_a_difference_has_its_sign(number: float | None, decimals: int, said: str) -> None:
    """And one that is not known is not 0."""
    assert wording.signed_text(number, decimals) == said


def test_differences_are_ours_less_the_exchanges() -> None:
    """Without its totals there is none."""
    lacking = symbol_audit(exchange_volume=124_000, exchange_turnover=45_658_001.0)
    assert (wording.volume_delta(lacking), wording.turnover_delta(lacking)) == (-600, -0.5)
    assert (wording.volume_delta(unprovable()), wording.turnover_delta(unprovable())) == (None, None)


@pytest.mark.parametrize(
    ("symbols", "verdict"),
    [
        ((), Verdict.UNPROVABLE),
        ((symbol_audit(), symbol_audit("HK.00005")), Verdict.COMPLETE),
        ((symbol_audit(), unprovable("HK.00005")), Verdict.UNPROVABLE),
        ((symbol_audit(), unprovable("HK.00005"), incomplete("HK.00001")), Verdict.INCOMPLETE),
    ],
)
def test_several_are_complete_only_if_all_are(symbols: tuple[SymbolAudit, ...], verdict: Verdict) -> None:
    """No symbol at all proves nothing."""
    assert wording.of_symbols(symbols) is verdict


def test_the_headline_tells_what_is_missing_and_in_which_outages() -> None:
    """Ticks where these are counted, shares where only these are, and gaps by the outage that has made them."""
    day = day_audit(
        incomplete("HK.00001"),
        incomplete("HK.00002", missing=None, missing_volume=1500),
        incomplete("HK.00003", missing=None, gaps=(gap("HK.00003", cause="kicked_out", after_ts_ms=at("11:00:00")),)),
        unprovable("HK.00004"),
        symbol_audit("HK.00005", gaps=(filled("HK.00005"),)),
    )
    assert wording.headline(day) == (
        "1 COMPLETE, 3 INCOMPLETE, 1 UNPROVABLE; 6,170 rows; "
        "12 ticks and at least 1,500 shares and an unknown number of ticks missing in 3 gaps "
        "(opend_down 10:01:05 to 10:03:10, kicked_out 10:01:05 to 11:00:00); 1 gap filled"
    )


def test_the_headline_names_an_outage_once() -> None:
    """Also if a symbol has two gaps of it, of which the ledger stores the second as 1 ms later."""
    twice = (gap(), gap(resumed_ms=gap().resumed_ms + 1))
    assert wording.headline(day_audit(incomplete(gaps=twice))).endswith(
        "12 ticks missing in 2 gaps (opend_down 10:01:05 to 10:03:10)"
    )


def test_the_headline_of_many_outages_is_short() -> None:
    """Three are named."""
    gaps = tuple(gap(resumed_ms=at(f"10:0{n}:00")) for n in range(5))
    assert wording.headline(day_audit(incomplete(gaps=gaps))).endswith(
        "12 ticks missing in 5 gaps (" + "opend_down 10:01:05 to 10:03:10, " * 3 + "…)"
    )


@pytest.mark.parametrize(
    ("symbols", "said"),
    [
        ((symbol_audit(),), "1 COMPLETE; 1,234 rows; nothing missing"),
        ((unprovable(),), "1 UNPROVABLE; 1,234 rows; nothing proven missing"),
        ((), "no symbol; 0 rows; nothing proven missing"),
    ],
)
def test_the_headline_does_not_soothe(symbols: tuple[SymbolAudit, ...], said: str) -> None:
    """Nothing is missing only where all is complete."""
    assert wording.headline(day_audit(*symbols)) == said


def test_the_notes_name_the_evidence() -> None:
    """Whether the trade date is known, which types the exchange does not count, of how many symbols ordinals count."""
    uncounted = Ordinals(60, 3, counts=False, missing=0)
    day = day_audit(symbol_audit(not_covered=("ODD_LOT",)), unprovable("HK.00005", ordinals=uncounted))
    assert wording.notes(day) == [
        "trade date: a whole trading day",
        "exchange totals: received for 1 of 2 symbols; not proven to be in them: ODD_LOT",
        "sequence numbers: they count every tick for 1 of 2 symbols, so missing ones can be counted",
    ]
    told = wording.notes(day_audit(symbol_audit(), trade_date=None))
    assert told[0] == "trade date: not told by OpenD; taken for a whole trading day"
    assert told[1].endswith("; all types of ticks are in them")
    half = wording.notes(day._replace(trade_date="morning"))[0]
    assert half == "trade date: a half day, by OpenD: it traded in the morning only"


def test_the_notes_name_what_failed_and_what_is_extra() -> None:
    """Premises by how many symbols, the steps of the host's clock by the longest, symbols that nobody asked for."""
    day = day_audit(
        symbol_audit(premises={"same_sequence": (3, 1), "whole_window": (9, 0)}),
        symbol_audit("HK.00005", premises={"same_sequence": (0, 2)}, recorded=False),
        clocks={"host_step": Clock(2, -3_600_000, 5_000), "opend_offset": Clock(9, 0, 3)},
    )
    assert wording.notes(day)[3:] == [
        "extra: 1 symbol not to be recorded on this day; the verdict leaves them out",
        "premises that failed: same_sequence for 2 symbols",
        "the host's clock was set 2 times, by up to 3,600 s",
    ]


SO_FAR = "nothing missing so far; proof after 16:12"


@pytest.mark.parametrize(
    ("symbol", "missing", "why"),
    [
        (unprovable(so_far=SO_FAR), "none so far", SO_FAR),
        (unprovable(so_far="can't tell: x; proof after 16:12"), "unknown", "can't tell: x; proof after 16:12"),
        (
            unprovable(reasons=("a", "b"), would_prove=("c", "d")),
            "unknown",
            "a; b (would prove it: c; d)",
        ),
        (symbol_audit(), "none", ""),
        (
            incomplete(so_far="12 ticks missing so far; proof after 16:12"),
            "12 ticks",
            "10:01:05 to 10:03:10 (opend_down); proof after 16:12",
        ),
    ],
)
def test_before_the_close_it_is_said_how_it_stands(symbol: SymbolAudit, missing: str, why: str) -> None:
    """Afterwards the reasons, and what would have proved the day."""
    assert wording.missing_text(symbol) == missing
    assert wording.why_text(symbol) == why


def test_the_headline_before_the_close_tells_of_how_many_nothing_is_missing_so_far() -> None:
    """And for how many nobody can tell, what is missing, and when there will be a proof, also on a half day."""
    day = day_audit(unprovable(so_far=SO_FAR), unprovable("HK.00005", so_far=SO_FAR), is_over=False)
    assert wording.headline(day) == "nothing missing so far; proof after 16:12; 2,468 rows"
    half = day._replace(sessions=sessions_of(day.day, "morning"))
    assert wording.headline(half) == "nothing missing so far; proof after 12:12; 2,468 rows"
    unsure = day_audit(
        unprovable(so_far=SO_FAR), unprovable("HK.00005", so_far="can't tell: x; proof after 16:12"), is_over=False
    )
    assert wording.headline(unsure) == (
        "nothing missing so far; can't tell for 1 of 2 symbols; proof after 16:12; 2,468 rows"
    )
    lossy = day_audit(incomplete(), unprovable("HK.00005", so_far=SO_FAR), is_over=False)
    assert wording.headline(lossy) == (
        "missing so far: 12 ticks of 1 symbol in 1 gap (opend_down 10:01:05 to 10:03:10); proof after 16:12; 2,468 rows"
    )


@pytest.mark.parametrize(
    ("symbols", "said"),
    [
        (
            (
                unprovable(
                    so_far="perhaps missing: 3 ticks; proof after 16:12", gaps=(gap(missing=3, cause="unknown"),)
                ),
                unprovable("HK.00005", so_far=SO_FAR),
            ),
            "perhaps missing: 3 ticks of 1 symbol in 1 gap (unknown 10:01:05 to 10:03:10)",
        ),
        (
            (
                unprovable(
                    so_far="perhaps missing: 2 ticks; proof after 16:12",
                    ordinals=Ordinals(900, 898, counts=True, missing=2),
                ),
            ),
            "perhaps missing: 2 ticks of 1 symbol",
        ),
        (
            (unprovable(so_far="can't tell: 2 kept aside in bad_ticks; proof after 16:12"),),
            "can't tell for 1 of 1 symbol",
        ),
        (
            (unprovable(so_far="can't tell since 14:00: nothing was received; proof after 16:12"),),
            "can't tell since 14:00: nothing was received",
        ),
        (
            (
                incomplete(
                    so_far="12 ticks missing so far; can't tell since 14:00: nothing was received; proof after 16:12"
                ),
            ),
            (
                "missing so far: 12 ticks of 1 symbol in 1 gap (opend_down 10:01:05 to 10:03:10); "
                "can't tell since 14:00: nothing was received"
            ),
        ),
    ],
)
def test_the_headline_before_the_close_does_not_contradict_the_rows(
    symbols: tuple[SymbolAudit, ...], said: str
) -> None:
    """Where something may be missing, or nothing was received, it is not said that nothing is."""
    rows = f"{1234 * len(symbols):,} rows"
    assert wording.headline(day_audit(*symbols, is_over=False)) == f"{said}; proof after 16:12; {rows}"


def test_the_longest_interruptions_are_named() -> None:
    """Three of them, and that there are more; none is said as well."""
    outages = tuple(
        Outage(cause, None if begin is None else at(begin), at("10:30:00"), 3)
        for cause, begin in (("a", "10:29:00"), ("b", "10:00:00"), ("c", None), ("d", "10:15:00"))
    )
    assert wording.outages_text(day_audit(symbol_audit(), outages=outages)) == (
        "4 interruptions: c until 10:30:00, b 10:00:00 to 10:30:00, d 10:15:00 to 10:30:00, …"
    )
    assert wording.outages_text(day_audit(symbol_audit(), outages=())) == "0 interruptions"
