"""What the writer stores together: bodies gathered from the journal, and the rows that they became.

Owns where each body came from, and the split by Hong Kong day. Never reads, never stores.
"""

from __future__ import annotations

from bisect import bisect_right
from hashlib import blake2b
from operator import itemgetter
from typing import TYPE_CHECKING, NamedTuple

from hk_tick_collector.hktime import hk_day
from hk_tick_collector.journal.marks import Mark, mark_of
from hk_tick_collector.ledger.premises import PASSING
from hk_tick_collector.mapping import RECV_TS_MS, TS_MS, BadTick, Mapped, PushType
from hk_tick_collector.opend.numbers import ProtoId
from hk_tick_collector.opend.purpose import Purpose, purpose_of
from hk_tick_collector.writer.progress import Counters

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from hk_tick_collector.journal.segments import Position, Record
    from hk_tick_collector.ledger.rows import Failure, News
    from hk_tick_collector.mapping import Correction, Row
    from hk_tick_collector.opend.frames import SplitRun

_PUSH_TYPE_OF = {Purpose.BACKFILL: PushType.BACKFILL, Purpose.POLL: PushType.POLL}


class Part:
    """What stands between two marks or replies of the journal, and the mark at its end, if there is one.

    A reply ends a part, since a tick belongs to what came first, the reply or the push, however batches are cut.
    """

    def __init__(self) -> None:
        self.bodies = {push_type: Bodies() for push_type in PushType}
        self.mark: Mark | None = None


class Batch:
    """What one transaction stores: the ticker bodies of whole records, up to `end`."""

    def __init__(self) -> None:
        self.parts = [Part()]
        self.pushes = 0
        self.bad: list[BadRow] = []  # records that can't be split into frames
        self.end: Position | None = None
        self.max_recv_ts_ms = 0
        self.is_full = False  # it holds enough; there may be more in the journal
        self.is_aside = False  # it is one record, which is put aside whole

    def mark(self, mark: Mark | None) -> None:
        """End a part: what is added from here on stands after this mark; None: after a reply that is not a mark."""
        self.parts[-1].mark = mark
        self.parts.append(Part())

    def take_run(self, run: SplitRun, record: Record) -> None:
        """Take a record's ticker bodies, with its marks at their places."""
        taken = first = 0  # how many pushes were taken, and the frame after the last mark
        for place, (number, frame) in enumerate(run.others):
            push_type = _PUSH_TYPE_OF.get(purpose_of(frame.serial_no))
            mark = mark_of(frame, number, record)
            is_reply = frame.proto_id == ProtoId.QOT_GET_TICKER and push_type is not None
            if mark is not None or is_reply:
                before = number - place
                self._push(run, slice(taken, before), first, record)
                taken, first = before, number + 1
            if is_reply and push_type is not None:
                self.parts[-1].bodies[push_type].add([frame.body], record, range(number))
            if mark is not None or is_reply:
                self.mark(mark)
        self._push(run, slice(taken, None), first, record)

    def _push(self, run: SplitRun, part: slice, first: int, record: Record) -> None:
        bodies = run.pushes if part.start == 0 and part.stop is None else run.pushes[part]
        others = [number for number, _ in run.others]
        self.pushes += len(bodies)
        self.parts[-1].bodies[PushType.PUSH].add(
            bodies, record, [*range(first), *(number for number in others if number >= first)] if first else others
        )


class Outcome:
    """What became of a batch."""

    def __init__(self) -> None:
        self.rows = 0
        self.inserted = 0
        self.duplicates = 0
        self.revisions = 0
        self.extra = 0
        self.ts_ms_max: int | None = None
        self.corrections: list[Correction] = []
        self.bad: list[BadRow] = []
        self.drifted: Row | None = None
        self.news: list[News] = []
        self.failures: list[Failure] = []
        self.written_by_others: set[str] = set()  # days to whose databases another program has written
        self.away: dict[str, int] = {}  # by day: ticks of a certified day that is kept elsewhere; not stored

    @property
    def gaps_found(self) -> list[News]:
        """The gaps that were found."""
        return [news for news in self.news if news.filled_by is None]

    @property
    def gaps_filled(self) -> list[News]:
        """The gaps that were filled."""
        return [news for news in self.news if news.filled_by is not None]

    def counted(self) -> Counters:
        """What it adds to the counters."""
        return Counters(
            rows=self.rows, inserted=self.inserted, duplicates=self.duplicates, revisions=self.revisions,
            bad=len(self.bad), corrected=len(self.corrections), commits=int(self.rows > 0), gaps=len(self.gaps_found),
            gaps_filled=len(self.gaps_filled),
            premises_failed=sum(failure.premise not in PASSING for failure in self.failures),
            away=sum(self.away.values()), extra=self.extra, written_by_others=len(self.written_by_others),
            drifted=int(self.drifted is not None),
        )  # fmt: skip


