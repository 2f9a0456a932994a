"""What systemd is told: real datagrams on a real socket, and each only with its proof."""

from __future__ import annotations

import contextlib
import os
import socket
from typing import TYPE_CHECKING

import pytest
from support.kept_log import keep_log

from hk_tick_collector.watch import systemd as systemd_module
from hk_tick_collector.watch.systemd import EXTEND_EVERY_SEC, STATUS_SEC, Notifier, SystemdReporter

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


class Supervisor:
    """The other end."""

    def __init__(self, address: str) -> None:
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(address)
        self._messages: list[str] = []
        self.socket.settimeout(0)

    def heard(self) -> list[str]:
        """Every message since the last time."""
        self.drain()
        messages, self._messages = self._messages, []
        return messages

    def drain(self) -> None:
        """Read what there is, as systemd does at once: a socket holds few messages."""
        with contextlib.suppress(BlockingIOError):
            while True:
                self._messages.append(self.socket.recv(4096).decode())


@pytest.fixture
def supervisor(tmp_path: Path) -> Iterator[Supervisor]:
    """One that listens on `notify`."""
    made = Supervisor(str(tmp_path / "notify"))
    yield made
    made.socket.close()


def notifier_of(tmp_path: Path, **env: str) -> Notifier:
    """As systemd would have it."""
    return Notifier.from_environ({"NOTIFY_SOCKET": str(tmp_path / "notify"), **env})


def fill(tmp_path: Path) -> None:
    """Send until it takes no more: ten messages here, and 512 where systemd has raised net.unix.max_dgram_qlen.

    Each from a socket of its own, as a notifier's are: one alone would first be stopped by its own send buffer.
    """
    while True:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK) as to:
            try:
                to.sendto(b"WATCHDOG=1", str(tmp_path / "notify"))
            except BlockingIOError:
                return


def test_each_message_is_as_sd_notify_has_it(tmp_path: Path, supervisor: Supervisor) -> None:
    """Names, values and units of sd_notify(3)."""
    notifier = notifier_of(tmp_path)
    notifier.ready("recording 3 symbols")
    notifier.status("all is well")
    notifier.watchdog()
    notifier.extend_timeout(30)
    notifier.stopping()
    assert supervisor.heard() == [
        "READY=1\nSTATUS=recording 3 symbols",
        "STATUS=all is well",
        "WATCHDOG=1",
        "EXTEND_TIMEOUT_USEC=30000000",
        "STOPPING=1",
    ]


def test_a_status_is_one_line_whatever_opend_has_said(tmp_path: Path, supervisor: Supervisor) -> None:
    """Its words can't smuggle in a message, nor fill a screen."""
    notifier_of(tmp_path).status("refused:\nREADY=1\x1b[2J" + "x" * 1000)
    (message,) = supervisor.heard()
    assert message.startswith("STATUS=refused: READY=1 [2Jxxx")
    assert "\n" not in message
    assert len(message) < 600


def test_an_abstract_socket_is_found() -> None:
    """Its name begins with @ in the environment, and with a zero on the wire."""
    name = f"hk-tick-collector-test-{os.getpid()}"
    made = Supervisor(f"\0{name}")
    Notifier.from_environ({"NOTIFY_SOCKET": f"@{name}"}).watchdog()
    assert made.heard() == ["WATCHDOG=1"]
    made.socket.close()


@pytest.mark.parametrize("env", [{}, {"NOTIFY_SOCKET": ""}, {"NOTIFY_SOCKET": "/nowhere/at/all"}])
def test_nobody_who_listens_is_no_error(env: dict[str, str]) -> None:
    """Without systemd, or with one that is gone, every call does nothing."""
    notifier = Notifier.from_environ(env)
    notifier.ready("")
    notifier.status("")
    notifier.watchdog()
    notifier.extend_timeout(1)
    notifier.stopping()


def test_a_supervisor_that_does_not_read_is_not_waited_for(tmp_path: Path, supervisor: Supervisor) -> None:
    """When its socket is full, messages are dropped."""
    notifier = notifier_of(tmp_path)
    for _ in range(10_000):
        notifier.watchdog()
    assert 0 < len(supervisor.heard()) < 10_000


@pytest.mark.parametrize(
    ("env", "expected"),
    [
        ({"WATCHDOG_USEC": "30000000"}, 30.0),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": str(os.getpid())}, 30.0),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "1"}, None),
        ({"WATCHDOG_USEC": "0"}, None),
        ({"WATCHDOG_USEC": "soon"}, None),
        ({}, None),
    ],
)
def test_the_watchdogs_time_is_the_one_for_this_process(
    tmp_path: Path, env: dict[str, str], expected: float | None
) -> None:
    """Given by systemd, and only if it is meant for us."""
    assert notifier_of(tmp_path, **env).watchdog_sec == expected


