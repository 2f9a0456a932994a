"""The demo's script: one day, three accidents, the result of each, and the proof of the day.

Owns the order of steps and the checks that each one happened. An accident that did not happen, or a recorder that does
not come back, ends the demo with an error: nothing here passes by default.

OpenD returns only a symbol's last 1000 ticks. If the recorder is away while the busiest symbol makes more than that,
some ticks are lost for good. At the demo's speed, which no exchange has, this could happen on a slow machine. So
trading is then held until the recorder has fetched what it missed, and the demo says so. So it is if the recorder is
away for so long that the close would come before the last accident.
"""

from __future__ import annotations

import signal
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple

import apsw

from hk_tick_collector.demo.children import Recorder, Simulator
from hk_tick_collector.demo.gauges import Gauges
from hk_tick_collector.demo.proof import prove
from hk_tick_collector.errors import DemoFailedError
from hk_tick_collector.opend.market import MarketState
from hk_tick_collector.simulator.universe import universe
from hk_tick_collector.simulator.verdict import compare
from hk_tick_collector.store.schema import day_files

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from hk_tick_collector.demo.gauges import Sample
    from hk_tick_collector.demo.place import Place
    from hk_tick_collector.demo.proof import Proof
    from hk_tick_collector.demo.view import View
    from hk_tick_collector.simulator.verdict import Verdict

DAY = "20241008"
START = "09:15"  # the opening auction matches from 09:20 to 09:22
SPAN_SEC = 6.875 * 3600 - 58 * 60  # from then until 16:07:30, without the lunch break
END_SEC = 6.5  # from 16:07:30 on, the simulator plays slowly until the recorder has the closing totals
TICKS_OF_A_SECOND = 900  # on average
SYMBOLS_OF_FULL_RATE = 10  # fewer symbols make fewer ticks: the busiest must not outrun OpenD's cache

# Windows, where only the demo's help is shown, has no SIGHUP.
ENDING_SIGNALS = frozenset({signal.SIGINT, signal.SIGTERM, getattr(signal, "SIGHUP", signal.SIGTERM)})

# When accidents happen, as shares of the demo's length.
CUT_AT, KILL_AT, LOCK_AT = 0.25, 0.45, 0.68
CUT_AFTER_BYTES = 57  # a frame's header has 44
DOWN_SEC = 0.5
LOCK_SHARE, LOCK_SEC_MIN, LOCK_SEC_MAX = 0.07, 2.0, 4.0

CHECK_EVERY_SEC = 0.12
CONNECT_TIMEOUT_SEC = 60.0
STORE_TIMEOUT_SEC = 60.0
CLOSE_TIMEOUT_SEC = 90.0
CALM_SEC_MAX = 3.0
LOCK_TIMEOUT_MS = 10_000
AWAY_SHARE_MAX = 0.3  # of the trading time, for each of two accidents
AWAY_TICKS_MAX = 700  # of one symbol; OpenD keeps 1000, and the other 300 are for ticks that come while it fetches


class Script(NamedTuple):
    """What to play: how many seconds, how many symbols, which seed."""

    seconds: float
    symbols: int
    seed: int

    @property
    def speed(self) -> float:
        """Seconds of the day per second of the demo."""
        return SPAN_SEC / self.trading_sec

    @property
    def trading_sec(self) -> float:
        """How long trading takes."""
        return self.seconds - END_SEC

    @property
    def ticks_per_day(self) -> int:
        """Ticks per simulated day, scaled so that the rate per demo second is the same for every demo length."""
        return round(TICKS_OF_A_SECOND * self.trading_sec * min(1.0, self.symbols / SYMBOLS_OF_FULL_RATE))

    @property
    def away_sec_max(self) -> float:
        """How long trading goes on while the recorder is away: all accidents must happen before the close."""
        return self.trading_sec * AWAY_SHARE_MAX

    @property
    def away_ticks_max(self) -> int:
        """How many ticks of all symbols may be made while the recorder is away.

        The busiest of n symbols makes at most 1 in (1 + 1/2 + … + 1/n) of them.
        """
        return round(AWAY_TICKS_MAX * sum(1 / rank for rank in range(1, self.symbols + 1)))


def title(script: Script) -> str:
    """What is played, in a few words."""
    return f"{DAY[:4]}-{DAY[4:6]}-{DAY[6:]}, {script.symbols} symbols, {script.speed:.0f} x speed"


class Accident(NamedTuple):
    """An accident that happened: its name, what was done, the result, and the facts of both."""

    name: str
    done: str
    result: str
    facts: dict[str, Any]


