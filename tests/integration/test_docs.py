"""The documents, held to the code: commands and queries run, tables equal what they describe, links lead somewhere.

A day is recorded once by real processes, and the examples run on it. Commands run in bash, line by line, each section
of a document in a directory of its own; what a reader would wait for between two lines is waited for here.
"""

from __future__ import annotations

import ast
import os
import re
import select
import shutil
import signal
import socket
import subprocess
import sys
import time
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple, Self

import apsw
import duckdb
import pytest
import typer.main
from support.archiving import DAY, archive, make_told
from support.bench import Bench
from support.once import made_once
from support.ports import free_port
from support.recorder_process import RecorderProcess, until
from support.simulator_process import SimulatorProcess
from support.ticks_files import make_ticks_file

from hk_tick_collector.cli.app import COMMANDS, build
from hk_tick_collector.config import NAMES, Settings, display_value
from hk_tick_collector.db import migrate
from hk_tick_collector.simulator.verdict import compare
from hk_tick_collector.store import imported
from hk_tick_collector.store.opening import open_readonly

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT: Final = Path(__file__).parents[2]
PACKAGE: Final = ROOT / "hk_tick_collector"
DOCS: Final = {
    name: (ROOT / name).read_text(encoding="utf-8")
    for name in (
        *("README.md", "CONTRIBUTING.md", "CHANGELOG.md"),
        *(
            "docs/architecture.md",
            "docs/contract.md",
            "docs/data.md",
            "docs/glossary.md",
            "docs/operations.md",
            "docs/proof.md",
            "docs/research.md",
        ),
    )
}

DAYS: Final = ("20261119", "20261120")
SYMBOLS: Final = ("HK.00700", "HK.09988", "HK.00005")
REVISED: Final = 5

# Lines that are not run: they would fetch packages. What they install is what these tests run in.
INSTALLING: Final = {
    "pip install .",
    "python3 -m venv .venv",
    ". .venv/bin/activate",
    ".venv/bin/pip install -c constraints.txt .",
}

# A reader has minutes, a test has seconds.
QUICK: Final = {"RECONNECT_MIN_DELAY": "0.1", "FUTU_POLL_INTERVAL_SEC": "0.5", "FUTU_POLL_STALE_SEC": "0.5"}

LINE_TIMEOUT_SEC: Final = 90.0
NO_ROWS: Final = "-- no rows on a healthy day"


class Fence(NamedTuple):
    """A fenced block: where it stands, what it is, what it holds."""

    doc: str
    section: str
    language: str
    text: str


def fences(doc: str, language: str) -> list[Fence]:
    """A document's blocks of a language, in order."""
    found = []
    section = inside = ""
    lines: list[str] = []
    for line in DOCS[doc].splitlines():
        if line.startswith("```"):
            if inside == language:
                found.append(Fence(doc, section, language, "\n".join(lines)))
            inside = "" if inside else line[3:] or "text"
            lines = []
        elif inside:
            lines.append(line)
        elif line.startswith("## "):
            section = line[3:]
    return found


def table(doc: str, first_heading: str, section: str = "") -> list[list[str]]:
    """The rows of the first table (in or after a section) whose first column is headed so, cell by cell."""
    text = DOCS[doc].partition(f"# {section}\n")[2] if section else DOCS[doc]
    _, found, rest = text.partition(f"\n| {first_heading} |")
    assert found, f"{doc} has no table of {first_heading!r} {section}"
    rows = []
    for line in rest.splitlines()[2:]:
        if not line.startswith("|"):
            break
        rows.append([cell.strip() for cell in line.strip("|").split("|")])
    return rows


def named(cell: str) -> list[str]:
    """The names in a cell, without their backquotes."""
    return re.findall(r"`([^`]+)`", cell)


# ---- a recorded day


