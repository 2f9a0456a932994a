"""`hk-tick-collector audit` as it is typed, on what real processes have recorded of a simulated day.

Simulator and recorder share a clock that goes as clocks do and jumps over the hours: no time is believed on which no
two clocks agree, so a market that goes faster than the host's clock proves nothing.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import Counter
from typing import TYPE_CHECKING, Any, Final

import pytest
from support.calm import calm, show_types
from support.recorder_process import RecorderProcess, until
from support.simulator_process import SimulatorProcess
from support.trading_time import JumpingClock

from hk_tick_collector.hktime import parse_time

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

DAY: Final = "20261120"
SYMBOLS: Final = ("HK.00700", "HK.09988", "HK.00005")
MARKET: Final = ("--now", "--hold", "--rate", "40", "--no-rate-limits")
TOTALS: Final = {"FUTU_TOTALS_INTERVAL_SEC": "0.3"}
# A clock that jumps while OpenD is asked for its own is known again when that is asked the next time, after a minute.
LAST_WORD_SEC: Final = 90
LAST_WORD_MS: Final = parse_time(f"{DAY}161200").ms  # two minutes after the latest closing auction


class Place:
    """A simulator, a recorder, and somebody who types."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.clock = JumpingClock(directory)
        options = (*MARKET, "--symbols", ",".join(SYMBOLS))
        self.sim = SimulatorProcess(directory, *options, env=self.clock.env).start()
        self.recorder = RecorderProcess(
            directory, self.sim.port, SYMBOLS, name="data", **self.clock.env, **TOTALS
        ).start()

    def trade(self) -> None:
        """The morning: ticks of all types flow, and calm moments show that all of them are counted."""
        self.recorder.wait_for("backfill_done")
        self.sim.command("burst", ticks=300)
        for symbol in SYMBOLS:
            show_types(self.clock, self.sim, SYMBOLS)
            calm(self.clock, self.sim, self.recorder, symbol, len(SYMBOLS))
        self.sim.command("resume")

    def audit(self, *options: str) -> tuple[int, str]:
        """Exit code and standard output; nothing was said on the other one."""
        env = {name: os.environ[name] for name in ("PATH", "PYTHONPATH") if name in os.environ}  # no settings
        done = subprocess.run(
            [sys.executable, "-m", "hk_tick_collector.cli.app", "audit", *options],
            cwd=self.directory, env=env, capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip
        assert done.stderr == ""
        return done.returncode, done.stdout

    def told(self) -> dict[str, Any]:
        """The audit as JSON, whose exit code must fit."""
        code, out = self.audit("--day", DAY, "--json")
        told: dict[str, Any] = json.loads(out)
        assert code == told["exit_code"] == (0 if told["verdict"] == "COMPLETE" else 1)
        return told

    def finish(self) -> dict[str, Any]:
        """Let the closing auction print once of each symbol, and the evening come; the audit that is final."""
        self.sim.command("pause")
        self.clock.jump_to("2026-11-20 16:08:20")
        for symbol in SYMBOLS:
            self.sim.command("tick", symbol=symbol, type="AUCTION", volume=100_000)
        self.clock.jump_to("2026-11-20 16:13:00")

        select = f"SELECT count(DISTINCT symbol) FROM exchange_totals WHERE confirmed_ms >= {LAST_WORD_MS}"  # noqa: S608
        until(
            lambda: self.recorder.query(select) == [(len(SYMBOLS),)],
            lambda: f"the last word is told twice: {self.told()}",
            LAST_WORD_SEC,
        )
        assert self.recorder.stop() == 0
        return self.told()


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    """Ends with the test."""
    made = Place(tmp_path)
    try:
        yield made
    finally:
        made.recorder.end()
        made.sim.stop()


def test_a_day_is_proven_complete_only_when_it_is_over(place: Place) -> None:
    """While it goes on nothing is proven, and the exit code is 1; at its end all is, and it is 0."""
    place.trade()
    assert place.told()["verdict"] == "UNPROVABLE"
    told = place.finish()
    place.recorder.wait_until_stored(place.sim)
    assert (told["day"], told["verdict"], told["symbols_of_day"]) == (DAY, "COMPLETE", len(SYMBOLS))
    made = Counter(symbol for symbol, _ in place.sim.ledger().ticks)
    assert {symbol["symbol"]: symbol["rows"] for symbol in told["symbols"]} == made
    for symbol in told["symbols"]:
        assert symbol["volume"] == symbol["exchange_volume"]
        assert symbol["sessions"]["closing auction"] == 1
        assert symbol["reasons"] == symbol["gaps"] == []
    code, out = place.audit("--html", "day.html")
    assert code == 0
    assert out.splitlines()[-2].startswith(f"{DAY}: COMPLETE. 3 COMPLETE; {made.total():,} rows; nothing missing")
    page = (place.directory / "day.html").read_text()
    assert page.count("<article>") == len(SYMBOLS)
    assert page.count('<path class="r"') == len(SYMBOLS) + 1  # and the legend's


def test_what_is_lost_is_told(place: Place) -> None:
    """What was traded while OpenD was away is missing by the exchange's count: so many shares, where, and why."""
    place.trade()
    assert place.sim.command("restart", sec=1)["n"] == 1
    place.recorder.wait_for("backfill_done", 2)
    told = place.finish()
    lost = {key: tick for key, tick in place.sim.ledger().ticks.items() if key not in place.recorder.stored()}
    assert lost
    shares = Counter[str]()
    for (symbol, _), tick in lost.items():
        shares[symbol] += tick.volume
    assert told["verdict"] == "INCOMPLETE"
    assert {s["symbol"]: s["missing_volume"] for s in told["symbols"] if s["verdict"] == "INCOMPLETE"} == shares
    for symbol in told["symbols"]:
        assert {gap["cause"] for gap in symbol["gaps"]} == ({"opend_down"} if symbol["symbol"] in shares else set())
    assert "opend_down" in {outage["cause"] for outage in told["outages"]}
    code, out = place.audit("--html", "day.html")
    assert code == 1
    assert out.splitlines()[-2].startswith(f"{DAY}: INCOMPLETE. ")
    gaps = sum(len(symbol["gaps"]) for symbol in told["symbols"])
    assert (place.directory / "day.html").read_text().count("<title>open: ") == gaps > 0
