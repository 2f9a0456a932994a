"""Log lines: `time LEVEL event key=value …`, one line each, on standard error.

Owns the form of a line, a limit on how often a line may come, and that no code waits for the log's reader. Never
decides what is worth logging.
"""

from __future__ import annotations

import atexit
import logging
import os
import queue
import sys
import threading
import time
import weakref
from typing import TYPE_CHECKING, Any, TextIO, cast

# structlog's console renderer, which is not used here, imports rich if it can: 4 MB in each of the two processes.
_HIDES_RICH = "rich" not in sys.modules
if _HIDES_RICH:
    sys.modules["rich"] = None  # type: ignore[assignment]
import structlog  # noqa: E402

if _HIDES_RICH:
    del sys.modules["rich"]

if TYPE_CHECKING:
    from collections.abc import Callable

    from structlog.typing import EventDict, WrappedLogger

LEVELS = {"DEBUG": logging.DEBUG, "INFO": logging.INFO, "WARNING": logging.WARNING, "ERROR": logging.ERROR}

# A value longer than this is cut: a log line is for people and for grep, the journal holds the bytes.
VALUE_MAX = 500

_COLOURS = {"WARNING": "\x1b[33m", "ERROR": "\x1b[31m", "CRITICAL": "\x1b[31;1m"}
_RESET = "\x1b[0m"

# Prefixes that systemd's journal takes as a line's priority, so that `journalctl -p warning` finds what it should.
_PRIORITIES = {"DEBUG": "<7>", "INFO": "<6>", "WARNING": "<4>", "ERROR": "<3>", "CRITICAL": "<2>"}

LINES_WAITING_MAX = 5_000

_limiters: weakref.WeakSet[Limiter] = weakref.WeakSet()
FLUSH_SEC = 2.0


def configure(level: str = "INFO", stream: TextIO | None = None, *, is_threaded: bool = False) -> None:
    """Set up the process's logging. Colour only on a terminal.

    Args:
        level: the lowest level that is logged.
        stream: where to log; None: standard error.
        is_threaded: write in a thread of its own, so that a reader that hangs delays only the lines.
    """
    out = stream or sys.stderr
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            _Renderer(colour=out.isatty(), priority=_is_journal(out)),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(LEVELS[level.upper()]),
        logger_factory=structlog.PrintLoggerFactory(file=cast("TextIO", _Outlet(out)) if is_threaded else out),
        cache_logger_on_first_use=True,
    )


def flush() -> None:
    """Wait until everything that was logged is written; but only for a moment, if it is not read."""
    if _Outlet.newest is not None:
        _Outlet.newest.drain()


def write(text: str) -> None:
    """Write lines that are not ours, unchanged, after everything that was logged before."""
    if _Outlet.newest is not None:
        _Outlet.newest.put(text)
    else:
        sys.stderr.write(text)
        sys.stderr.flush()


def get_logger() -> Any:  # noqa: ANN401 - structlog's own type for a lazy logger
    """A logger: `log.info("event_name", key=value)`."""
    return structlog.get_logger()


def priority(level: str, out: TextIO) -> str:
    """What a line of this level begins with, so that `journalctl -p` finds it; empty unless the journal reads it."""
    return _PRIORITIES[level] if _is_journal(out) else ""


def _is_journal(out: TextIO) -> bool:
    """Whether systemd's journal reads this stream: JOURNAL_STREAM names its device and inode."""
    try:
        status = os.fstat(out.fileno())
    except (OSError, ValueError):  # no file at all
        return False
    return os.environ.get("JOURNAL_STREAM") == f"{status.st_dev}:{status.st_ino}"


