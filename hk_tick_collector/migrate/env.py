"""An env file for this recorder from the older recorder's, and what became of each of its settings.

Owns how that file is read and written; `store.setting_names` has the table. Secrets are never shown, and no value is
kept of a setting that is not taken over. Invariant: each line that is written is a setting that this recorder accepts.
"""

from __future__ import annotations

import io
import os
from typing import TYPE_CHECKING, Final, NamedTuple

from dotenv.parser import parse_stream

from hk_tick_collector.config import NAMES, problem_of
from hk_tick_collector.errors import ConfigError
from hk_tick_collector.store.data_root import sync
from hk_tick_collector.store.setting_names import Fate, Older, older
from hk_tick_collector.symbols import read_text

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

ENV_OUT_DEFAULT: Final = "hk-tick-collector.env"

_HEAD: Final = """\
# Settings of hk-tick-collector, taken over from the older recorder's. All others have their defaults:
# `hk-tick-collector config --env-file FILE` shows them.
"""
_OWN_ROOT: Final = ("DATA_ROOT", "HKTC_DATA_DIR")


class Became(NamedTuple):
    """What became of a setting.

    Attributes:
        name: the older recorder's.
        fate: a `Fate`, or `refused` (its value is not valid here) or `unknown`.
        text: in words; with the value only if that is taken over.
    """

    name: str
    fate: str
    text: str


class Env(NamedTuple):
    """An older env file, read.

    Attributes:
        values: what is to be written, by this recorder's names.
        became: one entry per setting, in the file's order.
        data_root: the older recorder's DATA_ROOT, as written; None: not set.
        bad_lines: numbers of lines that are neither NAME=value, a comment nor empty.
    """

    values: dict[str, str]
    became: tuple[Became, ...]
    data_root: str | None
    bad_lines: tuple[int, ...]


def read_env(path: Path, data_root: Path) -> Env:
    """Read the older recorder's env file.

    Args:
        path: the file.
        data_root: this recorder's DATA_ROOT.

    Raises:
        ConfigError: it can't be read.
    """
    written, bad_lines = _parse(path)
    values = {"DATA_ROOT": str(data_root.absolute())}
    became = []
    for name, value in written.items():
        told = older(name)
        if told is None:
            became.append(_unknown(name))
        elif not value.strip():
            became.append(Became(name, "empty", "it was not set"))
        elif told.fate is Fate.TAKEN:
            became.append(_take(name, told, _plain(told.why, value), values))
        elif name in _OWN_ROOT:
            became.append(Became(name, told.fate, f"replaced by DATA_ROOT={values['DATA_ROOT']}"))
        else:
            became.append(Became(name, told.fate, str(told)))
    root = next((written[name].strip() for name in _OWN_ROOT if written.get(name, "").strip()), None)
    return Env(values, tuple(became), root, bad_lines)


def refuse_existing(path: Path, source: Path | None = None, *, may_replace: bool) -> None:
    """Refuse to write over a file, or where there is no directory, before anything else is done.

    Raises:
        ConfigError: it is there, or can't be made there; or it is the older recorder's file, which is never changed.
    """
    if source is not None and path.exists() and source.exists() and path.samefile(source):
        raise ConfigError(f"--env-out {path} is the older recorder's file itself: name another one")
    if not path.absolute().parent.is_dir():
        raise ConfigError(f"--env-out {path} can't be written: {path.absolute().parent} is not a directory")
    if os.path.lexists(path) and not may_replace:
        raise ConfigError(f"{path} is there already: name another one with --env-out, or replace it with --force")


def write_env(env: Env, path: Path, *, may_replace: bool) -> None:
    """Write the env file, whole or not at all.

    Raises:
        ConfigError: it is there already, or can't be written.
    """
    refuse_existing(path, may_replace=may_replace)
    lines = [f"{name}={_quoted(env.values[name])}\n" for name in NAMES if name in env.values]
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        temporary.write_text(_HEAD + "".join(lines), encoding="utf-8")
        sync(temporary)
        temporary.replace(path)
    except OSError as exc:
        temporary.unlink(missing_ok=True)
        raise ConfigError(f"--env-out {path} can't be written: {exc.strerror}") from exc


def _parse(path: Path) -> tuple[Mapping[str, str], tuple[int, ...]]:
    try:
        text = read_text(path)
    except OSError as exc:
        raise ConfigError(f"--env {path} can't be read: {exc.strerror}") from exc
    except ValueError as exc:
        raise ConfigError(f"--env {path} can't be read: {exc}") from exc
    found: dict[str, str] = {}
    bad_lines = []
    for binding in parse_stream(io.StringIO(text)):
        if binding.error or (binding.key is not None and binding.value is None):
            bad_lines.append(binding.original.line)
        elif binding.key is not None:
            found[binding.key] = binding.value or ""
    return found, tuple(bad_lines)


def _unknown(name: str) -> Became:
    ours = "; this recorder has a setting of that name: set it yourself" if name in NAMES else ""
    return Became(name, "unknown", f"unknown: not a setting of the older recorder, left out{ours}")


def _take(name: str, told: Older, value: str, values: dict[str, str]) -> Became:
    """Take a value over, if this recorder accepts it."""
    ours = told.why
    problem = problem_of({**values, ours: value})
    if problem is not None:
        return Became(name, "refused", f"not taken over, so the default stays: {problem}")
    values[ours] = value
    return Became(name, Fate.TAKEN, f"{told}={value}" if ours != "FUTU_SYMBOLS" else f"{told}")


def _plain(name: str, value: str) -> str:
    """A value as it is written in an env file: symbols without blanks, levels in upper case."""
    value = value.strip()
    if name == "FUTU_SYMBOLS":
        return ",".join(part for part in value.replace(",", " ").split() if part)
    return {"WARN": "WARNING", "CRITICAL": "ERROR", "FATAL": "ERROR"}.get(value.upper(), value)


def _quoted(value: str) -> str:
    """In quotes if an env file needs them; systemd and dotenv read a text in single quotes literally."""
    if not set(value) & set(" \t#'\"\\$`;"):
        return value
    return f"'{value}'" if "'" not in value else f'"{value}"'
