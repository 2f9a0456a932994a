"""Log lines: `time LEVEL event key=value …`, one line each, on standard error.

Owns the form of a line and a limit on how often a line may come. Never decides what is worth saying.
"""

from __future__ import annotations

import logging
import sys
import time
from typing import TYPE_CHECKING, Any, TextIO

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


def configure(level: str = "INFO", stream: TextIO | None = None) -> None:
    """Set the process's logging up. Colour only where a person looks at a terminal."""
    out = stream or sys.stderr
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            _Renderer(colour=out.isatty()),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(LEVELS[level.upper()]),
        logger_factory=structlog.PrintLoggerFactory(file=out),
        cache_logger_on_first_use=True,
    )


def get_logger() -> Any:  # noqa: ANN401 - structlog's own type for a lazy logger
    """A logger: `log.info("event_name", key=value)`."""
    return structlog.get_logger()


class _Renderer:
    def __init__(self, *, colour: bool) -> None:
        self._colour = colour

    def __call__(self, _logger: WrappedLogger, _name: str, event: EventDict) -> str:
        when, level, name = event.pop("timestamp"), event.pop("level").upper(), event.pop("event")
        trace = event.pop("exception", None)
        line = " ".join([str(name), *(f"{key}={_value(value)}" for key, value in event.items())])
        if self._colour and level in _COLOURS:
            line = f"{_COLOURS[level]}{line}{_RESET}"
        text = f"{when} {level:<7} {line}"
        return f"{text}\n{trace}" if trace else text


def _value(value: object) -> str:
    """A value that can be cut out of the line again: quoted where it has blanks, never of two lines."""
    text = f"{value:.3f}".rstrip("0").rstrip(".") if isinstance(value, float) else str(value)
    if len(text) > VALUE_MAX:
        text = text[:VALUE_MAX] + "…"
    if text and text.isprintable() and not any(c in text for c in ' "='):
        return text
    # What OpenD says reaches a terminal through here: nothing that could steer one, and never a second line.
    shown = (c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
    return '"' + "".join("\\" + c if c in '"\\' else c for c in shown) + '"'


class Limiter:
    """Lets a line through at most once in `every_sec`, and tells how many were held back since.

    Trouble that repeats each 100 ms must not fill the disk that it is about.
    """

    def __init__(self, every_sec: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._every_sec = every_sec
        self._clock = clock
        self._last: dict[str, float] = {}
        self._held: dict[str, int] = {}

    def allow(self, key: str) -> int | None:
        """None: hold this one back. Otherwise the number that was held back before it."""
        now = self._clock()
        last = self._last.get(key)
        if last is not None and now - last < self._every_sec:
            self._held[key] = self._held.get(key, 0) + 1
            return None
        self._last[key] = now
        return self._held.pop(key, 0)
