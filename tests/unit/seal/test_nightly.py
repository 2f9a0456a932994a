"""When the recorder seals, and what it says of it; and the process that does."""

from __future__ import annotations

import asyncio
import json
import signal
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest
from support.kept_log import KeptLog, keep_log
from support.scenario import Scenario
from support.sealing import make_day, seal_day, tell_day
from support.ticks import DAY, NEXT_DAY

from hk_tick_collector.clock import HostClock
from hk_tick_collector.config import Settings
from hk_tick_collector.hktime import parse_time
from hk_tick_collector.seal import nightly
from hk_tick_collector.seal.due import BUSY
from hk_tick_collector.seal.nightly import RETRY_SEC, SETTLE_SEC, TOLD_EVERY_SEC, WAIT_FOR_OPEND_SEC, Sealer
from hk_tick_collector.session.state import ClientState
from hk_tick_collector.store.data_root import SEAL_LOCK, hold_lock
from hk_tick_collector.store.sealed import is_sealed

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


class Place:
    """A Sealer at a time of one's choice, with a session to OpenD, and a process that is none."""

    def __init__(self, root: Path, monkeypatch: pytest.MonkeyPatch, **settings: Any) -> None:  # noqa: ANN401
        self.began = 0.0
        self.passed = 0.0  # by a clock that nobody sets
        self.session = ClientState(HostClock(self._wall_ms, lambda: round(self.passed * 1000)))
        self.session.clock.on_step = self.session.shift
        self.sealer = Sealer(Settings(**settings), root, self.session, lambda: self.passed)
        self.sealed: list[tuple[str, list[str]]] = []
        self.is_well = True
        self.closed_sec = 0.0
        self.archived: list[str] = []
        self.archives_well = True
        monkeypatch.setattr(self.sealer, "_seal", self._seal)
        monkeypatch.setattr(self.sealer, "_archive", self._archive)

    async def _seal(self, before_day: str, due: list[str], closed_sec: float) -> bool:
        self.closed_sec = closed_sec
        self.sealed.append((before_day, due))
        return self.is_well

    async def _archive(self, today: str, closed_sec: float) -> bool:
        self.closed_sec = closed_sec
        self.archived.append(today)
        return self.archives_well

    def look(
        self, when: str, *, connected_sec: float | None = 3600, offset_sec: float = 0
    ) -> list[tuple[str, list[str]]]:
        """What is begun at a Hong Kong time by the host's clock, with OpenD connected for so long, or not (None)."""
        self.set(when)
        self.session.clock.now_ms()
        self.session.connected = connected_sec is not None
        self.session.up_at = self.passed - (connected_sec or 0)
        self.session.clock_offset_ms = round(offset_sec * 1000)
        return self.look_again()

    def set(self, when: str) -> None:
        """Set the host's clock."""
        self.began = parse_time(when).ms / 1000 - self.passed

    def _wall_ms(self) -> int:
        return round((self.began + self.passed) * 1000)

    def look_again(self) -> list[tuple[str, list[str]]]:
        """What is begun now."""
        self.sealed.clear()
        asyncio.run(self.sealer._look())
        return list(self.sealed)


@pytest.fixture
def logged(monkeypatch: pytest.MonkeyPatch) -> KeptLog:
    """The lines that are logged."""
    return keep_log(nightly, monkeypatch)


@pytest.fixture
def make(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Place]:
    """A place with a Friday's and a Saturday's day."""
    for day in (DAY, NEXT_DAY):
        make_day(tmp_path, day)
    return lambda **settings: Place(tmp_path, monkeypatch, **settings)


