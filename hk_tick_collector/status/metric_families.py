"""What `/metrics` serves: a recorder's description of itself, as Prometheus names such things.

Owns every metric's name, kind and meaning, and the buckets of the commits' duration. Never keeps a value of its own but
those buckets: counters are the recorder's totals, which begin at 0 when it starts, as Prometheus expects. A value that
the recorder does not tell is left out, never made up.
"""

from __future__ import annotations

import threading
from bisect import bisect_left
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.registry import Collector, CollectorRegistry

from hk_tick_collector.status.findings import Verdict, part_of
from hk_tick_collector.status.health import assess_health

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from prometheus_client.core import Metric

    from hk_tick_collector.store.stored import SymbolStats

# A commit takes some ms for a few ticks, 100 ms for a full batch, and seconds when the disk is in trouble.
COMMIT_BUCKETS_SEC: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


class _Spec(NamedTuple):
    """A metric that is one value of the description."""

    name: str
    path: str  # part.key
    meaning: str
    scale: float = 1.0


COUNTERS: Final = (
    _Spec("hktick_frames", "frames", "Ticker pushes received from OpenD; one may hold several ticks."),
    _Spec("hktick_received_bytes", "bytes_received", "Bytes received from OpenD."),
    _Spec("hktick_ticks", "writer.rows", "Ticks taken from the journal, pushed and fetched, whatever became of them."),
    _Spec("hktick_ticks_stored", "writer.inserted", "Ticks stored as new rows."),
    _Spec("hktick_duplicates", "writer.duplicates", "Ticks that were stored already; fetched ones mostly are."),
    _Spec("hktick_revisions", "writer.revisions", "Ticks that came again with other content."),
    _Spec("hktick_gaps", "writer.gaps", "Gaps that were found: ticks that are missing."),
    _Spec("hktick_gaps_filled", "writer.gaps_filled", "Gaps that what came late has filled."),
    _Spec("hktick_premises_failed", "writer.premises_failed", "Premises that were seen to fail, by symbol and day."),
    _Spec("hktick_extra", "writer.extra", "Ticks of sealed days on which their symbol was not to be recorded."),
    _Spec("hktick_bad_rows", "writer.bad", "Rows that made no sense and were kept aside."),
    _Spec("hktick_corrections", "writer.corrected", "Ticks whose time was hours off and was put right."),
    _Spec("hktick_commits", "writer.commits", "Transactions with ticks that were committed."),
    _Spec("hktick_writer_errors", "writer.errors", "Failed attempts to store a batch."),
    _Spec("hktick_journal_damages", "writer.damages", "Places in the journal that could not be read back."),
    _Spec("hktick_writer_recoveries", "writer.recoveries", "Times that the writer process was built again."),
    _Spec("hktick_watchdog_stalls", "watchdog.stalls", "Stalls that the watchdog has found."),
    _Spec("hktick_watchdog_recoveries_failed", "watchdog.recoveries_failed", "Recoveries that did not help."),
    _Spec("hktick_disconnects", "session.disconnects", "Sessions with OpenD that have ended."),
    _Spec("hktick_backfills", "session.backfills", "Times that all symbols were fetched again."),
    _Spec("hktick_audit_cycles", "session.audit_cycles", "Audits over the symbols that were completed."),
    _Spec(
        "hktick_resubscribes", "session.resubscribes", "Times that pushes were missing and all was subscribed again."
    ),
)

