"""Premises: what conclusions rest on without a guarantee; how often each held and failed, by symbol and day.

Owns the table `premises`. After a premise has failed for a symbol, nothing relies on it for that symbol on that day:
its users ask `has_failed`.
"""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import apsw

SEEN_MAX = 300

_HELD = (
    "INSERT INTO premises VALUES (?, ?, ?, 0, NULL, NULL) "
    "ON CONFLICT (symbol, name) DO UPDATE SET held = held + excluded.held"
)
_FAILED = (
    "INSERT INTO premises VALUES (?, ?, 0, 1, ?, ?) ON CONFLICT (symbol, name) DO UPDATE SET failed = failed + 1, "
    "failed_ms = ifnull(failed_ms, excluded.failed_ms), seen = ifnull(seen, excluded.seen)"
)
_HAS_HELD = "SELECT held FROM premises WHERE symbol = ? AND name = ?"
_HAS_FAILED = "SELECT failed FROM premises WHERE symbol = ? AND name = ?"


class Premise(StrEnum):
    """What is assumed to be true until it is seen to fail."""

    SAME_SEQUENCE = "same_sequence"  # a fetched tick has the sequence under which it was pushed
    WHOLE_WINDOW = "whole_window"  # a reply of GetTicker lacks no tick between its first and its last
    FRESH_SNAPSHOT = "fresh_snapshot"  # a snapshot counts all trades made 15 s before its own time
    # These are not in the table: the audit computes them from the stored ticks, see `audit.weighing`.
    ORDINALS_COUNT = "ordinals_count"  # an ordinal is one more than that of the push before
    MADE_GOOD_JOINS = "made_good_joins"  # what OpenD replays begins right after its ticks from before
    WHOLE_SECONDS = "whole_seconds"  # a trade's time has no fraction of a second


def note_held(con: apsw.Connection, symbol: str, premise: Premise, times: int = 1) -> None:
    """Count that it held."""
    con.execute(_HELD, (symbol, premise, times))


def note_failed(con: apsw.Connection, symbol: str, premise: Premise, at_ms: int, seen: str) -> bool:
    """Count that it failed. Returns whether that was the first time for this symbol, on this day."""
    is_first = not has_failed(con, symbol, premise)
    con.execute(_FAILED, (symbol, premise, at_ms, seen[:SEEN_MAX]))
    return is_first


def has_failed(con: apsw.Connection, symbol: str, premise: Premise) -> bool:
    """Whether it has failed for this symbol, on this day."""
    return bool(con.execute(_HAS_FAILED, (symbol, premise)).get)


def has_held(con: apsw.Connection, symbol: str, premise: Premise) -> bool:
    """Whether it has held for this symbol, on this day."""
    return bool(con.execute(_HAS_HELD, (symbol, premise)).get)


# One late snapshot says nothing about the next one; a failure of any other premise is a property of the feed.
PASSING: Final = frozenset({"fresh_snapshot"})
