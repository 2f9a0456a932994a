"""The writer as a separate process, fed by a real journal: the bench of all tests that try to make it lose a tick.

bench = WriterBench(tmp_path)
writer = bench.write(batch_size=100)
bench.feed(pushes("HK.00700", range(50)))
writer.wait_until(inserted=50)
assert writer.end() == 0
assert bench.keys() == …
bench.end()
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import re
import subprocess
import sys
import threading
import time
from typing import TYPE_CHECKING, Any

from hk_tick_collector.journal.append import Journal
from hk_tick_collector.journal.segments import DIRECTORY
from hk_tick_collector.store.opening import open_readonly
from hk_tick_collector.store.schema import day_files
from support import warm
from support.settings import writer_settings
from support.ticks import OPEN_MS

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

WAIT_SEC = 90.0
F_SETPIPE_SZ = 1031


def until(what: Callable[[], bool], told: Callable[[], object] = lambda: "") -> None:
    """Wait for a condition."""
    deadline = time.monotonic() + WAIT_SEC
    while not what():
        assert time.monotonic() < deadline, f"it never came: {told()}"
        time.sleep(0.01)


class WriterProcess:
    """A writer, and everything that it says."""

    def __init__(self, data_root: Path, log_directory: Path, *, is_heard: bool = True, **settings: Any) -> None:  # noqa: ANN401
        """Start it. If it is not heard, nobody reads what it says, and its pipe is as small as can be."""
        given = writer_settings(
            data_root,
            **{"max_wait_ms": 10, "busy_timeout_ms": 1000, "retry_backoff_sec": 0.05,
               "retry_backoff_max_sec": 0.2, "days_wait": False, **settings}
        )  # fmt: skip
        self._log_path = log_directory / f"writer-{time.monotonic_ns()}.log"
        self.messages: list[dict[str, Any]] = []
        with self._log_path.open("wb") as log:
            self.process = warm.start(
                [sys.executable, "-m", "hk_tick_collector.writer", json.dumps(given._asdict())],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log.fileno(),
            )
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.stdin, self.stdout = self.process.stdin, self.process.stdout
        self._listener: threading.Thread | None = None
        if is_heard:
            self._listener = threading.Thread(target=self._listen, daemon=True)
            self._listener.start()
        else:
            fcntl.fcntl(self.stdout, F_SETPIPE_SZ, 4096)

    def _listen(self) -> None:
        for line in self.stdout:
            self.messages.append(json.loads(line))

    def events(self, event: str) -> list[dict[str, Any]]:
        """What it said of one kind."""
        return [message for message in self.messages if message["event"] == event]

    @property
    def totals(self) -> dict[str, int]:
        """Its newest counters."""
        told = [message["totals"] for message in self.messages if "totals" in message]
        return told[-1] if told else {}

    def log(self, event: str | None = None) -> list[str]:
        """Its log's lines of an event, or all."""
        lines = self._log_path.read_text().splitlines()
        return [line for line in lines if event is None or re.match(rf"\S+ [A-Z]+ +{event}( |$)", line)]

    def wait_for(self, event: str, count: int = 1) -> dict[str, Any]:
        """Wait until it said that so often; the newest of them."""
        until(lambda: len(self.events(event)) >= count, lambda: (event, self.messages[-3:], self.log()[-20:]))
        return self.events(event)[-1]

    def wait_until(self, **totals: int) -> None:
        """Wait until its counters are that high."""
        until(
            lambda: all(self.totals.get(name, 0) >= count for name, count in totals.items()),
            lambda: (totals, self.totals, self.log()[-20:]),
        )

    def end(self, *, word: bytes = b"") -> int:
        """Say a word or nothing, end its standard input, and wait; its exit code."""
        with contextlib.suppress(BrokenPipeError):
            self.stdin.write(word)
            self.stdin.close()
        return self.wait()

    def wait(self) -> int:
        """Wait until it has ended; its exit code."""
        code = self.process.wait(WAIT_SEC)
        if self._listener is not None:
            self._listener.join(WAIT_SEC)
        return code

    def kill(self) -> None:
        """SIGKILL it, which must be running."""
        assert self.process.poll() is None
        self.process.kill()
        self.wait()
        self.close()

    def close(self) -> None:
        """Let go of everything."""
        if self.process.poll() is None:
            self.process.kill()
            self.wait()
        with contextlib.suppress(BrokenPipeError):
            self.stdin.close()
        self.stdout.close()


class WriterBench:
    """A journal, and writers on it."""

    def __init__(self, directory: Path, log_directory: Path | None = None) -> None:
        """Make DATA_ROOT in a directory; logs go beside it, or where they do not share its disk."""
        self.root = directory / "data"
        self.root.mkdir(exist_ok=True)
        self._log_directory = log_directory or directory
        self.journal = Journal(self.root / DIRECTORY, segment_bytes=200_000, buffer_bytes=1 << 26, sync_ms=20)
        self.journal.start()
        self._writers: list[WriterProcess] = []

    def feed(self, raw: bytes, recv_ts_ms: int = OPEN_MS) -> None:
        """Put a run of frames into the journal."""
        self.journal.append_frames(1, recv_ts_ms, raw)
        assert self.journal.flush(WAIT_SEC)

    def write(self, *, is_heard: bool = True, **settings: Any) -> WriterProcess:  # noqa: ANN401
        """Start a writer."""
        writer = WriterProcess(self.root, self._log_directory, is_heard=is_heard, **settings)
        self._writers.append(writer)
        return writer

    def query(self, sql: str) -> list[tuple[Any, ...]]:
        """What a reader sees, over all days."""
        found: list[tuple[Any, ...]] = []
        for path in day_files(self.root):
            con = open_readonly(path)
            if con.pragma("user_version"):  # else its first transaction is still to come
                found += con.execute(sql).fetchall()
            con.close()
        return found

    def keys(self) -> list[tuple[str, int]]:
        """Every stored tick, in order."""
        return sorted((symbol, seq) for symbol, seq in self.query("SELECT symbol, seq FROM ticks"))

    def end(self) -> None:
        """End everything."""
        for writer in self._writers:
            writer.close()
        self.journal.close(5)
