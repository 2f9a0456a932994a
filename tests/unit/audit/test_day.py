"""The audit of a day: a proof that all is there, or what is missing, or what evidence is."""

from __future__ import annotations

from typing import TYPE_CHECKING

import apsw
import pytest
from support.scenario import ALIBABA, CHEUNG_KONG, MEITUAN, Scenario
from support.ticks import DAY, DAY_MS, HSBC, OPEN_MS, TENCENT, push, pushes, reply, ticker

from hk_tick_collector.audit.counted import Votes
from hk_tick_collector.audit.day import DayAudit, SymbolAudit, Verdict, audit_day
from hk_tick_collector.audit.schedule import after_close_ms
from hk_tick_collector.errors import DatabaseError
from hk_tick_collector.hktime import hk_text
from hk_tick_collector.journal.events import Cause
from hk_tick_collector.opend.purpose import Purpose
from hk_tick_collector.store.schema import DAY_OF_TS, MIGRATIONS, day_of_ts

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

ODD_LOT = 6
OTHERS = (ALIBABA, MEITUAN, CHEUNG_KONG)


@pytest.fixture
def day(scenario: Scenario) -> Scenario:
    """A day on which two others show that types are counted; it is 9:51, and all four are to be recorded."""
    scenario.at("09:50:00")
    scenario.record_only(TENCENT, *OTHERS)
    scenario.prove_types()
    return scenario


def audit(scenario: Scenario) -> DayAudit:
    """What the audit says once all is stored."""
    scenario.write()
    return audit_day(scenario.root / f"{DAY}.db", scenario.now_ms)


def of(scenario: Scenario, symbol: str = TENCENT) -> SymbolAudit:
    """What it says of one symbol."""
    return {one.symbol: one for one in audit(scenario).symbols}[symbol]


def trade(scenario: Scenario, times: int, *, lost: Iterable[int] = (), symbol: str = TENCENT) -> None:
    """So many trades, of which these are lost."""
    for number in range(times):
        if number in lost:
            scenario.lose(symbol)
        else:
            scenario.trade(symbol)


def test_totals_after_the_close_that_are_ours_prove_the_day(day: Scenario) -> None:
    """All figures are told, and nothing is in the way."""
    trade(day, 60)
    day.close()
    found = audit(day)
    assert (found.day, found.verdict, found.trade_date, found.not_counted) == (DAY, Verdict.COMPLETE, None, ())
    assert found.is_over
    symbol = of(day)
    assert (symbol.verdict, symbol.reasons, symbol.missing, symbol.missing_volume) == (Verdict.COMPLETE, (), None, None)
    assert (symbol.rows, symbol.volume, symbol.exchange_volume, symbol.evidence) == (60, 6000, 6000, "both")
    assert symbol.turnover == symbol.exchange_turnover
    assert (symbol.covered, symbol.not_covered, symbol.would_prove, symbol.so_far) == (("AUTO_MATCH",), (), (), "")
    assert symbol.totals_ms == day.now_ms
    assert symbol.ordinals == (59, 59, True, 0, 1, 0, 0)
    assert symbol.sessions == {"morning": 60}


@pytest.mark.parametrize("lost", [0, 1, 30, 58, 59])
@pytest.mark.parametrize("rounds", [2, 4])
def test_a_day_without_one_tick_is_not_complete(day: Scenario, lost: int, rounds: int) -> None:
    """Wherever it was, and however often the exchange was asked after the close."""
    trade(day, 60, lost=[lost])
    day.close(rounds=rounds)
    assert audit(day).verdict is Verdict.INCOMPLETE
    assert (of(day).missing_volume, of(day).evidence in {"totals", "both"}) == (100, True)
    assert of(day).reasons


def test_a_loss_that_no_gap_tells_is_not_located(day: Scenario) -> None:
    """The exchange was never asked before the close, and only then twice within a moment."""
    trade(day, 5, lost=[4])
    day.close(rounds=0)
    for _ in range(2):
        day.tell()
    ((reason),) = of(day).reasons
    assert reason == "100 shares by the exchange's count, not located, perhaps after the last tick of 09:51:19"


def test_missing_ordinals_alone_are_no_proof_of_a_loss(day: Scenario) -> None:
    """Where no last word was told a hole may have another reason, unless it is within an interruption."""
    day.hear(pushes(TENCENT, [n for n in range(1, 1301) if n != 700]))
    symbol = of(day)
    assert (symbol.verdict, symbol.ordinals.missing) == (Verdict.UNPROVABLE, 1)
    assert "perhaps missing: 1 tick, whose ordinals are" in symbol.reasons


