"""A `systemctl` that knows one unit, for those who ask systemd."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from hk_tick_collector.status import machine

if TYPE_CHECKING:
    from pathlib import Path

    import pytest


def put_systemctl(place: Path, data_root: Path, monkeypatch: pytest.MonkeyPatch, **changes: str) -> None:
    """Put one on the PATH whose unit records to that DATA_ROOT, with some properties changed."""
    monkeypatch.setattr(machine, "STATE_DIRECTORIES", data_root.parent)
    told = {"LoadState": "loaded", "StateDirectory": data_root.name, "ExecMainStatus": "0", "ActiveState": "inactive"}
    lines = "\n".join(f"{name}={value}" for name, value in {**told, **changes}.items())
    put_program(place, "systemctl", f"{lines}\n", monkeypatch)


def put_program(place: Path, name: str, said: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Put a program on the PATH that says this, whatever it is asked."""
    script = place / "bin" / name
    script.parent.mkdir(exist_ok=True)
    script.write_text(f"#!/bin/sh\ncat <<'END'\n{said}END\n")
    script.chmod(0o755)
    monkeypatch.setenv("PATH", f"{script.parent}:{os.environ['PATH']}")
