"""Where `verify` reads its facts: from files, processes and logs as they are, never from what it has set itself."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING, Final

import apsw
import pytest
from support.bodies import TICK_TS_MS

from hk_tick_collector.db import DayDatabase, Pragmas
from hk_tick_collector.errors import ConfigError, DatabaseError
from hk_tick_collector.status import evidence
from hk_tick_collector.status.targets import Day

if TYPE_CHECKING:
    from pathlib import Path

NOW_MS: Final = 1_795_138_260_000  # 2026-11-20 09:31:00 in Hong Kong

LOG: Final = """
2026-11-20T01:20:00.000001Z INFO    sqlite_pragmas day=20261119 path=/d/20261119.db journal_mode=wal busy_timeout=1
2026-11-20T01:30:00.000001Z INFO    sqlite_pragmas day=20261120 path="/d d" journal_mode=wal busy_timeout=5000
2026-11-20T01:30:10.5Z WARNING WATCHDOG diagnostic_dump reason=stall
Thread 0x00007f (most recent call first):
  File "2026-11-20T01:30:11Z WATCHDOG persistent_stall", line 1
2026-11-20T01:30:11Z WARNING WATCHDOG recovery_triggered failures=0
Nov 20 09:30:12 host hk-tick-collector[7]: 2026-11-20T01:30:12Z ERROR   WATCHDOG persistent_stall failures=3
2026-11-20T01:30:13Z ERROR   persist_failed error="WATCHDOG persistent_stall"
""".splitlines()


def store(root: Path, day: str, count: int, *, close: bool = True) -> DayDatabase:
    """A day with so many ticks, a second apart."""
    database = DayDatabase(root / f"{day}.db", Pragmas())
    rows = [
        ("HK.00700", n + 1, TICK_TS_MS + n * 1000, 10.0, 100, 1000.0, 1, 1, 0, 1, TICK_TS_MS, TICK_TS_MS)
        for n in range(count)
    ]
    database.store({"HK.00700": rows} if rows else {}, {})
    if close:
        database.close()
    return database


# ---- the database


def test_the_newest_day_is_read_from_its_rows(tmp_path: Path) -> None:
    """Rows are counted and the newest time is found in the ticks, also where the statistics say something else."""
    store(tmp_path, "20261119", 5)
    store(tmp_path, "20261120", 3)
    con = apsw.Connection(str(tmp_path / "20261120.db"))
    con.execute("UPDATE symbol_stats SET rows = 99, last_ts_ms = 0")
    con.close()
    assert evidence.read_day(tmp_path) == Day("20261120", 3, TICK_TS_MS + 2000, "wal")


def test_a_newest_day_without_a_row_is_passed_over(tmp_path: Path) -> None:
    """A repair has moved its ticks into the day before; only one that can't be read may be today's."""
    store(tmp_path, "20261119", 5)
    store(tmp_path, "20261120", 0)
    (tmp_path / "20261121.db").touch()
    day = evidence.read_day(tmp_path)
    assert day is not None
    assert (day.name, day.rows) == ("20261119", 5)
    (tmp_path / "20261121.db").write_bytes(b"no database" * 100)
    with pytest.raises(DatabaseError, match=r"20261121\.db"):
        evidence.read_day(tmp_path)


def test_the_journal_mode_is_the_files_own(tmp_path: Path) -> None:
    """A database that is not in WAL mode is seen to be none, and is left so."""
    database = store(tmp_path, "20261120", 3, close=False)
    database.leave_wal()
    database.close()
    day = evidence.read_day(tmp_path)
    assert day is not None
    assert day.journal_mode == "no wal"
    assert (tmp_path / "20261120.db").read_bytes()[18:20] == b"\x01\x01"


def test_reading_does_not_disturb_who_writes(tmp_path: Path) -> None:
    """A look between two transactions: the writer goes on, and the next look sees more."""
    database = store(tmp_path, "20261120", 3, close=False)
    try:
        assert evidence.read_day(tmp_path) == Day("20261120", 3, TICK_TS_MS + 2000, "wal")
        row = ("HK.00005", 1, TICK_TS_MS, 10.0, 100, 1000.0, 1, 1, 0, 1, TICK_TS_MS, TICK_TS_MS)
        database.store({"HK.00005": [row]}, {})
        assert evidence.read_day(tmp_path) == Day("20261120", 4, TICK_TS_MS + 2000, "wal")
    finally:
        database.close()


def test_a_day_with_a_certificate_is_sealed(tmp_path: Path) -> None:
    """Its journal mode is not the recorder's any more."""
    (tmp_path / "20261120.db").touch()
    (tmp_path / "20261120.certificate.json").touch()
    assert evidence.read_day(tmp_path) == Day("20261120", 0, None, "empty file", is_sealed=True)