def test_without_a_socket_there_is_no_watchdog() -> None:
    """Nobody could hear the signs."""
    assert Notifier.from_environ({"WATCHDOG_USEC": "30000000"}).watchdog_sec is None


class Scene:
    """A recorder as a test says, and the herald that tells of it."""

    def __init__(self, notifier: Notifier, supervisor: Supervisor) -> None:
        self.now = 0.0
        self._supervisor = supervisor
        self.fault: str | None = None
        self.recording = False
        self.herald = SystemdReporter(
            notifier,
            fault=lambda: self.fault,
            is_recording=lambda: self.recording,
            status=lambda: "recording" if self.recording else "waiting",
            clock=lambda: self.now,
        )

    def go(self, sec: float) -> None:
        """Step each second for so long."""
        for _ in range(int(sec)):
            self.herald.step()
            self._supervisor.drain()
            self.now += 1


@pytest.fixture
def scene(tmp_path: Path, supervisor: Supervisor) -> Scene:
    """Under a systemd that wants a sign of life each 30 s."""
    assert supervisor.heard() == []
    return Scene(notifier_of(tmp_path, WATCHDOG_USEC="30000000"), supervisor)


def count(messages: list[str], start: str) -> int:
    """How many begin so."""
    return sum(message.startswith(start) for message in messages)


def test_ready_is_told_once_and_only_when_recording(scene: Scene, supervisor: Supervisor) -> None:
    """While OpenD is waited for, more time is asked for, and the status says what for."""
    scene.go(600)
    waiting = supervisor.heard()
    assert count(waiting, "READY=1") == count(waiting, "WATCHDOG=1") == 0
    assert count(waiting, "EXTEND_TIMEOUT_USEC=30000000") == 600 / EXTEND_EVERY_SEC
    assert count(waiting, "STATUS=waiting") == 600 / STATUS_SEC
    scene.recording = True
    scene.go(10)
    assert supervisor.heard()[0] == "READY=1\nSTATUS=recording"
    scene.recording = False  # a lost connection does not make a service unready
    scene.go(100)
    scene.recording = True
    scene.go(100)
    later = supervisor.heard()
    assert count(later, "READY=1") == count(later, "EXTEND") == 0
    assert "STATUS=waiting" in later
    assert count(later, "WATCHDOG=1") == 20


def test_ready_is_told_again_until_it_has_come_through(
    tmp_path: Path, supervisor: Supervisor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A socket that is full just then must not leave a service that is never ready."""
    fill(tmp_path)
    scene = Scene(notifier_of(tmp_path), supervisor)
    scene.recording = True
    monkeypatch.setattr(supervisor, "drain", lambda: None)
    scene.go(5)
    monkeypatch.undo()
    assert count(supervisor.heard(), "READY=1") == 0
    scene.go(5)
    assert count(supervisor.heard(), "READY=1") == 1


def test_a_sign_of_life_comes_at_a_third_of_the_time(scene: Scene, supervisor: Supervisor) -> None:
    """As sd_watchdog_enabled(3) advises, so that one may be lost."""
    scene.recording = True
    scene.go(300)
    assert count(supervisor.heard(), "WATCHDOG=1") == 30


def test_no_sign_of_life_without_proof(scene: Scene, supervisor: Supervisor, monkeypatch: pytest.MonkeyPatch) -> None:
    """A part that stands still is named in the status, and in the log each half minute; then the signs go on."""
    log = keep_log(systemd_module, monkeypatch)
    scene.recording = True
    scene.go(20)
    supervisor.heard()
    for sec in range(25):
        scene.fault = f"the journal hangs since {sec} s"
        scene.go(1)
    silent = supervisor.heard()
    assert all(word.startswith("STATUS=the journal hangs") for word in silent)
    assert log.lines == [("liveness_lost", {"reason": "the journal hangs since 0 s", "repeated": 0})]
    scene.go(10)
    assert len(log.lines) == 2
    assert log.lines[1][1]["repeated"] != 0, "how often it was held back is told"
    supervisor.heard()
    scene.fault = None
    scene.go(20)
    assert count(supervisor.heard(), "WATCHDOG=1") >= 2


def test_a_start_that_hangs_gets_no_more_time(scene: Scene, supervisor: Supervisor) -> None:
    """The limit that systemd has for a start is for a start is for just that; and one with a fault is not ready."""
    scene.fault = "the journal hangs"
    scene.recording = True
    scene.go(100)
    told = supervisor.heard()
    assert count(told, "EXTEND") == count(told, "READY") == 0


def test_without_a_watchdog_no_sign_is_given(tmp_path: Path, supervisor: Supervisor) -> None:
    """A unit without WatchdogSec gets status and readiness alone."""
    scene = Scene(notifier_of(tmp_path), supervisor)
    scene.recording = True
    scene.go(100)
    told = supervisor.heard()
    assert count(told, "READY=1") == 1
    assert count(told, "WATCHDOG=1") == 0
