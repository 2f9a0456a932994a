"""The recorder's end of the persist loop: starts the writer process, reads its reports, restarts it.

Owns the process and what is known of its progress. Never touches a database. Invariant: there is one writer at a time,
and the next one needs nothing from its memory.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import sys
import time
from typing import TYPE_CHECKING

from hk_tick_collector import logs
from hk_tick_collector.writer.progress import Counters, Message, WaitingDay

if TYPE_CHECKING:
    from collections.abc import Callable

    from hk_tick_collector.writer.settings import WriterSettings

log = logs.get_logger()

RESTART_SEC_MIN = 0.5
RESTART_SEC_MAX = 10.0
RESTART_SEC_REQUESTED = 0.1  # after a requested recovery: the backlog has waited long enough
STABLE_SEC = 30.0
LINE_MAX = 64 * 1024
KILL_WAIT_SEC = 5.0


class RuntimeState:
    """How the writer is doing. Monotonic times in seconds; totals over all writers since the recorder started."""

    def __init__(self) -> None:
        self.writer_pid: int | None = None
        self.last_dequeue_monotonic: float | None = None
        self.last_commit_monotonic: float | None = None
        self.last_exception_monotonic: float | None = None
        self.last_alive_monotonic: float | None = None
        self.last_commit_rows = 0
        self.last_commit_ms = 0.0
        self.commit_ms_max = 0.0  # since it was last reported
        self.last_exception: str | None = None
        self.lag_ms: int | None = None
        self.max_ts_ms: int | None = None
        self.wal_bytes = 0
        self.wal_held_sec = 0.0  # how long a reader has blocked its truncation
        self.days_waiting = 0  # days whose databases can't be written
        self.waits: tuple[WaitingDay, ...] = ()  # the newest of them
        self.dead_since: float | None = None  # since when there is no writer
        self.recoveries = 0
        self.deaths = 0  # writers in a row that ended by themselves soon after their start
        self.started_monotonic: float | None = None
        self.totals = Counters()

    def deaths_in_a_row(self, now: float) -> int:
        """How many writers died in a row; 0 once one has lived longer than STABLE_SEC."""
        lives = self.dead_since is None and self.started_monotonic is not None
        return 0 if lives and now - (self.started_monotonic or now) > STABLE_SEC else self.deaths


class Collector:
    """Keeps one writer process at work on the journal."""

    def __init__(
        self,
        settings: WriterSettings,
        *,
        join_timeout_sec: float = 3.0,
        on_commit: Callable[[float, int], None] | None = None,
    ) -> None:
        """Does not start a writer yet.

        Args:
            settings: the writer's settings.
            join_timeout_sec: how long a killed writer may take to end.
            on_commit: called for each commit of a batch with ticks: its duration in ms, and its rows.
        """
        self._settings = settings
        self._join_timeout_sec = join_timeout_sec
        self._on_commit = on_commit
        self._process: asyncio.subprocess.Process | None = None
        self._before = Counters()  # totals of the writers before this one
        self._stopping = False
        self._starting = asyncio.Lock()  # `stop` must wait for a writer that is just being started
        self._hurry = asyncio.Event()  # a recovery was requested: start the next writer immediately
        self._over = asyncio.Event()  # the last writer has ended, and all its lines are read
        self.state = RuntimeState()

    async def run(self) -> None:
        """Keep the writer running until `stop`; restart one that ends by itself, with a growing delay."""
        state = self.state
        while True:
            started = time.monotonic()
            code = await self._run_once()
            if self._is_stopping():
                break
            lived_sec = time.monotonic() - started
            state.deaths = 0 if lived_sec > STABLE_SEC else state.deaths + 1
            delay_sec = min(RESTART_SEC_MAX, RESTART_SEC_MIN * 2.0 ** max(0, state.deaths - 1))
            is_asked = self._hurry.is_set()
            if is_asked:
                self._hurry.clear()
                state.deaths, delay_sec = 0, RESTART_SEC_REQUESTED
            state.recoveries += 1
            log.warning(
                "writer_ended",
                by="watchdog" if is_asked else "itself",
                exit_code=code,
                lived_sec=round(lived_sec, 1),
                restart_in_sec=delay_sec,
                recoveries=state.recoveries,
            )
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(delay_sec):
                    await self._hurry.wait()
                self._hurry.clear()

    async def _run_once(self) -> int | None:
        """Run one writer to its end. Returns its exit code; None: it did not start."""
        async with self._starting:
            if self._is_stopping():
                return None
            try:
                process = await self._start()
            except OSError as exc:  # no memory or no process available now
                log.error("writer_not_started", error=exc)
                self.state.dead_since = self.state.dead_since or time.monotonic()
                return None
        try:
            await self._listen(process)
            code = await process.wait()
        finally:
            self._over.set()
        self.state.dead_since = time.monotonic()
        self._before = self.state.totals
        return code

    def _is_stopping(self) -> bool:
        return self._stopping  # changes while `run` waits

    @property
    def living_pid(self) -> int | None:
        """The pid of the running writer; None: none runs (another process may have the pid of an ended one)."""
        process = self._process
        return process.pid if process is not None and process.returncode is None else None

    async def request_writer_recovery(self, reason: str) -> bool:
        """Kill the writer, and have `run` start the next one immediately, which continues from the cursor.

        Args:
            reason: for the debug log; the caller logs it in a line of its own.

        Returns:
            False: the writer was killed but still exists: it may be waiting for a disk. No second writer starts before
            it is gone.
        """
        process = self._process
        log.debug("writer_recovery", reason=reason, pid=process.pid if process else None)
        self._hurry.set()
        if process is None or process.returncode is not None:
            return True
        process.kill()
        try:
            async with asyncio.timeout(self._join_timeout_sec):
                await self._over.wait()
        except TimeoutError:
            return False
        return True

    async def stop(self, timeout_sec: float) -> bool:
        """Have the writer store what the journal holds, and end. False: it failed, or was killed at the timeout."""
        self._stopping = True
        deadline = time.monotonic() + timeout_sec
        while True:
            code = await self._stop_writer(max(0.0, deadline - time.monotonic()))
            if code is None or code >= 0 or time.monotonic() >= deadline:
                return code == 0
            log.warning("writer_ended", by="itself", exit_code=code, restart_in_sec=0)  # killed by a signal

    async def _stop_writer(self, timeout_sec: float) -> int | None:
        """Have the writer end; if none runs, start one for it. Its exit code; None: no start, or no end in time."""
        listener = None
        async with self._starting:
            process = self._process
            if process is None or process.returncode is not None:
                try:
                    process = await self._start()  # none runs, but what is in the journal must be stored
                except OSError as exc:
                    log.error("writer_not_started", error=exc)
                    return None
                listener = asyncio.create_task(self._listen(process))
        with contextlib.suppress(ProcessLookupError):
            # Someone may have suspended it (SIGSTOP). `process.send_signal` would reap a writer that was just killed,
            # and the task that waits for it would not get its exit code.
            os.kill(process.pid, signal.SIGCONT)
        assert process.stdin is not None
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            process.stdin.write(b"stop\n")
            process.stdin.close()
        try:
            async with asyncio.timeout(timeout_sec):
                code = await process.wait()
        except TimeoutError:
            process.kill()
            code = None
        # Wait for both with a timeout: a process that waits for a disk can't be killed.
        ends = [asyncio.create_task(process.wait()), *([listener] if listener is not None else [])]
        await asyncio.wait(ends, timeout=KILL_WAIT_SEC)
        return code

    async def _start(self) -> asyncio.subprocess.Process:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "hk_tick_collector.writer",
            json.dumps(self._settings._asdict()),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            limit=LINE_MAX,
        )
        self._process = process
        self._over.clear()
        self._hurry.clear()
        self.state.dead_since = None
        self.state.started_monotonic = time.monotonic()
        self.state.writer_pid = process.pid
        log.info("writer_started", pid=process.pid)
        return process

    async def _listen(self, process: asyncio.subprocess.Process) -> None:
        """Read the writer's lines until it ends."""
        assert process.stdout is not None
        while line := await process.stdout.readline():
            self._hear(Message.from_line(line))

    def _hear(self, message: Message) -> None:
        """Handle a line of the writer; one without an event was cut when the pipe was full."""
        if not message.event:
            return
        state, now = self.state, time.monotonic()
        state.last_alive_monotonic = now
        if message.totals is not None:
            state.totals = self._before.plus(message.totals)
        # In every commit and alive line: a held WAL is still reported when it no longer grows.
        if message.wal_bytes is not None:
            state.wal_bytes, state.wal_held_sec = message.wal_bytes, message.wal_held_sec or 0.0
            state.days_waiting, state.waits = message.days_waiting or 0, message.waits or ()
        if message.event == "error":
            state.last_exception_monotonic, state.last_exception = now, message.error
        if message.event == "commit":
            self._hear_commit(message, now)

    def _hear_commit(self, message: Message, now: float) -> None:
        state = self.state
        state.last_dequeue_monotonic = now
        if message.rows:
            commit_ms = message.commit_ms or 0.0
            state.last_commit_monotonic = now
            state.last_commit_rows, state.last_commit_ms = message.commit_rows or 0, commit_ms
            state.commit_ms_max = max(state.commit_ms_max, commit_ms)
            state.lag_ms = message.lag_ms
            if self._on_commit is not None:
                self._on_commit(commit_ms, message.rows)
        if message.max_ts_ms is not None:
            state.max_ts_ms = max(state.max_ts_ms or 0, message.max_ts_ms)
