"""Stories of a recorder's morning by a seed: what was traded, and what of it came, when, and how.

A story knows what the ledger can't: every trade, and which of them came, when, and how. It may be unlikely, but not
impossible: pushes and snapshots come by two ways, of which either may be ahead by less than `MOMENT_MS`; what OpenD is
asked for after an outage comes behind what it had pushed before, but a poll may be ahead of pushes; where OpenD had
lost the exchange it makes good the last 50 trades, at most.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property
from random import Random
from typing import TYPE_CHECKING, Final, NamedTuple

from hk_tick_collector.quality.continuity import MADE_GOOD_MAX
from hk_tick_collector.resumption import Cause
from support.gap_row import GapRow
from support.ticks import OPEN_MS, TENCENT, seq_at, ticker

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from hk_tick_collector.opend import opend_pb2 as pb
    from hk_tick_collector.simulator.ledger import Key

MOMENT_MS: Final = 3000
INTERVALS_MS: Final = (4000, 4000, 5000, 5000, 10_000, 30_000, 60_000)
LAST_WORD_MS: Final = 4000  # between the snapshots at a story's end
CAUSES: Final = (
    *(Cause.CONNECTION_LOST, Cause.OPEND_DOWN, Cause.EXCHANGE_LOST, Cause.KICKED_OUT),
    *(Cause.RECORDER_DOWN, Cause.JOURNAL_FULL, Cause.UNKNOWN),
)
_LOST_ITS_SOURCE: Final = (Cause.EXCHANGE_LOST, Cause.KICKED_OUT)
# A window that is not deep reaches back to few outages' beginnings, and then a poll may bring what it lacked.
_BACKFILL_DEPTHS: Final = (3, 3, 10, 1000)
_POLL_DEPTHS: Final = (10, 50, 1000, 1000)
_QUIET_MS: Final = 700  # nothing is asked for so soon after an outage, but for what belongs to it


class Kind(StrEnum):
    """Of a record in the journal."""

    RESUMED = "resumed"
    PUSH = "push"
    MADE_GOOD = "made good"
    BACKFILL = "backfill"
    POLL = "poll"
    SNAPSHOT = "snapshot"


# Which is first of those that came at the same ms. A snapshot may be on either side of a push.
_RANKS: Final = (Kind.RESUMED, Kind.SNAPSHOT, Kind.PUSH, Kind.MADE_GOOD, Kind.BACKFILL, Kind.POLL, Kind.SNAPSHOT)


@dataclass
class Trade:
    """One that was made; times are UTC epoch ms, by the recorder's clock.

    Attributes:
        ordinal: the lower half of its sequence.
        traded_ms: when.
        volume: shares.
        pushed_ms: when its push comes, or would have come.
        counted_ms: from when on snapshots count it.
        known_ms: from when on OpenD's memory has it; None: it never does.
        is_lost: its push did not come; it may come otherwise, and late.
    """

    ordinal: int
    traded_ms: int
    volume: int
    pushed_ms: int
    counted_ms: int
    known_ms: int | None
    is_lost: bool = False

    @property
    def seq(self) -> int:
        """Its sequence."""
        return seq_at(self.ordinal, self.traded_ms)

    @property
    def key(self) -> Key:
        """What tells it from all others."""
        return TENCENT, self.seq

    def ticker(self, **fields: int) -> pb.Ticker:
        """As OpenD tells it."""
        return ticker(self.ordinal, self.traded_ms, volume=self.volume, turnover=300.0 * self.volume, **fields)


class Outage(NamedTuple):
    """The stream was interrupted; `since_ms`: the last moment at which it was proven, or None."""

    begin_ms: int
    end_ms: int
    cause: Cause
    since_ms: int | None


class Record(NamedTuple):
    """Of the journal: what came, when; `rank` among those of the same ms."""

    at_ms: int
    rank: int
    kind: Kind
    trades: tuple[Trade, ...] = ()
    volume: int = 0
    outage: Outage | None = None

    def __str__(self) -> str:
        told = f"{self.at_ms - OPEN_MS:+} {self.kind}"
        if self.outage is not None:
            since_ms = self.outage.since_ms
            since = "nobody knows when" if since_ms is None else f"{since_ms - OPEN_MS:+}"
            return f"{told} after {self.outage.cause} since {since}"
        return f"{told} {self.volume}" if self.kind is Kind.SNAPSHOT else f"{told} {_ordinals(self.trades)}"


class Gap(GapRow):
    """Of the ledger."""

    __slots__ = ()

    def __str__(self) -> str:
        bounds = [None if seq is None else seq & 0xFFFFFFFF for seq in (self.before_seq, self.after_seq)]
        told = f"{self.resumed_ms - OPEN_MS:+} {self.cause} between {bounds[0]} and {bounds[1]}: {self.missing} ticks"
        return (
            f"{told}, {self.missing_volume} shares, by {self.evidence}, found {self.found_ms - OPEN_MS:+}, {self.state}"
        )


@dataclass(frozen=True)
class Story:
    """One that is drawn.

    Attributes:
        seed: it is told anew by.
        counts_by_ordinals: ordinals count each trade.
        trades: in their order.
        records: in theirs.
        writers_end: after these records, by their number, a writer stores what there is, and another goes on.
    """

    seed: int
    counts_by_ordinals: bool
    trades: Sequence[Trade]
    records: Sequence[Record]
    writers_end: frozenset[int]

    @cached_property
    def came(self) -> dict[int, int]:
        """By sequence, the number of the record in which it came first."""
        found: dict[int, int] = {}
        for number, record in enumerate(self.records):
            for trade in record.trades:
                found.setdefault(trade.seq, number)
        return found

    @property
    def missing(self) -> list[Trade]:
        """What has not come at all."""
        return [trade for trade in self.trades if trade.seq not in self.came]

    def missing_by(self, gap: Gap) -> list[Trade]:
        """What is inside a gap's bounds, was lost, and had not come by the record that showed the gap."""
        kinds = (Kind.SNAPSHOT,) if gap.evidence == "totals" else (Kind.SNAPSHOT, Kind.BACKFILL)
        found = max(n for n, record in enumerate(self.records) if record[0] == gap.found_ms and record.kind in kinds)
        never = len(self.records)
        return [t for t in self.trades if gap.covers(t.key) and t.is_lost and self.came.get(t.seq, never) > found]

    def lines(self) -> Iterator[str]:
        """It, for people: times from 10:00 on, in ms."""
        yield f"seed {self.seed}, ordinals {'count' if self.counts_by_ordinals else 'do not count'} each trade"
        for number, record in enumerate(self.records):
            yield str(record)
            if number in self.writers_end:
                yield "a writer stores it, and another goes on"
        yield f"missing {_ordinals(self.missing)}"
        for trade in self.trades:
            times = [None if t is None else t - OPEN_MS for t in (trade.pushed_ms, trade.counted_ms, trade.known_ms)]
            told = f"{trade.ordinal}: {trade.volume} shares, pushed {times[0]}, counted {times[1]}, known {times[2]}"
            yield told + (", lost" if trade.is_lost else "")


