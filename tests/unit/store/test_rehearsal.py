"""A rehearsal's clock and its mark in DATA_ROOT."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Final

import pytest

from hk_tick_collector import clock
from hk_tick_collector.errors import ConfigError
from hk_tick_collector.hktime import parse_time
from hk_tick_collector.store import rehearsal
from hk_tick_collector.store.rehearsal import Anchor, RehearsalClock, Rehearsed, boot_id

if TYPE_CHECKING:
    from pathlib import Path

NINE_MS: Final = parse_time("2026-11-20 09:00:00").ms


@pytest.fixture(autouse=True)
def _own_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """This process goes by the host's clock again afterwards."""
    monkeypatch.setattr(clock, "_rehearsal", None)


def day(*anchors: Anchor, is_over: bool = False, of_boot: str | None = None, offset_ms: int = 0) -> Rehearsed:
    """A clock of Friday."""
    return Rehearsed(
        date="20261120",
        host="127.0.0.1",
        port=11111,
        symbols=("HK.00700",),
        speed=20.0,
        boot_id=boot_id() if of_boot is None else of_boot,
        offset_ms=offset_ms,
        is_over=is_over,
        anchors=anchors or (Anchor(clock.boot_ms(), NINE_MS, 0.0),),
    )


def write(directory: Path, rehearsed: Rehearsed) -> Path:
    """Its file."""
    path = directory / "clock.json"
    rehearsed.write(path)
    return path


def test_a_clock_that_is_read_back_is_the_one_that_was_written(tmp_path: Path) -> None:
    """With all of its anchors; nothing else is left in the directory."""
    told = day(Anchor(5, NINE_MS, 20.0), Anchor(1005, NINE_MS + 20_000, 1.0))
    assert Rehearsed.read(write(tmp_path, told)) == told
    assert [told.now_ms(ms) - NINE_MS for ms in (5, 1004, 1005, 2005)] == [0, 19_980, 20_000, 21_000]
    assert [path.name for path in tmp_path.iterdir()] == ["clock.json"]


def test_the_clock_of_another_days_simulation_is_not_followed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A second `simulate` in the same directory writes the same file; the one that was begun goes on as it went."""
    path = write(tmp_path, day())
    found = RehearsalClock(path)
    now_ms = clock.boot_ms()
    monkeypatch.setattr(clock, "boot_ms", lambda: now_ms + 1000)
    day(Anchor(0, NINE_MS - 5 * 86_400_000, 0.0))._replace(date="20261115").write(path)
    assert found.now_ms() == NINE_MS
    monkeypatch.setattr(clock, "boot_ms", lambda: now_ms + 2000)
    day(Anchor(0, NINE_MS + 60_000, 0.0)).write(path)
    assert found.now_ms() == NINE_MS + 60_000


def test_a_process_that_follows_a_rehearsal_has_its_time(tmp_path: Path) -> None:
    """Also after the simulator has changed its speed; and a time that passed is told in real milliseconds."""
    path = write(tmp_path, day(Anchor(0, NINE_MS, 0.0)))
    follower = RehearsalClock(path)
    clock.follow(follower)
    assert clock.wall_ms() == NINE_MS
    assert clock.real_ms(100) == 100
    told = [clock.HostClock().now_ms()]
    day(Anchor(clock.boot_ms(), NINE_MS + 60_000, 50.0)).write(path)
    follower._looked_ms -= rehearsal.LOOK_EVERY_MS
    assert clock.wall_ms() >= NINE_MS + 60_000 > told[0]
    assert clock.real_ms(100) == 2


def test_a_rehearsal_s_clock_is_never_set(tmp_path: Path) -> None:
    """At high speed the two clocks that a step is seen by are an hour apart within a second: nothing is stepped."""
    clock.follow(RehearsalClock(write(tmp_path, day(Anchor(clock.boot_ms(), NINE_MS, 1_000_000.0)))))
    steps: list[int] = []
    host = clock.HostClock()
    host.on_step = steps.append
    before_ms = clock.boot_ms()
    while clock.boot_ms() < before_ms + 5:
        host.now_ms()
    assert host.now_ms() > NINE_MS + 1_000_000
    assert steps == []


def test_after_the_machine_was_started_again_the_host_s_clock_counts_on(tmp_path: Path) -> None:
    """The machine's own clock has begun anew then, and says nothing of the anchors."""
    host_ms = clock.host_ms()
    told = RehearsalClock(write(tmp_path, day(of_boot="another", offset_ms=-1000))).now_ms()
    assert -1000 <= told - host_ms < 10_000


