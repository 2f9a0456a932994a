"""`sql`: a read-only look into a day."""

from __future__ import annotations

import io
from types import SimpleNamespace
from typing import TYPE_CHECKING

import pytest
import typer
from support.bodies import TICK_TS_MS
from typer.testing import CliRunner, Result

from hk_tick_collector.cli.sql_cmd import sql_command
from hk_tick_collector.config import NAMES
from hk_tick_collector.db import DayDatabase, Pragmas
from hk_tick_collector.errors import CollectorError, ConfigError, DatabaseNewerError
from hk_tick_collector.store.stored import find_day

if TYPE_CHECKING:
    from pathlib import Path

    from hk_tick_collector.mapping import Row


def row(seq: int) -> Row:
    """A tick."""
    return ("HK.00700", seq, TICK_TS_MS, 372.4, 60, 22344.0, 3, 6, 0, 1, TICK_TS_MS + 100, TICK_TS_MS + 200)


@pytest.fixture
def data_root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Three days, each with as many ticks as its last digit says."""
    monkeypatch.chdir(tmp_path)
    for name in (*NAMES, "HK_TICK_CONFIG"):
        monkeypatch.delenv(name, raising=False)
    root = tmp_path / "data"
    root.mkdir()
    for day, count in (("20200331", 1), ("20200330", 3), ("20191231", 2)):
        database = DayDatabase(root / f"{day}.db", Pragmas())
        database.store({"HK.00700": [row(seq) for seq in range(1, count + 1)]}, {})
        database.close()
    (root / "notes.db").write_text("no day")
    return root


def sql(root: Path, *arguments: str, stdin: str | None = None) -> Result:
    """What the command does when called so."""
    app = typer.Typer()
    app.command()(sql_command)
    return CliRunner().invoke(app, ["--data-root", str(root), *arguments], input=stdin)


COUNT = "SELECT count(*) FROM ticks"


def test_the_newest_day_is_the_default(data_root: Path) -> None:
    """By its name, not by when its file was made; other files are not days."""
    result = sql(data_root, "-e", COUNT)
    assert (result.exit_code, result.stdout) == (0, "1\n")


def test_a_newest_day_without_a_tick_is_passed_over(data_root: Path) -> None:
    """A repair may have moved its rows; it can be asked for."""
    DayDatabase(data_root / "20200401.db", Pragmas()).close()
    assert sql(data_root, "-e", COUNT).stdout == "1\n"
    assert sql(data_root, "20200401", "-e", COUNT).stdout == "0\n"


@pytest.mark.parametrize(("day", "count"), [("20200330", 3), ("2020-03-30", 3), ("2020/03/30", 3), ("20191231", 2)])
def test_a_day_is_named_with_or_without_dashes(day: str, count: int, data_root: Path) -> None:
    """As an argument or as an option, its database is the one that is read."""
    for arguments in ((day,), ("--day", day)):
        result = sql(data_root, *arguments, "-e", COUNT)
        assert (result.exit_code, result.stdout) == (0, f"{count}\n")


def test_statements_run_in_order(data_root: Path) -> None:
    """`-e` can be repeated, and takes the shell's own commands too."""
    result = sql(data_root, "-e", "SELECT 1", "--execute", "SELECT 2", "-e", ".tables")
    assert result.exit_code == 0
    assert result.stdout.split() == [
        "1",
        "2",
        "bad_ticks",
        "clocks",
        "decided",
        "doubts",
        "exchange_totals",
        "gaps",
        "judged",
        "ordinals",
        "outages",
        "premises",
        "recorded",
        "symbol_stats",
        "symbol_types",
        "tick_revisions",
        "ticks",
        "time_corrections",
        "trade_dates",
    ]


@pytest.mark.parametrize(
    "statement",
    [
        "INSERT INTO symbol_stats VALUES ('x',1,1,1,1,1,1,1,1)",
        "DELETE FROM ticks",
        "UPDATE ticks SET price = 0",
        "DROP TABLE ticks",
        "CREATE TABLE mine (a)",
        "VACUUM",
        "PRAGMA user_version = 99",
    ],
)
def test_nothing_can_be_written(statement: str, data_root: Path) -> None:
    """It is refused in one line, exit 1, and the file is as it was."""
    path = data_root / "20200331.db"
    before = path.read_bytes()
    result = sql(data_root, "-e", statement)
    assert type(result.exception) is CollectorError
    assert "attempt to write a readonly database" in str(result.exception)
    assert str(result.exception).endswith(f"in: {statement}")
    assert path.read_bytes() == before
    assert sql(data_root, "-e", COUNT).stdout == "1\n"


