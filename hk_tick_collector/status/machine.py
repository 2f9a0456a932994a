"""How the recorder is started on this machine: by systemd, if its unit records to that DATA_ROOT, else by hand.

A rehearsal is always started by hand, with its clock. Owns the questions to systemd. Never changes anything; without
systemd, or if it does not answer, the answer is `run`.
"""

from __future__ import annotations

import contextlib
import re
import shlex
import shutil
import subprocess
from pathlib import Path
from typing import Final

from hk_tick_collector.clock import host_ms, is_rehearsal
from hk_tick_collector.errors import ConfigError
from hk_tick_collector.status.health import Machine
from hk_tick_collector.store.data_root import STATE_NAME, data_root_in
from hk_tick_collector.store.rehearsal import clock_of

UNIT: Final = "hk-tick-collector.service"
ANSWER_SEC: Final = 3.0
STATE_DIRECTORIES: Final = Path("/var/lib")
_REFUSED: Final = "2"  # the recorder's exit code for a wrong setting
_LINES: Final = 30  # of the log: systemd's own lines come after the recorder's
_REFUSAL: Final = re.compile(r"^hk-tick-collector: (?P<line>.+)$|^.* config_error error=(?P<field>.+)$", re.MULTILINE)
_ASKED: Final = (
    "LoadState", "StateDirectory", "ExecMainStatus", "ActiveState", "Environment", "EnvironmentFiles",
    "WorkingDirectory",
)  # fmt: skip
_DATA_ROOT: Final = "DATA_ROOT"


def machine_of(data_root: Path, unit: str = UNIT) -> Machine:
    """What systemd knows of the unit that records to this DATA_ROOT.

    Args:
        data_root: the directory that is looked at.
        unit: the recorder's unit.
    """
    root = data_root.absolute()
    by_hand = f"--data-root {shlex.quote(str(root))}`"
    with contextlib.suppress(ConfigError):  # a damaged marker: `run` names it
        clock = clock_of(root)
        if clock is not None:
            return Machine(f"`hk-tick-collector run --rehearse {shlex.quote(str(clock))} {by_hand}")
    shown = _ask(unit)
    told = dict(shown)
    if told.get("LoadState") != "loaded" or not _records_to(root, shown):
        return Machine(f"`hk-tick-collector run {by_hand}")
    active = told.get("ActiveState")
    is_refused = active == "failed" and told.get("ExecMainStatus") == _REFUSED
    return Machine(
        f"`systemctl start {shlex.quote(unit.removesuffix('.service'))}`",
        is_refused=is_refused,
        refusal=_refusal(unit) if is_refused else "",
        is_starting=active in {"active", "activating"},
    )


def report_age_sec(data_root: Path) -> float | None:
    """How old a rehearsal's report is, in real seconds; None: this is no rehearsal, and the report's own time says it.

    Between two reports, minutes of the simulated day may pass.
    """
    if not is_rehearsal():
        return None
    try:
        written_ms = (data_root / STATE_NAME).stat().st_mtime_ns // 1_000_000
    except OSError:
        return None
    return max(0, host_ms() - written_ms) / 1000


def _records_to(root: Path, shown: list[tuple[str, str]]) -> bool:
    """Whether a unit records to that directory: by its DATA_ROOT; if that is not known, by its state directories."""
    told = dict(shown)
    named = _named(told.get("Environment", ""))
    is_known = True
    for name, value in shown:
        if name == "EnvironmentFiles":
            try:
                named = data_root_in(Path(value.rpartition(" (ignore_errors=")[0] or value)) or named
            except FileNotFoundError:
                continue
            except (OSError, ValueError):  # only root may read it, most often: it may name another directory
                is_known = False
    directory = told.get("WorkingDirectory", "").removeprefix("!") or "/"
    if named and (Path(directory) / named).resolve() == root.resolve():
        return True
    places = [STATE_DIRECTORIES / name for name in told.get("StateDirectory", "").split()]
    return not (named and is_known) and any(root.is_relative_to(place) for place in places)


def _named(environment: str) -> str:
    """DATA_ROOT in a unit's `Environment`; empty: it is not there."""
    try:
        words = shlex.split(environment)
    except ValueError:
        return ""
    found = [word.partition("=")[2] for word in words if word.startswith(f"{_DATA_ROOT}=")]
    return found[-1] if found else ""


def _ask(unit: str) -> list[tuple[str, str]]:
    """The unit's properties; one that is a list, such as `EnvironmentFiles`, comes several times."""
    told = _told("systemctl", "show", *(f"--property={name}" for name in _ASKED), "--", unit)
    parts = (line.partition("=") for line in told.splitlines())
    return [(name, value) for name, equals, value in parts if equals]


def _refusal(unit: str) -> str:
    """The line with which the recorder refused to start; empty: this user may not read the log, or it is not there."""
    told = _told("journalctl", "--no-pager", "--output=cat", f"--lines={_LINES}", f"--unit={unit}")
    found = list(_REFUSAL.finditer(told))
    return (found[-1]["line"] or found[-1]["field"].strip('"')) if found else ""


def _told(program: str, *arguments: str) -> str:
    """What a program of systemd says; empty: it is not there, or does not answer."""
    path = shutil.which(program)
    if path is None:
        return ""
    try:
        shown = subprocess.run(  # noqa: S603 - no shell, and the unit is one argument
            [path, *arguments], capture_output=True, text=True, timeout=ANSWER_SEC, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return shown.stdout
