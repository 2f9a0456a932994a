"""Which DATA_ROOT a command works on.

Owns how `--data-root`, `--config`, `--env-file` and the installed service give one directory, and the error if it can't
be read.
"""

from __future__ import annotations

import os
import stat
import sys
from typing import TYPE_CHECKING, Final

from hk_tick_collector.cli.service import read_service
from hk_tick_collector.config import load_settings
from hk_tick_collector.errors import ConfigError
from hk_tick_collector.store import rehearsal

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

_CURE: Final = "pass --data-root DIRECTORY, or set DATA_ROOT"


def data_root_of(data_root: str | None, config: Path | None, env_file: Path | None) -> Path:
    """The DATA_ROOT to read, checked to be a directory that this user can read.

    If none is set and there is no `./data`, it is the one of the service that is installed on this machine; standard
    error then says so.

    Args:
        data_root: the command's own DATA_ROOT; None: not given.
        config: see `load_settings`.
        env_file: see `load_settings`.

    Raises:
        ConfigError: it is not such a directory, or see `load_settings`.
    """
    root = find_data_root(data_root, config, env_file, _announce)
    if fault := _fault_of(root):
        raise ConfigError(fault)
    rehearsal.follow(root)
    return root


def find_data_root(
    data_root: str | None, config: Path | None, env_file: Path | None, announce: Callable[[str], None]
) -> Path:
    """The same without a check; `announce` gets the line about the service."""
    overrides = {"DATA_ROOT": data_root} if data_root else {}
    loaded = load_settings(config_path=config, env_file=env_file, overrides=overrides)
    root = loaded.settings.data_root
    if loaded.origins["DATA_ROOT"] != "default" or _exists(root):
        return root
    service = read_service()
    if service is None:
        return root
    if service.unreadable is not None:
        maybe = service.data_root or "DIRECTORY"
        raise ConfigError(
            f"no recordings in {_whole(root)}, and where the service on this machine records is in "
            f"{service.unreadable}, which this user can't read: pass --data-root {maybe}, or run it with sudo"
        )
    if service.data_root is None:
        return root
    announce(f"using {service.data_root}, where the service records")
    return service.data_root


def _announce(line: str) -> None:
    sys.stderr.write(f"{line}\n")


def _fault_of(root: Path) -> str | None:
    """Why a directory can't be read, and the cure; None: it can."""
    forbidden = (
        f"{_whole(root)} can't be read by this user: run it with sudo, or join the group of the recorder's files"
    )
    try:
        is_directory = stat.S_ISDIR(root.stat().st_mode)
    except (FileNotFoundError, NotADirectoryError):
        return _not_there(root)
    except PermissionError:
        return forbidden
    except (OSError, ValueError) as exc:
        return f"DATA_ROOT {_whole(root)} can't be read: {getattr(exc, 'strerror', None) or exc}; {_CURE}"
    if not is_directory:
        return f"DATA_ROOT {_whole(root)} is a file, expected a directory; {_CURE}"
    return None if os.access(root, os.R_OK | os.X_OK) else forbidden


def _not_there(root: Path) -> str:
    if not root.is_absolute() and _is_working_directory_gone():
        return "the working directory is gone: change to one that exists, or pass --data-root with a path in full"
    return f"no recordings in {_whole(root)}: this directory does not exist; {_cure(root)}"


def _cure(root: Path) -> str:
    service = read_service()
    if service is not None and service.data_root == root:
        return (
            "the service on this machine is to record there: `journalctl -u hk-tick-collector -n 20` says what is wrong"
        )
    if service is None or service.data_root is None or service.unreadable is not None:
        return _CURE
    return f"the service on this machine records to {service.data_root}: pass --data-root {service.data_root}"


def _exists(root: Path) -> bool:
    try:
        root.lstat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    except (OSError, ValueError):
        return True  # the check says why it can't be read
    return True


def _is_working_directory_gone() -> bool:
    try:
        os.getcwd()  # noqa: PTH109 - Path.cwd() is the same call
    except OSError:
        return True
    return False


def _whole(root: Path) -> str:
    """The path in full; as it is written if the working directory is gone."""
    try:
        return str(root.absolute())
    except OSError:
        return str(root)
