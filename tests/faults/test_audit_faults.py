"""COMPLETE is never said of a day that lacks a tick, wherever that was, and it is said of each day that lacks none."""

from __future__ import annotations

import datetime as dt
import shutil
from typing import TYPE_CHECKING

import pytest
from support.bench import faults_of
from support.recorder_process import RecorderProcess, until
from support.sealing import SILENT, seal_day
from support.simulator_process import SimulatorProcess
from support.sizes import drawn
from support.trading_time import DAY, JumpingClock
from support.whole_day import WholeDay

from hk_tick_collector.audit.day import Verdict, audit_day
from hk_tick_collector.audit.history import CATALOG
from hk_tick_collector.hktime import parse_time
from hk_tick_collector.ledger.counting import OTHERS_MIN
from hk_tick_collector.seal.catalog import Catalog
from hk_tick_collector.simulator.tape import _SPECIALS as SPECIALS
from hk_tick_collector.simulator.tape import AUCTION, AUTO_MATCH, ODD_LOT
from hk_tick_collector.simulator.universe import universe
from hk_tick_collector.writer import loop as writer_module

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from hk_tick_collector.audit.day import DayAudit
    from hk_tick_collector.simulator.tape import Ordinals

pytestmark = [pytest.mark.faults, pytest.mark.timeout(240)]

SYMBOLS = universe(3, 0)
BUSIEST = SYMBOLS[0]
ORDINALS: list[Ordinals] = ["contiguous", "sparse", "none"]
TICKS = 120  # of a day that is made again for each of them
# A clock that jumps while OpenD is asked for its own is known again when that is asked the next time, after a minute.
LAST_WORD_SEC = 90
BUSY = 12_000  # so many that two symbols have each type of them


# ---- every single tick of a day, in one process


