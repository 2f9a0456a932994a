"""What is received and not stored yet: the journal after the writer's cursor, in bytes and in ticks.

Owns how ticks are counted without being stored. Never moves the cursor. A count reads the disk, so run it in a thread,
never on the event loop.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from hk_tick_collector.errors import RemoteProtocolError
from hk_tick_collector.journal.cursor import load_cursor
from hk_tick_collector.journal.segments import JournalReader, Kind
from hk_tick_collector.opend import messages
from hk_tick_collector.opend.columns import decode_columns
from hk_tick_collector.opend.frames import split_run
from hk_tick_collector.opend.numbers import ProtoId
from hk_tick_collector.opend.purpose import Purpose, purpose_of

if TYPE_CHECKING:
    from pathlib import Path

    from hk_tick_collector.journal.segments import Record

# This much is counted tick by tick, in about 10 ms. It holds about 7,000 pushes, far more rows than a stall requires.
# The rest is extrapolated from it.
EXACT_BYTES: Final = 1024 * 1024

EMPTY_TIMES_MAX: Final = 64  # read up to this many times more while no tick is found;
PUSH_BYTES: Final = 150  # after that, assume one tick per this many bytes

_FETCHED: Final = frozenset({Purpose.BACKFILL, Purpose.POLL})


class Backlog(NamedTuple):
    """What waits to be stored.

    Attributes:
        size_bytes: of the journal.
        rows: ticks in it, exact or estimated.
    """

    size_bytes: int
    rows: int


def measure_backlog(journal: Path, exact_bytes: int = EXACT_BYTES) -> Backlog:
    """Measure the journal in this directory after the writer's cursor.

    Raises:
        OSError: the journal can't be read.
    """
    reader = JournalReader(journal, load_cursor(journal))
    try:
        size_bytes = reader.backlog_bytes()
        counted_bytes = rows = 0
        # A night's keep-alives hold no tick, so what comes after them must not be extrapolated from them.
        while counted_bytes < exact_bytes or (not rows and counted_bytes < EMPTY_TIMES_MAX * exact_bytes):
            records = reader.read(exact_bytes)
            if not records:  # the end; any bytes left are the record being written
                return Backlog(size_bytes, rows)
            counted_bytes += sum(record.end.offset - record.start.offset for record in records)
            rows += count_ticks(records)
    finally:
        reader.close()
    rest_bytes = max(0, size_bytes - counted_bytes)
    more = rows * rest_bytes // counted_bytes if rows else rest_bytes // PUSH_BYTES
    return Backlog(size_bytes, rows + more)


def count_ticks(records: list[Record]) -> int:
    """The number of ticks in these records that the writer would store: pushed and fetched ones."""
    bodies: list[bytes] = []
    for record in records:
        if record.kind != Kind.FRAMES:
            continue
        try:
            run = split_run(record.payload)
        except RemoteProtocolError:
            continue  # the writer puts it aside whole: no tick
        bodies += run.pushes
        bodies += [
            frame.body
            for _, frame in run.others
            if frame.proto_id == ProtoId.QOT_GET_TICKER and purpose_of(frame.serial_no) in _FETCHED
        ]
    columns = decode_columns(bodies) if bodies else None
    if columns is not None:
        return len(columns.times)
    return sum(map(_ticks_of, bodies))


def _ticks_of(body: bytes) -> int:
    try:
        return len(messages.parse_tickers(body).s2c.tickerList)
    except messages.DecodeError:
        return 1  # one row of `bad_ticks`
