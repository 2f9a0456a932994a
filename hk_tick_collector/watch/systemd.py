"""Notifications to the supervisor: sd_notify(3), a datagram of `NAME=value` lines.

Owns the socket, and the rule that nothing is sent without proof: READY only once recording, and a sign of life only
while every part is alive. Never waits, and never fails: a supervisor that does not listen must not stop the recording.
Without NOTIFY_SOCKET, that is without systemd, nothing is sent.
"""

from __future__ import annotations

import asyncio
import os
import socket
from typing import TYPE_CHECKING, Self

from hk_tick_collector import logs

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

log = logs.get_logger()

FAULT_AGAIN_SEC = 30.0  # how often a fault that lasts is logged

STEP_SEC = 1.0
STATUS_SEC = 2.0
# While it waits for OpenD, perhaps for days, the recorder asks for EXTEND_SEC more every EXTEND_EVERY_SEC. systemd's
# own limit is for a start that hangs, and such a start asks for nothing.
EXTEND_SEC = 30.0
EXTEND_EVERY_SEC = 5.0
SIGNS_IN_TIME = 3  # signs of life within the time that systemd allows, as sd_watchdog_enabled(3) advises
STATUS_MAX = 500  # characters: a trouble with its cause and its cure. `systemctl status` shows one line


class Notifier:
    """The connection to the supervisor.

    Attributes:
        watchdog_sec: the supervisor ends the process that sends no sign of life for this time; None: it never does.
    """

    def __init__(self, address: str | None = None, watchdog_sec: float | None = None) -> None:
        """`address` is a socket's path, or an abstract name, which begins with `@`; None: nothing is sent."""
        self._address = f"\0{address[1:]}" if address and address.startswith("@") else address
        self.watchdog_sec = watchdog_sec if address else None

    @classmethod
    def from_environ(cls, environ: Mapping[str, str] | None = None) -> Self:
        """From systemd's own variables: NOTIFY_SOCKET, WATCHDOG_USEC and WATCHDOG_PID."""
        env = os.environ if environ is None else environ
        usec, pid = env.get("WATCHDOG_USEC", ""), env.get("WATCHDOG_PID", "")
        is_for_us = usec.isdecimal() and int(usec) > 0 and pid in {"", str(os.getpid())}
        return cls(env.get("NOTIFY_SOCKET") or None, int(usec) / 1e6 if is_for_us else None)

    def ready(self, status: str) -> bool:
        """The start is over: the service does its work from now on. False: this could not be sent."""
        return self._send("READY=1", _status(status))

    def status(self, text: str) -> None:
        """One line for people."""
        self._send(_status(text))

    def watchdog(self) -> None:
        """A sign of life."""
        self._send("WATCHDOG=1")

    def extend_timeout(self, sec: float) -> None:
        """Starting (or stopping) takes longer: allow `sec` more, counted from now."""
        self._send(f"EXTEND_TIMEOUT_USEC={int(sec * 1e6)}")

    def stopping(self) -> None:
        """The service is stopping."""
        self._send("STOPPING=1")

    def _send(self, *lines: str) -> bool:
        """Send lines. Returns whether they have reached the socket, which may be full or gone."""
        if self._address is None:
            return True
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK) as to:
                to.sendto("\n".join(lines).encode(), self._address)
        except OSError:
            return False
        return True


def _status(text: str) -> str:
    """The status as one line, whatever it holds: OpenD's own words may be in it."""
    return "STATUS=" + "".join(c if c.isprintable() else " " for c in text)[:STATUS_MAX]


class SystemdReporter:
    """Reports the recorder's state to the supervisor, step by step."""

    def __init__(
        self,
        notifier: Notifier,
        *,
        fault: Callable[[], str | None],
        is_recording: Callable[[], bool],
        status: Callable[[], str],
        clock: Callable[[], float],
    ) -> None:
        """Nothing is sent yet.

        Args:
            notifier: sends the reports.
            fault: which part is not alive, in words; None: all are.
            is_recording: whether the recorder is recording.
            status: the line for people.
            clock: monotonic seconds.
        """
        self._notifier = notifier
        self._fault = fault
        self._is_recording = is_recording
        self._status = status
        self._clock = clock
        self._is_ready = False
        self._limiter = logs.Limiter(FAULT_AGAIN_SEC, clock)
        self._next = dict.fromkeys(("watchdog", "extend", "status"), clock())
        allowed_sec = notifier.watchdog_sec
        self._sign_sec = allowed_sec / SIGNS_IN_TIME if allowed_sec else None

    async def run(self) -> None:
        """Call `step` for ever."""
        pause_sec = min(STEP_SEC, self._sign_sec / 2) if self._sign_sec else STEP_SEC
        while True:
            self.step()
            await asyncio.sleep(pause_sec)

    def step(self) -> None:
        """Send what is due. The call itself proves that the event loop runs."""
        fault = self._fault()
        if fault is not None and (held := self._limiter.allow("liveness_lost")) is not None:
            log.error("liveness_lost", reason=fault, repeated=held)
        if not self._is_ready and fault is None and self._is_recording():
            self._is_ready = self._notifier.ready(self._status())
        elif self._is_due("status", STATUS_SEC):
            self._notifier.status(fault or self._status())
        if fault is not None:
            return
        if not self._is_ready:
            if self._is_due("extend", EXTEND_EVERY_SEC):
                self._notifier.extend_timeout(EXTEND_SEC)
        elif self._sign_sec is not None and self._is_due("watchdog", self._sign_sec):
            self._notifier.watchdog()

    def _is_due(self, what: str, every_sec: float) -> bool:
        now = self._clock()
        if now < self._next[what]:
            return False
        self._next[what] = now + every_sec
        return True
