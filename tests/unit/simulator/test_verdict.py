"""The verdict against real day databases."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING

import apsw
import pytest

from hk_tick_collector.errors import ConfigError, DatabaseError
from hk_tick_collector.simulator.ledger import LedgerWriter
from hk_tick_collector.simulator.market import MarketDay, day_plan
from hk_tick_collector.simulator.universe import universe
from hk_tick_collector.simulator.verdict import Verdict, compare

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from hk_tick_collector.simulator.market import MadeTick

DAY = "20261120"
NEXT_DAY = "20261123"

COLUMNS = (
    "symbol TEXT NOT NULL, seq INTEGER NOT NULL, ts_ms INTEGER NOT NULL, price REAL NOT NULL, volume INTEGER NOT NULL,"
    " turnover REAL NOT NULL, direction_id INTEGER NOT NULL, tick_type_id INTEGER NOT NULL,"
    " push_type_id INTEGER NOT NULL, recv_ts_ms INTEGER NOT NULL, inserted_at_ms INTEGER NOT NULL,"
    " direction TEXT AS (CASE direction_id WHEN 1 THEN 'BUY' ELSE 'OTHER' END) VIRTUAL"
)


class _Run:
    """A day that was made, and a recorder's directory, as a test wants it to be."""

    def __init__(self, root: Path) -> None:
        self.ledger_path = root / "ledger.jsonl"
        self.ledger = LedgerWriter(self.ledger_path)
        self.data_root = root / "data %41"  # a name that a URI must quote
        self.data_root.mkdir()
        plan = day_plan(dt.date(2026, 11, 20), universe(5), seed=1, ticks_per_day=200)
        market = MarketDay(plan)
        self.ticks = market.ticks_until(market.end_ts_ms)
        self.ledger.ticks(self.ticks)

    def store(self, ticks: list[MadeTick], day: str = DAY, table: str = "ticks") -> None:
        """Store ticks as the recorder would, in WAL mode."""
        db = apsw.Connection(str(self.data_root / f"{day}.db"))
        db.execute("PRAGMA journal_mode = WAL")
        for name, end in (("ticks", ", PRIMARY KEY (symbol, seq)) WITHOUT ROWID"), ("tick_revisions", ")")):
            db.execute(f"CREATE TABLE IF NOT EXISTS {name}({COLUMNS}{end}")
        db.executemany(
            f"INSERT INTO {table} VALUES (?,?,?,?,?,?,?,?,1,0,0)",  # noqa: S608 - the test's own table
            [(t.symbol, t.seq, t.ts_ms, t.price, t.volume, t.turnover, t.direction, t.tick_type) for t in ticks],
        )
        db.close()

    def unreachable(self, tick: MadeTick) -> None:
        self.ledger.note("u", s=tick.symbol, q=tick.seq, why="upstream")

    def revise(self, tick: MadeTick) -> MadeTick:
        """Send other content with the same sequence."""
        volume = tick.volume + 100
        other = tick._replace(volume=volume, turnover=round(tick.price * volume, 3))
        self.ledger.note("r", s=tick.symbol, q=tick.seq, p=other.price, v=other.volume, o=other.turnover)
        return other

    def verdict(self) -> Verdict:
        self.ledger.flush()
        return compare(self.ledger_path, self.data_root)

    def counts(self) -> dict[str, int]:
        """The counts that are not 0, without those of a flawless run."""
        counts = self.verdict().as_dict()
        assert counts.pop("sent") == 200
        del counts["databases"], counts["examples"], counts["ok"]
        return {name: n for name, n in counts.items() if n}


@pytest.fixture
def run(tmp_path: Path) -> Iterator[_Run]:
    """A day of 200 ticks, nothing stored yet."""
    run = _Run(tmp_path)
    yield run
    run.ledger.close()


def test_a_flawless_recorder_is_ok(run: _Run) -> None:
    """Every tick stored once, exactly."""
    run.store(run.ticks)
    verdict = run.verdict()
    assert verdict == Verdict(1, 200, 200, 0, 0, 0, 0, 0, 0, 0, 0, 0, ())
    assert verdict.ok


def test_what_nobody_subscribed_to_is_not_missing(run: _Run) -> None:
    """Of five symbols one was recorded: the trades of the other four are counted apart."""
    symbol = run.ticks[0].symbol
    recorded = [tick for tick in run.ticks if tick.symbol == symbol]
    run.store(recorded[1:])
    assert run.counts() == {"stored": len(recorded) - 1, "missing": 201 - len(recorded)}
    run.ledger.note("w", s=symbol)
    verdict = run.verdict()
    assert (verdict.sent, verdict.stored, verdict.missing) == (len(recorded), len(recorded) - 1, 1)
    assert verdict.not_subscribed == 200 - len(recorded)


def test_a_tick_of_a_symbol_that_nobody_subscribed_to_may_be_stored(run: _Run) -> None:
    """Then it was sent after all, and it is compared like any other."""
    run.ledger.note("w", s=run.ticks[0].symbol)
    run.store(run.ticks)
    verdict = run.verdict()
    assert verdict.ok
    assert (verdict.sent, verdict.not_subscribed) == (200, 0)