def test_a_statement_that_is_none_is_told(data_root: Path) -> None:
    """With SQLite's words and the statement; what came before it was done."""
    result = sql(data_root, "-e", "SELECT 1", "-e", "SELEC 2", "-e", "SELECT 3")
    assert type(result.exception) is CollectorError
    assert 'near "SELEC": syntax error in: SELEC 2' in str(result.exception)
    assert result.stdout.startswith("1\n")
    assert "3\n" not in result.stdout


def test_an_unknown_day_names_those_there_are(data_root: Path) -> None:
    """The first and the last."""
    result = sql(data_root, "20200101", "-e", COUNT)
    assert isinstance(result.exception, ConfigError)
    assert str(result.exception) == f"no database of 20200101 in {data_root}: there are 20191231 to 20200331"


@pytest.mark.parametrize("name", [".", "nowhere"])
def test_no_day_at_all_says_what_to_do(name: str, tmp_path: Path) -> None:
    """An empty directory and none: one line each, and nothing is made."""
    root = tmp_path / name
    with pytest.raises(ConfigError, match=r"^no day database in .*: set DATA_ROOT, or record something first$"):
        find_day(root, None)
    assert not list(tmp_path.iterdir())


def test_piped_statements_are_run(data_root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Over several lines, several on one, the last without its semicolon; dot commands too."""
    script = "SELECT seq\n FROM ticks;\n.headers off\nSELECT 7; SELECT symbol FROM ticks"
    monkeypatch.setattr("sys.stdin", io.StringIO(script))
    result = sql(data_root, stdin=script)
    assert result.exception is None
    assert result.stdout.splitlines() == ["1", "7", "HK.00700"]


@pytest.mark.parametrize(
    ("bad", "words"), [("DELETE FROM ticks;", "attempt to write a readonly database"), (".nosuch", "nosuch")]
)
def test_a_script_ends_at_the_statement_that_fails(
    bad: str, words: str, data_root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is told once, in one line, and what stands behind it is not run."""
    script = f"SELECT 6;\n{bad}\nSELECT 7;\n"
    monkeypatch.setattr("sys.stdin", io.StringIO(script))
    result = sql(data_root, stdin=script)
    assert type(result.exception) is CollectorError
    assert words in str(result.exception)
    assert result.stdout == "6\n"


@pytest.mark.parametrize("errors", ["strict", "surrogateescape"])
def test_a_pipe_that_is_not_utf8_is_refused(errors: str, data_root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In one line, whatever Python makes of such bytes; no statement is run."""
    piped = io.BytesIO(b"SELECT 1;\nSELECT '\xff';\n")
    monkeypatch.setattr(
        "hk_tick_collector.cli.sql_cmd.sys",
        SimpleNamespace(stdin=io.TextIOWrapper(piped, encoding="utf-8", errors=errors)),
    )
    result = sql(data_root)
    assert isinstance(result.exception, ConfigError)
    assert str(result.exception) == (
        "standard input has bytes that are not UTF-8, expected SQL and dot commands in UTF-8"
    )
    assert result.stdout == ""


def test_an_argument_that_is_not_utf8_is_refused(data_root: Path) -> None:
    """Before any statement is run."""
    result = sql(data_root, "-e", "SELECT 1", "-e", "SELECT '\udcff'")
    assert isinstance(result.exception, ConfigError)
    assert str(result.exception) == "--execute has bytes that are not UTF-8, expected SQL and dot commands in UTF-8"
    assert result.stdout == ""


def test_it_reads_what_is_being_written(data_root: Path) -> None:
    """The recorder's connection is open, with a row in its log: a reader sees it and disturbs nothing."""
    database = DayDatabase(data_root / "20200331.db", Pragmas())
    try:
        database.store({"HK.00700": [row(seq) for seq in range(2, 6)]}, {})
        assert database.wal.size_bytes() > 0
        assert sql(data_root, "-e", COUNT).stdout == "5\n"
        database.store({"HK.00700": [row(9)]}, {})
        assert sql(data_root, "-e", COUNT).stdout == "6\n"
    finally:
        database.close()


def test_a_newer_database_is_refused(data_root: Path) -> None:
    """With both versions; it is the operator's to upgrade."""
    database = DayDatabase(data_root / "20200331.db", Pragmas())
    database._con.pragma("user_version", 99)
    database.close()
    result = sql(data_root, "-e", COUNT)
    assert isinstance(result.exception, DatabaseNewerError)
    assert "has schema version 99" in str(result.exception)


# ---- dot commands, as in SQLite's own shell


def test_an_output_file_is_whole(data_root: Path) -> None:
    """Closed at the end, and at the next `.output`; without a name, output goes back to standard output."""
    result = sql(
        data_root, "20200330", "-e", ".mode csv", "-e", ".headers on", "-e", ".output one.csv", "-e",
        "SELECT symbol, seq FROM ticks", "-e", ".output", "-e", "SELECT 7 AS seven", "-e", ".output two.csv", "-e",
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 20000) SELECT i FROM n",
    )  # fmt: skip
    assert (result.exit_code, result.exception) == (0, None)
    place = data_root.parent
    assert (place / "one.csv").read_text() == "symbol,seq\nHK.00700,1\nHK.00700,2\nHK.00700,3\n"
    assert (place / "two.csv").read_text().split() == ["i", *map(str, range(1, 20001))]
    assert result.stdout == "seven\n7\n"


def test_once_is_for_one_statement(data_root: Path) -> None:
    """What follows goes to standard output again."""
    result = sql(data_root, "-e", ".once one.txt", "-e", "SELECT 1", "-e", "SELECT 2")
    assert (result.exit_code, result.stdout) == (0, "2\n")
    assert (data_root.parent / "one.txt").read_text() == "1\n"


def test_output_that_fails_leaves_what_was_there(data_root: Path) -> None:
    """A statement that fails while a file is open: the file has what came before, and the exit code tells."""
    result = sql(data_root, "-e", ".output one.txt", "-e", "SELECT 1", "-e", "SELEC 2")
    assert type(result.exception) is CollectorError
    assert (data_root.parent / "one.txt").read_text() == "1\n"


def test_help_and_show_can_be_piped(data_root: Path) -> None:
    """They are standard output, as in SQLite's shell; what is not supported is marked."""
    result = sql(data_root, "-e", ".help", "-e", ".show")
    assert result.exit_code == 0
    for line in (".output ?FILENAME?", ".once FILENAME", ".read FILENAME", ".schema ?TABLE?", ".tables ?PATTERN?"):
        assert line in result.stdout
    assert ".open                       Not supported here: this shell reads one day" in result.stdout
    assert "headers: off" in result.stdout


def test_a_file_of_statements_is_read(data_root: Path) -> None:
    """With dot commands; an error in it is one of the caller's."""
    (data_root.parent / "a.sql").write_text(".headers on\nSELECT 1\n  AS one;\nSELECT 2 AS two;\n")
    result = sql(data_root, "-e", ".read a.sql")
    assert (result.exit_code, result.stdout) == (0, "one\n1\ntwo\n2\n")
    (data_root.parent / "b.sql").write_text("SELECT 1;\nSELEC 2;\n")
    assert 'near "SELEC"' in str(sql(data_root, "-e", ".read b.sql").exception)


@pytest.mark.parametrize(
    ("command", "words"),
    [
        (".open other.db", ".open is not supported here: this shell reads one day; start it again with another DAY"),
        (".import a.csv ticks", ".import is not supported here: the day is open read-only"),
        (".read a.py", "a Python file is not supported, expected SQL and dot commands"),
        (".read nowhere.sql", "nowhere.sql: No such file or directory"),
        (".output nowhere/x", "nowhere/x: No such file or directory"),
        (".output |less", "a pipe is not supported: pipe the output of hk-tick-collector itself"),
        (".output -x a", "seen '-x a', expected one file name and no option"),
        (".once", "expected a file name"),
        (".output data/20200331.db", "data/20200331.db is the day itself, expected another file"),
        (".mode nosuch", "Expected a valid output mode"),
        (".schema 'x", "No closing quotation"),
        (".", 'Unknown command ""'),
    ],
)
def test_a_dot_command_that_is_wrong_is_one_line(command: str, words: str, data_root: Path) -> None:
    """Nothing is made, and what stands behind it is not run."""
    result = sql(data_root, "-e", command, "-e", "SELECT 3")
    assert type(result.exception) is CollectorError
    assert str(result.exception).startswith(words)
    assert str(result.exception).endswith(f"in: {command}")
    assert result.stdout == ""
    assert list(data_root.parent.iterdir()) == [data_root]


def test_a_full_disk_is_told(data_root: Path) -> None:
    """An output file that could not be written whole is no success."""
    result = sql(data_root, "-e", ".output /dev/full", "-e", "SELECT 1")
    assert type(result.exception) is CollectorError
    assert str(result.exception) == "the output could not be written: No space left on device"


def test_an_attached_database_is_read_only_too(data_root: Path) -> None:
    """Nothing is written beside the day either."""
    result = sql(data_root, "-e", "ATTACH 'new.db' AS new; CREATE TABLE new.x (y)")
    assert type(result.exception) is CollectorError
    assert list(data_root.parent.iterdir()) == [data_root]
