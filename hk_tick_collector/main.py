"""The recorder process: wires everything together, and decides how it ends.

Owns signals, the lock on DATA_ROOT, the order of starting and stopping, and the exit code: 0 a clean stop, 1 a fatal
fault or a watchdog that gave up, 2 a wrong setting. Nothing in here blocks the event loop.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import threading
import time
from typing import TYPE_CHECKING, Any, Final

from google.protobuf.internal import api_implementation

from hk_tick_collector import __version__, logs
from hk_tick_collector.clock import wall_ms
from hk_tick_collector.collector import Collector
from hk_tick_collector.errors import ConfigError
from hk_tick_collector.futu_client import FutuClient
from hk_tick_collector.hktime import hk_day
from hk_tick_collector.journal.append import Journal
from hk_tick_collector.journal.segments import DIRECTORY
from hk_tick_collector.seal.nightly import Sealer
from hk_tick_collector.seal.pruning import Pruner
from hk_tick_collector.status.backlog import measure_backlog
from hk_tick_collector.status.description import Parts
from hk_tick_collector.status.reporter import Reporter
from hk_tick_collector.store import rehearsal
from hk_tick_collector.store.data_root import RECORDER_LOCK, disown_report, hold_lock
from hk_tick_collector.store.older_today import make_room
from hk_tick_collector.store.portable import event_loop_factory
from hk_tick_collector.store.schema import require_sqlite
from hk_tick_collector.store.stored import StoredTicks, check_today, seed_last_seq, tell_unusable_days
from hk_tick_collector.watch import stacks
from hk_tick_collector.watch.liveness import Liveness
from hk_tick_collector.watch.systemd import Notifier, SystemdReporter
from hk_tick_collector.watch.watchdog import Observation, Watchdog
from hk_tick_collector.wiring import client_settings, encryption_of, watchdog_settings, writer_settings

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from hk_tick_collector.config import Settings
    from hk_tick_collector.session.state import ClientSettings
    from hk_tick_collector.status.metrics import MetricsServer

log = logs.get_logger()

LOCK_WAIT_SEC = 1.0  # `status` holds the lock for a moment, to see whether it is free
CLOCK_LOOK_SEC = 1.0
SEED_SEC = 3.0  # it takes some ms per day
MEGABYTE = 1024 * 1024
DUMP_SEC = 1.0  # for the writer to write its stacks before it is killed
FINAL_SAVE_SEC = 5.0  # for optional work, once everything is stored
ABANDONED_WRITER_SEC = 3.0  # for a writer that the watchdog has given up on

PERSISTENT_STALL: Final = "persistent_stall"


def run(settings: Settings, rehearse: Path | None = None) -> int:
    """Record until stopped. Returns the exit code.

    Args:
        settings: the recorder's.
        rehearse: the clock of a simulated day, to follow it; None: the host's clock.

    Raises:
        ConfigError: a setting, or what it points to, is wrong; nothing was started.
    """
    require_sqlite()
    _tell_slow_protobuf()
    spec = settings.require_symbols()
    rsa_key, encryption = encryption_of(settings)
    data_root = settings.prepare_data_root()
    lock = hold_lock(data_root, RECORDER_LOCK, LOCK_WAIT_SEC)
    try:
        disown_report(data_root)
        if rehearse is None:
            rehearsal.refuse(data_root)
        else:
            day = rehearsal.begin(data_root, rehearse)
            log.info("rehearsing", date=day.date, speed=day.speed, clock=rehearse)
        today = hk_day(wall_ms())
        make_room(data_root, today)
        check_today(data_root, today)
        recorder = Recorder(settings, data_root, client_settings(settings, spec, rsa_key, encryption))
        stacks.enable(lambda: stacks.ask_for_stacks(recorder.writer_pid))
        with asyncio.Runner(loop_factory=event_loop_factory()) as runner:
            code = runner.run(recorder.run())
            # Python waits without limit for threads that wait for a disk. By now all that can be stored is stored.
            end = threading.Timer(FINAL_SAVE_SEC, _end_now, [code])
            end.daemon = True
            end.start()
        end.cancel()
        return code
    finally:
        os.close(lock)


def _tell_slow_protobuf() -> None:
    implementation = api_implementation.Type()
    if implementation == "python":
        log.warning("protobuf_slow", implementation=implementation, expected="upb, which is 25 times as fast")


def _end_now(code: int) -> None:
    log.error(
        "shutdown_threads_stuck", waited_sec=FINAL_SAVE_SEC, expected="all threads to finish; a disk may be stuck"
    )
    logs.flush()
    os._exit(code)


def _metrics_server(
    settings: Settings, data_root: Path, describe: Callable[[], Mapping[str, Any]]
) -> MetricsServer | None:
    """The server of the metrics; None: no port is set, and its modules are not even imported."""
    if not settings.metrics_port:
        return None
    from hk_tick_collector.status.metrics import MetricsServer  # noqa: PLC0415

    return MetricsServer(settings.metrics_host, settings.metrics_port, describe, data_root)


class Recorder:
    """The parts of a running recorder."""

    def __init__(self, settings: Settings, data_root: Path, client: ClientSettings) -> None:
        self._settings = settings
        self._data_root = data_root
        self._client_settings = client
        self._stop = asyncio.Event()
        self._stop_reason = ""
        self._journal = Journal(
            data_root / DIRECTORY,
            segment_bytes=settings.journal_segment_mb * MEGABYTE,
            buffer_bytes=settings.journal_buffer_mb * MEGABYTE,
            sync_ms=settings.journal_sync_ms,
        )
        self._metrics = _metrics_server(settings, data_root, lambda: self._reporter.description)
        self._collector = Collector(
            writer_settings(settings, data_root),
            join_timeout_sec=settings.watchdog_recovery_join_timeout_sec,
            on_commit=self._metrics.on_commit if self._metrics else None,
        )
        self._client = FutuClient(client, self._journal, StoredTicks(data_root, settings.seed_recent_db_days))
        self._watchdog = Watchdog(
            watchdog_settings(settings),
            _Recording(self._journal, data_root, self._collector, self._client),
            time.monotonic,
        )
        self._reporter = Reporter(
            settings, data_root, Parts(self._journal, self._collector, self._client, self._watchdog)
        )
        self._notifier = Notifier.from_environ()

    @property
    def writer_pid(self) -> int | None:
        """The writer's pid, while there is a writer."""
        return self._collector.living_pid

    async def run(self) -> int:
        """Start everything, wait for the end, stop everything. Returns the exit code."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._on_signal, number)
        loop.add_signal_handler(signal.SIGHUP, lambda: log.info("signal_ignored", signal="SIGHUP"))
        settings = self._settings
        if self._metrics is not None:
            self._metrics.start()
        cut_bytes = await asyncio.to_thread(self._journal.start)
        log.info(
            "recorder_started",
            version=__version__,
            instance=settings.instance_id,
            data_root=self._data_root,
            symbols=len(self._client_settings.symbols),
            plates=len(self._client_settings.plates),
            torn_tail_bytes=cut_bytes,
        )
        if not settings.backfill_n:
            log.warning("backfill_off", expected="BACKFILL_N=1000; otherwise every outage leaves a gap")
        await self._tell_seeds()
        telling = asyncio.create_task(asyncio.to_thread(tell_unusable_days, self._data_root), name="unusable days")
        tasks = [
            asyncio.create_task(part, name=name)
            for name, part in (
                ("client", self._client.run()),
                ("collector", self._collector.run()),
                ("watchdog", self._watchdog.run()),
                ("reporter", self._reporter.run()),
                ("herald", self._herald().run()),
                ("clock", self._watch_clock()),
                ("pruner", Pruner(settings, self._data_root, self._client.state).run()),
                ("sealer", Sealer(settings, self._data_root, self._client.state).run()),
                ("stop", self._stop.wait()),
            )
        ]
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        code = self._exit_code(done)
        if not await self._shut_down([*tasks, telling]):
            code = max(code, 1)  # some of what was received is not stored
        return code

    async def _tell_seeds(self) -> None:
        """Log the last stored sequences. An old day's disk that hangs must not keep today from being recorded."""
        try:
            async with asyncio.timeout(SEED_SEC):
                seeds = await asyncio.to_thread(seed_last_seq, self._data_root, self._settings.seed_recent_db_days)
        except TimeoutError:
            log.warning(
                "seed_unreadable", path=self._data_root, error=f"no answer in {SEED_SEC:g} s: does a disk hang?"
            )
            return
        newest = max(seeds.values(), key=lambda seed: seed.last_seq or 0, default=None)
        log.info(
            "seed_last_seq",
            symbols=len(seeds),
            newest_day=newest.day if newest else None,
            max_seq=newest.last_seq if newest else None,
        )

    def _herald(self) -> SystemdReporter:
        """The reporter to systemd, made once the journal's thread runs: from now on every part must be alive."""
        settings = self._settings
        life = Liveness(
            self._journal,
            self._watchdog,
            stall_sec=settings.watchdog_stall_sec,
            look_every_sec=settings.check_interval_sec + DUMP_SEC + settings.watchdog_recovery_join_timeout_sec,
            clock=time.monotonic,
        )
        return SystemdReporter(
            self._notifier,
            fault=life.fault,
            is_recording=lambda: self._reporter.is_recording,
            status=self._reporter.status,
            clock=time.monotonic,
        )

    def _on_signal(self, number: int) -> None:
        self._stop_reason = signal.Signals(number).name
        self._stop.set()

    def _exit_code(self, done: set[asyncio.Task[Any]]) -> int:
        """0: a signal has stopped the recorder; 2: nothing to record; 1: a stall that can't be healed, or a bug."""
        code = 0
        for task in done:
            error = task.exception()
            if isinstance(error, ConfigError):
                log.error("config_error", error=error)
                code = 2
            elif error is not None:
                log.error("fatal", part=task.get_name(), error=f"{type(error).__name__}: {error}", exc_info=error)
                code = max(code, 1)
            elif task.get_name() == "watchdog":
                self._stop_reason = PERSISTENT_STALL
                code = max(code, 1)
        return code

    async def _shut_down(self, tasks: list[asyncio.Task[Any]]) -> bool:
        """Stop receiving, then store all that was received, within STOP_FLUSH_TIMEOUT_SEC. Whether it is stored."""
        started = time.monotonic()
        deadline = started + self._settings.stop_flush_timeout_sec
        reason = self._stop_reason or "fault"
        self._notifier.stopping()
        self._notifier.status(f"stopping: {reason}")
        log.info("recorder_stopping", reason=reason, timeout_sec=deadline - started)
        try:
            await self._client.close("recorder stopping")
        finally:  # even if that fails, what was received must be stored
            for task in tasks:
                if task.get_name() != "collector":
                    task.cancel()
            stored = await self._store_rest(deadline)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        fault = None
        with contextlib.suppress(TimeoutError):  # a disk that hangs must not keep the process from ending
            async with asyncio.timeout(FINAL_SAVE_SEC):
                fault = await self._reporter.look_at_disk()
                stored = stored and fault is None
                stopped_ms = self._client.state.clock.now_ms()
                await self._reporter.save(running=False, stopped_ms=stopped_ms, stop_reason=reason, stored=stored)
                if self._metrics is not None:
                    await asyncio.to_thread(self._metrics.close)
        if fault is not None:
            log.error("data_root_lost", path=self._data_root, seen=fault, expected="the directory of the start")
        logs.tell_held(is_end=True)
        log.info(
            "recorder_stopped",
            reason=reason,
            stored=stored,
            rows=self._collector.state.totals.inserted,
            sec=round(time.monotonic() - started, 3),
        )
        return stored

    async def _store_rest(self, deadline: float) -> bool:
        """Write out the journal's buffer, then have the writer store what the journal holds. Whether both succeeded."""
        told = {"event": "recorder_stopped", "reason": self._stop_reason or "fault"}
        self._journal.append_event(0, self._client.state.clock.now_ms(), told)
        is_written = await asyncio.to_thread(self._journal.close, deadline - time.monotonic())
        if not is_written:
            log.error("stop_journal_timeout", lost_bytes=self._journal.buffered_bytes, fault=self._journal.fault)
        writer_sec = ABANDONED_WRITER_SEC if self._stop_reason == PERSISTENT_STALL else deadline - time.monotonic()
        stored = await self._collector.stop(max(0.5, writer_sec))
        if not stored:
            log.error(
                "stop_flush_timeout",
                waited_sec=round(writer_sec, 1),
                expected="the journal keeps what is not stored; the next start stores it",
            )
        return stored and is_written

    async def _watch_clock(self) -> None:
        """Read the clock again and again, so that a step is noticed even while no ticks come."""
        while True:
            self._client.state.clock.now_ms()
            await asyncio.sleep(CLOCK_LOOK_SEC)


