"""The command line's entry: finds the command, and turns errors into one line and an exit code.

Only the called command is imported: the recorder must not use memory for the simulator and the tables.
"""

from __future__ import annotations

import os
import sys
import traceback
from importlib import import_module
from typing import Annotated, Any, Final, NoReturn

import typer
from typer.core import TyperGroup

from hk_tick_collector import __version__
from hk_tick_collector.cli.completion import completing
from hk_tick_collector.cli.console import print_in_any_encoding
from hk_tick_collector.errors import CollectorError, ConfigError
from hk_tick_collector.store.portable import is_linux, system_name

DEBUG = "--debug"
HELP: Final = frozenset({"-h", "--help"})

# name → (module, function), in the order of the help.
COMMANDS = {
    "run": ("run_cmd", "run_command"),
    "config": ("config_cmd", "config_command"),
    "doctor": ("doctor_cmd", "doctor_command"),
    "status": ("status_cmd", "status_command"),
    "sql": ("sql_cmd", "sql_command"),
    "days": ("days_cmd", "days_command"),
    "gaps": ("gaps_cmd", "gaps_command"),
    "journal": ("journal_cmd", "journal_command"),
    "export": ("export_cmd", "export_command"),
    "verify": ("verify_cmd", "verify_command"),
    "audit": ("audit_cmd", "audit_command"),
    "compare": ("compare_cmd", "compare_command"),
    "seal": ("seal_cmd", "seal_command"),
    "archive": ("archive_cmd", "archive_command"),
    "repair": ("repair_cmd", "repair_command"),
    "rebuild": ("rebuild_cmd", "rebuild_command"),
    "merge": ("merge_cmd", "merge_command"),
    "import": ("import_cmd", "import_command"),
    "migrate": ("migrate_cmd", "migrate_command"),
    "demo": ("demo_cmd", "demo_command"),
    "simulate": ("simulate_cmd", "simulate_command"),
    "verdict": ("verdict_cmd", "verdict_command"),
}
# The headings of the help, each before the first command under it.
HEADINGS = {
    "run": "Record",
    "status": "Look",
    "verify": "Prove",
    "archive": "Keep and use",
    "repair": "Repair",
    "demo": "Rehearse, without an account",
}
_HELP = """Records every Hong Kong stock trade from Futu OpenD into SQLite: once, exactly, with the right time.

A DAY is written today, yesterday, 20261120 or 2026-11-20. `hk-tick-collector COMMAND --help` says more.
"""


# They run a recorder, or change what one has stored, and rely on Linux's locks, signals and /proc.
NEED_LINUX: Final = frozenset({"run", "seal", "archive", "repair", "rebuild", "merge", "import", "doctor", "demo"})


class Commands(TyperGroup):
    """The commands in the help: under headings, each with its whole summary, however narrow the terminal is."""

    def format_commands(self, ctx: Any, formatter: Any) -> None:  # noqa: ANN401 - of whichever click typer uses
        """Write them."""
        heading, rows = "Commands", dict[str, list[tuple[str, str]]]()
        for name in self.list_commands(ctx):
            heading = HEADINGS.get(name, heading)
            command = self.get_command(ctx, name)
            summary = ((command and command.help) or "").partition("\n\n")[0]
            rows.setdefault(heading, []).append((name, " ".join(summary.split())))
        width = max(len(name) for name in self.list_commands(ctx))
        for heading, under in rows.items():
            with formatter.section(heading):
                formatter.write_dl([(name.ljust(width), summary) for name, summary in under])


