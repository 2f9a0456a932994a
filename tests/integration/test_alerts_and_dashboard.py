"""Alert rules and dashboard ask for what is served, and tell people what to do.

`tests/system` has Prometheus itself read them.
"""

from __future__ import annotations

import itertools
import re
from pathlib import Path
from typing import Any, Final

import pytest
from support.alerting import JOB, dashboard, named, queries, rules, served

OPERATIONS: Final = (Path(__file__).parents[2] / "docs" / "operations.md").read_text(encoding="utf-8")
SYMBOL_METRICS: Final = {"hktick_symbol_ticks", "hktick_symbol_last_tick_timestamp_seconds"}


@pytest.mark.parametrize("rule", rules(), ids=lambda rule: rule["alert"])
def test_an_alert_says_what_it_is_and_what_to_do(rule: dict[str, Any]) -> None:
    """A summary of one line with its recorder, a description that begins with nothing but words, and a severity."""
    assert rule.keys() <= {"alert", "expr", "for", "labels", "annotations"}
    assert re.fullmatch(r"HkTick[A-Za-z]+", rule["alert"])
    assert rule["labels"] in ({"severity": "page"}, {"severity": "ticket"})
    assert rule["annotations"].keys() == {"summary", "description"}
    assert "{{ $labels.instance }}" in rule["annotations"]["summary"]
    assert len(rule["annotations"]["summary"]) < 120
    assert len(rule["annotations"]["description"]) > 100


def test_alerts_have_names_of_their_own_and_are_documented() -> None:
    """docs/operations.md lists each of them, and no other."""
    names = [rule["alert"] for rule in rules()]
    assert len(set(names)) == len(names) > 5
    assert set(re.findall(r"`(HkTick\w+)`", OPERATIONS)) == set(names)


def test_alerts_and_dashboard_ask_for_what_is_served() -> None:
    """A name that nobody serves never fires and never draws."""
    asked = {**queries(), **{rule["alert"]: rule["expr"] for rule in rules()}}
    missing = {name: unknown for name, query in asked.items() if (unknown := named(query) - served())}
    assert not missing
    assert not [name for name, query in asked.items() if not named(query) and "up{" not in query]


def test_each_selector_is_of_our_job() -> None:
    """Rules and dashboard agree with the scrape configuration that they ask for."""
    jobs = {job for query in queries().values() for job in re.findall(r'job="([^"]*)"', query)}
    jobs |= {job for rule in rules() for job in re.findall(r'job="([^"]*)"', rule["expr"])}
    assert jobs == {JOB}


def test_every_metric_is_documented() -> None:
    """The table of docs/operations.md has each name that is served and no other."""
    documented = set(re.findall(r"^\| `(hktick_\w+)", OPERATIONS, re.MULTILINE))
    families = {re.sub(r"_(bucket|count|sum)$", "", name) for name in served()}
    assert documented == families | SYMBOL_METRICS


def test_the_dashboard_can_be_imported_anywhere() -> None:
    """It brings no identity of a server: the data source is chosen, and every panel uses the choice."""
    board = dashboard()
    assert board["id"] is None
    variables = {variable["name"]: variable for variable in board["templating"]["list"]}
    assert variables["datasource"]["type"] == "datasource"
    assert variables["datasource"]["query"] == "prometheus"
    assert variables["instance"]["query"]["query"] == variables["instance"]["definition"]
    for holder in (variables["instance"], *board["panels"], *(t for p in board["panels"] for t in p["targets"])):
        assert holder["datasource"] == {"type": "prometheus", "uid": "${datasource}"}


def test_panels_have_a_place_and_a_meaning() -> None:
    """None lies on another or out of the 24 columns; each has a title of its own and says what it shows."""
    panels = dashboard()["panels"]
    for one, other in itertools.combinations(panels, 2):
        a, b = one["gridPos"], other["gridPos"]
        is_beside = a["x"] + a["w"] <= b["x"] or b["x"] + b["w"] <= a["x"]
        is_below = a["y"] + a["h"] <= b["y"] or b["y"] + b["h"] <= a["y"]
        assert is_beside or is_below, (one["title"], other["title"])
        assert one["id"] != other["id"]
        assert one["title"] != other["title"]
    for panel in panels:
        assert panel["gridPos"]["x"] + panel["gridPos"]["w"] <= 24
        assert panel["description"].endswith(".")
        assert panel["targets"]
