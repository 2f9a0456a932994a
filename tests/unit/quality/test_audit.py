"""The audit of a day: a proof that all is there, or what is missing, or what evidence is."""

from __future__ import annotations

from typing import TYPE_CHECKING

import apsw
import pytest
from support.tale import SEC, Tale, volume_of
from support.ticks import DAY, DAY_MS, HSBC, OPEN_MS, TENCENT, push, pushes, reply, seq_at, ticker

from hk_tick_collector.errors import DatabaseError
from hk_tick_collector.opend.purpose import Purpose
from hk_tick_collector.quality.audit import DayAudit, SymbolAudit, Verdict, audit_day
from hk_tick_collector.resumption import Cause

if TYPE_CHECKING:
    from pathlib import Path

CLOSED_MS = OPEN_MS + (6 * 60 + 12) * 60 * SEC
ODD_LOT = 6


def close(tale: Tale, *, rounds: int = 2, **volumes: int) -> None:
    """The market closes, and the exchange has its last word."""
    tale.now_ms = max(tale.now_ms, CLOSED_MS)
    for _ in range(rounds):
        tale.totals(**volumes)


def audit(tale: Tale) -> DayAudit:
    """What the audit says once all is stored."""
    tale.write()
    return audit_day(tale.root / f"{DAY}.db")


def only(found: DayAudit) -> SymbolAudit:
    """Its only symbol."""
    (symbol,) = found.symbols
    return symbol


def test_totals_after_the_close_that_are_ours_prove_the_day(tale: Tale) -> None:
    """All figures are told, and nothing is in the way."""
    tale.hear(pushes(TENCENT, range(1, 201)))
    close(tale, tencent=volume_of(range(1, 201)))
    found = audit(tale)
    assert (found.day, found.verdict, found.trade_date, found.not_counted) == (DAY, Verdict.COMPLETE, None, ())
    symbol = only(found)
    assert (symbol.verdict, symbol.reasons, symbol.missing, symbol.missing_volume) == (Verdict.COMPLETE, (), None, None)
    assert (symbol.rows, symbol.volume, symbol.exchange_volume) == (200, volume_of(range(1, 201)), symbol.volume)
    assert symbol.turnover == symbol.exchange_turnover
    assert (symbol.first_ts_ms, symbol.last_ts_ms, symbol.totals_ms) == (OPEN_MS, OPEN_MS, tale.now_ms)
    assert symbol.sessions == {"morning": 200}
    assert symbol.ordinals._asdict() == {"pairs": 199, "contiguous": 199, "counts": True, "missing": 0}


@pytest.mark.parametrize("lost", [1, 2, 100, 199, 200])
@pytest.mark.parametrize("rounds", [1, 2])
def test_a_day_without_one_tick_is_not_complete(tale: Tale, lost: int, rounds: int) -> None:
    """Wherever it was, and however often the exchange was asked after the close."""
    tale.hear(pushes(TENCENT, [n for n in range(1, 201) if n != lost]))
    close(tale, rounds=rounds, tencent=volume_of(range(1, 201)))
    found = audit(tale)
    assert found.verdict is Verdict.INCOMPLETE
    assert only(found).missing_volume == volume_of([lost])
    assert only(found).reasons


def test_a_difference_that_no_gap_explains_is_located_between_two_snapshots(tale: Tale) -> None:
    """The exchange was asked before it and after it."""
    tale.hear(pushes(TENCENT, range(1, 11)))
    tale.totals(tencent=volume_of(range(1, 11)))
    close(tale, rounds=1, tencent=volume_of(range(1, 12)))
    (reason,) = only(audit(tale)).reasons
    assert reason == "500 shares by the exchange's count, which went ahead of ours between 10:00:06 and 16:12:05"


def test_no_totals_is_no_proof(tale: Tale) -> None:
    """Contiguous ordinals do not tell what came behind the last tick."""
    tale.hear(pushes(TENCENT, range(1, 201)))
    assert only(audit(tale)).reasons == ("no snapshot of the exchange's totals",)
    assert audit(tale).verdict is Verdict.UNPROVABLE


def test_totals_before_the_close_are_no_proof(tale: Tale) -> None:
    """The closing auction comes up to ten minutes later."""
    tale.hear(pushes(TENCENT, range(1, 201)))
    tale.now_ms = CLOSED_MS - 70 * SEC
    tale.totals(tencent=volume_of(range(1, 201)))
    symbol = only(audit(tale))
    assert symbol.verdict is Verdict.UNPROVABLE
    assert symbol.reasons == ("no snapshot of the exchange's totals after the close; the last is of 16:10:55",)


