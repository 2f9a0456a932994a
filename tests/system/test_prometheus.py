"""Prometheus itself reads our rules, our metrics and the queries of our dashboard.

What is worth waking somebody fires, and a quiet market never does.
"""

from __future__ import annotations

import http.client
import json
import shutil
import socket
import subprocess
import time
import urllib.parse
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import pytest
from support.alerting import JOB, RULES_PATH, queries, rules
from support.needs import need_tools
from support.recorder_process import until
from support.recorder_state import healthy_state

from hk_tick_collector.status.metrics import MetricsServer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

pytestmark = [pytest.mark.system, pytest.mark.timeout(180)]

LOOPBACK: Final = "127.0.0.1"
TARGET: Final = "hk:9108"


@pytest.fixture
def program() -> Callable[[str], str]:
    """Finds Prometheus' programs."""

    def find(name: str) -> str:
        need_tools(name)
        path = shutil.which(name)
        assert path is not None
        return path

    return find


def test_the_rules_load_as_they_are(program: Callable[[str], str]) -> None:
    """Prometheus finds as many as there are, and nothing to say about them."""
    done = subprocess.run(
        [program("promtool"), "check", "rules", str(RULES_PATH)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"SUCCESS: {len(rules())} rules found" in done.stdout


# ---- when they fire


class Story(NamedTuple):
    """What was measured each minute from 08:00 of a Thursday in Hong Kong on, and which alerts are firing `at` then.

    Attributes:
        series: by name and labels, in promtool's notation.
        at: as promtool writes a time since the beginning; 1h is 09:00.
        alerts: the names of those that fire.
    """

    series: dict[str, str]
    at: str
    alerts: set[str]


ALWAYS: Final = {
    "up": "1x3000",
    'hktick_health{verdict="ok"}': "1x3000",
    'hktick_health{verdict="failing"}': "0x3000",
    'hktick_health{verdict="unproven"}': "0x3000",
    "hktick_market_open": "1x3000",
    "hktick_connected": "1x3000",
    "hktick_opend_logged_in": "1x3000",
    "hktick_symbols_subscribed": "900x3000",
    "hktick_symbols_refused": "1x3000",
    "hktick_symbols_left_out": "0x3000",
    "hktick_disconnects_total": "0x3000",
    "hktick_lag_seconds": "0.1x3000",
    "hktick_backlog_bytes": "1000x3000",
    "hktick_wal_bytes": "16e6x3000",
    "hktick_wal_held_seconds": "0x3000",
    "hktick_journal_damages_total": "0x3000",
    "hktick_start_time_seconds": "0x3000",
    "hktick_lost_today_gaps": "0x3000",
    "hktick_disk_days_left": "60x3000",
}

EARLY: Final = {"hktick_market_open": "0x60 1x300"}

STORIES: Final = {
    "a day that goes well": Story({}, "3h", set()),
    "a night": Story({"hktick_market_open": "0x3000", "hktick_lag_seconds": "900x3000"}, "14h", set()),
    "down at 10:00": Story({"up": "1x110 0x500"}, "2h", {"HkTickRecorderUnreachable"}),
    "down for a minute": Story({"up": "1x118 0x500"}, "2h", set()),
    "down at 22:00": Story({"up": "0x3000"}, "14h", set()),
    "down on a Saturday": Story({"up": "0x5000"}, "50h", set()),
    "failing": Story({'hktick_health{verdict="failing"}': "0x60 1x500"}, "2h", {"HkTickFailing"}),
    "failing for a minute": Story({'hktick_health{verdict="failing"}': "0x119 1x500"}, "2h", set()),
    "not connected at 08:50": Story({**EARLY, "hktick_connected": "0x300"}, "50m", {"HkTickNotReadyForTheOpen"}),
    "not logged in at 08:50": Story({**EARLY, "hktick_opend_logged_in": "0x300"}, "50m", {"HkTickNotReadyForTheOpen"}),
    "nothing subscribed at 08:50": Story(
        {**EARLY, "hktick_symbols_subscribed": "0x300"}, "50m", {"HkTickNotReadyForTheOpen"}
    ),
    "not connected at 04:00": Story({"hktick_connected": "0x3000", "hktick_market_open": "0x3000"}, "20h", set()),
    "not connected at 08:50 of a Saturday": Story({"hktick_connected": "0x5000"}, "48h50m", set()),
    "unproven in the morning": Story({'hktick_health{verdict="unproven"}': "1x300"}, "2h", {"HkTickUnproven"}),
    "unproven at night": Story(
        {'hktick_health{verdict="unproven"}': "1x3000", "hktick_market_open": "0x3000"}, "20h", set()
    ),
    "six sessions lost": Story({"hktick_disconnects_total": "0x110 1+1x300"}, "2h", {"HkTickFlapping"}),
    "two sessions lost": Story({"hktick_disconnects_total": "0x110 1x5 2x300"}, "2h", set()),
    "no quota": Story({"hktick_symbols_left_out": "3x300"}, "2h", {"HkTickSymbolsNotRecorded"}),
    "many codes refused": Story({"hktick_symbols_refused": "100x300"}, "2h", {"HkTickSymbolsNotRecorded"}),
    "behind": Story(
        {"hktick_lag_seconds": "0x60 90x300", "hktick_backlog_bytes": "5e7x300"}, "2h", {"HkTickFallingBehind"}
    ),
    "a WAL that grows": Story(
        {"hktick_wal_bytes": "3e9x300", "hktick_wal_held_seconds": "0+60x300"}, "2h", {"HkTickWalGrowing"}
    ),
    "a great WAL that nobody holds": Story({"hktick_wal_bytes": "3e9x300"}, "2h", set()),
    "a journal with a hole": Story({"hktick_journal_damages_total": "0x115 1x300"}, "2h", {"HkTickJournalDamaged"}),
    "a hole that the start has found": Story(
        {"hktick_journal_damages_total": "_x115 1x300", "hktick_start_time_seconds": "_x115 6900x300"},
        "2h",
        {"HkTickJournalDamaged"},
    ),
    "ticks lost at 10:00": Story({"hktick_lost_today_gaps": "0x60 54x300"}, "2h", {"HkTickLostToday"}),
    "a gap that is filled in time": Story({"hktick_lost_today_gaps": "0x110 54x5 0x300"}, "2h", set()),
    "a disk for two days": Story({"hktick_disk_days_left": "2x300"}, "2h", {"HkTickDiskFillingUp"}),
    "a disk for a week": Story({"hktick_disk_days_left": "7x300"}, "2h", set()),
    "a hole of long ago": Story({"hktick_journal_damages_total": "1x300"}, "2h", set()),
}


@pytest.mark.parametrize("name", STORIES)
def test_what_is_worth_waking_somebody_fires(name: str, program: Callable[[str], str], tmp_path: Path) -> None:
    """And nothing else does: each story is played to Prometheus' own rule engine."""
    story = STORIES[name]
    file = tmp_path / "story.yml"
    file.write_text(json.dumps(played(story)))
    done = subprocess.run(
        [program("promtool"), "test", "rules", str(file)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def played(story: Story) -> dict[str, Any]:
    """A test file of promtool's."""
    series = [{"series": labelled(name), "values": values} for name, values in {**ALWAYS, **story.series}.items()]
    expected = [
        {"expr": f'count by (alertname) (ALERTS{{alertstate="firing", alertname="{rule["alert"]}"}})',
         "eval_time": story.at,
         "exp_samples": [{"labels": f'{{alertname="{rule["alert"]}"}}', "value": 1}] * (rule["alert"] in story.alerts)}
        for rule in rules()
    ]  # fmt: skip
    test = {"interval": "1m", "input_series": series, "promql_expr_test": expected}
    return {"rule_files": [str(RULES_PATH)], "evaluation_interval": "1m", "tests": [test]}


def labelled(name: str) -> str:
    """A series with the labels that a scrape gives it."""
    name, _, labels = name.rstrip("}").partition("{")
    return f'{name}{{job="{JOB}", instance="{TARGET}"{", " if labels else ""}{labels}}}'


def test_every_alert_has_its_story() -> None:
    """One that never fires here may never fire."""
    assert set().union(*(story.alerts for story in STORIES.values())) == {rule["alert"] for rule in rules()}


# ---- a whole Prometheus


class Prometheus:
    """One that scrapes our server, with our rules."""

    def __init__(self, port: int) -> None:
        """It is running already."""
        self._port = port

    def get(self, path: str, **query: str) -> Any:  # noqa: ANN401 - JSON
        """What its API says; None while it does not."""
        connection = http.client.HTTPConnection(LOOPBACK, self._port, timeout=30)
        try:
            connection.request("GET", f"/api/v1/{path}?{urllib.parse.urlencode(query)}")
            reply = connection.getresponse()
            text = reply.read()
        except OSError:
            return None  # it does not listen yet
        finally:
            connection.close()
        if reply.status == http.HTTPStatus.SERVICE_UNAVAILABLE:
            return None  # it reads what it has stored
        assert reply.status == http.HTTPStatus.OK, text
        return json.loads(text)["data"]


@pytest.fixture
def prometheus(program: Callable[[str], str], tmp_path: Path) -> Iterator[Prometheus]:
    """A Prometheus that scrapes a recorder's server each fifth of a second."""
    server = MetricsServer(LOOPBACK, 0, lambda: healthy_state(at_ms=time.time_ns() // 1_000_000), tmp_path)
    server.start()
    with socket.socket() as sock:
        sock.bind((LOOPBACK, 0))
        port = sock.getsockname()[1]
    config = {
        "global": {"scrape_interval": "200ms", "scrape_timeout": "200ms", "evaluation_interval": "500ms"},
        "rule_files": [str(RULES_PATH)],
        "scrape_configs": [{"job_name": JOB, "static_configs": [{"targets": [f"{LOOPBACK}:{server.port}"]}]}],
    }
    (tmp_path / "prometheus.yml").write_text(json.dumps(config))
    arguments = ["--config.file=prometheus.yml", "--storage.tsdb.path=tsdb", f"--web.listen-address={LOOPBACK}:{port}"]
    with (tmp_path / "prometheus.log").open("wb") as log:
        process = subprocess.Popen([program("prometheus"), *arguments], cwd=tmp_path, stdout=log, stderr=log)
    try:
        yield Prometheus(port)
    finally:
        process.kill()
        process.wait()
        server.close()


def test_a_real_prometheus_scrapes_and_evaluates(prometheus: Prometheus) -> None:
    """The target is up, each rule is evaluated without an error, and each query of the dashboard draws something."""

    def value(query: str) -> list[Any]:
        found = prometheus.get("query", query=query)
        return found["result"] if found else []

    def samples() -> float:
        found = value("count_over_time(hktick_build_info[1m])")
        return float(found[0]["value"][1]) if found else 0.0

    until(lambda: samples() > 5, "it scrapes", 60.0)
    (target,) = prometheus.get("targets")["activeTargets"]
    assert (target["health"], target["lastError"]) == ("up", "")

    def evaluated() -> list[dict[str, Any]]:
        (group,) = prometheus.get("rules")["groups"]
        return [rule for rule in group["rules"] if rule["health"] != "unknown"]

    until(lambda: len(evaluated()) == len(rules()), "all rules are evaluated", 60.0)
    assert [(rule["name"], rule["lastError"]) for rule in evaluated() if rule["health"] != "ok"] == []
    for name, query in queries().items():
        assert value(query), f"{name}: {query}"
