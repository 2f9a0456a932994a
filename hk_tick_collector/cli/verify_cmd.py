"""`verify`: whether a recorder meets the acceptance targets, in words and as an exit code."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from hk_tick_collector.cli.dates import one_day
from hk_tick_collector.cli.file_proof import file_named, verify_file
from hk_tick_collector.cli.options import (  # noqa: TC001 - typer reads them
    AsJson,
    ConfigFile,
    DataRoot,
    DayOption,
    EnvFile,
    SealedDayOrFile,
)
from hk_tick_collector.cli.places import data_root_of
from hk_tick_collector.clock import wall_ms
from hk_tick_collector.errors import ConfigError, DatabaseError
from hk_tick_collector.status import evidence
from hk_tick_collector.status.health import Machine, assess
from hk_tick_collector.status.machine import UNIT, machine_of, report_age_sec
from hk_tick_collector.status.reading import with_disk
from hk_tick_collector.status.state import RecorderState
from hk_tick_collector.status.targets import (
    SKEW_SEC,
    Evidence,
    LogSeen,
    Outcome,
    Pragmas,
    Report,
    check_targets,
    is_running,
    market_of,
)
from hk_tick_collector.status.trouble_table import cure
from hk_tick_collector.store.data_root import read_recorder
from hk_tick_collector.typed_json import decode

if TYPE_CHECKING:
    from collections.abc import Callable

    from hk_tick_collector.status.evidence import LogLine
    from hk_tick_collector.status.targets import Day

SINCE = "1h"
CHECK_EVERY_SEC = 2.0
# Waiting does not fix these.
FINAL = frozenset({"watchdog"})

_Market = Annotated[
    Literal["auto", "open", "closed"],
    typer.Option(help="Whether ticks have to come now; auto: what OpenD says, else the clock in Hong Kong."),
]
_WaitSec = Annotated[
    float,
    typer.Option(min=0, max=3600, help="Keep checking for up to this long, in seconds, until all targets are met."),
]
_SkewSec = Annotated[float, typer.Option(min=0, help="How far the newest tick may be from now, either way.")]
_Since = Annotated[
    str, typer.Option(help="Count WATCHDOG lines since then: a time with its zone, @seconds, or an age such as 30m.")
]
_Log = Annotated[str | None, typer.Option(metavar="FILE|-", help="The recorder's log, instead of the unit's journal.")]
_Unit = Annotated[str, typer.Option(help="The recorder's systemd unit, whose journal is read, if there is one.")]


def verify_command(  # noqa: PLR0913 - each is an option
    written: SealedDayOrFile = None,
    *,
    data_root: DataRoot = None,
    since: _Since = SINCE,
    log: _Log = None,
    unit: _Unit = UNIT,
    market: _Market = "auto",
    wait_sec: _WaitSec = 20.0,
    skew_sec: _SkewSec = SKEW_SEC,
    is_sealed: Annotated[
        bool, typer.Option("--sealed", help="Hold sealed days against their certificates instead; needs no recorder.")
    ] = False,
    day: DayOption = None,
    decoder: Annotated[
        Literal["pyarrow", "duckdb", "polars"] | None, typer.Option(help="What decodes FILE; pyarrow if not given.")
    ] = None,
    as_json: AsJson = False,
    config: ConfigFile = None,
    env_file: EnvFile = None,
) -> None:
    """Hold a running recorder against the acceptance targets; exit 1 if it misses one.

    While the market is closed, what only trades could show is not judged.

    With a ticks.parquet as FILE, prove that file instead: it carries its certificate, and needs nothing else.
    """
    path = file_named(written)
    if path is not None:
        if is_sealed or day is not None:
            raise ConfigError(f"expected either a file, or a day with --sealed: {written} is a file")
        verify_file(path, decoder, as_json=as_json)
        return
    if decoder is not None:
        raise ConfigError("--decoder goes with a FILE.parquet")
    root = data_root_of(data_root, config, env_file)
    wanted = one_day(written, day, takes_all=True)
    if is_sealed:
        from hk_tick_collector.cli.sealed import verify_sealed  # noqa: PLC0415 - not for a recorder's targets

        verify_sealed(root, wanted, as_json=as_json)
        return
    if wanted is not None:
        raise ConfigError("a day goes with --sealed")
    told = {"auto": None, "open": True, "closed": False}[market]
    since_ms = evidence.since_ms_of(since, wall_ms())
    verification = Verification(root, Log(log, unit), since_ms, told=told, skew_sec=skew_sec)
    report = verification.run(wait_sec)
    if as_json:
        typer.echo(json.dumps(_as_json(report), indent=2))
    else:
        typer.echo(_as_text(report))
    if not report.accepted:
        raise typer.Exit(1)


class Log:
    """The source of the recorder's log: a file, standard input, a unit's journal, or none."""

    def __init__(self, path: str | None, unit: str) -> None:
        self.unit = unit
        self._path = path
        self._unit = unit if path is None and evidence.has_unit(unit) else None
        # Standard input can be read only once; later lines are not read.
        self._given = list(evidence.log_lines(sys.stdin)) if path == "-" else None
        self.source = {None: f"journal of {unit}", "-": "standard input"}.get(path, str(path))

    def lines(self, since_ms: int) -> list[LogLine] | None:
        """Its lines since then, perhaps some earlier ones too; None: there is no log."""
        if self._given is not None:
            return self._given
        if self._path is not None:
            return evidence.file_log(Path(self._path))
        return None if self._unit is None else evidence.unit_log(self._unit, since_ms)

    def restarts(self) -> int | None:
        """Restarts of the log's unit; None: there is no unit."""
        return None if self._unit is None else evidence.restarts_of(self._unit)