@pytest.fixture(scope="module")
def catalogue(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What a busy day before has shown of types of ticks: on a day of few trades most types are too rare to prove."""
    root = tmp_path_factory.mktemp("before") / "root"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(writer_module, "send", lambda _message: None)
        WholeDay(root, ticks=BUSY, ordinals="sparse", date=dt.date(2026, 11, 19), is_calm=True)
    shown = seal_day(root / "20261119.db").certificate["types"]
    assert {one["tick_type_id"] for one in shown if one["counted"] >= OTHERS_MIN} == {*SPECIALS, AUTO_MATCH, AUCTION}
    Catalog(root, SILENT).close()
    return root / CATALOG


@pytest.fixture(autouse=True)
def _silent(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody listens to writers in this process."""
    monkeypatch.setattr(writer_module, "send", lambda _message: None)


def audit_with(catalogue: Path, root: Path) -> DayAudit:
    """The audit of the day in a DATA_ROOT whose catalogue is this."""
    shutil.copy(catalogue, root)
    return audit_day(root / f"{DAY}.db")


def verdicts_of(directory: Path, day: WholeDay, catalogue: Path, ordinals: Ordinals) -> dict[str, Verdict]:
    """The verdict on the busy symbol's day for each trade of it (`support.sizes`), made again without that trade."""
    found = {}
    for number, tick in list(enumerate(day.made))[:: len(day.made) // drawn(len(day.made))]:
        root = directory / str(number)
        WholeDay(root, ticks=TICKS, withheld=(tick.symbol, tick.seq), ordinals=ordinals)
        audit = audit_with(catalogue, root)
        assert sum(symbol.rows for symbol in audit.symbols) == len(day.made) - 1
        of_symbol = {symbol.symbol: symbol.verdict for symbol in audit.symbols}
        found[f"{tick.time} {tick.symbol}"] = max(audit.verdict, of_symbol[tick.symbol], key=_greenness)
    return found


def _greenness(verdict: Verdict) -> int:
    return [Verdict.INCOMPLETE, Verdict.UNPROVABLE, Verdict.COMPLETE].index(verdict)


@pytest.mark.timeout(600)
@pytest.mark.parametrize("ordinals", ORDINALS)
def test_a_day_is_complete_with_all_its_ticks_and_incomplete_without_any_one(
    tmp_path: Path, catalogue: Path, ordinals: Ordinals
) -> None:
    """The whole day with its outages is COMPLETE; without any single tick it and that symbol are INCOMPLETE."""
    day = WholeDay(tmp_path / "whole", ticks=TICKS, ordinals=ordinals)
    whole = audit_with(catalogue, tmp_path / "whole")
    assert [symbol.reasons for symbol in whole.symbols] == [()] * len(SYMBOLS)
    assert whole.verdict is Verdict.COMPLETE
    assert len(day.made) == TICKS
    found = verdicts_of(tmp_path, day, catalogue, ordinals)
    assert {when: verdict for when, verdict in found.items() if verdict is not Verdict.INCOMPLETE} == {}


def test_types_that_the_exchange_does_not_count_are_never_covered(tmp_path: Path) -> None:
    """Where odd lots are not in its totals no verdict speaks of them, with all of them or without any one.

    That is said of each symbol of a day that has such ticks: it may have lost one.
    """
    day = WholeDay(tmp_path / "whole", ticks=TICKS, ordinals="none", without={ODD_LOT})
    odd_lots = [tick for tick in day.made if tick.tick_type == ODD_LOT]
    assert odd_lots
    for number, lost in enumerate([None, *odd_lots]):
        root = tmp_path / str(number)
        withheld = None if lost is None else (lost.symbol, lost.seq)
        WholeDay(root, ticks=TICKS, ordinals="none", without={ODD_LOT}, withheld=withheld)
        having = {tick.symbol for tick in odd_lots if tick is not lost}
        for symbol in audit_day(root / f"{DAY}.db").symbols:
            assert "ODD_LOT" not in symbol.covered, lost
            assert ("ODD_LOT" in symbol.not_covered) is bool(having), lost


# ---- real processes, on a clock that jumps over the hours


class Trading:
    """A simulator and a recorder, from the pre-opening on."""

    def __init__(self, directory: Path, catalogue: Path) -> None:
        self._directory = directory
        self._catalogue = catalogue
        self.clock = JumpingClock(directory, "2026-11-20 09:05:00")
        self.sim = SimulatorProcess(directory)
        self.recorder = RecorderProcess(directory, 0, SYMBOLS)

    def begin(self, *options: str, before: Callable[[SimulatorProcess], object] | None = None, **given: object) -> None:
        """Start both, and trade for a moment in the pre-opening and in the morning."""
        self.sim = SimulatorProcess(
            self._directory,
            *("--now", "--hold", "--rate", "40", "--symbols", str(len(SYMBOLS)), "--no-rate-limits", *options),
            env=self.clock.env,
        ).start()
        if before is not None:
            before(self.sim)
        settings = {"FUTU_TOTALS_INTERVAL_SEC": 0.3, "FUTU_POLL_ENABLED": "false", **given}
        self.recorder = RecorderProcess(self._directory, self.sim.port, SYMBOLS, **self.clock.env, **settings).start()
        self.recorder.wait_for("backfill_done")
        self.sim.command("burst", ticks=300)
        self.jump_to("10:00:00")

    def jump_to(self, clock: str) -> None:
        """Another hour, with nothing between; then trading goes on."""
        self.sim.command("pause")
        self.clock.jump_to(f"2026-11-20 {clock}")
        self.sim.wait_for(lambda stats: stats["sim_time"] >= f"2026-11-20 {clock}")
        self.sim.command("resume")
        self.sim.command("burst", ticks=60)

    def close(self) -> None:
        """The closing prints, one each; the evening, without waiting for anything."""
        self.sim.command("pause")
        self.clock.jump_to("2026-11-20 16:08:20")
        for symbol in SYMBOLS:
            self.sim.command("tick", symbol=symbol, type="AUCTION", volume=100_000)
        self.clock.jump_to("2026-11-20 16:13:00")

    def wait_for_last_word(self) -> None:
        """Until the exchange's totals were told twice for a time after the close."""
        after_ms = parse_time("2026-11-20 16:12:00").ms
        select = f"SELECT count(DISTINCT symbol) FROM exchange_totals WHERE confirmed_ms >= {after_ms}"  # noqa: S608
        until(
            lambda: self.recorder.query(select) == [(len(SYMBOLS),)],
            lambda: str(self.recorder.query("SELECT * FROM exchange_totals")[-6:]),
            LAST_WORD_SEC,
        )

    def audit(self, lost: int = 0) -> DayAudit:
        """The audit, when all but so many trades are stored."""
        made = self.sim.ledger().ticks
        until(
            lambda: len(self.recorder.stored()) == len(made) - lost,
            lambda: f"{len(made)} were made, {len(self.recorder.stored())} are stored",
        )
        return audit_with(self._catalogue, self.recorder.data_root)

    def cut(self) -> None:
        """The connection ends, and is made again."""
        connects = len(self.recorder.log_lines("backfill_done"))
        assert self.sim.command("cut")["n"] == 1
        self.recorder.wait_for("backfill_done", connects + 1)

    def end(self) -> None:
        """End what runs."""
        self.recorder.end()
        self.sim.stop()


@pytest.fixture
def trading(tmp_path: Path, catalogue: Path) -> Iterator[Trading]:
    """Ends with the test."""
    made = Trading(tmp_path, catalogue)
    try:
        yield made
    finally:
        made.end()


@pytest.mark.parametrize("ordinals", ORDINALS)
def test_a_day_that_was_recorded_whole_is_complete_after_the_close(trading: Trading, ordinals: str) -> None:
    """Through a cut, an outage of the exchange and a restart of the recorder: every symbol is COMPLETE."""
    trading.begin("--ordinals", ordinals)
    trading.cut()
    trading.jump_to("13:00:30")
    backfills = len(trading.recorder.log_lines("backfill_done"))
    assert trading.sim.command("outage", sec=0.5)["n"] == 1
    until(lambda: bool(faults_of(trading.sim, "outage_over")), "the exchange is back")
    trading.recorder.wait_for("backfill_done", backfills + 1)
    trading.recorder.kill_all()
    trading.recorder.start()
    trading.recorder.wait_for("backfill_done", backfills + 2)
    trading.close()
    trading.wait_for_last_word()
    audit = trading.audit()
    assert {symbol.symbol: symbol.reasons for symbol in audit.symbols} == dict.fromkeys(SYMBOLS, ())
    assert audit.verdict is Verdict.COMPLETE
    assert audit.trade_date == "whole"


def first(trading: Trading, *options: str) -> None:
    """The day's very first trade."""
    trading.begin(*options, before=lambda sim: sim.command("withhold", n=1, wait=False))


def in_the_morning(trading: Trading, *options: str) -> None:
    """One while nothing is wrong."""
    trading.begin(*options)
    assert trading.sim.command("withhold", n=1)["n"] == 1


def just_before_an_outage(trading: Trading, *options: str) -> None:
    """The last one before the connection ends."""
    trading.begin(*options)
    assert trading.sim.command("withhold", n=1)["n"] == 1
    trading.cut()


def within_an_outage(trading: Trading, *options: str) -> None:
    """One that OpenD misses with others, which it makes good."""
    trading.begin(*options)
    backfills = len(trading.recorder.log_lines("backfill_done"))
    assert trading.sim.command("outage", sec=0.6)["n"] == 1
    assert trading.sim.command("withhold", n=1)["n"] == 1
    until(lambda: bool(faults_of(trading.sim, "outage_over")), "the exchange is back")
    trading.recorder.wait_for("backfill_done", backfills + 1)


def a_closing_print(trading: Trading, *options: str) -> None:
    """The very last one."""
    trading.begin(*options)
    trading.sim.command("pause")
    trading.sim.command("withhold", n=1, symbols=[SYMBOLS[-1]], wait=False)


@pytest.mark.parametrize(
    ("place", "ordinals"),
    [
        (first, "sparse"),
        (first, "contiguous"),
        (in_the_morning, "none"),
        (just_before_an_outage, "sparse"),
        (within_an_outage, "none"),
        (a_closing_print, "contiguous"),
    ],
)
def test_a_day_without_one_tick_is_not_complete(trading: Trading, place: Callable[..., None], ordinals: str) -> None:
    """Wherever it was, OpenD never told it: the exchange's totals do."""
    place(trading, "--ordinals", ordinals)
    trading.close()
    trading.wait_for_last_word()
    audit = trading.audit(lost=1)
    ((symbol, _),) = trading.sim.ledger().unreachable
    verdicts = {audited.symbol: audited.verdict for audited in audit.symbols}
    assert verdicts == {**dict.fromkeys(SYMBOLS, Verdict.COMPLETE), symbol: Verdict.INCOMPLETE}
    assert audit.verdict is Verdict.INCOMPLETE


def test_an_odd_lot_that_is_not_counted_and_not_there_is_not_covered(trading: Trading) -> None:
    """The exchange's totals agree without it: they prove nothing of odd lots, and are not said to."""
    trading.begin("--totals-without", "ODD_LOT", "--ordinals", "none")
    for symbol in SYMBOLS:
        trading.sim.command("tick", symbol=symbol, type="ODD_LOT", volume=7)
    trading.sim.command("withhold", n=1, types=["ODD_LOT"], symbols=[BUSIEST], wait=False)
    trading.sim.command("tick", symbol=BUSIEST, type="ODD_LOT", volume=9)
    trading.close()
    trading.wait_for_last_word()
    audit = trading.audit(lost=1)
    assert {"ODD_LOT" in symbol.covered for symbol in audit.symbols} == {False}
    assert {"ODD_LOT" in symbol.not_covered for symbol in audit.symbols} == {True}


def test_a_day_without_totals_is_unprovable(trading: Trading) -> None:
    """Nothing is missing, and nothing says so."""
    trading.begin(FUTU_TOTALS_INTERVAL_SEC=0)
    trading.close()
    audit = trading.audit()
    assert {symbol.verdict for symbol in audit.symbols} == {Verdict.UNPROVABLE} == {audit.verdict}


def test_a_recorder_that_stopped_before_the_close_leaves_an_unprovable_day(trading: Trading) -> None:
    """What came after that, nobody has seen."""
    trading.begin()
    trading.jump_to("15:30:00")
    trading.sim.command("pause")
    audit = trading.audit()
    assert trading.recorder.stop() == 0
    trading.close()
    assert audit.verdict is Verdict.UNPROVABLE
    audit = audit_day(trading.recorder.data_root / f"{DAY}.db")
    assert {symbol.verdict for symbol in audit.symbols} == {Verdict.UNPROVABLE} == {audit.verdict}


def test_an_exchange_that_was_lost_before_the_close_leaves_an_unprovable_day(trading: Trading) -> None:
    """OpenD itself does not hear the end of the day, and its totals of that time are asked for in vain."""
    trading.begin()
    trading.jump_to("15:59:30")
    trading.sim.command("pause")
    trading.audit()
    assert trading.sim.command("outage", sec=600)["n"] == 1
    trading.close()
    trading.recorder.wait_for("opend_notice", kicked_out="False", regained="False")
    missed = len(trading.sim.ledger().ticks) - len(trading.recorder.stored())
    assert missed == len(SYMBOLS)
    audit = trading.audit(lost=missed)
    assert {symbol.verdict for symbol in audit.symbols} == {Verdict.UNPROVABLE} == {audit.verdict}


def test_an_exchange_that_freezes_unnoticed_leaves_an_unprovable_day(trading: Trading) -> None:
    """From 13:30 on OpenD hears nothing, says that it is logged in, and answers with the totals of then."""
    trading.begin()
    trading.jump_to("13:30:00")
    trading.sim.command("pause")
    trading.audit()
    assert trading.sim.command("exchange_frozen", sec=600)["n"] > 0
    trading.sim.command("resume")
    trading.sim.command("burst", ticks=60)
    trading.close()
    trading.wait_for_last_word()
    missed = len(trading.sim.ledger().ticks) - len(trading.recorder.stored())
    assert missed >= 60 + len(SYMBOLS)
    audit = trading.audit(lost=missed)
    assert [symbol.volume == symbol.exchange_volume for symbol in audit.symbols] == [True] * len(SYMBOLS)
    assert {symbol.verdict for symbol in audit.symbols} == {Verdict.UNPROVABLE} == {audit.verdict}
    assert all("may have frozen" in symbol.reasons[0] for symbol in audit.symbols)
