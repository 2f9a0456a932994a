"""What `verify` can see of a recorder from outside: its files, its processes, its log.

Owns where each fact is read, so that no check reads a value that the checker itself has set. `journal_mode` is read
from the file's header. `busy_timeout` belongs to a connection: it comes from what the writer read back when it opened
the day (its log line `sqlite_pragmas`) or, without a log, from the arguments of the running writer. Never writes, and
never asks a recorder.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import apsw

from hk_tick_collector.errors import ConfigError, DatabaseError, TimeFormatError
from hk_tick_collector.hktime import DAY_MS, Form, parse_time
from hk_tick_collector.status.targets import Day, LogSeen, Pragmas
from hk_tick_collector.store.opening import open_readonly
from hk_tick_collector.store.other_disks import require_answer
from hk_tick_collector.store.schema import day_files
from hk_tick_collector.store.sealed import is_sealed
from hk_tick_collector.store.stored import days_so_far
from hk_tick_collector.store.wal import journal_mode_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

JOURNALCTL_TIMEOUT_SEC = 60.0
PRAGMAS_REACH_MS = 24 * 3600 * 1000  # the newest day was opened within this time, or it does not matter
_BLANKS = re.compile(r"\s+")

# Anywhere in the line: syslog adds a prefix.
_LINE = re.compile(r"(?P<when>\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?Z) (?P<level>[A-Z]+) +(?P<text>.*)")
_WATCHDOG = re.compile(r"WATCHDOG (\w+)")
_SYSTEMD_TIMEOUT = re.compile(r"\S+\.service: Watchdog timeout \(limit ")
_HIDDEN = re.compile("insufficient permissions|not seeing messages from other users")
_FIELD = re.compile(r' (\w+)=("(?:[^"\\]|\\.)*"|\S*)')


class LogLine(NamedTuple):
    """A whole line of a recorder's log."""

    at_ms: int
    text: str


def read_day(root: Path) -> Day | None:
    """The newest day with a tick; if none has any, the newest day. Rows are counted in `ticks` itself.

    Tomorrow counts as a day: in the evening, times that are 8 h ahead fall on it. Later days don't; see `days_so_far`.

    A repair leaves a day without rows when its ticks belong to another day. A day that can't be read is not skipped:
    it may be today's. Counting the rows and finding the newest time reads the whole day, about 0.1 s per million ticks:
    statistics kept beside the ticks would not show what is wrong with them.

    Raises:
        DatabaseError: it can't be read now.
    """
    newest = None
    for path in reversed(days_so_far(day_files(root), DAY_MS)):
        day = _read_day(path)
        if day.rows:
            return day
        newest = newest or day
    return newest


def _read_day(path: Path) -> Day:
    require_answer(path)
    try:
        mode = journal_mode_of(path)  # before this process opens it with SQLite
    except OSError as exc:
        raise DatabaseError(f"{path} can't be read: {exc.strerror}") from exc
    con = open_readonly(path)
    try:
        has_ticks = con.execute("SELECT count(*) FROM sqlite_schema WHERE name = 'ticks'").get
        rows, max_ts_ms = con.execute("SELECT count(*), max(ts_ms) FROM ticks").get if has_ticks else (0, None)
    except apsw.Error as exc:
        raise DatabaseError(f"{path} can't be read: {exc}") from exc
    finally:
        con.close()
    return Day(path.stem, rows, max_ts_ms, mode, is_sealed(path))


def pragmas_in_log(lines: Iterable[LogLine], since_ms: int) -> Pragmas | None:
    """The writer's newest `sqlite_pragmas` line: what SQLite answered on the writer's own connection."""
    found = None
    for line in lines:
        if line.at_ms >= since_ms and line.text.startswith("sqlite_pragmas "):
            found = line
    if found is None:
        return None
    fields = {name: value.strip('"') for name, value in _FIELD.findall(found.text)}
    timeout = fields.get("busy_timeout", "")
    if not timeout.isdigit():
        return None
    source = f"the writer's line sqlite_pragmas of {fields.get('day', 'a day')}"
    return Pragmas(int(timeout), source, fields.get("journal_mode"))


def pragmas_of_writer(pid: int | None, proc: Path = Path("/proc")) -> Pragmas | None:
    """The arguments of the running writer; None: they can't be read."""
    if not pid:
        return None
    try:
        arguments = (proc / str(pid) / "cmdline").read_bytes().decode(errors="replace").split("\0")
    except OSError:
        return None
    if "hk_tick_collector.writer" not in arguments:
        return None  # the writer is gone, and another process has its pid
    for argument in arguments:
        try:
            settings = json.loads(argument)
        except ValueError:
            continue
        if isinstance(settings, dict) and isinstance(settings.get("busy_timeout_ms"), int):
            return Pragmas(settings["busy_timeout_ms"], f"arguments of the writer, pid {pid}")
    return None


