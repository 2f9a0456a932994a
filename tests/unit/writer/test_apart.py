"""What can't be stored because of its content is put aside, with its bytes and its place; all beside it is stored.

SQLite itself refuses the odd ones here, by a trigger: the mapper lets through what nobody has thought of.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import apsw
import pytest
from support.settings import writer_settings
from support.ticks import DAY, DAY_MS, HSBC, NEXT_DAY, OPEN_MS, TENCENT, push, reply, ticker

from hk_tick_collector.journal.cursor import load_waits
from hk_tick_collector.journal.segments import DIRECTORY
from hk_tick_collector.opend.purpose import Purpose
from hk_tick_collector.writer.loop import Writer

if TYPE_CHECKING:
    from support.scenario import Scenario

ODD = 66_600  # a volume
ON_TICKS = "ticks", f"new.volume = {ODD}"
ON_TOTALS = "exchange_totals", f"new.volume = {ODD}"
ON_BAD = "bad_ticks", "1"


def refuse(scenario: Scenario, *tables: tuple[str, str]) -> None:
    """The day's database, which is there, refuses such rows from now on."""
    con = apsw.Connection(str(scenario.root / f"{DAY}.db"))
    for table, when in tables:
        con.execute(
            f"CREATE TRIGGER odd_{table} BEFORE INSERT ON {table} WHEN {when} BEGIN SELECT RAISE(ABORT, 'odd'); END"
        )
    con.close()


def begin(scenario: Scenario, *tables: tuple[str, str]) -> None:
    """A day with one tick."""
    scenario.hear(push(TENCENT, ticker(1)))
    scenario.write()
    refuse(scenario, *tables)


@pytest.mark.parametrize("is_reply", [False, True])
def test_odd_ticks_are_put_aside_and_all_beside_them_are_stored(scenario: Scenario, *, is_reply: bool) -> None:
    """In the same message, in others of the record, and in the batch."""
    begin(scenario, ON_TICKS)
    odd = [ticker(n, volume=ODD) for n in (20, 21, 40)]
    some = [*(ticker(n) for n in range(2, 20)), *odd[:2], *(ticker(n) for n in range(22, 40)), odd[2]]
    message = reply(TENCENT, *some, purpose=Purpose.POLL) if is_reply else push(TENCENT, *some)
    scenario.hear(push(HSBC, ticker(1)))
    scenario.hear(push(HSBC, ticker(2)), message, push(HSBC, ticker(3)))
    scenario.hear(push(HSBC, ticker(4)))
    scenario.write()
    assert scenario.stored_ordinals() == [*range(1, 20), *range(22, 40)]
    assert scenario.stored_ordinals(symbol=HSBC) == [1, 2, 3, 4]
    bad = scenario.query("SELECT symbol, error, journal_segment, journal_offset > 0, frame FROM bad_ticks")
    assert bad == [(TENCENT, "ConstraintError: odd", 1, 1, 1)] * 3
    for (raw,) in scenario.query("SELECT raw FROM bad_ticks"):
        assert str(ODD) in raw.decode()
    assert scenario.query("SELECT rows FROM symbol_stats WHERE symbol = 'HK.00700'") == [(37,)]


def test_an_odd_snapshot_is_put_aside_and_what_it_says_of_others_is_concluded_with_the_next(
    scenario: Scenario,
) -> None:
    """Neither the ticks beside it nor the next snapshot are kept from anything."""
    begin(scenario, ON_TOTALS)
    scenario.totals(tencent=100, hsbc=ODD)
    scenario.hear(push(TENCENT, ticker(2)))
    scenario.totals(tencent=300, hsbc=100)
    scenario.write()
    assert scenario.stored_ordinals() == [1, 2]
    assert scenario.query("SELECT symbol, volume FROM exchange_totals WHERE symbol = 'HK.00700'") == [(TENCENT, 300)]
    assert scenario.query("SELECT error FROM bad_ticks") == [("ConstraintError: odd",)]


def test_a_replay_comes_to_the_same(scenario: Scenario) -> None:
    """Odd ones are put aside once, however often they come by."""
    begin(scenario, ON_TICKS, ON_TOTALS)
    for n in range(2, 40):
        scenario.hear(push(TENCENT, ticker(n, volume=ODD if n % 10 == 0 else 100)))
        scenario.totals(tencent=ODD if n % 7 == 0 else 100 * n)
    scenario.write()
    found = scenario.query("SELECT * FROM bad_ticks")
    assert len(found) == 3 + 5
    stored = scenario.query("SELECT * FROM ticks")
    assert len(stored) == 36
    (scenario.root / DIRECTORY / "cursor.json").unlink()
    scenario.write(batch_size=7)
    assert scenario.query("SELECT * FROM bad_ticks") == found
    assert [row[:-1] for row in scenario.query("SELECT * FROM ticks")] == [row[:-1] for row in stored]


def test_what_can_not_even_be_put_aside_stops_nothing(scenario: Scenario) -> None:
    """It is in the log, and in the journal."""
    begin(scenario, ON_TICKS, ON_BAD)
    scenario.hear(push(TENCENT, ticker(2), ticker(3, volume=ODD), ticker(4)))
    scenario.totals(tencent=100)
    scenario.write()
    assert scenario.stored_ordinals() == [1, 2, 4]
    assert scenario.query("SELECT * FROM bad_ticks") == []


def test_odd_content_of_one_day_makes_no_day_wait(scenario: Scenario) -> None:
    """It is no fault of the database."""
    begin(scenario, ON_TICKS)
    scenario.hear(push(TENCENT, ticker(2, volume=ODD), ticker(1, OPEN_MS + DAY_MS)))
    scenario.write()
    assert load_waits(scenario.root / DIRECTORY) == {}
    assert len(scenario.query("SELECT * FROM ticks", NEXT_DAY)) == 1


def test_odd_ones_cost_no_more_than_their_own_records(scenario: Scenario, monkeypatch: pytest.MonkeyPatch) -> None:
    """A batch is tried once; then its records are stored one by one, and only odd ones are taken apart."""
    begin(scenario, ON_TICKS)
    for n in range(2, 202):
        scenario.hear(push(TENCENT, ticker(n, volume=ODD if n % 20 == 0 else 100)))
    runs: list[str] = []
    for name in ("storing.Storing", "apart.Apart"):
        module, kind = name.split(".")
        original = __import__(f"hk_tick_collector.writer.{module}", fromlist=[kind]).__dict__[kind]

        def counted(self: object, batch: object, run: object = original.run, kind: str = kind) -> object:
            runs.append(kind)
            return run(self, batch)  # type: ignore[operator]

        monkeypatch.setattr(original, "run", counted)
    writer = Writer(writer_settings(scenario.root))
    while writer.step():
        pass
    writer.close()
    assert len(scenario.stored_ordinals()) == 191
    assert runs.count("Apart") == 10
    assert runs.count("Storing") <= 1 + 200 + 10
