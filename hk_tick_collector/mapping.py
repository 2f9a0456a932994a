"""From OpenD's ticker to a row: every rule about time and sequence is here.

Owns what a tick is, which of its times is believed, and what is done with one that makes no sense. Never touches a
disk. Invariant: the same body, received at the same time, always gives the same rows; so a replay of the journal
changes nothing.

**Time.** `time` (exchange-local, read by `hktime`) has two witnesses: `timestamp`, and `sequence >> 32` if that can be
a time. The known fault of such feeds is a Hong Kong time that was read as UTC somewhere: 8 hours too late. So:

1. A witness that agrees with the time proves it, whatever the host's clock says.
2. Two witnesses that agree with each other, 8 h off the time, overrule it.
3. One witness alone that is 8 h off: the earlier of the two is believed, since the fault only makes a time later.
4. No witness: only then the host's clock decides. 2 h to 8 h 10 min in its future is the fault; more than a day in its
   future is no time, and the tick is put aside.
5. Any other disagreement: the time stands as written. A witness more than a day away is another market's number: it
   neither proves the time nor keeps rule 4 from correcting it.

"Agrees" means to within 10 minutes, and so does "8 h". The original of a corrected time is kept (`Correction`), and the
writer logs a warning.

**Sequence.** A tick without a usable one (≤ 0) gets a negative one, made from its content and its place among the equal
ticks of its message: the same in every replay and every delivery, and never the same as a real one.
"""

from __future__ import annotations

from collections import Counter, deque
from enum import IntEnum
from hashlib import blake2b
from itertools import repeat
from math import isfinite
from operator import mul, rshift, sub
from typing import TYPE_CHECKING, Any, Final, NamedTuple, cast

from hk_tick_collector.errors import BadTickError, TimeFormatError
from hk_tick_collector.hktime import DAY_MS, EPOCH_MS_MAX, EPOCH_MS_MIN, Form, WrittenTime, hk_midnight_ms, parse_time
from hk_tick_collector.opend.codes import symbol_of
from hk_tick_collector.opend.columns import decode_columns
from hk_tick_collector.opend.messages import DecodeError, parse_tickers
from hk_tick_collector.opend.numbers import PushDataType
from hk_tick_collector.text import plain

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from hk_tick_collector.opend.columns import Columns
    from hk_tick_collector.opend.messages import TickerLike

EIGHT_HOURS_MS = 8 * 3600 * 1000
# Published rows differ from their sequence's second by up to 2 s; late trades by minutes. 8 h are far from both.
AGREE_MS = 10 * 60 * 1000
FUTURE_MS = 2 * 3600 * 1000  # "obviously in the future"
_SEQ_EPOCH_SHIFT, _INT64_MAX = 32, 2**63 - 1
_TIMES_MAX = 100_000  # more than a day has seconds


class PushType(IntEnum):
    """How a tick came: pushed, found by a poll, or fetched after a connect."""

    PUSH = 0
    POLL = 1
    BACKFILL = 2


# A row of `ticks`, a tuple in the order of the table's stored columns: symbol, seq, ts_ms, price, volume, turnover,
# direction_id, tick_type_id, push_type_id, push_data_type, recv_ts_ms, inserted_at_ms. Prices are in the counter's
# currency, volume in shares, times in UTC epoch ms; direction, tick type and push data type are OpenD's own numbers.
Row = tuple[str, int, int, float, int, float, int, int, int, int, int, int]
Content = tuple[str, float, int, float, int, int]  # of OpenD's: time, price, volume, turnover, direction, type

# Places in a row.
SEQ: Final = 1
TS_MS: Final = 2
VOLUME: Final = 4
TURNOVER: Final = 5
PUSH_DATA_TYPE: Final = 9
RECV_TS_MS: Final = 10

PUSH_DATA_REALTIME: Final = int(PushDataType.REALTIME)  # a plain number: it is compared with each tick's


class Correction(NamedTuple):
    """A time that was not believed: the original, what is stored, and on what evidence."""

    symbol: str
    seq: int
    original_time: str
    original_ts_ms: int
    ts_ms: int
    evidence: str


class BadTick(NamedTuple):
    """A row that makes no sense; its bytes are kept.

    Attributes:
        body: which of the bodies that were mapped together it came in.
        place: its place in its message; -1 for a message that can't be read at all.
        symbol: as far as it could be read, else ''.
        error: which field, what was seen, what was expected, as plain text; it may be cut.
        raw: the tick's bytes; the whole body of a message that can't be read.
    """

    body: int
    place: int
    symbol: str
    error: str
    raw: bytes


