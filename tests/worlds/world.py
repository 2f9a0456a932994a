"""A whole trading day as a recorder lives it: every record of its journal in order, and the truth beside it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from itertools import count
from random import Random
from typing import TYPE_CHECKING, Any, Final

from hk_tick_collector.hktime import MINUTE_MS
from hk_tick_collector.journal.events import EVENT, STATE_EVENT, Cause, Resumption
from hk_tick_collector.opend.messages import TRADE_DATE_TYPES
from worlds import feed, life, market, snapshots
from worlds.feed import Ticks, Way
from worlds.life import ADDED_MS, CONNECTING
from worlds.market import DAY, clock_of, ms_of
from worlds.snapshots import Snapshot
from worlds.weathers import Weather, draw_plan

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from worlds.life import Away, Life
    from worlds.market import Book, Hours, Trade
    from worlds.weathers import Plan

HOUR_MS: Final = 60 * MINUTE_MS
_SERVER_VER: Final = 1011
_ASKED: Final = "totals_asked"


@dataclass(frozen=True)
class Calendar:
    """A RequestTradeDate reply: days, and their TradeDateType."""

    types: dict[str, int]


Payload = Ticks | Snapshot | Calendar | dict[str, Any]


@dataclass(frozen=True)
class Record:
    """Of the journal: when it came truly and by the host's clock; `serial_no` where it is a reply."""

    at_ms: int
    host_ms: int
    payload: Payload
    serial_no: int = 0

    def __str__(self) -> str:
        host = "" if abs(self.host_ms - self.at_ms) < 5 else f" (host {clock_of(self.host_ms)})"
        return f"{clock_of(self.at_ms)}{host} {_told(self.payload)}"


class Clocks:
    """The errors of the host's clock and of OpenD's."""

    def __init__(self, random: Random, plan: Plan, hours: Hours) -> None:
        self.opend_error_ms = 0
        self.steps: list[tuple[int, int]] = []  # (true time, ms)
        self._error_ms = 0
        self._drift_ms = 0
        if plan.has(Weather.OPEND_CLOCK):
            minutes = random.choice([480, 480, -480, 3, -4, 11, 40, -35])
            self.opend_error_ms = minutes * MINUTE_MS
        if plan.has(Weather.HOST_CLOCK):
            way = random.choice(["off", "stepped right", "stepped wrong", "drifts"])
            off_ms = random.choice([-26 * HOUR_MS, -6 * HOUR_MS, -55 * MINUTE_MS, 3 * HOUR_MS, 8 * HOUR_MS])
            at_ms = ms_of(random.choice(["10:30:00", "12:30:00", "15:25:00", "16:13:00"]))
            if random.random() < 0.7:
                at_ms = random.randrange(*random.choice(hours.blocks))
            if way in ("off", "stepped right"):
                self._error_ms = off_ms
            if way in ("stepped right", "stepped wrong"):
                self.steps = [(at_ms, -off_ms if way == "stepped right" else off_ms)]
            self._drift_ms = 2000 if way == "drifts" else 0

    def host(self, true_ms: int) -> int:
        """What the host's clock says."""
        stepped = sum(ms for at_ms, ms in self.steps if at_ms <= true_ms)
        share = min(1.0, max(0.0, (true_ms - life.START_MS) / (life.END_MS - life.START_MS)))
        return true_ms + self._error_ms + stepped + int(self._drift_ms * (2 * share - 1))

    def opend(self, true_ms: int) -> int:
        """What OpenD's says."""
        return true_ms + self.opend_error_ms


@dataclass(frozen=True)
class World:
    """One that is drawn.

    Attributes:
        seed: it is drawn anew by.
        plan: what it is made of.
        hours: when the exchange trades.
        books: the truth.
        life: the recorder's.
        clocks: theirs.
        records: of the journal, in order.
        cuts: after these records, by their number, a writer stores what there is, and another goes on.
    """

    seed: int
    plan: Plan
    hours: Hours
    books: Sequence[Book]
    life: Life
    clocks: Clocks
    records: Sequence[Record]
    cuts: frozenset[int]

    @cached_property
    def came(self) -> set[Trade]:
        """What is in the journal, in whatever way."""
        ticks = (r.payload for r in self.records if isinstance(r.payload, Ticks))
        return {told.trade for its in ticks for told in its.told}

    def missing(self, book: Book) -> list[Trade]:
        """What never came."""
        return [trade for trade in book.trades if trade not in self.came]

    @property
    def snapshots(self) -> list[Snapshot]:
        """In their order."""
        return [r.payload for r in self.records if isinstance(r.payload, Snapshot)]

    def lines(self) -> Iterator[str]:
        """It, for people."""
        weathers = ", ".join(sorted(self.plan.weathers)) or "no weather"
        yield f"seed {self.seed}: {weathers}; {'with' if self.plan.has_losses else 'without'} losses"
        yield f"closes at {clock_of(self.hours.closing_ms)}{', a half day' if self.hours.is_half else ''}"
        yield from self.life.told
        if self.life.freeze_ms is not None:
            yield f"OpenD's feed freezes at {clock_of(self.life.freeze_ms)}"
        for book in self.books:
            quotes = "lively" if book.is_lively else "quiet"
            yield f"{book.symbol}: {len(book.trades)} trades, lots of {book.lot}, {quotes}"
        for number, record in enumerate(self.records):
            yield str(record)
            if number in self.cuts:
                yield "a writer stores it, and another goes on"
        for book in self.books:
            yield from (f"missing {trade}, pushed {clock_of(trade.pushed_ms)}" for trade in self.missing(book))
            uncounted = [trade for trade in book.trades if trade.counted_ms is None]
            yield from (f"not counted {trade}" for trade in uncounted)
            revised = [trade for trade in book.trades if trade.revision]
            yield from (f"revised {t} at {clock_of(t.revision.made_ms)}" for t in revised if t.revision)