@pytest.fixture(scope="session")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with `data/`: two days' openings, recorded by real processes, with what queries look for."""
    # A copy, since who reads a database leaves files beside it, and some tests copy all that is there.
    made = made_once(tmp_path_factory, "recorded", record)
    return shutil.copytree(made, tmp_path_factory.mktemp("recorded"), dirs_exist_ok=True)


def record(directory: Path) -> None:
    """Each day by a simulator of its own."""
    for day in DAYS:
        opening = ("--date", day, "--start", "09:19", "--speed", "600", "--ticks-per-day", "40000", "--hold")
        with (
            SimulatorProcess(directory, *opening, "--symbols", ",".join(SYMBOLS), name=f"sim-{day}") as sim,
            RecorderProcess(directory, sim.port, SYMBOLS, name="data") as recorder,
        ):
            sim.wait_for(lambda stats: stats["sim_time"][11:] > "09:35:00")
            assert sim.command("lose", n=1)["n"] == 1
            sim.command("pause")
            assert sim.command("revise", n=REVISED)["n"] == REVISED
            recorder.wait_until_stored(sim)
            wait_for_revisions(recorder, [REVISED] * (DAYS.index(day) + 1))
            assert recorder.stop() == 0
    assert sorted(path.name for path in (directory / "data").glob("*.db")) == [f"{day}.db" for day in DAYS]


def wait_for_revisions(recorder: RecorderProcess, counts: list[int]) -> None:
    """Until each day's database has so many."""
    query = "SELECT count(*) FROM tick_revisions"
    until(lambda: [count for (count,) in recorder.query(query)] == counts, "the revisions are stored")


SQLITE, DUCKDB = (
    [fence for fence in fences("docs/data.md", "sql") if fence.text.startswith("-- DuckDB") is is_duckdb]
    for is_duckdb in (False, True)
)


