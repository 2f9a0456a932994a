"""What the demo displays: a live view on a terminal, otherwise a line every 5 s.

Owns everything that is shown while it runs. Never decides anything.
"""

from __future__ import annotations

import time
from collections import deque
from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple, Protocol, Self

from rich.console import Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from hk_tick_collector.opend.market import MarketState

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

    from hk_tick_collector.demo.gauges import Sample

PLAIN_EVERY_SEC = 5.0
RATE_OVER_SEC = 1.0
SPARK_STEP_SEC = 0.5
SPARK_STEPS_MAX = 120
LAG_WARN_MS = 2000
MEGABYTE = 1_000_000
_BLOCKS = "▁▂▃▄▅▆▇█"
_BLOCKS_ASCII = "_.-=+*#@"
_NOTES_FROM_COLUMNS = 70  # a narrower terminal shows only numbers
_OTHER_COLUMNS = 42  # width of the columns beside a sparkline

STYLES = {"start": "cyan", "CUT": "bold yellow", "KILL": "bold red", "LOCK": "bold magenta", "stop": "cyan"}

_STATES = {
    MarketState.AUCTION: "opening auction",
    MarketState.WAITING_OPEN: "opening soon",
    MarketState.MORNING: "morning session",
    MarketState.REST: "lunch",
    MarketState.AFTERNOON: "afternoon session",
    MarketState.HK_CAS: "closing auction",
    MarketState.CLOSED: "closed",
}


class Event(NamedTuple):
    """Something that happened: when (seconds into the demo), and its name ("" continues the previous event)."""

    sec: float
    name: str
    text: str


class View(Protocol):
    """Where a demo is shown."""

    def __enter__(self) -> Self:
        """Start the display."""

    def __exit__(self, *_exc: object) -> None:
        """Stop the display."""

    def begin(self) -> None:
        """Count seconds from now: the exchange begins to trade."""

    def sample(self, sample: Sample) -> None:
        """Show a sample."""

    def event(self, name: str, text: str) -> None:
        """Show an event."""


class _Clock:
    """Seconds since trading began; 0 before."""

    def __init__(self) -> None:
        self._began: float | None = None

    def begin(self) -> None:
        self._began = time.monotonic()

    @property
    def sec(self) -> float:
        return 0.0 if self._began is None else time.monotonic() - self._began


class PlainView:
    """Lines for a log: one every 5 s, and one per event."""

    def __init__(self, console: Console, seconds: float) -> None:
        self._console = console
        self._seconds = seconds
        self._clock = _Clock()
        self._next = 0.0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exc: object) -> None:
        pass

    def begin(self) -> None:
        """Count seconds from now."""
        self._clock.begin()

    def sample(self, sample: Sample) -> None:
        """Print a line, if one is due."""
        if self._clock.sec < self._next:
            return
        self._next = self._clock.sec + PLAIN_EVERY_SEC
        self._line(
            f"HK {sample.sim_time[11:19]}  sent {sample.sent:,}  journaled {_size(sample.journal_bytes)}  "
            f"stored {sample.stored:,}  lag {sample.lag_ms:,} ms"
        )

    def event(self, name: str, text: str) -> None:
        """Print a line."""
        self._line(f"{name:<5} {text}")

    def _line(self, text: str) -> None:
        self._console.print(
            f"{self._clock.sec:3.0f} of {self._seconds:.0f} s  {text}", markup=False, highlight=False, soft_wrap=True
        )


