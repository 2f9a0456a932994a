"""The command line's entry: help, versions, exit codes, one line for each error, and what is not imported."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from importlib import import_module
from typing import TYPE_CHECKING, NoReturn

import pytest
from support.merging import record
from support.ticks import row

from hk_tick_collector import __version__
from hk_tick_collector.cli import app
from hk_tick_collector.config import NAMES
from hk_tick_collector.errors import AlreadyRunningError, CollectorError, ConfigError, DatabaseNewerError, JournalError
from hk_tick_collector.hktime import parse_time

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.processes  # the program, as it is called

TIMEOUT_SEC = 60.0


@pytest.fixture(autouse=True)
def _clean_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in (*NAMES, "HK_TICK_CONFIG"):
        monkeypatch.delenv(name, raising=False)


def run(*arguments: str, columns: int = 100, **environ: str) -> subprocess.CompletedProcess[str]:
    """The real program, called so."""
    return subprocess.run(
        [sys.executable, "-m", "hk_tick_collector.cli.app", *arguments],
        capture_output=True,
        text=True,
        timeout=TIMEOUT_SEC,
        env={**os.environ, "COLUMNS": str(columns), **environ},
        stdin=subprocess.DEVNULL,
        check=False,
    )


@pytest.mark.parametrize("option", ["-V", "--version"])
def test_version_is_the_packages(option: str) -> None:
    """One line on standard output."""
    result = run(option)
    assert (result.returncode, result.stdout, result.stderr) == (0, f"hk-tick-collector {__version__}\n", "")


@pytest.mark.parametrize("option", ["-h", "--help"])
def test_help_names_every_command(option: str) -> None:
    """In the order of the table, each with what it does."""
    result = run(option)
    assert (result.returncode, result.stderr) == (0, "")
    listed = re.findall(r"^  ([a-z]+) {2,}\S", result.stdout, re.MULTILINE)
    assert [name for name in listed if name in app.COMMANDS] == list(app.COMMANDS)
    headings = re.findall(r"^(\S.*):$", result.stdout, re.MULTILINE)
    assert headings == ["Options", *app.HEADINGS.values()]


@pytest.mark.parametrize("columns", [50, 80, 200])
def test_help_cuts_no_summary(columns: int) -> None:
    """Each command's whole sentence is there, over several lines if the terminal is narrow."""
    result = run("--help", columns=columns)
    text = " ".join(result.stdout.split()).replace("- ", "-")
    for module, function in app.COMMANDS.values():
        told = getattr(import_module(f"{OWN}.cli.{module}"), function).__doc__
        assert " ".join(told.partition("\n\n")[0].split()) in text
    assert "..." not in text.partition("Record:")[2]
    assert max(map(len, result.stdout.splitlines())) <= max(columns, 80)


def test_without_a_command_it_helps() -> None:
    """The help, and an exit code that tells a script that nothing was done."""
    result = run()
    assert result.returncode == 2
    assert "Usage: " in result.stdout + result.stderr


@pytest.mark.parametrize("name", app.COMMANDS)
def test_every_command_has_help(name: str) -> None:
    """`-h` says how it is called and what it does, in plain text."""
    result = run(name, "-h")
    assert (result.returncode, result.stderr) == (0, "")
    usage, _, text = result.stdout.partition("\n")
    assert re.fullmatch(rf"Usage: .* {name} .*", usage.strip())
    assert len(text.split("Options:")[0].split()) > 4
    assert "\x1b" not in result.stdout


@pytest.mark.parametrize("arguments", [("fly",), ("run", "--no-such-option"), ("sql", "20260101", "too", "many")])
def test_wrong_usage_exits_2(arguments: tuple[str, ...]) -> None:
    """It says what was wrong and never a traceback."""
    result = run(*arguments)
    assert (result.returncode, result.stdout) == (2, "")
    assert arguments[-1] in result.stderr
    assert "Traceback" not in result.stderr


