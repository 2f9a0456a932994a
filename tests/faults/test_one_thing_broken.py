"""One thing breaks at a time under one recorder: today is stored as ever, health names it, and it ends in a minute."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING, NamedTuple

import apsw
import pytest
from support.bodies import refusal
from support.odd_days import directory, foreign, newer, noise, not_mounted
from support.odd_gateway import OddGateway
from support.ports import free_port
from support.probe import health
from support.recorder_process import until
from support.ticks import seq_at
from support.trading_time import clock_of

from hk_tick_collector.hktime import hk_text, parse_time
from hk_tick_collector.opend import opend_pb2 as pb
from hk_tick_collector.opend.codes import symbol_of
from hk_tick_collector.opend.numbers import ProtoId
from hk_tick_collector.simulator.universe import universe

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from support.bench import Bench
    from support.recorder_process import RecorderProcess
    from support.simulator_process import SimulatorProcess

pytestmark = [pytest.mark.faults, pytest.mark.timeout(900)]

SYMBOLS = universe(5, 0)
TODAY, YESTERDAY = "20261120", "20261119"  # by the clock of all processes here: no test runs over midnight
TOLD_SEC, MENDED_SEC = 30, 60  # within these health names a fault, and is ok again
STORED_SEC = 10  # generous: a commit comes each 0.1 s, and this machine may have other things to do


class Place:
    """A simulator, a gateway that gives a new tick of yesterday with each list of ticks, and a recorder."""

    def __init__(self, bench: Bench, sim: SimulatorProcess, gateway: OddGateway) -> None:
        self.sim, self.gateway = sim, gateway
        self.port = free_port()
        self.gives_old = True
        self.old: set[tuple[str, int]] = set()  # what was given of yesterday
        gateway.changes[ProtoId.QOT_GET_TICKER] = self._add_old
        self.recorder: RecorderProcess = bench.record(
            gateway.port, *SYMBOLS, METRICS_PORT=self.port, FUTU_TOTALS_INTERVAL_SEC=1, **clock_of()
        )
        self.yesterday = self.recorder.data_root / f"{YESTERDAY}.db"
        self.aside = self.recorder.data_root / "aside"
        self._lock: apsw.Connection | None = None

    def _add_old(self, body: bytes) -> bytes:
        reply = pb.Qot_GetTicker.Response.FromString(body)
        if self.gives_old and reply.retType == 0:
            ts_ms = parse_time(f"{YESTERDAY}100000").ms + len(self.old) * 10
            seq = seq_at(len(self.old) + 1, ts_ms)
            reply.s2c.tickerList.add(
                time=hk_text(ts_ms)[:19], sequence=seq, dir=1, price=10.0, volume=100, turnover=1000.0, type=1,
                timestamp=ts_ms / 1000,
            )  # fmt: skip
            self.old.add((symbol_of(reply.s2c.security.market, reply.s2c.security.code), seq))
        return reply.SerializeToString()

    def take_yesterday(self) -> None:
        """Another program takes the file away, as an archiver does, with what belongs to it."""
        self.aside.mkdir()
        for path in self.recorder.data_root.glob(f"{YESTERDAY}.db*"):
            path.rename(self.aside / path.name)

    def give_yesterday(self) -> None:
        """And puts it back, in place of whatever is there."""
        for path in self.recorder.data_root.glob(f"{YESTERDAY}.db*"):
            if path.is_dir():
                path.rmdir()
            else:
                path.unlink()
        for path in self.aside.iterdir():
            path.rename(self.recorder.data_root / path.name)
        self.aside.rmdir()

    def lock_yesterday(self) -> None:
        """Another program holds it."""
        self._lock = apsw.Connection(str(self.yesterday))
        self._lock.set_busy_timeout(10_000)
        self._lock.execute("BEGIN IMMEDIATE")

    def unlock_yesterday(self) -> None:
        """It lets go."""
        assert self._lock is not None
        self._lock.close()

    def is_ok(self) -> bool:
        """Whether health is."""
        return health(self.port).verdict == "ok"

    def reasons(self) -> str:
        """What health says."""
        return " / ".join(health(self.port).reasons)

    def rows(self, path: Path) -> set[tuple[str, int]]:
        """The ticks in a day's database."""
        con = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READONLY)
        try:
            con.set_busy_timeout(5000)
            return {(symbol, seq) for symbol, seq in con.execute("SELECT symbol, seq FROM ticks")}
        finally:
            con.close()

    def store_some(self) -> float:
        """Trade, and see it stored; seconds that took."""
        self.sim.command("burst", ticks=50)
        self.sim.command("pause")
        made = self.sim.ledger().ticks.keys()
        began = time.monotonic()
        today = self.recorder.data_root / f"{TODAY}.db"
        until(lambda: made <= self.rows(today), lambda: f"{len(made - self.rows(today))} of {len(made)} are not stored")
        took = time.monotonic() - began
        self.sim.command("resume")
        return took

    def goes_through(self, name: str, fault: Fault, *, is_cut: bool) -> tuple[float, ...]:
        """Break it, see that it is named and that today is stored, and mend it; how long each of that took."""
        began = time.monotonic()
        fault.breaks(self)
        if is_cut:  # only when a session begins that is asked for
            self.gateway.cut()
        until(lambda: fault.told in self.reasons(), lambda: f"{name} is not named: {self.reasons()}", TOLD_SEC)
        told = time.monotonic()
        stored_sec = 0.0 if fault.is_cut_off else self.store_some()
        assert stored_sec < STORED_SEC, name
        fault.mends(self)
        mended = time.monotonic()
        until(self.is_ok, lambda: f"{name} does not end: {self.reasons()}", MENDED_SEC)
        return round(told - began, 1), round(stored_sec, 1), round(time.monotonic() - mended, 1)


