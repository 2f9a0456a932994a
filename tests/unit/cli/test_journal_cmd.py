"""`journal`: segments, records and what is in them, and every byte checked. Nothing is ever changed."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any

import pytest
from support.scenario import Scenario
from support.ticks import HSBC, OPEN_MS, TENCENT, push, pushes, reply, ticker

from hk_tick_collector.cli.app import entry
from hk_tick_collector.journal.segments import DIRECTORY, HEADER_SIZE, list_segments
from hk_tick_collector.opend.frames import encode
from hk_tick_collector.opend.numbers import ProtoId

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

Run = Any


@pytest.fixture
def run(root: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Run:
    """`journal` as it is typed: its exit code, and what it said on both outputs."""

    def typed(*args: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["hk-tick-collector", "journal", *args, "--data-root", str(root)])
        capfd.readouterr()
        with pytest.raises(SystemExit) as ended:
            entry()
        said = capfd.readouterr()
        return int(ended.value.code or 0), said.out, said.err

    return typed


@pytest.fixture
def scenario(root: Path) -> Iterator[Scenario]:
    """A journal with an event, two runs of pushes, a reply, and something that is no ticker."""
    made = Scenario(root)
    made.record_only(TENCENT, HSBC)
    made.hear(pushes(TENCENT, range(1, 4)), push(HSBC, ticker(7)))
    made.hear(reply(HSBC, ticker(5), ticker(6)))
    made.hear(pushes(TENCENT, range(4, 6)))
    made.hear(encode(ProtoId.QOT_UPDATE_TICKER, 0, b"\xff\xff"))
    yield made
    made.journal.close(5)


def test_the_segments_are_listed_with_what_is_stored_of_them(scenario: Scenario, run: Run) -> None:
    """Number, day, size, since when, and whether the writer has been there."""
    (segment,) = list_segments(scenario.root / DIRECTORY)
    code, out, _ = run("list")
    assert code == 0
    line = out.splitlines()[1].split()
    assert line[:3] == ["1", segment.day, f"{segment.size_bytes:,}"]
    assert line[3:] == ["2026-07-31", "10:00:01.000", "not", "stored"]
    assert out.splitlines()[-1] == f"1 segment, {segment.size_bytes / 1e6:,.1f} MB"
    scenario.write()
    told = json.loads(run("list", "--json")[1])
    assert told["segments"] == [
        {
            "segment": 1,
            "day": segment.day,
            "bytes": segment.size_bytes,
            "first_recv_ms": OPEN_MS + 1000,
            "state": "stored",
        }
    ]
    scenario.hear(pushes(TENCENT, range(6, 8)))
    assert "stored up to" in run()[1], "list is what it does without a word"


def test_records_are_shown_with_what_is_in_them(scenario: Scenario, run: Run) -> None:
    """Place, time, session; an event with its fields, frames by kind with ticks and symbols; what can't be read."""
    assert scenario
    code, out, err = run("show")
    lines = [line.split(maxsplit=5) for line in out.splitlines()]
    assert code == 0
    assert err == ""
    assert [line[:5] for line in lines[:2]] == [
        ["1:0", "2026-07-31", "10:00:01.000", "session", "1"],
        [f"1:{lines[1][0].split(':')[1]}", "2026-07-31", "10:00:02.000", "session", "1"],
    ]
    assert lines[0][5].startswith('recording {"symbols": ["HK.00700", "HK.00005"]')
    assert [line[5] for line in lines[1:4]] == [
        "4 QOT_UPDATE_TICKER, 4 ticks of 2 symbols",
        "1 QOT_GET_TICKER (backfill), 2 ticks of 1 symbol",
        "2 QOT_UPDATE_TICKER, 2 ticks of 1 symbol",
    ]
    assert lines[4][5].startswith("1 QOT_UPDATE_TICKER  CAN'T BE READ: QOT_UPDATE_TICKER: Error parsing message")


