"""Which DATA_ROOT a command works on, and which day.

Owns how `--data-root`, `--config` and `--env-file` give one directory, the error if it does not exist, and how a day is
written.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from hk_tick_collector.config import load_settings
from hk_tick_collector.errors import ConfigError, TimeFormatError
from hk_tick_collector.hktime import parse_time
from hk_tick_collector.store import rehearsal

if TYPE_CHECKING:
    from pathlib import Path

    from hk_tick_collector.config import Settings

_DAY: Final = re.compile(r"\d{8}|\d{4}-\d{2}-\d{2}")


def settings_of(data_root: str | None, config: Path | None, env_file: Path | None) -> Settings:
    """The settings; the command's own DATA_ROOT, if given, overrides all others.

    Raises:
        ConfigError: see `load_settings`.
    """
    overrides = {"DATA_ROOT": data_root} if data_root else {}
    return load_settings(config_path=config, env_file=env_file, overrides=overrides).settings


def data_root_of(
    data_root: str | None, config: Path | None, env_file: Path | None, *, is_of_recorder: bool = False
) -> Path:
    """The DATA_ROOT as written; checked to be a directory.

    Args:
        data_root: the command's own DATA_ROOT; None: not given.
        config: see `load_settings`.
        env_file: see `load_settings`.
        is_of_recorder: the command is about a recorder; without a directory, the error adds that nothing was recorded.

    Raises:
        ConfigError: it is not a directory, or see `load_settings`.
    """
    root = settings_of(data_root, config, env_file).data_root
    if not root.is_dir():
        why = "nothing was recorded there; " if is_of_recorder else ""
        raise ConfigError(f"DATA_ROOT {root.absolute()} is not a directory: {why}set DATA_ROOT or pass --data-root")
    rehearsal.follow(root)
    return root


def day_of(written: str) -> str:
    """A day as an operator writes it, as YYYYMMDD.

    Raises:
        ConfigError: it is not a day.
    """
    day = written.replace("-", "")
    try:
        is_day = _DAY.fullmatch(written) and parse_time(day + "000000")
    except TimeFormatError:
        is_day = None
    if not is_day:
        raise ConfigError(f"day {written!r}, expected YYYYMMDD")
    return day
