"""A simulator and a recorder whose ledger of gaps and doubts is held against what was sent and what is stored."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any, Final

from hk_tick_collector.journal.cursor import CURSOR
from hk_tick_collector.journal.segments import DIRECTORY
from hk_tick_collector.ledger.judge import FILE
from hk_tick_collector.ledger.rows import Doubt
from hk_tick_collector.simulator.universe import universe
from support.calm import calm, show_types
from support.gap_row import GapRow
from support.recorder_process import RecorderProcess
from support.simulator_process import SimulatorProcess
from support.trading_time import JumpingClock
from support.writer_process import WriterProcess

if TYPE_CHECKING:
    from pathlib import Path

    from hk_tick_collector.simulator.ledger import Key

SYMBOLS: Final = tuple(universe(3, 0))
SETTINGS: Final[dict[str, Any]] = {"FUTU_POLL_ENABLED": "false", "FUTU_TOTALS_INTERVAL_SEC": 0.3}


class FaultRig:
    """A simulator and a recorder, on a clock that says Friday morning in Hong Kong and is set forward in calm moments.

    Attributes:
        beginning: the doubts that are left of the day's beginning, which nothing can decide before the close.
        is_timely: whether sequences have a time in them. Else no type of ticks is proven to be counted before the
            close, so that there is no upper bound, and what no window proves stays in doubt.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self.clock = JumpingClock(directory)
        self.sim = SimulatorProcess(directory)
        self.recorder = RecorderProcess(directory, 0, ["HK.00700"])
        self.beginning: set[Doubt] = set()
        self.is_timely = True

    def begin(self, *options: str, rate: float = 60, **settings: object) -> None:
        """Start both, and wait until ticks flow and all that can be known of the beginning is known."""
        self.launch(*options, rate=rate, **settings)
        self.is_timely = "none" not in options
        self.sim.command("burst", ticks=300)  # enough for ordinals to be measured
        self.decide()

    def launch(self, *options: str, rate: float, **settings: object) -> None:
        """Start both."""
        self.sim = SimulatorProcess(
            self._directory,
            *("--now", "--hold", "--rate", str(rate), "--symbols", str(len(SYMBOLS)), "--no-rate-limits", *options),
            env=self.clock.env,
        ).start()
        self.recorder = RecorderProcess(
            self._directory, self.sim.port, SYMBOLS, **self.clock.env, **SETTINGS, **settings
        ).start()
        self.recorder.wait_for("backfill_done")

    def decide(self) -> None:
        """Wait until the beginning is proven, and two snapshots have told of each symbol that nothing is missing.

        Without an upper bound the beginning, before which anything may have been traded, stays in doubt.
        """
        for number in range(3 * len(SYMBOLS)):
            show_types(self.clock, self.sim, SYMBOLS)
            self.calm(SYMBOLS[number % len(SYMBOLS)])
            settled = self.recorder.query("SELECT DISTINCT symbol FROM exchange_totals WHERE most = 0")
            if not self.doubts() and len(settled) == len(SYMBOLS):
                break
            if not self.is_timely and number == len(SYMBOLS):
                break
        assert not self.gaps()
        self.beginning = self.doubts()
        doubted = {(doubt.symbol, doubt.cause, doubt.before_seq) for doubt in self.beginning}
        assert doubted == (set() if self.is_timely else {(symbol, "recorder_down", None) for symbol in SYMBOLS}), (
            self._said()
        )
        self.sim.command("resume")

    def calm(self, symbol: str) -> None:
        """Let time pass, with one tick at its end."""
        calm(self.clock, self.sim, self.recorder, symbol, len(SYMBOLS))

    def gaps(self) -> list[GapRow]:
        """The ledger."""
        columns = ", ".join(GapRow._fields)
        return [GapRow(*row) for row in self.recorder.query(f"SELECT {columns} FROM gaps ORDER BY symbol, resumed_ms")]  # noqa: S608

    def doubts(self) -> set[Doubt]:
        """What is not decided."""
        return {Doubt(*row) for row in self.recorder.query("SELECT * FROM doubts")}

    def _said(self) -> str:
        return f"{self.doubts()} {self.gaps()}; {self.recorder.log_path.read_text()[-3000:]}"

    def lost(self) -> set[Key]:
        """What was made and is not stored."""
        return self.sim.ledger().ticks.keys() - self.recorder.stored()

    def unexplained(self) -> set[Key]:
        """What is lost and inside no gap, nor in an outage that is in doubt."""
        gaps, doubts = self.gaps(), self.doubts()
        made = self.sim.ledger().ticks
        return {
            key
            for key in self.lost()
            if not any(gap.covers(key) for gap in gaps)
            and not any(
                doubt.symbol == key[0] and key[1] > (doubt.before_seq or 0) and made[key].ts_ms <= doubt.resumed_ms
                for doubt in doubts
            )
        }

    def is_told(self) -> bool:
        """Whether gaps tell all that is lost, to the tick or to the share, and what can be decided is.

        Nobody knows the shares in a gap by ordinals. Where ordinals have stopped counting before a calm moment has
        bounded them, what came in between stays in doubt: docs/proof.md.
        """
        if self.unexplained():
            return False
        gaps = [gap for gap in self.gaps() if gap.state == "open"]
        doubted = {doubt.symbol for doubt in self.doubts()} if self.is_timely else set()
        if doubted - {gap.symbol for gap in gaps if gap.evidence == "ordinals"}:
            return False
        volumes, ticks = Counter[str](), Counter[str]()
        made = self.sim.ledger().ticks
        for key in self.lost():
            volumes[key[0]] += made[key].volume
            ticks[key[0]] += 1
        by_totals = {gap.symbol for gap in gaps if gap.evidence == "totals"}
        by_ordinals = {gap.symbol for gap in gaps if gap.evidence == "ordinals"}
        told: Counter[str] = Counter()
        for gap in gaps:
            told[gap.symbol] += (gap.missing_volume if gap.symbol in by_totals else gap.missing) or 0
        return all(
            told[symbol] == (volumes if symbol in by_totals else ticks)[symbol]
            for symbol in SYMBOLS
            if symbol not in (by_totals & by_ordinals) | doubted
        )

    def tell(self) -> None:
        """Make no more ticks but a few, and let totals and ordinals tell what is missing."""
        for number, symbol in enumerate(SYMBOLS * 4):
            if number >= len(SYMBOLS) and self.is_told():  # a false gap has had the time to come, too
                break
            self.calm(symbol)
        assert self.is_told(), f"{self.lost()} {self._said()}"

    def settle(self) -> list[GapRow]:
        """Let all be told, and stop; the gaps, each with a loss in it."""
        self.tell()
        assert self.recorder.stop() == 0
        assert not self.recorder.log_lines("fatal")
        assert self.is_told(), f"{self.lost()} {self._said()}"
        lost = self.lost()
        for gap in self.gaps():
            assert gap.state == "filled" or any(gap.covers(key) for key in lost), gap
        return self.gaps()

    def derive(self) -> None:
        """Make the day's database again from the journal, by one writer and in batches of its own."""
        root = self.recorder.data_root
        for path in [*root.glob("*.db*"), root / DIRECTORY / CURSOR, root / DIRECTORY / FILE]:
            path.unlink(missing_ok=True)
        writer = WriterProcess(root, self._directory, batch_size=777)
        assert writer.end() == 0
        writer.close()

    def end(self) -> None:
        """End what runs."""
        self.recorder.end()
        self.sim.stop()