def _ordinals(trades: Sequence[Trade]) -> str:
    """The ordinals of some, runs of them as one."""
    runs: list[list[int]] = []
    for ordinal in (trade.ordinal for trade in trades):
        if runs and runs[-1][-1] + 1 == ordinal:
            runs[-1] = [runs[-1][0], ordinal]
        else:
            runs.append([ordinal])
    return " ".join("…".join(map(str, run)) for run in runs) or "none"


# ---- how one is drawn


def draw(seed: int) -> Story:
    """The story of a seed."""
    random = Random(seed)
    counts = random.random() < 0.6
    trades = _draw_trades(random, counts_by_ordinals=counts)
    outages = _draw_outages(random, trades)
    records = [made for outage in outages for made in _undergo(random, outage, trades)]
    _know_in_order(trades)
    interval_ms = random.choice(INTERVALS_MS)
    records += _asked(random, trades, outages, interval_ms)
    records += _polls(random, trades, outages)
    records += [_record(Kind.PUSH, trade.pushed_ms, (trade,)) for trade in trades if not trade.is_lost]
    records.sort(key=lambda record: record[:2])
    records = [*_with_calm_snapshots(records), *_end(trades, max(records[-1].at_ms, trades[-1].pushed_ms))]
    ends: list[int] = []
    if random.random() < 1 / 3:
        ends = random.sample(range(len(records)), random.randint(1, min(8, len(records))))
    return Story(seed, counts, trades, records, frozenset(ends))


def _record(kind: Kind, at_ms: int, trades: tuple[Trade, ...] = ()) -> Record:
    return Record(at_ms, _RANKS.index(kind), kind, trades)