GAUGES: Final = (
    _Spec("hktick_start_time_seconds", "started_ms", "When the recorder started, in seconds since 1970.", 1e-3),
    _Spec("hktick_connected", "session.connected", "1 while OpenD has accepted the session."),
    _Spec("hktick_opend_logged_in", "session.qot_logined", "1 while OpenD is logged in to the quote server."),
    _Spec("hktick_market_open", "market.is_open", "1 while the Hong Kong market is open, auctions included."),
    _Spec("hktick_symbols_subscribed", "session.subscribed", "Symbols that OpenD pushes."),
    _Spec("hktick_last_heard_age_seconds", "session.last_heard_age_sec", "Since anything came from OpenD."),
    _Spec("hktick_last_push_age_seconds", "session.last_push_age_sec", "Since the last ticker push came."),
    _Spec(
        "hktick_clock_offset_seconds", "session.clock_offset_ms", "OpenD's clock less ours, to about a second.", 1e-3
    ),
    _Spec("hktick_lag_seconds", "writer.lag_ms", "From reception to commit, at the last commit.", 1e-3),
    _Spec("hktick_last_commit_age_seconds", "writer.last_commit_age_sec", "Since the last commit with ticks."),
    _Spec("hktick_last_tick_timestamp_seconds", "writer.max_ts_ms", "Time of the newest pushed tick stored.", 1e-3),
    _Spec("hktick_backlog_bytes", "journal.backlog_bytes", "Journal that is not stored yet."),
    _Spec("hktick_backlog_rows", "journal.backlog_rows", "Ticks in the journal that are not stored yet, about."),
    _Spec("hktick_journal_buffered_bytes", "journal.buffered_bytes", "Received and not yet written to the journal."),
    _Spec(
        "hktick_outage_symbols_past_deadline",
        "outage.past",
        "Symbols of which ticks are lost for good by now, as estimated; only during an outage.",
    ),
    _Spec("hktick_disk_free_bytes", "disk.free_bytes", "Free on the disk of DATA_ROOT."),
    _Spec("hktick_disk_days_left", "disk.days_left", "Trading days until that disk is full, by the last ones."),
    _Spec("hktick_journal_full", "journal.is_full", "1 while nothing more is read from OpenD, for want of disk."),
    _Spec("hktick_days_waiting", "writer.days_waiting", "Days whose databases can't be written for now."),
    _Spec("hktick_wal_bytes", "writer.wal_bytes", "Size of the databases' write-ahead logs."),
    _Spec(
        "hktick_wal_held_seconds", "writer.wal_held_sec", "Since a reader keeps the write-ahead log from being emptied."
    ),
    _Spec("hktick_watchdog_stalled", "watchdog.is_stalled", "1 while the watchdog sees a stall."),
)

# Nothing lost is 0, and not absent: an alert on it is then over.
LOST_TODAY: Final = (
    _Spec("hktick_lost_today_ticks", "lost_today.ticks", "Ticks of today that are missing, where sequences tell."),
    _Spec("hktick_lost_today_shares", "lost_today.shares", "Shares that are missing at least, where only totals tell."),
    _Spec("hktick_lost_today_symbols", "lost_today.symbols", "Symbols of which ticks of today are missing."),
    _Spec("hktick_lost_today_gaps", "lost_today.gaps", "Gaps of today that are not filled."),
)

LENGTHS: Final = (
    _Spec("hktick_symbols_refused", "session.refused", "Symbols and plates that OpenD refused."),
    _Spec("hktick_symbols_left_out", "session.left_out", "Symbols for which there is no quota."),
)