def test_records_are_chosen_and_gone_on_with(scenario: Scenario, run: Run) -> None:
    """By symbol, by kind, so many, and from a place on that it names itself."""
    assert scenario
    assert len(run("show", "--symbol", "700")[1].splitlines()) == 2
    assert len(run("show", "--events")[1].splitlines()) == 1
    _, out, err = run("show", "--limit", "3")
    assert len(out.splitlines()) == 3
    assert err.startswith("… go on with --segment 1 --offset ")
    rest = run("show", *err.split()[4:])[1]
    assert out + rest == run("show")[1]


def test_ticks_are_shown_as_opend_sent_them(scenario: Scenario, run: Run) -> None:
    """Nothing of them is read or corrected; as JSON each record is a line."""
    assert scenario
    out = run("show", "--symbol", HSBC, "--ticks")[1]
    assert f"    {HSBC} {ticker(7).sequence} 2026-07-31 10:00:00 100 @ 301.4 = 30,000.00\n" in out
    records = [json.loads(line) for line in run("show", "--json", "--ticks")[1].splitlines()]
    assert [len(record["ticks"]) for record in records] == [0, 4, 2, 2, 0]
    assert records[2]["ticks"][0] == {
        "symbol": HSBC, "sequence": ticker(5).sequence, "time": "2026-07-31 10:00:00", "price": ticker(5).price,
        "volume": ticker(5).volume, "turnover": ticker(5).turnover,
    }  # fmt: skip
    assert records[0]["fields"]["symbols"] == [TENCENT, HSBC]
    assert (records[1]["segment"], records[1]["record_no"], records[1]["kind"]) == (1, 1, "frames")
    assert [json.loads(line)["ticks"] for line in run("show", "--json")[1].splitlines()] == [0, 4, 2, 2, 0]


def test_a_whole_journal_checks_well(scenario: Scenario, run: Run) -> None:
    """How much it is, from when to when; what can't be read was written so, and is no damage."""
    code, out, _ = run("check")
    lines = out.splitlines()
    assert code == 0
    assert lines[0].endswith(", 5 records, received 2026-07-31 10:00:01.000 to 2026-07-31 10:00:05.000 HK")
    assert lines[1] == "1 record with something that can't be read: it is put aside in bad_ticks"
    assert lines[2] == "each byte is as it was written"
    told = json.loads(run("check", "--json")[1])
    assert (told["records"], told["unreadable"], told["damages"]) == (5, 1, [])
    assert told["bytes"] == sum(segment.size_bytes for segment in list_segments(scenario.root / DIRECTORY))


def test_a_byte_that_has_changed_is_found(scenario: Scenario, run: Run) -> None:
    """Where it is, and how much is lost with it; exit 1. The rest is read all the same."""
    (segment,) = list_segments(scenario.root / DIRECTORY)
    second = json.loads(run("show", "--json")[1].splitlines()[1])
    data = bytearray(segment.path.read_bytes())
    data[second["offset"] + HEADER_SIZE + 3] ^= 1
    segment.path.write_bytes(data)
    code, out, _ = run("check")
    assert code == 1
    assert out.splitlines()[1].split()[:2] == ["1", f"{second['offset']:,}"]
    assert out.splitlines()[-1].endswith(" damaged")
    told = json.loads(run("check", "--json")[1])
    assert told["records"] == 4
    assert told["damages"][0]["offset"] == second["offset"]
    assert len(run("show")[1].splitlines()) == 4


@pytest.mark.parametrize("args", [("list",), ("show",), ("check",), ("show", "--segment", "9")])
def test_where_there_is_no_journal_it_is_one_line(root: Path, run: Run, args: tuple[str, ...]) -> None:
    """Exit 2, and nothing is made."""
    if "9" in args:
        Scenario(root).journal.close(5)
    code, out, err = run(*args)
    assert (code, out) == (2, "")
    assert err.startswith(f"hk-tick-collector: no segment {'9 ' if '9' in args else ''}in ")
    assert err.count("\n") == 1


def test_what_opend_says_never_steers_a_terminal(scenario: Scenario, run: Run) -> None:
    """Neither an event's text nor a tick's time."""
    scenario.event("session_down", reason="\x1b[2Jgone")
    scenario.hear(push(TENCENT, ticker(9, time="\x1b]0;x\x07")))
    assert "\x1b" not in run("show", "--ticks")[1]
