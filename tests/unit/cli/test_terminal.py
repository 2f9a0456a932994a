"""What a database holds, on a terminal: shown, and never obeyed."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
import threading
from typing import TYPE_CHECKING

import pytest
from support.bodies import TICK_TS_MS

from hk_tick_collector.cli.console import cell
from hk_tick_collector.cli.listing import Listing
from hk_tick_collector.db import DayDatabase, Pragmas
from hk_tick_collector.text import PlainTerminal

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.processes  # the program, as it is called

EVIL = "HK.\x1b]0;owned\x07\x9b2J\u202e[/]"
SHOWN = "HK.\ufffd]0;owned\ufffd\ufffd2J\ufffd[/]"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A day in which an older version stored a symbol as it was pushed."""
    database = DayDatabase(tmp_path / "20200330.db", Pragmas())
    row = (EVIL, 1, TICK_TS_MS, 372.4, 60, 22344.0, 3, 6, 0, 1, TICK_TS_MS + 100, TICK_TS_MS + 200)
    database.store({EVIL: [row]}, {})
    database.close()
    return tmp_path


def command(root: Path, *arguments: str) -> tuple[list[str], dict[str, str]]:
    """A call of the program in that DATA_ROOT, and its environment."""
    env = {**os.environ, "DATA_ROOT": str(root), "TERM": "xterm-256color", "COLUMNS": "200"}
    return [sys.executable, "-m", "hk_tick_collector.cli.app", *arguments], env


def on_a_terminal(root: Path, *arguments: str, stdin: str | None = None) -> str:
    """What reaches a terminal; what is read from one, too, if anything is."""
    ours, its = pty.openpty()
    call, env = command(root, *arguments)
    read: list[bytes] = []

    def listen() -> None:
        try:
            while data := os.read(ours, 65_536):
                read.append(data)
        except OSError:  # the other end is closed
            pass

    listener = threading.Thread(target=listen)
    listener.start()
    process = subprocess.Popen(call, env=env, cwd=root, stdin=its if stdin else subprocess.DEVNULL, stdout=its)
    if stdin:
        os.write(ours, stdin.encode())
    assert process.wait(60) in {0, 1}
    os.close(its)
    listener.join()
    os.close(ours)
    return b"".join(read).decode()


@pytest.mark.parametrize(
    "arguments", [("status",), ("audit",), ("sql", "-e", "SELECT symbol FROM ticks"), ("sql", "-e", ".dump ticks")]
)
def test_a_symbol_can_not_steer_a_terminal(root: Path, arguments: tuple[str, ...]) -> None:
    """Whichever command shows it: neither ESC nor its one-byte form, nor a mark of direction, and no markup is read."""
    text = on_a_terminal(root, *arguments)
    assert "owned" in text
    assert SHOWN in text
    assert "\x1b]" not in text
    assert not set("\x07\x9b\u202e") & set(text)


def test_a_person_at_the_shell_is_shown_no_control_characters(root: Path) -> None:
    """What is typed is answered as it is; lines end as they should."""
    text = on_a_terminal(root, "sql", stdin="SELECT symbol, 'a' FROM ticks;\n.exit\n")
    assert "owned" in text.split("\n", 3)[-1]
    assert not set("\x07\x9b\u202e") & set(text)
    assert "\x1b]" not in text


def test_a_pipe_gets_what_is_stored(root: Path) -> None:
    """Another program wants the bytes: of SQL, and as JSON, which escapes them."""
    call, env = command(root, "sql", "-e", "SELECT symbol FROM ticks")
    assert subprocess.run(call, env=env, cwd=root, stdout=subprocess.PIPE, check=True).stdout.decode() == EVIL + "\n"
    call, env = command(root, "status", "--json")
    told = json.loads(subprocess.run(call, env=env, cwd=root, stdout=subprocess.PIPE, check=False).stdout)
    assert [entry["symbol"] for entry in told["symbols"]] == [EVIL]


def test_cells_and_lists_are_plain() -> None:
    """Of tables that no test above shows: their texts go through these two."""
    assert cell(EVIL).plain == SHOWN
    listing = Listing("symbol", ">n")
    listing.add(EVIL, 1)
    assert listing.text(is_coloured=False) == f"symbol{' ' * (len(SHOWN) - 6)}  n\n{SHOWN}  1"


def test_a_plain_terminal_is_one_in_all_else() -> None:
    """Lines, tabs and long texts pass; what it does not know it asks of the stream."""
    read, write = os.pipe()
    with os.fdopen(write, "w") as stream:
        terminal = PlainTerminal(stream)
        terminal.write("a\tb\n" + "x" * 1000 + "\r\x1b")
        assert terminal.fileno() == write
        assert not terminal.isatty()
    with os.fdopen(read) as stream:
        assert stream.read() == "a\tb\n" + "x" * 1000 + " \ufffd"
