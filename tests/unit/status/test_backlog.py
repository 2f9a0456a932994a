"""What waits to be stored: ticks are counted, not frames, exactly where it matters and about right beyond."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from support.bodies import refusal
from support.ticks import HSBC, OPEN_MS, TENCENT, push, pushes, reply, ticker

from hk_tick_collector.journal.append import Journal
from hk_tick_collector.journal.cursor import save_cursor
from hk_tick_collector.journal.segments import DIRECTORY, JournalReader, Record
from hk_tick_collector.opend import frames
from hk_tick_collector.opend.numbers import ProtoId
from hk_tick_collector.opend.purpose import PURPOSES, Purpose
from hk_tick_collector.status import backlog
from hk_tick_collector.status.backlog import EXACT_BYTES, Backlog, count_ticks, measure_backlog

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

WAIT_SEC = 60.0


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    """A journal that is at work, in small segments."""
    made = Journal(tmp_path / DIRECTORY, segment_bytes=300_000, buffer_bytes=1 << 26, sync_ms=20)
    made.start()
    yield made
    made.close(WAIT_SEC)


def feed(journal: Journal, *runs: bytes) -> None:
    """Have records on the disk."""
    for raw in runs:
        journal.append_frames(1, OPEN_MS, raw)
    assert journal.flush(WAIT_SEC)


def test_nothing_is_nothing(tmp_path: Path, journal: Journal) -> None:
    """Before the first record, and where there is no journal at all."""
    assert journal.is_alive
    assert measure_backlog(tmp_path / DIRECTORY) == Backlog(0, 0)
    assert measure_backlog(tmp_path / "none") == Backlog(0, 0)


def test_ticks_are_counted_and_not_frames(tmp_path: Path, journal: Journal) -> None:
    """A push may hold several, and what was fetched holds many; answers to other calls and events hold none."""
    feed(
        journal,
        pushes(TENCENT, range(10)),
        push(TENCENT, *(ticker(n) for n in range(10, 17))),
        reply(HSBC, *(ticker(n) for n in range(300)))
        + reply(HSBC, *(ticker(n) for n in range(40)), purpose=Purpose.POLL),
        reply(HSBC, *(ticker(n) for n in range(500)), purpose=Purpose.CONTROL),
        frames.encode(ProtoId.KEEP_ALIVE, 8, b""),
    )
    journal.append_event(1, OPEN_MS, {"event": "opend_notice"})
    assert journal.flush(WAIT_SEC)
    found = measure_backlog(tmp_path / DIRECTORY)
    assert found.rows == 10 + 7 + 300 + 40
    assert found.size_bytes == journal.bytes_written


def test_ticks_without_optional_fields_and_refusals_are_counted_as_the_writer_takes_them(
    tmp_path: Path, journal: Journal
) -> None:
    """What can't be read as columns is read one by one; what can't be read at all is one row that is kept aside."""
    odd = ticker(3)
    odd.ClearField("pushDataType")
    refused = frames.encode(ProtoId.QOT_GET_TICKER, 5 * PURPOSES + Purpose.BACKFILL, refusal())
    unreadable = frames.encode(ProtoId.QOT_UPDATE_TICKER, 1, b"\xff\xff\xff")
    feed(journal, push(TENCENT, odd, ticker(4)) + refused, pushes(TENCENT, range(5)) + unreadable)
    assert measure_backlog(tmp_path / DIRECTORY).rows == 2 + 5 + 1


def test_a_record_that_is_no_run_of_frames_counts_as_nothing(tmp_path: Path, journal: Journal) -> None:
    """The writer keeps it aside whole, and goes on."""
    feed(journal, b"no frame at all" * 10, pushes(TENCENT, range(5)))
    assert measure_backlog(tmp_path / DIRECTORY).rows == 5


def test_only_what_is_behind_the_cursor_waits(tmp_path: Path, journal: Journal) -> None:
    """What the writer has stored is no backlog, also over several segments; the cursor stays where it is."""
    root = tmp_path / DIRECTORY
    for start in range(0, 8000, 1000):
        feed(journal, pushes(TENCENT, range(start, start + 1000)))
    reader = JournalReader(root, None)
    ends = []
    while records := reader.read(1000):
        ends += [record.end for record in records]
    reader.close()
    assert len({end.segment for end in ends}) > 2
    save_cursor(root, ends[5])
    assert measure_backlog(root) == Backlog(measure_backlog(root).size_bytes, 2000)
    save_cursor(root, ends[-1])
    assert measure_backlog(root) == Backlog(0, 0)


def test_what_lies_beyond_a_mebibyte_is_estimated(
    tmp_path: Path, journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A huge backlog is not read whole; what is not read is taken to be like what is."""
    ticks = 40_000
    for start in range(0, ticks, 1000):
        feed(journal, pushes(TENCENT, range(start, start + 1000)))
    counted: list[int] = []

    def counting(records: list[Record]) -> int:
        counted.append(count_ticks(records))
        return counted[-1]

    monkeypatch.setattr(backlog, "count_ticks", counting)
    found = measure_backlog(tmp_path / DIRECTORY)
    assert found.size_bytes == journal.bytes_written > 4 * EXACT_BYTES
    assert 0 < sum(counted) < ticks / 2, "not every one was counted"
    assert found.rows == pytest.approx(ticks, rel=0.02)
    assert measure_backlog(tmp_path / DIRECTORY, 1 << 30) == Backlog(found.size_bytes, ticks)


def test_a_record_that_is_being_written_is_waited_for(tmp_path: Path, journal: Journal) -> None:
    """The bytes of a half written record count as bytes; its ticks are counted when it is whole."""
    feed(journal, pushes(TENCENT, range(5)))
    (segment,) = (tmp_path / DIRECTORY).glob("*.hkj")
    whole = segment.read_bytes()
    segment.write_bytes(whole[:-10])
    assert measure_backlog(tmp_path / DIRECTORY) == Backlog(len(whole) - 10, 0)
    segment.write_bytes(whole)
    assert measure_backlog(tmp_path / DIRECTORY).rows == 5


def test_a_night_without_a_tick_does_not_hide_what_comes_behind_it(tmp_path: Path, journal: Journal) -> None:
    """More than a mebibyte of events is read past; if even that never ends, the rest is taken to be ticks."""
    while journal.bytes_written < 1.2 * EXACT_BYTES:
        for number in range(2000):
            journal.append_event(1, OPEN_MS, {"event": "opend_notice", "number": number})
        assert journal.flush(WAIT_SEC)
    feed(journal, pushes(TENCENT, range(5000)))
    found = measure_backlog(tmp_path / DIRECTORY)
    assert found.rows == 5000
    few = measure_backlog(tmp_path / DIRECTORY, 10_000)
    assert few.rows > 5000, "the limit in bytes is reached before the first tick"


@pytest.mark.parametrize("left_over", range(0, 60, 3))
def test_it_is_counted_to_the_end_wherever_the_limit_falls(tmp_path: Path, journal: Journal, left_over: int) -> None:
    """A limit that falls into a record's header, or between two records, ends no count too early."""
    for start in range(0, 3000, 100):
        feed(journal, pushes(TENCENT, range(start, start + 100)))
    reader = JournalReader(tmp_path / DIRECTORY, None)
    first = reader.read()[0]
    reader.close()
    found = measure_backlog(tmp_path / DIRECTORY, first.end.offset + left_over)
    assert found.rows == pytest.approx(3000, rel=0.05)