@pytest.mark.parametrize(
    "arguments", [("run", "--data-root", "x"), ("sql", "--data-root", "x"), ("status", "--data-root", "x")]
)
def test_a_real_configuration_fault_is_one_line_and_2(arguments: tuple[str, ...]) -> None:
    """No symbols, or nothing recorded: the line begins with the program's name."""
    result = run(*arguments)
    assert (result.returncode, result.stdout) == (2, "")
    assert re.fullmatch(r"hk-tick-collector: [^\n]+\n", result.stderr)


def raising(error: BaseException, monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    """Run the entry with a command that raises this; its exit code."""

    def command() -> NoReturn:
        raise error

    monkeypatch.setattr(app, "build", lambda _name: command)
    monkeypatch.setattr(sys, "argv", ["hk-tick-collector", *arguments])
    with pytest.raises(SystemExit) as caught:
        app.entry()
    assert isinstance(caught.value.code, int)
    return caught.value.code


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (ConfigError("FUTU_PORT is 0,\n  expected 1 to 65535"), 2),
        (AlreadyRunningError("in\tuse"), 2),
        (DatabaseNewerError("newer"), 2),
        (CollectorError("two\nlines"), 1),
        (JournalError("gone"), 1),
    ],
)
def test_an_error_of_ours_is_one_line_and_its_exit_code(
    error: Exception, code: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """2 for what the operator can mend, 1 for the rest; a message of several lines becomes one."""
    assert raising(error, monkeypatch, "run") == code
    out, err = capsys.readouterr()
    assert (out, err) == ("", f"hk-tick-collector: {' '.join(str(error).split())}\n")


def test_a_bug_is_one_line_that_says_how_to_see_more(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """No traceback for an operator who did not ask for one."""
    assert raising(KeyError("x"), monkeypatch, "run") == 1
    _, err = capsys.readouterr()
    assert err == "hk-tick-collector: internal error: KeyError: 'x'; run it again as `hk-tick-collector --debug …`\n"


@pytest.mark.parametrize("error", [KeyError("x"), ConfigError("bad port")])
def test_debug_shows_the_traceback(
    error: Exception, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Of any error, and the line still comes last."""
    raising(error, monkeypatch, "--debug", "run")
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == "Traceback (most recent call last):"
    assert any("raise error" in line for line in lines)
    assert lines[-1].startswith("hk-tick-collector: ")


def test_ctrl_c_exits_as_shells_expect(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """130, and nothing is said."""
    assert raising(KeyboardInterrupt(), monkeypatch, "run") == 130
    assert capsys.readouterr() == ("", "")


def test_debug_in_front_of_a_command_is_an_option_of_all() -> None:
    """As the hint says: `hk-tick-collector --debug …`."""
    result = run("--debug", "sql", "--data-root", "x")
    assert result.returncode == 2
    assert result.stderr.startswith("Traceback (most recent call last):\n")
    assert result.stderr.splitlines()[-1].startswith("hk-tick-collector: no recordings in ")


def test_a_working_directory_that_is_gone_is_one_line(tmp_path: Path) -> None:
    """What needs none still works; what does says so, and what to do."""
    gone = tmp_path / "gone"
    script = (
        f"import os; os.mkdir({str(gone)!r}); os.chdir({str(gone)!r}); os.rmdir({str(gone)!r})\n"
        "import sys; sys.argv = {argv}\n"
        f"from {OWN}.cli.app import entry; entry()"
    )
    for argv, code, said in (
        (["x", "days"], 2, "hk-tick-collector: the working directory is gone: change to one that exists, or pass "),
        (["x", "run", "--symbols", "700"], 2, "hk-tick-collector: the working directory is gone: change to one that "),
        (["x", "days", "--data-root", str(tmp_path)], 2, "hk-tick-collector: no day in "),
    ):
        done = subprocess.run(
            [sys.executable, "-c", script.format(argv=argv)], capture_output=True, text=True, check=False
        )
        assert (done.returncode, done.stdout, done.stderr[: len(said)]) == (code, "", said)
        assert len(done.stderr.splitlines()) == 1


def test_what_the_system_refuses_is_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A file and the system's reason; not an internal error, for it is none."""
    assert raising(PermissionError(13, "Permission denied", "/x/cursor.json"), monkeypatch, "days") == 1
    assert capsys.readouterr().err == "hk-tick-collector: /x/cursor.json: Permission denied\n"
    assert raising(OSError(28, "No space left on device"), monkeypatch, "days") == 1
    assert capsys.readouterr().err == "hk-tick-collector: No space left on device\n"


def test_a_terminal_without_a_character_shows_another_one(tmp_path: Path) -> None:
    """An ASCII locale is no fault."""
    (tmp_path / "x.toml").write_text('futu_host = "\u00e9"', encoding="utf-8")
    result = run("config", "--json", "--config", "x.toml", PYTHONIOENCODING="ascii", PYTHONUTF8="0")
    assert "internal error" not in result.stderr
    assert run("audit", "--help", PYTHONIOENCODING="ascii").returncode == 0


def complete(*words: str, root: Path | None = None) -> list[str]:
    """What a shell is offered for the last of these words."""
    line = " ".join(["hk-tick-collector", *words])
    environ = {"DATA_ROOT": str(root)} if root else {}
    script = f"import sys; sys.argv = ['hk-tick-collector']\nfrom {OWN}.cli.app import entry; entry()"
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=TIMEOUT_SEC, check=True,
        env={
            **os.environ, **environ, "_HK_TICK_COLLECTOR_COMPLETE": "complete_bash",
            "COMP_WORDS": line, "COMP_CWORD": str(len(words)), "_TYPER_COMPLETE_ARGS": line,
        },
    )  # fmt: skip
    assert done.stderr == ""
    return done.stdout.split()


def test_a_shell_completes_commands_and_options() -> None:
    """As typer's script asks."""
    assert complete("st") == ["status"]
    assert complete("s") == ["status", "sql", "seal", "simulate"]
    assert complete("days", "--si") == ["--since"]


def test_completion_is_shown_for_a_shell() -> None:
    """The script that `--install-completion` puts in place; a command that records offers no such option."""
    script = (
        "import sys; sys.argv = ['hk-tick-collector', '--show-completion', 'bash']\n"
        f"from {OWN}.cli.app import entry; entry()"
    )
    environ = {**os.environ, "_TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION": "1"}
    done = subprocess.run([sys.executable, "-c", script], env=environ, capture_output=True, text=True, check=True)
    assert "complete -o default -F _hk_tick_collector_completion hk-tick-collector" in done.stdout


def test_a_shell_completes_days_and_symbols_that_exist(tmp_path: Path) -> None:
    """Of the DATA_ROOT in force, or the one that was typed; without one nothing is offered, and nothing is said."""
    for day, symbol in (("20261119", "HK.00005"), ("20261120", "HK.00700")):
        ts_ms = parse_time(f"{day}100000").ms
        record(tmp_path / f"{day}.db", [row(symbol, 1, ts_ms)])
    assert complete("sql", "2", root=tmp_path) == ["20261120", "20261119"]
    assert complete("audit", "--day", "2026-11-2", root=tmp_path) == ["2026-11-20"]
    assert complete("gaps", "--data-root", str(tmp_path), "--symbol", "7") == ["700"]
    assert complete("gaps", "--symbol", "hk", root=tmp_path) == ["hk.00700"]
    assert complete("sql", "2", root=tmp_path / "nowhere") == []


def test_a_closed_pipe_is_no_fault() -> None:
    """`hk-tick-collector config | head -0` says nothing on standard error."""
    read_end, write_end = os.pipe()
    os.close(read_end)
    try:
        result = subprocess.run(
            [sys.executable, "-m", "hk_tick_collector.cli.app", "config", "--json"],
            stdout=write_end, stderr=subprocess.PIPE, text=True, timeout=TIMEOUT_SEC, check=False,
        )  # fmt: skip
    finally:
        os.close(write_end)
    assert (result.returncode, result.stderr) == (0, "")


def modules_after(code: str) -> set[str]:
    """What a process has imported when it has run this."""
    script = f"import json, sys\n{code}\nprint(json.dumps(sorted(sys.modules)))"
    result = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=TIMEOUT_SEC, check=True
    )
    return set(json.loads(result.stdout))


def loaded_by_us(code: str) -> set[str]:
    """The same without what structlog brings along, which is rich and asyncio, whoever wants them or not."""
    return modules_after(code) - modules_after("import structlog")


def loaded(modules: set[str], *names: str) -> set[str]:
    """Which of these packages, or anything in them, are among the modules."""
    return {name for name in names if any(m == name or m.startswith(name + ".") for m in modules)}


SDK = ("futu", "pandas", "numpy", "sqlite3")
OWN = "hk_tick_collector"


def test_the_recorder_carries_nothing_that_it_does_not_need() -> None:
    """`run` without a key, with all that it imports later: no simulator, no tables, no encryption, no other command."""
    modules = loaded_by_us(f"from {OWN}.cli.app import build; build('run'); import {OWN}.main")
    others = [f"{OWN}.cli.{module}" for name, (module, _) in app.COMMANDS.items() if name != "run"]
    assert loaded(modules, f"{OWN}.futu_client")
    assert not loaded(modules, "rich", "cryptography", f"{OWN}.simulator", f"{OWN}.demo", "apsw.shell", *others, *SDK)


@pytest.mark.parametrize("name", app.COMMANDS)
def test_only_the_called_commands_module_is_imported(name: str) -> None:
    """Whatever the others need is not paid for."""
    modules = modules_after(f"from {OWN}.cli.app import build; build({name!r})")
    mine = app.COMMANDS[name][0]
    assert loaded(modules, f"{OWN}.cli.{mine}")
    others = {module for module, _ in app.COMMANDS.values()} - {mine}
    assert not loaded(modules, *(f"{OWN}.cli.{module}" for module in others), *SDK)


def test_the_writer_carries_no_session() -> None:
    """It never talks to OpenD: neither the client, nor encryption, nor the command line."""
    modules = loaded_by_us(f"import {OWN}.writer")
    assert not loaded(
        modules,
        f"{OWN}.futu_client",
        f"{OWN}.cli",
        f"{OWN}.simulator",
        "typer",
        "rich",
        "cryptography",
        "asyncio",
        *SDK,
    )


def test_a_slow_protobuf_that_is_asked_for_by_the_environment_is_not_taken() -> None:
    """The workaround for the vendor's SDK is meant for that one; ours would be 25 times slower."""
    code = (
        "import sys; sys.argv = ['hk-tick-collector', '--version']\n"
        "from hk_tick_collector.cli import app\n"
        "try: app.entry()\n"
        "except SystemExit: pass\n"
        "from google.protobuf.internal import api_implementation\n"
        "print(api_implementation.Type())"
    )
    environ = {**os.environ, "PROTOCOL_BUFFERS_PYTHON_IMPLEMENTATION": "python"}
    done = subprocess.run([sys.executable, "-c", code], env=environ, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "upb"


def test_an_error_is_an_error_for_the_journal(tmp_path: Path) -> None:
    """Where systemd's journal reads standard error, the line that names the setting has the priority of an error."""
    with (tmp_path / "stderr").open("w") as stderr:
        status = os.fstat(stderr.fileno())
        for stream, inode in ((stderr, status.st_ino), (stderr, status.st_ino + 1)):
            env = {**os.environ, "JOURNAL_STREAM": f"{status.st_dev}:{inode}", "BATCH_SIZE": "many"}
            command = [sys.executable, "-m", "hk_tick_collector.cli.app", "run"]
            done = subprocess.run(command, stderr=stream, env=env, timeout=TIMEOUT_SEC, check=False)
            assert done.returncode == 2
    shown, hidden = (tmp_path / "stderr").read_text().splitlines()
    assert re.match("<3>hk-tick-collector: .*BATCH_SIZE", shown)
    assert re.match("hk-tick-collector: .*BATCH_SIZE", hidden)
