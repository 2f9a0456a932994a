"""`doctor --premises`: the premises, measured on a live OpenD."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from hk_tick_collector import __version__
from hk_tick_collector.cli.options import AsJson, ConfigFile, EnvFile  # noqa: TC001 - typer reads them
from hk_tick_collector.config import load_settings
from hk_tick_collector.errors import CollectorError, ConfigError
from hk_tick_collector.store.data_root import read_recorder
from hk_tick_collector.store.schema import day_files

if TYPE_CHECKING:
    from hk_tick_collector.audit.measured import Measured, Spread
    from hk_tick_collector.config import Settings

START_SEC: Final = 60.0  # until the recorder has connected and subscribed
STOP_SEC: Final = 90.0
LOOK_SEC: Final = 0.5
MINUTES_MAX: Final = 600.0

# Often enough for a short measurement; far below OpenD's limits.
POLL_SEC_MAX: Final = 15.0
TOTALS_SEC_MAX: Final = 20.0
_ROUNDS_MIN: Final = 12
_QUESTIONS: Final = {
    "same_sequence": "a fetched tick has the sequence under which it was pushed",
    "whole_window": "a reply of GetTicker has no hole",
    "fresh_snapshot": "a snapshot counts all that was traded 15 s before its own time",
    "ordinals_count": "an ordinal is one more than that of the push before",
    "made_good_joins": "what OpenD makes good begins right after what it had before",
    "whole_seconds": "a trade's time has no fraction of a second",
}


def doctor_command(
    *,
    premises: Annotated[
        bool, typer.Option("--premises", help="Measure what verdicts rest on, on a live OpenD.")
    ] = False,
    minutes: Annotated[float, typer.Option(help="How long to measure; in trading hours ten minutes will do.")] = 10.0,
    config: ConfigFile = None,
    env_file: EnvFile = None,
    symbols: Annotated[
        str | None, typer.Option(metavar="CODES", help="What to record, such as 700,9988; overrides FUTU_SYMBOLS.")
    ] = None,
    keep: Annotated[
        Path | None, typer.Option(metavar="DIRECTORY", help="Keep what was recorded in this new directory.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Measure on a live OpenD what the verdicts rest on (exit 0 or 1).

    It records for some minutes, apart from any other recorder, and exits with 1 if a premise fails. The report names no
    account, no host and no price, so that it can be sent to us.
    """
    if not premises:
        raise ConfigError("doctor: expected --premises")
    if not 0 < minutes <= MINUTES_MAX:
        raise ConfigError(f"--minutes {minutes:g}, expected more than 0 and at most {MINUTES_MAX:g}")
    if keep is not None and keep.exists():
        raise ConfigError(f"--keep {keep} is there already: nothing is overwritten, choose another place")
    overrides = {"FUTU_SYMBOLS": symbols} if symbols else {}
    settings = load_settings(config_path=config, env_file=env_file, overrides=overrides).settings
    settings.require_symbols()
    with contextlib.ExitStack() as stack:
        root = keep or Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="hk-tick-doctor-")))
        root.mkdir(exist_ok=True)
        found = _record(settings, root, minutes, is_quiet=as_json)
        measured, opend = found
    failed = [answer for answer in measured.answers if answer.failed and answer.premise in _GRAVE]
    if as_json:
        typer.echo(json.dumps({**_as_dict(measured, opend, minutes), "exit_code": int(bool(failed))}, indent=2))
    else:
        _show(measured, opend, minutes)
    raise typer.Exit(int(bool(failed)))


# If one of these fails, some conclusions are switched off for a symbol; the others only describe the feed.
_GRAVE: Final = frozenset({"same_sequence", "whole_window", "made_good_joins"})


def _record(settings: Settings, root: Path, minutes: float, *, is_quiet: bool) -> tuple[Measured, int | None]:
    """Run a separate recorder for that long. Returns the measurements, and OpenD's version."""
    from hk_tick_collector.audit.measured import measure  # noqa: PLC0415 - only where it is needed

    environ = {**os.environ, **_environ_of(settings, minutes), "DATA_ROOT": str(root)}
    command = [sys.executable, "-m", "hk_tick_collector.cli.app", "run", "--env-file", os.devnull]
    log_path = root / "doctor.log"
    with log_path.open("wb") as log, subprocess.Popen(command, env=environ, stderr=log, stdout=log) as recorder:  # noqa: S603 - our own
        try:
            version = _watch(recorder, root, minutes, is_quiet=is_quiet)
        finally:
            recorder.send_signal(signal.SIGTERM)
            try:
                recorder.wait(STOP_SEC)
            except subprocess.TimeoutExpired:
                recorder.kill()
    if not day_files(root):
        raise CollectorError(f"nothing came in {minutes:g} minutes: is the market open? {_last_line(log_path)}")
    return measure(root), version


