"""How `status` looks on terminals of several sizes, and without one."""

from __future__ import annotations

import io
import re
from typing import Any

import pytest
from rich.console import Console

from hk_tick_collector.cli.status_screen import render

TICK_MS = 1_795_140_605_000  # 2026-11-20 10:10:05 in Hong Kong


def status(symbols: int = 50, **changes: Any) -> dict[str, Any]:  # noqa: ANN401 - JSON
    """What `read_status` gives during an outage, changed."""
    return {
        "day": "20261120",
        "day_fault": None,
        "future_days": [],
        "answers": {
            "recording": "no",
            "records": "LOSING TICKS since 09:31:14 HK: another login took the quote right, so no tick comes",
            "lost": ["being lost now, by estimate: ticks of 35 symbols (HK.00700, HK.09988, HK.03690 and 32 more)"],
            "is_lost": True,
            "lost_now": "",
            "to_do": ["Close that login, or run `request_highest_quote_right`", "b [red]x[/] `c", "third", "fourth"],
        },
        "health": {"verdict": "failing", "reasons": [], "troubles": []},
        "recorder": {"running": True, "pid": 4711, "version": "9.9", "state_age_sec": 1.0, "session": {}},
        "disk": {"free_bytes": 75e9, "mount": "/"},
        "journal": {"backlog_bytes": 0, "lag_ms": 0},
        "rows": 128_743,
        "last_ts_ms": TICK_MS,
        "last_symbol": "HK.00700",
        "database_bytes": 9_200_000,
        "wal_bytes": 0,
        "sealed": None,
        "symbols": [
            {"symbol": f"HK.{n:05}", "rows": 10_295 * n, "volume": 2_889_158_000, "turnover": 1e9, "last_seq": 1,
             "last_ts_ms": TICK_MS, "last_age_sec": 6.0, "lag_ms": 453}
            for n in range(symbols)
        ],
        **changes,
    }  # fmt: skip


def shown(told: dict[str, Any], height: int, width: int, *, is_terminal: bool = True, **more: bool) -> list[str]:
    """Its lines on a terminal of that size, without colours."""
    console = Console(
        file=io.StringIO(), force_terminal=is_terminal, width=width, height=height, color_system=None, highlight=False
    )
    text = render(console, told, all_symbols=more.get("all_symbols", False))
    return re.sub(r"\x1b\[[0-9;]*m", "", text).splitlines()


@pytest.mark.parametrize(("height", "width"), [(24, 80), (24, 45), (12, 60), (50, 200), (5, 80), (100, 30)])
def test_the_answers_are_first_and_all_fits(height: int, width: int) -> None:
    """A line is left for the prompt; only the answers themselves may need more than there is."""
    lines = shown(status(), height, width)
    assert lines[0].startswith("recording  LOSING TICKS since")
    assert all(len(line) <= width for line in lines)
    labels = [line[:10].rstrip() for line in lines if line[:10].strip()]
    assert labels[:3] == ["recording", "lost today", "to do"] or labels[:3] == ["recording", "lost", "to do"]
    answers = lines.index("") if "" in lines else len(lines)
    assert len(lines) <= max(height - 1, answers)


def test_on_a_usual_terminal_some_symbols_have_room() -> None:
    """And it says how many have not."""
    lines = shown(status(), 30, 80)
    assert len(lines) == 29
    assert lines[-1] == "… and 40 more symbols: --all"
    assert "… and 1 more thing: --all" in "\n".join(lines)


def test_a_narrow_terminal_has_fewer_columns_and_never_cuts_a_symbol() -> None:
    """The time of the last tick is the last to go."""
    lines = shown(status(), 60, 45, all_symbols=True)
    assert [line.split() for line in lines if line.startswith("symbol")] == [
        ["symbol", "rows", "last", "tick", "(HK)", "age"]
    ]
    assert [line for line in lines if line.startswith("HK.00049  ")]
    assert not [line for line in lines if "HK.0…" in line]
    lines = shown(status(), 60, 26, all_symbols=True)
    assert "symbol    last tick (HK)" in lines
    lines = shown(status(), 60, 12, all_symbols=True)
    assert "HK.00049" in lines


def test_a_wide_terminal_has_blocks_side_by_side() -> None:
    """All 100 symbols on 50 lines."""
    lines = shown(status(100), 70, 200)
    (head,) = [line for line in lines if line.startswith("symbol")]
    assert head.count("symbol") == 2
    assert {f"HK.{n:05}" for n in range(100)} <= set("\n".join(lines).split())


def test_without_a_terminal_nothing_is_left_out() -> None:
    """`| grep` finds each symbol and each thing to do; `--all` shows the same on a terminal."""
    session = {"refused": {"HK.99999": "no such [b]stock"}, "totals_refused": {"HK.1": "?"}}
    told = status(recorder={"running": True, "pid": 1, "version": "1", "state_age_sec": 1.0, "session": session})
    for lines in (shown(told, 24, 160, is_terminal=False), shown(told, 24, 160, all_symbols=True)):
        assert sum(line.startswith("HK.") for line in lines) == 50
        assert "           4. fourth" in lines
        assert "           refused HK.99999: no such [b]stock" in lines
        assert "           no totals HK.1: ?" in lines


def test_a_command_is_marked_and_foreign_text_is_not() -> None:
    """What stands between backquotes is shown without them; an odd one stays."""
    lines = shown(status(), 30, 160)
    assert "to do      1. Close that login, or run request_highest_quote_right" in lines
    assert "           2. b [red]x[/] `c" in lines


def test_a_day_that_cant_be_read_has_no_figures() -> None:
    """Nor has a journal."""
    told = status(0, day_fault="locked", last_ts_ms=None, journal={"backlog_bytes": None, "lag_ms": None})
    lines = shown(told, 30, 80)
    assert "stored     20261120 can't be read" in lines
    assert "journal    can't be read" in lines


def test_what_is_lost_now_is_not_said_of_the_day_that_is_shown() -> None:
    """An outage of now may come before today has a tick."""
    lost = ["5 ticks of 1 symbol (OpenD down)", "nothing lost yet, if the stream is back"]
    answers = {**status()["answers"], "lost": lost, "lost_now": lost[1]}
    lines = shown(status(answers=answers), 24, 80, is_terminal=False)
    assert f"lost       on 20261120: {lost[0]}" in lines
    assert f"           now: {lost[1]}" in lines
