"""`verify`: what it prints, how long it looks, and its exit codes."""

from __future__ import annotations

import json
import os
import time
from typing import TYPE_CHECKING, Any

import pytest
import typer
from support.systemctl import put_systemctl
from typer.testing import CliRunner, Result

from hk_tick_collector.cli.verify_cmd import Log, Verification, verify_command
from hk_tick_collector.config import NAMES
from hk_tick_collector.db import DayDatabase, Pragmas
from hk_tick_collector.errors import ConfigError
from hk_tick_collector.hktime import hk_day, utc_text
from hk_tick_collector.status.trouble_table import cure
from hk_tick_collector.status.troubles import Trouble
from hk_tick_collector.store.data_root import RECORDER_LOCK, STATE_NAME, hold_lock

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

FIGURES = ("now_utc", "max_ts_utc", "max_minus_now_sec", "rows", "journal_mode", "busy_timeout")


def now_ms() -> int:
    """The host's clock."""
    return time.time_ns() // 1_000_000


class Recorded:
    """A DATA_ROOT on which this process holds the recorder's lock, speaks for it, and stores when it is told to."""

    def __init__(self, directory: Path) -> None:
        self.root = directory / "data"
        self.root.mkdir()
        self.log = directory / "recorder.log"
        self.log.write_text("")
        self._lock: int | None = hold_lock(self.root, RECORDER_LOCK, 0)
        self.rows = 0

    def say(self, word: str = "MORNING", **changes: Any) -> None:  # noqa: ANN401 - JSON
        """What a recorder that is well says now."""
        at_ms = now_ms()
        state = {
            "running": True,
            "pid": os.getpid(),
            "version": "9.9",
            "at_ms": at_ms,
            "started_ms": at_ms - 60_000,
            "uptime_sec": 60.0,
            "frames": 100,
            "market": {"state": word, "is_open": word == "MORNING", "source": "opend"},
            "session": {"connected": True, "since_ms": at_ms, "subscribed": 1, "last_push_age_sec": 0.5, "connects": 1},
            "writer": {"rows": 100, "last_alive_age_sec": 0.1},
            **changes,
        }
        (self.root / STATE_NAME).write_text(json.dumps(state))

    def store(self, age_ms: int = 0) -> None:
        """A tick more, of so long ago."""
        self.rows += 1
        ts_ms = now_ms() - age_ms
        row = ("HK.00700", self.rows, ts_ms, 10.0, 100, 1000.0, 1, 1, 0, 1, ts_ms, ts_ms)
        database = DayDatabase(self.root / f"{hk_day(ts_ms)}.db", Pragmas())
        database.store({"HK.00700": [row]}, {})
        database.close()

    def die(self) -> None:
        """End without a word: the lock comes free."""
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def live(self) -> None:
        """Run again."""
        self._lock = hold_lock(self.root, RECORDER_LOCK, 0)

    def tell(self, event: str) -> None:
        """A line of the log, of now."""
        with self.log.open("a") as file:
            file.write(f"{utc_text(now_ms())} INFO    {event}\n")

    def tell_pragmas(self, busy_timeout: int = 5000) -> None:
        """The writer's line about what is in force on its connection."""
        self.tell(f"sqlite_pragmas day=20261120 journal_mode=wal synchronous=2 busy_timeout={busy_timeout}")


@pytest.fixture
def recorded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Recorded]:
    """A recorder that is well, at lunch."""
    monkeypatch.chdir(tmp_path)
    for name in (*NAMES, "HK_TICK_CONFIG"):
        monkeypatch.delenv(name, raising=False)
    recorded = Recorded(tmp_path)
    recorded.store()
    recorded.say("REST")
    recorded.tell_pragmas()
    yield recorded
    recorded.die()


def verify(recorded: Recorded, *arguments: str, stdin: str | None = None) -> Result:
    """What the command does when called so, looking once where that is enough."""
    app = typer.Typer()
    app.command()(verify_command)
    given = ["--data-root", str(recorded.root), "--wait-sec", "0", *arguments]
    if "--log" not in arguments:
        given += ["--log", str(recorded.log)]
    return CliRunner().invoke(app, given, input=stdin)


def looking(recorded: Recorded, wait_sec: float, meanwhile: Callable[[], None]) -> tuple[bool, int]:
    """Look for so long, with something that happens meanwhile: whether it was accepted, and how often it slept."""
    slept = []

    def sleep(_sec: float) -> None:
        slept.append(1)
        meanwhile()

    verification = Verification(recorded.root, Log(str(recorded.log), ""), now_ms() - 60_000, told=None, skew_sec=60)
    return verification.run(wait_sec, sleep).accepted, len(slept)