def _environ_of(settings: Settings, minutes: float) -> dict[str, str]:
    """The environment of that recorder: the OpenD and symbols in force, wherever set, and the request intervals."""
    every_sec = max(1.0, minutes * 60 / _ROUNDS_MIN)
    own = {
        "FUTU_POLL_INTERVAL_SEC": f"{min(POLL_SEC_MAX, every_sec):g}",
        "FUTU_TOTALS_INTERVAL_SEC": f"{min(TOTALS_SEC_MAX, every_sec):g}",
        "METRICS_PORT": "0",
        "SEAL_ENABLED": "false",
        "INSTANCE_ID": "doctor",
    }
    names = ("FUTU_HOST", "FUTU_PORT", "FUTU_SYMBOLS", "FUTU_RSA_KEY_FILE", "FUTU_ENCRYPTION")
    values = {name: getattr(settings, name.lower(), None) for name in names}
    told = {name: str(getattr(value, "value", value)) for name, value in values.items() if value not in (None, "")}
    return {**own, **told}


def _watch(recorder: subprocess.Popen[bytes], root: Path, minutes: float, *, is_quiet: bool) -> int | None:
    """Wait, showing progress. Returns OpenD's version, or None."""
    began = time.monotonic()
    version = None
    while (passed := time.monotonic() - began) < minutes * 60:
        if recorder.poll() is not None:
            raise CollectorError(f"the recorder ended with {recorder.returncode}: {_last_line(root / 'doctor.log')}")
        _, state = read_recorder(root)
        session: Any = state.get("session") or {}
        version = session.get("opend_version") or version
        if version is None and passed > START_SEC:
            raise CollectorError(f"no OpenD within {START_SEC:g} s: {_last_line(root / 'doctor.log')}")
        if not is_quiet and sys.stderr.isatty():
            rows = (state.get("writer") or {}).get("inserted", 0)
            sys.stderr.write(f"\r{passed / 60:.1f} of {minutes:g} min, {rows:,} ticks ")
            sys.stderr.flush()
        time.sleep(LOOK_SEC)
    if not is_quiet and sys.stderr.isatty():
        sys.stderr.write("\n")
    return version


def _last_line(path: Path) -> str:
    lines = path.read_text(encoding="utf-8", errors="replace").splitlines() if path.exists() else []
    return lines[-1][:300] if lines else "its log is empty"


def _as_dict(measured: Measured, opend: int | None, minutes: float) -> dict[str, Any]:
    told: dict[str, Any] = {"program": __version__, "opend_version": opend, "minutes": minutes, **measured._asdict()}
    told["answers"] = [answer._asdict() for answer in measured.answers]
    for name in ("delays", "ages", "replies"):
        told[name] = told[name] and told[name]._asdict()
    return told


def _show(measured: Measured, opend: int | None, minutes: float) -> None:
    from rich.console import Console  # noqa: PLC0415 - not for --json
    from rich.table import Table  # noqa: PLC0415 - as above

    console = Console()
    table = Table(box=None, header_style="bold", padding=(0, 2, 0, 0))
    for heading, justify in (("premise", "left"), ("held", "right"), ("failed", "right"), ("symbols", "right")):
        table.add_column(heading, justify="right" if justify == "right" else "left", no_wrap=heading != "premise")
    by_name = {answer.premise: answer for answer in measured.answers}
    for name, question in _QUESTIONS.items():
        answer = by_name.get(name)
        if answer is None:
            table.add_row(question, "not seen", "", "")
            continue
        style = "red" if answer.failed and name in _GRAVE else None
        failed = f"{answer.failed:,} ({answer.symbols_failed:,})" if answer.failed else "0"
        table.add_row(question, f"{answer.held:,}", failed, f"{answer.symbols:,}", style=style)
    console.print(table)
    kinds = ", ".join(f"{count:,} {name}" for name, count in sorted(measured.ordinals.items())) or "none"
    console.print(f"ordinals, by symbol: {kinds}", highlight=False)
    types = ", ".join(f"{name} {count:,}" for name, count in sorted(measured.types.items(), key=lambda item: -item[1]))
    console.print(f"ticks by type: {types}", highlight=False, soft_wrap=True)
    counted = ", ".join(f"{name} {count:,}" for name, count in sorted(measured.types_counted.items())) or "none yet"
    console.print(f"seen to be in the exchange's totals: {counted}", highlight=False, soft_wrap=True)
    for what, spread in (
        ("from a trade's second to its reception", measured.delays),
        ("age of a snapshot's own time", measured.ages),
        ("from asking for totals to the reply", measured.replies),
    ):
        console.print(f"{what}: {_spread_text(spread)}", highlight=False)
    version = "unknown" if opend is None else str(opend)
    console.print(
        f"{minutes:g} min, {measured.symbols:,} symbols, {measured.ticks:,} ticks; OpenD {version}, "
        f"hk-tick-collector {__version__}. Please send us this: no account, host or price is in it.",
        highlight=False,
    )  # fmt: skip


def _spread_text(spread: Spread | None) -> str:
    if spread is None:
        return "not seen"
    return f"p50 {spread.p50_ms:,} ms, p99 {spread.p99_ms:,} ms, at most {spread.max_ms:,} ms, of {spread.of:,}"