class Fault(NamedTuple):
    """Something that breaks.

    Attributes:
        told: what health says of it.
        breaks: how it comes.
        mends: how it goes.
        is_cut_off: whether no tick can come meanwhile.
    """

    told: str
    breaks: Callable[[Place], object]
    mends: Callable[[Place], object]
    is_cut_off: bool = False


def replaced_by(what: Callable[[Path], object]) -> Fault:
    """Yesterday's file is taken away, and something else has its name."""

    def breaks(place: Place) -> None:
        place.take_yesterday()
        what(place.yesterday)

    return Fault(YESTERDAY, breaks, Place.give_yesterday)


def hanging(path: Path) -> None:
    """A link to a disk that does not answer: whoever opens a file there hangs."""
    pipe = path.parent.parent / "pipe"
    os.mkfifo(pipe)
    path.symlink_to(pipe)


def refused(kind: ProtoId, told: str) -> Fault:
    """OpenD refuses one kind of call."""
    return Fault(
        told,
        lambda place: place.gateway.answers.update({kind: lambda _frame: refusal("too often")}),
        lambda place: place.gateway.answers.pop(kind),
    )


FILES = {
    "yesterday's file is taken away": Fault(YESTERDAY, Place.take_yesterday, Place.give_yesterday),
    "yesterday's file is locked": Fault(YESTERDAY, Place.lock_yesterday, Place.unlock_yesterday),
    "noise in its place": replaced_by(noise),
    "a directory in its place": replaced_by(directory),
    "another program's database in its place": replaced_by(foreign),
    "a newer version's database in its place": replaced_by(newer),
    "its disk is not mounted": replaced_by(not_mounted),
    "its disk hangs": replaced_by(hanging),
}
OPEND = {
    "ticks are refused": refused(ProtoId.QOT_GET_TICKER, "in a row not answered"),
    "totals are refused": refused(ProtoId.QOT_GET_SECURITY_SNAPSHOT, "totals not available"),
    "its port is closed": Fault(
        "OpenD not connected",
        lambda place: place.sim.command("refuse", sec=8),
        lambda _place: None,
        is_cut_off=True,
    ),
    "it hangs": Fault(
        "OpenD",
        lambda place: place.sim.command("freeze", sec=40),
        lambda _place: None,
        is_cut_off=True,
    ),
}
ANSWERS = {  # that are asked for when a session begins
    "its state is refused": refused(ProtoId.GET_GLOBAL_STATE, "OpenD does not say whether the market is open"),
    "the quota is refused": refused(ProtoId.QOT_GET_SUB_INFO, "OpenD does not say how much quota is left"),
    "trade dates are refused": refused(ProtoId.QOT_REQUEST_TRADE_DATE, "OpenD does not say which days are trade dates"),
    "a subscription is refused": Fault(
        "OpenD",
        lambda place: place.gateway.answers.update({ProtoId.QOT_SUB: lambda _frame: refusal("busy")}),
        lambda place: place.gateway.answers.pop(ProtoId.QOT_SUB),
        is_cut_off=True,
    ),
}


@pytest.fixture
def place(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> Iterator[Place]:
    """All is well."""
    for name, value in clock_of().items():
        monkeypatch.setenv(name, value)
    sim = bench.simulate(rate=60)
    with OddGateway(sim.port) as gateway:
        yield Place(bench, sim, gateway)


@pytest.mark.parametrize("faults", [FILES, OPEND, ANSWERS], ids=["files", "opend", "answers"])
def test_whatever_breaks_alone_is_named_and_over_when_it_is_mended(place: Place, faults: dict[str, Fault]) -> None:
    """And nothing else waits for it; in the end all ticks are stored, yesterday's too."""
    until(place.is_ok, place.reasons, MENDED_SEC)
    until(place.yesterday.exists, "there is a yesterday")
    place.gives_old = faults is FILES  # else a list would not be the newest ticks without a hole, as OpenD's are
    seen = {name: place.goes_through(name, fault, is_cut=faults is ANSWERS) for name, fault in faults.items()}
    print(*seen.items(), sep="\n")  # noqa: T201 - with -s: how long each took
    place.store_some()
    until(lambda: place.old <= place.rows(place.yesterday), "yesterday has what was given of it", MENDED_SEC)
    assert place.recorder.stop() == 0
    assert not place.recorder.log_lines("fatal")
    assert place.rows(place.yesterday) == place.old