class CommitDurations:
    """How long commits take, in buckets; told by the event loop, read by the server's threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counts = [0] * (len(COMMIT_BUCKETS_SEC) + 1)
        self._sum_sec = 0.0

    def add(self, commit_ms: float) -> None:
        """Count one commit."""
        with self._lock:
            self._counts[bisect_left(COMMIT_BUCKETS_SEC, commit_ms / 1000)] += 1
            self._sum_sec += commit_ms / 1000

    def family(self) -> Metric:
        """The histogram as it stands."""
        with self._lock:
            counts, sum_sec = list(self._counts), self._sum_sec
        total = 0
        buckets = []
        for bound, count in zip([*map(str, COMMIT_BUCKETS_SEC), "+Inf"], counts, strict=True):
            total += count
            buckets.append((bound, float(total)))
        meaning = "From taking a batch of ticks to its commit."
        return HistogramMetricFamily("hktick_commit_duration_seconds", meaning, buckets=buckets, sum_value=sum_sec)


class RecorderMetrics(Collector):
    """All metrics of one description, made anew at each scrape."""

    def __init__(
        self,
        state: Mapping[str, Any],
        now_ms: int,
        commits: CommitDurations,
        symbols: Mapping[str, SymbolStats] | None = None,
    ) -> None:
        """Args: `symbols` is None where they were not asked for; they are two series each."""
        self._state = state
        self._now_ms = now_ms
        self._commits = commits
        self._symbols = symbols

    def collect(self) -> Iterator[Metric]:
        """One family after the other."""
        state = self._state
        yield self._build()
        yield from _families(CounterMetricFamily, COUNTERS, lambda told: _value(state, told))
        yield from _families(GaugeMetricFamily, GAUGES, lambda told: _value(state, told))
        yield from _families(GaugeMetricFamily, LENGTHS, lambda told: _length(state, told))
        if "lost_today" in state:
            yield from _families(GaugeMetricFamily, LOST_TODAY, lambda told: _value(state, told) or 0.0)
        connects = _value(state, _Spec("", "session.connects", ""))
        if connects is not None:  # the first one is no reconnect
            meaning = "Sessions with OpenD after the first one."
            yield CounterMetricFamily("hktick_reconnects", meaning, value=max(0.0, connects - 1))
        at_ms = _value(state, _Spec("", "at_ms", ""))
        if at_ms is not None:
            meaning = "Age of the description from which all of these are read; it is renewed each 2 s."
            yield GaugeMetricFamily("hktick_state_age_seconds", meaning, value=max(0.0, self._now_ms - at_ms) / 1000)
        verdict = assess_health(state, self._now_ms).verdict
        health = GaugeMetricFamily(
            "hktick_health", "1 for the verdict that holds; /healthz has why.", labels=["verdict"]
        )
        for each in Verdict:
            health.add_metric([each.value], float(each is verdict))
        yield health
        yield self._commits.family()
        if self._symbols is not None:
            yield from _symbol_families(self._symbols)

    def _build(self) -> Metric:
        state = self._state
        labels = {
            "version": str(state.get("version", "")),
            "recorder": str(state.get("instance", "")),
            "opend_version": str(part_of(state, "session").get("opend_version") or ""),
        }
        info = GaugeMetricFamily("hktick_build_info", "Always 1; what runs is in the labels.", labels=list(labels))
        info.add_metric(list(labels.values()), 1.0)
        return info


def registry(metrics: RecorderMetrics) -> CollectorRegistry:
    """A registry of its own: the global one is everybody's, and full of what nobody asked for."""
    own = CollectorRegistry(auto_describe=False)
    own.register(metrics)
    return own


def _families(
    kind: type[CounterMetricFamily | GaugeMetricFamily],
    told: tuple[_Spec, ...],
    value_of: Callable[[_Spec], float | None],
) -> Iterator[Metric]:
    for each in told:
        value = value_of(each)
        if value is not None:
            yield kind(each.name, each.meaning, value=value)


def _symbol_families(symbols: Mapping[str, SymbolStats]) -> Iterator[Metric]:
    ticks = GaugeMetricFamily("hktick_symbol_ticks", "Rows of the newest day.", labels=["symbol"])
    last = GaugeMetricFamily("hktick_symbol_last_tick_timestamp_seconds", "Time of its last tick.", labels=["symbol"])
    for symbol, stats in symbols.items():
        ticks.add_metric([symbol], stats.rows)
        last.add_metric([symbol], stats.last_ts_ms / 1000)
    yield ticks
    yield last


def _found(state: Mapping[str, Any], path: str) -> object:
    part, _, key = path.rpartition(".")
    return (part_of(state, part) if part else state).get(key)


def _value(state: Mapping[str, Any], told: _Spec) -> float | None:
    found = _found(state, told.path)
    return found * told.scale if isinstance(found, int | float) else None


def _length(state: Mapping[str, Any], told: _Spec) -> float | None:
    found = _found(state, told.path)
    return float(len(found)) if isinstance(found, dict | list) else None
