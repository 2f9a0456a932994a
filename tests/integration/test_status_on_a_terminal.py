"""`status` on a real terminal of 80 by 24, while a real recorder of 50 symbols is cut off."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import signal
import struct
import subprocess
import sys
import termios
import threading
from typing import TYPE_CHECKING

import pytest
from support.recorder_process import RecorderProcess, until
from support.simulator_process import SimulatorProcess

from hk_tick_collector.simulator.universe import universe
from hk_tick_collector.status.trouble_table import cure
from hk_tick_collector.status.troubles import Trouble

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

SYMBOLS = 50
HEIGHT, WIDTH = 24, 80
COMMAND = (sys.executable, "-m", "hk_tick_collector.cli.app", "status", "--data-root")
_STYLE = re.compile(r"\x1b\[[0-9;]*m")


class Terminal:
    """A terminal on which `status` runs; `text` is all that reached it."""

    def __init__(self, data_root: Path, *arguments: str) -> None:
        ours, its = pty.openpty()
        fcntl.ioctl(its, termios.TIOCSWINSZ, struct.pack("HHHH", HEIGHT, WIDTH, 0, 0))
        env = {"PATH": os.environ["PATH"], "TERM": "xterm-256color"}
        self.process = subprocess.Popen(
            [*COMMAND, str(data_root), *arguments], env=env, cwd=data_root, stdin=its, stdout=its, stderr=its
        )
        os.close(its)
        self.text = ""
        self._reader = threading.Thread(target=self._read, args=(ours,))
        self._reader.start()

    def _read(self, ours: int) -> None:
        try:
            while data := os.read(ours, 65_536):
                self.text += data.decode(errors="replace")
        except OSError:  # the other end is closed
            pass
        os.close(ours)

    def end(self, number: signal.Signals | None = None) -> int:
        """Wait for the command's end, after that signal if one is given; its exit code."""
        if number is not None:
            self.process.send_signal(number)
        code = self.process.wait(60)
        self._reader.join(60)
        return code


def screen(recorder: RecorderProcess) -> list[str]:
    """The lines that one call leaves on the screen."""
    terminal = Terminal(recorder.data_root)
    code = terminal.end()
    assert "\x1b[3" in terminal.text, "in colour"
    lines = _STYLE.sub("", terminal.text).splitlines()
    assert code == (0 if ["health", "ok"] in map(str.split, lines) else 1), lines
    return lines


@pytest.fixture
def recorded(tmp_path: Path) -> Iterator[tuple[SimulatorProcess, RecorderProcess]]:
    """A simulator and a recorder of its symbols, with ticks stored."""
    options = ("--now", "--hold", "--rate", "200", "--symbols", str(SYMBOLS))
    with (
        SimulatorProcess(tmp_path, *options) as sim,
        RecorderProcess(tmp_path, sim.port, universe(SYMBOLS, 0)) as recorder,
    ):
        recorder.wait_for("persist_ticks")
        until(lambda: len(recorder.query("SELECT symbol FROM symbol_stats")) == SYMBOLS, "each symbol has a tick")
        yield sim, recorder


def wait_for_screen(recorder: RecorderProcess, is_so: Callable[[list[str]], bool]) -> list[str]:
    """Look until it is so."""
    lines: list[str] = []

    def look() -> bool:
        lines[:] = screen(recorder)
        return is_so(lines)

    until(look, lambda: "\n".join(lines))
    return lines


def test_the_three_answers_are_on_the_screen_during_an_outage(
    recorded: tuple[SimulatorProcess, RecorderProcess],
) -> None:
    """All 50 symbols are not; the answers are, in full, and nothing has scrolled away."""
    sim, recorder = recorded
    lines = wait_for_screen(recorder, lambda lines: lines[0].startswith("recording  YES: 50 symbols, "))
    assert [line for line in lines if line.startswith("to do ")] == ["to do      nothing"]
    assert sim.command("refuse", sec=300)["n"] == 1
    lines = wait_for_screen(recorder, lambda lines: lines[0].startswith("recording  NOT RECORDING since "))
    assert len(lines) < HEIGHT
    assert max(map(len, lines)) <= WIDTH
    text = " ".join(" ".join(lines).split())
    assert re.search(rf"OpenD not connected for \d+ s: Connection refused \(tried 127\.0\.0\.1:{sim.port}\)", text)
    assert "lost today nothing" in text or "lost today not known yet: " in text or "lost today being lost now" in text
    assert f"to do {cure(Trouble.OPEND_DOWN)} health ".replace("`", "") in text
    assert re.search(r"… and \d\d more symbols: --all$", text)


def test_it_is_redrawn_in_place_until_ctrl_c(recorded: tuple[SimulatorProcess, RecorderProcess]) -> None:
    """On a screen of its own, which is gone afterwards; exit 0."""
    _, recorder = recorded
    terminal = Terminal(recorder.data_root, "--watch", "--every", "0.5")
    until(lambda: terminal.text.count("recording") >= 2, lambda: terminal.text)
    assert terminal.end(signal.SIGINT) == 0
    assert terminal.text.startswith("\x1b[?1049h")
    assert "\x1b[?1049l" in terminal.text
    assert "Traceback" not in terminal.text


def test_watching_needs_a_terminal(recorded: tuple[SimulatorProcess, RecorderProcess]) -> None:
    """One line, exit 2."""
    _, recorder = recorded
    done = subprocess.run(
        [*COMMAND, str(recorder.data_root), "--watch"], cwd=recorder.data_root, capture_output=True, text=True,
        check=False,
    )  # fmt: skip
    assert done.returncode == 2
    assert done.stderr == (
        "hk-tick-collector: --watch needs a terminal, and goes without --json: call status again instead\n"
    )
