"""`status`: what a recorder's files say of it."""

from __future__ import annotations

import fcntl
import json
import os
import re
import shutil
import time
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, Final

import pytest
import typer
from support.bodies import TICK_TS_MS
from support.gap_row import put_gaps
from support.older_recorder import make_old, old_tick
from support.recorder_state import healthy_state
from typer.testing import CliRunner, Result

from hk_tick_collector.cli.status_cmd import status_command
from hk_tick_collector.db import DayDatabase, Pragmas
from hk_tick_collector.errors import ConfigError, OlderRecorderError
from hk_tick_collector.journal.cursor import save_cursor
from hk_tick_collector.journal.segments import DIRECTORY, HEADER_SIZE, Kind, Position, encode_record, segment_name
from hk_tick_collector.status import answers
from hk_tick_collector.status.reading import read_status
from hk_tick_collector.status.space import mount_of
from hk_tick_collector.store import data_root

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from hk_tick_collector.mapping import Row

EMPTY: Final[dict[str, Any]] = {
    "day": None,
    "day_fault": None,
    "future_days": [],
    "recorder": {"running": False, "state_age_sec": None},
    "journal": {"backlog_bytes": 0, "lag_ms": 0},
    "rows": 0,
    "last_ts_ms": None,
    "last_symbol": None,
    "database_bytes": 0,
    "wal_bytes": 0,
    "lost": None,
    "sealed": None,
    "symbols": [],
}


def empty(root: Path) -> dict[str, Any]:
    """What there is to say of an empty DATA_ROOT."""
    seen, start = "no recorder state yet", f"Start it: `hk-tick-collector run --data-root {root}`"
    trouble = {"trouble": "no_report", "verdict": "unproven", "seen": seen, "cure": start}
    return {
        "data_root": str(root),
        "answers": {
            "recording": "no",
            "records": f"NO: {seen}",
            "lost": ["nothing so far"],
            "is_lost": False,
            "to_do": [start],
            "lost_now": "",
        },
        "disk": {"mount": mount_of(root)},
        "health": {"verdict": "unproven", "reasons": [f"{seen}. {start}"], "troubles": [trouble]},
        **EMPTY,
    }