def test_holes_within_an_interruption_are_a_loss(day: Scenario) -> None:
    """Told with bounds, cause and evidence."""
    trade(day, 60)
    since_ms = day.now_ms
    trade(day, 2, lost=[0, 1])
    day.resume(Cause.OPEND_DOWN, since_ms)
    day.hear(reply(TENCENT, *(day.made() for _ in range(10))))
    symbol = of(day)
    assert (symbol.verdict, symbol.missing, symbol.evidence) == (Verdict.INCOMPLETE, 2, "ordinals")
    assert symbol.reasons[0].startswith("2 ticks between ")
    assert symbol.reasons[0].endswith(" (opend_down, by ordinals)")
    assert [outage.cause for outage in audit(day).outages] == ["opend_down"]
    assert symbol.so_far == "2 ticks missing so far; proof after 16:12"


def test_a_gap_that_was_filled_does_not_stand_in_the_way(day: Scenario) -> None:
    """It stays in the ledger."""
    trade(day, 60)
    day.resume(Cause.OPEND_DOWN, day.now_ms)
    lost = day.lose()
    trade(day, 10)
    day.wait(30)
    for _ in range(2):
        day.tell()
        day.wait(30)
    day.hear(reply(TENCENT, lost, purpose=Purpose.POLL))
    day.close()
    symbol = of(day)
    assert (symbol.verdict, [gap.state for gap in symbol.gaps]) == (Verdict.COMPLETE, ["filled"])


def test_a_symbol_that_was_to_be_recorded_is_there_without_a_tick(day: Scenario) -> None:
    """OpenD never let it: nothing is known of it, and that is not green; why is told."""
    day.record_only(TENCENT, HSBC, *OTHERS, hsbc="no quote right")
    trade(day, 3)
    day.close()
    assert audit(day).verdict is Verdict.UNPROVABLE
    symbol = of(day, HSBC)
    assert (symbol.verdict, symbol.rows, symbol.without) == (Verdict.UNPROVABLE, 0, "no quote right")
    assert symbol.reasons == ("OpenD did not give it: no quote right",)
    assert of(day).verdict is Verdict.COMPLETE


def test_a_symbol_that_was_not_to_be_recorded_has_no_say(day: Scenario) -> None:
    """A few of its ticks came all the same; they are shown, and the day is complete without it."""
    trade(day, 3)
    trade(day, 3, lost=[1], symbol=HSBC)
    day.close()
    assert audit(day).verdict is Verdict.COMPLETE
    assert (of(day, HSBC).verdict, of(day, HSBC).recorded) == (Verdict.INCOMPLETE, False)


def test_a_day_on_which_nothing_was_to_be_recorded_is_not_complete(scenario: Scenario) -> None:
    """No verdict that counts is no proof."""
    scenario.at("09:50:00")
    scenario.prove_types()
    scenario.close()
    assert audit(scenario).verdict is Verdict.UNPROVABLE


def test_what_could_not_be_stored_as_a_tick_stands_in_the_way(day: Scenario) -> None:
    """It is kept aside, and may hide behind totals that agree."""
    trade(day, 3)
    day.hear(push(TENCENT, ticker(11, price=float("nan"))))
    day.close()
    symbol = of(day)
    assert symbol.verdict is Verdict.UNPROVABLE
    assert symbol.contradictions == ("1 kept aside in bad_ticks, which could not be stored as ticks",)


def test_types_that_the_exchange_does_not_count_are_measured_and_named(day: Scenario) -> None:
    """Three symbols say so of each other; the rest is proven, and these are named as not covered."""
    for symbol in (TENCENT, ALIBABA, MEITUAN):
        day.trade(symbol)
        day.trade(symbol, 7, type=ODD_LOT, is_counted=False)
    day.close()
    found = audit(day)
    assert (found.verdict, found.not_counted) == (Verdict.COMPLETE, ("ODD_LOT",))
    assert found.types[ODD_LOT] == Votes(0, 3)
    assert (of(day).covered, of(day).not_covered) == (("AUTO_MATCH",), ("ODD_LOT",))


def test_a_type_that_nobody_has_proven_stands_in_the_way(day: Scenario) -> None:
    """Its own totals may agree by coincidence."""
    day.trade()
    day.trade(type=ODD_LOT)
    day.close()
    symbol = of(day)
    assert symbol.verdict is Verdict.UNPROVABLE
    assert symbol.reasons == ("not proven yet that the exchange counts ODD_LOT",)
    assert symbol.not_covered == ("ODD_LOT",)
    assert symbol.would_prove