class Mapped:
    """What bodies were mapped to.

    Attributes:
        pushed: rows that were pushed, by symbol, in the order of arrival.
        fetched: rows of GetTicker replies; most of them are stored already.
        corrections: times that were not believed.
        bad: rows that make no sense.
        ts_ms_min: the earliest time of all rows, UTC epoch ms.
        ts_ms_max: the latest.
    """

    def __init__(self) -> None:
        self.ts_ms_min = EPOCH_MS_MAX
        self.ts_ms_max = EPOCH_MS_MIN
        self.pushed: dict[str, list[Row]] = {}
        self.fetched: dict[str, list[Row]] = {}
        self.corrections: list[Correction] = []
        self.bad: list[BadTick] = []

    def span(self, first_ms: int, last_ms: int) -> None:
        """Widen the span of times."""
        self.ts_ms_min = min(self.ts_ms_min, first_ms)
        self.ts_ms_max = max(self.ts_ms_max, last_ms)


class Decision(NamedTuple):
    """The believed time and the written one, UTC epoch ms, and why they differ (None: they don't)."""

    ts_ms: int
    original_ts_ms: int
    evidence: str | None


class Mapper:
    """Turns bodies into rows, and caches what makes that fast: times and symbols seen before."""

    def __init__(self) -> None:
        self._times: dict[str, int] = {}  # written Hong Kong times → UTC epoch ms
        self._symbols: dict[tuple[int, str], str] = {}

    def map_bodies(
        self, bodies: list[bytes], recv_ts_ms: list[int], push_type: PushType, inserted_at_ms: int, out: Mapped
    ) -> int:
        """Map ticker pushes, or GetTicker replies, adding to `out`. Returns how many ticks they hold, with bad ones.

        Nothing is raised for what OpenD sent: what makes no sense goes to `out.bad`, the rest of it is mapped.

        Args:
            bodies: plaintext bodies, all of the same kind.
            recv_ts_ms: when each body was received, UTC epoch ms.
            push_type: how they came.
            inserted_at_ms: when they are stored, UTC epoch ms.
            out: takes the rows.
        """
        columns = decode_columns(bodies)
        odd: Iterable[int]
        if columns is None or not self._learn(columns):
            rows, odd = 0, range(len(bodies))
        else:
            rows, odd = self._map_columns(columns, recv_ts_ms, push_type, inserted_at_ms, out)
        for place in odd:
            rows += self._map_singly(place, bodies[place], recv_ts_ms[place], push_type, inserted_at_ms, out)
        return rows

    def _learn(self, columns: Columns) -> bool:
        """Cache all symbols and Hong Kong times of these columns. False: one is unreadable, or a number not finite."""
        if not isfinite(sum(columns.prices) + sum(columns.turnovers)):
            return False
        if len(self._times) > _TIMES_MAX:
            self._times.clear()
        try:
            for text in set(columns.times).difference(self._times):
                self._read_time(text)
            for key in set(zip(columns.markets, columns.codes, strict=True)).difference(self._symbols):
                self._symbols[key] = symbol_of(*key)
        except BadTickError:
            return False
        return True

    def _read_time(self, text: str) -> WrittenTime:
        """Parse a time, and cache it if it is Hong Kong's: the ticks of a message have few different ones."""
        known = self._times.get(text)
        if known is not None:
            return WrittenTime(Form.LOCAL, known)
        try:
            written = parse_time(text)
        except TimeFormatError as exc:
            raise BadTickError(str(exc)) from exc
        if written.form is Form.LOCAL and len(self._times) <= _TIMES_MAX:
            self._times[text] = written.ms
        return written

    def _map_columns(
        self, columns: Columns, recv_ts_ms: list[int], push_type: PushType, inserted_at_ms: int, out: Mapped
    ) -> tuple[int, list[int]]:
        """Map the usual ticks, whose sequence proves their time: (how many, the bodies to be read one by one)."""
        symbols = list(map(self._symbols.__getitem__, zip(columns.markets, columns.codes, strict=True)))
        body_symbols = symbols
        body_of: Sequence[int] = range(len(symbols))
        if columns.counts is not None:
            body_of = [body for body, count in enumerate(columns.counts) for _ in range(count)]
            symbols = [symbols[body] for body in body_of]
            recv_ts_ms = [recv_ts_ms[body] for body in body_of]
        times = list(map(self._times.get, columns.times))
        odd: set[int] = set()
        if not _all_agree(times, columns.sequences):
            ticks = zip(body_of, times, columns.sequences, strict=True)
            odd = {body for body, ts_ms, seq in ticks if not _agrees(ts_ms, seq)}
        rows = zip(
            symbols, columns.sequences, times, columns.prices, columns.volumes, columns.turnovers, columns.directions,
            columns.types, repeat(int(push_type)), columns.push_data_types, recv_ts_ms, repeat(inserted_at_ms),
        )  # fmt: skip
        by_symbol = cast("dict[str, list[Any]]", out.fetched if push_type else out.pushed)
        if known := [ts_ms for ts_ms in times if ts_ms is not None]:
            out.span(min(known), max(known))
        if not odd:
            for symbol in dict.fromkeys(symbols):
                by_symbol.setdefault(symbol, [])
            lists = map(by_symbol.__getitem__, symbols)
            deque(map(list.append, lists, rows), maxlen=0)  # a loop without Python code for each tick
            return len(symbols), []
        # A symbol's rows stay in the order of arrival, so its other bodies are read one by one as well.
        slow = {body_symbols[body] for body in odd}
        mapped = 0
        for symbol, row in zip(symbols, rows, strict=True):
            if symbol not in slow:
                by_symbol.setdefault(symbol, []).append(row)
                mapped += 1
        return mapped, [body for body, symbol in enumerate(body_symbols) if symbol in slow]

    def _map_singly(
        self, number: int, body: bytes, recv_ts_ms: int, push_type: PushType, inserted_at_ms: int, out: Mapped
    ) -> int:
        """Map one body, tick by tick; what makes no sense is put aside. Returns how many ticks it held."""
        try:
            reply = parse_tickers(body)
            if reply.retType and push_type is not PushType.PUSH:
                return 0  # a GetTicker that was refused holds no tick; the session has logged it
            symbol = symbol_of(reply.s2c.security.market, reply.s2c.security.code)
        except (DecodeError, BadTickError) as exc:
            out.bad.append(BadTick(number, -1, "", plain(f"ticker body of {len(body)} bytes: {exc}"), body))
            return 1
        tickers = reply.s2c.tickerList
        made_up = MadeUp(tickers)
        rows: list[Row] = []
        for place, t in enumerate(tickers):
            try:
                _check(t)
                decision = decide_time(self._read_time(t.time), t.timestamp, t.sequence, recv_ts_ms)
            except BadTickError as exc:
                raw = t.SerializePartialToString()
                out.bad.append(BadTick(number, place, symbol, plain(f"{symbol} seq {t.sequence}: {exc}"), raw))
                continue
            ts_ms = decision.ts_ms
            seq = t.sequence if t.sequence > 0 else made_up.seq(place)
            if decision.evidence is not None:
                out.corrections.append(
                    Correction(symbol, seq, t.time, decision.original_ts_ms, ts_ms, decision.evidence)
                )
            out.span(ts_ms, ts_ms)
            rows.append(
                (symbol, seq, ts_ms, t.price, t.volume, t.turnover, t.dir, t.type, int(push_type), t.pushDataType,
                 recv_ts_ms, inserted_at_ms)
            )  # fmt: skip
        if rows:  # a symbol without a row is not in the result: callers may use the last row of each
            (out.fetched if push_type else out.pushed).setdefault(symbol, []).extend(rows)
        return len(tickers)