class LiveView:
    """A display that is redrawn several times per second."""

    def __init__(self, console: Console, title: str, seconds: float) -> None:
        self._console = console
        self._title = title
        self._seconds = seconds
        self._clock = _Clock()
        self._events: list[Event] = []
        self._samples: deque[Sample] = deque(maxlen=64)
        self._steps: deque[Sample] = deque(maxlen=SPARK_STEPS_MAX)
        self._live = Live(console=console, auto_refresh=False, vertical_overflow="crop")

    def __enter__(self) -> Self:
        self._live.start()
        return self

    def __exit__(self, *_exc: object) -> None:
        self._live.stop()

    def begin(self) -> None:
        """Count seconds from now."""
        self._clock.begin()

    def sample(self, sample: Sample) -> None:
        """Add the sample and redraw."""
        self._samples.append(sample)
        if not self._steps or sample.at - self._steps[-1].at >= SPARK_STEP_SEC:
            self._steps.append(sample)
        self._draw()

    def event(self, name: str, text: str) -> None:
        """Add the event below and redraw."""
        self._events.append(Event(self._clock.sec, name, text))
        self._draw()

    def _draw(self) -> None:
        self._live.update(self.frame(), refresh=True)

    def frame(self) -> Group:
        """What is shown now."""
        parts: list[RenderableType] = [Text(), self._head()]
        if self._samples:
            parts += [Text(), self._numbers(self._samples[-1])]
        if self._events:
            parts += [Text(), self._happened()]
        return Group(*parts)

    def _head(self) -> Table:
        head = Table.grid(expand=True, padding=(0, 1))
        head.add_column()
        head.add_column(justify="right")
        sample = self._samples[-1] if self._samples else None
        state = "connecting" if sample is None else _STATES[MarketState(sample.market_state)]
        if sample is not None and sample.paused:
            state = "held"
        now = sample.sim_time[11:19] if sample else "--:--:--"
        sec = min(self._clock.sec, self._seconds)
        head.add_row(Text(self._title, style="bold"), Text(f"{now} HK, {state}", style="cyan"))
        head.add_row(
            ProgressBar(total=self._seconds, completed=sec), Text(f"{sec:.0f} of {self._seconds:.0f} s", style="dim")
        )
        return head

    def _numbers(self, sample: Sample) -> Table:
        table = Table.grid(padding=(0, 2))
        for justify in ("left", "right", "left", "right", "left"):
            table.add_column(justify=justify, no_wrap=True)
        sent, stored = [s.sent for s in self._steps], [s.stored for s in self._steps]
        table.add_row("  sent", f"{sample.sent:,}", "ticks", self._rate("sent"), self._spark(sent, "cyan"))
        waiting = f"{_size(sample.waiting_bytes)} of it not stored yet"
        table.add_row("  journaled", f"{sample.journal_bytes / MEGABYTE:,.1f}", "MB", "", self._note(waiting))
        table.add_row("  stored", f"{sample.stored:,}", "rows", self._rate("stored"), self._spark(stored, "green"))
        lag_style = "red" if sample.lag_ms > LAG_WARN_MS else "green"
        table.add_row(
            "  lag",
            Text(f"{sample.lag_ms:,}", style=lag_style),
            "ms",
            "",
            self._note("of the oldest tick not stored yet"),
        )
        return table

    def _note(self, text: str) -> Text:
        return Text(text if self._console.width >= _NOTES_FROM_COLUMNS else "", style="dim")

    def _rate(self, name: str) -> str:
        now = self._samples[-1]
        then = next((s for s in reversed(self._samples) if now.at - s.at >= RATE_OVER_SEC), self._samples[0])
        if now.at <= then.at:
            return ""
        return f"{(getattr(now, name) - getattr(then, name)) / (now.at - then.at):,.0f}/s"

    def _spark(self, totals: list[int], style: str) -> Text:
        if self._console.width < _NOTES_FROM_COLUMNS:
            return Text()
        width = self._console.width - _OTHER_COLUMNS
        grown = [after - before for before, after in pairwise(totals)][-width:]
        blocks = _BLOCKS if self._console.encoding.startswith("utf") else _BLOCKS_ASCII
        most = max([*grown, 1])
        return Text("".join(blocks[round(n / most * (len(blocks) - 1))] for n in grown), style=style)

    def _happened(self) -> Table:
        table = Table.grid(padding=(0, 2))
        table.add_column(justify="right", style="dim", no_wrap=True)
        table.add_column(no_wrap=True)
        table.add_column(overflow="fold")
        for event in self._events:
            when = f"{event.sec:4.0f} s" if event.name else ""
            table.add_row(when, Text(event.name, style=STYLES.get(event.name, "")), Text(event.text))
        return table


def _size(size_bytes: int) -> str:
    """A readable size: `3.1 MB`, `12 KB`."""
    return f"{size_bytes / MEGABYTE:,.1f} MB" if size_bytes >= MEGABYTE else f"{size_bytes / 1000:,.0f} KB"