def test_nothing_stored_is_all_missing(run: _Run) -> None:
    """No database at all is no excuse; a few examples are named."""
    verdict = run.verdict()
    assert (verdict.databases, verdict.sent, verdict.missing, verdict.ok) == (0, 200, 200, False)
    assert len(verdict.examples) == 5
    assert {example["kind"] for example in verdict.examples} == {"missing"}


def test_a_missing_tick_is_named(run: _Run) -> None:
    """One absent row is one missing tick, by symbol and sequence."""
    run.store(run.ticks[:100] + run.ticks[101:])
    gone = run.ticks[100]
    assert run.counts() == {"stored": 199, "missing": 1}
    assert run.verdict().examples == ({"kind": "missing", "symbol": gone.symbol, "seq": gone.seq},)


def test_an_unreachable_tick_is_not_missing(run: _Run) -> None:
    """What OpenD never got is counted apart, and does not spoil the verdict."""
    run.store(run.ticks[3:])
    for tick in run.ticks[:3]:
        run.unreachable(tick)
    assert run.counts() == {"stored": 197, "unreachable": 3}
    assert run.verdict().ok


def test_an_unreachable_tick_that_is_stored_counts_as_stored(run: _Run) -> None:
    """It was recorded before OpenD lost it."""
    run.store(run.ticks[1:])
    run.unreachable(run.ticks[0])
    run.unreachable(run.ticks[1])
    run.unreachable(run.ticks[1])
    assert run.counts() == {"stored": 199, "unreachable": 1}


@pytest.mark.parametrize(
    "change",
    [
        {"ts_ms": 1_795_138_200_001},
        {"price": 1.0},
        {"volume": 1},
        {"turnover": 1.0},
        {"direction": 0},
        {"tick_type": 0},
    ],
)
def test_each_column_is_compared(run: _Run, change: dict[str, float]) -> None:
    """Any other value is wrong, and both contents are shown."""
    run.store([run.ticks[0]._replace(**change), *run.ticks[1:]])
    assert run.counts() == {"stored": 200, "wrong": 1}
    verdict = run.verdict()
    assert not verdict.ok
    (example,) = verdict.examples
    made = (*run.ticks[0][2:3], *run.ticks[0][4:])
    assert example["made"] == list(made)
    assert example["stored"] != example["made"]
    assert example["day"] == DAY


def test_floats_are_compared_exactly(run: _Run) -> None:
    """The least difference that a float can have is a difference."""
    tick = run.ticks[0]
    run.store([tick._replace(price=tick.price * (1 + 2**-52)), *run.ticks[1:]])
    assert run.counts() == {"stored": 200, "wrong": 1}


def test_another_day_s_database_is_wrong(run: _Run) -> None:
    """A row belongs into the database of its Hong Kong date, even if its content is right."""
    run.store(run.ticks[2:])
    run.store(run.ticks[:2], day=NEXT_DAY)
    assert run.counts() == {"stored": 200, "wrong": 2}
    assert run.verdict().databases == 2


def test_a_row_in_two_databases_is_duplicated(run: _Run) -> None:
    """The copy is one row too many, and it lies in the wrong database."""
    run.store(run.ticks)
    run.store(run.ticks[:1], day=NEXT_DAY)
    assert run.counts() == {"stored": 201, "duplicated": 1, "wrong": 1}
    assert [example["kind"] for example in run.verdict().examples] == ["wrong", "duplicated"]


def test_a_row_that_nobody_made_is_unknown(run: _Run) -> None:
    """Invented rows are found, also if they are invented twice."""
    invented = run.ticks[0]._replace(seq=5)
    run.store([*run.ticks, invented])
    run.store([invented], day=NEXT_DAY)
    assert run.counts() == {"stored": 202, "unknown": 1, "duplicated": 1}


def test_several_faults_are_counted_side_by_side(run: _Run) -> None:
    """The counts don't hide one another, and the books balance."""
    run.unreachable(run.ticks[0])
    wrong = run.ticks[2]._replace(direction=0)
    invented = run.ticks[3]._replace(symbol="HK.99999")
    run.store([wrong, invented, *run.ticks[3:]])
    assert run.counts() == {"stored": 199, "unreachable": 1, "missing": 1, "wrong": 1, "unknown": 1}


def test_a_revision_is_looked_for_in_its_table(run: _Run) -> None:
    """Kept aside it counts as stored; one that was sent and not kept is told, but is no fault."""
    first, second = run.revise(run.ticks[0]), run.revise(run.ticks[1])
    run.store(run.ticks)
    run.store([first], table="tick_revisions")
    assert run.counts() == {"stored": 200, "revisions_sent": 2, "revisions_stored": 1}
    assert run.verdict().ok
    run.store([second], table="tick_revisions")
    assert run.verdict().revisions_stored == 2


def test_the_same_revision_sent_twice_is_one(run: _Run) -> None:
    """Revisions count by content."""
    run.revise(run.ticks[0])
    run.revise(run.ticks[0])
    run.store(run.ticks)
    assert run.verdict().revisions_sent == 1