class _Outlet:
    """A stream whose reader may hang: lines wait in memory; those beyond the limit are counted and dropped."""

    newest: _Outlet | None = None

    def __init__(self, out: TextIO) -> None:
        _Outlet.newest = self
        self._out = out
        self._line = ""  # needs no lock: the thread that prints holds structlog's
        self._lines: queue.Queue[str | threading.Event] = queue.Queue(LINES_WAITING_MAX)
        self._dropped = 0
        threading.Thread(target=self._run, name="log", daemon=True).start()
        atexit.register(self.drain)

    def write(self, text: str) -> None:
        """Like a stream's: a part of a line."""
        self._line += text

    def flush(self) -> None:
        """Like a stream's: the line is complete."""
        line, self._line = self._line, ""
        self.put(line)

    def put(self, text: str) -> None:
        """Queue whole lines."""
        try:
            self._lines.put_nowait(text)
        except queue.Full:
            self._dropped += 1

    def drain(self) -> None:
        """Wait until everything that was logged is written; but only for a moment, if it is not read."""
        written = threading.Event()
        try:
            self._lines.put(written, timeout=FLUSH_SEC)
        except queue.Full:
            return
        written.wait(FLUSH_SEC)

    def _run(self) -> None:
        while True:
            line = self._lines.get()
            if isinstance(line, threading.Event):
                line.set()
                continue
            dropped, self._dropped = self._dropped, 0
            if dropped:
                line += f"{dropped} log lines were dropped: the reader is too slow\n"
            try:
                self._print(line)
            except (OSError, ValueError):  # the reader is gone
                continue

    def _print(self, line: str) -> None:
        """Bypass the stream object: Python flushes it at exit, and would wait for a thread that is blocked in it."""
        try:
            file = self._out.fileno()
        except (OSError, ValueError):  # no file at all
            self._out.write(line)
            self._out.flush()
            return
        data = memoryview(line.encode(errors="backslashreplace"))
        while data:
            data = data[os.write(file, data) :]


class _Renderer:
    def __init__(self, *, colour: bool, priority: bool) -> None:
        self._colour = colour
        self._priority = priority

    def __call__(self, _logger: WrappedLogger, _name: str, event: EventDict) -> str:
        when, level, name = event.pop("timestamp"), event.pop("level").upper(), event.pop("event")
        trace = event.pop("exception", None)
        line = " ".join([str(name), *(f"{key}={_value(value)}" for key, value in event.items())])
        if self._colour and level in _COLOURS:
            line = f"{_COLOURS[level]}{line}{_RESET}"
        text = f"{when} {level:<7} {line}" + (f"\n{trace}" if trace else "")
        if self._priority:
            text = "\n".join(_PRIORITIES[level] + one for one in text.split("\n"))
        return text


def _value(value: object) -> str:
    """A value that can be extracted from the line again: quoted if it has blanks, and always on one line."""
    text = f"{value:.3f}".rstrip("0").rstrip(".") if isinstance(value, float) else str(value)
    if len(text) > VALUE_MAX:
        text = text[:VALUE_MAX] + "…"
    if text and text.isprintable() and not any(c in text for c in ' "='):
        return text
    # OpenD's text reaches a terminal through here: no character that could control one, and never a second line.
    shown = (c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
    return '"' + "".join("\\" + c if c in '"\\' else c for c in shown) + '"'


def tell_held(*, is_end: bool = False) -> None:
    """Log how many lines the limiters have held back, for each kind of which no later line has come in time.

    Args:
        is_end: no later line will come.
    """
    log = get_logger()
    for limiter in list(_limiters):
        for line, held in limiter.held(is_end=is_end).items():
            log.info("lines_held", line=line, held=held)


class Limiter:
    """Lets a line through at most once in `every_sec`, and counts how many were held back since.

    Trouble that repeats every 100 ms must not fill the disk that it is about. The next line of that kind, or
    `tell_held`, reports the count.
    """

    def __init__(self, every_sec: float, clock: Callable[[], float] = time.monotonic) -> None:
        _limiters.add(self)
        self._every_sec = every_sec
        self._clock = clock
        self._last: dict[str, float] = {}
        self._held: dict[str, int] = {}

    def allow(self, key: str) -> int | None:
        """None: hold this line back. Otherwise how many were held back before it."""
        now = self._clock()
        last = self._last.get(key)
        if last is not None and now - last < self._every_sec:
            self._held[key] = self._held.get(key, 0) + 1
            return None
        self._last[key] = now
        return self._held.pop(key, 0)

    def held(self, *, is_end: bool = False) -> dict[str, int]:
        """What was held back, for each kind of which no later line has come in time; these counts are then forgotten.

        Args:
            is_end: no later line will come.

        Returns:
            By key, how many lines.
        """
        now = self._clock()
        due = [key for key in list(self._held) if is_end or now - self._last[key] >= self._every_sec]
        return {key: self._held.pop(key) for key in due}
