"""What a rule of health finds, and how it reads what a recorder says: any value may be absent, or of any type."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from hk_tick_collector.text import counted, size

if TYPE_CHECKING:
    from collections.abc import Mapping

NAMES_SHOWN: Final = 3


class Verdict(StrEnum):
    """How it is; the later ones outweigh the ones before."""

    OK = "ok"
    DEGRADED = "degraded"
    UNPROVEN = "unproven"
    FAILING = "failing"


class Finding(NamedTuple):
    """What a rule finds."""

    verdict: Verdict
    reason: str


def part_of(state: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """A part of `recorder.json`, or {} if it is not there."""
    part = state.get(name)
    return part if isinstance(part, dict) else {}


def number_of(values: Mapping[str, Any], name: str) -> float | None:
    """The number of that name, or None if it is not there."""
    value = values.get(name)
    return value if isinstance(value, int | float) and not isinstance(value, bool) else None


def waiting(state: Mapping[str, Any]) -> str:
    """What is received and not stored, as the end of a sentence; empty if there is nothing."""
    journal = part_of(state, "journal")
    rows, size_bytes = number_of(journal, "backlog_rows"), number_of(journal, "backlog_bytes")
    if rows:
        return f", {rows:,.0f} rows waiting"
    return f", {size(size_bytes)} waiting" if size_bytes else ""


def count(what: Any, name: str) -> str:  # noqa: ANN401 - a collection or a number
    """`3 rows`, of a number or of a collection's length."""
    return counted(int(what) if isinstance(what, int | float) else len(what), name)


def and_more(what: Any) -> str:  # noqa: ANN401 - a collection
    """How many more there are than are shown, as the end of a list."""
    return f" and {len(what) - NAMES_SHOWN:,} more" if len(what) > NAMES_SHOWN else ""
