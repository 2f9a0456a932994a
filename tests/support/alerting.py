"""The alert rules and the dashboard that come with the project, as their readers read them."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any, Final

import yaml
from prometheus_client.exposition import generate_latest
from prometheus_client.parser import text_string_to_metric_families

from hk_tick_collector.status.metric_families import CommitDurations, RecorderMetrics, registry
from support.recorder_state import healthy_state

DEPLOY: Final = Path(__file__).parents[2] / "deploy"
RULES_PATH: Final = DEPLOY / "prometheus-alerts.yml"
DASHBOARD_PATH: Final = DEPLOY / "grafana-dashboard.json"

JOB: Final = "hk-tick-collector"


def rules() -> list[dict[str, Any]]:
    """Every alert, as it is written."""
    (group,) = yaml.safe_load(RULES_PATH.read_text(encoding="utf-8"))["groups"]
    found = group["rules"]
    assert isinstance(found, list)
    return found


def dashboard() -> dict[str, Any]:
    """The dashboard, as it is written."""
    found = json.loads(DASHBOARD_PATH.read_text(encoding="utf-8"))
    assert isinstance(found, dict)
    return found


def queries() -> dict[str, str]:
    """Every query of the dashboard by its panel and letter, with Grafana's variables filled in."""
    return {
        f"{panel['title']} {target['refId']}": target["expr"]
        .replace("$__rate_interval", "1m")
        .replace("$instance", ".*")
        for panel in dashboard()["panels"]
        for target in panel["targets"]
    }


def served() -> set[str]:
    """The name of every series that a recorder serves when all is well, without those of its symbols."""
    state = healthy_state(outage={"past": 1})
    text = generate_latest(registry(RecorderMetrics(state, state["at_ms"], CommitDurations()))).decode()
    return {sample.name for family in text_string_to_metric_families(text) for sample in family.samples}


def named(query: str) -> set[str]:
    """The series of ours that a query asks for."""
    return set(re.findall(r"\bhktick_\w+", query))
