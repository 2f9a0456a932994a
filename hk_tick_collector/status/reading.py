"""Everything that `status` reports, read from a recorder's files, with this machine asked what only it knows.

Owns what is read, and that a file that can't be read costs only its own part: a locked, damaged or hanging day leaves
all else. Never waits long, never asks a recorder, never writes.
"""

from __future__ import annotations

import shutil
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from hk_tick_collector.clock import real_ms, wall_ms
from hk_tick_collector.errors import CollectorError, DatabaseError, OlderRecorderError
from hk_tick_collector.hktime import hk_day, plausible_ms
from hk_tick_collector.journal.cursor import load_cursor
from hk_tick_collector.journal.segments import DIRECTORY, JournalReader
from hk_tick_collector.parquet.opening import has_only_archive, no_database
from hk_tick_collector.seal.catalog import newest_sealed
from hk_tick_collector.status.answers import Losses, answer
from hk_tick_collector.status.health import Machine
from hk_tick_collector.status.locks import locked_by
from hk_tick_collector.status.machine import machine_of, report_age_sec
from hk_tick_collector.status.space import mount_of
from hk_tick_collector.status.state import RecorderState
from hk_tick_collector.status.today import read_lost
from hk_tick_collector.status.trouble_table import cure
from hk_tick_collector.store.data_root import read_recorder
from hk_tick_collector.store.schema import day_files
from hk_tick_collector.store.stored import days_so_far, find_day, future_days, read_stats
from hk_tick_collector.typed_json import decode, encode

if TYPE_CHECKING:
    from pathlib import Path

    from hk_tick_collector.status.lost import Lost
    from hk_tick_collector.store.stored import SymbolStats

BUSY_TIMEOUT_MS: Final = 500  # for a lock that another program holds: the answer must not keep an operator waiting


class _Day(NamedTuple):
    path: Path | None = None
    stats: dict[str, SymbolStats] = {}  # noqa: RUF012 - never changed
    lost: Lost | None = None
    fault: str = ""


def read_status(root: Path, day: str | None = None) -> dict[str, Any]:
    """Everything that `status` reports, as plain values. Times in UTC epoch ms, ages in seconds.

    Raises:
        ConfigError: there is no database of that day.
        OlderRecorderError: the older recorder made it, and ours has never recorded there.
    """
    now_ms = wall_ms()
    lock_pid, recorder = _recorder(root, now_ms)
    is_running = recorder["running"]
    machine = Machine(lock_pid=lock_pid, report_age_sec=report_age_sec(root)) if is_running else machine_of(root)
    machine = machine._replace(root=str(root.absolute()))
    is_ours = is_running or recorder["state_age_sec"] is not None or machine.is_refused
    read = _read_day(root, day, is_ours=is_ours)
    symbols = _symbols(read.stats, now_ms)
    last = max(symbols, key=lambda entry: entry["last_ts_ms"], default=None)
    rows = sum(entry["rows"] for entry in symbols)
    state = _with_holders(with_disk(decode(RecorderState, recorder), root), root)
    newest_ms = last["last_ts_ms"] if last and day is None else None
    answers, health = answer(
        state, Losses(read.lost, read.fault), now_ms, machine, None if read.fault else rows, newest_ms
    )
    path = read.path
    return {
        "data_root": str(root.absolute()),
        "day": path.stem if path else None,
        "day_fault": read.fault or None,
        "future_days": future_days(root),
        "answers": {**answers._asdict(), "lost": list(answers.lost), "to_do": list(answers.to_do)},
        "health": {
            "verdict": health.verdict.value,
            "reasons": list(health.reasons),
            "troubles": [
                {
                    "trouble": found.trouble.value,
                    "verdict": found.verdict.value,
                    "seen": found.seen,
                    "cure": cure(found.trouble, machine.start, machine.root),
                }
                for found in health.findings
            ],
        },
        "recorder": recorder,
        "disk": {"free_bytes": state.disk.free_bytes, "mount": state.disk.mount},
        "journal": _journal(root, now_ms),
        "rows": rows,
        "last_ts_ms": last["last_ts_ms"] if last else None,
        "last_symbol": last["symbol"] if last else None,
        "database_bytes": _bytes(path),
        "wal_bytes": _bytes(path.with_name(path.name + "-wal")) if path else 0,
        "lost": encode(read.lost) if read.lost else None,
        "sealed": newest_sealed(root),
        "symbols": symbols,
    }