def _told(payload: Payload) -> str:
    if isinstance(payload, Ticks):
        several = [f"{t.trade.number}={t.volume}" for t in payload.told]
        told = several if len(several) < 8 else [*several[:3], "…", *several[-3:], f"({len(several)})"]
        return f"{payload.way} {payload.symbol} {' '.join(told)}"
    if isinstance(payload, Snapshot):
        rows = (
            f"{row.symbol} {row.volume} {row.turnover:.10g} of {clock_of(row.update_ms) if row.update_ms else 'never'}"
            f"{'' if row.is_honest else ' (not true)'}"
            for row in payload.rows
        )
        return f"snapshot asked {clock_of(payload.asked_ms)}: {'; '.join(rows)}"
    if isinstance(payload, Calendar):
        return f"calendar: {TRADE_DATE_TYPES[payload.types[DAY]]}"
    return " ".join(str(value) if key == "event" else f"{key}={value}" for key, value in payload.items())


# ---- how one is drawn


def draw(seed: int) -> World:
    """The world of a seed."""
    random = Random(seed)
    plan = draw_plan(random)
    hours = market.draw_hours(random, is_half=plan.is_half_day)
    books = market.draw_books(random, plan, hours)
    market.draw_revisions(random, plan, books, hours)
    clocks = Clocks(random, plan, hours)
    lived = life.draw_life(random, plan, books, hours, clocks.steps[0][0] if clocks.steps else None)
    told: list[tuple[int, int, Payload]] = []  # the second decides among those of the same ms
    told += [(t.at_ms, 2, t) for t in feed.draw_feed(random, plan, books, hours, lived)]
    for snapshot in snapshots.draw_snapshots(random, plan, books, hours, lived):
        rank = random.choice([1, 3])
        told.append((snapshot.at_ms, rank, snapshot))
        told.append((snapshot.asked_ms, rank, {"event": _ASKED}))
    told += _events(random, plan, hours, books, lived, clocks)
    told.sort(key=lambda one: one[:2])
    records = list(_records(told, lived, clocks))
    cuts: list[int] = []
    if plan.has(Weather.WRITERS) or random.random() < 0.05:
        cuts = random.sample(range(len(records)), min(random.randint(1, 5), len(records)))
    return World(seed, plan, hours, books, lived, clocks, records, frozenset(cuts))


def _events(
    random: Random, plan: Plan, hours: Hours, books: Sequence[Book], lived: Life, clocks: Clocks
) -> Iterator[tuple[int, int, Payload]]:
    """What the recorder notes by itself."""
    for at_ms in _looks(hours, lived):
        yield at_ms, 0, _state(hours, clocks, at_ms)
    calendar = _calendar(random, plan)
    for away in lived.aways:
        if not lived.hears(away.end_ms):
            continue
        yield away.end_ms, 0, _state(hours, clocks, away.end_ms)
        if calendar and away.cause in CONNECTING:
            yield away.end_ms, 0, calendar
        symbols = lived.subscribed(away.end_ms)
        yield away.end_ms, 0, _resumption(clocks, away.cause, away, symbols)
        if away.cause in CONNECTING:
            yield away.end_ms, 0, _recording(lived, books, away.end_ms)
    if plan.has(Weather.ADDED) and not any(away.end_ms == ADDED_MS for away in lived.aways) and lived.hears(ADDED_MS):
        it = Resumption(Cause.NOT_SUBSCRIBED, None, 1000, _offset_ms(clocks, ADDED_MS), (books[-1].symbol,))
        yield ADDED_MS, 0, {"event": EVENT, **it.fields()}
        yield ADDED_MS, 0, _recording(lived, books, ADDED_MS)