def test_the_close_of_a_half_day_is_at_noon(tale: Tale) -> None:
    """As OpenD's calendar tells; its closing auction is a session of its own."""
    tale.hear(pushes(TENCENT, range(1, 11)))
    at_noon_ms = OPEN_MS + 128 * 60 * SEC
    tale.hear(push(TENCENT, ticker(11, at_noon_ms)))
    tale.trade_dates({DAY: 1})
    tale.now_ms = OPEN_MS + (2 * 60 + 12) * 60 * SEC
    tale.totals(tencent=volume_of(range(1, 12)))
    found = audit(tale)
    assert (found.trade_date, found.verdict) == ("morning", Verdict.COMPLETE)
    assert [session.name for session in found.sessions] == ["pre-opening", "morning", "closing auction"]
    assert only(found).sessions == {"morning": 10, "closing auction": 1}


def test_missing_ordinals_tell_a_loss_where_no_totals_do(tale: Tale) -> None:
    """They were measured to count each tick."""
    tale.hear(pushes(TENCENT, [n for n in range(1, 1301) if n != 700]))
    symbol = only(audit(tale))
    assert (symbol.verdict, symbol.missing) == (Verdict.INCOMPLETE, 1)
    assert "1 tick, whose ordinals are missing" in symbol.reasons


def test_ordinals_that_do_not_count_say_nothing(tale: Tale) -> None:
    """Holes everywhere are no holes."""
    tale.hear(pushes(TENCENT, range(1, 401, 2)))
    symbol = only(audit(tale))
    assert symbol.verdict is Verdict.UNPROVABLE
    assert symbol.ordinals._asdict() == {"pairs": 199, "contiguous": 0, "counts": False, "missing": 0}


def test_open_gaps_are_told_with_bounds_cause_and_evidence(tale: Tale) -> None:
    """And the day is incomplete, whatever else is proven."""
    tale.hear(pushes(TENCENT, range(1, 101)))
    tale.resume(Cause.OPEND_DOWN, tale.now_ms)
    tale.hear(reply(TENCENT, *(ticker(n) for n in range(141, 200))))
    tale.totals(tencent=volume_of(range(1, 200)))
    tale.now_ms += 10 * SEC
    tale.hear(pushes(TENCENT, [200]))
    close(tale, tencent=volume_of(range(1, 201)))
    symbol = only(audit(tale))
    assert (symbol.verdict, symbol.missing) == (Verdict.INCOMPLETE, 40)
    assert symbol.missing_volume == volume_of(range(101, 141))
    assert symbol.reasons == ("40 ticks between 10:00:00 and 10:00:00 (opend_down, by ordinals)",)
    assert symbol.gaps[0].after_seq == seq_at(141)
    assert [outage.cause for outage in audit(tale).outages] == ["opend_down"]


def test_a_gap_that_was_filled_does_not_stand_in_the_way(tale: Tale) -> None:
    """It stays in the ledger."""
    tale.hear(pushes(TENCENT, range(1, 101)))
    tale.resume(Cause.OPEND_DOWN, tale.now_ms)
    tale.hear(reply(TENCENT, *(ticker(n) for n in range(102, 200))))
    tale.hear(reply(TENCENT, ticker(101), purpose=Purpose.AUDIT))
    close(tale, tencent=volume_of(range(1, 200)))
    symbol = only(audit(tale))
    assert (symbol.verdict, [gap.state for gap in symbol.gaps]) == (Verdict.COMPLETE, ["filled"])


def test_a_symbol_that_was_to_be_recorded_is_there_without_a_tick(tale: Tale) -> None:
    """OpenD never let it: nothing is known of it, and that is not green."""
    tale.hear(pushes(HSBC, range(1, 11)))
    tale.resume(Cause.RECORDER_DOWN, None, TENCENT, HSBC)
    close(tale, hsbc=volume_of(range(1, 11)))
    found = audit(tale)
    assert found.verdict is Verdict.UNPROVABLE
    assert [(s.symbol, s.verdict, s.rows) for s in found.symbols] == [
        (TENCENT, Verdict.UNPROVABLE, 0),
        (HSBC, Verdict.COMPLETE, 10),
    ]


def test_a_symbol_that_was_not_traded_today_is_complete_without_a_tick(tale: Tale) -> None:
    """Its snapshot is of a day before: the exchange has counted nothing today."""
    tale.hear(pushes(HSBC, range(1, 11)))
    tale.resume(Cause.RECORDER_DOWN, None, TENCENT, HSBC)
    close(tale, hsbc=volume_of(range(1, 11)))
    tale.totals(at_ms=OPEN_MS - DAY_MS, tencent=5000)
    found = audit(tale)
    assert [(s.symbol, s.verdict, s.exchange_volume) for s in found.symbols] == [
        (HSBC, Verdict.COMPLETE, volume_of(range(1, 11))),
        (TENCENT, Verdict.COMPLETE, 0),
    ]


