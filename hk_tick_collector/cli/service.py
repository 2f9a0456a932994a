"""Where the service on this machine records, as its systemd unit says.

Reads the unit, what was added to it with `systemctl edit`, and the files of settings that it names. Never writes, and
asks systemd nothing: a machine may have the unit's file and no running systemd.
"""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

from hk_tick_collector.store.data_root import data_root_in

if TYPE_CHECKING:
    from collections.abc import Iterator

UNIT: Final = Path("/etc/systemd/system/hk-tick-collector.service")

_DATA_ROOT: Final = "DATA_ROOT"


class Service(NamedTuple):
    """What is known of the service.

    Attributes:
        data_root: where it records; None: its unit and its settings don't say.
        unreadable: a file of its settings that this user may not read, so that `data_root` may be wrong.
    """

    data_root: Path | None
    unreadable: Path | None = None


def read_service(unit: Path | None = None) -> Service | None:
    """Where the installed service records; None: there is no such service on this machine."""
    unit = UNIT if unit is None else unit
    try:
        lines = list(_lines(unit))
        for more in sorted(unit.with_name(unit.name + ".d").glob("*.conf")):
            lines += _lines(more)
    except FileNotFoundError:
        return None
    except (OSError, ValueError):
        return Service(None, unit)
    root, directory = "", "/"
    files: list[str] = []
    for name, value in lines:
        if name == "Environment":
            root = _assigned(value, root)
        elif name == "EnvironmentFile":
            files = [*files, value.removeprefix("-")] if value else []
        elif name == "WorkingDirectory":
            directory = value.removeprefix("-") or "/"
    root, unreadable = _with_files(root, files)
    return Service(Path(directory) / root if root else None, unreadable)


def _with_files(root: str, files: list[str]) -> tuple[str, Path | None]:
    """DATA_ROOT once the files are read, which win over `Environment=`, the last one first; and an unreadable one."""
    unreadable = None
    for file in map(Path, files):
        try:
            root = data_root_in(file) or root
        except FileNotFoundError:
            continue
        except (OSError, ValueError):
            unreadable = file
    return root, unreadable


def _lines(file: Path) -> Iterator[tuple[str, str]]:
    """The settings of a unit's file, as name and value."""
    text = file.read_text(encoding="utf-8").replace("\\\n", " ")
    for line in text.splitlines():
        name, equals, value = line.partition("=")
        if equals and not name.lstrip().startswith(("#", ";")):
            yield name.strip(), value.strip()


def _assigned(value: str, before: str) -> str:
    """DATA_ROOT of an `Environment=` line, which may assign several variables; an empty line forgets all."""
    if not value:
        return ""
    try:
        words = shlex.split(value)
    except ValueError:  # a quote is open: systemd ignores the line, too
        return before
    for word in words:
        name, _, given = word.partition("=")
        before = given if name == _DATA_ROOT else before
    return before