def test_a_revision_instead_of_the_original_is_wrong(run: _Run) -> None:
    """The first write wins: a recorder that overwrites has lost what was said first."""
    run.store([run.revise(run.ticks[0]), *run.ticks[1:]])
    assert run.counts() == {"stored": 200, "wrong": 1, "revisions_sent": 1, "revisions_stored": 1}


@pytest.mark.parametrize("told", [True, False])
def test_a_cancelled_trade_stays_what_was_made(run: _Run, *, told: bool) -> None:
    """Stored as it was, and kept as cancelled if that was told; gone, it is missing; nothing but that is a fault."""
    tick = run.ticks[0]
    cancelled = tick._replace(volume=0, turnover=0.0)
    run.ledger.note("c", s=tick.symbol, q=tick.seq, v=0, o=0.0)
    run.store(run.ticks)
    assert run.counts() == {"stored": 200}
    if told:
        run.ledger.note("r", s=tick.symbol, q=tick.seq, p=tick.price, v=0, o=0.0)
        assert run.counts() == {"stored": 200, "revisions_sent": 1}
    run.store([cancelled], table="tick_revisions")
    assert run.counts() == {"stored": 200} | (
        {"revisions_sent": 1, "revisions_stored": 1} if told else {"revisions_unknown": 1}
    )


def test_a_revision_that_came_first_is_right_if_the_original_is_kept(run: _Run) -> None:
    """Nothing is lost: the one is stored, the other kept aside."""
    run.store([run.revise(run.ticks[0]), *run.ticks[1:]])
    run.store([run.ticks[0]], table="tick_revisions")
    assert run.counts() == {"stored": 200, "revisions_sent": 1, "revisions_stored": 1}


@pytest.mark.parametrize("why", ["lost", "unreachable"])
def test_a_revision_alone_is_right_if_the_original_never_came(run: _Run, why: str) -> None:
    """What was never said can't be kept."""
    if why == "lost":
        run.ledger.note("l", s=run.ticks[0].symbol, q=run.ticks[0].seq)
    else:
        run.unreachable(run.ticks[0])
    run.store([run.revise(run.ticks[0]), *run.ticks[1:]])
    assert run.verdict().ok
    assert run.verdict().unreachable == 0


def test_a_revision_that_nobody_sent_is_a_fault(run: _Run) -> None:
    """A recorder must not see revisions where there are none."""
    run.revise(run.ticks[0])
    run.store(run.ticks)
    run.store([run.ticks[0]._replace(volume=1), run.ticks[1]._replace(seq=5)], table="tick_revisions")
    assert run.counts() == {"stored": 200, "revisions_sent": 1, "revisions_unknown": 2}
    assert not run.verdict().ok


def test_a_recorder_that_is_writing_can_be_judged(run: _Run) -> None:
    """The databases are opened read-only beside a writer with an open transaction, and nothing is changed in them."""
    run.store(run.ticks)
    db = apsw.Connection(str(run.data_root / f"{DAY}.db"))
    db.execute("BEGIN IMMEDIATE; DELETE FROM ticks")
    assert run.verdict().ok
    db.execute("ROLLBACK")
    db.close()


def test_other_files_are_not_day_databases(run: _Run) -> None:
    """Only YYYYMMDD.db is read; a database without a revisions table is fine."""
    run.store(run.ticks)
    run.store(run.ticks, day="index")
    (run.data_root / "20261121.db.bak").write_bytes(b"x")
    db = apsw.Connection(str(run.data_root / f"{DAY}.db"))
    db.execute("DROP TABLE tick_revisions")
    db.close()
    assert run.verdict() == Verdict(1, 200, 200, 0, 0, 0, 0, 0, 0, 0, 0, 0, ())


@pytest.mark.parametrize("name", ["20261120.db", "20261399.db"])
def test_a_file_that_is_no_day_database_is_an_error(run: _Run, name: str) -> None:
    """Its name is in the message: a verdict that skipped it would be a lie."""
    (run.data_root / name).write_bytes(b"this is not a database" * 100)
    with pytest.raises(DatabaseError, match=name):
        run.verdict()


def test_a_database_without_ticks_is_an_error(run: _Run) -> None:
    """Likewise."""
    apsw.Connection(str(run.data_root / f"{DAY}.db")).close()
    with pytest.raises(DatabaseError, match=r"no such table: day\.ticks"):
        run.verdict()


def test_wrong_paths_and_ledgers_are_refused(run: _Run, tmp_path: Path) -> None:
    """A directory that is not there, no ledger, or a ledger with a trade made twice."""
    with pytest.raises(ConfigError, match=r"no directory of day databases at .*absent"):
        compare(run.ledger_path, tmp_path / "absent")
    with pytest.raises(ConfigError, match=r"no ledger at .*absent"):
        compare(tmp_path / "absent", run.data_root)
    run.ledger.tick(run.ticks[0])
    with pytest.raises(ConfigError, match="made twice"):
        run.verdict()