def log_lines(text: Iterable[str]) -> Iterator[LogLine]:
    """The recorder's own lines; tracebacks and other programs' lines are left out."""
    for line in text:
        match = _LINE.search(line)
        if match is not None:
            yield LogLine(parse_time(match["when"]).ms, match["text"])


def watchdog_since(lines: Iterable[LogLine], since_ms: int, source: str) -> LogSeen:
    """Count the watchdog's events since then, by event."""
    counts: Counter[str] = Counter()
    for line in lines:
        match = _WATCHDOG.match(line.text)
        if match is not None and line.at_ms >= since_ms:
            counts[match[1]] += 1
    return LogSeen(source, since_ms, dict(counts))


def has_unit(unit: str) -> bool:
    """Whether systemd on this host knows the unit."""
    return shutil.which("journalctl") is not None and _show(unit, "LoadState") == "loaded"


def restarts_of(unit: str) -> int | None:
    """How often systemd restarted the unit by itself since its last manual start; None: not known."""
    told = _show(unit, "NRestarts")
    return int(told) if told.isdigit() else None


def _show(unit: str, name: str) -> str:
    systemctl = shutil.which("systemctl")
    if systemctl is None:
        return ""
    try:
        shown = subprocess.run(  # noqa: S603 - no shell, and the unit is one argument
            [systemctl, "show", f"--property={name}", "--value", "--", unit],
            capture_output=True,
            text=True,
            timeout=JOURNALCTL_TIMEOUT_SEC,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return shown.stdout.strip() if shown.returncode == 0 else ""


def unit_log(unit: str, since_ms: int) -> list[LogLine]:
    """The unit's log since then, from systemd's journal.

    When systemd ends the unit for a missed keep-alive, it logs a line of its own, without a time. That line is returned
    as `WATCHDOG systemd_timeout`, at `since_ms`.

    Raises:
        ConfigError: journalctl is missing, fails, or hides what this user may not see.
    """
    journalctl = shutil.which("journalctl")
    if journalctl is None:
        raise ConfigError("no journalctl here: say --log FILE, or --log - with the log on standard input")
    # Seconds since the epoch: a time without a zone would be read as the host's local time.
    command = [journalctl, f"--unit={unit}", f"--since=@{since_ms // 1000}", "--output=cat", "--no-pager"]
    try:
        told = subprocess.run(  # noqa: S603 - as above
            command, capture_output=True, timeout=JOURNALCTL_TIMEOUT_SEC, check=False
        )
    except subprocess.TimeoutExpired as exc:
        raise ConfigError(f"journalctl of {unit} did not end in {JOURNALCTL_TIMEOUT_SEC:g} s") from exc
    reason = _BLANKS.sub(" ", told.stderr.decode(errors="replace")).strip()
    if _HIDDEN.search(reason):  # a user with a journal of their own is shown only that, with exit code 0
        raise ConfigError(
            f"the journal of {unit} is not for this user: run it with sudo, or as a member of systemd-journal"
        )
    if told.returncode:
        raise ConfigError(f"journalctl of {unit} failed: {reason or told.returncode}; say --log FILE")
    text = told.stdout.decode(errors="replace").splitlines()
    ended = [LogLine(since_ms, "WATCHDOG systemd_timeout") for line in text if _SYSTEMD_TIMEOUT.match(line)]
    return [*ended, *log_lines(text)]


def file_log(path: Path) -> list[LogLine]:
    """The recorder's lines from a log file.

    Raises:
        ConfigError: it can't be read.
    """
    try:
        return list(log_lines(path.read_text(encoding="utf-8", errors="replace").splitlines()))
    except OSError as exc:
        raise ConfigError(f"--log {path}: {exc.strerror}") from exc


_AGO = re.compile(r"(\d+)\s*(s|min|m|h|d)")
_AGO_SEC = {"s": 1, "min": 60, "m": 60, "h": 3600, "d": 86400}


def since_ms_of(text: str, now_ms: int) -> int:
    """`--since` as epoch ms: `2026-11-20T09:30:00+08:00`, `…Z`, `@1795138200`, or an age: `90s`, `30m`, `2h`.

    Raises:
        ConfigError: it is none of these, or a time without a zone: the host's zone may be neither Hong Kong's nor UTC.
    """
    expected = "expected a time with its zone, such as 2026-11-20T09:30:00+08:00 or @1795138200, or an age such as 30m"
    if match := _AGO.fullmatch(text.strip()):
        return now_ms - int(match[1]) * _AGO_SEC[match[2]] * 1000
    try:
        written = parse_time(text.strip().removeprefix("@"))
    except TimeFormatError as exc:
        raise ConfigError(f"--since {text!r}: {expected}") from exc
    if written.form not in {Form.ZONED, Form.EPOCH}:
        raise ConfigError(f"--since {text!r} has no zone: {expected}")
    return written.ms
