"""The writer's places in the journal: where it continues, and where each waiting day continues.

Owns `journal/cursor.json`. All days share one place; a day whose database can't be written keeps its own while the
others go on. Invariant: no place has passed a row that is not committed. The file is not synced: an older place only
means that more is stored again, which changes nothing.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from hk_tick_collector.clock import boot_id
from hk_tick_collector.hktime import day_before
from hk_tick_collector.journal.segments import BEGINNING, Position, list_segments

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from hk_tick_collector.journal.segments import Segment

CURSOR: Final = "cursor.json"
BEFORE: Final = "before-"  # `before-20261129` in place of a day: all days before it


class Wait(NamedTuple):
    """A waiting day.

    Attributes:
        place: its ticks from here on are not stored.
        since_ms: when it began to wait, by the host's clock.
        reason: why, in words.
        is_anew: its database is being made again, so a missing file is not an error.
    """

    place: Position
    since_ms: int
    reason: str
    is_anew: bool = False


def save_cursor(root: Path, position: Position, waits: Mapping[str, Wait] | None = None) -> None:
    """Save where the writer continues.

    Args:
        root: `DATA_ROOT/journal`.
        position: the end of the last record that is stored, except for waiting days.
        waits: the waiting days, by day, or by `BEFORE` and a day.
    """
    temporary = root / (CURSOR + ".tmp")
    told_waits = {
        day: [wait.place, wait.since_ms, wait.reason, *(["anew"] if wait.is_anew else [])]
        for day, wait in (waits or {}).items()
    }
    told = {**position._asdict(), "boot_id": boot_id(), "waits": told_waits}
    temporary.write_text(json.dumps(told), encoding="utf-8")
    temporary.replace(root / CURSOR)


def load_cursor(root: Path) -> Position | None:
    """Where the writer continues; None: there is no readable cursor, so all that the journal holds is replayed."""
    told = _read(root)
    return told[0] if told else None


def begin_of(root: Path) -> Position | None:
    """Like `load_cursor`, but None also for a place after the newest segment.

    That cursor is from another journal: nothing of this one is stored.
    """
    cursor, segments = load_cursor(root), list_segments(root)
    return None if cursor is not None and segments and cursor.segment > segments[-1].number else cursor


def load_waits(root: Path) -> dict[str, Wait]:
    """The waiting days."""
    told = _read(root)
    return told[1] if told else {}


def waits_for(waits: Mapping[str, Wait], day: str) -> bool:
    """Whether a day waits, alone or together with all days before another one."""
    return any(day < name[len(BEFORE) :] if name.startswith(BEFORE) else day == name for name in waits)


def needed_from(root: Path) -> Position | None:
    """The earliest place that any day still needs; None: there is no readable cursor."""
    told = _read(root)
    return min([told[0], *(wait.place for wait in told[1].values())]) if told else None


def cursor_is_of_this_boot(root: Path) -> bool:
    """Whether the machine has run without a restart since the cursor was saved."""
    try:
        return bool(json.loads((root / CURSOR).read_text(encoding="utf-8"))["boot_id"] == boot_id())
    except (OSError, ValueError, KeyError, TypeError):
        return False


def first_of_day(root: Path, position: Position) -> Position:
    """The beginning of the first segment of the day in which a position lies."""
    segments = list_segments(root)
    day = next((s.day for s in segments if s.number == position.segment), None)
    first = min((s.number for s in segments if s.day == day), default=position.segment)
    return Position(first, 0, -1)


def first_for_day(root: Path, day: str) -> Position:
    """The first place from which the journal can hold ticks of a day."""
    segments = segments_for_day(list_segments(root), day)
    return Position(segments[0].number, 0, -1) if segments else BEGINNING


def segments_for_day(segments: list[Segment], day: str) -> list[Segment]:
    """The segments, of all, that can hold ticks of a day.

    The first is one of the day before, since the host's clock may still show that day. All segments after the first
    count, even if their names say an earlier day: a late clock gave them those names. If every segment has the name of
    an earlier day, the clock may have been late all the time, and all of them count.
    """
    before = day_before(day, 1)
    first = next((number for number, segment in enumerate(segments) if segment.day >= before), 0)
    return segments[first:]


def bytes_between(root: Path, begin: Position, end: Position) -> int:
    """How many bytes of the journal lie between two places."""
    sizes = [s.size_bytes for s in list_segments(root) if begin.segment <= s.number < end.segment]
    return max(0, sum(sizes) - begin.offset + end.offset)


def _read(root: Path) -> tuple[Position, dict[str, Wait]] | None:
    """None if any part of it can't be read: storing everything again is harmless, skipping something is not."""
    try:
        fields: dict[str, Any] = json.loads((root / CURSOR).read_text(encoding="utf-8"))
        position = Position(int(fields["segment"]), int(fields["offset"]), int(fields["record_no"]))
        waits = {
            str(day): Wait(Position(*map(int, place)), int(since_ms), str(reason), how == ["anew"])
            for day, (place, since_ms, reason, *how) in fields.get("waits", {}).items()
        }
    except (FileNotFoundError, ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError):
        return None
    places = [position, *(wait.place for wait in waits.values())]
    return (position, waits) if all(place.segment >= 0 and place.offset >= 0 for place in places) else None