@pytest.mark.parametrize(
    "text",
    ["", "[]", "{}", '{"date": "20261120"}', "no json", '{"anchors": [[1, 2]], "symbols": []}'],
)
def test_what_is_no_clock_is_one_line(tmp_path: Path, text: str) -> None:
    """It names the file, and what was expected."""
    path = tmp_path / "clock.json"
    path.write_text(text)
    with pytest.raises(ConfigError, match=r"clock\.json is not a rehearsal's clock: expected the file that"):
        Rehearsed.read(path)
    with pytest.raises(ConfigError, match=r"can't read the rehearsal's clock .*absent: No such file"):
        Rehearsed.read(tmp_path / "absent")


def test_real_days_and_rehearsed_ones_are_never_mixed(tmp_path: Path) -> None:
    """Neither a rehearsal into recorded days, nor a recording, nor another day's rehearsal, into a rehearsal."""
    path = write(tmp_path, day())
    real, mine = tmp_path / "real", tmp_path / "mine"
    for root in (real, mine):
        root.mkdir()
    (real / "20261119.db").touch()
    with pytest.raises(ConfigError, match=r"real has recorded days, and a rehearsal must not be mixed with them"):
        rehearsal.begin(real, path)
    rehearsal.refuse(real)
    assert rehearsal.begin(mine, path).port == 11111
    assert clock.wall_ms() == NINE_MS
    (mine / "20261120.db").touch()
    rehearsal.begin(mine, path)
    with pytest.raises(ConfigError, match=r"mine is a rehearsal's \(rehearsal\.json is in it\): pass --rehearse"):
        rehearsal.refuse(mine)
    day()._replace(date="20261123").write(path)
    with pytest.raises(ConfigError, match="has a rehearsal of 20261120, and this one is of 20261123"):
        rehearsal.begin(mine, path)


def test_commands_follow_a_rehearsal_by_its_data_root(tmp_path: Path) -> None:
    """As long as its clock file is there; then they go by the host's clock."""
    path = write(tmp_path, day())
    rehearsal.begin(tmp_path, path)
    clock._rehearsal = None
    rehearsal.follow(tmp_path)
    assert clock.wall_ms() == NINE_MS
    clock._rehearsal = None
    day()._replace(date="20261123").write(path)
    rehearsal.follow(tmp_path)
    assert clock._rehearsal is None
    path.unlink()
    rehearsal.follow(tmp_path)
    assert abs(clock.wall_ms() - clock.host_ms()) < 1000
    assert rehearsal.over_ms(tmp_path) is None


def test_a_rehearsed_day_is_over_when_its_simulator_has_ended(tmp_path: Path) -> None:
    """Until then it is not, whatever the hour; a real DATA_ROOT has no such day."""
    path = write(tmp_path, day())
    assert rehearsal.over_ms(tmp_path) is None
    rehearsal.begin(tmp_path, path)
    assert rehearsal.over_ms(tmp_path) is None
    day(is_over=True).write(path)
    assert rehearsal.over_ms(tmp_path) == parse_time("2026-11-21 00:00:00").ms


def test_a_damaged_mark_is_one_line(tmp_path: Path) -> None:
    """It is not taken for a real DATA_ROOT's."""
    (tmp_path / rehearsal.MARKER).write_text(json.dumps("x"))
    with pytest.raises(ConfigError, match=r"rehearsal\.json can't be read: expected what `run --rehearse` writes"):
        rehearsal.follow(tmp_path)


def test_a_marker_names_its_clock(tmp_path: Path) -> None:
    """Even if the file is gone; a directory without a marker names none."""
    assert rehearsal.clock_of(tmp_path) is None
    (tmp_path / rehearsal.MARKER).write_text("{}")
    assert rehearsal.clock_of(tmp_path) is None
    (tmp_path / rehearsal.MARKER).write_text(json.dumps({"date": "20261120", "clock": "/srv/clock.json"}))
    assert str(rehearsal.clock_of(tmp_path)) == "/srv/clock.json"
