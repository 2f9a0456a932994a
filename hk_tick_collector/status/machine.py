"""How the recorder is started on this machine: by systemd, if its unit records to that DATA_ROOT, else by hand.

Owns the questions to systemd. Never changes anything; without systemd, or if it does not answer, the answer is `run`.
"""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import Final

from hk_tick_collector.status.health import Machine

UNIT: Final = "hk-tick-collector.service"
ANSWER_SEC: Final = 3.0
STATE_DIRECTORIES: Final = Path("/var/lib")
_REFUSED: Final = "2"  # the recorder's exit code for a wrong setting
_ASKED: Final = ("LoadState", "StateDirectory", "ExecMainStatus", "ActiveState")


def machine_of(data_root: Path, unit: str = UNIT) -> Machine:
    """What systemd knows of the unit that records to this DATA_ROOT.

    Args:
        data_root: the directory that is looked at.
        unit: the recorder's unit.
    """
    told = _ask(unit)
    places = [STATE_DIRECTORIES / name for name in told.get("StateDirectory", "").split()]
    root = data_root.absolute()
    if told.get("LoadState") != "loaded" or not any(root.is_relative_to(place) for place in places):
        return Machine(f"`hk-tick-collector run --data-root {root}`")
    active = told.get("ActiveState")
    return Machine(
        f"`systemctl start {unit.removesuffix('.service')}`",
        is_refused=active == "failed" and told.get("ExecMainStatus") == _REFUSED,
        is_starting=active in {"active", "activating"},
    )


def _ask(unit: str) -> dict[str, str]:
    systemctl = shutil.which("systemctl")
    if systemctl is None:
        return {}
    try:
        shown = subprocess.run(  # noqa: S603 - no shell, and the unit is one argument
            [systemctl, "show", *(f"--property={name}" for name in _ASKED), "--", unit],
            capture_output=True, text=True, timeout=ANSWER_SEC, check=False,
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired):
        return {}
    return dict(line.split("=", 1) for line in shown.stdout.splitlines() if "=" in line)
