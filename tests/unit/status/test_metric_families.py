"""What `/metrics` holds: each value of the description under its name, and nothing made up."""

from __future__ import annotations

import re
import subprocess
import sys
import threading
from typing import TYPE_CHECKING, Any

import pytest
from prometheus_client.exposition import generate_latest
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.registry import REGISTRY
from support.recorder_state import healthy_state

from hk_tick_collector.status.lost import Lost
from hk_tick_collector.status.metric_families import (
    COMMIT_BUCKETS_SEC,
    COUNTERS,
    GAUGES,
    LENGTHS,
    LOST_TODAY,
    CommitDurations,
    RecorderMetrics,
    registry,
)
from hk_tick_collector.store.stored import SymbolStats
from hk_tick_collector.typed_json import encode

if TYPE_CHECKING:
    from prometheus_client.core import Metric

LATER_MS = 1500


def families(state: dict[str, Any], **more: Any) -> dict[str, Metric]:  # noqa: ANN401 - as RecorderMetrics
    """What a scrape a moment after the description gives, read back from its text, by name."""
    now_ms = state.get("at_ms", 0) + LATER_MS
    metrics = RecorderMetrics(state, now_ms, more.pop("commits", CommitDurations()), more.pop("symbols", None))
    text = generate_latest(registry(metrics)).decode()
    return {family.name: family for family in text_string_to_metric_families(text)}


def values(state: dict[str, Any], **more: Any) -> dict[str, float]:  # noqa: ANN401
    """The samples without labels, by name."""
    found = families(state, **more).values()
    return {sample.name: sample.value for family in found for sample in family.samples if not sample.labels}


def test_each_value_is_served_under_its_name() -> None:
    """All that a busy recorder tells, in base units: seconds, bytes, and counters that end in _total."""
    state = healthy_state(session={"connects": 3, "disconnects": 2, "refused": {"HK.1": "?"}, "left_out": ["HK.2"]})
    told = values(state)
    expected = {
        "hktick_start_time_seconds": state["started_ms"] / 1000,
        "hktick_state_age_seconds": 1.5,
        "hktick_frames_total": 500_000,
        "hktick_received_bytes_total": 60_000_000,
        "hktick_ticks_total": 520_000,
        "hktick_ticks_stored_total": 501_000,
        "hktick_duplicates_total": 18_990,
        "hktick_revisions_total": 7,
        "hktick_gaps_total": 10,
        "hktick_gaps_filled_total": 9,
        "hktick_premises_failed_total": 0,
        "hktick_extra_total": 8,
        "hktick_bad_rows_total": 3,
        "hktick_corrections_total": 2,
        "hktick_commits_total": 60_000,
        "hktick_writer_errors_total": 0,
        "hktick_journal_damages_total": 0,
        "hktick_writer_recoveries_total": 0,
        "hktick_watchdog_stalls_total": 0,
        "hktick_watchdog_recoveries_failed_total": 0,
        "hktick_reconnects_total": 2,
        "hktick_disconnects_total": 2,
        "hktick_backfills_total": 1,
        "hktick_poll_cycles_total": 235,
        "hktick_resubscribes_total": 0,
        "hktick_connected": 1,
        "hktick_opend_logged_in": 1,
        "hktick_market_open": 1,
        "hktick_symbols_subscribed": 900,
        "hktick_symbols_refused": 1,
        "hktick_symbols_left_out": 1,
        "hktick_last_heard_age_seconds": 0.1,
        "hktick_last_push_age_seconds": 0.1,
        "hktick_clock_offset_seconds": 0.12,
        "hktick_lag_seconds": 0.08,
        "hktick_last_commit_age_seconds": 0.2,
        "hktick_last_tick_timestamp_seconds": state["writer"]["max_ts_ms"] / 1000,
        "hktick_backlog_bytes": 900,
        "hktick_backlog_rows": 6,
        "hktick_journal_buffered_bytes": 0,
        "hktick_journal_full": 0,
        "hktick_days_waiting": 0,
        "hktick_disk_free_bytes": 75e9,
        "hktick_disk_days_left": 60.0,
        "hktick_lost_today_ticks": 0,
        "hktick_lost_today_shares": 0,
        "hktick_lost_today_symbols": 0,
        "hktick_lost_today_gaps": 0,
        "hktick_wal_bytes": 16_000_000,
        "hktick_wal_held_seconds": 0,
        "hktick_watchdog_stalled": 0,
    }
    assert {name: told[name] for name in expected} == pytest.approx(expected)
    assert told.keys() - expected.keys() == {
        "hktick_commit_duration_seconds_count",
        "hktick_commit_duration_seconds_sum",
    }


def test_what_was_lost_today_is_served() -> None:
    """Nothing lost is 0, so that an alert ends with the day; a recorder that does not tell serves none of it."""
    lost = Lost("20261120", 9, 7, 4253, 1700, 0, None, None, ("opend_down",))
    told = values(healthy_state(lost_today=encode(lost)))
    names = ("ticks", "shares", "symbols", "gaps")
    assert [told[f"hktick_lost_today_{name}"] for name in names] == [4253, 1700, 7, 9]
    state = healthy_state()
    del state["lost_today"]
    assert not [name for name in values(state) if name.startswith("hktick_lost_today")]


def test_what_is_not_told_is_not_served() -> None:
    """A zero that nobody has said would be a lie: before the first push there is no age of a push."""
    state = healthy_state(session={"last_push_age_sec": None, "clock_offset_ms": None}, market={"is_open": None})
    told = values(state)
    for name in ("hktick_last_push_age_seconds", "hktick_clock_offset_seconds", "hktick_market_open"):
        assert name not in told
    assert values({}).keys() == {"hktick_commit_duration_seconds_count", "hktick_commit_duration_seconds_sum"}