def _agrees(ts_ms: int | None, seq: int) -> bool:
    """Whether a time is known and proven by its sequence."""
    return ts_ms is not None and abs(ts_ms - (seq >> _SEQ_EPOCH_SHIFT) * 1000) <= AGREE_MS


def _all_agree(times: list[int | None], sequences: list[int]) -> bool:
    """Whether `_agrees` holds for all, which it nearly always does; computed without Python code for each tick."""
    if None in times:
        return False
    seconds = map(rshift, sequences, repeat(_SEQ_EPOCH_SHIFT))
    apart = list(map(sub, cast("list[int]", times), map(mul, seconds, repeat(1000))))
    return min(apart, default=0) >= -AGREE_MS and max(apart, default=0) <= AGREE_MS


def _check(t: TickerLike) -> None:
    """Check that a tick has all required fields, and finite numbers; else BadTickError says what is wrong."""
    if not t.IsInitialized():
        raise BadTickError(f"without {', '.join(cast('Any', t).FindInitializationErrors())}")
    if not (isfinite(t.price) and isfinite(t.turnover)):
        raise BadTickError(f"price {t.price} and turnover {t.turnover}, expected finite numbers")


def decide_time(written: WrittenTime, timestamp_sec: float, seq: int, recv_ts_ms: int) -> Decision:
    """Which time is believed: the rules at the top of this module.

    Args:
        written: the tick's `time`.
        timestamp_sec: the tick's `timestamp`, epoch seconds; 0 if there is none.
        seq: the tick's `sequence`.
        recv_ts_ms: when it was received by the host's clock, UTC epoch ms.

    Raises:
        BadTickError: a date without a clock time, or a time more than a day ahead, and no witness.
    """
    witnesses = _witnesses(timestamp_sec, seq)
    value = _complete(written, witnesses, recv_ts_ms)
    if any(abs(value - at) <= AGREE_MS for at, _ in witnesses):
        return Decision(value, value, None)
    off = [(at, name) for at, name in witnesses if abs(abs(value - at) - EIGHT_HOURS_MS) <= AGREE_MS]
    if len(off) > 1 and abs(off[0][0] - off[1][0]) <= AGREE_MS:
        shift = -EIGHT_HOURS_MS if value > off[0][0] else EIGHT_HOURS_MS
        return Decision(value + shift, value, "timestamp and sequence agree")
    for at, name in off:
        if value > at:
            return Decision(value - EIGHT_HOURS_MS, value, f"{name} says 8 h earlier")
    # A witness that is more than a day away is not a time (other markets' sequences), and does not count.
    alone = all(abs(value - at) > DAY_MS for at, _ in witnesses)
    if alone and FUTURE_MS < value - recv_ts_ms <= EIGHT_HOURS_MS + AGREE_MS:
        return Decision(value - EIGHT_HOURS_MS, value, "no witness, and in the host clock's future")
    if not witnesses and value - recv_ts_ms > DAY_MS:
        raise BadTickError("more than a day in the future, and no witness")
    return Decision(value, value, None)


