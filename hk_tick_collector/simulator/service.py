"""Assembles one simulator and runs it until it is stopped.

Owns the start (market, ledger, ports, announcing them), the pump that advances time, and the end: the ledger is flushed
whatever happens.
"""

from __future__ import annotations

import asyncio
import contextlib
import datetime as dt
import logging
import os
import signal
from dataclasses import dataclass, field, replace
from math import inf
from typing import TYPE_CHECKING, Any

from hk_tick_collector.clock import boot_ms, host_ms
from hk_tick_collector.errors import ConfigError
from hk_tick_collector.hktime import HK, hk_date, hk_day
from hk_tick_collector.simulator import sessions
from hk_tick_collector.simulator.clock import MarketClock, SharedClock, Turn
from hk_tick_collector.simulator.control import Control
from hk_tick_collector.simulator.ending import SLOW_FROM_MS, SPEED_MAX, Ending
from hk_tick_collector.simulator.lasting import Lasting
from hk_tick_collector.simulator.ledger import LedgerWriter
from hk_tick_collector.simulator.market import FlatMarket, Market, MarketDay, day_plan
from hk_tick_collector.simulator.opend import OpenDOptions, SimulatedOpenD, Upstream
from hk_tick_collector.simulator.replay import ReplayMarket
from hk_tick_collector.simulator.server import Server
from hk_tick_collector.store.rehearsal import Anchor, Rehearsed, boot_id

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from hk_tick_collector.simulator.tape import Ordinals, TimeForm

_log = logging.getLogger(__name__)

_STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT)
_KEEP_ALIVE_CHECK_SEC = 1.0
_LUNCH_SEC, _LUNCH_END_SEC = sessions.NOON_SEC + 60, sessions.AFTERNOON_SEC - 60  # that is skipped
_STOP_SEC = 1.5  # connections have one second to take what was written to them


@dataclass(frozen=True, slots=True, kw_only=True)
class SimulatorSettings:
    """What to run.

    Attributes:
        symbols: the universe, busiest first.
        ledger: the ledger file to write.
        seed: the same seed makes the same market.
        date: the simulated day; None: a stream by the wall clock.
        journal: a recorder's journal to replay instead of a made market; the symbols are then the journal's.
        start: where the simulated day begins (Hong Kong time); None: 09:00.
        speed: simulated seconds per second.
        ticks_per_day: of the simulated day, over all symbols.
        rate: ticks per second of the stream by the wall clock.
        ordinals: what sequences look like; see `tape`.
        uncounted: types of ticks that are not in the exchange's totals.
        time_form: how the times of ticks are written; a journal keeps its own.
        usual_types: a simulated day has no types of ticks but automatic matches, odd lots and auctions.
        hold: make no tick until a client registers for ticker pushes, or `resume`.
        clock: where a simulated day's clock is written, for a recorder that rehearses; None: nowhere.
        skip_lunch: jump over the lunch break; only with `clock`.
        stay: go on serving after the day's end, until stopped.
        pump_ms: milliseconds between two steps, in which ticks are made and pushed.
        host: the address to listen on.
        port: 0 lets the system choose one.
        control_port: always on the loopback; 0 lets the system choose one.
        opend: how OpenD behaves.
    """

    symbols: tuple[str, ...]
    ledger: Path
    seed: int = 0
    date: dt.date | None = None
    journal: Path | None = None
    start: dt.time | None = None
    speed: float = 1.0
    ticks_per_day: int = 1_000_000
    rate: float = 100.0
    ordinals: Ordinals = "contiguous"
    uncounted: frozenset[int] = frozenset()
    time_form: TimeForm = "seconds"
    usual_types: bool = False
    hold: bool = False
    clock: Path | None = None
    skip_lunch: bool = False
    stay: bool = False
    pump_ms: int = 20
    host: str = "127.0.0.1"
    port: int = 0
    control_port: int = 0
    opend: OpenDOptions = field(default_factory=OpenDOptions)