@pytest.mark.parametrize(
    ("state", "verdict"),
    [
        (healthy_state(), "ok"),
        (healthy_state(session={"refused": {"HK.1": "?"}}), "degraded"),
        (healthy_state(journal={"is_full": True}), "failing"),
        ({}, "unproven"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_the_verdict_is_one_of_four(state: dict[str, Any], verdict: str) -> None:
    """Exactly one label has 1."""
    samples = families(state)["hktick_health"].samples
    assert {sample.labels["verdict"]: sample.value for sample in samples} == {
        name: float(name == verdict) for name in ("ok", "degraded", "unproven", "failing")
    }


def test_an_old_description_is_failing() -> None:
    """The server answers while the recorder hangs, and says so."""
    state = healthy_state()
    metrics = RecorderMetrics(state, state["at_ms"] + 120_000, CommitDurations())
    told = {family.name: family for family in registry(metrics).collect()}
    (failing,) = [s for s in told["hktick_health"].samples if s.labels["verdict"] == "failing"]
    assert failing.value == 1
    assert told["hktick_state_age_seconds"].samples[0].value == 120


def test_the_build_is_told_by_labels() -> None:
    """Version, the operator's name of the recorder, and OpenD's version; also names that want escaping."""
    state = healthy_state(instance='a"b\\c\n')
    (sample,) = families(state)["hktick_build_info"].samples
    assert sample.labels == {"version": "9.9", "recorder": 'a"b\\c\n', "opend_version": "1011"}
    assert sample.value == 1


def test_symbols_are_served_on_request_only() -> None:
    """They are two series each, and there may be thousands of them."""
    assert not any("symbol_" in name for name in families(healthy_state()))
    stats = SymbolStats(17, 1, 1.0, 1, 2, 1_600_000_000_000, 1_600_000_001_500, 1_600_000_009_999)
    told = families(healthy_state(), symbols={"HK.00700": stats})
    (ticks,) = told["hktick_symbol_ticks"].samples
    (last,) = told["hktick_symbol_last_tick_timestamp_seconds"].samples
    assert (ticks.labels, ticks.value) == ({"symbol": "HK.00700"}, 17)
    assert (last.labels, last.value) == ({"symbol": "HK.00700"}, 1_600_000_001.5)


def test_commits_are_counted_in_buckets() -> None:
    """Cumulative, the bound included, the last without one; count and sum are of all."""
    commits = CommitDurations()
    for commit_ms in (1.0, 5.0, 5.1, 80.0, 10_000.0, 60_000.0):
        commits.add(commit_ms)
    samples = families(healthy_state(), commits=commits)["hktick_commit_duration_seconds"].samples
    buckets = {sample.labels["le"]: sample.value for sample in samples if sample.name.endswith("_bucket")}
    assert list(buckets) == [*map(str, COMMIT_BUCKETS_SEC), "+Inf"]
    assert (buckets["0.005"], buckets["0.01"], buckets["0.05"], buckets["0.1"]) == (2, 3, 3, 4)
    assert (buckets["5.0"], buckets["10.0"], buckets["+Inf"]) == (4, 5, 6)
    rest = {sample.name.rpartition("_")[2]: sample.value for sample in samples if "le" not in sample.labels}
    assert rest == pytest.approx({"count": 6, "sum": 70.0911})


def test_commits_are_counted_by_several_threads() -> None:
    """None is lost, and no scrape in between sees a bucket above the one behind it."""
    commits = CommitDurations()
    threads = [threading.Thread(target=lambda: [commits.add(n % 20_000) for n in range(5000)]) for _ in range(4)]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        counts = [sample.value for sample in commits.family().samples if sample.name.endswith("_bucket")]
        assert counts == sorted(counts)
    for thread in threads:
        thread.join()
    (count,) = [sample.value for sample in commits.family().samples if sample.name.endswith("_count")]
    assert count == 20_000


def test_names_follow_the_conventions() -> None:
    """Ours begin alike; units are base units and last; only counters end in _total; each has a meaning in words."""
    told = families(healthy_state(outage={"past": 2}), symbols={})
    for name, family in told.items():
        assert re.fullmatch(r"hktick_[a-z_]+[a-z]", name), name
        assert not re.search(r"_(ms|milliseconds|sec|kb|mb|minutes)\b", name), name
        assert family.documentation.endswith("."), name
        assert not name.endswith("_total"), "the parser takes it off from counters, where alone it belongs"
    served = {each.name for each in (*COUNTERS, *GAUGES, *LOST_TODAY, *LENGTHS)}
    assert len(served) == len(COUNTERS) + len(GAUGES) + len(LOST_TODAY) + len(LENGTHS)
    assert served <= told.keys()


def test_what_an_outage_costs_is_told_only_while_there_is_one() -> None:
    """No outage is no nought: an alert on it must not depend on what is not known."""
    assert "hktick_outage_symbols_past_deadline" not in values(healthy_state())
    assert values(healthy_state(outage={"past": 2}))["hktick_outage_symbols_past_deadline"] == 2


def test_the_global_registry_is_left_alone() -> None:
    """It is everybody's; and what stands in it by itself is not served."""
    values(healthy_state())
    assert not [name for name in REGISTRY._names_to_collectors if name.startswith("hktick_")]
    assert not [name for name in families(healthy_state()) if not name.startswith("hktick_")]


def test_a_recorder_without_metrics_does_not_pay_for_them() -> None:
    """METRICS_PORT is off by default: neither the client library nor an HTTP server is imported."""
    code = "import sys, hk_tick_collector.main; print(*sys.modules)"
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert not {"prometheus_client", "http.server", "hk_tick_collector.status.metrics"} & set(told.stdout.split())