def test_no_day_and_a_day_without_its_first_transaction(tmp_path: Path) -> None:
    """Nothing is there; then a file that has no table yet."""
    assert evidence.read_day(tmp_path) is None
    (tmp_path / "20261120.db").touch()
    assert evidence.read_day(tmp_path) == Day("20261120", 0, None, "empty file")


def test_a_database_that_is_none_is_a_fault_with_its_name(tmp_path: Path) -> None:
    """Not an empty day."""
    (tmp_path / "20261120.db").write_bytes(b"no database" * 100)
    with pytest.raises(DatabaseError, match=r"20261120\.db"):
        evidence.read_day(tmp_path)


# ---- the writer's pragmas


def test_the_writers_newest_line_tells_its_pragmas() -> None:
    """Of the lines since the start of this recorder."""
    lines = list(evidence.log_lines(LOG))
    found = evidence.pragmas_in_log(lines, 0)
    assert found == (5000, "the writer's line sqlite_pragmas of 20261120", "wal")
    assert evidence.pragmas_in_log(lines, NOW_MS) is None
    assert evidence.pragmas_in_log(lines[:1], 0) == (1, "the writer's line sqlite_pragmas of 20261119", "wal")
    assert evidence.pragmas_in_log(evidence.log_lines(["2026-11-20T01:20:00Z INFO    sqlite_pragmas day=x"]), 0) is None


def test_the_arguments_of_a_running_writer_tell_its_busy_timeout() -> None:
    """As they stand in /proc, of a process that is a writer."""
    settings = json.dumps({"data_root": "/d", "busy_timeout_ms": 4321})
    code = "import sys; print(flush=True); sys.stdin.read()"
    command = [sys.executable, "-c", code, "-m", "hk_tick_collector.writer", settings]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as writer:
        assert writer.stdin is not None
        assert writer.stdout is not None
        assert writer.stdout.readline() == b"\n"  # before that, the kernel may not show its arguments yet
        found = evidence.pragmas_of_writer(writer.pid)
        writer.stdin.close()
    assert found == (4321, f"arguments of the writer, pid {writer.pid}", None)


@pytest.mark.parametrize(
    "cmdline",
    [
        b"",
        b"bash\0",
        b'python\0-m\0something.else\0{"busy_timeout_ms": 5}\0',
        b"python\0-m\0hk_tick_collector.writer\0{}\0",
    ],
)
def test_a_process_that_is_no_writer_tells_nothing(tmp_path: Path, cmdline: bytes) -> None:
    """Its number may be somebody else's by now."""
    (tmp_path / "7").mkdir()
    (tmp_path / "7" / "cmdline").write_bytes(cmdline)
    assert evidence.pragmas_of_writer(7, tmp_path) is None
    assert evidence.pragmas_of_writer(8, tmp_path) is None
    assert evidence.pragmas_of_writer(None, tmp_path) is None


# ---- the log


def test_the_watchdog_is_counted_by_event_since_a_moment() -> None:
    """Only lines of its own, also behind a prefix of syslog's; not what a traceback or another event quotes."""
    lines = list(evidence.log_lines(LOG))
    assert evidence.watchdog_since(lines, 0, "it").watchdog == {
        "diagnostic_dump": 1,
        "recovery_triggered": 1,
        "persistent_stall": 1,
    }
    assert evidence.watchdog_since(lines, NOW_MS - 48_000, "it").watchdog == {"persistent_stall": 1}
    assert evidence.watchdog_since(lines, NOW_MS, "it") == ("it", NOW_MS, {})


def test_a_log_file_that_is_not_there_is_a_wrong_argument(tmp_path: Path) -> None:
    """One line with its name."""
    with pytest.raises(ConfigError, match=r"--log .*missing: No such file"):
        evidence.file_log(tmp_path / "missing")