@pytest.mark.parametrize(
    ("when", "due"),
    [
        ("2026-07-31 23:59:00", None),
        ("2026-08-01 00:29:00", None),
        ("2026-08-01 00:31:00", [DAY]),
        ("2026-08-02 00:31:00", [DAY, NEXT_DAY]),
        ("2026-08-03 08:59:00", [DAY, NEXT_DAY]),
        ("2026-08-03 09:00:00", None),
        ("2026-08-03 12:30:00", None),
        ("2026-08-03 16:10:00", None),
        ("2026-08-03 16:12:00", [DAY, NEXT_DAY]),
    ],
)
def test_a_day_is_sealed_some_time_after_midnight(make: Callable[..., Place], when: str, due: list[str] | None) -> None:
    """Not before, and not while Hong Kong trades."""
    assert [days for _, days in make(seal_delay_min=30).look(when)] == ([due] if due else [])


@pytest.mark.parametrize(
    ("when", "hours"), [("2026-08-03 08:00:00", 1), ("2026-08-01 09:00:00", 48), ("2026-08-03 17:00:00", 16)]
)
def test_it_has_time_until_the_next_opening(make: Callable[..., Place], when: str, hours: int) -> None:
    """On a weekend until Monday's."""
    place = make()
    assert place.look(when)
    assert place.closed_sec == hours * 3600


def test_what_is_not_sealed_when_hong_kong_opens_is_left(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """The process is ended, and a line says so; the day is as it was."""
    database = make_day(tmp_path)
    sealer = Sealer(Settings(seal_delay_min=0), tmp_path, ClientState())
    assert asyncio.run(sealer._seal(NEXT_DAY, [DAY], 0)) is False
    said = capfd.readouterr()
    assert "Hong Kong opens" in said.out + said.err
    assert not is_sealed(database)


def test_the_earlier_clock_decides(make: Callable[..., Place]) -> None:
    """OpenD's, where the host's is ahead of it; the host's, where OpenD's is."""
    place = make()
    assert place.look("2026-08-01 00:31:00", offset_sec=-90) == []
    assert place.look("2026-08-01 00:29:00", offset_sec=90) == []
    assert place.look("2026-08-01 00:31:31", offset_sec=-90) == [(NEXT_DAY, [DAY])]


def test_clocks_that_disagree_conclude_nothing(make: Callable[..., Place], logged: KeptLog) -> None:
    """Nothing is sealed until they agree again; a line an hour says why."""
    place = make()
    for offset_sec in (-121, 121, 8 * 3600, -7 * 86400):
        assert place.look("2026-08-02 04:00:00", offset_sec=offset_sec) == []
    assert logged.events() == ["seal_waits"]
    place.passed += TOLD_EVERY_SEC
    assert place.look_again() == []
    assert [(event, fields["repeated"]) for event, fields in logged.lines] == [("seal_waits", 0), ("seal_waits", 3)]
    assert "604,800 s ahead of OpenD's" in logged.lines[-1][1]["reason"]
    assert place.look("2026-08-02 04:00:00", offset_sec=120) == [("20260802", [DAY, NEXT_DAY])]


@pytest.mark.parametrize("is_connected", [True, False])
def test_a_clock_that_is_set_ends_no_day(make: Callable[..., Place], logged: KeptLog, *, is_connected: bool) -> None:
    """A week ahead, before OpenD was asked again; nor does it end the waiting for OpenD. It passes when it is right."""
    place = make()
    assert place.look("2026-07-31 20:00:00") == []
    place.session.connected = is_connected
    place.set("2026-08-08 20:00:00")
    assert place.look_again() == []
    assert logged.events() == (["seal_waits"] if is_connected else [])
    place.passed += WAIT_FOR_OPEND_SEC
    assert place.look_again() == []
    assert set(logged.events()) == {"seal_waits"}
    place.set("2026-08-04 20:00:00")
    assert place.look_again() == [("20260804", [DAY, NEXT_DAY])]


def test_without_any_word_of_opend_it_is_waited_for_long_enough(make: Callable[..., Place]) -> None:
    """By the clock that nobody sets: what has a database then is over."""
    place = make()
    place.set("2026-08-01 00:32:00")
    place.session.connected, place.session.clock_offset_ms = False, None
    assert place.look_again() == []
    place.passed += WAIT_FOR_OPEND_SEC
    assert place.look_again() == [("20260805", [DAY, NEXT_DAY])]


def test_a_market_that_trades_is_left_in_peace(make: Callable[..., Place]) -> None:
    """By OpenD's word, on a weekend too."""
    place = make()
    place.session.market = "MORNING"
    assert place.look("2026-08-02 00:31:00") == []
    place.session.market = "CLOSED"
    assert place.look("2026-08-02 00:31:00")


def test_a_day_waits_for_what_opend_has_to_say(make: Callable[..., Place]) -> None:
    """Until it has been connected for some minutes; but not for ever."""
    place = make()
    at = "2026-08-01 00:31:00"
    assert place.look(at, connected_sec=SETTLE_SEC - 1) == []
    assert place.look(at, connected_sec=SETTLE_SEC + 1)
    assert place.look("2026-08-03 00:31:00", connected_sec=None) == []
    place.passed += WAIT_FOR_OPEND_SEC - 1
    assert place.look("2026-08-05 00:30:00", connected_sec=None) == []
    place.passed += 2
    assert place.look("2026-08-05 00:32:00", connected_sec=None)
    assert WAIT_FOR_OPEND_SEC == 4 * 86400


def test_it_is_tried_again_after_an_hour(make: Callable[..., Place]) -> None:
    """And in between only if nothing has failed."""
    place = make()
    assert place.look("2026-08-01 00:31:00")
    assert place.look("2026-08-01 00:32:00")
    place.is_well = False
    assert place.look("2026-08-01 00:33:00")
    assert not place.look("2026-08-01 00:34:00")
    place.passed += RETRY_SEC
    assert place.look("2026-08-01 01:34:00")


def test_it_can_be_switched_off(make: Callable[..., Place]) -> None:
    """Then it waits for ever, and does nothing."""
    place = make(seal_enabled=False, seal_delay_min=0)

    async def run() -> None:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.2):
                await place.sealer.run()

    asyncio.run(run())
    assert place.sealed == []