def test_a_good_recorder_is_accepted_with_all_figures(recorded: Recorded) -> None:
    """Exit 0; the notes' figures come first, each as name=value; what can't be judged at lunch is named."""
    result = verify(recorded)
    assert result.exit_code == 0, result.output
    lines = result.stdout.splitlines()
    assert [line.partition("=")[0] for line in lines[:4]] == list(FIGURES[:4])
    assert "rows=1" in lines
    assert "journal_mode=wal" in lines
    assert "busy_timeout=5000" in lines
    assert lines[-1] == "accepted; not judged: rows"


def test_the_health_of_a_recorder_that_died_is_failing(recorded: Recorded) -> None:
    """Not what its last words, of a second ago, would make of it."""
    recorded.die()
    told = json.loads(verify(recorded, "--json").stdout)
    assert told["health"] == "failing"
    assert told["health_reasons"][0].startswith("no recorder is running: did not stop cleanly, last heard of at ")


def test_json_has_the_same_figures(recorded: Recorded) -> None:
    """One object, with every target."""
    told = json.loads(verify(recorded, "--json").stdout)
    assert told["accepted"] is True
    assert told["rows"] == 1
    assert -60 <= told["max_minus_now_sec"] <= 0
    assert {target["target"]: target["outcome"] for target in told["targets"]} == {
        "recorder": "ok",
        "opend": "ok",
        "writer": "ok",
        "health": "ok",
        "max_minus_now_sec": "ok",
        "rows": "not judged",
        "journal_mode": "ok",
        "busy_timeout": "ok",
        "watchdog": "ok",
    }


def test_a_miss_is_exit_1_and_says_what_was_seen_and_expected(recorded: Recorded) -> None:
    """On the last line."""
    recorded.tell("WATCHDOG persistent_stall failures=3")
    result = verify(recorded)
    assert result.exit_code == 1
    last = result.stdout.splitlines()[-1]
    assert last.startswith("NOT OK: watchdog: 1 persistent_stall since ")
    assert last.endswith(f"; expected no WATCHDOG persistent_stall. {cure(Trouble.GAVE_UP)}")


def test_the_incident_of_the_notes_is_not_accepted(recorded: Recorded) -> None:
    """A tick of eight hours from now, whether the market is open or closed."""
    recorded.store(age_ms=-8 * 3_600_000)
    result = verify(recorded)
    assert result.exit_code == 1
    assert "NOT OK: max_minus_now_sec: 28" in result.stdout
    assert "ts_ms is in the future; expected at most 60. `hk-tick-collector repair` corrects" in result.stdout


def test_stalls_before_since_do_not_count(recorded: Recorded) -> None:
    """Those of yesterday were answered for yesterday."""
    recorded.tell("WATCHDOG persistent_stall failures=3")
    later = utc_text(now_ms() + 60_000)
    assert verify(recorded, "--since", later).exit_code == 0
    assert verify(recorded, "--since", "5m").exit_code == 1


def test_the_log_may_come_by_standard_input(recorded: Recorded) -> None:
    """`--log -`."""
    recorded.tell("WATCHDOG persistent_stall failures=3")
    result = verify(recorded, "--log", "-", stdin=recorded.log.read_text())
    assert result.exit_code == 1
    assert "(standard input)" in result.stdout


def test_without_a_unit_no_log_is_read(recorded: Recorded) -> None:
    """Then the watchdog is not judged, and nobody has told the busy timeout."""
    app = typer.Typer()
    app.command()(verify_command)
    given = ["--data-root", str(recorded.root), "--wait-sec", "0", "--unit", "none-of-these.service"]
    result = CliRunner().invoke(app, given)
    assert result.exit_code == 1
    assert "NOT OK: busy_timeout: unknown" in result.stdout
    assert "not judged watchdog" in result.stdout


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--since", "2026-11-20 09:30:00"), "has no zone"),
        (("--log", "missing.log"), "No such file"),
        (
            ("--data-root", "nowhere"),
            "this directory does not exist; pass --data-root DIRECTORY, or set DATA_ROOT",
        ),
    ],
)
def test_a_wrong_argument_is_an_error_of_one_line(recorded: Recorded, arguments: tuple[str, ...], words: str) -> None:
    """The entry makes exit 2 of it."""
    result = verify(recorded, *arguments)
    assert isinstance(result.exception, ConfigError)
    assert words in str(result.exception)


