"""What comes for a sealed day: what is known opens nothing, what is new opens it, and the certificate is kept."""

from __future__ import annotations

import json
from contextlib import closing
from typing import TYPE_CHECKING

import apsw
import pytest
from support.archiving import archive
from support.scenario import Scenario, volume_of
from support.sealing import CLOSED_MS, SILENT, certificate, make_day, seal_day, state_of, tell_day
from support.ticks import DAY, DAY_MS, HSBC, OPEN_MS, TENCENT, push, pushes, reply, row, seq_at, ticker

from hk_tick_collector.db import Inserted
from hk_tick_collector.errors import ArchivedDayError
from hk_tick_collector.journal.cursor import CURSOR
from hk_tick_collector.journal.events import Cause
from hk_tick_collector.journal.segments import DIRECTORY
from hk_tick_collector.opend.purpose import Purpose
from hk_tick_collector.seal.recheck import recheck
from hk_tick_collector.store.imported import Import, note_import
from hk_tick_collector.store.sealed import is_sealed, superseded
from hk_tick_collector.store.wal import journal_mode_of
from hk_tick_collector.writer.batch import DayShare
from hk_tick_collector.writer.late import look_up_in_archived, look_up_in_sealed

if TYPE_CHECKING:
    from pathlib import Path

NEXT_MS = OPEN_MS + DAY_MS  # the next day's morning


@pytest.fixture
def scenario(tmp_path: Path) -> Scenario:
    """A day that was told to its end, with a revision, a corrected time and a bad tick in it."""
    made = Scenario(tmp_path)
    made.hear(push(TENCENT, ticker(1, price=9.0)), push(TENCENT, ticker(1, price=8.0)))
    made.hear(push(HSBC, ticker(7, OPEN_MS, time="2026-07-31 18:00:00")))
    made.hear(push(HSBC, ticker(8, price=float("nan"))))
    tell_day(made)
    assert made.query("SELECT count(*) FROM tick_revisions") == [(2,)]
    assert made.query("SELECT count(*) FROM time_corrections") == [(1,)]
    assert made.query("SELECT count(*) FROM bad_ticks") == [(1,)]
    return made


@pytest.fixture
def database(scenario: Scenario) -> Path:
    """It, sealed."""
    made = scenario.root / f"{DAY}.db"
    seal_day(made)
    scenario.now_ms = NEXT_MS
    return made


def fetch(scenario: Scenario, purpose: Purpose) -> None:
    """All that OpenD remembers of that day: it was there before."""
    scenario.hear(reply(TENCENT, ticker(1, price=8.0), *(ticker(n) for n in range(2, 41)), purpose=purpose))


@pytest.mark.parametrize("purpose", [Purpose.BACKFILL, Purpose.POLL])
def test_what_is_known_opens_no_sealed_day(scenario: Scenario, database: Path, purpose: Purpose) -> None:
    """Ticks that are stored, their other versions and corrected times, fetched again and pushed again."""
    before = state_of(scenario.root)
    fetch(scenario, purpose)
    scenario.hear(push(TENCENT, ticker(1, price=9.0)), pushes(TENCENT, range(2, 41)))
    scenario.hear(push(HSBC, ticker(7, OPEN_MS, time="2026-07-31 18:00:00")))
    scenario.write()
    assert is_sealed(database)
    assert state_of(scenario.root) == before


def test_a_replay_opens_no_sealed_day(scenario: Scenario, database: Path) -> None:
    """Without its cursor a writer stores all again, also what is to be judged and what was kept aside."""
    before = state_of(scenario.root)
    for _ in range(2):
        (scenario.root / DIRECTORY / CURSOR).unlink()
        scenario.write()
    assert is_sealed(database)
    assert state_of(scenario.root) == before


