"""A port for who must know it before somebody listens on it."""

from __future__ import annotations

import contextlib
import secrets
import socket

LOOPBACK = "127.0.0.1"
_FIRST, _LAST = 20_000, 32_000  # below those that the system gives to whoever asks for any


def free_port() -> int:
    """A port that is free now, and that no test beside this one is given by the system meanwhile."""
    while True:
        port = _FIRST + secrets.randbelow(_LAST - _FIRST)
        with socket.socket() as sock, contextlib.suppress(OSError):
            sock.bind((LOOPBACK, port))
            return port
