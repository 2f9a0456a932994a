"""What `/metrics` serves: a recorder's description as Prometheus metrics.

Owns every metric's name, kind and meaning, and the buckets of the commit durations. Never keeps any other value:
counters are the recorder's totals, which begin at 0 when it starts, as Prometheus expects. A value that the recorder
does not report is left out, never made up.
"""

from __future__ import annotations

import threading
from bisect import bisect_left
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.registry import Collector, CollectorRegistry

from hk_tick_collector.status.findings import Verdict
from hk_tick_collector.status.health import assess
from hk_tick_collector.status.state import RecorderState
from hk_tick_collector.typed_json import decode
from hk_tick_collector.writer.progress import Counters

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sized

    from prometheus_client.core import Metric

    from hk_tick_collector.store.stored import SymbolStats

# A commit takes a few ms for a few ticks, 100 ms for a full batch, and seconds when the disk is in trouble.
COMMIT_BUCKETS_SEC: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


class _Spec(NamedTuple):
    """A metric with one value from the recorder's state; None: not known, so the metric is left out."""

    name: str
    value_of: Callable[[RecorderState], float | None]
    meaning: str
    scale: float = 1.0


def _connected(state: RecorderState) -> float | None:
    """None before the recorder has reported any session: a false 0 would look like an outage."""
    return float(state.session.connected) if state.session.session is not None else None


def _length(names: Sized | None) -> float | None:
    return None if names is None else float(len(names))


def _lost(name: str) -> Callable[[RecorderState], float]:
    return lambda state: float(getattr(state.lost_today, name)) if state.lost_today is not None else 0.0


def _counter(name: str) -> Callable[[RecorderState], float]:
    return lambda state: float(getattr(state.writer.counters, name))


WRITER_COUNTERS: Final = tuple(_Spec(metric, _counter(name), meaning) for name, metric, meaning in Counters.METRICS)
COUNTERS: Final = (
    _Spec("hktick_frames", lambda s: s.frames, "Ticker pushes received from OpenD; one may hold several ticks."),
    _Spec("hktick_received_bytes", lambda s: s.bytes_received, "Bytes received from OpenD."),
    _Spec("hktick_writer_recoveries", lambda s: s.writer.recoveries, "Times that the writer process was built again."),
    _Spec("hktick_watchdog_stalls", lambda s: s.watchdog.stalls, "Stalls that the watchdog has found."),
    _Spec("hktick_watchdog_recoveries_failed", lambda s: s.watchdog.recoveries_failed, "Recoveries that did not help."),
    _Spec("hktick_disconnects", lambda s: s.session.disconnects, "Sessions with OpenD that have ended."),
    _Spec("hktick_backfills", lambda s: s.session.backfills, "Times that all symbols were fetched again."),
    _Spec("hktick_poll_cycles", lambda s: s.session.poll_cycles, "Polls over all symbols that were completed."),
    _Spec(
        "hktick_resubscribes",
        lambda s: s.session.resubscribes,
        "Times that pushes were missing and all was subscribed again.",
    ),
)

GAUGES: Final = (
    _Spec(
        "hktick_start_time_seconds", lambda s: s.started_ms, "When the recorder started, in seconds since 1970.", 1e-3
    ),
    _Spec("hktick_connected", _connected, "1 while OpenD has accepted the session."),
    _Spec("hktick_opend_logged_in", lambda s: s.session.qot_logined, "1 while OpenD is logged in to the quote server."),
    _Spec("hktick_market_open", lambda s: s.market.is_open, "1 while the Hong Kong market is open, auctions included."),
    _Spec("hktick_symbols_subscribed", lambda s: s.session.subscribed, "Symbols that OpenD pushes."),
    _Spec("hktick_last_heard_age_seconds", lambda s: s.session.last_heard_age_sec, "Since anything came from OpenD."),
    _Spec("hktick_last_push_age_seconds", lambda s: s.session.last_push_age_sec, "Since the last ticker push came."),
    _Spec(
        "hktick_clock_offset_seconds",
        lambda s: s.session.clock_offset_ms,
        "OpenD's clock less ours, to about a second.",
        1e-3,
    ),
    _Spec("hktick_lag_seconds", lambda s: s.writer.lag_ms, "From reception to commit, at the last commit.", 1e-3),
    _Spec(
        "hktick_last_commit_age_seconds", lambda s: s.writer.last_commit_age_sec, "Since the last commit with ticks."
    ),
    _Spec(
        "hktick_last_tick_timestamp_seconds",
        lambda s: s.writer.max_ts_ms,
        "Time of the newest pushed tick stored.",
        1e-3,
    ),
    _Spec("hktick_backlog_bytes", lambda s: s.journal.backlog_bytes, "Journal that is not stored yet."),
    _Spec(
        "hktick_backlog_rows", lambda s: s.journal.backlog_rows, "Ticks in the journal that are not stored yet, about."
    ),
    _Spec(
        "hktick_journal_buffered_bytes",
        lambda s: s.journal.buffered_bytes,
        "Received and not yet written to the journal.",
    ),
    _Spec(
        "hktick_outage_symbols_past_deadline",
        lambda s: s.outage.past if s.outage else None,
        "Symbols of which ticks are lost for good by now, as estimated; only during an outage.",
    ),
    _Spec("hktick_disk_free_bytes", lambda s: s.disk.free_bytes, "Free on the disk of DATA_ROOT."),
    _Spec(
        "hktick_disk_days_left", lambda s: s.disk.days_left, "Trading days until that disk is full, by the last ones."
    ),
    _Spec(
        "hktick_journal_full",
        lambda s: s.journal.is_full,
        "1 while nothing is read from OpenD because the disk is full.",
    ),
    _Spec("hktick_days_waiting", lambda s: s.writer.days_waiting, "Days whose databases can't be written for now."),
    _Spec("hktick_wal_bytes", lambda s: s.writer.wal_bytes, "Size of the databases' write-ahead logs."),
    _Spec(
        "hktick_wal_held_seconds",
        lambda s: s.writer.wal_held_sec,
        "For how long a reader has blocked truncation of the write-ahead log.",
    ),
    _Spec("hktick_watchdog_stalled", lambda s: s.watchdog.is_stalled, "1 while the watchdog sees a stall."),
)

