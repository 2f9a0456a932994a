"""How the recorder seals and archives days that are over: when, how often it tries, and what it logs.

Owns these processes: one at a time, only while Hong Kong does not trade. Never seals in this process, and never waits
for a disk in the event loop. Invariant: each day that was tried has a line in the log.

What an outage leaves unproven of a day may be proven once OpenD is back, by the exchange's totals of that day. A sealed
day takes up no more evidence, so sealing waits until OpenD is connected and its answers have come.

The host's clock alone never decides that a day is over: OpenD's must agree with it, by the offset last measured and all
steps since. Waiting is measured by a clock that can't be set. If OpenD was never connected, the days that have a
database are certainly over: the wait for OpenD was longer than a day.
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any, Final

from hk_tick_collector import logs
from hk_tick_collector.clock import disagreement
from hk_tick_collector.hktime import hk_day, opens_ms, session_of
from hk_tick_collector.opend.market import CONTINUOUS
from hk_tick_collector.seal import nightly_process
from hk_tick_collector.seal.due import BUSY, due_days

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from hk_tick_collector.config import Settings
    from hk_tick_collector.session.state import ClientState

log = logs.get_logger()

CHECK_EVERY_SEC: Final = 60.0
TOLD_EVERY_SEC: Final = 3600.0
RETRY_SEC: Final = 3600.0  # after a day that could not be sealed
# After a connect everything is fetched, and the exchange's totals are requested three times, a minute apart.
SETTLE_SEC: Final = 300.0
WAIT_FOR_OPEND_SEC: Final = 4 * 86400.0  # a long weekend; then OpenD may be gone for good
LONGEST_SEC: Final = 4 * 3600.0  # for thirty days; a process that takes longer hangs
SEALING: Final = "hk_tick_collector.seal"
ARCHIVING: Final = "hk_tick_collector.archive"


class Sealer:
    """Seals the days that are due, for as long as the recorder runs."""

    def __init__(
        self,
        settings: Settings,
        data_root: Path,
        session: ClientState,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """Does not start anything yet.

        Args:
            settings: the recorder's.
            data_root: whose days.
            session: the current state of the connection to OpenD, and the host's clock.
            monotonic: a clock that can't be set, in seconds.
        """
        self._root = data_root
        self._is_enabled = settings.seal_enabled
        self._delay_sec = settings.seal_delay_min * 60  # also how long a reopened day stays open
        self._archives = settings.archive_enabled
        self._keep_days = settings.archive_keep_days
        self._archived_before = ""  # the day before which everything due was archived
        self._log_level = settings.log_level
        self._session = session
        self._monotonic = monotonic
        self._heard_at = monotonic()  # when OpenD was last connected, or when this object was created
        self._seals_at = self._archives_at = 0.0  # not before
        self._limiter = logs.Limiter(TOLD_EVERY_SEC, monotonic)

    async def run(self) -> None:
        """Check every minute whether a day is to be sealed; never ends."""
        if not self._is_enabled:
            await asyncio.Event().wait()
        while True:
            await self._look()
            await asyncio.sleep(min(CHECK_EVERY_SEC, max(1.0, self._delay_sec)))

    async def _look(self) -> None:
        now_ms = self._now_ms()
        if now_ms is None or session_of(now_ms) != "closed":
            return
        if self._session.connected and self._session.market in CONTINUOUS:  # whatever the calendar says
            return
        before_day = hk_day(now_ms - round(self._delay_sec * 1000))
        closed_sec = (opens_ms(now_ms) - now_ms) / 1000
        if self._monotonic() >= self._seals_at:
            await self._seal_due(before_day, closed_sec)
        if self._archives and self._archived_before != before_day and self._monotonic() >= self._archives_at:
            await self._archive_due(before_day, closed_sec)

    async def _seal_due(self, before_day: str, closed_sec: float) -> None:
        try:
            due = await asyncio.to_thread(due_days, self._root, before_day, self._delay_sec)
            is_done = not due or await self._seal(before_day, due, closed_sec)
        except (OSError, ValueError) as exc:  # no process can be started, the disk fails, a line is cut off
            log.error("seal_failed", day=None, reason=exc)
            is_done, due = False, []
        if not is_done:
            self._seals_at = self._monotonic() + RETRY_SEC
        if due:
            self._archived_before = ""

    async def _archive_due(self, before_day: str, closed_sec: float) -> None:
        """Once a night, and again after a sealing; a day that fails is tried again in an hour."""
        try:
            is_done = await self._archive(before_day, closed_sec)
        except (OSError, ValueError) as exc:
            log.error("archive_failed", day=None, reason=exc)
            is_done = False
        if is_done:
            self._archived_before = before_day
        else:
            self._archives_at = self._monotonic() + RETRY_SEC

    def _now_ms(self) -> int | None:
        """The earlier of the host's clock and OpenD's.

        None: OpenD may still send evidence about past days, or the two clocks don't agree.
        """
        session, now = self._session, self._monotonic()
        now_ms = session.clock.now_ms()  # read first: a step of the clock changes the offset used below
        if session.connected:
            self._heard_at = now
            settle_sec = min(SETTLE_SEC, self._delay_sec)
            if session.clock_offset_ms is None or session.up_at is None or now - session.up_at < settle_sec:
                return None
        elif now - self._heard_at < WAIT_FOR_OPEND_SEC:
            return None
        reason = None if session.clock_offset_ms is None else disagreement(session.clock_offset_ms)
        if reason is not None:
            held = self._limiter.allow("waits")
            if held is not None:
                log.warning("seal_waits", reason=reason, repeated=held)
            return None
        return now_ms + min(0, session.clock_offset_ms or 0)

    async def _seal(self, before_day: str, due: list[str], closed_sec: float) -> bool:
        """Let a process seal the due days while Hong Kong is closed; what is left is sealed after the next close.

        Returns:
            Whether no day failed. It is not a failure that another process is sealing now.
        """
        asked = {
            "data_root": str(self._root),
            "before_day": before_day,
            "quiet_sec": self._delay_sec,
            "log_level": self._log_level,
        }
        told: list[dict[str, Any]] = []

        def tell(line: dict[str, Any]) -> None:
            told.append(line)
            _tell(line)

        code = await nightly_process.run(SEALING, asked, min(LONGEST_SEC, closed_sec), tell)
        if code not in {0, BUSY}:
            seen = _why(code, closed_sec, "sealing")
            log.error("seal_failed", day=due[min(len(told), len(due) - 1)], reason=seen)
        return code == BUSY or (code == 0 and not any("error" in one for one in told))

    async def _archive(self, today: str, closed_sec: float) -> bool:
        """Let a process archive what is due, once a night, and after each sealing.

        Returns:
            Whether no day failed.
        """
        asked = {
            "data_root": str(self._root),
            "today": today,
            "keep_days": self._keep_days,
            "log_level": self._log_level,
        }
        told: list[dict[str, Any]] = []

        def tell(line: dict[str, Any]) -> None:
            told.append(line)
            _tell_archived(line)

        code = await nightly_process.run(ARCHIVING, asked, min(LONGEST_SEC, closed_sec), tell)
        if code not in {0, BUSY}:
            log.error("archive_failed", day=None, reason=_why(code, closed_sec, "archiving"))
        return code == 0 and not any("error" in one for one in told)


def _why(code: int | None, closed_sec: float, what: str) -> str:
    """Why a process did not finish its work."""
    if code is not None:
        return f"the {what} process ended with {code}"
    if closed_sec < LONGEST_SEC:
        return "Hong Kong opens; it is done after the close"
    return f"the {what} process hung"


def _tell(told: dict[str, Any]) -> None:
    if "error" in told:
        log.error("seal_failed", day=told["day"], reason=told["error"])
        return
    tell = log.info if told["verdict"] == "COMPLETE" else log.warning
    tell(
        "day_sealed",
        day=told["day"],
        verdict=told["verdict"],
        rows=told["rows"],
        complete=told["complete"],
        incomplete=told["incomplete"],
        unprovable=told["unprovable"],
        sec=told["sec"],
    )


def _tell_archived(told: dict[str, Any]) -> None:
    if "error" in told:
        log.error("archive_failed", day=told["day"], reason=told["error"])
    elif told["kind"] == "restored":
        log.warning("day_restored", day=told["day"], certificate=told["superseded"])
    else:
        if told["damage"]:
            log.warning("archive_damaged", day=told["day"], reason=told["damage"])
        log.info(
            "day_archived",
            day=told["day"],
            rows=told["ticks"],
            bytes=told["size_bytes"],
            removed_bytes=told["database_bytes"] if told["is_removed"] else 0,
            read_by=told["decoder"],
            sec=round(told["sec"], 1),
        )
