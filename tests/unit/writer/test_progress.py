"""What the writer tells the recorder."""

from __future__ import annotations

import pytest

from hk_tick_collector.writer.progress import Counters, Message, WaitingDay


def test_a_line_comes_back_as_it_was() -> None:
    """With all that is in it, and without what is not."""
    message = Message("commit", totals=Counters(rows=3), segment=1, offset=9, waits=(WaitingDay("20261119"),))
    assert Message.from_line(message.to_line()) == message
    assert b"failures" not in message.to_line()
    assert message.to_line().endswith(b"\n")


@pytest.mark.parametrize("line", [b"", b'{"event": "comm', b"\xff\n", b"[]", b"7", b'{"event": 7}'])
def test_a_line_that_was_cut_has_no_event(line: bytes) -> None:
    """It is passed over."""
    assert Message.from_line(line).event == ""


def test_counters_add_up() -> None:
    """Over writers, and since a moment."""
    first, second = Counters(rows=3, bad=1), Counters(rows=5, drifted=2)
    assert first.plus(second) == Counters(rows=8, bad=1, drifted=2)
    assert first == Counters(rows=3, bad=1), "neither is changed"
    assert first.plus(second).less(first) == second
    first.add(second)
    assert first.rows == 8


def test_each_metric_of_a_counter_is_named_once() -> None:
    """With what it means."""
    names = [metric for _, metric, _ in Counters.METRICS]
    assert len(names) == len(set(names)) > 10
    assert all(meaning.endswith(".") for _, _, meaning in Counters.METRICS)
