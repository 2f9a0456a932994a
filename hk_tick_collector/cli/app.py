"""The command line's entry: finds the command, and turns errors into one line and an exit code.

Only the called command is imported: the recorder must not use memory for the simulator and the tables.
"""

from __future__ import annotations

import os
import sys
import traceback
from importlib import import_module
from typing import Annotated

import typer

from hk_tick_collector import __version__
from hk_tick_collector.errors import CollectorError, ConfigError

DEBUG = "--debug"

# name → (module, function), in the order of the help.
COMMANDS = {
    "run": ("run_cmd", "run_command"),
    "status": ("status_cmd", "status_command"),
    "verify": ("verify_cmd", "verify_command"),
    "audit": ("audit_cmd", "audit_command"),
    "seal": ("seal_cmd", "seal_command"),
    "days": ("days_cmd", "days_command"),
    "gaps": ("gaps_cmd", "gaps_command"),
    "sql": ("sql_cmd", "sql_command"),
    "repair": ("repair_cmd", "repair_command"),
    "rebuild": ("rebuild_cmd", "rebuild_command"),
    "journal": ("journal_cmd", "journal_command"),
    "merge": ("merge_cmd", "merge_command"),
    "doctor": ("doctor_cmd", "doctor_command"),
    "config": ("config_cmd", "config_command"),
    "demo": ("demo_cmd", "demo_command"),
    "simulate": ("simulate_cmd", "simulate_command"),
    "verdict": ("verdict_cmd", "verdict_command"),
}


def build(only: str | None = None) -> typer.Typer:
    """The application, with one command; with all if the name is None or unknown."""
    app = typer.Typer(
        name="hk-tick-collector",
        help="Records every Hong Kong stock trade from Futu OpenD into SQLite: once, exactly, with the right time.",
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,
        rich_markup_mode=None,
        context_settings={"help_option_names": ["-h", "--help"]},
    )

    @app.callback()
    def options(
        *,
        version: Annotated[
            bool, typer.Option("--version", help="Show the version.", callback=_version, is_eager=True)
        ] = False,
        debug: Annotated[bool, typer.Option(DEBUG, help="Show tracebacks.")] = False,
    ) -> None:
        pass

    for name in [only] if only in COMMANDS else COMMANDS:
        module, function = COMMANDS[name]
        app.command(name)(getattr(import_module(f"hk_tick_collector.cli.{module}"), function))
    return app


def _version(*, value: bool) -> None:
    if value:
        typer.echo(f"hk-tick-collector {__version__}")
        raise typer.Exit


def entry() -> None:
    """Run the command of `sys.argv`; exits with 0 for success, 1 for a fault, 2 for wrong usage or settings."""
    _open_standard_files()
    # A common workaround for the vendor's SDK, often set for all programs. It makes decoding 25 times slower.
    os.environ.pop("PROTOCOL_BUFFERS_PYTHON_IMPLEMENTATION", None)
    name = next((word for word in sys.argv[1:] if not word.startswith("-")), None)
    try:
        build(name)()
    except ConfigError as exc:
        _fail(exc, 2)
    except CollectorError as exc:
        _fail(exc, 1)
    except KeyboardInterrupt:
        sys.exit(130)
    except BrokenPipeError:
        sys.stderr.close()
        sys.exit(0)
    except Exception as exc:  # noqa: BLE001 - the last supervisor: no traceback reaches an operator who did not ask
        _fail(exc, 1, f"internal error: {type(exc).__name__}: {exc}; run it again as `hk-tick-collector --debug …`")


def _open_standard_files() -> None:
    """Open standard files that the parent closed; else the next file opened gets that number, and our output."""
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # it gets the lowest number that is free
            setattr(sys, name, open(number, "w" if number else "r", closefd=False))  # noqa: SIM115


def _fail(exc: BaseException, code: int, line: str = "") -> None:
    if DEBUG in sys.argv:
        traceback.print_exception(exc)
    text = " ".join((line or str(exc)).split())
    from hk_tick_collector.logs import priority  # noqa: PLC0415 - only a command that fails needs it

    sys.stderr.write(f"{priority('ERROR', sys.stderr)}hk-tick-collector: {text}\n")
    sys.exit(code)


if __name__ == "__main__":
    entry()
