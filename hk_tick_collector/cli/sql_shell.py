"""The shell of `sql`: apsw's, which knows most dot commands of SQLite's own, on one day and read-only.

Owns where it differs from apsw's: `.output` without a file name and at the end, `.once`, where `.help` goes, what is
refused because it would leave the day, and that an error is reported once. Text from the database reaches a terminal
without control characters, and a file or a pipe unchanged.
"""

from __future__ import annotations

import contextlib
import io
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Self, cast

import apsw
from apsw.shell import Shell

from hk_tick_collector.cli.outputs import refuse_recorder_file
from hk_tick_collector.errors import CollectorError, ConfigError
from hk_tick_collector.text import PlainTerminal

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import TextIO

_STDOUT: Final = "stdout"


class DayShell(Shell):
    """A shell on an open database. As a context manager it closes what `.output` opened, and the database."""

    def __init__(self, con: apsw.Connection, *, is_person: bool) -> None:
        """Nothing is read yet.

        Args:
            con: the day's database.
            is_person: errors go to standard error, and the shell goes on, as for a person who types. Otherwise
                `fault_of` returns them.
        """
        self._is_once = False
        self._is_person = is_person
        is_terminal = sys.stdout.isatty()
        super().__init__(
            stdout=cast("TextIO", PlainTerminal(sys.stdout)) if is_terminal else None,
            stderr=None if is_person else io.StringIO(),
            db=con,
        )
        if is_terminal:
            self.command_colour(["off"])  # its own colours are escape sequences, too

    def __enter__(self) -> Self:
        """Itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close the file that `.output` opened, if any, and the database.

        Raises:
            CollectorError: the last of the output could not be written.
        """
        output = self.stdout
        try:
            self.command_output([])
        except BrokenPipeError:
            raise
        except OSError as exc:
            if output is not self._original_stdout:
                with contextlib.suppress(OSError):  # of the same write
                    output.close()
            raise CollectorError(f"the output could not be written: {exc.strerror}") from exc
        finally:
            self.db.close()

    def fault_of(self, statement: str) -> str | None:
        """Run a statement or a dot command. Returns what is wrong with it, in one line; None: it was done."""
        self.stderr = held = io.StringIO()  # errors are written there as well as raised
        try:
            self.process_complete_line(statement)
        except BrokenPipeError:
            raise
        except OSError as exc:
            return f"{exc.filename}: {exc.strerror}" if exc.filename else str(exc.strerror or exc)
        except (apsw.Error, Shell.Error, ValueError, TypeError, LookupError, AttributeError) as exc:
            return " ".join(str(exc).split()) or type(exc).__name__
        sys.stderr.write(held.getvalue())
        return None

    def cmdloop(self, *args: Any, **options: Any) -> None:
        """Like apsw's; without a home directory, the history of what was typed is not kept."""
        try:
            super().cmdloop(*args, **options)
        except (FileNotFoundError, PermissionError) as exc:
            self.write_error(f"the history was not saved to {exc.filename or self.history_file}: {exc.strerror}\n")

    def process_sql(self, *args: Any, **options: Any) -> None:
        """Like apsw's; what `.once` asked for ends with it."""
        try:
            super().process_sql(*args, **options)
        finally:
            if self._is_once and not options.get("internal"):
                self.command_output([])

    def command_output(self, cmd: list[str]) -> None:
        """output ?FILENAME?: Send output to FILENAME, or back to standard output (also `stdout`)

        The file is closed at the next .output, and at the end. `off` discards what follows.
        """
        self._is_once = False
        name = cmd[0] if cmd else _STDOUT
        if name.startswith("|"):
            raise Shell.Error("a pipe is not supported: pipe the output of hk-tick-collector itself")
        if name.startswith("-") or len(cmd) > 1:
            raise Shell.Error(f"seen {' '.join(cmd)!r}, expected one file name and no option")
        if name != _STDOUT and Path(name).exists() and Path(name).samefile(self.db.filename):
            raise Shell.Error(f"{name} is the day itself, expected another file")
        if name != _STDOUT:
            self._check_target(name)
        super().command_output([os.devnull if name == "off" else name])

    def command_once(self, cmd: list[str]) -> None:
        """once FILENAME: Send the output of the next statement to FILENAME"""
        if not cmd:
            raise Shell.Error("expected a file name")
        self.command_output(cmd)
        self._is_once = True

    def command_backup(self, cmd: list[str]) -> None:
        """backup ?DB? FILE: Copy DB (default "main") to FILE"""
        for name in cmd[-1:]:
            self._check_target(name)
        super().command_backup(cmd)

    def command_pages_svg(self, cmd: list[str]) -> None:
        """pages_svg FILENAME: Write a drawing of how the database uses its pages to FILENAME"""
        for name in cmd[-1:]:
            self._check_target(name)
        super().command_pages_svg(cmd)

    def command_help(self, cmd: list[str]) -> None:
        """help ?COMMAND?: Shows list of commands and their usage

        `.help all` shows all of them in detail.
        """
        self._to_stdout(super().command_help, cmd)

    def command_show(self, cmd: list[str]) -> None:
        """show: Show the current settings for various options."""
        self._to_stdout(super().command_show, cmd)

    def command_read(self, cmd: list[str]) -> None:
        """read FILENAME: Run the statements and dot commands in a file"""
        if cmd and cmd[0].lower().endswith(".py"):
            raise Shell.Error("a Python file is not supported, expected SQL and dot commands")
        super().command_read(cmd)

    def _check_target(self, name: str) -> None:
        """Refuse a file of the recorder's: a person is told and goes on, a script ends.

        Raises:
            Shell.Error: it is one, and a person typed it.
            ConfigError: it is one, in a script.
        """
        try:
            refuse_recorder_file(Path(name))
        except ConfigError as exc:
            if self._is_person:
                raise Shell.Error(str(exc)) from exc
            raise

    def _to_stdout(self, command: Callable[[list[str]], None], cmd: list[str]) -> None:
        """SQLite's shell writes these to standard output, where a pager may read them; apsw's to standard error."""
        held, self.stderr = self.stderr, self.stdout
        try:
            command(cmd)
        finally:
            self.stderr = held


def _refused(name: str, why: str) -> Callable[[DayShell, list[str]], None]:
    """A dot command that is not supported here, with its line in the help."""

    def command(_: DayShell, __: list[str]) -> None:
        raise Shell.Error(f".{name} is not supported here: {why}")

    command.__doc__ = f"{name}: Not supported here: {why}"
    return command


for _name, _why in {
    "open": "this shell reads one day; start it again with another DAY",
    "connection": "this shell reads one day; start it again with another DAY",
    "close": "this shell reads one day; .exit ends it",
    "restore": "the day is open read-only",
    "import": "the day is open read-only",
    "autoimport": "the day is open read-only",
    "load": "no extension is loaded; use SQLite's own shell with mode=ro",
    "py": "use Python with apsw, which comes with this program",
    "vfsname": "use SQLite's own shell",
}.items():
    setattr(DayShell, f"command_{_name}", _refused(_name, _why))
