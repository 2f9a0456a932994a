"""Faults in the stream of pushes: the next n are withheld, lost, sent twice, or sent in another order.

A fault is *armed* with a count and is done when it has touched that many. Owns the counting, so that a test can wait
until its fault has really happened. Never drops a tick that `withhold` or `lose` did not select.
"""

from __future__ import annotations

import asyncio
from random import Random
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hk_tick_collector.simulator.tape import MadeTick
    from hk_tick_collector.simulator.wire import Push


class Armed:
    """One armed fault."""

    def __init__(self, count: int, symbols: frozenset[str] = frozenset(), types: frozenset[int] = frozenset()) -> None:
        """Touch the next `count`, only of these symbols and types; empty: of all."""
        self._symbols = symbols
        self._types = types
        self.wanted = count
        self.touched = 0
        self.done = asyncio.Event()

    @property
    def left(self) -> int:
        """How many are still to be touched."""
        return self.wanted - self.touched

    def is_for(self, tick: MadeTick) -> bool:
        """Whether the fault applies to this trade."""
        return not (
            (self._symbols and tick.symbol not in self._symbols) or (self._types and tick.tick_type not in self._types)
        )

    def touch(self, count: int = 1) -> None:
        """Count touched ones, and set `done` after the last."""
        self.touched += count
        if self.left <= 0:
            self.done.set()


class PushShaper:
    """The armed faults, and what they do to pushes."""

    def __init__(self) -> None:
        self.withhold: Armed | None = None
        self.lose: Armed | None = None
        self.duplicate: Armed | None = None
        self.reorder: Armed | None = None
        self._waiting: list[Push] = []  # collected until there are enough to shuffle
        self._random = Random(0)

    def withholds(self, tick: MadeTick) -> bool:
        """Whether to keep this trade from OpenD. Call once per trade."""
        armed = self.withhold
        if armed is None or not armed.is_for(tick):
            return False
        armed.touch()
        if armed.left <= 0:
            self.withhold = None
        return True

    def loses(self) -> bool:
        """Whether to not push the next tick. Call once per tick that a client would get."""
        armed = self.lose
        if armed is None:
            return False
        armed.touch()
        if armed.left <= 0:
            self.lose = None
        return True

    def shape(self, pushes: list[Push]) -> list[Push]:
        """What to send instead of these pushes, in order."""
        if self.duplicate is None and self.reorder is None:
            return pushes
        return self._reordered(self._duplicated(pushes))

    def disarm(self, name: str) -> list[Push]:
        """Disarm a fault, and return the pushes that it has collected."""
        assert name in {"withhold", "lose", "duplicate", "reorder"}, name
        setattr(self, name, None)
        due: list[Push] = []
        if name == "reorder":
            due, self._waiting = self._waiting, []
        return due

    def _duplicated(self, pushes: list[Push]) -> list[Push]:
        armed = self.duplicate
        if armed is None:
            return pushes
        twice = min(armed.left, len(pushes))
        armed.touch(twice)
        if armed.left <= 0:
            self.duplicate = None
        return [push for push in pushes[:twice] for _ in (0, 1)] + pushes[twice:]

    def _reordered(self, pushes: list[Push]) -> list[Push]:
        armed = self.reorder
        if armed is None:
            return pushes
        take = armed.wanted - len(self._waiting)
        self._waiting += pushes[:take]
        if len(self._waiting) < armed.wanted:
            return []
        shuffled, self._waiting = self._waiting, []
        self.reorder = None
        before = list(shuffled)
        while shuffled == before and len(set(before)) > 1:
            self._random.shuffle(shuffled)
        armed.touch(armed.wanted)
        return shuffled + pushes[take:]