def test_days_are_archived_once_a_night_and_after_each_sealing(make: Callable[..., Place]) -> None:
    """Not before the days are sealed that are due, nor while Hong Kong trades; and not at all unless it is set."""
    place = make(archive_enabled=True)
    place.look("2026-08-02 00:31:00")
    place.look("2026-08-02 00:32:00")
    assert place.archived == ["20260802"] * 2  # these days stay due: nothing is really sealed here
    for day in (DAY, NEXT_DAY):
        seal_day(place.sealer._root / f"{day}.db")
    place.look("2026-08-02 00:33:00")
    place.look("2026-08-02 00:34:00")
    assert place.archived == ["20260802"] * 2
    place.look("2026-08-03 10:00:00")
    assert place.archived == ["20260802"] * 2
    place.look("2026-08-03 17:00:00")
    assert place.archived == ["20260802"] * 2 + ["20260803"]
    other = make()
    other.look("2026-08-03 17:00:00")
    assert other.archived == []


def test_a_sealing_that_fails_stops_no_archiving_nor_the_other_way_round(make: Callable[..., Place]) -> None:
    """Each is tried again in an hour."""
    place = make(archive_enabled=True)
    place.is_well = place.archives_well = False
    assert place.look("2026-08-02 00:31:00")
    assert place.archived == ["20260802"]
    place.is_well = place.archives_well = True
    assert not place.look("2026-08-02 00:32:00")
    assert place.archived == ["20260802"]
    place.passed += RETRY_SEC
    assert place.look("2026-08-02 01:33:00")
    assert place.archived == ["20260802"] * 2


# ---- the process


def run_process(root: Path, before_day: str) -> subprocess.CompletedProcess[str]:
    """Run it to its end, with a recorder that stays."""
    asked = json.dumps({"data_root": str(root), "before_day": before_day, "quiet_sec": 0, "log_level": "INFO"})
    command = [sys.executable, "-m", "hk_tick_collector.seal", asked]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        out = process.stdout.read()
        return subprocess.CompletedProcess(command, process.wait(60), out)