def build(only: str | None = None, beginning: str = "") -> typer.Typer:
    """The application, with one command; if it is None or unknown, with each whose name starts with `beginning`.

    The options that install shell completion come with all of them only: a recorder has no use for them.
    """
    is_one = only in COMMANDS
    app = typer.Typer(
        name="hk-tick-collector",
        cls=Commands,
        help=_HELP,
        no_args_is_help=True,
        add_completion=not is_one or completing() is not None,
        pretty_exceptions_enable=False,
        rich_markup_mode=None,
        context_settings={"help_option_names": sorted(HELP)},
    )

    @app.callback()
    def options(
        *,
        version: Annotated[
            bool, typer.Option("--version", "-V", help="Show the version.", callback=_version, is_eager=True)
        ] = False,
        debug: Annotated[bool, typer.Option(DEBUG, help="Show the traceback of an error.")] = False,
    ) -> None:
        pass

    for name in [only] if only in COMMANDS else [name for name in COMMANDS if name.startswith(beginning)]:
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
    print_in_any_encoding()
    # A common workaround for the vendor's SDK, often set for all programs. It makes decoding 25 times slower.
    os.environ.pop("PROTOCOL_BUFFERS_PYTHON_IMPLEMENTATION", None)
    words = completing()
    try:
        try:
            if words is not None:
                _complete(words)
            else:
                name = next((word for word in sys.argv[1:] if not word.startswith("-")), None)
                _require_system(name)
                build(name)()
        finally:
            sys.stdout.flush()  # here, where a reader that has gone is no fault
    except ConfigError as exc:
        _fail(exc, 2)
    except CollectorError as exc:
        _fail(exc, 1)
    except KeyboardInterrupt:
        sys.exit(130)
    except SystemExit as exc:
        if isinstance(exc.__context__, BrokenPipeError):  # typer has seen it first
            _leave_pipe()
        raise
    except BrokenPipeError:
        _leave_pipe()
    except OSError as exc:
        _fail(exc, *_of_system(exc))
    except Exception as exc:  # noqa: BLE001 - the last supervisor: no traceback reaches an operator who did not ask
        _fail(exc, 1, f"internal error: {type(exc).__name__}: {exc}; run it again as `hk-tick-collector --debug …`")


def _require_system(name: str | None) -> None:
    """Refuse a command that can't run on this system; its help can be shown."""
    if is_linux() or name not in NEED_LINUX or HELP & set(sys.argv):
        return
    what = "recording" if name == "run" else f"`{name}`"
    raise ConfigError(
        f"{what} needs Linux, and this is {system_name()}: use Linux, WSL2 or Docker; "
        "what was recorded can be read here"
    )


def _complete(words: list[str]) -> None:
    """Answer a shell. Only the command that is being typed is imported, or those whose names begin so."""
    known = next((word for word in words[:-1] if word in COMMANDS), None)
    last = words[-1]
    build(known, "" if last.startswith("-") else last)()


def _leave_pipe() -> NoReturn:
    """End quietly: the reader of the output, such as `head`, has all that it wanted."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    sys.exit(0)


def _of_system(exc: OSError) -> tuple[int, str]:
    """The exit code and the line for what the system refused: a permission, a full disk, a file that went away."""
    try:
        os.getcwd()  # noqa: PTH109 - Path.cwd() is the same call
    except OSError:
        return 2, "the working directory is gone: change to one that exists, and try again"
    what = f"{exc.filename}: " if exc.filename is not None else ""
    return 1, f"{what}{exc.strerror or exc}"


def _open_standard_files() -> None:
    """Open standard files that the parent closed; else the next file opened gets that number, and our output."""
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # it gets the lowest number that is free
            setattr(sys, name, open(number, "w" if number else "r", closefd=False))  # noqa: SIM115


def _fail(exc: BaseException, code: int, line: str = "") -> NoReturn:
    if DEBUG in sys.argv:
        traceback.print_exception(exc)
    text = " ".join((line or str(exc)).split())
    from hk_tick_collector.logs import priority  # noqa: PLC0415 - only a command that fails needs it

    sys.stderr.write(f"{priority('ERROR', sys.stderr)}hk-tick-collector: {text}\n")
    sys.exit(code)


if __name__ == "__main__":
    entry()
