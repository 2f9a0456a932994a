"""From a row of the older recorder to a row of ours.

Owns what each of its columns becomes. Never opens a file. Invariant: the same row always gives the same result, so a
second run can compare what it would store with what is stored; and each row gives a tick, or a row put aside.

**Time.** A time that is eight hours late by its sequence is corrected, by the rule of `repair.rules`. No other evidence
counts here: the host's clock of that time is not known.

**Sequence.** A row without one gets the made-up sequence that `mapping` gives to such a tick, so that it is the same
tick if this recorder has it as well.
"""

from __future__ import annotations

import json
from collections import Counter
from hashlib import blake2b
from math import isfinite
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from hk_tick_collector.errors import BadTickError
from hk_tick_collector.hktime import DAY_MS, EPOCH_MS_MAX, EPOCH_MS_MIN, day_begin_ms, hk_day, hk_text
from hk_tick_collector.mapping import EIGHT_HOURS_MS, Content, Correction, PushType, made_up_seq
from hk_tick_collector.opend.numbers import DIRECTIONS, TICK_TYPES
from hk_tick_collector.repair.rules import Finding, Rule
from hk_tick_collector.store.schema import INT64_MAX
from hk_tick_collector.text import plain

if TYPE_CHECKING:
    from collections.abc import Iterable

    from hk_tick_collector.mapping import Row

# The columns that are read, in this order; one that an older schema version lacks is read as NULL.
COLUMNS: Final = (
    "symbol", "seq", "ts_ms", "price", "volume", "turnover", "direction", "tick_type", "push_type", "market",
    "recv_ts_ms", "inserted_at_ms",
)  # fmt: skip

BY_SEQ: Final = Rule(EIGHT_HOURS_MS, None)

_DIRECTIONS: Final = {name: number for number, name in DIRECTIONS.items()} | {"N/A": 0}
# The vendor's SDK misspells one.
_TICK_TYPES: Final = {name: number for number, name in TICK_TYPES.items()} | {"N/A": 0, "REOPENINGP_RICED": 28}
# How a tick came is only known if it says so; whatever else there is was not pushed live, as far as is known.
_PUSH_TYPES: Final = {"push": PushType.PUSH, "poll": PushType.POLL, "backfill": PushType.BACKFILL}
_NOT_TOLD: Final = 0  # push_data_type: the older recorder did not keep it


# A row of `bad_ticks`.
BadRow = tuple[bytes, str, int, str, bytes, int, int, int, int]


class DayBounds(NamedTuple):
    """A Hong Kong day: from `begin_ms` to before `end_ms`, UTC epoch ms."""

    day: str
    begin_ms: int
    end_ms: int

    @classmethod
    def of(cls, day: str) -> DayBounds:
        """The bounds of YYYYMMDD.

        Raises:
            TimeFormatError: it is not a date.
        """
        begin_ms = day_begin_ms(day)
        return cls(day, begin_ms, begin_ms + DAY_MS)


class OldRows:
    """What rows of one file became, for one day.

    Attributes:
        by_symbol: ticks by symbol, in the order in which they were stored.
        corrections: the originals of corrected times.
        bad: rows that are no valid ticks.
        late: how many times were corrected.
        unproven: ticks without a sequence that tells a time.
        unknown_names: by name of a direction or type that is not OpenD's, how many ticks have it; stored as UNKNOWN.
    """

    def __init__(self) -> None:
        self.by_symbol: dict[str, list[Row]] = {}
        self.corrections: list[Correction] = []
        self.bad: list[BadRow] = []
        self.late = 0
        self.unproven = 0
        self.unknown_names: Counter[str] = Counter()

    @property
    def count(self) -> int:
        """The number of rows, with those put aside."""
        return sum(map(len, self.by_symbol.values())) + len(self.bad)


def corrected_ms(ts_ms: int, seq: object) -> tuple[int, Finding]:
    """A row's time as its sequence proves it, UTC epoch ms, and what was found."""
    finding = BY_SEQ.judge(ts_ms, seq)
    return (ts_ms - BY_SEQ.correction_ms if finding is Finding.LATE else ts_ms), finding


def day_of(ts_ms: object, seq: object, file_day: str) -> str:
    """The day that a row belongs to, by its corrected time; the file's own if that is no time of this century."""
    if not isinstance(ts_ms, int):
        return file_day
    right_ms, _ = corrected_ms(ts_ms, seq)
    return hk_day(right_ms) if EPOCH_MS_MIN <= right_ms < EPOCH_MS_MAX else file_day