async def serve(settings: SimulatorSettings, announce: Callable[[dict[str, Any]], None]) -> None:
    """Run until `stop`, SIGTERM, SIGINT, or the end of the day. `announce` gets the ports once both listen.

    Raises:
        ConfigError: the settings contradict each other, or a port, the ledger or the clock's file can't be opened.
    """
    market, clock = _market(settings)
    ledger = _ledger(settings, market.symbols, clock.now_ms)
    try:
        opend = SimulatedOpenD(market, clock, ledger, settings.opend)
        if isinstance(market, MarketDay) and market.start_ts_ms < market.close_ms:  # not for a mere evening
            opend.ending = Ending(market.close_ms, opend.watched)
        if settings.hold:
            opend.pause()
            opend.hold_until_subscribed = True
        is_over = await _run(settings, Server(opend, settings.host), announce)
    finally:
        ledger.close()
    if is_over:
        announce({"event": "over", "made": opend.counters.made, "time": sessions.hk_time(clock.now_ms // 1000)})


async def _run(settings: SimulatorSettings, server: Server, announce: Callable[[dict[str, Any]], None]) -> bool:
    """Serve until the end. Returns whether the day is over."""
    loop = asyncio.get_running_loop()
    stopping = asyncio.Event()
    lasting = Lasting(server)
    control = Control(server, lasting, stopping.set)
    for number in _STOP_SIGNALS:
        _on_signal(loop, number, stopping.set)
    try:
        await server.listen(settings.port)
        control_port = await control.listen(settings.control_port)
    except OSError as exc:
        server.close()
        raise ConfigError(
            f"can't listen on {settings.host} port {settings.port}, control port {settings.control_port}: "
            f"{exc.strerror}; choose others, or 0"
        ) from exc
    shared = _share(settings, server)
    announce(
        {
            "event": "listening",
            "host": settings.host,
            "port": server.port,
            "control_port": control_port,
            "pid": os.getpid(),
        }
    )
    pump = loop.create_task(_pump(server, settings.pump_ms / 1000, stay=settings.stay))
    told_to_stop = loop.create_task(stopping.wait())
    try:
        await asyncio.wait({pump, told_to_stop}, return_when=asyncio.FIRST_COMPLETED)
        if pump.done():
            pump.result()  # raises if it has ended by a bug
        return pump.done()
    finally:
        pump.cancel()
        told_to_stop.cancel()
        lasting.cancel()
        await control.close()
        await _close(server)
        if shared is not None:
            shared.end()
        for number in _STOP_SIGNALS:
            # Shutdown is running: a second signal must not turn a clean exit into a kill.
            with contextlib.suppress(NotImplementedError):
                loop.remove_signal_handler(number)
            signal.signal(number, signal.SIG_IGN)


def _on_signal(loop: asyncio.AbstractEventLoop, number: int, then: Callable[[], None]) -> None:
    """Call `then` in the loop when the signal comes."""
    try:
        loop.add_signal_handler(number, then)
    except NotImplementedError:  # Windows
        signal.signal(number, lambda *_: loop.call_soon_threadsafe(then))


async def _pump(server: Server, step_sec: float, *, stay: bool) -> None:
    """Step OpenD at even intervals, until the day is over. A missed step's ticks come with the next one."""
    loop = asyncio.get_running_loop()
    due = check_due = loop.time()
    while True:
        server.opend.step()
        now = loop.time()
        if now >= check_due:
            server.check_keep_alives()
            check_due = now + _KEEP_ALIVE_CHECK_SEC
            ending = server.opend.ending
            if ending is not None and not stay and ending.is_over(server.opend.clock.now_ms, now):
                return
        due = max(due + step_sec, now)
        await asyncio.sleep(due - now)


async def _close(server: Server) -> None:
    """Close every connection gracefully, and record the ticks that OpenD will never replay."""
    if server.opend.upstream is Upstream.LOST:
        server.opend.give_up_missed()
    server.close()
    await server.emptied(_STOP_SEC)


def _market(settings: SimulatorSettings) -> tuple[Market, MarketClock]:
    if settings.journal is not None:
        if settings.time_form != "seconds":
            raise ConfigError("--time-form is for a made market: a journal's times are played as they were")
        replayed = ReplayMarket(settings.journal, uncounted=settings.uncounted)
        return replayed, _clock(settings, replayed.start_ts_ms)
    if settings.date is None:
        clock = MarketClock(start_ts_ms=None, speed=1.0)
        flat = FlatMarket(
            settings.symbols,
            seed=settings.seed,
            rate=settings.rate,
            start_ts_ms=clock.now_ms,
            ordinals=settings.ordinals,
            uncounted=settings.uncounted,
            time_form=settings.time_form,
        )
        return flat, clock
    plan = day_plan(
        settings.date,
        settings.symbols,
        seed=settings.seed,
        ticks_per_day=settings.ticks_per_day,
        ordinals=settings.ordinals,
        uncounted=settings.uncounted,
        time_form=settings.time_form,
    )
    plan = replace(plan, usual_types=settings.usual_types)
    start_ts_ms = None
    if settings.start is not None:
        start_ts_ms = int(dt.datetime.combine(settings.date, settings.start, HK).timestamp() * 1000)
    day = MarketDay(plan, start_ts_ms=start_ts_ms)
    slow_ms = day.close_ms + SLOW_FROM_MS
    turns = [Turn(slow_ms, slow_ms, SPEED_MAX)]
    if settings.skip_lunch and not plan.half_day:
        lunch = [(sessions.midnight_sec(settings.date) + second) * 1000 for second in (_LUNCH_SEC, _LUNCH_END_SEC)]
        turns.insert(0, Turn(lunch[0], lunch[1], inf))
    return day, _clock(settings, day.start_ts_ms, turns)


def _clock(settings: SimulatorSettings, start_ts_ms: int, turns: Sequence[Turn] = ()) -> MarketClock:
    if settings.clock is None:
        return MarketClock(start_ts_ms=start_ts_ms, speed=settings.speed)
    return SharedClock(start_ts_ms=start_ts_ms, speed=settings.speed, turns=turns)


class _Shared:
    """A simulated day's clock file."""

    def __init__(self, settings: SimulatorSettings, server: Server, clock: SharedClock, path: Path) -> None:
        self._path = path
        self._clock = clock
        self._day = Rehearsed(
            date=hk_day(clock.now_ms),
            host=settings.host,
            port=server.port,
            symbols=server.opend.market.symbols,
            speed=settings.speed,
            boot_id=boot_id(),
            offset_ms=0,
            is_over=False,
            anchors=(),
        )

    def write(self, anchors: Sequence[Anchor], *, is_over: bool = False) -> None:
        """Replace the file.

        Raises:
            OSError: it can't be written.
        """
        offset_ms = self._clock.now_ms - host_ms()
        self._day._replace(anchors=tuple(anchors), offset_ms=offset_ms, is_over=is_over).write(self._path)

    def publish(self, anchors: Sequence[Anchor]) -> None:
        """Replace the file; a full disk must not end the simulator."""
        try:
            self.write(anchors)
        except OSError as exc:
            _log.error("can't write the clock %s: %s; those who follow it go on as before", self._path, exc.strerror)

    def end(self) -> None:
        """From now on, it is a clock like any other."""
        try:
            self.write([Anchor(boot_ms(), self._clock.now_ms, 1.0)], is_over=True)
        except OSError as exc:
            _log.error("can't write the clock %s: %s", self._path, exc.strerror)


def _share(settings: SimulatorSettings, server: Server) -> _Shared | None:
    """Let the clock of a simulated day run, and publish it.

    Raises:
        ConfigError: its file can't be written.
    """
    clock = server.opend.clock
    if settings.clock is None or not isinstance(clock, SharedClock):
        return None
    shared = _Shared(settings, server, clock, settings.clock)
    try:
        shared.write(clock.anchors)
    except OSError as exc:
        server.close()
        raise ConfigError(f"can't write the clock {settings.clock}: {exc.strerror}") from exc
    clock.publish = shared.publish
    if not clock.paused:
        clock.run(settings.speed)
    return shared


def _ledger(settings: SimulatorSettings, symbols: tuple[str, ...], now_ms: int) -> LedgerWriter:
    path = settings.ledger
    try:
        if (settings.date or settings.journal) and path.exists() and path.stat().st_size:
            # Running the same day again would make the same (symbol, sequence) pairs again.
            raise ConfigError(f"ledger {path} has a run already: delete it, or name another one with --ledger")
        ledger = LedgerWriter(path)
    except OSError as exc:
        raise ConfigError(f"can't write the ledger {path}: {exc.strerror}") from exc
    date = settings.date or hk_date(now_ms)
    ledger.note("day", date=date.isoformat(), symbols=len(symbols), seed=settings.seed)
    ledger.flush()
    return ledger