class _Recording:
    """The recorder and its writer, as the watchdog observes and handles them."""

    def __init__(self, journal: Journal, data_root: Path, collector: Collector, client: FutuClient) -> None:
        self._journal = journal
        self._root = data_root / DIRECTORY
        self._collector = collector
        self._client = client
        self._rows = 0
        self._written = -1

    async def observe(self) -> Observation:
        """Return their current state; if the disk can't be read, the backlog is the last known one."""
        with contextlib.suppress(OSError):
            self._rows = (await asyncio.to_thread(measure_backlog, self._root)).rows
        state = self._collector.state
        return Observation(
            at=time.monotonic(),
            backlog_rows=self._rows,
            upstream_at=self._client.last_tick_at,
            committed_at=state.last_commit_monotonic,
            dead_since=state.dead_since,
            is_journal_failing=self._is_journal_failing(),
            writer_pid=state.writer_pid,
            writer_state=stacks.state_of(self._collector.living_pid),
            last_exception=state.last_exception,
        )

    def _is_journal_failing(self) -> bool:
        """Whether it has failed, or hangs: it has bytes to write, and has written none since the last observation."""
        written, self._written = self._written, self._journal.bytes_written
        is_hanging = self._journal.buffered_bytes > 0 and self._journal.bytes_written == written
        return self._journal.fault is not None or is_hanging

    async def dump_stacks(self) -> None:
        """Dump this process's first, then the writer's, which gets a moment for it, even if it is stopped (SIGSTOP)."""
        stacks.dump_own_stacks()
        stacks.ask_for_stacks(self._collector.living_pid)
        stacks.wake(self._collector.living_pid)
        await asyncio.sleep(DUMP_SEC)

    async def request_writer_recovery(self, reason: str) -> bool:
        """Kill the writer and start the next one."""
        return await self._collector.request_writer_recovery(reason)
