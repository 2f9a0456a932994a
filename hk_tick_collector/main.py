"""The recorder process: wires everything together, and knows how it all ends.

Owns signals, the lock on DATA_ROOT, the order of starting and stopping, and the exit code: 0 a clean stop, 1 a fatal
fault, 2 a setting that is wrong. Nothing in here blocks the event loop.
"""

from __future__ import annotations

import asyncio
import faulthandler
import json
import os
import signal
import time
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import uvloop

from hk_tick_collector import __version__, logs
from hk_tick_collector.collector import Collector
from hk_tick_collector.data_root import RECORDER_LOCK, STATE_NAME, hold_lock
from hk_tick_collector.db_read import StoredTicks, check_data_root, seed_last_seq
from hk_tick_collector.errors import ConfigError, JournalError, LocalProtocolError
from hk_tick_collector.futu_client import FutuClient
from hk_tick_collector.futu_state import ClientSettings
from hk_tick_collector.hktime import hk_date
from hk_tick_collector.journal import DIRECTORY, JournalReader, load_cursor, prune
from hk_tick_collector.journal_append import Journal, wall_ms
from hk_tick_collector.opend.crypto import PacketEncAlgo, RsaKey
from hk_tick_collector.schema import require_sqlite
from hk_tick_collector.writer import WriterSettings

if TYPE_CHECKING:
    from pathlib import Path

    from hk_tick_collector.config import Settings
    from hk_tick_collector.db_read import Seed

log = logs.get_logger()

LOCK_WAIT_SEC = 1.0  # `status` holds the lock for a moment, to see whether it is free
STATE_EVERY_SEC = 2.0
PERSIST_LINE_EVERY_SEC = 10.0
HEALTH_LINE_EVERY_SEC = 60.0
PRUNE_EVERY_SEC = 3600.0
MEGABYTE = 1024 * 1024


def run(settings: Settings) -> int:
    """Record until told to stop. Returns the exit code.

    Raises:
        ConfigError: a setting, or what it points to, is wrong; nothing was started.
    """
    require_sqlite()
    spec = settings.require_symbols()
    rsa_key, encryption = _encryption(settings)
    data_root = settings.prepare_data_root()
    lock = hold_lock(data_root, RECORDER_LOCK, LOCK_WAIT_SEC)
    try:
        check_data_root(data_root)
        client_settings = ClientSettings(
            host=settings.futu_host,
            port=settings.futu_port,
            symbols=spec.symbols,
            plates=spec.plates,
            rsa_key=rsa_key,
            encryption=encryption,
            connect_timeout_sec=settings.futu_connect_timeout_sec,
            request_timeout_sec=settings.futu_request_timeout_sec,
            dead_link_sec=settings.futu_dead_link_sec,
            reconnect_min_delay_sec=settings.reconnect_min_delay,
            reconnect_max_delay_sec=settings.reconnect_max_delay,
            backfill_n=settings.backfill_n,
            poll_enabled=settings.futu_poll_enabled,
            poll_interval_sec=settings.futu_poll_interval_sec,
            poll_num=settings.futu_poll_num,
            poll_stale_sec=settings.futu_poll_stale_sec,
        )
        faulthandler.enable(all_threads=True)
        faulthandler.register(signal.SIGUSR1, all_threads=True)
        recorder = Recorder(settings, data_root, client_settings)
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            return runner.run(recorder.run())
    finally:
        os.close(lock)


def _encryption(settings: Settings) -> tuple[RsaKey | None, PacketEncAlgo]:
    path = settings.require_rsa_key_file()
    if path is None:
        return None, PacketEncAlgo.NONE
    try:
        return RsaKey(path.read_bytes()), PacketEncAlgo[settings.futu_encryption.upper()]
    except (OSError, LocalProtocolError) as exc:
        raise ConfigError(f"FUTU_RSA_KEY_FILE {path}: {exc}") from exc


