"""The ledger of truth, written and read."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from hk_tick_collector.errors import ConfigError
from hk_tick_collector.simulator.ledger import Content, Ledger, LedgerWriter, Revision, read_ledger
from hk_tick_collector.simulator.tape import MadeTick, Tape

if TYPE_CHECKING:
    from pathlib import Path

TICK = MadeTick("HK.00700", 1 << 32 | 7, 1_000, "1970-01-01 08:00:01", 372.4, 60, 22344.0, 3, 6)


class _Clock:
    """Seconds that rise when told to."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def test_everything_that_is_written_is_read(tmp_path: Path) -> None:
    """One line of each kind comes back as what it was; of what the totals count, the last one is true."""
    path = tmp_path / "ledger.jsonl"
    writer = LedgerWriter(path)
    writer.note("day", date="2026-11-20", symbols=1, seed=7)
    writer.tick(TICK)
    writer.note("u", s="HK.00700", q=TICK.seq, why="upstream")
    writer.note("r", s="HK.00700", q=TICK.seq, p=372.6, v=80, o=29808.0)
    writer.note("c", s="HK.00700", q=TICK.seq, v=80, o=29808.0)
    writer.note("c", s="HK.00700", q=TICK.seq, v=0, o=0.0)
    writer.note("l", s="HK.00700", q=TICK.seq)
    writer.note("f", fault="cut", at=1.5, n=2, mid_frame=True)
    writer.note("g", s="HK.00700", n=1, first=TICK.seq, last=TICK.seq, conn=9)
    writer.close()
    key = ("HK.00700", TICK.seq)
    assert read_ledger(path) == Ledger(
        days=[{"k": "day", "date": "2026-11-20", "symbols": 1, "seed": 7}],
        ticks={key: Content(1_000, 372.4, 60, 22344.0, 3, 6)},
        unreachable={key: "upstream"},
        revisions=[Revision(*key, 372.6, 80, 29808.0)],
        counted={key: (0, 0.0)},
        lost={key},
        faults=[{"k": "f", "fault": "cut", "at": 1.5, "n": 2, "mid_frame": True}],
        gets=[{"k": "g", "s": "HK.00700", "n": 1, "first": TICK.seq, "last": TICK.seq, "conn": 9}],
    )


def test_a_tick_s_line_is_json_with_exact_numbers(tmp_path: Path) -> None:
    """The line is written by hand for speed; it must be what json would read back, to the last digit."""
    path = tmp_path / "ledger.jsonl"
    ticks = Tape(["HK.00700", "HK.00939"], seed=3, ordinals="contiguous").burst(2_000, 1_000)
    writer = LedgerWriter(path)
    writer.ticks(ticks)
    writer.close()
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert [(e["s"], e["q"], e["ts"], e["p"], e["v"], e["o"], e["d"], e["y"]) for e in lines] == [
        tick[:3] + tick[4:] for tick in ticks
    ]


def test_lines_wait_for_a_fifth_of_a_second_at_most(tmp_path: Path) -> None:
    """Nothing is on disk at once; a write or a pump's step 0.2 s after the first line takes all lines there."""
    path, clock = tmp_path / "ledger.jsonl", _Clock()
    writer = LedgerWriter(path, clock=clock)
    writer.tick(TICK)
    clock.now += 0.19
    writer.flush_due()
    assert path.read_bytes() == b""
    clock.now += 0.02
    writer.flush_due()
    assert path.read_bytes().count(b"\n") == 1
    writer.tick(TICK)
    clock.now += 0.2
    writer.tick(TICK)
    assert path.read_bytes().count(b"\n") == 3
    writer.close()


def test_a_flush_is_immediate(tmp_path: Path) -> None:
    """What is flushed can be read while the writer is open."""
    path = tmp_path / "ledger.jsonl"
    writer = LedgerWriter(path, clock=_Clock())
    writer.tick(TICK)
    writer.flush()
    assert list(read_ledger(path).ticks) == [("HK.00700", TICK.seq)]
    writer.close()


@pytest.mark.parametrize("torn", [b"", b'{"k":"t","s":"HK.0', b"{"])
def test_a_torn_tail_is_left_out_and_cut_off(tmp_path: Path, torn: bytes) -> None:
    """A killed run's half line is no line; the next run begins where the whole ones end."""
    path = tmp_path / "ledger.jsonl"
    path.write_bytes(b'{"k":"l","s":"HK.00700","q":1}\n' + torn)
    assert read_ledger(path).lost == {("HK.00700", 1)}
    writer = LedgerWriter(path)
    writer.note("l", s="HK.00700", q=2)
    writer.close()
    assert path.read_bytes() == b'{"k":"l","s":"HK.00700","q":1}\n{"k":"l","s":"HK.00700","q":2}\n'


def test_a_file_that_is_all_tail_is_emptied(tmp_path: Path) -> None:
    """A run killed in its first line has left nothing."""
    path = tmp_path / "ledger.jsonl"
    path.write_bytes(b'{"k":"da')
    LedgerWriter(path).close()
    assert path.read_bytes() == b""


def test_a_foreign_file_is_not_cut(tmp_path: Path) -> None:
    """A file whose last line is longer than any of ours is left as it is."""
    path = tmp_path / "movie.bin"
    path.write_bytes(bytes(100_000))
    with pytest.raises(ConfigError, match="not a ledger"):
        LedgerWriter(path)
    assert path.stat().st_size == 100_000


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (b"no json\n", r"ledger\.jsonl, line 2, is no JSON"),
        (b"[1]\n", r"line 2, is no ledger line: b'\[1\]"),
        (b'{"k":"x"}\n', "line 2, is no ledger line"),
        (b'{"k":["t"]}\n', "line 2, is no ledger line"),
        (b'{"s":"HK.00700"}\n', "line 2, is no ledger line"),
        (b'{"k":"t","s":"HK.00700","q":1}\n', "line 2, is no ledger line"),
    ],
)
def test_a_line_that_no_simulator_writes_is_refused(tmp_path: Path, line: bytes, message: str) -> None:
    """The message names the line."""
    path = tmp_path / "ledger.jsonl"
    path.write_bytes(b'{"k":"day"}\n' + line)
    with pytest.raises(ConfigError, match=message):
        read_ledger(path)


def test_a_missing_ledger_is_refused(tmp_path: Path) -> None:
    """One line that names the path."""
    with pytest.raises(ConfigError, match=r"no ledger at .*absent"):
        read_ledger(tmp_path / "absent")


def test_a_trade_made_twice_is_refused(tmp_path: Path) -> None:
    """Two runs of the same simulated day in one ledger can't be judged."""
    path = tmp_path / "ledger.jsonl"
    writer = LedgerWriter(path)
    writer.ticks([TICK, TICK])
    writer.close()
    with pytest.raises(ConfigError, match=rf"HK\.00700 {TICK.seq} was made twice"):
        read_ledger(path)
