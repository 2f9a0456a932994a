"""The commands that break what a recorder takes for granted about OpenD's answers.

Answers and ledger lines are the same as for all `faults`. For a fault that lasts, `n` is the number of symbols
concerned (1 where symbols don't apply), and the `n` of its …_over line is how often it took effect: rows, replies or
ticks. Ending a fault that is not on is refused. `premises` owns what OpenD then answers.
"""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Any, Final

from hk_tick_collector.errors import CommandError
from hk_tick_collector.simulator.calendar import DayKind, day_kind
from hk_tick_collector.simulator.history import REACHES_SEC
from hk_tick_collector.simulator.lasting import Arming, seconds
from hk_tick_collector.simulator.opend import Upstream
from hk_tick_collector.simulator.premises import (
    Frozen,
    Holes,
    Late,
    Low,
    Refused,
    Renumbered,
    WrongClock,
    WrongState,
)
from hk_tick_collector.simulator.shaping import Armed

if TYPE_CHECKING:
    from hk_tick_collector.simulator.fields import Fields
    from hk_tick_collector.simulator.lasting import Lasting
    from hk_tick_collector.simulator.opend import SimulatedOpenD
    from hk_tick_collector.simulator.premises import Premises
    from hk_tick_collector.simulator.server import Server

_VOLUME_MAX: Final = 10**12
_WINDOW_MAX: Final = 1000
_OFFSET_MAX_SEC: Final = 10**9
_STATE_MAX: Final = 2**31 - 1
_DATES_MAX: Final = 1000
_KINDS: Final = {"whole": DayKind.WHOLE, "morning": DayKind.MORNING, "afternoon": DayKind.AFTERNOON, "none": None}


