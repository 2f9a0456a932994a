"""What a health rule finds, and the wording that rules share."""

from __future__ import annotations

from enum import StrEnum
from itertools import islice
from typing import TYPE_CHECKING, Final, NamedTuple

from hk_tick_collector.text import counted, excerpt, size

if TYPE_CHECKING:
    from collections.abc import Collection

    from hk_tick_collector.status.state import RecorderState
    from hk_tick_collector.status.troubles import Trouble

NAMES_SHOWN: Final = 3


class Verdict(StrEnum):
    """How the recorder is doing; later members outweigh earlier ones."""

    OK = "ok"
    DEGRADED = "degraded"
    UNPROVEN = "unproven"
    FAILING = "failing"


class Finding(NamedTuple):
    """What a rule finds.

    Attributes:
        verdict: how bad it is.
        trouble: which trouble it is; it has the cure.
        seen: what was seen, with its cause as far as it is known; no full stop at its end.
    """

    verdict: Verdict
    trouble: Trouble
    seen: str


def waiting(state: RecorderState) -> str:
    """The backlog, as the end of a sentence; empty if there is no backlog."""
    if state.journal.backlog_rows:
        return f", {state.journal.backlog_rows:,} rows waiting"
    return f", {size(state.journal.backlog_bytes)} waiting" if state.journal.backlog_bytes else ""


def count(what: Collection[object] | float, name: str) -> str:
    """`3 rows`, from a number or a collection's length."""
    return counted(int(what) if isinstance(what, int | float) else len(what), name)


def named(names: Collection[str], total: int | None = None) -> str:
    """The first names, and how many more there are; `total`: of how many `names` are the first."""
    shown = ", ".join(excerpt(name) for name in islice(names, NAMES_SHOWN))
    return shown + and_more(len(names) if total is None else total)


def and_more(total: int) -> str:
    """How many more there are than are shown, as the end of a list."""
    return f" and {total - NAMES_SHOWN:,} more" if total > NAMES_SHOWN else ""