class OldRowMapper:
    """Maps one file's rows for one day; it counts equal rows without a sequence, so use one for the whole file."""

    def __init__(self, bounds: DayBounds, file_day: str) -> None:
        self._bounds = bounds
        self._is_own_file = bounds.day == file_day
        self._file_day = file_day
        self._equals: Counter[tuple[str, Content]] = Counter()

    def map(self, rows: Iterable[tuple[Any, ...]]) -> OldRows:
        """Map rows of the file, as `COLUMNS`; those of other days are left out."""
        out = OldRows()
        for row in rows:
            seq, ts_ms = row[1], row[2]
            if not isinstance(ts_ms, int):
                right_ms, finding = 0, Finding.UNPROVEN
            else:
                right_ms, finding = corrected_ms(ts_ms, seq)
            if not self._bounds.begin_ms <= right_ms < self._bounds.end_ms and (
                not self._is_own_file or day_of(ts_ms, seq, self._file_day) != self._bounds.day
            ):
                continue
            try:
                tick = self._tick(row, right_ms, out)
            except BadTickError as exc:
                out.bad.append(_put_aside(row, str(exc)))
                continue
            out.by_symbol.setdefault(tick[0], []).append(tick)
            if finding is Finding.LATE:
                out.late += 1
                out.corrections.append(Correction(tick[0], tick[1], "", ts_ms, right_ms, BY_SEQ.evidence))
            out.unproven += finding is Finding.UNPROVEN
        return out

    def _tick(self, row: tuple[Any, ...], ts_ms: int, out: OldRows) -> Row:
        written, seq, _, price, volume, turnover, direction, tick_type, push_type, market, recv_ms, inserted_ms = row
        if not EPOCH_MS_MIN <= ts_ms < EPOCH_MS_MAX:
            raise BadTickError(f"ts_ms {row[2]!r}, expected a time in ms")
        symbol = _symbol(written, market)
        price, turnover = _number("price", price), _number("turnover", turnover)
        if not isinstance(volume, int):
            raise BadTickError(f"volume {volume!r}, expected a whole number")
        if seq is not None and not isinstance(seq, int):
            raise BadTickError(f"seq {seq!r}, expected a whole number")
        direction_id = _id_of(direction, _DIRECTIONS, out)
        type_id = _id_of(tick_type, _TICK_TYPES, out)
        if seq is None or seq <= 0:
            seq = self._made_up(symbol, (hk_text(ts_ms)[:19], price, volume, turnover, direction_id, type_id))
        inserted_ms = inserted_ms if _is_time(inserted_ms) else ts_ms
        return (
            symbol, seq, ts_ms, price, volume, turnover, direction_id, type_id,
            int(_PUSH_TYPES.get(push_type, PushType.BACKFILL)), _NOT_TOLD,
            recv_ms if _is_time(recv_ms) else inserted_ms, inserted_ms,
        )  # fmt: skip

    def _made_up(self, symbol: str, content: Content) -> int:
        """The sequence that `mapping` would make up, as if all equal ticks of the file had come in one message."""
        before = self._equals[symbol, content]
        self._equals[symbol, content] += 1
        return made_up_seq(content, before)


def _symbol(written: object, market: object) -> str:
    if not isinstance(written, str) or not written.strip():
        raise BadTickError(f"symbol {written!r}, expected a code such as HK.00700")
    return written if "." in written else f"{market or 'HK'}.{written}"


def _number(name: str, value: object) -> float:
    if isinstance(value, int | float) and isfinite(value):
        return float(value)
    raise BadTickError(f"{name} {value!r}, expected a finite number")


def _id_of(name: object, numbers: dict[str, int], out: OldRows) -> int:
    if name is None:
        return 0
    number = numbers.get(str(name))
    if number is None:
        out.unknown_names[plain(name, 40)] += 1
    return number or 0


def _is_time(value: object) -> bool:
    return isinstance(value, int) and EPOCH_MS_MIN <= value < EPOCH_MS_MAX


def _put_aside(row: tuple[Any, ...], error: str) -> BadRow:
    """A row of `bad_ticks`: the old row as JSON."""
    told = {name: value.hex() if isinstance(value, bytes) else value for name, value in zip(COLUMNS, row, strict=True)}
    raw = json.dumps(told, ensure_ascii=True).encode()
    symbol = row[0] if isinstance(row[0], str) else ""
    digest = blake2b(symbol.encode(errors="replace") + b"\0" + raw, digest_size=16).digest()
    recv_ms = next((value for value in row[-2:] if isinstance(value, int)), 0)
    recv_ms = max(-INT64_MAX, min(INT64_MAX, recv_ms))
    return (digest, plain(symbol), recv_ms, plain(f"older recorder's row: {error}"), raw, 0, 0, 0, 0)
