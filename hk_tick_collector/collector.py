"""The recorder's end of the persist loop: starts the writer process, listens to it, builds it again.

Owns the process and what is known of its progress. Never touches a database. Invariant: there is one writer at a time,
and nothing in its memory is needed by the next one.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys
import time
from typing import TYPE_CHECKING, Any

from hk_tick_collector import logs

if TYPE_CHECKING:
    from hk_tick_collector.writer import WriterSettings

log = logs.get_logger()

RESTART_SEC_MIN = 0.5
RESTART_SEC_MAX = 10.0
STABLE_SEC = 30.0
LINE_MAX = 64 * 1024
KILL_WAIT_SEC = 5.0


class RuntimeState:
    """How the writer is doing. Monotonic times in seconds; totals over all writers of this recorder's life."""

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
        self.recoveries = 0
        self.totals: dict[str, int] = {}


class Collector:
    """Keeps one writer process at work on the journal."""

    def __init__(self, settings: WriterSettings) -> None:
        self._settings = settings
        self._process: asyncio.subprocess.Process | None = None
        self._before: dict[str, int] = {}  # totals of the writers before this one
        self._stopping = False
        self._starting = asyncio.Lock()  # a writer that is just being started is the one to stop
        self.state = RuntimeState()

    async def run(self) -> None:
        """Keep the writer running until `stop`; one that ends by itself is built again, later each time."""
        failures = 0
        while True:
            started = time.monotonic()
            code = await self._run_once()
            if self._is_stopping():
                break
            lived_sec = time.monotonic() - started
            failures = 0 if lived_sec > STABLE_SEC else failures + 1
            delay_sec = min(RESTART_SEC_MAX, RESTART_SEC_MIN * 2.0 ** max(0, failures - 1))
            self.state.recoveries += 1
            log.error(
                "writer_ended",
                exit_code=code,
                lived_sec=round(lived_sec, 1),
                restart_in_sec=delay_sec,
                recoveries=self.state.recoveries,
            )
            await asyncio.sleep(delay_sec)

    async def _run_once(self) -> int | None:
        """One writer, from start to end. Returns its exit code; None if it did not even start."""
        async with self._starting:
            if self._is_stopping():
                return None
            try:
                process = await self._start()
            except OSError as exc:  # no memory or no process to be had now
                log.error("writer_not_started", error=exc)
                return None
        await self._listen(process)
        code = await process.wait()
        self._before = dict(self.state.totals)
        return code

    def _is_stopping(self) -> bool:
        return self._stopping  # changes while `run` waits

    def request_writer_recovery(self, reason: str) -> None:
        """Kill the writer; `run` builds the next one, which goes on from the cursor."""
        process = self._process
        log.warning("writer_recovery", reason=reason, pid=process.pid if process else None)
        if process is not None and process.returncode is None:
            process.kill()

    async def stop(self, timeout_sec: float) -> bool:
        """Have the writer store what the journal holds, and end. False: it could not in that time, and was killed."""
        self._stopping = True
        listener = None
        async with self._starting:
            process = self._process
            if process is None or process.returncode is not None:
                try:
                    process = await self._start()  # it had ended; what is in the journal is stored all the same
                except OSError as exc:
                    log.error("writer_not_started", error=exc)
                    return False
                listener = asyncio.create_task(self._listen(process))
        assert process.stdin is not None
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            process.stdin.write(b"stop\n")
            process.stdin.close()
        try:
            async with asyncio.timeout(timeout_sec):
                code = await process.wait()
        except TimeoutError:
            process.kill()
            await process.wait()
            return False
        finally:
            if listener is not None:
                await listener
        return code == 0

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
        self.state.writer_pid = process.pid
        log.info("writer_started", pid=process.pid)
        return process

    async def _listen(self, process: asyncio.subprocess.Process) -> None:
        """Read what the writer tells, until it ends."""
        assert process.stdout is not None
        while line := await process.stdout.readline():
            try:
                self._hear(json.loads(line))
            except ValueError:
                continue  # a line that was cut when the pipe was full; the next one tells more

    def _hear(self, message: dict[str, Any]) -> None:
        state = self.state
        now = time.monotonic()
        state.last_alive_monotonic = now
        if "totals" in message:
            totals = message["totals"]
            state.totals = {name: self._before.get(name, 0) + value for name, value in totals.items()}
        if message["event"] == "error":
            state.last_exception_monotonic = now
            state.last_exception = message["error"]
        if message["event"] == "commit":
            state.last_dequeue_monotonic = now
            state.wal_bytes = message["wal_bytes"]
            if message["rows"]:
                state.last_commit_monotonic = now
                state.last_commit_rows = message["commit_rows"]
                state.last_commit_ms = message["commit_ms"]
                state.commit_ms_max = max(state.commit_ms_max, message["commit_ms"])
                state.lag_ms = message["lag_ms"]
            if message["max_ts_ms"] is not None:
                state.max_ts_ms = max(state.max_ts_ms or 0, message["max_ts_ms"])