class Outcome(NamedTuple):
    """How a demo ended."""

    accidents: tuple[Accident, ...]
    verdict: Verdict
    proof: Proof
    database: Path

    @property
    def ok(self) -> bool:
        """Whether all that was sent is stored, and that is proven."""
        return self.verdict.ok and self.proof.ok


class Play:
    """One demo."""

    def __init__(self, script: Script, place: Place, view: View) -> None:
        self._script = script
        self._place = place
        self._view = view
        self._simulator = Simulator(place)
        self._recorder = Recorder(place)
        self._gauges = Gauges(self._simulator, place.data_root, place.clock)
        self._accidents: list[Accident] = []

    def run(self) -> Outcome:
        """Play the script; whatever happens, no child process is left.

        Raises:
            DemoFailedError: an expected step did not happen, or a process failed.
        """
        seconds = self._script.trading_sec
        try:
            began = self._start()
            for share, accident in ((CUT_AT, self._cut), (KILL_AT, self._kill), (LOCK_AT, self._lock)):
                self._pass_until(began + seconds * share)
                self._accidents.append(accident())
                self._view.event("", self._accidents[-1].result)
            return self._finish()
        finally:
            # A second Ctrl-C must not leave a child process running.
            signal.pthread_sigmask(signal.SIG_BLOCK, ENDING_SIGNALS)
            self._gauges.close()
            self._recorder.close()
            self._simulator.close()
            signal.pthread_sigmask(signal.SIG_UNBLOCK, ENDING_SIGNALS)

    def _start(self) -> float:
        """Start both processes; returns when trading began, in monotonic seconds."""
        script = self._script
        self._simulator.start(
            *("--date", DAY, "--start", START, "--speed", f"{script.speed:g}"),
            *("--skip-lunch", "--usual-types", "--stay"),
            *("--symbols", str(script.symbols), "--seed", str(script.seed)),
            *("--ticks-per-day", str(script.ticks_per_day)),
        )
        self._place.write_settings(
            {
                "FUTU_HOST": "127.0.0.1",
                "FUTU_PORT": str(self._simulator.port),
                "FUTU_SYMBOLS": ",".join(universe(script.symbols, script.seed)),
                "DATA_ROOT": str(self._place.data_root),
                "RECONNECT_MIN_DELAY": "0.2",
            }
        )
        self._recorder.start()
        self._wait(lambda s: s.ready > 0 and not s.paused, "the recorder to subscribe", CONNECT_TIMEOUT_SEC)
        self._view.begin()
        self._view.event("start", f"simulated OpenD {self._simulator.pid}, recorder {self._recorder.pid}")
        return time.monotonic()

    def _cut(self) -> Accident:
        before = self._gauges.read()
        cut = self._simulator.command("cut", mid_frame=True, at=CUT_AFTER_BYTES)
        if cut["n"] < 1:
            raise DemoFailedError(f"no connection was cut: {cut}")
        done = f"OpenD's connection cut inside a frame, after {CUT_AFTER_BYTES} bytes of it"
        self._view.event("CUT", done)
        facts = self._come_back(before)
        result = f"back after {facts['back_sec']:.1f} s; {_meanwhile(facts)}"
        return Accident("cut", done, result, {"connections_cut": cut["n"], "after_bytes": CUT_AFTER_BYTES, **facts})

    def _kill(self) -> Accident:
        self._wait(lambda _: self._recorder.pids() is not None, "the recorder's state file", CONNECT_TIMEOUT_SEC)
        pids = self._recorder.pids()
        assert pids is not None
        before = self._gauges.read()
        self._recorder.kill(pids)
        done = f"kill -9 {pids.recorder} {pids.writer}: the recorder and its writer process"
        self._view.event("KILL", done)
        self._wait(_later(before.at + DOWN_SEC), "a moment", CONNECT_TIMEOUT_SEC, recorder_runs=False)
        self._recorder.start()
        facts = self._come_back(before)
        result = f"back after {facts['back_sec']:.1f} s; {_meanwhile(facts)}"
        return Accident("kill", done, result, {"killed": list(pids), "signal": "SIGKILL", **facts})

    def _lock(self) -> Accident:
        lock_sec = min(LOCK_SEC_MAX, max(LOCK_SEC_MIN, self._script.seconds * LOCK_SHARE))
        path = day_files(self._place.data_root)[-1]
        with _locked(path):
            before = self._gauges.read()
            done = f"{path.name} locked by another process, for {lock_sec:.0f} s"
            self._view.event("LOCK", done)
            after = self._wait(_later(before.at + lock_sec), "the lock's end", CONNECT_TIMEOUT_SEC)
        if after.stored != before.stored or after.waiting_bytes <= before.waiting_bytes:
            raise DemoFailedError(f"the locked database held nobody up: {before} before, {after} after")
        caught_up = self._wait(lambda s: s.stored >= after.sent, "all to be stored", STORE_TIMEOUT_SEC)
        waited = after.sent - after.stored
        stored_sec = caught_up.at - after.at
        result = f"{waited:,} ticks waited in the journal, stored {stored_sec:.1f} s after it was free"
        facts = {"locked_sec": round(after.at - before.at, 3), "waited": waited, "stored_sec": round(stored_sec, 3)}
        return Accident("lock", done, result, facts)

    def _finish(self) -> Outcome:
        self._wait(
            lambda s: s.market_state == MarketState.CLOSED, "the close", self._script.seconds + CLOSE_TIMEOUT_SEC
        )
        self._view.event("close", "the recorder asks for the exchange's closing totals")
        sent = self._wait(lambda s: s.proven, "the recorder to ask for the closing totals", CLOSE_TIMEOUT_SEC).sent
        deadline = time.monotonic() + STORE_TIMEOUT_SEC
        # Ticks not stored by then are missing, and the verdict reports them.
        self._wait(lambda s: s.stored >= sent or s.at > deadline, "the end", STORE_TIMEOUT_SEC * 2)
        # The last numbers stay on the screen: let the journal that came with the closing totals be stored, too.
        calm = time.monotonic() + CALM_SEC_MAX
        self._wait(lambda s: not s.waiting_bytes or s.at > calm, "the journal to be stored", STORE_TIMEOUT_SEC)
        self._gauges.close()
        self._view.event("stop", "SIGTERM to the recorder")
        self._recorder.stop()
        self._simulator.stop()
        self._view.event("", "all have stopped; comparing, auditing, sealing")
        verdict = compare(self._place.ledger, self._place.data_root)
        database = day_files(self._place.data_root)[-1]
        return Outcome(tuple(self._accidents), verdict, prove(self._place, database), database)

    def _come_back(self, before: Sample) -> dict[str, Any]:
        """Wait until the recorder is connected again and has stored what it missed; returns the facts."""
        wanted = self._script.symbols
        is_held = False

        def is_back(sample: Sample) -> bool:
            nonlocal is_held
            has_missed_much = sample.sent - before.sent > self._script.away_ticks_max
            if not is_held and (has_missed_much or sample.at - before.at > self._script.away_sec_max):
                self._simulator.command("pause")
                is_held = True
            return sample.ready > 0 and sample.connected > before.connected

        back = self._wait(is_back, "the recorder to connect", CONNECT_TIMEOUT_SEC)
        fetched = self._wait(
            lambda s: is_back(s) and s.get_ticker - before.get_ticker >= wanted,
            "the recorder to fetch what it missed",
            CONNECT_TIMEOUT_SEC,
        )
        if is_held:
            self._simulator.command("resume")
        caught_up = self._wait(lambda s: s.stored >= fetched.sent, "all to be stored", STORE_TIMEOUT_SEC)
        return {
            "back_sec": round(back.at - before.at, 3),
            "caught_up_sec": round(caught_up.at - before.at, 3),
            "meanwhile": back.sent - before.sent,
            "trading_held": is_held,
        }

    def _pass_until(self, at: float) -> None:
        self._wait(_later(at), "time to pass", self._script.seconds + CONNECT_TIMEOUT_SEC)

    def _wait(
        self, what: Callable[[Sample], bool], name: str, timeout_sec: float, *, recorder_runs: bool = True
    ) -> Sample:
        """Show samples until `what` holds for one, and return that one.

        Raises:
            DemoFailedError: none within `timeout_sec`, or a process has ended.
        """
        deadline = time.monotonic() + timeout_sec
        while True:
            self._simulator.check()
            if recorder_runs:
                self._recorder.check()
            sample = self._gauges.read()
            self._view.sample(sample)
            if what(sample):
                return sample
            if time.monotonic() > deadline:
                raise DemoFailedError(f"waited {timeout_sec:.0f} s for {name}, in vain; the last was {sample}")
            time.sleep(CHECK_EVERY_SEC)


def _later(at: float) -> Callable[[Sample], bool]:
    return lambda sample: sample.at >= at


def _meanwhile(facts: dict[str, Any]) -> str:
    held = " (trading was held: this machine is slow)" if facts["trading_held"] else ""
    return f"{facts['meanwhile']:,} ticks made meanwhile{held}, all stored"


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Hold the write lock of a database, as a careless script would."""
    con = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READWRITE)
    try:
        con.set_busy_timeout(LOCK_TIMEOUT_MS)
        con.execute("BEGIN IMMEDIATE")
        try:
            yield
        finally:
            con.execute("ROLLBACK")
    except apsw.Error as exc:
        raise DemoFailedError(f"{path} could not be locked: {exc}") from exc
    finally:
        con.close()