class Verification:
    """Looks at a recorder until it meets its targets, or time runs out."""

    def __init__(self, root: Path, log: Log, since_ms: int, *, told: bool | None, skew_sec: float) -> None:
        self._root = root
        self._log = log
        self._since_ms = since_ms
        self._told = told
        self._skew_sec = skew_sec
        self._machine = Machine()

    def run(self, wait_sec: float, sleep: Callable[[float], None] = time.sleep) -> Report:
        """Look until nothing is missed, for up to `wait_sec`; at least twice if rows should grow."""
        until = time.monotonic() + wait_sec
        first = last = self._look()
        while True:
            market = market_of(last, told=self._told)
            report = check_targets(first, last, market, self._skew_sec)
            missed = {finding.target for finding in report.missed}
            must_look_again = market.flows and first is last
            if not is_running(last) and not self._machine.is_starting:
                return report  # nobody starts it while we wait
            if not must_look_again and (not missed or missed & FINAL or time.monotonic() >= until):
                return report
            sleep(CHECK_EVERY_SEC)
            last = self._look()

    def _look(self) -> Evidence:
        lock_pid, told = read_recorder(self._root)
        state = decode(RecorderState, told)
        day: Day | None = None
        fault = None
        try:
            day = evidence.read_day(self._root)
        except DatabaseError as exc:
            fault = str(exc)
        now_ms = wall_ms()  # after the database was read, so that a tick stored meanwhile is not in the future
        age_sec = report_age_sec(self._root)
        running = Machine(lock_pid=lock_pid, report_age_sec=age_sec)
        self._machine = machine_of(self._root, self._log.unit) if lock_pid is None else running
        health = assess(with_disk(state, self._root), now_ms, self._machine)
        return Evidence(
            now_ms=now_ms,
            lock_pid=lock_pid,
            state=state if told else None,
            health=(str(health.verdict.value), tuple(health.reasons)),
            day=day,
            day_fault=fault,
            pragmas=self._pragmas(state, now_ms),
            log=self._watchdog(),
            restarts=self._log.restarts(),
            root=str(self._root.absolute()),
            start=self._machine.start,
            report_age_sec=age_sec,
        )

    def _pragmas(self, state: RecorderState, now_ms: int) -> Pragmas | None:
        since_ms = max(state.started_ms or 0, now_ms - evidence.PRAGMAS_REACH_MS)
        lines = self._log.lines(since_ms)
        told = evidence.pragmas_in_log(lines, since_ms) if lines is not None else None
        return told or evidence.pragmas_of_writer(state.writer.pid)

    def _watchdog(self) -> LogSeen | None:
        lines = self._log.lines(self._since_ms)
        return None if lines is None else evidence.watchdog_since(lines, self._since_ms, self._log.source)


def _as_json(report: Report) -> dict[str, Any]:
    targets = [
        {
            "target": f.target,
            "outcome": f.outcome.value,
            "seen": f.seen,
            "expected": f.expected,
            "cure": cure(f.trouble, report.last.start) if f.outcome is Outcome.MISSED and f.trouble else None,
        }
        for f in report.findings
    ]
    return {"accepted": report.accepted, **report.figures(), "targets": targets}


def _as_text(report: Report) -> str:
    """`name=value` lines for grep, one line per target, and the verdict last."""
    lines = [f"{name}={_value(value)}" for name, value in report.figures().items()]
    lines.append("")
    lines += [f"{f.outcome.value:<11}{f.target:<18} {f.seen}" for f in report.findings]
    lines.append("")
    if report.accepted:
        rest = ", ".join(f.target for f in report.unjudged)
        lines.append("accepted" + (f"; not judged: {rest}" if rest else ""))
    else:
        lines.append(f"NOT OK: {report.complaint()}")
    return "\n".join(lines)


def _value(value: object) -> str:
    if isinstance(value, list):
        return "; ".join(str(item) for item in value)
    return "" if value is None else str(value)