# If nothing is lost, report 0 rather than leave the metric out, so that an alert on it clears.
LOST_TODAY: Final = (
    _Spec("hktick_lost_today_ticks", _lost("ticks"), "Ticks of today that are missing, where sequences tell."),
    _Spec("hktick_lost_today_shares", _lost("shares"), "Shares that are missing at least, where only totals tell."),
    _Spec("hktick_lost_today_symbols", _lost("symbols"), "Symbols of which ticks of today are missing."),
    _Spec("hktick_lost_today_gaps", _lost("gaps"), "Gaps of today that are not filled."),
)

LENGTHS: Final = (
    _Spec("hktick_symbols_refused", lambda s: _length(s.session.refused), "Symbols and plates that OpenD refused."),
    _Spec("hktick_symbols_left_out", lambda s: _length(s.session.left_out), "Symbols for which there is no quota."),
)


class CommitDurations:
    """How long commits take, in buckets; written by the event loop, read by the server's threads."""

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
        """The current histogram."""
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
    """All metrics of one description, made for one scrape."""

    def __init__(
        self,
        state: Mapping[str, Any],
        now_ms: int,
        commits: CommitDurations,
        symbols: Mapping[str, SymbolStats] | None = None,
    ) -> None:
        """Args: `symbols` is None unless requested; each symbol adds two series."""
        self._told, self._state = state, decode(RecorderState, state)
        self._now_ms = now_ms
        self._commits = commits
        self._symbols = symbols

    def collect(self) -> Iterator[Metric]:
        """Yield all metric families."""
        state = self._state
        yield self._build()
        for kind, specs, part in (
            (CounterMetricFamily, WRITER_COUNTERS, "writer"),
            (CounterMetricFamily, COUNTERS, ""),
            (GaugeMetricFamily, GAUGES, ""),
            (GaugeMetricFamily, LENGTHS, ""),
            (GaugeMetricFamily, LOST_TODAY, "lost_today"),
        ):
            if not part or part in self._told:
                yield from _families(kind, specs, state)
        connects = state.session.connects
        if connects is not None:  # the first one is not a reconnect
            meaning = "Sessions with OpenD after the first one."
            yield CounterMetricFamily("hktick_reconnects", meaning, value=max(0.0, connects - 1))
        if state.at_ms is not None:
            age_sec = max(0.0, self._now_ms - state.at_ms) / 1000
            meaning = "Age of the description from which all of these are read; it is renewed every 2 s."
            yield GaugeMetricFamily("hktick_state_age_seconds", meaning, value=age_sec)
        verdict = assess(state, self._now_ms).verdict
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
            "version": state.version,
            "recorder": state.instance,
            "opend_version": str(state.session.opend_version or ""),
        }
        info = GaugeMetricFamily("hktick_build_info", "Always 1; what runs is in the labels.", labels=list(labels))
        info.add_metric(list(labels.values()), 1.0)
        return info


def registry(metrics: RecorderMetrics) -> CollectorRegistry:
    """A registry for these metrics alone: the global one also holds the library's own metrics."""
    own = CollectorRegistry(auto_describe=False)
    own.register(metrics)
    return own


def _families(
    kind: type[CounterMetricFamily | GaugeMetricFamily], specs: tuple[_Spec, ...], state: RecorderState
) -> Iterator[Metric]:
    for spec in specs:
        value = spec.value_of(state)
        if value is not None:
            yield kind(spec.name, spec.meaning, value=value * spec.scale)


def _symbol_families(symbols: Mapping[str, SymbolStats]) -> Iterator[Metric]:
    ticks = GaugeMetricFamily("hktick_symbol_ticks", "Rows of the newest day.", labels=["symbol"])
    last = GaugeMetricFamily("hktick_symbol_last_tick_timestamp_seconds", "Time of its last tick.", labels=["symbol"])
    for symbol, stats in symbols.items():
        ticks.add_metric([symbol], stats.rows)
        last.add_metric([symbol], stats.last_ts_ms / 1000)
    yield ticks
    yield last