def _looks(hours: Hours, lived: Life) -> Iterator[int]:
    """When OpenD is asked for its state: each minute while something is going on, and seldom else."""
    first_ms = life.START_MS + 30_000
    busy = [*hours.blocks, (hours.closing_ms, hours.closing_ms), (ms_of("12:10:00"), ms_of("12:14:00"))]
    busy += [(ms_of("16:10:00"), ms_of("16:14:00")), (ms_of("16:40:00"), ms_of("16:41:00"))]
    minutes = set(range(0, (life.END_MS - first_ms) // MINUTE_MS, 10))
    for begin_ms, end_ms in busy:
        minutes.update(range((begin_ms - first_ms) // MINUTE_MS, (end_ms - first_ms) // MINUTE_MS + 2))
    yield from (at_ms for minute in sorted(minutes) if lived.hears(at_ms := first_ms + minute * MINUTE_MS))


def _state(hours: Hours, clocks: Clocks, at_ms: int) -> dict[str, Any]:
    """OpenD stays logged in and its market goes on, also when its feed is frozen."""
    half = (("09:00:00", 6), ("09:20:00", 1), ("09:30:00", 2), ("12:00:00", 3))
    rest = (("13:00:00", 4), ("16:00:00", 5), ("16:09:30", 19))
    if hours.is_half:
        rest = (("12:09:30", 19),)
    market_hk = next((state for until, state in (*half, *rest) if at_ms < ms_of(until)), 6)
    return {
        "event": STATE_EVENT,
        "market_hk": market_hk,
        "qot_logined": True,
        "server_ver": _SERVER_VER,
        "time_sec": clocks.opend(at_ms) // 1000,
        "clock_offset_ms": _offset_ms(clocks, at_ms),
    }


def _offset_ms(clocks: Clocks, at_ms: int) -> int:
    return clocks.opend(at_ms) // 1000 * 1000 + 500 - clocks.host(at_ms)


def _resumption(clocks: Clocks, cause: Cause, away: Away, symbols: list[str]) -> dict[str, Any]:
    since_ms = None if away.since_ms is None else clocks.host(away.since_ms)
    it = Resumption(cause, since_ms, 1000, _offset_ms(clocks, away.end_ms), tuple(symbols))
    return {"event": EVENT, **it.fields()}


def _recording(lived: Life, books: Sequence[Book], at_ms: int) -> dict[str, Any]:
    """A symbol that a restart adds is in no list before that."""
    subscribed = lived.subscribed(at_ms)
    is_unheard_of = at_ms < ADDED_MS and any(away.end_ms == ADDED_MS for away in lived.aways)
    wanted = subscribed if is_unheard_of else [book.symbol for book in books]
    without = {symbol: "no quota left" for symbol in wanted if symbol not in subscribed}
    return {"event": "recording", "symbols": wanted, "subscribed": len(subscribed), "without": without}


def _calendar(random: Random, plan: Plan) -> Calendar | None:
    """What OpenD says of the days around; None: nothing."""
    its_type = 1 if plan.is_half_day else 0
    if plan.has(Weather.CALENDAR):
        if random.random() < 0.3:
            return None
        its_type = 1 - its_type
    days = ["20261117", "20261118", "20261119", DAY, "20261123", "20261124", "20261125"]
    return Calendar({day: its_type if day == DAY else 0 for day in days})


def _records(told: list[tuple[int, int, Payload]], lived: Life, clocks: Clocks) -> Iterator[Record]:
    """With the host's clock, its steps, and serial numbers."""
    steps, serials = list(clocks.steps), count(3)
    asked: dict[int, int] = {}
    for at_ms, _, payload in told:
        host_ms = clocks.host(at_ms)
        while steps and steps[0][0] <= at_ms:
            step_at_ms, step_ms = steps.pop(0)
            if not any(a.cause is Cause.RECORDER_DOWN and a.begin_ms <= step_at_ms < a.end_ms for a in lived.aways):
                yield Record(at_ms, host_ms, {"event": "clock_stepped", "step_ms": step_ms})
        if isinstance(payload, dict) and payload["event"] == _ASKED:
            asked[at_ms] = 4 * next(serials) + 3
            yield Record(at_ms, host_ms, {**payload, "serial_no": asked[at_ms], "asked_ms": host_ms})
        elif isinstance(payload, Snapshot):
            yield Record(at_ms, host_ms, payload, asked[payload.asked_ms])
        elif isinstance(payload, Calendar):
            yield Record(at_ms, host_ms, payload, 4 * next(serials))
        elif isinstance(payload, Ticks) and payload.way in (Way.BACKFILL, Way.POLL):
            yield Record(at_ms, host_ms, payload, 4 * next(serials) + (1 if payload.way is Way.BACKFILL else 2))
        else:
            yield Record(at_ms, host_ms, payload)
