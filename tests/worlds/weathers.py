"""What can go wrong on a day, and which of it a seed draws.

Owns the weathers' names and their mixing. What each one does is decided where it strikes.
"""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from random import Random


class Weather(StrEnum):
    """One kind of trouble. A share is of the snapshots."""

    LATE_1 = "1 % of snapshots late"
    LATE_10 = "10 % of snapshots late"
    LYING_1 = "1 % late, time current"
    LYING_10 = "10 % late, time current"
    STALE = "2 % of snapshots stale"
    SNAPSHOTS_MISSING = "snapshots missing"
    LOW_WORD = "one low word"
    FROZEN = "feed freezes"
    PUSHES_LATE = "pushes late"
    CANCELLED = "trades cancelled"
    CORRECTED = "trades corrected"
    NOT_COUNTED = "types not counted"
    ORDINALS = "odd ordinals"
    HOST_CLOCK = "host clock wrong"
    OPEND_CLOCK = "OpenD clock wrong"
    CALENDAR = "calendar wrong"
    HOLES = "windows with holes"
    RENUMBERED = "windows renumbered"
    EXCHANGE_LOST = "exchange lost"
    LATE_START = "late start"
    RESTART = "restart"
    ENDS_EARLY = "recorder ends early"
    WRITERS = "several writers"
    ADDED = "symbol added"
    NO_QUOTA = "symbol without quota"


_FAMILIES: Final = (
    {Weather.LATE_1, Weather.LATE_10, Weather.LYING_1, Weather.LYING_10, Weather.STALE},
    {Weather.CANCELLED, Weather.CORRECTED},
    {Weather.LATE_START, Weather.ADDED, Weather.NO_QUOTA},
)


class Plan(NamedTuple):
    """What a day is made of.

    Attributes:
        weathers: none to three.
        has_losses: whether pushes are lost beyond what the weathers take.
        is_half_day: whether the exchange closes at noon.
    """

    weathers: frozenset[Weather]
    has_losses: bool
    is_half_day: bool

    def has(self, *weathers: Weather) -> bool:
        """Whether one of these is drawn."""
        return not self.weathers.isdisjoint(weathers)


def draw_plan(random: Random) -> Plan:
    """Draw the weathers of a day: half of them one alone; none is drawn with another of its family."""
    count = random.choices([0, 1, 2, 3], [8, 50, 25, 17])[0]
    drawn: set[Weather] = set()
    while len(drawn) < count:
        weather = random.choice(list(Weather))
        if not any(weather in family and drawn & family for family in _FAMILIES):
            drawn.add(weather)
    return Plan(frozenset(drawn), random.random() < 0.5, random.random() < 0.1)
