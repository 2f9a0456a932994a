"""Whatever a journal holds: no record stops the writer, and the good ticks beside it are stored, once."""

from __future__ import annotations

import json
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import apsw
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.odd_messages import READ, odd_body
from support.settings import writer_settings
from support.sizes import drawn
from support.ticks import DAY, HSBC, OPEN_MS, TENCENT, push, ticker

from hk_tick_collector.journal.append import Journal
from hk_tick_collector.journal.cursor import CURSOR, load_waits
from hk_tick_collector.journal.events import (
    CLOCK_STEPPED,
    EVENT,
    RECORDING,
    STATE_EVENT,
    TOTALS_ASKED,
    Cause,
)
from hk_tick_collector.journal.segments import DIRECTORY
from hk_tick_collector.ledger.judge import FILE
from hk_tick_collector.opend import frames
from hk_tick_collector.opend.numbers import ProtoId
from hk_tick_collector.writer import loop as writer_module
from hk_tick_collector.writer.loop import Writer

if TYPE_CHECKING:
    from collections.abc import Iterator

# By its serial number a reply is of a backfill, an audit, or the totals.
SERIALS = st.sampled_from([1, 2, 3, 5, 6, 7])
IN_JOURNAL = (
    ProtoId.QOT_UPDATE_TICKER,
    ProtoId.QOT_GET_TICKER,
    ProtoId.QOT_GET_SECURITY_SNAPSHOT,
    ProtoId.QOT_REQUEST_TRADE_DATE,
)
FRAMES = st.one_of(
    *(
        st.builds(lambda body, serial, proto=proto: frames.encode(proto, serial, body), odd_body(READ[proto]), SERIALS)
        for proto in IN_JOURNAL
    )
)
VALUES: st.SearchStrategy[Any] = st.recursive(
    st.one_of(
        st.none(), st.booleans(), st.integers(-(2**70), 2**70), st.floats(), st.text(max_size=8),
        st.sampled_from([OPEN_MS, OPEN_MS - 60_000, TENCENT, HSBC, *map(str, Cause)]),
    ),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=8), inner, max_size=3)),
    max_leaves=6,
)  # fmt: skip
EVENT_FIELDS = (
    "cause", "since_ms", "asked", "clock_offset_ms", "symbols", "market_hk", "step_ms", "serial_no", "asked_ms",
    "subscribed", "without",
)  # fmt: skip
EVENTS = st.fixed_dictionaries(
    {"event": st.sampled_from([EVENT, STATE_EVENT, CLOCK_STEPPED, TOTALS_ASKED, RECORDING, "other"])},
    optional=dict.fromkeys(EVENT_FIELDS, VALUES),
)
RECORDS = st.one_of(FRAMES, FRAMES, EVENTS, st.binary(max_size=60))


def stored(root: Path) -> list[Any]:
    """The good ones."""
    con = apsw.Connection(str(root / f"{DAY}.db"), flags=apsw.SQLITE_OPEN_READONLY)
    try:
        return con.execute("SELECT symbol, seq, volume FROM ticks WHERE volume = 77777 ORDER BY seq").fetchall()
    finally:
        con.close()


def write_all(root: Path, batch_size: int) -> None:
    """Have a new writer store what there is; it must not fail once."""
    writer = Writer(writer_settings(root, synchronous="OFF", batch_size=batch_size, log_level="CRITICAL"))
    steps = 0
    while writer.step():
        steps += 1
        assert steps < 1000
    writer.close()


@contextmanager
def data_root() -> Iterator[tuple[Path, Journal]]:
    """A DATA_ROOT with a journal at work; nobody listens to its writers."""
    with (
        pytest.MonkeyPatch.context() as patched,
        tempfile.TemporaryDirectory() as place,
    ):
        patched.setattr(writer_module, "send", lambda _message: None)
        journal = Journal(Path(place) / DIRECTORY, segment_bytes=1 << 20, buffer_bytes=1 << 20, sync_ms=10)
        journal.start()
        try:
            yield Path(place), journal
        finally:
            journal.close(5)


def tell(journal: Journal, record: Any, at_ms: int) -> None:  # noqa: ANN401 - frames, or an event
    """One record."""
    if isinstance(record, bytes):
        journal.append_frames(1, at_ms, record)
    else:
        journal.append_event(1, at_ms, record)
    assert journal.flush(60)


@settings(max_examples=drawn(150))
@given(records=st.lists(RECORDS, min_size=1, max_size=12), batch_size=st.sampled_from([1, 7, 1000]))
def test_no_record_stops_the_writer_and_all_good_ticks_are_stored(records: list[Any], batch_size: int) -> None:
    """Live, as a replay in other batches, and once more: exactly the good ones, and no day waits for what is odd."""
    with data_root() as (root, journal):
        good = []
        for number, record in enumerate(records, start=1):
            at_ms = OPEN_MS + 1000 * number
            tell(journal, record, at_ms)
            made = ticker(number, at_ms, volume=77777)
            tell(journal, push(TENCENT, made) + push(HSBC, made), at_ms)
            good += [(TENCENT, made.sequence, 77777), (HSBC, made.sequence, 77777)]
            if number % 4 == 0:
                write_all(root, batch_size)
        write_all(root, batch_size)
        assert sorted(stored(root)) == sorted(good)
        for again in (1000, 3):
            (root / DIRECTORY / CURSOR).unlink()
            write_all(root, again)
            assert sorted(stored(root)) == sorted(good)
        assert load_waits(root / DIRECTORY) == {}


JUDGED = (
    "waiting", "resumed_day", "clocks", "market", "market_ms", "recording", "asked", "trade_dates", "past",
)  # fmt: skip


@settings(max_examples=drawn(60))
@given(
    cursor=st.one_of(
        st.binary(max_size=60),
        VALUES.map(lambda value: json.dumps(value).encode()),
        st.just(b'{"segment": 99, "offset": 7, "record_no": 5}'),
    ),
    judge=st.one_of(
        st.binary(max_size=60),
        st.dictionaries(st.sampled_from(JUDGED), VALUES).map(lambda value: json.dumps(value).encode()),
    ),
)
def test_our_own_files_are_no_exception(cursor: bytes, judge: bytes) -> None:
    """With any bytes in them the journal is stored."""
    with data_root() as (root, journal):
        (root / DIRECTORY / CURSOR).write_bytes(cursor)
        (root / DIRECTORY / FILE).write_bytes(judge)
        tell(journal, push(TENCENT, *(ticker(n, volume=77777) for n in range(1, 9))), OPEN_MS)
        write_all(root, 3)
        assert len(stored(root)) == 8