def _recorder(root: Path, now_ms: int) -> tuple[int | None, dict[str, Any]]:
    """The process that holds the lock; and the last report, with whether a recorder runs (by its lock)."""
    pid, state = read_recorder(root)
    state["running"] = pid is not None
    at_ms = plausible_ms(decode(RecorderState, state).at_ms)
    real_sec = report_age_sec(root)
    age_sec = None if at_ms is None else (now_ms - at_ms) / 1000 if real_sec is None else real_sec
    state["state_age_sec"] = None if age_sec is None else round(age_sec, 1)
    return pid, state


def with_disk(state: RecorderState, root: Path) -> RecorderState:
    """The report with the space that is free now: a full disk keeps the recorder from reporting it."""
    try:
        free_bytes = shutil.disk_usage(root).free
    except OSError:
        return state
    disk = replace(state.disk, free_bytes=free_bytes, mount=state.disk.mount or mount_of(root))
    return replace(state, disk=disk)


def _with_holders(state: RecorderState, root: Path) -> RecorderState:
    """The report with who has today's database locked, which the recorder finds out only some seconds later."""
    writer = state.writer
    if writer.locked_by or "locked" not in (writer.last_exception or ""):
        return state
    holders = locked_by(root / f"{hk_day(state.at_ms or 0)}.db", {state.pid, writer.pid})
    return replace(state, writer=replace(writer, locked_by=holders))


def _read_day(root: Path, day: str | None, *, is_ours: bool) -> _Day:
    """That day; without one, the newest so far with a tick. One that can't be read is not passed over.

    Except what an older recorder left: it must not hide what there is to say of ours.

    Args:
        root: DATA_ROOT.
        day: YYYYMMDD; None: the newest.
        is_ours: a recorder of ours runs there, has reported there, or was refused there.
    """
    if day is not None:
        if has_only_archive(root / f"{day}.db"):
            raise no_database(root, day)
        return _read(find_day(root, day))
    newest = None
    for path in reversed(days_so_far(day_files(root))):
        try:
            read = _read(path)
        except OlderRecorderError:
            if is_ours:
                continue
            raise
        if read.stats or read.fault:
            return read
        newest = newest or read
    return newest or _Day()


def _read(path: Path) -> _Day:
    try:
        return _Day(path, read_stats(path, BUSY_TIMEOUT_MS), read_lost(path, BUSY_TIMEOUT_MS))
    except OlderRecorderError:
        raise
    except DatabaseError as exc:
        why = str(exc).partition("; if it is none of ours")[0]
        holders = ", ".join(locked_by(path))
        return _Day(path, fault=f"{why}; it is locked by {holders}" if holders else why)


def _symbols(stats: dict[str, SymbolStats], now_ms: int) -> list[dict[str, Any]]:
    """Each symbol's figures, the busiest first."""
    found = [
        {
            "symbol": symbol,
            "rows": one.rows,
            "volume": one.volume_sum,
            "turnover": one.turnover_sum,
            "last_seq": one.last_seq,
            "last_ts_ms": one.last_ts_ms,
            "last_age_sec": round((now_ms - one.last_ts_ms) / 1000, 1),
            "lag_ms": one.last_recv_ts_ms - one.last_ts_ms,
        }
        for symbol, one in stats.items()
    ]
    return sorted(found, key=lambda entry: -entry["rows"])


def _bytes(path: Path | None) -> int:
    """The size of a file; 0: it is not there, or can't be looked up."""
    try:
        return path.stat().st_size if path else 0
    except OSError:
        return 0


def _journal(root: Path, now_ms: int) -> dict[str, Any]:
    """The backlog in bytes, and how old its oldest record is; null: it can't be read."""
    directory = root / DIRECTORY
    try:
        reader = JournalReader(directory, load_cursor(directory))
        try:
            backlog_bytes = reader.backlog_bytes()
            waiting = reader.read(max_bytes=4096) if backlog_bytes else []
        finally:
            reader.close()
    except (CollectorError, OSError):
        return {"backlog_bytes": None, "lag_ms": None}
    lag_ms = max(0, real_ms(now_ms - waiting[0].recv_ts_ms)) if waiting else 0  # it may have come since
    return {"backlog_bytes": backlog_bytes, "lag_ms": lag_ms}
