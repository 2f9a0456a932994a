"""What the supervisor is told, and when: sd_notify(3), a datagram of `NAME=value` lines.

Owns the socket, and the rule that nothing is told without proof: READY only once recording, and a sign of life only
while every part lives. Never waits, and never fails: a supervisor that does not listen is no reason to stop recording.
Without NOTIFY_SOCKET, which is to say without systemd, nothing is sent.
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

FAULT_AGAIN_SEC = 30.0  # how often a fault that lasts is told

STEP_SEC = 1.0
STATUS_SEC = 2.0
# While OpenD is waited for, which may be for days: asked for so long, that often. systemd's own limit is for a start
# that hangs, and that one gives no sign of life.
EXTEND_SEC = 30.0
EXTEND_EVERY_SEC = 5.0
SIGNS_IN_TIME = 3  # signs of life within the time that systemd allows, as sd_watchdog_enabled(3) advises
STATUS_MAX = 300  # characters; `systemctl status` shows one line


class Notifier:
    """The way to the supervisor.

    Attributes:
        watchdog_sec: it wants a sign of life so often, or ends us; None: it does not look.
    """

    def __init__(self, address: str | None = None, watchdog_sec: float | None = None) -> None:
        """To a socket's path, or to an abstract one, which begins with `@`; None: to nobody."""
        self._address = f"\0{address[1:]}" if address and address.startswith("@") else address
        self.watchdog_sec = watchdog_sec if address else None

    @classmethod
    def from_environ(cls, environ: Mapping[str, str] | None = None) -> Self:
        """By systemd's own variables: NOTIFY_SOCKET, WATCHDOG_USEC and WATCHDOG_PID."""
        env = os.environ if environ is None else environ
        usec, pid = env.get("WATCHDOG_USEC", ""), env.get("WATCHDOG_PID", "")
        is_for_us = usec.isdecimal() and int(usec) > 0 and pid in {"", str(os.getpid())}
        return cls(env.get("NOTIFY_SOCKET") or None, int(usec) / 1e6 if is_for_us else None)

    def ready(self, status: str) -> bool:
        """The start is over: what this service is for goes on from now. False: it could not be told now."""
        return self._send("READY=1", _status(status))

    def status(self, text: str) -> None:
        """One line for people."""
        self._send(_status(text))

    def watchdog(self) -> None:
        """A sign of life."""
        self._send("WATCHDOG=1")

    def extend_timeout(self, sec: float) -> None:
        """Starting (or stopping) takes longer: give it so much time from now on."""
        self._send(f"EXTEND_TIMEOUT_USEC={int(sec * 1e6)}")

    def stopping(self) -> None:
        """The end has begun."""
        self._send("STOPPING=1")

    def _send(self, *lines: str) -> bool:
        """Whether it has reached the socket, which may be full or gone; all but READY is said again soon."""
        if self._address is None:
            return True
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK) as to:
                to.sendto("\n".join(lines).encode(), self._address)
        except OSError:
            return False
        return True


def _status(text: str) -> str:
    """OpenD's own words may be in it: one line, whatever they are."""
    return "STATUS=" + "".join(c if c.isprintable() else " " for c in text)[:STATUS_MAX]


class SystemdReporter:
    """Tells the supervisor how the recorder is, step by step."""

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
            notifier: where to.
            fault: which part does not live, in words; None: all do.
            is_recording: whether it does what it is for.
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
        """Step for ever."""
        pause_sec = min(STEP_SEC, self._sign_sec / 2) if self._sign_sec else STEP_SEC
        while True:
            self.step()
            await asyncio.sleep(pause_sec)

    def step(self) -> None:
        """Tell what is due. Whoever calls this proves that the event loop runs."""
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