@pytest.fixture(autouse=True)
def night(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing can have been traded since the recorder was last seen, whenever the tests run."""
    monkeypatch.setattr(answers, "may_trade_between", lambda _begin_ms, _end_ms: False)


@pytest.fixture
def lock(root: Path) -> Iterator[int]:
    """A recorder's lock on it, held."""
    file = os.open(root / data_root.RECORDER_LOCK, os.O_RDWR | os.O_CREAT)
    fcntl.flock(file, fcntl.LOCK_EX)
    yield file
    os.close(file)


def status(root: Path, *arguments: str) -> Result:
    """What the command does when called so."""
    app = typer.Typer()
    app.command()(status_command)
    return CliRunner().invoke(app, ["--data-root", str(root), *arguments])


def shown(root: Path, *arguments: str) -> str:
    """What it prints; its exit code must say whether the recorder is well."""
    result = status(root, *arguments)
    is_ok = re.search(r'^health +ok *$|"verdict": "ok"', result.stdout, re.MULTILINE)
    assert result.exit_code == (0 if is_ok else 1), result.output
    return result.stdout


def store(root: Path, day: str, rows_by_symbol: dict[str, int], ts_ms: int = TICK_TS_MS) -> None:
    """Put so many ticks of each symbol into a day; the n-th is of n seconds later and received 150 ms after that."""
    rows: dict[str, list[Row]] = {
        symbol: [
            (symbol, n + 1, ts_ms + n * 1000, 10.0, 100, 1000.0, 1, 1, 0, 1, ts_ms + n * 1000 + 150, ts_ms)
            for n in range(count)
        ]
        for symbol, count in rows_by_symbol.items()
    }
    database = DayDatabase(root / f"{day}.db", Pragmas())
    database.store(rows, {})
    database.close()


def say(root: Path, **changes: Any) -> None:  # noqa: ANN401 - JSON
    """Write what a recorder says of itself."""
    session = {
        "connected": True,
        "since_ms": TICK_TS_MS,
        "subscribed": 3,
        "left_out": [],
        "refused": {},
        "last_disconnect": None,
        **changes.pop("session", {}),
    }
    state = {"pid": 4711, "version": "9.9", "at_ms": time.time_ns() // 1_000_000, "session": session, **changes}
    (root / data_root.STATE_NAME).write_text(json.dumps(state))


def test_nothing_yet(root: Path) -> None:
    """An empty DATA_ROOT is no fault: not running, nothing stored, and nothing is made in it."""
    found = read_status(root)
    assert found["disk"].pop("free_bytes") > 0
    assert found == empty(root)
    text = shown(root)
    assert "not running" in text
    assert "nothing yet" in text
    assert not list(root.iterdir())


def test_no_directory_is_one_line(root: Path) -> None:
    """A wrong DATA_ROOT is not taken for an idle recorder."""
    result = status(root / "nowhere")
    assert isinstance(result.exception, ConfigError)
    assert str(result.exception) == (
        f"no recordings in {root / 'nowhere'}: this directory does not exist; "
        "pass --data-root DIRECTORY, or set DATA_ROOT"
    )


def test_rows_of_the_newest_day(root: Path) -> None:
    """Totals, the last tick of all, and a line for each symbol, busiest first."""
    store(root, "20200327", {"HK.00001": 5})
    store(root, "20200330", {"HK.00005": 2, "HK.00700": 3})
    found = read_status(root)
    assert (found["day"], found["rows"]) == ("20200330", 5)
    assert (found["last_ts_ms"], found["last_symbol"]) == (TICK_TS_MS + 2000, "HK.00700")
    assert found["database_bytes"] == (root / "20200330.db").stat().st_size
    first, second = found["symbols"]
    age_sec = first.pop("last_age_sec")
    assert abs(age_sec - (time.time() - TICK_TS_MS / 1000 - 2)) < 60
    assert first == {
        "symbol": "HK.00700", "rows": 3, "volume": 300, "turnover": 3000.0, "last_seq": 3,
        "last_ts_ms": TICK_TS_MS + 2000, "lag_ms": 150,
    }  # fmt: skip
    assert (second["symbol"], second["rows"]) == ("HK.00005", 2)
    text = shown(root)
    assert "5 ticks of 20200330" in text
    assert "2020-03-30 16:04:43.000+08:00" in text
    assert [line.split()[:4] for line in text.splitlines()[-2:]] == [
        ["HK.00700", "3", "300", "16:04:43"],
        ["HK.00005", "2", "200", "16:04:42"],
    ]
    assert "\x1b" not in text


@pytest.mark.parametrize("day", ["20200327", "2020-03-27"])
def test_another_day_can_be_asked_for(day: str, root: Path) -> None:
    """With or without dashes; one that there is not is one line."""
    store(root, "20200327", {"HK.00001": 5})
    store(root, "20200330", {"HK.00005": 2})
    assert "5 ticks of 20200327" in shown(root, "--day", day)
    result = status(root, "--day", "20200328")
    assert isinstance(result.exception, ConfigError)
    assert str(result.exception).startswith(f"no database of 20200328 in {root}")


def test_what_the_older_recorder_left_without_a_recorder_tells_the_cure(root: Path) -> None:
    """There is nothing else to report."""
    make_old(root / "20261119.db", [old_tick("HK.00700", 1)])
    with pytest.raises(OlderRecorderError, match="hk-tick-collector migrate"):
        read_status(root)


def test_what_the_older_recorder_left_does_not_hide_what_became_of_ours(root: Path) -> None:
    """That it was stopped, most often because of that file, is what there is to say first."""
    make_old(root / "20261119.db", [old_tick("HK.00700", 1)])
    say(root, running=False, stopped_ms=TICK_TS_MS, stop_reason="SIGTERM", stored=True)
    told = read_status(root)
    assert (told["day"], told["rows"]) == (None, 0)
    assert told["answers"]["records"] == "NO: no recorder is running: stopped cleanly at 2020-03-30 16:04:41 HK"


@pytest.mark.usefixtures("lock")
def test_what_the_older_recorder_left_does_not_hide_a_recorder(root: Path) -> None:
    """Before its first tick it is reported without a day; that day itself can't be shown."""
    make_old(root / "20261119.db", [old_tick("HK.00700", 1)])
    told = read_status(root)
    assert (told["recorder"]["running"], told["day"], told["rows"]) == (True, None, 0)
    with pytest.raises(OlderRecorderError):
        read_status(root, "20261119")


def test_a_newest_day_without_a_tick_is_passed_over(root: Path) -> None:
    """What a repair has moved away leaves an empty file; it is shown when it is asked for, or alone."""
    store(root, "20200331", {})
    assert "0 ticks of 20200331" in shown(root)
    store(root, "20200330", {"HK.00005": 2})
    assert "2 ticks of 20200330" in shown(root)
    assert "0 ticks of 20200331" in shown(root, "--day", "20200331")


def test_what_was_lost_is_shown(root: Path) -> None:
    """Of the day that is shown, by its own gaps, also while no recorder runs."""
    store(root, "20200330", {"HK.00005": 2})
    assert re.search(r"^lost +on 20200330: nothing so far$", shown(root), re.MULTILINE)
    put_gaps(root / "20200330.db", {"missing": 40, "since_ms": TICK_TS_MS, "resumed_ms": TICK_TS_MS + 60_000})
    line = next(line for line in shown(root).splitlines() if line.startswith("lost "))
    assert line.split(maxsplit=1)[1] == "on 20200330: 40 ticks of 1 symbol, 16:04:41 to 16:05:41 HK (OpenD down)"
    assert read_status(root)["lost"]["ticks"] == 40


def test_a_day_to_come_is_named_and_is_not_today(root: Path) -> None:
    """One tick with a wrong date made it."""
    store(root, "20200330", {"HK.00005": 2})
    store(root, "20450330", {"HK.00005": 1}, TICK_TS_MS + 25 * 365 * 86_400_000)
    text = shown(root)
    assert "2 ticks of 20200330" in text
    assert "ticks with the date of 1 day to come: 20450330" in text
    assert read_status(root)["future_days"] == ["20450330"]


def test_a_pipe_gets_all_symbols(root: Path) -> None:
    """Who pipes it to `less` or `grep` wants them all."""
    store(root, "20200330", {f"HK.{n:05}": n for n in range(1, 62)})
    text = shown(root)
    assert text.count("HK.") == 61 + 1
    assert "more symbols" not in text


def test_json_is_one_object_with_all_symbols(root: Path) -> None:
    """The same as is shown, whole, for a program; its keys do not depend on what there is."""
    found = json.loads(shown(root, "--json"))
    assert found["disk"].pop("free_bytes") > 0
    assert found == empty(root)
    store(root, "20200330", {f"HK.{n:05}": n for n in range(1, 26)})
    told = json.loads(shown(root, "--json"))
    assert set(told) == set(empty(root))
    assert len(told["symbols"]) == 25
    assert told["rows"] == sum(range(1, 26))


def write_journal(root: Path, ages_sec: list[float], payload: bytes = b"x" * 56) -> list[Position]:
    """A journal with a record of each age, and the position behind each."""
    directory = root / DIRECTORY
    directory.mkdir()
    data, ends = b"", []
    for number, age_sec in enumerate(ages_sec):
        recv_ts_ms = time.time_ns() // 1_000_000 - round(age_sec * 1000)
        data += encode_record(Kind.FRAMES, 1, number, recv_ts_ms, payload) + payload
        ends.append(Position(1, len(data), number + 1))
    (directory / segment_name("20200330", 1)).write_bytes(data)
    return ends


def test_a_backlog_is_told_with_its_size_and_the_age_of_its_oldest(root: Path) -> None:
    """What is received and not stored: from the writer's cursor on."""
    ends = write_journal(root, [900.0, 100.0, 50.0])
    found = read_status(root)["journal"]
    assert found["backlog_bytes"] == 3 * (HEADER_SIZE + 56)
    assert 900_000 <= found["lag_ms"] < 960_000
    save_cursor(root / DIRECTORY, ends[0])
    found = read_status(root)["journal"]
    assert found["backlog_bytes"] == 2 * (HEADER_SIZE + 56)
    assert 100_000 <= found["lag_ms"] < 160_000
    assert f"{2 * (HEADER_SIZE + 56)} bytes not stored yet, lag 1" in shown(root)
    save_cursor(root / DIRECTORY, ends[-1])
    assert read_status(root)["journal"] == {"backlog_bytes": 0, "lag_ms": 0}


def test_a_record_larger_than_a_look_is_still_found(root: Path) -> None:
    """Its age is known though only a part of it is read at first."""
    write_journal(root, [100.0], b"x" * 100_000)
    found = read_status(root)["journal"]
    assert found["backlog_bytes"] == HEADER_SIZE + 100_000
    assert found["lag_ms"] >= 100_000


def test_looking_changes_nothing(root: Path) -> None:
    """Neither the journal, nor its cursor, nor what a recorder says."""
    write_journal(root, [1.0])
    say(root)
    before = {path: path.read_bytes() for path in root.rglob("*") if path.is_file()}
    shown(root)
    assert {path: path.read_bytes() for path in root.rglob("*") if path.is_file()} == before


def test_running_is_known_by_the_lock_alone(root: Path, lock: int) -> None:
    """A state file that was left behind does not make a recorder; a lock without one does."""
    assert read_status(root)["recorder"] == {"running": True, "state_age_sec": None}
    say(root)
    found = read_status(root)["recorder"]
    assert (found["running"], found["pid"]) == (True, 4711)
    assert 0 <= found["state_age_sec"] < 60
    fcntl.flock(lock, fcntl.LOCK_UN)
    assert read_status(root)["recorder"]["running"] is False
    assert "not running" in shown(root)


@pytest.mark.usefixtures("lock")
def test_a_running_recorder_is_shown_with_its_session(root: Path) -> None:
    """Process, version, since when it is connected, and what OpenD refused."""
    say(root, session={"left_out": ["HK.00001", "HK.00005"], "refused": {"HK.99999": "no such stock"}})
    text = shown(root)
    assert "running, pid 4711, version 9.9" in text
    assert "connected since 2020-03-30 16:04:41.000+08:00, 3 symbols, 2 without quota" in text
    assert "refused HK.99999: no such stock" in text


@pytest.mark.usefixtures("lock")
def test_a_lost_connection_is_shown_with_its_cause(root: Path) -> None:
    """Not "connected", and why."""
    say(root, session={"connected": False, "last_disconnect": "no bytes for 30 s"})
    assert "not connected: no bytes for 30 s" in shown(root)


@pytest.mark.usefixtures("lock")
def test_an_outage_is_shown_with_its_deadlines(root: Path) -> None:
    """How long it lasts, and what can still be made good; of a recorder that is silent there is no such line."""
    now_ms = time.time_ns() // 1_000_000
    symbols = [{"symbol": "HK.00700", "rate": 4.0, "deadline_ms": now_ms + 190_900}]
    outage = {"cause": "connection_lost", "since_ms": now_ms - 42_000, "past": 2, "past_symbols": ["HK.00005", "HK.1"],
              "symbols": symbols, "first_deadline_ms": now_ms - 5}  # fmt: skip
    say(root, outage=outage, at_ms=now_ms)
    text = " ".join(shown(root).split())
    assert re.search(
        r"outage OpenD unreachable for 4\d s \(connection lost\); at pre-outage rates: recoverable for another", text
    )
    assert "for another 3 min" in text
    assert "past their deadline: 2 symbols: HK.00005, HK.1" in text
    assert read_status(root)["recorder"]["outage"] == outage
    say(root, outage=None, at_ms=now_ms)
    assert "outage" not in shown(root)
    say(root, outage=outage, at_ms=now_ms - 3_600_000)
    assert "outage" not in shown(root)


@pytest.mark.usefixtures("lock")
def test_a_silent_recorder_is_not_shown_as_well(root: Path) -> None:
    """It holds the lock and has not said anything for long: that is trouble."""
    say(root, at_ms=time.time_ns() // 1_000_000 - 3_600_000)
    text = shown(root)
    assert "running, pid 4711, but silent for 360" in text
    assert "version 9.9" not in text
    assert re.search(r"^OpenD +unknown *$", text, re.MULTILINE)


def test_a_recorder_that_was_stopped_says_when(root: Path) -> None:
    """The lock is free, and it has said that it ends: nobody needs to wonder."""
    say(root, running=False, stopped_ms=TICK_TS_MS, stop_reason="SIGTERM", stored=True)
    assert "not running, stopped cleanly at 2020-03-30 16:04:41 HK" in shown(root)
    health = read_status(root)["health"]
    assert health["verdict"] == "failing"
    (trouble,) = health["troubles"]
    assert trouble["seen"] == "no recorder is running: stopped cleanly at 2020-03-30 16:04:41 HK"
    assert trouble["cure"] == f"Start it: `hk-tick-collector run --data-root {root}`"
    assert health["reasons"] == [f"{trouble['seen']}. {trouble['cure']}"]


def test_a_recorder_that_died_says_since_when(root: Path) -> None:
    """The lock is free, and its last word was that it runs: something has killed it."""
    say(root, running=True, at_ms=TICK_TS_MS)
    assert "not running, did not stop cleanly, last heard of at 2020-03-30 16:04:41 HK" in shown(root)
    health = read_status(root)["health"]
    assert health["verdict"] == "failing"
    assert health["troubles"][0]["cure"] == (
        f"Start it: `hk-tick-collector run --data-root {root}`. The end of its log says why it ended; `dmesg` says if "
        "memory ran out"
    )


@pytest.mark.usefixtures("lock")
def test_health_is_shown_with_each_reason(root: Path) -> None:
    """The verdict and why, a line each; what OpenD says is shown as it is, never as colours."""
    state = healthy_state(
        at_ms=time.time_ns() // 1_000_000,
        market={"state": "CLOSED", "is_open": False, "source": "opend"},
        session={"refused": {"HK.99999": "no [red]such[/] stock"}, "clock_offset_ms": 5200},
    )
    (root / data_root.STATE_NAME).write_text(json.dumps(state))
    text = shown(root)
    assert re.search(r"^health +degraded *$", text, re.MULTILINE)
    assert "to do      1. 1 symbol refused: HK.99999 (no [red]such[/] stock). Correct FUTU_SYMBOLS" in text
    assert re.search(r"^ +2. clock 5.2 s behind OpenD's. Check the time service", text, re.MULTILINE)
    assert read_status(root)["health"]["verdict"] == "degraded"
    state["session"] |= {"refused": {}, "clock_offset_ms": 0}
    (root / data_root.STATE_NAME).write_text(json.dumps(state))
    assert re.search(r"^health +ok *$", shown(root), re.MULTILINE)


@pytest.mark.usefixtures("lock")
@pytest.mark.parametrize(
    ("disk", "text"),
    [
        ({}, "75 GB free, for about 60 trading days at 1,250 MB a day"),
        ({"days_left": 1.5}, "75 GB free, for about 1 trading day at 1,250 MB a day"),
        ({"days_left": 9000.0}, "75 GB free, for more than a year at 1,250 MB a day"),
        ({"days_left": None, "bytes_a_day": None}, "75 GB free"),
    ],
)
def test_how_long_the_disk_lasts_is_shown(
    disk: dict[str, Any], text: str, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As far as that is known; what is free is measured now, since a full disk keeps the recorder from reporting it."""
    monkeypatch.setattr(shutil, "disk_usage", lambda _path: SimpleNamespace(free=75_000_000_000))
    (root / data_root.STATE_NAME).write_text(json.dumps(healthy_state(at_ms=time.time_ns() // 1_000_000, disk=disk)))
    line = next(line for line in shown(root).splitlines() if line.startswith("disk "))
    assert line.split(maxsplit=1)[1].rstrip() == text


@pytest.mark.usefixtures("lock")
def test_a_recorder_that_hangs_is_failing(root: Path) -> None:
    """It holds the lock, and what it says is old."""
    say(root, running=True, at_ms=time.time_ns() // 1_000_000 - 3_600_000)
    health = read_status(root)["health"]
    assert health["verdict"] == "failing"
    assert health["reasons"][0].startswith("no state update for 60 min")


@pytest.mark.usefixtures("lock")
def test_what_an_older_recorder_says_is_shown(root: Path) -> None:
    """It tells less; what there is is shown and judged."""
    say(root)
    text = shown(root)
    assert "running, pid 4711, version 9.9" in text
    assert re.search(r"^health +(unproven|ok) *$", text, re.MULTILINE)


@pytest.mark.parametrize("text", ["", "{", "[1, 2]", "null"])
def test_a_broken_state_file_is_no_state(text: str, root: Path) -> None:
    """A torn or foreign file never keeps the rest from being shown."""
    (root / data_root.STATE_NAME).write_text(text)
    store(root, "20200330", {"HK.00700": 1})
    assert read_status(root)["recorder"] == {"running": False, "state_age_sec": None}
    assert "1 tick of 20200330" in shown(root)
