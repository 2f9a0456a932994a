"""What all faults share: a ledger line when a fault is applied, and an end for one that lasts.

Owns which lasting faults are active, and ends them. Faults that use the same resource (the port, the writes, the
exchange) exclude each other; all others may overlap.
"""

from __future__ import annotations

import asyncio
import logging
from time import monotonic
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Self

from hk_tick_collector.errors import CommandError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from hk_tick_collector.simulator.fields import Fields
    from hk_tick_collector.simulator.server import Server
    from hk_tick_collector.simulator.shaping import Armed

_log = logging.getLogger(__name__)

SEC_MAX: Final = 3600.0
COUNT_MAX: Final = 1_000_000

# The resources that each lasting fault uses exclusively.
_TAKES: Final[dict[str, frozenset[str]]] = {
    "refuse": frozenset({"port", "exchange"}),
    "exchange_frozen": frozenset({"exchange", "snapshots"}),
    "snapshot_frozen": frozenset({"snapshots"}),
    "snapshot_late": frozenset({"snapshots"}),
    "restart": frozenset({"port", "exchange", "right"}),
    "outage": frozenset({"exchange"}),
    "kick": frozenset({"right"}),
    "freeze": frozenset({"writes"}),
    "slow": frozenset({"writes"}),
    "silent": frozenset({"answers"}),
}


class Arming(NamedTuple):
    """How a fault for the next `n` items is armed: how many, whether the answer waits for them, and how long."""

    wanted: int
    wait: bool
    timeout_sec: float

    @classmethod
    def of(cls, fields: Fields, *, low: int = 1) -> Self:
        """Read the fields; `low` is the smallest allowed `n`, and the default."""
        return cls(
            fields.integer("n", low, low=low, high=COUNT_MAX),
            fields.flag("wait", default=True),
            fields.number("timeout_sec", 30.0, low=0.01, high=SEC_MAX),
        )


class Lasting:
    """The faults of one simulator that are not over yet."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._until: dict[str, float] = {}  # lasting fault → monotonic end
        self._tasks: set[asyncio.Task[None]] = set()

    def active(self) -> dict[str, float]:
        """The active lasting faults and the seconds that each has left."""
        now = monotonic()
        return {name: round(max(0.0, until - now), 3) for name, until in self._until.items()}

    def cancel(self) -> None:
        """Cancel all pending ends: the simulator stops."""
        for task in self._tasks:
            task.cancel()

    def begin(self, name: str, sec: float, end: Callable[[], Awaitable[int]]) -> None:
        """Register a lasting fault and schedule `end` after `sec`; `end` returns how much it touched.

        Raises:
            CommandError: another active fault uses a resource that this one needs.
        """
        for other in self._until:
            if _TAKES[other] & _TAKES[name]:
                left = self.active()[other]
                raise CommandError(f"{name} can't be while {other} is, which lasts another {left:.1f} s")
        self._until[name] = monotonic() + sec
        self.start(self._end_after(name, sec, end))

    def applied(self, fault: str, n: int, **details: object) -> dict[str, Any]:
        """Write a fault that was just applied to the ledger, and return the command's answer."""
        self._server.note_fault(fault, n=n, **details)
        self._server.opend.ledger.flush()
        return {"n": n, **details}

    async def arm(
        self, name: str, armed: Armed, arming: Arming, what: str, disarm: Callable[[], None]
    ) -> dict[str, Any]:
        """Schedule the end of an armed fault. Answer when it has touched all, or immediately without `wait`.

        Raises:
            CommandError: fewer than wanted came in time; `what` names them in the message.
        """
        ending = self.start(self._finish_armed(name, armed, arming.timeout_sec, disarm))
        if not arming.wait:
            return {"n": 0, "armed": arming.wanted}
        await ending
        if armed.left > 0:
            raise CommandError(f"only {armed.touched} of {arming.wanted} {what} came within {arming.timeout_sec:g} s")
        return {"n": armed.touched}

    def start(self, coroutine: Any) -> asyncio.Task[None]:  # noqa: ANN401 - Coroutine[Any, Any, None]
        """Run part of a fault in the background."""
        task: asyncio.Task[None] = asyncio.get_running_loop().create_task(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._ended)
        return task

    async def _end_after(self, name: str, sec: float, end: Callable[[], Awaitable[int]]) -> None:
        await asyncio.sleep(sec)
        touched = await end()
        self._server.note_fault(f"{name}_over", n=touched)
        del self._until[name]

    async def _finish_armed(self, name: str, armed: Armed, timeout_sec: float, disarm: Callable[[], None]) -> None:
        try:
            await asyncio.wait_for(armed.done.wait(), timeout_sec)
        except TimeoutError:
            disarm()
        if armed.touched:
            self._server.note_fault(name, n=armed.touched)
            self._server.opend.ledger.flush()

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and task.exception() is not None:
            _log.error("a fault could not be ended", exc_info=task.exception())


def seconds(fields: Fields, name: str = "sec") -> float:
    """Read how long a fault lasts."""
    return fields.number(name, low=0.01, high=SEC_MAX)