class Recorder:
    """The parts of a running recorder."""

    def __init__(self, settings: Settings, data_root: Path, client: ClientSettings) -> None:
        self._settings = settings
        self._data_root = data_root
        self._client_settings = client
        self._started_ms = wall_ms()
        self._stop = asyncio.Event()
        self._stop_reason = ""
        self._journal = Journal(
            data_root / DIRECTORY,
            segment_bytes=settings.journal_segment_mb * MEGABYTE,
            buffer_bytes=settings.journal_buffer_mb * MEGABYTE,
            sync_ms=settings.journal_sync_ms,
        )
        self._collector = Collector(
            WriterSettings(
                data_root=str(data_root),
                batch_size=settings.batch_size,
                max_wait_ms=settings.max_wait_ms,
                busy_timeout_ms=settings.sqlite_busy_timeout_ms,
                synchronous=settings.sqlite_synchronous,
                wal_autocheckpoint_pages=settings.sqlite_wal_autocheckpoint,
                retry_max_attempts=settings.persist_retry_max_attempts,
                retry_backoff_sec=settings.persist_retry_backoff_sec,
                retry_backoff_max_sec=settings.persist_retry_backoff_max_sec,
                drift_warn_sec=settings.drift_warn_sec,
                log_level=settings.log_level,
            )
        )

    async def run(self) -> int:
        """Start everything, wait for the end, stop everything. Returns the exit code."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._on_signal, number)
        loop.add_signal_handler(signal.SIGHUP, lambda: log.info("signal_ignored", signal="SIGHUP"))
        settings = self._settings
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
            log.warning("backfill_off", expected="BACKFILL_N of 1000, without which an outage is a hole")
        stored = StoredTicks(self._data_root, settings.seed_recent_db_days)
        _tell_seeds(await asyncio.to_thread(seed_last_seq, self._data_root, settings.seed_recent_db_days))
        client = FutuClient(self._client_settings, self._journal, stored)
        tasks = [
            asyncio.create_task(part, name=name)
            for name, part in (
                ("client", client.run()),
                ("collector", self._collector.run()),
                ("reporter", self._report(client)),
                ("pruner", self._prune()),
                ("stop", self._stop.wait()),
            )
        ]
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        code = self._judge(done)
        await self._shut_down(client, tasks)
        return code

    def _on_signal(self, number: int) -> None:
        self._stop_reason = signal.Signals(number).name
        self._stop.set()

    def _judge(self, done: set[asyncio.Task[Any]]) -> int:
        """Why are we stopping: told to (0), nothing to record (2), or a bug (1)?"""
        code = 0
        for task in done:
            error = task.exception()
            if isinstance(error, ConfigError):
                log.error("config_error", error=error)
                code = 2
            elif error is not None:
                log.error("fatal", part=task.get_name(), error=f"{type(error).__name__}: {error}", exc_info=error)
                code = max(code, 1)
        return code

    async def _shut_down(self, client: FutuClient, tasks: list[asyncio.Task[Any]]) -> None:
        """Stop taking, then store all that was taken, within STOP_FLUSH_TIMEOUT_SEC."""
        started = time.monotonic()
        deadline = started + self._settings.stop_flush_timeout_sec
        log.info("recorder_stopping", reason=self._stop_reason or "fault", timeout_sec=deadline - started)
        try:
            await client.close("recorder stopping")
        finally:  # whatever happens there, what was received must be stored
            for task in tasks:
                if task.get_name() != "collector":
                    task.cancel()
            stored = await self._store_rest(deadline)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await asyncio.to_thread(self._save_state, {**self._describe(client), "running": False})
        log.info(
            "recorder_stopped",
            reason=self._stop_reason or "fault",
            stored=stored,
            rows=self._collector.state.totals.get("inserted", 0),
            sec=round(time.monotonic() - started, 3),
        )

    async def _store_rest(self, deadline: float) -> bool:
        """Write out the journal's buffer, then have the writer store what the journal holds. Whether it did."""
        self._journal.append_event(0, wall_ms(), {"event": "recorder_stopped", "reason": self._stop_reason or "fault"})
        if not await asyncio.to_thread(self._journal.close, deadline - time.monotonic()):
            log.error("stop_journal_timeout", lost_bytes=self._journal.buffered_bytes, fault=self._journal.fault)
        stored = await self._collector.stop(max(0.5, deadline - time.monotonic()))
        if not stored:
            log.error("stop_flush_timeout", expected="the journal keeps what is not stored; the next start stores it")
        return stored

    async def _report(self, client: FutuClient) -> None:
        """Lines for the operator, and the state file for `status`."""
        heartbeat = _Every(self._settings.persist_heartbeat_interval_sec)
        persist, health, state = _Every(PERSIST_LINE_EVERY_SEC), _Every(HEALTH_LINE_EVERY_SEC), _Every(STATE_EVERY_SEC)
        before: dict[str, int] = {}
        while True:
            await asyncio.sleep(0.25)
            if not self._journal.is_alive:
                raise JournalError("the journal's thread has ended: see the log above it")
            totals = self._collector.state.totals
            if persist.due() and totals.get("rows", 0) != before.get("rows", 0):
                self._tell_persisted(before)
                before = dict(totals)
            if heartbeat.due():
                await self._tell_heartbeat()
            if health.due():
                self._tell_health(client)
            if state.due():
                await asyncio.to_thread(self._save_state, self._describe(client))

    def _tell_persisted(self, before: dict[str, int]) -> None:
        state = self._collector.state
        names = ("rows", "inserted", "duplicates", "revisions", "bad", "commits")
        since = {name: state.totals.get(name, 0) - before.get(name, 0) for name in names}
        log.info("persist_ticks", **since, commit_ms_max=state.commit_ms_max, lag_ms=state.lag_ms)
        state.commit_ms_max = 0.0

    async def _tell_heartbeat(self) -> None:
        state = self._collector.state
        now = time.monotonic()
        log.info(
            "persist_loop_heartbeat",
            writer_pid=state.writer_pid,
            queue_bytes=await asyncio.to_thread(self._backlog_bytes),
            buffered_bytes=self._journal.buffered_bytes,
            commits=state.totals.get("commits", 0),
            last_commit_rows=state.last_commit_rows,
            last_commit_age_sec=_age(now, state.last_commit_monotonic),
            last_exception=state.last_exception,
            last_exception_age_sec=_age(now, state.last_exception_monotonic),
            exceptions=state.totals.get("errors", 0),
            wal_bytes=state.wal_bytes,
            recoveries=state.recoveries,
        )

    def _tell_health(self, client: FutuClient) -> None:
        state = client.state
        log.info(
            "health",
            connected=state.connected,
            qot_logined=state.qot_logined,
            subscribed=len(state.subscribed),
            refused=len(state.refused),
            left_out=len(state.left_out),
            frames=client.pushes,
            rows=self._collector.state.totals.get("inserted", 0),
            lag_ms=self._collector.state.lag_ms,
            clock_offset_ms=state.clock_offset_ms,
            disconnects=state.disconnects,
        )

    def _backlog_bytes(self) -> int | None:
        """What is journaled and not stored; None where the disk does not tell."""
        root = self._data_root / DIRECTORY
        try:
            return JournalReader(root, load_cursor(root)).backlog_bytes()
        except OSError:
            return None

    def _describe(self, client: FutuClient) -> dict[str, object]:
        runtime = self._collector.state
        return {
            "running": True,
            "pid": os.getpid(),
            "version": __version__,
            "instance": self._settings.instance_id,
            "started_ms": self._started_ms,
            "at_ms": wall_ms(),
            "frames": client.pushes,
            "session": {**vars(client.state), "subscribed": len(client.state.subscribed)},
            "journal": {"buffered_bytes": self._journal.buffered_bytes, "fault": self._journal.fault},
            "writer": {"pid": runtime.writer_pid, "lag_ms": runtime.lag_ms, "last_exception": runtime.last_exception,
                       "recoveries": runtime.recoveries, **runtime.totals},
        }  # fmt: skip

    def _save_state(self, state: dict[str, object]) -> None:
        """For `status`, from another process. A disk that takes no more must not end the recorder."""
        path = self._data_root / STATE_NAME
        try:
            temporary = path.with_suffix(".tmp")
            temporary.write_text(json.dumps(state))
            temporary.replace(path)
        except OSError as exc:
            log.debug("state_not_saved", error=exc)

    async def _prune(self) -> None:
        """Delete journal segments that are stored and older than JOURNAL_KEEP_DAYS."""
        root = self._data_root / DIRECTORY
        while True:
            await asyncio.sleep(PRUNE_EVERY_SEC)
            try:
                cursor = await asyncio.to_thread(load_cursor, root)
                if cursor is None:
                    continue
                oldest = hk_date(wall_ms()) - timedelta(days=self._settings.journal_keep_days)
                gone = await asyncio.to_thread(prune, root, cursor, oldest.strftime("%Y%m%d"))
            except OSError as exc:
                log.error("journal_not_pruned", error=exc)
                continue
            if gone:
                log.info("journal_pruned", segments=len(gone), bytes=sum(s.size_bytes for s in gone))


class _Every:
    """True once in so many seconds."""

    def __init__(self, every_sec: float) -> None:
        self._every_sec = every_sec
        self._next = time.monotonic() + every_sec

    def due(self) -> bool:
        now = time.monotonic()
        if now < self._next:
            return False
        self._next = now + self._every_sec
        return True


def _age(now: float, then: float | None) -> float | None:
    return None if then is None else round(now - then, 1)


def _tell_seeds(seeds: dict[str, Seed]) -> None:
    newest = max(seeds.values(), key=lambda seed: seed.last_seq or 0, default=None)
    log.info(
        "seed_last_seq",
        symbols=len(seeds),
        newest_day=newest.day if newest else None,
        max_seq=newest.last_seq if newest else None,
    )
