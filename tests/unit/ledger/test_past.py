"""What other days tell: the exchange's last word on them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from support.last_word import tell_last_word
from support.merging import record
from support.scenario import Scenario, clock, volume_of
from support.sealing import seal_day, tell_day
from support.ticks import DAY, DAY_MS, NEXT_DAY, OPEN_MS, TENCENT, row, seq_at

from hk_tick_collector.ledger.past import LOOK_BACK_DAYS, READ_AGAIN_MS, LastWords, days_before
from hk_tick_collector.opend.messages import DayTotals

if TYPE_CHECKING:
    from pathlib import Path

OPENS_MS = clock("09:00:00", NEXT_DAY)


def no_databases(_day: str) -> None:
    """None is being written."""


def totals(volume: int) -> DayTotals:
    """As told on the next day."""
    return DayTotals(symbol=TENCENT, time="", volume=volume, turnover=0.0)


def test_totals_of_a_day_before_are_its_last_word_only_if_they_are_what_it_was_told(tmp_path: Path) -> None:
    """With others they may count a trade of today under an old date."""
    path = record(tmp_path / f"{DAY}.db", [row(TENCENT, seq_at(1))])
    tell_last_word(path, TENCENT, 100, 1.0, DAY)
    words = LastWords(tmp_path)
    assert words.is_last(DAY, totals(100), OPENS_MS, OPENS_MS, no_databases)
    assert not words.is_last(DAY, totals(200), OPENS_MS, OPENS_MS, no_databases)
    assert not words.is_last("20260730", totals(100), OPENS_MS, OPENS_MS, no_databases), "of that day nothing is known"


def test_what_was_told_after_the_opening_says_nothing(tmp_path: Path) -> None:
    """It may be of today."""
    path = record(tmp_path / f"{DAY}.db", [row(TENCENT, seq_at(1))])
    tell_last_word(path, TENCENT, 100, 1.0, DAY)
    assert not LastWords(tmp_path).is_last(DAY, totals(100), OPENS_MS, clock("16:00:00"), no_databases)


def test_a_day_of_which_a_symbol_was_not_known_is_read_again(tmp_path: Path) -> None:
    """Not each minute."""
    path = record(tmp_path / f"{DAY}.db", [row(TENCENT, seq_at(1))])
    words = LastWords(tmp_path)
    assert not words.is_last(DAY, totals(100), 0, OPENS_MS, no_databases)
    tell_last_word(path, TENCENT, 100, 1.0, DAY)
    assert not words.is_last(DAY, totals(100), READ_AGAIN_MS - 1, OPENS_MS, no_databases)
    assert words.is_last(DAY, totals(100), READ_AGAIN_MS, OPENS_MS, no_databases)


def test_a_sealed_day_whose_database_is_elsewhere_is_told_by_its_certificate(tmp_path: Path) -> None:
    """One that makes no sense tells nothing."""
    scenario = Scenario(tmp_path)
    path = tell_day(scenario)
    scenario.journal.close(5)
    seal_day(path)
    path.unlink()
    assert LastWords(tmp_path).is_last(DAY, totals(volume_of(range(1, 41))), OPENS_MS, OPENS_MS, no_databases)
    (tmp_path / f"{DAY}.certificate.json").write_text("{")
    assert not LastWords(tmp_path).is_last(DAY, totals(volume_of(range(1, 41))), OPENS_MS, OPENS_MS, no_databases)


def test_days_before_are_as_many_as_a_holiday_may_last() -> None:
    """The newest first, over the turn of a month."""
    assert days_before("20260803")[:4] == ["20260802", "20260801", "20260731", "20260730"]
    assert len(days_before("20260803")) == LOOK_BACK_DAYS


def test_a_symbol_that_was_not_traded_today_is_known_by_its_last_word(scenario: Scenario) -> None:
    """Its snapshot of yesterday, as it was told yesterday, says: nothing today."""
    scenario.trade()
    scenario.tell()
    scenario.write()
    scenario.now_ms = OPEN_MS + DAY_MS
    scenario.trade("HK.00005")
    scenario.wait(30)
    scenario.tell()
    scenario.write()
    today = scenario.query("SELECT symbol, volume, own_ms FROM exchange_totals WHERE symbol = 'HK.00700'", NEXT_DAY)
    assert today == [(TENCENT, 0, None)]