def test_the_process_tells_each_day_in_a_line(tmp_path: Path) -> None:
    """What was sealed, and what could not be."""
    make_day(tmp_path, "20260730")
    tell_day(Scenario(tmp_path))
    (tmp_path / f"{NEXT_DAY}.db").write_bytes(b"no database" * 1000)
    done = run_process(tmp_path, "20260803")
    assert done.returncode == 0
    told = [json.loads(line) for line in done.stdout.splitlines()]
    assert [(one["day"], one.get("verdict")) for one in told] == [
        ("20260730", "UNPROVABLE"), (DAY, "COMPLETE"), (NEXT_DAY, None),
    ]  # fmt: skip
    assert told[2]["error"]


def test_the_process_leaves_another_one_alone(tmp_path: Path) -> None:
    """It ends with a code of its own, and has sealed nothing."""
    database = make_day(tmp_path)
    lock = hold_lock(tmp_path, SEAL_LOCK, 0)
    assert lock
    assert run_process(tmp_path, NEXT_DAY).returncode == BUSY
    assert not is_sealed(database)


def test_the_recorder_has_a_process_seal_and_tells_it(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """A line for each day that was tried: sealed, as a warning where it is not complete, or failed."""
    make_day(tmp_path, "20260730")
    tell_day(Scenario(tmp_path))
    (tmp_path / f"{NEXT_DAY}.db").write_bytes(b"no database" * 1000)
    sealer = Sealer(Settings(seal_delay_min=0), tmp_path, ClientState())
    capfd.readouterr()
    assert asyncio.run(sealer._seal("20260803", ["20260730", DAY, NEXT_DAY], 3600)) is False
    said = capfd.readouterr()
    lines = [line for line in (said.out + said.err).splitlines() if "seal" in line]
    assert [("info" in line, "warning" in line, "error" in line.split("]")[0]) for line in lines] == [
        (False, True, False), (True, False, False), (False, False, True),
    ]  # fmt: skip
    assert all(event in line for event, line in zip(("day_sealed", "day_sealed", "seal_failed"), lines, strict=True))


def test_a_recorder_that_stops_ends_the_sealing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The process is gone, and has left nothing false; the next one seals."""
    database = make_day(tmp_path)
    sealer = Sealer(Settings(seal_delay_min=0), tmp_path, ClientState())
    begin = asyncio.create_subprocess_exec

    async def run() -> int | None:
        begun: asyncio.Future[asyncio.subprocess.Process] = asyncio.get_running_loop().create_future()

        async def note(*args: Any, **kwargs: Any) -> asyncio.subprocess.Process:  # noqa: ANN401
            begun.set_result(await begin(*args, **kwargs))
            return begun.result()

        monkeypatch.setattr(asyncio, "create_subprocess_exec", note)
        task = asyncio.create_task(sealer._seal(NEXT_DAY, [DAY], 3600))
        process = await begun
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        return process.returncode

    assert asyncio.run(run()) == -signal.SIGKILL
    assert seal_day(database).certificate["rows"] == 10


def test_the_recorder_has_a_process_archive_and_tells_it(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """A line for each day: archived, or why not; and one that another process keeps from it is tried again."""
    for day in ("20260730", DAY):
        seal_day(make_day(tmp_path, day))
    (tmp_path / "archive" / "trading_day=2026-07-30").mkdir(parents=True)
    (tmp_path / "archive" / "trading_day=2026-07-30" / "theirs").write_bytes(b"")
    sealer = Sealer(Settings(archive_enabled=True, archive_keep_days=0), tmp_path, ClientState())
    capfd.readouterr()
    assert asyncio.run(sealer._archive(NEXT_DAY, 3600)) is False
    lines = [line for line in capfd.readouterr().out.splitlines() if "archive" in line]
    assert [("day_archived" in line, "archive_failed" in line) for line in lines] == [(False, True), (True, False)]
    assert not (tmp_path / f"{DAY}.db").exists()
    lock = hold_lock(tmp_path, SEAL_LOCK, 0)
    assert lock
    assert asyncio.run(sealer._archive(NEXT_DAY, 3600)) is False