def test_what_is_judged_opens_no_sealed_day(scenario: Scenario, database: Path) -> None:
    """An outage that reaches back into it, a window and totals of it, the calendar: the next day has them."""
    before = state_of(scenario.root)
    scenario.resume(Cause.OPEND_DOWN, CLOSED_MS - 3_600_000)
    fetch(scenario, Purpose.BACKFILL)
    for _ in range(3):
        scenario.totals(at_ms=CLOSED_MS, tencent=volume_of(range(1, 99)))
    scenario.trade_dates({DAY: 0})
    scenario.write()
    assert is_sealed(database)
    assert state_of(scenario.root) == before
    scenario.hear(push(TENCENT, ticker(1, NEXT_MS)))
    scenario.write()
    assert is_sealed(database)
    assert state_of(scenario.root).items() > before.items()


@pytest.mark.parametrize("what", ["a new tick", "another version", "a bad one"])
def test_what_is_new_opens_a_sealed_day(
    scenario: Scenario, database: Path, capfd: pytest.CaptureFixture[str], what: str
) -> None:
    """It is stored; the certificate is superseded, which is told, and the day can be sealed again."""
    first = certificate(database)
    bad = ticker(99, price=float("inf"))
    new = {"a new tick": ticker(41), "another version": ticker(5, price=1.5), "a bad one": bad}
    if what == "a bad one":
        scenario.now_ms = CLOSED_MS  # it has no time that makes sense: it is kept where it was received
    scenario.hear(push(TENCENT, new[what]))
    scenario.write()
    assert not is_sealed(database)
    assert json.loads(superseded(database)[1].read_bytes()) == first
    said = capfd.readouterr()
    assert "day_reopened" in said.out + said.err
    again = seal_day(database).certificate
    assert again["supersedes"] == 1
    assert again["rows"] == first["rows"] + (what == "a new tick")
    assert again["database"]["sha256"] != first["database"]["sha256"]
    assert not recheck(scenario.root, DAY, SILENT).differences


def test_a_batch_with_known_and_new_ticks_is_counted_rightly(scenario: Scenario, database: Path) -> None:
    """What was there is there once, what is new is stored, and the next day's tick opens only its own."""
    scenario.hear(reply(TENCENT, *(ticker(n) for n in range(30, 45))), pushes(HSBC, [1], NEXT_MS))
    scenario.write()
    assert scenario.query("SELECT rows FROM symbol_stats WHERE symbol = 'HK.00700'") == [(44,)]
    assert scenario.query("SELECT count(*) FROM ticks WHERE symbol = 'HK.00700'") == [(44,)]
    assert list(superseded(database)) == [1]
    assert (scenario.root / "20260801.db").exists()


def test_a_writer_leaves_a_sealed_day_one_plain_file(scenario: Scenario, database: Path) -> None:
    """What is looked up in it leaves no log beside it."""
    fetch(scenario, Purpose.BACKFILL)
    scenario.write()
    assert journal_mode_of(database) != "wal"
    assert [path.name for path in scenario.root.glob(f"{DAY}.db*")] == [f"{DAY}.db"]


@pytest.mark.parametrize("is_imported", [True, False])
def test_a_tick_of_an_archived_day_without_a_list_of_symbols_is_never_extra(
    tmp_path: Path, *, is_imported: bool
) -> None:
    """As in a sealed day: nobody has said that it was not to be recorded, so the day waits for its database."""
    database = make_day(tmp_path)
    if is_imported:
        with closing(apsw.Connection(str(database))) as con:
            note_import(con, Import("/old/20260731.db", "older", 1, OPEN_MS, 10, 10, 0, 0, 0, 0, 0))
    seal_day(database)
    share = DayShare()
    share.pushed["HK.09999"] = [row("HK.09999", seq_at(1))]
    assert look_up_in_sealed(database, share) is None
    archive(database)
    with pytest.raises(ArchivedDayError, match=f"archive --restore {DAY}` makes it a database again now, and ARCH"):
        look_up_in_archived(database, share)


def test_a_tick_of_a_symbol_that_was_not_to_be_recorded_leaves_an_archived_day_alone(database: Path) -> None:
    """As a sealed one."""
    share = DayShare()
    share.fetched["HK.09999"] = [row("HK.09999", seq_at(1))]
    sealed = look_up_in_sealed(database, share)
    archive(database)
    assert look_up_in_archived(database, share) == sealed == Inserted(0, 0, 0, 1)