class MadeUp:
    """Stable negative sequences for the ticks of one message that have none.

    They identify stored rows: if they were made differently, every such tick would be stored again.
    """

    def __init__(self, tickers: Sequence[TickerLike]) -> None:
        self._tickers = tickers
        self._counts: Counter[Content] = Counter()
        self._counted = 0  # how many ticks of the message are in the counts

    def seq(self, place: int) -> int:
        """The sequence of the tick at a place. Call it with rising places: each tick is counted once."""
        assert place >= self._counted, "places rise"
        self._counts.update(map(_content, self._tickers[self._counted : place]))
        content = _content(self._tickers[place])
        self._counts[content] += 1
        self._counted = place + 1
        return made_up_seq(content, self._counts[content] - 1)


def made_up_seq(content: Content, equals_before: int) -> int:
    """The sequence of a tick that has none: by its content, and how many equal ticks came before it."""
    digest = blake2b(f"{content!r}#{equals_before}".encode(), digest_size=8).digest()
    return -1 - (int.from_bytes(digest, "little") & (_INT64_MAX >> 1))


def _content(t: TickerLike) -> Content:
    return (t.time, t.price, t.volume, t.turnover, t.dir, t.type)


def seq_time_ms(seq: int) -> int | None:
    """The time in a Hong Kong sequence's high 32 bits, UTC epoch ms; None: it can't be a time."""
    ms = (seq >> _SEQ_EPOCH_SHIFT) * 1000
    return ms if EPOCH_MS_MIN <= ms < EPOCH_MS_MAX else None


def _witnesses(timestamp_sec: float, seq: int) -> list[tuple[int, str]]:
    found: list[tuple[int, str]] = []
    if isfinite(timestamp_sec) and EPOCH_MS_MIN <= timestamp_sec * 1000 < EPOCH_MS_MAX:
        found.append((round(timestamp_sec * 1000), "timestamp"))
    seq_ms = seq_time_ms(seq)
    if seq_ms is not None:
        found.append((seq_ms, "sequence"))
    return found


def _complete(written: WrittenTime, witnesses: list[tuple[int, str]], recv_ts_ms: int) -> int:
    """Complete a clock time with its day, or a date with its clock time, from a witness.

    Without a witness, a clock time is the last such moment before its reception (a tick of 15:59 that is fetched at
    08:00 is yesterday's), or up to FUTURE_MS after it, since clocks differ.
    """
    if written.form is Form.DATE:
        of_that_day = [at for at, _ in witnesses if hk_midnight_ms(at) == written.ms]
        if not of_that_day:
            raise BadTickError("a date without a time of day, and no witness to complete it")
        return min(of_that_day)  # if they differ, it is by the fault, which only makes a time later
    if written.form is not Form.CLOCK:
        return written.ms
    if witnesses:
        at = witnesses[-1][0]
        days = (hk_midnight_ms(at) + d * DAY_MS for d in (-1, 0, 1))
        return min((day + written.ms for day in days), key=lambda ms: abs(ms - at))
    today = hk_midnight_ms(recv_ts_ms) + written.ms
    return today if today <= recv_ts_ms + FUTURE_MS else today - DAY_MS