class PremiseFaults:
    """The commands that break the premises of one simulator."""

    def __init__(self, server: Server, lasting: Lasting) -> None:
        self._opend: SimulatedOpenD = server.opend
        self._premises: Premises = server.opend.premises
        self._lasting = lasting

    # ---- the exchange

    async def exchange_frozen(self, fields: Fields) -> dict[str, Any]:
        """For `sec`, OpenD receives nothing from the exchange without noticing; reported totals stand still."""
        sec = seconds(fields)
        fields.finish()
        self._lasting.begin("exchange_frozen", sec, self._end_exchange_frozen)
        self._opend.upstream = Upstream.FROZEN
        self._premises.without_exchange = Frozen(self._premises.all_totals())
        return self._lasting.applied("exchange_frozen", len(self._opend.caches), sec=sec)

    async def _end_exchange_frozen(self) -> int:
        self._opend.upstream = Upstream.UP
        frozen, self._premises.without_exchange = self._premises.without_exchange, None
        return 0 if frozen is None else frozen.told

    async def made_good(self, fields: Fields) -> dict[str, Any]:
        """From now on, OpenD replays the last `max` ticks per symbol that it missed in an outage."""
        most = fields.integer("max", low=0, high=_WINDOW_MAX)
        fields.finish()
        if most == self._opend.made_good_max:
            raise CommandError(f"{most} ticks a symbol are made good already")
        self._opend.made_good_max = most
        return self._lasting.applied("made_good", len(self._opend.caches), max=most)

    # ---- snapshots

    async def snapshot_late(self, fields: Fields) -> dict[str, Any]:
        """For `for_sec`, a `share` of the rows (of `symbols`) is `sec` old; `update_time` "now" hides that."""
        sec = fields.number("sec", low=0.5, high=REACHES_SEC)
        share = fields.number("share", 1.0, low=0.001, high=1)
        for_sec = seconds(fields, "for_sec")
        symbols = frozenset(fields.symbols("symbols", self._opend.caches))
        hides = fields.choice("update_time", ("then", "now"), "update time: then or now", "then") == "now"
        fields.finish()
        self._lasting.begin("snapshot_late", for_sec, self._end_snapshot_late)
        self._premises.late = Late(sec, share, symbols, hides)
        return self._lasting.applied(
            "snapshot_late", self._concerned(symbols), sec=sec, for_sec=for_sec, share=share, hides=hides
        )

    async def _end_snapshot_late(self) -> int:
        late, self._premises.late = self._premises.late, None
        return 0 if late is None else late.told

    async def snapshot_frozen(self, fields: Fields) -> dict[str, Any]:
        """For `sec`, the totals and update times in snapshots stand still."""
        sec = seconds(fields)
        fields.finish()
        self._lasting.begin("snapshot_frozen", sec, self._end_snapshot_frozen)
        self._premises.frozen = Frozen(self._premises.all_totals())
        return self._lasting.applied("snapshot_frozen", len(self._opend.caches), sec=sec)

    async def _end_snapshot_frozen(self) -> int:
        frozen, self._premises.frozen = self._premises.frozen, None
        return 0 if frozen is None else frozen.told

    async def snapshot_low(self, fields: Fields) -> dict[str, Any]:
        """The next `n` rows (of `symbols`) report a volume that is too low: `volume`, or `by` shares too few."""
        arming = Arming.of(fields)
        symbols = frozenset(fields.symbols("symbols", self._opend.caches))
        if fields.has("volume") == fields.has("by"):
            raise CommandError("one of volume and by is needed, and not both")
        volume = fields.integer("volume", low=0, high=_VOLUME_MAX) if fields.has("volume") else None
        by = fields.integer("by", 0, low=0 if volume is not None else 1, high=_VOLUME_MAX)
        fields.finish()
        if self._premises.low is not None:
            raise CommandError("snapshot_low is armed already")
        low = Low(Armed(arming.wanted), symbols, volume, by)
        self._premises.low = low

        def disarm() -> None:
            self._premises.low = None

        return await self._lasting.arm("snapshot_low", low.armed, arming, "rows", disarm)

    async def snapshot_refuse(self, fields: Fields) -> dict[str, Any]:
        """Refuse every snapshot call that names one of `symbols`; an empty list ends it."""
        symbols = frozenset(fields.symbols("symbols", self._opend.caches))
        fields.finish()
        before, self._premises.refused = self._premises.refused, Refused(symbols) if symbols else None
        if symbols:
            return self._lasting.applied("snapshot_refuse", len(symbols))
        return self._over("snapshot_refuse", before)

    # ---- GetTicker

    async def renumber(self, fields: Fields) -> dict[str, Any]:
        """While `on`, each GetTicker reply numbers its own ticks from 1 in the low half of their sequences."""
        on = fields.flag("on", default=True)
        fields.finish()
        before = self._premises.renumbered
        if not on:
            self._premises.renumbered = None
            return self._over("renumber", before)
        if before is not None:
            raise CommandError("renumber is on already")
        self._premises.renumbered = Renumbered()
        return self._lasting.applied("renumber", len(self._opend.caches))

    async def window_holes(self, fields: Fields) -> dict[str, Any]:
        """Leave `n` ticks out of each GetTicker reply (of `symbols`), never the first or last; 0 ends it."""
        ticks = fields.integer("n", low=0, high=_WINDOW_MAX)
        symbols = frozenset(fields.symbols("symbols", self._opend.caches))
        fields.finish()
        before, self._premises.holes = self._premises.holes, Holes(ticks, symbols) if ticks else None
        if ticks:
            return self._lasting.applied("window_holes", self._concerned(symbols), ticks=ticks)
        return self._over("window_holes", before)

    # ---- the clock, the calendar, the state

    async def opend_clock(self, fields: Fields) -> dict[str, Any]:
        """GetGlobalState's time is off by `offset_sec`, or in milliseconds (`unit` "ms"); neither one ends it."""
        offset_sec = fields.integer("offset_sec", 0, low=-_OFFSET_MAX_SEC, high=_OFFSET_MAX_SEC)
        unit = fields.choice("unit", ("s", "ms"), "unit: s or ms", "s")
        fields.finish()
        is_wrong = bool(offset_sec) or unit == "ms"
        before = self._premises.clock
        self._premises.clock = WrongClock(offset_sec, unit == "ms") if is_wrong else None
        if is_wrong:
            return self._lasting.applied("opend_clock", 1, offset_sec=offset_sec, unit=unit)
        return self._over("opend_clock", before)

    async def calendar(self, fields: Fields) -> dict[str, Any]:
        """From now on, the trade dates report `date` as this `kind`; the market itself trades as before."""
        date = _date(fields.text("date"))
        word = fields.choice("kind", _KINDS, "kind of day: whole, morning, afternoon or none")
        fields.finish()
        kind, wrong = _KINDS[word], self._premises.calendar
        if kind == wrong.kinds.get(date, day_kind(date)):
            raise CommandError(f"{date} is said to be {word} already")
        if kind == day_kind(date):
            del wrong.kinds[date]
            return self._lasting.applied("calendar_over", wrong.told, date=date.isoformat())
        if len(wrong.kinds) >= _DATES_MAX:
            raise CommandError(f"{_DATES_MAX} dates are wrong already")
        wrong.kinds[date] = kind
        return self._lasting.applied("calendar", 1, date=date.isoformat(), says=word)

    async def market_state(self, fields: Fields) -> dict[str, Any]:
        """OpenD reports the market state as `state`; null ends it."""
        state = fields.integer("state", low=0, high=_STATE_MAX) if fields.has("state") else None
        fields.finish()
        before, self._premises.state = self._premises.state, None if state is None else WrongState(state)
        if state is not None:
            return self._lasting.applied("market_state", 1, state=state)
        return self._over("market_state", before)

    # ---- the means

    def _concerned(self, symbols: frozenset[str]) -> int:
        return len(symbols or self._opend.caches)

    def _over(
        self, fault: str, before: Refused | Renumbered | Holes | WrongClock | WrongState | None
    ) -> dict[str, Any]:
        """End a fault that was on."""
        if before is None:
            raise CommandError(f"{fault} is not on")
        return self._lasting.applied(f"{fault}_over", before.told)


def _date(text: str) -> dt.date:
    try:
        return dt.date.fromisoformat(text)
    except ValueError:
        raise CommandError(f"date is {text!r}, expected YYYY-MM-DD") from None
