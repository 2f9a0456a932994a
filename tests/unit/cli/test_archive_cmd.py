"""`archive`: what it prints, what it refuses, and its exit codes."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest
from support.archiving import DAY, archive, folder_of, make_day, make_told, seal_day
from support.ticks import NEXT_DAY

from hk_tick_collector.cli.app import entry

if TYPE_CHECKING:
    from pathlib import Path

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Run:
    """Runs it; gives exit code, output and errors."""

    def _run(*words: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["hk-tick-collector", "archive", *words, "--data-root", str(tmp_path)])
        capfd.readouterr()  # what the test itself has said
        with pytest.raises(SystemExit) as ended:
            entry()
        told = capfd.readouterr()
        return int(ended.value.code or 0), told.out, told.err

    return _run


def test_a_day_is_archived_and_made_a_database_again(tmp_path: Path, run: Run) -> None:
    """A table with its size, who has read it back, and what became of the database."""
    database = make_told(tmp_path)
    code, out, _ = run(DAY, "--keep-days", "36500")
    assert code == 0
    assert " ".join(out.splitlines()[0].split()) == "day ticks MB bytes/tick database MB database read back by s"
    assert " kept " in out
    code, out, _ = run("--due", "--keep-days", "0")
    assert code == 0
    assert " deleted " in out
    assert not database.exists()
    code, out, _ = run("--due", "--keep-days", "0")
    assert (code, out.partition(":")[0]) == (0, "nothing to archive")
    code, out, _ = run("--restore", DAY)
    assert code == 0
    assert out == f"{DAY} is a database again, and can be written to; its certificate is {DAY}.certificate.1.json\n"
    assert database.exists()


def test_the_json_has_each_day(tmp_path: Path, run: Run) -> None:
    """One that fails stops no other, and makes the exit code 1."""
    for day in (DAY, NEXT_DAY):
        seal_day(make_day(tmp_path, day))
    folder_of(tmp_path / f"{DAY}.db").mkdir(parents=True)
    (folder_of(tmp_path / f"{DAY}.db") / "theirs").write_text("x", encoding="utf-8")
    code, out, _ = run("--due", "--keep-days", "0", "--json")
    first, second = json.loads(out)["days"]
    assert code == 1
    assert "move it away" in first["error"]
    assert (second["day"], second["is_removed"], second["ticks"]) == (NEXT_DAY, True, 10)


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ((), "expected either a DAY, such as yesterday, or --due"),
        ((DAY, "--due"), "expected either a DAY, such as yesterday, or --due"),
        (("--due", "--restore"), "--restore goes with a DAY"),
        (("nonsense",), "nonsense"),
    ],
)
def test_wrong_usage_is_one_line_and_exit_2(run: Run, words: tuple[str, ...], expected: str) -> None:
    """Which says what was expected."""
    code, _, err = run(*words)
    assert code == 2
    assert expected in err


def test_a_day_that_is_not_sealed_or_not_there_is_not_archived(tmp_path: Path, run: Run) -> None:
    """Exit 1, with the cure."""
    make_day(tmp_path)
    code, _, err = run(DAY)
    assert (code, "hk-tick-collector seal --day" in err) == (1, True)
    code, _, err = run("--restore", DAY)
    assert (code, f"{DAY} is not archived" in err) == (1, True)


@pytest.fixture
def words(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Run:
    """Runs another command; gives exit code, output and errors."""

    def _run(*written: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["hk-tick-collector", *written])
        with pytest.raises(SystemExit) as ended:
            entry()
        told = capfd.readouterr()
        return int(ended.value.code or 0), told.out, told.err

    return _run


def test_the_page_of_an_archived_day_is_that_of_its_database(tmp_path: Path, words: Run) -> None:
    """But for the moment of the audit, which it names."""
    database = make_told(tmp_path)
    pages = []
    for name in ("before.html", "after.html"):
        page = tmp_path / name
        assert words("audit", DAY, "--html", str(page), "--data-root", str(tmp_path))[0] == 1
        pages.append([line for line in page.read_text().splitlines() if "audited" not in line.lower()])
        if name == "before.html":
            archive(database)
    assert pages[0] == pages[1]
    assert len(pages[0]) > 10


@pytest.mark.parametrize("written", [("status", "--day", DAY), ("repair", DAY)])
def test_what_needs_a_database_names_the_command_that_makes_it_again(
    tmp_path: Path, words: Run, written: tuple[str, ...]
) -> None:
    """Not that nothing was ever recorded there."""
    archive(make_told(tmp_path))
    code, _, told = words(*written, "--data-root", str(tmp_path))
    assert code == 2
    assert told == (
        f"hk-tick-collector: {DAY} is archived in {tmp_path}, without a database: "
        f"hk-tick-collector archive --restore {DAY} makes it again\n"
    )