def test_the_worst_come_first(day: Scenario) -> None:
    """Incomplete, then unprovable, then complete."""
    trade(day, 3, lost=[1])
    trade(day, 3, symbol=HSBC)
    day.trade(HSBC, type=ODD_LOT)
    day.close()
    assert [(s.symbol, s.verdict) for s in audit(day).symbols] == [
        (TENCENT, Verdict.INCOMPLETE),
        (HSBC, Verdict.UNPROVABLE),
        *((symbol, Verdict.COMPLETE) for symbol in sorted(OTHERS)),
    ]


def test_before_the_close_it_is_told_how_it_stands(day: Scenario) -> None:
    """Nothing is missing so far, or nobody can tell; and when there will be a proof."""
    trade(day, 3)
    day.tell()
    assert not audit(day).is_over
    assert of(day).so_far == "nothing missing so far; proof after 16:12"
    day.resume(Cause.OPEND_DOWN, day.now_ms)
    assert of(day).so_far == "can't tell: 1 interruption undecided; proof after 16:12"
    day.now_ms = OPEN_MS + DAY_MS
    assert (audit(day).is_over, of(day).so_far) == (True, ""), "on a later day no proof will come of itself"


def test_a_recording_that_ended_early_is_not_said_to_miss_nothing(day: Scenario) -> None:
    """A recorder that died: before the close it can't be told since then; after the close it is UNPROVABLE, as ever."""
    trade(day, 3)
    day.tell()
    last = hk_text(day.now_ms)[11:16]
    close_ms = after_close_ms(audit(day).sessions)
    day.now_ms = close_ms - 1
    assert of(day).so_far == f"can't tell since {last}: nothing was received; proof after 16:12"
    day.now_ms = close_ms
    symbol = of(day)
    assert (audit(day).is_over, symbol.so_far, symbol.verdict) == (True, "", Verdict.UNPROVABLE)
    assert symbol.reasons[0].startswith("no snapshot of the exchange's totals after the close; the last is of ")


# ---- databases


def old_database(path: Path, version: int) -> None:
    """A database of that version, with a tick, a word of the exchange and nothing else."""
    con = apsw.Connection(str(path))
    for script in MIGRATIONS[:version]:
        con.execute(script.replace(DAY_OF_TS, day_of_ts(path)))
    con.pragma("user_version", version)
    con.pragma("application_id", 0x484B5443)
    con.execute(
        "INSERT INTO ticks VALUES (?, 1, ?, 300, 100, 30000, 1, 1, 0, 1, ?, ?)", (TENCENT, OPEN_MS, OPEN_MS, OPEN_MS)
    )
    con.execute("INSERT INTO symbol_stats VALUES (?, 1, 100, 30000, 1, 1, ?, ?, ?)", (TENCENT, *[OPEN_MS] * 3))
    if version > 1:
        after_ms = OPEN_MS + 7 * 3_600_000
        row = (TENCENT, after_ms, 100, 30000.0, 100, 30000.0, 1, 1, 0, 1, after_ms)
        con.execute("INSERT INTO exchange_totals VALUES (?,?,?,?,?,?,?,?,?,?,?)", row)
        con.execute("INSERT INTO recorded VALUES (?, 5)", (TENCENT,))
    con.close()


def test_a_day_of_version_2_is_audited_and_proves_nothing(tmp_path: Path) -> None:
    """Totals that agree are told, but not which moment they are of; the file stays as it is."""
    path = tmp_path / f"{DAY}.db"
    old_database(path, 2)
    before = path.read_bytes()
    found = audit_day(path)
    (symbol,) = found.symbols
    assert (found.verdict, found.schema_version) == (Verdict.UNPROVABLE, 2)
    assert symbol.reasons == ("an older version recorded it, which did not keep the snapshots' own times",)
    assert (symbol.volume, symbol.exchange_volume, symbol.recorded) == (100, 100, True)
    assert path.read_bytes() == before


def test_a_database_without_a_ledger_is_one_line(tmp_path: Path) -> None:
    """That is no verdict."""
    old_database(tmp_path / f"{DAY}.db", 1)
    with pytest.raises(DatabaseError, match="schema version 1: it was recorded before there was a ledger"):
        audit_day(tmp_path / f"{DAY}.db")


def test_no_day_database_is_one_line(tmp_path: Path) -> None:
    """Neither one that is not there, nor another program's."""
    with pytest.raises(DatabaseError, match=r"20260731\.db can't be read"):
        audit_day(tmp_path / f"{DAY}.db")


def test_an_audit_leaves_nothing_behind(scenario: Scenario) -> None:
    """The file's bytes are the same, and nothing lies beside it."""
    scenario.hear(pushes(TENCENT, range(1, 11)))
    scenario.write()
    before = {path.name: path.read_bytes() for path in scenario.root.glob("*.db*")}
    audit_day(scenario.root / f"{DAY}.db")
    assert {path.name: path.read_bytes() for path in scenario.root.glob("*.db*")} == before