@pytest.mark.parametrize("fence", DUCKDB, ids=lambda fence: " ".join(fence.text.split()[:9]))
def test_a_query_of_an_archive_runs_in_duckdb(fence: Fence, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As it stands, on an archived day of another date."""
    archive(make_told(tmp_path))
    monkeypatch.chdir(tmp_path)
    assert duckdb.sql(fence.text.replace("2026-11-20", f"{DAY[:4]}-{DAY[4:6]}-{DAY[6:]}")).fetchall()


@pytest.mark.parametrize("fence", SQLITE, ids=lambda fence: " ".join(fence.text.split()[:9]))
def test_a_query_of_the_documents_runs(fence: Fence, recorded: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each runs as it stands on a recorded day and gives rows, but those that say that they should not."""
    monkeypatch.chdir(recorded)
    con = open_readonly(Path("data") / f"{DAYS[-1]}.db")
    try:
        *before, last = [part for part in fence.text.split(";") if part.strip()]
        for statement in before:
            con.execute(statement)
        rows = con.execute(last).fetchall()
    finally:
        con.close()
    assert bool(rows) != (NO_ROWS in fence.text), rows


def test_there_are_ten_queries_and_more() -> None:
    """A researcher finds the usual questions answered."""
    assert len(fences("docs/data.md", "sql")) >= 10


def test_the_recorded_day_holds_what_queries_look_for(recorded: Path) -> None:
    """Auctions, live trades, revisions, and a tick that only an audit found: so the queries' rows mean something."""
    con = open_readonly(recorded / "data" / f"{DAYS[-1]}.db")
    types = dict(con.execute("SELECT tick_type, count(*) FROM ticks GROUP BY tick_type"))
    came = dict(con.execute("SELECT push_type, count(*) FROM ticks GROUP BY push_type"))
    revisions = con.execute("SELECT count(*) FROM tick_revisions").get
    con.close()
    assert types["AUCTION"] > 0
    assert types["AUTO_MATCH"] > 100
    assert came["push"] > 100
    assert came["poll"] >= 1
    assert revisions == REVISED


@pytest.mark.parametrize(
    "fence", fences("docs/data.md", "python"), ids=["standard library", "pandas", "hash", "verify"]
)
def test_a_python_example_runs(fence: Fence, recorded: Path) -> None:
    """Each prints something of the recorded day. A process of its own: two SQLites must not share one."""
    if "hkt.verify" in fence.text:
        make_ticks_file(recorded / "archive").rename(recorded / "20261120.ticks.parquet")
    done = subprocess.run(
        [sys.executable, "-c", fence.text], cwd=recorded, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip()


@pytest.mark.faults
def test_the_example_of_a_fault_test_is_one(tmp_path: Path) -> None:
    """The example in CONTRIBUTING.md runs, and passes."""
    (fence,) = fences("CONTRIBUTING.md", "python")
    names: dict[str, object] = {"Bench": Bench}
    exec(fence.text, names)  # noqa: S102 - our own document
    (example,) = [value for name, value in names.items() if name.startswith("test_")]
    assert callable(example)
    bench = Bench(tmp_path)
    try:
        example(bench)
    finally:
        bench.end()


# ---- commands


# The part of a day that these tests have recorded is not a whole day, and the audit says so; and `status` says whether
# a recorder is doing well, which some sections have and others don't.
ENDS_WITH: Final = {
    "hk-tick-collector gaps yesterday": {0, 2},  # nothing was recorded yesterday, unless midnight has just passed
    "hk-tick-collector audit": {1},
    # No day is sealed here, so none is archived.
    "hk-tick-collector archive yesterday": {1, 2},
    "hk-tick-collector verify data/archive/trading_day=2026-11-20/ticks.parquet": {2},
    "hk-tick-collector status": {0, 1},
    "hk-tick-collector status --all": {0, 1},
    "hk-tick-collector status --json": {0, 1},
}


class Shell:
    """A bash that is given one line after the other, as somebody types them."""

    def __init__(self, directory: Path, env: dict[str, str]) -> None:
        """It is started in `with`, and all that it has started ends with it."""
        self.directory = directory
        path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
        self._env = {"PATH": path, "HOME": str(directory), **QUICK, **env}
        self._told = b""

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(
            ["bash", "--norc"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            cwd=self.directory,
            env=self._env,
            start_new_session=True,  # so that it can be ended with its children
        )
        return self

    def __exit__(self, *_exc: object) -> None:
        os.killpg(self._process.pid, signal.SIGKILL)
        self._process.communicate()

    def type(self, line: str) -> str:
        """Have a line carried out; what it printed. AssertionError if it fails, or takes too long."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(f"{line}\necho =done=$?=\n".encode())
        self._process.stdin.flush()
        deadline = time.monotonic() + LINE_TIMEOUT_SEC
        while not (done := re.search(rb"=done=(\d+)=\n", self._told)):
            ready, _, _ = select.select([self._process.stdout], [], [], max(0.0, deadline - time.monotonic()))
            chunk = os.read(self._process.stdout.fileno(), 65536) if ready else b""
            assert chunk, f"{line!r} did not end: {self._told.decode()[-4000:]}"
            self._told += chunk
        printed, self._told = self._told[: done.start()].decode(), self._told[done.end() :]
        assert int(done[1]) in ENDS_WITH.get(line, {0}), f"{line!r} ended with {done[1].decode()}: {printed}"
        return printed


def commands(doc: str) -> dict[str, list[str]]:
    """The lines to type, by section."""
    found: dict[str, list[str]] = {}
    for fence in fences(doc, "console"):
        lines = fence.text.splitlines()
        assert all(line.startswith("$ ") for line in lines), fence
        found.setdefault(fence.section, []).extend(line[2:] for line in lines)
    return found


STORIES: Final = [
    pytest.param(doc, section, id=f"{doc}: {section}")
    for doc in DOCS
    for section in commands(doc)
    if section != "Rehearse"
]


@pytest.mark.parametrize(("doc", "section"), STORIES)
def test_the_commands_of_a_section_run(doc: str, section: str, recorded: Path, tmp_path: Path) -> None:
    """Each line does what it should; make's targets are only checked to exist."""
    lines = commands(doc)[section]
    records = any(line == "hk-tick-collector run" for line in lines)
    if not records:
        shutil.copytree(recorded / "data", tmp_path / "data")
    options = ("--now", "--hold", "--symbols", ",".join(SYMBOLS))
    with (
        SimulatorProcess(tmp_path, *options) as sim,
        Shell(tmp_path, {"FUTU_PORT": str(sim.port)}) as shell,
    ):
        for line in lines:
            if line in INSTALLING:
                continue
            if line.startswith("make "):
                shell.type(line.replace("make ", f"make --dry-run --directory={ROOT} ", 1))
            elif line == "hk-tick-collector run":
                record_for_a_moment(shell)
            else:
                printed = shell.type(line.replace(".venv/bin/", ""))
                assert printed.strip() or line.startswith("export ") or "VACUUM" in line, line
    if "VACUUM" in "".join(lines):
        assert [path for path in tmp_path.glob("*.db") if path.stat().st_size]


def record_for_a_moment(shell: Shell) -> None:
    """`run` until ticks are stored, then SIGTERM, which must end it with 0."""
    shell.type("hk-tick-collector run 2>>recorder.log & recorder=$!")
    data = shell.directory / "data"
    until(lambda: rows_in(data) > 0, "the recorder has stored something")
    shell.type("kill $recorder; wait $recorder")


def rows_in(data: Path) -> int:
    """Ticks in all databases; 0 before the first transaction."""
    rows = 0
    for path in data.glob("*.db"):
        con = open_readonly(path)
        try:
            rows += con.execute("SELECT count(*) FROM ticks").get if con.pragma("user_version") else 0
        finally:
            con.close()
    return rows


def listens(port: int) -> bool:
    """Whether somebody does."""
    with socket.socket() as sock:
        return sock.connect_ex(("127.0.0.1", port)) == 0


def backfills(log: Path) -> int:
    """How many the log tells of."""
    return log.read_text().count(" backfill_done ") if log.exists() else 0


def wait_for_backfill(log: Path, before: int) -> None:
    """Until there is another one."""
    until(lambda: backfills(log) > before, lambda: f"another backfill: {log.read_text()[-4000:]}")


@pytest.mark.faults
@pytest.mark.timeout(300)
def test_the_rehearsal_goes_as_written(tmp_path: Path) -> None:
    """Typed line by line, every fault happens, and at the end all that was sent is stored."""
    port, control_port = free_port(), free_port()
    log = tmp_path / "recorder.log"
    ledger, data = tmp_path / "ledger.jsonl", tmp_path / "data"
    printed = ""
    with Shell(tmp_path, {"FUTU_PORT": str(port)}) as shell:
        for written in commands("docs/operations.md")["Rehearse"]:
            line = re.sub(r"\b11111\b", str(port), re.sub(r"\b11112\b", str(control_port), written))
            fetched = backfills(log)
            if line == "kill -9 $recorder":  # typed by hand, it comes later; what is sent only once would be lost
                until(lambda: compare(ledger, data).revisions_stored == 3, "the revisions are stored")
            if line == "kill $recorder":
                until(lambda: compare(ledger, data).ok, lambda: f"all is stored: {compare(ledger, data)}")
            printed = shell.type(line)
            if line.startswith("tell "):
                assert printed.startswith('{"ok":true'), f"{line}: {printed}"
            elif "hk-tick-collector simulate" in line:
                until(lambda: listens(control_port), "the simulator listens")
            elif "hk-tick-collector run" in line:
                wait_for_backfill(log, fetched)
    assert " ok" in printed.splitlines()[0], printed
    verdict = compare(ledger, data)
    assert verdict.ok
    assert verdict.stored > 0
    assert verdict.revisions_stored == verdict.revisions_sent == 3
    text = ledger.read_text()
    for fault in ("cut", "refuse", "lose", "duplicate", "revise", "garbage", "outage"):
        assert f'"fault":"{fault}"' in text.replace(" ", ""), fault


def test_the_simulators_commands_are_documented(tmp_path: Path) -> None:
    """The table has every command of the control port, and no other."""
    with SimulatorProcess(tmp_path, "--now", "--hold") as sim:
        error = sim.try_command("none of them")["error"]
    known = set(error.partition("expected one of ")[2].split(", "))
    assert {name for row in table("docs/operations.md", "command") for name in named(row[0])} == known


def test_every_command_is_documented_and_helps() -> None:
    """Each command is shown in some document; it, its arguments and its options have a help text."""
    text = "\n".join(DOCS.values())
    group = typer.main.get_command(build())
    assert isinstance(group, typer.core.TyperGroup)
    assert list(group.commands) == list(COMMANDS)
    for name, command in group.commands.items():
        assert re.search(rf"hk-tick-collector {name}\b|`{name}`", text), name
        assert (command.help or "").strip(), name
        silent = [param.name for param in command.params if not getattr(param, "help", None)]
        assert not silent, f"{name}: no help for {silent}"


def test_makes_targets_are_documented() -> None:
    """CONTRIBUTING.md shows each target of the Makefile, but the list of them."""
    makefile = (ROOT / "Makefile").read_text()
    targets = set(re.findall(r"^([a-z]+):", makefile, re.MULTILINE)) - {"help"}
    shown = {line.split()[1] for lines in commands("CONTRIBUTING.md").values() for line in lines}
    assert targets == shown


# ---- tables


def test_the_settings_are_documented() -> None:
    """The table has each setting in its order, with its default and its description."""
    rows = {named(row[0])[0]: row for row in table("docs/operations.md", "name")}
    assert tuple(rows) == NAMES
    for name, (_, default, meaning, _note) in rows.items():
        field = Settings.model_fields[name.lower()]
        value = display_value(name, field.get_default(call_default_factory=True, validated_data={}))
        expected = "the host's name" if name == "INSTANCE_ID" else f"`{value}`" if value else ""
        assert (default, meaning) == (expected, field.description), name


def test_a_setting_without_effect_says_so() -> None:
    """The settings that nothing reads are those that are marked, so that nobody counts on them."""
    others = "".join(path.read_text() for path in PACKAGE.rglob("*.py") if path.name != "config.py")
    own = (PACKAGE / "config.py").read_text()
    unread = {
        name
        for name in NAMES
        if not re.search(rf"settings\.{name.lower()}\b", others) and f"self.{name.lower()}" not in own
    }
    marked = {named(row[0])[0] for row in table("docs/operations.md", "name") if row[3] == "no effect yet"}
    assert marked == unread


class Logged(NamedTuple):
    """What the source says of a log event."""

    levels: set[str]
    fields: set[str]


def events() -> dict[str, Logged]:
    """Every event that the recorder and the writer log, by name."""
    found: dict[str, Logged] = {}
    for path in PACKAGE.rglob("*.py"):
        if {"simulator", "demo"} & set(path.relative_to(PACKAGE).parts):
            continue  # they have logs of their own, in sentences
        for node in ast.walk(ast.parse(path.read_text())):
            level = level_of(node)
            if level is None:
                continue
            assert isinstance(node, ast.Call)
            name = node.args[0]
            if isinstance(name, ast.Name):
                continue  # passed on by a function that is itself in the list
            assert isinstance(name, ast.Constant), f"{path.name}:{node.lineno}: an event is a constant"
            logged = found.setdefault(str(name.value), Logged(set(), set()))
            logged.levels.update(level)
            logged.fields.update(keyword.arg for keyword in node.keywords if keyword.arg and keyword.arg != "exc_info")
    return found


def level_of(node: ast.AST) -> set[str] | None:
    """The levels of a call that logs; None for all else."""
    if not isinstance(node, ast.Call):
        return None
    match node.func:
        case ast.Attribute(value=ast.Name(id="log"), attr="debug" | "info" | "warning" | "error" as level):
            return {level.upper()}
        case ast.Attribute(value=ast.Name(id="self"), attr="_warn"):
            return {"WARNING"}
        case ast.Attribute(value=ast.Name(id="self"), attr="_tell"):
            return {"INFO"}
        case ast.Name(id="tell"):  # log.warning or log.info, as it is needed
            return {"INFO", "WARNING"}
    return None


def test_every_log_event_is_documented() -> None:
    """The table has each event of the source and no other, with its levels and its fields."""
    rows = {named(row[0])[0]: row for row in table("docs/operations.md", "event")}
    logged = events()
    assert len(logged) > 30
    assert rows.keys() == logged.keys()
    for name, (_, levels, fields, meaning) in rows.items():
        assert set(levels.split(", ")) == logged[name].levels, name
        missing = logged[name].fields - set(fields.split()) - {"repeated"}
        assert not missing, f"{name}: {missing}"
        assert meaning, name


def test_the_tables_of_a_day_are_documented() -> None:
    """Each table of the schema has its columns, with their types, in docs/data.md."""
    con = apsw.Connection(":memory:")
    migrate(con, Path("a day"))
    con.execute(imported.CREATE)
    names = [name for (name,) in con.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")]
    for name in names:
        assert f"\n### `{name}`\n" in DOCS["docs/data.md"], name
        if name == "tick_revisions":
            continue  # "the same columns"
        expected = {row[1]: row[2] for row in con.execute(f"PRAGMA table_xinfo({name})")}
        documented: dict[str, str] = {}
        for row in table("docs/data.md", "column", f"`{name}`"):
            columns, types = named(row[0]), row[1].split(", ")
            documented.update(zip(columns, types * len(columns) if len(types) == 1 else types, strict=False))
        assert documented == expected, name
    con.close()


def test_the_dependencies_are_documented() -> None:
    """docs/architecture.md has a reason for each dependency, and for no other."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = {re.split(r"[^a-z-]", spec)[0] for spec in project["dependencies"]}
    assert {row[0] for row in table("docs/architecture.md", "package")} == wanted


# ---- links


def anchors(text: str) -> set[str]:
    """The anchors that a document's headings have on the web."""
    headings = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("doc", DOCS)
def test_links_lead_somewhere(doc: str) -> None:
    """Each file that is linked is there, and each heading."""
    for target in links(DOCS[doc]):
        path, _, anchor = target.partition("#")
        linked = (ROOT / doc).parent / path if path else ROOT / doc
        assert linked.exists(), target
        if anchor:
            assert anchor in anchors(linked.read_text(encoding="utf-8")), target


def links(text: str) -> Iterator[str]:
    """Targets inside of the project."""
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if not target.startswith(("http://", "https://")):
            yield target


def test_the_chinese_readme_has_the_same_commands() -> None:
    """In the same order, and the same fences; its links lead somewhere, too."""
    chinese = (ROOT / "README.zh-Hant.md").read_text(encoding="utf-8")
    fenced = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)
    assert fenced.findall(chinese) == fenced.findall(DOCS["README.md"])
    for target in links(chinese):
        path, _, anchor = target.partition("#")
        linked = ROOT / path
        assert linked.exists(), target
        if anchor and path in DOCS:
            assert anchor in anchors(DOCS[path]), target


def test_no_figure_is_given_that_was_not_measured() -> None:
    """The README's table of figures is either empty or filled in whole."""
    cells = [row[1] for row in table("README.md", "what")]
    assert all(cell == "—" for cell in cells) or not any(cell == "—" for cell in cells)
