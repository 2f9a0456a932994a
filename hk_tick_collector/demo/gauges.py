"""The numbers that the demo shows while it runs, all read from outside the recorder.

Owns the reading: the simulator's counters from its control port, the journal from its files, the row counts from the
day databases, read-only. Never asks the recorder, so that the numbers stay right while the recorder is dead.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, NamedTuple

import apsw

from hk_tick_collector.errors import DatabaseError
from hk_tick_collector.journal.cursor import load_cursor
from hk_tick_collector.journal.segments import DIRECTORY, JournalReader, list_segments
from hk_tick_collector.store.opening import open_readonly
from hk_tick_collector.store.rehearsal import RehearsalClock
from hk_tick_collector.store.schema import day_files

if TYPE_CHECKING:
    from pathlib import Path

    from hk_tick_collector.demo.children import Simulator

# Short: the demo locks the database on purpose, and the view must keep updating.
BUSY_TIMEOUT_MS = 50


class Sample(NamedTuple):
    """The state of the demo at one moment.

    Attributes:
        at: when, monotonic seconds.
        sent: ticks that the exchange made.
        sim_time: the exchange's time, as OpenD writes it.
        market_state: Qot_Common.QotMarketState.
        ready: open connections that have completed InitConnect.
        connected: connections that have completed InitConnect since the start.
        get_ticker: GetTicker calls that were answered.
        paused: whether the exchange makes no ticks.
        proven: whether the recorder has asked for what proves the day.
        journal_bytes: size of the journal.
        waiting_bytes: how much of it is not stored yet.
        lag_ms: how long the oldest record not stored yet has been waiting.
        stored: rows in the day databases.
    """

    at: float
    sent: int
    sim_time: str
    market_state: int
    ready: int
    connected: int
    get_ticker: int
    paused: bool
    proven: bool
    journal_bytes: int
    waiting_bytes: int
    lag_ms: int
    stored: int


class Gauges:
    """Reads samples."""

    def __init__(self, simulator: Simulator, data_root: Path, clock_file: Path) -> None:
        self._simulator = simulator
        self._data_root = data_root
        self._clock_file = clock_file
        self._clock: RehearsalClock | None = None
        self._stored = 0
        self._databases: dict[Path, apsw.Connection] = {}

    def read(self) -> Sample:
        """Take a sample now."""
        stats: dict[str, Any] = self._simulator.command("stats")
        journal_bytes, waiting_bytes, lag_ms = self._read_journal()
        return Sample(
            at=time.monotonic(),
            sent=stats["made"],
            sim_time=stats["sim_time"],
            market_state=stats["market_state"],
            ready=stats["ready"],
            connected=stats["connected"],
            get_ticker=stats["get_ticker"],
            paused=stats["paused"],
            proven=stats["proven"],
            journal_bytes=journal_bytes,
            waiting_bytes=waiting_bytes,
            lag_ms=lag_ms,
            stored=self._read_stored(),
        )

    def close(self) -> None:
        """Close the databases: the last connection to close cleans up their files, and that must be the writer's."""
        for database in self._databases.values():
            database.close()
        self._databases.clear()

    def _read_journal(self) -> tuple[int, int, int]:
        directory = self._data_root / DIRECTORY
        reader = JournalReader(directory, load_cursor(directory))
        try:
            waiting_bytes = reader.backlog_bytes()
            first = reader.read(max_bytes=4096)[:1] if waiting_bytes else []
        finally:
            reader.close()
        lag_ms = self._age_ms(first[0].recv_ts_ms) if first else 0
        return sum(segment.size_bytes for segment in list_segments(directory)), waiting_bytes, lag_ms

    def _age_ms(self, recv_ts_ms: int) -> int:
        """How long ago that was, in real ms."""
        if self._clock is None:
            self._clock = RehearsalClock(self._clock_file)
        return max(0, round((self._clock.now_ms() - recv_ts_ms) / self._clock.speed()))

    def _read_stored(self) -> int:
        """Rows, from the counts in `symbol_stats`; the previous value while these can't be read."""
        rows = 0
        try:
            for path in day_files(self._data_root):
                if path not in self._databases:
                    self._databases[path] = open_readonly(path, BUSY_TIMEOUT_MS)
                rows += self._databases[path].execute("SELECT ifnull(sum(rows), 0) FROM symbol_stats").get
        except (apsw.Error, DatabaseError):
            return self._stored
        self._stored = rows
        return rows