class Chunk:
    """A portion of a batch as rows: rows take five times the space of their bodies, so few are made at a time."""

    def __init__(self) -> None:
        self.mapped = Mapped()
        self.bad: list[BadRow] = []
        self.rows = 0


class Bodies:
    """Ticker bodies on their way to the mapper, and where in the journal each came from."""

    def __init__(self) -> None:
        self.bodies: list[bytes] = []
        self.recv_ts_ms: list[int] = []
        # For each record with bodies: the first body, the record, the numbers of its frames that are not in here.
        self._records: list[tuple[int, Position, Sequence[int]]] = []

    def add(self, bodies: list[bytes], record: Record, others: Sequence[int]) -> None:
        """Add bodies of one record: all of its frames except `others`, in order."""
        if bodies:
            self._records.append((len(self.bodies), record.start, others))
            self.bodies += bodies
            self.recv_ts_ms += [record.recv_ts_ms] * len(bodies)

    def __len__(self) -> int:
        return len(self.bodies)

    def place(self, body: int) -> tuple[Position, int]:
        """The record that a body came in, and the number of its frame in it."""
        first, start, others = self._records[bisect_right(self._records, body, key=itemgetter(0)) - 1]
        number = body - first
        for other in others:
            number += other <= number
        return start, number


class BadRow(NamedTuple):
    """A row of `bad_ticks`: why it can't be stored, its bytes, and where in the journal it came from.

    The digest is computed from symbol and bytes: what is fetched again and again is kept once.
    """

    digest: bytes
    symbol: str
    recv_ts_ms: int
    error: str
    raw: bytes
    journal_segment: int
    journal_offset: int
    frame: int
    place: int


def bad_row(bad: BadTick, recv_ts_ms: int, start: Position, frame: int) -> BadRow:
    """The row for a bad tick that came in a frame of the record at `start`."""
    digest = blake2b(bad.symbol.encode() + b"\0" + bad.raw, digest_size=16).digest()
    return BadRow(digest, bad.symbol, recv_ts_ms, bad.error, bad.raw, start.segment, start.offset, frame, bad.place)


class DayShare:
    """The part of a chunk that goes into one day's database."""

    def __init__(self) -> None:
        self.pushed: dict[str, list[Row]] = {}
        self.fetched: dict[str, list[Row]] = {}
        self.corrections: list[Correction] = []
        self.bad: list[BadRow] = []

    @property
    def ticks(self) -> int:
        """How many ticks are in it."""
        return sum(map(len, self.pushed.values())) + sum(map(len, self.fetched.values()))

    def pieces(self) -> list[DayShare]:
        """Each item in it as a share of its own."""
        found: list[DayShare] = []
        for name in ("pushed", "fetched"):
            rows_by_symbol: dict[str, list[Row]] = getattr(self, name)
            for symbol, rows in rows_by_symbol.items():
                for row in rows:
                    found.append(DayShare())
                    getattr(found[-1], name)[symbol] = [row]
        for name in ("corrections", "bad"):
            for one in getattr(self, name):
                found.append(DayShare())
                getattr(found[-1], name).append(one)
        return found

    def put_aside(self, error: str, place: tuple[Position, int]) -> list[BadRow]:
        """The rows of `bad_ticks` to keep in place of its ticks, if these can't be stored.

        Args:
            error: why.
            place: the record that they came in, and the number of the frame in it.
        """
        rows = [row for by_symbol in (self.pushed, self.fetched) for rows in by_symbol.values() for row in rows]
        # Without the time of storing, the last column, which differs in a replay.
        return [
            bad_row(BadTick(0, -1, row[0], error, repr(row[:-1]).encode()), row[RECV_TS_MS], *place) for row in rows
        ]


def share_by_day(chunk: Chunk) -> dict[str, DayShare]:
    """Split a chunk by the Hong Kong day of each tick's time; nearly always there is one day, and nothing is copied."""
    mapped = chunk.mapped
    days: dict[str, DayShare] = {}
    if mapped.pushed or mapped.fetched:
        first, last = hk_day(mapped.ts_ms_min), hk_day(mapped.ts_ms_max)
        if first == last:
            days[first] = DayShare()
            days[first].pushed, days[first].fetched = mapped.pushed, mapped.fetched
        else:
            _share(mapped.pushed, days, "pushed")
            _share(mapped.fetched, days, "fetched")
    for correction in mapped.corrections:
        days.setdefault(hk_day(correction.ts_ms), DayShare()).corrections.append(correction)
    for bad in chunk.bad:
        days.setdefault(hk_day(bad.recv_ts_ms), DayShare()).bad.append(bad)
    return days


def _share(rows_by_symbol: Mapping[str, list[Row]], days: dict[str, DayShare], name: str) -> None:
    for symbol, rows in rows_by_symbol.items():
        for row in rows:
            share: dict[str, list[Row]] = getattr(days.setdefault(hk_day(row[TS_MS]), DayShare()), name)
            share.setdefault(symbol, []).append(row)
