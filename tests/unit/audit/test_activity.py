"""Ticks a minute and doubts, as they are read from a day database."""

from __future__ import annotations

from typing import TYPE_CHECKING

import apsw
import pytest
from support.merging import record
from support.ticks import DAY, HSBC, OPEN_MS, TENCENT, row

from hk_tick_collector.audit.activity import Activity, Doubt, read_activity
from hk_tick_collector.errors import DatabaseError

if TYPE_CHECKING:
    from pathlib import Path

MINUTE = OPEN_MS // 60_000


def test_ticks_are_counted_by_symbol_and_minute(tmp_path: Path) -> None:
    """Only of the symbols that are asked for; a minute without one is not there, and no file is left behind."""
    path = tmp_path / f"{DAY}.db"
    later = OPEN_MS + 150_000
    ticks = [row(TENCENT, 1), row(TENCENT, 2, OPEN_MS + 59_999), row(TENCENT, 3, later), row(HSBC, 1), row("HK.1", 1)]
    record(path, ticks)
    beside = sorted(tmp_path.iterdir())
    found = read_activity(path, {TENCENT, HSBC})
    assert sorted(tmp_path.iterdir()) == beside
    assert found == Activity({TENCENT: {MINUTE: 2, MINUTE + 2: 1}, HSBC: {MINUTE: 1}}, {})


def test_doubts_are_read_in_their_order(tmp_path: Path) -> None:
    """With what is known of their bounds."""
    path = tmp_path / f"{DAY}.db"
    record(path, [row(TENCENT, 1)])
    con = apsw.Connection(str(path))
    for symbol, resumed_ms, since_ms, before_ts_ms in (
        (TENCENT, 9, 8, 7), (TENCENT, 5, None, None), (HSBC, 5, 1, 1),
    ):  # fmt: skip
        con.execute(
            "INSERT INTO doubts (symbol, resumed_ms, cause, since_ms, session, before_ts_ms) VALUES (?, ?, ?, ?, ?, ?)",
            (symbol, resumed_ms, "kicked_out", since_ms, "morning", before_ts_ms),
        )
    con.close()
    doubts = read_activity(path, {TENCENT}).doubts
    assert doubts == {TENCENT: [Doubt("kicked_out", None, None, 5), Doubt("kicked_out", 8, 7, 9)]}


def test_an_outage_of_unknown_beginning_begins_after_the_last_tick_before_it(tmp_path: Path) -> None:
    """A recorder that was killed can't tell since when it was gone; one that tells is believed."""
    path = tmp_path / f"{DAY}.db"
    ticks = [row(TENCENT, seq, OPEN_MS + seq * 1000) for seq in (1, 2, 3)]
    record(path, ticks)
    con = apsw.Connection(str(path))
    received = [ms for (ms,) in con.execute("SELECT recv_ts_ms FROM ticks ORDER BY recv_ts_ms")]
    for resumed_ms, since_ms in ((received[0], None), (received[1] + 1, None), (received[2] + 1, received[2])):
        con.execute("INSERT INTO outages VALUES (?, 'recorder_down', ?, 1)", (resumed_ms, since_ms))
    con.close()
    assert read_activity(path, {TENCENT}).received == {received[1] + 1: received[1]}


def test_what_is_no_database_is_told(tmp_path: Path) -> None:
    """In one line with its name."""
    path = tmp_path / f"{DAY}.db"
    path.write_bytes(b"no database at all" * 1000)
    with pytest.raises(DatabaseError, match=rf"{DAY}\.db can't be read: "):
        read_activity(path, {TENCENT})