def test_what_could_not_be_stored_as_a_tick_is_told(tale: Tale) -> None:
    """It is kept aside, and is no tick."""
    tale.hear(pushes(TENCENT, range(1, 11)), push(TENCENT, ticker(11, price=float("nan"))))
    close(tale, tencent=volume_of(range(1, 11)))
    symbol = only(audit(tale))
    assert (symbol.verdict, symbol.reasons) == (
        Verdict.INCOMPLETE,
        ("1 kept aside in bad_ticks, which could not be stored as ticks",),
    )


def test_more_than_the_exchange_counts_is_no_proof(tale: Tale) -> None:
    """Something is there that should not be, and may hide what is missing."""
    tale.hear(pushes(TENCENT, range(1, 11)))
    close(tale, tencent=volume_of(range(1, 11)) - 100)
    symbol = only(audit(tale))
    assert (symbol.verdict, symbol.reasons) == (Verdict.UNPROVABLE, ("100 shares more than the exchange counts",))


def test_the_turnover_must_agree_too(tale: Tale) -> None:
    """As many shares at another price are not the same ticks."""
    tale.hear(pushes(TENCENT, range(1, 11)))
    close(tale, tencent=volume_of(range(1, 11)))
    tale.write()
    con = apsw.Connection(str(tale.root / f"{DAY}.db"))
    con.execute("UPDATE exchange_totals SET turnover = turnover - 1000")
    con.close()
    symbol = only(audit(tale))
    assert symbol.verdict is Verdict.UNPROVABLE
    assert symbol.reasons == ("as many shares as the exchange counts, but a turnover of +1,000.00 against its",)


def test_types_that_the_exchange_does_not_count_are_measured(tale: Tale) -> None:
    """Two symbols say so; the rest is proven, but nothing proves those, so that it is not green."""
    for symbol in (TENCENT, HSBC):
        tale.hear(pushes(symbol, range(1, 11)), push(symbol, ticker(11, type=ODD_LOT)))
    close(tale, tencent=volume_of(range(1, 11)), hsbc=volume_of(range(1, 11)))
    found = audit(tale)
    assert (found.verdict, found.not_counted) == (Verdict.UNPROVABLE, ("ODD_LOT",))
    for symbol_audit in found.symbols:
        assert symbol_audit.reasons == (
            "the exchange's totals are without ODD_LOT: nothing proves that those are all there",
        )


def test_two_contents_of_a_tick_are_told_where_totals_differ(tale: Tale) -> None:
    """A trade was cancelled and sent again: the exchange counts one of the two."""
    tale.hear(pushes(TENCENT, range(1, 11)), push(TENCENT, ticker(3, volume=100)))
    close(tale, tencent=volume_of(range(1, 11)) - 300)
    symbol = only(audit(tale))
    assert symbol.verdict is Verdict.UNPROVABLE
    assert symbol.reasons[-1] == "1 tick came with two contents, of which the exchange counts one"


def test_the_worst_come_first(tale: Tale) -> None:
    """Incomplete, then unprovable, then complete."""
    tale.hear(pushes(TENCENT, range(1, 11)), pushes(HSBC, range(1, 11)), pushes("HK.00001", range(1, 11)))
    close(tale, tencent=volume_of(range(1, 12)), hsbc=volume_of(range(1, 11)))
    found = audit(tale)
    assert [(s.symbol, s.verdict) for s in found.symbols] == [
        (TENCENT, Verdict.INCOMPLETE),
        ("HK.00001", Verdict.UNPROVABLE),
        (HSBC, Verdict.COMPLETE),
    ]
    assert found.verdict is Verdict.INCOMPLETE


def test_an_older_database_has_no_ledger(tale: Tale, tmp_path: Path) -> None:
    """That is one line, and not a verdict."""
    tale.hear(pushes(TENCENT, range(1, 11)))
    tale.write()
    con = apsw.Connection(str(tmp_path / f"{DAY}.db"))
    con.pragma("user_version", 1)
    con.close()
    with pytest.raises(DatabaseError, match="schema version 1: it was recorded before there was a ledger"):
        audit_day(tmp_path / f"{DAY}.db")


def test_no_day_database_is_one_line(tmp_path: Path) -> None:
    """Neither one that is not there, nor another program's."""
    with pytest.raises(DatabaseError, match=r"20260731\.db can't be read"):
        audit_day(tmp_path / f"{DAY}.db")


def test_an_audit_leaves_nothing_behind(tale: Tale) -> None:
    """The file's bytes are the same, and nothing lies beside it."""
    tale.hear(pushes(TENCENT, range(1, 11)))
    tale.write()
    before = {path.name: path.read_bytes() for path in tale.root.glob("*.db*")}
    audit_day(tale.root / f"{DAY}.db")
    assert {path.name: path.read_bytes() for path in tale.root.glob("*.db*")} == before