def test_a_directory_that_may_not_be_read_is_an_error_of_one_line(
    recorded: Recorded, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither a recorder that stores nothing, nor a bug; simulated, as root may read everything."""
    monkeypatch.setattr(os, "access", lambda *_args: False)
    result = verify(recorded)
    assert isinstance(result.exception, ConfigError)
    assert "can't be read by this user: run it with sudo, or join the group of" in str(result.exception)


def test_it_looks_again_until_all_is_well(recorded: Recorded) -> None:
    """Just after a start nothing is stored yet: it waits, and is done as soon as something is."""
    recorded.say()

    def store() -> None:
        recorded.say()
        recorded.store()

    assert looking(recorded, 600, store) == (True, 1)


def test_it_looks_for_so_long_and_no_longer(recorded: Recorded) -> None:
    """What does not come is a miss in the end; in an open market it looks twice at least."""
    recorded.say()
    assert looking(recorded, 0, recorded.say) == (False, 1)


def test_no_recorder_is_told_at_once_with_how_to_start_it(recorded: Recorded) -> None:
    """Nobody starts it while the command waits, so it does not wait."""
    recorded.say()
    recorded.die()
    assert looking(recorded, 600, lambda: None) == (False, 0)
    result = verify(recorded, "--wait-sec", "600")
    assert result.exit_code == 1
    start = f"Start it: `hk-tick-collector run --data-root {recorded.root}`"
    assert f"NOT OK: no recorder is running on {recorded.root}. {start}\n" in result.stdout
    told = json.loads(verify(recorded, "--json").stdout)
    cures = {target["target"]: target["cure"] for target in told["targets"]}
    assert cures.pop("recorder") == start
    assert set(cures.values()) <= {None}


def test_a_recorder_that_systemd_is_starting_is_waited_for(recorded: Recorded, monkeypatch: pytest.MonkeyPatch) -> None:
    """Between two starts no process has the lock."""
    recorded.die()
    put_systemctl(recorded.root.parent, recorded.root, monkeypatch, ActiveState="activating")
    is_accepted, _ = looking(recorded, 0, lambda: None)  # in trading hours it looks twice
    assert not is_accepted

    def come() -> None:
        recorded.live()
        recorded.say("REST")

    assert looking(recorded, 600, come) == (True, 1)


def test_the_unit_that_is_asked_about_is_the_one_that_is_named(
    recorded: Recorded, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Under whatever name it was installed."""
    recorded.die()
    put_systemctl(recorded.root.parent, recorded.root, monkeypatch)
    result = verify(recorded, "--unit", "ticks-hk.service")
    assert "Start it: `systemctl start ticks-hk`\n" in result.stdout


def test_what_does_not_mend_itself_is_not_waited_for(recorded: Recorded) -> None:
    """A persistent stall stays one."""
    recorded.tell("WATCHDOG persistent_stall failures=3")
    assert looking(recorded, 600, lambda: None) == (False, 0)


def test_a_closed_market_is_looked_at_once(recorded: Recorded) -> None:
    """Nothing has to grow."""
    assert looking(recorded, 600, lambda: None) == (True, 0)


def test_a_miss_that_ends_while_it_looks_is_none(recorded: Recorded) -> None:
    """A recorder that is just connecting; a database that can't be read for a moment."""
    recorded.say("REST", session={"connected": False, "last_disconnect": "refused"})
    database = next(recorded.root.glob("*.db"))
    whole = database.read_bytes()
    database.write_bytes(b"no database" * 100)

    def mend() -> None:
        database.write_bytes(whole)
        recorded.say("REST")

    assert looking(recorded, 600, mend) == (True, 1)


def test_an_open_market_on_demand(recorded: Recorded) -> None:
    """`--market open` makes growth a target, whatever OpenD says."""
    assert verify(recorded, "--market", "open").exit_code == 1
    recorded.say()
    assert verify(recorded, "--market", "closed").exit_code == 0


def test_it_changes_nothing(recorded: Recorded) -> None:
    """All files are as before; SQLite leaves its own -wal and -shm beside a day that nobody else has open."""
    before = {path.name: path.read_bytes() for path in recorded.root.iterdir()}
    assert verify(recorded).exit_code == 0
    after = {path.name: path.read_bytes() for path in recorded.root.iterdir()}
    (day,) = (name for name in before if name.endswith(".db"))
    assert {name: content for name, content in after.items() if name not in {f"{day}-wal", f"{day}-shm"}} == before