@pytest.fixture
def tools(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory that alone is PATH."""
    directory = tmp_path / "bin"
    directory.mkdir()
    monkeypatch.setenv("PATH", str(directory))
    return directory


def write_tool(path: Path, script: str) -> None:
    """A command made of sh."""
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)


def test_the_units_log_is_asked_for_by_seconds_since_the_epoch(tools: Path) -> None:
    """No zone of the host can be mistaken; other lines are left out."""
    write_tool(tools / "journalctl", 'echo "2026-11-20T01:30:00Z INFO    asked $*"; echo other')
    (line,) = evidence.unit_log("my.service", NOW_MS + 999)
    assert line.at_ms == NOW_MS - 60_000
    assert line.text == "asked --unit=my.service --since=@1795138260 --output=cat --no-pager"


def test_systemds_own_line_of_a_missing_sign_of_life_is_counted(tools: Path) -> None:
    """It has no time of its own; what the recorder says of it is no such line."""
    said = "my.service: Watchdog timeout (limit 1min)!"
    write_tool(tools / "journalctl", f'echo "{said}"; echo "2026-11-20T01:31:00Z INFO    x {said}"; echo " {said}"')
    lines = evidence.unit_log("my.service", NOW_MS)
    assert evidence.watchdog_since(lines, NOW_MS, "it").watchdog == {"systemd_timeout": 1}


def test_a_journal_that_can_t_be_had_is_said_to_be_so(tools: Path) -> None:
    """No rights, or no journalctl: one line, and what to do."""
    with pytest.raises(ConfigError, match="no journalctl here"):
        evidence.unit_log("my.service", 0)
    write_tool(tools / "journalctl", "echo no rights >&2; exit 1")
    with pytest.raises(ConfigError, match="failed: no rights; say --log FILE"):
        evidence.unit_log("my.service", 0)


@pytest.mark.parametrize(
    "answer",
    [
        "echo 'No journal files were opened due to insufficient permissions.' >&2; exit 1",
        "echo 'Hint: You are currently not seeing messages from other users and the system.' >&2; exit 0",
    ],
    ids=["none", "his own alone"],
)
def test_a_journal_that_hides_the_unit_is_no_empty_one(tools: Path, answer: str) -> None:
    """Whoever may not read it is told who may, rather than that there was no stall."""
    write_tool(tools / "journalctl", answer)
    with pytest.raises(ConfigError, match="run it with sudo, or as a member of systemd-journal"):
        evidence.unit_log("my.service", 0)


def test_a_unit_is_there_only_if_systemd_has_loaded_it(tools: Path) -> None:
    """Without systemd, or with another answer, there is none."""
    assert not evidence.has_unit("my.service")
    write_tool(tools / "journalctl", "exit 0")
    for answer, is_there in (("echo loaded", True), ("echo not-found", False), ("echo loaded; exit 1", False)):
        write_tool(tools / "systemctl", answer)
        assert evidence.has_unit("my.service") is is_there


def test_systemd_counts_the_restarts_of_a_unit(tools: Path) -> None:
    """None where it does not say."""
    assert evidence.restarts_of("my.service") is None
    for answer, restarts in (
        ('[ "$2" = --property=NRestarts ] && echo 3', 3),
        ("echo", None),
        ("echo 3; exit 1", None),
    ):
        write_tool(tools / "systemctl", answer)
        assert evidence.restarts_of("my.service") == restarts


# ---- since


@pytest.mark.parametrize(
    ("text", "ms"),
    [
        ("2026-11-20T09:30:00+08:00", NOW_MS - 60_000),
        ("2026-11-20 01:30:00Z", NOW_MS - 60_000),
        ("2026-11-19T20:30:00.250-05:00", NOW_MS - 59_750),
        ("@1795138200", NOW_MS - 60_000),
        ("1795138200000", NOW_MS - 60_000),
        ("90s", NOW_MS - 90_000),
        ("30m", NOW_MS - 1_800_000),
        ("30 min", NOW_MS - 1_800_000),
        ("2h", NOW_MS - 7_200_000),
        ("1d", NOW_MS - 86_400_000),
    ],
)
def test_since_takes_a_time_with_its_zone_or_so_long_ago(text: str, ms: int) -> None:
    """Each means one moment, wherever it is read."""
    assert evidence.since_ms_of(text, NOW_MS) == ms


@pytest.mark.parametrize(
    "text", ["2026-11-20 09:30:00", "20261120093000", "09:30:00", "093000", "20261120", "2026-11-20"]
)
def test_since_refuses_a_time_without_a_zone(text: str) -> None:
    """The host's zone, Hong Kong's and UTC are three different answers."""
    with pytest.raises(ConfigError, match=r"has no zone: expected a time with its zone, such as"):
        evidence.since_ms_of(text, NOW_MS)


@pytest.mark.parametrize("text", ["", "yesterday", "30", "5 weeks", "2026-11-20T25:00:00Z"])
def test_since_refuses_what_is_no_time(text: str) -> None:
    """One line that says what was expected."""
    with pytest.raises(ConfigError, match="expected a time with its zone"):
        evidence.since_ms_of(text, NOW_MS)