def _snapshot(at_ms: int, trades: Sequence[Trade], *, is_behind_pushes: bool = True) -> Record:
    """The exchange's count; of pushes of the same ms it comes before or behind them."""
    volume = sum(trade.volume for trade in trades if trade.counted_ms <= at_ms)
    rank = len(_RANKS) - 1 if is_behind_pushes else _RANKS.index(Kind.SNAPSHOT)
    return Record(at_ms, rank, Kind.SNAPSHOT, volume=volume)


def _window(kind: Kind, at_ms: int, trades: Sequence[Trade], depth: int) -> Iterator[Record]:
    """The last trades in OpenD's memory. Only a poll is ahead of pushes."""
    told = [trade for trade in trades if trade.known_ms is not None and trade.known_ms <= at_ms]
    if kind is Kind.BACKFILL:
        told = [trade for trade in told if trade.pushed_ms <= at_ms]
    if told:
        yield _record(kind, at_ms, tuple(told[-depth:]))


def _draw_trades(random: Random, *, counts_by_ordinals: bool) -> list[Trade]:
    """Some that are pushed and counted in their order, some of which are lost one by one, also to OpenD."""
    apart_ms = random.choice([200, 500, 1000, 3000, 8000])
    volumes = random.choice([(100,), (100,), (100, 100, 100, 200, 300, 500)])
    skews = random.choice(["none", "pushes late", "snapshots late", "both", "both"])
    is_regular, has_bursts = random.choice([(False, False), (False, False), (True, False), (False, True)])
    changes, lulls = random.choice([0.02, 0.2]), random.choice([0, 0.1])  # of the skew, and in the trading, by trade
    loss, is_unknown = random.choice([0, 0, 0.005, 0.02, 0.08]), random.choice([0, 0, 0.3, 1])
    count = random.randrange(20, 260)
    loss_begins = random.choice([0, count // 2, count // 2])
    ahead_ms = random.choice([0, 30])  # of pushes, by polls
    trades: list[Trade] = []
    at_ms, ordinal, pushed_ms, counted_ms, push_late_ms, count_late_ms = OPEN_MS, 0, 0, 0, 0, 0
    for number in range(count):
        wait_ms = apart_ms if is_regular else 1 + int(random.expovariate(1 / apart_ms))
        at_ms += 1 if has_bursts and random.random() < 0.7 else wait_ms
        at_ms += random.randrange(5000, 20_000) if random.random() < lulls else 0
        ordinal += 1 if counts_by_ordinals else random.randrange(1, 4)
        if number == 0 or random.random() < changes:
            late_ms = random.randrange(MOMENT_MS - 1)
            late = {"none": (0, 0), "pushes late": (late_ms, 0), "snapshots late": (0, late_ms)}
            push_late_ms, count_late_ms = late.get(skews) or random.choice([(0, 0), (late_ms, 0), (0, late_ms)])
        least_ms = pushed_ms + (0 if has_bursts and random.random() < 0.5 else 1)
        pushed_ms = max(least_ms, at_ms + random.randrange(50) + push_late_ms)
        counted_ms = max(counted_ms, at_ms + count_late_ms, pushed_ms - (MOMENT_MS - 1))
        pushed_ms = max(pushed_ms, counted_ms - (MOMENT_MS - 1))
        is_lost = number >= loss_begins and random.random() < loss
        known_ms = None if is_lost and random.random() < is_unknown else pushed_ms - ahead_ms
        trades.append(Trade(ordinal, at_ms, random.choice(volumes), pushed_ms, counted_ms, known_ms, is_lost))
    return trades


def _draw_outages(random: Random, trades: Sequence[Trade]) -> list[Outage]:
    """None to three, one after the other."""
    outages: list[Outage] = []
    count = len(trades)
    for first in sorted(random.sample(range(count // 4, count), random.choice([0, 1, 1, 2, 3]))):
        begin_ms = trades[first].pushed_ms + random.choice([-1, 0, 1])
        behind = min(first + random.choice([0, 1, 2, 5, 10, 20, 50, 100]), count - 1)
        end_ms = max(begin_ms + random.choice([100, 300, 3000]), trades[behind].pushed_ms)
        since_ms = None if random.random() < 0.07 else begin_ms - random.choice([0, 0, 1, 200, 1500, 5000])
        if not outages or begin_ms > outages[-1].end_ms + random.choice([100, 500, 4000, 30_000]):
            outages.append(Outage(begin_ms, end_ms, random.choice(CAUSES), since_ms))
    return outages


def _undergo(random: Random, outage: Outage, trades: Sequence[Trade]) -> Iterator[Record]:
    """What is lost in an outage, and what OpenD then says by itself."""
    inside = [trade for trade in trades if outage.begin_ms <= trade.pushed_ms < outage.end_ms]
    for trade in inside:
        trade.is_lost = True
    if outage.cause is Cause.OPEND_DOWN:
        for trade in inside[: random.choice([0, len(inside) // 2, len(inside)])]:
            trade.known_ms = None
    elif outage.cause in _LOST_ITS_SOURCE:
        made_good = tuple(inside[-MADE_GOOD_MAX:] if random.random() < 0.8 else [])
        for trade in inside:
            trade.known_ms = None
        for trade in made_good:
            trade.known_ms = outage.end_ms - 1
        is_told = outage.cause is Cause.EXCHANGE_LOST or random.random() < 0.3
        if made_good and is_told:
            yield _record(Kind.MADE_GOOD, outage.end_ms + random.choice([-1, 2]), made_good)
    yield _record(Kind.RESUMED, outage.end_ms)._replace(outage=outage)


def _know_in_order(trades: Sequence[Trade]) -> None:
    """OpenD's memory is one piece: what was traded later is never known sooner."""
    latest_ms = 0
    for trade in trades:
        if trade.known_ms is not None:
            trade.known_ms = latest_ms = max(latest_ms, trade.known_ms)


def _asked(random: Random, trades: Sequence[Trade], outages: Sequence[Outage], interval_ms: int) -> Iterator[Record]:
    """What the recorder asks for: after an outage OpenD's memory, then and every so often the exchange's count."""
    end_ms = trades[-1].pushed_ms + 1000
    for outage in outages:
        backfill_ms = outage.end_ms + random.randrange(5, 400)
        snapshot_ms = outage.end_ms + random.randrange(401, _QUIET_MS)
        if random.random() < 0.9 and not any(o.begin_ms <= backfill_ms < o.end_ms for o in outages):
            yield from _window(Kind.BACKFILL, backfill_ms, trades, random.choice(_BACKFILL_DEPTHS))
        if random.random() < 0.9 and not any(o.begin_ms <= snapshot_ms < o.end_ms for o in outages):
            yield _snapshot(snapshot_ms, trades)

    at_ms = OPEN_MS + random.randrange(interval_ms)
    while at_ms < end_ms:
        if not _is_quiet(at_ms, outages):
            yield _snapshot(at_ms, trades, is_behind_pushes=random.random() < 0.5)
        at_ms += interval_ms + random.randrange(300) + (random.randrange(60_000) if random.random() < 0.03 else 0)


def _polls(random: Random, trades: Sequence[Trade], outages: Sequence[Outage]) -> Iterator[Record]:
    """In most stories; in some, after an outage, a push behind a poll is lost: what came late must not hide it."""
    every_ms = random.choice([0, 20_000, 60_000, 60_000])
    loss = random.choice([0, 0, 0.5]) if outages else 0
    for at_ms in range(OPEN_MS + every_ms, trades[-1].pushed_ms, every_ms) if every_ms else ():
        if _is_quiet(at_ms, outages):
            continue
        yield from _window(Kind.POLL, at_ms, trades, random.choice(_POLL_DEPTHS))
        next_one = next(trade for trade in trades if trade.pushed_ms > at_ms)
        if loss and at_ms > outages[0].end_ms and random.random() < loss:
            next_one.is_lost = True


def _is_quiet(at_ms: int, outages: Sequence[Outage]) -> bool:
    return any(outage.begin_ms - 1 <= at_ms <= outage.end_ms + _QUIET_MS for outage in outages)


def _with_calm_snapshots(records: Sequence[Record]) -> Iterator[Record]:
    """Without the snapshots that are nearer to another than a moment."""
    last_ms = 0
    for record in records:
        if record.kind is Kind.SNAPSHOT:
            if record.at_ms < last_ms + MOMENT_MS:
                continue
            last_ms = record.at_ms
        yield record


def _end(trades: list[Trade], after_ms: int) -> list[Record]:
    """The exchange's last word, thrice; then another trade, and its last word again."""
    at_ms = after_ms + LAST_WORD_MS
    first = [_snapshot(at_ms + n * LAST_WORD_MS, trades) for n in range(3)]
    at_ms += 3 * LAST_WORD_MS
    trades.append(Trade(trades[-1].ordinal + 1, at_ms, 100, at_ms, at_ms, at_ms))
    second = [_snapshot(at_ms + n * LAST_WORD_MS, trades) for n in range(1, 4)]
    return [*first, _record(Kind.PUSH, at_ms, (trades[-1],)), *second]
